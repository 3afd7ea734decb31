//! A record as a `DynamoDB` item, and back.
//!
//! Times are numbers of seconds, milliseconds as decimals, because TTL wants
//! seconds and one record should have one unit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{
    Completion, LedgerError, Open, PayloadRef, Record, RouteFailure, SCHEMA, State, Transition,
    TransitionKind, shard_of,
};
use inbox_core::provider::Payload;
use inbox_core::stack::stack;

use crate::compression::{Encoding, decompress};

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
/// In a completion.
const NOTHING: &str = "nothing";
pub(crate) const FAILURES: &str = "failures";
pub(crate) const ONLY: &str = "only";
pub(crate) const HISTORY: &str = "history";
pub(crate) const SWEEPS: &str = "sweeps";
pub(crate) const DEFERRALS: &str = "deferrals";
pub(crate) const FORGOTTEN_AT: &str = "forgotten_at";

pub(crate) const PAYLOAD: &str = "payload";
pub(crate) const PAYLOAD_ENCODING: &str = "payload_encoding";
pub(crate) const PAYLOAD_REF: &str = "payload_ref";
pub(crate) const PAYLOAD_BYTES: &str = "payload_bytes";

/// Where a claimed event's payload is kept.
pub(crate) enum Kept {
    Inline(Encoding, Vec<u8>),
    Outside(PayloadRef),
}

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
pub(crate) fn from_record(record: &Record, payload: Kept) -> Item {
    let event = &record.event;
    let table = &stack().table;
    let mut item = key(&event.key);
    item.extend(
        [
            ("schema", number(SCHEMA)),
            (STATE, text(record.state.as_str())),
            ("source", text(&event.key.source)),
            ("provider", text(&event.provider)),
            ("event_type", text(&event.event_type)),
            ("event_id", text(&event.key.id)),
            ("request_id", text(&record.request_id)),
            ("received_at", seconds(event.received_at)),
            ("content_type", text(&event.payload.content_type)),
            ("headers", texts(&event.headers)),
            (LIFE, number(record.life)),
            (ATTEMPTS, number(record.attempts)),
            (HANDLERS, AttributeValue::M(HashMap::new())),
            (FAILURES, failures(&record.failures)),
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
        (ONLY, record.only.as_ref().map(names)),
    ];
    item.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    item.extend(match payload {
        Kept::Inline(encoding, bytes) => [
            (PAYLOAD.to_owned(), AttributeValue::B(Blob::new(bytes))),
            (PAYLOAD_ENCODING.to_owned(), text(encoding.as_str())),
        ],
        Kept::Outside(reference) => [
            (PAYLOAD_REF.to_owned(), text(reference.key)),
            (PAYLOAD_BYTES.to_owned(), AttributeValue::N(reference.bytes.to_string())),
        ],
    });
    if let Some(open) = record.open {
        let index = &table.open_index;
        item.insert(index.partition_key.clone(), pending_shard(&event.key));
        item.insert(index.sort_key.clone(), seconds(open.due_at()));
    }
    item
}

fn timeline_shard(event: &Event) -> String {
    let shard = shard_of(&event.key, stack().table.timeline_index.shards);
    timeline_partition(&event.key.source, event.received_at, shard)
}

/// `{source}#{day}#{shard}`: a day of one source, spread over the shards. Shorter stretches
/// would make a quiet week slow to read, and would not spread what arrives at one moment.
pub(crate) fn timeline_partition(source: &str, within_day: Timestamp, shard: u32) -> String {
    format!("{source}#{}#{shard}", &within_day.to_rfc3339()[..10])
}

fn timeline_at(event: &Event) -> String {
    format!("{}#{}", event.received_at.to_rfc3339(), event.key.id)
}

pub(crate) fn texts(map: &BTreeMap<String, String>) -> AttributeValue {
    AttributeValue::M(map.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

/// A set of names; `DynamoDB` takes no empty one.
pub(crate) fn names(names: &BTreeSet<String>) -> AttributeValue {
    AttributeValue::Ss(names.iter().cloned().collect())
}

/// A number, as it mostly is, or a map with why there was nothing to do.
pub(crate) fn completion(completion: &Completion) -> AttributeValue {
    let at = seconds(completion.at);
    let Some(nothing) = &completion.nothing else { return at };
    AttributeValue::M(HashMap::from([("at".to_owned(), at), (NOTHING.to_owned(), text(nothing))]))
}

pub(crate) fn completions(completions: &BTreeMap<String, Completion>) -> AttributeValue {
    let entries = completions.iter().map(|(route, it)| (route.clone(), completion(it)));
    AttributeValue::M(entries.collect())
}

pub(crate) fn failures(failures: &BTreeMap<String, RouteFailure>) -> AttributeValue {
    let entry = |failure: &RouteFailure| {
        let mut map = HashMap::from([
            ("error".to_owned(), text(&failure.error)),
            (ATTEMPTS.to_owned(), number(failure.attempts)),
        ]);
        if let Some(quote) = &failure.quote {
            map.insert("quote".to_owned(), text(quote));
        }
        if let Some(next_at) = failure.next_at {
            map.insert(NEXT_AT.to_owned(), seconds(next_at));
        }
        if failure.deferrals > 0 {
            map.insert(DEFERRALS.to_owned(), number(failure.deferrals));
        }
        AttributeValue::M(map)
    };
    AttributeValue::M(failures.iter().map(|(route, it)| (route.clone(), entry(it))).collect())
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

pub(crate) fn unreadable(attribute: &str) -> LedgerError {
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
    // Who may write a source's items alone is held to their keys: what such an item says
    // of itself must be the same.
    if fields.text(&table.partition_key)? != key.to_string() {
        return Err(unreadable("source or event_id"));
    }
    let payload_ref = fields.payload_ref()?;
    let payload = match &payload_ref {
        Some(_) if !item.contains_key(PAYLOAD) => Bytes::new(),
        _ => fields.payload()?,
    };
    let state = fields.text(STATE)?;
    Ok(Record {
        request_id: fields.text("request_id")?,
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
        payload_ref,
        state: State::parse(&state).ok_or_else(|| unreadable(STATE))?,
        life: fields.number(LIFE)?,
        attempts: fields.number(ATTEMPTS)?,
        lease_token: fields.optional_text(LEASE_TOKEN),
        leased_until: fields.optional_time(LEASED_UNTIL)?,
        next_at: fields.optional_time(NEXT_AT)?,
        last_error: fields.optional_text(LAST_ERROR),
        done_at: fields.optional_time(DONE_AT)?,
        handlers: fields.map(HANDLERS, to_completion)?,
        failures: fields.failures()?,
        only: fields.optional_names(ONLY)?,
        history: fields.history()?,
        expires_at: fields.time(&table.ttl_attribute)?,
        open: fields.open()?,
        sweeps: fields.optional_number(SWEEPS)?.unwrap_or(0),
        forgotten_at: fields.optional_time(FORGOTTEN_AT)?,
    })
}

pub(crate) fn time(value: &AttributeValue) -> Option<Timestamp> {
    Timestamp::parse_decimal_seconds(value.as_n().ok()?)
}

pub(crate) fn to_completion(value: &AttributeValue) -> Option<Completion> {
    let Ok(map) = value.as_m() else { return time(value).map(Completion::from) };
    let fields = Fields(map);
    Some(Completion { at: fields.time("at").ok()?, nothing: fields.optional_text(NOTHING) })
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

    pub(crate) fn number(&self, name: &str) -> Result<u32, LedgerError> {
        self.optional_number(name)?.ok_or_else(|| unreadable(name))
    }

    pub(crate) fn optional_time(&self, name: &str) -> Result<Option<Timestamp>, LedgerError> {
        self.0.get(name).map(|value| time(value).ok_or_else(|| unreadable(name))).transpose()
    }

    pub(crate) fn time(&self, name: &str) -> Result<Timestamp, LedgerError> {
        self.optional_time(name)?.ok_or_else(|| unreadable(name))
    }

    pub(crate) fn map<T>(
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

    pub(crate) fn optional_names(
        &self,
        name: &str,
    ) -> Result<Option<BTreeSet<String>>, LedgerError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let names = value.as_ss().map_err(|_| unreadable(name))?;
        Ok(Some(names.iter().cloned().collect()))
    }

    fn payload(&self) -> Result<Bytes, LedgerError> {
        let encoding = Encoding::parse(&self.text(PAYLOAD_ENCODING)?);
        let encoding = encoding.ok_or_else(|| unreadable(PAYLOAD_ENCODING))?;
        let Some(AttributeValue::B(blob)) = self.0.get(PAYLOAD) else {
            return Err(unreadable(PAYLOAD));
        };
        let kept = Bytes::from(blob.clone().into_inner());
        decompress(encoding, kept).ok_or_else(|| unreadable(PAYLOAD))
    }

    /// A forgotten event has both: an empty payload, and where it once lay.
    fn payload_ref(&self) -> Result<Option<PayloadRef>, LedgerError> {
        if !self.0.contains_key(PAYLOAD_REF) {
            return Ok(None);
        }
        let bytes: u32 = self.number(PAYLOAD_BYTES)?;
        let bytes = usize::try_from(bytes).map_err(|_| unreadable(PAYLOAD_BYTES))?;
        Ok(Some(PayloadRef { key: self.text(PAYLOAD_REF)?, bytes }))
    }

    /// None in items of versions that wrote none.
    pub(crate) fn failures(&self) -> Result<BTreeMap<String, RouteFailure>, LedgerError> {
        if !self.0.contains_key(FAILURES) {
            return Ok(BTreeMap::new());
        }
        self.map(FAILURES, |value| {
            let fields = Fields(value.as_m().ok()?);
            Some(RouteFailure {
                error: fields.optional_text("error")?,
                quote: fields.optional_text("quote"),
                attempts: fields.number(ATTEMPTS).ok()?,
                next_at: fields.optional_time(NEXT_AT).ok()?,
                deferrals: fields.optional_number(DEFERRALS).ok()?.unwrap_or(0),
            })
        })
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
mod properties;
#[cfg(test)]
mod tests;
