//! `inbox`: the operator's command.

use std::process::ExitCode;

use clap::Parser as _;
use inbox_operator::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
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
