//! The policy for who deploys allows the making of every kind of resource that there is.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{EVERYTHING, PLAIN, planned};
use crate::infra;
use crate::plan::Plan;

/// The call that makes each kind, by the service authorization reference:
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>
const MADE_BY: [(&str, &str); 38] = [
    ("aws_apigatewayv2_api", "apigateway:POST"),
    ("aws_apigatewayv2_api_mapping", "apigateway:POST"),
    ("aws_apigatewayv2_domain_name", "apigateway:POST"),
    ("aws_apigatewayv2_integration", "apigateway:POST"),
    ("aws_apigatewayv2_route", "apigateway:POST"),
    ("aws_apigatewayv2_stage", "apigateway:POST"),
    ("aws_cloudwatch_dashboard", "cloudwatch:PutDashboard"),
    ("aws_cloudwatch_event_bus", "events:CreateEventBus"),
    ("aws_cloudwatch_log_group", "logs:CreateLogGroup"),
    ("aws_cloudwatch_log_metric_filter", "logs:PutMetricFilter"),
    ("aws_cloudwatch_metric_alarm", "cloudwatch:PutMetricAlarm"),
    ("aws_dynamodb_table", "dynamodb:CreateTable"),
    ("aws_iam_policy", "iam:CreatePolicy"),
    ("aws_iam_role", "iam:CreateRole"),
    ("aws_iam_role_policy", "iam:PutRolePolicy"),
    ("aws_kms_alias", "kms:CreateAlias"),
    ("aws_kms_key", "kms:CreateKey"),
    ("aws_lambda_alias", "lambda:CreateAlias"),
    ("aws_lambda_event_source_mapping", "lambda:CreateEventSourceMapping"),
    ("aws_lambda_function", "lambda:CreateFunction"),
    ("aws_lambda_function_event_invoke_config", "lambda:PutFunctionEventInvokeConfig"),
    ("aws_lambda_permission", "lambda:AddPermission"),
    ("aws_lambda_provisioned_concurrency_config", "lambda:PutProvisionedConcurrencyConfig"),
    ("aws_route53_record", "route53:ChangeResourceRecordSets"),
    ("aws_s3_bucket", "s3:CreateBucket"),
    ("aws_s3_bucket_lifecycle_configuration", "s3:PutLifecycleConfiguration"),
    ("aws_s3_bucket_ownership_controls", "s3:PutBucketOwnershipControls"),
    ("aws_s3_bucket_policy", "s3:PutBucketPolicy"),
    ("aws_s3_bucket_public_access_block", "s3:PutBucketPublicAccessBlock"),
    ("aws_s3_bucket_server_side_encryption_configuration", "s3:PutEncryptionConfiguration"),
    ("aws_scheduler_schedule", "scheduler:CreateSchedule"),
    ("aws_scheduler_schedule_group", "scheduler:CreateScheduleGroup"),
    ("aws_secretsmanager_secret", "secretsmanager:CreateSecret"),
    ("aws_sns_topic", "sns:CreateTopic"),
    ("aws_sns_topic_policy", "sns:SetTopicAttributes"),
    ("aws_sns_topic_subscription", "sns:Subscribe"),
    ("aws_sqs_queue", "sqs:CreateQueue"),
    ("aws_sqs_queue_policy", "sqs:SetQueueAttributes"),
];
/// What is written with the calls of another kind.
const WITH_ANOTHER: [&str; 1] = ["aws_sqs_queue_redrive_allow_policy"];

fn policy() -> Json {
    let text = std::fs::read_to_string(infra().join("deployer-policy.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn allowed(policy: &Json) -> Vec<String> {
    let statements = policy["Statement"].as_array().expect("statements");
    let actions = statements.iter().flat_map(|it| match &it["Action"] {
        Json::String(one) => vec![one.clone()],
        many => many
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect(),
    });
    actions.collect()
}

/// With `*` for any text, as IAM has it.
fn matches(pattern: &str, action: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == action,
        Some((start, rest)) => action
            .strip_prefix(start)
            .is_some_and(|left| (0..=left.len()).any(|skipped| matches(rest, &left[skipped..]))),
    }
}

fn missing(plan: &Plan, policy: &Json) -> Vec<String> {
    let made_by: BTreeMap<_, _> = MADE_BY.into_iter().collect();
    let allowed = allowed(policy);
    let kinds = plan.instances.iter().filter(|it| !it.is_data).map(|it| it.kind.as_str());
    let mut problems: Vec<String> = kinds
        .filter(|kind| !WITH_ANOTHER.contains(kind))
        .filter_map(|kind| match made_by.get(kind) {
            None => Some(format!("{kind}: say in deployer.rs by which call it is made")),
            Some(action) => (!allowed.iter().any(|pattern| matches(pattern, action)))
                .then(|| format!("{kind}: deployer-policy.json lacks {action}")),
        })
        .collect();
    problems.sort();
    problems.dedup();
    problems
}

#[test]
fn who_deploys_may_make_every_kind_of_resource() {
    let policy = policy();
    let warm = planned(&hcl::value!({
        sources = { stripe = { provider = "stripe", provisioned_concurrency = 1 } }
    }));
    for plan in [&*PLAIN, &*EVERYTHING, &warm] {
        assert_eq!(missing(plan, &policy), [""; 0]);
    }
    let mut less = policy;
    less["Statement"][1]["Action"] = serde_json::json!(["iam:CreateRole"]);
    let said = missing(&PLAIN, &less);
    assert_eq!(
        said,
        [
            "aws_iam_policy: deployer-policy.json lacks iam:CreatePolicy",
            "aws_iam_role_policy: deployer-policy.json lacks iam:PutRolePolicy",
        ]
    );
}

/// As a managed policy, which IAM ends at 6,144 characters without spaces.
#[test]
fn the_policy_for_who_deploys_fits_a_managed_policy() {
    let characters = policy().to_string().chars().count();
    assert!(characters <= 6144, "deployer-policy.json has {characters} characters");
}
