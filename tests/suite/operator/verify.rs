//! `inbox verify`: the verdict is the receiver's, and the reason is one to act on.

use std::collections::BTreeMap;

use inbox_core::Timestamp;
use inbox_core::provider::Unsigned;
use inbox_core::secrets::Secret;
use inbox_local::paths;
use inbox_receiver::providers;
use serde_json::{Value, json};

use super::rig::{Operator, Ran};

const SECRET: &str = "whsec_local_stack_stripe";
const BODY: &str = r#"{"id":"evt_1","type":"invoice.paid","marker":"marker-1"}"#;

fn fixture(path: &str) -> Value {
    let file = paths::workspace_root().join("tests/fixtures").join(path);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Stripe's request, signed so long ago.
fn stripe(body: &str, seconds_ago: i64) -> String {
    let now = Timestamp::from_unix_seconds(Timestamp::now().unix_seconds() - seconds_ago).unwrap();
    let unsigned = Unsigned {
        url: "",
        content_type: "application/json",
        body: body.as_bytes(),
        id: "",
        event_type: "",
        now,
    };
    let headers = providers::find("stripe").unwrap().sign(&unsigned, &Secret::new(SECRET.into()));
    let (name, value) = &headers[0];
    format!("POST /webhooks/stripe HTTP/1.1\r\nHost: h\r\n{name}: {value}\r\n\r\n{body}")
}

async fn verify(operator: &Operator, arguments: &[&str], input: &str) -> Ran {
    operator.run_with(&[&["verify"], arguments].concat(), input.as_bytes()).await
}

#[tokio::test]
async fn every_published_vector_is_judged_as_the_provider_files_say() {
    let operator = Operator::new().await;
    let vectors = fixture("signatures.json");
    let vectors: Vec<_> = vectors
        .as_array()
        .unwrap()
        .iter()
        .filter(|vector| providers::find(vector["provider"].as_str().unwrap()).is_some())
        .collect();
    let lines: Vec<_> = vectors.iter().map(ToString::to_string).collect();
    let file = operator.directory().join("vectors.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let ran = operator.run(&["verify", "--jsonl", file.to_str().unwrap()]).await.expect(0);
    assert_eq!(ran.stderr, "");

    let facts: BTreeMap<_, _> =
        providers::names().map(|name| (name, fixture(&format!("{name}/provider.json")))).collect();
    let judged: Vec<Value> =
        ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(judged.len(), vectors.len());
    for (judged, vector) in judged.iter().zip(vectors) {
        let keys: Vec<_> = judged.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["id", "reason", "verdict"]);
        assert_eq!(judged["id"], vector["id"]);
        let known = &facts[vector["provider"].as_str().unwrap()]["vectors"];
        let refused = known["refused"][vector["id"].as_str().unwrap()].as_str();
        let verdict = judged["verdict"].as_str().unwrap();
        assert_eq!(verdict, if refused.is_some() { "invalid" } else { "valid" }, "{judged}");
        match refused.map(|code| code.trim_end_matches("_not_fresh")) {
            None => assert_eq!(judged["reason"], Value::Null),
            Some(code) => {
                let reason = judged["reason"].as_str().unwrap();
                let (found, words) = reason.split_once(": ").unwrap();
                assert_eq!(found, code, "{judged}");
                assert!(words.len() > 10, "{judged}");
            }
        }
        // Where a decision stands, it explains the difference; else they agree.
        if known["decisions"][vector["id"].as_str().unwrap()].is_null() {
            assert_eq!(judged["verdict"], vector["expect"], "{judged}");
        }
    }
}

#[tokio::test]
async fn a_line_that_cannot_be_judged_is_told_by_its_number_and_the_others_are_judged() {
    let operator = Operator::new().await;
    let good = json!({"id": 1, "provider": "github", "secrets": ["s"], "headers": {}, "body": ""});
    let input = format!("{good}\nnot json marker-1\n\n{{\"id\":2}}\n{good}\n");
    let ran = verify(&operator, &["--jsonl", "-"], &input).await.expect(1);
    assert_eq!(ran.text().lines().count(), 2);
    assert_eq!(
        ran.stderr,
        "line 2: not a JSON object (column 2)\nline 4: missing: provider, secrets, headers\n"
    );
    let strange = input.replace("github", "strype");
    let ran = verify(&operator, &["--jsonl", "-"], &strange).await.expect(1);
    assert!(ran.stderr.contains("line 1: unknown provider \"strype\": known are "));
}

#[tokio::test]
async fn a_good_request_is_valid_by_secret_source_or_environment() {
    let operator = Operator::new().await;
    let input = stripe(BODY, 12);
    let by_secret = ["--provider", "stripe", "--secret", "whsec_other", "--secret", SECRET];
    let ran = verify(&operator, &by_secret, &input).await.expect(0);
    let (first, second) = ran.text().split_once('\n').unwrap();
    assert!(first.starts_with("valid: stripe, signed 1"), "{first}");
    assert!(first.ends_with(" s ago, with secret 2 of 2"), "{first}");
    assert_eq!(second, "  invoice.paid  evt_1\n");
    assert_eq!(operator.proxy.calls().len(), 0);

    let by_source = verify(&operator, &["--source", "stripe", "--json"], &input).await.expect(0);
    let json = by_source.json();
    assert_eq!(json["verdict"], "valid");
    assert_eq!((&json["secret"], &json["secrets"]), (&json!(1), &json!(1)));
    assert_eq!(json["event_id"], "evt_1");
    assert_eq!(operator.proxy.count("secretsmanager", "GetSecretValue"), 1);
    let by_source = verify(&operator, &["--source", "stripe"], &input).await.expect(0);
    let told = "  sent again, it is a duplicate for 30 days (retention_days), by its id, and then a \
                new event\n";
    assert!(by_source.text().ends_with(told), "{}", by_source.text());

    let file = operator.directory().join("request.txt");
    std::fs::write(&file, &input).unwrap();
    let mut command = operator.command(&["verify", "--provider", "stripe"]);
    command.env("INBOX_SIGNING_SECRET", SECRET).stdin(std::fs::File::open(&file).unwrap());
    let ran = super::rig::finish(command.spawn().unwrap()).await.expect(0);
    assert!(ran.text().starts_with("valid: stripe"));
}

#[tokio::test]
async fn a_secret_in_the_environment_is_not_shown_by_help() {
    let operator = Operator::new().await;
    for command in ["verify", "send"] {
        let mut command = operator.command(&[command, "--help"]);
        command.env("INBOX_SIGNING_SECRET", SECRET);
        let ran = super::rig::finish(command.spawn().unwrap()).await.expect(0);
        assert!(ran.text().contains("INBOX_SIGNING_SECRET"), "{}", ran.text());
        assert!(!ran.text().contains(SECRET), "{}", ran.text());
    }
}

#[tokio::test]
async fn a_refused_request_is_explained_and_neither_secret_nor_body_is_quoted() {
    let operator = Operator::new().await;
    let arguments = ["--provider", "stripe", "--secret", SECRET];
    let input = format!("{}\n", stripe(BODY, 0));
    let ran = verify(&operator, &arguments, &input).await.expect(1);
    assert!(
        ran.text().starts_with(
            "invalid: signature_mismatch (stripe)\n\n\
             certain  The body has a line end behind it that was not signed: without it, the \
             request verifies\n         → "
        ),
        "{}",
        ran.text()
    );
    let late = verify(&operator, &arguments, &stripe(BODY, 3600)).await.expect(1);
    assert!(late.text().starts_with("invalid: stale_timestamp (stripe)"), "{}", late.text());
    assert!(late.text().contains("where 5 min are allowed"), "{}", late.text());
    let now = late.text().split("--now ").nth(1).unwrap().split(';').next().unwrap();
    verify(&operator, &[&arguments[..], &["--now", now]].concat(), &stripe(BODY, 3600))
        .await
        .expect(0);

    let wrong = ["--provider", "stripe", "--secret", "whsec_wrong_0123456789", "--json"];
    let ran = verify(&operator, &wrong, &input).await.expect(1);
    let json = ran.json();
    assert_eq!(
        (&json["verdict"], &json["reason"]),
        (&json!("invalid"), &json!("signature_mismatch"))
    );
    assert!(json["findings"].as_array().unwrap().len() > 1);
    for told in [ran.text(), late.text(), &ran.stderr] {
        assert!(!told.contains("whsec_wrong") && !told.contains(SECRET), "{told}");
        assert!(!told.contains("marker-1"), "{told}");
    }
}

#[tokio::test]
async fn an_api_gateway_event_is_judged_as_the_receiver_would() {
    let operator = Operator::new().await;
    let raw = stripe(BODY, 0);
    let header = raw.split("Stripe-Signature: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let event = json!({
        "version": "2.0", "rawPath": "/webhooks/stripe", "rawQueryString": "", "body": BODY,
        "isBase64Encoded": false, "headers": {"stripe-signature": header},
        "requestContext": {"http": {"method": "POST"}},
    });
    let arguments = ["--provider", "stripe", "--secret", SECRET];
    verify(&operator, &arguments, &event.to_string()).await.expect(0);
}

#[tokio::test]
async fn the_address_that_was_signed_is_given_or_taken_from_the_source() {
    let operator = Operator::new().await;
    let url = "http://127.0.0.1:9/webhooks/twilio";
    let unsigned = Unsigned {
        url,
        content_type: "application/x-www-form-urlencoded",
        body: b"MessageSid=SM1&MessageStatus=sent",
        id: "",
        event_type: "",
        now: Timestamp::now(),
    };
    let token = "0123456789abcdef0123456789abcdef";
    let headers = providers::find("twilio").unwrap().sign(&unsigned, &Secret::new(token.into()));
    let signature = &headers.iter().find(|(name, _)| *name == "X-Twilio-Signature").unwrap().1;
    let input = format!(
        "POST /other HTTP/1.1\nHost: inner.example\nContent-Type: {}\nX-Twilio-Signature: \
         {signature}\n\nMessageSid=SM1&MessageStatus=sent",
        unsigned.content_type
    );
    verify(&operator, &["--source", "twilio"], &input).await.expect(0);
    let by_provider = ["--provider", "twilio", "--secret", token];
    let ran = verify(&operator, &by_provider, &input).await.expect(1);
    assert!(ran.stderr.contains("give --url"), "{}", ran.stderr);
    assert!(ran.text().contains("https://inner.example/other"), "{}", ran.text());
    verify(&operator, &[&by_provider[..], &["--url", url]].concat(), &input).await.expect(0);
}

#[tokio::test]
async fn calls_that_cannot_work_end_in_two_with_advice() {
    let operator = Operator::new().await;
    for (arguments, input, part) in [
        (&["--provider", "stripe"][..], "X: y\n\n", "INBOX_SIGNING_SECRET"),
        (&["--secret", "s"], "X: y\n\n", "--provider"),
        (&["--provider", "strype", "--secret", "s"], "X: y\n\n", "known are "),
        (&["--provider", "stripe", "--secret", ""], "X: y\n\n", "no signing secret is given"),
        (&["--provider", "stripe", "--secret", "s"], "", "no request on standard input"),
        (&["--provider", "stripe", "--secret", "s"], "{}", "no API Gateway event"),
        (&["--provider", "stripe", "--secret", "s", "--now", "soon"], "X: y\n\n", "--now: "),
        (&["--source", "stripe", "--url", "h.example/in"], "X: y\n\n", "not a whole address"),
        (&["--source", "nobody"], "X: y\n\n", "known are github"),
        (&["--jsonl", "/nowhere/x"], "", "cannot read /nowhere/x"),
        (&["--jsonl", "-", "--source", "stripe"], "", "cannot be used with"),
    ] {
        let ran = verify(&operator, arguments, input).await.expect(2);
        assert!(ran.stderr.contains(part), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_stack_that_is_no_more_hinders_nobody_who_needs_none() {
    let operator = Operator::new().await;
    std::fs::remove_file(operator.directory().join("stack.json")).unwrap();
    let fixed = ["verify", "--provider", "stripe", "--secret", "whsec_x"];
    let ran = operator.run_with(&fixed, b"Host: x\n\n{}").await.expect(1);
    assert!(ran.text().starts_with("invalid: missing_signature"), "{}", ran.text());
    operator.run_with(&["verify", "--source", "stripe"], b"Host: x\n\n{}").await.expect(2);
}
