//! A clock that jumps: whoever waits, waits on it, and when nobody can go on it
//! moves to the next moment that somebody waits for. A day takes seconds, and the
//! real sweeper's own pacing is what moves it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use inbox_core::Timestamp;

#[derive(Default)]
struct Inner {
    now_ms: i64,
    /// Moments that somebody waits for, the earliest on top; the number says whom.
    waits: BinaryHeap<Reverse<(i64, usize)>>,
    wakers: Vec<Option<Waker>>,
}

#[derive(Clone, Default)]
pub(super) struct Clock(Arc<Mutex<Inner>>);

impl Clock {
    pub(super) fn new(start: Timestamp) -> Self {
        let clock = Self::default();
        clock.0.lock().unwrap().now_ms = start.unix_ms();
        clock
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.lock().unwrap().now_ms).unwrap()
    }

    pub(super) fn pause(&self, time: Duration) -> BoxFuture<'static, ()> {
        let at_ms = self.now().plus(time).unix_ms();
        Box::pin(Pause { clock: self.clone(), at_ms, number: None })
    }

    /// Nobody waits for anything before this.
    pub(super) fn jump_to(&self, moment: Timestamp) {
        let mut inner = self.0.lock().unwrap();
        inner.now_ms = inner.now_ms.max(moment.unix_ms());
    }

    /// Runs a future to its end; `passed` hears of every moment that is reached.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>, passed: impl Fn(Timestamp)) -> T {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut future = pin!(future);
        loop {
            while flag.0.swap(false, Ordering::SeqCst) {
                if let Poll::Ready(end) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    // Whoever still waited was dropped with it.
                    let mut inner = self.0.lock().unwrap();
                    inner.waits.clear();
                    inner.wakers.clear();
                    return end;
                }
            }
            self.next_wait();
            passed(self.now());
        }
    }

    fn next_wait(&self) {
        let mut inner = self.0.lock().unwrap();
        let Some(Reverse((at_ms, number))) = inner.waits.pop() else {
            panic!("nobody can go on, and nobody waits for a moment");
        };
        inner.now_ms = inner.now_ms.max(at_ms);
        if let Some(waker) = inner.wakers[number].take() {
            waker.wake();
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Pause {
    clock: Clock,
    at_ms: i64,
    number: Option<usize>,
}

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut inner = clock.0.lock().unwrap();
        if inner.now_ms >= self.at_ms {
            return Poll::Ready(());
        }
        let waker = Some(context.waker().clone());
        if let Some(number) = self.number {
            inner.wakers[number] = waker;
        } else {
            let number = inner.wakers.len();
            self.number = Some(number);
            inner.wakers.push(waker);
            inner.waits.push(Reverse((self.at_ms, number)));
        }
        Poll::Pending
    }
}
