//! The main job, through the front door: verified, claimed, queued, handled.

use std::sync::Arc;

use inbox_core::ledger::State;
use inbox_local::Delivery;

use super::stack::{STRIPE_EU_SECRET, Stack, header, key, unique};

/// A payment with ids of its own.
fn payment(stack: &Stack) -> (Delivery, String, String) {
    let (event, object) = (unique("evt_"), unique("pi_"));
    let delivery = stack
        .fixture("stripe", "payment_intent_succeeded.json")
        .replacing("evt_test_1", &event)
        .replacing("pi_test_1", &object);
    (delivery, event, object)
}

#[tokio::test]
async fn a_stripe_event_is_accepted_handled_once_and_mirrored() {
    let stack = Stack::shared().await;
    let (delivery, event, object) = payment(&stack);
    let answer = stack.send(&delivery).await;
    assert_eq!(answer.status(), 200);
    stack.assert_accepted(&answer);
    assert_eq!(header(&answer, "x-inbox-id"), Some(event.as_str()));
    assert_eq!(answer.body().as_ref(), b"");

    let record = stack.ended(&key("stripe", &event)).await;
    assert_eq!((record.state, record.life, record.attempts), (State::Done, 1, 1));
    assert_eq!(record.event.payload.bytes, delivery.body);
    assert_eq!(record.event.event_type, "payment_intent.succeeded");
    assert_eq!(record.event.subject.as_deref(), Some(object.as_str()));
    let names: Vec<&str> = record.event.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["content-type", "user-agent"], "never the signature");
    let row = stack.mirrored("stripe", "payment_intent", &object).await.expect("a row");
    assert_eq!(row.status.as_deref(), Some("succeeded"));
    assert_eq!(row.event_id, event);
}

#[tokio::test]
async fn a_github_push_and_a_ping_are_accepted_and_the_mirror_holds_the_head() {
    let stack = Stack::shared().await;
    let branch = unique("refs/heads/");
    let push = stack.fixture("github", "push.json").replacing("refs/heads/main", &branch);
    let ping = stack.fixture("github", "ping.json");
    for delivery in [&push, &ping] {
        let answer = stack.send(delivery).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "x-inbox-id"), Some(delivery.id.as_str()));
        let record = stack.ended(&key("github", &delivery.id)).await;
        assert_eq!((record.state, record.attempts), (State::Done, 1));
        assert_eq!(record.event.event_type, delivery.event_type);
    }
    let object = format!("example-org/widgets:{branch}");
    let row = stack.mirrored("github", "ref", &object).await.expect("a row");
    assert_eq!(row.status.as_deref(), Some("updated"));
    let body: serde_json::Value = serde_json::from_str(&row.body.expect("a body")).expect("JSON");
    assert_eq!(body["head"], "3333333333333333333333333333333333333333");
}

#[tokio::test]
async fn twilio_gets_the_answers_that_it_wants_and_a_status_never_goes_backwards() {
    let stack = Stack::shared().await;
    let sid = unique("SM");
    let of = |file: &str, from: &str| stack.fixture("twilio", file).replacing(from, &sid);
    let one = "SM11111111111111111111111111111111";
    for file in ["message_status_delivered.form", "message_status_sent.form"] {
        let answer = stack.send(&of(file, one)).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.body().as_ref(), b"");
        stack.assert_accepted(&answer);
        let id = header(&answer, "x-inbox-id").expect("an id");
        assert_eq!(stack.ended(&key("twilio", id)).await.state, State::Done);
    }
    let row = stack.mirrored("twilio", "message", &sid).await.expect("a row");
    assert_eq!(row.status.as_deref(), Some("delivered"));

    let sid = unique("SM");
    let inbound = stack
        .fixture("twilio", "message_inbound.form")
        .replacing("SM22222222222222222222222222222222", &sid);
    let answer = stack.send(&inbound).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "content-type"), Some("text/xml"));
    assert_eq!(answer.body().as_ref(), br#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#);
    let id = header(&answer, "x-inbox-id").expect("an id");
    let record = stack.ended(&key("twilio", id)).await;
    assert_eq!(record.event.payload.bytes, inbound.body);
    assert_eq!(record.event.event_type, "message.received");
}

#[tokio::test]
async fn a_standard_webhook_is_accepted_handled_once_and_mirrored() {
    let stack = Stack::shared().await;
    let user = unique("user_");
    let delivery =
        stack.fixture("standard_webhooks", "user_created.json").replacing("user_test_1", &user);
    let answer = stack.send(&delivery).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "x-inbox-id"), Some(delivery.id.as_str()));
    let record = stack.ended(&key("standard_webhooks", &delivery.id)).await;
    assert_eq!((record.state, record.attempts), (State::Done, 1));
    assert_eq!(record.event.payload.bytes, delivery.body);
    let row = stack.mirrored("standard_webhooks", "user", &user).await.expect("a row");
    assert_eq!(row.event_type, "user.created");
}

#[tokio::test]
async fn two_sources_of_one_provider_have_secrets_and_events_of_their_own() {
    let stack = Stack::shared().await;
    let (ours, event, object) = payment(&stack);
    let theirs = ours.clone().signed_with(STRIPE_EU_SECRET);
    for (delivery, source, status) in [
        (&theirs, "stripe", 401),
        (&ours, "stripe_eu", 401),
        (&theirs, "stripe_eu", 200),
        (&ours, "stripe", 200),
    ] {
        let answer = stack.send(&delivery.clone().to(source)).await;
        assert_eq!(answer.status(), status, "{source}");
    }
    for source in ["stripe", "stripe_eu"] {
        assert_eq!(stack.ended(&key(source, &event)).await.attempts, 1);
        assert!(stack.mirrored(source, "payment_intent", &object).await.is_some());
    }
}

#[tokio::test]
async fn fifty_deliveries_of_one_event_at_the_same_moment_are_handled_once() {
    let stack = Arc::new(Stack::alone().await);
    let (delivery, event, object) = payment(&stack);
    let sending: Vec<_> = (0..50)
        .map(|_| {
            let (stack, delivery) = (Arc::clone(&stack), delivery.clone());
            tokio::spawn(async move { stack.send(&delivery).await })
        })
        .collect();
    let mut accepted = 0;
    for sent in sending {
        let answer = sent.await.expect("a task");
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "x-inbox-id"), Some(event.as_str()));
        match header(&answer, "x-inbox-status") {
            Some("accepted") => accepted += 1,
            status => assert_eq!(status, Some("duplicate")),
        }
    }
    // One claims it. On a busy machine it may have been too slow to be answered,
    // and the delivery that followed is a duplicate.
    let claimed = stack.calls_about("PutItem", &format!("stripe#{event}"));
    assert!(accepted <= 1 && claimed <= 1, "{accepted} accepted, {claimed} claimed");

    let record = stack.ended(&key("stripe", &event)).await;
    assert_eq!((record.state, record.attempts), (State::Done, 1));
    assert_eq!(record.history, []);
    // The handler's own write, which names the object: one, whatever was sent.
    let row = stack.mirrored("stripe", "payment_intent", &object).await.expect("a row");
    assert_eq!(row.event_id, event);
    assert_eq!(stack.calls_about("PutItem", &format!("payment_intent#{object}")), 1);
}

#[tokio::test]
async fn an_event_fails_twice_and_is_done_and_another_ends_in_the_dead_letter_queue() {
    let stack = Stack::shared().await;
    let (twice, always) = (unique("evt_"), unique("evt_"));
    let invoice =
        stack.fixture("stripe", "invoice_payment_failed.json").replacing("evt_test_6", &twice);
    let dispute =
        stack.fixture("stripe", "charge_dispute_created.json").replacing("evt_test_5", &always);
    for delivery in [&invoice, &dispute] {
        assert_eq!(stack.send(delivery).await.status(), 200);
    }
    let record = stack.ended(&key("stripe", &twice)).await;
    assert_eq!((record.state, record.attempts), (State::Done, 3));
    let record = stack.ended(&key("stripe", &always)).await;
    assert_eq!((record.state, record.attempts), (State::Dead, 3));

    let received = stack
        .sqs()
        .receive_message()
        .queue_url(&stack.description().dlq_url)
        .max_number_of_messages(10)
        .send()
        .await
        .expect("an answer");
    let bodies = received.messages.unwrap_or_default();
    let about = bodies.iter().filter(|it| it.body().is_some_and(|body| body.contains(&always)));
    assert_eq!(about.count(), 1);
    assert!(record.is_done("mirror") && !record.is_done("always"));
}
