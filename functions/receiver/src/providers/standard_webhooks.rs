//! Standard Webhooks: Svix and its customers, `OpenAI`, Clerk, Resend, Supabase,
//! Replicate, GitLab's signing tokens and others.
//!
//! ```text
//! webhook-id         msg_…           or svix-id, svix-timestamp, svix-signature
//! webhook-timestamp  <unix s>
//! webhook-signature  v1,<base64>[ v1,<base64>][ v1a,<base64>]
//! ```
//!
//! Keys, ids and what is signed are in [`inbox_core::standard_webhooks`], which signs
//! what the handler `forward` sends.
//!
//! - Any `v1` that matches is enough: while a key is rolled both sign. Unknown
//!   versions and unreadable entries are skipped; `v1a` (ed25519) is one of them
//!   so far.
//! - The three headers come from one family. `webhook-*` is used if it is
//!   complete, else `svix-*`; they are never mixed.
//! - 300 s of tolerance, both ways. The timestamp must be canonical: the Python
//!   library reads it as a float and renders it anew.
//!
//! Stricter than some SDKs on purpose: Resend's takes any version, `OpenAI`'s a
//! signature without one, Python's base64 with stray characters in it.
//!
//! Sources:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>,
//! <https://docs.svix.com/receiving/verifying-payloads/how-manual>.

use std::borrow::Cow;
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::HEADER_HOPS;
use inbox_core::provider::{Identity, Provider, Rejection, Unsigned};
use inbox_core::request::{Request, Verified};
use inbox_core::secrets::{Secret, SecretBundle};
use inbox_core::signature::{self, Hash, Proof};
use inbox_core::standard_webhooks::{
    self as scheme, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, VERSION, is_opaque,
};

use crate::json;

mod advice;

/// The provider's name.
pub(super) const NAME: &str = "standard_webhooks";

/// The families of header names, the first complete one is used.
const HEADER_FAMILIES: [[&str; 3]; 2] = [
    [HEADER_ID, HEADER_TIMESTAMP, HEADER_SIGNATURE],
    ["svix-id", "svix-timestamp", "svix-signature"],
];
const TOLERANCE: Duration = Duration::from_mins(5);
const SIGNATURE_BYTES: usize = 32;

/// The Standard Webhooks scheme.
pub(super) struct StandardWebhooks;

impl Provider for StandardWebhooks {
    fn name(&self) -> &'static str {
        NAME
    }

    fn verify(
        &self,
        request: &Request,
        secrets: &SecretBundle,
        now: Timestamp,
    ) -> Result<Proof, Rejection> {
        let [id, timestamp, signatures] = headers(request).ok_or(Rejection::MissingSignature)?;
        if !is_opaque(&id) {
            return Err(Rejection::MalformedSignature);
        }
        let signed_at =
            signature::decode_unix_seconds(&timestamp).ok_or(Rejection::MalformedSignature)?;
        let signatures = readable(&signatures);
        if signatures.is_empty() {
            return Err(Rejection::MalformedSignature);
        }
        let fresh = signature::is_fresh(signed_at, now, TOLERANCE);
        let keys: Vec<_> = secrets.signing_secrets().iter().filter_map(scheme::key).collect();
        let signed = scheme::signed_text(&id, &timestamp, request.body());
        let proof = signature::hmac_matches(Hash::Sha256, &keys, &signed, &signatures)
            .ok_or(Rejection::SignatureMismatch { fresh })?;
        if fresh { Ok(proof) } else { Err(Rejection::StaleTimestamp) }
    }

    fn identify(&self, request: &Request<Verified>) -> Identity {
        let [event_type, timestamp, created_at, data] =
            json::members(request.body(), ["type", "timestamp", "created_at", "data"]);
        Identity {
            idempotency_key: headers(request).map(|[id, ..]| id.into_owned()),
            event_type: event_type.text(),
            occurred_at: timestamp.moment().or_else(|| created_at.moment()),
            subject: data.member("id").text(),
            ..Identity::default()
        }
    }

    /// Nothing when the secret is no key.
    fn sign(&self, unsigned: &Unsigned<'_>, secret: &Secret) -> Vec<(&'static str, String)> {
        let Unsigned { id, now, body, .. } = *unsigned;
        let signatures = scheme::sign(id, now, body, std::slice::from_ref(secret));
        if signatures.is_empty() {
            return Vec::new();
        }
        vec![
            (HEADER_ID, id.to_owned()),
            (HEADER_TIMESTAMP, now.unix_seconds().to_string()),
            (HEADER_SIGNATURE, signatures),
        ]
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &[
            "content-type",
            "user-agent",
            "webhook-id",
            "webhook-timestamp",
            "svix-id",
            "svix-timestamp",
            HEADER_HOPS,
        ]
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        scheme::check_secret(secret)
    }

    fn signed_at(&self, request: &Request) -> Option<Timestamp> {
        let [_, timestamp, _] = headers(request)?;
        signature::decode_unix_seconds(&timestamp)
    }

    fn tolerance(&self) -> Option<Duration> {
        Some(TOLERANCE)
    }

    fn advise(&self, request: &Request, _: &SecretBundle, rejection: Rejection) -> Vec<String> {
        match rejection {
            Rejection::MissingSignature => advice::incomplete(request),
            Rejection::MalformedSignature => advice::unreadable(request),
            _ => Vec::new(),
        }
    }
}

/// Id, timestamp and signatures, of one family.
fn headers<State>(request: &Request<State>) -> Option<[Cow<'_, str>; 3]> {
    HEADER_FAMILIES.iter().find_map(|[id, timestamp, signatures]| {
        Some([request.header(id)?, request.header(timestamp)?, request.header(signatures)?])
    })
}

/// The readable `v1` entries of the list.
fn readable(list: &str) -> Vec<Vec<u8>> {
    // `v1,… v1,…`; some put `, ` between them, and gateways `,` between header lines.
    let parts: Vec<&str> = list.split([' ', ',']).filter(|part| !part.is_empty()).collect();
    let after = |(at, version): (usize, &&str)| {
        (*version == VERSION).then(|| parts.get(at + 1).copied()).flatten()
    };
    let entries = parts.iter().enumerate().filter_map(after);
    entries
        .filter_map(signature::decode_base64)
        .filter(|bytes| bytes.len() == SIGNATURE_BYTES)
        .collect()
}

#[cfg(test)]
mod tests;
