//! What a change of routes does to what waits, and to what arrives.
//!
//! ```text
//! index `open`  ─▶ what each unfinished event waits for ─▶ is it still there in FILE?
//! timeline      ─▶ which types have arrived ─▶ what takes them now, and by FILE?
//! ```
//!
//! Both are asked of the ledger's own scope and the processor's own matching.

use std::collections::{BTreeMap, BTreeSet};

use inbox_aws::Summary;
use inbox_core::Timestamp;
use inbox_core::ledger::UNKNOWN_ROUTE;
use inbox_processor::routes::Routes;
use serde_json::json;

use super::deployed;
use crate::console::Tone;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::moments::relative;
use crate::selection::{DEFAULT_SINCE, FilterArgs, StateName};
use crate::table::{Cell, Column, Table};
use crate::timeline::Walk;

/// What the command takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// JSON, as in ROUTES; `-` is standard input
    #[arg(value_name = "FILE")]
    file: std::path::PathBuf,
    /// How far back to look for types that have arrived: 2h, 7d
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
}

/// Unfinished events that wait for a route that is not there any more.
struct Waiting {
    events: usize,
    oldest: Timestamp,
    example: String,
}

/// A type that has arrived, and what a change does to it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Arrived {
    source: String,
    provider: String,
    event_type: String,
}

/// What a type loses.
struct Loss {
    events: usize,
    routes: BTreeSet<String>,
    /// Whether nothing takes it any more.
    is_all: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Outcome, Fault> {
    let now = Timestamp::now();
    let next = deployed::parse(&deployed::read(&args.file)?, &context.deployment);
    let next = next.map_err(|problems| deployed::unusable(&problems))?;
    // Without them, what would be lost is not known, but what waits is.
    let current = deployed::fetch(context).await?.map_err(|it| deployed::unusable(&it))?;
    let waiting = waiting(&unfinished(context, now).await?, &next);
    let losses = losses(context, args, &current, &next, now).await?;
    let is_harmless = waiting.is_empty() && losses.values().all(|loss| !loss.is_all);
    tell(context, &waiting, &losses, now);
    Ok(if is_harmless { Outcome::Done } else { Outcome::Negative })
}

async fn unfinished(context: &Context, now: Timestamp) -> Result<Vec<Summary>, Fault> {
    let filter = FilterArgs {
        states: vec![StateName::Received, StateName::Failing],
        ..FilterArgs::default()
    };
    let ledger = context.ledger().await?;
    let selection = filter.read(&context.deployment, now)?;
    let progress = context.console.progress("looking for what waits", None);
    let found = selection.find(&ledger, &context.deployment, usize::MAX, now, &progress).await?;
    Ok(found.events)
}

/// By the route that they wait for in vain.
fn waiting(events: &[Summary], next: &Routes) -> BTreeMap<String, Waiting> {
    let mut all: BTreeMap<String, Waiting> = BTreeMap::new();
    for event in events {
        let record = event.to_record();
        let taking: Vec<&str> =
            next.matching(&record.event).map(|route| route.id.as_str()).collect();
        for it in record.scope(&taking).into_iter().filter(|it| it.is_gone) {
            // No file can have it.
            if it.route == UNKNOWN_ROUTE {
                continue;
            }
            let example = format!("{} {}", event.key.source, event.key.id);
            let first = Waiting { events: 0, oldest: event.received_at, example };
            let waiting = all.entry(it.route.to_owned()).or_insert(first);
            waiting.events += 1;
            waiting.oldest = waiting.oldest.min(event.received_at);
        }
    }
    all
}

async fn losses(
    context: &Context,
    args: &Args,
    current: &Routes,
    next: &Routes,
    now: Timestamp,
) -> Result<BTreeMap<Arrived, Loss>, Fault> {
    let filter = FilterArgs { since: args.since.clone(), ..FilterArgs::default() };
    let since = filter.read(&context.deployment, now)?.since();
    let since = since.unwrap_or_else(|| now.minus(DEFAULT_SINCE));
    let ledger = context.ledger().await?;
    let sources = context.deployment.sources.keys().cloned().collect();
    let mut walk = Walk::new(sources, since, now);
    let progress = context.console.progress("looking at what has arrived", None);
    let mut arrived: BTreeMap<Arrived, usize> = BTreeMap::new();
    while let Some(row) = walk.next(&ledger, &progress).await? {
        let (source, provider, event_type) = (row.key.source, row.provider, row.event_type);
        *arrived.entry(Arrived { source, provider, event_type }).or_default() += 1;
    }
    let taking = |routes: &Routes, it: &Arrived| -> BTreeSet<String> {
        let taken = routes
            .iter()
            .filter(|route| route.look_at(&it.source, &it.provider, &it.event_type).takes());
        taken.map(|route| route.id.clone()).collect()
    };
    let losses = arrived.into_iter().filter_map(|(it, events)| {
        let (before, after) = (taking(current, &it), taking(next, &it));
        let routes: BTreeSet<String> = before.difference(&after).cloned().collect();
        let loss = Loss { events, routes, is_all: after.is_empty() };
        (!loss.routes.is_empty()).then_some((it, loss))
    });
    Ok(losses.collect())
}

fn tell(
    context: &Context,
    waiting: &BTreeMap<String, Waiting>,
    losses: &BTreeMap<Arrived, Loss>,
    now: Timestamp,
) {
    let console = &context.console;
    if console.json {
        let waiting = waiting.iter().map(|(route, it)| {
            json!({"route": route, "events": it.events, "oldest": it.oldest.to_rfc3339(),
                   "example": it.example})
        });
        let losses = losses.iter().map(|(it, loss)| {
            json!({"source": it.source, "type": it.event_type, "events": loss.events,
                   "routes": loss.routes, "taken_by_none": loss.is_all})
        });
        console.value(&json!({
            "waiting": waiting.collect::<Vec<_>>(), "losing": losses.collect::<Vec<_>>(),
        }));
        return;
    }
    if waiting.is_empty() && losses.is_empty() {
        let sound = console.tint(Tone::Good, "sound");
        console
            .line(format!("{sound}  nothing waits for a route that goes, and no type loses one"));
        return;
    }
    if !waiting.is_empty() {
        console
            .line("Unfinished events wait for routes that the file has not, and will be buried:");
        let mut table = Table::new([
            Column::new("route"),
            Column::new("events").right(),
            Column::new("oldest").right(),
            Column::new("one of them").cut(),
        ]);
        for (route, it) in waiting {
            table.row([
                route.as_str().into(),
                it.events.to_string().into(),
                relative(it.oldest, now).into(),
                it.example.as_str().into(),
            ]);
        }
        console.table(&table);
    }
    if !losses.is_empty() {
        console.line("Types that have arrived lose routes:");
        let mut table = Table::new([
            Column::new("source"),
            Column::new("type").cut(),
            Column::new("events").right(),
            Column::new("loses").cut(),
            Column::new("then"),
        ]);
        for (it, loss) in losses {
            let routes = loss.routes.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let then = if loss.is_all {
                Cell::toned(Tone::Bad, "taken by none")
            } else {
                Cell::from("taken by others")
            };
            table.row([
                it.source.as_str().into(),
                it.event_type.as_str().into(),
                loss.events.to_string().into(),
                routes.as_str().into(),
                then,
            ]);
        }
        console.table(&table);
    }
}
