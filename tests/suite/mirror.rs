//! What every [`Mirror`] must do, for the one in memory and the one in
//! `DynamoDB` alike.

use futures_util::future::join_all;
use inbox_core::Timestamp;

use inbox_local::testbed::TestBed;
use inbox_processor::handlers::mirror::{DynamoDbMirror, Kept, MemoryMirror, Mirror, Row};

#[tokio::test]
async fn the_memory_mirror_keeps_what_a_mirror_promises() {
    conformance(&MemoryMirror::default()).await;
}

#[tokio::test]
async fn the_dynamodb_mirror_keeps_what_a_mirror_promises() {
    let bed = TestBed::new().await.expect("test bed");
    conformance(&DynamoDbMirror::new(bed.dynamodb(), &bed.mirror_table)).await;
}

/// Holds a mirror to its promises. Uses keys of its own that begin with
/// `conformance#`, which must not be there yet.
async fn conformance(mirror: &impl Mirror) {
    the_latest_stays_and_repeats_change_nothing(mirror).await;
    versions_compare_by_their_bytes(mirror).await;
    rows_come_back_whole(mirror).await;
    any_order_ends_alike(mirror).await;
    writers_at_once_end_with_the_latest(mirror).await;
}

/// A row with nothing optional in it.
fn row(object_id: &str, version: &str) -> Row {
    Row {
        pk: format!("conformance#thing#{object_id}"),
        source: "conformance".into(),
        provider: "stripe".into(),
        kind: "thing".into(),
        object_id: object_id.into(),
        status: None,
        error_code: None,
        deleted: false,
        event_type: "thing.updated".into(),
        event_id: format!("evt_{version}"),
        occurred_at: None,
        received_at: Timestamp::from_unix_ms(1_764_000_000_123).expect("within range"),
        version: version.into(),
        body: None,
        omitted_bytes: None,
    }
}

async fn keep(mirror: &impl Mirror, row: &Row) -> Kept {
    mirror.keep(row).await.expect("the mirror is there")
}

async fn get(mirror: &impl Mirror, pk: &str) -> Option<Row> {
    mirror.get(pk).await.expect("the mirror is there")
}

async fn the_latest_stays_and_repeats_change_nothing(mirror: &impl Mirror) {
    let (old, new) = (row("latest", "1"), row("latest", "2"));
    assert_eq!(get(mirror, &old.pk).await, None);
    assert_eq!(keep(mirror, &old).await, Kept::Latest);
    assert_eq!(keep(mirror, &old).await, Kept::Superseded, "a repeat");
    assert_eq!(get(mirror, &old.pk).await, Some(old.clone()));
    assert_eq!(keep(mirror, &new).await, Kept::Latest);
    assert_eq!(keep(mirror, &old).await, Kept::Superseded, "a straggler");
    assert_eq!(get(mirror, &old.pk).await, Some(new.clone()));
    let impostor = Row { status: Some("other".into()), ..new.clone() };
    assert_eq!(keep(mirror, &impostor).await, Kept::Superseded, "the same place");
    assert_eq!(get(mirror, &old.pk).await, Some(new));
}

/// By bytes, not by characters in some language, nor by UTF-16, which puts
/// U+1F600 before U+FFFD.
async fn versions_compare_by_their_bytes(mirror: &impl Mirror) {
    let rising = ["", "0", "00", "1", "10", "A", "a", "z", "\u{E9}", "\u{FFFD}", "\u{1F600}"];
    for (step, version) in rising.iter().enumerate() {
        assert_eq!(keep(mirror, &row("bytes", version)).await, Kept::Latest, "{version:?}");
        for earlier in &rising[..=step] {
            assert_eq!(keep(mirror, &row("bytes", earlier)).await, Kept::Superseded, "{earlier:?}");
        }
    }
}

async fn rows_come_back_whole(mirror: &impl Mirror) {
    let full = Row {
        status: Some("active".into()),
        error_code: Some("30003".into()),
        deleted: true,
        occurred_at: Timestamp::from_unix_ms(1_764_000_000_100),
        body: Some("{\"a\":1.0e2,\"a\":\"\\u001B \u{1F600}\",\n \"b\":\"\"}".into()),
        omitted_bytes: Some(0),
        ..row("whole", "1")
    };
    assert_eq!(keep(mirror, &full).await, Kept::Latest);
    assert_eq!(get(mirror, &full.pk).await, Some(full));
    // What the later row lacks does not shine through from the earlier one.
    let bare = row("whole", "2");
    assert_eq!(keep(mirror, &bare).await, Kept::Latest);
    assert_eq!(get(mirror, &bare.pk).await, Some(bare));
    let large = Row { body: Some("\u{E9}".repeat(195_000)), ..row("whole", "3") };
    assert_eq!(keep(mirror, &large).await, Kept::Latest);
    assert_eq!(get(mirror, &large.pk).await, Some(large));
}

/// All 24 orders of four rows, each row twice.
async fn any_order_ends_alike(mirror: &impl Mirror) {
    for number in 0..24 {
        let object_id = format!("order_{number}");
        let mut left = vec!["1", "2", "3", "4"];
        let mut digits = number;
        for size in (1..=4).rev() {
            let version = left.remove(digits % size);
            digits /= size;
            keep(mirror, &row(&object_id, version)).await;
            keep(mirror, &row(&object_id, version)).await;
        }
        let latest = row(&object_id, "4");
        assert_eq!(get(mirror, &latest.pk).await, Some(latest));
    }
}

async fn writers_at_once_end_with_the_latest(mirror: &impl Mirror) {
    let rows: Vec<Row> = (0..20).map(|n| row("at_once", &format!("{:02}", n * 7 % 20))).collect();
    join_all(rows.iter().map(|row| keep(mirror, row))).await;
    let latest = row("at_once", "19");
    assert_eq!(get(mirror, &latest.pk).await, Some(latest));
}
