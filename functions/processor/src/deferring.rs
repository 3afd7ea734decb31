//! How routes are left for later: written down, and sent anew into the lane.
//!
//! ```text
//! from the main queue   a marked route ─────┐         ┌─ at once
//! from within the lane  an open breaker ────┴ defer ──┴─ after 15 s, 30 s, … 15 min ─▶ acknowledge
//! ```
//!
//! The write and its order are [`inbox_core::ledger`]'s (`deferral`). A route of the same
//! event that failed in the same run is written down with it, and waits parked: its
//! message is acknowledged, and a slow sibling's wait is not its own.

use std::pin::pin;
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::ledger::{Deferral, Failure, Ledger, Record, Settled, sweep_due_at};
use inbox_core::marks::Marks;
use inbox_core::queue::Queue;
use inbox_core::stack::stack;
use inbox_core::telemetry::Metrics;

use crate::batch::Processor;
use crate::fates::Fates;
use crate::lane::Change;
use crate::message::{Disposition, Message};
use crate::routes::Route;
use crate::run::Outcome;

/// A batch waits no longer for the marks: those that are known will do.
const MARKS_WITHIN: Duration = Duration::from_millis(500);

impl<L: Ledger + Marks, Q: Queue> Processor<L, Q> {
    /// Leaves for later, before anything runs, what is marked: only in the lane it runs.
    pub(crate) fn leave_marked(&self, message: &Message, fates: &mut Fates) {
        if message.from_lane {
            return;
        }
        for (route, _) in fates.due().to_vec() {
            if self.lane.is_marked(&route) && fates.may_leave(&route) {
                fates.leave(&route, message.from_lane, self.now());
            }
        }
    }

    /// Whether a route that would rather not be tried now can be left for later. Without
    /// a lane no event is given up on hearsay: its last attempt is made.
    pub(crate) fn may_leave(&self, fates: &Fates, route: &str, attempt: u32) -> bool {
        if self.lane.is_there() {
            fates.may_leave(route)
        } else {
            attempt < self.retry.max_attempts()
        }
    }

    /// A run, and what it says of its route's pace.
    pub(crate) async fn timed<'a>(
        &self,
        route: &str,
        run: impl Future<Output = (&'a Route, Outcome)>,
    ) -> (&'a Route, Outcome, Option<Change>) {
        let began = self.now();
        let mut run = pin!(run);
        let patience = self.lane.patience().unwrap_or(Duration::MAX);
        let (route, outcome) = match tokio::time::timeout(patience, &mut run).await {
            Ok(ended) => ended,
            // The others are not to find out for themselves.
            Err(_elapsed) => {
                let change = self.lane.still_runs(route, patience, self.now());
                self.tell(route, change).await;
                run.await
            }
        };
        let now = self.now();
        let change = match &outcome {
            Outcome::NotTried(_) => self.lane.was_not_tried(&route.id, now),
            Outcome::Done(_) | Outcome::Failed(_) => {
                self.lane.ran(&route.id, now.since(began), now)
            }
        };
        (route, outcome, change)
    }

    /// Writes down that routes are left for later, and sends their message.
    pub(crate) async fn defer(&self, record: &Record, fates: Fates) -> Disposition {
        let now = self.now();
        self.tell_given_up(record, &fates);
        let event = &record.event;
        let (failures, errors) = (fates.failures(), fates.errors());
        let due_at = self.due_at(record, &fates, true, now);
        let written = if errors.is_empty() {
            self.ledger.defer(&Deferral { record, failures, due_at }).await
        } else {
            self.ledger.fail(&Failure { record, failures, errors, due_at }, now).await
        };
        match written {
            Ok(Settled::Written) => {}
            Ok(Settled::Refused) => return Disposition::Acknowledge,
            Err(fault) => return self.leave(&event.key, "defer", &fault),
        }
        if !errors.is_empty() {
            let source = Metrics::of_source(&event.key.source);
            source.count("Retried", 1).note("event_id", &event.key.id).emit(now);
        }
        Metrics::of_source(&event.key.source)
            .count("Deferred", 1)
            .note("event_id", &event.key.id)
            .note("routes", fates.left().join(", "))
            .emit(now);
        let delay = fates.delay(now);
        match self.queue.send_to_lane(event, record.life, delay).await {
            Ok(()) => Disposition::Acknowledge,
            Err(fault) => {
                // It comes back by the queue's own timeout, and is sent on then.
                tracing::error!(event = %event.key, %fault, "not sent into the lane, message kept");
                Disposition::Leave
            }
        }
    }

    /// When the sweeper is to look: at the end of a wait that is parked, and a while after
    /// the end of one that a message waits for. The lane's own messages may wait long, so
    /// it looks more seldom each time.
    pub(crate) fn due_at(
        &self,
        record: &Record,
        fates: &Fates,
        is_parked: bool,
        now: Timestamp,
    ) -> Timestamp {
        let most = Duration::from_secs(stack().defaults.sweep_grace_max_seconds.into());
        let waits = fates.failures().values().filter_map(|failure| {
            let next_at = failure.next_at?;
            Some(if failure.deferrals > 0 {
                sweep_due_at(next_at.max(now), record.sweeps, self.sweep_grace, most)
            } else if is_parked {
                next_at
            } else {
                next_at.plus(self.sweep_grace)
            })
        });
        waits.min().unwrap_or(now)
    }

    /// Tells the others how fast a route is, where that has changed.
    pub(crate) async fn tell(&self, route: &str, change: Option<Change>) {
        let told = match change {
            None => return,
            Some(Change::Mark { slow_at, is_new }) => {
                if is_new {
                    tracing::warn!(route, "the route is slow: its events go into the lane");
                }
                self.ledger.mark(route, slow_at).await
            }
            Some(Change::Unmark { slow_at }) => {
                tracing::info!(route, "the route is fast again: its events leave the lane");
                self.ledger.unmark(route, slow_at).await
            }
        };
        if let Err(fault) = told {
            tracing::warn!(route, %fault, "the route's mark was not written");
        }
    }

    /// Reads the marks again, if the copy is old.
    pub(crate) async fn read_marks(&self) {
        if !self.lane.asks_for_marks(self.now()) {
            return;
        }
        match tokio::time::timeout(MARKS_WITHIN, self.ledger.marks()).await {
            Ok(Ok(marks)) => self.lane.learn(marks),
            Ok(Err(fault)) => tracing::warn!(%fault, "the marks of slow routes were not read"),
            Err(_) => tracing::warn!("the marks of slow routes were not read in time"),
        }
    }
}
