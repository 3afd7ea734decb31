//! What a local stack's resources are called, and its functions with their environments.
//!
//! The resources carry the same names in every stack: each has its own emulator.

use std::collections::BTreeMap;
use std::path::Path;

use inbox_core::stack::Stack;

use crate::LocalError;
use crate::emulator::{ACCOUNT_ID, REGION};
use crate::functions::{ControlPlane, Function};
use crate::options::{Binaries, SourceOptions, StackOptions};
use crate::permissions::Permissions;
use crate::resources::Queues;

/// The module's variable `name`; everything is called as the module calls it.
pub(crate) const NAME: &str = "webhook-inbox";
pub(crate) const TABLE: &str = NAME;
pub(crate) const EVENT_BUS: &str = NAME;
pub(crate) const MIRROR_TABLE: &str = "webhook-inbox-mirror";
pub(crate) const QUEUE: &str = "webhook-inbox-events";
/// The user who has the operator's policies.
pub(crate) const OPERATOR: &str = "webhook-inbox-operator";
pub(crate) const PROCESSOR: &str = "processor";
pub(crate) const SWEEPER: &str = "sweeper";

pub(crate) fn secret_id(source: &SourceOptions) -> String {
    format!("webhook-inbox/{}", source.name)
}

/// What a receiver is: how its role, its log and the facts file name it.
pub(crate) fn receiver_of(source: &SourceOptions) -> String {
    format!("receiver-{}", source.name)
}

/// What a function is called in Lambda.
pub(crate) fn function_name(function: &str) -> String {
    format!("{NAME}-{function}")
}

/// Where an inbox of this name keeps large payloads.
pub(crate) fn payload_bucket(name: &str) -> String {
    format!("{name}-payloads-{ACCOUNT_ID}-{REGION}")
}

/// What every function is made from.
pub(crate) struct Functions<'a> {
    pub(crate) options: &'a StackOptions,
    pub(crate) binaries: &'a Binaries,
    pub(crate) facts: &'a Stack,
    pub(crate) queues: &'a Queues,
    pub(crate) public_base_url: &'a str,
    pub(crate) logs: &'a Path,
    pub(crate) endpoint_url: &'a str,
    pub(crate) permissions: &'a Permissions,
}

impl Functions<'_> {
    /// Makes all of them and the API in front, and returns the ids of the API and
    /// of the processor's event source mapping.
    pub(crate) async fn create(
        &self,
        control: &ControlPlane,
    ) -> Result<(String, String), LocalError> {
        let mut routes = Vec::new();
        for source in &self.options.sources {
            control.create_function(&self.receiver(source)?).await?;
            let function = function_name(&receiver_of(source));
            routes.push((format!("/webhooks/{}", source.name), function));
        }
        control.create_function(&self.processor()?).await?;
        control.create_function(&self.sweeper()?).await?;
        let mapping = &self.facts.event_source_mapping;
        let concurrency = self.options.processor_concurrency;
        let processor = function_name(PROCESSOR);
        let mapping = control
            .create_event_source_mapping(&self.queues.queue_arn, &processor, mapping, concurrency)
            .await?;
        let (lane, facts) = (&self.queues.lane_arn, &self.facts.event_source_mapping);
        let concurrency = concurrency.min(self.facts.lane.maximum_concurrency);
        control.create_event_source_mapping(lane, &processor, facts, concurrency).await?;
        Ok((control.create_http_api(&routes).await?, mapping))
    }

    fn receiver(&self, source: &SourceOptions) -> Result<Function, LocalError> {
        let mut environment = self.common_environment("receiver");
        environment.extend(variables([
            ("SOURCE", source.name.clone()),
            ("PROVIDER", source.provider.clone()),
            ("SECRET_ID", secret_id(source)),
            ("PUBLIC_BASE_URL", self.public_base_url.to_owned()),
            ("PAYLOAD_BUCKET", payload_bucket(NAME)),
        ]));
        environment.extend(source.environment.clone());
        self.function(
            &receiver_of(source),
            &self.binaries.receiver,
            environment,
            self.facts.receiver,
        )
    }

    fn processor(&self) -> Result<Function, LocalError> {
        let delays: Vec<String> =
            self.options.retry_delays_seconds.iter().map(ToString::to_string).collect();
        let mut environment = self.common_environment(PROCESSOR);
        environment.extend(variables([
            ("DLQ_URL", self.queues.dlq_url.clone()),
            ("LANE_QUEUE_URL", self.queues.lane_url.clone()),
            ("MIRROR_TABLE_NAME", MIRROR_TABLE.to_owned()),
            ("PAYLOAD_BUCKET", payload_bucket(NAME)),
            ("EVENT_BUS_NAME", EVENT_BUS.to_owned()),
            ("ROUTES", self.options.routes.to_string()),
            ("SOURCES", self.source_names().join(",")),
            ("RETRY_DELAYS_SECONDS", delays.join(",")),
            ("PARK_ABOVE_SECONDS", self.options.park_above_seconds.to_string()),
            ("HANDLER_TIMEOUT_SECONDS", self.options.handler_timeout_seconds.to_string()),
        ]));
        environment.extend(self.options.processor_environment.clone());
        self.function(PROCESSOR, &self.binaries.processor, environment, self.facts.processor)
    }

    fn source_names(&self) -> Vec<&str> {
        self.options.sources.iter().map(|source| source.name.as_str()).collect()
    }

    fn sweeper(&self) -> Result<Function, LocalError> {
        let mut environment = self.common_environment(SWEEPER);
        environment.insert("PAYLOAD_BUCKET".to_owned(), payload_bucket(NAME));
        environment.extend(self.options.sweeper_environment.clone());
        let facts = self.facts.sweeper.function();
        self.function(SWEEPER, &self.binaries.sweeper, environment, facts)
    }

    fn function(
        &self,
        is: &str,
        binary: &Path,
        environment: BTreeMap<String, String>,
        facts: inbox_core::stack::Function,
    ) -> Result<Function, LocalError> {
        Ok(Function {
            name: function_name(is),
            role: self.permissions.role(is)?.name.clone(),
            binary: binary.to_path_buf(),
            log_file: self.logs.join(format!("{is}.log")),
            environment,
            facts,
        })
    }

    /// The emulator adds region, credentials and Lambda's own variables.
    fn common_environment(&self, function: &str) -> BTreeMap<String, String> {
        variables([
            ("TABLE_NAME", TABLE.to_owned()),
            ("QUEUE_URL", self.queues.queue_url.clone()),
            ("SWEEP_GRACE_SECONDS", self.options.sweep_grace_seconds.to_string()),
            ("AWS_ENDPOINT_URL", self.endpoint_url.to_owned()),
            // So that a call tells whose it is.
            ("AWS_SDK_UA_APP_ID", function.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ])
        .into_iter()
        .collect()
    }
}

fn variables<const N: usize>(pairs: [(&str, String); N]) -> [(String, String); N] {
    pairs.map(|(name, value)| (name.to_owned(), value))
}
