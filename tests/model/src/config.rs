//! How large a world is explored, and with what in it.

use crate::action::{Action, ProcessorStep};
use crate::breaks::Break;
use crate::item::Detail;
use crate::ledger::Rules;
use crate::world::{Again, Left, World};

/// What a handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// It succeeds, unless a fault makes it fail.
    Willing,
    /// It fails, always.
    Broken,
    /// It kills its process, always.
    Poison,
    /// It fails at its first attempt, and kills its process from then on.
    Turns,
}

/// One world.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// For people.
    pub name: &'static str,
    /// How many routes the event has.
    pub routes: usize,
    /// What their handlers do.
    pub handlers: [Handler; 2],
    /// How many processors there are.
    pub processors: u8,
    /// Attempts of one life.
    pub max_attempts: u8,
    /// How often in a row a route may be left for later; 0 where none is marked and no
    /// breaker opens.
    pub deferrals: u8,
    /// Most messages in the queue and in hand at once.
    pub messages: usize,
    /// Deliveries, faults and acts.
    pub left: Left,
    /// What the operator may replay.
    pub replays: &'static [Again],
    /// Whether the operator redrives.
    pub redrives: bool,
    /// Whether the operator forgets.
    pub forgets: bool,
    /// Whether retention ends.
    pub expires: bool,
    /// What is broken on purpose.
    pub broken: Option<Break>,
}

impl Config {
    /// A small world: one handler, one processor, nothing from outside.
    pub const SMALL: Self = Self {
        name: "small",
        routes: 1,
        handlers: [Handler::Willing; 2],
        processors: 1,
        max_attempts: 2,
        deferrals: 0,
        messages: 2,
        left: Left { deliveries: 1, faults: 1, acts: 0 },
        replays: &[],
        redrives: false,
        forgets: false,
        expires: false,
        broken: None,
    };

    /// The rules that hold in it.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            max_attempts: self.max_attempts,
            deferrals: self.deferrals,
            routes: self.routes,
            broken: self.broken,
            detail: Detail::Edge,
        }
    }

    /// Whether the queue takes a message. One that does not makes the sender
    /// wait; somebody then has one to receive.
    #[must_use]
    pub fn has_room(&self, world: &World) -> bool {
        world.messages() < self.messages
    }

    /// Whether a step uses up a fault.
    #[must_use]
    pub fn is_fault(&self, action: &Action) -> bool {
        match action {
            Action::Processor(_, ProcessorStep::Fails(n) | ProcessorStep::FailsForGood(n)) => {
                self.handlers[usize::from(*n)] == Handler::Willing
            }
            action => action.is_fault(),
        }
    }
}
