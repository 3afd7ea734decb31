//! The queue: a wake-up call, never the truth.
//!
//! A message names an event and one of its lives; the payload stays in the
//! ledger. It is a CloudEvents 1.0 envelope without `data`, with `dataref` (the
//! claim-check extension) and `life`, so that whoever looks at the queue can
//! tell what it is about, and so that SQS's size limit and forbidden characters
//! never meet a payload. Nor does anything else of it: `subject` may be an address.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Attributes, Event, EventKey, clean_text};
use crate::ledger::ERROR_CHARACTERS;

/// What a message says: look at this event, in this life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The event.
    pub key: EventKey,
    /// Replays and redrives are counted as lives, from 1. A message for another
    /// life than the event's is stale, or, in a dead letter, a new one.
    pub life: u32,
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(flatten)]
    attributes: Attributes<'a>,
    dataref: String,
    /// So that whoever handles it knows how much memory it takes before it is fetched.
    /// Missing where the sender has not got the payload, which then is a large one.
    #[serde(skip_serializing_if = "Option::is_none")]
    payloadbytes: Option<usize>,
    life: u32,
}

#[derive(Deserialize)]
struct Announced {
    payloadbytes: Option<usize>,
}

#[derive(Deserialize)]
struct Received {
    id: String,
    source: String,
    life: u32,
}

impl Pointer {
    /// The message body for `event` in its `life`.
    #[must_use]
    pub fn body(event: &Event, life: u32) -> String {
        let envelope = Envelope {
            attributes: event.attributes_without_payload(),
            dataref: format!("inbox:{}", event.key),
            payloadbytes: Some(event.payload.bytes.len()).filter(|bytes| *bytes > 0),
            life,
        };
        serde_json::to_string(&envelope).expect("text and numbers always serialise")
    }

    /// How large the payload is, as far as a message body says.
    #[must_use]
    pub fn payload_bytes(body: &str) -> Option<usize> {
        serde_json::from_str::<Announced>(body).ok()?.payloadbytes
    }

    /// Reads a message body.
    ///
    /// # Errors
    ///
    /// What is wrong with it, fit for the dead letter.
    pub fn parse(body: &str) -> Result<Self, String> {
        let received: Received = serde_json::from_str(body)
            // serde's own message may quote the text.
            .map_err(|fault| {
                let (kind, line, column) = (fault.classify(), fault.line(), fault.column());
                format!("not a message of this inbox: {kind:?} at line {line} column {column}")
            })?;
        let source = received
            .source
            .strip_prefix("/webhooks/")
            .ok_or_else(|| "not a message of this inbox: source is not /webhooks/…".to_owned())?;
        if received.life == 0 {
            return Err("not a message of this inbox: lives count from 1".to_owned());
        }
        let key = EventKey { source: source.to_owned(), id: received.id };
        Ok(Self { key, life: received.life })
    }
}

/// A message for the dead-letter queue.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message body: a pointer, or what could not be read as one.
    pub body: String,
    /// Name and value of each message attribute, in a fixed order; none is
    /// empty, since SQS refuses empty values.
    pub attributes: Vec<(&'static str, String)>,
}

/// The body's size: what could not be read may hold anything.
impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("body_bytes", &self.body.len())
            .field("attributes", &self.attributes)
            .finish()
    }
}

impl DeadLetter {
    /// The copy of an event that is given up. It names the *next* life: only
    /// redriving it can open the event again.
    #[must_use]
    pub fn buried(event: &Event, life: u32, attempts: u32, error: &str) -> Self {
        Self::with(
            Pointer::body(event, life + 1),
            &[
                ("source", &event.key.source),
                ("event_type", &event.event_type),
                ("event_id", &event.key.id),
                ("error", error),
                ("attempts", &attempts.to_string()),
            ],
        )
    }

    /// A message that cannot be read, as it came.
    #[must_use]
    pub fn unreadable(body: String, error: &str) -> Self {
        Self::with(body, &[("error", error)])
    }

    fn with(body: String, attributes: &[(&'static str, &str)]) -> Self {
        let attributes = attributes
            .iter()
            .map(|(name, value)| (*name, clean_text(value, ERROR_CHARACTERS)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Self { body, attributes }
    }
}

/// The queue did not take or change a message.
#[derive(Clone, Debug, thiserror::Error)]
#[error("queue unavailable: {0}")]
pub struct QueueError(pub String);

/// Where messages go.
pub trait Queue: Send + Sync {
    /// Sends the message that wakes the processor for `event` in `life`.
    fn send(&self, event: &Event, life: u32)
    -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Sends that message into the lane, the queue of slow routes. It can be received
    /// after `delay`: whole seconds, at most 15 min.
    fn send_to_lane(
        &self,
        event: &Event,
        life: u32,
        delay: Duration,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Sends a message to the dead-letter queue.
    fn send_dead(&self, letter: &DeadLetter)
    -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Hides a received message for `seconds`, at most 43,200 from its receipt: one of the
    /// lane, or of the main queue.
    fn hide(
        &self,
        receipt_handle: &str,
        from_lane: bool,
        seconds: u32,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// How much waits in a queue.
pub trait Backlog: Send + Sync {
    /// Messages that could be received now. Approximate: SQS's count lags by about
    /// a minute.
    fn waiting(&self) -> impl Future<Output = Result<u64, QueueError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;

    #[test]
    fn a_pointer_names_event_and_life_and_carries_no_payload() {
        let event = event("application/json", b"{\"card\":4242}");
        let body = Pointer::body(&event, 3);
        let end = r#""dataref":"inbox:stripe_eu#evt_1","payloadbytes":13,"life":3}"#;
        assert!(body.ends_with(end), "{body}");
        assert!(!body.contains("4242") && !body.contains("pi_1"), "{body}");
        assert_eq!(Pointer::payload_bytes(&body), Some(13));
        let unloaded = super::Pointer::body(&crate::event::tests::event("", b""), 3);
        assert_eq!(Pointer::payload_bytes(&unloaded), None);
        assert_eq!(Pointer::payload_bytes("not JSON"), None);
        assert_eq!(Pointer::parse(&body), Ok(Pointer { key: event.key, life: 3 }));
    }

    #[test]
    fn what_is_not_a_pointer_is_refused_with_a_reason() {
        for (body, reason) in [
            ("", "not a message of this inbox: Eof at line 1 column 0"),
            ("{\"id\":4242}", "not a message of this inbox: Data at line 1 column 10"),
            (
                r#"{"id":"1","source":"elsewhere","life":1}"#,
                "not a message of this inbox: source is not /webhooks/…",
            ),
            (
                r#"{"id":"1","source":"/webhooks/x","life":0}"#,
                "not a message of this inbox: lives count from 1",
            ),
        ] {
            assert_eq!(Pointer::parse(body), Err(reason.to_owned()));
        }
    }

    #[test]
    fn a_dead_letter_names_the_next_life_and_its_error_is_capped_and_clean() {
        let event = event("application/json", b"{}");
        let letter =
            DeadLetter::buried(&event, 1, 7, &("bad\n\u{1b}[0m".to_owned() + &"x".repeat(999)));
        assert_eq!(Pointer::parse(&letter.body).unwrap().life, 2);
        let error = &letter.attributes[3];
        assert_eq!(error.0, "error");
        assert!(error.1.starts_with("bad[0mxxx") && error.1.chars().count() == ERROR_CHARACTERS);
        assert_eq!(letter.attributes[4], ("attempts", "7".to_owned()));
    }

    #[test]
    fn empty_attributes_are_left_out_because_sqs_refuses_them() {
        assert_eq!(DeadLetter::unreadable("x".into(), "\n").attributes, []);
    }
}
