//! `inbox dlq`: what lies dead, in all, letter by letter, or one of them.
//!
//! All three look through the whole dead-letter queue, since SQS cannot search,
//! and join what they see with the ledger. They change nothing.

mod list;
mod overview;
mod show;

use clap::Subcommand;
use inbox_aws::DeadLetterQueue;

use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::letters::{Letter, Look, join, look};
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  inbox dlq                                    what went wrong, and how often
  inbox dlq list --type 'invoice.*' --limit 20
  inbox dlq show stripe evt_1QabcDEF
  inbox dlq --json | jq '.groups[] | select(.redrivable > 0)'

Looking hides letters from others for a moment, at most 15 s should it be killed, and
counts as a receive. It changes nothing else.";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Look at no more letters than about so many, and say that it is a sample
    #[arg(long, value_name = "N", default_value_t = MOST, global = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    most: u32,
}

/// Letters that are looked at unless somebody asks for more.
pub(super) const MOST: u32 = 10_000;

#[derive(Debug, Subcommand)]
enum What {
    /// Show a row for each dead letter, the newest first
    List(list::Args),
    /// Show a dead letter whole, by its message id or by its event
    Show(show::Args),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    let most = args.most;
    match args.what {
        None => overview::run(context, most).await,
        Some(What::List(args)) => list::run(context, &args, most).await,
        Some(What::Show(args)) => show::run(context, &args, most).await,
    }
}

/// The dead-letter queue of the deployment.
pub(super) async fn dead_letter_queue(context: &Context) -> Result<DeadLetterQueue, Fault> {
    let url = context.deployment.dlq_url()?.to_owned();
    Ok(DeadLetterQueue::new(context.aws().await?, url))
}

/// All letters, joined with the ledger, the newest first.
pub(super) async fn letters(
    context: &Context,
    most: u32,
    stop: &Stop,
) -> Result<(Vec<Letter>, Look), Fault> {
    let queue = dead_letter_queue(context).await?;
    let ledger = context.ledger().await?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut seen = look(&queue, most, stop, &context.console).await?;
    let mut letters = join(&ledger, std::mem::take(&mut seen.letters)).await?;
    letters.sort_by(|a, b| {
        let order = |letter: &Letter| (letter.received.sent_at, letter.received.message_id.clone());
        order(b).cmp(&order(a))
    });
    Ok((letters, seen))
}

/// Says so where not everything was seen.
pub(super) fn note_sample(context: &Context, seen: usize, look: &Look) {
    if look.is_whole {
        return;
    }
    context.console.note(format!(
        "a sample: {seen} of about {} letters were seen; others are hidden while somebody works \
         on them, or --most keeps them out",
        look.depth.total().max(seen as u64)
    ));
}
