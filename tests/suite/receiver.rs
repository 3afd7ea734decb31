//! The receiver's pipeline on ledger and queue in memory: what is answered, what
//! is kept, what is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::Ledger;
use inbox_core::memory::{MemoryLedger, MemoryQueue, MemorySecrets};
use inbox_core::provider::{Identity, Provider, Rejection, Reply, Unsigned};
use inbox_core::queue::{DeadLetter, Queue, QueueError};
use inbox_core::request::{Request, Verified};
use inbox_core::secrets::{Secret, SecretBundle, SecretCache, SecretsError};
use inbox_core::signature::Proof;
use inbox_receiver::config::{Config, Dedup};
use inbox_receiver::pipeline::Receiver;
use inbox_receiver::providers;

use crate::conformance::at;
use crate::crash::fuse::{Fuse, Fused, Side};

const PATH: &str = "/webhooks/acme";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_0123456789abcdefNEW";
const NEWEST: &str = "whsec_0123456789abcdefNEWEST";
const BODY: &[u8] =
    br#"{"id":"evt_1","type":"invoice.paid","created":1764000000,"data":{"object":{"id":"in_1"}}}"#;

/// One byte more than the receiver here takes.
static LARGE: [u8; 1001] = [b'x'; 1001];

/// A queue that fails as often as told.
struct Failing {
    inner: Arc<MemoryQueue>,
    failures: AtomicUsize,
}

impl Queue for Failing {
    async fn send(&self, event: &Event, life: u32) -> Result<(), QueueError> {
        let left = self.failures.load(Ordering::SeqCst);
        if left > 0 {
            self.failures.store(left - 1, Ordering::SeqCst);
            return Err(QueueError("SendMessage: no answer within the time limit".into()));
        }
        self.inner.send(event, life).await
    }

    async fn send_to_lane(
        &self,
        event: &Event,
        life: u32,
        delay: Duration,
    ) -> Result<(), QueueError> {
        self.inner.send_to_lane(event, life, delay).await
    }

    async fn send_dead(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        self.inner.send_dead(letter).await
    }

    async fn hide(
        &self,
        receipt_handle: &str,
        from_lane: bool,
        seconds: u32,
    ) -> Result<(), QueueError> {
        self.inner.hide(receipt_handle, from_lane, seconds).await
    }
}

struct Bench {
    receiver: Receiver<Fused<MemoryLedger>, Fused<Failing>, Arc<MemorySecrets>>,
    ledger: Arc<MemoryLedger>,
    queue: Arc<MemoryQueue>,
    secrets: Arc<MemorySecrets>,
    fuse: Arc<Fuse>,
    requests: AtomicUsize,
}

fn bundle(secrets: &[&str]) -> Result<SecretBundle, SecretsError> {
    let json = serde_json::json!({ "signing_secrets": secrets }).to_string();
    Ok(SecretBundle::parse(&json)?)
}

impl Bench {
    fn new(provider: &str) -> Self {
        Self::with(provider, &[], bundle(&[SECRET]))
    }

    fn with(
        provider: &str,
        crashes: &[(usize, Side)],
        bundle: Result<SecretBundle, SecretsError>,
    ) -> Self {
        let provider = providers::find(provider).expect("registered");
        let (ledger, queue) = (Arc::default(), Arc::<MemoryQueue>::default());
        let secrets = Arc::new(MemorySecrets::new(bundle));
        let fuse = Fuse::new(crashes);
        let failing = Failing { inner: Arc::clone(&queue), failures: AtomicUsize::new(0) };
        let receiver = Receiver {
            config: Config {
                source: "acme".into(),
                secret_id: String::new(),
                public_base_urls: vec!["https://hooks.example.com".into()],
                table_name: String::new(),
                queue_url: String::new(),
                payload_bucket: None,
                max_body_bytes: 1000,
                retention: Duration::from_hours(24 * 30),
                sweep_grace: Duration::from_mins(15),
                dedup: Dedup::Id,
                hook_ids: Vec::new(),
            },
            secrets: SecretCache::new(Arc::clone(&secrets), Arc::clone(&provider)),
            provider,
            ledger: Fused { inner: Arc::clone(&ledger), fuse: Arc::clone(&fuse) },
            queue: Fused { inner: Arc::new(failing), fuse: Arc::clone(&fuse) },
        };
        Self { receiver, ledger, queue, secrets, fuse, requests: AtomicUsize::new(0) }
    }

    /// A request signed by `secret` at `signed_at`.
    fn signed(&self, body: &'static [u8], secret: &str, signed_at: Timestamp) -> Request {
        let unsigned = Unsigned {
            url: "https://hooks.example.com/webhooks/acme",
            content_type: "application/json",
            body,
            id: "msg_1",
            event_type: "push",
            now: signed_at,
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        for (name, value) in self.receiver.provider.sign(&unsigned, &Secret::new(secret.into())) {
            headers.insert(name, value.parse().unwrap());
        }
        Request::new(Method::POST, String::new(), headers, Bytes::from_static(body))
    }

    /// Another invocation each time.
    fn request_id(&self) -> String {
        format!("request-{}", self.requests.fetch_add(1, Ordering::SeqCst))
    }

    async fn post(&self, body: &'static [u8], seconds: u64) -> Reply {
        let request = self.signed(body, SECRET, at(seconds));
        self.receiver.receive(PATH, request, &self.request_id(), at(seconds)).await
    }

    async fn held(&self, id: &str) -> Event {
        let key = EventKey { source: "acme".into(), id: id.into() };
        self.ledger.get(&key).await.unwrap().expect("the event is there").event
    }
}

/// Status, body, and the two headers that tell what became of it.
fn seen(reply: &Reply) -> (u16, &str, Option<&str>, Option<&str>) {
    let header = |name| reply.headers.get(name).map(|value| value.to_str().unwrap());
    (reply.status.as_u16(), &reply.body, header("x-inbox-status"), header("x-inbox-id"))
}

#[tokio::test]
async fn an_accepted_event_takes_two_calls_and_a_duplicate_one() {
    let bench = Bench::new("stripe");
    let reply = bench.post(BODY, 0).await;
    assert_eq!(seen(&reply), (200, "", Some("accepted"), Some("evt_1")));
    assert_eq!(bench.fuse.steps(), 2);
    assert_eq!(bench.queue.take()[0].0.life, 1);
    let event = bench.held("evt_1").await;
    assert_eq!(event.payload.bytes, BODY);
    assert_eq!(event.event_type, "invoice.paid");
    assert_eq!(event.subject.as_deref(), Some("in_1"));
}

#[tokio::test]
async fn a_repeat_of_an_untouched_event_sends_its_message_again() {
    let bench = Bench::new("stripe");
    bench.post(BODY, 0).await;
    let reply = bench.post(BODY, 5).await;
    assert_eq!(seen(&reply), (200, "", Some("duplicate"), Some("evt_1")));
    assert_eq!(bench.queue.take().len(), 2);
}

#[tokio::test]
async fn what_does_not_verify_costs_no_call() {
    let bench = Bench::new("stripe");
    let answer = async |request: Request| {
        let reply = bench.receiver.receive(PATH, request, &bench.request_id(), at(0)).await;
        (reply.status.as_u16(), reply.body)
    };
    let other = bench.signed(BODY, "whsec_of_somebody_else_00", at(0));
    assert_eq!(answer(other).await, (401, r#"{"error":"signature_mismatch"}"#.into()));
    let mut old = at(0);
    old = Timestamp::from_unix_seconds(old.unix_seconds() - 301).unwrap();
    let stale = bench.signed(BODY, SECRET, old);
    assert_eq!(answer(stale).await, (401, r#"{"error":"stale_timestamp"}"#.into()));
    // The signature is judged first: who cannot sign learns nothing of time.
    let both = bench.signed(BODY, "whsec_of_somebody_else_00", old);
    assert_eq!(answer(both).await, (401, r#"{"error":"signature_mismatch"}"#.into()));
    let bare = Request::new(Method::POST, String::new(), HeaderMap::new(), BODY.into());
    assert_eq!(answer(bare).await, (400, r#"{"error":"missing_signature"}"#.into()));
    let mut headers = HeaderMap::new();
    headers.insert("stripe-signature", "t".parse().unwrap());
    let malformed = Request::new(Method::POST, String::new(), headers, BODY.into());
    assert_eq!(answer(malformed).await, (400, r#"{"error":"malformed_signature"}"#.into()));
    assert_eq!(bench.fuse.steps(), 0);
    assert_eq!(bench.ledger.all(), []);
}

#[tokio::test]
async fn limits_are_checked_before_anything_else() {
    // Not even the secrets are needed.
    let bench = Bench::with("stripe", &[], Err(SecretsError::Unavailable("down".into())));
    let empty = |method| Request::new(method, String::new(), HeaderMap::new(), Bytes::new());
    let reply = bench
        .receiver
        .receive("/webhooks/other", empty(Method::POST), &bench.request_id(), at(0))
        .await;
    assert_eq!((reply.status.as_u16(), &*reply.body), (404, r#"{"error":"not_found"}"#));
    let reply = bench.receiver.receive(PATH, empty(Method::GET), &bench.request_id(), at(0)).await;
    assert_eq!((reply.status.as_u16(), &*reply.body), (405, r#"{"error":"method_not_allowed"}"#));
    assert_eq!(reply.headers["allow"], "POST");
    let reply = bench.post(&LARGE, 0).await;
    assert_eq!((reply.status.as_u16(), &*reply.body), (413, r#"{"error":"body_too_large"}"#));
    assert_eq!(reply.headers["content-type"], "application/json");
}

#[tokio::test]
async fn without_secrets_the_answer_is_unavailable_and_says_nothing_more() {
    let faults = [
        SecretsError::Unavailable("GetSecretValue: AccessDeniedException".into()),
        SecretBundle::parse("{nonsense").unwrap_err().into(),
    ];
    for fault in faults {
        let bench = Bench::with("stripe", &[], Err(fault));
        let reply = bench.post(BODY, 0).await;
        assert_eq!((reply.status.as_u16(), &*reply.body), (503, r#"{"error":"unavailable"}"#));
        assert_eq!(reply.headers["retry-after"], "10");
    }
}

#[tokio::test]
async fn a_secret_added_a_moment_ago_is_fetched_for_a_fresh_request_at_most_every_thirty_seconds() {
    let bench = Bench::new("stripe");
    bench.post(BODY, 0).await;
    bench.secrets.set(bundle(&[NEW, SECRET]));
    let answer = async |seconds, secret, signed_at| {
        let request = bench.signed(BODY, secret, at(signed_at));
        bench
            .receiver
            .receive(PATH, request, &bench.request_id(), at(seconds))
            .await
            .status
            .as_u16()
    };
    // Fetched 10 s ago: not again yet.
    assert_eq!(answer(10, NEW, 10).await, 401);
    assert_eq!(answer(31, NEW, 31).await, 200);
    // A stale request is no reason to fetch, whatever its secret.
    bench.secrets.set(bundle(&[NEWEST]));
    assert_eq!(answer(400, NEWEST, 62).await, 401);
    assert_eq!(answer(402, NEWEST, 402).await, 200);
}

#[tokio::test]
async fn a_claim_whose_message_could_not_be_sent_is_answered_503_and_mended_by_the_retry() {
    let bench = Bench::new("stripe");
    bench.receiver.queue.inner.failures.store(1, Ordering::SeqCst);
    let reply = bench.post(BODY, 0).await;
    assert_eq!((reply.status.as_u16(), &*reply.body), (503, r#"{"error":"unavailable"}"#));
    assert_eq!(bench.queue.take().len(), 0);
    let reply = bench.post(BODY, 60).await;
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!(bench.queue.take().len(), 1);
}

#[tokio::test]
async fn an_answer_comes_within_its_time_whatever_hangs() {
    // The claim never returns.
    let bench = Bench::with("stripe", &[(0, Side::Before)], bundle(&[SECRET]));
    let started = std::time::Instant::now();
    let reply = bench.post(BODY, 0).await;
    assert_eq!((reply.status.as_u16(), &*reply.body), (503, r#"{"error":"unavailable"}"#));
    assert!(started.elapsed() < Duration::from_millis(2900), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_is_verified_but_not_understood_is_kept_as_unknown() {
    let bench = Bench::new("stripe");
    for body in [&b"not json"[..], b"\xff\xfe", b"", b"[1]"] {
        let reply = bench.post(body, 0).await;
        let hash = inbox_core::signature::sha256_hex(&[body]);
        let id = format!("content-{hash}");
        assert_eq!(seen(&reply), (200, "", Some("accepted"), Some(&*id)));
        let event = bench.held(&id).await;
        assert_eq!((event.event_type.as_str(), &event.payload.bytes[..]), ("unknown", body));
        // Its repeat, with a new timestamp and signature, is still a repeat.
        assert_eq!(seen(&bench.post(body, 9).await).2, Some("duplicate"));
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_a_key_is_replaced_by_its_hash() {
    let bench = Bench::new("stripe");
    let reply = bench.post(r#"{"id":"evt_ü\u0000","type":"a\u001bb"}"#.as_bytes(), 0).await;
    let hash = inbox_core::signature::sha256_hex(&["evt_ü\0".as_bytes()]);
    assert_eq!(seen(&reply).3, Some(&*format!("id-{hash}")));
    assert_eq!(bench.held(&format!("id-{hash}")).await.event_type, "ab");
}

/// Senders choose ids, and people paste them behind commands.
#[tokio::test]
async fn an_id_that_a_shell_would_read_is_replaced_by_its_hash() {
    let bench = Bench::new("standard_webhooks");
    let answered = async |id: &str| {
        let now = at(0);
        let unsigned = Unsigned {
            url: "https://hooks.example.com/webhooks/acme",
            content_type: "application/json",
            body: b"{}",
            id,
            event_type: "",
            now,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in bench.receiver.provider.sign(&unsigned, &Secret::new(SECRET.into())) {
            headers.insert(name, value.parse().unwrap());
        }
        let request = Request::new(Method::POST, String::new(), headers, "{}".into());
        let reply = bench.receiver.receive(PATH, request, &bench.request_id(), now).await;
        seen(&reply).3.map(str::to_owned)
    };
    for id in ["msg_2Lh9KRb0", "a:b=c+d/e@f-g_h", "0"] {
        assert_eq!(answered(id).await.as_deref(), Some(id));
    }
    for id in ["a;id>made;", "$(id)", "`id`", "it's", "\"x\"", "a|b", "*", "~", "--all", "a\\b"] {
        let hash = inbox_core::signature::sha256_hex(&[id.as_bytes()]);
        assert_eq!(answered(id).await, Some(format!("id-{hash}")), "{id}");
    }
}

#[tokio::test]
async fn another_body_under_a_known_id_is_a_duplicate_and_the_first_one_stays() {
    let bench = Bench::new("stripe");
    bench.post(BODY, 0).await;
    let other = br#"{"id":"evt_1","type":"invoice.voided"}"#;
    let reply = bench.post(other, 5).await;
    assert_eq!(seen(&reply), (200, "", Some("duplicate"), Some("evt_1")));
    assert_eq!(bench.held("evt_1").await.payload.bytes, BODY);
    // Nothing shows that the first message was sent, so it is sent again.
    assert_eq!(bench.queue.take().len(), 2);
}

#[tokio::test]
async fn a_hook_that_is_none_of_the_sources_is_refused() {
    let mut bench = Bench::new("github");
    let from = |bench: &Bench, hook: Option<&str>| {
        let signed = bench.signed(BODY, SECRET, at(0));
        let mut headers = signed.headers().clone();
        if let Some(hook) = hook {
            headers.insert("x-github-hook-id", hook.parse().unwrap());
        }
        Request::new(Method::POST, String::new(), headers, BODY.into())
    };
    bench.receiver.config.hook_ids = vec!["7".into(), "42".into()];
    for hook in [None, Some("8"), Some("7, 42"), Some("")] {
        let request = from(&bench, hook);
        let reply = bench.receiver.receive(PATH, request, &bench.request_id(), at(0)).await;
        let refused = (403, r#"{"error":"unknown_hook"}"#, None, None);
        assert_eq!(seen(&reply), refused, "{hook:?}");
    }
    assert_eq!(bench.ledger.all(), []);
    let request = from(&bench, Some("42"));
    let reply = bench.receiver.receive(PATH, request, &bench.request_id(), at(0)).await;
    assert_eq!(seen(&reply), (200, "", Some("accepted"), Some("msg_1@42")));
    assert_eq!(bench.held("msg_1@42").await.delivery_id.as_deref(), Some("msg_1"));
    // Without any named, all are let in, and each one's event counts.
    bench.receiver.config.hook_ids.clear();
    let request = from(&bench, Some("8"));
    let reply = bench.receiver.receive(PATH, request, &bench.request_id(), at(0)).await;
    assert_eq!(seen(&reply), (200, "", Some("accepted"), Some("msg_1@8")));
}

/// A secret that anybody can guess verifies nothing, alone or beside a good one.
#[tokio::test]
async fn a_secret_that_can_be_guessed_verifies_nothing() {
    for weak in ["whsec_", "x", "whsec_0123", "whsec_…"] {
        for (held, status) in [(vec![weak], 503), (vec![weak, SECRET], 401)] {
            let bench = Bench::with("stripe", &[], bundle(&held));
            let request = bench.signed(BODY, weak, at(0));
            let reply = bench.receiver.receive(PATH, request, &bench.request_id(), at(0)).await;
            assert_eq!(reply.status, status, "{held:?}");
            assert_eq!(bench.ledger.all(), [], "{held:?}");
        }
    }
}

#[tokio::test]
async fn deduplication_by_content_ignores_the_unsigned_headers() {
    let mut bench = Bench::new("github");
    bench.receiver.config.dedup = Dedup::Content;
    let first = bench.post(BODY, 0).await;
    let mut captured = bench.signed(BODY, SECRET, at(0));
    // The same signature under another delivery id and type, as whoever captured
    // it could send: neither is signed.
    let mut headers = HeaderMap::new();
    headers.insert("x-github-event", "push2".parse().unwrap());
    for name in ["x-hub-signature-256", "content-type"] {
        headers.insert(name, captured.header(name).unwrap().parse().unwrap());
    }
    headers.insert("x-github-delivery", "another".parse().unwrap());
    captured = Request::new(Method::POST, String::new(), headers, BODY.into());
    let second = bench.receiver.receive(PATH, captured, &bench.request_id(), at(1)).await;
    assert_eq!(seen(&second).2, Some("duplicate"));
    assert_eq!(seen(&first).3, seen(&second).3);
}

/// Asks for its challenge back before it delivers anything, unsigned, by GET.
struct Shaking;

impl Provider for Shaking {
    fn name(&self) -> &'static str {
        "shaking"
    }

    fn methods(&self) -> &'static [Method] {
        &[Method::POST, Method::GET]
    }

    fn handshake(
        &self,
        request: &Request,
        secrets: &SecretBundle,
        _: Timestamp,
    ) -> Option<Result<Reply, Rejection>> {
        let (token, challenge) = request.raw_query().split_once('/')?;
        let known = secrets.other("verify_token").is_some_and(|known| known.expose() == token);
        Some(if known {
            Ok(Reply::with_body("text/plain", challenge.to_owned()))
        } else {
            Err(Rejection::SignatureMismatch { fresh: true })
        })
    }

    fn verify(&self, _: &Request, _: &SecretBundle, _: Timestamp) -> Result<Proof, Rejection> {
        Err(Rejection::MissingSignature)
    }

    fn identify(&self, _: &Request<Verified>) -> Identity {
        Identity::default()
    }

    fn sign(&self, _: &Unsigned<'_>, _: &Secret) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &[]
    }
}

#[tokio::test]
async fn a_handshake_is_answered_and_stores_nothing() {
    let mut bench = Bench::new("stripe");
    let provider = Arc::new(Shaking);
    let json = r#"{"signing_secrets":["s"],"verify_token":"t0ken"}"#;
    let secrets = Arc::new(MemorySecrets::new(Ok(SecretBundle::parse(json).unwrap())));
    bench.receiver.provider = provider.clone();
    bench.receiver.secrets = SecretCache::new(secrets, provider);
    let answer = async |query: &str| {
        let request = Request::new(Method::GET, query.into(), HeaderMap::new(), Bytes::new());
        let reply = bench.receiver.receive(PATH, request, &bench.request_id(), at(0)).await;
        (reply.status.as_u16(), reply.body)
    };
    assert_eq!(answer("t0ken/1158201444").await, (200, "1158201444".into()));
    assert_eq!(answer("guess/1158201444").await, (401, r#"{"error":"signature_mismatch"}"#.into()));
    assert_eq!(answer("").await, (400, r#"{"error":"missing_signature"}"#.into()));
    assert_eq!((bench.fuse.steps(), bench.ledger.all()), (0, Vec::new()));
}

#[tokio::test]
async fn a_number_that_calls_with_get_is_heard_too() {
    let bench = Bench::new("twilio");
    let query = "MessageSid=SM1&MessageStatus=sent";
    let url = format!("https://hooks.example.com{PATH}?{query}");
    let unsigned = Unsigned {
        url: &url,
        content_type: "",
        body: b"",
        id: "token",
        event_type: "",
        now: at(0),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in bench.receiver.provider.sign(&unsigned, &Secret::new(SECRET.into())) {
        headers.insert(name, value.parse().unwrap());
    }
    let request = Request::new(Method::GET, query.to_owned(), headers, Bytes::new());
    let reply = bench.receiver.receive(PATH, request, &bench.request_id(), at(0)).await;
    assert_eq!((reply.status.as_u16(), seen(&reply).2), (204, Some("accepted")));
    assert_eq!(bench.ledger.all()[0].event.payload.bytes, query);
}

#[tokio::test]
async fn of_fifty_deliveries_at_once_one_is_accepted() {
    let bench = Bench::new("stripe");
    let replies = futures_util::future::join_all((0..50).map(|_| bench.post(BODY, 0))).await;
    let accepted = replies.iter().filter(|reply| seen(reply).2 == Some("accepted")).count();
    assert_eq!(accepted, 1);
    assert!(replies.iter().all(|reply| reply.status.as_u16() == 200));
    assert_eq!(bench.ledger.all().len(), 1);
}

#[tokio::test]
async fn no_signature_or_token_is_kept_with_the_event() {
    // Where the URL is signed, so may be a hash of the body in it.
    let signs_url = |name: &str| providers::find(name).expect("registered").signs_url();
    for provider in providers::names().filter(|name| !signs_url(name)) {
        let bench = Bench::new(provider);
        let request = bench.signed(BODY, SECRET, at(0));
        assert_eq!(
            bench.receiver.receive(PATH, request, &bench.request_id(), at(0)).await.status.as_u16(),
            200
        );
        let records = bench.ledger.all();
        for (name, value) in &records[0].event.headers {
            assert!(!name.contains("signature") && !name.contains("auth"), "{name}");
            assert!(!value.contains("v1,") && !value.contains("sha256="), "{name}: {value}");
        }
    }
}
