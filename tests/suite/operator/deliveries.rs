//! Finding an event by GitHub's delivery, which is not its id here: the hook's stands
//! behind it, or the id is a hash of the content.

use std::time::Duration;

use inbox_core::ledger::State;
use serde_json::Value;

use super::rig::{Operator, Ran};
use super::world::{Given, make};

/// Of no time: as `inbox send` makes them.
const DELIVERY: &str = "0f3b6a5e-1f43-4a53-8d0c-52c1a0d7a1c9";
const MINUTE: Duration = Duration::from_mins(1);

fn given(id: &str, delivery: &str, state: State, age: Duration) -> Given {
    let mut given = Given::new(id, state, age).of("github", "push");
    given.event.delivery_id = Some(delivery.to_owned());
    given
}

/// A delivery of version 1, made so long ago.
fn dated(age: Duration) -> String {
    let since = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap();
    let made_at = since(std::time::SystemTime::now() - age);
    // 100 ns since 1582-10-15: RFC 9562, section 5.1.
    let ticks = made_at.as_nanos() / 100 + 0x01B2_1DD2_1381_4000;
    let ticks = u64::try_from(ticks).unwrap();
    format!(
        "{:08x}-{:04x}-1{:03x}-81ab-4c9367dc0958",
        ticks & 0xFFFF_FFFF,
        ticks >> 32 & 0xFFFF,
        ticks >> 48 & 0xFFF
    )
}

fn ids(ran: &Ran) -> Vec<String> {
    let json = ran.json();
    let id = |event: &Value| event["id"].as_str().expect("an id").to_owned();
    json["events"].as_array().expect("events").iter().map(id).collect()
}

#[tokio::test]
async fn an_event_is_found_by_its_delivery_whatever_its_key_is() {
    let operator = Operator::new().await;
    let (by_hook, by_content) = (format!("{DELIVERY}@42"), "content-00ff".to_owned());
    let made_before = dated(2 * MINUTE);
    make(
        &operator,
        [
            given(&by_hook, DELIVERY, State::Dead, MINUTE),
            given(&by_content, &made_before, State::Dead, MINUTE),
            given("another@42", "another", State::Dead, MINUTE),
        ],
    )
    .await;
    for (delivery, id) in [(DELIVERY, &by_hook), (&*made_before, &by_content)] {
        let ran = operator.run(&["show", "github", delivery]).await.expect(0);
        assert!(ran.text().starts_with(&format!("github {id}  push")), "{}", ran.text());
        assert!(ran.stderr.contains(&format!("is event {id}")), "{}", ran.stderr);
        let listed = operator.run(&["events", "--delivery", delivery, "--json"]).await.expect(0);
        assert_eq!(ids(&listed), std::slice::from_ref(id));
        assert_eq!(listed.json()["events"][0]["delivery_id"], delivery);
    }
    // With its source, and without.
    operator.run(&["replay", "github", DELIVERY, "--yes"]).await.expect(0);
    operator.run(&["replay", &made_before, "--yes"]).await.expect(0);
    for id in [&by_hook, &by_content] {
        let ran = operator.run(&["show", "github", id, "--json"]).await.expect(0);
        assert_eq!(ran.json()["ledger"]["life"], 2, "{id}");
    }
    // One that says when it was made is not looked for in all that is kept.
    let never = dated(MINUTE);
    let missing = operator.run(&["show", "github", &never]).await.expect(1);
    assert!(missing.stderr.contains("has no event"), "{}", missing.stderr);
}

#[tokio::test]
async fn a_delivery_to_two_hooks_is_two_events_and_each_is_named() {
    let operator = Operator::new().await;
    let both = ["42", "7"].map(|hook| format!("{DELIVERY}@{hook}"));
    make(&operator, both.clone().map(|id| given(&id, DELIVERY, State::Dead, MINUTE))).await;
    for arguments in [&["show", "github", DELIVERY][..], &["replay", "github", DELIVERY, "--yes"]] {
        let ran = operator.run(arguments).await.expect(2);
        assert!(ran.stderr.contains("brought 2 events"), "{}", ran.stderr);
        assert!(both.iter().all(|id| ran.stderr.contains(id)), "{}", ran.stderr);
    }
    let listed = operator.run(&["events", "--delivery", DELIVERY, "--json"]).await.expect(0);
    assert_eq!(ids(&listed).len(), 2);
}

#[tokio::test]
async fn ids_come_from_standard_input_one_a_line_whatever_stands_in_them() {
    let operator = Operator::new().await;
    // Of an inbox that kept ids as they came.
    let odd = ["it's", "a;b", "--all-handlers", "$(id)"];
    make(&operator, odd.map(|id| Given::new(id, State::Dead, MINUTE))).await;
    let lines = odd.join("\n") + "\n";
    let arguments = ["replay", "stripe", "--ids-from", "-", "--yes"];
    let ran = operator.run_with(&arguments, lines.as_bytes()).await.expect(0);
    assert!(ran.text().contains('4') || ran.stderr.contains('4'), "{}{}", ran.text(), ran.stderr);
    let listed = operator.run(&["events", "--state", "received", "--json"]).await.expect(0);
    assert_eq!(ids(&listed).len(), odd.len());
    let nothing = operator.run_with(&arguments, b"\n").await.expect(2);
    assert!(nothing.stderr.contains("no id was given"), "{}", nothing.stderr);
    let nowhere = operator.run_with(&["replay", "--ids-from", "-"], b"a\n").await.expect(2);
    assert!(nowhere.stderr.contains("of which source"), "{}", nowhere.stderr);
}
