//! What the function is called with, and its answer: SQS's batch, and whatever else
//! somebody sends from a console.
//!
//! An invocation must not fail: Lambda would say so to nobody, and SQS would count a
//! receive of every message. So anything is read, and what cannot be read keeps the
//! whole batch: an answer that names an empty id does
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).
//! What was handled meanwhile is found to be done when it comes again.

use std::collections::BTreeMap;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};
use serde::Deserialize;

use crate::message::Message;

/// Names no message, so that Lambda keeps them all.
const ALL: &str = "";

/// The messages of a payload.
#[derive(Debug, Default)]
pub struct Invocation {
    /// Those that can be handled.
    pub messages: Vec<Message>,
    /// Whether there was something else besides, or nothing of SQS's at all.
    pub is_unreadable: bool,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Option<Vec<Option<Record>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    body: Option<String>,
    attributes: Option<BTreeMap<String, Option<String>>>,
    /// `arn:aws:sqs:eu-central-1:123456789012:inbox-events-lane`
    #[serde(rename = "eventSourceARN")]
    event_source_arn: Option<String>,
}

impl Invocation {
    /// Reads a payload, whatever it is. Members that are `null` are missing; a message
    /// without an id could not be kept. `lane` is the name of the queue of slow routes.
    #[must_use]
    pub fn read(payload: &str, lane: Option<&str>) -> Self {
        let batch = serde_json::from_str::<Batch>(payload).ok();
        let Some(records) = batch.and_then(|batch| batch.records) else {
            return Self { messages: Vec::new(), is_unreadable: true };
        };
        let count = records.len();
        let messages = records.into_iter().flatten();
        let messages: Vec<Message> = messages.filter_map(|it| message(it, lane)).collect();
        let is_unreadable = messages.len() < count;
        Self { messages, is_unreadable }
    }

    /// The answer that keeps these messages, and all where some could not be read.
    #[must_use]
    pub fn answer(is_unreadable: bool, kept: Vec<String>) -> SqsBatchResponse {
        let all = is_unreadable.then(|| ALL.to_owned());
        let failure = |id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        };
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = kept.into_iter().chain(all).map(failure).collect();
        response
    }
}

fn message(record: Record, lane: Option<&str>) -> Option<Message> {
    let attributes = record.attributes.unwrap_or_default();
    let queue = record.event_source_arn.as_deref().and_then(|arn| arn.rsplit(':').next());
    let receives = attributes.get("ApproximateReceiveCount").cloned().flatten();
    Some(Message {
        id: record.message_id.filter(|id| !id.is_empty())?,
        receives: receives.and_then(|count| count.parse().ok()).unwrap_or(1),
        receipt_handle: record.receipt_handle.unwrap_or_default(),
        body: record.body.unwrap_or_default(),
        from_lane: lane.is_some() && queue == lane,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &str) -> (Vec<String>, bool) {
        let read = Invocation::read(payload, None);
        (read.messages.into_iter().map(|message| message.id).collect(), read.is_unreadable)
    }

    /// Published by AWS; `tests/aws_events/README.md` says where.
    fn sample(name: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/aws_events");
        std::fs::read_to_string(format!("{folder}/{name}.json")).expect("a sample")
    }

    #[test]
    fn a_batch_of_sqs_is_read() {
        let read = Invocation::read(&sample("sqs"), Some("another"));
        assert!(!read.is_unreadable);
        let [message] = read.messages.as_slice() else { panic!("{:?}", read.messages) };
        assert_eq!(message.id, "19dd0b57-b21e-4ac1-bd88-01bbb068cb78");
        assert_eq!((message.receives, message.body.as_str()), (1, "Hello from SQS!"));
        assert_eq!(message.receipt_handle, "MessageReceiptHandle");
        assert!(!message.from_lane);
        assert_eq!(self::read(r#"{"Records":[]}"#), (Vec::new(), false));
    }

    #[test]
    fn the_queue_that_a_message_came_from_is_told_by_its_arn() {
        let from_lane = |lane| Invocation::read(&sample("sqs"), lane).messages[0].from_lane;
        assert!(from_lane(Some("MyQueue")));
        assert!(!from_lane(Some("Queue")));
        assert!(!from_lane(None));
    }

    #[test]
    fn what_is_no_batch_is_read_and_keeps_whatever_it_was() {
        let nothing = (Vec::new(), true);
        for name in
            ["lambda_console_hello_world", "scheduled", "api_gateway_1_0", "api_gateway_2_0"]
        {
            assert_eq!(read(&sample(name)), nothing, "{name}");
        }
        for payload in ["null", "1", "\"text\"", "[]", r#"{"Records":null}"#, r#"{"Records":{}}"#] {
            assert_eq!(read(payload), nothing, "{payload}");
        }
    }

    #[test]
    fn messages_beside_what_cannot_be_read_are_handled_and_the_batch_is_kept() {
        let good = r#"{"messageId":"a","body":"b","receiptHandle":"c","attributes":{}}"#;
        for odd in ["null", "{}", r#"{"messageId":null}"#, r#"{"messageId":""}"#] {
            let payload = format!(r#"{{"Records":[{odd},{good}]}}"#);
            assert_eq!(read(&payload), (vec!["a".to_owned()], true), "{odd}");
        }
        let nulls = r#"{"messageId":"a","body":null,"receiptHandle":null,"attributes":null}"#;
        assert_eq!(read(&format!(r#"{{"Records":[{nulls}]}}"#)), (vec!["a".to_owned()], false));
        let null = r#"{"messageId":"a","attributes":{"ApproximateReceiveCount":null}}"#;
        assert_eq!(read(&format!(r#"{{"Records":[{null}]}}"#)), (vec!["a".to_owned()], false));
    }

    #[test]
    fn the_answer_names_what_is_kept_and_an_empty_id_where_that_is_everything() {
        let answer = |is_unreadable, kept: &[&str]| {
            let kept = kept.iter().map(|id| (*id).to_owned()).collect();
            serde_json::to_string(&Invocation::answer(is_unreadable, kept)).expect("text")
        };
        assert_eq!(answer(false, &[]), r#"{"batchItemFailures":[]}"#);
        assert_eq!(answer(false, &["a"]), r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#);
        assert_eq!(answer(true, &[]), r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#);
    }
}
