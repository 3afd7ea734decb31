//! `inbox forget`: an event's content removed for good.
//!
//! One conditional write does it, so it is done or it is not. A payload that lies in
//! the payload bucket is removed after it; interrupted in between, the same command
//! removes it when it is given again. What stays is that
//! the event came, its type, its times and which handlers it went to, until its
//! retention ends: a repeat by the provider is still known as one. It cannot be
//! replayed any more, and a dead letter of it opens nothing.

use inbox_aws::may_lie_in_bucket;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Forgetting, Ledger as _, Record, Settled, State};
use serde_json::json;

use super::show;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::lookup;
use crate::moments::{clock, relative};

const EXAMPLES: &str = "\
Examples:
  inbox forget stripe evt_1QabcDEF --reason 'erasure request 2026-118'
  inbox forget stripe evt_1QabcDEF --unhandled --yes    though it is dead or unfinished

Not reached by it: what handlers have written elsewhere (the mirror's table among it), the
table's point-in-time recovery for up to 35 days, and an event's dead letter, which names its
id and the class of its error and holds nothing of its content (`inbox dlq`).";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The endpoint that received it
    source: String,
    /// Its idempotency key, or GitHub's X-GitHub-Delivery
    id: String,
    /// Why, for the event's history
    #[arg(long, default_value = "no reason given", value_name = "TEXT")]
    reason: String,
    /// Forget it though its handlers are not done: it will never be handled
    #[arg(long)]
    unhandled: bool,
    /// Go on without being asked
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    let console = &context.console;
    let key = EventKey { source: args.source.clone(), id: args.id.clone() };
    let ledger = context.ledger().await?;
    let found = lookup::record(context, &ledger, key.clone(), context.now()).await?;
    let record = found.ok_or_else(|| show::missing(&context.deployment, &key))?;
    let key = record.event.key.clone();
    check_bucket(context, &record)?;
    let now = context.now_for_leases()?;
    if let Some(at) = record.forgotten_at {
        // Whoever forgot it may have died before its object was gone.
        if record.payload_ref.is_some() {
            let again = Forgetting { record: &record, actor: &context.actor, reason: &args.reason };
            ledger.forget(&again, now).await?;
        }
        tell(context, &record, at, false);
        return Ok(Outcome::Done);
    }
    args.check(&record, now)?;
    if !args.yes {
        console.note(format!(
            "{} {}, {}, {} bytes, received {} UTC, {}",
            key.source,
            key.id,
            record.event.event_type,
            record.payload_bytes(),
            clock(record.event.received_at),
            record.state.as_str(),
        ));
        console
            .confirm("Its payload is removed for good and it can never be replayed.", &key.id)?;
    }
    let forgetting = Forgetting { record: &record, actor: &context.actor, reason: &args.reason };
    match ledger.forget(&forgetting, now).await? {
        Settled::Written => {
            tell(context, &record, now, true);
            Ok(Outcome::Done)
        }
        Settled::Refused => Err(Fault::refused(
            format!("{} {} changed while it was looked at", key.source, key.id),
            "look at it with `inbox show` and try again",
        )),
    }
}

/// Nothing is forgotten while a copy would be left: the event would no longer say so.
fn check_bucket(context: &Context, record: &Record) -> Result<(), Fault> {
    if context.deployment.payload_bucket.is_some() || !may_lie_in_bucket(record) {
        return Ok(());
    }
    Err(Fault::usage(
        "the payload bucket's name is not known, and it may hold this payload or a copy of it; \
         nothing was forgotten",
        "give --stack FILE (.local/stack.json, or the output of `terraform output -json`), or set \
         PAYLOAD_BUCKET",
    ))
}

impl Args {
    fn check(&self, record: &Record, now: Timestamp) -> Result<(), Fault> {
        if record.is_leased(now) && record.state.is_unfinished() {
            return Err(Fault::refused(
                "it is being run now",
                "try again when it is through, in a minute at most",
            ));
        }
        if record.state == State::Done || self.unhandled {
            return Ok(());
        }
        let stands = match (record.state, record.next_at) {
            (State::Dead, _) => "it is dead: replay it first".to_owned(),
            (_, Some(next_at)) => {
                format!(
                    "it is {}, to be tried again {}",
                    record.state.as_str(),
                    relative(next_at, now)
                )
            }
            _ => format!("it is {}", record.state.as_str()),
        };
        Err(Fault::refused(
            format!(
                "its handlers are not done, and without its payload they never will be: {stands}"
            ),
            "wait until it is done, or give --unhandled to give it up",
        ))
    }
}

fn tell(context: &Context, record: &Record, at: Timestamp, is_new: bool) {
    let console = &context.console;
    let key = &record.event.key;
    if console.json {
        console.value(&json!({
            "source": key.source, "id": key.id, "forgotten_at": at.to_rfc3339(), "is_new": is_new,
        }));
        return;
    }
    let when = if is_new { "is forgotten" } else { "was forgotten before" };
    console.line(format!("{} {} {when}; that it was received stays known", key.source, key.id));
    if is_new && record.state == State::Dead {
        console.note("its dead letter, if one is left, still names its id and error: `inbox dlq`");
    }
}
