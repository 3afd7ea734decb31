//! The rule of expiry, kept: [`inbox_core::ledger::lasting`] says what it asks for.
//!
//! ```text
//! renew the payload, where it lies apart ─▶ the write that moves the record's expiry
//! ```
//!
//! Dying between the two leaves a payload that lasts longer than it must.

use inbox_core::Timestamp;
use inbox_core::ledger::{Due, LedgerError, Record, is_swept, lasting};

use crate::item::{self, number, seconds};
use crate::ledger::{DynamoDbLedger, Written, record};
use crate::update::Update;

impl DynamoDbLedger {
    /// What must happen before a write that makes `after` of `before`: where the record
    /// is to last longer, its payload is made young again. One that is lost is no reason
    /// to lose the record too.
    pub(crate) async fn outlast(&self, before: &Record, after: &Record) -> Result<(), LedgerError> {
        let is_moved = after.expires_at > before.expires_at && after.forgotten_at.is_none();
        let Some(reference) = after.payload_ref.as_ref().filter(|_| is_moved) else {
            return Ok(());
        };
        // Rare, and large: boxed, so that every write's future is not as large.
        match Box::pin(self.payloads()?.renew(reference)).await {
            Err(LedgerError::PayloadLost(_)) | Ok(()) => Ok(()),
            fault => fault,
        }
    }

    /// Moves a due event's time forward. Nearly always one write: its record is only
    /// read where it does not last long enough.
    pub(crate) async fn move_due(
        &self,
        due: &Due,
        due_at: Timestamp,
    ) -> Result<Option<Record>, LedgerError> {
        let least = lasting(due_at, due_at);
        let write = sweep(due, due_at, " AND #expires_at >= :least");
        let write = write.value(":least", number(least.unix_seconds()));
        let held = match self.update_and_read(write).await? {
            Written::Yes(item) => return record(item.as_ref()),
            Written::Refused(item) => record(item.as_ref())?,
        };
        let Some(held) = held else { return Ok(None) };
        if is_swept(&held, due, due_at) {
            return Ok(Some(held));
        }
        if held.expires_at >= least {
            return Ok(None);
        }
        // Rare, and large: boxed, so that every sweep's future is not as large.
        Box::pin(self.move_due_and_expiry(due, due_at, held, least)).await
    }

    async fn move_due_and_expiry(
        &self,
        due: &Due,
        due_at: Timestamp,
        held: Record,
        least: Timestamp,
    ) -> Result<Option<Record>, LedgerError> {
        let after = Record { expires_at: least, ..held.clone() };
        let write = sweep(due, due_at, "");
        let write = match self.outlast(&held, &after).await {
            Ok(()) => write.lasting(&held, &after),
            // Whoever runs the event may have better luck; it must be woken all the same.
            Err(fault) => {
                tracing::warn!(event = %due.key, %fault, "payload not renewed, and so neither its record");
                write
            }
        };
        match self.update_and_read(write).await? {
            Written::Yes(item) => record(item.as_ref()),
            Written::Refused(item) => {
                Ok(record(item.as_ref())?.filter(|held| is_swept(held, due, due_at)))
            }
        }
    }
}

fn sweep(due: &Due, due_at: Timestamp, more: &str) -> Update {
    Update::new(&due.key, format!("#due_at = :read AND #open_shard = :shard{more}"))
        .value(":read", seconds(due.due_at))
        .set("#sweeps", ":sweeps", number(due.sweeps + 1))
        .open(item::pending_shard(&due.key), due_at)
}
