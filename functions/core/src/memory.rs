//! Ledger, queue and secrets in memory: the reference that the rules are tested
//! on, and the ground of every test that needs no AWS.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Timestamp;
use crate::event::{Event, EventKey};
use crate::ledger::{
    Begin, Begun, Burial, Claimed, Completed, Completion, Deferral, Due, DuePage, Failure,
    Forgetting, Ledger, LedgerError, NewEvent, Open, Record, Reopened, Reopening, Settled,
    apply_begin, apply_bury, apply_complete, apply_defer, apply_fail, apply_finish, apply_forget,
    apply_reopen, apply_sweep, judge_claim, shard_of,
};
use crate::marks::{MarkedRoutes, Marks};
use crate::queue::{Backlog, DeadLetter, Pointer, Queue, QueueError};
use crate::secrets::{SecretBundle, Secrets, SecretsError};
use crate::stack::stack;

/// A ledger that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    records: Mutex<BTreeMap<EventKey, Record>>,
    marks: Mutex<MarkedRoutes>,
}

impl MemoryLedger {
    fn records(&self) -> MutexGuard<'_, BTreeMap<EventKey, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All records, by key.
    #[must_use]
    pub fn all(&self) -> Vec<Record> {
        self.records().values().cloned().collect()
    }
}

impl Ledger for MemoryLedger {
    async fn claim(&self, new: &NewEvent) -> Result<Claimed, LedgerError> {
        let mut records = self.records();
        let held = records.get(&new.event.key);
        let claimed = judge_claim(held, new, None);
        let is_ours = held.is_some_and(|record| record.request_id == new.request_id);
        if claimed == Claimed::Fresh && !is_ours {
            records.insert(new.event.key.clone(), Record::claimed(new));
        }
        Ok(claimed)
    }

    async fn begin(
        &self,
        key: &EventKey,
        begin: &Begin,
        now: Timestamp,
    ) -> Result<Begun, LedgerError> {
        let mut records = self.records();
        let begun = apply_begin(records.get(key).cloned(), begin, now);
        if let Begun::Run(record) = &begun {
            records.insert(key.clone(), (**record).clone());
        }
        Ok(begun)
    }

    async fn finish(&self, record: &Record, now: Timestamp) -> Result<Completed, LedgerError> {
        let mut records = self.records();
        Ok(apply_finish(records.get_mut(&record.event.key), record, now))
    }

    async fn complete(
        &self,
        record: &Record,
        route: &str,
        others: &[&str],
        completion: Completion,
    ) -> Result<Completed, LedgerError> {
        let mut records = self.records();
        let held = records.get_mut(&record.event.key);
        Ok(apply_complete(held, record, route, others, completion))
    }

    async fn fail(&self, failure: &Failure<'_>, now: Timestamp) -> Result<Settled, LedgerError> {
        let mut records = self.records();
        let held = records.get_mut(&failure.record.event.key);
        Ok(settled(apply_fail(held, failure, now)))
    }

    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Settled, LedgerError> {
        let mut records = self.records();
        let held = records.get_mut(&deferral.record.event.key);
        Ok(settled(apply_defer(held, deferral)))
    }

    async fn bury(&self, burial: &Burial<'_>, now: Timestamp) -> Result<Settled, LedgerError> {
        let mut records = self.records();
        let held = records.get_mut(&burial.record.event.key);
        Ok(settled(apply_bury(held, burial, now)))
    }

    async fn reopen(
        &self,
        reopening: &Reopening<'_>,
        now: Timestamp,
    ) -> Result<Settled, LedgerError> {
        let mut records = self.records();
        let held = records.get_mut(&reopening.record.event.key);
        Ok(settled(apply_reopen(held, reopening, now) != Reopened::Refused))
    }

    async fn forget(
        &self,
        forgetting: &Forgetting<'_>,
        now: Timestamp,
    ) -> Result<Settled, LedgerError> {
        let mut records = self.records();
        let held = records.get_mut(&forgetting.record.event.key);
        Ok(settled(apply_forget(held, forgetting, now)))
    }

    async fn due(
        &self,
        shard: u32,
        after: Option<&Due>,
        limit: u32,
        now: Timestamp,
    ) -> Result<DuePage, LedgerError> {
        let shards = stack().table.open_index.shards;
        let mut due: Vec<Due> = self
            .records()
            .iter()
            .filter(|(key, _)| shard_of(key, shards) == shard)
            .filter_map(|(key, record)| match record.open {
                Some(Open::Pending { due_at }) if due_at <= now => {
                    Some(Due { key: key.clone(), due_at, sweeps: record.sweeps })
                }
                _ => None,
            })
            .collect();
        let place = |due: &Due| (due.due_at, due.key.clone());
        due.sort_by_key(place);
        due.retain(|due| after.is_none_or(|after| place(due) > place(after)));
        let is_last = due.len() <= limit as usize;
        due.truncate(limit as usize);
        Ok(DuePage { due, is_last })
    }

    async fn oldest_dead(
        &self,
        shard: u32,
        since: Timestamp,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let shards = stack().table.open_index.shards;
        let records = self.records();
        let dead = records.iter().filter_map(|(key, record)| match record.open {
            Some(Open::Dead { due_at }) if shard_of(key, shards) == shard => Some(due_at),
            _ => None,
        });
        Ok(dead.filter(|died_at| *died_at > since).min())
    }

    async fn sweep(&self, due: &Due, due_at: Timestamp) -> Result<Option<Record>, LedgerError> {
        let mut records = self.records();
        let held = records.get_mut(&due.key);
        let swept = apply_sweep(held, due, due_at);
        Ok(records.get(&due.key).filter(|_| swept).cloned())
    }

    async fn load(&self, _: &mut Record) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn get(&self, key: &EventKey) -> Result<Option<Record>, LedgerError> {
        Ok(self.records().get(key).cloned())
    }
}

impl Marks for MemoryLedger {
    async fn marks(&self) -> Result<MarkedRoutes, LedgerError> {
        Ok(lock(&self.marks).clone())
    }

    async fn mark(&self, route: &str, slow_at: Timestamp) -> Result<(), LedgerError> {
        let mut marks = lock(&self.marks);
        let latest = marks.get(route).map_or(slow_at, |before| slow_at.max(*before));
        marks.insert(route.to_owned(), latest);
        Ok(())
    }

    async fn unmark(&self, route: &str, slow_at: Timestamp) -> Result<(), LedgerError> {
        let mut marks = lock(&self.marks);
        if marks.get(route) == Some(&slow_at) {
            marks.remove(route);
        }
        Ok(())
    }
}

fn settled(written: bool) -> Settled {
    if written { Settled::Written } else { Settled::Refused }
}

/// A queue that keeps what was sent, in order.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    sent: Mutex<Vec<(Pointer, String)>>,
    lane: Mutex<Vec<(Pointer, String, Duration)>>,
    dead: Mutex<Vec<DeadLetter>>,
    hidden: Mutex<Vec<(String, u32)>>,
}

impl MemoryQueue {
    /// Takes all messages sent since the last call, oldest first, with bodies.
    pub fn take(&self) -> Vec<(Pointer, String)> {
        std::mem::take(&mut *lock(&self.sent))
    }

    /// Takes all messages sent into the lane since the last call, oldest first, with
    /// bodies and delays.
    pub fn take_lane(&self) -> Vec<(Pointer, String, Duration)> {
        std::mem::take(&mut *lock(&self.lane))
    }

    /// Takes all dead letters, oldest first.
    pub fn take_dead(&self) -> Vec<DeadLetter> {
        std::mem::take(&mut *lock(&self.dead))
    }

    /// Takes all calls to hide a message: receipt handle and seconds.
    pub fn take_hidden(&self) -> Vec<(String, u32)> {
        std::mem::take(&mut *lock(&self.hidden))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue for MemoryQueue {
    async fn send(&self, event: &Event, life: u32) -> Result<(), QueueError> {
        let pointer = Pointer { key: event.key.clone(), life };
        lock(&self.sent).push((pointer, Pointer::body(event, life)));
        Ok(())
    }

    async fn send_to_lane(
        &self,
        event: &Event,
        life: u32,
        delay: Duration,
    ) -> Result<(), QueueError> {
        let pointer = Pointer { key: event.key.clone(), life };
        lock(&self.lane).push((pointer, Pointer::body(event, life), delay));
        Ok(())
    }

    async fn send_dead(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        lock(&self.dead).push(letter.clone());
        Ok(())
    }

    async fn hide(&self, receipt_handle: &str, _: bool, seconds: u32) -> Result<(), QueueError> {
        lock(&self.hidden).push((receipt_handle.to_owned(), seconds));
        Ok(())
    }
}

impl Backlog for MemoryQueue {
    async fn waiting(&self) -> Result<u64, QueueError> {
        Ok(lock(&self.sent).len() as u64)
    }
}

/// Secrets that are given, not fetched.
#[derive(Debug)]
pub struct MemorySecrets(Mutex<Result<SecretBundle, SecretsError>>);

impl MemorySecrets {
    /// A store that holds this bundle, or fails so.
    #[must_use]
    pub fn new(bundle: Result<SecretBundle, SecretsError>) -> Self {
        Self(Mutex::new(bundle))
    }

    /// What the store holds from now on.
    pub fn set(&self, bundle: Result<SecretBundle, SecretsError>) {
        *lock(&self.0) = bundle;
    }
}

impl Secrets for MemorySecrets {
    async fn fetch(&self) -> Result<SecretBundle, SecretsError> {
        lock(&self.0).clone()
    }
}
