//! Gathers what is published at the same time into one call.
//!
//! ```text
//! run a ─ joins ─┐                           ┌─▶ a's outcome
//! run b ─ joins ─┼─ lingers, or full ─ call ─┼─▶ b's outcome
//! run c ─ joins ─┘                           └─▶ c's outcome
//! ```
//!
//! The messages of a batch are handled at the same time in one process, so what they
//! publish meets here. A batch is one future that its runs share: any of them drives
//! it for all. So nobody is the leader, and a run that is dropped, because its time
//! is over, leaves the others theirs. It takes its own entry back where the call was
//! not yet made. With the last run the batch is gone: nothing goes on in the
//! background or in a later invocation.
//!
//! A call that is refused for what is in it says nothing of whose fault it is, so it
//! is taken apart, and each entry goes alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared, join_all};
use tokio::sync::Notify;

use super::entry::{ENTRIES_MAX, Entry};

/// Why an entry was not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The call failed, whatever was in it; the reason.
    Call(String),
    /// The call was refused for what is in it; the code.
    Refused(String),
    /// The call succeeded, and this entry did not.
    Entry {
        /// The service's error code.
        code: String,
        /// What it says besides.
        message: String,
    },
}

/// The outcomes of one call's entries, in their order.
pub(super) type Outcomes = Vec<Result<(), Fault>>;

/// Where entries go, at most [`ENTRIES_MAX`] at a time.
pub(super) trait Bus: Send + Sync + 'static {
    /// Puts them in one call: as many outcomes as there are entries, or one for all.
    fn put<'a>(&'a self, entries: &'a [Entry]) -> BoxFuture<'a, Result<Outcomes, Fault>>;
}

/// Puts entries on a bus, those of the same moment in one call.
pub(super) struct Gatherer<B> {
    bus: Arc<B>,
    linger: Duration,
    max_bytes: usize,
    open: Mutex<Option<Open>>,
}

/// The batch that can still be joined, while anybody waits for it.
struct Open {
    batch: Weak<Batch>,
    running: WeakShared<Running>,
}

/// By place; nothing for an entry that was taken back.
type Running = BoxFuture<'static, Arc<Vec<Option<Result<(), Fault>>>>>;

impl<B: Bus> Gatherer<B> {
    /// `linger` is how long an entry waits for others; `max_bytes` is what one call
    /// takes.
    pub(super) fn new(bus: B, linger: Duration, max_bytes: usize) -> Self {
        Self { bus: Arc::new(bus), linger, max_bytes, open: Mutex::default() }
    }

    /// Puts one entry, and waits for what becomes of it.
    pub(super) async fn put(&self, entry: Entry) -> Result<(), Fault> {
        let seat = self.join(entry);
        let outcomes = seat.running.clone().await;
        let outcome = outcomes.get(seat.place).cloned().flatten();
        outcome.unwrap_or_else(|| Err(Fault::Call("the entry was taken back".to_owned())))
    }

    fn join(&self, entry: Entry) -> Seat {
        let mut open = lock(&self.open);
        let joinable =
            open.as_ref().and_then(|open| Some((open.batch.upgrade()?, open.running.upgrade()?)));
        let entry = match joinable {
            None => entry,
            Some((batch, running)) => match batch.add(entry, self.max_bytes) {
                Ok(place) => return Seat { batch, place, running },
                Err(entry) => entry,
            },
        };
        let batch = Arc::new(Batch::of(entry));
        let running = run(Arc::clone(&self.bus), Arc::clone(&batch), self.linger).boxed().shared();
        *open = running.downgrade().map(|running| Open { batch: Arc::downgrade(&batch), running });
        Seat { batch, place: 0, running }
    }
}

/// A run's place in a batch. Dropped before the call, it takes its entry back.
struct Seat {
    batch: Arc<Batch>,
    place: usize,
    running: Shared<Running>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(entry) = lock(&self.batch.gathered).entries.get_mut(self.place) {
            *entry = None;
        }
    }
}

struct Batch {
    gathered: Mutex<Gathered>,
    full: Notify,
}

struct Gathered {
    entries: Vec<Option<Entry>>,
    bytes: usize,
    is_closed: bool,
}

impl Batch {
    fn of(first: Entry) -> Self {
        let bytes = first.bytes();
        let gathered = Gathered { entries: vec![Some(first)], bytes, is_closed: false };
        Self { gathered: Mutex::new(gathered), full: Notify::new() }
    }

    /// The entry's place, or the entry itself where it has no room.
    fn add(&self, entry: Entry, max_bytes: usize) -> Result<usize, Entry> {
        let mut gathered = lock(&self.gathered);
        if gathered.is_closed {
            return Err(entry);
        }
        let has_room = gathered.bytes + entry.bytes() <= max_bytes;
        let place = gathered.entries.len();
        gathered.is_closed = !has_room || place + 1 == ENTRIES_MAX;
        if gathered.is_closed {
            self.full.notify_one();
        }
        if !has_room {
            return Err(entry);
        }
        gathered.bytes += entry.bytes();
        gathered.entries.push(Some(entry));
        Ok(place)
    }

    /// What is to be sent, by place. Nobody joins any more, and nothing is taken back.
    fn close(&self) -> Vec<Option<Entry>> {
        let mut gathered = lock(&self.gathered);
        gathered.is_closed = true;
        std::mem::take(&mut gathered.entries)
    }
}

async fn run<B: Bus>(
    bus: Arc<B>,
    batch: Arc<Batch>,
    linger: Duration,
) -> Arc<Vec<Option<Result<(), Fault>>>> {
    tokio::select! {
        () = tokio::time::sleep(linger) => {}
        () = batch.full.notified() => {}
    }
    let places = batch.close();
    let is_there: Vec<bool> = places.iter().map(Option::is_some).collect();
    let entries: Vec<Entry> = places.into_iter().flatten().collect();
    let mut outcomes = put(&*bus, &entries).await.into_iter();
    Arc::new(is_there.into_iter().map(|it| if it { outcomes.next() } else { None }).collect())
}

async fn put<B: Bus>(bus: &B, entries: &[Entry]) -> Outcomes {
    match bus.put(entries).await {
        Ok(outcomes) => outcomes,
        Err(Fault::Refused(_)) if entries.len() > 1 => {
            let alone = entries.chunks(1).map(|entry| bus.put(entry));
            let outcomes = join_all(alone).await.into_iter();
            outcomes.map(|it| it.and_then(|mut it| it.pop().unwrap_or(Ok(())))).collect()
        }
        Err(fault) => vec![Err(fault); entries.len()],
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
