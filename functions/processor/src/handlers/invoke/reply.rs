//! What a called function's reply means.
//!
//! A function that ends without error has done its work, whatever JSON it returns,
//! unless that names an `outcome`. What is no JSON may be the half of an outcome. What
//! it says is quoted, never repeated: it may hold the payload.

use std::time::Duration;

use inbox_core::event::Event;
use inbox_core::handler::HandlerError;
use serde::Deserialize;
use serde_json::Value;

use super::super::quote;

/// <https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html>
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Failure {
    error_type: String,
    error_message: String,
}

/// Whether Lambda ended the function because its own time limit was over.
pub(super) fn is_over_time(function_error: Option<&str>, reply: &[u8]) -> bool {
    let failure: Failure = serde_json::from_slice(reply).unwrap_or_default();
    function_error.is_some()
        && (failure.error_type == "Sandbox.Timedout"
            || failure.error_message.contains("Task timed out after"))
}

/// Reads a reply. `function_error` is Lambda's word for a function that failed.
pub(super) fn read(
    function_error: Option<&str>,
    reply: &[u8],
    event: &Event,
) -> Result<(), HandlerError> {
    let said = |text: &str| quote(text.as_bytes(), event);
    if function_error.is_some() {
        let Failure { error_type, error_message } =
            serde_json::from_slice(reply).unwrap_or_default();
        let words = [error_type, error_message].map(|text| said(&text));
        return Err(HandlerError::retry(because("the function failed", &words)));
    }
    if reply.is_empty() {
        return Ok(());
    }
    let Ok(reply) = serde_json::from_slice::<Value>(reply) else {
        return Err(HandlerError::retry("the function's reply is not JSON"));
    };
    let Some(outcome) = reply.get("outcome").filter(|outcome| !outcome.is_null()) else {
        return Ok(());
    };
    let reason = [said(reply["reason"].as_str().unwrap_or_default())];
    match outcome.as_str() {
        Some("done") => Ok(()),
        Some("retry") => {
            let seconds = reply["after_seconds"].as_f64();
            let after = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let reason = because("the function asks for another attempt", &reason);
            Err(HandlerError::Retry { after, reason })
        }
        Some("permanent") => {
            Err(HandlerError::permanent(because("the function gives the event up", &reason)))
        }
        _ => {
            let outcome = said(&outcome.to_string());
            let reason =
                format!("the function's outcome is not done, retry or permanent: {outcome}");
            Err(HandlerError::retry(reason))
        }
    }
}

fn because(what: &str, words: &[String]) -> String {
    let words = words.iter().map(String::as_str).filter(|word| !word.is_empty());
    [what].into_iter().chain(words).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::event;
    use super::*;

    fn replied(reply: &str) -> Result<(), HandlerError> {
        read(None, reply.as_bytes(), &event(r#"{"name":"Jane"}"#))
    }

    fn failed(reply: &str) -> Result<(), HandlerError> {
        read(Some("Unhandled"), reply.as_bytes(), &event(r#"{"name":"Jane"}"#))
    }

    #[test]
    fn a_function_that_ends_has_done_its_work_whatever_it_returns() {
        for reply in [
            "",
            "null",
            "true",
            "\"retry\"",
            "[]",
            "{}",
            r#"{"statusCode":500,"body":"oops"}"#,
            r#"{"outcome":null}"#,
            r#"{"outcome":"done","reason":"x"}"#,
        ] {
            assert_eq!(replied(reply), Ok(()), "{reply}");
        }
    }

    #[test]
    fn half_a_reply_is_not_taken_for_success() {
        for reply in ["nu", r#"{"outcome":"ret"#, "\u{0}"] {
            let not_json = "the function's reply is not JSON";
            assert_eq!(replied(reply), Err(HandlerError::retry(not_json)), "{reply}");
        }
    }

    #[test]
    fn it_can_ask_for_another_attempt() {
        let retry = |after: Option<Duration>, reason: &str| {
            Err(HandlerError::Retry { after, reason: reason.into() })
        };
        let plain = "the function asks for another attempt";
        assert_eq!(replied(r#"{"outcome":"retry"}"#), retry(None, plain));
        let reply = r#"{"outcome":"retry","reason":"no stock for Jane","after_seconds":90}"#;
        let reason = "the function asks for another attempt: no stock for …";
        assert_eq!(replied(reply), retry(Some(Duration::from_secs(90)), reason));
        let reply = r#"{"outcome":"retry","after_seconds":0.5}"#;
        assert_eq!(replied(reply), retry(Some(Duration::from_millis(500)), plain));
        for odd in ["-1", "1e99", "\"60\"", "null"] {
            let reply = format!(r#"{{"outcome":"retry","after_seconds":{odd}}}"#);
            assert_eq!(replied(&reply), retry(None, plain), "{odd}");
        }
    }

    #[test]
    fn it_can_give_the_event_up() {
        let reply = r#"{"outcome":"permanent","reason":"Jane is no customer"}"#;
        let reason = "the function gives the event up: … is no customer";
        assert_eq!(replied(reply), Err(HandlerError::permanent(reason)));
        let plain = Err(HandlerError::permanent("the function gives the event up"));
        assert_eq!(replied(r#"{"outcome":"permanent"}"#), plain);
        assert_eq!(replied(r#"{"outcome":"permanent","reason":{"a":1}}"#), plain);
    }

    #[test]
    fn an_outcome_that_nobody_knows_is_not_taken_for_success() {
        let not_known = |outcome: &str| {
            let reason = "the function's outcome is not done, retry or permanent";
            Err(HandlerError::retry(format!("{reason}: {outcome}")))
        };
        assert_eq!(replied(r#"{"outcome":"Retry"}"#), not_known("\"Retry\""));
        assert_eq!(replied(r#"{"outcome":1}"#), not_known("1"));
        assert_eq!(replied(r#"{"outcome":{"of":"Jane"}}"#), not_known("{\"of\":\"…\"}"));
    }

    #[test]
    fn a_function_that_fails_is_tried_again_and_its_words_are_quoted() {
        let retry = |reason: &str| Err(HandlerError::retry(reason));
        let reply = r#"{"errorMessage":"'Jane'","errorType":"KeyError","stackTrace":["x"]}"#;
        assert_eq!(failed(reply), retry("the function failed: KeyError: '…'"));
        let reply =
            r#"{"errorMessage":"2026-01-01T00:00:00Z 1 Task timed out after 3.00 seconds"}"#;
        let reason =
            "the function failed: 2026-01-01T00:00:00Z 1 Task timed out after 3.00 seconds";
        assert_eq!(failed(reply), retry(reason));
        for reply in ["", "null", "\"text\"", "not JSON", r#"{"errorType":1}"#] {
            assert_eq!(failed(reply), retry("the function failed"), "{reply}");
        }
        // Even one that says it is done.
        assert_eq!(failed(r#"{"outcome":"done"}"#), retry("the function failed"));
    }

    #[test]
    fn only_lambda_itself_says_that_a_functions_time_is_over() {
        let over =
            br#"{"errorMessage":"2026-01-01T00:00:00Z 1 Task timed out after 3.00 seconds"}"#;
        assert!(is_over_time(Some("Unhandled"), over));
        assert!(is_over_time(Some("Unhandled"), br#"{"errorType":"Sandbox.Timedout"}"#));
        assert!(!is_over_time(None, over));
        assert!(!is_over_time(Some("Unhandled"), br#"{"errorMessage":"no such customer"}"#));
        assert!(!is_over_time(Some("Unhandled"), b"not JSON"));
    }
}
