//! What can go wrong while the local stack is brought up, each with what to do.

use std::path::PathBuf;

/// A fault of the local stack itself, not of what runs in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The virtual environment with the emulator is not there.
    #[error("{} is missing: run `make setup` first", path.display())]
    VenvMissing {
        /// The interpreter that was looked for.
        path: PathBuf,
    },
    /// A function's binary is not there.
    #[error("{} is missing: run `cargo build --workspace` (or `make build`) first", path.display())]
    BinaryMissing {
        /// The binary that was looked for.
        path: PathBuf,
    },
    /// An example subscriber was not built.
    #[error("{} is missing: run `make examples` first", path.display())]
    ExampleMissing {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// Another process listens on the port of the front door.
    #[error("port {port} is taken: stop what listens there, or choose another one with PORT=")]
    PortTaken {
        /// The port that was asked for.
        port: u16,
    },
    /// The emulator ended while it was starting.
    #[error("the emulator ended with {status} while starting; the end of its log:\n{log_tail}")]
    EmulatorExited {
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        log_tail: String,
    },
    /// The emulator ended while it was needed.
    #[error("the emulator ended with {status}; the end of its log:\n{log_tail}")]
    EmulatorGone {
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        log_tail: String,
    },
    /// The emulator did not answer in time.
    #[error("the emulator was not healthy after {seconds} s; the end of its log:\n{log_tail}")]
    EmulatorUnhealthy {
        /// How long it was given.
        seconds: u64,
        /// The last lines it wrote.
        log_tail: String,
    },
    /// An AWS call of the set-up was refused or failed.
    #[error("{what}: {reason}")]
    Call {
        /// The operation and what it was about.
        what: String,
        /// What the emulator or the client said.
        reason: String,
    },
    /// A file, a socket or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl LocalError {
    /// For `map_err` on I/O: says what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err` on an AWS call or an HTTP request: says what was tried.
    pub(crate) fn call<E: std::error::Error>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::Call { what, reason: causes(&error) }
    }
}

/// The error with everything beneath it: the SDK hides the reason in its sources.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
