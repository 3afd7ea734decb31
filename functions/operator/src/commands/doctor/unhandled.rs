//! Whether events end as done with which nothing was done: no route takes them, or the
//! handler of the route that does has nothing to do with such.
//!
//! The newest of the last day are looked at, so that a large inbox is told of as fast as a
//! small one. That much may be meant, so it is never more than a warning.

use std::collections::BTreeMap;

use inbox_core::Timestamp;

use super::Findings;
use crate::context::Context;
use crate::fault::Fault;
use crate::moments::counted;
use crate::selection::FilterArgs;
use crate::view;

const ABOUT: &str = "events";
/// Most events that are looked at.
const LOOKED_AT: usize = 1000;
/// Most kinds of events that are told.
const TOLD: usize = 3;
const FIX: &str = "`inbox routes test SOURCE:TYPE` says which routes would take one; put the routes \
                   right and `inbox replay` runs what came, or unsubscribe the type at the provider";

pub(super) async fn check(
    context: &Context,
    findings: &mut Findings,
    now: Timestamp,
) -> Result<(), Fault> {
    let selection = FilterArgs::default().read(&context.deployment, now)?;
    let ledger = context.ledger().await?;
    let progress = context.console.progress("looking at the last day's events", None);
    let found = selection.find(&ledger, &context.deployment, LOOKED_AT, now, &progress).await;
    drop(progress);
    let events = match found {
        Ok(found) => found.events,
        Err(fault) => {
            findings.unknown(ABOUT, fault.to_string());
            return Ok(());
        }
    };
    // By what is said of them, then by source and type.
    let mut kinds: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for event in events.iter().filter(|it| it.done_at.is_some() && it.forgotten_at.is_none()) {
        if let Some(but) = view::done_but(&event.handlers) {
            let kind = format!("{}:{}", event.key.source, event.event_type);
            *kinds.entry(but).or_default().entry(kind).or_default() += 1;
        }
    }
    let looked_at = format!("the last day's newest {}", counted(events.len() as u64, "event"));
    if kinds.is_empty() {
        findings.ok(ABOUT, format!("a route took each done one of {looked_at}"));
        return Ok(());
    }
    for (but, kinds) in kinds {
        let mut kinds: Vec<(String, u64)> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let sum = kinds.iter().map(|(_, count)| count).sum();
        let more = kinds.len().saturating_sub(TOLD);
        let each = kinds.iter().take(TOLD).map(|(kind, count)| format!("{kind} ({count})"));
        let mut each = each.collect::<Vec<_>>().join(", ");
        if more > 0 {
            each = format!("{each} and {}", counted(more as u64, "other type"));
        }
        let says = format!("{but}: {each}; {} of {looked_at}", counted(sum, "event"));
        findings.warn(ABOUT, says, FIX);
    }
    Ok(())
}
