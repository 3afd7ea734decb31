//! What the functions do in AWS: the list that the end-to-end tests and the checks over
//! `infra/` share.
//!
//! ```text
//! functions ─▶ proxy ─▶ performed ──┐
//!                                   ├─ equal ─ tests/fixtures/aws_actions.json
//! infra/ ─▶ policies of the roles ──┘
//! ```
//!
//! So a call without permission fails here and not on the first bad day in the cloud,
//! and a permission that nobody uses does not stay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::calls::Call;

static LISTED: LazyLock<Listed> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../fixtures/aws_actions.json")).expect("the fixture reads")
});

/// The list.
#[must_use]
pub fn listed() -> &'static Listed {
    &LISTED
}

/// `tests/fixtures/aws_actions.json`: actions as `dynamodb:PutItem ledger`, by function.
#[derive(Debug, Deserialize)]
pub struct Listed {
    /// What functions call by themselves.
    pub calls: BTreeMap<String, BTreeSet<String>>,
    /// What the processor calls besides for routes with these handlers.
    pub with_handler: BTreeMap<String, BTreeSet<String>>,
    /// What AWS does with their roles, and why.
    pub by_aws: BTreeMap<String, BTreeMap<String, String>>,
    /// What they need besides when a key of the customer's encrypts, and why.
    pub with_customer_key: BTreeMap<String, BTreeMap<String, String>>,
    /// What every function needs besides when traces are sent, and why.
    pub with_tracing: BTreeMap<String, String>,
    /// What else no request on this machine can show to be needed, by who and action, and
    /// why.
    pub unseen: BTreeMap<String, BTreeMap<String, String>>,
    /// Actions that know no resource, so that `*` is all there is to say, and where AWS
    /// says so.
    pub without_resource: BTreeMap<String, String>,
}

/// A call as far as permissions go: who, what, on what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Performed {
    function: String,
    action: String,
    /// A table's, secret's, bucket's or bus's name, a queue's URL, a topic's ARN, a
    /// function's path.
    resource: String,
    index: Option<String>,
}

impl Performed {
    /// What a function's call comes to; nothing for other calls.
    #[must_use]
    pub fn by(call: &Call) -> Vec<Self> {
        if call.function.is_empty() {
            return Vec::new();
        }
        let body = call.json();
        let text = |name: &str| body[name].as_str().map(ToOwned::to_owned);
        let bus = body["Entries"][0]["EventBusName"].as_str().map(ToOwned::to_owned);
        let named = text("TableName")
            .or_else(|| text("QueueUrl"))
            .or_else(|| text("SecretId"))
            .or(bus)
            .or_else(|| call.form_field("TopicArn"));
        let in_the_path = || match call.service.as_str() {
            "s3" => call.path.split('/').nth(1).unwrap_or_default().to_owned(),
            _ => call.path.clone(),
        };
        let performed = |operation: &str| Self {
            function: call.function.clone(),
            action: format!("{}:{operation}", call.service),
            resource: named.clone().unwrap_or_else(in_the_path),
            index: text("IndexName"),
        };
        match call.operation.as_str() {
            // To S3, copying is reading and writing.
            "CopyObject" => vec![performed("GetObject"), performed("PutObject")],
            "Invoke" => vec![performed("InvokeFunction")],
            operation => vec![performed(operation)],
        }
    }

    /// The same in the list's words.
    #[must_use]
    pub fn action(&self, names: &Names<'_>) -> Action {
        let resource = &self.resource;
        let on = match &self.index {
            Some(index) if resource == names.table => format!("ledger/index/{index}"),
            None if resource == names.table => "ledger".to_owned(),
            None if resource == names.mirror_table => "mirror".to_owned(),
            None if resource == names.queue_url => "events".to_owned(),
            None if resource == names.lane_url => "lane".to_owned(),
            None if resource == names.dlq_url => "dead_letters".to_owned(),
            None if resource == names.payload_bucket => "payloads".to_owned(),
            // What is none of the stack's own is a target of its routes.
            None => match (self.function.as_str(), self.action.as_str()) {
                ("processor", "secretsmanager:GetSecretValue") => "forward_secret".to_owned(),
                (_, action) if action.starts_with("secretsmanager:") => "secret".to_owned(),
                ("processor", "events:PutEvents") => "event_bus".to_owned(),
                ("processor", "lambda:InvokeFunction") => "invoked_function".to_owned(),
                ("processor", "sqs:SendMessage") => "target_queue".to_owned(),
                ("processor", "sns:Publish") => "target_topic".to_owned(),
                _ => format!("unknown:{resource}"),
            },
            Some(_) => format!("unknown:{resource}"),
        };
        Action { function: self.function.clone(), action: format!("{} {on}", self.action) }
    }
}

/// What a stack's resources are called.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The ledger.
    pub table: &'a str,
    /// The table of the handler `mirror`.
    pub mirror_table: &'a str,
    /// The bucket of large payloads.
    pub payload_bucket: &'a str,
    /// The queue of events.
    pub queue_url: &'a str,
    /// The queue of slow routes.
    pub lane_url: &'a str,
    /// The dead-letter queue.
    pub dlq_url: &'a str,
}

/// `processor` does `dynamodb:UpdateItem ledger`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Action {
    /// `receiver`, `processor` or `sweeper`.
    pub function: String,
    /// As in the list.
    pub action: String,
}
