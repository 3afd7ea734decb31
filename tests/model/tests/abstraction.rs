//! The model's item loses nothing that a rule can see.
//!
//! Every item that any quick world reaches is filled in as a record in two ways,
//! once with times just at the edge of what they mean and a short history, once
//! far from it and with a long one. Both are read back as the item, and every
//! rule, with every argument, makes the same of both. So it does not matter which
//! of the many records that look like an item the model applies the rules to.

use std::collections::BTreeSet;
use std::time::Duration;

use inbox_model::config::Config;
use inbox_model::graph::{Graph, Upto};
use inbox_model::item::{Detail, Item};
use inbox_model::ledger::{Ending, Rules};
use inbox_model::protocol::Protocol;
use inbox_model::world::{Again, Grave, Read, Route, Run, Token};
use inbox_model::worlds::QUICK;

const DETAILS: [Detail; 2] = [Detail::Edge, Detail::Far];
const BOTH: [bool; 2] = [false, true];
const FAILED: [[Route; 2]; 3] = [
    [Route::Failed, Route::Failed],
    [Route::Later, Route::GivenUp],
    [Route::FailedForGood, Route::Failed],
];

/// All items of some worlds that between them have every step.
fn items() -> BTreeSet<Item> {
    let mut items = BTreeSet::new();
    for name in [
        "duplicates",
        "two-handlers",
        "redrive",
        "replay-two-handlers",
        "forget",
        "left-for-later",
        "route-added",
        "route-removed",
        "weeks",
    ] {
        let config: Config = QUICK.into_iter().find(|config| config.name == name).expect("a world");
        let graph = Graph::explore(Protocol(config), Upto::TheEnd, Duration::from_mins(5));
        assert!(graph.is_complete, "{name} takes too long");
        items.extend(graph.states().iter().filter_map(|world| world.item));
    }
    items
}

/// What every rule answers and makes of an item, with every argument.
fn outcomes(item: Item, detail: Detail) -> Vec<String> {
    let rules = Rules { max_attempts: 2, deferrals: 2, broken: None, detail };
    let held = Some(item);
    let mut outcomes = vec![format!("{:?}", rules.claim(held))];
    let lives = item.life.saturating_sub(1).max(1)..=item.life + 2;
    for configured in [1, 3] {
        outcomes.push(format!("routes {:?}", rules.routes(item, configured)));
    }
    for slot in 0..2 {
        for life in lives.clone() {
            outcomes.push(format!("begin {slot} {life} {:?}", rules.begin(held, life, slot)));
            let routes = [Route::Waiting; 2];
            let (attempts, deferrals, scope, token) = ([1; 2], [0, 1], 3, Token::Own);
            let (late, freed, keeps) = (false, false, false);
            let run = Run { life, attempts, deferrals, late, freed, keeps, scope, token, routes };
            for (routes, parked) in
                FAILED.into_iter().flat_map(|it| BOTH.map(|parked| (it, parked)))
            {
                let run = Run { routes, ..run };
                let ending = Ending { parked, lane: false };
                outcomes.push(format!("fail {:?}", rules.fail(held, run, slot, ending)));
            }
            for lane in BOTH {
                let run = Run { routes: [Route::Deferred, Route::GivenUp], ..run };
                outcomes.push(format!("defer {:?}", rules.defer(held, run, slot, lane)));
            }
            outcomes.push(format!("finish {:?}", rules.finish(held, run.life, run.token, slot)));
            for route in 0..2 {
                outcomes.push(format!("complete {:?}", rules.complete(held, run, slot, route, 0)));
            }
            for (own, same_token) in BOTH.into_iter().flat_map(|own| BOTH.map(|same| (own, same))) {
                let given_up = [own, false];
                let grave = Grave { life, given_up, own, same_token, sent: true, written: false };
                outcomes.push(format!("bury {:?}", rules.bury(held, grave, slot)));
            }
        }
    }
    for life in lives {
        outcomes.push(format!("redrive {:?}", rules.redrive(held, life)));
        for again in [Again::Unfinished, Again::First, Again::All] {
            outcomes.push(format!("replay {:?}", rules.replay(held, life, again)));
        }
        outcomes.push(format!("forget {:?}", rules.forget(held, Item { life, ..item })));
    }
    for read in [Read::Same, Read::Other] {
        outcomes.push(format!("sweep {:?}", rules.sweep(held, read)));
    }
    if item.swept {
        outcomes.push(format!("sweep again {:?}", rules.sweep(held, Read::Mine)));
    }
    outcomes
}

#[test]
fn an_item_loses_nothing_that_a_rule_can_see() {
    let items = items();
    assert!(items.len() > 200, "only {} items", items.len());
    for item in items {
        for detail in DETAILS {
            assert_eq!(Item::of_record(&item.to_record(detail)), item, "{detail:?}");
        }
        assert_eq!(outcomes(item, Detail::Edge), outcomes(item, Detail::Far), "{item:?}");
    }
}
