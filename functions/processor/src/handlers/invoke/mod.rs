//! `invoke`: calls a Lambda function, in whatever language, and waits for its reply.
//!
//! ```json
//! { "id": "billing", "match": "stripe:*", "handler": "invoke", "with": { "function": "billing:live" } }
//! ```
//!
//! `function` is a name or an ARN, with an alias or a version where wanted. The
//! processor's role needs `lambda:InvokeFunction` on just that. An ARN may be of another
//! region. The called function gets the `CloudEvent`:
//!
//! ```text
//! ends without error        done           whatever JSON it returns, or nothing
//! {"outcome":"retry"}       tried again    after "after_seconds", if given
//! {"outcome":"permanent"}   given up
//! raises, times out, dies   tried again
//! ```
//!
//! Its own words (`reason`, an error's message) are kept only where the route has
//! `quote_answers` ([`super::quote`]).
//!
//! The same event may come again: an answer can be lost, and an operator can replay.
//! The event's `source` and `id` together are the same every time, and what to
//! deduplicate by. A function behind two routes gets an event from each; give each
//! route an alias of its own where that matters.
//!
//! One that does not answer within the run's time, or not within its own limit, several
//! times in a row, is left alone for a while ([`super::breaker`]).
//!
//! The SDK repeats nothing here: an attempt that the ledger does not count would be
//! one too many for a function that fails slowly.

mod reply;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::config::{self, StalledStreamProtectionConfig};
use aws_sdk_lambda::primitives::Blob;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use inbox_aws::S3PayloadStore;
use inbox_core::event::Event;
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use serde_json::Value;

use super::breaker::Guard;
use super::claim_check::fitting;
use super::fault::fault;
use super::{Options, Quotes, Resources};

/// 6 MB, the most that a function can be called with when its reply is waited for.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Kept free of the run's time, so that the reason is the call's own.
const TO_SPARE: Duration = Duration::from_millis(250);
/// Lambda could not read the event, or found it too large.
const HOPELESS: [&str; 3] = [
    "InvalidRequestContentException",
    "RequestTooLargeException",
    "SerializedRequestEntityTooLargeException",
];

struct Invoke {
    client: Client,
    function: String,
    guard: Guard,
    quotes: Quotes,
    payloads: Option<S3PayloadStore>,
}

pub(super) fn build(resources: &Resources, with: &Value) -> Result<Arc<dyn Handler>, Vec<String>> {
    let mut options = Options::of(with);
    let function = options.required_text("function", "billing:live");
    if !function.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_$".contains(&b)) {
        options.problem(format_args!("{function:?} is neither a function's name nor its ARN"));
    }
    let quotes = Quotes::read(&mut options);
    options.finish()?;
    Ok(Arc::new(Invoke {
        client: Client::new(&resources.aws_for(function)),
        function: function.to_owned(),
        guard: Guard::new(format!("function {function}"), Arc::clone(&resources.clock)),
        quotes,
        payloads: resources.payloads.clone(),
    }))
}

impl Handler for Invoke {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        async move {
            let payloads = self.payloads.as_ref();
            let payload = fitting(event, run, payloads, PAYLOAD_BYTES_MAX, Some).await?;
            let admission = self.guard.admit(run)?;
            let called = self
                .client
                .invoke()
                .function_name(&self.function)
                .payload(Blob::new(Vec::from(payload)))
                .customize()
                .config_override(once_within(run.timeout))
                .send()
                .await;
            // One that ran into its own time limit has not answered either.
            let is_hanging = called.as_ref().is_ok_and(|answer| {
                let reply = answer.payload().map(Blob::as_ref).unwrap_or_default();
                reply::is_over_time(answer.function_error(), reply)
            });
            if is_hanging {
                self.guard.silent(run, admission, "it took longer than its own time limit");
            } else {
                self.guard.hear(run, admission, &called);
            }
            let answer =
                called.map_err(|error| fault("Invoke", &error, event, self.quotes, &HOPELESS))?;
            let reply = answer.payload().map(Blob::as_ref).unwrap_or_default();
            reply::read(answer.function_error(), reply, event, self.quotes)?;
            Ok(Handled::Done)
        }
        .boxed()
    }

    /// The request's body is a copy of its own.
    fn copied_bytes(&self, envelope_bytes: usize) -> usize {
        if envelope_bytes <= PAYLOAD_BYTES_MAX { envelope_bytes } else { 0 }
    }
}

/// One try, as long as the run may take: functions are slow where tables are not.
fn once_within(timeout: Duration) -> config::Builder {
    let limit = timeout.saturating_sub(TO_SPARE).max(TO_SPARE);
    let timeouts =
        TimeoutConfig::builder().operation_timeout(limit).operation_attempt_timeout(limit).build();
    config::Builder::new()
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        // A function that thinks is no stalled stream.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::resources;
    use super::*;

    fn problems(with: &Value) -> Vec<String> {
        build(&resources(), with).err().unwrap_or_default()
    }

    #[test]
    fn a_function_is_needed_by_name_or_arn() {
        assert_eq!(problems(&json!({})), ["needs `function`, such as \"billing:live\""]);
        let arn = "arn:aws:lambda:eu-central-1:123456789012:function:billing:$LATEST";
        for function in ["billing", "billing:live", "123456789012:function:a-b_c", arn] {
            assert_eq!(problems(&json!({ "function": function })), Vec::<String>::new());
        }
        assert_eq!(
            problems(&json!({ "function": "https://example.com", "fn": 1 })),
            [
                "\"https://example.com\" is neither a function's name nor its ARN",
                "has no option `fn`; there are `function`, `quote_answers`",
            ]
        );
    }
}
