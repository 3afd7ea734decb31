//! Who is sent with whom, who answers for whom, and what is left when a run is dropped.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;

use super::*;

/// Longer than a test waits: what goes out before is a full batch.
const LONG: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(5);
const MAX_BYTES: usize = 100_000;

fn entry(name: &str) -> Entry {
    Entry {
        source: "webhooks.test".into(),
        detail_type: name.into(),
        time_unix_ms: 0,
        trace_header: None,
        detail: "{}".into(),
    }
}

/// Notes the names of each call's entries, and answers by them: `poison` has the
/// whole call refused, `throttled` only itself.
#[derive(Clone, Default)]
struct Recorded {
    calls: Arc<Mutex<Vec<Vec<String>>>>,
    gate: Arc<Mutex<Option<Arc<Notify>>>>,
}

impl Recorded {
    fn calls(&self) -> Vec<Vec<String>> {
        lock(&self.calls).clone()
    }
}

fn throttled() -> Fault {
    Fault::Entry { code: "ThrottlingException".into(), message: String::new() }
}

fn refused() -> Fault {
    Fault::Refused("ValidationException".into())
}

impl Bus for Recorded {
    fn put<'a>(&'a self, entries: &'a [Entry]) -> BoxFuture<'a, Result<Outcomes, Fault>> {
        async move {
            let names: Vec<String> = entries.iter().map(|it| it.detail_type.clone()).collect();
            lock(&self.calls).push(names.clone());
            let gate = lock(&self.gate).clone();
            if let Some(gate) = gate {
                gate.notified().await;
            }
            if names.contains(&"poison".to_owned()) {
                return Err(refused());
            }
            let outcome = |name: &String| match name.as_str() {
                "throttled" => Err(throttled()),
                _ => Ok(()),
            };
            Ok(names.iter().map(outcome).collect())
        }
        .boxed()
    }
}

fn gatherer(linger: Duration) -> (Gatherer<Recorded>, Recorded) {
    let bus = Recorded::default();
    (Gatherer::new(bus.clone(), linger, MAX_BYTES), bus)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("e{number}")).collect()
}

#[tokio::test]
async fn twenty_five_at_once_are_three_calls() {
    let (gatherer, bus) = gatherer(SOON);
    let names = names(25);
    let outcomes = join_all(names.iter().map(|name| gatherer.put(entry(name)))).await;
    assert_eq!(outcomes, vec![Ok(()); 25]);
    let mut calls = bus.calls();
    calls.sort_by_key(|call| names.iter().position(|name| *name == call[0]));
    assert_eq!(calls, [names[..10].to_vec(), names[10..20].to_vec(), names[20..].to_vec()]);
}

#[tokio::test]
async fn a_full_batch_does_not_linger() {
    let (gatherer, bus) = gatherer(LONG);
    let names_of_all = names(10);
    let all = join_all(names_of_all.iter().map(|name| gatherer.put(entry(name))));
    let outcomes = tokio::time::timeout(LONG / 2, all).await;
    assert_eq!(outcomes, Ok(vec![Ok(()); 10]));
    assert_eq!(bus.calls(), [names_of_all]);
}

#[tokio::test]
async fn entries_that_are_too_large_together_go_apart() {
    let (gatherer, bus) = gatherer(SOON);
    let large = |name: &str| Entry { detail: "x".repeat(MAX_BYTES / 5 * 2), ..entry(name) };
    let outcomes = join_all(["a", "b", "c"].map(|name| gatherer.put(large(name)))).await;
    assert_eq!(outcomes, vec![Ok(()); 3]);
    assert_eq!(bus.calls(), [vec!["a", "b"], vec!["c"]]);
}

#[tokio::test]
async fn only_the_entry_that_failed_fails() {
    let (gatherer, bus) = gatherer(SOON);
    let outcomes = join_all(["a", "throttled", "b"].map(|name| gatherer.put(entry(name)))).await;
    assert_eq!(outcomes, [Ok(()), Err(throttled()), Ok(())]);
    assert_eq!(bus.calls().len(), 1);
}

#[tokio::test]
async fn a_refused_call_is_taken_apart() {
    let (gatherer, bus) = gatherer(SOON);
    let outcomes =
        join_all(["a", "poison", "throttled"].map(|name| gatherer.put(entry(name)))).await;
    assert_eq!(outcomes, [Ok(()), Err(refused()), Err(throttled())]);
    let calls = bus.calls();
    assert_eq!(calls[0], ["a", "poison", "throttled"]);
    assert_eq!(calls[1..], [vec!["a"], vec!["poison"], vec!["throttled"]]);
}

#[tokio::test]
async fn a_run_that_is_dropped_takes_its_entry_back_and_leaves_the_others_theirs() {
    let (gatherer, bus) = gatherer(SOON);
    let mut first = Box::pin(gatherer.put(entry("first")));
    let mut second = Box::pin(gatherer.put(entry("second")));
    // Polled, so that both have joined, and the first was the one to start the batch.
    assert_eq!(futures_util::poll!(&mut first), Poll::Pending);
    assert_eq!(futures_util::poll!(&mut second), Poll::Pending);
    drop(first);
    assert_eq!(second.await, Ok(()));
    assert_eq!(bus.calls(), [vec!["second"]]);
}

#[tokio::test]
async fn a_run_that_is_dropped_during_the_call_leaves_the_others_theirs() {
    let (gatherer, bus) = gatherer(SOON);
    let answered = Arc::new(Notify::new());
    *lock(&bus.gate) = Some(Arc::clone(&answered));
    let mut first = Box::pin(gatherer.put(entry("first")));
    let second = gatherer.put(entry("second"));
    let (calls, called) = (bus.clone(), async {
        assert_eq!(futures_util::poll!(&mut first), Poll::Pending);
        while bus.calls().is_empty() {
            assert_eq!(futures_util::poll!(&mut first), Poll::Pending);
            tokio::task::yield_now().await;
        }
        drop(first);
        answered.notify_one();
    });
    let ((), outcome) = tokio::join!(called, second);
    assert_eq!(outcome, Ok(()));
    assert_eq!(calls.calls(), [vec!["first", "second"]]);
}

#[tokio::test]
async fn nothing_is_sent_when_nobody_waits_and_the_next_starts_anew() {
    let (gatherer, bus) = gatherer(SOON);
    let mut gone = Box::pin(gatherer.put(entry("gone")));
    assert_eq!(futures_util::poll!(&mut gone), Poll::Pending);
    drop(gone);
    assert_eq!(gatherer.put(entry("next")).await, Ok(()));
    assert_eq!(bus.calls(), [vec!["next"]]);
}
