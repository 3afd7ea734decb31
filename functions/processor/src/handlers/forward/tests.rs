use serde_json::json;

use super::super::testing::{event, resources, run};
use super::*;
use inbox_core::Timestamp;
use inbox_core::event::HEADER_HOPS;
use inbox_core::memory::MemorySecrets;
use inbox_core::secrets::{SecretBundle, SecretsError};

const URL: &str = "https://crm.example.com/hooks";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn problems(with: &Value) -> Vec<String> {
    build(&resources(), with).err().unwrap_or_default()
}

fn forward(url: &str, bundle: Result<SecretBundle, SecretsError>) -> Forward<MemorySecrets> {
    let with = json!({
        "url": url, "secret_id": "crm", "allow_private_addresses": true, "quote_answers": true,
    });
    let clock: Clock = Arc::new(|| Timestamp::from_unix_seconds(1_764_000_000).unwrap());
    let http = HttpClients::default();
    Forward::new(Settings::read(&with).unwrap(), MemorySecrets::new(bundle), &http, clock).unwrap()
}

fn bundle(secret: &str) -> Result<SecretBundle, SecretsError> {
    Ok(SecretBundle::parse(&json!({"signing_secrets": [secret]}).to_string())?)
}

#[test]
fn options_have_their_defaults() {
    let settings = Settings::read(&json!({"url": URL, "secret_id": "crm"})).unwrap();
    let layout = Layout { mode: Mode::Structured, x_webhook_headers: false };
    assert_eq!((settings.layout, settings.allow_private_addresses), (layout, false));
    let with = json!({
        "url": URL, "secret_id": "crm", "mode": "binary", "x_webhook_headers": true,
        "allow_private_addresses": true,
    });
    let settings = Settings::read(&with).unwrap();
    let layout = Layout { mode: Mode::Binary, x_webhook_headers: true };
    assert_eq!((settings.layout, settings.allow_private_addresses), (layout, true));
    assert_eq!(problems(&with), Vec::<String>::new());
}

#[test]
fn every_problem_is_named_at_start() {
    assert_eq!(
        problems(&Value::Null),
        [
            "needs `url`, such as \"https://example.com/hooks\"",
            "needs `secret_id`, such as \"inbox/forward/crm\"",
        ]
    );
    assert_eq!(
        problems(&json!({"url": "http://[::1]/", "mode": "batch", "retries": 3})),
        [
            "needs `secret_id`, such as \"inbox/forward/crm\"",
            "`mode` must be one of \"structured\", \"binary\"",
            "`url` must begin with https://; http:// is only for `allow_private_addresses`",
            "`url` leads to ::1 (loopback), where nothing is sent: if it is meant, set \
             `allow_private_addresses` to true",
            "has no option `retries`; there are `allow_private_addresses`, `mode`, \
             `quote_answers`, `retry`, `secret_id`, `url`, `x_webhook_headers`",
        ]
    );
}

#[tokio::test]
async fn a_loop_of_inboxes_ends_for_good() {
    // Nothing listens there: it would be a retry.
    let forward = forward("http://127.0.0.1:1/", bundle(SECRET));
    let mut event = event("{}");
    event.headers.insert(HEADER_HOPS.into(), "5".into());
    let reason = "forwarded from inbox to inbox too often already: a route further on leads back \
                  to an inbox before it; end the loop there";
    assert_eq!(forward.handle(&event, &run(1)).await, Err(HandlerError::permanent(reason)));
}

#[tokio::test]
async fn without_a_usable_secret_it_is_tried_again() {
    for (bundle, reason) in [
        (
            Err(SecretsError::Unavailable("GetSecretValue: AccessDenied".into())),
            "secret crm: secrets store unavailable: GetSecretValue: AccessDenied",
        ),
        (
            bundle("whsec_c2hvcnQ="),
            "secret crm: stored secret is unusable: signing_secrets[0] is shorter than 24 bytes \
             when decoded: it was cut, or is no signing secret",
        ),
    ] {
        let forward = forward("http://127.0.0.1:1/", bundle);
        let outcome = forward.handle(&event("{}"), &run(1)).await;
        assert_eq!(outcome, Err(HandlerError::retry(reason)));
    }
}

#[tokio::test]
async fn after_five_refused_connections_only_attempts_that_are_insisted_on_are_made() {
    let forward = forward("http://127.0.0.1:1/t0ken", bundle(SECRET));
    let refused = "127.0.0.1:1: no connection: Connection refused (os error 111)";
    for _ in 0..5 {
        let outcome = forward.handle(&event("{}"), &run(1)).await;
        assert_eq!(outcome, Err(HandlerError::retry(refused)));
    }
    let wait = Duration::from_secs(30);
    let reason = "not tried: 127.0.0.1:1 has not answered 5 times in a row".to_owned();
    let not_tried = HandlerError::NotTried { wait, reason: reason.into() };
    assert_eq!(forward.handle(&event("{}"), &run(6)).await, Err(not_tried));
    let insisted = Run { insists: true, ..run(1) };
    let tried = forward.handle(&event("{}"), &insisted).await;
    assert_eq!(tried, Err(HandlerError::retry(refused)));
}

#[test]
fn what_an_endpoint_repeats_is_not_quoted() {
    let forward = forward("https://crm.example.com/a%62c-t0ken?key=s3cret", bundle(SECRET));
    let quoted = |event: &Event, says: String| {
        let layout = forward.settings.layout;
        let secrets = [inbox_core::secrets::Secret::new(SECRET.into())];
        let now = (forward.clock)();
        let sent = Sent::of(&Message::new(event, &run(1), 1, layout, &secrets, now));
        let signature = sent.signature.clone();
        let beginning = says.replace("SIGNATURE", &signature).replace("BODY", "").into_bytes();
        let status = http::StatusCode::BAD_REQUEST;
        let headers = http::HeaderMap::new();
        let answer = Answer { status, headers, beginning, was_slow: false };
        (forward.quoted(&answer, event, &sent).unwrap_or_default(), signature)
    };
    let json = event(r#"{"customer":"Jane Doe"}"#);
    let (text, _) = quoted(&json, "Cannot POST /a%62c-t0ken?key=s3cret for jane".into());
    assert_eq!(text, "Cannot POST /…-…?…=… for …");
    let (text, signature) = quoted(&json, "wrong signature: SIGNATURE; wrong type".into());
    let longest = signature[3..].split(['+', '/', '=']).max_by_key(|part| part.len()).unwrap();
    assert!(text.starts_with("wrong signature: …,"), "{text}");
    assert!(text.ends_with("; wrong type") && !text.contains(longest), "{text}");

    let form = event("name=Jane+Doe&city=Ulm");
    let encoded = form.to_cloudevent();
    let (_, base64) = encoded.split_once("data_base64\":\"").unwrap();
    let (text, _) = quoted(&form, format!("cannot read {}", base64.trim_end_matches("\"}")));
    assert_eq!(text, "cannot read …==");
}
