//! Events as JSON for machines: times as RFC 3339, everything by its name in the
//! ledger.

use std::collections::BTreeMap;

use inbox_aws::Summary;
use inbox_core::Timestamp;
use inbox_core::ledger::{Completion, RouteFailure, State, is_unrouted};
use serde::Serialize;

/// What has become of an event.
#[derive(Clone, Debug, Serialize)]
pub struct EventView<'a> {
    source: &'a str,
    id: &'a str,
    provider: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    delivery_id: Option<&'a str>,
    subject: Option<&'a str>,
    occurred_at: Option<String>,
    received_at: String,
    state: &'static str,
    life: u32,
    attempts: u32,
    next_at: Option<String>,
    leased_until: Option<String>,
    done_at: Option<String>,
    last_error: Option<&'a str>,
    handlers: BTreeMap<&'a str, String>,
    /// Of those, the ones that had nothing to do, and why.
    nothing_done: BTreeMap<&'a str, &'a str>,
    /// Whether it is done without any route having taken it.
    is_unrouted: bool,
    failures: BTreeMap<&'a str, FailureView<'a>>,
    forgotten_at: Option<String>,
    expires_at: String,
}

impl<'a> From<&'a Summary> for EventView<'a> {
    fn from(event: &'a Summary) -> Self {
        let time = |moment: Option<Timestamp>| moment.map(Timestamp::to_rfc3339);
        Self {
            source: &event.key.source,
            id: &event.key.id,
            provider: &event.provider,
            event_type: &event.event_type,
            delivery_id: event.delivery_id.as_deref(),
            subject: event.subject.as_deref(),
            occurred_at: time(event.occurred_at),
            received_at: event.received_at.to_rfc3339(),
            state: event.state.as_str(),
            life: event.life,
            attempts: event.attempts,
            next_at: time(event.next_at),
            leased_until: time(event.leased_until),
            done_at: time(event.done_at),
            last_error: event.last_error.as_deref(),
            handlers: times(&event.handlers),
            nothing_done: nothing_done(&event.handlers),
            is_unrouted: is_unrouted(event.state, &event.handlers),
            failures: failures(event.state, &event.failures),
            forgotten_at: time(event.forgotten_at),
            expires_at: event.expires_at.to_rfc3339(),
        }
    }
}

/// How a route failed last, and what follows.
#[derive(Clone, Debug, Serialize)]
pub struct FailureView<'a> {
    error: &'a str,
    /// What the target said, where the route keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<&'a str>,
    attempts: u32,
    /// `null` when it is given up.
    next_at: Option<String>,
    /// How often in a row it was left for later, being slow, since it ran last.
    #[serde(skip_serializing_if = "is_zero")]
    deferrals: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The routes that were left for later, being slow, and have not run since.
#[must_use]
pub fn left_for_later<'a>(
    event: State,
    handlers: &BTreeMap<String, Completion>,
    failures: &'a BTreeMap<String, RouteFailure>,
) -> Vec<&'a str> {
    let left = failures.iter().filter(|(route, failure)| {
        failure.deferrals > 0
            && again_at(event, failure).is_some()
            && !handlers.contains_key(route.as_str())
    });
    left.map(|(route, _)| route.as_str()).collect()
}

/// When a route is tried again; `None` when it is given up. What waits when an event ends
/// waits no longer, though its record may name a time still.
#[must_use]
pub fn again_at(event: State, failure: &RouteFailure) -> Option<Timestamp> {
    failure.next_at.filter(|_| event.is_unfinished())
}

/// The routes that have failed in this life of an event.
#[must_use]
pub fn failures(
    event: State,
    failures: &BTreeMap<String, RouteFailure>,
) -> BTreeMap<&str, FailureView<'_>> {
    let views = failures.iter().map(|(route, failure)| {
        let next_at = again_at(event, failure).map(Timestamp::to_rfc3339);
        let (error, attempts) = (failure.error.as_str(), failure.attempts);
        let (quote, deferrals) = (failure.quote.as_deref(), failure.deferrals);
        (route.as_str(), FailureView { error, quote, attempts, next_at, deferrals })
    });
    views.collect()
}

/// When each route completed.
#[must_use]
pub fn times(handlers: &BTreeMap<String, Completion>) -> BTreeMap<&str, String> {
    handlers.iter().map(|(route, it)| (route.as_str(), it.at.to_rfc3339())).collect()
}

/// The routes that completed and had nothing to do, and why.
#[must_use]
pub fn nothing_done(handlers: &BTreeMap<String, Completion>) -> BTreeMap<&str, &str> {
    let entries = handlers.iter();
    entries.filter_map(|(route, it)| Some((route.as_str(), it.nothing.as_deref()?))).collect()
}

/// What a done event's state says where nothing, or less than it seems, was done.
#[must_use]
pub fn done_but(handlers: &BTreeMap<String, Completion>) -> Option<String> {
    if handlers.is_empty() {
        return Some("no route takes it: nothing was done".to_owned());
    }
    let nothing = nothing_done(handlers);
    let each = nothing.iter().map(|(route, why)| format!("{route} had nothing to do: {why}"));
    Some(each.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
}
