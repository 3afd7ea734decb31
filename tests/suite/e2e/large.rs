//! Payloads that fit no item: in the bucket before the claim, back for the handlers,
//! and nothing lost whatever dies, fails or is gone in between.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, LedgerError, State};
use inbox_core::stack::stack;
use inbox_local::Delivery;
use inbox_local::calls::Fault;
use inbox_local::runtime_api::InvokeError;
use serde_json::json;

use super::bad_input::noise;
use super::requests::batch;
use super::rig::{
    Answer, DEADLINE, Rig, When, key, names, payment, sent_until_kept, to_drill, to_mirror,
    to_mirror_instead,
};
use super::stack::{Stack, header};

/// The most that Lambda hands to a function.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const EVENT_BYTES: usize = 6 * 1024 * 1024;

/// What a compressed object's key ends in.
const GZIP: &str = ".gz";

fn large_payment(bytes: usize) -> Delivery {
    enlarged(payment(), bytes)
}

/// The same event with so much text more, which does not compress into an item.
pub(crate) fn enlarged(delivery: Delivery, bytes: usize) -> Delivery {
    let text: String = noise(bytes).iter().map(|byte| char::from(b'0' + byte % 64)).collect();
    let body = String::from_utf8(delivery.body.to_vec()).expect("JSON");
    let text = text.replace('\\', "|");
    let body = body.replacen('{', &format!("{{\"memo\":\"{text}\","), 1);
    delivery.with_body(body)
}

fn event_of_payment() -> EventKey {
    key("evt_test_1")
}

impl Rig {
    /// The keys of all objects.
    pub(super) async fn objects(&self) -> Vec<String> {
        let listed = self.bed.s3().list_objects_v2().bucket(&self.bed.payload_bucket).send().await;
        let listed = listed.expect("a list").contents.unwrap_or_default();
        listed.into_iter().filter_map(|it| it.key).collect()
    }

    /// Accepts a large payment, whose object's key is returned.
    async fn accept_large(&self) -> String {
        self.accept(&large_payment(1_000_000)).await;
        let record = self.record(&event_of_payment()).await.expect("the event");
        record.payload_ref.expect("an object").key
    }
}

#[tokio::test]
async fn a_payload_that_fits_no_item_is_in_the_bucket_before_the_claim_and_reaches_the_handler() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    let delivery = large_payment(1_000_000);
    assert_eq!(rig.deliver(&mut receiver, &delivery).await, Ok(Answer::accepted()));
    assert_eq!(
        names(&rig.proxy.take_calls()),
        ["s3 PutObject", "dynamodb PutItem", "sqs SendMessage"]
    );
    let mut record = rig.record(&event_of_payment()).await.expect("the event");
    let outside = record.payload_ref.clone().expect("an object");
    assert_eq!(outside.bytes, delivery.body.len());
    assert_eq!(rig.objects().await, std::slice::from_ref(&outside.key));
    assert!(outside.key.starts_with("stripe/") && outside.key.ends_with(GZIP), "{outside:?}");
    assert!(record.event.payload.bytes.is_empty());
    rig.ledger.load(&mut record).await.expect("a payload");
    assert!(record.event.payload.bytes == delivery.body, "byte for byte");

    let mut processor = rig.processor(&to_mirror()).await;
    rig.process_all(&mut processor).await;
    let calls = names(&rig.proxy.calls());
    let expected =
        ["dynamodb UpdateItem", "s3 GetObject", "dynamodb PutItem", "dynamodb UpdateItem"];
    assert_eq!(calls[..4], expected);
    assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Done, 1, 1)));
    let row = rig.mirrored("payment_intent", "pi_test_1").await.expect("its copy");
    assert_eq!(row.event_id, "evt_test_1");

    // A repeat writes the same object again, and nothing else.
    assert_eq!(rig.deliver(&mut receiver, &delivery).await, Ok(Answer::duplicate()));
    assert_eq!(rig.objects().await, [outside.key]);
}

#[tokio::test]
async fn a_large_body_that_compresses_into_the_item_needs_no_object() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    let spaces = " ".repeat(3_000_000);
    let body = String::from_utf8(payment().body.to_vec()).expect("JSON");
    let delivery = payment().with_body(body + &spaces);
    assert_eq!(rig.deliver(&mut receiver, &delivery).await, Ok(Answer::accepted()));
    assert_eq!(names(&rig.proxy.take_calls()), ["dynamodb PutItem", "sqs SendMessage"]);
    let record = rig.record(&event_of_payment()).await.expect("the event");
    assert!(record.event.payload.bytes == delivery.body, "byte for byte");
}

/// An event of just the size that Lambda takes, whatever the body is made of.
#[tokio::test]
async fn the_largest_event_that_lambda_takes_is_accepted_and_handled() {
    for is_base64 in [true, false] {
        let rig = Rig::new().await;
        let mut receiver = rig.receiver().await;
        let event = |memo_bytes: usize| {
            let delivery = large_payment(memo_bytes);
            let mut event = rig.gateway_event(&delivery);
            if !is_base64 {
                let text = std::str::from_utf8(&delivery.body).expect("JSON");
                event["body"] = json!(text);
                event["isBase64Encoded"] = json!(false);
            }
            (event, delivery)
        };
        let room = EVENT_BYTES - event(0).0.to_string().len();
        let (event, delivery) = event(if is_base64 { room / 4 * 3 } else { room });
        let size = event.to_string().len();
        assert!((EVENT_BYTES - 8..=EVENT_BYTES).contains(&size), "{size}");
        sent_until_kept(&mut receiver, &event).await;
        let mut record = rig.record(&event_of_payment()).await.expect("the event");
        rig.ledger.load(&mut record).await.expect("a payload");
        assert!(record.event.payload.bytes == delivery.body, "byte for byte");

        let mut processor = rig.processor(&to_mirror()).await;
        rig.process_all(&mut processor).await;
        assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Done, 1, 1)));
        assert_eq!(rig.mirror_writes(), 1);
    }
}

/// The most that the process has ever held, of the size that it may have.
fn peak_of_memory(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).expect("a process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes / 1024
}

#[tokio::test]
async fn a_batch_of_the_largest_events_fits_the_functions_memory() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    let batch_size = stack().event_source_mapping.batch_size;
    for n in 0..batch_size {
        let delivery = enlarged(payment(), 4_600_000).replacing("evt_test_1", &format!("evt_{n}"));
        sent_until_kept(&mut receiver, &rig.gateway_event(&delivery)).await;
    }
    let peak = peak_of_memory(receiver.process_id());
    assert!(peak < u64::from(stack().receiver.memory_mb), "receiver: {peak} MB");

    let mut processor = rig.processor(&to_mirror()).await;
    let messages = rig.messages().await;
    assert_eq!(messages.len(), batch_size as usize);
    // Those that find no room beside the others are left, and come again.
    let mut messages = messages;
    while !messages.is_empty() {
        let kept = rig.process(&mut processor, messages.clone()).await.expect("an answer");
        assert!(kept.len() < messages.len(), "none of {} was handled", messages.len());
        messages = kept;
    }
    let peak = peak_of_memory(processor.process_id());
    assert!(peak < u64::from(stack().processor.memory_mb), "processor: {peak} MB");
}

#[tokio::test]
async fn through_the_gateway_a_body_of_four_and_a_half_megabytes_is_kept_and_handled() {
    let stack_under_test = Stack::shared().await;
    let mut delivery = stack_under_test
        .fixture("stripe", "payment_intent_succeeded.json")
        .with_body(noise(4_500_000));
    delivery.content_type = "application/octet-stream".to_owned();
    let answer = stack_under_test.send(&delivery).await;
    assert_eq!(answer.status(), 200);
    let id = header(&answer, "x-inbox-id").expect("an id").to_owned();
    let key = EventKey { source: "stripe".to_owned(), id };
    let mut record = stack_under_test.ended(&key).await;
    assert_eq!(record.state, State::Done);
    let outside = record.payload_ref.clone().expect("an object");
    assert!(!outside.key.ends_with(GZIP), "what does not shrink is kept as it is: {outside:?}");
    stack_under_test.ledger.load(&mut record).await.expect("a payload");
    assert!(record.event.payload.bytes == delivery.body, "byte for byte");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_its_signature_is_looked_at() {
    let rig = Rig::new().await;
    let inline = stack().defaults.inline_payload_bytes;
    // Without a bucket, what may not fit an item is not taken.
    for (settings, limit) in
        [(&[("MAX_BODY_BYTES", "5000")][..], 5000), (&[("PAYLOAD_BUCKET", "")][..], inline)]
    {
        let mut receiver = rig.receiver_with(settings).await;
        for (bytes, status) in [(limit, 200), (limit + 1, 413)] {
            let mut delivery = payment().with_body(noise(bytes));
            delivery.content_type = "application/octet-stream".to_owned();
            let event = rig.gateway_event(&delivery);
            let answer = receiver.invoke_json(&event, DEADLINE).await.expect("an answer");
            assert_eq!(answer["statusCode"], status, "{bytes} bytes");
            if status == 413 {
                assert_eq!(answer["body"], r#"{"error":"body_too_large"}"#);
            }
        }
    }
}

/// Or nobody could find it to forget it.
#[tokio::test]
async fn a_repeat_with_other_bytes_leaves_no_object_that_no_event_names() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    let first = large_payment(1_000_000);
    assert_eq!(rig.deliver(&mut receiver, &first).await, Ok(Answer::accepted()));
    let objects = rig.objects().await;
    let other = large_payment(1_000_001);
    assert_eq!(rig.deliver(&mut receiver, &other).await, Ok(Answer::duplicate()));
    assert_eq!(rig.objects().await, objects);
    // The same bytes once more are the object that is there.
    assert_eq!(rig.deliver(&mut receiver, &first).await, Ok(Answer::duplicate()));
    assert_eq!(rig.objects().await, objects);
    let mut processor = rig.processor(&to_mirror()).await;
    rig.process_all(&mut processor).await;
    assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Done, 1, 1)));
}

#[tokio::test]
async fn an_event_that_nobody_handles_needs_no_payload() {
    let rig = Rig::new().await;
    rig.accept_large().await;
    let routes = json!([{ "id": "mirror", "match": "github:*", "handler": "mirror" }]);
    let mut processor = rig.processor(&routes).await;
    rig.process_all(&mut processor).await;
    assert_eq!(names(&rig.proxy.calls()), ["dynamodb UpdateItem", "dynamodb UpdateItem"]);
    assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Done, 1, 1)));
}

#[tokio::test]
async fn a_receiver_killed_after_the_object_and_before_the_claim_leaves_an_orphan_at_most() {
    for (when, operation) in [(When::After, "PutObject"), (When::Before, "PutItem")] {
        let rig = Rig::new().await;
        let mut receiver = rig.receiver().await;
        let delivery = large_payment(1_000_000);
        rig.kill_at(receiver.killer(), when, operation, 1);
        let killed = InvokeError::Exited { status: "signal: 9 (SIGKILL)".to_owned() };
        assert_eq!(rig.deliver(&mut receiver, &delivery).await, Err(killed));
        rig.proxy.clear_hook();
        assert_eq!(rig.record(&event_of_payment()).await, None);
        let orphans = rig.objects().await;
        assert_eq!(orphans.len(), 1);
        // The provider's repeat claims it.
        let mut receiver = rig.receiver().await;
        assert_eq!(rig.deliver(&mut receiver, &delivery).await, Ok(Answer::accepted()));
        assert_eq!(rig.objects().await, orphans);
        let mut processor = rig.processor(&to_mirror()).await;
        rig.process_all(&mut processor).await;
        assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Done, 1, 1)));
    }
}

#[tokio::test]
async fn while_the_bucket_is_out_of_order_a_large_event_is_not_accepted_and_small_ones_are() {
    let rig = Rig::new().await;
    let mut receiver = rig.receiver().await;
    for fault in [Fault::status(503, "SlowDown"), Fault::DropBefore, Fault::Delay(DEADLINE)] {
        rig.proxy.fail_next("s3", "PutObject", usize::MAX, fault.clone());
        let event = rig.gateway_event(&large_payment(1_000_000));
        let answer = receiver.invoke_json(&event, DEADLINE).await.expect("an answer");
        assert_eq!(
            (&answer["statusCode"], &answer["body"]),
            (&json!(503), &json!(r#"{"error":"unavailable"}"#))
        );
        assert_eq!(rig.record(&event_of_payment()).await, None, "{fault:?}");
    }
    assert_eq!(rig.deliver(&mut receiver, &payment()).await, Ok(Answer::accepted()));
}

/// As for a handler that fails: the outage is waited out by the retry table.
#[tokio::test]
async fn while_the_bucket_cannot_be_read_the_attempt_fails_and_another_follows() {
    let rig = Rig::new().await;
    rig.accept_large().await;
    let mut processor = rig.processor(&to_mirror()).await;
    rig.proxy.fail_next("s3", "GetObject", usize::MAX, Fault::status(503, "SlowDown"));
    let messages = rig.messages().await;
    let kept = rig.process(&mut processor, messages).await.expect("an answer");
    assert_eq!(kept.len(), 1);
    let record = rig.record(&event_of_payment()).await.expect("the event");
    assert_eq!((record.state, record.attempts), (State::Failing, 1));
    assert_eq!(record.leased_until, None);
    let error = record.last_error.expect("an error");
    assert!(error.starts_with("mirror: ledger unavailable: GetObject"), "{error}");
    rig.proxy.clear_hook();
    rig.process_all(&mut processor).await;
    assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Done, 1, 2)));
    assert_eq!(rig.mirror_writes(), 1);
}

#[tokio::test]
async fn a_reply_of_the_bucket_that_breaks_off_is_asked_for_again() {
    let rig = Rig::new().await;
    rig.accept_large().await;
    let mut processor = rig.processor(&to_mirror()).await;
    rig.proxy.fail_next("s3", "GetObject", 1, Fault::DropReply);
    rig.process_all(&mut processor).await;
    assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Done, 1, 1)));
}

#[tokio::test]
async fn a_payload_that_is_gone_or_was_changed_is_buried_at_once_and_says_so() {
    for is_gone in [true, false] {
        let rig = Rig::new().await;
        let key = rig.accept_large().await;
        let (s3, bucket) = (rig.bed.s3(), &rig.bed.payload_bucket);
        if is_gone {
            s3.delete_object().bucket(bucket).key(&key).send().await.expect("gone");
        } else {
            // Well-formed, and of another content.
            let forged = include_bytes!("../operator/forged_payload.json.gz");
            let other = ByteStream::from_static(forged);
            let put = s3.put_object().bucket(bucket).key(&key).body(other).send().await;
            put.expect("changed");
        }
        let mut processor = rig.processor(&to_mirror()).await;
        rig.process_all(&mut processor).await;
        let record = rig.record(&event_of_payment()).await.expect("the event");
        assert_eq!((record.state, record.attempts), (State::Dead, 1));
        let expected = if is_gone {
            format!("mirror: payload lost: object {key} is not in the payload bucket")
        } else {
            format!("mirror: payload lost: object {key} is not what was put there")
        };
        assert_eq!(record.last_error, Some(expected));
        let letters = rig.dead_letters().await;
        assert_eq!(letters.len(), 1);
        assert_eq!(rig.mirror_writes(), 0);
        // Redriven, it stays dead and its letter goes back, as often as somebody tries.
        if is_gone {
            let answer = processor.invoke_json(&batch(&letters), DEADLINE).await;
            assert_eq!(answer.expect("an answer")["batchItemFailures"], json!([]));
            assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Dead, 1, 1)));
            assert_eq!(rig.dead_letters().await.len(), 1);
        }
        let mut record = rig.record(&event_of_payment()).await.expect("the event");
        let lost = rig.ledger.load(&mut record).await;
        assert!(matches!(lost, Err(LedgerError::PayloadLost(_))), "{lost:?}");
    }
}

/// The bucket's lifecycle counts from the object's last write: whoever keeps an
/// event longer writes its object again first.
#[tokio::test]
async fn a_redriven_event_has_its_object_made_young_again_before_its_new_life() {
    let rig = Rig::new().await;
    rig.accept_large().await;
    let mut processor = rig.processor(&to_drill(&json!({ "outcome": "permanent" }))).await;
    rig.process_all(&mut processor).await;
    let letters = rig.dead_letters().await;
    assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Dead, 1, 1)));
    let before = rig.modified().await;
    // S3 tells whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;

    let mut processor = rig.processor(&to_mirror_instead()).await;
    let answer = processor.invoke_json(&batch(&letters), DEADLINE).await.expect("an answer");
    assert_eq!(answer["batchItemFailures"], json!([]));
    let calls = names(&rig.proxy.calls());
    let expected = [
        "dynamodb UpdateItem",
        "s3 CopyObject",
        "dynamodb UpdateItem",
        "dynamodb UpdateItem",
        "s3 GetObject",
        "dynamodb PutItem",
        "dynamodb UpdateItem",
    ];
    assert_eq!(calls, expected);
    assert_eq!(rig.stands(&event_of_payment()).await, Some((State::Done, 2, 1)));
    assert!(rig.modified().await > before);
}

impl Rig {
    async fn modified(&self) -> i64 {
        let listed = self.bed.s3().list_objects_v2().bucket(&self.bed.payload_bucket).send().await;
        let objects = listed.expect("a list").contents.unwrap_or_default();
        objects[0].last_modified.expect("a time").secs()
    }
}
