//! The protocol as it is, in every quick world: each promise holds in every state,
//! and every run ends, as far as anything has to.

use std::time::Duration;

use inbox_model::check::{Verdict, check};
use inbox_model::worlds::QUICK;

/// Far more than any of them needs.
const TIME: Duration = Duration::from_mins(5);

fn is_sound(name: &str, at_least_states: usize) {
    let config = QUICK.into_iter().find(|config| config.name == name).expect("a world");
    let report = check(config, TIME);
    assert_eq!(report.verdict, Verdict::Holds, "in {} states", report.states);
    // A model that lost half of its steps would find nothing wrong either.
    assert!(report.states >= at_least_states, "only {} states", report.states);
}

/// A test for each world, so that they share the cores.
macro_rules! worlds {
    ($($test:ident: $name:literal, $states:literal;)+) => {
        $(#[test]
        fn $test() {
            is_sound($name, $states);
        })+

        #[test]
        fn every_quick_world_has_its_test() {
            assert_eq!(QUICK.map(|config| config.name).as_slice(), [$($name),+]);
        }
    };
}

worlds! {
    repeated_deliveries_change_nothing: "duplicates", 100_000;
    three_faults_in_any_places_change_nothing: "three-faults", 100_000;
    the_last_of_three_attempts_is_the_last: "three-attempts", 50_000;
    two_handlers_each_take_effect_once: "two-handlers", 150_000;
    a_redrive_opens_one_life: "redrive", 100_000;
    a_replay_opens_one_life_and_runs_what_is_asked: "replay", 800_000;
    a_replay_runs_the_handlers_that_it_names: "replay-two-handlers", 300_000;
    two_acts_of_operators_open_two_lives: "two-acts", 500_000;
    what_is_forgotten_stays_forgotten: "forget", 250_000;
    an_event_that_comes_after_its_retention_is_new: "retention", 50_000;
    a_poison_message_ends_dead: "poison", 50_000;
    a_handler_that_always_fails_ends_dead_and_its_sibling_runs_once: "one-handler-fails", 100_000;
    two_handlers_that_always_fail_each_have_their_attempts: "both-handlers-fail", 10_000;
    one_that_comes_to_kill_takes_no_attempt_from_the_other: "one-fails-one-turns", 10_000;
    one_that_fails_beside_one_that_kills_ends_dead: "one-fails-one-kills", 10_000;
    what_is_left_for_later_takes_effect_once_and_ends: "left-for-later", 10_000;
    one_that_fails_beside_one_that_is_left_for_later_has_its_attempts: "left-for-later-one-fails", 10_000;
    a_poison_message_that_is_left_for_later_ends_dead: "left-for-later-poison", 10_000;
    a_route_that_is_added_runs_only_where_it_is_asked_for: "route-added", 10_000;
    a_completion_that_comes_late_finishes_past_no_route_that_was_added: "route-added-beside-another", 10_000;
    a_route_that_is_removed_leaves_nothing_behind_in_silence: "route-removed", 10_000;
    an_unfinished_event_outlasts_weeks_and_its_payload_with_it: "weeks", 10_000;
}
