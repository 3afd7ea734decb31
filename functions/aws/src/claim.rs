//! The claim: an event's first write, which carries its payload or says where that
//! lies.
//!
//! ```text
//! compress ─ fits the item ──────────────────────▶ put the item, unless it is there
//!          └ too large ─▶ put the object ─────────▶ likewise, naming the object
//! ```
//!
//! Dying before the item is put leaves at most an object that nobody names. The
//! provider was not told 200 and sends again, which puts the same object if it sends
//! the same bytes.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure as OnFailure;
use inbox_core::Timestamp;
use inbox_core::event::Event;
use inbox_core::ledger::{Claimed, LedgerError, NewEvent, PayloadRef, Record, judge_claim};
use inbox_core::stack::stack;

use crate::compression::compress;
use crate::error::describe;
use crate::item::{self, Kept, seconds};
use crate::ledger::{DynamoDbLedger, record};

/// More than a claim can take between its refusal and what follows.
const FORGOTTEN_FOR_NOW: Duration = Duration::from_hours(1);

impl DynamoDbLedger {
    pub(crate) async fn put_claim(&self, new: &NewEvent) -> Result<Claimed, LedgerError> {
        let now = new.event.received_at;
        let table = &stack().table;
        let payload = self.keep(&new.event).await?;
        let stored = match &payload {
            Kept::Outside(reference) => Some(reference.clone()),
            Kept::Inline(..) => None,
        };
        let request = self
            .client()
            .put_item()
            .table_name(self.table())
            .set_item(Some(item::from_record(&Record::claimed(new), payload)))
            .condition_expression("attribute_not_exists(#pk) OR #expires_at < :now")
            .expression_attribute_names("#pk", &table.partition_key)
            .expression_attribute_names("#expires_at", &table.ttl_attribute)
            .expression_attribute_values(":now", seconds(now))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(Claimed::Fresh),
            Err(SdkError::ServiceError(refusal))
                if refusal.err().is_conditional_check_failed_exception() =>
            {
                let PutItemError::ConditionalCheckFailedException(refusal) = refusal.into_err()
                else {
                    unreachable!("matched just above");
                };
                let held = record(refusal.item.as_ref())?;
                if let Some(held) = &held {
                    self.drop_unnamed(stored.as_ref(), held, now).await;
                }
                Ok(judge_claim(held.as_ref(), new, stored.as_ref()))
            }
            Err(error) => Err(LedgerError::Unavailable(describe("PutItem", &error))),
        }
    }

    /// Compresses a payload and stores it where it is too large for the item.
    async fn keep(&self, event: &Event) -> Result<Kept, LedgerError> {
        let (encoding, compressed) = compress(&event.payload.bytes);
        if compressed.len() <= stack().defaults.inline_payload_bytes {
            return Ok(Kept::Inline(encoding, compressed));
        }
        Ok(Kept::Outside(self.payloads()?.put(event, encoding, compressed).await?))
    }

    /// Removes what was stored for a claim that was refused, unless the event that
    /// is there names it: a late repeat of an event that an operator had removed has
    /// brought its payload back, or a repeat came with other bytes. Nobody else
    /// could find it to forget it. An event that is about to be forgotten by time
    /// may be claimed anew at any moment, and then the object is that claim's.
    async fn drop_unnamed(&self, stored: Option<&PayloadRef>, held: &Record, now: Timestamp) {
        let lasts = held.expires_at > now.plus(FORGOTTEN_FOR_NOW);
        let is_named = held.forgotten_at.is_none() && held.payload_ref.as_ref() == stored;
        let (Some(reference), false, true) = (stored, is_named, lasts) else { return };
        let deleted = match self.payloads() {
            Ok(payloads) => payloads.delete(&reference.key).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = deleted {
            tracing::warn!(event = %held.event.key, %fault, "a payload that no event names stays until its bucket's lifecycle removes it");
        }
    }
}
