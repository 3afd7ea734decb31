//! The timeline, the newest arrival first: day by day, and within a day all
//! shards of all sources merged, each read no further than is needed.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use inbox_aws::{Arrival, Cursor, DynamoDbLedger, TimelinePartition};
use inbox_core::Timestamp;
use inbox_core::ledger::LedgerError;
use inbox_core::stack::stack;

use crate::console::Progress;

/// Queries under way at once.
const AT_ONCE: usize = 32;
const DAY: Duration = Duration::from_hours(24);

/// A walk back through the timeline.
pub(crate) struct Walk {
    sources: Vec<String>,
    since: Timestamp,
    until: Timestamp,
    /// A moment of the day that `lanes` are of; `None` when the walk is over.
    day: Option<Timestamp>,
    lanes: Vec<Lane>,
}

/// One shard of one source in one day.
struct Lane {
    source: String,
    shard: u32,
    rows: VecDeque<Arrival>,
    next: Next,
}

enum Next {
    Start,
    After(Cursor),
    End,
}

impl Walk {
    pub(crate) fn new(sources: Vec<String>, since: Timestamp, until: Timestamp) -> Self {
        let mut walk = Self { sources, since, until, day: Some(until), lanes: Vec::new() };
        walk.lanes = walk.fresh_lanes();
        walk
    }

    fn fresh_lanes(&self) -> Vec<Lane> {
        let shards = stack().table.timeline_index.shards;
        let lane = |source: &String, shard| Lane {
            source: source.clone(),
            shard,
            rows: VecDeque::new(),
            next: Next::Start,
        };
        let lanes = self.sources.iter().flat_map(|source| (0..shards).map(move |n| (source, n)));
        lanes.map(|(source, shard)| lane(source, shard)).collect()
    }

    pub(crate) async fn next(
        &mut self,
        ledger: &DynamoDbLedger,
        progress: &Progress,
    ) -> Result<Option<Arrival>, LedgerError> {
        while let Some(day) = self.day {
            let days = |from, to| u64::try_from(day_of(from) - day_of(to)).unwrap_or(0) + 1;
            progress.set(days(self.until, day), days(self.until, self.since));
            self.fill(ledger, day).await?;
            let place =
                |lane: &Lane| lane.rows.front().map(|row| (row.received_at, row.key.clone()));
            let newest = self.lanes.iter_mut().filter(|lane| !lane.rows.is_empty());
            if let Some(lane) = newest.max_by_key(|lane| place(lane)) {
                return Ok(lane.rows.pop_front());
            }
            // A day earlier, unless that is over before it begins.
            let earlier = day.minus(DAY);
            let is_over = day_of(day) <= day_of(self.since) || earlier == day;
            self.day = (!is_over).then_some(earlier);
            self.lanes = self.fresh_lanes();
        }
        Ok(None)
    }

    /// Every lane has a row, or has come to its end.
    async fn fill(&mut self, ledger: &DynamoDbLedger, day: Timestamp) -> Result<(), LedgerError> {
        let (since, until) = (self.since, self.until);
        let empty = self.lanes.iter_mut().filter(|lane| lane.rows.is_empty());
        stream::iter(empty.filter(|lane| !matches!(lane.next, Next::End)))
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |lane| lane.read(ledger, day, since, until))
            .await
    }
}

fn day_of(moment: Timestamp) -> i64 {
    moment.unix_seconds() / 86_400
}

impl Lane {
    async fn read(
        &mut self,
        ledger: &DynamoDbLedger,
        within_day: Timestamp,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<(), LedgerError> {
        let (source, shard) = (self.source.as_str(), self.shard);
        let partition = TimelinePartition { source, within_day, shard, since, until };
        while self.rows.is_empty() {
            let after = match std::mem::replace(&mut self.next, Next::End) {
                Next::Start => None,
                Next::After(cursor) => Some(cursor),
                Next::End => return Ok(()),
            };
            let page = ledger.arrivals(&partition, true, after).await?;
            self.rows = page.rows.into();
            self.next = page.next.map_or(Next::End, Next::After);
        }
        Ok(())
    }
}
