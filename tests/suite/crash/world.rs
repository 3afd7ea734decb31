//! A small world: a provider, a queue with visibility, processor and sweeper as
//! processes that may die, and an operator who redrives dead letters. Its clock
//! jumps to whatever happens next, so nothing waits.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use inbox_core::ledger::{Ledger, Open, Record};
use inbox_core::marks::Marks;
use inbox_core::memory::{MemoryQueue, MemorySecrets};
use inbox_core::provider::Unsigned;
use inbox_core::request::Request;
use inbox_core::secrets::{Secret, SecretBundle, SecretCache};
use inbox_core::stack::stack;
use inbox_processor::batch::Processor;
use inbox_processor::budget::Budget;
use inbox_processor::lane::{Lane, Pace};
use inbox_processor::message::Message;
use inbox_processor::retry::RetryPolicy;
use inbox_processor::routes::{Route, Routes};
use inbox_receiver::config::{Config, Dedup};
use inbox_receiver::pipeline::Receiver;
use inbox_receiver::providers;
use inbox_sweeper::Sweeper;

use super::fuse::{Fuse, Fused};

const SECRET: &str = "a secret for everybody";
const DELIVERY: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
/// The queue's own visibility timeout.
const VISIBILITY: Duration = Duration::from_mins(6);
/// No story here takes longer.
const END: i64 = 6 * 3600;

/// What the handler does on each attempt of a life.
pub(crate) type Script = fn(life: u32, attempt: u32) -> Result<(), HandlerError>;

/// Counts its effects by idempotency key.
pub(crate) struct Scripted {
    script: Script,
    fuse: Arc<Fuse>,
    effects: Arc<Mutex<Vec<String>>>,
    /// How often it still refuses to try.
    refusals: Arc<AtomicU32>,
}

impl Handler for Scripted {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            let has_more = |left: u32| left.checked_sub(1).filter(|_| !run.insists);
            let order = Ordering::SeqCst;
            if self.refusals.fetch_update(order, order, has_more).is_ok() {
                let reason = "no answer for a while".into();
                return Err(HandlerError::NotTried { wait: Duration::from_secs(30), reason });
            }
            (self.script)(run.life, run.attempt)?;
            let key = run.idempotency_key(event);
            self.fuse.step("effect", async { self.effects.lock().unwrap().push(key) }).await;
            Ok(Handled::Done)
        }
        .boxed()
    }
}

/// What one story is about.
#[derive(Clone)]
pub(crate) struct Story {
    /// What the handlers do, by route.
    pub(crate) routes: Vec<(&'static str, Script)>,
    /// How often the provider sends until it gets a 2xx.
    pub(crate) deliveries: u32,
    /// How often the operator redrives what lies in the dead-letter queue.
    pub(crate) redrives: u32,
    /// Messages to lose, counted from the first sent.
    pub(crate) lost_messages: u32,
    /// Whether there is a lane, and which of the routes is slow.
    pub(crate) slow: Option<&'static str>,
    /// How often a handler refuses to try, its breaker being open.
    pub(crate) refusals: u32,
}

/// How a story ended.
#[derive(Debug)]
pub(crate) struct Ending {
    /// The last answer that the provider got, if any process lived to give one.
    pub(crate) answered: Option<StatusCode>,
    /// The event in the ledger.
    pub(crate) record: Option<Record>,
    /// Idempotency keys of all effects, in order.
    pub(crate) effects: Vec<String>,
    /// Dead letters sent.
    pub(crate) dead_letters: usize,
}

/// A message in the queue or the lane.
struct Waiting {
    visible_at: Timestamp,
    body: String,
    in_lane: bool,
}

pub(crate) struct World<L> {
    ledger: Arc<L>,
    queue: Arc<MemoryQueue>,
    fuse: Arc<Fuse>,
    story: Story,
    clock: Arc<AtomicI64>,
    effects: Arc<Mutex<Vec<String>>>,
    messages: Vec<Waiting>,
    refusals: Arc<AtomicU32>,
    dead_letters: Vec<String>,
    dead_letters_sent: usize,
    received: AtomicU32,
}

impl<L: Ledger + Marks + 'static> World<L> {
    pub(crate) fn new(ledger: Arc<L>, story: Story, fuse: Arc<Fuse>) -> Self {
        Self {
            refusals: Arc::new(AtomicU32::new(story.refusals)),
            ledger,
            queue: Arc::default(),
            fuse,
            story,
            clock: Arc::new(AtomicI64::new(1_764_000_000_000)),
            effects: Arc::default(),
            messages: Vec::new(),
            dead_letters: Vec::new(),
            dead_letters_sent: 0,
            received: AtomicU32::new(0),
        }
    }

    pub(crate) fn key() -> EventKey {
        EventKey { source: "github".into(), id: DELIVERY.into() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.clock.load(Ordering::SeqCst)).unwrap()
    }

    fn advance_to(&self, moment: Timestamp) {
        self.clock.fetch_max(moment.unix_ms(), Ordering::SeqCst);
    }

    /// Plays the story to its end.
    pub(crate) async fn play(mut self) -> Ending {
        let started = self.now();
        if let Some(slow) = self.story.slow {
            self.ledger.mark(slow, started).await.expect("a mark");
        }
        let mut answered = None;
        for _ in 0..self.story.deliveries {
            let answer = self.deliver().await;
            self.collect_messages();
            answered = answer.or(answered);
            if answer.is_some_and(|status| status.is_success()) {
                break;
            }
            self.advance_to(self.now().plus(Duration::from_mins(1)));
        }
        let mut redrives = self.story.redrives;
        while self.now().since(started).as_secs() < u64::try_from(END).unwrap() {
            self.process_what_is_visible().await;
            let record = self.ledger.get(&Self::key()).await.expect("get");
            let due_at = record.as_ref().and_then(|record| match record.open {
                Some(Open::Pending { due_at }) => Some(due_at),
                _ => None,
            });
            if due_at.is_some_and(|due_at| due_at <= self.now()) {
                self.sweep().await;
                continue;
            }
            let visible = self.messages.iter().map(|waiting| waiting.visible_at);
            match visible.chain(due_at).min() {
                Some(next) => self.advance_to(next),
                None if redrives > 0 && !self.dead_letters.is_empty() => {
                    redrives -= 1;
                    let visible_at = self.now();
                    let redriven = self.dead_letters.drain(..);
                    self.messages.extend(redriven.map(|body| Waiting {
                        visible_at,
                        body,
                        in_lane: false,
                    }));
                }
                None => break,
            }
        }
        Ending {
            answered,
            record: self.ledger.get(&Self::key()).await.expect("get"),
            effects: self.effects.lock().unwrap().clone(),
            dead_letters: self.dead_letters_sent,
        }
    }

    /// One delivery: the status, unless the receiver died.
    async fn deliver(&self) -> Option<StatusCode> {
        let provider = providers::find("github").expect("registered");
        let body = br#"{"ref":"refs/heads/main","repository":{"full_name":"octo/hello"}}"#;
        let unsigned = Unsigned {
            url: "",
            content_type: "application/json",
            body,
            id: DELIVERY,
            event_type: "push",
            now: self.now(),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in provider.sign(&unsigned, &Secret::new(SECRET.into())) {
            headers.insert(name, value.parse().unwrap());
        }
        headers.insert("content-type", "application/json".parse().unwrap());
        let bundle = SecretBundle::parse(&format!(r#"{{"signing_secrets":["{SECRET}"]}}"#));
        let request_id = format!("request at {:?}", self.now());
        let receiver = Receiver {
            config: Config {
                source: "github".into(),
                secret_id: String::new(),
                public_base_urls: Vec::new(),
                table_name: String::new(),
                queue_url: String::new(),
                payload_bucket: None,
                max_body_bytes: 1000,
                retention: Duration::from_hours(24 * 30),
                sweep_grace: Duration::from_mins(15),
                dedup: Dedup::Id,
                hook_ids: Vec::new(),
            },
            secrets: SecretCache::new(MemorySecrets::new(Ok(bundle.unwrap())), provider.clone()),
            provider,
            ledger: self.fused(&self.ledger),
            queue: self.fused(&self.queue),
        };
        let request = Request::new(Method::POST, String::new(), headers, Bytes::from_static(body));
        let answer = self
            .fuse
            .run(receiver.receive("/webhooks/github", request, &request_id, self.now()))
            .await;
        answer.map(|reply| reply.status)
    }

    async fn process_what_is_visible(&mut self) {
        let now = self.now();
        let visible = |waiting: &Waiting| waiting.visible_at <= now;
        while let Some(at) = self.messages.iter().position(visible) {
            let Waiting { body, in_lane, .. } = self.messages.swap_remove(at);
            let id = format!("message-{}", self.received.fetch_add(1, Ordering::SeqCst));
            let receipt_handle = "receipt".into();
            let message =
                Message { id, receipt_handle, body: body.clone(), receives: 1, from_lane: in_lane };
            let processor = self.processor();
            let deadline = now.plus(Duration::from_mins(1));
            let kept = self.fuse.run(processor.run_batch(vec![message], deadline)).await;
            let hidden = self.queue.take_hidden().pop().map(|(_, seconds)| seconds);
            let back = hidden.map_or(VISIBILITY, |seconds| Duration::from_secs(seconds.into()));
            // Dead or alive: what was not acknowledged comes back.
            if kept.is_none_or(|kept| !kept.is_empty()) {
                self.messages.push(Waiting { visible_at: now.plus(back), body, in_lane });
            }
            self.collect_messages();
        }
    }

    async fn sweep(&mut self) {
        let clock = Arc::clone(&self.clock);
        let sweeper = Sweeper {
            ledger: self.fused(&self.ledger),
            queue: self.fused(&self.queue),
            shards: stack().table.open_index.shards,
            grace: Duration::from_mins(15),
            grace_max: Duration::from_hours(1),
            per_second: 1_000_000,
            hold_above: 1_000_000,
            interval: Duration::from_mins(1),
            clock: Arc::new(move || Timestamp::from_unix_ms(clock.load(Ordering::SeqCst)).unwrap()),
            pause: Arc::new(|_| std::future::ready(()).boxed()),
        };
        self.fuse.run(sweeper.sweep(self.now().plus(Duration::from_mins(1)))).await;
        self.collect_messages();
        // The schedule's next minute.
        self.advance_to(self.now().plus(Duration::from_secs(1)));
    }

    fn processor(&self) -> Processor<Fused<L>, Fused<MemoryQueue>> {
        let clock = Arc::clone(&self.clock);
        let routes = self.story.routes.iter().map(|(id, script)| {
            let handler = Scripted {
                script: *script,
                fuse: Arc::clone(&self.fuse),
                effects: Arc::clone(&self.effects),
                refusals: Arc::clone(&self.refusals),
            };
            Route::new(id, "github", "*", Arc::new(handler))
        });
        Processor {
            ledger: self.fused(&self.ledger),
            queue: self.fused(&self.queue),
            routes: Routes::of(routes.collect()),
            // The first wait is kept in the queue, the second is parked; the
            // third leaves room for an attempt that a crash takes away.
            lane: if self.story.slow.is_some() { Lane::of(Pace::default()) } else { Lane::none() },
            retry: RetryPolicy {
                delays: [1, 60, 1].map(Duration::from_mins).to_vec(),
                jitter_percent: 0,
                park_above: Duration::from_mins(15),
            },
            sweep_grace: Duration::from_mins(15),
            handler_timeout: Duration::from_secs(30),
            lease_margin: Duration::from_secs(10),
            retention: Duration::from_hours(24 * 30),
            clock: Arc::new(move || Timestamp::from_unix_ms(clock.load(Ordering::SeqCst)).unwrap()),
            chance: Arc::new(|| 0.0),
            budget: Budget::of_bytes(usize::MAX),
        }
    }

    fn fused<T>(&self, inner: &Arc<T>) -> Fused<T> {
        Fused { inner: Arc::clone(inner), fuse: Arc::clone(&self.fuse) }
    }

    fn collect_messages(&mut self) {
        let now = self.now();
        for (_, body) in self.queue.take() {
            if self.story.lost_messages > 0 {
                self.story.lost_messages -= 1;
            } else {
                self.messages.push(Waiting { visible_at: now, body, in_lane: false });
            }
        }
        for (_, body, delay) in self.queue.take_lane() {
            self.messages.push(Waiting { visible_at: now.plus(delay), body, in_lane: true });
        }
        for letter in self.queue.take_dead() {
            self.dead_letters_sent += 1;
            self.dead_letters.push(letter.body);
        }
    }
}
