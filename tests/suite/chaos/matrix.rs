//! Every AWS call of every function × every fault, once and for as long as it lasts.
//!
//! ```text
//! bring the call about ─▶ the fault strikes ─▶ the right answer? ─▶ it passes
//!                                              ─▶ retry, sweep, process ─▶ the right end?
//! ```
//!
//! Once, the SDK's own retry copes and nobody notices; but it does not repeat a call
//! whose answer came and cannot be read. For as long as a fault lasts, the receiver
//! answers 503, the processor leaves the message, the sweeper leaves the event to its
//! next run, and a start goes on. In the end every event is done, or dead with its
//! letter, and its handler's effect was written once.
//!
//! [`ROWS`] has one line a call. A call that the functions make and no line has fails
//! the test, here and in every run of chaos.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use inbox_local::actions::Action;
use inbox_local::microburst::Injected;

use super::cell::{Cell, Lasting, play};
use super::stage::Chain;
use super::steps::Step;
use super::subject::Outcome;
use crate::e2e::actions::driven;

/// How a call is brought about, and so what answer is right while it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drive {
    /// The function starts: it does so whatever happens, and works as soon as AWS does.
    Start,
    /// A provider delivers: 503.
    Deliver,
    /// The processor handles an event with this outcome: the message stays in the queue.
    Process(Outcome),
    /// The processor handles an event whose route is slow: its message stays in the queue,
    /// main or lane.
    Lane(Outcome),
    /// The processor gets a dead letter back: the message stays in the queue.
    Redrive,
    /// The sweeper comes by: it counts what it could not do, and goes on next minute.
    Sweep,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) function: &'static str,
    /// As in `tests/fixtures/aws_actions.json`.
    pub(super) action: &'static str,
    pub(super) step: Step,
    pub(super) drive: Drive,
}

const fn row(function: &'static str, action: &'static str, step: Step, drive: Drive) -> Row {
    Row { function, action, step, drive }
}

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("receiver", "secretsmanager:GetSecretValue secret", Step::FetchSecret, Drive::Start),
    row("receiver", "sqs:GetQueueAttributes events", Step::ConnectQueue, Drive::Start),
    row("receiver", "dynamodb:PutItem ledger", Step::ConnectLedger, Drive::Start),
    row("receiver", "s3:DeleteObject payloads", Step::ConnectPayloads, Drive::Start),
    row("receiver", "s3:PutObject payloads", Step::KeepPayload, Drive::Deliver),
    row("receiver", "dynamodb:PutItem ledger", Step::Claim, Drive::Deliver),
    row("receiver", "sqs:SendMessage events", Step::Send, Drive::Deliver),

    row("processor", "sqs:GetQueueAttributes events", Step::ConnectQueue, Drive::Start),
    row("processor", "dynamodb:UpdateItem ledger", Step::ConnectLedger, Drive::Start),
    row("processor", "dynamodb:UpdateItem ledger", Step::Begin, Drive::Process(Outcome::Fine)),
    row("processor", "s3:GetObject payloads", Step::LoadPayload, Drive::Process(Outcome::Fine)),
    row("processor", "dynamodb:UpdateItem ledger", Step::Complete, Drive::Process(Outcome::Fine)),
    row("processor", "dynamodb:UpdateItem ledger", Step::Fail, Drive::Process(Outcome::FailsOnce)),
    row("processor", "dynamodb:UpdateItem ledger", Step::Bury, Drive::Process(Outcome::Permanent)),
    row("processor", "dynamodb:UpdateItem ledger", Step::Finish, Drive::Process(Outcome::Unrouted)),
    row("processor", "dynamodb:UpdateItem ledger", Step::Reopen, Drive::Redrive),
    // To S3, copying is reading and writing.
    row("processor", "s3:PutObject payloads", Step::RenewPayload, Drive::Redrive),
    row("processor", "dynamodb:PutItem mirror", Step::Mirror, Drive::Process(Outcome::Fine)),
    row("processor", "s3:PutObject payloads", Step::Detach, Drive::Process(Outcome::Announced)),
    row("processor", "events:PutEvents event_bus", Step::Publish, Drive::Process(Outcome::Published)),
    row("processor", "lambda:InvokeFunction invoked_function", Step::Invoke, Drive::Process(Outcome::Invoked)),
    row("processor", "sqs:SendMessage target_queue", Step::Enqueue, Drive::Process(Outcome::Enqueued)),
    row("processor", "sns:Publish target_topic", Step::Announce, Drive::Process(Outcome::Announced)),
    row("processor", "secretsmanager:GetSecretValue forward_secret", Step::FetchForwardSecret, Drive::Process(Outcome::Forwarded)),
    row("processor", "sqs:ChangeMessageVisibility events", Step::Hide, Drive::Process(Outcome::FailsOnce)),
    row("processor", "sqs:SendMessage dead_letters", Step::SendDead, Drive::Process(Outcome::Permanent)),

    row("processor", "dynamodb:GetItem ledger", Step::ReadMarks, Drive::Lane(Outcome::Fine)),
    row("processor", "dynamodb:UpdateItem ledger", Step::Defer, Drive::Lane(Outcome::Fine)),
    row("processor", "sqs:SendMessage lane", Step::SendOn, Drive::Lane(Outcome::Fine)),
    row("processor", "sqs:ChangeMessageVisibility lane", Step::Hide, Drive::Lane(Outcome::FailsOnce)),

    row("sweeper", "sqs:GetQueueAttributes events", Step::ConnectQueue, Drive::Start),
    row("sweeper", "dynamodb:UpdateItem ledger", Step::ConnectLedger, Drive::Start),
    row("sweeper", "sqs:GetQueueAttributes events", Step::Depth, Drive::Sweep),
    row("sweeper", "dynamodb:Query ledger/index/open", Step::Due, Drive::Sweep),
    row("sweeper", "dynamodb:UpdateItem ledger", Step::Sweep, Drive::Sweep),
    row("sweeper", "sqs:SendMessage events", Step::Send, Drive::Sweep),
];

#[test]
fn every_call_that_the_functions_may_make_has_its_row() {
    let action = |function: &str, action: &str| Action {
        function: function.to_owned(),
        action: action.to_owned(),
    };
    let rows: BTreeSet<Action> = ROWS.iter().map(|row| action(row.function, row.action)).collect();
    assert_eq!(rows, driven());
}

/// Rows that share a world and are played one after the other: the most of their time
/// goes by in waiting.
const ROWS_IN_A_WORLD: usize = 3;
/// More would have each other's processes wait so long that it looks like a fault.
const WORLDS_AT_ONCE: usize = 4;

#[tokio::test]
async fn every_fault_at_every_call_is_answered_rightly() {
    let chain = Chain::new().await;
    let cells = |row: &Row| {
        let row = *row;
        Injected::ALL.into_iter().flat_map(move |fault| {
            [Lasting::Once, Lasting::Persistent].map(|lasting| Cell { row, fault, lasting })
        })
    };
    let worlds = ROWS
        .chunks(ROWS_IN_A_WORLD)
        .zip((0..).step_by(100))
        .map(|(rows, first)| play(&chain, rows.iter().flat_map(cells).collect(), first));
    let worlds = futures_util::stream::iter(worlds).buffer_unordered(WORLDS_AT_ONCE);
    let wrong: Vec<String> = worlds.collect::<Vec<_>>().await.into_iter().flatten().collect();
    let wrong: Vec<String> = wrong.into_iter().chain(chain.journal.wrong()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The faults were there: by the account of who made them.
    let fired = chain.microburst.fired().await.expect("an account");
    for fault in Injected::ALL {
        assert!(fired[fault.name()] >= ROWS.len() as u64, "{fault:?}: {fired:?}");
    }
}
