//! The write that leaves routes of an event for later.
//!
//! It has the condition of a failure's, and touches neither state nor history.

use inbox_core::ledger::{Deferral, Record};

use crate::item::{self, number, seconds, text};
use crate::ledger::UNFINISHED;
use crate::update::{Update, is_mine};

/// Writes what the rules made of the record that was begun.
pub(crate) fn deferring(deferral: &Deferral<'_>, after: &Record) -> Update {
    let key = &after.event.key;
    let held = is_mine(deferral.record);
    let condition = format!("#life = :life AND {UNFINISHED} AND {held}");
    let write = Update::new(key, condition)
        .unfinished()
        .value(":life", number(after.life))
        .value(":token", text(after.lease_token.clone().unwrap_or_default()))
        .set("#attempts", ":attempts", number(after.attempts))
        .set("#failures", ":failures", item::failures(&after.failures))
        .open(item::pending_shard(key), deferral.due_at)
        .lasting(deferral.record, after)
        .remove(&["#leased_until"]);
    match after.next_at {
        Some(next_at) => write.set("#next_at", ":next_at", seconds(next_at)),
        None => write.remove(&["#next_at"]),
    }
}
