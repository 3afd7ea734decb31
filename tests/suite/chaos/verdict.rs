//! What must be true in the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use inbox_local::microburst::Injected;

use super::journal::{Facts, Journal};
use super::run::{Counts, Storm};
use super::stage::MAX_ATTEMPTS;
use super::steps::Step;
use super::subject::{Outcome, Subject};

/// How an item of the ledger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) key: String,
    pub(super) state: String,
    pub(super) life: u32,
    pub(super) attempts: u32,
    pub(super) completed: BTreeSet<String>,
    pub(super) is_leased: bool,
    /// `pending#3`, `dead#7`; none when done.
    pub(super) shard: Option<String>,
}

impl Standing {
    pub(super) fn read(item: &HashMap<String, AttributeValue>) -> Self {
        let text = |name: &str| item.get(name).and_then(|it| it.as_s().ok()).cloned();
        let number = |name: &str| {
            let number = item.get(name).and_then(|it| it.as_n().ok());
            number.and_then(|it| it.parse().ok()).unwrap_or_default()
        };
        let handlers = item.get("handlers").and_then(|it| it.as_m().ok());
        Self {
            key: text("pk").unwrap_or_default(),
            state: text("state").unwrap_or_default(),
            life: number("life"),
            attempts: number("attempts"),
            completed: handlers.into_iter().flat_map(|all| all.keys().cloned()).collect(),
            is_leased: item.contains_key("leased_until"),
            shard: text("open_shard"),
        }
    }

    pub(super) fn is_unfinished(&self) -> bool {
        !matches!(self.state.as_str(), "done" | "dead")
    }
}

/// A storm in numbers.
pub(super) struct Report {
    pub(super) storm: Storm,
    /// Each event, and whether its provider was told 2xx.
    pub(super) accepted: BTreeMap<Subject, bool>,
    pub(super) standings: Vec<Standing>,
    pub(super) counts: Counts,
    pub(super) faults: BTreeMap<(Injected, String, Step), u64>,
    /// By microburst's own account.
    pub(super) fired: BTreeMap<String, u64>,
    pub(super) kills: BTreeMap<String, u64>,
    pub(super) calls: u64,
    pub(super) took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_state = |state| self.standings.iter().filter(|it| it.state == state).count();
        let accepted = self.accepted.values().filter(|accepted| **accepted).count();
        writeln!(
            f,
            "seed {}: {} events, {accepted} accepted; in the ledger {} done, {} dead; {} invocations, \
             {} AWS calls, {:.0} s",
            self.storm.seed,
            self.accepted.len(),
            in_state("done"),
            in_state("dead"),
            self.counts.invocations,
            self.calls,
            self.took.as_secs_f32()
        )?;
        let mut kinds: BTreeMap<Injected, u64> = BTreeMap::new();
        let mut calls: BTreeMap<String, u64> = BTreeMap::new();
        for ((kind, function, step), count) in &self.faults {
            *kinds.entry(*kind).or_default() += count;
            *calls.entry(format!("{function} {step:?}")).or_default() += count;
        }
        writeln!(f, "faults: {} {kinds:?}", kinds.values().sum::<u64>())?;
        writeln!(f, "faults by call: {calls:?}")?;
        writeln!(f, "by microburst's account: {:?}", self.fired)?;
        writeln!(f, "kill -9: {:?}", self.kills)?;
        write!(f, "{:?}", self.counts)
    }
}

/// What is not as it must be.
pub(super) fn judge(
    report: &Report,
    journal: &Journal,
    letters: &BTreeSet<(String, u32)>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let subjects: BTreeMap<u32, Subject> =
        report.accepted.keys().map(|subject| (subject.number, *subject)).collect();
    let mut standing_of = BTreeMap::new();
    for standing in &report.standings {
        match journal.number_of(&standing.key).and_then(|number| subjects.get(&number)) {
            Some(subject) if standing_of.insert(*subject, standing).is_none() => {
                let facts = journal.facts(subject.number);
                let faults = faults_of(*subject, standing, &facts, letters);
                wrong.extend(
                    faults.into_iter().map(|what| format!("{subject}: {what}: {standing:?}")),
                );
            }
            Some(subject) => wrong.push(format!("{subject} stands twice in the ledger")),
            None => wrong.push(format!("nobody sent {}", standing.key)),
        }
    }
    for (subject, _) in report.accepted.iter().filter(|(_, accepted)| **accepted) {
        if !standing_of.contains_key(subject) {
            wrong.push(format!("{subject} was accepted, and is not in the ledger"));
        }
    }
    wrong
}

fn faults_of(
    subject: Subject,
    standing: &Standing,
    facts: &Facts,
    letters: &BTreeSet<(String, u32)>,
) -> Vec<&'static str> {
    let is_mirrored = standing.completed.iter().any(|route| route.starts_with("mirror"));
    let is_drilled = standing.completed.iter().any(|route| route.starts_with("drill"));
    let (is_done, is_dead) = (standing.state == "done", standing.state == "dead");
    let in_pending = standing.shard.as_ref().is_some_and(|shard| shard.starts_with("pending"));
    let has_letter = letters.contains(&(standing.key.clone(), standing.life + 1));
    let is_given_up = standing.attempts >= MAX_ATTEMPTS || subject.outcome == Outcome::Permanent;
    [
        (!is_done && !is_dead, "it never ended"),
        (in_pending && (is_done || is_dead), "it has ended and is still looked at"),
        (standing.is_leased && (is_done || is_dead), "it has ended and is still run"),
        (is_done && subject.outcome.is_hopeless(), "it is done, which it cannot be"),
        (is_done && !is_mirrored, "it is done without its mirror"),
        (
            is_done && !is_drilled && subject.outcome != Outcome::Fine,
            "it is done without its drill",
        ),
        (is_dead && !has_letter, "it is dead without a letter"),
        (is_dead && !is_given_up, "it was given up too early"),
        (is_mirrored && facts.written == 0, "its handler completed without its effect"),
        (facts.written > 1, "its effect was written twice"),
        (facts.effects.len() > 1 + facts.excuses.len(), "its handler ran again without need"),
    ]
    .into_iter()
    .filter_map(|(is_wrong, what)| is_wrong.then_some(what))
    .collect()
}
