//! SIGKILL at every line at which something was done and the next thing was not.
//! Each ends handled once; where a handler dies after its effect and before the
//! record, it runs again with the same idempotency key, as documented.

use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use inbox_local::runtime_api::InvokeError;
use serde_json::{Value, json};

use super::rig::{Answer, DEADLINE, Rig, When, key, payment, pointer, to_drill, to_mirror};

fn killed() -> InvokeError {
    InvokeError::Exited { status: "signal: 9 (SIGKILL)".to_owned() }
}

/// Kills the receiver of a payment at this call.
async fn receiver_killed(when: When, operation: &'static str) -> (Rig, EventKey) {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    rig.kill_at(receiver.killer(), when, operation, 1);
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Err(killed()));
    rig.proxy.clear_hook();
    (rig, key("evt_test_1"))
}

/// Processes what waits, and asserts that the event ends handled once.
async fn assert_handled_once(rig: &Rig, key: &EventKey) {
    let mut processor = rig.processor(&to_mirror()).await;
    rig.process_all(&mut processor).await;
    assert_eq!(rig.stands(key).await, Some((State::Done, 1, 1)));
    assert_eq!(rig.mirror_writes(), 1);
    assert_eq!(rig.messages().await, []);
    assert_eq!(rig.dead_letters().await, []);
}

#[tokio::test]
async fn a_receiver_killed_before_the_claim_leaves_nothing_and_the_providers_retry_is_new() {
    let (rig, key) = receiver_killed(When::Before, "PutItem").await;
    assert_eq!(rig.record(&key).await, None);
    let mut receiver = rig.receiver().await;
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::accepted()));
    assert_handled_once(&rig, &key).await;
}

#[tokio::test]
async fn a_receiver_killed_between_claim_and_send_is_made_good_by_the_providers_retry() {
    for (when, operation) in [(When::After, "PutItem"), (When::Before, "SendMessage")] {
        let (rig, key) = receiver_killed(when, operation).await;
        assert_eq!(rig.stands(&key).await, Some((State::Received, 1, 0)));
        assert_eq!(rig.messages().await, []);
        let mut receiver = rig.receiver().await;
        assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::duplicate()));
        assert_handled_once(&rig, &key).await;
    }
}

#[tokio::test]
async fn a_receiver_killed_between_claim_and_send_is_made_good_by_the_sweeper_when_nobody_retries()
{
    let (rig, key) = receiver_killed(When::Before, "SendMessage").await;
    assert_eq!(rig.messages().await, []);
    rig.let_it_become_due(&key).await;
    let mut sweeper = rig.sweeper().await;
    let swept = sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");
    assert_eq!(swept["sent"], 1);
    assert_handled_once(&rig, &key).await;
}

#[tokio::test]
async fn a_receiver_killed_after_the_send_has_its_event_handled_once_whatever_the_provider_does() {
    let (rig, key) = receiver_killed(When::After, "SendMessage").await;
    let mut receiver = rig.receiver().await;
    // Nothing shows yet that the message was sent: it is sent once more.
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::duplicate()));
    let messages = rig.messages().await;
    assert_eq!(messages.len(), 2);
    let mut processor = rig.processor(&to_mirror()).await;
    assert_eq!(rig.process(&mut processor, messages).await, Ok(Vec::new()));
    assert_eq!(rig.mirror_writes(), 1);
    assert_handled_once_already(&rig, &key).await;
    // Now it is a duplicate and nothing more.
    let _ = rig.proxy.take_calls();
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::duplicate()));
    assert_eq!(rig.messages().await, []);
}

async fn assert_handled_once_already(rig: &Rig, key: &EventKey) {
    assert_eq!(rig.stands(key).await, Some((State::Done, 1, 1)));
    assert_eq!(rig.dead_letters().await, []);
}

/// Kills a processor at the `nth` call of an operation, lets the lease end and the
/// message come back, and has another processor finish. Returns how the event
/// stood at the kill and at the end, and how often the handler wrote.
async fn processor_killed(
    routes: &Value,
    (when, operation, nth): (When, &'static str, usize),
) -> (Rig, [Option<(State, u32, u32)>; 2], usize) {
    let rig = Rig::new().await;
    let key = rig.accept(&payment()).await;
    let mut processor = rig.processor(routes).await;
    let messages = rig.messages().await;
    rig.kill_at(processor.killer(), when, operation, nth);
    assert_eq!(rig.process(&mut processor, messages.clone()).await, Err(killed()));
    rig.proxy.clear_hook();
    let between = rig.stands(&key).await;
    let writes = rig.mirror_writes();

    rig.let_the_lease_end(&key).await;
    let mut processor = rig.processor(routes).await;
    assert_eq!(rig.process(&mut processor, messages).await, Ok(Vec::new()));
    let after = rig.stands(&key).await;
    let writes = writes + rig.mirror_writes();
    (rig, [between, after], writes)
}

#[tokio::test]
async fn a_processor_killed_before_it_begins_has_changed_nothing() {
    let mark = (When::Before, "UpdateItem", 1);
    let (_, [between, after], writes) = processor_killed(&to_mirror(), mark).await;
    assert_eq!(between, Some((State::Received, 1, 0)));
    assert_eq!((after, writes), (Some((State::Done, 1, 1)), 1));
}

#[tokio::test]
async fn a_processor_killed_after_it_began_has_counted_the_attempt_and_another_finishes() {
    let mark = (When::After, "UpdateItem", 1);
    let (_, [between, after], writes) = processor_killed(&to_mirror(), mark).await;
    assert_eq!(between, Some((State::Received, 1, 1)));
    assert_eq!((after, writes), (Some((State::Done, 1, 2)), 1));
}

#[tokio::test]
async fn a_processor_killed_before_its_handlers_effect_has_another_do_it() {
    let mark = (When::Before, "PutItem", 1);
    let (_, [_, after], writes) = processor_killed(&to_mirror(), mark).await;
    assert_eq!((after, writes), (Some((State::Done, 1, 2)), 1));
}

#[tokio::test]
async fn a_processor_killed_between_effect_and_record_has_its_handler_run_again() {
    for mark in [(When::After, "PutItem", 1), (When::Before, "UpdateItem", 2)] {
        let (rig, [between, after], _) = processor_killed(&to_mirror(), mark).await;
        assert_eq!(between, Some((State::Received, 1, 1)), "{mark:?}");
        assert_eq!(after, Some((State::Done, 1, 2)), "{mark:?}");
        // The mirror's condition refuses the second write: the effect is one.
        let row = rig.mirrored("payment_intent", "pi_test_1").await.expect("a row");
        assert_eq!(row.event_id, "evt_test_1");
    }
}

#[tokio::test]
async fn a_processor_killed_after_the_record_has_no_handler_run_again() {
    let mark = (When::After, "UpdateItem", 2);
    let (_, [between, after], writes) = processor_killed(&to_mirror(), mark).await;
    assert_eq!(between, Some((State::Done, 1, 1)));
    assert_eq!((after, writes), (between, 1));
}

#[tokio::test]
async fn a_processor_killed_at_any_call_of_a_burial_leaves_a_dead_event_and_its_letter() {
    let routes = to_drill(&json!({ "outcome": "permanent" }));
    for (mark, at_the_kill, letters) in [
        ((When::Before, "SendMessage", 1), (State::Received, 1, 1), 1),
        ((When::After, "SendMessage", 1), (State::Received, 1, 1), 2),
        ((When::Before, "UpdateItem", 2), (State::Received, 1, 1), 2),
        ((When::After, "UpdateItem", 2), (State::Dead, 1, 1), 1),
    ] {
        let (rig, [between, after], _) = processor_killed(&routes, mark).await;
        assert_eq!(between, Some(at_the_kill), "{mark:?}");
        let attempts = if at_the_kill.0 == State::Dead { 1 } else { 2 };
        assert_eq!(after, Some((State::Dead, 1, attempts)), "{mark:?}");
        // Two letters of one life are harmless: the first that comes back opens the
        // next life, and then the other names one that is over.
        let lives: Vec<u32> = rig.dead_letters().await.iter().map(|it| pointer(it).life).collect();
        assert_eq!(lives, vec![2; letters], "{mark:?}");
    }
}

#[tokio::test]
async fn a_sweeper_killed_between_its_write_and_its_message_leaves_the_event_to_the_next_sweep() {
    for (when, operation) in [(When::After, "UpdateItem"), (When::Before, "SendMessage")] {
        let rig = Rig::new().await;
        let key = rig.accept(&payment()).await;
        for message in rig.messages().await {
            rig.delete(&message).await;
        }
        rig.let_it_become_due(&key).await;
        let mut sweeper = rig.sweeper().await;
        rig.kill_at(sweeper.killer(), when, operation, 1);
        assert_eq!(sweeper.invoke_json(&json!({}), DEADLINE).await, Err(killed()));
        rig.proxy.clear_hook();
        assert_eq!(rig.messages().await, []);
        assert_eq!(rig.record(&key).await.map(|record| record.sweeps), Some(1));

        rig.let_it_become_due(&key).await;
        let mut sweeper = rig.sweeper().await;
        let swept = sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");
        assert_eq!(swept["sent"], 1);
        assert_handled_once(&rig, &key).await;
    }
}
