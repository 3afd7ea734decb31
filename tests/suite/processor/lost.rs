//! A route that was taken away after it had been begun, and of which the record says
//! nothing: only what was configured before tells that there was one.

use inbox_aws::FormerRoutes;
use inbox_core::ledger::{Begun, UNKNOWN_ROUTE};

use super::*;

const SAID: &str =
    "(unknown): an attempt ended without an outcome, and a route that took such events is gone";
const FAILS_FIRST: Attempt = |_, run| {
    let is_late = run.attempt > 2;
    async move { if is_late { Ok(()) } else { Err(HandlerError::retry("not now")) } }.boxed()
};

fn route(bench: &Bench, id: &str, event_type: &str, attempt: Attempt) -> Route {
    Route::new(id, "*", event_type, Arc::new(Told::new(attempt, bench)))
}

/// Begins so many attempts that end without an outcome; `done` completed in the first.
async fn die(bench: &Bench, attempts: u64, done: Option<&str>) {
    for n in 0..attempts {
        let begin = begin_with(&format!("killed {n}"), 1, at(n * 100 + 70));
        let begun = bench.ledger.begin(&Bench::key("a"), &begin, at(n * 100)).await.unwrap();
        let Begun::Run(record) = begun else { panic!("{begun:?}") };
        if let Some(done) = done.filter(|_| n == 0) {
            let now = at(0).into();
            bench.ledger.complete(&record, done, &["killer"], now).await.unwrap();
        }
    }
    bench.set_clock(attempts * 100);
}

fn former(routes: Vec<Route>, until: u64) -> FormerRoutes {
    FormerRoutes { routes: Routes::of(routes).patterns(), until: at(until) }
}

fn errors(bench: &Bench) -> Vec<String> {
    let error = |letter: &DeadLetter| {
        letter.attributes.iter().find(|(name, _)| *name == "error").expect("its error").1.clone()
    };
    bench.queue.take_dead().iter().map(error).collect()
}

#[tokio::test]
async fn a_route_that_is_taken_away_after_an_attempt_without_an_outcome_ends_nothing_as_done() {
    // Whether its sibling matched the same, and had completed, or had not.
    for event_type in ["*", "payment*"] {
        for done in [Some("mirror"), None] {
            for attempts in [1, 3] {
                let mut bench = Bench::new(&[]);
                let message = bench.received("a").await;
                die(&bench, attempts, done).await;
                let mirror = route(&bench, "mirror", event_type, SUCCEEDS);
                let killer = route(&bench, "killer", "*", SUCCEEDS);
                let former = [former(vec![mirror, killer], 100)];
                let mirror = route(&bench, "mirror", event_type, SUCCEEDS);
                bench.processor.routes = Routes::of(vec![mirror]).with_former(&former);

                assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
                let case = format!("{event_type} {done:?} {attempts}");
                let dead = bench.held("a").await;
                assert_eq!(dead.state, State::Dead, "{case}");
                let said = errors(&bench);
                assert!(said.len() == 1 && said[0].contains(SAID), "{case}: {said:?}");

                // Sent back, the letter runs what has not completed, and that is all there is.
                bench.run(vec![Bench::message("a", 2)]).await;
                let done = bench.held("a").await;
                assert_eq!((done.state, done.is_done("mirror")), (State::Done, true), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_lost_is_not_forgotten_while_a_sibling_is_tried_again() {
    let mut bench = Bench::new(&[]);
    let message = bench.received("a").await;
    die(&bench, 1, None).await;
    let former = [former(vec![route(&bench, "killer", "*", SUCCEEDS)], 100)];
    let work = route(&bench, "work", "payment*", FAILS_FIRST);
    bench.processor.routes = Routes::of(vec![work]).with_former(&former);
    bench.run(vec![message.clone()]).await;
    let failing = bench.held("a").await;
    assert_eq!((failing.state, failing.is_given_up(UNKNOWN_ROUTE)), (State::Failing, true));
    bench.set_clock(10_000);
    bench.run(vec![message]).await;
    let dead = bench.held("a").await;
    assert_eq!((dead.state, dead.is_done("work")), (State::Dead, true));
    assert_eq!(errors(&bench), [SAID]);
}

#[test]
fn a_route_is_lost_unless_it_only_got_another_id() {
    let bench = Bench::new(&[]);
    let of = |routes: &[(&str, &str)]| {
        let made = routes.iter().map(|(id, kind)| route(&bench, id, kind, SUCCEEDS));
        Routes::of(made.collect())
    };
    let lost = |former: &[&[(&str, &str)]], now: &[(&str, &str)]| {
        let until = at(0);
        let text = |set: &&[(&str, &str)]| FormerRoutes { routes: of(set).patterns(), until };
        let former: Vec<FormerRoutes> = former.iter().map(text).collect();
        of(now).with_former(&former).lost(&event(at(0)))
    };
    let two: &[(&str, &str)] = &[("a", "*"), ("b", "*")];
    assert!(lost(&[two], &[("a", "*")]), "one of two that matched the same");
    assert!(!lost(&[two], &[("a", "*"), ("c", "*")]), "another id");
    assert!(!lost(&[two, &[("a", "*"), ("c", "*")]], &[("a", "*"), ("d", "*")]), "and again");
    assert!(lost(&[two, &[("a", "*")]], &[("a", "*")]), "a change before the last");
    assert!(!lost(&[&[("a", "*"), ("b", "*.large")]], &[("a", "*")]), "of no such type");
    assert!(!lost(&[&[("a", "*")]], two), "one more");
}

/// What was gone when the event came cannot have been begun for it.
#[tokio::test]
async fn a_route_that_was_gone_before_the_event_came_is_not_missed() {
    for (until, state) in [(0, State::Done), (200, State::Dead)] {
        let mut bench = Bench::new(&[]);
        let mut new = new_event(at(1000));
        new.event.key.id = "a".into();
        bench.ledger.claim(&new).await.unwrap();
        let begin = begin_with("killed", 1, at(1070));
        bench.ledger.begin(&Bench::key("a"), &begin, at(1000)).await.unwrap();
        bench.set_clock(1100);
        let former = [former(vec![route(&bench, "killer", "*", SUCCEEDS)], until)];
        let mirror = route(&bench, "mirror", "payment*", SUCCEEDS);
        bench.processor.routes = Routes::of(vec![mirror]).with_former(&former);
        bench.run(vec![Bench::message("a", 1)]).await;
        assert_eq!(bench.held("a").await.state, state, "gone since second {until}");
    }
}

/// Whatever runs there was asked for by name.
#[tokio::test]
async fn a_life_for_named_routes_misses_none_that_has_no_name() {
    let mut bench = Bench::new(&[("mirror", SUCCEEDS)]);
    let message = bench.received("a").await;
    bench.run(vec![message]).await;
    let done = bench.held("a").await;
    let reopening = Reopening {
        record: &done,
        cause: Reopen::Replay { seen: 1, rerun: Rerun::Routes(&["mirror".to_owned()]) },
        actor: "ada",
        reason: "",
        request_id: "request-1",
        due_at: at(1000),
        expires_at: at(1_000_000),
    };
    assert_eq!(bench.ledger.reopen(&reopening, at(10)).await.unwrap(), Settled::Written);
    let begin = begin_with("killed", 2, at(90));
    bench.ledger.begin(&Bench::key("a"), &begin, at(20)).await.unwrap();
    bench.set_clock(100);
    let former = [former(vec![route(&bench, "killer", "*", SUCCEEDS)], 50)];
    let mirror = route(&bench, "mirror", "payment*", SUCCEEDS);
    bench.processor.routes = Routes::of(vec![mirror]).with_former(&former);
    bench.run(vec![Bench::message("a", 2)]).await;
    assert_eq!(bench.held("a").await.state, State::Done);
}
