//! How an attempt ends: what is written down, and what becomes of the message.
//!
//! ```text
//! all done ───────────────▶ acknowledge
//! some to be tried again ─▶ fail ─ short ▶ hide, leave
//!                             └── long ──▶ acknowledge: parked in the ledger
//! some left for later ────▶ `deferring`
//! nothing left to try ────▶ dead letter ─▶ bury ─▶ acknowledge
//!                                             └ all of it is done by now ▶ finish
//! not a message of ours ──▶ dead letter ─────────▶ acknowledge
//! not written down ───────▶ leave
//! ```

use std::collections::BTreeMap;

use inbox_core::event::EventKey;
use inbox_core::ledger::{
    Burial, Completed, Failure, Ledger, LedgerError, Record, RouteFailure, Settled,
};
use inbox_core::marks::Marks;
use inbox_core::queue::{DeadLetter, Queue};
use inbox_core::stack::stack;
use inbox_core::telemetry::Metrics;

use crate::batch::Processor;
use crate::fates::{Conclusion, Fates};
use crate::message::{Disposition, Message};

/// Messages that were received so often are not kept for another wait: SQS itself moves
/// them away after `max_receive_count`, behind the ledger's back.
pub(crate) fn receives_most() -> u32 {
    stack().queue.max_receive_count / 3 * 2
}

impl<L: Ledger + Marks, Q: Queue> Processor<L, Q> {
    /// What a completion means for the message; where it was the last, the event's
    /// metrics.
    pub(crate) fn completed(
        &self,
        record: &Record,
        completed: Result<Completed, LedgerError>,
    ) -> Disposition {
        match completed {
            Ok(Completed::Done) => {
                let now = self.now();
                Metrics::of_source(&record.event.key.source)
                    .count("Done", 1)
                    .milliseconds("EndToEndMilliseconds", now.since(record.event.received_at))
                    .note("event_id", &record.event.key.id)
                    .emit(now);
                Disposition::Acknowledge
            }
            Ok(Completed::Pending | Completed::Superseded) => Disposition::Acknowledge,
            Err(fault) => self.leave(&record.event.key, "complete", &fault),
        }
    }

    /// Some routes are not done: wait and try again, or give up.
    pub(crate) async fn settle(
        &self,
        message: &Message,
        record: &Record,
        fates: Fates,
    ) -> Disposition {
        if !fates.left().is_empty() {
            return self.defer(record, fates).await;
        }
        let now = self.now();
        self.tell_given_up(record, &fates);
        let Conclusion::Wait(next_at) = fates.conclusion() else {
            return self.bury(record, &fates.epitaph(), fates.failures()).await;
        };
        let wait = next_at.since(now);
        // Routes that wait each for its own time can bring one message back often. And a
        // message stays in its queue only for what runs there.
        let parked = self.retry.parks(wait)
            || message.receives >= receives_most()
            || !self.waits_here(message, &fates);
        let due_at = self.due_at(record, &fates, parked, now);
        let (failures, errors) = (fates.failures(), fates.errors());
        let failure = Failure { record, failures, errors, due_at };
        match self.ledger.fail(&failure, now).await {
            Ok(Settled::Written) => {}
            Ok(Settled::Refused) => return Disposition::Acknowledge,
            Err(fault) => return self.leave(&record.event.key, "fail", &fault),
        }
        Metrics::of_source(&record.event.key.source)
            .count("Retried", 1)
            .note("event_id", &record.event.key.id)
            .emit(now);
        if parked {
            return Disposition::Acknowledge;
        }
        // Whole seconds, rounded up: a message that comes back early is dropped.
        let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        if let Err(fault) =
            self.queue.hide(&message.receipt_handle, message.from_lane, seconds).await
        {
            // It comes back by the queue's own timeout, or the sweeper sends another.
            tracing::warn!(event = %record.event.key, %fault, "message not hidden");
        }
        Disposition::Leave
    }

    /// Whether all that waits runs in the queue that the message is in: not what has been
    /// left for later, which has a message in the lane; and in the lane only what is slow,
    /// for all else would wait behind it.
    fn waits_here(&self, message: &Message, fates: &Fates) -> bool {
        fates.all_waiting(|route, failure| {
            failure.deferrals == 0 && (!message.from_lane || self.lane.is_marked(route))
        })
    }

    pub(crate) fn tell_given_up(&self, record: &Record, fates: &Fates) {
        for route in fates.given_up() {
            let error = &fates.failures()[route].error;
            tracing::error!(event = %record.event.key, route, error, "route given up");
            // Not by route or source: each pair would be a metric, paid for by the month.
            Metrics::of_inbox()
                .count("GivenUp", 1)
                .note("source", &record.event.key.source)
                .note("event_id", &record.event.key.id)
                .note("route", route)
                .emit(self.now());
        }
    }

    /// First the dead letter, then the state: who sees `dead` sees the letter.
    pub(crate) async fn bury(
        &self,
        record: &Record,
        error: &str,
        failures: &BTreeMap<String, RouteFailure>,
    ) -> Disposition {
        let event = &record.event;
        let attempts = record.most_attempts();
        let letter = DeadLetter::buried(event, record.life, attempts, error);
        if let Err(fault) = self.queue.send_dead(&letter).await {
            tracing::error!(event = %event.key, %fault, "dead letter not sent, event kept");
            return Disposition::Leave;
        }
        let burial = Burial { record, max_attempts: self.retry.max_attempts(), error, failures };
        match self.ledger.bury(&burial, self.now()).await {
            Ok(Settled::Written) => {
                tracing::error!(event = %event.key, attempts, error, "buried");
                Metrics::of_source(&event.key.source).count("Buried", 1).emit(self.now());
                Disposition::Acknowledge
            }
            // A run that overslept may have completed all of it since: its letter then
            // names a life that never comes. Else the event is another's by now.
            Ok(Settled::Refused) => {
                let finished = self.ledger.finish(record, self.now()).await;
                self.completed(record, finished)
            }
            Err(fault) => self.leave(&event.key, "bury", &fault),
        }
    }

    /// A message that nobody can read would come back for ever.
    pub(crate) async fn turn_away(&self, message: &Message, reason: &str) -> Disposition {
        let letter = DeadLetter::unreadable(message.body.clone(), reason);
        match self.queue.send_dead(&letter).await {
            Ok(()) => {
                tracing::error!(
                    message_id = message.id,
                    reason,
                    "message moved to the dead letters"
                );
                Metrics::of_inbox().count("Unreadable", 1).emit(self.now());
                Disposition::Acknowledge
            }
            Err(fault) => {
                tracing::error!(message_id = message.id, reason, %fault, "dead letter not sent");
                Disposition::Leave
            }
        }
    }

    pub(crate) fn leave(
        &self,
        event: &EventKey,
        step: &'static str,
        fault: &LedgerError,
    ) -> Disposition {
        tracing::error!(%event, step, %fault, "message left in the queue");
        Metrics::of_source(&event.source).count("Unavailable", 1).emit(self.now());
        Disposition::Leave
    }
}
