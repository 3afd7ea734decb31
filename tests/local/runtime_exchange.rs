//! The function's side of the Runtime API host: the four calls a runtime makes.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::runtime_api::InvokeError;
use crate::server::Hangup;

const API: &str = "/2018-06-01/runtime/";

pub(crate) type Outcome = Result<Bytes, InvokeError>;

pub(crate) struct Invocation {
    pub(crate) id: String,
    pub(crate) event: Bytes,
    pub(crate) deadline_ms: u128,
}

/// Shared with the server that the function talks to.
pub(crate) struct Exchange {
    pub(crate) waiting: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    /// The invocation under way and who waits for it.
    pub(crate) current: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    /// None while starting; then whether that went well.
    pub(crate) initialised: watch::Sender<Option<Result<(), InvokeError>>>,
    pub(crate) arn: String,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.arn)
    }
}

impl Exchange {
    pub(crate) async fn handle(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Hangup> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Hangup)?.to_bytes();
        let Some(path) = parts.uri.path().strip_prefix(API) else {
            return Ok(status(StatusCode::NOT_FOUND));
        };
        match (&parts.method, path.split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => Ok(self.settle(id, Ok(body))),
            (&Method::POST, ["invocation", id, "error"]) => {
                let (error_type, message) = described(&body);
                let error = InvokeError::Function { error_type, message };
                Ok(self.settle(id, Err(error)))
            }
            (&Method::POST, ["init", "error"]) => {
                let (error_type, message) = described(&body);
                let error = InvokeError::Init { error_type, message };
                self.initialised.send_replace(Some(Err(error)));
                Ok(status(StatusCode::ACCEPTED))
            }
            _ => Ok(status(StatusCode::NOT_FOUND)),
        }
    }

    async fn next(&self) -> Result<Response<Full<Bytes>>, Hangup> {
        self.initialised.send_if_modified(|state| {
            let first = state.is_none();
            state.get_or_insert(Ok(()));
            first
        });
        let invocation = self.waiting.lock().await.recv().await.ok_or(Hangup)?;
        Response::builder()
            .header("Content-Type", "application/json")
            .header("Lambda-Runtime-Aws-Request-Id", &invocation.id)
            .header("Lambda-Runtime-Deadline-Ms", invocation.deadline_ms.to_string())
            .header("Lambda-Runtime-Invoked-Function-Arn", &self.arn)
            .header(
                "Lambda-Runtime-Trace-Id",
                "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
            )
            .body(Full::new(invocation.event))
            .map_err(|_| Hangup)
    }

    /// An answer to another invocation than the current one is refused, as Lambda does.
    fn settle(&self, id: &str, outcome: Outcome) -> Response<Full<Bytes>> {
        let mut current = lock(&self.current);
        match current.take() {
            Some((expected, waiter)) if expected == id => {
                let _ = waiter.send(outcome);
                status(StatusCode::ACCEPTED)
            }
            other => {
                *current = other;
                status(StatusCode::BAD_REQUEST)
            }
        }
    }
}

fn described(body: &[u8]) -> (String, String) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (text("errorType"), text("errorMessage"))
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
