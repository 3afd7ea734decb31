//! A clock that is wrong by hours.
//!
//! ```text
//! off by       what it does                                             bound
//! ≤ 10 s       nothing                                                  CLOCK_TOLERANCE, lease margin
//! hours ahead  what it writes is looked at that much later; it sees
//!              live leases as over, so that a handler may run twice     the skew; the next attempt
//! hours behind what it writes is looked at too early, by messages that
//!              find nothing to do; it waits for what is due             the skew
//! 30 days      a repeat is taken for a new event                        the retention
//! ```
//!
//! Leases end at Lambda's deadline, which is the service's time and not the
//! process's, so a wrong clock takes no lease that is longer or shorter.
//!
//! A process goes by its own clock only until AWS first answers: it corrects it by the
//! `Date` of each answer since. What the table says of hours is of the ledger itself.

use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::ledger::{
    Begin, Begun, Claimed, Completed, Lease, Ledger as _, Reopen, Rerun, Settled, State, Suspects,
};
use inbox_core::memory::MemoryLedger;
use inbox_core::stack::stack;
use serde_json::json;

use super::super::rig::{DEADLINE, Rig, payment, to_mirror};
use super::garbled::Stranger;
use crate::conformance::{at, begun, fail, held, new_event, reopen, run};

const HOURS_3: u64 = 3 * 3600;

async fn due_at<L: inbox_core::ledger::Ledger>(ledger: &L) -> Timestamp {
    held(ledger).await.open.expect("pending").due_at()
}

#[tokio::test]
async fn a_receiver_three_hours_ahead_delays_the_sweeper_by_them_and_the_message_by_nothing() {
    let ledger = MemoryLedger::default();
    ledger.claim(&new_event(at(HOURS_3))).await.expect("claim");
    assert_eq!(due_at(&ledger).await, at(HOURS_3 + 900));
    // By a right clock its message is handled at once.
    assert_eq!(begun(&ledger, "a", 1, 1).await, "run");
    let repeat = ledger.claim(&new_event(at(2))).await.expect("claim");
    assert_eq!(repeat, Claimed::Duplicate);
}

#[tokio::test]
async fn a_processor_three_hours_ahead_delays_a_retry_by_them_and_loses_it_not() {
    let ledger = MemoryLedger::default();
    ledger.claim(&new_event(at(0))).await.expect("claim");
    let record = run(&ledger, "a", 1, 1).await;
    // It wrote the outcome by its own clock.
    fail(&ledger, &record, HOURS_3).await;
    assert_eq!(begun(&ledger, "b", 1, 100).await, "busy");
    assert_eq!(due_at(&ledger).await, at(HOURS_3 + 960));
    assert_eq!(begun(&ledger, "b", 1, HOURS_3 + 960).await, "run");
}

#[tokio::test]
async fn a_processor_three_hours_ahead_sees_a_live_lease_as_over_and_the_first_outcome_stands() {
    let ledger = MemoryLedger::default();
    ledger.claim(&new_event(at(0))).await.expect("claim");
    let first = run(&ledger, "right", 1, 1).await;
    // The exception of promise 3: the handler runs again, with the same key.
    let second = run(&ledger, "ahead", 1, HOURS_3).await;
    assert_eq!((first.attempts, second.attempts), (1, 2));
    // The one whose lease was taken can complete, since that is true, and not fail.
    assert_eq!(fail(&ledger, &first, 5).await, inbox_core::ledger::Settled::Refused);
    // The event is finished by the one that holds the lease.
    let mine = ledger.complete(&first, "billing", &[], at(6).into()).await;
    assert_eq!(mine.expect("complete"), Completed::Pending);
    assert!(held(&ledger).await.is_done("billing"));
    let last = ledger.complete(&second, "billing", &[], at(7).into()).await;
    assert_eq!(last.expect("complete"), Completed::Done);
    assert_eq!(held(&ledger).await.state, State::Done);
}

#[tokio::test]
async fn a_processor_three_hours_behind_waits_and_drops_nothing_for_good() {
    let ledger = MemoryLedger::default();
    ledger.claim(&new_event(at(HOURS_3))).await.expect("claim");
    let record = run(&ledger, "a", 1, HOURS_3).await;
    fail(&ledger, &record, HOURS_3).await;
    // It finds the event not yet due and drops the message; the sweeper sends more.
    assert_eq!(begun(&ledger, "behind", 1, 60).await, "busy");
    assert_eq!(due_at(&ledger).await, at(HOURS_3 + 960));
}

#[tokio::test]
async fn a_clock_ahead_by_more_than_the_retention_takes_a_repeat_for_a_new_event() {
    let ledger = MemoryLedger::default();
    ledger.claim(&new_event(at(0))).await.expect("claim");
    let days = |days: u64| at(days * 86_400);
    let late = ledger.claim(&new_event(days(29))).await.expect("claim");
    assert_eq!(late, Claimed::Unconfirmed { life: 1 });
    assert_eq!(ledger.claim(&new_event(days(31))).await.expect("claim"), Claimed::Fresh);
}

/// The operator's two writes are asked by a process whose clock is ahead; the rules alone
/// cannot know better, so that AWS's time must be what they are asked with.
#[tokio::test]
async fn an_operator_who_went_by_a_clock_two_minutes_ahead_would_run_an_event_beside_its_run() {
    let ledger = MemoryLedger::default();
    ledger.claim(&new_event(at(0))).await.expect("claim");
    let running = run(&ledger, "right", 1, 1).await;
    let replay = Reopen::Replay { seen: 1, rerun: Rerun::Unfinished };
    assert_eq!(reopen(&ledger, &running, replay, "r", 5).await, Settled::Refused);
    assert_eq!(reopen(&ledger, &running, replay, "r", 125).await, Settled::Written);
    assert_eq!(begun(&ledger, "second", 2, 6).await, "run", "while the first handler runs");
}

#[tokio::test]
async fn a_processor_two_minutes_ahead_of_aws_leaves_a_live_lease_alone() {
    let rig = Rig::new().await;
    let key = rig.accept(&payment()).await;
    let now = Timestamp::now();
    let ago = |seconds| now.minus(Duration::from_secs(seconds));
    // By AWS's clock the lease lasts another minute; by this machine's it is over.
    let begin = Begin {
        life: 1,
        lease: Lease { token: "other".to_owned(), until: ago(60) },
        max_attempts: 3,
        suspects: Suspects::Run,
    };
    let begun = rig.ledger.begin(&key, &begin, ago(120)).await.expect("begin");
    assert!(matches!(begun, Begun::Run(_)), "{begun:?}");
    rig.proxy.set_clock_ahead(-120);
    let mut processor = rig.processor(&to_mirror()).await;
    let messages = rig.messages().await;
    let body = messages[0].body().expect("a pointer").to_owned();
    assert_eq!(rig.process(&mut processor, messages).await, Ok(vec![]));
    let expected = Some((State::Received, 1, 1));
    assert_eq!(rig.stands(&key).await, expected, "nobody else began it");
    rig.let_the_lease_end(&key).await;
    rig.send(&body).await;
    rig.process_all(&mut processor).await;
    assert_eq!(rig.stands(&key).await, Some((State::Done, 1, 2)));
}

/// AWS refuses requests that are signed with a time more than minutes away; the SDK
/// takes the time from the refusal and signs the next attempt with it.
#[tokio::test]
async fn requests_to_aws_are_signed_by_its_own_clock_once_it_says_that_ours_is_wrong() {
    let now = Timestamp::now();
    let its_time = now.plus(Duration::from_secs(HOURS_3));
    let date = http_date(its_time);
    let body = json!({
        "__type": "com.amazon.coral.service#InvalidSignatureException",
        "message": "Signature expired",
    });
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nDate: {date}\r\nContent-Type: application/x-amz-json-1.0\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let stranger = Stranger::answering(move |_| answer.clone().into_bytes()).await;
    let rig = Rig::new().await;
    let mut sweeper = rig.start("sweeper", &[("AWS_ENDPOINT_URL", &stranger.url)]).await;
    // Lambda's deadline is AWS's time, too.
    let deadline = DEADLINE + Duration::from_secs(HOURS_3);
    sweeper.invoke_json(&json!({}), deadline).await.expect("an answer");
    let heads = stranger.heads.lock().unwrap().clone();
    let signed_at: Vec<String> = heads
        .iter()
        .filter(|head| head.contains("DynamoDB_20120810.Query"))
        .filter_map(|head| head.lines().find_map(|line| line.strip_prefix("x-amz-date: ")))
        .map(|time| time[..11].to_owned())
        .collect();
    // Hours are enough: an hour that ends in between has its own name.
    let hours: Vec<String> = [0, 60]
        .map(|seconds| its_time.plus(Duration::from_secs(seconds)).to_rfc3339())
        .map(|time| format!("{}{}{}T{}", &time[..4], &time[5..7], &time[8..10], &time[11..13]))
        .to_vec();
    let corrected = signed_at.iter().filter(|it| hours.contains(it)).count();
    assert!(corrected > 0, "{signed_at:?} and none in {hours:?}");
    let shards = stack().table.open_index.shards as usize;
    let said = super::faults(&sweeper, "shard not read", shards).await;
    // Its message may hold what was signed, and so a session's token: only the code.
    let expected = "ledger unavailable: Query: InvalidSignatureException";
    assert!(said.iter().all(|it| it == expected), "{said:?}");
}

fn http_date(moment: Timestamp) -> String {
    let time = std::time::UNIX_EPOCH
        + Duration::from_millis(u64::try_from(moment.unix_ms()).expect("after 1970"));
    let time = aws_sdk_dynamodb::primitives::DateTime::from(time);
    time.fmt(aws_sdk_dynamodb::primitives::DateTimeFormat::HttpDate).expect("a date")
}
