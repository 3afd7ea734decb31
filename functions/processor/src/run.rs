//! One handler's run: its time limit, and its panics.
//!
//! The handler runs as a task of its own, so that a panic ends the task and not
//! the process, and one that blocks its thread leaves the others theirs. A run
//! that is dropped, because its time or its life is over, ends the task: a
//! handler must not go on in a later invocation.

use std::sync::Arc;
use std::time::Duration;

use inbox_core::event::{Event, clean_text};
use inbox_core::handler::{Handled, HandlerError, Run};
use inbox_core::ledger::ERROR_CHARACTERS;
use tokio::task::JoinHandle;

use crate::routes::Route;

/// How long an ended handler may take to be gone.
const GRACE: Duration = Duration::from_millis(100);

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The handler did what it does, or had nothing to do.
    Done(Handled),
    /// It did not.
    Failed(Failed),
    /// It did not even try, its breaker being open. What that is where the route cannot
    /// be left for later.
    NotTried(Failed),
}

/// A failed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// For the operator, in log and letter too.
    pub(crate) reason: String,
    /// What the target said: for the ledger alone.
    pub(crate) quote: Option<String>,
    /// What the handler asks for instead of the retry table.
    pub(crate) after: Option<Duration>,
    /// Whether trying again cannot help.
    pub(crate) permanent: bool,
}

/// Runs one route's handler to its end, or to the end of its time.
pub(crate) async fn run_handler(route: &Route, event: Arc<Event>, run: Run) -> (&Route, Outcome) {
    let timeout = run.timeout;
    let handler = Arc::clone(&route.handler);
    let mut task = Running(tokio::spawn(async move { handler.handle(&event, &run).await }));
    let ended = tokio::time::timeout(timeout, &mut task.0).await;
    let outcome = match ended {
        Ok(Ok(Ok(handled))) => Outcome::Done(handled),
        Ok(Ok(Err(error @ HandlerError::NotTried { .. }))) => Outcome::NotTried(error.into()),
        Ok(Ok(Err(error))) => Outcome::Failed(error.into()),
        // The panic's text may quote the payload; its place was logged.
        Ok(Err(_panic)) => Outcome::Failed(Failed::retry("the handler panicked".to_owned())),
        Err(_elapsed) => {
            task.end().await;
            let reason = format!("the handler took longer than {} s", timeout.as_secs_f32());
            Outcome::Failed(Failed::retry(reason))
        }
    };
    (route, outcome)
}

/// A handler's task, ended when nobody waits for it any more.
struct Running(JoinHandle<Result<Handled, HandlerError>>);

impl Running {
    /// Ends it and waits until it is gone, so that nothing of it runs once its
    /// failure is written down; one that blocks its thread is not waited for.
    async fn end(&mut self) {
        self.0.abort();
        let _ = tokio::time::timeout(GRACE, &mut self.0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Failed {
    fn retry(reason: String) -> Self {
        Self { reason, quote: None, after: None, permanent: false }
    }
}

impl From<HandlerError> for Failed {
    fn from(error: HandlerError) -> Self {
        let (reason, after, permanent) = match error {
            HandlerError::Retry { after, reason } => (reason, after, false),
            HandlerError::NotTried { wait, reason } => (reason, Some(wait), false),
            HandlerError::Permanent { reason } => (reason, None, true),
        };
        let (text, quote) = reason.into_parts();
        let clean = |text: String| clean_text(&text, ERROR_CHARACTERS);
        Self { reason: clean(text), quote: quote.map(clean), after, permanent }
    }
}
