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
        std::fs::write(&file, policy).unwrap();
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
    let findings: Vec<String> = text
        .lines()
        .map(|line| match serde_json::from_str::<Json>(line) {
            Ok(it) => {
                let file = it["location"]["filepath"].as_str().unwrap_or_default();
                format!("{:?}: {}: {}", names.get(file), it["title"], it["detail"])
            }
            Err(_) => line.to_owned(),
        })
        .collect();
    assert!(
        output.status.success() && findings.is_empty(),
        "parliament finds {} faults:\n{}\n{}",
        findings.len(),
        findings.join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
}
