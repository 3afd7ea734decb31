//! A slow endpoint holds up nobody else: measured, with the lane and without it.
//!
//! ```text
//! 20 events a second ─▶ main queue ─▶ 50 processes, one message at a time
//!  one in ten is slow        │ defer
//!                            └──────▶ lane ───▶ 10 processes
//! ```
//!
//! Twenty events a second come for three minutes, a tenth of them for an endpoint that
//! answers 200: at first at once, and then after 25 s. Without a lane two slow ones a
//! second fill fifty places in 25 s. What is measured is the lag of the others: from
//! coming in to being done. **All times are a tenth of what they are called here**, so that
//! eighteen seconds are enough; the machine's own delays weigh ten times as much for that.
//!
//! Each process has a memory of its own and reads the marks of all from the ledger, as on
//! Lambda. Nothing is marked when the endpoint becomes slow: finding it out is part of
//! what is measured.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use super::*;

/// What is called a second takes so long.
const SECOND: Duration = Duration::from_millis(100);
const EVENTS_A_SECOND: u32 = 20;
const ONE_IN: usize = 10;
/// How long the endpoint is fast, and then how long it is slow.
const FAST_SECONDS: u32 = 60;
const SLOW_SECONDS: u32 = 120;
const PROCESSES: usize = 50;
const LANE_PROCESSES: usize = 10;

/// Answers after so long.
struct Answers {
    after: Duration,
    is_slow: Arc<AtomicBool>,
}

impl Handler for Answers {
    fn handle<'a>(
        &'a self,
        _: &'a Event,
        _: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            let after = if self.is_slow.load(Ordering::SeqCst) { SECOND * 25 } else { self.after };
            tokio::time::sleep(after).await;
            Ok(Handled::Done)
        }
        .boxed()
    }
}

/// A queue: whoever asks first gets the next message.
#[derive(Clone)]
struct Waiting {
    sender: UnboundedSender<Message>,
    receiver: Arc<tokio::sync::Mutex<UnboundedReceiver<Message>>>,
}

impl Waiting {
    fn new() -> Self {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        Self { sender, receiver: Arc::new(tokio::sync::Mutex::new(receiver)) }
    }

    fn send(&self, message: Message) {
        self.sender.send(message).expect("the queue is there");
    }

    async fn receive(&self) -> Message {
        self.receiver.lock().await.recv().await.expect("the queue is there")
    }
}

/// Everything that the processes share.
#[derive(Clone)]
struct World {
    ledger: Arc<MemoryLedger>,
    main: Waiting,
    lane: Waiting,
    is_slow: Arc<AtomicBool>,
    has_lane: bool,
}

impl World {
    fn processor(
        &self,
        queue: &Arc<MemoryQueue>,
    ) -> Processor<Fused<MemoryLedger>, Fused<MemoryQueue>> {
        let fuse = Fuse::new(&[]);
        let answers =
            |is_slow: &Arc<AtomicBool>| Answers { after: SECOND / 3, is_slow: Arc::clone(is_slow) };
        let others = Arc::default();
        let pace = Pace {
            slow_above: SECOND * 2,
            enough: SECOND * 10,
            read_every: SECOND * 15,
            unmarked_after: SECOND * 600,
        };
        Processor {
            ledger: Fused { inner: Arc::clone(&self.ledger), fuse: Arc::clone(&fuse) },
            queue: Fused { inner: Arc::clone(queue), fuse },
            routes: Routes::of(vec![
                Route::new("others", "*", "others", Arc::new(answers(&others))),
                Route::new("slow", "*", "slow", Arc::new(answers(&self.is_slow))),
            ]),
            lane: if self.has_lane { Lane::of(pace) } else { Lane::none() },
            retry: RetryPolicy {
                delays: vec![Duration::from_mins(1)],
                jitter_percent: 0,
                park_above: Duration::from_mins(15),
            },
            sweep_grace: Duration::from_mins(15),
            handler_timeout: Duration::from_secs(30),
            lease_margin: Duration::from_secs(10),
            retention: Duration::from_hours(24 * 30),
            clock: Arc::new(Timestamp::now),
            chance: Arc::new(|| 0.0),
            budget: Budget::of_memory(512),
        }
    }

    /// One process: takes a message, handles it, takes the next.
    async fn process(self, from_lane: bool) {
        let queue = Arc::new(MemoryQueue::default());
        let processor = self.processor(&queue);
        let waiting = if from_lane { &self.lane } else { &self.main };
        loop {
            let message = waiting.receive().await;
            let deadline = Timestamp::now().plus(Duration::from_mins(1));
            let kept = processor.run_batch(vec![message], deadline).await;
            assert_eq!(kept, Vec::<String>::new(), "nothing fails here");
            for (n, (pointer, body, delay)) in (0..).zip(queue.take_lane()) {
                assert_eq!(delay, Duration::ZERO, "no breaker opens here");
                let id = format!("{}-{n}", pointer.key.id);
                let receipt_handle = id.clone();
                let message = Message { id, receipt_handle, body, receives: 1, from_lane: true };
                self.lane.send(message);
            }
        }
    }

    async fn receive(&self, number: usize) {
        let now = Timestamp::now();
        let mut new = new_event(now);
        new.event.key.id = format!("evt_{number:05}");
        new.event.event_type = if number.is_multiple_of(ONE_IN) { "slow" } else { "others" }.into();
        new.request_id = format!("request-{number}");
        assert_eq!(self.ledger.claim(&new).await.expect("claim"), Claimed::Fresh);
        self.main.send(Message {
            id: format!("message-{number}"),
            receipt_handle: format!("handle-{number}"),
            body: Pointer::body(&new.event, 1),
            receives: 1,
            from_lane: false,
        });
    }
}

/// What was measured: the lag of nineteen of twenty of the others is shorter.
#[derive(Debug)]
struct Measured {
    while_fast: Duration,
    while_slow: Duration,
}

async fn measure(has_lane: bool) -> Measured {
    let world = World {
        ledger: Arc::default(),
        main: Waiting::new(),
        lane: Waiting::new(),
        is_slow: Arc::default(),
        has_lane,
    };
    let mut processes = JoinSet::new();
    for n in 0..PROCESSES + LANE_PROCESSES {
        processes.spawn(world.clone().process(n >= PROCESSES));
    }
    let started = Instant::now();
    let (fast, slow) = (FAST_SECONDS * EVENTS_A_SECOND, SLOW_SECONDS * EVENTS_A_SECOND);
    for number in 0..fast + slow {
        if number == fast {
            world.is_slow.store(true, Ordering::SeqCst);
        }
        world.receive(number.try_into().unwrap()).await;
        let next = SECOND / EVENTS_A_SECOND * (number + 1);
        tokio::time::sleep(next.saturating_sub(started.elapsed())).await;
    }
    // What is not done by now has waited until now.
    let ended = Timestamp::now();
    processes.abort_all();
    let mut lags: BTreeMap<bool, Vec<Duration>> = BTreeMap::new();
    let since_slow = ended.minus(SECOND * SLOW_SECONDS);
    for record in world.ledger.all() {
        let Event { event_type, received_at, .. } = &record.event;
        if event_type == "others" {
            let lag = record.done_at.unwrap_or(ended).since(*received_at);
            lags.entry(*received_at >= since_slow).or_default().push(lag);
        }
    }
    let mut p95 = |is_slow: bool| {
        let mut lags = lags.remove(&is_slow).expect("events of both times");
        lags.sort();
        lags[lags.len() * 95 / 100]
    };
    let [while_fast, while_slow] = [false, true].map(&mut p95);
    Measured { while_fast, while_slow }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_lane_a_slow_endpoint_does_not_double_the_lag_of_the_others() {
    let measured = measure(true).await;
    println!("with a lane: {measured:?} (a tenth of what it stands for)");
    assert!(
        measured.while_slow < 2 * measured.while_fast,
        "{measured:?}: the slow route is not left to the lane, or not soon enough"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_lane_a_slow_endpoint_holds_all_others_up() {
    let measured = measure(false).await;
    println!("without a lane: {measured:?} (a tenth of what it stands for)");
    assert!(
        measured.while_slow > 10 * measured.while_fast,
        "{measured:?}: the load no longer fills the places, so the test above shows nothing"
    );
}
