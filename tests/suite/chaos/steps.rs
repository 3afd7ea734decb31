//! What an AWS call of a function is for: the ledger's step, not only the operation.

use inbox_local::calls::Call;
use serde_json::Value;

use super::subject::Size;

/// The key by which functions open their connection to the ledger.
const WARM_UP: &str = "WARM-UP#WARM-UP";

/// The key of what routes there are and were.
const ROUTES: &str = "ROUTES#ROUTES";

/// The key of the marks of slow routes.
pub(super) const MARKS: &str = "MARKS#MARKS";

/// A call's purpose. Each has a line in [`super::matrix::ROWS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    /// A secret is fetched, at start or later.
    FetchSecret,
    /// The connection to the queue is opened at start.
    ConnectQueue,
    /// The connection to the ledger is opened at start.
    ConnectLedger,
    /// The connection to the payload bucket is opened at start.
    ConnectPayloads,
    /// A payload that fits no item goes to the bucket.
    KeepPayload,
    /// It comes back.
    LoadPayload,
    /// Its object is made young again before its event's new life.
    RenewPayload,
    Claim,
    /// The message that wakes the processor.
    Send,
    /// The processor reads which routes are slow.
    ReadMarks,
    /// It marks or unmarks a route.
    Mark,
    Begin,
    /// Routes are left for later.
    Defer,
    /// The message that brings them back, in the lane.
    SendOn,
    Complete,
    Fail,
    Bury,
    Finish,
    Reopen,
    /// The effect of the handler `mirror`.
    Mirror,
    /// A payload goes to the bucket, since the target of a route takes less.
    Detach,
    /// The event goes on a bus.
    Publish,
    /// A function is called with it.
    Invoke,
    /// It goes to somebody's queue.
    Enqueue,
    /// It goes to somebody's topic.
    Announce,
    /// The secret that a forwarded event is signed with is fetched.
    FetchForwardSecret,
    /// A message is hidden until the next attempt.
    Hide,
    /// The copy in the dead-letter queue.
    SendDead,
    /// The sweeper asks how deep the queue is.
    Depth,
    /// The sweeper asks a shard for what is due.
    Due,
    Sweep,
}

impl Step {
    /// How large a payload must be for its event to come to it.
    pub(super) fn size(self) -> Size {
        match self {
            Self::KeepPayload | Self::LoadPayload | Self::RenewPayload => Size::OfAnObject,
            Self::Detach => Size::OfAnItem,
            _ => Size::Usual,
        }
    }

    /// Whether it comes of a route to a target outside of the inbox.
    pub(super) fn is_of_targets(self) -> bool {
        matches!(
            self,
            Self::Detach
                | Self::Publish
                | Self::Invoke
                | Self::Enqueue
                | Self::Announce
                | Self::FetchForwardSecret
        )
    }

    /// Whether the SDK repeats the call.
    pub(super) fn is_repeated(self) -> bool {
        // A batch does not wait for the marks for so long.
        !matches!(self, Self::Invoke | Self::ReadMarks)
    }

    /// Whether nothing is read of the answer but its status. The SDK takes SNS's XML as
    /// far as it goes.
    pub(super) fn has_no_answer(self) -> bool {
        matches!(
            self,
            Self::ConnectPayloads
                | Self::KeepPayload
                | Self::RenewPayload
                | Self::Detach
                | Self::Announce
        )
    }
}

/// Resources are told apart by the ends of the names that a test bed gives them.
impl Step {
    /// The step that a function's call belongs to; none when nobody has thought of it.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let body = call.json();
        let is = |value: &Value, text: &str| value.as_str() == Some(text);
        let ends = |value: &Value, end: &str| value.as_str().is_some_and(|it| it.ends_with(end));
        let step = match (call.service.as_str(), call.operation.as_str()) {
            ("secretsmanager", "GetSecretValue") if call.function.starts_with("processor") => {
                Self::FetchForwardSecret
            }
            ("secretsmanager", "GetSecretValue") => Self::FetchSecret,
            ("s3", "DeleteObject") => Self::ConnectPayloads,
            ("s3", "PutObject") if call.function.starts_with("processor") => Self::Detach,
            ("s3", "PutObject") => Self::KeepPayload,
            ("s3", "GetObject") => Self::LoadPayload,
            ("s3", "CopyObject") => Self::RenewPayload,
            ("sqs", "GetQueueAttributes") if is(&body["AttributeNames"][0], "QueueArn") => {
                Self::ConnectQueue
            }
            ("sqs", "GetQueueAttributes") => Self::Depth,
            ("sqs", "ChangeMessageVisibility") => Self::Hide,
            ("sqs", "SendMessage") if ends(&body["QueueUrl"], "-dlq") => Self::SendDead,
            ("sqs", "SendMessage") if ends(&body["QueueUrl"], "-lane") => Self::SendOn,
            ("sqs", "SendMessage") if ends(&body["QueueUrl"], "-target") => Self::Enqueue,
            ("sqs", "SendMessage") => Self::Send,
            ("events", "PutEvents") => Self::Publish,
            ("lambda", "Invoke") => Self::Invoke,
            ("sns", "Publish") => Self::Announce,
            ("dynamodb", "Query") => Self::Due,
            ("dynamodb", "PutItem") if ends(&body["TableName"], "-mirror") => Self::Mirror,
            ("dynamodb", "PutItem") if is(&body["Item"]["pk"]["S"], WARM_UP) => Self::ConnectLedger,
            ("dynamodb", "PutItem") => Self::Claim,
            // The processor notes its routes by the call that opens its connection.
            ("dynamodb", "UpdateItem")
                if [WARM_UP, ROUTES].iter().any(|key| is(&body["Key"]["pk"]["S"], key)) =>
            {
                Self::ConnectLedger
            }
            ("dynamodb", "GetItem") => Self::ReadMarks,
            ("dynamodb", "UpdateItem") if is(&body["Key"]["pk"]["S"], MARKS) => Self::Mark,
            ("dynamodb", "UpdateItem") => return Self::of_update(&body),
            _ => return None,
        };
        Some(step)
    }

    /// An update of the ledger is told by what it sets.
    fn of_update(body: &Value) -> Option<Self> {
        let sets = body["UpdateExpression"].as_str()?;
        let signs = [
            ("#attempts + :one", Self::Begin),
            ("#handlers.#route = ", Self::Complete),
            ("#state = :failing", Self::Fail),
            ("#state = :dead", Self::Bury),
            ("#state = :received", Self::Reopen),
            ("#state = :done", Self::Finish),
            ("#sweeps = :sweeps", Self::Sweep),
            // The others that write failures have been told by their state.
            ("#failures = :failures", Self::Defer),
        ];
        signs.into_iter().find(|(sign, _)| sets.contains(sign)).map(|(_, step)| step)
    }
}
