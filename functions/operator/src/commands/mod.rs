//! One file for each command: its arguments, what it does, what it prints.

pub mod completions;
pub mod dlq;
pub mod doctor;
pub mod events;
pub mod forget;
pub mod listen;
pub mod logs;
pub mod purge_dlq;
pub mod redrive;
pub mod replay;
pub mod routes;
pub mod secret;
pub mod send;
pub mod show;
pub mod verify;
pub mod whoami;

use crate::cli::Command;
use crate::context::Context;
use crate::fault::{Fault, Outcome};

/// Runs a command.
pub(crate) async fn run(context: &Context, command: Command) -> Result<Outcome, Fault> {
    match command {
        Command::Events(args) => events::run(context, args).await,
        Command::Show(args) => show::run(context, args).await,
        Command::Dlq(args) => dlq::run(context, args).await,
        Command::Replay(args) => replay::run(context, args).await,
        Command::Redrive(args) => redrive::run(context, args).await,
        Command::PurgeDlq(args) => purge_dlq::run(context, args).await,
        Command::Forget(args) => forget::run(context, args).await,
        Command::Listen(args) => listen::run(context, args).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Routes(args) => routes::run(context, args).await,
        Command::Send(args) => send::run(context, args).await,
        Command::Secret(args) => secret::run(context, args).await,
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Whoami(args) => whoami::run(context, args).await,
        Command::Completions(args) => Ok(completions::run(&args)),
    }
}
