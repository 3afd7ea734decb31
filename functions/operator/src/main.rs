//! `inbox`: the operator's command.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use inbox_operator::cli::Cli;

fn main() -> ExitCode {
    // clap's own way takes a variable such as INBOX_STACK for an argument.
    if std::env::args_os().len() == 1 {
        let help = Cli::command().render_help();
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{help}\n"));
        return ExitCode::from(2);
    }
    let cli = Cli::parse();
    say_what_is_left_out();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(Box::pin(inbox_operator::run(cli))),
        Err(fault) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("error: cannot start: {fault}\n"),
            );
            ExitCode::from(1)
        }
    }
}

/// What the library below leaves out, an item that it cannot read, is said on
/// standard error, and nothing else of what it or the SDK would log.
fn say_what_is_left_out() {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;

    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time();
    let from_below = Targets::new().with_target("inbox_aws", LevelFilter::ERROR);
    tracing_subscriber::registry().with(lines).with(from_below).init();
}
