//! Dead letters, joined with the ledger.
//!
//! A letter is only a pointer: it names an event and one of its lives. What a
//! redrive of it would do depends on where the event stands now, and only the
//! ledger knows that:
//!
//! ```text
//!                      event dead     event unfinished   event done
//! names the next life  redrivable     early              over
//! names this life      over           alive              over
//! names an older one   over           over               over
//! ```
//!
//! - *redrivable*: buried by the processor; a redrive opens the next life.
//! - *alive*: SQS itself moved the message away after too many receives. Nothing
//!   is lost: the sweeper sends another; a redrive only wakes it sooner.
//! - *early*: its burial is under way, or broke off and will be repeated.
//! - *over*: the processor would drop it.
//! - *unknown*: no such event; *unreadable*: no message of this inbox.

mod groups;
mod look;

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use inbox_aws::{DynamoDbLedger, ReceivedLetter, Summary};
use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use inbox_core::pattern::glob;
use inbox_core::queue::Pointer;

use crate::fault::Fault;

pub use groups::{Group, Groups, dead_letters};
pub use look::{Look, look};

/// Keys that the ledger is asked for in one call.
const KEYS_AT_ONCE: usize = 100;
/// Calls to the ledger at once.
const CALLS_AT_ONCE: usize = 8;

/// What a redrive of a letter would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Open the event's next life.
    Redrivable,
    /// Wake an event that lives on.
    Alive,
    /// Wait in the queue for its event to be marked dead.
    Early,
    /// Be dropped: the event is done, forgotten, or in another life.
    Over,
    /// Be dropped with an alarm: there is no such event.
    Unknown,
    /// Come back: nobody can read it.
    Unreadable,
}

impl Fate {
    /// For tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redrivable => "redrivable",
            Self::Alive => "alive",
            Self::Early => "early",
            Self::Over => "over",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
        }
    }

    /// What it means, for a person.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Redrivable => "its event is dead, and a redrive opens the next life",
            Self::Alive => "its event lives on and is tried again without it",
            Self::Early => "its event is not marked dead yet, and a redrive would come too early",
            Self::Over => "its event is done or in another life, and the processor would drop it",
            Self::Unknown => "there is no such event in the ledger",
            Self::Unreadable => "it is no message of this inbox",
        }
    }

    /// Whether to send it back to the queue makes sense: it opens a life, wakes
    /// an event, or is dropped and out of the way. The others would circle or
    /// ring an alarm.
    #[must_use]
    pub fn is_worth_moving(self) -> bool {
        matches!(self, Self::Redrivable | Self::Alive | Self::Over)
    }

    fn of(pointer: Option<&Pointer>, event: Option<&Summary>) -> Self {
        let Some(pointer) = pointer else { return Self::Unreadable };
        let Some(event) = event else { return Self::Unknown };
        if event.forgotten_at.is_some() {
            return Self::Over;
        }
        let names_next = pointer.life == event.life + 1;
        let names_this = pointer.life == event.life;
        match event.state {
            State::Dead if names_next => Self::Redrivable,
            State::Received | State::Failing if names_next => Self::Early,
            State::Received | State::Failing if names_this => Self::Alive,
            _ => Self::Over,
        }
    }
}

/// A dead letter and its event.
#[derive(Clone, Debug)]
pub struct Letter {
    /// As it came from SQS.
    pub received: ReceivedLetter,
    /// What it says, where it can be read.
    pub pointer: Option<Pointer>,
    /// Its event, where there is one.
    pub event: Option<Summary>,
    /// What a redrive would do.
    pub fate: Fate,
}

impl Letter {
    fn new(received: ReceivedLetter, pointer: Option<Pointer>, event: Option<Summary>) -> Self {
        let fate = Fate::of(pointer.as_ref(), event.as_ref());
        Self { received, pointer, event, fate }
    }

    /// The endpoint; empty when it cannot be read.
    #[must_use]
    pub fn source(&self) -> &str {
        self.pointer.as_ref().map(|pointer| pointer.key.source.as_str()).unwrap_or_default()
    }

    /// The event's id; empty when it cannot be read.
    #[must_use]
    pub fn id(&self) -> &str {
        self.pointer.as_ref().map(|pointer| pointer.key.id.as_str()).unwrap_or_default()
    }

    /// The provider's own type; empty when nobody knows.
    #[must_use]
    pub fn event_type(&self) -> &str {
        let noted = self.attribute("event_type");
        noted.or(self.event.as_ref().map(|event| event.event_type.as_str())).unwrap_or_default()
    }

    /// Why it was given up, or, of a letter that SQS itself moved, why its event
    /// last failed; empty when nobody knows.
    #[must_use]
    pub fn error(&self) -> &str {
        let noted = self.attribute("error");
        let last = self.event.as_ref().and_then(|event| event.last_error.as_deref());
        noted.or(last).unwrap_or_default()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.received.attributes.get(name).map(String::as_str)
    }

    /// Where its event stands: `dead, life 1`.
    #[must_use]
    pub fn event_stands(&self) -> String {
        match &self.event {
            None => self.fate.as_str().to_owned(),
            Some(event) if event.forgotten_at.is_some() => {
                format!("forgotten, life {}", event.life)
            }
            Some(event) => format!("{}, life {}", event.state.as_str(), event.life),
        }
    }
}

/// Which letters.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LetterFilter {
    /// Only of sources that match, for example stripe_*
    #[arg(long, value_name = "GLOB")]
    pub source: Option<String>,
    /// Only of event types that match, for example invoice.*
    #[arg(long = "type", value_name = "GLOB")]
    pub event_type: Option<String>,
    /// Only with an error that matches, for example '*no answer within*'
    #[arg(long, value_name = "GLOB")]
    pub error: Option<String>,
}

impl LetterFilter {
    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.source.is_none() && self.event_type.is_none() && self.error.is_none()
    }

    /// Whether it lets this letter through.
    #[must_use]
    pub fn matches(&self, letter: &Letter) -> bool {
        let fits = |pattern: &Option<String>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| glob(pattern, text))
        };
        fits(&self.source, letter.source())
            && fits(&self.event_type, letter.event_type())
            && fits(&self.error, letter.error())
    }
}

/// Joins letters with their events.
///
/// # Errors
///
/// The ledger does not answer.
pub async fn join(
    ledger: &DynamoDbLedger,
    received: Vec<ReceivedLetter>,
) -> Result<Vec<Letter>, Fault> {
    let read: Vec<(ReceivedLetter, Option<Pointer>)> = received
        .into_iter()
        .map(|letter| {
            let pointer = Pointer::parse(&letter.body).ok();
            (letter, pointer)
        })
        .collect();
    let mut keys: Vec<EventKey> =
        read.iter().filter_map(|(_, pointer)| Some(pointer.as_ref()?.key.clone())).collect();
    keys.sort_unstable();
    keys.dedup();
    let events: HashMap<EventKey, Summary> = stream::iter(keys.chunks(KEYS_AT_ONCE))
        .map(|keys| ledger.summaries(keys))
        .buffer_unordered(CALLS_AT_ONCE)
        .try_fold(HashMap::new(), |mut events, found| async move {
            events.extend(found.into_iter().map(|event| (event.key.clone(), event)));
            Ok(events)
        })
        .await?;
    Ok(read
        .into_iter()
        .map(|(letter, pointer)| {
            let event = pointer.as_ref().and_then(|pointer| events.get(&pointer.key)).cloned();
            Letter::new(letter, pointer, event)
        })
        .collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use inbox_core::Timestamp;

    use super::*;

    fn event(state: State, life: u32) -> Summary {
        let at = Timestamp::from_unix_ms(0).unwrap();
        Summary {
            key: EventKey { source: "stripe".into(), id: "evt_1".into() },
            provider: "stripe".into(),
            event_type: "invoice.paid".into(),
            delivery_id: None,
            subject: None,
            occurred_at: None,
            received_at: at,
            state,
            life,
            attempts: 1,
            next_at: None,
            leased_until: None,
            last_error: Some("billing: no".into()),
            done_at: None,
            handlers: BTreeMap::new(),
            failures: BTreeMap::new(),
            only: None,
            due_at: None,
            forgotten_at: None,
            expires_at: at,
        }
    }

    pub(crate) fn letter(life: u32, event: Option<Summary>, error: Option<&str>) -> Letter {
        let received = ReceivedLetter {
            message_id: "m".into(),
            receipt_handle: "r".into(),
            body: String::new(),
            attributes: error.map(|error| ("error".into(), error.into())).into_iter().collect(),
            sent_at: None,
            receives: None,
            moved_from: None,
        };
        let key = EventKey { source: "stripe".into(), id: "evt_1".into() };
        Letter::new(received, Some(Pointer { key, life }), event)
    }

    #[test]
    fn what_a_redrive_does_depends_on_the_life_that_is_named_and_where_the_event_stands() {
        use Fate::{Alive, Early, Over, Redrivable};
        for (state, named, fate) in [
            (State::Dead, 4, Redrivable),
            (State::Dead, 3, Over),
            (State::Dead, 5, Over),
            (State::Failing, 4, Early),
            (State::Received, 4, Early),
            (State::Failing, 3, Alive),
            (State::Received, 3, Alive),
            (State::Failing, 2, Over),
            (State::Done, 4, Over),
            (State::Done, 3, Over),
        ] {
            assert_eq!(letter(named, Some(event(state, 3)), None).fate, fate, "{state:?} {named}");
        }
        let forgotten =
            Summary { forgotten_at: Timestamp::from_unix_ms(1), ..event(State::Dead, 3) };
        assert_eq!(letter(4, Some(forgotten), None).fate, Over);
        assert_eq!(letter(2, None, None).fate, Fate::Unknown);
        assert_eq!(Fate::of(None, None), Fate::Unreadable);
    }

    #[test]
    fn a_filter_compares_the_noted_error_or_else_the_ledgers() {
        let with = |pattern: &str| LetterFilter {
            error: Some(pattern.to_owned()),
            ..LetterFilter::default()
        };
        let noted = letter(2, Some(event(State::Dead, 1)), Some("mail: full"));
        assert!(with("mail:*").matches(&noted));
        assert!(!with("billing:*").matches(&noted));
        let native = letter(1, Some(event(State::Failing, 1)), None);
        assert!(with("billing:*").matches(&native));
        assert!(!with("").matches(&native));
        assert!(LetterFilter::default().matches(&letter(1, None, None)));
    }
}
