//! Every variable of the module in every form in which a team may write it.

use std::collections::BTreeSet;

use hcl::expr::{Expression, ObjectKey};

use crate::infra;
use crate::module::{Module, attribute};

pub(crate) const MODULE: &str = "infra/modules/inbox";

/// What a form is about, and its variables without `packages`.
pub(crate) type Form = (&'static str, &'static str);

/// Names at the limits that `name` and `sources` allow, and every handler with every kind
/// of target. Each is planned, and our own evaluator is held to the plan.
pub(crate) const FORMS: &[Form] = &[
    ("nothing", ""),
    (
        "one source of each provider, with every attribute",
        r#"
        name                = "hooks"
        architecture        = "x86_64"
        account_concurrency = 2000
        sources = {
          stripe_eu = {
            provider                 = "stripe"
            memory_mb                = 512
            timeout_seconds          = 20
            reserved_concurrency     = 20
            provisioned_concurrency  = 2
            throttle                 = { requests_per_second = 5, burst = 10 }
            dedup                    = "id"
            max_body_bytes           = 1000
            retention_days           = 40
            rejected_alarm_threshold = 5
          }
          github    = { provider = "github", dedup = "content", hook_ids = ["292430182"] }
          twilio_us = { provider = "twilio", public_base_url = "https://other.example.com" }
          clerk     = { provider = "standard_webhooks", throttle = {} }
        }
        "#,
    ),
    (
        "the processor, without routes",
        r"
        processor = {
          memory_mb               = 1024
          maximum_concurrency     = 5
          routes                  = []
          retry_delays_seconds    = [60, 900, 3600]
          handler_timeout_seconds = 20
        }
        ",
    ),
    (
        "routes to every kind of target",
        r#"
        processor = {
          routes = [
            { id = "mirror", match = "*:*", handler = "mirror" },
            { id = "bus", match = "stripe:*", handler = "publish" },
            { id = "other-bus", match = "stripe:*", handler = "publish", with = { bus = "arn:aws:events:us-east-1:210987654321:event-bus/theirs", max_bytes = 65536 } },
            { id = "crm", match = "stripe:customer.*", handler = "invoke", with = { function = "crm:live" } },
            { id = "their-crm", match = "stripe:*", handler = "invoke", with = { function = "arn:aws:lambda:us-east-1:210987654321:function:crm" } },
            { id = "ship", match = "stripe:invoice.paid", handler = "enqueue", with = { queue_url = "https://sqs.eu-west-1.amazonaws.com/210987654321/ship.fifo" } },
            { id = "tell", match = "github:*", handler = "enqueue", with = { topic_arn = "arn:aws:sns:us-east-1:210987654321:tell" } },
            { id = "partner", match = "*:*", handler = "forward", with = { url = "https://partner.example.com/hooks" } },
            { id = "partner-2", match = "*:*", handler = "forward", with = { url = "https://partner.example.com/hooks?a=b&c=d", secret_id = "partner" } },
          ]
        }
        "#,
    ),
    ("no bus", "event_bus = false"),
    (
        "a bus for routes, none of its own",
        r#"
        event_bus = false
        processor = { routes = [{ id = "bus", match = "*:*", handler = "publish", with = { bus = "default" } }] }
        "#,
    ),
    ("a key made here, and traces", "customer_key = { create = true }\ntracing = true"),
    (
        "a key of the team's own",
        r#"customer_key = { arn = "arn:aws:kms:us-east-1:123456789012:key/1" }"#,
    ),
    (
        "an address of one's own",
        r#"
        custom_domain = {
          name                     = "hooks.example.com"
          certificate_arn          = "arn:aws:acm:us-east-1:123456789012:certificate/1"
          keeps_default_endpoint   = true
        }
        "#,
    ),
    (
        "alarms by mail, with thresholds",
        r#"
        alarms = {
          emails                 = ["ops@example.com", "on-call@example.com"]
          oldest_message_seconds = 900
          swept                  = 10
        }
        "#,
    ),
    (
        "what comes and goes",
        r#"
        deletion_protection  = false
        secret_recovery_days = 0
        log_retention_days   = 1
        log_level            = "inbox_processor=debug,info"
        "#,
    ),
    (
        "the longest names",
        r#"
        name    = "an-inbox-of-26-characters1"
        sources = {
          a_source_of_all_the_28_chars = { provider = "stripe" }
        }
        "#,
    ),
    ("the shortest names", "name = \"abc\"\nsources = { s = { provider = \"stripe\" } }"),
];

/// A variable or an attribute that no form gives would be one that Terraform never saw.
#[test]
fn every_variable_and_every_attribute_is_given_by_a_form() {
    let module = Module::read(&infra().join("modules/inbox"));
    let mut left = BTreeSet::new();
    for (name, (_, variable)) in module.labelled("variable") {
        let kind = attribute(&variable.body, "type").map(|it| &it.expr);
        paths(kind, name, &mut left);
    }
    left.retain(|it| !it.starts_with("packages"));
    for (_, form) in FORMS.iter().chain(super::callers::MADE_FORMS) {
        let given: hcl::Value = hcl::from_str(form).unwrap();
        for (name, value) in given.as_object().unwrap() {
            take(&mut left, name, value);
        }
    }
    assert!(left.is_empty(), "no form gives {left:?}: add each to tests/infra/terraform/forms.rs");
}

/// `sources.*.throttle.burst`
fn paths(kind: Option<&Expression>, name: &str, found: &mut BTreeSet<String>) {
    found.insert(name.to_owned());
    let Some(Expression::FuncCall(call)) = kind else { return };
    match (call.name.name.as_str(), call.args.as_slice()) {
        ("optional", [kind, ..]) => paths(Some(kind), name, found),
        ("map", [of]) => paths(Some(of), &format!("{name}.*"), found),
        ("object", [Expression::Object(attributes)]) => {
            for (key, kind) in attributes {
                let key = match key {
                    ObjectKey::Expression(other) => other.to_string(),
                    key => key.to_string(),
                };
                paths(Some(kind), &format!("{name}.{key}"), found);
            }
        }
        _ => {}
    }
}

fn take(left: &mut BTreeSet<String>, name: &str, value: &hcl::Value) {
    left.remove(name);
    let Some(members) = value.as_object() else { return };
    left.remove(&format!("{name}.*"));
    for (key, value) in members {
        take(left, &format!("{name}.{key}"), value);
        take(left, &format!("{name}.*"), value);
        take(left, &format!("{name}.*.{key}"), value);
    }
}
