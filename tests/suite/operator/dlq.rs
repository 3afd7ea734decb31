//! `inbox dlq`: what lies dead, and that looking leaves no trace.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use inbox_core::ledger::State;
use inbox_core::queue::{DeadLetter, Queue as _};
use inbox_local::calls::Fault;
use serde_json::{Value, json};

use super::letters::{depth, drain, given, names, process_id, send, signal, visible};
use super::rig::{Operator, finish};
use super::world::{ids, make};

const TIMEOUT: &str = "billing: upstream timeout";

/// Hundreds of events and letters of every kind; how many letters there are.
async fn every_kind(operator: &Operator) -> u64 {
    let dead =
        |ids: Vec<String>, source: &'static str, event_type: &'static str, error: &'static str| {
            ids.into_iter().map(move |id| given(&id, State::Dead, source, event_type, error))
        };
    // Dead, and their letters are gone.
    make(operator, dead(ids("gone", 8), "stripe", "invoice.paid", "upstream timeout")).await;
    assert_eq!(drain(operator, &operator.bed.dlq_url).await.len(), 8);

    make(operator, dead(ids("late", 120), "stripe", "invoice.paid", "upstream timeout")).await;
    make(operator, dead(ids("push", 60), "github", "push", "no such repository")).await;
    let unfinished = |prefix: &str, count, state| -> Vec<_> {
        let ids = ids(prefix, count).into_iter();
        ids.map(|id| given(&id, state, "stripe", "charge.failed", "flaky")).collect()
    };
    let (alive, early) =
        (unfinished("alive", 12, State::Failing), unfinished("early", 3, State::Failing));
    let (over, fine) =
        (unfinished("over", 15, State::Done), unfinished("fine", 30, State::Received));
    for group in [&alive, &early, &over, &fine] {
        make(operator, group.clone()).await;
    }
    let unknown = unfinished("unknown", 4, State::Dead);
    let mut bodies: Vec<String> = alive.iter().map(|given| names(given, 1)).collect();
    bodies.extend(early.iter().chain(&over).chain(&unknown).map(|given| names(given, 2)));
    send(operator, &operator.bed.dlq_url, &bodies).await;
    for n in 0..2 {
        let letter =
            DeadLetter::unreadable(format!("{{\"n\":{n}}}"), "not a message of this inbox");
        operator.queue().send_dead(&letter).await.unwrap();
    }
    120 + 60 + 12 + 3 + 15 + 4 + 2
}

#[tokio::test]
async fn letters_are_grouped_by_what_went_wrong_and_those_whose_event_is_not_dead_are_marked() {
    let operator = Operator::new().await;
    let count = every_kind(&operator).await;
    let told = operator.run(&["dlq", "--json"]).await.expect(0).json();
    let mut groups: Vec<Value> = told["groups"].as_array().unwrap().clone();
    for group in &mut groups {
        assert!(group.as_object_mut().unwrap().remove("oldest_at").unwrap().is_string());
    }
    let none =
        json!({"redrivable": 0, "alive": 0, "early": 0, "over": 0, "unknown": 0, "unreadable": 0});
    let group = |source: &str, event_type: &str, error: &str, letters: u32, fates: Value| {
        let mut group =
            json!({"source": source, "type": event_type, "error": error, "letters": letters});
        let fates = fates.as_object().unwrap().clone();
        let all = none.as_object().unwrap().clone().into_iter().chain(fates);
        group.as_object_mut().unwrap().extend(all);
        group
    };
    assert_eq!(
        groups,
        [
            group("stripe", "invoice.paid", TIMEOUT, 120, json!({"redrivable": 120})),
            group("github", "push", "billing: no such repository", 60, json!({"redrivable": 60})),
            // Neither has a note: type and error are the ledger's.
            group("stripe", "charge.failed", "", 15, json!({"over": 15})),
            group(
                "stripe",
                "charge.failed",
                "billing: flaky",
                15,
                json!({"alive": 12, "early": 3})
            ),
            group("stripe", "", "", 4, json!({"unknown": 4})),
            group("", "", "not a message of this inbox", 2, json!({"unreadable": 2})),
        ]
    );
    assert_eq!(told["visible"], count);
    assert_eq!(told["seen"], count);
    assert_eq!(told["is_sample"], false);
    assert_eq!(told["redrivable"], 180);
    assert_eq!(told["dead_events"], 188);
    assert_eq!(told["dead_events_without_letter"], 8);

    let ran = operator.run(&["dlq"]).await.expect(0);
    let text = ran.text();
    assert!(text.starts_with("216 dead letters, the oldest sent "), "{text}");
    assert!(text.contains("12 alive, 3 early"), "{text}");
    assert!(text.contains("alive: its event lives on"), "{text}");
    assert!(
        text.contains("8 dead events have no letter here that could open them again"),
        "{text}"
    );
    assert!(ran.stderr.contains("inbox redrive --dry-run"), "{}", ran.stderr);
    assert!(ran.stderr.contains("inbox replay --state dead"), "{}", ran.stderr);
    assert_eq!(depth(&operator).await, visible(count));
}

#[tokio::test]
async fn a_message_that_sqs_itself_moved_is_a_letter_of_an_event_that_lives_on() {
    let operator = Operator::new().await;
    let ghost = given("ghost", State::Failing, "stripe", "invoice.paid", "flaky");
    make(&operator, [ghost.clone()]).await;
    send(&operator, &operator.bed.queue_url, &[names(&ghost, 1)]).await;
    for _ in 0..=operator.bed.facts.queue.max_receive_count {
        let receive = operator.bed.sqs().receive_message().queue_url(&operator.bed.queue_url);
        receive.visibility_timeout(0).send().await.unwrap();
    }
    let shown = operator.run(&["dlq", "show", "stripe", "ghost", "--json"]).await.expect(0).json();
    assert_eq!((&shown["fate"], &shown["life"]), (&json!("alive"), &json!(1)));
    assert_eq!(shown["moved_from"], super::move_tasks::arn(&operator.bed.queue_url));
    assert_eq!(shown["event"]["state"], "failing");
    let text = operator.run(&["dlq", "show", "stripe", "ghost"]).await.expect(0);
    assert!(text.text().contains("after too many receives"), "{}", text.text());
}

#[tokio::test]
async fn an_empty_dead_letter_queue_is_good_news() {
    let operator = Operator::new().await;
    let ran = operator.run(&["dlq"]).await.expect(0);
    assert_eq!((ran.text(), ran.stderr.as_str()), ("no dead letters\n", ""));
    let told = operator.run(&["dlq", "--json"]).await.expect(0).json();
    assert_eq!((&told["seen"], &told["groups"]), (&json!(0), &json!([])));
    assert_eq!(operator.run(&["dlq", "list"]).await.expect(0).text(), "no dead letters\n");
    let ran = operator.run(&["dlq", "list", "--json"]).await.expect(0);
    assert_eq!(ran.text(), "{\"has_more\":false,\"letters\":[]}\n");
}

#[tokio::test]
async fn thousands_of_letters_are_looked_through_and_all_visible_again() {
    let operator = Operator::new().await;
    make(
        &operator,
        ids("dead", 100)
            .into_iter()
            .map(|id| given(&id, State::Dead, "stripe", "invoice.paid", "upstream timeout")),
    )
    .await;
    let bodies: Vec<String> = (0..2900)
        .map(|n| names(&given(&format!("lost-{n}"), State::Dead, "github", "push", ""), 2))
        .collect();
    send(&operator, &operator.bed.dlq_url, &bodies).await;
    let started = Instant::now();
    let told = operator.run(&["dlq", "--json"]).await.expect(0).json();
    let took = started.elapsed();
    assert_eq!((&told["seen"], &told["is_sample"]), (&json!(3000), &json!(false)));
    assert_eq!(told["redrivable"], 100);
    assert_eq!(told["groups"][0]["unknown"], 2900);
    assert_eq!(depth(&operator).await, visible(3000));
    assert!(took < Duration::from_secs(30), "{took:?}");

    let told = operator.run(&["dlq", "--json", "--most", "500"]).await.expect(0).json();
    assert_eq!(told["is_sample"], true);
    let seen = told["seen"].as_u64().unwrap();
    assert!((500..=660).contains(&seen), "{seen}");
    assert_eq!(told["dead_events_without_letter"], Value::Null);
    let ran = operator.run(&["dlq", "--most", "500"]).await.expect(0);
    assert!(ran.text().starts_with("3000 dead letters"), "{}", ran.text());
    assert!(ran.stderr.starts_with("a sample: "), "{}", ran.stderr);
    assert_eq!(depth(&operator).await, visible(3000));
}

#[tokio::test]
async fn a_fault_on_the_way_leaves_every_letter_visible() {
    let operator = Operator::new().await;
    make(
        &operator,
        ids("dead", 40)
            .into_iter()
            .map(|id| given(&id, State::Dead, "stripe", "invoice.paid", "upstream timeout")),
    )
    .await;
    let receives = AtomicU32::new(0);
    operator.proxy.set_hook(move |call| {
        let third =
            call.is("sqs", "ReceiveMessage") && receives.fetch_add(1, Ordering::SeqCst) >= 2;
        if third { Fault::status(400, "AccessDenied") } else { Fault::None }
    });
    let ran = operator.run(&["dlq"]).await.expect(3);
    assert!(ran.stderr.contains("ReceiveMessage: AccessDenied"), "{}", ran.stderr);
    assert!(ran.stderr.contains("lacks a permission"), "{}", ran.stderr);
    assert_eq!(depth(&operator).await, visible(40));
}

#[tokio::test]
async fn ctrl_c_while_looking_leaves_every_letter_visible() {
    let operator = Operator::new().await;
    make(
        &operator,
        ids("dead", 40)
            .into_iter()
            .map(|id| given(&id, State::Dead, "stripe", "invoice.paid", "upstream timeout")),
    )
    .await;
    let child_id: Arc<OnceLock<u32>> = Arc::default();
    let (id, receives) = (Arc::clone(&child_id), AtomicU32::new(0));
    operator.proxy.set_hook(move |call| {
        if !call.is("sqs", "ReceiveMessage") {
            return Fault::None;
        }
        if receives.fetch_add(1, Ordering::SeqCst) == 1 {
            signal(*id.get().unwrap(), "-INT");
        }
        // Long enough for the signal to be heard.
        Fault::DelayReply(Duration::from_millis(300))
    });
    let child = operator.start(&["dlq"]);
    child_id.set(process_id(&child)).unwrap();
    let ran = finish(child).await.expect(130);
    assert_eq!(ran.stderr, "interrupted: stopped while looking; nothing was changed\n");
    assert_eq!(depth(&operator).await, visible(40));
}

#[tokio::test]
async fn an_event_that_is_buried_meanwhile_is_not_said_to_be_without_a_letter() {
    let operator = Operator::new().await;
    make(&operator, [given("old", State::Dead, "stripe", "invoice.paid", "x")]).await;
    let (ledger, queue) = (operator.ledger(), operator.queue());
    let new = Mutex::new(Some(given("new", State::Dead, "stripe", "invoice.paid", "x")));
    operator.proxy.set_hook(move |call| {
        if let Some(new) = new.lock().unwrap().take_if(|_| call.is("dynamodb", "BatchGetItem")) {
            let (ledger, queue) = (ledger.clone(), queue.clone());
            tokio::spawn(async move { new.make(&ledger, &queue).await });
            // Long enough for it to be buried; the letters have been looked through.
            return Fault::DelayReply(Duration::from_secs(1));
        }
        Fault::None
    });
    let told = operator.run(&["dlq", "--json"]).await.expect(0).json();
    assert_eq!(told["dead_events_without_letter"], 0);
    operator.proxy.clear_hook();
    assert_eq!(operator.run(&["dlq", "--json"]).await.expect(0).json()["dead_events"], 2);
}

#[tokio::test]
async fn the_list_is_filtered_by_source_type_and_error() {
    let operator = Operator::new().await;
    let count = every_kind(&operator).await;
    for (arguments, matching) in [
        (&[][..], count),
        (&["--source", "git*"], 60),
        (&["--type", "charge.*"], 30),
        (&["--error", "*timeout*"], 120),
        // By the ledger's last error, where the letter has no note.
        (&["--error", "*flaky"], 15),
        (&["--source", "stripe", "--type", "invoice.paid", "--error", "*repository"], 0),
    ] {
        let mut all = vec!["dlq", "list", "--json", "--limit", "1000"];
        all.extend(arguments);
        let ran = operator.run(&all).await.expect(0);
        let letters = ran.json()["letters"].as_array().map_or(0, Vec::len) as u64;
        assert_eq!(letters, matching, "{arguments:?}");
    }
    let ran = operator.run(&["dlq", "list", "--source", "github", "--limit", "5"]).await.expect(0);
    assert_eq!(ran.text().lines().count(), 6, "{}", ran.text());
    assert!(ran.text().contains("dead, life 1"), "{}", ran.text());
    assert_eq!(ran.stderr, "55 more match; show them with --limit 60\n");
}

#[tokio::test]
async fn a_letter_is_shown_by_its_message_id_or_by_its_event() {
    let operator = Operator::new().await;
    make(&operator, [given("evt_1", State::Dead, "stripe", "invoice.paid", "upstream timeout")])
        .await;
    let shown = operator.run(&["dlq", "show", "stripe", "evt_1", "--json"]).await.expect(0).json();
    assert_eq!(shown["fate"], "redrivable");
    assert_eq!(shown["attributes"]["error"], TIMEOUT);
    assert_eq!((&shown["event"]["state"], &shown["event"]["life"]), (&json!("dead"), &json!(1)));
    let message_id = shown["message_id"].as_str().unwrap();
    let ran = operator.run(&["dlq", "show", message_id]).await.expect(0);
    for part in [
        message_id,
        "buried by the processor",
        "stripe evt_1, life 2",
        "dead, life 1",
        "\"dataref\": \"inbox:stripe#evt_1\"",
    ] {
        assert!(ran.text().contains(part), "{part}: {}", ran.text());
    }
    assert_eq!(depth(&operator).await, visible(1));
    // Should a look be killed, its letters are visible again after this.
    let calls = operator.proxy.calls();
    let receives: Vec<_> = calls.iter().filter(|call| call.is("sqs", "ReceiveMessage")).collect();
    assert!(!receives.is_empty());
    assert!(receives.iter().all(|call| call.json()["VisibilityTimeout"] == 5));
}

#[tokio::test]
async fn what_is_not_among_the_letters_is_told_with_what_to_do() {
    let operator = Operator::new().await;
    make(
        &operator,
        [
            given("evt_1", State::Dead, "stripe", "invoice.paid", "x"),
            given("evt_2", State::Done, "stripe", "invoice.paid", "x"),
        ],
    )
    .await;
    for (arguments, part) in [
        (&["dlq", "show", "no-such-id"][..], "`inbox dlq list` shows their ids"),
        (
            &["dlq", "show", "stripe", "evt_2"],
            "the event is done in life 1: `inbox show stripe evt_2`",
        ),
        (&["dlq", "show", "stripe", "evt_3"], "no such event in the ledger either"),
    ] {
        let ran = operator.run(arguments).await.expect(1);
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
        assert!(ran.stderr.contains("of 1 that were seen"), "{}", ran.stderr);
        assert_eq!(ran.text(), "");
    }
}

#[tokio::test]
async fn a_queue_or_a_table_that_does_not_exist_is_told_with_what_to_do() {
    let mut operator = Operator::new().await;
    make(&operator, [given("evt_1", State::Dead, "stripe", "invoice.paid", "x")]).await;
    operator.run_by_an_administrator();
    operator.set("table", json!("no-such-table"));
    for command in [&["dlq"][..], &["dlq", "list"], &["redrive", "--yes"]] {
        let ran = operator.run(command).await.expect(3);
        assert!(ran.stderr.contains("ResourceNotFoundException"), "{}", ran.stderr);
        assert!(ran.stderr.contains("TABLE_NAME"), "{}", ran.stderr);
        assert_eq!(depth(&operator).await, visible(1));
    }
    operator.set("table", json!(operator.bed.table.clone()));
    operator.set("dlq_url", json!(format!("{}-x", operator.bed.dlq_url)));
    for command in ["dlq", "redrive", "purge-dlq"] {
        let ran = operator.run(&[command]).await.expect(3);
        assert!(ran.stderr.contains("NonExistentQueue"), "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains("DLQ_URL"), "{command}: {}", ran.stderr);
    }
    operator.set("dlq_url", Value::Null);
    let ran = operator.run(&["dlq", "--json"]).await.expect(2);
    let told: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(told["problem"], "the dead-letter queue's address is not known");
}
