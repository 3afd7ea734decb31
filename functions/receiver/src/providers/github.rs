//! GitHub: repository, organization and app webhooks.
//!
//! ```text
//! X-Hub-Signature-256: sha256=<hex>
//! signed               <raw body>            HMAC-SHA256, lower-case hex
//! key                  the hook's secret as text
//! ```
//!
//! - Only the SHA-256 header counts. GitHub sends `X-Hub-Signature: sha1=…`
//!   beside it; a request with that one alone has no signature here.
//! - The body is JSON, or a form whose field `payload` holds the JSON. What is
//!   signed is the body as sent, so the form, not the JSON inside. Which of the
//!   two it is, the signed bytes say: nobody signs the content type, and a text
//!   inside JSON can look like a form.
//! - No time is signed, and neither are the headers that carry the event's name,
//!   the delivery's id and the hook's: who holds one signed body can send it again
//!   under another id. Where that matters, the source deduplicates by content.
//! - What the body lacks of the event that the header names (`events.rs`) makes the
//!   type `unknown`, so that no route of the claimed type runs; so does a name that
//!   GitHub cannot give.
//! - `X-GitHub-Delivery` is of the event: all hooks that it is sent to share it, as
//!   does a redelivery. So the key is `<delivery id>@<hook id>`, and an event that
//!   two hooks at one address bring counts twice; without the hook's header it is
//!   the delivery id alone.
//! - GitHub does not retry. A redelivery by hand keeps both ids, so it is a
//!   duplicate unless the first one never got in.
//!
//! Sources:
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>,
//! <https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks>,
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers>,
//! go-github `github/messages.go`, octokit `webhooks-methods`.

use std::borrow::Cow;

use bytes::Bytes;
use inbox_core::Timestamp;
use inbox_core::provider::{Identity, Payload, Provider, Rejection, Unsigned};
use inbox_core::request::{Request, Verified};
use inbox_core::secrets::{Secret, SecretBundle, strength};
use inbox_core::signature::{self, Hash, Proof};

use super::header_name_or_id;
use crate::json;
use inbox_core::form;

mod events;

/// The provider's name.
pub(super) const NAME: &str = "github";

const HEADER_SIGNATURE: &str = "x-hub-signature-256";
const HEADER_SHA_1: &str = "x-hub-signature";
const HEADER_EVENT: &str = "x-github-event";
const HEADER_DELIVERY: &str = "x-github-delivery";
const HEADER_HOOK: &str = "x-github-hook-id";
/// Shorter ones are worth a word: nobody but the team makes them.
const SECRET_CHARACTERS: usize = 20;
/// Stands between the ids of delivery and hook.
const HOOK_SEPARATOR: char = '@';
/// A number of 64 bits has no more.
const HOOK_DIGITS: usize = 20;
const SIGNATURE_PREFIX: &str = "sha256=";
const SIGNATURE_BYTES: usize = 32;
const FORM_FIELD: &str = "payload";

/// GitHub's scheme.
pub(super) struct GitHub;

impl Provider for GitHub {
    fn name(&self) -> &'static str {
        NAME
    }

    fn verify(
        &self,
        request: &Request,
        secrets: &SecretBundle,
        _now: Timestamp,
    ) -> Result<Proof, Rejection> {
        let header = request.header(HEADER_SIGNATURE).ok_or(Rejection::MissingSignature)?;
        let signature = header
            .strip_prefix(SIGNATURE_PREFIX)
            .and_then(signature::decode_hex)
            .filter(|bytes| bytes.len() == SIGNATURE_BYTES)
            .ok_or(Rejection::MalformedSignature)?;
        let keys = secrets.signing_secrets();
        signature::hmac_matches(Hash::Sha256, keys, &[request.body()], &[signature])
            .ok_or(Rejection::SignatureMismatch { fresh: true })
    }

    fn identify(&self, request: &Request<Verified>) -> Identity {
        let payload = (!is_json_object(request.body()))
            .then(|| form::first(request.body(), FORM_FIELD))
            .flatten()
            .map(Cow::into_owned);
        let json: &[u8] = payload.as_deref().unwrap_or(request.body());
        let [action, repository] = json::members(json, ["action", "repository"]);
        let event = header_name_or_id(request, HEADER_EVENT);
        let event = event.filter(|it| is_event_name(it) && is_told(it, json));
        let delivery_id = header_name_or_id(request, HEADER_DELIVERY);
        let hook_id = hook_id(request);
        Identity {
            idempotency_key: delivery_id.as_ref().map(|delivery| match &hook_id {
                Some(hook) => format!("{delivery}{HOOK_SEPARATOR}{hook}"),
                None => delivery.clone(),
            }),
            occurred_at: event.as_deref().and_then(|event| occurred_at(event, json)),
            event_type: event.map(|event| match action.text() {
                Some(action) => format!("{event}.{action}"),
                None => event,
            }),
            subject: repository.member("full_name").text(),
            delivery_id,
            hook_id,
            payload: payload.map(|bytes| Payload {
                content_type: "application/json".into(),
                bytes: Bytes::from(bytes),
            }),
        }
    }

    fn sign(&self, unsigned: &Unsigned<'_>, secret: &Secret) -> Vec<(&'static str, String)> {
        let mac = signature::hmac(Hash::Sha256, secret.as_ref(), &[unsigned.body]);
        // `pull_request.opened` is event `pull_request` with action `opened`.
        let event = unsigned.event_type.split('.').next().unwrap_or_default();
        vec![
            ("X-GitHub-Event", event.to_owned()),
            ("X-GitHub-Delivery", unsigned.id.to_owned()),
            ("X-Hub-Signature-256", format!("{SIGNATURE_PREFIX}{}", hex::encode(mac))),
        ]
    }

    fn kept_headers(&self) -> &'static [&'static str] {
        &[
            "content-type",
            "user-agent",
            HEADER_EVENT,
            HEADER_DELIVERY,
            HEADER_HOOK,
            "x-github-hook-installation-target-id",
            "x-github-hook-installation-target-type",
        ]
    }

    fn names_hook(&self) -> bool {
        true
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        let text = secret.expose();
        if ["ghp_", "gho_", "ghs_", "ghu_", "github_pat_"].iter().any(|it| text.starts_with(it)) {
            return Err("is an access token: use the secret that was typed in for the webhook");
        }
        if text.starts_with("-----BEGIN") {
            return Err("is a private key: use the secret that was typed in for the webhook");
        }
        strength::check(text)
    }

    fn secret_concern(&self, secret: &Secret) -> Option<&'static str> {
        (secret.expose().chars().count() < SECRET_CHARACTERS).then_some(
            "has fewer than 20 characters, and people choose it: GitHub asks for random text of \
             high entropy, such as `openssl rand -hex 32` makes",
        )
    }

    fn advise(&self, request: &Request, _: &SecretBundle, rejection: Rejection) -> Vec<String> {
        let told = match rejection {
            Rejection::MissingSignature if request.header(HEADER_SHA_1).is_some() => {
                "Only X-Hub-Signature is there, which is SHA-1. GitHub sends X-Hub-Signature-256 \
                 beside it, so something on the way lets only the old one through"
            }
            Rejection::MissingSignature if request.header(HEADER_EVENT).is_some() => {
                "It comes from GitHub and has no signature: no secret is set at the hook. Set one \
                 under Settings, Webhooks"
            }
            Rejection::SignatureMismatch { .. } if is_unwrapped_form(request) => {
                "The body is JSON and says that it is a form: GitHub signed the form, \
                 payload=…, as it was sent. Capture that, or set the hook's content type to \
                 application/json"
            }
            _ => return Vec::new(),
        };
        vec![told.to_owned()]
    }
}

/// Whether somebody took the JSON out of the form that was signed.
fn is_unwrapped_form(request: &Request) -> bool {
    request.media_type() == form::MEDIA_TYPE && is_json_object(request.body())
}

/// A form never begins so: the brace would be escaped.
fn is_json_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

/// The hook's number, where it is one.
fn hook_id(request: &Request<Verified>) -> Option<String> {
    let id = header_name_or_id(request, HEADER_HOOK)?;
    let is_number = id.len() <= HOOK_DIGITS && id.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(id)
}

/// GitHub's names have no other letters. One with a dot would read as a name and an
/// action, of which the body need not know anything.
fn is_event_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether the body can be one of this event.
fn is_told(event: &str, json: &[u8]) -> bool {
    let wanted = events::members_of(event);
    let name = |at: usize| wanted.get(at).copied().unwrap_or_default();
    let found = json::members(json, std::array::from_fn::<_, { events::MEMBERS }, _>(name));
    found.iter().take(wanted.len()).all(|member| member.is_there())
}

/// When it happened. There is no one field for it. A push tells in
/// `repository.pushed_at`; the commit's own time is the author's clock, and may
/// be years before the push. Elsewhere it is the last change of the object that
/// the event is about, which a comment's event names before its issue.
fn occurred_at(event: &str, json: &[u8]) -> Option<Timestamp> {
    if event == "push" {
        let [repository, head] = json::members(json, ["repository", "head_commit"]);
        return repository
            .member("pushed_at")
            .moment()
            .or_else(|| head.member("timestamp").moment());
    }
    json::members(json, ["comment", "review", "pull_request", "issue", "hook"])
        .into_iter()
        .flat_map(|object| object.members(["updated_at", "submitted_at"]))
        .find_map(json::Member::moment)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Delivery, at, bundle};
    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";
    const FORM: &str = form::MEDIA_TYPE;
    const JSON: &str = "application/json";

    fn judged(header: &str) -> Result<(), Rejection> {
        Delivery::signed(&GitHub, SECRET, JSON, b"{}").with_header(HEADER_SIGNATURE, header).judge(
            &GitHub,
            &[SECRET],
            at(0),
        )
    }

    #[test]
    fn the_header_has_one_spelling() {
        let good = Delivery::signed(&GitHub, SECRET, JSON, b"{}").header(HEADER_SIGNATURE);
        assert_eq!(judged(&good), Ok(()));
        let hex = good.strip_prefix("sha256=").unwrap();
        for header in [
            String::new(),
            hex.to_owned(),
            format!("sha1={hex}"),
            format!("SHA256={hex}"),
            format!("sha256= {hex}"),
            format!("sha256={}", hex.to_uppercase()),
            format!("sha256={}", &hex[..62]),
            format!("{good}00"),
            format!("{good},{good}"),
        ] {
            assert_eq!(judged(&header), Err(Rejection::MalformedSignature), "{header}");
        }
    }

    #[test]
    fn a_sha_1_signature_alone_is_no_signature() {
        let body = br#"{"yo":true}"#;
        let delivery = Delivery::signed(&GitHub, "0123456789abcdef", JSON, body)
            .without_header(HEADER_SIGNATURE)
            .with_header("x-hub-signature", "sha1=126f2c800419c60137ce748d7672e77b65cf16d6");
        let judged = delivery.judge(&GitHub, &["0123456789abcdef"], at(0));
        assert_eq!(judged, Err(Rejection::MissingSignature));
    }

    #[test]
    fn the_old_header_a_hook_without_a_secret_and_an_unwrapped_form_are_explained() {
        let advise = |delivery: &Delivery, rejection| {
            let told = GitHub.advise(&delivery.request(), &bundle(&[SECRET]), rejection);
            told.first().cloned().unwrap_or_default()
        };
        let bare = Delivery::signed(&GitHub, SECRET, JSON, b"{}").without_header(HEADER_SIGNATURE);
        let missing = Rejection::MissingSignature;
        assert!(advise(&bare, missing).contains("no secret is set"));
        let old = bare.with_header(HEADER_SHA_1, "sha1=00");
        assert!(advise(&old, missing).contains("SHA-1"));
        let unwrapped = Delivery::signed(&GitHub, SECRET, FORM, b"{}");
        let mismatch = Rejection::SignatureMismatch { fresh: true };
        assert!(advise(&unwrapped, mismatch).contains("payload="));
        assert_eq!(advise(&Delivery::signed(&GitHub, SECRET, JSON, b"{}"), mismatch), "");
    }

    #[test]
    fn a_form_is_unwrapped_to_the_json_inside() {
        let json =
            r#"{"action":"opened","issue":{},"repository":{"full_name":"a/b"},"note":"ä + %"}"#;
        let body = format!(
            "payload={}&x=1",
            percent_encoding::utf8_percent_encode(json, percent_encoding::NON_ALPHANUMERIC)
        );
        let mut delivery = Delivery::signed(&GitHub, SECRET, FORM, body.as_bytes());
        delivery.headers.insert(HEADER_EVENT, "issues".parse().unwrap());
        assert_eq!(
            delivery.identity(&GitHub, SECRET),
            Identity {
                idempotency_key: Some(delivery.header(HEADER_DELIVERY)),
                delivery_id: Some(delivery.header(HEADER_DELIVERY)),
                event_type: Some("issues.opened".into()),
                subject: Some("a/b".into()),
                payload: Some(Payload {
                    content_type: JSON.into(),
                    bytes: Bytes::from(json.to_owned()),
                }),
                ..Identity::default()
            }
        );
    }

    #[test]
    fn json_that_says_it_is_a_form_is_json_and_a_form_that_says_it_is_json_is_a_form() {
        let read = |body: &str, content_type: &str| {
            let signed = Delivery::signed(&GitHub, SECRET, JSON, body.as_bytes());
            signed.with_header("content-type", content_type).identity(&GitHub, SECRET)
        };
        // A commit's message, an issue's title: anybody may have written it.
        let json = r#"{"action":"opened","title":"&payload=%7B%22action%22%3A%22deleted%22%7D&"}"#;
        let form = "payload=%7B%22action%22%3A%22opened%22%7D";
        for body in [json, form] {
            assert_eq!(read(body, FORM), read(body, JSON), "{body}");
            assert_eq!(read(body, FORM).event_type.as_deref(), Some("thing.opened"), "{body}");
        }
    }

    #[test]
    fn a_form_without_the_field_is_kept_as_it_is() {
        let delivery = Delivery::signed(&GitHub, SECRET, FORM, b"other=1");
        assert_eq!(delivery.identity(&GitHub, SECRET).payload, None);
    }

    #[test]
    fn a_push_happened_when_it_was_pushed_not_when_it_was_committed() {
        let pushed = |body: &str| {
            let mut delivery = Delivery::signed(&GitHub, SECRET, JSON, body.as_bytes());
            delivery.headers.insert(HEADER_EVENT, "push".parse().unwrap());
            delivery.identity(&GitHub, SECRET).occurred_at.map(Timestamp::unix_seconds)
        };
        let head = r#""ref":"","before":"","after":"","pusher":{},
            "head_commit":{"timestamp":"2001-09-09T01:46:40Z"}"#;
        assert_eq!(
            pushed(&format!(r#"{{{head},"repository":{{"pushed_at":1700000000}}}}"#)),
            Some(1_700_000_000)
        );
        assert_eq!(pushed(&format!("{{{head}}}")), Some(1_000_000_000));
        // The push that deletes a branch has no head.
        assert_eq!(pushed(&format!(r#"{{{head},"head_commit":null}}"#)), None);
    }

    fn sent_by_hook(hook: &str) -> Identity {
        Delivery::signed(&GitHub, SECRET, JSON, b"{}")
            .with_header(HEADER_HOOK, hook)
            .identity(&GitHub, SECRET)
    }

    #[test]
    fn the_key_holds_delivery_and_hook_since_hooks_share_a_delivery() {
        let [first, second] = ["292430182", "7"].map(sent_by_hook);
        assert_eq!(first.idempotency_key.as_deref(), Some("id_1@292430182"));
        assert_eq!(second.idempotency_key.as_deref(), Some("id_1@7"));
        assert_eq!(first.hook_id.as_deref(), Some("292430182"));
        assert_eq!(
            (first.delivery_id, second.delivery_id),
            (Some("id_1".into()), Some("id_1".into()))
        );
        // What is no number is no hook: the key is the delivery's id alone.
        for odd in ["", "x", "1 2", "-1", "1@2", &"1".repeat(21)] {
            let found = sent_by_hook(odd);
            assert_eq!(
                (found.idempotency_key.as_deref(), found.hook_id),
                (Some("id_1"), None),
                "{odd}"
            );
        }
    }

    /// As whoever holds one signed body could send it: nobody signs the header.
    #[test]
    fn a_body_that_is_not_of_the_event_that_the_header_names_is_of_no_type() {
        let read = |event: &str, body: &str| {
            let delivery = Delivery::signed(&GitHub, SECRET, JSON, body.as_bytes());
            delivery.with_header(HEADER_EVENT, event).identity(&GitHub, SECRET)
        };
        let body =
            r#"{"action":"opened","issue":{"updated_at":"2026-03-01T12:00:00Z"},"repository":{}}"#;
        let genuine = read("issues", body);
        assert_eq!(genuine.event_type.as_deref(), Some("issues.opened"));
        assert!(genuine.occurred_at.is_some());
        for claimed in ["deployment", "push", "release", "issue_comment", "ping", "workflow_run"] {
            let found = read(claimed, body);
            assert_eq!((found.event_type, found.occurred_at), (None, None), "{claimed}");
            assert_eq!(found.idempotency_key, genuine.idempotency_key, "it is stored all the same");
        }
        // A name that is not known is believed, and `null` is a member.
        assert_eq!(read("new_thing", body).event_type.as_deref(), Some("new_thing.opened"));
        let nothing = r#"{"action":"deleted","repository":{},"starred_at":null}"#;
        assert_eq!(read("star", nothing).event_type.as_deref(), Some("star.deleted"));
        // A name and an action in one would be a type of its own, whatever the body lacks.
        let push = r#"{"after":"b","before":"a","pusher":{},"ref":"refs/heads/main"}"#;
        for claimed in [
            "deployment.created",
            "release.published",
            "deployment_.x",
            "Deployment",
            "push,push",
            "push-x",
            "pull_request:x",
        ] {
            assert_eq!(read(claimed, push).event_type, None, "{claimed}");
        }
        assert_eq!(read("push", push).event_type.as_deref(), Some("push"));
        // What is no JSON object holds nothing.
        assert_eq!(read("push", "[]").event_type, None);
    }

    #[test]
    fn an_id_that_no_sender_would_write_reads_as_missing() {
        let mut delivery = Delivery::signed(&GitHub, SECRET, JSON, b"{}");
        for wrong in ["", "a b", "a\u{e9}", &"a".repeat(256)] {
            let value = http::HeaderValue::from_bytes(wrong.as_bytes()).unwrap();
            delivery.headers.insert(HEADER_DELIVERY, value);
            assert_eq!(delivery.identity(&GitHub, SECRET).idempotency_key, None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_a_webhook_secret_is_refused_with_advice() {
        let check = |text: &str| GitHub.check_secret(&Secret::new(text.into()));
        assert_eq!(check(SECRET), Ok(()));
        assert!(check("ghp_0123").unwrap_err().contains("access token"));
        assert!(check("github_pat_0123").unwrap_err().contains("access token"));
        assert!(check("-----BEGIN RSA PRIVATE KEY-----").unwrap_err().contains("private key"));
        assert!(check("x").unwrap_err().contains("fewer than 16"));
        assert!(check("your_webhook_secret").unwrap_err().contains("placeholder"));
        let concern = |text: &str| GitHub.secret_concern(&Secret::new(text.into()));
        assert!(concern("0123456789abcdef012").unwrap().contains("fewer than 20"));
        assert_eq!(concern(SECRET), None);
    }
}
