//! `inbox logs` on AWS: CloudWatch's log group, read by the SDK. Lambda's logs are no part
//! of a bed, so the proxy answers for CloudWatch.

use std::sync::{Arc, Mutex};

use inbox_local::calls::Fault;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::rig::{Operator, finish};

const FUNCTION: &str = "inbox-prod-processor";

async fn deployed() -> Operator {
    let mut operator = Operator::new().await;
    operator.set("functions", json!({"processor": FUNCTION}));
    operator
}

fn line(id: &str, at_ms: i64, text: &str) -> Value {
    json!({"eventId": id, "timestamp": at_ms, "message": text, "logStreamName": "s"})
}

/// From now on `FilterLogEvents` is answered with these pages, one a call, and then with
/// the last; returns what it was asked.
fn answer(operator: &Operator, pages: Vec<Value>) -> Arc<Mutex<Vec<Value>>> {
    let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = Arc::clone(&asked);
    operator.proxy.set_hook(move |call| {
        if !call.is("logs", "FilterLogEvents") {
            return Fault::None;
        }
        let mut seen = seen.lock().expect("a list");
        seen.push(call.json().clone());
        let body = pages[(seen.len() - 1).min(pages.len() - 1)].clone();
        Fault::Answer { status: 200, body }
    });
    asked
}

#[tokio::test]
async fn all_pages_of_a_log_are_written_as_the_function_wrote_them() {
    let operator = deployed().await;
    let first = line("a", 1, "{\"level\":\"INFO\"}\n");
    let pages = vec![
        json!({"events": [first], "nextToken": "more"}),
        json!({"events": [line("b", 2, "{\"level\":\"ERROR\"}")]}),
    ];
    let asked = answer(&operator, pages);
    let arguments = ["logs", "processor", "--since", "2026-11-22T04:50:00Z", "--no-follow"];
    let ran = operator.run(&arguments).await.expect(0);
    assert_eq!(ran.text(), "{\"level\":\"INFO\"}\n{\"level\":\"ERROR\"}\n", "lines for `jq`");
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0]["logGroupName"], format!("/aws/lambda/{FUNCTION}"));
    assert_eq!(asked[0]["startTime"], 1_795_323_000_000_i64);
    assert_eq!((&asked[0]["nextToken"], &asked[1]["nextToken"]), (&Value::Null, &json!("more")));
}

#[tokio::test]
async fn a_log_is_followed_until_somebody_has_seen_enough() {
    let operator = deployed().await;
    let now_ms = inbox_core::Timestamp::now().unix_ms();
    let (old, new) = (line("a", now_ms, "one"), line("b", now_ms + 1, "two"));
    let both = json!({"events": [old, new]});
    answer(&operator, vec![json!({"events": [old]}), both]);
    let mut child = operator.start(&["logs", "processor"]);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    for expected in ["one", "two"] {
        let next = lines.next_line().await.expect("text");
        assert_eq!(next.as_deref(), Some(expected), "each line once");
    }
    let pid = child.id().expect("it runs").to_string();
    let told = tokio::process::Command::new("kill").args(["-INT", &pid]).status().await;
    assert!(told.expect("kill").success());
    finish(child).await.expect(0);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_told_with_what_to_do() {
    let operator = deployed().await;
    operator.proxy.set_hook(|_| Fault::status(400, "AccessDeniedException"));
    let ran = operator.run(&["logs", "processor"]).await.expect(3);
    assert!(ran.stderr.contains("FilterLogEvents: AccessDeniedException"), "{}", ran.stderr);
    assert!(ran.stderr.contains("ask for the operator's role"), "{}", ran.stderr);
    let ran = operator.run(&["logs", "processor", "--since", "lately"]).await.expect(2);
    assert!(ran.stderr.contains("--since: \"lately\" is no time"), "{}", ran.stderr);
}
