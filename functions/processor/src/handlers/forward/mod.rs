//! `forward`: posts the event to an HTTP endpoint, signed by Standard Webhooks.
//!
//! ```json
//! {"id":"crm","match":"stripe:customer.*","handler":"forward",
//!  "with":{"url":"https://crm.example.com/hooks","secret_id":"inbox/forward/crm"}}
//! ```
//!
//! ```text
//! hops ─ secrets ─ breaker ─ lay out, sign ─ post ─▶ 2xx ──────────────────▶ done
//!   │       │         │                       ├────▶ 3xx 408 425 429 5xx ──▶ retry
//!   │       │         │                       ├────▶ named by `retry_on` ──▶ retry
//!   │       │         │                       ├────▶ any other ────────────▶ permanent
//!   │       │         └ open ─ not tried ──┐  └ no answer ─ the breaker learns ─▶ retry
//!   │       └ unavailable, unusable ───────┴───────────────────────────────▶ retry
//!   └ too many: a loop ────────────────────────────────────────────────────▶ permanent
//! ```
//!
//! | option | |
//! |---|---|
//! | `url` | where to; https, unless private addresses are allowed |
//! | `secret_id` | name or ARN of the secret, `{"signing_secrets":["new","old"]}`; all sign |
//! | `mode` | `structured`: one `CloudEvent` as JSON; `binary`: the provider's bytes, `ce-*` headers |
//! | `x_webhook_headers` | adds `X-Webhook-ID`, `-Timestamp` and `-Signature` |
//! | `allow_private_addresses` | reaches what is not public, too |
//! | `retry` | `{"retry_on":["403","404"]}`: 4xx that are tried again; `4xx` are all but 410 |
//! | `quote_answers` | keeps the beginning of what it answers in the ledger, and only there |
//!
//! The endpoint may get a message twice (it answered, and nobody heard it): the same
//! `webhook-id` says so. No reason and no log line holds more of the address than its
//! host, nor a word of what the endpoint says.
//!
//! The signature covers id, timestamp and body, as Standard Webhooks has it. In binary
//! mode the attributes are headers, so nobody can tell whether `ce-type`, `ce-source`,
//! `ce-id` and the others are what was sent. Who reads them trusts the connection, and
//! deduplicates by `webhook-id`, which is signed. In structured mode all are in the body.

mod address;
mod answer;
mod client;
mod endpoint;
mod message;
mod post;
mod resolver;
mod retry_after;
mod silence;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use inbox_aws::SecretsManagerSecrets;
use inbox_core::event::Event;
use inbox_core::handler::{Handled, Handler, HandlerError, Run};
use inbox_core::secrets::{SecretCache, Secrets};
use inbox_core::standard_webhooks::{HEADER_SIGNATURE, check_secret};
use serde_json::Value;

use self::answer::{Answer, RetryOn};
use self::client::HttpClient;
pub use self::client::HttpClients;
use self::endpoint::Endpoint;
use self::message::{Layout, Message, Mode};
use self::post::post;
use self::silence::Silence;
use super::breaker::{Admission, Guard};
use super::{Clock, Options, Quotes, Resources};

/// Kept free of the run's time, so that an attempt ends with a reason of its own.
const MARGIN: Duration = Duration::from_millis(500);

/// A route's options.
#[derive(Clone, Debug)]
pub struct Settings {
    endpoint: Endpoint,
    secret_id: String,
    layout: Layout,
    allow_private_addresses: bool,
    retry_on: RetryOn,
    quotes: Quotes,
}

impl Settings {
    /// Reads `with`.
    ///
    /// # Errors
    ///
    /// Every problem.
    pub fn read(with: &Value) -> Result<Self, Vec<String>> {
        let mut options = Options::of(with);
        let url = options.required_text("url", "https://example.com/hooks");
        let secret_id = options.required_text("secret_id", "inbox/forward/crm").to_owned();
        let modes = [("structured", Mode::Structured), ("binary", Mode::Binary)];
        let mode = options.choice("mode", &modes);
        let x_webhook_headers = options.flag("x_webhook_headers");
        let allow_private_addresses = options.flag("allow_private_addresses");
        let retry_on = RetryOn::read(&mut options);
        let quotes = Quotes::read(&mut options);
        let endpoint = match Endpoint::read(url, allow_private_addresses) {
            Ok(endpoint) => Some(endpoint),
            // Said already, and nothing more can be said of it.
            Err(_) if url.is_empty() => None,
            Err(problems) => {
                for problem in problems {
                    options.problem(problem);
                }
                None
            }
        };
        options.finish()?;
        let endpoint = endpoint.ok_or_else(|| vec!["needs `url`".to_owned()])?;
        let layout = Layout { mode, x_webhook_headers };
        Ok(Self { endpoint, secret_id, layout, allow_private_addresses, retry_on, quotes })
    }
}

/// The handler of one route.
pub struct Forward<S> {
    settings: Settings,
    secrets: SecretCache<S>,
    client: HttpClient,
    guard: Guard,
    clock: Clock,
}

/// Makes the handler for a route.
pub(super) fn build(resources: &Resources, with: &Value) -> Result<Arc<dyn Handler>, Vec<String>> {
    let settings = Settings::read(with)?;
    let aws = resources.aws_for(&settings.secret_id);
    let secrets = SecretsManagerSecrets::new(&aws, settings.secret_id.clone());
    let forward = Forward::new(settings, secrets, &resources.http, Arc::clone(&resources.clock));
    Ok(Arc::new(forward.map_err(|problem| vec![problem])?))
}

impl<S: Secrets> Forward<S> {
    /// Forwards as `settings` say, signing with what `secrets` holds, by a client of
    /// `http`.
    ///
    /// # Errors
    ///
    /// This machine's root certificates cannot be read.
    pub fn new(
        settings: Settings,
        secrets: S,
        http: &HttpClients,
        clock: Clock,
    ) -> Result<Self, String> {
        let client = http.of(settings.allow_private_addresses)?;
        let secrets = SecretCache::checked_by(secrets, check_secret);
        let guard = Guard::new(settings.endpoint.shown.clone(), Arc::clone(&clock));
        Ok(Self { settings, secrets, client, guard, clock })
    }

    async fn forward(&self, event: &Event, run: &Run) -> Result<(), HandlerError> {
        let Some(hops) = message::hops(event) else {
            return Err(HandlerError::permanent(
                "forwarded from inbox to inbox too often already: a route further on leads back \
                 to an inbox before it; end the loop there",
            ));
        };
        // Before the breaker, whose probe is for the endpoint alone.
        let secrets = self.secrets.current((self.clock)()).await.map_err(|fault| {
            HandlerError::retry(format!("secret {}: {fault}", self.settings.secret_id))
        })?;
        let admission = self.guard.admit(run)?;

        let (layout, now) = (self.settings.layout, (self.clock)());
        let message = Message::new(event, run, hops, layout, secrets.signing_secrets(), now);
        let sent = Sent::of(&message);
        let limit = run.timeout.saturating_sub(MARGIN.min(run.timeout / 10));
        let posted = post(&self.client, &self.settings.endpoint, message, limit).await;
        self.learn(admission, &posted, run);
        let answer = posted.map_err(|silence| HandlerError::retry(silence.reason))?;
        let Settings { endpoint, retry_on, .. } = &self.settings;
        let quote = self.quoted(&answer, event, &sent);
        answer.outcome(endpoint, retry_on, quote, (self.clock)())
    }

    /// Tells the breaker.
    fn learn(&self, admission: Admission, posted: &Result<Answer, Silence>, run: &Run) {
        match posted {
            Ok(answer) if answer.is_silence() => {
                let reason = format!("slow, then {}", answer.status.as_u16());
                self.guard.silent(run, admission, &reason);
            }
            Ok(_) => self.guard.answered(run),
            Err(silence) if silence.is_endpoints => {
                self.guard.silent(run, admission, &silence.reason);
            }
            Err(_) => {}
        }
    }

    /// What the endpoint says, without what it repeats: the payload, the message, the
    /// address that it was sent to. Nothing, unless the route asks for it.
    fn quoted(&self, answer: &Answer, event: &Event, sent: &Sent) -> Option<String> {
        let url = &self.settings.endpoint.url;
        let address = format!("{} {}", url.path(), url.query().unwrap_or_default());
        // The message's body is the payload, or holds it in base64: both are compared.
        let parts = [&*event.payload.bytes, sent.signature.as_bytes(), address.as_bytes()];
        self.settings.quotes.without(answer.words(), &parts)
    }
}

/// What of a message must not come back in a reason.
struct Sent {
    signature: String,
}

impl Sent {
    fn of(message: &Message) -> Self {
        let signature = message.headers.get(HEADER_SIGNATURE);
        let signature = signature.and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self { signature: signature.to_owned() }
    }
}

impl<S: Secrets> Handler for Forward<S> {
    fn handle<'a>(
        &'a self,
        event: &'a Event,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<Handled, HandlerError>> {
        self.forward(event, run).map_ok(|()| Handled::Done).boxed()
    }

    /// What is posted is the shared envelope, or the payload itself.
    fn copied_bytes(&self, _envelope_bytes: usize) -> usize {
        0
    }
}

#[cfg(test)]
mod tests;
