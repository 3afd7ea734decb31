//! Metrics: what an alarm or the dashboard reads is emitted under those very dimensions,
//! and what is emitted is read, since each metric is paid for by the month.
//!
//! An alarm on a metric that nobody emits never rings, and nothing says so: `Missing` with
//! one dimension too many, or a query over `Source`, which is a reserved word.

use std::collections::BTreeSet;

use inbox_core::telemetry::METRICS;
use serde_json::{Value as Json, json};

use super::{catches, holds};
use crate::plan::Plan;

/// Namespace, name and names of dimensions.
type Metric = (String, String, BTreeSet<String>);

/// Namespace, names, and the sets of dimensions that each comes with.
type OfService = (&'static str, &'static [&'static str], &'static [&'static [&'static str]]);

/// What AWS's own services emit, by the dimensions that their pages name:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>,
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>,
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html>,
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html>.
const OF_AWS: [OfService; 4] = [
    (
        "AWS/SQS",
        &[
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
        ],
        &[&["QueueName"]],
    ),
    ("AWS/Lambda", &["Errors", "Invocations", "Throttles"], &[&["FunctionName"]]),
    ("AWS/ApiGateway", &["Count", "4xx", "5xx", "Latency"], &[&["ApiId"]]),
    (
        "AWS/DynamoDB",
        &["ConsumedWriteCapacityUnits", "WriteThrottleEvents"],
        &[&["TableName"], &["TableName", "GlobalSecondaryIndexName"]],
    ),
];

/// The words of the query language itself.
const LANGUAGE: [&str; 17] = [
    "SELECT", "AVG", "COUNT", "MAX", "MIN", "SUM", "FROM", "SCHEMA", "WHERE", "AND", "OR", "GROUP",
    "BY", "ORDER", "ASC", "DESC", "LIMIT",
];

fn metric(namespace: &str, name: &str, dimensions: &[&str]) -> Metric {
    let dimensions = dimensions.iter().map(|it| (*it).to_owned()).collect();
    (namespace.to_owned(), name.to_owned(), dimensions)
}

/// By the functions, and by filters over logs.
fn emitted(plan: &Plan) -> BTreeSet<Metric> {
    let variables = &plan.processor().values["environment"][0]["variables"];
    let namespace = variables["METRICS_NAMESPACE"].as_str().expect("a namespace");
    let own =
        METRICS.iter().flat_map(|(name, sets)| sets.iter().map(|set| metric(namespace, name, set)));
    let filtered = plan.all("aws_cloudwatch_log_metric_filter").map(|filter| {
        let made = &filter.values["metric_transformation"][0];
        let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        let dimensions = made["dimensions"].as_object().into_iter().flatten();
        (text("namespace"), text("name"), dimensions.map(|(name, _)| name.clone()).collect())
    });
    own.chain(filtered).collect()
}

/// By whom, and what.
fn read(plan: &Plan) -> Vec<(String, Metric)> {
    let by_alarms = plan.all("aws_cloudwatch_metric_alarm").flat_map(|alarm| {
        let queried = alarm.blocks("metric_query").iter().filter_map(|it| it["metric"].get(0));
        let own = Some(&alarm.values).filter(|it| it["metric_name"].is_string());
        let all = queried.chain(own).map(|it| {
            let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
            let names = it["dimensions"].as_object().into_iter().flatten();
            let names = names.map(|(name, _)| name.clone()).collect();
            (alarm.address(), (text("namespace"), filter_name(plan, &text("metric_name")), names))
        });
        all.collect::<Vec<_>>()
    });
    by_alarms.chain(shown(plan)).collect()
}

/// A filter's metric may be named by reference.
fn filter_name(plan: &Plan, name: &str) -> String {
    let filter = plan.referred(name).filter(|it| it.kind == "aws_cloudwatch_log_metric_filter");
    filter
        .and_then(|it| it.values["metric_transformation"][0]["name"].as_str())
        .unwrap_or(name)
        .to_owned()
}

/// On the dashboard: by name, or by a search within a schema.
fn shown(plan: &Plan) -> Vec<(String, Metric)> {
    let mut found = Vec::new();
    for dashboard in plan.all("aws_cloudwatch_dashboard") {
        let body: Json = serde_json::from_str(dashboard.text("dashboard_body")).expect("JSON");
        let widgets = body["widgets"].as_array().cloned().unwrap_or_default();
        for widget in widgets {
            let title = widget["properties"]["title"].as_str().unwrap_or_default().to_owned();
            let metrics = widget["properties"]["metrics"].as_array().cloned().unwrap_or_default();
            for row in metrics.iter().filter_map(Json::as_array) {
                let texts: Vec<&str> = row.iter().filter_map(Json::as_str).collect();
                let searched = row[0]["expression"].as_str().map(searched);
                let named = || {
                    let dimensions: Vec<&str> = texts[2..].iter().step_by(2).copied().collect();
                    metric(texts[0], texts[1], &dimensions)
                };
                found.push((format!("widget {title:?}"), searched.unwrap_or_else(named)));
            }
        }
    }
    found
}

/// `SEARCH('{"namespace","Dimension"} MetricName="Name"', 'Sum', 60)`
fn searched(expression: &str) -> Metric {
    let schema = expression.split_once('{').and_then(|(_, it)| it.split_once('}'));
    let (schema, rest) = schema.unwrap_or_else(|| panic!("no schema in {expression}"));
    let mut names = schema.split(',').map(|it| it.trim().trim_matches('"'));
    let namespace = names.next().unwrap_or_default();
    let name = rest.split_once("MetricName=\"").and_then(|(_, it)| it.split_once('"'));
    let (name, _) = name.unwrap_or_else(|| panic!("no MetricName in {expression}"));
    metric(namespace, name, &names.collect::<Vec<_>>())
}

fn what_is_read_is_emitted(plan: &Plan) -> Vec<String> {
    let emitted = emitted(plan);
    let of_aws = |(namespace, name, dimensions): &Metric| {
        OF_AWS.iter().any(|(known, names, sets)| {
            known == namespace
                && names.contains(&name.as_str())
                && sets.iter().any(|set| metric(namespace, name, set).2 == *dimensions)
        })
    };
    let read = read(plan).into_iter();
    let silent = read.filter(|(_, metric)| !emitted.contains(metric) && !of_aws(metric));
    silent
        .map(|(by, (namespace, name, dimensions))| {
            format!("{by}: nobody emits {namespace} {name} by {dimensions:?}")
        })
        .collect()
}

fn what_is_emitted_is_read(plan: &Plan) -> Vec<String> {
    let read: BTreeSet<Metric> = read(plan).into_iter().map(|(_, metric)| metric).collect();
    let unread = emitted(plan).into_iter().filter(|metric| !read.contains(metric));
    unread
        .map(|(_, name, dimensions)| {
            format!("no alarm and no widget reads {name} by {dimensions:?}: it is paid for")
        })
        .collect()
}

/// Identifiers stand in double quotes, in queries and in the schema of a search: names
/// with a slash or a hyphen must, and reserved words such as `SOURCE` and `HANDLER` must.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-metrics-insights-reserved-keywords.html>,
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html>
fn names_in_queries_are_quoted(plan: &Plan) -> Vec<String> {
    let mut expressions: Vec<(String, String)> = Vec::new();
    for alarm in plan.all("aws_cloudwatch_metric_alarm") {
        let queries = alarm.blocks("metric_query").iter();
        let texts = queries.filter_map(|it| it["expression"].as_str());
        expressions.extend(texts.map(|it| (alarm.address(), it.to_owned())));
    }
    for dashboard in plan.all("aws_cloudwatch_dashboard") {
        let body: Json = serde_json::from_str(dashboard.text("dashboard_body")).expect("JSON");
        let rows = body["widgets"].as_array().cloned().unwrap_or_default();
        let rows = rows
            .iter()
            .flat_map(|it| it["properties"]["metrics"].as_array().cloned().unwrap_or_default());
        let texts = rows.filter_map(|it| it[0]["expression"].as_str().map(str::to_owned));
        expressions.extend(texts.map(|it| (dashboard.address(), it)));
    }
    let bare = |(place, text): &(String, String)| {
        let names: Vec<String> = unquoted(text);
        (!names.is_empty()).then(|| format!("{place}: {names:?} must be quoted in {text}"))
    };
    expressions.iter().filter_map(bare).collect()
}

/// What stands where a name belongs and is not quoted.
fn unquoted(expression: &str) -> Vec<String> {
    let is_quoted = |name: &str| name.len() > 2 && name.starts_with('"') && name.ends_with('"');
    if let Some(schema) = expression.strip_prefix("SEARCH('{").and_then(|it| it.split_once('}')) {
        let names = schema.0.split(',').map(str::trim);
        return names.filter(|it| !is_quoted(it)).map(str::to_owned).collect();
    }
    if !expression.trim_start().to_uppercase().starts_with("SELECT") {
        // Metric math names the ids of other queries, which are never quoted.
        return Vec::new();
    }
    // Values stand in single quotes.
    let without_quoted = regex_lite::Regex::new("\"[^\"]*\"|'[^']*'").expect("a pattern");
    let rest = without_quoted.replace_all(expression, " ");
    let words = rest.split(|it: char| !it.is_alphanumeric() && it != '_' && it != '/');
    let names = words.filter(|it| it.chars().any(char::is_alphabetic));
    names.filter(|it| !LANGUAGE.contains(it)).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_is_read_is_emitted_under_those_dimensions() {
    let rule = what_is_read_is_emitted;
    holds(rule);
    let alarm = "aws_cloudwatch_metric_alarm.rejected[\"github\"]";
    catches(rule, "nobody emits WebhookInbox/hooks Rejected by {\"Reason\"}", |plan| {
        plan.set(alarm, "/dimensions", json!({ "Reason": "stale_timestamp" }));
    });
    catches(rule, "nobody emits WebhookInbox/hooks Refused by {\"Source\"}", |plan| {
        plan.set(alarm, "/metric_name", json!("Refused"));
    });
    catches(rule, "nobody emits AWS/Lambda Errors by {\"QueueName\"}", |plan| {
        let alarm = "aws_cloudwatch_metric_alarm.processor_errors";
        plan.set(alarm, "/dimensions", json!({ "QueueName": "x" }));
    });
    catches(rule, "nobody emits WebhookInbox/hooks Throttled", |plan| {
        plan.remove(|it| it.kind == "aws_cloudwatch_log_metric_filter");
    });
}

#[test]
fn every_metric_that_is_emitted_is_read_by_an_alarm_or_the_dashboard() {
    let rule = what_is_emitted_is_read;
    holds(rule);
    for (removed, said) in
        [("unreadable", "reads Unreadable by {}"), ("this", "reads Retried by {\"Source\"}")]
    {
        catches(rule, said, |plan| {
            plan.remove(|it| it.name == removed && it.kind.starts_with("aws_cloudwatch_"));
        });
    }
}

#[test]
fn every_name_in_a_query_or_a_search_is_quoted() {
    let rule = names_in_queries_are_quoted;
    holds(rule);
    let query = |text: &str| {
        let text = text.to_owned();
        move |plan: &mut Plan| {
            let alarm = "aws_cloudwatch_metric_alarm.table_throttles[\"table\"]";
            plan.set(alarm, "/metric_query/0/expression", json!(text));
        }
    };
    let bare = "SELECT SUM(Rejected) FROM SCHEMA(\"a/b\", Reason, \"Source\") WHERE Source = 'x'";
    catches(rule, "[\"Rejected\", \"Reason\", \"Source\"] must be quoted", query(bare));
    catches(rule, "[\"AWS/Lambda\"] must be quoted", query("SELECT MAX(\"x\") FROM AWS/Lambda"));
    catches(rule, "[\"a/b-c\", \"Source\"] must be quoted", |plan| {
        let row = json!([{ "expression": "SEARCH('{a/b-c,Source} MetricName=\"x\"', 'Sum', 60)" }]);
        let body = json!({ "widgets": [{ "properties": { "metrics": [row] } }] });
        plan.set("aws_cloudwatch_dashboard.this", "/dashboard_body", json!(body.to_string()));
    });
    let quoted = "SELECT SUM(\"Rejected\") FROM SCHEMA(\"a/b\", \"Source\") WHERE \"Source\" = 'x'";
    assert_eq!(unquoted(quoted), [""; 0]);
}
