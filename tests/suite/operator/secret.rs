//! `inbox secret`: a rotation step by step, and everything that must not happen
//! in one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use inbox_local::calls::Fault;
use serde_json::{Value, json};

use super::rig::{Operator, Ran};

const OLD: &str = "whsec_local_stack_stripe";
const NEW: &str = "whsec_0123456789abcdefghijABCDEFGHIJ01";

/// The stored JSON.
async fn stored(operator: &Operator, source: &str) -> Value {
    let id = operator.secret_id(source);
    let answer = operator.bed.secrets().get_secret_value().secret_id(id).send().await.unwrap();
    serde_json::from_str(answer.secret_string().unwrap()).unwrap()
}

async fn store(operator: &Operator, source: &str, text: &str) {
    let id = operator.secret_id(source);
    operator
        .bed
        .secrets()
        .put_secret_value()
        .secret_id(id)
        .secret_string(text)
        .send()
        .await
        .unwrap();
}

async fn add(operator: &Operator, value: &str) -> Ran {
    operator.run_with(&["secret", "add", "stripe"], value.as_bytes()).await
}

/// Neither of the secrets stands anywhere.
#[track_caller]
fn assert_says_no_secret(ran: &Ran) {
    for secret in [OLD, NEW] {
        assert!(!ran.text().contains(secret), "{}", ran.text());
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_rotation_adds_the_new_one_first_then_retires_the_old_and_keeps_all_else() {
    let operator = Operator::new().await;
    let before = json!({"signing_secrets": [OLD], "verify_token": "kept", "other": "too"});
    store(&operator, "stripe", &before.to_string()).await;

    let added = add(&operator, &format!("{NEW}\n")).await.expect(0);
    assert_eq!(added.text(), "added: stripe has 2 signing secrets, the new one first\n");
    assert_eq!(
        added.stderr,
        "note: the line end behind the secret was left out\n\
         receivers take it within 5 min: let the provider sign with it after that, and once it \
         does, `inbox secret retire stripe`\n"
    );
    assert_says_no_secret(&added);
    let both = json!({"signing_secrets": [NEW, OLD], "verify_token": "kept", "other": "too"});
    assert_eq!(stored(&operator, "stripe").await, both);

    let looked = operator.run(&["secret", "retire", "stripe", "--dry-run"]).await.expect(0);
    assert_eq!(looked.text(), "would retire secret 2 of 2 of stripe, which ends with …ripe\n");
    assert_eq!(stored(&operator, "stripe").await, both);

    let retired = operator.run(&["secret", "retire", "stripe", "--yes"]).await.expect(0);
    assert_eq!(retired.text(), "retired: secret 2 of 2 of stripe, which ends with …ripe\n");
    assert_says_no_secret(&retired);
    assert_eq!(
        stored(&operator, "stripe").await,
        json!({"signing_secrets": [NEW], "verify_token": "kept", "other": "too"})
    );
}

#[tokio::test]
async fn what_is_held_is_shown_by_its_end_and_never_whole() {
    let operator = Operator::new().await;
    let held = json!({"signing_secrets": [NEW, "sk_live_1", OLD], "verify_token": "hidden"});
    store(&operator, "stripe", &held.to_string()).await;
    let shown = operator.run(&["secret", "show", "stripe"]).await.expect(1);
    let lines: Vec<_> = shown.text().lines().collect();
    assert!(lines[0].starts_with("stripe: secret test-"), "{}", shown.text());
    assert_eq!(lines[1], "#  ends with            characters  judged");
    assert_eq!(lines[2], "1  …IJ01                        38  good");
    assert_eq!(
        lines[3],
        "2  (too short to show)           9  is an API key: use the endpoint's signing secret, \
         which begins with whsec_"
    );
    assert_eq!(lines[4], "3  …ripe                        24  good");
    assert_eq!(lines[5], "also holds: verify_token");
    assert_says_no_secret(&shown);
    assert!(!shown.text().contains("hidden") && !shown.text().contains("sk_live_1"));

    let json = operator.run(&["secret", "show", "stripe", "--json"]).await.expect(1).json();
    assert_eq!(
        json["signing_secrets"][0],
        json!({
            "position": 1, "ends_with": "IJ01", "length": 38, "fault": null, "concern": null,
        })
    );
    assert_eq!(json["signing_secrets"][1]["ends_with"], Value::Null);
    assert_eq!(json["others"], json!(["verify_token"]));
}

#[tokio::test]
async fn a_value_that_cannot_be_a_secret_is_refused_before_aws_is_asked() {
    let operator = Operator::new().await;
    for (value, part) in [
        ("", "this value is empty"),
        ("\n", "this value is empty"),
        (" whsec_0123456789\n", "white space around it"),
        ("whsec_0123456789\n\n", "white space around it"),
        ("whsec_0123456789\nwhsec_1\n", "more than one line"),
        ("sk_live_0123456789", "API key"),
        (r#"{"signing_secrets":["whsec_0123456789"]}"#, "is JSON"),
        ("whsec_", "fewer than 16 characters"),
        ("whsec_0123456789", "fewer than 16 characters"),
        ("whsec_…", "placeholder"),
    ] {
        let ran = add(&operator, value).await.expect(2);
        assert!(ran.stderr.contains(part), "{value:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("0123456789"), "{}", ran.stderr);
    }
    assert_eq!(operator.proxy.calls().len(), 0);
    for arguments in
        [&["secret", "add", "stripe", NEW][..], &["secret", "add", "stripe", "--", NEW]]
    {
        let by_argument = operator.run(arguments).await.expect(2);
        assert!(by_argument.stderr.contains("not taken from the command line"));
        assert_says_no_secret(&by_argument);
    }
    assert_eq!(operator.proxy.calls().len(), 0);
}

#[tokio::test]
async fn a_secret_that_is_held_is_not_added_again_and_the_last_one_never_goes() {
    let operator = Operator::new().await;
    let again = add(&operator, OLD).await.expect(1);
    assert!(again.stderr.contains("already, at position 1"), "{}", again.stderr);
    assert_says_no_secret(&again);
    let last = operator.run(&["secret", "retire", "stripe", "--yes"]).await.expect(1);
    assert!(last.stderr.contains("it is the only one"), "{}", last.stderr);
    let nowhere = operator.run(&["secret", "retire", "stripe", "--position", "7", "--yes"]).await;
    assert_eq!(nowhere.code, 1);
    assert_eq!(stored(&operator, "stripe").await, json!({"signing_secrets": [OLD]}));
    assert_eq!(operator.proxy.count("secretsmanager", "PutSecretValue"), 0);
}

#[tokio::test]
async fn without_a_yes_nothing_is_retired() {
    let operator = Operator::new().await;
    add(&operator, NEW).await.expect(0);
    let asked = operator.run(&["secret", "retire", "stripe"]).await.expect(2);
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    assert_eq!(stored(&operator, "stripe").await, json!({"signing_secrets": [NEW, OLD]}));
}

#[tokio::test]
async fn a_change_by_somebody_else_at_the_same_moment_is_kept_and_told() {
    let operator = Operator::new().await;
    // Between this operator's read and write another one adds a secret.
    let theirs = json!({"signing_secrets": ["whsec_theirs_0123456789", OLD]}).to_string();
    let (bed, id) = (operator.bed.clone(), operator.secret_id("stripe").to_owned());
    let once = Arc::new(AtomicBool::new(false));
    let put = theirs.clone();
    operator.proxy.set_hook(move |call| {
        if call.is("secretsmanager", "PutSecretValue") && !once.swap(true, Ordering::SeqCst) {
            let (bed, id, put) = (bed.clone(), id.clone(), put.clone());
            let other = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async move {
                    let client = bed.secrets();
                    client
                        .put_secret_value()
                        .secret_id(id)
                        .secret_string(put)
                        .send()
                        .await
                        .unwrap();
                });
            });
            other.join().unwrap();
        }
        Fault::None
    });
    let ran = add(&operator, NEW).await.expect(1);
    assert!(ran.stderr.contains("somebody else changed this secret"), "{}", ran.stderr);
    operator.proxy.clear_hook();
    assert_eq!(stored(&operator, "stripe").await.to_string(), theirs);
    let as_json = ["secret", "add", "stripe", "--json"];
    let json = operator.run_with(&as_json, NEW.as_bytes()).await.expect(0).json();
    assert_eq!(
        json,
        json!({"source": "stripe", "added": 1, "signing_secrets": 3, "concern": null})
    );
    assert_eq!(
        stored(&operator, "stripe").await,
        json!({"signing_secrets": [NEW, "whsec_theirs_0123456789", OLD]})
    );
}

#[tokio::test]
async fn a_lost_answer_to_a_write_that_landed_is_no_fault() {
    let operator = Operator::new().await;
    for operation in ["PutSecretValue", "UpdateSecretVersionStage"] {
        operator.proxy.fail_next("secretsmanager", operation, 1, Fault::DropReply);
    }
    add(&operator, NEW).await.expect(0);
    assert_eq!(stored(&operator, "stripe").await, json!({"signing_secrets": [NEW, OLD]}));
}

#[tokio::test]
async fn a_permission_that_is_missing_is_told_and_nothing_is_half_done() {
    let operator = Operator::new().await;
    for operation in
        ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]
    {
        let denied = Fault::status(400, "AccessDeniedException");
        operator.proxy.fail_next("secretsmanager", operation, 1, denied);
        let ran = add(&operator, NEW).await.expect(3);
        assert!(ran.stderr.contains(operation), "{}", ran.stderr);
        assert!(ran.stderr.contains("lacks a permission"), "{}", ran.stderr);
        assert_says_no_secret(&ran);
        assert_eq!(stored(&operator, "stripe").await, json!({"signing_secrets": [OLD]}));
    }
    add(&operator, NEW).await.expect(0);
}

#[tokio::test]
async fn a_secret_without_a_value_gets_its_first_and_one_that_is_not_there_is_told() {
    let mut operator = Operator::new().await;
    let client = operator.bed.secrets();
    let name = format!("{}/{}", operator.bed.table, uuid::Uuid::new_v4().simple());
    client.create_secret().name(&name).send().await.unwrap();
    let source = |secret_id: &str| json!({"stripe": {"provider": "stripe", "secret_id": secret_id, "url": "http://x"}});
    operator.set("sources", source(&name));
    let empty = operator.run(&["secret", "show", "stripe"]).await.expect(1);
    assert!(empty.text().contains("no signing secret"), "{}", empty.text());
    let added = add(&operator, NEW).await.expect(0);
    assert_eq!(added.text(), "added: the first signing secret of stripe\n");
    assert_eq!(stored(&operator, "stripe").await, json!({"signing_secrets": [NEW]}));

    operator.set("sources", source(&format!("{}/nobody", operator.bed.table)));
    for arguments in [["secret", "show", "stripe"], ["secret", "retire", "stripe"]] {
        let ran = operator.run(&arguments).await.expect(1);
        assert!(ran.stderr.starts_with("error: there is no secret"), "{}", ran.stderr);
        assert!(ran.stderr.contains("terraform apply"), "{}", ran.stderr);
    }
    add(&operator, NEW).await.expect(1);
}

#[tokio::test]
async fn a_value_of_another_form_is_left_alone() {
    let operator = Operator::new().await;
    store(&operator, "stripe", r#"["whsec_typed_in_by_hand"]"#).await;
    let ran = add(&operator, NEW).await.expect(1);
    assert!(ran.stderr.contains("not JSON of the form"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("typed_in_by_hand"), "{}", ran.stderr);
    assert_eq!(operator.proxy.count("secretsmanager", "PutSecretValue"), 0);
}

/// As the console, the AWS CLI or Terraform put it.
#[tokio::test]
async fn a_plain_text_is_one_signing_secret_until_the_next_one_is_added() {
    let operator = Operator::new().await;
    store(&operator, "stripe", &format!("{OLD}\n")).await;
    let shown = operator.run(&["secret", "show", "stripe"]).await.expect(0);
    assert!(shown.text().contains("…ripe"), "{}", shown.text());
    assert!(
        shown.stderr.contains("as plain text, which is one signing secret"),
        "{}",
        shown.stderr
    );
    assert_says_no_secret(&shown);
    let json = operator.run(&["secret", "show", "stripe", "--json"]).await.expect(0).json();
    assert_eq!(json["is_plain_text"], true);
    add(&operator, NEW).await.expect(0);
    assert_eq!(stored(&operator, "stripe").await, json!({"signing_secrets": [NEW, OLD]}));
    let shown = operator.run(&["secret", "show", "stripe"]).await.expect(0);
    assert_eq!(shown.stderr, "");
}

#[tokio::test]
async fn a_short_secret_that_people_chose_is_taken_with_a_warning() {
    let operator = Operator::new().await;
    let short = "0123456789abcdefgh";
    let added = operator.run_with(&["secret", "add", "github"], short.as_bytes()).await.expect(0);
    assert!(added.stderr.contains("warning: it has fewer than 20 characters"), "{}", added.stderr);
    let shown = operator.run(&["secret", "show", "github"]).await.expect(0);
    assert!(shown.text().contains("has fewer than 20 characters"), "{}", shown.text());
    let doctor = operator.run(&["doctor", "--json"]).await.json();
    let about = |finding: &&Value| finding["about"] == "source github";
    let findings = doctor["findings"].as_array().expect("findings");
    let found: Vec<&Value> = findings.iter().filter(about).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["verdict"], "warning");
    assert!(found[0]["says"].as_str().unwrap().contains("fewer than 20"), "{found:?}");
}
