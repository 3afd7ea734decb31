//! What a called function's reply means.
//!
//! A function that ends without error has done its work, whatever JSON it returns,
//! unless that names an `outcome`. What is no JSON may be the half of an outcome.
//!
//! What it says in its own words may hold the payload, and is a quote. Of a failure the
//! type is told where it is one of Lambda's own, since those are a fixed list.

use std::time::Duration;

use inbox_core::event::Event;
use inbox_core::handler::{HandlerError, Reason};
use serde::Deserialize;
use serde_json::Value;

use super::super::Quotes;

/// How Lambda itself says that a function did not end as it should, and what that means.
/// <https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html>
const OF_LAMBDA: [(&str, &str); 7] = [
    ("Sandbox.Timedout", "it took longer than its own time limit"),
    ("Runtime.ExitError", "its process ended"),
    ("Runtime.OutOfMemory", "it ran out of memory"),
    ("Runtime.ImportModuleError", "its module cannot be imported"),
    ("Runtime.HandlerNotFound", "its handler is not there"),
    ("Runtime.UserCodeSyntaxError", "its code cannot be parsed"),
    ("Function.ResponseSizeTooLarge", "its reply is too large"),
];
/// What Lambda wrote of a function's time before it had a type for that.
const TIMED_OUT: &str = "Task timed out after";

/// <https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html>
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Failure {
    error_type: String,
    error_message: String,
}

impl Failure {
    fn class(&self) -> Option<&'static str> {
        let known = OF_LAMBDA.iter().find(|(name, _)| *name == self.error_type);
        let timed_out = self.error_message.contains(TIMED_OUT).then_some(OF_LAMBDA[0].1);
        known.map(|(_, meaning)| *meaning).or(timed_out)
    }
}

/// Whether Lambda ended the function because its own time limit was over.
pub(super) fn is_over_time(function_error: Option<&str>, reply: &[u8]) -> bool {
    let failure: Failure = serde_json::from_slice(reply).unwrap_or_default();
    function_error.is_some() && failure.class() == Some(OF_LAMBDA[0].1)
}

/// Reads a reply. `function_error` is Lambda's word for a function that failed.
pub(super) fn read(
    function_error: Option<&str>,
    reply: &[u8],
    event: &Event,
    quotes: Quotes,
) -> Result<(), HandlerError> {
    let quoting =
        |text: &str, said: &str| Reason::from(text).quoting(quotes.of(said.as_bytes(), event));
    if function_error.is_some() {
        let failure: Failure = serde_json::from_slice(reply).unwrap_or_default();
        let text = match failure.class() {
            Some(class) => format!("the function failed: {class}"),
            None => "the function failed".to_owned(),
        };
        let words = [failure.error_type, failure.error_message];
        let words: Vec<&str> = words.iter().map(|it| &**it).filter(|it| !it.is_empty()).collect();
        return Err(HandlerError::retry(quoting(&text, &words.join(": "))));
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
    let said = reply["reason"].as_str().unwrap_or_default();
    match outcome.as_str() {
        Some("done") => Ok(()),
        Some("retry") => {
            let seconds = reply["after_seconds"].as_f64();
            let after = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let reason = quoting("the function asks for another attempt", said);
            Err(HandlerError::Retry { after, reason })
        }
        Some("permanent") => {
            Err(HandlerError::permanent(quoting("the function gives the event up", said)))
        }
        _ => {
            let text = "the function's outcome is not done, retry or permanent";
            Err(HandlerError::retry(quoting(text, &outcome.to_string())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::event;
    use super::*;

    fn replied(reply: &str) -> Result<(), HandlerError> {
        read(None, reply.as_bytes(), &event(r#"{"name":"Jane"}"#), Quotes::default())
    }

    fn failed(reply: &str) -> Result<(), HandlerError> {
        read(Some("Unhandled"), reply.as_bytes(), &event(r#"{"name":"Jane"}"#), Quotes::default())
    }

    /// What is kept of it where the route quotes.
    fn quoted(function_error: Option<&str>, reply: &str) -> Option<String> {
        let event = event(r#"{"name":"Jane"}"#);
        let outcome = read(function_error, reply.as_bytes(), &event, Quotes::KEPT);
        outcome.expect_err("a failure").reason().quote().map(str::to_owned)
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
        assert_eq!(replied(reply), retry(Some(Duration::from_secs(90)), plain));
        assert_eq!(quoted(None, reply).as_deref(), Some("no stock for …"));
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
        let plain = Err(HandlerError::permanent("the function gives the event up"));
        assert_eq!(replied(reply), plain);
        assert_eq!(quoted(None, reply).as_deref(), Some("… is no customer"));
        assert_eq!(replied(r#"{"outcome":"permanent"}"#), plain);
        assert_eq!(replied(r#"{"outcome":"permanent","reason":{"a":1}}"#), plain);
    }

    #[test]
    fn an_outcome_that_nobody_knows_is_not_taken_for_success() {
        let reason = "the function's outcome is not done, retry or permanent";
        for (reply, quote) in [
            (r#"{"outcome":"Retry"}"#, "\"Retry\""),
            (r#"{"outcome":1}"#, "1"),
            (r#"{"outcome":{"of":"Jane"}}"#, "{\"of\":\"…\"}"),
        ] {
            assert_eq!(replied(reply), Err(HandlerError::retry(reason)));
            assert_eq!(quoted(None, reply).as_deref(), Some(quote));
        }
    }

    #[test]
    fn a_function_that_fails_is_tried_again_and_its_words_are_not_told() {
        let retry = |reason: &str| Err(HandlerError::retry(reason));
        let reply = r#"{"errorMessage":"'Jane'","errorType":"KeyError","stackTrace":["x"]}"#;
        assert_eq!(failed(reply), retry("the function failed"));
        assert_eq!(quoted(Some("Unhandled"), reply).as_deref(), Some("KeyError: '…'"));
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

    #[test]
    fn what_lambda_itself_says_is_told() {
        let late = "the function failed: it took longer than its own time limit";
        for (reply, reason) in [
            (r#"{"errorMessage":"2026-01-01 1 Task timed out after 3.00 seconds"}"#, late),
            (r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 1"}"#, late),
            (r#"{"errorType":"Runtime.ExitError"}"#, "the function failed: its process ended"),
        ] {
            assert_eq!(failed(reply), Err(HandlerError::retry(reason)), "{reply}");
        }
    }
}
