//! New events as they arrive, each once, in order, none left out.
//!
//! ```text
//!            cursor                              newest seen      now
//! ──────────────┼──────────────────────────────────────┼───────────┼──▶ received_at
//!               └── read again at every look ──────────┘
//! ```
//!
//! An event is stamped before it is written, and the index lags behind the table,
//! so one may appear behind others that are older. Every look therefore reads the
//! last minute again and leaves out what it has given before. The cursor moves
//! only after a look that succeeded as a whole, so a lost connection loses
//! nothing: the next look begins where the last good one did.
//!
//! The clock here may be wrong: the cursor goes by the newest event, and by the
//! clock only ten minutes behind it, so that quiet days are not read for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use inbox_aws::{Arrival, DynamoDbLedger, TimelinePartition};
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::LedgerError;
use inbox_core::stack::stack;

/// How much later than its stamp an event may appear.
const LATE_BY: Duration = Duration::from_mins(1);
/// How wrong the clock here may be.
const SKEW: Duration = Duration::from_mins(10);
const DAY: Duration = Duration::from_hours(24);
const AT_ONCE: usize = 32;

/// Where a follower stands.
#[derive(Debug)]
pub struct Follower {
    sources: Vec<String>,
    cursor: Timestamp,
    newest: Timestamp,
    /// What was given, from the cursor on.
    given: BTreeMap<EventKey, Timestamp>,
    /// The first look is still to come, and what it finds is not new.
    is_old_news: bool,
}

impl Follower {
    /// Follows these sources from a moment on.
    #[must_use]
    pub fn new(sources: Vec<String>, since: Timestamp) -> Self {
        Self { sources, cursor: since, newest: since, given: BTreeMap::new(), is_old_news: false }
    }

    /// Follows these sources from the first look on: what is not there by then is
    /// new, whatever it is stamped. Going by the clock here, one that is ahead
    /// would leave out what arrives until the others have caught up.
    #[must_use]
    pub fn from_here(sources: Vec<String>, now: Timestamp) -> Self {
        Self { is_old_news: true, ..Self::new(sources, now.minus(SKEW)) }
    }

    /// What has arrived since the last look, the oldest first.
    ///
    /// # Errors
    ///
    /// The table does not answer; the next look begins where this one did.
    pub async fn look(
        &mut self,
        ledger: &DynamoDbLedger,
        now: Timestamp,
    ) -> Result<Vec<Arrival>, LedgerError> {
        let until = now.max(self.newest).plus(SKEW);
        let days = self.days(until);
        let shards = stack().table.timeline_index.shards;
        let places = self.sources.iter().flat_map(|source| {
            days.iter().flat_map(move |day| (0..shards).map(move |shard| (source, *day, shard)))
        });
        let found: Vec<Vec<Arrival>> = stream::iter(places)
            .map(|(source, within_day, shard)| {
                let since = self.cursor;
                all(ledger, TimelinePartition { source, within_day, shard, since, until })
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut new: Vec<Arrival> = found
            .into_iter()
            .flatten()
            .filter(|arrival| !self.given.contains_key(&arrival.key))
            .collect();
        new.sort_by(|a, b| (a.received_at, &a.key).cmp(&(b.received_at, &b.key)));
        self.move_on(&new, now);
        Ok(if std::mem::take(&mut self.is_old_news) { Vec::new() } else { new })
    }

    fn move_on(&mut self, new: &[Arrival], now: Timestamp) {
        for arrival in new {
            self.given.insert(arrival.key.clone(), arrival.received_at);
            self.newest = self.newest.max(arrival.received_at);
        }
        let by_events = self.newest.minus(LATE_BY);
        let by_clock = now.minus(SKEW);
        self.cursor = self.cursor.max(by_events.max(by_clock));
        let cursor = self.cursor;
        self.given.retain(|_, received_at| *received_at >= cursor);
    }

    /// A moment of each day from the cursor's on.
    fn days(&self, until: Timestamp) -> Vec<Timestamp> {
        let mut days = vec![self.cursor];
        let mut day = self.cursor.unix_seconds() / 86_400;
        while day < until.unix_seconds() / 86_400 {
            day += 1;
            let last = days[days.len() - 1];
            days.push(last.plus(DAY));
        }
        days
    }
}

async fn all(
    ledger: &DynamoDbLedger,
    partition: TimelinePartition<'_>,
) -> Result<Vec<Arrival>, LedgerError> {
    let mut arrivals = Vec::new();
    let mut after = None;
    loop {
        let page = ledger.arrivals(&partition, false, after).await?;
        arrivals.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return Ok(arrivals);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(&format!("2026-11-22T{text}Z")).unwrap()
    }

    fn arrival(id: &str, received_at: Timestamp) -> Arrival {
        Arrival {
            key: EventKey { source: "stripe".into(), id: id.into() },
            provider: "stripe".into(),
            event_type: "invoice.paid".into(),
            delivery_id: None,
            received_at,
        }
    }

    #[test]
    fn every_day_between_cursor_and_end_is_read() {
        let follower = Follower::new(vec![], at("23:59:59"));
        assert_eq!(follower.days(at("23:59:59.500")).len(), 1);
        let later = |seconds| at("23:59:59").plus(Duration::from_secs(seconds));
        assert_eq!(follower.days(later(1)).len(), 2);
        let days = follower.days(later(3 * 86_400 + 1));
        let names: Vec<String> = days.iter().map(|day| day.to_rfc3339()[8..10].into()).collect();
        assert_eq!(names, ["22", "23", "24", "25", "26"]);
    }

    #[test]
    fn the_cursor_stays_a_minute_behind_the_newest_event_and_never_goes_back() {
        let mut follower = Follower::new(vec![], at("10:00:00"));
        follower.move_on(&[arrival("a", at("10:00:20"))], at("10:00:21"));
        assert_eq!(follower.cursor, at("10:00:00"));
        follower.move_on(&[arrival("b", at("10:05:00"))], at("10:05:01"));
        assert_eq!(follower.cursor, at("10:04:00"));
        // What was given before the cursor need not be remembered.
        assert_eq!(follower.given.len(), 1);
        // A clock that went back takes nothing back.
        follower.move_on(&[], at("09:00:00"));
        assert_eq!(follower.cursor, at("10:04:00"));
    }

    #[test]
    fn quiet_days_are_not_read_for_ever_and_a_fast_clock_skips_nothing() {
        let mut follower = Follower::new(vec![], at("10:00:00"));
        follower.move_on(&[], at("18:00:00"));
        assert_eq!(follower.cursor, at("17:50:00"));
        // The clock here is nine minutes ahead of those that stamp.
        let mut follower = Follower::new(vec![], at("10:00:00"));
        follower.move_on(&[], at("10:09:00"));
        assert_eq!(follower.cursor, at("10:00:00"));
    }
}
