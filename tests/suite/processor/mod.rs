//! A batch of messages, on the ledger in memory: what is run, what is kept, and
//! what is written down.

mod bulkhead;
mod dead_letters;
mod fates;
mod handling;
mod lane;
mod lost;
mod protection;
mod retries;
mod room;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use inbox_core::ledger::{Claimed, Ledger, Record, Reopen, Reopening, Rerun, Settled, State};
use inbox_core::memory::{MemoryLedger, MemoryQueue};
use inbox_core::queue::{DeadLetter, Pointer, Queue, QueueError};
use inbox_processor::batch::Processor;
use inbox_processor::budget::Budget;
use inbox_processor::lane::{Lane, Pace};
use inbox_processor::message::Message;
use inbox_processor::retry::RetryPolicy;
use inbox_processor::routes::{Route, Routes};

use crate::conformance::{at, begin_with, event, new_event};
use crate::crash::fuse::{Fuse, Fused};

type Attempt = fn(&Event, &Run) -> BoxFuture<'static, Result<(), HandlerError>>;

/// Does what it is told and writes down whom it ran for.
struct Told {
    attempt: Attempt,
    ran: Arc<Mutex<Vec<String>>>,
    runs: Arc<Mutex<Vec<String>>>,
    clock: Arc<AtomicI64>,
    takes_ms: Arc<AtomicI64>,
}

impl Told {
    fn new(attempt: Attempt, bench: &Bench) -> Self {
        Self {
            attempt,
            ran: Arc::clone(&bench.ran),
            runs: Arc::clone(&bench.runs),
            clock: Arc::clone(&bench.clock),
            takes_ms: Arc::clone(&bench.takes_ms),
        }
    }
}

impl Handler for Told {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        self.clock.fetch_add(self.takes_ms.load(Ordering::SeqCst), Ordering::SeqCst);
        self.ran.lock().unwrap().push(event.key.id.clone());
        self.runs.lock().unwrap().push(format!("{} {}", run.route_id, run.attempt));
        (self.attempt)(event, run).map_ok(|()| Handled::Done).boxed()
    }
}

const SUCCEEDS: Attempt = |_, _| async { Ok(()) }.boxed();
const FAILS: Attempt = |_, _| async { Err(HandlerError::retry("not now")) }.boxed();

/// A queue whose dead letters can be refused.
struct Moody {
    inner: Arc<MemoryQueue>,
    refuses_dead_letters: AtomicBool,
    refuses_the_lane: AtomicBool,
    refuses_to_hide: AtomicBool,
}

impl Queue for Moody {
    async fn send(&self, event: &Event, life: u32) -> Result<(), QueueError> {
        self.inner.send(event, life).await
    }

    async fn send_to_lane(
        &self,
        event: &Event,
        life: u32,
        delay: Duration,
    ) -> Result<(), QueueError> {
        if self.refuses_the_lane.load(Ordering::SeqCst) {
            return Err(QueueError("SendMessage: AccessDenied".into()));
        }
        self.inner.send_to_lane(event, life, delay).await
    }

    async fn send_dead(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        if self.refuses_dead_letters.load(Ordering::SeqCst) {
            return Err(QueueError("SendMessage: AccessDenied".into()));
        }
        self.inner.send_dead(letter).await
    }

    async fn hide(
        &self,
        receipt_handle: &str,
        from_lane: bool,
        seconds: u32,
    ) -> Result<(), QueueError> {
        if self.refuses_to_hide.load(Ordering::SeqCst) {
            return Err(QueueError("ChangeMessageVisibility: ReceiptHandleIsInvalid".into()));
        }
        self.inner.hide(receipt_handle, from_lane, seconds).await
    }
}

struct Bench {
    ledger: Arc<MemoryLedger>,
    queue: Arc<MemoryQueue>,
    fuse: Arc<Fuse>,
    /// The ids of the events that handlers ran for.
    ran: Arc<Mutex<Vec<String>>>,
    /// Their routes and attempts.
    runs: Arc<Mutex<Vec<String>>>,
    clock: Arc<AtomicI64>,
    /// How long each run of a handler takes.
    takes_ms: Arc<AtomicI64>,
    processor: Processor<Fused<MemoryLedger>, Fused<Moody>>,
}

impl Bench {
    fn new(routes: &[(&str, Attempt)]) -> Self {
        let ledger = Arc::new(MemoryLedger::default());
        let queue = Arc::new(MemoryQueue::default());
        let fuse = Fuse::new(&[]);
        let ran: Arc<Mutex<Vec<String>>> = Arc::default();
        let runs: Arc<Mutex<Vec<String>>> = Arc::default();
        let clock = Arc::new(AtomicI64::new(at(0).unix_ms()));
        let takes_ms: Arc<AtomicI64> = Arc::default();
        let routes = routes.iter().map(|(id, attempt)| {
            let (ran, runs) = (Arc::clone(&ran), Arc::clone(&runs));
            let (clock, takes_ms) = (Arc::clone(&clock), Arc::clone(&takes_ms));
            let told = Told { attempt: *attempt, ran, runs, clock, takes_ms };
            Route::new(id, "*", "*", Arc::new(told))
        });
        let time = Arc::clone(&clock);
        let moody = Moody {
            inner: Arc::clone(&queue),
            refuses_dead_letters: AtomicBool::new(false),
            refuses_the_lane: AtomicBool::new(false),
            refuses_to_hide: AtomicBool::new(false),
        };
        let processor = Processor {
            ledger: Fused { inner: Arc::clone(&ledger), fuse: Arc::clone(&fuse) },
            queue: Fused { inner: Arc::new(moody), fuse: Arc::clone(&fuse) },
            routes: Routes::of(routes.collect()),
            lane: Lane::none(),
            retry: RetryPolicy {
                delays: vec![Duration::from_mins(1), Duration::from_hours(1)],
                jitter_percent: 0,
                park_above: Duration::from_mins(15),
            },
            sweep_grace: Duration::from_mins(15),
            handler_timeout: Duration::from_secs(30),
            lease_margin: Duration::from_secs(10),
            retention: Duration::from_hours(24 * 30),
            clock: Arc::new(move || Timestamp::from_unix_ms(time.load(Ordering::SeqCst)).unwrap()),
            chance: Arc::new(|| 0.0),
            budget: Budget::of_bytes(usize::MAX),
        };
        Self { ledger, queue, fuse, ran, runs, clock, takes_ms, processor }
    }

    /// With a lane.
    fn with_lane(routes: &[(&str, Attempt)]) -> Self {
        let mut bench = Self::new(routes);
        bench.processor.lane = Lane::of(Pace::default());
        bench
    }

    /// Puts an event into the ledger and gives its message.
    async fn received(&self, id: &str) -> Message {
        let mut new = new_event(at(0));
        new.event.key.id = id.into();
        assert_eq!(self.ledger.claim(&new).await.unwrap(), Claimed::Fresh);
        Self::message(id, 1)
    }

    fn message(id: &str, life: u32) -> Message {
        let mut event = event(at(0));
        event.key.id = id.into();
        Message {
            id: format!("message-{id}"),
            receipt_handle: format!("handle-{id}"),
            body: Pointer::body(&event, life),
            receives: 1,
            from_lane: false,
        }
    }

    async fn run(&self, messages: Vec<Message>) -> Vec<String> {
        let now = (self.processor.clock)();
        self.processor.run_batch(messages, now.plus(Duration::from_mins(1))).await
    }

    async fn held(&self, id: &str) -> Record {
        self.ledger.get(&Self::key(id)).await.unwrap().expect("the event is there")
    }

    fn key(id: &str) -> EventKey {
        EventKey { source: "stripe_eu".into(), id: id.into() }
    }

    fn set_clock(&self, seconds: u64) {
        self.clock.store(at(seconds).unix_ms(), Ordering::SeqCst);
    }

    fn ran(&self) -> Vec<String> {
        self.ran.lock().unwrap().clone()
    }
}
