//! `inbox completions`: a shell's completion script.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::fault::Outcome;

const EXAMPLES: &str = "\
Examples:
  inbox completions bash > ~/.local/share/bash-completion/completions/inbox
  inbox completions zsh > ~/.zfunc/_inbox
  inbox completions fish > ~/.config/fish/completions/inbox.fish";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Outcome {
    // Written at once: `generate` panics when whoever reads has gone.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "inbox", &mut script);
    let _ = std::io::stdout().write_all(&script);
    Outcome::Done
}
