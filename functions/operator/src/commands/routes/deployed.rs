//! Where routes are read from: the processor's environment, or a file.
//!
//! ```text
//! deployed   GetFunctionConfiguration → ROUTES and what handlers are given, as they are
//! a file     what the deployment will add is filled in, as Terraform adds it:
//!            `secret_id` of `forward`, a mirror table, a bus, a bucket;
//!            the queues are the stack file's, where one is known
//! ```

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::EnvironmentResponse;
use inbox_aws::{S3PayloadStore, describe};
use inbox_core::Timestamp;
use inbox_core::stack::stack;
use inbox_processor::config::longest_handler_seconds;
use inbox_processor::handlers::{HttpClients, Resources};
use inbox_processor::routes::{Route, Routes};
use serde_json::{Value, json};

use crate::context::Context;
use crate::deployment::Deployment;
use crate::fault::{Fault, NO_ENVIRONMENT};

/// The handler whose routes sign what they send.
const FORWARD: &str = "forward";
const SECRET_ID: &str = "secret_id";

/// What the processor's environment gives its handlers beside the routes.
#[derive(Default)]
struct Surroundings {
    mirror_table: Option<String>,
    event_bus: Option<String>,
    payload_bucket: Option<String>,
    own_queues: Vec<String>,
    handler_timeout: Duration,
}

impl Surroundings {
    /// As deployed by Terraform with all that there is: nobody knows better of a file.
    fn complete(deployment: &Deployment) -> Self {
        let some = || Some("deployed".to_owned());
        let own_queues = [&deployment.queue_url, &deployment.dlq_url];
        Self {
            mirror_table: some(),
            event_bus: some(),
            payload_bucket: some(),
            own_queues: own_queues.into_iter().flatten().cloned().collect(),
            // What is set beside the routes cannot be seen in them: the most there can be.
            handler_timeout: Duration::from_secs(longest_handler_seconds().into()),
        }
    }
}

/// A file's routes as the processor will read them once they are deployed; nothing is
/// called.
pub(super) fn parse(text: &str, deployment: &Deployment) -> Result<Routes, Vec<String>> {
    let filled = with_secrets(text, deployment);
    let text = filled.as_deref().unwrap_or(text);
    read_as_processor(Some(text), &Surroundings::complete(deployment))
}

/// The routes with a secret for each that forwards and names none: the deployed one's,
/// or a name as Terraform will make it. `None` where every route has one, so that words
/// about the text still speak of its own lines.
fn with_secrets(text: &str, deployment: &Deployment) -> Option<String> {
    let mut routes: Value = serde_json::from_str(text).ok()?;
    let mut is_filled = false;
    for route in routes.as_array_mut()? {
        if route["handler"] != FORWARD {
            continue;
        }
        let id = route["id"].as_str().unwrap_or_default().to_owned();
        let made = deployment.forward_secrets.get(&id).map(|secret| secret.secret_id.clone());
        let Some(with) = route.get_mut("with").and_then(Value::as_object_mut) else { continue };
        if !with.contains_key(SECRET_ID) {
            let name = made.unwrap_or_else(|| format!("…/forward/{id}"));
            with.insert(SECRET_ID.to_owned(), json!(name));
            is_filled = true;
        }
    }
    is_filled.then(|| routes.to_string())
}

fn read_as_processor(
    text: Option<&str>,
    surroundings: &Surroundings,
) -> Result<Routes, Vec<String>> {
    // Clients are made, and none of them is used.
    let aws = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    Routes::parse(text, &resources(aws, surroundings))
}

/// As the processor reads it.
fn handler_timeout(set: Option<&str>) -> Duration {
    let set = set.and_then(|text| text.trim().parse().ok());
    Duration::from_secs(set.unwrap_or(stack().defaults.handler_timeout_seconds.into()))
}

fn resources(aws: SdkConfig, surroundings: &Surroundings) -> Resources {
    let bucket = surroundings.payload_bucket.clone();
    Resources {
        mirror_table: surroundings.mirror_table.clone(),
        event_bus: surroundings.event_bus.clone(),
        payloads: bucket.map(|bucket| S3PayloadStore::new(&aws, bucket)),
        handler_timeout: surroundings.handler_timeout,
        own_queues: surroundings.own_queues.clone(),
        clock: Arc::new(Timestamp::now),
        http: HttpClients::default(),
        aws,
    }
}

/// AWS for a forwarding secret, which may be in another region: where the processor asks
/// for it.
///
/// # Errors
///
/// No region is configured.
pub(in crate::commands) async fn aws_for(
    context: &Context,
    secret_id: &str,
) -> Result<SdkConfig, Fault> {
    let aws = context.aws().await?.clone();
    Ok(resources(aws, &Surroundings::default()).aws_for(secret_id))
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

/// The deployed processor's routes, or what keeps it from reading them.
///
/// # Errors
///
/// The processor is not named, or its environment is not told: without it, the routes
/// would seem to be those of a processor that was given none.
pub(in crate::commands) async fn fetch(
    context: &Context,
) -> Result<Result<Routes, Vec<String>>, Fault> {
    let function = context.deployment.functions.get("processor").ok_or_else(|| {
        Fault::usage(
            "the stack file does not name the processor (functions.processor)",
            "give --stack FILE of a deployment",
        )
    })?;
    let client = Client::new(context.aws().await?);
    let answer = client.get_function_configuration().function_name(function).send().await;
    let held =
        answer.map_err(|error| Fault::unavailable(describe("GetFunctionConfiguration", &error)))?;
    let environment = held.environment.unwrap_or_else(|| EnvironmentResponse::builder().build());
    // The call succeeds all the same where the key says no.
    // https://docs.aws.amazon.com/lambda/latest/api/API_EnvironmentResponse.html
    if let Some(error) = environment.error() {
        let code = error.error_code().unwrap_or("no code");
        let message = error.message().unwrap_or("no message");
        return Err(Fault::unavailable(format!(
            "{NO_ENVIRONMENT} of {function}: {code}: {message}"
        )));
    }
    let variables = environment.variables.unwrap_or_default();
    let given = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
    let surroundings = Surroundings {
        mirror_table: given("MIRROR_TABLE_NAME"),
        event_bus: given("EVENT_BUS_NAME"),
        payload_bucket: given("PAYLOAD_BUCKET"),
        own_queues: ["QUEUE_URL", "DLQ_URL"].into_iter().filter_map(given).collect(),
        handler_timeout: handler_timeout(given("HANDLER_TIMEOUT_SECONDS").as_deref()),
    };
    Ok(read_as_processor(given("ROUTES").as_deref(), &surroundings))
}

/// That the routes keep the processor from starting.
pub(in crate::commands) fn unusable(problems: &[String]) -> Fault {
    Fault::refused(
        format!("the routes cannot be used: {}", problems.join("; ")),
        "`inbox routes check FILE` says so of a file before it is deployed",
    )
}

/// The routes that forward, each with name or ARN of the secret that it signs with.
pub(in crate::commands) fn forwarding(routes: &Routes) -> impl Iterator<Item = (&Route, &str)> {
    let forwards = routes.iter().filter(|route| route.handler_name == FORWARD);
    forwards.filter_map(|route| Some((route, route.with[SECRET_ID].as_str()?)))
}
