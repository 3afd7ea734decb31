//! What is said of a plan, before and after.

use std::collections::{BTreeMap, BTreeSet};

use inbox_aws::Summary;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use serde_json::json;

use super::super::events::state_cell;
use super::carry_out::{Done, Replay};
use crate::console::Tone;
use crate::moments::relative;
use crate::plan::Planned;
use crate::table::{Column, Table};

impl Replay<'_> {
    pub(super) fn tell(&self, events: &[Summary], open: &[Planned], goes_on: bool, now: Timestamp) {
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
        console.line(self.what_runs(events));
        console.line(format!("By {}: {}", self.context.actor, self.plan.reason));
    }

    /// Which handlers run, and which do not.
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
        format!("Runs the handlers that have not completed{again}{kept}.")
    }

    pub(super) fn tell_end(&self, done: &Done, goes_on: bool) {
        let console = &self.context.console;
        if console.json {
            let refused: Vec<_> = done
                .refused
                .iter()
                .map(|(key, why)| json!({"source": key.source, "id": key.id, "reason": why}))
                .collect();
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
            state_cell(state),
            count.to_string().into(),
            relative(oldest, now).into(),
        ]);
    }
    table
}
