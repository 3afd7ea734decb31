//! AWS's time, learnt from the `Date` of its answers, at no cost.
//!
//! Whether a lease still holds is decided by comparing times that different machines
//! wrote. A laptop two minutes ahead would see every live lease as over, and replay an
//! event beside the handler that runs it; AWS takes the requests of such a machine
//! without a word. So no machine's own clock decides:
//!
//! ```text
//! ours    sent ────────────────▶ received
//!                 Date: T         AWS's clock stood between T and T + 1 s somewhere
//!                                 between the two
//!
//! earliest = T − received         latest = T + 1 s − sent         doubt: the rest
//! ```
//!
//! A clock that agrees with the last answer is left as it is, to the millisecond. One
//! that cannot be right is moved by as little as makes it possible. Whoever cannot live
//! with the doubt asks for it: [`Difference::doubt`].
//!
//! The round trip is measured where one attempt's bytes go out and come in, so neither
//! the SDK's retries nor the waits between them are part of it. Only answers to signed
//! requests count: what a machine's metadata service says is no time of AWS's.
//!
//! `Date` has whole seconds: <https://www.rfc-editor.org/rfc/rfc9110#name-date>

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::config::ConfigBag;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use inbox_core::Timestamp;

const HEADER_DATE: &str = "date";
/// Every request that is signed in its headers has it.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html>
const HEADER_SIGNED_AT: &str = "x-amz-date";
/// What `Date` leaves out.
const DATE_RESOLUTION_MS: i64 = 1000;
/// So long a better answer is preferred to a newer one that agrees with it: clocks drift
/// by some milliseconds in that time.
const BETTER_FOR: Duration = Duration::from_mins(1);
/// An answer that leaves more doubt replaces no better one that it agrees with, however
/// old that is.
const GOOD_ENOUGH: Duration = Duration::from_millis(2500);

/// How much AWS's clock is ahead of this machine's: something between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    earliest_ms: i64,
    latest_ms: i64,
}

impl Difference {
    /// From one answer: when it was asked for and received by our own clock, and the
    /// second that its `Date` names.
    fn of_answer(sent: Timestamp, received: Timestamp, date: Timestamp) -> Self {
        Self {
            earliest_ms: date.unix_ms() - received.unix_ms(),
            latest_ms: date.unix_ms() + DATE_RESOLUTION_MS - sent.unix_ms(),
        }
    }

    /// The distance of the two bounds: a second and the round trip.
    #[must_use]
    pub fn doubt(self) -> Duration {
        Duration::from_millis(self.latest_ms.abs_diff(self.earliest_ms))
    }

    /// What must be added to our own clock, in milliseconds, for it to be possible; 0
    /// where it is.
    #[must_use]
    pub fn correction_ms(self) -> i64 {
        0_i64.clamp(self.earliest_ms, self.latest_ms.max(self.earliest_ms))
    }

    fn overlaps(self, other: Self) -> bool {
        self.earliest_ms <= other.latest_ms && other.earliest_ms <= self.latest_ms
    }
}

/// The time as AWS has it. Clones share what they learn.
#[derive(Clone)]
pub struct AwsClock {
    own: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    held: Arc<Mutex<Option<Reading>>>,
}

/// The last difference, and when it was learnt, by our own clock.
#[derive(Clone, Copy, Debug)]
struct Reading {
    difference: Difference,
    received: Timestamp,
}

impl fmt::Debug for AwsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AwsClock").field(&self.difference()).finish()
    }
}

impl AwsClock {
    /// A clock that corrects this one: [`Timestamp::now`] in `main`.
    pub fn new(own: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { own: Arc::new(own), held: Arc::default() }
    }

    /// AWS's time, as far as it is known: our own until the first answer.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let own = (self.own)();
        let correction_ms = self.difference().map_or(0, Difference::correction_ms);
        Timestamp::from_unix_ms(own.unix_ms().saturating_add(correction_ms)).unwrap_or(own)
    }

    /// How much AWS's clock is ahead; `None` before the first answer that names a time.
    #[must_use]
    pub fn difference(&self) -> Option<Difference> {
        self.held().map(|reading| reading.difference)
    }

    /// Learns from an answer. The newest counts; an answer that took longer than the last
    /// one and agrees with it says nothing new.
    fn learn(&self, sent: Timestamp, received: Timestamp, date: Timestamp) {
        let difference = Difference::of_answer(sent, received, date);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_no_better = held.is_some_and(|held| {
            held.difference.doubt() < difference.doubt()
                && held.difference.overlaps(difference)
                && (received.distance(held.received) < BETTER_FOR
                    || difference.doubt() > GOOD_ENOUGH)
        });
        if !is_no_better {
            *held = Some(Reading { difference, received });
        }
    }

    fn held(&self) -> Option<Reading> {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An HTTP client whose answers a clock learns from.
#[derive(Debug)]
pub(crate) struct Timed {
    client: SharedHttpClient,
    clock: AwsClock,
}

impl Timed {
    pub(crate) fn new(client: SharedHttpClient, clock: AwsClock) -> Self {
        Self { client, clock }
    }
}

impl HttpClient for Timed {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(TimedConnector { connector, clock: self.clock.clone() })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.client.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.client.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.client.connector_metadata()
    }
}

#[derive(Debug)]
struct TimedConnector {
    connector: SharedHttpConnector,
    clock: AwsClock,
}

impl HttpConnector for TimedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if !request.headers().contains_key(HEADER_SIGNED_AT) {
            return self.connector.call(request);
        }
        let clock = self.clock.clone();
        let sent = (clock.own)();
        let answer = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            if let Some(date) = date_of(&answer) {
                clock.learn(sent, (clock.own)(), date);
            }
            Ok(answer)
        })
    }
}

fn date_of(answer: &HttpResponse) -> Option<Timestamp> {
    let date = DateTime::from_str(answer.headers().get(HEADER_DATE)?, DateTimeFormat::HttpDate);
    Timestamp::from_unix_seconds(date.ok()?.secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE_MS: i64 = 1_764_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(BASE_MS + ms).unwrap()
    }

    /// A clock that stands at `own_ms`, and knows this answer of AWS's.
    fn after(own_ms: i64, answers: &[(i64, i64, i64)]) -> AwsClock {
        let clock = AwsClock::new(move || at(own_ms));
        for &(sent, received, date) in answers {
            clock.learn(at(sent), at(received), at(date));
        }
        clock
    }

    #[test]
    fn a_clock_that_may_be_right_is_left_as_it_is() {
        // Any moment of the second that `Date` names, and of the round trip.
        for (sent, received, date) in [(400, 450, 0), (0, 80, 0), (990, 1040, 0), (990, 1040, 1000)]
        {
            let clock = after(1500, &[(sent, received, date)]);
            assert_eq!(clock.now(), at(1500), "asked at {sent}, answered at {received}: {date}");
        }
        assert_eq!(after(7, &[]).now(), at(7), "before the first answer");
        assert_eq!(after(7, &[]).difference(), None);
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_moved_by_no_more_than_is_certain() {
        // Two minutes ahead: AWS stood between 0 and 1 s while ours went from 120.0 to 120.1.
        let ahead = after(121_000, &[(120_000, 120_100, 0)]);
        assert_eq!(ahead.now(), at(121_000 - 119_000));
        assert_eq!(ahead.difference().unwrap().correction_ms(), -119_000);
        let behind = after(-119_000, &[(-120_000, -119_900, 0)]);
        assert_eq!(behind.now(), at(-119_000 + 119_900));
    }

    #[test]
    fn the_doubt_is_a_second_and_the_round_trip() {
        let doubt = |sent, received| after(0, &[(sent, received, 0)]).difference().unwrap().doubt();
        assert_eq!(doubt(500, 540), Duration::from_millis(1040));
        assert_eq!(doubt(0, 6000), Duration::from_secs(7));
    }

    #[test]
    fn a_slow_answer_that_agrees_adds_no_doubt_and_one_that_contradicts_counts() {
        let quick = (120_000, 120_100, 0);
        let slow = (120_200, 126_000, 3_000);
        let doubt = |answers: &[_]| after(0, answers).difference().unwrap().doubt();
        assert_eq!(doubt(&[quick, slow]), Duration::from_millis(1100));
        assert_eq!(doubt(&[slow, quick]), Duration::from_millis(1100), "the better one is taken");
        // The clock was set right in between: what was known of it is no more so.
        let set = (700, 7_000, 3_000);
        assert_eq!(after(7_100, &[quick, set]).now(), at(7_100));
        // An answer of long ago is not preferred for ever, but to one that says little.
        let later = (200_000, 201_000, 80_500);
        assert_eq!(doubt(&[quick, later]), Duration::from_secs(2));
        let slow_and_later = (200_000, 206_000, 83_000);
        assert_eq!(doubt(&[quick, slow_and_later]), Duration::from_millis(1100));
    }

    #[test]
    fn the_date_of_an_answer_is_read_and_any_other_text_is_none() {
        let answer = |date: &'static str| {
            let mut answer = HttpResponse::new(
                200.try_into().unwrap(),
                aws_sdk_s3::primitives::SdkBody::empty(),
            );
            answer.headers_mut().insert(HEADER_DATE, date);
            date_of(&answer)
        };
        let moment = Timestamp::parse_rfc3339("2026-11-28T12:00:05Z");
        assert_eq!(answer("Sat, 28 Nov 2026 12:00:05 GMT"), moment);
        assert_eq!(answer("yesterday"), None);
    }
}
