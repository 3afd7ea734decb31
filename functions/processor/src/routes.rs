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
    endpoint: String,
    event_type: String,
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
            match (pattern, handlers::build(&given.handler, resources, &given.with)) {
                (_, Err(faults)) => faults.into_iter().for_each(problem),
                (Some((endpoint, event_type)), Ok(handler)) => routes.push(Route {
                    endpoint: endpoint.to_owned(),
                    event_type: event_type.to_owned(),
                    id: given.id,
                    handler,
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

    /// The routes that an event takes.
    pub fn matching<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Route> {
        self.0.iter().filter(|route| route.matches(event))
    }
}

impl Route {
    /// A route made in code; `endpoint` and `event_type` are patterns.
    #[must_use]
    pub fn new(id: &str, endpoint: &str, event_type: &str, handler: Arc<dyn Handler>) -> Self {
        Self {
            id: id.to_owned(),
            handler,
            endpoint: endpoint.to_owned(),
            event_type: event_type.to_owned(),
        }
    }

    fn matches(&self, event: &Event) -> bool {
        let endpoint =
            glob(&self.endpoint, &event.key.source) || glob(&self.endpoint, &event.provider);
        endpoint && glob(&self.event_type, &event.event_type)
    }
}

fn is_route_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::testing;

    fn problems(json: &str) -> Vec<String> {
        Routes::parse(Some(json), &testing::resources()).err().unwrap_or_default()
    }

    #[test]
    fn every_problem_is_named_with_its_route() {
        assert_eq!(
            problems(
                r#"[{"id":"a","match":"stripe:*","handler":"mirror"},
                    {"id":"a","match":"stripe","handler":"miror"},
                    {"id":"b c","match":":x","handler":"drill","with":{"outcome":"retry"}}]"#
            ),
            [
                "route 2 (\"a\"): id is used twice",
                "route 2 (\"a\"): match must be source:type, such as stripe:invoice.*, not \"stripe\"",
                "route 2 (\"a\"): no handler is named \"miror\"; there are drill, forward, mirror",
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
}
