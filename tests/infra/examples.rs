//! The example subscribers as their Terraform would make them: the same entry points and
//! settings with which the end-to-end tests run them (`tests/local/subscribers.rs`), and
//! a place for what they fail at.

use std::collections::BTreeSet;

use inbox_core::stack::stack;
use serde_json::Value as Json;

use crate::infra;
use crate::module::Module;
use crate::plan::{Instance, Plan, plan};

fn planned(example: &str) -> Plan {
    let module = Module::read(&infra().join("modules/inbox/examples").join(example));
    plan(&module, &hcl::value::Map::new())
}

fn the<'a>(plan: &'a Plan, kind: &str) -> &'a Instance {
    let mut all = plan.instances.iter().filter(|it| !it.is_data && it.kind == kind);
    let one = all.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(all.next().is_none(), "more than one {kind}");
    one
}

fn settings(function: &Instance) -> BTreeSet<&str> {
    let variables = function.values["environment"][0]["variables"].as_object();
    variables.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn the_subscriber_of_the_bus_is_made_as_the_tests_run_it() {
    let plan = planned("publish-python");
    let function = the(&plan, "aws_lambda_function");
    assert_eq!(function.values["handler"], "subscriber.handler");
    assert_eq!(settings(function), BTreeSet::from(["TABLE_NAME"]));
    assert_eq!(the(&plan, "aws_dynamodb_table").values["hash_key"], "event");
    let rule = the(&plan, "aws_cloudwatch_event_rule");
    let pattern = rule.values["event_pattern"].as_str().unwrap();
    let pattern: Json = serde_json::from_str(pattern).unwrap();
    assert_eq!(pattern["detail"]["data"], Json::Null, "large events come without data");
    let target = the(&plan, "aws_cloudwatch_event_target");
    assert_eq!(target.values["arn"], function.reference("arn"));
    let permission = the(&plan, "aws_lambda_permission");
    assert_eq!(permission.values["source_arn"], rule.reference("arn"));
}

/// Twice: what the bus cannot hand over, and what the function fails at.
#[test]
fn what_the_subscriber_of_the_bus_fails_at_is_kept() {
    let plan = planned("publish-python");
    let queue = the(&plan, "aws_sqs_queue").reference("arn");
    let target = the(&plan, "aws_cloudwatch_event_target");
    assert_eq!(target.values["dead_letter_config"][0]["arn"], queue);
    let function = the(&plan, "aws_lambda_function");
    assert_eq!(function.values["dead_letter_config"][0]["target_arn"], queue);
}

/// And it gives up before the inbox does, so that its reason is told.
#[test]
fn the_function_to_invoke_is_made_as_the_tests_run_it() {
    let plan = planned("invoke-typescript");
    let function = the(&plan, "aws_lambda_function");
    assert_eq!(function.values["handler"], "index.handler");
    assert_eq!(settings(function), BTreeSet::from(["CRM_URL"]));
    let timeout = function.values["timeout"].as_u64().unwrap();
    assert!(timeout < u64::from(stack().defaults.handler_timeout_seconds), "{timeout} s");
}
