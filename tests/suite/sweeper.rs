//! Sweeping, on ledger and queue in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{
    Begin, Begun, Burial, Claimed, Completed, Due, Failure, Ledger, LedgerError, NewEvent, Record,
    Reopening, Settled, shard_of,
};
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

/// An index that shows whatever was due at first, as one that lags does.
struct Lagging {
    ledger: Fused<MemoryLedger>,
    rows: Vec<Due>,
    writes: AtomicUsize,
}

impl Ledger for Lagging {
    async fn due(
        &self,
        shard: u32,
        after: Option<&Due>,
        limit: u32,
        _: Timestamp,
    ) -> Result<Vec<Due>, LedgerError> {
        let rows = if shard == 0 { &self.rows[..] } else { &[] };
        let behind = after.map_or(0, |after| 1 + rows.iter().position(|row| row == after).unwrap());
        Ok(rows[behind..].iter().take(limit as usize).cloned().collect())
    }

    async fn sweep(&self, due: &Due, due_at: Timestamp) -> Result<Option<Record>, LedgerError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.ledger.sweep(due, due_at).await
    }

    async fn claim(&self, new: &NewEvent) -> Result<Claimed, LedgerError> {
        self.ledger.claim(new).await
    }

    async fn begin(
        &self,
        key: &EventKey,
        begin: &Begin,
        now: Timestamp,
    ) -> Result<Begun, LedgerError> {
        self.ledger.begin(key, begin, now).await
    }

    async fn finish(&self, record: &Record, now: Timestamp) -> Result<Completed, LedgerError> {
        self.ledger.finish(record, now).await
    }

    async fn complete(
        &self,
        record: &Record,
        route: &str,
        others: &[&str],
        now: Timestamp,
    ) -> Result<Completed, LedgerError> {
        self.ledger.complete(record, route, others, now).await
    }

    async fn fail(&self, failure: &Failure<'_>, now: Timestamp) -> Result<Settled, LedgerError> {
        self.ledger.fail(failure, now).await
    }

    async fn bury(&self, burial: &Burial<'_>, now: Timestamp) -> Result<Settled, LedgerError> {
        self.ledger.bury(burial, now).await
    }

    async fn reopen(&self, to: &Reopening<'_>, now: Timestamp) -> Result<Settled, LedgerError> {
        self.ledger.reopen(to, now).await
    }

    async fn get(&self, key: &EventKey) -> Result<Option<Record>, LedgerError> {
        self.ledger.get(key).await
    }
}

#[tokio::test]
async fn an_index_that_lags_costs_one_write_for_each_of_its_rows() {
    let Sweeper { ledger, queue, .. } = bench(250, &[], 900).await;
    let rows: Vec<Due> = ledger
        .inner
        .all()
        .into_iter()
        .map(|record| Due { key: record.event.key, due_at: at(900), sweeps: 0 })
        .collect();
    let sweeper = Sweeper {
        ledger: Lagging { ledger, rows, writes: AtomicUsize::new(0) },
        queue,
        shards: 2,
        grace: Duration::from_mins(15),
        grace_max: Duration::from_hours(1),
        per_second: 100_000,
        interval_seconds: 60,
        clock: Arc::new(|| at(900)),
    };
    let swept = tokio::time::timeout(Duration::from_secs(10), sweeper.sweep(deadline(900))).await;
    let swept = swept.expect("it ends");
    assert_eq!(swept, Swept { sent: 250, ..Swept::default() });
    assert_eq!(sweeper.ledger.writes.load(Ordering::SeqCst), 250);
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
