//! Whether everything ends, once nothing goes wrong any more.
//!
//! ```text
//! reached by any steps ──▶ from here on only calm steps ──▶ at rest: done or dead
//!                                      │                     │
//!                                      └─▶ a fair cycle      └─▶ at rest: neither
//!                                          = loops for ever      = stuck
//! ```
//!
//! `stateright` finds that something always happens at the end of a path, but a
//! path that comes back to itself has no end. So the whole graph is searched: a
//! run that never rests stays in one strongly connected component of the calm
//! steps, and it is a run that can really be if it is fair:
//!
//! - weakly: whoever can take a step from some time on takes one at some time.
//!   This is asked of each processor, the receiver, the sweeper, and of time
//!   (leases end, `next_at` and `due_at` come);
//! - strongly: a message that can be received again and again is received at
//!   some time. This is asked of the messages of each life.
//!
//! Nothing is asked of provider and operator.
//!
//! A component in which a class of weak fairness can step everywhere and never
//! does is no run, nor is any part of it. Where a class of strong fairness can
//! step somewhere and never does, only the part without those states can be one,
//! which is searched again. What is left is a run that never ends.

use crate::action::Action;
use crate::graph::{Graph, WEAK};
use crate::world::{Processor, Receiver, Sweeper, World};

/// A run that does not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endless {
    /// Nothing happens any more, and the event is neither done nor dead.
    Stuck {
        /// The way to where it rests.
        way: Vec<Action>,
    },
    /// Something happens for ever.
    Loops {
        /// The way to the cycle.
        way: Vec<Action>,
        /// One time around it; a fair run may take others between.
        cycle: Vec<Action>,
        /// How many states the run can be in.
        states: usize,
    },
}

/// Looks for a run that does not end well.
#[must_use]
pub fn find_endless(graph: &Graph) -> Option<Endless> {
    let all: Vec<u32> = (0..u32::try_from(graph.len()).ok()?).collect();
    let is_stuck = |id: &&u32| graph.calm(**id).is_empty() && !is_at_rest(graph.state(**id));
    if let Some(id) = all.iter().find(is_stuck) {
        return Some(Endless::Stuck { way: graph.way_to(*id) });
    }
    let mut search = Search::new(graph);
    let mut sets = vec![all];
    while let Some(set) = sets.pop() {
        for component in search.components(&set) {
            match search.judge(&component) {
                Judgement::Unfair => {}
                Judgement::Without(class) => {
                    let cannot = |id: &u32| search.enabled(*id) & class == 0;
                    sets.push(component.iter().copied().filter(cannot).collect());
                }
                Judgement::Fair => return Some(search.describe(&component)),
            }
        }
    }
    None
}

/// Nobody has anything in hand, and the event is done or dead, or never was.
fn is_at_rest(world: &World) -> bool {
    world.item.is_none_or(|item| !item.stand.is_unfinished() && !item.hollow)
        && world.receiver == Receiver::Idle
        && world.sweeper == Sweeper::Idle
        && world.processors.iter().all(|processor| *processor == Processor::Idle)
        && world.waiting().next().is_none()
}

enum Judgement {
    /// A run must leave it.
    Unfair,
    /// A run may stay where this class cannot step.
    Without(u32),
    /// A run may stay.
    Fair,
}

/// Tarjan's search for strongly connected components, on a part of the graph.
struct Search<'a> {
    graph: &'a Graph,
    /// In which set or component a state is; 0 for none.
    mark: Vec<u32>,
    marks: u32,
    order: Vec<u32>,
    low: Vec<u32>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph) -> Self {
        let zeros = vec![0; graph.len()];
        Self { graph, mark: zeros.clone(), marks: 0, order: zeros.clone(), low: zeros }
    }

    /// The components of more than one state within a set.
    fn components(&mut self, set: &[u32]) -> Vec<Vec<u32>> {
        self.marks += 1;
        let inside = self.marks;
        for id in set {
            self.mark[*id as usize] = inside;
            self.order[*id as usize] = 0;
        }
        let (mut components, mut stack, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        let mut count = 0;
        for root in set {
            if self.order[*root as usize] != 0 {
                continue;
            }
            calls.push((*root, 0));
            while let Some((id, step)) = calls.pop() {
                let at = id as usize;
                if step == 0 {
                    count += 1;
                    self.order[at] = count;
                    self.low[at] = count;
                    stack.push(id);
                }
                if let Some(next) = self.graph.calm(id).get(step) {
                    calls.push((id, step + 1));
                    let to = next.to as usize;
                    if self.mark[to] != inside {
                        continue;
                    }
                    if self.order[to] == 0 {
                        calls.push((next.to, 0));
                    } else {
                        self.low[at] = self.low[at].min(self.order[to]);
                    }
                    continue;
                }
                if let Some((caller, _)) = calls.last() {
                    let caller = *caller as usize;
                    self.low[caller] = self.low[caller].min(self.low[at]);
                }
                if self.low[at] == self.order[at] {
                    let start = stack.iter().rposition(|other| *other == id).unwrap_or_default();
                    let component = stack.split_off(start);
                    for id in &component {
                        self.mark[*id as usize] = 0;
                    }
                    if component.len() > 1 {
                        components.push(component);
                    }
                }
            }
        }
        components
    }

    /// Whether a run that visits just these states for ever is fair.
    fn judge(&mut self, component: &[u32]) -> Judgement {
        self.marks += 1;
        for id in component {
            self.mark[*id as usize] = self.marks;
        }
        let (mut somewhere, mut everywhere, mut taken) = (0, u32::MAX, 0);
        for id in component {
            let enabled = self.enabled(*id);
            somewhere |= enabled;
            everywhere &= enabled;
            let stays = |step: &&crate::graph::Step| self.mark[step.to as usize] == self.marks;
            taken |=
                self.graph.calm(*id).iter().filter(stays).fold(0, |set, step| set | step.class);
        }
        let starved = somewhere & !WEAK & !taken;
        if everywhere & WEAK & !taken != 0 {
            Judgement::Unfair
        } else if starved != 0 {
            Judgement::Without(starved)
        } else {
            Judgement::Fair
        }
    }

    fn enabled(&self, id: u32) -> u32 {
        self.graph.calm(id).iter().fold(0, |set, step| set | step.class)
    }

    /// The way to a component, and a shortest cycle in it. Its states are marked.
    fn describe(&self, component: &[u32]) -> Endless {
        let start = component.iter().copied().min().unwrap_or_default();
        let mut from = std::collections::BTreeMap::new();
        let mut waiting = std::collections::VecDeque::from([start]);
        while let Some(id) = waiting.pop_front() {
            for step in self.graph.calm(id) {
                if self.mark[step.to as usize] == self.marks && !from.contains_key(&step.to) {
                    from.insert(step.to, id);
                    waiting.push_back(step.to);
                }
            }
        }
        let (mut cycle, mut id) = (Vec::new(), start);
        while let Some(before) = from.get(&id) {
            cycle.extend(self.graph.calm_action(*before, id));
            id = *before;
            if id == start {
                break;
            }
        }
        cycle.reverse();
        Endless::Loops { way: self.graph.way_to(start), cycle, states: component.len() }
    }
}
