//! What holds a key or a payload shows neither when somebody prints it: all types
//! in one place, so that a new one is a line here. (The operator's own are tested
//! beside them.)

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use http::{HeaderMap, Method};
use inbox_aws::{ReceivedLetter, SecretVersion, StoredSecret};
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{NewEvent, Record};
use inbox_core::memory::{MemoryLedger, MemoryQueue, MemorySecrets};
use inbox_core::provider::{Identity, Payload, Unsigned};
use inbox_core::queue::{DeadLetter, Queue as _};
use inbox_core::request::Request;
use inbox_core::secrets::{Secret, SecretBundle};
use inbox_local::Delivery;
use inbox_processor::message::Message;
use inbox_receiver::gateway::GatewayEvent;
use inbox_receiver::providers;
use zeroize::Zeroizing;

use crate::conformance::at;

const MARKER: &str = "marker-7f3a";

#[track_caller]
fn shows_nothing(value: &dyn Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.contains(MARKER), "{shown}");
    }
}

fn payload() -> Payload {
    Payload {
        content_type: "application/json".into(),
        bytes: Bytes::from_static(MARKER.as_bytes()),
    }
}

fn event() -> Event {
    Event {
        key: EventKey { source: "shop".into(), id: "evt_1".into() },
        provider: "stripe".into(),
        event_type: "a.b".into(),
        delivery_id: None,
        subject: None,
        occurred_at: None,
        received_at: at(0),
        traceparent: None,
        payload: payload(),
        headers: BTreeMap::from([("x-note".into(), MARKER.into())]),
    }
}

/// Signature, query and body, all of them marked.
fn request() -> Request {
    let headers: HeaderMap =
        [(http::header::AUTHORIZATION, MARKER.parse().expect("a value"))].into_iter().collect();
    Request::new(Method::POST, MARKER.into(), headers, Bytes::from_static(MARKER.as_bytes()))
        .with_public_urls([format!("https://user:{MARKER}@a.example")])
}

#[test]
fn secrets_show_nothing() {
    let json = format!(r#"{{"signing_secrets":["{MARKER}"],"other":"{MARKER}"}}"#);
    let bundle = SecretBundle::parse(&json).expect("a bundle");
    shows_nothing(&Secret::new(MARKER.into()));
    shows_nothing(&MemorySecrets::new(Ok(bundle.clone())));
    shows_nothing(&bundle);
    let version = SecretVersion { id: "v".into(), text: Some(Zeroizing::new(json.clone())) };
    shows_nothing(&version);
    shows_nothing(&StoredSecret { current: Some(version), changed_at: None });
    shows_nothing(&SecretBundle::parse(MARKER).expect("one signing secret"));
    for broken in [format!("\"{MARKER}\""), format!("[{json}]"), format!(r#"{{"{MARKER}":1}}"#)] {
        shows_nothing(&SecretBundle::parse(&broken).expect_err("no bundle"));
    }
}

#[test]
fn requests_show_nothing_before_they_are_verified_and_after() {
    let stripe = providers::find("stripe").expect("registered");
    let secrets = SecretBundle::of(vec![Secret::new(MARKER.into())]).expect("a bundle");
    shows_nothing(&request());
    shows_nothing(&request().verify(stripe.as_ref(), &secrets, at(0)).expect_err("unsigned"));

    let unsigned = Unsigned {
        url: "",
        content_type: "application/json",
        body: MARKER.as_bytes(),
        id: "",
        event_type: "",
        now: at(0),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in stripe.sign(&unsigned, &Secret::new(MARKER.into())) {
        let name = http::HeaderName::try_from(name).expect("a name");
        headers.insert(name, value.parse().expect("a value"));
    }
    let body = Bytes::from_static(MARKER.as_bytes());
    let signed = Request::new(Method::POST, MARKER.into(), headers, body);
    shows_nothing(&signed.verify(stripe.as_ref(), &secrets, at(0)).expect("signed"));

    // What cannot be read as an event of the gateway is told without its content.
    for json in [
        format!(r#"{{"body":"{MARKER}"}}"#),
        format!(
            r#"{{"body":"{MARKER}","isBase64Encoded":true,"requestContext":{{"http":{{"method":"POST"}}}}}}"#
        ),
    ] {
        match serde_json::from_str::<GatewayEvent>(&json) {
            Ok(event) => shows_nothing(&event.into_request().expect_err("no base64")),
            Err(fault) => shows_nothing(&fault),
        }
    }
}

#[tokio::test]
async fn events_records_and_messages_show_no_payload() {
    let new = NewEvent {
        event: event(),
        request_id: "request-1".into(),
        due_at: at(900),
        expires_at: at(100_000),
    };
    shows_nothing(&payload());
    shows_nothing(&event());
    shows_nothing(&Identity { payload: Some(payload()), ..Identity::default() });
    shows_nothing(&Record::claimed(&new));
    shows_nothing(&new);
    let ledger = MemoryLedger::default();
    inbox_core::ledger::Ledger::claim(&ledger, &new).await.expect("a claim");
    shows_nothing(&ledger);

    let letter = DeadLetter::unreadable(MARKER.into(), "no message of this inbox");
    shows_nothing(&letter);
    let queue = MemoryQueue::default();
    queue.send_dead(&letter).await.expect("sent");
    shows_nothing(&queue);
    let (id, receipt_handle) = ("m".into(), "r".into());
    let body = MARKER.into();
    shows_nothing(&Message { id, receipt_handle, body, receives: 1, from_lane: false });
    shows_nothing(&ReceivedLetter {
        message_id: "m".into(),
        receipt_handle: "r".into(),
        body: MARKER.into(),
        attributes: BTreeMap::new(),
        sent_at: None,
        receives: None,
        moved_from: None,
    });
    let delivery = Delivery::fixture("stripe", "payment_intent_succeeded.json", MARKER);
    shows_nothing(&delivery.expect("a fixture").with_body(MARKER));
}
