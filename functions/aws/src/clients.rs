//! One configuration for all clients: time limits, retries, one HTTP client.
//!
//! The SDK sets no time limit by itself, so a lost packet would hold a provider's
//! request until API Gateway gives up. Clients share one connection pool and are
//! made during init, where Lambda gives a whole CPU; each opens its connection
//! there too (`connect`): the first call of a cold 128 MB function was measured
//! at 912 ms, 745 ms of it TLS, and at 21 ms when warmed in init.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::clock::{AwsClock, Timed};

/// How long AWS may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One attempt, connection and answer included.
    pub attempt: Duration,
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The whole call, attempts and waits between them included.
    pub call: Duration,
}

/// Connections that idled longer are not used again: the services close theirs
/// at some time, and a function that was frozen does not see it.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

impl Limits {
    /// While a provider waits: Slack gives up after 3 s, Shopify after 5 s.
    pub const FOREGROUND: Self = Self {
        attempt: Duration::from_millis(700),
        attempts: 3,
        call: Duration::from_millis(2300),
    };
    /// While nobody waits: patient enough for a large item on a bad day, and
    /// within the ten seconds that Lambda gives init. The functions keep time in
    /// reserve for two calls of this length.
    pub const BACKGROUND: Self =
        Self { attempt: Duration::from_millis(1500), attempts: 3, call: Duration::from_secs(4) };
    /// While a person waits, perhaps on a bad line from the other side of the
    /// world.
    pub const OPERATOR: Self =
        Self { attempt: Duration::from_secs(8), attempts: 5, call: Duration::from_secs(30) };
}

/// Reads region, credentials and `AWS_ENDPOINT_URL` as every AWS tool does. `clock`
/// learns AWS's time from the answers of every client that is made of it.
pub async fn sdk_config(limits: Limits, clock: &AwsClock) -> SdkConfig {
    config_loader(limits, clock).load().await
}

/// The same before it is loaded, for who has a profile or a region to add.
#[must_use]
pub fn config_loader(limits: Limits, clock: &AwsClock) -> ConfigLoader {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(limits.attempt)
        .operation_attempt_timeout(limits.attempt)
        .operation_timeout(limits.call)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(limits.attempts)
        .with_initial_backoff(Duration::from_millis(50));
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(Timed::new(http, clock.clone()))
        .timeout_config(timeouts)
        .retry_config(retries)
}
