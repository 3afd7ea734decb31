//! The world around the sweeper, small enough to hold a day of a million events
//! an hour: every number of events, and every rate, is a thousandth of the real
//! one; every time is real.
//!
//! ```text
//! arrivals ─▶ ledger: due_at          queue: waiting, hidden ─▶ processor, so many a second
//!               ▲        ▲              ▲                          │
//!               │        └── sweeper ───┘  the real one            │
//!               └── done, or the real retry table ─────────────────┘
//! ```
//!
//! The queue keeps messages for its retention, hands out nothing while too many
//! are in flight, and tells its depth as of a minute ago, all as SQS does.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::stack::stack;
use inbox_processor::retry::RetryPolicy;

use crate::conformance::at;

/// Real events for each one here.
pub(super) const SCALE: u64 = 1000;
/// A million in an hour.
pub(super) const ARRIVALS_AN_HOUR: u64 = 1_000_000 / SCALE;
/// Messages that SQS hands out before some are deleted: 120,000.
const IN_FLIGHT: usize = 120;
const STEP: Duration = Duration::from_secs(1);
/// What the count of waiting messages lags by.
const LAG_STEPS: usize = 60;

pub(super) type Id = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Pending,
    Done,
    Dead,
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) due_at: Timestamp,
    pub(super) next_at: Timestamp,
    pub(super) sweeps: u32,
    pub(super) attempts: u32,
    pub(super) stands: Stands,
    /// Messages that the sweeper sent for it.
    pub(super) swept: u32,
    pub(super) last_swept_at: Option<Timestamp>,
    /// Its own shard of the index, so that a test can choose.
    pub(super) shard: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    id: Id,
    sent_at: Timestamp,
}

/// What is in and out of order; a test changes it as it goes.
pub(super) struct Weather {
    pub(super) arrivals_an_hour: u64,
    /// Real messages that the processor takes in a second; 0 when it is off.
    pub(super) drain: u64,
    pub(super) handler_works: bool,
    /// The table refuses every write of the sweeper.
    pub(super) writes_throttled: bool,
    /// It refuses its reads, too.
    pub(super) unreadable_shard: Option<u32>,
    /// The queue refuses the sweeper's messages.
    pub(super) sends_refused: bool,
}

pub(super) struct World {
    pub(super) weather: Weather,
    pub(super) events: Vec<Held>,
    pub(super) index: Vec<BTreeSet<(Timestamp, Id)>>,
    waiting: VecDeque<Message>,
    hidden: BinaryHeap<Reverse<(Timestamp, Message)>>,
    depths: VecDeque<usize>,
    retry: RetryPolicy,
    now: Timestamp,
    due_arrivals: u64,
    due_receives: u64,
    /// Of events that were ready, but too much was in flight.
    pub(super) stalled_seconds: u64,
    pub(super) most_in_flight: usize,
    pub(super) most_waiting: usize,
    pub(super) sent_by_sweeper: u64,
    /// Pages of the index that were asked for.
    pub(super) pages_read: usize,
}

impl World {
    pub(super) fn new() -> Self {
        let defaults = &stack().defaults;
        let shards = stack().table.open_index.shards as usize;
        Self {
            weather: Weather {
                arrivals_an_hour: ARRIVALS_AN_HOUR,
                drain: 2000,
                handler_works: true,
                writes_throttled: false,
                unreadable_shard: None,
                sends_refused: false,
            },
            events: Vec::new(),
            index: vec![BTreeSet::new(); shards],
            waiting: VecDeque::new(),
            hidden: BinaryHeap::new(),
            depths: VecDeque::new(),
            retry: RetryPolicy {
                delays: defaults
                    .retry_delays_seconds
                    .iter()
                    .map(|seconds| Duration::from_secs((*seconds).into()))
                    .collect(),
                jitter_percent: defaults.retry_jitter_percent,
                park_above: Duration::from_secs(defaults.park_above_seconds.into()),
            },
            now: at(0),
            due_arrivals: 0,
            due_receives: 0,
            stalled_seconds: 0,
            most_in_flight: 0,
            most_waiting: 0,
            sent_by_sweeper: 0,
            pages_read: 0,
        }
    }

    /// An event that was accepted, and whose message was sent.
    pub(super) fn arrive(&mut self) -> Id {
        let id = self.add(self.now.plus(grace()), 0);
        self.waiting.push_back(Message { id, sent_at: self.now });
        id
    }

    /// An event in the ledger that nothing else knows of, such as a parked retry.
    pub(super) fn add(&mut self, due_at: Timestamp, attempts: u32) -> Id {
        let id = self.events.len();
        let shard = id % self.index.len();
        self.events.push(Held {
            due_at,
            next_at: at(0),
            sweeps: 0,
            attempts,
            stands: Stands::Pending,
            swept: 0,
            last_swept_at: None,
            shard,
        });
        self.index[shard].insert((due_at, id));
        id
    }

    pub(super) fn send(&mut self, id: Id) {
        self.sent_by_sweeper += 1;
        self.events[id].swept += 1;
        self.events[id].last_swept_at = Some(self.now);
        self.waiting.push_back(Message { id, sent_at: self.now });
    }

    /// `PurgeQueue`: everything, the hidden ones too.
    pub(super) fn purge(&mut self) {
        self.waiting.clear();
        self.hidden.clear();
    }

    /// What the queue says of its depth, in real messages.
    pub(super) fn waiting_as_told(&self) -> u64 {
        self.depths.front().map_or(0, |depth| *depth as u64 * SCALE)
    }

    pub(super) fn move_due(&mut self, id: Id, due_at: Option<Timestamp>) {
        let held = &mut self.events[id];
        let index = &mut self.index[held.shard];
        index.remove(&(held.due_at, id));
        if let Some(due_at) = due_at {
            held.due_at = due_at;
            index.insert((due_at, id));
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.index.iter().map(BTreeSet::len).sum()
    }

    /// Everything but the sweeper goes on until `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while now.since(self.now) >= STEP {
            self.now = self.now.plus(STEP);
            self.step();
        }
    }

    fn step(&mut self) {
        let hour = 3600;
        self.due_arrivals += self.weather.arrivals_an_hour;
        while self.due_arrivals >= hour {
            self.due_arrivals -= hour;
            self.arrive();
        }
        while self.hidden.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
            let Reverse((_, message)) = self.hidden.pop().unwrap();
            self.waiting.push_back(message);
        }
        let retention = Duration::from_secs(stack().queue.retention_seconds.into());
        while self.waiting.front().is_some_and(|it| self.now.since(it.sent_at) > retention) {
            self.waiting.pop_front();
        }
        self.due_receives += self.weather.drain;
        while self.due_receives >= SCALE {
            self.due_receives -= SCALE;
            if self.hidden.len() >= IN_FLIGHT && !self.waiting.is_empty() {
                self.stalled_seconds += 1;
                self.due_receives %= SCALE;
                break;
            }
            let Some(message) = self.waiting.pop_front() else { continue };
            self.handle(message);
        }
        self.most_in_flight = self.most_in_flight.max(self.hidden.len());
        self.most_waiting = self.most_waiting.max(self.waiting.len());
        self.depths.push_back(self.waiting.len());
        if self.depths.len() > LAG_STEPS {
            self.depths.pop_front();
        }
    }

    /// The processor's part, by the rules of `begin` and `fail`.
    fn handle(&mut self, message: Message) {
        let (now, id) = (self.now, message.id);
        let held = &mut self.events[id];
        let tolerance = inbox_core::ledger::CLOCK_TOLERANCE;
        if held.stands != Stands::Pending || held.next_at > now.plus(tolerance) {
            return;
        }
        held.attempts += 1;
        held.sweeps = 0;
        if self.weather.handler_works {
            held.stands = Stands::Done;
            return self.move_due(id, None);
        }
        // Jitter that is spread evenly, and the same in every run.
        let chance = f64::from(u32::try_from(id % 97).unwrap()) / 97.0;
        let Some(wait) = self.retry.wait(held.attempts, Duration::ZERO, chance) else {
            held.stands = Stands::Dead;
            return self.move_due(id, None);
        };
        let next_at = now.plus(wait);
        held.next_at = next_at;
        if self.retry.parks(wait) {
            self.move_due(id, Some(next_at));
        } else {
            self.move_due(id, Some(next_at.plus(grace())));
            self.hidden.push(Reverse((next_at, message)));
        }
    }
}

pub(super) fn grace() -> Duration {
    Duration::from_secs(stack().defaults.sweep_grace_seconds.into())
}
