//! Which handlers an event takes: routes are data.
//!
//! ```json
//! [{"id": "billing", "match": "stripe:payment_intent.*", "handler": "mirror", "with": {}}]
//! ```
//!
//! `match` is a pattern for the source or its provider, a colon, and a pattern
//! for the provider's event type; `*` stands for any text. Completion is
//! recorded under the route's `id`, so renaming a route makes unfinished events
//! run it anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use inbox_core::event::Event;
use inbox_core::handler::Handler;
use inbox_core::pattern::glob;
use serde::Deserialize;
use serde_json::Value;

use crate::handlers::{self, Resources};

/// More routes would not fit an event's item beside the largest inline payload, each with
/// its error and its completion.
const MOST_ROUTES: usize = 32;

/// Everything goes to the mirror, until a team says otherwise.
const DEFAULT_ROUTES: &str = r#"[{"id":"mirror","match":"*:*","handler":"mirror"}]"#;

/// One route.
pub struct Route {
    /// Names the route in the ledger.
    pub id: String,
    /// What it does.
    pub handler: Arc<dyn Handler>,
    /// The handler's name, as the route gives it.
    pub handler_name: String,
    /// The handler's options, as the route gives them.
    pub with: Value,
    /// How long one attempt may take, where the route says it.
    pub timeout: Option<Duration>,
    /// A pattern for the source or its provider.
    pub endpoint: String,
    /// A pattern for the provider's event type.
    pub event_type: String,
}

/// How a route stands to an event, in each of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The pattern before the colon matches the source's name.
    pub source: bool,
    /// It matches the provider's name.
    pub provider: bool,
    /// The pattern behind the colon matches the type.
    pub event_type: bool,
}

impl Match {
    /// Whether the event takes the route.
    #[must_use]
    pub fn takes(self) -> bool {
        (self.source || self.provider) && self.event_type
    }
}

/// All routes, in the order given.
pub struct Routes(Vec<Route>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    id: String,
    #[serde(rename = "match")]
    pattern: String,
    handler: String,
    #[serde(default)]
    with: Value,
}

impl Routes {
    /// Reads the JSON form and makes the handlers.
    ///
    /// # Errors
    ///
    /// Every problem, with the route that it is in.
    pub fn parse(json: Option<&str>, resources: &Resources) -> Result<Self, Vec<String>> {
        let given: Vec<Given> = serde_json::from_str(json.unwrap_or(DEFAULT_ROUTES))
            .map_err(|fault| vec![format!("not a list of routes: {fault}")])?;
        let mut problems = Vec::new();
        if given.len() > MOST_ROUTES {
            problems.push(format!("{} routes, and at most {MOST_ROUTES} are allowed", given.len()));
        }
        let mut routes = Vec::new();
        let mut ids = BTreeSet::new();
        for (index, given) in given.into_iter().enumerate() {
            let mut problem = |text: String| {
                problems.push(format!("route {} ({:?}): {text}", index + 1, given.id));
            };
            if !is_route_id(&given.id) {
                problem("id must be 1 to 64 letters, digits, - or _".to_owned());
            }
            if !ids.insert(given.id.clone()) {
                problem("id is used twice".to_owned());
            }
            let pattern = given.pattern.split_once(':');
            if pattern
                .is_none_or(|(endpoint, event_type)| endpoint.is_empty() || event_type.is_empty())
            {
                problem(format!(
                    "match must be source:type, such as stripe:invoice.*, not {:?}",
                    given.pattern
                ));
            }
            let timeout = handlers::timeout(resources, &given.with);
            if let Err(fault) = &timeout {
                problem(fault.clone());
            }
            match (pattern, handlers::build(&given.handler, resources, &given.with)) {
                (_, Err(faults)) => faults.into_iter().for_each(problem),
                (Some((endpoint, event_type)), Ok(handler)) => routes.push(Route {
                    endpoint: endpoint.to_owned(),
                    event_type: event_type.to_owned(),
                    id: given.id,
                    timeout: timeout.ok().flatten(),
                    handler,
                    handler_name: given.handler,
                    with: given.with,
                }),
                (None, Ok(_)) => {}
            }
        }
        if problems.is_empty() { Ok(Self(routes)) } else { Err(problems) }
    }

    /// Routes made in code.
    #[must_use]
    pub fn of(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// All of them, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }

    /// The routes that an event takes.
    pub fn matching<'a, 'e>(
        &'a self,
        event: &'e Event,
    ) -> impl Iterator<Item = &'a Route> + use<'a, 'e> {
        let (source, provider, event_type) =
            (&event.key.source, &event.provider, &event.event_type);
        self.0.iter().filter(|route| route.look_at(source, provider, event_type).takes())
    }
}

impl Route {
    /// A route made in code; `endpoint` and `event_type` are patterns.
    #[must_use]
    pub fn new(id: &str, endpoint: &str, event_type: &str, handler: Arc<dyn Handler>) -> Self {
        Self {
            id: id.to_owned(),
            handler,
            handler_name: String::new(),
            with: Value::Null,
            timeout: None,
            endpoint: endpoint.to_owned(),
            event_type: event_type.to_owned(),
        }
    }

    /// How it stands to an event of this source, provider and type.
    #[must_use]
    pub fn look_at(&self, source: &str, provider: &str, event_type: &str) -> Match {
        Match {
            source: glob(&self.endpoint, source),
            provider: glob(&self.endpoint, provider),
            event_type: glob(&self.event_type, event_type),
        }
    }
}

fn is_route_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::{HANDLERS, testing};

    fn problems(json: &str) -> Vec<String> {
        Routes::parse(Some(json), &testing::resources()).err().unwrap_or_default()
    }

    #[test]
    fn every_problem_is_named_with_its_route() {
        let known: Vec<&str> = HANDLERS.iter().map(|(name, _)| *name).collect();
        let unknown = format!("no handler is named \"miror\"; there are {}", known.join(", "));
        assert_eq!(
            problems(
                r#"[{"id":"a","match":"stripe:*","handler":"mirror"},
                    {"id":"a","match":"stripe","handler":"miror"},
                    {"id":"b c","match":":x","handler":"drill","with":{"outcome":"retry"}}]"#
            ),
            [
                "route 2 (\"a\"): id is used twice",
                "route 2 (\"a\"): match must be source:type, such as stripe:invoice.*, not \"stripe\"",
                &format!("route 2 (\"a\"): {unknown}"),
                "route 3 (\"b c\"): id must be 1 to 64 letters, digits, - or _",
                "route 3 (\"b c\"): match must be source:type, such as stripe:invoice.*, not \":x\"",
            ]
        );
        assert_eq!(
            problems("{}"),
            ["not a list of routes: invalid type: map, expected a sequence at line 1 column 0"]
        );
        assert_eq!(problems("[]"), Vec::<String>::new());
    }

    #[test]
    fn a_route_takes_what_its_source_or_provider_and_type_match() {
        let json = r#"[{"id":"a","match":"stripe*:invoice.*","handler":"mirror"}]"#;
        let routes = Routes::parse(Some(json), &testing::resources());
        let routes = routes.unwrap_or_else(|problems| panic!("{problems:?}"));
        let route = routes.iter().next().expect("one");
        for (source, provider, event_type, takes) in [
            ("stripe_eu", "stripe", "invoice.paid", true),
            ("payments", "stripe", "invoice.paid", true),
            ("stripe_eu", "standard_webhooks", "invoice.paid", true),
            ("payments", "standard_webhooks", "invoice.paid", false),
            ("stripe_eu", "stripe", "invoices.paid", false),
        ] {
            let is = route.look_at(source, provider, event_type);
            assert_eq!(is.takes(), takes, "{source} {provider} {event_type}");
        }
    }
}
