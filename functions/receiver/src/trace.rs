//! The trace id that an event carries from request through queue to handler.

use inbox_core::request::Request;
use inbox_core::signature::sha256_hex;

/// The request's W3C trace context, or one made of API Gateway's
/// `X-Amzn-Trace-Id`; `None` without either.
pub(crate) fn traceparent<State>(request: &Request<State>) -> Option<String> {
    let sent = request.header("traceparent").filter(|text| is_traceparent(text));
    sent.map(std::borrow::Cow::into_owned)
        .or_else(|| from_x_ray(&request.header("x-amzn-trace-id")?))
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>, version 00.
fn is_traceparent(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [2, 32, 16, 2]
        && text.starts_with("00-")
        && text.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// `Root=1-{8 hex}-{24 hex}` holds the same 32 digits as a W3C trace id. There
/// is no span yet, so its id is made of the trace's.
fn from_x_ray(text: &str) -> Option<String> {
    let root = text.split(';').find_map(|part| part.trim().strip_prefix("Root=1-"))?;
    let trace_id = root.replace('-', "");
    let span_id = &sha256_hex(&[trace_id.as_bytes()])[..16];
    let traceparent = format!("00-{trace_id}-{span_id}-01");
    is_traceparent(&traceparent).then_some(traceparent)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    fn read(name: &'static str, value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        traceparent(&Request::new(Method::POST, String::new(), headers, Bytes::new()))
    }

    #[test]
    fn a_trace_context_is_kept_and_anything_else_ignored() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(read("traceparent", sent).as_deref(), Some(sent));
        for wrong in ["", "00-4bf9-00f0-01", &sent.to_uppercase(), &format!("{sent}-x")] {
            assert_eq!(read("traceparent", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_gateways_trace_id_becomes_a_trace_context() {
        let sent = "Self=1-x;Root=1-67891233-abcdef012345678912345678";
        assert_eq!(
            read("x-amzn-trace-id", sent).as_deref(),
            Some("00-67891233abcdef012345678912345678-d7d2682fabddd07c-01")
        );
        assert_eq!(read("x-amzn-trace-id", "Root=1-zzz"), None);
    }
}
