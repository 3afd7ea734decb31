//! `invoke`: a real function in Python, and every way in which it can end.

use std::time::{Duration, Instant};

use inbox_core::handler::{HandlerError, Run};
use inbox_local::calls::Fault;
use serde_json::json;

use super::{World, event, handle, made, run};

#[tokio::test]
async fn a_function_gets_the_event_and_says_what_is_to_become_of_it() {
    let world = World::new().await;
    let function = made::function(&world.bed).await;
    let invoke = world.handler("invoke", &json!({ "function": function }));
    let ask = async |payload: &str| handle(&invoke, &event("evt_1", payload)).await;

    assert_eq!(ask("{}").await, Ok(()));
    assert_eq!(ask(r#"{"reply":{"billed":true}}"#).await, Ok(()));
    assert_eq!(ask(r#"{"reply":{"outcome":"done"}}"#).await, Ok(()));
    // Its own words are not told.
    let reply = r#"{"reply":{"outcome":"retry","reason":"busy","after_seconds":60}}"#;
    let reason = "the function asks for another attempt".into();
    let after = Some(Duration::from_mins(1));
    assert_eq!(ask(reply).await, Err(HandlerError::Retry { after, reason }));
    let given_up = "the function gives the event up";
    assert_eq!(ask(r#"{"ask":"describe"}"#).await, Err(HandlerError::permanent(given_up)));
    let raised = ask(r#"{"ask":"raise","customer":"Jane"}"#).await;
    assert_eq!(raised, Err(HandlerError::retry("the function failed")));
}

#[tokio::test]
async fn a_route_that_quotes_keeps_what_a_function_says() {
    let world = World::new().await;
    let function = made::function(&world.bed).await;
    let with = json!({ "function": function, "quote_answers": true });
    let invoke = world.handler("invoke", &with);
    let ask = async |payload: &str| {
        let failed = handle(&invoke, &event("evt_1", payload)).await.expect_err("a failure");
        failed.reason().quote().unwrap_or_default().to_owned()
    };
    // Its words, though they stand in the payload: all of them are left out.
    assert_eq!(ask(r#"{"reply":{"outcome":"retry","reason":"busy"}}"#).await, "…");
    let described = ask(r#"{"ask":"describe"}"#).await;
    assert_eq!(described, "/webhooks/stripe_eu evt_1 stripe.payment_intent.succeeded");
    // Before it stands the exception's type, which the emulator calls otherwise.
    let raised = ask(r#"{"ask":"raise","customer":"Jane"}"#).await;
    assert!(raised.ends_with(": cannot bill …"), "{raised}");
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_tried_again_whoever_ends_it() {
    let world = World::new().await;
    let function = made::function(&world.bed).await;
    let invoke = world.handler("invoke", &json!({ "function": function }));
    let sleeps = event("evt_1", r#"{"ask":"sleep","for":30}"#);

    // The role that it runs under is made with the first call, and a function starts.
    assert_eq!(handle(&invoke, &event("evt_1", r#"{"reply":null}"#)).await, Ok(()));

    // The run's time is over before Lambda ends the function.
    let started = Instant::now();
    let hurried = Run { timeout: Duration::from_secs(1), ..run() };
    let outcome = invoke.handle(&sleeps, &hurried).await;
    let reason = "Invoke: no answer within the time limit";
    assert_eq!(outcome, Err(HandlerError::retry(reason)));
    assert!(started.elapsed() < hurried.timeout, "{:?}", started.elapsed());

    // Lambda ends the function before the run's time is over.
    let reason = "the function failed: it took longer than its own time limit";
    assert_eq!(handle(&invoke, &sleeps).await, Err(HandlerError::retry(reason)));
}

#[tokio::test]
async fn a_call_is_made_once_and_its_fault_is_tried_again_by_the_ledger() {
    let world = World::new().await;
    let invoke = world.handler("invoke", &json!({ "function": "nobody" }));
    let failing = [
        (Fault::status(500, "ServiceException"), "Invoke: ServiceException"),
        (Fault::status(429, "TooManyRequestsException"), "Invoke: TooManyRequestsException"),
    ];
    for (fault, reason) in failing {
        world.proxy.set_hook(move |_| fault.clone());
        let outcome = handle(&invoke, &event("evt_1", "{}")).await;
        assert_eq!(outcome, Err(HandlerError::retry(reason)));
        assert_eq!(world.proxy.take_calls().len(), 1, "{reason}");
    }
    let refused = Fault::status(400, "InvalidRequestContentException");
    world.proxy.set_hook(move |_| refused.clone());
    let reason = "Invoke: InvalidRequestContentException";
    let outcome = handle(&invoke, &event("evt_1", "{}")).await;
    assert_eq!(outcome, Err(HandlerError::permanent(reason)));

    // Somebody may still make the function.
    world.proxy.clear_hook();
    let gone = handle(&invoke, &event("evt_1", "{}")).await;
    assert_eq!(gone, Err(HandlerError::retry("Invoke: ResourceNotFoundException")));
}

/// Lambda itself answers, and the function does not: five in a row are enough.
#[tokio::test]
async fn a_function_that_hangs_is_left_alone_until_it_is_time_to_look_again() {
    let world = World::new().await;
    let invoke = world.handler("invoke", &json!({ "function": "hanging" }));
    let not_tried = async |run: &Run| {
        let failed = invoke.handle(&event("evt_1", "{}"), run).await;
        matches!(failed, Err(HandlerError::NotTried { .. }))
    };
    world.proxy.set_hook(|_| Fault::Delay(Duration::from_secs(30)));
    let hurried = Run { timeout: Duration::from_millis(600), ..run() };
    for attempt in 1..=5 {
        assert!(!not_tried(&hurried).await, "attempt {attempt} is made");
    }
    world.proxy.clear_hook();
    let _ = world.proxy.take_calls();
    assert!(not_tried(&hurried).await, "the sixth is not");
    assert_eq!(world.proxy.take_calls().len(), 0);
    assert!(!not_tried(&Run { insists: true, ..hurried }).await, "unless the run insists");
}
