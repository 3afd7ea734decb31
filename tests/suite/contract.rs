//! What the emulator lets pass and AWS does not: every call that the stories of
//! [`crate::crash`] make is held to the services' own rules.
//!
//! - Expressions: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html>:
//!   a placeholder that is used is defined, one that is defined is used, and no
//!   attribute is set and removed at once.
//! - Reserved words: no attribute is named but by a placeholder.
//! - Index keys are never empty, numbers have at most 38 digits.
//! - SQS: the source is the message group, which makes a standard queue a fair
//!   one; at most ten attributes, none of them empty; no character that XML 1.0
//!   forbids; visibility within twelve hours.
//!   <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use inbox_aws::{AwsClock, DynamoDbLedger, Limits, SqsQueue, sdk_config};
use inbox_core::ledger::{Due, DuePage, LONGEST_DELAY, Ledger, shard_of};
use inbox_core::queue::{DeadLetter, Pointer, Queue};
use inbox_core::stack::stack;
use inbox_local::calls::{Call, Fault};
use inbox_local::proxy::Proxy;
use inbox_local::testbed::TestBed;
use serde_json::{Value, json};

use crate::conformance::{at, event, new_event};
use crate::crash::fuse::Fuse;
use crate::crash::stories;
use crate::crash::world::World;

/// Every write and query that the stories make.
async fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    for (story, _) in stories() {
        let bed = TestBed::new().await.expect("test bed");
        let proxy = Proxy::start(&bed.endpoint_url).await.expect("proxy");
        let aws = inbox_local::resources::sdk_config(proxy.url());
        let ledger = Arc::new(DynamoDbLedger::new(&aws, bed.table.clone()));
        World::new(ledger, story, Fuse::new(&[])).play().await;
        calls.extend(proxy.take_calls());
    }
    calls
}

fn body(call: &Call) -> Value {
    serde_json::from_slice(&call.body).expect("AWS is spoken to in JSON")
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

/// Placeholders in an expression: `#name` and `:value`.
fn placeholders(expression: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    expression
        .match_indices(['#', ':'])
        .map(|(at, sign)| {
            let word: String = expression[at + 1..].chars().take_while(|c| is_word(*c)).collect();
            format!("{sign}{word}")
        })
        .collect()
}

/// Words that are neither placeholders nor of the language.
fn bare_words(expression: &str) -> Vec<String> {
    const LANGUAGE: [&str; 10] = [
        "AND",
        "OR",
        "NOT",
        "IN",
        "SET",
        "REMOVE",
        "attribute_exists",
        "attribute_not_exists",
        "if_not_exists",
        "list_append",
    ];
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '#' | ':')))
        .filter(|word| !word.is_empty() && !word.starts_with(['#', ':']))
        .filter(|word| !LANGUAGE.contains(word))
        .map(str::to_owned)
        .collect()
}

fn each_number(value: &Value, check: &mut impl FnMut(&str)) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match (name.as_str(), inner) {
                    ("N", Value::String(number)) => check(number),
                    _ => each_number(inner, check),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each_number(item, check)),
        _ => {}
    }
}

#[tokio::test]
async fn every_call_to_dynamodb_is_one_that_the_real_service_takes() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for call in calls().await {
        *seen.entry(call.operation.clone()).or_default() += 1;
        let body = body(&call);
        let expressions: String =
            ["ConditionExpression", "UpdateExpression", "KeyConditionExpression"]
                .iter()
                .filter_map(|name| body[*name].as_str())
                .collect::<Vec<_>>()
                .join(" ; ");

        let used = placeholders(&expressions);
        let mut defined = keys(&body["ExpressionAttributeNames"]);
        defined.extend(keys(&body["ExpressionAttributeValues"]));
        assert_eq!(used, defined, "{expressions}");
        assert_eq!(bare_words(&expressions), Vec::<String>::new(), "{expressions}");

        if let Some(update) = body["UpdateExpression"].as_str() {
            let (sets, removes) = update.split_once(" REMOVE ").unwrap_or((update, ""));
            let sets = sets.strip_prefix("SET ").expect("every update sets something");
            let set: Vec<&str> =
                sets.split(", #").map(|one| one.split(' ').next().unwrap_or_default()).collect();
            let set: BTreeSet<String> =
                set.iter().map(|name| name.trim_start_matches('#').to_owned()).collect();
            let removed: BTreeSet<String> = removes
                .split(", ")
                .filter(|name| !name.is_empty())
                .map(|name| name.trim_start_matches('#').to_owned())
                .collect();
            assert_eq!(set.intersection(&removed).next(), None, "{update}");
            // No path lies within another that is set too.
            for path in &set {
                let parent = path.split_once('.').map(|(parent, _)| parent.to_owned());
                assert!(parent.is_none_or(|parent| !set.contains(&parent)), "{update}");
            }
        }
        each_number(&body, &mut |number| {
            let digits = number.bytes().filter(u8::is_ascii_digit).count();
            assert!(digits <= 38 && number.parse::<f64>().is_ok(), "{number}");
        });
        for key in ["pk", "timeline_shard", "timeline_at", "open_shard"] {
            assert_ne!(body["Item"][key]["S"], "", "{key}");
        }
        // Of the marks of slow routes nothing is learnt by a refusal.
        let is_of_marks = body["Key"]["pk"]["S"] == "MARKS#MARKS";
        if call.operation != "GetItem" && call.operation != "Query" && !is_of_marks {
            assert_eq!(
                body["ReturnValuesOnConditionCheckFailure"], "ALL_OLD",
                "a refusal must bring the item, so that the reason needs no second read: {body}"
            );
        }
    }
    // The stories reach everything that the ledger can say.
    assert!(seen["PutItem"] >= 5 && seen["UpdateItem"] > 30 && seen["Query"] > 15, "{seen:?}");
}

#[tokio::test]
async fn every_call_to_sqs_is_one_that_the_real_service_takes() {
    let bed = TestBed::new().await.expect("test bed");
    let proxy = Proxy::start(&bed.endpoint_url).await.expect("proxy");
    let aws = inbox_local::resources::sdk_config(proxy.url());
    let queue = SqsQueue::new(&aws, bed.queue_url.clone())
        .with_lane(Some(bed.lane_url.clone()))
        .with_dead_letters(bed.dlq_url.clone());
    let event = event(at(0));
    let nasty = "bad\u{0}\u{1b}[31m\u{FFFE}\u{FFFF}\r\nü";
    queue.send(&event, 1).await.expect("sent");
    queue.send_dead(&DeadLetter::buried(&event, 1, 7, nasty)).await.expect("sent");
    queue.send_dead(&DeadLetter::unreadable("?".into(), "\n")).await.expect("sent");
    let received = bed.sqs().receive_message().queue_url(&bed.queue_url).send().await;
    let received = received.expect("received");
    let handle = received.messages()[0].receipt_handle().expect("a handle");
    queue.hide(handle, false, 900).await.expect("hidden");

    queue.send_to_lane(&event, 1, LONGEST_DELAY).await.expect("sent");
    queue.send_to_lane(&event, 1, Duration::ZERO).await.expect("sent");
    let received = bed.sqs().receive_message().queue_url(&bed.lane_url).send().await;
    let received = received.expect("received");
    let handle = received.messages()[0].receipt_handle().expect("a handle");
    queue.hide(handle, true, 60).await.expect("hidden");

    let calls = proxy.take_calls();
    let [sent, buried, unreadable, hidden, later, _, in_lane] = &calls[..] else {
        panic!("seven calls: {calls:?}")
    };
    assert_eq!(body(later)["QueueUrl"], bed.lane_url);
    assert_eq!(body(later)["DelaySeconds"], 900, "the most that SQS takes");
    assert!(in_lane.is("sqs", "ChangeMessageVisibility"));
    assert_eq!(body(in_lane)["QueueUrl"], bed.lane_url);
    assert_eq!(body(sent)["MessageGroupId"], "stripe_eu");
    assert_eq!(body(sent)["QueueUrl"], bed.queue_url);
    let pointer = Pointer::parse(body(sent)["MessageBody"].as_str().expect("a body"));
    assert_eq!(pointer, Ok(Pointer { key: event.key.clone(), life: 1 }));

    assert_eq!(body(buried)["QueueUrl"], bed.dlq_url);
    let attributes = body(buried)["MessageAttributes"].clone();
    let names = ["attempts", "error", "event_id", "event_type", "source"];
    assert_eq!(keys(&attributes), names.map(str::to_owned).into());
    assert_eq!(attributes["error"], json!({"DataType": "String", "StringValue": "bad[31mü"}));
    // What would be empty is left out.
    assert_eq!(keys(&body(unreadable)["MessageAttributes"]), BTreeSet::new());

    assert!(hidden.is("sqs", "ChangeMessageVisibility"));
    assert_eq!(body(hidden)["VisibilityTimeout"], 900);
}

/// An answer that never comes is given up in time, on every attempt.
#[tokio::test]
async fn no_call_takes_longer_than_its_limit() {
    let bed = TestBed::new().await.expect("test bed");
    let proxy = Proxy::start(&bed.endpoint_url).await.expect("proxy");
    proxy.set_hook(|_| Fault::Delay(Duration::from_secs(30)));
    let limits = Limits {
        attempt: Duration::from_millis(100),
        attempts: 3,
        call: Duration::from_millis(600),
    };
    let aws = sdk_config(limits, &AwsClock::new(inbox_core::Timestamp::now))
        .await
        .into_builder()
        .endpoint_url(proxy.url())
        .region(aws_config::Region::from_static("us-east-1"))
        .credentials_provider(
            inbox_local::resources::sdk_config(proxy.url())
                .credentials_provider()
                .expect("credentials"),
        )
        .build();
    let queue = SqsQueue::new(&aws, bed.queue_url.clone());
    let started = Instant::now();
    let fault = queue.send(&event(at(0)), 1).await.expect_err("no answer");
    assert_eq!(
        fault.to_string(),
        "queue unavailable: SendMessage: no answer within the time limit"
    );
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(proxy.take_calls().len() >= 2, "the SDK tries again");
}

/// A row that somebody else put into the index does not hide those behind it.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_left_out_and_those_behind_it_are_found() {
    let bed = TestBed::new().await.expect("test bed");
    let ledger = DynamoDbLedger::new(&bed.sdk_config(), bed.table.clone());
    let new = new_event(at(0));
    ledger.claim(&new).await.expect("claim");
    let shard = shard_of(&new.event.key, stack().table.open_index.shards);
    bed.dynamodb()
        .put_item()
        .table_name(&bed.table)
        .item("pk", AttributeValue::S("no separator".into()))
        .item("open_shard", AttributeValue::S(format!("pending#{shard}")))
        .item("due_at", AttributeValue::N("1".into()))
        .send()
        .await
        .expect("put");
    let page = ledger.due(shard, None, 10, at(900)).await.expect("due");
    let due = Due { key: new.event.key, due_at: at(900), sweeps: 0 };
    assert_eq!(page, DuePage { due: vec![due.clone()], is_last: true });
    // Alone on its page, it is passed over.
    let page = ledger.due(shard, None, 1, at(900)).await.expect("due");
    assert_eq!(page.due, [due]);
}
