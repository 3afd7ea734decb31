//! What every function's `main` needs of the Lambda runtime.

use std::process::ExitCode;
use std::time::Duration;

use inbox_core::Timestamp;
use lambda_runtime::{Context, Error};

/// When Lambda ends this invocation.
#[must_use]
pub fn deadline(context: &Context) -> Timestamp {
    i64::try_from(context.deadline)
        .ok()
        .and_then(Timestamp::from_unix_ms)
        // Lambda always says; a short guess is the safe one.
        .unwrap_or_else(|| Timestamp::now().plus(Duration::from_secs(10)))
}

/// The end of a function's `main`: the runtime serves until its process is ended,
/// so coming back is a fault.
#[must_use]
pub fn ended(served: Result<(), Error>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!(%fault, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}
