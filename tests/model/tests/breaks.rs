//! Each remedy taken away brings the harm back that it is there for.

use std::time::Duration;

use inbox_model::action::{Action, ProcessorStep, SweeperStep};
use inbox_model::breaks::{Break, Harm};
use inbox_model::check::{Verdict, check};
use inbox_model::graph::{Graph, Upto};
use inbox_model::liveness::{Endless, find_endless};
use inbox_model::protocol::Protocol;

const TIME: Duration = Duration::from_mins(1);

#[test]
fn every_remedy_that_is_taken_away_brings_its_harm_back() {
    for (name, broken) in Break::ALL {
        let harm = match check(broken.config(), TIME).verdict {
            Verdict::Breaks(property, _) => Some(Harm::Breaks(property)),
            Verdict::Endless(Endless::Stuck { .. }) => Some(Harm::Stuck),
            Verdict::Endless(Endless::Loops { .. }) => Some(Harm::Loops),
            Verdict::Holds | Verdict::Unfinished => None,
        };
        assert_eq!(harm, Some(broken.harm()), "{name}");
    }
}

#[test]
fn with_every_remedy_in_place_the_same_worlds_are_sound() {
    for (name, broken) in Break::ALL {
        let mut config = broken.config();
        config.broken = None;
        assert_eq!(check(config, TIME).verdict, Verdict::Holds, "the world of {name}");
    }
}

/// What a break does to the end of things, beside the promise that it breaks.
fn endless(broken: Break) -> Option<Endless> {
    find_endless(&Graph::explore(Protocol(broken.config()), Upto::TheEnd, TIME))
}

#[test]
fn a_poison_message_loops_for_ever_when_attempts_are_counted_after_the_handler() {
    let Some(Endless::Loops { cycle, .. }) = endless(Break::AttemptsCountedAfter) else {
        panic!("the poison message stops");
    };
    let kills = Action::Processor(0, ProcessorStep::Kills(0));
    assert!(cycle.contains(&kills), "the process is not killed again and again: {cycle:?}");
}

#[test]
fn a_message_that_is_lost_is_never_made_good_without_the_sweeper() {
    let Some(Endless::Stuck { way }) = endless(Break::NoSweeper) else {
        panic!("somebody else wakes the event");
    };
    assert!(!way.contains(&Action::Sweeper(SweeperStep::Send)), "it was swept: {way:?}");
}
