//! The handler as a whole: convergence over all providers, and its answers.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt as _;
use inbox_core::Timestamp;
use inbox_core::envelope::Envelope;
use inbox_core::event::EventKey;
use inbox_core::provider::Payload;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// An event of 2025-11-24, received five seconds after it happened.
pub(super) fn event(provider: &str, event_type: &str, body: &str) -> Event {
    Event {
        key: EventKey { source: provider.into(), id: "evt_1".into() },
        provider: provider.into(),
        event_type: event_type.into(),
        delivery_id: None,
        subject: None,
        occurred_at: Timestamp::from_unix_seconds(1_764_000_000),
        received_at: Timestamp::from_unix_ms(1_764_000_005_123).unwrap(),
        traceparent: None,
        payload: Payload {
            content_type: "application/json".into(),
            bytes: body.as_bytes().to_vec().into(),
        },
        headers: std::collections::BTreeMap::new(),
    }
}

/// Each row supersedes all that stand before it, and none the other way round.
pub(super) fn later(first: &Row, then: &[&Row]) {
    let rows: Vec<&Row> = std::iter::once(first).chain(then.iter().copied()).collect();
    for (place, row) in rows.iter().enumerate() {
        assert!(!row.supersedes(row), "{row:?} supersedes itself");
        for earlier in &rows[..place] {
            assert_eq!(earlier.pk, row.pk);
            assert!(row.supersedes(earlier), "{row:?} does not supersede {earlier:?}");
            assert!(!earlier.supersedes(row), "{earlier:?} supersedes {row:?}");
        }
    }
}

/// Many senders leave the content type to their HTTP library.
#[test]
fn json_is_read_whatever_it_was_called() {
    let body = r#"{"data":{"object":{"id":"sub_1","object":"subscription","status":"active"}}}"#;
    let named = read(&event("stripe", "customer.subscription.updated", body)).unwrap();
    for content_type in ["text/plain", "", "application/x-www-form-urlencoded"] {
        let mut called = event("stripe", "customer.subscription.updated", body);
        called.payload.content_type = content_type.into();
        assert!(read(&called).as_ref() == Ok(&named), "{content_type:?} is skipped");
    }
    // A form of Twilio's stays one.
    let mut form = event("twilio", "message.delivered", "MessageSid=SM1&MessageStatus=delivered");
    form.payload.content_type = "application/x-www-form-urlencoded".into();
    assert_eq!(read(&form).map(|row| row.kind), Ok("message".to_owned()));
    assert!(form.to_cloudevent().contains("\"data_base64\""));
}

fn run() -> Run {
    let timeout = Duration::from_secs(30);
    let route_id = "mirror".into();
    Run {
        route_id,
        life: 1,
        attempt: 1,
        max_attempts: 7,
        insists: false,
        timeout,
        payload_ref: None,
        envelope: Envelope::default(),
    }
}

fn handle<M: Mirror>(handler: &KeepLatest<M>, event: &Event) -> Result<Handled, HandlerError> {
    handler.handle(event, &run()).now_or_never().expect("memory keeps nobody waiting")
}

/// Few values, so that events meet in one object and one second.
fn any_event(number: usize) -> impl Strategy<Value = Event> {
    let stripe = (
        0..3_i64,
        prop_oneof![Just("created"), Just("updated"), Just("deleted"), Just("payment_failed")],
        prop_oneof![Just("incomplete"), Just("active"), Just("canceled"), Just("new word")],
        prop_oneof![Just("subscription"), Just("plan")],
        0..2_u8,
    )
        .prop_map(|(second, action, status, kind, object)| {
            let body = json!({"data": {"object":
                {"id": format!("o_{object}"), "object": kind, "status": status}}});
            let mut event = event("stripe", &format!("{kind}.{action}"), &body.to_string());
            event.occurred_at = Timestamp::from_unix_seconds(second);
            event
        });
    let github = (0..3_i64, 0..3_u8, 0..3_u8, prop::option::of(0..2_i64)).prop_map(
        |(received, before, after, pushed_at)| {
            let sha = |digit: u8| digit.to_string().repeat(40);
            let body = json!({"ref": "refs/heads/main", "before": sha(before),
                "after": sha(after), "repository": {"full_name": "o/r", "pushed_at": pushed_at}});
            let mut event = event("github", "push", &body.to_string());
            event.received_at = Timestamp::from_unix_ms(received).unwrap();
            event
        },
    );
    let twilio = (
        prop_oneof![Just("Message"), Just("Call")],
        prop_oneof![Just("queued"), Just("sent"), Just("failed"), Just("read"), Just("ringing")],
    )
        .prop_map(|(kind, status)| {
            let form = format!("{kind}Sid=X1&{kind}Status={status}&ErrorCode=3000");
            let mut event = event("twilio", status, &form);
            event.payload.content_type = "application/x-www-form-urlencoded".into();
            event
        });
    let standard = (
        0..2_i64,
        prop_oneof![Just("user.created"), Just("user.updated"), Just("user.deleted"), Just("ping")],
    )
        .prop_map(|(ms, event_type)| {
            let mut event = event("standard_webhooks", event_type, r#"{"data":{"id":7}}"#);
            event.occurred_at = Timestamp::from_unix_ms(ms);
            event
        });
    // The number makes the id unique and the salt keeps it from rising with the
    // order of generation.
    (prop_oneof![stripe, github, twilio, standard], 0..10_u8).prop_map(move |(mut event, salt)| {
        event.key.id = format!("{salt}_{number}");
        event
    })
}

/// Up to 30 events, and the order of their deliveries, each delivered once at
/// least.
fn events_and_deliveries() -> impl Strategy<Value = (Vec<Event>, Vec<usize>, Vec<Fault>)> {
    (1..30_usize)
        .prop_flat_map(|count| {
            let events: Vec<_> = (0..count).map(any_event).collect();
            let repeats = prop::collection::vec(0..count, 0..30);
            (events, repeats).prop_flat_map(move |(events, repeats)| {
                let deliveries: Vec<usize> = (0..count).chain(repeats).collect();
                (Just(events), Just(deliveries).prop_shuffle())
            })
        })
        .prop_flat_map(|(events, deliveries)| {
            let fault =
                prop_oneof![Just(Fault::None), Just(Fault::BeforeWrite), Just(Fault::ReplyLost)];
            let faults = prop::collection::vec(fault, deliveries.len());
            (Just(events), Just(deliveries), faults)
        })
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    BeforeWrite,
    ReplyLost,
}

/// A mirror in memory whose next write fails as told.
#[derive(Default)]
struct Faulty {
    mirror: MemoryMirror,
    next: Mutex<Option<Fault>>,
}

impl Mirror for &Faulty {
    async fn keep(&self, row: &Row) -> Result<Kept, MirrorError> {
        let lost = || MirrorError { reason: "timed out".into() };
        let fault = self.next.lock().unwrap().take().unwrap_or(Fault::None);
        match fault {
            Fault::None => self.mirror.keep(row).await,
            Fault::BeforeWrite => Err(lost()),
            Fault::ReplyLost => self.mirror.keep(row).await.and(Err(lost())),
        }
    }

    async fn get(&self, pk: &str) -> Result<Option<Row>, MirrorError> {
        self.mirror.get(pk).await
    }
}

proptest! {
    #[test]
    fn any_order_repetition_and_crash_ends_in_the_same_rows(
        (events, deliveries, faults) in events_and_deliveries()
    ) {
        // In the order of generation, once each.
        let straight = KeepLatest::new(MemoryMirror::default());
        for event in &events {
            prop_assert!(handle(&straight, event).is_ok());
        }
        // Shuffled, repeated, with writes that fail before or after they land and
        // are tried again.
        let faulty = Faulty::default();
        let shuffled = KeepLatest::new(&faulty);
        for (delivery, fault) in deliveries.iter().zip(faults) {
            let event = &events[*delivery];
            *faulty.next.lock().unwrap() = Some(fault);
            if handle(&shuffled, event).is_err() {
                prop_assert!(handle(&shuffled, event).is_ok());
            }
        }
        prop_assert_eq!(faulty.mirror.all(), straight.mirror.all());
    }

    #[test]
    fn no_two_events_of_an_object_share_a_place(
        events in (2..20_usize).prop_flat_map(|n| (0..n).map(any_event).collect::<Vec<_>>())
    ) {
        let rows: Vec<Row> = events.iter().filter_map(|event| read(event).ok()).collect();
        for (place, row) in rows.iter().enumerate() {
            for other in rows[..place].iter().filter(|other| other.pk == row.pk) {
                prop_assert!(row.supersedes(other) ^ other.supersedes(row));
            }
        }
    }

    #[test]
    fn a_deleted_subscription_never_comes_back(
        (events, deliveries, _) in events_and_deliveries()
    ) {
        let handler = KeepLatest::new(MemoryMirror::default());
        let mut gone = Vec::new();
        for delivery in deliveries {
            let event = &events[delivery];
            prop_assert!(handle(&handler, event).is_ok());
            if event.event_type == "subscription.deleted" {
                gone.push(read(event).unwrap().pk);
            }
            for row in handler.mirror.all() {
                prop_assert!(row.deleted || !gone.contains(&row.pk));
            }
        }
    }

    #[test]
    fn a_message_is_as_far_as_its_furthest_callback(
        places in prop::collection::vec(0..twilio::MESSAGE_STATUSES.len(), 1..40)
    ) {
        let handler = KeepLatest::new(MemoryMirror::default());
        let mut furthest = 0;
        for place in places {
            let status = twilio::MESSAGE_STATUSES[place];
            let mut event =
                event("twilio", status, &format!("MessageSid=SM1&MessageStatus={status}"));
            event.payload.content_type = "application/x-www-form-urlencoded".into();
            event.key.id = format!("SM1:{status}");
            prop_assert_eq!(handle(&handler, &event), Ok(Handled::Done));
            furthest = furthest.max(place);
            let rows = handler.mirror.all();
            let held = rows[0].status.as_deref();
            prop_assert_eq!(held, Some(twilio::MESSAGE_STATUSES[furthest]));
        }
    }

    #[test]
    fn no_payload_makes_a_reader_panic(
        provider in 0..READERS.len(),
        event_type in "[a-z.]{0,12}",
        body in prop_oneof![
            any::<Vec<u8>>(),
            "[{}\\[\\]\",:a-z0-9 ]{0,60}".prop_map(String::into_bytes),
            "(MessageSid|CallStatus|%|=|&|[a-z%]){0,9}".prop_map(String::into_bytes),
        ],
        form in any::<bool>(),
    ) {
        let mut event = event(READERS[provider].0, &event_type, "");
        event.payload.bytes = body.into();
        if form {
            event.payload.content_type = "application/x-www-form-urlencoded; charset=utf-8".into();
        }
        let _ = read(&event);
    }
}

#[test]
fn what_the_mirror_does_not_understand_is_done_and_says_so() {
    let nothing = |why| Ok(Handled::Nothing(why));
    let handler = KeepLatest::new(MemoryMirror::default());
    assert_eq!(
        handle(&handler, &event("slack", "message", "{}")),
        nothing("the provider is not one that is mirrored")
    );
    assert_eq!(
        handle(&handler, &event("stripe", "charge.failed", "not JSON")),
        nothing("the payload is not JSON")
    );
    assert_eq!(handler.mirror.all(), []);
    assert_eq!(
        read(&event("slack", "message", "{}")).map(|row| row.pk),
        Err(Nothing("the provider is not one that is mirrored"))
    );
}

#[test]
fn a_mirror_that_is_out_of_reach_is_tried_again_and_named_without_payload() {
    let faulty = Faulty::default();
    *faulty.next.lock().unwrap() = Some(Fault::BeforeWrite);
    let handler = KeepLatest::new(&faulty);
    let body = r#"{"data":{"object":{"id":"pi_1","object":"payment_intent"}}}"#;
    assert_eq!(
        handle(&handler, &event("stripe", "payment_intent.succeeded", body)),
        Err(HandlerError::retry("mirror table: timed out"))
    );
}

#[derive(Debug, PartialEq, Deserialize)]
struct One {
    a: u8,
}

#[test]
fn an_array_is_no_object_and_a_number_is_an_id() {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    assert_eq!(object_of::<One>(&raw(r#"{"a":1}"#)), Some(One { a: 1 }));
    assert_eq!(object_of::<One>(&raw("[1]")), None);
    assert_eq!(text_of(&raw("-12")).as_deref(), Some("-12"));
    assert_eq!(text_of(&raw(r#""\u00e9""#)).as_deref(), Some("\u{E9}"));
    for neither in ["true", "null", "{}", "[]"] {
        assert_eq!(text_of(&raw(neither)), None, "{neither}");
    }
}
