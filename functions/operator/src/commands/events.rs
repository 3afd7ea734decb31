//! `inbox events`: what came, the newest first, and where it stands.

use inbox_aws::Summary;
use inbox_core::Timestamp;
use inbox_core::ledger::{State, is_unrouted};

use crate::console::Tone;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::moments::{relative, span};
use crate::selection::{DEFAULT_SINCE, FilterArgs};
use crate::table::{Cell, Column, Table};
use crate::view;

const EXAMPLES: &str = "\
Examples:
  inbox events                                   the last 24 hours
  inbox events --source stripe --type 'invoice.*' --since 7d
  inbox events --state dead,failing              however old they are
  inbox events --since 2h --json | jq -r '.events[].id'";

/// The state of an event that nothing was done with.
pub(super) const DONE_WITHOUT_ROUTE: &str = "done (no route)";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// Most events to show
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    let (console, now) = (&context.console, context.now());
    let selection = args.filter.read(&context.deployment, now)?;
    let ledger = context.ledger().await?;
    let found = {
        let progress = console.progress("looking for events", None);
        selection.find(&ledger, &context.deployment, args.limit, now, &progress).await?
    };
    if console.json {
        let events: Vec<view::EventView<'_>> =
            found.events.iter().map(view::EventView::from).collect();
        console.value(&serde_json::json!({"events": events, "has_more": found.has_more}));
        return Ok(Outcome::Done);
    }
    if found.events.is_empty() {
        let looked_at_a_day = !selection.is_open() && selection.since().is_none();
        console.note(if looked_at_a_day {
            format!("no such event in the last {}; --since 7d looks further", span(DEFAULT_SINCE))
        } else {
            "no such event".to_owned()
        });
        return Ok(Outcome::Done);
    }
    console.table(&table(&found.events, now));
    if found.has_more {
        console.note(format!("{} shown; --limit shows more", found.events.len()));
    }
    Ok(Outcome::Done)
}

/// Events as rows: for everybody who shows some.
pub(super) fn table(events: &[Summary], now: Timestamp) -> Table {
    let mut table = Table::new([
        Column::new("received"),
        Column::new("source"),
        Column::new("type").cut(),
        Column::new("id").cut(),
        Column::new("state"),
        Column::new("tries").right().spare(),
        Column::new("life").right().spare(),
        Column::new("what").cut(),
    ]);
    for event in events {
        table.row([
            relative(event.received_at, now).into(),
            event.key.source.as_str().into(),
            event.event_type.as_str().into(),
            event.key.id.as_str().into(),
            state_cell(event),
            event.attempts.to_string().into(),
            event.life.to_string().into(),
            what(event, now).into(),
        ]);
    }
    table
}

/// A state in its colour; one that looks handled and was not stands out.
pub(super) fn state_cell(event: &Summary) -> Cell {
    if is_unrouted(event.state, &event.handlers) {
        return Cell::toned(Tone::Warning, DONE_WITHOUT_ROUTE);
    }
    Cell::toned(tone(event.state), event.state.as_str())
}

/// A state's colour.
pub(super) fn tone(state: State) -> Tone {
    match state {
        State::Received => Tone::Strong,
        State::Failing => Tone::Warning,
        State::Done => Tone::Good,
        State::Dead => Tone::Bad,
    }
}

/// What is to be known at a glance.
fn what(event: &Summary, now: Timestamp) -> String {
    let error = event.last_error.as_deref().unwrap_or_default();
    if event.forgotten_at.is_some() {
        return "its content was forgotten".to_owned();
    }
    if event.state.is_unfinished() && event.leased_until.is_some_and(|until| until >= now) {
        return "being run now".to_owned();
    }
    let left = view::left_for_later(event.state, &event.handlers, &event.failures);
    match (event.state, event.next_at, event.done_at) {
        (_, next_at, _) if !left.is_empty() => {
            let again = next_at.filter(|next_at| *next_at > now);
            let again = again.map(|next_at| format!("; again {}", relative(next_at, now)));
            let again = again.unwrap_or_default();
            format!("deferred to the lane, as slow: {}{again}", left.join(", "))
        }
        (State::Done, _, Some(done_at)) => {
            let after = span(done_at.since(event.received_at));
            let but = view::done_but(&event.handlers);
            but.map_or_else(|| format!("after {after}"), |but| format!("{but}; after {after}"))
        }
        (State::Failing, Some(next_at), _) if next_at > now => {
            format!("again {}; {error}", relative(next_at, now))
        }
        (State::Received, ..) if now.since(event.received_at).as_secs() > 60 => {
            "waiting".to_owned()
        }
        _ => error.to_owned(),
    }
}
