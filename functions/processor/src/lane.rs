//! Which routes are slow, and so run in the lane.
//!
//! ```text
//! main queue ─▶ at most 50 at once ─┬ fast routes run
//!                                   └ slow routes are left ─▶ lane ─▶ at most 10 at once
//! ```
//!
//! A batch is over when its last event is, and an invocation holds one of a limited
//! number of places all that time. Two events a second to an endpoint that answers after
//! 25 s fill fifty. So a slow route is *marked*, and what is left of an event for marked
//! routes alone goes to a second queue, which the same function reads with a limit of its
//! own.
//!
//! - **Marked** is a route of whose last 20 runs in one process more than half took
//!   longer than 2 s, or whose breaker is open in one. Of fewer than 20 runs the slow ones
//!   must have taken 10 s together, which eleven of just over 2 s have by far: one that is
//!   slow because its target has just started marks nothing, and one that hangs is not
//!   waited for eleven times, nor to its end. The process says so to all
//!   ([`inbox_core::marks`]), and again each minute in which it still sees it.
//! - **Unmarked** it is by a fast run ten minutes after the last time that anybody saw it
//!   slow. A route that nobody runs keeps its mark.
//! - **What it costs**: each process reads the marks again with the first batch for which
//!   its copy is 15 s old, beside the batch's other calls, so that nothing waits for it:
//!   half a read unit, at fifty busy processes about a dollar a month. Nothing is written
//!   while nothing is slow.
//!
//! Where the marks cannot be read, the last copy goes on being used. At worst a slow
//! route runs in the main queue, or a fast one in the lane: both are correct, and slow.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::marks::MarkedRoutes;

/// Runs of a route that a process remembers.
const RUNS_KEPT: usize = 20;

/// How fast is fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A run that takes longer is slow.
    pub slow_above: Duration,
    /// Slow runs that took so long together say enough of a route.
    pub enough: Duration,
    /// When a process reads the marks again.
    pub read_every: Duration,
    /// How long after the last slow run a fast one unmarks a route. A mark is renewed
    /// after a tenth of it.
    pub unmarked_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            slow_above: Duration::from_secs(2),
            enough: Duration::from_secs(10),
            read_every: Duration::from_secs(15),
            unmarked_after: Duration::from_mins(10),
        }
    }
}

/// What one process knows of slow routes.
#[derive(Debug, Default)]
pub struct Lane {
    /// None where there is no second queue: then nothing is left for later.
    pace: Option<Pace>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    read_at: Option<Timestamp>,
    marks: MarkedRoutes,
    /// How long the last runs took, the last one at the end.
    runs: BTreeMap<String, VecDeque<Duration>>,
}

/// A change of the marks that others are to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The route was seen to be slow.
    Mark {
        /// When.
        slow_at: Timestamp,
        /// Whether it was not marked before.
        is_new: bool,
    },
    /// It is fast again.
    Unmark {
        /// When anybody saw it slow for the last time.
        slow_at: Timestamp,
    },
}

impl Lane {
    /// With a second queue.
    #[must_use]
    pub fn of(pace: Pace) -> Self {
        Self { pace: Some(pace), known: Mutex::default() }
    }

    /// Without one.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.pace.is_some()
    }

    /// Whether the marks are to be read again. Whoever is told so reads them: it is said
    /// once.
    pub(crate) fn asks_for_marks(&self, now: Timestamp) -> bool {
        let Some(pace) = self.pace else { return false };
        let mut known = self.known();
        let is_new = |read_at: Timestamp| read_at <= now && now.since(read_at) < pace.read_every;
        if known.read_at.is_some_and(is_new) {
            return false;
        }
        known.read_at = Some(now);
        true
    }

    /// What the marks are.
    pub(crate) fn learn(&self, marks: MarkedRoutes) {
        self.known().marks = marks;
    }

    /// Whether a route is to run in the lane alone.
    pub(crate) fn is_marked(&self, route: &str) -> bool {
        self.known().marks.contains_key(route)
    }

    /// How long a run may take before it is to be said that it is [`Lane::still_runs`].
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.pace.map(|pace| pace.enough)
    }

    /// A run of this route has taken so long and is not over.
    pub(crate) fn still_runs(
        &self,
        route: &str,
        for_now: Duration,
        now: Timestamp,
    ) -> Option<Change> {
        let pace = self.pace?;
        let mut known = self.known();
        let mut runs = known.runs.get(route).cloned().unwrap_or_default();
        remember(&mut runs, for_now);
        if is_slow(&runs, pace) { known.mark(pace, route, now) } else { None }
    }

    /// A run of this route took so long.
    pub(crate) fn ran(&self, route: &str, took: Duration, now: Timestamp) -> Option<Change> {
        let pace = self.pace?;
        let mut known = self.known();
        let runs = known.runs.entry(route.to_owned()).or_default();
        remember(runs, took);
        if took > pace.slow_above {
            return if is_slow(runs, pace) { known.mark(pace, route, now) } else { None };
        }
        let slow_at = *known.marks.get(route)?;
        if now.since(slow_at) < pace.unmarked_after {
            return None;
        }
        known.marks.remove(route);
        Some(Change::Unmark { slow_at })
    }

    /// A run was not even tried: the route's breaker is open.
    pub(crate) fn was_not_tried(&self, route: &str, now: Timestamp) -> Option<Change> {
        let pace = self.pace?;
        self.known().mark(pace, route, now)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember(runs: &mut VecDeque<Duration>, took: Duration) {
    runs.push_back(took);
    if runs.len() > RUNS_KEPT {
        runs.pop_front();
    }
}

/// Whether these runs make a route a slow one.
fn is_slow(runs: &VecDeque<Duration>, pace: Pace) -> bool {
    let slow: Vec<Duration> = runs.iter().copied().filter(|it| *it > pace.slow_above).collect();
    2 * slow.len() > runs.len() && slow.iter().sum::<Duration>() >= pace.enough
}

impl Known {
    /// Marks a route here, and says whether the others are to hear of it.
    fn mark(&mut self, pace: Pace, route: &str, now: Timestamp) -> Option<Change> {
        let renewed_after = pace.unmarked_after / 10;
        if self.marks.get(route).is_some_and(|slow_at| now.since(*slow_at) < renewed_after) {
            return None;
        }
        let is_new = self.marks.insert(route.to_owned(), now).is_none();
        Some(Change::Mark { slow_at: now, is_new })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(2001);
    const FAST: Duration = Duration::from_secs(2);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds).unwrap()
    }

    fn marked(seconds: i64, is_new: bool) -> Change {
        Change::Mark { slow_at: at(seconds), is_new }
    }

    /// Slow since second 0: each of its runs is, by a little.
    fn slow() -> Lane {
        let lane = Lane::of(Pace::default());
        for _ in 0..4 {
            assert_eq!(lane.ran("crm", SLOW, at(0)), None);
        }
        assert!(!lane.is_marked("crm"));
        assert_eq!(lane.ran("crm", SLOW, at(0)), Some(marked(0, true)));
        lane
    }

    #[test]
    fn a_route_is_marked_when_more_than_half_of_its_last_twenty_runs_were_slow() {
        let lane = slow();
        assert!(lane.is_marked("crm"));
        assert!(!lane.is_marked("billing"));

        let even = Lane::of(Pace::default());
        for _ in 0..40 {
            assert_eq!(even.ran("crm", FAST, at(0)), None);
            assert_eq!(even.ran("crm", SLOW, at(0)), None);
        }
        assert!(!even.is_marked("crm"), "half is not more than half");
        assert_eq!(even.ran("crm", SLOW, at(0)), Some(marked(0, true)), "eleven of twenty");
    }

    #[test]
    fn one_run_that_hangs_marks_before_it_is_over_and_one_that_starts_slowly_does_not() {
        let lane = Lane::of(Pace::default());
        assert_eq!(lane.ran("starts", Duration::from_secs(9), at(0)), None);
        assert_eq!(lane.ran("starts", FAST, at(0)), None);
        let patience = lane.patience().unwrap();
        assert_eq!(lane.still_runs("hangs", patience, at(10)), Some(marked(10, true)));
        assert_eq!(lane.ran("hangs", Duration::from_secs(25), at(25)), None);
        // One of many that hangs once says little of its route.
        for _ in 0..19 {
            assert_eq!(lane.ran("busy", FAST, at(0)), None);
        }
        assert_eq!(lane.still_runs("busy", patience, at(10)), None);
        assert_eq!(lane.ran("busy", Duration::from_secs(25), at(25)), None);
    }

    #[test]
    fn a_mark_is_renewed_once_a_minute_while_the_route_is_slow() {
        let lane = slow();
        assert_eq!(lane.ran("crm", SLOW, at(59)), None);
        assert_eq!(lane.ran("crm", SLOW, at(60)), Some(marked(60, false)));
        assert_eq!(lane.ran("crm", SLOW, at(119)), None);
    }

    #[test]
    fn an_open_breaker_marks_at_once() {
        let lane = Lane::of(Pace::default());
        assert_eq!(lane.was_not_tried("crm", at(0)), Some(marked(0, true)));
        assert_eq!(lane.was_not_tried("crm", at(59)), None);
        assert!(lane.is_marked("crm"));
    }

    #[test]
    fn a_fast_run_ten_minutes_after_the_last_slow_one_unmarks() {
        let lane = slow();
        assert_eq!(lane.ran("crm", FAST, at(599)), None);
        assert!(lane.is_marked("crm"));
        assert_eq!(lane.ran("crm", FAST, at(600)), Some(Change::Unmark { slow_at: at(0) }));
        assert!(!lane.is_marked("crm"));
        assert_eq!(lane.ran("crm", FAST, at(601)), None);
    }

    #[test]
    fn a_route_that_nobody_runs_keeps_its_mark_and_one_slow_run_in_between_counts_anew() {
        let lane = slow();
        assert_eq!(lane.ran("crm", SLOW, at(86_400)), Some(marked(86_400, false)));
        assert_eq!(lane.ran("crm", FAST, at(86_400 + 599)), None);
        assert!(lane.is_marked("crm"));
    }

    #[test]
    fn the_marks_are_asked_for_once_in_fifteen_seconds() {
        let lane = Lane::of(Pace::default());
        assert!(lane.asks_for_marks(at(0)));
        assert!(!lane.asks_for_marks(at(0)));
        assert!(!lane.asks_for_marks(at(14)));
        assert!(lane.asks_for_marks(at(15)));
        // A clock that was set back does not keep the old ones for longer.
        assert!(lane.asks_for_marks(at(-3600)));
    }

    #[test]
    fn what_others_say_is_taken_for_known() {
        let lane = Lane::of(Pace::default());
        lane.learn(BTreeMap::from([("crm".to_owned(), at(0))]));
        assert!(lane.is_marked("crm"));
        assert_eq!(lane.ran("crm", FAST, at(600)), Some(Change::Unmark { slow_at: at(0) }));
        lane.learn(BTreeMap::new());
        assert!(!lane.is_marked("crm"));
    }

    #[test]
    fn without_a_second_queue_nothing_is_asked_or_marked() {
        let lane = Lane::none();
        assert!(!lane.asks_for_marks(at(0)));
        assert_eq!(lane.was_not_tried("crm", at(0)), None);
        for _ in 0..20 {
            assert_eq!(lane.ran("crm", SLOW, at(0)), None);
        }
        assert!(!lane.is_marked("crm"));
    }
}
