//! Handlers that keep a thread, keep all of them past the deadline, or want more
//! memory than there is. A panic, a hang and an exit are in `poison.rs` and in
//! `processor/protection.rs`.

use std::time::Duration;

use inbox_core::event::EventKey;
use inbox_core::ledger::State;
use inbox_local::paths;
use inbox_local::runtime_api::{FunctionHost, FunctionOptions, InvokeError};
use serde_json::{Value, json};

use super::super::rig::{Rig, key, payment, pointer, stripe, to_drill, to_mirror};

const POISON: &str = "charge_dispute_created.json";

/// The mirror for all, and a drill for one type.
fn routes(with: &Value) -> Value {
    json!([
        { "id": "mirror", "match": "stripe:payment_intent.*", "handler": "mirror" },
        { "id": "poison", "match": "stripe:charge.dispute.created", "handler": "drill", "with": with },
    ])
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_is_timed_out_and_its_neighbour_is_done() {
    let rig = Rig::new().await;
    let poison = rig.accept(&stripe(POISON)).await;
    rig.accept(&payment()).await;
    let mut processor = rig.processor(&routes(&json!({ "outcome": "block" }))).await;
    let kept = rig.process(&mut processor, rig.messages().await).await.expect("an answer");
    let kept: Vec<EventKey> = kept.iter().map(|it| pointer(it).key).collect();
    assert_eq!(kept, std::slice::from_ref(&poison));
    assert_eq!(rig.stands(&poison).await, Some((State::Failing, 1, 1)));
    let record = rig.record(&poison).await.expect("the event");
    assert_eq!(record.last_error.as_deref(), Some("poison: the handler took longer than 1 s"));
    assert_eq!(rig.stands(&key("evt_test_1")).await, Some((State::Done, 1, 1)));
}

/// As many as the process has threads: nothing in it runs any more, and Lambda ends
/// it at the deadline.
#[tokio::test]
async fn events_that_block_every_thread_are_ended_at_the_deadline_counted_and_come_back() {
    let rig = Rig::new().await;
    let mut keys: Vec<EventKey> = Vec::new();
    for file in [
        POISON,
        "customer_subscription_deleted.json",
        "customer_subscription_updated.json",
        "payment_intent_succeeded.json",
    ] {
        keys.push(rig.accept(&stripe(file)).await);
    }
    let mut processor = rig.processor(&to_drill(&json!({ "outcome": "block" }))).await;
    let messages = rig.messages().await;
    assert_eq!(messages.len(), 4);
    // A handler's second, the ten in reserve, and one.
    let event = super::super::requests::batch(&messages);
    let died = processor.invoke_json(&event, Duration::from_secs(12)).await;
    assert_eq!(died, Err(InvokeError::TimedOut));
    for key in &keys {
        assert_eq!(rig.stands(key).await, Some((State::Received, 1, 1)));
        rig.let_the_lease_end(key).await;
    }
    let mut processor = rig.processor(&to_mirror()).await;
    assert_eq!(rig.process(&mut processor, messages).await, Ok(Vec::new()));
    for key in &keys {
        assert_eq!(rig.stands(key).await, Some((State::Done, 1, 2)));
    }
}

/// The processor with a gigabyte to live in.
async fn confined(rig: &Rig, routes: &Value) -> FunctionHost {
    let binary = paths::binary("processor").expect("a built binary");
    let environment = [
        ("TABLE_NAME", rig.bed.table.as_str()),
        ("QUEUE_URL", &rig.bed.queue_url),
        ("DLQ_URL", &rig.bed.dlq_url),
        ("MIRROR_TABLE_NAME", &rig.bed.mirror_table),
        ("ROUTES", &routes.to_string()),
        ("RETRY_DELAYS_SECONDS", "0,0"),
        ("HANDLER_TIMEOUT_SECONDS", "10"),
        ("AWS_ENDPOINT_URL", rig.proxy.url()),
        ("AWS_SDK_UA_APP_ID", "processor"),
    ];
    let mut options = FunctionOptions::new("/bin/sh", environment);
    let confine = "ulimit -v 1048576 && ulimit -c 0 && exec \"$0\"";
    options.arguments =
        vec!["-c".to_owned(), confine.to_owned(), binary.to_string_lossy().into_owned()];
    FunctionHost::start(options).await.expect("this machine can start it").expect("it starts")
}

#[tokio::test]
async fn an_event_that_takes_all_memory_is_buried_after_its_attempts_and_its_neighbour_is_done() {
    let rig = Rig::new().await;
    let poison = rig.accept(&stripe(POISON)).await;
    rig.accept(&payment()).await;
    let messages = rig.messages().await;
    let routes = routes(&json!({ "outcome": "allocate", "megabytes": 4096 }));
    for attempt in 1..=3 {
        let mut processor = confined(&rig, &routes).await;
        let died = rig.process(&mut processor, messages.clone()).await;
        assert_eq!(
            died,
            Err(InvokeError::Exited { status: "signal: 6 (SIGABRT)".to_owned() }),
            "{}",
            processor.output()
        );
        assert_eq!(rig.stands(&poison).await, Some((State::Received, 1, attempt)));
        for key in [&poison, &key("evt_test_1")] {
            rig.let_the_lease_end(key).await;
        }
    }
    let mut processor = confined(&rig, &routes).await;
    assert_eq!(rig.process(&mut processor, messages).await, Ok(Vec::new()));
    assert_eq!(rig.stands(&poison).await, Some((State::Dead, 1, 3)));
    assert_eq!(
        rig.dead_letters().await.iter().map(pointer).map(|it| it.life).collect::<Vec<_>>(),
        [2]
    );
    let stands = rig.stands(&key("evt_test_1")).await;
    assert!(matches!(stands, Some((State::Done, 1, 1 | 2))), "{stands:?}");
}
