//! What a target said of a failure, for the ledger alone, where a route asks for it.
//!
//! Servers like to repeat what they were sent: "unknown customer Jane Doe", "no such
//! number: +1 (415) 555-0123". By default no word of an answer is kept. A route with
//! `quote_answers` keeps the beginning, without what stands in the payload too, in the
//! record of its failure: there `inbox forget` removes it. It goes into no log, no metric,
//! no message and no letter.
//!
//! Both sides are compared as they read, not as they are spelled:
//!
//! ```text
//! payload  "Zo\u00eb", tel=%2B14155550123   ─ decode ─▶ Zoë, +14155550123
//!                                             ─ fold ─▶ letters and digits, lower case
//! answer   ZOË: no user; +1-415-555-0123     ─ decode, fold, word by word ─▶ …: no user; …-…-…-…
//! ```
//!
//! - Escapes of JSON, forms and HTML are read, also one within another.
//! - A word is left out that the payload holds anywhere between its letters and digits,
//!   or that holds a word of the payload's; one of up to three letters, where it is a
//!   word of the payload's.
//! - Groups of digits are one number, whatever stands between them; runs of three digits
//!   and more are compared.
//! - A word with other letters than ASCII's is always left out: one name can be spelled
//!   in many ways there. So is a long one, which may be an encoding.
//!
//! What is not recognised is another wording: "Mueller" for "Müller", a translation, a
//! hash. That is why quoting is a choice, and why the quote is kept in one place.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inbox_core::event::{Event, clean_text};
use percent_encoding::percent_decode_str;

use super::Options;

/// Most characters that are quoted.
const QUOTED_CHARACTERS: usize = 120;
/// So much of an answer is looked at.
const LOOKED_AT_BYTES: usize = 2 * 1024;
/// Of an answer to more than this nothing is quoted: comparing takes time and memory
/// that belong to other events.
const COMPARED_BYTES: usize = 256 * 1024;
/// Words of fewer letters stand in every text by chance.
const WORD_LETTERS_MIN: usize = 4;
/// Fewer digits say nothing about anybody.
const DIGITS_MIN: usize = 3;
/// No word of a sentence is as long.
const WORD_LETTERS_MOST: usize = 23;
/// One encoding within another is read so often.
const ENCODINGS_MOST: usize = 3;
const LEFT_OUT: &str = "…";

/// Whether a route keeps what its target says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotes {
    are_kept: bool,
}

impl Quotes {
    /// It does.
    #[cfg(test)]
    pub(crate) const KEPT: Self = Self { are_kept: true };

    /// Reads the option `quote_answers`.
    pub fn read(options: &mut Options<'_>) -> Self {
        Self { are_kept: options.flag("quote_answers") }
    }

    /// The beginning of an answer without what it repeats of the event's payload, where
    /// the route wants it.
    #[must_use]
    pub fn of(self, answer: &[u8], event: &Event) -> Option<String> {
        self.without(answer, &[&event.payload.bytes])
    }

    /// The same without what it repeats of any of these, for who sent more than the
    /// payload.
    pub(super) fn without(self, answer: &[u8], sent: &[&[u8]]) -> Option<String> {
        let compared: usize = sent.iter().map(|part| part.len()).sum();
        let is_made = self.are_kept && !answer.is_empty() && compared <= COMPARED_BYTES;
        is_made.then(|| Sent::of(sent).left_out_of(answer))
    }
}

/// What was sent, as it reads.
struct Sent {
    /// Every spelling's letters and digits, one after the other.
    folded: String,
    words: BTreeSet<String>,
}

impl Sent {
    fn of(parts: &[&[u8]]) -> Self {
        let (mut folded, mut words) = (String::new(), BTreeSet::new());
        for part in parts {
            let written = String::from_utf8_lossy(part);
            let encoded = STANDARD.encode(part);
            for spelling in [&*written, &decoded(&written), &encoded] {
                folded.push_str(&fold(spelling));
                // Nothing is found across the end of one.
                folded.push(' ');
                words.extend(pieces(spelling).filter(|it| it.is_word).map(|it| fold(it.text)));
            }
        }
        Self { folded, words }
    }

    fn left_out_of(&self, answer: &[u8]) -> String {
        let answer = String::from_utf8_lossy(&answer[..answer.len().min(LOOKED_AT_BYTES)]);
        let decoded = decoded(&answer);
        let one_line = decoded.split_whitespace().collect::<Vec<_>>().join(" ");
        let clean = clean_text(&one_line, LOOKED_AT_BYTES);
        let pieces: Vec<Piece<'_>> = pieces(beginning(&clean)).collect();
        let numbers = self.numbers_in(&pieces);
        let shown = pieces.iter().enumerate().map(|(place, piece)| {
            let is_out = piece.is_word && (numbers.contains(&place) || self.holds(piece.text));
            if is_out { LEFT_OUT } else { piece.text }
        });
        shown.collect()
    }

    fn holds(&self, word: &str) -> bool {
        let folded = fold(word);
        let is_number = folded.bytes().all(|b| b.is_ascii_digit());
        let least = if is_number { DIGITS_MIN } else { WORD_LETTERS_MIN };
        let mut digits = folded.split(|c: char| !c.is_ascii_digit());
        let telling = |word: &String| word.len() >= WORD_LETTERS_MIN;
        !word.is_ascii()
            || folded.len() > WORD_LETTERS_MOST
            || self.words.contains(&folded)
            || (folded.len() >= least && self.folded.contains(&folded))
            || digits.any(|run| run.len() >= DIGITS_MIN && self.folded.contains(run))
            || self.words.iter().filter(|word| telling(word)).any(|word| folded.contains(&**word))
    }

    /// The places of all digits that make a number of the payload's together.
    fn numbers_in(&self, pieces: &[Piece<'_>]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for first in 0..pieces.len() {
            let (mut number, mut places) = (String::new(), Vec::new());
            for (place, piece) in pieces.iter().enumerate().skip(first) {
                if piece.is_word && piece.text.bytes().all(|b| b.is_ascii_digit()) {
                    number.push_str(piece.text);
                    places.push(place);
                } else if piece.is_word || number.is_empty() || !piece.groups_digits() {
                    break;
                }
                if number.len() >= DIGITS_MIN && self.folded.contains(&number) {
                    found.extend(&places);
                }
            }
        }
        found
    }
}

/// A run of letters and digits, or of what stands between two.
struct Piece<'a> {
    text: &'a str,
    is_word: bool,
}

impl Piece<'_> {
    /// Whether people write it between the digits of one number.
    fn groups_digits(&self) -> bool {
        self.text.len() <= 3 && self.text.chars().all(|c| " -.()/+".contains(c))
    }
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_word = rest.chars().next()?.is_alphanumeric();
        let end = rest.find(|c: char| c.is_alphanumeric() != is_word).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(Piece { text: piece, is_word })
    })
}

/// Letters and digits in lower case.
fn fold(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The first characters, up to the end of a word: half a word would be no word of the
/// payload's.
fn beginning(text: &str) -> &str {
    let Some((end, _)) = text.char_indices().nth(QUOTED_CHARACTERS) else { return text };
    let cut = &text[..end];
    let is_within = text[end..].starts_with(char::is_alphanumeric);
    if is_within { cut.trim_end_matches(char::is_alphanumeric) } else { cut }
}

/// A text as it reads: form-encoded, with escapes of JSON or of HTML, or one within the
/// other.
fn decoded(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..ENCODINGS_MOST {
        let spaced = text.replace('+', " ");
        let plain = percent_decode_str(&spaced).decode_utf8_lossy();
        let read = without_references(&without_escapes(&plain));
        if read == text {
            break;
        }
        text = read;
    }
    text
}

/// `\u00eb`, surrogates in pairs too, `\n`, `\"` and `\/`.
fn without_escapes(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let unit = rest.strip_prefix("\\u").and_then(|hex| hex.get(..4));
        if let Some(unit) = unit.and_then(|hex| u16::from_str_radix(hex, 16).ok()) {
            units.push(unit);
            rest = &rest[6..];
            continue;
        }
        read.push_str(&String::from_utf16_lossy(&std::mem::take(&mut units)));
        rest = &rest[c.len_utf8()..];
        match rest.chars().next().filter(|_| c == '\\') {
            None => read.push(c),
            Some(escaped) => {
                read.push(if "bfnrt".contains(escaped) { ' ' } else { escaped });
                rest = &rest[escaped.len_utf8()..];
            }
        }
    }
    read.push_str(&String::from_utf16_lossy(&units));
    read
}

/// `&#64;` and `&#x40;`. Named references stand for what is neither letter nor digit in
/// ASCII.
fn without_references(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("&#") {
        let (before, reference) = rest.split_at(at);
        read.push_str(before);
        let named = reference[2..].split_once(';').and_then(|(number, after)| {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            Some((char::from_u32(code)?, after))
        });
        let (c, after) = named.unwrap_or(('&', &reference[1..]));
        read.push(c);
        rest = after;
    }
    read + rest
}

#[cfg(test)]
mod tests {
    use super::super::testing::event;
    use super::*;

    const KEPT: Quotes = Quotes::KEPT;

    fn quoted(payload: &str, answer: &str) -> String {
        KEPT.of(answer.as_bytes(), &event(payload)).unwrap_or_default()
    }

    #[test]
    fn nothing_is_quoted_unless_a_route_asks_for_it() {
        let with = serde_json::json!({ "quote_answers": true });
        let mut options = Options::of(&with);
        assert_eq!(Quotes::read(&mut options), KEPT);
        assert_eq!(Quotes::read(&mut Options::of(&serde_json::Value::Null)), Quotes::default());
        assert_eq!(Quotes::default().of(b"try later", &event("{}")), None);
        assert_eq!(KEPT.of(b"try later", &event("{}")).as_deref(), Some("try later"));
        assert_eq!(KEPT.of(b"", &event("{}")), None);
    }

    #[test]
    fn what_the_payload_says_is_left_out() {
        let payload = r#"{"customer":"Jane Doe","email":"jane@example.com","id":"cus_1"}"#;
        assert_eq!(
            quoted(payload, "unknown Jane Doe <jane@example.com>, cus_1"),
            "unknown … … <…@….…>, …_…"
        );
        assert_eq!(quoted(payload, "{\"error\": \"try later\"}"), "{\"error\": \"try later\"}");
        assert_eq!(quoted(payload, payload).matches('J').count(), 0);
    }

    #[test]
    fn it_is_left_out_in_every_spelling() {
        for (payload, answer, expected) in [
            // Addresses are made lower case, names upper case.
            (
                r#"{"email":"Jane.Doe@Example.COM"}"#,
                "no user jane.doe@example.com (JANE DOE)",
                "no user ….…@….… (… …)",
            ),
            // As Python's json.dumps and PHP's json_encode write, and the other way round.
            (r#"{"name":"Zo\u00eb M\u00fcller"}"#, "Zoë Müller is unknown", "… … is unknown"),
            (
                r#"{"name":"Jane"}"#,
                r#"{"detail":"\u004aane is unknown"}"#,
                r#"{"detail":"… is unknown"}"#,
            ),
            (r#"{"body":"{\"name\":\"\\u004aane\"}"}"#, "Jane is unknown", "… is unknown"),
            // Numbers in groups, and without.
            (r#"{"tel":"+14155550123"}"#, "bad +1-415-555-0123", "bad …-…-…-…"),
            (r#"{"tel":"+1 (415) 555-0123"}"#, "bad 4155550123", "bad …"),
            (r#"{"tel":"0612345678"}"#, "bad 06 12 34 56 78", "bad … … … … …"),
            (r#"{"iban":"DE89370400440532013000"}"#, "bad DE 89 3704 0044 05", "bad DE … … … …"),
            (r#"{"cvc":"737"}"#, "wrong cvc 737, code 42", "wrong … …, code 42"),
            // Forms, and what they hold.
            (
                "Body=jane.doe%40example.com&To=%2B14155550123",
                "cannot file: jane.doe@example.com",
                "cannot file: ….…@….…",
            ),
            ("payload=%7B%22name%22%3A%22J%5Cu0061ne%22%7D", "Jane is unknown", "… is unknown"),
            ("name=Jane+Doe", "janedoe and Jane%20Doe", "… and … …"),
            // Within a longer word, in HTML, encoded.
            (r#"{"name":"Jane"}"#, "user_Jane userjane57", "user_… …"),
            (r#"{"name":"Jane@Ulm"}"#, "<b>&#74;ane&#x40;Ulm</b>", "<b>…@…</b>"),
            (r#"{"name":"Jane"}"#, "sent eyJuYW1lIjoiSmFuZSJ9", "sent …"),
        ] {
            assert_eq!(quoted(payload, answer), expected, "{answer} of {payload}");
        }
    }

    #[test]
    fn short_words_are_left_out_where_they_are_words_of_the_payload() {
        let payload = r#"{"name":"Bo Li","city":"Bonn"}"#;
        assert_eq!(quoted(payload, "Bo Li is no one of us"), "… … is no one of us");
    }

    #[test]
    fn an_answer_is_one_line_and_ends_with_a_whole_word() {
        assert_eq!(quoted("{}", "<html>\n\n  <b>oops\u{1b}[31m</b>"), "<html> <b>oops[31m</b>");
        let long = "word ".repeat(40);
        assert_eq!(quoted("{}", &long), long[..QUOTED_CHARACTERS]);
        // Of the name that stands at the end there would be "Ja".
        let cut =
            format!("{}, Jane", "x".repeat(QUOTED_CHARACTERS - 4).replacen("xxxx", "no  ", 29));
        assert_eq!(quoted(r#"{"name":"Jane"}"#, &cut).matches('J').count(), 0);
        assert_eq!(quoted("{}", &"x".repeat(999)), "");
        assert_eq!(quoted("{}", " \n"), "");
    }

    #[test]
    fn of_an_answer_to_much_nothing_is_quoted() {
        let most = format!("\"{}\"", "x".repeat(COMPARED_BYTES - 2));
        assert_eq!(quoted(&most, "try later"), "try later");
        assert_eq!(KEPT.of(b"try later", &event(&format!("{most} "))), None);
    }
}
