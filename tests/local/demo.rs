//! `local demo`: drives the main job through a stack of its own and says what
//! became of each event.
//!
//! ```text
//! start ─▶ the lost message ─▶ everything else ─▶ wait for the ends ─▶ claims ─▶ stop
//!            (subscribers and an endpoint stand by: demo_subscribers.rs)
//! ```
//!
//! Nothing is taken on trust: every cell of the table is read from an HTTP answer,
//! the ledger, the mirror's table or the dead-letter queue, every claim is compared
//! with it, and one that does not hold makes the exit code 1.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{Message, QueueAttributeName};
use bytes::Bytes;
use http::Response;
use inbox_aws::DynamoDbLedger;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, Record, State};
use inbox_core::queue::Pointer;
use inbox_local::{LocalError, LocalStack};
use inbox_processor::handlers::mirror::{DynamoDbMirror, Mirror as _, pk};

use crate::demo_claims::{claim_dead_letters, claim_fates, claim_stories, letter_rows};
use crate::demo_report::{Claims, Colours, section, table};
use crate::demo_scenario::{self as scenario, Act, Fate, Object};
use crate::demo_subscribers::{Fates, Outside, claim_subscribers, subscriber_rows};
use crate::{Failure, permissions_report, say, stop_signal};

/// Retries, the sweeper and the dead letter take some ten seconds.
const ENDS_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// On a machine that is busy, a receiver may start more slowly than it lets a
/// provider wait.
const SENT_AGAIN: u32 = 5;
const SENT_AGAIN_AFTER: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(3);
/// Stands for a cell without content.
const NOTHING: &str = "-";

/// Runs the demo, unless it is stopped.
pub(crate) async fn demo(arguments: &[String]) -> Result<(), Failure> {
    if !arguments.is_empty() {
        return Err(Failure::Usage(crate::USAGE.to_owned()));
    }
    let stopped = stop_signal()?;
    tokio::select! {
        outcome = play() => outcome,
        // Dropping the play ends what it had started.
        () = stopped => Err(Failure::Stopped),
    }
}

async fn play() -> Result<(), Failure> {
    let outside = Outside::start().await?;
    let options = scenario::stack(outside.endpoint.url());
    let directory = options.directory.clone();
    let stack = LocalStack::start(options, |step| say(&format!("… {step}"))).await?;
    let description = stack.description().clone();
    let payments = outside.subscribe(&description).await?;
    let mut demo = Demo::new(stack);

    let mut claims = Claims::default();
    demo.lose_a_message(&mut claims).await?;
    say("… sending every provider's events");
    for act in scenario::acts()? {
        demo.send(act).await?;
    }
    demo.wait_for_the_ends().await?;
    let letters = demo.dead_letters().await?;
    let seen = demo.read().await?;
    section("What became of each request", &rows(&seen));
    let fates = outside.fates(&payments, scenario::PAYMENTS).await?;
    section("What subscribers and the endpoint got", &subscriber_rows(&fates));
    section("What lies in the dead-letter queue", &letter_rows(&letters));
    claim_fates(&mut claims, &seen);
    claim_stories(&mut claims, &seen, demo.swept());
    claim_subscribers(&mut claims, &seen, &fates, &description);
    claim_dead_letters(&mut claims, &letters);
    let leaked = demo.leaked(&fates)?;
    claims.equal("no log holds a payload, a secret or a signature", &Vec::new(), &leaked);

    let (decisions, permissions) = (demo.stack.decisions(), demo.stack.permissions());
    section("Permissions", &permissions_report::lines(permissions, decisions)?);
    let denied = permissions_report::denied(decisions)?;
    claims.equal("nobody was denied what he asked for", &Vec::new(), &denied);

    demo.stack.stop().await;
    let addresses = [&description.public_base_url, &description.endpoint_url];
    let deadline = Instant::now() + STOPPED_WITHIN;
    while addresses.iter().any(|url| is_listening(url)) && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let listening: Vec<&&String> = addresses.iter().filter(|url| is_listening(url)).collect();
    claims.equal("nothing of the stack still listens", &Vec::new(), &listening);

    let colours = Colours::detect();
    section("Claims", &claims.lines(colours));
    section(&claims.verdict(colours), &[]);
    if claims.broken() > 0 {
        return Err(Failure::Claims { logs: description.logs });
    }
    let _ = std::fs::remove_dir_all(directory);
    Ok(())
}

/// A stack, what was sent to it, and what is claimed of it.
struct Demo {
    stack: LocalStack,
    ledger: DynamoDbLedger,
    mirror: DynamoDbMirror,
    sqs: aws_sdk_sqs::Client,
    sent: Vec<Sent>,
}

/// A request that was answered.
pub(crate) struct Sent {
    pub(crate) act: Act,
    pub(crate) answer: Response<Bytes>,
}

/// A request and everything that is to be seen of it.
pub(crate) struct Seen<'a> {
    pub(crate) sent: &'a Sent,
    pub(crate) record: Option<Record>,
    pub(crate) mirrored: Option<Mirrored>,
}

/// What the mirror holds of an object.
pub(crate) struct Mirrored {
    pub(crate) text: String,
    pub(crate) event_id: String,
}

impl Sent {
    /// `200 accepted`, `401 stale_timestamp`.
    pub(crate) fn answer(&self) -> String {
        let header = |name: &str| self.answer.headers().get(name).and_then(|v| v.to_str().ok());
        let error = serde_json::from_slice::<serde_json::Value>(self.answer.body())
            .ok()
            .and_then(|body| body["error"].as_str().map(str::to_owned));
        let word = header("x-inbox-status").map(str::to_owned).or(error).unwrap_or_default();
        format!("{} {word}", self.answer.status().as_u16())
    }

    pub(crate) fn key(&self) -> EventKey {
        let named = self.answer.headers().get("x-inbox-id").and_then(|id| id.to_str().ok());
        let id = match (&self.act.fate, named) {
            (Fate::Refused { id }, _) => id,
            (Fate::Kept { .. }, Some(id)) => id,
            (Fate::Kept { .. }, None) => "",
        };
        EventKey { source: self.act.delivery.source.clone(), id: id.to_owned() }
    }
}

impl Demo {
    fn new(stack: LocalStack) -> Self {
        let aws = stack.sdk_config();
        let description = stack.description();
        Self {
            ledger: stack.ledger(),
            mirror: DynamoDbMirror::new(
                aws_sdk_dynamodb::Client::new(&aws),
                description.mirror_table.clone(),
            ),
            sqs: aws_sdk_sqs::Client::new(&aws),
            sent: Vec::new(),
            stack,
        }
    }

    async fn send(&mut self, act: Act) -> Result<(), LocalError> {
        let base_url = &self.stack.description().public_base_url;
        let mut answer = act.delivery.send(base_url).await?;
        for _ in 0..SENT_AGAIN {
            if answer.status() != 503 {
                break;
            }
            say("… the receiver was not ready in time: sending again, as the provider would");
            tokio::time::sleep(SENT_AGAIN_AFTER).await;
            answer = act.delivery.send(base_url).await?;
        }
        self.sent.push(Sent { act, answer });
        Ok(())
    }

    /// Accepts an event while nobody reads the queue, and deletes its message.
    async fn lose_a_message(&mut self, claims: &mut Claims) -> Result<(), LocalError> {
        say("… losing a message: its event is accepted, its message deleted from the queue");
        self.stack.feed_processor(false).await?;
        self.send(scenario::lost()?).await?;
        let key = self.sent.last().map(Sent::key);
        let queue_url = self.stack.description().queue_url.clone();
        let mut lost = Vec::new();
        for message in self.receive(&queue_url, 5).await? {
            lost.push(message.body().and_then(|body| Pointer::parse(body).ok()));
            self.sqs
                .delete_message()
                .queue_url(&queue_url)
                .receipt_handle(message.receipt_handle().unwrap_or_default())
                .send()
                .await
                .map_err(|error| call("DeleteMessage", error))?;
        }
        let expected = key.clone().map(|key| Pointer { key, life: 1 });
        claims.equal("the push's message was in the queue", &vec![expected], &lost);
        let left = self.messages_in(&queue_url).await?;
        claims.equal("once it is deleted the queue is empty", &0, &left);
        let record = match &key {
            Some(key) => self.record(key).await?,
            None => None,
        };
        let stands = record.map(|record| (record.state, record.attempts));
        claims.equal("nobody has touched the push so far", &Some((State::Received, 0)), &stands);
        claims.equal("the sweeper has sent nothing so far", &0, &self.swept());
        self.stack.feed_processor(true).await
    }

    async fn wait_for_the_ends(&self) -> Result<(), LocalError> {
        say("… waiting for the retries, the sweeper and the dead letter");
        let deadline = Instant::now() + ENDS_WITHIN;
        let mut said = Instant::now();
        loop {
            let mut open = Vec::new();
            for sent in self.sent.iter().filter(|sent| matches!(sent.act.fate, Fate::Kept { .. })) {
                let record = self.record(&sent.key()).await?;
                if record.is_none_or(|record| record.state.is_unfinished()) {
                    open.push(sent.act.event);
                }
            }
            let queue_url = &self.stack.description().queue_url;
            if open.is_empty() && self.messages_in(queue_url).await? == 0 {
                return Ok(());
            }
            // The claims will say what is missing.
            if Instant::now() > deadline {
                return Ok(());
            }
            if said.elapsed() > SAY_EVERY {
                said = Instant::now();
                say(&format!("… unfinished: {}", open.join(", ")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn read(&self) -> Result<Vec<Seen<'_>>, LocalError> {
        let mut all = Vec::new();
        for sent in &self.sent {
            let key = sent.key();
            let object = match &sent.act.fate {
                Fate::Kept { mirror: Some(object), .. } => Some(object),
                _ => None,
            };
            let mirrored = match object {
                Some(object) => self.mirrored(&key.source, object).await?,
                None => None,
            };
            all.push(Seen { sent, record: self.record(&key).await?, mirrored });
        }
        Ok(all)
    }

    async fn record(&self, key: &EventKey) -> Result<Option<Record>, LocalError> {
        self.ledger.get(key).await.map_err(|error| call("read the ledger", error))
    }

    async fn mirrored(
        &self,
        source: &str,
        object: &Object,
    ) -> Result<Option<Mirrored>, LocalError> {
        let row = self.mirror.get(&pk(source, object.kind, object.id)).await;
        let row = row.map_err(|error| call("read the mirror", error))?;
        Ok(row.map(|row| Mirrored {
            text: described(&row.kind, &row.object_id, row.status.as_deref()),
            event_id: row.event_id,
        }))
    }

    async fn dead_letters(&self) -> Result<Vec<Message>, LocalError> {
        self.receive(&self.stack.description().dlq_url, 2).await
    }

    async fn receive(
        &self,
        queue_url: &str,
        wait_seconds: i32,
    ) -> Result<Vec<Message>, LocalError> {
        let received = self
            .sqs
            .receive_message()
            .queue_url(queue_url)
            .max_number_of_messages(10)
            .wait_time_seconds(wait_seconds)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| call("ReceiveMessage", error))?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Visible or not.
    async fn messages_in(&self, queue_url: &str) -> Result<u32, LocalError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(queue_url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(|error| call("GetQueueAttributes", error))?;
        let count = |name| answer.attributes.as_ref()?.get(&name)?.parse::<u32>().ok();
        Ok(names.into_iter().filter_map(count).sum())
    }

    /// Messages that the sweeper says it has sent.
    fn swept(&self) -> i64 {
        let log = self.stack.function_log("sweeper");
        let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        // Metrics are written with a decimal point.
        #[expect(clippy::cast_possible_truncation, reason = "a few messages")]
        let sent = |line: serde_json::Value| line["Swept"].as_f64().map(|count| count as i64);
        lines.filter_map(sent).sum()
    }

    /// Names what should not be in the functions' logs and is.
    fn leaked(&self, fates: &Fates) -> Result<Vec<String>, LocalError> {
        let description = self.stack.description();
        let mut log = String::new();
        let entries = std::fs::read_dir(&description.logs);
        for entry in entries.map_err(|error| call("read the logs", error))?.flatten() {
            let bytes = std::fs::read(entry.path()).map_err(|error| call("read a log", error))?;
            log.push_str(&String::from_utf8_lossy(&bytes).to_lowercase());
        }
        let forwarding = description.forward_secrets.values().map(|it| &it.signing_secret);
        let secrets = description.secrets.values().flatten().chain(forwarding).map(String::as_str);
        let mut forbidden: Vec<String> = secrets.map(str::to_lowercase).collect();
        // What stands for personal data in the fixtures.
        forbidden.extend(["marker-", "1500555"].map(str::to_owned));
        forbidden.extend(fates.signatures());
        for sent in &self.sent {
            let headers = sent.act.delivery.headers(&description.public_base_url);
            let signatures =
                headers.into_iter().filter(|(name, _)| name.to_lowercase().ends_with("signature"));
            forbidden.extend(signatures.map(|(_, value)| value.to_lowercase()));
        }
        forbidden.retain(|text| log.contains(text));
        Ok(forbidden)
    }
}

fn rows(seen: &[Seen<'_>]) -> Vec<String> {
    let header = ["source", "event", "", "answer", "state", "attempts", "the mirror holds"];
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let rows: Vec<Vec<String>> = seen
        .iter()
        .map(|seen| {
            let record = seen.record.as_ref();
            vec![
                seen.sent.act.delivery.source.clone(),
                seen.sent.act.event.to_owned(),
                seen.sent.act.note.to_owned(),
                seen.sent.answer(),
                or_nothing(record.map(|record| record.state.as_str().to_owned())),
                or_nothing(record.map(|record| record.attempts.to_string())),
                or_nothing(seen.mirrored.as_ref().map(|mirrored| mirrored.text.clone())),
            ]
        })
        .collect();
    table(&header, &rows)
}

pub(crate) fn described(kind: &str, id: &str, status: Option<&str>) -> String {
    let status = status.map(|status| format!(": {status}")).unwrap_or_default();
    format!("{kind} {id}{status}")
}

fn is_listening(url: &str) -> bool {
    url.strip_prefix("http://").is_some_and(|it| std::net::TcpStream::connect(it).is_ok())
}

fn call(what: &str, error: impl std::fmt::Display) -> LocalError {
    LocalError::Call { what: what.to_owned(), reason: error.to_string() }
}
