//! `forward` before real sockets: what goes out, what answers mean, whom a dead
//! endpoint holds up. End to end, with the binaries: `e2e/forward.rs`.

mod answers;
pub(crate) mod endpoint;
mod load;
mod official;
mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::envelope::Envelope;
use inbox_core::event::Event;
use inbox_core::handler::{Handler as _, HandlerError, Run};
use inbox_core::memory::MemorySecrets;
use inbox_core::secrets::SecretBundle;
use inbox_processor::handlers::HttpClients;
use inbox_processor::handlers::forward::{Forward, Settings};
use serde_json::{Value, json};

use self::endpoint::Endpoint;
use crate::conformance::{at, event};

/// The new key and the old one.
const SECRETS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_YW5vdGhlciBzZWNyZXQsIDI0IGJ5dGUh"];

/// A route that forwards, with a clock of its own.
struct Route {
    forward: Forward<MemorySecrets>,
    clock: Arc<AtomicI64>,
}

impl Route {
    /// To an endpoint, with further options.
    fn to(endpoint: &Endpoint, options: &Value) -> Self {
        Self::to_url(&endpoint.url(), options)
    }

    fn to_url(url: &str, options: &Value) -> Self {
        Self::by(&HttpClients::default(), url, options)
    }

    /// By clients that other routes may share.
    fn by(http: &HttpClients, url: &str, options: &Value) -> Self {
        let clock = Arc::new(AtomicI64::new(at(0).unix_ms()));
        let time = Arc::clone(&clock);
        let clock_of_route =
            Arc::new(move || Timestamp::from_unix_ms(time.load(Ordering::SeqCst)).unwrap());
        let forward = Forward::new(settings(url, options), secrets(), http, clock_of_route);
        Self { forward: forward.expect("a client"), clock }
    }

    fn set_clock(&self, seconds: u64) {
        self.clock.store(at(seconds).unix_ms(), Ordering::SeqCst);
    }

    async fn attempt(&self, event: &Event, attempt: u32) -> Result<(), HandlerError> {
        self.attempt_within(event, attempt, Duration::from_secs(20)).await
    }

    async fn attempt_within(
        &self,
        event: &Event,
        attempt: u32,
        timeout: Duration,
    ) -> Result<(), HandlerError> {
        let route_id = "crm".into();
        let run = Run {
            route_id,
            life: 1,
            attempt,
            max_attempts: 7,
            insists: false,
            timeout,
            payload_ref: None,
            envelope: Envelope::default(),
        };
        self.forward.handle(event, &run).await.map(|_| ())
    }
}

fn settings(url: &str, options: &Value) -> Settings {
    let mut with = json!({"url": url, "secret_id": "crm", "allow_private_addresses": true});
    let options = options.as_object().cloned().unwrap_or_default();
    with.as_object_mut().expect("an object").extend(options);
    Settings::read(&with).expect("good options")
}

fn secrets() -> MemorySecrets {
    let bundle = json!({ "signing_secrets": SECRETS });
    MemorySecrets::new(Ok(SecretBundle::parse(&bundle.to_string()).expect("a bundle")))
}

/// An event whose payload holds this.
fn with_payload(content_type: &str, payload: &str) -> Event {
    let mut event = event(at(0));
    event.payload.content_type = content_type.into();
    event.payload.bytes = payload.to_owned().into();
    event
}
