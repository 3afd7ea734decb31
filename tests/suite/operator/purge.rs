//! `inbox purge-dlq`: letters go, events stay.

use inbox_core::ledger::State;
use inbox_local::calls::Fault;
use serde_json::json;

use super::letters::{depth, given, held, run_at_terminal, visible};
use super::rig::Operator;
use super::world::{ids, make};

async fn with_dead(count: usize) -> Operator {
    let operator = Operator::new().await;
    let dead = ids("late", count).into_iter();
    make(&operator, dead.map(|id| given(&id, State::Dead, "stripe", "invoice.paid", "timeout")))
        .await;
    operator
}

#[tokio::test]
async fn the_letters_are_deleted_and_their_events_stay_dead_and_can_be_replayed() {
    let operator = with_dead(130).await;
    let ran = operator.run(&["purge-dlq", "--yes"]).await.expect(0);
    assert!(ran.text().starts_with("130 dead letters deleted"), "{}", ran.text());
    assert!(ran.stderr.contains("inbox replay --state dead"), "{}", ran.stderr);
    assert_eq!(depth(&operator).await, visible(0));
    let record = held(&operator, "stripe", "late-000").await;
    assert_eq!((record.state, record.life), (State::Dead, 1));
    let told = operator.run(&["dlq", "--json"]).await.expect(0).json();
    assert_eq!(told["dead_events_without_letter"], 130);
}

#[tokio::test]
async fn without_a_yes_the_count_is_named_and_nothing_is_deleted() {
    let operator = with_dead(3).await;
    let ran = operator.run(&["purge-dlq"]).await.expect(2);
    assert!(ran.stderr.starts_with("This deletes 3 dead letters for good"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    let ran = operator.run(&["purge-dlq", "--dry-run"]).await.expect(0);
    assert_eq!(ran.text(), "3 dead letters would be deleted\n");
    assert_eq!(operator.proxy.count("sqs", "PurgeQueue"), 0);
    assert_eq!(depth(&operator).await, visible(3));
}

#[tokio::test]
async fn an_empty_queue_needs_no_answer() {
    let operator = Operator::new().await;
    assert_eq!(operator.run(&["purge-dlq"]).await.expect(0).text(), "no dead letters\n");
    let told = operator.run(&["purge-dlq", "--json"]).await.expect(0).json();
    assert_eq!(told, json!({"dry_run": false, "to_purge": 0, "purged": 0}));
    assert_eq!(operator.proxy.count("sqs", "PurgeQueue"), 0);
}

#[tokio::test]
async fn a_second_purge_within_a_minute_is_told_to_wait() {
    let operator = with_dead(2).await;
    let fault = Fault::status(403, "PurgeQueueInProgress");
    operator.proxy.fail_next("sqs", "PurgeQueue", 1, fault);
    let ran = operator.run(&["purge-dlq", "--yes"]).await.expect(1);
    assert!(ran.stderr.contains("SQS takes one purge a minute"), "{}", ran.stderr);
    assert!(ran.stderr.contains("wait a minute"), "{}", ran.stderr);
    assert_eq!(depth(&operator).await, visible(2));
}

#[tokio::test]
async fn whoever_types_the_count_goes_on_and_nobody_else() {
    let operator = with_dead(3).await;
    for typed in ["2\n", "yes\n", "\n"] {
        let (code, shown) = run_at_terminal(&operator, &["purge-dlq"], typed).await;
        assert_eq!(code, 1, "{shown}");
        assert!(shown.contains("not confirmed, and nothing was done"), "{shown}");
        assert_eq!(depth(&operator).await, visible(3));
    }
    let (code, shown) = run_at_terminal(&operator, &["purge-dlq"], "3\n").await;
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Delete them? Type 3 to go on: "), "{shown}");
    assert_eq!(depth(&operator).await, visible(0));
}
