//! Texts that come back from queue and table, and forms.

use std::collections::BTreeSet;

use inbox_core::Timestamp;
use inbox_core::event::{EventKey, clean_text};
use inbox_core::form;
use inbox_core::pattern::glob;
use inbox_core::queue::{DeadLetter, Pointer};
use inbox_core::secrets::SecretBundle;
use inbox_core::signature;

/// A queue's message, and the small texts of the ledger.
///
/// # Panics
///
/// When what is read is not what was written.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Pointer::parse(&text) {
        Ok(pointer) => assert!(pointer.life > 0),
        Err(reason) => {
            let letter = DeadLetter::unreadable(text.clone().into_owned(), &reason);
            assert!(letter.attributes.iter().all(|(_, value)| !value.is_empty()));
        }
    }
    if let Some(key) = EventKey::parse(&text) {
        assert_eq!(key.to_string(), text);
    }
    for moment in [
        Timestamp::parse_decimal_seconds(&text),
        Timestamp::parse_rfc3339(&text),
        signature::decode_unix_seconds(&text),
    ]
    .into_iter()
    .flatten()
    {
        assert_eq!(Timestamp::parse_decimal_seconds(&moment.to_decimal_seconds()), Some(moment));
        assert_eq!(Timestamp::parse_rfc3339(&moment.to_rfc3339()), Some(moment));
    }
    let clean = clean_text(&text, 40);
    assert!(clean.chars().count() <= 40 && clean_text(&clean, 40) == clean);
    let (pattern, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let _ = glob(pattern, rest);
    assert!(
        glob("*", &text) && glob(&format!("{}*", rest.replace('*', "")), &rest.replace('*', ""))
    );
    if let Ok(bundle) = SecretBundle::parse(&text) {
        assert!(bundle.signing_secrets().iter().all(|secret| !secret.expose().is_empty()));
    }
}

/// A form, read as another reader reads it.
///
/// # Panics
///
/// When the two differ.
pub fn form(data: &[u8]) {
    let found: Vec<_> = form::pairs(data).collect();
    let set: BTreeSet<_> =
        found.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    assert_eq!(set, crate::providers::said(data));
    // Each name is searched for from the start: a few tell as much as all.
    for (name, _) in found.iter().take(20) {
        let Ok(text) = std::str::from_utf8(name) else { continue };
        let first = found.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        assert_eq!(form::first(data, text), first);
    }
}
