//! Who calls the module: the thin caller that `make deploy` uses, the examples, and a team
//! that makes every target in the same apply, so that nothing of it is known at plan.

use super::forms::{Form, MODULE};
use super::runs::{Run, Said, test};
use super::workspace::{End, Workspace, is_there, shown};
use crate::module_folders;

/// What a caller makes beside the module, and hands to it.
const MADE: &str = r#"
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "packages" { type = any }

resource "aws_sns_topic" "alarms" { name = "on-call" }
resource "aws_sns_topic" "target" { name = "target" }
resource "aws_sqs_queue" "target" { name = "target" }
resource "aws_cloudwatch_event_bus" "target" { name = "target" }
resource "aws_kms_key" "this" {}
resource "aws_route53_zone" "this" { name = "example.com" }
resource "aws_acm_certificate" "this" { domain_name = "hooks.example.com" }
resource "aws_secretsmanager_secret" "target" { name = "target" }
resource "aws_iam_role" "target" { assume_role_policy = "{}" }
resource "aws_lambda_function" "target" {
  function_name = "target"
  role          = aws_iam_role.target.arn
}

module "inbox" {
  source   = "../infra/modules/inbox"
  packages = var.packages

  FORM
}
"#;

/// Every variable that may be given what the same apply makes.
pub(crate) const MADE_FORMS: &[Form] = &[
    (
        "targets of every kind, made in the same apply",
        r#"
        processor = {
          routes = [
            { id = "bus", match = "*:*", handler = "publish", with = { bus = aws_cloudwatch_event_bus.target.arn } },
            { id = "function", match = "*:*", handler = "invoke", with = { function = aws_lambda_function.target.arn } },
            { id = "queue", match = "*:*", handler = "enqueue", with = { queue_url = aws_sqs_queue.target.url } },
            { id = "topic", match = "*:*", handler = "enqueue", with = { topic_arn = aws_sns_topic.target.arn } },
            { id = "endpoint", match = "*:*", handler = "forward", with = { url = "https://example.com", secret_id = aws_secretsmanager_secret.target.arn } },
          ]
        }
        "#,
    ),
    (
        "a topic for alarms, made in the same apply",
        "alarms = { topic = { arn = aws_sns_topic.alarms.arn } }",
    ),
    (
        "a zone and a certificate, made in the same apply",
        r#"
        custom_domain = {
          name            = "hooks.example.com"
          certificate_arn = aws_acm_certificate.this.arn
          hosted_zone     = { id = aws_route53_zone.this.zone_id }
        }
        "#,
    ),
    ("a key, made in the same apply", "customer_key = { arn = aws_kms_key.this.arn }"),
];

/// Nothing is counted, keyed or refused by a value that is not known before the apply.
#[test]
fn terraform_plans_and_applies_what_is_made_in_the_same_apply() {
    if !is_there() {
        return;
    }
    let workspace = Workspace::new(End::Oldest);
    let each = MADE_FORMS.iter().enumerate().map(|(number, (_, form))| (number, *form));
    let together: Vec<&str> = MADE_FORMS.iter().map(|(_, form)| *form).collect();
    // One by one, so that each that fails is named; then all at once, as far as it goes.
    for (number, form) in each.chain([(MADE_FORMS.len(), together.join("\n").as_str())]) {
        let name = MADE_FORMS.get(number).map_or("everything made in the same apply", |it| it.0);
        let directory = format!("made_{number}");
        workspace.write(&format!("{directory}/main.tf"), &MADE.replace("FORM", form));
        workspace.init(&directory);
        let variables = format!("variables {{\n{}}}", workspace.packages());
        let command = if number == MADE_FORMS.len() { "apply" } else { "plan" };
        let outcomes = test(&workspace, &directory, &[Run { variables, command }]);
        outcomes[0].assert_passed(name);
    }
}

/// Every variable of the thin caller is handed on, and every output comes back.
#[test]
fn terraform_plans_and_applies_the_thin_caller() {
    if !is_there() {
        return;
    }
    let workspace = Workspace::new(End::Newest);
    workspace.init("infra");
    let packages = workspace.path("packages");
    let given = |more: &str| {
        format!(
            "variables {{\nenvironment = \"dev\"\nregion = \"eu-central-1\"\npackages_directory = {:?}\n{more}\n}}",
            packages.display().to_string()
        )
    };
    let everything = r#"
        account_id           = "123456789012"
        tags                 = { Team = "payments" }
        architecture         = "x86_64"
        sources              = { stripe = { provider = "stripe" } }
        processor            = { routes = [{ id = "bus", match = "*:*", handler = "publish" }, { id = "partner", match = "*:*", handler = "forward", with = { url = "https://example.com" } }] }
        account_concurrency  = 2000
        custom_domain        = { name = "hooks.example.com", certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1" }
        customer_key         = { create = true }
        alarms               = { emails = ["ops@example.com"] }
        deletion_protection  = false
        secret_recovery_days = 0
        log_retention_days   = 7
        log_level            = "debug"
        tracing              = true
        event_bus            = true
    "#;
    let runs = [
        Run::plan(given("")),
        Run { variables: given(everything), command: "apply" },
        Run::plan(given("environment = \"Dev\"").replacen("environment = \"dev\"\n", "", 1)),
    ];
    let outcomes = test(&workspace, "infra", &runs);
    outcomes[0].assert_passed("the thin caller as it comes");
    outcomes[1].assert_passed("the thin caller with everything");
    let refused: Vec<&str> = outcomes[2].said.iter().map(|it| it.detail.as_str()).collect();
    let words = "ENV must be 2 to 12 lower-case letters, digits and hyphens, from a letter, such as dev or prod.";
    assert!(
        refused.len() == 1 && refused[0].starts_with(words),
        "ENV=Dev must be refused with {words:?}, not {refused:?}"
    );
}

#[test]
fn terraform_plans_the_examples() {
    if !is_there() {
        return;
    }
    let workspace = Workspace::new(End::Oldest);
    let package = workspace.path("packages/subscriber.zip").display().to_string();
    for (example, variables) in [
        ("invoke-typescript", "crm_url = \"https://crm.example.com\"".to_owned()),
        (
            "publish-python",
            "event_bus_name = \"inbox\"\npayload_bucket_arn = \"arn:aws:s3:::inbox\"".to_owned(),
        ),
    ] {
        let directory = format!("{MODULE}/examples/{example}");
        workspace.init(&directory);
        let variables = format!("variables {{\npackage = {package:?}\n{variables}\n}}");
        let outcomes = test(&workspace, &directory, &[Run { variables, command: "apply" }]);
        outcomes[0].assert_passed(example);
    }
}

#[test]
fn terraform_finds_every_module_valid_by_both_ends_of_the_provider() {
    if !is_there() {
        return;
    }
    std::thread::scope(|scope| {
        for end in [End::Oldest, End::Newest] {
            scope.spawn(move || {
                let workspace = Workspace::new(end);
                for folder in module_folders() {
                    let relative = folder.strip_prefix(crate::infra()).unwrap();
                    let directory = format!("infra/{}", relative.display());
                    workspace.init(&directory);
                    let output = workspace.run(&directory, &["validate", "-json"]);
                    let found: serde_json::Value = serde_json::from_slice(&output.stdout)
                        .unwrap_or_else(|_| {
                            panic!("{directory}: no JSON but:\n{}", shown(&output))
                        });
                    let said: Vec<String> = found["diagnostics"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(|it| Said::read(it).to_string())
                        .collect();
                    assert!(
                        found["valid"] == true && said.is_empty(),
                        "{directory} by the {end:?} provider:\n{}",
                        said.join("\n")
                    );
                }
            });
        }
    });
}
