//! The real sweeper in the world of `world.rs`, minute after minute, and what is
//! true of every single invocation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{
    Begin, Begun, Burial, Claimed, Completed, Completion, Deferral, Due, DuePage, Failure,
    Forgetting, Ledger, LedgerError, NewEvent, Open, Record, Reopening, Settled,
};
use inbox_core::queue::{Backlog, DeadLetter, Queue, QueueError};
use inbox_core::stack::stack;
use inbox_sweeper::{RESERVE, Sweeper, Swept};

use super::clock::Clock;
use super::world::{SCALE, World};
use crate::conformance::{at, new_event};

/// What a call takes on a good day.
const CALL: Duration = Duration::from_millis(8);
const MINUTE: Duration = Duration::from_mins(1);

/// Ledger and queue of the world, as the sweeper sees them.
#[derive(Clone)]
pub(super) struct Seen {
    world: Arc<Mutex<World>>,
    clock: Clock,
}

pub(super) struct Day {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) clock: Clock,
    sweeper: Sweeper<Seen, Seen>,
}

impl Day {
    pub(super) fn new() -> Self {
        let world = Arc::new(Mutex::new(World::new()));
        let clock = Clock::new(at(0));
        let seen = Seen { world: Arc::clone(&world), clock: clock.clone() };
        let defaults = &stack().defaults;
        let (now, pause) = (clock.clone(), clock.clone());
        let per_second = u64::from(defaults.sweep_per_second);
        let sweeper = Sweeper {
            ledger: seen.clone(),
            queue: seen,
            shards: stack().table.open_index.shards,
            grace: Duration::from_secs(defaults.sweep_grace_seconds.into()),
            grace_max: Duration::from_secs(defaults.sweep_grace_max_seconds.into()),
            per_second: u32::try_from(per_second.div_ceil(SCALE)).unwrap(),
            hold_above: defaults.sweep_hold_above,
            interval: Duration::from_secs(stack().sweeper.interval_seconds.into()),
            clock: Arc::new(move || now.now()),
            pause: Arc::new(move |time| pause.pause(time)),
        };
        Self { world, clock, sweeper }
    }

    /// From now on at the real pace, as against a thousandth of the events: a
    /// shard then has more than a few in a minute.
    pub(super) fn hurry(&mut self) {
        self.sweeper.per_second = stack().defaults.sweep_per_second;
    }

    pub(super) fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.lock().unwrap())
    }

    /// One invocation, and the rest of its minute.
    pub(super) fn minute(&self) -> Swept {
        let began = self.clock.now();
        let deadline = began.plus(Duration::from_secs(stack().sweeper.timeout_seconds.into()));
        let passed = |now| self.world.lock().unwrap().advance(now);
        let swept = self.clock.run(self.sweeper.sweep(deadline), passed);
        let ended = self.clock.now();
        assert!(deadline.since(ended) + 4 * CALL >= RESERVE, "the time is kept: {swept:?}");
        // A shard begins one at once, and then keeps its pace.
        let looked_at = swept.sent + swept.moved_on + swept.failed + swept.left_to_queue;
        let took_ms = u64::try_from(ended.since(began).as_millis()).unwrap();
        let most =
            took_ms * u64::from(self.sweeper.per_second) / 1000 + u64::from(self.sweeper.shards);
        assert!(looked_at as u64 <= most, "the pace is kept: {swept:?}, at most {most}");
        self.wait_until(began.plus(MINUTE));
        swept
    }

    pub(super) fn wait_until(&self, moment: Timestamp) {
        self.clock.jump_to(moment);
        self.world(|world| world.advance(moment));
    }

    /// So many hours, a sweep in each minute; what they came to.
    pub(super) fn hours(&self, hours: u32) -> Vec<Swept> {
        (0..60 * hours).map(|_| self.minute()).collect()
    }

    /// Minutes until everything is done or dead, at most those of `hours`.
    pub(super) fn until_nothing_is_pending(&self, hours: u32) -> Duration {
        let began = self.clock.now();
        for _ in 0..60 * hours {
            if self.world(|world| world.pending()) == 0 {
                return self.clock.now().since(began);
            }
            self.minute();
        }
        panic!("{} are pending after {hours} hours", self.world(|world| world.pending()));
    }
}

impl Seen {
    async fn call<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        self.clock.pause(CALL).await;
        look(&mut self.world.lock().unwrap())
    }
}

fn key(id: usize) -> EventKey {
    EventKey { source: "stripe".into(), id: id.to_string() }
}

fn id(key: &EventKey) -> usize {
    key.id.parse().unwrap()
}

impl Queue for Seen {
    async fn send(&self, event: &Event, _: u32) -> Result<(), QueueError> {
        self.call(|world| {
            if world.weather.sends_refused {
                return Err(QueueError("SendMessage: AccessDenied".into()));
            }
            world.send(id(&event.key));
            Ok(())
        })
        .await
    }

    async fn send_to_lane(&self, _: &Event, _: u32, _: Duration) -> Result<(), QueueError> {
        unreachable!("a sweep sends to the main queue")
    }

    async fn send_dead(&self, _: &DeadLetter) -> Result<(), QueueError> {
        unreachable!("a sweep buries nothing")
    }

    async fn hide(&self, _: &str, _: bool, _: u32) -> Result<(), QueueError> {
        unreachable!("a sweep hides nothing")
    }
}

impl Backlog for Seen {
    async fn waiting(&self) -> Result<u64, QueueError> {
        self.call(|world| Ok(world.waiting_as_told())).await
    }
}

fn throttled<T>(operation: &str) -> Result<T, LedgerError> {
    Err(LedgerError::Unavailable(format!("{operation}: ThrottlingException: Rate exceeded")))
}

impl Ledger for Seen {
    async fn oldest_dead(&self, _: u32, _: Timestamp) -> Result<Option<Timestamp>, LedgerError> {
        Ok(None)
    }

    async fn due(
        &self,
        shard: u32,
        after: Option<&Due>,
        limit: u32,
        now: Timestamp,
    ) -> Result<DuePage, LedgerError> {
        self.call(|world| {
            world.pages_read += 1;
            if world.weather.unreadable_shard == Some(shard) {
                return throttled("Query");
            }
            // A made-up place stands before whatever is due at its moment.
            let from = after.map(|due| match due.key.id.parse::<usize>() {
                Ok(id) => (due.due_at, id + 1),
                Err(_) => (due.due_at, 0),
            });
            let from = from.unwrap_or((Timestamp::from_unix_ms(0).unwrap(), 0));
            let rows = world.index[shard as usize].range(from..=(now, usize::MAX));
            let due: Vec<Due> = rows
                .take(limit as usize)
                .map(|(due_at, id)| Due {
                    key: key(*id),
                    due_at: *due_at,
                    sweeps: world.events[*id].sweeps,
                })
                .collect();
            Ok(DuePage { is_last: due.len() < limit as usize, due })
        })
        .await
    }

    async fn sweep(&self, due: &Due, due_at: Timestamp) -> Result<Option<Record>, LedgerError> {
        self.call(|world| {
            if world.weather.writes_throttled {
                return throttled("UpdateItem");
            }
            let id = id(&due.key);
            let is_as_read = world.index[world.events[id].shard].contains(&(due.due_at, id));
            if !is_as_read {
                return Ok(None);
            }
            world.move_due(id, Some(due_at));
            let held = &mut world.events[id];
            held.sweeps = due.sweeps + 1;
            let mut new = new_event(at(0));
            new.event.key = due.key.clone();
            let mut record = Record::claimed(&new);
            record.attempts = held.attempts;
            // Whatever has been begun was parked: its wait ends when it is due.
            record.next_at = (held.attempts > 0).then_some(due.due_at);
            record.open = Some(Open::Pending { due_at });
            Ok(Some(record))
        })
        .await
    }

    async fn claim(&self, _: &NewEvent) -> Result<Claimed, LedgerError> {
        unreachable!("a sweep claims nothing")
    }

    async fn begin(&self, _: &EventKey, _: &Begin, _: Timestamp) -> Result<Begun, LedgerError> {
        unreachable!("a sweep begins nothing")
    }

    async fn finish(&self, _: &Record, _: Timestamp) -> Result<Completed, LedgerError> {
        unreachable!("a sweep finishes nothing")
    }

    async fn complete(
        &self,
        _: &Record,
        _: &str,
        _: &[&str],
        _: Completion,
    ) -> Result<Completed, LedgerError> {
        unreachable!("a sweep completes nothing")
    }

    async fn fail(&self, _: &Failure<'_>, _: Timestamp) -> Result<Settled, LedgerError> {
        unreachable!("a sweep fails nothing")
    }

    async fn defer(&self, _: &Deferral<'_>) -> Result<Settled, LedgerError> {
        unreachable!("a sweep defers nothing")
    }

    async fn bury(&self, _: &Burial<'_>, _: Timestamp) -> Result<Settled, LedgerError> {
        unreachable!("a sweep buries nothing")
    }

    async fn reopen(&self, _: &Reopening<'_>, _: Timestamp) -> Result<Settled, LedgerError> {
        unreachable!("a sweep reopens nothing")
    }

    async fn forget(&self, _: &Forgetting<'_>, _: Timestamp) -> Result<Settled, LedgerError> {
        unreachable!("a sweep forgets nothing")
    }

    async fn load(&self, _: &mut Record) -> Result<(), LedgerError> {
        unreachable!("a sweep needs no payload")
    }

    async fn get(&self, _: &EventKey) -> Result<Option<Record>, LedgerError> {
        unreachable!("a sweep reads by its writes")
    }
}
