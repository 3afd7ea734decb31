//! `inbox dlq`: depth, oldest, and what went wrong how often.
//!
//! It also says how many events are dead in the ledger without a letter that
//! could open them again: letters end after 14 days, or were purged. To be exact
//! about that, dead events are read first. Their letters were sent before they
//! were marked dead, so whoever has none afterwards has none.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use inbox_aws::{DynamoDbLedger, OpenKind};
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::stack::stack;
use serde_json::json;

use super::{letters, note_sample};
use crate::console::Tone;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::letters::{Fate, Groups, dead_letters};
use crate::moments::relative;
use crate::selection::open_keys;
use crate::stop::Stop;

pub(super) async fn run(context: &Context, most: u32) -> Result<Outcome, Fault> {
    let stop = Stop::listen()?;
    let dead = dead_events(&context.ledger().await?).await?;
    let (letters, look) = letters(context, most, &stop).await?;
    let now = context.now();
    let groups = Groups::of(&letters);
    let covered: BTreeSet<&EventKey> = letters
        .iter()
        .filter(|letter| letter.fate == Fate::Redrivable)
        .filter_map(|letter| Some(&letter.pointer.as_ref()?.key))
        .collect();
    // With letters that were not seen, nobody can tell.
    let without_letter =
        look.is_whole.then(|| dead.iter().filter(|key| !covered.contains(key)).count());

    let console = &context.console;
    if console.json {
        console.value(&json!({
            "visible": look.depth.visible,
            "in_flight": look.depth.in_flight,
            "seen": letters.len(),
            "is_sample": !look.is_whole,
            "oldest_at": groups.oldest_at().map(Timestamp::to_rfc3339),
            "redrivable": groups.count(Fate::Redrivable),
            "groups": groups.to_json(),
            "dead_events": dead.len(),
            "dead_events_without_letter": without_letter,
        }));
        return Ok(Outcome::Done);
    }
    // SQS's count lags behind by up to a minute.
    let depth = look.depth.total().max(letters.len() as u64);
    let mut head = vec![match depth {
        0 => "no dead letters".to_owned(),
        depth => dead_letters(depth),
    }];
    if look.depth.in_flight > 0 {
        head.push(format!("{} of them hidden by somebody else", look.depth.in_flight));
    }
    if let Some(oldest_at) = groups.oldest_at() {
        head.push(format!("the oldest sent {}", relative(oldest_at, now)));
    }
    let tone = if depth == 0 { Tone::Good } else { Tone::Strong };
    console.line(console.tint(tone, &head.join(", ")));
    note_sample(context, letters.len(), &look);
    if !letters.is_empty() {
        console.line("");
        groups.print(console, now);
    }
    advise(context, &groups, without_letter.unwrap_or_default());
    Ok(Outcome::Done)
}

fn advise(context: &Context, groups: &Groups, without_letter: usize) {
    let console = &context.console;
    if without_letter > 0 {
        console.line("");
        let line = format!(
            "{without_letter} dead events have no letter here that could open them again: unless they \
             were redriven just now, replay them"
        );
        console.line(console.tint(Tone::Warning, &line));
    }
    let mut next = Vec::new();
    if groups.letters() > 0 {
        next.push(("inbox dlq list", "one row a letter; --source, --type, --error"));
        next.push(("inbox redrive --dry-run", "what sending them back would do"));
    }
    if without_letter > 0 {
        next.push(("inbox replay --state dead", "opens events again by the ledger"));
    }
    if groups.letters() > 0 && groups.count(Fate::Redrivable) == 0 {
        next.push(("inbox purge-dlq", "deletes letters that nobody needs"));
    }
    if !next.is_empty() {
        console.note("\nnext:");
    }
    for (command, what) in next {
        console.note(format!("  {command:<26}  {what}"));
    }
}

/// Every event that is dead in the ledger.
async fn dead_events(ledger: &DynamoDbLedger) -> Result<Vec<EventKey>, Fault> {
    let shards = 0..stack().table.open_index.shards;
    let all = try_join_all(shards.map(|shard| open_keys(ledger, OpenKind::Dead, shard))).await?;
    Ok(all.into_iter().flatten().collect())
}
