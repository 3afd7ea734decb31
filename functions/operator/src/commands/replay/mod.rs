//! `inbox replay`: events run again, on purpose.
//!
//! ```text
//! select ─▶ plan ─▶ show, ask ─▶ for each: read ─▶ reopen ─▶ send
//!                                                 ①       ②
//! ```
//!
//! Dying at ① has done nothing to the event. At ② its new life is open and due at
//! once: the sweeper sends the message that this process could not. The plan
//! (`plan.rs`) sees to it that the same command, run again, replays no event a
//! second time.

mod carry_out;
mod prospects;
mod report;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use inbox_aws::{DynamoDbLedger, Summary};
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Rerun, UNKNOWN_ROUTE};
use inbox_processor::routes::Routes;

use self::carry_out::Replay;
use super::show;
use crate::context::Context;
use crate::deployment::Deployment;
use crate::fault::{Fault, Outcome};
use crate::lookup;
use crate::plan::{self, Plan, PlanFile, Planned};
use crate::selection::FilterArgs;
use crate::shell::word;

const EXAMPLES: &str = "\
Examples:
  inbox replay stripe evt_1QabcDEF --reason 'handler fixed'
  inbox replay evt_1QabcDEF      whichever source it came to
  inbox replay --source stripe --state dead --since 6h --dry-run
  inbox replay --state dead --type 'invoice.*' --reason 'fixed in #412' --yes
  inbox replay --source stripe --since 2d --handler billing    though it completed
  inbox replay --state dead --routes routes.json --dry-run     as these routes would run it
  inbox events --source stripe --state dead --limit 500 --json | jq -r '.events[].id' |
    inbox replay stripe --ids-from - --yes

Without --handler and --all-handlers those handlers run that have not completed, and
those that an event has never met; with --handler those that are named and no others. The
plan says which, by the routes of the deployed processor.
An interrupted replay goes on when the same command is given again.";

/// What the command takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Args {
    /// A source and the ids of some of its events, or one id alone; or use filters
    #[arg(value_name = "SOURCE ID")]
    targets: Vec<String>,
    /// Take ids from this file, one a line, whatever stands in them; - is standard input
    #[arg(long, value_name = "FILE")]
    ids_from: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Run this handler (its route's id) though it has completed; may be given several times
    #[arg(long = "handler", value_name = "NAME", conflicts_with = "all_handlers")]
    handlers: Vec<String>,
    /// Run all handlers, completed or not
    #[arg(long)]
    all_handlers: bool,
    /// Say what will run by the routes of a file (`-`: standard input), where the deployed
    /// ones cannot be read
    #[arg(long, value_name = "FILE",
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    routes: Option<PathBuf>,
    /// Why, for the event's history
    #[arg(long, default_value = "no reason given", value_name = "TEXT")]
    reason: String,
    /// Show the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on without being asked
    #[arg(long, short)]
    yes: bool,
    /// Most events a second
    #[arg(long, default_value_t = 50, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Make a new plan though an interrupted one is there
    #[arg(long)]
    fresh: bool,
}

pub(super) async fn run(context: &Context, mut args: Args) -> Result<Outcome, Fault> {
    let console = &context.console;
    let now = context.now();
    args.read_ids()?;
    args.check(&context.deployment)?;
    // Names and AWS first: a plan for nothing helps nobody.
    let (ledger, queue) = (context.ledger().await?, context.queue().await?);
    let file = plan::directory(|name| std::env::var(name).ok())
        .map(|directory| PlanFile::of(&directory, &args.selects(context)));
    let left = match &file {
        Some(file) if !args.fresh => file.left(now)?,
        _ => None,
    };
    let goes_on = left.is_some();
    let (routes, unread) = match prospects::routes(context, args.routes.as_deref()).await? {
        Ok(routes) => (Some(routes), None),
        Err(fault) => (None, Some(fault)),
    };
    let (plan, events) = match left {
        Some(plan) => {
            let keys: Vec<EventKey> = plan.events.iter().map(Planned::key).collect();
            (plan, ledger.summaries(&keys).await?)
        }
        None => args.make_plan(context, &ledger, routes.as_ref(), now).await?,
    };
    let mut replay = Replay { context, args: &args, ledger, queue, plan, routes };
    let mut open = replay.open(&events);
    let prospects = replay.prospects(&events, &open, now);
    if let Some(prospects) = &prospects {
        let is_skipped = |key: &EventKey| prospects.skipped.iter().any(|it| it.0 == *key);
        open.retain(|planned| !is_skipped(&planned.key()));
        replay.plan.events.retain(|planned| !is_skipped(&planned.key()));
    }
    if let Some(fault) = unread.filter(|_| !open.is_empty()) {
        console.note(format!(
            "the deployed routes cannot be read, and so what will run is not known: {fault}"
        ));
    }
    replay.tell(&events, &open, prospects.as_ref(), goes_on, now);
    if open.is_empty() {
        if let Some(file) = file.filter(|_| goes_on) {
            file.remove();
        }
        let is_left_out = prospects.is_some_and(|it| !it.skipped.is_empty());
        let is_nothing = events.is_empty() || is_left_out;
        return Ok(if is_nothing { Outcome::Negative } else { Outcome::Done });
    }
    if args.dry_run {
        return Ok(Outcome::Done);
    }
    if !args.yes {
        let count = open.len();
        console.confirm(&format!("Replay {count} events?"), "yes")?;
    }
    match &file {
        Some(file) => file.keep(&replay.plan)?,
        None => console.note("no home directory: an interrupted replay cannot be gone on with"),
    }
    let done = replay.carry_out(&open).await?;
    if let Some(file) = &file {
        file.remove();
    }
    replay.tell_end(&done, goes_on);
    Ok(if done.refused.is_empty() { Outcome::Done } else { Outcome::Negative })
}

impl Args {
    /// Puts the ids of the file behind those that were given.
    fn read_ids(&mut self) -> Result<(), Fault> {
        let Some(file) = &self.ids_from else { return Ok(()) };
        if self.targets.is_empty() {
            return Err(Fault::usage(
                "of which source the ids are is not said",
                "inbox replay SOURCE --ids-from FILE",
            ));
        }
        let read = if file.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(file)
        };
        let text = read.map_err(|fault| Fault::io(format!("read {}", file.display()), &fault))?;
        let before = self.targets.len();
        let ids = text.lines().filter(|line| !line.is_empty());
        self.targets.extend(ids.map(str::to_owned));
        if self.targets.len() == before {
            return Err(Fault::usage(
                "no id was given, and nothing was done",
                "one stands on each line",
            ));
        }
        Ok(())
    }

    fn check(&self, deployment: &Deployment) -> Result<(), Fault> {
        let example = "see `inbox replay --help`, which has examples";
        match (self.targets.as_slice(), self.filter.is_empty()) {
            ([], true) => {
                Err(Fault::usage("say which events: a source and ids, or a filter", example))
            }
            // An id alone is looked for in every source that is known.
            ([source], true)
                if deployment.sources.is_empty() || deployment.sources.contains_key(source) =>
            {
                Err(Fault::usage(format!("say which events of source {source:?}"), example))
            }
            ([_, ..], false) => Err(Fault::usage("give either ids or filters, not both", example)),
            _ => Ok(()),
        }
    }

    /// All that says which events, and of which deployment.
    fn selects(&self, context: &Context) -> Vec<String> {
        let filter = &self.filter;
        let deployment = &context.deployment;
        let option = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![
            // Tables of the same name are there in every account and region; a
            // queue's address names both.
            option(&deployment.table),
            option(&deployment.queue_url),
            option(&deployment.endpoint_url),
            format!("{:?}", self.targets),
            format!("{:?}", filter.sources),
            format!("{:?}", filter.states),
            format!("{:?}", self.handlers),
            self.all_handlers.to_string(),
            option(&filter.provider),
            option(&filter.event_type),
            option(&filter.delivery),
            option(&filter.since),
            option(&filter.until),
        ]
    }

    async fn make_plan(
        &self,
        context: &Context,
        ledger: &DynamoDbLedger,
        routes: Option<&Routes>,
        now: Timestamp,
    ) -> Result<(Plan, Vec<Summary>), Fault> {
        let events = match self.targets.as_slice() {
            [source, ids @ ..] if !ids.is_empty() => {
                named(context, ledger, source, ids, now).await?
            }
            [id, ..] => anywhere(context, ledger, id, now).await?,
            [] => {
                let selection = self.filter.read(&context.deployment, now)?;
                let progress = context.console.progress("looking for events", None);
                let found = selection.find(ledger, &context.deployment, usize::MAX, now, &progress);
                found.await?.events
            }
        };
        self.check_handlers(&events, routes)?;
        let planned = |event: &Summary| Planned {
            source: event.key.source.clone(),
            id: event.key.id.clone(),
            life: event.life,
        };
        let plan = Plan {
            id: format!("replay-{}", uuid::Uuid::new_v4()),
            made_at_ms: now.unix_ms(),
            reason: self.reason.clone(),
            events: events.iter().map(planned).collect(),
        };
        Ok((plan, events))
    }

    /// A handler that is not configured, or that none of the events knows where routes
    /// cannot be read, is one that was misspelt.
    fn check_handlers(&self, events: &[Summary], routes: Option<&Routes>) -> Result<(), Fault> {
        if let Some(routes) = routes {
            let known: Vec<&str> = routes.iter().map(|route| route.id.as_str()).collect();
            let unknown = self.handlers.iter().find(|name| !known.contains(&name.as_str()));
            return unknown.map_or(Ok(()), |name| {
                Err(Fault::usage(
                    format!("no route {name:?} is configured"),
                    format!("there are: {}", known.join(", ")),
                ))
            });
        }
        let known: BTreeSet<&String> = events
            .iter()
            .flat_map(|event| event.handlers.keys().chain(event.failures.keys()))
            .filter(|route| *route != UNKNOWN_ROUTE)
            .collect();
        match self.handlers.iter().find(|name| !known.contains(name)) {
            Some(name) if !events.is_empty() => {
                let names: Vec<&str> = known.into_iter().map(String::as_str).collect();
                Err(Fault::usage(
                    format!("none of these events has been to a handler {name:?}"),
                    format!("they have been to: {}", names.join(", ")),
                ))
            }
            _ => Ok(()),
        }
    }

    fn rerun(&self) -> Rerun<'_> {
        match (self.all_handlers, self.handlers.as_slice()) {
            (true, _) => Rerun::All,
            (false, []) => Rerun::Unfinished,
            (false, routes) => Rerun::Routes(routes),
        }
    }
}

/// Events by id or delivery; every one must be there.
async fn named(
    context: &Context,
    ledger: &DynamoDbLedger,
    source: &str,
    ids: &[String],
    now: Timestamp,
) -> Result<Vec<Summary>, Fault> {
    let mut keys: Vec<EventKey> =
        ids.iter().map(|id| EventKey { source: source.to_owned(), id: id.clone() }).collect();
    keys.sort();
    keys.dedup();
    let mut events = ledger.summaries(&keys).await?;
    for missing in &keys {
        if events.iter().any(|event| event.key == *missing) {
            continue;
        }
        let sources = std::slice::from_ref(&missing.source);
        let found = lookup::of_delivery(context, ledger, sources, &missing.id, now).await?;
        let [one] = found.as_slice() else {
            return Err(match found.as_slice() {
                [] => show::missing(&context.deployment, missing),
                several => lookup::ambiguous(&missing.id, several),
            });
        };
        // It may have been named by its own id besides.
        if !events.iter().any(|event| event.key == *one) {
            events.extend(ledger.summaries(&found).await?);
        }
    }
    Ok(events)
}

/// The event of this id, whichever source it came to.
async fn anywhere(
    context: &Context,
    ledger: &DynamoDbLedger,
    id: &str,
    now: Timestamp,
) -> Result<Vec<Summary>, Fault> {
    let deployment = &context.deployment;
    let sources = deployment.sources.keys();
    let keys: Vec<EventKey> =
        sources.map(|source| EventKey { source: source.clone(), id: id.to_owned() }).collect();
    let mut events = ledger.summaries(&keys).await?;
    if events.is_empty() {
        let sources: Vec<String> = deployment.sources.keys().cloned().collect();
        let found = lookup::of_delivery(context, ledger, &sources, id, now).await?;
        if found.len() > 1 {
            return Err(lookup::ambiguous(id, &found));
        }
        events = ledger.summaries(&found).await?;
    }
    let found: Vec<&str> = events.iter().map(|event| event.key.source.as_str()).collect();
    match found.as_slice() {
        [_] => Ok(events),
        [] => {
            let known: Vec<&str> = deployment.sources.keys().map(String::as_str).collect();
            Err(Fault::refused(
                format!("no source has an event {id:?}"),
                format!(
                    "looked in {}; `inbox events --since 7d` shows what came",
                    known.join(", ")
                ),
            ))
        }
        several => Err(Fault::usage(
            format!("{} have an event {id:?}", several.join(", ")),
            format!("say which: inbox replay {} {}", word(several[0]), word(id)),
        )),
    }
}
