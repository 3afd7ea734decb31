//! The write landed and its reply was lost, so the SDK repeats it: nothing changes.

use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use inbox_local::calls::Fault;
use serde_json::{Value, json};

use super::rig::{
    Answer, DEADLINE, Rig, key, payment, to_drill, to_mirror, to_mirror_and_drill,
    to_mirror_instead,
};

/// Loses the reply to the `nth` call of an operation.
fn lose(rig: &Rig, operation: &'static str, nth: usize) {
    let seen = std::sync::Mutex::new(0);
    rig.proxy.set_hook(move |call| {
        let mut seen = seen.lock().expect("a count");
        *seen += usize::from(call.operation == operation);
        if call.operation == operation && *seen == nth { Fault::DropReply } else { Fault::None }
    });
}

/// The reply to one call was lost, and the call was repeated.
fn assert_repeated(rig: &Rig, operation: &str) {
    let calls = rig.proxy.calls();
    let lost = calls.iter().filter(|call| call.upstream_status.is_some() && call.status.is_none());
    let lost: Vec<&str> = lost.map(|call| call.operation.as_str()).collect();
    assert_eq!(lost, [operation]);
}

#[tokio::test]
async fn a_lost_reply_to_the_receiver_changes_nothing() {
    // A repeated claim finds its own event, and is still the first.
    for (operation, answer, messages) in
        [("PutItem", Answer::accepted(), 1), ("SendMessage", Answer::accepted(), 2)]
    {
        let rig = Rig::new().await;
        let mut receiver = rig.receiver().await;
        lose(&rig, operation, 1);
        assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(answer));
        assert_repeated(&rig, operation);
        rig.proxy.clear_hook();
        let waiting = rig.messages().await;
        assert_eq!(waiting.len(), messages);
        let mut processor = rig.processor(&to_mirror()).await;
        assert_eq!(rig.process(&mut processor, waiting).await, Ok(Vec::new()));
        assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Done, 1, 1)));
        assert_eq!(rig.mirror_writes(), 1);
    }
}

/// Has an event processed while one reply is lost.
async fn processed(routes: &Value, operation: &'static str, nth: usize) -> (Rig, EventKey) {
    let rig = Rig::new().await;
    let key = rig.accept(&payment()).await;
    let mut processor = rig.processor(routes).await;
    lose(&rig, operation, nth);
    rig.process_all(&mut processor).await;
    assert_repeated(&rig, operation);
    rig.proxy.clear_hook();
    (rig, key)
}

#[tokio::test]
async fn a_lost_reply_to_a_processor_that_succeeds_changes_nothing() {
    // Begin, the handler's own write, complete.
    for (operation, nth) in [("UpdateItem", 1), ("PutItem", 1), ("UpdateItem", 2)] {
        let (rig, key) = processed(&to_mirror(), operation, nth).await;
        assert_eq!(rig.stands(&key).await, Some((State::Done, 1, 1)), "{operation} {nth}");
        assert!(rig.mirrored("payment_intent", "pi_test_1").await.is_some());
        assert_eq!(rig.dead_letters().await, []);
    }
}

#[tokio::test]
async fn a_lost_reply_to_one_of_two_completions_changes_nothing() {
    let routes = to_mirror_and_drill(&json!({ "outcome": "retry", "attempts": 1 }));
    // Begin, complete the mirror, fail; begin, complete the drill.
    for nth in 1..=5 {
        let (rig, key) = processed(&routes, "UpdateItem", nth).await;
        assert_eq!(rig.stands(&key).await, Some((State::Done, 1, 2)), "{nth}");
        let record = rig.record(&key).await.expect("the event");
        assert_eq!(record.history.len(), 1, "{nth}");
        assert!(record.is_done("mirror") && record.is_done("drill"), "{nth}");
        assert_eq!(rig.mirror_writes(), 1, "{nth}");
    }
}

#[tokio::test]
async fn a_lost_reply_to_hiding_a_message_changes_nothing() {
    let routes = to_drill(&json!({ "outcome": "retry", "attempts": 1 }));
    let (rig, key) = processed(&routes, "ChangeMessageVisibility", 1).await;
    assert_eq!(rig.stands(&key).await, Some((State::Done, 1, 2)));
}

#[tokio::test]
async fn a_lost_reply_to_a_processor_that_buries_leaves_one_dead_event() {
    let routes = to_drill(&json!({ "outcome": "permanent" }));
    // A repeated letter is a second one, of the same life: harmless.
    for (operation, nth, letters) in [("SendMessage", 1, 2), ("UpdateItem", 2, 1)] {
        let (rig, key) = processed(&routes, operation, nth).await;
        assert_eq!(rig.stands(&key).await, Some((State::Dead, 1, 1)), "{operation}");
        let record = rig.record(&key).await.expect("the event");
        assert_eq!(record.history.len(), 1, "{operation}");
        assert_eq!(rig.dead_letters().await.len(), letters, "{operation}");
    }
}

#[tokio::test]
async fn a_lost_reply_to_reopening_opens_one_life() {
    let routes = to_drill(&json!({ "outcome": "permanent" }));
    let rig = Rig::new().await;
    let key = rig.accept(&payment()).await;
    let mut processor = rig.processor(&routes).await;
    rig.process_all(&mut processor).await;
    let letters = rig.dead_letters().await;

    let mut processor = rig.processor(&to_mirror_instead()).await;
    rig.send(letters[0].body().expect("a body")).await;
    // Begin is refused, and tells that there is a life to open.
    lose(&rig, "UpdateItem", 2);
    rig.process_all(&mut processor).await;
    assert_repeated(&rig, "UpdateItem");
    assert_eq!(rig.stands(&key).await, Some((State::Done, 2, 1)));
    assert_eq!(rig.mirror_writes(), 1);
}

#[tokio::test]
async fn a_lost_reply_to_the_sweeper_changes_nothing() {
    for (operation, messages) in [("Query", 1), ("UpdateItem", 1), ("SendMessage", 2)] {
        let rig = Rig::new().await;
        let key = rig.accept(&payment()).await;
        for message in rig.messages().await {
            rig.delete(&message).await;
        }
        rig.let_it_become_due(&key).await;
        let mut sweeper = rig.sweeper().await;
        lose(&rig, operation, 1);
        let swept = sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");
        assert_eq!(swept["sent"], 1, "{operation}");
        assert_repeated(&rig, operation);
        rig.proxy.clear_hook();
        let waiting = rig.messages().await;
        assert_eq!(waiting.len(), messages, "{operation}");
        let mut processor = rig.processor(&to_mirror()).await;
        assert_eq!(rig.process(&mut processor, waiting).await, Ok(Vec::new()));
        assert_eq!(rig.stands(&key).await, Some((State::Done, 1, 1)), "{operation}");
    }
}
