//! A request as a `curl` command that any POSIX shell takes.
//!
//! Text stands in single quotes, in which a shell changes nothing. What is no
//! text, or would be read as a file's name, goes through base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inbox_core::event::steers;

use crate::shell::quoted;

/// One argument ends at 128 KiB on Linux; `printf` is the shell's own and has no
/// such limit.
const ARGUMENT_BYTES_MAX: usize = 100_000;

/// The command, over several lines.
#[must_use]
pub fn command(url: &str, headers: &[(String, String)], body: &[u8]) -> String {
    let mut lines = vec![format!("curl -i {}", quoted(url))];
    for (name, value) in headers {
        // `-H 'Name:'` would take the header away.
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        lines.push(format!("  -H {}", quoted(&header)));
    }
    let text = std::str::from_utf8(body).ok().filter(|text| {
        let is_plain = |c: char| !steers(c) || c == '\n' || c == '\t';
        text.len() <= ARGUMENT_BYTES_MAX && !text.starts_with('@') && text.chars().all(is_plain)
    });
    if let Some(text) = text {
        lines.push(format!("  --data-binary {}", quoted(text)));
        return lines.join(" \\\n");
    }
    lines.push("  --data-binary @-".to_owned());
    let encoded = STANDARD.encode(body);
    format!("printf %s {encoded} | base64 -d | {}", lines.join(" \\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_and_what_is_no_text_goes_through_base64() {
        let headers =
            [("X-A".to_owned(), "it's $HOME".to_owned()), ("X-B".to_owned(), String::new())];
        assert_eq!(
            command("https://h/in?a=1&b=2", &headers, b"{\"a\":\"it's\"}"),
            "curl -i 'https://h/in?a=1&b=2' \\\n  -H 'X-A: it'\\''s $HOME' \\\n  -H 'X-B;' \\\n  \
             --data-binary '{\"a\":\"it'\\''s\"}'"
        );
        for body in [&b"\xff\x00"[..], b"@file", b"a\rb", "a\u{202e}b".as_bytes()] {
            let told = command("https://h", &[], body);
            let expected = format!(
                "printf %s {} | base64 -d | curl -i 'https://h' \\\n  --data-binary @-",
                STANDARD.encode(body)
            );
            assert_eq!(told, expected);
        }
    }
}
