//! What a rig hands to the functions and reads of them: events of the gateway and of
//! the queue, answers, pointers.

use aws_sdk_sqs::types::Message;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inbox_core::event::EventKey;
use inbox_core::queue::Pointer;
use inbox_local::Delivery;
use inbox_local::calls::Call;
use serde_json::{Value, json};

use super::rig::STRIPE_SECRET;

/// What the receiver said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u64,
    pub(crate) inbox_status: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn accepted() -> Self {
        Self { status: 200, inbox_status: Some("accepted".into()), body: String::new() }
    }

    pub(crate) fn duplicate() -> Self {
        Self { status: 200, inbox_status: Some("duplicate".into()), body: String::new() }
    }
}

/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
pub(crate) fn gateway_event(path: &str, headers: &[(&str, String)], body: &[u8]) -> Value {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| (name.to_lowercase(), json!(value))).collect();
    json!({
        "version": "2.0",
        "routeKey": format!("ANY {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": { "http": { "method": "POST", "path": path } },
        "body": STANDARD.encode(body),
        "isBase64Encoded": true,
    })
}

/// What Lambda's poller sends of the queue of events.
pub(crate) fn batch(messages: &[Message]) -> Value {
    batch_of("webhook-inbox-events", messages)
}

/// Likewise of the queue with this address or name.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
pub(crate) fn batch_of(queue: &str, messages: &[Message]) -> Value {
    let name = queue.rsplit('/').next().unwrap_or_default();
    let records: Vec<Value> = messages
        .iter()
        .map(|message| {
            json!({
                "messageId": message.message_id(),
                "receiptHandle": message.receipt_handle(),
                "body": message.body(),
                "attributes": { "ApproximateReceiveCount": "1" },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{name}"),
                "awsRegion": "us-east-1",
            })
        })
        .collect();
    json!({ "Records": records })
}

pub(crate) fn answered(answer: &Value) -> Answer {
    Answer {
        status: answer["statusCode"].as_u64().expect("a status"),
        inbox_status: answer["headers"]["x-inbox-status"].as_str().map(str::to_owned),
        body: answer["body"].as_str().unwrap_or_default().to_owned(),
    }
}

/// A Stripe fixture, signed for the rig's source.
pub(crate) fn stripe(file: &str) -> Delivery {
    Delivery::fixture("stripe", file, STRIPE_SECRET).expect("a fixture")
}

/// A payment that succeeded: `evt_test_1`, about `pi_test_1`.
pub(crate) fn payment() -> Delivery {
    stripe("payment_intent_succeeded.json")
}

pub(crate) fn key(id: &str) -> EventKey {
    EventKey { source: "stripe".to_owned(), id: id.to_owned() }
}

/// What a message points to.
pub(crate) fn pointer(message: &Message) -> Pointer {
    Pointer::parse(message.body().expect("a body")).expect("a pointer")
}

/// Service and operation of each call.
pub(crate) fn names(calls: &[Call]) -> Vec<String> {
    calls.iter().map(|call| format!("{} {}", call.service, call.operation)).collect()
}
