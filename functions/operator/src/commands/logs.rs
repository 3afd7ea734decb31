//! `inbox logs`: a function's log, followed.
//!
//! Following logs well is what the AWS CLI does (`aws logs tail`), and `tail` for
//! the files of a local stack: this only knows the names.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use inbox_core::pattern::glob;
use tokio::process::Command;

use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  inbox logs processor
  inbox logs receiver-stripe --since 1h --no-follow | jq -c 'select(.level == \"ERROR\")'";

const SIGINT: i32 = 2;
const SIGPIPE: i32 = 13;
/// What the AWS CLI ends with after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `processor`, `sweeper` or `receiver-SOURCE`
    function: String,
    /// How far back to begin, on AWS: 10m, 1h
    #[arg(long, default_value = "10m", value_name = "AGE")]
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
    let (program, mut command) = match &context.deployment.logs {
        Some(directory) => ("tail", tail(&args, directory.join(format!("{name}.log")))),
        None => ("aws", aws(context, &args, name).await?),
    };
    let stop = Stop::listen()?;
    let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
    let mut child = child.map_err(|fault| match fault.kind() {
        std::io::ErrorKind::NotFound => Fault::usage(
            format!("`{program}` is not installed"),
            "install the AWS CLI, version 2, whose `aws logs tail` follows logs",
        ),
        _ => Fault::io(format!("start `{program}`"), &fault),
    })?;
    let ended = tokio::select! {
        ended = child.wait() => ended,
        () = stop.asked() => return Ok(Outcome::Done),
    };
    let status = ended.map_err(|fault| Fault::io(format!("wait for `{program}`"), &fault))?;
    // Ctrl-C goes to both, and whoever read the log may have had enough.
    let was_ended = [SIGINT, SIGPIPE].map(Some).contains(&status.signal())
        || status.code() == Some(INTERRUPTED)
        || stop.is_asked();
    if status.success() || was_ended {
        return Ok(Outcome::Done);
    }
    Err(Fault::unavailable(format!("`{program}` ended with {status}; it says why above")))
}

fn tail(args: &Args, file: std::path::PathBuf) -> Command {
    let mut command = Command::new("tail");
    command.args(if args.no_follow { &["-n", "+1"][..] } else { &["-n", "50", "-F"] });
    command.arg("--").arg(file);
    command
}

/// <https://docs.aws.amazon.com/cli/latest/reference/logs/tail.html>
async fn aws(context: &Context, args: &Args, function: &str) -> Result<Command, Fault> {
    // An ARN's last part is the name.
    let name = if glob("arn:*", function) {
        function.rsplit(':').next().unwrap_or(function)
    } else {
        function
    };
    let mut command = Command::new("aws");
    command.args(["logs", "tail", &format!("/aws/lambda/{name}"), "--format", "short"]);
    command.args(["--since", &args.since]);
    if !args.no_follow {
        command.arg("--follow");
    }
    if let Some(region) = context.aws().await?.region() {
        command.args(["--region", region.as_ref()]);
    }
    if let Some(profile) = context.profile() {
        command.args(["--profile", profile]);
    }
    Ok(command)
}
