//! What must hold of the whole, whatever a team configures: rules over plans.
//!
//! A rule gives a sentence for each place where it does not hold. Every test applies
//! one to `modules/inbox` as it comes and with every option in use, then breaks the
//! plan on purpose and looks whether the rule says so.

mod alarms;
mod capacity;
mod conditions;
mod deployer;
mod environment;
mod functions;
mod keys;
mod metrics;
mod names;
mod permissions;
mod queues;
mod routes;
mod sizes;
mod sources;
mod stores;
mod targets;
mod wiring;

use std::sync::LazyLock;

use hcl::Value;

use crate::infra;
use crate::module::Module;
use crate::plan::{Plan, plan};

/// Sentences on what is wrong.
type Rule = fn(&Plan) -> Vec<String>;

/// As it comes: what no caller must say is left unsaid.
pub(crate) static PLAIN: LazyLock<Plan> = LazyLock::new(|| planned(&hcl::value!({})));
/// With every option in use.
pub(crate) static EVERYTHING: LazyLock<Plan> = LazyLock::new(|| {
    planned(&hcl::value!({
        name = "hooks"
        architecture = "x86_64"
        sources = {
            stripe_eu = {
                provider = "stripe"
                memory_mb = 512
                timeout_seconds = 20
                reserved_concurrency = 20
                throttle = { requests_per_second = 5, burst = 10 }
                max_body_bytes = 1000
                retention_days = 40
            }
            github = { provider = "github", dedup = "content" }
            twilio_us = { provider = "twilio", public_base_url = "https://other.example.com" }
            clerk = { provider = "standard_webhooks" }
        }
        processor = {
            memory_mb = 1024
            maximum_concurrency = 5
            routes = (targets::every_kind())
            retry_delays_seconds = [60, 900, 3600]
            handler_timeout_seconds = 20
        }
        custom_domain = {
            name = "hooks.example.com"
            certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
            hosted_zone = { id = "Z1" }
        }
        customer_key = { create = true }
        tracing = true
        alarms = { emails = ["ops@example.com"] }
    }))
});

fn planned(given: &Value) -> Plan {
    let module = Module::read(&infra().join("modules/inbox"));
    let variables = module.labelled("variable");
    let given = given.as_object().expect("a map");
    for name in given.keys() {
        assert!(variables.contains_key(name.as_str()), "modules/inbox has no variable {name}");
    }
    plan(&module, given)
}

/// The rule holds of both plans.
fn holds(rule: Rule) {
    for (name, plan) in [("plain", &*PLAIN), ("with everything", &*EVERYTHING)] {
        let problems = rule(plan);
        assert!(problems.is_empty(), "{name}:\n{}", problems.join("\n"));
    }
}

/// The rule finds what is broken on purpose, and says this of it.
fn catches(rule: Rule, said: &str, breaking: impl FnOnce(&mut Plan)) {
    let mut plan = EVERYTHING.clone();
    breaking(&mut plan);
    let problems = rule(&plan);
    assert!(problems.iter().any(|it| it.contains(said)), "not said: {said:?}, but: {problems:#?}");
}
