//! A storm from a seed: providers, queue, schedule, operator and death all at once, then
//! fair weather until nothing moves, then the verdict.
//!
//! The seed decides which events there are, what their handlers do, which deliveries are
//! doubled, which call of which event meets which fault, which call of which process is
//! its last, which messages are lost and what the operator does. It does not decide what
//! runs at the same time: which of two processors gets a message, how many calls a
//! process has made when an event comes to it, and how many messages are in a batch are
//! up to threads and to the emulator's speed. The same seed therefore makes the same
//! decisions, and not always the same meeting of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::Message;
use inbox_core::Timestamp;
use inbox_core::marks::Marks as _;
use inbox_core::queue::Pointer;
use serde_json::json;
use tokio::sync::Semaphore;

use super::dice::Dice;
use super::journal::Journal;
use super::operator;
use super::provider;
use super::queue::{self, Pool};
use super::stage::{Chain, Stage};
use super::subject::{Outcome, Size, Source, Subject};
use super::verdict;
use super::weather::Weather;
use super::worker::{Role, Worker};

const RECEIVERS_A_SOURCE: usize = 2;
const PROCESSORS: usize = 5;
const DELIVERIES_AT_ONCE: usize = 12;
/// Its events go through the lane.
const SLOW_ROUTE: &str = "mirror-slack";
/// The schedule's minute.
const MINUTE: Duration = Duration::from_millis(400);
/// Rounds of fair weather, each with all leases over and everything due.
const ROUNDS: usize = 30;

const OUTCOMES: [(u64, Outcome); 8] = [
    (60, Outcome::Fine),
    (12, Outcome::FailsOnce),
    (8, Outcome::FailsTwice),
    (8, Outcome::Permanent),
    (4, Outcome::PanicsOnce),
    (2, Outcome::HangsOnce),
    (4, Outcome::ExitsOnce),
    (2, Outcome::Poison),
];
const SOURCES: [(u64, Source); 4] =
    [(4, Source::Stripe), (2, Source::Github), (3, Source::Slack), (1, Source::Twilio)];

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storm {
    pub(super) seed: u64,
    pub(super) events: u32,
    /// No new event after this.
    pub(super) time: Duration,
    /// Whether the schedule calls the sweeper. Without it, what is lost stays lost.
    pub(super) has_sweeper: bool,
    pub(super) tells_progress: bool,
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) deliveries: u64,
    pub(super) doubled: u64,
    pub(super) repeated: u64,
    pub(super) invocations: u64,
    pub(super) lost: u64,
    pub(super) twice: u64,
    pub(super) redriven: u64,
    pub(super) replayed: u64,
}

/// Everything that the storm's parts share.
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) stage: Stage,
    pub(super) journal: Arc<Journal>,
    pub(super) weather: Arc<Weather>,
    pub(super) receivers: BTreeMap<Source, Vec<tokio::sync::Mutex<Worker>>>,
    is_settling: AtomicBool,
    pool: Mutex<Pool>,
    counts: Mutex<Counts>,
    wrong: Mutex<Vec<String>>,
    letters: Mutex<BTreeSet<(String, u32)>>,
}

impl World {
    async fn new(storm: Storm, chain: &Chain) -> Self {
        let dice = Dice { seed: storm.seed };
        let stage = Stage::new(chain, "info").await;
        let weather = Arc::new(Weather::new(dice, Arc::clone(&chain.journal)));
        let strikes = Arc::clone(&weather);
        stage.front.set_hook(move |call| strikes.strike(call));
        let receivers = Source::ALL.map(|source| {
            let worker = |number| Worker::new(Role::Receiver(source), number);
            let workers = (0..RECEIVERS_A_SOURCE).map(|number| worker(number).into());
            (source, workers.collect())
        });
        Self {
            dice,
            stage,
            journal: Arc::clone(&chain.journal),
            weather,
            receivers: receivers.into(),
            is_settling: AtomicBool::new(false),
            pool: Mutex::default(),
            counts: Mutex::default(),
            wrong: Mutex::default(),
            letters: Mutex::default(),
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.counts));
    }

    /// Notes what must not have happened.
    pub(super) fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }

    /// Whether the storm is over.
    pub(super) fn is_settling(&self) -> bool {
        self.is_settling.load(Ordering::SeqCst)
    }

    pub(super) fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.pool)
    }

    /// Notes a dead letter that names a life of an event; whether it is the first.
    pub(super) fn note_letter(&self, key: &str, life: u32) -> bool {
        lock(&self.letters).insert((key.to_owned(), life))
    }

    /// The event that a message is about.
    pub(super) fn number_of(&self, message: &Message) -> Option<u32> {
        let pointer = Pointer::parse(message.body().unwrap_or_default()).ok()?;
        self.journal.number_of(&pointer.key.to_string())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn subject(dice: Dice, number: u32) -> Subject {
    let source = dice.pick(&SOURCES, &[&"source", &number]);
    // The types of the others' events say nothing that a route could choose by.
    let outcome = match source {
        Source::Stripe | Source::Slack => dice.pick(&OUTCOMES, &[&"outcome", &number]),
        Source::Github | Source::Twilio => Outcome::Fine,
    };
    // A few, since each is half a megabyte through every proxy.
    let is_large = source == Source::Stripe && dice.happens(50, &[&"large", &number]);
    let size = if is_large { Size::OfAnObject } else { Size::Usual };
    Subject { number, source, outcome, size }
}

/// Runs a storm and returns its report, and what was wrong.
pub(super) async fn run(storm: Storm) -> (verdict::Report, Vec<String>) {
    let chain = Chain::new().await;
    let begin = Instant::now();
    let world = Arc::new(World::new(storm, &chain).await);
    // One source's route is slow all the time: later than now, nobody unmarks it.
    let later = Timestamp::now().plus(Duration::from_hours(1));
    world.stage.ledger.mark(SLOW_ROUTE, later).await.expect("a mark");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut processors = tokio::task::JoinSet::new();
    for number in 0..PROCESSORS {
        let (world, stopped) = (Arc::clone(&world), stopped.clone());
        processors.spawn(async move {
            let mut worker = Worker::new(Role::Processor, number);
            while !*stopped.borrow() {
                if !queue::poll(&world, &mut worker).await {
                    tokio::time::sleep(queue::IDLE).await;
                }
            }
            worker
        });
    }
    let schedule = tokio::spawn(schedule(Arc::clone(&world), storm, stopped.clone()));

    let accepted = deliveries(&world, storm, begin).await;
    world.is_settling.store(true, Ordering::SeqCst);
    world.weather.clear_up();
    stop.send_replace(true);
    let mut processors: Vec<Worker> = processors.join_all().await;
    let mut sweeper = schedule.await.expect("the schedule");
    settle(&world, storm, &mut processors, &mut sweeper).await;

    for worker in processors.iter_mut().chain([&mut sweeper]) {
        worker.end(&world).await;
    }
    for receivers in world.receivers.values() {
        for receiver in receivers {
            receiver.lock().await.end(&world).await;
        }
    }
    operator::look_through(&world).await;
    world.stage.check_logs();
    let counts = *lock(&world.counts);
    let report = verdict::Report {
        storm,
        accepted,
        standings: world.stage.items().await,
        counts,
        faults: world.weather.faults(),
        fired: chain.microburst.fired().await.expect("an account"),
        kills: world.weather.kills(),
        calls: world.journal.calls().values().sum(),
        took: begin.elapsed(),
    };
    let mut wrong = lock(&world.wrong).clone();
    wrong.extend(world.journal.wrong());
    wrong.extend(verdict::judge(&report, &world.journal, &lock(&world.letters)));
    (report, wrong)
}

/// Lets events happen until there are enough or time is over, and waits until the last
/// provider has given up. Each event, and whether it was accepted.
async fn deliveries(world: &Arc<World>, storm: Storm, begin: Instant) -> BTreeMap<Subject, bool> {
    let places = Arc::new(Semaphore::new(DELIVERIES_AT_ONCE));
    let mut running = tokio::task::JoinSet::new();
    let mut accepted = BTreeMap::new();
    let mut told = begin;
    for number in 0..storm.events {
        let place = Arc::clone(&places).acquire_owned().await.expect("an open semaphore");
        if begin.elapsed() > storm.time {
            break;
        }
        if storm.tells_progress && told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            let (counts, kills) = (*lock(&world.counts), world.weather.kills());
            println!(
                "{:4} s: {number} events, {counts:?}, kills {kills:?}",
                begin.elapsed().as_secs()
            );
        }
        let (world, subject) = (Arc::clone(world), subject(world.dice, number));
        running.spawn(async move {
            let _place = place;
            (subject, provider::deliver(&world, subject).await)
        });
        while let Some(Ok(done)) = running.try_join_next() {
            accepted.extend([done]);
        }
    }
    accepted.extend(running.join_all().await);
    accepted
}

/// The sweeper every minute, and the operator every now and then.
async fn schedule(
    world: Arc<World>,
    storm: Storm,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> Worker {
    let mut sweeper = Worker::new(Role::Sweeper, 0);
    while !*stopped.borrow() {
        if storm.has_sweeper {
            sweeper.invoke(&world, &json!({})).await;
        }
        operator::look_through(&world).await;
        tokio::time::sleep(MINUTE).await;
    }
    sweeper
}

/// Fair weather: time passes until the sweeper finds nothing and the queue is empty.
async fn settle(world: &Arc<World>, storm: Storm, processors: &mut [Worker], sweeper: &mut Worker) {
    for _ in 0..ROUNDS {
        let polling = processors
            .iter_mut()
            .map(|processor| async { while queue::poll(world, processor).await {} });
        futures_util::future::join_all(polling).await;
        let standings = world.stage.items().await;
        let unfinished: Vec<_> = standings.iter().filter(|it| it.is_unfinished()).collect();
        if unfinished.is_empty() && world.pool().is_empty() {
            return;
        }
        for standing in unfinished {
            world.stage.end_lease(&standing.key, None).await;
            world.stage.make_due(&standing.key).await;
        }
        if storm.has_sweeper {
            sweeper.invoke(world, &json!({})).await;
        }
    }
    if !world.pool().is_empty() {
        world.wrong("messages keep coming back".to_owned());
    }
}
