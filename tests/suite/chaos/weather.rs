//! What befalls the functions' calls, and the functions.
//!
//! A fault is decided by the event, the step, how often that step was called for that
//! event, and the SDK's attempt; for calls about no event, by the process instead. A
//! death is decided by the process: which of its calls is its last.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inbox_local::calls::{Call, Fault};
use inbox_local::microburst::Injected;
use inbox_local::runtime_api::Killer;

use super::dice::Dice;
use super::journal::{Journal, function};
use super::steps::Step;

/// Of a thousand attempts of a call, so many meet a fault.
const FAULTS_PER_MILLE: u64 = 60;
/// Of a thousand calls, so many meet a fault at every attempt.
const LASTING_PER_MILLE: u64 = 15;
/// By weight. Delays are dear: a whole time-out each.
const KINDS: [(u64, Injected); 6] = [
    (25, Injected::Throttled),
    (20, Injected::InternalError),
    (20, Injected::Reset),
    (20, Injected::ReplyLost),
    (10, Injected::Truncated),
    (5, Injected::Delayed),
];
/// A call that is never answered: its process dies first.
const FOR_EVER: Duration = Duration::from_mins(2);

/// A lease that somebody took: the event's key and the token.
pub(super) type Taken = (String, String);

/// Shared by a run's proxy and its workers.
#[derive(Debug)]
pub(super) struct Weather {
    dice: Dice,
    journal: Arc<Journal>,
    is_fair: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// SDK calls of each step about each subject, in the order of arrival.
    invocations: HashMap<(String, Step), Vec<String>>,
    processes: HashMap<String, Process>,
    /// The event of each message that was delivered.
    receipts: HashMap<String, u32>,
    faults: BTreeMap<(Injected, String, Step), u64>,
    kills: BTreeMap<String, u64>,
}

/// A process under way.
#[derive(Debug)]
struct Process {
    generation: u32,
    killer: Killer,
    calls_left: u64,
    leases: Vec<Taken>,
}

impl Weather {
    pub(super) fn new(dice: Dice, journal: Arc<Journal>) -> Self {
        Self { dice, journal, is_fair: AtomicBool::new(false), state: Mutex::default() }
    }

    /// From now on nothing befalls anybody.
    pub(super) fn clear_up(&self) {
        self.is_fair.store(true, Ordering::SeqCst);
    }

    /// A process has started; it has so many calls to live.
    pub(super) fn born(&self, label: &str, generation: u32, killer: Killer) {
        let (least, more) = match label.split('-').next() {
            Some("receiver") => (20, 120),
            Some("processor") => (20, 100),
            _ => (20, 150),
        };
        let calls_left = least + self.dice.roll(more, &[&"death", &label, &generation]);
        let process = Process { generation, killer, calls_left, leases: Vec::new() };
        self.state().processes.insert(label.to_owned(), process);
    }

    /// The leases that a process took since it was asked last. Its invocation is over,
    /// so nobody runs those events.
    pub(super) fn leases_of(&self, label: &str) -> Vec<Taken> {
        let mut state = self.state();
        state.processes.get_mut(label).map(|it| std::mem::take(&mut it.leases)).unwrap_or_default()
    }

    /// A message about an event is about to be delivered.
    pub(super) fn delivered(&self, receipt: &str, number: u32) {
        self.state().receipts.insert(receipt.to_owned(), number);
    }

    /// Faults by kind, function and step.
    pub(super) fn faults(&self) -> BTreeMap<(Injected, String, Step), u64> {
        self.state().faults.clone()
    }

    /// Kills by function.
    pub(super) fn kills(&self) -> BTreeMap<String, u64> {
        self.state().kills.clone()
    }

    /// What befalls a call.
    pub(super) fn strike(&self, call: &Call) -> Fault {
        let (step, number) = self.journal.asked(call);
        let Some(step) = step else { return Fault::None };
        let mut state = self.state();
        if step == Step::Begin
            && let Some(process) = state.processes.get_mut(&call.function)
        {
            let body = call.json();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let token = text(&body["ExpressionAttributeValues"][":token"]["S"]);
            process.leases.push((text(&body["Key"]["pk"]["S"]), token));
        }
        if self.is_fair.load(Ordering::SeqCst) {
            return Fault::None;
        }
        if let Some(fault) = self.kill(&mut state, call) {
            return fault;
        }
        let number = number.or_else(|| {
            let receipt = call.json()["ReceiptHandle"].as_str().map(str::to_owned)?;
            state.receipts.get(&receipt).copied()
        });
        let generation = state.processes.get(&call.function).map_or(0, |it| it.generation);
        let about = match number {
            Some(number) => format!("event {number}"),
            None => format!("{} {generation}", call.function),
        };
        let seen = state.invocations.entry((about.clone(), step)).or_default();
        let nth = seen.iter().position(|id| *id == call.invocation).unwrap_or_else(|| {
            seen.push(call.invocation.clone());
            seen.len() - 1
        });
        let Some(kind) = self.kind(&about, step, nth, call.attempt) else { return Fault::None };
        if let (Step::Complete, Some(number)) = (step, number) {
            self.journal.excuse(number, call.invocation.clone());
        }
        let key = (kind, function(call).to_owned(), step);
        *state.faults.entry(key).or_default() += 1;
        kind.strike(call)
    }

    fn kind(&self, about: &str, step: Step, nth: usize, attempt: u32) -> Option<Injected> {
        let step = format!("{step:?}");
        let lasting: [&(dyn Display + Sync); 4] = [&"lasting", &about, &step, &nth];
        if self.dice.happens(LASTING_PER_MILLE, &lasting) {
            return Some(self.dice.pick(&KINDS, &[&"kind", &about, &step, &nth]));
        }
        let once: [&(dyn Display + Sync); 5] = [&"fault", &about, &step, &nth, &attempt];
        self.dice
            .happens(FAULTS_PER_MILLE, &once)
            .then(|| self.dice.pick(&KINDS, &[&"kind", &about, &step, &nth, &attempt]))
    }

    /// Half of the deaths come before the call is made, the others a moment after.
    fn kill(&self, state: &mut State, call: &Call) -> Option<Fault> {
        let process = state.processes.get_mut(&call.function)?;
        process.calls_left = process.calls_left.checked_sub(1)?;
        if process.calls_left > 0 {
            return None;
        }
        let (killer, generation) = (process.killer.clone(), process.generation);
        *state.kills.entry(function(call).to_owned()).or_default() += 1;
        let moment = self.dice.roll(8, &[&"moment", &call.function, &generation]);
        if moment < 4 {
            killer.kill();
            return Some(Fault::Delay(FOR_EVER));
        }
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis((moment - 4) * 5)).await;
            killer.kill();
        });
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
