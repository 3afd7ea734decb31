//! `invoke-typescript`: what the CRM answers decides what becomes of the event.

use inbox_core::ledger::Record;
use inbox_local::Endpoint;
use inbox_local::endpoint::Answer;
use inbox_local::subscribers::CrmFunction;
use serde_json::json;

use super::{finished, payment, send, stack};

#[tokio::test]
async fn a_function_says_what_becomes_of_an_event() {
    let routes = json!([{
        "id": "crm", "match": "stripe:payment_intent.succeeded", "handler": "invoke",
        "with": { "function": "payments-to-crm" },
    }]);
    let stack = stack("typescript", routes).await;
    let busy = Answer { status: 503, retry_after_seconds: Some(1) };
    let answers = [Answer::from(200), busy, Answer::from(201), Answer::from(422)];
    let crm = Endpoint::start(answers).await.expect("a CRM");
    let endpoint_url = &stack.description().endpoint_url;
    let function = CrmFunction::TypeScript.create(endpoint_url, "payments-to-crm", crm.url());
    function.await.expect("a function");

    let became = |record: Record| (record.state.as_str().to_owned(), record.attempts);
    for (id, state, attempts) in
        [("evt_told", "done", 1), ("evt_busy", "done", 2), ("evt_refused", "dead", 1)]
    {
        send(&stack, &payment(&stack, id)).await;
        let record = finished(&stack, id).await;
        assert_eq!(became(record.clone()), (state.to_owned(), attempts), "{id}: {record:?}");
        let said = record.history.first().map(|entry| entry.detail.clone());
        let expected = match id {
            "evt_busy" => Some("crm: the function asks for another attempt"),
            "evt_refused" => Some("crm: the function gives the event up"),
            _ => None,
        };
        assert_eq!(said.as_deref(), expected, "{id}");
    }

    let told: Vec<(String, u16)> = crm
        .received()
        .iter()
        .map(|it| (it.header("idempotency-key").to_owned(), it.status))
        .collect();
    let key = |id: &str| format!("/webhooks/stripe#{id}");
    assert_eq!(
        told,
        [
            (key("evt_told"), 200),
            (key("evt_busy"), 503),
            (key("evt_busy"), 201),
            (key("evt_refused"), 422),
        ]
    );
    assert_eq!(
        crm.received()[0].json(),
        json!({ "payment": "pi_test_1", "customer": "cus_test_1", "amount": 4200, "currency": "eur" })
    );
    stack.stop().await;
}
