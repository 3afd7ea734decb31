//! Under which keys the functions of a test's own bed run.
//!
//! A function that is started by hand says by its environment what it is: `TABLE_NAME`
//! names the bed, `SOURCE` makes it a receiver, `DLQ_URL` the processor. From that follow
//! the module's variables, and from those its role: the test has to do nothing for it.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_dynamodb::config::Credentials;
use serde_json::Value;

use crate::access::AccessKey;
use crate::emulator::{ACCOUNT_ID, REGION};
use crate::iam::Iam;
use crate::permissions::{Inbox, Permissions, Role, Source};
use crate::{LocalError, testbed};

/// The emulators of this process's beds, by the beds' names.
static BEDS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
/// Sessions that were made, by role; a role's name tells its policies apart.
static SESSIONS: LazyLock<tokio::sync::Mutex<BTreeMap<String, AccessKey>>> =
    LazyLock::new(tokio::sync::Mutex::default);

/// From now on functions in whose environment this table stands get a role.
pub(crate) fn register(bed: &str, endpoint_url: &str) {
    let mut beds = BEDS.lock().unwrap_or_else(PoisonError::into_inner);
    beds.insert(bed.to_owned(), endpoint_url.to_owned());
}

fn emulator_of(bed: &str) -> Option<String> {
    BEDS.lock().unwrap_or_else(PoisonError::into_inner).get(bed).cloned()
}

/// The key of a function with this environment, in its bed's emulator. None
/// where it is no function of a bed.
pub(crate) async fn of_function(
    environment: &BTreeMap<String, String>,
) -> Result<Option<AccessKey>, LocalError> {
    let given = |name: &str| environment.get(name).map_or("", String::as_str);
    let name = given("TABLE_NAME").to_owned();
    if emulator_of(&name).is_none() {
        return Ok(None);
    }
    let mut inbox = Inbox { name, ..Inbox::default() };
    let function = if environment.contains_key("SOURCE") {
        let (source, secret) = (given("SOURCE"), given("SECRET_ID"));
        let grant =
            Source { provider: given("PROVIDER").to_owned(), secret_arn: Some(secret_arn(secret)) };
        inbox.sources.insert(source.to_owned(), grant);
        format!("receiver-{source}")
    } else if environment.contains_key("DLQ_URL") {
        inbox.routes = serde_json::from_str(given("ROUTES")).unwrap_or(Value::Null);
        "processor".to_owned()
    } else {
        "sweeper".to_owned()
    };
    of(&inbox, &function).await.map(Some)
}

/// The ARN of a secret that a test has made: any six characters end it.
pub(crate) fn secret_arn(id: &str) -> String {
    if id.starts_with("arn:") {
        return id.to_owned();
    }
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:{id}-??????")
}

/// The key of one of an inbox's functions.
async fn of(inbox: &Inbox, function: &str) -> Result<AccessKey, LocalError> {
    let mut role = Permissions::of(inbox)?.role(function)?.clone();
    // A test may start a function again with other routes while the first one runs.
    role.name = format!("{}-{:08x}", role.name, fingerprint(&role));
    let mut sessions = SESSIONS.lock().await;
    if let Some(key) = sessions.get(&role.name) {
        return Ok(key.clone());
    }
    let iam = match emulator_of(&inbox.name) {
        Some(endpoint_url) => Iam::new(&endpoint_url),
        None => Iam::new(testbed::shared_emulator().await?.endpoint_url()),
    };
    iam.create_role(&role).await?;
    let key = iam.session(&role.name, function).await?;
    sessions.insert(role.name, key.clone());
    Ok(key)
}

/// Short, since roles' names end at 64 characters.
fn fingerprint(role: &Role) -> u32 {
    let mut hasher = DefaultHasher::new();
    role.policies.iter().for_each(|it| it.document.to_string().hash(&mut hasher));
    #[expect(clippy::cast_possible_truncation, reason = "half of it is enough")]
    let short = hasher.finish() as u32;
    short
}

/// SDK configuration of code that runs in the test's own process in the place of a
/// function; the role is made when the first call is.
#[must_use]
pub(crate) fn sdk_config(endpoint_url: &str, inbox: Inbox, function: &str) -> SdkConfig {
    let provider = OfFunction { inbox, function: function.to_owned() };
    let config = AccessKey::root().sdk_config(endpoint_url).to_builder();
    config.credentials_provider(SharedCredentialsProvider::new(provider)).build()
}

struct OfFunction {
    inbox: Inbox,
    function: String,
}

impl fmt::Debug for OfFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.function, self.inbox.name)
    }
}

impl ProvideCredentials for OfFunction {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let key =
                of(&self.inbox, &self.function).await.map_err(CredentialsError::not_loaded)?;
            let AccessKey { access_key_id, secret_access_key, session_token } = key;
            Ok(Credentials::new(access_key_id, secret_access_key, session_token, None, "role"))
        })
    }
}
