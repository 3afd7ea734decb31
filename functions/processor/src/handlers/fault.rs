//! What a failed AWS call means for the attempt.
//!
//! Everything is tried again but what can never pass with the same bytes: missing
//! permissions are granted, missing targets are made, throttling passes. Only the
//! handler knows which codes judge the very message.
//!
//! The code is told, which is one of AWS's list. The message beside it is a quote: it may
//! repeat the request.

use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use inbox_aws::describe;
use inbox_core::event::Event;
use inbox_core::handler::{HandlerError, Reason};

use super::Quotes;

/// Turns a failed call into the attempt's end. `hopeless` are the codes of what can
/// never pass.
pub(super) fn fault<E: ProvideErrorMetadata>(
    operation: &str,
    error: &SdkError<E>,
    event: &Event,
    quotes: Quotes,
    hopeless: &[&str],
) -> HandlerError {
    let Some(code) = error.code() else {
        return HandlerError::retry(describe(operation, error));
    };
    let message = error.message().unwrap_or_default();
    let reason = Reason::from(format!("{operation}: {code}"));
    let reason = reason.quoting(quotes.of(message.as_bytes(), event));
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

    fn answered(code: &str, message: &str, quotes: Quotes) -> HandlerError {
        let error = ErrorMetadata::builder().code(code).message(message).build();
        let status = 400.try_into().expect("a status");
        let answer =
            aws_sdk_lambda::config::http::HttpResponse::new(status, SdkBody::from("not looked at"));
        let error = SdkError::service_error(InvokeError::generic(error), answer);
        let event = event(r#"{"name":"Jane"}"#);
        fault("Invoke", &error, &event, quotes, &["InvalidRequestContentException"])
    }

    #[test]
    fn what_somebody_can_mend_is_tried_again() {
        for code in
            ["AccessDeniedException", "ResourceNotFoundException", "TooManyRequestsException"]
        {
            let said = answered(code, "User: jane may not", Quotes::default());
            assert_eq!(said, HandlerError::retry(format!("Invoke: {code}")));
        }
    }

    #[test]
    fn what_can_never_pass_is_given_up() {
        let said = answered("InvalidRequestContentException", "Jane", Quotes::default());
        assert_eq!(said, HandlerError::permanent("Invoke: InvalidRequestContentException"));
    }

    #[test]
    fn the_message_is_a_quote_without_what_it_repeats() {
        let said = answered("ValidationException", "cannot parse jane", Quotes::KEPT);
        assert_eq!(said.reason().text(), "Invoke: ValidationException");
        assert_eq!(said.reason().quote(), Some("cannot parse …"));
    }
}
