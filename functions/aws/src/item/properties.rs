//! Any record survives the table, and an item that somebody altered is an error or
//! a record, never a panic.

use proptest::prelude::*;

use super::*;
use crate::compression::compress;

fn bounded() -> ProptestConfig {
    ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() }
}

fn moment() -> impl Strategy<Value = Timestamp> {
    let latest_ms = 253_402_300_799_000_i64;
    (0..=latest_ms).prop_map(|ms| Timestamp::from_unix_ms(ms).unwrap())
}

fn optional<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    proptest::option::of(strategy)
}

fn words() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter)
}

fn event() -> impl Strategy<Value = Event> {
    let texts = (words(), words(), words(), words(), words());
    let options = (optional(words()), optional(words()), optional(words()));
    let body = proptest::collection::vec(prop_oneof![Just(7_u8), any::<u8>()], 0..400);
    let headers = proptest::collection::btree_map(words(), words(), 0..3);
    let times = (optional(moment()), moment());
    (texts, options, body, headers, times).prop_map(|(texts, options, body, headers, times)| {
        Event {
            key: EventKey { source: texts.0, id: texts.1 },
            provider: texts.2,
            event_type: texts.3,
            delivery_id: options.0,
            subject: options.1,
            traceparent: options.2,
            occurred_at: times.0,
            received_at: times.1,
            payload: Payload { content_type: texts.4, bytes: body.into() },
            headers,
        }
    })
}

fn transition() -> impl Strategy<Value = Transition> {
    let kinds = ["failed", "completed", "buried", "redriven", "replayed", "forgotten"];
    let kind =
        proptest::sample::select(kinds.map(|kind| TransitionKind::parse(kind).unwrap()).to_vec());
    (moment(), kind, any::<u32>(), any::<u32>(), words(), words(), optional(words())).prop_map(
        |(at, kind, life, attempt, actor, detail, request_id)| Transition {
            at,
            kind,
            life,
            attempt,
            actor,
            detail,
            request_id,
        },
    )
}

/// What a claim writes: the rest of an item is written by updates.
fn record() -> impl Strategy<Value = Record> {
    let history = proptest::collection::vec(transition(), 0..3);
    let failure = (words(), optional(words()), any::<u32>(), optional(moment()), any::<u32>());
    let failure = failure.prop_map(|(error, quote, attempts, next_at, deferrals)| RouteFailure {
        error,
        quote,
        attempts,
        next_at,
        deferrals,
    });
    let failures = proptest::collection::btree_map(words(), failure, 0..3);
    let outside = optional((words(), any::<u32>()));
    let counts = (any::<u32>(), any::<u32>());
    (event(), words(), counts, history, failures, moment(), moment(), outside).prop_map(
        |(event, request_id, (life, attempts), history, failures, expires_at, due_at, outside)| {
            let new = inbox_core::ledger::NewEvent {
                event,
                request_id,
                due_at,
                expires_at: expires_at.ceil_to_seconds(),
            };
            let mut record = Record { life, attempts, history, failures, ..Record::claimed(&new) };
            if let Some((key, bytes)) = outside {
                record.event.payload.bytes = Bytes::new();
                record.payload_ref = Some(PayloadRef { key, bytes: bytes as usize });
            }
            record
        },
    )
}

/// Attribute values that an item of ours never holds, and some that it does.
fn value() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        words().prop_map(AttributeValue::S),
        words().prop_map(AttributeValue::N),
        "[-+0-9.e]{0,20}".prop_map(AttributeValue::N),
        any::<u64>().prop_map(|number| AttributeValue::N(number.to_string())),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null(true)),
        Just(AttributeValue::S("gzip".to_owned())),
        Just(AttributeValue::S("pending#x".to_owned())),
        proptest::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| AttributeValue::B(Blob::new(bytes))),
        proptest::collection::vec(words(), 0..3).prop_map(AttributeValue::Ss),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(AttributeValue::L),
            proptest::collection::hash_map(words(), inner, 0..3).prop_map(AttributeValue::M),
        ]
    })
}

fn item_of(record: &Record) -> Item {
    let payload = if let Some(outside) = &record.payload_ref {
        Kept::Outside(outside.clone())
    } else {
        let (encoding, bytes) = compress(&record.event.payload.bytes);
        Kept::Inline(encoding, bytes)
    };
    from_record(record, payload)
}

proptest! {
    #![proptest_config(bounded())]

    #[test]
    fn any_record_survives_the_table(record in record()) {
        prop_assert_eq!(to_record(&item_of(&record)).unwrap(), record);
    }

    #[test]
    fn an_altered_item_is_an_error_or_a_record(
        record in record(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), optional(value())), 1..4),
    ) {
        let mut item = item_of(&record);
        for (which, value) in changes {
            let name = which.get(&names()).clone();
            match value {
                Some(value) => drop(item.insert(name, value)),
                None => drop(item.remove(&name)),
            }
        }
        match to_record(&item) {
            // Nothing that was read is out of range.
            Ok(read) => {
                let again = Timestamp::parse_decimal_seconds(&read.expires_at.to_decimal_seconds());
                prop_assert_eq!(again, Some(read.expires_at));
            }
            Err(fault) => {
                let told = fault.to_string();
                prop_assert!(told.starts_with("ledger item unreadable: "), "{}", told);
                prop_assert!(told.contains("attribute ") || told.contains("its schema is"), "{}", told);
            }
        }
    }

    #[test]
    fn one_flipped_byte_of_a_compressed_payload_is_noticed_or_changes_nothing(
        body in "[a-c]{200,400}", at in any::<proptest::sample::Index>(), bit in 0_u8..8,
    ) {
        let body = Bytes::from(body);
        let (encoding, mut stored) = compress(&body);
        prop_assert_eq!(encoding, Encoding::Gzip);
        let at = at.index(stored.len());
        stored[at] ^= 1 << bit;
        // Gzip's header holds a time and a system that say nothing of the content.
        if let Some(read) = decompress(encoding, stored.into()) {
            prop_assert!(read == body);
        }
    }
}

/// Every attribute that is read.
fn names() -> Vec<String> {
    let table = &stack().table;
    let own = [
        "schema",
        STATE,
        "source",
        "provider",
        "event_type",
        "event_id",
        "request_id",
        "received_at",
        "content_type",
        "payload",
        "payload_encoding",
        PAYLOAD_REF,
        PAYLOAD_BYTES,
        "headers",
        LIFE,
        ATTEMPTS,
        HANDLERS,
        FAILURES,
        HISTORY,
        "delivery_id",
        "subject",
        "traceparent",
        "occurred_at",
        LEASE_TOKEN,
        LEASED_UNTIL,
        NEXT_AT,
        LAST_ERROR,
        DONE_AT,
        SWEEPS,
        FORGOTTEN_AT,
    ];
    let of_stack =
        [&table.ttl_attribute, &table.open_index.partition_key, &table.open_index.sort_key];
    own.into_iter().map(str::to_owned).chain(of_stack.into_iter().cloned()).collect()
}
