//! What looks wrong and cannot be proven by a trial, and what time has to do
//! with it.

use std::time::Duration;

use inbox_core::provider::Rejection;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::json_text::is_json;
use super::{Case, Reason};

/// A few members in order say nothing.
const SORTED_MEMBERS_MIN: usize = 5;
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// The signature is right, and too old or too early.
pub(super) fn stale(case: &Case<'_>) -> Reason {
    let Some(age) = age(case) else {
        return Reason::certain(
            "The signature is right, and was made too long ago or in the future",
            "judge it as of then with --now",
        );
    };
    let then = then(case);
    Reason::certain(
        format!("The signature is right, and {age}"),
        format!(
            "judge it as of then with {then}; if it has just arrived, a clock is wrong, or something \
             held it back"
        ),
    )
}

fn then(case: &Case<'_>) -> String {
    let signed_at = case.provider.signed_at(&case.captured.request());
    format!("--now {}", signed_at.map_or(0, inbox_core::Timestamp::unix_seconds))
}

/// The same, beside a signature that does not match either.
pub(super) fn also_stale(case: &Case<'_>) -> Option<Reason> {
    let age = age(case)?;
    Some(Reason::certain(
        format!("Besides, {age}"),
        format!("judge it as of then with {}", then(case)),
    ))
}

/// `it was signed 7 min 12 s before now, where 5 min are allowed`.
fn age(case: &Case<'_>) -> Option<String> {
    let signed_at = case.provider.signed_at(&case.captured.request())?;
    let tolerance = case.provider.tolerance()?;
    // Whole seconds, as they are compared.
    let seconds = signed_at.unix_seconds().abs_diff(case.now.unix_seconds());
    (seconds > tolerance.as_secs()).then(|| {
        let side = if signed_at < case.now { "before" } else { "after" };
        let distance = exact(Duration::from_secs(seconds));
        format!("it was signed {distance} {side} now, where {} are allowed", exact(tolerance))
    })
}

/// `7 min 12 s`, `3 d 4 h`: the two largest units.
pub(crate) fn exact(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut parts = Vec::new();
    let mut rest = seconds;
    for (size, name) in units {
        if rest >= size {
            parts.push(format!("{} {name}", rest / size));
            rest %= size;
        } else if !parts.is_empty() {
            // `1 d 5 s` would look more exact than it is.
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// Secrets that the provider's file says cannot be any of its own.
pub(super) fn secrets_of_another_kind(case: &Case<'_>) -> Vec<Reason> {
    let secrets = case.secrets.signing_secrets().iter().enumerate();
    secrets
        .filter_map(|(at, secret)| {
            let fault = case.provider.check_secret(secret).err()?;
            Some(Reason::certain(format!("Secret {} {fault}", at + 1), ""))
        })
        .collect()
}

/// What of the body speaks for its having been changed.
pub(super) fn of_the_body(case: &Case<'_>) -> Vec<Reason> {
    let body = &case.captured.body;
    let mut reasons = Vec::new();
    let length = case.captured.headers.get("content-length");
    let length = length.and_then(|value| value.to_str().ok()?.trim().parse::<usize>().ok());
    if let Some(length) = length.filter(|length| *length != body.len()) {
        reasons.push(Reason::certain(
            format!(
                "Content-Length says {length} bytes, and the body has {}: it is not the one that \
                 was sent",
                body.len()
            ),
            "capture the raw bytes",
        ));
    }
    if body.is_empty() && case.captured.method == http::Method::POST {
        reasons.push(Reason::likely(
            "The body is empty: something may have read it before it was captured",
            "capture the raw bytes, before anything parses them",
        ));
    }
    if body.windows(REPLACEMENT.len()).any(|window| window == REPLACEMENT) {
        reasons.push(Reason::likely(
            "The body holds U+FFFD, which stands where bytes were no UTF-8: they are lost",
            "capture bytes, not text",
        ));
    }
    if has_sorted_members(body) {
        reasons.push(Reason::likely(
            "The body's members stand in alphabetical order: it looks re-serialised, and the order \
             that was signed is lost",
            "capture the raw bytes, before anything parses them",
        ));
    } else if !case.provider.indents_json()
        && is_json(body)
        && body.windows(3).any(|window| window == b"\n  ")
    {
        reasons.push(Reason::likely(
            "The body is indented JSON, as tools and logs print it: it looks re-serialised",
            "if something printed it, capture the raw bytes instead",
        ));
    }
    reasons
}

fn has_sorted_members(body: &[u8]) -> bool {
    let members = serde_json::from_slice::<MemberNames>(body).map(|names| names.0);
    members.is_ok_and(|names| names.len() >= SORTED_MEMBERS_MIN && names.is_sorted())
}

/// The names of an object's members, in order.
struct MemberNames(Vec<String>);

impl<'de> Deserialize<'de> for MemberNames {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = MemberNames;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MemberNames, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(MemberNames(names))
            }
        }
        reader.deserialize_map(Names)
    }
}

/// When every trial failed.
pub(super) fn nothing_helped() -> Reason {
    Reason::likely(
        "No other spelling of secret, body or address verifies: the secret is of another endpoint or \
         out of date, or the body is not what was sent",
        "compare the end of the secret with what the provider shows (`inbox secret show SOURCE`), and \
         send a test event from there",
    )
}

/// When the scheme itself is all that can be told of.
pub(super) fn of_the_scheme(rejection: Rejection) -> Reason {
    match rejection {
        Rejection::MissingSignature => Reason::likely(
            "Something that the signature needs is not there",
            "capture all headers and the whole address, query included",
        ),
        _ => Reason::likely(
            "The signature does not read as the provider documents it",
            "capture it as it arrives",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (12, "12 s"),
            (300, "5 min"),
            (432, "7 min 12 s"),
            (3600, "1 h"),
            (86_405, "1 d"),
            (273_600, "3 d 4 h"),
        ] {
            assert_eq!(exact(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn sorted_members_are_told_from_few_and_from_others() {
        assert!(has_sorted_members(br#"{"a":1,"b":{"z":1,"a":2},"c":[],"d":4,"e":5}"#));
        for json in [&br#"{"b":1,"a":2,"c":3,"d":4,"e":5}"#[..], br#"{"a":1,"b":2}"#, b"[]", b"x"] {
            assert!(!has_sorted_members(json));
        }
    }
}
