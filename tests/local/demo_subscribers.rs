//! Who gets the demo's events besides the mirror: two subscribers of each payment, and an
//! endpoint that is down at first.
//!
//! ```text
//! payment ─┬─ publish ─▶ bus ─ rule ─▶ subscriber.py ─▶ a table
//!          └─ invoke ─▶ handler.ts ─▶ a CRM
//! user.created ─ forward ─▶ an endpoint: 503, 503, 200
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use http::Method;
use inbox_core::Timestamp;
use inbox_core::request::Request;
use inbox_core::secrets::SecretBundle;
use inbox_local::endpoint::Received;
use inbox_local::subscribers::{CrmFunction, Payments};
use inbox_local::{Endpoint, LocalError, StackDescription};
use inbox_receiver::providers;

use crate::demo::Seen;
use crate::demo_claims::{done, find, history};
use crate::demo_report::{Claims, table};
use crate::demo_scenario::{FUNCTION, ROUTE_CRM, ROUTE_FORWARDS, ROUTE_PUBLISHES};
use crate::say;

const SUBSCRIBER: &str = "payments";
/// EventBridge hands over by itself, after the inbox is done.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const UP: [u16; 0] = [];
const DOWN: [u16; 2] = [503, 503];
const SCHEME: &str = "standard_webhooks";

/// Servers that stand outside of the stack.
pub(crate) struct Outside {
    /// Whom the function tells of payments.
    crm: Endpoint,
    /// Where events are forwarded to.
    pub(crate) endpoint: Endpoint,
}

/// What came of it.
pub(crate) struct Fates {
    kept: BTreeMap<String, String>,
    told: Vec<Received>,
    forwarded: Vec<Received>,
    /// Where that was.
    endpoint_url: String,
}

impl Outside {
    pub(crate) async fn start() -> Result<Self, LocalError> {
        let crm = Endpoint::start(UP).await?;
        Ok(Self { crm, endpoint: Endpoint::start(DOWN).await? })
    }

    /// Makes the subscribers on the stack.
    pub(crate) async fn subscribe(&self, stack: &StackDescription) -> Result<Payments, LocalError> {
        let function = CrmFunction::find();
        if function == CrmFunction::StandIn {
            say("… TypeScript's bundle or node is missing: a stand-in in Python is invoked");
        }
        function.create(&stack.endpoint_url, FUNCTION, self.crm.url()).await?;
        Payments::subscribe(stack, SUBSCRIBER).await
    }

    /// Waits until the bus has handed over so many payments, or too long.
    pub(crate) async fn fates(
        &self,
        payments: &Payments,
        count: usize,
    ) -> Result<Fates, LocalError> {
        let deadline = Instant::now() + HANDED_OVER_WITHIN;
        loop {
            let kept = payments.kept().await?;
            if kept.len() >= count || Instant::now() > deadline {
                let (told, forwarded) = (self.crm.received(), self.endpoint.received());
                let endpoint_url = self.endpoint.url().to_owned();
                return Ok(Fates { kept, told, forwarded, endpoint_url });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Fates {
    /// What must stand in no log.
    pub(crate) fn signatures(&self) -> impl Iterator<Item = String> {
        self.forwarded.iter().map(|it| it.header("webhook-signature").to_lowercase())
    }
}

/// What each of them got, as a table.
pub(crate) fn subscriber_rows(fates: &Fates) -> Vec<String> {
    let row = |who: &str, event: &str, came_of_it: String| {
        vec![who.to_owned(), event.to_owned(), came_of_it]
    };
    let kept = fates
        .kept
        .iter()
        .map(|(event, amount)| row("subscriber of the bus", event, format!("keeps {amount}")));
    let told = fates.told.iter().map(|it| {
        row("function, invoked", it.header("idempotency-key"), format!("CRM: {}", it.status))
    });
    let forwarded = fates.forwarded.iter().map(|it| {
        row("endpoint, forwarded to", it.header("webhook-id"), format!("answers {}", it.status))
    });
    let rows: Vec<Vec<String>> = kept.chain(told).chain(forwarded).collect();
    table(&["who", "what", "came of it"], &rows)
}

/// One payment reaches both subscribers, once; what was forwarded in vain is forwarded
/// again, and genuine.
pub(crate) fn claim_subscribers(
    claims: &mut Claims,
    seen: &[Seen<'_>],
    fates: &Fates,
    stack: &StackDescription,
) {
    let payments = ["/webhooks/stripe#evt_test_1", "/webhooks/stripe_eu#evt_test_eu"];
    let expected = payments.map(|event| (event.to_owned(), "4200 eur".to_owned()));
    claims.equal(
        "the subscriber of the bus keeps both payments",
        &BTreeMap::from(expected),
        &fates.kept,
    );
    let mut told: Vec<&str> = fates.told.iter().map(|it| it.header("idempotency-key")).collect();
    told.sort_unstable();
    claims.equal(
        "and the function that is invoked tells the CRM of both, once",
        &payments.to_vec(),
        &told,
    );
    let payment = find(seen, "payment_intent.succeeded").and_then(|seen| seen.record.as_ref());
    let routes = [ROUTE_PUBLISHES, ROUTE_CRM, "mirror"].map(str::to_owned);
    claims.equal(
        "the payment is done by each of its three routes",
        &BTreeSet::from(routes),
        &done(payment).into_iter().collect(),
    );

    let statuses: Vec<u16> = fates.forwarded.iter().map(|it| it.status).collect();
    claims.equal(
        "the endpoint is down twice, then takes the event",
        &vec![503, 503, 200],
        &statuses,
    );
    let ids: BTreeSet<&str> = fates.forwarded.iter().map(|it| it.header("webhook-id")).collect();
    claims.equal("under one webhook-id, by which it could deduplicate", &1, &ids.len());
    let user = find(seen, "user.created");
    let failed: Vec<String> = history(user.and_then(|seen| seen.record.as_ref()))
        .into_iter()
        .map(|(_, detail)| detail)
        .collect();
    let host = fates
        .endpoint_url
        .strip_prefix("http://")
        .and_then(|it| it.split('/').next())
        .unwrap_or_default();
    let reason = format!("{ROUTE_FORWARDS}: {host} answered 503");
    claims.equal(
        "both failures are in the event's history",
        &vec![reason.clone(), reason],
        &failed,
    );
    let secret = stack.forward_secrets.get(ROUTE_FORWARDS).map(|it| it.value().to_string());
    let genuine = |value: Option<&str>| -> Vec<bool> {
        fates.forwarded.iter().map(|it| is_genuine(it, value.unwrap_or_default())).collect()
    };
    claims.equal(
        "each attempt is signed for the endpoint",
        &vec![true; 3],
        &genuine(secret.as_deref()),
    );
    let own = &stack.secrets[SCHEME];
    let other = serde_json::json!({ "signing_secrets": own }).to_string();
    claims.equal("and not with the provider's secret", &vec![false; 3], &genuine(Some(&other)));
    let sent: Option<serde_json::Value> =
        user.and_then(|seen| serde_json::from_slice(&seen.sent.act.delivery.body).ok());
    let got = fates.forwarded.last().map(|it| it.json()["data"].clone());
    claims.equal(
        "what it got is what the provider sent, as a CloudEvent",
        &true,
        &(sent.is_some() && sent == got),
    );
}

/// The receiver's own verdict on what was forwarded.
fn is_genuine(received: &Received, secret: &str) -> bool {
    let request =
        Request::new(Method::POST, String::new(), received.headers.clone(), received.body.clone());
    let provider = providers::find(SCHEME);
    let secrets = SecretBundle::parse(secret);
    match (provider, secrets) {
        (Some(provider), Ok(secrets)) => {
            provider.verify(&request, &secrets, Timestamp::now()).is_ok()
        }
        _ => false,
    }
}
