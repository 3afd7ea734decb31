//! The protocol as `stateright` sees it: a first state, the steps that lead on
//! from each, and what must hold in all.

use stateright::{Model, Property as Checked};

use crate::action::Action;
use crate::actors::{operator, processor, receiver, surroundings, sweeper};
use crate::config::Config;
use crate::properties::Property;
use crate::world::{Processor, Receiver, World};

/// The protocol in one world.
#[derive(Clone, Copy, Debug)]
pub struct Protocol(pub Config);

impl Protocol {
    /// What a step leads to.
    #[must_use]
    pub fn after(&self, world: &World, action: Action) -> World {
        let config = &self.0;
        let mut world = world.clone();
        if config.is_fault(&action) {
            world.left.faults -= 1;
        }
        match action {
            Action::Deliver => {
                world.left.deliveries -= 1;
                world.receiver = Receiver::Claiming;
            }
            Action::Receiver(step) => receiver::take(config, &mut world, step),
            Action::Receive { slot, message } => {
                *world.count(message) -= 1;
                let begun = Processor::Beginning { message, again: false };
                world.processors[usize::from(slot)] = begun;
            }
            Action::Processor(slot, step) => processor::take(config, &mut world, slot, step),
            Action::Sweeper(step) => sweeper::take(config, &mut world, step),
            Action::Operator(step) => operator::take(config, &mut world, step),
            Action::World(step) => surroundings::take(&mut world, step),
        }
        world
    }
}

macro_rules! checked {
    ($($property:ident),+ $(,)?) => {
        vec![$(Checked::always(Property::$property.words(), |protocol: &Protocol, world| {
            Property::$property.holds(&protocol.0, world)
        })),+]
    };
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.0.left, self.0.configured_at_first())]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let config = &self.0;
        // What comes after a broken promise shows nothing.
        if world.past.broken.is_some() {
            return;
        }
        if world.left.deliveries > 0 && world.receiver == Receiver::Idle {
            actions.push(Action::Deliver);
        }
        actions.extend(receiver::steps(config, world).into_iter().map(Action::Receiver));
        for slot in 0..config.processors {
            if world.processors[usize::from(slot)] == Processor::Idle {
                let waiting = world.waiting();
                actions.extend(waiting.map(|message| Action::Receive { slot, message }));
            }
            let steps = processor::steps(config, world, slot);
            actions.extend(steps.into_iter().map(|step| Action::Processor(slot, step)));
        }
        actions.extend(sweeper::steps(config, world).into_iter().map(Action::Sweeper));
        actions.extend(operator::steps(config, world).into_iter().map(Action::Operator));
        actions.extend(surroundings::steps(config, world).into_iter().map(Action::World));
        if world.left.faults == 0 {
            actions.retain(|action| !config.is_fault(action));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let after = self.after(world, action);
        (after != *world).then_some(after)
    }

    fn properties(&self) -> Vec<Checked<Self>> {
        checked![
            AcceptedIsKept,
            AcceptedWasSent,
            IndexIsRight,
            DeadHasLetter,
            LetterLasts,
            EffectOnce,
            CompletionStays,
            LastFinishes,
            DoneIsDone,
            DoneLeavesNothing,
            OnlyTheAskedRun,
            RecordLasts,
            PayloadLasts,
            RunsDoNotOverlap,
            AttemptsAreBounded,
            OutcomeStands,
            LivesAreAskedFor,
            OneMessageADue,
            ItemsAreEvents,
            DeferredIsNotDead,
            LaneWaits,
        ]
    }
}
