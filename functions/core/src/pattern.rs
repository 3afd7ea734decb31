//! Patterns in which `*` stands for any text: in routes and in the operator's
//! filters alike.

/// Whether `text` matches `pattern`, in which `*` stands for any text.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let tail = pieces.pop().unwrap_or_default();
    // Each piece is taken where it occurs first, which leaves most for the rest.
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "invoice.paid"),
            ("invoice.*", "invoice.paid"),
            ("*.paid", "invoice.paid"),
            ("in*ce.*d", "invoice.paid"),
            ("a*b*b", "abb"),
            ("push", "push"),
        ] {
            assert!(glob(pattern, text), "{pattern} should match {text}");
        }
        for (pattern, text) in [
            ("", "push"),
            ("push", "push.more"),
            ("invoice.*", "invoices.paid"),
            ("a*b*b", "ab"),
            ("ab*ba", "aba"),
        ] {
            assert!(!glob(pattern, text), "{pattern} should not match {text}");
        }
    }
}
