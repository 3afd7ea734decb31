//! Requests that try to be read in two ways: each is refused, or accepted as
//! exactly the event that was signed.
//!
//! ```text
//! signed delivery ─▶ API Gateway's event ─▶ one try alters it ─▶ gateway.rs ─▶ pipeline.rs
//!                                                                   │
//!                    nothing in the ledger  ◀── refused ────────────┤
//!                    the event of the untouched delivery ◀── 2xx ───┘
//! ```
//!
//! Every try is made on every provider of the registry, in the form in which API
//! Gateway would hand it over: names in lower case, repeated headers joined by a
//! comma, the query as sent.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use inbox_core::Timestamp;
use inbox_core::memory::{MemoryLedger, MemoryQueue, MemorySecrets};
use inbox_core::secrets::SecretCache;
use serde_json::{Value, json};

use super::facts::KeySource;
use super::testing::{self, Delivery, Sample, at};
use crate::config::{Config, Dedup};
use crate::gateway::GatewayEvent;
use crate::pipeline::Receiver;
use inbox_core::form;

mod tries;

const SOURCE: &str = "shop";
const BASE_URL: &str = "https://hooks.example.com";
const PATH: &str = "/webhooks/shop";

/// What the ledger holds of an event, apart from what nobody signs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    id: String,
    event_type: String,
    subject: Option<String>,
    occurred_at: Option<Timestamp>,
    payload: bytes::Bytes,
}

/// What may come of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Only a refusal will do.
    Refused,
    /// Only the event that was signed will do.
    Same,
    /// Either of the two; which, is the provider's to say.
    Either,
}

/// A delivery with a query of its own where the address is signed.
fn delivery(sample: &Sample, body: &[u8], query: &str) -> Delivery {
    let mut url = format!("{BASE_URL}{PATH}{query}");
    if !sample.facts.decodes(sample.content_type) {
        url = sample.facts.cover(&url, body);
    }
    let provider = sample.provider.as_ref();
    Delivery::signed_to(provider, sample.secrets[0], sample.content_type, body, &url)
}

/// As API Gateway hands it over.
fn event(delivery: &Delivery) -> Value {
    let request = delivery.request();
    let names = delivery.headers.keys();
    let headers: serde_json::Map<String, Value> = names
        .map(|name| (name.to_string(), json!(request.header(name.as_str()).unwrap())))
        .collect();
    json!({
        "version": "2.0",
        "rawPath": PATH,
        "rawQueryString": request.raw_query(),
        "headers": headers,
        "requestContext": { "http": { "method": delivery.method.as_str(), "path": PATH } },
        "body": STANDARD.encode(&delivery.body),
        "isBase64Encoded": true,
    })
}

/// What the receiver makes of it: the event that it keeps, or the status of its
/// refusal.
async fn received(sample: &Sample, event: Value) -> Result<Kept, u16> {
    let secrets = MemorySecrets::new(Ok(testing::bundle(&sample.secrets[..1])));
    let receiver = Receiver {
        config: Config {
            source: SOURCE.into(),
            secret_id: String::new(),
            public_base_urls: vec![BASE_URL.into()],
            table_name: String::new(),
            queue_url: String::new(),
            payload_bucket: None,
            max_body_bytes: 100_000,
            retention: Duration::from_hours(24 * 30),
            sweep_grace: Duration::from_mins(15),
            dedup: Dedup::Id,
            hook_ids: Vec::new(),
        },
        provider: Arc::clone(&sample.provider),
        ledger: MemoryLedger::default(),
        queue: MemoryQueue::default(),
        secrets: SecretCache::new(secrets, Arc::clone(&sample.provider)),
    };
    let event: GatewayEvent = serde_json::from_value(event).unwrap();
    let reply = match event.into_request() {
        Ok((path, request)) => receiver.receive(&path, request, "request-1", at(0)).await,
        Err(refusal) => receiver.refuse(refusal, at(0)),
    };
    let mut kept = receiver.ledger.all();
    if !reply.status.is_success() {
        assert!(kept.is_empty() && receiver.queue.take().is_empty(), "{}", reply.status);
        return Err(reply.status.as_u16());
    }
    let event = kept.pop().unwrap().event;
    assert!(kept.is_empty());
    assert_eq!(receiver.queue.take()[0].0.key, event.key);
    Ok(Kept {
        id: event.key.id,
        event_type: event.event_type,
        subject: event.subject,
        occurred_at: event.occurred_at,
        payload: event.payload.bytes,
    })
}

/// A body that says something to every provider that reads this media type.
fn telling_body(sample: &Sample) -> Vec<u8> {
    match sample.content_type {
        form::MEDIA_TYPE => b"MessageSid=SM1&MessageStatus=sent&payload=%7B%22action%22%3A%22opened%22%7D&To=%2B1"
            .to_vec(),
        _ => br#"{"id":"evt_1","type":"a.b","action":"opened","data":{"id":"x","object":{"id":"y"}}}"#
            .to_vec(),
    }
}

#[tokio::test]
async fn every_try_is_refused_or_accepted_as_the_event_that_was_signed() {
    let mut counts = [0, 0];
    for sample in testing::all() {
        let genuine = delivery(&sample, &telling_body(&sample), "?a=1&b=%2F");
        let signed = received(&sample, event(&genuine)).await.expect("signed properly");
        for (name, outcome, tried) in tries::all(&sample, &event(&genuine)) {
            let found = received(&sample, tried).await;
            let told =
                format!("{} ({}): {name}: {found:?}", sample.provider.name(), sample.content_type);
            match (&found, outcome) {
                (Ok(kept), Outcome::Same | Outcome::Either) => assert_eq!(*kept, signed, "{told}"),
                (Err(status), Outcome::Refused | Outcome::Either) => {
                    assert!((400..500).contains(status), "{told}");
                }
                (_, outcome) => panic!("{outcome:?} was expected of {told}"),
            }
            counts[usize::from(found.is_ok())] += 1;
        }
    }
    // Neither side is empty, or the tries would say nothing.
    assert!(counts.iter().all(|count| *count > 50), "refused, accepted: {counts:?}");
}

/// Nobody signs the content type, so it must not choose what the event says: a
/// text inside one form of a body that looks like the other form stays a text.
#[tokio::test]
async fn a_body_is_read_as_what_it_is_and_not_as_its_content_type_says() {
    let decoys = |sample: &Sample| {
        let names = sample.facts.form_parameters.iter();
        let pairs = names.map(|name| format!("{name}=%7B%22action%22%3A%22forged%22%7D"));
        pairs.collect::<Vec<_>>().join("&")
    };
    for sample in testing::all() {
        let body = match sample.content_type {
            form::MEDIA_TYPE => telling_body(&sample),
            _ => format!(r#"{{"id":"evt_1","type":"a.b","note":"&{}&"}}"#, decoys(&sample)).into(),
        };
        let genuine = delivery(&sample, &body, "");
        let signed = received(&sample, event(&genuine)).await.expect("signed properly");
        for content_type in ["application/json", form::MEDIA_TYPE, "text/plain", ""] {
            let mut tried = event(&genuine);
            tried["headers"]["content-type"] = content_type.into();
            if let Ok(kept) = received(&sample, tried).await {
                assert_eq!(kept, signed, "{} as {content_type:?}", sample.provider.name());
            }
        }
    }
}

/// Nobody signs the method either. A request that has its parameters in the query
/// says the same by every method that is let in.
#[tokio::test]
async fn a_request_without_a_body_says_the_same_by_every_method() {
    for sample in testing::all() {
        let genuine = delivery(&sample, b"", "?CallSid=CA1&CallStatus=ringing");
        let mut found = Vec::new();
        for method in [Method::POST, Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
            for content_type in [sample.content_type, form::MEDIA_TYPE, "application/json", ""] {
                let mut tried = event(&Delivery { method: method.clone(), ..genuine.clone() });
                tried["headers"]["content-type"] = content_type.into();
                match received(&sample, tried).await {
                    Ok(kept) => found.push(kept),
                    Err(status) => assert!(
                        status == 405 || content_type != sample.content_type,
                        "{} {method} {content_type:?}: {status}",
                        sample.provider.name()
                    ),
                }
            }
        }
        assert!(found.windows(2).all(|two| two[0] == two[1]), "{found:#?}");
        assert!(!found.is_empty());
    }
}

/// Where the id is a header that nobody signs, whoever holds a signed body chooses
/// it; that is all that they choose. Where it is signed, they do not.
#[tokio::test]
async fn another_id_in_a_header_is_another_event_only_where_no_scheme_signs_it() {
    for sample in testing::all() {
        let genuine = delivery(&sample, &telling_body(&sample), "");
        let signed = received(&sample, event(&genuine)).await.expect("signed properly");
        for header in &sample.facts.unsigned_headers {
            for value in ["other", "id_1,id_2", "id_1, id_1", ""] {
                let mut tried = event(&genuine);
                tried["headers"][header.as_str()] = value.into();
                let kept = received(&sample, tried).await.expect("nothing signed was touched");
                assert_eq!((&kept.payload, &kept.subject), (&signed.payload, &signed.subject));
                if sample.facts.idempotency_key != KeySource::Header {
                    assert_eq!(kept, signed, "{header}: {value}");
                }
            }
        }
    }
}
