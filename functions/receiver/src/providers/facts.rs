//! What the tests over all providers must know of each one. It stands in the
//! provider's own folder, `tests/fixtures/<provider>/provider.json`, so that no
//! test names a provider. `tests/fixtures/README.md` explains every member.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine as _;
use inbox_core::provider::Rejection;
use inbox_core::secrets::Secret;
use inbox_core::signature;
use serde::Deserialize;

use super::testing::{self, Delivery};
use inbox_core::form;

/// The file's name, in each folder.
pub(super) const FILE: &str = "provider.json";

static ALL: LazyLock<BTreeMap<&'static str, Result<Facts, String>>> =
    LazyLock::new(|| super::names().map(|name| (name, load(name))).collect());

/// Whatever is not `default` must be there, `null` included: leaving something
/// out is a question that nobody answered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facts {
    /// The tests sign with the first.
    pub(super) secrets: [String; 2],
    pub(super) secret_spelling: SecretSpelling,
    pub(super) media_types: Vec<String>,
    pub(super) signature_header: String,
    /// Further headers whose every bit counts.
    pub(super) signed_headers: Vec<String>,
    /// Read once the request is verified, and covered by nothing.
    pub(super) unsigned_headers: Vec<String>,
    /// Read by `verify` besides, such as other names for the same.
    pub(super) scheme_headers: Vec<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) signature_list: Option<SignatureList>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) tolerance_seconds: Option<i64>,
    pub(super) signs_decoded_forms: bool,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) body_hash_parameter: Option<String>,
    pub(super) idempotency_key: KeySource,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) event_type_from_header: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) event_type_of_array: Option<String>,
    pub(super) json_members: Vec<String>,
    pub(super) form_parameters: Vec<String>,
    pub(super) fixtures: BTreeMap<String, Fixture>,
    pub(super) vectors: Vectors,
}

/// How a key of random bytes is written down.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SecretSpelling {
    /// Any text is a key as it stands.
    Text,
    /// `whsec_` and base64.
    WhsecBase64,
}

/// A signature header that may hold several signatures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignatureList {
    pub(super) separator: String,
    /// Whether two lines of the header, which gateways join by a comma, are a list too.
    #[serde(default)]
    pub(super) joins_lines: bool,
    /// How many entries before the first signature are something else.
    pub(super) leading: usize,
    /// An entry that reads well and matches nothing.
    pub(super) wrong: String,
}

/// Where the idempotency key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeySource {
    /// The id that the sender put into a header, as it is.
    Header,
    /// The body; one that names no id has none.
    Body,
    /// Computed from what was signed, so there always is one.
    Content,
}

/// What is read from one of the folder's bodies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fixture {
    /// The header's event type, where a header carries it.
    #[serde(default)]
    pub(super) header_event_type: Option<String>,
    pub(super) event_type: String,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) subject: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) occurred_at: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) idempotency_key: Option<String>,
    /// The media type of the event, where it is not the whole body.
    #[serde(default)]
    pub(super) payload_media_type: Option<String>,
    pub(super) holds_marker: bool,
}

/// How this project judges the provider's vectors in `signatures.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vectors {
    pub(super) count: usize,
    #[serde(default)]
    pub(super) refused: BTreeMap<String, Refusal>,
    #[serde(default)]
    pub(super) decisions: BTreeMap<String, Decision>,
}

/// A [`Rejection`] as the file spells it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    MissingSignature,
    MalformedSignature,
    SignatureMismatch,
    SignatureMismatchNotFresh,
    StaleTimestamp,
}

/// Why a vector is held otherwise than published, or all the same.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// The vector's tag, where it is marked as doubtful.
    #[serde(default)]
    pub(super) tag: Option<String>,
    pub(super) why: String,
}

impl Facts {
    /// Whether it is a form of which the decoded parameters are signed.
    pub(super) fn decodes(&self, content_type: &str) -> bool {
        self.signs_decoded_forms && content_type == form::MEDIA_TYPE
    }

    /// Whether the provider could send this body: where decoded parameters are
    /// signed behind the URL, the first begins with a letter.
    pub(super) fn could_send(&self, content_type: &str, body: &[u8]) -> bool {
        let parameters = super::mutations::said(body);
        let begins_with_letter = |name: &[u8]| name.first().is_some_and(u8::is_ascii_alphabetic);
        !self.decodes(content_type)
            || parameters.first().is_none_or(|(name, _)| begins_with_letter(name))
    }

    /// The address with the hash of a body that no parameters cover, where the
    /// provider puts one there.
    pub(super) fn cover(&self, url: &str, body: &[u8]) -> String {
        let Some(parameter) = &self.body_hash_parameter else { return url.to_owned() };
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}{parameter}={}", signature::sha256_hex(&[body]))
    }

    /// A secret of the provider's shape.
    pub(super) fn secret(&self, random: &[u8]) -> String {
        match self.secret_spelling {
            SecretSpelling::Text => hex::encode(random),
            SecretSpelling::WhsecBase64 => {
                format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(random))
            }
        }
    }

    /// The headers whose every bit counts.
    pub(super) fn covered_headers(&'static self) -> impl Iterator<Item = &'static str> {
        std::iter::once(&self.signature_header).chain(&self.signed_headers).map(String::as_str)
    }

    /// All headers of its own that it reads.
    pub(super) fn headers(&'static self) -> impl Iterator<Item = &'static str> {
        let others = self.unsigned_headers.iter().chain(&self.scheme_headers);
        self.covered_headers().chain(others.map(String::as_str))
    }
}

impl Refusal {
    pub(super) fn rejection(self) -> Rejection {
        match self {
            Self::MissingSignature => Rejection::MissingSignature,
            Self::MalformedSignature => Rejection::MalformedSignature,
            Self::SignatureMismatch => Rejection::SignatureMismatch { fresh: true },
            Self::SignatureMismatchNotFresh => Rejection::SignatureMismatch { fresh: false },
            Self::StaleTimestamp => Rejection::StaleTimestamp,
        }
    }
}

/// What is known of this provider.
pub(super) fn of(name: &str) -> &'static Facts {
    match &ALL[name] {
        Ok(facts) => facts,
        Err(message) => panic!("{message}"),
    }
}

/// Where the providers' folders are.
pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// Reads a provider's file, or says what to do.
pub(super) fn load(name: &str) -> Result<Facts, String> {
    let file = format!("tests/fixtures/{name}/{FILE}");
    let text = std::fs::read_to_string(folder().join(name).join(FILE)).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            format!(
                "{file} is missing: add it, with the members that tests/fixtures/README.md explains"
            )
        } else {
            format!("{file}: {error}")
        }
    })?;
    parse(&text)
        .map_err(|error| format!("{file}: {error}; tests/fixtures/README.md explains the members"))
}

fn parse(json: &str) -> serde_json::Result<Facts> {
    serde_json::from_str(json)
}

#[test]
fn the_sample_secrets_are_two_that_the_provider_would_take() {
    for name in super::names() {
        let provider = super::find(name).unwrap();
        let [signing, other] = &of(name).secrets;
        assert_ne!(signing, other, "{name}");
        for text in [signing, other, &of(name).secret(&[7; 32])] {
            let secret = Secret::new(text.as_str().into());
            assert_eq!(provider.check_secret(&secret), Ok(()), "{name}: {text}");
        }
    }
}

#[test]
fn the_headers_are_those_that_the_provider_signs_with() {
    for sample in testing::all() {
        let (name, facts) = (sample.provider.name(), sample.facts);
        for header in facts.headers() {
            assert_eq!(header, header.to_ascii_lowercase(), "{name}");
        }
        let Delivery { mut headers, .. } = sample.delivery(b"a=1");
        headers.remove("content-type");
        let made: BTreeSet<_> = headers.keys().map(http::HeaderName::as_str).collect();
        let known: BTreeSet<_> = facts.headers().collect();
        assert!(made.is_subset(&known), "{name} signs with {made:?}, {FILE} names {known:?}");
        for header in facts.covered_headers() {
            assert!(made.contains(header), "{FILE} of {name} names {header}, not in {made:?}");
        }
    }
}

#[test]
fn a_hash_in_the_url_is_of_a_provider_that_signs_its_url() {
    for name in super::names() {
        let signs_url = super::find(name).unwrap().signs_url();
        assert!(signs_url || of(name).body_hash_parameter.is_none(), "{name}");
    }
}

#[test]
fn what_the_provider_says_of_time_and_address_is_what_it_verifies_by() {
    for sample in testing::all() {
        let (provider, name) = (&sample.provider, sample.provider.name());
        // A provider may leave both out; what it says must be true.
        if let Some(tolerance) = provider.tolerance() {
            let seconds = i64::try_from(tolerance.as_secs()).unwrap();
            assert_eq!(Some(seconds), sample.facts.tolerance_seconds, "{name}");
        }
        let delivery = sample.delivery(b"a=1");
        if let Some(signed_at) = provider.signed_at(&delivery.request()) {
            assert_eq!(signed_at, testing::at(0), "{name}");
        }
        let address = provider.address("https://x.example/in?a=1", sample.content_type, b"a=1");
        let covered = sample.facts.cover("https://x.example/in?a=1", b"a=1");
        let is_decoded = sample.facts.decodes(sample.content_type);
        assert_eq!(address == covered, !is_decoded || sample.facts.body_hash_parameter.is_none());
    }
}

#[test]
fn what_is_missing_or_unknown_is_said_by_name() {
    let told = load("nobody").unwrap_err();
    assert_eq!(
        told,
        "tests/fixtures/nobody/provider.json is missing: add it, with the members that \
         tests/fixtures/README.md explains"
    );
    let name = super::names().next().unwrap();
    let whole = std::fs::read_to_string(folder().join(name).join(FILE)).unwrap();
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    for member in whole.as_object().unwrap().keys() {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(member);
        let told = parse(&without.to_string()).unwrap_err().to_string();
        assert!(told.contains(&format!("missing field `{member}`")), "{told}");
    }
    let mut with = whole;
    with["tolerance"] = 300.into();
    let told = parse(&with.to_string()).unwrap_err().to_string();
    assert!(told.contains("unknown field `tolerance`"), "{told}");
}
