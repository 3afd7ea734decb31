//! Why a Stripe delivery does not verify: the traps that only Stripe has.

use inbox_core::request::Request;
use inbox_core::secrets::{Secret, SecretBundle};

use super::HEADER_SIGNATURE;
use crate::json;

const PREFIX: &str = "whsec_";
/// The Dashboard's secrets: 32 letters and digits behind the prefix.
const DASHBOARD_CHARACTERS: usize = 32;
/// Those of `stripe listen`: 64 hex digits.
const CLI_CHARACTERS: usize = 64;

/// Whose secret it is, its form does not tell.
const BOTH_KINDS: &str = "Secrets of Standard Webhooks senders (Svix, Clerk, Resend, …) may have the same form as \
     Stripe's: make sure that it is the one the Dashboard shows for this endpoint";

pub(super) fn on_mismatch(body: &[u8], secrets: &SecretBundle) -> Vec<String> {
    let secrets = secrets.signing_secrets();
    let kinds = secrets.iter().enumerate().filter_map(|(at, secret)| kind(at + 1, secret));
    let told = kinds.chain(mode(body)).chain(connect(body)).chain(spacing(body));
    told.chain(secrets.iter().any(is_of_both_kinds).then(|| BOTH_KINDS.to_owned())).collect()
}

/// Test deliveries come with `v0` beside `v1`; alone it proves nothing.
pub(super) fn on_malformed(request: &Request) -> Vec<String> {
    let header = request.header(HEADER_SIGNATURE).unwrap_or_default();
    let has = |scheme: &str| header.split(',').any(|entry| entry.trim().starts_with(scheme));
    if has("v0=") && !has("v1=") {
        return vec![
            "Only a v0 signature is there, which Stripe adds in test mode and which proves \
             nothing: v1 was lost on the way"
                .to_owned(),
        ];
    }
    Vec::new()
}

/// What else the secret may be, by its form.
fn kind(position: usize, secret: &Secret) -> Option<String> {
    let Some(rest) = secret.expose().strip_prefix(PREFIX) else {
        return Some(format!(
            "Secret {position} does not begin with whsec_, as all signing secrets of Stripe do: \
             reveal it anew at the endpoint, in the Dashboard under Webhooks"
        ));
    };
    if rest.contains(['+', '/', '=']) {
        return Some(format!(
            "Secret {position} looks like a Standard Webhooks secret: it is base64 after whsec_, \
             and Stripe's are letters and digits. Use the one that the Dashboard shows for this \
             endpoint"
        ));
    }
    if rest.len() == CLI_CHARACTERS && rest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(format!(
            "Secret {position} looks like that of `stripe listen`, which signs only what the Stripe \
             CLI itself forwards. Use the one that the Dashboard shows for this endpoint"
        ));
    }
    (rest.len() != DASHBOARD_CHARACTERS).then(|| {
        format!(
            "Secret {position} has {} characters after whsec_, and the Dashboard's have \
             {DASHBOARD_CHARACTERS}: it was cut, or is not Stripe's",
            rest.len()
        )
    })
}

/// 32 letters and digits are base64 of 24 bytes, too.
fn is_of_both_kinds(secret: &Secret) -> bool {
    let rest = secret.expose().strip_prefix(PREFIX);
    rest.is_some_and(|rest| rest.len() == DASHBOARD_CHARACTERS)
}

/// The same address registered in test and live mode is two endpoints.
fn mode(body: &[u8]) -> Option<String> {
    let [livemode] = json::members(body, ["livemode"]);
    let (mode, other) = if livemode.flag()? { ("live", "test") } else { ("test", "live") };
    Some(format!(
        "The event is of {mode} mode: the endpoint of {other} mode has another secret, even at the \
         same address"
    ))
}

/// Events of connected accounts come from an endpoint of their own.
fn connect(body: &[u8]) -> Option<String> {
    let [account] = json::members(body, ["account"]);
    account.text()?;
    Some(
        "The event is of a connected account: Connect endpoints have secrets of their own"
            .to_owned(),
    )
}

/// Stripe sends snapshot events indented, so that one on a single line was
/// written anew by somebody.
fn spacing(body: &[u8]) -> Option<String> {
    let [object, snapshot] = json::members(body, ["object", "data"]);
    let is_snapshot = object.text().as_deref() == Some("event") && snapshot.is_there();
    (is_snapshot && !body.contains(&b'\n')).then(|| {
        "The body stands on one line, and Stripe sends its events indented: it looks re-serialised. \
         Capture the raw bytes, before anything parses them"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use inbox_core::provider::{Provider as _, Rejection};

    use super::super::super::testing::{Delivery, bundle};
    use super::super::Stripe;

    const MISMATCH: Rejection = Rejection::SignatureMismatch { fresh: true };
    const DASHBOARD: &str = "whsec_0123456789abcdefghijABCDEFGHIJ01";

    fn advice(secret: &str, body: &str) -> Vec<String> {
        let delivery = Delivery::signed(&Stripe, secret, "application/json", body.as_bytes());
        Stripe.advise(&delivery.request(), &bundle(&[secret]), MISMATCH)
    }

    #[test]
    fn a_secret_of_another_kind_is_recognised_by_its_form_and_never_quoted() {
        assert_eq!(advice(DASHBOARD, "{}"), [super::BOTH_KINDS]);
        let cli = format!("whsec_{}", "0123456789abcdef".repeat(4));
        for (secret, part) in [
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA==", "Standard Webhooks"),
            (cli.as_str(), "stripe listen"),
            ("whsec_tooshort", "8 characters after whsec_"),
            ("not even the prefix", "does not begin with whsec_"),
        ] {
            let told = advice(secret, "{}");
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("Secret 1 ") && told[0].contains(part), "{told:?}");
            assert!(!told[0].contains(secret), "{told:?}");
        }
    }

    #[test]
    fn the_mode_the_account_and_the_spacing_are_told_from_the_body() {
        let snapshot = r#"{"object":"event","livemode":false,"account":"acct_1","data":{}}"#;
        let told = advice(DASHBOARD, snapshot);
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[0].starts_with("The event is of test mode"), "{told:?}");
        assert!(told[1].starts_with("The event is of a connected account"), "{told:?}");
        assert!(told[2].contains("re-serialised"), "{told:?}");
        let indented = "{\n  \"object\": \"event\",\n  \"livemode\": true,\n  \"data\": {}\n}";
        let told = advice(DASHBOARD, indented);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("The event is of live mode"), "{told:?}");
    }

    #[test]
    fn a_test_modes_v0_alone_is_explained() {
        let delivery = Delivery::signed(&Stripe, DASHBOARD, "application/json", b"{}")
            .with_header("stripe-signature", "t=1,v0=00");
        let told = Stripe.advise(
            &delivery.request(),
            &bundle(&[DASHBOARD]),
            Rejection::MalformedSignature,
        );
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("v0"), "{told:?}");
    }
}
