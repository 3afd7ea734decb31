//! A source's endpoint in memory: the receiver's whole pipeline.

use std::sync::Arc;
use std::time::Duration;

use inbox_core::event::Event;
use inbox_core::memory::{MemoryLedger, MemoryQueue, MemorySecrets};
use inbox_core::provider::Reply;
use inbox_core::queue::Pointer;
use inbox_core::secrets::SecretCache;
use inbox_receiver::config::{Config, Dedup};
use inbox_receiver::gateway::GatewayEvent;
use inbox_receiver::pipeline::Receiver;

use super::testing::{self, Sample, at};
use crate::block_on;

pub(super) const URL: &str = "https://hooks.example.com/webhooks/shop";

/// What came of an event of API Gateway: the reply, what was kept, what was sent.
pub(super) fn receive(
    sample: &Sample,
    event: GatewayEvent,
    dedup: Dedup,
) -> (Reply, Vec<Event>, Vec<(Pointer, String)>) {
    let secrets = MemorySecrets::new(Ok(testing::bundle(&sample.secrets[..1])));
    let receiver = Receiver {
        config: Config {
            source: "shop".into(),
            secret_id: String::new(),
            public_base_urls: vec!["https://hooks.example.com".into()],
            table_name: String::new(),
            queue_url: String::new(),
            payload_bucket: None,
            max_body_bytes: 100_000,
            retention: Duration::from_hours(24 * 30),
            sweep_grace: Duration::from_mins(15),
            dedup,
            hook_ids: Vec::new(),
        },
        provider: Arc::clone(&sample.provider),
        ledger: MemoryLedger::default(),
        queue: MemoryQueue::default(),
        secrets: SecretCache::new(secrets, Arc::clone(&sample.provider)),
    };
    let reply = match event.into_request() {
        Ok((path, request)) => block_on(receiver.receive(&path, request, "request-1", at(0))),
        Err(refusal) => receiver.refuse(refusal, at(0)),
    };
    let kept = receiver.ledger.all().into_iter().map(|record| record.event).collect();
    (reply, kept, receiver.queue.take())
}
