//! A process that dies at a chosen step: before it, or after its effect and
//! before its answer is seen.
//!
//! Every write to ledger or queue and every effect of a handler is a step. The
//! step that is chosen never returns; whoever runs the process sees the fuse
//! blow and drops it, as `kill -9` would.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{
    Begin, Begun, Burial, Claimed, Completed, Completion, Deferral, Due, DuePage, Failure,
    Forgetting, Ledger, LedgerError, NewEvent, Record, Reopening, Settled,
};
use inbox_core::marks::{MarkedRoutes, Marks};
use inbox_core::queue::{Backlog, DeadLetter, Queue, QueueError};
use tokio::sync::Notify;

/// On which side of a step the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// Where a process dies: the step's name, and the side.
pub(crate) type Place = (&'static str, Side);

/// Hears of a step's name.
type OnStep = Box<dyn Fn(&'static str) + Send>;

/// Blows at given steps, counted over all processes of a world.
#[derive(Default)]
pub(crate) struct Fuse {
    at: Vec<(usize, Side)>,
    steps: AtomicUsize,
    blown: Notify,
    places: Mutex<Vec<Place>>,
    failing: Mutex<Option<&'static str>>,
    failing_once: Mutex<Option<&'static str>>,
    index: Mutex<Option<Vec<Due>>>,
    after_begin: Mutex<Option<Box<dyn Fn() + Send>>>,
    on_step: Mutex<Option<OnStep>>,
    unreadable: AtomicUsize,
}

impl Fuse {
    pub(crate) fn new(at: &[(usize, Side)]) -> Arc<Self> {
        Arc::new(Self { at: at.to_vec(), ..Self::default() })
    }

    /// From now on every write of this name is answered with a fault.
    pub(crate) fn fail_at(&self, step: &'static str) {
        *self.failing.lock().unwrap() = Some(step);
    }

    /// The next write of this name is answered with a fault.
    pub(crate) fn fail_once_at(&self, step: &'static str) {
        *self.failing_once.lock().unwrap() = Some(step);
    }

    /// From now on the index `open` shows these rows, as one that lags does.
    pub(crate) fn freeze_index(&self, rows: Vec<Due>) {
        *self.index.lock().unwrap() = Some(rows);
    }

    /// Does this whenever an event has been begun.
    pub(crate) fn after_begin(&self, act: impl Fn() + Send + 'static) {
        *self.after_begin.lock().unwrap() = Some(Box::new(act));
    }

    /// Does this after each step's effect.
    pub(crate) fn on_step(&self, act: impl Fn(&'static str) + Send + 'static) {
        *self.on_step.lock().unwrap() = Some(Box::new(act));
    }

    /// The next so many events that are swept cannot be read.
    pub(crate) fn unreadable_first(&self, count: usize) {
        self.unreadable.store(count, Ordering::SeqCst);
    }

    /// A write to the ledger, which may be told to fail.
    async fn write<T>(
        &self,
        name: &'static str,
        effect: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        let is_next = self.failing_once.lock().unwrap().take_if(|step| *step == name).is_some();
        if is_next || *self.failing.lock().unwrap() == Some(name) {
            return Err(LedgerError::Unavailable("UpdateItem: ThrottlingException".into()));
        }
        self.step(name, effect).await
    }

    /// Where it has blown so far.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.places.lock().unwrap().clone()
    }

    /// How many steps were taken.
    pub(crate) fn steps(&self) -> usize {
        self.steps.load(Ordering::SeqCst)
    }

    /// Runs a process to its end (`Some`), or to its death (`None`).
    pub(crate) async fn run<T>(&self, process: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.blown.notified() => None,
            ended = process => Some(ended),
        }
    }

    pub(crate) async fn step<T>(&self, name: &'static str, effect: impl Future<Output = T>) -> T {
        let number = self.steps.fetch_add(1, Ordering::SeqCst);
        self.blow_if(number, name, Side::Before).await;
        let answer = effect.await;
        if let Some(act) = &*self.on_step.lock().unwrap() {
            act(name);
        }
        self.blow_if(number, name, Side::After).await;
        answer
    }

    async fn blow_if(&self, number: usize, name: &'static str, side: Side) {
        if self.at.contains(&(number, side)) {
            self.places.lock().unwrap().push((name, side));
            self.blown.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// A ledger or queue whose writes are steps.
pub(crate) struct Fused<T> {
    pub(crate) inner: Arc<T>,
    pub(crate) fuse: Arc<Fuse>,
}

impl<L: Ledger> Ledger for Fused<L> {
    async fn claim(&self, new: &NewEvent) -> Result<Claimed, LedgerError> {
        self.fuse.write("claim", self.inner.claim(new)).await
    }

    async fn begin(
        &self,
        key: &EventKey,
        begin: &Begin,
        now: Timestamp,
    ) -> Result<Begun, LedgerError> {
        let begun = self.fuse.write("begin", self.inner.begin(key, begin, now)).await;
        if let Some(act) = &*self.fuse.after_begin.lock().unwrap() {
            act();
        }
        begun
    }

    async fn finish(&self, record: &Record, now: Timestamp) -> Result<Completed, LedgerError> {
        self.fuse.write("complete", self.inner.finish(record, now)).await
    }

    async fn complete(
        &self,
        record: &Record,
        route: &str,
        others: &[&str],
        completion: Completion,
    ) -> Result<Completed, LedgerError> {
        self.fuse.write("complete", self.inner.complete(record, route, others, completion)).await
    }

    async fn fail(&self, failure: &Failure<'_>, now: Timestamp) -> Result<Settled, LedgerError> {
        self.fuse.write("fail", self.inner.fail(failure, now)).await
    }

    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Settled, LedgerError> {
        self.fuse.write("defer", self.inner.defer(deferral)).await
    }

    async fn bury(&self, burial: &Burial<'_>, now: Timestamp) -> Result<Settled, LedgerError> {
        self.fuse.write("bury", self.inner.bury(burial, now)).await
    }

    async fn reopen(
        &self,
        reopening: &Reopening<'_>,
        now: Timestamp,
    ) -> Result<Settled, LedgerError> {
        self.fuse.write("reopen", self.inner.reopen(reopening, now)).await
    }

    async fn forget(
        &self,
        forgetting: &Forgetting<'_>,
        now: Timestamp,
    ) -> Result<Settled, LedgerError> {
        self.fuse.write("forget", self.inner.forget(forgetting, now)).await
    }

    async fn sweep(&self, due: &Due, due_at: Timestamp) -> Result<Option<Record>, LedgerError> {
        let left = self.fuse.unreadable.load(Ordering::SeqCst);
        if left > 0 {
            self.fuse.unreadable.store(left - 1, Ordering::SeqCst);
            return Err(LedgerError::Unreadable("schema 9".into()));
        }
        self.fuse.write("sweep", self.inner.sweep(due, due_at)).await
    }

    // Reading changes nothing, so dying around it is dying around its neighbours.

    async fn due(
        &self,
        shard: u32,
        after: Option<&Due>,
        limit: u32,
        now: Timestamp,
    ) -> Result<DuePage, LedgerError> {
        let frozen = self.fuse.index.lock().unwrap().clone();
        let Some(rows) = frozen else { return self.inner.due(shard, after, limit, now).await };
        let behind = after.map_or(0, |after| 1 + rows.iter().position(|row| row == after).unwrap());
        let due: Vec<Due> = rows[behind..].iter().take(limit as usize).cloned().collect();
        Ok(DuePage { is_last: behind + due.len() == rows.len(), due })
    }

    async fn oldest_dead(
        &self,
        shard: u32,
        since: Timestamp,
    ) -> Result<Option<Timestamp>, LedgerError> {
        self.inner.oldest_dead(shard, since).await
    }

    async fn load(&self, record: &mut Record) -> Result<(), LedgerError> {
        self.inner.load(record).await
    }

    async fn get(&self, key: &EventKey) -> Result<Option<Record>, LedgerError> {
        self.inner.get(key).await
    }
}

impl<L: Marks> Marks for Fused<L> {
    async fn marks(&self) -> Result<MarkedRoutes, LedgerError> {
        self.inner.marks().await
    }

    async fn mark(&self, route: &str, slow_at: Timestamp) -> Result<(), LedgerError> {
        self.fuse.write("mark", self.inner.mark(route, slow_at)).await
    }

    async fn unmark(&self, route: &str, slow_at: Timestamp) -> Result<(), LedgerError> {
        self.fuse.write("unmark", self.inner.unmark(route, slow_at)).await
    }
}

impl<Q: Queue> Queue for Fused<Q> {
    async fn send(&self, event: &Event, life: u32) -> Result<(), QueueError> {
        self.fuse.step("send", self.inner.send(event, life)).await
    }

    async fn send_to_lane(
        &self,
        event: &Event,
        life: u32,
        delay: Duration,
    ) -> Result<(), QueueError> {
        self.fuse.step("send_to_lane", self.inner.send_to_lane(event, life, delay)).await
    }

    async fn send_dead(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        self.fuse.step("send_dead", self.inner.send_dead(letter)).await
    }

    async fn hide(
        &self,
        receipt_handle: &str,
        from_lane: bool,
        seconds: u32,
    ) -> Result<(), QueueError> {
        self.fuse.step("hide", self.inner.hide(receipt_handle, from_lane, seconds)).await
    }
}

impl<Q: Backlog> Backlog for Fused<Q> {
    async fn waiting(&self) -> Result<u64, QueueError> {
        if *self.fuse.failing.lock().unwrap() == Some("waiting") {
            return Err(QueueError("GetQueueAttributes: AccessDenied".into()));
        }
        self.inner.waiting().await
    }
}
