use super::*;
use crate::provider::{Identity, Rejection, Unsigned};
use crate::request::{Request, Verified};
use crate::signature::Proof;

/// Hands out what it is told to, in order, and counts.
struct Scripted(Mutex<Vec<Result<&'static str, ()>>>);

impl Secrets for Scripted {
    async fn fetch(&self) -> Result<SecretBundle, SecretsError> {
        match self.0.lock().unwrap().remove(0) {
            Ok(secret) => {
                Ok(SecretBundle::parse(&format!(r#"{{"signing_secrets":["{secret}"]}}"#))?)
            }
            Err(()) => Err(SecretsError::Unavailable("scripted".into())),
        }
    }
}

/// A provider whose secrets do not start with `wrong`.
struct Picky;

impl Provider for Picky {
    fn name(&self) -> &'static str {
        "picky"
    }
    fn verify(&self, _: &Request, _: &SecretBundle, _: Timestamp) -> Result<Proof, Rejection> {
        Err(Rejection::MissingSignature)
    }
    fn identify(&self, _: &Request<Verified>) -> Identity {
        Identity::default()
    }
    fn sign(&self, _: &Unsigned<'_>, _: &Secret) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn kept_headers(&self) -> &'static [&'static str] {
        &[]
    }
    fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        if secret.expose().starts_with("wrong") { Err("is wrong") } else { Ok(()) }
    }
}

fn cache(answers: &[Result<&'static str, ()>]) -> SecretCache<Scripted> {
    SecretCache::new(Scripted(Mutex::new(answers.to_vec())), Arc::new(Picky))
}

#[test]
fn a_secret_of_the_wrong_kind_is_left_out_and_named_only_when_none_is_left() {
    let bundle = |json| SecretBundle::parse(json).unwrap().checked(&Picky);
    let kept = bundle(r#"{"signing_secrets":["wrong-1","good"]}"#).unwrap();
    assert_eq!(kept.signing_secrets(), [Secret::new("good".into())]);
    let fault = bundle(r#"{"signing_secrets":["wrong-1","wrong-2"]}"#).unwrap_err();
    assert_eq!(fault, SecretFault::WrongKind { index: 0, reason: "is wrong" });
}

#[test]
fn a_text_that_is_no_json_is_one_signing_secret() {
    for (stored, secret) in [
        ("whsec_plain", "whsec_plain"),
        ("whsec_plain\n", "whsec_plain"),
        ("whsec_plain\r\n", "whsec_plain"),
        ("It's a Secret to Everybody", "It's a Secret to Everybody"),
        (" spaced ", " spaced "),
    ] {
        let bundle = SecretBundle::parse(stored).unwrap();
        assert_eq!(bundle.signing_secrets(), [Secret::new(secret.into())], "{stored:?}");
        assert_eq!(plain_text(stored), Some(secret));
    }
    // JSON of another form, JSON with a slip, several lines, nothing.
    for stored in [
        "",
        "\n",
        "   ",
        "null",
        "17",
        "true",
        "\"whsec_quoted\"",
        "[\"whsec_a\"]",
        "{\"signing_secrets\":[\"whsec_a\"]",
        " {\"a\":1",
        "whsec_a\nwhsec_b",
        "\u{7f}",
    ] {
        assert_eq!(SecretBundle::parse(stored).err(), Some(SecretFault::NotABundle), "{stored:?}");
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_000_000 + seconds).unwrap()
}

async fn served(cache: &SecretCache<Scripted>, seconds: i64) -> String {
    let bundle = cache.current(at(seconds)).await.unwrap();
    bundle.signing_secrets()[0].expose().to_owned()
}

#[tokio::test]
async fn a_fetched_secret_serves_for_five_minutes_and_is_then_fetched_again() {
    let cache = cache(&[Ok("one"), Ok("two")]);
    assert_eq!(served(&cache, 0).await, "one");
    assert_eq!(served(&cache, 299).await, "one");
    assert_eq!(served(&cache, 300).await, "two");
}

#[tokio::test]
async fn while_the_store_fails_the_held_secret_serves_for_an_hour() {
    let cache = cache(&[Ok("one"), Err(()), Err(()), Err(())]);
    assert_eq!(served(&cache, 0).await, "one");
    assert_eq!(served(&cache, 300).await, "one");
    // Within 30 s of a failed try nothing is fetched: the script would run dry.
    assert_eq!(served(&cache, 329).await, "one");
    assert_eq!(served(&cache, 3599).await, "one");
    // Too old to serve now, and still no call for every request.
    for seconds in [3600, 3601, 3604] {
        assert!(matches!(cache.current(at(seconds)).await, Err(SecretsError::Unavailable(_))));
    }
}

#[tokio::test]
async fn without_any_secret_the_store_is_asked_every_five_seconds_at_most() {
    let cache = cache(&[Err(()), Ok("one")]);
    for seconds in [0, 1, 4] {
        let answer = cache.current(at(seconds)).await;
        assert!(matches!(answer, Err(SecretsError::Unavailable(_))), "{seconds}");
    }
    assert_eq!(served(&cache, 5).await, "one");
}

#[tokio::test]
async fn a_fault_during_init_does_not_keep_the_first_request_from_trying() {
    let cache = cache(&[Err(()), Ok("one")]);
    assert!(cache.warm_up(at(0)).await.is_err());
    assert_eq!(served(&cache, 0).await, "one");
}

#[tokio::test]
async fn a_refetch_happens_at_most_every_thirty_seconds() {
    let cache = cache(&[Ok("one"), Ok("two")]);
    assert_eq!(served(&cache, 0).await, "one");
    assert!(cache.refetch(at(29)).await.is_none());
    let bundle = cache.refetch(at(30)).await.expect("30 s have passed");
    assert_eq!(bundle.signing_secrets()[0].expose(), "two");
    assert!(cache.refetch(at(59)).await.is_none());
}

#[test]
fn a_bundle_says_what_is_wrong_with_it_and_quotes_nothing() {
    let fault = |json| SecretBundle::parse(json).unwrap_err();
    assert_eq!(fault("[\"sk_live_oops\"]"), SecretFault::NotABundle);
    assert_eq!(fault(r#"{"signing_secrets":[17]}"#), SecretFault::NotABundle);
    assert_eq!(fault(r#"{"signing_secrets":[]}"#), SecretFault::None);
    assert_eq!(fault(r#"{"signing_secrets":["a",""]}"#), SecretFault::Empty { index: 1 });
    assert!(!SecretFault::NotABundle.to_string().contains("oops"));
}

/// By the type that holds it, whose drop cannot be watched without unsafe code.
#[test]
fn a_secret_is_wiped_when_it_is_dropped() {
    fn is_wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    let Secret(text) = &Secret::new("s3cret".into());
    is_wiped(text);
}

#[test]
fn a_bundle_keeps_the_other_values_and_shows_none() {
    let bundle =
        SecretBundle::parse(r#"{"signing_secrets":["s3cret"],"verify_token":"t0ken"}"#).unwrap();
    assert_eq!(bundle.other("verify_token").map(Secret::expose), Some("t0ken"));
    let shown = format!("{bundle:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
}
