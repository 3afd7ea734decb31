//! Handlers that kill, hang, panic, or have no time left.

use inbox_core::ledger::Begun;

use super::*;

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
            cause: Reopen::Replay { seen: 1, rerun: Rerun::Unfinished },
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
    assert_eq!(
        dead.last_error.as_deref(),
        Some("work: 3 attempts used up, the last without an outcome")
    );
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

/// Beginning may take its time; what becomes of the event is written down before
/// Lambda ends the process all the same.
#[tokio::test]
async fn a_handler_has_no_more_than_what_is_left_when_it_starts() {
    const SLOW: Attempt = |_, _| {
        async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(())
        }
        .boxed()
    };
    let bench = Bench::new(&[("work", SLOW)]);
    let message = bench.received("a").await;
    let clock = Arc::clone(&bench.clock);
    // The clock moves on while the ledger begins: half a second is left.
    let whole = bench.processor.handler_timeout + inbox_processor::batch::RESERVE;
    let deadline = at(0).plus(whole);
    let later = at(0).plus(bench.processor.handler_timeout).unix_ms() - 500;
    bench.fuse.after_begin(move || clock.store(later, Ordering::SeqCst));
    assert_eq!(bench.processor.run_batch(vec![message], deadline).await, ["message-a"]);
    let failing = bench.held("a").await;
    assert_eq!(failing.last_error.as_deref(), Some("work: the handler took longer than 0.5 s"));
}

#[tokio::test]
async fn the_longest_handler_allowed_is_begun_seconds_into_an_invocation() {
    let settings = |name: &str| {
        let all = [("TABLE_NAME", "t"), ("QUEUE_URL", "q"), ("DLQ_URL", "d")];
        let longest = ("HANDLER_TIMEOUT_SECONDS", "45");
        let found = all.iter().chain([&longest]).find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let config = inbox_processor::config::Config::from_lookup(settings).unwrap();
    let mut bench = Bench::new(&[("work", SUCCEEDS)]);
    bench.processor.handler_timeout = config.handler_timeout;
    let message = bench.received("a").await;
    let timeout = inbox_core::stack::stack().processor.timeout_seconds;
    let deadline = at(0).plus(Duration::from_secs(u64::from(timeout) - 4));
    assert_eq!(bench.processor.run_batch(vec![message], deadline).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Done);
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
async fn an_event_whose_handlers_are_all_done_is_not_buried_when_its_attempts_are_used_up() {
    let bench = Bench::new(&[("work", SUCCEEDS)]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, [] as [String; 0]);
    let done = bench.held("a").await;
    let reopening = Reopening {
        record: &done,
        cause: Reopen::Replay { seen: 1, rerun: Rerun::Unfinished },
        actor: "ada",
        reason: "to be sure",
        request_id: "replay-1",
        due_at: at(1),
        expires_at: at(100_000),
    };
    assert_eq!(bench.ledger.reopen(&reopening, at(1)).await.unwrap(), Settled::Written);
    // Each process dies after it began.
    for attempt in 0..3 {
        let begin = begin_with(&format!("token-{attempt}"), 2, at(attempt * 100 + 70));
        let begun = bench.ledger.begin(&Bench::key("a"), &begin, at(attempt * 100 + 1)).await;
        assert!(matches!(begun, Ok(Begun::Run(_))), "{begun:?}");
    }
    bench.set_clock(1000);
    assert_eq!(bench.run(vec![Bench::message("a", 2)]).await, [] as [String; 0]);
    let done = bench.held("a").await;
    assert_eq!((done.state, done.life, done.attempts), (State::Done, 2, 3));
    assert_eq!(bench.ran(), ["a"], "once, in its first life");
    assert_eq!(bench.queue.take_dead(), []);
}
