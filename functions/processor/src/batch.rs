//! What happens to a batch of messages.
//!
//! ```text
//! message ─ begin ─▶ Run ─ load ─ handlers ─ all done ─▶ complete ─▶ acknowledge
//!             │                        └──── failed ───▶ fail ─ short ▶ hide, leave
//!             │                                             └── long ─▶ acknowledge (parked)
//!             │                        └ for good ┐
//!             ├────▶ Exhausted ──────────────────┴────▶ dead letter, bury ─▶ acknowledge
//!             │           └─ no handler left to run ──▶ finish ────────────▶ acknowledge
//!             ├────▶ Reopen ── reopen ── begin again
//!             ├────▶ Suspect ─ after all others, alone, begin again
//!             ├────▶ Early ─────────────────────────────────────────────▶ leave
//!             └────▶ Missing, Stale, Finished, Busy ────────────────────▶ acknowledge
//! ```
//!
//! Dying anywhere is safe. Before `begin` landed, nothing happened. After it,
//! the lease ends by time, and the message, which nobody acknowledged, or the
//! sweeper brings the event back; attempts were counted first, so an event that
//! kills its process ends `Exhausted`. Between a handler's effect and
//! `complete`, the handler runs again with the same idempotency key. Between the
//! dead letter and `bury`, a second dead letter of the same life follows, and of
//! two of one life only one can reopen the event. Whatever was acknowledged
//! wrongly is in the index `open` and comes back at `due_at`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::handler::Run;
use inbox_core::ledger::{
    ACTOR_PROCESSOR, Begin, Begun, Burial, Completed, Failure, Lease, Ledger, LedgerError, Record,
    Reopen, Reopening, Settled, Suspects,
};
use inbox_core::queue::{DeadLetter, Pointer, Queue};
use inbox_core::telemetry::Metrics;

use crate::retry::RetryPolicy;
use crate::routes::{Route, Routes};
use crate::run::{Failed, Outcome, run_handler};

/// Kept free at the end of an invocation, after the handlers, to write down what
/// became of them: two calls at their longest (`Limits::BACKGROUND`), and some.
pub const RESERVE: Duration = Duration::from_secs(10);

/// Stands for a route in the error of an attempt that came to none. No route can be
/// called so.
const NO_ROUTE: &str = "(payload)";

/// A message as SQS delivered it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Named in the batch's answer when it shall be kept.
    pub id: String,
    /// Needed to hide it.
    pub receipt_handle: String,
    /// What it says.
    pub body: String,
}

/// The body's size: one that is no pointer may hold anything.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Everything that handling needs.
pub struct Processor<L, Q> {
    /// What is true.
    pub ledger: L,
    /// Who is woken.
    pub queue: Q,
    /// What is done with events.
    pub routes: Routes,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How long a message may take before the sweeper sends another.
    pub sweep_grace: Duration,
    /// Time limit of one handler's run.
    pub handler_timeout: Duration,
    /// How much longer a lease lasts than the invocation that holds it.
    pub lease_margin: Duration,
    /// How long events are kept once more when an operator reopens them.
    pub retention: Duration,
    /// The time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// From 0 to 1, for jitter.
    pub chance: Arc<dyn Fn() -> f64 + Send + Sync>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposition {
    /// Delete it.
    Acknowledge,
    /// Keep it in the queue.
    Leave,
    /// Look at it again when the others are through.
    Suspect,
}

impl<L: Ledger, Q: Queue> Processor<L, Q> {
    /// Handles a batch within the invocation's `deadline` and returns the ids of
    /// the messages that SQS shall keep.
    pub async fn run_batch(&self, messages: Vec<Message>, deadline: Timestamp) -> Vec<String> {
        // Alone, there is no neighbour to protect, and no second call to make.
        let first_look = if messages.len() > 1 { Suspects::Defer } else { Suspects::Run };
        let looks = messages.iter().map(|message| self.look(message, first_look, deadline));
        let dispositions = futures_util::future::join_all(looks).await;

        let mut kept = Vec::new();
        for (message, disposition) in messages.iter().zip(dispositions) {
            let disposition = match disposition {
                // One at a time, each begun just before: a process-killer takes
                // nobody along, and those behind it are not yet counted.
                Disposition::Suspect => self.look(message, Suspects::Run, deadline).await,
                settled => settled,
            };
            if disposition != Disposition::Acknowledge {
                kept.push(message.id.clone());
            }
        }
        kept
    }

    async fn look(
        &self,
        message: &Message,
        suspects: Suspects,
        deadline: Timestamp,
    ) -> Disposition {
        let pointer = match Pointer::parse(&message.body) {
            Ok(pointer) => pointer,
            Err(reason) => return self.turn_away(message, &reason).await,
        };
        // An attempt that cannot have its whole time is not begun: it would be
        // counted all the same.
        if deadline.since(self.now()) < self.handler_timeout + RESERVE {
            return Disposition::Leave;
        }
        match self.begin(message, &pointer, suspects, deadline).await {
            Ok(Begun::Run(record)) => self.run(message, *record, deadline).await,
            Ok(Begun::Suspect) => Disposition::Suspect,
            Ok(Begun::Exhausted(record)) => self.exhausted(&record).await,
            Ok(Begun::Missing) => {
                tracing::error!(event = %pointer.key, "no such event in the ledger");
                Metrics::of_source(&pointer.key.source).count("Missing", 1).emit(self.now());
                Disposition::Acknowledge
            }
            // A second refused reopening: the event moved on in between.
            Ok(Begun::Stale | Begun::Finished | Begun::Busy | Begun::Reopen(_)) => {
                Disposition::Acknowledge
            }
            Ok(Begun::Early) => Disposition::Leave,
            Err(fault) => self.leave(&pointer.key, "begin", &fault),
        }
    }

    async fn begin(
        &self,
        message: &Message,
        pointer: &Pointer,
        suspects: Suspects,
        deadline: Timestamp,
    ) -> Result<Begun, LedgerError> {
        let begin = Begin {
            life: pointer.life,
            lease: Lease {
                token: uuid::Uuid::new_v4().to_string(),
                until: deadline.plus(self.lease_margin),
            },
            max_attempts: self.retry.max_attempts(),
            suspects,
        };
        let begun = self.ledger.begin(&pointer.key, &begin, self.now()).await?;
        let Begun::Reopen(record) = &begun else { return Ok(begun) };
        let now = self.now();
        let reopening = Reopening {
            record,
            cause: Reopen::Redrive { life: pointer.life },
            actor: ACTOR_PROCESSOR,
            reason: "its dead letter came back to the queue",
            request_id: &message.id,
            due_at: now,
            expires_at: now.plus(self.retention).ceil_to_seconds(),
        };
        match self.ledger.reopen(&reopening, now).await {
            // There is nothing to run it on: it stays dead, and its letter goes back.
            Err(LedgerError::PayloadLost(reason)) => {
                let error = format!("payload lost: {reason}");
                tracing::error!(event = %pointer.key, error, "not reopened");
                let letter =
                    DeadLetter::buried(&record.event, record.life, record.attempts, &error);
                let sent = self.queue.send_dead(&letter).await;
                sent.map_err(|fault| LedgerError::Unavailable(fault.to_string()))?;
                return Ok(Begun::Finished);
            }
            // Refused or not, the event is what it is now: begin says.
            reopened => reopened?,
        };
        self.ledger.begin(&pointer.key, &begin, self.now()).await
    }

    /// No attempt is left. Where no handler is either, the processes died after the
    /// last completion and before the event was recorded as done: it is.
    async fn exhausted(&self, record: &Record) -> Disposition {
        if self.routes.matching(&record.event).all(|route| record.is_done(&route.id)) {
            let finished = self.ledger.finish(record, self.now()).await;
            return self.completed(record, finished);
        }
        let last = record.last_error.as_ref().map(|error| format!("; {error}"));
        let error = format!("{} attempts used up{}", record.attempts, last.unwrap_or_default());
        self.bury(record, &error, &[]).await
    }

    async fn run(&self, message: &Message, mut record: Record, deadline: Timestamp) -> Disposition {
        let has_work = self.routes.matching(&record.event).any(|route| !record.is_done(&route.id));
        if has_work && let Err(fault) = self.ledger.load(&mut record).await {
            return self.without_payload(message, &record, &fault).await;
        }
        let event = Arc::new(record.event.clone());
        let routes: Vec<&Route> = self.routes.matching(&event).collect();
        let ids: Vec<&str> = routes.iter().map(|route| route.id.as_str()).collect();
        if routes.is_empty() {
            Metrics::of_source(&event.key.source).count("Unrouted", 1).emit(self.now());
        }
        // Beginning may have been slow; what became of the event must be written
        // down all the same.
        let left = deadline.since(self.now()).saturating_sub(RESERVE);
        let timeout = self.handler_timeout.min(left);
        let mut running: FuturesUnordered<_> = routes
            .iter()
            .filter(|route| !record.is_done(&route.id))
            .map(|route| {
                let (route_id, life, attempt) = (route.id.clone(), record.life, record.attempts);
                let max_attempts = self.retry.max_attempts();
                let run = Run { route_id, life, attempt, max_attempts, timeout };
                run_handler(route, Arc::clone(&event), run)
            })
            .collect();
        if running.is_empty() {
            let finished = self.ledger.finish(&record, self.now()).await;
            return self.completed(&record, finished);
        }

        let mut failed = Vec::new();
        let mut disposition = Disposition::Acknowledge;
        while let Some((route, outcome)) = running.next().await {
            match outcome {
                Outcome::Done => {
                    let others: Vec<&str> =
                        ids.iter().copied().filter(|id| *id != route.id).collect();
                    let now = self.now();
                    let completed = self.ledger.complete(&record, &route.id, &others, now).await;
                    if matches!(completed, Ok(Completed::Superseded)) {
                        // Dropping the others' runs ends them: they are of a
                        // life that is over.
                        return Disposition::Acknowledge;
                    }
                    if completed.is_ok() {
                        let source = Metrics::of_source(&event.key.source);
                        source.by("Handler", &route.id).count("Handled", 1).emit(now);
                        record.handlers.insert(route.id.clone(), now);
                    }
                    // One completion that could not be recorded keeps the message.
                    if self.completed(&record, completed) == Disposition::Leave {
                        disposition = Disposition::Leave;
                    }
                }
                Outcome::Failed(fault) => failed.push((route.id.clone(), fault)),
            }
        }
        if failed.is_empty() { disposition } else { self.settle(message, &record, failed).await }
    }

    /// The attempt is counted and there is nothing to run it on: it failed, so that
    /// an outage is waited out by the delays between attempts, and not used up by
    /// the queue's quick redeliveries.
    async fn without_payload(
        &self,
        message: &Message,
        record: &Record,
        fault: &LedgerError,
    ) -> Disposition {
        tracing::error!(event = %record.event.key, %fault, "payload not fetched");
        Metrics::of_source(&record.event.key.source).count("Unavailable", 1).emit(self.now());
        let permanent = matches!(fault, LedgerError::PayloadLost(_));
        let failed = Failed { permanent, after: None, reason: fault.to_string() };
        self.settle(message, record, vec![(NO_ROUTE.to_owned(), failed)]).await
    }

    fn completed(&self, record: &Record, completed: Result<Completed, LedgerError>) -> Disposition {
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

    /// Some handlers failed: wait and try again, or give up.
    async fn settle(
        &self,
        message: &Message,
        record: &Record,
        failed: Vec<(String, Failed)>,
    ) -> Disposition {
        let can_retry = failed.iter().any(|(_, fault)| !fault.permanent);
        // The longest that any of them asks for: too early helps nobody.
        let asked = failed.iter().filter_map(|(_, fault)| fault.after).max().unwrap_or_default();
        let wait = self.retry.wait(record.attempts, asked, (self.chance)()).filter(|_| can_retry);
        let errors: Vec<(String, String)> =
            failed.into_iter().map(|(route, fault)| (route, fault.reason)).collect();
        let Some(wait) = wait else {
            let lines: Vec<String> =
                errors.iter().map(|(route, error)| format!("{route}: {error}")).collect();
            return self.bury(record, &lines.join("; "), &errors).await;
        };

        let now = self.now();
        let next_at = now.plus(wait);
        let parked = self.retry.parks(wait);
        let due_at = if parked { next_at } else { next_at.plus(self.sweep_grace) };
        let failure = Failure { record, errors: &errors, next_at, due_at };
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
        if let Err(fault) = self.queue.hide(&message.receipt_handle, seconds).await {
            // It comes back by the queue's own timeout, or the sweeper sends another.
            tracing::warn!(event = %record.event.key, %fault, "message not hidden");
        }
        Disposition::Leave
    }

    /// First the dead letter, then the state: who sees `dead` sees the letter.
    async fn bury(&self, record: &Record, error: &str, errors: &[(String, String)]) -> Disposition {
        let event = &record.event;
        let letter = DeadLetter::buried(event, record.life, record.attempts, error);
        if let Err(fault) = self.queue.send_dead(&letter).await {
            tracing::error!(event = %event.key, %fault, "dead letter not sent, event kept");
            return Disposition::Leave;
        }
        let burial = Burial { record, max_attempts: self.retry.max_attempts(), error, errors };
        match self.ledger.bury(&burial, self.now()).await {
            Ok(Settled::Written) => {
                tracing::error!(event = %event.key, attempts = record.attempts, error, "buried");
                Metrics::of_source(&event.key.source).count("Buried", 1).emit(self.now());
                Disposition::Acknowledge
            }
            Ok(Settled::Refused) => Disposition::Acknowledge,
            Err(fault) => self.leave(&event.key, "bury", &fault),
        }
    }

    /// A message that nobody can read would come back for ever.
    async fn turn_away(&self, message: &Message, reason: &str) -> Disposition {
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

    fn leave(&self, event: &EventKey, step: &'static str, fault: &LedgerError) -> Disposition {
        tracing::error!(%event, step, %fault, "message left in the queue");
        Metrics::of_source(&event.source).count("Unavailable", 1).emit(self.now());
        Disposition::Leave
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
