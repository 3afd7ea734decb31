//! Posting, and what is heard of it.
//!
//! The client follows no redirect and asks no proxy: either would lead past the
//! resolver that judges addresses. It uses a connection again for 4 s only: many servers
//! hang up after 5, and a function that was frozen in between does not see it. Where
//! one did so and nothing was sent yet, the client itself takes a fresh one; a request
//! that may have arrived is never repeated here, but by the ledger's next attempt.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::message::Message;
use super::resolver::{AllRefused, PublicOnly};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Node's servers close what idles for 5 s: <https://nodejs.org/api/http.html#serverkeepalivetimeout>.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// So much of a refusal's body is read, to quote its beginning.
const REFUSAL_BYTES: usize = 2 * 1024;
/// So much of any other body is read to its end, so that the connection can be used
/// again.
const DRAINED_BYTES: usize = 16 * 1024;
/// The decision is known by then; nobody is to wait long for its explanation.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Nothing was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silence {
    /// For the operator, without the address.
    pub(super) reason: String,
    /// Whether it says something about the endpoint: that it is not there.
    pub(super) is_endpoints: bool,
}

/// A client with connections of its own; without a resolver it reaches any address.
///
/// # Errors
///
/// This machine's root certificates cannot be read.
pub(super) fn client(resolver: Option<PublicOnly>) -> Result<Client, String> {
    // Refused when somebody has chosen one before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT);
    if let Some(resolver) = resolver {
        client = client.dns_resolver(Arc::new(resolver));
    }
    client.build().map_err(|fault| format!("no HTTP client: {}", innermost(&fault)))
}

/// Posts, within `limit` in all.
///
/// # Errors
///
/// [`Silence`].
pub(super) async fn post(
    client: &Client,
    endpoint: &Endpoint,
    message: Message,
    limit: Duration,
) -> Result<Answer, Silence> {
    let began = Instant::now();
    let deadline = began + limit;
    let request = client.post(endpoint.url.clone()).headers(message.headers).body(message.body);
    let mut response = match timeout_at(deadline, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(fault)) => return Err(silence(endpoint, &fault)),
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

/// The body's first bytes, as far as they come in time.
async fn beginning(response: &mut Response, most: usize, until: Instant) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < most {
        let Ok(Ok(Some(piece))) = timeout_at(until, response.chunk()).await else { break };
        read.extend_from_slice(&piece);
    }
    read.truncate(most);
    read
}

fn silence(endpoint: &Endpoint, fault: &reqwest::Error) -> Silence {
    let host = &endpoint.shown;
    if let Some(refused) = cause::<AllRefused>(fault) {
        let reason = format!(
            "{refused}, where nothing is sent: if it is meant, set the route's \
             `allow_private_addresses` to true"
        );
        return Silence { reason, is_endpoints: false };
    }
    let reason = match (fault.is_connect(), fault.is_timeout()) {
        (true, true) => format!("{host}: no connection within {} s", CONNECT_TIMEOUT.as_secs()),
        (true, false) => format!("{host}: no connection: {}", innermost(fault)),
        (false, _) => format!("{host}: no answer: {}", innermost(fault)),
    };
    Silence { reason, is_endpoints: true }
}

fn cause<E: Error + 'static>(fault: &reqwest::Error) -> Option<&E> {
    causes(fault).find_map(|cause| cause.downcast_ref())
}

/// The last of the causes, which says what happened: `connection refused`. Those
/// before it may hold the address.
fn innermost(fault: &reqwest::Error) -> String {
    causes(fault).last().map(ToString::to_string).unwrap_or_default()
}

fn causes(fault: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(fault.source(), |cause| (*cause).source())
}

#[cfg(test)]
mod tests;
