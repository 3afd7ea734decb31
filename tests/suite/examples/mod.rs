//! The example subscribers, run: by the inbox, on the local stack.
//!
//! Their Terraform is checked with the rest of `infra/`; `make examples` builds them.

mod python;
mod typescript;

use std::time::{Duration, Instant};

use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, Record};
use inbox_local::{Delivery, LocalStack, StackOptions, testbed};
use serde_json::Value;

const WITHIN: Duration = Duration::from_mins(1);

/// A stack of the test's own, with these routes and waits of a second.
async fn stack(name: &str, routes: Value) -> LocalStack {
    let options = StackOptions {
        directory: testbed::directory(name).expect("a directory"),
        routes,
        retry_delays_seconds: vec![1, 1],
        park_above_seconds: 1,
        ..StackOptions::default()
    };
    LocalStack::start(options, |_| ()).await.expect("a stack")
}

/// A payment that succeeded, under an id of its own.
fn payment(stack: &LocalStack, id: &str) -> Delivery {
    let secret = &stack.description().secrets["stripe"][0];
    let fixture = Delivery::fixture("stripe", "payment_intent_succeeded.json", secret);
    fixture.expect("a fixture").replacing("evt_test_1", id)
}

/// Sends it as Stripe would: again, where a receiver is slower to start than that waits.
async fn send(stack: &LocalStack, delivery: &Delivery) {
    let deadline = Instant::now() + WITHIN;
    loop {
        let answer = delivery.send(&stack.description().public_base_url).await.expect("an answer");
        if answer.status() == 200 {
            return;
        }
        assert!(answer.status() == 503 && Instant::now() < deadline, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Its record, as soon as it is no longer unfinished.
async fn finished(stack: &LocalStack, id: &str) -> Record {
    let key = EventKey { source: "stripe".to_owned(), id: id.to_owned() };
    let deadline = Instant::now() + WITHIN;
    loop {
        let record = stack.ledger().get(&key).await.expect("an answer").expect("the event");
        if !record.state.is_unfinished() {
            return record;
        }
        assert!(Instant::now() < deadline, "{record:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
