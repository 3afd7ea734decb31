//! What a handler is: code that is run once for an event, or until it succeeds.
//!
//! A handler is one file in `functions/processor/src/handlers/` and one line in
//! the registry there. Its completion is recorded per event and route; a process
//! that dies between its effect and that record runs it again, with the same
//! [`Run::idempotency_key`].

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::envelope::Envelope;
use crate::event::Event;
use crate::ledger::PayloadRef;

/// Something to do with an event.
pub trait Handler: Send + Sync {
    /// Does it. Dropped when the run's time is over, so hold nothing that must
    /// be given back by hand, and never block the thread: what does not await
    /// cannot be ended (`tokio::task::spawn_blocking` is for that).
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>>;

    /// How many bytes of its own one run may hold, of an event whose envelope has so many:
    /// events wait for each other where all of them do not fit the process's memory. What
    /// all routes share (the payload, [`Run::envelope`]) does not count.
    fn copied_bytes(&self, envelope_bytes: usize) -> usize {
        envelope_bytes
    }
}

/// How a handler succeeds: its route is complete either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It did what it does.
    Done,
    /// There was nothing in the event for it to do, and why. `inbox show` and lists say
    /// it, so that what was not understood does not look handled. The words are the
    /// handler's own: no payload's can stand here.
    Nothing(&'static str),
}

/// The circumstances of one attempt.
#[derive(Clone, Debug)]
pub struct Run {
    /// The route that chose the handler; completion is recorded under it.
    pub route_id: String,
    /// Counts replays and redrives, from 1.
    pub life: u32,
    /// Counts this route's attempts within the life, from 1.
    pub attempt: u32,
    /// How many of them there may be.
    pub max_attempts: u32,
    /// Whether the attempt is to be made in any case: a handler that would rather not
    /// try now ([`HandlerError::NotTried`]) tries all the same.
    pub insists: bool,
    /// How long the attempt may take.
    pub timeout: Duration,
    /// The object that holds the event's payload, where no item of the ledger does.
    /// The event has the payload all the same.
    pub payload_ref: Option<PayloadRef>,
    /// The event's envelope, which all of its routes share.
    pub envelope: Envelope,
}

impl Run {
    /// The same for every attempt of this route at this event, for receivers
    /// that deduplicate.
    #[must_use]
    pub fn idempotency_key(&self, event: &Event) -> String {
        format!("{}#{}", event.key, self.route_id)
    }

    /// Whether the route is given up if this attempt fails.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.attempt >= self.max_attempts
    }
}

/// Why an attempt failed, in two parts: what everybody may read, and what only the
/// ledger may hold.
///
/// The text goes into the log, the dead letter and lists. So it is made of what the
/// handler itself knows: a target's name, a status, a fixed class of fault. What a
/// target *said* may hold anybody's data in any spelling: it is a quote, which is kept
/// where `inbox forget` removes it and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Reason {
    text: String,
    quote: Option<String>,
}

impl Reason {
    /// The same with what the target said; nothing is quoted of one that said nothing.
    #[must_use]
    pub fn quoting(self, said: Option<String>) -> Self {
        Self { quote: said.filter(|said| !said.is_empty()), ..self }
    }

    /// What everybody may read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What only the ledger may hold.
    #[must_use]
    pub fn quote(&self) -> Option<&str> {
        self.quote.as_deref()
    }

    /// Both parts.
    #[must_use]
    pub fn into_parts(self) -> (String, Option<String>) {
        (self.text, self.quote)
    }
}

impl<T: Into<String>> From<T> for Reason {
    fn from(text: T) -> Self {
        Self { text: text.into(), quote: None }
    }
}

/// What everybody may read.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text, and how long the quote is: it stays out of logs.
impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reason")
            .field("text", &self.text)
            .field("quote_bytes", &self.quote.as_ref().map(String::len))
            .finish()
    }
}

/// How a handler fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// Try again, by the retry table or after the given time.
    #[error("{reason}")]
    Retry {
        /// Not before this much time, for example from `Retry-After`, where it
        /// is longer than the table's wait.
        after: Option<Duration>,
        /// For the operator. Never payload or secrets, nor words of an answer but as
        /// a quote.
        reason: Reason,
    },
    /// No attempt was made: the target has not answered for a while, and would be waited
    /// for in vain. The route is left for later, and no attempt is counted.
    #[error("{reason}")]
    NotTried {
        /// How long until somebody looks whether it answers again.
        wait: Duration,
        /// For the operator, likewise.
        reason: Reason,
    },
    /// Trying again cannot help: the route is given up at once.
    #[error("{reason}")]
    Permanent {
        /// For the operator, likewise.
        reason: Reason,
    },
}

impl HandlerError {
    /// A fault that may pass.
    pub fn retry(reason: impl Into<Reason>) -> Self {
        Self::Retry { after: None, reason: reason.into() }
    }

    /// A fault that will not pass.
    pub fn permanent(reason: impl Into<Reason>) -> Self {
        Self::Permanent { reason: reason.into() }
    }

    /// What everybody may read.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Retry { reason, .. }
            | Self::NotTried { reason, .. }
            | Self::Permanent { reason } => reason,
        }
    }
}
