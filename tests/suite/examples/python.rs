//! `publish-python`: gets what its rule asks for, in each form, and keeps it once.

use std::collections::BTreeMap;
use std::time::Instant;

use inbox_local::Delivery;
use inbox_local::functions::ControlPlane;
use inbox_local::subscribers::Payments;
use serde_json::json;

use super::{WITHIN, finished, payment, send, stack};
use crate::e2e::large::enlarged;

async fn kept(payments: &Payments, count: usize) -> BTreeMap<String, String> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let kept = payments.kept().await.expect("an answer");
        if kept.len() >= count {
            return kept;
        }
        assert!(Instant::now() < deadline, "{kept:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_subscriber_of_the_bus_keeps_each_payment_once_however_large_its_event() {
    let routes = json!([{ "id": "bus", "match": "stripe:*", "handler": "publish" }]);
    let stack = stack("python", routes).await;
    let payments =
        Payments::subscribe(stack.description(), "payments").await.expect("a subscriber");

    // What the rule does not ask for comes first, so that it would be there by the end.
    let secret = &stack.description().secrets["stripe"][0];
    let failed = Delivery::fixture("stripe", "payment_intent_payment_failed.json", secret);
    send(&stack, &failed.expect("a fixture")).await;
    send(&stack, &payment(&stack, "evt_small")).await;
    // EventBridge takes 1 MB: this one goes as a reference to the bucket.
    let large = enlarged(payment(&stack, "evt_large"), 1_200_000).replacing("4200", "990000");
    send(&stack, &large).await;
    let expected = BTreeMap::from([
        ("/webhooks/stripe#evt_small".to_owned(), "4200 eur".to_owned()),
        ("/webhooks/stripe#evt_large".to_owned(), "990000 eur".to_owned()),
    ]);
    assert_eq!(kept(&payments, 2).await, expected);
    for id in ["evt_small", "evt_large"] {
        let record = finished(&stack, id).await;
        assert_eq!((record.state.as_str(), record.attempts), ("done", 1), "{record:?}");
    }

    // The bus may hand it over again, and its first write stands.
    let again = json!({ "detail": {
        "id": "evt_small", "source": "/webhooks/stripe", "time": "2026-01-01T00:00:00Z",
        "data": { "data": { "object": { "id": "pi_test_1", "amount": 1, "currency": "eur" } } },
    }});
    let control = ControlPlane::new(&stack.description().endpoint_url);
    control.invoke(&payments.name, &again).await.expect("an answer");
    // Base64, for what is not JSON by its type.
    let encoded = json!({ "detail": {
        "id": "evt_encoded", "source": "/webhooks/stripe", "time": "2026-01-01T00:00:00Z",
        "data_base64": "eyJkYXRhIjp7Im9iamVjdCI6eyJpZCI6InBpIiwiYW1vdW50Ijo3LCJjdXJyZW5jeSI6ImV1ciJ9fX0=",
    }});
    control.invoke(&payments.name, &encoded).await.expect("an answer");
    let mut expected = expected;
    expected.insert("/webhooks/stripe#evt_encoded".to_owned(), "7 eur".to_owned());
    assert_eq!(payments.kept().await.expect("an answer"), expected);
    stack.stop().await;
}
