//! A run that slept past its lease, and what others wrote meanwhile.
//!
//! Of the last attempt there is no beginning after it: whoever finds no attempt left
//! writes in its place, with its token.

use inbox_core::ledger::{
    Begun, Burial, Completed, Deferral, Ledger, Record, RouteFailure, Settled, State,
};

use super::{
    Failed, MAX_ATTEMPTS, at, begin_with, bury, claim, fail, fail_with, failures, held, key,
    on_every_ledger, run,
};

on_every_ledger!(
    what_was_buried_in_the_place_of_the_last_run_stays_dead,
    what_was_written_in_the_place_of_the_last_run_is_not_written_over,
    what_has_completed_meanwhile_is_not_buried,
    what_has_completed_in_part_is_buried,
);

/// The last run of an event, and the record as it is found when that run's lease is over.
async fn last_run<L: Ledger>(ledger: &L) -> (Record, Record) {
    claim(ledger, 0).await;
    run(ledger, "a", 1, 0).await;
    run(ledger, "b", 1, 100).await;
    let sleeper = run(ledger, "c", 1, 200).await;
    let begun = ledger.begin(&key(), &begin_with("d", 1, at(370)), at(300)).await;
    let Ok(Begun::Exhausted(exhausted)) = begun else { panic!("{begun:?}") };
    (sleeper, *exhausted)
}

async fn bury_these<L: Ledger>(ledger: &L, record: &Record, given_up: &[Failed]) -> Settled {
    let failures = failures(given_up);
    let (max_attempts, error) = (MAX_ATTEMPTS, "given up");
    let burial = Burial { record, max_attempts, error, failures: &failures };
    ledger.bury(&burial, at(301)).await.expect("bury")
}

/// `added` was configured after the last run began, so that it knows nothing of it.
async fn what_was_buried_in_the_place_of_the_last_run_stays_dead<L: Ledger>(ledger: &L) {
    let (sleeper, exhausted) = last_run(ledger).await;
    let both = [("added", "never run", 3, None), ("billing", "no outcome", 3, None)];
    assert_eq!(bury_these(ledger, &exhausted, &both).await, Settled::Written);
    let late = ledger.complete(&sleeper, "billing", &[], at(302).into()).await;
    assert_eq!(late.expect("complete"), Completed::Pending);
    assert_eq!(ledger.finish(&sleeper, at(303)).await.expect("finish"), Completed::Pending);
    let dead = held(ledger).await;
    assert_eq!((dead.state, dead.is_done("billing")), (State::Dead, true));
    assert!(dead.open.is_some(), "it stays in the index");
    // A late completion of all that was given up finishes it all the same.
    let late = ledger.complete(&sleeper, "added", &["billing"], at(304).into()).await;
    assert_eq!(late.expect("complete"), Completed::Done);
    assert_eq!(held(ledger).await.state, State::Done);
}

async fn what_was_written_in_the_place_of_the_last_run_is_not_written_over<L: Ledger>(ledger: &L) {
    let (sleeper, exhausted) = last_run(ledger).await;
    let stand = [("added", "never run", 3, None), ("later", "busy", 1, Some(9000))];
    assert_eq!(fail_with(ledger, &exhausted, &stand, &["added"], 301).await, Settled::Written);
    let before = held(ledger).await;
    assert_eq!(before.state, State::Failing);

    assert_eq!(fail(ledger, &sleeper, 302).await, Settled::Refused);
    assert_eq!(bury(ledger, &sleeper, 302).await, Settled::Refused);
    let left = RouteFailure::deferred(None, 0, at(302));
    let left = [("billing".to_owned(), left)].into();
    let deferral = Deferral { record: &sleeper, failures: &left, due_at: at(900) };
    assert_eq!(ledger.defer(&deferral).await.expect("defer"), Settled::Refused);
    assert_eq!(ledger.finish(&sleeper, at(302)).await.expect("finish"), Completed::Pending);
    assert_eq!(held(ledger).await, before);
    // What it did is true, and is not the end.
    let late = ledger.complete(&sleeper, "billing", &[], at(303).into()).await;
    assert_eq!(late.expect("complete"), Completed::Pending);
    let after = held(ledger).await;
    assert!(after.is_done("billing"));
    assert_eq!(Record { handlers: before.handlers.clone(), ..after }, before);
}

async fn what_has_completed_meanwhile_is_not_buried<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let sleeper = run(ledger, "a", 1, 0).await;
    let newer = run(ledger, "b", 1, 71).await;
    let late = ledger.complete(&sleeper, "billing", &[], at(72).into()).await;
    assert_eq!(late.expect("complete"), Completed::Pending);
    let before = held(ledger).await;
    assert_eq!(bury(ledger, &newer, 73).await, Settled::Refused);
    assert_eq!(held(ledger).await, before);
    assert_eq!(ledger.finish(&newer, at(74)).await.expect("finish"), Completed::Done);
    assert_eq!(held(ledger).await.state, State::Done);
}

async fn what_has_completed_in_part_is_buried<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let sleeper = run(ledger, "a", 1, 0).await;
    let newer = run(ledger, "b", 1, 71).await;
    ledger.complete(&sleeper, "billing", &["mail"], at(72).into()).await.expect("complete");
    let both = [("billing", "no answer", 2, None), ("mail", "no such box", 2, None)];
    assert_eq!(bury_these(ledger, &newer, &both).await, Settled::Written);
    assert_eq!(held(ledger).await.state, State::Dead);
}
