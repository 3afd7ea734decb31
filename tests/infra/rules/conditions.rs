//! Conditions in policies: none on a key that the action never carries, since such a
//! statement allows nothing, or for a denial denies nothing, and nothing says so.
//!
//! And what services are allowed with the customer's key is what AWS's own example for
//! that service allows.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::permissions::texts;
use super::{EVERYTHING, catches, holds};
use crate::plan::Plan;

/// Calls to KMS that carry an encryption context.
/// <https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-encryption-context>
const CRYPTOGRAPHIC: [&str; 8] = [
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:RetireGrant",
];
/// Calls to DynamoDB that name keys.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html>
const WITH_KEYS: [&str; 7] = [
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
];

/// Whether a call of this action, by this statement's principals, carries the key.
fn carries(action: &str, key: &str, is_service: bool) -> bool {
    match key {
        // Every request over HTTP.
        "aws:SecureTransport" => true,
        // Those that a service makes for somebody.
        // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
        "aws:SourceAccount" | "aws:SourceArn" => is_service,
        "dynamodb:LeadingKeys" => WITH_KEYS.contains(&action),
        "kms:ViaService" => action.starts_with("kms:"),
        key if key.starts_with("kms:EncryptionContext:") => CRYPTOGRAPHIC.contains(&action),
        _ => false,
    }
}

fn conditions_can_be_met(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    let documents = plan.instances.iter().filter(|it| it.kind == "aws_iam_policy_document");
    for document in documents {
        for statement in document.blocks("statement") {
            let principals = statement["principals"].as_array().cloned().unwrap_or_default();
            let is_service = principals.iter().any(|it| it["type"] == json!("Service"));
            let conditions = statement["condition"].as_array().cloned().unwrap_or_default();
            for key in conditions.iter().filter_map(|it| it["variable"].as_str()) {
                let never = texts(&statement["actions"]).into_iter();
                let never = never.filter(|action| !carries(action, key, is_service));
                problems.extend(never.map(|action| {
                    format!(
                        "{}, {}: {action} never carries {key}: give it a statement of its own, or \
                         say in conditions.rs where AWS says that it does",
                        document.address(),
                        statement["sid"]
                    )
                }));
            }
        }
    }
    problems
}

/// What a service needs of a customer's key: by principal, the actions, and a key that a
/// condition must name, or none.
type Example = (&'static str, &'static [&'static str], Option<&'static str>);

/// AWS's own examples of a key's policy, one service each.
const EXAMPLES: [Example; 5] = [
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html,
    // which has `kms:Describe*` under the condition as well, where it can never hold.
    (
        "logs.",
        &[
            "kms:Decrypt",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        Some("kms:EncryptionContext:aws:logs:arn"),
    ),
    ("logs.", &["kms:DescribeKey"], None),
    // https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    (
        "cloudwatch.amazonaws.com",
        &["kms:Decrypt", "kms:GenerateDataKey"],
        Some("aws:SourceAccount"),
    ),
    // https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html
    (
        "events.amazonaws.com",
        &["kms:Decrypt", "kms:GenerateDataKey"],
        Some("kms:EncryptionContext:aws:events:event-bus:arn"),
    ),
    // The same page: a statement of its own, without a condition.
    ("events.amazonaws.com", &["kms:DescribeKey"], None),
];

/// Both ways: nothing is missing, and nobody has more.
fn services_use_the_key_as_aws_says(plan: &Plan) -> Vec<String> {
    let documents = plan
        .instances
        .iter()
        .filter(|it| it.kind == "aws_iam_policy_document" && it.name == "key_for_services");
    let statements: Vec<Json> = documents.flat_map(|it| it.blocks("statement").to_vec()).collect();
    let mut problems = Vec::new();
    let mut left: Vec<&Example> = EXAMPLES.iter().collect();
    for statement in &statements {
        let principals = statement["principals"].as_array().cloned().unwrap_or_default();
        let principals: Vec<&str> =
            principals.iter().flat_map(|it| texts(&it["identifiers"])).collect();
        let actions: BTreeSet<&str> = texts(&statement["actions"]).into_iter().collect();
        let conditions = statement["condition"].as_array().cloned().unwrap_or_default();
        let keys: Vec<&str> = conditions.iter().filter_map(|it| it["variable"].as_str()).collect();
        for principal in principals {
            let found = left.iter().position(|(service, allowed, key)| {
                principal.starts_with(service)
                    && actions == allowed.iter().copied().collect()
                    && keys == key.iter().copied().collect::<Vec<_>>()
            });
            match found {
                Some(place) => drop(left.remove(place)),
                None => problems.push(format!(
                    "{}: {principal}: {actions:?} under {keys:?} is not AWS's example",
                    statement["sid"]
                )),
            }
        }
    }
    problems.extend(left.iter().map(|(service, allowed, _)| {
        format!("{service} may not {allowed:?}, as in AWS's example")
    }));
    problems
}

#[test]
fn every_condition_is_on_a_key_that_its_actions_carry() {
    let rule = conditions_can_be_met;
    holds(rule);
    catches(rule, "kms:DescribeKey never carries kms:EncryptionContext:aws:logs:arn", |plan| {
        let actions = json!(["kms:Decrypt", "kms:DescribeKey"]);
        plan.set("data.aws_iam_policy_document.key_for_services", "/statement/0/actions", actions);
    });
    catches(rule, "dynamodb:DescribeTable never carries dynamodb:LeadingKeys", |plan| {
        let document = "data.aws_iam_policy_document.receiver[\"github\"]";
        plan.set(document, "/statement/0/actions", json!(["dynamodb:DescribeTable"]));
    });
    catches(rule, "sqs:SendMessage never carries aws:SourceAccount", |plan| {
        let document = "data.aws_iam_policy_document.sweeper";
        let condition =
            json!([{ "test": "StringEquals", "variable": "aws:SourceAccount", "values": ["1"] }]);
        plan.set(document, "/statement/4/condition", condition);
    });
}

#[test]
fn services_use_the_customers_key_as_awss_own_examples_do() {
    let rule = services_use_the_key_as_aws_says;
    holds(rule);
    let document = "data.aws_iam_policy_document.key_for_services";
    let place = |sid: &str| {
        let all = EVERYTHING.instances.iter().find(|it| it.address() == document).expect("it");
        let place = all.blocks("statement").iter().position(|it| it["sid"] == json!(sid));
        format!("/statement/{}", place.unwrap_or_else(|| panic!("no statement {sid}")))
    };
    catches(rule, "events.amazonaws.com may not [\"kms:DescribeKey\"]", |plan| {
        plan.set(document, &format!("{}/principals", place("Describe")), json!([]));
    });
    catches(rule, "logs. may not [\"kms:Decrypt\", \"kms:Encrypt\"", |plan| {
        plan.set(document, &format!("{}/actions", place("Logs")), json!(["kms:Decrypt"]));
    });
    catches(rule, "is not AWS's example", |plan| {
        let condition =
            json!([{ "test": "StringEquals", "variable": "aws:SourceAccount", "values": ["1"] }]);
        plan.set(document, &format!("{}/condition", place("Describe")), condition);
    });
}
