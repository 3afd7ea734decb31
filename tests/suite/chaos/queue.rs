//! The poller of queue and lane, at its worst: messages are lost, doubled and out of order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use serde_json::Value;

use super::run::World;
use super::worker::Worker;
use crate::e2e::requests::batch_of;

const LOST_PER_MILLE: u64 = 30;
const DOUBLED_PER_MILLE: u64 = 60;
const BATCH: usize = 10;

/// Received and not yet delivered.
#[derive(Debug, Default)]
pub(super) struct Pool {
    waiting: Vec<Received>,
    /// Deliveries so far, for the dice.
    drawn: u64,
}

#[derive(Clone, Debug)]
struct Received {
    message: Message,
    from_lane: bool,
}

/// Delivers one batch to a processor; whether there was one.
pub(super) async fn poll(world: &Arc<World>, processor: &mut Worker) -> bool {
    receive(world).await;
    let (messages, from_lane) = take(world);
    if messages.is_empty() {
        return false;
    }
    let bed = &world.stage.bed;
    let queue_url = if from_lane { &bed.lane_url } else { &bed.queue_url };
    for message in &messages {
        if let (Some(receipt), Some(number)) = (message.receipt_handle(), world.number_of(message))
        {
            world.weather.delivered(receipt, number);
        }
    }
    let answer = processor.invoke(world, &batch_of(queue_url, &messages)).await;
    // Its invocation is over, and so are its leases, as soon as time has passed.
    for (key, token) in world.weather.leases_of(&processor.label) {
        world.stage.end_lease(&key, Some(&token)).await;
        if let (None, Some(number)) = (&answer, world.journal.number_of(&key)) {
            world.journal.excuse(number, token);
        }
    }
    for message in messages {
        if answer.as_ref().is_none_or(|answer| names(answer, &message)) {
            world.stage.release(queue_url, &message).await;
        } else {
            world.stage.delete(queue_url, &message).await;
        }
    }
    true
}

fn names(answer: &Value, message: &Message) -> bool {
    let failures = answer["batchItemFailures"].as_array();
    failures.into_iter().flatten().any(|it| it["itemIdentifier"].as_str() == message.message_id())
}

async fn receive(world: &Arc<World>) {
    let bed = &world.stage.bed;
    receive_of(world, &bed.queue_url, false).await;
    receive_of(world, &bed.lane_url, true).await;
}

async fn receive_of(world: &Arc<World>, queue_url: &str, from_lane: bool) {
    for message in world.stage.receive(queue_url).await {
        let drawn = {
            let mut pool = world.pool();
            pool.drawn += 1;
            pool.drawn
        };
        let number = world.number_of(&message).unwrap_or_default();
        if !world.is_settling() && world.dice.happens(LOST_PER_MILLE, &[&"lost", &number, &drawn]) {
            world.count(|counts| counts.lost += 1);
            world.stage.delete(queue_url, &message).await;
            continue;
        }
        let doubled = world.dice.happens(DOUBLED_PER_MILLE, &[&"twice", &number, &drawn]);
        if doubled && !world.is_settling() {
            world.count(|counts| counts.twice += 1);
            world.pool().waiting.push(Received { message: message.clone(), from_lane });
        }
        world.pool().waiting.push(Received { message, from_lane });
    }
}

/// Up to ten of one queue in any order, and whether that is the lane; of one message's
/// copies only one goes into a batch.
fn take(world: &World) -> (Vec<Message>, bool) {
    let mut pool = world.pool();
    let mut waiting = std::mem::take(&mut pool.waiting);
    waiting.sort_by_key(|it| {
        let number = world.number_of(&it.message).unwrap_or_default();
        world.dice.roll(u64::MAX, &[&"order", &number])
    });
    // Each mapping polls by itself: whose turn it is, the first of all messages says.
    let from_lane = waiting.first().is_some_and(|first| first.from_lane);
    let mut ids = BTreeSet::new();
    let (mut batch, mut rest) = (Vec::new(), Vec::new());
    for it in waiting {
        let id = it.message.message_id().unwrap_or_default().to_owned();
        if it.from_lane == from_lane && batch.len() < BATCH && ids.insert(id) {
            batch.push(it.message);
        } else {
            rest.push(it);
        }
    }
    pool.waiting = rest;
    (batch, from_lane)
}

impl Pool {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// How long an idle poller waits.
pub(super) const IDLE: Duration = Duration::from_millis(20);
