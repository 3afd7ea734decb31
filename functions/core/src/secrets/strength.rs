//! Whether a text can guard anything. Who can guess a signing secret can sign.
//!
//! What providers make is long and random. Where a person types it (GitHub), or
//! pastes a line of a manual, it may be neither.

/// The least characters, apart from a prefix that all secrets of a scheme share: 16
/// random letters and digits cannot be tried out.
pub const LEAST_CHARACTERS: usize = 16;

/// What to do about a placeholder.
pub(crate) const PLACEHOLDER: &str =
    "is a placeholder and no secret: use the value that the provider shows";

/// What stands in manuals, in lower case.
const PLACEHOLDERS: [&str; 10] = [
    "…",
    "...",
    "your_",
    "your-",
    "changeme",
    "change_me",
    "change-me",
    "placeholder",
    "replace_me",
    "replace-me",
];

/// Whether this can be a secret, given without its scheme's prefix; if not, what to do
/// about it, without quoting it.
///
/// # Errors
///
/// The advice.
pub fn check(text: &str) -> Result<(), &'static str> {
    if is_placeholder(text) {
        return Err(PLACEHOLDER);
    }
    if text.chars().count() < LEAST_CHARACTERS {
        return Err(
            "has fewer than 16 characters, without a prefix: it can be guessed, or was cut",
        );
    }
    Ok(())
}

/// Whether it stands for a secret and is none.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut characters = text.chars();
    let first = characters.next();
    first.is_some_and(|first| text.len() > 1 && characters.all(|c| c == first))
        || (lower.starts_with('<') && lower.ends_with('>'))
        || PLACEHOLDERS.iter().any(|it| lower.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_is_no_secret() {
        for (text, part) in [
            ("", "fewer than 16"),
            ("x", "fewer than 16"),
            ("0123456789abcde", "fewer than 16"),
            ("…", "placeholder"),
            ("...", "placeholder"),
            ("xxxxxxxxxxxxxxxxxxxxxxxx", "placeholder"),
            ("<your signing secret>", "placeholder"),
            ("YOUR_WEBHOOK_SECRET_HERE", "placeholder"),
            ("changeme-changeme-changeme", "placeholder"),
        ] {
            let told = check(text).unwrap_err();
            assert!(told.contains(part), "{text}: {told}");
        }
        for text in ["0123456789abcdef", "It's a Secret to Everybody", "äöüäöüäöüäöüäöüx"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}
