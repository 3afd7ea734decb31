//! Finding an event by the id that people hold: its own, or that of the provider's
//! delivery.
//!
//! GitHub shows `X-GitHub-Delivery`, which is of the delivery and not of the event
//! here: the hook's id stands behind it in the key, or the key is a hash of the
//! content. It stands in the timeline, so it is looked for there:
//!
//! ```text
//! version 1, as GitHub's   says when it was made: the three hours about it, then four
//!                          days (it is delivered anew for three)
//! any other                the last two hours, then a day, then all that is kept
//! ```
//!
//! Where a stretch has any, the later ones are not read.

use std::time::Duration;

use inbox_aws::DynamoDbLedger;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, LedgerError, Record};
use inbox_core::stack::stack;
use inbox_receiver::providers;
use uuid::Uuid;

use crate::console::Progress;
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

const SOON: Duration = Duration::from_hours(2);
const DAY: Duration = Duration::from_hours(24);

/// When a delivery can have come, the likeliest first. `None` where the id is no
/// delivery's: all of GitHub's are UUIDs.
fn stretches(id: &str, now: Timestamp) -> Option<Vec<(Timestamp, Timestamp)>> {
    let id = Uuid::try_parse(id).ok()?;
    let latest = now.plus(BEFORE);
    // Any UUID may say that it is of version 1; one made in the future was not.
    let made_at = id
        .get_timestamp()
        .and_then(|it| i64::try_from(it.to_unix().0).ok())
        .and_then(Timestamp::from_unix_seconds)
        .filter(|made_at| *made_at <= latest);
    let stretches = if let Some(made_at) = made_at {
        let soon = made_at.plus(SOON);
        vec![(made_at.minus(BEFORE), soon), (soon, made_at.plus(REDELIVERED_FOR + DAY))]
    } else {
        let retention = DAY * stack().defaults.retention_days;
        let (soon, day) = (now.minus(SOON), now.minus(DAY));
        vec![(soon, latest), (day, soon), (now.minus(retention), day)]
    };
    let within = |(since, until): (Timestamp, Timestamp)| (since, until.min(latest));
    Some(stretches.into_iter().map(within).filter(|(since, until)| since < until).collect())
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
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let progress = context.console.progress("looking for the delivery", None);
    Ok(keys(ledger, &sources, delivery_id, now, &progress).await?.unwrap_or_default())
}

/// The same in these sources; `None` where the id is no delivery's.
pub(crate) async fn keys(
    ledger: &DynamoDbLedger,
    sources: &[String],
    delivery_id: &str,
    now: Timestamp,
    progress: &Progress,
) -> Result<Option<Vec<EventKey>>, LedgerError> {
    let Some(stretches) = stretches(delivery_id, now) else { return Ok(None) };
    for (since, until) in stretches {
        let mut walk = Walk::new(sources.to_vec(), since, until);
        let mut found = Vec::new();
        while let Some(arrival) = walk.next(ledger, progress).await? {
            if arrival.delivery_id.as_deref() == Some(delivery_id) {
                found.push(arrival.key);
            }
        }
        if !found.is_empty() {
            return Ok(Some(found));
        }
    }
    Ok(Some(Vec::new()))
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

    /// 2014-04-25T12:52:24Z.
    const MADE_AT_SECONDS: i64 = 1_398_430_344;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn the_id_of_a_delivery_says_when_to_look() {
        let now = at("2026-03-01T12:00:00Z");
        let looked = |id| stretches(id, now);
        let hours = |hours| Duration::from_hours(hours);
        // GitHub's own example.
        let made_at = Timestamp::from_unix_seconds(MADE_AT_SECONDS).unwrap();
        assert_eq!(
            looked("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            Some(vec![
                (made_at.minus(hours(1)), made_at.plus(hours(2))),
                (made_at.plus(hours(2)), made_at.plus(hours(96))),
            ])
        );
        let undated = Some(vec![
            (now.minus(hours(2)), now.plus(hours(1))),
            (now.minus(hours(24)), now.minus(hours(2))),
            (now.minus(hours(720)), now.minus(hours(24))),
        ]);
        assert_eq!(looked("0f3b6a5e-1f43-4a53-8d0c-52c1a0d7a1c9"), undated);
        // Of the year 5236: nobody has made it yet.
        assert_eq!(looked("ffffffff-ffff-1fff-81ab-4c9367dc0958"), undated);
        assert_eq!(looked("evt_1"), None);
    }
}
