//! When to try again, and where to wait for it.
//!
//! ```text
//! failed attempt   1    2    3     4      5       6       7
//! wait            60  300  900  3600  14400  43200  buried      seconds, + up to 10 %
//!                 │   └──── parked in the ledger ────┘
//!                 └ kept in the queue
//! ```
//!
//! A short wait keeps the message and hides it. A long one is parked: the
//! message is acknowledged and the sweeper sends a new one, at most a minute
//! late. SQS hides a message for 43,200 s at most, and hands out nothing while
//! 120,000 are in flight, hidden ones included: one broken handler would stall
//! every source. At a million events an hour that all fail, waits of 60 s hide
//! 18,000 messages; with those of 300 s it would be 110,000, and with those of
//! 900 s 385,000.

use std::time::Duration;

/// No handler may ask for a longer wait.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The retry table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Waits after the first, second, … failed attempt.
    pub delays: Vec<Duration>,
    /// Up to this much is added to each wait.
    pub jitter_percent: u32,
    /// Longer waits are parked.
    pub park_above: Duration,
}

impl RetryPolicy {
    /// Attempts that one life may have: one more than there are waits.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        u32::try_from(self.delays.len()).unwrap_or(u32::MAX - 1) + 1
    }

    /// How long to wait after the failed attempt number `attempt` (from 1), or
    /// `None` when it was the last. A handler may ask for a longer wait than the
    /// table's, not for a shorter one: an endpoint that answers `Retry-After: 1`
    /// all through an outage would use up every attempt in
    /// seconds. `chance` is from 0 to 1.
    #[must_use]
    pub fn wait(&self, attempt: u32, asked: Duration, chance: f64) -> Option<Duration> {
        let from_table = *self.delays.get(attempt.checked_sub(1)? as usize)?;
        let jitter = f64::from(self.jitter_percent) / 100.0 * chance.clamp(0.0, 1.0);
        // Those that were all asked to come back at one time must not do so.
        Some(from_table.max(asked.min(LONGEST_WAIT)).mul_f64(1.0 + jitter))
    }

    /// Whether a wait is parked in the ledger. Jitter decides nothing: what the
    /// table keeps in the queue stays there with the most of it.
    #[must_use]
    pub fn parks(&self, wait: Duration) -> bool {
        wait > self.park_above.mul_f64(1.0 + f64::from(self.jitter_percent) / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            delays: [60, 300, 900, 3600, 14400, 43200].map(Duration::from_secs).to_vec(),
            jitter_percent: 10,
            park_above: Duration::from_mins(1),
        }
    }

    #[test]
    fn waits_follow_the_table_and_end_after_it() {
        let wait = |attempt| policy().wait(attempt, Duration::ZERO, 0.0);
        let seconds = |attempt| wait(attempt).map(|wait| wait.as_secs());
        let waits: Vec<_> = (1..=7).map(seconds).collect();
        let table = [Some(60), Some(300), Some(900), Some(3600), Some(14400), Some(43200), None];
        assert_eq!(waits, table);
        assert_eq!(policy().max_attempts(), 7);
        assert_eq!(wait(0), None);
    }

    #[test]
    fn jitter_adds_at_most_ten_percent() {
        let wait = |chance| policy().wait(1, Duration::ZERO, chance);
        assert_eq!(wait(1.0), Some(Duration::from_secs(66)));
        let asked = policy().wait(1, Duration::from_mins(2), 1.0);
        assert_eq!(asked, Some(Duration::from_secs(132)));
        assert_eq!(wait(0.5), Some(Duration::from_secs(63)));
        assert_eq!(wait(7.0), Some(Duration::from_secs(66)));
    }

    #[test]
    fn a_handler_may_ask_for_a_longer_wait_within_a_day_and_only_while_attempts_last() {
        let wait = |attempt, asked| policy().wait(attempt, asked, 0.0);
        assert_eq!(wait(1, Duration::from_secs(90)), Some(Duration::from_secs(90)));
        assert_eq!(wait(1, Duration::from_secs(7)), Some(Duration::from_mins(1)));
        assert_eq!(wait(1, Duration::MAX), Some(Duration::from_hours(24)));
        assert_eq!(wait(7, Duration::from_secs(90)), None);
    }

    #[test]
    fn only_waits_above_the_limit_are_parked() {
        let longest_kept = policy().wait(1, Duration::ZERO, 1.0).unwrap();
        assert_eq!(longest_kept, Duration::from_secs(66));
        assert!(!policy().parks(longest_kept));
        assert!(policy().parks(Duration::from_secs(67)));
        assert!(policy().parks(policy().wait(2, Duration::ZERO, 0.0).unwrap()));
    }
}
