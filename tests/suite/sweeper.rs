//! Sweeping, on ledger and queue in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::ledger::{Due, Ledger, shard_of};
use inbox_core::memory::{MemoryLedger, MemoryQueue};
use inbox_core::stack::stack;
use inbox_sweeper::{Sweeper, Swept};

use crate::conformance::{at, new_event};
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
        interval_seconds: 60,
        clock: Arc::new(move || at(now)),
    }
}

fn deadline(now: u64) -> Timestamp {
    at(now).plus(Duration::from_secs(50))
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

#[tokio::test]
async fn the_rate_is_kept() {
    let mut bench = bench(40, &[], 900).await;
    bench.per_second = 100;
    let started = std::time::Instant::now();
    assert_eq!(bench.sweep(deadline(900)).await.sent, 40);
    assert!(started.elapsed() >= Duration::from_millis(390), "{:?}", started.elapsed());
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
async fn every_minute_begins_with_another_shard() {
    let mut first_of = BTreeSet::new();
    for minute in 0..4 {
        let now = 900 + 60 * minute;
        let bench = bench(400, &[], now).await;
        let first = bench.sweep(deadline(now)).await;
        assert_eq!(first.sent, 400);
        let sent = bench.queue.inner.take();
        first_of.insert(shard_of(&sent[0].0.key, stack().table.open_index.shards));
    }
    assert_eq!(first_of.len(), 4);
}
