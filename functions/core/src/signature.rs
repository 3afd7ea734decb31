//! What all signature schemes share: a MAC over some bytes, compared in
//! constant time, and a timestamp that must be near.
//!
//! [`Proof`] is the only way to a verified request, and only a successful
//! comparison in this file makes one. A provider's file parses headers and says
//! which bytes are signed; it cannot say "fine" by itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::Timestamp;

/// Evidence that a signature matched. Cannot be made outside this module.
pub struct Proof {
    url: Option<String>,
}

impl Proof {
    /// The same, saying which address the signature covers, with its query: for
    /// schemes that sign it, and may try several.
    #[must_use]
    pub fn of_url(self, url: String) -> Self {
        Self { url: Some(url) }
    }

    /// The address that the signature covers, where the scheme signs one.
    #[must_use]
    pub fn into_url(self) -> Option<String> {
        self.url
    }
}

/// Without the address, which may hold a password.
impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").finish_non_exhaustive()
    }
}

/// Which hash an HMAC is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// HMAC-SHA1: only where the provider offers nothing else (Twilio).
    Sha1,
    /// HMAC-SHA256.
    Sha256,
}

/// Compares every signature with the MAC under every key; one match is enough,
/// which is what makes rotation possible on both sides.
///
/// `signed` is the message in pieces, in order. An empty key is never tried: it
/// would let anybody sign.
#[must_use]
pub fn hmac_matches<Key: AsRef<[u8]>>(
    hash: Hash,
    keys: &[Key],
    signed: &[&[u8]],
    signatures: &[Vec<u8>],
) -> Option<Proof> {
    keys.iter()
        .map(AsRef::as_ref)
        .filter(|key| !key.is_empty())
        .any(|key| match hash {
            Hash::Sha1 => any_equals::<Hmac<Sha1>>(key, signed, signatures),
            Hash::Sha256 => any_equals::<Hmac<Sha256>>(key, signed, signatures),
        })
        .then_some(Proof { url: None })
}

/// The MAC itself, for signing.
#[must_use]
pub fn hmac(hash: Hash, key: &[u8], signed: &[&[u8]]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => mac::<Hmac<Sha1>>(key, signed).finalize().into_bytes().to_vec(),
        Hash::Sha256 => mac::<Hmac<Sha256>>(key, signed).finalize().into_bytes().to_vec(),
    }
}

fn any_equals<M: Mac + KeyInit + Clone>(
    key: &[u8],
    signed: &[&[u8]],
    signatures: &[Vec<u8>],
) -> bool {
    let mac = mac::<M>(key, signed);
    // `verify_slice` compares in constant time and refuses truncated MACs.
    signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
}

fn mac<M: Mac + KeyInit>(key: &[u8], signed: &[&[u8]]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    for piece in signed {
        mac.update(piece);
    }
    mac
}

/// Whether `hex` is the SHA-256 of `body`, in lower-case hex.
#[must_use]
pub fn sha256_hex_equals(body: &[u8], hex: &str) -> bool {
    // The digest is no secret: it travels in the URL beside the body.
    sha256_hex(&[body]) == hex
}

/// SHA-256 of the pieces one after another, in lower-case hex.
#[must_use]
pub fn sha256_hex(pieces: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hex::encode(hasher.finalize())
}

/// Reads lower-case hex only: a signature has one spelling, so that no altered
/// header passes.
#[must_use]
pub fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    hex::decode(text).ok()
}

/// Reads canonical padded base64 only: stray characters and loose trailing bits
/// are refused, for the same reason as in [`decode_hex`].
#[must_use]
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() {
        return None;
    }
    STANDARD.decode(text).ok()
}

/// Reads a canonical decimal Unix timestamp in seconds: digits only, no sign,
/// no leading zero, so that the text that is signed is the number that is used.
#[must_use]
pub fn decode_unix_seconds(text: &str) -> Option<Timestamp> {
    let canonical = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if !canonical {
        return None;
    }
    Timestamp::from_unix_seconds(text.parse().ok()?)
}

/// Whether `signed_at` lies within `tolerance` of `now`, before or after: a
/// signature from the future would be replayable for longer.
#[must_use]
pub fn is_fresh(signed_at: Timestamp, now: Timestamp, tolerance: Duration) -> bool {
    // Providers sign whole seconds, so whole seconds are what is compared: at
    // 300.4 s a tolerance of 300 s still holds.
    signed_at.unix_seconds().abs_diff(now.unix_seconds()) <= tolerance.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const RFC_4231_KEY: &[u8] = b"Jefe";
    const RFC_4231_TEXT: &[u8] = b"what do ya want for nothing?";
    const RFC_4231_MAC: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn matches(keys: &[&[u8]], signed: &[&[u8]], mac: &str) -> bool {
        let mac = vec![hex::decode(mac).unwrap()];
        hmac_matches(Hash::Sha256, keys, signed, &mac).is_some()
    }

    #[test]
    fn the_published_mac_matches_in_one_piece_or_several() {
        assert!(matches(&[RFC_4231_KEY], &[RFC_4231_TEXT], RFC_4231_MAC));
        let (head, tail) = RFC_4231_TEXT.split_at(7);
        assert!(matches(&[RFC_4231_KEY], &[head, tail], RFC_4231_MAC));
    }

    #[test]
    fn a_truncated_or_empty_mac_does_not_match() {
        assert!(!matches(&[RFC_4231_KEY], &[RFC_4231_TEXT], &RFC_4231_MAC[..62]));
        assert!(!matches(&[RFC_4231_KEY], &[RFC_4231_TEXT], ""));
    }

    #[test]
    fn an_empty_key_signs_nothing() {
        // HMAC-SHA256 of nothing under an empty key, which anybody can compute.
        let mac = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
        assert!(!matches(&[b""], &[b""], mac));
        // No keys and no signatures are no match either.
        assert!(!matches(&[], &[RFC_4231_TEXT], RFC_4231_MAC));
        assert!(hmac_matches(Hash::Sha256, &[RFC_4231_KEY], &[RFC_4231_TEXT], &[]).is_none());
    }

    #[test]
    fn hex_and_base64_have_one_spelling() {
        assert_eq!(decode_hex("00ff"), Some(vec![0, 255]));
        for wrong in ["", "00FF", "0", "zz", "00 ff"] {
            assert_eq!(decode_hex(wrong), None, "{wrong}");
        }
        assert_eq!(decode_base64("AAE="), Some(vec![0, 1]));
        for wrong in ["", "AAE", "AAF=", "AA E=", "AAE=\n"] {
            assert_eq!(decode_base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn timestamps_have_one_spelling() {
        assert_eq!(decode_unix_seconds("1614265330"), Timestamp::from_unix_seconds(1_614_265_330));
        for wrong in ["", "+1", "-1", "01", "1.5", "1e3", " 1", "99999999999999999999"] {
            assert_eq!(decode_unix_seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tolerance_counts_whole_seconds_both_ways() {
        let signed_at = Timestamp::from_unix_seconds(1000).unwrap();
        let tolerance = Duration::from_mins(5);
        let at = |ms| Timestamp::from_unix_ms(ms).unwrap();
        assert!(is_fresh(signed_at, at(1_300_999), tolerance));
        assert!(!is_fresh(signed_at, at(1_301_000), tolerance));
        assert!(is_fresh(signed_at, at(700_000), tolerance));
        assert!(!is_fresh(signed_at, at(699_999), tolerance));
    }
}
