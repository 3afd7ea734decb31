//! A thousand events to ten endpoints, of which one hangs and one is not there.
//!
//! ```text
//! queue ─ ten at a time ─▶ worker, worker, worker      each a process: a processor and
//!   ▲                         │    │    │              a breaker of its own
//!   └── what is kept ─────────┴────┴────┘ ─▶ ledger
//! ```
//!
//! Each event goes to one endpoint, and each batch holds one for every endpoint, so
//! that each batch would wait for the one that hangs. Time stands still within a
//! round; between rounds it moves on to when everything that failed is due.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use inbox_core::event::EventKey;
use inbox_core::ledger::{Claimed, Ledger as _, State};
use inbox_core::memory::{MemoryLedger, MemoryQueue};
use inbox_core::queue::Pointer;
use inbox_processor::batch::Processor;
use inbox_processor::budget::Budget;
use inbox_processor::lane::Lane;
use inbox_processor::message::Message;
use inbox_processor::retry::RetryPolicy;
use inbox_processor::routes::{Route as Routed, Routes};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::endpoint::{Act, says};
use super::*;
use crate::conformance::new_event;
use crate::crash::fuse::{Fuse, Fused};

const EVENTS: usize = 1000;
const ENDPOINTS: usize = 10;
const WORKERS: usize = 3;
const BATCH: usize = 10;
/// How long an attempt may take; nine tenths of it are the endpoint's.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A breaker opens after so many attempts.
const OPENS_AFTER: u32 = 5;
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(3);
/// Of ten endpoints these two are dead, at first.
const HANGS: usize = 3;
const REFUSES: usize = 7;

/// Ten endpoints, a ledger that holds a thousand events, and their messages.
struct World {
    endpoints: Vec<Option<Endpoint>>,
    urls: Vec<String>,
    ledger: Arc<MemoryLedger>,
    clock: Arc<AtomicI64>,
    waiting: Arc<Mutex<VecDeque<Message>>>,
}

impl World {
    async fn new(endpoints: Vec<Option<Endpoint>>, urls: Vec<String>) -> Self {
        let ledger = Arc::new(MemoryLedger::default());
        let mut waiting = VecDeque::new();
        for number in 0..EVENTS {
            let mut new = new_event(at(0));
            new.event.key = key(number);
            new.event.event_type = format!("to.{}", number % ENDPOINTS);
            new.request_id = format!("request-{number}");
            assert_eq!(ledger.claim(&new).await.expect("claim"), Claimed::Fresh);
            waiting.push_back(Message {
                id: format!("message-{number}"),
                receipt_handle: format!("handle-{number}"),
                body: Pointer::body(&new.event, 1),
                receives: 1,
                from_lane: false,
            });
        }
        let clock = Arc::new(AtomicI64::new(at(0).unix_ms()));
        Self { endpoints, urls, ledger, clock, waiting: Arc::new(Mutex::new(waiting)) }
    }

    fn processor(&self) -> Processor<Fused<MemoryLedger>, Fused<MemoryQueue>> {
        let time = Arc::clone(&self.clock);
        let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> =
            Arc::new(move || Timestamp::from_unix_ms(time.load(Ordering::SeqCst)).unwrap());
        let http = HttpClients::default();
        let routes = self.urls.iter().enumerate().map(|(number, url)| {
            let forward =
                Forward::new(settings(url, &json!({})), secrets(), &http, Arc::clone(&clock));
            let handler = Arc::new(forward.expect("a client"));
            Routed::new(&format!("endpoint-{number}"), "*", &format!("to.{number}"), handler)
        });
        let fuse = Fuse::new(&[]);
        Processor {
            ledger: Fused { inner: Arc::clone(&self.ledger), fuse: Arc::clone(&fuse) },
            queue: Fused { inner: Arc::new(MemoryQueue::default()), fuse },
            routes: Routes::of(routes.collect()),
            lane: Lane::none(),
            retry: RetryPolicy {
                delays: [60; 6].map(Duration::from_secs).to_vec(),
                jitter_percent: 0,
                park_above: Duration::from_hours(1),
            },
            sweep_grace: Duration::from_mins(15),
            handler_timeout: TIMEOUT,
            lease_margin: Duration::from_secs(10),
            retention: Duration::from_hours(24 * 30),
            clock,
            chance: Arc::new(|| 0.0),
            budget: Budget::of_bytes(usize::MAX),
        }
    }

    /// Lets all workers run until nothing waits, and puts back what they kept.
    async fn round(&self, workers: &[Arc<Processor<Fused<MemoryLedger>, Fused<MemoryQueue>>>]) {
        let mut all = JoinSet::new();
        for worker in workers {
            let (worker, waiting) = (Arc::clone(worker), Arc::clone(&self.waiting));
            all.spawn(async move {
                let mut kept = Vec::new();
                loop {
                    let batch: Vec<Message> = {
                        let mut waiting = waiting.lock().unwrap();
                        let some = BATCH.min(waiting.len());
                        waiting.drain(..some).collect()
                    };
                    if batch.is_empty() {
                        return kept;
                    }
                    let deadline = (worker.clock)().plus(Duration::from_mins(1));
                    let ids = worker.run_batch(batch.clone(), deadline).await;
                    kept.extend(batch.into_iter().filter(|message| ids.contains(&message.id)));
                }
            });
        }
        let kept = all.join_all().await;
        self.waiting.lock().unwrap().extend(kept.into_iter().flatten());
    }

    /// Everything that failed becomes due.
    async fn move_on(&self) {
        let mut latest = None;
        for number in 0..EVENTS {
            let record = self.ledger.get(&key(number)).await.expect("get").expect("it is there");
            latest = latest.max(record.next_at.filter(|_| record.state == State::Failing));
        }
        self.clock.store(latest.expect("something failed").unix_ms(), Ordering::SeqCst);
    }

    /// How many events are in this state, by endpoint.
    async fn stand(&self, state: State) -> Vec<usize> {
        let mut counts = vec![0; ENDPOINTS];
        for number in 0..EVENTS {
            let record = self.ledger.get(&key(number)).await.expect("get").expect("it is there");
            counts[number % ENDPOINTS] += usize::from(record.state == state);
        }
        counts
    }
}

fn key(number: usize) -> EventKey {
    EventKey { source: "stripe_eu".into(), id: format!("evt_{number:04}") }
}

async fn healthy() -> Vec<Option<Endpoint>> {
    let mut all = Vec::new();
    for _ in 0..ENDPOINTS {
        all.push(Some(Endpoint::always(says(200, "")).await));
    }
    all
}

fn urls(endpoints: &[Option<Endpoint>]) -> Vec<String> {
    endpoints.iter().map(|it| it.as_ref().map(Endpoint::url).unwrap_or_default()).collect()
}

/// How often each message came in, from request number `first` on.
fn ids(endpoint: &Endpoint, first: usize) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for request in &endpoint.received()[first..] {
        *ids.entry(request.header("webhook-id").to_owned()).or_default() += 1;
    }
    ids
}

fn each_once(endpoint: &Endpoint, first: usize) -> bool {
    let ids = ids(endpoint, first);
    ids.len() == EVENTS / ENDPOINTS && ids.values().all(|times| *times == 1)
}

/// How long the first round takes.
async fn first_round(
    world: &World,
) -> (Duration, Vec<Arc<Processor<Fused<MemoryLedger>, Fused<MemoryQueue>>>>) {
    let workers: Vec<_> = (0..WORKERS).map(|_| Arc::new(world.processor())).collect();
    let started = Instant::now();
    world.round(&workers).await;
    (started.elapsed(), workers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_dead_endpoints_do_not_hold_up_eight_others() {
    // Side by side: how long all ten take when nothing is wrong.
    let endpoints = healthy().await;
    let urls_of_healthy = urls(&endpoints);
    let sound = World::new(endpoints, urls_of_healthy).await;
    let (undisturbed, _) = first_round(&sound).await;
    assert_eq!(sound.stand(State::Done).await, [EVENTS / ENDPOINTS; ENDPOINTS]);
    assert!(sound.endpoints.iter().flatten().all(|endpoint| each_once(endpoint, 0)));

    // One that hangs until it recovers, and a port that is taken and not listened to.
    let mut endpoints = healthy().await;
    let is_back = Arc::new(AtomicBool::new(false));
    let recovery = Arc::clone(&is_back);
    endpoints[HANGS] =
        Some(
            Endpoint::start(move |_| {
                if recovery.load(Ordering::SeqCst) { says(200, "") } else { Act::Hang }
            })
            .await,
        );
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let port = socket.local_addr().expect("an address").port();
    endpoints[REFUSES] = None;
    let mut urls = urls(&endpoints);
    urls[REFUSES] = format!("http://127.0.0.1:{port}/hooks");
    let mut world = World::new(endpoints, urls).await;
    let (disturbed, workers) = first_round(&world).await;

    let mut expected = [EVENTS / ENDPOINTS; ENDPOINTS];
    (expected[HANGS], expected[REFUSES]) = (0, 0);
    assert_eq!(world.stand(State::Done).await, expected);
    let mut failing = [0; ENDPOINTS];
    (failing[HANGS], failing[REFUSES]) = (EVENTS / ENDPOINTS, EVENTS / ENDPOINTS);
    assert_eq!(world.stand(State::Failing).await, failing);
    for (number, endpoint) in world.endpoints.iter().enumerate() {
        let Some(endpoint) = endpoint.as_ref().filter(|_| number != HANGS) else { continue };
        assert!(each_once(endpoint, 0), "{number}");
    }
    let bound = undisturbed + TIMEOUT * OPENS_AFTER + SLACK;
    assert!(disturbed < bound, "{disturbed:?} against {undisturbed:?} without dead endpoints");
    let hanging = world.endpoints[HANGS].as_ref().expect("it is there");
    let tried = hanging.received().len();
    assert!(tried <= WORKERS * OPENS_AFTER as usize, "{tried}: each process sees for itself");

    // Both are back.
    is_back.store(true, Ordering::SeqCst);
    let listener = socket.listen(1024).expect("a listener");
    world.endpoints[REFUSES] = Some(Endpoint::on(listener, |_| says(200, "")));
    let mut rounds = 0;
    while !world.waiting.lock().unwrap().is_empty() {
        rounds += 1;
        assert!(rounds < 6, "an event would have used up its attempts");
        world.move_on().await;
        world.round(&workers).await;
    }
    assert_eq!(world.stand(State::Done).await, [EVENTS / ENDPOINTS; ENDPOINTS]);
    for (number, first) in [(HANGS, tried), (REFUSES, 0)] {
        let endpoint = world.endpoints[number].as_ref().expect("it is there");
        assert!(each_once(endpoint, first), "{number}: {:?}", ids(endpoint, first));
    }
    println!("undisturbed {undisturbed:?}, with two dead endpoints {disturbed:?}, {rounds} rounds");
}
