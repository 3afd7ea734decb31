//! One item of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::event::{Event, clean_text};
use crate::ledger::{CLOCK_TOLERANCE, NewEvent, lasting};

/// Version of the item's layout.
pub const SCHEMA: u32 = 1;
/// Most entries of an event's history. This and the
/// limits below keep an item with the largest inline payload within DynamoDB's 400 KB.
pub const HISTORY_ENTRIES: usize = 50;
/// Most characters of an error that are kept.
pub const ERROR_CHARACTERS: usize = 500;
/// Who writes the history when no person does.
pub const ACTOR_PROCESSOR: &str = "processor";
/// Most characters of one route's error and of what it quotes, together; there may be
/// many routes.
pub const ROUTE_ERROR_CHARACTERS: usize = 136;
/// What a quote takes of those besides its text: in an item its name does.
pub const ROUTE_QUOTE_OVERHEAD_CHARACTERS: usize = 2;
/// Most characters of why a handler had nothing to do.
pub const NOTHING_CHARACTERS: usize = 60;
/// Most characters of an error or a reason in the history, which is long.
pub const HISTORY_DETAIL_CHARACTERS: usize = 100;
/// Most characters of a name in the history.
pub const ACTOR_CHARACTERS: usize = 40;
/// Most characters of the id by which a repeated reopening is recognised.
pub const REQUEST_ID_CHARACTERS: usize = 64;

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted, not yet tried or being tried for the first time.
    Received,
    /// The last attempt failed and another will follow.
    Failing,
    /// Every handler is done.
    Done,
    /// Given up; an operator can replay or redrive it.
    Dead,
}

impl State {
    /// The ledger's text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Failing => "failing",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }

    /// Reads the ledger's text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Received, Self::Failing, Self::Done, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    /// Whether somebody still has to look at it.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Received | Self::Failing)
    }
}

/// The right to run an event for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Random, new for every begin.
    pub token: String,
    /// The invocation's deadline and a margin.
    pub until: Timestamp,
}

/// An event's place in the index `open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Unfinished; the sweeper sends a message at this time.
    Pending {
        /// When.
        due_at: Timestamp,
    },
    /// Dead, for the operator's list.
    Dead {
        /// Since when.
        due_at: Timestamp,
    },
}

impl Open {
    /// The sort key in either case.
    #[must_use]
    pub fn due_at(self) -> Timestamp {
        match self {
            Self::Pending { due_at } | Self::Dead { due_at } => due_at,
        }
    }
}

/// One entry of an event's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: TransitionKind,
    /// The life that it happened in, or that it opened.
    pub life: u32,
    /// Which attempt of the life, 0 before the first.
    pub attempt: u32,
    /// Who: `processor`, or the operator's name.
    pub actor: String,
    /// The error, or the operator's reason.
    pub detail: String,
    /// The request that opened a life.
    pub request_id: Option<String>,
}

/// What an entry of the history says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionKind {
    /// An attempt failed.
    Failed,
    /// A route had completed, and was asked to run again: the record's own note of it
    /// went.
    Completed,
    /// The event was given up.
    Buried,
    /// A dead letter was sent back to the queue.
    Redriven,
    /// An operator asked for another life.
    Replayed,
    /// An operator had the content removed.
    Forgotten,
}

impl TransitionKind {
    /// The ledger's text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Buried => "buried",
            Self::Redriven => "redriven",
            Self::Replayed => "replayed",
            Self::Forgotten => "forgotten",
        }
    }

    /// Reads the ledger's text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let kinds = [
            Self::Failed,
            Self::Completed,
            Self::Buried,
            Self::Redriven,
            Self::Replayed,
            Self::Forgotten,
        ];
        kinds.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where a payload lies that was too large for the item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadRef {
    /// The object's key in the payload bucket.
    pub key: String,
    /// The payload's length, before compression.
    pub bytes: usize,
}

/// When a route completed, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// When.
    pub at: Timestamp,
    /// Why the handler had nothing to do, where that is so.
    pub nothing: Option<String>,
}

impl Completion {
    /// Of a handler that had nothing to do.
    #[must_use]
    pub fn of_nothing(why: &str, at: Timestamp) -> Self {
        Self { at, nothing: Some(clean_text(why, NOTHING_CHARACTERS)) }
    }
}

/// Of a handler that did what it does.
impl From<Timestamp> for Completion {
    fn from(at: Timestamp) -> Self {
        Self { at, nothing: None }
    }
}

/// How a route failed last, or was left for later, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFailure {
    /// Why, without a word of what the target said.
    pub error: String,
    /// What the target said, where the route asks for it. It may hold personal data, so
    /// it stands nowhere else: forgetting the event removes it.
    pub quote: Option<String>,
    /// The route's attempts in this life, those that came to no outcome included.
    pub attempts: u32,
    /// Not to be tried again before; `None` when it is given up in this life.
    pub next_at: Option<Timestamp>,
    /// How often in a row it was left for later since it ran last. A route that has
    /// not run yet and was left for later is here too, with no attempt and no error.
    pub deferrals: u32,
}

/// An event and everything that has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was received. A payload that lies elsewhere is empty here until it
    /// is loaded: see `payload_ref`.
    pub event: Event,
    /// Where the payload lies, when it was too large for the item
    /// ([`Ledger::load`](super::Ledger::load) fetches it).
    pub payload_ref: Option<PayloadRef>,
    /// The invocation that claimed it: finds its log, and tells a claim that was
    /// repeated from another delivery.
    pub request_id: String,
    /// Where it stands.
    pub state: State,
    /// Replays and redrives, from 1.
    pub life: u32,
    /// Attempts in this life, the running one included: those of the route that
    /// has had the fewest, among the routes that are tried again, and each
    /// beginning since that came to no outcome. [`Record::attempts_of`] tells a
    /// route's own.
    pub attempts: u32,
    /// Who ran it last; the token stays when the lease is given up.
    pub lease_token: Option<String>,
    /// Until when the lease holds, unless given up.
    pub leased_until: Option<Timestamp>,
    /// Not to be begun before.
    pub next_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When the event became done.
    pub done_at: Option<Timestamp>,
    /// How each route completed, in this life or one before.
    pub handlers: BTreeMap<String, Completion>,
    /// The routes that have failed or were left for later in this life. Kept apart from `handlers`, so
    /// that recording a failure can never undo the completion that another, late
    /// process recorded meanwhile: a route in both has completed since.
    pub failures: BTreeMap<String, RouteFailure>,
    /// The routes that this life was opened for, and that run alone beside what still
    /// waits or is given up; `None` when all do that take the event. Never empty.
    pub only: Option<BTreeSet<String>>,
    /// The last transitions, oldest first.
    pub history: Vec<Transition>,
    /// End of retention and of the dedup window, in whole seconds.
    pub expires_at: Timestamp,
    /// Place in the index `open`; `None` when done.
    pub open: Option<Open>,
    /// How often the sweeper sent for it since the last outcome.
    pub sweeps: u32,
    /// When its content was removed on purpose.
    pub forgotten_at: Option<Timestamp>,
}

impl Record {
    /// The record of an event that was just claimed.
    #[must_use]
    pub fn claimed(new: &NewEvent) -> Self {
        Self {
            event: new.event.clone(),
            payload_ref: None,
            request_id: new.request_id.clone(),
            state: State::Received,
            life: 1,
            attempts: 0,
            lease_token: None,
            leased_until: None,
            next_at: None,
            last_error: None,
            done_at: None,
            handlers: BTreeMap::new(),
            failures: BTreeMap::new(),
            only: None,
            history: Vec::new(),
            expires_at: lasting(new.expires_at, new.due_at),
            open: Some(Open::Pending { due_at: new.due_at }),
            sweeps: 0,
            forgotten_at: None,
        }
    }

    /// The payload's length, loaded or not; 0 when it was forgotten.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        let outside = self.payload_ref.as_ref().filter(|_| self.forgotten_at.is_none());
        outside.map_or(self.event.payload.bytes.len(), |outside| outside.bytes)
    }

    /// Whether this route has completed, in this life or one before.
    #[must_use]
    pub fn is_done(&self, route: &str) -> bool {
        self.handlers.contains_key(route)
    }

    /// Whether it is done and nothing was done with it: no route took it.
    #[must_use]
    pub fn is_unrouted(&self) -> bool {
        is_unrouted(self.state, &self.handlers)
    }

    /// Whether this route is not to be run any more in this life.
    #[must_use]
    pub fn is_given_up(&self, route: &str) -> bool {
        !self.is_done(route)
            && self.failures.get(route).is_some_and(|failure| failure.next_at.is_none())
    }

    /// Whether this route may be run at `now`, as far as its last failure goes.
    #[must_use]
    pub fn is_due(&self, route: &str, now: Timestamp) -> bool {
        let failure = self.failures.get(route);
        failure.is_none_or(|it| it.next_at.is_some_and(|at| at <= now.plus(CLOCK_TOLERANCE)))
    }

    /// Whether this route was left for later and has not run since.
    #[must_use]
    pub fn is_deferred(&self, route: &str) -> bool {
        let is_deferred =
            |failure: &RouteFailure| failure.deferrals > 0 && failure.next_at.is_some();
        !self.is_done(route) && self.failures.get(route).is_some_and(is_deferred)
    }

    /// Attempts of this route in this life, the running one included. A beginning
    /// that came to no outcome counts for every route: nobody knows which of them
    /// ended the process.
    #[must_use]
    pub fn attempts_of(&self, route: &str) -> u32 {
        let before = self.failures.get(route).map_or(0, |failure| failure.attempts);
        before + self.attempts_without_outcome()
    }

    /// Beginnings of this life since the last outcome, the running one included.
    #[must_use]
    pub fn attempts_without_outcome(&self) -> u32 {
        self.attempts.saturating_sub(settled_attempts(&self.failures))
    }

    /// The most attempts that any route has had.
    #[must_use]
    pub fn most_attempts(&self) -> u32 {
        let failures = self.failures.values();
        failures.map(|failure| failure.attempts).fold(self.attempts, u32::max)
    }

    /// Whether somebody holds a lease at `now`.
    #[must_use]
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until.is_some_and(|until| until >= now)
    }

    /// The history with one entry more. Where there is no room, the oldest failure
    /// goes, since there may be many of those, then the oldest completion; what operators
    /// did goes last.
    #[must_use]
    pub fn history_with(&self, entry: Transition) -> Vec<Transition> {
        let mut history = self.history.clone();
        history.push(entry);
        while history.len() > HISTORY_ENTRIES {
            let before = &history[..HISTORY_ENTRIES];
            let of = |kind| before.iter().position(|it| it.kind == kind);
            let goes = of(TransitionKind::Failed).or_else(|| of(TransitionKind::Completed));
            history.remove(goes.unwrap_or_default());
        }
        history
    }

    /// The life that was open at this moment, as far as the history goes back.
    #[must_use]
    pub fn life_at(&self, moment: Timestamp) -> u32 {
        let opens = |entry: &&Transition| {
            matches!(entry.kind, TransitionKind::Redriven | TransitionKind::Replayed)
        };
        let mut openings = self.history.iter().filter(opens);
        let first =
            openings.clone().next().map_or(self.life, |opening| opening.life.saturating_sub(1));
        openings.rfind(|opening| opening.at <= moment).map_or(first.max(1), |it| it.life)
    }

    /// When this life was opened.
    #[must_use]
    pub fn opened_at(&self) -> Timestamp {
        let opens = |entry: &&Transition| {
            matches!(entry.kind, TransitionKind::Redriven | TransitionKind::Replayed)
        };
        let opening = self.history.iter().rfind(opens);
        opening.map_or(self.event.received_at, |opening| opening.at)
    }

    /// An entry for what the processor did to this record.
    #[must_use]
    pub fn transition(&self, kind: TransitionKind, detail: &str, at: Timestamp) -> Transition {
        Transition {
            at,
            kind,
            life: self.life,
            attempt: self.most_attempts(),
            actor: ACTOR_PROCESSOR.to_owned(),
            detail: clean_text(detail, HISTORY_DETAIL_CHARACTERS),
            request_id: None,
        }
    }
}

/// [`Record::is_unrouted`], of what is known without the record.
#[must_use]
pub fn is_unrouted(state: State, handlers: &BTreeMap<String, Completion>) -> bool {
    state == State::Done && handlers.is_empty()
}

/// What [`Record::attempts`] is set to when an attempt has come to its outcome: the
/// attempts of the route that has had the fewest, among those that are tried again. The
/// others are further on by themselves, so that none takes attempts from another.
pub(super) fn settled_attempts(failures: &BTreeMap<String, RouteFailure>) -> u32 {
    let retried = failures.values().filter(|failure| failure.next_at.is_some());
    retried.map(|failure| failure.attempts).min().unwrap_or_default()
}
