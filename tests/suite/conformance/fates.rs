//! Each route of an event has a fate of its own.

use inbox_core::ledger::{
    Completed, HISTORY_ENTRIES, Ledger, Open, Record, Reopen, Rerun, Settled, State, TransitionKind,
};

use super::{at, begun, claim, fail, fail_with, failures, held, on_every_ledger, reopen, run};

on_every_ledger!(
    an_event_waits_for_the_first_of_its_routes,
    an_attempt_that_only_waits_adds_nothing_to_the_history,
    a_route_takes_no_attempts_from_another,
    an_attempt_without_an_outcome_counts_for_every_route_that_runs_next,
    a_route_that_has_completed_since_is_not_given_up,
    a_redrive_tries_again_what_was_given_up,
    a_replay_of_one_route_leaves_the_others_given_up,
    a_replay_of_one_route_leaves_what_waits_waiting,
    a_replay_of_one_route_does_not_write_over_what_others_came_to_since,
    a_life_that_is_opened_for_named_routes_carries_their_names,
    a_redrive_opens_a_life_for_what_its_letter_gave_up,
    named_routes_are_not_replayed_before_an_event_has_come_to_any_outcome,
    what_operators_did_stays_in_the_history_however_often_routes_fail,
);

const ASKED_TO_WAIT: super::Failed = ("mail", "429", 1, Some(3600));

async fn an_event_waits_for_the_first_of_its_routes<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let stand =
        [("billing", "no answer", 1, Some(62)), ASKED_TO_WAIT, ("old", "410 Gone", 1, None)];
    assert_eq!(
        fail_with(ledger, &record, &stand, &["billing", "mail", "old"], 2).await,
        Settled::Written
    );
    let failing = held(ledger).await;
    assert_eq!(failing.failures, failures(&stand));
    assert_eq!((failing.state, failing.next_at), (State::Failing, Some(at(62))));
    assert_eq!(failing.open, Some(Open::Pending { due_at: at(962) }));
    let expected = "billing: no answer; mail: 429; old: 410 Gone";
    assert_eq!(failing.last_error.as_deref(), Some(expected));

    let due = |record: &Record, seconds| {
        ["billing", "mail", "old", "new"].map(|route| record.is_due(route, at(seconds)))
    };
    assert_eq!(due(&failing, 51), [false, false, false, true]);
    assert_eq!(due(&failing, 52), [true, false, false, true]);
    assert_eq!(due(&failing, 3590), [true, true, false, true]);
    assert_eq!(["billing", "old"].map(|route| failing.is_given_up(route)), [false, true]);
    assert_eq!(begun(ledger, "b", 1, 51).await, "busy");
    assert_eq!(begun(ledger, "b", 1, 52).await, "run");
}

async fn an_attempt_that_only_waits_adds_nothing_to_the_history<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let stand = [("billing", "no answer", 1, Some(62)), ASKED_TO_WAIT];
    fail_with(ledger, &record, &stand, &["billing", "mail"], 2).await;
    let before = held(ledger).await;
    let record = run(ledger, "b", 1, 62).await;
    let completed = ledger.complete(&record, "billing", &["mail"], at(63).into()).await;
    assert_eq!(completed.unwrap(), Completed::Pending);
    fail_with(ledger, &record, &[ASKED_TO_WAIT], &[], 64).await;
    let waiting = held(ledger).await;
    assert_eq!((waiting.state, waiting.next_at), (State::Failing, Some(at(3600))));
    assert_eq!((&waiting.history, &waiting.last_error), (&before.history, &before.last_error));
    assert_eq!((waiting.attempts, waiting.leased_until), (1, None));
}

async fn a_route_takes_no_attempts_from_another<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let stand = [("billing", "no answer", 1, Some(62)), ASKED_TO_WAIT];
    fail_with(ledger, &record, &stand, &["billing", "mail"], 2).await;
    // Two of the three attempts that this suite gives are used up by one route.
    let record = run(ledger, "b", 1, 62).await;
    assert_eq!(["billing", "mail"].map(|route| record.attempts_of(route)), [2, 2]);
    fail_with(ledger, &record, &[("billing", "no", 2, Some(122)), ASKED_TO_WAIT], &["billing"], 63)
        .await;
    let record = run(ledger, "c", 1, 122).await;
    assert_eq!(record.attempts_of("billing"), 3);
    let stand = [("billing", "no", 3, None), ASKED_TO_WAIT];
    fail_with(ledger, &record, &stand, &["billing"], 123).await;
    let attempts: Vec<u32> = held(ledger).await.history.iter().map(|entry| entry.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    // The other one still has two.
    let record = run(ledger, "d", 1, 3600).await;
    assert_eq!((record.attempts, record.attempts_of("mail")), (2, 2));
    assert_eq!(record.most_attempts(), 3);
}

async fn an_attempt_without_an_outcome_counts_for_every_route_that_runs_next<L: Ledger>(
    ledger: &L,
) {
    claim(ledger, 0).await;
    run(ledger, "killed", 1, 1).await;
    let record = run(ledger, "a", 1, 72).await;
    assert_eq!(["billing", "mail"].map(|route| record.attempts_of(route)), [2, 2]);
    fail(ledger, &record, 73).await;
    assert_eq!(held(ledger).await.attempts, 2);
    run(ledger, "killed", 1, 133).await;
    assert_eq!(begun(ledger, "b", 1, 204).await, "exhausted");
}

async fn a_route_that_has_completed_since_is_not_given_up<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let stand = [("old", "410 Gone", 1, None), ASKED_TO_WAIT];
    fail_with(ledger, &record, &stand, &["old", "mail"], 2).await;
    assert!(held(ledger).await.is_given_up("old"));
    // By a process that was slow to say so.
    ledger.complete(&record, "old", &["mail"], at(3).into()).await.unwrap();
    let record = held(ledger).await;
    assert!(record.is_done("old") && !record.is_given_up("old"));
}

/// One that has died with two routes given up, read again.
async fn dead_of_two<L: Ledger>(ledger: &L) -> Record {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let failures = failures(&[("billing", "404", 1, None), ("old", "410 Gone", 1, None)]);
    let error = "billing: 404; old: 410 Gone";
    let burial = inbox_core::ledger::Burial {
        record: &record,
        max_attempts: super::MAX_ATTEMPTS,
        error,
        failures: &failures,
    };
    assert_eq!(ledger.bury(&burial, at(2)).await.unwrap(), Settled::Written);
    held(ledger).await
}

async fn a_redrive_tries_again_what_was_given_up<L: Ledger>(ledger: &L) {
    let dead = dead_of_two(ledger).await;
    reopen(ledger, &dead, Reopen::Redrive { life: 2 }, "request-1", 3).await;
    let record = run(ledger, "b", 2, 4).await;
    assert_eq!((record.failures.len(), record.attempts_of("old")), (0, 1));
}

async fn a_replay_of_one_route_leaves_the_others_given_up<L: Ledger>(ledger: &L) {
    let dead = dead_of_two(ledger).await;
    let billing = ["billing".to_owned()];
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::Routes(&billing) };
    reopen(ledger, &dead, cause, "request-1", 3).await;
    let record = run(ledger, "b", 2, 4).await;
    assert_eq!(record.failures, failures(&[("old", "410 Gone", 1, None)]));
    assert_eq!((record.is_due("billing", at(4)), record.attempts_of("billing")), (true, 1));
    assert!(record.is_given_up("old") && !record.is_due("old", at(9999)));
}

/// One that failed: `billing` is tried again soon and `mail` was asked to wait.
async fn waiting<L: Ledger>(ledger: &L) -> Record {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let stand = [("billing", "no answer", 1, Some(62)), ASKED_TO_WAIT];
    fail_with(ledger, &record, &stand, &["billing", "mail"], 2).await;
    held(ledger).await
}

async fn a_replay_of_one_route_leaves_what_waits_waiting<L: Ledger>(ledger: &L) {
    let seen = waiting(ledger).await;
    let billing = ["billing".to_owned()];
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::Routes(&billing) };
    assert_eq!(reopen(ledger, &seen, cause, "request-1", 10).await, Settled::Written);
    let record = run(ledger, "b", 2, 11).await;
    assert_eq!(record.failures, failures(&[ASKED_TO_WAIT]));
    let due = ["billing", "mail"].map(|route| record.is_due(route, at(11)));
    assert_eq!((due, record.attempts_of("billing")), ([true, false], 1));
    assert_eq!(record.attempts_of("mail"), 2);
}

async fn a_replay_of_one_route_does_not_write_over_what_others_came_to_since<L: Ledger>(
    ledger: &L,
) {
    let seen = waiting(ledger).await;
    let record = run(ledger, "b", 1, 62).await;
    let stand = [("billing", "404", 2, None), ASKED_TO_WAIT];
    fail_with(ledger, &record, &stand, &["billing"], 63).await;
    let mail = ["mail".to_owned()];
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::Routes(&mail) };
    assert_eq!(reopen(ledger, &seen, cause, "request-1", 64).await, Settled::Refused);
    let seen = held(ledger).await;
    assert_eq!(reopen(ledger, &seen, cause, "request-2", 65).await, Settled::Written);
    assert!(held(ledger).await.is_given_up("billing"));
}

async fn a_life_that_is_opened_for_named_routes_carries_their_names<L: Ledger>(ledger: &L) {
    let dead = dead_of_two(ledger).await;
    assert_eq!(dead.only, None);
    let names: Vec<String> = (0..32).map(|n| format!("{n:-<64}")).collect();
    let cause = |seen, rerun| Reopen::Replay { seen, rerun };
    let written = reopen(ledger, &dead, cause(1, Rerun::Routes(&names)), "request-1", 3).await;
    assert_eq!(written, Settled::Written);
    let record = run(ledger, "b", 2, 4).await;
    assert_eq!(record.only, Some(names.iter().cloned().collect()));
    // What had failed is in scope beside them; what was added since is not.
    let scope = record.scope(&["old", "new", &names[0]]);
    let routes: Vec<(&str, bool)> = scope.iter().map(|it| (it.route, it.is_gone)).collect();
    assert_eq!(routes[..2], [("old", false), (&names[0], false)]);
    assert!(routes[2..].iter().all(|(_, is_gone)| *is_gone), "{routes:?}");
    assert_eq!(routes.len(), 2 + 31 + 1, "31 names and billing are gone");
    // A message of the life before is stale.
    assert_eq!(begun(ledger, "c", 1, 5).await, "stale");

    // Each further life follows its own request.
    fail(ledger, &record, 6).await;
    let seen = held(ledger).await;
    let mail = ["mail".to_owned()];
    reopen(ledger, &seen, cause(2, Rerun::Routes(&mail)), "request-2", 7).await;
    assert_eq!(held(ledger).await.only, Some(["mail".to_owned()].into()));
    let record = run(ledger, "d", 3, 8).await;
    fail(ledger, &record, 9).await;
    for (life, rerun) in [(3, Rerun::Unfinished), (4, Rerun::All)] {
        let seen = held(ledger).await;
        let request = format!("request of {life}");
        let written = reopen(ledger, &seen, cause(life, rerun), &request, 10).await;
        assert_eq!((written, held(ledger).await.only), (Settled::Written, None));
    }
}

async fn a_redrive_opens_a_life_for_what_its_letter_gave_up<L: Ledger>(ledger: &L) {
    let dead = dead_of_two(ledger).await;
    // One of the two completes late.
    ledger.complete(&dead, "old", &["billing"], at(3).into()).await.unwrap();
    let dead = held(ledger).await;
    reopen(ledger, &dead, Reopen::Redrive { life: 2 }, "request-1", 4).await;
    let record = run(ledger, "b", 2, 5).await;
    assert_eq!(record.only, Some(["billing".to_owned()].into()));
    let in_scope = record.scope(&["billing", "old", "new"]);
    assert_eq!(in_scope.iter().map(|it| it.route).collect::<Vec<_>>(), ["billing"]);
    // The letter of such a life names the same again.
    super::bury(ledger, &record, 6).await;
    let dead = held(ledger).await;
    reopen(ledger, &dead, Reopen::Redrive { life: 3 }, "request-2", 7).await;
    assert_eq!(held(ledger).await.only, Some(["billing".to_owned()].into()));
}

/// Nothing says which of its other routes it is still to run.
async fn named_routes_are_not_replayed_before_an_event_has_come_to_any_outcome<L: Ledger>(
    ledger: &L,
) {
    claim(ledger, 0).await;
    let received = held(ledger).await;
    let billing = ["billing".to_owned()];
    let cause = |seen| Reopen::Replay { seen, rerun: Rerun::Routes(&billing) };
    assert_eq!(reopen(ledger, &received, cause(1), "request-1", 1).await, Settled::Refused);
    // Killed in its first attempt, it is as it was.
    run(ledger, "killed", 1, 2).await;
    let killed = held(ledger).await;
    assert_eq!(reopen(ledger, &killed, cause(1), "request-2", 100).await, Settled::Refused);
    // Read before it was reopened by somebody else.
    let record = run(ledger, "a", 1, 101).await;
    fail(ledger, &record, 102).await;
    let failing = held(ledger).await;
    assert_eq!(reopen(ledger, &failing, cause(1), "request-3", 103).await, Settled::Written);
    // What was asked for by name and has not run yet is known, and stays asked for.
    let received = held(ledger).await;
    let mail = ["mail".to_owned()];
    let cause = Reopen::Replay { seen: 2, rerun: Rerun::Routes(&mail) };
    assert_eq!(reopen(ledger, &received, cause, "request-4", 104).await, Settled::Written);
    assert_eq!(held(ledger).await.only, Some(["billing".to_owned(), "mail".to_owned()].into()));
}

async fn what_operators_did_stays_in_the_history_however_often_routes_fail<L: Ledger>(ledger: &L) {
    let seen = waiting(ledger).await;
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::Unfinished };
    assert_eq!(reopen(ledger, &seen, cause, "request-1", 10).await, Settled::Written);
    for minute in 1..=60 {
        let record = run(ledger, "b", 2, 60 * minute).await;
        fail(ledger, &record, 60 * minute).await;
        let once = [("billing", "no answer", 1, Some(60 * minute))];
        assert_eq!(held(ledger).await.history.last().unwrap().at, at(60 * minute));
        let record = run(ledger, "c", 2, 60 * minute + 60).await;
        fail_with(ledger, &record, &once, &[], 60 * minute + 1).await;
    }
    let history = held(ledger).await.history;
    assert_eq!(history.len(), HISTORY_ENTRIES);
    assert_eq!(history[0].kind, TransitionKind::Replayed);
    assert_eq!(history[HISTORY_ENTRIES - 1].at, at(3600));
}
