//! Every published signature vector of the providers in the registry, from
//! `tests/fixtures/signatures.json`, each with its source beside it.
//!
//! Where this project decides otherwise than a vector, [`EXCEPTIONS`] says what
//! and why; an exception that is no longer one fails the test too.

use http::{HeaderName, Method};
use inbox_core::Timestamp;
use inbox_core::provider::Rejection;
use serde::Deserialize;

use super::testing::{Delivery, NOW_SECONDS};

const VECTORS: &str = include_str!("../../../../tests/fixtures/signatures.json");

/// How many there are for each provider, so that none is lost unnoticed.
const COUNTS: [(&str, usize); 4] =
    [("github", 23), ("standard_webhooks", 26), ("stripe", 18), ("twilio", 36)];

/// Vectors marked valid that are refused here, how, and by which policy.
const EXCEPTIONS: [(&str, Rejection, &str); 4] = [
    (
        "github-18",
        Rejection::MissingSignature,
        "SHA-1 header only: GitHub sends the SHA-256 one to every hook with a secret, so a \
         request without it is a downgrade",
    ),
    ("github-19", Rejection::MissingSignature, "the same"),
    (
        "standard_webhooks-18",
        Rejection::MalformedSignature,
        "v1a (ed25519) is skipped as an unknown version until it is supported",
    ),
    (
        "standard_webhooks-19",
        Rejection::SignatureMismatch { fresh: true },
        "the same; the v1 beside it is of a secret that the receiver does not hold",
    ),
];

/// Valid on paper, but cannot arrive over HTTP. The rule that it checks (bytes
/// are signed as they stand) is held all the same.
const NOT_ON_WIRE: [&str; 1] = ["twilio-29"];

/// Why the invalid ones are refused.
fn rejection(id: &str) -> Rejection {
    use Rejection::{MalformedSignature, MissingSignature, SignatureMismatch, StaleTimestamp};
    match id {
        // The header, or one of the three, is not there; or a body that nothing
        // covers (twilio-36).
        "github-17"
        | "twilio-36"
        | "standard_webhooks-12"
        | "standard_webhooks-13"
        | "standard_webhooks-14" => MissingSignature,
        "stripe-02" | "standard_webhooks-08" | "standard_webhooks-09" => StaleTimestamp,
        // Another body than the URL's hash says: no other secret would help.
        "twilio-34" | "twilio-35" => SignatureMismatch { fresh: false },
        "stripe-03"
        | "stripe-04"
        | "stripe-17"
        | "github-03"
        | "github-08"
        | "github-10"
        | "twilio-18"
        | "standard_webhooks-03"
        | "standard_webhooks-05"
        | "standard_webhooks-26" => SignatureMismatch { fresh: true },
        // All others do not read as a signature: other prefix, version or
        // scheme, cut, not hex or base64, no time.
        _ => MalformedSignature,
    }
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    provider: String,
    source: String,
    secrets: Vec<String>,
    method: String,
    #[serde(default)]
    url: Option<String>,
    headers: std::collections::BTreeMap<String, String>,
    body: String,
    #[serde(default)]
    now: Option<i64>,
    expect: String,
    #[serde(default)]
    tags: Vec<String>,
}

impl Vector {
    fn judge(&self) -> Result<(), Rejection> {
        let provider = super::find(&self.provider).unwrap();
        let mut headers = http::HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let delivery = Delivery {
            method: Method::from_bytes(self.method.as_bytes()).unwrap(),
            url: self.url.clone().unwrap_or_else(|| "https://hooks.example.com/in".into()),
            headers,
            body: self.body.clone().into_bytes(),
        };
        let secrets: Vec<_> = self.secrets.iter().map(String::as_str).collect();
        let now = Timestamp::from_unix_seconds(self.now.unwrap_or(NOW_SECONDS)).unwrap();
        delivery.judge(provider.as_ref(), &secrets, now)
    }
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    all.into_iter().filter(|vector| super::find(&vector.provider).is_some()).collect()
}

#[test]
fn every_vector_is_judged_as_published_or_as_its_exception_says() {
    for vector in vectors() {
        let exception = EXCEPTIONS.iter().find(|(id, ..)| *id == vector.id);
        let expected = match (vector.expect.as_str(), exception) {
            ("valid", None) => Ok(()),
            ("valid", Some((_, rejection, _))) => Err(*rejection),
            ("invalid", None) => Err(rejection(&vector.id)),
            other => panic!("{}: {other:?}", vector.id),
        };
        assert_eq!(vector.judge(), expected, "{} of {}", vector.id, vector.source);
    }
}

#[test]
fn none_of_the_vectors_is_lost() {
    for (name, expected) in COUNTS {
        let found = vectors().iter().filter(|vector| vector.provider == name).count();
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(vectors().len(), 103);
    assert!(COUNTS.iter().map(|(name, _)| *name).eq(super::names()));
}

#[test]
fn every_exception_is_still_a_valid_vector() {
    let vectors = vectors();
    let valid = |id: &str| vectors.iter().any(|vector| vector.id == id && vector.expect == "valid");
    for (id, _, why) in EXCEPTIONS {
        assert!(valid(id), "{id}: {why}");
    }
    // Whatever is tagged as doubtful has been decided on here.
    for vector in &vectors {
        for tag in &vector.tags {
            let id = vector.id.as_str();
            let decided = match tag.as_str() {
                "legacy-sha1" => EXCEPTIONS.iter().any(|(exception, ..)| *exception == id),
                "not-on-wire" => NOT_ON_WIRE.contains(&id),
                // Held as published: an empty body has a MAC like any other.
                "empty-body" => id == "github-22",
                _ => false,
            };
            assert!(decided, "{id} is tagged {tag}");
        }
    }
    assert!(NOT_ON_WIRE.iter().all(|id| valid(id)));
}
