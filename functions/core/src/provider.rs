//! What a provider's file has to say: how its requests are verified, what
//! identifies an event, what it wants as an answer.
//!
//! A provider is one file in `functions/receiver/src/providers/` with one type
//! that implements [`Provider`], one line in the registry there, and one folder
//! of fixtures. Nothing here touches the network or the clock.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::Timestamp;
use crate::request::{Request, Verified};
use crate::secrets::{Secret, SecretBundle};
use crate::signature::Proof;

/// One provider's scheme.
pub trait Provider: Send + Sync {
    /// The provider's one name everywhere: file, registry, Terraform, fixtures.
    fn name(&self) -> &'static str;

    /// Checks the signature, then the timestamp where one is signed.
    ///
    /// # Errors
    ///
    /// The first reason that applies, in the order of [`Rejection`].
    fn verify(
        &self,
        request: &Request,
        secrets: &SecretBundle,
        now: Timestamp,
    ) -> Result<Proof, Rejection>;

    /// Reads what identifies the event. Called only with verified requests;
    /// what cannot be read is left out and the event is stored all the same.
    fn identify(&self, request: &Request<Verified>) -> Identity;

    /// The headers that the provider itself would send with this request, the
    /// signature among them: for `inbox send`, the demo and the tests, so that
    /// each scheme is written down twice in one file, once for each direction.
    fn sign(&self, unsigned: &Unsigned<'_>, secret: &Secret) -> Vec<(&'static str, String)>;

    /// Headers to store with the event, in lower case. Never a signature, a
    /// token or an authorization.
    fn kept_headers(&self) -> &'static [&'static str];

    /// The answer to an accepted event.
    fn reply(&self, _request: &Request<Verified>) -> Reply {
        Reply::empty(StatusCode::OK)
    }

    /// The methods that the provider calls with: POST, and GET where its
    /// handshake or its deliveries can be one.
    fn methods(&self) -> &'static [Method] {
        &[Method::POST]
    }

    /// The answer to a handshake (a challenge to echo, a subscription to
    /// confirm), or `None` when the request is a delivery. Where the provider
    /// signs its handshake, this must verify it.
    fn handshake(
        &self,
        _request: &Request,
        _secrets: &SecretBundle,
        _now: Timestamp,
    ) -> Option<Result<Reply, Rejection>> {
        None
    }

    /// Whether the signed text includes the URL, so that `PUBLIC_BASE_URL` is
    /// needed.
    fn signs_url(&self) -> bool {
        false
    }

    /// Whether it says which of its hooks a delivery is of ([`Identity::hook_id`]),
    /// so that `HOOK_IDS` can name those that are let in.
    fn names_hook(&self) -> bool {
        false
    }

    /// Whether this can be one of the provider's signing secrets; if not, what
    /// to do about it, without quoting the value.
    ///
    /// # Errors
    ///
    /// The advice.
    fn check_secret(&self, _secret: &Secret) -> Result<(), &'static str> {
        Ok(())
    }

    /// What speaks against a secret that can be one, for people who choose another:
    /// no reason to refuse it. Must not quote it.
    fn secret_concern(&self, _secret: &Secret) -> Option<&'static str> {
        None
    }

    /// When the request says that it was signed, where the scheme signs a time:
    /// for people who ask why it was refused. Nothing is believed of it.
    fn signed_at(&self, _request: &Request) -> Option<Timestamp> {
        None
    }

    /// How far the signed time may be from now, where one is signed.
    fn tolerance(&self) -> Option<Duration> {
        None
    }

    /// The address to call with this body, where the provider puts something
    /// about the body into the query.
    fn address(&self, url: &str, _content_type: &str, _body: &[u8]) -> String {
        url.to_owned()
    }

    /// Whether it sends JSON indented, so that indented JSON is no sign of a
    /// body that was written anew.
    fn indents_json(&self) -> bool {
        false
    }

    /// What only this provider's file can tell about a request that it refused:
    /// its own traps, most likely first, each a sentence or two that say what to
    /// do. What holds for every provider (missing headers, white space, bodies
    /// written anew) is found without its help. Must not quote a secret, nor a
    /// part of one.
    fn advise(
        &self,
        _request: &Request,
        _secrets: &SecretBundle,
        _rejection: Rejection,
    ) -> Vec<String> {
        Vec::new()
    }
}

/// A request that is to be signed as a provider would.
#[derive(Clone, Copy)]
pub struct Unsigned<'a> {
    /// The whole address, with query, as the provider was told to call it.
    pub url: &'a str,
    /// Media type of the body.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The provider's id of the event or delivery, where a header carries it.
    pub id: &'a str,
    /// The provider's event type, where a header carries it.
    pub event_type: &'a str,
    /// When it is signed.
    pub now: Timestamp,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A header that the scheme needs is not there.
    #[error("missing_signature")]
    MissingSignature,
    /// The header is there and does not read as the scheme says.
    #[error("malformed_signature")]
    MalformedSignature,
    /// No secret makes this signature.
    #[error("signature_mismatch")]
    SignatureMismatch {
        /// Whether the request would have been fresh enough: only then may it
        /// have been signed with a secret that is newer than the cache.
        fresh: bool,
    },
    /// Properly signed, but too long ago, or in the future.
    #[error("stale_timestamp")]
    StaleTimestamp,
}

impl Rejection {
    /// What the sender is told, and the metric's dimension.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::MissingSignature => "missing_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::SignatureMismatch { .. } => "signature_mismatch",
            Self::StaleTimestamp => "stale_timestamp",
        }
    }

    /// 400 when the request cannot be judged, 401 when it was.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::MissingSignature | Self::MalformedSignature => StatusCode::BAD_REQUEST,
            Self::SignatureMismatch { .. } | Self::StaleTimestamp => StatusCode::UNAUTHORIZED,
        }
    }
}

/// What a provider's file read from a verified request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// What the provider documents for deduplication; without it the event is
    /// known by a hash of its content.
    pub idempotency_key: Option<String>,
    /// The provider's own name for what happened; without it the event is
    /// stored as `unknown`.
    pub event_type: Option<String>,
    /// When it happened, by the provider's clock.
    pub occurred_at: Option<Timestamp>,
    /// The object that it happened to, such as `pi_…` or a repository.
    pub subject: Option<String>,
    /// The provider's id of this attempt or delivery, where it differs.
    pub delivery_id: Option<String>,
    /// The subscription that it was sent for, where the provider says so: it calls
    /// once for each of them.
    pub hook_id: Option<String>,
    /// The event itself, where it is not the whole body (GitHub's form field).
    pub payload: Option<Payload>,
}

/// Bytes with their media type.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// What the bytes are, for example `application/json`.
    pub content_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// The size only: payloads stay out of logs.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("content_type", &self.content_type)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, text only: providers ask for nothing else.
    pub body: String,
}

impl Reply {
    /// A status and nothing else.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: String::new() }
    }

    /// A 200 with a body of the given media type.
    #[must_use]
    pub fn with_body(content_type: &'static str, body: String) -> Self {
        let mut reply = Self::empty(StatusCode::OK);
        reply.body = body;
        reply.header(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}
