//! `drill`: fails on purpose, so that a team can rehearse retries, dead letters and
//! poison messages before it meets them. No route leads here by default.
//!
//! ```json
//! {"id":"rehearsal","match":"stripe:charge.failed","handler":"drill",
//!  "with":{"outcome":"retry","attempts":2,"after_seconds":5}}
//! ```
//!
//! The first `attempts` attempts of each life end as told, all of them if it is left
//! out; later ones succeed. It keeps nothing and decides by the attempt's number
//! alone, so a rehearsal goes the same way on every machine and after every crash.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_core::event::Event;
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use serde::Deserialize;
use serde_json::Value;

use super::Resources;

/// What `exit` leaves the process with: `EX_SOFTWARE` of sysexits, which neither a
/// panic nor a signal gives.
const EXIT_CODE: i32 = 70;

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// A fault that may pass.
    Retry,
    /// A fault that will not: the route is given up at once.
    Permanent,
    /// A bug.
    Panic,
    /// No end: the handler's timeout.
    Hang,
    /// No end, and no await either: the handler's timeout, and a thread that the
    /// process does not get back.
    Block,
    /// The end of the whole process, neighbours in the batch included.
    Exit,
    /// The same for want of memory.
    Allocate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drill {
    outcome: Outcome,
    attempts: Option<u32>,
    after_seconds: Option<u32>,
    megabytes: Option<usize>,
}

/// Makes the handler for a route.
pub(super) fn build(_: &Resources, with: &Value) -> Result<Arc<dyn Handler>, Vec<String>> {
    let drill = parse(with).map_err(|problem| vec![problem])?;
    Ok(Arc::new(drill))
}

fn parse(with: &Value) -> Result<Drill, String> {
    // A missing `with` is an object without options, whose error says what to add.
    let with = if with.is_null() { Value::Object(serde_json::Map::new()) } else { with.clone() };
    let drill: Drill = serde_json::from_value(with).map_err(|error| error.to_string())?;
    if drill.attempts == Some(0) {
        return Err("`attempts` must be at least 1; leave it out to fail always".to_owned());
    }
    if drill.after_seconds.is_some() && drill.outcome != Outcome::Retry {
        return Err("`after_seconds` goes only with the outcome `retry`".to_owned());
    }
    // Without a bound it would take a developer's whole machine along.
    if drill.megabytes.is_some() != (drill.outcome == Outcome::Allocate) {
        return Err("`megabytes`, more than the function has, goes with the outcome `allocate`, \
                    and only with it"
            .to_owned());
    }
    Ok(drill)
}

impl Handler for Drill {
    fn handle<'a>(
        &'a self,
        _event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            if self.attempts.is_some_and(|attempts| run.attempt > attempts) {
                return Ok(Handled::Done);
            }
            let reason = format!("drill: attempt {} fails on purpose", run.attempt);
            match self.outcome {
                Outcome::Retry => Err(HandlerError::Retry {
                    after: self.after_seconds.map(|seconds| Duration::from_secs(seconds.into())),
                    reason: reason.into(),
                }),
                Outcome::Permanent => Err(HandlerError::permanent(reason)),
                Outcome::Panic => panic!("{reason}"),
                Outcome::Hang => pending().await,
                Outcome::Block => loop {
                    std::thread::sleep(Duration::from_hours(1));
                },
                Outcome::Exit => std::process::exit(EXIT_CODE),
                Outcome::Allocate => {
                    let megabytes = self.megabytes.unwrap_or_default();
                    // Written to: memory that nobody touches costs nothing.
                    let held: Vec<Vec<u8>> = (0..megabytes).map(|_| vec![1; 1 << 20]).collect();
                    Err(HandlerError::retry(format!("{reason}, with {} MB to spare", held.len())))
                }
            }
        }
        .boxed()
    }

    /// It does not look at the event.
    fn copied_bytes(&self, _envelope_bytes: usize) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use serde_json::json;

    use super::super::testing::{event, run};
    use super::*;

    /// Tells the child of `exit_ends_the_process` from a run of all tests.
    const IS_CHILD: &str = "DRILL_TEST_IS_CHILD";

    /// `None` when it does not end.
    fn end(with: &Value, attempt: u32) -> Option<Result<Handled, HandlerError>> {
        let drill = parse(with).unwrap();
        drill.handle(&event("{}"), &run(attempt)).now_or_never()
    }

    #[test]
    fn the_first_attempts_fail_and_later_ones_succeed() {
        let with = json!({"outcome": "retry", "attempts": 2, "after_seconds": 5});
        let failed = |attempt| {
            Some(Err(HandlerError::Retry {
                after: Some(Duration::from_secs(5)),
                reason: format!("drill: attempt {attempt} fails on purpose").into(),
            }))
        };
        assert_eq!(end(&with, 1), failed(1));
        assert_eq!(end(&with, 2), failed(2));
        assert_eq!(end(&with, 3), Some(Ok(Handled::Done)));
    }

    #[test]
    fn without_attempts_every_attempt_fails() {
        assert_eq!(
            end(&json!({"outcome": "retry"}), u32::MAX),
            Some(Err(HandlerError::retry("drill: attempt 4294967295 fails on purpose")))
        );
    }

    #[test]
    fn permanent_is_permanent() {
        assert_eq!(
            end(&json!({"outcome": "permanent"}), 1),
            Some(Err(HandlerError::permanent("drill: attempt 1 fails on purpose")))
        );
    }

    #[test]
    fn hang_never_ends_until_its_attempts_are_over() {
        let with = json!({"outcome": "hang", "attempts": 1});
        assert_eq!(end(&with, 1), None);
        assert_eq!(end(&with, 2), Some(Ok(Handled::Done)));
    }

    #[test]
    fn panic_panics_when_it_runs_not_when_it_is_called() {
        let drill = parse(&json!({"outcome": "panic"})).unwrap();
        let (event, run) = (event("{}"), run(1));
        let running = drill.handle(&event, &run);
        let panicked = AssertUnwindSafe(running).catch_unwind().now_or_never().unwrap();
        assert_eq!(
            panicked.unwrap_err().downcast_ref::<String>().unwrap(),
            "drill: attempt 1 fails on purpose"
        );
    }

    /// Runs the test below in a process of its own.
    #[test]
    fn exit_ends_the_process() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "handlers::drill::tests::exits_as_a_child"]).env(IS_CHILD, "1");
        assert_eq!(child.output().unwrap().status.code(), Some(EXIT_CODE));
    }

    #[test]
    fn exits_as_a_child() {
        if std::env::var_os(IS_CHILD).is_some() {
            end(&json!({"outcome": "exit"}), 1);
        }
    }

    #[test]
    fn wrong_options_are_refused_with_the_right_ones() {
        let refused = |with: Value| parse(&with).unwrap_err();
        assert_eq!(refused(Value::Null), "missing field `outcome`");
        assert_eq!(
            refused(json!({"outcome": "retry", "times": 2})),
            "unknown field `times`, expected one of `outcome`, `attempts`, `after_seconds`, `megabytes`"
        );
        assert_eq!(
            refused(json!({"outcome": "explode"})),
            "unknown variant `explode`, expected one of `retry`, `permanent`, `panic`, `hang`, `block`, `exit`, `allocate`"
        );
        assert_eq!(
            refused(json!({"outcome": "retry", "attempts": 0})),
            "`attempts` must be at least 1; leave it out to fail always"
        );
        assert_eq!(
            refused(json!({"outcome": "hang", "after_seconds": 1})),
            "`after_seconds` goes only with the outcome `retry`"
        );
        for with in [json!({"outcome": "allocate"}), json!({"outcome": "hang", "megabytes": 1})] {
            assert_eq!(
                refused(with),
                "`megabytes`, more than the function has, goes with the outcome `allocate`, and \
                 only with it"
            );
        }
    }

    #[test]
    fn allocate_fails_its_attempt_where_there_is_memory_enough() {
        let with = json!({"outcome": "allocate", "attempts": 1, "megabytes": 2});
        let expected = "drill: attempt 1 fails on purpose, with 2 MB to spare";
        assert_eq!(end(&with, 1), Some(Err(HandlerError::retry(expected))));
    }
}
