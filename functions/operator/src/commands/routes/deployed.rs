//! Where routes are read from: the processor's configuration, or a file.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_lambda::Client;
use inbox_aws::{S3PayloadStore, describe};
use inbox_core::Timestamp;
use inbox_processor::handlers::Resources;
use inbox_processor::routes::Routes;

use crate::context::Context;
use crate::fault::Fault;

/// What the processor's environment gives its handlers beside the routes.
pub(super) struct Surroundings {
    mirror_table: Option<String>,
    event_bus: Option<String>,
    payload_bucket: Option<String>,
    own_queues: Vec<String>,
}

impl Surroundings {
    /// As deployed by Terraform with all that there is: nobody knows better of a file.
    pub(super) fn complete() -> Self {
        let some = || Some("deployed".to_owned());
        Self {
            mirror_table: some(),
            event_bus: some(),
            payload_bucket: some(),
            own_queues: Vec::new(),
        }
    }
}

/// Reads the routes as the processor does at its start; nothing is called.
pub(super) fn parse(text: &str, surroundings: &Surroundings) -> Result<Routes, Vec<String>> {
    read_as_processor(Some(text), surroundings)
}

fn read_as_processor(
    text: Option<&str>,
    surroundings: &Surroundings,
) -> Result<Routes, Vec<String>> {
    // Clients are made, and none of them is used.
    let aws = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    let bucket = surroundings.payload_bucket.clone();
    let resources = Resources {
        mirror_table: surroundings.mirror_table.clone(),
        event_bus: surroundings.event_bus.clone(),
        payloads: bucket.map(|bucket| S3PayloadStore::new(&aws, bucket)),
        own_queues: surroundings.own_queues.clone(),
        clock: Arc::new(Timestamp::now),
        aws,
    };
    Routes::parse(text, &resources)
}

/// A file's text, or standard input's.
pub(super) fn read(file: &Path) -> Result<String, Fault> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|fault| Fault::io("cannot read standard input", &fault))?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
        .map_err(|fault| Fault::io(format!("cannot read {}", file.display()), &fault))
}

/// The deployed processor's routes.
pub(super) async fn fetch(context: &Context) -> Result<Result<Routes, Vec<String>>, Fault> {
    let function = context.deployment.functions.get("processor").ok_or_else(|| {
        Fault::usage(
            "the stack file does not name the processor (functions.processor)",
            "give --stack FILE of a deployment, or --routes FILE",
        )
    })?;
    let client = Client::new(context.aws().await?);
    let answer = client.get_function_configuration().function_name(function).send().await;
    let held =
        answer.map_err(|error| Fault::unavailable(describe("GetFunctionConfiguration", &error)))?;
    let environment = held.environment.and_then(|it| it.variables).unwrap_or_default();
    let given = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let surroundings = Surroundings {
        mirror_table: given("MIRROR_TABLE_NAME"),
        event_bus: given("EVENT_BUS_NAME"),
        payload_bucket: given("PAYLOAD_BUCKET"),
        own_queues: ["QUEUE_URL", "DLQ_URL"].into_iter().filter_map(given).collect(),
    };
    Ok(read_as_processor(given("ROUTES").as_deref(), &surroundings))
}
