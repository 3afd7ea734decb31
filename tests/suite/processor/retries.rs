//! Waiting and trying again.

use super::*;

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
        cause: Reopen::Replay { seen: 1, rerun: Rerun::Unfinished },
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
