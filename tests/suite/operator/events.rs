//! `inbox events`: what is found, in which order, and what is left out.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use inbox_core::ledger::{Completion, Ledger as _, State};
use inbox_local::calls::Fault;
use serde_json::{Value, json};

use super::rig::Operator;
use super::world::{Given, begin, ids, make};

const HOUR: u64 = 3600;

/// 320 events of two sources over six hours, in every state.
///
/// Returns when it was made: the ages are of then.
async fn busy_day(operator: &Operator) -> Timestamp {
    let made_at = Timestamp::now();
    let states = [State::Done, State::Dead, State::Failing, State::Received];
    let given = ids("evt", 300).into_iter().enumerate().map(|(n, id)| {
        let age = Duration::from_secs(30 + n as u64 * 6 * HOUR / 300);
        let event_type = ["invoice.paid", "invoice.voided", "charge.failed"][n % 3];
        Given::new(&id, states[n % 4], age).of("stripe", event_type)
    });
    let old = Given::new("evt-old", State::Dead, Duration::from_hours(50));
    let pushes = ids("push", 20).into_iter().enumerate().map(|(n, id)| {
        Given::new(&id, State::Done, Duration::from_mins(n as u64)).of("github", "push")
    });
    make(operator, given.chain([old]).chain(pushes)).await;
    made_at
}

fn found(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn events_are_found_by_every_filter_the_newest_first() {
    let operator = Operator::new().await;
    let made_at = busy_day(&operator).await;

    let ran = operator.run(&["events", "--source", "stripe", "--json"]).await.expect(0);
    let answer = ran.json();
    assert_eq!(found(&answer), ids("evt", 20));
    assert_eq!(answer["has_more"], true);
    let first = &answer["events"][0];
    assert_eq!(
        [&first["source"], &first["provider"], &first["type"], &first["state"]],
        ["stripe", "stripe", "invoice.paid", "done"]
    );

    // All that there is within a day, over pages, shards and days.
    let ran = operator.run(&["events", "--limit", "1000", "--json"]).await.expect(0);
    let answer = ran.json();
    assert_eq!((found(&answer).len(), &answer["has_more"]), (320, &Value::Bool(false)));
    let times: Vec<&str> = answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["received_at"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");

    let ran = operator
        .run(&["events", "--type", "invoice.*", "--state", "done", "--limit", "1000", "--json"])
        .await
        .expect(0);
    let expected: Vec<String> =
        (0..300).filter(|n| n % 4 == 0 && n % 3 != 2).map(|n| format!("evt-{n:03}")).collect();
    assert_eq!(found(&ran.json()), expected);

    // What is open is found however old it is.
    let ran =
        operator.run(&["events", "--state", "dead", "--limit", "1000", "--json"]).await.expect(0);
    let mut dead: Vec<String> =
        (0..300).filter(|n| n % 4 == 1).map(|n| format!("evt-{n:03}")).collect();
    dead.push("evt-old".into());
    assert_eq!(found(&ran.json()), dead);

    let ago = |minutes| made_at.minus(Duration::from_mins(minutes)).to_rfc3339();
    let ran = operator
        .run(&[
            "events",
            "--since",
            &ago(90),
            "--until",
            &ago(30),
            "--provider",
            "stripe",
            "--limit",
            "999",
            "--json",
        ])
        .await
        .expect(0);
    let expected: Vec<String> = (0..300)
        .filter(|n| (30 * 60..=90 * 60).contains(&(30 + n * 72)))
        .map(|n| format!("evt-{n:03}"))
        .collect();
    assert_eq!(found(&ran.json()), expected);
}

#[tokio::test]
async fn people_get_a_table_that_says_what_to_know() {
    let operator = Operator::new().await;
    make(
        &operator,
        [
            Given::new("evt-a", State::Dead, Duration::from_mins(30)),
            Given::new("evt-b", State::Failing, Duration::from_mins(20)),
            Given::new("evt-c", State::Done, Duration::from_mins(10)),
        ],
    )
    .await;
    let ran = operator.run(&["events"]).await.expect(0);
    let lines: Vec<&str> = ran.text().lines().collect();
    assert!(
        lines[0].starts_with("received    source  type          id     state"),
        "{}",
        ran.text()
    );
    assert!(lines[1].contains("10 min ago  stripe  invoice.paid  evt-c  done"), "{}", ran.text());
    assert!(lines[2].contains("evt-b  failing"), "{}", ran.text());
    assert!(lines[2].ends_with("again in 4 min; billing: upstream timeout"), "{}", ran.text());
    assert!(lines[3].ends_with("billing: upstream timeout"), "{}", ran.text());
    // What is piped is neither coloured nor cut.
    assert!(!ran.text().contains('\u{1b}'));
    let ran = operator.run(&["events", "--color", "always"]).await.expect(0);
    assert!(ran.text().contains("\u{1b}[31mdead\u{1b}[0m"));
}

#[tokio::test]
async fn nothing_found_is_said_with_where_to_look_further() {
    let operator = Operator::new().await;
    let ran = operator.run(&["events"]).await.expect(0);
    assert_eq!(ran.text(), "");
    assert!(ran.stderr.contains("--since 7d looks further"), "{}", ran.stderr);
    let ran = operator.run(&["events", "--json"]).await.expect(0);
    assert_eq!(ran.text(), "{\"events\":[],\"has_more\":false}\n");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_read() {
    let operator = Operator::new().await;
    for (arguments, problem) in [
        (vec!["events", "--since", "yesterday"], "\"yesterday\" is no time"),
        (vec!["events", "--since", "1h", "--until", "2h"], "--since is after --until"),
        (vec!["events", "--source", "strype"], "unknown source \"strype\""),
        (vec!["events", "--state", "lost"], "invalid value 'lost'"),
    ] {
        let ran = operator.run(&arguments).await.expect(2);
        assert!(ran.stderr.contains(problem), "{}", ran.stderr);
    }
    assert!(operator.proxy.calls().is_empty());
}

#[tokio::test]
async fn an_event_past_its_retention_is_not_shown_though_ttl_is_late() {
    let operator = Operator::new().await;
    make(&operator, [Given::new("evt-gone", State::Dead, Duration::from_hours(24 * 31))]).await;
    let ran = operator.run(&["events", "--state", "dead", "--json"]).await.expect(0);
    assert_eq!(found(&ran.json()), [] as [&str; 0]);
}

#[tokio::test]
async fn what_a_faster_clock_has_stamped_is_shown_and_the_future_has_an_end() {
    let operator = Operator::new().await;
    let mut given = Given::new("evt-ahead", State::Dead, Duration::ZERO);
    given.event.received_at = given.event.received_at.plus(Duration::from_mins(5));
    make(&operator, [given]).await;
    for arguments in [
        &["events", "--json"][..],
        &["events", "--state", "dead", "--json"],
        &["events", "--since", "1h", "--until", "3000-01-01", "--json"],
    ] {
        let ran = operator.run(arguments).await.expect(0);
        assert_eq!(found(&ran.json()), ["evt-ahead"], "{arguments:?}");
    }
    let ran = operator.run(&["events", "--until", "now", "--json"]).await.expect(0);
    assert_eq!(found(&ran.json()), [""; 0]);
}

#[tokio::test]
async fn states_that_come_one_at_a_time_are_waited_for() {
    let operator = Operator::new().await;
    make(&operator, ids("evt", 12).iter().map(|id| Given::new(id, State::Dead, Duration::ZERO)))
        .await;
    // As DynamoDB answers for items near 400 KB, or where it throttles.
    let table = operator.bed.table.clone();
    operator.proxy.set_hook(move |call| {
        if !call.is("dynamodb", "BatchGetItem") {
            return Fault::None;
        }
        let mut wanted = call.json()["RequestItems"][&table].clone();
        let mut keys = wanted["Keys"].as_array().unwrap().clone();
        let mut item = keys.pop().unwrap();
        for name in ["received_at", "life", "attempts", "expires_at"] {
            item[name] = json!({"N": "4102444800"});
        }
        item["received_at"] = json!({"N": "1700000000"});
        item["provider"] = json!({"S": "stripe"});
        item["event_type"] = json!({"S": "invoice.paid"});
        item["state"] = json!({"S": "dead"});
        item["handlers"] = json!({"M": {}});
        item["failures"] = json!({"M": {}});
        wanted["Keys"] = keys.clone().into();
        let rest = if keys.is_empty() { json!({}) } else { json!({&table: wanted}) };
        let body = json!({"Responses": {&table: [item]}, "UnprocessedKeys": rest});
        Fault::Answer { status: 200, body }
    });
    let ran = operator.run(&["events", "--state", "dead", "--json"]).await.expect(0);
    assert_eq!(found(&ran.json()).len(), 12);
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_told_and_hides_no_other() {
    let operator = Operator::new().await;
    let given =
        ids("evt", 30).into_iter().map(|id| Given::new(&id, State::Dead, Duration::from_mins(5)));
    make(&operator, given).await;
    let text = |text: &str| AttributeValue::S(text.into());
    operator
        .bed
        .dynamodb()
        .update_item()
        .table_name(&operator.bed.table)
        .key("pk", text("stripe#evt-007"))
        .update_expression("SET #state = :state")
        .expression_attribute_names("#state", "state")
        .expression_attribute_values(":state", text("frozen"))
        .send()
        .await
        .expect("update");
    for arguments in [["--state", "dead"], ["--source", "stripe"]] {
        let fixed = ["events", "--limit", "100", "--json"];
        let ran = operator.run(&[&fixed[..], &arguments].concat()).await.expect(0);
        let mut expected = ids("evt", 30);
        expected.remove(7);
        let answer = ran.json();
        let mut seen = found(&answer);
        seen.sort_unstable();
        assert_eq!(seen, expected);
        assert!(ran.stderr.contains("stripe#evt-007"), "{}", ran.stderr);
    }
    let ran = operator.run(&["dlq", "--json"]).await.expect(0);
    assert!(ran.stderr.contains("stripe#evt-007"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_looks_handled_and_was_not_is_told_wherever_it_is_shown() {
    let operator = Operator::new().await;
    let all = ids("evt", 3);
    make(&operator, all.iter().map(|id| Given::new(id, State::Received, Duration::from_mins(5))))
        .await;
    let ledger = operator.ledger();
    let now = Timestamp::now();
    for (n, id) in all.iter().enumerate() {
        let key = EventKey { source: "stripe".into(), id: id.clone() };
        let record = begin(&ledger, &key, 1, now).await;
        match n {
            0 => ledger.finish(&record, now).await.unwrap(),
            1 => {
                let nothing = Completion::of_nothing("the event holds no object", now);
                ledger.complete(&record, "state", &[], nothing).await.unwrap()
            }
            _ => ledger.complete(&record, "state", &[], now.into()).await.unwrap(),
        };
    }
    let ran = operator.run(&["events", "--source", "stripe"]).await.expect(0);
    let line = |id: &str| {
        let line = ran.text().lines().find(|line| line.contains(id)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{id} is not in {}", ran.text()))
    };
    assert!(line("evt-000").contains("done (no route)"), "{}", line("evt-000"));
    assert!(line("evt-000").contains("no route takes it: nothing was done"), "{}", line("evt-000"));
    let nothing = "state had nothing to do: the event holds no object";
    assert!(line("evt-001").contains(nothing), "{}", line("evt-001"));
    assert!(line("evt-002").contains(" after "), "{}", line("evt-002"));
    assert!(!line("evt-002").contains("nothing"), "{}", line("evt-002"));

    let answer = operator.run(&["events", "--source", "stripe", "--json"]).await.expect(0).json();
    let seen = |n: usize| {
        let event = answer["events"].as_array().unwrap().iter().find(|it| it["id"] == all[n]);
        let event = event.expect("the event");
        json!([event["state"], event["is_unrouted"], event["nothing_done"]])
    };
    assert_eq!(seen(0), json!(["done", true, {}]));
    assert_eq!(seen(1), json!(["done", false, {"state": "the event holds no object"}]));
    assert_eq!(seen(2), json!(["done", false, {}]));

    let shown = operator.run(&["show", "stripe", "evt-000"]).await.expect(0);
    assert!(shown.text().starts_with("stripe evt-000  invoice.paid  done (no route)\n"));
    assert!(shown.text().contains("; no route takes it: nothing was done"), "{}", shown.text());
    let shown = operator.run(&["show", "stripe", "evt-001"]).await.expect(0);
    assert!(shown.text().contains("state    nothing to do"), "{}", shown.text());
    let told = "by state, which had nothing to do: the event holds no object";
    assert!(shown.text().contains(told), "{}", shown.text());
    let shown = operator.run(&["show", "stripe", "evt-001", "--json"]).await.expect(0).json();
    assert_eq!(shown["ledger"]["nothing_done"], json!({"state": "the event holds no object"}));
    assert_eq!(shown["ledger"]["is_unrouted"], false);

    let doctor = operator.run(&["doctor", "--json"]).await.expect(0).json();
    let says = doctor["findings"].as_array().unwrap().iter().filter(|it| it["about"] == "events");
    let says: Vec<(&str, &str)> =
        says.map(|it| (it["verdict"].as_str().unwrap(), it["says"].as_str().unwrap())).collect();
    let of = "stripe:invoice.paid (1); 1 event of the last day's newest 3 events";
    assert_eq!(
        says,
        [
            ("warning", &*format!("no route takes it: nothing was done: {of}")),
            ("warning", &*format!("{nothing}: {of}")),
        ]
    );
}
