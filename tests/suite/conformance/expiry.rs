//! An unfinished event never expires: every write keeps the rule of expiry, and a payload
//! in the bucket is renewed before its record lasts longer.

use inbox_aws::{DynamoDbLedger, S3PayloadStore};
use inbox_core::Timestamp;
use inbox_core::ledger::{
    Claimed, Due, Ledger, LedgerError, NewEvent, Record, Reopen, Rerun, Settled,
};
use inbox_core::signature::sha256_hex;
use inbox_local::calls::Fault;
use inbox_local::proxy::Proxy;
use inbox_local::resources::sdk_config;
use inbox_local::testbed::TestBed;

use super::{at, bury, claim, fail, held, key, new_event, on_every_ledger, reopen, run};

on_every_ledger!(
    no_attempt_of_the_table_moves_the_expiry,
    whatever_makes_an_event_due_later_makes_it_last_longer,
    a_claim_lasts_as_the_rule_asks_however_short_the_retention,
);

const DAY: u64 = 86_400;

/// 16 days after this second, in whole seconds.
fn outlives(seconds: u64) -> Timestamp {
    at(seconds + 16 * DAY).ceil_to_seconds()
}

async fn no_attempt_of_the_table_moves_the_expiry<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    let expires_at = held(ledger).await.expires_at;
    let record = run(ledger, "a", 1, 13 * DAY).await;
    fail(ledger, &record, 13 * DAY).await;
    let record = run(ledger, "b", 1, 13 * DAY + 100).await;
    bury(ledger, &record, 13 * DAY + 101).await;
    let dead = held(ledger).await;
    assert_eq!((dead.expires_at, dead.lasts()), (expires_at, true));
}

async fn whatever_makes_an_event_due_later_makes_it_last_longer<L: Ledger>(ledger: &L) {
    claim(ledger, 0).await;
    // Nobody came to it for three weeks.
    let seen = held(ledger).await;
    let due = |record: &Record| Due {
        key: key(),
        due_at: record.open.expect("unfinished").due_at(),
        sweeps: record.sweeps,
    };
    let swept = ledger.sweep(&due(&seen), at(21 * DAY)).await.unwrap().expect("swept");
    assert_eq!((swept.expires_at, swept.sweeps), (outlives(21 * DAY), 1));
    assert_eq!(held(ledger).await, swept);
    // A repeat of that write, and another one that read the same.
    assert_eq!(ledger.sweep(&due(&seen), at(21 * DAY)).await.unwrap(), Some(swept));
    assert_eq!(ledger.sweep(&due(&seen), at(22 * DAY)).await.unwrap(), None);

    let record = run(ledger, "a", 1, 23 * DAY).await;
    fail(ledger, &record, 23 * DAY).await;
    let failing = held(ledger).await;
    assert_eq!(failing.expires_at, outlives(23 * DAY + 960), "as its next sweep is due");
    let record = run(ledger, "b", 1, 24 * DAY).await;
    bury(ledger, &record, 24 * DAY).await;
    let dead = held(ledger).await;
    assert_eq!(dead.expires_at, outlives(24 * DAY), "it outlives its letter");
    let cause = Reopen::Replay { seen: 1, rerun: Rerun::Unfinished };
    assert_eq!(reopen(ledger, &dead, cause, "request-1", 50 * DAY).await, Settled::Written);
    assert!(held(ledger).await.lasts());
}

async fn a_claim_lasts_as_the_rule_asks_however_short_the_retention<L: Ledger>(ledger: &L) {
    let new = NewEvent { expires_at: at(DAY), ..new_event(at(0)) };
    assert_eq!(ledger.claim(&new).await.unwrap(), Claimed::Fresh);
    assert_eq!(held(ledger).await.expires_at, outlives(900));
}

/// A ledger behind a proxy, with one event whose payload lies in the bucket.
async fn with_a_large_payload() -> (TestBed, Proxy, DynamoDbLedger) {
    let bed = TestBed::new().await.expect("test bed");
    let proxy = Proxy::start(&bed.endpoint_url).await.expect("proxy");
    let aws = sdk_config(proxy.url());
    let payloads = S3PayloadStore::new(&aws, bed.payload_bucket.clone());
    let ledger = DynamoDbLedger::new(&aws, bed.table.clone()).with_payloads(Some(payloads));
    let mut new = new_event(at(0));
    let noise: String = (0..16_000_u32).map(|n| sha256_hex(&[&n.to_be_bytes()])).collect();
    new.event.payload.bytes = noise.into();
    assert_eq!(ledger.claim(&new).await.unwrap(), Claimed::Fresh);
    assert!(held(&ledger).await.payload_ref.is_some(), "it is too large for the item");
    let _ = proxy.take_calls();
    (bed, proxy, ledger)
}

/// Copies and updates, in their order.
fn writes(proxy: &Proxy) -> Vec<&'static str> {
    let written = |call: &inbox_local::calls::Call| {
        let is_copy = call.service == "s3" && call.method == "PUT";
        let is_update = call.is("dynamodb", "UpdateItem");
        if is_copy { Some("copy") } else { is_update.then_some("update") }
    };
    proxy.take_calls().iter().filter_map(written).collect()
}

#[tokio::test]
async fn a_payload_in_the_bucket_is_renewed_before_its_record_lasts_longer() {
    let (_bed, proxy, ledger) = with_a_large_payload().await;
    let record = run(&ledger, "a", 1, 10).await;
    fail(&ledger, &record, 10).await;
    assert_eq!(writes(&proxy), ["update", "update"], "nothing moves, so nothing is copied");

    let record = run(&ledger, "b", 1, 20 * DAY).await;
    let _ = proxy.take_calls();
    fail(&ledger, &record, 20 * DAY).await;
    assert_eq!(writes(&proxy), ["copy", "update"]);
    let seen = held(&ledger).await;
    let due = Due { key: key(), due_at: seen.open.unwrap().due_at(), sweeps: seen.sweeps };
    let _ = proxy.take_calls();
    let swept = ledger.sweep(&due, at(22 * DAY)).await.unwrap().expect("swept");
    assert_eq!(writes(&proxy), ["update", "copy", "update"]);
    assert_eq!(swept.expires_at, outlives(22 * DAY));
    let record = run(&ledger, "c", 1, 23 * DAY).await;
    let _ = proxy.take_calls();
    bury(&ledger, &record, 23 * DAY).await;
    assert_eq!(writes(&proxy), ["copy", "update"]);
}

#[tokio::test]
async fn while_its_payload_cannot_be_renewed_a_record_does_not_last_longer() {
    let (_bed, proxy, ledger) = with_a_large_payload().await;
    let record = run(&ledger, "a", 1, 20 * DAY).await;
    let before = held(&ledger).await;
    proxy.set_hook(|call| {
        let is_copy = call.service == "s3" && call.method == "PUT";
        if is_copy { Fault::status(403, "AccessDenied") } else { Fault::None }
    });
    let failures = super::failures(&[("billing", "no answer", 1, Some(20 * DAY + 60))]);
    let errors = [("billing".to_owned(), "no answer".to_owned())];
    let failure = inbox_core::ledger::Failure {
        record: &record,
        failures: &failures,
        errors: &errors,
        due_at: at(20 * DAY + 960),
    };
    let failed = ledger.fail(&failure, at(20 * DAY)).await;
    assert!(matches!(failed, Err(LedgerError::Unavailable(_))), "{failed:?}");
    assert_eq!(held(&ledger).await, before);
    // The sweeper wakes it all the same: whoever runs it may have better luck.
    let due = Due { key: key(), due_at: before.open.unwrap().due_at(), sweeps: 0 };
    let swept = ledger.sweep(&due, at(21 * DAY)).await.unwrap().expect("swept");
    assert_eq!((swept.expires_at, swept.sweeps), (before.expires_at, 1));
}

#[tokio::test]
async fn a_record_whose_payload_is_lost_lasts_for_its_letter_all_the_same() {
    let (bed, _proxy, ledger) = with_a_large_payload().await;
    let record = run(&ledger, "a", 1, 20 * DAY).await;
    let object = record.payload_ref.as_ref().expect("an object");
    let delete = bed.s3().delete_object().bucket(&bed.payload_bucket).key(&object.key);
    delete.send().await.expect("gone");
    assert_eq!(bury(&ledger, &record, 20 * DAY).await, Settled::Written);
    assert_eq!(held(&ledger).await.expires_at, outlives(20 * DAY));
}
