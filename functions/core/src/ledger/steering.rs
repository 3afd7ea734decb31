//! The operator's decisions as pure functions: opening a new life, and forgetting.
//!
//! The rest of the ledger's decisions are in [`super::rules`].

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{
    ACTOR_CHARACTERS, Forgetting, HISTORY_DETAIL_CHARACTERS, Open, REQUEST_ID_CHARACTERS, Record,
    Reopen, Reopening, Rerun, State, Transition, TransitionKind, UNKNOWN_ROUTE, lasting,
    record::settled_attempts,
};
use crate::Timestamp;
use crate::event::clean_text;

/// What became of a reopening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopened {
    /// The new life is open.
    Opened,
    /// This very request opened it before.
    Repeated,
    /// Somebody runs it, or it is not in the life that was seen.
    Refused,
}

/// Opens a new life.
#[must_use]
pub fn apply_reopen(
    existing: Option<&mut Record>,
    reopening: &Reopening<'_>,
    now: Timestamp,
) -> Reopened {
    let Some(record) = existing else { return Reopened::Refused };
    let last_request = record.history.last().and_then(|entry| entry.request_id.as_deref());
    if last_request == Some(&*reopening.request_id()) {
        return Reopened::Repeated;
    }
    let is_as_seen = match reopening.cause {
        Reopen::Redrive { life } => record.state == State::Dead && record.life + 1 == life,
        Reopen::Replay { seen, rerun: Rerun::Routes(routes) } => {
            // What is kept of the failures must be what there is. Before an event has
            // come to any outcome, nothing says which other routes it is still to run.
            record.life == seen
                && !routes.is_empty()
                && (record.state != State::Received || record.only.is_some())
                && record.failures == reopening.record.failures
                && record.handlers == reopening.record.handlers
        }
        // What is taken out goes into the history as it was read.
        Reopen::Replay { seen, rerun: Rerun::All } => {
            record.life == seen && record.handlers == reopening.record.handlers
        }
        Reopen::Replay { seen, rerun: Rerun::Unfinished } => record.life == seen,
    };
    if !is_as_seen || record.is_leased(now) || record.forgotten_at.is_some() {
        return Reopened::Refused;
    }
    record.only = opened_for(record, reopening.cause);
    note_completions(record, reopening.cause);
    record.state = State::Received;
    record.life += 1;
    record.lease_token = None;
    record.leased_until = None;
    record.next_at = None;
    record.last_error = None;
    record.done_at = None;
    match reopening.cause {
        Reopen::Redrive { .. } | Reopen::Replay { rerun: Rerun::Unfinished, .. } => {
            record.failures.clear();
        }
        Reopen::Replay { rerun: Rerun::Routes(routes), .. } => {
            record.handlers.retain(|route, _| !routes.contains(route));
            record.failures.retain(|route, _| !routes.contains(route));
        }
        Reopen::Replay { rerun: Rerun::All, .. } => {
            record.handlers.clear();
            record.failures.clear();
        }
    }
    record.attempts = settled_attempts(&record.failures);
    record.history = record.history_with(reopening.transition(record.life, now));
    record.open = Some(Open::Pending { due_at: reopening.due_at });
    record.sweeps = 0;
    record.expires_at = lasting(record.expires_at.max(reopening.expires_at), reopening.due_at);
    Reopened::Opened
}

/// The routes that a new life is opened for, as its request has it: those that an
/// operator names, those that a dead letter gave up, or all. So no route runs that was
/// configured since and that nobody asked for; and one that is gone is missed.
fn opened_for(record: &Record, cause: Reopen<'_>) -> Option<BTreeSet<String>> {
    let only: BTreeSet<String> = match cause {
        // Beside them what was asked for before and has not run yet.
        Reopen::Replay { rerun: Rerun::Routes(routes), .. } => {
            let before = record.only.iter().flatten();
            let unrun =
                before.filter(|route| record.state == State::Received && !record.is_done(route));
            routes.iter().chain(unrun).cloned().collect()
        }
        // Nobody can ask for what is not known.
        Reopen::Redrive { .. } => {
            let known = record.failures.keys().filter(|route| *route != UNKNOWN_ROUTE);
            known.filter(|route| !record.is_done(route)).cloned().collect()
        }
        Reopen::Replay { rerun: Rerun::Unfinished | Rerun::All, .. } => return None,
    };
    // Some letters do not say what they gave up.
    Some(only).filter(|only| !only.is_empty())
}

/// Puts into the history what had completed and is to run again: otherwise nothing
/// would say that it ran before.
fn note_completions(record: &mut Record, cause: Reopen<'_>) {
    let is_again = |route: &String| match cause {
        Reopen::Replay { rerun: Rerun::Routes(routes), .. } => routes.contains(route),
        Reopen::Replay { rerun: Rerun::All, .. } => true,
        Reopen::Replay { rerun: Rerun::Unfinished, .. } | Reopen::Redrive { .. } => false,
    };
    let mut completed: Vec<(Timestamp, String)> = Vec::new();
    for (route, it) in record.handlers.iter().filter(|(route, _)| is_again(route)) {
        let nothing = it.nothing.as_ref();
        let what = nothing.map(|why| format!("{route}, which had nothing to do: {why}"));
        completed.push((it.at, what.unwrap_or_else(|| route.clone())));
    }
    completed.sort();
    for (at, what) in completed {
        let mut entry = record.transition(TransitionKind::Completed, &what, at);
        (entry.life, entry.attempt) = (record.life_at(at), 0);
        record.history = record.history_with(entry);
    }
}

impl Reopening<'_> {
    /// The entry for the history.
    #[must_use]
    pub fn transition(&self, life: u32, at: Timestamp) -> Transition {
        Transition {
            at,
            kind: match self.cause {
                Reopen::Redrive { .. } => TransitionKind::Redriven,
                Reopen::Replay { .. } => TransitionKind::Replayed,
            },
            life,
            attempt: 0,
            actor: clean_text(self.actor, ACTOR_CHARACTERS),
            detail: clean_text(self.reason, HISTORY_DETAIL_CHARACTERS),
            request_id: Some(self.request_id()),
        }
    }

    fn request_id(&self) -> String {
        clean_text(self.request_id, REQUEST_ID_CHARACTERS)
    }
}

/// Removes an event's content; `false` when it is not as it was read, or somebody
/// runs it. A repeat of one that landed gets the same answer.
#[must_use]
pub fn apply_forget(
    existing: Option<&mut Record>,
    forgetting: &Forgetting<'_>,
    now: Timestamp,
) -> bool {
    let Some(record) = existing else { return false };
    if record.forgotten_at.is_some() {
        return true;
    }
    let seen = forgetting.record;
    if record.life != seen.life || record.state != seen.state || record.is_leased(now) {
        return false;
    }
    let mut history = record.history_with(Transition {
        at: now,
        kind: TransitionKind::Forgotten,
        life: record.life,
        attempt: record.attempts,
        actor: clean_text(forgetting.actor, ACTOR_CHARACTERS),
        detail: clean_text(forgetting.reason, HISTORY_DETAIL_CHARACTERS),
        request_id: None,
    });
    // What handlers said of it may quote it; what operators said does not.
    for entry in &mut history {
        if matches!(entry.kind, TransitionKind::Failed | TransitionKind::Buried) {
            entry.detail.clear();
        }
    }
    let event = &mut record.event;
    event.payload.bytes = Bytes::new();
    event.headers.clear();
    event.subject = None;
    event.delivery_id = None;
    event.traceparent = None;
    record.history = history;
    record.failures.clear();
    record.only = None;
    record.last_error = None;
    record.leased_until = None;
    record.next_at = None;
    record.open = None;
    record.sweeps = 0;
    record.forgotten_at = Some(now);
    if record.state.is_unfinished() {
        record.state = State::Dead;
    }
    true
}
