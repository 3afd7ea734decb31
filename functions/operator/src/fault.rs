//! Why a command did not do what it was asked, and the exit code that says so.
//!
//! ```text
//!   0    done; for `verify`: valid; for `doctor`: sound
//!   1    the answer is no: nothing found, not valid, not sound, some events refused
//!   2    called in a way that cannot work: nothing was tried
//!   3    AWS, or the address that was called, did not answer or refused
//! 130    interrupted; what was done stays done, and the same command goes on
//! ```

use std::process::ExitCode;

use inbox_core::ledger::LedgerError;
use inbox_core::queue::QueueError;
use inbox_core::secrets::SecretsError;

/// What became of a command that ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked for is done.
    Done,
    /// The answer is no; the command has said why.
    Negative,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Negative => Self::from(1),
        }
    }
}

/// What kept a command from its end: one line, and where there is something to
/// do about it, another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Arguments, names or input that cannot work.
    #[error("{problem}")]
    Usage {
        /// What is wrong.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// What was named is not there, or not in a state to do this with.
    #[error("{problem}")]
    Refused {
        /// What is wrong.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// AWS, or an address that was called, did not answer or refused.
    #[error("{problem}")]
    Unavailable {
        /// The operation, the error's code and message.
        problem: String,
    },
    /// Somebody pressed Ctrl-C, or this process was told to end.
    #[error("{done}")]
    Interrupted {
        /// How far it came and how to go on.
        done: String,
    },
    /// A file or a stream.
    #[error("{what}: {fault}")]
    Io {
        /// What was tried.
        what: String,
        /// How it failed.
        fault: String,
    },
}

impl Fault {
    /// Arguments that cannot work.
    pub fn usage(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Usage { problem: problem.into(), advice: advice.into() }
    }

    /// Nothing there, or not in a state to do this with.
    pub fn refused(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Refused { problem: problem.into(), advice: advice.into() }
    }

    /// No answer, or a refusal.
    pub fn unavailable(problem: impl Into<String>) -> Self {
        Self::Unavailable { problem: problem.into() }
    }

    /// A file or a stream.
    pub fn io(what: impl Into<String>, fault: &std::io::Error) -> Self {
        Self::Io { what: what.into(), fault: fault.to_string() }
    }

    /// What scripts see.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Io { .. } => 1,
            Self::Usage { .. } => 2,
            Self::Unavailable { .. } => 3,
            Self::Interrupted { .. } => 130,
        }
    }

    /// A word for scripts that read `--json`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Usage { .. } => "usage",
            Self::Refused { .. } => "refused",
            Self::Unavailable { .. } => "unavailable",
            Self::Interrupted { .. } => "interrupted",
            Self::Io { .. } => "io",
        }
    }

    /// What to do next, where that can be said.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        match self {
            Self::Usage { advice, .. } | Self::Refused { advice, .. } => {
                Some(advice.as_str()).filter(|advice| !advice.is_empty())
            }
            Self::Unavailable { problem } => advice_on(problem),
            Self::Interrupted { .. } | Self::Io { .. } => None,
        }
    }
}

impl From<LedgerError> for Fault {
    fn from(fault: LedgerError) -> Self {
        match fault {
            LedgerError::PayloadLost(_) => Self::refused(
                fault.to_string(),
                "nothing brings it back here; the provider may still have the event",
            ),
            _ => Self::unavailable(fault.to_string()),
        }
    }
}

impl From<QueueError> for Fault {
    fn from(fault: QueueError) -> Self {
        Self::unavailable(fault.to_string())
    }
}

impl From<SecretsError> for Fault {
    fn from(fault: SecretsError) -> Self {
        match fault {
            SecretsError::Unavailable(_) => Self::unavailable(fault.to_string()),
            SecretsError::Unusable(_) => Self::refused(
                fault.to_string(),
                "put it right with `inbox secret add SOURCE`, or in Secrets Manager",
            ),
        }
    }
}

/// Begins what is said where Lambda keeps a function's environment to itself.
pub(crate) const NO_ENVIRONMENT: &str = "GetFunctionConfiguration: no environment is told";

/// What each of AWS's error codes, which stand in `inbox-aws`'s texts, asks for; the
/// first that fits.
const ADVICE: [(&[&str], &str); 9] = [
    (
        &[NO_ENVIRONMENT],
        "it is encrypted with the deployment's customer key: this identity needs kms:Decrypt on \
         that key through Lambda, which the operator's policy has (`make deploy` brings it up to \
         date), and the key must be enabled",
    ),
    (
        &["no credentials", "IMDS", "CredentialsNotLoaded", "ExpiredToken", "InvalidClientTokenId"],
        "sign in to AWS (`aws sso login`, AWS_PROFILE=…) and try again; for the local stack, \
         give --stack .local/stack.json",
    ),
    (
        &["AccessDenied", "UnauthorizedOperation", "not authorized"],
        "this identity lacks a permission: the operation is named above; ask for the operator's role",
    ),
    (
        &["UnrecognizedClient", "SignatureDoesNotMatch", "InvalidSignature"],
        "the credentials are not of this account: look at AWS_PROFILE and the --stack file",
    ),
    (
        &["QueueDoesNotExist", "NonExistentQueue"],
        "there is no such queue in this account and region: look at --stack (or QUEUE_URL, DLQ_URL) \
         and AWS_REGION; `inbox doctor` checks all names",
    ),
    (
        // Of its messages AWS's code alone is kept, and this is what it says it of.
        &[
            "must be configured as a Dead Letter Queue",
            "StartMessageMoveTask: InvalidParameterValue",
        ],
        "no queue's redrive policy names this dead-letter queue: look at --stack (or DLQ_URL); \
         `inbox doctor` checks it",
    ),
    (
        &["ResourceNotFoundException", "Cannot do operations on a non-existent table"],
        "there is no such resource in this account and region: look at --stack (or TABLE_NAME) and \
         AWS_REGION; `inbox doctor` checks all names",
    ),
    (
        &["Throttl", "ProvisionedThroughputExceeded", "RequestLimitExceeded"],
        "AWS is throttling: try again with a lower --rate",
    ),
    (
        &["request not sent", "no connection", "no answer"],
        "is the network up, and the region right? For the local stack: does `make run` still run?",
    ),
];

fn advice_on(problem: &str) -> Option<&'static str> {
    let (_, advice) =
        ADVICE.iter().find(|(codes, _)| codes.iter().any(|code| problem.contains(code)))?;
    Some(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_refuses_is_answered_with_what_to_do() {
        for (problem, part) in [
            ("GetItem: ResourceNotFoundException: Requested resource not found", "--stack"),
            ("Query: request not sent: no credentials", "sign in"),
            ("Query: AccessDeniedException: User is not authorized to perform", "permission"),
            ("SendMessage: RequestThrottled: slow down", "--rate"),
        ] {
            let fault = Fault::unavailable(problem);
            assert!(fault.advice().is_some_and(|advice| advice.contains(part)), "{problem}");
            assert_eq!(fault.exit_code(), 3);
        }
        assert_eq!(Fault::unavailable("GetItem: InternalServerError: x").advice(), None);
    }
}
