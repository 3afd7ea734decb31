//! What holds for every provider, whatever is sent.
//!
//! A property over all bits is tried on all bits; the rest is random within
//! bounds that keep the whole file at seconds.

use std::collections::BTreeSet;

use base64::Engine as _;
use http::{HeaderName, Method};
use inbox_core::Timestamp;
use inbox_core::provider::{Rejection, Unsigned};
use proptest::prelude::*;

use super::testing::{self, Delivery, NOW_SECONDS, at, header_value};
use crate::form;

const JSON: &str = "application/json";
const MISMATCH: Rejection = Rejection::SignatureMismatch { fresh: true };

fn bounded() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

/// Headers whose every bit counts.
fn signed_headers(name: &str) -> &'static [&'static str] {
    match name {
        "github" => &["x-hub-signature-256"],
        "standard_webhooks" => &["webhook-id", "webhook-timestamp", "webhook-signature"],
        "stripe" => &["stripe-signature"],
        "twilio" => &["x-twilio-signature"],
        other => panic!("say which headers {other} signs"),
    }
}

/// All headers that any of the providers reads.
const READ_HEADERS: [&str; 14] = [
    "content-type",
    "i-twilio-idempotency-token",
    "stripe-signature",
    "svix-id",
    "svix-signature",
    "svix-timestamp",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-github-delivery",
    "x-github-event",
    "x-hub-signature-256",
    "x-twilio-signature",
    "x-twilio-webhooks-signature-settings",
];

/// Every version of `bytes` with one bit changed.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

/// Whether a form's bytes are what is signed, or what they decode to.
fn signs_decoded_forms(name: &str, content_type: &str) -> bool {
    name == "twilio" && content_type == form::MEDIA_TYPE
}

#[test]
fn any_flipped_bit_of_the_signature_or_a_signed_header_is_refused() {
    for sample in testing::all() {
        let provider = sample.provider.as_ref();
        let genuine = sample.delivery(b"a=1&b=2");
        for name in signed_headers(provider.name()) {
            let value = genuine.header(name);
            // What HTTP cannot carry never gets here.
            for flipped in flips(value.as_bytes()).filter_map(|bytes| header_value(&bytes)) {
                let mut altered = genuine.clone();
                altered.headers.insert(HeaderName::from_static(name), flipped);
                let judged = altered.judge(provider, &sample.secrets[..1], at(0));
                assert!(
                    matches!(
                        judged,
                        Err(Rejection::MalformedSignature | Rejection::SignatureMismatch { .. })
                    ),
                    "{altered:?}: {judged:?}"
                );
            }
        }
    }
}

#[test]
fn any_flipped_bit_of_a_signed_url_is_refused() {
    let [secret, _] = testing::secrets("twilio");
    let provider = super::find("twilio").unwrap();
    for (content_type, body) in [(form::MEDIA_TYPE, &b"a=1"[..]), (JSON, b"")] {
        let url = "https://user:pw@hooks.example.com/in?a=%27&b=2";
        let genuine = Delivery::signed_to(provider.as_ref(), secret, content_type, body, url);
        for flipped in flips(url.as_bytes()).filter_map(|bytes| String::from_utf8(bytes).ok()) {
            let altered = Delivery { url: flipped, ..genuine.clone() };
            let judged = altered.judge(provider.as_ref(), &[secret], at(0));
            assert_eq!(judged, Err(MISMATCH), "{}", altered.url);
        }
    }
}

/// What a form says, read in another way than the code under test does.
fn said(form: &[u8]) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
    let mut pairs = BTreeSet::new();
    for part in form.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
        let mut sides = [Vec::new(), Vec::new()];
        let (mut side, mut at) = (0, 0);
        while at < part.len() {
            let escaped = part.get(at + 1..at + 3).and_then(|hex| hex::decode(hex).ok());
            match (part[at], escaped) {
                (b'=', _) if side == 0 => side = 1,
                (b'%', Some(byte)) => {
                    sides[side].extend(byte);
                    at += 2;
                }
                (b'+', _) => sides[side].push(b' '),
                (byte, _) => sides[side].push(byte),
            }
            at += 1;
        }
        let [name, value] = sides;
        pairs.insert((name, value));
    }
    pairs
}

fn encoded(parameters: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let escape = |bytes: &[u8]| {
        percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    pairs.join("&").into_bytes()
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

/// A secret of the provider's shape.
fn secret(name: &str, random: &[u8]) -> String {
    match name {
        "standard_webhooks" => {
            let engine = base64::engine::general_purpose::STANDARD;
            format!("whsec_{}", engine.encode(random))
        }
        _ => hex::encode(random),
    }
}

/// An id as senders make them: no full stop, no white space.
const ID: &str = "[!-\\-/-~]{1,40}";

proptest! {
    #![proptest_config(bounded())]

    #[test]
    fn any_flipped_bit_of_the_body_is_refused(body in proptest::collection::vec(any::<u8>(), 1..40)) {
        for sample in testing::all() {
            let provider = sample.provider.as_ref();
            if signs_decoded_forms(provider.name(), sample.content_type) {
                continue;
            }
            let genuine = sample.delivery(&body);
            for flipped in flips(&body) {
                let altered = Delivery { body: flipped, ..genuine.clone() };
                let judged = altered.judge(provider, &sample.secrets[..1], at(0));
                prop_assert!(
                    matches!(judged, Err(Rejection::SignatureMismatch { .. })),
                    "{:?}: {:?}", altered, judged
                );
            }
        }
    }

    /// Twilio signs what a form decodes to. So a flipped bit is refused exactly
    /// if it changes the set of decoded parameters; `%2B` and `%2b` are one.
    #[test]
    fn a_flipped_bit_of_a_twilio_form_is_refused_unless_it_says_the_same(
        parameters in proptest::collection::vec((bytes(4), bytes(6)), 1..4),
    ) {
        let provider = super::find("twilio").unwrap();
        let [secret, _] = testing::secrets("twilio");
        let body = encoded(&parameters);
        let genuine = Delivery::signed(provider.as_ref(), secret, form::MEDIA_TYPE, &body);
        prop_assert_eq!(genuine.judge(provider.as_ref(), &[secret], at(0)), Ok(()));
        for flipped in flips(&body) {
            let same = said(&flipped) == said(&body);
            let altered = Delivery { body: flipped, ..genuine.clone() };
            let judged = altered.judge(provider.as_ref(), &[secret], at(0));
            prop_assert_eq!(judged.is_ok(), same, "{:?}: {:?}", altered, judged);
        }
    }

    #[test]
    fn what_is_signed_verifies_and_is_identified_by_its_id(
        body in bytes(300),
        id in ID,
        event_type in "[a-z_]{1,12}",
        key in proptest::collection::vec(any::<u8>(), 24..64),
        seconds in 0..253_402_300_799_i64,
        query in "([a-z]{1,3}=[a-z0-9%+]{0,8}&?){0,3}",
    ) {
        let now = Timestamp::from_unix_seconds(seconds).unwrap();
        for name in super::names() {
            let provider = super::find(name).unwrap();
            let secret = secret(name, &key);
            for content_type in [JSON, form::MEDIA_TYPE] {
                let mut url = format!("https://hooks.example.com/in?{query}");
                let covered = signs_decoded_forms(name, content_type) && !said(&body).is_empty();
                if name == "twilio" && !covered {
                    url = format!("{url}&bodySHA256={}", inbox_core::signature::sha256_hex(&[&body]));
                }
                let unsigned = Unsigned {
                    url: url.trim_end_matches('?'),
                    content_type,
                    body: &body,
                    id: &id,
                    event_type: &event_type,
                    now,
                };
                let delivery = Delivery::sign(provider.as_ref(), &secret, &unsigned);
                prop_assert_eq!(delivery.judge(provider.as_ref(), &[&secret], now), Ok(()), "{:?}", delivery);
                // Stripe's and Twilio's ids are in the body, which is noise here.
                let verified = delivery.request().verify(provider.as_ref(), &testing::bundle(&[&secret]), now).unwrap();
                let identity = provider.identify(&verified);
                if matches!(name, "github" | "standard_webhooks") {
                    prop_assert_eq!(identity.idempotency_key.as_deref(), Some(id.as_str()));
                }
            }
        }
    }

    #[test]
    fn the_right_secret_does_at_any_place_among_wrong_ones(
        wrong in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 24..40), 0..5),
        junk in "[^\u{0}]{1,20}",
        place in any::<proptest::sample::Index>(),
    ) {
        for sample in testing::all() {
            let provider = sample.provider.as_ref();
            let delivery = sample.delivery(b"a=1");
            let mut secrets: Vec<_> = wrong.iter().map(|random| secret(provider.name(), random)).collect();
            secrets.push(junk.clone());
            let wrong: Vec<_> = secrets.iter().map(String::as_str).collect();
            prop_assert_eq!(delivery.judge(provider, &wrong, at(0)), Err(MISMATCH));
            let mut held = wrong.clone();
            held.insert(place.index(held.len() + 1), sample.secrets[0]);
            prop_assert_eq!(delivery.judge(provider, &held, at(0)), Ok(()));
        }
    }

    #[test]
    fn a_timestamp_is_stale_exactly_beyond_its_tolerance(offset in -400..400_i64) {
        for sample in testing::all() {
            let provider = sample.provider.as_ref();
            let judged = sample.delivery(b"a=1").judge(provider, &sample.secrets[..1], at(offset));
            let signs_time = matches!(provider.name(), "stripe" | "standard_webhooks");
            let expected = if signs_time && offset.abs() > 300 {
                Err(Rejection::StaleTimestamp)
            } else {
                Ok(())
            };
            prop_assert_eq!(judged, expected);
        }
    }

    #[test]
    fn nothing_that_anybody_sends_is_accepted_or_panics(
        values in proptest::collection::vec(bytes(60), READ_HEADERS.len()),
        present in any::<u16>(),
        likely in any::<bool>(),
        query in "\\PC{0,40}",
        body in bytes(200),
        get in any::<bool>(),
    ) {
        let mut noise = Delivery {
            method: if get { Method::GET } else { Method::POST },
            url: format!("https://hooks.example.com/in?{query}"),
            headers: http::HeaderMap::new(),
            body,
        };
        for (at, (name, value)) in READ_HEADERS.iter().zip(&values).enumerate() {
            if present & (1 << at) != 0 && let Some(value) = header_value(value) {
                noise.headers.insert(*name, value);
            }
        }
        if likely {
            // Headers that read well, so that noise gets past the parsers.
            let (hex, base64) = ("0".repeat(64), format!("{}=", "A".repeat(27)));
            for (name, value) in [
                ("stripe-signature", format!("t={NOW_SECONDS},v1={hex}")),
                ("x-hub-signature-256", format!("sha256={hex}")),
                ("x-twilio-signature", base64),
                ("content-type", form::MEDIA_TYPE.to_owned()),
            ] {
                noise = noise.with_header(name, &value);
            }
        }
        for sample in testing::all() {
            let provider = sample.provider.as_ref();
            prop_assert!(noise.judge(provider, &sample.secrets, at(0)).is_err());
            let _ = provider.handshake(&noise.request(), &testing::bundle(&sample.secrets), at(0));
        }
    }

    /// Identity and answer are read from whatever a provider chose to sign.
    #[test]
    fn nothing_that_a_provider_signs_panics(
        body in prop_oneof![bytes(200), json_like(), form_like()],
        event in bytes(20),
        delivery_id in bytes(20),
    ) {
        for sample in testing::all() {
            let provider = sample.provider.as_ref();
            if signs_decoded_forms(provider.name(), sample.content_type) && said(&body).is_empty() {
                continue;
            }
            let mut delivery = sample.delivery(&body);
            for (name, value) in [("x-github-event", &event), ("x-github-delivery", &delivery_id)] {
                if let Some(value) = header_value(value) {
                    delivery.headers.insert(name, value);
                }
            }
            let verified = delivery.verified(provider, sample.secrets[0]);
            let identity = provider.identify(&verified);
            // What identifies an event is never the empty text.
            for text in [&identity.idempotency_key, &identity.event_type, &identity.subject] {
                prop_assert_ne!(text.as_deref(), Some(""));
            }
            prop_assert!(provider.reply(&verified).status.is_success());
        }
    }
}

/// JSON with the members that providers read, of any type.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        Just("[[{}]]".to_owned()),
        Just("-1e999".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "\\PC{0,8}".prop_map(|text| serde_json::Value::from(text).to_string()),
        Just(r#"{"object":{"id":"x"},"id":7,"full_name":[],"updated_at":{}}"#.to_owned()),
    ];
    let name = proptest::sample::select(vec![
        "id",
        "type",
        "created",
        "data",
        "related_object",
        "action",
        "repository",
        "issue",
        "timestamp",
        "created_at",
    ]);
    proptest::collection::vec((name, value), 0..8).prop_map(|members| {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    })
}

/// A form with the parameters that Twilio's file reads, and GitHub's.
fn form_like() -> impl Strategy<Value = Vec<u8>> {
    let name = proptest::sample::select(vec![
        "MessageSid",
        "MessageStatus",
        "SmsSid",
        "SmsStatus",
        "CallSid",
        "CallStatus",
        "CallbackSource",
        "payload",
    ]);
    proptest::collection::vec((name, bytes(8)), 0..6).prop_map(|pairs| {
        let pairs: Vec<_> =
            pairs.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)).collect();
        encoded(&pairs)
    })
}
