//! A provider's HTTP request, before and after its signature was checked.
//!
//! ```text
//! Request<Unverified> ── verify(provider, secrets, now) ──▶ Request<Verified>
//!                     └─▶ Refused { rejection, request }   for a try with newer secrets
//! ```
//!
//! `Request<Verified>` can only be made here, and only from a
//! [`Proof`](crate::signature::Proof), which only a constant-time comparison
//! can make. Whatever stores or forwards a request asks for the verified one,
//! so letting an unverified byte through does not compile:
//!
//! ```compile_fail
//! use inbox_core::request::{Request, Verified};
//! fn store(_: &Request<Verified>) {}
//! let request = Request::new(http::Method::POST, String::new(), http::HeaderMap::new(), "{}".into());
//! store(&request);
//! ```

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::Timestamp;
use crate::provider::{Provider, Rejection};
use crate::secrets::SecretBundle;

/// Nobody has vouched for this request yet.
#[derive(Debug)]
pub enum Unverified {}

/// One of the source's secrets signed this request.
#[derive(Debug)]
pub enum Verified {}

/// A request as it came in: body bytes untouched, header names without case.
pub struct Request<State = Unverified> {
    method: Method,
    raw_query: String,
    headers: HeaderMap,
    body: Bytes,
    public_urls: Vec<String>,
    signed_url: Option<String>,
    state: PhantomData<State>,
}

impl Request<Unverified> {
    /// `raw_query` is the query as it stood in the request line, without `?`
    /// and without any decoding; `body` is what was sent, after API Gateway's
    /// base64 and nothing else.
    #[must_use]
    pub fn new(method: Method, raw_query: String, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            method,
            raw_query,
            headers,
            body,
            public_urls: Vec::new(),
            signed_url: None,
            state: PhantomData,
        }
    }

    /// Sets the addresses that the provider may have been told to call, without
    /// query, for the schemes that sign them: one, or two while a source moves.
    /// They come from configuration, never from the request: what the function
    /// sees is not what the provider called (Twilio's error 57012).
    #[must_use]
    pub fn with_public_urls(mut self, urls: impl IntoIterator<Item = String>) -> Self {
        self.public_urls = urls.into_iter().collect();
        self
    }

    /// Checks the signature by the provider's scheme.
    ///
    /// # Errors
    ///
    /// The reason, and the request, so that the caller can try again with
    /// secrets fetched anew.
    pub fn verify(
        self,
        provider: &dyn Provider,
        secrets: &SecretBundle,
        now: Timestamp,
    ) -> Result<Request<Verified>, Box<Refused>> {
        match provider.verify(&self, secrets, now) {
            Ok(proof) => Ok(Request {
                method: self.method,
                raw_query: self.raw_query,
                headers: self.headers,
                body: self.body,
                public_urls: self.public_urls,
                signed_url: proof.into_url(),
                state: PhantomData,
            }),
            Err(rejection) => Err(Box::new(Refused { rejection, request: self })),
        }
    }
}

impl<State> Request<State> {
    /// The HTTP method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The query as sent, without `?`; empty when there is none.
    #[must_use]
    pub fn raw_query(&self) -> &str {
        &self.raw_query
    }

    /// The exact bytes received.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// A header's value by its name in any case. Repeated headers read as one,
    /// joined by commas, as RFC 9110 says and as API Gateway's payload 2.0
    /// delivers them; a value that is not text reads as if its bytes were
    /// replaced, which no signature survives.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.headers.get_all(name).iter();
        let first = String::from_utf8_lossy(values.next()?.as_bytes());
        Some(values.fold(first, |mut joined, value| {
            let text = joined.to_mut();
            text.push(',');
            text.push_str(&String::from_utf8_lossy(value.as_bytes()));
            joined
        }))
    }

    /// All headers, names without case.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The media type without parameters, in lower case; empty when missing.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The addresses that the provider may have called, as configured, without
    /// query.
    #[must_use]
    pub fn public_urls(&self) -> &[String] {
        &self.public_urls
    }
}

impl Request<Verified> {
    /// The address that the signature covers, with its query, where the scheme
    /// signs one. It may hold a password.
    #[must_use]
    pub fn signed_url(&self) -> Option<&str> {
        self.signed_url.as_deref()
    }
}

/// A request that did not verify.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub rejection: Rejection,
    /// The request, as unverified as before.
    pub request: Request,
}

/// Sizes only: a request holds signatures, tokens and personal data.
impl<State> fmt::Debug for Request<State> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &'static str)]) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Request::new(Method::POST, String::new(), map, Bytes::from_static(b"card 4242"))
    }

    #[test]
    fn headers_are_found_in_any_case_and_repeats_are_joined() {
        let request = request(&[("x-sig", "a"), ("x-sig", "b")]);
        assert_eq!(request.header("X-SIG").as_deref(), Some("a,b"));
        assert_eq!(request.header("x-other"), None);
    }

    #[test]
    fn the_media_type_has_no_parameters_and_no_case() {
        let request = request(&[("content-type", "Application/JSON; charset=utf-8")]);
        assert_eq!(request.media_type(), "application/json");
    }

    #[test]
    fn debug_shows_sizes_and_no_content() {
        let shown = format!("{:?}", request(&[("authorization", "Bearer token")]));
        assert_eq!(shown, "Request { method: POST, headers: 1, body_bytes: 9, .. }");
    }
}
