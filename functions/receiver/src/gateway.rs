//! API Gateway's event (HTTP API, payload 2.0) as a request, and a reply as its
//! answer.
//!
//! `lambda_http`'s own conversion (1.3.2) builds a URI from the Host header and
//! the query and panics when they do not make one, as it does when a body is not
//! the base64 it is said to be. Here anybody may send anything, and a provider's
//! signature covers the raw bytes, so only what is needed is read, and nothing is
//! required of it.
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
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    request_context: RequestContext,
}

#[derive(Deserialize)]
struct RequestContext {
    http: Http,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

impl GatewayEvent {
    /// The path and the request, body bytes as the provider sent them.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] when the body is said to be base64 and is not.
    pub fn into_request(self) -> Result<(String, Request), Refusal> {
        let body = match self.body {
            None => Bytes::new(),
            Some(text) if self.is_base64_encoded => {
                STANDARD.decode(text).map_err(|_| Refusal::Malformed)?.into()
            }
            Some(text) => Bytes::from(text),
        };
        let headers: HeaderMap = self
            .headers
            .into_iter()
            .filter_map(|(name, value)| {
                // A header that HTTP does not allow cannot be one we look for.
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
            })
            .collect();
        let method = Method::from_bytes(self.request_context.http.method.as_bytes())
            .map_err(|_| Refusal::Malformed)?;
        Ok((self.raw_path, Request::new(method, self.raw_query_string, headers, body)))
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
        serde_json::from_str::<GatewayEvent>(json)
            .unwrap()
            .into_request()
            .map_err(|refusal| refusal.to_string())
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
}
