//! One suite that every ledger must pass: the memory one, which states the rules
//! directly, and the one on `DynamoDB`, which states them as conditions.
//!
//! Each case gets an empty ledger. Time is an argument, so nothing waits.

mod claim_and_sweep;
mod deferring;
mod ending;
mod expiry;
mod fates;
mod forgetting;
mod overslept;
mod running;

use std::collections::BTreeMap;
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::{Event, EventKey};
use inbox_core::ledger::{
    Begin, Begun, Burial, Failure, Lease, Ledger, NewEvent, Record, Reopen, Reopening,
    RouteFailure, Settled, Suspects,
};
use inbox_core::provider::Payload;

/// Attempts that one life has in this suite.
pub(crate) const MAX_ATTEMPTS: u32 = 3;

/// Makes a test of each case for each ledger.
macro_rules! on_every_ledger {
    ($($case:ident),+ $(,)?) => {
        mod in_memory {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(&inbox_core::memory::MemoryLedger::default()).await;
                }
            )+
        }
        mod on_dynamodb {
            $(
                #[tokio::test]
                async fn $case() {
                    let bed = inbox_local::testbed::TestBed::new().await.expect("test bed");
                    let aws = bed.sdk_config();
                    super::$case(&inbox_aws::DynamoDbLedger::new(&aws, bed.table.clone())).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_ledger;

/// `seconds` after the suite's beginning of time, which has a fraction.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_764_000_000_123).unwrap().plus(Duration::from_secs(seconds))
}

pub(crate) fn key() -> EventKey {
    EventKey { source: "stripe_eu".into(), id: "evt_1".into() }
}

/// An event with everything that an event can have.
pub(crate) fn event(received_at: Timestamp) -> Event {
    Event {
        key: key(),
        provider: "stripe".into(),
        event_type: "payment_intent.succeeded".into(),
        delivery_id: Some("whd_1".into()),
        subject: Some("pi_1".into()),
        occurred_at: Timestamp::from_unix_seconds(1_763_999_990),
        received_at,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        payload: Payload {
            content_type: "application/json".into(),
            bytes: br#"{"a": 1.0e2, "a":-0, "esc":"\u001B"}"#[..].into(),
        },
        headers: BTreeMap::from([("user-agent".into(), "Stripe/1.0".into())]),
    }
}

/// Received at 0, due at 900, kept for 30 days.
pub(crate) fn new_event(received_at: Timestamp) -> NewEvent {
    NewEvent {
        request_id: format!("request at {received_at:?}"),
        due_at: received_at.plus(Duration::from_mins(15)),
        expires_at: received_at.plus(Duration::from_hours(24 * 30)).ceil_to_seconds(),
        event: event(received_at),
    }
}

pub(crate) fn begin_with(token: &str, life: u32, until: Timestamp) -> Begin {
    Begin {
        life,
        lease: Lease { token: token.into(), until },
        max_attempts: MAX_ATTEMPTS,
        suspects: Suspects::Run,
    }
}

/// Begins at `seconds` with a lease of 70 s and expects to run.
pub(crate) async fn run<L: Ledger>(ledger: &L, token: &str, life: u32, seconds: u64) -> Record {
    let begin = begin_with(token, life, at(seconds + 70));
    match ledger.begin(&key(), &begin, at(seconds)).await.expect("begin") {
        Begun::Run(record) => *record,
        other => panic!("expected to run, got {other:?}"),
    }
}

/// Begins at `seconds` and says what became of it, without the record.
pub(crate) async fn begun<L: Ledger>(ledger: &L, token: &str, life: u32, seconds: u64) -> String {
    let begin = begin_with(token, life, at(seconds + 70));
    name_of(&ledger.begin(&key(), &begin, at(seconds)).await.expect("begin")).to_owned()
}

pub(crate) fn name_of(begun: &Begun) -> &'static str {
    match begun {
        Begun::Run(_) => "run",
        Begun::Suspect => "suspect",
        Begun::Missing => "missing",
        Begun::Stale => "stale",
        Begun::Finished => "finished",
        Begun::Reopen(_) => "reopen",
        Begun::Early => "early",
        Begun::Busy => "busy",
        Begun::Exhausted(_) => "exhausted",
    }
}

/// Records a failure of route `billing` at `seconds`, kept for 60 s.
pub(crate) async fn fail<L: Ledger>(ledger: &L, record: &Record, seconds: u64) -> Settled {
    let attempts = record.attempts_of("billing");
    let failures = [("billing", "no answer", attempts, Some(seconds + 60))];
    fail_with(ledger, record, &failures, &["billing"], seconds).await
}

/// A route, its error, its attempts and the second from which it is tried again.
pub(crate) type Failed = (&'static str, &'static str, u32, Option<u64>);

pub(crate) fn failures(failures: &[Failed]) -> BTreeMap<String, RouteFailure> {
    let failure = |(route, error, attempts, next_at): &Failed| {
        let (error, attempts) = ((*error).to_owned(), *attempts);
        let next_at = next_at.map(at);
        ((*route).to_owned(), RouteFailure { error, quote: None, attempts, next_at, deferrals: 0 })
    };
    failures.iter().map(failure).collect()
}

/// Records at `seconds` how routes stand, `now` being those that failed just now.
pub(crate) async fn fail_with<L: Ledger>(
    ledger: &L,
    record: &Record,
    stand: &[Failed],
    now: &[&str],
    seconds: u64,
) -> Settled {
    let failures = failures(stand);
    let errors = now.iter().map(|route| ((*route).to_owned(), failures[*route].error.clone()));
    let errors: Vec<_> = errors.collect();
    let failure =
        Failure { record, failures: &failures, errors: &errors, due_at: at(seconds + 960) };
    ledger.fail(&failure, at(seconds)).await.expect("fail")
}

pub(crate) async fn bury<L: Ledger>(ledger: &L, record: &Record, seconds: u64) -> Settled {
    let failures = failures(&[("billing", "card declined", record.attempts, None)]);
    let burial = Burial {
        record,
        max_attempts: MAX_ATTEMPTS,
        error: "billing: card declined",
        failures: &failures,
    };
    ledger.bury(&burial, at(seconds)).await.expect("bury")
}

pub(crate) async fn reopen<L: Ledger>(
    ledger: &L,
    record: &Record,
    cause: Reopen<'_>,
    request_id: &str,
    seconds: u64,
) -> Settled {
    let reopening = Reopening {
        record,
        cause,
        actor: "ada",
        reason: "fixed the handler",
        request_id,
        due_at: at(seconds),
        expires_at: at(seconds).plus(Duration::from_hours(24 * 30)).ceil_to_seconds(),
    };
    ledger.reopen(&reopening, at(seconds)).await.expect("reopen")
}

pub(crate) async fn held<L: Ledger>(ledger: &L) -> Record {
    ledger.get(&key()).await.expect("get").expect("the event is there")
}

pub(crate) async fn claim<L: Ledger>(ledger: &L, seconds: u64) -> inbox_core::ledger::Claimed {
    ledger.claim(&new_event(at(seconds))).await.expect("claim")
}
