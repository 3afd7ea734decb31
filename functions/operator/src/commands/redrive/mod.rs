//! `inbox redrive`: sends dead letters back to the queue, where each opens the
//! next life of its event.
//!
//! ```text
//! look ─▶ plan ─▶ confirm ─┬─ everything ──▶ SQS's own move task, followed
//!                          └─ a part of it ─▶ one by one: send, then delete
//! ```
//!
//! SQS's own task is fast and goes on whatever becomes of this process, but it
//! moves everything. Where a filter says otherwise, where some letters had better
//! stay, or where the queue service lacks the call, letters are moved from here.
//!
//! Either way a letter is in the dead-letter queue until it is in the queue, so
//! it may be in both, and be sent twice. That is harmless: a letter names the
//! life that it opens, the ledger opens each life once, and the second message
//! finds it open. Whether somebody runs an event is not asked here, so that this
//! machine's clock decides nothing: the processor opens the life.

mod one_by_one;
mod task;

use inbox_aws::{MOVES_PER_SECOND, MoveError, MoveTask, MoveTasks};
use serde_json::json;

use super::dlq::{self, MOST};
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::letters::{Fate, Groups, Letter, LetterFilter, dead_letters};
use crate::question::confirm;
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  inbox redrive --dry-run
  inbox redrive                          everything, after a question
  inbox redrive --source stripe --error '*no answer within*' --rate 20
  inbox redrive --yes --json             for scripts

Ctrl-C stops it, and the same command goes on from there. An event whose letter is gone
(letters end after 14 days) is opened again by `inbox replay`.";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    filter: LetterFilter,
    /// Say what would be moved, and move nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Move at most so many a second; as fast as possible without it
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOVES_PER_SECOND)))]
    rate: Option<u32>,
    /// Plan by no more letters than about so many; what is moved does not depend on it
    #[arg(long, value_name = "N", default_value_t = MOST,
          value_parser = clap::value_parser!(u32).range(1..))]
    most: u32,
}

/// What was done.
#[derive(Clone, Debug, Default)]
struct Moved {
    /// Letters that are in the queue, and no longer in the dead-letter queue.
    count: u64,
    /// Letters that SQS did not take, or did not delete.
    failed: u64,
    /// Why, of the first of them.
    first_fault: Option<String>,
}

/// What is about to be done.
struct Plan {
    to_move: Groups,
    to_stay: Groups,
    is_whole: bool,
    moves_all: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    let stop = Stop::listen()?;
    let dead_letter_queue = dlq::dead_letter_queue(context).await?;
    let queue_url = context.deployment.queue_url()?;
    let tasks =
        MoveTasks::new(context.aws().await?, context.deployment.dlq_url()?, queue_url).await?;
    let latest = match tasks.latest().await {
        Ok(latest) => Some(latest),
        Err(MoveError::Unsupported) => None,
        Err(fault) => return Err(Fault::unavailable(fault.to_string())),
    };
    if let Some(Some(running)) = latest.as_ref().filter(|_| !args.dry_run)
        && running.status.is_active()
    {
        return follow_another(context, &args, &tasks, running, &stop).await;
    }

    let plan = plan(context, &args, &stop).await?;
    let to_move = plan.to_move.letters();
    if args.dry_run || to_move == 0 {
        report(context, &args, Some(&plan), None);
        return Ok(Outcome::Done);
    }
    if !context.console.json {
        print(context, &plan);
    }
    if !args.yes {
        let about = if plan.is_whole { "" } else { "about " };
        let question = format!("Send {about}{} back to the queue?", dead_letters(to_move as u64));
        confirm(context.console, &stop, question, "yes".to_owned()).await?;
    }
    if stop.is_asked() {
        return Err(Fault::Interrupted { done: "stopped before anything was moved".to_owned() });
    }

    let moved = match latest {
        Some(before) if plan.moves_all => {
            task::run(context, &tasks, before.as_ref(), args.rate, &stop).await?
        }
        latest => {
            if latest.is_none() && plan.moves_all {
                let note = "this queue service has no move tasks: moving letters one by one";
                context.console.note(note);
            }
            let order = one_by_one::Order {
                filter: &args.filter,
                queue_url,
                rate: args.rate,
                expected: to_move as u64,
            };
            one_by_one::run(context, &dead_letter_queue, &order, &stop).await?
        }
    };
    report(context, &args, Some(&plan), Some(&moved));
    Ok(if moved.failed == 0 { Outcome::Done } else { Outcome::Negative })
}

async fn plan(context: &Context, args: &Args, stop: &Stop) -> Result<Plan, Fault> {
    let (letters, look) = dlq::letters(context, args.most, stop).await?;
    dlq::note_sample(context, letters.len(), &look);
    let (to_move, to_stay): (Vec<&Letter>, Vec<&Letter>) = letters
        .iter()
        .filter(|letter| args.filter.matches(letter))
        .partition(|letter| letter.fate.is_worth_moving());
    Ok(Plan {
        moves_all: args.filter.is_empty() && to_stay.is_empty(),
        to_move: Groups::of(to_move),
        to_stay: Groups::of(to_stay),
        is_whole: look.is_whole,
    })
}

/// A task that somebody started moves everything already.
async fn follow_another(
    context: &Context,
    args: &Args,
    tasks: &MoveTasks,
    running: &MoveTask,
    stop: &Stop,
) -> Result<Outcome, Fault> {
    if !args.filter.is_empty() {
        return Err(Fault::refused(
            "a move task is running that moves all dead letters, whatever the filter",
            "wait for it (`inbox redrive` follows it), or cancel it in the SQS console",
        ));
    }
    let elsewhere = running
        .destination_arn
        .as_deref()
        .filter(|arn| *arn != tasks.destination_arn())
        .map(|arn| format!(" to {arn}"))
        .unwrap_or_default();
    context.console.note(format!(
        "a move task is running already{elsewhere}, and SQS takes one at a time: following it"
    ));
    let moved = task::follow(context, tasks, task::Whose::Another, None, stop).await?;
    report(context, args, None, Some(&moved));
    Ok(Outcome::Done)
}

fn print(context: &Context, plan: &Plan) {
    let console = &context.console;
    let now = context.now();
    let to_move = plan.to_move.letters();
    if to_move == 0 {
        console.line("nothing to redrive");
    } else {
        console.line(format!("to be sent back to the queue: {}", dead_letters(to_move as u64)));
        console.line("");
        plan.to_move.print(console, now);
        console.line("");
        console.line(format!(
            "opening the next life of their event: {}; waking one that lives on: {}; dropped: {}",
            plan.to_move.count(Fate::Redrivable),
            plan.to_move.count(Fate::Alive),
            plan.to_move.count(Fate::Over),
        ));
    }
    let to_stay = plan.to_stay.letters();
    if to_stay > 0 {
        console.line("");
        console.line(format!("left where they are: {}", dead_letters(to_stay as u64)));
        console.line("");
        plan.to_stay.print(console, now);
    }
}

fn report(context: &Context, args: &Args, plan: Option<&Plan>, moved: Option<&Moved>) {
    let console = &context.console;
    if console.json {
        console.value(&json!({
            "dry_run": args.dry_run,
            "plan": plan.map(|plan| json!({
                "to_move": plan.to_move.letters(),
                "to_stay": plan.to_stay.letters(),
                "is_sample": !plan.is_whole,
                "groups": plan.to_move.to_json(),
                "staying": plan.to_stay.to_json(),
            })),
            "moved": moved.map_or(0, |moved| moved.count),
            "failed": moved.map_or(0, |moved| moved.failed),
            "first_fault": moved.and_then(|moved| moved.first_fault.as_deref()),
        }));
        return;
    }
    let Some(moved) = moved else {
        if let Some(plan) = plan {
            print(context, plan);
        }
        if args.dry_run {
            console.note("a dry run: nothing was moved");
        }
        return;
    };
    if plan.is_some() {
        console.line("");
    }
    console.line(format!("{} moved", dead_letters(moved.count)));
    if moved.failed > 0 {
        let why = moved.first_fault.as_deref().unwrap_or_default();
        console.line(format!("{} could not be moved, the first for {why}", moved.failed));
        console.note("they are still dead letters; the same command tries them again");
    }
    if moved.count > 0 {
        console.note("the processor runs them now; what fails again comes back: inbox dlq");
    }
}
