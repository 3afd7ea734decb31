//! The queue's poller, at its worst: messages are lost, doubled and out of order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use serde_json::Value;

use super::run::World;
use super::worker::Worker;
use crate::e2e::requests::batch;

const LOST_PER_MILLE: u64 = 30;
const DOUBLED_PER_MILLE: u64 = 60;
const BATCH: usize = 10;

/// Received and not yet delivered.
#[derive(Debug, Default)]
pub(super) struct Pool {
    waiting: Vec<Message>,
    /// Deliveries so far, for the dice.
    drawn: u64,
}

/// Delivers one batch to a processor; whether there was one.
pub(super) async fn poll(world: &Arc<World>, processor: &mut Worker) -> bool {
    receive(world).await;
    let messages = take(world);
    if messages.is_empty() {
        return false;
    }
    for message in &messages {
        if let (Some(receipt), Some(number)) = (message.receipt_handle(), world.number_of(message))
        {
            world.weather.delivered(receipt, number);
        }
    }
    let answer = processor.invoke(world, &batch(&messages)).await;
    // Its invocation is over, and so are its leases, as soon as time has passed.
    for (key, token) in world.weather.leases_of(&processor.label) {
        world.stage.end_lease(&key, Some(&token)).await;
        if let (None, Some(number)) = (&answer, world.journal.number_of(&key)) {
            world.journal.excuse(number, token);
        }
    }
    for message in messages {
        if answer.as_ref().is_none_or(|answer| names(answer, &message)) {
            world.stage.release(&message).await;
        } else {
            world.stage.delete(&world.stage.bed.queue_url, &message).await;
        }
    }
    true
}

fn names(answer: &Value, message: &Message) -> bool {
    let failures = answer["batchItemFailures"].as_array();
    failures.into_iter().flatten().any(|it| it["itemIdentifier"].as_str() == message.message_id())
}

async fn receive(world: &Arc<World>) {
    for message in world.stage.receive(&world.stage.bed.queue_url).await {
        let drawn = {
            let mut pool = world.pool();
            pool.drawn += 1;
            pool.drawn
        };
        let number = world.number_of(&message).unwrap_or_default();
        if !world.is_settling() && world.dice.happens(LOST_PER_MILLE, &[&"lost", &number, &drawn]) {
            world.count(|counts| counts.lost += 1);
            world.stage.delete(&world.stage.bed.queue_url, &message).await;
            continue;
        }
        let doubled = world.dice.happens(DOUBLED_PER_MILLE, &[&"twice", &number, &drawn]);
        if doubled && !world.is_settling() {
            world.count(|counts| counts.twice += 1);
            world.pool().waiting.push(message.clone());
        }
        world.pool().waiting.push(message);
    }
}

/// Up to ten in any order; of one message's copies only one goes into a batch.
fn take(world: &World) -> Vec<Message> {
    let mut pool = world.pool();
    let mut waiting = std::mem::take(&mut pool.waiting);
    waiting.sort_by_key(|message| {
        world.dice.roll(u64::MAX, &[&"order", &world.number_of(message).unwrap_or_default()])
    });
    let mut ids = BTreeSet::new();
    let (mut batch, mut rest) = (Vec::new(), Vec::new());
    for message in waiting {
        let id = message.message_id().unwrap_or_default().to_owned();
        if batch.len() < BATCH && ids.insert(id) { batch.push(message) } else { rest.push(message) }
    }
    pool.waiting = rest;
    batch
}

impl Pool {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// How long an idle poller waits.
pub(super) const IDLE: Duration = Duration::from_millis(20);
