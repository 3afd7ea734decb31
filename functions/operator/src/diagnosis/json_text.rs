//! The same JSON, written as other programs would write it.
//!
//! A body that was parsed and written anew says the same with other bytes, and
//! its signature is lost. Writing it in the styles of the usual libraries, and
//! trying each, tells whether that happened and what the sender signed. Order
//! of members and spelling of numbers stay as they are: what another program
//! did to those cannot be undone.

use std::fmt::Write as _;

use serde::de::IgnoredAny;

/// White space between tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    /// `{"a":[1,2]}`.
    Compact,
    /// `{"a": [1, 2]}`, as Python's `json.dumps` does.
    Spaced,
    /// A line for each member, so many spaces for each level.
    Indented(usize),
}

/// How characters in texts are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Only what must be: `JSON.stringify`.
    Least,
    /// Also everything beyond ASCII: Python.
    Ascii,
    /// Also `/`: PHP with `JSON_UNESCAPED_UNICODE`.
    Slashes,
    /// Both: PHP.
    AsciiSlashes,
    /// Also `<`, `>` and `&`: Go, Rails.
    Html,
}

pub(super) const SPACINGS: [Spacing; 4] =
    [Spacing::Compact, Spacing::Spaced, Spacing::Indented(2), Spacing::Indented(4)];
pub(super) const ESCAPES: [Escapes; 5] =
    [Escapes::Least, Escapes::Ascii, Escapes::Slashes, Escapes::AsciiSlashes, Escapes::Html];

/// Whether these bytes are one JSON value.
pub(super) fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// The JSON in this style; `None` when it is not JSON.
pub(super) fn restyled(json: &str, spacing: Spacing, escapes: Escapes) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(json).ok()?;
    let mut writer = Writer { out: String::with_capacity(json.len()), spacing, depth: 0 };
    let mut rest = json.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '{' | '[' => {
                let inside = rest[1..].trim_start();
                let close = if first == '{' { '}' } else { ']' };
                // An empty one stays on its line.
                if inside.starts_with(close) {
                    writer.out.extend([first, close]);
                    rest.len() - inside.len() + 1
                } else {
                    writer.open(first);
                    1
                }
            }
            '}' | ']' => writer.close(first),
            ',' => writer.comma(),
            ':' => writer.colon(),
            '"' => {
                let length = text_length(rest);
                writer.text(&rest[..length], escapes);
                length
            }
            _ => {
                let is_end = |c: char| ",:]}".contains(c) || c.is_ascii_whitespace();
                let length = rest.find(is_end).unwrap_or(rest.len());
                writer.out.push_str(&rest[..length]);
                length
            }
        };
        rest = rest[length..].trim_start();
    }
    Some(writer.out)
}

/// How many bytes the text literal at the start has, quotes included.
fn text_length(json: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

struct Writer {
    out: String,
    spacing: Spacing,
    depth: usize,
}

impl Writer {
    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.depth += 1;
        self.line();
    }

    fn close(&mut self, bracket: char) -> usize {
        self.depth = self.depth.saturating_sub(1);
        self.line();
        self.out.push(bracket);
        1
    }

    fn comma(&mut self) -> usize {
        self.out.push(',');
        if self.spacing == Spacing::Spaced {
            self.out.push(' ');
        }
        self.line();
        1
    }

    fn colon(&mut self) -> usize {
        self.out.push_str(if self.spacing == Spacing::Compact { ":" } else { ": " });
        1
    }

    fn line(&mut self) {
        if let Spacing::Indented(spaces) = self.spacing {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', spaces * self.depth));
        }
    }

    /// A text with a lone surrogate is no text for us, and stays as it is.
    fn text(&mut self, literal: &str, escapes: Escapes) {
        let Ok(text) = serde_json::from_str::<String>(literal) else {
            self.out.push_str(literal);
            return;
        };
        let least = serde_json::to_string(&text).unwrap_or_else(|_| literal.to_owned());
        for c in least.chars() {
            let is_escaped = match escapes {
                Escapes::Least => false,
                Escapes::Ascii => !c.is_ascii(),
                Escapes::Slashes => c == '/',
                Escapes::AsciiSlashes => c == '/' || !c.is_ascii(),
                Escapes::Html => matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'),
            };
            match (is_escaped, c) {
                (false, c) => self.out.push(c),
                (true, '/') => self.out.push_str("\\/"),
                (true, c) => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str =
        " {\"b\" :[1.0 ,-2e3,{ }],\n \"a\":\"\\u00e4\\/<\\n\\\"😀\", \"c\":[],\"d\":null}\n";

    #[test]
    fn spacing_changes_nothing_but_white_space() {
        let styled = |spacing| restyled(JSON, spacing, Escapes::Least).unwrap();
        assert_eq!(
            styled(Spacing::Compact),
            "{\"b\":[1.0,-2e3,{}],\"a\":\"ä/<\\n\\\"😀\",\"c\":[],\"d\":null}"
        );
        assert_eq!(
            styled(Spacing::Spaced),
            "{\"b\": [1.0, -2e3, {}], \"a\": \"ä/<\\n\\\"😀\", \"c\": [], \"d\": null}"
        );
        assert_eq!(
            styled(Spacing::Indented(2)),
            "{\n  \"b\": [\n    1.0,\n    -2e3,\n    {}\n  ],\n  \"a\": \"ä/<\\n\\\"😀\",\n  \"c\": [],\n  \"d\": null\n}"
        );
    }

    #[test]
    fn escapes_are_those_of_the_usual_libraries() {
        for (escapes, text) in [
            (Escapes::Least, r#""ä/<😀""#),
            (Escapes::Ascii, r#""\u00e4/<\ud83d\ude00""#),
            (Escapes::Slashes, r#""ä\/<😀""#),
            (Escapes::AsciiSlashes, r#""\u00e4\/<\ud83d\ude00""#),
            (Escapes::Html, r#""ä/\u003c😀""#),
        ] {
            for spelled in [r#""ä/<😀""#, r#""\u00E4\/\u003C\ud83d\ude00""#] {
                assert_eq!(restyled(spelled, Spacing::Compact, escapes).as_deref(), Some(text));
            }
        }
    }

    #[test]
    fn what_is_not_json_has_no_style_and_lone_surrogates_stay() {
        assert_eq!(restyled("a=1", Spacing::Compact, Escapes::Least), None);
        assert_eq!(restyled("{\"a\":1,}", Spacing::Compact, Escapes::Least), None);
        let lone = r#"["\ud800 \/"]"#;
        assert_eq!(restyled(lone, Spacing::Compact, Escapes::Least).as_deref(), Some(lone));
    }
}
