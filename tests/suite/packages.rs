//! The packages that `make package` built, on the local stack: what is deployed is what
//! was tested. `make package-test` runs these; without packages there is nothing to run.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, State};
use inbox_local::{Delivery, LocalStack, StackOptions, http_client, packages, testbed};

const WITHIN: Duration = Duration::from_mins(1);

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("INBOX_PACKAGES").expect("make package-test names the folder"))
}

#[tokio::test]
#[ignore = "needs packages: make package, then make package-test"]
async fn the_packages_receive_handle_and_sweep() {
    let directory = testbed::directory("packages").expect("a directory");
    let binaries = packages::unpack(&folder(), &directory.join("bin")).expect("packages");
    let options = StackOptions {
        directory,
        binaries: Some(binaries),
        sweep_interval: None,
        ..StackOptions::default()
    };
    let stack = LocalStack::start(options, |_| ()).await.expect("a stack");
    let description = stack.description().clone();

    let secret = &description.secrets["stripe"][0];
    let delivery =
        Delivery::fixture("stripe", "payment_intent_succeeded.json", secret).expect("a fixture");
    let headers = delivery.headers(&description.public_base_url);
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let url = stack.source_url("stripe");
    let request = http_client::build("POST", &url, &headers, delivery.body.clone());
    let answer = http_client::send(request.expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{}", stack.function_log("receiver-stripe"));
    let id = answer.headers()["x-inbox-id"].to_str().expect("text").to_owned();

    let ledger = stack.ledger();
    let key = EventKey { source: "stripe".to_owned(), id };
    let deadline = Instant::now() + WITHIN;
    loop {
        let record = ledger.get(&key).await.expect("the ledger").expect("the event");
        if record.state == State::Done {
            break;
        }
        let log = stack.function_log("processor");
        assert!(Instant::now() < deadline, "{:?}\n{log}", record.state);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stack.sweep().await.expect("a sweep");
    stack.stop().await;
}
