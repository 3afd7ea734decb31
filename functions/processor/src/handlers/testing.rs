//! What the handlers' own tests share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::BehaviorVersion;
use inbox_aws::SdkConfig;
use inbox_core::Timestamp;
use inbox_core::envelope::Envelope;
use inbox_core::event::{Event, EventKey};
use inbox_core::handler::Run;
use inbox_core::provider::Payload;

use super::{HttpClients, Resources};

/// Resources that reach nothing.
pub(crate) fn resources() -> Resources {
    let aws = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    Resources {
        aws,
        mirror_table: Some("mirror".into()),
        event_bus: None,
        payloads: None,
        handler_timeout: Duration::from_secs(30),
        own_queues: Vec::new(),
        clock: Arc::new(|| Timestamp::from_unix_seconds(1_764_000_000).expect("a time")),
        http: HttpClients::default(),
    }
}

/// An event of Stripe's with this payload.
pub(crate) fn event(payload: &str) -> Event {
    Event {
        key: EventKey { source: "stripe".into(), id: "evt_1".into() },
        provider: "stripe".into(),
        event_type: "charge.failed".into(),
        delivery_id: None,
        subject: Some("ch_1".into()),
        occurred_at: None,
        received_at: Timestamp::from_unix_seconds(1_764_000_000).expect("a time"),
        traceparent: None,
        payload: Payload {
            content_type: "application/json".into(),
            bytes: payload.to_owned().into(),
        },
        headers: BTreeMap::new(),
    }
}

/// An attempt of route `billing`, the last one being the seventh.
pub(crate) fn run(attempt: u32) -> Run {
    let timeout = Duration::from_secs(30);
    let route_id = "billing".into();
    Run {
        route_id,
        life: 1,
        attempt,
        max_attempts: 7,
        insists: false,
        timeout,
        payload_ref: None,
        envelope: Envelope::default(),
    }
}
