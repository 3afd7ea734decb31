//! The Lambda on a schedule: sends a message for every event that is due.
//!
//! ```text
//! query open (pending, due_at <= now) ─▶ sweep: move due_at forward ─▶ send
//! ```
//!
//! It decides nothing else: whether an event is run is up to `begin`, so an
//! extra message is harmless. `due_at` moves before the message is sent, further
//! each time: a backlog that the processor cannot keep up with is not multiplied
//! by being swept every minute. Dying between the two leaves the event in the
//! index with a later `due_at`, and the next message comes then.

pub mod config;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use inbox_core::Timestamp;
use inbox_core::ledger::{Due, Ledger, LedgerError, sweep_due_at};
use inbox_core::queue::Queue;
use inbox_core::telemetry::Metrics;

/// Events read from a shard at a time.
const PAGE: u32 = 100;
/// Events swept at the same time.
const CONCURRENCY: usize = 8;
/// Kept free at the end of an invocation: two calls at their longest
/// (`Limits::BACKGROUND`), and some.
const RESERVE: Duration = Duration::from_secs(10);

/// Everything that sweeping needs.
pub struct Sweeper<L, Q> {
    /// What is due.
    pub ledger: L,
    /// Who is woken.
    pub queue: Q,
    /// Partitions of the index `open`.
    pub shards: u32,
    /// How long a message may take before another is sent; doubled each time.
    pub grace: Duration,
    /// What the doubling ends at.
    pub grace_max: Duration,
    /// Most messages in a second.
    pub per_second: u32,
    /// How often it runs.
    pub interval_seconds: u32,
    /// The time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// What came of one invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Swept {
    /// Messages sent.
    pub sent: usize,
    /// Events that were no longer as they were read.
    pub moved_on: usize,
    /// Events that could not be swept or sent; they come back.
    pub failed: usize,
    /// Shards that could not be read.
    pub unread_shards: usize,
    /// Whether time ran out before everything due was looked at.
    pub cut_short: bool,
}

enum One {
    Sent,
    MovedOn,
    Failed,
    TooLate,
}

impl<L: Ledger, Q: Queue> Sweeper<L, Q> {
    /// Sweeps until nothing is due or the invocation's `deadline` is near.
    pub async fn sweep(&self, deadline: Timestamp) -> Swept {
        let mut swept = Swept::default();
        let started_at = tokio::time::Instant::now();
        let mut begun: u32 = 0;
        // From another shard each time, so that none starves when time is short.
        let run = (self.clock)().unix_seconds() / i64::from(self.interval_seconds.max(1));
        let first = u32::try_from(run % i64::from(self.shards.max(1))).unwrap_or_default();
        for shard in (0..self.shards).map(|n| (first + n) % self.shards) {
            let mut after = None;
            loop {
                if self.is_late(deadline) {
                    swept.cut_short = true;
                    break;
                }
                let page = match self.ledger.due(shard, after.as_ref(), PAGE, (self.clock)()).await
                {
                    Ok(page) => page,
                    Err(fault) => {
                        tracing::error!(shard, %fault, "shard not read");
                        swept.unread_shards += 1;
                        break;
                    }
                };
                // Behind this page, not from the top again: the index lags behind
                // the table and would show the same events once more.
                after = page.due.last().cloned().or(after);
                let is_last = page.is_last || page.due.is_empty();
                let paced = page.due.into_iter().map(|due| {
                    begun += 1;
                    let at = Duration::from_secs_f64(f64::from(begun) / f64::from(self.per_second));
                    self.sweep_one(due, started_at + at, deadline)
                });
                let mut ones = futures_util::stream::iter(paced).buffer_unordered(CONCURRENCY);
                while let Some(one) = ones.next().await {
                    match one {
                        One::Sent => swept.sent += 1,
                        One::MovedOn => swept.moved_on += 1,
                        One::Failed => swept.failed += 1,
                        One::TooLate => swept.cut_short = true,
                    }
                }
                drop(ones);
                if is_last || swept.cut_short {
                    break;
                }
            }
        }
        self.record(&swept);
        swept
    }

    async fn sweep_one(&self, due: Due, start: tokio::time::Instant, deadline: Timestamp) -> One {
        tokio::time::sleep_until(start).await;
        if self.is_late(deadline) {
            return One::TooLate;
        }
        let due_at = sweep_due_at((self.clock)(), due.sweeps, self.grace, self.grace_max);
        match self.send(&due, due_at).await {
            Ok(true) => One::Sent,
            Ok(false) => One::MovedOn,
            Err(fault) => {
                tracing::error!(event = %due.key, fault, "not swept");
                One::Failed
            }
        }
    }

    async fn send(&self, due: &Due, due_at: Timestamp) -> Result<bool, String> {
        let swept = self.ledger.sweep(due, due_at).await;
        let Some(record) = swept.map_err(|fault: LedgerError| fault.to_string())? else {
            return Ok(false);
        };
        let sent = self.queue.send(&record.event, record.life).await;
        sent.map_err(|fault| fault.to_string())?;
        Ok(true)
    }

    fn is_late(&self, deadline: Timestamp) -> bool {
        deadline.since((self.clock)()) <= RESERVE
    }

    fn record(&self, swept: &Swept) {
        Metrics::of_inbox()
            .count("Swept", swept.sent)
            .count("SweepFailed", swept.failed + swept.unread_shards)
            .count("SweepCutShort", usize::from(swept.cut_short))
            .emit((self.clock)());
    }
}
