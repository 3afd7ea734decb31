//! `inbox secret`: looks at, adds and retires signing secrets: a source's, with which
//! its provider signs, or a route's, with which the processor signs what it forwards.
//!
//! Values come from a prompt or from standard input, never from the command
//! line, which shells and process lists remember; none is ever printed, nor one that is
//! made here.

mod add;
mod retire;
mod show;
mod subject;
mod words;

use crate::context::Context;
use crate::fault::{Fault, Outcome};

const EXAMPLES: &str = "\
A rotation without an outage:
  inbox secret add stripe          asks for the new secret; both are tried from now on
  …                                five minutes later, let the provider sign with the new one
  inbox secret retire stripe       takes the oldest out

The same for a route that forwards, where this side signs:
  inbox secret add route/crm --generate    makes a secret; old and new both sign from now on
  …                                five minutes later, let the endpoint verify with the new one
  inbox secret retire route/crm    the oldest signs no more

Examples:
  inbox secret show stripe
  inbox secret add stripe < new-secret.txt
  inbox secret retire stripe --position 2 --yes
  inbox secret show route/crm";

/// What the command takes.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// Whose it is may be told; what somebody typed behind it may be a secret.
impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Action::Show { name } | Action::Add { name, .. } | Action::Retire { name, .. }) =
            &self.action;
        f.debug_struct("Args").field("name", name).finish_non_exhaustive()
    }
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show how many there are, how each ends, and whether it can be one
    #[command(
        after_help = "Examples:\n  inbox secret show stripe\n  inbox secret show stripe --json\n  \
                      inbox secret show route/crm"
    )]
    Show {
        /// The source, or `route/` and the id of a route that forwards
        #[arg(value_name = "SOURCE|route/ID")]
        name: String,
    },
    /// Add a signing secret before the others; the value is asked for, or read from standard input
    #[command(
        after_help = "Examples:\n  inbox secret add stripe\n  inbox secret add stripe < new-secret.txt\n  \
                      inbox secret add route/crm --generate"
    )]
    Add {
        /// The source, or `route/` and the id of a route that forwards
        #[arg(value_name = "SOURCE|route/ID")]
        name: String,
        /// Make a value of 32 random bytes instead, for a route; Secrets Manager tells it to
        /// who may read it there
        #[arg(long)]
        generate: bool,
        /// Here to be refused in words of its own: clap would quote the secret.
        #[arg(hide = true, allow_hyphen_values = true)]
        on_the_command_line: Vec<String>,
    },
    /// Take a signing secret out, the oldest by default; never the last one
    #[command(
        after_help = "Examples:\n  inbox secret retire stripe\n  inbox secret retire stripe --position 2 --yes\n  \
                      inbox secret retire route/crm --dry-run"
    )]
    Retire {
        /// The source, or `route/` and the id of a route that forwards
        #[arg(value_name = "SOURCE|route/ID")]
        name: String,
        /// Which one, from 1, as `inbox secret show` counts them
        #[arg(long, value_name = "N")]
        position: Option<usize>,
        /// Only say which one it would be
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    match args.action {
        Action::Show { name } => show::run(context, &name).await,
        Action::Add { name, generate, on_the_command_line } if on_the_command_line.is_empty() => {
            add::run(context, &name, generate).await
        }
        Action::Add { name, .. } => Err(Fault::usage(
            "a secret is not taken from the command line, which shells and process lists remember; \
             nothing was changed",
            format!("`inbox secret add {name}` asks for it; if this one was real, make a new one"),
        )),
        Action::Retire { name, position, dry_run, yes } => {
            retire::run(context, &name, position, dry_run, yes).await
        }
    }
}
