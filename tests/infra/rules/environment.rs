//! Every function gets the settings that its binary reads, and no others: said by the
//! binary's own reader of its configuration, not by a second list.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use inbox_core::config::ConfigError;
use inbox_core::stack::stack;
use inbox_core::{Timestamp, telemetry};
use inbox_local::resources;
use inbox_processor::handlers::{HttpClients, Resources};
use inbox_processor::routes::Routes;
use serde_json::json;

use super::{catches, holds, planned};
use crate::plan::{Instance, Plan};

fn settings_are_those_that_the_binary_reads(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for (binary, function) in plan.functions() {
        let address = function.address();
        let variables = &function.values["environment"][0]["variables"];
        let Some(given) = variables.as_object() else {
            problems.push(format!("{address}: no environment"));
            continue;
        };
        for (name, value) in given.iter().filter(|(_, value)| !value.is_string()) {
            problems.push(format!("{address}: {name} is {value}, not text"));
        }
        let asked = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            given.get(name)?.as_str().map(deployed)
        };
        let read = match binary {
            "receiver" => inbox_receiver::config::Config::from_lookup(lookup).map(|_| ()),
            "processor" => inbox_processor::config::Config::from_lookup(lookup).map(|_| ()),
            _ => inbox_sweeper::config::Config::from_lookup(lookup).map(|_| ()),
        };
        if let Err(ConfigError { problems: said }) = read {
            problems.extend(said.into_iter().map(|it| format!("{address}: {it}")));
        }
        let asked = asked.into_inner();
        let unread = given.keys().filter(|name| {
            !asked.contains(*name) && !telemetry::VARIABLES.contains(&name.as_str())
        });
        problems.extend(unread.map(|name| format!("{address}: nothing reads {name}")));
    }
    problems
}

/// What AWS fills in, where the form matters.
fn deployed(value: &str) -> String {
    if value.ends_with(".api_endpoint>") {
        return "https://abc123.execute-api.us-east-1.amazonaws.com".to_owned();
    }
    value.to_owned()
}

/// As the processor reads it.
fn handler_timeout(variables: &serde_json::Value) -> Duration {
    let set = variables["HANDLER_TIMEOUT_SECONDS"].as_str().and_then(|text| text.parse().ok());
    Duration::from_secs(set.unwrap_or(stack().defaults.handler_timeout_seconds.into()))
}

/// The processor reads its routes when it starts, and would not start with wrong ones.
fn routes_are_read_by_the_processor(plan: &Plan) -> Vec<String> {
    let variables = &plan.processor().values["environment"][0]["variables"];
    let resources = Resources {
        aws: resources::sdk_config("http://127.0.0.1:1"),
        mirror_table: variables["MIRROR_TABLE_NAME"].as_str().map(str::to_owned),
        event_bus: variables["EVENT_BUS_NAME"].as_str().map(str::to_owned),
        payloads: None,
        handler_timeout: handler_timeout(variables),
        own_queues: Vec::new(),
        clock: Arc::new(Timestamp::now),
        http: HttpClients::default(),
    };
    Routes::parse(variables["ROUTES"].as_str(), &resources).err().unwrap_or_default()
}

fn settings_name_the_right_things(plan: &Plan) -> Vec<String> {
    let (ledger, mirror) = plan.tables();
    let queue = plan.queue();
    let none = [String::new()];
    let mut problems = Vec::new();
    for (binary, function) in plan.functions() {
        let variables = &function.values["environment"][0]["variables"];
        let mut expect = |name: &str, expected: &[String]| {
            let found = variables[name].as_str().unwrap_or_default();
            if !expected.iter().any(|it| it == found) {
                problems.push(format!("{}: {name} is {found:?}", function.address()));
            }
        };
        expect("TABLE_NAME", &names(ledger));
        let bucket = plan.all("aws_s3_bucket").next().expect("a bucket");
        let named = ["bucket", "id"].map(|name| bucket.reference(name));
        expect("PAYLOAD_BUCKET", &[&named[..], &[bucket.text("bucket").to_owned()]].concat());
        expect("QUEUE_URL", &[queue.reference("url"), queue.reference("id")]);
        if binary == "processor" {
            let dead_letters = plan.dead_letters().expect("a dead-letter queue");
            expect("DLQ_URL", &[dead_letters.reference("url"), dead_letters.reference("id")]);
            expect("MIRROR_TABLE_NAME", &names(mirror));
            let buses = plan.all("aws_cloudwatch_event_bus");
            let buses: Vec<_> =
                buses.flat_map(|it| [it.reference("name"), it.text("name").to_owned()]).collect();
            expect("EVENT_BUS_NAME", if buses.is_empty() { &none } else { &buses });
        }
    }
    problems
}

fn names(table: &Instance) -> Vec<String> {
    vec![table.text("name").to_owned(), table.reference("name"), table.reference("id")]
}

#[test]
fn every_function_gets_the_settings_that_its_binary_reads_and_no_others() {
    let rule = settings_are_those_that_the_binary_reads;
    holds(rule);
    let processor = "aws_lambda_function.processor";
    let variable = |name: &str| format!("/environment/0/variables/{name}");
    for (name, value, said) in [
        ("DLQ_URL", json!(""), "aws_lambda_function.processor: DLQ_URL is not set"),
        ("QUEUE_URI", json!("x"), "aws_lambda_function.processor: nothing reads QUEUE_URI"),
        ("HANDLER_TIMEOUT_SECONDS", json!("99"), "HANDLER_TIMEOUT_SECONDS must be a whole number"),
        ("HANDLER_TIMEOUT_SECONDS", json!(30), "HANDLER_TIMEOUT_SECONDS is 30, not text"),
    ] {
        catches(rule, said, |plan| plan.set(processor, &variable(name), value));
    }
    catches(rule, "nothing reads SECRET_ID", |plan| {
        plan.set("aws_lambda_function.sweeper", &variable("SECRET_ID"), json!("x"));
    });
}

#[test]
fn the_processor_takes_the_routes_that_it_is_given() {
    let rule = routes_are_read_by_the_processor;
    holds(rule);
    let pointer = "/environment/0/variables/ROUTES";
    catches(rule, "route 1 (\"a\"): handler forward: needs `secret_id`", |plan| {
        let routes = json!([{ "id": "a", "match": "*:*", "handler": "forward", "with": { "url": "https://example.com" } }]);
        plan.set("aws_lambda_function.processor", pointer, json!(routes.to_string()));
    });
}

#[test]
fn settings_name_the_ledger_the_queue_the_dead_letters_and_the_mirror() {
    let rule = settings_name_the_right_things;
    holds(rule);
    catches(rule, "aws_lambda_function.processor: DLQ_URL", |plan| {
        let queue = json!(plan.queue().reference("url"));
        plan.set("aws_lambda_function.processor", "/environment/0/variables/DLQ_URL", queue);
    });
    catches(rule, "aws_lambda_function.processor: PAYLOAD_BUCKET", |plan| {
        let pointer = "/environment/0/variables/PAYLOAD_BUCKET";
        plan.set("aws_lambda_function.processor", pointer, json!("elsewhere"));
    });
    catches(rule, "aws_lambda_function.processor: EVENT_BUS_NAME", |plan| {
        let pointer = "/environment/0/variables/EVENT_BUS_NAME";
        plan.set("aws_lambda_function.processor", pointer, json!("default"));
    });
    let without_bus = planned(&hcl::value!({ event_bus = false }));
    assert_eq!(rule(&without_bus), [""; 0]);
    catches(rule, "aws_lambda_function.sweeper: TABLE_NAME", |plan| {
        let mirror = json!(plan.tables().1.text("name"));
        plan.set("aws_lambda_function.sweeper", "/environment/0/variables/TABLE_NAME", mirror);
    });
}
