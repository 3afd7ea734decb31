//! A signed request that somebody altered: refused, or accepted as exactly what
//! was signed.
//!
//! ```text
//! fixture ── sign ──▶ genuine ── script of bytes ──▶ altered ── verify ──▶ refused
//!                        │                              │                  or accepted:
//!                        └───────── the same text, time and event ◀──────── checked here
//! ```
//!
//! The script comes from proptest in `mutated.rs` and from libFuzzer in
//! `tests/fuzz`, so both try the same alterations by the same rule. These are all
//! the ways to spell one signed request, each on purpose:
//!
//! | what may differ | where |
//! |---|---|
//! | further entries beside a good one, and their order | headers that list signatures: the sender rolls its key |
//! | the family of header names | where a scheme has two: each signs the same text |
//! | order, escapes (`%2b`, `%2B`, `+`, `%20`), repeated pairs, empty parts; where one parameter ends and the next begins | decoded forms that are signed: the text that is signed has no separators, so the id is a hash of that text |
//! | the method, and headers that no scheme signs: content type, the id and name of an event where a header carries them | everywhere; what they may change is the id and type of a provider that reads them there |
//!
//! Nothing else: hex in capitals, white space, missing padding, a sign before a
//! number, another address or query are all refused.

use std::collections::BTreeSet;

use http::{HeaderName, Method};
use inbox_core::provider::Identity;

use super::facts::KeySource;
use super::testing::{self, Delivery, Sample, at, header_value};

/// Values for a content type, likely ones and odd ones.
const CONTENT_TYPES: [&str; 6] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "APPLICATION/JSON; charset=utf-8",
    "application/x-www-form-urlencoded, application/json",
    "text/plain",
    "",
];
const METHODS: [Method; 4] = [Method::POST, Method::GET, Method::PUT, Method::DELETE];
/// Bytes that mean something to one of the parsers.
const TELLING: &[u8] = b" \t,.=&?%+;:#\"'{}[]0aAzZ\0\xff\\/";
const STEPS: usize = 6;

/// Bytes that decide, one choice after the other; zeros when they are used up.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `end`, 0 where there is none.
    fn below(&mut self, end: usize) -> usize {
        let number = usize::from(self.byte()) << 8 | usize::from(self.byte());
        number.checked_rem(end).unwrap_or(0)
    }
}

/// The request after what the script does to it; the address stays, since the
/// inbox has it from its configuration.
pub(super) fn alter(sample: &Sample, genuine: &Delivery, script: &[u8]) -> Delivery {
    let mut script = Script(script);
    let mut altered = genuine.clone();
    for _ in 0..=script.below(STEPS) {
        match script.byte() % 8 {
            0 => edit(&mut altered.body, &mut script),
            1 => alter_query(&mut altered, &mut script),
            2 => {
                let at = script.below(CONTENT_TYPES.len());
                altered.headers.insert("content-type", CONTENT_TYPES[at].parse().unwrap());
            }
            3 => altered.method = METHODS[script.below(METHODS.len())].clone(),
            4 => body_into_query(&mut altered, &mut script),
            _ => alter_header(sample, &mut altered, &mut script),
        }
    }
    altered
}

fn alter_query(altered: &mut Delivery, script: &mut Script<'_>) {
    let (address, query) = altered.url.split_once('?').unwrap_or((&altered.url, ""));
    let mut query = query.as_bytes().to_vec();
    edit(&mut query, script);
    // API Gateway's event is JSON, so a query is text.
    let query = String::from_utf8_lossy(&query);
    altered.url = if query.is_empty() { address.to_owned() } else { format!("{address}?{query}") };
}

/// What stood in the body stands in the query, as far as the script says.
fn body_into_query(altered: &mut Delivery, script: &mut Script<'_>) {
    let rest = altered.body.split_off(script.below(altered.body.len() + 1));
    let moved = String::from_utf8_lossy(&altered.body).into_owned();
    let separator = if altered.url.contains('?') { "" } else { "?" };
    altered.url = format!("{}{separator}{moved}", altered.url);
    altered.body = rest;
}

fn alter_header(sample: &Sample, altered: &mut Delivery, script: &mut Script<'_>) {
    let names: Vec<_> = sample.facts.headers().collect();
    let name = HeaderName::from_static(names[script.below(names.len())]);
    let mut value =
        altered.headers.get(&name).map_or_else(Vec::new, |value| value.as_bytes().to_vec());
    let choice = script.byte() % 6;
    if choice > 1 {
        edit(&mut value, script);
    }
    let Some(value) = header_value(&value) else { return };
    match choice {
        0 => drop(altered.headers.remove(&name)),
        // The same line twice, or one that differs.
        1 | 2 => drop(altered.headers.append(name, value)),
        3 => {
            let other = HeaderName::from_static(names[script.below(names.len())]);
            altered.headers.insert(other, value);
        }
        _ => drop(altered.headers.insert(name, value)),
    }
}

fn edit(bytes: &mut Vec<u8>, script: &mut Script<'_>) {
    let place = script.below(bytes.len());
    let other = script.below(bytes.len());
    let (from, to) = (place.min(other), place.max(other));
    let telling = TELLING[script.below(TELLING.len())];
    match script.byte() % 12 {
        _ if bytes.is_empty() => bytes.push(telling),
        0 => bytes[place] ^= 1 << (script.byte() % 8),
        1 => bytes.insert(place, telling),
        2 => bytes.insert(place, script.byte()),
        3 => drop(bytes.remove(place)),
        4 => bytes.swap(place, other),
        5 => bytes.truncate(place),
        6 => drop(bytes.drain(from..to)),
        7 => bytes.extend_from_within(from..),
        8 if bytes[place].is_ascii_lowercase() => bytes[place].make_ascii_uppercase(),
        8 => bytes[place].make_ascii_lowercase(),
        9 => {
            let escaped = format!("%{:02x}", bytes[place]);
            drop(bytes.splice(place..=place, escaped.into_bytes()));
        }
        10 => bytes.push(telling),
        _ => bytes[place] = telling,
    }
}

/// Whether the altered request verifies.
///
/// # Panics
///
/// When it does and is not what was signed.
pub(super) fn check(sample: &Sample, genuine: &Delivery, altered: &Delivery) -> bool {
    let provider = sample.provider.as_ref();
    let secrets = testing::bundle(&sample.secrets[..1]);
    let Ok(verified) = altered.request().verify(provider, &secrets, at(0)) else { return false };
    let name = provider.name();
    assert_eq!(
        provider.signed_at(&altered.request()),
        provider.signed_at(&genuine.request()),
        "{name} accepted another time: {altered:?}"
    );
    assert!(
        covered(sample, altered) == covered(sample, genuine),
        "{name} accepted another text: {altered:?}\nof {genuine:?}"
    );
    let signed = genuine.identity(provider, sample.secrets[0]);
    check_identity(sample, &signed, &provider.identify(&verified));
    true
}

fn check_identity(sample: &Sample, signed: &Identity, found: &Identity) {
    let (facts, name) = (sample.facts, sample.provider.name());
    let is_unsigned = !facts.unsigned_headers.is_empty();
    if facts.idempotency_key != KeySource::Header || !is_unsigned {
        assert_eq!(found.idempotency_key, signed.idempotency_key, "{name}");
    }
    // Other cuts of a form may say something else; its id is the same.
    if facts.signs_decoded_forms {
        return;
    }
    assert_eq!(found.subject, signed.subject, "{name}");
    assert!(found.payload == signed.payload, "{name} stores another payload");
    if facts.event_type_from_header.is_none() {
        assert_eq!(found.event_type, signed.event_type, "{name}");
        assert_eq!(found.occurred_at, signed.occurred_at, "{name}");
    }
}

/// All that is signed, apart from time and id: read in another way than the code
/// under test does.
fn covered(sample: &Sample, delivery: &Delivery) -> Vec<u8> {
    let mut text = Vec::new();
    if sample.provider.signs_url() {
        text.extend(delivery.url.strip_suffix('?').unwrap_or(&delivery.url).as_bytes());
    }
    if sample.facts.decodes(&delivery.request().media_type()) {
        text.extend(
            said(&delivery.body).into_iter().flat_map(|(name, value)| [name, value]).flatten(),
        );
    } else {
        text.extend(&delivery.body);
    }
    text
}

/// What a form says, read in another way than the code under test does.
pub(super) fn said(form: &[u8]) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
    let mut pairs = BTreeSet::new();
    for part in form.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
        let mut sides = [Vec::new(), Vec::new()];
        let (mut side, mut at) = (0, 0);
        while at < part.len() {
            let escaped = part.get(at + 1..at + 3).and_then(|hex| hex::decode(hex).ok());
            match (part[at], escaped) {
                (b'=', _) if side == 0 => side = 1,
                (b'%', Some(byte)) => {
                    sides[side].extend(byte);
                    at += 2;
                }
                (b'+', _) => sides[side].push(b' '),
                (byte, _) => sides[side].push(byte),
            }
            at += 1;
        }
        let [name, value] = sides;
        pairs.insert((name, value));
    }
    pairs
}
