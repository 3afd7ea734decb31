//! `inbox doctor` of what routes lead to: functions, queues, topics, buses, the mirror.

use aws_sdk_eventbridge::Client as EventBridge;
use aws_sdk_sns::Client as Sns;
use inbox_local::calls::{Call, Fault};
use serde_json::{Value, json};

use super::doctor::findings;
use super::rig::{Operator, Ran};
use crate::targets::made;

/// A route to this target.
fn route(id: &str, handler: &str, with: &Value) -> Value {
    json!({"id": id, "match": "*:*", "handler": handler, "with": with})
}

/// What is said of each route, in the order of the routes: verdict, about, says.
fn told(ran: &Ran) -> Vec<String> {
    let all = ran.json()["findings"].as_array().expect("findings").clone();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    all.iter()
        .filter(|finding| text(finding, "about").starts_with("route "))
        .map(|finding| {
            let (verdict, about) = (text(finding, "verdict"), text(finding, "about"));
            format!("{verdict} {about}: {}", text(finding, "says"))
        })
        .collect()
}

/// Answers as Lambda does of a function with this time limit.
fn function(call: &Call, name: &str, timeout_seconds: u32) -> Option<Fault> {
    let path = format!("/2015-03-31/functions/{name}/configuration");
    (call.path == path).then(|| Fault::Answer {
        status: 200,
        body: json!({"FunctionName": name, "Timeout": timeout_seconds}),
    })
}

/// The processor's environment with these routes and what else handlers are given.
fn environment(operator: &Operator, routes: &Value) -> Value {
    json!({"Variables": {
        "ROUTES": routes.to_string(), "MIRROR_TABLE_NAME": operator.bed.mirror_table,
        "EVENT_BUS_NAME": "no-such-default-bus",
    }})
}

#[tokio::test]
async fn each_target_that_is_not_there_is_named() {
    let mut operator = Operator::new().await;
    operator.run_by_an_administrator();
    let gone_queue = format!("{}-gone", operator.bed.queue_url);
    let gone_topic = format!("arn:aws:sns:{}:000000000000:gone", operator.bed.region);
    let routes = json!([
        route("crm", "invoke", &json!({"function": "no-such-function"})),
        route("ship", "enqueue", &json!({"queue_url": gone_queue})),
        route("tell", "enqueue", &json!({"topic_arn": gone_topic})),
        route("bus", "publish", &json!({"bus": "no-such-bus"})),
        route("default", "publish", &json!({})),
        route("mirror", "mirror", &Value::Null),
        route("drill", "drill", &json!({"outcome": "retry"})),
    ]);
    operator.deploy_processor(&environment(&operator, &routes));
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    let away = "is not there: its events are tried again and then given up";
    assert_eq!(
        told(&ran),
        [
            format!("broken route crm: function no-such-function {away}"),
            format!("broken route ship: queue {gone_queue} {away}"),
            format!("broken route tell: topic {gone_topic} {away}"),
            format!("broken route bus: bus no-such-bus {away}"),
            format!("broken route default: bus no-such-default-bus {away}"),
            format!(
                "ok route mirror: table {} is there; 0 rows, 0 MB, none of which ever expires",
                operator.bed.mirror_table
            ),
        ]
    );
    let found = findings(&ran.json());
    let (_, says) = found.iter().find(|(about, _)| about == "broken route crm").expect("found");
    let fix = "→ make it, or put its name right in the route; then `inbox replay --state dead \
               --handler crm`";
    assert!(says.ends_with(fix), "{says}");
}

#[tokio::test]
async fn targets_that_are_there_are_told_so() {
    let mut operator = Operator::new().await;
    let aws = operator.bed.sdk_config();
    let name = format!("doctor-{}", uuid::Uuid::new_v4().simple());
    let topic = Sns::new(&aws).create_topic().name(&name).send().await.expect("a topic");
    let topic = topic.topic_arn().expect("an ARN").to_owned();
    EventBridge::new(&aws).create_event_bus().name(&name).send().await.expect("a bus");
    let queue = operator.bed.sqs().create_queue().queue_name(&name).send().await.expect("a queue");
    let queue = queue.queue_url().expect("a URL").to_owned();
    let function = made::function(&operator.bed).await;
    let routes = json!([
        route("crm", "invoke", &json!({"function": function})),
        route("ship", "enqueue", &json!({"queue_url": queue})),
        route("tell", "enqueue", &json!({"topic_arn": topic})),
        route("bus", "publish", &json!({"bus": name})),
    ]);
    // As who has the module's policies for operators and nothing else.
    operator.deploy_processor(&environment(&operator, &routes));
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    assert_eq!(
        told(&ran),
        [
            format!(
                "ok route crm: function {function} is there; it may run for {} s, and 30 s are \
                 waited for",
                made::FUNCTION_SECONDS
            ),
            format!("ok route ship: queue {queue} is there"),
            format!("ok route tell: topic {topic} is there"),
            format!("ok route bus: bus {name} is there"),
        ]
    );
}

#[tokio::test]
async fn a_function_that_may_run_longer_than_is_waited_for_is_told_with_the_limits() {
    let mut operator = Operator::new().await;
    let routes = json!([route("crm", "invoke", &json!({"function": "slow"}))]);
    let deployed = environment(&operator, &routes);
    operator
        .deploy_processor_and(&deployed, |call| function(call, "slow", 31).unwrap_or(Fault::None));
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    let found = findings(&ran.json());
    let (_, says) = found.iter().find(|(about, _)| about == "warning route crm").expect("found");
    let expected = "function slow may run for 31 s, and `invoke` waits 30 s for its reply: a run \
                    that takes longer counts as failed, and the function is called again beside it";
    assert!(says.starts_with(expected), "{says}");
    assert!(says.contains("(`handler_timeout_seconds`, at most 45)"), "{says}");

    // A route that waits for less says so for itself.
    let own = json!({"function": "slow", "timeout_seconds": 20});
    let deployed = environment(&operator, &json!([route("crm", "invoke", &own)]));
    operator
        .deploy_processor_and(&deployed, |call| function(call, "slow", 25).unwrap_or(Fault::None));
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    let found = findings(&ran.json());
    let (_, says) = found.iter().find(|(about, _)| about == "warning route crm").expect("found");
    assert!(says.contains("may run for 25 s, and `invoke` waits 20 s"), "{says}");
}

#[tokio::test]
async fn a_target_that_this_identity_may_not_see_is_not_looked_at_and_the_permission_is_told() {
    let mut operator = Operator::new().await;
    let queue = format!("{}-other", operator.bed.queue_url);
    let routes = json!([
        route("crm", "invoke", &json!({"function": "billing"})),
        route("ship", "enqueue", &json!({"queue_url": queue})),
        route("bus", "publish", &json!({"bus": "orders"})),
        route("mirror", "mirror", &Value::Null),
    ]);
    let mirror = operator.bed.mirror_table.clone();
    let (deployed, asked_for) = (environment(&operator, &routes), mirror.clone());
    operator.deploy_processor_and(&deployed, move |call| {
        let is_about_a_target = call.path.contains("/billing/")
            || call.operation.ends_with("DescribeEventBus")
            || String::from_utf8_lossy(&call.body).contains("-other")
            || (call.is("dynamodb", "DescribeTable")
                && call.json()["TableName"] == asked_for.as_str());
        let refused = Fault::status(403, "AccessDeniedException");
        if is_about_a_target { refused } else { Fault::None }
    });
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    let not = |id: &str, permission: &str, name: &str| {
        format!("unknown route {id}: not looked at: it takes {permission} on {name}")
    };
    assert_eq!(
        told(&ran),
        [
            not("crm", "lambda:GetFunctionConfiguration", "billing"),
            not("ship", "sqs:GetQueueAttributes", &queue),
            not("bus", "events:DescribeEventBus", "orders"),
            not("mirror", "dynamodb:DescribeTable", &mirror),
        ]
    );
}
