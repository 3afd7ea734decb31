//! What an endpoint's answer means.
//!
//! ```text
//! 2xx                  done
//! 408 425 429 5xx      try again, not before `Retry-After`
//! 3xx                  try again: never followed, for it may lead anywhere
//! 410                  the endpoint wants no more: for good
//! any other 4xx        it will not take this one: for good
//! named by `retry_on`  try again, like 5xx
//! ```
//!
//! An answer is its head: what the endpoint decided stands in the status, whatever
//! becomes of the body. So a 2xx whose body breaks off is a delivery, since trying
//! again would be a second one.
//!
//! What is told of an answer is its status and what it means, in words of our own.

use std::collections::BTreeSet;
use std::time::Duration;

use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use inbox_core::Timestamp;
use inbox_core::handler::{HandlerError, Reason};

use super::endpoint::Endpoint;
use super::retry_after::retry_after;
use crate::handlers::Options;

/// The class that a route's `retry_on` may name.
const CLASS_4XX: &str = "4xx";

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

    /// What the endpoint says besides its status: where a redirect leads, or the body's
    /// beginning.
    pub(super) fn words(&self) -> &[u8] {
        match self.headers.get(LOCATION).filter(|_| self.status.is_redirection()) {
            Some(location) => location.as_bytes(),
            None => &self.beginning,
        }
    }

    /// What it means. `quote` is what may be kept of its words.
    pub(super) fn outcome(
        &self,
        endpoint: &Endpoint,
        retry_on: &RetryOn,
        quote: Option<String>,
        now: Timestamp,
    ) -> Result<(), HandlerError> {
        let status = self.status;
        if status.is_success() {
            return Ok(());
        }
        let told = format!("{} answered {}", endpoint.shown, status.as_u16());
        let reason = |more: &str| Reason::from(format!("{told}{more}")).quoting(quote);
        if status.is_redirection() {
            let redirect = format!(
                ", {}, which is not followed: change the route's `url`",
                self.redirect(endpoint)
            );
            return Err(HandlerError::retry(reason(&redirect)));
        }
        if may_pass(status) || retry_on.names(status) {
            return Err(HandlerError::Retry { after: self.wait(now), reason: reason("") });
        }
        Err(HandlerError::permanent(if status == StatusCode::GONE {
            reason(", gone: the endpoint wants no more")
        } else {
            reason(", which is final unless the route's `retry_on` names it")
        }))
    }

    fn wait(&self, now: Timestamp) -> Option<Duration> {
        retry_after(self.headers.get(RETRY_AFTER)?.to_str().ok()?, now)
    }

    fn redirect(&self, endpoint: &Endpoint) -> &'static str {
        let location = self.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let target = location.and_then(|location| endpoint.url.join(location).ok());
        match target.as_ref().and_then(|target| target.host_str()) {
            None => "a redirect to nowhere",
            Some(host) if Some(host) == endpoint.url.host_str() => "a redirect on the same host",
            Some(_) => "a redirect to another host",
        }
    }
}

/// The statuses that a route tries again though they are final by themselves: the option
/// `retry = { retry_on = ["404", "4xx"] }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RetryOn {
    statuses: BTreeSet<u16>,
    every_4xx: bool,
}

impl RetryOn {
    /// Reads the option `retry`.
    pub(super) fn read(options: &mut Options<'_>) -> Self {
        options.object("retry", Self::read_within).unwrap_or_default()
    }

    fn read_within(options: &mut Options<'_>) -> Self {
        let mut retry_on = Self::default();
        let Some(list) = options.list("retry_on") else { return retry_on };
        if list.is_empty() {
            options.problem("`retry_on` names no status: leave `retry` out");
        }
        for item in list {
            let text = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            let status = text.parse().ok().filter(|status| (400..=499).contains(status));
            match status {
                Some(status) => drop(retry_on.statuses.insert(status)),
                None if text == CLASS_4XX => retry_on.every_4xx = true,
                None => options.problem(format_args!(
                    "`retry_on` must name statuses from 400 to 499, or {CLASS_4XX:?}, not {text:?}; \
                     5xx and redirects are always tried again"
                )),
            }
        }
        retry_on
    }

    /// 410 is no fault of anybody's, so only its own number names it.
    fn names(&self, status: StatusCode) -> bool {
        let is_of_class = status.is_client_error() && status != StatusCode::GONE;
        self.statuses.contains(&status.as_u16()) || (self.every_4xx && is_of_class)
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
    use serde_json::{Value, json};

    use super::*;

    fn answered(
        status: u16,
        headers: &[(&'static str, &str)],
        retry_on: &RetryOn,
    ) -> Result<(), HandlerError> {
        let endpoint = Endpoint::read("https://crm.example.com/t0ken?key=s3cret", false).unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers, beginning: Vec::new(), was_slow: false };
        let now = Timestamp::from_unix_seconds(784_111_777).unwrap();
        answer.outcome(&endpoint, retry_on, None, now)
    }

    fn outcome(status: u16, headers: &[(&'static str, &str)]) -> Result<(), HandlerError> {
        answered(status, headers, &RetryOn::default())
    }

    fn retry(after_seconds: Option<u64>, reason: &str) -> Result<(), HandlerError> {
        let after = after_seconds.map(Duration::from_secs);
        Err(HandlerError::Retry { after, reason: reason.into() })
    }

    fn retry_on(list: &Value) -> Result<RetryOn, Vec<String>> {
        let with = json!({ "retry": { "retry_on": list } });
        let mut options = Options::of(&with);
        let retry_on = RetryOn::read(&mut options);
        options.finish().map(|()| retry_on)
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
            let reason = format!("crm.example.com answered {status}");
            assert_eq!(outcome(status, &[]), retry(None, &reason), "{status}");
        }
    }

    #[test]
    fn what_will_not_pass_ends_the_route_and_says_what_would_try_it_again() {
        for status in [400, 401, 402, 403, 404, 405, 409, 411, 413, 415, 422, 426, 431, 451, 499] {
            let reason = format!(
                "crm.example.com answered {status}, which is final unless the route's `retry_on` \
                 names it"
            );
            assert_eq!(outcome(status, &[]), Err(HandlerError::permanent(reason)), "{status}");
        }
        let reason = "crm.example.com answered 410, gone: the endpoint wants no more";
        assert_eq!(outcome(410, &[]), Err(HandlerError::permanent(reason)));
    }

    #[test]
    fn what_a_route_names_is_tried_again_and_nothing_else() {
        let named = |list: Value| {
            let retry_on = retry_on(&list).unwrap();
            let is_tried_again = |status: &u16| {
                matches!(answered(*status, &[], &retry_on), Err(HandlerError::Retry { .. }))
            };
            [400, 401, 403, 404, 410, 499].into_iter().filter(is_tried_again).collect::<Vec<_>>()
        };
        assert_eq!(named(json!(["403", 404])), [403, 404]);
        assert_eq!(named(json!(["4xx"])), [400, 401, 403, 404, 499]);
        assert_eq!(named(json!(["4xx", "410"])), [400, 401, 403, 404, 410, 499]);
        let retry_on = retry_on(&json!([404])).unwrap();
        let after = [("retry-after", "120")];
        let expected = retry(Some(120), "crm.example.com answered 404");
        assert_eq!(answered(404, &after, &retry_on), expected);
    }

    #[test]
    fn what_cannot_be_retried_on_is_named_at_start() {
        let told = |text: &str| {
            format!(
                "`retry`: `retry_on` must name statuses from 400 to 499, or \"4xx\", not {text:?}; \
                 5xx and redirects are always tried again"
            )
        };
        assert_eq!(
            retry_on(&json!(["5xx", 500, "404", "", 40.5])),
            Err(["5xx", "500", "", "40.5"].map(told).to_vec())
        );
        let empty = "`retry`: `retry_on` names no status: leave `retry` out".to_owned();
        assert_eq!(retry_on(&json!([])), Err(vec![empty]));
        assert_eq!(retry_on(&json!("4xx")), Err(vec!["`retry`: `retry_on` must be a list".into()]));
        let read = |with: Value| {
            let mut options = Options::of(&with);
            RetryOn::read(&mut options);
            options.finish().unwrap_err()
        };
        assert_eq!(read(json!({ "retry": "4xx" })), ["`retry` must be an object"]);
        assert_eq!(
            read(json!({ "retry": { "on": ["4xx"] } })),
            ["`retry`: needs `retry_on`", "`retry`: has no option `on`; there are `retry_on`",]
        );
    }

    #[test]
    fn retry_after_is_heard_where_trying_again_makes_sense() {
        let reason = "crm.example.com answered 503";
        assert_eq!(outcome(503, &[("retry-after", "120")]), retry(Some(120), reason));
        let date = [("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")];
        assert_eq!(outcome(503, &date), retry(Some(60), reason));
        assert_eq!(outcome(503, &[("retry-after", "soon")]), retry(None, reason));
        let permanent = outcome(400, &[("retry-after", "120")]);
        assert!(matches!(permanent, Err(HandlerError::Permanent { .. })), "{permanent:?}");
    }

    /// Its address may hold anything: not even the host is told.
    #[test]
    fn a_redirect_is_not_followed_and_only_what_kind_it_is_is_told() {
        for (location, what) in [
            ("https://jane-doe.example.com/t0ken?key=s3cret", "a redirect to another host"),
            ("/t0ken/", "a redirect on the same host"),
            ("https://crm.example.com:8443/", "a redirect on the same host"),
            ("http://169.254.169.254/latest/meta-data/", "a redirect to another host"),
            ("//:", "a redirect to nowhere"),
        ] {
            let reason = format!(
                "crm.example.com answered 307, {what}, which is not followed: change the route's \
                 `url`"
            );
            assert_eq!(outcome(307, &[("location", location)]), retry(None, &reason), "{location}");
        }
        let reason = "crm.example.com answered 304, a redirect to nowhere, which is not followed: \
                      change the route's `url`";
        assert_eq!(outcome(304, &[]), retry(None, reason));
    }
}
