//! Which routes an event takes, and why.

use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Completion, Record};
use inbox_processor::routes::{Match, Route, Routes};
use serde_json::json;

use crate::console::Tone;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::lookup;
use crate::moments::relative;
use crate::shell::word;
use crate::table::{Cell, Column, Table};
use crate::view::again_at;

/// What the command takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `SOURCE:TYPE`, or the source of an event in the ledger
    #[arg(value_name = "EVENT")]
    event: String,
    /// The event's id, where it is one in the ledger
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    id: Option<String>,
    /// The source's provider, where the stack file does not say
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

/// What routes look at, and what has become of it already.
struct Subject {
    source: String,
    provider: String,
    event_type: String,
    record: Option<Box<Record>>,
}

impl Args {
    /// Whether the event is looked for in the ledger.
    pub(super) fn is_in_ledger(&self) -> bool {
        self.id.is_some()
    }

    async fn subject(&self, context: &Context) -> Result<Subject, Fault> {
        if let Some(id) = &self.id {
            let key = EventKey { source: self.event.clone(), id: id.clone() };
            let ledger = context.ledger().await?;
            let found = lookup::record(context, &ledger, key.clone(), Timestamp::now()).await?;
            let record = found.ok_or_else(|| {
                let look =
                    format!("`inbox events --source {}` lists what there is", word(&self.event));
                Fault::refused(format!("no event {id} of source {}", self.event), look)
            })?;
            return Ok(Subject {
                source: key.source,
                provider: record.event.provider.clone(),
                event_type: record.event.event_type.clone(),
                record: Some(Box::new(record)),
            });
        }
        let (source, event_type) = self.event.split_once(':').ok_or_else(|| {
            Fault::usage(
                format!("{:?} is neither SOURCE:TYPE nor a source with an id", self.event),
                "write `inbox routes test stripe:invoice.paid`, or `inbox routes test stripe evt_1`",
            )
        })?;
        let known = context.deployment.sources.get(source).map(|source| source.provider.clone());
        Ok(Subject {
            source: source.to_owned(),
            // Most sources are called as their provider is.
            provider: self.provider.clone().or(known).unwrap_or_else(|| source.to_owned()),
            event_type: event_type.to_owned(),
            record: None,
        })
    }
}

pub(super) async fn run(context: &Context, routes: &Routes, args: &Args) -> Result<Outcome, Fault> {
    let subject = args.subject(context).await?;
    let Subject { source, provider, event_type, .. } = &subject;
    let looks: Vec<(&Route, Match)> =
        routes.iter().map(|route| (route, route.look_at(source, provider, event_type))).collect();
    let console = &context.console;
    if console.json {
        let routes = looks.iter().map(|(route, is)| {
            json!({
                "id": route.id,
                "handler": route.handler_name,
                "takes": is.takes(),
                "why": why(route, *is, &subject),
                "fate": fate(route, &subject).1,
            })
        });
        console.value(&json!({
            "source": source,
            "provider": provider,
            "type": event_type,
            "routes": routes.collect::<Vec<_>>(),
        }));
    } else {
        console.line(format!("{source} ({provider})  {event_type}"));
        let columns = [
            Column::new("route"),
            Column::new("handler"),
            Column::new("takes it"),
            Column::new("so far"),
            Column::new("why").cut(),
        ];
        let mut table = Table::new(columns);
        for (route, is) in &looks {
            let (tone, fate) = fate(route, &subject);
            let takes = if is.takes() {
                Cell::toned(Tone::Good, "yes")
            } else {
                Cell::toned(Tone::Dim, "no")
            };
            table.row([
                route.id.as_str().into(),
                route.handler_name.as_str().into(),
                takes,
                tone.map_or_else(|| Cell::from(fate.as_str()), |tone| Cell::toned(tone, &*fate)),
                why(route, *is, &subject).into(),
            ]);
        }
        console.table(&table);
    }
    if looks.iter().any(|(_, is)| is.takes()) {
        return Ok(Outcome::Done);
    }
    console.note("no route takes it: it is done as soon as it is received");
    Ok(Outcome::Negative)
}

/// The one thing that keeps a route from an event, or all that brings them together.
fn why(route: &Route, is: Match, subject: &Subject) -> String {
    let Subject { source, provider, event_type, .. } = subject;
    let (endpoint, pattern) = (&route.endpoint, &route.event_type);
    if !is.source && !is.provider {
        return if endpoint == provider || endpoint.strip_prefix("source/") == Some(provider) {
            format!("{endpoint} is a source of that name, and this is {source}")
        } else if source == provider {
            format!("source {source} does not match {endpoint}")
        } else {
            format!("neither source {source} nor provider {provider} matches {endpoint}")
        };
    }
    if !is.event_type {
        return format!("type {event_type} does not match {pattern}");
    }
    let (part, name) = if is.source { ("source", source) } else { ("provider", provider) };
    format!("{part} {name} matches {endpoint}, type {event_type} matches {pattern}")
}

/// What has become of the event on this route.
fn fate(route: &Route, subject: &Subject) -> (Option<Tone>, String) {
    let Some(record) = &subject.record else { return (None, String::new()) };
    if let Some(Completion { at, nothing }) = record.handlers.get(&route.id) {
        return match nothing {
            None => (Some(Tone::Good), format!("done {}", at.to_rfc3339())),
            Some(why) => (Some(Tone::Warning), format!("had nothing to do: {why}")),
        };
    }
    let Some(failure) = record.failures.get(&route.id) else { return (None, String::new()) };
    match again_at(record.state, failure) {
        None => (Some(Tone::Bad), format!("given up: {}", failure.error)),
        Some(next_at) => {
            let again = relative(next_at, Timestamp::now());
            (Some(Tone::Warning), format!("again {again}: {}", failure.error))
        }
    }
}
