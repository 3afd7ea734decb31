//! Items of the ledger's table, as `DynamoDB` would answer with them: through the
//! SDK's own reader and the ledger's public methods, by a client that answers with
//! the input instead of calling anybody.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::test_util::infallible_client_fn;
use inbox_aws::{DynamoDbLedger, OpenKind, TimelinePartition};
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{Ledger as _, NewEvent};
use inbox_core::provider::Payload;

use crate::block_on;

/// What was asked last, and what is answered next.
#[derive(Default)]
struct Exchange {
    asked: Vec<u8>,
    answer: Vec<u8>,
}

static EXCHANGE: LazyLock<Arc<Mutex<Exchange>>> = LazyLock::new(Arc::default);

static LEDGER: LazyLock<DynamoDbLedger> = LazyLock::new(|| {
    let http = infallible_client_fn(|request| {
        let mut exchange = EXCHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        exchange.asked = request.body().bytes().unwrap_or_default().to_vec();
        http::Response::new(exchange.answer.clone())
    });
    let credentials = Credentials::new("test", "test", None, None, "fuzz");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .http_client(http)
        .build();
    DynamoDbLedger::new(&config, "events".to_owned())
});

fn answer(with: Vec<u8>) {
    EXCHANGE.lock().unwrap_or_else(PoisonError::into_inner).answer = with;
}

/// An item in `DynamoDB`'s JSON: read whole, as rows of both indexes, and as a
/// summary. Where it can be read whole, nothing of it is out of range.
///
/// # Panics
///
/// When it cannot be written down again.
pub fn run(data: &[u8]) {
    let around = |before: &str, behind: &str| [before.as_bytes(), data, behind.as_bytes()].concat();
    let key = EventKey { source: "shop".to_owned(), id: "evt_1".to_owned() };
    answer(around("{\"Item\":", "}"));
    if let Ok(Some(record)) = block_on(LEDGER.get(&key)) {
        let _ = record.event.to_cloudevent();
        let shown = format!("{record:?}");
        assert!(!shown.is_empty());
    }
    answer(around("{\"Items\":[", "]}"));
    let _ = block_on(LEDGER.open(OpenKind::Dead, 0, None));
    let moment = Timestamp::from_unix_seconds(1_772_366_400).expect("a moment");
    let partition = TimelinePartition {
        source: "shop",
        within_day: moment,
        shard: 0,
        since: moment,
        until: moment,
    };
    let _ = block_on(LEDGER.arrivals(&partition, true, None));
    let _ = block_on(LEDGER.due(0, None, 10, moment));
    answer(around("{\"Responses\":{\"events\":[", "]}}"));
    let _ = block_on(LEDGER.summaries(&[key]));
}

/// The item that a claim writes, for a start.
///
/// # Panics
///
/// When the claim asked nothing.
#[must_use]
pub fn claimed(body: Vec<u8>) -> Vec<u8> {
    let now = Timestamp::from_unix_ms(1_772_366_400_123).expect("a moment");
    answer(b"{}".to_vec());
    let event = Event {
        key: EventKey { source: "shop".to_owned(), id: "evt_1".to_owned() },
        provider: "stripe".to_owned(),
        event_type: "a.b".to_owned(),
        delivery_id: Some("d".to_owned()),
        subject: Some("x".to_owned()),
        occurred_at: Some(now),
        received_at: now,
        traceparent: None,
        payload: Payload { content_type: "application/json".to_owned(), bytes: body.into() },
        headers: [("user-agent".to_owned(), "a".to_owned())].into(),
    };
    let new = NewEvent {
        event,
        request_id: "request-1".to_owned(),
        due_at: now.plus(Duration::from_mins(15)),
        expires_at: now.plus(Duration::from_hours(720)).ceil_to_seconds(),
    };
    let _ = block_on(LEDGER.claim(&new));
    let asked = EXCHANGE.lock().unwrap_or_else(PoisonError::into_inner).asked.clone();
    let asked: serde_json::Value = serde_json::from_slice(&asked).expect("a request");
    asked["Item"].to_string().into_bytes()
}
