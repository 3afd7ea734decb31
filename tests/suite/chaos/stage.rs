//! Tables, queues and functions behind the faults, and the hands of whoever drives them.
//!
//! The test is API Gateway, the queue's poller, the schedule and the clock: it hands
//! requests to the functions, and says when a lease is over and when an event is due.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::Message;
use inbox_aws::DynamoDbLedger;
use inbox_local::emulator::Emulator;
use inbox_local::microburst::Microburst;
use inbox_local::proxy::Proxy;
use inbox_local::resources::QueueOverrides;
use inbox_local::runtime_api::{FunctionHost, FunctionOptions};
use inbox_local::{Delivery, TestBed, paths, testbed};
use serde_json::{Value, json};

use super::journal::Journal;
use super::steps::MARKS;
use super::subject::{Source, routes, target_routes};
use crate::e2e::requests::gateway_event;
use crate::forward::endpoint::{Endpoint, says};

/// The address that providers are told to call.
pub(super) const BASE_URL: &str = "https://hooks.example.com";
/// As `infra/stack.json` has it for the processor.
pub(super) const DEADLINE: Duration = Duration::from_mins(1);
/// What the processor's settings come to: attempts in a life.
pub(super) const MAX_ATTEMPTS: u32 = 5;

/// Held by who uses a chain: two storms at once would be each other's slow machine.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The way to AWS: see the picture in [`super::journal`].
pub(super) struct Chain {
    emulator: &'static Emulator,
    pub(super) microburst: Microburst,
    pub(super) journal: Arc<Journal>,
    _back: Proxy,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Chain {
    pub(super) async fn new() -> Self {
        let turn = TURN.lock().await;
        let emulator = testbed::shared_emulator().await.expect("an emulator");
        let journal = Arc::new(Journal::default());
        let witness = Arc::clone(&journal);
        let back =
            Proxy::witnessed(emulator.endpoint_url(), Arc::new(move |call| witness.landed(call)));
        let back = back.await.expect("a proxy");
        let directory = directory("microburst");
        let microburst = Microburst::start(&directory, back.url()).await.expect("microburst");
        Self { emulator, microburst, journal, _back: back, _turn: turn }
    }
}

static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn directory(name: &str) -> PathBuf {
    let name = format!("{name}-{}", uuid::Uuid::new_v4().simple());
    testbed::directory(&name).expect("a directory")
}

/// One world.
pub(super) struct Stage {
    pub(super) bed: TestBed,
    pub(super) front: Proxy,
    pub(super) ledger: DynamoDbLedger,
    pub(super) sqs: aws_sdk_sqs::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    log_level: &'static str,
    directory: PathBuf,
    secrets: tokio::sync::Mutex<Vec<(Source, String)>>,
    target_routes: Vec<Value>,
    /// Takes what is forwarded.
    endpoint: Option<Endpoint>,
}

impl Stage {
    /// However chatty the functions are made, their logs are looked through at the end.
    pub(super) async fn new(chain: &Chain, log_level: &'static str) -> Self {
        // Who counts receives is the ledger; SQS itself would move messages away.
        let overrides =
            QueueOverrides { max_receive_count: Some(1000), ..QueueOverrides::default() };
        let bed = TestBed::on(chain.emulator, overrides).await.expect("tables and queues");
        Self {
            // The journal notes what there is to know; the calls themselves are too many.
            front: Proxy::witnessed(chain.microburst.url(), Arc::new(|_| {}))
                .await
                .expect("a proxy"),
            ledger: bed.ledger(),
            sqs: bed.sqs(),
            dynamodb: bed.dynamodb(),
            log_level,
            directory: directory("chaos"),
            secrets: tokio::sync::Mutex::default(),
            target_routes: Vec::new(),
            endpoint: None,
            bed,
        }
    }

    /// Processors from now on have routes to targets outside of the inbox.
    pub(super) async fn make_targets(&mut self) {
        let endpoint = Endpoint::always(says(200, "")).await;
        self.target_routes = target_routes(&self.bed, &endpoint).await;
        self.endpoint = Some(endpoint);
    }

    /// The receiver of a source, as the function `label`.
    pub(super) async fn receiver(&self, source: Source, label: &str) -> FunctionHost {
        let secret = self.secret(source).await;
        let settings = [
            ("SOURCE", source.name()),
            ("PROVIDER", source.provider()),
            ("SECRET_ID", &secret),
            ("PUBLIC_BASE_URL", BASE_URL),
            ("PAYLOAD_BUCKET", &self.bed.payload_bucket),
            ("SWEEP_GRACE_SECONDS", "2"),
        ];
        self.start("receiver", label, &settings).await
    }

    async fn secret(&self, source: Source) -> String {
        let mut secrets = self.secrets.lock().await;
        if let Some((_, id)) = secrets.iter().find(|(of, _)| *of == source) {
            return id.clone();
        }
        let value = json!({ "signing_secrets": [source.secret()] });
        let id = self.bed.create_secret(&value).await.expect("a secret");
        secrets.push((source, id.clone()));
        id
    }

    /// The processor: five attempts, every other wait parked.
    pub(super) async fn processor(&self, label: &str, handler_timeout: &str) -> FunctionHost {
        let routes: Value = routes().iter().chain(&self.target_routes).cloned().collect();
        let routes = routes.to_string();
        let settings = [
            ("DLQ_URL", self.bed.dlq_url.as_str()),
            ("LANE_QUEUE_URL", &self.bed.lane_url),
            ("MIRROR_TABLE_NAME", &self.bed.mirror_table),
            ("PAYLOAD_BUCKET", &self.bed.payload_bucket),
            ("ROUTES", &routes),
            ("RETRY_DELAYS_SECONDS", "0,1,0,1"),
            ("PARK_ABOVE_SECONDS", "0"),
            ("HANDLER_TIMEOUT_SECONDS", handler_timeout),
            ("SWEEP_GRACE_SECONDS", "2"),
        ];
        self.start("processor", label, &settings).await
    }

    pub(super) async fn sweeper(&self, label: &str) -> FunctionHost {
        self.start("sweeper", label, &[("SWEEP_GRACE_SECONDS", "2")]).await
    }

    async fn start(&self, name: &str, label: &str, settings: &[(&str, &str)]) -> FunctionHost {
        let common = [
            ("TABLE_NAME", self.bed.table.as_str()),
            ("QUEUE_URL", &self.bed.queue_url),
            ("AWS_ENDPOINT_URL", self.front.url()),
            ("AWS_SDK_UA_APP_ID", label),
            ("RUST_LOG", self.log_level),
        ];
        let binary = paths::binary(name).expect("a built binary");
        let mut options = FunctionOptions::new(binary, settings.iter().copied().chain(common));
        options.log_file = Some(self.directory.join(format!("{label}.log")));
        // One at a time: a receiver whose first fetch of its secret is late tries again
        // after five seconds, and refuses until then.
        let _alone = STARTING.lock().await;
        let started = FunctionHost::start(options).await.expect("this machine can start it");
        started.unwrap_or_else(|(error, output)| panic!("{label}: {error}\n{output}"))
    }

    /// API Gateway's event for a delivery.
    pub(super) fn gateway_event(delivery: &Delivery) -> Value {
        gateway_event(&delivery.path(), &delivery.headers(BASE_URL), &delivery.body)
    }

    /// Up to ten messages that are visible, hidden from now on.
    pub(super) async fn receive(&self, queue_url: &str) -> Vec<Message> {
        let received = self.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
        received.send().await.expect("an answer").messages.unwrap_or_default()
    }

    pub(super) async fn delete(&self, queue_url: &str, message: &Message) {
        let receipt = message.receipt_handle().unwrap_or_default();
        // One that somebody else deleted or received since is as good as deleted.
        let _ = self.sqs.delete_message().queue_url(queue_url).receipt_handle(receipt).send().await;
    }

    /// Has the queue deliver a message again, at once.
    pub(super) async fn release(&self, queue_url: &str, message: &Message) {
        let receipt = message.receipt_handle().unwrap_or_default();
        let visible = self.sqs.change_message_visibility().queue_url(queue_url);
        let _ = visible.receipt_handle(receipt).visibility_timeout(0).send().await;
    }

    pub(super) async fn send(&self, body: &str) {
        let sent = self.sqs.send_message().queue_url(&self.bed.queue_url).message_body(body);
        sent.send().await.expect("a message");
    }

    /// So much time passes for an event that its lease is over, if it is one of these
    /// tokens; any, where none is named.
    pub(super) async fn end_lease(&self, key: &str, token: Option<&str>) {
        let condition = match token {
            Some(_) => "attribute_exists(leased_until) AND lease_token = :token",
            None => "attribute_exists(leased_until)",
        };
        let token = token.map(|token| (":token".to_owned(), AttributeValue::S(token.to_owned())));
        self.set_back(key, "leased_until", condition, token).await;
    }

    /// So much time passes for an event that the sweeper has to look at it.
    pub(super) async fn make_due(&self, key: &str) {
        self.set_back(
            key,
            "due_at",
            "begins_with(open_shard, :pending)",
            Some((":pending".to_owned(), AttributeValue::S("pending".to_owned()))),
        )
        .await;
    }

    /// Refused where there is nothing to set back.
    async fn set_back(
        &self,
        key: &str,
        attribute: &str,
        condition: &str,
        value: Option<(String, AttributeValue)>,
    ) {
        let past = (":past".to_owned(), AttributeValue::N("1000000000".to_owned()));
        let changed = self
            .dynamodb
            .update_item()
            .table_name(&self.bed.table)
            .key("pk", AttributeValue::S(key.to_owned()))
            .update_expression(format!("SET {attribute} = :past"))
            .condition_expression(condition)
            .set_expression_attribute_values(Some([past].into_iter().chain(value).collect()))
            .send()
            .await;
        if let Err(error) = changed {
            let refused = error.as_service_error().is_some_and(
                aws_sdk_dynamodb::operation::update_item::UpdateItemError::is_conditional_check_failed_exception,
            );
            assert!(refused, "{error:?}");
        }
    }

    /// Every item of the ledger.
    pub(super) async fn items(&self) -> Vec<super::verdict::Standing> {
        // Beside events it holds which routes there are.
        let scan = self.dynamodb.scan().table_name(&self.bed.table);
        let scan = scan.filter_expression("attribute_exists(event_id)");
        let mut pages = scan.into_paginator().items().send();
        let mut all = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.expect("an item");
            let is_event =
                item.get("pk").and_then(|pk| pk.as_s().ok()).is_some_and(|pk| pk != MARKS);
            if is_event {
                all.push(super::verdict::Standing::read(&item));
            }
        }
        all
    }

    /// Looks through everything that the functions wrote.
    pub(super) fn check_logs(&self) {
        crate::e2e::logs::check(&self.directory);
    }
}
