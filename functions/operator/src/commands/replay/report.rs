//! What is said of a plan, before and after.

use std::collections::{BTreeMap, BTreeSet};

use inbox_aws::Summary;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use serde_json::json;

use super::super::events::tone;
use super::carry_out::{Done, Replay};
use super::prospects::Prospects;
use crate::console::Tone;
use crate::moments::relative;
use crate::plan::Planned;
use crate::table::{Cell, Column, Table};

/// Events that are left out and named; of more, the number is.
const SKIPPED_SHOWN: usize = 10;

impl Replay<'_> {
    pub(super) fn tell(
        &self,
        events: &[Summary],
        open: &[Planned],
        prospects: Option<&Prospects>,
        goes_on: bool,
        now: Timestamp,
    ) {
        let console = &self.context.console;
        let planned = self.plan.events.len();
        if console.json {
            if self.args.dry_run || open.is_empty() {
                let events: Vec<_> = open
                    .iter()
                    .map(
                        |event| json!({"source": event.source, "id": event.id, "life": event.life}),
                    )
                    .collect();
                console.value(&json!({
                    "plan": self.plan.id, "goes_on": goes_on, "dry_run": self.args.dry_run,
                    "planned": planned, "replayed": 0, "refused": [], "events": events,
                    "routes": prospects.map(Prospects::json),
                    "skipped": prospects.map(|it| told(&it.skipped)),
                }));
            }
            return;
        }
        if goes_on {
            let made_at = Timestamp::from_unix_ms(self.plan.made_at_ms).unwrap_or(now);
            console.note(format!(
                "going on with the replay that was begun {}: {} of its {planned} events are left \
                 (--fresh selects anew)",
                relative(made_at, now),
                open.len(),
            ));
        }
        if let Some(prospects) = prospects {
            self.tell_skipped(&prospects.skipped);
        }
        if open.is_empty() {
            console.note(if goes_on {
                "that replay is over; the same command selects anew now"
            } else {
                "no such event can be replayed"
            });
            return;
        }
        console.table(&summary_table(events, open, now));
        console.line("");
        match prospects {
            Some(prospects) => {
                prospects.sentences().into_iter().for_each(|line| console.line(line));
            }
            None => console.line(self.what_runs(events)),
        }
        console.line(format!("By {}: {}", self.context.actor, self.plan.reason));
    }

    /// Events that are neither asked for nor carried out.
    fn tell_skipped(&self, skipped: &[(EventKey, &'static str)]) {
        let console = &self.context.console;
        for (key, why) in skipped.iter().take(SKIPPED_SHOWN) {
            console.note(format!("left out: {} {} {why}", key.source, key.id));
        }
        let more = skipped.len().saturating_sub(SKIPPED_SHOWN);
        if more > 0 {
            console.note(format!("left out: {more} more (--json lists them)"));
        }
    }

    /// Which handlers run, and which do not, where routes are not known.
    fn what_runs(&self, events: &[Summary]) -> String {
        let mut done: BTreeMap<&str, usize> = BTreeMap::new();
        for name in events.iter().flat_map(|event| event.handlers.keys()) {
            *done.entry(name).or_default() += 1;
        }
        let counted = |(name, count): (&str, usize)| format!("{name} ({count})");
        let (again, kept): (Vec<_>, Vec<_>) = done.into_iter().partition(|(name, _)| {
            self.args.all_handlers || self.args.handlers.iter().any(|handler| handler == name)
        });
        let list = |names: Vec<(&str, usize)>| {
            names.into_iter().map(counted).collect::<Vec<_>>().join(", ")
        };
        let again = match list(again) {
            names if names.is_empty() => names,
            names => format!(", and again: {names}"),
        };
        let kept = match list(kept) {
            names if names.is_empty() => names,
            names => format!("; not again: {names}"),
        };
        if self.args.handlers.is_empty() {
            format!("Runs the handlers that have not completed{again}{kept}.")
        } else {
            format!("Runs {} and no others{kept}.", self.args.handlers.join(", "))
        }
    }

    pub(super) fn tell_end(&self, done: &Done, goes_on: bool) {
        let console = &self.context.console;
        if console.json {
            let refused = told(&done.refused);
            console.value(&json!({
                "plan": self.plan.id, "goes_on": goes_on, "dry_run": false,
                "planned": self.plan.events.len(), "replayed": done.replayed, "refused": refused,
            }));
            return;
        }
        for (key, why) in &done.refused {
            console.line(format!("  {} {}  {why}", key.source, key.id));
        }
        let count = done.replayed;
        let text = console.tint(Tone::Good, &format!("{count} events replayed"));
        console.line(format!("{text}; `inbox events --state failing,dead` shows what fails again"));
    }
}

fn told(events: &[(EventKey, &'static str)]) -> Vec<serde_json::Value> {
    let one = |(key, why): &(EventKey, &'static str)| json!({"source": key.source, "id": key.id, "reason": why});
    events.iter().map(one).collect()
}

/// How many of what.
fn summary_table(events: &[Summary], open: &[Planned], now: Timestamp) -> Table {
    let open: BTreeSet<EventKey> = open.iter().map(Planned::key).collect();
    let mut groups: BTreeMap<(&str, &str, &str), (usize, Timestamp, State)> = BTreeMap::new();
    for event in events.iter().filter(|event| open.contains(&event.key)) {
        let group = (event.key.source.as_str(), event.event_type.as_str(), event.state.as_str());
        let entry = groups.entry(group).or_insert((0, event.received_at, event.state));
        entry.0 += 1;
        entry.1 = entry.1.min(event.received_at);
    }
    let mut table = Table::new([
        Column::new("source"),
        Column::new("type").cut(),
        Column::new("state"),
        Column::new("events").right(),
        Column::new("oldest").right(),
    ]);
    for ((source, event_type, _), (count, oldest, state)) in groups {
        table.row([
            source.into(),
            event_type.into(),
            Cell::toned(tone(state), state.as_str()),
            count.to_string().into(),
            relative(oldest, now).into(),
        ]);
    }
    table
}
