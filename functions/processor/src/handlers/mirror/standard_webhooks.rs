//! Standard Webhooks: `data` of events whose `data.id` names an object.
//!
//! The specification asks for a `type` in dotted words whose last is what happened,
//! a `timestamp`, and `data`
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>);
//! an id in `data` is custom. Events stand by their time; at the same millisecond
//! `created` first and `deleted` last, then by id. Nothing is known of how senders
//! give out ids, so a deletion is final only until something later.

use inbox_core::event::Event;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::row::{Nothing, Order, Row, Seen};
use super::{object_of, text_of};

const NO_OBJECT: Nothing = Nothing("the event holds no object");

const RANK_CREATED: u8 = 0;
const RANK_OTHER: u8 = 1;
const RANK_DELETED: u8 = 2;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    deleted: Option<&'a RawValue>,
}

/// Reads the object that the event is about.
pub(super) fn read(event: &Event) -> Result<Row, Nothing> {
    let Some((kind, action)) = event.event_type.rsplit_once('.') else {
        return Err(Nothing("the event's type names no object"));
    };
    let json = event.json().ok_or(Nothing("the payload is not JSON"))?;
    let envelope: Envelope<'_> = object_of(json).ok_or(NO_OBJECT)?;
    let data: Data<'_> = object_of(envelope.data).ok_or(NO_OBJECT)?;
    let deleted = action == "deleted" || data.deleted.is_some_and(|raw| raw.get() == "true");
    let order = Order {
        sealed: false,
        at: Some(event.occurred_at.unwrap_or(event.received_at)),
        rank: match action {
            _ if deleted => RANK_DELETED,
            "created" => RANK_CREATED,
            _ => RANK_OTHER,
        },
        received_at: None,
        event_id: &event.key.id,
    };
    let seen = Seen {
        kind: kind.into(),
        object_id: data.id.and_then(text_of).unwrap_or_default(),
        status: data.status.and_then(text_of),
        error_code: None,
        deleted,
        body: Some(envelope.data.get().to_owned()),
    };
    Row::new(event, seen, order)
}

#[cfg(test)]
mod tests {
    use inbox_core::Timestamp;

    use super::super::tests::{event, later};
    use super::*;

    fn user(id: &str, action: &str, ms: i64) -> Row {
        let body = format!(
            r#"{{"type":"user.{action}","timestamp":"2025-11-24T16:00:00Z","data":{{"id":7,"name":"Z\u00e9"}}}}"#
        );
        let mut event = event("standard_webhooks", &format!("user.{action}"), &body);
        event.key.id = id.into();
        event.occurred_at = Timestamp::from_unix_ms(ms);
        read(&event).unwrap()
    }

    #[test]
    fn data_is_kept_byte_for_byte_under_its_id() {
        let row = user("msg_1", "created", 1_764_000_000_000);
        assert_eq!(row.pk, "standard_webhooks#user#7");
        assert_eq!(row.body.as_deref(), Some(r#"{"id":7,"name":"Z\u00e9"}"#));
        assert_eq!(row.version, "0.001764000000000.00.000000000000000.msg_1");
    }

    #[test]
    fn events_stand_by_their_time_then_by_what_they_say_then_by_id() {
        later(
            &user("z", "created", 100),
            &[
                &user("x", "updated", 100),
                &user("y", "renamed", 100),
                &user("a", "deleted", 100),
                &user("a", "created", 101),
            ],
        );
        assert!(user("a", "deleted", 100).deleted);
    }

    #[test]
    fn a_type_of_several_words_ends_with_what_happened() {
        let body = r#"{"data":{"id":"il_1","deleted":true,"status":"void"}}"#;
        let row = read(&event("standard_webhooks", "invoice.line.changed", body)).unwrap();
        assert_eq!(row.pk, "standard_webhooks#invoice.line#il_1");
        assert_eq!((row.deleted, row.status.as_deref()), (true, Some("void")));
    }

    #[test]
    fn events_without_an_object_leave_nothing() {
        let pk = |event_type, body| {
            read(&event("standard_webhooks", event_type, body)).map(|row| row.pk)
        };
        let no_id = || Err(Nothing("the object has no kind or no id"));
        assert_eq!(
            pk("ping", r#"{"data":{"id":"a"}}"#),
            Err(Nothing("the event's type names no object"))
        );
        assert_eq!(pk("email.sent", r#"{"data":{"email_id":"a"}}"#), no_id());
        assert_eq!(pk("email.sent", r#"{"data":{"id":{}}}"#), no_id());
        assert_eq!(pk(".sent", r#"{"data":{"id":"a"}}"#), no_id());
        assert_eq!(pk("email.sent", "{}"), Err(Nothing("the event holds no object")));
        assert_eq!(pk("email.sent", r#"{"data":[]}"#).map_err(|_| ()), Err(()));
        assert_eq!(pk("email.sent", "nope"), Err(Nothing("the payload is not JSON")));
    }
}
