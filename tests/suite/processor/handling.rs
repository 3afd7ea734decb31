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

#[tokio::test]
async fn an_event_that_no_route_matches_is_done_at_once() {
    let bench = Bench::new(&[]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(bench.held("a").await.state, State::Done);
    assert_eq!(bench.fuse.steps(), 2);
}
