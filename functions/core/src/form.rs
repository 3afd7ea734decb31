//! Form-encoded bodies and queries, as *bytes*.
//!
//! Signatures are made over decoded values. Decoding to text would replace what
//! is not UTF-8, so that two different bodies would read the same; decoding
//! that trims, drops empty values or keeps only the last of a repeated name
//! breaks genuine signatures (Twilio's error 57012). This does none of it.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// What a form says it is.
pub const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// A decoded name and its decoded value, empty where there is no `=`.
pub type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// All pairs in the order sent, repeated names and empty values included.
/// A `%` that is not followed by two hex digits stands for itself.
pub fn pairs(form: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    form.split(|byte| *byte == b'&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = match part.iter().position(|byte| *byte == b'=') {
            Some(at) => (&part[..at], &part[at + 1..]),
            None => (part, &part[part.len()..]),
        };
        (decode(name), decode(value))
    })
}

/// The first value of a name.
#[must_use]
pub fn first<'a>(form: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    pairs(form).find_map(|(found, value)| (*found == *name.as_bytes()).then_some(value))
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        pairs(form.as_bytes()).map(|(n, v)| (n.into_owned(), v.into_owned())).collect()
    }

    fn pair(name: &str, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (name.as_bytes().to_vec(), value.to_vec())
    }

    #[test]
    fn pairs_keep_order_repeats_and_empty_values() {
        assert_eq!(
            read("b=2&a=1&&b=&c&b=2"),
            [pair("b", b"2"), pair("a", b"1"), pair("b", b""), pair("c", b""), pair("b", b"2")]
        );
        assert_eq!(read(""), []);
    }

    #[test]
    fn plus_is_a_space_and_an_escaped_plus_is_a_plus() {
        assert_eq!(read("a+b=c+%2B+d"), [pair("a b", b"c + d")]);
    }

    #[test]
    fn bytes_that_are_not_text_stay_as_they_are() {
        assert_eq!(read("a=%ff%FE"), [pair("a", b"\xff\xfe")]);
        assert_ne!(read("a=%ff"), read("a=%fe"));
    }

    #[test]
    fn a_broken_escape_stands_for_itself() {
        assert_eq!(
            read("a=100%&b=%zz&c=%4"),
            [pair("a", b"100%"), pair("b", b"%zz"), pair("c", b"%4")]
        );
    }

    #[test]
    fn only_the_first_equals_sign_separates() {
        assert_eq!(read("a==b=c"), [pair("a", b"=b=c")]);
        assert_eq!(first(b"x=1&a=2&a=3", "a").as_deref(), Some(&b"2"[..]));
        assert_eq!(first(b"x=1", "a"), None);
    }
}
