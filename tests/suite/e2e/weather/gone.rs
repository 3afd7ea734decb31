//! Table, queue or dead-letter queue do not exist: deleted, or of another name.

use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use inbox_core::stack::stack;
use serde_json::json;

use super::super::rig::{Answer, DEADLINE, Rig, key, payment, to_drill, to_mirror};
use super::{assert_unavailable, fault, faults};

async fn delete_queue(rig: &Rig, url: &str) {
    rig.sqs.delete_queue().queue_url(url).send().await.expect("a deletion");
}

#[tokio::test]
async fn without_the_table_every_function_says_so_and_lets_nothing_go() {
    let rig = Rig::new().await;
    rig.accept(&payment()).await;
    let messages = rig.messages().await;
    rig.bed.dynamodb().delete_table().table_name(&rig.bed.table).send().await.expect("a deletion");

    let mut receiver = rig.receiver().await;
    let answer = receiver.invoke_json(&rig.gateway_event(&payment()), DEADLINE).await;
    assert_unavailable(&answer.expect("an answer"));
    let said = fault(&receiver, "answered 503").await;
    assert!(said.starts_with("ledger unavailable: PutItem: ResourceNotFoundException: "), "{said}");

    let mut processor = rig.processor(&to_mirror()).await;
    assert_eq!(rig.process(&mut processor, messages.clone()).await, Ok(messages));
    let said = fault(&processor, "message left in the queue").await;
    let expected = "ledger unavailable: UpdateItem: ResourceNotFoundException: ";
    assert!(said.starts_with(expected), "{said}");

    let mut sweeper = rig.sweeper().await;
    let swept = sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");
    let shards = stack().table.open_index.shards as usize;
    assert_eq!((&swept["sent"], &swept["unread_shards"]), (&json!(0), &json!(shards)));
    let said = faults(&sweeper, "shard not read", shards).await;
    let expected = "ledger unavailable: Query: ResourceNotFoundException: ";
    assert!(said.iter().all(|it| it.starts_with(expected)), "{said:?}");
}

#[tokio::test]
async fn without_the_queue_the_event_is_in_the_ledger_and_the_sweeper_says_what_is_wrong() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    let mut sweeper = rig.sweeper().await;
    delete_queue(&rig, &rig.bed.queue_url).await;
    let answer = receiver.invoke_json(&rig.gateway_event(&payment()), DEADLINE).await;
    assert_unavailable(&answer.expect("an answer"));
    let said = fault(&receiver, "answered 503").await;
    assert!(said.starts_with("queue unavailable: SendMessage: "), "{said}");
    assert!(said.contains("QueueDoesNotExist") || said.contains("NonExistentQueue"), "{said}");
    let event: EventKey = key("evt_test_1");
    assert_eq!(rig.stands(&event).await, Some((State::Received, 1, 0)));

    rig.let_it_become_due(&event).await;
    let swept = sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");
    assert_eq!((&swept["sent"], &swept["failed"]), (&json!(0), &json!(1)));
    let said = fault(&sweeper, "depth of the queue unknown, sweeping all the same").await;
    assert!(said.starts_with("queue unavailable: GetQueueAttributes: "), "{said}");
    let said = fault(&sweeper, "events not swept, the first with this fault").await;
    assert!(said.starts_with("queue unavailable: SendMessage: "), "{said}");
    assert_eq!(rig.stands(&event).await, Some((State::Received, 1, 0)));
}

#[tokio::test]
async fn without_the_dead_letter_queue_nothing_is_marked_dead_and_others_go_on() {
    let rig = Rig::new().await;
    let event = rig.accept(&payment()).await;
    let mut processor = rig.processor(&to_drill(&json!({ "outcome": "permanent" }))).await;
    let messages = rig.messages().await;
    delete_queue(&rig, &rig.bed.dlq_url).await;
    assert_eq!(rig.process(&mut processor, messages.clone()).await, Ok(messages));
    let said = fault(&processor, "dead letter not sent, event kept").await;
    assert!(said.starts_with("queue unavailable: SendMessage: "), "{said}");
    assert_eq!(rig.stands(&event).await, Some((State::Received, 1, 1)));
    let mut receiver = rig.receiver().await;
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::duplicate()));
}
