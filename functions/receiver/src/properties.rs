//! What holds for whatever API Gateway hands over, before any provider is asked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method};
use inbox_core::request::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::gateway::GatewayEvent;
use crate::json;
use crate::trace::traceparent;

fn bounded() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..16).prop_map(String::from_iter)
}

/// Any JSON, three deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let name = prop_oneof![text(), "[abc]{1}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn not_empty(text: Option<&Value>) -> Option<String> {
    text.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn event(member: &str, value: &Value) -> Value {
    let mut event = json!({
        "rawPath": "/webhooks/shop",
        "rawQueryString": "a=1",
        "headers": { "x-a": "b" },
        "requestContext": { "http": { "method": "POST" } },
        "body": "eA==",
        "isBase64Encoded": true,
    });
    event[member] = value.clone();
    event
}

proptest! {
    #![proptest_config(bounded())]

    #[test]
    fn an_event_of_any_shape_is_read_or_refused(
        member in proptest::sample::select(
            vec!["rawPath", "rawQueryString", "headers", "requestContext", "body", "isBase64Encoded"],
        ),
        value in value(),
    ) {
        for event in [event(member, &value), value] {
            let Ok(event) = serde_json::from_value::<GatewayEvent>(event) else { continue };
            if let Err(refusal) = event.into_request() {
                prop_assert_eq!(refusal.to_string(), "malformed_request");
                prop_assert_eq!(refusal.to_reply().status, 400);
            }
        }
    }

    #[test]
    fn body_query_and_path_reach_the_provider_as_they_were_sent(
        body in proptest::collection::vec(any::<u8>(), 0..64),
        text in text(),
        query in text(),
        path in text(),
    ) {
        let sent = [(json!(STANDARD.encode(&body)), true, body), (json!(text), false, text.into_bytes())];
        for (member, is_base64, expected) in sent {
            let mut event = event("body", &member);
            event["isBase64Encoded"] = is_base64.into();
            event["rawQueryString"] = query.clone().into();
            event["rawPath"] = path.clone().into();
            let event: GatewayEvent = serde_json::from_value(event).unwrap();
            let (found, request) = event.into_request().map_err(|it| it.to_string()).unwrap();
            prop_assert_eq!(request.body().as_ref(), expected.as_slice());
            prop_assert_eq!((found.as_str(), request.raw_query()), (path.as_str(), query.as_str()));
        }
    }

    /// In no other order and with nothing added, whatever the case of the names.
    #[test]
    fn repeated_headers_read_as_one_list(values in proptest::collection::vec("[ -~]{0,8}", 1..5)) {
        let mut headers = HeaderMap::new();
        for value in &values {
            headers.append("x-many", HeaderValue::from_str(value).unwrap());
        }
        let request = Request::new(Method::POST, String::new(), headers, "".into());
        let (found, joined) = (request.header("X-Many"), values.join(","));
        prop_assert_eq!(found.as_deref(), Some(joined.as_str()));
    }

    #[test]
    fn a_trace_context_is_made_of_hex_whatever_is_sent(
        sent in prop_oneof![text(), "00-[0-9a-g]{32}-[0-9a-f]{16}-0[01]", "Root=1-[0-9a-g]{8}-[0-9a-f]{24};Sampled=[01?]"],
        name in proptest::sample::select(vec!["traceparent", "x-amzn-trace-id"]),
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(sent.as_bytes()) {
            headers.insert(name, value);
        }
        let request = Request::new(Method::POST, String::new(), headers, "".into());
        if let Some(found) = traceparent(&request) {
            prop_assert_eq!(found.len(), 55);
            prop_assert!(found.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
        }
    }

    /// The reader that trusts nothing agrees with one that reads everything.
    #[test]
    fn members_are_those_that_a_whole_parser_finds(value in value()) {
        let written = value.to_string();
        let [a, b] = json::members(written.as_bytes(), ["a", "b"]);
        for (member, name) in [(a, "a"), (b, "b")] {
            let found = value.get(name);
            prop_assert_eq!(member.is_there(), found.is_some());
            prop_assert_eq!(member.text(), not_empty(found));
            prop_assert_eq!(member.flag(), found.and_then(Value::as_bool));
            let inner = found.and_then(|found| found.get("c"));
            prop_assert_eq!(member.member("c").text(), not_empty(inner));
            let _ = member.moment();
        }
    }

    #[test]
    fn bytes_that_are_no_object_have_no_members(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        noise in "[\\[{}\\]\":,ab0 \\\\]{0,40}",
    ) {
        for bytes in [bytes.as_slice(), noise.as_bytes()] {
            let [a] = json::members(bytes, ["a"]);
            let whole: Result<serde_json::Map<String, Value>, _> = serde_json::from_slice(bytes);
            if let Ok(whole) = whole {
                prop_assert_eq!(a.is_there(), whole.contains_key("a"));
            }
            let _ = (a.text(), a.flag(), a.moment(), a.member("b").text());
        }
    }
}
