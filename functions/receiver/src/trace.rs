//! The trace context that an event carries from request through queue to handler.
//!
//! A trace context says whether the trace is recorded, and whoever reads it
//! follows: one that is made up costs every traced subscriber, or hides from all of
//! them what one would have recorded. So the sender's decision is passed on, and
//! where nobody has decided there is no trace context. API Gateway adds
//! `X-Amzn-Trace-Id` to every request, and no decision to it.

use inbox_core::request::Request;
use inbox_core::signature::sha256_hex;

/// The request's W3C trace context, or one made of an `X-Amzn-Trace-Id` that says
/// whether it is sampled; `None` without either.
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

/// `Root=1-{8 hex}-{24 hex}` holds the same 32 digits as a W3C trace id. Where there
/// is no span yet, its id is made of the trace's. `Sampled=?` asks for a decision.
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
fn from_x_ray(text: &str) -> Option<String> {
    let field = |name: &str| text.split(';').find_map(|part| part.trim().strip_prefix(name));
    let flags = match field("Sampled=")? {
        "1" => "01",
        "0" => "00",
        _ => return None,
    };
    let trace_id = field("Root=1-")?.replace('-', "");
    let made = || sha256_hex(&[trace_id.as_bytes()])[..16].to_owned();
    let span_id = field("Parent=").map_or_else(made, str::to_owned);
    let traceparent = format!("00-{trace_id}-{span_id}-{flags}");
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
    fn a_trace_of_x_ray_goes_on_as_it_was_decided() {
        let root = "Root=1-67891233-abcdef012345678912345678";
        let made = |flags| format!("00-67891233abcdef012345678912345678-d7d2682fabddd07c-{flags}");
        let read = |text: String| read("x-amzn-trace-id", &text);
        assert_eq!(read(format!("Self=1-x;{root};Sampled=1")), Some(made("01")));
        assert_eq!(read(format!("{root}; Sampled=0")), Some(made("00")));
        assert_eq!(
            read(format!("{root};Parent=53995c3f42cd8ad8;Sampled=1")).as_deref(),
            Some("00-67891233abcdef012345678912345678-53995c3f42cd8ad8-01")
        );
        assert_eq!(read("Root=1-zzz;Sampled=1".into()), None);
        assert_eq!(read(format!("{root};Parent=zz;Sampled=1")), None);
    }

    #[test]
    fn where_nothing_was_decided_there_is_no_trace_context() {
        // As API Gateway adds it to every request of an HTTP API.
        for undecided in ["", ";Sampled=?", ";Sampled=", ";Sampled=2"] {
            let sent = format!("Root=1-67891233-abcdef012345678912345678{undecided}");
            assert_eq!(read("x-amzn-trace-id", &sent), None, "{sent}");
        }
    }
}
