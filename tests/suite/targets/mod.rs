//! The handlers that hand events on: `publish`, `invoke`, `enqueue`.
//!
//! ```text
//! handler ─▶ proxy ─▶ emulator ─ bus ─ rule ──┐
//!              │               ├ topic ───────┼─▶ queue, where the test looks
//!              │ counts,       ├ queue ───────┘
//!              │ breaks        ├ function, in Python
//!              │               └ bucket
//! ```
//!
//! The handlers run in this process, under the role that the module gives the processor
//! for a route with their options, so that what they say of a failure can be
//! compared word by word; the end-to-end tests run them in the real binary.

mod enqueue;
mod invoke;
mod large;
pub(crate) mod made;
mod publish;
mod regions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use inbox_aws::S3PayloadStore;
use inbox_core::Timestamp;
use inbox_core::envelope::Envelope;
use inbox_core::event::{Event, EventKey};
use inbox_core::handler::{Handler, HandlerError, Run};
use inbox_core::provider::Payload;
use inbox_local::TestBed;
use inbox_local::proxy::Proxy;
use inbox_processor::handlers::{HttpClients, Resources, build};
use serde_json::{Value, json};

/// A bed, and the proxy through which handlers reach it.
struct World {
    bed: TestBed,
    proxy: Proxy,
}

impl World {
    async fn new() -> Self {
        let bed = TestBed::new().await.expect("tables and queues");
        let proxy = Proxy::start(&bed.endpoint_url).await.expect("a proxy");
        Self { bed, proxy }
    }

    fn handler(&self, name: &str, with: &Value) -> Arc<dyn Handler> {
        let routes = json!([{ "id": "billing", "match": "*:*", "handler": name, "with": with }]);
        let aws = self.bed.sdk_config_of("processor", &[], &routes, self.proxy.url());
        let resources = Resources {
            mirror_table: None,
            event_bus: None,
            payloads: Some(S3PayloadStore::new(&aws, self.bed.payload_bucket.clone())),
            handler_timeout: Duration::from_secs(30),
            own_queues: vec![self.bed.queue_url.clone(), self.bed.dlq_url.clone()],
            clock: Arc::new(inbox_core::Timestamp::now),
            http: HttpClients::default(),
            aws,
        };
        build(name, &resources, with).expect("the options are right")
    }

    /// What has come to a queue, taken from it.
    async fn received(&self, queue_url: &str) -> Vec<Message> {
        let sqs = self.bed.sqs();
        let mut all = Vec::new();
        loop {
            let received = sqs
                .receive_message()
                .queue_url(queue_url)
                .max_number_of_messages(10)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .send()
                .await
                .expect("an answer");
            let some = received.messages.unwrap_or_default();
            if some.is_empty() {
                return all;
            }
            for message in &some {
                let receipt = message.receipt_handle().expect("a receipt");
                let deleted = sqs.delete_message().queue_url(queue_url).receipt_handle(receipt);
                deleted.send().await.expect("a deletion");
            }
            all.extend(some);
        }
    }

    /// The bodies of what has come to a queue, as JSON.
    async fn bodies(&self, queue_url: &str) -> Vec<Value> {
        let received = self.received(queue_url).await;
        received.iter().map(|message| json_of(message.body().expect("a body"))).collect()
    }
}

/// An event of the source `stripe_eu` with this JSON.
fn event(id: &str, payload: &str) -> Event {
    Event {
        key: EventKey { source: "stripe_eu".into(), id: id.into() },
        provider: "stripe".into(),
        event_type: "payment_intent.succeeded".into(),
        delivery_id: None,
        subject: Some("pi_1".into()),
        occurred_at: Timestamp::from_unix_seconds(1_763_999_990),
        received_at: Timestamp::from_unix_seconds(1_764_000_000).expect("a time"),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        payload: Payload {
            content_type: "application/json".into(),
            bytes: payload.to_owned().into(),
        },
        headers: BTreeMap::new(),
    }
}

/// The first attempt of the route `billing`.
fn run() -> Run {
    let timeout = Duration::from_secs(10);
    let route_id = "billing".into();
    Run {
        route_id,
        life: 1,
        attempt: 1,
        max_attempts: 7,
        insists: false,
        timeout,
        payload_ref: None,
        envelope: Envelope::default(),
    }
}

async fn handle(handler: &Arc<dyn Handler>, event: &Event) -> Result<(), HandlerError> {
    handler.handle(event, &run()).await.map(|_| ())
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}
