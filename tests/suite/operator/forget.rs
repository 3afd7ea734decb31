//! `inbox forget`: what is gone, and what stays.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, Record, State};

use super::rig::Operator;
use super::worker::Worker;
use super::world::{Given, make};

const MARKER: &str = "ada.lovelace@example.com";

async fn held(operator: &Operator) -> Record {
    let key = EventKey { source: "stripe".into(), id: "evt-a".into() };
    operator.ledger().get(&key).await.unwrap().expect("the event is there")
}

async fn given(operator: &Operator, state: State) {
    let mut given = Given::new("evt-a", state, Duration::from_mins(5))
        .with_payload("application/json", format!(r#"{{"email":"{MARKER}"}}"#))
        .with_error(&format!("no mailbox {MARKER}"));
    given.event.subject = Some(MARKER.into());
    given.event.headers.insert("user-agent".into(), MARKER.into());
    given.event.delivery_id = Some(MARKER.into());
    make(operator, [given]).await;
}

/// The whole item as the table holds it.
async fn item(operator: &Operator) -> String {
    let answer = operator
        .bed
        .dynamodb()
        .get_item()
        .table_name(&operator.bed.table)
        .key("pk", AttributeValue::S("stripe#evt-a".into()))
        .send()
        .await
        .expect("get");
    format!("{:?}", answer.item.expect("an item"))
}

#[tokio::test]
async fn nothing_personal_is_left_and_that_it_was_handled_stays() {
    let operator = Operator::new().await;
    given(&operator, State::Done).await;
    let before = held(&operator).await;
    assert!(item(&operator).await.contains(MARKER));
    let reason = ["--reason", "erasure request 7"];
    let ran = operator
        .run(&[&["forget", "stripe", "evt-a", "--yes"][..], &reason].concat())
        .await
        .expect(0);
    assert_eq!(ran.text(), "stripe evt-a is forgotten; that it was received stays known\n");

    let item = item(&operator).await;
    assert!(!item.contains(MARKER), "{item}");
    let after = held(&operator).await;
    assert!(after.event.payload.bytes.is_empty());
    assert_eq!((after.state, &after.handlers), (State::Done, &before.handlers));
    assert_eq!(after.event.received_at, before.event.received_at);
    let entry = after.history.last().unwrap();
    assert_eq!((entry.actor.as_str(), entry.detail.as_str()), ("ada", "erasure request 7"));

    let ran = operator.run(&["show", "stripe", "evt-a"]).await.expect(0);
    assert!(ran.text().contains("forgotten"), "{}", ran.text());
    operator.run(&["show", "stripe", "evt-a", "--payload"]).await.expect(1);
    let ran =
        operator.run(&["replay", "stripe", "evt-a", "--all-handlers", "--yes"]).await.expect(0);
    assert!(ran.stderr.contains("no such event can be replayed"), "{}", ran.stderr);
    assert_eq!(held(&operator).await, after);
    // Asked again, it is as it was.
    let ran = operator.run(&["forget", "stripe", "evt-a", "--yes"]).await.expect(0);
    assert!(ran.text().contains("was forgotten before"), "{}", ran.text());
    assert_eq!(held(&operator).await, after);
}

#[tokio::test]
async fn an_event_that_is_not_handled_is_forgotten_only_when_that_is_said() {
    for state in [State::Dead, State::Failing, State::Received] {
        let operator = Operator::new().await;
        given(&operator, state).await;
        let before = held(&operator).await;
        let ran = operator.run(&["forget", "stripe", "evt-a", "--yes"]).await.expect(1);
        assert!(ran.stderr.contains("--unhandled"), "{}", ran.stderr);
        assert_eq!(held(&operator).await, before);

        operator.run(&["forget", "stripe", "evt-a", "--unhandled", "--yes"]).await.expect(0);
        assert!(!item(&operator).await.contains(MARKER));
        let after = held(&operator).await;
        assert_eq!((after.state, after.open), (State::Dead, None));
        // Its message and its dead letter wake nothing.
        let queue = operator.queue();
        inbox_core::queue::Queue::send(&queue, &after.event, 1).await.unwrap();
        inbox_core::queue::Queue::send(&queue, &after.event, 2).await.unwrap();
        assert_eq!(Worker::new(&operator, &["billing"]).drain().await, []);
        assert_eq!(held(&operator).await, after);
    }
}

#[tokio::test]
async fn without_a_yes_nothing_is_forgotten() {
    let operator = Operator::new().await;
    given(&operator, State::Done).await;
    let ran = operator.run(&["forget", "stripe", "evt-a"]).await.expect(2);
    assert!(ran.stderr.contains("give --yes"), "{}", ran.stderr);
    assert_eq!(held(&operator).await.forgotten_at, None);
    let ran = operator.run(&["forget", "stripe", "evt-b", "--yes"]).await.expect(1);
    assert!(ran.stderr.contains("has no event \"evt-b\""), "{}", ran.stderr);
}
