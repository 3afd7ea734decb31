//! The tries themselves, each an event of API Gateway made from a good one.

use serde_json::{Value, json};

use super::super::testing::Sample;
use super::Outcome::{self, Either, Refused, Same};
use super::PATH;

/// A name, what may come of it, and the event.
pub(super) type Try = (String, Outcome, Value);

/// Headers by which proxies and frameworks let a sender change what a request is.
const OVERRIDES: [(&str, &str); 14] = [
    ("x-http-method-override", "GET"),
    ("x-method-override", "DELETE"),
    ("x-http-method", "PUT"),
    ("x-original-url", "/webhooks/other?a=2"),
    ("x-rewrite-url", "/webhooks/other"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-prefix", "/other"),
    ("forwarded", "host=evil.example;proto=http"),
    ("host", "evil.example:8443"),
    ("transfer-encoding", "chunked"),
    ("content-encoding", "gzip"),
    ("expect", "100-continue"),
    ("x-empty", ""),
];

/// All tries on this provider's event.
pub(super) fn all(sample: &Sample, genuine: &Value) -> Vec<Try> {
    let mut all = Vec::new();
    all.extend(names(genuine));
    all.extend(signatures(sample, genuine));
    all.extend(others(genuine));
    all.extend(content_types(genuine));
    all.extend(queries(sample, genuine));
    all.extend(paths(genuine));
    all.extend(bodies(sample, genuine));
    all.extend(methods(sample, genuine));
    all
}

fn with(genuine: &Value, alter: impl FnOnce(&mut Value)) -> Value {
    let mut tried = genuine.clone();
    alter(&mut tried);
    tried
}

/// Header names: case means nothing, any other difference is another header.
fn names(genuine: &Value) -> Vec<Try> {
    let renamed = |rename: fn(&str) -> String| {
        with(genuine, |it| {
            let headers = it["headers"].as_object_mut().unwrap();
            let renamed = headers.iter().map(|(name, value)| (rename(name), value.clone()));
            let renamed: serde_json::Map<_, _> = renamed.collect();
            *headers = renamed;
        })
    };
    vec![
        ("names in capitals".into(), Same, renamed(str::to_uppercase)),
        ("names by turns".into(), Same, renamed(by_turns)),
        ("names with underscores".into(), Refused, renamed(|name| name.replace('-', "_"))),
        ("names with a space behind".into(), Refused, renamed(|name| format!("{name} "))),
        ("names with a colon".into(), Refused, renamed(|name| format!("{name}:"))),
        ("names with a line break".into(), Refused, renamed(|name| format!("x: y\r\n{name}"))),
        ("no headers".into(), Refused, with(genuine, |it| it["headers"] = json!({}))),
    ]
}

fn by_turns(name: &str) -> String {
    let turn = |(at, letter): (usize, char)| match at % 2 {
        0 => letter.to_ascii_uppercase(),
        _ => letter,
    };
    name.chars().enumerate().map(turn).collect()
}

/// Signature and signed headers given twice, emptied, or with something around
/// them. Repeats come joined by a comma, or under names that differ in case.
fn signatures(sample: &Sample, genuine: &Value) -> Vec<Try> {
    let mut tries = Vec::new();
    for name in sample.facts.covered_headers() {
        let good = genuine["headers"][name].as_str().unwrap().to_owned();
        // A list may hold a good signature beside others; all else has one value.
        let twice = if sample.facts.signature_list.is_some() { Either } else { Refused };
        for (what, outcome, value) in [
            ("empty", Refused, String::new()),
            ("a space", Refused, " ".to_owned()),
            ("a comma", Refused, ",".to_owned()),
            ("twice", twice, format!("{good},{good}")),
            ("twice, spaced", twice, format!("{good}, {good}")),
            ("nothing, then good", twice, format!(",{good}")),
            ("good, then nothing", twice, format!("{good},")),
            ("wrong, then good", twice, format!("{},{good}", spoiled(&good))),
            ("good, then wrong", twice, format!("{good},{}", spoiled(&good))),
            ("quoted", Refused, format!("\"{good}\"")),
            ("spaced", Either, format!(" {good} ")),
            ("in capitals", Refused, good.to_uppercase()),
            ("with its hex in capitals", Refused, hex_in_capitals(&good)),
            ("with NUL", Refused, format!("{good}\0")),
            ("with a line break", Refused, format!("{good}\r\nx: y")),
        ] {
            // Numbers have no capitals.
            let outcome = if value == good { Same } else { outcome };
            let outcome = if what == "spaced" && sample.facts.signature_list.is_none() {
                Refused
            } else {
                outcome
            };
            let tried = with(genuine, |it| it["headers"][name] = value.clone().into());
            tries.push((format!("{name} {what}"), outcome, tried));
        }
        let also =
            |value: String| with(genuine, |it| it["headers"][name.to_uppercase()] = value.into());
        tries.push((format!("{name} in two cases, one wrong"), twice, also(spoiled(&good))));
        tries.push((format!("{name} in two cases, one empty"), twice, also(String::new())));
        let missing = |it: &mut Value| drop(it["headers"].as_object_mut().unwrap().remove(name));
        tries.push((format!("{name} missing"), Refused, with(genuine, missing)));
    }
    tries
}

/// The same with what stands behind the last `=` in capitals; base64 has nothing there.
fn hex_in_capitals(good: &str) -> String {
    let (before, hex) = good.rsplit_once('=').unwrap_or((good, ""));
    let end = if good.contains('=') { "=" } else { "" };
    format!("{before}{end}{}", hex.to_uppercase())
}

/// The same with its last letter or digit changed.
fn spoiled(good: &str) -> String {
    let at = good.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap();
    let other = if good[at..].starts_with('1') { "2" } else { "1" };
    format!("{}{other}{}", &good[..at], &good[at + 1..])
}

/// Headers that the inbox does not read, whatever they promise.
fn others(genuine: &Value) -> Vec<Try> {
    let mut tries: Vec<Try> = OVERRIDES
        .iter()
        .map(|(name, value)| {
            let tried = with(genuine, |it| it["headers"][*name] = json!(value));
            (format!("{name}: {value}"), Same, tried)
        })
        .collect();
    for length in ["0", "1", "999999", "-1", "5,6", "0x10", ""] {
        let tried = with(genuine, |it| it["headers"]["content-length"] = length.into());
        tries.push((format!("content-length: {length}"), Same, tried));
    }
    let lie = with(genuine, |it| {
        it["queryStringParameters"] = json!({ "a": "2" });
        it["multiValueHeaders"] = json!({ "x": ["y"] });
        it["cookies"] = json!(["a=1"]);
        it["pathParameters"] = json!({ "source": "other" });
        it["requestContext"]["http"]["path"] = "/webhooks/other".into();
    });
    tries.push(("members that say otherwise".into(), Same, lie));
    tries
}

/// Nobody signs the content type. One that makes the body unreadable for the
/// scheme ends in a refusal.
fn content_types(genuine: &Value) -> Vec<Try> {
    let values = [
        "application/json,application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded,application/json",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/json; boundary=x",
        "APPLICATION/JSON",
        "multipart/form-data; boundary=x",
        "text/plain",
        "/",
        "",
    ];
    let mut tries: Vec<Try> = values
        .iter()
        .map(|value| {
            let tried = with(genuine, |it| it["headers"]["content-type"] = json!(value));
            (format!("content-type: {value}"), Either, tried)
        })
        .collect();
    let missing =
        |it: &mut Value| drop(it["headers"].as_object_mut().unwrap().remove("content-type"));
    tries.push(("no content-type".into(), Either, with(genuine, missing)));
    tries
}

/// The query says nothing, or, where the address is signed, must be as it was.
fn queries(sample: &Sample, genuine: &Value) -> Vec<Try> {
    let query = genuine["rawQueryString"].as_str().unwrap();
    let rest = query.split_once('&').unwrap().1;
    let outcome = if sample.provider.signs_url() { Refused } else { Same };
    let mut tried = vec![
        String::new(),
        format!("{query}&a=1"),
        format!("a=1&{query}"),
        format!("a=2&{query}"),
        format!("{query}&a=2"),
        format!("{rest}&a=1"),
        format!("{query}&"),
        format!("&{query}"),
        format!("{query}#x"),
        format!("?{query}"),
        query.replace("a=1", "%61=1"),
        query.replace("a=1", "A=1"),
        query.replace("a=1", "a=%31"),
        query.replace("a=1", "a[]=1"),
        query.replace("%2F", "/"),
        query.replace("%2F", "%2f"),
        query.replace('&', ";"),
        query.replace('&', "%26"),
    ];
    if let Some(name) = &sample.facts.body_hash_parameter {
        tried.push(format!("{name}=00&{query}"));
        tried.push(format!("{query}&{name}=00"));
    }
    tried
        .into_iter()
        .map(|query| {
            let tried = with(genuine, |it| it["rawQueryString"] = query.clone().into());
            (format!("query {query}"), outcome, tried)
        })
        .collect()
}

/// The path must end as the source's does: what stands before it may be a custom
/// domain's mapping. It is never decoded nor resolved.
fn paths(genuine: &Value) -> Vec<Try> {
    let to = |path: &str| with(genuine, |it| it["rawPath"] = path.into());
    let refused = [
        "",
        "/",
        "/webhooks",
        "/webhooks/",
        "/shop",
        "webhooks/shop",
        "/webhooks/shop/",
        "/webhooks/shop/.",
        "/webhooks/shop/../other",
        "/webhooks/other/../shop",
        "/webhooks/./shop",
        "/webhooks//shop",
        "/webhooks%2Fshop",
        "/webhooks/%73hop",
        "/webhooks/Shop",
        "/WEBHOOKS/shop",
        "/webhooks/shop%00",
        "/webhooks/shop;a=1",
        "/webhooks/shop?a=1",
        "/webhooks/shop#x",
        "/webhooks/shop%20",
        "/webhooks\\shop",
        "/webhooks/workshop",
        "/webhooks/shop\u{0}",
    ];
    let same = ["//webhooks/shop", "/v1/webhooks/shop", "/other/../webhooks/shop"];
    let refused = refused.map(|path| (format!("path {path}"), Refused, to(path)));
    let same = same.map(|path| (format!("path {path}"), Same, to(path)));
    refused.into_iter().chain(same).collect()
}

/// The body is what the flag says it is, once, or nothing.
fn bodies(sample: &Sample, genuine: &Value) -> Vec<Try> {
    let encoded = genuine["body"].as_str().unwrap();
    let plain = String::from_utf8(super::telling_body(sample)).unwrap();
    let of = |body: Value, flag: Value| {
        with(genuine, |it| {
            it["body"] = body;
            it["isBase64Encoded"] = flag;
        })
    };
    let as_text = |text: &str| Value::from(text);
    vec![
        ("body as text".into(), Same, of(as_text(&plain), json!(false))),
        ("text said to be base64".into(), Refused, of(as_text(&plain), json!(true))),
        ("base64 said to be text".into(), Refused, of(as_text(encoded), json!(false))),
        ("base64 in lines".into(), Refused, of(format!("{encoded}\r\n").into(), json!(true))),
        ("base64 twice".into(), Refused, of(format!("{encoded}{encoded}").into(), json!(true))),
        ("body and more".into(), Refused, of(format!("{plain} ").into(), json!(false))),
        ("body twice".into(), Refused, of(format!("{plain}{plain}").into(), json!(false))),
        ("body after a mark".into(), Refused, of(format!("\u{feff}{plain}").into(), json!(false))),
        ("another request behind".into(), Refused, {
            let second = format!("{plain}\r\n0\r\n\r\nPOST {PATH} HTTP/1.1\r\n\r\n{plain}");
            of(second.into(), json!(false))
        }),
        ("no body".into(), Refused, of(Value::Null, json!(false))),
        ("no body, base64".into(), Refused, of(Value::Null, json!(true))),
    ]
}

/// Nobody signs the method: one that is not used is refused, and one that is used
/// changes nothing.
fn methods(sample: &Sample, genuine: &Value) -> Vec<Try> {
    let allowed = sample.provider.methods();
    ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "PO ST", ""]
        .into_iter()
        .map(|method| {
            let is_allowed = allowed.iter().any(|it| it.as_str() == method);
            let tried = with(genuine, |it| it["requestContext"]["http"]["method"] = method.into());
            (format!("method {method}"), if is_allowed { Either } else { Refused }, tried)
        })
        .collect()
}
