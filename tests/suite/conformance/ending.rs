//! Burying and reopening.

use inbox_core::ledger::{
    HISTORY_ENTRIES, Ledger, Open, Reopen, Rerun, Settled, State, Transition, TransitionKind,
};

use super::{at, begun, bury, claim, fail, failures, held, on_every_ledger, reopen, run};

on_every_ledger!(
    a_buried_event_is_dead_and_listed,
    a_repeated_burial_finds_its_own_work,
    a_burial_by_neither_the_leaseholder_nor_of_an_exhausted_event_is_refused,
    a_finished_event_is_not_buried,
    a_redriven_event_starts_a_new_life_and_keeps_what_is_done,
    a_redrive_of_what_is_not_dead_is_refused,
    a_replay_opens_any_state_unless_it_is_running,
    a_replay_of_what_began_to_run_since_it_was_read_is_refused,
    a_replay_of_all_handlers_forgets_what_is_done,
    a_repeated_reopening_opens_one_life,
    a_reopening_keeps_what_was_recorded_since_the_event_was_read,
    the_history_keeps_the_last_fifty_entries,
    what_had_completed_and_runs_again_stays_in_the_history_with_its_life,
    a_replay_of_what_has_completed_since_it_was_read_is_refused,
);

async fn a_buried_event_is_dead_and_listed<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    assert_eq!(bury(ledger, &record, 2).await, Settled::Written);
    let mut expected = record.clone();
    expected.state = State::Dead;
    expected.last_error = Some("billing: card declined".into());
    expected.failures = failures(&[("billing", "card declined", 1, None)]);
    expected.leased_until = None;
    expected.open = Some(Open::Dead { due_at: at(2) });
    expected.history =
        vec![record.transition(TransitionKind::Buried, "billing: card declined", at(2))];
    assert_eq!(held(ledger).await, expected);
}

async fn a_repeated_burial_finds_its_own_work<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    bury(ledger, &record, 2).await;
    let once = held(ledger).await;
    assert_eq!(bury(ledger, &record, 2).await, Settled::Written);
    assert_eq!(held(ledger).await, once);
}

async fn a_burial_by_neither_the_leaseholder_nor_of_an_exhausted_event_is_refused<L: Ledger>(
    ledger: &L,
) {
    claim(ledger, 0).await;
    let first = run(ledger, "a", 1, 0).await;
    run(ledger, "b", 1, 100).await;
    // Attempts are left, and the second's lease is over.
    assert_eq!(bury(ledger, &first, 171).await, Settled::Refused);
    let third = run(ledger, "c", 1, 200).await;
    // All attempts are used, but the third still runs.
    assert_eq!(bury(ledger, &first, 201).await, Settled::Refused);
    assert_eq!(held(ledger).await, third);
    // Its lease over, whoever finds it so may: not who read it before others began.
    assert_eq!(bury(ledger, &first, 271).await, Settled::Refused);
    assert_eq!(bury(ledger, &third, 271).await, Settled::Written);
}

async fn a_finished_event_is_not_buried<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    ledger.complete(&record, "billing", &[], at(2).into()).await.expect("complete");
    let done = held(ledger).await;
    assert_eq!(bury(ledger, &record, 3).await, Settled::Refused);
    assert_eq!(held(ledger).await, done);
}

async fn a_redriven_event_starts_a_new_life_and_keeps_what_is_done<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    ledger.complete(&record, "mail", &["billing"], at(2).into()).await.expect("complete");
    bury(ledger, &record, 3).await;
    let dead = held(ledger).await;
    let cause = Reopen::Redrive { life: 2 };
    assert_eq!(reopen(ledger, &dead, cause, "request-1", 4).await, Settled::Written);

    let mut expected = dead.clone();
    expected.state = State::Received;
    expected.life = 2;
    expected.attempts = 0;
    expected.lease_token = None;
    expected.last_error = None;
    expected.failures.clear();
    expected.only = Some(["billing".to_owned()].into());
    expected.open = Some(Open::Pending { due_at: at(4) });
    expected.expires_at = at(4 + 30 * 24 * 3600).ceil_to_seconds();
    expected.history.push(Transition {
        at: at(4),
        kind: TransitionKind::Redriven,
        life: 2,
        attempt: 0,
        actor: "ada".into(),
        detail: "fixed the handler".into(),
        request_id: Some("request-1".into()),
    });
    assert_eq!(held(ledger).await, expected);
    assert!(expected.is_done("mail"));

    // The second copy of the same dead letter comes too late.
    assert_eq!(reopen(ledger, &dead, cause, "request-2", 5).await, Settled::Refused);
    assert_eq!(held(ledger).await, expected);
}

async fn a_redrive_of_what_is_not_dead_is_refused<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let received = held(ledger).await;
    let cause = Reopen::Redrive { life: 2 };
    assert_eq!(reopen(ledger, &received, cause, "request-1", 1).await, Settled::Refused);
    let record = run(ledger, "a", 1, 2).await;
    bury(ledger, &record, 3).await;
    let dead = held(ledger).await;
    // Completed late, after the dead letter was read.
    ledger.complete(&record, "billing", &[], at(4).into()).await.expect("complete");
    let done = held(ledger).await;
    assert_eq!(reopen(ledger, &dead, cause, "request-2", 5).await, Settled::Refused);
    assert_eq!(held(ledger).await, done);
}

async fn a_replay_opens_any_state_unless_it_is_running<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let cause = |seen| Reopen::Replay { seen, rerun: Rerun::Unfinished };
    let received = held(ledger).await;
    assert_eq!(reopen(ledger, &received, cause(1), "request-1", 1).await, Settled::Written);
    let record = run(ledger, "a", 2, 2).await;
    assert_eq!(reopen(ledger, &record, cause(2), "request-2", 3).await, Settled::Refused);
    fail(ledger, &record, 4).await;
    let failing = held(ledger).await;
    assert_eq!(reopen(ledger, &failing, cause(2), "request-3", 5).await, Settled::Written);
    let record = run(ledger, "b", 3, 6).await;
    ledger.complete(&record, "billing", &[], at(7).into()).await.expect("complete");
    let done = held(ledger).await;
    assert_eq!(reopen(ledger, &done, cause(3), "request-4", 8).await, Settled::Written);
    let replayed = held(ledger).await;
    assert_eq!((replayed.state, replayed.life, replayed.done_at), (State::Received, 4, None));
    assert!(replayed.is_done("billing"));
    // Seen in a life that is over by now.
    assert_eq!(reopen(ledger, &done, cause(3), "request-5", 9).await, Settled::Refused);
}

async fn a_replay_of_what_began_to_run_since_it_was_read_is_refused<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let seen = held(ledger).await;
    let running = run(ledger, "a", 1, 1).await;
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::Unfinished };
    assert_eq!(reopen(ledger, &seen, cause, "request-1", 2).await, Settled::Refused);
    assert_eq!(held(ledger).await, running);
}

async fn a_replay_of_all_handlers_forgets_what_is_done<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    ledger.complete(&record, "billing", &[], at(2).into()).await.expect("complete");
    let done = held(ledger).await;
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::All };
    assert_eq!(reopen(ledger, &done, cause, "request-1", 3).await, Settled::Written);
    assert!(held(ledger).await.handlers.is_empty());
    assert_eq!(begun(ledger, "b", 2, 4).await, "run");
}

async fn a_repeated_reopening_opens_one_life<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    bury(ledger, &record, 2).await;
    let dead = held(ledger).await;
    let cause = Reopen::Redrive { life: 2 };
    assert_eq!(reopen(ledger, &dead, cause, "request-1", 3).await, Settled::Written);
    let once = held(ledger).await;
    assert_eq!(reopen(ledger, &dead, cause, "request-1", 3).await, Settled::Written);
    assert_eq!(held(ledger).await, once);
}

async fn the_history_keeps_the_last_fifty_entries<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    for life in 1..=60 {
        let seen = held(ledger).await;
        let cause = Reopen::Replay { seen: life, rerun: Rerun::Unfinished };
        let request_id = format!("request-{life}");
        let written = reopen(ledger, &seen, cause, &request_id, u64::from(life)).await;
        assert_eq!(written, Settled::Written);
    }
    let history = held(ledger).await.history;
    assert_eq!(history.len(), HISTORY_ENTRIES);
    assert_eq!(history[0].request_id.as_deref(), Some("request-11"));
    assert_eq!(history[HISTORY_ENTRIES - 1].request_id.as_deref(), Some("request-60"));
}

async fn a_reopening_keeps_what_was_recorded_since_the_event_was_read<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let seen = held(ledger).await;
    // Meanwhile a run completes one of two routes and fails the other.
    let record = run(ledger, "a", 1, 1).await;
    ledger.complete(&record, "mail", &["billing"], at(2).into()).await.expect("complete");
    fail(ledger, &record, 3).await;
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::Unfinished };
    assert_eq!(reopen(ledger, &seen, cause, "request-1", 4).await, Settled::Written);
    let replayed = held(ledger).await;
    assert!(replayed.is_done("mail"), "mail would run again");
    let kinds: Vec<TransitionKind> = replayed.history.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [TransitionKind::Failed, TransitionKind::Replayed]);
}

async fn what_had_completed_and_runs_again_stays_in_the_history_with_its_life<L: Ledger>(
    ledger: &L,
) {
    let completions = |history: &[Transition]| -> Vec<(u32, String, u64)> {
        let of = history.iter().filter(|entry| entry.kind == TransitionKind::Completed);
        of.map(|it| (it.life, it.detail.clone(), it.at.since(at(0)).as_secs())).collect()
    };
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    ledger.complete(&record, "mail", &["billing"], at(2).into()).await.expect("complete");
    ledger.complete(&record, "billing", &["mail"], at(3).into()).await.expect("complete");
    let done = held(ledger).await;
    let mail = ["mail".to_owned()];
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::Routes(&mail) };
    assert_eq!(reopen(ledger, &done, cause, "request-1", 10).await, Settled::Written);
    let again = held(ledger).await;
    assert_eq!(completions(&again.history), [(1, "mail".to_owned(), 2)]);
    assert_eq!(again.history[1].kind, TransitionKind::Replayed);

    let record = run(ledger, "b", 2, 11).await;
    ledger.complete(&record, "mail", &["billing"], at(12).into()).await.expect("complete");
    let done = held(ledger).await;
    assert_eq!(["mail", "billing"].map(|route| done.life_at(done.handlers[route].at)), [2, 1]);
    let cause = Reopen::Replay { seen: 2, rerun: Rerun::All };
    assert_eq!(reopen(ledger, &done, cause, "request-2", 20).await, Settled::Written);
    let expected =
        [(1, "mail".to_owned(), 2), (1, "billing".to_owned(), 3), (2, "mail".to_owned(), 12)];
    assert_eq!(completions(&held(ledger).await.history), expected);
    // A replay of what has not completed takes nothing out, and notes nothing.
    let seen = held(ledger).await;
    let cause = Reopen::Replay { seen: 3, rerun: Rerun::Unfinished };
    assert_eq!(reopen(ledger, &seen, cause, "request-3", 30).await, Settled::Written);
    assert_eq!(completions(&held(ledger).await.history).len(), 3);
}

/// It would be taken out without a note.
async fn a_replay_of_what_has_completed_since_it_was_read_is_refused<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    fail(ledger, &record, 2).await;
    let seen = held(ledger).await;
    ledger.complete(&record, "mail", &["billing"], at(3).into()).await.expect("complete");
    let before = held(ledger).await;
    let mail = ["mail".to_owned()];
    for rerun in [Rerun::All, Rerun::Routes(&mail)] {
        let cause = Reopen::Replay { seen: 1, rerun };
        assert_eq!(reopen(ledger, &seen, cause, "request-1", 4).await, Settled::Refused);
    }
    assert_eq!(held(ledger).await, before);
}
