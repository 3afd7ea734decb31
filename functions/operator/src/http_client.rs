//! Posting to a webhook's address.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::ClientBuilder;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use crate::fault::Fault;

/// What most providers allow.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An HTTP client that does what providers do: it follows no redirect, and gives
/// up after 30 seconds. What is sent to this machine itself goes through no proxy,
/// whatever the environment says: that would hand real events to whoever runs it.
#[derive(Clone, Debug)]
pub struct HttpClient {
    /// By the environment's proxies, where it names some.
    elsewhere: reqwest::Client,
    /// To this machine.
    here: reqwest::Client,
}

/// An answer.
#[derive(Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// The body's size: a server may answer with what it was sent.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl HttpClient {
    /// A client with a pool of its own.
    ///
    /// # Errors
    ///
    /// This machine's root certificates cannot be read.
    pub fn new() -> Result<Self, Fault> {
        Self::build(|client| client)
    }

    /// A client that opens a connection for each request. On one that is used
    /// again, a server may hang up at the moment of sending, and nobody can tell
    /// whether it had the request.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn without_reuse() -> Result<Self, Fault> {
        Self::build(|client| client.pool_max_idle_per_host(0))
    }

    fn build(set: fn(ClientBuilder) -> ClientBuilder) -> Result<Self, Fault> {
        // Refused when somebody has chosen one before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let build = |client: ClientBuilder| {
            set(client.redirect(Policy::none()).timeout(TIMEOUT))
                .build()
                .map_err(|fault| Fault::unavailable(format!("no HTTP client: {}", cause(&fault))))
        };
        Ok(Self {
            elsewhere: build(reqwest::Client::builder())?,
            here: build(reqwest::Client::builder().no_proxy())?,
        })
    }

    /// Says so where an address leads out of this machine and nothing encrypts what is sent
    /// there: events hold names, addresses and amounts.
    #[must_use]
    pub fn warning(url: &str) -> Option<String> {
        let address = reqwest::Url::parse(url).ok()?;
        (address.scheme() == "http" && !is_loopback(&address)).then(|| {
            format!(
                "warning: {} is not this machine, and http:// sends events to it unencrypted: use \
                 https://",
                address.host_str().unwrap_or_default()
            )
        })
    }

    /// Whether this can be posted to at all, before anything is.
    ///
    /// # Errors
    ///
    /// [`Fault::Usage`].
    pub fn check_address(url: &str) -> Result<(), Fault> {
        let problem = match reqwest::Url::parse(url) {
            Ok(address) if ["http", "https"].contains(&address.scheme()) => return Ok(()),
            Ok(address) => format!("its scheme is {:?}", address.scheme()),
            Err(fault) => fault.to_string(),
        };
        Err(no_address(url, &problem))
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
        match self.try_post(url, headers, body).await? {
            Posted::Answered(answer) => Ok(answer),
            Posted::NotConnected(problem) | Posted::NoAnswer(problem) => {
                Err(Fault::unavailable(problem))
            }
        }
    }

    /// Posts a body, and tells a server that is not there from one that does not
    /// answer: the latter may have acted.
    ///
    /// # Errors
    ///
    /// [`Fault::Usage`] when address or headers cannot be sent.
    pub async fn try_post(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Result<Posted, Fault> {
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
        let is_here = reqwest::Url::parse(url).is_ok_and(|address| is_loopback(&address));
        let client = if is_here { &self.here } else { &self.elsewhere };
        let answer = match client.post(url).headers(map).body(body).send().await {
            Ok(answer) => answer,
            Err(fault) if fault.is_builder() => {
                return Err(no_address(url, &cause(&fault)));
            }
            Err(fault) if fault.is_connect() => {
                return Ok(Posted::NotConnected(no_answer(url, &fault)));
            }
            Err(fault) => return Ok(Posted::NoAnswer(no_answer(url, &fault))),
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(match answer.bytes().await {
            Ok(body) => Posted::Answered(Answer { status, headers, body }),
            Err(fault) => Posted::NoAnswer(no_answer(url, &fault)),
        })
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Posted {
    /// An answer came, whatever its status.
    Answered(Answer),
    /// Nobody was there, and why.
    NotConnected(String),
    /// The request may have arrived, and no answer came.
    NoAnswer(String),
}

/// `localhost` and what lies below it mean this machine by definition:
/// <https://www.rfc-editor.org/rfc/rfc6761#section-6.3>
fn is_loopback(address: &reqwest::Url) -> bool {
    let host = address.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
        Ok(IpAddr::V4(ip)) => ip.is_loopback(),
        Err(_) => {
            let name = host.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

fn no_address(url: &str, problem: &str) -> Fault {
    Fault::usage(
        format!("{url:?} is no address: {problem}"),
        "it must begin with http:// or https://",
    )
}

fn no_answer(url: &str, fault: &reqwest::Error) -> String {
    let what = if fault.is_timeout() { "no answer in time" } else { "no answer" };
    format!("{url}: {what}: {}", cause(fault))
}

/// The innermost cause: `connection refused`.
fn cause(fault: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = fault;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_this_machine_unencrypted_is_warned_of() {
        for here in [
            "http://localhost:3000/webhooks",
            "http://LOCALHOST./x",
            "http://app.localhost/x",
            "http://127.0.0.1:8000/",
            "http://127.8.9.1/",
            "http://0x7f.1/",
            "http://[::1]:3000/",
            "http://[::ffff:127.0.0.1]/",
            "https://hooks.example.com/",
        ] {
            assert_eq!(HttpClient::warning(here), None, "{here}");
        }
        for there in [
            "http://hooks.example.com/",
            "http://localhost.example.com/",
            "http://notlocalhost/",
            "http://192.168.0.7/",
            "http://[2001:db8::1]/",
        ] {
            let warning = HttpClient::warning(there).unwrap_or_default();
            assert!(warning.contains("sends events to it unencrypted"), "{there}: {warning:?}");
        }
    }
}
