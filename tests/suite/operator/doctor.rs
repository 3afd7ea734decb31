//! `inbox doctor`: what is sound, and each thing that can be broken.

use std::time::Duration;

use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use aws_sdk_sqs::types::QueueAttributeName;
use inbox_core::ledger::State;
use inbox_local::calls::Fault;
use inbox_local::{LocalStack, StackOptions};
use serde_json::{Value, json};

use super::rig::Operator;
use super::world::{Given, make};

/// What is not ok: about and verdict, with what it says and how to fix it.
pub(super) fn findings(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    answer["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["verdict"] != "ok" && finding["verdict"] != "unknown")
        .map(|finding| {
            let fix = text(&finding["fix"]);
            assert!(!fix.is_empty(), "{finding}");
            let about = format!("{} {}", text(&finding["verdict"]), text(&finding["about"]));
            (about, format!("{} → {fix}", text(&finding["says"])))
        })
        .collect()
}

async fn broken(operator: &Operator) -> Vec<(String, String)> {
    findings(&operator.run(&["doctor", "--json"]).await.expect(1).json())
}

#[tokio::test]
async fn a_sound_deployment_is_told_so() {
    let operator = Operator::new().await;
    let ran = operator.run(&["doctor", "--json"]).await.expect(0);
    assert_eq!(findings(&ran.json()), []);
    assert_eq!(ran.json()["is_sound"], true);
    let ran = operator.run(&["doctor"]).await.expect(0);
    assert!(ran.text().contains("ok       time to live: is on, by expires_at"), "{}", ran.text());
    let repeats = "ok       repeats to twilio: each is a duplicate for 30 days (retention_days), by a \
                   hash of all that is signed, and then a new event";
    assert!(ran.text().contains(repeats), "{}", ran.text());
    assert!(ran.text().contains("unknown  event source mapping: the stack file does not name"));
    assert!(ran.text().contains("unknown  routes: the stack file does not name"));
    assert!(ran.text().ends_with("sound (warnings: 0, not looked at: 2)\n"), "{}", ran.text());
}

#[tokio::test]
async fn what_is_broken_in_the_table_is_named() {
    let mut operator = Operator::new().await;
    operator.run_by_an_administrator();
    let off = TimeToLiveSpecification::builder()
        .attribute_name("expires_at")
        .enabled(false)
        .build()
        .expect("complete");
    operator
        .bed
        .dynamodb()
        .update_time_to_live()
        .table_name(&operator.bed.table)
        .time_to_live_specification(off)
        .send()
        .await
        .expect("off");
    make(&operator, [Given::new("late", State::Received, Duration::from_hours(2))]).await;
    let found = broken(&operator).await;
    assert_eq!(found[0].0, "broken time to live");
    assert!(found[0].1.starts_with("is off"), "{found:?}");
    assert_eq!(found[1].0, "broken sweeper");
    assert!(found[1].1.starts_with("1 event overdue, the oldest since 105 min"), "{found:?}");

    // The mirror's table is one of another kind.
    operator.set("table", operator.bed.mirror_table.clone().into());
    let found = broken(&operator).await;
    let about: Vec<&str> = found.iter().map(|(about, _)| about.as_str()).collect();
    for expected in [
        "broken index timeline",
        "broken index open",
        "broken time to live",
        "warning point-in-time recovery",
    ] {
        assert!(about.contains(&expected), "{about:?}");
    }

    operator.set("table", "no-such-table".into());
    let found = broken(&operator).await;
    assert_eq!(found[0].0, "broken table no-such-table");
    assert!(found[0].1.starts_with("is not there, in region"), "{found:?}");
}

#[tokio::test]
async fn what_is_broken_in_the_queues_is_named() {
    let mut operator = Operator::new().await;
    let sqs = operator.bed.sqs();
    sqs.set_queue_attributes()
        .queue_url(&operator.bed.queue_url)
        .attributes(QueueAttributeName::VisibilityTimeout, "30")
        .attributes(QueueAttributeName::RedrivePolicy, "")
        .send()
        .await
        .expect("set");
    sqs.set_queue_attributes()
        .queue_url(&operator.bed.dlq_url)
        .attributes(QueueAttributeName::MessageRetentionPeriod, "3600")
        .send()
        .await
        .expect("set");
    make(&operator, [Given::new("dead", State::Dead, Duration::from_mins(1))]).await;
    let found = broken(&operator).await;
    let about: Vec<&str> = found.iter().map(|(about, _)| about.as_str()).collect();
    assert_eq!(
        about,
        [
            "broken visibility timeout",
            "broken redrive policy",
            "broken retention",
            "warning dead letters' retention",
            "warning dead letters",
        ]
    );
    let (_, says) = &found[4];
    for part in ["`inbox redrive`", "CouldNotDetermineMessageSource", "as custom destination"] {
        assert!(says.contains(part), "why the console's redrive fails is not told: {says}");
    }
    // The right policy with the wrong target, as a slip of the pen makes it.
    let name = operator.bed.queue_url.rsplit('/').next().unwrap();
    let target = format!("arn:aws:sqs:{}:000000000000:{name}", operator.bed.region);
    let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": 30}).to_string();
    sqs.set_queue_attributes()
        .queue_url(&operator.bed.queue_url)
        .attributes(QueueAttributeName::RedrivePolicy, policy)
        .send()
        .await
        .expect("set");
    let found = broken(&operator).await;
    let (about, says) = &found[1];
    assert_eq!(about, "broken redrive policy");
    assert!(says.starts_with(&format!("targets {target}, not arn:aws:sqs:")), "{says}");
    operator.run_by_an_administrator();
    operator.set("queue_url", format!("{}-gone", operator.bed.queue_url).into());
    let found = broken(&operator).await;
    assert_eq!(found[0].0, "broken queue", "{found:?}");
}

#[tokio::test]
async fn what_is_broken_in_the_secrets_is_named_and_never_quoted() {
    let operator = Operator::new().await;
    let secrets = operator.bed.secrets();
    for (source, value) in [
        (
            "stripe",
            json!({"signing_secrets": ["whsec_0123456789abcdef", "sk_live_MARKER"]}).to_string(),
        ),
        ("github", "[\"MARKER\"]".to_owned()),
    ] {
        let id = operator.secret_id(source);
        secrets.put_secret_value().secret_id(id).secret_string(value).send().await.expect("put");
    }
    let id = operator.secret_id("twilio");
    secrets
        .delete_secret()
        .secret_id(id)
        .force_delete_without_recovery(true)
        .send()
        .await
        .expect("delete");
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    assert!(!ran.text().contains("MARKER"), "{}", ran.text());
    let found = findings(&ran.json());
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].1.contains("must be JSON"), "{found:?}");
    assert!(found[1].1.starts_with("secret 2 of 2 is an API key"), "{found:?}");
    assert!(found[2].1.contains("is not there"), "{found:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_away_is_said_once() {
    let mut operator = Operator::new().await;
    operator.set("endpoint_url", "http://127.0.0.1:9".into());
    let ran = operator.run(&["doctor"]).await.expect(3);
    assert!(ran.stderr.contains("does `make run` still run?"), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
}

/// The processor and its mapping, on a stack of its own: there they are real.
#[tokio::test]
async fn a_processor_that_is_not_fed_is_named() {
    let directory = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("doctor-{}", uuid::Uuid::new_v4().simple()));
    // As a team writes it: the secret is made for the route that forwards.
    let routes = json!([
        {"id": "mirror", "match": "*:*", "handler": "mirror"},
        {"id": "crm", "match": "stripe:nothing", "handler": "forward",
         "with": {"url": "https://crm.example.com/"}},
    ]);
    let options = StackOptions { directory: directory.clone(), routes, ..StackOptions::default() };
    let stack = LocalStack::start(options, |_| {}).await.expect("a local stack");
    let mut operator = Operator::new().await;
    let description = serde_json::to_value(stack.description()).expect("JSON");
    for (name, value) in description.as_object().expect("an object") {
        operator.set(name, value.clone());
    }
    let ran = operator.run(&["doctor", "--json"]).await.expect(0);
    assert_eq!(findings(&ran.json()), []);
    let about: Vec<&str> = ran.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|finding| (finding["verdict"] == "ok").then(|| finding["about"].as_str())?)
        .map(str::to_owned)
        .map(|about| &*about.leak())
        .collect();
    for expected in [
        "event source mapping",
        "lane of slow routes",
        "partial batch failures",
        "processor",
        "routes",
        "route crm",
        "sweeper",
    ] {
        assert!(about.contains(&expected), "{about:?}");
    }
    super::routes::deployed_routes_are_shown(&operator).await;
    super::forward_secret::the_local_stacks_own_is_shown(&operator).await;
    stack.feed_processor(false).await.expect("not fed");
    let found = broken(&operator).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "broken event source mapping");
    assert!(found[0].1.starts_with("is Disabled"), "{found:?}");
    stack.stop().await;
    let _ = std::fs::remove_dir_all(directory);
}

#[tokio::test]
async fn a_deployment_that_could_not_be_looked_at_is_not_called_sound() {
    let operator = Operator::new().await;
    operator.proxy.set_hook(|_| Fault::status(400, "AccessDeniedException"));
    let ran = operator.run(&["doctor"]).await.expect(3);
    assert_eq!(ran.text(), "");
    assert!(ran.stderr.contains("nothing could be looked at; table"), "{}", ran.stderr);
    assert!(ran.stderr.contains("lacks a permission"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_payload_bucket_that_is_gone_is_named() {
    let operator = Operator::new().await;
    let bucket = &operator.bed.payload_bucket;
    operator.bed.s3().delete_bucket().bucket(bucket).send().await.expect("gone");
    let found = broken(&operator).await;
    let [(about, says)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(*about, format!("broken payload bucket {bucket}"));
    assert!(says.starts_with("is not there: large events are answered 503"), "{says}");
}

#[tokio::test]
async fn what_is_overdue_behind_a_deep_queue_is_no_fault_of_the_sweeper() {
    let operator = Operator::new().await;
    let old = Given::new("evt-a", State::Received, Duration::from_hours(1));
    make(&operator, [old]).await;
    operator.proxy.set_hook(|call| {
        let body = call.json();
        let is_main = body["QueueUrl"].as_str().is_some_and(|url| !url.ends_with("-lane"));
        if is_main && body["AttributeNames"] == json!(["ApproximateNumberOfMessages"]) {
            let body = json!({"Attributes": {"ApproximateNumberOfMessages": "100001"}});
            return Fault::Answer { status: 200, body };
        }
        Fault::None
    });
    let ran = operator.run(&["doctor", "--json"]).await.expect(0);
    let [(about, says)] = &findings(&ran.json())[..] else { panic!("{}", ran.text()) };
    assert_eq!(about, "warning sweeper");
    assert!(says.starts_with("is held: the queue is too deep to add to"), "{says}");
}
