//! The real binaries driven by hand; see the picture in `e2e.rs`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::Message;
use inbox_aws::DynamoDbLedger;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, Record, State};
use inbox_local::actions::{Action, Names};
use inbox_local::calls::{Call, Fault};
use inbox_local::proxy::Proxy;
use inbox_local::runtime_api::{FunctionHost, FunctionOptions, InvokeError, Killer};
use inbox_local::{Delivery, TestBed, paths, testbed};
use inbox_processor::handlers::mirror::{DynamoDbMirror, Mirror as _, Row, pk};
use serde_json::{Value, json};

use super::requests::batch;
pub(super) use super::requests::{
    Answer, answered, gateway_event, key, names, payment, pointer, stripe,
};

/// The address that the provider is told to call.
pub(super) const BASE_URL: &str = "https://hooks.example.com";
/// What the rig's sources are signed with.
pub(super) const STRIPE_SECRET: &str = "whsec_local_stripe_signing_secret";
/// The deadline of an invocation: enough for whatever a test does in one.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// A proxied call that is never answered: the process dies first.
const FOR_EVER: Duration = Duration::from_mins(2);

/// Everything goes to the mirror.
pub(super) fn to_mirror() -> Value {
    json!([{ "id": "mirror", "match": "*:*", "handler": "mirror" }])
}

/// Everything goes to the mirror, by the id of what [`to_drill`] gives up: put right.
pub(super) fn to_mirror_instead() -> Value {
    json!([{ "id": "drill", "match": "*:*", "handler": "mirror" }])
}

/// Everything goes to the mirror, and to a drill.
pub(super) fn to_mirror_and_drill(with: &Value) -> Value {
    json!([
        { "id": "mirror", "match": "*:*", "handler": "mirror" },
        { "id": "drill", "match": "*:*", "handler": "drill", "with": with },
    ])
}

/// Everything goes to a drill.
pub(super) fn to_drill(with: &Value) -> Value {
    json!([{ "id": "drill", "match": "*:*", "handler": "drill", "with": with }])
}

/// Sends as a provider does: again, where a busy machine was too slow to answer in time.
/// What is kept then may have been kept by the first request already.
pub(super) async fn sent_until_kept(receiver: &mut FunctionHost, event: &Value) -> Value {
    for tries in 0..10 {
        let answer = receiver.invoke_json(event, DEADLINE).await.expect("an answer");
        let said = answered(&answer);
        if said == Answer::accepted() || (tries > 0 && said == Answer::duplicate()) {
            return answer;
        }
        assert_eq!(said.status, 503, "{said:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("answered 503 each time");
}

/// Tables and queues of a test's own, with a proxy before them.
pub(super) struct Rig {
    pub(super) bed: TestBed,
    pub(super) proxy: Arc<Proxy>,
    pub(super) ledger: DynamoDbLedger,
    mirror: DynamoDbMirror,
    pub(super) sqs: aws_sdk_sqs::Client,
    directory: PathBuf,
}

/// When to kill, seen from the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// It was made and never arrived.
    Before,
    /// It landed and its answer never arrived.
    After,
}

impl Rig {
    pub(super) async fn new() -> Self {
        let bed = TestBed::new().await.expect("tables and queues");
        let proxy = Proxy::start(&bed.endpoint_url).await.expect("a proxy");
        Self {
            ledger: bed.ledger(),
            mirror: DynamoDbMirror::new(bed.dynamodb(), bed.mirror_table.clone()),
            sqs: bed.sqs(),
            directory: testbed::directory(&bed.table).expect("a directory"),
            proxy: Arc::new(proxy),
            bed,
        }
    }

    /// The receiver of the source `stripe`, initialised, its calls so far forgotten.
    pub(super) async fn receiver(&self) -> FunctionHost {
        self.receiver_of("stripe", "stripe", STRIPE_SECRET).await
    }

    pub(super) async fn receiver_of(
        &self,
        source: &str,
        provider: &str,
        secret: &str,
    ) -> FunctionHost {
        let host = self.cold_receiver(source, provider, secret).await;
        let _ = self.proxy.take_calls();
        host
    }

    /// The same with the calls of its start.
    pub(super) async fn cold_receiver(
        &self,
        source: &str,
        provider: &str,
        secret: &str,
    ) -> FunctionHost {
        let names = [("SOURCE", source), ("PROVIDER", provider)];
        self.start_receiver(&names, secret).await
    }

    /// The receiver of the source `stripe` with other settings.
    pub(super) async fn receiver_with(&self, settings: &[(&str, &str)]) -> FunctionHost {
        let names = [("SOURCE", "stripe"), ("PROVIDER", "stripe")];
        self.start_receiver(&[&names, settings].concat(), STRIPE_SECRET).await
    }

    async fn start_receiver(&self, settings: &[(&str, &str)], secret: &str) -> FunctionHost {
        let value = json!({ "signing_secrets": [secret] });
        let secret_id = self.bed.create_secret(&value).await.expect("a secret");
        let common = [
            ("SECRET_ID", secret_id.as_str()),
            ("PUBLIC_BASE_URL", BASE_URL),
            ("PAYLOAD_BUCKET", &self.bed.payload_bucket),
        ];
        self.start("receiver", &[&common, settings].concat()).await
    }

    /// The processor with three attempts at once, one after the other.
    pub(super) async fn processor(&self, routes: &Value) -> FunctionHost {
        let host = self.cold_processor(routes).await;
        let _ = self.proxy.take_calls();
        host
    }

    /// The same with the calls of its start.
    pub(super) async fn cold_processor(&self, routes: &Value) -> FunctionHost {
        self.start(
            "processor",
            &[
                ("DLQ_URL", &self.bed.dlq_url),
                ("MIRROR_TABLE_NAME", &self.bed.mirror_table),
                ("PAYLOAD_BUCKET", &self.bed.payload_bucket),
                ("ROUTES", &routes.to_string()),
                ("RETRY_DELAYS_SECONDS", "0,0"),
                ("HANDLER_TIMEOUT_SECONDS", "1"),
            ],
        )
        .await
    }

    /// The processor with a lane besides.
    pub(super) async fn processor_with_lane(&self, routes: &Value) -> FunctionHost {
        let routes = routes.to_string();
        let settings = [
            ("DLQ_URL", self.bed.dlq_url.as_str()),
            ("LANE_QUEUE_URL", &self.bed.lane_url),
            ("MIRROR_TABLE_NAME", &self.bed.mirror_table),
            ("PAYLOAD_BUCKET", &self.bed.payload_bucket),
            ("ROUTES", &routes),
            ("RETRY_DELAYS_SECONDS", "0,0"),
            ("HANDLER_TIMEOUT_SECONDS", "1"),
        ];
        self.start("processor", &settings).await
    }

    /// The sweeper.
    pub(super) async fn sweeper(&self) -> FunctionHost {
        let host = self.start("sweeper", &[]).await;
        let _ = self.proxy.take_calls();
        host
    }

    /// Any function; settings go before those of the rig.
    pub(super) async fn start(&self, name: &str, settings: &[(&str, &str)]) -> FunctionHost {
        let common = [
            ("TABLE_NAME", self.bed.table.as_str()),
            ("QUEUE_URL", &self.bed.queue_url),
            ("AWS_ENDPOINT_URL", self.proxy.url()),
            ("AWS_SDK_UA_APP_ID", name),
            // However chatty somebody makes them, logs hold nothing of an event.
            ("RUST_LOG", "trace"),
        ];
        let binary = paths::binary(name).expect("a built binary");
        let settings = common.into_iter().chain(settings.iter().copied());
        let mut options = FunctionOptions::new(binary, settings);
        options.log_file = Some(self.directory.join(format!("{name}.log")));
        FunctionHost::start(options).await.expect("this machine can start it").expect("it starts")
    }

    /// What a function has written so far, its former processes included.
    pub(super) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join(format!("{name}.log"))).unwrap_or_default()
    }

    /// API Gateway's event for a delivery to this rig.
    #[expect(clippy::unused_self, reason = "the address is the rig's, though all have the same")]
    pub(super) fn gateway_event(&self, delivery: &Delivery) -> Value {
        let headers = delivery.headers(BASE_URL);
        gateway_event(&delivery.path(), &headers, &delivery.body)
    }

    /// Hands a delivery to a receiver.
    pub(super) async fn deliver(
        &self,
        receiver: &mut FunctionHost,
        delivery: &Delivery,
    ) -> Result<Answer, InvokeError> {
        let answer = receiver.invoke_json(&self.gateway_event(delivery), DEADLINE).await?;
        Ok(answered(&answer))
    }

    /// Accepts the event of a fixture and returns its key; its message waits.
    pub(super) async fn accept(&self, delivery: &Delivery) -> EventKey {
        let mut receiver = self.receiver().await;
        let answer = sent_until_kept(&mut receiver, &self.gateway_event(delivery)).await;
        let id = answer["headers"]["x-inbox-id"].as_str().expect("an id").to_owned();
        EventKey { source: delivery.source.clone(), id }
    }

    /// Every message that is visible, hidden from now on.
    pub(super) async fn messages(&self) -> Vec<Message> {
        self.messages_in(&self.bed.queue_url).await
    }

    pub(super) async fn messages_in_lane(&self) -> Vec<Message> {
        self.messages_in(&self.bed.lane_url).await
    }

    pub(super) async fn dead_letters(&self) -> Vec<Message> {
        self.messages_in(&self.bed.dlq_url).await
    }

    async fn messages_in(&self, queue_url: &str) -> Vec<Message> {
        let mut all = Vec::new();
        loop {
            let received = self
                .sqs
                .receive_message()
                .queue_url(queue_url)
                .max_number_of_messages(10)
                .message_attribute_names("All")
                .send()
                .await
                .expect("an answer");
            let some = received.messages.unwrap_or_default();
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }

    /// Invokes the processor with these messages as a batch, deletes what it
    /// acknowledged and returns the rest.
    pub(super) async fn process(
        &self,
        processor: &mut FunctionHost,
        messages: Vec<Message>,
    ) -> Result<Vec<Message>, InvokeError> {
        let answer = processor.invoke_json(&batch(&messages), DEADLINE).await?;
        let failures = answer["batchItemFailures"].as_array().expect("a list").clone();
        let kept = |message: &Message| {
            failures.iter().any(|it| it["itemIdentifier"].as_str() == message.message_id())
        };
        let (kept, done): (Vec<_>, Vec<_>) = messages.into_iter().partition(kept);
        assert_eq!(kept.len(), failures.len(), "only known messages are named");
        for message in done {
            self.delete(&message).await;
        }
        Ok(kept)
    }

    /// Processes what waits in the queue until nothing does.
    pub(super) async fn process_all(&self, processor: &mut FunctionHost) {
        for _ in 0..10 {
            let messages = self.messages().await;
            if messages.is_empty() {
                return;
            }
            // What is kept was hidden for no time, and is received anew.
            self.process(processor, messages).await.expect("an answer");
        }
        panic!("messages keep coming back");
    }

    /// Deletes a message from the queue.
    pub(super) async fn delete(&self, message: &Message) {
        self.sqs
            .delete_message()
            .queue_url(&self.bed.queue_url)
            .receipt_handle(message.receipt_handle().expect("a receipt"))
            .send()
            .await
            .expect("a deletion");
    }

    /// Sends a message as it is.
    pub(super) async fn send(&self, body: &str) {
        let sent = self.sqs.send_message().queue_url(&self.bed.queue_url).message_body(body);
        sent.send().await.expect("a message");
    }

    pub(super) async fn record(&self, key: &EventKey) -> Option<Record> {
        self.ledger.get(key).await.expect("the ledger")
    }

    /// State, life and attempts.
    pub(super) async fn stands(&self, key: &EventKey) -> Option<(State, u32, u32)> {
        let record = self.record(key).await?;
        Some((record.state, record.life, record.attempts))
    }

    pub(super) async fn mirrored(&self, kind: &str, id: &str) -> Option<Row> {
        self.mirror.get(&pk("stripe", kind, id)).await.expect("the mirror")
    }

    /// So much time passes that the lease of whoever runs the event is over.
    pub(super) async fn let_the_lease_end(&self, key: &EventKey) {
        self.set_back(key, "leased_until").await;
    }

    /// So much time passes that the sweeper has to look at the event.
    pub(super) async fn let_it_become_due(&self, key: &EventKey) {
        self.set_back(key, "due_at").await;
    }

    /// A moment that an item holds, if it does, is long ago from now on.
    async fn set_back(&self, key: &EventKey, attribute: &str) {
        let changed = self
            .bed
            .dynamodb()
            .update_item()
            .table_name(&self.bed.table)
            .key("pk", AttributeValue::S(key.to_string()))
            .update_expression("SET #moment = :past")
            .condition_expression("attribute_exists(#moment)")
            .expression_attribute_names("#moment", attribute)
            .expression_attribute_values(":past", AttributeValue::N("1000000000".to_owned()))
            .send()
            .await;
        if let Err(error) = changed {
            let refused = error
                .as_service_error()
                .is_some_and(UpdateItemError::is_conditional_check_failed_exception);
            assert!(refused, "{error:?}");
        }
    }

    /// From now on the `nth` call of an operation (from 1) kills the process. What
    /// is made by later processes passes.
    pub(super) fn kill_at(&self, killer: Killer, when: When, operation: &'static str, nth: usize) {
        let seen = Mutex::new(0);
        let is_marked = move |call: &Call| {
            let mut seen = seen.lock().expect("a count");
            *seen += usize::from(call.operation == operation);
            call.operation == operation && *seen == nth
        };
        let proxy = Arc::clone(&self.proxy);
        let before = self.proxy.count(service_of(operation), operation);
        self.proxy.set_hook(move |call| {
            if !is_marked(call) {
                return Fault::None;
            }
            if when == When::Before {
                killer.kill();
                // Not forwarded: its client goes away before that.
                return Fault::Delay(FOR_EVER);
            }
            let (killer, proxy) = (killer.clone(), Arc::clone(&proxy));
            tokio::spawn(async move {
                loop {
                    let calls = proxy.calls();
                    let mut same = calls.iter().filter(|it| it.operation == operation);
                    if same.nth(before + nth - 1).is_some_and(|it| it.upstream_status.is_some()) {
                        return killer.kill();
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            });
            Fault::DelayReply(FOR_EVER)
        });
    }

    /// What its functions have done in AWS so far.
    pub(super) fn performed(&self) -> BTreeSet<Action> {
        let names = Names {
            table: &self.bed.table,
            mirror_table: &self.bed.mirror_table,
            payload_bucket: &self.bed.payload_bucket,
            queue_url: &self.bed.queue_url,
            lane_url: &self.bed.lane_url,
            dlq_url: &self.bed.dlq_url,
        };
        self.proxy.performed().iter().map(|it| it.action(&names)).collect()
    }

    /// How often the mirror's handler has written since the calls were forgotten.
    pub(super) fn mirror_writes(&self) -> usize {
        let table = &self.bed.mirror_table;
        let calls = self.proxy.calls();
        let writes = calls.iter().filter(|call| {
            call.operation == "PutItem"
                && call.json()["TableName"] == table.as_str()
                && call.upstream_status == Some(200)
        });
        writes.count()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            super::logs::check(&self.directory);
            super::actions::check(&self.performed());
        }
    }
}

fn service_of(operation: &str) -> &'static str {
    match operation {
        "SendMessage" | "ChangeMessageVisibility" => "sqs",
        "PutObject" | "GetObject" | "CopyObject" | "DeleteObject" => "s3",
        _ => "dynamodb",
    }
}
