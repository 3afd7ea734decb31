//! AWS out of order: the provider is told to come back, in time, and nothing is lost.

use std::time::{Duration, Instant};

use inbox_core::ledger::State;
use inbox_local::calls::Fault;
use serde_json::Value;

use super::rig::{Answer, DEADLINE, Rig, key, payment, to_mirror};

/// Slack gives up after this long, and is the least patient.
const PATIENCE: Duration = Duration::from_secs(3);

fn faults() -> [Fault; 3] {
    [Fault::status(500, "InternalServerError"), Fault::DropBefore, Fault::Delay(DEADLINE)]
}

fn assert_unavailable(answer: &Value, took: Duration, fault: &Fault) {
    assert_eq!(answer["statusCode"], 503, "{fault:?}");
    assert_eq!(answer["body"], r#"{"error":"unavailable"}"#);
    assert_eq!(answer["headers"]["retry-after"], "10");
    assert_eq!(answer["headers"]["content-type"], "application/json");
    assert_eq!(answer["headers"]["x-inbox-id"], Value::Null);
    assert!(took < PATIENCE, "{fault:?} took {took:?}");
}

#[tokio::test]
async fn while_the_ledger_is_out_of_order_the_provider_is_told_so_within_three_seconds() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    for fault in faults() {
        rig.proxy.fail_next("dynamodb", "PutItem", usize::MAX, fault.clone());
        let begin = Instant::now();
        let answer = receiver.invoke_json(&rig.gateway_event(&payment()), DEADLINE).await;
        assert_unavailable(&answer.expect("an answer"), begin.elapsed(), &fault);
        rig.proxy.clear_hook();
        assert_eq!(rig.record(&key("evt_test_1")).await, None);
        assert_eq!(rig.messages().await, []);
    }
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::accepted()));
}

#[tokio::test]
async fn when_the_queue_is_out_of_order_after_the_claim_the_providers_retry_brings_the_message() {
    for fault in faults() {
        let rig = Rig::new().await;
        let mut receiver = rig.receiver().await;
        rig.proxy.fail_next("sqs", "SendMessage", usize::MAX, fault.clone());
        let begin = Instant::now();
        let answer = receiver.invoke_json(&rig.gateway_event(&payment()), DEADLINE).await;
        assert_unavailable(&answer.expect("an answer"), begin.elapsed(), &fault);
        assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Received, 1, 0)));
        rig.proxy.clear_hook();
        assert_eq!(rig.messages().await, []);

        // The repeat is a duplicate, and all the same its message is sent.
        assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::duplicate()));
        let mut processor = rig.processor(&to_mirror()).await;
        rig.process_all(&mut processor).await;
        assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Done, 1, 1)));
        assert_eq!(rig.mirror_writes(), 1);
    }
}

#[tokio::test]
async fn while_the_ledger_is_out_of_order_the_processor_keeps_its_messages() {
    let rig = Rig::new().await;
    rig.accept(&payment()).await;
    let mut processor = rig.processor(&to_mirror()).await;
    let messages = rig.messages().await;
    let fault = Fault::status(500, "InternalServerError");
    rig.proxy.fail_next("dynamodb", "UpdateItem", usize::MAX, fault);
    let kept = rig.process(&mut processor, messages.clone()).await;
    assert_eq!(kept.as_ref(), Ok(&messages));
    rig.proxy.clear_hook();
    assert_eq!(rig.process(&mut processor, messages).await, Ok(Vec::new()));
    assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Done, 1, 1)));
}

#[tokio::test]
async fn while_the_dead_letter_queue_is_out_of_order_nothing_is_marked_dead() {
    let rig = Rig::new().await;
    rig.accept(&payment()).await;
    let routes = super::rig::to_drill(&serde_json::json!({ "outcome": "permanent" }));
    let mut processor = rig.processor(&routes).await;
    let messages = rig.messages().await;
    let fault = Fault::status(500, "InternalServerError");
    rig.proxy.fail_next("sqs", "SendMessage", usize::MAX, fault);
    let kept = rig.process(&mut processor, messages.clone()).await;
    assert_eq!(kept.as_ref(), Ok(&messages));
    assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Received, 1, 1)));
    rig.proxy.clear_hook();
    rig.let_the_lease_end(&key("evt_test_1")).await;
    assert_eq!(rig.process(&mut processor, messages).await, Ok(Vec::new()));
    assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Dead, 1, 2)));
    assert_eq!(rig.dead_letters().await.len(), 1);
}
