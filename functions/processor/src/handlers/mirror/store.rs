//! Where rows are kept: in `DynamoDB`, or in memory for tests.
//!
//! ```text
//! keep   put the whole row if  attribute_not_exists(pk) OR version < mine
//! ```
//!
//! One atomic write decides and stores, so there is no line at which a crash
//! leaves half a row, and no read that could have grown old. Written twice, by a
//! redelivery or by an SDK that repeats a write whose reply was lost, the second
//! finds its own version, is refused, and that is the right answer: what was to
//! be kept is kept, or something later is.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use inbox_core::Timestamp;
use inbox_core::stack::stack;

use super::row::Row;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is the latest now.
    Latest,
    /// The same or something later is held already.
    Superseded,
}

/// The table could not be asked. Whether the row was kept is not known; keeping
/// it again is harmless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mirror table: {reason}")]
pub struct MirrorError {
    /// An error code, never a message: messages may quote what was sent.
    pub reason: String,
}

/// Holds the latest row of each object.
pub trait Mirror: Send + Sync {
    /// Keeps `row` if it supersedes what is held under its key.
    fn keep(&self, row: &Row) -> impl Future<Output = Result<Kept, MirrorError>> + Send;

    /// What is held under a key, read after all writes that were answered.
    fn get(&self, pk: &str) -> impl Future<Output = Result<Option<Row>, MirrorError>> + Send;
}

/// A mirror that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryMirror {
    rows: Mutex<BTreeMap<String, Row>>,
}

impl MemoryMirror {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All rows, by key.
    #[must_use]
    pub fn all(&self) -> Vec<Row> {
        self.rows().values().cloned().collect()
    }
}

impl Mirror for MemoryMirror {
    async fn keep(&self, row: &Row) -> Result<Kept, MirrorError> {
        let mut rows = self.rows();
        if rows.get(&row.pk).is_none_or(|held| row.supersedes(held)) {
            rows.insert(row.pk.clone(), row.clone());
            Ok(Kept::Latest)
        } else {
            Ok(Kept::Superseded)
        }
    }

    async fn get(&self, pk: &str) -> Result<Option<Row>, MirrorError> {
        Ok(self.rows().get(pk).cloned())
    }
}

/// The mirror in its `DynamoDB` table.
#[derive(Clone, Debug)]
pub struct DynamoDbMirror {
    client: Client,
    table: String,
}

impl DynamoDbMirror {
    /// Uses `table`, whose partition key is named in `infra/stack.json`. Time
    /// limits and retries are the client's.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }
}

/// The name of the partition key.
fn key_name() -> &'static str {
    &stack().mirror_table.partition_key
}

impl Mirror for DynamoDbMirror {
    async fn keep(&self, row: &Row) -> Result<Kept, MirrorError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(row)))
            // The words of `Row::supersedes`. DynamoDB compares strings by their
            // UTF-8 bytes, as Rust does.
            .condition_expression("attribute_not_exists(#pk) OR #version < :version")
            .expression_attribute_names("#pk", key_name())
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", AttributeValue::S(row.version.clone()))
            .send()
            .await;
        match put {
            Ok(_) => Ok(Kept::Latest),
            Err(SdkError::ServiceError(refusal))
                if refusal.err().is_conditional_check_failed_exception() =>
            {
                Ok(Kept::Superseded)
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn get(&self, pk: &str) -> Result<Option<Row>, MirrorError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(key_name(), AttributeValue::S(pk.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable(&error))?;
        let Some(item) = found.item else { return Ok(None) };
        match from_item(&item) {
            Some(row) => Ok(Some(row)),
            None => Err(MirrorError { reason: "an item is not a row of the mirror".into() }),
        }
    }
}

/// Names the fault without its message.
fn unavailable<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> MirrorError {
    let reason = match error {
        SdkError::ServiceError(refusal) => refusal.err().code().unwrap_or("unnamed error"),
        SdkError::TimeoutError(_) => "timed out",
        SdkError::DispatchFailure(_) => "cannot be reached",
        SdkError::ResponseError(_) => "unreadable answer",
        _ => "request not sent",
    };
    MirrorError { reason: reason.to_owned() }
}

fn to_item(row: &Row) -> HashMap<String, AttributeValue> {
    let text = |text: &String| AttributeValue::S(text.clone());
    let seconds = |moment: Timestamp| AttributeValue::N(moment.to_decimal_seconds());
    let mut item = HashMap::from([
        (key_name().to_owned(), text(&row.pk)),
        ("source".to_owned(), text(&row.source)),
        ("provider".to_owned(), text(&row.provider)),
        ("kind".to_owned(), text(&row.kind)),
        ("object_id".to_owned(), text(&row.object_id)),
        ("deleted".to_owned(), AttributeValue::Bool(row.deleted)),
        ("event_type".to_owned(), text(&row.event_type)),
        ("event_id".to_owned(), text(&row.event_id)),
        ("received_at".to_owned(), seconds(row.received_at)),
        ("version".to_owned(), text(&row.version)),
    ]);
    let optional = [
        ("status", row.status.as_ref().map(text)),
        ("error_code", row.error_code.as_ref().map(text)),
        ("occurred_at", row.occurred_at.map(seconds)),
        ("body", row.body.as_ref().map(text)),
        ("omitted_bytes", row.omitted_bytes.map(|bytes| AttributeValue::N(bytes.to_string()))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    }
    item
}

fn from_item(item: &HashMap<String, AttributeValue>) -> Option<Row> {
    let text = |name: &str| item.get(name)?.as_s().ok().cloned();
    let number = |name: &str| item.get(name)?.as_n().ok();
    Some(Row {
        pk: text(key_name())?,
        source: text("source")?,
        provider: text("provider")?,
        kind: text("kind")?,
        object_id: text("object_id")?,
        status: text("status"),
        error_code: text("error_code"),
        deleted: *item.get("deleted")?.as_bool().ok()?,
        event_type: text("event_type")?,
        event_id: text("event_id")?,
        occurred_at: number("occurred_at").and_then(|n| Timestamp::parse_decimal_seconds(n)),
        received_at: Timestamp::parse_decimal_seconds(number("received_at")?)?,
        version: text("version")?,
        body: text("body"),
        omitted_bytes: number("omitted_bytes").and_then(|n| n.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            pk: "stripe#subscription#sub_1".into(),
            source: "stripe".into(),
            provider: "stripe".into(),
            kind: "subscription".into(),
            object_id: "sub_1".into(),
            status: None,
            error_code: None,
            deleted: false,
            event_type: "customer.subscription.updated".into(),
            event_id: "evt_1".into(),
            occurred_at: None,
            received_at: Timestamp::from_unix_ms(1_764_000_000_123).unwrap(),
            version: "1".into(),
            body: None,
            omitted_bytes: None,
        }
    }

    #[test]
    fn a_row_survives_its_item() {
        let bare = row();
        assert_eq!(from_item(&to_item(&bare)), Some(bare.clone()));
        let full = Row {
            status: Some("active".into()),
            error_code: Some("30003".into()),
            occurred_at: Timestamp::from_unix_ms(1_764_000_000_120),
            deleted: true,
            body: Some("{\"a\":1.0e2}".into()),
            omitted_bytes: Some(400_001),
            ..bare.clone()
        };
        assert_eq!(from_item(&to_item(&full)), Some(full));
        let mut item = to_item(&bare);
        item.remove("version");
        assert_eq!(from_item(&item), None);
    }
}
