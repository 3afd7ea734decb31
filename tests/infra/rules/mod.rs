//! What must hold of the whole, whatever a team configures: rules over plans.
//!
//! A rule gives a sentence for each place where it does not hold. Every test applies
//! one to `modules/inbox` as it comes and with every option in use, then breaks the
//! plan on purpose and looks whether the rule says so.

mod alarms;
mod environment;
mod functions;
mod keys;
mod permissions;
mod queues;
mod routes;
mod stores;
mod targets;
mod wiring;

use std::sync::LazyLock;

use hcl::Value;
use serde_json::Value as Json;

use crate::infra;
use crate::module::Module;
use crate::plan::{Instance, Plan, plan};

/// Sentences on what is wrong.
type Rule = fn(&Plan) -> Vec<String>;

/// As it comes: what no caller must say is left unsaid.
static PLAIN: LazyLock<Plan> = LazyLock::new(|| planned(&hcl::value!({})));
/// With every option in use.
static EVERYTHING: LazyLock<Plan> = LazyLock::new(|| {
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
            hosted_zone_id = "Z1"
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

impl Plan {
    /// Every instance of a resource.
    fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.instances.iter().filter(move |it| !it.is_data && it.kind == kind)
    }

    /// What an argument refers to: `<aws_sqs_queue.events.arn>`.
    fn referred<'a>(&'a self, value: &str) -> Option<&'a Instance> {
        let inner = value.strip_prefix('<')?.split('>').next()?;
        let (address, _) = inner.rsplit_once('.')?;
        self.instances.iter().find(|it| it.address() == address)
    }

    /// The queue that the processor is fed from, by its event source mapping.
    fn queue(&self) -> &Instance {
        let mapping = self.all("aws_lambda_event_source_mapping").next().expect("a mapping");
        self.referred(mapping.text("event_source_arn")).expect("a queue")
    }

    /// Where the queue's redrive policy moves messages, as it is written.
    fn redrive(&self) -> Option<Json> {
        let queue = self.queue();
        let separate = self
            .all("aws_sqs_queue_redrive_policy")
            .find(|it| it.text("queue_url") == queue.reference("id"));
        let policy = separate.unwrap_or(queue).text("redrive_policy");
        serde_json::from_str(policy).ok()
    }

    /// The dead-letter queue, by the queue's redrive policy.
    fn dead_letters(&self) -> Option<&Instance> {
        let redrive = self.redrive()?;
        self.referred(redrive["deadLetterTargetArn"].as_str()?)
    }

    /// The table with the index `open`, and the other one.
    fn tables(&self) -> (&Instance, &Instance) {
        let (ledgers, others): (Vec<_>, Vec<_>) = self
            .all("aws_dynamodb_table")
            .partition(|it| !it.blocks("global_secondary_index").is_empty());
        assert_eq!((ledgers.len(), others.len()), (1, 1), "a ledger and a mirror");
        (ledgers[0], others[0])
    }

    /// A function's binary, by its package: `receiver`, `processor`, `sweeper`.
    fn functions(&self) -> Vec<(&'static str, &Instance)> {
        let binary = |it: &Instance| {
            let package = it.text("filename");
            let known = ["receiver", "processor", "sweeper"];
            known.into_iter().find(|name| package.contains(name)).expect("a package of ours")
        };
        self.all("aws_lambda_function").map(|it| (binary(it), it)).collect()
    }

    fn processor(&self) -> &Instance {
        let functions = self.functions();
        functions.iter().find(|(binary, _)| *binary == "processor").expect("a processor").1
    }

    /// The processor's routes, as it reads them.
    fn routes(&self) -> Vec<Json> {
        let variables = &self.processor().values["environment"][0]["variables"];
        let routes = variables["ROUTES"].as_str().unwrap_or("[]");
        serde_json::from_str(routes).expect("a list of routes")
    }

    /// For breaking: a value anywhere in an instance's arguments, by JSON pointer.
    fn set(&mut self, address: &str, pointer: &str, value: Json) {
        let instance = self.instances.iter_mut().find(|it| it.address() == address);
        let values = &mut instance.unwrap_or_else(|| panic!("no {address}")).values;
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = values.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
        match parent {
            Json::Array(items) => items[name.parse::<usize>().unwrap()] = value,
            parent => parent[name] = value,
        }
    }

    /// For breaking: instances that are as if they had not been written.
    fn remove(&mut self, is_meant: impl Fn(&Instance) -> bool) {
        let before = self.instances.len();
        self.instances.retain(|it| !is_meant(it));
        assert!(self.instances.len() < before, "nothing was removed");
    }
}

impl Instance {
    /// A text argument; empty when it is missing.
    fn text(&self, name: &str) -> &str {
        self.values[name].as_str().unwrap_or_default()
    }

    /// A number argument, however it is written.
    fn number(&self, name: &str) -> Option<u64> {
        let value = &self.values[name];
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// The blocks of a name.
    fn blocks(&self, name: &str) -> &[Json] {
        self.values[name].as_array().map_or(&[], Vec::as_slice)
    }
}
