//! Beginning, completing, failing.

use inbox_core::ledger::{
    Begun, Burial, Completed, Completion, Ledger, Open, Reopen, Rerun, Settled, State, Suspects,
    TransitionKind,
};

use super::{
    MAX_ATTEMPTS, at, begin_with, begun, bury, claim, fail, failures, held, key, name_of,
    on_every_ledger, reopen, run,
};

on_every_ledger!(
    a_begin_takes_the_lease_and_counts_the_attempt,
    a_repeated_begin_finds_its_own_lease_and_counts_once,
    a_leased_event_is_busy_until_the_lease_ends,
    an_event_whose_lease_ended_without_an_outcome_is_suspect,
    an_event_is_not_begun_before_its_time_give_or_take_ten_seconds,
    a_message_of_another_life_is_stale_or_early,
    an_event_that_is_not_there_is_missing,
    an_event_is_exhausted_after_its_attempts_whether_or_not_they_ended,
    a_completed_event_is_done_and_leaves_the_index,
    a_completion_says_why_there_was_nothing_to_do_and_the_history_keeps_it,
    an_event_is_done_when_all_its_routes_are,
    a_completion_holds_whatever_was_known_of_the_other_routes,
    a_late_completion_is_true_after_the_lease_and_after_burial,
    a_late_completion_finishes_past_no_route_of_a_newer_run,
    a_late_completion_leaves_dead_what_another_route_has_given_up,
    a_run_that_overslept_finishes_nothing_that_a_newer_one_runs,
    a_completion_in_another_life_changes_nothing,
    an_event_without_routes_is_completed_at_once,
    a_failure_gives_up_the_lease_and_names_the_time,
    a_repeated_failure_changes_nothing,
    a_failure_of_one_that_overslept_its_lease_is_refused,
    a_failure_does_not_undo_a_completion,
);

async fn a_begin_takes_the_lease_and_counts_the_attempt<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let mut expected = held(ledger).await;
    let record = run(ledger, "a", 1, 1).await;
    expected.attempts = 1;
    expected.lease_token = Some("a".into());
    expected.leased_until = Some(at(71));
    assert_eq!(record, expected);
    assert_eq!(held(ledger).await, expected);
}

async fn a_repeated_begin_finds_its_own_lease_and_counts_once<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let first = run(ledger, "a", 1, 1).await;
    let second = run(ledger, "a", 1, 1).await;
    assert_eq!(second, first);
    assert_eq!(held(ledger).await.attempts, 1);
}

async fn a_leased_event_is_busy_until_the_lease_ends<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    run(ledger, "a", 1, 0).await;
    assert_eq!(begun(ledger, "b", 1, 70).await, "busy");
    assert_eq!(run(ledger, "b", 1, 71).await.attempts, 2);
}

async fn an_event_whose_lease_ended_without_an_outcome_is_suspect<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let mut begin = begin_with("a", 1, at(70));
    begin.suspects = Suspects::Defer;
    // Never begun: nothing to suspect.
    assert_eq!(name_of(&ledger.begin(&key(), &begin, at(0)).await.expect("begin")), "run");
    begin.lease.token = "b".into();
    begin.lease.until = at(200);
    assert_eq!(name_of(&ledger.begin(&key(), &begin, at(71)).await.expect("begin")), "suspect");
    assert_eq!(held(ledger).await.attempts, 1);
    // One that ended with an outcome is none.
    let record = run(ledger, "c", 1, 72).await;
    fail(ledger, &record, 73).await;
    begin.lease.until = at(300);
    assert_eq!(name_of(&ledger.begin(&key(), &begin, at(133)).await.expect("begin")), "run");
}

async fn an_event_is_not_begun_before_its_time_give_or_take_ten_seconds<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 0).await;
    fail(ledger, &record, 0).await;
    assert_eq!(begun(ledger, "b", 1, 49).await, "busy");
    assert_eq!(begun(ledger, "b", 1, 50).await, "run");
}

async fn a_message_of_another_life_is_stale_or_early<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    assert_eq!(begun(ledger, "a", 2, 1).await, "early");
    assert_eq!(begun(ledger, "a", 3, 1).await, "stale");
    let record = run(ledger, "a", 1, 1).await;
    assert_eq!(begun(ledger, "b", 2, 2).await, "early");
    bury(ledger, &record, 2).await;
    assert_eq!(begun(ledger, "b", 1, 3).await, "finished");
    assert_eq!(begun(ledger, "b", 2, 3).await, "reopen");
    assert_eq!(begun(ledger, "b", 3, 3).await, "stale");
    let dead = held(ledger).await;
    reopen(ledger, &dead, Reopen::Redrive { life: 2 }, "request-1", 4).await;
    assert_eq!(begun(ledger, "b", 1, 5).await, "stale");
    let record = run(ledger, "b", 2, 5).await;
    ledger.complete(&record, "billing", &[], at(6).into()).await.expect("complete");
    for life in [2, 3] {
        assert_eq!(begun(ledger, "c", life, 7).await, "finished");
    }
    assert_eq!(begun(ledger, "c", 1, 7).await, "stale");
}

async fn an_event_that_is_not_there_is_missing<L: Ledger>(ledger: &L) {
    assert_eq!(begun(ledger, "a", 1, 0).await, "missing");
    assert_eq!(ledger.get(&key()).await.expect("get"), None);
}

async fn an_event_is_exhausted_after_its_attempts_whether_or_not_they_ended<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    for attempt in 0..u64::from(MAX_ATTEMPTS) {
        let token = format!("token-{attempt}");
        // Nobody writes an outcome: each of these killed its process.
        run(ledger, &token, 1, attempt * 100).await;
    }
    assert_eq!(begun(ledger, "x", 1, 270).await, "busy");
    let begin = begin_with("x", 1, at(400));
    let Begun::Exhausted(record) = ledger.begin(&key(), &begin, at(300)).await.expect("begin")
    else {
        panic!("all attempts are used up");
    };
    assert_eq!(record.attempts, MAX_ATTEMPTS);
    assert_eq!(*record, held(ledger).await);
    assert_eq!(bury(ledger, &record, 301).await, Settled::Written);
    assert_eq!(held(ledger).await.state, State::Dead);
}

async fn a_completed_event_is_done_and_leaves_the_index<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let completed = ledger.complete(&record, "billing", &[], at(2).into()).await;
    assert_eq!(completed.expect("complete"), Completed::Done);
    let mut expected = record.clone();
    expected.state = State::Done;
    expected.done_at = Some(at(2));
    expected.leased_until = None;
    expected.open = None;
    expected.handlers.insert("billing".into(), at(2).into());
    assert_eq!(held(ledger).await, expected);
    // A repeat says the same and moves nothing but the route's own time.
    let completed = ledger.complete(&record, "billing", &[], at(2).into()).await;
    assert_eq!(completed.expect("complete"), Completed::Done);
    assert_eq!(held(ledger).await, expected);
}

async fn a_completion_says_why_there_was_nothing_to_do_and_the_history_keeps_it<L: Ledger>(
    ledger: &L,
) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let nothing = Completion::of_nothing("the payload is not JSON", at(2));
    let completed = ledger.complete(&record, "mirror", &[], nothing.clone()).await;
    assert_eq!(completed.expect("complete"), Completed::Done);
    let done = held(ledger).await;
    assert_eq!(done.handlers, [("mirror".to_owned(), nothing)].into());
    assert!(!done.is_unrouted(), "a route took it");
    // It is compared as it was read, then goes into the history.
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::All };
    assert_eq!(reopen(ledger, &done, cause, "request-1", 10).await, Settled::Written);
    let again = held(ledger).await;
    let entry = &again.history[0];
    assert_eq!(
        (entry.kind, entry.detail.as_str()),
        (TransitionKind::Completed, "mirror, which had nothing to do: the payload is not JSON")
    );
}

async fn an_event_is_done_when_all_its_routes_are<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let mut record = run(ledger, "a", 1, 1).await;
    let first = ledger.complete(&record, "mail", &["billing", "crm"], at(2).into()).await;
    assert_eq!(first.expect("complete"), Completed::Pending);
    let between = held(ledger).await;
    assert_eq!(between.state, State::Received);
    assert_eq!(between.leased_until, Some(at(71)));
    assert!(between.is_done("mail") && !between.is_done("crm"));

    record.handlers.insert("mail".into(), at(2).into());
    let second = ledger.complete(&record, "billing", &["mail", "crm"], at(3).into()).await;
    assert_eq!(second.expect("complete"), Completed::Pending);
    record.handlers.insert("billing".into(), at(3).into());
    let third = ledger.complete(&record, "crm", &["mail", "billing"], at(4).into()).await;
    assert_eq!(third.expect("complete"), Completed::Done);
    assert_eq!(held(ledger).await.state, State::Done);
}

async fn a_completion_holds_whatever_was_known_of_the_other_routes<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    // This process read the record before the other route was done …
    let mut record = run(ledger, "a", 1, 1).await;
    ledger.complete(&record, "mail", &["billing"], at(2).into()).await.expect("complete");
    let last = ledger.complete(&record, "billing", &["mail"], at(3).into()).await;
    assert_eq!(last.expect("complete"), Completed::Done);
    assert_eq!(held(ledger).await.state, State::Done);

    // … and this one believes that a route is done which a replay cleared.
    let done = held(ledger).await;
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::All };
    reopen(ledger, &done, cause, "request-1", 4).await;
    record = run(ledger, "b", 2, 5).await;
    record.handlers.insert("mail".into(), at(2).into());
    let only = ledger.complete(&record, "billing", &["mail"], at(6).into()).await;
    assert_eq!(only.expect("complete"), Completed::Pending);
    assert_eq!(held(ledger).await.state, State::Received);
}

async fn a_late_completion_is_true_after_the_lease_and_after_burial<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let sleeper = run(ledger, "a", 1, 0).await;
    let other = run(ledger, "b", 1, 71).await;
    assert_eq!(bury(ledger, &other, 72).await, Settled::Written);
    let late = ledger.complete(&sleeper, "billing", &[], at(73).into()).await;
    assert_eq!(late.expect("complete"), Completed::Done);
    let record = held(ledger).await;
    assert_eq!((record.state, record.open), (State::Done, None));
    assert_eq!(begun(ledger, "c", 2, 74).await, "finished");
}

/// A route may have been added in between, of which the late run knows nothing.
async fn a_late_completion_finishes_past_no_route_of_a_newer_run<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let sleeper = run(ledger, "a", 1, 0).await;
    let newer = run(ledger, "b", 1, 71).await;
    let late = ledger.complete(&sleeper, "billing", &[], at(73).into()).await;
    assert_eq!(late.expect("complete"), Completed::Pending);
    let record = held(ledger).await;
    assert!(record.is_done("billing"), "it is true all the same");
    assert_eq!((record.state, record.leased_until), (State::Received, newer.leased_until));
    let again = ledger.complete(&sleeper, "billing", &[], at(73).into()).await;
    assert_eq!(again.expect("complete"), Completed::Pending);
    let last = ledger.complete(&newer, "added", &["billing"], at(74).into()).await;
    assert_eq!(last.expect("complete"), Completed::Done);
    // Of an event that is done, a late one says no more than that.
    let late = ledger.complete(&sleeper, "billing", &[], at(75).into()).await;
    assert_eq!(late.expect("complete"), Completed::Done);
}

async fn a_late_completion_leaves_dead_what_another_route_has_given_up<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let sleeper = run(ledger, "a", 1, 0).await;
    let newer = run(ledger, "b", 1, 71).await;
    let given_up =
        failures(&[("added", "card declined", 1, None), ("billing", "no answer", 1, None)]);
    let burial = Burial {
        record: &newer,
        max_attempts: MAX_ATTEMPTS,
        error: "added: card declined",
        failures: &given_up,
    };
    assert_eq!(ledger.bury(&burial, at(72)).await.expect("bury"), Settled::Written);
    let late = ledger.complete(&sleeper, "billing", &[], at(73).into()).await;
    assert_eq!(late.expect("complete"), Completed::Pending);
    let record = held(ledger).await;
    assert_eq!((record.state, record.is_done("billing")), (State::Dead, true));
}

async fn a_run_that_overslept_finishes_nothing_that_a_newer_one_runs<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let sleeper = run(ledger, "a", 1, 0).await;
    let newer = run(ledger, "b", 1, 71).await;
    assert_eq!(ledger.finish(&sleeper, at(72)).await.expect("finish"), Completed::Pending);
    assert_eq!(held(ledger).await, newer);
    assert_eq!(ledger.finish(&newer, at(73)).await.expect("finish"), Completed::Done);
    assert_eq!(ledger.finish(&sleeper, at(74)).await.expect("finish"), Completed::Done);
}

async fn a_completion_in_another_life_changes_nothing<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    bury(ledger, &record, 2).await;
    let dead = held(ledger).await;
    reopen(ledger, &dead, Reopen::Redrive { life: 2 }, "request-1", 3).await;
    let before = held(ledger).await;
    let late = ledger.complete(&record, "billing", &[], at(4).into()).await;
    assert_eq!(late.expect("complete"), Completed::Superseded);
    let late = ledger.complete(&record, "billing", &["mail"], at(4).into()).await;
    assert_eq!(late.expect("complete"), Completed::Superseded);
    assert_eq!(held(ledger).await, before);
}

async fn an_event_without_routes_is_completed_at_once<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let completed = ledger.finish(&record, at(2)).await;
    assert_eq!(completed.expect("complete"), Completed::Done);
    let record = held(ledger).await;
    assert_eq!((record.state, record.handlers.len()), (State::Done, 0));
}

async fn a_failure_gives_up_the_lease_and_names_the_time<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    assert_eq!(fail(ledger, &record, 2).await, Settled::Written);
    let mut expected = record.clone();
    expected.state = State::Failing;
    expected.last_error = Some("billing: no answer".into());
    expected.failures = failures(&[("billing", "no answer", 1, Some(62))]);
    expected.next_at = Some(at(62));
    expected.leased_until = None;
    expected.open = Some(Open::Pending { due_at: at(962) });
    expected.history = vec![record.transition(TransitionKind::Failed, "billing: no answer", at(2))];
    assert_eq!(held(ledger).await, expected);
}

async fn a_repeated_failure_changes_nothing<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    fail(ledger, &record, 2).await;
    let once = held(ledger).await;
    assert_eq!(fail(ledger, &record, 2).await, Settled::Written);
    assert_eq!(held(ledger).await, once);
}

async fn a_failure_of_one_that_overslept_its_lease_is_refused<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let sleeper = run(ledger, "a", 1, 0).await;
    let other = run(ledger, "b", 1, 71).await;
    assert_eq!(fail(ledger, &sleeper, 72).await, Settled::Refused);
    assert_eq!(bury(ledger, &sleeper, 72).await, Settled::Refused);
    assert_eq!(held(ledger).await, other);
    ledger.complete(&other, "billing", &[], at(73).into()).await.expect("complete");
    assert_eq!(fail(ledger, &other, 74).await, Settled::Refused);
    assert_eq!(held(ledger).await.state, State::Done);
}

async fn a_failure_does_not_undo_a_completion<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let sleeper = run(ledger, "a", 1, 0).await;
    let other = run(ledger, "b", 1, 71).await;
    ledger.complete(&sleeper, "billing", &["mail"], at(72).into()).await.expect("complete");
    assert_eq!(fail(ledger, &other, 73).await, Settled::Written);
    assert!(held(ledger).await.is_done("billing"));
}
