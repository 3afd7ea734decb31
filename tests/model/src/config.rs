//! How large a world is explored, and with what in it.

use crate::action::{Action, ProcessorStep};
use crate::breaks::Break;
use crate::item::{Detail, Lasts};
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
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Config {
    /// For people.
    pub name: &'static str,
    /// How many routes the event may have.
    pub routes: usize,
    /// Whether the second route is added only later.
    pub adds: bool,
    /// Whether the second route is removed at some time.
    pub removes: bool,
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
    /// Whether weeks pass over an event, whose payload lies apart from its record.
    pub ages: bool,
    /// What is broken on purpose.
    pub broken: Option<Break>,
}

impl Config {
    /// A small world: one handler, one processor, nothing from outside.
    pub const SMALL: Self = Self {
        name: "small",
        routes: 1,
        adds: false,
        removes: false,
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
        ages: false,
        broken: None,
    };

    /// The rules that hold in it.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            max_attempts: self.max_attempts,
            deferrals: self.deferrals,
            broken: self.broken,
            detail: Detail::Edge,
        }
    }

    /// The routes that are configured before anything has happened, a bit each.
    #[must_use]
    pub fn configured_at_first(&self) -> u8 {
        if self.adds { 1 } else { (1 << self.routes) - 1 }
    }

    /// Whether the payload must be renewed before a write that may move the record's
    /// expiry; one that opens a life always does.
    #[must_use]
    pub fn must_renew(&self, world: &World, opens: bool) -> bool {
        let moves = opens || world.item.is_some_and(|item| item.lasts != Lasts::Amply);
        let is_due = self.ages && moves && !world.renewed;
        is_due && self.broken != Some(Break::PayloadNotRenewed)
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
