//! Lambda functions and the HTTP API, by the services' REST calls.
//!
//! Plain requests rather than two more SDK crates, which would cost minutes of
//! compile time. The emulator reads of root's signature only its credential scope.
//!
//! A function's zip holds a two-line `bootstrap` that becomes the real binary:
//! nothing big is copied, a rebuilt binary is used at the next cold start, and
//! the output goes to a file that a developer can follow.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::LocalError;
use crate::access::AccessKey;
use crate::emulator::{ACCOUNT_ID, REGION};
use crate::http_client;
use inbox_core::stack::EventSourceMapping;

/// A function to be made.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The name of the role that it runs under.
    pub role: String,
    /// The real binary.
    pub binary: PathBuf,
    /// Standard output and standard error are appended here.
    pub log_file: PathBuf,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Size and time limit.
    pub facts: inbox_core::stack::Function,
}

/// A function that the emulator runs by an interpreter: somebody's subscriber.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// The name of the role that it runs under.
    pub role: String,
    /// `python3.12`, `nodejs20.x`; the interpreter is this machine's own.
    pub runtime: &'static str,
    /// `subscriber.handler`
    pub handler: &'static str,
    /// The files of its zip, by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Its time limit.
    pub timeout_seconds: u32,
}

/// Calls Lambda and API Gateway at one endpoint.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    endpoint_url: String,
}

impl ControlPlane {
    /// For the emulator at `endpoint_url`.
    #[must_use]
    pub fn new(endpoint_url: &str) -> Self {
        Self { endpoint_url: endpoint_url.to_owned() }
    }

    /// Makes a function.
    pub async fn create_function(&self, function: &Function) -> Result<(), LocalError> {
        let zip = bootstrap_zip(&function.binary, &function.log_file)?;
        self.post(
            "lambda",
            "/2015-03-31/functions",
            &json!({
                "FunctionName": function.name,
                "Runtime": "provided.al2023",
                "Handler": "bootstrap",
                "Role": role_arn(&function.role),
                "Code": { "ZipFile": STANDARD.encode(zip) },
                "MemorySize": function.facts.memory_mb,
                "Timeout": function.facts.timeout_seconds,
                "Environment": { "Variables": function.environment },
            }),
        )
        .await?;
        Ok(())
    }

    /// Makes a function of a script, and returns its ARN.
    pub async fn create_script(&self, script: &Script) -> Result<String, LocalError> {
        let files = script.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        let made = self
            .post(
                "lambda",
                "/2015-03-31/functions",
                &json!({
                    "FunctionName": script.name,
                    "Runtime": script.runtime,
                    "Handler": script.handler,
                    "Role": role_arn(&script.role),
                    "Code": { "ZipFile": STANDARD.encode(zip_of(files)?) },
                    "Timeout": script.timeout_seconds,
                    "Environment": { "Variables": script.environment },
                }),
            )
            .await?;
        field(&made, "FunctionArn")
    }

    /// Connects a queue to a function, with partial batch failures reported, and
    /// returns the mapping's id.
    pub async fn create_event_source_mapping(
        &self,
        queue_arn: &str,
        function: &str,
        facts: &EventSourceMapping,
        concurrency: u32,
    ) -> Result<String, LocalError> {
        let mapping = self
            .post(
                "lambda",
                "/2015-03-31/event-source-mappings/",
                &json!({
                    "EventSourceArn": queue_arn,
                    "FunctionName": function,
                    "BatchSize": facts.batch_size,
                    "MaximumBatchingWindowInSeconds": facts.batching_window_seconds,
                    "ScalingConfig": { "MaximumConcurrency": concurrency },
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                }),
            )
            .await?;
        field(&mapping, "UUID")
    }

    /// Has a mapping read its queue, or not. Batches under way are not recalled.
    pub async fn enable_event_source_mapping(
        &self,
        mapping: &str,
        enabled: bool,
    ) -> Result<(), LocalError> {
        let path = format!("/2015-03-31/event-source-mappings/{mapping}");
        let response = self.send("PUT", "lambda", &path, &json!({ "Enabled": enabled })).await?;
        accepted(format!("PUT {path}"), response)?;
        Ok(())
    }

    /// A function's environment.
    pub async fn variables(&self, function: &str) -> Result<Value, LocalError> {
        let path = format!("/2015-03-31/functions/{function}/configuration");
        let response = self.send("GET", "lambda", &path, &Value::Null).await?;
        let held: Value = serde_json::from_slice(&accepted(format!("GET {path}"), response)?)
            .map_err(LocalError::call(format!("read {path}")))?;
        Ok(held["Environment"]["Variables"].clone())
    }

    /// Sets one variable of a function's environment; processes that run already end.
    pub async fn set_variable(
        &self,
        function: &str,
        name: &str,
        value: &str,
    ) -> Result<(), LocalError> {
        let mut variables = self.variables(function).await?;
        variables[name] = value.into();
        let path = format!("/2015-03-31/functions/{function}/configuration");
        let change = json!({ "Environment": { "Variables": variables } });
        let response = self.send("PUT", "lambda", &path, &change).await?;
        accepted(format!("PUT {path}"), response)?;
        Ok(())
    }

    /// Invokes a function and waits for its answer; a function error is an error.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Bytes, LocalError> {
        let what = format!("invoke {function}");
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let response = self.send("POST", "lambda", &path, event).await?;
        if response.status().is_success()
            && !response.headers().contains_key("x-amz-function-error")
        {
            return Ok(response.into_body());
        }
        Err(LocalError::Call {
            what,
            reason: String::from_utf8_lossy(response.body()).into_owned(),
        })
    }

    /// Makes the HTTP API, with a route for each source, and returns its id.
    ///
    /// `ANY`, so that a wrong method gets the receiver's answer.
    pub async fn create_http_api(&self, routes: &[(String, String)]) -> Result<String, LocalError> {
        let api = self
            .post(
                "apigateway",
                "/v2/apis",
                &json!({ "name": "webhook-inbox", "protocolType": "HTTP" }),
            )
            .await?;
        let api = field(&api, "apiId")?;
        for (route, function) in routes {
            let integration = self
                .post(
                    "apigateway",
                    &format!("/v2/apis/{api}/integrations"),
                    &json!({
                        "integrationType": "AWS_PROXY",
                        "integrationUri": format!(
                            "arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function}"
                        ),
                        "payloadFormatVersion": "2.0",
                    }),
                )
                .await?;
            let integration = field(&integration, "integrationId")?;
            self.post(
                "apigateway",
                &format!("/v2/apis/{api}/routes"),
                &json!({
                    "routeKey": format!("ANY {route}"),
                    "target": format!("integrations/{integration}"),
                }),
            )
            .await?;
        }
        self.post(
            "apigateway",
            &format!("/v2/apis/{api}/stages"),
            &json!({ "stageName": "$default", "autoDeploy": true }),
        )
        .await?;
        Ok(api)
    }

    async fn post(&self, service: &str, path: &str, body: &Value) -> Result<Value, LocalError> {
        let what = format!("POST {path}");
        let response = self.send("POST", service, path, body).await?;
        let answer = accepted(what.clone(), response)?;
        serde_json::from_slice(&answer).map_err(LocalError::call(what))
    }

    async fn send(
        &self,
        method: &str,
        service: &str,
        path: &str,
        body: &Value,
    ) -> Result<http::Response<Bytes>, LocalError> {
        let scope = AccessKey::root().unsigned(service);
        let headers = [("content-type", "application/json"), ("authorization", scope.as_str())];
        let url = format!("{}{path}", self.endpoint_url);
        http_client::send(http_client::build(method, &url, &headers, body.to_string().into())?)
            .await
    }
}

fn accepted(what: String, response: http::Response<Bytes>) -> Result<Bytes, LocalError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response.into_body());
    }
    let reason = format!("{status}: {}", String::from_utf8_lossy(response.body()));
    Err(LocalError::Call { what, reason })
}

/// The path prefix under which the emulator serves an API's `$default` stage.
#[must_use]
pub fn http_api_path(api: &str) -> String {
    format!("/_aws/execute-api/{api}/$default")
}

fn role_arn(role: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT_ID}:role/{role}")
}

fn field(value: &Value, name: &str) -> Result<String, LocalError> {
    value[name].as_str().map(ToOwned::to_owned).ok_or_else(|| LocalError::Call {
        what: "set up the HTTP API".to_owned(),
        reason: format!("the answer has no {name}"),
    })
}

fn bootstrap_zip(binary: &Path, log_file: &Path) -> Result<Vec<u8>, LocalError> {
    let script = format!("#!/bin/sh\nexec {} >>{} 2>&1\n", quoted(binary), quoted(log_file));
    zip_of([("bootstrap", script.as_bytes())])
}

pub(crate) fn zip_of<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Vec<u8>, LocalError> {
    let what = "pack a function";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .unix_permissions(0o755);
    for (name, bytes) in files {
        zip.start_file(name, options).map_err(LocalError::call(what))?;
        zip.write_all(bytes).map_err(LocalError::io(what))?;
    }
    Ok(zip.finish().map_err(LocalError::call(what))?.into_inner())
}

/// For a shell: whatever a directory may be called.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_the_shell() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
