//! `enqueue`: queues and topics, plain and FIFO.

use aws_sdk_sqs::types::MessageSystemAttributeName;
use inbox_core::event::Event;
use inbox_core::handler::{Handled, HandlerError, Run};
use inbox_local::calls::Fault;
use serde_json::json;

use super::{World, event, handle, json_of, made, run};

#[tokio::test]
async fn a_queue_gets_the_cloudevent_with_its_source_and_type() {
    let world = World::new().await;
    let queue = made::queue(&world.bed, "target").await;
    let enqueue = world.handler("enqueue", &json!({ "queue_url": queue }));
    let event = event("evt_1", r#"{"a": 1.0e2, "b":"\u001B Zoë"}"#);
    assert_eq!(handle(&enqueue, &event).await, Ok(()));

    let [message] = &world.received(&queue).await[..] else { panic!("not one message") };
    assert_eq!(message.body(), Some(event.to_cloudevent().as_str()), "byte for byte");
    let attribute = |name: &str| message.message_attributes()?.get(name)?.string_value();
    assert_eq!(attribute("source"), Some("/webhooks/stripe_eu"));
    assert_eq!(attribute("type"), Some("stripe.payment_intent.succeeded"));
}

#[tokio::test]
async fn characters_that_sqs_refuses_arrive_all_the_same() {
    let world = World::new().await;
    let queue = made::queue(&world.bed, "target").await;
    let enqueue = world.handler("enqueue", &json!({ "queue_url": queue }));
    let payload = "{\"text\":\"a\u{FFFE}b\u{FFFF}c\"}";
    assert_eq!(handle(&enqueue, &event("evt_1", payload)).await, Ok(()));
    let [body] = &world.bodies(&queue).await[..] else { panic!("not one message") };
    assert_eq!(body["data"], json_of(payload));
}

#[tokio::test]
async fn a_topics_subscribers_get_what_their_filter_policy_asks_for() {
    let world = World::new().await;
    let topic = made::topic(&world.bed, "topic").await;
    let (payments, charges) =
        (made::queue(&world.bed, "payments").await, made::queue(&world.bed, "charges").await);
    let policy =
        r#"{"type":[{"prefix":"stripe.payment_intent."}],"source":["/webhooks/stripe_eu"]}"#;
    made::subscribe(&world.bed, &topic, &payments, policy).await;
    let policy = r#"{"type":[{"prefix":"stripe.charge."}]}"#;
    made::subscribe(&world.bed, &topic, &charges, policy).await;
    let enqueue = world.handler("enqueue", &json!({ "topic_arn": topic }));
    let payment = event("evt_1", r#"{"amount":1}"#);
    let charge = Event { event_type: "charge.failed".into(), ..event("evt_2", "{}") };
    assert_eq!(handle(&enqueue, &payment).await, Ok(()));
    assert_eq!(handle(&enqueue, &charge).await, Ok(()));
    assert_eq!(world.bodies(&payments).await, [json_of(&payment.to_cloudevent())]);
    assert_eq!(world.bodies(&charges).await, [json_of(&charge.to_cloudevent())]);
}

#[tokio::test]
async fn a_fifo_queue_takes_a_repetition_once_and_a_replay_again() {
    let world = World::new().await;
    let queue = made::queue(&world.bed, "target.fifo").await;
    let enqueue = world.handler("enqueue", &json!({ "queue_url": queue }));
    let event = event("evt_1", "{}");
    // Every answer but the last is lost, so that the SDK and the ledger repeat it.
    world.proxy.fail_next("sqs", "SendMessage", 1, Fault::DropReply);
    for attempt in 1..=2 {
        let run = Run { attempt, ..run() };
        assert_eq!(enqueue.handle(&event, &run).await, Ok(Handled::Done));
    }
    assert_eq!(world.proxy.count("sqs", "SendMessage"), 3);
    let [message] = &world.received(&queue).await[..] else { panic!("not one message") };
    let attributes = message.attributes().expect("attributes");
    assert_eq!(attributes[&MessageSystemAttributeName::MessageGroupId], "stripe_eu");
    assert_eq!(attributes[&MessageSystemAttributeName::MessageDeduplicationId].len(), 64);

    let replayed = Run { life: 2, ..run() };
    assert_eq!(enqueue.handle(&event, &replayed).await, Ok(Handled::Done));
    assert_eq!(world.received(&queue).await.len(), 1, "what an operator asks for is no repetition");
}

#[tokio::test]
async fn a_fifo_topic_takes_a_repetition_once() {
    let world = World::new().await;
    let topic = made::topic(&world.bed, "topic.fifo").await;
    let queue = made::queue(&world.bed, "subscriber.fifo").await;
    made::subscribe(&world.bed, &topic, &queue, r#"{"source":["/webhooks/stripe_eu"]}"#).await;
    let enqueue = world.handler("enqueue", &json!({ "topic_arn": topic }));
    for attempt in 1..=2 {
        let run = Run { attempt, ..run() };
        assert_eq!(enqueue.handle(&event("evt_1", "{}"), &run).await, Ok(Handled::Done));
    }
    assert_eq!(world.bodies(&queue).await.len(), 1);
}

#[tokio::test]
async fn what_can_never_pass_is_given_up_and_everything_else_is_tried_again() {
    let world = World::new().await;
    let queue = made::queue(&world.bed, "target").await;
    let enqueue = world.handler("enqueue", &json!({ "queue_url": queue }));
    let event = event("evt_1", "{}");
    let fault = Fault::status(400, "InvalidMessageContents");
    world.proxy.fail_next("sqs", "SendMessage", 1, fault);
    let reason = "SendMessage: InvalidMessageContents";
    assert_eq!(handle(&enqueue, &event).await, Err(HandlerError::permanent(reason)));
    let fault = Fault::status(403, "AccessDenied");
    world.proxy.fail_next("sqs", "SendMessage", 1, fault);
    let reason = "SendMessage: AccessDenied";
    assert_eq!(handle(&enqueue, &event).await, Err(HandlerError::retry(reason)));

    let gone = world
        .handler("enqueue", &json!({ "topic_arn": "arn:aws:sns:us-east-1:000000000000:gone" }));
    let Err(HandlerError::Retry { reason, .. }) = handle(&gone, &event).await else {
        panic!("not tried again")
    };
    assert!(reason.text().starts_with("Publish: NotFound"), "{reason}");
}

#[tokio::test]
async fn a_queue_and_a_topic_that_do_not_answer_are_left_alone_for_a_while() {
    let world = World::new().await;
    let queue = json!({ "queue_url": made::queue(&world.bed, "target").await });
    let topic = json!({ "topic_arn": made::topic(&world.bed, "topic").await });
    for with in [queue, topic] {
        let enqueue = world.handler("enqueue", &with);
        world.proxy.set_hook(|_| Fault::DropBefore);
        for attempt in 1..=5 {
            let failed = handle(&enqueue, &event("evt_1", "{}")).await;
            assert!(matches!(failed, Err(HandlerError::Retry { .. })), "{attempt}: {failed:?}");
        }
        world.proxy.clear_hook();
        let _ = world.proxy.take_calls();
        let failed = handle(&enqueue, &event("evt_1", "{}")).await;
        assert!(matches!(failed, Err(HandlerError::NotTried { .. })), "{with}: {failed:?}");
        assert_eq!(world.proxy.take_calls().len(), 0, "{with}: nothing was sent");
    }
}
