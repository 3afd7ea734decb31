//! What holds for every provider, whatever is sent.
//!
//! A property over all bits is tried on all bits; the rest is random within
//! bounds that keep the whole file at seconds.

use std::collections::BTreeSet;

use http::{HeaderName, Method};
use inbox_core::Timestamp;
use inbox_core::provider::{Rejection, Unsigned};
use proptest::prelude::*;

use super::facts::{self, Facts, KeySource};
use super::mutations::said;
use super::testing::{self, Delivery, at, header_value};
use inbox_core::form;

const JSON: &str = "application/json";
const MISMATCH: Rejection = Rejection::SignatureMismatch { fresh: true };

fn bounded() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

/// All headers that any of the providers reads.
fn read_headers() -> BTreeSet<&'static str> {
    let own = super::names().flat_map(|name| facts::of(name).headers());
    own.chain(["content-type"]).collect()
}

/// Every version of `bytes` with one bit changed.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

#[test]
fn any_flipped_bit_of_the_signature_or_a_signed_header_is_refused() {
    for sample in testing::all() {
        let provider = sample.provider.as_ref();
        let genuine = sample.delivery(b"a=1&b=2");
        for name in sample.facts.covered_headers() {
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
    for sample in testing::all().iter().filter(|sample| sample.provider.signs_url()) {
        let (provider, [secret, _]) = (sample.provider.as_ref(), sample.secrets);
        // No other body is covered without a hash of it.
        let body = if sample.facts.decodes(sample.content_type) { &b"a=1"[..] } else { b"" };
        let url = "https://user:pw@hooks.example.com/in?a=%27&b=2";
        let genuine = Delivery::signed_to(provider, secret, sample.content_type, body, url);
        assert_eq!(genuine.judge(provider, &[secret], at(0)), Ok(()));
        for flipped in flips(url.as_bytes()).filter_map(|bytes| String::from_utf8(bytes).ok()) {
            let altered = Delivery { url: flipped, ..genuine.clone() };
            let judged = altered.judge(provider, &[secret], at(0));
            assert_eq!(judged, Err(MISMATCH), "{}", altered.url);
        }
    }
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

/// An id as senders make them: no full stop, no white space.
const ID: &str = "[!-\\-/-~]{1,40}";

proptest! {
    #![proptest_config(bounded())]

    #[test]
    fn any_flipped_bit_of_the_body_is_refused(body in proptest::collection::vec(any::<u8>(), 1..40)) {
        for sample in testing::all() {
            let provider = sample.provider.as_ref();
            if sample.facts.decodes(sample.content_type) {
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

    /// Where what a form decodes to is signed, a flipped bit is refused exactly
    /// if it changes the set of decoded parameters; `%2B` and `%2b` are one.
    #[test]
    fn a_flipped_bit_of_a_decoded_form_is_refused_unless_it_says_the_same(
        parameters in proptest::collection::vec((bytes(4), bytes(6)), 1..4),
    ) {
        let named = parameters.into_iter().map(|(name, value)| ([b"n", &name[..]].concat(), value));
        let body = encoded(&named.collect::<Vec<_>>());
        for sample in testing::all().iter().filter(|it| it.facts.decodes(it.content_type)) {
            let (provider, [secret, _]) = (sample.provider.as_ref(), sample.secrets);
            let genuine = Delivery::signed(provider, secret, form::MEDIA_TYPE, &body);
            prop_assert_eq!(genuine.judge(provider, &[secret], at(0)), Ok(()));
            for flipped in flips(&body) {
                let same = said(&flipped) == said(&body);
                let altered = Delivery { body: flipped, ..genuine.clone() };
                let judged = altered.judge(provider, &[secret], at(0));
                prop_assert_eq!(judged.is_ok(), same, "{:?}: {:?}", altered, judged);
            }
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
            let (provider, facts) = (super::find(name).unwrap(), facts::of(name));
            let secret = facts.secret(&key);
            for content_type in [JSON, form::MEDIA_TYPE] {
                if !facts.could_send(content_type, &body) {
                    continue;
                }
                let mut url = format!("https://hooks.example.com/in?{query}");
                if !facts.decodes(content_type) || said(&body).is_empty() {
                    url = facts.cover(&url, &body);
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
                // An id in the body is not looked for: the body is noise here.
                let verified = delivery.request().verify(provider.as_ref(), &testing::bundle(&[&secret]), now).unwrap();
                let identity = provider.identify(&verified);
                if facts.idempotency_key == KeySource::Header {
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
            let mut secrets: Vec<_> = wrong.iter().map(|random| sample.facts.secret(random)).collect();
            secrets.push(junk.clone());
            let wrong: Vec<_> = secrets.iter().map(String::as_str).collect();
            prop_assert_eq!(delivery.judge(provider, &wrong, at(0)), Err(MISMATCH));
            let mut held = wrong.clone();
            held.insert(place.index(held.len() + 1), sample.secrets[0]);
            prop_assert_eq!(delivery.judge(provider, &held, at(0)), Ok(()));
        }
    }

    #[test]
    fn a_timestamp_is_stale_exactly_beyond_its_tolerance(
        offset in -400..400_i64,
        beyond in -1..=1_i64,
    ) {
        for sample in testing::all() {
            let provider = sample.provider.as_ref();
            let tolerance = sample.facts.tolerance_seconds;
            let edge = tolerance.unwrap_or_default() + beyond;
            for offset in [offset, edge, -edge] {
                let judged = sample.delivery(b"a=1").judge(provider, &sample.secrets[..1], at(offset));
                let expected = if tolerance.is_some_and(|seconds| offset.abs() > seconds) {
                    Err(Rejection::StaleTimestamp)
                } else {
                    Ok(())
                };
                prop_assert_eq!(judged, expected, "{} after {} s", provider.name(), offset);
            }
        }
    }

    #[test]
    fn nothing_that_anybody_sends_is_accepted_or_panics(
        values in proptest::collection::vec(proptest::option::of(bytes(60)), read_headers().len()),
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
        for (name, value) in read_headers().into_iter().zip(&values) {
            if let Some(value) = value.as_deref().and_then(header_value) {
                noise.headers.insert(name, value);
            }
        }
        if likely {
            // Signatures that read well, so that noise gets past the parsers:
            // they are by somebody who holds other secrets.
            for sample in testing::all() {
                let stranger = sample.facts.secret(&[7; 32]);
                let provider = sample.provider.as_ref();
                let by_stranger = Delivery::signed(provider, &stranger, form::MEDIA_TYPE, b"a=1");
                for name in sample.facts.covered_headers() {
                    noise.headers.insert(name, by_stranger.headers[name].clone());
                }
            }
            noise = noise.with_header("content-type", form::MEDIA_TYPE);
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
        values in proptest::collection::vec(bytes(20), 4),
    ) {
        for sample in testing::all() {
            let provider = sample.provider.as_ref();
            let is_empty = sample.facts.decodes(sample.content_type) && said(&body).is_empty();
            if is_empty || !sample.facts.could_send(sample.content_type, &body) {
                continue;
            }
            let mut delivery = sample.delivery(&body);
            for (name, value) in sample.facts.unsigned_headers.iter().zip(values.iter().cycle()) {
                if let Some(value) = header_value(value) {
                    delivery.headers.insert(name.as_str(), value);
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

/// JSON with the members that providers read, of any type, three deep.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        Just("[[{}]]".to_owned()),
        Just("-1e999".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "\\PC{0,8}".prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    let inner = json_object(leaf.clone(), 4);
    let middle = json_object(prop_oneof![leaf.clone(), inner.clone()], 4);
    json_object(prop_oneof![2 => leaf, 1 => inner, 1 => middle], 12).prop_map(String::into_bytes)
}

/// Fewer than `most` members, with those names.
fn json_object(
    value: impl Strategy<Value = String> + 'static,
    most: usize,
) -> BoxedStrategy<String> {
    let member = (name_of(|facts| &facts.json_members), value);
    let members = proptest::collection::vec(member, 0..most);
    let join = |members: Vec<(&str, String)>| {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    members.prop_map(join).boxed()
}

/// A form with the parameters that providers read.
fn form_like() -> impl Strategy<Value = Vec<u8>> {
    let name = name_of(|facts| &facts.form_parameters);
    proptest::collection::vec((name, bytes(8)), 0..6).prop_map(|pairs| {
        let pairs: Vec<_> =
            pairs.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)).collect();
        encoded(&pairs)
    })
}

/// One of the names that any of the providers reads.
fn name_of(names: fn(&'static Facts) -> &'static [String]) -> impl Strategy<Value = &'static str> {
    let all: BTreeSet<_> = super::names().flat_map(|name| names(facts::of(name))).collect();
    proptest::sample::select(all.into_iter().map(String::as_str).collect::<Vec<_>>())
}
