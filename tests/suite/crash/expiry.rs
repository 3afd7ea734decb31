//! A process dies around the renewal of a payload: whatever it leaves, no record lasts
//! longer than its payload, and whoever comes next brings the event to its end.

use std::time::Duration;

use inbox_aws::{DynamoDbLedger, S3PayloadStore};
use inbox_core::ledger::{Claimed, Completed, Failure, Ledger as _, Settled};
use inbox_core::signature::sha256_hex;
use inbox_local::calls::{Call, Fault};
use inbox_local::proxy::Proxy;
use inbox_local::resources::sdk_config;
use inbox_local::testbed::TestBed;

use crate::conformance::{at, failures, held, new_event, run};

const DAY: u64 = 86_400;
/// Longer than any process here lives.
const NEVER: Duration = Duration::from_hours(1);

/// At which of its two calls the process dies: before it has landed, or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dies {
    BeforeTheCopy,
    AfterTheCopy,
    BeforeTheWrite,
    AfterTheWrite,
}

fn is_copy(call: &Call) -> bool {
    call.service == "s3" && call.method == "PUT"
}

#[tokio::test]
async fn dying_around_a_renewal_leaves_no_record_that_outlasts_its_payload() {
    use Dies::{AfterTheCopy, AfterTheWrite, BeforeTheCopy, BeforeTheWrite};
    for dies in [BeforeTheCopy, AfterTheCopy, BeforeTheWrite, AfterTheWrite] {
        let bed = TestBed::new().await.expect("test bed");
        let proxy = Proxy::start(&bed.endpoint_url).await.expect("proxy");
        let aws = sdk_config(proxy.url());
        let payloads = S3PayloadStore::new(&aws, bed.payload_bucket.clone());
        let ledger = DynamoDbLedger::new(&aws, bed.table.clone()).with_payloads(Some(payloads));
        let mut new = new_event(at(0));
        let noise: String = (0..16_000_u32).map(|n| sha256_hex(&[&n.to_be_bytes()])).collect();
        new.event.payload.bytes = noise.into();
        assert_eq!(ledger.claim(&new).await.unwrap(), Claimed::Fresh);
        let before = held(&ledger).await;
        // Nobody came to it for three weeks.
        let record = run(&ledger, "a", 1, 21 * DAY).await;
        let _ = proxy.take_calls();

        let is_target = move |call: &Call| match dies {
            BeforeTheCopy | AfterTheCopy => is_copy(call),
            BeforeTheWrite | AfterTheWrite => call.is("dynamodb", "UpdateItem"),
        };
        let lands = matches!(dies, AfterTheCopy | AfterTheWrite);
        proxy.set_hook(move |call| match (is_target(call), lands) {
            (false, _) => Fault::None,
            (true, false) => Fault::Delay(NEVER),
            (true, true) => Fault::DelayReply(NEVER),
        });
        let is_there = |call: &Call| is_target(call) && (!lands || call.upstream_status.is_some());
        let reached = async {
            while !proxy.calls().iter().any(is_there) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let stand = failures(&[("billing", "no answer", 1, Some(21 * DAY + 60))]);
        let errors = [("billing".to_owned(), "no answer".to_owned())];
        let due_at = at(21 * DAY + 960);
        let failure = Failure { record: &record, failures: &stand, errors: &errors, due_at };
        let is_dead = tokio::select! {
            biased;
            () = reached => true,
            _ = ledger.fail(&failure, at(21 * DAY)) => false,
        };
        assert!(is_dead, "{dies:?}: the step was not reached");
        proxy.clear_hook();
        let calls = proxy.take_calls();
        let is_copied = calls.iter().any(|it| is_copy(it) && it.upstream_status == Some(200));
        let left = held(&ledger).await;
        let lasts_longer = left.expires_at > before.expires_at;
        assert!(is_copied || !lasts_longer, "{dies:?}: the record outlasts its payload");
        assert_eq!(lasts_longer, dies == AfterTheWrite, "{dies:?}");

        // Another process comes once the lease is over, or the wait.
        let record = run(&ledger, "b", 1, 21 * DAY + 3600).await;
        let stand = failures(&[("billing", "no answer", 2, Some(21 * DAY + 7200))]);
        let due_at = at(21 * DAY + 7200 + 900);
        let failure = Failure { record: &record, failures: &stand, errors: &errors, due_at };
        let failed = ledger.fail(&failure, at(21 * DAY + 3600)).await;
        assert_eq!(failed.expect("it answers"), Settled::Written, "{dies:?}");
        let failing = held(&ledger).await;
        assert!(failing.lasts(), "{dies:?}: {:?}", failing.expires_at);
        let record = run(&ledger, "c", 1, 21 * DAY + 7200).await;
        let completed = ledger.complete(&record, "billing", &[], at(21 * DAY + 7201).into()).await;
        assert_eq!(completed.expect("it answers"), Completed::Done, "{dies:?}");
    }
}
