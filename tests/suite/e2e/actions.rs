//! What the functions do in AWS is what the list says: no more in any test of this
//! suite, and no less in one that makes them do it all. `infra/` allows the same.

use std::collections::BTreeSet;

use inbox_local::actions::{Action, listed};
use serde_json::json;

use super::large::enlarged;
use super::requests::batch;
use super::rig::{DEADLINE, Rig, payment, stripe};

/// Every action is in the list. Each rig and the stack ask this at their end.
pub(super) fn check(performed: &BTreeSet<Action>) {
    let is_listed = |it: &&Action| {
        listed().calls.get(&it.function).is_some_and(|calls| calls.contains(&it.action))
    };
    let unlisted: Vec<&Action> = performed.iter().filter(|it| !is_listed(it)).collect();
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
    let routes = json!([
        { "id": "mirror", "match": "stripe:payment_intent.*", "handler": "mirror" },
        { "id": "drill", "match": "stripe:charge.*", "handler": "drill", "with": { "outcome": "retry" } },
    ]);
    let mut processor = rig.processor(&routes).await;
    rig.process_all(&mut processor).await;
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

    let expected = listed().calls.iter().flat_map(|(function, calls)| {
        calls.iter().map(|action| Action { function: function.clone(), action: action.clone() })
    });
    assert_eq!(rig.performed(), expected.collect());
}
