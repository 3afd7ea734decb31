//! Whatever keeps something: encryption, protection, retention, and the table's shape.

use inbox_core::stack::{Index, stack};
use serde_json::{Value as Json, json};

use super::{catches, holds};
use crate::plan::{Instance, Plan};

/// Where each store takes a customer's key. The others of AWS are encrypted by AWS's
/// own key whatever one writes.
const KEY_ARGUMENTS: [(&str, &str); 9] = [
    ("aws_cloudwatch_event_bus", "/kms_key_identifier"),
    ("aws_cloudwatch_log_group", "/kms_key_id"),
    ("aws_dynamodb_table", "/server_side_encryption/0/kms_key_arn"),
    ("aws_lambda_function", "/kms_key_arn"),
    (
        "aws_s3_bucket_server_side_encryption_configuration",
        "/rule/0/apply_server_side_encryption_by_default/0/kms_master_key_id",
    ),
    ("aws_scheduler_schedule", "/kms_key_arn"),
    ("aws_secretsmanager_secret", "/kms_key_id"),
    ("aws_sns_topic", "/kms_master_key_id"),
    ("aws_sqs_queue", "/kms_master_key_id"),
];

fn every_store_is_encrypted(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for queue in plan.all("aws_sqs_queue") {
        let has_key = !queue.text("kms_master_key_id").is_empty();
        let is_managed = queue.values["sqs_managed_sse_enabled"] == json!(true);
        // AWS refuses both, and takes neither for plain text.
        if has_key == is_managed {
            problems.push(format!("{}: needs one of SSE-SQS and a key", queue.address()));
        }
    }
    for bucket in plan.all("aws_s3_bucket") {
        let kind = "aws_s3_bucket_server_side_encryption_configuration";
        if !plan.all(kind).any(|it| it.text("bucket") == bucket.reference("id")) {
            problems.push(format!("{}: not encrypted", bucket.address()));
        }
    }
    let key = plan.all("aws_kms_key").next().map(|it| it.reference("arn"));
    for (kind, pointer) in KEY_ARGUMENTS {
        for store in plan.all(kind).filter(|it| !is_for_when_the_key_fails(it)) {
            let given = store.values.pointer(pointer).and_then(Json::as_str);
            if given != key.as_deref() {
                problems.push(format!("{}: {pointer} is {given:?}", store.address()));
            }
        }
    }
    for table in plan.all("aws_dynamodb_table") {
        if table.values["server_side_encryption"][0]["enabled"] != json!(key.is_some()) {
            problems.push(format!("{}: the key is not used", table.address()));
        }
    }
    problems
}

/// What EventBridge could not encrypt or decrypt must not wait for the same key.
fn is_for_when_the_key_fails(store: &Instance) -> bool {
    store.kind == "aws_sqs_queue" && store.name == "undeliverable"
}

fn tables_are_protected(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for table in plan.all("aws_dynamodb_table") {
        if table.values["point_in_time_recovery"][0]["enabled"] != json!(true) {
            problems.push(format!("{}: no point-in-time recovery", table.address()));
        }
        if table.values["deletion_protection_enabled"] != json!(true) {
            problems.push(format!("{}: no deletion protection", table.address()));
        }
        if table.text("billing_mode") != "PAY_PER_REQUEST" {
            problems.push(format!("{}: not on demand", table.address()));
        }
    }
    problems
}

fn tables_are_those_of_the_stack_file(plan: &Plan) -> Vec<String> {
    let (ledger, mirror) = plan.tables();
    let facts = &stack().table;
    let mut problems = Vec::new();
    for (table, key) in
        [(ledger, &facts.partition_key), (mirror, &stack().mirror_table.partition_key)]
    {
        if table.text("hash_key") != key || !table.text("range_key").is_empty() {
            problems.push(format!("{}: its key is not {key}", table.address()));
        }
    }
    if ledger.values["ttl"][0] != json!({ "attribute_name": facts.ttl_attribute, "enabled": true })
    {
        problems.push(format!("{}: events are not forgotten in time", ledger.address()));
    }
    let expected = [&facts.timeline_index, &facts.open_index];
    let found = ledger.blocks("global_secondary_index");
    if found.len() != expected.len() || !expected.iter().all(|it| found.contains(&index(it))) {
        problems.push(format!("{}: its indexes are {found:?}", ledger.address()));
    }
    let mut attributes = vec![json!({ "name": facts.partition_key, "type": "S" })];
    for index in expected {
        attributes.push(json!({ "name": index.partition_key, "type": "S" }));
        attributes.push(json!({ "name": index.sort_key, "type": index.sort_key_type }));
    }
    let sorted = |mut all: Vec<Json>| {
        all.sort_by_key(ToString::to_string);
        all
    };
    // One too many is refused by AWS as well.
    if sorted(attributes) != sorted(ledger.blocks("attribute").to_vec()) {
        problems.push(format!("{}: its attributes are not those of its keys", ledger.address()));
    }
    problems
}

fn index(facts: &Index) -> Json {
    json!({
        "name": facts.name,
        "key_schema": [
            { "attribute_name": facts.partition_key, "key_type": "HASH" },
            { "attribute_name": facts.sort_key, "key_type": "RANGE" },
        ],
        "projection_type": "INCLUDE",
        "non_key_attributes": facts.projected,
    })
}

fn buckets_are_private(plan: &Plan) -> Vec<String> {
    let of = |bucket: &Instance, kind: &str| {
        plan.instances
            .iter()
            .find(|it| it.kind == kind && it.text("bucket") == bucket.reference("id"))
            .cloned()
    };
    let mut problems = Vec::new();
    for bucket in plan.all("aws_s3_bucket") {
        let address = bucket.address();
        let block = of(bucket, "aws_s3_bucket_public_access_block");
        for name in [
            "block_public_acls",
            "block_public_policy",
            "ignore_public_acls",
            "restrict_public_buckets",
        ] {
            if block.as_ref().is_none_or(|it| it.values[name] != json!(true)) {
                problems.push(format!("{address}: {name} is off"));
            }
        }
        if of(bucket, "aws_s3_bucket_lifecycle_configuration").is_none() {
            problems.push(format!("{address}: nothing is ever deleted"));
        }
        let policy = of(bucket, "aws_s3_bucket_policy");
        if !policy.is_some_and(|it| denies_plain_http(plan, it.text("policy"))) {
            problems.push(format!("{address}: plain HTTP is not denied"));
        }
    }
    for queue in plan.all("aws_sqs_queue") {
        let policy = plan.all("aws_sqs_queue_policy").find(|it| {
            [queue.reference("id"), queue.reference("url")]
                .contains(&it.text("queue_url").to_owned())
        });
        if !policy.is_some_and(|it| denies_plain_http(plan, it.text("policy"))) {
            problems.push(format!("{}: plain HTTP is not denied", queue.address()));
        }
    }
    problems
}

/// Reopening keeps an event for the default retention, and time to live may take two
/// days to delete it. A source's rule is found by the prefix of its objects.
fn payloads_go_with_their_events(plan: &Plan) -> Vec<String> {
    let lifecycle = plan.all("aws_s3_bucket_lifecycle_configuration").next();
    let rules = lifecycle.map_or(&[][..], |it| it.blocks("rule"));
    let days_of = |prefix: Option<&str>| {
        let is_meant = |rule: &&Json| rule["filter"][0]["prefix"].as_str() == prefix;
        rules.iter().find(is_meant).and_then(|rule| rule["expiration"][0]["days"].as_u64())
    };
    let mut problems = Vec::new();
    let mut longest = 0;
    for (_, function) in plan.functions().into_iter().filter(|(binary, _)| *binary == "receiver") {
        let variables = &function.values["environment"][0]["variables"];
        let source = variables["SOURCE"].as_str().unwrap_or_default();
        let kept = variables["RETENTION_DAYS"].as_str().and_then(|text| text.parse::<u64>().ok());
        let kept = kept.unwrap_or_default().max(u64::from(stack().defaults.retention_days))
            + u64::from(stack().defaults.payload_outlives_record_days);
        longest = longest.max(kept);
        let days = days_of(Some(&format!("{source}/")));
        if days != Some(kept) {
            problems.push(format!("{source}: objects go after {days:?} days, not {kept}"));
        }
    }
    if days_of(None) != Some(longest) {
        problems.push(format!("other objects go after {:?} days, not {longest}", days_of(None)));
    }
    problems
}

fn denies_plain_http(plan: &Plan, policy: &str) -> bool {
    plan.referred(policy).is_some_and(|document| {
        document.blocks("statement").iter().any(|it| {
            it["effect"] == json!("Deny")
                && it["principals"][0] == json!({ "type": "*", "identifiers": ["*"] })
                && it["condition"]
                    == json!([{ "test": "Bool", "variable": "aws:SecureTransport", "values": ["false"] }])
        })
    })
}

fn logs_end_some_day(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    for group in plan.all("aws_cloudwatch_log_group") {
        // 0 means never.
        if group.number("retention_in_days").is_none_or(|it| it == 0) {
            problems.push(format!("{}: no retention", group.address()));
        }
    }
    for (_, function) in plan.functions() {
        let group = function.values["logging_config"][0]["log_group"].as_str().unwrap_or_default();
        let default = format!("/aws/lambda/{}", function.text("function_name"));
        let name = if group.is_empty() { &default } else { group };
        if !plan.all("aws_cloudwatch_log_group").any(|it| it.text("name") == name) {
            problems.push(format!("{}: its log group is not made here", function.address()));
        }
    }
    problems
}

/// Values never enter the state.
fn secrets_are_containers(plan: &Plan) -> Vec<String> {
    let values = plan
        .all("aws_secretsmanager_secret_version")
        .map(|it| format!("{}: a value in the state", it.address()));
    let sources = plan.functions().into_iter().filter(|(binary, _)| *binary == "receiver");
    let without = sources.filter_map(|(_, function)| {
        let id = function.values["environment"][0]["variables"]["SECRET_ID"]
            .as_str()
            .unwrap_or_default();
        let is_own = plan
            .referred(id)
            .is_some_and(|it| it.kind == "aws_secretsmanager_secret" && it.key == function.key);
        (!is_own).then(|| format!("{}: its secret is {id:?}", function.address()))
    });
    values.chain(without).collect()
}

#[test]
fn every_store_is_encrypted_and_takes_the_customers_key() {
    let rule = every_store_is_encrypted;
    holds(rule);
    for (kind, pointer) in KEY_ARGUMENTS {
        let said = format!("{pointer} is None");
        catches(rule, &said, |plan| {
            let store = {
                let mut stores = plan.all(kind).filter(|it| !is_for_when_the_key_fails(it));
                stores.next().unwrap_or_else(|| panic!("no {kind}")).address()
            };
            plan.set(&store, pointer, json!(null));
        });
    }
    catches(rule, "needs one of SSE-SQS and a key", |plan| {
        plan.set("aws_sqs_queue.events", "/sqs_managed_sse_enabled", json!(true));
    });
    catches(rule, "aws_dynamodb_table.ledger: the key is not used", |plan| {
        plan.set("aws_dynamodb_table.ledger", "/server_side_encryption/0/enabled", json!(false));
    });
    catches(rule, "aws_s3_bucket.payloads: not encrypted", |plan| {
        plan.remove(|it| it.kind == "aws_s3_bucket_server_side_encryption_configuration");
    });
}

#[test]
fn tables_can_be_restored_and_are_not_deleted_by_mistake() {
    let rule = tables_are_protected;
    holds(rule);
    let table = "aws_dynamodb_table.mirror";
    catches(rule, "no point-in-time recovery", |plan| {
        plan.set(table, "/point_in_time_recovery", json!([]));
    });
    catches(rule, "no deletion protection", |plan| {
        plan.set(table, "/deletion_protection_enabled", json!(false));
    });
    catches(rule, "not on demand", |plan| plan.set(table, "/billing_mode", json!("PROVISIONED")));
}

#[test]
fn keys_indexes_and_time_to_live_are_those_of_the_stack_file() {
    let rule = tables_are_those_of_the_stack_file;
    holds(rule);
    let table = "aws_dynamodb_table.ledger";
    for (pointer, value, said) in [
        ("/hash_key", json!("id"), "its key is not pk"),
        ("/ttl/0/enabled", json!(false), "not forgotten in time"),
        ("/global_secondary_index/0/projection_type", json!("ALL"), "its indexes are"),
        (
            "/global_secondary_index/1/key_schema/1/attribute_name",
            json!("next_at"),
            "its indexes are",
        ),
        ("/attribute/0/type", json!("N"), "its attributes are not those of its keys"),
    ] {
        catches(rule, said, |plan| plan.set(table, pointer, value));
    }
}

#[test]
fn buckets_and_queues_are_private_and_take_no_plain_http() {
    let rule = buckets_are_private;
    holds(rule);
    catches(rule, "ignore_public_acls is off", |plan| {
        plan.set("aws_s3_bucket_public_access_block.payloads", "/ignore_public_acls", json!(false));
    });
    for kind in ["aws_s3_bucket_policy", "aws_sqs_queue_policy"] {
        catches(rule, "plain HTTP is not denied", |plan| plan.remove(|it| it.kind == kind));
    }
    catches(rule, "nothing is ever deleted", |plan| {
        plan.remove(|it| it.kind == "aws_s3_bucket_lifecycle_configuration");
    });
}

#[test]
fn a_payload_outlives_its_event_and_not_for_long() {
    let rule = payloads_go_with_their_events;
    holds(rule);
    let lifecycle = "aws_s3_bucket_lifecycle_configuration.payloads";
    catches(rule, "other objects go after Some(42) days, not 43", |plan| {
        plan.set(lifecycle, "/rule/0/expiration/0/days", json!(42));
    });
    catches(rule, "stripe_eu: objects go after Some(32) days, not 43", |plan| {
        plan.set(lifecycle, "/rule/3/expiration/0/days", json!(32));
    });
}

#[test]
fn every_log_has_a_retention() {
    let rule = logs_end_some_day;
    holds(rule);
    catches(rule, "no retention", |plan| {
        plan.set("aws_cloudwatch_log_group.sweeper", "/retention_in_days", json!(0));
    });
    catches(rule, "aws_lambda_function.sweeper: its log group is not made here", |plan| {
        plan.remove(|it| it.address() == "aws_cloudwatch_log_group.sweeper");
    });
}

#[test]
fn every_source_has_a_secret_of_its_own_and_no_value_in_the_state() {
    let rule = secrets_are_containers;
    holds(rule);
    catches(rule, "its secret is", |plan| {
        let receiver = "aws_lambda_function.receiver[\"github\"]";
        let other = json!("<aws_secretsmanager_secret.source[\"clerk\"].arn>");
        plan.set(receiver, "/environment/0/variables/SECRET_ID", other);
    });
    catches(rule, "a value in the state", |plan| {
        let mut version = plan.instances[0].clone();
        version.is_data = false;
        version.kind = "aws_secretsmanager_secret_version".to_owned();
        plan.instances.push(version);
    });
}

/// An event must not expire before all of its attempts are over.
#[test]
fn waits_that_outlast_an_events_retention_are_refused() {
    let refused = |days: u32, delay: u32, count: usize| {
        let delays = hcl::Value::Array(vec![hcl::Value::from(delay); count]);
        super::planned(&hcl::value!({
            sources = { stripe = { provider = "stripe", retention_days = (days) } }
            processor = { retry_delays_seconds = delays }
        }))
        .refused
    };
    assert_eq!(refused(17, 43_200, 1), Vec::<String>::new());
    assert_eq!(
        refused(16, 43_200, 1),
        [
            "Source stripe keeps events for 16 days. With the waits of processor.retry_delays_seconds \
          it must be at least 17, or unfinished events expire: raise retention_days, or make the \
          waits shorter."
        ]
    );
    let both = refused(40, 86_400, 13);
    assert_eq!(both.len(), 1, "{both:?}");
    assert!(both[0].contains("a redriven one is kept for 30"), "{both:?}");
}
