//! Finding an event by the id that people hold: its own, or that of the provider's
//! delivery.
//!
//! GitHub shows `X-GitHub-Delivery`, which is of the delivery and not of the event
//! here: the hook's id stands behind it in the key, or the key is a hash of the
//! content. It stands in the timeline, so it is looked for there:
//!
//! ```text
//! version 1, as GitHub's   says when it was made: from an hour before until four days
//!                          behind (it is delivered anew for three)
//! any other                the newest first, back to the end of retention; three days
//!                          further once one was found
//! ```

use std::time::Duration;

use inbox_aws::DynamoDbLedger;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, Record};
use inbox_core::stack::stack;
use inbox_receiver::providers;
use uuid::Uuid;

use crate::context::Context;
use crate::deployment::Deployment;
use crate::fault::Fault;
use crate::shell::word;
use crate::timeline::Walk;

/// Clocks of provider and receiver, and what a delivery may take.
const BEFORE: Duration = Duration::from_hours(1);
/// GitHub delivers anew for three days:
/// <https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks>.
const REDELIVERED_FOR: Duration = Duration::from_hours(3 * 24);

/// When a delivery can have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// Whether it is known when the delivery was made.
    is_dated: bool,
}

impl Window {
    /// `None` where the id is no delivery's: all of GitHub's are UUIDs.
    pub(crate) fn of(id: &str, now: Timestamp) -> Option<Self> {
        let id = Uuid::try_parse(id).ok()?;
        let latest = now.plus(BEFORE);
        // Any UUID may say that it is of version 1; one made in the future was not.
        let made_at = id
            .get_timestamp()
            .and_then(|it| i64::try_from(it.to_unix().0).ok())
            .and_then(Timestamp::from_unix_seconds)
            .filter(|made_at| *made_at <= latest);
        let Some(made_at) = made_at else {
            let retention = Duration::from_hours(24 * u64::from(stack().defaults.retention_days));
            return Some(Self { since: now.minus(retention), until: latest, is_dated: false });
        };
        Some(Self {
            since: made_at.minus(BEFORE),
            until: made_at.plus(REDELIVERED_FOR + BEFORE * 24).min(latest),
            is_dated: true,
        })
    }
}

/// The event of this id, or of this delivery.
///
/// # Errors
///
/// There is none, or several are of the delivery.
pub(crate) async fn record(
    context: &Context,
    ledger: &DynamoDbLedger,
    key: EventKey,
    now: Timestamp,
) -> Result<Option<Record>, Fault> {
    if let Some(record) = ledger.get(&key).await? {
        return Ok(Some(record));
    }
    let sources = std::slice::from_ref(&key.source);
    let found = of_delivery(context, ledger, sources, &key.id, now).await?;
    match found.as_slice() {
        [] => Ok(None),
        [one] => {
            context.console.note(format!("delivery {} is event {}", key.id, one.id));
            Ok(ledger.get(one).await?)
        }
        several => Err(ambiguous(&key.id, several)),
    }
}

/// Keys of the events that this delivery brought: one for each hook at the address.
pub(crate) async fn of_delivery(
    context: &Context,
    ledger: &DynamoDbLedger,
    sources: &[String],
    delivery_id: &str,
    now: Timestamp,
) -> Result<Vec<EventKey>, Fault> {
    let sources: Vec<String> =
        sources.iter().filter(|name| has_deliveries(&context.deployment, name)).cloned().collect();
    let Some(window) = Window::of(delivery_id, now).filter(|_| !sources.is_empty()) else {
        return Ok(Vec::new());
    };
    let progress = context.console.progress("looking for the delivery", None);
    let mut walk = Walk::new(sources, window.since, window.until);
    let mut found: Vec<EventKey> = Vec::new();
    let mut last = window.since;
    while let Some(arrival) = walk.next(ledger, &progress).await? {
        if arrival.received_at < last {
            break;
        }
        if arrival.delivery_id.as_deref() == Some(delivery_id) {
            if found.is_empty() && !window.is_dated {
                last = arrival.received_at.minus(REDELIVERED_FOR);
            }
            found.push(arrival.key);
        }
    }
    Ok(found)
}

/// Whether its events are told apart by more than their deliveries.
fn has_deliveries(deployment: &Deployment, source: &str) -> bool {
    let provider = deployment.sources.get(source).map(|source| source.provider.as_str());
    provider.and_then(providers::find).is_some_and(|provider| provider.names_hook())
}

/// Several hooks brought it.
pub(crate) fn ambiguous(delivery_id: &str, found: &[EventKey]) -> Fault {
    let ids: Vec<String> =
        found.iter().map(|key| format!("{} {}", word(&key.source), word(&key.id))).collect();
    Fault::usage(
        format!("delivery {delivery_id:?} brought {} events", found.len()),
        format!("say which: {}", ids.join(", or ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn the_id_of_a_delivery_says_when_to_look() {
        let now = at("2026-03-01T12:00:00Z");
        // GitHub's own example.
        let dated = Window::of("72d3162e-cc78-11e3-81ab-4c9367dc0958", now).unwrap();
        let made_at = at("2014-04-25T12:52:24Z");
        assert!(dated.is_dated);
        assert_eq!(dated.since.plus(BEFORE).unix_seconds(), made_at.unix_seconds());
        assert_eq!(dated.until.since(dated.since), Duration::from_hours(97));
        let other = Window::of("0f3b6a5e-1f43-4a53-8d0c-52c1a0d7a1c9", now).unwrap();
        assert_eq!(other.since, now.minus(Duration::from_hours(30 * 24)));
        assert!(!other.is_dated);
        assert_eq!(Window::of("evt_1", now), None);
        // Of the year 5236: nobody has made it yet.
        let future = Window::of("ffffffff-ffff-1fff-81ab-4c9367dc0958", now).unwrap();
        assert!(!future.is_dated);
    }
}
