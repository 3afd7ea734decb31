//! Signing secrets: their shape, and how long a fetched one may serve.
//!
//! ```text
//! 0 ───── 5 min ────────────────────────── 60 min
//! serve   fetch; while that fails, serve   refuse: 503
//! ```
//!
//! A request that is well formed and fresh but matches no secret may have been
//! signed with one that was added a moment ago, so it triggers one re-fetch, at
//! most every 30 seconds: anybody can send such requests. Rotation therefore
//! needs no deployment: add the new secret first, retire the old one later.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::Timestamp;
use crate::provider::Provider;

pub mod strength;

/// How long a fetched bundle serves without another look.
pub const CACHE_FOR: Duration = Duration::from_mins(5);
/// How long a bundle may serve while it cannot be fetched again.
pub const SERVE_STALE_FOR: Duration = Duration::from_hours(1);
/// The least time between two fetches while there is nothing to serve.
pub const RETRY_EMPTY_EVERY: Duration = Duration::from_secs(5);
/// The least time between two fetches that a caller asks for.
pub const REFETCH_EVERY: Duration = Duration::from_secs(30);

/// A secret that a provider signs with, or another value that must not be seen.
/// Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text as it is: white space counts.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret in clear. Never log, store or return it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// All that one source keeps secret.
///
/// In Secrets Manager it is JSON: `{"signing_secrets":["new","old"]}`, plus
/// what a provider's file asks for besides, as text. A value that is no JSON is one
/// signing secret.
#[derive(Clone, Debug, Deserialize)]
pub struct SecretBundle {
    signing_secrets: Vec<Secret>,
    #[serde(flatten)]
    others: BTreeMap<String, Secret>,
}

impl SecretBundle {
    /// Reads the JSON form, or a plain text, which is one signing secret.
    ///
    /// # Errors
    ///
    /// Says what is wrong without quoting any of the text.
    pub fn parse(json: &str) -> Result<Self, SecretFault> {
        if let Some(text) = plain_text(json) {
            return Self::of(vec![Secret::new(text.to_owned())]);
        }
        // serde_json's own message may quote the value, which is the secret.
        let bundle: Self = serde_json::from_str(json).map_err(|_| SecretFault::NotABundle)?;
        bundle.filled()
    }

    /// These secrets, and no other values.
    ///
    /// # Errors
    ///
    /// There is none, or an empty one.
    pub fn of(signing_secrets: Vec<Secret>) -> Result<Self, SecretFault> {
        Self { signing_secrets, others: BTreeMap::new() }.filled()
    }

    /// These secrets in place of its own, with the same other values.
    ///
    /// # Errors
    ///
    /// There is none, or an empty one.
    pub fn with_signing_secrets(&self, signing_secrets: Vec<Secret>) -> Result<Self, SecretFault> {
        Self { signing_secrets, others: self.others.clone() }.filled()
    }

    /// Neither is there nothing to try, nor a secret that lets anybody sign.
    fn filled(self) -> Result<Self, SecretFault> {
        if self.signing_secrets.is_empty() {
            return Err(SecretFault::None);
        }
        match self.signing_secrets.iter().position(|secret| secret.expose().is_empty()) {
            Some(index) => Err(SecretFault::Empty { index }),
            None => Ok(self),
        }
    }

    /// The secrets to try, newest first as stored. Never empty, and none of
    /// them is the empty text.
    #[must_use]
    pub fn signing_secrets(&self) -> &[Secret] {
        &self.signing_secrets
    }

    /// Leaves out what cannot be a signing secret of this provider, so that one
    /// wrong entry does not spoil a good one, and says so in the log.
    ///
    /// # Errors
    ///
    /// The first fault, when nothing is left.
    pub fn checked(self, provider: &dyn Provider) -> Result<Self, SecretFault> {
        self.checked_by(|secret| provider.check_secret(secret))
    }

    /// The same by whatever `check` says of a secret.
    ///
    /// # Errors
    ///
    /// The first fault, when nothing is left.
    pub fn checked_by(
        mut self,
        check: impl Fn(&Secret) -> Result<(), &'static str>,
    ) -> Result<Self, SecretFault> {
        let mut first_fault = None;
        let mut index = 0;
        self.signing_secrets.retain(|secret| {
            let fault = check(secret).err();
            if let Some(reason) = fault {
                let fault = SecretFault::WrongKind { index, reason };
                tracing::error!(%fault, "a signing secret is left out");
                first_fault.get_or_insert(fault);
            }
            index += 1;
            fault.is_none()
        });
        match first_fault {
            Some(fault) if self.signing_secrets.is_empty() => Err(fault),
            _ => Ok(self),
        }
    }

    /// A further value that a provider's scheme needs, such as `verify_token`.
    #[must_use]
    pub fn other(&self, name: &str) -> Option<&Secret> {
        self.others.get(name)
    }
}

/// The signing secret, where the stored value is no JSON: put by the console, the AWS
/// CLI or Terraform as it is. A line end behind it is none of its own. What looks like
/// JSON with a slip in it, or has several lines, is no secret.
#[must_use]
pub fn plain_text(stored: &str) -> Option<&str> {
    let text = stored.strip_suffix('\n').unwrap_or(stored);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let looks_like_json = text.trim_start().starts_with(['{', '[', '"']);
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let is_line = !text.trim().is_empty() && !text.contains(char::is_control);
    (is_line && !looks_like_json && !is_json()).then_some(text)
}

/// What is wrong with a stored bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// JSON, or nearly, but not of the documented shape.
    #[error(
        "the secret's value must be JSON of the form {{\"signing_secrets\":[\"…\"]}}, all values text, \
         or one signing secret as it is"
    )]
    NotABundle,
    /// The list is empty.
    #[error("signing_secrets is empty: add at least one secret")]
    None,
    /// One entry is the empty text, which would let anybody sign.
    #[error("signing_secrets[{index}] is empty: remove it or set it")]
    Empty {
        /// Position in the list, from 0.
        index: usize,
    },
    /// One entry cannot be a secret of this provider.
    #[error("signing_secrets[{index}] {reason}")]
    WrongKind {
        /// Position in the list, from 0.
        index: usize,
        /// What the provider's file says of it; never the value.
        reason: &'static str,
    },
}

/// Why there are no secrets to verify with.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretsError {
    /// The store did not answer in time or refused.
    #[error("secrets store unavailable: {0}")]
    Unavailable(String),
    /// The store answered, and the value is not usable.
    #[error("stored secret is unusable: {0}")]
    Unusable(#[from] SecretFault),
}

/// Where a source's secrets are kept.
pub trait Secrets: Send + Sync {
    /// Fetches the bundle from where it is kept, past any cache.
    fn fetch(&self) -> impl Future<Output = Result<SecretBundle, SecretsError>> + Send;
}

impl<S: Secrets> Secrets for Arc<S> {
    async fn fetch(&self) -> Result<SecretBundle, SecretsError> {
        self.as_ref().fetch().await
    }
}

/// Whether a secret can be one of its scheme; if not, what to do about it, without
/// quoting the value.
type Check = Box<dyn Fn(&Secret) -> Result<(), &'static str> + Send + Sync>;

/// A cache before [`Secrets`], by the times given at the top of this file.
pub struct SecretCache<S> {
    store: S,
    check: Check,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bundle: Option<Arc<SecretBundle>>,
    /// When `bundle` was fetched.
    fetched_at: Option<Timestamp>,
    /// When a fetch was last begun, whatever came of it.
    tried_at: Option<Timestamp>,
    /// How the last fetch failed, if it did.
    fault: Option<SecretsError>,
}

impl Held {
    /// The last fault, while it is too early to try again.
    fn recent_fault(&self, now: Timestamp) -> Option<SecretsError> {
        let waiting = now.since(self.tried_at?) < RETRY_EMPTY_EVERY;
        self.fault.clone().filter(|_| waiting)
    }
}

impl<S: Secrets> SecretCache<S> {
    /// An empty cache: the first use fetches. Secrets that cannot be of this
    /// provider are left out.
    pub fn new(store: S, provider: Arc<dyn Provider>) -> Self {
        Self::checked_by(store, move |secret| provider.check_secret(secret))
    }

    /// The same for who has no provider, such as a sender: secrets that `check` refuses
    /// are left out.
    pub fn checked_by(
        store: S,
        check: impl Fn(&Secret) -> Result<(), &'static str> + Send + Sync + 'static,
    ) -> Self {
        Self { store, check: Box::new(check), held: Mutex::default() }
    }

    /// The bundle to verify with now.
    ///
    /// # Errors
    ///
    /// The store's fault, when nothing fetched within the last hour is held.
    pub async fn current(&self, now: Timestamp) -> Result<Arc<SecretBundle>, SecretsError> {
        let held = self.held(|held| {
            let bundle = held.bundle.clone()?;
            let age = now.since(held.fetched_at?);
            let tried = held.tried_at.map(|at| now.since(at));
            Some((bundle, age, tried))
        });
        let Some((bundle, age, tried)) = held else {
            // Anybody can send requests; they must not become as many calls.
            return match self.held(|held| held.recent_fault(now)) {
                Some(fault) => Err(fault),
                None => self.fetch(now).await,
            };
        };
        // While the store is down, one request in 30 seconds pays for the
        // attempt; the others are served from what is held.
        let waiting = tried.is_some_and(|since| since < REFETCH_EVERY);
        if age < CACHE_FOR || (age < SERVE_STALE_FOR && waiting) {
            return Ok(bundle);
        }
        if age >= SERVE_STALE_FOR
            && let Some(fault) = self.held(|held| held.recent_fault(now))
        {
            return Err(fault);
        }
        match self.fetch(now).await {
            Ok(fetched) => Ok(fetched),
            Err(fault) if age < SERVE_STALE_FOR => {
                tracing::warn!(%fault, age_seconds = age.as_secs(), "serving cached secrets");
                Ok(bundle)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Fetches during init. A fault is told and forgotten: the first request may
    /// have better luck, and its provider may never send again.
    ///
    /// # Errors
    ///
    /// The store's fault, or what is wrong with the stored value.
    pub async fn warm_up(&self, now: Timestamp) -> Result<(), SecretsError> {
        let fetched = self.fetch(now).await;
        if fetched.is_err() {
            self.held(|held| (held.tried_at, held.fault) = (None, None));
        }
        fetched.map(drop)
    }

    /// Fetches again because a good request matched nothing; `None` when that
    /// was tried within the last 30 seconds, or failed.
    pub async fn refetch(&self, now: Timestamp) -> Option<Arc<SecretBundle>> {
        let recent =
            self.held(|held| held.tried_at.is_some_and(|at| now.since(at) < REFETCH_EVERY));
        if recent {
            return None;
        }
        self.fetch(now).await.inspect_err(|fault| tracing::warn!(%fault, "re-fetch failed")).ok()
    }

    async fn fetch(&self, now: Timestamp) -> Result<Arc<SecretBundle>, SecretsError> {
        self.held(|held| held.tried_at = Some(now));
        let fetched = self.store.fetch().await;
        let checked = fetched.and_then(|bundle| Ok(bundle.checked_by(&self.check)?));
        self.held(|held| match checked {
            Ok(bundle) => {
                let bundle = Arc::new(bundle);
                held.bundle = Some(Arc::clone(&bundle));
                held.fetched_at = Some(now);
                held.fault = None;
                Ok(bundle)
            }
            Err(fault) => {
                held.fault = Some(fault.clone());
                Err(fault)
            }
        })
    }

    fn held<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
