//! Every policy as the module makes it, by parliament, a linter that knows what IAM's
//! actions, resources and condition keys are.
//! <https://github.com/duo-labs/parliament>

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use inbox_evaluator::arns::Place;
use inbox_evaluator::policies::document;
use inbox_local::paths;
use serde_json::Value as Json;

use crate::plan::{Instance, Plan};
use crate::rules::{EVERYTHING, PLAIN};

/// Where it lies; `make infra-check` sets it.
const PROGRAM: &str = "PARLIAMENT";

/// Policies by where they are used: `aws_iam_role_policy.processor policy`.
fn policies(plan: &Plan) -> BTreeMap<String, Json> {
    let place = Place {
        account_id: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        known: known(plan),
    };
    let mut found = BTreeMap::new();
    for instance in plan.instances.iter().filter(|it| !it.is_data) {
        for (argument, value) in instance.values.as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            if !text.starts_with("<data.aws_iam_policy_document.") {
                continue;
            }
            let policy = document(plan, &place, text)
                .unwrap_or_else(|reason| panic!("{}: {reason}", instance.address()));
            found.insert(format!("{} {argument}", instance.address()), policy);
        }
    }
    found
}

/// What AWS calls by numbers of its own.
fn known(plan: &Plan) -> BTreeMap<String, String> {
    let name = |it: &Instance, attribute: &str| {
        it.reference(attribute).trim_matches(['<', '>']).to_owned()
    };
    let mut known = BTreeMap::new();
    for it in &plan.instances {
        let (attribute, value) = match it.kind.as_str() {
            "aws_kms_key" => (
                "arn",
                "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000",
            ),
            "aws_apigatewayv2_api" => {
                ("execution_arn", "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5")
            }
            "aws_lambda_event_source_mapping" => (
                "arn",
                "arn:aws:lambda:eu-central-1:123456789012:event-source-mapping:00000000-0000-0000-0000-000000000000",
            ),
            _ => continue,
        };
        known.insert(name(it, attribute), value.to_owned());
    }
    known
}

/// A condition's only value stands alone, as the provider's `aws_iam_policy_document` has it;
/// parliament cannot read it otherwise where the operator is `Bool` or `Null`.
fn as_terraform_writes(policy: &str) -> String {
    let mut policy: Json = serde_json::from_str(policy).expect("a policy");
    let statements = policy["Statement"].as_array_mut().into_iter().flatten();
    let conditions = statements.filter_map(|it| it.get_mut("Condition")?.as_object_mut());
    let keys = conditions.flat_map(|it| it.values_mut().filter_map(Json::as_object_mut));
    for value in keys.flat_map(serde_json::Map::values_mut) {
        if let [only] = value.as_array().map(Vec::as_slice).unwrap_or_default() {
            *value = only.clone();
        }
    }
    policy.to_string()
}

/// What parliament takes for a fault and AWS asks for: it reads each policy as that of an
/// identity.
///
/// - Who may assume a role: no resource.
/// - A key's own policy: `*` is that key, and the context of a log group's encryption is
///   compared as an ARN.
///   <https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html>
///   <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html>
fn must_be_so(places: &BTreeSet<String>, finding: &Json) -> bool {
    let all = |is_one: fn(&String) -> bool| places.iter().all(is_one);
    match (finding["title"].as_str(), finding["detail"].as_str()) {
        (Some("Malformed"), Some("Statement contains neither Resource nor NotResource")) => {
            all(|it| it.ends_with(" assume_role_policy"))
        }
        (Some("Unnecessary use of Resource *"), _) => all(|it| it.starts_with("aws_kms_key.")),
        (Some("Mismatched type"), Some(detail)) => {
            detail.contains("ArnLike requires a value of type Arn but given String")
                && all(|it| it.starts_with("aws_kms_key."))
        }
        _ => false,
    }
}

#[test]
#[ignore = "needs parliament: `make infra-check` installs it and runs this"]
fn parliament_finds_nothing_in_any_policy() {
    let program = std::env::var(PROGRAM)
        .unwrap_or_else(|_| panic!("{PROGRAM} must name parliament: run `make infra-check`"));
    let folder = paths::local_directory().join(format!("policies-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut where_used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for plan in [&*PLAIN, &*EVERYTHING] {
        for (place, policy) in policies(plan) {
            let places = where_used.entry(policy.to_string()).or_default();
            places.insert(place);
        }
    }
    assert!(where_used.len() > 10, "too few policies: {where_used:#?}");
    let mut names = BTreeMap::new();
    for (number, (policy, places)) in where_used.iter().enumerate() {
        let file = folder.join(format!("{number}.json"));
        std::fs::write(&file, as_terraform_writes(policy)).unwrap();
        names.insert(file.display().to_string(), places);
    }
    let output = Command::new(&program)
        .args(["--json", "--directory"])
        .arg(&folder)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|fault| panic!("{program}: {fault}"));
    std::fs::remove_dir_all(&folder).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // It ends with 1 where it finds anything, as where it breaks off.
    let said = String::from_utf8_lossy(&output.stderr);
    let findings: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let Ok(it) = serde_json::from_str::<Json>(line) else { return Some(line.to_owned()) };
            let file = it["location"]["filepath"].as_str().unwrap_or_default();
            let places = names.get(file);
            let must_be = places.is_some_and(|places| must_be_so(places, &it));
            (!must_be).then(|| format!("{places:?}: {}: {}", it["title"], it["detail"]))
        })
        .collect();
    assert!(
        findings.is_empty() && !said.contains("Traceback"),
        "parliament finds {} faults:\n{}\n{}",
        findings.len(),
        findings.join("\n"),
        said
    );
}
