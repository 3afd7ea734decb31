//! `inbox redrive` from here: a part of the letters, or a queue service without
//! move tasks. Whatever breaks off, nothing is lost and no life is run twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use inbox_core::queue::{DeadLetter, Pointer, Queue as _};
use inbox_local::calls::Fault;
use serde_json::json;
use tokio::process::Child;

use super::letters::{
    Work, depth, drain, given, held, names, process_id, run_at_terminal, send, signal, visible,
};
use super::rig::{Operator, finish};
use super::world::{Given, ids, make};

fn dead(prefix: &str, count: usize) -> Vec<Given> {
    ids(prefix, count)
        .into_iter()
        .map(|id| given(&id, State::Dead, "stripe", "invoice.paid", "upstream timeout"))
        .collect()
}

/// Each of these ran once in life 2, and is done.
async fn assert_done_in_life_2(operator: &Operator, work: &Work, given: &[Given]) {
    let expected: BTreeMap<(EventKey, u32), usize> =
        given.iter().map(|given| ((given.event.key.clone(), 2), 1)).collect();
    assert_eq!(work.ran(), expected);
    for given in given {
        let EventKey { source, id } = &given.event.key;
        let record = held(operator, source, id).await;
        assert_eq!((record.state, record.life), (State::Done, 2), "{id}");
    }
}

#[tokio::test]
async fn everything_that_is_worth_it_is_moved_and_opens_one_life_each() {
    let operator = Operator::new().await;
    let late = dead("late", 200);
    make(&operator, late.clone()).await;
    let state = |prefix: &str, count, state| -> Vec<Given> {
        let ids = ids(prefix, count).into_iter();
        ids.map(|id| given(&id, state, "github", "push", "flaky")).collect()
    };
    let (over, early) = (state("over", 20, State::Done), state("early", 3, State::Failing));
    let unknown = state("unknown", 4, State::Dead);
    make(&operator, over.iter().chain(&early).cloned()).await;
    let bodies: Vec<String> =
        over.iter().chain(&early).chain(&unknown).map(|given| names(given, 2)).collect();
    send(&operator, &operator.bed.dlq_url, &bodies).await;
    operator.queue().send_dead(&DeadLetter::unreadable("?".into(), "unreadable")).await.unwrap();

    let told = operator.run(&["redrive", "--yes", "--json"]).await.expect(0).json();
    assert_eq!((&told["moved"], &told["failed"]), (&json!(220), &json!(0)));
    assert_eq!((&told["plan"]["to_move"], &told["plan"]["to_stay"]), (&json!(220), &json!(8)));
    // What stays is visible at once.
    assert_eq!(depth(&operator).await, visible(8));
    let work = Work::default();
    work.processing(&operator).run_all().await;
    assert_done_in_life_2(&operator, &work, &late).await;
    assert_eq!(depth(&operator).await, visible(8));
}

#[tokio::test]
async fn a_filter_moves_what_it_means_and_leaves_the_rest_visible() {
    let operator = Operator::new().await;
    let timeouts = dead("late", 60);
    let others: Vec<Given> = ids("push", 90)
        .into_iter()
        .map(|id| given(&id, State::Dead, "github", "push", "no such repository"))
        .collect();
    make(&operator, timeouts.iter().chain(&others).cloned()).await;
    let arguments = ["redrive", "--source", "str*", "--error", "*timeout", "--yes"];
    let ran = operator.run(&arguments).await.expect(0);
    assert!(ran.text().ends_with("60 dead letters moved\n"), "{}", ran.text());
    assert_eq!(depth(&operator).await, visible(90));
    let ran = operator.run(&arguments).await.expect(0);
    assert_eq!(ran.text(), "nothing to redrive\n");
    let work = Work::default();
    work.processing(&operator).run_all().await;
    assert_done_in_life_2(&operator, &work, &timeouts).await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let operator = Operator::new().await;
    make(&operator, dead("late", 12)).await;
    operator.queue().send_dead(&DeadLetter::unreadable("?".into(), "unreadable")).await.unwrap();
    let told = operator.run(&["redrive", "--dry-run", "--json"]).await.expect(0).json();
    assert_eq!((&told["plan"]["to_move"], &told["plan"]["to_stay"]), (&json!(12), &json!(1)));
    assert_eq!((&told["dry_run"], &told["moved"]), (&json!(true), &json!(0)));
    let ran = operator.run(&["redrive", "--dry-run"]).await.expect(0);
    assert!(ran.text().contains("to be sent back to the queue: 12 dead letters"), "{}", ran.text());
    assert!(ran.text().contains("left where they are: 1 dead letter\n"), "{}", ran.text());
    assert!(ran.stderr.ends_with("a dry run: nothing was moved\n"), "{}", ran.stderr);
    // Nobody is there to be asked either.
    let ran = operator.run(&["redrive"]).await.expect(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    for operation in ["SendMessageBatch", "DeleteMessageBatch", "StartMessageMoveTask"] {
        assert_eq!(operator.proxy.count("sqs", operation), 0, "{operation}");
    }
    assert_eq!(depth(&operator).await, visible(13));
}

#[tokio::test]
async fn at_a_terminal_it_asks_and_ctrl_c_is_a_no() {
    let operator = Operator::new().await;
    make(&operator, dead("late", 4)).await;
    for (typed, code) in [("no\n", 1), ("\u{3}", 130)] {
        let (ended, shown) = run_at_terminal(&operator, &["redrive"], typed).await;
        assert_eq!(ended, code, "{shown}");
        assert!(shown.contains("Send 4 dead letters back to the queue? Type yes"), "{shown}");
        assert!(shown.contains("not confirmed, and nothing was done"), "{shown}");
        assert_eq!(depth(&operator).await, visible(4));
    }
    let (ended, shown) = run_at_terminal(&operator, &["redrive"], "yes\n").await;
    assert_eq!(ended, 0, "{shown}");
    assert!(shown.contains("4 dead letters moved"), "{shown}");
}

#[tokio::test]
async fn an_empty_dead_letter_queue_leaves_nothing_to_do() {
    let operator = Operator::new().await;
    let ran = operator.run(&["redrive", "--yes"]).await.expect(0);
    assert_eq!(ran.text(), "nothing to redrive\n");
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_told_before_anything_is_moved() {
    let mut operator = Operator::new().await;
    operator.run_by_an_administrator();
    make(&operator, dead("late", 5)).await;
    operator.set("queue_url", json!(format!("{}-x", operator.bed.queue_url)));
    let ran = operator.run(&["redrive", "--yes", "--source", "stripe"]).await.expect(3);
    assert!(ran.stderr.contains("NonExistentQueue"), "{}", ran.stderr);
    assert_eq!(depth(&operator).await, visible(5));
}

/// Starts the command and does `then` to it when it is about to make this call
/// for the n-th time; that call does not arrive.
fn start_and_break(
    operator: &Operator,
    arguments: &[&str],
    operation: &'static str,
    n: u32,
    sent: &'static str,
) -> Child {
    let child_id: Arc<OnceLock<u32>> = Arc::default();
    let (id, calls) = (Arc::clone(&child_id), AtomicU32::new(0));
    operator.proxy.set_hook(move |call| {
        if !call.is("sqs", operation) || calls.fetch_add(1, Ordering::SeqCst) + 1 != n {
            return Fault::None;
        }
        signal(*id.get().unwrap(), sent);
        if sent == "-KILL" {
            Fault::DropBefore
        } else {
            Fault::DelayReply(Duration::from_millis(300))
        }
    });
    let child = operator.start(arguments);
    child_id.set(process_id(&child)).unwrap();
    child
}

/// Waits until what a killed process had received is visible again.
async fn until_all_visible(operator: &Operator) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while depth(operator).await.in_flight > 0 {
        assert!(Instant::now() < deadline, "letters stay hidden");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Kills a redrive at this call, lets a part of what it sent be processed, runs
/// it again, and returns how many messages waited for the processor.
async fn redriven_killed_and_redriven(operation: &'static str) -> usize {
    let operator = Operator::new().await;
    let late = dead("late", 120);
    make(&operator, late.clone()).await;
    let arguments = ["redrive", "--yes", "--rate", "100"];
    let child = start_and_break(&operator, &arguments, operation, 7, "-KILL");
    assert_eq!(finish(child).await.code, -1);
    operator.proxy.clear_hook();
    let left = depth(&operator).await.total();
    // On a busy machine the pace makes smaller batches.
    assert!((20..=100).contains(&left), "killed half-way: {left} left");
    let work = Work::default();
    let processing = work.processing(&operator);
    let mut handled = 0;
    for _ in 0..3 {
        handled += processing.run_once().await;
    }
    until_all_visible(&operator).await;
    assert_eq!(depth(&operator).await, visible(left));
    operator.run(&["redrive", "--yes"]).await.expect(0);
    assert_eq!(depth(&operator).await, visible(0));
    handled += drain_and_give_back(&operator).await;
    processing.run_all().await;
    assert_done_in_life_2(&operator, &work, &late).await;
    assert_eq!(depth(&operator).await, visible(0));
    handled
}

#[tokio::test]
async fn killed_between_send_and_delete_no_letter_is_lost_and_every_life_is_run_once() {
    let (before_send, before_delete) = tokio::join!(
        redriven_killed_and_redriven("SendMessageBatch"),
        redriven_killed_and_redriven("DeleteMessageBatch"),
    );
    // Whoever dies before the delete leaves letters that are sent twice.
    assert!(before_send >= 120, "{before_send}");
    assert!(before_delete >= 130, "{before_delete}");
}

/// How many messages wait in the queue.
async fn drain_and_give_back(operator: &Operator) -> usize {
    let bodies = drain(operator, &operator.bed.queue_url).await;
    send(operator, &operator.bed.queue_url, &bodies).await;
    bodies.len()
}

#[tokio::test]
async fn ctrl_c_half_way_says_how_far_it_came_and_the_same_command_goes_on() {
    let operator = Operator::new().await;
    let late = dead("late", 100);
    make(&operator, late.clone()).await;
    let arguments = ["redrive", "--yes", "--rate", "100"];
    let child = start_and_break(&operator, &arguments, "SendMessageBatch", 5, "-INT");
    let ran = finish(child).await.expect(130);
    operator.proxy.clear_hook();
    let left = depth(&operator).await;
    assert_eq!(left.in_flight, 0, "everything is visible at once");
    let moved = 100 - left.visible;
    assert!((40..=90).contains(&moved), "{moved}");
    let told = format!(
        "interrupted: {moved} of about 100 dead letters moved; the same command goes on with the rest\n"
    );
    assert!(ran.stderr.ends_with(&told), "{}", ran.stderr);
    operator.run(&arguments).await.expect(0);
    let work = Work::default();
    work.processing(&operator).run_all().await;
    assert_done_in_life_2(&operator, &work, &late).await;
}

#[tokio::test]
async fn a_letter_that_the_queue_did_not_take_is_not_deleted() {
    let operator = Operator::new().await;
    make(&operator, dead("late", 3)).await;
    operator.proxy.set_hook(|call| {
        if !call.is("sqs", "SendMessageBatch") {
            return Fault::None;
        }
        let failed =
            json!({"Id": "0", "Code": "InternalError", "SenderFault": false, "Message": "no"});
        Fault::Answer { status: 200, body: json!({"Successful": [], "Failed": [failed]}) }
    });
    let ran = operator.run(&["redrive", "--yes"]).await.expect(1);
    assert!(ran.text().contains("0 dead letters moved\n3 could not be moved"), "{}", ran.text());
    assert_eq!(operator.proxy.count("sqs", "DeleteMessageBatch"), 0);
    assert_eq!(depth(&operator).await, visible(3));
}

#[tokio::test]
async fn a_refusal_half_way_says_how_far_it_came_and_leaves_the_rest_visible() {
    let operator = Operator::new().await;
    make(&operator, dead("late", 30)).await;
    let sends = AtomicU32::new(0);
    operator.proxy.set_hook(move |call| {
        let is_send = call.is("sqs", "SendMessageBatch");
        let refused = is_send && sends.fetch_add(1, Ordering::SeqCst) >= 4;
        if refused { Fault::status(403, "AccessDenied") } else { Fault::None }
    });
    let ran = operator.run(&["redrive", "--yes", "--rate", "50"]).await.expect(3);
    let told = "20 dead letters moved before this; the same command goes on with the rest\n\
                error: queue unavailable: SendMessageBatch: AccessDenied";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(ran.stderr.contains("lacks a permission"), "{}", ran.stderr);
    assert_eq!(depth(&operator).await, visible(10));
}

#[tokio::test]
async fn letters_that_were_sent_twice_because_the_reply_was_lost_run_once() {
    let operator = Operator::new().await;
    let late = dead("late", 10);
    make(&operator, late.clone()).await;
    operator.proxy.fail_next("sqs", "SendMessageBatch", 1, Fault::DropReply);
    operator.run(&["redrive", "--yes"]).await.expect(0);
    assert_eq!(drain_and_give_back(&operator).await, 20);
    let work = Work::default();
    work.processing(&operator).run_all().await;
    assert_done_in_life_2(&operator, &work, &late).await;
}

#[tokio::test]
async fn an_event_that_dies_again_meanwhile_is_not_fed_to_its_handler_for_ever() {
    let operator = Operator::new().await;
    make(&operator, dead("late", 30)).await;
    let work = Work::failing();
    let processing = work.processing(&operator);
    let child = operator.start(&["redrive", "--yes", "--rate", "20"]);
    let mut redrive = std::pin::pin!(finish(child));
    let ran = loop {
        tokio::select! {
            ran = &mut redrive => break ran,
            _ = processing.run_once() => {}
        }
    };
    assert!(ran.expect(0).text().ends_with("30 dead letters moved\n"));
    processing.run_all().await;
    let ran = work.ran();
    assert_eq!(ran.len(), 30);
    assert!(ran.iter().all(|((_, life), times)| (*life, *times) == (2, 1)), "{ran:?}");
    // Each has a letter for its third life.
    assert_eq!(depth(&operator).await, visible(30));
    let bodies = drain(&operator, &operator.bed.dlq_url).await;
    assert!(bodies.iter().all(|body| Pointer::parse(body).unwrap().life == 3));
}

#[tokio::test]
async fn the_rate_is_kept() {
    let operator = Operator::new().await;
    make(&operator, dead("late", 30)).await;
    let sent_at: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let sends = Arc::clone(&sent_at);
    operator.proxy.set_hook(move |call| {
        if call.is("sqs", "SendMessageBatch") {
            sends.lock().unwrap().push(Instant::now());
        }
        Fault::None
    });
    operator.run(&["redrive", "--yes", "--rate", "15"]).await.expect(0);
    let sent_at = sent_at.lock().unwrap();
    assert_eq!(sent_at.len(), 30, "one at a time, so that the rate is kept within a second too");
    let took = sent_at[29] - sent_at[0];
    // 29 wait a fifteenth of a second each.
    assert!((Duration::from_millis(1850)..Duration::from_secs(10)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn thousands_of_letters_are_moved() {
    let operator = Operator::new().await;
    make(&operator, dead("late", 1)).await;
    let letters = drain(&operator, &operator.bed.dlq_url).await;
    // Letters of one life: the first opens it, the others are stale.
    send(&operator, &operator.bed.dlq_url, &vec![letters[0].clone(); 2000]).await;
    let told = operator.run(&["redrive", "--yes", "--json"]).await.expect(0).json();
    assert_eq!((&told["moved"], &told["failed"]), (&json!(2000), &json!(0)));
    assert_eq!(depth(&operator).await, visible(0));
}
