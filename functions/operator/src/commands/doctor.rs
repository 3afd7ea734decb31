//! `inbox doctor`.

use crate::context::Context;
use crate::fault::{Fault, Outcome};

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) async fn run(_context: &Context, _args: Args) -> Result<Outcome, Fault> {
    Err(Fault::usage("not built yet", ""))
}
