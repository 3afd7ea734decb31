//! Dead letters for the tests: made, counted, and what became of them.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_aws::{DeadLetterQueue, Depth};
use inbox_core::event::{Event, EventKey};
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use inbox_core::ledger::{Ledger as _, Record, State};
use inbox_core::queue::Pointer;
use inbox_local::paths;
use inbox_processor::routes::Route;
use tokio::process::Child;

use super::rig::{Operator, finish};
use super::worker::Processing;
use super::world::Given;

/// Half an hour old, of this source and type, failed with this error.
pub(crate) fn given(id: &str, state: State, source: &str, event_type: &str, error: &str) -> Given {
    Given::new(id, state, Duration::from_mins(30)).of(source, event_type).with_error(error)
}

/// The letters as SQS counts them.
pub(crate) async fn depth(operator: &Operator) -> Depth {
    let url = operator.bed.dlq_url.clone();
    DeadLetterQueue::new(&operator.bed.sdk_config(), url).depth().await.unwrap()
}

/// As many letters, all of them visible.
pub(crate) fn visible(count: u64) -> Depth {
    Depth { visible: count, in_flight: 0 }
}

/// Messages without attributes, as SQS itself and strangers leave them.
pub(crate) async fn send(operator: &Operator, queue_url: &str, bodies: &[String]) {
    let sqs = operator.bed.sqs();
    for batch in bodies.chunks(10) {
        let entries = batch.iter().enumerate().map(|(at, body)| {
            SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(body)
                .build()
                .unwrap()
        });
        let sent = sqs
            .send_message_batch()
            .queue_url(queue_url)
            .set_entries(Some(entries.collect()))
            .send()
            .await
            .unwrap();
        assert!(sent.failed.is_empty());
    }
}

/// A body that names this life of this event.
pub(crate) fn names(given: &Given, life: u32) -> String {
    Pointer::body(&given.event, life)
}

/// Takes everything that waits in a queue away, and returns its bodies.
pub(crate) async fn drain(operator: &Operator, queue_url: &str) -> Vec<String> {
    let sqs = operator.bed.sqs();
    let mut bodies = Vec::new();
    loop {
        let answer = sqs
            .receive_message()
            .queue_url(queue_url)
            .max_number_of_messages(10)
            .send()
            .await
            .unwrap();
        let messages = answer.messages.unwrap_or_default();
        if messages.is_empty() {
            bodies.sort_unstable();
            return bodies;
        }
        for message in messages {
            let handle = message.receipt_handle.unwrap();
            sqs.delete_message().queue_url(queue_url).receipt_handle(handle).send().await.unwrap();
            bodies.push(message.body.unwrap());
        }
    }
}

/// Sends a signal to a command that runs.
pub(crate) fn signal(child_id: u32, signal: &str) {
    let killed =
        std::process::Command::new("kill").args([signal, &child_id.to_string()]).status().unwrap();
    assert!(killed.success());
}

/// Runs the command at a terminal, at which somebody types this; its exit code
/// and everything that the terminal showed.
pub(crate) async fn run_at_terminal(
    operator: &Operator,
    arguments: &[&str],
    typed: &str,
) -> (i32, String) {
    // Types when there is a question, as a person would.
    const TERMINAL: &str = "\
import os, pty, sys
shown = b''
def read(fd):
    global shown, typed
    data = os.read(fd, 4096)
    shown += data
    if b'to go on: ' in shown and typed:
        os.write(fd, typed)
        typed = b''
    return data
typed = sys.argv[1].encode()
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[2:], read)))";
    let command = operator.command(arguments);
    let command = command.as_std();
    let mut terminal = tokio::process::Command::new(paths::emulator_python().unwrap());
    terminal.args(["-c", TERMINAL, typed]).arg(command.get_program()).args(command.get_args());
    terminal.env_clear();
    for (name, value) in command.get_envs() {
        terminal.env(name, value.unwrap_or_default());
    }
    terminal.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let ran = finish(terminal.spawn().unwrap()).await;
    (ran.code, ran.text().to_owned())
}

/// The id of a command's process.
pub(crate) fn process_id(child: &Child) -> u32 {
    child.id().expect("it runs")
}

/// Writes down what ran, as (event, life), and does as it is told.
#[derive(Clone, Default)]
pub(crate) struct Work {
    ran: Arc<Mutex<BTreeMap<(EventKey, u32), usize>>>,
    fails: bool,
}

impl Work {
    pub(crate) fn failing() -> Self {
        Self { fails: true, ..Self::default() }
    }

    /// The processor, with this as its only handler.
    pub(crate) fn processing<'a>(&self, operator: &'a Operator) -> Processing<'a> {
        let route = Route::new("billing", "*", "*", Arc::new(self.clone()));
        Processing::new(operator, vec![route])
    }

    /// How often each life of each event ran.
    pub(crate) fn ran(&self) -> BTreeMap<(EventKey, u32), usize> {
        self.ran.lock().unwrap().clone()
    }
}

impl Handler for Work {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        *self.ran.lock().unwrap().entry((event.key.clone(), run.life)).or_default() += 1;
        let result = if self.fails {
            Err(HandlerError::permanent("still broken"))
        } else {
            Ok(Handled::Done)
        };
        async { result }.boxed()
    }
}

/// An event as it stands.
pub(crate) async fn held(operator: &Operator, source: &str, id: &str) -> Record {
    let key = EventKey { source: source.into(), id: id.into() };
    operator.ledger().get(&key).await.unwrap().expect("the event is there")
}
