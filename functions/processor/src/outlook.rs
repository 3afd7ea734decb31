//! What a life will do with an event, said before it is opened.
//!
//! An operator's plan is made of this: matching, scope and fates are those of the
//! attempt itself, so that what is shown is what will run.

use std::collections::BTreeMap;

use inbox_core::Timestamp;
use inbox_core::ledger::Record;

use crate::fates::Fates;
use crate::routes::Routes;

/// What a life will do with one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prospect {
    /// It runs, as it has before.
    Runs,
    /// It runs, and the event has not been there before.
    RunsFirst,
    /// It goes on waiting for its time.
    Waits,
    /// It has completed and does not run again.
    Done,
    /// It was given up and does not run again.
    GivenUp,
    /// It is given up: no route of this id takes the event any more.
    Gone,
    /// It takes the event, which has not been there, and it was not asked for.
    NotAsked,
}

/// What a life will do with each route.
pub type Outlook = BTreeMap<String, Prospect>;

/// The outlook of an event that was as `before` says and is as `opened` says once its
/// life is open. Where it is open already, both are the same.
#[must_use]
pub fn outlook(
    before: &Record,
    opened: &Record,
    routes: &Routes,
    max_attempts: u32,
    now: Timestamp,
) -> Outlook {
    let taking: Vec<&str> = routes.matching(&opened.event).map(|route| route.id.as_str()).collect();
    let scope = opened.scope(&taking);
    let fates = Fates::of(opened, &scope, max_attempts, now);
    let mut outlook = Outlook::new();
    for route in &taking {
        let prospect = if opened.is_done(route) { Prospect::Done } else { Prospect::NotAsked };
        outlook.insert((*route).to_owned(), prospect);
    }
    for (route, failure) in fates.failures() {
        let is_gone = !taking.contains(&route.as_str());
        let prospect = match failure.next_at {
            Some(_) => Prospect::Waits,
            None if is_gone => Prospect::Gone,
            None => Prospect::GivenUp,
        };
        outlook.insert(route.clone(), prospect);
    }
    for (route, _) in fates.due() {
        let is_met = before.is_done(route) || before.failures.contains_key(route);
        outlook.insert(route.clone(), if is_met { Prospect::Runs } else { Prospect::RunsFirst });
    }
    outlook
}

/// Whether anything runs.
#[must_use]
pub fn runs_anything(outlook: &Outlook) -> bool {
    outlook.values().any(|it| matches!(it, Prospect::Runs | Prospect::RunsFirst))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use inbox_core::event::{Event, EventKey};
    use inbox_core::handler::{Handled, Handler, HandlerError, Run};
    use inbox_core::ledger::{
        NewEvent, Reopen, Reopening, Rerun, RouteFailure, State, apply_reopen,
    };
    use inbox_core::provider::Payload;

    use super::*;
    use crate::routes::Route;

    struct Nothing;

    impl Handler for Nothing {
        fn handle<'a>(
            &'a self,
            _: &'a Event,
            _: &'a Run,
        ) -> futures_util::future::BoxFuture<'a, Result<Handled, HandlerError>> {
            Box::pin(std::future::ready(Ok(Handled::Done)))
        }
    }

    fn record() -> Record {
        let now = Timestamp::from_unix_seconds(0).unwrap();
        let event = Event {
            key: EventKey { source: "stripe".into(), id: "evt_1".into() },
            provider: "stripe".into(),
            event_type: "invoice.paid".into(),
            delivery_id: None,
            subject: None,
            occurred_at: None,
            received_at: now,
            traceparent: None,
            payload: Payload { content_type: String::new(), bytes: bytes::Bytes::new() },
            headers: BTreeMap::new(),
        };
        let new = NewEvent { event, request_id: String::new(), due_at: now, expires_at: now };
        let failure = |next_at| {
            let (error, quote) = ("no".into(), None);
            RouteFailure { error, quote, attempts: 1, next_at, deferrals: 0 }
        };
        let soon = now.plus(std::time::Duration::from_hours(1));
        Record {
            state: State::Failing,
            handlers: BTreeMap::from([("state".into(), now.into())]),
            failures: BTreeMap::from([
                ("billing".into(), failure(None)),
                ("mail".into(), failure(Some(soon))),
                ("old".into(), failure(Some(soon))),
            ]),
            ..Record::claimed(&new)
        }
    }

    fn told(rerun: Rerun<'_>) -> Vec<(String, Prospect)> {
        let now = Timestamp::from_unix_seconds(60).unwrap();
        let before = record();
        let mut opened = before.clone();
        let reopening = Reopening {
            record: &before,
            cause: Reopen::Replay { seen: 1, rerun },
            actor: "ada",
            reason: "r",
            request_id: "request-1",
            due_at: now,
            expires_at: now,
        };
        let _ = apply_reopen(Some(&mut opened), &reopening, now);
        let route = |id: &str| Route::new(id, "*", "*", Arc::new(Nothing));
        let routes = Routes::of(["state", "billing", "mail", "x"].map(route).into());
        outlook(&before, &opened, &routes, 7, now).into_iter().collect()
    }

    fn expect(rerun: Rerun<'_>, expected: &[(&str, Prospect)]) {
        let told = told(rerun);
        let told: Vec<(&str, Prospect)> = told.iter().map(|it| (it.0.as_str(), it.1)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_replay_of_named_routes_runs_them_and_tells_what_becomes_of_the_others() {
        use Prospect::{Done, GivenUp, Gone, NotAsked, Runs, RunsFirst, Waits};
        expect(
            Rerun::Routes(&["state".to_owned()]),
            &[
                ("billing", GivenUp),
                ("mail", Waits),
                ("old", Gone),
                ("state", Runs),
                ("x", NotAsked),
            ],
        );
        expect(
            Rerun::Routes(&["x".to_owned()]),
            &[
                ("billing", GivenUp),
                ("mail", Waits),
                ("old", Gone),
                ("state", Done),
                ("x", RunsFirst),
            ],
        );
    }

    #[test]
    fn a_replay_without_names_runs_what_has_not_completed_and_what_was_added_since() {
        use Prospect::{Done, Runs, RunsFirst};
        let rest = [("billing", Runs), ("mail", Runs)];
        let with = |state| [&rest[..], &[("state", state), ("x", RunsFirst)]].concat();
        expect(Rerun::Unfinished, &with(Done));
        expect(Rerun::All, &with(Runs));
    }
}
