//! How many AWS calls the functions make: two each for the common event, which is
//! what the design's costs and latencies rest on.

use inbox_core::ledger::State;
use inbox_core::stack::stack;
use serde_json::json;

use super::rig::{
    Answer, DEADLINE, Rig, STRIPE_SECRET, key, names, payment, stripe, to_drill, to_mirror,
};
use inbox_local::Delivery;

const CLAIM: &str = "dynamodb PutItem";
const SEND: &str = "sqs SendMessage";
const UPDATE: &str = "dynamodb UpdateItem";

#[tokio::test]
async fn the_receiver_makes_two_calls_for_an_accepted_event_one_for_a_repeat_none_for_a_forgery() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::accepted()));
    assert_eq!(names(&rig.proxy.take_calls()), [CLAIM, SEND]);

    let mut processor = rig.processor(&to_mirror()).await;
    rig.process_all(&mut processor).await;
    let _ = rig.proxy.take_calls();
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::duplicate()));
    assert_eq!(names(&rig.proxy.take_calls()), [CLAIM]);

    for refused in [payment().signed_with("whsec_other"), payment().with_body("")] {
        // The first forgery that could be of a newer secret has the secrets fetched
        // again, at most every 30 s: not within those of the start.
        let answer = rig.deliver(&mut receiver, &refused.signed_with("whsec_x")).await;
        assert_eq!(answer.map(|answer| answer.status), Ok(401));
        assert_eq!(names(&rig.proxy.take_calls()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_processor_makes_two_calls_for_an_event_with_one_handler() {
    let rig = Rig::new().await;
    let ping = Delivery::fixture("github", "ping.json", "a-secret-of-github").expect("a fixture");
    let mut receiver = rig.receiver_of("github", "github", "a-secret-of-github").await;
    assert_eq!(rig.deliver(&mut receiver, &ping).await, Ok(Answer::accepted()));
    let _ = rig.proxy.take_calls();

    // The mirror keeps nothing of a ping, so its handler makes no call.
    let mut processor = rig.processor(&to_mirror()).await;
    rig.process_all(&mut processor).await;
    assert_eq!(names(&rig.proxy.take_calls()), [UPDATE, UPDATE]);

    // And one of its own when it keeps something.
    let mut receiver = rig.receiver().await;
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::accepted()));
    let _ = rig.proxy.take_calls();
    rig.process_all(&mut processor).await;
    assert_eq!(names(&rig.proxy.take_calls()), [UPDATE, CLAIM, UPDATE]);
    assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Done, 1, 1)));
}

#[tokio::test]
async fn a_failure_costs_two_calls_and_hiding_the_message_and_a_burial_three() {
    let rig = Rig::new().await;
    rig.accept(&stripe("charge_dispute_created.json")).await;
    let mut processor = rig.processor(&to_drill(&json!({ "outcome": "retry" }))).await;
    for _ in 0..2 {
        let kept = rig.process(&mut processor, rig.messages().await).await.expect("an answer");
        assert_eq!(kept.len(), 1);
        let expected = [UPDATE, UPDATE, "sqs ChangeMessageVisibility"];
        assert_eq!(names(&rig.proxy.take_calls()), expected);
    }
    let kept = rig.process(&mut processor, rig.messages().await).await.expect("an answer");
    assert_eq!(kept, []);
    assert_eq!(names(&rig.proxy.take_calls()), [UPDATE, SEND, UPDATE]);
}

#[tokio::test]
async fn connections_are_made_before_the_first_event() {
    let rig = Rig::new().await;
    let mut receiver = rig.cold_receiver("stripe", "stripe", STRIPE_SECRET).await;
    let mut calls = names(&rig.proxy.take_calls());
    calls.sort();
    assert_eq!(
        calls,
        [CLAIM, "s3 DeleteObject", "secretsmanager GetSecretValue", "sqs GetQueueAttributes"]
    );
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::accepted()));
    assert_eq!(names(&rig.proxy.take_calls()), [CLAIM, SEND]);

    let _processor = rig.cold_processor(&to_mirror()).await;
    let mut calls = names(&rig.proxy.take_calls());
    calls.sort();
    assert_eq!(calls, [UPDATE, "sqs GetQueueAttributes"]);
}

#[tokio::test]
async fn the_sweeper_asks_queue_and_shards_and_makes_two_calls_for_what_is_due() {
    let rig = Rig::new().await;
    let key = rig.accept(&payment()).await;
    rig.let_it_become_due(&key).await;
    let mut sweeper = rig.sweeper().await;
    let swept = sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");
    assert_eq!(
        swept,
        json!({
            "sent": 1, "resumed": 0, "moved_on": 0, "failed": 0, "unread_shards": 0,
            "cut_short": false, "held": false, "left_to_queue": 0,
        })
    );
    let calls = names(&rig.proxy.take_calls());
    let count = |name: &str| calls.iter().filter(|it| *it == name).count();
    let shards = stack().table.open_index.shards as usize;
    assert_eq!(
        (count("dynamodb Query"), count(UPDATE), count(SEND), calls.len()),
        (2 * shards, 1, 1, 1 + 2 * shards + 2),
        "each shard is asked for what is due, and for how long its oldest event has been dead"
    );
}
