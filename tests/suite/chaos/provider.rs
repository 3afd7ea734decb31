//! Providers as they retry, sixty times as fast.
//!
//! | source | like | after an answer that is not 2xx |
//! |---|---|---|
//! | `stripe` | Stripe | again and again, waiting twice as long each time |
//! | `github` | GitHub | never |
//! | `slack` | Slack | at once, after a minute, after five |
//! | `twilio` | Twilio | once, at once, with the same signature |
//!
//! Any may deliver what was accepted once more, or the same event twice at one time.

use std::sync::Arc;
use std::time::Duration;

use super::run::World;
use super::stage::Stage;
use super::subject::{Source, Subject};
use crate::e2e::requests::answered;

const DOUBLED_PER_MILLE: u64 = 100;
const REPEATED_PER_MILLE: u64 = 100;

fn waits(source: Source) -> Vec<Duration> {
    let milliseconds: &[u64] = match source {
        Source::Stripe => &[100, 200, 400, 800, 1600, 3200],
        Source::Github => &[],
        Source::Slack => &[0, 1000, 5000],
        Source::Twilio => &[0],
    };
    milliseconds.iter().copied().map(Duration::from_millis).collect()
}

/// Delivers an event as its provider does. Whether any delivery was answered 2xx.
pub(super) async fn deliver(world: &Arc<World>, subject: Subject) -> bool {
    let dice = world.dice;
    let one = deliver_one(world, subject, 0);
    let accepted = if dice.happens(DOUBLED_PER_MILLE, &[&"doubled", &subject.number]) {
        world.count(|counts| counts.doubled += 1);
        let (first, second) = tokio::join!(one, deliver_one(world, subject, 1));
        first || second
    } else {
        one.await
    };
    if accepted && dice.happens(REPEATED_PER_MILLE, &[&"repeated", &subject.number]) {
        world.count(|counts| counts.repeated += 1);
        deliver_one(world, subject, 2).await;
    }
    accepted
}

async fn deliver_one(world: &Arc<World>, subject: Subject, copy: usize) -> bool {
    let mut event = Stage::gateway_event(&subject.delivery());
    let waits = waits(subject.source);
    for attempt in 0..=waits.len() {
        if attempt > 0 {
            tokio::time::sleep(waits[attempt - 1]).await;
            if subject.source != Source::Twilio {
                event = Stage::gateway_event(&subject.delivery());
            }
        }
        let receivers = &world.receivers[&subject.source];
        let mut receiver = receivers[(copy + attempt) % receivers.len()].lock().await;
        world.count(|counts| counts.deliveries += 1);
        let answer = receiver.invoke(world, &event).await;
        let status = answer.map_or(0, |answer| answered(&answer).status);
        match status {
            200 | 204 => return true,
            // Out of order, or dead.
            503 | 0 => {}
            other => world.wrong(format!("{subject} was answered {other}")),
        }
    }
    false
}
