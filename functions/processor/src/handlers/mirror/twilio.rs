//! Twilio: how far each message and each call has come.
//!
//! Callbacks carry no time and arrive in any order
//! (<https://www.twilio.com/docs/messaging/guides/track-outbound-message-status>),
//! so only what they say can order them: a status never goes backwards. Ends that
//! exclude each other should not both come; if they do (a carrier's receipt that
//! overtakes a time-out), the stronger evidence stands: `delivered` over
//! `undelivered` over `failed`. A status that is not known here stands before all
//! others: it is shown while nothing better is known, and never hides an end.
//!
//! Kept are the status and the error code. Numbers, addresses and texts are
//! people's and are not needed to answer "has it arrived?"; the event in the
//! ledger has them as long as it is retained.

use inbox_core::event::Event;
use inbox_core::form;

use super::row::{Nothing, Order, Row, Seen};

/// Statuses of messages, in the order in which they come.
pub(super) const MESSAGE_STATUSES: &[&str] = &[
    "scheduled",
    "accepted",
    "queued",
    "receiving",
    "received",
    "sending",
    "sent",
    "partially_delivered",
    "canceled",
    "failed",
    "undelivered",
    "delivered",
    "read",
];

/// Statuses of calls, in the order in which they come.
const CALL_STATUSES: &[&str] = &[
    "queued",
    "initiated",
    "ringing",
    "in-progress",
    "canceled",
    "no-answer",
    "busy",
    "failed",
    "completed",
];

/// Reads the message or call that the callback is about.
pub(super) fn read(event: &Event) -> Result<Row, Nothing> {
    let media_type = event.payload.content_type.split(';').next().unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case(form::MEDIA_TYPE) {
        return Err(Nothing("the payload is not a form"));
    }
    let form = &event.payload.bytes;
    // Newer names first. A message's callbacks carry both.
    let message = field(form, &["MessageSid", "SmsSid"]);
    let (kind, sid, status, statuses) = match message {
        Some(sid) => {
            ("message", Some(sid), field(form, &["MessageStatus", "SmsStatus"]), MESSAGE_STATUSES)
        }
        None => ("call", field(form, &["CallSid"]), field(form, &["CallStatus"]), CALL_STATUSES),
    };
    let (Some(sid), Some(status)) = (sid, status) else {
        return Err(Nothing("neither a message's nor a call's status"));
    };
    let status = status.to_ascii_lowercase();
    let order = Order {
        sealed: false,
        at: None,
        rank: rank(statuses, &status),
        received_at: None,
        event_id: &event.key.id,
    };
    let seen = Seen {
        kind: kind.into(),
        object_id: sid,
        status: Some(status),
        error_code: field(form, &["ErrorCode"]),
        deleted: false,
        body: None,
    };
    Row::new(event, seen, order)
}

/// The place in the list from 1; 0 for what is not there.
fn rank(statuses: &[&str], status: &str) -> u8 {
    let place = statuses.iter().position(|known| *known == status);
    place.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(0)
}

/// The first of these fields that is there and not empty, as the receiver reads
/// them.
fn field(form: &[u8], names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let value = String::from_utf8(form::first(form, name)?.into_owned()).ok()?;
        (!value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, later};
    use super::*;

    const DELIVERED: &str = "SmsSid=SM1f0e8ae6ade43cb3c0ce4525424e404f&SmsStatus=delivered&MessageStatus=delivered&To=%2B15558675310&MessageSid=SM1f0e8ae6ade43cb3c0ce4525424e404f&AccountSid=AC0&From=%2B15017122661&ApiVersion=2010-04-01";

    fn read_form(event_type: &str, body: &str) -> Result<Row, Nothing> {
        let mut event = event("twilio", event_type, body);
        event.payload.content_type = form::MEDIA_TYPE.into();
        read(&event)
    }

    fn status(kind: &str, status: &str) -> Row {
        read_form("status", &format!("{kind}Sid=X1&{kind}Status={status}")).unwrap()
    }

    #[test]
    fn a_message_keeps_its_status_and_nothing_personal() {
        let row = read_form("message.delivered", DELIVERED).unwrap();
        assert_eq!(row.pk, "twilio#message#SM1f0e8ae6ade43cb3c0ce4525424e404f");
        assert_eq!(row.status.as_deref(), Some("delivered"));
        assert_eq!((row.error_code, row.body, row.deleted), (None, None, false));
        assert_eq!(row.version, "0.000000000000000.12.000000000000000.evt_1");
    }

    #[test]
    fn an_undelivered_message_keeps_its_error_code() {
        let form = "MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003&To=%2B1555";
        let row = read_form("message.undelivered", form).unwrap();
        assert_eq!(row.error_code.as_deref(), Some("30003"));
    }

    #[test]
    fn an_inbound_message_is_received() {
        let form =
            "SmsMessageSid=SM2&SmsSid=SM2&SmsStatus=received&Body=MessageSid%3DSM9&From=%2B1";
        let row = read_form("message.received", form).unwrap();
        assert_eq!((row.object_id.as_str(), row.status.as_deref()), ("SM2", Some("received")));
    }

    /// Written out again: the list above is what is tested.
    #[test]
    fn a_message_never_goes_backwards() {
        let first = status("Message", "a word of tomorrow");
        let outbound = [
            "scheduled",
            "accepted",
            "queued",
            "sending",
            "sent",
            "partially_delivered",
            "canceled",
            "failed",
            "undelivered",
            "delivered",
            "read",
        ]
        .map(|word| status("Message", word));
        later(&first, &outbound.each_ref());
        let inbound = ["receiving", "received"].map(|word| status("Message", word));
        later(&first, &inbound.each_ref());
    }

    #[test]
    fn a_call_never_goes_backwards() {
        let known = [
            "queued",
            "initiated",
            "ringing",
            "in-progress",
            "canceled",
            "no-answer",
            "busy",
            "failed",
            "completed",
        ]
        .map(|word| status("Call", word));
        later(&status("Call", "a word of tomorrow"), &known.each_ref());
        assert_eq!(known[3].pk, "twilio#call#X1");
    }

    #[test]
    fn capitals_and_escapes_in_a_status_change_nothing() {
        assert_eq!(status("Call", "In%2DProgress").status.as_deref(), Some("in-progress"));
    }

    #[test]
    fn what_has_no_status_leaves_nothing() {
        let none = Nothing("neither a message's nor a call's status");
        for form in [
            "",
            "&&=&",
            "MessageSid=SM1",
            "MessageSid=SM1&MessageStatus=",
            "MessageStatus=sent",
            "CallSid=CA1&RecordingSid=RE1&RecordingStatus=completed",
        ] {
            assert_eq!(read_form("unknown", form), Err(none), "{form}");
        }
        // The same body under another media type.
        let not_a_form = Nothing("the payload is not a form");
        assert_eq!(read(&event("twilio", "x", DELIVERED)), Err(not_a_form));
    }
}
