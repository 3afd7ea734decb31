//! The functions themselves.

use inbox_core::stack::stack;
use serde_json::json;

use super::{catches, holds};
use crate::plan::Plan;

/// Reserved concurrency throttles the queue's poller, and throttled invocations use up
/// receives of good messages.
fn nothing_throttles_the_poller(plan: &Plan) -> Vec<String> {
    let reserved = &plan.processor().values["reserved_concurrent_executions"];
    let is_free = reserved.is_null() || *reserved == json!(-1);
    if is_free { vec![] } else { vec![format!("the processor reserves {reserved}")] }
}

fn limits_are_those_of_the_stack_file(plan: &Plan) -> Vec<String> {
    let facts = stack();
    let mut problems = Vec::new();
    let receiver = facts.receiver;
    for (binary, function) in plan.functions() {
        let expected = match binary {
            "receiver" => receiver,
            "processor" => facts.processor,
            _ => facts.sweeper.function(),
        };
        let limits = (function.number("memory_size"), function.number("timeout"));
        if limits != (Some(expected.memory_mb.into()), Some(expected.timeout_seconds.into())) {
            problems
                .push(format!("{}: {limits:?}, in stack.json {expected:?}", function.address()));
        }
    }
    problems
}

fn functions_run_bootstrap_on_amazon_linux(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for (binary, function) in plan.functions() {
        let address = function.address();
        if (function.text("runtime"), function.text("handler")) != ("provided.al2023", "bootstrap")
        {
            problems.push(format!("{address}: not a bootstrap on provided.al2023"));
        }
        if function.text("source_code_hash") != format!("<hash of <var.packages.{binary}>>") {
            problems.push(format!("{address}: a changed package is not deployed"));
        }
        let architectures = &function.values["architectures"];
        if ![json!(["arm64"]), json!(["x86_64"])].contains(architectures) {
            problems.push(format!("{address}: {architectures}"));
        }
    }
    problems
}

/// A sweep takes less than its interval, and a failed one is not tried again.
fn the_sweeper_runs_on_its_interval(plan: &Plan) -> Vec<String> {
    let sweepers: Vec<_> =
        plan.functions().into_iter().filter(|(it, _)| *it == "sweeper").collect();
    let [(_, sweeper)] = &sweepers[..] else { return vec!["there is not one sweeper".to_owned()] };
    let schedules: Vec<_> = plan
        .all("aws_scheduler_schedule")
        .filter(|it| {
            let called = plan.called(it.values["target"][0]["arn"].as_str().unwrap_or_default());
            called.is_some_and(|it| it.address() == sweeper.address())
        })
        .collect();
    let [schedule] = &schedules[..] else { return vec!["there is not one schedule".to_owned()] };
    let minutes = stack().sweeper.interval_seconds / 60;
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    let mut problems = Vec::new();
    if schedule.text("schedule_expression") != format!("rate({minutes} {unit})") {
        problems.push(format!("the sweeper runs at {}", schedule.text("schedule_expression")));
    }
    if schedule.text("state") == "DISABLED" {
        problems.push("the schedule is disabled".to_owned());
    }
    problems
}

/// Code and settings change by two calls. What is called is a version that has both.
fn callers_call_published_versions(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for (_, function) in plan.functions() {
        let address = function.address();
        if function.values["publish"] != json!(true) {
            problems.push(format!("{address}: no version is published"));
        }
        let aliases: Vec<_> = plan
            .all("aws_lambda_alias")
            .filter(|it| it.text("function_version") == function.reference("version"))
            .filter(|it| it.text("function_name") == function.text("function_name"))
            .collect();
        let [alias] = &aliases[..] else {
            problems.push(format!("{address}: there is not one alias of its newest version"));
            continue;
        };
        let qualified = ["aws_lambda_permission", "aws_lambda_function_event_invoke_config"];
        for kind in qualified {
            let all = plan.all(kind);
            for it in all.filter(|it| it.text("function_name") == function.text("function_name")) {
                if it.text("qualifier") != alias.text("name") {
                    problems.push(format!("{}: it is not on the alias", it.address()));
                }
            }
        }
    }
    problems
}

#[test]
fn what_is_called_is_a_published_version_by_its_alias() {
    let rule = callers_call_published_versions;
    holds(rule);
    catches(rule, "aws_lambda_function.sweeper: no version is published", |plan| {
        plan.set("aws_lambda_function.sweeper", "/publish", json!(false));
    });
    catches(rule, "aws_lambda_function.sweeper: there is not one alias", |plan| {
        plan.set("aws_lambda_alias.sweeper", "/function_version", json!("$LATEST"));
    });
    catches(rule, "aws_lambda_permission.api[\"POST github\"]: it is not on the alias", |plan| {
        plan.set("aws_lambda_permission.api[\"POST github\"]", "/qualifier", json!(null));
    });
}

#[test]
fn the_processor_reserves_no_concurrency() {
    let rule = nothing_throttles_the_poller;
    holds(rule);
    catches(rule, "the processor reserves 5", |plan| {
        let processor = plan.processor().address();
        plan.set(&processor, "/reserved_concurrent_executions", json!(5));
    });
}

#[test]
fn memory_and_time_limits_are_those_of_the_stack_file_unless_a_source_says_otherwise() {
    // Only of the plan without options: those are what a team may set.
    assert_eq!(limits_are_those_of_the_stack_file(&super::PLAIN), [""; 0]);
    catches(limits_are_those_of_the_stack_file, "aws_lambda_function.sweeper", |plan| {
        plan.set("aws_lambda_function.sweeper", "/timeout", json!(61));
    });
}

#[test]
fn every_function_is_a_bootstrap_that_is_deployed_when_it_changes() {
    let rule = functions_run_bootstrap_on_amazon_linux;
    holds(rule);
    catches(rule, "not a bootstrap", |plan| {
        plan.set("aws_lambda_function.sweeper", "/runtime", json!("provided.al2"));
    });
    catches(rule, "a changed package is not deployed", |plan| {
        let hash = json!("<hash of <var.packages.processor>>");
        plan.set("aws_lambda_function.sweeper", "/source_code_hash", hash);
    });
    catches(rule, "aws_lambda_function.processor: []", |plan| {
        plan.set("aws_lambda_function.processor", "/architectures", json!([]));
    });
}

#[test]
fn the_sweeper_runs_once_in_its_interval() {
    let rule = the_sweeper_runs_on_its_interval;
    holds(rule);
    let schedule = "aws_scheduler_schedule.sweeper";
    catches(rule, "runs at rate(1 hour)", |plan| {
        plan.set(schedule, "/schedule_expression", json!("rate(1 hour)"));
    });
    catches(rule, "there is not one schedule", |plan| {
        plan.set(schedule, "/target/0/arn", json!("<aws_lambda_alias.processor.arn>"));
    });
    catches(rule, "disabled", |plan| plan.set(schedule, "/state", json!("DISABLED")));
}
