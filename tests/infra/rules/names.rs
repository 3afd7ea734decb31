//! Names that are made of `name` and of sources keep AWS's limits, at the shortest and the
//! longest that the variables allow.

use hcl::Value;
use hcl::value::Map;

use super::planned;
use crate::infra;
use crate::module::Module;
use crate::plan::{Instance, Plan};
use crate::validations::refusals;

/// Resource, argument, and how many characters AWS takes.
const LIMITS: [(&str, &str, usize, usize); 17] = [
    // https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
    ("aws_apigatewayv2_api", "name", 1, 128),
    // https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html
    ("aws_cloudwatch_event_bus", "name", 1, 256),
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
    ("aws_cloudwatch_dashboard", "dashboard_name", 1, 255),
    // https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
    ("aws_cloudwatch_log_group", "name", 1, 512),
    ("aws_cloudwatch_log_metric_filter", "name", 1, 512),
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    ("aws_cloudwatch_metric_alarm", "alarm_name", 1, 255),
    ("aws_cloudwatch_metric_alarm", "alarm_description", 0, 1024),
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
    ("aws_dynamodb_table", "name", 3, 255),
    // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    ("aws_iam_policy", "name", 1, 128),
    ("aws_iam_role", "name", 1, 64),
    // https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html
    ("aws_kms_alias", "name", 1, 256),
    // https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    ("aws_lambda_function", "function_name", 1, 64),
    ("aws_lambda_function", "description", 0, 256),
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    ("aws_s3_bucket", "bucket", 3, 63),
    // https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateScheduleGroup.html
    ("aws_scheduler_schedule_group", "name", 1, 64),
    // https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
    ("aws_secretsmanager_secret", "name", 1, 512),
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
    ("aws_sqs_queue", "name", 1, 80),
];

/// As AWS would fill it in, at its longest: 12 digits of an account, and the longest names
/// of regions, such as ap-southeast-2.
fn filled_in(text: &str) -> String {
    text.replace("<data.aws_caller_identity.this.account_id>", "123456789012")
        .replace("<data.aws_region.this.region>", "ap-southeast-2")
        .replace("<data.aws_partition.this.partition>", "aws")
}

fn names_keep_the_limits(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for (kind, argument, least, most) in LIMITS {
        for instance in plan.all(kind) {
            let Some(text) = instance.values[argument].as_str().map(filled_in) else { continue };
            let letters = text.chars().count();
            if letters < least || letters > most {
                problems.push(format!(
                    "{}: {argument} has {letters} characters, AWS takes {least} to {most}: {text}",
                    instance.address()
                ));
            }
        }
    }
    problems
}

fn with_names(name: &str, source: &str) -> Value {
    let mut sources = Map::new();
    sources.insert(source.to_owned(), hcl::value!({ provider = "stripe" }));
    let (name, sources) = (name.to_owned(), Value::Object(sources));
    let id = "r".repeat(64);
    hcl::value!({
        name = name
        sources = sources
        customer_key = { create = true }
        processor = {
            routes = [{ id = id, match = "*:*", handler = "forward", with = { url = "https://example.com" } }]
        }
    })
}

fn said(given: &Value) -> Vec<String> {
    let module = Module::read(&infra().join("modules/inbox"));
    refusals(&module, given.as_object().expect("a map"))
}

#[test]
fn every_name_keeps_awss_limits_at_the_shortest_and_the_longest() {
    let longest = "n".repeat(26);
    // What is left of the 64 characters of a function's name.
    let source = "s".repeat(64 - longest.len() - "-receiver-".len());
    for (name, source) in [("abc", "s"), (&longest, &source)] {
        let given = with_names(name, source);
        assert_eq!(said(&given), [""; 0], "{name} and {source} are allowed");
        assert_eq!(names_keep_the_limits(&planned(&given)), [""; 0], "{name}, {source}");
    }
}

#[test]
fn names_that_aws_would_refuse_are_refused_at_plan() {
    let refused = |name: &str, source: &str| said(&with_names(name, source));
    for name in ["ab", &"n".repeat(27)] {
        let said = refused(name, "stripe");
        assert!(said.iter().any(|it| it.contains("3 to 26")), "{name}: {said:?}");
    }
    let said = refused(&"n".repeat(26), &"s".repeat(29));
    assert!(said.iter().any(|it| it.contains("at most 64 characters")), "{said:?}");
    // The rule sees what slips through.
    let mut plan = planned(&hcl::value!({}));
    let table = plan.all("aws_dynamodb_table").next().map(Instance::address).expect("a table");
    plan.set(&table, "/name", serde_json::json!("ab"));
    let problems = names_keep_the_limits(&plan);
    assert!(problems.iter().any(|it| it.contains("AWS takes 3 to 255: ab")), "{problems:?}");
}
