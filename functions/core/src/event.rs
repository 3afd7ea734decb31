//! An event, as handlers, subscribers and operators see it: CloudEvents 1.0.
//!
//! JSON payloads are embedded byte for byte: duplicate keys, number forms such
//! as `1.0e2` and escapes such as `\u001B` reach the handler as the provider
//! wrote them. Everything else travels as `data_base64`.
//!
//! What parses as JSON is JSON, whatever it was called: many senders leave the content
//! type to their HTTP library, which says `text/plain`, `application/x-www-form-urlencoded`
//! or nothing. Then `datacontenttype` says what the data is, and `sentcontenttype` what it
//! was called.

use std::collections::BTreeMap;
use std::fmt;

use base64::display::Base64Display;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::Timestamp;
use crate::provider::Payload;

/// How often an event was forwarded from inbox to inbox. The handler `forward` counts,
/// and gives up what goes round.
pub const HEADER_HOPS: &str = "x-inbox-hops";

/// What a JSON payload is called that was sent as something else.
const JSON: &str = "application/json";

/// The type of events whose provider's type could not be read.
pub const TYPE_UNKNOWN: &str = "unknown";

/// What an envelope's attributes take, rounded up.
const ATTRIBUTES_BYTES: usize = 2048;

/// An event's identity in the ledger: unique within a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey {
    /// The endpoint that received it. Holds no `#`.
    pub source: String,
    /// The idempotency key.
    pub id: String,
}

impl EventKey {
    /// Reads the ledger's form, `{source}#{id}`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (source, id) = text.split_once('#')?;
        Some(Self { source: source.to_owned(), id: id.to_owned() })
    }
}

/// The ledger's form, `{source}#{id}`.
impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.source, self.id)
    }
}

/// What was received, without what has become of it since.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Source and idempotency key.
    pub key: EventKey,
    /// The provider's name.
    pub provider: String,
    /// The provider's own type, for example `payment_intent.succeeded`.
    pub event_type: String,
    /// The provider's id of this delivery, where it differs from the event's.
    pub delivery_id: Option<String>,
    /// The object that it is about.
    pub subject: Option<String>,
    /// When it happened, by the provider's clock.
    pub occurred_at: Option<Timestamp>,
    /// When the receiver accepted it.
    pub received_at: Timestamp,
    /// W3C trace context of the request that brought it.
    pub traceparent: Option<String>,
    /// The body.
    pub payload: Payload,
    /// Request headers on the provider's allow-list, names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// Identity and sizes: payloads and headers stay out of logs.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("key", &self.key)
            .field("event_type", &self.event_type)
            .field("payload_bytes", &self.payload.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Event {
    /// The event as one CloudEvents 1.0 JSON object, payload included.
    #[must_use]
    pub fn to_cloudevent(&self) -> String {
        let json = self.json();
        let base64 =
            json.is_none().then(|| Shown(Base64Display::new(&self.payload.bytes, &STANDARD)));
        // Base64 is the longest: four characters for three bytes.
        let room = self.payload.bytes.len() / 3 * 4 + ATTRIBUTES_BYTES;
        let attributes = self.attributes(json.is_some());
        written(room, &Whole { attributes, dataref: None, data: json, data_base64: base64 })
    }

    /// The same without the payload, for targets that it is too large for.
    /// `dataref`, of CloudEvents' claim-check extension, says where it lies:
    /// <https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/dataref.md>.
    #[must_use]
    pub fn to_cloudevent_with_dataref(&self, dataref: &str) -> String {
        let attributes = self.attributes(self.json().is_some());
        let dataref = Some(dataref);
        written(ATTRIBUTES_BYTES, &Whole { attributes, dataref, data: None, data_base64: None })
    }

    /// CloudEvents' `type`: the provider, a full stop and its own type.
    #[must_use]
    pub fn full_type(&self) -> String {
        format!("{}.{}", self.provider, self.event_type)
    }

    /// The context attributes as text, `datacontenttype` among them, for bindings that
    /// carry them beside the payload.
    #[must_use]
    pub fn context_attributes(&self) -> BTreeMap<String, String> {
        let attributes = serde_json::to_value(self.attributes(self.json().is_some()));
        serde_json::from_value(attributes.expect("text always serialises"))
            .expect("every attribute is text")
    }

    /// The payload as JSON text, when it is JSON. Of what was not called JSON, only an
    /// object or an array is: a text that happens to be a number stays a text.
    #[must_use]
    pub fn json(&self) -> Option<&RawValue> {
        let json: &RawValue = serde_json::from_slice(&self.payload.bytes).ok()?;
        let is_meant = json.get().starts_with(['{', '[']) || is_json(&self.payload.content_type);
        is_meant.then_some(json)
    }

    /// The attributes of a message that holds nothing of the payload: not what it is
    /// about, and its type as it was sent, since nobody looks at it.
    pub(crate) fn attributes_without_payload(&self) -> Attributes<'_> {
        Attributes { subject: None, ..self.attributes(false) }
    }

    fn attributes(&self, is_json: bool) -> Attributes<'_> {
        let sent = self.payload.content_type.as_str();
        let is_called_otherwise = is_json && !self::is_json(sent);
        Attributes {
            specversion: "1.0",
            id: &self.key.id,
            source: format!("/webhooks/{}", self.key.source),
            r#type: self.full_type(),
            time: self.occurred_at.unwrap_or(self.received_at).to_rfc3339(),
            subject: self.subject.as_deref(),
            datacontenttype: if is_called_otherwise { JSON } else { sent },
            sentcontenttype: Some(sent).filter(|sent| is_called_otherwise && !sent.is_empty()),
            deliveryid: self.delivery_id.as_deref(),
            receivedat: self.received_at.to_rfc3339(),
            traceparent: self.traceparent.as_deref(),
        }
    }
}

/// CloudEvents context attributes. Extension names are lower case and short, as
/// the specification asks.
#[derive(Serialize)]
pub(crate) struct Attributes<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    datacontenttype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentcontenttype: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveryid: Option<&'a str>,
    receivedat: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    attributes: Attributes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataref: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<Shown<'a>>,
}

/// `room` is about how long it will be: growing to it would take twice as much.
fn written(room: usize, envelope: &Whole<'_>) -> String {
    let mut written = Vec::with_capacity(room);
    serde_json::to_writer(&mut written, envelope).expect("text and numbers always serialise");
    String::from_utf8(written).expect("JSON is UTF-8")
}

/// Base64 as it is written, without a copy of its own.
struct Shown<'a>(Base64Display<'a, 'a, GeneralPurpose>);

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// `application/json`, `text/json` and everything that ends in `+json`.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let Some((_, subtype)) = media_type.split_once('/') else { return false };
    let subtype = subtype.to_ascii_lowercase();
    subtype == "json" || subtype.ends_with("+json")
}

/// Makes text from outside fit for keys, queues, headers and terminals: what steers
/// ([`steers`]) and what SQS refuses (U+FFFE, U+FFFF) is dropped, and it ends after
/// `most` characters.
#[must_use]
pub fn clean_text(text: &str, most: usize) -> String {
    text.chars()
        .filter(|c| !steers(*c) && !matches!(c, '\u{FFFE}' | '\u{FFFF}'))
        .take(most)
        .collect()
}

/// Whether a terminal or a viewer does something else for a character than to show
/// it: control characters (C0, DEL and C1), and those that turn the direction of what
/// follows, with which a line can be made to read like another
/// (<https://trojansource.codes>).
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine as _;

    use super::*;

    pub(crate) fn event(content_type: &str, body: &'static [u8]) -> Event {
        Event {
            key: EventKey { source: "stripe_eu".into(), id: "evt_1".into() },
            provider: "stripe".into(),
            event_type: "payment_intent.succeeded".into(),
            delivery_id: None,
            subject: Some("pi_1".into()),
            occurred_at: Timestamp::from_unix_seconds(1_764_000_000),
            received_at: Timestamp::from_unix_ms(1_764_000_001_500).unwrap(),
            traceparent: None,
            payload: Payload { content_type: content_type.into(), bytes: body.into() },
            headers: BTreeMap::new(),
        }
    }

    #[test]
    fn json_is_embedded_byte_for_byte() {
        let body = br#"{"a": 1.0e2,"a":-0,  "esc":"\u001B\ud83d\ude00\/", "n":123456789012345678901234567890}"#;
        assert_eq!(
            event("application/json; charset=utf-8", body).to_cloudevent(),
            concat!(
                r#"{"specversion":"1.0","id":"evt_1","source":"/webhooks/stripe_eu","#,
                r#""type":"stripe.payment_intent.succeeded","time":"2025-11-24T16:00:00.000Z","#,
                r#""subject":"pi_1","datacontenttype":"application/json; charset=utf-8","#,
                r#""receivedat":"2025-11-24T16:00:01.500Z","#,
                r#""data":{"a": 1.0e2,"a":-0,  "esc":"\u001B\ud83d\ude00\/", "n":123456789012345678901234567890}}"#,
            )
        );
    }

    #[test]
    fn what_is_not_json_travels_as_base64() {
        for (content_type, body) in [
            ("application/x-www-form-urlencoded", &b"a=1"[..]),
            ("application/json", b"not json"),
            ("application/json", b"\"\xff\""),
            ("text/plain", b"4242"),
            ("text/plain", b"null"),
            ("application/octet-stream", b"\"text\""),
            ("application/x-www-form-urlencoded", b"{\"a\":1}=&b=2"),
        ] {
            let whole = event(content_type, body).to_cloudevent();
            let encoded = STANDARD.encode(body);
            assert!(whole.ends_with(&format!(r#""data_base64":"{encoded}"}}"#)), "{whole}");
        }
    }

    #[test]
    fn what_parses_as_json_is_json_and_the_type_as_sent_is_kept() {
        for sent in ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]
        {
            for body in ["{\"a\": 1.0e2}", " [1,2]\r\n"] {
                let event = event(sent, body.as_bytes());
                let whole = event.to_cloudevent();
                let told =
                    format!(r#""datacontenttype":"application/json","sentcontenttype":"{sent}""#);
                assert!(whole.contains(&told), "{whole}");
                assert!(whole.ends_with(&format!(r#""data":{}}}"#, body.trim())), "{whole}");
                assert!(event.to_cloudevent_with_dataref("s3://a/b").contains(&told));
                assert_eq!(event.context_attributes()["datacontenttype"], "application/json");
            }
        }
        // Nothing was said.
        let unnamed = event("", b"{}").to_cloudevent();
        let told = r#""datacontenttype":"application/json","receivedat""#;
        assert!(unnamed.contains(told), "{unnamed}");
        // What is called JSON keeps its name.
        let named = event("application/vnd.api+json", b"{}").to_cloudevent();
        assert!(named.contains(r#""datacontenttype":"application/vnd.api+json","#), "{named}");
        assert!(!named.contains("sentcontenttype"), "{named}");
        let nothing = event("", b"\xff").to_cloudevent();
        assert!(!nothing.contains("contenttype"), "{nothing}");
    }

    #[test]
    fn a_reference_stands_where_the_data_would() {
        let whole = event("application/json", b"{}").to_cloudevent();
        let referring = event("application/json", b"{}")
            .to_cloudevent_with_dataref("s3://payloads/stripe/1.gz");
        assert_eq!(
            referring,
            whole.replace(r#""data":{}"#, r#""dataref":"s3://payloads/stripe/1.gz""#)
        );
    }

    #[test]
    fn the_attributes_alone_are_those_of_the_envelope() {
        let event = event("application/json", b"{}");
        let attributes = event.context_attributes();
        let mut whole: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&event.to_cloudevent()).unwrap();
        whole.remove("data");
        assert!(attributes.keys().eq(whole.keys()), "{attributes:?}");
        assert_eq!(attributes["type"], "stripe.payment_intent.succeeded");
        assert_eq!(attributes["datacontenttype"], "application/json");
    }

    #[test]
    fn a_lone_surrogate_escape_and_deep_nesting_are_kept_too() {
        assert!(event("application/json", br#"{"a":"\ud800"}"#).json().is_some());
        let deep: &'static [u8] =
            Box::leak(("[".repeat(100_000) + &"]".repeat(100_000)).into_boxed_str()).as_bytes();
        assert_eq!(event("application/problem+json", deep).json().unwrap().get().len(), 200_000);
    }

    #[test]
    fn text_from_outside_loses_what_queues_and_terminals_choke_on() {
        assert_eq!(clean_text("a\u{1b}[31m\r\nb\u{0}\u{FFFF}é", 99), "a[31mbé");
        assert_eq!(clean_text("abc", 2), "ab");
        // C1 controls, and what turns the direction.
        assert_eq!(clean_text("a\u{9b}2J\u{202e}b\u{2066}c", 99), "a2Jbc");
    }

    #[test]
    fn keys_survive_a_round_trip_even_with_separators_in_the_id() {
        let key = EventKey { source: "twilio".into(), id: "SM1#delivered".into() };
        assert_eq!(EventKey::parse(&key.to_string()), Some(key));
        assert_eq!(EventKey::parse("nothing"), None);
    }

    #[test]
    fn debug_shows_no_payload() {
        let shown = format!("{:?}", event("application/json", b"{\"card\":4242}"));
        assert!(!shown.contains("4242"), "{shown}");
    }
}
