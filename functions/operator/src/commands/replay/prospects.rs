//! What a replay will run, told by the code that runs it: the ledger's rule opens each
//! event's life on paper, and the processor's own matching and fates say what follows.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use inbox_aws::Summary;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Record, Reopen, Reopened, Reopening, Rerun, State, apply_reopen};
use inbox_core::stack::stack;
use inbox_processor::outlook::{Outlook, Prospect, outlook, runs_anything};
use inbox_processor::routes::Routes;

use super::super::routes::deployed;
use crate::context::Context;
use crate::fault::Fault;

/// Why an event is not replayed with which nothing would happen.
pub(super) const NOTHING: &str = "would run nothing";
/// Why one is not replayed by name that is still to run all of its routes.
pub(super) const TO_RUN_ALL: &str =
    "has not come to any outcome yet: all of its routes are still to run";

/// The routes that the processor will run with, where they are known.
pub(super) async fn routes(
    context: &Context,
    file: Option<&Path>,
) -> Result<Result<Routes, Fault>, Fault> {
    let read = match file {
        Some(file) => Ok(deployed::parse(&deployed::read(file)?, &context.deployment)),
        None => deployed::fetch(context).await,
    };
    match (read, file) {
        (Ok(Ok(routes)), _) => Ok(Ok(routes)),
        (Ok(Err(problems)), Some(_)) => Err(deployed::unusable(&problems)),
        (Ok(Err(problems)), None) => Ok(Err(deployed::unusable(&problems))),
        (Err(fault), _) => Ok(Err(fault)),
    }
}

/// What becomes of one event that is replayed.
pub(super) enum Fortune {
    /// It is opened, and this follows; nothing is known where somebody runs it now.
    Replayed(Option<Outlook>),
    /// It is left as it is, for this reason.
    Skipped(&'static str),
}

/// The routes that are asked for of one event, of those that are named for all.
pub(super) struct Asked(Vec<String>);

impl Asked {
    /// Those that take the event; where the routes are not known, those that it has been
    /// to. Any other would be given up as gone, and the event buried with it.
    pub(super) fn of(record: &Record, rerun: Rerun<'_>, routes: Option<&Routes>) -> Self {
        let Rerun::Routes(named) = rerun else { return Self(Vec::new()) };
        let is_of_it = |name: &&String| match routes {
            Some(routes) => routes.matching(&record.event).any(|route| route.id == **name),
            None => record.handlers.contains_key(*name) || record.failures.contains_key(*name),
        };
        Self(named.iter().filter(is_of_it).cloned().collect())
    }

    /// What is asked for; nothing where none of what is named has to do with the event.
    pub(super) fn rerun<'a>(&'a self, all: Rerun<'a>) -> Option<Rerun<'a>> {
        match all {
            Rerun::Routes(_) if self.0.is_empty() => None,
            Rerun::Routes(_) => Some(Rerun::Routes(&self.0)),
            all => Some(all),
        }
    }
}

/// What becomes of an event as it was read.
pub(super) fn fortune(
    record: &Record,
    rerun: Rerun<'_>,
    routes: &Routes,
    now: Timestamp,
) -> Fortune {
    if matches!(rerun, Rerun::Routes(_)) && is_to_run_all(record) {
        return Fortune::Skipped(TO_RUN_ALL);
    }
    let asked = Asked::of(record, rerun, Some(routes));
    let Some(rerun) = asked.rerun(rerun) else { return Fortune::Skipped(NOTHING) };
    let mut opened = record.clone();
    let reopening = Reopening {
        record,
        cause: Reopen::Replay { seen: record.life, rerun },
        actor: "",
        reason: "",
        request_id: "plan",
        due_at: now,
        expires_at: record.expires_at,
    };
    if apply_reopen(Some(&mut opened), &reopening, now) != Reopened::Opened {
        // What it is refused for may be over when the plan is carried out.
        return Fortune::Replayed(None);
    }
    let told = outlook(record, &opened, routes, max_attempts(), now);
    if runs_anything(&told) { Fortune::Replayed(Some(told)) } else { Fortune::Skipped(NOTHING) }
}

/// Whether nothing says which of an event's routes are still to run.
pub(super) fn is_to_run_all(record: &Record) -> bool {
    record.state == State::Received && record.only.is_none()
}

/// A new life has all of its attempts, whatever the table of retries is.
fn max_attempts() -> u32 {
    u32::try_from(stack().defaults.retry_delays_seconds.len()).unwrap_or(u32::MAX - 1) + 1
}

/// What a plan will run.
#[derive(Default)]
pub(super) struct Prospects {
    /// Events by prospect and route.
    counts: BTreeMap<Prospect, BTreeMap<String, usize>>,
    /// Events that are left as they are.
    pub(super) skipped: Vec<(EventKey, &'static str)>,
    /// Those that are replayed.
    pub(super) replayed: Vec<EventKey>,
}

impl Prospects {
    /// Of these events.
    pub(super) fn of(
        events: &[Summary],
        rerun: Rerun<'_>,
        routes: &Routes,
        now: Timestamp,
    ) -> Self {
        let mut all = Self::default();
        for event in events {
            match fortune(&event.to_record(), rerun, routes, now) {
                Fortune::Skipped(reason) => all.skipped.push((event.key.clone(), reason)),
                Fortune::Replayed(told) => {
                    all.replayed.push(event.key.clone());
                    all.count(told.unwrap_or_default());
                }
            }
        }
        all
    }

    fn count(&mut self, told: Outlook) {
        for (route, prospect) in told {
            *self.counts.entry(prospect).or_default().entry(route).or_default() += 1;
        }
    }

    /// In words, a sentence each: what runs first.
    pub(super) fn sentences(&self) -> Vec<String> {
        let list = |prospects: &[(Prospect, &str)]| {
            let named = prospects.iter().flat_map(|(prospect, why)| {
                let routes = self.counts.get(prospect).into_iter().flatten();
                routes.map(move |(route, count)| match (count, *why) {
                    (1, "") => route.clone(),
                    (1, why) => format!("{route} ({why})"),
                    (count, "") => format!("{route} ({count})"),
                    (count, why) => format!("{route} ({count} {why})"),
                })
            });
            named.collect::<Vec<_>>().join(", ")
        };
        let alone = [
            (Prospect::Done, "done"),
            (Prospect::GivenUp, "given up"),
            (Prospect::Waits, "waiting"),
            (Prospect::NotAsked, "never met"),
        ];
        [
            ("Runs", list(&[(Prospect::Runs, "")])),
            ("Runs for the first time", list(&[(Prospect::RunsFirst, "")])),
            ("Leaves alone", list(&alone)),
            ("Gives up, since no route takes the event any more", list(&[(Prospect::Gone, "")])),
        ]
        .into_iter()
        .filter(|(_, routes)| !routes.is_empty())
        .map(|(what, routes)| format!("{what}: {routes}."))
        .collect()
    }

    /// As JSON: events by route, by what becomes of it.
    pub(super) fn json(&self) -> serde_json::Value {
        let name = |prospect: &Prospect| match prospect {
            Prospect::Runs => "runs",
            Prospect::RunsFirst => "runs_first",
            Prospect::Waits => "waits",
            Prospect::Done => "done",
            Prospect::GivenUp => "given_up",
            Prospect::Gone => "gone",
            Prospect::NotAsked => "not_asked",
        };
        let counts = self.counts.iter().map(|(it, routes)| (name(it).to_owned(), routes));
        serde_json::json!(counts.collect::<BTreeMap<_, _>>())
    }
}

/// How long an event that is replayed is kept at least.
pub(super) fn retention() -> Duration {
    Duration::from_hours(24) * stack().defaults.retention_days
}
