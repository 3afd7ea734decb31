//! Everything that can happen, in words.

use std::fmt;

use crate::world::{Again, Message};

/// One step of anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The provider sends the event, for the first time or once more.
    Deliver,
    /// The receiver.
    Receiver(ReceiverStep),
    /// A processor receives a message.
    Receive {
        /// Which processor.
        slot: u8,
        /// The message.
        message: Message,
    },
    /// A processor.
    Processor(u8, ProcessorStep),
    /// The sweeper.
    Sweeper(SweeperStep),
    /// The operator.
    Operator(OperatorStep),
    /// Time, the queue, and what may befall them.
    World(WorldStep),
}

/// A step of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiverStep {
    /// Claims.
    Claim,
    /// Claims, and the SDK will repeat it.
    ClaimReplyLost,
    /// Sends.
    Send,
    /// Sends, and the SDK will repeat it.
    SendReplyLost,
    /// The queue refuses the message. Only with a break: otherwise it is a death.
    SendRefused,
    /// Answers 2xx.
    Answer,
    /// Dies, or answers 503.
    Die,
}

/// A step of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessorStep {
    /// Begins.
    Begin,
    /// Begins, and the SDK will repeat it.
    BeginReplyLost,
    /// Opens the life that a redriven letter names.
    Reopen,
    /// Likewise, and the SDK will repeat it.
    ReopenReplyLost,
    /// A handler takes effect.
    Effect(u8),
    /// A handler fails.
    Fails(u8),
    /// A handler fails for good.
    FailsForGood(u8),
    /// A handler kills its process.
    Kills(u8),
    /// A route is not run but left for later: it is marked, or its breaker is open.
    Leaves(u8),
    /// Records a completion.
    Complete(u8),
    /// Records a completion, and the SDK will repeat it.
    CompleteReplyLost(u8),
    /// Gives up recording a completion, which has landed or has not.
    CompleteError {
        /// The route.
        route: u8,
        /// Whether it has landed.
        landed: bool,
    },
    /// Records that nothing is left to run.
    Finish,
    /// Likewise, and the SDK will repeat it.
    FinishReplyLost,
    /// Records a failed attempt, and keeps or acknowledges the message.
    Fail {
        /// Whether the message is acknowledged.
        parked: bool,
    },
    /// Records a failed attempt, and the SDK will repeat it.
    FailReplyLost,
    /// Records which routes are left for later.
    Defer,
    /// Likewise, and the SDK will repeat it.
    DeferReplyLost,
    /// Sends the event's message into the lane.
    SendOn,
    /// Likewise, and the SDK will repeat it.
    SendOnReplyLost,
    /// Renews the payload, before a write that makes the record last longer.
    Renew,
    /// Sends the dead letter.
    SendLetter,
    /// Sends the dead letter, and the SDK will repeat it.
    SendLetterReplyLost,
    /// Marks the event dead.
    Bury,
    /// Marks the event dead, and the SDK will repeat it.
    BuryReplyLost,
    /// Acknowledges the message.
    Acknowledge,
    /// Dies, or leaves the message because a call failed.
    Die,
    /// Is ended, its time being over.
    TimeIsOver,
}

/// A step of the sweeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweeperStep {
    /// Finds the event due.
    Read,
    /// Renews the payload, before the record lasts longer.
    Renew,
    /// Moves `due_at`.
    Sweep,
    /// Moves `due_at`, and the SDK will repeat it.
    SweepReplyLost,
    /// Sends.
    Send,
    /// Sends, and the SDK will repeat it.
    SendReplyLost,
    /// Dies.
    Die,
}

/// A step of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorStep {
    /// Looks at the event and decides to replay it.
    Plan(Again),
    /// Renews the payload, before the record lasts longer.
    Renew,
    /// Opens the new life.
    Reopen,
    /// Opens the new life, and the SDK will repeat it.
    ReopenReplyLost,
    /// Sends its message.
    Send,
    /// Is interrupted before that, and gives the command again.
    Interrupt,
    /// Lets the plan be.
    GiveUp,
    /// Looks at the event and decides to forget it.
    PlanToForget,
    /// Removes the content.
    Forget,
    /// Sends a dead letter back to the queue.
    Redrive {
        /// The life that it names.
        life: u8,
        /// Whether it stays a dead letter too, the command having died.
        stays: bool,
    },
}

/// Time, the queue, and what may befall them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorldStep {
    /// The lease of a run that is over ends.
    LeaseEnds,
    /// The lease ends under a process that still has something to write.
    Oversleep,
    /// `next_at` comes.
    NextComes(u8),
    /// `due_at` comes.
    DueComes,
    /// A message is lost.
    Lose(Message),
    /// A message is delivered once more.
    Double(Message),
    /// SQS itself makes a message a dead letter.
    MoveAway(Message),
    /// Retention ends, and the item is deleted.
    Expire,
    /// Weeks pass, in which nobody came to an outcome.
    Age,
    /// The second route is configured.
    RouteAdded,
    /// The second route is configured no more.
    RouteRemoved,
}

/// What a path's fairness is judged by; see the crate's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fairness {
    /// Nobody need ever do it.
    None,
    /// Done at some time if it can be done from some time on: by number.
    Weak(u8),
    /// Done at some time if it can be done again and again: by number.
    Strong(u8),
}

impl Action {
    /// Whether it is a fault.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Receiver(step) => {
                !matches!(step, ReceiverStep::Claim | ReceiverStep::Send | ReceiverStep::Answer)
            }
            // A handler's own failures are counted where it is chosen.
            Self::Processor(_, step) => matches!(
                step,
                ProcessorStep::BeginReplyLost
                    | ProcessorStep::ReopenReplyLost
                    | ProcessorStep::CompleteReplyLost(_)
                    | ProcessorStep::CompleteError { .. }
                    | ProcessorStep::FinishReplyLost
                    | ProcessorStep::FailReplyLost
                    | ProcessorStep::DeferReplyLost
                    | ProcessorStep::SendOnReplyLost
                    | ProcessorStep::SendLetterReplyLost
                    | ProcessorStep::BuryReplyLost
                    | ProcessorStep::Die
            ),
            Self::Sweeper(step) => matches!(
                step,
                SweeperStep::SweepReplyLost | SweeperStep::SendReplyLost | SweeperStep::Die
            ),
            Self::Operator(step) => matches!(
                step,
                OperatorStep::ReopenReplyLost
                    | OperatorStep::Interrupt
                    | OperatorStep::Redrive { stays: true, .. }
            ),
            Self::World(step) => !matches!(
                step,
                WorldStep::LeaseEnds | WorldStep::NextComes(_) | WorldStep::DueComes
            ),
            Self::Deliver | Self::Receive { .. } => false,
        }
    }

    /// How often it must happen, faults and what comes from outside apart.
    #[must_use]
    pub fn fairness(&self) -> Fairness {
        match self {
            _ if self.is_fault() => Fairness::None,
            Self::Deliver | Self::Operator(_) => Fairness::None,
            Self::Receiver(_) => Fairness::Weak(0),
            Self::Processor(slot, _) => Fairness::Weak(1 + slot),
            Self::Sweeper(_) => Fairness::Weak(3),
            Self::World(WorldStep::LeaseEnds) => Fairness::Weak(4),
            Self::World(WorldStep::NextComes(n)) => Fairness::Weak(5 + n),
            Self::World(_) => Fairness::Weak(7),
            Self::Receive { message: Message { life, lane: false }, .. } => {
                Fairness::Strong(8 + life)
            }
            Self::Receive { message: Message { life, lane: true }, .. } => {
                Fairness::Strong(16 + life)
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver => f.write_str("provider: sends the event"),
            Self::Receiver(step) => write!(f, "receiver: {}", words(&format!("{step:?}"))),
            Self::Receive { slot, message: Message { life, lane } } => {
                let from = if *lane { " from the lane" } else { "" };
                write!(f, "processor {slot}: receives the message of life {life}{from}")
            }
            Self::Processor(slot, step) => {
                write!(f, "processor {slot}: {}", words(&format!("{step:?}")))
            }
            Self::Sweeper(step) => write!(f, "sweeper: {}", words(&format!("{step:?}"))),
            Self::Operator(step) => write!(f, "operator: {}", words(&format!("{step:?}"))),
            Self::World(step) => write!(f, "world: {}", words(&format!("{step:?}"))),
        }
    }
}

/// `SendReplyLost` as `send reply lost`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for (n, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && n > 0 && !words.ends_with('(') {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}
