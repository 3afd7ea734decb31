//! `inbox purge-dlq`: deletes all dead letters, after naming their number.
//!
//! Letters are pointers, so no event is lost: what is dead stays dead in the
//! ledger, with its payload, and is opened again by `inbox replay`. Only letters
//! that nobody could read are gone with it.

use inbox_aws::Purge;
use serde_json::json;

use super::dlq;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::letters::dead_letters;

const EXAMPLES: &str = "\
Examples:
  inbox purge-dlq             asks, and wants the number of letters typed
  inbox purge-dlq --dry-run
  inbox purge-dlq --yes       for scripts

Events stay in the ledger, and dead ones can be replayed:
  inbox replay --state dead --dry-run";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Say how many would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    let queue = dlq::dead_letter_queue(context).await?;
    let console = &context.console;
    let depth = queue.depth().await?;
    let count = depth.total();
    if args.dry_run {
        if console.json {
            console.value(&json!({"dry_run": true, "to_purge": count, "purged": 0}));
        } else {
            console.line(format!("{} would be deleted", dead_letters(count)));
            console.note("a dry run: nothing was deleted; what they are about: inbox dlq");
        }
        return Ok(Outcome::Done);
    }
    // SQS's count may be a minute old: a purge that was asked for is done anyway.
    if count == 0 && !args.yes {
        if console.json {
            console.value(&json!({"dry_run": false, "to_purge": 0, "purged": 0}));
        } else {
            console.line("no dead letters");
        }
        return Ok(Outcome::Done);
    }
    if !args.yes {
        console.note(format!(
            "This deletes {} for good, of every source. Their events stay in the ledger: dead ones \
             can be opened again by `inbox replay`, but no longer by a redrive. What is no message \
             of this inbox is lost; `inbox dlq` shows whether there is any.",
            dead_letters(count)
        ));
        console.confirm("Delete them?", &count.to_string())?;
    }
    match queue.purge().await? {
        Purge::Started if console.json => {
            console.value(&json!({"dry_run": false, "to_purge": count, "purged": count}));
        }
        Purge::Started => {
            console.line(format!(
                "{} deleted; SQS takes up to a minute, and letters that come meanwhile may go too",
                dead_letters(count)
            ));
            console.note("their events can be opened again: inbox replay --state dead --dry-run");
        }
        Purge::TooSoon => {
            return Err(Fault::refused(
                "SQS takes one purge a minute, and another was started just now",
                "wait a minute and look with `inbox dlq` whether there is anything left to purge",
            ));
        }
    }
    Ok(Outcome::Done)
}
