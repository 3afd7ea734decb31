//! The ledger's item, made small: what the rules can tell apart, and no more.
//!
//! ```text
//! Item ── to_record ──▶ Record ── the code's own rule ──▶ Record ── of_record ──▶ Item
//!  ▲                    concrete times, tokens, names                               │
//!  └────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Times become what `NOW` makes of them: a lease is live or has ended, `next_at`
//! has come or has not, `due_at` likewise. Tokens become whose they are. Of the
//! history stays what a rule looks at: its last entry.
//!
//! [`Detail`] says how a record is filled in where an item leaves a choice. Both
//! choices must lead every rule to the same item, or the model would have lost
//! something that matters; a test tries them on every item that is reached.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{
    CLOCK_TOLERANCE, Open as RecordOpen, Record, RouteFailure, State, Transition, TransitionKind,
    lasting,
};
use inbox_core::provider::Payload;

/// The moment at which every rule is applied.
const NOW_MS: i64 = 1_764_000_000_000;
/// The routes, by number.
pub const ROUTES: [&str; 2] = ["a", "b"];
/// The request that claimed the event, while its receiver is at it.
pub const CLAIMING: &str = "claiming";
/// The plan that an operator carries out.
pub const PLAN: &str = "plan";
const ELSEWHERE: &str = "elsewhere";

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stand {
    /// Not yet failed.
    Received,
    /// The last attempt failed.
    Failing,
    /// Every handler is done.
    Done,
    /// Given up.
    Dead,
}

/// Whose lease token the item shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    /// None.
    Nobody,
    /// What this processor has in hand.
    Processor(u8),
    /// Of a run that is over.
    Former,
}

/// A moment, as seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// Not set.
    Unset,
    /// Still to come.
    Ahead,
    /// Over, or so near that clocks may disagree.
    Past,
}

/// The place in the index `open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Open {
    /// In neither list.
    Absent,
    /// In the sweeper's, and whether its time has come.
    Pending {
        /// Whether `due_at` has come.
        due: bool,
    },
    /// In the operator's.
    Dead,
}

/// What the failures say of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Nothing.
    Unfailed,
    /// It is tried again.
    Again {
        /// Its attempts so far.
        attempts: u8,
        /// Whether its time is still to come.
        ahead: bool,
        /// How often in a row it was left for later.
        deferrals: u8,
    },
    /// It is given up in this life.
    GivenUp,
}

/// How long the record lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lasts {
    /// So long that no attempt has to move its expiry.
    Amply,
    /// As long as the rule asks for, as things stand.
    Enough,
    /// Less than that.
    TooShort,
}

/// The history's last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Last {
    /// None, or one that no rule looks for.
    Other,
    /// The life that the operator's plan opened.
    OpenedByPlan,
    /// The burial that this processor wrote and may repeat.
    BuriedBy(u8),
}

/// What the ledger holds of the one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Item {
    /// Where it stands.
    pub stand: Stand,
    /// Its life, from 1.
    pub life: u8,
    /// Attempts in this life.
    pub attempts: u8,
    /// Whose token it shows.
    pub token: Holder,
    /// When the lease ends.
    pub lease: Moment,
    /// When it may be begun again.
    pub next: Moment,
    /// What the failures say of each route.
    pub fates: [Fate; 2],
    /// Its place in the index.
    pub open: Open,
    /// How long it lasts.
    pub lasts: Lasts,
    /// Whether it was swept since its last outcome.
    pub swept: bool,
    /// Completed routes, a bit each.
    pub completed: u8,
    /// The routes that its life was opened for, a bit each; none for all.
    pub only: u8,
    /// Whether the receiver that works now has claimed it.
    pub claimed_now: bool,
    /// The history's end.
    pub last: Last,
    /// Whether its content was removed.
    pub forgotten: bool,
    /// Whether it is no event at all, but what a write without condition made.
    pub hollow: bool,
}

/// How a record is filled in where its item leaves a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Times just at the edge of what they mean, short history.
    Edge,
    /// Times far from it, long history, many sweeps.
    Far,
}

/// The moment at which every rule is applied.
#[must_use]
pub fn now() -> Timestamp {
    at(0)
}

/// So many milliseconds from now.
#[must_use]
pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW_MS + ms).expect("near 2025")
}

/// Until when a record lasts at least that no attempt has to move: none here is due
/// later than in an hour.
fn amply() -> Timestamp {
    let latest = at(2 * 3_600_000);
    lasting(latest, latest)
}

/// The text of a token.
#[must_use]
pub fn token(holder: Holder) -> Option<String> {
    match holder {
        Holder::Nobody => None,
        Holder::Processor(slot) => Some(char::from(b'0' + slot).to_string()),
        Holder::Former => Some(ELSEWHERE.to_owned()),
    }
}

/// The entry that a processor's burial adds.
#[must_use]
pub fn buried_by(slot: u8) -> Transition {
    entry(TransitionKind::Buried, &char::from(b'0' + slot).to_string(), None)
}

fn entry(kind: TransitionKind, detail: &str, request_id: Option<&str>) -> Transition {
    Transition {
        at: now(),
        kind,
        life: 0,
        attempt: 0,
        actor: String::new(),
        detail: detail.to_owned(),
        request_id: request_id.map(str::to_owned),
    }
}

/// The event that it is all about. Nothing in it bears on the protocol.
#[must_use]
pub fn event() -> Event {
    Event {
        key: EventKey { source: String::new(), id: String::new() },
        provider: String::new(),
        event_type: String::new(),
        delivery_id: None,
        subject: None,
        occurred_at: None,
        received_at: now(),
        traceparent: None,
        payload: Payload { content_type: String::new(), bytes: Bytes::new() },
        headers: BTreeMap::new(),
    }
}

impl Stand {
    /// Whether somebody still has to look at it.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Received | Self::Failing)
    }

    fn state(self) -> State {
        match self {
            Self::Received => State::Received,
            Self::Failing => State::Failing,
            Self::Done => State::Done,
            Self::Dead => State::Dead,
        }
    }

    fn of(state: State) -> Self {
        match state {
            State::Received => Self::Received,
            State::Failing => Self::Failing,
            State::Done => Self::Done,
            State::Dead => Self::Dead,
        }
    }
}

impl Item {
    /// A record that looks like this.
    #[must_use]
    pub fn to_record(&self, detail: Detail) -> Record {
        let tolerance = i64::try_from(CLOCK_TOLERANCE.as_millis()).unwrap_or_default();
        let (edge, hour) = (detail == Detail::Edge, 3_600_000);
        let moment = |moment, ahead: i64, past: i64| match moment {
            Moment::Unset => None,
            Moment::Ahead => Some(at(if edge { ahead } else { hour })),
            Moment::Past => Some(at(if edge { past } else { -hour })),
        };
        let completed = (0..).zip(ROUTES).filter(|(n, _)| self.completed & (1 << n) != 0);
        let failures = ROUTES.into_iter().zip(self.fates).filter_map(|(route, fate)| {
            let (attempts, next, deferrals) = match fate {
                Fate::Unfailed => return None,
                Fate::Again { attempts, ahead, deferrals } => {
                    (attempts, if ahead { Moment::Ahead } else { Moment::Past }, deferrals)
                }
                Fate::GivenUp => (if edge { 1 } else { 9 }, Moment::Unset, 0),
            };
            let next_at = moment(next, tolerance + 1, tolerance);
            let (attempts, deferrals) = (attempts.into(), deferrals.into());
            let (error, quote) = (String::new(), None);
            let failure = RouteFailure { error, quote, attempts, next_at, deferrals };
            Some((route.to_owned(), failure))
        });
        let open = match self.open {
            Open::Absent => None,
            Open::Pending { due } => {
                let due_at = if due { Moment::Past } else { Moment::Ahead };
                moment(due_at, 1, 0).map(|due_at| RecordOpen::Pending { due_at })
            }
            Open::Dead => Some(RecordOpen::Dead { due_at: now() }),
        };
        let mut history = Vec::new();
        if !edge {
            history.push(entry(TransitionKind::Replayed, "", Some(ELSEWHERE)));
            history.push(entry(TransitionKind::Failed, "", None));
        }
        match self.last {
            Last::Other => {}
            Last::OpenedByPlan => {
                history.push(entry(TransitionKind::Replayed, "", Some(PLAN)));
            }
            Last::BuriedBy(slot) => history.push(buried_by(slot)),
        }
        Record {
            event: event(),
            payload_ref: None,
            request_id: if self.claimed_now { CLAIMING } else { ELSEWHERE }.to_owned(),
            state: self.stand.state(),
            life: self.life.into(),
            attempts: self.attempts.into(),
            lease_token: token(self.token),
            leased_until: moment(self.lease, 0, -1),
            next_at: moment(self.next, tolerance + 1, tolerance),
            last_error: None,
            done_at: (self.stand == Stand::Done).then(now),
            handlers: completed.map(|(_, route)| (route.to_owned(), now().into())).collect(),
            failures: failures.collect(),
            only: Some(names(self.only)).filter(|only| !only.is_empty()),
            history,
            expires_at: match self.lasts {
                Lasts::Amply if edge => amply(),
                Lasts::Amply => now().plus(Duration::from_hours(720)),
                Lasts::Enough => {
                    let due_at = open.map_or(now(), RecordOpen::due_at);
                    lasting(due_at, due_at)
                }
                Lasts::TooShort => now(),
            },
            open,
            sweeps: if edge { 1 } else { 3 } * u32::from(self.swept),
            forgotten_at: self.forgotten.then(now),
        }
    }

    /// The routes that have failed and not completed, a bit each.
    #[must_use]
    pub fn failed(self) -> u8 {
        let fates = (0..).zip(self.fates).filter(|(_, fate)| *fate != Fate::Unfailed);
        fates.fold(0, |set, (n, _)| set | 1 << n) & !self.completed
    }

    /// What the rules can tell of a record.
    #[must_use]
    pub fn of_record(record: &Record) -> Self {
        let moment = |moment: Option<Timestamp>, is_ahead: fn(Timestamp) -> bool| match moment {
            None => Moment::Unset,
            Some(moment) if is_ahead(moment) => Moment::Ahead,
            Some(_) => Moment::Past,
        };
        let completed = (0..).zip(ROUTES).filter(|(_, route)| record.is_done(route));
        let last = record.history.last();
        Self {
            stand: Stand::of(record.state),
            life: small(record.life),
            attempts: small(record.attempts),
            token: match record.lease_token.as_deref().map(str::as_bytes) {
                None => Holder::Nobody,
                Some([digit]) => Holder::Processor(digit - b'0'),
                Some(_) => Holder::Former,
            },
            lease: moment(record.leased_until, |until| until >= now()),
            next: moment(record.next_at, |next_at| next_at > now().plus(CLOCK_TOLERANCE)),
            fates: ROUTES.map(|route| match record.failures.get(route) {
                None => Fate::Unfailed,
                Some(RouteFailure { next_at: None, .. }) => Fate::GivenUp,
                Some(RouteFailure { attempts, next_at: Some(next_at), deferrals, .. }) => {
                    Fate::Again {
                        attempts: small(*attempts),
                        deferrals: small(*deferrals),
                        ahead: *next_at > now().plus(CLOCK_TOLERANCE),
                    }
                }
            }),
            open: match record.open {
                None => Open::Absent,
                Some(RecordOpen::Pending { due_at }) => Open::Pending { due: due_at <= now() },
                Some(RecordOpen::Dead { .. }) => Open::Dead,
            },
            lasts: match record {
                _ if record.expires_at >= amply() => Lasts::Amply,
                _ if record.lasts() => Lasts::Enough,
                _ => Lasts::TooShort,
            },
            swept: record.sweeps > 0,
            completed: completed.map(|(n, _)| 1 << n).sum(),
            only: bits(record.only.iter().flatten().map(String::as_str)),
            claimed_now: record.request_id == CLAIMING,
            last: match last.map(|entry| (entry.kind, entry.detail.as_bytes())) {
                Some((TransitionKind::Buried, [digit])) => Last::BuriedBy(digit - b'0'),
                _ if last.and_then(|entry| entry.request_id.as_deref()) == Some(PLAN) => {
                    Last::OpenedByPlan
                }
                _ => Last::Other,
            },
            forgotten: record.forgotten_at.is_some(),
            hollow: false,
        }
    }
}

/// The names of routes, a bit each.
#[must_use]
pub fn names(routes: u8) -> BTreeSet<String> {
    let named = (0..).zip(ROUTES).filter(|(n, _)| routes & (1 << n) != 0);
    named.map(|(_, route)| route.to_owned()).collect()
}

/// Routes by name, a bit each.
pub fn bits<'a>(routes: impl Iterator<Item = &'a str>) -> u8 {
    let place = |route: &str| ROUTES.iter().position(|it| *it == route);
    routes.filter_map(place).fold(0, |set, n| set | 1 << n)
}

fn small(number: u32) -> u8 {
    u8::try_from(number).expect("lives and attempts are few")
}
