//! `inbox dlq show`: one dead letter whole, and where its event stands.

use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use serde_json::{Value, json};

use super::{letters, note_sample};
use crate::console::{Console, Tone};
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::letters::{Fate, Letter};
use crate::moments::{clock, relative};
use crate::pretty;
use crate::shell::word;
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  inbox dlq show 0f3b6a5e-1f43-4a53-8d0c-52c1a0d7a1c9
  inbox dlq show stripe evt_1QabcDEF
  inbox dlq show --json stripe evt_1QabcDEF | jq .body";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The message's id, or the event's source with its id behind it
    #[arg(value_name = "MESSAGE-ID|SOURCE")]
    first: String,
    /// The event's id
    #[arg(value_name = "ID")]
    id: Option<String>,
}

pub(super) async fn run(context: &Context, args: &Args, most: u32) -> Result<Outcome, Fault> {
    let stop = Stop::listen()?;
    let (letters, look) = letters(context, most, &stop).await?;
    let is_named = |letter: &&Letter| match &args.id {
        // Behind GitHub's delivery stands the hook's id.
        Some(id) => {
            let rest = letter.id().strip_prefix(id.as_str());
            let is_of_it = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
            letter.source() == args.first && is_of_it
        }
        None => letter.received.message_id == args.first,
    };
    let named: Vec<&Letter> = letters.iter().filter(is_named).collect();
    if named.is_empty() {
        note_sample(context, letters.len(), &look);
        return Err(unknown(context, args, letters.len()).await?);
    }
    let console = &context.console;
    let now = context.now();
    for (at, letter) in named.into_iter().enumerate() {
        if console.json {
            console.value(&to_json(letter));
            continue;
        }
        if at > 0 {
            console.line("");
        }
        print(console, letter, now);
    }
    Ok(Outcome::Done)
}

/// Nothing of that name: where the event is known, say where it stands.
async fn unknown(context: &Context, args: &Args, seen: usize) -> Result<Fault, Fault> {
    let Some(id) = &args.id else {
        return Ok(Fault::refused(
            format!("no dead letter has the message id {:?}, of {seen} that were seen", args.first),
            "`inbox dlq list` shows their ids; a redrive gives new ones; for an event's letter, \
             give its source and id",
        ));
    };
    let key = EventKey { source: args.first.clone(), id: id.clone() };
    let found = context.ledger().await?.summaries(std::slice::from_ref(&key)).await?;
    let advice = match found.first() {
        Some(event) => format!(
            "the event is {} in life {}: `inbox show {} {}`",
            event.state.as_str(),
            event.life,
            word(&args.first),
            word(id)
        ),
        None => "there is no such event in the ledger either; `inbox dlq list` shows letters, \
                 `inbox events` shows events"
            .to_owned(),
    };
    let problem = format!("no dead letter is about {id:?} of {:?}", args.first);
    Ok(Fault::refused(format!("{problem}, of {seen} that were seen"), advice))
}

fn print(console: &Console, letter: &Letter, now: Timestamp) {
    let received = &letter.received;
    let when = |at: Timestamp| format!("{} ({})", clock(at), relative(at, now));
    let mut rows: Vec<(&str, String)> = vec![("message id", received.message_id.clone())];
    if let Some(sent_at) = received.sent_at {
        rows.push(("sent", when(sent_at)));
    }
    if let Some(receives) = received.receives {
        rows.push(("received", format!("{receives} times, this one included")));
    }
    let moved_from = received.moved_from.as_deref();
    let way = match (moved_from, letter.fate) {
        (Some(arn), _) => format!("moved by SQS from {arn} after too many receives"),
        (None, Fate::Unreadable) => "turned away by the processor".to_owned(),
        (None, _) if received.attributes.is_empty() => "moved by SQS, or by hand".to_owned(),
        (None, _) => "buried by the processor".to_owned(),
    };
    rows.push(("came here", way));
    for (name, value) in &received.attributes {
        rows.push((name, value.clone()));
    }
    if let Some(pointer) = &letter.pointer {
        rows.push((
            "names",
            format!("{} {}, life {}", pointer.key.source, pointer.key.id, pointer.life),
        ));
    }
    if let Some(event) = &letter.event {
        rows.push(("event", letter.event_stands()));
        rows.push(("event's type", event.event_type.clone()));
        rows.push(("accepted", when(event.received_at)));
        if let Some(error) = &event.last_error {
            rows.push(("last error", error.clone()));
        }
    }
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, value) in rows {
        let name = console.tint(Tone::Dim, &format!("{:<width$}", pretty::printable(name)));
        console.line(format!("{name}  {}", pretty::printable(&value)));
    }
    let tone = if letter.fate == Fate::Redrivable { Tone::Good } else { Tone::Warning };
    let fate = format!("{}: {}", letter.fate.as_str(), letter.fate.meaning());
    console.line(console.tint(tone, &fate));
    console.line("");
    for line in pretty::text(&received.body) {
        console.line(line);
    }
}

/// A letter for machines.
pub(super) fn to_json(letter: &Letter) -> Value {
    let received = &letter.received;
    json!({
        "message_id": received.message_id,
        "sent_at": received.sent_at.map(Timestamp::to_rfc3339),
        "receives": received.receives,
        "moved_from": received.moved_from,
        "source": letter.source(),
        "type": letter.event_type(),
        "id": letter.id(),
        "error": letter.error(),
        "life": letter.pointer.as_ref().map(|pointer| pointer.life),
        "fate": letter.fate.as_str(),
        "event": letter.event.as_ref().map(|event| json!({
            "state": event.state.as_str(),
            "life": event.life,
            "attempts": event.attempts,
            "last_error": event.last_error,
            "received_at": event.received_at.to_rfc3339(),
            "forgotten_at": event.forgotten_at.map(Timestamp::to_rfc3339),
        })),
        "attributes": received.attributes,
        "body": received.body,
    })
}
