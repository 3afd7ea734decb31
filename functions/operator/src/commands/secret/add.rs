//! A further signing secret, before the others: typed, piped in, or made here.

use std::io::{IsTerminal as _, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inbox_core::secrets::Secret;
use rustls::crypto::ring;
use serde_json::json;
use zeroize::Zeroizing;

use super::subject::{Owner, Subject};
use super::words;
use crate::context::Context;
use crate::fault::{Fault, Outcome};
use crate::rotation;

/// No signing secret comes near, and a wrong file on standard input ends here.
const LONGEST_BYTES: u64 = 8 * 1024;
/// `read_to_string` asks for more when it is full, not when it is at the end.
const ROOM_BYTES: usize = 16 * 1024;

/// Standard Webhooks takes from 24 to 64.
const MADE_BYTES: usize = 32;
const KEY_PREFIX: &str = "whsec_";

pub(super) async fn run(context: &Context, name: &str, generate: bool) -> Result<Outcome, Fault> {
    let subject = Subject::new(context, name).await?;
    let new = if generate {
        if let Owner::Source { .. } = subject.owner {
            return Err(Fault::usage(
                format!("the secret of source {name} is its provider's, and not made here"),
                format!("`inbox secret add {name}` asks for it; --generate is for route/ID"),
            ));
        }
        let key = random()?;
        made(&key)
    } else {
        let text = value_of(context, name)?;
        rotation::fit(&text, |secret| subject.owner.check(secret)).map_err(|problem| {
            Fault::usage(format!("this value {problem}"), "nothing was changed")
        })?
    };
    let concern = subject.owner.concern(&new);
    let (stored, mut rotation) = subject.read().await?;
    rotation.add(new).map_err(|position| {
        Fault::refused(
            format!("{name} holds this secret already, at position {position}"),
            "nothing was changed; if it is to replace the others, retire those",
        )
    })?;
    subject.replace(&stored, &rotation).await?;
    let count = rotation.secrets().len();
    if context.console.json {
        let told = json!({"added": 1, "signing_secrets": count, "concern": concern});
        context.console.value(&subject.tagged(told));
        return Ok(Outcome::Done);
    }
    context.console.line(match count {
        1 => format!("added: the first signing secret of {name}"),
        _ => format!("added: {name} has {count} signing secrets, the new one first"),
    });
    context.console.note(match count {
        1 => words::after_the_first(&subject.owner),
        _ => words::after_another(&subject.owner, name),
    });
    if let Some(concern) = concern {
        context.console.note(format!("warning: it {concern}"));
    }
    if generate {
        context.console.note(words::where_it_is_told(&subject.secret_id));
    }
    Ok(Outcome::Done)
}

/// A signing secret of these bytes, without copies of it.
fn made(key: &[u8; MADE_BYTES]) -> Secret {
    let mut text = String::with_capacity(KEY_PREFIX.len() + MADE_BYTES.div_ceil(3) * 4);
    text.push_str(KEY_PREFIX);
    STANDARD.encode_string(key, &mut text);
    Secret::new(text)
}

fn random() -> Result<Zeroizing<[u8; MADE_BYTES]>, Fault> {
    let mut key = Zeroizing::new([0; MADE_BYTES]);
    ring::default_provider().secure_random.fill(&mut *key).map_err(|_| {
        Fault::io("make a secret", &std::io::Error::other("this machine gives no random bytes"))
    })?;
    Ok(key)
}

/// From a prompt that shows nothing, or one line of standard input.
fn value_of(context: &Context, name: &str) -> Result<Zeroizing<String>, Fault> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return rpassword::prompt_password(format!("New signing secret of {name} (not shown): "))
            .map(Zeroizing::new)
            .map_err(|fault| Fault::io("read the secret", &fault));
    }
    // With room for all of it: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(ROOM_BYTES));
    stdin.lock().take(LONGEST_BYTES + 1).read_to_string(&mut text).map_err(|fault| {
        Fault::usage(format!("cannot read the secret from standard input: {fault}"), "")
    })?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST_BYTES {
        return Err(Fault::usage(
            "what stands on standard input is too long for a signing secret",
            "give the secret alone",
        ));
    }
    let (line, had_end) = rotation::without_line_end(&text);
    if had_end {
        context.console.note("note: the line end behind the secret was left out");
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use inbox_core::standard_webhooks::{check_secret, key};

    use super::*;

    #[test]
    fn what_is_made_is_a_key_of_all_its_bytes() {
        let secret = made(&[0xab; MADE_BYTES]);
        assert_eq!(check_secret(&secret), Ok(()));
        assert_eq!(key(&secret).as_deref().map(Vec::as_slice), Some(&[0xab; MADE_BYTES][..]));
        assert!(secret.expose().starts_with("whsec_"));
    }

    #[test]
    fn no_two_are_made_alike() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_ne!(*one, *other);
        assert_ne!(*one, [0; MADE_BYTES]);
    }
}
