//! What a local stack is made of; the defaults are those of `make run`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{LocalError, paths};

/// One source: a route, a secret, a function.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Its name, and the last segment of its route.
    pub name: String,
    /// Which scheme verifies it.
    pub provider: String,
    /// Signing secrets, newest first.
    pub secrets: Vec<String>,
    /// Fields of the secret's value besides `signing_secrets`.
    pub secret_fields: BTreeMap<String, Value>,
    /// Its receiver's environment besides the usual; wins over it.
    pub environment: BTreeMap<String, String>,
}

impl SourceOptions {
    /// A source with one secret and nothing special.
    #[must_use]
    pub fn new(name: &str, provider: &str, secret: &str) -> Self {
        Self {
            name: name.to_owned(),
            provider: provider.to_owned(),
            secrets: vec![secret.to_owned()],
            secret_fields: BTreeMap::new(),
            environment: BTreeMap::new(),
        }
    }

    /// The value that Secrets Manager keeps for it.
    #[must_use]
    pub fn secret_value(&self) -> Value {
        let mut value = json!({ "signing_secrets": self.secrets });
        for (name, field) in &self.secret_fields {
            value[name] = field.clone();
        }
        value
    }
}

/// The binaries that serve as functions.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// Answers providers.
    pub receiver: PathBuf,
    /// Runs handlers.
    pub processor: PathBuf,
    /// Sends what is due.
    pub sweeper: PathBuf,
}

impl Binaries {
    /// Those built with the running program's profile.
    pub fn locate() -> Result<Self, LocalError> {
        Ok(Self {
            receiver: paths::binary("receiver")?,
            processor: paths::binary("processor")?,
            sweeper: paths::binary("sweeper")?,
        })
    }
}

/// A local stack. Two of them run side by side when port and directory differ.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The front door's port; 0 takes a free one.
    pub port: u16,
    /// Logs and the emulator's files.
    pub directory: PathBuf,
    /// Where the facts for other programs are written; removed at the end.
    pub facts_file: Option<PathBuf>,
    /// The functions' binaries; none takes those of the running program's profile.
    pub binaries: Option<Binaries>,
    /// The endpoints. Several may share a provider.
    pub sources: Vec<SourceOptions>,
    /// The processor's routes.
    pub routes: Value,
    /// Backoff of a handler that asks for a retry.
    pub retry_delays_seconds: Vec<u64>,
    /// Longer delays are parked in the ledger.
    pub park_above_seconds: u64,
    /// How long after its time an event waits for the sweeper.
    pub sweep_grace_seconds: u64,
    /// A handler's time limit.
    pub handler_timeout_seconds: u64,
    /// How often the sweeper runs; none leaves it to the caller.
    pub sweep_interval: Option<Duration>,
    /// The queue's visibility timeout; none takes the shared fact.
    pub visibility_timeout_seconds: Option<u32>,
    /// The queue's receive count; none takes the shared fact.
    pub max_receive_count: Option<u32>,
    /// Processes of the processor at once.
    pub processor_concurrency: u32,
    /// The processor's environment besides the usual; wins over it.
    pub processor_environment: BTreeMap<String, String>,
    /// The sweeper's environment besides the usual; wins over it.
    pub sweeper_environment: BTreeMap<String, String>,
    /// Puts a recording proxy between the functions and the emulator.
    pub watch_functions: bool,
    /// Fails, when it ends, if a function has written something of a payload, a
    /// secret or a signature. Somebody's own handlers may write what they like.
    pub watch_logs: bool,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            port: 0,
            directory: paths::local_directory().join("run"),
            facts_file: None,
            binaries: None,
            sources: default_sources(random_bytes),
            routes: json!([{ "id": "mirror", "match": "*:*", "handler": "mirror" }]),
            retry_delays_seconds: vec![1, 2, 4, 8],
            // So that both ways of waiting happen: by visibility and parked.
            park_above_seconds: 2,
            sweep_grace_seconds: 5,
            handler_timeout_seconds: 10,
            sweep_interval: Some(Duration::from_secs(2)),
            visibility_timeout_seconds: None,
            max_receive_count: None,
            // A process each; a laptop gains nothing from the 50 of the cloud.
            processor_concurrency: 4,
            processor_environment: BTreeMap::new(),
            sweeper_environment: BTreeMap::new(),
            watch_functions: false,
            watch_logs: true,
        }
    }
}

/// One source for each provider, with a secret in the provider's own form. Each run has
/// secrets of its own, so that what is signed for one copy of the stack is refused by
/// another that happens to listen where it is posted to.
pub fn default_sources(mut random: impl FnMut() -> [u8; 16]) -> Vec<SourceOptions> {
    let stripe = format!("whsec_{}", hex::encode(random()));
    let (github, twilio) = (hex::encode(random()), hex::encode(random()));
    // Standard Webhooks asks for 24 to 64 bytes.
    let standard = format!("whsec_{}", STANDARD.encode([random(), random()].concat()));
    vec![
        SourceOptions::new("stripe", "stripe", &stripe),
        SourceOptions::new("github", "github", &github),
        SourceOptions::new("twilio", "twilio", &twilio),
        SourceOptions::new("standard_webhooks", "standard_webhooks", &standard),
    ]
}

/// 16 bytes that nobody can guess but for the six bits that mark a UUID.
#[must_use]
pub fn random_bytes() -> [u8; 16] {
    uuid::Uuid::new_v4().into_bytes()
}

#[cfg(test)]
mod tests {
    use inbox_core::secrets::Secret;

    use super::*;

    #[test]
    fn no_two_runs_share_a_secret_and_each_is_one_that_its_provider_takes() {
        let secrets = || -> Vec<(String, String)> {
            let sources = default_sources(random_bytes).into_iter();
            sources.map(|it| (it.provider, it.secrets[0].clone())).collect()
        };
        let (one, other) = (secrets(), secrets());
        for ((provider, mine), (_, theirs)) in one.iter().zip(&other) {
            assert_ne!(mine, theirs, "{provider}: a request signed for one copy passes at another");
            let known = inbox_receiver::providers::find(provider).unwrap();
            assert_eq!(known.check_secret(&Secret::new(mine.clone())), Ok(()), "{provider}");
        }
    }

    #[test]
    fn a_secret_has_its_signing_secrets_and_what_the_provider_needs_besides() {
        let mut source = SourceOptions::new("stripe_eu", "stripe", "new");
        source.secrets.push("old".to_owned());
        source.secret_fields.insert("notification_url".to_owned(), json!("https://a"));
        assert_eq!(
            source.secret_value(),
            json!({ "signing_secrets": ["new", "old"], "notification_url": "https://a" })
        );
    }
}
