//! The queue on SQS.
//!
//! A standard queue with message groups is a fair queue: the source is the
//! group, so that one source's flood does not delay the others
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>).

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use inbox_core::event::Event;
use inbox_core::queue::{Backlog, DeadLetter, Pointer, Queue, QueueError};

use crate::error::describe;

/// The queue of events and its dead-letter queue.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    queue_url: String,
    lane_url: Option<String>,
    dead_letter_queue_url: Option<String>,
}

impl SqsQueue {
    /// A queue to send to.
    #[must_use]
    pub fn new(aws: &SdkConfig, queue_url: String) -> Self {
        Self { client: Client::new(aws), queue_url, lane_url: None, dead_letter_queue_url: None }
    }

    /// With the queue of slow routes, for the processor.
    #[must_use]
    pub fn with_lane(self, url: Option<String>) -> Self {
        Self { lane_url: url, ..self }
    }

    /// With the dead-letter queue, for the processor.
    #[must_use]
    pub fn with_dead_letters(mut self, url: String) -> Self {
        self.dead_letter_queue_url = Some(url);
        self
    }

    /// Opens the connection, so that the first event does not pay for it. A
    /// fault is only logged: the first event may have better luck.
    pub async fn connect(&self) {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.queue_url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await;
        if let Err(error) = answer {
            tracing::warn!(fault = describe("GetQueueAttributes", &error), "not connected yet");
        }
    }
}

impl Queue for SqsQueue {
    async fn send(&self, event: &Event, life: u32) -> Result<(), QueueError> {
        self.client
            .send_message()
            .queue_url(&self.queue_url)
            .message_group_id(&event.key.source)
            .message_body(Pointer::body(event, life))
            .send()
            .await
            .map_err(|error| QueueError(describe("SendMessage", &error)))?;
        Ok(())
    }

    async fn send_to_lane(
        &self,
        event: &Event,
        life: u32,
        delay: Duration,
    ) -> Result<(), QueueError> {
        let Some(url) = &self.lane_url else {
            return Err(QueueError("no lane is configured: set LANE_QUEUE_URL".to_owned()));
        };
        self.client
            .send_message()
            .queue_url(url)
            .delay_seconds(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX))
            .message_group_id(&event.key.source)
            .message_body(Pointer::body(event, life))
            .send()
            .await
            .map_err(|error| QueueError(describe("SendMessage", &error)))?;
        Ok(())
    }

    async fn send_dead(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        let Some(url) = &self.dead_letter_queue_url else {
            return Err(QueueError("no dead-letter queue is configured: set DLQ_URL".to_owned()));
        };
        let mut request = self.client.send_message().queue_url(url).message_body(&letter.body);
        for (name, value) in &letter.attributes {
            let attribute = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| QueueError(error.to_string()))?;
            request = request.message_attributes(*name, attribute);
        }
        request.send().await.map_err(|error| QueueError(describe("SendMessage", &error)))?;
        Ok(())
    }

    async fn hide(
        &self,
        receipt_handle: &str,
        from_lane: bool,
        seconds: u32,
    ) -> Result<(), QueueError> {
        let lane_url = self.lane_url.as_ref().filter(|_| from_lane);
        self.client
            .change_message_visibility()
            .queue_url(lane_url.unwrap_or(&self.queue_url))
            .receipt_handle(receipt_handle)
            .visibility_timeout(i32::try_from(seconds).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| QueueError(describe("ChangeMessageVisibility", &error)))?;
        Ok(())
    }
}

impl Backlog for SqsQueue {
    async fn waiting(&self) -> Result<u64, QueueError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.queue_url)
            .attribute_names(name.clone())
            .send()
            .await
            .map_err(|error| QueueError(describe("GetQueueAttributes", &error)))?;
        let count = answer.attributes().and_then(|all| all.get(&name)?.parse().ok());
        count.ok_or_else(|| QueueError("GetQueueAttributes: no number of messages".to_owned()))
    }
}
