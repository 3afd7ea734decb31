//! `inbox routes`: which way events go, and why; and single routes in `show` and
//! `replay`.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use inbox_core::Timestamp;
use inbox_core::ledger::{Failure, Ledger as _, RouteFailure, Settled, State};
use inbox_local::access::AccessKey;
use inbox_local::calls::Fault;
use serde_json::{Value, json};

use super::rig::{Operator, environment, finish};
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
    // A source of the stack has the name.
    let named = "github is a source of that name, and this is eu";
    assert!(tested.text().contains(named), "{}", tested.text());
    let routes = ROUTES.replace("github:", "provider/github:");
    let of_provider = operator.run_with(&test, routes.as_bytes()).await.expect(0);
    let named = "provider github matches provider/github";
    assert!(of_provider.text().contains(named), "{}", of_provider.text());
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
    assert!(
        told.text().contains(r#"route 2 (\"a\", line 2): id is used twice"#),
        "{}",
        told.text()
    );
    // Neither names nor an account are needed for it.
    let mut alone = operator.command(&check);
    alone.env_remove("INBOX_STACK").stdin(std::process::Stdio::null());
    let output = alone.output().await.expect("inbox runs");
    assert_eq!(output.status.code(), Some(1), "an empty file is no list");
}

/// As Terraform takes it: the secret is made for it, and so are bus and bucket.
#[tokio::test]
async fn a_file_of_routes_is_sound_without_what_the_deployment_adds() {
    let mut operator = Operator::new().await;
    let routes = br#"[
        {"id": "crm", "match": "*:*", "handler": "forward", "with": {"url": "https://a.example/"}},
        {"id": "bus", "match": "*:*", "handler": "publish"}
    ]"#;
    let check = ["routes", "check", "-"];
    assert_eq!(operator.run_with(&check, routes).await.expect(0).text(), "sound  2 routes\n");
    let list = ["routes", "--routes", "-", "--json"];
    let secret_of = async |operator: &Operator| {
        let listed = operator.run_with(&list, routes).await.expect(0).json();
        listed["routes"][0]["with"]["secret_id"].as_str().expect("a name").to_owned()
    };
    assert_eq!(secret_of(&operator).await, "…/forward/crm");
    // One that is deployed already has its real name.
    let made = json!({"crm": {"name": "inbox/forward/crm", "arn": "arn:aws:x"}});
    operator.set("forward_secrets", made);
    assert_eq!(secret_of(&operator).await, "arn:aws:x");
    // What the file itself says wrong of it is still told.
    let empty = br#"[{"id": "crm", "match": "*:*", "handler": "forward",
                      "with": {"url": "https://a.example/", "secret_id": ""}}]"#;
    let told = operator.run_with(&check, empty).await.expect(1);
    assert!(told.text().contains("secret_id"), "{}", told.text());
}

#[tokio::test]
async fn a_file_of_routes_that_sends_events_back_to_their_own_queue_is_wrong() {
    let mut operator = Operator::new().await;
    for name in ["queue_url", "dlq_url"] {
        let own = "https://sqs.eu-west-1.amazonaws.com/123456789012/own";
        operator.set(name, own.into());
        let routes = json!([{"id": "again", "match": "*:*", "handler": "enqueue",
                             "with": {"queue_url": own}}]);
        let check = ["routes", "check", "-"];
        let told = operator.run_with(&check, routes.to_string().as_bytes()).await.expect(1);
        assert!(told.text().contains("is the inbox's own"), "{name}: {}", told.text());
        operator.set(name, "https://sqs.eu-west-1.amazonaws.com/123456789012/other".into());
        operator.run_with(&check, routes.to_string().as_bytes()).await.expect(0);
    }
}

/// As Lambda answers who may not decrypt the processor's environment: the call succeeds.
/// Taken for a processor without settings, the default route would be blamed for that.
#[tokio::test]
async fn routes_that_lambda_does_not_tell_are_not_taken_for_the_default_ones() {
    let mut operator = Operator::new().await;
    operator.deploy_processor(&json!({"Error": {
        "ErrorCode": "AccessDeniedException",
        "Message": "Lambda was unable to decrypt your environment variables because the KMS \
                    access was denied. Please check your KMS permissions.",
    }}));
    for arguments in [&["routes"][..], &["routes", "test", "stripe:charge.failed"]] {
        let ran = operator.run(arguments).await.expect(3);
        assert_eq!(ran.text(), "");
        let told = format!(
            "error: GetFunctionConfiguration: no environment is told of {}: \
             AccessDeniedException: Lambda was unable to decrypt",
            operator.processor()
        );
        assert!(ran.stderr.starts_with(&told), "{}", ran.stderr);
        assert!(ran.stderr.contains("needs kms:Decrypt on that key through Lambda"));
    }
    operator.deploy_routes(&json!([{"id": "all", "match": "*:*", "handler": "drill",
                                    "with": {"outcome": "retry"}}]));
    let listed = operator.run(&["routes", "--json"]).await.expect(0).json();
    assert_eq!(listed["routes"][0]["id"], "all");
}

/// An event whose routes have come to different ends, and one that waits.
async fn divided(operator: &Operator) {
    let given = Given::new("evt-a", State::Received, Duration::from_mins(3));
    let key = given.event.key.clone();
    let (ledger, queue) = (operator.ledger(), operator.queue());
    given.make(&ledger, &queue).await;
    let now = Timestamp::now();
    let record = begin(&ledger, &key, 1, now).await;
    ledger.complete(&record, "archive", &["billing", "old"], now.into()).await.unwrap();
    let failure = |error: &str, attempts, next_at| RouteFailure {
        error: error.into(),
        quote: None,
        attempts,
        next_at,
        deferrals: 0,
    };
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

/// A record of an event that is dead may name a time for a route that was to be tried
/// again: nothing is.
#[tokio::test]
async fn what_a_dead_event_has_not_done_is_given_up() {
    let operator = Operator::new().await;
    let given = Given::new("evt-a", State::Dead, Duration::from_hours(3));
    let key = given.event.key.clone();
    given.make(&operator.ledger(), &operator.queue()).await;
    let three_hours_ago = Timestamp::now().unix_seconds() - 3 * 3600;
    let update = operator.bed.dynamodb().update_item().table_name(&operator.bed.table);
    update
        .key("pk", AttributeValue::S(key.to_string()))
        .update_expression("SET failures.billing.next_at = :at")
        .expression_attribute_values(":at", AttributeValue::N(three_hours_ago.to_string()))
        .send()
        .await
        .expect("written");
    let record = operator.ledger().get(&key).await.unwrap().expect("the event");
    assert!(record.failures["billing"].next_at.is_some(), "as an older version wrote it");

    let shown = operator.run(&["show", "stripe", "evt-a"]).await.expect(0);
    let line = shown.text().lines().find(|line| line.trim_start().starts_with("billing "));
    assert!(line.is_some_and(|line| line.contains("given up")), "{}", shown.text());
    for arguments in [&["show", "stripe", "evt-a", "--json"][..], &["events", "--json"]] {
        let json = operator.run(arguments).await.expect(0).json();
        let event = if json["ledger"].is_null() { &json["events"][0] } else { &json["ledger"] };
        assert_eq!(event["failures"]["billing"]["next_at"], Value::Null, "{json}");
        assert_eq!(event["failures"]["billing"]["attempts"], 1, "{json}");
    }
    let test = ["routes", "test", "stripe", "evt-a", "--routes", "-", "--json"];
    let tested = operator.run_with(&test, ROUTES.as_bytes()).await.expect(0).json();
    assert_eq!(tested["routes"][0]["fate"], "given up: upstream timeout");
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
    // What waits goes on waiting.
    assert_eq!(record.life, 3);
    assert_eq!(record.failures.keys().collect::<Vec<_>>(), ["billing"]);
}

#[tokio::test]
async fn a_change_of_routes_is_told_by_what_waits_and_by_what_arrives() {
    let mut operator = Operator::new().await;
    divided(&operator).await;
    let route = |id: &str, pattern: &str| json!({"id": id, "match": pattern, "handler": "drill", "with": {"outcome": "retry"}});
    let billing = route("billing", "stripe:invoice.*");
    let old = route("old", "stripe:*");
    operator.deploy_routes(&json!([billing, old]));
    let diff = ["routes", "diff", "-", "--json"];
    let same = json!([billing, old]).to_string();
    let told = operator.run_with(&diff, same.as_bytes()).await.expect(0).json();
    assert_eq!(told, json!({"waiting": [], "losing": []}));

    // `billing` is misspelt: its event waits in vain, and `old` was given up already.
    let next = json!([route("biling", "stripe:invoice.*")]).to_string();
    let told = operator.run_with(&diff, next.as_bytes()).await.expect(1).json();
    let waiting: Vec<(&str, u64)> = told["waiting"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| (it["route"].as_str().unwrap(), it["events"].as_u64().unwrap()))
        .collect();
    assert_eq!(waiting, [("billing", 1), ("old", 1)]);
    assert_eq!(
        told["losing"],
        json!([{"source": "stripe", "type": "invoice.paid", "events": 1,
                "routes": ["billing", "old"], "taken_by_none": false}])
    );
    let none = operator.run_with(&diff[..3], b"[]").await.expect(1);
    assert!(none.text().contains("taken by none"), "{}", none.text());
    assert!(none.text().contains("will be buried"), "{}", none.text());
}

/// What the deployed processor runs with, of a stack of its own.
pub(super) async fn deployed_routes_are_shown(operator: &Operator) {
    let listed = operator.run(&["routes", "--json"]).await.expect(0).json();
    assert_eq!(
        listed,
        json!({"routes": [
            {"id": "mirror", "match": "*:*", "handler": "mirror", "with": Value::Null},
            {"id": "crm", "match": "stripe:nothing", "handler": "forward", "with": {
                "url": "https://crm.example.com/", "secret_id": "webhook-inbox/forward/crm"}},
        ]})
    );
    let tested = operator.run(&["routes", "test", "github:push"]).await.expect(0);
    assert!(tested.text().contains("source github matches *"), "{}", tested.text());
}

/// On AWS a deployment moves the alias. `$LATEST` may be of one that never got so far.
#[tokio::test]
async fn on_aws_the_version_that_is_called_is_looked_at() {
    let mut operator = Operator::new().await;
    operator.run_by_an_administrator();
    let name = operator.processor();
    operator.set("functions", json!({"processor": name}));
    let live = format!("/2015-03-31/functions/{name}/configuration?Qualifier=live");
    let body = json!({"FunctionName": name, "Environment": environment(&json!([]))});
    operator.proxy.set_hook(move |call| match &call.path {
        path if *path == live => Fault::Answer { status: 200, body: body.clone() },
        _ => Fault::None,
    });
    // A stack file of a deployment names neither an address nor a key.
    let aws = operator.proxy.url().to_owned();
    operator.set("endpoint_url", Value::Null);
    operator.set("operator", Value::Null);
    for (arguments, said) in [(&["routes"][..], "no route"), (&["doctor"], "no route")] {
        let mut command = operator.command(arguments);
        command.envs(AccessKey::root().environment()).env("AWS_ENDPOINT_URL", &aws);
        let ran = finish(command.spawn().expect("inbox starts")).await;
        let told = format!("{}{}", ran.text(), ran.stderr);
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
}
