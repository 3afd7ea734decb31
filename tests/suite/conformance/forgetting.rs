//! Removing an event's content, and replaying single handlers.

use inbox_core::event::EventKey;
use inbox_core::ledger::{
    Claimed, Completed, Forgetting, Ledger, Record, Reopen, Rerun, Settled, State, TransitionKind,
};

use super::{at, begun, bury, claim, fail, held, on_every_ledger, reopen, run};

on_every_ledger!(
    a_replay_of_one_handler_keeps_what_the_others_have_done,
    a_forgotten_event_keeps_only_that_it_was_handled,
    a_forgotten_event_is_still_a_duplicate,
    a_forgotten_dead_event_is_neither_redriven_nor_replayed,
    forgetting_an_unfinished_event_gives_it_up,
    a_running_event_is_not_forgotten,
    what_changed_since_it_was_read_is_not_forgotten,
    forgetting_twice_is_once,
    a_late_completion_of_a_forgotten_event_brings_nothing_back,
);

async fn forget<L: Ledger>(ledger: &L, record: &Record, seconds: u64) -> Settled {
    let forgetting = Forgetting { record, actor: "ada", reason: "request #7" };
    ledger.forget(&forgetting, at(seconds)).await.expect("forget")
}

async fn done<L: Ledger>(ledger: &L) -> Record {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    fail(ledger, &record, 2).await;
    let record = run(ledger, "b", 1, 62).await;
    assert_eq!(
        ledger.complete(&record, "mail", &["billing"], at(63).into()).await.unwrap(),
        Completed::Pending
    );
    assert_eq!(
        ledger.complete(&record, "billing", &["mail"], at(64).into()).await.unwrap(),
        Completed::Done
    );
    held(ledger).await
}

async fn a_replay_of_one_handler_keeps_what_the_others_have_done<L: Ledger>(ledger: &L) {
    let done = done(ledger).await;
    let again = ["billing".to_owned(), "never-heard-of".to_owned()];
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::Routes(&again) };
    assert_eq!(reopen(ledger, &done, cause, "request-1", 70).await, Settled::Written);
    let replayed = held(ledger).await;
    assert_eq!(replayed.handlers.keys().collect::<Vec<_>>(), ["mail"]);
    assert_eq!((replayed.state, replayed.life), (State::Received, 2));
}

async fn a_forgotten_event_keeps_only_that_it_was_handled<L: Ledger>(ledger: &L) {
    let done = done(ledger).await;
    assert_eq!(forget(ledger, &done, 70).await, Settled::Written);
    let mut expected = done.clone();
    expected.event.payload.bytes = bytes::Bytes::new();
    expected.event.headers.clear();
    expected.event.subject = None;
    expected.event.delivery_id = None;
    expected.event.traceparent = None;
    expected.failures.clear();
    expected.last_error = None;
    expected.forgotten_at = Some(at(70));
    expected.history[0].detail.clear();
    let mut entry = done.transition(TransitionKind::Forgotten, "request #7", at(70));
    entry.actor = "ada".into();
    expected.history.push(entry);
    assert_eq!(held(ledger).await, expected);
    assert_eq!(expected.handlers, done.handlers);
    assert_eq!(expected.done_at, Some(at(64)));
}

async fn a_forgotten_event_is_still_a_duplicate<L: Ledger>(ledger: &L) {
    let done = done(ledger).await;
    forget(ledger, &done, 70).await;
    assert_eq!(claim(ledger, 80).await, Claimed::Duplicate);
}

async fn a_forgotten_dead_event_is_neither_redriven_nor_replayed<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    bury(ledger, &record, 2).await;
    let dead = held(ledger).await;
    assert_eq!(forget(ledger, &dead, 3).await, Settled::Written);
    let forgotten = held(ledger).await;
    assert_eq!((forgotten.state, forgotten.open), (State::Dead, None));
    // Its dead letter comes back to the queue.
    assert_eq!(begun(ledger, "b", 2, 4).await, "finished");
    // Neither does what was read before know better than the table.
    for (record, cause) in [
        (&dead, Reopen::Redrive { life: 2 }),
        (&dead, Reopen::Replay { seen: 1, rerun: Rerun::All }),
        (&forgotten, Reopen::Replay { seen: 1, rerun: Rerun::All }),
    ] {
        assert_eq!(reopen(ledger, record, cause, "request-1", 5).await, Settled::Refused);
    }
    assert_eq!(held(ledger).await, forgotten);
}

async fn forgetting_an_unfinished_event_gives_it_up<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    fail(ledger, &record, 2).await;
    let failing = held(ledger).await;
    assert_eq!(forget(ledger, &failing, 3).await, Settled::Written);
    let forgotten = held(ledger).await;
    assert_eq!((forgotten.state, forgotten.open, forgotten.next_at), (State::Dead, None, None));
    assert_eq!(begun(ledger, "b", 1, 100).await, "finished");
    // Whoever failed it writes no error back.
    assert_eq!(fail(ledger, &record, 101).await, Settled::Refused);
    assert_eq!(bury(ledger, &record, 102).await, Settled::Refused);
    assert_eq!(held(ledger).await, forgotten);
}

async fn a_running_event_is_not_forgotten<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let seen = held(ledger).await;
    let running = run(ledger, "a", 1, 1).await;
    assert_eq!(forget(ledger, &seen, 2).await, Settled::Refused);
    assert_eq!(forget(ledger, &running, 2).await, Settled::Refused);
    assert_eq!(held(ledger).await, running);
}

async fn what_changed_since_it_was_read_is_not_forgotten<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    bury(ledger, &record, 2).await;
    let dead = held(ledger).await;
    let cause = Reopen::Redrive { life: 2 };
    reopen(ledger, &dead, cause, "request-1", 3).await;
    let reopened = held(ledger).await;
    assert_eq!(forget(ledger, &dead, 4).await, Settled::Refused);
    // The same life in another state.
    let record = run(ledger, "b", 2, 5).await;
    ledger.complete(&record, "billing", &[], at(6).into()).await.expect("complete");
    let done = held(ledger).await;
    assert_eq!(forget(ledger, &reopened, 7).await, Settled::Refused);
    assert_eq!(held(ledger).await, done);
    // The same state in another life.
    let cause = Reopen::Replay { seen: 2, rerun: Rerun::All };
    reopen(ledger, &done, cause, "request-2", 8).await;
    let record = run(ledger, "c", 3, 9).await;
    ledger.complete(&record, "billing", &[], at(10).into()).await.expect("complete");
    assert_eq!(forget(ledger, &done, 11).await, Settled::Refused);
    let done = held(ledger).await;
    assert_eq!((done.state, done.life, done.forgotten_at), (State::Done, 3, None));
    let nobody = Record {
        event: inbox_core::event::Event {
            key: EventKey { source: "stripe_eu".into(), id: "evt_2".into() },
            ..done.event.clone()
        },
        ..done
    };
    assert_eq!(forget(ledger, &nobody, 8).await, Settled::Refused);
    assert_eq!(ledger.get(&nobody.event.key).await.expect("get"), None);
}

async fn forgetting_twice_is_once<L: Ledger>(ledger: &L) {
    let done = done(ledger).await;
    forget(ledger, &done, 70).await;
    let once = held(ledger).await;
    // What was read before, as the SDK's repeat of a write that landed has it.
    assert_eq!(forget(ledger, &done, 71).await, Settled::Written);
    assert_eq!(forget(ledger, &once, 72).await, Settled::Written);
    assert_eq!(held(ledger).await, once);
}

async fn a_late_completion_of_a_forgotten_event_brings_nothing_back<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    // Its lease is over, and it is given up.
    let seen = held(ledger).await;
    assert_eq!(forget(ledger, &seen, 100).await, Settled::Written);
    let completed =
        ledger.complete(&record, "billing", &[], at(101).into()).await.expect("complete");
    assert_eq!(completed, Completed::Done);
    let held = held(ledger).await;
    assert_eq!((held.state, held.forgotten_at), (State::Done, Some(at(100))));
    assert!(held.event.payload.bytes.is_empty() && held.event.subject.is_none());
}
