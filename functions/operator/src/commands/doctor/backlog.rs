//! Whether the sweeper keeps up: nothing may be long overdue.
//!
//! Every unfinished event has a time at which somebody must look at it. The
//! sweeper looks every minute, so an event that is overdue by several of its
//! intervals says that it does not run, or cannot keep up.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use inbox_core::Timestamp;
use inbox_core::ledger::{Ledger as _, LedgerError};
use inbox_core::queue::Backlog as _;
use inbox_core::stack::stack;

use super::Findings;
use crate::context::Context;
use crate::fault::Fault;
use crate::moments::{counted, span};

/// So many of the sweeper's intervals may pass.
const INTERVALS: u32 = 5;
const MOST: u32 = 1000;
const AT_ONCE: usize = 16;

pub(super) async fn check(
    context: &Context,
    findings: &mut Findings,
    now: Timestamp,
) -> Result<(), Fault> {
    let ledger = context.ledger().await?;
    let interval = Duration::from_secs(stack().sweeper.interval_seconds.into());
    let before = now.minus(interval * INTERVALS);
    let shards = 0..stack().table.open_index.shards;
    let pages: Result<Vec<_>, LedgerError> = stream::iter(shards)
        .map(|shard| ledger.due(shard, None, MOST, before))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await;
    let pages = match pages {
        Ok(pages) => pages,
        Err(fault) => {
            findings.unknown("sweeper", fault.to_string());
            return Ok(());
        }
    };
    let overdue: Vec<_> = pages.iter().flat_map(|page| &page.due).collect();
    let Some(oldest) = overdue.iter().map(|due| due.due_at).min() else {
        findings.ok("sweeper", "nothing is overdue");
        return Ok(());
    };
    let waiting = context.queue().await?.waiting().await;
    if waiting.is_ok_and(|waiting| waiting > stack().defaults.sweep_hold_above) {
        findings.warn(
            "sweeper",
            "is held: the queue is too deep to add to, and what is overdue waits in it",
            "look at the processor: `make logs FUNCTION=processor`, `inbox events --state failing`",
        );
        return Ok(());
    }
    let more = if pages.iter().all(|page| page.is_last) { "" } else { "more than " };
    findings.broken(
        "sweeper",
        format!(
            "{more}{} overdue, the oldest since {}",
            counted(overdue.len() as u64, "event"),
            span(now.since(oldest))
        ),
        "look at its log (`make logs FUNCTION=sweeper`) and its schedule: does it run every minute?",
    );
    Ok(())
}
