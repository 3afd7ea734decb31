//! `inbox send`: the real receiver takes what it sends, each one as a new event.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::receivers::Receivers;
use super::rig::{Operator, SECRETS, finish};

/// An operator whose sources are these receivers.
async fn operator(receivers: &Receivers) -> Operator {
    let mut operator = Operator::new().await;
    let sources: serde_json::Map<String, Value> = SECRETS
        .iter()
        .map(|(name, _)| {
            let secret_id = operator.secret_id(name);
            let url = receivers.url(name);
            ((*name).into(), json!({"provider": name, "secret_id": secret_id, "url": url}))
        })
        .collect();
    operator.set("sources", sources.into());
    operator
}

#[tokio::test]
async fn every_provider_is_imitated_well_enough_for_its_receiver_and_each_time_as_a_new_event() {
    let receivers = Receivers::start().await;
    let operator = operator(&receivers).await;
    for (source, secret) in SECRETS {
        let mut ids = BTreeSet::new();
        for _ in 0..2 {
            let ran = operator.run(&["send", source, "--json"]).await.expect(0);
            let json = ran.json();
            assert_eq!(json["inbox_status"], "accepted", "{json}");
            ids.insert(json["inbox_id"].as_str().unwrap().to_owned());
            assert!(!ran.text().contains(secret) && !ran.stderr.contains(secret));
        }
        assert_eq!(ids.len(), 2, "{source}");
        let kept: BTreeSet<_> =
            receivers.accepted(source).into_iter().map(|it| it.event.key.id).collect();
        assert_eq!(kept, ids, "{source}");
        assert!(receivers.accepted(source).iter().all(|it| it.event.event_type != "unknown"));
    }
}

#[tokio::test]
async fn one_is_told_in_words_with_what_to_do_next() {
    let receivers = Receivers::start().await;
    let operator = operator(&receivers).await;
    let ran =
        operator.run(&["send", "stripe", "--type", "payment_intent.succeeded"]).await.expect(0);
    assert!(ran.text().starts_with("200 accepted in "), "{}", ran.text());
    assert!(ran.text().ends_with(" ms  payment_intent.succeeded\n"), "{}", ran.text());
    let id = &receivers.accepted("stripe")[0].event.key.id;
    assert_eq!(ran.stderr, format!("look at it: inbox show stripe {id}\n"));
    receivers.answer_next(&[500]);
    let ran = operator.run(&["send", "stripe"]).await.expect(1);
    assert!(ran.text().starts_with("500 in "), "{}", ran.text());
    assert_eq!(ran.stderr, "");
    receivers.answer_next(&[401]);
    let ran = operator.run(&["send", "stripe"]).await.expect(1);
    assert!(ran.stderr.contains("less than 5 min ago"), "{}", ran.stderr);
}

#[tokio::test]
async fn many_are_counted_by_answer_and_take_turns_through_the_types() {
    let receivers = Receivers::start().await;
    let operator = operator(&receivers).await;
    let many = ["send", "stripe", "--type", "payment_intent.*", "--count", "20", "--rate", "200"];
    let ran = operator.run(&many).await.expect(0);
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(lines[..2], ["answer  inbox     count", "200     accepted     20"]);
    assert!(lines[2].starts_with("median ") && lines[2].contains(" ms, worst "), "{lines:?}");
    let types: Vec<_> =
        receivers.accepted("stripe").into_iter().map(|it| it.event.event_type).collect();
    assert_eq!(types.len(), 20);
    for kind in ["payment_intent.payment_failed", "payment_intent.succeeded"] {
        assert_eq!(types.iter().filter(|it| *it == kind).count(), 10, "{kind}");
    }

    receivers.answer_next(&[200, 503, 401]);
    let mixed = [&many[..2], &["--count", "5", "--rate", "200", "--json"]].concat();
    let json = operator.run(&mixed).await.expect(1).json();
    assert_eq!((&json["sent"], &json["unanswered"]), (&json!(5), &json!(0)));
    assert_eq!(
        json["answers"],
        json!([
            {"status": 200, "inbox_status": null, "count": 1},
            {"status": 200, "inbox_status": "accepted", "count": 2},
            {"status": 401, "inbox_status": null, "count": 1},
            {"status": 503, "inbox_status": null, "count": 1},
        ])
    );
}

#[tokio::test]
async fn who_is_interrupted_is_told_how_many_were_sent() {
    let receivers = Receivers::start().await;
    let operator = operator(&receivers).await;
    let child = operator.start(&["send", "stripe", "--count", "1000", "--rate", "20"]);
    let begun = tokio::time::Instant::now();
    while receivers.accepted("stripe").len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing was sent");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let id = child.id().expect("it runs").to_string();
    Command::new("kill").args(["-INT", &id]).status().await.unwrap();
    let ran = finish(child).await.expect(130);
    let sent = receivers.accepted("stripe").len();
    assert_eq!(ran.stderr, format!("interrupted: sent {sent} of 1000\n"));
    assert!(ran.text().starts_with("answer  inbox "), "{}", ran.text());
}

#[tokio::test]
async fn nobody_there_is_three_and_a_wrong_address_two() {
    let operator = Operator::new().await;
    for arguments in [&["send", "stripe"][..], &["send", "stripe", "--count", "3"]] {
        let ran = operator.run(arguments).await.expect(3);
        assert!(ran.stderr.contains("no answer"), "{}", ran.stderr);
    }
    let ran = operator.run(&["send", "stripe", "--url", "not an address"]).await.expect(2);
    assert!(ran.stderr.contains("http://"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_file_is_sent_byte_for_byte_with_a_type_guessed_or_given() {
    let receivers = Receivers::start().await;
    let operator = operator(&receivers).await;
    let file = operator.directory().join("body.json");
    let body = "{\"id\":\"evt_mine\",\r\n \"type\":\"a.b\"}\n";
    std::fs::write(&file, body).unwrap();
    let file = file.to_str().unwrap();
    for (turn, status) in ["accepted", "duplicate"].into_iter().enumerate() {
        let json =
            operator.run(&["send", "stripe", "--file", file, "--json"]).await.expect(0).json();
        assert_eq!(
            (&json["inbox_id"], &json["inbox_status"]),
            (&json!("evt_mine"), &json!(status))
        );
        assert_eq!(receivers.accepted("stripe").len(), 1, "{turn}");
    }
    let kept = &receivers.accepted("stripe")[0].event;
    assert_eq!(kept.payload.bytes, body);
    assert_eq!(kept.payload.content_type, "application/json");
    // JSON to a provider that puts the body's hash into the address.
    let arguments = ["send", "twilio", "--file", file, "--content-type", "application/json; x=y"];
    operator.run(&arguments).await.expect(0);
    assert_eq!(receivers.accepted("twilio")[0].event.payload.bytes, body);
    // A name that GitHub has, of which the body is not, would be no type.
    let header = "X-GitHub-Hook-ID: 7";
    let arguments = ["send", "github", "--file", file, "--type", "thing", "--header", header];
    operator.run(&arguments).await.expect(0);
    let event = &receivers.accepted("github")[0].event;
    assert_eq!(event.event_type, "thing");
    assert!(event.key.id.ends_with("@7"), "{}", event.key.id);
}

#[tokio::test]
async fn the_printed_curl_command_does_what_send_does() {
    let receivers = Receivers::start().await;
    let operator = operator(&receivers).await;
    let odd = operator.directory().join("odd.json");
    std::fs::write(&odd, b"{\"id\":\"evt_odd\",\"type\":\"it's\",\"x\":\"\r\xff$(touch x)\"}")
        .unwrap();
    let shell = |script: String| async move {
        let child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        finish(child).await
    };
    for (source, _) in SECRETS {
        let printed = operator.run(&["send", source, "--curl"]).await.expect(0);
        assert!(receivers.accepted(source).is_empty(), "{source}: it was sent");
        assert!(printed.text().starts_with("curl -i '"), "{}", printed.text());
        let ran = shell(printed.text().to_owned()).await.expect(0);
        assert!(ran.text().to_lowercase().contains("x-inbox-status: accepted"), "{}", ran.text());
    }
    let arguments = ["send", "stripe", "--file", odd.to_str().unwrap(), "--curl", "--json"];
    let printed = operator.run(&arguments).await.expect(0).json();
    shell(printed["curl"].as_str().unwrap().to_owned()).await.expect(0);
    let sent = std::fs::read(&odd).unwrap();
    assert!(receivers.accepted("stripe").iter().any(|it| it.event.payload.bytes == sent));
}

#[tokio::test]
async fn an_unknown_type_is_answered_with_the_known_ones_and_an_unknown_source_too() {
    let operator = Operator::new().await;
    let ran = operator.run(&["send", "github", "--type", "star*"]).await.expect(2);
    assert!(
        ran.stderr.contains("known are issues.opened, ping, pull_request.opened, push; or"),
        "{}",
        ran.stderr
    );
    let ran = operator.run(&["send", "nobody"]).await.expect(2);
    assert!(ran.stderr.contains("known are github"), "{}", ran.stderr);
    assert_eq!(operator.proxy.calls().len(), 0);
}

#[tokio::test]
async fn without_a_deployment_a_providers_name_an_address_and_a_secret_will_do() {
    let receivers = Receivers::start().await;
    let mut operator = Operator::new().await;
    operator.set("sources", Value::Null);
    for (provider, secret) in SECRETS {
        let url = receivers.url(provider);
        let mut command = operator.command(&["send", provider, "--url", &url]);
        command.env("INBOX_SIGNING_SECRET", secret);
        finish(command.spawn().unwrap()).await.expect(0);
        assert_eq!(receivers.accepted(provider).len(), 1);
    }
    assert_eq!(operator.proxy.calls().len(), 0);
}

#[tokio::test]
async fn another_address_may_be_called_than_the_one_that_is_signed() {
    let receivers = Receivers::start().await;
    let operator = operator(&receivers).await;
    let inner = receivers.url("twilio").replace("127.0.0.1", "localhost");
    operator.run(&["send", "twilio", "--url", &inner]).await.expect(1);
    let signed = receivers.url("twilio");
    operator.run(&["send", "twilio", "--url", &inner, "--signed-url", &signed]).await.expect(0);
    assert_eq!(receivers.accepted("twilio").len(), 1);
}
