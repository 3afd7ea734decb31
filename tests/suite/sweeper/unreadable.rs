//! Rows of the index that cannot be read, in a real table.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::FutureExt as _;
use inbox_aws::{DynamoDbLedger, SqsQueue};
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, shard_of};
use inbox_core::queue::Backlog as _;
use inbox_core::stack::stack;
use inbox_local::TestBed;
use inbox_sweeper::{Sweeper, Swept};

use super::logged::logged;
use crate::conformance::{at, new_event};

/// More than a page of them.
const ROWS: usize = 130;

/// Keys without a source, longest due, as somebody could write them by hand.
async fn write_unreadable_rows(bed: &TestBed, shard: u32) {
    let text = |text: String| AttributeValue::S(text);
    for n in 0..ROWS {
        bed.dynamodb()
            .put_item()
            .table_name(&bed.table)
            .item("pk", text(format!("by-hand-{n}")))
            .item("open_shard", text(format!("pending#{shard}")))
            .item("due_at", AttributeValue::N("1000".to_owned()))
            .send()
            .await
            .expect("a row");
    }
}

#[test]
fn a_page_full_of_unreadable_rows_hides_nothing_and_writes_one_line() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ((swept, waiting), lines) = logged(|| {
        runtime.block_on(async {
            let bed = TestBed::new().await.expect("tables and queues");
            let aws = bed.sdk_config();
            let ledger = DynamoDbLedger::new(&aws, bed.table.clone());
            let shards = stack().table.open_index.shards;
            // Two in the same shard: one to go on behind, one behind that.
            let mut keys = (0..)
                .map(|n| EventKey { source: "stripe_eu".into(), id: format!("evt_{n}") })
                .filter(|key| shard_of(key, shards) == 0);
            write_unreadable_rows(&bed, 0).await;
            for received_at in [0, 1] {
                let mut new = new_event(at(received_at));
                new.event.key = keys.next().unwrap();
                ledger.claim(&new).await.expect("claim");
            }
            let sweeper = Sweeper {
                ledger,
                queue: SqsQueue::new(&aws, bed.queue_url.clone()),
                shards,
                grace: Duration::from_mins(15),
                grace_max: Duration::from_hours(1),
                per_second: 100_000,
                hold_above: 1_000_000,
                interval: Duration::from_mins(1),
                clock: Arc::new(|| at(1000)),
                pause: Arc::new(|_| std::future::ready(()).boxed()),
            };
            let swept = sweeper.sweep(at(1050)).await;
            (swept, sweeper.queue.waiting().await.expect("the depth"))
        })
    });
    assert_eq!(swept, Swept { sent: 2, ..Swept::default() });
    assert_eq!(waiting, 2);
    // Two pages hold them; one line each.
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("its key has no source"), "{}", lines[0]);
    assert!(lines[0].contains(r#""rows":100"#), "{}", lines[0]);
}
