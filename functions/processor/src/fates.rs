//! What becomes of each route of an event: a fate of its own.
//!
//! ```text
//!            ┌ done ─────────────────────────────────────────────┐
//! due ─ run ─┼ failed ─ tried again at next_at ── waiting ─ due …│
//!            └ failed for good, or attempts used up ─ given up   │
//!                                                                ▼
//!   all done ─▶ done    any waiting ─▶ the event waits for the first    else ─▶ dead
//! ```
//!
//! A route that is due can also be left for later: it waits, and no attempt is counted.
//! A route that waits long, because its endpoint asked for it or is further down the
//! table, keeps no other waiting; one that is given up is not run again in this life,
//! and its event is buried when no other route has anything left to do. What waits for a
//! route that is gone is given up at the next attempt, so that no mistake in the routes
//! turns an event into `done` that is not.

use std::collections::BTreeMap;
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::ledger::{
    DEFERRALS_MAX, InScope, Record, RouteFailure, UNKNOWN_ROUTE, deferral_delay, may_defer,
};

use crate::retry::RetryPolicy;
use crate::run::Failed;

/// Why a route is given up that no configuration has any more.
const GONE: &str = "no route of this id takes the event any more";

/// Why more is given up than is known.
const LOST: &str = "an attempt ended without an outcome, and a route that took such events is gone";

/// How the routes of one event stand in the course of one attempt.
pub(crate) struct Fates {
    /// The routes to run now, with the number of their attempt.
    due: Vec<(String, u32)>,
    /// Those that have failed in this life and not completed.
    failures: BTreeMap<String, RouteFailure>,
    /// Route and error of those that failed in this attempt.
    errors: Vec<(String, String)>,
    /// Routes that were given up in this attempt.
    given_up: Vec<String>,
    /// Routes that were left for later in this attempt.
    left: Vec<String>,
}

/// What an attempt comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conclusion {
    /// Nothing is left to be done, and nothing failed.
    AllDone,
    /// Some route is tried again: the first at this time.
    Wait(Timestamp),
    /// Nothing is left to try, and something was given up.
    GivenUp,
}

impl Fates {
    /// How the routes in `scope` stand when an attempt begins
    /// ([`Record::scope`]). A route that is gone, or whose attempts all ended with their
    /// process, is given up here.
    pub(crate) fn of(
        record: &Record,
        scope: &[InScope<'_>],
        max_attempts: u32,
        now: Timestamp,
    ) -> Self {
        let mut fates = Self {
            due: vec![],
            failures: BTreeMap::new(),
            errors: vec![],
            given_up: vec![],
            left: vec![],
        };
        for InScope { route, is_gone } in scope.iter().filter(|it| !record.is_done(it.route)) {
            let failure = record.failures.get(*route);
            if let Some(failure) = failure {
                fates.failures.insert((*route).to_owned(), failure.clone());
            }
            if *is_gone {
                if !record.is_given_up(route) {
                    let attempts = failure.map_or(0, |failure| failure.attempts);
                    fates.give_up(route, attempts, with_last(GONE.to_owned(), failure));
                }
                continue;
            }
            let attempts = record.attempts_of(route);
            if !record.is_due(route, now) {
                continue;
            }
            if attempts <= max_attempts {
                fates.due.push(((*route).to_owned(), attempts));
                continue;
            }
            fates.give_up(route, max_attempts, without_outcome(max_attempts, failure));
        }
        fates
    }

    /// Gives up what nobody knows more of: a route that may have been begun and is not
    /// configured any more. So the event cannot become done, whatever completes.
    pub(crate) fn lose_a_route(&mut self, attempts: u32) {
        if !self.failures.contains_key(UNKNOWN_ROUTE) {
            self.give_up(UNKNOWN_ROUTE, attempts, LOST.to_owned());
        }
    }

    /// Gives up what is due: the event's record allows no attempt more.
    pub(crate) fn use_up(&mut self, record: &Record) {
        for (route, _) in std::mem::take(&mut self.due) {
            let error = without_outcome(record.attempts, record.failures.get(&route));
            self.give_up(&route, record.attempts, error);
        }
    }

    /// The routes to run, each with the number of its attempt, from 1.
    pub(crate) fn due(&self) -> &[(String, u32)] {
        &self.due
    }

    /// Records that a route has completed.
    pub(crate) fn completed(&mut self, route: &str) {
        self.failures.remove(route);
    }

    /// Records that a route failed `at` this moment. `chance` is from 0 to 1.
    pub(crate) fn failed(
        &mut self,
        route: &str,
        fault: Failed,
        retry: &RetryPolicy,
        chance: f64,
        at: Timestamp,
    ) {
        let attempt = self.due.iter().find(|(due, _)| due == route);
        let attempts = attempt.map_or(1, |(_, attempt)| *attempt);
        let wait = retry.wait(attempts, fault.after.unwrap_or_default(), chance);
        match wait.filter(|_| !fault.permanent) {
            None => {
                self.give_up(route, attempts, fault.reason);
                if let Some(failure) = self.failures.get_mut(route) {
                    failure.quote = fault.quote;
                }
            }
            Some(wait) => {
                self.errors.push((route.to_owned(), fault.reason.clone()));
                let next_at = Some(at.plus(wait));
                let (error, quote) = (fault.reason, fault.quote);
                let failure = RouteFailure { error, quote, attempts, next_at, deferrals: 0 };
                self.failures.insert(route.to_owned(), failure);
            }
        }
    }

    /// Whether a route that is due may be left for later.
    pub(crate) fn may_leave(&self, route: &str) -> bool {
        may_defer(self.failures.get(route), DEFERRALS_MAX)
    }

    /// Leaves a route that is due for later. From within the lane it waits.
    pub(crate) fn leave(&mut self, route: &str, from_lane: bool, now: Timestamp) {
        let Some(at) = self.due.iter().position(|(due, _)| due == route) else { return };
        let (route, attempt) = self.due.remove(at);
        let before = self.failures.get(&route);
        let wait = if from_lane { deferral_delay(before) } else { Duration::ZERO };
        // The attempt was counted when the event was begun, and is not made.
        let deferred = RouteFailure::deferred(before, attempt.saturating_sub(1), now.plus(wait));
        self.failures.insert(route.clone(), deferred);
        self.left.push(route);
    }

    /// The routes that were left for later in this attempt.
    pub(crate) fn left(&self) -> &[String] {
        &self.left
    }

    /// How long the first of the routes that were left for later waits, in whole seconds:
    /// what SQS takes.
    pub(crate) fn delay(&self, now: Timestamp) -> Duration {
        let left = self.left.iter().filter_map(|route| self.failures.get(route)?.next_at);
        let wait = left.min().map(|next_at| next_at.since(now)).unwrap_or_default();
        Duration::from_secs(wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
    }

    /// Whether every route that waits is one of these.
    pub(crate) fn all_waiting(&self, is_one: impl Fn(&str, &RouteFailure) -> bool) -> bool {
        let mut waiting = self.failures.iter().filter(|(_, failure)| failure.next_at.is_some());
        waiting.all(|(route, failure)| is_one(route, failure))
    }

    /// Records that every route that is left has failed for good, for one reason that
    /// is none of their own.
    pub(crate) fn all_failed_for_good(&mut self, reason: &str) {
        let open = self.failures.iter().filter(|(_, failure)| failure.next_at.is_some());
        let waiting = open.map(|(route, failure)| (route.clone(), failure.attempts));
        let left: BTreeMap<String, u32> = waiting.chain(self.due.iter().cloned()).collect();
        self.left.clear();
        for (route, attempts) in left {
            self.give_up(&route, attempts, reason.to_owned());
        }
    }

    fn give_up(&mut self, route: &str, attempts: u32, error: String) {
        self.errors.push((route.to_owned(), error.clone()));
        let failure = RouteFailure { error, quote: None, attempts, next_at: None, deferrals: 0 };
        self.failures.insert(route.to_owned(), failure);
        self.given_up.push(route.to_owned());
    }

    /// What it all comes to.
    pub(crate) fn conclusion(&self) -> Conclusion {
        let next_at = self.failures.values().filter_map(|failure| failure.next_at).min();
        match next_at {
            Some(next_at) => Conclusion::Wait(next_at),
            None if self.failures.is_empty() => Conclusion::AllDone,
            None => Conclusion::GivenUp,
        }
    }

    /// The routes that have failed in this life and not completed.
    pub(crate) fn failures(&self) -> &BTreeMap<String, RouteFailure> {
        &self.failures
    }

    /// Route and error of each that failed in this attempt.
    pub(crate) fn errors(&self) -> &[(String, String)] {
        &self.errors
    }

    /// The routes that were given up in this attempt.
    pub(crate) fn given_up(&self) -> &[String] {
        &self.given_up
    }

    /// Why the event is given up, for the dead letter: `route: error; route: error`.
    pub(crate) fn epitaph(&self) -> String {
        let given_up = self.failures.iter().filter(|(_, failure)| failure.next_at.is_none());
        let lines = given_up.map(|(route, failure)| format!("{route}: {}", failure.error));
        lines.collect::<Vec<_>>().join("; ")
    }
}

fn without_outcome(attempts: u32, before: Option<&RouteFailure>) -> String {
    with_last(format!("{attempts} attempts used up, the last without an outcome"), before)
}

fn with_last(reason: String, before: Option<&RouteFailure>) -> String {
    match before {
        Some(failure) => format!("{reason}; before: {}", failure.error),
        None => reason,
    }
}
