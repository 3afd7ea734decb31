//! What happens to a batch of messages.
//!
//! ```text
//! message ─ begin ─▶ Run ─ load ─ routes that are due ─ all done ─▶ complete ─▶ acknowledge
//!             │                        ├ some left for later ─▶ defer ─ send on ─▶ acknowledge
//!             │                        ├ some to be tried again ─▶ fail ─ short ▶ hide, leave
//!             │                        │                             └ long ─▶ acknowledge (parked)
//!             │                        └ none, and some given up ┐
//!             ├────▶ Exhausted ─────────────────────────────────┴▶ dead letter, bury ─▶ acknowledge
//!             │           ├─ a route waits still ─────▶ fail, as above
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

use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use inbox_core::Timestamp;
use inbox_core::envelope::Envelope;
use inbox_core::event::Event;
use inbox_core::handler::{Handled, Run};
use inbox_core::ledger::{
    ACTOR_PROCESSOR, Begin, Begun, Completed, Completion, Lease, Ledger, LedgerError, Record,
    Reopen, Reopening, Suspects, UNKNOWN_ROUTE,
};
use inbox_core::marks::Marks;
use inbox_core::queue::{DeadLetter, Pointer, Queue};
use inbox_core::telemetry::Metrics;

use crate::budget::{Budget, bytes_of, envelope_bytes, payload_bytes_most};
use crate::ending::receives_most;
use crate::fates::{Conclusion, Fates};
use crate::lane::Lane;
use crate::message::{Disposition, Message};
use crate::retry::RetryPolicy;
use crate::routes::{Route, Routes};
use crate::run::{Failed, Outcome, run_handler};

/// Kept free at the end of an invocation, after the handlers, to write down what
/// became of them: two calls at their longest (`Limits::BACKGROUND`), and some.
pub const RESERVE: Duration = Duration::from_secs(10);
/// How long a message is hidden that found no room: its batch is over by then, or soon.
const ROOM_WAIT_SECONDS: u32 = 5;

/// Everything that handling needs.
pub struct Processor<L, Q> {
    /// What is true.
    pub ledger: L,
    /// Who is woken.
    pub queue: Q,
    /// What is done with events.
    pub routes: Routes,
    /// Which routes are slow, and run in the lane.
    pub lane: Lane,
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
    /// The memory that events take up at once.
    pub budget: Budget,
}

impl<L: Ledger + Marks, Q: Queue> Processor<L, Q> {
    /// Handles a batch within the invocation's `deadline` and returns the ids of
    /// the messages that SQS shall keep.
    pub async fn run_batch(&self, messages: Vec<Message>, deadline: Timestamp) -> Vec<String> {
        // Alone, there is no neighbour to protect, and no second call to make.
        let first_look = if messages.len() > 1 { Suspects::Defer } else { Suspects::Run };
        // Beside the first call for each message, which it must not hold up.
        let marks = self.read_marks().boxed().shared();
        let looks = messages.iter().map(|message| {
            let marks = marks.clone();
            // Boxed: ten of them are as large as a small thread's stack.
            self.look(message, first_look, deadline, marks).boxed()
        });
        let dispositions = futures_util::future::join_all(looks).await;

        let mut kept = Vec::new();
        for (message, disposition) in messages.iter().zip(dispositions) {
            let disposition = match disposition {
                // One at a time, each begun just before: a process-killer takes
                // nobody along, and those behind it are not yet counted.
                Disposition::Suspect => {
                    self.look(message, Suspects::Run, deadline, marks.clone()).boxed().await
                }
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
        marks: impl Future<Output = ()> + Send,
    ) -> Disposition {
        let pointer = match Pointer::parse(&message.body) {
            Ok(pointer) => pointer,
            Err(reason) => return self.turn_away(message, &reason).await,
        };
        // An attempt that cannot have its whole time is not begun: it would be
        // counted all the same. Nor is one that finds no room for its event in time.
        let needed = self.handler_timeout + RESERVE;
        let Some(spare) = deadline.since(self.now()).checked_sub(needed) else {
            return Disposition::Leave;
        };
        let announced = Pointer::payload_bytes(&message.body);
        let at_most = taken_up(announced.unwrap_or_else(payload_bytes_most), self.routes.iter());
        let Some(mut room) = self.budget.enter(at_most, spare).await else {
            return self.leave_for_room(message, &pointer).await;
        };
        let (begun, ()) = join(self.begin(message, &pointer, suspects, deadline), marks).await;
        match begun {
            Ok(Begun::Run(record)) => {
                let routes = self.routes.matching(&record.event);
                room.keep(taken_up(record.payload_bytes(), routes));
                self.run(message, *record, deadline).boxed().await
            }
            Ok(Begun::Suspect) => Disposition::Suspect,
            Ok(Begun::Exhausted(record)) => self.exhausted(message, &record).await,
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

    /// Nothing was begun and nothing is counted: it may come back as soon as this batch is
    /// over. One that has come back often waits for the queue's own timeout.
    async fn leave_for_room(&self, message: &Message, pointer: &Pointer) -> Disposition {
        tracing::info!(event = %pointer.key, "no room beside others: left in the queue");
        if message.receives < receives_most()
            && let Err(fault) =
                self.queue.hide(&message.receipt_handle, message.from_lane, ROOM_WAIT_SECONDS).await
        {
            tracing::warn!(event = %pointer.key, %fault, "message not hidden");
        }
        Disposition::Leave
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

    /// No attempt is left: every route that would run now has used up its own, and
    /// those that wait go on waiting. Where none is left at all, the processes died
    /// after the last completion and before the event was recorded as done: it is.
    ///
    /// Nobody holds a lease, and the token of the one that died is what writes here.
    async fn exhausted(&self, message: &Message, record: &Record) -> Disposition {
        let taking = self.routes.matching(&record.event).map(|route| route.id.as_str());
        let scope = record.scope(&taking.collect::<Vec<_>>());
        let mut fates = Fates::of(record, &scope, self.retry.max_attempts(), self.now());
        if self.may_have_lost_a_route(record, 0) {
            fates.lose_a_route(record.attempts);
        }
        fates.use_up(record);
        if fates.conclusion() == Conclusion::AllDone {
            self.tell_unrouted(&record.event);
            let finished = self.ledger.finish(record, self.now()).await;
            return self.completed(record, finished);
        }
        self.settle(message, record, fates).await
    }

    /// Whether an attempt, besides so many, came to no outcome, and may have begun a route
    /// that is gone. What a life was opened for by name is missed by its name.
    fn may_have_lost_a_route(&self, record: &Record, besides: u32) -> bool {
        record.only.is_none()
            && record.attempts_without_outcome() > besides
            && self.routes.lost_since(&record.event, record.opened_at())
    }

    /// No route takes an event.
    fn tell_unrouted(&self, event: &Event) {
        if self.routes.matching(event).next().is_some() {
            return;
        }
        let source = Metrics::of_source(&event.key.source).count("Unrouted", 1);
        let source = if self.routes.lost(event) { source.count("RouteLost", 1) } else { source };
        source.note("event_type", &event.event_type).emit(self.now());
    }

    async fn run(&self, message: &Message, mut record: Record, deadline: Timestamp) -> Disposition {
        let routes: Vec<&Route> = self.routes.matching(&record.event).collect();
        let taking: Vec<&str> = routes.iter().map(|route| route.id.as_str()).collect();
        let max_attempts = self.retry.max_attempts();
        let scope = record.scope(&taking);
        let mut fates = Fates::of(&record, &scope, max_attempts, self.now());
        // What is gone never completes, so that no completion is taken for the last.
        let mut ids: Vec<String> = scope.iter().map(|it| it.route.to_owned()).collect();
        // The attempt before this one ended with its process, perhaps by a route that has
        // been taken away since, and of which the record then says nothing.
        if self.may_have_lost_a_route(&record, 1) {
            fates.lose_a_route(record.attempts - 1);
            ids.push(UNKNOWN_ROUTE.to_owned());
        }
        self.leave_marked(message, &mut fates);
        if !fates.due().is_empty()
            && let Err(fault) = self.ledger.load(&mut record).await
        {
            return self.without_payload(message, &record, fates, &fault).await;
        }
        let event = Arc::new(record.event.clone());
        self.tell_unrouted(&event);
        // Beginning may have been slow; what became of the event must be written
        // down all the same.
        let left = deadline.since(self.now()).saturating_sub(RESERVE);
        let timeout = self.handler_timeout.min(left);
        let envelope = Envelope::default();
        let due = fates.due().iter().filter_map(|(id, attempt)| {
            let route = routes.iter().find(|route| route.id == *id)?;
            let (route_id, life, attempt) = (id.clone(), record.life, *attempt);
            let payload_ref = record.payload_ref.clone();
            let timeout = route.timeout.map_or(timeout, |own| own.min(timeout));
            let envelope = envelope.clone();
            let insists = !self.may_leave(&fates, id, attempt);
            let run = Run {
                route_id,
                life,
                attempt,
                max_attempts,
                insists,
                timeout,
                payload_ref,
                envelope,
            };
            Some(self.timed(&route.id, run_handler(route, Arc::clone(&event), run)))
        });
        let mut running: FuturesUnordered<_> = due.collect();
        // One for all: routes that fail together are tried again together.
        let chance = (self.chance)();
        let was_run = !running.is_empty();
        let (mut unrecorded, mut changes) = (Vec::new(), Vec::new());
        while let Some((route, outcome, change)) = running.next().await {
            changes.push((route, change));
            match outcome {
                Outcome::Done(handled) => {
                    match self.complete(&mut record, &mut fates, route, handled, &ids).await {
                        // Dropping the others' runs ends them: they are of a life that
                        // is over.
                        Ok(Completed::Superseded) => return Disposition::Acknowledge,
                        Ok(Completed::Done | Completed::Pending) => {}
                        Err(fault) => {
                            tracing::warn!(event = %event.key, route = route.id, %fault, "not recorded yet");
                            unrecorded.push((route, handled));
                        }
                    }
                }
                Outcome::NotTried(_) if self.lane.is_there() && fates.may_leave(&route.id) => {
                    fates.leave(&route.id, message.from_lane, self.now());
                }
                Outcome::Failed(fault) | Outcome::NotTried(fault) => {
                    fates.failed(&route.id, fault, &self.retry, chance, self.now());
                }
            }
        }
        // Neither buried undone, nor run again when its siblings are, hours later.
        for (route, handled) in unrecorded {
            match self.complete(&mut record, &mut fates, route, handled, &ids).await {
                Ok(Completed::Superseded) => return Disposition::Acknowledge,
                Ok(Completed::Done | Completed::Pending) => {}
                Err(fault) => return self.leave(&event.key, "complete", &fault),
            }
        }
        for (route, change) in changes {
            self.tell(&route.id, change).await;
        }
        match fates.conclusion() {
            Conclusion::AllDone if was_run => Disposition::Acknowledge,
            Conclusion::AllDone => {
                let finished = self.ledger.finish(&record, self.now()).await;
                self.completed(&record, finished)
            }
            Conclusion::GivenUp | Conclusion::Wait(_) => self.settle(message, &record, fates).await,
        }
    }

    /// Writes a route's completion down.
    async fn complete(
        &self,
        record: &mut Record,
        fates: &mut Fates,
        route: &Route,
        handled: Handled,
        ids: &[String],
    ) -> Result<Completed, LedgerError> {
        let others: Vec<&str> =
            ids.iter().map(String::as_str).filter(|id| *id != route.id).collect();
        let now = self.now();
        let completion = match handled {
            Handled::Done => now.into(),
            Handled::Nothing(why) => Completion::of_nothing(why, now),
        };
        let completed =
            self.ledger.complete(record, &route.id, &others, completion.clone()).await?;
        if completed != Completed::Superseded {
            record.handlers.insert(route.id.clone(), completion);
            fates.completed(&route.id);
            self.completed(record, Ok(completed));
        }
        Ok(completed)
    }

    /// The attempt is counted and there is nothing to run it on: it failed, so that
    /// an outage is waited out by the delays between attempts, and not used up by
    /// the queue's quick redeliveries.
    async fn without_payload(
        &self,
        message: &Message,
        record: &Record,
        mut fates: Fates,
        fault: &LedgerError,
    ) -> Disposition {
        tracing::error!(event = %record.event.key, %fault, "payload not fetched");
        Metrics::of_source(&record.event.key.source).count("Unavailable", 1).emit(self.now());
        let reason = fault.to_string();
        if matches!(fault, LedgerError::PayloadLost(_)) {
            fates.all_failed_for_good(&reason);
        } else {
            let chance = (self.chance)();
            for (route, _) in fates.due().to_vec() {
                let failed =
                    Failed { permanent: false, after: None, reason: reason.clone(), quote: None };
                fates.failed(&route, failed, &self.retry, chance, self.now());
            }
        }
        self.settle(message, record, fates).await
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// What an event takes up on these routes whose payload has so many bytes.
fn taken_up<'r>(payload: usize, routes: impl Iterator<Item = &'r Route>) -> usize {
    let envelope = envelope_bytes(payload);
    bytes_of(payload, routes.map(|route| route.handler.copied_bytes(envelope)))
}
