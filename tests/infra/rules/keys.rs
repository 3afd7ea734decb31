//! Through which services a role may use the customer's key: those that it calls and that
//! keep something under that key, and no others.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::permissions::{allowed_to, texts};
use super::{EVERYTHING, catches, planned};
use crate::plan::{Instance, Plan};

/// Services that call the key with the caller's permissions. EventBridge uses a bus's key
/// by itself, Lambda that of its environment, which every function has, with the role.
const WITH_THE_CALLERS: [&str; 5] = ["dynamodb", "s3", "secretsmanager", "sns", "sqs"];
/// What reads nothing: an object is written whole, so that S3 reads no part of it back.
const NO_READS: [&str; 3] = ["s3:DeleteObject", "s3:ListBucket", "s3:PutObject"];
/// What makes a data key.
const WRITES: [&str; 3] = ["s3:PutObject", "sns:Publish", "sqs:SendMessage"];

fn services(statements: &[Json], key_action: &str) -> BTreeSet<String> {
    let meant = statements.iter().filter(|it| texts(&it["actions"]).contains(&key_action));
    let conditions = meant.flat_map(|it| it["condition"].as_array().cloned().unwrap_or_default());
    let values = conditions.flat_map(|it| it["values"].as_array().cloned().unwrap_or_default());
    let name = |it: Json| it.as_str().and_then(|it| it.split('.').next()).map(str::to_owned);
    values.filter_map(name).collect()
}

fn the_key_is_used_through_what_is_called(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for (_, function) in plan.functions() {
        let role = plan.referred(function.text("role")).expect("a role");
        let statements = allowed_to(plan, role);
        let actions: Vec<&str> = statements.iter().flat_map(|it| texts(&it["actions"])).collect();
        let called = |is_meant: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
            let meant = actions.iter().filter(|it| is_meant(it));
            let services = meant.filter_map(|it| it.split(':').next()).map(str::to_owned);
            services.filter(|it| WITH_THE_CALLERS.contains(&it.as_str())).collect()
        };
        let mut reads = called(&|it| !NO_READS.contains(&it));
        reads.insert("lambda".to_owned());
        let writes = called(&|it| WRITES.contains(&it));
        for (key_action, expected) in [("kms:Decrypt", reads), ("kms:GenerateDataKey", writes)] {
            let found = services(&statements, key_action);
            if found != expected {
                let address = function.address();
                problems.push(format!("{address}: {key_action} by {found:?}, not {expected:?}"));
            }
        }
    }
    problems
}

#[test]
fn a_role_uses_the_key_through_the_services_that_it_calls() {
    let rule = the_key_is_used_through_what_is_called;
    assert_eq!(rule(&EVERYTHING), [""; 0]);
    let without_targets = planned(&hcl::value!({ customer_key = { create = true } }));
    assert_eq!(rule(&without_targets), [""; 0]);
    let document = "data.aws_iam_policy_document.processor";
    let of = |plan: &Plan, action: &str| {
        let statements = find(plan, document).blocks("statement");
        let number = statements.iter().position(|it| texts(&it["actions"]).contains(&action));
        format!("/statement/{}/condition/0/values", number.expect("a statement"))
    };
    catches(rule, "kms:Decrypt by {\"dynamodb\", \"lambda\", \"s3\", \"sqs\"}, not", |plan| {
        let pointer = of(plan, "kms:Decrypt");
        let via = ["dynamodb", "lambda", "s3", "sqs"].map(|it| format!("{it}.x.amazonaws.com"));
        plan.set(document, &pointer, json!(via));
    });
    catches(rule, "kms:GenerateDataKey by {\"s3\", \"sqs\"}, not", |plan| {
        let pointer = of(plan, "kms:GenerateDataKey");
        let via = ["s3", "sqs"].map(|it| format!("{it}.x.amazonaws.com"));
        plan.set(document, &pointer, json!(via));
    });
}

/// Whoever reads what is kept under the key needs it too, and Lambda tells a function's
/// environment, where the routes stand, by the caller's right to decrypt it.
fn people_may_decrypt_what_they_read(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for name in ["operator", "source_operator"] {
        let document = format!("data.aws_iam_policy_document.{name}");
        let statements = find(plan, &document).blocks("statement");
        let actions: Vec<&str> = statements.iter().flat_map(|it| texts(&it["actions"])).collect();
        let called = actions.iter().filter_map(|it| it.split(':').next()).map(str::to_owned);
        let keeps = |it: &String| it == "lambda" || WITH_THE_CALLERS.contains(&it.as_str());
        let expected: BTreeSet<String> = called.filter(keeps).collect();
        let found = services(statements, "kms:Decrypt");
        if found != expected {
            problems.push(format!("{name}: kms:Decrypt by {found:?}, not {expected:?}"));
        }
    }
    problems
}

#[test]
fn people_use_the_key_through_the_services_that_they_call() {
    let rule = people_may_decrypt_what_they_read;
    assert_eq!(rule(&EVERYTHING), [""; 0]);
    catches(rule, "operator: kms:Decrypt by {\"dynamodb\", \"s3\", \"sqs\"}, not", |plan| {
        let document = "data.aws_iam_policy_document.operator";
        let statements = find(plan, document).blocks("statement");
        let number =
            statements.iter().position(|it| texts(&it["actions"]).contains(&"kms:Decrypt"));
        let pointer = format!("/statement/{}/condition/0/values", number.expect("a statement"));
        let via = ["dynamodb", "s3", "sqs"].map(|it| format!("{it}.x.amazonaws.com"));
        plan.set(document, &pointer, json!(via));
    });
}

fn find<'a>(plan: &'a Plan, address: &str) -> &'a Instance {
    plan.instances.iter().find(|it| it.address() == address).expect("an instance")
}
