//! `inbox replay`: what runs again, what does not, and being killed half-way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, Record, State, TransitionKind};
use inbox_local::calls::Fault;
use serde_json::json;

use super::rig::{Operator, finish};
use super::worker::Worker;
use super::world::{Given, begin, ids, make};

const MINUTE: Duration = Duration::from_mins(1);

async fn held(operator: &Operator, id: &str) -> Record {
    let key = EventKey { source: "stripe".into(), id: id.into() };
    operator.ledger().get(&key).await.unwrap().expect("the event is there")
}

/// So many dead events.
async fn dead(operator: &Operator, count: usize) -> Vec<String> {
    let ids = ids("evt", count);
    make(operator, ids.iter().map(|id| Given::new(id, State::Dead, 30 * MINUTE))).await;
    ids
}

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_does_nothing() {
    let operator = Operator::new().await;
    dead(&operator, 3).await;
    let before = held(&operator, "evt-000").await;
    let filter = ["replay", "--state", "dead", "--reason", "fixed in #412"];
    let ran = operator.run(&[&filter[..], &["--dry-run"]].concat()).await.expect(0);
    let lines: Vec<&str> = ran.text().lines().collect();
    assert!(lines[1].starts_with("stripe  invoice.paid  dead        3"), "{}", ran.text());
    assert!(ran.text().ends_with("By ada: fixed in #412\n"), "{}", ran.text());
    // Neither without a yes.
    let ran = operator.run(&filter).await.expect(2);
    assert!(ran.stderr.contains("give --yes"), "{}", ran.stderr);
    assert_eq!(held(&operator, "evt-000").await, before);
    assert!(operator.proxy.calls().iter().all(|call| !call.is("dynamodb", "UpdateItem")));
}

#[tokio::test]
async fn a_replay_by_filter_runs_what_has_not_completed_and_says_who_and_why() {
    let operator = Operator::new().await;
    let ids = dead(&operator, 120).await;
    make(&operator, [Given::new("evt-done", State::Done, MINUTE)]).await;
    let ran = operator
        .run(&[
            "replay",
            "--state",
            "dead",
            "--yes",
            "--reason",
            "fixed in #412",
            "--rate",
            "500",
            "--json",
        ])
        .await
        .expect(0);
    assert_eq!(ran.json()["replayed"], 120);

    let runs = Worker::new(&operator, &["billing", "mail"]).drain().await;
    assert_eq!(runs.len(), 240);
    assert!(runs.iter().all(|(_, life, _)| *life == 2));
    for id in &ids {
        let record = held(&operator, id).await;
        assert_eq!((record.state, record.life), (State::Done, 2), "{id}");
        let entry = record.history.last().unwrap();
        assert_eq!(
            (entry.kind, entry.actor.as_str(), entry.detail.as_str()),
            (TransitionKind::Replayed, "ada", "fixed in #412")
        );
    }
    assert_eq!(held(&operator, "evt-done").await.life, 1);
}

#[tokio::test]
async fn completed_handlers_run_again_only_when_they_are_named() {
    let operator = Operator::new().await;
    make(&operator, ids("evt", 4).iter().map(|id| Given::new(id, State::Received, MINUTE))).await;
    // The first to run them all.
    for id in ids("evt", 4) {
        operator.run(&["replay", "stripe", &id, "--yes"]).await.expect(0);
    }
    let worker = Worker::new(&operator, &["billing", "mail"]);
    assert_eq!(worker.drain().await.len(), 8);

    operator.run(&["replay", "stripe", "evt-000", "--yes"]).await.expect(0);
    assert_eq!(worker.drain().await, []);
    operator.run(&["replay", "stripe", "evt-001", "--handler", "mail", "--yes"]).await.expect(0);
    assert_eq!(worker.drain().await, [("evt-001".to_owned(), 3, "mail".to_owned())]);
    operator.run(&["replay", "stripe", "evt-002", "--all-handlers", "--yes"]).await.expect(0);
    assert_eq!(worker.drain().await.len(), 2);

    let ran = operator
        .run(&["replay", "stripe", "evt-003", "--handler", "mial", "--yes"])
        .await
        .expect(2);
    assert!(ran.stderr.contains("they have been to: billing, mail"), "{}", ran.stderr);
    assert_eq!(held(&operator, "evt-003").await.life, 2);
}

#[tokio::test]
async fn unknown_ids_stop_a_replay_before_it_begins() {
    let operator = Operator::new().await;
    dead(&operator, 1).await;
    let ran = operator.run(&["replay", "stripe", "evt-000", "evt-x", "--yes"]).await.expect(1);
    assert!(ran.stderr.contains("has no event \"evt-x\""), "{}", ran.stderr);
    assert_eq!(held(&operator, "evt-000").await.life, 1);
    for arguments in
        [vec!["replay"], vec!["replay", "stripe"], vec!["replay", "stripe", "a", "--state", "dead"]]
    {
        operator.run(&arguments).await.expect(2);
    }
    let ran = operator.run(&["replay", "--state", "failing", "--yes"]).await.expect(1);
    assert!(ran.stderr.contains("no such event can be replayed"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_fails_again_is_dead_again_and_can_be_replayed_again() {
    let operator = Operator::new().await;
    dead(&operator, 1).await;
    operator.run(&["replay", "stripe", "evt-000", "--yes"]).await.expect(0);
    assert_eq!(Worker::failing(&operator, &["billing"]).drain().await.len(), 1);
    let record = held(&operator, "evt-000").await;
    assert_eq!((record.state, record.life), (State::Dead, 2));
    assert_eq!(record.last_error.as_deref(), Some("billing: still broken"));
    // The first replay is over: the same command is another one.
    operator.run(&["replay", "stripe", "evt-000", "--yes"]).await.expect(0);
    assert_eq!(Worker::new(&operator, &["billing"]).drain().await.len(), 1);
    let record = held(&operator, "evt-000").await;
    assert_eq!((record.state, record.life), (State::Done, 3));
}

#[tokio::test]
async fn an_event_that_is_being_run_is_left_alone_and_told() {
    let operator = Operator::new().await;
    dead(&operator, 1).await;
    make(&operator, [Given::new("evt-busy", State::Received, MINUTE)]).await;
    let key = EventKey { source: "stripe".into(), id: "evt-busy".into() };
    let running =
        super::world::begin(&operator.ledger(), &key, 1, inbox_core::Timestamp::now()).await;
    let ran = operator
        .run(&["replay", "stripe", "evt-000", "evt-busy", "--yes", "--json"])
        .await
        .expect(1);
    let answer = ran.json();
    assert_eq!(answer["replayed"], 1);
    assert_eq!(answer["refused"][0]["id"], "evt-busy");
    assert_eq!(answer["refused"][0]["reason"], "is being run now");
    assert_eq!(held(&operator, "evt-busy").await, running);
}

/// Starts a replay of these arguments and kills it when half of its writes have
/// reached the table.
async fn killed_half_way(operator: &Operator, arguments: &[&str], count: usize, signal: &str) {
    let seen = Arc::new(AtomicUsize::new(0));
    let half = Arc::new(tokio::sync::Notify::new());
    let (counted, reached) = (Arc::clone(&seen), Arc::clone(&half));
    operator.proxy.set_hook(move |call| {
        if call.is("dynamodb", "UpdateItem") && counted.fetch_add(1, Ordering::SeqCst) == count / 2
        {
            reached.notify_one();
        }
        Fault::None
    });
    let child = operator.start(arguments);
    let pid = child.id().expect("running").to_string();
    half.notified().await;
    let killed =
        tokio::process::Command::new("kill").args([signal, &pid]).status().await.expect("kill");
    assert!(killed.success());
    let ran = finish(child).await;
    operator.proxy.clear_hook();
    if signal == "-INT" {
        assert_eq!(ran.code, 130, "{}", ran.stderr);
        assert!(ran.stderr.contains("the same command goes on from there"), "{}", ran.stderr);
    } else {
        assert_eq!(ran.code, -1, "it was over before it was killed: {}", ran.text());
    }
    assert!(seen.load(Ordering::SeqCst) < count, "it was over before it was killed");
}

/// All handlers run again, so that whatever is replayed twice shows.
async fn goes_on_after(signal: &str) {
    let operator = Operator::new().await;
    let ids = ids("evt", 200);
    make(&operator, ids.iter().map(|id| Given::new(id, State::Done, 30 * MINUTE))).await;
    let arguments =
        ["replay", "--source", "stripe", "--all-handlers", "--yes", "--rate", "150", "--json"];
    killed_half_way(&operator, &arguments, ids.len(), signal).await;
    // Meanwhile what was replayed runs, and is done again, as it was before.
    let worker = Worker::new(&operator, &["billing"]);
    let mut runs = worker.drain().await;
    let first = runs.len();
    assert!((50..200).contains(&first), "{first} of 200 had been replayed");

    let ran = operator.run(&arguments).await.expect(0);
    let answer = ran.json();
    assert_eq!(answer["goes_on"], true, "{answer}");
    assert_eq!(answer["planned"], 200);
    runs.extend(worker.drain().await);
    runs.sort();
    let mut expected: BTreeMap<String, u32> = BTreeMap::new();
    for (id, life, route) in runs {
        assert_eq!((life, route.as_str()), (2, "billing"), "{id}");
        *expected.entry(id).or_default() += 1;
    }
    let mut unsent = 0;
    for id in &ids {
        let record = held(&operator, id).await;
        assert_eq!(record.life, 2, "{id} was replayed {} times", record.life - 1);
        match expected.get(id) {
            Some(times) => assert_eq!((*times, record.state), (1, State::Done), "{id}"),
            // Killed between the write and its message: due at once for the sweeper.
            None => unsent += 1,
        }
    }
    assert_eq!(unsent, 0, "the second run sends what the first could not");
    // Then it is over, and the same command is a new replay.
    let ran = operator.run(&arguments).await.expect(0);
    assert_eq!(ran.json()["goes_on"], false);
    assert_eq!(held(&operator, &ids[0]).await.life, 3);
}

#[tokio::test]
async fn a_replay_that_was_killed_goes_on_and_replays_nothing_twice() {
    goes_on_after("-KILL").await;
}

#[tokio::test]
async fn a_replay_that_was_interrupted_goes_on_and_replays_nothing_twice() {
    goes_on_after("-INT").await;
}

#[tokio::test]
async fn a_replay_survives_a_table_that_fails_half_way() {
    let operator = Operator::new().await;
    let ids = dead(&operator, 60).await;
    let seen = Arc::new(AtomicUsize::new(0));
    operator.proxy.set_hook(move |call| {
        let fails = call.is("dynamodb", "UpdateItem") && seen.fetch_add(1, Ordering::SeqCst) >= 30;
        if fails { Fault::status(400, "AccessDeniedException") } else { Fault::None }
    });
    let arguments = ["replay", "--state", "dead", "--yes", "--rate", "500"];
    let ran = operator.run(&arguments).await.expect(3);
    assert!(ran.stderr.contains("give the same command again to go on"), "{}", ran.stderr);
    assert!(ran.stderr.contains("AccessDeniedException"), "{}", ran.stderr);
    operator.proxy.clear_hook();
    operator.run(&arguments).await.expect(0);
    for id in &ids {
        assert_eq!(held(&operator, id).await.life, 2, "{id}");
    }
    assert_eq!(Worker::new(&operator, &["billing"]).drain().await.len(), 60);
}

#[tokio::test]
async fn a_rate_that_no_clock_can_keep_is_refused() {
    let operator = Operator::new().await;
    dead(&operator, 1).await;
    for rate in ["0", "4000000000"] {
        operator.run(&["replay", "--state", "dead", "--yes", "--rate", rate]).await.expect(2);
    }
    assert_eq!(held(&operator, "evt-000").await.life, 1);
}

#[tokio::test]
async fn a_handler_that_is_named_twice_is_taken_out_once() {
    let operator = Operator::new().await;
    make(&operator, [Given::new("evt-000", State::Done, MINUTE)]).await;
    let twice = ["--handler", "billing", "--handler", "billing", "--yes"];
    operator.run(&[&["replay", "stripe", "evt-000"][..], &twice].concat()).await.expect(0);
    // DynamoDB refuses overlapping paths; the emulator does not.
    let calls = operator.proxy.calls();
    let write = calls.iter().find(|call| call.is("dynamodb", "UpdateItem")).unwrap().json();
    let expression = write["UpdateExpression"].as_str().unwrap();
    assert_eq!(expression.matches("#handlers.").count(), 1, "{expression}");
    assert_eq!(Worker::new(&operator, &["billing"]).drain().await.len(), 1);
}

#[tokio::test]
async fn a_plan_of_another_account_or_region_is_not_gone_on_with() {
    let mut operator = Operator::new().await;
    let ids = dead(&operator, 40).await;
    let arguments = ["replay", "--state", "dead", "--yes", "--rate", "20", "--json"];
    killed_half_way(&operator, &arguments, ids.len(), "-KILL").await;
    let here = operator.bed.queue_url.clone();
    let elsewhere = here.replace("000000000000", "111111111111") + "-elsewhere";
    operator.set("queue_url", elsewhere.into());
    let dry = ["replay", "--state", "dead", "--yes", "--dry-run", "--json"];
    assert_eq!(operator.run(&dry).await.expect(0).json()["goes_on"], false);
    operator.set("queue_url", here.into());
    assert_eq!(operator.run(&dry).await.expect(0).json()["goes_on"], true);
}

#[tokio::test]
async fn who_asks_twice_to_stop_does_not_wait() {
    let operator = Operator::new().await;
    dead(&operator, 1).await;
    let reached = Arc::new(tokio::sync::Notify::new());
    let seen = Arc::clone(&reached);
    operator.proxy.set_hook(move |call| {
        if call.is("dynamodb", "UpdateItem") {
            seen.notify_one();
            return Fault::Delay(MINUTE);
        }
        Fault::None
    });
    let child = operator.start(&["replay", "--state", "dead", "--yes"]);
    let pid = child.id().expect("running").to_string();
    reached.notified().await;
    let asked = std::time::Instant::now();
    for _ in 0..2 {
        tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.expect("kill");
        // Two at the same moment would count as one.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    finish(child).await.expect(130);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn an_id_alone_is_found_whichever_source_it_came_to() {
    let operator = Operator::new().await;
    dead(&operator, 1).await;
    let twice = ["stripe", "github"]
        .map(|source| Given::new("twice", State::Dead, MINUTE).of(source, "push"));
    make(&operator, twice).await;
    let ran = operator.run(&["replay", "evt-000", "--yes", "--json"]).await.expect(0);
    assert_eq!(ran.json()["replayed"], 1);
    assert_eq!(held(&operator, "evt-000").await.life, 2);

    let ran = operator.run(&["replay", "twice", "--yes"]).await.expect(2);
    assert!(ran.stderr.contains("have an event \"twice\""), "{}", ran.stderr);
    assert_eq!(held(&operator, "twice").await.life, 1);
    let ran = operator.run(&["replay", "evt-x", "--yes"]).await.expect(1);
    assert!(ran.stderr.starts_with("error: no source has an event \"evt-x\""), "{}", ran.stderr);
    operator.run(&["replay", "evt-000", "--state", "dead"]).await.expect(2);
}

/// Routes that run nothing of their own, for the deployed processor's environment.
fn routes(ids: &[&str]) -> serde_json::Value {
    let route = |id: &&str| {
        serde_json::json!({"id": id, "match": "stripe:*", "handler": "drill",
                           "with": {"outcome": "retry"}})
    };
    ids.iter().map(route).collect()
}

#[tokio::test]
async fn a_plan_says_what_will_run_what_not_and_what_runs_for_the_first_time() {
    let mut operator = Operator::new().await;
    dead(&operator, 2).await;
    make(&operator, [Given::new("evt-done", State::Done, MINUTE)]).await;
    operator.deploy_routes(&routes(&["billing", "mail", "x"]));
    let plan = async |operator: &Operator, more: &[&str]| {
        let replay = ["replay", "stripe", "evt-000", "evt-001", "--dry-run"];
        let ran = operator.run(&[&replay[..], more].concat()).await.expect(0);
        let lines = ran.text().lines().skip_while(|line| !line.is_empty()).skip(1);
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        plan(&operator, &[]).await[..2],
        ["Runs: billing (2).", "Runs for the first time: mail (2), x (2)."]
    );
    assert_eq!(
        plan(&operator, &["--handler", "x"]).await[..2],
        [
            "Runs for the first time: x (2).",
            "Leaves alone: billing (2 given up), mail (2 never met)."
        ]
    );
    // What is shown is what runs.
    let replay = ["replay", "stripe", "evt-000", "--handler", "x", "--yes"];
    operator.run(&replay).await.expect(0);
    let ran = Worker::new(&operator, &["billing", "mail", "x"]).drain().await;
    assert_eq!(ran, [("evt-000".to_owned(), 2, "x".to_owned())]);
    let json = ["replay", "stripe", "evt-001", "--dry-run", "--json"];
    assert_eq!(
        operator.run(&json).await.expect(0).json()["routes"],
        serde_json::json!({"runs": {"billing": 1}, "runs_first": {"mail": 1, "x": 1}})
    );
    let ran = operator.run(&["replay", "stripe", "evt-001", "--handler", "z"]).await.expect(2);
    assert!(ran.stderr.contains("there are: billing, mail, x"), "{}", ran.stderr);
}

#[tokio::test]
async fn an_event_of_which_nothing_would_run_is_neither_asked_for_nor_replayed() {
    let mut operator = Operator::new().await;
    dead(&operator, 1).await;
    make(&operator, [Given::new("evt-done", State::Done, MINUTE)]).await;
    make(&operator, [Given::new("evt-new", State::Received, MINUTE)]).await;
    operator.deploy_routes(&routes(&["billing"]));
    let ran = operator.run(&["replay", "stripe", "evt-done", "--yes"]).await.expect(1);
    assert!(ran.stderr.contains("left out: stripe evt-done would run nothing"), "{}", ran.stderr);
    assert_eq!(held(&operator, "evt-done").await.life, 1);
    let both = ["replay", "stripe", "evt-done", "evt-000", "--yes", "--json"];
    assert_eq!(operator.run(&both).await.expect(0).json()["replayed"], 1);
    assert_eq!(held(&operator, "evt-done").await.life, 1);
    assert_eq!(held(&operator, "evt-000").await.life, 2);
    // One that is still to run all of its routes is not replayed by name.
    let named = ["replay", "stripe", "evt-new", "--handler", "billing", "--yes"];
    let ran = operator.run(&named).await.expect(1);
    assert!(ran.stderr.contains("all of its routes are still to run"), "{}", ran.stderr);
    assert_eq!(held(&operator, "evt-new").await.life, 1);
}

#[tokio::test]
async fn a_handler_that_ran_twice_is_shown_twice_with_its_lives() {
    let operator = Operator::new().await;
    make(&operator, [Given::new("evt-a", State::Done, 30 * MINUTE)]).await;
    let replay = ["replay", "stripe", "evt-a", "--handler", "billing", "--yes"];
    operator.run(&replay).await.expect(0);
    assert_eq!(Worker::new(&operator, &["billing"]).drain().await.len(), 1);
    let shown = operator.run(&["show", "stripe", "evt-a"]).await.expect(0);
    let handled = shown.text().lines().filter(|line| line.contains("by billing"));
    let lives: Vec<&str> =
        handled.map(|line| line.split_whitespace().rev().nth(2).unwrap_or_default()).collect();
    assert_eq!(lives, ["1", "2"], "{}", shown.text());
}

#[tokio::test]
async fn what_is_named_is_asked_only_of_events_that_it_has_to_do_with() {
    let mut operator = Operator::new().await;
    let invoice = Given::new("evt-a", State::Done, MINUTE);
    let refund = Given::new("evt-b", State::Done, MINUTE).of("stripe", "charge.refunded");
    make(&operator, [invoice, refund]).await;
    let route = |id: &str, pattern: &str| json!({"id": id, "match": pattern, "handler": "drill", "with": {"outcome": "retry"}});
    operator.deploy_routes(&json!([
        route("billing", "stripe:invoice.*"),
        route("refunds", "stripe:charge.refunded"),
    ]));
    let named = ["--handler", "billing", "--handler", "refunds", "--yes"];
    let replay = [&["replay", "--source", "stripe", "--since", "1h"][..], &named].concat();
    operator.run(&replay).await.expect(0);
    for (id, route) in [("evt-a", "billing"), ("evt-b", "refunds")] {
        let record = held(&operator, id).await;
        let only = record.only.expect("named routes").into_iter().collect::<Vec<_>>();
        assert_eq!((record.life, only), (2, vec![route.to_owned()]), "{id}");
    }
}

/// Where the routes cannot be read, an event is asked for what it has been to.
#[tokio::test]
async fn without_the_routes_nothing_is_asked_of_an_event_that_was_never_there() {
    let operator = Operator::new().await;
    make(&operator, [Given::new("evt-a", State::Done, MINUTE)]).await;
    make(&operator, [Given::new("evt-b", State::Received, MINUTE)]).await;
    let key = EventKey { source: "stripe".into(), id: "evt-b".into() };
    let record = begin(&operator.ledger(), &key, 1, Timestamp::now()).await;
    operator.ledger().finish(&record, Timestamp::now()).await.unwrap();
    let replay = ["replay", "--source", "stripe", "--since", "1h", "--handler", "billing", "--yes"];
    let ran = operator.run(&replay).await;
    assert!(ran.text().contains("has never been to what is named"), "{}{}", ran.text(), ran.stderr);
    assert_eq!(held(&operator, "evt-a").await.life, 2);
    let other = held(&operator, "evt-b").await;
    assert_eq!((other.life, other.state), (1, State::Done));
}
