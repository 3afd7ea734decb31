//! How long an event lasts: one rule, wherever its payload lies.
//!
//! ```text
//! due_at ── 16 days ──▶ the record's expiry ── 3 days ──▶ its payload's
//! ```
//!
//! The rule holds while an event is unfinished, and when it is buried: a record outlives
//! its dead letter, which is kept for 14 days, and a payload outlives its record, which
//! time to live may take two days to delete.
//!
//! The claim leaves room for the whole table of retries, which a source's retention must
//! have ([`least_retention`]), so that an attempt moves neither. A write that would break
//! the rule nevertheless moves the record's expiry; the payload is renewed before it.
//! Payloads in the item expire with it; those in the bucket by the bucket's lifecycle,
//! which gives each the same time from its last writing.

use std::time::Duration;

use super::Record;
use crate::Timestamp;
use crate::stack::stack;

const DAY: Duration = Duration::from_hours(24);

/// How much longer than until its next due time, or its burial, a record lasts.
#[must_use]
pub fn record_outlives_due() -> Duration {
    DAY * stack().defaults.record_outlives_due_days
}

/// How much longer than its record a payload lasts.
#[must_use]
pub fn payload_outlives_record() -> Duration {
    DAY * stack().defaults.payload_outlives_record_days
}

/// A record's expiry once somebody is to look at it at `due_at`: as it is, unless that
/// breaks the rule. In whole seconds, as time to live wants them.
#[must_use]
pub fn lasting(expires_at: Timestamp, due_at: Timestamp) -> Timestamp {
    expires_at.max(due_at.plus(record_outlives_due()).ceil_to_seconds())
}

/// The least time for which events must be kept where failed attempts are followed by
/// these waits, in whole days.
#[must_use]
pub fn least_retention(delays: &[Duration], jitter_percent: u32) -> Duration {
    let waits: Duration = delays.iter().sum();
    let longest = waits.mul_f64(1.0 + f64::from(jitter_percent) / 100.0);
    let days = longest.as_secs().div_ceil(DAY.as_secs());
    record_outlives_due() + Duration::from_hours(24 * days)
}

impl Record {
    /// Whether the record lasts as long as it must while it is unfinished.
    #[must_use]
    pub fn lasts(&self) -> bool {
        let due_at = self.open.map(super::Open::due_at);
        due_at.is_none_or(|due_at| lasting(self.expires_at, due_at) == self.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_moves_only_where_the_rule_asks_for_it_and_never_back() {
        let due_at = Timestamp::from_unix_ms(1_764_000_000_123).unwrap();
        let least = Timestamp::from_unix_seconds(1_764_000_001 + 16 * 86_400).unwrap();
        assert_eq!(lasting(due_at, due_at), least);
        assert_eq!(lasting(least, due_at), least);
        let later = least.plus(DAY);
        assert_eq!(lasting(later, due_at), later);
    }

    #[test]
    fn the_least_retention_has_room_for_the_whole_table_with_its_jitter() {
        let least = |delays: &[u64], jitter| {
            let delays: Vec<Duration> = delays.iter().copied().map(Duration::from_secs).collect();
            least_retention(&delays, jitter).as_secs() / 86_400
        };
        assert_eq!(least(&[60, 300, 900, 3600, 14_400, 43_200], 10), 17);
        assert_eq!(least(&[], 10), 16);
        assert_eq!(least(&[86_400; 10], 0), 26);
        assert_eq!(least(&[86_400; 10], 10), 27);
    }

    #[test]
    fn what_is_kept_by_default_has_room_for_the_default_table() {
        let defaults = &stack().defaults;
        let delays = defaults.retry_delays_seconds.iter();
        let delays: Vec<Duration> = delays.map(|it| Duration::from_secs((*it).into())).collect();
        let least = least_retention(&delays, defaults.retry_jitter_percent);
        assert!(least <= DAY * defaults.retention_days, "{least:?}");
        // A letter is sent within two days of when its event was due, or its burial
        // moves the expiry.
        let letter = Duration::from_secs(stack().dead_letter_queue.retention_seconds.into());
        assert!(record_outlives_due() >= letter + 2 * DAY);
    }
}
