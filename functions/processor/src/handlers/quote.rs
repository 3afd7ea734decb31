//! What somebody else's service said of a failure, made fit for ledger, log and dead
//! letter.
//!
//! Servers like to repeat what they were sent: "unknown customer Jane Doe". Every
//! word of an answer that stands in the payload too is left out, so that personal
//! data does not reach places where nobody looks for it. Words that the payload
//! spells in another way (percent-encoded, as `\u…`) are not recognised; that is why
//! only the beginning of an answer is quoted at all.

use inbox_core::event::{Event, clean_text};

/// Most characters that are quoted.
const QUOTED_CHARACTERS: usize = 120;
/// Shorter words say nothing about anybody.
const WORD_BYTES_MIN: usize = 4;
const LEFT_OUT: &str = "…";

/// The beginning of an answer's text without what it repeats of the event's payload.
/// Empty when there is nothing to quote.
#[must_use]
pub fn quote(answer: &[u8], event: &Event) -> String {
    quote_without(answer, &[&event.payload.bytes])
}

/// The same without what it repeats of any of these, for who sent more than the payload.
#[must_use]
pub(super) fn quote_without(answer: &[u8], sent: &[&[u8]]) -> String {
    let answer = String::from_utf8_lossy(answer);
    let one_line: Vec<&str> = answer.split_whitespace().collect();
    let text = clean_text(&one_line.join(" "), QUOTED_CHARACTERS);
    let sent: Vec<_> = sent.iter().map(|part| String::from_utf8_lossy(part)).collect();
    let mut quoted = String::new();
    for piece in text.split_inclusive(|c: char| !is_of_a_word(c)) {
        let word = piece.trim_end_matches(|c: char| !is_of_a_word(c));
        let is_repeated =
            word.len() >= WORD_BYTES_MIN && sent.iter().any(|part| part.contains(word));
        quoted.push_str(if is_repeated { LEFT_OUT } else { word });
        quoted.push_str(&piece[word.len()..]);
    }
    quoted
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '@')
}

#[cfg(test)]
mod tests {
    use super::super::testing::event;
    use super::*;

    #[test]
    fn what_the_payload_says_is_left_out() {
        let event = event(r#"{"customer":"Jane Doe","email":"jane@example.com","id":"cus_1"}"#);
        let quoted = |answer: &str| quote(answer.as_bytes(), &event);
        assert_eq!(
            quoted("unknown Jane Doe <jane@example.com>, cus_1"),
            "unknown … Doe <….com>, …"
        );
        assert_eq!(quoted("{\"error\": \"try later\"}"), "{\"error\": \"try later\"}");
        assert_eq!(quoted(&String::from_utf8_lossy(&event.payload.bytes)).matches('J').count(), 0);
    }

    #[test]
    fn an_answer_is_one_line_and_short() {
        let quoted = |answer: &[u8]| quote(answer, &event("{}"));
        assert_eq!(
            quoted(b"<html>\n\n  <b>oops\x1b[31m</b>\xff"),
            "<html> <b>oops[31m</b>\u{fffd}"
        );
        assert_eq!(quoted(&[b'x'; 999]).len(), QUOTED_CHARACTERS);
        assert_eq!(quoted(b" \n"), "");
    }
}
