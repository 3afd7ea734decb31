//! The stack that the tests of this process share, and how they look at it.
//!
//! Every test sends events with ids of its own. What breaks the stack on purpose is
//! done on a rig instead.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use inbox_aws::DynamoDbLedger;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, Record};
use inbox_local::actions::Names;
use inbox_local::{
    Delivery, LocalStack, SourceOptions, StackDescription, StackOptions, http_client, options,
    testbed,
};
use inbox_processor::handlers::mirror::{DynamoDbMirror, Mirror as _, Row, pk};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(super) const STRIPE_EU_SECRET: &str = "whsec_of_another_account";
const WITHIN: Duration = Duration::from_mins(1);

static SHARED: OnceLock<Shared> = OnceLock::new();
/// Held for writing by a test that needs the machine for itself.
static QUIET: RwLock<()> = RwLock::const_new(());

struct Shared {
    stack: LocalStack,
    /// The stack's front door and proxy live on it, longer than any test.
    _runtime: Runtime,
}

/// One test's view of the shared stack.
pub(super) struct Stack {
    shared: &'static Shared,
    pub(super) ledger: DynamoDbLedger,
    mirror: DynamoDbMirror,
    _turn: Turn,
}

/// The right to use the stack, with others or alone.
#[expect(dead_code, reason = "held, not read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

fn start() -> Shared {
    let runtime = Runtime::new().expect("a runtime");
    let mut sources = options::default_sources(options::random_bytes);
    sources.push(SourceOptions::new("stripe_eu", "stripe", STRIPE_EU_SECRET));
    let options = StackOptions {
        directory: testbed::directory("stack").expect("a directory"),
        sources,
        routes: json!([
            { "id": "mirror", "match": "*:*", "handler": "mirror" },
            { "id": "twice", "match": "stripe:invoice.payment_failed", "handler": "drill",
              "with": { "outcome": "retry", "attempts": 2 } },
            { "id": "always", "match": "stripe:charge.dispute.created", "handler": "drill",
              "with": { "outcome": "retry" } },
        ]),
        retry_delays_seconds: vec![1, 1],
        sweep_grace_seconds: 30,
        watch_functions: true,
        ..StackOptions::default()
    };
    let stack = runtime.block_on(LocalStack::start(options, |_| ())).expect("a stack");
    Shared { stack, _runtime: runtime }
}

impl Stack {
    pub(super) async fn shared() -> Self {
        Self::of(Turn::Shared(QUIET.read().await)).await
    }

    /// While no other test uses the stack.
    pub(super) async fn alone() -> Self {
        Self::of(Turn::Alone(QUIET.write().await)).await
    }

    async fn of(turn: Turn) -> Self {
        let shared = tokio::task::spawn_blocking(|| SHARED.get_or_init(start));
        let shared = shared.await.expect("a stack");
        let aws = shared.stack.sdk_config();
        let description = shared.stack.description();
        let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
        Self {
            ledger: shared.stack.ledger(),
            mirror: DynamoDbMirror::new(dynamodb, description.mirror_table.clone()),
            shared,
            _turn: turn,
        }
    }

    pub(super) fn description(&self) -> &StackDescription {
        self.shared.stack.description()
    }

    pub(super) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.shared.stack.sdk_config())
    }

    /// A fixture to the source of its provider's name.
    pub(super) fn fixture(&self, provider: &str, file: &str) -> Delivery {
        let secret = &self.description().secrets[provider][0];
        Delivery::fixture(provider, file, secret).expect("a fixture")
    }

    /// As its provider would: see [`Stack::request`].
    pub(super) async fn send(&self, delivery: &Delivery) -> Response<Bytes> {
        let headers = delivery.headers(&self.description().public_base_url);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.request("POST", &delivery.path(), &headers, delivery.body.clone()).await
    }

    /// A request made by hand, and again while the answer is 503: where much runs
    /// at once, a receiver may start more slowly than it lets a provider wait.
    pub(super) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Bytes> {
        let (url, body) = (format!("{}{path}", self.description().public_base_url), body.into());
        let deadline = Instant::now() + WITHIN;
        loop {
            let request = http_client::build(method, &url, headers, body.clone());
            let sent = http_client::send(request.expect("a request")).await;
            let answer = sent.expect("an answer");
            if answer.status() != 503 || Instant::now() > deadline {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(super) async fn record(&self, key: &EventKey) -> Option<Record> {
        self.ledger.get(key).await.expect("the ledger")
    }

    /// The event when it is done or dead.
    pub(super) async fn ended(&self, key: &EventKey) -> Record {
        let deadline = Instant::now() + WITHIN;
        loop {
            let record = self.record(key).await;
            match record {
                Some(record) if !record.state.is_unfinished() => return record,
                record => assert!(Instant::now() < deadline, "{key}: {record:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn mirrored(&self, source: &str, kind: &str, id: &str) -> Option<Row> {
        self.mirror.get(&pk(source, kind, id)).await.expect("the mirror")
    }

    /// Asserts that an answer says that the event is new. Where the machine was so
    /// slow that a first delivery was answered 503, the one that followed met its
    /// claim.
    pub(super) fn assert_accepted(&self, answer: &Response<Bytes>) {
        let status = header(answer, "x-inbox-status");
        let id = header(answer, "x-inbox-id").expect("an id");
        let calls = self.shared.stack.function_proxy().expect("a proxy").calls();
        let key = format!("#{id}\"");
        let claims = calls.iter().filter(|call| {
            call.operation == "PutItem" && String::from_utf8_lossy(&call.body).contains(&key)
        });
        if status != Some("duplicate") || claims.count() < 2 {
            assert_eq!(status, Some("accepted"), "{id}");
        }
    }

    /// The functions' calls of an operation whose body holds this text.
    pub(super) fn calls_about(&self, operation: &str, text: &str) -> usize {
        let calls = self.shared.stack.function_proxy().expect("a proxy").calls();
        let about = calls.iter().filter(|call| {
            call.operation == operation
                && call.upstream_status == Some(200)
                && String::from_utf8_lossy(&call.body).contains(text)
        });
        about.count()
    }
}

/// Looks through everything that the functions have written so far.
impl Drop for Stack {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            super::logs::check(&self.description().logs);
            let description = self.description();
            let names = Names {
                table: &description.table,
                mirror_table: &description.mirror_table,
                payload_bucket: &description.payload_bucket,
                queue_url: &description.queue_url,
                lane_url: &description.lane_url,
                dlq_url: &description.dlq_url,
            };
            let performed = self.shared.stack.function_proxy().expect("a proxy").performed();
            super::actions::check(&performed.iter().map(|it| it.action(&names)).collect());
        }
    }
}

/// An id that no other test uses.
pub(super) fn unique(prefix: &str) -> String {
    format!("{prefix}{}", uuid::Uuid::new_v4().simple())
}

pub(super) fn key(source: &str, id: &str) -> EventKey {
    EventKey { source: source.to_owned(), id: id.to_owned() }
}

/// An answer's header.
pub(super) fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().expect("text"))
}
