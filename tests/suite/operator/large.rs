//! Events whose payload lies in the bucket: shown, replayed, listened to and
//! forgotten like any other.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use inbox_aws::{DETACHED_BYTES_MIN, DynamoDbLedger, S3PayloadStore};
use inbox_core::event::EventKey;
use inbox_core::ledger::{Claimed, Forgetting, Ledger as _, NewEvent, Record, State};
use inbox_core::signature::sha256_hex;
use inbox_local::calls::Fault;

use super::rig::Operator;
use super::world::{Given, make};

const MINUTE: Duration = Duration::from_mins(1);

/// Hexadecimal digits of hashes shrink by half at most.
fn body() -> String {
    let noise: String = (0..16_000_u32).map(|n| sha256_hex(&[&n.to_be_bytes()])).collect();
    format!(r#"{{"id":"evt-a","noise":"{noise}"}}"#)
}

async fn given(operator: &Operator, state: State) -> String {
    let given = Given::new("evt-a", state, 5 * MINUTE);
    make(operator, [given.with_payload("application/json", body())]).await;
    held(operator).await.payload_ref.expect("an object").key
}

async fn held(operator: &Operator) -> Record {
    let key = EventKey { source: "stripe".into(), id: "evt-a".into() };
    operator.ledger().get(&key).await.unwrap().expect("the event is there")
}

async fn objects(operator: &Operator) -> Vec<String> {
    let bucket = &operator.bed.payload_bucket;
    let listed = operator.bed.s3().list_objects_v2().bucket(bucket).send().await.expect("a list");
    listed.contents.unwrap_or_default().into_iter().filter_map(|it| it.key).collect()
}

#[tokio::test]
async fn it_is_shown_with_its_payload_and_the_bytes_are_those_that_were_received() {
    let operator = Operator::new().await;
    let object = given(&operator, State::Done).await;
    let ran = operator.run(&["show", "stripe", "evt-a", "--payload"]).await.expect(0);
    assert!(ran.stdout == body().as_bytes(), "byte for byte");
    let document = operator.run(&["show", "stripe", "evt-a", "--json"]).await.expect(0).json();
    assert_eq!(document["event"]["data"]["id"], "evt-a");
    assert_eq!(document["ledger"]["payload_bytes"], body().len());
    assert_eq!(document["ledger"]["payload_object"], object);
    let ran = operator.run(&["show", "stripe", "evt-a"]).await.expect(0);
    assert!(ran.text().contains(&format!("object        {object}")), "{:.2000}", ran.text());
    assert!(ran.text().contains("  \"id\": \"evt-a\",\n"), "{:.2000}", ran.text());
    assert!(ran.text().len() < 8000, "a terminal is not flooded: {}", ran.text().len());
    assert!(ran.text().ends_with("  … cut; --payload writes all of it\n"), "{:.2000}", ran.text());
}

#[tokio::test]
async fn when_its_payload_is_lost_all_else_is_shown_and_it_is_not_replayed() {
    let operator = Operator::new().await;
    let object = given(&operator, State::Dead).await;
    let bucket = &operator.bed.payload_bucket;
    let s3 = operator.bed.s3();
    s3.delete_object().bucket(bucket).key(&object).send().await.expect("gone");
    let lost = format!("payload lost: object {object} is not in the payload bucket");

    let ran = operator.run(&["show", "stripe", "evt-a"]).await.expect(0);
    assert!(ran.text().contains("buried"), "{}", ran.text());
    assert!(ran.text().ends_with(&format!("  {lost}\n")), "{}", ran.text());
    let document = operator.run(&["show", "stripe", "evt-a", "--json"]).await.expect(0).json();
    assert_eq!(document["event"], serde_json::Value::Null);
    assert_eq!(document["ledger"]["payload_error"], lost);
    let ran = operator.run(&["show", "stripe", "evt-a", "--payload"]).await.expect(1);
    assert!(ran.stderr.contains(&lost), "{}", ran.stderr);

    let before = held(&operator).await;
    let ran = operator.run(&["replay", "stripe", "evt-a", "--yes"]).await.expect(1);
    assert!(ran.text().contains("has lost its payload"), "{}{}", ran.text(), ran.stderr);
    assert_eq!(held(&operator).await, before);
}

#[tokio::test]
async fn a_replay_makes_the_object_young_again_before_it_opens_the_event() {
    let operator = Operator::new().await;
    given(&operator, State::Dead).await;
    // Whoever cannot do the one does not do the other.
    operator.proxy.fail_next("s3", "CopyObject", usize::MAX, Fault::status(403, "AccessDenied"));
    operator.run(&["replay", "stripe", "evt-a", "--yes"]).await.expect(3);
    assert_eq!(held(&operator).await.life, 1);
    operator.proxy.clear_hook();
    let _ = operator.proxy.take_calls();
    operator.run(&["replay", "stripe", "evt-a", "--yes"]).await.expect(0);
    let calls = operator.proxy.calls();
    let writes: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert!(writes.ends_with(&["CopyObject", "UpdateItem", "SendMessage"]), "{writes:?}");
    super::worker::Worker::new(&operator, &["billing"]).drain().await;
    assert_eq!((held(&operator).await.state, held(&operator).await.life), (State::Done, 2));
}

#[tokio::test]
async fn forgetting_removes_the_object_and_a_repeat_of_the_delivery_does_not_bring_it_back() {
    let operator = Operator::new().await;
    given(&operator, State::Done).await;
    let event = {
        let ledger = operator.ledger();
        let mut record = held(&operator).await;
        ledger.load(&mut record).await.unwrap();
        record.event
    };
    // Interrupted between the two, the same command does the rest.
    operator.proxy.fail_next("s3", "DeleteObject", usize::MAX, Fault::status(500, "InternalError"));
    let ran = operator.run(&["forget", "stripe", "evt-a", "--yes"]).await.expect(3);
    assert!(ran.stderr.contains("DeleteObject"), "{}", ran.stderr);
    operator.proxy.clear_hook();
    assert!(held(&operator).await.forgotten_at.is_some());
    assert_eq!(objects(&operator).await.len(), 1);
    let ran = operator.run(&["forget", "stripe", "evt-a", "--yes"]).await.expect(0);
    assert!(ran.text().contains("was forgotten before"), "{}", ran.text());
    assert_eq!(objects(&operator).await, [] as [String; 0]);
    assert_eq!(held(&operator).await.payload_bytes(), 0);
    operator.run(&["show", "stripe", "evt-a"]).await.expect(0);

    let now = inbox_core::Timestamp::now();
    let repeat = NewEvent {
        event,
        request_id: "another".into(),
        due_at: now,
        expires_at: now.plus(24 * 60 * MINUTE),
    };
    assert_eq!(operator.ledger().claim(&repeat).await.unwrap(), Claimed::Duplicate);
    assert_eq!(objects(&operator).await, [] as [String; 0]);
}

/// With the table's name alone, which is a way to use the command, a copy would be left in
/// the bucket, and no later command would know of it.
#[tokio::test]
async fn without_the_buckets_name_nothing_is_forgotten_of_which_a_copy_may_lie_there() {
    let mut operator = Operator::new().await;
    // It fits its item; a subscriber may have been given a copy.
    let payload = format!(r#"{{"id":"evt-a","text":"{}"}}"#, "x".repeat(DETACHED_BYTES_MIN));
    let large = Given::new("evt-a", State::Done, 5 * MINUTE);
    let small = Given::new("evt-b", State::Done, 5 * MINUTE);
    make(&operator, [large.with_payload("application/json", payload), small]).await;
    let mut copied = held(&operator).await;
    assert_eq!(copied.payload_ref, None, "it lies in its item");
    let store =
        S3PayloadStore::new(&operator.bed.sdk_config(), operator.bed.payload_bucket.clone());
    store.detach(&copied.event).await.expect("a copy");
    assert_eq!(objects(&operator).await.len(), 1);

    let bucket = operator.bed.payload_bucket.clone();
    operator.set("payload_bucket", serde_json::Value::Null);
    let ran = operator.run(&["forget", "stripe", "evt-a", "--yes"]).await.expect(2);
    assert!(ran.stderr.contains("the payload bucket's name is not known"), "{}", ran.stderr);
    assert!(ran.stderr.contains("or set PAYLOAD_BUCKET"), "{}", ran.stderr);
    assert_eq!(held(&operator).await, copied, "nothing was forgotten");
    // What is too small for a copy needs no bucket.
    operator.run(&["forget", "stripe", "evt-b", "--yes"]).await.expect(0);

    // Another tool forgot it without a bucket: the record says where the copy lies.
    let alone = DynamoDbLedger::new(&operator.bed.sdk_config(), operator.bed.table.clone());
    let forgetting = Forgetting { record: &copied, actor: "bob", reason: "" };
    let fault = alone.forget(&forgetting, inbox_core::Timestamp::now()).await;
    let fault = fault.expect_err("the copy is still there").to_string();
    assert_eq!(fault, "ledger unavailable: PAYLOAD_BUCKET is not set");
    copied = held(&operator).await;
    assert!(copied.forgotten_at.is_some() && copied.payload_ref.is_some(), "{copied:?}");
    operator.set("payload_bucket", bucket.into());
    operator.run(&["forget", "stripe", "evt-a", "--yes"]).await.expect(0);
    assert_eq!(objects(&operator).await, [] as [String; 0], "the copy is gone, too");
}

#[tokio::test]
async fn two_events_with_the_same_payload_have_an_object_each() {
    let operator = Operator::new().await;
    let both = ["evt-a", "evt-b"]
        .map(|id| Given::new(id, State::Done, 5 * MINUTE).with_payload("application/json", body()));
    make(&operator, both).await;
    assert_eq!(objects(&operator).await.len(), 2);
    operator.run(&["forget", "stripe", "evt-b", "--yes"]).await.expect(0);
    let ran = operator.run(&["show", "stripe", "evt-a", "--payload"]).await.expect(0);
    assert!(ran.stdout == body().as_bytes(), "byte for byte");
}

#[tokio::test]
async fn an_object_that_somebody_changed_is_not_taken_for_the_payload() {
    let operator = Operator::new().await;
    let object = given(&operator, State::Done).await;
    // Well-formed, and of another content.
    let forged = ByteStream::from_static(include_bytes!("forged_payload.json.gz"));
    let bucket = &operator.bed.payload_bucket;
    operator.bed.s3().put_object().bucket(bucket).key(&object).body(forged).send().await.unwrap();
    let ran = operator.run(&["show", "stripe", "evt-a", "--payload"]).await.expect(1);
    assert!(ran.stdout.is_empty());
    assert!(ran.stderr.contains("is not what was put there"), "{}", ran.stderr);
}
