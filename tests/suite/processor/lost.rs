//! A route that was taken away after it had been begun, and of which the record says
//! nothing: only what was configured before tells that there was one.

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
                let former = [Routes::of(vec![mirror, killer]).patterns()];
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
    let former = [Routes::of(vec![route(&bench, "killer", "*", SUCCEEDS)]).patterns()];
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
        let former: Vec<String> = former.iter().map(|set| of(set).patterns()).collect();
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
