//! Why a captured request does not verify, in words that a person can act on.
//!
//! ```text
//! trials.rs      change one thing, verify again: what then verifies is certain
//!   secrets.rs     white space, quotes, prefixes
//!   bodies.rs      line ends, JSON written anew (json_text.rs), encodings
//!   addresses.rs   scheme, slash, query, where the URL is signed
//! headers.rs     which are missing, or do not read as they should
//! hints.rs       what looks wrong and cannot be proven
//! ```
//!
//! All of it works for any provider, through its own `verify` and `sign`; what
//! only its file knows comes from `Provider::advise`. The verdict itself is the
//! provider's alone. No secret, signature or content is ever quoted.

mod addresses;
mod bodies;
mod headers;
mod hints;
mod json_text;
mod secrets;
mod trials;

use inbox_core::Timestamp;
use inbox_core::provider::{Provider, Rejection};
use inbox_core::secrets::SecretBundle;
use serde::Serialize;

use crate::captured::Captured;

/// What is to be judged.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// By whose scheme.
    pub provider: &'a dyn Provider,
    /// The request.
    pub captured: &'a Captured,
    /// The secrets to try.
    pub secrets: &'a SecretBundle,
    /// When.
    pub now: Timestamp,
}

/// One thing that is wrong, or may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Whether it was tried and held, or only looks so.
    pub certain: bool,
    /// What is wrong.
    pub finding: String,
    /// What to do; may be empty.
    pub advice: String,
}

impl Reason {
    fn certain(finding: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { certain: true, finding: finding.into(), advice: advice.into() }
    }

    fn likely(finding: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { certain: false, finding: finding.into(), advice: advice.into() }
    }
}

impl Case<'_> {
    /// The provider's verdict.
    ///
    /// # Errors
    ///
    /// Why it refuses.
    pub fn judge(&self) -> Result<(), Rejection> {
        self.captured.judge(self.provider, self.secrets, self.now).map(drop)
    }

    /// Which of the secrets signed it, from 1; `None` when it is another value
    /// of the bundle.
    #[must_use]
    pub fn signed_by(&self) -> Option<usize> {
        let verifies = |secret| {
            let bundle = self.secrets.with_signing_secrets(vec![secret]).ok()?;
            Some(self.captured.judge(self.provider, &bundle, self.now).is_ok())
        };
        // If one that nobody holds does as well, none of them was used.
        let stranger = inbox_core::secrets::Secret::new(uuid::Uuid::new_v4().to_string());
        if verifies(stranger) == Some(true) {
            return None;
        }
        let held = self.secrets.signing_secrets().iter();
        held.map(|secret| verifies(secret.clone())).position(|it| it == Some(true)).map(|at| at + 1)
    }

    /// Why it was refused: what is certain first. Never empty.
    #[must_use]
    pub fn reasons(&self, rejection: Rejection) -> Vec<Reason> {
        let mut reasons = match rejection {
            Rejection::StaleTimestamp => return vec![hints::stale(self)],
            Rejection::MissingSignature => headers::missing(self),
            Rejection::MalformedSignature => headers::malformed(self),
            Rejection::SignatureMismatch { .. } => {
                let found = trials::run(self);
                if !found.is_empty() {
                    // What was wrong is known, and guesses would only hide it.
                    return found.into_iter().chain(hints::also_stale(self)).collect();
                }
                found
            }
        };
        reasons.extend(hints::secrets_of_another_kind(self));
        let told = self.provider.advise(&self.captured.request(), self.secrets, rejection);
        reasons.extend(told.into_iter().map(|text| Reason::likely(text, "")));
        if let Rejection::SignatureMismatch { .. } = rejection {
            reasons.extend(hints::of_the_body(self));
            reasons.extend(hints::also_stale(self));
            if !reasons.iter().any(|reason| reason.certain) {
                reasons.push(hints::nothing_helped());
            }
        }
        if reasons.is_empty() {
            reasons.push(hints::of_the_scheme(rejection));
        }
        // Stable: within a kind, the order says how likely.
        reasons.sort_by_key(|reason| !reason.certain);
        reasons
    }

    /// Whether this request under these secrets carries the right signature,
    /// whenever it was made.
    fn is_signed(&self, captured: &Captured, secrets: &SecretBundle) -> bool {
        matches!(
            captured.judge(self.provider, secrets, self.now),
            Ok(_) | Err(Rejection::StaleTimestamp)
        )
    }
}

#[cfg(test)]
mod tests;
