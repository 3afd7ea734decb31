//! Deferring: a route is left for later without counting an attempt.
//!
//! ```text
//! main queue ─ begin ─ the route is marked ─▶ defer ─ send, at once ─┐
//!                                                                    ▼
//! lane ────── begin ─┬ run: done, or failed: an attempt ◀───────── message
//!                    └ its breaker is open ─▶ defer ─ send, later ───┘ 15 s, 30 s, … 15 min
//! ```
//!
//! `begin` counts an attempt before anything runs, and `defer` takes it back for what
//! was not run: a route keeps the attempts that it had, and of those also the ones that
//! ended with their process. Completions and failures of the routes that did run are
//! recorded as ever.
//!
//! - **First the write, then the message.** Whoever dies between the two leaves the
//!   message that was being handled in the queue, and `due_at` in the index. The other
//!   way round, the new message could come while this run still holds the lease, be
//!   dropped as busy, and nothing would be left but the sweeper.
//! - **It never hides a message**: each time that one is hidden and comes back is a
//!   receive, after some of which SQS moves it to the dead letters.
//! - **It starves nobody and loops for ever nowhere.** A route is deferred at most
//!   [`DEFERRALS_MAX`] times in a row. Then it runs, wherever its message is and whatever
//!   its breaker says; so each life ends by its attempts. From within the lane each
//!   deferral waits, so no message goes round in a hot loop.
//! - **Only an attempt ends `dead`.** A deferral counts none.
//! - **It is no outcome.** State, errors, history and the sweeper's count stay. So the
//!   sweeper waits longer each time, and a lane that has fallen behind is not filled with
//!   a message for every quarter of an hour.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rules::{capped, has_landed, is_held};
use super::{Open, Record, RouteFailure, lasting, record::settled_attempts};
use crate::Timestamp;

/// So often in a row a route may be left for later, before it runs all the same. With
/// the delays below that is two and a half hours within the lane; between two looks of the sweeper,
/// which come an hour apart by then, 15 h.
pub const DEFERRALS_MAX: u32 = 16;
/// The wait of the first deferral from within the lane; each one after it waits twice
/// as long as the one before.
pub const FIRST_DELAY: Duration = Duration::from_secs(15);
/// SQS delays a message for no longer:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// A run that leaves routes for later, and in which none has failed.
#[derive(Clone, Debug)]
pub struct Deferral<'a> {
    /// What `begin` returned.
    pub record: &'a Record,
    /// Every route that has failed or was left for later in this life and has not
    /// completed: those that are left now by [`RouteFailure::deferred`].
    pub failures: &'a BTreeMap<String, RouteFailure>,
    /// When the sweeper sends a message, should the one that is sent now be lost.
    pub due_at: Timestamp,
}

impl RouteFailure {
    /// The route is left for later. `before` is what was known of it, `attempts` those
    /// that it has had, without the one that is not made now.
    #[must_use]
    pub fn deferred(before: Option<&Self>, attempts: u32, next_at: Timestamp) -> Self {
        Self {
            error: before.map(|before| before.error.clone()).unwrap_or_default(),
            quote: before.and_then(|before| before.quote.clone()),
            attempts,
            next_at: Some(next_at),
            deferrals: deferrals(before).saturating_add(1),
        }
    }
}

/// Whether a route may be left for later once more; `most` is [`DEFERRALS_MAX`].
#[must_use]
pub fn may_defer(before: Option<&RouteFailure>, most: u32) -> bool {
    deferrals(before) < most
}

/// How long a route waits that is left for later from within the lane.
#[must_use]
pub fn deferral_delay(before: Option<&RouteFailure>) -> Duration {
    // The first brought it into the lane.
    let within_lane = deferrals(before).saturating_sub(1);
    let factor = 1_u32.checked_shl(within_lane).unwrap_or(u32::MAX);
    FIRST_DELAY.saturating_mul(factor).min(LONGEST_DELAY)
}

fn deferrals(before: Option<&RouteFailure>) -> u32 {
    before.map_or(0, |before| before.deferrals)
}

/// Leaves routes for later; `false` when it is not this run's to record. A repeat of one
/// that landed gets the same answer.
#[must_use]
pub fn apply_defer(existing: Option<&mut Record>, deferral: &Deferral<'_>) -> bool {
    let mine = deferral.record;
    let Some(record) = existing else { return false };
    if !is_held(record, mine) {
        return has_landed(record, mine, deferral.failures);
    }
    record.failures = capped(deferral.failures);
    record.attempts = settled_attempts(deferral.failures);
    record.next_at = deferral.failures.values().filter_map(|failure| failure.next_at).min();
    record.leased_until = None;
    record.open = Some(Open::Pending { due_at: deferral.due_at });
    record.expires_at = lasting(record.expires_at, deferral.due_at);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(deferrals: u32) -> RouteFailure {
        let (error, quote) = ("503".to_owned(), Some("busy".to_owned()));
        RouteFailure { error, quote, attempts: 3, next_at: None, deferrals }
    }

    #[test]
    fn within_the_lane_waits_double_from_15_seconds_to_15_minutes() {
        let seconds = |deferrals| deferral_delay(Some(&after(deferrals))).as_secs();
        let waits = [0, 1, 2, 3, 4, 5, 6, 7, 8, 32, 33, 99].map(seconds);
        assert_eq!(waits, [15, 15, 30, 60, 120, 240, 480, 900, 900, 900, 900, 900]);
        assert_eq!(deferral_delay(None), FIRST_DELAY);
    }

    #[test]
    fn a_route_is_left_for_later_so_often_and_then_runs() {
        assert!(may_defer(None, DEFERRALS_MAX));
        assert!(may_defer(Some(&after(DEFERRALS_MAX - 1)), DEFERRALS_MAX));
        assert!(!may_defer(Some(&after(DEFERRALS_MAX)), DEFERRALS_MAX));
        let within_lane = (1..DEFERRALS_MAX).map(|n| deferral_delay(Some(&after(n))));
        assert_eq!(within_lane.sum::<Duration>(), Duration::from_secs(9045));
    }

    #[test]
    fn what_is_left_for_later_keeps_its_attempts_and_its_last_error() {
        let next_at = Timestamp::from_unix_seconds(1_764_000_000).unwrap();
        let once_more = RouteFailure::deferred(Some(&after(1)), 3, next_at);
        assert_eq!(once_more, RouteFailure { next_at: Some(next_at), ..after(2) });
        let never_run = RouteFailure::deferred(None, 0, next_at);
        let empty = RouteFailure {
            error: String::new(),
            quote: None,
            attempts: 0,
            next_at: Some(next_at),
            deferrals: 1,
        };
        assert_eq!(never_run, empty);
    }
}
