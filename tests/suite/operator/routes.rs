//! `inbox routes`: which way events go, and why; and single routes in `show` and
//! `replay`.

use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::ledger::{Failure, Ledger as _, RouteFailure, Settled, State};
use serde_json::{Value, json};

use super::rig::Operator;
use super::world::{Given, begin};

const ROUTES: &str = r#"[
  {"id": "billing", "match": "stripe:invoice.*", "handler": "drill", "with": {"outcome": "retry"}},
  {"id": "archive", "match": "*:*", "handler": "mirror"},
  {"id": "pushes", "match": "github:*", "handler": "mirror"}
]"#;

#[tokio::test]
async fn a_test_says_of_every_route_whether_an_event_takes_it_and_why() {
    let operator = Operator::new().await;
    let test = ["routes", "test", "stripe:charge.failed", "--routes", "-", "--json"];
    assert_eq!(
        operator.run_with(&test, ROUTES.as_bytes()).await.expect(0).json(),
        json!({
            "source": "stripe", "provider": "stripe", "type": "charge.failed",
            "routes": [
                {"id": "billing", "handler": "drill", "takes": false, "fate": "",
                 "why": "type charge.failed does not match invoice.*"},
                {"id": "archive", "handler": "mirror", "takes": true, "fate": "",
                 "why": "source stripe matches *, type charge.failed matches *"},
                {"id": "pushes", "handler": "mirror", "takes": false, "fate": "",
                 "why": "source stripe does not match github"},
            ]
        })
    );
    let test = ["routes", "test", "eu:push", "--provider", "github", "--routes", "-"];
    let tested = operator.run_with(&test, ROUTES.as_bytes()).await.expect(0);
    assert!(tested.text().contains("provider github matches github"), "{}", tested.text());
    assert!(
        tested.text().contains("neither source eu nor provider github matches stripe"),
        "{}",
        tested.text()
    );
}

#[tokio::test]
async fn an_event_that_no_route_takes_is_told_and_the_answer_is_no() {
    let operator = Operator::new().await;
    let routes = r#"[{"id":"pushes","match":"github:*","handler":"mirror"}]"#;
    let test = ["routes", "test", "stripe:charge.failed", "--routes", "-"];
    let tested = operator.run_with(&test, routes.as_bytes()).await.expect(1);
    assert!(tested.stderr.contains("no route takes it"), "{}", tested.stderr);
}

#[tokio::test]
async fn a_file_of_routes_is_checked_as_the_processor_would() {
    let operator = Operator::new().await;
    let check = ["routes", "check", "-"];
    let sound = operator.run_with(&check, ROUTES.as_bytes()).await.expect(0);
    assert_eq!(sound.text(), "sound  3 routes\n");
    let wrong = br#"[{"id":"a","match":"stripe","handler":"miror"},
                     {"id":"a","match":"*:*","handler":"drill","with":{}}]"#;
    let told = operator.run_with(&[&check[..], &["--json"]].concat(), wrong).await.expect(1);
    let problems = told.json()["problems"].as_array().expect("a list").len();
    assert_eq!(problems, 4, "{}", told.text());
    assert!(told.text().contains(r#"route 2 (\"a\"): id is used twice"#), "{}", told.text());
    // Neither names nor an account are needed for it.
    let mut alone = operator.command(&check);
    alone.env_remove("INBOX_STACK").stdin(std::process::Stdio::null());
    let output = alone.output().await.expect("inbox runs");
    assert_eq!(output.status.code(), Some(1), "an empty file is no list");
}

/// An event whose routes have come to different ends, and one that waits.
async fn divided(operator: &Operator) {
    let given = Given::new("evt-a", State::Received, Duration::from_mins(3));
    let key = given.event.key.clone();
    let (ledger, queue) = (operator.ledger(), operator.queue());
    given.make(&ledger, &queue).await;
    let now = Timestamp::now();
    let record = begin(&ledger, &key, 1, now).await;
    ledger.complete(&record, "archive", &["billing", "old"], now).await.unwrap();
    let failure =
        |error: &str, attempts, next_at| RouteFailure { error: error.into(), attempts, next_at };
    let failures = [
        ("billing".to_owned(), failure("503", 2, Some(now.plus(Duration::from_mins(5))))),
        ("old".to_owned(), failure("410 Gone", 1, None)),
    ];
    let failures = failures.into_iter().collect();
    let errors = [("billing".to_owned(), "503".to_owned())];
    let due_at = now.plus(Duration::from_mins(20));
    let failure = Failure { record: &record, failures: &failures, errors: &errors, due_at };
    assert_eq!(ledger.fail(&failure, now).await.unwrap(), Settled::Written);
}

#[tokio::test]
async fn each_route_of_an_event_is_shown_with_its_own_fate() {
    let operator = Operator::new().await;
    divided(&operator).await;
    let shown = operator.run(&["show", "stripe", "evt-a", "--json"]).await.expect(0).json();
    let ledger = &shown["ledger"];
    assert_eq!(ledger["state"], "failing");
    assert_eq!(ledger["handlers"].as_object().unwrap().keys().collect::<Vec<_>>(), ["archive"]);
    assert_eq!(
        ledger["failures"]["old"],
        json!({"error": "410 Gone", "attempts": 1, "next_at": null})
    );
    assert_eq!(ledger["failures"]["billing"]["attempts"], 2);
    assert!(ledger["failures"]["billing"]["next_at"].is_string());

    let shown = operator.run(&["show", "stripe", "evt-a"]).await.expect(0);
    for (route, expected) in
        [("archive", "done"), ("billing", "again in 4 min"), ("old", "given up")]
    {
        let line = shown.text().lines().find(|line| line.trim_start().starts_with(route));
        assert!(line.is_some_and(|line| line.contains(expected)), "{route}: {}", shown.text());
    }

    let test = ["routes", "test", "stripe", "evt-a", "--routes", "-", "--json"];
    let tested = operator.run_with(&test, ROUTES.as_bytes()).await.expect(0).json();
    let fate = |n: usize| tested["routes"][n]["fate"].as_str().unwrap().to_owned();
    assert!(fate(0).starts_with("again in ") && fate(0).ends_with(": 503"), "{}", fate(0));
    assert!(fate(1).starts_with("done 20"), "{}", fate(1));
}

#[tokio::test]
async fn one_route_is_replayed_and_what_another_has_given_up_stays_so() {
    let operator = Operator::new().await;
    divided(&operator).await;
    let replay =
        ["replay", "stripe", "evt-a", "--handler", "archive", "--reason", "wrong", "--yes"];
    operator.run(&replay).await.expect(0);
    let key = Given::new("evt-a", State::Received, Duration::ZERO).event.key;
    let record = operator.ledger().get(&key).await.unwrap().expect("the event");
    assert_eq!((record.life, record.handlers.len()), (2, 0));
    assert!(record.is_given_up("old") && !record.is_given_up("billing"));
    // A route that has only ever failed can be named too.
    let replay = ["replay", "stripe", "evt-a", "--handler", "old", "--reason", "back", "--yes"];
    operator.run(&replay).await.expect(0);
    let record = operator.ledger().get(&key).await.unwrap().expect("the event");
    assert_eq!((record.life, record.failures.len()), (3, 0));
}

/// What the deployed processor runs with, of a stack of its own.
pub(super) async fn deployed_routes_are_shown(operator: &Operator) {
    let listed = operator.run(&["routes", "--json"]).await.expect(0).json();
    assert_eq!(
        listed,
        json!({"routes": [
            {"id": "mirror", "match": "*:*", "handler": "mirror", "with": Value::Null}
        ]})
    );
    let tested = operator.run(&["routes", "test", "github:push"]).await.expect(0);
    assert!(tested.text().contains("source github matches *"), "{}", tested.text());
}
