//! The ledger: every event, what has become of it, and when somebody must look
//! at it again. It is the truth; the queue only wakes.
//!
//! ```text
//!  claim ──▶ received ──▶ failing ──▶ dead          life r, attempts 1, 2, …
//!               │            │          │
//!               └──▶ done ◀──┴──────────┘           a late completion is true
//!               ▲
//!               └── reopen (an operator's replay or redrive): life r + 1
//!
//!  forget: payload and everything personal is gone; what stays is that it was
//! ```
//!
//! A payload too large for the item lies elsewhere: it is stored before the claim
//! and removed after the forgetting, so an item never promises what is not there.
//!
//! **Each route has a fate of its own**: done, tried again at a time of its own, or
//! given up for this life. The event waits for the first that is tried again, and is
//! done when all are; once none is left to try and one was given up, it is dead. A
//! beginning that came to no outcome is charged to every route that runs next.
//! A route can also be left for later without an attempt: see `deferral`.
//!
//! **An unfinished event never expires**: record and payload last longer than it is due,
//! and longer than its dead letter (`expiry`).
//!
//! **A life runs what it was opened for**: the first, and a replay without names, every
//! route that takes the event; a replay with names those; a redrive what its letter gave
//! up. What the record waits for and no route takes any more is given up (`scope`).
//!
//! Each step is one conditional write, so each happens or does not, whatever
//! dies. Why that suffices:
//!
//! - Every unfinished event carries `due_at` in the index `open`, set in the
//!   same write that made it unfinished. Whoever dies after any write leaves an
//!   event that the sweeper will find.
//! - A message names a life. Only reopening makes a life, so stray messages are
//!   stale, whatever they say.
//! - A run holds a lease, known by a random token. The token makes its writes
//!   repeatable (the SDK may repeat one that landed) and keeps a process that
//!   overslept its lease from overwriting what came after.
//!
//! One corner is left open. A completion needs no lease, so one that comes after
//! its lease ended gives up that of the run which followed, if it finishes the
//! event; an operator's replay within that minute then starts while that run's
//! handler may still be at work. Keeping the lease instead would refuse every
//! replay for a minute after a success.
//!
//! # Clocks
//!
//! Conditions compare times that different machines wrote, so `now` must be AWS's time:
//! `inbox_aws::AwsClock` learns it from the answers of AWS itself, in the functions from
//! those of their start.
//!
//! ```text
//! who            how it knows the time                          wrong by at most
//! lease's end    Lambda's deadline, and 10 s of margin          nothing: it is AWS's word
//! functions      an answer's `Date`, one attempt of ≤ 1.5 s     2.5 s
//! operator       an answer's `Date`; more doubt is refused      5 s
//! ```
//!
//! No handler runs past its deadline. So a lease holds against every process, however
//! wrong the clock of its machine is, as long as the clocks of the services that set
//! deadlines and answer calls differ by less than 7.5 s (5 s for the operator). That is
//! what is assumed. AWS documents that Lambda sets its environments' clocks by NTP, and
//! that its services use the Amazon Time Sync Service, whose errors it measures in
//! fractions of a millisecond:
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/set-time.html>
//! <https://aws.amazon.com/blogs/mt/manage-amazon-ec2-instance-clock-accuracy-using-amazon-time-sync-service-and-amazon-cloudwatch-part-1/>
//!
//! A function none of whose first calls was answered goes by its own clock until one is.
//! A clock that stood still while its environment was frozen is behind, which only makes
//! leases look longer.
//!
//! What is compared besides leases is less strict: `next_at` within [`CLOCK_TOLERANCE`],
//! `due_at` (a message too early or too late), `expires_at` (seconds of 15 days or more),
//! a signature's age (seconds of 5 minutes).
//!
//! The decisions are pure functions in `rules` and `steering`; `tests/model` explores what can
//! come of them. [`crate::memory`] applies them directly, `inbox-aws` as `DynamoDB`
//! conditions, and one conformance suite holds both to the same behaviour.

mod deferral;
mod expiry;
mod record;
mod rules;
mod scope;
mod steering;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Timestamp;
use crate::event::{Event, EventKey};

pub use deferral::{
    DEFERRALS_MAX, Deferral, FIRST_DELAY, LONGEST_DELAY, apply_defer, deferral_delay, may_defer,
};
pub use expiry::{lasting, least_retention, payload_outlives_record, record_outlives_due};
pub use record::{
    ACTOR_CHARACTERS, ACTOR_PROCESSOR, Completion, ERROR_CHARACTERS, HISTORY_DETAIL_CHARACTERS,
    HISTORY_ENTRIES, Lease, NOTHING_CHARACTERS, Open, PayloadRef, REQUEST_ID_CHARACTERS,
    ROUTE_ERROR_CHARACTERS, ROUTE_QUOTE_OVERHEAD_CHARACTERS, Record, RouteFailure, SCHEMA, State,
    Transition, TransitionKind, is_unrouted,
};
pub use rules::{
    apply_begin, apply_bury, apply_complete, apply_fail, apply_finish, apply_sweep,
    has_nothing_left, is_held, is_swept, judge_claim, shard_of, sweep_due_at,
};
pub use scope::{InScope, UNKNOWN_ROUTE};
pub use steering::{Reopened, apply_forget, apply_reopen};

/// How much clocks may disagree when `next_at` is compared.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(10);

/// The ledger did not answer, or what it holds cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Not in time, throttled, refused or out of reach.
    #[error("ledger unavailable: {0}")]
    Unavailable(String),
    /// The item exists and is not of a known layout.
    #[error("ledger item unreadable: {0}")]
    Unreadable(String),
    /// The item says where its payload lies, and it is not there, or not the
    /// one that was put there. Trying again does not bring it back.
    #[error("payload lost: {0}")]
    PayloadLost(String),
}

/// A new event on its way in.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event, received now.
    pub event: Event,
    /// The invocation that claims it, by which a repeated claim is recognised.
    pub request_id: String,
    /// When a message must have been handled before the sweeper sends another.
    pub due_at: Timestamp,
    /// End of retention and of the dedup window; later where [`lasting`] says so.
    pub expires_at: Timestamp,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// First seen: send its message.
    Fresh,
    /// Seen before, but nothing shows that its message was ever sent: send it
    /// again, for the life that the event is in.
    Unconfirmed {
        /// The event's life.
        life: u32,
    },
    /// Seen before and being taken care of.
    Duplicate,
    /// Seen before, with another body, which stays the one that counts: what came
    /// now is not kept. A sender that reuses an id, two senders in one source, or
    /// one whose repeats differ (Stripe counts `pending_webhooks` in them).
    Conflict {
        /// The event's life, where its message is to be sent again, as with
        /// [`Self::Unconfirmed`].
        unconfirmed: Option<u32>,
    },
}

/// Whether to run an event whose last lease ended without an outcome: it may
/// have killed its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspects {
    /// Leave it for later, when no neighbour can be taken along.
    Defer,
    /// Run it now.
    Run,
}

/// What to begin with.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The life that the message names.
    pub life: u32,
    /// The lease to take.
    pub lease: Lease,
    /// Attempts that one life may have.
    pub max_attempts: u32,
    /// What to do with suspects.
    pub suspects: Suspects,
}

/// What became of a begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The lease is held and the attempt counted: run the handlers.
    Run(Box<Record>),
    /// A suspect, left alone as asked: begin again, last and alone.
    Suspect,
    /// No such event: drop, and tell.
    Missing,
    /// The message is of a life long gone, or of none that can come: drop.
    Stale,
    /// Nothing left to do: drop.
    Finished,
    /// A dead letter was redriven: reopen, then begin.
    Reopen(Box<Record>),
    /// A redriven dead letter that came before its event was marked dead: leave
    /// it in the queue.
    Early,
    /// Somebody runs it, or it is not yet time: drop.
    Busy,
    /// All attempts are used up: bury it without running it.
    Exhausted(Box<Record>),
}

/// What became of recording a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// The event is done.
    Done,
    /// The handler is done, others are not.
    Pending,
    /// The event is in another life by now: stop.
    Superseded,
}

/// What became of a write that only one party may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Written.
    Written,
    /// Not ours to write any more: drop.
    Refused,
}

/// An attempt after which some route is tried again.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// What `begin` returned.
    pub record: &'a Record,
    /// Every route that has failed in this life and not completed; at least one
    /// of them is tried again, the first of which the event waits for.
    pub failures: &'a BTreeMap<String, RouteFailure>,
    /// Route and error of each that failed in this very attempt. None when it only
    /// found out that there is more to wait for.
    pub errors: &'a [(String, String)],
    /// When the sweeper sends a message: the wait's end for a parked event.
    pub due_at: Timestamp,
}

/// An event that is given up.
#[derive(Clone, Debug)]
pub struct Burial<'a> {
    /// What `begin` returned, to run or exhausted.
    pub record: &'a Record,
    /// Attempts that one life may have.
    pub max_attempts: u32,
    /// Why, in one line.
    pub error: &'a str,
    /// Every route that is given up; empty when that is not known of each.
    pub failures: &'a BTreeMap<String, RouteFailure>,
}

/// Which handlers of a replayed event run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rerun<'a> {
    /// Those that have not completed.
    Unfinished,
    /// These routes alone, whether they have completed or not. The others go on as they
    /// were: what was given up stays so, what waits goes on waiting, and what the event
    /// never met does not run. Refused where nothing says what else is still to run:
    /// before an event that was opened for all has come to any outcome.
    Routes(&'a [String]),
    /// All.
    All,
}

/// Why a new life is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopen<'a> {
    /// A dead letter that names this life came back to the queue.
    Redrive {
        /// The life that the message names.
        life: u32,
    },
    /// An operator asked for it, having seen this life.
    Replay {
        /// The life that the operator saw.
        seen: u32,
        /// Which handlers run.
        rerun: Rerun<'a>,
    },
}

/// Who opens a new life, and why.
#[derive(Clone, Debug)]
pub struct Reopening<'a> {
    /// The event as it was read.
    pub record: &'a Record,
    /// Redrive or replay.
    pub cause: Reopen<'a>,
    /// Who asked, for the history.
    pub actor: &'a str,
    /// In the asker's words, for the history.
    pub reason: &'a str,
    /// Makes a repeat of this request recognisable.
    pub request_id: &'a str,
    /// When the sweeper looks, should the message be lost.
    pub due_at: Timestamp,
    /// The new end of retention.
    pub expires_at: Timestamp,
}

/// Who has an event's content removed, and why.
#[derive(Clone, Debug)]
pub struct Forgetting<'a> {
    /// The event as it was read. One that is unfinished is given up.
    pub record: &'a Record,
    /// Who asked, for the history.
    pub actor: &'a str,
    /// In the asker's words, for the history.
    pub reason: &'a str,
}

/// An unfinished event that somebody must look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The event.
    pub key: EventKey,
    /// Since when it is due.
    pub due_at: Timestamp,
    /// How often the sweeper has sent for it since its last outcome.
    pub sweeps: u32,
}

/// Some of a shard's due events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePage {
    /// The longest due first.
    pub due: Vec<Due>,
    /// Whether nothing stands behind them.
    pub is_last: bool,
}

/// Where events and their fates are kept.
pub trait Ledger: Send + Sync {
    /// Puts a new event, payload included, unless it is there. A payload that is
    /// too large for the item is stored before it: no event without its payload.
    fn claim(&self, new: &NewEvent) -> impl Future<Output = Result<Claimed, LedgerError>> + Send;

    /// Takes the lease and counts the attempt, before any handler runs: an event
    /// that kills its process is exhausted after `max_attempts` all the same.
    fn begin(
        &self,
        key: &EventKey,
        begin: &Begin,
        now: Timestamp,
    ) -> impl Future<Output = Result<Begun, LedgerError>> + Send;

    /// Records that there is nothing left to run.
    fn finish(
        &self,
        record: &Record,
        now: Timestamp,
    ) -> impl Future<Output = Result<Completed, LedgerError>> + Send;

    /// Records that `route` is done; `others` are the event's further routes.
    fn complete(
        &self,
        record: &Record,
        route: &str,
        others: &[&str],
        completion: Completion,
    ) -> impl Future<Output = Result<Completed, LedgerError>> + Send;

    /// Records how each route stands after an attempt that leaves some to be tried
    /// again, and gives up the lease.
    fn fail(
        &self,
        failure: &Failure<'_>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Settled, LedgerError>> + Send;

    /// Records which routes are left for later without an attempt, and gives up the
    /// lease. The message that brings the event back is sent after it.
    fn defer(
        &self,
        deferral: &Deferral<'_>,
    ) -> impl Future<Output = Result<Settled, LedgerError>> + Send;

    /// Marks the event dead. The dead letter must have been sent before. Refused too where
    /// all that is to be given up has completed meanwhile: then finish it.
    fn bury(
        &self,
        burial: &Burial<'_>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Settled, LedgerError>> + Send;

    /// Opens a new life.
    fn reopen(
        &self,
        reopening: &Reopening<'_>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Settled, LedgerError>> + Send;

    /// Removes payload, headers, subject, errors and whatever else may be
    /// personal, and keeps the bare fact that the event came and what became of
    /// it, so that a repeat is still known as one. It cannot be replayed after.
    fn forget(
        &self,
        forgetting: &Forgetting<'_>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Settled, LedgerError>> + Send;

    /// Pending events of one shard whose time has come, the longest due first;
    /// with `after`, those behind it. The index may lag behind the table.
    fn due(
        &self,
        shard: u32,
        after: Option<&Due>,
        limit: u32,
        now: Timestamp,
    ) -> impl Future<Output = Result<DuePage, LedgerError>> + Send;

    /// When the first of one shard's dead events died, of those that died after `since`.
    /// The index may lag behind the table.
    fn oldest_dead(
        &self,
        shard: u32,
        since: Timestamp,
    ) -> impl Future<Output = Result<Option<Timestamp>, LedgerError>> + Send;

    /// Moves a due event's time forward, so that a backlog is not multiplied,
    /// and returns the record whose message is to be sent; `None` when it is no
    /// longer as it was read.
    fn sweep(
        &self,
        due: &Due,
        due_at: Timestamp,
    ) -> impl Future<Output = Result<Option<Record>, LedgerError>> + Send;

    /// Fetches a payload that lies outside of the item; costs nothing where it
    /// does not. What [`Ledger::begin`] and [`Ledger::get`] return is not loaded.
    ///
    /// # Errors
    ///
    /// [`LedgerError::PayloadLost`] when it cannot be had any more.
    fn load(&self, record: &mut Record) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Reads one event.
    fn get(
        &self,
        key: &EventKey,
    ) -> impl Future<Output = Result<Option<Record>, LedgerError>> + Send;
}
