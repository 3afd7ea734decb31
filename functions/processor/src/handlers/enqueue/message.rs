//! The message that a queue or a topic gets.
//!
//! ```text
//! body         the CloudEvent
//! attributes   source  /webhooks/{source}          for SNS filter policies
//!              type    {provider}.{event type}
//! ```

use std::collections::HashMap;

use inbox_core::event::{Event, clean_text};
use inbox_core::handler::Run;
use inbox_core::signature::sha256_hex;

/// The most that a queue or a topic can be made to take, attributes included.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
/// <https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html>
pub(super) const SERVICE_TAKES_BYTES: usize = 1_048_576;
const ATTRIBUTE_CHARACTERS_MAX: usize = 256;
const DATA_TYPE: &str = "String";

/// What is sent.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) body: String,
    attributes: [(&'static str, String); 2],
}

impl Message {
    /// The message of an event that is written as `cloudevent`.
    pub(super) fn of(event: &Event, cloudevent: &str) -> Self {
        let attribute = |text: &str| clean_text(text, ATTRIBUTE_CHARACTERS_MAX);
        Self {
            body: escaped(cloudevent),
            attributes: [
                ("source", attribute(&format!("/webhooks/{}", event.key.source))),
                ("type", attribute(&event.full_type())),
            ],
        }
    }

    /// Its size as the services count it: body, and of each attribute name, type and
    /// value.
    pub(super) fn bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, value)| name.len() + DATA_TYPE.len() + value.len());
        self.body.len() + attributes.sum::<usize>()
    }

    pub(super) fn for_sqs(&self) -> HashMap<String, aws_sdk_sqs::types::MessageAttributeValue> {
        self.attributes(|value| {
            let attribute = aws_sdk_sqs::types::MessageAttributeValue::builder();
            attribute.data_type(DATA_TYPE).string_value(value).build().expect("it has a type")
        })
    }

    pub(super) fn for_sns(&self) -> HashMap<String, aws_sdk_sns::types::MessageAttributeValue> {
        self.attributes(|value| {
            let attribute = aws_sdk_sns::types::MessageAttributeValue::builder();
            attribute.data_type(DATA_TYPE).string_value(value).build().expect("it has a type")
        })
    }

    fn attributes<V>(&self, attribute: impl Fn(&str) -> V) -> HashMap<String, V> {
        let attributes = self.attributes.iter();
        attributes.map(|(name, value)| ((*name).to_owned(), attribute(value))).collect()
    }
}

/// The two characters that JSON may hold as they are and SQS refuses, as escapes: the
/// same JSON. They can only stand within its texts.
fn escaped(json: &str) -> String {
    json.replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff")
}

/// What FIFO queues and topics know a repetition by. A new life is no repetition: the
/// operator asked for it, and it must not be swallowed for coming within five minutes.
pub(super) fn deduplication_id(event: &Event, run: &Run) -> String {
    sha256_hex(&[run.idempotency_key(event).as_bytes(), b"#", run.life.to_string().as_bytes()])
}

#[cfg(test)]
mod tests {
    use inbox_aws::DETACHED_BYTES_MIN;

    use super::super::super::claim_check::MAX_BYTES_LEAST;
    use super::super::super::testing::{event, run};
    use super::*;

    #[test]
    fn characters_that_sqs_refuses_are_escaped_and_the_json_is_the_same() {
        let event = event("{\"a\":\"x\u{FFFE}y\u{FFFF}z\"}");
        let whole = event.to_cloudevent();
        let message = Message::of(&event, &whole);
        assert!(message.body.ends_with(r#""data":{"a":"x\ufffey\uffffz"}}"#), "{}", message.body);
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&message.body), read(&whole));
    }

    #[test]
    fn attributes_say_source_and_type_in_characters_that_are_taken() {
        let mut event = event("{}");
        event.event_type = format!("a\u{7f}\u{ffff}b{}", "c".repeat(300));
        let message = Message::of(&event, "{}");
        let expected = format!("stripe.ab{}", "c".repeat(ATTRIBUTE_CHARACTERS_MAX - 9));
        assert_eq!(
            message.attributes,
            [("source", "/webhooks/stripe".to_owned()), ("type", expected)]
        );
        assert_eq!(message.for_sqs()["source"].string_value(), Some("/webhooks/stripe"));
        assert_eq!(message.for_sns()["source"].string_value(), Some("/webhooks/stripe"));
    }

    /// Forgetting an event looks for no object of a smaller payload.
    #[test]
    fn what_may_not_be_detached_fits_the_least_limit_in_its_longest_spelling() {
        let most = "\u{FFFF}".repeat(DETACHED_BYTES_MIN / 3);
        let mut worst = event(&format!("\"{most}\""));
        worst.subject = Some("\u{FFFF}".repeat(1024));
        let message = Message::of(&worst, &worst.to_cloudevent());
        assert!(message.bytes() > 2 * DETACHED_BYTES_MIN, "{}", message.bytes());
        assert!(message.bytes() < MAX_BYTES_LEAST, "{}", message.bytes());
    }

    #[test]
    fn the_size_counts_attributes() {
        let message = Message::of(&event("{}"), "1234");
        let source = "source".len() + "String".len() + "/webhooks/stripe".len();
        let r#type = "type".len() + "String".len() + "stripe.charge.failed".len();
        assert_eq!(message.bytes(), 4 + source + r#type);
    }

    #[test]
    fn a_repetition_is_known_within_a_life_and_only_there() {
        let (event, first) = (event("{}"), run(1));
        let id = deduplication_id(&event, &first);
        assert_eq!((id.len(), &id), (64, &deduplication_id(&event, &run(2))));
        let replayed = Run { life: 2, ..first.clone() };
        assert_ne!(id, deduplication_id(&event, &replayed));
        let other_route = Run { route_id: "other".into(), ..first };
        assert_ne!(id, deduplication_id(&event, &other_route));
    }
}
