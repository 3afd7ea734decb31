//! A request that somebody captured: raw HTTP, or API Gateway's event.
//!
//! ```text
//! POST /webhooks/stripe?a=1 HTTP/1.1      may be missing
//! Stripe-Signature: t=…,v1=…              CRLF or LF
//!                                         the empty line
//! {"id": …                                every byte behind it, as it is
//! ```
//!
//! or `{"rawPath":…,"headers":…,"body":…,"requestContext":…}`, payload 2.0.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use inbox_core::Timestamp;
use inbox_core::provider::{Provider, Rejection};
use inbox_core::request::{Request, Verified};
use inbox_core::secrets::SecretBundle;
use inbox_receiver::gateway::GatewayEvent;
use inbox_receiver::response::Refusal;

/// Said of JSON that cannot be read.
const NO_EVENT: &str = "it begins as JSON and is no API Gateway event (HTTP API, payload 2.0); a \
                        raw request has header lines, an empty line, and the body";

/// A request in parts, to be altered and judged again.
#[derive(Clone)]
pub struct Captured {
    /// The method.
    pub method: Method,
    /// The address without query, where it is known.
    pub address: Option<String>,
    /// The query as sent, without `?`.
    pub query: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The bytes behind the headers.
    pub body: Bytes,
}

impl Captured {
    /// Reads either form.
    ///
    /// # Errors
    ///
    /// Says what is wrong, without quoting content.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.trim_ascii().is_empty() {
            return Err("there is no request on standard input".to_owned());
        }
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Self::parse_gateway(bytes);
        }
        Self::parse_http(bytes)
    }

    fn parse_gateway(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| NO_EVENT.to_owned())?;
        let (path, request) = GatewayEvent::read(text).map_err(|refusal| match refusal {
            Refusal::OldFormat => refusal.fault(),
            _ => NO_EVENT.to_owned(),
        })?;
        let mut captured = Self {
            method: request.method().clone(),
            address: None,
            query: request.raw_query().to_owned(),
            headers: request.headers().clone(),
            body: request.body().clone(),
        };
        captured.address = captured.guessed_address(&path);
        Ok(captured)
    }

    fn parse_http(bytes: &[u8]) -> Result<Self, String> {
        let mut captured = Self {
            method: Method::POST,
            address: None,
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let mut target = String::new();
        let mut rest = bytes;
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let end = rest.iter().position(|byte| *byte == b'\n');
            let line = &rest[..end.unwrap_or(rest.len())];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            rest = end.map_or(&[][..], |end| &rest[end + 1..]);
            if line.is_empty() {
                captured.body = Bytes::copy_from_slice(rest);
                break;
            }
            if number == 1
                && let Some((method, asked)) = request_line(line)
            {
                (captured.method, target) = (method, asked);
                continue;
            }
            let (name, value) = header(line).ok_or_else(|| {
                format!(
                    "line {number} is neither a header nor the empty line that stands between \
                     headers and body"
                )
            })?;
            captured.headers.append(name, value);
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        captured.address = captured.guessed_address(path);
        query.clone_into(&mut captured.query);
        Ok(captured)
    }

    /// Where it was sent, as far as it says so itself: providers call HTTPS,
    /// whatever the last hop was.
    fn guessed_address(&self, path: &str) -> Option<String> {
        if path.starts_with("http://") || path.starts_with("https://") {
            return Some(path.to_owned());
        }
        let host = self.headers.get("host")?.to_str().ok()?;
        let forwarded = self.headers.get("x-forwarded-proto").and_then(|it| it.to_str().ok());
        let is_local = host.starts_with("localhost") || host.starts_with("127.0.0.1");
        let scheme = forwarded.unwrap_or(if is_local { "http" } else { "https" });
        path.starts_with('/').then(|| format!("{scheme}://{host}{path}"))
    }

    /// Sent to `url`; its query, if it has one, counts instead of the captured
    /// one. Tells whether the two differ.
    pub fn set_url(&mut self, url: &str) -> bool {
        let url = url.split('#').next().unwrap_or_default();
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        self.address = Some(address.to_owned());
        if query.is_empty() || query == self.query {
            return false;
        }
        let differs = !self.query.is_empty();
        query.clone_into(&mut self.query);
        differs
    }

    /// As the receiver would have had it.
    #[must_use]
    pub fn request(&self) -> Request {
        let Self { method, query, headers, body, address } = self.clone();
        Request::new(method, query, headers, body).with_public_urls(address)
    }

    /// Verifies by the provider's own file, and by nothing else.
    ///
    /// # Errors
    ///
    /// Why it is refused.
    pub fn judge(
        &self,
        provider: &dyn Provider,
        secrets: &SecretBundle,
        now: Timestamp,
    ) -> Result<Request<Verified>, Rejection> {
        self.request().verify(provider, secrets, now).map_err(|refused| refused.rejection)
    }
}

/// Sizes only: it holds signatures and personal data.
impl std::fmt::Debug for Captured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.request().fmt(f)
    }
}

/// `POST /path?query HTTP/1.1`.
fn request_line(line: &[u8]) -> Option<(Method, String)> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_target = target.starts_with('/') || target.starts_with("http");
    let method = (is_method && is_target).then(|| Method::from_bytes(method.as_bytes()).ok())??;
    Some((method, target.to_owned()))
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
    Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Captured {
        Captured::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_byte_behind_the_empty_line_is_the_body() {
        for end in ["\n", "\r\n"] {
            let text = format!(
                "POST /in?a=%27 HTTP/1.1{end}Host: h.example{end}X-Sig:  a{end}x-sig: b{end}{end}\
                 {{\"a\":1}}\r\n\r\n"
            );
            let captured = read(&text);
            assert_eq!(captured.body, "{\"a\":1}\r\n\r\n");
            assert_eq!(captured.query, "a=%27");
            assert_eq!(captured.address.as_deref(), Some("https://h.example/in"));
            assert_eq!(captured.request().header("X-Sig").as_deref(), Some("a,b"));
        }
    }

    #[test]
    fn the_request_line_and_the_body_may_be_missing() {
        let captured = read("X-Sig: a\n\nbody");
        assert_eq!((captured.method, captured.address), (Method::POST, None));
        let get = read("GET https://h.example/in?x=1 HTTP/1.1\nX-Sig: a");
        assert_eq!((get.method, get.body), (Method::GET, Bytes::new()));
        assert_eq!(get.address.as_deref(), Some("https://h.example/in"));
    }

    #[test]
    fn a_gateways_event_is_read_as_the_receiver_reads_it() {
        let captured = read(
            r#" {"rawPath":"/webhooks/x","rawQueryString":"a=1","body":"eyJhIjoxfQ==",
                "isBase64Encoded":true,"headers":{"host":"h.example","x-sig":"s"},
                "requestContext":{"http":{"method":"POST"}}}"#,
        );
        assert_eq!(captured.body, r#"{"a":1}"#);
        assert_eq!(captured.query, "a=1");
        assert_eq!(captured.address.as_deref(), Some("https://h.example/webhooks/x"));
    }

    #[test]
    fn what_is_no_request_is_told_without_quoting_it() {
        for (text, part) in [
            (" \n", "no request"),
            ("{\"id\":\"marker-1\"}", "no API Gateway event"),
            ("{\"version\":\"1.0\",\"body\":\"marker-1\"}", "payload format 1.0"),
            ("X-Sig: a\nmarker-1\n", "line 2 is neither"),
        ] {
            let told = Captured::parse(text.as_bytes()).unwrap_err();
            assert!(told.contains(part) && !told.contains("marker-1"), "{told}");
        }
    }

    #[test]
    fn the_given_address_wins_and_a_query_that_differs_is_noticed() {
        let mut captured = read("POST /in?a=1 HTTP/1.1\nHost: internal\n\n");
        assert!(!captured.set_url("https://public.example/in"));
        assert_eq!(captured.query, "a=1");
        assert!(captured.set_url("https://public.example/in?a=2"));
        assert_eq!(captured.query, "a=2");
        assert_eq!(captured.address.as_deref(), Some("https://public.example/in"));
    }
}
