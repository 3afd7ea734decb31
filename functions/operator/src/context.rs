//! What every command works with: the deployment's names, AWS, the console, and
//! who is asking.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use inbox_aws::{AwsClock, DynamoDbLedger, Limits, S3PayloadStore, SqsQueue};
use inbox_core::Timestamp;
use inbox_core::stack::stack;
use tokio::sync::OnceCell;

use crate::console::{Colour, Console};
use crate::deployment::{AccessKey, Deployment};
use crate::fault::Fault;

/// A lease outlasts the run that holds it by ten seconds (`lease_margin_seconds` of
/// `infra/stack.json`). Of these, half may be doubt about the time; the other half is for
/// the functions' doubt and for how much the clocks of AWS's services differ.
const DOUBT_MAX: Duration = Duration::from_secs(5);

/// Options that every command takes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct CommonArgs {
    /// Names of the deployment's resources: .local/stack.json of `make run`, or the output of
    /// `terraform output -json`
    #[arg(long, env = "INBOX_STACK", value_name = "FILE", global = true,
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub stack: Option<PathBuf>,
    /// AWS profile, as in ~/.aws/config
    #[arg(long, value_name = "NAME", global = true)]
    pub profile: Option<String>,
    /// AWS region; wins over the stack file's
    #[arg(long, value_name = "NAME", global = true)]
    pub region: Option<String>,
    /// Print JSON for machines instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true)]
    pub color: Colour,
}

/// What a command works with. AWS is configured when it is first needed: half of
/// the commands can do without.
#[derive(Debug)]
pub struct Context {
    /// Where results go.
    pub console: Console,
    /// Names of things.
    pub deployment: Deployment,
    /// Who is asking, for the history: `INBOX_ACTOR`, or the user's name here.
    pub actor: String,
    /// The time as AWS has it, once it has answered.
    pub clock: AwsClock,
    profile: Option<String>,
    region: Option<String>,
    aws: OnceCell<SdkConfig>,
}

impl Context {
    /// Reads the deployment's names. Where none are needed, `INBOX_STACK` may name
    /// a stack that is no more.
    ///
    /// # Errors
    ///
    /// The stack file is missing or of another form.
    pub fn new(common: &CommonArgs, console: Console, needs_names: bool) -> Result<Self, Fault> {
        let environment = |name: &str| std::env::var(name).ok();
        // As with every variable, empty means unset.
        let stack = common.stack.as_deref().filter(|file| !file.as_os_str().is_empty());
        let deployment = match Deployment::load(stack, environment) {
            Err(_) if !needs_names => Deployment::default(),
            loaded => loaded?,
        };
        let actor = ["INBOX_ACTOR", "USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| environment(name).filter(|value| !value.is_empty()))
            .unwrap_or_else(|| "unknown".to_owned());
        Ok(Self {
            console,
            deployment,
            actor,
            clock: AwsClock::new(Timestamp::now),
            profile: common.profile.clone(),
            region: common.region.clone(),
            aws: OnceCell::new(),
        })
    }

    /// AWS, as the environment, the profile and the stack file say.
    ///
    /// # Errors
    ///
    /// No region is configured.
    pub async fn aws(&self) -> Result<&SdkConfig, Fault> {
        let aws = self.aws.get_or_init(|| self.load_aws()).await;
        if aws.region().is_none() {
            return Err(Fault::usage(
                "no AWS region is configured",
                "give --region, set AWS_REGION, or give a --stack file that names one",
            ));
        }
        Ok(aws)
    }

    async fn load_aws(&self) -> SdkConfig {
        let mut loader = inbox_aws::config_loader(Limits::OPERATOR, &self.clock);
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        // The file names where its resources are; only an argument knows better.
        if let Some(region) = self.region.as_ref().or(self.deployment.region.as_ref()) {
            loader = loader.region(Region::new(region.clone()));
        }
        // A local stack has keys of its own, and must not be sent real ones.
        if let Some(url) = &self.deployment.endpoint_url {
            loader = loader.endpoint_url(url);
            loader = match &self.deployment.operator {
                Some(AccessKey { access_key_id, secret_access_key }) => loader
                    .credentials_provider(Credentials::new(
                        access_key_id,
                        secret_access_key,
                        None,
                        None,
                        "stack file",
                    )),
                None => loader.test_credentials(),
            };
        }
        loader.load().await
    }

    /// Whether it is a local stack that is spoken to.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.deployment.endpoint_url.is_some()
    }

    /// Which version of a function is spoken of: the one that is called. The local stack's
    /// functions have no other.
    #[must_use]
    pub fn function_alias(&self) -> Option<String> {
        (!self.is_local()).then(|| stack().function_alias.clone())
    }

    /// The time: AWS's, as far as its answers told it, else this machine's.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time by which leases are judged. Read the event first: that answer tells it.
    ///
    /// # Errors
    ///
    /// AWS's time is not known to within [`DOUBT_MAX`]: a run that is under way could be
    /// taken for one that is over, and its event be run twice at once.
    pub fn now_for_leases(&self) -> Result<Timestamp, Fault> {
        let advice = "whether the event is being run now is judged by AWS's time: try again on a \
                      better line; `inbox doctor` says how this machine's clock stands to AWS's";
        let Some(difference) = self.clock.difference() else {
            return Err(Fault::refused("AWS's answers do not name the time (header Date)", advice));
        };
        let doubt = difference.doubt();
        if doubt > DOUBT_MAX {
            let problem = format!(
                "AWS's time is only known to within {:.1} s, for its answers are slow, and {} s is \
                 the most that is safe; nothing was changed",
                doubt.as_secs_f64(),
                DOUBT_MAX.as_secs(),
            );
            return Err(Fault::refused(problem, advice));
        }
        Ok(self.now())
    }

    /// The ledger.
    ///
    /// # Errors
    ///
    /// Its table's name or the region is not known.
    pub async fn ledger(&self) -> Result<DynamoDbLedger, Fault> {
        let table = self.deployment.table()?.to_owned();
        let aws = self.aws().await?;
        let bucket = self.deployment.payload_bucket.clone();
        let payloads = bucket.map(|bucket| S3PayloadStore::new(aws, bucket));
        Ok(DynamoDbLedger::new(aws, table).with_payloads(payloads))
    }

    /// The queue of events, to send to.
    ///
    /// # Errors
    ///
    /// Its address or the region is not known.
    pub async fn queue(&self) -> Result<SqsQueue, Fault> {
        let url = self.deployment.queue_url()?.to_owned();
        Ok(SqsQueue::new(self.aws().await?, url))
    }
}
