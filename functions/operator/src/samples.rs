//! Bodies as the providers document them, made new for each sending.
//!
//! They are those of `tests/fixtures/<provider>/`; `provider.json` there says
//! what each is and where its idempotency key stands:
//!
//! ```text
//! header    the body stays, the id in the header is new
//! body      the key in the body is replaced by a new one of the same shape
//! content   the key is a hash of everything, so the object's id is replaced
//! ```
//!
//! so that each sending is an event of its own, whatever the provider.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use fastrand::Rng;
use inbox_core::form::MEDIA_TYPE as FORM;
use inbox_core::pattern::glob;
use serde::Deserialize;

struct Folder {
    provider: &'static str,
    facts: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

const FOLDERS: &[Folder] = include!(concat!(env!("OUT_DIR"), "/samples.rs"));

const JSON: &str = "application/json";

static ALL: LazyLock<Vec<Sample>> = LazyLock::new(|| FOLDERS.iter().flat_map(read).collect());

/// One body.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Whose it is.
    pub provider: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// What the receiver reads as its type.
    pub event_type: String,
    /// The type in a header, where one carries it.
    pub header_event_type: String,
    body: &'static [u8],
    /// What is replaced to make it new; empty when that is a header.
    replaced: String,
}

/// A body to send, with the id for a header.
#[derive(Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The body.
    pub body: Vec<u8>,
    /// A new id, for providers that send it in a header.
    pub id: String,
}

#[derive(Deserialize)]
struct Facts {
    idempotency_key: KeySource,
    fixtures: BTreeMap<String, Described>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeySource {
    Header,
    Body,
    Content,
}

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    header_event_type: Option<String>,
    event_type: String,
    subject: Option<String>,
    idempotency_key: Option<String>,
}

fn read(folder: &'static Folder) -> Vec<Sample> {
    let facts: Facts = serde_json::from_str(folder.facts).expect("the tests hold provider.json");
    let described = |file: &str| facts.fixtures.get(file);
    folder
        .files
        .iter()
        .filter_map(|(file, body)| Some((*file, *body, described(file)?)))
        .map(|(file, body, described)| Sample {
            provider: folder.provider,
            content_type: media_type(Path::new(file)).unwrap_or(JSON),
            event_type: described.event_type.clone(),
            header_event_type: described.header_event_type.clone().unwrap_or_default(),
            body,
            replaced: match facts.idempotency_key {
                KeySource::Header => String::new(),
                KeySource::Body => described.idempotency_key.clone().unwrap_or_default(),
                KeySource::Content => described.subject.clone().unwrap_or_default(),
            },
        })
        .collect()
}

/// What the ending of a file's name says.
#[must_use]
pub fn media_type(file: &Path) -> Option<&'static str> {
    match file.extension()?.to_str()? {
        "json" => Some(JSON),
        "form" => Some(FORM),
        "xml" => Some("application/xml"),
        _ => None,
    }
}

/// A provider's samples whose type, read or in the header, matches the pattern.
#[must_use]
pub fn find(provider: &str, pattern: &str) -> Vec<&'static Sample> {
    let matches = |sample: &&Sample| {
        [&sample.event_type, &sample.header_event_type].into_iter().any(|it| glob(pattern, it))
    };
    of(provider).filter(matches).collect()
}

/// All samples of a provider, in order of their files.
pub fn of(provider: &str) -> impl Iterator<Item = &'static Sample> {
    ALL.iter().filter(move |sample| sample.provider == provider)
}

impl Sample {
    /// The body of an event that never was before.
    #[must_use]
    pub fn fresh(&self, random: &mut Rng) -> Fresh {
        let id = uuid(random);
        let body = match self.replaced.as_str() {
            "" => self.body.to_vec(),
            old => replaced(self.body, old, &like(old, random)),
        };
        Fresh { body, id }
    }
}

/// Every occurrence of a word, which is no part of a longer one.
fn replaced(body: &[u8], old: &str, new: &str) -> Vec<u8> {
    let old = old.as_bytes();
    let is_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let (mut out, mut at) = (Vec::with_capacity(body.len()), 0);
    while at < body.len() {
        let is_alone = !is_word(at.checked_sub(1).and_then(|before| body.get(before)))
            && !is_word(body.get(at + old.len()));
        if body[at..].starts_with(old) && is_alone {
            out.extend(new.as_bytes());
            at += old.len();
        } else {
            out.push(body[at]);
            at += 1;
        }
    }
    out
}

/// A new id of the same shape: `evt_…`, `SM` and hex digits, a UUID, a number.
fn like(old: &str, random: &mut Rng) -> String {
    const LETTERS_MIN: usize = 24;
    const DIGITS_MIN: usize = 10;
    if uuid::Uuid::try_parse(old).is_ok() && old.contains('-') {
        return uuid(random);
    }
    let letters = old.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(0);
    let prefix = old.find('_').map_or(letters, |at| at + 1);
    let (prefix, rest) = old.split_at(prefix);
    let is = |test: fn(&u8) -> bool| !rest.is_empty() && rest.bytes().all(|byte| test(&byte));
    let mut some = |count: usize, draw: fn(&mut Rng) -> char| -> String {
        (0..count).map(|_| draw(random)).collect()
    };
    let fresh = if is(u8::is_ascii_hexdigit) && rest.len() >= LETTERS_MIN {
        some(rest.len(), |random| random.digit(16))
    } else if is(u8::is_ascii_digit) {
        // A number begins with no zero, and may have to stay a number.
        "1".to_owned() + &some(rest.len().max(DIGITS_MIN) - 1, |random| random.digit(10))
    } else {
        some(rest.len().max(LETTERS_MIN), Rng::alphanumeric)
    };
    prefix.to_owned() + &fresh
}

fn uuid(random: &mut Rng) -> String {
    uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::{HeaderMap, HeaderName, Method};
    use inbox_core::Timestamp;
    use inbox_core::provider::{Identity, Unsigned};
    use inbox_core::request::Request;
    use inbox_core::secrets::{Secret, SecretBundle};
    use inbox_receiver::providers;

    use super::*;

    #[derive(Deserialize)]
    struct Secrets {
        secrets: [String; 2],
    }

    fn secret_of(provider: &str) -> Secret {
        let folder = FOLDERS.iter().find(|folder| folder.provider == provider).unwrap();
        let facts: Secrets = serde_json::from_str(folder.facts).unwrap();
        Secret::new(facts.secrets[0].clone())
    }

    fn received(sample: &Sample, random: &mut Rng) -> Identity {
        let provider = providers::find(sample.provider).unwrap();
        let Fresh { body, id } = sample.fresh(random);
        let url = provider.address("https://hooks.example.com/in", sample.content_type, &body);
        let now = Timestamp::from_unix_seconds(1_772_366_400).unwrap();
        let unsigned = Unsigned {
            url: &url,
            content_type: sample.content_type,
            body: &body,
            id: &id,
            event_type: &sample.header_event_type,
            now,
        };
        let secret = secret_of(sample.provider);
        let mut headers = HeaderMap::new();
        headers.insert("content-type", sample.content_type.parse().unwrap());
        for (name, value) in provider.sign(&unsigned, &secret) {
            headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let (address, query) = url.split_once('?').unwrap_or((&url, ""));
        let request = Request::new(Method::POST, query.to_owned(), headers, body.into())
            .with_public_urls([address.to_owned()]);
        let bundle = SecretBundle::of(vec![secret]).unwrap();
        provider.identify(&request.verify(provider.as_ref(), &bundle, now).unwrap())
    }

    #[test]
    fn every_sample_of_every_provider_verifies_and_is_a_new_event_each_time() {
        let mut random = Rng::with_seed(7);
        for name in providers::names() {
            assert!(of(name).next().is_some(), "{name} has no sample");
            for sample in of(name) {
                let ids: BTreeSet<_> = (0..20)
                    .map(|_| {
                        let identity = received(sample, &mut random);
                        assert_eq!(
                            identity.event_type.as_ref(),
                            Some(&sample.event_type),
                            "{name}"
                        );
                        identity.idempotency_key
                    })
                    .collect();
                assert_eq!(ids.len(), 20, "{name} {}: {ids:?}", sample.event_type);
                assert!(!ids.contains(&None), "{name}");
            }
        }
    }

    #[test]
    fn a_type_is_found_by_pattern_in_the_header_or_as_it_is_read() {
        let types = |pattern| -> Vec<_> {
            find("github", pattern).iter().map(|it| it.event_type.as_str()).collect()
        };
        assert_eq!(types("pull_request"), ["pull_request.opened"]);
        assert_eq!(types("*.opened"), ["issues.opened", "pull_request.opened"]);
        assert_eq!(types("nothing"), [""; 0]);
    }

    #[test]
    fn a_new_id_has_the_shape_of_the_old() {
        let mut random = Rng::with_seed(7);
        for (old, prefix, length) in [
            ("evt_test_1", "evt_", 28),
            ("SM11111111111111111111111111111111", "SM", 34),
            ("1f81eb52-5198-4599-803e-771906343485", "", 36),
            ("12345", "1", 10),
            ("Ev01ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Ev", 30),
        ] {
            let new = like(old, &mut random);
            assert!(new.starts_with(prefix) && new.len() == length && new != old, "{new}");
        }
        assert!(like("12345", &mut random).bytes().all(|byte| byte.is_ascii_digit()));
    }

    #[test]
    fn only_whole_words_are_replaced() {
        let body = br#"{"id":"evt_1","other":"evt_10","my_evt_1":"evt_1"}"#;
        let new = replaced(body, "evt_1", "evt_X");
        assert_eq!(new, br#"{"id":"evt_X","other":"evt_10","my_evt_1":"evt_X"}"#);
    }
}
