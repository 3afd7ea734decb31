//! One HTTP/1.1 request on a connection of its own.
//!
//! No pool: a connection lives on the runtime that opened it, and the tests run
//! one runtime each against a shared emulator.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::LocalError;

/// Drives a connection and closes it when the caller is done or gives up.
struct Driver<E>(tokio::task::JoinHandle<Result<(), E>>);

impl<E> Drop for Driver<E> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a request whose URI is absolute (`http://127.0.0.1:9000/webhooks/stripe`)
/// and reads the whole answer. Header names go out as written in the `HeaderMap`;
/// `Host` is added when it is missing. No redirects, no retries, no time limit.
pub async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, LocalError> {
    let what = format!("{} {}", request.method(), request.uri());
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(ToString::to_string).ok_or_else(|| {
        LocalError::Call { what: what.clone(), reason: "the URI names no host".to_owned() }
    })?;
    let stream = TcpStream::connect(&authority)
        .await
        .map_err(LocalError::io(format!("connect to {authority}")))?;
    // Otherwise small requests wait for the peer's delayed acknowledgement.
    stream.set_nodelay(true).map_err(LocalError::io("set TCP_NODELAY"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(LocalError::call(&what))?;
    let _driver = Driver(tokio::spawn(connection));
    if !parts.headers.contains_key(header::HOST)
        && let Ok(host) = HeaderValue::from_str(&authority)
    {
        parts.headers.insert(header::HOST, host);
    }
    if let Some(path) = parts.uri.path_and_query() {
        parts.uri = http::Uri::from(path.clone());
    }
    let response = sender
        .send_request(Request::from_parts(parts, Full::new(body)))
        .await
        .map_err(LocalError::call(&what))?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(LocalError::call(&what))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// `GET` of an absolute URL.
pub async fn get(url: &str) -> Result<Response<Bytes>, LocalError> {
    send(build("GET", url, &[], Bytes::new())?).await
}

/// `POST` of an absolute URL with headers and a body.
pub async fn post(
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Response<Bytes>, LocalError> {
    send(build("POST", url, headers, body.into())?).await
}

/// A request from its parts; refused names and values are an error, not a panic.
pub fn build(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Request<Bytes>, LocalError> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).map_err(LocalError::call(format!("{method} {url}")))
}
