//! Posting to a webhook's address.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use crate::fault::Fault;

/// What most providers allow.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An HTTP client that does what providers do: it follows no redirect, and gives
/// up after 30 seconds.
#[derive(Clone, Debug)]
pub struct HttpClient(reqwest::Client);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl HttpClient {
    /// A client with a pool of its own.
    ///
    /// # Errors
    ///
    /// This machine's root certificates cannot be read.
    pub fn new() -> Result<Self, Fault> {
        // Refused when somebody has chosen one before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map(Self)
            .map_err(|fault| Fault::unavailable(format!("no HTTP client: {}", cause(&fault))))
    }

    /// Posts a body.
    ///
    /// # Errors
    ///
    /// [`Fault::Usage`] when address or headers cannot be sent,
    /// [`Fault::Unavailable`] without an answer.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Result<Answer, Fault> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| {
                Fault::usage(format!("{name:?} is no header's name"), "leave it out")
            })?;
            let value = HeaderValue::try_from(value.as_str()).map_err(|_| {
                Fault::usage(format!("the value of header {name} cannot be sent"), "leave it out")
            })?;
            map.append(name, value);
        }
        let answer = self.0.post(url).headers(map).body(body).send().await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) if fault.is_builder() => {
                return Err(Fault::usage(
                    format!("{url:?} is no address: {}", cause(&fault)),
                    "it must begin with http:// or https://",
                ));
            }
            Err(fault) => return Err(no_answer(url, &fault)),
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|fault| no_answer(url, &fault))?;
        Ok(Answer { status, headers, body })
    }
}

fn no_answer(url: &str, fault: &reqwest::Error) -> Fault {
    let what = if fault.is_timeout() { "no answer in time" } else { "no answer" };
    Fault::unavailable(format!("{url}: {what}: {}", cause(fault)))
}

/// The innermost cause: `connection refused`.
fn cause(fault: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = fault;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
