//! All states that can be reached, and the steps between them.
//!
//! Breadth first, so that the way to a state is a shortest one. A state is known
//! by its place in the order; of the steps, those are kept that happen when
//! nothing goes wrong any more and nobody asks for anything (the *calm* ones),
//! each with its class of fairness.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::{Duration, Instant};

use stateright::Model;

use crate::action::{Action, Fairness};
use crate::properties::Property;
use crate::protocol::Protocol;
use crate::world::World;

/// Where a path begins.
const FIRST: u32 = 0;

/// The states of one world that can be reached.
pub struct Graph {
    protocol: Protocol,
    states: Vec<World>,
    /// From where each state was reached first.
    parents: Vec<u32>,
    /// Where a state's calm steps begin in `steps`; one more at the end.
    offsets: Vec<u32>,
    steps: Vec<Step>,
    /// Steps of any kind.
    pub transitions: usize,
    /// Steps on the longest of the shortest ways.
    pub depth: u32,
    /// The first promise that was found broken, and where.
    pub broken: Option<(Property, u32)>,
    /// Whether it is the whole.
    pub is_complete: bool,
}

/// How far to explore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upto {
    /// To the first state in which a promise is broken.
    Broken,
    /// To the end.
    TheEnd,
}

/// A calm step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Where it leads.
    pub to: u32,
    /// A bit for its class: below 7 weak, from 7 strong.
    pub class: u32,
}

/// The classes of weak fairness.
pub const WEAK: u32 = 0b1111_1111;

impl Graph {
    /// Explores, for as long as there is time, the whole or up to the first broken
    /// promise.
    #[must_use]
    pub fn explore(protocol: Protocol, upto: Upto, time: Duration) -> Self {
        let started = Instant::now();
        let first = World::new(protocol.0.left, protocol.0.configured_at_first());
        let mut known = HashMap::from([(fingerprint(&first), FIRST)]);
        let mut graph = Self {
            protocol,
            states: vec![first],
            parents: vec![FIRST],
            offsets: vec![0],
            steps: Vec::new(),
            transitions: 0,
            depth: 0,
            broken: None,
            is_complete: true,
        };
        let (mut level_ends_at, mut actions) = (1, Vec::new());
        let mut from = 0;
        while let Some(world) = graph.states.get(from).cloned() {
            if from == level_ends_at {
                graph.depth += 1;
                level_ends_at = graph.states.len();
            }
            // Not on every state: asking for the time costs as much as a step.
            if from % 1024 == 0 && started.elapsed() > time {
                graph.is_complete = false;
                return graph;
            }
            let holds = |property: &&Property| property.holds(&protocol.0, &world);
            if let Some(property) = Property::ALL.iter().find(|property| !holds(property)) {
                graph.broken.get_or_insert((*property, number(from)));
                if upto == Upto::Broken {
                    graph.is_complete = false;
                    return graph;
                }
            }
            protocol.actions(&world, &mut actions);
            for action in actions.drain(..) {
                let Some(after) = protocol.next_state(&world, action) else { continue };
                graph.transitions += 1;
                let next = number(graph.states.len());
                let to = *known.entry(fingerprint(&after)).or_insert(next);
                if to == next {
                    graph.states.push(after);
                    graph.parents.push(number(from));
                }
                if let Some(class) = class(&protocol, action) {
                    graph.steps.push(Step { to, class });
                }
            }
            graph.offsets.push(number(graph.steps.len()));
            from += 1;
        }
        graph
    }

    /// How many states there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there is none, which never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// A state.
    #[must_use]
    pub fn state(&self, id: u32) -> &World {
        &self.states[id as usize]
    }

    /// All states.
    #[must_use]
    pub fn states(&self) -> &[World] {
        &self.states
    }

    /// A state's calm steps.
    #[must_use]
    pub fn calm(&self, id: u32) -> &[Step] {
        let id = id as usize;
        &self.steps[self.offsets[id] as usize..self.offsets[id + 1] as usize]
    }

    /// A shortest way to a state.
    #[must_use]
    pub fn way_to(&self, mut id: u32) -> Vec<Action> {
        let mut way = Vec::new();
        while id != FIRST {
            let parent = self.parents[id as usize];
            way.extend(self.actions(parent, id).next());
            id = parent;
        }
        way.reverse();
        way
    }

    /// A calm step from one state to the next.
    #[must_use]
    pub fn calm_action(&self, from: u32, to: u32) -> Option<Action> {
        self.actions(from, to).find(|action| class(&self.protocol, *action).is_some())
    }

    fn actions(&self, from: u32, to: u32) -> impl Iterator<Item = Action> {
        let (from, to) = (self.state(from), self.state(to));
        let mut actions = Vec::new();
        self.protocol.actions(from, &mut actions);
        actions.into_iter().filter(move |action| self.protocol.after(from, *action) == *to)
    }
}

/// The bit of a calm step's class.
fn class(protocol: &Protocol, action: Action) -> Option<u32> {
    match action.fairness() {
        _ if protocol.0.is_fault(&action) => None,
        Fairness::None => None,
        Fairness::Weak(class) | Fairness::Strong(class) => Some(1 << class),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than four thousand million states")
}

/// As `stateright` does: two of ten million states have the same by a chance of
/// three in a million.
fn fingerprint(world: &World) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(world)
}
