//! Standard Webhooks, as far as sender and receiver share it: keys, what is signed, and
//! signing.
//!
//! ```text
//! webhook-id         msg_…
//! webhook-timestamp  <unix s>
//! webhook-signature  v1,<base64>[ v1,<base64>]
//! signed             <id> "." <timestamp> "." <raw body>      HMAC-SHA256
//! key                base64 after `whsec_`
//! ```
//!
//! - A key has at least 24 bytes, as the specification says; its upper bound of 64 is
//!   not enforced, since svix-server itself issues keys of up to 75. Padding may be
//!   missing. Unlike a signature, a key may be spelled loosely: what counts is which
//!   bytes the other side uses.
//! - An id is visible ASCII without a full stop. The specification asks for the latter:
//!   `a.1` at time 2 and `a` at time `1.2` would sign the same text.
//! - While a key is rolled, old and new both sign, so that neither side has to change
//!   at the same moment as the other.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::Timestamp;
use crate::secrets::{Secret, strength};
use crate::signature::{self, Hash};

/// The message's id, the same on every attempt.
pub const HEADER_ID: &str = "webhook-id";
/// When this attempt was signed, in Unix seconds.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// The signatures, separated by spaces.
pub const HEADER_SIGNATURE: &str = "webhook-signature";
/// HMAC-SHA256, the version that everybody verifies.
pub const VERSION: &str = "v1";

const KEY_BYTES_MIN: usize = 24;
const KEY_PREFIX: &str = "whsec_";
/// Supabase shows its hook secrets as `v1,whsec_…`.
const SUPABASE_PREFIX: &str = "v1,";
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes that sign; `None` when the secret is no key.
#[must_use]
pub fn key(secret: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    decoded(secret).filter(|key| key.len() >= KEY_BYTES_MIN)
}

/// Whether this can be a signing secret; if not, what to do about it, without quoting
/// the value.
///
/// # Errors
///
/// The advice.
pub fn check_secret(secret: &Secret) -> Result<(), &'static str> {
    let text = secret.expose();
    if text.starts_with("whpk_") {
        return Err("is a public key, for v1a signatures, which are not supported yet: \
                    use the symmetric secret, which begins with whsec_");
    }
    if text.starts_with("whsk_") {
        return Err("is the sender's private key, which nobody else should hold: \
                    use the symmetric secret, which begins with whsec_");
    }
    let bare = text.strip_prefix(SUPABASE_PREFIX).unwrap_or(text);
    let bare = bare.strip_prefix(KEY_PREFIX).unwrap_or(bare);
    match decoded(secret) {
        _ if strength::is_placeholder(bare) => Err(strength::PLACEHOLDER),
        None => Err("is not base64 after whsec_: copy it again, without spaces or line ends"),
        Some(key) if key.len() < KEY_BYTES_MIN => {
            Err("is shorter than 24 bytes when decoded: it was cut, or is no signing secret")
        }
        Some(_) => Ok(()),
    }
}

/// Whether an id leaves no doubt where it ends and which bytes it has.
#[must_use]
pub fn is_opaque(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// What is signed, in pieces. `timestamp` is the header's own text.
#[must_use]
pub fn signed_text<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}

/// The signature header's value: one entry for each secret, in their order. Empty
/// when none of them is a key.
#[must_use]
pub fn sign(id: &str, now: Timestamp, body: &[u8], secrets: &[Secret]) -> String {
    let timestamp = now.unix_seconds().to_string();
    let signed = signed_text(id, &timestamp, body);
    let entries: Vec<String> = secrets
        .iter()
        .filter_map(key)
        .map(|key| signature::hmac(Hash::Sha256, &key, &signed))
        .map(|mac| format!("{VERSION},{}", STANDARD.encode(mac)))
        .collect();
    entries.join(" ")
}

fn decoded(secret: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let text = secret.expose();
    let text = text.strip_prefix(SUPABASE_PREFIX).unwrap_or(text);
    let key = KEY_ENCODING.decode(text.strip_prefix(KEY_PREFIX).unwrap_or(text));
    key.ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_YW5vdGhlciBzZWNyZXQsIDI0IGJ5dGUh";

    fn signature(secrets: &[&str]) -> String {
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new((*text).into())).collect();
        let now = Timestamp::from_unix_ms(1_614_265_330_999).unwrap();
        sign("msg_p5jXN8AQM9LWM0D4loKWxJek", now, br#"{"test": 2432232314}"#, &secrets)
    }

    #[derive(Deserialize)]
    struct Vector {
        id: String,
        provider: String,
        secrets: Vec<String>,
        headers: std::collections::BTreeMap<String, String>,
        body: String,
        expect: String,
    }

    /// What is published as valid under a symmetric key is what this module writes.
    #[test]
    fn published_signatures_are_made_to_the_byte() {
        let all: Vec<Vector> =
            serde_json::from_str(include_str!("../../../tests/fixtures/signatures.json")).unwrap();
        let valid = |it: &&Vector| it.provider == "standard_webhooks" && it.expect == "valid";
        let mut made = 0;
        for vector in all.iter().filter(valid) {
            let header = |name: &str| {
                let sent = ["webhook-", "svix-"].map(|family| format!("{family}{name}"));
                sent.iter().find_map(|name| vector.headers.get(name)).cloned().unwrap_or_default()
            };
            let Some(at) = signature::decode_unix_seconds(&header("timestamp")) else { continue };
            let published = header("signature");
            let secrets: Vec<Secret> = vector.secrets.iter().cloned().map(Secret::new).collect();
            let signed = sign(&header("id"), at, vector.body.as_bytes(), &secrets);
            // Vectors of v1a have no key that is ours.
            if published.split(' ').any(|entry| entry.starts_with("v1,")) && !signed.is_empty() {
                let is_published = |entry: &str| published.split(' ').any(|it| it == entry);
                // Among two keys, one may be of somebody who did not sign.
                assert!(signed.split(' ').any(is_published), "{}: {signed}", vector.id);
                made += 1;
            }
        }
        assert!(made >= 5, "{made} vectors");
    }

    #[test]
    fn every_key_signs_in_its_order() {
        let (new, old) = (signature(&[SECRET]), signature(&[OTHER]));
        assert_eq!(new, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(signature(&[SECRET, OTHER]), format!("{new} {old}"));
        assert_eq!(signature(&["whsec_c2hvcnQ=", SECRET]), new);
        assert_eq!(signature(&["not a key"]), "");
    }

    #[test]
    fn a_key_may_lack_prefix_and_padding() {
        let padded = signature(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA=="]);
        for spelling in [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA",
            "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA==",
        ] {
            assert_eq!(signature(&[spelling]), padded, "{spelling}");
        }
    }
}
