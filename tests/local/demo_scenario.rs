//! What the demo sends, and what is to become of it.

use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::ledger::State;
use inbox_local::{Delivery, LocalError, SourceOptions, StackOptions, options, paths};
use serde_json::json;

/// The demo's requests are signed before its stack is there, so its secrets are fixed;
/// the stack's port is a free one and lives as long as the demo.
const SEED: [u8; 16] = *b"only for a demo.";
const STRIPE_EU_SECRET: &str = "whsec_local_other_stripe_account";
const SOMEBODYS_SECRET: &str = "whsec_what_somebody_guessed";
/// The route whose handler fails twice at each event.
pub(crate) const ROUTE_FAILS_TWICE: &str = "fails_twice";
/// The route whose handler never succeeds.
pub(crate) const ROUTE_ALWAYS_FAILS: &str = "always_fails";
/// The route that puts payments on the bus.
pub(crate) const ROUTE_PUBLISHES: &str = "bus";
/// The route that invokes a function for payments.
pub(crate) const ROUTE_CRM: &str = "crm";
/// The function that it invokes.
pub(crate) const FUNCTION: &str = "payments-to-crm";
/// The route that posts to an endpoint.
pub(crate) const ROUTE_FORWARDS: &str = "endpoint";
/// One more than there are waits.
pub(crate) const MOST_ATTEMPTS: u32 = 4;

/// Payments that succeed and are let in.
pub(crate) const PAYMENTS: usize = 2;

/// One request and its fate.
pub(crate) struct Act {
    /// The event, by the provider's name for it.
    pub(crate) event: &'static str,
    /// What is special about it.
    pub(crate) note: &'static str,
    /// The request.
    pub(crate) delivery: Delivery,
    /// Status, and `X-Inbox-Status` or the error.
    pub(crate) answer: &'static str,
    /// What is to become of it.
    pub(crate) fate: Fate,
}

/// What is to become of a request.
pub(crate) enum Fate {
    /// Not let in: the ledger must not know this id.
    Refused {
        /// The id it would have had.
        id: &'static str,
    },
    /// Let in.
    Kept {
        /// Where it ends.
        state: State,
        /// After so many attempts.
        attempts: u32,
        /// What the mirror holds then.
        mirror: Option<Object>,
    },
}

/// An object of the provider, as the mirror is to hold it at the end.
pub(crate) struct Object {
    pub(crate) kind: &'static str,
    pub(crate) id: &'static str,
    pub(crate) status: Option<&'static str>,
}

/// The stack that the demo runs on: quick to retry, and with routes that fail. Events are
/// forwarded to `endpoint_url`.
pub(crate) fn stack(endpoint_url: &str) -> StackOptions {
    let mut sources = options::default_sources(|| SEED);
    sources.push(SourceOptions::new("stripe_eu", "stripe", STRIPE_EU_SECRET));
    StackOptions {
        directory: paths::local_directory().join(format!("demo-{}", std::process::id())),
        sources,
        routes: json!([
            { "id": "mirror", "match": "*:*", "handler": "mirror" },
            { "id": ROUTE_FAILS_TWICE, "match": "stripe:invoice.payment_failed", "handler": "drill",
              "with": { "outcome": "retry", "attempts": 2 } },
            { "id": ROUTE_ALWAYS_FAILS, "match": "stripe:charge.dispute.created", "handler": "drill",
              "with": { "outcome": "retry" } },
            { "id": ROUTE_PUBLISHES, "match": "provider/stripe:payment_intent.*", "handler": "publish" },
            { "id": ROUTE_CRM, "match": "provider/stripe:payment_intent.succeeded", "handler": "invoke",
              "with": { "function": FUNCTION } },
            { "id": ROUTE_FORWARDS, "match": "standard_webhooks:user.created", "handler": "forward",
              "with": { "url": endpoint_url, "allow_private_addresses": true } },
        ]),
        // The first waits are spent in the queue, the last one parked in the ledger.
        retry_delays_seconds: vec![1, 1, 3],
        park_above_seconds: 2,
        sweep_grace_seconds: 3,
        sweep_interval: Some(Duration::from_secs(1)),
        ..StackOptions::default()
    }
}

/// The event whose message is deleted from the queue. GitHub never sends an event
/// again by itself, so nobody but the sweeper can bring it back.
pub(crate) fn lost() -> Result<Act, LocalError> {
    let push = Delivery::fixture("github", "push.json", &secret("github"))?;
    let head = object("ref", "example-org/widgets:refs/heads/main", Some("updated"));
    Ok(act("push", "its message is deleted", push, "200 accepted").kept(head))
}

/// Everything else, in the order in which it is sent.
pub(crate) fn acts() -> Result<Vec<Act>, LocalError> {
    let mut all = one_payment()?;
    all.extend(other_stripe_events()?);
    all.extend(other_providers_events()?);
    Ok(all)
}

fn stripe(file: &str) -> Result<Delivery, LocalError> {
    Delivery::fixture("stripe", file, &secret("stripe"))
}

/// One payment in every way in which it may arrive, at two sources of Stripe.
fn one_payment() -> Result<Vec<Act>, LocalError> {
    let paid = stripe("payment_intent_succeeded.json")?;
    let eu = paid
        .clone()
        .replacing("evt_test_1", "evt_test_eu")
        .replacing("pi_test_1", "pi_test_eu")
        .signed_with(STRIPE_EU_SECRET);
    let ten_minutes_ago = Timestamp::from_unix_seconds(Timestamp::now().unix_seconds() - 600)
        .unwrap_or_else(Timestamp::now);
    let payment = |id| object("payment_intent", id, Some("succeeded"));
    Ok(vec![
        act("payment_intent.succeeded", "", paid.clone(), "200 accepted")
            .kept(payment("pi_test_1")),
        act("payment_intent.succeeded", "the same again", paid.clone(), "200 duplicate")
            .kept(payment("pi_test_1")),
        act(
            "payment_intent.succeeded",
            "forged",
            paid.clone().replacing("evt_test_1", "evt_forged").signed_with(SOMEBODYS_SECRET),
            "401 signature_mismatch",
        )
        .refused("evt_forged"),
        act(
            "payment_intent.succeeded",
            "signed 10 minutes ago",
            paid.replacing("evt_test_1", "evt_stale").signed_at(ten_minutes_ago),
            "401 stale_timestamp",
        )
        .refused("evt_stale"),
        act(
            "payment_intent.succeeded",
            "signed for stripe_eu",
            eu.clone(),
            "401 signature_mismatch",
        )
        .refused("evt_test_eu"),
        act("payment_intent.succeeded", "", eu.to("stripe_eu"), "200 accepted")
            .kept(payment("pi_test_eu")),
    ])
}

/// Events that overtake each other, and events whose handlers fail.
fn other_stripe_events() -> Result<Vec<Act>, LocalError> {
    let subscription = || object("subscription", "sub_test_1", Some("canceled"));
    Ok(vec![
        act(
            "payment_intent.payment_failed",
            "",
            stripe("payment_intent_payment_failed.json")?,
            "200 accepted",
        )
        .kept(object("payment_intent", "pi_test_2", Some("requires_payment_method"))),
        act(
            "customer.subscription.deleted",
            "before the one it follows",
            stripe("customer_subscription_deleted.json")?,
            "200 accepted",
        )
        .kept(subscription()),
        act(
            "customer.subscription.updated",
            "late",
            stripe("customer_subscription_updated.json")?,
            "200 accepted",
        )
        .kept(subscription()),
        act(
            "invoice.payment_failed",
            "fails twice, then succeeds",
            stripe("invoice_payment_failed.json")?,
            "200 accepted",
        )
        .ends(State::Done, 3, Some(object("invoice", "in_test_1", Some("open")))),
        act(
            "charge.dispute.created",
            "always fails",
            stripe("charge_dispute_created.json")?,
            "200 accepted",
        )
        .ends(
            State::Dead,
            MOST_ATTEMPTS,
            Some(object("dispute", "du_test_1", Some("needs_response"))),
        ),
    ])
}

fn other_providers_events() -> Result<Vec<Act>, LocalError> {
    let github = |file: &str| Delivery::fixture("github", file, &secret("github"));
    let twilio = |file: &str| Delivery::fixture("twilio", file, &secret("twilio"));
    let standard =
        |file: &str| Delivery::fixture("standard_webhooks", file, &secret("standard_webhooks"));
    let message = || object("message", "SM11111111111111111111111111111111", Some("delivered"));
    Ok(vec![
        act("ping", "", github("ping.json")?, "200 accepted").ends(State::Done, 1, None),
        act(
            "message.delivered",
            "before sent",
            twilio("message_status_delivered.form")?,
            "204 accepted",
        )
        .kept(message()),
        act("message.sent", "late", twilio("message_status_sent.form")?, "204 accepted")
            .kept(message()),
        act("message.received", "", twilio("message_inbound.form")?, "200 accepted").kept(object(
            "message",
            "SM22222222222222222222222222222222",
            Some("received"),
        )),
        act(
            "user.created",
            "its endpoint is down at first",
            standard("user_created.json")?,
            "200 accepted",
        )
        .ends(State::Done, 3, Some(object("user", "user_test_1", None))),
        act("contact.updated", "", standard("contact_updated.json")?, "200 accepted").kept(object(
            "contact",
            "1f81eb52-5198-4599-803e-771906343485",
            None,
        )),
    ])
}

fn act(event: &'static str, note: &'static str, delivery: Delivery, answer: &'static str) -> Act {
    Act { event, note, delivery, answer, fate: Fate::Refused { id: "" } }
}

fn object(kind: &'static str, id: &'static str, status: Option<&'static str>) -> Object {
    Object { kind, id, status }
}

impl Act {
    /// Handled at the first attempt.
    fn kept(self, mirror: Object) -> Self {
        self.ends(State::Done, 1, Some(mirror))
    }

    fn ends(mut self, state: State, attempts: u32, mirror: Option<Object>) -> Self {
        self.fate = Fate::Kept { state, attempts, mirror };
        self
    }

    fn refused(mut self, id: &'static str) -> Self {
        self.fate = Fate::Refused { id };
        self
    }
}

/// The secret that the local stack gives a source.
fn secret(source: &str) -> String {
    options::default_sources(|| SEED)
        .into_iter()
        .find(|options| options.name == source)
        .and_then(|options| options.secrets.into_iter().next())
        .unwrap_or_default()
}
