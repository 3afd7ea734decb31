//! Where routes are read from: the processor's environment, or a file.
//!
//! ```text
//! deployed   GetFunctionConfiguration → ROUTES and what handlers are given, as they are
//! a file     what the deployment will add is filled in, as Terraform adds it:
//!            `secret_id` of `forward`, a mirror table, a bus, a bucket;
//!            the queues are the stack file's, where one is known
//! ```

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::EnvironmentResponse;
use inbox_aws::describe;
use inbox_core::stack::stack;
use inbox_processor::config::split;
use inbox_processor::routes::{Routes, Surroundings};

use crate::context::Context;
use crate::deployment::Deployment;
use crate::fault::{Fault, NO_ENVIRONMENT};

/// The processor's variables that name the inbox's own queues, which no route may send to.
pub(super) const OWN_QUEUES: [&str; 3] = ["QUEUE_URL", "LANE_QUEUE_URL", "DLQ_URL"];

/// The environment of the deployed processor, as far as routes go.
pub(in crate::commands) struct Environment(HashMap<String, String>);

impl Environment {
    /// A variable that is set to something.
    pub(in crate::commands) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What it gives handlers beside the routes.
    pub(in crate::commands) fn surroundings(&self) -> Surroundings {
        let given = |name: &str| self.get(name).map(str::to_owned);
        Surroundings {
            mirror_table: given("MIRROR_TABLE_NAME"),
            event_bus: given("EVENT_BUS_NAME"),
            payload_bucket: given("PAYLOAD_BUCKET"),
            own_queues: OWN_QUEUES.into_iter().filter_map(given).collect(),
            sources: split(self.get("SOURCES")),
            handler_timeout: handler_timeout(self.get("HANDLER_TIMEOUT_SECONDS")),
        }
    }

    /// Its routes, or what keeps it from reading them.
    pub(in crate::commands) fn routes(&self) -> Result<Routes, Vec<String>> {
        Routes::of_deployed(self.get("ROUTES"), &self.surroundings())
    }
}

/// A file's routes as the processor will read them once they are deployed; nothing is
/// called.
pub(in crate::commands) fn parse(
    text: &str,
    deployment: &Deployment,
) -> Result<Routes, Vec<String>> {
    let own_queues = [&deployment.queue_url, &deployment.lane_url, &deployment.dlq_url];
    let own_queues = own_queues.into_iter().flatten().cloned().collect();
    let surroundings = Surroundings {
        sources: deployment.sources.keys().cloned().collect(),
        ..Surroundings::complete(own_queues)
    };
    Routes::of_undeployed(text, &surroundings, |route| {
        deployment.forward_secrets.get(route).map(|secret| secret.secret_id.clone())
    })
}

/// As the processor reads it.
pub(super) fn handler_timeout(set: Option<&str>) -> Duration {
    let set = set.and_then(|text| text.trim().parse().ok());
    Duration::from_secs(set.unwrap_or(stack().defaults.handler_timeout_seconds.into()))
}

/// AWS for a forwarding secret or a route's target, which may be in another region: where
/// the processor asks for it.
///
/// # Errors
///
/// No region is configured.
pub(in crate::commands) async fn aws_for(
    context: &Context,
    target: &str,
) -> Result<SdkConfig, Fault> {
    let aws = context.aws().await?.clone();
    Ok(Surroundings::complete(Vec::new()).resources(aws).aws_for(target))
}

/// A file's text, or standard input's.
pub(in crate::commands) fn read(file: &Path) -> Result<String, Fault> {
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
/// As [`environment`].
pub(in crate::commands) async fn fetch(
    context: &Context,
) -> Result<Result<Routes, Vec<String>>, Fault> {
    Ok(environment(context).await?.routes())
}

/// The deployed processor's environment.
///
/// # Errors
///
/// The processor is not named, or its environment is not told: without it, the routes
/// would seem to be those of a processor that was given none.
pub(in crate::commands) async fn environment(context: &Context) -> Result<Environment, Fault> {
    let function = context.deployment.functions.get("processor").ok_or_else(|| {
        Fault::usage(
            "the stack file does not name the processor (functions.processor)",
            "give --stack FILE of a deployment",
        )
    })?;
    let client = Client::new(context.aws().await?);
    let asked = client.get_function_configuration().function_name(function);
    let answer = asked.set_qualifier(context.function_alias()).send().await;
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
    Ok(Environment(environment.variables.unwrap_or_default()))
}

/// That the routes keep the processor from starting.
pub(in crate::commands) fn unusable(problems: &[String]) -> Fault {
    Fault::refused(
        format!("the routes cannot be used: {}", problems.join("; ")),
        "`inbox routes check FILE` says so of a file before it is deployed",
    )
}
