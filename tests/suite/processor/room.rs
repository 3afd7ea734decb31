//! Events that do not fit the process's memory together wait for each other, and nothing
//! of their attempts is used up by it.

use inbox_processor::routes::Routes;

use super::*;

const PAYLOAD_BYTES: usize = 100_000;
/// The payload as it is loaded, a copy of its envelope, and a connection, rounded up.
const EVENT_BYTES: usize = 600_000;

/// Counts who runs at once, and how long each may.
#[derive(Clone, Default)]
struct Counted {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    shortest: Arc<Mutex<Option<Duration>>>,
}

impl Handler for Counted {
    fn handle<'a>(
        &'a self,
        _event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            {
                let mut shortest = self.shortest.lock().unwrap();
                *shortest = Some(shortest.unwrap_or(run.timeout).min(run.timeout));
            }
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
            Ok(Handled::Done)
        }
        .boxed()
    }
}

impl Bench {
    /// A large event and its message.
    async fn received_large(&self, id: &str) -> Message {
        let mut new = new_event(at(0));
        new.event.key.id = id.into();
        new.event.payload.bytes = vec![b'1'; PAYLOAD_BYTES].into();
        assert_eq!(self.ledger.claim(&new).await.unwrap(), Claimed::Fresh);
        Message { body: Pointer::body(&new.event, 1), ..Self::message(id, 1) }
    }
}

#[tokio::test]
async fn no_more_events_run_at_once_than_there_is_room_for() {
    let mut bench = Bench::new(&[]);
    let counted = Counted::default();
    bench.processor.routes =
        Routes::of(vec![Route::new("large", "*", "*", Arc::new(counted.clone()))]);
    for (room, expected) in [(usize::MAX, 10), (3 * EVENT_BYTES, 3), (1, 1)] {
        bench.processor.budget = Budget::of_bytes(room);
        counted.most.store(0, Ordering::SeqCst);
        let ids: Vec<String> = (0..10).map(|n| format!("{room}-{n}")).collect();
        let mut messages = Vec::new();
        for id in &ids {
            messages.push(bench.received_large(id).await);
        }
        assert_eq!(bench.run(messages).await, Vec::<String>::new(), "room for {room}");
        assert_eq!(counted.most.load(Ordering::SeqCst), expected, "room for {room}");
        for id in &ids {
            let record = bench.held(id).await;
            assert_eq!((record.state, record.attempts), (State::Done, 1), "{id}");
        }
    }
    // Waiting takes nothing of a handler's time.
    assert_eq!(*counted.shortest.lock().unwrap(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn what_finds_no_room_in_time_is_left_without_an_attempt_and_comes_back_soon() {
    let mut bench = Bench::new(&[("large", |_, _| std::future::pending().boxed())]);
    bench.processor.budget = Budget::of_bytes(EVENT_BYTES);
    bench.processor.handler_timeout = Duration::from_millis(300);
    let messages = vec![bench.received_large("first").await, bench.received_large("second").await];
    let now = (bench.processor.clock)();
    let deadline = now.plus(inbox_processor::batch::RESERVE + Duration::from_millis(350));
    let kept = bench.processor.run_batch(messages, deadline).await;
    assert_eq!(kept, ["message-first", "message-second"]);
    let attempts = (bench.held("first").await.attempts, bench.held("second").await.attempts);
    assert_eq!(attempts, (1, 0));
    let hidden = bench.queue.take_hidden();
    assert!(hidden.contains(&("handle-second".to_owned(), 5)), "{hidden:?}");
    // Begun and counted it is once there is room.
    bench.processor.routes = Routes::of(vec![]);
    let second = Bench::message("second", 1);
    assert_eq!(bench.run(vec![second]).await, Vec::<String>::new());
    assert_eq!(bench.held("second").await.attempts, 1);
}

#[tokio::test]
async fn a_route_has_no_more_time_than_it_asks_for() {
    let mut bench = Bench::new(&[]);
    let counted = Counted::default();
    let mut route = Route::new("hurried", "*", "*", Arc::new(counted.clone()));
    route.timeout = Some(Duration::from_secs(5));
    bench.processor.routes = Routes::of(vec![route]);
    let message = bench.received("evt_1").await;
    assert_eq!(bench.run(vec![message]).await, Vec::<String>::new());
    assert_eq!(*counted.shortest.lock().unwrap(), Some(Duration::from_secs(5)));
}
