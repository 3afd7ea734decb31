//! One cell of the matrix: one call, one fault, once or lasting.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::Message;
use inbox_core::Timestamp;
use inbox_core::ledger::{Ledger as _, State, shard_of};
use inbox_core::marks::Marks as _;
use inbox_core::queue::Pointer;
use inbox_core::secrets::RETRY_EMPTY_EVERY;
use inbox_core::stack::stack;
use inbox_local::calls::Fault;
use inbox_local::microburst::Injected;
use inbox_local::runtime_api::FunctionHost;
use serde_json::{Value, json};

use super::journal::function;
use super::matrix::{Drive, Row};
use super::stage::{Chain, DEADLINE, Stage};
use super::steps::Step;
use super::subject::{Outcome, Source, Subject};
use crate::e2e::requests::{answered, batch_of};

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// For one attempt.
    Once,
    /// Until the answer was given.
    Persistent,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) row: Row,
    pub(super) fault: Injected,
    pub(super) lasting: Lasting,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { function, step, .. } = self.row;
        write!(f, "{function} {step:?}, {:?} {:?}", self.fault, self.lasting)
    }
}

impl Cell {
    /// Whether the SDK's own retry is all that it takes; of half an object, and of a
    /// completion that could not be recorded, our own.
    fn is_coped_with(self) -> bool {
        if self.fault == Injected::Truncated && self.row.step.has_no_answer() {
            return true;
        }
        // A function may take its time, and what it is called with comes late at worst.
        if self.row.step == Step::Invoke {
            return self.fault == Injected::Delayed;
        }
        let is_repeated = self.fault != Injected::Truncated
            || matches!(self.row.step, Step::LoadPayload | Step::Complete);
        self.lasting == Lasting::Once && is_repeated
    }
}

/// A world, with the functions that live through its cells.
struct Play<'a> {
    chain: &'a Chain,
    stage: Stage,
    receiver: FunctionHost,
    processor: FunctionHost,
    sweeper: FunctionHost,
}

/// Added to a number for another event of the same cell.
const AGAIN: u32 = 50;

/// Plays cells one after the other, with events from the number `first`, and returns what
/// went wrong.
pub(super) async fn play(chain: &Chain, cells: Vec<Cell>, first: u32) -> Vec<String> {
    let mut stage = Stage::new(chain, "debug").await;
    if cells.iter().any(|cell| cell.row.step.is_of_targets()) {
        stage.make_targets().await;
    }
    let journal = Arc::clone(&chain.journal);
    stage.front.set_hook(move |call| {
        journal.asked(call);
        Fault::None
    });
    let receiver = stage.receiver(Source::Stripe, "receiver").await;
    let processor = stage.processor("processor", "5").await;
    let sweeper = stage.sweeper("sweeper").await;
    let mut play = Play { chain, stage, receiver, processor, sweeper };
    let mut wrong = Vec::new();
    for (cell, number) in cells.into_iter().zip(first..) {
        let mut played = play.cell(cell, number).await;
        // What is late because the machine is busy looks like one more fault. What is
        // wrong is so the second time too.
        if played.is_err() {
            play.disarm();
            played = play.cell(cell, number + AGAIN).await;
        }
        if let Err(what) = played {
            play.disarm();
            wrong.push(format!("{cell}: {what}"));
        }
    }
    play.stage.check_logs();
    wrong
}

/// Says what was expected and what was there.
#[expect(clippy::needless_pass_by_value, reason = "what is compared is made for it")]
fn expect<T: PartialEq + fmt::Debug>(what: &str, is: T, should: T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what} is {is:?}, not {should:?}")) }
}

/// The fault was there, and where it lasted, the SDK tried again.
fn check_struck(cell: Cell, struck: &AtomicU32) -> Result<(), String> {
    match (cell.lasting, struck.load(Ordering::SeqCst)) {
        (_, 0) => Err("the fault never struck".to_owned()),
        (Lasting::Persistent, 1)
            if cell.fault != Injected::Truncated && cell.row.step.is_repeated() =>
        {
            Err("the SDK did not try again".to_owned())
        }
        _ => Ok(()),
    }
}

impl Play<'_> {
    async fn cell(&mut self, cell: Cell, number: u32) -> Result<(), String> {
        let outcome = match cell.row.drive {
            Drive::Process(outcome) | Drive::Lane(outcome) => outcome,
            Drive::Redrive => Outcome::Permanent,
            Drive::Start | Drive::Deliver | Drive::Sweep => Outcome::Fine,
        };
        let size = cell.row.step.size();
        let subject = Subject { number, source: Source::Stripe, outcome, size };
        match cell.row.drive {
            Drive::Start => self.start(cell, subject).await?,
            Drive::Deliver => {
                let struck = self.arm(cell, subject);
                let status = self.deliver(subject).await;
                self.disarm();
                expect("the status", status, if cell.is_coped_with() { 200 } else { 503 })?;
                check_struck(cell, &struck)?;
                self.accept(subject).await?;
                self.check_message().await?;
            }
            Drive::Process(_) => self.process_struck(cell, subject).await?,
            Drive::Lane(_) => self.lane_struck(cell, subject).await?,
            Drive::Redrive => {
                self.accept(subject).await?;
                self.settle(subject).await?;
                for letter in self.letters(subject).await {
                    self.stage.send(letter.body().unwrap_or_default()).await;
                }
                self.struck_message(cell, subject).await?;
            }
            Drive::Sweep => self.sweep_struck(cell, subject).await?,
        }
        self.settle(subject).await?;
        self.check_end(cell, subject).await
    }

    /// From now on the fault strikes; counts how often it did. Of the index's shards,
    /// only the one that holds the event cannot be read.
    fn arm(&self, cell: Cell, subject: Subject) -> Arc<AtomicU32> {
        let shard = shard_of(&subject.key(), stack().table.open_index.shards);
        let shard = format!("pending#{shard}");
        let struck = Arc::new(AtomicU32::new(0));
        let (journal, count) = (Arc::clone(&self.chain.journal), Arc::clone(&struck));
        self.stage.front.set_hook(move |call| {
            let (step, _) = journal.asked(call);
            let is_meant = step == Some(cell.row.step) && function(call) == cell.row.function;
            let is_over = cell.lasting == Lasting::Once && count.load(Ordering::SeqCst) > 0;
            let holds_it = || call.json()["ExpressionAttributeValues"][":shard"]["S"] == shard;
            if !is_meant || is_over || cell.row.step == Step::Due && !holds_it() {
                return Fault::None;
            }
            count.fetch_add(1, Ordering::SeqCst);
            cell.fault.strike(call)
        });
        struck
    }

    fn disarm(&self) {
        let journal = Arc::clone(&self.chain.journal);
        self.stage.front.set_hook(move |call| {
            journal.asked(call);
            Fault::None
        });
    }

    async fn deliver(&mut self, subject: Subject) -> u64 {
        let event = Stage::gateway_event(&subject.delivery());
        let answer = self.receiver.invoke_json(&event, DEADLINE).await;
        answer.map_or(0, |answer| answered(&answer).status)
    }

    /// A provider that comes back until it is told 200: on a busy machine a receiver may
    /// have started without its secret, and tries again after five seconds.
    async fn accept(&mut self, subject: Subject) -> Result<(), String> {
        let deadline = Instant::now() + 4 * RETRY_EMPTY_EVERY;
        while self.deliver(subject).await != 200 {
            if Instant::now() > deadline {
                return Err("it is never accepted".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// What was accepted has its message, without any sweeper's help.
    async fn check_message(&self) -> Result<(), String> {
        let messages = self.stage.receive(&self.stage.bed.queue_url).await;
        for message in &messages {
            self.stage.release(&self.stage.bed.queue_url, message).await;
        }
        expect("that a message is in the queue", !messages.is_empty(), true)
    }

    /// A function starts under the fault, and takes the place of the one that was there.
    async fn start(&mut self, cell: Cell, subject: Subject) -> Result<(), String> {
        let struck = self.arm(cell, subject);
        match cell.row.function {
            "receiver" => self.receiver = self.stage.receiver(Source::Stripe, "receiver").await,
            "processor" => self.processor = self.stage.processor("processor", "5").await,
            _ => self.sweeper = self.stage.sweeper("sweeper").await,
        }
        // One failure at start is made good by the first request.
        let has_no_secret =
            cell.row.step == Step::FetchSecret && cell.lasting == Lasting::Persistent;
        if has_no_secret {
            expect("the status without a secret", self.deliver(subject).await, 503)?;
        }
        self.disarm();
        check_struck(cell, &struck)?;
        if has_no_secret {
            self.outwait(cell).await;
        }
        self.accept(subject).await?;
        if cell.row.function == "sweeper" {
            self.lose_messages().await;
            self.stage.make_due(&subject.key().to_string()).await;
            expect("what was swept", self.sweep().await["sent"].as_u64(), Some(1))?;
        }
        Ok(())
    }

    /// A receiver that could not fetch its secret tries again after five seconds. One
    /// fault's wait tells it for all; after the others it is started anew.
    async fn outwait(&mut self, cell: Cell) {
        if cell.fault != Injected::Throttled {
            self.receiver = self.stage.receiver(Source::Stripe, "receiver").await;
        }
    }

    async fn process_struck(&mut self, cell: Cell, subject: Subject) -> Result<(), String> {
        self.accept(subject).await?;
        if cell.row.step != Step::FetchForwardSecret {
            return self.struck_message(cell, subject).await;
        }
        // A process fetches it once, and remembers for five seconds that it could not.
        self.processor = self.stage.processor("processor", "5").await;
        self.struck_message(cell, subject).await?;
        self.processor = self.stage.processor("processor", "5").await;
        Ok(())
    }

    /// The one message that waits is handled while the fault strikes.
    async fn struck_message(&mut self, cell: Cell, subject: Subject) -> Result<(), String> {
        let queue_url = self.stage.bed.queue_url.clone();
        self.struck_message_of(&queue_url, cell, subject).await
    }

    /// The event's route is slow, as a new processor learns.
    async fn lane_struck(&mut self, cell: Cell, subject: Subject) -> Result<(), String> {
        self.accept(subject).await?;
        let route = match subject.outcome {
            Outcome::FailsOnce => "drill-fails_once",
            _ => "mirror-stripe",
        };
        self.stage.ledger.mark(route, Timestamp::now()).await.expect("a mark");
        let bed = &self.stage.bed;
        let (main, lane) = (bed.queue_url.clone(), bed.lane_url.clone());
        self.processor = self.stage.processor("processor", "5").await;
        if cell.row.step == Step::Hide {
            let messages = self.stage.receive(&main).await;
            self.process_of(&main, messages).await?;
            self.struck_message_of(&lane, cell, subject).await?;
        } else {
            self.struck_message_of(&main, cell, subject).await?;
        }
        for (route, slow_at) in self.stage.ledger.marks().await.expect("the marks") {
            self.stage.ledger.unmark(&route, slow_at).await.expect("no mark");
        }
        self.processor = self.stage.processor("processor", "5").await;
        Ok(())
    }

    async fn struck_message_of(
        &mut self,
        queue_url: &str,
        cell: Cell,
        subject: Subject,
    ) -> Result<(), String> {
        let messages = self.stage.receive(queue_url).await;
        expect("the number of messages", messages.len(), 1)?;
        let struck = self.arm(cell, subject);
        let kept = self.process_of(queue_url, messages).await?;
        self.disarm();
        check_struck(cell, &struck)?;
        // An attempt that failed keeps its message anyway; a redriven event is dead anew.
        let fails = matches!(cell.row.step, Step::Fail | Step::Hide);
        // Without the marks a slow route runs where its message is.
        let is_coped_with = cell.is_coped_with() || cell.row.step == Step::ReadMarks;
        let should = usize::from(fails || !is_coped_with);
        expect("the number of messages left in the queue", kept, should)
    }

    /// How many messages the processor left in their queue.
    async fn process_of(
        &mut self,
        queue_url: &str,
        messages: Vec<Message>,
    ) -> Result<usize, String> {
        let batch = batch_of(queue_url, &messages);
        let answer = self.processor.invoke_json(&batch, DEADLINE).await;
        let answer = answer.map_err(|error| format!("the processor: {error}"))?;
        let failures = answer["batchItemFailures"].as_array().expect("a list").clone();
        for message in messages {
            if failures.iter().any(|it| it["itemIdentifier"].as_str() == message.message_id()) {
                self.stage.release(queue_url, &message).await;
            } else {
                self.stage.delete(queue_url, &message).await;
            }
        }
        Ok(failures.len())
    }

    async fn sweep_struck(&mut self, cell: Cell, subject: Subject) -> Result<(), String> {
        self.accept(subject).await?;
        self.lose_messages().await;
        self.stage.make_due(&subject.key().to_string()).await;
        let struck = self.arm(cell, subject);
        let swept = self.sweep().await;
        self.disarm();
        check_struck(cell, &struck)?;
        let number = |name: &str| swept[name].as_u64().unwrap_or(99);
        let got = (number("sent"), number("failed"), number("unread_shards"));
        let should = match cell.row.step {
            _ if cell.is_coped_with() => (1, 0, 0),
            Step::Due => (0, 0, 1),
            // Where the depth cannot be learnt, it is swept all the same.
            Step::Depth => (1, 0, 0),
            _ => (0, 1, 0),
        };
        expect("what was sent, failed and not read", got, should)
    }

    async fn sweep(&mut self) -> Value {
        self.sweeper.invoke_json(&json!({}), DEADLINE).await.expect("an answer")
    }

    /// Somebody purges the queue.
    async fn lose_messages(&self) {
        for message in self.stage.receive(&self.stage.bed.queue_url).await {
            self.stage.delete(&self.stage.bed.queue_url, &message).await;
        }
    }

    /// Time passes, the schedule and the poller do their work, until the event has ended
    /// and nothing is left in the queue.
    async fn settle(&mut self, subject: Subject) -> Result<(), String> {
        let key = subject.key();
        let bed = &self.stage.bed;
        let (main, lane) = (bed.queue_url.clone(), bed.lane_url.clone());
        for _ in 0..12 {
            let in_lane = self.stage.receive(&lane).await;
            if !in_lane.is_empty() {
                self.process_of(&lane, in_lane).await?;
                continue;
            }
            let messages = self.stage.receive(&main).await;
            let record = self.stage.ledger.get(&key).await.expect("the ledger");
            let has_ended = record.is_some_and(|record| !record.state.is_unfinished());
            if messages.is_empty() {
                if has_ended {
                    return Ok(());
                }
                let key = key.to_string();
                self.stage.end_lease(&key, None).await;
                self.stage.make_due(&key).await;
                self.sweep().await;
            } else {
                self.process_of(&main, messages).await?;
            }
        }
        let record = self.stage.ledger.get(&key).await.expect("the ledger");
        Err(format!("it never ends: {:?}", record.map(|it| (it.state, it.life, it.attempts))))
    }

    /// Its dead letters, taken from the queue.
    async fn letters(&self, subject: Subject) -> Vec<Message> {
        let dlq_url = &self.stage.bed.dlq_url;
        let mut letters = self.stage.receive(dlq_url).await;
        for letter in &letters {
            self.stage.delete(dlq_url, letter).await;
        }
        letters.retain(|letter| {
            Pointer::parse(letter.body().unwrap_or_default())
                .is_ok_and(|it| it.key == subject.key())
        });
        letters
    }

    async fn check_end(&self, cell: Cell, subject: Subject) -> Result<(), String> {
        let Cell { row, fault, .. } = cell;
        let record = self.stage.ledger.get(&subject.key()).await.expect("the ledger");
        let record = record.ok_or("there is no such event")?;
        let life = if row.drive == Drive::Redrive { 2 } else { 1 };
        let state = if subject.outcome.is_hopeless() { State::Dead } else { State::Done };
        expect("state and life", (record.state, record.life), (state, life))?;
        expect("its place in the index", record.open.is_some(), state == State::Dead)?;

        let letters = self.letters(subject).await;
        let lives: Vec<u32> = letters
            .iter()
            .filter_map(|it| Pointer::parse(it.body().unwrap_or_default()).ok())
            .map(|it| it.life)
            .collect();
        if state == State::Dead {
            expect("that the letters name the next life", lives.contains(&(life + 1)), true)?;
        } else {
            expect("the letters", lives, Vec::new())?;
        }

        // The effect is written once. Its handler runs once, but for a completion that
        // could not be recorded, and an effect that could not be had.
        let routed = subject.outcome != Outcome::Unrouted;
        let facts = self.chain.journal.facts(subject.number);
        expect("how often the effect was written", facts.written, u32::from(routed))?;
        let again = !cell.is_coped_with()
            && (row.step == Step::Mirror || row.step == Step::Complete && !fault.lands());
        let runs = usize::from(routed) + usize::from(again);
        expect("how often the handler ran", facts.effects.len(), runs)
    }
}
