//! Turns SDK errors into one line that is fit for logs.
//!
//! The SDK's own `Debug` and `DisplayErrorContext` print the raw response, and a
//! refused condition's response holds the whole item, payload included. Only the
//! operation, the kind of failure and AWS's code are kept, and the message where the
//! code says that it is about permission, pace or a missing resource: other messages
//! may repeat the request that AWS could not make sense of.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// Pieces of the codes whose messages name resources, roles and limits, and nothing of
/// what was sent.
const CODES_WITH_A_MESSAGE: [&str; 11] = [
    "AccessDenied",
    "Authoriz",
    "Expired",
    "Limit",
    "NonExistent",
    "DoesNotExist",
    "NotFound",
    "NoSuch",
    "Throttl",
    "Throughput",
    "TooMany",
];

/// `PutItem: ThrottlingException: Rate exceeded`.
pub fn describe<E: ProvideErrorMetadata>(operation: &str, error: &SdkError<E>) -> String {
    match error {
        SdkError::TimeoutError(_) => format!("{operation}: no answer within the time limit"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            format!("{operation}: no connection within the time limit")
        }
        SdkError::DispatchFailure(failure) => {
            // Connector errors are about sockets and TLS; credentials errors
            // name the chain that was tried. Neither holds content.
            let cause =
                failure.as_connector_error().map(|error| root_cause(error)).unwrap_or_default();
            // The chain that was tried for credentials has a line for each link.
            let first_line = cause.lines().next().unwrap_or_default();
            format!("{operation}: request not sent: {first_line}")
        }
        SdkError::ResponseError(_) => format!("{operation}: answer not understood"),
        SdkError::ConstructionFailure(_) => format!("{operation}: request could not be built"),
        _ => {
            let Some(code) = error.code() else {
                // A proxy's page, say. It may quote the request, so only its
                // status is kept.
                let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
                return format!("{operation}: status {status} in no form of AWS's");
            };
            let is_kept = CODES_WITH_A_MESSAGE.iter().any(|piece| code.contains(piece));
            match error.message().filter(|_| is_kept) {
                Some(message) => format!("{operation}: {code}: {message}"),
                None => format!("{operation}: {code}"),
            }
        }
    }
}

fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::http::HttpResponse;
    use aws_sdk_s3::error::ErrorMetadata;
    use aws_sdk_s3::operation::put_object::PutObjectError;
    use aws_sdk_s3::primitives::SdkBody;

    use super::*;

    fn described(code: &str, message: &str) -> String {
        let error = ErrorMetadata::builder().code(code).message(message).build();
        let status = 400.try_into().expect("a status");
        let answer = HttpResponse::new(status, SdkBody::from("not looked at"));
        describe("PutObject", &SdkError::service_error(PutObjectError::generic(error), answer))
    }

    #[test]
    fn a_message_is_kept_where_it_is_about_permission_pace_or_what_is_not_there() {
        for code in ["AccessDeniedException", "ThrottlingException", "ResourceNotFoundException"] {
            assert_eq!(described(code, "as AWS says"), format!("PutObject: {code}: as AWS says"));
        }
    }

    #[test]
    fn a_message_that_may_repeat_the_request_is_not() {
        for code in
            ["ValidationException", "InvalidParameterValue", "SerializationException", "Odd"]
        {
            assert_eq!(described(code, "cannot parse Jane"), format!("PutObject: {code}"));
        }
    }
}
