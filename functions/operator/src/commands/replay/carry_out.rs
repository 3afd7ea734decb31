//! A plan carried out: one event after the other, several at once.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::stream::{self, StreamExt as _};
use inbox_aws::{DynamoDbLedger, SqsQueue, Summary};
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, LedgerError, Reopen, Reopening, Settled, State};
use inbox_core::queue::Queue as _;
use inbox_processor::routes::Routes;

use super::Args;
use super::prospects::{self, Asked, Fortune, Prospects, TO_RUN_ALL, fortune, is_to_run_all};
use crate::context::Context;
use crate::fault::Fault;
use crate::pace::Pace;
use crate::plan::{Plan, Planned};
use crate::stop::Stop;

/// Events reopened at once.
const AT_ONCE: usize = 8;

/// A plan being carried out.
pub(super) struct Replay<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a Args,
    pub(super) ledger: DynamoDbLedger,
    pub(super) queue: SqsQueue,
    pub(super) plan: Plan,
    /// What the processor runs with, where that could be read.
    pub(super) routes: Option<Routes>,
}

/// What became of a replay.
#[derive(Default)]
pub(super) struct Done {
    pub(super) replayed: usize,
    /// Events with the reason why not.
    pub(super) refused: Vec<(EventKey, &'static str)>,
}

impl Replay<'_> {
    /// Events of the plan that are still in the life that was seen, or were opened
    /// by this plan and have not begun: their message may not have been sent.
    pub(super) fn open(&self, events: &[Summary]) -> Vec<Planned> {
        let found: BTreeMap<&EventKey, &Summary> =
            events.iter().map(|event| (&event.key, event)).collect();
        let is_open = |planned: &&Planned| {
            found.get(&planned.key()).is_some_and(|event| {
                let is_unsent = event.life == planned.life + 1
                    && event.state == State::Received
                    && event.attempts == 0;
                (event.life == planned.life && event.forgotten_at.is_none()) || is_unsent
            })
        };
        self.plan.events.iter().filter(is_open).cloned().collect()
    }

    /// What becomes of those that are open.
    pub(super) fn prospects(
        &self,
        events: &[Summary],
        open: &[Planned],
        now: Timestamp,
    ) -> Option<Prospects> {
        let routes = self.routes.as_ref()?;
        // Opened before by this plan, it is only to be sent for.
        let is_new =
            |event: &&Summary| open.iter().any(|it| it.key() == event.key && it.life == event.life);
        let events: Vec<Summary> = events.iter().filter(is_new).cloned().collect();
        Some(Prospects::of(&events, self.args.rerun(), routes, now))
    }

    pub(super) async fn carry_out(&self, open: &[Planned]) -> Result<Done, Fault> {
        let stop = Stop::listen()?;
        let console = &self.context.console;
        let progress = console.progress("replaying", Some(open.len() as u64));
        let is_halted = Cell::new(false);
        let turns = stream::unfold(
            (open.iter(), Pace::new(self.args.rate)),
            |(mut rest, mut pace)| async {
                let planned = rest.next()?;
                pace.turn().await;
                let goes_on = !stop.is_asked() && !is_halted.get();
                goes_on.then_some((planned, (rest, pace)))
            },
        );
        let mut results = pin!(
            turns
                .map(|planned| async { (planned.key(), self.replay(planned).await) })
                .buffer_unordered(AT_ONCE)
        );
        let mut done = Done::default();
        let mut fault = None;
        // What is under way is waited for, whatever one of them met.
        while let Some((key, result)) = results.next().await {
            match result {
                Ok(None) => done.replayed += 1,
                Ok(Some(reason)) => done.refused.push((key, reason)),
                Err(met) => {
                    is_halted.set(true);
                    fault.get_or_insert(met);
                }
            }
            progress.step();
        }
        drop(progress);
        let how_far = format!("{} of {} events replayed", done.replayed, open.len());
        if let Some(fault) = fault {
            console.note(format!("{how_far}; give the same command again to go on"));
            return Err(fault);
        }
        if done.replayed + done.refused.len() < open.len() {
            let done = format!("{how_far}; the same command goes on from there");
            return Err(Fault::Interrupted { done });
        }
        Ok(done)
    }

    /// Opens a new life and sends its message; a reason when it is refused.
    async fn replay(&self, planned: &Planned) -> Result<Option<&'static str>, Fault> {
        let Some(record) = self.ledger.get(&planned.key()).await? else {
            return Ok(Some("is gone: its retention is over"));
        };
        let now = self.context.now_for_leases()?;
        let opened_before = record.life == planned.life + 1
            && record.history.last().and_then(|entry| entry.request_id.as_deref())
                == Some(&self.plan.id);
        if !opened_before {
            let retention = prospects::retention();
            // It may have come to something since the plan was made.
            if let Some(routes) = &self.routes
                && record.life == planned.life
                && let Fortune::Skipped(reason) = fortune(&record, self.args.rerun(), routes, now)
            {
                return Ok(Some(reason));
            }
            let asked = Asked::of(&record, self.args.rerun(), self.routes.as_ref());
            let Some(rerun) = asked.rerun(self.args.rerun()) else {
                return Ok(Some("has never been to what is named"));
            };
            let reopening = Reopening {
                record: &record,
                cause: Reopen::Replay { seen: planned.life, rerun },
                actor: &self.context.actor,
                reason: &self.plan.reason,
                request_id: &self.plan.id,
                due_at: now,
                expires_at: now.plus(retention).ceil_to_seconds(),
            };
            let reopened = match self.ledger.reopen(&reopening, now).await {
                Err(LedgerError::PayloadLost(_)) => {
                    return Ok(Some("has lost its payload: its object is gone from the bucket"));
                }
                reopened => reopened?,
            };
            if reopened == Settled::Refused {
                return Ok(Some(if record.forgotten_at.is_some() {
                    "was forgotten"
                } else if record.is_leased(now) {
                    "is being run now"
                } else if !self.args.handlers.is_empty() && is_to_run_all(&record) {
                    TO_RUN_ALL
                } else {
                    "has moved on since the plan was made"
                }));
            }
        }
        self.queue.send(&record.event, planned.life + 1).await?;
        Ok(None)
    }
}
