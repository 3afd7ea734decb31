//! The processor over a test bed's queue, without Lambda: what an operator sent
//! is run by the code that would run it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_aws::{DynamoDbLedger, SqsQueue};
use inbox_core::Timestamp;
use inbox_core::event::Event;
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use inbox_processor::batch::Processor;
use inbox_processor::budget::Budget;
use inbox_processor::lane::Lane;
use inbox_processor::message::Message;
use inbox_processor::retry::RetryPolicy;
use inbox_processor::routes::{Route, Routes};

use super::rig::Operator;

/// Event, life and route of each run, in order.
pub(crate) type Ran = Vec<(String, u32, String)>;

/// The real processor on the operator's table and queues.
pub(crate) struct Processing<'a> {
    operator: &'a Operator,
    processor: Processor<DynamoDbLedger, SqsQueue>,
}

impl<'a> Processing<'a> {
    pub(crate) fn new(operator: &'a Operator, routes: Vec<Route>) -> Self {
        let processor = Processor {
            ledger: operator.ledger(),
            queue: operator.queue(),
            routes: Routes::of(routes),
            lane: Lane::none(),
            retry: RetryPolicy {
                delays: vec![Duration::from_mins(1)],
                jitter_percent: 0,
                park_above: Duration::from_mins(15),
            },
            sweep_grace: Duration::from_mins(15),
            handler_timeout: Duration::from_secs(30),
            lease_margin: Duration::from_secs(10),
            retention: Duration::from_hours(24 * 30),
            clock: Arc::new(Timestamp::now),
            chance: Arc::new(|| 0.0),
            budget: Budget::of_bytes(usize::MAX),
        };
        Self { operator, processor }
    }

    /// Handles one batch of what waits; how many messages it was.
    pub(crate) async fn run_once(&self) -> usize {
        let (sqs, url) = (self.operator.bed.sqs(), &self.operator.bed.queue_url);
        let answer =
            sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
        let messages: Vec<Message> = answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(|message| Message {
                id: message.message_id.unwrap(),
                receipt_handle: message.receipt_handle.unwrap(),
                body: message.body.unwrap(),
                receives: 1,
                from_lane: false,
            })
            .collect();
        let deadline = Timestamp::now().plus(Duration::from_mins(1));
        let kept = self.processor.run_batch(messages.clone(), deadline).await;
        let done = messages.iter().filter(|message| !kept.contains(&message.id));
        for message in done {
            let handle = &message.receipt_handle;
            sqs.delete_message().queue_url(url).receipt_handle(handle).send().await.unwrap();
        }
        messages.len()
    }

    /// Handles all that waits.
    pub(crate) async fn run_all(&self) {
        while self.run_once().await > 0 {}
    }
}

/// Runs whatever lies in the queue and notes it.
pub(crate) struct Worker<'a> {
    processing: Processing<'a>,
    ran: Arc<Mutex<Ran>>,
}

struct Noted {
    ran: Arc<Mutex<Ran>>,
    fails: bool,
}

impl Handler for Noted {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        let noted = (event.key.id.clone(), run.life, run.route_id.clone());
        self.ran.lock().unwrap().push(noted);
        let result = if self.fails {
            Err(HandlerError::permanent("still broken"))
        } else {
            Ok(Handled::Done)
        };
        async move { result }.boxed()
    }
}

impl<'a> Worker<'a> {
    /// With these routes for everything, each of which succeeds.
    pub(crate) fn new(operator: &'a Operator, routes: &[&str]) -> Self {
        Self::with(operator, routes, false)
    }

    /// The same, and each fails for good.
    pub(crate) fn failing(operator: &'a Operator, routes: &[&str]) -> Self {
        Self::with(operator, routes, true)
    }

    fn with(operator: &'a Operator, routes: &[&str], fails: bool) -> Self {
        let ran: Arc<Mutex<Ran>> = Arc::default();
        let noted =
            |id: &&str| Route::new(id, "*", "*", Arc::new(Noted { ran: Arc::clone(&ran), fails }));
        let processing = Processing::new(operator, routes.iter().map(noted).collect());
        Self { processing, ran }
    }

    /// Runs batch after batch until the queue is empty, and says what ran.
    pub(crate) async fn drain(&self) -> Ran {
        self.processing.run_all().await;
        std::mem::take(&mut *self.ran.lock().unwrap())
    }
}
