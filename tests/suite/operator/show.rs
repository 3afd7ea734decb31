//! `inbox show`: the life of one event, and its payload byte for byte.

use std::collections::BTreeMap;
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::ledger::{Deferral, Ledger as _, RouteFailure, Settled, State};
use inbox_core::marks::Marks as _;

use super::rig::Operator;
use super::world::{Given, make};

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn the_life_of_an_event_is_told_in_order() {
    let operator = Operator::new().await;
    let body = r#"{"id":"evt-a","amount":1.0e2,"amount":-0,"note":"\u001B[2J"}"#;
    let given = Given::new("evt-a", State::Dead, 30 * MINUTE);
    make(&operator, [given.with_payload("application/json; charset=utf-8", body)]).await;
    operator
        .run(&["replay", "stripe", "evt-a", "--yes", "--reason", "fixed in #412"])
        .await
        .expect(0);
    super::worker::Worker::new(&operator, &["billing"]).drain().await;

    let ran = operator.run(&["show", "stripe", "evt-a"]).await.expect(0);
    let text = ran.text();
    assert!(text.starts_with("stripe evt-a  invoice.paid  done\n"), "{text}");
    let life: Vec<String> = text
        .lines()
        .skip_while(|line| *line != "Life")
        .skip(2)
        .take_while(|line| !line.is_empty())
        // Without the time.
        .map(|line| line[25..].split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        life,
        [
            "received 1",
            "buried 1 after 1 attempt: billing: upstream timeout",
            "replayed 2 by ada: fixed in #412",
            "handled 2 by billing",
            "done 2",
        ],
        "{text}"
    );
    for part in [
        "  subject       in_1\n",
        "  \"amount\": 1.0e2,\n",
        "  \"amount\": -0,\n",
        "  \"note\": \"\\u001B[2J\"\n",
        "user-agent  Stripe/1.0",
        "billing  done",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }

    let ran = operator.run(&["show", "stripe", "evt-a", "--json"]).await.expect(0);
    // The provider's own spelling survives.
    assert!(ran.text().contains(&format!("\"data\":{body}")), "{}", ran.text());
    let document = ran.json();
    assert_eq!(document["event"]["type"], "stripe.invoice.paid");
    assert_eq!(document["ledger"]["state"], "done");
    assert_eq!(document["ledger"]["history"][1]["actor"], "ada");
}

#[tokio::test]
async fn an_event_that_is_left_for_later_is_told_as_deferred_and_its_route_as_slow() {
    let operator = Operator::new().await;
    let given = Given::new("evt-a", State::Received, 2 * MINUTE);
    let key = given.event.key.clone();
    let ledger = operator.ledger();
    given.make(&ledger, &operator.queue()).await;
    let now = Timestamp::now();
    let record = super::world::begin(&ledger, &key, 1, now).await;
    let next_at = now.plus(10 * MINUTE);
    let deferred = RouteFailure::deferred(None, 0, next_at);
    let failures = BTreeMap::from([("billing".to_owned(), deferred)]);
    let deferral = Deferral { record: &record, failures: &failures, due_at: next_at };
    assert_eq!(ledger.defer(&deferral).await.unwrap(), Settled::Written);
    ledger.mark("billing", now).await.unwrap();

    let ran = operator.run(&["show", "stripe", "evt-a"]).await.expect(0);
    let text = ran.text();
    let stands = "deferred, again in 9 min: billing is slow or does not answer, and runs in the lane; life 1";
    assert!(text.contains(stands), "{text}");
    let shown = operator.run(&["show", "stripe", "evt-a", "--json"]).await.expect(0).json();
    assert_eq!(shown["ledger"]["state"], "received");
    assert_eq!(shown["ledger"]["failures"]["billing"]["deferrals"], 1);
    assert_eq!(shown["ledger"]["failures"]["billing"]["attempts"], 0);
    let ran = operator.run(&["events"]).await.expect(0);
    let events = ran.text();
    assert!(events.contains("deferred to the lane, as slow: billing; again in 9 min"), "{events}");
    let doctor = operator.run(&["doctor", "--json"]).await.json();
    let findings = doctor["findings"].as_array().expect("findings");
    let lane = findings.iter().find(|it| it["about"] == "lane of slow routes").expect("the lane");
    assert_eq!(lane["verdict"], "ok");
    let says = lane["says"].as_str().unwrap_or_default();
    assert!(says.starts_with("slow, and seen so last: billing ("), "{says}");
}

#[tokio::test]
async fn a_payload_comes_back_byte_for_byte() {
    let operator = Operator::new().await;
    let mut payloads: Vec<(String, Vec<u8>)> = Vec::new();
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for provider in inbox_receiver::providers::names() {
        for entry in std::fs::read_dir(fixtures.join(provider)).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != "provider.json" {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                payloads.push((format!("{provider}-{name}"), std::fs::read(&path).unwrap()));
            }
        }
    }
    assert!(payloads.len() >= 16, "{} fixtures", payloads.len());
    // Random bytes of many sizes, the largest body that is taken among them.
    for (n, size) in [0, 1, 2, 255, 4096, 65_537, 327_680].into_iter().enumerate() {
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            bytes.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
        }
        bytes.truncate(size);
        payloads.push((format!("random-{n}"), bytes));
    }
    payloads.push(("line-ends".into(), b"\r\n\n\r\0\xff\xfe".to_vec()));

    let given = payloads.iter().map(|(id, bytes)| {
        Given::new(id, State::Received, MINUTE).with_payload("application/json", bytes.clone())
    });
    make(&operator, given).await;
    for (id, bytes) in &payloads {
        let ran = operator.run(&["show", "stripe", id, "--payload"]).await.expect(0);
        assert!(ran.stdout == *bytes, "{id} of {} bytes differs", bytes.len());
        // For people it is shown all the same, whatever it is.
        operator.run(&["show", "stripe", id]).await.expect(0);
    }
}

#[tokio::test]
async fn an_unknown_id_is_told_with_where_to_look() {
    let operator = Operator::new().await;
    for arguments in [vec!["show", "stripe", "evt-x"], vec!["show", "stripe", "evt-x", "--payload"]]
    {
        let ran = operator.run(&arguments).await.expect(1);
        assert!(ran.stdout.is_empty());
        assert!(ran.stderr.starts_with("error: source \"stripe\" has no event \"evt-x\"\n"));
        assert!(ran.stderr.contains("inbox events --source stripe"), "{}", ran.stderr);
    }
    let ran = operator.run(&["show", "stripe", "evt-x", "--json"]).await.expect(1);
    let fault: serde_json::Value = serde_json::from_str(&ran.stderr).expect("one line of JSON");
    assert_eq!(fault["error"], "refused");
}
