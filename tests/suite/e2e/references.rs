//! What is too large for a target goes there with a reference, and into the bucket no
//! more often than it must.

use std::collections::BTreeSet;

use inbox_core::ledger::State;
use inbox_local::Delivery;
use serde_json::{Value, json};

use super::large::enlarged;
use super::rig::{Rig, key, payment};
use crate::targets::made;

/// The same event with so many blanks more, which compress into an item.
pub(crate) fn padded(delivery: Delivery, bytes: usize) -> Delivery {
    let body = String::from_utf8(delivery.body.to_vec()).expect("JSON");
    delivery.with_body(body.replacen('{', &format!("{{{}", " ".repeat(bytes)), 1))
}

/// Two routes for everything: to a queue, and to a topic that leads there.
async fn two_routes(rig: &Rig) -> (String, Value) {
    let queue = made::queue(&rig.bed, "target").await;
    let topic = made::topic(&rig.bed, "topic").await;
    made::subscribe(&rig.bed, &topic, &queue, "{}").await;
    let routes = json!([
        { "id": "queue", "match": "*:*", "handler": "enqueue", "with": { "queue_url": queue } },
        { "id": "topic", "match": "*:*", "handler": "enqueue", "with": { "topic_arn": topic } },
    ]);
    (queue, routes)
}

/// The references of all that came to a queue, and how many messages there were.
async fn references(rig: &Rig, queue_url: &str) -> (BTreeSet<String>, usize) {
    let received = rig.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
    let messages = received.send().await.expect("an answer").messages.unwrap_or_default();
    let read = |body| serde_json::from_str::<Value>(body).expect("a CloudEvent");
    let bodies = messages.iter().filter_map(|it| it.body()).map(read);
    let addresses = bodies.map(|it| it["dataref"].as_str().unwrap_or_default().to_owned());
    (addresses.collect(), messages.len())
}

#[tokio::test]
async fn what_lies_in_the_bucket_is_not_put_there_again_for_any_route() {
    let rig = Rig::new().await;
    let (queue, routes) = two_routes(&rig).await;
    let mut processor = rig.processor(&routes).await;
    rig.accept(&enlarged(payment(), 1_000_000)).await;
    let record = rig.record(&key("evt_test_1")).await.expect("the event");
    let kept = record.payload_ref.expect("an object").key;
    let _ = rig.proxy.take_calls();
    rig.process_all(&mut processor).await;
    assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Done, 1, 1)));
    assert_eq!(rig.proxy.count("s3", "PutObject"), 0);
    let address = format!("s3://{}/{kept}", rig.bed.payload_bucket);
    assert_eq!(references(&rig, &queue).await, (BTreeSet::from([address]), 2));
}

#[tokio::test]
async fn what_lies_in_the_item_is_put_into_the_bucket_by_each_route() {
    let rig = Rig::new().await;
    let (queue, routes) = two_routes(&rig).await;
    let mut processor = rig.processor(&routes).await;
    rig.accept(&padded(payment(), 300_000)).await;
    let record = rig.record(&key("evt_test_1")).await.expect("the event");
    assert_eq!(record.payload_ref, None, "it fits the item");
    let _ = rig.proxy.take_calls();
    rig.process_all(&mut processor).await;
    assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Done, 1, 1)));
    assert_eq!(rig.proxy.count("s3", "PutObject"), 2);
    let (addresses, messages) = references(&rig, &queue).await;
    assert_eq!((addresses.len(), messages), (1, 2), "{addresses:?}");
}
