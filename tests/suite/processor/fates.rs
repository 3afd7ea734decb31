//! Each route of an event succeeds or fails on its own.

use super::*;

const WRONG: Attempt = |_, _| async { Err(HandlerError::permanent("no such plan")) }.boxed();
/// Asks for half an hour at first, and then succeeds.
const ASKS_FIRST: Attempt = |_, run| {
    let is_first = run.attempt == 1;
    let after = Some(Duration::from_mins(30));
    let busy = HandlerError::Retry { after, reason: "busy".into() };
    async move { if is_first { Err(busy) } else { Ok(()) } }.boxed()
};
/// Asks for two hours at first, and then succeeds.
const ASKS_FOR_LONG: Attempt = |_, run| {
    let is_first = run.attempt == 1;
    let after = Some(Duration::from_hours(2));
    let busy = HandlerError::Retry { after, reason: "busy".into() };
    async move { if is_first { Err(busy) } else { Ok(()) } }.boxed()
};

/// The routes that ran so far, by their attempts: `a_route 2`.
fn attempts(bench: &Bench) -> Vec<String> {
    let mut runs = bench.runs.lock().unwrap().clone();
    runs.sort();
    runs
}

#[tokio::test]
async fn a_route_that_fails_for_good_does_not_run_again_while_its_sibling_is_retried() {
    let bench = Bench::new(&[("gone", WRONG), ("work", FAILS)]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message.clone()]).await, ["message-a"]);
    let failing = bench.held("a").await;
    assert_eq!(failing.state, State::Failing);
    assert!(failing.is_given_up("gone") && !failing.is_given_up("work"));

    bench.set_clock(60);
    bench.run(vec![message.clone()]).await;
    bench.set_clock(60 + 3600);
    assert_eq!(bench.queue.take_dead(), []);
    bench.run(vec![message]).await;
    assert_eq!(attempts(&bench), ["gone 1", "work 1", "work 2", "work 3"]);
    let dead = bench.held("a").await;
    assert_eq!(dead.state, State::Dead);
    // Both reasons, and the most attempts of any.
    let letter = &bench.queue.take_dead()[0];
    let attribute = |sought| letter.attributes.iter().find(|(name, _)| *name == sought).unwrap();
    assert_eq!(attribute("error").1, "gone: no such plan; work: not now");
    assert_eq!(attribute("attempts").1, "3");
}

#[tokio::test]
async fn a_route_that_is_asked_to_wait_delays_no_sibling_and_takes_none_of_its_attempts() {
    let bench = Bench::new(&[("asks", ASKS_FIRST), ("work", FAILS)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    assert_eq!(bench.held("a").await.next_at, Some(at(60)));

    bench.set_clock(60);
    bench.run(vec![message.clone()]).await;
    assert_eq!(attempts(&bench), ["asks 1", "work 1", "work 2"]);
    // The sibling's second wait is an hour; this one's half hour is over before.
    assert_eq!(bench.held("a").await.next_at, Some(at(1800)));

    bench.set_clock(1800);
    bench.run(vec![message.clone()]).await;
    assert_eq!(attempts(&bench), ["asks 1", "asks 2", "work 1", "work 2"]);
    let waiting = bench.held("a").await;
    assert_eq!((waiting.next_at, waiting.is_done("asks")), (Some(at(60 + 3600)), true));

    bench.set_clock(60 + 3600);
    bench.run(vec![message]).await;
    assert_eq!(attempts(&bench), ["asks 1", "asks 2", "work 1", "work 2", "work 3"]);
    assert_eq!(bench.held("a").await.state, State::Dead);
}

#[tokio::test]
async fn an_event_is_done_when_the_last_of_its_routes_is_however_they_came_to_it() {
    let bench = Bench::new(&[("asks", ASKS_FIRST), ("mail", SUCCEEDS)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    let failing = bench.held("a").await;
    assert_eq!((failing.state, failing.is_done("mail")), (State::Failing, true));
    bench.set_clock(1800);
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Done);
    assert_eq!(attempts(&bench), ["asks 1", "asks 2", "mail 1"]);
}

/// Ends when the ledger shows that its sibling is done, and not before.
struct WaitsForMail(Arc<MemoryLedger>);

impl Handler for WaitsForMail {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        _run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            while !self.0.get(&event.key).await.unwrap().is_some_and(|it| it.is_done("mail")) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(Handled::Done)
        }
        .boxed()
    }
}

#[tokio::test]
async fn what_succeeds_is_recorded_while_a_sibling_still_hangs() {
    let mut bench = Bench::new(&[]);
    let hangs = WaitsForMail(Arc::clone(&bench.ledger));
    let mail = Told::new(SUCCEEDS, &bench);
    let routes = [
        Route::new("hangs", "*", "*", Arc::new(hangs)),
        Route::new("mail", "*", "*", Arc::new(mail)),
    ];
    bench.processor.routes = Routes::of(routes.into());
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Done);
}

#[tokio::test]
async fn one_that_kills_its_process_takes_no_sibling_along_that_waits() {
    let bench = Bench::new(&[("asks", ASKS_FOR_LONG), ("kills", FAILS)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    // From its second attempt on, each process dies of it.
    for (n, seconds) in [(2, 60), (3, 131)] {
        let begin = begin_with(&format!("killed {n}"), 1, at(seconds + 70));
        let begun = bench.ledger.begin(&Bench::key("a"), &begin, at(seconds)).await.unwrap();
        assert_eq!(crate::conformance::name_of(&begun), "run");
    }
    bench.set_clock(300);
    bench.run(vec![message.clone()]).await;
    let record = bench.held("a").await;
    assert!(record.is_given_up("kills") && !record.is_given_up("asks"));
    assert_eq!((record.state, record.next_at), (State::Failing, Some(at(7200))));
    assert_eq!((record.attempts, record.leased_until), (1, None));

    bench.set_clock(7200);
    bench.run(vec![message]).await;
    assert_eq!(attempts(&bench), ["asks 1", "asks 2", "kills 1"]);
    let dead = bench.held("a").await;
    assert_eq!((dead.state, dead.is_done("asks")), (State::Dead, true));
    let letters = bench.queue.take_dead();
    let error = &letters[0].attributes.iter().find(|(name, _)| *name == "error").unwrap().1;
    assert_eq!(error, "kills: 3 attempts used up, the last without an outcome; before: not now");
}

#[tokio::test]
async fn a_route_whose_last_attempt_ended_with_its_process_is_given_up_and_its_sibling_goes_on() {
    let bench = Bench::new(&[("asks", ASKS_FOR_LONG), ("kills", FAILS)]);
    let message = bench.received("a").await;
    for seconds in [0, 60] {
        bench.set_clock(seconds);
        bench.run(vec![message.clone()]).await;
    }
    // Its third and last attempt begins, and the process dies of it.
    let begin = begin_with("killed", 1, at(3660 + 70));
    let begun = bench.ledger.begin(&Bench::key("a"), &begin, at(3660)).await.unwrap();
    assert_eq!(crate::conformance::name_of(&begun), "run");
    bench.set_clock(3800);
    bench.run(vec![message.clone()]).await;
    let record = bench.held("a").await;
    assert_eq!(attempts(&bench), ["asks 1", "kills 1", "kills 2"]);
    assert!(record.is_given_up("kills"));
    let error = "3 attempts used up, the last without an outcome; before: not now";
    assert_eq!((record.failures["kills"].error.as_str(), record.next_at), (error, Some(at(7200))));

    bench.set_clock(7200);
    bench.run(vec![message]).await;
    assert_eq!(attempts(&bench), ["asks 1", "asks 2", "kills 1", "kills 2"]);
    assert_eq!(bench.held("a").await.state, State::Dead);
}

#[tokio::test]
async fn a_completion_that_could_not_be_recorded_is_recorded_before_its_sibling_waits() {
    let bench = Bench::new(&[("mail", SUCCEEDS), ("work", FAILS)]);
    bench.fuse.fail_once_at("complete");
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    let failing = bench.held("a").await;
    assert_eq!((failing.state, failing.is_done("mail")), (State::Failing, true));
    bench.set_clock(60);
    bench.run(vec![message]).await;
    assert_eq!(attempts(&bench), ["mail 1", "work 1", "work 2"]);
}

/// SQS would move it away, behind the ledger's back.
#[tokio::test]
async fn a_message_that_came_back_often_is_not_kept_for_another_wait() {
    for (receives, is_kept) in [(19, true), (20, false)] {
        let bench = Bench::new(&[("work", FAILS)]);
        let message = Message { receives, ..bench.received("a").await };
        let kept = bench.run(vec![message]).await;
        assert_eq!(kept.is_empty(), !is_kept, "{receives}");
        let due_at = bench.held("a").await.open.map(inbox_core::ledger::Open::due_at);
        assert_eq!(due_at, Some(at(if is_kept { 60 + 900 } else { 60 })), "{receives}");
    }
}

#[tokio::test]
async fn while_a_completion_cannot_be_recorded_nothing_is_buried() {
    let bench = Bench::new(&[("gone", WRONG), ("mail", SUCCEEDS)]);
    bench.fuse.fail_at("complete");
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, ["message-a"]);
    assert_eq!(bench.queue.take_dead(), []);
    assert_eq!(bench.held("a").await.state, State::Received);
}

#[tokio::test]
async fn a_replay_of_one_route_runs_that_one_and_not_another_that_was_given_up() {
    let bench = Bench::new(&[("billing", WRONG), ("gone", WRONG)]);
    let message = bench.received("a").await;
    bench.run(vec![message]).await;
    let dead = bench.held("a").await;
    let billing = ["billing".to_owned()];
    let reopening = Reopening {
        record: &dead,
        cause: Reopen::Replay { seen: 1, rerun: Rerun::Routes(&billing) },
        actor: "ada",
        reason: "the plan is there now",
        request_id: "request-1",
        due_at: at(61),
        expires_at: dead.expires_at,
    };
    assert_eq!(bench.ledger.reopen(&reopening, at(61)).await.unwrap(), Settled::Written);
    bench.set_clock(61);
    bench.run(vec![Bench::message("a", 2)]).await;
    assert_eq!(attempts(&bench), ["billing 1", "billing 1", "gone 1"]);
    assert_eq!(bench.held("a").await.state, State::Dead);
}

/// Another configuration is deployed.
fn deploy(bench: &mut Bench, routes: &[(&str, Attempt)]) {
    let route = |(id, attempt): &(&str, Attempt)| {
        Route::new(id, "*", "*", Arc::new(Told::new(*attempt, bench)))
    };
    let routes = routes.iter().map(route).collect();
    bench.processor.routes = Routes::of(routes);
}

fn error_of(letter: &DeadLetter) -> &str {
    &letter.attributes.iter().find(|(name, _)| *name == "error").expect("its error").1
}

#[tokio::test]
async fn what_waits_for_a_route_that_is_gone_is_buried_with_that_reason() {
    let mut bench = Bench::new(&[("old", FAILS), ("mail", SUCCEEDS)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    deploy(&mut bench, &[("mail", SUCCEEDS)]);
    bench.set_clock(60);
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    let dead = bench.held("a").await;
    assert_eq!((dead.state, dead.is_given_up("old")), (State::Dead, true));
    let letters = bench.queue.take_dead();
    let expected = "old: no route of this id takes the event any more; before: not now";
    assert_eq!(letters.iter().map(error_of).collect::<Vec<_>>(), [expected]);

    // Its letter sent back changes nothing while the route is gone.
    bench.run(vec![Bench::message("a", 2)]).await;
    let dead = bench.held("a").await;
    assert_eq!((dead.state, dead.life), (State::Dead, 2));
    assert_eq!(bench.queue.take_dead().len(), 1);
    // There again, it is run, and its sibling is not.
    deploy(&mut bench, &[("old", SUCCEEDS), ("mail", SUCCEEDS)]);
    bench.run(vec![Bench::message("a", 3)]).await;
    assert_eq!(bench.held("a").await.state, State::Done);
    assert_eq!(attempts(&bench), ["mail 1", "old 1", "old 1"]);
}

#[tokio::test]
async fn what_waits_for_a_route_that_is_gone_waits_for_its_siblings_before_it_is_buried() {
    let mut bench = Bench::new(&[("old", FAILS), ("work", FAILS)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    deploy(&mut bench, &[("work", SUCCEEDS), ("new", ASKS_FIRST)]);
    bench.set_clock(60);
    bench.run(vec![message.clone()]).await;
    let failing = bench.held("a").await;
    assert_eq!((failing.state, failing.is_given_up("old")), (State::Failing, true));
    assert_eq!(bench.queue.take_dead(), []);
    bench.set_clock(60 + 3600);
    bench.run(vec![message]).await;
    let dead = bench.held("a").await;
    let is_done = ["work", "new", "old"].map(|route| dead.is_done(route));
    assert_eq!((dead.state, is_done), (State::Dead, [true, true, false]));
}

#[tokio::test]
async fn a_route_that_was_given_up_and_is_gone_does_not_make_the_event_done() {
    let mut bench = Bench::new(&[("old", WRONG), ("work", FAILS)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    deploy(&mut bench, &[("work", SUCCEEDS)]);
    bench.set_clock(60);
    bench.run(vec![message]).await;
    let dead = bench.held("a").await;
    assert_eq!((dead.state, dead.is_done("work")), (State::Dead, true));
    assert_eq!(error_of(&bench.queue.take_dead()[0]), "old: no such plan");
}

#[tokio::test]
async fn an_event_whose_attempts_are_used_up_waits_for_no_route_that_is_gone() {
    let mut bench = Bench::new(&[("old", ASKS_FOR_LONG)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    deploy(&mut bench, &[]);
    for seconds in [7200, 7300] {
        let begin = begin_with("killed", 1, at(seconds + 70));
        bench.ledger.begin(&Bench::key("a"), &begin, at(seconds)).await.unwrap();
    }
    bench.set_clock(7400);
    bench.run(vec![message]).await;
    assert_eq!(bench.held("a").await.state, State::Dead);
    assert_eq!(bench.queue.take_dead().len(), 1);
}

/// Opens a life for these routes, at `seconds`.
async fn replay(bench: &Bench, routes: &[&str], seconds: u64) -> Settled {
    let record = bench.held("a").await;
    let routes: Vec<String> = routes.iter().map(|&route| route.to_owned()).collect();
    let reopening = Reopening {
        record: &record,
        cause: Reopen::Replay { seen: record.life, rerun: Rerun::Routes(&routes) },
        actor: "ada",
        reason: "asked for",
        request_id: &format!("request-{seconds}"),
        due_at: at(seconds),
        expires_at: record.expires_at,
    };
    bench.set_clock(seconds);
    bench.ledger.reopen(&reopening, at(seconds)).await.unwrap()
}

#[tokio::test]
async fn a_replay_of_named_routes_runs_no_route_that_was_added_since() {
    let mut bench = Bench::new(&[("ok", SUCCEEDS)]);
    let message = bench.received("a").await;
    bench.run(vec![message]).await;
    deploy(&mut bench, &[("ok", SUCCEEDS), ("new", SUCCEEDS)]);
    assert_eq!(replay(&bench, &["ok"], 10).await, Settled::Written);
    bench.run(vec![Bench::message("a", 2)]).await;
    let done = bench.held("a").await;
    assert_eq!((done.state, done.is_done("new")), (State::Done, false));
    assert_eq!(attempts(&bench), ["ok 1", "ok 1"]);
    // Named, it runs.
    assert_eq!(replay(&bench, &["new"], 20).await, Settled::Written);
    bench.run(vec![Bench::message("a", 3)]).await;
    assert_eq!(attempts(&bench), ["new 1", "ok 1", "ok 1"]);
}

#[tokio::test]
async fn a_redrive_runs_no_route_that_was_added_since() {
    let mut bench = Bench::new(&[("billing", WRONG), ("mail", SUCCEEDS)]);
    let message = bench.received("a").await;
    bench.run(vec![message]).await;
    deploy(&mut bench, &[("billing", SUCCEEDS), ("mail", SUCCEEDS), ("new", SUCCEEDS)]);
    bench.run(vec![Bench::message("a", 2)]).await;
    assert_eq!(attempts(&bench), ["billing 1", "billing 1", "mail 1"]);
    assert_eq!(bench.held("a").await.state, State::Done);
}

#[tokio::test]
async fn a_named_route_that_is_gone_before_it_runs_is_buried_with_that_reason() {
    let mut bench = Bench::new(&[("ok", SUCCEEDS)]);
    let message = bench.received("a").await;
    bench.run(vec![message]).await;
    assert_eq!(replay(&bench, &["ok"], 10).await, Settled::Written);
    deploy(&mut bench, &[("new", SUCCEEDS)]);
    bench.run(vec![Bench::message("a", 2)]).await;
    assert_eq!(bench.held("a").await.state, State::Dead);
    let letters = bench.queue.take_dead();
    assert_eq!(error_of(&letters[0]), "ok: no route of this id takes the event any more");
}
