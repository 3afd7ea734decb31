//! An HTTP endpoint of somebody's, on loopback: answers as it is told, and keeps what it
//! was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::LocalError;
use crate::server::{self, Hangup, Server};

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After`, where there is one.
    pub retry_after_seconds: Option<u32>,
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        Self { status, retry_after_seconds: None }
    }
}

/// A request that was answered.
#[derive(Clone)]
pub struct Received {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The status that it was answered with.
    pub status: u16,
}

impl Received {
    /// A header's text; empty when it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The body stays out: it may hold a payload.
impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes -> {}", self.body.len(), self.status)
    }
}

/// Dropping it closes every connection.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    _server: Server,
}

impl Endpoint {
    /// Gives these answers in turn, then 200 to whatever comes.
    pub async fn start(
        answers: impl IntoIterator<Item = impl Into<Answer>>,
    ) -> Result<Self, LocalError> {
        let listener = server::listen(0).await?;
        let address = listener.local_addr().map_err(LocalError::io("read an endpoint's port"))?;
        let answers: VecDeque<Answer> = answers.into_iter().map(Into::into).collect();
        let answers = Arc::new(Mutex::new(answers));
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        let server = server::serve(listener, move |request| {
            answer(request, Arc::clone(&answers), Arc::clone(&kept))
        });
        Ok(Self { url: format!("http://{address}/hooks"), received, _server: server })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What has come so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    kept: Arc<Mutex<Vec<Received>>>,
) -> Result<Response<Full<Bytes>>, Hangup> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Hangup)?.to_bytes();
    let next = answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let Answer { status, retry_after_seconds } = next.unwrap_or(Answer::from(200));
    let received = Received { headers: parts.headers, body, status };
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| Hangup)?;
    if let Some(seconds) = retry_after_seconds {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    Ok(response)
}
