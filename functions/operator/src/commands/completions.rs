//! `inbox completions`: a shell's completion script.

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

pub(super) fn run(args: &Args) -> Outcome {
    generate(args.shell, &mut Cli::command(), "inbox", &mut std::io::stdout());
    Outcome::Done
}
