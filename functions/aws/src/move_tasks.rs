//! SQS's own redrive: a task that moves everything from the dead-letter queue
//! to the queue of events, at up to 500 messages a second, whoever watches.
//!
//! ```text
//! start ─▶ Running ─┬──────────────────▶ Completed | Failed
//!                   └─ cancel ─▶ Cancelling ─▶ Cancelled
//! ```
//!
//! There is one task at a time for a dead-letter queue, and no filter. The
//! destination is always named: a message that was sent to the dead-letter
//! queue directly, as buried ones are, has no source to go back to
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html>).

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::QueueAttributeName;
use inbox_core::Timestamp;
use inbox_core::queue::QueueError;

use crate::error::describe;

/// What `StartMessageMoveTask` takes at most.
pub const MOVES_PER_SECOND: u32 = 500;

/// The move tasks of one dead-letter queue.
#[derive(Clone, Debug)]
pub struct MoveTasks {
    client: Client,
    from_arn: String,
    to_arn: String,
}

/// A task as SQS describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveTask {
    /// How far it is.
    pub status: MoveStatus,
    /// Cancels it; only known while it runs.
    pub handle: Option<String>,
    /// Messages moved so far, approximately.
    pub moved: u64,
    /// Messages that were there when it started, once it has counted them.
    pub to_move: Option<u64>,
    /// Where it moves them, if that was said.
    pub destination_arn: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveStatus {
    /// It moves.
    Running,
    /// It was told to stop, and has not yet.
    Cancelling,
    /// It was told to stop, and has.
    Cancelled,
    /// It moved everything.
    Completed,
    /// It gave up; also whatever else SQS may come to say.
    Failed,
}

impl MoveStatus {
    fn parse(text: &str) -> Self {
        match text {
            "RUNNING" => Self::Running,
            "CANCELLING" => Self::Cancelling,
            "CANCELLED" => Self::Cancelled,
            "COMPLETED" => Self::Completed,
            _ => Self::Failed,
        }
    }

    /// Whether it still moves, and no other can be started.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }
}

/// Why there is no answer about tasks.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MoveError {
    /// Whoever answers for SQS does not have these calls.
    #[error("this queue service has no message move tasks")]
    Unsupported,
    /// Another task moves already.
    #[error("another move task runs already")]
    AlreadyRunning,
    /// SQS does not answer, or refused.
    #[error(transparent)]
    Unavailable(#[from] QueueError),
}

impl MoveTasks {
    /// Tasks from the dead-letter queue to the queue.
    ///
    /// # Errors
    ///
    /// One of the queues is not there.
    pub async fn new(
        aws: &SdkConfig,
        dead_letter_queue_url: &str,
        queue_url: &str,
    ) -> Result<Self, QueueError> {
        let client = Client::new(aws);
        let from_arn = arn(&client, dead_letter_queue_url).await?;
        let to_arn = arn(&client, queue_url).await?;
        Ok(Self { client, from_arn, to_arn })
    }

    /// The ARN of the queue to which [`Self::start`] moves.
    #[must_use]
    pub fn destination_arn(&self) -> &str {
        &self.to_arn
    }

    /// Starts a task, at most [`MOVES_PER_SECOND`]; without a rate, as fast as
    /// SQS finds fit.
    ///
    /// # Errors
    ///
    /// [`MoveError`].
    pub async fn start(&self, per_second: Option<u32>) -> Result<(), MoveError> {
        let per_second = per_second.map(|rate| rate.clamp(1, MOVES_PER_SECOND).cast_signed());
        self.client
            .start_message_move_task()
            .source_arn(&self.from_arn)
            .destination_arn(&self.to_arn)
            .set_max_number_of_messages_per_second(per_second)
            .send()
            .await
            .map_err(|error| fault("StartMessageMoveTask", &error))?;
        Ok(())
    }

    /// The task that was started last, if there ever was one.
    ///
    /// # Errors
    ///
    /// [`MoveError`].
    pub async fn latest(&self) -> Result<Option<MoveTask>, MoveError> {
        let answer = self
            .client
            .list_message_move_tasks()
            .source_arn(&self.from_arn)
            .max_results(1)
            .send()
            .await
            .map_err(|error| fault("ListMessageMoveTasks", &error))?;
        Ok(answer.results.unwrap_or_default().into_iter().next().map(|task| MoveTask {
            status: MoveStatus::parse(task.status().unwrap_or_default()),
            moved: task.approximate_number_of_messages_moved.try_into().unwrap_or_default(),
            to_move: task.approximate_number_of_messages_to_move.and_then(|n| n.try_into().ok()),
            started_at: Timestamp::from_unix_ms(task.started_timestamp),
            handle: task.task_handle,
            destination_arn: task.destination_arn,
            failure: task.failure_reason,
        }))
    }

    /// Tells a task to stop; what it moved stays moved.
    ///
    /// # Errors
    ///
    /// [`MoveError`]; also when it has ended meanwhile.
    pub async fn cancel(&self, handle: &str) -> Result<(), MoveError> {
        self.client
            .cancel_message_move_task()
            .task_handle(handle)
            .send()
            .await
            .map_err(|error| fault("CancelMessageMoveTask", &error))?;
        Ok(())
    }
}

async fn arn(client: &Client, url: &str) -> Result<String, QueueError> {
    let answer = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .map_err(|error| QueueError(describe("GetQueueAttributes", &error)))?;
    answer
        .attributes
        .and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn))
        .ok_or_else(|| QueueError("GetQueueAttributes: no QueueArn came back".to_owned()))
}

fn fault<E: ProvideErrorMetadata>(operation: &str, error: &SdkError<E>) -> MoveError {
    let service_error = error.as_service_error();
    let code = service_error.and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let message = service_error.and_then(ProvideErrorMetadata::message).unwrap_or_default();
    // The code for a second task is that of any wrong parameter; recorded of AWS:
    // "There is already a task running. Only one active task is allowed …".
    if message.contains("already a task running") {
        return MoveError::AlreadyRunning;
    }
    // What query services, JSON services and gateways say of an unknown call.
    if ["InvalidAction", "UnknownOperationException", "UnsupportedOperation"]
        .iter()
        .any(|unknown| code.ends_with(unknown))
    {
        return MoveError::Unsupported;
    }
    MoveError::Unavailable(QueueError(describe(operation, error)))
}
