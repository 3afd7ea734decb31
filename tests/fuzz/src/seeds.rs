//! What the fuzzer starts from, made of the vectors and the fixtures by the target
//! itself, before it reads its corpus: nothing of it needs to be kept in the
//! repository, and a new fixture is a new seed.
//!
//! The first byte of many inputs chooses a provider or a fixture; seeds take turns.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// More than there are providers with their media types.
const CHOICES: u8 = 24;

/// Writes the seeds of this target into the directory that `FUZZ_SEEDS` names, if
/// it names one.
///
/// # Panics
///
/// When it cannot be written.
pub fn write(target: &str) {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS") else { return };
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder).expect("a folder");
    for (of, name, input) in all() {
        if of == target {
            fs::write(folder.join(format!("seed-{name}")), input).expect("a seed");
        }
    }
}

/// Target, name and input of each.
type Seed = (&'static str, String, Vec<u8>);

fn all() -> Vec<Seed> {
    let mut all: Vec<Seed> = Vec::new();
    let mut add = |target, name: &dyn std::fmt::Display, input: &[u8]| {
        all.push((target, name.to_string(), input.to_vec()));
    };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let vectors = fs::read(fixtures.join("signatures.json")).expect("the vectors");
    let vectors: Vec<Value> = serde_json::from_slice(&vectors).expect("the vectors");
    for (at, vector) in vectors.iter().enumerate() {
        let raw = raw_http(vector);
        add("gateway", &at, &gateway_event(vector));
        // Each vector to one choice: the fuzzer changes the byte by itself.
        let choice = u8::try_from(at % usize::from(CHOICES)).expect("small");
        add("verify", &at, &[&[choice], raw.as_slice()].concat());
        add("captured", &at, &[&[choice], raw.as_slice()].concat());
        add("captured", &format!("line-{at}"), &[&[choice], line(vector).as_bytes()].concat());
        add("form", &at, text(&vector["body"]).as_bytes());
    }
    for body in bodies(&fixtures) {
        for choice in 0..6 {
            let input = [&[choice], &b"id_1\nthing\nagent\n\n"[..], &body].concat();
            add("identify", &format!("{}-{choice}", name_of(&body)), &input);
        }
        add("item", &name_of(&body), &crate::item::claimed(body.clone()));
        add("form", &name_of(&body), &body);
    }
    for choice in 0..CHOICES {
        for kind in 0..8 {
            let script = [choice, 0, 3, kind, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
            add("mutated", &format!("{choice}-{kind}"), &script);
        }
    }
    for (at, text) in [
        r#"{"specversion":"1.0","id":"evt_1","source":"/webhooks/shop","type":"stripe.a.b","time":"2026-03-01T12:00:00.000Z","dataref":"inbox:shop#evt_1","life":1}"#,
        "shop#evt_1", "1772366400.123", "2026-03-01T12:00:00.123+01:00", "invoice.*\ninvoice.paid",
        r#"{"signing_secrets":["a","b"],"notification_url":"x"}"#,
    ]
    .into_iter()
    .enumerate()
    {
        add("envelope", &at, text.as_bytes());
    }
    all
}

/// Every fixture's body.
fn bodies(fixtures: &Path) -> Vec<Vec<u8>> {
    let entries = |path: &Path| {
        let entries = fs::read_dir(path).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    entries(fixtures)
        .iter()
        .filter(|path| path.is_dir())
        .flat_map(|folder| entries(folder))
        .filter(|file| !file.ends_with("provider.json"))
        .map(|file| fs::read(file).expect("a fixture"))
        .collect()
}

/// Names by length and sum are as good as any, and the same at every run.
fn name_of(body: &[u8]) -> String {
    let sum = body.iter().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
    format!("fixture-{}-{sum:08x}", body.len())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn query(vector: &Value) -> &str {
    text(&vector["url"]).split_once('?').map_or("", |(_, query)| query)
}

fn raw_http(vector: &Value) -> Vec<u8> {
    let mut raw =
        format!("{} /webhooks/shop?{} HTTP/1.1\n", text(&vector["method"]), query(vector));
    for (name, value) in vector["headers"].as_object().into_iter().flatten() {
        raw.push_str(&format!("{name}: {}\n", text(value)));
    }
    format!("{raw}\n{}", text(&vector["body"])).into_bytes()
}

fn gateway_event(vector: &Value) -> Vec<u8> {
    let event = json!({
        "rawPath": "/webhooks/shop",
        "rawQueryString": query(vector),
        "headers": vector["headers"],
        "requestContext": { "http": { "method": vector["method"] } },
        "body": STANDARD.encode(text(&vector["body"])),
        "isBase64Encoded": true,
    });
    event.to_string().into_bytes()
}

/// As a line for `inbox verify --jsonl`.
fn line(vector: &Value) -> String {
    let members = ["id", "provider", "secrets", "url", "method", "headers", "body", "now"];
    let line: serde_json::Map<_, _> = members
        .iter()
        .filter(|name| !vector[**name].is_null())
        .map(|name| ((*name).to_owned(), vector[*name].clone()))
        .collect();
    Value::Object(line).to_string()
}
