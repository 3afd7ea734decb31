//! Many captured requests, one JSON object a line, each judged for itself.
//!
//! ```text
//! {"id", "provider", "secrets", "url", "method", "headers", "body" | "body_base64", "now"}
//!   → {"id":…,"verdict":"valid","reason":null}
//!   → {"id":…,"verdict":"invalid","reason":"stale_timestamp: …"}
//! ```
//!
//! `url`, `method` (POST) and `now` (the wall clock) may be left out; members
//! that are not named here are passed over. A line of another form is a problem
//! of that line, and the others are judged all the same.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use inbox_core::Timestamp;
use inbox_core::secrets::{Secret, SecretBundle};
use inbox_receiver::providers;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::captured::Captured;
use crate::diagnosis::Case;

#[derive(Deserialize)]
struct Record {
    id: Value,
    provider: String,
    secrets: Vec<Secret>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    method: Option<String>,
    headers: BTreeMap<String, HeaderText>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    body_base64: Option<String>,
    #[serde(default)]
    now: Option<Number>,
}

/// A header once, or as often as it was sent.
#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderText {
    Once(String),
    Repeated(Vec<String>),
}

/// What is said of one line.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The record's own.
    pub id: Value,
    /// `valid` or `invalid`.
    pub verdict: &'static str,
    /// `null` when valid.
    pub reason: Option<String>,
}

/// Judges one line.
///
/// # Errors
///
/// Why it cannot be judged, without quoting secrets or content.
pub fn judge(line: &str, wall_clock: impl Fn() -> Timestamp) -> Result<Judged, String> {
    let mut record: Record =
        serde_json::from_str(line).map_err(|fault| unreadable(line, &fault))?;
    let provider = providers::require(&record.provider).map_err(|fault| fault.to_string())?;
    let secrets =
        SecretBundle::of(std::mem::take(&mut record.secrets)).map_err(|fault| fault.to_string())?;
    let now = match &record.now {
        None => wall_clock(),
        Some(number) => moment(number).ok_or("now is no time: give Unix seconds")?,
    };
    let (id, captured) = captured(record)?;
    let case = Case { provider: provider.as_ref(), captured: &captured, secrets: &secrets, now };
    let Err(rejection) = case.judge() else {
        return Ok(Judged { id, verdict: "valid", reason: None });
    };
    let reasons = case.reasons(rejection);
    let words = reasons.first().map_or("", |reason| reason.finding.as_str());
    let reason = Some(format!("{}: {words}", rejection.code()));
    Ok(Judged { id, verdict: "invalid", reason })
}

fn captured(record: Record) -> Result<(Value, Captured), String> {
    let method = record.method.as_deref().unwrap_or("POST");
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| "method is none of HTTP's")?;
    let body = match (record.body, record.body_base64) {
        (Some(text), None) => Bytes::from(text),
        (None, Some(text)) => {
            STANDARD.decode(text).map_err(|_| "body_base64 is not base64")?.into()
        }
        (None, None) => return Err("body or body_base64 is missing".to_owned()),
        (Some(_), Some(_)) => return Err("body and body_base64 are both there".to_owned()),
    };
    let mut headers = HeaderMap::new();
    for (name, text) in record.headers {
        // As in the gateway: what HTTP does not allow cannot be looked for.
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        let values = match text {
            HeaderText::Once(value) => vec![value],
            HeaderText::Repeated(values) => values,
        };
        for value in values {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.append(name.clone(), value);
            }
        }
    }
    let mut captured = Captured { method, address: None, query: String::new(), headers, body };
    if let Some(url) = &record.url {
        captured.set_url(url);
    }
    Ok((record.id, captured))
}

/// Unix seconds, with a fraction or without.
fn moment(number: &Number) -> Option<Timestamp> {
    match number.as_i64() {
        Some(seconds) => Timestamp::from_unix_seconds(seconds),
        None => Timestamp::parse_decimal_seconds(&format!("{:.3}", number.as_f64()?)),
    }
}

/// serde's own words may quote a value, which may be a secret.
fn unreadable(line: &str, fault: &serde_json::Error) -> String {
    let Ok(Value::Object(members)) = serde_json::from_str(line) else {
        return format!("not a JSON object (column {})", fault.column());
    };
    let missing = ["id", "provider", "secrets", "headers"]
        .into_iter()
        .filter(|name| !members.contains_key(*name))
        .collect::<Vec<_>>();
    if missing.is_empty() {
        "a member is of another type than documented (`inbox verify --help`)".to_owned()
    } else {
        format!("missing: {}", missing.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_772_366_400;

    fn clock() -> Timestamp {
        Timestamp::from_unix_seconds(NOW).unwrap()
    }

    fn record() -> Value {
        json!({
            "id": "github-01", "provider": "github", "secrets": ["It's a Secret to Everybody"],
            "method": "POST", "body": "Hello, World!", "expect": "valid",
            "headers": {"X-Hub-Signature-256":
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        })
    }

    #[test]
    fn a_line_is_judged_whichever_way_its_body_is_given() {
        let valid = Judged { id: "github-01".into(), verdict: "valid", reason: None };
        assert_eq!(judge(&record().to_string(), clock), Ok(valid));
        let mut other = record();
        other["body"] = Value::Null;
        other["body_base64"] = "SGVsbG8sIFdvcmxkIQ==".into();
        other["id"] = 7.into();
        let judged = judge(&other.to_string(), clock).unwrap();
        assert_eq!((judged.id, judged.verdict), (7.into(), "valid"));
        let mut invalid = record();
        invalid["body"] = "Hello, World!\n".into();
        let reason = judge(&invalid.to_string(), clock).unwrap().reason.unwrap();
        assert!(reason.starts_with("signature_mismatch: The body has a line end"), "{reason}");
    }

    #[test]
    fn what_cannot_be_judged_is_told_without_quoting_it() {
        for (member, value, part) in [
            ("provider", json!("strype"), "unknown provider \"strype\""),
            ("secrets", json!("marker-1"), "of another type"),
            ("secrets", json!([""]), "signing_secrets[0] is empty"),
            ("secrets", json!([]), "signing_secrets is empty"),
            ("now", json!(-1), "now is no time"),
            ("body_base64", json!("e30="), "both there"),
            ("method", json!("GE T"), "none of HTTP's"),
        ] {
            let mut record = record();
            record[member] = value;
            let told = judge(&record.to_string(), clock).unwrap_err();
            assert!(told.contains(part) && !told.contains("marker-1"), "{told}");
        }
        let mut without = record();
        without.as_object_mut().unwrap().remove("headers");
        assert_eq!(judge(&without.to_string(), clock), Err("missing: headers".to_owned()));
        assert_eq!(judge("{", clock), Err("not a JSON object (column 1)".to_owned()));
    }

    #[test]
    fn the_records_own_time_counts_and_the_clock_only_without_one() {
        let mut record = record();
        record["now"] = json!(NOW);
        let judged = judge(&record.to_string(), || panic!("the clock was asked"));
        assert_eq!(judged.unwrap().verdict, "valid");
    }
}
