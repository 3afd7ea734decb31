//! What a failed AWS call means for the attempt.
//!
//! Everything is tried again but what can never pass with the same bytes: missing
//! permissions are granted, missing targets are made, throttling passes. Only the
//! handler knows which codes judge the very message.

use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use inbox_aws::describe;
use inbox_core::event::Event;
use inbox_core::handler::HandlerError;

use super::quote;

/// What AWS says of a request that it could not make sense of may repeat the
/// request.
const WORDS_OF_A_BAD_REQUEST: [&str; 5] =
    ["Invalid", "Validation", "Malformed", "Parameter", "TooLarge"];

/// Turns a failed call into the attempt's end. `hopeless` are the codes of what can
/// never pass.
pub(super) fn fault<E: ProvideErrorMetadata>(
    operation: &str,
    error: &SdkError<E>,
    event: &Event,
    hopeless: &[&str],
) -> HandlerError {
    let Some(code) = error.code() else {
        return HandlerError::retry(describe(operation, error));
    };
    let reason = if WORDS_OF_A_BAD_REQUEST.iter().any(|word| code.contains(word)) {
        let message = quote(error.message().unwrap_or_default().as_bytes(), event);
        format!("{operation}: {code}: {message}")
    } else {
        describe(operation, error)
    };
    if hopeless.contains(&code) {
        HandlerError::permanent(reason)
    } else {
        HandlerError::retry(reason)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::error::ErrorMetadata;
    use aws_sdk_lambda::operation::invoke::InvokeError;
    use aws_sdk_lambda::primitives::SdkBody;

    use super::super::testing::event;
    use super::*;

    fn answered(code: &str, message: &str) -> HandlerError {
        let error = ErrorMetadata::builder().code(code).message(message).build();
        let status = 400.try_into().expect("a status");
        let answer =
            aws_sdk_lambda::config::http::HttpResponse::new(status, SdkBody::from("not looked at"));
        let error = SdkError::service_error(InvokeError::generic(error), answer);
        fault("Invoke", &error, &event(r#"{"name":"Jane"}"#), &["InvalidRequestContentException"])
    }

    #[test]
    fn what_somebody_can_mend_is_tried_again() {
        for (code, message) in [
            (
                "AccessDeniedException",
                "User: x is not authorized to perform: lambda:InvokeFunction",
            ),
            ("ResourceNotFoundException", "Function not found: x"),
            ("TooManyRequestsException", "Rate Exceeded."),
            ("ServiceException", ""),
        ] {
            let expected = HandlerError::retry(format!("Invoke: {code}: {message}"));
            assert_eq!(answered(code, message), expected);
        }
    }

    #[test]
    fn what_can_never_pass_is_given_up_and_the_payload_is_not_repeated() {
        let said = answered("InvalidRequestContentException", "cannot parse {\"name\":\"Jane\"}");
        let quoted = "Invoke: InvalidRequestContentException: cannot parse {\"…\":\"…\"}";
        assert_eq!(said, HandlerError::permanent(quoted));
        let said = answered("InvalidParameterValueException", "no good: Jane");
        let quoted = "Invoke: InvalidParameterValueException: no good: …";
        assert_eq!(said, HandlerError::retry(quoted));
    }
}
