//! Stripe: snapshot events and thin events, signed alike.
//!
//! ```text
//! Stripe-Signature: t=<unix s>,v1=<hex>[,v1=<hex>][,v0=<hex>]
//! signed            <t> "." <raw body>       HMAC-SHA256, lower-case hex
//! key               the whole secret text, `whsec_` included
//! ```
//!
//! - Any `v1` that matches is enough: while a secret is rolled both sign.
//!   Other schemes and unreadable entries are skipped; `v0`, which comes with
//!   test-mode deliveries, never counts.
//! - 300 s of tolerance, both ways (the .NET SDK does so; Python, Go and Node
//!   check the past only).
//! - `t` must be canonical, so that the text signed is the number compared.
//!   The Python SDK renders it anew, and so takes `t=01` for `t=1`.
//!
//! Sources: <https://docs.stripe.com/webhooks#verify-manually>,
//! stripe-python `stripe/_webhook.py`, stripe-go `webhook/client.go`,
//! stripe-dotnet `EventUtility.cs`.

use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::provider::{Identity, Provider, Rejection, Unsigned};
use inbox_core::request::{Request, Verified};
use inbox_core::secrets::{Secret, SecretBundle, strength};
use inbox_core::signature::{self, Hash, Proof};

use crate::json;

mod advice;

/// The provider's name.
pub(super) const NAME: &str = "stripe";

const HEADER_SIGNATURE: &str = "stripe-signature";
const TOLERANCE: Duration = Duration::from_mins(5);
const SCHEME: &str = "v1";
const SIGNATURE_BYTES: usize = 32;
const KEY_PREFIX: &str = "whsec_";

/// Stripe's scheme.
pub(super) struct Stripe;

impl Provider for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn verify(
        &self,
        request: &Request,
        secrets: &SecretBundle,
        now: Timestamp,
    ) -> Result<Proof, Rejection> {
        let header = request.header(HEADER_SIGNATURE).ok_or(Rejection::MissingSignature)?;
        let header = SignatureHeader::parse(&header).ok_or(Rejection::MalformedSignature)?;
        let fresh = signature::is_fresh(header.signed_at, now, TOLERANCE);
        let proof = signature::hmac_matches(
            Hash::Sha256,
            secrets.signing_secrets(),
            &[header.t.as_bytes(), b".", request.body()],
            &header.signatures,
        )
        .ok_or(Rejection::SignatureMismatch { fresh })?;
        if fresh { Ok(proof) } else { Err(Rejection::StaleTimestamp) }
    }

    fn identify(&self, request: &Request<Verified>) -> Identity {
        let [id, event_type, created, data, related_object] =
            json::members(request.body(), ["id", "type", "created", "data", "related_object"]);
        Identity {
            idempotency_key: id.text(),
            event_type: event_type.text(),
            // Unix seconds in snapshots, ISO 8601 text in thin events.
            occurred_at: created.moment(),
            subject: data
                .member("object")
                .member("id")
                .text()
                .or_else(|| related_object.member("id").text()),
            ..Identity::default()
        }
    }

    fn sign(&self, unsigned: &Unsigned<'_>, secret: &Secret) -> Vec<(&'static str, String)> {
        let t = unsigned.now.unix_seconds().to_string();
        let signed: [&[u8]; 3] = [t.as_bytes(), b".", unsigned.body];
        let mac = signature::hmac(Hash::Sha256, secret.as_ref(), &signed);
        vec![("Stripe-Signature", format!("t={t},{SCHEME}={}", hex::encode(mac)))]
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &["content-type", "user-agent"]
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        let text = secret.expose();
        if ["sk_", "rk_", "pk_"].iter().any(|prefix| text.starts_with(prefix)) {
            return Err(
                "is an API key: use the endpoint's signing secret, which begins with whsec_",
            );
        }
        if text.starts_with("we_") {
            return Err("is an endpoint's id: use its signing secret, which begins with whsec_");
        }
        if text.trim() != text {
            return Err("has white space around it, which Stripe's signing secrets never have");
        }
        strength::check(text.strip_prefix(KEY_PREFIX).unwrap_or(text))
    }

    fn signed_at(&self, request: &Request) -> Option<Timestamp> {
        let header = request.header(HEADER_SIGNATURE)?;
        SignatureHeader::parse(&header).map(|header| header.signed_at)
    }

    fn tolerance(&self) -> Option<Duration> {
        Some(TOLERANCE)
    }

    fn indents_json(&self) -> bool {
        true
    }

    fn advise(
        &self,
        request: &Request,
        secrets: &SecretBundle,
        rejection: Rejection,
    ) -> Vec<String> {
        match rejection {
            Rejection::SignatureMismatch { .. } => advice::on_mismatch(request.body(), secrets),
            Rejection::MalformedSignature => advice::on_malformed(request),
            Rejection::MissingSignature | Rejection::StaleTimestamp => Vec::new(),
        }
    }
}

/// The signature header, taken apart.
struct SignatureHeader<'a> {
    t: &'a str,
    signed_at: Timestamp,
    /// The readable `v1` entries; at least one.
    signatures: Vec<Vec<u8>>,
}

impl<'a> SignatureHeader<'a> {
    /// `None` without exactly one canonical `t` and one readable `v1`. Two `t`
    /// would leave open which of them was signed.
    fn parse(header: &'a str) -> Option<Self> {
        let entries = || header.split(',').filter_map(|entry| entry.split_once('='));
        let mut times = entries().filter(|(scheme, _)| *scheme == "t").map(|(_, value)| value);
        let (Some(t), None) = (times.next(), times.next()) else { return None };
        let signatures: Vec<_> = entries()
            .filter(|(scheme, _)| *scheme == SCHEME)
            .filter_map(|(_, value)| signature::decode_hex(value))
            .filter(|bytes| bytes.len() == SIGNATURE_BYTES)
            .collect();
        (!signatures.is_empty()).then_some(())?;
        Some(Self { t, signed_at: signature::decode_unix_seconds(t)?, signatures })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Delivery, NOW_SECONDS, at};
    use super::*;

    const SECRET: &str = "whsec_for_tests_only";

    fn delivery(body: &str) -> Delivery {
        Delivery::signed(&Stripe, SECRET, "application/json", body.as_bytes())
    }

    fn judged(header: &str) -> Result<(), Rejection> {
        delivery("{}").with_header(HEADER_SIGNATURE, header).judge(&Stripe, &[SECRET], at(0))
    }

    fn good() -> String {
        let header = delivery("{}").header(HEADER_SIGNATURE);
        header.split_once(",v1=").unwrap().1.to_owned()
    }

    #[test]
    fn one_good_entry_is_enough_whatever_stands_beside_it() {
        let (t, v1, zeros) = (NOW_SECONDS, good(), "0".repeat(64));
        for header in [
            format!("t={t},v1={v1}"),
            format!("v1={v1},t={t}"),
            format!("t={t},v1={zeros},v1={v1}"),
            format!("t={t},v1=unreadable,v1={v1},v0={zeros},v9=x,junk,"),
        ] {
            assert_eq!(judged(&header), Ok(()), "{header}");
        }
    }

    #[test]
    fn a_good_mac_under_another_scheme_never_counts() {
        let (t, v1, zeros) = (NOW_SECONDS, good(), "0".repeat(64));
        for scheme in ["v0", "v2", "V1", " v1", "v1 ", ""] {
            let alone = judged(&format!("t={t},{scheme}={v1}"));
            assert_eq!(alone, Err(Rejection::MalformedSignature), "{scheme}");
            let beside = judged(&format!("t={t},v1={zeros},{scheme}={v1}"));
            assert_eq!(beside, Err(Rejection::SignatureMismatch { fresh: true }), "{scheme}");
        }
    }

    #[test]
    fn a_header_that_does_not_read_as_documented_is_malformed() {
        let (t, v1) = (NOW_SECONDS, good());
        for header in [
            String::new(),
            format!("v1={v1}"),
            format!("t={t}"),
            format!("t={t},t={t},v1={v1}"),
            format!("t=0{t},v1={v1}"),
            format!("t=+{t},v1={v1}"),
            format!("t={t}.0,v1={v1}"),
            format!("t={t}, v1={v1}"),
            format!("t={t},v1={}", v1.to_uppercase()),
            format!("t={t},v1={}", &v1[..62]),
            format!("t={t},v1={v1}00"),
        ] {
            assert_eq!(judged(&header), Err(Rejection::MalformedSignature), "{header}");
        }
    }

    #[test]
    fn the_signature_is_judged_before_the_timestamp() {
        let late = at(301);
        assert_eq!(delivery("{}").judge(&Stripe, &[SECRET], late), Err(Rejection::StaleTimestamp));
        assert_eq!(
            delivery("{}").judge(&Stripe, &["whsec_other"], late),
            Err(Rejection::SignatureMismatch { fresh: false })
        );
        assert_eq!(
            delivery("{}").judge(&Stripe, &["whsec_other"], at(300)),
            Err(Rejection::SignatureMismatch { fresh: true })
        );
    }

    #[test]
    fn without_the_header_the_signature_is_missing() {
        let judged =
            delivery("{}").without_header(HEADER_SIGNATURE).judge(&Stripe, &[SECRET], at(0));
        assert_eq!(judged, Err(Rejection::MissingSignature));
    }

    #[test]
    fn the_prefix_is_part_of_the_key() {
        let bare = SECRET.strip_prefix("whsec_").unwrap();
        assert_eq!(
            delivery("{}").judge(&Stripe, &[bare], at(0)),
            Err(Rejection::SignatureMismatch { fresh: true })
        );
    }

    #[test]
    fn a_thin_event_is_identified_by_its_related_object_and_iso_time() {
        let event = delivery(
            r#"{"id":"evt_test_1","object":"v2.core.event","type":"v1.billing.meter.no_meter_found",
                "created":"2026-03-01T12:00:00.250Z","related_object":{"id":"mtr_1","type":"billing.meter"}}"#,
        );
        assert_eq!(
            event.identity(&Stripe, SECRET),
            Identity {
                idempotency_key: Some("evt_test_1".into()),
                event_type: Some("v1.billing.meter.no_meter_found".into()),
                occurred_at: Timestamp::parse_rfc3339("2026-03-01T12:00:00.25Z"),
                subject: Some("mtr_1".into()),
                ..Identity::default()
            }
        );
    }

    #[test]
    fn deep_nesting_beside_the_id_does_not_hide_it() {
        let deep = format!("{}{}", r#"{"x":["#.repeat(50_000), "]}".repeat(50_000));
        let event = delivery(&format!(
            r#"{{"x":{deep},"id":"evt_1","type":"a.b","data":{{"object":{{"id":"o"}}}}}}"#
        ));
        assert_eq!(
            event.identity(&Stripe, SECRET),
            Identity {
                idempotency_key: Some("evt_1".into()),
                event_type: Some("a.b".into()),
                subject: Some("o".into()),
                ..Identity::default()
            }
        );
    }

    #[test]
    fn members_of_the_wrong_type_are_left_out_one_by_one() {
        let event =
            delivery(r#"{"id":7,"type":"a.b","created":"x","data":[],"related_object":null}"#);
        assert_eq!(
            event.identity(&Stripe, SECRET),
            Identity { event_type: Some("a.b".into()), ..Identity::default() }
        );
    }

    #[test]
    fn what_is_not_a_signing_secret_is_refused_with_advice() {
        let check = |text: &str| Stripe.check_secret(&Secret::new(text.into()));
        assert_eq!(check("whsec_0123456789abcdef"), Ok(()));
        assert_eq!(check("text chosen in a test"), Ok(()));
        for (wrong, advice) in [
            ("sk_live_x", "API key"),
            ("rk_test_x", "API key"),
            ("pk_live_x", "API key"),
            ("we_1abc", "endpoint's id"),
            ("whsec_0123456789abcdef\n", "white space"),
            // Who knows the prefix could sign.
            ("whsec_", "fewer than 16"),
            ("whsec_0123456789", "fewer than 16"),
            ("whsec_…", "placeholder"),
            ("whsec_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "placeholder"),
        ] {
            let told = check(wrong).unwrap_err();
            assert!(told.contains(advice) && !told.contains(wrong), "{told}");
        }
    }
}
