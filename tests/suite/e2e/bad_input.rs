//! Bodies of every kind: none, not text, not JSON, and the largest that an item
//! holds.

use inbox_core::event::EventKey;
use inbox_core::stack::stack;
use serde_json::json;

use super::rig::{
    Answer, DEADLINE, Rig, STRIPE_SECRET, answered, gateway_event, payment, to_mirror,
};
use super::stack::Stack;

/// Bytes that no compression makes smaller, the same at every run.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    })
    .take(length)
    .collect()
}

#[tokio::test]
async fn the_largest_items_size_is_below_dynamodbs_400_kb() {
    let rig = Rig::new().await;
    let limit = stack().defaults.inline_payload_bytes;
    let mut delivery = payment().with_body(noise(limit));
    delivery.content_type = "application/octet-stream".to_owned();
    let key = rig.accept(&delivery).await;
    let item = rig
        .bed
        .dynamodb()
        .get_item()
        .table_name(&rig.bed.table)
        .key("pk", aws_sdk_dynamodb::types::AttributeValue::S(key.to_string()))
        .send()
        .await
        .expect("an answer")
        .item
        .expect("the item");
    let bytes: usize = item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum();
    // The payload, what surrounds it, and room for 50 entries of history.
    assert!((limit..390_000).contains(&bytes), "{bytes}");
}

fn size_of_value(value: &aws_sdk_dynamodb::types::AttributeValue) -> usize {
    use aws_sdk_dynamodb::types::AttributeValue as V;
    match value {
        V::S(text) | V::N(text) => text.len(),
        V::B(bytes) => bytes.as_ref().len(),
        V::M(map) => {
            3 + map.iter().map(|(name, it)| name.len() + 1 + size_of_value(it)).sum::<usize>()
        }
        V::L(list) => 3 + list.iter().map(|it| 1 + size_of_value(it)).sum::<usize>(),
        _ => 1,
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_413_whether_it_is_signed_or_not() {
    let stack_under_test = Stack::shared().await;
    let delivery = stack_under_test
        .fixture("stripe", "payment_intent_succeeded.json")
        .with_body(vec![b'a'; stack().defaults.max_body_bytes + 1]);
    for delivery in [delivery.clone(), delivery.signed_with("whsec_other")] {
        let answer = stack_under_test.send(&delivery).await;
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.body().as_ref(), br#"{"error":"body_too_large"}"#);
    }
}

#[tokio::test]
async fn what_is_verified_and_not_understood_is_stored_as_unknown_and_done() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    let bodies: [&[u8]; 6] =
        [b"", b"not JSON", b"\xff\xfe{}", b"{\"id\":", b"[]", b"{\"id\":\"evt_1\",\"type\":7}"];
    for body in bodies {
        let delivery = payment().with_body(body.to_vec());
        let event = rig.gateway_event(&delivery);
        let answer = receiver.invoke_json(&event, DEADLINE).await.expect("an answer");
        assert_eq!(answered(&answer), Answer::accepted(), "{body:?}");
        let id = answer["headers"]["x-inbox-id"].as_str().expect("an id").to_owned();
        let key = EventKey { source: "stripe".to_owned(), id };
        let record = rig.record(&key).await.expect("the event");
        assert_eq!(record.event.event_type, "unknown");
        assert_eq!(record.event.payload.bytes.as_ref(), body);
    }
    let mut processor = rig.processor(&to_mirror()).await;
    rig.process_all(&mut processor).await;
    assert_eq!(rig.dead_letters().await, []);
    assert_eq!(rig.messages().await, []);
}

#[tokio::test]
async fn an_event_of_the_gateway_without_a_body_is_judged_like_an_empty_one() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    let mut event = rig.gateway_event(&payment().with_body(""));
    event.as_object_mut().expect("an object").remove("body");
    event["isBase64Encoded"] = json!(false);
    let answer = receiver.invoke_json(&event, DEADLINE).await.expect("an answer");
    assert_eq!(answered(&answer), Answer::accepted());

    let unsigned = gateway_event("/webhooks/stripe", &[], b"");
    let answer = receiver.invoke_json(&unsigned, DEADLINE).await.expect("an answer");
    let missing = r#"{"error":"missing_signature"}"#.to_owned();
    assert_eq!(answered(&answer), Answer { status: 400, inbox_status: None, body: missing });
}

#[tokio::test]
async fn a_path_of_another_source_is_answered_404_by_the_receiver_itself() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver_of("stripe", "stripe", STRIPE_SECRET).await;
    for source in ["stripe_eu", "", "stripe/x"] {
        let event = rig.gateway_event(&payment().to(source));
        let answer = receiver.invoke_json(&event, DEADLINE).await.expect("an answer");
        let body = r#"{"error":"not_found"}"#.to_owned();
        assert_eq!(answered(&answer), Answer { status: 404, inbox_status: None, body });
    }
    assert_eq!(rig.proxy.take_calls(), []);
}

/// Of AWS's published samples (`tests/aws_events/README.md`): what a function is called
/// with by its console, or by an integration of another format.
#[tokio::test]
async fn whatever_a_function_is_called_with_it_answers() {
    let rig = Rig::new().await;
    let sample = |name: &str| {
        let file = format!("{}/aws_events/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).expect("a sample");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    };
    let names = ["lambda_console_hello_world", "api_gateway_1_0", "sqs", "scheduled"];
    let events: Vec<_> =
        names.map(sample).into_iter().chain([json!(null), json!([null])]).collect();

    let mut receiver = rig.receiver().await;
    for event in &events {
        let answer = receiver.invoke_json(event, DEADLINE).await.expect("an answer");
        let expected = if event["httpMethod"].is_string() { 503 } else { 400 };
        assert_eq!(answer["statusCode"], expected, "{event}");
    }
    let nulls = json!({
        "version": "2.0", "rawPath": "/webhooks/stripe", "rawQueryString": null, "headers": null,
        "body": null, "isBase64Encoded": null, "requestContext": {"http": {"method": "POST"}},
    });
    let answer = receiver.invoke_json(&nulls, DEADLINE).await.expect("an answer");
    assert_eq!(answer["statusCode"], 400);
    assert_eq!(answer["body"], r#"{"error":"missing_signature"}"#);

    let mut processor = rig.processor(&to_mirror()).await;
    let all = json!({"batchItemFailures": [{"itemIdentifier": ""}]});
    for event in events.iter().filter(|event| event.get("Records").is_none()) {
        let answer = processor.invoke_json(event, DEADLINE).await.expect("an answer");
        assert_eq!(answer, all, "{event}");
    }
    let nulls = json!({"Records": [null, {"messageId": null}]});
    assert_eq!(processor.invoke_json(&nulls, DEADLINE).await.expect("an answer"), all);
}
