//! Finding events: what the operator's command reads besides single records.
//!
//! ```text
//! timeline   {source}#{day}#{shard} / {received at}#{id}    every event, by arrival
//! open       {pending|dead}#{shard}  / due_at               unfinished and dead ones
//! summaries  BatchGetItem                                   what has become of them
//! ```
//!
//! The indexes hold what never changes, or lag behind by a moment; what an event
//! is like now is read from the table. Payloads are not fetched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use bytes::Bytes;
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{Completion, LedgerError, NewEvent, Record, RouteFailure, State};
use inbox_core::provider::Payload;
use inbox_core::stack::stack;

use crate::error::describe;
use crate::item::{self, Fields, Item, text, unreadable};
use crate::ledger::DynamoDbLedger;

/// What `BatchGetItem` takes at once.
const BATCH: usize = 100;
/// How often keys that `BatchGetItem` left out are asked for again before it has
/// brought another.
const BATCH_TRIES: u32 = 8;

/// What has become of an event, without payload, headers and history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Source and idempotency key.
    pub key: EventKey,
    /// The provider's name.
    pub provider: String,
    /// The provider's own type.
    pub event_type: String,
    /// The provider's id of its delivery, where it differs from the event's.
    pub delivery_id: Option<String>,
    /// The object that it is about.
    pub subject: Option<String>,
    /// When it happened, by the provider's clock.
    pub occurred_at: Option<Timestamp>,
    /// When the receiver accepted it.
    pub received_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Replays and redrives, from 1.
    pub life: u32,
    /// Attempts in this life.
    pub attempts: u32,
    /// Not to be begun before.
    pub next_at: Option<Timestamp>,
    /// Until when somebody runs it.
    pub leased_until: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it became done.
    pub done_at: Option<Timestamp>,
    /// How each route completed.
    pub handlers: BTreeMap<String, Completion>,
    /// The routes that have failed in this life.
    pub failures: BTreeMap<String, RouteFailure>,
    /// The routes that this life was opened for; `None` for all.
    pub only: Option<BTreeSet<String>>,
    /// When the sweeper looks, or since when it is dead.
    pub due_at: Option<Timestamp>,
    /// When its payload was removed on purpose.
    pub forgotten_at: Option<Timestamp>,
    /// End of retention.
    pub expires_at: Timestamp,
}

impl Summary {
    /// The event as its record would tell it, without payload, headers and history:
    /// enough for the ledger's rules and the processor's routes.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let event = Event {
            key: self.key.clone(),
            provider: self.provider.clone(),
            event_type: self.event_type.clone(),
            delivery_id: None,
            subject: self.subject.clone(),
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            traceparent: None,
            payload: Payload { content_type: String::new(), bytes: Bytes::new() },
            headers: BTreeMap::new(),
        };
        let claimed = Record::claimed(&NewEvent {
            event,
            request_id: String::new(),
            due_at: self.received_at,
            expires_at: self.expires_at,
        });
        Record {
            state: self.state,
            life: self.life,
            attempts: self.attempts,
            leased_until: self.leased_until,
            next_at: self.next_at,
            last_error: self.last_error.clone(),
            done_at: self.done_at,
            handlers: self.handlers.clone(),
            failures: self.failures.clone(),
            only: self.only.clone(),
            forgotten_at: self.forgotten_at,
            ..claimed
        }
    }
}

/// An event's place in the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Source and idempotency key.
    pub key: EventKey,
    /// The provider's name.
    pub provider: String,
    /// The provider's own type.
    pub event_type: String,
    /// The provider's id of its delivery, where it differs from the event's.
    pub delivery_id: Option<String>,
    /// When the receiver accepted it.
    pub received_at: Timestamp,
}

/// Which of the open events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenKind {
    /// Unfinished.
    Pending,
    /// Given up.
    Dead,
}

/// Some rows of an index, and where to go on.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// To be given back for the rows behind these; `None` at the end.
    pub next: Option<Cursor>,
}

/// A place in an index.
#[derive(Clone, Debug)]
pub struct Cursor(Item);

impl DynamoDbLedger {
    /// Arrivals of one source within one day and one shard, between two moments
    /// (both included), the newest first or the oldest.
    ///
    /// # Errors
    ///
    /// The table does not answer.
    pub async fn arrivals(
        &self,
        partition: &TimelinePartition<'_>,
        newest_first: bool,
        after: Option<Cursor>,
    ) -> Result<Page<Arrival>, LedgerError> {
        let index = &stack().table.timeline_index;
        // `#` sorts before everything that ids hold, U+FFFF behind.
        let from = partition.since.to_rfc3339();
        let to = format!("{}#\u{FFFF}", partition.until.to_rfc3339());
        let shard =
            item::timeline_partition(partition.source, partition.within_day, partition.shard);
        let answer = self
            .client()
            .query()
            .table_name(self.table())
            .index_name(&index.name)
            .key_condition_expression("#shard = :shard AND #at BETWEEN :from AND :to")
            .expression_attribute_names("#shard", &index.partition_key)
            .expression_attribute_names("#at", &index.sort_key)
            .expression_attribute_values(":shard", text(shard))
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":to", text(to))
            .scan_index_forward(!newest_first)
            .set_exclusive_start_key(after.map(|cursor| cursor.0))
            .send()
            .await
            .map_err(|error| LedgerError::Unavailable(describe("Query", &error)))?;
        let readable = |item: &Item| readable(item, arrival(item));
        let rows = answer.items().iter().filter_map(readable).collect();
        Ok(Page { rows, next: answer.last_evaluated_key.map(Cursor) })
    }

    /// Keys of one shard's unfinished or dead events, with the time at which
    /// somebody looks, or since when they are dead; the latest first.
    ///
    /// # Errors
    ///
    /// The table does not answer.
    pub async fn open(
        &self,
        kind: OpenKind,
        shard: u32,
        after: Option<Cursor>,
    ) -> Result<Page<(EventKey, Timestamp)>, LedgerError> {
        let index = &stack().table.open_index;
        let prefix = match kind {
            OpenKind::Pending => "pending",
            OpenKind::Dead => "dead",
        };
        let answer = self
            .client()
            .query()
            .table_name(self.table())
            .index_name(&index.name)
            .key_condition_expression("#shard = :shard")
            .expression_attribute_names("#shard", &index.partition_key)
            .expression_attribute_values(":shard", text(format!("{prefix}#{shard}")))
            .scan_index_forward(false)
            .set_exclusive_start_key(after.map(|cursor| cursor.0))
            .send()
            .await
            .map_err(|error| LedgerError::Unavailable(describe("Query", &error)))?;
        let row = |item: &Item| Ok((key_of(item)?, Fields(item).time(&index.sort_key)?));
        let readable = |item: &Item| readable(item, row(item));
        let rows = answer.items().iter().filter_map(readable).collect();
        Ok(Page { rows, next: answer.last_evaluated_key.map(Cursor) })
    }

    /// What has become of these events, in no order; those that are not there
    /// are left out, as are those of another layout.
    ///
    /// # Errors
    ///
    /// The table does not answer.
    pub async fn summaries(&self, keys: &[EventKey]) -> Result<Vec<Summary>, LedgerError> {
        let mut summaries = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let mut open: Vec<Item> = batch.iter().map(item::key).collect();
            // The same key twice is refused.
            open.sort_by_key(|key| format!("{key:?}"));
            open.dedup();
            let mut tries = 0;
            while !open.is_empty() {
                if tries == BATCH_TRIES {
                    let text = "BatchGetItem: ThrottlingException: keys stayed unprocessed";
                    return Err(LedgerError::Unavailable(text.to_owned()));
                }
                if tries > 0 {
                    tokio::time::sleep(Duration::from_millis(50) * (1 << tries)).await;
                }
                tries += 1;
                let (found, rest) = self.batch(open).await?;
                // Large items come some at a time, and slowly where AWS throttles.
                if !found.is_empty() {
                    tries = 1;
                }
                summaries.extend(found.iter().filter_map(|item| readable(item, summary(item))));
                open = rest;
            }
        }
        Ok(summaries)
    }

    async fn batch(&self, keys: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>), LedgerError> {
        let names: HashMap<String, String> = ATTRIBUTES
            .iter()
            .copied()
            .chain([
                stack().table.partition_key.as_str(),
                stack().table.ttl_attribute.as_str(),
                stack().table.open_index.sort_key.as_str(),
            ])
            .map(|name| (format!("#{name}"), name.to_owned()))
            .collect();
        let projection = names.keys().cloned().collect::<Vec<_>>().join(", ");
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .projection_expression(projection)
            .set_expression_attribute_names(Some(names))
            .consistent_read(true)
            .build()
            .map_err(|fault| LedgerError::Unavailable(format!("BatchGetItem: {fault}")))?;
        let answer = self
            .client()
            .batch_get_item()
            .request_items(self.table(), wanted)
            .send()
            .await
            .map_err(|error| LedgerError::Unavailable(describe("BatchGetItem", &error)))?;
        let found =
            answer.responses.and_then(|mut tables| tables.remove(self.table())).unwrap_or_default();
        let rest = answer
            .unprocessed_keys
            .and_then(|mut tables| tables.remove(self.table()))
            .map(|rest| rest.keys)
            .unwrap_or_default();
        Ok((found, rest))
    }
}

/// Where in the timeline to look.
#[derive(Clone, Copy, Debug)]
pub struct TimelinePartition<'a> {
    /// The endpoint.
    pub source: &'a str,
    /// Any moment of the day (UTC).
    pub within_day: Timestamp,
    /// One of `stack().table.timeline_index.shards`.
    pub shard: u32,
    /// Not before.
    pub since: Timestamp,
    /// Not after.
    pub until: Timestamp,
}

const ATTRIBUTES: [&str; 17] = [
    "provider",
    "event_type",
    "delivery_id",
    "subject",
    "occurred_at",
    "received_at",
    item::STATE,
    item::LIFE,
    item::ATTEMPTS,
    item::NEXT_AT,
    item::LEASED_UNTIL,
    item::LAST_ERROR,
    item::DONE_AT,
    item::HANDLERS,
    item::FAILURES,
    item::ONLY,
    item::FORGOTTEN_AT,
];

/// One item that cannot be read, of a newer version perhaps, must not hide all the
/// others; whoever reads hears of it.
fn readable<T>(item: &Item, read: Result<T, LedgerError>) -> Option<T> {
    read.inspect_err(|fault| {
        let key = Fields(item).optional_text(&stack().table.partition_key);
        tracing::error!(key, %fault, "left out");
    })
    .ok()
}

fn key_of(item: &Item) -> Result<EventKey, LedgerError> {
    let key = Fields(item).text(&stack().table.partition_key)?;
    EventKey::parse(&key).ok_or_else(|| LedgerError::Unreadable("its key has no source".to_owned()))
}

fn arrival(item: &Item) -> Result<Arrival, LedgerError> {
    let fields = Fields(item);
    Ok(Arrival {
        key: key_of(item)?,
        provider: fields.text("provider")?,
        event_type: fields.text("event_type")?,
        delivery_id: fields.optional_text("delivery_id"),
        received_at: fields.time("received_at")?,
    })
}

fn summary(item: &Item) -> Result<Summary, LedgerError> {
    let fields = Fields(item);
    let state = fields.text(item::STATE)?;
    Ok(Summary {
        key: key_of(item)?,
        provider: fields.text("provider")?,
        event_type: fields.text("event_type")?,
        delivery_id: fields.optional_text("delivery_id"),
        subject: fields.optional_text("subject"),
        occurred_at: fields.optional_time("occurred_at")?,
        received_at: fields.time("received_at")?,
        state: State::parse(&state).ok_or_else(|| unreadable(item::STATE))?,
        life: fields.number(item::LIFE)?,
        attempts: fields.number(item::ATTEMPTS)?,
        next_at: fields.optional_time(item::NEXT_AT)?,
        leased_until: fields.optional_time(item::LEASED_UNTIL)?,
        last_error: fields.optional_text(item::LAST_ERROR),
        done_at: fields.optional_time(item::DONE_AT)?,
        handlers: fields.map(item::HANDLERS, item::to_completion)?,
        failures: fields.failures()?,
        only: fields.optional_names(item::ONLY)?,
        due_at: fields.optional_time(&stack().table.open_index.sort_key)?,
        forgotten_at: fields.optional_time(item::FORGOTTEN_AT)?,
        expires_at: fields.time(&stack().table.ttl_attribute)?,
    })
}
