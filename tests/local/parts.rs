//! What a local stack's resources are called, and its functions with their environments.
//!
//! The resources carry the same names in every stack: each has its own emulator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use inbox_core::stack::Stack;

use crate::LocalError;
use crate::functions::{ControlPlane, Function};
use crate::options::{Binaries, SourceOptions, StackOptions};
use crate::resources::Queues;

pub(crate) const TABLE: &str = "webhook-inbox";
pub(crate) const PAYLOAD_BUCKET: &str = "webhook-inbox-payloads";
pub(crate) const EVENT_BUS: &str = "webhook-inbox";
pub(crate) const MIRROR_TABLE: &str = "webhook-inbox-mirror";
pub(crate) const QUEUE: &str = "webhook-inbox-events";
pub(crate) const PROCESSOR: &str = "processor";
pub(crate) const SWEEPER: &str = "sweeper";

pub(crate) fn secret_id(source: &SourceOptions) -> String {
    format!("webhook-inbox/{}", source.name)
}

pub(crate) fn receiver_name(source: &SourceOptions) -> String {
    format!("receiver-{}", source.name)
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
            control.create_function(&self.receiver(source)).await?;
            routes.push((format!("/webhooks/{}", source.name), receiver_name(source)));
        }
        control.create_function(&self.processor()).await?;
        control.create_function(&self.sweeper()).await?;
        let mapping = &self.facts.event_source_mapping;
        let concurrency = self.options.processor_concurrency;
        let mapping = control
            .create_event_source_mapping(&self.queues.queue_arn, PROCESSOR, mapping, concurrency)
            .await?;
        let (lane, facts) = (&self.queues.lane_arn, &self.facts.event_source_mapping);
        let concurrency = concurrency.min(self.facts.lane.maximum_concurrency);
        control.create_event_source_mapping(lane, PROCESSOR, facts, concurrency).await?;
        Ok((control.create_http_api(&routes).await?, mapping))
    }

    fn receiver(&self, source: &SourceOptions) -> Function {
        let mut environment = self.common_environment("receiver");
        environment.extend(variables([
            ("SOURCE", source.name.clone()),
            ("PROVIDER", source.provider.clone()),
            ("SECRET_ID", secret_id(source)),
            ("PUBLIC_BASE_URL", self.public_base_url.to_owned()),
            ("PAYLOAD_BUCKET", PAYLOAD_BUCKET.to_owned()),
        ]));
        environment.extend(source.environment.clone());
        Function {
            name: receiver_name(source),
            binary: self.binaries.receiver.clone(),
            log_file: self.log_file(&receiver_name(source)),
            environment,
            facts: self.facts.receiver,
        }
    }

    fn processor(&self) -> Function {
        let delays: Vec<String> =
            self.options.retry_delays_seconds.iter().map(ToString::to_string).collect();
        let mut environment = self.common_environment(PROCESSOR);
        environment.extend(variables([
            ("DLQ_URL", self.queues.dlq_url.clone()),
            ("LANE_QUEUE_URL", self.queues.lane_url.clone()),
            ("MIRROR_TABLE_NAME", MIRROR_TABLE.to_owned()),
            ("PAYLOAD_BUCKET", PAYLOAD_BUCKET.to_owned()),
            ("EVENT_BUS_NAME", EVENT_BUS.to_owned()),
            ("ROUTES", self.options.routes.to_string()),
            ("RETRY_DELAYS_SECONDS", delays.join(",")),
            ("PARK_ABOVE_SECONDS", self.options.park_above_seconds.to_string()),
            ("HANDLER_TIMEOUT_SECONDS", self.options.handler_timeout_seconds.to_string()),
        ]));
        environment.extend(self.options.processor_environment.clone());
        Function {
            name: PROCESSOR.to_owned(),
            binary: self.binaries.processor.clone(),
            log_file: self.log_file(PROCESSOR),
            environment,
            facts: self.facts.processor,
        }
    }

    fn sweeper(&self) -> Function {
        let mut environment = self.common_environment(SWEEPER);
        environment.extend(self.options.sweeper_environment.clone());
        Function {
            name: SWEEPER.to_owned(),
            binary: self.binaries.sweeper.clone(),
            log_file: self.log_file(SWEEPER),
            environment,
            facts: self.facts.sweeper.function(),
        }
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

    fn log_file(&self, function: &str) -> PathBuf {
        self.logs.join(format!("{function}.log"))
    }
}

fn variables<const N: usize>(pairs: [(&str, String); N]) -> [(String, String); N] {
    pairs.map(|(name, value)| (name.to_owned(), value))
}
