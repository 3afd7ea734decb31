//! Turns SDK errors into one line that is fit for logs.
//!
//! The SDK's own `Debug` and `DisplayErrorContext` print the raw response, and a
//! refused condition's response holds the whole item, payload included. Only the
//! operation, the kind of failure and AWS's code and message are kept.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

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
            let message = error.message().unwrap_or_default();
            format!("{operation}: {code}: {message}")
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
