//! What goes out is accepted by those for whom it is: the official library of Standard
//! Webhooks, in Python, verifies requests as they came in.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inbox_local::paths;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::endpoint::{Received, says};
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A message for the script, with the headers under the names that start with `prefix`.
fn message(received: &Received, prefix: &str, secret: &str, good: bool) -> Value {
    let headers: serde_json::Map<String, Value> = ["id", "timestamp", "signature"]
        .map(|name| {
            let value = received.header(&format!("{prefix}webhook-{name}"));
            (format!("Webhook-{name}"), json!(value))
        })
        .into_iter()
        .collect();
    json!({
        "secret": secret, "headers": headers, "body": STANDARD.encode(&received.body), "good": good,
    })
}

/// Lets the library judge.
async fn judge(messages: &[Value]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/suite/forward/official.py");
    let mut child = Command::new(paths::emulator_python().expect("run `make setup`"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(json!(messages).to_string().as_bytes()).await.expect("it reads");
    drop(input);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("in time").expect("an end");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[tokio::test]
async fn the_official_library_accepts_what_is_sent_and_nothing_altered() {
    let endpoint = Endpoint::always(says(200, "")).await;
    let long = "ä\u{1F600}".repeat(100_000);
    let payloads = [
        ("application/json", r#"{"a": 1.0e2,"a":-0, "esc":"\u001B\ud83d\ude00"}"#),
        ("application/json", "{\"name\":\"Grüße aus Köln, \u{1F600}\"}"),
        ("application/x-www-form-urlencoded", "a=1&b=%20+%C3%BC"),
        ("text/plain", ""),
        ("text/plain", &long),
    ];
    for mode in ["structured", "binary"] {
        let options = json!({"mode": mode, "x_webhook_headers": true});
        let route = Route::to(&endpoint, &options);
        // The library knows the time by itself.
        route.clock.store(Timestamp::now().unix_ms(), Ordering::SeqCst);
        for (content_type, payload) in payloads {
            assert_eq!(route.attempt(&with_payload(content_type, payload), 1).await, Ok(()));
        }
    }
    let received = endpoint.received();
    assert_eq!(received.len(), 10);

    let mut messages = Vec::new();
    for request in &received {
        for secret in SECRETS {
            messages.push(message(request, "", secret, true));
            messages.push(message(request, "x-", secret, true));
        }
        let another = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        messages.push(message(request, "", another, false));
        let mut altered = request.clone();
        altered.body.push(b' ');
        messages.push(message(&altered, "", SECRETS[0], false));
    }
    assert_eq!(judge(&messages).await, messages.len().to_string());
}
