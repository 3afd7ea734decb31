//! `forward` by the real binaries: from one inbox to the next, and over TLS.
//!
//! ```text
//! stripe ─▶ receiver ─▶ processor ── forward ──▶ front ─▶ receiver of `relay`
//!                                    by HTTP              provider standard_webhooks
//! ```

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use inbox_core::event::{EventKey, HEADER_HOPS};
use inbox_core::ledger::State;
use inbox_local::runtime_api::FunctionHost;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use super::requests::{Answer, answered, gateway_event};
use super::rig::{DEADLINE, Rig, key, payment};
use crate::forward::endpoint::{head, serve};

/// What the forwarded messages are signed with.
const SECRET: &str = "whsec_ZTJlIHNlY3JldCBvZiBmb3J3YXJkLCAzMiBieXRlcw==";
/// Stands in the address and must never be shown.
const TOKEN: &str = "t0ken-7f3a-of-the-address";

/// A task that ends with the test.
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// API Gateway before one receiver. What it answered is kept; the first answer is lost
/// on the way back, as the sender sees it.
struct Front {
    port: u16,
    answers: Arc<Mutex<Vec<Answer>>>,
    _task: Ended,
}

impl Front {
    async fn before(receiver: FunctionHost) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let receiver = Arc::new(Mutex::new(receiver));
        let answers: Arc<Mutex<Vec<Answer>>> = Arc::default();
        let kept = Arc::clone(&answers);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (receiver, kept) = (Arc::clone(&receiver), Arc::clone(&kept));
                let service = service_fn(move |request| {
                    hand_over(request, Arc::clone(&receiver), Arc::clone(&kept))
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                let _ = connection.await;
            }
        });
        Self { port, answers, _task: Ended(task) }
    }
}

async fn hand_over(
    request: Request<Incoming>,
    receiver: Arc<Mutex<FunctionHost>>,
    kept: Arc<Mutex<Vec<Answer>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let headers: Vec<(&str, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("text").to_owned()))
        .collect();
    let event = gateway_event(parts.uri.path(), &headers, &body);
    let answer = receiver.lock().await.invoke_json(&event, DEADLINE).await.expect("an answer");
    let mut kept = kept.lock().await;
    kept.push(answered(&answer));
    let status = if kept.len() == 1 { 502 } else { 200 };
    // One request a connection, so that the front has one at a time.
    let response = Response::builder().status(status).header("connection", "close");
    Ok(response.body(Full::default()).expect("an answer"))
}

/// A processor that forwards what `stripe` received.
async fn processor(rig: &Rig, with: &Value, settings: &[(&str, &str)]) -> FunctionHost {
    let routes =
        json!([{ "id": "relay", "match": "stripe:*", "handler": "forward", "with": with }]);
    let routes = routes.to_string();
    let common = [
        ("DLQ_URL", rig.bed.dlq_url.as_str()),
        ("ROUTES", &routes),
        ("RETRY_DELAYS_SECONDS", "0,0"),
        ("HANDLER_TIMEOUT_SECONDS", "10"),
    ];
    rig.start("processor", &[&common, settings].concat()).await
}

async fn with(rig: &Rig, url: &str) -> Value {
    let secret = rig.bed.create_secret(&json!({ "signing_secrets": [SECRET] })).await;
    json!({
        "url": url, "secret_id": secret.expect("a secret"), "allow_private_addresses": true,
    })
}

#[tokio::test]
async fn one_inbox_hands_an_event_on_to_the_next_once_though_an_answer_is_lost() {
    let rig = Rig::new().await;
    let relay = rig.receiver_of("relay", "standard_webhooks", SECRET).await;
    let front = Front::before(relay).await;
    let url = format!("http://127.0.0.1:{}/webhooks/relay?key={TOKEN}", front.port);
    let mut processor = processor(&rig, &with(&rig, &url).await, &[]).await;

    let stripe = rig.accept(&payment()).await;
    rig.process_all(&mut processor).await;

    // It had arrived when its answer was lost, and the second attempt says so.
    assert_eq!(*front.answers.lock().await, [Answer::accepted(), Answer::duplicate()]);
    assert_eq!(rig.stands(&stripe).await, Some((State::Done, 1, 2)));
    let sent = rig.record(&stripe).await.expect("the event").event;
    let id = inbox_core::signature::sha256_hex(&[format!("{stripe}#relay").as_bytes()]);
    let id = EventKey { source: "relay".into(), id: format!("msg_{}", &id[..32]) };
    let mut relayed = rig.record(&id).await.expect("the event in the other inbox");
    inbox_core::ledger::Ledger::load(&rig.ledger, &mut relayed).await.expect("its payload");
    assert_eq!(relayed.state, State::Done);
    let event = &relayed.event;
    assert_eq!(event.event_type, "stripe.payment_intent.succeeded");
    assert_eq!(event.payload.content_type, "application/cloudevents+json");
    assert_eq!(event.headers[HEADER_HOPS], "1");
    let body: Value = serde_json::from_slice(&event.payload.bytes).expect("a CloudEvent");
    assert_eq!(
        (body["id"].as_str(), body["source"].as_str()),
        (Some(sent.key.id.as_str()), Some("/webhooks/stripe"),)
    );

    let output = processor.output();
    assert!(!output.contains(TOKEN) && !output.contains("/webhooks/relay?"), "{output}");
    assert_eq!(rig.dead_letters().await.len(), 0);
}

/// An endpoint with a certificate, and the certificate of who signed it.
struct Secure {
    port: u16,
    authority: String,
    _task: Ended,
}

impl Secure {
    async fn start() -> Self {
        let mut parameters =
            rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        // Each of another name: of two with the same, one would be tried with the
        // other's key.
        let name = uuid::Uuid::new_v4().to_string();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let signing_key = rcgen::KeyPair::generate().expect("a key");
        let cert = parameters.self_signed(&signing_key).expect("a certificate");
        let key = signing_key.serialize_der().try_into().expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a good certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let answer = head(200, "connection: close\r\n", 0);
                let script =
                    Arc::new(move |_| crate::forward::endpoint::Act::HangUp(answer.clone()));
                serve(stream, script, Arc::default()).await;
            }
        });
        Self { port, authority: cert.pem(), _task: Ended(task) }
    }

    /// The file that names the authority, for `SSL_CERT_FILE`.
    fn authority_in(&self, rig: &Rig) -> String {
        let directory = inbox_local::testbed::directory(&format!("{}-tls", rig.bed.table));
        let path = directory.expect("a directory").join(format!("{}.pem", self.port));
        std::fs::write(&path, &self.authority).expect("a file");
        path.to_string_lossy().into_owned()
    }
}

#[tokio::test]
async fn a_certificate_is_checked_against_the_machines_authorities() {
    let rig = Rig::new().await;
    let (endpoint, other) = (Secure::start().await, Secure::start().await);
    let with = with(&rig, &format!("https://127.0.0.1:{}/{TOKEN}", endpoint.port)).await;

    let authorities = other.authority_in(&rig);
    let mut strict = processor(&rig, &with, &[("SSL_CERT_FILE", &authorities)]).await;
    rig.accept(&payment()).await;
    rig.process_all(&mut strict).await;
    let dead = rig.record(&key("evt_test_1")).await.expect("the event");
    assert_eq!(dead.state, State::Dead);
    let error = dead.last_error.expect("an error");
    let reason = format!(
        "127.0.0.1:{}: no connection: TLS failed: its certificate is of an unknown issuer",
        endpoint.port
    );
    assert!(error.contains(&reason), "{error}");
    assert!(!strict.output().contains(TOKEN));

    let authorities = endpoint.authority_in(&rig);
    let mut trusting = processor(&rig, &with, &[("SSL_CERT_FILE", &authorities)]).await;
    let second = payment().replacing("evt_test_1", "evt_test_2");
    let second = rig.accept(&second).await;
    rig.process_all(&mut trusting).await;
    assert_eq!(rig.stands(&second).await, Some((State::Done, 1, 1)));
}
