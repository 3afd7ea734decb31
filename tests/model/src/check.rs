//! A world checked: `stateright` for what must hold in every state, then our own
//! search for runs that do not end well.

use std::time::{Duration, Instant};

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::action::Action;
use crate::config::Config;
use crate::graph::{Graph, Upto};
use crate::liveness::{Endless, find_endless};
use crate::properties::Property;
use crate::protocol::Protocol;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every promise holds, and everything ends.
    Holds,
    /// A promise does not, after these steps.
    Breaks(Property, Vec<Action>),
    /// Something does not end.
    Endless(Endless),
    /// Time was over before the whole was seen; nothing was found so far.
    Unfinished,
}

/// What was found, and how much was looked at.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was found.
    pub verdict: Verdict,
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: usize,
    /// Steps to the last state, on shortest ways.
    pub depth: usize,
}

/// Checks a world, for as long as there is `time`.
#[must_use]
pub fn check(config: Config, time: Duration) -> Report {
    let started = Instant::now();
    let protocol = Protocol(config);
    let checker = protocol
        .checker()
        .timeout(time)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let mut report = Report {
        verdict: Verdict::Unfinished,
        states: checker.unique_state_count(),
        transitions: checker.state_count(),
        depth: checker.max_depth(),
    };
    let is_broken = !checker.discoveries().is_empty();
    drop(checker);
    // `stateright` tells the last that it met before it stopped; the graph is
    // searched for the first, to which the way is a shortest one.
    let upto = if is_broken { Upto::Broken } else { Upto::TheEnd };
    let graph = Graph::explore(protocol, upto, time.saturating_sub(started.elapsed()));
    if let Some((property, id)) = graph.broken {
        report.verdict = Verdict::Breaks(property, graph.way_to(id));
    } else if graph.is_complete {
        // Two searches that share only the protocol must see the same.
        assert!(!is_broken && graph.len() == report.states, "the searches disagree: {report:?}");
        report.verdict = find_endless(&graph).map_or(Verdict::Holds, Verdict::Endless);
    }
    report
}
