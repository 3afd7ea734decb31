//! One state of the whole system: the item, the messages, what every process has
//! in hand, what may still go wrong, and what properties have to remember.

use crate::config::Config;
use crate::item::{Holder, Item, Last, Lasts, Stand};
use crate::properties::Property;

/// Lives that a message may name, with one to spare for the last dead letter.
pub const LIVES: usize = 5;
/// Processors that the model has room for.
pub const PROCESSORS: usize = 2;
/// All routes, a bit each.
pub const EVERY_ROUTE: u8 = 0b11;
/// Copies of one dead letter that are told apart; more make no difference, since
/// each names the same life.
const LETTERS: u8 = 2;

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The event's item.
    pub item: Option<Item>,
    /// Messages that can be received, by the life that they name, from 1.
    pub queue: [u8; LIVES],
    /// Likewise of the lane, the queue for what is left for later.
    pub lane: [u8; LIVES],
    /// Dead letters, by the life that they name.
    pub letters: [u8; LIVES],
    /// The receiver.
    pub receiver: Receiver,
    /// The processors.
    pub processors: [Processor; PROCESSORS],
    /// The sweeper.
    pub sweeper: Sweeper,
    /// The operator.
    pub operator: Operator,
    /// What may still come from outside.
    pub left: Left,
    /// The routes that are configured, a bit each.
    pub configured: u8,
    /// The payload was renewed, and no weeks have passed since: it lasts for whatever
    /// is written meanwhile, by whomever.
    pub renewed: bool,
    /// What has been, as far as properties ask for it.
    pub past: Past,
}

/// What may still come from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// Deliveries by the provider.
    pub deliveries: u8,
    /// Faults.
    pub faults: u8,
    /// Acts of the operator.
    pub acts: u8,
}

/// What has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Past {
    /// The provider was answered 2xx.
    pub accepted: bool,
    /// The queue took a message of the event.
    pub sent: bool,
    /// Lives that a dead letter was sent for, a bit each.
    pub letters_sent: u8,
    /// A letter was lost on its way back.
    pub letter_lost: bool,
    /// Routes whose completion was recorded and not taken back by the operator.
    pub recorded: u8,
    /// Routes that took effect, which a process knows or the ledger does.
    pub effective: u8,
    /// Routes that the operator asked to run again, and that have not.
    pub asked: u8,
    /// Runs of each handler in this life.
    pub runs: [u8; 2],
    /// Routes that are recorded as given up, a bit each.
    pub given_up: u8,
    /// Routes that may run in this life, a bit each: where somebody asked for some, no
    /// other one that had nothing left to do.
    pub may_run: u8,
    /// A message was sent since `due_at` was last moved by the sweeper.
    pub woken: bool,
    /// A property that a step has broken.
    pub broken: Option<Property>,
}

/// The receiver, one request at a time. Two at once would show nothing new: the
/// one that is slow looks like one that died, and its late message like one that
/// SQS doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// Nothing to do.
    Idle,
    /// Verified, and about to claim.
    Claiming,
    /// About to send the message of this life.
    Sending {
        /// The life.
        life: u8,
    },
    /// About to answer 2xx.
    Answering,
}

/// A message: a life, and the queue that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    /// The life that it names.
    pub life: u8,
    /// Whether it is in the lane.
    pub lane: bool,
}

/// A processor, one message at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Processor {
    /// Nothing to do.
    Idle,
    /// About to begin, for the message of this life.
    Beginning {
        /// The message in hand.
        message: Message,
        /// Whether it has reopened the event before.
        again: bool,
    },
    /// About to reopen what a redriven letter names.
    Reopening {
        /// The message in hand.
        message: Message,
    },
    /// Running handlers.
    Running {
        /// The message in hand.
        message: Message,
        /// The run.
        run: Run,
    },
    /// About to send the dead letter, or to mark the event dead.
    Burying {
        /// The message in hand.
        message: Message,
        /// What is buried.
        grave: Grave,
    },
    /// About to send the event's message into the lane.
    SendingOn {
        /// The message in hand.
        message: Message,
    },
    /// About to acknowledge the message.
    Ending {
        /// The message in hand.
        message: Message,
    },
}

/// What `begin` returned, and what has become of each route since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run {
    /// The event's life.
    pub life: u8,
    /// The attempts of each route, the running one included where it runs.
    pub attempts: [u8; 2],
    /// How often each route had been left for later when the run began.
    pub deferrals: [u8; 2],
    /// Its lease has ended: what is on its way may still land, nothing starts.
    pub late: bool,
    /// A completion of its own, whose answer was lost, has finished the event, and with it
    /// given up its lease.
    pub freed: bool,
    /// A completion could not be recorded, so the message is to be kept.
    pub keeps: bool,
    /// The routes that it answers for, a bit each.
    pub scope: u8,
    /// By which token it writes.
    pub token: Token,
    /// Each route.
    pub routes: [Route; 2],
}

/// The token that a run writes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Token {
    /// Its own.
    Own,
    /// That of a run which died, as it was read: no attempt is left.
    Read {
        /// Whether the item still shows it.
        same: bool,
    },
}

/// What has become of a route in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// Nothing to run: no such route, or completed before.
    Through,
    /// To be run.
    Waiting,
    /// It took effect, and that is to be recorded.
    Effective,
    /// That is recorded, but the answer was lost, and the SDK repeats the write.
    Repeating,
    /// Its completion could not be recorded.
    Unrecorded,
    /// It is left for later in this run.
    Deferred,
    /// Its handler failed.
    Failed,
    /// Its handler failed for good, or its attempts ended without an outcome.
    FailedForGood,
    /// Not to be run yet.
    Later,
    /// Given up in an attempt before.
    GivenUp,
}

/// An event that a processor gives up, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Grave {
    /// Its life.
    pub life: u8,
    /// The routes that are given up, where that is known.
    pub given_up: [bool; 2],
    /// Whether the token is the processor's own, of a run that failed.
    pub own: bool,
    /// Whether the item still shows the token that was read.
    pub same_token: bool,
    /// Whether the dead letter is on its way.
    pub sent: bool,
    /// Whether the state is written. Before the letter only where that order is
    /// broken on purpose.
    pub written: bool,
}

impl Grave {
    /// The token that it is written with.
    #[must_use]
    pub fn token(self) -> Token {
        if self.own { Token::Own } else { Token::Read { same: self.same_token } }
    }
}

/// The sweeper, one event at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sweeper {
    /// Nothing to do.
    Idle,
    /// Has read that the event is due, and is about to move `due_at`.
    Moving(Read),
    /// About to send the message of this life.
    Sending {
        /// The life.
        life: u8,
    },
}

/// How the item's `due_at` stands to the one that the sweeper read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    /// It is the same.
    Same,
    /// It is the one that the sweeper wrote and may write again.
    Mine,
    /// Neither.
    Other,
}

/// The operator, one plan at a time; an interrupted one may be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Nothing to do.
    Idle,
    /// Has seen the event, and is about to reopen it.
    Planned {
        /// The life that was seen.
        seen: u8,
        /// The completed routes that were seen, where a break asks for them.
        completed: u8,
        /// Which handlers are to run.
        rerun: Again,
    },
    /// About to send the message of this life.
    Sending {
        /// The life.
        life: u8,
        /// The plan, should it be gone on with.
        rerun: Again,
    },
    /// About to have the content removed.
    Forgetting {
        /// The item as it was seen: life and state count.
        seen: Item,
    },
}

/// Which handlers a replay runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Again {
    /// Those that have not completed.
    Unfinished,
    /// Those, and the first route.
    First,
    /// All.
    All,
}

impl World {
    /// Before anything has happened.
    #[must_use]
    pub fn new(left: Left, configured: u8) -> Self {
        Self {
            item: None,
            queue: [0; LIVES],
            lane: [0; LIVES],
            letters: [0; LIVES],
            receiver: Receiver::Idle,
            processors: [Processor::Idle; PROCESSORS],
            sweeper: Sweeper::Idle,
            operator: Operator::Idle,
            left,
            configured,
            renewed: false,
            past: Past {
                accepted: false,
                sent: false,
                letters_sent: 0,
                letter_lost: false,
                recorded: 0,
                effective: 0,
                asked: 0,
                runs: [0; 2],
                given_up: 0,
                may_run: EVERY_ROUTE,
                woken: false,
                broken: None,
            },
        }
    }

    /// Messages in the queue and in hand.
    #[must_use]
    pub fn messages(&self) -> usize {
        let held = self.processors.iter().filter(|processor| processor.message().is_some());
        let waiting = self.queue.iter().chain(&self.lane);
        waiting.map(|&count| usize::from(count)).sum::<usize>() + held.count()
    }

    /// Every message that can be received, once for each life and queue.
    pub fn waiting(&self) -> impl Iterator<Item = Message> + use<> {
        let of = |lane: bool, counts: [u8; LIVES]| {
            let waiting = (1..).zip(counts).filter(|(_, count)| *count > 0);
            waiting.map(move |(life, _)| Message { life, lane })
        };
        of(false, self.queue).chain(of(true, self.lane))
    }

    /// How many such messages can be received.
    pub fn count(&mut self, message: Message) -> &mut u8 {
        let counts = if message.lane { &mut self.lane } else { &mut self.queue };
        &mut counts[place(message.life)]
    }

    /// The queue takes a message.
    pub fn send(&mut self, life: u8) {
        self.queue[place(life)] += 1;
        self.past.sent = true;
    }

    /// The dead-letter queue takes a message.
    pub fn send_letter(&mut self, life: u8) {
        let letters = &mut self.letters[place(life)];
        *letters = (*letters + 1).min(LETTERS);
    }

    /// Keeps the first property that a step breaks.
    pub fn breaks(&mut self, property: Property) {
        self.past.broken.get_or_insert(property);
    }

    /// Writes the item, and what follows for those who have read it.
    pub fn write(&mut self, item: Option<Item>) {
        let before = self.item;
        self.item = item;
        if let (Some(before), Some(after)) = (before, item)
            && before.life == after.life
            && !before.stand.is_unfinished()
            && (after.stand.is_unfinished()
                || (before.stand, after.stand) == (Stand::Done, Stand::Dead))
        {
            self.breaks(Property::OutcomeStands);
        }
        for processor in &mut self.processors {
            let is_same = before.map(|item| item.token) == item.map(|item| item.token);
            match processor {
                Processor::Burying { grave, .. } if !grave.own => grave.same_token &= is_same,
                Processor::Running { run, .. } => {
                    if let Token::Read { same } = &mut run.token {
                        *same &= is_same;
                    }
                }
                _ => {}
            }
        }
    }

    /// A write has landed that may have moved the record's expiry.
    pub fn lasts_longer(&mut self, config: &Config, before: Option<Item>, opens: bool) {
        let moves = opens || before.is_some_and(|item| item.lasts != Lasts::Amply);
        if config.ages && moves && !self.renewed {
            self.breaks(Property::PayloadLasts);
        }
    }

    /// Whoever read the old `due_at` holds something else now.
    pub fn due_at_moved(&mut self) {
        if let Sweeper::Moving(read) = &mut self.sweeper {
            *read = Read::Other;
        }
    }

    /// What a processor had in hand is over: its token is nobody's any more, and
    /// no write of it will be repeated.
    pub fn disown(&mut self, slot: u8) {
        if let Some(item) = &mut self.item {
            if item.token == Holder::Processor(slot) {
                item.token = Holder::Former;
            }
            if item.last == Last::BuriedBy(slot) {
                item.last = Last::Other;
            }
        }
    }
}

impl Processor {
    /// The message in hand.
    #[must_use]
    pub fn message(self) -> Option<Message> {
        match self {
            Self::Idle => None,
            Self::Beginning { message, .. }
            | Self::Reopening { message }
            | Self::Running { message, .. }
            | Self::Burying { message, .. }
            | Self::SendingOn { message }
            | Self::Ending { message } => Some(message),
        }
    }

    /// Whether handlers run, within a lease that nobody has given up.
    #[must_use]
    pub fn runs_handlers(self) -> bool {
        matches!(self, Self::Running { run, .. }
            if !run.late && !run.freed && run.routes.contains(&Route::Waiting))
    }
}

/// Where messages that name this life are counted.
#[must_use]
pub fn place(life: u8) -> usize {
    usize::from(life).clamp(1, LIVES) - 1
}
