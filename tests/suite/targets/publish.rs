//! `publish`: what arrives, in how many calls, and what a failed entry does to others.

use futures_util::future::join_all;
use inbox_core::event::Event;
use inbox_core::handler::HandlerError;
use inbox_local::calls::Fault;
use serde_json::{Value, json};

use super::{World, event, handle, json_of, made};

fn events(count: usize) -> Vec<Event> {
    (0..count).map(|number| event(&format!("evt_{number:02}"), "{}")).collect()
}

fn ids(details: &[Value]) -> Vec<&str> {
    let mut ids: Vec<&str> = details.iter().filter_map(|it| it["detail"]["id"].as_str()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn an_event_arrives_at_a_rules_target_as_the_cloudevent() {
    let world = World::new().await;
    let queue = made::queue(&world.bed, "subscriber").await;
    let bus = made::bus(&world.bed, &queue).await;
    let publish = world.handler("publish", &json!({ "bus": bus }));
    let event = event("evt_1", r#"{"amount":1200,"name":"Zoë \ud83d\ude00"}"#);
    assert_eq!(handle(&publish, &event).await, Ok(()));

    let [arrived] = &world.bodies(&queue).await[..] else { panic!("not one message") };
    assert_eq!(arrived["source"], "webhooks.stripe_eu");
    assert_eq!(arrived["detail-type"], "stripe.payment_intent.succeeded");
    assert_eq!(arrived["detail"], json_of(&event.to_cloudevent()));

    // The emulator keeps neither.
    let call = world.proxy.calls().remove(0).json();
    let entry = &call["Entries"][0];
    assert_eq!(entry["Time"].as_f64(), Some(1_763_999_990.0));
    let trace = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";
    assert_eq!(entry["TraceHeader"], trace);
    assert_eq!(entry["Detail"], event.to_cloudevent(), "byte for byte");
}

#[tokio::test]
async fn twenty_five_events_at_once_are_three_calls() {
    let world = World::new().await;
    let queue = made::queue(&world.bed, "subscriber").await;
    let bus = made::bus(&world.bed, &queue).await;
    let publish = world.handler("publish", &json!({ "bus": bus }));
    let events = events(25);
    let outcomes = join_all(events.iter().map(|event| handle(&publish, event))).await;
    assert_eq!(outcomes, vec![Ok(()); 25]);
    assert_eq!(world.proxy.count("events", "PutEvents"), 3);
    let arrived = world.bodies(&queue).await;
    let sent: Vec<&str> = events.iter().map(|event| event.key.id.as_str()).collect();
    assert_eq!(ids(&arrived), sent);
}

#[tokio::test]
async fn an_entry_that_fails_fails_alone() {
    let world = World::new().await;
    let publish = world.handler("publish", &json!({ "bus": "default" }));
    let body = json!({ "FailedEntryCount": 2, "Entries": [
        { "EventId": "1" },
        { "ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded for Jane" },
        { "EventId": "3" },
        { "ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed." },
    ] });
    world.proxy.fail_next("events", "PutEvents", 1, Fault::Answer { status: 200, body });
    let mut events = events(4);
    events[1].payload.bytes = r#"{"name":"Jane"}"#.into();
    let outcomes = join_all(events.iter().map(|event| handle(&publish, event))).await;
    assert_eq!(
        outcomes,
        [
            Ok(()),
            Err(HandlerError::retry("PutEvents: ThrottlingException")),
            Ok(()),
            Err(HandlerError::permanent("PutEvents: MalformedDetail")),
        ]
    );
    assert_eq!(world.proxy.count("events", "PutEvents"), 1);
    assert_eq!(handle(&publish, &events[1]).await, Ok(()), "the next attempt");
}

#[tokio::test]
async fn a_call_that_is_refused_for_one_entry_does_not_take_the_others_along() {
    let world = World::new().await;
    let publish = world.handler("publish", &json!({ "bus": "default" }));
    world.proxy.set_hook(|call| {
        let is_bad = String::from_utf8_lossy(&call.body).contains("evt_01");
        if is_bad { Fault::status(400, "ValidationException") } else { Fault::None }
    });
    let events = events(3);
    let outcomes = join_all(events.iter().map(|event| handle(&publish, event))).await;
    let refused = Err(HandlerError::permanent("PutEvents: ValidationException"));
    assert_eq!(outcomes, [Ok(()), refused, Ok(())]);
    assert_eq!(world.proxy.count("events", "PutEvents"), 4, "together, then each alone");
}

#[tokio::test]
async fn what_somebody_can_mend_is_tried_again() {
    let world = World::new().await;
    let publish = world.handler("publish", &json!({ "bus": "default" }));
    let fault = Fault::status(400, "AccessDeniedException");
    world.proxy.fail_next("events", "PutEvents", 1, fault);
    let denied = "PutEvents: AccessDeniedException";
    let outcome = handle(&publish, &event("evt_1", "{}")).await;
    assert_eq!(outcome, Err(HandlerError::retry(denied)));
}
