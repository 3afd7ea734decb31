//! What is too large for a target goes there with a reference, into the bucket no more
//! often than it must, and out of it when its event is forgotten.

use std::collections::BTreeSet;

use inbox_aws::{DynamoDbLedger, S3PayloadStore};
use inbox_core::ledger::{Forgetting, Ledger as _, Settled, State};
use inbox_local::Delivery;
use inbox_local::calls::Fault;
use inbox_local::resources::sdk_config;
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

/// What subscribers were given to read goes too, though only the payload, which is gone
/// first, says where it lies.
#[tokio::test]
async fn a_forgetting_that_died_before_the_copy_was_gone_is_gone_on_with() {
    let rig = Rig::new().await;
    rig.accept(&padded(payment(), 300_000)).await;
    let record = rig.record(&key("evt_test_1")).await.expect("the event");
    assert_eq!(record.payload_ref, None);
    let aws = sdk_config(rig.proxy.url());
    let store = S3PayloadStore::new(&aws, rig.bed.payload_bucket.clone());
    let ledger =
        DynamoDbLedger::new(&aws, rig.bed.table.clone()).with_payloads(Some(store.clone()));
    store.detach(&record.event).await.expect("a copy");
    assert_eq!(rig.objects().await.len(), 1);

    rig.proxy.fail_next("s3", "DeleteObject", usize::MAX, Fault::status(403, "AccessDenied"));
    let now = record.event.received_at;
    let forgetting = Forgetting { record: &record, actor: "ada", reason: "request #7" };
    assert!(ledger.forget(&forgetting, now).await.is_err());
    rig.proxy.clear_hook();
    let seen = rig.record(&key("evt_test_1")).await.expect("the event");
    assert_eq!((seen.forgotten_at, seen.event.payload.bytes.len()), (Some(now), 0));
    // As `inbox forget` does when it is given again.
    assert!(seen.payload_ref.is_some());
    let again = Forgetting { record: &seen, actor: "ada", reason: "request #7" };
    assert_eq!(ledger.forget(&again, now).await.expect("forgotten"), Settled::Written);
    assert_eq!(rig.objects().await, Vec::<String>::new());
}
