//! `enqueue`: sends the event to an SQS queue or publishes it to an SNS topic.
//!
//! ```json
//! { "id": "ship", "match": "stripe:*", "handler": "enqueue",
//!   "with": { "queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/ship" } }
//! { "id": "tell", "match": "stripe:*", "handler": "enqueue",
//!   "with": { "topic_arn": "arn:aws:sns:eu-central-1:123456789012:tell" } }
//! ```
//!
//! The processor's role needs `sqs:SendMessage` on the queue or `sns:Publish` on the
//! topic; one of another account must allow the role in its own policy, too. Either may
//! be in another region. The body is the `CloudEvent` ([`message`]).
//!
//! A message of more than 256 KiB goes without its payload ([`super::claim_check`]).
//! `max_bytes` raises that where the queue's `MaximumMessageSize` or the topic's is
//! larger, up to 1 MiB.
//!
//! An attempt whose answer was lost sends again: consumers deduplicate by the event's
//! `source` and `id`. A target that does not answer several times in a row is left alone
//! for a while ([`super::breaker`]). FIFO queues and topics do it themselves, within five minutes.

mod message;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_aws::S3PayloadStore;
use inbox_core::event::Event;
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use serde_json::Value;

use self::message::{Message, SERVICE_TAKES_BYTES};
use super::breaker::Guard;
use super::claim_check::{MAX_BYTES, fitting, max_bytes};
use super::fault::fault;
use super::{Options, Quotes, Resources};

/// Queues and topics whose name ends so are FIFO.
const SUFFIX_FIFO: &str = ".fifo";
/// SQS refuses characters of the body: the same ones every time.
const HOPELESS: [&str; 1] = ["InvalidMessageContents"];

/// Of the envelope, at most.
const COPIES: usize = 4;

struct Enqueue {
    target: Target,
    is_fifo: bool,
    max_bytes: usize,
    guard: Guard,
    quotes: Quotes,
    payloads: Option<S3PayloadStore>,
}

enum Target {
    Queue { client: aws_sdk_sqs::Client, url: String },
    Topic { client: aws_sdk_sns::Client, arn: String },
}

pub(super) fn build(resources: &Resources, with: &Value) -> Result<Arc<dyn Handler>, Vec<String>> {
    let mut options = Options::of(with);
    let (queue_url, topic_arn) = (options.text("queue_url"), options.text("topic_arn"));
    if queue_url.is_some() == topic_arn.is_some() {
        options.problem("needs either `queue_url` or `topic_arn`");
    }
    if let Some(url) = queue_url {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            options.problem(format_args!("{url:?} is not a queue's URL"));
        }
        if resources.own_queues.iter().any(|own| own == url) {
            options.problem("the queue is the inbox's own, which holds no events for others");
        }
    }
    if let Some(arn) = topic_arn
        && (!arn.starts_with("arn:") || arn.split(':').count() != 6)
    {
        options.problem(format_args!("{arn:?} is not a topic's ARN"));
    }
    let max_bytes = max_bytes(&mut options, MAX_BYTES, SERVICE_TAKES_BYTES);
    let quotes = Quotes::read(&mut options);
    options.finish()?;
    let name = topic_arn.or(queue_url).unwrap_or_default().to_owned();
    let aws = &resources.aws_for(&name);
    let is_fifo = name.ends_with(SUFFIX_FIFO);
    // The last part of either.
    let shown = name.rsplit(['/', ':']).next().unwrap_or_default();
    let kind = if topic_arn.is_some() { "topic" } else { "queue" };
    let guard = Guard::new(format!("{kind} {shown}"), Arc::clone(&resources.clock));
    let target = match topic_arn {
        Some(_) => Target::Topic { client: aws_sdk_sns::Client::new(aws), arn: name },
        None => Target::Queue { client: aws_sdk_sqs::Client::new(aws), url: name },
    };
    let payloads = resources.payloads.clone();
    Ok(Arc::new(Enqueue { target, is_fifo, max_bytes, guard, quotes, payloads }))
}

impl Handler for Enqueue {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            let write = |cloudevent: Bytes| {
                let message = Message::of(event, &String::from_utf8_lossy(&cloudevent));
                (message.bytes() <= self.max_bytes).then_some(message)
            };
            let payloads = self.payloads.as_ref();
            let message = fitting(event, run, payloads, self.max_bytes, write).await?;
            let deduplication_id = self.is_fifo.then(|| message::deduplication_id(event, run));
            self.send(event, run, message, deduplication_id).await?;
            Ok(Handled::Done)
        }
        .boxed()
    }

    /// The message, escaped, the request around it, and what is sent of that.
    fn copied_bytes(&self, envelope_bytes: usize) -> usize {
        COPIES * if envelope_bytes <= self.max_bytes { envelope_bytes } else { 0 }
    }
}

impl Enqueue {
    async fn send(
        &self,
        event: &Event,
        run: &Run,
        message: Message,
        deduplication_id: Option<String>,
    ) -> Result<(), HandlerError> {
        let source = event.key.source.as_str();
        let admission = self.guard.admit(run)?;
        match &self.target {
            Target::Queue { client, url } => {
                let sent = client
                    .send_message()
                    .queue_url(url)
                    .set_message_attributes(Some(message.for_sqs()))
                    .message_body(message.body)
                    // On a standard queue this makes it a fair one.
                    .message_group_id(source)
                    .set_message_deduplication_id(deduplication_id)
                    .send()
                    .await;
                self.guard.hear(run, admission, &sent);
                sent.map(drop)
                    .map_err(|error| fault("SendMessage", &error, event, self.quotes, &HOPELESS))
            }
            Target::Topic { client, arn } => {
                let published = client
                    .publish()
                    .topic_arn(arn)
                    .set_message_attributes(Some(message.for_sns()))
                    .message(message.body)
                    .set_message_group_id(deduplication_id.is_some().then(|| source.to_owned()))
                    .set_message_deduplication_id(deduplication_id)
                    .send()
                    .await;
                self.guard.hear(run, admission, &published);
                published
                    .map(drop)
                    .map_err(|error| fault("Publish", &error, event, self.quotes, &HOPELESS))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::resources;
    use super::*;

    const OWN: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/inbox-events";

    fn problems(with: &Value) -> Vec<String> {
        let resources = Resources { own_queues: vec![OWN.to_owned()], ..resources() };
        build(&resources, with).err().unwrap_or_default()
    }

    #[test]
    fn a_queue_or_a_topic_is_needed_and_not_both() {
        let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/ship.fifo";
        let arn = "arn:aws:sns:eu-central-1:123456789012:tell";
        assert_eq!(problems(&json!({ "queue_url": url })), Vec::<String>::new());
        assert_eq!(problems(&json!({ "topic_arn": arn })), Vec::<String>::new());
        let neither = "needs either `queue_url` or `topic_arn`";
        assert_eq!(problems(&Value::Null), [neither]);
        assert_eq!(problems(&json!({ "queue_url": url, "topic_arn": arn })), [neither]);
        let swapped = json!({ "queue_url": arn, "topic_arn": url });
        let wrong =
            [format!("{arn:?} is not a queue's URL"), format!("{url:?} is not a topic's ARN")];
        assert_eq!(problems(&swapped), [&[neither.to_owned()], &wrong[..]].concat());
    }

    #[test]
    fn what_a_queue_takes_is_between_64_kib_and_1_mib() {
        let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/ship";
        let with = |bytes: usize| json!({ "queue_url": url, "max_bytes": bytes });
        for bytes in [65_536, 262_144, 1_048_576] {
            assert_eq!(problems(&with(bytes)), Vec::<String>::new(), "{bytes}");
        }
        for bytes in [65_535, 1_048_577] {
            let said = "`max_bytes` must be a whole number from 65536 to 1048576";
            assert_eq!(problems(&with(bytes)), [said], "{bytes}");
        }
    }

    #[test]
    fn the_inboxs_own_queue_is_refused() {
        assert_eq!(
            problems(&json!({ "queue_url": OWN })),
            ["the queue is the inbox's own, which holds no events for others"]
        );
    }
}
