//! `inbox redrive` by SQS's own move task, against a double of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use inbox_core::ledger::State;
use inbox_core::queue::{DeadLetter, Queue as _};
use inbox_local::calls::Fault;
use serde_json::json;

use super::letters::{Work, depth, given, held, process_id, signal, visible};
use super::move_tasks::{MoveTasks, arn};
use super::rig::{Operator, finish};
use super::world::{ids, make};

async fn with_dead(count: usize) -> Operator {
    let operator = Operator::new().await;
    let dead = ids("late", count).into_iter();
    make(&operator, dead.map(|id| given(&id, State::Dead, "stripe", "invoice.paid", "timeout")))
        .await;
    operator
}

/// What starts a task as this deployment's would be.
fn task(operator: &Operator, rate: u32) -> serde_json::Value {
    json!({
        "SourceArn": arn(&operator.bed.dlq_url),
        "DestinationArn": arn(&operator.bed.queue_url),
        "MaxNumberOfMessagesPerSecond": rate,
    })
}

#[tokio::test]
async fn everything_is_moved_by_sqs_itself_with_a_destination() {
    let operator = with_dead(150).await;
    let tasks = MoveTasks::install(&operator);
    let ran = operator.run(&["redrive", "--yes", "--rate", "500"]).await.expect(0);
    assert!(ran.text().ends_with("150 dead letters moved\n"), "{}", ran.text());
    assert_eq!(tasks.latest(), Some(("COMPLETED", 150)));
    let calls = operator.proxy.take_calls();
    let start = calls.iter().find(|call| call.is("sqs", "StartMessageMoveTask")).unwrap();
    assert_eq!(start.json(), task(&operator, 500));
    assert!(!calls.iter().any(|call| call.is("sqs", "SendMessageBatch")));
    let work = Work::default();
    work.processing(&operator).run_all().await;
    assert_eq!(work.ran().len(), 150);
    assert!(work.ran().iter().all(|((_, life), times)| (*life, *times) == (2, 1)));
    // And again: an older task that is over is not taken for the new one.
    let again = given("again", State::Dead, "stripe", "invoice.paid", "timeout");
    make(&operator, [again]).await;
    let told = operator.run(&["redrive", "--yes", "--json"]).await.expect(0).json();
    assert_eq!(told["moved"], 1);
    work.processing(&operator).run_all().await;
    assert_eq!(held(&operator, "stripe", "again").await.life, 2);
}

#[tokio::test]
async fn ctrl_c_cancels_the_task_and_the_same_command_goes_on() {
    let operator = with_dead(60).await;
    let tasks = MoveTasks::install(&operator);
    let child = operator.start(&["redrive", "--yes", "--rate", "50"]);
    let child_id = process_id(&child);
    let (watched, answers) = (tasks.clone(), tasks.clone());
    // A second one would end it at once.
    let is_asked = AtomicBool::new(false);
    operator.proxy.set_hook(move |call| {
        let some_moved = watched.latest().is_some_and(|(_, moved)| moved >= 10);
        let is_looking = call.is("sqs", "ListMessageMoveTasks") && some_moved;
        if is_looking && !is_asked.swap(true, Ordering::SeqCst) {
            signal(child_id, "-INT");
        }
        answers.answer(call)
    });
    let ran = finish(child).await.expect(130);
    let Some(("CANCELLED", moved)) = tasks.latest() else { panic!("{:?}", tasks.latest()) };
    assert!((10..60).contains(&moved), "{moved}");
    let told = format!(
        "interrupted: {moved} of about 60 dead letters moved; the same command goes on with the rest\n"
    );
    assert!(ran.stderr.ends_with(&told), "{}", ran.stderr);
    assert_eq!(depth(&operator).await, visible(60 - moved));
    let answers = tasks.clone();
    operator.proxy.set_hook(move |call| answers.answer(call));
    operator.run(&["redrive", "--yes"]).await.expect(0);
    assert_eq!(depth(&operator).await, visible(0));
}

#[tokio::test]
async fn a_task_that_runs_already_is_followed_and_a_filter_beside_it_is_refused() {
    let operator = with_dead(40).await;
    let tasks = MoveTasks::install(&operator);
    tasks.start(&task(&operator, 50));
    let ran = operator.run(&["redrive", "--source", "stripe", "--yes"]).await.expect(1);
    assert!(ran.stderr.contains("a move task is running"), "{}", ran.stderr);
    let ran = operator.run(&["redrive"]).await.expect(0);
    assert!(ran.stderr.starts_with("a move task is running already, and SQS"), "{}", ran.stderr);
    assert_eq!(ran.text(), "40 dead letters moved\n");
    assert_eq!(operator.proxy.count("sqs", "StartMessageMoveTask"), 0);
}

#[tokio::test]
async fn watching_somebody_elses_task_can_be_stopped_without_stopping_the_task() {
    let operator = with_dead(40).await;
    let tasks = MoveTasks::install(&operator);
    tasks.start(&task(&operator, 20));
    let child = operator.start(&["redrive"]);
    let (child_id, answers) = (process_id(&child), tasks.clone());
    let lists = std::sync::atomic::AtomicU32::new(0);
    operator.proxy.set_hook(move |call| {
        let is_list = call.is("sqs", "ListMessageMoveTasks");
        if is_list && lists.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 2 {
            signal(child_id, "-INT");
        }
        answers.answer(call)
    });
    let ran = finish(child).await.expect(130);
    assert!(ran.stderr.contains("stopped watching; "), "{}", ran.stderr);
    assert_eq!(operator.proxy.count("sqs", "CancelMessageMoveTask"), 0);
    while tasks.latest().unwrap().0 == "RUNNING" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(tasks.latest(), Some(("COMPLETED", 40)));
}

#[tokio::test]
async fn a_task_that_somebody_else_started_a_moment_ago_is_followed() {
    let operator = with_dead(20).await;
    let tasks = MoveTasks::install(&operator);
    let (answers, body) = (tasks.clone(), task(&operator, 100));
    operator.proxy.set_hook(move |call| {
        if call.is("sqs", "StartMessageMoveTask") {
            answers.start(&body);
        }
        answers.answer(call)
    });
    let ran = operator.run(&["redrive", "--yes"]).await.expect(0);
    assert!(ran.stderr.contains("another move task was quicker"), "{}", ran.stderr);
    assert!(ran.text().ends_with("20 dead letters moved\n"), "{}", ran.text());
}

#[tokio::test]
async fn with_letters_that_had_better_stay_sqs_is_not_asked_to_move_everything() {
    let operator = with_dead(20).await;
    operator.queue().send_dead(&DeadLetter::unreadable("?".into(), "unreadable")).await.unwrap();
    MoveTasks::install(&operator);
    operator.run(&["redrive", "--yes"]).await.expect(0);
    assert_eq!(operator.proxy.count("sqs", "StartMessageMoveTask"), 0);
    assert_eq!(depth(&operator).await, visible(1));
}

#[tokio::test]
async fn a_queue_that_is_nobodys_dead_letter_queue_is_told_with_what_to_do() {
    let operator = with_dead(5).await;
    let tasks = MoveTasks::install(&operator);
    operator.proxy.set_hook(move |call| {
        if call.is("sqs", "StartMessageMoveTask") {
            return Fault::Status {
                status: 400,
                error_type: "InvalidParameterValue".into(),
                message: "Source queue must be configured as a Dead Letter Queue.".into(),
            };
        }
        tasks.answer(call)
    });
    let ran = operator.run(&["redrive", "--yes"]).await.expect(3);
    assert!(ran.stderr.contains("no queue's redrive policy names"), "{}", ran.stderr);
    assert_eq!(depth(&operator).await, visible(5));
}

#[tokio::test]
async fn a_task_that_fails_is_told_with_how_far_it_came() {
    let operator = with_dead(5).await;
    let tasks = MoveTasks::install(&operator);
    let mut elsewhere = task(&operator, 100);
    elsewhere["DestinationArn"] = json!(format!("{}-x", arn(&operator.bed.queue_url)));
    let answers = tasks.clone();
    operator.proxy.set_hook(move |call| {
        if call.is("sqs", "StartMessageMoveTask") {
            tasks.start(&elsewhere)
        } else {
            answers.answer(call)
        }
    });
    let ran = operator.run(&["redrive", "--yes"]).await.expect(3);
    let told = "the move task failed: AWS.SimpleQueueService.NonExistentQueue; 0 of about 5";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}
