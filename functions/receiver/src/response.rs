//! The table of answers: what every outcome says to the provider.
//!
//! | case | status | body |
//! |---|---|---|
//! | accepted, duplicate, sent again | 200, or what the provider's file asks | empty, or TwiML |
//! | handshake | as the provider's file says | challenge |
//! | no or malformed signature | 400 | `{"error":"missing_signature"}`, … |
//! | wrong signature, stale timestamp | 401 | `{"error":"signature_mismatch"}`, … |
//! | a hook that is not let in | 403 | `{"error":"unknown_hook"}` |
//! | body over the limit | 413 | `{"error":"body_too_large"}` |
//! | ledger, queue or secrets unavailable or too slow | 503, `Retry-After` | `{"error":"unavailable"}` |
//! | unknown path, wrong method | 404, 405 with `Allow` | `{"error":"not_found"}`, … |
//!
//! Error bodies never say which secret or byte was wrong, nor which part of the
//! inbox is down.

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use inbox_core::ledger::LedgerError;
use inbox_core::provider::{Rejection, Reply};
use inbox_core::queue::QueueError;
use inbox_core::secrets::SecretsError;

/// Whether the event was new: `accepted` or `duplicate`.
const HEADER_STATUS: HeaderName = HeaderName::from_static("x-inbox-status");
/// The event's idempotency key.
const HEADER_ID: HeaderName = HeaderName::from_static("x-inbox-id");
/// Seconds after which a sender that listens should try again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("10");

/// A request that was let in.
#[derive(Debug)]
pub struct Accepted {
    /// What the provider's file answers.
    pub reply: Reply,
    /// The event's idempotency key.
    pub id: String,
    /// The event's type.
    pub event_type: String,
    /// Whether the event was known already.
    pub is_duplicate: bool,
    /// Whether it was known with another body.
    pub is_conflict: bool,
}

/// A request that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a path of this source.
    #[error("not_found")]
    UnknownPath,
    /// A method that this provider does not use.
    #[error("method_not_allowed")]
    WrongMethod {
        /// The methods it does.
        allowed: &'static [Method],
    },
    /// More bytes than an item of the ledger holds.
    #[error("body_too_large")]
    BodyTooLarge {
        /// How many there were.
        body_bytes: usize,
    },
    /// The gateway's event does not hold what it says.
    #[error("malformed_request")]
    Malformed,
    /// The gateway sends another payload format than the one that holds all that is
    /// signed.
    #[error("unavailable")]
    OldFormat,
    /// The signature or its timestamp.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Of a hook of the provider's that the source does not take.
    #[error("unknown_hook")]
    UnknownHook,
    /// The ledger.
    #[error("unavailable")]
    Ledger(#[from] LedgerError),
    /// The queue.
    #[error("unavailable")]
    Queue(#[from] QueueError),
    /// The secrets store, or what it holds.
    #[error("unavailable")]
    Secrets(#[from] SecretsError),
    /// The whole request took too long.
    #[error("unavailable")]
    TooSlow,
}

impl Accepted {
    /// The answer.
    #[must_use]
    pub fn into_reply(self) -> Reply {
        let status = if self.is_duplicate { "duplicate" } else { "accepted" };
        let reply = self.reply.header(HEADER_STATUS, HeaderValue::from_static(status));
        match HeaderValue::from_str(&self.id) {
            Ok(id) => reply.header(HEADER_ID, id),
            Err(_) => reply,
        }
    }
}

impl Refusal {
    /// What to count it as: the sender's doing, or ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.status() == StatusCode::SERVICE_UNAVAILABLE
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::UnknownHook => StatusCode::FORBIDDEN,
            Self::Rejected(rejection) => rejection.status(),
            Self::Ledger(_)
            | Self::Queue(_)
            | Self::Secrets(_)
            | Self::TooSlow
            | Self::OldFormat => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What is wrong where it is ours, for the log.
    #[must_use]
    pub fn fault(&self) -> String {
        match self {
            Self::TooSlow => "time limit".to_owned(),
            Self::OldFormat => "API Gateway sends payload format 1.0, without the raw query: set \
                                the integration's payload_format_version to 2.0"
                .to_owned(),
            refusal => std::error::Error::source(refusal)
                .map_or_else(|| refusal.to_string(), ToString::to_string),
        }
    }

    /// The answer.
    #[must_use]
    pub fn to_reply(&self) -> Reply {
        let mut reply = Reply::empty(self.status())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        reply.body = format!(r#"{{"error":"{self}"}}"#);
        match self {
            Self::WrongMethod { allowed } => {
                let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
                match HeaderValue::from_str(&names.join(", ")) {
                    Ok(names) => reply.header(ALLOW, names),
                    Err(_) => reply,
                }
            }
            refusal if refusal.is_ours() => reply.header(RETRY_AFTER, RETRY_AFTER_SECONDS),
            _ => reply,
        }
    }
}
