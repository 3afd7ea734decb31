//! An AWS call as the proxy sees it, and the faults it can be given.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use inbox_core::form;

use crate::microburst::Injected;

/// One request that passed the proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// `dynamodb`, `sqs`, `secretsmanager`, …; empty when it is no AWS call.
    pub service: String,
    /// The region that it was signed for; empty when it was not.
    pub region: String,
    /// `PutItem`, `SendMessage`, `PutObject`, `Invoke`, …; the path for other REST calls.
    pub operation: String,
    /// The function that made it; empty when it does not say.
    pub function: String,
    /// The SDK's id of the call: the same when it repeats it; empty elsewhere.
    pub invocation: String,
    /// The SDK's how-manieth try this is, from 1.
    pub attempt: u32,
    /// The HTTP method.
    pub method: String,
    /// The raw path and query.
    pub path: String,
    /// The request's body.
    pub body: Bytes,
    /// The status the client was given; none while under way, and for ever when
    /// the connection was closed instead.
    pub status: Option<u16>,
    /// The upstream's status; none when it was never asked or never answered.
    pub upstream_status: Option<u16>,
    /// Unique in its proxy.
    pub(crate) number: u64,
}

impl Call {
    pub(crate) fn new(parts: &Parts, body: Bytes) -> Self {
        let (service, operation) = classify(parts);
        let operation = match service.as_str() {
            // The query protocol: everything is a form in the body.
            "sns" => form_field(&body, "Action").unwrap_or(operation),
            "lambda" if operation.ends_with("/invocations") => "Invoke".to_owned(),
            _ => operation,
        };
        Self {
            service,
            region: scope(parts, 2).to_owned(),
            operation,
            function: function_of(parts),
            invocation: header(parts, "amz-sdk-invocation-id").unwrap_or_default().to_owned(),
            attempt: attempt_of(parts),
            method: parts.method.to_string(),
            path: path_and_query(parts).to_owned(),
            body,
            status: None,
            upstream_status: None,
            number: 0,
        }
    }

    /// Whether this is that operation of that service.
    #[must_use]
    pub fn is(&self, service: &str, operation: &str) -> bool {
        self.service == service && self.operation == operation
    }

    /// A field of a body that is a form: of SNS's calls, say.
    #[must_use]
    pub fn form_field(&self, name: &str) -> Option<String> {
        form_field(&self.body, name)
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The body stays out: it may hold a payload or a secret.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{} ({} bytes) -> {:?}",
            self.service,
            self.operation,
            self.body.len(),
            self.status
        )
    }
}

pub(crate) fn path_and_query(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("/", |path| path.as_str())
}

/// Functions are started with their name as the SDK's application id, which the SDK
/// tells in its user agent.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html>
fn function_of(parts: &Parts) -> String {
    let agents = parts.headers.get_all("x-amz-user-agent").iter();
    let mut words = agents.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(' '));
    words.find_map(|it| it.strip_prefix("app/")).unwrap_or_default().to_owned()
}

/// `amz-sdk-request: attempt=2; max=3`.
fn attempt_of(parts: &Parts) -> u32 {
    let words = header(parts, "amz-sdk-request").unwrap_or_default().split("; ");
    let mut attempts = words.filter_map(|word| word.strip_prefix("attempt="));
    attempts.next().and_then(|number| number.parse().ok()).unwrap_or(1)
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

/// A part of the signature's credential scope, by its place
/// (`Credential=key/date/region/service/aws4_request`).
fn scope(parts: &Parts, place: usize) -> &str {
    header(parts, "authorization")
        .and_then(|value| value.split_once("Credential="))
        .and_then(|(_, scope)| scope.split('/').nth(place))
        .unwrap_or_default()
}

/// JSON services name service and operation in `X-Amz-Target`; for the others
/// the service stands in the credential scope.
fn classify(parts: &Parts) -> (String, String) {
    if let Some((prefix, operation)) =
        header(parts, "x-amz-target").and_then(|v| v.rsplit_once('.'))
    {
        let service = match prefix {
            "AmazonSQS" => "sqs".to_owned(),
            "AWSEvents" => "events".to_owned(),
            _ => prefix.split('_').next().unwrap_or(prefix).to_ascii_lowercase(),
        };
        return (service, operation.to_owned());
    }
    let service = scope(parts, 3);
    // S3's clients name the operation in the query.
    let named = parts.uri.query().and_then(|query| query.split('&').find_map(named_operation));
    (service.to_owned(), named.unwrap_or(parts.uri.path()).to_owned())
}

fn form_field(body: &[u8], name: &str) -> Option<String> {
    form::first(body, name).map(|value| String::from_utf8_lossy(&value).into_owned())
}

fn named_operation(parameter: &str) -> Option<&str> {
    parameter.strip_prefix("x-id=")
}

/// What is to happen to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: forward and answer.
    None,
    /// Answer with this AWS error; the upstream is not asked.
    Status {
        /// HTTP status.
        status: u16,
        /// `ProvisionedThroughputExceededException`, `InternalServerError`, …
        error_type: String,
        /// The error's message.
        message: String,
    },
    /// Answer with this JSON; the upstream is not asked. A double of what the
    /// emulator lacks is made of these.
    Answer {
        /// HTTP status.
        status: u16,
        /// The body.
        body: serde_json::Value,
    },
    /// Close the connection; the upstream is not asked.
    DropBefore,
    /// Forward, wait for the upstream's answer, then close the connection: the
    /// write landed, the reply was lost.
    DropReply,
    /// Forward to the fault proxy with this fault's name, and answer as it answers: a
    /// connection that it closes is closed.
    Inject(Injected),
    /// Wait, then forward. A client that gives up in between is not forwarded.
    Delay(Duration),
    /// Forward at once, answer later: the write landed, the client still waits.
    DelayReply(Duration),
}

impl Fault {
    /// An AWS error with a type.
    #[must_use]
    pub fn status(status: u16, error_type: &str) -> Self {
        Self::Status { status, error_type: error_type.to_owned(), message: "injected".to_owned() }
    }

    /// What `DynamoDB` answers when a partition is too busy.
    #[must_use]
    pub fn throttle() -> Self {
        Self::status(400, "ProvisionedThroughputExceededException")
    }
}

/// Decides for each call, as it arrives, what happens to it.
pub type Hook = Arc<dyn Fn(&Call) -> Fault + Send + Sync>;

/// Is told of each call when it was answered, in the order of the answers.
pub type Witness = Arc<dyn Fn(&Call) + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(headers: &[(&str, &str)], path: &str) -> (String, String) {
        let mut request = http::Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        classify(&parts)
    }

    #[test]
    fn a_repeated_call_is_known_as_one() {
        let request = http::Request::builder()
            .header("amz-sdk-invocation-id", "0b0e")
            .header("amz-sdk-request", "ttl=20260101T000000Z; attempt=2; max=3");
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let call = Call::new(&parts, Bytes::new());
        assert_eq!((call.invocation.as_str(), call.attempt), ("0b0e", 2));
        let (parts, ()) = http::Request::new(()).into_parts();
        assert_eq!(Call::new(&parts, Bytes::new()).attempt, 1);
    }

    #[test]
    fn calls_that_name_their_operation_elsewhere_are_named_too() {
        let called = |service: &str, path: &str, body: &'static str| {
            let scope = format!("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/x");
            let request = http::Request::builder().uri(path).header("authorization", scope);
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            Call::new(&parts, Bytes::from_static(body.as_bytes()))
        };
        let published = called("sns", "/", "Action=Publish&TopicArn=arn%3Aaws%3Asns");
        assert!(published.is("sns", "Publish"));
        assert_eq!(published.region, "us-east-1");
        assert_eq!(published.form_field("TopicArn").as_deref(), Some("arn:aws:sns"));
        let invoked = called("lambda", "/2015-03-31/functions/billing/invocations", "{}");
        assert!(invoked.is("lambda", "Invoke"));
        let listed = called("lambda", "/2015-03-31/functions", "");
        assert!(listed.is("lambda", "/2015-03-31/functions"));
    }

    #[test]
    fn services_and_operations_are_named() {
        for (target, service, operation) in [
            ("DynamoDB_20120810.PutItem", "dynamodb", "PutItem"),
            ("AmazonSQS.SendMessage", "sqs", "SendMessage"),
            ("secretsmanager.GetSecretValue", "secretsmanager", "GetSecretValue"),
            ("AWSEvents.PutEvents", "events", "PutEvents"),
        ] {
            assert_eq!(
                classified(&[("X-Amz-Target", target)], "/"),
                (service.to_owned(), operation.to_owned())
            );
        }
        let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, …";
        let scope = scope.replace('…', "Signature=0");
        assert_eq!(
            classified(&[("authorization", &scope)], "/bucket/key?x=1"),
            ("s3".to_owned(), "/bucket/key".to_owned())
        );
        assert_eq!(
            classified(&[("authorization", &scope)], "/bucket/key?versionId=1&x-id=GetObject"),
            ("s3".to_owned(), "GetObject".to_owned())
        );
        assert_eq!(classified(&[], "/a"), (String::new(), "/a".to_owned()));
    }
}
