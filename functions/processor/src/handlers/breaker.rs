//! A circuit breaker: a target that does not answer is not waited for again and again.
//!
//! ```text
//!            5 in a row without an answer            time is over: one probe
//!  closed ─────────────────────────────▶ open ───────────────────────────────▶ probe
//!    ▲                                    ▲  30 s, 60 s, … 5 min                │ │
//!    │                                    └────────── no answer: twice as long ─┘ │
//!    └──────────────── an answer, whatever it says ───────────────────────────────┘
//! ```
//!
//! What an answer is, each handler says: a gateway that tells after a long wait that
//! nobody answers behind it gives none, nor does a function that ran into its own time
//! limit.
//!
//! Each attempt at a dead target takes the whole time limit, and a batch is over only
//! when its last event is: so a single dead target would hold up all others. While open,
//! attempts are not made, and the event is left for later without counting one
//! ([`HandlerError::NotTried`]). Now and then one is made all the same, where the run
//! insists: no event waits for ever, and none is given up on hearsay.
//!
//! A process knows only what it has seen itself. The first whose breaker is open marks
//! the route for all others ([`crate::lane`]).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use inbox_aws::describe;
use inbox_core::Timestamp;
use inbox_core::handler::{HandlerError, Run};

use super::Clock;

/// So many attempts in a row without an answer open it.
const OPENS_AFTER: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// The breaker of one route's target.
pub(super) struct Guard {
    /// The target, as reasons and logs name it.
    target: String,
    breaker: Mutex<Breaker>,
    clock: Clock,
}

impl Guard {
    pub(super) fn new(target: impl Into<String>, clock: Clock) -> Self {
        Self { target: target.into(), breaker: Mutex::default(), clock }
    }

    /// Whether an attempt may be made now.
    ///
    /// # Errors
    ///
    /// [`HandlerError::NotTried`]: it may not.
    pub(super) fn admit(&self, run: &Run) -> Result<Admission, HandlerError> {
        let admitted = self.breaker().admit((self.clock)(), run.insists);
        admitted.map_err(|NotTried { silences, wait }| {
            let target = &self.target;
            let reason = format!("not tried: {target} has not answered {silences} times in a row");
            HandlerError::NotTried { wait, reason: reason.into() }
        })
    }

    /// An answer came, whatever it said.
    pub(super) fn answered(&self, run: &Run) {
        if self.breaker().answered() {
            let (route, target) = (&run.route_id, &self.target);
            tracing::info!(route, target, "the target answers again");
        }
    }

    /// No answer came, for this reason.
    pub(super) fn silent(&self, run: &Run, admission: Admission, reason: &str) {
        if let Some(wait) = self.breaker().silent(admission, (self.clock)()) {
            let (route, target, seconds) = (&run.route_id, &self.target, wait.as_secs());
            tracing::warn!(
                route,
                target,
                reason,
                seconds,
                "the target does not answer: attempts are held back"
            );
        }
    }

    /// A call to AWS has come to this. What AWS refuses is an answer.
    pub(super) fn hear<T, E: ProvideErrorMetadata>(
        &self,
        run: &Run,
        admission: Admission,
        called: &Result<T, SdkError<E>>,
    ) {
        match called {
            Err(error) if is_silence(error) => {
                self.silent(run, admission, &describe(&self.target, error));
            }
            _ => self.answered(run),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody answered. Credentials that are not to be had are no fault of the target;
/// a connection that was closed before an answer is, and the SDK has a kind of error for it
/// that is transient.
fn is_silence<E>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => {
            failure.is_timeout() || failure.is_io() || failure.as_other().is_some()
        }
        _ => false,
    }
}

/// What one process knows of a target.
#[derive(Debug, Default)]
struct Breaker {
    /// Attempts in a row without an answer.
    silences: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    until: Timestamp,
    wait: Duration,
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Nothing speaks against it.
    Closed,
    /// To see whether the target is back.
    Probe,
    /// The run insists.
    Insisted,
}

/// An attempt that is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NotTried {
    /// Attempts in a row without an answer.
    silences: u32,
    /// How long until the next probe.
    wait: Duration,
}

impl Breaker {
    /// Whether an attempt may be made now.
    ///
    /// # Errors
    ///
    /// It may not.
    fn admit(&mut self, now: Timestamp, insists: bool) -> Result<Admission, NotTried> {
        let Some(open) = &mut self.open else { return Ok(Admission::Closed) };
        let left = open.until.since(now);
        // A clock that was set back must not keep it open for longer.
        if left.is_zero() || left > open.wait {
            // The next probe comes after another wait, even if this one is dropped
            // with its invocation and nobody ever hears of it.
            open.until = now.plus(open.wait);
            return Ok(Admission::Probe);
        }
        if insists {
            return Ok(Admission::Insisted);
        }
        Err(NotTried { silences: self.silences, wait: left })
    }

    /// An answer came. Whether that closes it.
    fn answered(&mut self) -> bool {
        self.silences = 0;
        self.open.take().is_some()
    }

    /// No answer came. How long it is open from now, if that opens it.
    fn silent(&mut self, admission: Admission, now: Timestamp) -> Option<Duration> {
        self.silences = self.silences.saturating_add(1);
        match &mut self.open {
            None if self.silences >= OPENS_AFTER => {
                self.open = Some(Open { until: now.plus(FIRST_WAIT), wait: FIRST_WAIT });
                Some(FIRST_WAIT)
            }
            Some(open) if admission == Admission::Probe => {
                open.wait = (open.wait * 2).min(LONGEST_WAIT);
                open.until = now.plus(open.wait);
                None
            }
            // Attempts that were under way when it opened, and those that were insisted on.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds).unwrap()
    }

    fn refused(silences: u32, seconds: u64) -> Result<Admission, NotTried> {
        Err(NotTried { silences, wait: Duration::from_secs(seconds) })
    }

    /// Open since second 0.
    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(breaker.silent(Admission::Closed, at(0)), None);
            assert_eq!(breaker.admit(at(0), false), Ok(Admission::Closed));
        }
        assert_eq!(breaker.silent(Admission::Closed, at(0)), Some(Duration::from_secs(30)));
        breaker
    }

    #[test]
    fn five_in_a_row_without_an_answer_open_it_for_half_a_minute() {
        let mut breaker = open();
        assert_eq!(breaker.admit(at(0), false), refused(5, 30));
        assert_eq!(breaker.admit(at(29), false), refused(5, 1));
        assert_eq!(breaker.admit(at(30), false), Ok(Admission::Probe));
    }

    #[test]
    fn an_answer_in_between_starts_the_count_anew() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            for _ in 0..4 {
                assert_eq!(breaker.silent(Admission::Closed, at(0)), None);
            }
            assert!(!breaker.answered());
        }
        assert_eq!(breaker.admit(at(0), false), Ok(Admission::Closed));
    }

    #[test]
    fn only_one_probe_goes_through_at_a_time() {
        let mut breaker = open();
        assert_eq!(breaker.admit(at(30), false), Ok(Admission::Probe));
        assert_eq!(breaker.admit(at(30), false), refused(5, 30));
        // The probe was dropped and nobody heard of it: another goes after the wait.
        assert_eq!(breaker.admit(at(60), false), Ok(Admission::Probe));
    }

    #[test]
    fn the_wait_doubles_up_to_five_minutes_while_probes_fail() {
        let mut breaker = open();
        let mut now = 30;
        for (silences, wait) in (6..).zip([60, 120, 240, 300, 300]) {
            assert_eq!(breaker.admit(at(now), false), Ok(Admission::Probe));
            assert_eq!(breaker.silent(Admission::Probe, at(now)), None);
            assert_eq!(breaker.admit(at(now), false), refused(silences, wait));
            now += i64::try_from(wait).unwrap();
        }
    }

    #[test]
    fn an_answer_closes_it_and_the_next_outage_starts_small() {
        let mut breaker = open();
        assert_eq!(breaker.admit(at(30), false), Ok(Admission::Probe));
        assert_eq!(breaker.silent(Admission::Probe, at(30)), None);
        assert!(breaker.answered());
        assert!(!breaker.answered());
        assert_eq!(breaker.admit(at(31), false), Ok(Admission::Closed));
        assert_eq!(open().admit(at(0), false), refused(5, 30));
    }

    #[test]
    fn what_is_insisted_on_is_tried_all_the_same_and_changes_nothing() {
        let mut breaker = open();
        assert_eq!(breaker.admit(at(1), true), Ok(Admission::Insisted));
        assert_eq!(breaker.silent(Admission::Insisted, at(2)), None);
        assert_eq!(breaker.admit(at(2), false), refused(6, 28));
    }

    #[test]
    fn attempts_that_were_under_way_when_it_opened_do_not_lengthen_the_wait() {
        let mut breaker = open();
        assert_eq!(breaker.silent(Admission::Closed, at(20)), None);
        assert_eq!(breaker.admit(at(30), false), Ok(Admission::Probe));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_it_open() {
        let mut breaker = open();
        assert_eq!(breaker.admit(at(-3600), false), Ok(Admission::Probe));
    }
}
