//! What was seen of each event, before the faults and behind them.
//!
//! ```text
//! function ─▶ front ─▶ microburst ─▶ back ─▶ emulator
//!               │ it was asked         │ it landed
//!               └──────▶ journal ◀─────┘
//! ```
//!
//! The promise is held to both sides: once the completion of a handler has *landed*,
//! whether or not anybody was told, no handler of that event may *begin* its effect
//! again. A call that the SDK repeats keeps its invocation, so it begins once. And each
//! run after the first needs an excuse: a failure that was written down, a completion
//! that could not be, a death.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use inbox_local::calls::Call;

use super::steps::Step;
use super::subject::number_in;

/// Shared by the proxies of a run.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    /// Numbers by the ledger's keys: a Twilio event's is a hash.
    numbers: HashMap<String, u32>,
    events: BTreeMap<u32, Facts>,
    calls: BTreeMap<(String, Step), u64>,
    wrong: Vec<String>,
}

/// One event's.
#[derive(Debug, Default, Clone)]
pub(super) struct Facts {
    /// Runs of the mirror that came to its effect, by the SDK's id of the call.
    pub(super) effects: BTreeSet<String>,
    /// Effects that the emulator wrote.
    pub(super) written: u32,
    /// Whether the completion of the mirror landed.
    pub(super) completed: bool,
    /// What a further run of the mirror may be excused with: its failure was written
    /// down, its completion could not be, or its process died.
    pub(super) excuses: BTreeSet<String>,
}

impl Journal {
    /// A call arrives before the faults; the number of the event that it is about.
    pub(super) fn asked(&self, call: &Call) -> (Option<Step>, Option<u32>) {
        let mut pages = self.pages();
        let Some(step) = Step::of(call) else {
            pages.wrong.push(format!("{} makes {call:?}, of which no row knows", call.function));
            return (None, None);
        };
        let text = String::from_utf8_lossy(&call.body);
        let body = call.json();
        let key = body["Key"]["pk"]["S"].as_str().or_else(|| body["Item"]["pk"]["S"].as_str());
        let known = key.and_then(|key| pages.numbers.get(key).copied());
        let number = number_in(&text).or(known);
        if let (Step::Claim, Some(key), Some(number)) = (step, key, number) {
            pages.numbers.insert(key.to_owned(), number);
        }
        if let (Step::Mirror, Some(number)) = (step, number) {
            let facts = pages.events.entry(number).or_default();
            let is_new = facts.effects.insert(call.invocation.clone());
            if is_new && facts.completed {
                pages.wrong.push(format!("event {number}: a completed handler ran again"));
            }
        }
        if let (Step::Fail | Step::Bury, Some(number)) = (step, number) {
            let values = &body["ExpressionAttributeValues"];
            let failures = values[":failures"]["M"].as_object().into_iter().flatten();
            // A failure is written again while its route waits for its sibling's sake.
            for (_, failure) in failures.filter(|(route, _)| route.starts_with("mirror")) {
                let why = format!("{} failed at {}", values[":life"], failure["M"]["attempts"]);
                pages.events.entry(number).or_default().excuses.insert(why);
            }
        }
        *pages.calls.entry((function(call).to_owned(), step)).or_default() += 1;
        (Some(step), number)
    }

    /// The emulator has answered a call.
    pub(super) fn landed(&self, call: &Call) {
        if call.upstream_status != Some(200) || call.function.is_empty() {
            return;
        }
        let mut pages = self.pages();
        let (step, body) = (Step::of(call), call.json());
        let key = body["Key"]["pk"]["S"].as_str().unwrap_or_default();
        let known = pages.numbers.get(key).copied();
        let Some(number) = number_in(&String::from_utf8_lossy(&call.body)).or(known) else {
            return;
        };
        let facts = pages.events.entry(number).or_default();
        let route = body["ExpressionAttributeNames"]["#route"].as_str().unwrap_or_default();
        match step {
            Some(Step::Mirror) => facts.written += 1,
            Some(Step::Complete) if route.starts_with("mirror") => facts.completed = true,
            _ => {}
        }
    }

    /// A further run of an event's mirror is excused; the same excuse counts once.
    pub(super) fn excuse(&self, number: u32, why: String) {
        self.pages().events.entry(number).or_default().excuses.insert(why);
    }

    pub(super) fn facts(&self, number: u32) -> Facts {
        self.pages().events.get(&number).cloned().unwrap_or_default()
    }

    /// The event behind a key of the ledger.
    pub(super) fn number_of(&self, key: &str) -> Option<u32> {
        number_in(key).or_else(|| self.pages().numbers.get(key).copied())
    }

    /// How often each function made each step.
    pub(super) fn calls(&self) -> BTreeMap<(String, Step), u64> {
        self.pages().calls.clone()
    }

    /// What must not have happened.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.pages().wrong.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `processor` of `processor-2`: the copies of a function in a run are numbered.
pub(super) fn function(call: &Call) -> &str {
    call.function.split('-').next().unwrap_or_default()
}
