//! One handler's run: its time limit, and its panics.
//!
//! The handler runs as a task of its own, so that a panic ends the task and not
//! the process, and one that blocks its thread leaves the others their threads.

use std::sync::Arc;
use std::time::Duration;

use inbox_core::event::{Event, clean_text};
use inbox_core::handler::{HandlerError, Run};
use inbox_core::ledger::ERROR_CHARACTERS;

use crate::routes::Route;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The handler did what it does.
    Done,
    /// It did not.
    Failed(Failed),
}

/// A failed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// For the operator.
    pub(crate) reason: String,
    /// What the handler asks for instead of the retry table.
    pub(crate) after: Option<Duration>,
    /// Whether trying again cannot help.
    pub(crate) permanent: bool,
}

/// Runs one route's handler to its end, or to the end of its time.
pub(crate) async fn run_handler(route: &Route, event: Arc<Event>, run: Run) -> (&Route, Outcome) {
    let timeout = run.timeout;
    let handler = Arc::clone(&route.handler);
    let mut task = tokio::spawn(async move { handler.handle(&event, &run).await });
    let ended = tokio::time::timeout(timeout, &mut task).await;
    let outcome = match ended {
        Ok(Ok(Ok(()))) => Outcome::Done,
        Ok(Ok(Err(error))) => Outcome::Failed(Failed::from(error)),
        // The panic's text may quote the payload; its place was logged.
        Ok(Err(_panic)) => Outcome::Failed(Failed::retry("the handler panicked".to_owned())),
        Err(_elapsed) => {
            task.abort();
            let reason = format!("the handler took longer than {} s", timeout.as_secs_f32());
            Outcome::Failed(Failed::retry(reason))
        }
    };
    (route, outcome)
}

impl Failed {
    fn retry(reason: String) -> Self {
        Self { reason, after: None, permanent: false }
    }
}

impl From<HandlerError> for Failed {
    fn from(error: HandlerError) -> Self {
        let (reason, after, permanent) = match error {
            HandlerError::Retry { after, reason } => (reason, after, false),
            HandlerError::Permanent { reason } => (reason, None, true),
        };
        Self { reason: clean_text(&reason, ERROR_CHARACTERS), after, permanent }
    }
}
