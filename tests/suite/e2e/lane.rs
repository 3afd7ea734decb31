//! A slow route with the real binary: left for later, and run in the lane.

use inbox_core::Timestamp;
use inbox_core::ledger::State;
use inbox_core::marks::Marks as _;
use serde_json::json;

use super::requests::batch_of;
use super::rig::{DEADLINE, Rig, payment};

/// Operation and resource of what a processor did.
fn calls(rig: &Rig) -> Vec<String> {
    let mut calls: Vec<String> =
        rig.proxy.take_calls().iter().map(|it| it.operation.clone()).collect();
    calls.sort();
    calls
}

#[tokio::test]
async fn an_event_of_a_slow_route_goes_into_the_lane_and_is_handled_there() {
    let rig = Rig::new().await;
    let routes = json!([{ "id": "crm", "match": "stripe:*", "handler": "mirror" }]);
    let mut processor = rig.processor_with_lane(&routes).await;
    rig.ledger.mark("crm", Timestamp::now()).await.expect("a mark");
    let key = rig.accept(&payment()).await;
    let _ = rig.proxy.take_calls();
    rig.process_all(&mut processor).await;
    assert_eq!(calls(&rig), ["GetItem", "SendMessage", "UpdateItem", "UpdateItem"]);
    let left = rig.record(&key).await.expect("the event");
    assert!(left.is_deferred("crm"), "{left:?}");
    assert_eq!((left.state, left.attempts), (State::Received, 0));

    // Not again within fifteen seconds, and two calls for one route besides its own.
    let in_lane = rig.messages_in_lane().await;
    assert_eq!(in_lane.len(), 1);
    let batch = batch_of(&rig.bed.lane_url, &in_lane);
    let answer = processor.invoke_json(&batch, DEADLINE).await.expect("an answer");
    assert_eq!(answer["batchItemFailures"], json!([]));
    assert_eq!(calls(&rig), ["PutItem", "UpdateItem", "UpdateItem"]);
    assert_eq!(rig.stands(&key).await, Some((State::Done, 1, 1)));
}
