//! What an endpoint is sent.

use inbox_core::event::HEADER_HOPS;
use inbox_core::secrets::Secret;
use inbox_core::standard_webhooks;

use super::endpoint::{Received, says};
use super::*;

/// Name and value of every header, but the signature, in order of names.
fn headers(received: &Received) -> Vec<String> {
    let mut lines: Vec<String> = received
        .headers
        .iter()
        .filter(|(name, _)| !name.ends_with("webhook-signature"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    lines.sort();
    lines
}

fn signature(received: &Received, at: Timestamp) -> String {
    let keys = SECRETS.map(|text| Secret::new(text.into()));
    standard_webhooks::sign(received.header("webhook-id"), at, &received.body, &keys)
}

#[tokio::test]
async fn the_whole_event_is_posted_and_signed_by_both_keys() {
    let endpoint = Endpoint::always(says(204, "")).await;
    let event = event(at(0));
    assert_eq!(Route::to(&endpoint, &json!({})).attempt(&event, 1).await, Ok(()));

    let [received] = &endpoint.received()[..] else { panic!("one request") };
    assert_eq!(received.line, "POST /hooks HTTP/1.1");
    assert_eq!(String::from_utf8_lossy(&received.body), event.to_cloudevent());
    assert_eq!(
        headers(received),
        [
            "accept: */*".to_owned(),
            format!("content-length: {}", received.body.len()),
            "content-type: application/cloudevents+json".to_owned(),
            format!("host: 127.0.0.1:{}", endpoint.port),
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            format!("user-agent: webhook-inbox/{}", env!("CARGO_PKG_VERSION")),
            "webhook-id: msg_9bb8bce5d0e4b553d306065993a5bd13".to_owned(),
            "webhook-timestamp: 1764000000".to_owned(),
            "x-inbox-hops: 1".to_owned(),
        ]
    );
    let expected = signature(received, at(0));
    assert_eq!(received.header("webhook-signature"), expected);
    assert_eq!(expected.matches("v1,").count(), 2);
}

#[tokio::test]
async fn in_binary_mode_the_providers_very_bytes_are_posted() {
    let endpoint = Endpoint::always(says(200, "thanks")).await;
    let mut event = with_payload("text/plain; charset=utf-8", "Grüße\r\n\u{1F600}");
    event.subject = Some("Müller & Söhne".into());
    let options = json!({"mode": "binary", "x_webhook_headers": true});
    assert_eq!(Route::to(&endpoint, &options).attempt(&event, 1).await, Ok(()));

    let [received] = &endpoint.received()[..] else { panic!("one request") };
    assert_eq!(received.body, "Grüße\r\n\u{1F600}".as_bytes());
    for (name, value) in [
        ("content-type", "text/plain; charset=utf-8"),
        ("ce-specversion", "1.0"),
        ("ce-id", "evt_1"),
        ("ce-source", "/webhooks/stripe_eu"),
        ("ce-type", "stripe.payment_intent.succeeded"),
        ("ce-subject", "M%C3%BCller%20&%20S%C3%B6hne"),
        ("ce-deliveryid", "whd_1"),
        ("ce-time", "2025-11-24T15:59:50.000Z"),
        ("ce-receivedat", "2025-11-24T16:00:00.123Z"),
        ("x-webhook-id", received.header("webhook-id")),
        ("x-webhook-timestamp", received.header("webhook-timestamp")),
        ("x-webhook-signature", received.header("webhook-signature")),
    ] {
        assert_eq!(received.header(name), value, "{name}");
    }
    assert_eq!(received.header("webhook-signature"), signature(received, at(0)));
}

#[tokio::test]
async fn each_attempt_has_the_same_id_and_a_signature_of_its_own() {
    let endpoint = Endpoint::always(says(500, "")).await;
    let (route, event) = (Route::to(&endpoint, &json!({})), event(at(0)));
    for (attempt, seconds) in [(1, 0), (2, 60), (3, 3600)] {
        route.set_clock(seconds);
        assert!(route.attempt(&event, attempt).await.is_err());
    }
    let received = endpoint.received();
    for (request, seconds) in received.iter().zip([0, 60, 3600]) {
        assert_eq!(request.header("webhook-id"), received[0].header("webhook-id"));
        let timestamp = at(seconds).unix_seconds().to_string();
        assert_eq!(request.header("webhook-timestamp"), timestamp);
        assert_eq!(request.header("webhook-signature"), signature(request, at(seconds)));
    }
    assert_eq!(received.len(), 3);
}

#[tokio::test]
async fn hops_are_counted_from_inbox_to_inbox() {
    let endpoint = Endpoint::always(says(200, "")).await;
    let route = Route::to(&endpoint, &json!({}));
    let mut event = event(at(0));
    event.headers.insert(HEADER_HOPS.into(), "4".into());
    assert_eq!(route.attempt(&event, 1).await, Ok(()));
    assert_eq!(endpoint.received()[0].header(HEADER_HOPS), "5");
    event.headers.insert(HEADER_HOPS.into(), "5".into());
    assert!(matches!(route.attempt(&event, 1).await, Err(HandlerError::Permanent { .. })));
    assert_eq!(endpoint.received().len(), 1);
}

/// One client for all of them, which reads the root certificates once.
#[tokio::test]
async fn routes_share_a_client_and_its_connections() {
    let endpoint = Endpoint::always(says(200, "thanks")).await;
    let (http, event) = (HttpClients::default(), event(at(0)));
    for _ in 0..32 {
        let route = Route::by(&http, &endpoint.url(), &json!({}));
        assert_eq!(route.attempt(&event, 1).await, Ok(()));
    }
    assert_eq!((endpoint.received().len(), endpoint.connections()), (32, 1));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let endpoint = Endpoint::always(says(200, "thanks")).await;
    let (route, event) = (Route::to(&endpoint, &json!({})), event(at(0)));
    for _ in 0..5 {
        assert_eq!(route.attempt(&event, 1).await, Ok(()));
    }
    assert_eq!((endpoint.received().len(), endpoint.connections()), (5, 1));
}
