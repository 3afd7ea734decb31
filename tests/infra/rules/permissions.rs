//! What each function may do: what `tests/fixtures/aws_actions.json` lists, and nothing
//! else. The end-to-end tests hold that list equal to what the functions really do.

use std::collections::{BTreeMap, BTreeSet};

use inbox_core::stack::stack;
use inbox_local::actions::listed;
use serde_json::{Value as Json, json};

use super::targets::reached_by_routes;
use super::{EVERYTHING, PLAIN, catches, holds};
use crate::plan::{Instance, Plan};

/// The statements of a policy document, with those of its sources.
pub(super) fn statements(plan: &Plan, document: &Instance) -> Vec<Json> {
    let sources = ["source_policy_documents", "override_policy_documents"]
        .iter()
        .flat_map(|name| document.values[*name].as_array().cloned().unwrap_or_default());
    let inherited = sources.filter_map(|it| plan.referred(it.as_str()?));
    let inherited = inherited.flat_map(|it| statements(plan, it)).collect::<Vec<_>>();
    document.blocks("statement").iter().cloned().chain(inherited).collect()
}

/// A role's own policies; policies from elsewhere cannot be looked into.
pub(super) fn allowed_to(plan: &Plan, role: &Instance) -> Vec<Json> {
    let names = [role.reference("name"), role.reference("id"), role.text("name").to_owned()];
    let own =
        plan.all("aws_iam_role_policy").filter(|it| names.contains(&it.text("role").to_owned()));
    let documents = own.map(|it| plan.referred(it.text("policy")).expect("a policy document"));
    documents.flat_map(|it| statements(plan, it)).collect()
}

pub(super) fn texts(value: &Json) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

/// A resource in the list's words.
fn resource(plan: &Plan, function: &Instance, arn: &str) -> String {
    let (ledger, mirror) = plan.tables();
    let open = format!("{}/index/{}", ledger.reference("arn"), stack().table.open_index.name);
    let group = function.values["logging_config"][0]["log_group"].as_str().unwrap_or_default();
    let own_log = plan.all("aws_cloudwatch_log_group").find(|it| it.text("name") == group);
    let secret = plan
        .all("aws_secretsmanager_secret")
        .find(|it| it.name == "source" && it.key == function.key);
    let bucket = plan.all("aws_s3_bucket").next().map_or(String::new(), |it| it.reference("arn"));
    let own_payloads = format!("{bucket}/{}/*", function.key.trim_matches(['[', '"', ']']));
    let known = [
        // A receiver's objects lie below its source's name.
        (
            if function.key.is_empty() { format!("{bucket}/*") } else { own_payloads },
            "payloads".to_owned(),
        ),
        (bucket, "payload_bucket".to_owned()),
        (ledger.reference("arn"), "ledger".to_owned()),
        (open, format!("ledger/index/{}", stack().table.open_index.name)),
        (mirror.reference("arn"), "mirror".to_owned()),
        (plan.queue().reference("arn"), "events".to_owned()),
        (plan.lane().expect("a lane").reference("arn"), "lane".to_owned()),
        (
            plan.dead_letters().expect("a dead-letter queue").reference("arn"),
            "dead_letters".to_owned(),
        ),
        (secret.map_or(String::new(), |it| it.reference("arn")), "secret".to_owned()),
        (
            own_log.map_or(String::new(), |it| format!("{}:*", it.reference("arn"))),
            "own_log".to_owned(),
        ),
        (
            plan.all("aws_kms_key").next().map_or(String::new(), |it| it.reference("arn")),
            "key".to_owned(),
        ),
    ];
    let found = known.into_iter().find(|(known, _)| known == arn);
    found.map_or_else(|| arn.to_owned(), |(_, name)| name)
}

/// Where the plan differs from the list, by function.
pub(super) fn permissions_are_those_of_the_list(plan: &Plan) -> Vec<String> {
    let has_key = plan.all("aws_kms_key").next().is_some();
    let mut problems = Vec::new();
    for (binary, function) in plan.functions() {
        let address = function.address();
        let role = plan.referred(function.text("role")).expect("a role");
        let mut allowed = BTreeSet::new();
        for statement in allowed_to(plan, role) {
            if statement["effect"].as_str().is_some_and(|it| it != "Allow") {
                continue;
            }
            for action in texts(&statement["actions"]) {
                for arn in texts(&statement["resources"]) {
                    let on = resource(plan, function, arn);
                    allowed.insert(format!("{action} {on}"));
                }
            }
        }
        let list = listed();
        let with_reason =
            |reasons: &BTreeMap<String, String>| reasons.keys().cloned().collect::<Vec<_>>();
        let mut expected = list.calls[binary].clone();
        expected.extend(with_reason(&list.by_aws[binary]));
        if binary == "processor" {
            expected.extend(reached_by_routes(plan));
        }
        if has_key {
            expected.extend(with_reason(&list.with_customer_key[binary]));
        }
        if function.values["tracing_config"][0]["mode"] == json!("Active") {
            expected.extend(with_reason(&list.with_tracing));
        }
        problems.extend(expected.difference(&allowed).map(|it| format!("{address} may not: {it}")));
        problems
            .extend(allowed.difference(&expected).map(|it| format!("{address} need not: {it}")));
    }
    problems
}

/// Roles get their policies here and nowhere else.
fn roles_are_known_whole(plan: &Plan) -> Vec<String> {
    let attached = ["aws_iam_role_policy_attachment", "aws_iam_role_policy_attachments_exclusive"];
    let elsewhere = attached.iter().flat_map(|kind| plan.all(kind));
    let elsewhere = elsewhere.map(|it| format!("{}: cannot be looked into", it.address()));
    let own = plan.all("aws_iam_role").filter(|it| {
        !it.blocks("inline_policy").is_empty() || it.values["managed_policy_arns"].is_array()
    });
    let own = own.map(|it| format!("{}: has policies of its own", it.address()));
    let of_functions: BTreeSet<&str> =
        plan.functions().iter().map(|(_, it)| it.text("role")).collect();
    let shared =
        (of_functions.len() < plan.functions().len()).then(|| "functions share a role".to_owned());
    elsewhere.chain(own).chain(shared).collect()
}

/// What this inbox's own name begins: its sources' and routes' secrets, and its receivers'
/// logs. One by one they would outgrow a policy.
fn is_below_own_name(plan: &Plan, arn: &str) -> bool {
    let name = plan.processor().text("function_name").trim_end_matches("-processor");
    let ends = [
        format!(
            ":secretsmanager:<data.aws_region.this.region>:<data.aws_caller_identity.this.account_id>:secret:{name}/*"
        ),
        format!(
            ":logs:<data.aws_region.this.region>:<data.aws_caller_identity.this.account_id>:log-group:/aws/lambda/{name}-receiver-*:*"
        ),
    ];
    ends.iter().any(|end| arn.ends_with(end))
}

/// A receiver may put its own source's events alone: a put replaces whatever is there, and
/// one that is refused tells what it found.
fn receivers_put_their_own_events(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    let (ledger, _) = plan.tables();
    for (_, function) in plan.functions().into_iter().filter(|(binary, _)| *binary == "receiver") {
        let source = function.values["environment"][0]["variables"]["SOURCE"].clone();
        let source = source.as_str().unwrap_or_default();
        let own = json!([
            {
                "test": "ForAllValues:StringLike",
                "variable": "dynamodb:LeadingKeys",
                "values": [format!("{source}#*"), stack().table.warm_up_key],
            },
            // ForAllValues holds of a request without any key.
            { "test": "Null", "variable": "dynamodb:LeadingKeys", "values": ["false"] },
        ]);
        let role = plan.referred(function.text("role")).expect("a role");
        for statement in allowed_to(plan, role) {
            let is_on_table = texts(&statement["resources"]).contains(&&*ledger.reference("arn"));
            if is_on_table && statement["condition"] != own {
                problems
                    .push(format!("{}: it reaches events of other sources", function.address()));
            }
        }
    }
    problems
}

/// A `*` among the actions or the resources of what a role may do. The list names the
/// actions that know no resource.
fn nothing_is_wild(plan: &Plan) -> Vec<String> {
    let mut problems = Vec::new();
    let log_streams = ".arn>:*";
    let bucket = plan.all("aws_s3_bucket").next().map_or(String::new(), |it| it.reference("arn"));
    // Objects cannot be named one by one.
    let is_objects = |arn: &str| {
        arn.strip_prefix(&bucket)
            .is_some_and(|it| it.matches('*').count() == 1 && it.ends_with("/*"))
    };
    let roles = plan.all("aws_iam_role").map(|it| (it.address(), allowed_to(plan, it)));
    // Those that a team attaches to its people.
    let policies = plan.all("aws_iam_policy").map(|it| {
        let document = plan.referred(it.text("policy")).expect("a policy document");
        (it.address(), statements(plan, document))
    });
    for (address, statements) in roles.chain(policies) {
        for statement in statements {
            let place = format!("{address}, {}", statement["sid"]);
            let actions = texts(&statement["actions"]);
            let has_resources =
                !actions.iter().all(|it| listed().without_resource.contains_key(*it));
            for action in actions.iter().filter(|it| it.contains('*')) {
                problems.push(format!("{place}: {action}"));
            }
            for arn in texts(&statement["resources"]) {
                let exact = arn.strip_suffix(log_streams).unwrap_or(arn);
                // What Secrets Manager adds to a secret's name.
                let is_secret = arn.contains(":secretsmanager:");
                let exact =
                    if is_secret { exact.strip_suffix("-??????").unwrap_or(exact) } else { exact };
                let is_fine = is_objects(arn) || is_below_own_name(plan, arn);
                if exact.contains(['*', '?']) && has_resources && !is_fine {
                    problems.push(format!("{place}: resource {arn}"));
                }
            }
            for name in ["not_actions", "not_resources"] {
                if !statement[name].is_null() {
                    problems.push(format!("{place}: {name} allows all others"));
                }
            }
        }
    }
    problems
}

/// In policies of resources: whoever is named by `*` must at least meet a condition,
/// unless he is denied something.
fn nobody_is_let_in_unnamed(plan: &Plan) -> Vec<String> {
    let documents = plan.instances.iter().filter(|it| it.kind == "aws_iam_policy_document");
    let mut problems = Vec::new();
    for document in documents {
        for statement in document.blocks("statement") {
            let is_allowed = statement["effect"].as_str().is_none_or(|it| it == "Allow");
            let principals = statement["principals"].as_array().cloned().unwrap_or_default();
            let is_wild = principals.iter().any(|it| texts(&it["identifiers"]).contains(&"*"));
            let is_service = principals.iter().any(|it| it["type"] == json!("Service"));
            let has_condition = statement["condition"].as_array().is_some_and(|it| !it.is_empty());
            let is_lambda = texts(&principals.first().cloned().unwrap_or_default()["identifiers"])
                == ["lambda.amazonaws.com"];
            // A key's description tells nothing of what it encrypts, and carries nothing
            // that a condition could rest on.
            let is_description = texts(&statement["actions"]) == ["kms:DescribeKey"] && !is_wild;
            // Lambda assumes a function's role for the function alone, and knows no
            // such condition.
            let needs_none = is_lambda || is_description;
            if is_allowed && (is_wild || is_service) && !has_condition && !needs_none {
                problems.push(format!(
                    "{}: {} has no condition",
                    document.address(),
                    statement["sid"]
                ));
            }
        }
    }
    problems
}

#[test]
fn each_function_may_do_what_it_does_and_nothing_else() {
    let rule = permissions_are_those_of_the_list;
    holds(rule);
    let processor = "data.aws_iam_policy_document.processor";
    let with = |actions: Json, resources: Json| {
        move |plan: &mut Plan| {
            plan.set(processor, "/statement/0/actions", actions);
            plan.set(processor, "/statement/0/resources", resources);
        }
    };
    let ledger = json!(["<aws_dynamodb_table.ledger.arn>"]);
    let more = json!(["dynamodb:UpdateItem", "dynamodb:DeleteItem"]);
    let not = "aws_lambda_function.processor may not: dynamodb:UpdateItem ledger";
    let need_not = "aws_lambda_function.processor need not: dynamodb:DeleteItem ledger";
    catches(rule, not, with(json!(["dynamodb:GetItem"]), ledger.clone()));
    catches(rule, need_not, with(more, ledger));
    catches(
        rule,
        not,
        with(json!(["dynamodb:UpdateItem"]), json!(["<aws_dynamodb_table.mirror.arn>"])),
    );
    // Another source's secret is not a receiver's own.
    catches(rule, "may not: secretsmanager:GetSecretValue secret", |plan| {
        let document = "data.aws_iam_policy_document.receiver[\"github\"]";
        let other = json!(["<aws_secretsmanager_secret.source[\"clerk\"].arn>"]);
        plan.set(document, "/statement/3/resources", other);
    });
}

#[test]
fn a_receiver_reaches_no_other_sources_payloads() {
    let rule = permissions_are_those_of_the_list;
    for objects in ["/*", "/clerk/*"] {
        catches(
            rule,
            "aws_lambda_function.receiver[\"github\"] may not: s3:PutObject payloads",
            |plan| {
                let document = "data.aws_iam_policy_document.receiver[\"github\"]";
                let other = json!([format!("<aws_s3_bucket.payloads.arn>{objects}")]);
                plan.set(document, "/statement/1/resources", other);
            },
        );
    }
}

#[test]
fn a_receiver_reaches_no_other_sources_events() {
    let rule = receivers_put_their_own_events;
    holds(rule);
    let document = "data.aws_iam_policy_document.receiver[\"github\"]";
    let said = "aws_lambda_function.receiver[\"github\"]: it reaches events of other sources";
    catches(rule, said, |plan| plan.set(document, "/statement/0/condition", json!([])));
    for (pointer, value) in [
        ("/statement/0/condition/0/values", json!(["github*", "WARM-UP#WARM-UP"])),
        ("/statement/0/condition/0/values", json!(["clerk#*", "WARM-UP#WARM-UP"])),
        ("/statement/0/condition/1/values", json!(["true"])),
    ] {
        catches(rule, said, |plan| plan.set(document, pointer, value));
    }
}

#[test]
fn the_key_and_traces_ask_for_permissions_only_where_they_are_used() {
    let count = |plan: &Plan, prefix: &str| {
        let roles =
            plan.functions().into_iter().map(|(_, it)| plan.referred(it.text("role")).unwrap());
        let all = roles.flat_map(|role| allowed_to(plan, role));
        all.filter(|it| texts(&it["actions"]).iter().any(|it| it.starts_with(prefix))).count()
    };
    assert_eq!((count(&PLAIN, "kms:"), count(&PLAIN, "xray:")), (0, 0));
    assert!(count(&EVERYTHING, "kms:") > 0 && count(&EVERYTHING, "xray:") > 0);
}

#[test]
fn every_function_has_a_role_of_its_own_whose_policies_are_all_here() {
    let rule = roles_are_known_whole;
    holds(rule);
    catches(rule, "functions share a role", |plan| {
        let role = json!("<aws_iam_role.processor.arn>");
        plan.set("aws_lambda_function.sweeper", "/role", role);
    });
    catches(rule, "has policies of its own", |plan| {
        plan.set(
            "aws_iam_role.sweeper",
            "/managed_policy_arns",
            json!(["arn:aws:iam::aws:policy/x"]),
        );
    });
}

#[test]
fn no_action_and_no_resource_is_a_wildcard() {
    let rule = nothing_is_wild;
    holds(rule);
    let document = "data.aws_iam_policy_document.sweeper";
    catches(rule, "dynamodb:*", |plan| {
        plan.set(document, "/statement/0/actions", json!(["dynamodb:*"]));
    });
    let secrets = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:??????-??????";
    for arn in ["*", "<aws_dynamodb_table.ledger.arn>/index/*", secrets] {
        let said = format!("resource {arn}");
        catches(rule, &said, |plan| plan.set(document, "/statement/0/resources", json!([arn])));
    }
    catches(rule, "not_actions allows all others", |plan| {
        plan.set(document, "/statement/0/not_actions", json!(["iam:CreateUser"]));
    });
}

#[test]
fn whoever_is_let_in_is_named_or_meets_a_condition() {
    let rule = nobody_is_let_in_unnamed;
    holds(rule);
    catches(rule, "\"Alarms\" has no condition", |plan| {
        plan.set("data.aws_iam_policy_document.alarms[0]", "/statement/0/condition", json!([]));
    });
}
