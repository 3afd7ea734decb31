//! What an endpoint says of a payload, by the real binaries: kept nowhere, or, where a
//! route asks for it, in the ledger alone and without what it repeats.

use inbox_core::event::EventKey;
use inbox_core::ledger::{Forgetting, Ledger as _, Record, Settled, State};
use inbox_local::runtime_api::FunctionHost;
use serde_json::{Value, json};

use super::rig::{Rig, payment};
use crate::forward::endpoint::{Endpoint, says};

const SECRET: &str = "whsec_ZTJlIHNlY3JldCBvZiBmb3J3YXJkLCAzMiBieXRlcw==";

/// An ordinary validation error: the payer's address as servers write it back, a name in
/// capitals, and words that are the endpoint's own.
const SAYS: &str =
    r#"{"detail":"quite unheard-of: MARKER-STRIPE-PAYER@EXAMPLE.COM (\u006darker stripe payer)"}"#;
/// Of those, what nothing but this endpoint says.
const ITS_OWN: &str = "unheard";

/// A processor with one route, which forwards to the endpoint.
async fn processor(rig: &Rig, endpoint: &Endpoint, options: &Value) -> FunctionHost {
    let secret = rig.bed.create_secret(&json!({ "signing_secrets": [SECRET] })).await;
    let mut with = json!({
        "url": endpoint.url(), "secret_id": secret.expect("a secret"),
        "allow_private_addresses": true,
    });
    with.as_object_mut().expect("an object").extend(options.as_object().cloned().expect("options"));
    let routes = json!([{ "id": "crm", "match": "*:*", "handler": "forward", "with": with }]);
    let settings = [
        ("DLQ_URL", rig.bed.dlq_url.as_str()),
        ("ROUTES", &routes.to_string()),
        ("RETRY_DELAYS_SECONDS", "0,0"),
        ("HANDLER_TIMEOUT_SECONDS", "10"),
    ];
    rig.start("processor", &settings).await
}

/// What has become of a payment whose endpoint refused it, and everything that was
/// written of it outside of the ledger: the log, and the letter's attributes.
async fn refused(options: &Value) -> (Rig, EventKey, Record, String) {
    let rig = Rig::new().await;
    let endpoint = Endpoint::always(says(422, SAYS)).await;
    let mut processor = processor(&rig, &endpoint, options).await;
    let key = rig.accept(&payment()).await;
    rig.process_all(&mut processor).await;
    let record = rig.record(&key).await.expect("the event");
    assert_eq!(record.state, State::Dead);
    let letters = rig.dead_letters().await;
    let [letter] = &letters[..] else { panic!("{} letters, not one", letters.len()) };
    let outside = format!("{}\n{letter:?}", processor.output());
    (rig, key, record, outside)
}

#[tokio::test]
async fn no_word_of_an_answer_is_kept_anywhere() {
    let (_rig, _, record, outside) = refused(&json!({})).await;
    assert!(!outside.contains(ITS_OWN), "{outside}");
    let kept = format!("{:?} {:?} {:?}", record.failures, record.last_error, record.history);
    assert!(!kept.contains(ITS_OWN), "{kept}");
    let failure = &record.failures["crm"];
    assert!(
        failure
            .error
            .ends_with("answered 422, which is final unless the route's `retry_on` names it"),
        "{failure:?}"
    );
    assert_eq!(failure.quote, None);
    assert!(outside.contains("answered 422"), "log and letter carry the status: {outside}");
}

#[tokio::test]
async fn a_quote_lies_in_the_ledger_alone_and_goes_with_the_event() {
    let (rig, key, record, outside) = refused(&json!({ "quote_answers": true })).await;
    assert!(!outside.contains(ITS_OWN), "{outside}");
    let elsewhere = format!("{:?} {:?}", record.last_error, record.history);
    assert!(!elsewhere.contains(ITS_OWN), "{elsewhere}");
    let quote = record.failures["crm"].quote.as_deref().expect("a quote");
    assert!(quote.contains(ITS_OWN), "{quote}");
    let lower = quote.to_lowercase();
    for said in ["marker", "stripe", "payer", "example"] {
        assert!(!lower.contains(said), "{said} of the payload is quoted: {quote}");
    }

    let forgetting = Forgetting { record: &record, actor: "ada", reason: "request #7" };
    let now = inbox_core::Timestamp::now();
    assert_eq!(rig.ledger.forget(&forgetting, now).await.expect("forget"), Settled::Written);
    let forgotten = rig.record(&key).await.expect("the event");
    assert_eq!(forgotten.failures.len(), 0, "the quote is gone");
}
