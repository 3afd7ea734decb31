//! `inbox logs`: a function's log, followed.
//!
//! ```text
//! on AWS          FilterLogEvents, again and again (cloudwatch.rs)
//! a local stack   `tail` of the function's file
//! ```
//!
//! Either way lines are those that the function wrote, so that `jq` reads both.

mod cloudwatch;

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::moments::parse_moment;
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  inbox logs processor
  inbox logs receiver-stripe --since 1h --no-follow | jq -c 'select(.level == \"ERROR\")'";

const SIGINT: i32 = 2;
const SIGPIPE: i32 = 13;

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `processor`, `sweeper` or `receiver-SOURCE`
    function: String,
    /// How far back to begin, on AWS: 10m, 1h (ago), 2026-11-22T04:50:00Z
    #[arg(long, default_value = "10m", value_name = "WHEN")]
    since: String,
    /// End at the end of what is there
    #[arg(long)]
    no_follow: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Outcome, Fault> {
    let functions = &context.deployment.functions;
    let Some(name) = functions.get(&args.function) else {
        let known: Vec<&str> = functions.keys().map(String::as_str).collect();
        return Err(Fault::usage(
            format!("unknown function {:?}", args.function),
            match known.as_slice() {
                [] => "give --stack FILE, whose `functions` name them".to_owned(),
                known => format!("known are {}", known.join(", ")),
            },
        ));
    };
    if let Some(directory) = &context.deployment.logs {
        return tail(directory.join(format!("{}.log", args.function)), args.no_follow).await;
    }
    let since = parse_moment(&args.since, context.now())
        .map_err(|problem| Fault::usage(format!("--since: {problem}"), ""))?;
    // An ARN's last part is the name.
    let name = name.rsplit(':').next().unwrap_or(name);
    cloudwatch::follow(context, name, since, args.no_follow).await
}

async fn tail(file: PathBuf, no_follow: bool) -> Result<Outcome, Fault> {
    let mut command = Command::new("tail");
    command.args(if no_follow { &["-n", "+1"][..] } else { &["-n", "50", "-F"] });
    command.arg("--").arg(file).stdin(Stdio::null()).kill_on_drop(true);
    let stop = Stop::listen()?;
    let child = command.spawn();
    let mut child = child.map_err(|fault| Fault::io("start `tail`", &fault))?;
    let ended = tokio::select! {
        ended = child.wait() => ended,
        () = stop.asked() => return Ok(Outcome::Done),
    };
    let status = ended.map_err(|fault| Fault::io("wait for `tail`", &fault))?;
    // Ctrl-C goes to both, and whoever read the log may have had enough.
    let was_ended = [SIGINT, SIGPIPE].map(Some).contains(&status.signal()) || stop.is_asked();
    if status.success() || was_ended {
        return Ok(Outcome::Done);
    }
    Err(Fault::unavailable(format!("`tail` ended with {status}; it says why above")))
}
