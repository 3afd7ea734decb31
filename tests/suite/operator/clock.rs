//! A machine whose clock is wrong. The proxy moves the `Date` of AWS's answers, so that
//! this machine is ahead of AWS or behind it.

use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Ledger as _, Record, State};
use inbox_local::calls::Fault;

use super::doctor::findings;
use super::rig::Operator;
use super::world::{Given, begin, make};

/// Longer than a lease.
const AHEAD_SECONDS: i64 = 120;

fn key() -> EventKey {
    EventKey { source: "stripe".into(), id: "evt-busy".into() }
}

/// An operator two minutes ahead of AWS, and an event that is being run: by AWS's clock
/// its lease lasts another 70 s, by the operator's it is over.
async fn ahead() -> (Operator, Record) {
    let operator = Operator::new().await;
    make(&operator, [Given::new("evt-busy", State::Received, Duration::from_mins(5))]).await;
    let aws_time = Timestamp::now().minus(Duration::from_secs(AHEAD_SECONDS.unsigned_abs()));
    let running = begin(&operator.ledger(), &key(), 1, aws_time).await;
    operator.proxy.set_clock_ahead(-AHEAD_SECONDS);
    (operator, running)
}

async fn held(operator: &Operator) -> Record {
    operator.ledger().get(&key()).await.unwrap().expect("the event is there")
}

#[tokio::test]
async fn a_replay_from_a_machine_two_minutes_ahead_leaves_a_running_event_alone() {
    let (operator, running) = ahead().await;
    let arguments = ["replay", "stripe", "evt-busy", "--all-handlers", "--yes", "--json"];
    let answer = operator.run(&arguments).await.expect(1).json();
    assert_eq!(answer["refused"][0]["reason"], "is being run now", "{answer}");
    assert_eq!(held(&operator).await, running, "the run goes on, alone");
}

#[tokio::test]
async fn forgetting_from_a_machine_two_minutes_ahead_leaves_a_running_event_alone() {
    let (operator, running) = ahead().await;
    let arguments = ["forget", "stripe", "evt-busy", "--unhandled", "--yes"];
    let ran = operator.run(&arguments).await.expect(1);
    assert!(ran.stderr.contains("it is being run now"), "{}", ran.stderr);
    assert_eq!(held(&operator).await, running, "its handler still holds the payload");
    // By AWS's clock the lease ends in time, and then it can be forgotten.
    operator.proxy.set_clock_ahead(0);
    operator.run(&arguments).await.expect(0);
}

#[tokio::test]
async fn a_machine_two_minutes_behind_does_as_one_whose_clock_is_right() {
    let operator = Operator::new().await;
    make(&operator, [Given::new("evt-busy", State::Dead, Duration::from_mins(5))]).await;
    operator.proxy.set_clock_ahead(AHEAD_SECONDS);
    let before = Timestamp::now().plus(Duration::from_secs(AHEAD_SECONDS.unsigned_abs() - 2));
    operator.run(&["replay", "stripe", "evt-busy", "--yes"]).await.expect(0);
    let record = held(&operator).await;
    assert_eq!((record.state, record.life), (State::Received, 2));
    let replayed = record.history.last().expect("a replay").at;
    assert!(replayed > before, "the history has AWS's time: {}", replayed.to_rfc3339());
}

#[tokio::test]
async fn answers_too_slow_to_tell_the_time_by_are_refused_before_anything_is_written() {
    let operator = Operator::new().await;
    make(&operator, [Given::new("evt-busy", State::Dead, Duration::from_mins(5))]).await;
    let before = held(&operator).await;
    operator.proxy.set_hook(|_| Fault::DelayReply(Duration::from_millis(4500)));
    for arguments in [
        &["replay", "stripe", "evt-busy", "--yes"][..],
        &["forget", "stripe", "evt-busy", "--unhandled", "--yes"],
    ] {
        let ran = operator.run(arguments).await.expect(1);
        assert!(ran.stderr.contains("AWS's time is only known to within 5."), "{}", ran.stderr);
        assert!(ran.stderr.contains("5 s is the most that is safe"), "{}", ran.stderr);
        assert!(ran.stderr.contains("try again on a better line"), "{}", ran.stderr);
    }
    assert_eq!(held(&operator).await, before);
}

#[tokio::test]
async fn doctor_says_how_the_clock_stands_to_that_of_aws() {
    let operator = Operator::new().await;
    let ran = operator.run(&["doctor"]).await.expect(0);
    let agrees = "ok       clock of this machine: agrees with AWS's, to within ";
    assert!(ran.text().contains(agrees), "{}", ran.text());
    // Whole seconds and the round trip leave a second or two open.
    for (ahead, says) in [
        (-AHEAD_SECONDS, ["is at least 118 s ahead of AWS's", "is at least 119 s ahead of AWS's"]),
        (AHEAD_SECONDS, ["is at least 118 s behind AWS's", "is at least 119 s behind AWS's"]),
        (-3 * 3600, ["is at least 2 h ahead of AWS's"; 2]),
    ] {
        operator.proxy.set_clock_ahead(ahead);
        let ran = operator.run(&["doctor", "--json"]).await.expect(0);
        let [(about, told)] = &findings(&ran.json())[..] else { panic!("{}", ran.text()) };
        assert_eq!(about, "warning clock of this machine");
        assert!(says.iter().any(|says| told.starts_with(says)), "{told}, and none of {says:?}");
    }
}
