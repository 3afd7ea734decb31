//! `local run` brings the local stack up and keeps it up until Ctrl-C or SIGTERM.
//!
//! Each copy keeps its files in `.local/run-{port}/`, with its facts in
//! `stack.json` there. `.local/stack.json` is that of the copy started last; when
//! that one ends, another copy that still runs takes its place.

mod complaints;
mod demo;
mod demo_claims;
mod demo_report;
mod demo_scenario;
mod demo_subscribers;
mod permissions_report;
mod run;

use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use inbox_local::LocalError;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: local run [--port PORT]    (PORT in the environment, else 9000)
       local demo
       local needed FOLDER           (decisions of a test run, by INBOX_DECISIONS)";

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let outcome = match command.as_str() {
        "run" => run::run(&arguments).await,
        "demo" => demo::demo(&arguments).await,
        "needed" => permissions_report::needed(&arguments),
        _ => Err(Failure::Usage(USAGE.to_owned())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                Failure::Local(_)
                | Failure::Claims { .. }
                | Failure::Permissions { .. }
                | Failure::Stopped => 1,
            })
        }
    }
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It was called in a way it does not know.
    #[error("{0}")]
    Usage(String),
    /// The stack could not be brought up.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The demo showed something else than it claims.
    #[error("the functions' logs are in {}", logs.display())]
    Claims {
        /// Where they lie.
        logs: PathBuf,
    },
    /// Somebody may do what nobody needs.
    #[error("{} permissions are not as the run needed them:\n{}", problems.len(), problems.join("\n"))]
    Permissions {
        /// A sentence each.
        problems: Vec<String>,
    },
    /// Somebody stopped it.
    #[error("stopped before the end")]
    Stopped,
}

/// One line for a person. Whoever reads may have gone: that is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Ends when this process is asked to: Ctrl-C, SIGTERM, or its terminal closed.
///
/// The handlers are in place when this returns.
fn stop_signal() -> Result<impl Future<Output = ()>, LocalError> {
    let listen = |kind| {
        signal(kind)
            .map_err(|source| LocalError::Io { what: "listen for signals".to_owned(), source })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}
