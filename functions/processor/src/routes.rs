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
//!
//! Most sources are called as their provider is. What stands before the colon means
//! one of the two:
//!
//! ```text
//! source/github   the source of that name
//! provider/github every source of that provider
//! github          the source, where one has that name ([`Routes::among`]); else every
//!                 source of that provider
//! git*            sources and providers whose names match
//! ```

mod given;
mod undeployed;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use inbox_aws::FormerRoutes;
use inbox_core::Timestamp;
use inbox_core::event::Event;
use inbox_core::handler::Handler;
use inbox_core::pattern::glob;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::undeployed::Surroundings;
use crate::handlers::{self, Resources};

/// More routes would not fit an event's item beside the largest inline payload, each with
/// its error and its completion.
const MOST_ROUTES: usize = 32;

/// For how long functions with former routes may still begin and run: as long as Lambda lets
/// any run.
const RUNS_ON: Duration = Duration::from_mins(15);

/// None, until a team says what is to be done: whatever stood here would copy personal
/// data, and cost, unasked.
const DEFAULT_ROUTES: &str = "[]";

/// What the pattern before the colon is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Sources,
    Providers,
    Both,
}

impl Names {
    /// The explicit forms, with what is left of the pattern.
    fn of(endpoint: &str) -> (Self, &str) {
        if let Some(rest) = endpoint.strip_prefix("source/") {
            (Self::Sources, rest)
        } else if let Some(rest) = endpoint.strip_prefix("provider/") {
            (Self::Providers, rest)
        } else {
            (Self::Both, endpoint)
        }
    }
}

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
    /// A pattern for the source or its provider, as the route gives it.
    pub endpoint: String,
    /// A pattern for the provider's event type.
    pub event_type: String,
    names: Names,
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
pub struct Routes {
    all: Vec<Route>,
    /// What routes matched that were configured before, by sets, and until when.
    former: Vec<(Vec<Pattern>, Timestamp)>,
}

/// What a route matches: patterns for source or provider, and for the type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Pattern(String, String);

impl Pattern {
    fn of(route: &Route) -> Self {
        let (said, endpoint) = Names::of(&route.endpoint);
        // What a plain name means among these sources is remembered with it.
        let endpoint = match (said, route.names) {
            (Names::Both, Names::Sources) => format!("source/{endpoint}"),
            _ => route.endpoint.clone(),
        };
        Self(endpoint, route.event_type.clone())
    }
}

impl Routes {
    /// Reads the JSON form and makes the handlers.
    ///
    /// # Errors
    ///
    /// Every problem, with the route that it is in.
    pub fn parse(json: Option<&str>, resources: &Resources) -> Result<Self, Vec<String>> {
        Self::parse_completed(json.unwrap_or(DEFAULT_ROUTES), resources, |_, _, _| {})
    }

    /// The same of routes that are yet to be deployed: `complete` adds to a route's
    /// options, by its id and handler, what the deployment will add.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn parse_completed(
        json: &str,
        resources: &Resources,
        complete: impl Fn(&str, &str, &mut Value),
    ) -> Result<Self, Vec<String>> {
        let given = given::read(json).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        if given.len() > MOST_ROUTES {
            problems.push(format!("{} routes, and at most {MOST_ROUTES} are allowed", given.len()));
        }
        let mut routes = Vec::new();
        let mut ids = BTreeSet::new();
        for mut given in given {
            let id = given.id.clone().unwrap_or_default();
            if given.id.is_some() && !is_route_id(&id) {
                given.problem("id must be 1 to 64 letters, digits, - or _");
            }
            if given.id.is_some() && !ids.insert(id.clone()) {
                given.problem("id is used twice");
            }
            let pattern = given.pattern.clone();
            let pattern = pattern.as_deref().and_then(|pattern| {
                let parts = pattern.split_once(':').filter(|(endpoint, kind)| {
                    let (_, name) = Names::of(endpoint);
                    !name.is_empty() && !name.contains('/') && !kind.is_empty()
                });
                if parts.is_none() {
                    given.problem(format!(
                        "match must be source:type, such as stripe:invoice.*, not {pattern:?}"
                    ));
                }
                parts
            });
            let Some(handler_name) = given.handler.clone() else {
                problems.extend(given.into_problems());
                continue;
            };
            complete(&id, &handler_name, &mut given.with);
            let timeout = handlers::timeout(resources, &given.with);
            if let Err(fault) = &timeout {
                given.problem(fault.clone());
            }
            match (pattern, handlers::build(&handler_name, resources, &given.with)) {
                (_, Err(faults)) => faults.into_iter().for_each(|fault| given.problem(fault)),
                (Some((endpoint, event_type)), Ok(handler)) => routes.push(Route {
                    names: Names::of(endpoint).0,
                    endpoint: endpoint.to_owned(),
                    event_type: event_type.to_owned(),
                    id,
                    timeout: timeout.ok().flatten(),
                    handler,
                    handler_name,
                    with: given.with.clone(),
                }),
                (None, Ok(_)) => {}
            }
            problems.extend(given.into_problems());
        }
        if problems.is_empty() { Ok(Self::of(routes)) } else { Err(problems) }
    }

    /// Routes made in code.
    #[must_use]
    pub fn of(routes: Vec<Route>) -> Self {
        Self { all: routes, former: Vec::new() }
    }

    /// What the routes match, each, as a text to be remembered: the same for the same, in
    /// whatever order.
    #[must_use]
    pub fn patterns(&self) -> String {
        let mut patterns: Vec<Pattern> = self.all.iter().map(Pattern::of).collect();
        patterns.sort();
        serde_json::to_string(&patterns).unwrap_or_default()
    }

    /// With what is remembered of routes that were configured before; what cannot be
    /// read is left out.
    #[must_use]
    pub fn with_former(mut self, remembered: &[FormerRoutes]) -> Self {
        let read = |it: &FormerRoutes| {
            let patterns = serde_json::from_str::<Vec<Pattern>>(&it.routes);
            (patterns.unwrap_or_default(), it.until)
        };
        self.former = remembered.iter().map(read).collect();
        self
    }

    /// Whether a route took such events that is not configured any more: by what it
    /// matched, so that a route that only got another id is not lost, and one of two that
    /// matched the same is. One that matches more now counts as lost: rather a dead letter
    /// too many.
    #[must_use]
    pub fn lost(&self, event: &Event) -> bool {
        self.is_lost(event, |_| true)
    }

    /// The same of routes that can have been begun for an event since this time: not of
    /// those that were gone by then.
    #[must_use]
    pub fn lost_since(&self, event: &Event, since: Timestamp) -> bool {
        self.is_lost(event, |until| until.plus(RUNS_ON) >= since)
    }

    fn is_lost(&self, event: &Event, counts: impl Fn(Timestamp) -> bool) -> bool {
        let (source, provider) = (&event.key.source, &event.provider);
        let takes = |Pattern(endpoint, event_type): &&Pattern| {
            let (names, endpoint) = Names::of(endpoint);
            look_at(names, endpoint, event_type, source, provider, &event.event_type).takes()
        };
        let current: Vec<Pattern> = self.all.iter().map(Pattern::of).collect();
        let count = |set: &[Pattern], it: &Pattern| set.iter().filter(|one| *one == it).count();
        self.former.iter().filter(|(_, until)| counts(*until)).any(|(former, _)| {
            former.iter().filter(takes).any(|it| count(&current, it) < count(former, it))
        })
    }

    /// The same for an inbox with these sources: a name that is a source's means that
    /// source alone, whatever others its provider has.
    #[must_use]
    pub fn among<'a>(mut self, sources: impl IntoIterator<Item = &'a str>) -> Self {
        let sources: BTreeSet<&str> = sources.into_iter().collect();
        for route in &mut self.all {
            if route.names == Names::Both && sources.contains(route.endpoint.as_str()) {
                route.names = Names::Sources;
            }
        }
        self
    }

    /// All of them, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.all.iter()
    }

    /// The routes that an event takes.
    pub fn matching<'a, 'e>(
        &'a self,
        event: &'e Event,
    ) -> impl Iterator<Item = &'a Route> + use<'a, 'e> {
        let (source, provider, event_type) =
            (&event.key.source, &event.provider, &event.event_type);
        self.all.iter().filter(|route| route.look_at(source, provider, event_type).takes())
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
            names: Names::of(endpoint).0,
            timeout: None,
            endpoint: endpoint.to_owned(),
            event_type: event_type.to_owned(),
        }
    }

    /// How it stands to an event of this source, provider and type.
    #[must_use]
    pub fn look_at(&self, source: &str, provider: &str, event_type: &str) -> Match {
        let (_, endpoint) = Names::of(&self.endpoint);
        look_at(self.names, endpoint, &self.event_type, source, provider, event_type)
    }
}

fn look_at(
    names: Names,
    endpoint: &str,
    type_pattern: &str,
    source: &str,
    provider: &str,
    event_type: &str,
) -> Match {
    Match {
        source: names != Names::Providers && glob(endpoint, source),
        provider: names != Names::Sources && glob(endpoint, provider),
        event_type: glob(type_pattern, event_type),
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
                "route 2 (\"a\", line 2): id is used twice",
                "route 2 (\"a\", line 2): match must be source:type, such as stripe:invoice.*, not \"stripe\"",
                &format!("route 2 (\"a\", line 2): {unknown}"),
                "route 3 (\"b c\", line 3): id must be 1 to 64 letters, digits, - or _",
                "route 3 (\"b c\", line 3): match must be source:type, such as stripe:invoice.*, not \":x\"",
            ]
        );
        assert_eq!(
            problems("{}"),
            ["not a list of routes: invalid type: map, expected a sequence at line 1 column 0"]
        );
        assert_eq!(problems("[]"), Vec::<String>::new());
    }

    #[test]
    fn a_member_that_is_missing_or_too_many_hides_no_other_problem() {
        let text = r#"
[
  {"match": "stripe:*", "handler": "invok"},
  {"id": "b", "match": ["stripe"], "handler": "drill",
   "with": {"outcome": "x"}},
  {"id": "c", "mtach": "stripe:*", "handler": "mirror"},
  7
]"#;
        let known: Vec<&str> = HANDLERS.iter().map(|(name, _)| *name).collect();
        let mut found = problems(text);
        let drill = found.remove(3);
        assert!(drill.starts_with("route 2 (\"b\", line 4): handler drill: "), "{drill}");
        assert_eq!(
            found,
            [
                "route 1 (line 3): needs `id`",
                &format!(
                    "route 1 (line 3): no handler is named \"invok\"; there are {}",
                    known.join(", ")
                ),
                "route 2 (\"b\", line 4): `match` must be text",
                "route 3 (\"c\", line 6): needs `match`",
                "route 3 (\"c\", line 6): has no member `mtach`; there are `id`, `match`, \
                 `handler`, `with`",
                "route 4 (line 7): must be an object",
            ]
        );
        let one_line = r#"[{"match":"a:b","handler":"mirror"}]"#;
        assert_eq!(problems(one_line), ["route 1: needs `id`"], "it has no line worth telling");
    }

    /// What nobody asked for would copy data, and cost.
    #[test]
    fn what_is_not_configured_is_no_route() {
        let routes = Routes::parse(None, &testing::resources());
        let routes = routes.unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(routes.iter().count(), 0);
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

    #[test]
    fn a_name_that_is_a_sources_means_that_source_and_prefixes_say_which() {
        let takes = |endpoint: &str, source: &str| {
            let handler = testing_route(endpoint);
            handler.look_at(source, "github", "push").takes()
        };
        for (endpoint, own, other) in [
            ("github", true, false),
            ("source/github", true, false),
            ("provider/github", true, true),
            ("github_contractors", false, true),
            ("source/git*", true, true),
            ("provider/git*", true, true),
            ("git*", true, true),
            ("*", true, true),
            ("source/github_*", false, true),
            ("source/stripe", false, false),
            ("provider/stripe", false, false),
        ] {
            let found = (takes(endpoint, "github"), takes(endpoint, "github_contractors"));
            assert_eq!(found, (own, other), "{endpoint}");
        }
        // Where no source has the provider's name, it means all of the provider's.
        let routes = Routes::of(vec![route("github")]).among(["code", "code_contractors"]);
        let route = routes.iter().next().expect("one");
        assert!(route.look_at("code", "github", "push").takes());
        assert!(
            problems(r#"[{"id":"a","match":"source/:push","handler":"mirror"}]"#)[0]
                .contains("match must be")
        );
    }

    fn route(endpoint: &str) -> Route {
        let json = format!(r#"[{{"id":"a","match":"{endpoint}:*","handler":"mirror"}}]"#);
        let routes = Routes::parse(Some(&json), &testing::resources());
        routes.unwrap_or_else(|problems| panic!("{problems:?}")).all.remove(0)
    }

    fn testing_route(endpoint: &str) -> Route {
        let routes = Routes::of(vec![route(endpoint)]).among(["github", "github_contractors"]);
        routes.all.into_iter().next().expect("one")
    }
}
