//! Looking through the dead-letter queue.
//!
//! ```text
//! depth ─▶ receive, several at once ─▶ … ─▶ nothing new comes ─▶ release
//!             each letter is hidden for a few seconds
//! ```
//!
//! Looking is receiving: SQS has no other way. So a letter is hidden while it is
//! looked at, and released as soon as all are seen, also after a fault and when
//! somebody asks to stop. Should this process be killed, SQS shows the letters
//! again by itself: after 5 s, and up to 10 s more where there are thousands. The
//! receive count of each goes up by one, which nothing depends on.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use inbox_aws::{DeadLetterQueue, Depth, LETTERS_AT_ONCE, ReceivedLetter};
use tokio::time::Instant;

use crate::console::{Console, Progress};
use crate::fault::Fault;
use crate::stop::Stop;

/// Receives at once.
const RECEIVERS: usize = 16;
/// How long SQS searches all its servers before it says that there is nothing.
const WAIT: Duration = Duration::from_secs(1);
/// How long a letter is hidden, at least and at most.
const HIDDEN_SECONDS: (u64, u64) = (5, 15);
/// Letters that are looked through within a second, at the slowest.
const LETTERS_A_SECOND: u64 = 1000;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Look {
    /// How many letters SQS counted before.
    pub depth: Depth,
    /// Those that were seen, in no order.
    pub letters: Vec<ReceivedLetter>,
    /// Whether there are no others.
    pub is_whole: bool,
}

/// Sees at most about `most` letters.
///
/// # Errors
///
/// SQS does not answer; [`Fault::Interrupted`].
pub async fn look(
    queue: &DeadLetterQueue,
    most: usize,
    stop: &Stop,
    console: &Console,
) -> Result<Look, Fault> {
    let depth = queue.depth().await?;
    let expected = depth.visible.min(most as u64);
    let (least, longest) = HIDDEN_SECONDS;
    let hidden_for = Duration::from_secs((least + expected / LETTERS_A_SECOND).min(longest));
    let looking = Looking {
        queue,
        depth,
        most,
        hidden_for,
        stop,
        progress: console.progress("dead letters looked at", Some(expected)),
        seen: Mutex::default(),
    };
    let receivers = usize::try_from(expected).unwrap_or(usize::MAX).div_ceil(LETTERS_AT_ONCE);
    let receivers = receivers.clamp(1, RECEIVERS);
    let gathered = join_all((0..receivers).map(|_| looking.gather())).await;
    let seen = looking.put_back().await;
    gathered.into_iter().collect::<Result<(), Fault>>()?;
    if stop.is_asked() {
        let done = "stopped while looking; nothing was changed".to_owned();
        return Err(Fault::Interrupted { done });
    }
    let is_over = seen.is_over;
    let letters: Vec<ReceivedLetter> = seen.letters.into_values().map(|held| held.letter).collect();
    let is_whole = is_over && letters.len() as u64 >= depth.total();
    Ok(Look { depth, letters, is_whole })
}

/// One look, by several receivers.
struct Looking<'a> {
    queue: &'a DeadLetterQueue,
    depth: Depth,
    most: usize,
    hidden_for: Duration,
    stop: &'a Stop,
    progress: Progress,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    letters: HashMap<String, Held>,
    /// Receives one after another that brought only what was seen before.
    nothing_new: usize,
    /// Receives that are under way.
    under_way: usize,
    /// A receiver found the end, or a fault.
    is_over: bool,
}

struct Held {
    letter: ReceivedLetter,
    since: Instant,
}

impl Looking<'_> {
    async fn gather(&self) -> Result<(), Fault> {
        while !self.stop.is_asked() {
            let Some(wait) = self.next() else { break };
            let since = Instant::now();
            let received = match self.queue.receive(self.hidden_for, wait).await {
                Ok(received) => received,
                Err(fault) => {
                    self.seen().is_over = true;
                    return Err(fault.into());
                }
            };
            let mut seen = self.seen();
            seen.under_way -= 1;
            if received.is_empty() {
                seen.is_over = true;
                break;
            }
            let before = seen.letters.len();
            for letter in received {
                seen.letters.insert(letter.message_id.clone(), Held { letter, since });
            }
            let new = seen.letters.len() - before;
            seen.nothing_new = if new == 0 { seen.nothing_new + 1 } else { 0 };
            self.progress.add(new as u64);
        }
        Ok(())
    }

    /// How long the next receive may wait; `None` when there is to be none.
    fn next(&self) -> Option<Duration> {
        let mut seen = self.seen();
        let count = seen.letters.len();
        // Letters come back while we look when there are very many. Having met
        // as many as there are twice over without a new one, we know them all.
        seen.is_over |= seen.nothing_new > RECEIVERS + 2 * count.div_ceil(LETTERS_AT_ONCE);
        if seen.is_over || count >= self.most {
            return None;
        }
        // Whoever asks for what the others are about to bring would wait in vain.
        let coming = seen.under_way * LETTERS_AT_ONCE;
        if coming > 0 && (count + coming) as u64 >= self.depth.visible {
            return None;
        }
        seen.under_way += 1;
        let all_seen = count > 0 && count as u64 >= self.depth.visible;
        Some(if all_seen { Duration::ZERO } else { WAIT })
    }

    /// Makes everything visible again. What is visible by itself by now may be
    /// in somebody else's hands, and is left to them.
    async fn put_back(self) -> Seen {
        let seen = self.seen.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let held: Vec<String> = seen
            .letters
            .values()
            .filter(|held| held.since.elapsed() < self.hidden_for)
            .map(|held| held.letter.receipt_handle.clone())
            .collect();
        stream::iter(held.chunks(LETTERS_AT_ONCE))
            .for_each_concurrent(RECEIVERS, |batch| async {
                // What fails is visible again within seconds all the same.
                let _ = self.queue.release(batch).await;
            })
            .await;
        seen
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
