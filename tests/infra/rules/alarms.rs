//! Alarms: what must wake somebody does, and reaches somebody.

use inbox_core::telemetry::NAMESPACE;
use serde_json::json;

use super::{catches, holds, planned};
use crate::infra;
use crate::plan::{Instance, Plan};

/// The alarms on one metric of one thing. A dimension is given by what it may be.
fn on<'a>(
    plan: &'a Plan,
    namespace: &str,
    metric: &str,
    dimension: &str,
    values: &[String],
) -> Vec<&'a Instance> {
    let is_meant = |it: &&Instance| {
        it.text("namespace") == namespace
            && it.text("metric_name") == metric
            && it.values["dimensions"][dimension]
                .as_str()
                .is_some_and(|it| values.iter().any(|value| value == it))
    };
    plan.all("aws_cloudwatch_metric_alarm").filter(is_meant).collect()
}

fn names(instance: &Instance, argument: &str) -> Vec<String> {
    vec![instance.text(argument).to_owned(), instance.reference(argument), instance.reference("id")]
}

fn what_matters_raises_an_alarm(plan: &Plan) -> Vec<String> {
    let queue = names(plan.queue(), "name");
    let lane = names(plan.lane().expect("a lane"), "name");
    let dead_letters = names(plan.dead_letters().expect("a dead-letter queue"), "name");
    let api = names(plan.all("aws_apigatewayv2_api").next().expect("an API"), "name");
    let mut expected = vec![
        (
            "dead letters",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            "QueueName",
            dead_letters,
        ),
        ("the age of messages", "AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue),
        ("the age of the lane", "AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", lane),
        ("5xx", "AWS/ApiGateway", "5xx", "ApiId", api),
    ];
    let functions = plan.functions();
    let titles: Vec<(String, Vec<String>)> = functions
        .iter()
        .map(|(_, it)| {
            (format!("throttles of {}", it.text("function_name")), names(it, "function_name"))
        })
        .collect();
    for (title, names) in &titles {
        expected.push((title, "AWS/Lambda", "Throttles", "FunctionName", names.clone()));
    }
    let missing = expected.into_iter().filter(|(_, namespace, metric, dimension, values)| {
        on(plan, namespace, metric, dimension, values).is_empty()
    });
    missing.map(|(title, ..)| format!("nothing watches {title}")).collect()
}

fn alarms_reach_somebody(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for alarm in plan.all("aws_cloudwatch_metric_alarm") {
        let actions = alarm.values["alarm_actions"].as_array().cloned().unwrap_or_default();
        let topic = actions.iter().filter_map(|it| plan.referred(it.as_str()?));
        if !topic.into_iter().any(|it| it.kind == "aws_sns_topic") {
            problems.push(format!("{}: it tells nobody", alarm.address()));
        }
        if alarm.values["actions_enabled"] == json!(false) {
            problems.push(format!("{}: its actions are off", alarm.address()));
        }
    }
    problems
}

/// Metrics of our own are found under the namespace that the functions write.
fn our_metrics_are_looked_for_where_they_are_written(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    let given = |function: &Instance| {
        let variables = &function.values["environment"][0]["variables"];
        variables["METRICS_NAMESPACE"].as_str().map_or(NAMESPACE.to_owned(), ToOwned::to_owned)
    };
    let written: Vec<String> = plan.functions().into_iter().map(|(_, it)| given(it)).collect();
    let queried = plan.all("aws_cloudwatch_metric_alarm").flat_map(|alarm| {
        let queries = alarm
            .blocks("metric_query")
            .iter()
            .filter_map(|it| it["metric"][0]["namespace"].as_str());
        let own = Some(alarm.text("namespace")).filter(|it| !it.is_empty());
        queries.chain(own).map(move |it| (alarm.address(), it.to_owned())).collect::<Vec<_>>()
    });
    for (address, namespace) in queried.filter(|(_, it)| !it.starts_with("AWS/")) {
        if !written.contains(&namespace) {
            problems.push(format!("{address}: nobody writes to {namespace}"));
        }
    }
    problems
}

/// What a change of routes took the route from is done with nothing done.
fn lost_routes_raise_an_alarm(plan: &Plan) -> Vec<String> {
    let receivers = plan.functions().into_iter().filter(|(binary, _)| *binary == "receiver");
    let sources = receivers.map(|(_, it)| {
        let variables = &it.values["environment"][0]["variables"];
        let text = |name: &str| variables[name].as_str().unwrap_or_default().to_owned();
        (text("SOURCE"), text("METRICS_NAMESPACE"))
    });
    let missing = sources.filter(|(source, namespace)| {
        on(plan, namespace, "RouteLost", "Source", std::slice::from_ref(source)).is_empty()
    });
    missing.map(|(source, _)| format!("nothing watches lost routes of {source}")).collect()
}

#[test]
fn events_that_lose_their_route_raise_an_alarm_for_each_source() {
    holds(lost_routes_raise_an_alarm);
    catches(lost_routes_raise_an_alarm, "nothing watches lost routes of clerk", |plan| {
        plan.remove(|it| it.text("metric_name") == "RouteLost");
    });
}

#[test]
fn dead_letters_age_5xx_and_throttles_raise_an_alarm() {
    let rule = what_matters_raises_an_alarm;
    holds(rule);
    for (metric, said) in [
        ("ApproximateNumberOfMessagesVisible", "nothing watches dead letters"),
        ("ApproximateAgeOfOldestMessage", "nothing watches the age of messages"),
        ("ApproximateAgeOfOldestMessage", "nothing watches the age of the lane"),
        ("5xx", "nothing watches 5xx"),
        ("Throttles", "nothing watches throttles of hooks-processor"),
    ] {
        catches(rule, said, |plan| plan.remove(|it| it.text("metric_name") == metric));
    }
}

#[test]
fn every_alarm_reaches_a_topic() {
    let rule = alarms_reach_somebody;
    holds(rule);
    let alarm = |plan: &Plan| plan.all("aws_cloudwatch_metric_alarm").next().unwrap().address();
    catches(rule, "it tells nobody", |plan| plan.set(&alarm(plan), "/alarm_actions", json!([])));
    catches(rule, "its actions are off", |plan| {
        plan.set(&alarm(plan), "/actions_enabled", json!(false));
    });
}

#[test]
fn metrics_are_looked_for_where_the_functions_write_them() {
    let rule = our_metrics_are_looked_for_where_they_are_written;
    holds(rule);
    catches(rule, "nobody writes to WebhookOutbox", |plan| {
        let alarm = plan.all("aws_cloudwatch_metric_alarm").next().unwrap().address();
        plan.set(&alarm, "/namespace", json!("WebhookOutbox"));
    });
}

#[test]
fn the_documents_count_the_alarms_that_cost() {
    let alarms =
        planned(&hcl::Value::Object(hcl::Map::new())).all("aws_cloudwatch_metric_alarm").count();
    let file = infra().join("README.md");
    let text = std::fs::read_to_string(&file).expect("infra/README.md");
    let said = format!("alarms {alarms} × $0.10");
    assert!(text.contains(&said), "say \"{said}\" in infra/README.md, and what it comes to");
}
