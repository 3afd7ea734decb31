//! Words for a shell: what is suggested is pasted, and senders choose ids.

/// A word that any POSIX shell takes as it is: bare where nothing in it means
/// anything to a shell, else in single quotes, in which nothing does.
///
/// A word that begins with a dash stays an option to the command that gets it.
#[must_use]
pub(crate) fn word(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_.:=+/@-".contains(&b);
    // `a=1` is an assignment only where a command is expected, which no id is.
    if !text.is_empty() && text.bytes().all(is_plain) { text.to_owned() } else { quoted(text) }
}

/// In single quotes. They end for a quote of their own: `'it'\''s'`.
#[must_use]
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_what_it_was() {
        for (text, expected) in [
            ("evt_1Qabc", "evt_1Qabc"),
            ("72d3162e-cc78@292430182", "72d3162e-cc78@292430182"),
            ("a:b=c+d/e.f", "a:b=c+d/e.f"),
            ("", "''"),
            ("a;id>made;", "'a;id>made;'"),
            ("it's $HOME `id` \"x\" \\ *", r#"'it'\''s $HOME `id` "x" \ *'"#),
            ("~root", "'~root'"),
            ("two\nlines", "'two\nlines'"),
        ] {
            assert_eq!(word(text), expected);
            let script = format!("printf %s {}", word(text));
            let output = Command::new("sh").args(["-c", &script]).output().expect("sh");
            assert_eq!(String::from_utf8(output.stdout).expect("text"), text, "{script}");
        }
    }
}
