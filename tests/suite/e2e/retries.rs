//! Handlers that fail: for a while, for good, by a bug, by never ending.

use inbox_core::ledger::{State, TransitionKind};
use serde_json::{Value, json};

use super::rig::{Rig, key, payment, pointer, to_drill, to_mirror_and_drill};

/// The event of [`payment`], accepted and its message taken from the queue.
async fn accepted() -> Rig {
    let rig = Rig::new().await;
    assert_eq!(rig.accept(&payment()).await, key("evt_test_1"));
    rig
}

#[tokio::test]
async fn a_handler_that_fails_twice_and_then_succeeds_is_done_and_its_neighbour_ran_once() {
    let rig = accepted().await;
    let routes = to_mirror_and_drill(&json!({ "outcome": "retry", "attempts": 2 }));
    let mut processor = rig.processor(&routes).await;
    let kept = rig.process(&mut processor, rig.messages().await).await.expect("an answer");
    assert_eq!(kept.len(), 1, "a short wait keeps the message");
    let record = rig.record(&key("evt_test_1")).await.expect("the event");
    assert_eq!((record.state, record.attempts), (State::Failing, 1));
    assert_eq!(record.last_error.as_deref(), Some("drill: drill: attempt 1 fails on purpose"));
    assert_eq!(record.leased_until, None);
    assert!(record.is_done("mirror") && !record.is_done("drill"));

    rig.process_all(&mut processor).await;
    let record = rig.record(&key("evt_test_1")).await.expect("the event");
    assert_eq!((record.state, record.attempts), (State::Done, 3));
    assert_eq!(record.history.len(), 2);
    assert_eq!(record.open, None);
    assert_eq!(rig.mirror_writes(), 1);
    assert_eq!(rig.dead_letters().await, []);
}

#[tokio::test]
async fn a_handler_that_always_fails_leaves_a_dead_event_and_a_letter_that_says_why() {
    let rig = accepted().await;
    let mut processor = rig.processor(&to_drill(&json!({ "outcome": "retry" }))).await;
    rig.process_all(&mut processor).await;
    assert_dead(&rig, 3).await;
}

#[tokio::test]
async fn a_permanent_failure_is_buried_at_once() {
    let rig = accepted().await;
    let mut processor = rig.processor(&to_drill(&json!({ "outcome": "permanent" }))).await;
    rig.process_all(&mut processor).await;
    assert_dead(&rig, 1).await;
}

async fn assert_dead(rig: &Rig, attempts: u32) {
    let key = key("evt_test_1");
    assert_eq!(rig.stands(&key).await, Some((State::Dead, 1, attempts)));
    let letters = rig.dead_letters().await;
    let [letter] = letters.as_slice() else { panic!("{} letters", letters.len()) };
    assert_eq!((pointer(letter).key, pointer(letter).life), (key.clone(), 2));
    let mut attributes: Vec<(String, String)> = letter
        .message_attributes
        .iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.string_value().unwrap_or_default().to_owned()))
        .collect();
    attributes.sort();
    let error = format!("drill: drill: attempt {attempts} fails on purpose");
    let expected = [
        ("attempts", attempts.to_string()),
        ("error", error.clone()),
        ("event_id", "evt_test_1".to_owned()),
        ("event_type", "payment_intent.succeeded".to_owned()),
        ("source", "stripe".to_owned()),
    ];
    assert_eq!(attributes, expected.map(|(name, value)| (name.to_owned(), value)));
    let record = rig.record(&key).await.expect("the event");
    assert_eq!(record.last_error, Some(error));
    assert_eq!(record.history.last().map(|it| it.kind), Some(TransitionKind::Buried));
    assert_eq!(rig.messages().await, []);
}

#[tokio::test]
async fn a_handler_that_hangs_is_tried_again_after_its_time() {
    let rig = accepted().await;
    let routes = to_drill(&json!({ "outcome": "hang", "attempts": 1 }));
    let mut processor = rig.processor(&routes).await;
    let process = processor.process_id();
    rig.process_all(&mut processor).await;
    let record = rig.record(&key("evt_test_1")).await.expect("the event");
    assert_eq!((record.state, record.attempts), (State::Done, 2));
    assert_eq!(record.history[0].detail, "drill: the handler took longer than 1 s");
    assert_eq!(processor.process_id(), process);
}

#[tokio::test]
async fn a_handler_that_panics_is_tried_again_by_the_same_process_and_its_words_are_not_logged() {
    let rig = accepted().await;
    let routes = to_drill(&json!({ "outcome": "panic", "attempts": 1 }));
    let mut processor = rig.processor(&routes).await;
    rig.process_all(&mut processor).await;
    let record = rig.record(&key("evt_test_1")).await.expect("the event");
    assert_eq!((record.state, record.attempts), (State::Done, 2));
    assert_eq!(record.history[0].detail, "drill: the handler panicked");
    // The words of a panic may quote the payload; its place cannot.
    let output = processor.output();
    assert!(!output.contains("attempt 1 fails on purpose"), "{output}");
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let places: Vec<Value> = lines
        .filter(|line| line["message"] == "panicked")
        .map(|line| line["place"].clone())
        .collect();
    let [place] = places.as_slice() else { panic!("{places:?}") };
    let file = "functions/processor/src/handlers/drill.rs:";
    assert!(place.as_str().is_some_and(|place| place.starts_with(file)), "{place}");
}
