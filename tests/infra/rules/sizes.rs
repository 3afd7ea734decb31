//! What AWS takes at most: a function's environment and the length of policies, with the
//! longest names that the variables allow, and what is said at plan where it is too much.

use std::collections::BTreeMap;

use hcl::Value;
use inbox_evaluator::arns::Place;
use serde_json::{Value as Json, json};

use super::permissions::{allowed_to, statements};
use super::{EVERYTHING, PLAIN, catches, planned};
use crate::plan::{Instance, Plan};

/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const ENVIRONMENT_BYTES: usize = 4096;
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
const MANAGED_POLICY_CHARACTERS: usize = 6144;
/// Of all inline policies of a role together; the same page.
const ROLE_POLICIES_CHARACTERS: usize = 10_240;

/// What AWS fills in; names are at their longest in these plans, and so is the region's.
fn filled_in(plan: &Plan, text: &str) -> String {
    let place = Place {
        account_id: "123456789012".to_owned(),
        region: "ap-southeast-2".to_owned(),
        known: BTreeMap::new(),
    };
    let references = regex_lite::Regex::new("<[^<>]*>").expect("a pattern");
    let fill = |found: &regex_lite::Captures<'_>| {
        let reference = &found[0];
        place.filled(plan, reference).unwrap_or_else(|_| "x".repeat(longest(reference)))
    };
    references.replace_all(text, fill).into_owned()
}

/// Of what does not follow from names: queues' URLs and the key's ARN are the longest.
fn longest(reference: &str) -> usize {
    if reference.ends_with(".arn>") || reference.ends_with(".url>") { 110 } else { 64 }
}

/// Lambda measures the JSON, in which a quote within a value counts twice.
fn environment_bytes(plan: &Plan, function: &Instance) -> usize {
    let variables = function.values["environment"][0]["variables"].as_object();
    let filled = variables.into_iter().flatten().map(|(name, value)| {
        let text = value.as_str().map(|it| filled_in(plan, it)).unwrap_or_default();
        (name.clone(), Json::from(text))
    });
    Json::Object(filled.collect()).to_string().len()
}

fn environments_fit(plan: &Plan) -> Vec<String> {
    let functions = plan.functions().into_iter();
    let sizes = functions.map(|(_, it)| (it.address(), environment_bytes(plan, it)));
    let too_large = sizes.filter(|(_, bytes)| *bytes > ENVIRONMENT_BYTES);
    too_large.map(|(address, bytes)| format!("{address}: its environment takes {bytes}")).collect()
}

/// As IAM counts: without spaces.
fn characters(plan: &Plan, statements: &[Json]) -> usize {
    let written: Vec<Json> = statements.iter().map(written).collect();
    let policy = json!({ "Version": "2012-10-17", "Statement": written }).to_string();
    filled_in(plan, &policy).chars().count()
}

/// A statement as the policy has it; a list of one is written as a single text.
fn written(statement: &Json) -> Json {
    let single = |value: &Json| match value.as_array().map(Vec::as_slice) {
        Some([one]) => one.clone(),
        _ => value.clone(),
    };
    let mut condition = serde_json::Map::new();
    for it in statement["condition"].as_array().into_iter().flatten() {
        let test = it["test"].as_str().unwrap_or_default();
        let variable = it["variable"].as_str().unwrap_or_default();
        condition.entry(test.to_owned()).or_insert_with(|| json!({}))[variable] =
            single(&it["values"]);
    }
    let mut written = json!({
        "Sid": statement["sid"],
        "Effect": "Allow",
        "Action": single(&statement["actions"]),
        "Resource": single(&statement["resources"]),
    });
    if !condition.is_empty() {
        written["Condition"] = Json::Object(condition);
    }
    written
}

fn policies_fit(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |of: &Instance, statements: &[Json], most: usize| {
        let found = characters(plan, statements);
        if found > most {
            problems.push(format!("{}: {found} characters, of {most}", of.address()));
        }
    };
    for policy in plan.all("aws_iam_policy") {
        let document = plan.referred(policy.text("policy")).expect("a policy document");
        check(policy, &statements(plan, document), MANAGED_POLICY_CHARACTERS);
    }
    for role in plan.all("aws_iam_role") {
        check(role, &allowed_to(plan, role), ROLE_POLICIES_CHARACTERS);
    }
    problems
}

/// Many sources with the longest names, and as many routes as there may be.
fn largest() -> Plan {
    let sources = (0..12).map(|number| {
        let source = format!("s{number:0>27}");
        (source, hcl::value!({ provider = "standard_webhooks" }))
    });
    let routes = (0..32).map(|number| {
        let id = format!("r{number}");
        hcl::value!({ id = id, match = "*:*", handler = "forward", with = { url = "https://example.com" } })
    });
    let (sources, routes) = (Value::Object(sources.collect()), Value::Array(routes.collect()));
    let name = "n".repeat(26);
    planned(&hcl::value!({
        name = name
        sources = sources
        account_concurrency = 10000
        customer_key = { create = true }
        tracing = true
        log_level = "inbox_processor=debug"
        processor = { routes = routes }
    }))
}

#[test]
fn policies_keep_iams_limits_with_many_sources_and_routes() {
    for plan in [&*PLAIN, &*EVERYTHING, &largest()] {
        assert_eq!(policies_fit(plan), [""; 0]);
    }
    catches(policies_fit, "aws_iam_policy.source_operator: ", |plan| {
        let secrets: Vec<Json> = (0..60)
            .map(|number| json!(format!("<aws_secretsmanager_secret.source[\"{number}\"].arn>")))
            .collect();
        let document = "data.aws_iam_policy_document.source_operator";
        plan.set(document, "/statement/0/resources", json!(secrets));
    });
}

#[test]
fn environments_keep_lambdas_limit() {
    for plan in [&*PLAIN, &*EVERYTHING] {
        assert_eq!(environments_fit(plan), [""; 0]);
    }
    catches(environments_fit, "aws_lambda_function.sweeper: its environment takes", |plan| {
        // Each of these counts twice.
        let quotes = json!("\"".repeat(2000));
        plan.set("aws_lambda_function.sweeper", "/environment/0/variables/RUST_LOG", quotes);
    });
}

/// `count` routes that forward, to an address that takes `letters` besides.
fn with_routes(count: usize, letters: usize) -> Plan {
    let routes = (0..count).map(|number| {
        let (id, url) =
            (format!("r{number}"), format!("https://example.com/{}", "u".repeat(letters)));
        hcl::value!({ id = id, match = "*:*", handler = "forward", with = { url = url } })
    });
    let routes = Value::Array(routes.collect());
    planned(&hcl::value!({ processor = { routes = routes } }))
}

/// What is said at plan is what Lambda would measure: quotes and `&` count more than once.
#[test]
fn routes_that_do_not_fit_the_environment_are_refused_at_plan() {
    assert_eq!((&PLAIN.refused, &EVERYTHING.refused), (&vec![], &vec![]));
    assert_eq!(with_routes(10, 10).refused, [""; 0]);
    // Each letter of an address is a byte in each of twenty routes.
    let (routes, few) = (20, 10);
    let plan = with_routes(routes, few);
    let left = ENVIRONMENT_BYTES - environment_bytes(&plan, plan.processor());
    let most = few + left / routes;
    let said = with_routes(routes, most + 1).refused;
    assert!(said.len() == 1 && said[0].contains("of 4,096 that Lambda allows"), "{said:?}");
    // Account and region stand by longer names here than they have: some letters' worth.
    let said = with_routes(routes, most - 14).refused;
    assert_eq!(said, [""; 0], "{most} letters fit, and 14 fewer are refused");
}
