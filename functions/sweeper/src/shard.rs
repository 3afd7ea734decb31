//! One shard's part of a sweep: page after page, at the shard's share of the
//! pace, until nothing is due, the time is up, or nothing works.
//!
//! A sweep that fails after `due_at` moved has put its event off without a
//! message. While table or queue are out of order, every further try would put
//! off one more, so a shard is left after a few faults in a row; what is left is
//! still due in the next minute. A row that cannot be read is only itself at
//! fault and stops nothing. Faults are logged once for each shard, with their
//! number: an outage during a backlog must not write a line for each event.

use std::time::Duration;

use futures_util::StreamExt as _;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Due, Ledger, LedgerError, RouteFailure, sweep_due_at};
use inbox_core::queue::{Backlog, Queue};

use crate::{RESERVE, Sweeper, Swept};

/// Events read at a time.
const PAGE: u32 = 100;
/// Events of one shard swept at the same time.
const CONCURRENCY: usize = 8;
/// After so many faults in a row, the shard is left for the next minute.
const FAULTS_IN_A_ROW: usize = 5;
/// A held sweep looks back so many intervals: one sweep may be late or fail.
const INTERVALS_BACK: u32 = 3;

/// What became of one event.
enum One {
    Sent,
    /// A parked retry, whose time has come, or an event that was just reopened.
    Resumed,
    MovedOn,
    /// Its own message waits in a deep queue.
    LeftToQueue,
    /// The event alone cannot be read.
    Unreadable(EventKey, String),
    /// Table or queue do not work.
    Unavailable(EventKey, String),
    TooLate,
}

pub(crate) struct Sweep<'a, L, Q> {
    sweeper: &'a Sweeper<L, Q>,
    shard: u32,
    held: bool,
    started_at: Timestamp,
    deadline: Timestamp,
    swept: Swept,
    /// When the next event may be begun.
    next_at: Timestamp,
    faults_in_a_row: usize,
    first_fault: Option<(EventKey, String)>,
}

impl<'a, L: Ledger, Q: Queue + Backlog> Sweep<'a, L, Q> {
    pub(crate) fn new(
        sweeper: &'a Sweeper<L, Q>,
        shard: u32,
        held: bool,
        started_at: Timestamp,
        deadline: Timestamp,
    ) -> Self {
        Self {
            sweeper,
            shard,
            held,
            started_at,
            deadline,
            swept: Swept::default(),
            // Shards take turns, so that all of them together are even too.
            next_at: started_at.plus(every(sweeper) * shard / sweeper.shards),
            faults_in_a_row: 0,
            first_fault: None,
        }
    }

    pub(crate) async fn run(mut self) -> Swept {
        self.pages().await;
        if let Some((event, fault)) = &self.first_fault {
            let (shard, failed) = (self.shard, self.swept.failed);
            let left = self.is_hopeless();
            tracing::error!(shard, failed, left, %event, fault, "events not swept, the first with this fault");
        }
        self.swept
    }

    async fn pages(&mut self) {
        let sweeper = self.sweeper;
        let mut after = self.held.then(|| self.just_before_what_is_new());
        loop {
            if sweeper.is_late(self.deadline) {
                self.swept.cut_short = true;
                return;
            }
            let now = (sweeper.clock)();
            let page = match sweeper.ledger.due(self.shard, after.as_ref(), PAGE, now).await {
                Ok(page) => page,
                Err(fault) => {
                    tracing::error!(shard = self.shard, %fault, "shard not read");
                    self.swept.unread_shards += 1;
                    return;
                }
            };
            // Behind this page, not from the top again: the index lags behind
            // the table and would show the same events once more.
            after = page.due.last().cloned().or(after);
            let is_last = page.is_last || page.due.is_empty();
            self.page(page.due).await;
            if self.is_hopeless() {
                self.swept.unread_shards += 1;
                return;
            }
            if is_last || self.swept.cut_short {
                return;
            }
        }
    }

    async fn page(&mut self, due: Vec<Due>) {
        let (sweeper, held, deadline) = (self.sweeper, self.held, self.deadline);
        let mut next_at = self.next_at;
        // Held, each event is looked at once: what was swept before waits.
        let due = due.into_iter().filter(|due| !held || due.sweeps == 0);
        let paced = due.map(|due| {
            // After a slow stretch the pace goes on from now: what was missed is
            // not made up for in a burst.
            let start = next_at.max((sweeper.clock)());
            next_at = start.plus(every(sweeper));
            one(sweeper, due, start, held, deadline)
        });
        let mut ones = futures_util::stream::iter(paced).buffer_unordered(CONCURRENCY);
        while let Some(one) = ones.next().await {
            self.count(one);
            // Dropping those under way leaves their events to a later message.
            if self.is_hopeless() {
                break;
            }
        }
        drop(ones);
        self.next_at = next_at;
    }

    fn count(&mut self, one: One) {
        self.faults_in_a_row = match &one {
            One::Unavailable(..) => self.faults_in_a_row + 1,
            One::Unreadable(..) | One::TooLate => self.faults_in_a_row,
            One::Sent | One::Resumed | One::MovedOn | One::LeftToQueue => 0,
        };
        match one {
            One::Sent => self.swept.sent += 1,
            One::Resumed => {
                self.swept.sent += 1;
                self.swept.resumed += 1;
            }
            One::MovedOn => self.swept.moved_on += 1,
            One::LeftToQueue => self.swept.left_to_queue += 1,
            One::TooLate => self.swept.cut_short = true,
            One::Unreadable(key, fault) | One::Unavailable(key, fault) => {
                self.swept.failed += 1;
                self.first_fault.get_or_insert((key, fault));
            }
        }
    }

    fn is_hopeless(&self) -> bool {
        self.faults_in_a_row >= FAULTS_IN_A_ROW
    }

    /// A place in the index, whether a row is there or not.
    fn just_before_what_is_new(&self) -> Due {
        let back = self.sweeper.interval * INTERVALS_BACK;
        let key = EventKey { source: String::new(), id: String::new() };
        Due { key, due_at: self.started_at.minus(back), sweeps: 0 }
    }
}

/// The time between two events of one shard, rounded up.
fn every<L, Q>(sweeper: &Sweeper<L, Q>) -> Duration {
    let (shards, per_second) = (u64::from(sweeper.shards), u64::from(sweeper.per_second.max(1)));
    Duration::from_millis((1000 * shards).div_ceil(per_second))
}

async fn one<L: Ledger, Q: Queue + Backlog>(
    sweeper: &Sweeper<L, Q>,
    due: Due,
    start: Timestamp,
    held: bool,
    deadline: Timestamp,
) -> One {
    // Who would come too late does not wait for it.
    if deadline.since(start) <= RESERVE {
        return One::TooLate;
    }
    let wait = start.since((sweeper.clock)());
    if !wait.is_zero() {
        (sweeper.pause)(wait).await;
    }
    if sweeper.is_late(deadline) {
        return One::TooLate;
    }
    let due_at = sweep_due_at((sweeper.clock)(), due.sweeps, sweeper.grace, sweeper.grace_max);
    let record = match sweeper.ledger.sweep(&due, due_at).await {
        Ok(Some(record)) => record,
        Ok(None) => return One::MovedOn,
        Err(fault @ LedgerError::Unreadable(_)) => {
            return One::Unreadable(due.key, fault.to_string());
        }
        Err(fault) => return One::Unavailable(due.key, fault.to_string()),
    };
    let is_first = due.sweeps == 0;
    // Beside a route that is parked, another may have been left for the lane at once.
    let ends_now = |failure: &RouteFailure| failure.next_at == Some(due.due_at);
    let was_parked =
        is_first && (record.next_at == Some(due.due_at) || record.failures.values().any(ends_now));
    // All others have a message, which waits with the rest.
    if held && !was_parked {
        return One::LeftToQueue;
    }
    // A replay or redrive opens an event as due, so that its message cannot be lost.
    let was_reopened = is_first && record.life > 1 && record.next_at.is_none();
    match sweeper.queue.send(&record.event, record.life).await {
        Ok(()) if was_parked || was_reopened => One::Resumed,
        Ok(()) => One::Sent,
        Err(fault) => One::Unavailable(due.key, fault.to_string()),
    }
}
