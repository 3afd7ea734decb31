//! What is left for later keeps its attempts, and waits; and the marks of slow routes.

use std::collections::BTreeMap;

use inbox_core::event::EventKey;
use inbox_core::ledger::{
    Claimed, Completed, Deferral, Due, Ledger, Open, Record, RouteFailure, Settled, State, shard_of,
};
use inbox_core::marks::Marks;
use inbox_core::stack::stack;

use super::{at, begun, claim, fail, fail_with, failures, held, key, on_every_ledger, run};

on_every_ledger!(
    what_is_left_for_later_has_had_no_attempt_and_can_be_begun_at_once,
    what_is_left_for_later_with_a_wait_is_busy_until_then,
    what_is_left_for_later_keeps_the_attempts_that_it_had,
    what_is_left_for_later_keeps_what_siblings_came_to,
    leaving_for_later_is_no_outcome_for_the_sweeper,
    leaving_for_later_without_the_lease_or_in_another_life_is_refused,
    what_has_completed_meanwhile_stays_so,
    a_repeated_delivery_of_what_is_left_for_later_is_a_duplicate,
    a_route_is_marked_until_it_is_unmarked_by_who_has_seen_the_last_mark,
    the_marks_are_no_event,
);

/// Leaves `billing` for later at `seconds`, from then on or from `next_at` on.
async fn defer<L: Ledger>(ledger: &L, record: &Record, seconds: u64, next_at: u64) -> Settled {
    let before = record.failures.get("billing");
    let attempts = record.attempts_of("billing") - 1;
    let mut failures = record.failures.clone();
    let deferred = RouteFailure::deferred(before, attempts, at(next_at));
    failures.insert("billing".into(), deferred);
    let deferral = Deferral { record, failures: &failures, due_at: at(seconds + 900) };
    ledger.defer(&deferral).await.expect("defer")
}

async fn what_is_left_for_later_has_had_no_attempt_and_can_be_begun_at_once<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    for round in 1..=5_u32 {
        let record = run(ledger, "a", 1, u64::from(round)).await;
        assert_eq!((record.attempts, record.attempts_of("billing")), (1, 1));
        assert_eq!(defer(ledger, &record, round.into(), round.into()).await, Settled::Written);
        let left = held(ledger).await;
        assert_eq!((left.state, left.attempts, left.leased_until), (State::Received, 0, None));
        assert_eq!((left.last_error, left.history), (None, vec![]));
        assert_eq!(left.open, Some(Open::Pending { due_at: at(u64::from(round) + 900) }));
        assert_eq!(left.failures["billing"].deferrals, round);
        assert_eq!(left.next_at, Some(at(round.into())));
    }
    let record = run(ledger, "b", 1, 9).await;
    let completed = ledger.complete(&record, "billing", &[], at(9).into()).await;
    assert_eq!(completed.unwrap(), Completed::Done);
}

async fn what_is_left_for_later_with_a_wait_is_busy_until_then<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    defer(ledger, &record, 1, 61).await;
    assert!(held(ledger).await.is_deferred("billing"));
    // Clocks may disagree by ten seconds.
    assert_eq!(begun(ledger, "b", 1, 50).await, "busy");
    assert_eq!(begun(ledger, "b", 1, 51).await, "run");
}

async fn what_is_left_for_later_keeps_the_attempts_that_it_had<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    run(ledger, "killed", 1, 1).await;
    let record = run(ledger, "a", 1, 72).await;
    assert_eq!(record.attempts_of("billing"), 2);
    defer(ledger, &record, 73, 73).await;
    let left = held(ledger).await;
    assert_eq!((left.attempts, left.failures["billing"].attempts), (1, 1));
    let record = run(ledger, "b", 1, 74).await;
    assert_eq!(record.attempts_of("billing"), 2);
    fail(ledger, &record, 75).await;
    assert_eq!(held(ledger).await.failures["billing"].deferrals, 0, "it has run");
    let record = run(ledger, "c", 1, 135).await;
    defer(ledger, &record, 136, 136).await;
    let left = held(ledger).await;
    assert_eq!(left.state, State::Failing);
    assert_eq!(left.failures["billing"].error, "no answer", "its last error stays");
    run(ledger, "killed", 1, 137).await;
    // Its third and last attempt was the one that was killed.
    assert_eq!(begun(ledger, "d", 1, 208).await, "exhausted");
}

async fn what_is_left_for_later_keeps_what_siblings_came_to<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    let stand = [("mail", "429", 1, Some(3600)), ("old", "410 Gone", 1, None)];
    fail_with(ledger, &record, &stand, &["mail", "old"], 2).await;
    let before = held(ledger).await;
    let record = run(ledger, "b", 1, 3600).await;
    defer(ledger, &record, 3601, 3601).await;
    let left = held(ledger).await;
    assert_eq!((&left.history, &left.last_error), (&before.history, &before.last_error));
    assert!(left.is_given_up("old") && left.is_deferred("billing") && !left.is_deferred("mail"));
    assert_eq!(left.failures["mail"], failures(&stand)["mail"]);
}

async fn leaving_for_later_is_no_outcome_for_the_sweeper<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let due = Due { key: key(), due_at: at(900), sweeps: 0 };
    assert!(ledger.sweep(&due, at(1800)).await.unwrap().is_some());
    let record = run(ledger, "a", 1, 901).await;
    defer(ledger, &record, 901, 901).await;
    assert_eq!(held(ledger).await.sweeps, 1, "it looks more seldom each time");
    let shard = shard_of(&key(), stack().table.open_index.shards);
    let page = ledger.due(shard, None, 10, at(1801)).await.unwrap();
    assert_eq!(page.due, [Due { key: key(), due_at: at(1801), sweeps: 1 }]);
}

async fn leaving_for_later_without_the_lease_or_in_another_life_is_refused<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let overslept = run(ledger, "a", 1, 1).await;
    let record = run(ledger, "b", 1, 72).await;
    assert_eq!(defer(ledger, &overslept, 73, 73).await, Settled::Refused);
    assert_eq!(held(ledger).await.leased_until, record.leased_until, "the other still runs");
    let mut other_life = record.clone();
    other_life.life = 2;
    assert_eq!(defer(ledger, &other_life, 73, 73).await, Settled::Refused);
    assert_eq!(
        ledger.complete(&record, "billing", &[], at(74).into()).await.unwrap(),
        Completed::Done
    );
    assert_eq!(defer(ledger, &record, 75, 75).await, Settled::Refused);
    assert_eq!(held(ledger).await.state, State::Done);
}

async fn what_has_completed_meanwhile_stays_so<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let overslept = run(ledger, "a", 1, 1).await;
    let record = run(ledger, "b", 1, 72).await;
    let completed = ledger.complete(&overslept, "mail", &["billing"], at(73).into()).await;
    assert_eq!(completed.unwrap(), Completed::Pending);
    assert_eq!(defer(ledger, &record, 74, 74).await, Settled::Written);
    assert!(held(ledger).await.is_done("mail"));
}

async fn a_repeated_delivery_of_what_is_left_for_later_is_a_duplicate<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    defer(ledger, &record, 1, 1).await;
    let again = super::new_event(at(5));
    assert_eq!(ledger.claim(&again).await.unwrap(), Claimed::Duplicate);
}

async fn a_route_is_marked_until_it_is_unmarked_by_who_has_seen_the_last_mark<L: Marks>(
    ledger: &L,
) {
    assert_eq!(ledger.marks().await.unwrap(), BTreeMap::new());
    ledger.mark("crm", at(1)).await.unwrap();
    ledger.mark("pk", at(2)).await.unwrap();
    ledger.mark("crm", at(61)).await.unwrap();
    // Said late: the mark is newer.
    ledger.mark("crm", at(30)).await.unwrap();
    let marks = BTreeMap::from([("crm".to_owned(), at(61)), ("pk".to_owned(), at(2))]);
    assert_eq!(ledger.marks().await.unwrap(), marks);
    ledger.unmark("crm", at(1)).await.unwrap();
    assert_eq!(ledger.marks().await.unwrap(), marks, "it was slow since");
    ledger.unmark("crm", at(61)).await.unwrap();
    ledger.unmark("never", at(61)).await.unwrap();
    let marks = BTreeMap::from([("pk".to_owned(), at(2))]);
    assert_eq!(ledger.marks().await.unwrap(), marks);
}

async fn the_marks_are_no_event<L: Ledger + Marks>(ledger: &L) {
    ledger.mark("crm", at(1)).await.unwrap();
    for shard in 0..stack().table.open_index.shards {
        assert_eq!(ledger.due(shard, None, 10, at(9_999_999)).await.unwrap().due, []);
    }
    let nobody = EventKey { source: "crm".into(), id: "crm".into() };
    assert_eq!(ledger.get(&nobody).await.unwrap(), None);
}
