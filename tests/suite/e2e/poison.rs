//! An event that kills its process, and messages that nobody can read.

use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use inbox_local::runtime_api::InvokeError;
use serde_json::json;

use super::rig::{Rig, key, payment, pointer, stripe};

/// The mirror for all, and the end of the process for one type.
fn routes() -> serde_json::Value {
    json!([
        { "id": "mirror", "match": "*:*", "handler": "mirror" },
        { "id": "poison", "match": "stripe:charge.dispute.created", "handler": "drill",
          "with": { "outcome": "exit" } },
    ])
}

#[tokio::test]
async fn an_event_that_kills_its_process_is_buried_and_takes_no_neighbour_along() {
    let rig = Rig::new().await;
    let poison = rig.accept(&stripe("charge_dispute_created.json")).await;
    let neighbours: [EventKey; 2] = [
        rig.accept(&payment()).await,
        rig.accept(&stripe("customer_subscription_deleted.json")).await,
    ];
    let mut batch = rig.messages().await;
    // The poison first, as bad luck would have it.
    batch.sort_by_key(|message| pointer(message).key != poison);
    assert_eq!(batch.len(), 3);

    for attempt in 1..=3 {
        let mut processor = rig.processor(&routes()).await;
        let died = rig.process(&mut processor, batch.clone()).await;
        assert_eq!(died, Err(InvokeError::Exited { status: "exit status: 70".to_owned() }));
        assert_eq!(rig.stands(&poison).await, Some((State::Received, 1, attempt)));
        for key in [&poison].into_iter().chain(&neighbours) {
            rig.let_the_lease_end(key).await;
        }
        // Suspects are begun one at a time, so those behind are not counted again.
        for neighbour in &neighbours {
            let attempts = rig.stands(neighbour).await.map(|(_, _, attempts)| attempts);
            assert!(attempts <= Some(1), "{neighbour}: {attempts:?}");
        }
    }
    let mut processor = rig.processor(&routes()).await;
    assert_eq!(rig.process(&mut processor, batch).await, Ok(Vec::new()));

    assert_eq!(rig.stands(&poison).await, Some((State::Dead, 1, 3)));
    let record = rig.record(&poison).await.expect("the event");
    let error = record.last_error.expect("an error");
    assert!(error.contains("poison: 3 attempts used up, the last without an outcome"), "{error}");
    let letters = rig.dead_letters().await;
    assert_eq!(letters.iter().map(pointer).map(|it| it.life).collect::<Vec<_>>(), [2]);
    for neighbour in &neighbours {
        let stands = rig.stands(neighbour).await;
        assert!(matches!(stands, Some((State::Done, 1, 1 | 2))), "{stands:?}");
    }
    assert!(rig.mirrored("payment_intent", "pi_test_1").await.is_some());
}

#[tokio::test]
async fn a_message_that_nobody_can_read_goes_to_the_dead_letters_at_once_with_the_reason() {
    let rig = Rig::new().await;
    let bodies = [
        ("not JSON", "not a message of this inbox: Syntax at line 1 column 2"),
        (
            r#"{"id":"evt_1","source":"/webhooks/stripe","life":0}"#,
            "not a message of this inbox: lives count from 1",
        ),
    ];
    let mut processor = rig.processor(&routes()).await;
    for (body, reason) in bodies {
        rig.send(body).await;
        let kept = rig.process(&mut processor, rig.messages().await).await;
        assert_eq!(kept, Ok(Vec::new()));
        let letters = rig.dead_letters().await;
        let [letter] = letters.as_slice() else { panic!("{} letters", letters.len()) };
        assert_eq!(letter.body(), Some(body));
        let error = letter.message_attributes().and_then(|all| all.get("error"));
        assert_eq!(error.and_then(|value| value.string_value()), Some(reason));
    }
}

#[tokio::test]
async fn a_message_about_an_event_that_is_not_there_is_dropped() {
    let rig = Rig::new().await;
    let mut processor = rig.processor(&routes()).await;
    rig.send(r#"{"id":"evt_none","source":"/webhooks/stripe","life":1}"#).await;
    let kept = rig.process(&mut processor, rig.messages().await).await;
    assert_eq!(kept, Ok(Vec::new()));
    assert_eq!(rig.record(&key("evt_none")).await, None);
    assert_eq!(rig.dead_letters().await, []);
}
