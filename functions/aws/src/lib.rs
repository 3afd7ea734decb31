//! The inbox on AWS: `DynamoDB` ledger, S3 for large payloads, SQS queue, Secrets
//! Manager.
//!
//! Nothing here decides: conditions and their meaning come from
//! [`inbox_core::ledger`]. What is here is how they are said to AWS, and how
//! long AWS may take to answer.

mod browse;
mod claim;
mod clients;
mod clock;
mod compression;
mod dead_letters;
mod deferral;
mod due;
mod error;
mod expiry;
mod item;
pub mod lambda;
mod ledger;
mod marks;
mod move_tasks;
mod payloads;
mod queue;
mod route_history;
mod secret_versions;
mod secrets;
mod steering;
mod update;

pub use aws_config::SdkConfig;
pub use browse::{Arrival, Cursor, OpenKind, Page, Summary, TimelinePartition};
pub use clients::{Limits, config_loader, sdk_config};
pub use clock::{AwsClock, Difference};
pub use dead_letters::{DeadLetterQueue, Depth, LETTERS_AT_ONCE, Purge, ReceivedLetter};
pub use error::describe;
pub use ledger::DynamoDbLedger;
pub use move_tasks::{MOVES_PER_SECOND, MoveError, MoveStatus, MoveTask, MoveTasks};
pub use payloads::{DETACHED_BYTES_MIN, S3PayloadStore, may_lie_in_bucket};
pub use queue::SqsQueue;
pub use route_history::FormerRoutes;
pub use secret_versions::{
    Replaced, SecretVersion, SecretVersions, SecretVersionsError, StoredSecret,
};
pub use secrets::SecretsManagerSecrets;
