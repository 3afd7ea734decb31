//! A batch of messages, on the ledger in memory: what is run, what is kept, and
//! what is written down.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::handler::{Handler, HandlerError, Run};
use inbox_core::ledger::{Claimed, Ledger, Record, Reopen, Reopening, Settled, State};
use inbox_core::memory::{MemoryLedger, MemoryQueue};
use inbox_core::queue::{DeadLetter, Pointer, Queue, QueueError};
use inbox_processor::batch::{Message, Processor};
use inbox_processor::retry::RetryPolicy;
use inbox_processor::routes::{Route, Routes};

use crate::conformance::{at, begin_with, event, new_event};
use crate::crash::fuse::{Fuse, Fused};

type Attempt = fn(&Event, &Run) -> BoxFuture<'static, Result<(), HandlerError>>;

/// Does what it is told and writes down whom it ran for.
struct Told {
    attempt: Attempt,
    ran: Arc<Mutex<Vec<String>>>,
}

impl Handler for Told {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        self.ran.lock().unwrap().push(event.key.id.clone());
        (self.attempt)(event, run)
    }
}

const SUCCEEDS: Attempt = |_, _| async { Ok(()) }.boxed();
const FAILS: Attempt = |_, _| async { Err(HandlerError::retry("not now")) }.boxed();

/// A queue whose dead letters can be refused.
struct Moody {
    inner: Arc<MemoryQueue>,
    refuses_dead_letters: AtomicBool,
    refuses_to_hide: AtomicBool,
}

impl Queue for Moody {
    async fn send(&self, event: &Event, life: u32) -> Result<(), QueueError> {
        self.inner.send(event, life).await
    }

    async fn send_dead(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        if self.refuses_dead_letters.load(Ordering::SeqCst) {
            return Err(QueueError("SendMessage: AccessDenied".into()));
        }
        self.inner.send_dead(letter).await
    }

    async fn hide(&self, receipt_handle: &str, seconds: u32) -> Result<(), QueueError> {
        if self.refuses_to_hide.load(Ordering::SeqCst) {
            return Err(QueueError("ChangeMessageVisibility: ReceiptHandleIsInvalid".into()));
        }
        self.inner.hide(receipt_handle, seconds).await
    }
}

struct Bench {
    ledger: Arc<MemoryLedger>,
    queue: Arc<MemoryQueue>,
    fuse: Arc<Fuse>,
    ran: Arc<Mutex<Vec<String>>>,
    clock: Arc<AtomicI64>,
    processor: Processor<Fused<MemoryLedger>, Fused<Moody>>,
}

impl Bench {
    fn new(routes: &[(&str, Attempt)]) -> Self {
        let ledger = Arc::new(MemoryLedger::default());
        let queue = Arc::new(MemoryQueue::default());
        let fuse = Fuse::new(&[]);
        let ran: Arc<Mutex<Vec<String>>> = Arc::default();
        let clock = Arc::new(AtomicI64::new(at(0).unix_ms()));
        let routes = routes.iter().map(|(id, attempt)| {
            let told = Told { attempt: *attempt, ran: Arc::clone(&ran) };
            Route::new(id, "*", "*", Arc::new(told))
        });
        let time = Arc::clone(&clock);
        let moody = Moody {
            inner: Arc::clone(&queue),
            refuses_dead_letters: AtomicBool::new(false),
            refuses_to_hide: AtomicBool::new(false),
        };
        let processor = Processor {
            ledger: Fused { inner: Arc::clone(&ledger), fuse: Arc::clone(&fuse) },
            queue: Fused { inner: Arc::new(moody), fuse: Arc::clone(&fuse) },
            routes: Routes::of(routes.collect()),
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
        };
        Self { ledger, queue, fuse, ran, clock, processor }
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

#[tokio::test]
async fn an_event_with_one_handler_takes_two_calls() {
    let bench = Bench::new(&[("work", SUCCEEDS)]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Done);
    assert_eq!(bench.fuse.steps(), 2);
}

#[tokio::test]
async fn an_event_that_no_route_matches_is_done_at_once() {
    let bench = Bench::new(&[]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Done);
    assert_eq!(bench.fuse.steps(), 2);
}

#[tokio::test]
async fn only_what_failed_is_kept_and_by_its_own_id() {
    const FAILS_FOR_B: Attempt = |event, _| {
        let fails = event.key.id == "b";
        async move { if fails { Err(HandlerError::retry("not now")) } else { Ok(()) } }.boxed()
    };
    let bench = Bench::new(&[("work", FAILS_FOR_B)]);
    let messages =
        vec![bench.received("a").await, bench.received("b").await, bench.received("c").await];
    assert_eq!(bench.run(messages).await, ["message-b"]);
    assert_eq!(bench.queue.take_hidden(), [("handle-b".to_owned(), 60)]);
    let failing = bench.held("b").await;
    assert_eq!((failing.state, failing.next_at), (State::Failing, Some(at(60))));
    assert_eq!(failing.open.map(inbox_core::ledger::Open::due_at), Some(at(60 + 900)));
}

#[tokio::test]
async fn a_long_wait_is_parked_and_its_message_acknowledged() {
    let bench = Bench::new(&[("work", FAILS)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    bench.queue.take_hidden();
    bench.set_clock(60);
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.queue.take_hidden(), []);
    let parked = bench.held("a").await;
    assert_eq!(parked.next_at, Some(at(60 + 3600)));
    assert_eq!(parked.open.map(inbox_core::ledger::Open::due_at), Some(at(60 + 3600)));
}

#[tokio::test]
async fn a_handler_may_ask_for_a_longer_wait() {
    const ASKS: Attempt = |_, _| {
        let after = Some(Duration::from_millis(90_500));
        async move { Err(HandlerError::Retry { after, reason: "busy".into() }) }.boxed()
    };
    let bench = Bench::new(&[("work", ASKS)]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, ["message-a"]);
    // Whole seconds, rounded up, so that it does not come back early.
    assert_eq!(bench.queue.take_hidden(), [("handle-a".to_owned(), 91)]);
}

#[tokio::test]
async fn one_that_asks_for_a_second_does_not_use_up_its_siblings_attempts() {
    const ASKS: Attempt = |_, _| {
        let after = Some(Duration::from_secs(1));
        async move { Err(HandlerError::Retry { after, reason: "busy".into() }) }.boxed()
    };
    let bench = Bench::new(&[("asks", ASKS), ("work", FAILS)]);
    let message = bench.received("a").await;
    bench.run(vec![message]).await;
    assert_eq!(bench.held("a").await.next_at, Some(at(60)));
}

#[tokio::test]
async fn of_two_that_ask_the_longer_wait_counts() {
    const ASKS: Attempt = |_, run| {
        let seconds = if run.route_id == "long" { 200 } else { 100 };
        let after = Some(Duration::from_secs(seconds));
        async move { Err(HandlerError::Retry { after, reason: "busy".into() }) }.boxed()
    };
    let bench = Bench::new(&[("short", ASKS), ("long", ASKS)]);
    let message = bench.received("a").await;
    bench.run(vec![message]).await;
    assert_eq!(bench.held("a").await.next_at, Some(at(200)));
}

#[tokio::test]
async fn a_run_whose_life_is_over_ends_its_siblings() {
    /// Effects of the slow sibling.
    static EFFECTS: AtomicUsize = AtomicUsize::new(0);
    const QUICK: Attempt = |_, _| {
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(())
        }
        .boxed()
    };
    const SLOW: Attempt = |_, _| {
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            EFFECTS.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        .boxed()
    };
    let bench = Bench::new(&[("quick", QUICK), ("slow", SLOW)]);
    let message = bench.received("a").await;
    let replay = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Its lease is over, by the operator's clock.
        let seen = bench.held("a").await;
        let reopening = Reopening {
            record: &seen,
            cause: Reopen::Replay { seen: 1, all_handlers: false },
            actor: "ada",
            reason: "to be sure",
            request_id: "request-1",
            due_at: at(100),
            expires_at: seen.expires_at,
        };
        assert_eq!(bench.ledger.reopen(&reopening, at(100)).await.unwrap(), Settled::Written);
    };
    let (kept, ()) = tokio::join!(bench.run(vec![message]), replay);
    assert_eq!(kept, Vec::<String>::new());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(EFFECTS.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn while_the_ledger_fails_the_message_stays_at_every_step() {
    const WRONG: Attempt = |_, _| async { Err(HandlerError::permanent("wrong")) }.boxed();
    for (attempt, step) in
        [(SUCCEEDS, "begin"), (SUCCEEDS, "complete"), (FAILS, "fail"), (WRONG, "bury")]
    {
        let bench = Bench::new(&[("work", attempt)]);
        bench.fuse.fail_at(step);
        let message = bench.received("a").await;
        assert_eq!(bench.run(vec![message]).await, ["message-a"], "{step}");
    }
}

#[tokio::test]
async fn a_message_that_could_not_be_hidden_stays_and_is_dropped_when_it_comes_back_early() {
    let bench = Bench::new(&[("work", FAILS)]);
    bench.processor.queue.inner.refuses_to_hide.store(true, Ordering::SeqCst);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message.clone()]).await, ["message-a"]);
    assert_eq!(bench.held("a").await.state, State::Failing);
    bench.set_clock(30);
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.ran(), ["a"]);
}

#[tokio::test]
async fn an_event_is_buried_when_its_attempts_are_used_up_with_its_reason() {
    let bench = Bench::new(&[("work", FAILS)]);
    let message = bench.received("a").await;
    for seconds in [0, 60, 3660] {
        bench.set_clock(seconds);
        bench.run(vec![message.clone()]).await;
    }
    let dead = bench.held("a").await;
    assert_eq!((dead.state, dead.attempts), (State::Dead, 3));
    assert_eq!(dead.last_error.as_deref(), Some("work: not now"));
    let letters = bench.queue.take_dead();
    let [letter] = &letters[..] else { panic!("one dead letter: {letters:?}") };
    assert_eq!(Pointer::parse(&letter.body).unwrap(), Pointer { key: Bench::key("a"), life: 2 });
    let expected = [
        ("source", "stripe_eu"),
        ("event_type", "payment_intent.succeeded"),
        ("event_id", "a"),
        ("error", "work: not now"),
        ("attempts", "3"),
    ];
    assert_eq!(letter.attributes, expected.map(|(name, value)| (name, value.to_owned())));
}

#[tokio::test]
async fn a_permanent_failure_is_buried_at_once() {
    const WRONG: Attempt = |_, _| async { Err(HandlerError::permanent("no such plan")) }.boxed();
    let bench = Bench::new(&[("work", WRONG)]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    let dead = bench.held("a").await;
    assert_eq!((dead.state, dead.attempts), (State::Dead, 1));
    assert_eq!(bench.queue.take_dead().len(), 1);
}

#[tokio::test]
async fn a_permanent_failure_does_not_take_a_siblings_retries() {
    const WRONG: Attempt = |_, _| async { Err(HandlerError::permanent("no such plan")) }.boxed();
    let bench = Bench::new(&[("work", WRONG), ("mail", FAILS)]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, ["message-a"]);
    let failing = bench.held("a").await;
    assert_eq!(failing.state, State::Failing);
    assert_eq!(failing.errors.len(), 2);
}

#[tokio::test]
async fn a_message_for_a_dead_event_runs_nothing() {
    const WRONG: Attempt = |_, _| async { Err(HandlerError::permanent("wrong")) }.boxed();
    let bench = Bench::new(&[("work", WRONG)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    let dead = bench.held("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.ran(), ["a"]);
    assert_eq!(bench.held("a").await, dead);
}

#[tokio::test]
async fn the_dead_letter_is_sent_before_the_event_is_marked_dead() {
    const WRONG: Attempt = |_, _| async { Err(HandlerError::permanent("wrong")) }.boxed();
    let bench = Bench::new(&[("work", WRONG)]);
    let message = bench.received("a").await;
    bench.processor.queue.inner.refuses_dead_letters.store(true, Ordering::SeqCst);
    // Refused: the message stays, and nobody believes that a letter was sent.
    assert_eq!(bench.run(vec![message.clone()]).await, ["message-a"]);
    assert_eq!(bench.held("a").await.state, State::Received);
    bench.processor.queue.inner.refuses_dead_letters.store(false, Ordering::SeqCst);
    bench.set_clock(360);
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Dead);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_goes_to_the_dead_letters_with_the_reason() {
    let bench = Bench::new(&[("work", SUCCEEDS)]);
    let message =
        Message { id: "m".into(), receipt_handle: "h".into(), body: "{\"hello\":1}".into() };
    assert_eq!(bench.run(vec![message.clone()]).await, Vec::<String>::new());
    let letters = bench.queue.take_dead();
    let reason = "not a message of this inbox: Data at line 1 column 11";
    assert_eq!(
        letters,
        [DeadLetter {
            body: "{\"hello\":1}".into(),
            attributes: vec![("error", reason.to_owned())]
        }]
    );
    bench.processor.queue.inner.refuses_dead_letters.store(true, Ordering::SeqCst);
    assert_eq!(bench.run(vec![message]).await, ["m"]);
}

#[tokio::test]
async fn a_message_for_an_unknown_event_is_dropped() {
    let bench = Bench::new(&[("work", SUCCEEDS)]);
    assert_eq!(bench.run(vec![Bench::message("nobody", 1)]).await, Vec::<String>::new());
    assert_eq!(bench.ran(), Vec::<String>::new());
}

#[tokio::test]
async fn an_early_dead_letter_stays_in_the_queue_until_its_event_is_dead() {
    let bench = Bench::new(&[("work", SUCCEEDS)]);
    bench.received("a").await;
    assert_eq!(bench.run(vec![Bench::message("a", 2)]).await, ["message-a"]);
    assert_eq!(bench.ran(), Vec::<String>::new());
}

#[tokio::test]
async fn a_redriven_dead_letter_opens_one_new_life() {
    const WRONG_FIRST: Attempt = |_, run| {
        let first = run.life == 1;
        async move { if first { Err(HandlerError::permanent("wrong")) } else { Ok(()) } }.boxed()
    };
    let bench = Bench::new(&[("work", WRONG_FIRST)]);
    let message = bench.received("a").await;
    bench.run(vec![message]).await;
    let letter = bench.queue.take_dead().remove(0);
    let redriven = Message { body: letter.body, ..Bench::message("a", 2) };
    assert_eq!(bench.run(vec![redriven.clone()]).await, Vec::<String>::new());
    let done = bench.held("a").await;
    assert_eq!((done.state, done.life, done.attempts), (State::Done, 2, 1));
    assert_eq!(bench.run(vec![redriven]).await, Vec::<String>::new());
    assert_eq!(bench.ran(), ["a", "a"]);
}

#[tokio::test]
async fn a_suspect_runs_last_and_alone() {
    let bench = Bench::new(&[("work", SUCCEEDS)]);
    // Both of these killed their process once: a lease ended without an outcome.
    for id in ["a", "b"] {
        bench.received(id).await;
        let begin = begin_with("killed", 1, at(70));
        bench.ledger.begin(&Bench::key(id), &begin, at(0)).await.unwrap();
    }
    bench.set_clock(100);
    let messages = vec![Bench::message("a", 1), Bench::message("b", 1), bench.received("c").await];
    assert_eq!(bench.run(messages).await, Vec::<String>::new());
    assert_eq!(bench.ran(), ["c", "a", "b"]);
}

#[tokio::test]
async fn a_suspect_that_kills_its_process_takes_nobody_along_and_ends_buried() {
    // The fuse kills the process in the suspect's run, like an abort would.
    const KILLS: Attempt = |event, _| {
        let kills = event.key.id == "poison";
        async move {
            if kills {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
        .boxed()
    };
    let bench = Bench::new(&[("work", KILLS)]);
    let poison = bench.received("poison").await;
    let mut now = 0;
    let mut round = 0;
    while bench.held("poison").await.state.is_unfinished() {
        let neighbour = format!("neighbour-{round}");
        let messages = vec![poison.clone(), bench.received(&neighbour).await];
        let batch = bench.run(messages);
        // Dead as soon as the neighbour had its chance.
        let died = tokio::time::timeout(Duration::from_millis(200), batch).await.is_err();
        if round > 0 {
            assert_eq!(bench.held(&neighbour).await.state, State::Done, "round {round}");
        }
        round += 1;
        now += 360;
        bench.set_clock(now);
        assert_eq!(died, round <= 3, "round {round}");
    }
    let dead = bench.held("poison").await;
    assert_eq!((dead.state, dead.attempts), (State::Dead, 3));
    assert_eq!(dead.last_error.as_deref(), Some("3 attempts used up"));
    assert_eq!(bench.ran().iter().filter(|id| *id == "poison").count(), 3);
}

#[tokio::test]
async fn a_handler_that_hangs_is_ended_and_tried_again() {
    const HANGS: Attempt = |_, _| std::future::pending().boxed();
    let mut bench = Bench::new(&[("work", HANGS)]);
    bench.processor.handler_timeout = Duration::from_millis(50);
    let message = bench.received("a").await;
    let batch = tokio::time::timeout(Duration::from_secs(5), bench.run(vec![message]));
    assert_eq!(batch.await.expect("the batch ends"), ["message-a"]);
    let failing = bench.held("a").await;
    assert_eq!(failing.state, State::Failing);
    assert_eq!(failing.last_error.as_deref(), Some("work: the handler took longer than 0.05 s"));
}

#[tokio::test]
async fn a_handler_that_panics_fails_alone_and_its_text_stays_out() {
    const PANICS: Attempt = |event, _| {
        let panics = event.key.id == "a";
        async move {
            assert!(!panics, "card 4242");
            Ok(())
        }
        .boxed()
    };
    let bench = Bench::new(&[("work", PANICS)]);
    let messages = vec![bench.received("a").await, bench.received("b").await];
    assert_eq!(bench.run(messages).await, ["message-a"]);
    assert_eq!(bench.held("b").await.state, State::Done);
    let failing = bench.held("a").await;
    assert_eq!(failing.last_error.as_deref(), Some("work: the handler panicked"));
}

#[tokio::test]
async fn what_could_not_have_its_whole_time_is_not_begun() {
    let bench = Bench::new(&[("work", SUCCEEDS)]);
    let message = bench.received("a").await;
    // An attempt that could not have its whole time would be counted all the same.
    let whole = bench.processor.handler_timeout + inbox_processor::batch::RESERVE;
    let late = at(0).plus(whole.saturating_sub(Duration::from_millis(1)));
    assert_eq!(bench.processor.run_batch(vec![message.clone()], late).await, ["message-a"]);
    assert_eq!(bench.held("a").await.attempts, 0);
    let in_time = at(0).plus(whole);
    assert_eq!(bench.processor.run_batch(vec![message], in_time).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_completed_handler_does_not_run_again_when_its_sibling_does_or_on_replay() {
    const FAILS_FIRST: Attempt = |_, run| {
        let first = run.attempt == 1;
        async move { if first { Err(HandlerError::retry("not yet")) } else { Ok(()) } }.boxed()
    };
    let bench = Bench::new(&[("mail", SUCCEEDS), ("work", FAILS_FIRST)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    bench.set_clock(60);
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Done);
    // Two routes, then the one that failed.
    assert_eq!(bench.ran().len(), 3);

    let done = bench.held("a").await;
    let reopening = Reopening {
        record: &done,
        cause: Reopen::Replay { seen: 1, all_handlers: false },
        actor: "ada",
        reason: "to be sure",
        request_id: "request-1",
        due_at: at(61),
        expires_at: done.expires_at,
    };
    bench.ledger.reopen(&reopening, at(61)).await.unwrap();
    bench.run(vec![Bench::message("a", 2)]).await;
    assert_eq!(bench.held("a").await.state, State::Done);
    assert_eq!(bench.ran().len(), 3);
}
