//! What the plan of `modules/inbox` holds, found by how its parts refer to each other.

use serde_json::Value as Json;

use crate::plan::{Instance, Plan};

impl Plan {
    /// Every instance of a resource.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.instances.iter().filter(move |it| !it.is_data && it.kind == kind)
    }

    /// What an argument refers to: `<aws_sqs_queue.events.arn>`.
    #[must_use]
    pub fn referred<'a>(&'a self, value: &str) -> Option<&'a Instance> {
        let inner = value.strip_prefix('<')?.split('>').next()?;
        let (address, _) = inner.rsplit_once('.')?;
        self.instances.iter().find(|it| it.address() == address)
    }

    /// The function behind an alias that is referred to.
    #[must_use]
    pub fn called(&self, reference: &str) -> Option<&Instance> {
        let alias = self.referred(reference).filter(|it| it.kind == "aws_lambda_alias")?;
        self.referred(alias.text("function_version"))
    }

    /// The queue that the processor is fed from, by its event source mapping.
    #[must_use]
    pub fn queue(&self) -> &Instance {
        let mapping = self.all("aws_lambda_event_source_mapping").next().expect("a mapping");
        self.referred(mapping.text("event_source_arn")).expect("a queue")
    }

    /// The lane: the other queue that the processor is fed from.
    #[must_use]
    pub fn lane(&self) -> Option<&Instance> {
        let mapping = self.all("aws_lambda_event_source_mapping").nth(1)?;
        self.referred(mapping.text("event_source_arn"))
    }

    /// Where the queue's redrive policy moves messages, as it is written.
    #[must_use]
    pub fn redrive(&self) -> Option<Json> {
        let queue = self.queue();
        let separate = self
            .all("aws_sqs_queue_redrive_policy")
            .find(|it| it.text("queue_url") == queue.reference("id"));
        let policy = separate.unwrap_or(queue).text("redrive_policy");
        serde_json::from_str(policy).ok()
    }

    /// The dead-letter queue, by the queue's redrive policy.
    #[must_use]
    pub fn dead_letters(&self) -> Option<&Instance> {
        let redrive = self.redrive()?;
        self.referred(redrive["deadLetterTargetArn"].as_str()?)
    }

    /// The table with the index `open`, and the other one.
    #[must_use]
    pub fn tables(&self) -> (&Instance, &Instance) {
        let (ledgers, others): (Vec<_>, Vec<_>) = self
            .all("aws_dynamodb_table")
            .partition(|it| !it.blocks("global_secondary_index").is_empty());
        assert_eq!((ledgers.len(), others.len()), (1, 1), "a ledger and a mirror");
        (ledgers[0], others[0])
    }

    /// A function's binary, by its package: `receiver`, `processor`, `sweeper`.
    #[must_use]
    pub fn functions(&self) -> Vec<(&'static str, &Instance)> {
        let binary = |it: &Instance| {
            let package = it.text("filename");
            let known = ["receiver", "processor", "sweeper"];
            known.into_iter().find(|name| package.contains(name)).expect("a package of ours")
        };
        self.all("aws_lambda_function").map(|it| (binary(it), it)).collect()
    }

    /// The function that runs handlers.
    #[must_use]
    pub fn processor(&self) -> &Instance {
        let functions = self.functions();
        functions.iter().find(|(binary, _)| *binary == "processor").expect("a processor").1
    }

    /// The processor's routes, as it reads them.
    #[must_use]
    pub fn routes(&self) -> Vec<Json> {
        let variables = &self.processor().values["environment"][0]["variables"];
        let routes = variables["ROUTES"].as_str().unwrap_or("[]");
        serde_json::from_str(routes).expect("a list of routes")
    }

    /// For breaking on purpose: a value anywhere in an instance's arguments, by JSON pointer.
    pub fn set(&mut self, address: &str, pointer: &str, value: Json) {
        let instance = self.instances.iter_mut().find(|it| it.address() == address);
        let values = &mut instance.unwrap_or_else(|| panic!("no {address}")).values;
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = values.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
        match parent {
            Json::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
            parent => parent[name] = value,
        }
    }

    /// For breaking on purpose: instances that are as if they had not been written.
    pub fn remove(&mut self, is_meant: impl Fn(&Instance) -> bool) {
        let before = self.instances.len();
        self.instances.retain(|it| !is_meant(it));
        assert!(self.instances.len() < before, "nothing was removed");
    }
}

impl Instance {
    /// A text argument; empty when it is missing.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.values[name].as_str().unwrap_or_default()
    }

    /// A number argument, however it is written.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        let value = &self.values[name];
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// The blocks of a name.
    #[must_use]
    pub fn blocks(&self, name: &str) -> &[Json] {
        self.values[name].as_array().map_or(&[], Vec::as_slice)
    }
}
