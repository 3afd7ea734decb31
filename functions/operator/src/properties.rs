//! Whatever somebody hands to `inbox verify` is judged or refused, without a panic
//! and without a word of a secret.

use inbox_core::Timestamp;
use inbox_core::provider::Unsigned;
use inbox_core::secrets::{Secret, SecretBundle};
use inbox_receiver::providers;
use proptest::prelude::*;

use crate::captured::Captured;
use crate::diagnosis::Case;
use crate::records;
use crate::rotation::Rotation;

/// Fits every provider: the content between the prefix and the end is base64.
const SECRET: &str = "whsec_Rk9SIFRFU1RTIE9OTFk6IDI0IGJ5dGVz";

fn bounded() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_772_366_400).unwrap()
}

/// A request as each provider would send it, as raw HTTP.
fn raw(provider: &str, body: &[u8]) -> Vec<u8> {
    let found = providers::find(provider).unwrap();
    let content_type = "application/json";
    let url = found.address("https://h.example/in", content_type, body);
    let unsigned =
        Unsigned { url: &url, content_type, body, id: "id_1", event_type: "a", now: now() };
    let mut raw = format!("POST {url} HTTP/1.1\ncontent-type: {content_type}\n");
    for (name, value) in found.sign(&unsigned, &Secret::new(SECRET.to_owned())) {
        raw = raw + name + ": " + &value + "\n";
    }
    [raw.as_bytes(), b"\n", body].concat()
}

fn judge(provider: &str, captured: &Captured) -> Option<String> {
    let provider = providers::find(provider).unwrap();
    let secrets = SecretBundle::of(vec![Secret::new(SECRET.to_owned())]).unwrap();
    let case = Case { provider: provider.as_ref(), captured, secrets: &secrets, now: now() };
    let rejection = case.judge().err()?;
    let reasons = case.reasons(rejection);
    let told: Vec<_> = reasons.into_iter().flat_map(|it| [it.finding, it.advice]).collect();
    Some(told.join("\n"))
}

#[test]
fn what_is_written_as_raw_http_is_what_was_signed() {
    for provider in providers::names() {
        let captured = Captured::parse(&raw(provider, b"{\"a\":1}\r\n\r\n")).unwrap();
        assert_eq!(judge(provider, &captured), None, "{provider}");
    }
}

proptest! {
    #![proptest_config(bounded())]

    #[test]
    fn anything_is_a_captured_request_or_is_refused_without_being_quoted(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "(\\PC|\n|\r|:){0,80}",
    ) {
        for input in [bytes.as_slice(), text.as_bytes()] {
            match Captured::parse(input) {
                Ok(captured) => {
                    for provider in providers::names() {
                        prop_assert!(judge(provider, &captured).is_some());
                    }
                }
                Err(told) => prop_assert!(told.len() < 200, "{}", told),
            }
        }
        let _ = records::judge(&text, now);
        let _ = Rotation::parse(&text);
    }

    #[test]
    fn an_altered_request_is_explained_without_a_word_of_the_secret(
        body in "(\\PC|\n| ){0,60}",
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for provider in providers::names() {
            let mut raw = raw(provider, body.as_bytes());
            for (place, byte) in &changes {
                let place = place.index(raw.len());
                raw[place] = *byte;
            }
            let Ok(captured) = Captured::parse(&raw) else { continue };
            let told = judge(provider, &captured).unwrap_or_default();
            prop_assert!(!told.contains(SECRET) && !told.contains(&SECRET[6..]), "{}", told);
            let shown = format!("{captured:?}");
            prop_assert!(shown.starts_with("Request { method: "), "{}", shown);
        }
    }

    #[test]
    fn a_line_of_many_is_judged_or_refused_without_a_word_of_the_secret(
        member in proptest::sample::select(
            vec!["id", "provider", "secrets", "url", "method", "headers", "body", "body_base64", "now"],
        ),
        value in prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            "\\PC{0,12}".prop_map(serde_json::Value::from),
            Just(serde_json::json!([["x"]])),
            Just(serde_json::json!({"x": ["y", "z"], "bad name": "\n"})),
        ],
    ) {
        for provider in providers::names() {
            let mut line = serde_json::json!({
                "id": 1, "provider": provider, "secrets": [SECRET], "url": "https://h.example/in",
                "method": "POST", "headers": {"content-type": "application/json"}, "body": "{}",
                "now": 1_772_366_400,
            });
            line[member] = value.clone();
            let told = match records::judge(&line.to_string(), now) {
                Ok(judged) => {
                    prop_assert_eq!(judged.verdict, "invalid");
                    judged.reason.unwrap_or_default()
                }
                Err(told) => told,
            };
            prop_assert!(!told.contains(SECRET) && !told.contains(&SECRET[6..]), "{}", told);
        }
    }
}
