//! What is due, read from the index `open`: page after page of a shard, the
//! longest due first.
//!
//! A row that cannot be read (somebody else wrote it, or a later version did) is
//! left out and stays, since nobody moves its `due_at`. It must hide nothing that
//! stands behind it, unless there are thousands of its kind, and must not write a
//! line of its own in every minute.

use aws_sdk_dynamodb::operation::query::QueryOutput;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Due, DuePage, LedgerError};
use inbox_core::stack::stack;

use crate::error::describe;
use crate::item::{self, Fields, Item, SWEEPS, seconds, text};
use crate::ledger::DynamoDbLedger;

/// Pages without one readable row that are passed over in one call.
const UNREADABLE_PAGES: u32 = 20;

impl DynamoDbLedger {
    pub(crate) async fn due_page(
        &self,
        shard: u32,
        after: Option<&Due>,
        limit: u32,
        now: Timestamp,
    ) -> Result<DuePage, LedgerError> {
        let mut start = after.map(|due| index_key(shard, due));
        for _ in 0..UNREADABLE_PAGES {
            let answer = self.query_due(shard, start, limit, now).await?;
            let due = readable(shard, answer.items());
            start = answer.last_evaluated_key;
            // A page without a readable row says nothing of those behind it.
            if start.is_none() || !due.is_empty() {
                return Ok(DuePage { due, is_last: start.is_none() });
            }
        }
        let rows = u64::from(limit) * u64::from(UNREADABLE_PAGES);
        Err(LedgerError::Unreadable(format!("{rows} rows of the index, one behind the other")))
    }

    /// A dead event stands in the index by when it died, so the first row tells.
    pub(crate) async fn first_dead(
        &self,
        shard: u32,
        since: Timestamp,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let index = &stack().table.open_index;
        let answer = self
            .client()
            .query()
            .table_name(self.table())
            .index_name(&index.name)
            .key_condition_expression("#shard = :shard AND #due_at > :since")
            .expression_attribute_names("#shard", &index.partition_key)
            .expression_attribute_names("#due_at", &index.sort_key)
            .expression_attribute_values(":shard", text(format!("dead#{shard}")))
            .expression_attribute_values(":since", seconds(since))
            .limit(1)
            .send()
            .await
            .map_err(|error| LedgerError::Unavailable(describe("Query", &error)))?;
        answer.items().first().map(|row| Fields(row).time(&index.sort_key)).transpose()
    }

    async fn query_due(
        &self,
        shard: u32,
        start: Option<Item>,
        limit: u32,
        now: Timestamp,
    ) -> Result<QueryOutput, LedgerError> {
        let index = &stack().table.open_index;
        self.client()
            .query()
            .table_name(self.table())
            .index_name(&index.name)
            .key_condition_expression("#shard = :shard AND #due_at <= :now")
            .expression_attribute_names("#shard", &index.partition_key)
            .expression_attribute_names("#due_at", &index.sort_key)
            .expression_attribute_values(":shard", text(format!("pending#{shard}")))
            .expression_attribute_values(":now", seconds(now))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| LedgerError::Unavailable(describe("Query", &error)))
    }
}

/// The key of a row, to go on behind it, whether it is still there or not.
fn index_key(shard: u32, due: &Due) -> Item {
    let index = &stack().table.open_index;
    let mut whole = item::key(&due.key);
    whole.insert(index.partition_key.clone(), text(format!("pending#{shard}")));
    whole.insert(index.sort_key.clone(), seconds(due.due_at));
    whole
}

/// The rows that can be read; one line tells of all others.
fn readable(shard: u32, rows: &[Item]) -> Vec<Due> {
    let (due, faults): (Vec<_>, Vec<_>) = rows.iter().map(to_due).partition(Result::is_ok);
    if let Some(Err(fault)) = faults.first() {
        let rows = faults.len();
        tracing::error!(shard, rows, %fault, "rows left out, the first with this fault");
    }
    due.into_iter().flatten().collect()
}

fn to_due(row: &Item) -> Result<Due, LedgerError> {
    let table = &stack().table;
    let fields = Fields(row);
    let key = EventKey::parse(&fields.text(&table.partition_key)?)
        .ok_or_else(|| LedgerError::Unreadable("its key has no source".to_owned()))?;
    let sweeps = fields.optional_number(SWEEPS)?.unwrap_or(0);
    Ok(Due { key, due_at: fields.time(&table.open_index.sort_key)?, sweeps })
}
