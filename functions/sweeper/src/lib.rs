//! The Lambda on a schedule: sends a message for every event that is due.
//!
//! ```text
//! how deep is the queue?
//! each shard, at its own pace:
//!   query open (pending, due_at <= now) ─▶ sweep: move due_at forward ─▶ send
//! ```
//!
//! It decides nothing about the event: whether it is run is up to `begin`, so an
//! extra message is harmless. So it sends into the main queue, also for what was left
//! for the lane: whether a route is still slow, the processor knows, and one that is
//! fast again must not wait behind those that are not. `due_at` moves before the message is sent, further
//! each time: an event is not sent for every minute. Dying between the two leaves
//! the event in the index with a later `due_at`, and the next message comes then.
//!
//! **A deep queue.** With more than `hold_above` messages waiting, most of what
//! becomes due is due because its message still waits, and another would stand
//! behind it. The sweep is *held* then: it looks only at what became due in the
//! last minutes and was not swept before, and sends only for retries that were
//! parked. Those have no message anywhere, and a flood of one source must not
//! delay another's. The others keep
//! their place and are looked at when the queue is shallow again. A backlog
//! therefore grows by `hold_above` messages and two minutes' worth (SQS's count
//! lags by about one), however long it lasts.
//!
//! **The pace**, for a million events an hour (278 a second), by
//! `infra/stack.json`: 1,000 a second, for 48 of 60 seconds, so 800 on average. A
//! day's backlog of 24 million takes 8.3 hours, an hour's 21 minutes. What
//! bounds it:
//!
//! - A partition of the index takes 1,000 writes a second, and a throttled index
//!   throttles the table and so the receivers. Moving `due_at` is two writes. One
//!   shard after the other would put 2,000 a second on one partition; all 16
//!   at once, each at a sixteenth of the pace, puts 125 on each.
//! - A table on demand takes 40,000 write units a second by default. A sweep of a
//!   small event costs four: 4,000.
//! - An event takes two calls one after the other. Eight events of a shard at a
//!   time keep its pace while a call takes up to 64 ms.
//! - A call costs about a million instructions, so two thousand calls a second
//!   want most of a CPU: 1,769 MB of memory, which idle costs a few cents a month.
//!
//! The schedule is exact to a minute only, so two sweeps may overlap. The
//! condition on `due_at` lets one of the two have each event, and twice the pace
//! is within all of these limits; nothing has to prevent it.
//! <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>

pub mod config;
mod shard;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join, join_all};
use inbox_core::Timestamp;
use inbox_core::ledger::Ledger;
use inbox_core::queue::{Backlog, Queue};
use inbox_core::stack::stack;
use inbox_core::telemetry::Metrics;

/// Kept free at the end of an invocation: two calls at their longest
/// (`Limits::BACKGROUND`), and some.
pub const RESERVE: Duration = Duration::from_secs(10);

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
    /// Most events swept in a second.
    pub per_second: u32,
    /// With more messages than this waiting in the queue, the sweep is held.
    pub hold_above: u64,
    /// How often it runs.
    pub interval: Duration,
    /// The time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Lets so much of that time pass.
    pub pause: Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

/// What came of one invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Swept {
    /// Messages sent.
    pub sent: usize,
    /// Those of them that were meant to come from here: retries that were parked, and
    /// events that were just reopened.
    pub resumed: usize,
    /// Events that were no longer as they were read.
    pub moved_on: usize,
    /// Events that could not be swept or sent; they come back.
    pub failed: usize,
    /// Shards that could not be read, or were left because their events failed
    /// one after the other.
    pub unread_shards: usize,
    /// Whether time ran out before everything due was looked at.
    pub cut_short: bool,
    /// Whether the queue was too deep to add to.
    pub held: bool,
    /// Events whose own message waits in a deep queue.
    pub left_to_queue: usize,
}

impl<L: Ledger, Q: Queue + Backlog> Sweeper<L, Q> {
    /// Sweeps until nothing is due or the invocation's `deadline` is near.
    pub async fn sweep(&self, deadline: Timestamp) -> Swept {
        let held = self.is_held().await;
        let started_at = (self.clock)();
        let shards = (0..self.shards)
            .map(|shard| shard::Sweep::new(self, shard, held, started_at, deadline).run());
        let mut swept = Swept { held, ..Swept::default() };
        let (parts, oldest_dead) = join(join_all(shards), self.oldest_dead(started_at)).await;
        for part in parts {
            swept.sent += part.sent;
            swept.resumed += part.resumed;
            swept.moved_on += part.moved_on;
            swept.failed += part.failed;
            swept.unread_shards += part.unread_shards;
            swept.cut_short |= part.cut_short;
            swept.left_to_queue += part.left_to_queue;
        }
        self.record(&swept, oldest_dead);
        swept
    }

    /// How long ago the first of the dead events died whose letters still lie in the
    /// dead-letter queue; zero where none does. `None` where a shard cannot be read: it
    /// may hold the first.
    pub async fn oldest_dead(&self, now: Timestamp) -> Option<Duration> {
        let kept = Duration::from_secs(stack().dead_letter_queue.retention_seconds.into());
        let since = now.minus(kept);
        let shards = (0..self.shards).map(|shard| self.ledger.oldest_dead(shard, since));
        let read: Result<Vec<_>, _> = join_all(shards).await.into_iter().collect();
        match read {
            Ok(died) => Some(
                died.into_iter().flatten().min().map_or(Duration::ZERO, |first| now.since(first)),
            ),
            Err(fault) => {
                tracing::warn!(%fault, "age of the oldest dead event unknown");
                None
            }
        }
    }

    /// Whether the queue is too deep to add to. Where that cannot be learnt, it
    /// is not: a message too many is harmless, and one that is missing waits.
    async fn is_held(&self) -> bool {
        match self.queue.waiting().await {
            Ok(waiting) if waiting > self.hold_above => {
                let hold_above = self.hold_above;
                tracing::warn!(
                    waiting,
                    hold_above,
                    "the queue is deep: only parked retries are sent, what waits in it is not sent again"
                );
                true
            }
            Ok(_) => false,
            Err(fault) => {
                tracing::warn!(%fault, "depth of the queue unknown, sweeping all the same");
                false
            }
        }
    }

    fn is_late(&self, deadline: Timestamp) -> bool {
        deadline.since((self.clock)()) <= RESERVE
    }

    fn record(&self, swept: &Swept, oldest_dead: Option<Duration>) {
        let mut metrics = Metrics::of_inbox()
            .count("Swept", swept.sent - swept.resumed)
            .count("Resumed", swept.resumed)
            .count("SweepFailed", swept.failed + swept.unread_shards)
            .count("SweepCutShort", usize::from(swept.cut_short));
        if let Some(age) = oldest_dead {
            metrics = metrics.seconds("OldestDeadSeconds", age);
        }
        metrics.emit((self.clock)());
    }
}
