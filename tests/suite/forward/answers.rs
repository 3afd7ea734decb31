//! What an endpoint's answer, or its silence, comes to.

use std::time::Instant;

use super::endpoint::{Act, head, says, says_with};
use super::*;

fn retry(reason: impl Into<String>) -> Result<(), HandlerError> {
    Err(HandlerError::retry(reason))
}

/// One attempt at an endpoint that does this, and how long it took.
async fn outcome(act: Act, timeout: Duration) -> (Result<(), HandlerError>, String, Duration) {
    let endpoint = Endpoint::always(act).await;
    let event = with_payload("application/json", r#"{"customer":"Jane Doe","plan":"gold"}"#);
    let started = Instant::now();
    let outcome = Route::to(&endpoint, &json!({})).attempt_within(&event, 1, timeout).await;
    (outcome, format!("127.0.0.1:{}", endpoint.port), started.elapsed())
}

const PATIENT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_endpoint_that_is_slower_than_the_limit_is_tried_again() {
    let act = Act::Late(Duration::from_mins(1), head(200, "", 0));
    let (outcome, host, took) = outcome(act, Duration::from_millis(500)).await;
    // A tenth of the time is kept, so that the reason is this one.
    assert_eq!(outcome, retry(format!("{host}: no answer within 0.45 s")));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn one_that_is_just_fast_enough_is_heard() {
    let act = Act::Late(Duration::from_millis(500), head(200, "", 0));
    let (outcome, _, took) = outcome(act, Duration::from_secs(5)).await;
    assert_eq!(outcome, Ok(()));
    assert!(took >= Duration::from_millis(500), "{took:?}");
}

#[tokio::test]
async fn one_that_hangs_up_is_tried_again() {
    let (before, host, _) = outcome(Act::HangUp(String::new()), PATIENT).await;
    let reason = format!("{host}: no answer: connection closed before message completed");
    assert_eq!(before, retry(reason));
    let (within_head, host, _) = outcome(Act::HangUp("HTTP/1.1 20".into()), PATIENT).await;
    let reason = format!("{host}: no answer: connection closed before message completed");
    assert_eq!(within_head, retry(reason));
}

/// What the endpoint decided stands in the head.
#[tokio::test]
async fn an_answer_that_breaks_off_after_its_head_is_that_answer() {
    let broken = |status| Act::HangUp(head(status, "", 1000) + "sorry, ");
    assert_eq!(outcome(broken(200), PATIENT).await.0, Ok(()));
    let (outcome, host, _) = outcome(broken(503), PATIENT).await;
    assert_eq!(outcome, retry(format!("{host} answered 503")));
}

#[tokio::test]
async fn an_endless_body_holds_nothing_up() {
    for (status, is_done) in [(200, true), (500, false)] {
        let endless = Act::Endless(format!("HTTP/1.1 {status} as told\r\n\r\n"));
        let (outcome, _, took) = outcome(endless, PATIENT).await;
        assert_eq!(outcome.is_ok(), is_done, "{outcome:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    // One that stalls, with a length that never comes.
    let (stalled, host, took) = outcome(Act::Answer(head(500, "", 1000) + "wait"), PATIENT).await;
    assert_eq!(stalled, retry(format!("{host} answered 500")));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let secret = Endpoint::always(says(200, "credentials")).await;
    let location = format!("location: http://127.0.0.1:{}/latest/meta-data/\r\n", secret.port);
    for status in [301, 302, 303, 307, 308] {
        let (outcome, host, _) = outcome(says_with(status, &location, "moved"), PATIENT).await;
        let reason = format!(
            "{host} answered {status}, a redirect on the same host, which is not followed: change \
             the route's `url`"
        );
        assert_eq!(outcome, retry(reason));
    }
    assert_eq!(secret.connections(), 0);
}

#[tokio::test]
async fn no_word_of_an_answer_is_in_the_reason() {
    let echo = "no customer \"Jane Doe\" at /hooks with plan gold";
    let (outcome, host, _) = outcome(says(422, echo), PATIENT).await;
    let reason =
        format!("{host} answered 422, which is final unless the route's `retry_on` names it");
    assert_eq!(outcome, Err(HandlerError::permanent(reason)));
}

#[tokio::test]
async fn a_route_that_quotes_keeps_an_answers_beginning_beside_the_reason() {
    let endpoint = Endpoint::always(says(422, "no customer jane doe (JANE) for this plan")).await;
    let event = with_payload("application/json", r#"{"customer":"Jane Doe"}"#);
    let route = Route::to(&endpoint, &json!({ "quote_answers": true }));
    let fault = route.attempt(&event, 1).await.expect_err("a refusal");
    assert!(!fault.to_string().contains("plan"), "{fault}");
    assert_eq!(fault.reason().quote(), Some("no … … … (…) for this plan"));
}

#[tokio::test]
async fn what_a_route_retries_on_is_tried_again() {
    let endpoint = Endpoint::start(|number| says([403, 404, 200][number], "")).await;
    let options = json!({ "retry": { "retry_on": ["403"] } });
    let (route, event) = (Route::to(&endpoint, &options), event(at(0)));
    let host = format!("127.0.0.1:{}", endpoint.port);
    assert_eq!(route.attempt(&event, 1).await, retry(format!("{host} answered 403")));
    let refused = route.attempt(&event, 2).await;
    assert!(matches!(refused, Err(HandlerError::Permanent { .. })), "{refused:?}");
    assert_eq!(route.attempt(&event, 3).await, Ok(()));
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    let (outcome, host, _) = outcome(says_with(429, "retry-after: 120\r\n", ""), PATIENT).await;
    let after = Some(Duration::from_mins(2));
    assert_eq!(
        outcome,
        Err(HandlerError::Retry { after, reason: format!("{host} answered 429").into() })
    );
}

/// What speaks something else than HTTP.
#[tokio::test]
async fn nonsense_is_no_answer() {
    let (outcome, host, _) = outcome(Act::HangUp("220 mail ESMTP\r\n".into()), PATIENT).await;
    assert_eq!(outcome, retry(format!("{host}: no answer: invalid HTTP version parsed")));
}

/// An endpoint that answers by turns is never held back.
#[tokio::test]
async fn a_flapping_endpoint_is_tried_every_time() {
    let flapping = Endpoint::start(|number| match number % 5 {
        4 => says(200, ""),
        _ => Act::HangUp(String::new()),
    });
    let endpoint = flapping.await;
    let (route, event) = (Route::to(&endpoint, &json!({})), event(at(0)));
    let mut done = 0;
    for _ in 0..25 {
        done += usize::from(route.attempt(&event, 1).await.is_ok());
    }
    assert_eq!((done, endpoint.received().len()), (5, 25));
}

/// Errors are answers: whoever answers 500 is there.
#[tokio::test]
async fn one_that_answers_errors_is_tried_every_time() {
    let endpoint = Endpoint::always(says(503, "")).await;
    let (route, event) = (Route::to(&endpoint, &json!({})), event(at(0)));
    for _ in 0..20 {
        let host = format!("127.0.0.1:{}", endpoint.port);
        assert_eq!(route.attempt(&event, 1).await, retry(format!("{host} answered 503")));
    }
    assert_eq!(endpoint.received().len(), 20);
}

/// API Gateway and its like answer for a server that hangs, shortly before we would have
/// given up ourselves.
#[tokio::test]
async fn a_gateway_that_answers_late_for_a_server_that_hangs_is_a_dead_endpoint() {
    let late = Act::Late(Duration::from_millis(600), head(504, "", 0));
    let endpoint = Endpoint::always(late).await;
    let (route, event) = (Route::to(&endpoint, &json!({})), event(at(0)));
    let within = Duration::from_secs(1);
    for _ in 0..6 {
        assert!(route.attempt_within(&event, 1, within).await.is_err());
    }
    assert_eq!(endpoint.received().len(), 5);
}

#[tokio::test]
async fn a_dead_endpoint_is_left_alone_then_probed_then_heard_again() {
    let endpoint = Endpoint::start(|number| match number {
        0..6 => Act::HangUp(String::new()),
        _ => says(200, ""),
    });
    let endpoint = endpoint.await;
    let (route, event) = (Route::to(&endpoint, &json!({})), event(at(0)));
    let tried = || endpoint.received().len();
    for _ in 0..9 {
        assert!(route.attempt(&event, 1).await.is_err());
    }
    assert_eq!(tried(), 5);
    route.set_clock(29);
    let wait = Duration::from_secs(1);
    let reason =
        format!("not tried: 127.0.0.1:{} has not answered 5 times in a row", endpoint.port);
    let reason = reason.into();
    assert_eq!(route.attempt(&event, 1).await, Err(HandlerError::NotTried { wait, reason }));
    // The probe that fails, and twice the wait.
    route.set_clock(30);
    assert!(route.attempt(&event, 1).await.is_err());
    assert_eq!(tried(), 6);
    route.set_clock(89);
    assert!(route.attempt(&event, 1).await.is_err());
    assert_eq!(tried(), 6);
    route.set_clock(90);
    assert_eq!(route.attempt(&event, 1).await, Ok(()));
    assert_eq!(route.attempt(&event, 1).await, Ok(()));
    assert_eq!(tried(), 8);
}

/// Nothing listens there any more.
#[tokio::test]
async fn a_refused_connection_is_tried_again() {
    let endpoint = Endpoint::always(says(200, "")).await;
    let (port, url) = (endpoint.port, endpoint.url());
    drop(endpoint);
    // The port is closed with the task, which ends at its next turn.
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let outcome = Route::to_url(&url, &json!({})).attempt(&event(at(0)), 1).await;
    let reason = format!("127.0.0.1:{port}: no connection: Connection refused (os error 111)");
    assert_eq!(outcome, retry(reason));
}
