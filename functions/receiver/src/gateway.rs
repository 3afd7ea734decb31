//! API Gateway's event (HTTP API, payload 2.0) as a request, and a reply as its
//! answer.
//!
//! `lambda_http`'s own conversion (1.3.2) builds a URI from the Host header and
//! the query and panics when they do not make one, as it does when a body is not
//! the base64 it is said to be. Here anybody may send anything, and a provider's
//! signature covers the raw bytes, so only what is needed is read, and nothing is
//! required of it. What is `null` is missing. Whatever a function is called with
//! gets an answer, since an invocation that fails says nothing to anybody: the test
//! event of the Lambda console is a malformed request, and the payload format 1.0,
//! which lacks the raw query, is a fault of the deployment's.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use inbox_core::provider::Reply;
use inbox_core::request::Request;
use lambda_http::Body;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use serde::Deserialize;

use crate::response::Refusal;

/// The parts of the event that matter.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayEvent {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    raw_path: Option<String>,
    #[serde(default)]
    raw_query_string: Option<String>,
    #[serde(default)]
    headers: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
    #[serde(default)]
    request_context: Option<RequestContext>,
    /// Of format 1.0, which a REST API sends without saying its version.
    #[serde(default)]
    http_method: Option<String>,
}

#[derive(Deserialize)]
struct RequestContext {
    #[serde(default)]
    http: Option<Http>,
}

#[derive(Deserialize)]
struct Http {
    #[serde(default)]
    method: Option<String>,
}

/// An integration that was made or changed by other means than the module has this
/// format where nothing else is said.
const OLD_FORMAT: &str = "1.0";

impl GatewayEvent {
    /// The path and the request of an invocation's payload, whatever it is.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] when it is no event of API Gateway, and those of
    /// [`Self::into_request`].
    pub fn read(payload: &str) -> Result<(String, Request), Refusal> {
        let event: Self = serde_json::from_str(payload).map_err(|_| Refusal::Malformed)?;
        event.into_request()
    }

    /// The path and the request, body bytes as the provider sent them.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] when there is no method, or the body is said to be
    /// base64 and is not; [`Refusal::OldFormat`].
    pub fn into_request(self) -> Result<(String, Request), Refusal> {
        if self.version.as_deref() == Some(OLD_FORMAT) || self.http_method.is_some() {
            return Err(Refusal::OldFormat);
        }
        let body = match self.body {
            None => Bytes::new(),
            Some(text) if self.is_base64_encoded == Some(true) => {
                STANDARD.decode(text).map_err(|_| Refusal::Malformed)?.into()
            }
            Some(text) => Bytes::from(text),
        };
        let headers: HeaderMap = self
            .headers
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| {
                let value = value?;
                // A header that HTTP does not allow cannot be one we look for.
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
            })
            .collect();
        let http = self.request_context.and_then(|context| context.http);
        let method = http.and_then(|http| http.method).ok_or(Refusal::Malformed)?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::Malformed)?;
        let query = self.raw_query_string.unwrap_or_default();
        Ok((self.raw_path.unwrap_or_default(), Request::new(method, query, headers, body)))
    }
}

/// The answer in API Gateway's form.
#[must_use]
pub fn to_gateway(reply: Reply) -> ApiGatewayV2httpResponse {
    let mut answer = ApiGatewayV2httpResponse::default();
    answer.status_code = i64::from(reply.status.as_u16());
    answer.headers = reply.headers;
    answer.body = Some(Body::Text(reply.body));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(String, Request), String> {
        GatewayEvent::read(json).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn the_body_is_decoded_once_and_otherwise_left_alone() {
        let (path, request) = read(
            r#"{"rawPath":"/webhooks/stripe","rawQueryString":"a=%27&a=2","body":"eyJhIjoxfQ==",
                "isBase64Encoded":true,"headers":{"Stripe-Signature":"t=1"},
                "requestContext":{"http":{"method":"POST"}}}"#,
        )
        .unwrap();
        assert_eq!(path, "/webhooks/stripe");
        assert_eq!(request.raw_query(), "a=%27&a=2");
        assert_eq!(request.body(), &br#"{"a":1}"#[..]);
        assert_eq!(request.header("stripe-signature").as_deref(), Some("t=1"));
    }

    #[test]
    fn strange_hosts_headers_and_queries_are_no_reason_to_fail() {
        let (_, request) = read(
            r#"{"rawPath":"/web hooks/ü","rawQueryString":"<>|\"é","headers":{"host":"no host ",
                "bad name":"x","x-name":"Zoë","x-line":"a\nb"},
                "requestContext":{"http":{"method":"POST"}}}"#,
        )
        .unwrap();
        assert_eq!(request.header("x-name").as_deref(), Some("Zoë"));
        assert_eq!(request.header("x-line"), None);
        assert!(request.body().is_empty());
    }

    #[test]
    fn a_body_that_is_not_base64_is_refused() {
        let json =
            r#"{"body":"***","isBase64Encoded":true,"requestContext":{"http":{"method":"POST"}}}"#;
        assert_eq!(read(json).unwrap_err(), "malformed_request");
    }

    #[test]
    fn null_members_read_as_missing_ones() {
        let (path, request) = read(
            r#"{"version":null,"rawPath":null,"rawQueryString":null,"headers":null,"body":null,
                "isBase64Encoded":null,"requestContext":{"http":{"method":"POST"}}}"#,
        )
        .unwrap();
        assert_eq!((path.as_str(), request.raw_query()), ("", ""));
        assert!(request.headers().is_empty() && request.body().is_empty());
        let (_, request) = read(
            r#"{"headers":{"x-a":null,"x-b":"b"},"requestContext":{"http":{"method":"POST"}}}"#,
        )
        .unwrap();
        assert_eq!((request.header("x-a"), request.header("x-b").as_deref()), (None, Some("b")));
        for without_method in [
            r#"{"requestContext":null}"#,
            r#"{"requestContext":{"http":null}}"#,
            r#"{"requestContext":{"http":{"method":null}}}"#,
        ] {
            assert_eq!(read(without_method).unwrap_err(), "malformed_request");
        }
    }

    /// Published by AWS; `tests/aws_events/README.md` says where.
    #[test]
    fn every_event_that_aws_may_send_has_an_answer() {
        let sample = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/aws_events");
            std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap()
        };
        let (path, request) = read(&sample("api_gateway_2_0")).unwrap();
        assert_eq!(path, "/default/nodejs-apig-function-1G3XMPLZXVXYI");
        assert_eq!((request.method(), request.headers().len()), (&Method::GET, 7));
        // With its version, as an HTTP API says it, and without, as a REST API does.
        let without = sample("api_gateway_1_0");
        let with = without.replacen('{', r#"{"version":"1.0","#, 1);
        for old in [without, with] {
            let refusal = GatewayEvent::read(&old).unwrap_err();
            assert_eq!(refusal.to_reply().status, 503);
            assert!(refusal.fault().contains("payload_format_version"), "{}", refusal.fault());
        }
        for name in ["lambda_console_hello_world", "sqs", "scheduled"] {
            let refusal = GatewayEvent::read(&sample(name)).unwrap_err();
            assert_eq!(refusal.to_string(), "malformed_request", "{name}");
            assert_eq!(refusal.to_reply().status, 400, "{name}");
        }
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        for no_event in ["null", "1", "\"text\"", "[]", "[null]", "{\"headers\":[]}", &deep] {
            assert_eq!(read(no_event).unwrap_err(), "malformed_request");
        }
    }
}
