//! How many bytes the events of a batch may take up at once.
//!
//! ```text
//! message ─ what it may take ─▶ waits for room ─▶ begin ─ what it does take ─▶ run
//!           by the size it names │                        the rest is given back
//!                                └ none in time ─▶ left in the queue, not begun
//! ```
//!
//! Ten events of 6 MB, each for many routes, do not fit a small function at once, and a
//! process that runs out of memory takes all of them along. So an event waits for room
//! *before* it is begun: no attempt is counted while it waits, no lease runs, and its
//! handlers have their whole time afterwards.
//!
//! Room is taken once and only ever given back, so that no two events wait for each
//! other. It is handed out in the order in which it was asked for, and an event that is
//! larger than all room runs when there is no other.

use std::time::Duration;

use inbox_core::stack::stack;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Room is counted in pieces of this size: a semaphore hands out 32 bits of them at once.
const PIECE_BYTES: usize = 1024;
/// So much of the function's memory is for events; the rest is the process's own, and
/// what allocators keep between two events.
const SHARE_PERCENT: usize = 45;
/// The payload, as it comes compressed, as that is gathered, and as it is unpacked.
const COPIES_WHILE_LOADED: usize = 3;
/// Buffers of one route's connection, TLS included.
const CONNECTION_BYTES: usize = 64 * 1024;

/// The room of one process.
pub struct Budget {
    room: Semaphore,
    pieces: u32,
}

/// What one event has of it, until it is dropped.
pub(crate) struct Room<'a> {
    held: SemaphorePermit<'a>,
}

impl Budget {
    /// Room for so many bytes of events.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Self {
        // More than that nobody has.
        let pieces = u32::try_from(bytes / PIECE_BYTES).unwrap_or(u32::MAX / 8).max(1);
        Self { room: Semaphore::new(pieces as usize), pieces }
    }

    /// The room of a function with so much memory.
    #[must_use]
    pub fn of_memory(megabytes: usize) -> Self {
        Self::of_bytes(megabytes * 1024 * 1024 / 100 * SHARE_PERCENT)
    }

    /// Waits until there is room for so many bytes; nothing when there is none in time.
    /// More than there is at all is all there is.
    pub(crate) async fn enter(&self, bytes: usize, within: Duration) -> Option<Room<'_>> {
        let taken = self.room.acquire_many(pieces_of(bytes).min(self.pieces));
        let held = tokio::time::timeout(within, taken).await.ok()?;
        // Nobody closes it.
        Some(Room { held: held.ok()? })
    }
}

impl Room<'_> {
    /// Gives back what is more than so many bytes.
    pub(crate) fn keep(&mut self, bytes: usize) {
        let spare = self.held.num_permits().saturating_sub(pieces_of(bytes) as usize);
        drop(self.held.split(spare));
    }
}

fn pieces_of(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX)
}

/// What an event takes up whose payload has so many bytes: the payload as it is loaded,
/// then itself and its one envelope, which is no longer; and what its routes' handlers
/// copy of the envelope, `copied` telling it of each.
pub(crate) fn bytes_of(payload_bytes: usize, copied: impl Iterator<Item = usize>) -> usize {
    let of_routes: usize = copied.map(|bytes| bytes + CONNECTION_BYTES).sum();
    payload_bytes * COPIES_WHILE_LOADED + of_routes
}

/// How long an envelope may be, at most: base64 has four characters for three bytes.
pub(crate) fn envelope_bytes(payload_bytes: usize) -> usize {
    payload_bytes / 3 * 4 + 2048
}

/// The largest payload there is.
pub(crate) fn payload_bytes_most() -> usize {
    stack().defaults.max_body_bytes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);
    const KIB: usize = 1024;

    #[tokio::test]
    async fn no_more_is_handed_out_than_there_is_and_all_have_their_turn() {
        let budget = Budget::of_bytes(100 * KIB);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let run = |bytes: usize| {
            let (budget, now, most) = (&budget, Arc::clone(&now), Arc::clone(&most));
            async move {
                let _room = budget.enter(bytes, LONG).await.expect("a turn");
                let held = now.fetch_add(bytes, Ordering::SeqCst) + bytes;
                most.fetch_max(held, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(bytes, Ordering::SeqCst);
            }
        };
        join_all((0..50).map(|n| run((n % 5 + 1) * 20 * KIB))).await;
        let most = most.load(Ordering::SeqCst);
        assert_eq!(most, 100 * KIB, "all of the room is used, and no more");
    }

    #[tokio::test]
    async fn what_is_larger_than_all_room_runs_when_there_is_no_other() {
        let budget = Budget::of_bytes(10 * KIB);
        let other = budget.enter(KIB, LONG).await.expect("room");
        assert!(budget.enter(1024 * KIB, Duration::from_millis(1)).await.is_none());
        drop(other);
        let _alone = budget.enter(1024 * KIB, LONG).await.expect("all of it");
        assert!(budget.enter(1, Duration::from_millis(1)).await.is_none());
    }

    #[tokio::test]
    async fn what_is_not_needed_is_given_back() {
        let budget = Budget::of_bytes(10 * KIB);
        let mut room = budget.enter(10 * KIB, LONG).await.expect("room");
        room.keep(4 * KIB);
        let _next = budget.enter(6 * KIB, LONG).await.expect("what was given back");
        room.keep(8 * KIB);
        assert!(budget.enter(1, Duration::from_millis(1)).await.is_none(), "nothing is taken back");
    }

    /// By the figures of `infra/stack.json`: what the documented limits ask for.
    #[test]
    fn ten_of_the_largest_events_fit_the_functions_memory_with_every_route_forwarding() {
        let one = bytes_of(payload_bytes_most(), std::iter::repeat_n(0, 32));
        let budget = Budget::of_memory(stack().processor.memory_mb as usize);
        let all = pieces_of(one) * stack().event_source_mapping.batch_size;
        assert!(all <= budget.pieces, "ten events wait for each other: {all} > {}", budget.pieces);
    }
}
