//! Claiming, and what the sweeper finds.

use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::ledger::{Claimed, Due, Ledger, NewEvent, Open, Record, Reopen, Settled, shard_of};
use inbox_core::stack::stack;

use super::{at, bury, claim, fail, held, key, new_event, on_every_ledger, reopen, run};

on_every_ledger!(
    a_first_claim_is_fresh_and_keeps_everything,
    a_second_claim_of_an_untouched_event_asks_for_its_message_again,
    a_repeated_claim_finds_its_own_work_and_is_still_the_first,
    a_claim_of_a_reopened_event_names_its_new_life,
    a_claim_of_an_event_in_work_or_done_is_a_duplicate,
    a_claim_with_another_body_is_a_conflict_and_changes_nothing,
    an_event_past_its_retention_can_be_claimed_anew_though_ttl_is_late,
    only_pending_events_whose_time_has_come_are_due_the_longest_first,
    a_sweep_moves_the_time_forward_once,
    a_repeated_sweep_finds_its_own_work,
    a_sweep_never_creates_an_item,
    a_parked_event_is_due_at_its_next_attempt,
    the_first_dead_event_is_told_until_it_is_reopened_or_too_old_to_matter,
);

/// When the first dead event of a shard died, of those that died after some second.
async fn oldest_dead<L: Ledger>(ledger: &L, shard: u32, since: u64) -> Option<Timestamp> {
    ledger.oldest_dead(shard, at(since)).await.expect("oldest dead")
}

async fn the_first_dead_event_is_told_until_it_is_reopened_or_too_old_to_matter<L: Ledger>(
    ledger: &L,
) {
    let shard = shard_of(&key(), stack().table.open_index.shards);
    claim(ledger, 0).await;
    assert_eq!(oldest_dead(ledger, shard, 0).await, None, "it is pending");
    let record = run(ledger, "a", 1, 1).await;
    bury(ledger, &record, 2).await;
    assert_eq!(oldest_dead(ledger, shard, 0).await, Some(at(2)));
    assert_eq!(oldest_dead(ledger, shard, 2).await, None, "it died before that");
    let other = (shard + 1) % stack().table.open_index.shards;
    assert_eq!(oldest_dead(ledger, other, 0).await, None, "it is another shard's");
    let dead = held(ledger).await;
    reopen(ledger, &dead, Reopen::Redrive { life: 2 }, "request-1", 3).await;
    assert_eq!(oldest_dead(ledger, shard, 0).await, None, "it lives again");
}

async fn due<L: Ledger>(ledger: &L, seconds: u64) -> Vec<Due> {
    let shard = shard_of(&key(), stack().table.open_index.shards);
    ledger.due(shard, None, 10, at(seconds)).await.expect("due").due
}

async fn a_first_claim_is_fresh_and_keeps_everything<L: Ledger>(ledger: &L) {
    assert_eq!(claim(ledger, 0).await, Claimed::Fresh);
    assert_eq!(held(ledger).await, Record::claimed(&new_event(at(0))));
}

async fn a_second_claim_of_an_untouched_event_asks_for_its_message_again<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    assert_eq!(claim(ledger, 5).await, Claimed::Unconfirmed { life: 1 });
    assert_eq!(held(ledger).await, Record::claimed(&new_event(at(0))));
}

async fn a_repeated_claim_finds_its_own_work_and_is_still_the_first<L: Ledger>(ledger: &L) {
    let new = new_event(at(0));
    assert_eq!(ledger.claim(&new).await.expect("claim"), Claimed::Fresh);
    assert_eq!(ledger.claim(&new).await.expect("claim"), Claimed::Fresh);
    assert_eq!(held(ledger).await, Record::claimed(&new));
    // Another invocation in the same millisecond is another delivery.
    let other = NewEvent { request_id: "another".into(), ..new };
    assert_eq!(ledger.claim(&other).await.expect("claim"), Claimed::Unconfirmed { life: 1 });
}

async fn a_claim_of_a_reopened_event_names_its_new_life<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    bury(ledger, &record, 2).await;
    let dead = held(ledger).await;
    reopen(ledger, &dead, Reopen::Redrive { life: 2 }, "request-1", 3).await;
    assert_eq!(claim(ledger, 4).await, Claimed::Unconfirmed { life: 2 });
}

async fn a_claim_of_an_event_in_work_or_done_is_a_duplicate<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    assert_eq!(claim(ledger, 2).await, Claimed::Duplicate);
    ledger.complete(&record, "billing", &[], at(3).into()).await.expect("complete");
    assert_eq!(claim(ledger, 4).await, Claimed::Duplicate);
}

async fn a_claim_with_another_body_is_a_conflict_and_changes_nothing<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let mut other = new_event(at(1));
    other.event.payload.bytes = "another body".into();
    let unconfirmed = Claimed::Conflict { unconfirmed: Some(1) };
    assert_eq!(ledger.claim(&other).await.expect("claim"), unconfirmed);
    assert_eq!(held(ledger).await, Record::claimed(&new_event(at(0))));
    run(ledger, "a", 1, 2).await;
    let known = Claimed::Conflict { unconfirmed: None };
    assert_eq!(ledger.claim(&other).await.expect("claim"), known);
    // Its own body is no conflict.
    assert_eq!(claim(ledger, 3).await, Claimed::Duplicate);
}

async fn an_event_past_its_retention_can_be_claimed_anew_though_ttl_is_late<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    ledger.complete(&record, "billing", &[], at(2).into()).await.expect("complete");
    let retention = 30 * 24 * 3600;
    // 0.123 s rounds up to the next whole second.
    assert_eq!(claim(ledger, retention).await, Claimed::Duplicate);
    assert_eq!(claim(ledger, retention + 1).await, Claimed::Fresh);
    assert_eq!(held(ledger).await, Record::claimed(&new_event(at(retention + 1))));
}

async fn only_pending_events_whose_time_has_come_are_due_the_longest_first<L: Ledger>(ledger: &L) {
    let shards = stack().table.open_index.shards;
    let shard = shard_of(&key(), shards);
    // Three more events of the same shard, due one after another, out of order.
    let mut ids = (0..).map(|n| format!("evt_other_{n}")).filter(|id| {
        shard_of(&inbox_core::event::EventKey { source: key().source, id: id.clone() }, shards)
            == shard
    });
    let mut expected = Vec::new();
    for due_after in [30, 10, 20, 40] {
        let mut new = new_event(at(0));
        new.event.key.id = ids.next().expect("endless");
        new.due_at = at(due_after);
        ledger.claim(&new).await.expect("claim");
        expected.push(Due { key: new.event.key, due_at: at(due_after), sweeps: 0 });
    }
    expected.sort_by_key(|due| due.due_at);
    assert_eq!(ledger.due(shard, None, 10, at(30)).await.expect("due").due, expected[..3]);
    assert_eq!(ledger.due(shard, None, 2, at(99)).await.expect("due").due, expected[..2]);
    let behind = Some(&expected[0]);
    assert_eq!(ledger.due(shard, behind, 2, at(99)).await.expect("due").due, expected[1..3]);
    let other = (shard + 1) % shards;
    assert_eq!(ledger.due(other, None, 10, at(99)).await.expect("due").due, []);

    // Done and dead events are nobody's to sweep.
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    bury(ledger, &record, 2).await;
    assert_eq!(ledger.due(shard, None, 10, at(5000)).await.expect("due").due, expected);
}

async fn a_sweep_moves_the_time_forward_once<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    assert_eq!(due(ledger, 899).await, []);
    let [found] = &due(ledger, 900).await[..] else { panic!("one event is due") };
    assert_eq!(*found, Due { key: key(), due_at: at(900), sweeps: 0 });

    let swept = ledger.sweep(found, at(1800)).await.expect("sweep").expect("as it was read");
    assert_eq!((swept.life, swept.sweeps), (1, 1));
    assert_eq!(swept.open, Some(Open::Pending { due_at: at(1800) }));
    assert_eq!(swept.event, new_event(at(0)).event);
    assert_eq!(due(ledger, 1799).await, []);

    // Another sweeper that read the same finds it moved on.
    assert_eq!(ledger.sweep(found, at(1900)).await.expect("sweep"), None);
    assert_eq!(due(ledger, 1800).await, [Due { key: key(), due_at: at(1800), sweeps: 1 }]);
}

async fn a_repeated_sweep_finds_its_own_work<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let found = due(ledger, 900).await.remove(0);
    let first = ledger.sweep(&found, at(1800)).await.expect("sweep");
    let second = ledger.sweep(&found, at(1800)).await.expect("sweep");
    assert!(first.is_some());
    assert_eq!(first, second);
    assert_eq!(held(ledger).await.sweeps, 1);
}

async fn a_sweep_never_creates_an_item<L: Ledger>(ledger: &L) {
    let gone = Due { key: key(), due_at: at(0), sweeps: 0 };
    assert_eq!(ledger.sweep(&gone, at(900)).await.expect("sweep"), None);
    assert_eq!(ledger.get(&key()).await.expect("get"), None);

    // Nor does it wake what was finished since it was read.
    claim(ledger, 0).await;
    let found = due(ledger, 900).await.remove(0);
    let record = run(ledger, "a", 1, 901).await;
    ledger.complete(&record, "billing", &[], at(902).into()).await.expect("complete");
    assert_eq!(ledger.sweep(&found, at(1800)).await.expect("sweep"), None);
    assert_eq!(held(ledger).await.open, None);
}

async fn a_parked_event_is_due_at_its_next_attempt<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let record = run(ledger, "a", 1, 1).await;
    assert_eq!(fail(ledger, &record, 2).await, Settled::Written);
    let [found] = &due(ledger, 962).await[..] else { panic!("one event is due") };
    assert_eq!(found.due_at, at(2).plus(Duration::from_mins(16)));
    // An outcome starts the doubling afresh.
    assert_eq!(found.sweeps, 0);
}
