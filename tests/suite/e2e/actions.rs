//! What the functions do in AWS is what the list says: no more in any test of this
//! suite, and no less in one that makes them do it all. `infra/` allows the same.

use std::collections::BTreeSet;

use inbox_core::Timestamp;
use inbox_core::marks::Marks as _;
use inbox_local::actions::{Action, listed};
use serde_json::json;

use super::large::enlarged;
use super::requests::{batch, batch_of};
use super::rig::{DEADLINE, Rig, key, payment, stripe};
use crate::forward::endpoint::{Endpoint, says};
use crate::targets::made;

/// Everything that the list has, which tests must drive, here and under faults: calls
/// of functions, and those of the processor for handlers.
pub(crate) fn driven() -> BTreeSet<Action> {
    let of_handlers = listed().with_handler.values().map(|calls| ("processor", calls));
    let of_functions = listed().calls.iter().map(|(function, calls)| (function.as_str(), calls));
    let by_function = of_functions.chain(of_handlers);
    let actions = by_function.flat_map(|(function, calls)| {
        calls.iter().map(move |it| Action { function: function.to_owned(), action: it.clone() })
    });
    actions.collect()
}

/// Every action is in the list. Each rig and the stack ask this at their end.
pub(super) fn check(performed: &BTreeSet<Action>) {
    let unlisted: Vec<Action> = performed.difference(&driven()).cloned().collect();
    assert!(
        unlisted.is_empty(),
        "without permission in the cloud: {unlisted:?}; add them to tests/fixtures/aws_actions.json \
         and to the policies in infra/"
    );
}

#[tokio::test]
async fn the_functions_do_in_aws_what_the_list_says_and_nothing_else() {
    let rig = Rig::new().await;
    // A cold start and an accepted event; its copy in the mirror, in a cold processor.
    rig.accept(&payment()).await;
    let (queue, topic) =
        (made::queue(&rig.bed, "target").await, made::topic(&rig.bed, "topic").await);
    let (bus, function) = (made::bus(&rig.bed, &queue).await, made::function(&rig.bed).await);
    let endpoint = Endpoint::always(says(200, "")).await;
    let (url, secret) = (endpoint.url(), made::forward_secret(&rig.bed).await);
    let forward = json!({ "url": url, "secret_id": secret, "allow_private_addresses": true });
    let paid = "stripe:payment_intent.*";
    let routes = json!([
        { "id": "mirror", "match": paid, "handler": "mirror" },
        { "id": "bus", "match": paid, "handler": "publish", "with": { "bus": bus } },
        { "id": "function", "match": paid, "handler": "invoke", "with": { "function": function } },
        { "id": "queue", "match": paid, "handler": "enqueue", "with": { "queue_url": queue } },
        { "id": "topic", "match": paid, "handler": "enqueue", "with": { "topic_arn": topic } },
        { "id": "endpoint", "match": paid, "handler": "forward", "with": forward },
        { "id": "drill", "match": "stripe:charge.*", "handler": "drill", "with": { "outcome": "retry" } },
    ]);
    let mut processor = rig.processor(&routes).await;
    rig.process_all(&mut processor).await;
    let handled = rig.record(&key("evt_test_1")).await.expect("the event").handlers;
    assert_eq!(
        handled.keys().collect::<Vec<_>>(),
        ["bus", "endpoint", "function", "mirror", "queue", "topic"]
    );
    // Retries with the message hidden, then a burial.
    rig.accept(&stripe("charge_dispute_created.json")).await;
    rig.process_all(&mut processor).await;
    // A payload that fits no item, which dies and is redriven.
    let dispute = stripe("charge_dispute_created.json").replacing("evt_test_", "evt_large_");
    rig.accept(&enlarged(dispute, 1_000_000)).await;
    rig.process_all(&mut processor).await;
    let mut letters = rig.dead_letters().await;
    letters.retain(|it| it.body().is_some_and(|it| it.contains("evt_large_")));
    processor.invoke_json(&batch(&letters), DEADLINE).await.expect("an answer");
    // One of a slow route, which fails in the lane.
    rig.ledger.mark("drill", Timestamp::now()).await.expect("a mark");
    let mut with_lane = rig.processor_with_lane(&routes).await;
    let slow = stripe("charge_dispute_created.json").replacing("evt_test_", "evt_slow_");
    rig.accept(&slow).await;
    rig.process_all(&mut with_lane).await;
    let in_lane = batch_of(&rig.bed.lane_url, &rig.messages_in_lane().await);
    with_lane.invoke_json(&in_lane, DEADLINE).await.expect("an answer");
    // An event that was overlooked, and the sweep that finds it.
    let key = rig.accept(&stripe("customer_subscription_deleted.json")).await;
    rig.let_it_become_due(&key).await;
    let mut sweeper = rig.sweeper().await;
    sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");

    assert_eq!(rig.performed(), driven());
}
