//! What is posted: headers and body, for each attempt anew.
//!
//! ```text
//! structured   content-type: application/cloudevents+json    the whole CloudEvent
//! binary       content-type: the provider's; ce-*            the provider's very bytes
//!
//! both         webhook-id: msg_…        the same on every attempt, in every life
//!              webhook-timestamp        this attempt's
//!              webhook-signature        over id, timestamp and body, by every key
//!              x-inbox-hops, user-agent, traceparent
//! ```
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use inbox_core::Timestamp;
use inbox_core::event::{Event, HEADER_HOPS};
use inbox_core::handler::Run;
use inbox_core::secrets::Secret;
use inbox_core::signature::sha256_hex;
use inbox_core::standard_webhooks::{self, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// For receivers that look for these names: the same values once more.
const FURTHER_NAMES: [(&str, HeaderName); 3] = [
    (HEADER_ID, HeaderName::from_static("x-webhook-id")),
    (HEADER_TIMESTAMP, HeaderName::from_static("x-webhook-timestamp")),
    (HEADER_SIGNATURE, HeaderName::from_static("x-webhook-signature")),
];
const HEADER_TRACEPARENT: &str = "traceparent";
const AGENT: &str = concat!("webhook-inbox/", env!("CARGO_PKG_VERSION"));
const STRUCTURED: &str = "application/cloudevents+json";
/// In binary mode it is the header `content-type`.
const DATA_CONTENT_TYPE: &str = "datacontenttype";
/// So many digits of the hash are 128 bits, which never meet by chance.
const ID_DIGITS: usize = 32;
/// An event may be forwarded from inbox to inbox so often.
const HOPS_MOST: u32 = 5;
/// What CloudEvents wants encoded in a header's value, section 3.1.3.2.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// How the event is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One JSON object.
    Structured,
    /// The payload as the body, everything else as headers.
    Binary,
}

/// Which of the two, and what is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) mode: Mode,
    pub(super) x_webhook_headers: bool,
}

/// A request before it is addressed.
pub(super) struct Message {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The message's id: of visible ASCII without a full stop, as the scheme asks, and
/// telling nothing of the event's.
pub(super) fn id(event: &Event, run: &Run) -> String {
    let hash = sha256_hex(&[run.idempotency_key(event).as_bytes()]);
    format!("msg_{}", &hash[..ID_DIGITS])
}

/// How often the event will have been forwarded from inbox to inbox; `None` when that
/// is too often. Nobody but an inbox sends the header, so one that cannot be read is
/// taken for too many: a loop must end.
pub(super) fn hops(event: &Event) -> Option<u32> {
    let Some(so_far) = event.headers.get(HEADER_HOPS) else { return Some(1) };
    let hops = so_far.trim().parse::<u32>().ok()?.checked_add(1)?;
    (hops <= HOPS_MOST).then_some(hops)
}

impl Message {
    /// Lays the event out and signs it.
    pub(super) fn new(
        event: &Event,
        run: &Run,
        hops: u32,
        layout: Layout,
        secrets: &[Secret],
        now: Timestamp,
    ) -> Self {
        let mut headers = HeaderMap::new();
        let body = match layout.mode {
            Mode::Structured => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED));
                run.envelope.cloudevent(event)
            }
            Mode::Binary => {
                add_attributes(&mut headers, event);
                event.payload.bytes.clone()
            }
        };
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(HEADER_HOPS, HeaderValue::from(hops));
        add(&mut headers, HEADER_TRACEPARENT, event.traceparent.as_deref().unwrap_or_default());

        let id = id(event, run);
        add(&mut headers, HEADER_TIMESTAMP, &now.unix_seconds().to_string());
        add(&mut headers, HEADER_SIGNATURE, &standard_webhooks::sign(&id, now, &body, secrets));
        add(&mut headers, HEADER_ID, &id);
        if layout.x_webhook_headers {
            for (of, name) in FURTHER_NAMES {
                let value = headers.get(of).cloned();
                headers.extend(value.map(|value| (name, value)));
            }
        }
        Self { headers, body }
    }
}

fn add_attributes(headers: &mut HeaderMap, event: &Event) {
    for (name, value) in event.context_attributes() {
        if name == DATA_CONTENT_TYPE {
            // As it came, for it describes the bytes.
            add(headers, CONTENT_TYPE.as_str(), &value);
        } else {
            let value = utf8_percent_encode(&value, ENCODED).to_string();
            add(headers, &format!("ce-{name}"), &value);
        }
    }
}

/// Adds a header; what cannot be one, or is empty, is left out.
fn add(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::try_from(name).ok();
    let value = HeaderValue::try_from(value).ok().filter(|value| !value.is_empty());
    headers.extend(name.zip(value));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::testing::{event, run};
    use super::*;

    const NOW: i64 = 1_764_000_100;
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn laid_out(event: &Event, mode: Mode, x_webhook_headers: bool) -> (Vec<String>, Bytes) {
        let layout = Layout { mode, x_webhook_headers };
        let secrets = [Secret::new(SECRET.into())];
        let now = Timestamp::from_unix_seconds(NOW).unwrap();
        let message = Message::new(event, &run(1), 1, layout, &secrets, now);
        let headers: BTreeMap<_, _> = message
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .filter(|(name, _)| !name.ends_with("webhook-signature"))
            .collect();
        let lines = headers.into_iter().map(|(name, value)| format!("{name}: {value}"));
        (lines.collect(), message.body)
    }

    #[test]
    fn structured_mode_posts_the_cloudevent() {
        let event = event(r#"{"a":1.0}"#);
        let (headers, body) = laid_out(&event, Mode::Structured, false);
        assert_eq!(body, event.to_cloudevent());
        assert_eq!(
            headers,
            [
                "content-type: application/cloudevents+json",
                concat!("user-agent: webhook-inbox/", env!("CARGO_PKG_VERSION")),
                "webhook-id: msg_624f400172c03d5a08b38071e968bf4e",
                "webhook-timestamp: 1764000100",
                "x-inbox-hops: 1",
            ]
        );
    }

    #[test]
    fn binary_mode_posts_the_very_bytes_and_the_rest_as_headers() {
        let mut event = event("a=1&b=%20");
        event.payload.content_type = "application/x-www-form-urlencoded; charset=utf-8".into();
        event.subject = Some("50 % \"Rabatt\" für 100 €\u{7f}~!".into());
        event.delivery_id = Some("d-1".into());
        event.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
        let (headers, body) = laid_out(&event, Mode::Binary, true);
        assert_eq!(body, "a=1&b=%20");
        assert_eq!(
            headers,
            [
                "ce-deliveryid: d-1",
                "ce-id: evt_1",
                "ce-receivedat: 2025-11-24T16:00:00.000Z",
                "ce-source: /webhooks/stripe",
                "ce-specversion: 1.0",
                "ce-subject: 50%20%25%20%22Rabatt%22%20f%C3%BCr%20100%20%E2%82%AC%7F~!",
                "ce-time: 2025-11-24T16:00:00.000Z",
                "ce-traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "ce-type: stripe.charge.failed",
                "content-type: application/x-www-form-urlencoded; charset=utf-8",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                concat!("user-agent: webhook-inbox/", env!("CARGO_PKG_VERSION")),
                "webhook-id: msg_624f400172c03d5a08b38071e968bf4e",
                "webhook-timestamp: 1764000100",
                "x-inbox-hops: 1",
                "x-webhook-id: msg_624f400172c03d5a08b38071e968bf4e",
                "x-webhook-timestamp: 1764000100",
            ]
        );
    }

    #[test]
    fn every_key_signs_this_attempt() {
        let layout = Layout { mode: Mode::Binary, x_webhook_headers: true };
        let secrets = [SECRET, "whsec_YW5vdGhlciBzZWNyZXQsIDI0IGJ5dGUh"];
        let secrets = secrets.map(|text| Secret::new(text.into()));
        let signed = |seconds| {
            let now = Timestamp::from_unix_seconds(seconds).unwrap();
            let event = event("{}");
            Message::new(&event, &run(1), 1, layout, &secrets, now).headers
        };
        let (first, second) = (signed(NOW), signed(NOW + 60));
        let now = Timestamp::from_unix_seconds(NOW).unwrap();
        let id = id(&event("{}"), &run(1));
        let expected = standard_webhooks::sign(&id, now, b"{}", &secrets);
        assert_eq!(first[HEADER_SIGNATURE], expected);
        assert_eq!(expected.matches("v1,").count(), 2);
        assert_eq!(first["x-webhook-signature"], expected);
        assert_eq!(first[HEADER_ID], second[HEADER_ID]);
        assert_ne!(first[HEADER_SIGNATURE], second[HEADER_SIGNATURE]);
    }

    #[test]
    fn an_id_is_of_the_event_and_the_route_and_not_of_the_attempt() {
        let (event, mut run) = (event("{}"), run(1));
        let first = id(&event, &run);
        assert!(standard_webhooks::is_opaque(&first));
        (run.attempt, run.life) = (7, 3);
        assert_eq!(id(&event, &run), first);
        run.route_id = "crm".into();
        assert_ne!(id(&event, &run), first);
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_left_out() {
        let mut event = event("x");
        event.payload.content_type = "text/plain\n".into();
        let (headers, _) = laid_out(&event, Mode::Binary, false);
        assert!(!headers.iter().any(|line| line.starts_with("content-type")), "{headers:?}");
    }

    /// What the README says of binary mode: only id, time and body are signed.
    #[test]
    fn in_structured_mode_every_attribute_is_signed_and_in_binary_mode_none() {
        let secrets = [Secret::new(SECRET.into())];
        let now = Timestamp::from_unix_seconds(NOW).unwrap();
        let signature = |event: &Event, mode| {
            let layout = Layout { mode, x_webhook_headers: false };
            Message::new(event, &run(1), 1, layout, &secrets, now).headers[HEADER_SIGNATURE].clone()
        };
        let genuine = event("{}");
        let altered = Event { event_type: "charge.succeeded".into(), ..genuine.clone() };
        let [structured, binary] = [Mode::Structured, Mode::Binary]
            .map(|mode| signature(&genuine, mode) == signature(&altered, mode));
        assert_eq!((structured, binary), (false, true));
    }

    #[test]
    fn json_under_another_name_is_posted_as_json_and_says_what_it_was_called() {
        let mut event = event("{}");
        event.payload.content_type = "text/plain".into();
        let (headers, body) = laid_out(&event, Mode::Binary, false);
        assert!(headers.contains(&"content-type: application/json".to_owned()), "{headers:?}");
        assert!(headers.contains(&"ce-sentcontenttype: text/plain".to_owned()), "{headers:?}");
        assert_eq!(body, "{}");
    }

    #[test]
    fn hops_are_counted_and_end() {
        let hops_after = |header: Option<&str>| {
            let mut event = event("{}");
            event.headers.extend(header.map(|text| (HEADER_HOPS.to_owned(), text.to_owned())));
            hops(&event)
        };
        assert_eq!(hops_after(None), Some(1));
        assert_eq!(hops_after(Some("1")), Some(2));
        assert_eq!(hops_after(Some("4")), Some(5));
        for too_many in ["5", "6", "4294967295", "99999999999", "", "-1", "many", "1, 1"] {
            assert_eq!(hops_after(Some(too_many)), None, "{too_many}");
        }
    }
}
