//! The whole local stack: brought up, described, taken down.
//!
//! ```text
//! bind the front door ─▶ emulator ─▶ tables, queues, secrets ─▶ roles and policies
//!   (a taken port is       │                                        ▼
//!    known at once)        └─ ends with this process        functions ─▶ API
//!                                                                         ▼
//!                                 sweeper's clock ◀── facts file ◀── front door
//! ```
//!
//! Functions run under the roles of `infra/modules/inbox`, and who operates the stack is
//! a user with its operator policies: what they do not allow is denied.
//!
//! The resources carry the same names in every stack: each has its own emulator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::description::{SourceDescription, StackDescription};
use crate::emulator::{Emulator, REGION};
use crate::forward_secrets::{self, ForwardSecret};
use crate::functions::{ControlPlane, http_api_path};
use crate::iam::Iam;
use crate::options::{self, Binaries, SourceOptions, StackOptions};
use crate::parts::{
    EVENT_BUS, Functions, MIRROR_TABLE, NAME, OPERATOR, PROCESSOR, QUEUE, SWEEPER, TABLE,
    function_name, payload_bucket, receiver_of, secret_id,
};
use crate::permissions::{Inbox, Permissions, Source};
use crate::proxy::Proxy;
use crate::resources::{self, QueueOverrides, Queues};
use crate::watch::Watch;
use crate::{LocalError, enforcement, private, server};
use inbox_aws::{DynamoDbLedger, S3PayloadStore};
use inbox_core::stack::{Stack, stack};

/// Several times as long as the emulator's poller pauses between two looks.
const POLLER_PAUSE: Duration = Duration::from_millis(250);

/// A running local stack. [`LocalStack::stop`] ends it in order; dropping it ends
/// it too, blocking for the moment that takes.
#[derive(Debug)]
pub struct LocalStack {
    description: StackDescription,
    facts_file: Option<PathBuf>,
    control: ControlPlane,
    mapping: String,
    inbox: Inbox,
    permissions: Permissions,
    decisions: PathBuf,
    watch_logs: bool,
    sweeper_clock: Option<JoinHandle<()>>,
    _front_door: Proxy,
    function_proxy: Option<Proxy>,
    emulator: Option<Emulator>,
}

impl LocalStack {
    /// Brings a stack up. `progress` gets a line for each step that takes time.
    pub async fn start(
        mut options: StackOptions,
        progress: impl Fn(&str),
    ) -> Result<Self, LocalError> {
        // The module makes the same secrets for routes that name none.
        let routes = options.routes.clone();
        let forward_secrets = forward_secrets::give(&mut options.routes, options::random_bytes);
        let binaries = match &options.binaries {
            Some(binaries) => binaries.clone(),
            None => Binaries::locate()?,
        };
        let listener = server::listen(options.port).await?;
        let port =
            listener.local_addr().map_err(LocalError::io("read the front door's port"))?.port();
        let public_base_url = format!("http://127.0.0.1:{port}");
        let logs = options.directory.join("logs");
        empty_directory(&logs)?;

        progress("starting the emulator");
        let emulator = Emulator::start(&options.directory).await?;
        let endpoint_url = emulator.endpoint_url().to_owned();
        let function_proxy =
            if options.watch_functions { Some(Proxy::start(&endpoint_url).await?) } else { None };

        progress("creating tables, queues and secrets");
        let facts = stack().clone();
        let (queues, sources) =
            create_resources(&endpoint_url, &facts, &options, &forward_secrets).await?;

        progress("creating the module's roles and policies");
        let inbox = Inbox { name: NAME.to_owned(), sources, routes };
        let permissions = Permissions::of(&inbox)?;
        let operator =
            enforcement::create_principals(&endpoint_url, &permissions, OPERATOR).await?;
        let root = resources::sdk_config(&endpoint_url);
        enforcement::put_resource_policies(&root, &permissions).await?;

        progress("creating the functions and their routes");
        let functions = Functions {
            options: &options,
            binaries: &binaries,
            facts: &facts,
            queues: &queues,
            public_base_url: &public_base_url,
            logs: &logs,
            endpoint_url: function_proxy.as_ref().map_or(&endpoint_url, |p| p.url()),
            permissions: &permissions,
        };
        let control = ControlPlane::new(&endpoint_url);
        let (api, mapping) = functions.create(&control).await?;
        let front_door = Proxy::front_door(listener, &endpoint_url, &http_api_path(&api))?;

        let receivers = options.sources.iter().map(receiver_of);
        let described = |source: &SourceOptions| SourceDescription {
            provider: source.provider.clone(),
            secret_id: secret_id(source),
            url: format!("{public_base_url}/webhooks/{}", source.name),
        };
        let description = StackDescription {
            url: format!("{public_base_url}/webhooks"),
            sources: options
                .sources
                .iter()
                .map(|source| (source.name.clone(), described(source)))
                .collect(),
            functions: receivers
                .chain([PROCESSOR.to_owned(), SWEEPER.to_owned()])
                .map(|it| (it.clone(), function_name(&it)))
                .collect(),
            public_base_url,
            endpoint_url,
            operator,
            region: REGION.to_owned(),
            table: TABLE.to_owned(),
            mirror_table: MIRROR_TABLE.to_owned(),
            payload_bucket: payload_bucket(NAME),
            event_bus: EVENT_BUS.to_owned(),
            queue_url: queues.queue_url,
            lane_url: queues.lane_url,
            dlq_url: queues.dlq_url,
            secrets: options
                .sources
                .iter()
                .map(|source| (source.name.clone(), source.secrets.clone()))
                .collect(),
            forward_secrets,
            logs,
        };
        if let Some(file) = &options.facts_file {
            description.write(file)?;
        }
        let sweeper_clock = options
            .sweep_interval
            .map(|interval| tokio::spawn(sweep_every(interval, control.clone())));
        Ok(Self {
            description,
            facts_file: options.facts_file,
            control,
            mapping,
            inbox,
            permissions,
            decisions: emulator.decisions().to_path_buf(),
            watch_logs: options.watch_logs,
            sweeper_clock,
            _front_door: front_door,
            function_proxy,
            emulator: Some(emulator),
        })
    }

    /// Addresses, names and secrets.
    #[must_use]
    pub fn description(&self) -> &StackDescription {
        &self.description
    }

    /// The URL that a source's provider posts to.
    #[must_use]
    pub fn source_url(&self, source: &str) -> String {
        format!("{}/{source}", self.description.url)
    }

    /// Where the emulator writes what it decided: see [`crate::decisions`].
    #[must_use]
    pub fn decisions(&self) -> &Path {
        &self.decisions
    }

    /// The roles and policies that everything runs under.
    #[must_use]
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// SDK configuration for the emulator, as root.
    #[must_use]
    pub fn sdk_config(&self) -> aws_config::SdkConfig {
        resources::sdk_config(&self.description.endpoint_url)
    }

    /// The ledger, with a place for large payloads.
    #[must_use]
    pub fn ledger(&self) -> DynamoDbLedger {
        let aws = self.sdk_config();
        let payloads = S3PayloadStore::new(&aws, self.description.payload_bucket.clone());
        DynamoDbLedger::new(&aws, self.description.table.clone()).with_payloads(Some(payloads))
    }

    /// The proxy between functions and emulator, with
    /// [`StackOptions::watch_functions`].
    #[must_use]
    pub fn function_proxy(&self) -> Option<&Proxy> {
        self.function_proxy.as_ref()
    }

    /// Runs the sweeper once and waits for it.
    pub async fn sweep(&self) -> Result<(), LocalError> {
        self.control.invoke(&function_name(SWEEPER), &serde_json::json!({})).await?;
        Ok(())
    }

    /// Has the processor get messages, or not. Those that it has got already it
    /// keeps; when this returns, it gets no further ones.
    pub async fn feed_processor(&self, feed: bool) -> Result<(), LocalError> {
        self.control.enable_event_source_mapping(&self.mapping, feed).await?;
        // The emulator's poller may have looked just before it was told.
        tokio::time::sleep(POLLER_PAUSE).await;
        Ok(())
    }

    /// Gives the processor other routes, as a deployment of a fixed handler would. They
    /// go as they are: no secrets are made for them. The processor may reach what they
    /// name.
    pub async fn set_routes(&self, routes: &serde_json::Value) -> Result<(), LocalError> {
        let inbox = Inbox { routes: routes.clone(), ..self.inbox.clone() };
        let permissions = Permissions::of(&inbox)?;
        let iam = Iam::new(&self.description.endpoint_url);
        iam.put_policies(permissions.role(PROCESSOR)?).await?;
        let processor = function_name(PROCESSOR);
        self.control.set_variable(&processor, "ROUTES", &routes.to_string()).await
    }

    /// What a function has written so far: `receiver-{source}`, `processor`, `sweeper`.
    #[must_use]
    pub fn function_log(&self, function: &str) -> String {
        let file = self.description.logs.join(format!("{function}.log"));
        String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()
    }

    /// Waits, for ever as a rule, until the emulator is gone without being asked.
    pub async fn emulator_gone(&mut self) -> LocalError {
        loop {
            if let Some(emulator) = &mut self.emulator
                && let Some(status) = emulator.ended()
            {
                return LocalError::EmulatorGone { status, log_tail: emulator.log_tail() };
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Ends everything and waits until it is gone.
    pub async fn stop(mut self) {
        self.end_quietly();
        if let Some(emulator) = self.emulator.take() {
            emulator.stop().await;
        }
    }

    fn end_quietly(&mut self) {
        if let Some(clock) = self.sweeper_clock.take() {
            clock.abort();
        }
        if let Some(file) = self.facts_file.take() {
            let _ = std::fs::remove_file(file);
        }
    }

    fn check_logs(&self) {
        if self.watch_logs {
            Watch::of_this_run().look_through(&self.description.logs);
            Watch::of_this_run().check();
        }
    }
}

impl Drop for LocalStack {
    fn drop(&mut self) {
        self.end_quietly();
        self.check_logs();
    }
}

fn empty_directory(directory: &Path) -> Result<(), LocalError> {
    let _ = std::fs::remove_dir_all(directory);
    private::create_directory(directory)
}

async fn create_resources(
    endpoint_url: &str,
    facts: &Stack,
    options: &StackOptions,
    forward_secrets: &BTreeMap<String, ForwardSecret>,
) -> Result<(Queues, BTreeMap<String, Source>), LocalError> {
    let config = resources::sdk_config(endpoint_url);
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    resources::create_ledger_table(&dynamodb, facts, TABLE).await?;
    resources::create_mirror_table(&dynamodb, facts, MIRROR_TABLE).await?;
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let mut sources = BTreeMap::new();
    for source in &options.sources {
        let value = source.secret_value();
        let arn = resources::create_secret(&secrets, &secret_id(source), &value).await?;
        let provider = source.provider.clone();
        sources.insert(source.name.clone(), Source { provider, secret_arn: Some(arn) });
    }
    for secret in forward_secrets.values() {
        resources::create_secret(&secrets, &secret.secret_id, &secret.value()).await?;
    }
    let s3 = aws_sdk_s3::Client::new(&config);
    resources::create_payload_bucket(&s3, &payload_bucket(NAME)).await?;
    let eventbridge = aws_sdk_eventbridge::Client::new(&config);
    resources::create_event_bus(&eventbridge, EVENT_BUS).await?;
    let overrides = QueueOverrides {
        visibility_timeout_seconds: options.visibility_timeout_seconds,
        max_receive_count: options.max_receive_count,
    };
    let sqs = aws_sdk_sqs::Client::new(&config);
    Ok((resources::create_queues(&sqs, facts, QUEUE, overrides).await?, sources))
}

/// Stands for the schedule that runs the sweeper in the cloud. A sweep that fails
/// has said why in its log; the next one comes anyway.
async fn sweep_every(interval: Duration, control: ControlPlane) {
    loop {
        tokio::time::sleep(interval).await;
        let _ = control.invoke(&function_name(SWEEPER), &serde_json::json!({})).await;
    }
}

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
