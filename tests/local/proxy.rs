//! A reverse proxy on loopback: the front door of the local stack, and the place
//! where tests watch and break AWS calls.
//!
//! ```text
//! client ── request ──▶ read the body ──▶ record ──▶ hook decides ──▶ upstream
//!        ◀── answer or closed connection ──────────────────────────────┘
//! ```
//!
//! Method, raw path and query, header lines (spelling, order within a name and
//! value bytes) and body bytes pass unchanged, `Host` included: requests are
//! signed over them. Only what belongs to one connection (RFC 9110 section 7.6.1)
//! stays behind, as does `Expect`, which is answered here. A path prefix may be
//! put before the path: API Gateway's address in the emulator.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpListener;

use crate::LocalError;
use crate::access::AccessKey;
use crate::actions::Performed;
use crate::calls::{Call, Fault, Hook, Witness, path_and_query};
use crate::microburst::HEADER_FAULT;
use crate::server::{self, Hangup, Server};

/// API Gateway's own limit on a request's body.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
pub const BODY_LIMIT_BYTES: usize = 10 * 1024 * 1024;

/// Shorter than the emulator's 75 s, so that a reused connection is a live one.
const POOL_IDLE_SECONDS: u64 = 30;

/// What the front door shows; it stays between the proxy and the emulator's door.
const HEADER_FRONT_DOOR: HeaderName = HeaderName::from_static("x-inbox-front-door");

const CONNECTION_HEADERS: [HeaderName; 8] = [
    header::CONNECTION,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// A running proxy; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    port: u16,
    shared: Arc<Shared>,
    _server: Server,
}

struct Shared {
    upstream: String,
    prefix: String,
    /// What lets requests without a key into the emulator: the front door's alone.
    pass: Option<HeaderValue>,
    recording: bool,
    witness: Option<Witness>,
    client: Client<HttpConnector, Full<Bytes>>,
    calls: Mutex<Vec<Call>>,
    performed: Mutex<BTreeSet<Performed>>,
    next_number: AtomicU64,
    hook: Mutex<Option<Hook>>,
    clock_ahead_seconds: AtomicI64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "-> {}{}", self.upstream, self.prefix)
    }
}

impl Proxy {
    /// Records and forwards to `upstream` (`http://127.0.0.1:4566`) from a free port.
    pub async fn start(upstream: &str) -> Result<Self, LocalError> {
        let listener = server::listen(0).await?;
        Self::serve(listener, upstream, "", None, true, None)
    }

    /// The same for calls without number: it keeps nothing, and tells the witness of
    /// each call that the upstream answered.
    pub async fn witnessed(upstream: &str, witness: Witness) -> Result<Self, LocalError> {
        let listener = server::listen(0).await?;
        Self::serve(listener, upstream, "", None, false, Some(witness))
    }

    /// The front door: forwards from a port that is already listening, with
    /// `prefix` before every path; records nothing. Providers' requests carry no key:
    /// it shows the emulator the run's (`emulator_door.py`).
    pub(crate) fn front_door(
        listener: TcpListener,
        upstream: &str,
        prefix: &str,
    ) -> Result<Self, LocalError> {
        let key = &AccessKey::root().access_key_id;
        let mut pass = HeaderValue::from_str(key).map_err(LocalError::call("use the root key"))?;
        pass.set_sensitive(true);
        Self::serve(listener, upstream, prefix, Some(pass), false, None)
    }

    fn serve(
        listener: TcpListener,
        upstream: &str,
        prefix: &str,
        pass: Option<HeaderValue>,
        recording: bool,
        witness: Option<Witness>,
    ) -> Result<Self, LocalError> {
        let port = listener.local_addr().map_err(LocalError::io("read the proxy's port"))?.port();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let shared = Arc::new(Shared {
            upstream: upstream.trim_end_matches('/').to_owned(),
            prefix: prefix.to_owned(),
            pass,
            recording,
            witness,
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(Duration::from_secs(POOL_IDLE_SECONDS))
                .http1_preserve_header_case(true)
                .build(connector),
            calls: Mutex::default(),
            performed: Mutex::default(),
            next_number: AtomicU64::new(0),
            hook: Mutex::default(),
            clock_ahead_seconds: AtomicI64::new(0),
        });
        let handler = Arc::clone(&shared);
        let server = server::serve(listener, move |request| {
            let shared = Arc::clone(&handler);
            async move { shared.answer(request).await }
        });
        Ok(Self { url: format!("http://127.0.0.1:{port}"), port, shared, _server: server })
    }

    /// Where it listens, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every call so far, in the order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// How often an operation was called.
    #[must_use]
    pub fn count(&self, service: &str, operation: &str) -> usize {
        lock(&self.shared.calls).iter().filter(|call| call.is(service, operation)).count()
    }

    /// Returns the calls so far and forgets them.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *lock(&self.shared.calls))
    }

    /// What functions have done since the proxy's start, whatever was forgotten.
    #[must_use]
    pub fn performed(&self) -> BTreeSet<Performed> {
        lock(&self.shared.performed).clone()
    }

    /// From now on every answer's `Date` is so many seconds ahead of this machine's clock:
    /// callers are behind AWS by as much, or with a negative number ahead of it.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.shared.clock_ahead_seconds.store(seconds, Ordering::Relaxed);
    }

    /// From now on `hook` decides what happens to each call.
    pub fn set_hook(&self, hook: impl Fn(&Call) -> Fault + Send + Sync + 'static) {
        *lock(&self.shared.hook) = Some(Arc::new(hook));
    }

    /// From now on calls pass untouched.
    pub fn clear_hook(&self) {
        *lock(&self.shared.hook) = None;
    }

    /// The next `times` calls of an operation get this fault; the rest passes.
    pub fn fail_next(&self, service: &str, operation: &str, times: usize, fault: Fault) {
        let (service, operation) = (service.to_owned(), operation.to_owned());
        let left = Mutex::new(times);
        self.set_hook(move |call| {
            let mut left = lock(&left);
            if *left > 0 && call.is(&service, &operation) {
                *left -= 1;
                fault.clone()
            } else {
                Fault::None
            }
        });
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Hangup> {
        let mut response = self.handle(request).await?;
        let ahead = self.clock_ahead_seconds.load(Ordering::Relaxed);
        if ahead != 0 {
            response.headers_mut().insert(header::DATE, date(ahead));
        }
        Ok(response)
    }

    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Hangup> {
        let (mut parts, body) = request.into_parts();
        let body = match Limited::new(body, BODY_LIMIT_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Ok(message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"));
            }
            Err(_) => return Err(Hangup),
        };
        let call = Call::new(&parts, body.clone());
        let hook = lock(&self.hook).clone();
        let fault = hook.map_or(Fault::None, |hook| hook(&call));
        let witnessed = self.witness.as_ref().map(|witness| (witness, call.clone()));
        let record = self.record(call);
        match fault {
            Fault::Inject(injected) => {
                parts.headers.insert(HEADER_FAULT, HeaderValue::from_static(injected.name()));
            }
            Fault::Delay(duration) => tokio::time::sleep(duration).await,
            Fault::DropBefore => return Err(Hangup),
            Fault::Status { status, error_type, message } => {
                let response = aws_error(status, &error_type, &message);
                self.settle(record, |call| {
                    call.status = Some(response.status().as_u16());
                });
                return Ok(response);
            }
            Fault::Answer { status, body } => {
                let code = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
                self.settle(record, |call| call.status = Some(code.as_u16()));
                return Ok(json(code, &body, None));
            }
            Fault::None | Fault::DropReply | Fault::DelayReply(_) => {}
        }
        let response = match self.forward(parts, body).await {
            Ok(response) => response,
            Err(_) if matches!(fault, Fault::Inject(_)) => return Err(Hangup),
            Err(why) => message(StatusCode::BAD_GATEWAY, why),
        };
        let status = response.status().as_u16();
        if let Some((witness, mut call)) = witnessed {
            call.upstream_status = Some(status);
            witness(&call);
        }
        self.settle(record, |call| call.upstream_status = Some(status));
        match fault {
            Fault::DropReply => return Err(Hangup),
            Fault::DelayReply(duration) => tokio::time::sleep(duration).await,
            _ => {}
        }
        self.settle(record, |call| call.status = Some(status));
        Ok(response)
    }

    fn record(&self, mut call: Call) -> Option<u64> {
        self.recording.then(|| {
            call.number = self.next_number.fetch_add(1, Ordering::Relaxed);
            let number = call.number;
            lock(&self.performed).extend(Performed::by(&call));
            lock(&self.calls).push(call);
            number
        })
    }

    /// The record may be gone: somebody may have taken the calls meanwhile.
    fn settle(&self, record: Option<u64>, change: impl FnOnce(&mut Call)) {
        let mut calls = lock(&self.calls);
        let found = calls.iter_mut().rfind(|call| Some(call.number) == record);
        if let Some(call) = found {
            change(call);
        }
    }

    /// The answer, or what went wrong on the connection.
    async fn forward(
        &self,
        mut parts: http::request::Parts,
        body: Bytes,
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        let uri = format!("{}{}{}", self.upstream, self.prefix, path_and_query(&parts));
        let Ok(uri) = uri.parse() else {
            return Ok(message(StatusCode::BAD_REQUEST, "Bad Request"));
        };
        parts.uri = uri;
        parts.version = http::Version::HTTP_11;
        let had_no_body = body.is_empty() && !parts.headers.contains_key(header::CONTENT_LENGTH);
        remove_connection_headers(&mut parts.headers);
        if !had_no_body {
            parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
        }
        if let Some(pass) = &self.pass {
            parts.headers.insert(HEADER_FRONT_DOOR, pass.clone());
        }
        let request = Request::from_parts(parts, Full::new(body));
        let Ok(answer) = self.client.request(request).await else {
            return Err("the upstream did not answer");
        };
        let (mut parts, body) = answer.into_parts();
        let Ok(body) = body.collect().await else {
            return Err("the upstream's answer broke off");
        };
        remove_connection_headers(&mut parts.headers);
        Ok(Response::from_parts(parts, Full::new(body.to_bytes())))
    }
}

/// Now and so many seconds, as `Date` writes it.
fn date(ahead_seconds: i64) -> header::HeaderValue {
    let now = DateTime::from(SystemTime::now()).secs();
    DateTime::from_secs(now + ahead_seconds)
        .fmt(DateTimeFormat::HttpDate)
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("a date is visible ASCII")
}

fn remove_connection_headers(headers: &mut HeaderMap) {
    for name in CONNECTION_HEADERS {
        headers.remove(name);
    }
}

fn message(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    json(status, &serde_json::json!({ "message": text }), None)
}

/// The error shape of the JSON protocols.
/// <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#operation-error-serialization>
fn aws_error(status: u16, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    json(
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        &serde_json::json!({ "__type": error_type, "message": message }),
        Some(error_type),
    )
}

fn json(
    status: StatusCode,
    body: &serde_json::Value,
    error_type: Option<&str>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(Ok(value)) = error_type.map(str::parse) {
        headers.insert("x-amzn-errortype", value);
    }
    response
}

/// A test that panics while it holds a lock must not take the others along.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
