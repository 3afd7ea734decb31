//! Commands and their options. What a command takes stands in its own file.

use clap::{Parser, Subcommand};

use crate::commands::{
    completions, dlq, doctor, events, forget, listen, logs, purge_dlq, redrive, replay, routes,
    secret, send, show, verify, whoami,
};
use crate::context::CommonArgs;

const EXAMPLES: &str = "\
Examples:
  export INBOX_STACK=.local/stack.json    the local stack of `make run`
  inbox events --since 2h --type 'invoice.*'
  inbox show stripe evt_1QabcDEF
  inbox dlq
  inbox replay --source stripe --state dead --since 6h --reason 'fixed in #412'
  inbox redrive --error '*no answer within*' --dry-run
  inbox verify --provider stripe --secret whsec_… < request.txt

Exit codes:
  0  done (verify: valid; doctor: sound)
  1  the answer is no: not found, not valid, not sound, some events refused
  2  called in a way that cannot work: nothing was tried
  3  AWS, or the address that was called, did not answer or refused
  130  interrupted: the same command goes on from there";

/// See, replay, redrive, verify and send webhooks of a webhook-inbox.
#[derive(Debug, Parser)]
#[command(name = "inbox", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List events, the newest first
    Events(events::Args),
    /// Show the life of one event, or its payload
    Show(show::Args),
    /// Show what lies dead: depth, oldest, grouped by source, type and error
    Dlq(dlq::Args),
    /// Run events again, by id or by filter
    Replay(replay::Args),
    /// Send dead letters back to the queue
    Redrive(redrive::Args),
    /// Delete all dead letters; their events stay in the ledger
    PurgeDlq(purge_dlq::Args),
    /// Remove an event's payload and personal data for good
    Forget(forget::Args),
    /// Follow the deployed inbox and post each new event to this machine
    Listen(listen::Args),
    /// Say whether a captured request verifies, and if not, why
    Verify(verify::Args),
    /// Show the routes of events, test which of them an event takes, check new ones
    Routes(routes::Args),
    /// Make a provider's signed request and post it, or print it as curl
    Send(send::Args),
    /// Look at, add and retire the signing secrets of a source, or of a route that forwards
    Secret(secret::Args),
    /// Check that the deployment is sound, and say what to fix
    Doctor(doctor::Args),
    /// Follow a function's log
    Logs(logs::Args),
    /// Say as whom and in which region AWS is spoken to
    Whoami(whoami::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
}

impl Command {
    /// Whether it can do nothing without the deployment's names.
    #[must_use]
    pub fn needs_names(&self) -> bool {
        match self {
            Self::Verify(args) => args.needs_names(),
            Self::Send(args) => args.needs_names(),
            Self::Routes(args) => args.needs_names(),
            Self::Completions(_) | Self::Whoami(_) => false,
            _ => true,
        }
    }
}
