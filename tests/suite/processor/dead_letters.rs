//! Giving up, and what comes back from there.

use inbox_core::ledger::{Begun, Completed};

use super::*;

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
    let message = Message { body: "{\"hello\":1}".into(), ..Bench::message("m", 1) };
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
    assert_eq!(bench.run(vec![message]).await, ["message-m"]);
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

/// Records what a run that overslept had done, and then fails for good itself.
struct Overtaken {
    ledger: Arc<MemoryLedger>,
    sleeper: Record,
}

impl Handler for Overtaken {
    fn handle<'a>(
        &'a self,
        _: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            let late = self.ledger.complete(&self.sleeper, &run.route_id, &[], at(101).into());
            assert_eq!(late.await.unwrap(), Completed::Pending);
            Err(HandlerError::permanent("card declined"))
        }
        .boxed()
    }
}

#[tokio::test]
async fn an_event_whose_only_route_completes_late_is_finished_and_not_buried() {
    let mut bench = Bench::new(&[]);
    let message = bench.received("a").await;
    let begin = begin_with("sleeper", 1, at(70));
    let begun = bench.ledger.begin(&Bench::key("a"), &begin, at(0)).await.unwrap();
    let Begun::Run(sleeper) = begun else { panic!("{begun:?}") };
    let overtaken = Overtaken { ledger: Arc::clone(&bench.ledger), sleeper: *sleeper };
    bench.processor.routes = Routes::of(vec![Route::new("work", "*", "*", Arc::new(overtaken))]);
    bench.set_clock(100);
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    let done = bench.held("a").await;
    assert_eq!((done.state, done.open), (State::Done, None));
    // Its letter had to go first, and opens no life when it is sent back.
    assert_eq!(bench.queue.take_dead().len(), 1);
    bench.run(vec![Bench::message("a", 2)]).await;
    assert_eq!(bench.held("a").await.life, 1);
}
