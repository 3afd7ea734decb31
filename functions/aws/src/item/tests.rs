use std::time::Duration;

use inbox_core::ledger::{
    ACTOR_CHARACTERS, ACTOR_PROCESSOR, ERROR_CHARACTERS, HISTORY_DETAIL_CHARACTERS,
    HISTORY_ENTRIES, NewEvent, REQUEST_ID_CHARACTERS, ROUTE_ERROR_CHARACTERS,
    ROUTE_QUOTE_OVERHEAD_CHARACTERS, RouteFailure,
};

use super::*;
use crate::compression::compress;

/// `DynamoDB`'s limit for one item, names and values together.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>
const ITEM_BYTES: usize = 400 * 1024;

/// A character of four bytes: limits count characters, items count bytes.
const WIDE: &str = "\u{1F600}";

/// Bytes that no compression makes smaller.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| byte()).collect()
}

/// The item of a record whose payload fits.
fn from_record(record: &Record) -> Item {
    let (encoding, payload) = compress(&record.event.payload.bytes);
    super::from_record(record, Kept::Inline(encoding, payload))
}

fn record(body: Bytes) -> Record {
    let received_at = Timestamp::from_unix_ms(1_764_000_000_123).unwrap();
    Record::claimed(&NewEvent {
        event: Event {
            key: EventKey { source: "s".repeat(48), id: "i".repeat(256) },
            provider: "standard_webhooks".into(),
            event_type: WIDE.repeat(128),
            delivery_id: Some("d".repeat(256)),
            subject: Some(WIDE.repeat(256)),
            occurred_at: Some(received_at),
            received_at,
            traceparent: Some("0".repeat(55)),
            payload: Payload { content_type: WIDE.repeat(256), bytes: body },
            headers: (0..10).map(|n| (format!("x-header-{n}"), WIDE.repeat(256))).collect(),
        },
        request_id: "r".repeat(36),
        due_at: received_at.plus(Duration::from_mins(15)),
        expires_at: received_at.plus(Duration::from_hours(720)).ceil_to_seconds(),
    })
}

/// By the rules of
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>,
/// rounded up.
fn bytes_of(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(_) => 21,
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + bytes_of(value)).sum::<usize>()
        }
        // A set is not told apart from a list.
        AttributeValue::Ss(names) => 3 + names.iter().map(|name| 1 + name.len()).sum::<usize>(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + bytes_of(value)).sum::<usize>(),
        other => panic!("the ledger holds no {other:?}"),
    }
}

#[test]
fn the_largest_body_fits_an_item_whatever_its_content_and_however_long_its_history() {
    let mut record = record(noise(stack().defaults.inline_payload_bytes));
    record.life = u32::MAX;
    record.history = vec![
        Transition {
            at: record.event.received_at,
            kind: TransitionKind::Redriven,
            life: u32::MAX,
            attempt: u32::MAX,
            actor: WIDE.repeat(ACTOR_CHARACTERS),
            detail: WIDE.repeat(HISTORY_DETAIL_CHARACTERS),
            request_id: Some("r".repeat(REQUEST_ID_CHARACTERS)),
        };
        HISTORY_ENTRIES
    ];
    let routes = (0..32).map(|n| format!("{n:-<64}"));
    // A quote takes the place of as many characters of the error, and of its own name.
    let quote = WIDE.repeat(ROUTE_ERROR_CHARACTERS - ROUTE_QUOTE_OVERHEAD_CHARACTERS - 1);
    let failure = RouteFailure {
        error: WIDE.to_owned(),
        quote: Some(quote),
        attempts: u32::MAX,
        next_at: Some(record.event.received_at),
        deferrals: u32::MAX,
    };
    record.failures = routes.clone().map(|id| (id, failure.clone())).collect();
    record.only = Some(routes.clone().collect());
    let mut item = from_record(&record);
    let done = routes.map(|id| (id, number(1))).collect();
    item.insert(HANDLERS.into(), AttributeValue::M(done));
    item.insert(LAST_ERROR.into(), text(WIDE.repeat(ERROR_CHARACTERS)));
    item.insert(LEASE_TOKEN.into(), text("t".repeat(36)));
    for name in [LEASED_UNTIL, NEXT_AT, DONE_AT, SWEEPS] {
        item.insert(name.into(), number(1));
    }
    let total: usize = item.iter().map(|(name, value)| name.len() + bytes_of(value)).sum();
    assert!(total < ITEM_BYTES, "{total} bytes");
}

#[test]
fn an_item_holds_the_record_and_the_body_byte_for_byte() {
    for body in [noise(5000), Bytes::new(), Bytes::from("{\"a\": 1.0e2}".repeat(1000))] {
        let mut record = record(body);
        record.history =
            vec![record.transition(TransitionKind::Failed, "no answer", record.expires_at)];
        record.only = Some(["billing".to_owned(), "mail".to_owned()].into());
        assert_eq!(record.history[0].actor, ACTOR_PROCESSOR);
        assert_eq!(to_record(&from_record(&record)).unwrap(), record);
    }
}

#[test]
fn an_item_whose_payload_lies_elsewhere_says_where_and_how_large_it_is() {
    let mut record = record(Bytes::new());
    let reference = PayloadRef { key: "stripe/0/1.gz".into(), bytes: 6_000_000 };
    record.payload_ref = Some(reference.clone());
    let item = super::from_record(&record, Kept::Outside(reference));
    assert!(!item.contains_key(PAYLOAD));
    let read = to_record(&item).unwrap();
    assert_eq!(read, record);
    assert_eq!(read.payload_bytes(), 6_000_000);
    for name in [PAYLOAD_REF, PAYLOAD_BYTES] {
        let mut item = item.clone();
        item.insert(name.into(), AttributeValue::Bool(true));
        assert!(to_record(&item).unwrap_err().to_string().contains(name), "{name}");
    }
}

#[test]
fn what_compresses_is_compressed_and_what_does_not_is_left_alone() {
    let stored = |body: Bytes| match &from_record(&record(body))["payload"] {
        AttributeValue::B(blob) => blob.as_ref().len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(stored(noise(5000)), 5000);
    assert!(stored(Bytes::from("{\"a\": 1.0e2}".repeat(1000))) < 200);
}

#[test]
fn an_item_that_cannot_be_read_says_which_attribute_and_nothing_of_its_content() {
    let whole = from_record(&record(Bytes::from_static(b"card 4242")));
    for name in ["schema", "state", "payload", "life", "history", "expires_at"] {
        let mut item = whole.clone();
        item.insert(name.into(), AttributeValue::Bool(true));
        let fault = to_record(&item).unwrap_err().to_string();
        assert!(fault.contains(name) && !fault.contains("4242"), "{name}: {fault}");
    }
    // Who may write items of one source cannot make one of another's event.
    for (name, value) in [("source", "another"), ("event_id", "another"), ("pk", "github#evt_1")] {
        let mut forged = whole.clone();
        forged.insert(name.into(), text(value));
        let fault = to_record(&forged).unwrap_err().to_string();
        assert_eq!(
            fault,
            "ledger item unreadable: attribute source or event_id is missing or of another kind",
            "{name}"
        );
    }
    let mut newer = whole;
    newer.insert("schema".into(), number(SCHEMA + 1));
    assert_eq!(
        to_record(&newer).unwrap_err().to_string(),
        "ledger item unreadable: its schema is 2, this version reads 1"
    );
}

#[test]
fn an_item_has_the_keys_of_both_indexes() {
    let item = from_record(&record(Bytes::new()));
    let text = |name: &str| item[name].as_s().unwrap().clone();
    let source = "s".repeat(48);
    assert!(text("timeline_shard").starts_with(&format!("{source}#2025-11-24#")));
    assert_eq!(text("timeline_at"), format!("2025-11-24T16:00:00.123Z#{}", "i".repeat(256)));
    assert!(text("open_shard").starts_with("pending#"));
    assert_eq!(item["due_at"], AttributeValue::N("1764000900.123".into()));
    assert_eq!(item["expires_at"], AttributeValue::N("1766592001".into()));
}

/// The bytes of an item or of what an index projects of it.
fn size<'a>(attributes: impl IntoIterator<Item = (&'a String, &'a AttributeValue)>) -> usize {
    attributes.into_iter().map(|(name, value)| name.len() + bytes_of(value)).sum()
}

/// An event as GitHub sends them, with a body of 4 KB.
fn four_kilobytes(body: Bytes) -> Record {
    assert_eq!(body.len(), 4096);
    let mut record = record(body);
    record.event = Event {
        key: EventKey {
            source: "github".into(),
            id: "72d3162e-cc78-11e3-81ab-4c9367dc0958".into(),
        },
        provider: "github".into(),
        event_type: "pull_request.opened".into(),
        delivery_id: None,
        subject: Some("octo-org/hello-world".into()),
        occurred_at: None,
        payload: Payload { content_type: "application/json".into(), ..record.event.payload },
        headers: BTreeMap::from([("user-agent".into(), "GitHub-Hookshot/044aadd".into())]),
        ..record.event
    };
    record
}

/// infra/README.md counts costs with these: a write unit is a kilobyte, rounded up.
#[test]
fn the_sizes_of_an_event_of_four_kilobytes_are_those_that_the_costs_are_counted_with() {
    const JSON: &[u8] =
        include_bytes!("../../../../tests/fixtures/github/pull_request_opened.json");
    // While it is run, which is when it is largest.
    let begun = |body: Bytes| {
        let mut item = from_record(&four_kilobytes(body));
        item.insert(LEASE_TOKEN.into(), text("t".repeat(36)));
        item.insert(LEASED_UNTIL.into(), number(1));
        item
    };
    let json = begun(Bytes::from_static(&JSON[..4096]));
    let incompressible = begun(noise(4096));

    let table = &stack().table;
    let projected = |index: &inbox_core::stack::Index| {
        let keys = [&table.partition_key, &index.partition_key, &index.sort_key];
        size(json.iter().filter(|(name, _)| keys.contains(name) || index.projected.contains(name)))
    };
    assert_eq!((size(&json), size(&incompressible)), (1795, 4902));
    assert_eq!((projected(&table.timeline_index), projected(&table.open_index)), (281, 91));
}
