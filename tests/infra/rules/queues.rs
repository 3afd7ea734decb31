//! Queue, dead-letter queue and the mapping to the processor.

use inbox_core::stack::stack;
use serde_json::json;

use super::{catches, holds};
use crate::plan::Plan;

const FOURTEEN_DAYS_SECONDS: u64 = 1_209_600;

/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>
fn visibility_is_six_times_the_timeout(plan: &Plan) -> Vec<String> {
    let visibility = plan.queue().number("visibility_timeout_seconds").unwrap_or(30);
    let timeout = plan.processor().number("timeout").unwrap_or(3);
    let margin = u64::from(stack().defaults.lease_margin_seconds);
    let mut problems = Vec::new();
    if visibility < 6 * timeout {
        problems.push(format!("visibility of {visibility} s is less than six times {timeout} s"));
    }
    if timeout + margin >= visibility {
        problems.push(format!("a lease of {} s is not below {visibility} s", timeout + margin));
    }
    problems
}

fn dead_letters_are_kept_for_fourteen_days(plan: &Plan) -> Vec<String> {
    let Some(dead_letters) = plan.dead_letters() else {
        return vec!["the queue has no dead-letter queue".to_owned()];
    };
    let dead = dead_letters.number("message_retention_seconds").unwrap_or(345_600);
    let live = plan.queue().number("message_retention_seconds").unwrap_or(345_600);
    let mut problems = Vec::new();
    if dead != FOURTEEN_DAYS_SECONDS {
        problems.push(format!("dead letters are kept for {dead} s"));
    }
    if dead <= live {
        problems.push(format!("dead letters ({dead} s) do not outlive messages ({live} s)"));
    }
    problems
}

fn the_queue_is_redriven_to_its_own_dead_letters(plan: &Plan) -> Vec<String> {
    let queue = plan.queue();
    let Some(dead_letters) = plan.dead_letters() else {
        return vec!["the redrive policy names no queue of this stack".to_owned()];
    };
    let mut problems = Vec::new();
    if dead_letters.address() == queue.address() {
        problems.push("the queue is its own dead-letter queue".to_owned());
    }
    if !dead_letters.text("redrive_policy").is_empty() {
        problems.push("dead letters are moved on".to_owned());
    }
    let url = dead_letters.reference("id");
    let separate = plan.all("aws_sqs_queue_redrive_allow_policy");
    let allow = separate.filter(|it| {
        [&url, &dead_letters.reference("url")].contains(&&it.text("queue_url").to_owned())
    });
    let allow = allow.map(|it| it.text("redrive_allow_policy")).next();
    let allow = allow.unwrap_or(dead_letters.text("redrive_allow_policy"));
    let allow: serde_json::Value = serde_json::from_str(allow).unwrap_or_default();
    let sources = plan.all("aws_lambda_event_source_mapping");
    let sources: Vec<&str> = sources.map(|mapping| mapping.text("event_source_arn")).collect();
    if allow != json!({ "redrivePermission": "byQueue", "sourceQueueArns": sources }) {
        problems.push(format!("dead letters may come from elsewhere: {allow}"));
    }
    problems
}

/// Each wait that stays in the queue is a receive; throttles and outages cost more.
fn receives_are_many_more_than_kept_waits(plan: &Plan) -> Vec<String> {
    let most = plan.redrive().and_then(|it| it["maxReceiveCount"].as_u64()).unwrap_or(0);
    let defaults = &stack().defaults;
    let variables = &plan.processor().values["environment"][0]["variables"];
    let delays: Vec<u32> = match variables["RETRY_DELAYS_SECONDS"].as_str() {
        Some(delays) => delays.split(',').map(|it| it.parse().expect("a number")).collect(),
        None => defaults.retry_delays_seconds.clone(),
    };
    let kept = delays.iter().filter(|it| **it <= defaults.park_above_seconds).count() as u64;
    let is_enough = most >= 5 * kept && most <= 1000;
    if is_enough { vec![] } else { vec![format!("{most} receives for {kept} waits in the queue")] }
}

fn the_mapping_reports_partial_failures(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for mapping in plan.all("aws_lambda_event_source_mapping") {
        if mapping.values["function_response_types"] != json!(["ReportBatchItemFailures"]) {
            problems.push(format!("{}: partial failures are ignored", mapping.address()));
        }
        let function = plan.called(mapping.text("function_name"));
        if function.map(crate::plan::Instance::address) != Some(plan.processor().address()) {
            problems.push(format!("{}: it does not feed the processor", mapping.address()));
        }
        let concurrency = mapping.values["scaling_config"][0]["maximum_concurrency"].as_u64();
        if concurrency.is_none_or(|it| it < 2) {
            problems.push(format!("{}: no maximum_concurrency", mapping.address()));
        }
        // More than ten in a batch would need a window too.
        if mapping.number("batch_size") != Some(stack().event_source_mapping.batch_size.into()) {
            problems.push(format!("{}: batch_size is not stack.json's", mapping.address()));
        }
    }
    problems
}

/// The lane takes what the queue does, for slow routes, and few of the processor's places.
fn the_lane_is_made_and_read_as_the_queue_is(plan: &Plan) -> Vec<String> {
    let Some(lane) = plan.lane() else { return vec!["there is no lane".to_owned()] };
    let queue = plan.queue();
    let mut problems = Vec::new();
    for attribute in [
        "visibility_timeout_seconds",
        "message_retention_seconds",
        "redrive_policy",
        "sqs_managed_sse_enabled",
        "kms_master_key_id",
    ] {
        if lane.values[attribute] != queue.values[attribute] {
            problems.push(format!("the lane's {attribute} is not the queue's"));
        }
    }
    let facts = stack();
    for (mapping, most) in plan
        .all("aws_lambda_event_source_mapping")
        .skip(1)
        .map(|mapping| (mapping, facts.lane.maximum_concurrency))
    {
        if mapping.values["scaling_config"][0]["maximum_concurrency"] != json!(most) {
            problems.push(format!("{}: it is not read by {most} at most", mapping.address()));
        }
    }
    let told = &plan.processor().values["environment"][0]["variables"]["LANE_QUEUE_URL"];
    if *told != json!(lane.reference("url")) {
        problems.push("the processor does not know the lane".to_owned());
    }
    problems
}

fn the_facts_are_those_of_the_stack_file(plan: &Plan) -> Vec<String> {
    let facts = stack();
    let mut problems = Vec::new();
    let queue = plan.queue();
    let dead_letters = plan.dead_letters();
    for (what, found, expected) in [
        (
            "visibility",
            queue.number("visibility_timeout_seconds"),
            facts.queue.visibility_timeout_seconds,
        ),
        ("retention", queue.number("message_retention_seconds"), facts.queue.retention_seconds),
        (
            "retention of dead letters",
            dead_letters.and_then(|it| it.number("message_retention_seconds")),
            facts.dead_letter_queue.retention_seconds,
        ),
        (
            "receive count",
            plan.redrive().and_then(|it| it["maxReceiveCount"].as_u64()),
            facts.queue.max_receive_count,
        ),
        (
            "timeout of the processor",
            plan.processor().number("timeout"),
            facts.processor.timeout_seconds,
        ),
    ] {
        if found != Some(expected.into()) {
            problems.push(format!("{what} is {found:?}, in stack.json {expected}"));
        }
    }
    problems
}

#[test]
fn visibility_is_at_least_six_times_the_timeout_and_longer_than_a_lease() {
    let rule = visibility_is_six_times_the_timeout;
    holds(rule);
    catches(rule, "less than six times", |plan| {
        let queue = plan.queue().address();
        plan.set(&queue, "/visibility_timeout_seconds", json!(359));
    });
    catches(rule, "a lease of 130 s is not below 120 s", |plan| {
        let (queue, processor) = (plan.queue().address(), plan.processor().address());
        plan.set(&queue, "/visibility_timeout_seconds", json!(120));
        plan.set(&processor, "/timeout", json!(120));
    });
}

#[test]
fn dead_letters_are_kept_for_fourteen_days_and_longer_than_messages() {
    let rule = dead_letters_are_kept_for_fourteen_days;
    holds(rule);
    catches(rule, "kept for 345600 s", |plan| {
        let dead_letters = plan.dead_letters().unwrap().address();
        plan.set(&dead_letters, "/message_retention_seconds", json!(345_600));
    });
    catches(rule, "do not outlive messages", |plan| {
        let queue = plan.queue().address();
        plan.set(&queue, "/message_retention_seconds", json!(FOURTEEN_DAYS_SECONDS));
    });
}

#[test]
fn the_redrive_policy_names_the_dead_letter_queue_and_that_one_takes_no_others() {
    let rule = the_queue_is_redriven_to_its_own_dead_letters;
    holds(rule);
    let redrive = |plan: &mut Plan, target: &str| {
        let queue = plan.queue().address();
        let policy = json!({ "deadLetterTargetArn": target, "maxReceiveCount": 30 }).to_string();
        let separate =
            plan.all("aws_sqs_queue_redrive_policy").next().map(crate::plan::Instance::address);
        plan.set(&separate.unwrap_or(queue), "/redrive_policy", json!(policy));
    };
    catches(rule, "its own dead-letter queue", |plan| {
        let own = plan.queue().reference("arn");
        redrive(plan, &own);
    });
    catches(rule, "names no queue of this stack", |plan| redrive(plan, "arn:aws:sqs:x:1:other"));
    catches(rule, "may come from elsewhere", |plan| {
        let dead_letters = plan.dead_letters().unwrap().address();
        let separate = plan.all("aws_sqs_queue_redrive_allow_policy").next();
        let place = separate.map_or(dead_letters, crate::plan::Instance::address);
        plan.set(&place, "/redrive_allow_policy", json!("{\"redrivePermission\":\"allowAll\"}"));
    });
}

#[test]
fn the_receive_count_is_far_above_the_waits_that_stay_in_the_queue() {
    let rule = receives_are_many_more_than_kept_waits;
    holds(rule);
    catches(rule, "30 receives for 7 waits", |plan| {
        let processor = plan.processor().address();
        let pointer = "/environment/0/variables/RETRY_DELAYS_SECONDS";
        plan.set(&processor, pointer, json!("1,2,3,4,5,6,60,3600"));
    });
}

#[test]
fn partial_failures_are_reported_and_concurrency_is_limited_at_the_mapping() {
    let rule = the_mapping_reports_partial_failures;
    holds(rule);
    let mapping = "aws_lambda_event_source_mapping.processor";
    for (pointer, value, said) in [
        ("/function_response_types", json!([]), "partial failures are ignored"),
        ("/scaling_config", json!([]), "no maximum_concurrency"),
        ("/batch_size", json!(100), "batch_size is not stack.json's"),
        ("/function_name", json!("<aws_lambda_alias.sweeper.arn>"), "does not feed the processor"),
        // What is not published changes under the poller's feet.
        (
            "/function_name",
            json!("<aws_lambda_function.processor.arn>"),
            "does not feed the processor",
        ),
    ] {
        catches(rule, said, |plan| plan.set(mapping, pointer, value));
    }
}

#[test]
fn the_lane_is_as_the_queue_and_has_few_places() {
    let rule = the_lane_is_made_and_read_as_the_queue_is;
    holds(rule);
    let lane = |plan: &Plan| plan.lane().unwrap().address();
    catches(rule, "the lane's visibility_timeout_seconds is not the queue's", |plan| {
        plan.set(&lane(plan), "/visibility_timeout_seconds", json!(1));
    });
    catches(rule, "the lane's redrive_policy is not the queue's", |plan| {
        plan.set(&lane(plan), "/redrive_policy", json!(""));
    });
    catches(rule, "it is not read by 10 at most", |plan| {
        let mapping = "aws_lambda_event_source_mapping.processor_lane";
        plan.set(mapping, "/scaling_config/0/maximum_concurrency", json!(50));
    });
    catches(rule, "the processor does not know the lane", |plan| {
        let processor = plan.processor().address();
        plan.set(&processor, "/environment/0/variables/LANE_QUEUE_URL", json!("elsewhere"));
    });
}

#[test]
fn queues_and_timeouts_are_those_of_the_stack_file() {
    let rule = the_facts_are_those_of_the_stack_file;
    holds(rule);
    catches(rule, "retention is Some(1), in stack.json 345600", |plan| {
        let queue = plan.queue().address();
        plan.set(&queue, "/message_retention_seconds", json!(1));
    });
}
