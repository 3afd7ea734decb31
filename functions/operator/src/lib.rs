//! `inbox`: what an operator does with a deployed inbox, and a developer with a
//! signature.
//!
//! ```text
//! cli.rs               commands and their options
//! commands/<name>.rs   one command each: arguments, what it does, what it prints
//! selection.rs         which events: filters, and finding what matches
//! timeline.rs          all events by arrival, walked back
//! lookup.rs            one event, by its id or its delivery's
//! view.rs pretty.rs    events as JSON, payloads as text
//! follow.rs            new events as they arrive
//! plan.rs              what a replay is going to do, kept until it is done
//! letters/             dead letters, joined with the ledger
//! deployment.rs        names of table, queues and sources, from a file
//! context.rs           deployment, AWS, console, who is asking
//! console.rs table.rs moments.rs   how things are said
//! fault.rs             why a command failed, and its exit code
//! question.rs          asking before something is done
//! captured.rs records.rs diagnosis/   a captured request, many of them, why one is refused
//! samples.rs drafts.rs curl.rs tally.rs   what `send` sends, prints and counts
//! rotation.rs          signing secrets, added and retired
//! shell.rs             words that a shell reads as they are
//! stop.rs pace.rs      being interrupted; not being too fast
//! ```
//!
//! Commands decide nothing about events: they read the ledger, and what they
//! change they change by the ledger's own conditional writes, so that two
//! operators, an operator and a processor, or one who was interrupted cannot do
//! anything twice.

pub mod captured;
pub mod cli;
pub mod commands;
pub mod console;
pub mod context;
pub mod curl;
pub mod deployment;
pub mod diagnosis;
pub mod drafts;
pub mod fault;
pub mod follow;
pub mod http_client;
pub mod letters;
mod lookup;
pub mod moments;
pub mod pace;
pub mod plan;
pub mod pretty;
#[cfg(test)]
mod properties;
pub mod question;
pub mod records;
#[cfg(test)]
mod redaction;
pub mod rotation;
pub mod samples;
pub mod selection;
mod shell;
pub mod stop;
pub mod table;
pub mod tally;
mod timeline;
pub mod view;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::console::Console;
use crate::context::Context;

/// Runs one command to its end and says how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    let console = Console::new(cli.common.json, cli.common.color);
    // Shells run it at their start, with or without a deployment.
    if let Command::Completions(args) = &cli.command {
        return commands::completions::run(args).into();
    }
    let needs_names = cli.command.needs_names();
    let outcome = match Context::new(&cli.common, console, needs_names) {
        Ok(context) => commands::run(&context, cli.command).await,
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(fault) => {
            console.fault(&fault);
            ExitCode::from(fault.exit_code())
        }
    }
}
