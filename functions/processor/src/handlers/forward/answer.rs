//! What an endpoint's answer means.
//!
//! ```text
//! 2xx                  done
//! 408 425 429 5xx      try again, not before `Retry-After`
//! 3xx                  try again: never followed, for it may lead anywhere
//! 410                  the endpoint wants no more: for good
//! any other 4xx        it will not take this one: for good
//! ```
//!
//! An answer is its head: what the endpoint decided stands in the status, whatever
//! becomes of the body. So a 2xx whose body breaks off is a delivery, since trying
//! again would be a second one.

use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::clean_text;
use inbox_core::handler::HandlerError;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};

use super::endpoint::Endpoint;
use super::retry_after::retry_after;

/// A redirect's host is shown, and no more of it.
const SHOWN_CHARACTERS: usize = 100;

/// An answer's head, and the beginning of its body where it says no.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) beginning: Vec<u8>,
    /// It took half of the time limit, or more.
    pub(super) was_slow: bool,
}

impl Answer {
    /// Whether a gateway says, after a long wait, that nobody answers behind it: API
    /// Gateway does so after 29 s.
    pub(super) fn is_silence(&self) -> bool {
        const OF_GATEWAYS: [StatusCode; 3] =
            [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        self.was_slow && OF_GATEWAYS.contains(&self.status)
    }

    /// What it means. `quoted` is the body's beginning, fit for the operator.
    pub(super) fn outcome(
        &self,
        endpoint: &Endpoint,
        quoted: &str,
        now: Timestamp,
    ) -> Result<(), HandlerError> {
        let status = self.status;
        if status.is_success() {
            return Ok(());
        }
        let mut reason = format!("{} answered {}", endpoint.shown, status.as_u16());
        if status.is_redirection() {
            reason.push_str(&self.redirect(endpoint));
            return Err(HandlerError::retry(reason));
        }
        if status == StatusCode::GONE {
            reason.push_str(", gone: the endpoint wants no more");
        }
        if !quoted.is_empty() {
            reason = format!("{reason}: {quoted}");
        }
        Err(if may_pass(status) {
            HandlerError::Retry { after: self.wait(now), reason }
        } else {
            HandlerError::Permanent { reason }
        })
    }

    fn wait(&self, now: Timestamp) -> Option<Duration> {
        retry_after(self.headers.get(RETRY_AFTER)?.to_str().ok()?, now)
    }

    fn redirect(&self, endpoint: &Endpoint) -> String {
        let location = self.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let target = location.and_then(|location| endpoint.url.join(location).ok());
        let host = target.as_ref().and_then(|target| target.host_str()).unwrap_or("nowhere");
        let host = clean_text(host, SHOWN_CHARACTERS);
        format!(", a redirect to {host}, which is not followed: change the route's `url`")
    }
}

/// Whether another attempt may end otherwise. What is no answer to a request at all
/// (1xx) may.
fn may_pass(status: StatusCode) -> bool {
    const TOO_EARLY: StatusCode = StatusCode::TOO_EARLY;
    !status.is_client_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, headers: &[(&'static str, &str)]) -> Result<(), HandlerError> {
        let endpoint = Endpoint::read("https://crm.example.com/t0ken?key=s3cret", false).unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers, beginning: Vec::new(), was_slow: false };
        let now = Timestamp::from_unix_seconds(784_111_777).unwrap();
        answer.outcome(&endpoint, "try … later", now)
    }

    fn retry(after_seconds: Option<u64>, reason: &str) -> Result<(), HandlerError> {
        let after = after_seconds.map(Duration::from_secs);
        Err(HandlerError::Retry { after, reason: reason.to_owned() })
    }

    #[test]
    fn any_2xx_is_a_delivery() {
        for status in [200, 201, 202, 204, 206, 226, 299] {
            assert_eq!(outcome(status, &[]), Ok(()), "{status}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for status in [408, 425, 429, 500, 501, 502, 503, 504, 507, 599, 101] {
            let reason = format!("crm.example.com answered {status}: try … later");
            assert_eq!(outcome(status, &[]), retry(None, &reason), "{status}");
        }
    }

    #[test]
    fn what_will_not_pass_ends_the_route() {
        for status in [400, 401, 402, 403, 404, 405, 409, 411, 413, 415, 422, 426, 431, 451, 499] {
            let reason = format!("crm.example.com answered {status}: try … later");
            assert_eq!(outcome(status, &[]), Err(HandlerError::Permanent { reason }), "{status}");
        }
        let reason = "crm.example.com answered 410, gone: the endpoint wants no more: try … later";
        assert_eq!(outcome(410, &[]), Err(HandlerError::permanent(reason)));
    }

    #[test]
    fn retry_after_is_heard_where_trying_again_makes_sense() {
        let reason = "crm.example.com answered 503: try … later";
        assert_eq!(outcome(503, &[("retry-after", "120")]), retry(Some(120), reason));
        let date = [("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")];
        assert_eq!(outcome(503, &date), retry(Some(60), reason));
        assert_eq!(outcome(503, &[("retry-after", "soon")]), retry(None, reason));
        let permanent = HandlerError::permanent("crm.example.com answered 400: try … later");
        assert_eq!(outcome(400, &[("retry-after", "120")]), Err(permanent));
    }

    #[test]
    fn a_redirect_is_not_followed_and_only_its_host_is_told() {
        let told = |status: u16, host: &str| {
            format!(
                "crm.example.com answered {status}, a redirect to {host}, \
                 which is not followed: change the route's `url`"
            )
        };
        for (location, host) in [
            ("https://Other.example.com/t0ken?key=s3cret", "other.example.com"),
            ("/t0ken/", "crm.example.com"),
            ("http://169.254.169.254/latest/meta-data/", "169.254.169.254"),
            ("//:", "nowhere"),
        ] {
            let outcome = outcome(307, &[("location", location)]);
            assert_eq!(outcome, retry(None, &told(307, host)), "{location}");
        }
        assert_eq!(outcome(304, &[]), retry(None, &told(304, "nowhere")));
    }
}
