//! What holds for every text and every byte that comes back from outside: from the
//! queue, the table, a secrets store, an operator's keyboard.
//!
//! Random within bounds that keep the file below a second. A failure prints the
//! input that it was cut down to; `PROPTEST_RNG_SEED` runs the same cases again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::Timestamp;
use crate::config::{Reader, is_source_name};
use crate::event::{Event, EventKey, clean_text, steers};
use crate::form;
use crate::pattern::glob;
use crate::provider::Payload;
use crate::queue::{DeadLetter, Pointer};
use crate::secrets::SecretBundle;
use crate::signature;

fn bounded() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

/// Any text, control characters, quotes and what SQS refuses among it.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..24).prop_map(String::from_iter)
}

fn moment() -> impl Strategy<Value = Timestamp> {
    let latest_ms = 253_402_300_799_999_i64;
    (0..=latest_ms).prop_map(|ms| Timestamp::from_unix_ms(ms).expect("within range"))
}

fn event() -> impl Strategy<Value = Event> {
    let optional = || proptest::option::of(text());
    let texts = (text(), text(), text(), text());
    let options = (optional(), optional(), optional());
    let bytes = proptest::collection::vec(any::<u8>(), 0..64);
    let times = (proptest::option::of(moment()), moment());
    (texts, options, bytes, times).prop_map(|(texts, options, bytes, times)| Event {
        key: EventKey { source: texts.0.replace('#', ""), id: texts.1 },
        provider: texts.2,
        event_type: texts.3.clone(),
        delivery_id: options.0,
        subject: options.1,
        occurred_at: times.0,
        received_at: times.1,
        traceparent: options.2,
        payload: Payload { content_type: texts.3, bytes: bytes.into() },
        headers: BTreeMap::new(),
    })
}

/// A message with some of its members of any type and value.
fn message_like() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just("1.0".to_owned()),
        Just("-1".to_owned()),
        Just("0".to_owned()),
        Just("4294967296".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        any::<u32>().prop_map(|number| number.to_string()),
        text().prop_map(|text| serde_json::Value::from(text).to_string()),
        text().prop_map(|text| serde_json::Value::from(format!("/webhooks/{text}")).to_string()),
    ];
    let name = prop_oneof![Just("id"), Just("source"), Just("life"), Just("data")];
    let whole = [("id", "\"a\""), ("source", "\"/webhooks/a\""), ("life", "1")];
    let whole = BTreeMap::from(whole.map(|(name, value)| (name, value.to_owned())));
    proptest::collection::vec((name, value), 0..3).prop_map(move |altered| {
        let mut members = whole.clone();
        members.extend(altered);
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// What `*` stands for, said by trying every place.
fn glob_by_trial(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|at| glob_by_trial(rest, &text[at..])),
        Some((first, rest)) => text.first() == Some(first) && glob_by_trial(rest, &text[1..]),
    }
}

proptest! {
    #![proptest_config(bounded())]

    #[test]
    fn what_a_message_says_is_what_is_read_from_it(event in event(), life in 1..=u32::MAX) {
        let body = Pointer::body(&event, life);
        let pointer = Pointer { key: event.key.clone(), life };
        prop_assert_eq!(Pointer::parse(&body), Ok(pointer));
        // One whole event, whatever it holds.
        let whole: serde_json::Value = serde_json::from_str(&event.to_cloudevent()).unwrap();
        prop_assert_eq!(whole["id"].as_str(), Some(event.key.id.as_str()));
        prop_assert_eq!(EventKey::parse(&event.key.to_string()), Some(event.key));
    }

    #[test]
    fn a_message_of_anybody_is_read_or_refused_with_a_reason_that_sqs_takes(
        body in prop_oneof![text(), message_like()],
    ) {
        match Pointer::parse(&body) {
            Ok(pointer) => prop_assert!(pointer.life > 0),
            Err(reason) => {
                let letter = DeadLetter::unreadable(body.clone(), &reason);
                prop_assert_eq!(letter.body, body);
                prop_assert_eq!(letter.attributes, [("error", reason)]);
            }
        }
    }

    #[test]
    fn a_dead_letter_has_no_attribute_that_sqs_refuses(
        event in event(), life in 1..u32::MAX, error in text(), attempts in any::<u32>(),
    ) {
        let letter = DeadLetter::buried(&event, life, attempts, &error);
        prop_assert_eq!(Pointer::parse(&letter.body).unwrap().life, life + 1);
        for (name, value) in letter.attributes {
            prop_assert!(!value.is_empty(), "{}", name);
            let refused = |c: char| c.is_control() || ('\u{FFFE}'..='\u{FFFF}').contains(&c);
            prop_assert!(!value.contains(refused), "{}", name);
        }
    }

    #[test]
    fn clean_text_is_short_has_no_control_characters_and_is_clean_already(
        text in text(), most in 0_usize..30,
    ) {
        let clean = clean_text(&text, most);
        prop_assert!(clean.chars().count() <= most);
        prop_assert!(!clean.contains(steers));
        prop_assert_eq!(clean_text(&clean, most), clean.clone());
        // Nothing is added, and what is kept stays in order.
        let mut rest = text.chars();
        prop_assert!(clean.chars().all(|kept| rest.any(|c| c == kept)));
    }

    #[test]
    fn every_moment_survives_both_of_its_spellings(moment in moment()) {
        prop_assert_eq!(Timestamp::parse_decimal_seconds(&moment.to_decimal_seconds()), Some(moment));
        prop_assert_eq!(Timestamp::parse_rfc3339(&moment.to_rfc3339()), Some(moment));
        let seconds = moment.unix_seconds();
        prop_assert_eq!(
            signature::decode_unix_seconds(&seconds.to_string()).map(Timestamp::unix_seconds),
            Some(seconds)
        );
    }

    #[test]
    fn a_text_that_is_no_moment_is_refused_and_never_wrapped(
        text in prop_oneof![text(), "[-+0-9.eT:Z]{0,24}"],
    ) {
        for moment in [
            Timestamp::parse_decimal_seconds(&text),
            Timestamp::parse_rfc3339(&text),
            signature::decode_unix_seconds(&text),
        ].into_iter().flatten() {
            prop_assert_eq!(Timestamp::from_unix_ms(moment.unix_ms()), Some(moment));
        }
    }

    #[test]
    fn hex_base64_and_seconds_have_one_spelling(text in "[0-9a-fA-F+/= .]{0,12}") {
        use base64::Engine as _;
        let encode = |bytes| base64::engine::general_purpose::STANDARD.encode(bytes);
        if let Some(bytes) = signature::decode_hex(&text) {
            prop_assert_eq!(hex::encode(bytes), text.clone());
        }
        if let Some(bytes) = signature::decode_base64(&text) {
            prop_assert_eq!(encode(bytes), text.clone());
        }
        if let Some(moment) = signature::decode_unix_seconds(&text) {
            prop_assert_eq!(moment.unix_seconds().to_string(), text);
        }
    }

    #[test]
    fn a_key_is_split_at_its_first_hash_only(text in text()) {
        match EventKey::parse(&text) {
            Some(key) => {
                prop_assert!(!key.source.contains('#'));
                prop_assert_eq!(key.to_string(), text);
            }
            None => prop_assert!(!text.contains('#')),
        }
    }

    #[test]
    fn a_pattern_matches_what_trying_every_place_matches(
        pattern in "[ab*]{0,7}", text in "[ab]{0,9}",
    ) {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = glob_by_trial(&characters(&pattern), &characters(&text));
        prop_assert_eq!(glob(&pattern, &text), expected);
    }

    #[test]
    fn any_pattern_takes_any_text_without_a_panic(pattern in text(), text in text()) {
        let _ = glob(&pattern, &text);
        let plain = text.replace('*', "");
        let begun = format!("{plain}*");
        prop_assert!(glob("*", &text) && glob(&begun, &plain) && glob(&begun, &text[..0]) == plain.is_empty());
    }

    #[test]
    fn a_form_keeps_every_pair_that_it_was_made_of(
        pairs in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 1..5), proptest::collection::vec(any::<u8>(), 0..6)),
            0..6,
        ),
        junk in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let escape = |bytes: &[u8]| {
            percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let written: Vec<_> =
            pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
        let written = written.join("&");
        let read: Vec<_> = form::pairs(written.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        prop_assert_eq!(read, pairs);
        prop_assert!(form::pairs(&junk).count() <= junk.len());
    }

    #[test]
    fn a_stored_secret_of_any_form_is_read_or_refused_and_never_quoted(
        noise in text(), secret in "[a-z0-9]{12,24}",
    ) {
        let noise = serde_json::Value::from(noise);
        for json in [
            noise.to_string(),
            format!(r#"{{"signing_secrets":[{noise},"{secret}"]}}"#),
            format!(r#"{{"signing_secrets":"{secret}"}}"#),
            format!(r#"{{"signing_secrets":["{secret}",7]}}"#),
            format!(r#"{{"signing_secrets":["{secret}"],{noise}:{noise}}}"#),
            format!(r#"{{"signing_secrets":["{secret}"],{noise}:["{secret}"]}}"#),
            format!(r#"{{"signing_secrets":["{secret}"#),
            secret.clone(),
        ] {
            match SecretBundle::parse(&json) {
                Ok(bundle) => {
                    prop_assert!(bundle.signing_secrets().iter().all(|it| !it.expose().is_empty()));
                    let shown = format!("{bundle:?}");
                    prop_assert!(!shown.contains(&secret), "{}", shown);
                }
                Err(fault) => {
                    let told = format!("{fault} {fault:?}");
                    prop_assert!(!told.contains(&secret), "{}", told);
                }
            }
        }
    }

    #[test]
    fn settings_of_any_text_are_read_or_named(value in text()) {
        let mut reader = Reader::new(|_| Some(value.clone()));
        let days: u32 = reader.number("DAYS", 30, 15..=99);
        prop_assert!((15..=99).contains(&days));
        let delays: Vec<u32> = reader.numbers("DELAYS", &[1], 0..=900);
        prop_assert!(delays.iter().all(|delay| *delay <= 900));
        if is_source_name(&value) {
            let key = EventKey { source: value.clone(), id: "#".into() };
            prop_assert_eq!(EventKey::parse(&key.to_string()), Some(key));
        }
    }
}
