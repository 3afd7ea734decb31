//! The dead-letter queue on SQS, as an operator reads and empties it.
//!
//! ```text
//! receive ─┬─▶ release            looked at: visible to others again at once
//!          └─▶ send_to ─▶ delete  moved: sent before it is deleted
//! ```
//!
//! SQS has no way to look without receiving: a letter that is looked at is
//! hidden for its visibility timeout, and its receive count goes up by one.
//! Batches are answered entry by entry, and so are these methods: what is not
//! in the answer was not done.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use inbox_core::Timestamp;
use inbox_core::queue::QueueError;

use crate::error::describe;

/// What SQS takes and gives at once.
pub const LETTERS_AT_ONCE: usize = 10;

/// The queue of dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetterQueue {
    client: Client,
    url: String,
}

/// How many letters there are, as far as SQS knows: it says "approximately",
/// and may need a minute after a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Ready to be received.
    pub visible: u64,
    /// Received by somebody and hidden for a while.
    pub in_flight: u64,
}

impl Depth {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.visible + self.in_flight
    }
}

/// A dead letter that was received.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceivedLetter {
    /// SQS's id of the message.
    pub message_id: String,
    /// Names this receipt: the latest one releases and deletes.
    pub receipt_handle: String,
    /// A pointer, or what could not be read as one.
    pub body: String,
    /// Message attributes that hold text.
    pub attributes: BTreeMap<String, String>,
    /// When it was sent; for a letter that SQS itself moved here, when it was
    /// sent to the queue of events.
    pub sent_at: Option<Timestamp>,
    /// How often it was received, this time included.
    pub receives: Option<u32>,
    /// The ARN of the queue from which SQS itself moved it here.
    pub moved_from: Option<String>,
}

/// Bodies stay out of logs: what could not be read may hold anything.
impl fmt::Debug for ReceivedLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedLetter")
            .field("message_id", &self.message_id)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What became of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// SQS deletes everything that was there, within a minute.
    Started,
    /// Another purge was started less than a minute ago, and SQS takes one a
    /// minute.
    TooSoon,
}

impl DeadLetterQueue {
    /// The dead-letter queue at this address.
    #[must_use]
    pub fn new(aws: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(aws), url }
    }

    /// How many letters there are.
    ///
    /// # Errors
    ///
    /// SQS does not answer, or there is no such queue.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
            ApproximateNumberOfMessagesNotVisible,
        };
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(ApproximateNumberOfMessages)
            .attribute_names(ApproximateNumberOfMessagesNotVisible)
            .attribute_names(ApproximateNumberOfMessagesDelayed)
            .send()
            .await
            .map_err(|error| QueueError(describe("GetQueueAttributes", &error)))?;
        let attributes = answer.attributes.unwrap_or_default();
        let number = |name: QueueAttributeName| {
            attributes.get(&name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default()
        };
        Ok(Depth {
            visible: number(ApproximateNumberOfMessages),
            in_flight: number(ApproximateNumberOfMessagesNotVisible)
                + number(ApproximateNumberOfMessagesDelayed),
        })
    }

    /// Up to ten letters, hidden from others for `hidden_for`; none when none
    /// came within `wait`. Without a wait SQS asks only some of its servers, and
    /// may find nothing where there is something.
    ///
    /// # Errors
    ///
    /// SQS does not answer.
    pub async fn receive(
        &self,
        hidden_for: Duration,
        wait: Duration,
    ) -> Result<Vec<ReceivedLetter>, QueueError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(LETTERS_AT_ONCE).unwrap_or(i32::MAX))
            .visibility_timeout(seconds(hidden_for))
            .wait_time_seconds(seconds(wait))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(|error| QueueError(describe("ReceiveMessage", &error)))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(letter).collect())
    }

    /// Makes letters visible to others again. What fails becomes visible by
    /// itself when its visibility timeout is over.
    ///
    /// # Errors
    ///
    /// SQS does not answer.
    pub async fn release(&self, receipt_handles: &[String]) -> Result<(), QueueError> {
        for batch in receipt_handles.chunks(LETTERS_AT_ONCE) {
            let entries = batch
                .iter()
                .enumerate()
                .map(|(at, handle)| {
                    ChangeMessageVisibilityBatchRequestEntry::builder()
                        .id(at.to_string())
                        .receipt_handle(handle)
                        .visibility_timeout(0)
                        .build()
                        .map_err(|fault| QueueError(fault.to_string()))
                })
                .collect::<Result<_, _>>()?;
            self.client
                .change_message_visibility_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send()
                .await
                .map_err(|error| QueueError(describe("ChangeMessageVisibilityBatch", &error)))?;
        }
        Ok(())
    }

    /// Sends up to ten letters to the queue at `queue_url`, each in the message
    /// group beside it, and returns for each whether SQS took it, or why not.
    ///
    /// # Errors
    ///
    /// SQS does not answer: any of them may have arrived.
    pub async fn send_to(
        &self,
        queue_url: &str,
        letters: &[(&str, &ReceivedLetter)],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let entries = letters
            .iter()
            .enumerate()
            .map(|(at, (group, letter))| {
                SendMessageBatchRequestEntry::builder()
                    .id(at.to_string())
                    .message_body(&letter.body)
                    .message_group_id(*group)
                    .build()
                    .map_err(|fault| QueueError(fault.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let answer = self
            .client
            .send_message_batch()
            .queue_url(queue_url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| QueueError(describe("SendMessageBatch", &error)))?;
        let taken = answer.successful.iter().map(|entry| entry.id.as_str());
        Ok(by_entry("SendMessageBatch", letters.len(), taken, &answer.failed))
    }

    /// Deletes up to ten letters for good and returns for each whether it is
    /// gone, or why not.
    ///
    /// # Errors
    ///
    /// SQS does not answer: any of them may be gone.
    pub async fn delete(
        &self,
        letters: &[&ReceivedLetter],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let entries = letters
            .iter()
            .enumerate()
            .map(|(at, letter)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(at.to_string())
                    .receipt_handle(&letter.receipt_handle)
                    .build()
                    .map_err(|fault| QueueError(fault.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let answer = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| QueueError(describe("DeleteMessageBatch", &error)))?;
        let gone = answer.successful.iter().map(|entry| entry.id.as_str());
        Ok(by_entry("DeleteMessageBatch", letters.len(), gone, &answer.failed))
    }

    /// Deletes everything.
    ///
    /// # Errors
    ///
    /// SQS does not answer.
    pub async fn purge(&self) -> Result<Purge, QueueError> {
        match self.client.purge_queue().queue_url(&self.url).send().await {
            Ok(_) => Ok(Purge::Started),
            Err(error)
                if error.code().is_some_and(|code| code.ends_with("PurgeQueueInProgress")) =>
            {
                Ok(Purge::TooSoon)
            }
            Err(error) => Err(QueueError(describe("PurgeQueue", &error))),
        }
    }
}

fn letter(message: Message) -> Option<ReceivedLetter> {
    let system = message.attributes.unwrap_or_default();
    let attributes = message.message_attributes.unwrap_or_default();
    let sent_at = system
        .get(&MessageSystemAttributeName::SentTimestamp)
        .and_then(|text| text.parse().ok())
        .and_then(Timestamp::from_unix_ms);
    Some(ReceivedLetter {
        message_id: message.message_id?,
        receipt_handle: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
        attributes: attributes
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect(),
        sent_at,
        receives: system
            .get(&MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|text| text.parse().ok()),
        moved_from: system.get(&MessageSystemAttributeName::DeadLetterQueueSourceArn).cloned(),
    })
}

/// Entries are numbered from 0; one that is in neither list was not done.
fn by_entry<'a>(
    operation: &str,
    count: usize,
    successful: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Vec<Result<(), QueueError>> {
    let mut results = vec![Err(QueueError(format!("{operation}: left unanswered"))); count];
    for entry in failed {
        let result = entry.id.parse().ok().and_then(|at: usize| results.get_mut(at));
        let message = entry.message.as_deref().unwrap_or_default();
        if let Some(result) = result {
            *result = Err(QueueError(format!("{operation}: {}: {message}", entry.code)));
        }
    }
    for id in successful {
        if let Some(result) = id.parse().ok().and_then(|at: usize| results.get_mut(at)) {
            *result = Ok(());
        }
    }
    results
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod properties;
