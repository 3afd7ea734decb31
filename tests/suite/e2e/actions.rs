//! What the functions do in AWS is what the list says: no more in any test of this
//! suite, and no less in one that makes them do it all. `infra/` allows the same.

use std::collections::BTreeSet;

use inbox_local::actions::{Action, listed};
use serde_json::json;

use super::large::enlarged;
use super::requests::batch;
use super::rig::{DEADLINE, Rig, key, payment, stripe};
use crate::forward::endpoint::{Endpoint, says};
use crate::targets::made;

/// Handlers whose calls are not driven under faults: the secret of `forward` is fetched
/// once in a process's life, and its cache has tests of its own.
const NOT_DRIVEN: [&str; 1] = ["forward"];

/// Everything that the list has: of functions, and of the processor for handlers.
fn all(without: &[&str]) -> BTreeSet<Action> {
    let handlers = listed().with_handler.iter();
    let handlers = handlers.filter(|(handler, _)| !without.contains(&handler.as_str()));
    let of_handlers = handlers.map(|(_, calls)| ("processor", calls));
    let of_functions = listed().calls.iter().map(|(function, calls)| (function.as_str(), calls));
    let by_function = of_functions.chain(of_handlers);
    let actions = by_function.flat_map(|(function, calls)| {
        calls.iter().map(move |it| Action { function: function.to_owned(), action: it.clone() })
    });
    actions.collect()
}

/// What tests must drive under faults.
pub(crate) fn driven() -> BTreeSet<Action> {
    all(&NOT_DRIVEN)
}

/// Every action is in the list. Each rig and the stack ask this at their end.
pub(super) fn check(performed: &BTreeSet<Action>) {
    let unlisted: Vec<Action> = performed.difference(&all(&[])).cloned().collect();
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
    let secret =
        json!({ "signing_secrets": ["whsec_ZTJlIHNlY3JldCBvZiBmb3J3YXJkLCAzMiBieXRlcw=="] });
    let forward = json!({
        "url": endpoint.url(),
        "secret_id": rig.bed.create_secret(&secret).await.expect("a secret"),
        "allow_private_addresses": true,
    });
    let paid = "stripe:payment_intent.*";
    let routes = json!([
        { "id": "mirror", "match": paid, "handler": "mirror" },
        { "id": "bus", "match": paid, "handler": "publish", "with": { "bus": bus } },
        { "id": "endpoint", "match": paid, "handler": "forward", "with": forward },
        { "id": "function", "match": paid, "handler": "invoke", "with": { "function": function } },
        { "id": "queue", "match": paid, "handler": "enqueue", "with": { "queue_url": queue } },
        { "id": "topic", "match": paid, "handler": "enqueue", "with": { "topic_arn": topic } },
        { "id": "drill", "match": "stripe:charge.*", "handler": "drill", "with": { "outcome": "retry" } },
    ]);
    let mut processor = rig.processor(&routes).await;
    rig.process_all(&mut processor).await;
    let handled = rig.record(&key("evt_test_1")).await.expect("the event").handlers;
    let routes = ["bus", "endpoint", "function", "mirror", "queue", "topic"];
    assert_eq!(handled.keys().collect::<Vec<_>>(), routes);
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
    // An event that was overlooked, and the sweep that finds it.
    let key = rig.accept(&stripe("customer_subscription_deleted.json")).await;
    rig.let_it_become_due(&key).await;
    let mut sweeper = rig.sweeper().await;
    sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer");

    assert_eq!(rig.performed(), all(&[]));
}
