//! Sweeping, on ledger and queue in memory, and in a world of its own.

mod clock;
mod day;
mod logged;
mod scenarios;
mod unreadable;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{
    Begun, Due, Failure, Ledger, Reopen, Reopening, Rerun, Settled, shard_of,
};
use inbox_core::memory::{MemoryLedger, MemoryQueue};
use inbox_core::queue::Queue as _;
use inbox_core::stack::stack;
use inbox_sweeper::{Sweeper, Swept};

use self::clock::Clock;
use crate::conformance::{at, begin_with, bury, failures, new_event};
use crate::crash::fuse::{Fuse, Fused, Side};

type Bench = Sweeper<Fused<MemoryLedger>, Fused<MemoryQueue>>;

async fn bench(events: usize, crashes: &[(usize, Side)], now: u64) -> Bench {
    let ledger = Arc::new(MemoryLedger::default());
    for n in 0..events {
        let mut new = new_event(at(0));
        new.event.key.id = format!("evt_{n}");
        ledger.claim(&new).await.unwrap();
    }
    let fuse = Fuse::new(crashes);
    Sweeper {
        ledger: Fused { inner: ledger, fuse: Arc::clone(&fuse) },
        queue: Fused { inner: Arc::default(), fuse },
        shards: stack().table.open_index.shards,
        grace: Duration::from_mins(15),
        grace_max: Duration::from_hours(1),
        per_second: 100_000,
        hold_above: 1_000_000,
        interval: Duration::from_mins(1),
        clock: Arc::new(move || at(now)),
        pause: Arc::new(|_| std::future::ready(()).boxed()),
    }
}

fn deadline(now: u64) -> Timestamp {
    at(now).plus(Duration::from_secs(50))
}

/// A first event that was begun and failed, to be tried again from `next_at` on.
async fn failed(bench: &Bench, next_at: u64, due_at: u64) {
    let begun = bench.ledger.begin(&first(), &begin_with("token", 1, at(70)), at(1)).await;
    let Ok(Begun::Run(record)) = begun else { panic!("{begun:?}") };
    let failures = failures(&[("work", "not now", 1, Some(next_at))]);
    let due_at = at(due_at);
    let failure = Failure { record: &record, failures: &failures, errors: &[], due_at };
    assert_eq!(bench.ledger.fail(&failure, at(2)).await.unwrap(), Settled::Written);
}

fn first() -> EventKey {
    EventKey { id: "evt_0".into(), ..new_event(at(0)).event.key }
}

/// Its message was kept when it failed, and waits with the others.
#[tokio::test]
async fn while_the_queue_is_deep_only_a_retry_that_was_parked_is_sent() {
    for (next_at, expected) in [
        (10, Swept { held: true, left_to_queue: 1, ..Swept::default() }),
        (800, Swept { held: true, sent: 1, resumed: 1, ..Swept::default() }),
    ] {
        let mut bench = bench(1, &[], 900).await;
        bench.hold_above = 0;
        bench.queue.send(&new_event(at(0)).event, 1).await.unwrap();
        failed(&bench, next_at, 800).await;
        assert_eq!(bench.sweep(deadline(900)).await, expected);
    }
}

#[tokio::test]
async fn an_event_that_was_just_reopened_is_told_apart_from_one_whose_message_was_lost() {
    let bench = bench(1, &[], 900).await;
    let record = bench.ledger.get(&first()).await.unwrap().expect("the event");
    let reopening = Reopening {
        record: &record,
        cause: Reopen::Replay { seen: 1, rerun: Rerun::All },
        actor: "ada",
        reason: "to be sure",
        request_id: "replay-1",
        due_at: at(890),
        expires_at: at(100_000),
    };
    assert_eq!(bench.ledger.reopen(&reopening, at(890)).await.unwrap(), Settled::Written);
    let swept = bench.sweep(deadline(900)).await;
    assert_eq!(swept, Swept { sent: 1, resumed: 1, ..Swept::default() });
}

/// What the alarm on letters that soon expire looks at: the first of the dead, while its
/// letter is kept.
#[tokio::test]
async fn the_age_of_the_oldest_dead_event_is_told_while_its_letter_is_kept() {
    const KEPT: u64 = 14 * 86_400;
    let bench = bench(3, &[], 0).await;
    assert_eq!(bench.oldest_dead(at(900)).await, Some(Duration::ZERO), "nothing is dead");
    for (id, died_at) in [("evt_0", 20), ("evt_1", 10)] {
        let key = EventKey { id: id.into(), ..first() };
        let begun = bench.ledger.begin(&key, &begin_with("token", 1, at(70)), at(1)).await;
        let Ok(Begun::Run(record)) = begun else { panic!("{begun:?}") };
        assert_eq!(bury(&bench.ledger, &record, died_at).await, Settled::Written);
    }
    let age = async |now: u64| bench.oldest_dead(at(now)).await.map(|age| age.as_secs());
    assert_eq!(age(900).await, Some(890));
    assert_eq!(age(KEPT + 9).await, Some(KEPT - 1));
    assert_eq!(age(KEPT + 10).await, Some(KEPT - 10), "the first letter has expired");
    assert_eq!(age(KEPT + 20).await, Some(0), "both have");
}

/// The one is a loss, the other was meant so: an alarm rings for the one.
#[tokio::test]
async fn a_parked_retry_is_told_apart_from_an_event_whose_message_was_lost() {
    let bench = bench(2, &[], 900).await;
    failed(&bench, 300, 300).await;
    let swept = bench.sweep(deadline(900)).await;
    assert_eq!(swept, Swept { sent: 2, resumed: 1, ..Swept::default() });
}

#[tokio::test]
async fn a_backlog_of_many_pages_is_sent_once_each_and_not_multiplied() {
    let bench = bench(5000, &[], 900).await;
    let swept = bench.sweep(deadline(900)).await;
    assert_eq!(swept, Swept { sent: 5000, ..Swept::default() });
    let ids: BTreeSet<String> =
        bench.queue.inner.take().into_iter().map(|(pointer, _)| pointer.key.id).collect();
    assert_eq!(ids.len(), 5000);
    // The next minute, nothing is due although nothing was handled.
    assert_eq!(bench.sweep(deadline(900)).await, Swept::default());
}

#[tokio::test]
async fn nothing_is_sent_before_its_time() {
    let bench = bench(10, &[], 899).await;
    assert_eq!(bench.sweep(deadline(899)).await, Swept::default());
}

#[tokio::test]
async fn when_time_runs_out_the_rest_waits_for_the_next_minute() {
    let bench = bench(10, &[], 900).await;
    let swept = bench.sweep(at(910)).await;
    assert_eq!(swept, Swept { cut_short: true, ..Swept::default() });
    assert_eq!(bench.queue.inner.take().len(), 0);
    assert_eq!(bench.sweep(deadline(900)).await.sent, 10);
}

/// Messages sent by second and shard, of 4,000 that are due at once; with the first
/// one, the clock jumps by so much, as when a call takes long.
async fn sent_by_second_and_shard(stall: Duration) -> BTreeMap<(u64, u32), usize> {
    let mut bench = bench(4000, &[], 900).await;
    bench.per_second = 1000;
    let clock = Clock::new(at(900));
    let (now, pause, seen) = (clock.clone(), clock.clone(), clock.clone());
    bench.clock = Arc::new(move || now.now());
    bench.pause = Arc::new(move |time| pause.pause(time));
    let moments = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&moments);
    bench.queue.fuse.on_step(move |step| {
        if step == "send" {
            kept.lock().unwrap().push(seen.now());
            seen.jump_to(at(900).plus(stall));
        }
    });
    let swept = clock.run(bench.sweep(deadline(900)), |_| {});
    assert_eq!(swept, Swept { sent: 4000, ..Swept::default() });
    let keys = bench.queue.inner.take().into_iter().map(|(pointer, _)| pointer.key);
    let mut sent: BTreeMap<(u64, u32), usize> = BTreeMap::new();
    for (key, moment) in keys.zip(moments.lock().unwrap().iter()) {
        let shard = shard_of(&key, stack().table.open_index.shards);
        *sent.entry((moment.since(at(900)).as_secs(), shard)).or_default() += 1;
    }
    sent
}

#[tokio::test]
async fn the_pace_is_kept_in_all_and_on_each_partition() {
    let sent = sent_by_second_and_shard(Duration::ZERO).await;
    // A sixteenth of a thousand, so 125 writes of the 1,000 that a partition takes.
    assert!(sent.values().all(|count| *count <= 63), "{sent:?}");
    assert!(sent.keys().any(|(second, _)| *second >= 3), "{sent:?}");
    // All side by side: none waits for another's end.
    let shards = stack().table.open_index.shards;
    assert!((0..shards).all(|shard| sent.contains_key(&(0, shard))), "{sent:?}");
}

#[tokio::test]
async fn what_a_slow_stretch_cost_is_not_made_up_for_in_a_burst() {
    let sent = sent_by_second_and_shard(Duration::from_secs(5)).await;
    // The pace, and what was under way.
    assert!(sent.values().all(|count| *count <= 63 + 8), "{sent:?}");
}

#[tokio::test]
async fn an_event_whose_message_could_not_be_sent_comes_back_later() {
    // Dies between moving the time forward and sending.
    let bench = bench(1, &[(1, Side::Before)], 900).await;
    assert!(bench.queue.fuse.clone().run(bench.sweep(deadline(900))).await.is_none());
    assert_eq!(bench.queue.inner.take().len(), 0);
    let record = bench.ledger.inner.all().remove(0);
    assert_eq!(record.open.map(inbox_core::ledger::Open::due_at), Some(at(1800)));
}

#[tokio::test]
async fn an_index_that_lags_costs_one_write_for_each_of_its_rows() {
    let mut bench = bench(250, &[], 900).await;
    bench.shards = 1;
    let ids = bench.ledger.inner.all().into_iter().map(|record| record.event.key);
    let rows = ids.map(|key| Due { key, due_at: at(900), sweeps: 0 }).collect();
    bench.ledger.fuse.freeze_index(rows);
    let swept = tokio::time::timeout(Duration::from_secs(10), bench.sweep(deadline(900))).await;
    assert_eq!(swept.expect("it ends"), Swept { sent: 250, ..Swept::default() });
    // One write to the ledger and one message for each.
    assert_eq!(bench.ledger.fuse.steps(), 2 * 250);
}

#[tokio::test]
async fn two_sweeps_at_once_send_one_message_for_each_event() {
    let bench = bench(500, &[], 900).await;
    let (one, other) =
        futures_util::future::join(bench.sweep(deadline(900)), bench.sweep(deadline(900))).await;
    assert_eq!(one.sent + other.sent, 500);
    assert_eq!(bench.queue.inner.take().len(), 500);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_no_other() {
    let mut bench = bench(100, &[], 900).await;
    bench.shards = 1;
    let ids = bench.ledger.inner.all().into_iter().map(|record| record.event.key);
    let rows = ids.map(|key| Due { key, due_at: at(900), sweeps: 0 }).collect();
    bench.ledger.fuse.freeze_index(rows);
    bench.ledger.fuse.unreadable_first(20);
    let swept = bench.sweep(deadline(900)).await;
    assert_eq!(swept, Swept { sent: 80, failed: 20, ..Swept::default() });
}

#[tokio::test]
async fn a_queue_whose_depth_is_unknown_is_added_to() {
    let bench = bench(3, &[], 900).await;
    bench.queue.fuse.fail_at("waiting");
    assert_eq!(bench.sweep(deadline(900)).await, Swept { sent: 3, ..Swept::default() });
}
