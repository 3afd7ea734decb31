//! Bad weather at the edges: what AWS refuses, lacks or garbles, and what a handler
//! does to its process. For each, one clear line in the log, the right answer, and
//! nothing lost.
//!
//! Faults that pass (500, resets, delays) are in `outages.rs`; here is what somebody
//! has to mend.

mod clocks;
mod denied;
mod garbled;
mod gone;
mod processes;
mod secrets;

use std::time::Duration;

use inbox_local::runtime_api::FunctionHost;
use serde_json::Value;

/// What a provider is told, whatever of ours is out of order.
pub(super) fn assert_unavailable(answer: &Value) {
    assert_eq!(answer["statusCode"], 503, "{answer}");
    assert_eq!(answer["body"], r#"{"error":"unavailable"}"#);
    assert_eq!(answer["headers"]["retry-after"], "10");
}

/// The faults of so many lines with this message, in order. What a process writes
/// comes by a pipe, maybe after its answer.
pub(super) async fn faults(host: &FunctionHost, message: &str, count: usize) -> Vec<String> {
    for _ in 0..500 {
        let found = written(host, message);
        if found.len() >= count {
            assert_eq!(found.len(), count, "{message}: {}", host.output());
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not {count} times {message}: {}", host.output());
}

fn written(host: &FunctionHost, message: &str) -> Vec<String> {
    let output = host.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["message"] == message)
        .map(|line| line["fault"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The line about it, and there is one.
pub(super) async fn fault(host: &FunctionHost, message: &str) -> String {
    faults(host, message, 1).await.remove(0)
}
