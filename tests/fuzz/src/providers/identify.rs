//! Whatever a provider chose to sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inbox_core::queue::Pointer;
use inbox_receiver::config::Dedup;
use serde_json::json;

use super::endpoint::{self, URL};
use super::testing::{self, Delivery, header_value};
use crate::choice;

/// Signs the input as a body, with further headers, and lets the receiver have
/// it. Up to the first empty line stand values of the headers that nobody signs.
///
/// # Panics
///
/// When it is refused, or what is kept is not fit for table, queue and logs.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = choice(data) else { return };
    let all = testing::all();
    let sample = &all[first % all.len()];
    let end = rest.windows(2).position(|two| two == b"\n\n");
    let (values, body) = end.map_or((&b""[..], rest), |end| (&rest[..end], &rest[end + 2..]));
    if body.len() > 100_000 || body.len() > 9_000 && sample.facts.signs_decoded_forms {
        return;
    }
    // One whose first parameter could be the end of a URL is refused.
    if !sample.facts.could_send(sample.content_type, body) {
        return;
    }
    let mut url = URL.to_owned();
    // A form of separators alone is covered by nothing, and refused.
    if sample.facts.decodes(sample.content_type) {
        if !body.is_empty() && body.iter().all(|byte| *byte == b'&') {
            return;
        }
    } else {
        url = sample.facts.cover(&url, body);
    }
    let provider = sample.provider.as_ref();
    let mut signed =
        Delivery::signed_to(provider, sample.secrets[0], sample.content_type, body, &url);
    let unsigned = sample.facts.unsigned_headers.iter().map(String::as_str);
    let others = ["user-agent", "traceparent", "x-amzn-trace-id"];
    for (name, value) in unsigned.chain(others).zip(values.split(|byte| *byte == b'\n')) {
        if let Some(value) = header_value(value) {
            signed.headers.insert(name, value);
        }
    }
    for dedup in [Dedup::Id, Dedup::Content] {
        check(sample, &signed, dedup);
    }
}

fn check(sample: &testing::Sample, signed: &Delivery, dedup: Dedup) {
    let request = signed.request();
    let text = |name: &str| request.header(name).unwrap_or_default().into_owned();
    let headers: serde_json::Map<_, _> =
        signed.headers.keys().map(|name| (name.to_string(), json!(text(name.as_str())))).collect();
    let event = serde_json::from_value(json!({
        "rawPath": "/webhooks/shop",
        "rawQueryString": request.raw_query(),
        "headers": headers,
        "requestContext": { "http": { "method": "POST" } },
        "body": STANDARD.encode(&signed.body),
        "isBase64Encoded": true,
    }));
    let (reply, kept, sent) = endpoint::receive(sample, event.expect("an event"), dedup);
    assert!(reply.status.is_success(), "{}: {}", sample.provider.name(), reply.status);
    let [event] = kept.as_slice() else { panic!("one event is kept") };
    // Fit for keys, queue and terminals.
    assert!((1..=256).contains(&event.key.id.len()), "{}", event.key);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:=+/@-".contains(&byte);
    assert!(event.key.id.bytes().all(is_plain) && !event.key.id.starts_with('-'), "{}", event.key);
    for text in [&event.event_type].into_iter().chain(&event.subject).chain(&event.delivery_id) {
        assert!(!text.contains(inbox_core::event::steers), "{text:?}");
    }
    assert!(!event.event_type.is_empty());
    let [(pointer, body)] = sent.as_slice() else { panic!("one message is sent") };
    assert_eq!(Pointer::parse(body).as_ref(), Ok(pointer));
    assert_eq!(pointer.key, event.key);
    let whole = event.to_cloudevent();
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(&whole).is_ok());
}
