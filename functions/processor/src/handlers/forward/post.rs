//! Posting, and what is heard of it.
//!
//! ```text
//! request ─▶ any number of 1xx, at most 20 ─▶ the answer's head ─▶ the body's beginning
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::client::HttpClient;
use super::endpoint::Endpoint;
use super::message::Message;
use super::silence::{Silence, silence};

/// So much of a refusal's body is read, to quote its beginning.
const REFUSAL_BYTES: usize = 2 * 1024;
/// So much of any other body is read to its end, so that the connection can be used
/// again.
const DRAINED_BYTES: usize = 16 * 1024;
/// The decision is known by then; nobody is to wait long for its explanation.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// Interim answers (100 Continue, 102 Processing, 103 Early Hints) before the answer. The
/// standard has no limit, and an endpoint that never ends them would keep the whole
/// processor busy reading: <https://www.rfc-editor.org/rfc/rfc9110#section-15.2>.
const INTERIM_ANSWERS_MOST: usize = 20;

/// Posts, within `limit` in all.
///
/// # Errors
///
/// [`Silence`].
pub(super) async fn post(
    client: &HttpClient,
    endpoint: &Endpoint,
    message: Message,
    limit: Duration,
) -> Result<Answer, Silence> {
    let began = Instant::now();
    let deadline = began + limit;
    let mut request = Request::new(Full::new(message.body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = endpoint.uri.clone();
    *request.headers_mut() = message.headers;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
    let too_many = end_of_interim_answers(&mut request);
    let answered = tokio::select! {
        biased;
        () = too_many.notified() => {
            let reason = format!(
                "{}: no answer after {INTERIM_ANSWERS_MOST} interim answers (1xx)", endpoint.shown
            );
            return Err(Silence { reason, is_endpoints: true });
        }
        answered = timeout_at(deadline, client.request(request)) => answered,
    };
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(fault)) => return Err(silence(&endpoint.shown, &fault)),
        Err(_elapsed) => {
            let reason = format!("{}: no answer within {} s", endpoint.shown, limit.as_secs_f32());
            return Err(Silence { reason, is_endpoints: true });
        }
    };
    let was_slow = 2 * began.elapsed() >= limit;
    let status = response.status();
    let most = if status.is_success() { DRAINED_BYTES } else { REFUSAL_BYTES };
    let until = deadline.min(Instant::now() + BODY_TIMEOUT);
    let beginning = beginning(&mut response, most, until).await;
    Ok(Answer { status, headers: std::mem::take(response.headers_mut()), beginning, was_slow })
}

/// Tells when there is one interim answer too many. Whoever drops the request then ends
/// its connection.
fn end_of_interim_answers(request: &mut Request<Full<Bytes>>) -> Arc<Notify> {
    let too_many = Arc::new(Notify::new());
    let (tell, seen) = (Arc::clone(&too_many), AtomicUsize::new(0));
    hyper::ext::on_informational(request, move |_| {
        if seen.fetch_add(1, Ordering::Relaxed) >= INTERIM_ANSWERS_MOST {
            tell.notify_one();
        }
    });
    too_many
}

/// The body's first bytes, as far as they come in time.
async fn beginning(response: &mut Response<Incoming>, most: usize, until: Instant) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < most {
        let Ok(Some(Ok(frame))) = timeout_at(until, response.frame()).await else { break };
        read.extend_from_slice(frame.data_ref().map_or(&[], |piece| piece));
    }
    read.truncate(most);
    read
}

#[cfg(test)]
mod tests;
