//! The protocol without one of its remedies: for each, a world that is just large
//! enough to show what it is for, and the promise that is broken there.
//!
//! A break is a variation around the code's own rules: what goes into a rule, or
//! comes out of it, is changed, or an actor leaves a step out.

use crate::config::{Config, Handler};
use crate::properties::Property;
use crate::world::{Again, Left};

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Messages are not compared by the life that they name.
    NoLives,
    /// `fail` has no condition.
    FailWithoutCondition,
    /// `bury` has no condition.
    BuryWithoutCondition,
    /// `fail` and `bury` do not compare the lease token.
    NoToken,
    /// Attempts are counted when a handler has failed, not before it runs.
    AttemptsCountedAfter,
    /// `dead` is written before the dead letter is sent.
    DeadBeforeLetter,
    /// A send that fails deletes the claim, for the provider to try again.
    ClaimDeleted,
    /// Nobody sweeps.
    NoSweeper,
    /// A duplicate of an event that nobody has begun is not sent again.
    UnconfirmedIsDuplicate,
    /// A redriven letter that comes before `dead` is acknowledged.
    EarlyDropped,
    /// What the run knows of the other routes decides whether a completion is the
    /// last, not what the item holds.
    OneFormOfComplete,
    /// `complete` does not compare the life.
    CompleteWithoutLife,
    /// A completion or `finish` does not ask whether another has begun since: a route that
    /// was added, and that the other runs, is passed over.
    LateFinishes,
    /// Writes go by the token alone: what somebody wrote in the place of a run whose lease
    /// had ended, with its token, is overlooked.
    TokenAlone,
    /// `bury` does not ask whether what it gives up has completed meanwhile.
    BuryCompleted,
    /// `reopen` compares neither life nor lease.
    ReopenWithoutCondition,
    /// An operator's replay is judged by the operator's own clock, which is minutes
    /// ahead: every lease looks over.
    OperatorsOwnClock,
    /// `reopen` writes the completed routes that were read.
    ReopenWritesHandlers,
    /// `begin` does not look at the lease.
    BeginWithoutLease,
    /// The sweeper sends and leaves `due_at`.
    DueAtNotMoved,
    /// `sweep` does not look whether the event has moved on.
    SweepWithoutCondition,
    /// `sweep` makes an item where there is none any more.
    SweepCreates,
    /// A failed attempt leaves the index `open`.
    FailWithoutDueAt,
    /// `fail` does not write down which routes are given up.
    GivenUpForgotten,
    /// An event without attempts left is buried, whatever waits.
    ExhaustedBuriesAll,
    /// `reopen` does not write down which routes were asked for.
    OnlyForgotten,
    /// What waits for a route that is gone is passed over.
    GoneIsPassedOver,
    /// `fail` leaves the record's expiry as it is, however late the next attempt is.
    ExpiryNotMoved,
    /// What moves a record's expiry does not renew the payload before.
    PayloadNotRenewed,
    /// `fail` leaves the event's attempts as they are, so that they are those of all
    /// routes together.
    AttemptsNotSettled,
    /// Leaving a route for later counts an attempt.
    DeferralCounted,
    /// Leaving a route for later forgets the attempts that it had.
    DeferForgetsAttempts,
    /// `defer` has no condition.
    DeferWithoutCondition,
    /// What is left for later leaves the index `open`.
    DeferWithoutDueAt,
    /// `defer` writes down what is left for later, and not what is given up.
    DeferForgetsOthers,
    /// From within the lane a message is sent anew without a wait.
    DeferWithoutDelay,
    /// A route may be left for later for ever.
    DeferredForEver,
}

/// What a break leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// A promise is broken.
    Breaks(Property),
    /// An event is stuck for ever, nothing happening.
    Stuck,
    /// Something goes on for ever.
    Loops,
}

impl Break {
    /// All of them, by the name that the command takes.
    pub const ALL: [(&'static str, Self); 37] = [
        ("no-lives", Self::NoLives),
        ("fail-without-condition", Self::FailWithoutCondition),
        ("bury-without-condition", Self::BuryWithoutCondition),
        ("no-token", Self::NoToken),
        ("attempts-counted-after", Self::AttemptsCountedAfter),
        ("dead-before-letter", Self::DeadBeforeLetter),
        ("claim-deleted", Self::ClaimDeleted),
        ("no-sweeper", Self::NoSweeper),
        ("unconfirmed-is-duplicate", Self::UnconfirmedIsDuplicate),
        ("early-dropped", Self::EarlyDropped),
        ("one-form-of-complete", Self::OneFormOfComplete),
        ("complete-without-life", Self::CompleteWithoutLife),
        ("late-finishes", Self::LateFinishes),
        ("token-alone", Self::TokenAlone),
        ("bury-completed", Self::BuryCompleted),
        ("reopen-without-condition", Self::ReopenWithoutCondition),
        ("operators-own-clock", Self::OperatorsOwnClock),
        ("reopen-writes-handlers", Self::ReopenWritesHandlers),
        ("begin-without-lease", Self::BeginWithoutLease),
        ("due-at-not-moved", Self::DueAtNotMoved),
        ("sweep-without-condition", Self::SweepWithoutCondition),
        ("sweep-creates", Self::SweepCreates),
        ("fail-without-due-at", Self::FailWithoutDueAt),
        ("given-up-forgotten", Self::GivenUpForgotten),
        ("only-forgotten", Self::OnlyForgotten),
        ("gone-is-passed-over", Self::GoneIsPassedOver),
        ("expiry-not-moved", Self::ExpiryNotMoved),
        ("payload-not-renewed", Self::PayloadNotRenewed),
        ("attempts-not-settled", Self::AttemptsNotSettled),
        ("exhausted-buries-all", Self::ExhaustedBuriesAll),
        ("deferral-counted", Self::DeferralCounted),
        ("defer-forgets-attempts", Self::DeferForgetsAttempts),
        ("defer-without-condition", Self::DeferWithoutCondition),
        ("defer-without-due-at", Self::DeferWithoutDueAt),
        ("defer-forgets-others", Self::DeferForgetsOthers),
        ("defer-without-delay", Self::DeferWithoutDelay),
        ("deferred-for-ever", Self::DeferredForEver),
    ];

    /// What it leads to, in the world of [`Break::config`].
    #[must_use]
    pub fn harm(self) -> Harm {
        Harm::Breaks(match self {
            Self::NoSweeper => return Harm::Stuck,
            Self::DeferredForEver => return Harm::Loops,
            Self::NoLives => Property::LivesAreAskedFor,
            Self::FailWithoutCondition | Self::DeferWithoutCondition => Property::OutcomeStands,
            Self::NoToken
            | Self::ReopenWithoutCondition
            | Self::OperatorsOwnClock
            | Self::BeginWithoutLease => Property::RunsDoNotOverlap,
            Self::AttemptsCountedAfter | Self::DeferForgetsAttempts => Property::AttemptsAreBounded,
            Self::DeadBeforeLetter => Property::DeadHasLetter,
            Self::ClaimDeleted => Property::AcceptedIsKept,
            Self::UnconfirmedIsDuplicate => Property::AcceptedWasSent,
            Self::EarlyDropped => Property::LetterLasts,
            Self::OneFormOfComplete => Property::LastFinishes,
            Self::CompleteWithoutLife | Self::LateFinishes => Property::DoneIsDone,
            Self::ReopenWritesHandlers => Property::CompletionStays,
            Self::DueAtNotMoved => Property::OneMessageADue,
            Self::SweepWithoutCondition | Self::FailWithoutDueAt | Self::DeferWithoutDueAt => {
                Property::IndexIsRight
            }
            Self::SweepCreates => Property::ItemsAreEvents,
            Self::GivenUpForgotten | Self::DeferForgetsOthers => Property::GivenUpStays,
            Self::DeferralCounted => Property::DeferredIsNotDead,
            Self::DeferWithoutDelay => Property::LaneWaits,
            Self::ExpiryNotMoved => Property::RecordLasts,
            Self::PayloadNotRenewed => Property::PayloadLasts,
            Self::OnlyForgotten => Property::OnlyTheAskedRun,
            Self::GoneIsPassedOver | Self::TokenAlone => Property::DoneLeavesNothing,
            Self::BuryWithoutCondition | Self::BuryCompleted => Property::DeadLacksSomething,
            Self::AttemptsNotSettled => Property::EachHasItsAttempts,
            Self::ExhaustedBuriesAll => Property::DeadWaitsForNothing,
        })
    }

    /// A small world in which it shows.
    #[must_use]
    pub fn config(self) -> Config {
        let small = Config { broken: Some(self), ..Config::SMALL };
        let left = |deliveries, faults, acts| Left { deliveries, faults, acts };
        let two = Config { processors: 2, messages: 3, left: left(1, 2, 0), ..small };
        let lane = Config { deferrals: 2, ..small };
        match self {
            Self::DeferralCounted => Config { left: left(1, 0, 0), ..lane },
            Self::DeferForgetsAttempts => {
                Config { handlers: [Handler::Poison; 2], left: left(1, 0, 0), ..lane }
            }
            Self::DeferWithoutCondition => Config { deferrals: 1, ..two },
            Self::DeferWithoutDueAt | Self::DeferWithoutDelay | Self::DeferredForEver => lane,
            Self::DeferForgetsOthers => Config { routes: 2, left: left(1, 2, 0), ..lane },
            Self::AttemptsCountedAfter => {
                Config { handlers: [Handler::Poison; 2], left: left(1, 0, 0), ..small }
            }
            Self::ClaimDeleted | Self::UnconfirmedIsDuplicate => {
                Config { left: left(2, 1, 0), ..small }
            }
            Self::SweepCreates => Config { expires: true, ..small },
            Self::GivenUpForgotten => Config { routes: 2, left: left(1, 2, 0), ..small },
            Self::ExhaustedBuriesAll => {
                let handlers = [Handler::Broken, Handler::Turns];
                Config { routes: 2, handlers, left: left(1, 0, 0), ..small }
            }
            Self::ExpiryNotMoved | Self::PayloadNotRenewed => {
                Config { ages: true, left: left(1, 2, 0), ..small }
            }
            Self::OnlyForgotten => Config {
                routes: 2,
                adds: true,
                replays: &[Again::First],
                left: left(1, 1, 1),
                ..small
            },
            Self::GoneIsPassedOver => {
                Config { routes: 2, removes: true, left: left(1, 2, 0), ..small }
            }
            Self::AttemptsNotSettled => {
                Config { routes: 2, handlers: [Handler::Broken; 2], left: left(1, 0, 0), ..small }
            }
            Self::NoLives => Config { left: left(1, 2, 0), ..small },
            Self::NoSweeper
            | Self::DeadBeforeLetter
            | Self::DueAtNotMoved
            | Self::SweepWithoutCondition
            | Self::FailWithoutDueAt => small,
            Self::FailWithoutCondition | Self::BuryWithoutCondition | Self::BeginWithoutLease => {
                two
            }
            // The run that sleeps, the one after it, and the one beside that.
            Self::NoToken => Config { max_attempts: 3, ..two },
            Self::EarlyDropped => {
                Config { redrives: true, left: left(1, 1, 1), processors: 2, ..small }
            }
            Self::OneFormOfComplete => Config { routes: 2, ..two },
            Self::CompleteWithoutLife => {
                Config { replays: &[Again::All], left: left(1, 1, 1), ..two }
            }
            Self::LateFinishes => Config {
                adds: true,
                routes: 2,
                handlers: [Handler::Willing, Handler::Broken],
                processors: 2,
                messages: 2,
                left: left(1, 2, 0),
                ..small
            },
            // The only attempt sleeps, a route is added, and the lease has ended.
            Self::TokenAlone => {
                Config { max_attempts: 1, broken: Some(self), ..Self::LateFinishes.config() }
            }
            Self::BuryCompleted => two,
            Self::ReopenWithoutCondition | Self::OperatorsOwnClock | Self::ReopenWritesHandlers => {
                Config { replays: &[Again::Unfinished], left: left(1, 1, 1), ..two }
            }
        }
    }
}
