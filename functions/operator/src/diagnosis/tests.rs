//! One thing is wrong in each of these requests, and that is what is told first.

use http::{HeaderName, HeaderValue};
use inbox_core::provider::Unsigned;
use inbox_core::secrets::Secret;
use inbox_receiver::providers;

use super::*;

const NOW_SECONDS: i64 = 1_772_366_400;
const JSON: &str = r#"{"id":"evt_1","note":"ä/b","data":{"object":{"id":"in_1"}}}"#;
const FORM: &str = "application/x-www-form-urlencoded";
/// A secret that every scheme takes.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn at(offset_seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW_SECONDS + offset_seconds).unwrap()
}

/// A request as this provider would have sent it.
fn signed(name: &str, secret: &str, content_type: &str, body: &str) -> Captured {
    signed_to(name, secret, content_type, body, "https://hooks.example.com/in")
}

fn signed_to(name: &str, secret: &str, content_type: &str, body: &str, url: &str) -> Captured {
    let provider = providers::find(name).unwrap();
    let url = provider.address(url, content_type, body.as_bytes());
    let unsigned = Unsigned {
        url: &url,
        content_type,
        body: body.as_bytes(),
        id: "id_1",
        event_type: "push",
        now: at(0),
    };
    let mut captured = Captured::parse(b"X-Any: header\n\n").unwrap();
    captured.headers.insert("content-type", content_type.parse().unwrap());
    for (name, value) in provider.sign(&unsigned, &Secret::new(secret.into())) {
        captured.headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    captured.body = body.to_owned().into();
    captured.set_url(&url);
    captured
}

/// Signed by a provider that signs raw JSON.
fn stripe() -> Captured {
    signed("stripe", SECRET, "application/json", JSON)
}

fn reasons(name: &str, captured: &Captured, secret: &str, now: Timestamp) -> Vec<Reason> {
    let provider = providers::find(name).unwrap();
    let secrets = SecretBundle::of(vec![Secret::new(secret.into())]).unwrap();
    let case = Case { provider: provider.as_ref(), captured, secrets: &secrets, now };
    let rejection = case.judge().expect_err("it should be refused");
    let reasons = case.reasons(rejection);
    let told = format!("{reasons:?}");
    assert!(!told.contains(secret.trim()), "the secret is quoted: {told}");
    reasons
}

/// What is told first, which must be certain.
#[track_caller]
fn certain(name: &str, captured: &Captured, secret: &str) -> String {
    let reasons = reasons(name, captured, secret, at(0));
    assert!(reasons[0].certain, "{reasons:?}");
    reasons[0].finding.clone()
}

fn with_body(captured: &Captured, body: impl Into<Vec<u8>>) -> Captured {
    Captured { body: body.into().into(), ..captured.clone() }
}

fn with_header(captured: &Captured, name: &'static str, value: &str) -> Captured {
    let mut captured = captured.clone();
    captured.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    captured
}

#[test]
fn what_was_signed_verifies_for_every_provider_and_says_by_which_secret() {
    for name in providers::names() {
        let provider = providers::find(name).unwrap();
        let captured = signed(name, SECRET, "application/json", JSON);
        let other = Secret::new("whsec_YW5vdGhlciBzZWNyZXQsIDI0IGJ5dGUh".into());
        let secrets = SecretBundle::of(vec![other, Secret::new(SECRET.into())]).unwrap();
        let case = Case {
            provider: provider.as_ref(),
            captured: &captured,
            secrets: &secrets,
            now: at(0),
        };
        assert_eq!(case.judge(), Ok(()), "{name}");
        assert_eq!(case.signed_by(), Some(2), "{name}");
    }
}

#[test]
fn a_key_beside_the_signing_secrets_is_none_of_them() {
    use base64::Engine as _;
    let mut captured = signed("twilio", SECRET, FORM, "MessageSid=SM1");
    let settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256";
    let signed = b"https://hooks.example.com/inMessageSidSM1";
    let mac = inbox_core::signature::hmac(
        inbox_core::signature::Hash::Sha256,
        b"a shared secret key",
        &[signed.as_slice()],
    );
    let mac = base64::engine::general_purpose::STANDARD.encode(mac);
    captured = with_header(&captured, "x-twilio-signature", &mac);
    captured = with_header(&captured, "x-twilio-webhooks-signature-settings", settings);
    let json = r#"{"signing_secrets":["12345"],"webhooks_sharedkey_1":"a shared secret key"}"#;
    let secrets = SecretBundle::parse(json).unwrap();
    let provider = providers::find("twilio").unwrap();
    let case =
        Case { provider: provider.as_ref(), captured: &captured, secrets: &secrets, now: at(0) };
    assert_eq!((case.judge(), case.signed_by()), (Ok(()), None));
}

#[test]
fn line_ends_and_encodings_of_the_body_are_found_for_every_provider_that_signs_it_raw() {
    for name in ["stripe", "github", "standard_webhooks"] {
        let genuine = signed(name, SECRET, "application/json", JSON);
        let base64 = {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(JSON)
        };
        let chunked = format!("{:x}\r\n{JSON}\r\n0\r\n\r\n", JSON.len());
        let latin: String = JSON.bytes().map(char::from).collect();
        for (body, part) in [
            (format!("{JSON}\n"), "a line end behind it"),
            (format!("{JSON}\r\n"), "a line end behind it"),
            (format!("\n {JSON} "), "white space around it"),
            (format!("\u{FEFF}{JSON}"), "byte order mark"),
            (base64, "still in base64"),
            (chunked, "in the chunks"),
            (latin, "read as Latin-1"),
            (serde_json::Value::from(JSON).to_string(), "a JSON text of its own"),
        ] {
            let told = certain(name, &with_body(&genuine, body), SECRET);
            assert!(told.contains(part), "{name}: {told}");
        }
        let ended = signed(name, SECRET, "application/json", "{\n}\n");
        for (body, part) in
            [("{\n}", "lacks the line end"), ("{\r\n}\r\n", "are CRLF and were signed as LF")]
        {
            let told = certain(name, &with_body(&ended, body), SECRET);
            assert!(told.contains(part), "{name}: {told}");
        }
    }
}

#[test]
fn json_written_anew_is_recognised_by_what_the_sender_signed() {
    let compact = r#"{"b":"ä/<","a":[1.0,{}]}"#;
    for (sent, style) in [
        (compact, "compact JSON,"),
        (r#"{"b": "\u00e4/<", "a": [1.0, {}]}"#, "a space behind each comma and colon, all beyond"),
        (r#"{"b":"\u00e4\/<","a":[1.0,{}]}"#, "compact JSON, slashes and all beyond ASCII escaped"),
        (r#"{"b":"ä/\u003c","a":[1.0,{}]}"#, "compact JSON, < > & escaped"),
        ("{\n  \"b\": \"ä/<\",\n  \"a\": [\n    1.0,\n    {}\n  ]\n}", "JSON indented by 2,"),
    ] {
        let genuine = signed("stripe", SECRET, "application/json", sent);
        let anew = "{ \"b\":\"ä/<\",\t\"a\":[ 1.0,{}]}";
        let told = certain("stripe", &with_body(&genuine, anew), SECRET);
        assert!(told.starts_with("The body was re-serialised: as "), "{told}");
        assert!(told.contains(style), "{told}");
    }
}

#[test]
fn a_secret_in_another_spelling_is_found() {
    let captured = stripe();
    for (secret, part) in [
        (format!("\"{SECRET}\""), "has quotes around it"),
        (format!("{SECRET}\n"), "has white space around it"),
        (format!(" {SECRET}"), "has white space around it"),
        (format!("{SECRET}\\n"), "a written-out \\n"),
        (SECRET.replace("whsec_", ""), "lacks its prefix"),
    ] {
        let told = certain("stripe", &captured, &secret);
        assert!(told.starts_with("Secret 1 ") && told.contains(part), "{told}");
    }
    let bare = signed("github", "abc", "application/json", JSON);
    let told = certain("github", &bare, "whsec_abc");
    assert!(told.contains("begins with whsec_"), "{told}");
    let ended = signed("github", "abc\n", "application/json", JSON);
    assert!(certain("github", &ended, "abc").contains("lacks the line end"));
}

#[test]
fn a_secret_of_another_kind_is_told_and_not_quoted() {
    let captured = stripe();
    let told = certain("stripe", &captured, "sk_live_0123456789");
    assert!(told.starts_with("Secret 1 is an API key"), "{told}");
    // A Standard Webhooks secret given for Stripe.
    let told = reasons("stripe", &captured, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa/w", at(0));
    assert!(told[0].finding.contains("Standard Webhooks"), "{told:?}");
}

#[test]
fn a_signature_too_old_or_too_early_is_told_with_the_distance_and_what_to_give() {
    let captured = stripe();
    let told = reasons("stripe", &captured, SECRET, at(432));
    assert_eq!(
        told,
        [Reason::certain(
            "The signature is right, and it was signed 7 min 12 s before now, where 5 min are allowed",
            format!(
                "judge it as of then with --now {NOW_SECONDS}; if it has just arrived, a clock is \
                 wrong, or something held it back"
            ),
        )]
    );
    let early = reasons("stripe", &captured, SECRET, at(-301));
    assert!(early[0].finding.contains("signed 5 min 1 s after now"), "{early:?}");
    // Another fault is found all the same, and the age is told.
    let both = reasons("stripe", &with_body(&captured, format!("{JSON}\n")), SECRET, at(432));
    assert!(both[0].finding.contains("a line end behind it"), "{both:?}");
    assert!(
        both.iter().any(|it| it.finding.starts_with("Besides, it was signed 7 min")),
        "{both:?}"
    );
}

#[test]
fn missing_headers_are_named_and_renamed_ones_recognised() {
    let told = certain("github", &with_body(&stripe(), JSON), SECRET);
    assert!(told.contains("is a request of stripe"), "{told}");
    let mut bare = stripe();
    let value = bare.headers.remove("stripe-signature").unwrap();
    assert_eq!(certain("stripe", &bare, SECRET), "stripe-signature is missing");
    bare.headers.insert("http_stripe_signature", value);
    let told = certain("stripe", &bare, SECRET);
    assert!(told.contains("is there as http_stripe_signature"), "{told}");
    let empty = Captured::parse(b"X-Any: x\n\n{}").unwrap();
    let told = certain("standard_webhooks", &empty, SECRET);
    assert_eq!(told, "webhook-id, webhook-timestamp, webhook-signature are missing");
    let other = reasons("twilio", &stripe(), "another secret", at(0));
    assert!(other.iter().any(|it| it.finding == "It has the headers of stripe"), "{other:?}");
}

#[test]
fn a_header_that_was_changed_on_its_way_is_found_and_else_shown_by_its_shape() {
    let captured = stripe();
    let value = captured.request().header("stripe-signature").unwrap().into_owned();
    let (t, v1) = value.split_once(",v1=").unwrap();
    for (changed, part) in [
        (format!("\"{value}\""), "has quotes around it"),
        (format!("{t},v1={}", v1.to_uppercase()), "in capitals"),
        (format!("{t}, v1={v1}"), "spaces behind its commas"),
        (value.replace('=', "%3D").replace(',', "%2C"), "percent-encoded"),
    ] {
        let told = certain("stripe", &with_header(&captured, "stripe-signature", &changed), SECRET);
        assert!(told.contains(part), "{told}");
    }
    let cut = format!("{t},v1={}", &v1[..62]);
    let told = certain("stripe", &with_header(&captured, "stripe-signature", &cut), SECRET);
    assert_eq!(
        told,
        "stripe-signature should read like `t=<10 digits>,v1=<64 hex digits>`; this one reads like \
         `t=<10 digits>,v1=<62 hex digits>`"
    );
}

#[test]
fn of_several_headers_the_one_that_does_not_read_is_named() {
    let captured = signed("standard_webhooks", SECRET, "application/json", JSON);
    for (header, value, part) in [
        ("webhook-timestamp", "soon", "should read like `<10 digits>`; this one reads like `soon`"),
        ("webhook-signature", "v1,short", "should read like `v1,<44 characters>`"),
    ] {
        let told = certain("standard_webhooks", &with_header(&captured, header, value), SECRET);
        assert!(told.starts_with(header) && told.contains(part), "{told}");
    }
}

#[test]
fn another_address_is_found_where_the_address_is_signed() {
    let url = "https://hooks.example.com/in?a=1";
    let genuine = signed_to("twilio", SECRET, FORM, "MessageSid=SM1", url);
    for (given, part) in [
        ("http://hooks.example.com/in?a=1", "with the other scheme"),
        ("https://hooks.example.com/in/?a=1", "without the slash"),
        ("http://hooks.example.com/in/?a=1", "without the slash"),
    ] {
        let mut captured = genuine.clone();
        captured.set_url(given);
        let told = certain("twilio", &captured, SECRET);
        assert!(told.starts_with("Another address was signed") && told.contains(part), "{told}");
    }
    // Where it is not signed, it is not tried.
    let mut captured = with_body(&stripe(), "{}");
    captured.set_url("http://elsewhere.example");
    let told = reasons("stripe", &captured, SECRET, at(0));
    assert!(!told.iter().any(|it| it.finding.contains("address was signed")), "{told:?}");
}

#[test]
fn what_only_looks_wrong_is_told_as_such_and_there_is_always_a_word() {
    for name in providers::names() {
        let captured = signed(name, SECRET, "application/json", JSON);
        let told = reasons(name, &captured, "whsec_YW5vdGhlciBzZWNyZXQsIDI0IGJ5dGUh", at(0));
        assert!(told.iter().all(|reason| !reason.certain), "{told:?}");
        assert!(told.last().unwrap().finding.starts_with("No other spelling"), "{told:?}");
    }
    let genuine = signed("github", SECRET, "application/json", JSON);
    for (body, part) in [
        (r#"{"a":1,"b":2,"c":3,"d":4,"e":5}"#, "alphabetical order"),
        ("{\n  \"b\": 1\n}", "indented JSON"),
        ("{\"a\":\"\u{FFFD}\"}", "U+FFFD"),
        ("", "The body is empty"),
    ] {
        let told = reasons("github", &with_body(&genuine, body), SECRET, at(0));
        assert!(told.iter().any(|it| !it.certain && it.finding.contains(part)), "{told:?}");
    }
    let cut = with_header(&with_body(&genuine, "{"), "content-length", "61");
    let told = certain("github", &cut, SECRET);
    assert!(told.starts_with("Content-Length says 61 bytes, and the body has 1"), "{told}");
}
