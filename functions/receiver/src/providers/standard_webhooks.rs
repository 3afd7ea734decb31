//! Standard Webhooks: Svix and its customers, `OpenAI`, Clerk, Resend, Supabase,
//! Replicate, GitLab's signing tokens and others.
//!
//! ```text
//! webhook-id         msg_…           or svix-id, svix-timestamp, svix-signature
//! webhook-timestamp  <unix s>
//! webhook-signature  v1,<base64>[ v1,<base64>][ v1a,<base64>]
//! signed             <id> "." <timestamp> "." <raw body>      HMAC-SHA256
//! key                base64 after `whsec_`
//! ```
//!
//! - Any `v1` that matches is enough: while a key is rolled both sign. Unknown
//!   versions and unreadable entries are skipped; `v1a` (ed25519) is one of them
//!   so far.
//! - The three headers come from one family. `webhook-*` is used if it is
//!   complete, else `svix-*`; they are never mixed.
//! - 300 s of tolerance, both ways. The timestamp must be canonical: the Python
//!   library reads it as a float and renders it anew.
//! - An id is visible ASCII without a full stop. The specification asks for the
//!   latter: `a.1` at time 2 and `a` at time `1.2` would sign the same text.
//! - A key has at least 24 bytes, as the specification says; its upper bound of
//!   64 is not enforced, since svix-server itself issues keys of up to 75.
//!   Padding may be missing. Unlike a signature, a key may be spelled loosely:
//!   what counts is which bytes the sender uses.
//!
//! Stricter than some SDKs on purpose: Resend's takes any version, `OpenAI`'s a
//! signature without one, Python's base64 with stray characters in it.
//!
//! Sources:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>,
//! <https://docs.svix.com/receiving/verifying-payloads/how-manual>.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use inbox_core::Timestamp;
use inbox_core::provider::{Identity, Provider, Rejection, Unsigned};
use inbox_core::request::{Request, Verified};
use inbox_core::secrets::{Secret, SecretBundle};
use inbox_core::signature::{self, Hash, Proof};
use zeroize::Zeroizing;

use crate::json;

mod advice;

/// The provider's name.
pub(super) const NAME: &str = "standard_webhooks";

/// The families of header names, the first complete one is used.
const HEADER_FAMILIES: [[&str; 3]; 2] = [
    ["webhook-id", "webhook-timestamp", "webhook-signature"],
    ["svix-id", "svix-timestamp", "svix-signature"],
];
const TOLERANCE: Duration = Duration::from_mins(5);
const VERSION: &str = "v1";
const SIGNATURE_BYTES: usize = 32;
const KEY_BYTES_MIN: usize = 24;
const KEY_PREFIX: &str = "whsec_";
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

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
        let keys: Vec<_> = secrets.signing_secrets().iter().filter_map(key).collect();
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", request.body()];
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
        let Some(key) = key(secret) else { return Vec::new() };
        let timestamp = unsigned.now.unix_seconds().to_string();
        let signed = [unsigned.id.as_bytes(), b".", timestamp.as_bytes(), b".", unsigned.body];
        let mac = signature::hmac(Hash::Sha256, &key, &signed);
        let mac = base64::engine::general_purpose::STANDARD.encode(mac);
        vec![
            ("webhook-id", unsigned.id.to_owned()),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", format!("{VERSION},{mac}")),
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
        ]
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        let text = secret.expose();
        if text.starts_with("whpk_") {
            return Err("is a public key, for v1a signatures, which are not supported yet: \
                        use the symmetric secret, which begins with whsec_");
        }
        if text.starts_with("whsk_") {
            return Err("is the sender's private key, which nobody else should hold: \
                        use the symmetric secret, which begins with whsec_");
        }
        match decoded(secret) {
            None => Err("is not base64 after whsec_: copy it again, without spaces or line ends"),
            Some(key) if key.len() < KEY_BYTES_MIN => {
                Err("is shorter than 24 bytes when decoded: it was cut, or is no signing secret")
            }
            Some(_) => Ok(()),
        }
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

/// Whether an id leaves no doubt where it ends and which bytes it has.
fn is_opaque(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// The readable `v1` entries of the list.
fn readable(list: &str) -> Vec<Vec<u8>> {
    list.split(' ')
        .filter_map(|entry| entry.split_once(','))
        .filter(|(version, _)| *version == VERSION)
        .filter_map(|(_, text)| signature::decode_base64(text))
        .filter(|bytes| bytes.len() == SIGNATURE_BYTES)
        .collect()
}

fn key(secret: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    decoded(secret).filter(|key| key.len() >= KEY_BYTES_MIN)
}

fn decoded(secret: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let text = secret.expose();
    // Supabase shows its hook secrets as `v1,whsec_…`.
    let text = text.strip_prefix("v1,").unwrap_or(text);
    let key = KEY_ENCODING.decode(text.strip_prefix(KEY_PREFIX).unwrap_or(text));
    key.ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
