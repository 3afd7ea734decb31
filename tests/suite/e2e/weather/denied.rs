//! One call of one function is refused for want of a permission, or for a reason
//! that no repeat mends: the line names action and resource, as AWS tells them.

use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use inbox_core::stack::stack;
use inbox_local::calls::Fault;
use serde_json::{Value, json};

use super::super::rig::{Answer, DEADLINE, Rig, payment, to_drill, to_mirror};
use super::{assert_unavailable, fault, faults};

const MESSAGE: &str = "User: arn:aws:sts::000000000000:assumed-role/inbox/x is not authorized to \
                       perform: this on resource: that, because no identity-based policy allows it";

fn deny(rig: &Rig, service: &'static str, operation: &'static str) {
    refuse(rig, service, operation, "AccessDeniedException", MESSAGE);
}

fn refuse(rig: &Rig, service: &str, operation: &str, error_type: &str, message: &str) {
    let fault = Fault::Status {
        status: 400,
        error_type: error_type.to_owned(),
        message: message.to_owned(),
    };
    rig.proxy.fail_next(service, operation, usize::MAX, fault);
}

fn denied(what: &str, operation: &str) -> String {
    format!("{what} unavailable: {operation}: AccessDeniedException: {MESSAGE}")
}

#[tokio::test]
async fn a_receiver_that_may_not_write_or_send_answers_503_and_says_what_it_may_not() {
    for (service, operation, what) in
        [("dynamodb", "PutItem", "ledger"), ("sqs", "SendMessage", "queue")]
    {
        let rig = Rig::new().await;
        let mut receiver = rig.receiver().await;
        deny(&rig, service, operation);
        let answer = receiver.invoke_json(&rig.gateway_event(&payment()), DEADLINE).await;
        assert_unavailable(&answer.expect("an answer"));
        assert_eq!(fault(&receiver, "answered 503").await, denied(what, operation));
        rig.proxy.clear_hook();
        // The provider's retry, once it may.
        let answer = rig.deliver(&mut receiver, &payment()).await.expect("an answer");
        assert!([Answer::accepted(), Answer::duplicate()].contains(&answer), "{answer:?}");
        assert_eq!(rig.messages().await.len(), 1);
    }
}

/// Accepts an event, refuses a call while it is processed, and returns the line and
/// how the event stood; then, once it may, it is processed to its end.
async fn processed(
    routes: &Value,
    (service, operation): (&'static str, &'static str),
    line: &str,
) -> (Rig, EventKey, String, Option<(State, u32, u32)>) {
    let rig = Rig::new().await;
    let event = rig.accept(&payment()).await;
    let mut processor = rig.processor(routes).await;
    let messages = rig.messages().await;
    deny(&rig, service, operation);
    assert_eq!(rig.process(&mut processor, messages.clone()).await.as_ref(), Ok(&messages));
    let said = fault(&processor, line).await;
    let stood = rig.stands(&event).await;
    rig.proxy.clear_hook();
    rig.let_the_lease_end(&event).await;
    assert_eq!(rig.process(&mut processor, messages).await, Ok(Vec::new()));
    (rig, event, said, stood)
}

#[tokio::test]
async fn a_processor_that_may_not_update_the_ledger_leaves_its_message_and_begins_nothing() {
    let call = ("dynamodb", "UpdateItem");
    let (rig, event, said, stood) =
        processed(&to_mirror(), call, "message left in the queue").await;
    assert_eq!((said, stood), (denied("ledger", "UpdateItem"), Some((State::Received, 1, 0))));
    assert_eq!(rig.stands(&event).await, Some((State::Done, 1, 1)));
}

#[tokio::test]
async fn a_processor_that_may_not_hide_a_message_has_its_event_tried_again_all_the_same() {
    let routes = to_drill(&json!({ "outcome": "retry", "attempts": 1 }));
    let call = ("sqs", "ChangeMessageVisibility");
    let (rig, event, said, stood) = processed(&routes, call, "message not hidden").await;
    let expected = denied("queue", "ChangeMessageVisibility");
    assert_eq!((said, stood), (expected, Some((State::Failing, 1, 1))));
    assert_eq!(rig.stands(&event).await, Some((State::Done, 1, 2)));
}

#[tokio::test]
async fn a_handler_that_may_not_write_fails_its_attempt_and_the_event_says_why() {
    let rig = Rig::new().await;
    let event = rig.accept(&payment()).await;
    let mut processor = rig.processor(&to_mirror()).await;
    deny(&rig, "dynamodb", "PutItem");
    let messages = rig.messages().await;
    assert_eq!(rig.process(&mut processor, messages.clone()).await.as_ref(), Ok(&messages));
    let record = rig.record(&event).await.expect("the event");
    // Only the code: a handler's message may quote what was sent.
    assert_eq!(record.last_error.as_deref(), Some("mirror: mirror table: AccessDeniedException"));
    rig.proxy.clear_hook();
    assert_eq!(rig.process(&mut processor, messages).await, Ok(Vec::new()));
    assert_eq!(rig.stands(&event).await, Some((State::Done, 1, 2)));
}

#[tokio::test]
async fn whatever_the_dead_letter_queue_refuses_with_the_event_is_kept_and_the_line_says_why() {
    for (error_type, message) in [
        ("AccessDeniedException", MESSAGE),
        ("RequestThrottled", "Request is throttled."),
        ("QueueDoesNotExist", "The specified queue does not exist."),
        ("InvalidParameterValue", "Message must be shorter than 1048576 bytes."),
        ("KmsAccessDenied", "The caller does not have access to the KMS key."),
    ] {
        let rig = Rig::new().await;
        let event = rig.accept(&payment()).await;
        rig.send("not JSON").await;
        let mut processor = rig.processor(&to_drill(&json!({ "outcome": "permanent" }))).await;
        let messages = rig.messages().await;
        refuse(&rig, "sqs", "SendMessage", error_type, message);
        let kept = rig.process(&mut processor, messages.clone()).await.expect("an answer");
        assert_eq!(kept.len(), 2, "{error_type}");
        // What is about the message itself may quote it: only the code is told.
        let told = match error_type {
            "InvalidParameterValue" => error_type.to_owned(),
            _ => format!("{error_type}: {message}"),
        };
        let expected = format!("queue unavailable: SendMessage: {told}");
        assert_eq!(fault(&processor, "dead letter not sent, event kept").await, expected);
        assert_eq!(fault(&processor, "dead letter not sent").await, expected);
        assert_eq!(rig.stands(&event).await, Some((State::Received, 1, 1)));
        rig.proxy.clear_hook();
        rig.let_the_lease_end(&event).await;
        assert_eq!(rig.process(&mut processor, messages).await, Ok(Vec::new()));
        assert_eq!(rig.stands(&event).await, Some((State::Dead, 1, 2)), "{error_type}");
        assert_eq!(rig.dead_letters().await.len(), 2, "{error_type}");
        assert_eq!(faults(&processor, "message moved to the dead letters", 1).await, [""]);
    }
}

#[tokio::test]
async fn a_sweeper_that_may_not_says_so_in_one_line_a_shard_and_its_event_comes_back() {
    for (service, operation, what, line) in [
        ("dynamodb", "Query", "ledger", "shard not read"),
        ("dynamodb", "UpdateItem", "ledger", "events not swept, the first with this fault"),
        ("sqs", "SendMessage", "queue", "events not swept, the first with this fault"),
    ] {
        let rig = Rig::new().await;
        let event = rig.accept(&payment()).await;
        for message in rig.messages().await {
            rig.delete(&message).await;
        }
        rig.let_it_become_due(&event).await;
        let mut sweeper = rig.sweeper().await;
        deny(&rig, service, operation);
        let swept = sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");
        assert_eq!(swept["sent"], 0, "{operation}");
        let lines = if operation == "Query" { stack().table.open_index.shards } else { 1 };
        let said = faults(&sweeper, line, lines as usize).await;
        assert!(said.iter().all(|it| *it == denied(what, operation)), "{said:?}");
        rig.proxy.clear_hook();
        rig.let_it_become_due(&event).await;
        let swept = sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");
        assert_eq!(swept["sent"], 1, "{operation}");
        assert_eq!(rig.messages().await.len(), 1);
    }
}
