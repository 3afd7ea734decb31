//! `inbox dlq list`: a row for each dead letter.

use serde_json::json;

use super::{letters, note_sample, show};
use crate::console::Tone;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::letters::{Fate, Letter, LetterFilter};
use crate::moments::relative;
use crate::stop::Stop;
use crate::table::{Cell, Column, Table};

const EXAMPLES: &str = "\
Examples:
  inbox dlq list
  inbox dlq list --source stripe --error '*no answer within*'
  inbox dlq list --json --limit 100000 | jq -r '.letters[] | select(.fate == \"alive\") | .id'";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    filter: LetterFilter,
    /// Show no more than so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

pub(super) async fn run(context: &Context, args: &Args, most: u32) -> Result<Outcome, Fault> {
    let stop = Stop::listen()?;
    let (letters, look) = letters(context, most, &stop).await?;
    let matching: Vec<&Letter> =
        letters.iter().filter(|letter| args.filter.matches(letter)).collect();
    let shown = &matching[..matching.len().min(args.limit)];
    let console = &context.console;
    if console.json {
        let letters: Vec<_> = shown.iter().map(|letter| show::to_json(letter)).collect();
        let has_more = shown.len() < matching.len();
        console.value(&json!({"letters": letters, "has_more": has_more}));
        return Ok(Outcome::Done);
    }
    let now = context.now();
    let mut table = Table::new([
        Column::new("sent").right(),
        Column::new("source"),
        Column::new("type").cut(),
        Column::new("id").cut(),
        Column::new("error").cut(),
        Column::new("event").spare(),
        Column::new("fate"),
        Column::new("message id").spare(),
    ]);
    for letter in shown {
        let tone = if letter.fate == Fate::Redrivable { Tone::Good } else { Tone::Warning };
        table.row([
            Cell::from(letter.received.sent_at.map(|at| relative(at, now)).unwrap_or_default()),
            Cell::from(letter.source()),
            Cell::from(letter.event_type()),
            Cell::from(letter.id()),
            Cell::from(letter.error()),
            Cell::from(letter.event_stands()),
            Cell::toned(tone, letter.fate.as_str()),
            Cell::from(letter.received.message_id.as_str()),
        ]);
    }
    if table.is_empty() {
        let what = if letters.is_empty() { "no dead letters" } else { "no dead letter matches" };
        console.line(what);
    } else {
        console.table(&table);
    }
    if shown.len() < matching.len() {
        console.note(format!(
            "{} more match; show them with --limit {}",
            matching.len() - shown.len(),
            matching.len()
        ));
    }
    note_sample(context, letters.len(), &look);
    Ok(Outcome::Done)
}
