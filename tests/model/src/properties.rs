//! What must hold. Each is a promise of the protocol in the field's own words;
//! [`Property::holds`] says it of one state. What only shows in a step (an effect
//! that is repeated, say) is noticed there and remembered in `past.broken`.

use crate::config::{Config, Handler};
use crate::item::{Fate, Item, Lasts, Open, Stand};
use crate::world::{Processor, World, place};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Property {
    /// A 2xx implies that the event is in the ledger, and done, or in the index
    /// `open`: pending with a time, or dead; or an operator had it forgotten.
    AcceptedIsKept,
    /// A 2xx implies that the queue took a message of the event.
    AcceptedWasSent,
    /// The index shows what is unfinished to the sweeper, what is dead to the
    /// operator, and nothing else.
    IndexIsRight,
    /// `dead` implies that a dead letter was sent that names the next life.
    DeadHasLetter,
    /// That letter is there until it has opened the life that it names.
    LetterLasts,
    /// No effect is repeated, unless a process died or gave up between effect
    /// and record, or the operator asked for it.
    EffectOnce,
    /// What was recorded as completed stays so until the operator asks.
    CompletionStays,
    /// The completion of the last route finishes the event.
    LastFinishes,
    /// `done` implies that every route has completed, in this life when the
    /// operator asked for that.
    DoneIsDone,
    /// `done` implies that no route has failed without completing, gone or not, and that
    /// every one has completed that the life was opened for.
    DoneLeavesNothing,
    /// A life that is opened for some routes runs no other that the event has never met.
    OnlyTheAskedRun,
    /// An unfinished or dead event's record lasts as long as the rule of expiry asks.
    RecordLasts,
    /// Whatever moves a record's expiry has renewed its payload before.
    PayloadLasts,
    /// No two runs have handlers running within their leases. (Where an overslept
    /// run records late what the run after it runs again, the event may be done,
    /// and the lease given up, while that handler still runs; a replay can then
    /// begin beside it. Both runs are owed: one to the oversleeping, one to the
    /// operator.)
    RunsDoNotOverlap,
    /// No life has more attempts, or more runs of a handler, than it may.
    AttemptsAreBounded,
    /// Where nothing else goes wrong, a handler that always fails is given up after
    /// all of its attempts and not before, whatever its sibling does; unless that kills
    /// processes, which is charged to whatever runs next.
    EachHasItsAttempts,
    /// `dead` implies that no handler has anything left to try: one that waits is not
    /// buried with another that has used up its attempts.
    DeadWaitsForNothing,
    /// `dead` implies that something that was given up has not completed, whenever the
    /// completion came.
    DeadLacksSomething,
    /// What is given up does not run again in its life, nor in the next where the
    /// operator asked for others.
    GivenUpStays,
    /// Only reopening undoes `done` and `dead`; a late completion turns `dead`
    /// into `done`.
    OutcomeStands,
    /// There are no more lives than the operator asked for.
    LivesAreAskedFor,
    /// The sweeper sends one message for each time that it moves `due_at`.
    OneMessageADue,
    /// No write makes an item that is no event.
    ItemsAreEvents,
    /// Where nothing else goes wrong, what is given up has run: a route that was only
    /// left for later never ends an event.
    DeferredIsNotDead,
    /// What is left for later from within the lane waits before it is looked at again,
    /// so that no message goes round in a hot loop.
    LaneWaits,
}

impl Property {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::AcceptedIsKept,
        Self::AcceptedWasSent,
        Self::IndexIsRight,
        Self::DeadHasLetter,
        Self::LetterLasts,
        Self::EffectOnce,
        Self::CompletionStays,
        Self::LastFinishes,
        Self::DoneIsDone,
        Self::DoneLeavesNothing,
        Self::OnlyTheAskedRun,
        Self::RecordLasts,
        Self::PayloadLasts,
        Self::RunsDoNotOverlap,
        Self::AttemptsAreBounded,
        Self::EachHasItsAttempts,
        Self::DeadWaitsForNothing,
        Self::DeadLacksSomething,
        Self::GivenUpStays,
        Self::OutcomeStands,
        Self::LivesAreAskedFor,
        Self::OneMessageADue,
        Self::ItemsAreEvents,
        Self::DeferredIsNotDead,
        Self::LaneWaits,
    ];

    /// The promise in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::AcceptedIsKept => "no accepted event is lost",
            Self::AcceptedWasSent => "a 2xx implies that a send landed",
            Self::IndexIsRight => "the index shows what is unfinished or dead, and nothing else",
            Self::DeadHasLetter => "dead implies a dead letter that names the next life",
            Self::LetterLasts => "a dead event's letter lasts until it has opened the next life",
            Self::EffectOnce => "no handler takes effect again unasked",
            Self::CompletionStays => "a recorded completion stays",
            Self::LastFinishes => "the last completion finishes the event",
            Self::DoneIsDone => "done implies that every handler has run",
            Self::DoneLeavesNothing => "done implies that nothing is left behind, gone or not",
            Self::OnlyTheAskedRun => "a life for named routes runs no new one",
            Self::RecordLasts => "a record outlives its due time and its letter",
            Self::PayloadLasts => "a payload outlives its record",
            Self::RunsDoNotOverlap => "two runs never overlap within the lease",
            Self::AttemptsAreBounded => "attempts never exceed their maximum",
            Self::EachHasItsAttempts => "each handler has all of its attempts",
            Self::DeadWaitsForNothing => "dead implies that nothing waits",
            Self::DeadLacksSomething => "dead implies that something has not completed",
            Self::GivenUpStays => "what is given up is not run again unasked",
            Self::OutcomeStands => "only an operator undoes done and dead",
            Self::LivesAreAskedFor => "only an operator opens a life",
            Self::OneMessageADue => "the sweeper sends one message for each due time",
            Self::ItemsAreEvents => "every item is an event",
            Self::DeferredIsNotDead => "what was only left for later is not given up",
            Self::LaneWaits => "what the lane leaves for later waits",
        }
    }

    /// Whether it holds in this state.
    #[must_use]
    pub fn holds(self, config: &Config, world: &World) -> bool {
        if world.past.broken == Some(self) {
            return false;
        }
        let Some(item) = &world.item else {
            return !(self == Self::AcceptedIsKept && world.past.accepted);
        };
        match self {
            Self::AcceptedIsKept => !world.past.accepted || item.forgotten || is_indexed(item),
            Self::AcceptedWasSent => !world.past.accepted || world.past.sent || item.forgotten,
            Self::IndexIsRight => is_indexed(item),
            Self::DeadHasLetter => {
                !is_dead(item) || world.past.letters_sent & (1 << place(item.life + 1)) != 0
            }
            Self::LetterLasts => {
                let next = item.life + 1;
                let holds = |processor: &Processor| {
                    processor.message().is_some_and(|message| message.life == next)
                };
                !is_dead(item)
                    || world.past.letter_lost
                    || world.letters[place(next)] > 0
                    || world.queue[place(next)] > 0
                    || world.processors.iter().any(holds)
            }
            Self::CompletionStays => world.past.recorded & !item.completed == 0,
            Self::DoneIsDone => {
                let all = config.configured_at_first() & world.configured;
                let is_all = item.completed & all == all && world.past.asked == 0;
                item.stand != Stand::Done || is_all
            }
            Self::DoneLeavesNothing => {
                let left = item.failed() | (item.only & !item.completed);
                item.stand != Stand::Done || left == 0
            }
            Self::AttemptsAreBounded => {
                let most = config.max_attempts;
                item.attempts <= most && world.past.runs.iter().all(|runs| *runs <= most)
            }
            Self::EachHasItsAttempts => {
                let runs = world.past.runs.iter().zip(config.handlers).take(config.routes);
                !is_dead(item)
                    || !is_undisturbed(config, world)
                    || runs
                        .filter(|(_, handler)| *handler == Handler::Broken)
                        .all(|(runs, _)| *runs == config.max_attempts)
            }
            Self::DeadWaitsForNothing => {
                let is_open = |n: usize| item.completed & (1 << n) == 0;
                let waits = |n: usize| matches!(item.fates[n], Fate::Again { .. }) && is_open(n);
                !is_dead(item) || !(0..config.routes).any(waits)
            }
            Self::DeadLacksSomething => !is_dead(item) || item.failed() != 0,
            Self::DeferredIsNotDead => {
                let mut fates = item.fates.iter().zip(world.past.runs);
                config.deferrals == 0
                    || !is_dead(item)
                    || !is_undisturbed(config, world)
                    || !fates.any(|(fate, runs)| *fate == Fate::GivenUp && runs == 0)
            }
            Self::RecordLasts => item.forgotten || item.hollow || item.lasts != Lasts::TooShort,
            Self::LivesAreAskedFor => item.life <= 1 + config.left.acts - world.left.acts,
            Self::ItemsAreEvents => !item.hollow,
            Self::EffectOnce
            | Self::LastFinishes
            | Self::OnlyTheAskedRun
            | Self::PayloadLasts
            | Self::GivenUpStays
            | Self::RunsDoNotOverlap
            | Self::OutcomeStands
            | Self::OneMessageADue
            | Self::LaneWaits => true,
        }
    }
}

/// Whether nothing has gone wrong yet but what handlers do by themselves, and none of
/// these kills processes.
fn is_undisturbed(config: &Config, world: &World) -> bool {
    let spares_processes =
        |handler: &Handler| matches!(handler, Handler::Willing | Handler::Broken);
    world.left.faults == config.left.faults
        && world.left.acts == config.left.acts
        && config.handlers.iter().all(spares_processes)
}

fn is_dead(item: &Item) -> bool {
    item.stand == Stand::Dead && !item.forgotten
}

fn is_indexed(item: &Item) -> bool {
    match item.stand {
        Stand::Received | Stand::Failing => matches!(item.open, Open::Pending { .. }),
        Stand::Done => item.open == Open::Absent,
        Stand::Dead if item.forgotten => item.open == Open::Absent,
        Stand::Dead => item.open == Open::Dead,
    }
}
