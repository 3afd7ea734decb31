//! `inbox show`: the life of one event.
//!
//! The ledger keeps no line for what needs none: that it was received and when
//! it was done stand in the record itself, as does each handler's completion.
//! Here they are put in order with the history.

use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Completion, Ledger as _, LedgerError, Record, State, TransitionKind};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::events::{DONE_WITHOUT_ROUTE, tone};
use crate::console::{Console, Tone};
use crate::context::Context;
use crate::deployment::Deployment;
use crate::fault::{Fault, Outcome};
use crate::lookup;
use crate::moments::{clock, counted, relative};
use crate::pretty;
use crate::shell::word;
use crate::table::{Cell, Column, Table};
use crate::view;

const EXAMPLES: &str = "\
Examples:
  inbox show stripe evt_1QabcDEF
  inbox show stripe evt_1QabcDEF --payload > body.json   exactly as it was received
  inbox show stripe evt_1QabcDEF --json | jq .event.data";

/// Of a payload of megabytes a person reads the beginning.
const SHOWN_LINES: usize = 2000;
const SHOWN_CHARACTERS: usize = 4000;

/// What is said of a completion, whether it still stands or was asked for again.
const HANDLED: &str = "handled";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The endpoint that received it
    source: String,
    /// Its idempotency key, as `inbox events` shows it and as X-Inbox-Id answers it; or GitHub's
    /// X-GitHub-Delivery
    id: String,
    /// Write the payload's bytes and nothing else
    #[arg(long)]
    payload: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    let console = &context.console;
    let key = EventKey { source: args.source, id: args.id };
    let ledger = context.ledger().await?;
    let found = lookup::record(context, &ledger, key.clone(), context.now()).await?;
    let mut record = found.ok_or_else(|| missing(&context.deployment, &key))?;
    // Whatever has become of its payload, what became of the event is shown.
    let unloaded = ledger.load(&mut record).await.err();
    if args.payload {
        if record.forgotten_at.is_some() {
            return Err(Fault::refused("its content was removed by `inbox forget`", ""));
        }
        if let Some(fault) = unloaded {
            return Err(fault.into());
        }
        console.bytes(&record.event.payload.bytes)?;
        return Ok(Outcome::Done);
    }
    if console.json {
        console.value(&document(&record, unloaded.as_ref()));
    } else {
        print(console, &record, unloaded.as_ref(), context.now());
    }
    Ok(Outcome::Done)
}

/// There is no such event, or no such source: one that was taken out of the deployment
/// may still have events, so it is only asked about when nothing was found.
pub(super) fn missing(deployment: &Deployment, key: &EventKey) -> Fault {
    if !deployment.sources.is_empty()
        && let Err(unknown) = deployment.source(&key.source)
    {
        return unknown;
    }
    Fault::refused(
        format!("source {:?} has no event {:?}", key.source, key.id),
        format!(
            "`inbox events --source {} --since 7d` shows what came; an event that never came was \
             refused (look at the receiver's log) or never sent, and one past its retention is gone",
            word(&key.source)
        ),
    )
}

/// The event as its handlers see it, and what the ledger says of it.
fn document(record: &Record, unloaded: Option<&LedgerError>) -> Document {
    let time = |moment: Option<Timestamp>| moment.map(Timestamp::to_rfc3339);
    let history = record.history.iter().map(|entry| {
        json!({
            "at": entry.at.to_rfc3339(), "kind": entry.kind.as_str(), "life": entry.life,
            "attempt": entry.attempt, "actor": entry.actor, "detail": entry.detail,
            "request_id": entry.request_id,
        })
    });
    let ledger = json!({
            "source": record.event.key.source,
            "provider": record.event.provider,
            "type": record.event.event_type,
            "state": record.state.as_str(),
            "life": record.life,
            "attempts": record.attempts,
            "received_at": record.event.received_at.to_rfc3339(),
            "done_at": time(record.done_at),
            "next_at": time(record.next_at),
            "leased_until": time(record.leased_until),
            "due_at": time(record.open.map(inbox_core::ledger::Open::due_at)),
            "last_error": record.last_error,
            "handlers": view::times(&record.handlers),
            "nothing_done": view::nothing_done(&record.handlers),
            "is_unrouted": record.is_unrouted(),
            "failures": view::failures(record.state, &record.failures),
            "only": record.only,
            "history": history.collect::<Vec<_>>(),
            "headers": record.event.headers,
            "request_id": record.request_id,
            "sweeps": record.sweeps,
            "expires_at": record.expires_at.to_rfc3339(),
            "forgotten_at": time(record.forgotten_at),
            "payload_bytes": record.payload_bytes(),
            "payload_object": record.payload_ref.as_ref().map(|outside| &outside.key),
            "payload_error": unloaded.map(ToString::to_string),
    });
    let event = match unloaded {
        Some(_) => None,
        None => RawValue::from_string(record.event.to_cloudevent()).ok(),
    };
    Document { event, ledger }
}

/// The event stays text: its payload is the provider's, byte for byte. There is
/// none without its payload.
#[derive(Serialize)]
struct Document {
    event: Option<Box<RawValue>>,
    ledger: serde_json::Value,
}

fn print(console: &Console, record: &Record, unloaded: Option<&LedgerError>, now: Timestamp) {
    let event = &record.event;
    let state = if record.is_unrouted() {
        console.tint(Tone::Warning, DONE_WITHOUT_ROUTE)
    } else {
        console.tint(tone(record.state), record.state.as_str())
    };
    let title = pretty::printable(&format!("{} {}", event.key.source, event.key.id));
    let event_type = pretty::printable(&event.event_type);
    console.line(format!("{}  {event_type}  {state}", console.tint(Tone::Strong, &title)));
    console.line("");
    for (name, value) in facts(record, now) {
        let name = console.tint(Tone::Dim, &format!("{name:<12}"));
        console.line(format!("  {name}  {}", pretty::printable(&value)));
    }
    section(console, "Life", &life(record));
    let handlers = handlers(record, now);
    if !handlers.is_empty() {
        section(console, "Handlers", &handlers);
    }
    if !event.headers.is_empty() {
        let mut table = Table::new([Column::new("name"), Column::new("value").cut()]);
        for (name, value) in &event.headers {
            table.row([name.as_str().into(), value.as_str().into()]);
        }
        section(console, "Headers", &table);
    }
    print_payload(console, record, unloaded);
}

fn section(console: &Console, title: &str, table: &Table) {
    console.line("");
    console.line(console.tint(Tone::Strong, title));
    for line in table.lines(&console.indented(2)) {
        console.line(format!("  {line}"));
    }
}

fn facts(record: &Record, now: Timestamp) -> Vec<(&'static str, String)> {
    let event = &record.event;
    let moment = |at: Timestamp| format!("{} UTC ({})", clock(at), relative(at, now));
    let mut facts = vec![("provider", event.provider.clone())];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("subject", event.subject.clone());
    add("occurred", event.occurred_at.map(moment));
    add("received", Some(moment(event.received_at)));
    add("stands", Some(stands(record, now)));
    let only = record.only.as_ref().map(|only| only.iter().cloned().collect::<Vec<_>>());
    add("opened for", only.map(|only| only.join(", ")));
    add("last error", record.last_error.clone());
    add("delivery id", event.delivery_id.clone());
    add("request id", Some(record.request_id.clone()));
    add("traceparent", event.traceparent.clone());
    add("kept until", Some(moment(record.expires_at)));
    add("object", record.payload_ref.as_ref().map(|outside| outside.key.clone()));
    facts
}

/// Where it stands and what comes next.
fn stands(record: &Record, now: Timestamp) -> String {
    let tried = format!("attempt {} of life {}", record.most_attempts(), record.life);
    if record.is_leased(now) && record.state.is_unfinished() {
        return format!("being run now, {tried}");
    }
    let left = view::left_for_later(record.state, &record.handlers, &record.failures);
    if !left.is_empty() {
        let again = record.next_at.filter(|next_at| *next_at > now);
        let again = again.map(|next_at| format!(", again {}", relative(next_at, now)));
        return format!(
            "deferred{}: {} is slow or does not answer, and runs in the lane; life {}",
            again.unwrap_or_default(),
            left.join(", "),
            record.life
        );
    }
    match (record.state, record.next_at) {
        (State::Received, _) if record.attempts == 0 => {
            format!("waiting to be run, life {}", record.life)
        }
        (State::Received | State::Failing, Some(next_at)) => {
            format!("{tried} failed, again {}", relative(next_at, now))
        }
        (State::Received | State::Failing, None) => format!("{tried} ended without an outcome"),
        (State::Done, _) => match record.done_at {
            Some(at) => {
                let done = format!("done {}, life {}", relative(at, now), record.life);
                let but = view::done_but(&record.handlers);
                but.map_or_else(|| done.clone(), |but| format!("{done}; {but}"))
            }
            None => "done".to_owned(),
        },
        (State::Dead, _) if record.forgotten_at.is_some() => "given up and forgotten".to_owned(),
        (State::Dead, _) => format!("given up after {tried}: redrive or replay it"),
    }
}

/// Every transition with its time, the first first.
fn life(record: &Record) -> Table {
    let mut rows: Vec<(Timestamp, Vec<Cell>)> = Vec::new();
    let mut add = |at: Timestamp, tone: Option<Tone>, what: &str, life: String, detail: String| {
        let what = tone.map_or_else(|| Cell::from(what), |tone| Cell::toned(tone, what));
        rows.push((at, vec![precise(at).into(), what, life.into(), detail.into()]));
    };
    add(record.event.received_at, None, "received", "1".into(), String::new());
    for entry in &record.history {
        let (tone, detail) = match entry.kind {
            TransitionKind::Failed => {
                (Tone::Warning, format!("attempt {}: {}", entry.attempt, entry.detail))
            }
            TransitionKind::Buried => (
                Tone::Bad,
                format!("after {}: {}", counted(entry.attempt.into(), "attempt"), entry.detail),
            ),
            TransitionKind::Completed => (Tone::Good, format!("by {}", entry.detail)),
            TransitionKind::Redriven | TransitionKind::Replayed | TransitionKind::Forgotten => {
                (Tone::Strong, format!("by {}: {}", entry.actor, entry.detail))
            }
        };
        let what = match entry.kind {
            TransitionKind::Completed => HANDLED,
            kind => kind.as_str(),
        };
        add(entry.at, Some(tone), what, entry.life.to_string(), detail);
    }
    for (route, Completion { at, nothing }) in &record.handlers {
        let life = record.life_at(*at).to_string();
        let (tone, by) = match nothing {
            None => (Tone::Good, format!("by {route}")),
            Some(why) => (Tone::Warning, format!("by {route}, which had nothing to do: {why}")),
        };
        add(*at, Some(tone), HANDLED, life, by);
    }
    if let Some(at) = record.done_at {
        add(at, Some(Tone::Good), "done", record.life.to_string(), String::new());
    }
    // Stable: what happened within a millisecond stays as it was put down.
    rows.sort_by_key(|(at, _)| *at);
    let columns = [
        Column::new("when"),
        Column::new("what"),
        Column::new("life").right(),
        Column::new("detail").cut(),
    ];
    let mut table = Table::new(columns);
    for (_, row) in rows {
        table.row(row);
    }
    table
}

fn precise(at: Timestamp) -> String {
    at.to_rfc3339().replace('T', " ").replace('Z', "")
}

/// Each route that has run, with its fate.
fn handlers(record: &Record, now: Timestamp) -> Table {
    let columns = [
        Column::new("handler"),
        Column::new("result"),
        Column::new("attempts").right(),
        Column::new("detail").cut(),
    ];
    let mut table = Table::new(columns);
    for (route, Completion { at, nothing }) in &record.handlers {
        let (result, detail) = match nothing {
            None => (Cell::toned(Tone::Good, "done"), format!("{} UTC", clock(*at))),
            Some(why) => {
                (Cell::toned(Tone::Warning, "nothing to do"), format!("{} UTC; {why}", clock(*at)))
            }
        };
        table.row([route.as_str().into(), result, "".into(), detail.into()]);
    }
    for (route, failure) in record.failures.iter().filter(|(route, _)| !record.is_done(route)) {
        let fate = match view::again_at(record.state, failure) {
            Some(next_at) if failure.deferrals > 0 && next_at > now => {
                Cell::toned(Tone::Warning, format!("deferred, again {}", relative(next_at, now)))
            }
            Some(_) if failure.deferrals > 0 => Cell::toned(Tone::Warning, "deferred"),
            Some(next_at) => {
                Cell::toned(Tone::Warning, format!("again {}", relative(next_at, now)))
            }
            None => Cell::toned(Tone::Bad, "given up"),
        };
        let attempts = failure.attempts.to_string();
        let detail = match &failure.quote {
            Some(quote) => format!("{}; it said: {quote}", failure.error),
            None => failure.error.clone(),
        };
        table.row([route.as_str().into(), fate, attempts.into(), detail.into()]);
    }
    table
}

fn print_payload(console: &Console, record: &Record, unloaded: Option<&LedgerError>) {
    let payload = &record.event.payload;
    let about = match record.forgotten_at {
        Some(at) => format!("forgotten {} UTC", clock(at)),
        None => format!("{}, {} bytes", payload.content_type, record.payload_bytes()),
    };
    console.line("");
    let about = pretty::printable(&about);
    console.line(format!("{} ({about})", console.tint(Tone::Strong, "Payload")));
    if let Some(fault) = unloaded {
        let problem = pretty::printable(&fault.to_string());
        return console.line(format!("  {}", console.tint(Tone::Bad, &problem)));
    }
    match pretty::payload(&record.event) {
        Some(lines) => {
            let cut = |line: &String| line.chars().take(SHOWN_CHARACTERS).collect::<String>();
            let shown: Vec<String> = lines.iter().take(SHOWN_LINES).map(cut).collect();
            for line in &shown {
                console.line(format!("  {line}"));
            }
            if shown != lines {
                console.line(console.tint(Tone::Dim, "  … cut; --payload writes all of it"));
            }
        }
        None => console.line("  no text; --payload writes its bytes"),
    }
}
