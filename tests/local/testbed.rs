//! Tables and queues of a test's own, in one of two emulators that the tests share.
//!
//! An emulator is one process that computes on one core, and what is waited for in most
//! tests: two use both cores of a small machine. They are started by the first tests that
//! ask and end with the test binary, since they read this process's end of a pipe. Starting
//! one takes 1.5 s, making a bed some 30 ms.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::OnceCell;

use crate::access::AccessKey;
use crate::emulator::{Emulator, REGION};
use crate::iam::Iam;
use crate::permissions::{Inbox, Permissions, Policy, Source};
use crate::resources::{self, QueueOverrides};
use crate::{LocalError, enforcement, parts, paths, private, sessions};
use inbox_aws::{DynamoDbLedger, S3PayloadStore};
use inbox_core::stack::{Stack, stack};

/// Directories of earlier runs are kept this long: the log of a failure is there.
const KEPT_FOR: Duration = Duration::from_hours(1);

static EMULATORS: [OnceCell<Emulator>; 2] = [const { OnceCell::const_new() }; 2];
/// Counts beds, which take turns.
static BEDS: AtomicUsize = AtomicUsize::new(0);

/// An emulator that this process's tests share, for those that need no bed or several in
/// the same.
pub async fn shared_emulator() -> Result<&'static Emulator, LocalError> {
    emulator(0).await
}

async fn emulator(n: usize) -> Result<&'static Emulator, LocalError> {
    EMULATORS[n]
        .get_or_try_init(|| async {
            let all = paths::local_directory().join("tests");
            remove_old(&all);
            let name = if n == 0 { "emulator" } else { "emulator-2" };
            Emulator::start(&all.join(std::process::id().to_string()).join(name)).await
        })
        .await
}

fn remove_old(directory: &Path) {
    let is_old = |path: &PathBuf| {
        let modified = std::fs::metadata(path).and_then(|data| data.modified());
        modified.is_ok_and(|time| {
            SystemTime::now().duration_since(time).is_ok_and(|age| age > KEPT_FOR)
        })
    };
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_old(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A directory for one test's files, under `.local/tests/{process}/{name}`.
pub fn directory(name: &str) -> Result<PathBuf, LocalError> {
    let path =
        paths::local_directory().join("tests").join(std::process::id().to_string()).join(name);
    private::create_directory(&path)?;
    Ok(path)
}

/// One test's own resources.
#[derive(Debug, Clone)]
pub struct TestBed {
    /// Where AWS clients send their calls.
    pub endpoint_url: String,
    /// The region of everything.
    pub region: &'static str,
    /// The ledger's table.
    pub table: String,
    /// The table of the `mirror` handler.
    pub mirror_table: String,
    /// The bucket for payloads that are too large for the table.
    pub payload_bucket: String,
    /// The queue of events; nothing consumes it but the test.
    pub queue_url: String,
    /// The queue of slow routes.
    pub lane_url: String,
    /// Its dead-letter queue.
    pub dlq_url: String,
    /// The shared facts everything was made from.
    pub facts: Stack,
}

impl TestBed {
    /// New tables and queues with names of their own.
    pub async fn new() -> Result<Self, LocalError> {
        Self::with(QueueOverrides::default()).await
    }

    /// The same with a quicker queue.
    pub async fn with(overrides: QueueOverrides) -> Result<Self, LocalError> {
        let turn = BEDS.fetch_add(1, Ordering::Relaxed) % EMULATORS.len();
        Self::on(emulator(turn).await?, overrides).await
    }

    /// The same in a certain emulator.
    pub async fn on(emulator: &Emulator, overrides: QueueOverrides) -> Result<Self, LocalError> {
        let endpoint_url = emulator.endpoint_url().to_owned();
        let facts = stack().clone();
        let config = resources::sdk_config(&endpoint_url);
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        let sqs = aws_sdk_sqs::Client::new(&config);
        // Roles' names end at 64 characters, buckets' at 63: half of the digits is enough.
        let digits = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("test-{}", &digits[..16]);
        let mirror_table = format!("{name}-mirror");
        resources::create_ledger_table(&dynamodb, &facts, &name).await?;
        resources::create_mirror_table(&dynamodb, &facts, &mirror_table).await?;
        let s3 = aws_sdk_s3::Client::new(&config);
        let payload_bucket = parts::payload_bucket(&name);
        resources::create_payload_bucket(&s3, &payload_bucket).await?;
        let queues =
            resources::create_queues(&sqs, &facts, &format!("{name}-events"), overrides).await?;
        let inbox = Inbox { name: name.clone(), ..Inbox::default() };
        let permissions = Permissions::of(&inbox)?;
        enforcement::put_resource_policies(&config, &permissions).await?;
        sessions::register(&name, &endpoint_url);
        Ok(Self {
            endpoint_url,
            region: REGION,
            table: name,
            payload_bucket,
            mirror_table,
            queue_url: queues.queue_url,
            lane_url: queues.lane_url,
            dlq_url: queues.dlq_url,
            facts,
        })
    }

    /// SDK configuration that goes straight to the emulator, as root: to make things and
    /// to look at them.
    #[must_use]
    pub fn sdk_config(&self) -> aws_config::SdkConfig {
        resources::sdk_config(&self.endpoint_url)
    }

    /// SDK configuration of code that stands in for one of the functions: `processor`,
    /// `sweeper`, `receiver-stripe`. It may do what the module allows that function,
    /// where the inbox has these sources, by their providers, and these routes.
    #[must_use]
    pub fn sdk_config_of(
        &self,
        function: &str,
        sources: &[(&str, &str)],
        routes: &serde_json::Value,
        endpoint_url: &str,
    ) -> aws_config::SdkConfig {
        let mut inbox =
            Inbox { name: self.table.clone(), routes: routes.clone(), ..Inbox::default() };
        for (source, provider) in sources {
            let source_of = Source { provider: (*provider).to_owned(), secret_arn: None };
            inbox.sources.insert((*source).to_owned(), source_of);
        }
        sessions::sdk_config(endpoint_url, inbox, function)
    }

    /// A role for a function of the test's own, which may do nothing; its ARN.
    pub async fn create_bare_role(&self, name: &str) -> Result<String, LocalError> {
        let name = format!("{}-{name}", self.table);
        Iam::new(&self.endpoint_url).create_bare_role(&name).await
    }

    /// A user who has the module's operator policies, where these are the sources, with
    /// the names of their secrets, and these the routes.
    pub async fn create_operator(
        &self,
        sources: &[(&str, &str)],
        routes: &serde_json::Value,
    ) -> Result<AccessKey, LocalError> {
        let policies = self.operator_policies(sources, routes)?;
        Iam::new(&self.endpoint_url).create_user(&self.operator(), &policies).await
    }

    /// Gives that user the policies that follow from other sources and routes.
    pub async fn update_operator(
        &self,
        sources: &[(&str, &str)],
        routes: &serde_json::Value,
    ) -> Result<(), LocalError> {
        let iam = Iam::new(&self.endpoint_url);
        for policy in self.operator_policies(sources, routes)? {
            iam.put_user_policy(&self.operator(), &policy).await?;
        }
        Ok(())
    }

    fn operator(&self) -> String {
        format!("{}-operator", self.table)
    }

    fn operator_policies(
        &self,
        sources: &[(&str, &str)],
        routes: &serde_json::Value,
    ) -> Result<Vec<Policy>, LocalError> {
        let source = |(name, secret_id): &(&str, &str)| {
            let secret_arn = Some(sessions::secret_arn(secret_id));
            ((*name).to_owned(), Source { provider: (*name).to_owned(), secret_arn })
        };
        let inbox = Inbox {
            name: self.table.clone(),
            sources: sources.iter().map(source).collect(),
            routes: routes.clone(),
        };
        Ok(Permissions::of(&inbox)?.operator)
    }

    /// The ledger, with a place for large payloads.
    #[must_use]
    pub fn ledger(&self) -> DynamoDbLedger {
        let aws = self.sdk_config();
        let payloads = S3PayloadStore::new(&aws, self.payload_bucket.clone());
        DynamoDbLedger::new(&aws, self.table.clone()).with_payloads(Some(payloads))
    }

    /// A `DynamoDB` client.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk_config())
    }

    /// An S3 client.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::new(&self.sdk_config())
    }

    /// An SQS client.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.sdk_config())
    }

    /// A Secrets Manager client.
    #[must_use]
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.sdk_config())
    }

    /// Lets the user of [`TestBed::create_operator`] do more than the module does: what a
    /// team allows its people for things of its own.
    pub async fn allow_operator(&self, action: &str, resource: &str) -> Result<(), LocalError> {
        let document = serde_json::json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": action, "Resource": resource },
        ] });
        let policy = Policy { name: format!("own-{}", uuid::Uuid::new_v4().simple()), document };
        Iam::new(&self.endpoint_url).put_user_policy(&self.operator(), &policy).await
    }

    /// Makes a secret of this inbox with a name of its own and returns its id.
    pub async fn create_secret(&self, value: &serde_json::Value) -> Result<String, LocalError> {
        let id = format!("{}/{}", self.table, uuid::Uuid::new_v4().simple());
        resources::create_secret(&self.secrets(), &id, value).await?;
        Ok(id)
    }
}

#[cfg(test)]
#[path = "testbed_tests.rs"]
mod tests;
