//! The processor over a test bed's queue, without Lambda: what an operator sent
//! is run by the code that would run it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_aws::{DynamoDbLedger, SqsQueue};
use inbox_core::Timestamp;
use inbox_core::event::Event;
use inbox_core::handler::{Handler, HandlerError, Run};
use inbox_processor::batch::{Message, Processor};
use inbox_processor::retry::RetryPolicy;
use inbox_processor::routes::{Route, Routes};

use super::rig::Operator;

/// Event, life and route of each run, in order.
pub(crate) type Ran = Vec<(String, u32, String)>;

/// Runs whatever lies in the queue.
pub(crate) struct Worker {
    processor: Processor<DynamoDbLedger, SqsQueue>,
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
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
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        let noted = (event.key.id.clone(), run.life, run.route_id.clone());
        self.ran.lock().unwrap().push(noted);
        let result = if self.fails { Err(HandlerError::permanent("still broken")) } else { Ok(()) };
        async move { result }.boxed()
    }
}

impl Worker {
    /// With these routes for everything, each of which succeeds.
    pub(crate) fn new(operator: &Operator, routes: &[&str]) -> Self {
        Self::with(operator, routes, false)
    }

    /// The same, and each fails for good.
    pub(crate) fn failing(operator: &Operator, routes: &[&str]) -> Self {
        Self::with(operator, routes, true)
    }

    fn with(operator: &Operator, routes: &[&str], fails: bool) -> Self {
        let ran: Arc<Mutex<Ran>> = Arc::default();
        let routes = routes
            .iter()
            .map(|id| Route::new(id, "*", "*", Arc::new(Noted { ran: Arc::clone(&ran), fails })));
        let processor = Processor {
            ledger: operator.ledger(),
            queue: operator.queue(),
            routes: Routes::of(routes.collect()),
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
        };
        let queue_url = operator.bed.queue_url.clone();
        Self { processor, sqs: operator.bed.sqs(), queue_url, ran }
    }

    /// Runs batch after batch until the queue is empty, and says what ran.
    pub(crate) async fn drain(&self) -> Ran {
        loop {
            let answer = self
                .sqs
                .receive_message()
                .queue_url(&self.queue_url)
                .max_number_of_messages(10)
                .visibility_timeout(120)
                .send()
                .await
                .expect("receive");
            let received = answer.messages.unwrap_or_default();
            if received.is_empty() {
                return std::mem::take(&mut *self.ran.lock().unwrap());
            }
            let text = |value: &Option<String>| value.clone().expect("SQS says");
            let messages = received
                .iter()
                .map(|message| Message {
                    id: text(&message.message_id),
                    receipt_handle: text(&message.receipt_handle),
                    body: text(&message.body),
                })
                .collect();
            let deadline = Timestamp::now().plus(Duration::from_mins(1));
            let kept = self.processor.run_batch(messages, deadline).await;
            for message in received {
                if kept.contains(&text(&message.message_id)) {
                    continue;
                }
                self.sqs
                    .delete_message()
                    .queue_url(&self.queue_url)
                    .receipt_handle(text(&message.receipt_handle))
                    .send()
                    .await
                    .expect("delete");
            }
        }
    }
}
