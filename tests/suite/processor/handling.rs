//! What an ordinary batch does.

use super::*;

#[tokio::test]
async fn an_event_with_one_handler_takes_two_calls() {
    let bench = Bench::new(&[("work", SUCCEEDS)]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Done);
    assert_eq!(bench.fuse.steps(), 2);
}

/// Has nothing to do with any event.
struct Idle;

impl Handler for Idle {
    fn handle<'a>(
        &'a self,
        _: &'a Event,
        _: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async { Ok(Handled::Nothing("not a dispute")) }.boxed()
    }
}

#[tokio::test]
async fn a_handler_that_has_nothing_to_do_is_done_and_the_ledger_says_why() {
    let mut bench = Bench::new(&[]);
    bench.processor.routes = Routes::of(vec![Route::new("disputes", "*", "*", Arc::new(Idle))]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    let held = bench.held("a").await;
    assert_eq!(held.state, State::Done);
    let completion = &held.handlers["disputes"];
    assert_eq!(completion.nothing.as_deref(), Some("not a dispute"));
    assert_eq!(bench.fuse.steps(), 2, "it costs no call");
}

#[tokio::test]
async fn an_event_that_no_route_matches_is_done_at_once() {
    let bench = Bench::new(&[]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Done);
    assert_eq!(bench.fuse.steps(), 2);
}
