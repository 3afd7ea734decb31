//! Moving letters from here, for what SQS's own task cannot do: a part of them.
//!
//! ```text
//! receive (hidden for 20 s) ─ join ─┬─ is to move ─ send ─ delete
//!                                   └─ is to stay ─ held … released at the end
//! ```
//!
//! A letter is deleted after the queue has taken it, and only then. Whatever dies
//! in between, the letter comes back and is sent again by the next run; the
//! ledger opens the life that it names once.
//!
//! An event that dies again while this runs leaves a new letter, for the life
//! after. That one stays, or a handler that is still broken would be fed for ever.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use inbox_aws::{DeadLetterQueue, DynamoDbLedger, LETTERS_AT_ONCE};
use inbox_core::event::EventKey;
use inbox_core::queue::{Pointer, QueueError};

use super::Moved;
use crate::console::Progress;
use crate::context::Context;
use crate::fault::Fault;
use crate::letters::{Fate, Letter, LetterFilter, dead_letters, join};
use crate::pace::Pace;
use crate::stop::Stop;

/// Movers at once.
const MOVERS: u32 = 8;
/// How long a letter is hidden: ample for the three calls that move it, and not
/// long to wait for when this was killed. Whoever takes longer sends twice.
const HIDDEN_FOR: Duration = Duration::from_secs(20);
/// How long SQS searches all its servers before it says that there is nothing.
const WAIT: Duration = Duration::from_secs(1);

/// What to move.
pub(super) struct Order<'a> {
    /// Which letters.
    pub(super) filter: &'a LetterFilter,
    /// Where to.
    pub(super) queue_url: &'a str,
    /// How many a second.
    pub(super) rate: Option<u32>,
    /// How many the plan saw.
    pub(super) expected: u64,
}

/// Moves all letters that the order means.
pub(super) async fn run(
    context: &Context,
    queue: &DeadLetterQueue,
    order: &Order<'_>,
    stop: &Stop,
) -> Result<Moved, Fault> {
    // A slow mover keeps only one receive's letters waiting.
    let movers = order.rate.map_or(MOVERS, |rate| (rate / 10).clamp(1, MOVERS));
    let moving = Moving {
        order,
        dead_letter_queue: queue,
        ledger: context.ledger().await?,
        stop,
        progress: context.console.progress("dead letters moved", Some(order.expected)),
        pace: order.rate.map(|rate| tokio::sync::Mutex::new(Pace::new(rate))),
        state: Mutex::default(),
    };
    let ended = join_all((0..movers).map(|_| moving.work())).await;
    let moved = moving.release().await;
    ended.into_iter().collect::<Result<(), Fault>>().inspect_err(|_| {
        context.console.note(format!(
            "{} moved before this; the same command goes on with the rest",
            dead_letters(moved.count)
        ));
    })?;
    if stop.is_asked() {
        let done = format!(
            "{} of about {} moved; the same command goes on with the rest",
            moved.count,
            dead_letters(order.expected)
        );
        return Err(Fault::Interrupted { done });
    }
    Ok(moved)
}

struct Moving<'a> {
    order: &'a Order<'a>,
    dead_letter_queue: &'a DeadLetterQueue,
    ledger: DynamoDbLedger,
    stop: &'a Stop,
    progress: Progress,
    pace: Option<tokio::sync::Mutex<Pace>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Receipt handles of the letters that are still in the dead-letter queue,
    /// by message id.
    held: HashMap<String, String>,
    /// The life to which each event was sent by this run.
    sent: HashMap<EventKey, u32>,
    /// Receives one after another that brought only what is held already.
    nothing_new: usize,
    is_over: bool,
    moved: Moved,
}

impl Moving<'_> {
    async fn work(&self) -> Result<(), Fault> {
        let worked = self.work_until_the_end().await;
        if worked.is_err() {
            self.state().is_over = true;
        }
        worked
    }

    async fn work_until_the_end(&self) -> Result<(), Fault> {
        while !self.is_over() {
            let received = self.dead_letter_queue.receive(self.hidden_for(), WAIT).await?;
            if received.is_empty() {
                break;
            }
            let new = {
                let mut state = self.state();
                let mut new = Vec::new();
                for letter in received {
                    let handle = letter.receipt_handle.clone();
                    // One that came back is not judged again.
                    if state.held.insert(letter.message_id.clone(), handle).is_none() {
                        new.push(letter);
                    }
                }
                state.nothing_new = if new.is_empty() { state.nothing_new + 1 } else { 0 };
                new
            };
            let letters = join(&self.ledger, new).await?;
            let to_move: Vec<&Letter> =
                letters.iter().filter(|letter| self.is_to_move(letter)).collect();
            for batch in to_move.chunks(self.batch_size()) {
                self.take_turns(batch.len()).await;
                if self.is_over() {
                    break;
                }
                self.send_then_delete(batch).await?;
            }
        }
        Ok(())
    }

    fn is_to_move(&self, letter: &Letter) -> bool {
        let Some(Pointer { key, life }) = &letter.pointer else { return false };
        if !letter.fate.is_worth_moving() || !self.order.filter.matches(letter) {
            return false;
        }
        let mut state = self.state();
        if state.sent.get(key).is_some_and(|sent| life > sent) {
            return false;
        }
        if letter.fate != Fate::Over {
            state.sent.insert(key.clone(), *life);
        }
        true
    }

    async fn send_then_delete(&self, letters: &[&Letter]) -> Result<(), Fault> {
        let named: Vec<_> =
            letters.iter().map(|letter| (letter.source(), &letter.received)).collect();
        let sent = self.dead_letter_queue.send_to(self.order.queue_url, &named).await?;
        let mut taken = Vec::with_capacity(letters.len());
        for ((_, letter), result) in named.into_iter().zip(sent) {
            match result {
                Ok(()) => taken.push(letter),
                Err(fault) => self.failed(&fault),
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        let deleted = self.dead_letter_queue.delete(&taken).await?;
        for (letter, result) in taken.into_iter().zip(deleted) {
            match result {
                Ok(()) => {
                    let mut state = self.state();
                    state.held.remove(&letter.message_id);
                    state.moved.count += 1;
                    self.progress.step();
                }
                Err(fault) => self.failed(&fault),
            }
        }
        Ok(())
    }

    fn failed(&self, fault: &QueueError) {
        let moved = &mut self.state().moved;
        moved.failed += 1;
        moved.first_fault.get_or_insert_with(|| fault.to_string());
    }

    /// What one receive brings waits for its turns.
    fn hidden_for(&self) -> Duration {
        let turns = self.order.rate.map_or(0, |rate| LETTERS_AT_ONCE as u64 / u64::from(rate));
        HIDDEN_FOR + Duration::from_secs(turns)
    }

    /// Small where it is slow, so that the rate is kept within a second too.
    fn batch_size(&self) -> usize {
        let rate = self.order.rate.and_then(|rate| usize::try_from(rate).ok());
        rate.map_or(LETTERS_AT_ONCE, |rate| (rate / 10).clamp(1, LETTERS_AT_ONCE))
    }

    async fn take_turns(&self, count: usize) {
        let Some(pace) = &self.pace else { return };
        let mut pace = pace.lock().await;
        for _ in 0..count {
            pace.turn().await;
        }
    }

    fn is_over(&self) -> bool {
        let mut state = self.state();
        // Letters that stay come back while this runs. Having met as many as are
        // held twice over without a new one, there are no others.
        state.is_over |= state.nothing_new > 20 + 2 * state.held.len().div_ceil(LETTERS_AT_ONCE);
        state.is_over || self.stop.is_asked()
    }

    /// Makes what stays visible again at once.
    async fn release(self) -> Moved {
        let state = self.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let held: Vec<String> = state.held.into_values().collect();
        stream::iter(held.chunks(LETTERS_AT_ONCE))
            .for_each_concurrent(MOVERS as usize, |batch| async {
                // What fails is visible again by itself all the same.
                let _ = self.dead_letter_queue.release(batch).await;
            })
            .await;
        state.moved
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
