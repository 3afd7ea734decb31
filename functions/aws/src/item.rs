//! A record as a `DynamoDB` item, and back.
//!
//! Times are numbers of seconds, milliseconds as decimals, because TTL wants
//! seconds and one record should have one unit. The payload is gzip where that
//! helps, so that other languages' standard libraries can read it.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{
    LedgerError, Open, Record, SCHEMA, State, Transition, TransitionKind, shard_of,
};
use inbox_core::provider::Payload;
use inbox_core::stack::stack;

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) const STATE: &str = "state";
pub(crate) const LIFE: &str = "life";
pub(crate) const ATTEMPTS: &str = "attempts";
pub(crate) const LEASE_TOKEN: &str = "lease_token";
pub(crate) const LEASED_UNTIL: &str = "leased_until";
pub(crate) const NEXT_AT: &str = "next_at";
pub(crate) const LAST_ERROR: &str = "last_error";
pub(crate) const DONE_AT: &str = "done_at";
pub(crate) const HANDLERS: &str = "handlers";
pub(crate) const ERRORS: &str = "errors";
pub(crate) const HISTORY: &str = "history";
pub(crate) const SWEEPS: &str = "sweeps";

const ENCODING_GZIP: &str = "gzip";
const ENCODING_IDENTITY: &str = "identity";

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl Into<i64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

pub(crate) fn seconds(moment: Timestamp) -> AttributeValue {
    AttributeValue::N(moment.to_decimal_seconds())
}

/// The key of the ledger's item.
pub(crate) fn key(key: &EventKey) -> Item {
    HashMap::from([(stack().table.partition_key.clone(), text(key.to_string()))])
}

/// The sparse index's partition for a pending event.
pub(crate) fn pending_shard(key: &EventKey) -> AttributeValue {
    text(format!("pending#{}", shard_of(key, stack().table.open_index.shards)))
}

/// The sparse index's partition for a dead event.
pub(crate) fn dead_shard(key: &EventKey) -> AttributeValue {
    text(format!("dead#{}", shard_of(key, stack().table.open_index.shards)))
}

/// The item for a record that was just claimed.
pub(crate) fn from_record(record: &Record) -> Item {
    let event = &record.event;
    let table = &stack().table;
    let (encoding, payload) = compress(&event.payload.bytes);
    let mut item = key(&event.key);
    item.extend(
        [
            ("schema", number(SCHEMA)),
            (STATE, text(record.state.as_str())),
            ("source", text(&event.key.source)),
            ("provider", text(&event.provider)),
            ("event_type", text(&event.event_type)),
            ("event_id", text(&event.key.id)),
            ("received_at", seconds(event.received_at)),
            ("content_type", text(&event.payload.content_type)),
            ("payload", AttributeValue::B(Blob::new(payload))),
            ("payload_encoding", text(encoding)),
            ("headers", texts(&event.headers)),
            (LIFE, number(record.life)),
            (ATTEMPTS, number(record.attempts)),
            (HANDLERS, AttributeValue::M(HashMap::new())),
            (ERRORS, texts(&record.errors)),
            (HISTORY, history(&record.history)),
            (table.ttl_attribute.as_str(), number(record.expires_at.unix_seconds())),
            (table.timeline_index.partition_key.as_str(), text(timeline_shard(event))),
            (table.timeline_index.sort_key.as_str(), text(timeline_at(event))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let optional = [
        ("delivery_id", event.delivery_id.clone().map(text)),
        ("subject", event.subject.clone().map(text)),
        ("traceparent", event.traceparent.clone().map(text)),
        ("occurred_at", event.occurred_at.map(seconds)),
    ];
    item.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    if let Some(open) = record.open {
        let index = &table.open_index;
        item.insert(index.partition_key.clone(), pending_shard(&event.key));
        item.insert(index.sort_key.clone(), seconds(open.due_at()));
    }
    item
}

/// `{source}#{hour}#{shard}`: an hour of one source, spread over the shards.
fn timeline_shard(event: &Event) -> String {
    let hour = event.received_at.to_rfc3339();
    let shard = shard_of(&event.key, stack().table.timeline_index.shards);
    format!("{}#{}#{shard}", event.key.source, &hour[..13])
}

fn timeline_at(event: &Event) -> String {
    format!("{}#{}", event.received_at.to_rfc3339(), event.key.id)
}

pub(crate) fn texts(map: &BTreeMap<String, String>) -> AttributeValue {
    AttributeValue::M(map.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

pub(crate) fn history(entries: &[Transition]) -> AttributeValue {
    let entry = |entry: &Transition| {
        let mut map = HashMap::from(
            [
                ("at", seconds(entry.at)),
                ("kind", text(entry.kind.as_str())),
                ("life", number(entry.life)),
                ("attempt", number(entry.attempt)),
                ("actor", text(&entry.actor)),
                ("detail", text(&entry.detail)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        if let Some(request_id) = &entry.request_id {
            map.insert("request_id".to_owned(), text(request_id));
        }
        AttributeValue::M(map)
    };
    AttributeValue::L(entries.iter().map(entry).collect())
}

/// Gzip, unless the content does not shrink: then the bytes themselves, so that
/// the item never grows beyond the body.
fn compress(bytes: &Bytes) -> (&'static str, Vec<u8>) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(compressed) if compressed.len() < bytes.len() => (ENCODING_GZIP, compressed),
        _ => (ENCODING_IDENTITY, bytes.to_vec()),
    }
}

fn decompress(encoding: &str, bytes: Vec<u8>) -> Result<Bytes, LedgerError> {
    match encoding {
        ENCODING_IDENTITY => Ok(Bytes::from(bytes)),
        ENCODING_GZIP => {
            let mut plain = Vec::new();
            GzDecoder::new(bytes.as_slice())
                .read_to_end(&mut plain)
                .map_err(|_| unreadable("payload"))?;
            Ok(Bytes::from(plain))
        }
        _ => Err(unreadable("payload_encoding")),
    }
}

fn unreadable(attribute: &str) -> LedgerError {
    LedgerError::Unreadable(format!("attribute {attribute} is missing or of another kind"))
}

/// Reads an item.
pub(crate) fn to_record(item: &Item) -> Result<Record, LedgerError> {
    let fields = Fields(item);
    let schema: u32 = fields.number("schema")?;
    if schema != SCHEMA {
        let reason = format!("its schema is {schema}, this version reads {SCHEMA}");
        return Err(LedgerError::Unreadable(reason));
    }
    let table = &stack().table;
    let key = EventKey { source: fields.text("source")?, id: fields.text("event_id")? };
    let encoding = fields.text("payload_encoding")?;
    let payload = match item.get("payload") {
        Some(AttributeValue::B(blob)) => decompress(&encoding, blob.clone().into_inner())?,
        _ => return Err(unreadable("payload")),
    };
    let state = fields.text(STATE)?;
    Ok(Record {
        event: Event {
            key,
            provider: fields.text("provider")?,
            event_type: fields.text("event_type")?,
            delivery_id: fields.optional_text("delivery_id"),
            subject: fields.optional_text("subject"),
            occurred_at: fields.optional_time("occurred_at")?,
            received_at: fields.time("received_at")?,
            traceparent: fields.optional_text("traceparent"),
            payload: Payload { content_type: fields.text("content_type")?, bytes: payload },
            headers: fields.map("headers", |value| value.as_s().ok().cloned())?,
        },
        state: State::parse(&state).ok_or_else(|| unreadable(STATE))?,
        life: fields.number(LIFE)?,
        attempts: fields.number(ATTEMPTS)?,
        lease_token: fields.optional_text(LEASE_TOKEN),
        leased_until: fields.optional_time(LEASED_UNTIL)?,
        next_at: fields.optional_time(NEXT_AT)?,
        last_error: fields.optional_text(LAST_ERROR),
        done_at: fields.optional_time(DONE_AT)?,
        handlers: fields.map(HANDLERS, time)?,
        errors: fields.map(ERRORS, |value| value.as_s().ok().cloned())?,
        history: fields.history()?,
        expires_at: fields.time(&table.ttl_attribute)?,
        open: fields.open()?,
        sweeps: fields.optional_number(SWEEPS)?.unwrap_or(0),
    })
}

pub(crate) fn time(value: &AttributeValue) -> Option<Timestamp> {
    Timestamp::parse_decimal_seconds(value.as_n().ok()?)
}

/// Reads attributes by name and says which one is wrong.
pub(crate) struct Fields<'a>(pub(crate) &'a Item);

impl Fields<'_> {
    pub(crate) fn optional_text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_s().ok().cloned()
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, LedgerError> {
        self.optional_text(name).ok_or_else(|| unreadable(name))
    }

    pub(crate) fn optional_number(&self, name: &str) -> Result<Option<u32>, LedgerError> {
        let read = |value: &AttributeValue| value.as_n().ok()?.parse().ok();
        self.0.get(name).map(|value| read(value).ok_or_else(|| unreadable(name))).transpose()
    }

    fn number(&self, name: &str) -> Result<u32, LedgerError> {
        self.optional_number(name)?.ok_or_else(|| unreadable(name))
    }

    fn optional_time(&self, name: &str) -> Result<Option<Timestamp>, LedgerError> {
        self.0.get(name).map(|value| time(value).ok_or_else(|| unreadable(name))).transpose()
    }

    pub(crate) fn time(&self, name: &str) -> Result<Timestamp, LedgerError> {
        self.optional_time(name)?.ok_or_else(|| unreadable(name))
    }

    fn map<T>(
        &self,
        name: &str,
        read: impl Fn(&AttributeValue) -> Option<T>,
    ) -> Result<BTreeMap<String, T>, LedgerError> {
        let Some(AttributeValue::M(map)) = self.0.get(name) else { return Err(unreadable(name)) };
        map.iter()
            .map(|(key, value)| Some((key.clone(), read(value)?)))
            .collect::<Option<_>>()
            .ok_or_else(|| unreadable(name))
    }

    fn history(&self) -> Result<Vec<Transition>, LedgerError> {
        let Some(AttributeValue::L(entries)) = self.0.get(HISTORY) else {
            return Err(unreadable(HISTORY));
        };
        let entry = |entry: &AttributeValue| {
            let map = Fields(entry.as_m().map_err(|_| unreadable(HISTORY))?);
            let kind = map.text("kind")?;
            Ok(Transition {
                at: map.time("at")?,
                kind: TransitionKind::parse(&kind).ok_or_else(|| unreadable(HISTORY))?,
                life: map.number("life")?,
                attempt: map.number("attempt")?,
                actor: map.text("actor")?,
                detail: map.text("detail")?,
                request_id: map.optional_text("request_id"),
            })
        };
        entries.iter().map(entry).collect()
    }

    fn open(&self) -> Result<Option<Open>, LedgerError> {
        let index = &stack().table.open_index;
        let Some(shard) = self.optional_text(&index.partition_key) else { return Ok(None) };
        let due_at = self.time(&index.sort_key)?;
        match shard.split_once('#') {
            Some(("pending", _)) => Ok(Some(Open::Pending { due_at })),
            Some(("dead", _)) => Ok(Some(Open::Dead { due_at })),
            _ => Err(unreadable(&index.partition_key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use inbox_core::ledger::{
        ACTOR_CHARACTERS, ACTOR_PROCESSOR, ERROR_CHARACTERS, HISTORY_DETAIL_CHARACTERS,
        HISTORY_ENTRIES, NewEvent, REQUEST_ID_CHARACTERS, ROUTE_ERROR_CHARACTERS,
    };

    use super::*;

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
            AttributeValue::L(list) => {
                3 + list.iter().map(|value| 1 + bytes_of(value)).sum::<usize>()
            }
            other => panic!("the ledger holds no {other:?}"),
        }
    }

    #[test]
    fn the_largest_body_fits_an_item_whatever_its_content_and_however_long_its_history() {
        let mut record = record(noise(stack().defaults.max_body_bytes));
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
        record.errors =
            routes.clone().map(|id| (id, WIDE.repeat(ROUTE_ERROR_CHARACTERS))).collect();
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
            assert_eq!(record.history[0].actor, ACTOR_PROCESSOR);
            assert_eq!(to_record(&from_record(&record)).unwrap(), record);
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
        assert!(text("timeline_shard").starts_with(&format!("{source}#2025-11-24T16#")));
        assert_eq!(text("timeline_at"), format!("2025-11-24T16:00:00.123Z#{}", "i".repeat(256)));
        assert!(text("open_shard").starts_with("pending#"));
        assert_eq!(item["due_at"], AttributeValue::N("1764000900.123".into()));
        assert_eq!(item["expires_at"], AttributeValue::N("1766592001".into()));
    }
}
