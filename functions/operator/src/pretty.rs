//! Payloads for people.
//!
//! JSON is laid out without being read into values: numbers, escapes, duplicate
//! keys and their order stay as the provider wrote them, only the white space
//! between is new. What could move a terminal's cursor is replaced.

use std::fmt::Write as _;

use inbox_core::event::{Event, steers};
use inbox_core::form;
use serde_json::value::RawValue;

const INDENT: &str = "  ";

/// A payload as lines, or `None` when it is no text.
#[must_use]
pub fn payload(event: &Event) -> Option<Vec<String>> {
    let bytes = &event.payload.bytes;
    if let Some(json) = event.json() {
        return Some(layout(json.get()).lines().map(printable).collect());
    }
    if event.payload.content_type.starts_with(form::MEDIA_TYPE) {
        let text = |bytes: &[u8]| printable(&String::from_utf8_lossy(bytes));
        let pairs = form::pairs(bytes);
        return Some(
            pairs.map(|(name, value)| format!("{} = {}", text(&name), text(&value))).collect(),
        );
    }
    let plain = std::str::from_utf8(bytes).ok()?;
    Some(plain.lines().map(printable).collect())
}

/// A text as lines, laid out if it is JSON.
#[must_use]
pub fn text(text: &str) -> Vec<String> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => layout(json.get()).lines().map(printable).collect(),
        Err(_) => text.lines().map(printable).collect(),
    }
}

/// Without what steers a terminal ([`steers`]); a tab stays.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

/// JSON text with what steers a terminal written as escapes, which says the same.
/// JSON has no such character outside of its texts, and its ASCII ones are escaped
/// or white space already.
#[must_use]
pub fn escaped_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) && c >= '\u{7F}' {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Valid JSON, one member a line.
fn layout(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth: usize = 0;
    let mut in_string = false;
    let mut is_escaped = false;
    let mut tokens = json.chars().peekable();
    while let Some(c) = tokens.next() {
        if in_string {
            out.push(c);
            in_string = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while tokens.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = tokens.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => out.push(other),
        }
    }
    out
}

/// Deep nesting is not shown as such: a thousand levels of it would be a
/// megabyte of blanks.
fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&INDENT.repeat(depth.min(40)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_nothing_in_it_changes() {
        let json = r#"{"a":1.0e2,"a":-0, "b":[ ],"c":{},"d":[1,{"e":"\"{,\\"}],"f":"\u001B"}"#;
        let lines = [
            "{",
            r#"  "a": 1.0e2,"#,
            r#"  "a": -0,"#,
            r#"  "b": [],"#,
            r#"  "c": {},"#,
            r#"  "d": ["#,
            "    1,",
            "    {",
            r#"      "e": "\"{,\\""#,
            "    }",
            "  ],",
            r#"  "f": "\u001B""#,
            "}",
        ];
        assert_eq!(layout(json).lines().collect::<Vec<_>>(), lines);
        let without_blanks = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(without_blanks(&layout(json)), without_blanks(json));
    }

    #[test]
    fn json_for_machines_steers_no_terminal_and_says_the_same() {
        let text = "a\u{9b}2J\u{202e}b\u{7f}c\u{1b}é\n";
        let json = serde_json::to_string(&[text]).unwrap();
        let escaped = escaped_json(&json);
        assert_eq!(escaped, r#"["a\u009b2J\u202eb\u007fc\u001bé\n"]"#);
        assert_eq!(serde_json::from_str::<[String; 1]>(&escaped).unwrap(), [text]);
        assert_eq!(escaped_json("{\n\t\"a\": 1\r\n}"), "{\n\t\"a\": 1\r\n}");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}c\u{7f}\td"), "a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}\td");
        assert_eq!(printable("a\u{202e}b\u{2066}c"), "a\u{FFFD}b\u{FFFD}c");
    }

    #[test]
    fn a_text_that_is_no_json_is_shown_as_it_is() {
        assert_eq!(text("a\u{1b}[2Jb\r\nc"), ["a\u{FFFD}[2Jb", "c"]);
        assert_eq!(text("{\"a\":1}"), ["{", "  \"a\": 1", "}"]);
    }

    #[test]
    fn a_thousand_levels_do_not_grow_without_end() {
        let deep = "[".repeat(1000) + "1" + &"]".repeat(1000);
        assert!(layout(&deep).len() < 200_000);
    }
}
