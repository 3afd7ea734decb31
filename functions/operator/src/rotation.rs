//! Rotating signing secrets without an outage, on the stored JSON.
//!
//! ```text
//!                                        of a source               of a route that forwards
//! {"signing_secrets":["old"], …}         the provider signs        the processor signs
//!                                        with old                  with old
//!   add     ["new","old"]                after 5 minutes at most
//!                                        receivers try both        both sign
//!                                        … the provider signs      … the endpoint verifies
//!                                        with new …                with new …
//!   retire  ["new"]
//! ```
//!
//! Whatever else the JSON holds stays as it is. Nothing here shows a secret; its
//! last four characters are told, where that leaves twelve or more in the dark.

use std::fmt;
use std::io::{self, Write};

use inbox_core::secrets::{Secret, plain_text};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

const MEMBER: &str = "signing_secrets";
/// A shorter secret is shown by nothing but its length.
const SHOWN_FROM_CHARACTERS: usize = 16;
const SHOWN_CHARACTERS: usize = 4;

/// A stored secret, taken apart.
#[derive(Clone, Default)]
pub struct Rotation {
    secrets: Vec<Secret>,
    others: Map<String, Value>,
    is_plain: bool,
}

/// Counts only.
impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// The stored text is not the documented JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its value is not JSON of the form {{\"signing_secrets\":[\"…\"]}}")]
pub struct NotABundle;

impl Rotation {
    /// Reads the stored JSON, or the one secret that stands there as it is; a missing or empty list is no fault, since a
    /// secret can be added to it.
    ///
    /// # Errors
    ///
    /// It is of another form.
    pub fn parse(json: &str) -> Result<Self, NotABundle> {
        if let Some(text) = plain_text(json) {
            let secrets = vec![Secret::new(text.to_owned())];
            return Ok(Self { secrets, others: Map::new(), is_plain: true });
        }
        let mut others: Map<String, Value> = serde_json::from_str(json).map_err(|_| NotABundle)?;
        let secrets = match others.remove(MEMBER) {
            None => Vec::new(),
            Some(Value::Array(list)) => list.into_iter().map(secret).collect::<Result<_, _>>()?,
            Some(_) => return Err(NotABundle),
        };
        Ok(Self { secrets, others, is_plain: false })
    }

    /// Whether the stored value is one signing secret as it is, and no JSON: that is
    /// written with the next change.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The signing secrets, the newest first.
    #[must_use]
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Names of what else the JSON holds.
    pub fn other_names(&self) -> impl Iterator<Item = &str> {
        self.others.keys().map(String::as_str)
    }

    /// Puts a secret first.
    ///
    /// # Errors
    ///
    /// It is held already, at this position from 1.
    pub fn add(&mut self, new: Secret) -> Result<(), usize> {
        if let Some(at) = self.secrets.iter().position(|held| *held == new) {
            return Err(at + 1);
        }
        self.secrets.insert(0, new);
        Ok(())
    }

    /// Takes a secret out, by its position from 1; the last in the list is the
    /// oldest.
    ///
    /// # Errors
    ///
    /// Says why it stays.
    pub fn retire(&mut self, position: usize) -> Result<(), String> {
        if self.secrets.len() < 2 {
            return Err("it is the only one; add another first".to_owned());
        }
        if !(1..=self.secrets.len()).contains(&position) {
            return Err(format!("there are {}, and none at {position}", self.secrets.len()));
        }
        self.secrets.remove(position - 1);
        Ok(())
    }

    /// The JSON to store.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let whole = Whole {
            signing_secrets: self.secrets.iter().map(Secret::expose).collect(),
            others: &self.others,
        };
        // Counted first: a text that grows leaves copies behind.
        let mut length = Count(0);
        serde_json::to_writer(&mut length, &whole).expect("text always serialises");
        let mut json = Zeroizing::new(Vec::with_capacity(length.0));
        serde_json::to_writer(&mut *json, &whole).expect("text always serialises");
        let json = String::from_utf8(std::mem::take(&mut *json)).expect("JSON is UTF-8");
        Zeroizing::new(json)
    }
}

/// The stored JSON, without a copy of what it is made of.
#[derive(Serialize)]
struct Whole<'a> {
    signing_secrets: Vec<&'a str>,
    #[serde(flatten)]
    others: &'a Map<String, Value>,
}

/// Counts what is written to it.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What else the JSON holds may be keys as well.
impl Drop for Rotation {
    fn drop(&mut self) {
        for value in self.others.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

fn secret(value: Value) -> Result<Secret, NotABundle> {
    match value {
        Value::String(text) => Ok(Secret::new(text)),
        _ => Err(NotABundle),
    }
}

/// The end of a long secret, to tell it from others by.
#[must_use]
pub fn ending(secret: &Secret) -> Option<String> {
    let characters = secret.expose().chars().count();
    (characters >= SHOWN_FROM_CHARACTERS)
        .then(|| secret.expose().chars().skip(characters - SHOWN_CHARACTERS).collect())
}

/// What was typed or piped in, as a secret of whom `check` speaks for.
///
/// # Errors
///
/// What is wrong with it, without quoting it.
pub fn fit(
    text: &str,
    check: impl Fn(&Secret) -> Result<(), &'static str>,
) -> Result<Secret, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.trim() != text {
        return Err("has white space around it: copy it without".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err(
            "has more than one line, or control characters: give the secret alone".to_owned()
        );
    }
    if text.starts_with('{') && serde_json::from_str::<Map<String, Value>>(text).is_ok() {
        return Err("is JSON: give the secret alone, the rest is kept".to_owned());
    }
    let secret = Secret::new(text.to_owned());
    check(&secret)?;
    Ok(secret)
}

/// Without the line end that `echo` and files put behind it, and whether there
/// was one. A second one is the secret's, and is refused later.
#[must_use]
pub fn without_line_end(text: &str) -> (&str, bool) {
    match text.strip_suffix('\n') {
        Some(line) => (line.strip_suffix('\r').unwrap_or(line), true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use inbox_receiver::providers;

    use super::*;

    fn rotation(json: &str) -> Rotation {
        Rotation::parse(json).unwrap()
    }

    #[test]
    fn a_rotation_keeps_everything_else() {
        let mut it = rotation(r#"{"signing_secrets":["old"],"verify_token":"t","x":"y"}"#);
        assert_eq!(it.add(Secret::new("new".into())), Ok(()));
        assert_eq!(
            it.to_json().as_str(),
            r#"{"signing_secrets":["new","old"],"verify_token":"t","x":"y"}"#
        );
        assert_eq!(it.retire(2), Ok(()));
        assert_eq!(
            it.to_json().as_str(),
            r#"{"signing_secrets":["new"],"verify_token":"t","x":"y"}"#
        );
        assert_eq!(it.other_names().collect::<Vec<_>>(), ["verify_token", "x"]);
    }

    #[test]
    fn a_secret_is_held_once_and_the_last_one_stays() {
        let mut it = rotation(r#"{"signing_secrets":["a","b"]}"#);
        assert_eq!(it.add(Secret::new("b".into())), Err(2));
        assert_eq!(it.retire(3), Err("there are 2, and none at 3".to_owned()));
        assert!(it.retire(0).is_err());
        assert_eq!(it.retire(1), Ok(()));
        assert!(it.retire(1).unwrap_err().starts_with("it is the only one"));
        assert_eq!(it.secrets().len(), 1);
    }

    #[test]
    fn a_list_may_be_missing_or_empty_and_must_hold_text() {
        for json in ["{}", r#"{"signing_secrets":[]}"#] {
            assert_eq!(rotation(json).secrets().len(), 0, "{json}");
        }
        for json in ["[]", "", "17", r#"{"signing_secrets":"x"}"#, r#"{"signing_secrets":[1]}"#] {
            assert_eq!(Rotation::parse(json).err(), Some(NotABundle), "{json}");
        }
    }

    #[test]
    fn a_plain_text_becomes_json_with_the_next_change() {
        let mut it = rotation("whsec_old\n");
        assert!(it.is_plain());
        assert_eq!(it.add(Secret::new("whsec_new".into())), Ok(()));
        assert_eq!(it.to_json().as_str(), r#"{"signing_secrets":["whsec_new","whsec_old"]}"#);
        assert!(!rotation(&it.to_json()).is_plain());
    }

    #[test]
    fn four_characters_are_shown_of_a_long_secret_and_none_of_a_short_one() {
        let end = |text: &str| ending(&Secret::new(text.to_owned()));
        assert_eq!(end("0123456789abcdef").as_deref(), Some("cdef"));
        assert_eq!(end("0123456789abcde"), None);
        assert_eq!(end("ääääääääääääääöü").as_deref(), Some("ääöü"));
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_quoting_it() {
        let stripe = providers::find("stripe").unwrap();
        let fit = |text: &str| super::fit(text, |secret| stripe.check_secret(secret));
        assert!(fit("whsec_0123456789abcdef").is_ok());
        for (text, part) in [
            ("", "empty"),
            (" whsec_0", "white space"),
            ("whsec_0\n", "white space"),
            ("whsec_0\nwhsec_1", "more than one line"),
            (r#"{"signing_secrets":["whsec_0"]}"#, "is JSON"),
            ("whsec_", "fewer than 16"),
            ("whsec_…", "placeholder"),
            ("sk_live_0123", "API key"),
        ] {
            let told = fit(text).unwrap_err();
            assert!(told.contains(part), "{told}");
            assert!(text.is_empty() || !told.contains(text), "{told}");
        }
        assert_eq!(without_line_end("a\r\n"), ("a", true));
        assert_eq!(without_line_end("a\n\n"), ("a\n", true));
        assert_eq!(without_line_end("a"), ("a", false));
    }
}
