//! A double of SQS's message move tasks, which the emulator lacks: it answers in
//! the proxy as AWS was recorded to answer, and really moves the messages.
//!
//! One active task a source; a handle only while it runs; counts as of the start;
//! a message that was sent to the dead-letter queue directly needs an explicit
//! destination. A task that was just started does not show in the first list,
//! which may happen with anything that is not said to be consistent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_local::calls::{Call, Fault};
use serde_json::{Value, json};

use super::rig::Operator;

#[derive(Clone)]
pub(crate) struct MoveTasks(Arc<Shared>);

struct Shared {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
    dlq_url: String,
    tasks: Mutex<Vec<Task>>,
}

#[derive(Clone)]
struct Task {
    status: &'static str,
    moved: u64,
    to_move: u64,
    destination: Value,
    rate: Option<u64>,
    failure: Value,
    started_at: i64,
    shows: bool,
}

impl MoveTasks {
    /// From now on the operator's queue service has move tasks.
    pub(crate) fn install(operator: &Operator) -> Self {
        let tasks = Self(Arc::new(Shared {
            sqs: operator.bed.sqs(),
            queue_url: operator.bed.queue_url.clone(),
            dlq_url: operator.bed.dlq_url.clone(),
            tasks: Mutex::default(),
        }));
        let hooked = tasks.clone();
        operator.proxy.set_hook(move |call| hooked.answer(call));
        tasks
    }

    /// How far the latest task is.
    pub(crate) fn latest(&self) -> Option<(&'static str, u64)> {
        self.0.tasks.lock().unwrap().last().map(|task| (task.status, task.moved))
    }

    pub(crate) fn answer(&self, call: &Call) -> Fault {
        if call.service != "sqs" {
            return Fault::None;
        }
        let body = call.json();
        match call.operation.as_str() {
            "StartMessageMoveTask" => {
                let answer = self.start(&body);
                if matches!(answer, Fault::Answer { .. }) {
                    self.0.tasks.lock().unwrap().last_mut().unwrap().shows = false;
                }
                answer
            }
            "ListMessageMoveTasks" => self.list(&body),
            "CancelMessageMoveTask" => self.cancel(&body),
            _ => Fault::None,
        }
    }

    /// Starts a task as somebody else would.
    pub(crate) fn start(&self, body: &Value) -> Fault {
        if body["SourceArn"] != arn(&self.0.dlq_url) {
            return refused("Source queue must be configured as a Dead Letter Queue.");
        }
        let rate = body["MaxNumberOfMessagesPerSecond"].as_u64();
        assert!(rate.is_none_or(|rate| (1..=500).contains(&rate)), "{body}");
        let mut tasks = self.0.tasks.lock().unwrap();
        if tasks.last().is_some_and(|task| ["RUNNING", "CANCELLING"].contains(&task.status)) {
            return refused(
                "There is already a task running. Only one active task is allowed for a source \
                 queue arn at a given time.",
            );
        }
        tasks.push(Task {
            status: "RUNNING",
            moved: 0,
            to_move: 0,
            destination: body["DestinationArn"].clone(),
            rate,
            failure: Value::Null,
            started_at: Timestamp::now().unix_ms(),
            shows: true,
        });
        tokio::spawn(Arc::clone(&self.0).work(tasks.len() - 1));
        let handle = format!("task-{}", tasks.len() - 1);
        Fault::Answer { status: 200, body: json!({"TaskHandle": handle}) }
    }

    fn list(&self, body: &Value) -> Fault {
        assert_eq!(body["SourceArn"], arn(&self.0.dlq_url));
        let mut tasks = self.0.tasks.lock().unwrap();
        let showing: Vec<bool> =
            tasks.iter_mut().map(|task| std::mem::replace(&mut task.shows, true)).collect();
        let results: Vec<Value> = tasks
            .iter()
            .enumerate()
            .rev()
            .filter(|(at, _)| showing[*at])
            .take(1)
            .map(|(at, task)| {
                let mut entry = json!({
                    "Status": task.status,
                    "SourceArn": body["SourceArn"],
                    "ApproximateNumberOfMessagesMoved": task.moved,
                    "ApproximateNumberOfMessagesToMove": task.to_move,
                    "StartedTimestamp": task.started_at,
                });
                for (name, value, is_said) in [
                    ("DestinationArn", &task.destination, !task.destination.is_null()),
                    ("MaxNumberOfMessagesPerSecond", &json!(task.rate), task.rate.is_some()),
                    ("TaskHandle", &json!(format!("task-{at}")), task.status == "RUNNING"),
                    ("FailureReason", &task.failure, task.status == "FAILED"),
                ] {
                    if is_said {
                        entry[name] = value.clone();
                    }
                }
                entry
            })
            .collect();
        Fault::Answer { status: 200, body: json!({"Results": results}) }
    }

    fn cancel(&self, body: &Value) -> Fault {
        let mut tasks = self.0.tasks.lock().unwrap();
        let handle = body["TaskHandle"].as_str().unwrap_or_default();
        let at = handle.strip_prefix("task-").and_then(|at| at.parse::<usize>().ok());
        match at.and_then(|at| tasks.get_mut(at)) {
            Some(task) if task.status == "RUNNING" => {
                task.status = "CANCELLING";
                let body = json!({"ApproximateNumberOfMessagesMoved": task.moved});
                Fault::Answer { status: 200, body }
            }
            _ => Fault::Status {
                status: 404,
                error_type: "ResourceNotFoundException".into(),
                message: "Task does not exist.".into(),
            },
        }
    }
}

impl Shared {
    async fn work(self: Arc<Self>, at: usize) {
        let name = aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(&self.dlq_url)
            .attribute_names(name.clone())
            .send()
            .await
            .unwrap();
        let to_move = answer.attributes.unwrap()[&name].parse().unwrap();
        let rate = {
            let task = &mut self.tasks.lock().unwrap()[at];
            task.to_move = to_move;
            task.rate
        };
        loop {
            {
                let task = &mut self.tasks.lock().unwrap()[at];
                if task.status == "CANCELLING" {
                    task.status = "CANCELLED";
                    return;
                }
            }
            let messages = self
                .sqs
                .receive_message()
                .queue_url(&self.dlq_url)
                .max_number_of_messages(
                    rate.map_or(10, |rate| i32::try_from(rate / 10).unwrap()).clamp(1, 10),
                )
                .visibility_timeout(30)
                .message_attribute_names("All")
                .send()
                .await
                .unwrap()
                .messages
                .unwrap_or_default();
            if messages.is_empty() {
                self.tasks.lock().unwrap()[at].status = "COMPLETED";
                return;
            }
            for message in messages {
                let destination = self.tasks.lock().unwrap()[at].destination.clone();
                if destination != arn(&self.queue_url) {
                    let task = &mut self.tasks.lock().unwrap()[at];
                    task.status = "FAILED";
                    task.failure = json!(if destination.is_null() {
                        "CouldNotDetermineMessageSource"
                    } else {
                        "AWS.SimpleQueueService.NonExistentQueue"
                    });
                    return;
                }
                self.sqs
                    .send_message()
                    .queue_url(&self.queue_url)
                    .message_body(message.body.unwrap())
                    .set_message_attributes(message.message_attributes)
                    .send()
                    .await
                    .unwrap();
                self.sqs
                    .delete_message()
                    .queue_url(&self.dlq_url)
                    .receipt_handle(message.receipt_handle.unwrap())
                    .send()
                    .await
                    .unwrap();
                self.tasks.lock().unwrap()[at].moved += 1;
            }
            if rate.is_some() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn refused(message: &str) -> Fault {
    Fault::Status {
        status: 400,
        error_type: "InvalidParameterValue".into(),
        message: message.into(),
    }
}

/// The emulator's ARN of a queue.
pub(crate) fn arn(url: &str) -> String {
    let mut parts = url.rsplit('/');
    let (name, account) = (parts.next().unwrap(), parts.next().unwrap());
    format!("arn:aws:sqs:us-east-1:{account}:{name}")
}
