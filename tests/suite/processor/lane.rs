//! What is left for later, and what becomes of it in the lane.

use inbox_core::ledger::{DEFERRALS_MAX, Open};
use inbox_core::marks::Marks as _;

use super::*;

/// Its breaker is open: it tries only where the run insists, and then nobody answers.
const NO_ANSWER: Attempt = |_, run| {
    let error = if run.insists {
        HandlerError::retry("no answer")
    } else {
        HandlerError::NotTried { wait: Duration::from_secs(30), reason: "not tried".into() }
    };
    async move { Err(error) }.boxed()
};

fn in_lane(id: &str) -> Message {
    Message { from_lane: true, ..Bench::message(id, 1) }
}

async fn mark(bench: &Bench, route: &str) {
    bench.ledger.mark(route, (bench.processor.clock)()).await.expect("a mark");
}

/// The delays of the messages that were sent into the lane since the last call.
fn sent_on(bench: &Bench) -> Vec<u64> {
    bench.queue.take_lane().iter().map(|(_, _, delay)| delay.as_secs()).collect()
}

#[tokio::test]
async fn an_event_left_with_a_slow_route_alone_goes_into_the_lane_and_runs_there() {
    let bench = Bench::with_lane(&[("work", SUCCEEDS)]);
    mark(&bench, "work").await;
    let message = bench.received("a").await;
    let order: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let steps = Arc::clone(&order);
    bench.fuse.on_step(move |step| steps.lock().unwrap().push(step));
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new(), "acknowledged");
    assert_eq!(*order.lock().unwrap(), ["begin", "defer", "send_to_lane"], "first the write");
    assert_eq!((bench.ran(), sent_on(&bench)), (vec![], vec![0]));
    assert_eq!(bench.queue.take_hidden(), [], "a message that is hidden uses up receives");
    let left = bench.held("a").await;
    assert_eq!((left.state, left.attempts), (State::Received, 0));
    assert!(left.is_deferred("work"));
    assert_eq!(left.open, Some(Open::Pending { due_at: at(900) }));

    assert_eq!(bench.run(vec![in_lane("a")]).await, Vec::<String>::new());
    assert_eq!(*bench.runs.lock().unwrap(), ["work 1"]);
    assert_eq!(bench.held("a").await.state, State::Done);
}

#[tokio::test]
async fn what_is_not_slow_runs_at_once_beside_a_sibling_that_is() {
    let bench = Bench::with_lane(&[("fast", SUCCEEDS), ("slow", SUCCEEDS)]);
    mark(&bench, "slow").await;
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(*bench.runs.lock().unwrap(), ["fast 1"]);
    assert_eq!(sent_on(&bench), [0]);
    bench.run(vec![in_lane("a")]).await;
    assert_eq!(*bench.runs.lock().unwrap(), ["fast 1", "slow 1"]);
    assert_eq!(bench.held("a").await.state, State::Done);
}

#[tokio::test]
async fn a_failed_sibling_of_a_slow_route_is_tried_again_in_the_main_queue() {
    let bench = Bench::with_lane(&[("fails", FAILS), ("slow", SUCCEEDS)]);
    mark(&bench, "slow").await;
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message.clone()]).await, Vec::<String>::new());
    assert_eq!(sent_on(&bench), [0]);
    assert_eq!(bench.queue.take_hidden(), [], "its wait is parked");
    let failing = bench.held("a").await;
    assert_eq!(failing.state, State::Failing);
    assert_eq!(failing.open, Some(Open::Pending { due_at: at(60) }));

    bench.set_clock(10);
    assert_eq!(bench.run(vec![in_lane("a")]).await, Vec::<String>::new(), "not kept in the lane");
    assert_eq!(*bench.runs.lock().unwrap(), ["fails 1", "slow 1"]);
    assert_eq!(bench.queue.take_hidden(), []);
    let waiting = bench.held("a").await;
    assert_eq!(waiting.open, Some(Open::Pending { due_at: at(60) }));
    bench.set_clock(60);
    bench.run(vec![message]).await;
    assert_eq!(*bench.runs.lock().unwrap(), ["fails 1", "slow 1", "fails 2"]);
}

#[tokio::test]
async fn a_slow_route_that_fails_in_the_lane_waits_there() {
    let bench = Bench::with_lane(&[("work", FAILS)]);
    mark(&bench, "work").await;
    bench.received("a").await;
    assert_eq!(bench.run(vec![in_lane("a")]).await, ["message-a"]);
    assert_eq!(bench.queue.take_hidden(), [("handle-a".to_owned(), 60)]);
    assert_eq!(bench.held("a").await.attempts, 1);
}

#[tokio::test]
async fn while_its_breaker_is_open_an_event_waits_longer_each_time_until_it_is_tried() {
    let bench = Bench::with_lane(&[("work", NO_ANSWER)]);
    let message = bench.received("a").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    let marks = bench.ledger.marks().await.unwrap();
    assert_eq!(marks.keys().collect::<Vec<_>>(), ["work"], "all are told");
    assert_eq!(sent_on(&bench), [0]);
    let (mut seconds, mut waits) = (0, Vec::new());
    for _ in 1..DEFERRALS_MAX {
        assert_eq!(bench.run(vec![in_lane("a")]).await, Vec::<String>::new());
        let delay = sent_on(&bench)[0];
        let held = bench.held("a").await;
        assert_eq!((held.state, held.attempts), (State::Received, 0), "nothing is counted");
        // Before its time it is nobody's.
        assert_eq!(bench.run(vec![in_lane("a")]).await, Vec::<String>::new());
        assert_eq!(sent_on(&bench), Vec::<u64>::new());
        waits.push(delay);
        seconds += delay;
        bench.set_clock(seconds);
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 900, 900, 900, 900, 900, 900, 900, 900, 900]);
    assert_eq!(bench.queue.take_hidden(), []);
    // Nobody is left for later for ever: now an attempt is made.
    bench.run(vec![in_lane("a")]).await;
    let failing = bench.held("a").await;
    assert_eq!((failing.state, failing.attempts), (State::Failing, 1));
    assert_eq!(failing.last_error.as_deref(), Some("work: no answer"));
    assert_eq!(bench.queue.take_dead(), []);
}

#[tokio::test]
async fn an_endpoint_that_never_answers_has_all_its_attempts_before_the_event_is_dead() {
    let bench = Bench::with_lane(&[("work", NO_ANSWER)]);
    mark(&bench, "work").await;
    bench.received("a").await;
    let mut looks = 0;
    while bench.held("a").await.state != State::Dead {
        let next_at = bench.held("a").await.next_at.unwrap_or(at(0));
        bench.clock.fetch_max(next_at.unix_ms(), Ordering::SeqCst);
        bench.run(vec![in_lane("a")]).await;
        looks += 1;
        assert!(looks <= 3 * (DEFERRALS_MAX + 1), "an event goes round for ever");
    }
    assert_eq!(looks, 3 * (DEFERRALS_MAX + 1));
    assert_eq!(bench.held("a").await.failures["work"].attempts, 3);
    assert_eq!(bench.queue.take_dead().len(), 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_on_is_kept_and_sent_on_later() {
    let bench = Bench::with_lane(&[("work", SUCCEEDS)]);
    mark(&bench, "work").await;
    let message = bench.received("a").await;
    bench.processor.queue.inner.refuses_the_lane.store(true, Ordering::SeqCst);
    assert_eq!(bench.run(vec![message.clone()]).await, ["message-a"]);
    bench.processor.queue.inner.refuses_the_lane.store(false, Ordering::SeqCst);
    bench.set_clock(360);
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(sent_on(&bench), [0]);
    assert_eq!(bench.held("a").await.attempts, 0);
}

#[tokio::test]
async fn an_event_whose_leaving_is_not_written_down_is_kept() {
    let bench = Bench::with_lane(&[("work", SUCCEEDS)]);
    mark(&bench, "work").await;
    let message = bench.received("a").await;
    bench.fuse.fail_at("defer");
    assert_eq!(bench.run(vec![message]).await, ["message-a"]);
    assert_eq!(sent_on(&bench), Vec::<u64>::new(), "it would be dropped as busy");
}

#[tokio::test]
async fn one_process_finds_a_route_slow_and_all_others_leave_it_to_the_lane() {
    let bench = Bench::with_lane(&[("work", SUCCEEDS)]);
    bench.takes_ms.store(3000, Ordering::SeqCst);
    for n in 1..=4 {
        let message = bench.received(&format!("evt_{n}")).await;
        bench.run(vec![message]).await;
    }
    assert_eq!(bench.ran().len(), 4);
    assert_eq!(bench.ledger.marks().await.unwrap().len(), 1, "12 s of slow runs alone");

    // Another process, whose copy of the marks is new.
    let mut other = Bench::with_lane(&[("work", SUCCEEDS)]);
    other.processor.ledger.inner = Arc::clone(&bench.ledger);
    other.ledger = Arc::clone(&bench.ledger);
    other.set_clock(13);
    let message = other.received("other").await;
    other.run(vec![message]).await;
    assert_eq!((other.ran(), sent_on(&other)), (vec![], vec![0]));

    // Fast again: ten minutes later a run in the lane unmarks it.
    other.set_clock(700);
    other.run(vec![in_lane("other")]).await;
    assert_eq!(other.ran(), ["other"]);
    assert_eq!(bench.ledger.marks().await.unwrap().len(), 0);
    let message = other.received("after").await;
    other.run(vec![message]).await;
    assert_eq!(other.ran(), ["other", "after"]);
}

#[tokio::test]
async fn without_a_lane_an_open_breaker_uses_up_attempts_and_the_last_one_is_made() {
    let bench = Bench::new(&[("work", NO_ANSWER)]);
    let message = bench.received("a").await;
    bench.run(vec![message.clone()]).await;
    let failing = bench.held("a").await;
    assert_eq!((failing.state, failing.attempts), (State::Failing, 1));
    assert_eq!(failing.last_error.as_deref(), Some("work: not tried"));
    bench.set_clock(60);
    bench.run(vec![message.clone()]).await;
    bench.set_clock(4000);
    bench.run(vec![message]).await;
    assert_eq!(bench.held("a").await.last_error.as_deref(), Some("work: no answer"));
    assert_eq!(sent_on(&bench), Vec::<u64>::new());
}
