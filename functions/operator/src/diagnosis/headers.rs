//! Headers that are missing, go by another name, or do not read as they should.
//!
//! Which ones a scheme needs is found by signing an example and taking each of
//! its headers away. How one should read is told by its shape, in which all that
//! could be a signature is replaced by its length.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use inbox_core::Timestamp;
use inbox_core::provider::{Provider, Rejection, Unsigned};
use inbox_core::secrets::{Secret, SecretBundle};
use inbox_receiver::providers;

use super::trials::{Change, Trial, first, other_providers};
use super::{Case, Reason};
use crate::captured::Captured;

/// A key of every scheme: as text, and as base64 of 24 bytes.
const EXAMPLE_SECRET: &str = "whsec_YW4gZXhhbXBsZSwgYW5kIG5vIHNlY3JldA==";
const EXAMPLE_URL: &str = "https://example.com/webhooks";
const SHAPE_CHARACTERS_MAX: usize = 120;
/// A shorter run of letters and digits is a name, such as `sha256`.
const NAME_CHARACTERS_MAX: usize = 9;

/// Why a request has no signature.
pub(super) fn missing(case: &Case<'_>) -> Vec<Reason> {
    let needed = needed(case.provider);
    let is_there = |name: &&HeaderName| case.captured.headers.contains_key(*name);
    let missing: Vec<_> = needed.iter().filter(|name| !is_there(name)).collect();
    let mut reasons: Vec<_> = missing.iter().filter_map(|name| renamed(case, name)).collect();
    reasons.extend(other_providers(case));
    if reasons.is_empty() {
        reasons.extend(of_another_provider(case));
    }
    if !missing.is_empty() {
        let names = missing.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let verb = if missing.len() == 1 { "is" } else { "are" };
        reasons.push(Reason::certain(
            format!("{names} {verb} missing"),
            "capture all headers as they arrive; a proxy or a log may leave some out",
        ));
    }
    reasons
}

/// Why a signature cannot be read.
pub(super) fn malformed(case: &Case<'_>) -> Vec<Reason> {
    let needed = needed(case.provider);
    let mut reasons: Vec<_> = first(case, needed.iter().flat_map(|name| mended(case, name)))
        .into_iter()
        .chain(other_providers(case))
        .collect();
    if let Some((example, _)) = example(case.provider) {
        reasons.extend(needed.iter().filter_map(|name| misread(case, &example, name)));
    }
    reasons
}

/// Whether it is this header: with the example's in its place, the signature can
/// be read.
fn misread(case: &Case<'_>, example: &Captured, name: &HeaderName) -> Option<Reason> {
    let (should, is) = (example.headers.get(name)?, case.captured.headers.get(name)?);
    let mut with_example = case.captured.clone();
    with_example.headers.insert(name.clone(), should.clone());
    let judged = with_example.judge(case.provider, case.secrets, case.now);
    if matches!(judged, Err(Rejection::MalformedSignature)) {
        return None;
    }
    let (should, is) = (shape(should), shape(is));
    let advice = "capture it as it arrives: it was cut, changed, or is another scheme's";
    Some(if should == is {
        Reason::certain(format!("{name} does not read as the scheme writes it"), advice)
    } else {
        Reason::certain(
            format!("{name} should read like `{should}`; this one reads like `{is}`"),
            advice,
        )
    })
}

/// A request that the provider would have sent, and its secret.
fn example(provider: &dyn Provider) -> Option<(Captured, SecretBundle)> {
    let secret = Secret::new(EXAMPLE_SECRET.to_owned());
    let (content_type, body) = ("application/json", b"{}");
    let url = provider.address(EXAMPLE_URL, content_type, body);
    let unsigned = Unsigned {
        url: &url,
        content_type,
        body,
        id: "id_1",
        event_type: "example",
        now: example_now(),
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(content_type));
    for (name, value) in provider.sign(&unsigned, &secret) {
        headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    let mut captured = Captured {
        method: Method::POST,
        address: None,
        query: String::new(),
        headers,
        body: Bytes::from_static(body),
    };
    captured.set_url(&url);
    Some((captured, SecretBundle::of(vec![secret]).ok()?))
}

fn example_now() -> Timestamp {
    Timestamp::from_unix_seconds(1_772_366_400).unwrap_or_else(Timestamp::now)
}

/// The headers without which there is no signature.
fn needed(provider: &dyn Provider) -> Vec<HeaderName> {
    let Some((example, secrets)) = example(provider) else { return Vec::new() };
    let judge = |captured: &Captured| captured.judge(provider, &secrets, example_now());
    if judge(&example).is_err() {
        return Vec::new();
    }
    let is_needed = |name: &&HeaderName| {
        let mut without = example.clone();
        without.headers.remove(*name);
        matches!(judge(&without), Err(Rejection::MissingSignature))
    };
    let names: Vec<_> = example.headers.keys().collect();
    names.into_iter().filter(is_needed).cloned().collect()
}

/// Whether the header is there under the name that CGI, Rack or a log gives it.
fn renamed(case: &Case<'_>, name: &HeaderName) -> Option<Reason> {
    let plain = |other: &HeaderName| {
        let other = other.as_str().replace('_', "-");
        other.strip_prefix("http-").unwrap_or(&other).to_owned()
    };
    let (other, _) = case.captured.headers.iter().find(|(it, _)| plain(it) == name.as_str())?;
    Some(Reason::certain(
        format!("{name} is there as {other}: something renamed it on the way"),
        "pass it on under its own name",
    ))
}

/// All headers of another scheme are there, and this one's are not.
fn of_another_provider(case: &Case<'_>) -> Vec<Reason> {
    let has_all = |other: &dyn Provider| {
        let names = needed(other);
        !names.is_empty() && names.iter().all(|name| case.captured.headers.contains_key(name))
    };
    let others = providers::names().filter(|name| *name != case.provider.name());
    others
        .filter_map(providers::find)
        .filter(|other| has_all(other.as_ref()))
        .map(|other| {
            let name = other.name();
            Reason::likely(
                format!("It has the headers of {name}"),
                format!("judge it with --provider {name} and that provider's secret"),
            )
        })
        .collect()
}

/// The header's value in spellings that may have been meant.
fn mended(case: &Case<'_>, name: &HeaderName) -> Vec<Trial> {
    let Some(value) =
        case.captured.request().header(name.as_str()).map(std::borrow::Cow::into_owned)
    else {
        return Vec::new();
    };
    let quotes: &[char] = &['"', '\'', '`'];
    let lines = value.trim_end_matches("\\n").trim_end_matches("\\r");
    let name_again = value.split_once(':').map_or("", |(_, rest)| rest.trim_start());
    let all = [
        (value.trim().trim_matches(quotes).to_owned(), "has quotes around it"),
        (value.to_ascii_lowercase(), "was written in capitals"),
        (value.replace(", ", ","), "has spaces behind its commas"),
        (
            value.replace("%3D", "=").replace("%2C", ",").replace("%2B", "+").replace("%2F", "/"),
            "is percent-encoded",
        ),
        (value.replace(' ', "+"), "has spaces where it had plus signs: it was decoded as a form"),
        (lines.to_owned(), "ends in a written-out \\n"),
        (name_again.to_owned(), "begins with its own name"),
    ];
    all.into_iter()
        .filter(|(other, _)| *other != value)
        .filter_map(|(other, what)| {
            let mut changed = case.captured.clone();
            changed.headers.insert(name.clone(), HeaderValue::try_from(other).ok()?);
            Some(Trial {
                change: Change::Request(changed),
                finding: format!("{name} {what}: put right, the request verifies"),
                advice: "pass it on as it arrives",
            })
        })
        .collect()
}

/// `t=<10 digits>,v1=<64 hex digits>`.
fn shape(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut out = String::new();
    let mut rest = text.as_ref();
    let is_run = |c: char| c.is_ascii_alphanumeric() || "+/_-".contains(c);
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_run(c)).unwrap_or(rest.len());
        if length == 0 {
            out.push(if first.is_control() { '?' } else { first });
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (run, behind) = rest.split_at(length);
        rest = behind;
        let is = |test: fn(&u8) -> bool| run.bytes().all(|byte| test(&byte));
        let shown = if run.len() <= NAME_CHARACTERS_MAX {
            run.to_owned()
        } else if is(u8::is_ascii_digit) {
            format!("<{length} digits>")
        } else if is(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)) {
            format!("<{length} hex digits>")
        } else if is(u8::is_ascii_hexdigit) {
            format!("<{length} hex digits in capitals>")
        } else {
            let padding = rest.len() - rest.trim_start_matches('=').len();
            rest = &rest[padding..];
            format!("<{} characters>", length + padding)
        };
        out.push_str(&shown);
    }
    crate::table::cut(&out, SHAPE_CHARACTERS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape_of(text: &str) -> String {
        shape(&HeaderValue::from_bytes(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_shape_holds_lengths_and_no_signature() {
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!(shape_of(&format!("t=1772366400,v1={hex}")), "t=<10 digits>,v1=<64 hex digits>");
        assert_eq!(
            shape_of(&format!("sha256={}", hex.to_uppercase())),
            "sha256=<64 hex digits in capitals>"
        );
        assert_eq!(
            shape_of("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,x"),
            "v1,<44 characters> v1a,x"
        );
        assert_eq!(shape_of(""), "");
    }

    #[test]
    fn the_headers_that_a_scheme_needs_are_found_by_its_own_verify() {
        for (name, headers) in [
            ("github", &["x-hub-signature-256"][..]),
            ("standard_webhooks", &["webhook-id", "webhook-timestamp", "webhook-signature"]),
            ("stripe", &["stripe-signature"]),
            ("twilio", &["x-twilio-signature"]),
        ] {
            let provider = providers::find(name).unwrap();
            assert_eq!(needed(provider.as_ref()), headers, "{name}");
        }
    }
}
