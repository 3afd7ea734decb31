//! The secrets as they may have been meant.

use inbox_core::secrets::Secret;

use super::Case;
use super::trials::{Change, Trial};

const COPY_AGAIN: &str = "store it as the provider shows it, without anything around it";

/// Each secret in other spellings.
pub(super) fn trials<'a>(case: &Case<'a>) -> impl Iterator<Item = Trial> + use<'a> {
    let secrets = case.secrets;
    secrets.signing_secrets().iter().enumerate().flat_map(move |(at, secret)| {
        spellings(secret.expose()).into_iter().filter_map(move |(text, what, advice)| {
            let bundle = secrets.with_signing_secrets(vec![Secret::new(text)]).ok()?;
            let finding = format!("Secret {} {what}", at + 1);
            Some(Trial { change: Change::Secrets(bundle), finding, advice })
        })
    })
}

/// Other texts that may have been meant, with what is then wrong of this one.
fn spellings(text: &str) -> Vec<(String, &'static str, &'static str)> {
    let quotes: &[char] = &['"', '\'', '`'];
    let unquoted = text.trim().trim_matches(quotes);
    let bare = text.strip_prefix("whsec_").unwrap_or(text);
    let unescaped = text.trim_end_matches("\\n").trim_end_matches("\\r");
    let all = [
        (
            text.trim().to_owned(),
            "has white space around it: without, the request verifies",
            COPY_AGAIN,
        ),
        (
            format!("{}\n", text.trim()),
            "lacks the line end that the sender signs with",
            "the \
          sender's secret was stored with a line end: store it there without, or here with it",
        ),
        (unquoted.to_owned(), "has quotes around it: without, the request verifies", COPY_AGAIN),
        (
            unescaped.to_owned(),
            "ends in a written-out \\n: without, the request verifies",
            COPY_AGAIN,
        ),
        (
            bare.to_owned(),
            "begins with whsec_, which was not signed with: without, the request \
          verifies",
            "the sender leaves the prefix out: store the secret without it",
        ),
        (
            format!("whsec_{text}"),
            "lacks its prefix whsec_: with it, the request verifies",
            "store it whole, as the provider shows it",
        ),
    ];
    all.into_iter().filter(|(other, ..)| other != text).collect()
}
