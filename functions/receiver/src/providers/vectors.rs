//! Every published signature vector of the providers in the registry, from
//! `tests/fixtures/signatures.json`, each with its source beside it.
//!
//! How each is refused stands in the provider's `provider.json`. Where this
//! project decides otherwise than a vector, or a vector is marked as doubtful,
//! the decision stands there too; one that decides nothing fails the test.

use http::{HeaderName, Method};
use inbox_core::Timestamp;
use inbox_core::provider::Rejection;
use serde::Deserialize;

use super::facts::{self, FILE};
use super::testing::{Delivery, NOW_SECONDS};

const VECTORS: &str = include_str!("../../../../tests/fixtures/signatures.json");

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
    expect: Expectation,
    #[serde(default)]
    tags: Vec<String>,
}

/// As published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expectation {
    Valid,
    Invalid,
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

    /// How the provider's file says that it is refused.
    fn refused(&self) -> Option<Rejection> {
        let refused = &facts::of(&self.provider).vectors.refused;
        refused.get(&self.id).map(|refusal| refusal.rejection())
    }
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    all.into_iter().filter(|vector| super::find(&vector.provider).is_some()).collect()
}

#[test]
fn every_vector_is_judged_as_its_provider_says() {
    for vector in vectors() {
        let expected = vector.refused().map_or(Ok(()), Err);
        assert_eq!(vector.judge(), expected, "{} of {}", vector.id, vector.source);
    }
}

#[test]
fn whatever_is_published_as_invalid_is_refused() {
    for vector in vectors().iter().filter(|vector| vector.expect == Expectation::Invalid) {
        let (id, name) = (&vector.id, &vector.provider);
        assert!(vector.refused().is_some(), "say in {FILE} of {name} how {id} is refused");
    }
}

#[test]
fn none_of_the_vectors_is_lost() {
    for name in super::names() {
        let known = &facts::of(name).vectors;
        let vectors = vectors();
        let found: Vec<_> = vectors.iter().filter(|vector| vector.provider == name).collect();
        assert_eq!(found.len(), known.count, "vectors of {name}: tell their count in {FILE}");
        for id in known.refused.keys().chain(known.decisions.keys()) {
            assert!(found.iter().any(|vector| vector.id == *id), "{name} has no vector {id}");
        }
    }
}

/// A decision is needed where a valid vector is refused, and where a vector is
/// tagged as doubtful; and nowhere else.
#[test]
fn every_exception_and_every_doubt_is_decided_and_nothing_else() {
    for vector in vectors() {
        let decision = facts::of(&vector.provider).vectors.decisions.get(&vector.id);
        let is_exception = vector.expect == Expectation::Valid && vector.refused().is_some();
        let is_needed = is_exception || !vector.tags.is_empty();
        assert_eq!(decision.is_some(), is_needed, "{}: {decision:?}", vector.id);
        let Some(decision) = decision else { continue };
        assert!(decision.tag.iter().eq(&vector.tags), "{}: {decision:?}", vector.id);
        assert!(!decision.why.is_empty(), "{}: say why", vector.id);
    }
}
