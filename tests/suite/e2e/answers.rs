//! The table of answers, by HTTP: status, body and headers of each.

use bytes::Bytes;
use http::Response;
use inbox_core::Timestamp;
use inbox_local::Delivery;

use super::stack::{Stack, header, key, unique};

fn assert_refused(answer: &Response<Bytes>, status: u16, error: &str) {
    assert_eq!(answer.status(), status, "{error}");
    assert_eq!(answer.body(), &format!(r#"{{"error":"{error}"}}"#));
    assert_eq!(header(answer, "content-type"), Some("application/json"));
    for name in ["x-inbox-status", "x-inbox-id", "retry-after"] {
        assert_eq!(header(answer, name), None, "{error}");
    }
}

/// The name of each provider's signature header, and a fixture.
const PROVIDERS: [(&str, &str, &str); 4] = [
    ("github", "push.json", "X-Hub-Signature-256"),
    ("standard_webhooks", "user_created.json", "webhook-signature"),
    ("stripe", "payment_intent_succeeded.json", "Stripe-Signature"),
    ("twilio", "message_inbound.form", "X-Twilio-Signature"),
];

async fn posted(stack: &Stack, delivery: &Delivery, headers: &[(&str, String)]) -> Response<Bytes> {
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    stack.request("POST", &delivery.path(), &headers, delivery.body.clone()).await
}

#[tokio::test]
async fn a_missing_signature_is_answered_400_by_every_provider() {
    let stack = Stack::shared().await;
    for (provider, file, signature) in PROVIDERS {
        let delivery = stack.fixture(provider, file);
        let mut headers = delivery.headers(&stack.description().public_base_url);
        headers.retain(|(name, _)| *name != signature);
        let answer = posted(&stack, &delivery, &headers).await;
        assert_refused(&answer, 400, "missing_signature");
    }
}

#[tokio::test]
async fn a_malformed_signature_is_answered_400_by_every_provider_whatever_its_length() {
    let stack = Stack::shared().await;
    for (provider, file, signature) in PROVIDERS {
        let delivery = stack.fixture(provider, file);
        for wrong in ["?".to_owned(), "s".repeat(64 * 1024)] {
            let mut headers = delivery.headers(&stack.description().public_base_url);
            headers.retain(|(name, _)| *name != signature);
            headers.push((signature, wrong));
            let answer = posted(&stack, &delivery, &headers).await;
            assert_refused(&answer, 400, "malformed_signature");
        }
    }
}

#[tokio::test]
async fn a_forged_request_is_answered_401_by_every_provider_and_leaves_nothing() {
    let stack = Stack::shared().await;
    for (provider, file, _) in PROVIDERS {
        let other = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCEh";
        let forged = stack.fixture(provider, file).signed_with(other);
        let answer = stack.send(&forged).await;
        assert_refused(&answer, 401, "signature_mismatch");
        assert_eq!(stack.record(&key(provider, &forged.id)).await, None);
    }
    // One byte more than was signed.
    let id = unique("evt_");
    let signed =
        stack.fixture("stripe", "payment_intent_succeeded.json").replacing("evt_test_1", &id);
    let headers = signed.headers(&stack.description().public_base_url);
    let altered = signed.clone().with_body([signed.body.as_ref(), b" "].concat());
    assert_refused(&posted(&stack, &altered, &headers).await, 401, "signature_mismatch");
    assert_eq!(stack.record(&key("stripe", &id)).await, None);
}

#[tokio::test]
async fn a_stale_request_is_answered_401_and_one_within_the_tolerance_is_let_in() {
    let stack = Stack::shared().await;
    for (provider, file) in
        [("stripe", "payment_intent_succeeded.json"), ("standard_webhooks", "user_created.json")]
    {
        for (offset, status) in [(-400, 401), (-200, 200), (200, 200), (400, 401)] {
            let moment = Timestamp::from_unix_seconds(Timestamp::now().unix_seconds() + offset);
            let mut delivery = stack.fixture(provider, file).signed_at(moment.expect("a moment"));
            if provider == "stripe" {
                delivery = delivery.replacing("evt_test_1", &unique("evt_"));
            }
            let answer = stack.send(&delivery).await;
            assert_eq!(answer.status(), status, "{provider} {offset}");
            if status == 401 {
                assert_refused(&answer, 401, "stale_timestamp");
            }
        }
    }
}

#[tokio::test]
async fn another_method_is_answered_405_with_the_one_that_is_allowed() {
    let stack = Stack::shared().await;
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let answer = stack.request(method, "/webhooks/stripe", &[], "").await;
        assert_refused(&answer, 405, "method_not_allowed");
        assert_eq!(header(&answer, "allow"), Some("POST"));
    }
}

#[tokio::test]
async fn an_unknown_source_is_answered_404_by_the_gateway() {
    let stack = Stack::shared().await;
    for path in ["/webhooks/nobody", "/webhooks/stripe/x", "/webhooks", "/"] {
        let answer = stack.request("POST", path, &[], "{}").await;
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.body(), r#"{"message":"Not Found"}"#);
    }
}

#[tokio::test]
async fn a_repeat_is_answered_200_and_called_a_duplicate() {
    let stack = Stack::shared().await;
    let id = unique("evt_");
    let delivery =
        stack.fixture("stripe", "payment_intent_succeeded.json").replacing("evt_test_1", &id);
    for status in ["accepted", "duplicate", "duplicate"] {
        let answer = stack.send(&delivery).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.body().as_ref(), b"");
        match status {
            "accepted" => stack.assert_accepted(&answer),
            status => assert_eq!(header(&answer, "x-inbox-status"), Some(status)),
        }
        assert_eq!(header(&answer, "x-inbox-id"), Some(id.as_str()));
        stack.ended(&key("stripe", &id)).await;
    }
    assert_eq!(stack.ended(&key("stripe", &id)).await.attempts, 1);
}
