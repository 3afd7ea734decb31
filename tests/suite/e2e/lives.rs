//! Lives: a redriven dead letter opens the next one, a stray message none; and the
//! sweeper wakes what was lost.

use inbox_core::ledger::{State, TransitionKind};
use inbox_core::queue::Pointer;
use serde_json::json;

use super::rig::{DEADLINE, Rig, key, payment, pointer, to_mirror, to_mirror_and_drill};

#[tokio::test]
async fn a_redriven_letter_opens_the_second_life_and_completed_handlers_do_not_run_again() {
    let rig = Rig::new().await;
    rig.accept(&payment()).await;
    let key = key("evt_test_1");
    let broken = to_mirror_and_drill(&json!({ "outcome": "retry" }));
    let mut processor = rig.processor(&broken).await;
    rig.process_all(&mut processor).await;
    assert_eq!(rig.stands(&key).await, Some((State::Dead, 1, 3)));
    assert_eq!(rig.mirror_writes(), 1);

    // The cause is repaired, and somebody moves the letter back to the queue.
    let mended = to_mirror_and_drill(&json!({ "outcome": "retry", "attempts": 1 }));
    let mut processor = rig.processor(&mended).await;
    let letters = rig.dead_letters().await;
    let body = letters[0].body().expect("a body");
    rig.send(body).await;
    rig.process_all(&mut processor).await;

    let record = rig.record(&key).await.expect("the event");
    assert_eq!((record.state, record.life, record.attempts), (State::Done, 2, 2));
    assert_eq!(rig.mirror_writes(), 0, "the mirror was done in the first life");
    let kinds: Vec<_> = record.history.iter().map(|it| (it.kind, it.life)).collect();
    let failed = (TransitionKind::Failed, 1);
    assert_eq!(
        kinds,
        [
            failed,
            failed,
            (TransitionKind::Buried, 1),
            (TransitionKind::Redriven, 2),
            (TransitionKind::Failed, 2),
        ]
    );

    // The same letter once more is of a life that is over.
    let _ = rig.proxy.take_calls();
    rig.send(body).await;
    rig.process_all(&mut processor).await;
    assert_eq!(rig.record(&key).await, Some(record));
}

#[tokio::test]
async fn a_stray_message_for_a_dead_event_runs_nothing() {
    let rig = Rig::new().await;
    rig.accept(&payment()).await;
    let key = key("evt_test_1");
    let routes = to_mirror_and_drill(&json!({ "outcome": "permanent" }));
    let mut processor = rig.processor(&routes).await;
    rig.process_all(&mut processor).await;
    let dead = rig.record(&key).await.expect("the event");
    assert_eq!((dead.state, dead.life), (State::Dead, 1));

    for stray in [1, 3, 99] {
        rig.send(&Pointer::body(&dead.event, stray)).await;
        rig.process_all(&mut processor).await;
        assert_eq!(rig.record(&key).await.as_ref(), Some(&dead), "life {stray}");
    }
    assert_eq!(rig.dead_letters().await.len(), 1);
}

#[tokio::test]
async fn a_letter_that_comes_back_before_its_event_is_marked_dead_waits_in_the_queue() {
    let rig = Rig::new().await;
    rig.accept(&payment()).await;
    let event = rig.record(&key("evt_test_1")).await.expect("the event").event;
    for message in rig.messages().await {
        rig.delete(&message).await;
    }
    rig.send(&Pointer::body(&event, 2)).await;
    let mut processor = rig.processor(&to_mirror()).await;
    let kept = rig.process(&mut processor, rig.messages().await).await.expect("an answer");
    assert_eq!(kept.iter().map(pointer).map(|it| it.life).collect::<Vec<_>>(), [2]);
    assert_eq!(rig.stands(&event.key).await, Some((State::Received, 1, 0)));
}

#[tokio::test]
async fn a_message_that_was_lost_is_sent_again_by_the_sweeper_and_handled_once() {
    let rig = Rig::new().await;
    let key = rig.accept(&payment()).await;
    let lost = rig.messages().await;
    assert_eq!(
        lost.iter().map(pointer).collect::<Vec<_>>(),
        [Pointer { key: key.clone(), life: 1 }]
    );
    rig.delete(&lost[0]).await;

    let mut sweeper = rig.sweeper().await;
    let sent = |swept: serde_json::Value| swept["sent"].as_u64();
    let early = sweeper.invoke_json(&json!({}), DEADLINE).await.map(sent);
    assert_eq!(early, Ok(Some(0)), "its time has not come");
    rig.let_it_become_due(&key).await;
    assert_eq!(sweeper.invoke_json(&json!({}), DEADLINE).await.map(sent), Ok(Some(1)));
    let again = sweeper.invoke_json(&json!({}), DEADLINE).await.map(sent);
    assert_eq!(again, Ok(Some(0)), "its time was moved forward");

    let mut processor = rig.processor(&to_mirror()).await;
    rig.process_all(&mut processor).await;
    assert_eq!(rig.stands(&key).await, Some((State::Done, 1, 1)));
    assert_eq!(rig.mirror_writes(), 1);
}
