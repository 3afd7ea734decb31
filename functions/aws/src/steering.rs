//! The operator's two writes: opening a new life, and forgetting.
//!
//! Both are conditional on the life that the operator saw and on nobody running
//! the event, so that two operators, or one who was interrupted and starts over,
//! cannot do either twice.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use inbox_core::Timestamp;
use inbox_core::ledger::{Forgetting, Record, Reopen, Reopening, Rerun, State};

use crate::item::{self, number, seconds, text};
use crate::update::Update;

const NOT_LEASED: &str = "(attribute_not_exists(#leased_until) OR #leased_until < :now)";

/// Opens the life of `after`, which the rules made of the record that was read.
pub(crate) fn reopening(reopening: &Reopening<'_>, after: &Record, now: Timestamp) -> Update {
    let key = &after.event.key;
    let mut condition =
        format!("#life = :seen AND {NOT_LEASED} AND attribute_not_exists(#forgotten_at)");
    match reopening.cause {
        Reopen::Redrive { .. } => condition.push_str(" AND #state = :dead"),
        // What is kept of the failures is kept as it was read.
        Reopen::Replay { rerun: Rerun::Routes(_), .. } => {
            let seen = &reopening.record.failures;
            condition.push_str(" AND #handlers = :seen_handlers");
            if reopening.record.only.is_none() {
                condition.push_str(" AND #state <> :received");
            }
            condition.push_str(if seen.is_empty() {
                " AND (attribute_not_exists(#failures) OR #failures = :seen_failures)"
            } else {
                " AND #failures = :seen_failures"
            });
        }
        Reopen::Replay { rerun: Rerun::All, .. } => {
            condition.push_str(" AND #handlers = :seen_handlers");
        }
        Reopen::Replay { rerun: Rerun::Unfinished, .. } => {}
    }
    let mut write = Update::new(key, condition)
        .value(":dead", text(State::Dead.as_str()))
        .value(":seen_failures", item::failures(&reopening.record.failures))
        .value(":seen_handlers", item::completions(&reopening.record.handlers))
        .value(":seen", number(reopening.record.life))
        .value(":now", seconds(now))
        .set("#state", ":received", text(State::Received.as_str()))
        .set("#life", ":life", number(after.life))
        .set("#attempts", ":attempts", number(after.attempts))
        .set("#failures", ":failures", item::failures(&after.failures))
        .set("#expires_at", ":expires_at", number(after.expires_at.unix_seconds()))
        .open(item::pending_shard(key), reopening.due_at);
    // Completions and failures may have been recorded since the record was read:
    // what is not meant to be forgotten is added to, not written over.
    match reopening.cause {
        Reopen::Redrive { .. } | Reopen::Replay { rerun: Rerun::Unfinished, .. } => {}
        Reopen::Replay { rerun: Rerun::Routes(routes), .. } => {
            // Named twice, it would be removed twice, which DynamoDB refuses as
            // overlapping paths.
            for (n, route) in BTreeSet::from_iter(routes).into_iter().enumerate() {
                let placeholder = format!("#again{n}");
                write = write
                    .route(&placeholder, route)
                    .remove(&[format!("#handlers.{placeholder}").as_str()]);
            }
        }
        Reopen::Replay { rerun: Rerun::All, .. } => {
            write = write.set("#handlers", ":none", AttributeValue::M(HashMap::new()));
        }
    }
    write = match &after.only {
        Some(only) => write.set("#only", ":only", item::names(only)),
        None => write.remove(&["#only"]),
    };
    // What was recorded since stays, unless entries go for want of room.
    write = match after.history.strip_prefix(reopening.record.history.as_slice()) {
        Some(entries) => write
            .set_to("#history", "list_append(#history, :entries)")
            .value(":entries", item::history(entries)),
        None => write.set("#history", ":history", item::history(&after.history)),
    };
    write = write.remove(&["#next_at", "#lease_token", "#leased_until"]);
    write.remove(&["#last_error", "#done_at", "#sweeps"])
}

/// Writes what the rules left of the record that was read.
pub(crate) fn forgetting(forgetting: &Forgetting<'_>, after: &Record, now: Timestamp) -> Update {
    let seen = forgetting.record;
    let condition = format!(
        "#life = :seen AND #state = :seen_state AND {NOT_LEASED} \
         AND attribute_not_exists(#forgotten_at)"
    );
    let write = Update::new(&seen.event.key, condition);
    let write = match &after.payload_ref {
        Some(copy) if seen.payload_ref.is_none() => write
            .set("#payload_ref", ":payload_ref", text(&copy.key))
            .set("#payload_bytes", ":payload_bytes", AttributeValue::N(copy.bytes.to_string())),
        _ => write,
    };
    write
        .value(":seen", number(seen.life))
        .value(":seen_state", text(seen.state.as_str()))
        .value(":now", seconds(now))
        .set("#state", ":state", text(after.state.as_str()))
        .set("#history", ":history", item::history(&after.history))
        .set("#failures", ":failures", item::failures(&after.failures))
        .set("#headers", ":headers", item::texts(&after.event.headers))
        .payload(&after.event.payload.bytes)
        .set_to("#forgotten_at", ":now")
        .remove(&["#subject", "#delivery_id", "#traceparent", "#last_error", "#only"])
        .remove(&["#leased_until", "#next_at", "#open_shard", "#due_at", "#sweeps"])
}

/// The attributes that only forgetting touches, by their placeholders.
pub(crate) const NAMES: [(&str, &str); 8] = [
    ("#headers", "headers"),
    ("#payload", item::PAYLOAD),
    ("#payload_encoding", item::PAYLOAD_ENCODING),
    ("#payload_ref", item::PAYLOAD_REF),
    ("#payload_bytes", item::PAYLOAD_BYTES),
    ("#subject", "subject"),
    ("#delivery_id", "delivery_id"),
    ("#traceparent", "traceparent"),
];
