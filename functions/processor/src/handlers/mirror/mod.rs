//! `mirror`: keeps the latest known state of the provider's object in a table.
//!
//! ```text
//! event ─ the provider's file reads it ─▶ row: key, version, state     a pure function
//!                                          │
//!                                          ▼
//!                             keep: put if nothing there or version < mine
//! ```
//!
//! **Why the order of arrival does not matter.** The row is a function of one event
//! alone, and the versions of an object's events are all different and totally
//! ordered. Keeping takes the greater of two, which is associative, commutative
//! and idempotent: whatever the permutation and however often each event comes, what
//! is left is the row of the greatest version among the events that came. Nothing
//! is read, remembered or merged that could make it otherwise.
//!
//! **Why a crash does not matter.** There is one write, and it is atomic. Before it
//! nothing happened; after it everything did, and the event's repetition is refused
//! by its own version. A write that the SDK repeats, or that lands long after its
//! process died, meets the same condition.
//!
//! Where each provider's events stand is told in its file. Changing a rule changes
//! versions: empty the table and replay the events then.
//!
//! Rows of deleted objects stay, as the wall that late events run into. The table
//! holds what providers say of people; whoever may read it is a matter of its
//! policy, and nothing of it is logged.

mod github;
mod row;
mod standard_webhooks;
mod store;
mod stripe;
mod twilio;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_core::event::Event;
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::debug;

pub use self::row::{Nothing, Row, pk};
pub use self::store::{DynamoDbMirror, Kept, MemoryMirror, Mirror, MirrorError};
use super::{Options, Resources};

/// Reads the one object that an event is about.
type Read = fn(&Event) -> Result<Row, Nothing>;

/// The providers that the mirror understands.
const READERS: &[(&str, Read)] = &[
    ("github", github::read),
    ("standard_webhooks", standard_webhooks::read),
    ("stripe", stripe::read),
    ("twilio", twilio::read),
];

/// Whether the mirror understands this provider's events.
#[must_use]
pub fn knows(provider: &str) -> bool {
    READERS.iter().any(|(known, _)| *known == provider)
}

/// The row that an event leaves where nothing is held yet.
///
/// # Errors
///
/// Why it leaves none.
pub fn read(event: &Event) -> Result<Row, Nothing> {
    let known = READERS.iter().find(|(provider, _)| *provider == event.provider);
    let (_, read) = known.ok_or(Nothing("the provider is not one that is mirrored"))?;
    read(event)
}

/// The handler.
#[derive(Debug)]
pub struct KeepLatest<M> {
    mirror: M,
}

impl<M: Mirror> KeepLatest<M> {
    /// Keeps what it learns in `mirror`.
    pub fn new(mirror: M) -> Self {
        Self { mirror }
    }
}

impl<M: Mirror> Handler for KeepLatest<M> {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        _run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            let (source, event_type) = (event.key.source.as_str(), event.event_type.as_str());
            let row = match read(event) {
                Ok(row) => row,
                Err(nothing) => {
                    debug!(source, event_type, reason = %nothing, "nothing to mirror");
                    return Ok(Handled::Nothing(nothing.0));
                }
            };
            // Every fault of the table is one that somebody can mend without
            // touching the event: throttling passes, a missing table or
            // permission is made, and what does not fit an item was left out
            // before. So none of them buries the event at once.
            let kept =
                self.mirror.keep(&row).await.map_err(|e| HandlerError::retry(e.to_string()))?;
            debug!(source, event_type, ?kept, "mirrored");
            Ok(Handled::Done)
        }
        .boxed()
    }

    /// The row, its item and the request, of an object that has just been read.
    fn copied_bytes(&self, envelope_bytes: usize) -> usize {
        envelope_bytes + 3 * envelope_bytes.min(row::ROW_MOST_BYTES)
    }
}

/// Makes the handler for a route. It has no options.
pub(super) fn build(resources: &Resources, with: &Value) -> Result<Arc<dyn Handler>, Vec<String>> {
    let mut options = Options::of(with);
    let table = resources.mirror_table.as_deref().unwrap_or_default();
    if table.is_empty() {
        options.problem("needs the name of the mirror's table: set MIRROR_TABLE_NAME");
    }
    options.finish()?;
    let client = aws_sdk_dynamodb::Client::new(&resources.aws);
    Ok(Arc::new(KeepLatest::new(DynamoDbMirror::new(client, table))))
}

/// Reads a JSON object. serde alone would read arrays too, field by field.
fn object_of<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    if !raw.get().starts_with('{') {
        return None;
    }
    serde_json::from_str(raw.get()).ok()
}

/// A JSON text without its quotes and escapes, or a number as it is written.
fn text_of(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str(text).ok(),
        b'-' | b'0'..=b'9' => Some(text.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
