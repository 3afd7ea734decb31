//! The secret of a source: missing, unreadable, of another kind, refused, slow.

use std::time::{Duration, Instant};

use inbox_local::calls::Fault;
use inbox_local::runtime_api::FunctionHost;

use super::super::rig::{Answer, BASE_URL, DEADLINE, Rig, STRIPE_SECRET, payment};
use super::{assert_unavailable, fault};

async fn receiver(rig: &Rig, provider: &str, secret_id: &str) -> FunctionHost {
    let settings = [
        ("SOURCE", "stripe"),
        ("PROVIDER", provider),
        ("SECRET_ID", secret_id),
        ("PUBLIC_BASE_URL", BASE_URL),
    ];
    rig.start("receiver", &settings).await
}

async fn put(rig: &Rig, id: &str, value: &str) {
    let made = rig.bed.secrets().create_secret().name(id).secret_string(value).send().await;
    made.expect("a secret");
}

fn new_id() -> String {
    format!("test/{}", uuid::Uuid::new_v4().simple())
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_told_of_and_used_as_soon_as_it_is() {
    let rig = Rig::new().await;
    let id = new_id();
    let mut cold = receiver(&rig, "stripe", &id).await;
    let answer = cold.invoke_json(&rig.gateway_event(&payment()), DEADLINE).await;
    assert_unavailable(&answer.expect("an answer"));
    for line in ["no secrets yet", "answered 503"] {
        let said = fault(&cold, line).await;
        let expected = "secrets store unavailable: GetSecretValue: ResourceNotFoundException: ";
        assert!(said.starts_with(expected), "{said}");
    }
    // A function that started without it serves once it is there.
    let mut other = receiver(&rig, "stripe", &id).await;
    put(&rig, &id, &format!(r#"{{"signing_secrets":["{STRIPE_SECRET}"]}}"#)).await;
    assert_eq!(rig.deliver(&mut other, &payment()).await, Ok(Answer::accepted()));
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_told_of_without_a_word_of_it() {
    let not_a_bundle = "stored secret is unusable: the secret's value must be JSON of the form \
                        {\"signing_secrets\":[\"…\"]}, all values text, or one signing secret as it \
                        is";
    for (provider, value, expected) in [
        (
            "stripe",
            "hidden-word",
            "stored secret is unusable: signing_secrets[0] has fewer than 16 characters, without a \
             prefix: it can be guessed, or was cut",
        ),
        ("stripe", r#"{"secrets":["hidden-word"]}"#, not_a_bundle),
        ("stripe", r#"{"signing_secrets":"hidden-word"}"#, not_a_bundle),
        (
            "stripe",
            r#"{"signing_secrets":[],"x":"hidden-word"}"#,
            "stored secret is unusable: signing_secrets is empty: add at least one secret",
        ),
        (
            "stripe",
            r#"{"signing_secrets":[""],"x":"hidden-word"}"#,
            "stored secret is unusable: signing_secrets[0] is empty: remove it or set it",
        ),
        (
            "github",
            r#"{"signing_secrets":["ghp_hidden-word"]}"#,
            "stored secret is unusable: signing_secrets[0] is an access token: use the secret that \
             was typed in for the webhook",
        ),
    ] {
        let rig = Rig::new().await;
        let id = new_id();
        put(&rig, &id, value).await;
        let mut host = receiver(&rig, provider, &id).await;
        let answer = host.invoke_json(&rig.gateway_event(&payment()), DEADLINE).await;
        assert_unavailable(&answer.expect("an answer"));
        let said = fault(&host, "answered 503").await;
        assert_eq!(said, expected, "{value}");
        assert!(!host.output().contains("hidden-word"), "{value}");
    }
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_told_of_with_action_and_resource() {
    let rig = Rig::new().await;
    let message = "User: arn:aws:sts::000000000000:assumed-role/inbox-receiver/x is not authorized \
                   to perform: secretsmanager:GetSecretValue on resource: inbox/stripe";
    rig.proxy.set_hook(move |call| match call.operation.as_str() {
        "GetSecretValue" => Fault::Status {
            status: 400,
            error_type: "AccessDeniedException".to_owned(),
            message: message.to_owned(),
        },
        _ => Fault::None,
    });
    let mut host = receiver(&rig, "stripe", "inbox/stripe").await;
    let answer = host.invoke_json(&rig.gateway_event(&payment()), DEADLINE).await;
    assert_unavailable(&answer.expect("an answer"));
    let expected =
        format!("secrets store unavailable: GetSecretValue: AccessDeniedException: {message}");
    assert_eq!(fault(&host, "answered 503").await, expected);
}

#[tokio::test]
async fn a_store_that_does_not_answer_delays_the_start_by_less_than_the_ten_seconds_it_has() {
    let rig = Rig::new().await;
    let id = new_id();
    put(&rig, &id, &format!(r#"{{"signing_secrets":["{STRIPE_SECRET}"]}}"#)).await;
    rig.proxy.fail_next("secretsmanager", "GetSecretValue", usize::MAX, Fault::Delay(DEADLINE));
    let begin = Instant::now();
    let mut host = receiver(&rig, "stripe", &id).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let expected = "secrets store unavailable: GetSecretValue: no answer within the time limit";
    assert_eq!(fault(&host, "no secrets yet").await, expected);
    rig.proxy.clear_hook();
    assert_eq!(rig.deliver(&mut host, &payment()).await, Ok(Answer::accepted()));
}
