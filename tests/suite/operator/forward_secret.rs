//! `inbox secret` of a route that forwards: made here, rotated while both sign.

use inbox_core::secrets::Secret;
use inbox_core::standard_webhooks::key;
use serde_json::{Value, json};

use super::rig::{Operator, Ran};

const OLD: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const NEW: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

/// A secret as Terraform makes it: without a value.
pub(super) async fn made(operator: &Operator) -> String {
    let name = format!("{}/forward/{}", operator.bed.table, uuid::Uuid::new_v4().simple());
    operator.bed.secrets().create_secret().name(&name).send().await.expect("a secret");
    name
}

/// Puts a value there, whatever it is.
pub(super) async fn store(operator: &Operator, secret_id: &str, value: &str) {
    let secrets = operator.bed.secrets();
    let put = secrets.put_secret_value().secret_id(secret_id).secret_string(value);
    put.send().await.expect("stored");
}

async fn stored(operator: &Operator, secret_id: &str) -> Value {
    let secrets = operator.bed.secrets();
    let answer = secrets.get_secret_value().secret_id(secret_id).send().await.expect("a value");
    serde_json::from_str(answer.secret_string().expect("text")).expect("JSON")
}

fn signing_secrets(stored: &Value) -> Vec<String> {
    serde_json::from_value(stored["signing_secrets"].clone()).expect("a list of texts")
}

#[track_caller]
fn assert_says_none_of(ran: &Ran, secrets: &[String]) {
    for secret in secrets {
        assert!(!ran.text().contains(secret) && !ran.stderr.contains(secret), "{ran:?}");
    }
}

/// An operator and the secret of its route `crm`, known from the stack file.
async fn with_route() -> (Operator, String) {
    let mut operator = Operator::new().await;
    let name = made(&operator).await;
    operator.set("forward_secrets", json!({"crm": {"secret_id": name}}));
    (operator, name)
}

#[tokio::test]
async fn a_rotation_makes_the_secrets_and_prints_none() {
    let (operator, id) = with_route().await;
    let empty = operator.run(&["secret", "show", "route/crm"]).await.expect(1);
    assert!(empty.text().ends_with("no signing secret: nothing is forwarded\n"), "{empty:?}");
    assert_eq!(empty.stderr, "give it its first with `inbox secret add route/crm --generate`\n");

    let generate = ["secret", "add", "route/crm", "--generate"];
    let first = operator.run(&generate).await.expect(0);
    assert_eq!(first.text(), "added: the first signing secret of route/crm\n");
    assert_eq!(
        first.stderr,
        format!(
            "the processor signs with it within 5 min\n\
             the endpoint needs it as well, the first of what `aws secretsmanager \
             get-secret-value --secret-id {id} --query SecretString --output text` shows\n"
        )
    );
    let held = signing_secrets(&stored(&operator, &id).await);
    let [old] = held.as_slice() else { panic!("{} secrets", held.len()) };
    assert_says_none_of(&first, &held);
    assert_eq!(key(&Secret::new(old.clone())).map(|key| key.len()), Some(32));

    let second = operator.run(&generate).await.expect(0);
    assert_eq!(second.text(), "added: route/crm has 2 signing secrets, the new one first\n");
    let told = "within 5 min all of them sign: let the endpoint verify with the new one after that, \
                and once it does, `inbox secret retire route/crm`\n";
    assert!(second.stderr.starts_with(told), "{}", second.stderr);
    let held = signing_secrets(&stored(&operator, &id).await);
    assert_says_none_of(&second, &held);
    assert!(held.len() == 2 && held[0] != *old && held[1] == *old);

    let shown = operator.run(&["secret", "show", "route/crm"]).await.expect(0);
    assert_says_none_of(&shown, &held);
    assert!(shown.text().lines().filter(|line| line.ends_with("good")).count() == 2, "{shown:?}");

    let retired = operator.run(&["secret", "retire", "route/crm", "--yes"]).await.expect(0);
    assert!(retired.text().starts_with("retired: secret 2 of 2 of route/crm"), "{retired:?}");
    let told = "within 5 min it signs no more; should the endpoint refuse events now";
    assert!(retired.stderr.starts_with(told), "{}", retired.stderr);
    assert_eq!(signing_secrets(&stored(&operator, &id).await), held[..1]);
    let last = operator.run(&["secret", "retire", "route/crm", "--yes"]).await.expect(1);
    assert!(last.stderr.contains("it is the only one; add another first"), "{}", last.stderr);
}

#[tokio::test]
async fn a_secret_that_the_endpoint_gave_is_taken_where_it_can_sign() {
    let (operator, id) = with_route().await;
    store(&operator, &id, &json!({"signing_secrets": [OLD]}).to_string()).await;
    let add = ["secret", "add", "route/crm", "--json"];
    for (value, part) in [
        ("whsec_c2hvcnQ=", "is shorter than 24 bytes"),
        ("whpk_MDEyMzQ1Njc4OTAx", "is a public key"),
        ("not a key", "is not base64"),
    ] {
        let ran = operator.run_with(&add, value.as_bytes()).await.expect(2);
        assert!(ran.stderr.contains(part) && !ran.stderr.contains(value), "{}", ran.stderr);
    }
    assert_eq!(operator.proxy.calls().len(), 0);
    let added = operator.run_with(&add, NEW.as_bytes()).await.expect(0);
    let expected = json!({"route": "crm", "added": 1, "signing_secrets": 2, "concern": null});
    assert_eq!(added.json(), expected);
    // Who typed it has it: nobody is sent to read it.
    assert!(!added.stderr.contains("get-secret-value"), "{}", added.stderr);
    assert_eq!(stored(&operator, &id).await, json!({"signing_secrets": [NEW, OLD]}));

    let shown = operator.run(&["secret", "show", "route/crm", "--json"]).await.expect(0).json();
    assert_eq!((&shown["route"], &shown["secret_id"]), (&json!("crm"), &json!(id)));
    assert_eq!((&shown["source"], &shown["provider"]), (&Value::Null, &Value::Null));
    assert_eq!(
        shown["signing_secrets"][0],
        json!({"position": 1, "ends_with": "ZWY=", "length": 50, "fault": null, "concern": null})
    );
}

/// A route may name a secret that no file knows of.
#[tokio::test]
async fn a_route_that_names_its_secret_is_asked_of_the_deployed_routes() {
    let mut operator = Operator::new().await;
    let id = made(&operator).await;
    let route = |name: &str, handler: &str, with: Value| json!({"id": name, "match": "*:*", "handler": handler, "with": with});
    let forward = json!({"url": "https://crm.example.com/", "secret_id": id});
    operator.deploy_routes(&json!([
        route("crm", "forward", forward),
        route("drill", "drill", json!({"outcome": "retry"})),
    ]));
    operator.run(&["secret", "add", "route/crm", "--generate"]).await.expect(0);
    assert_eq!(signing_secrets(&stored(&operator, &id).await).len(), 1);

    for (route, problem, advice) in [
        ("route/nobody", "unknown route \"nobody\"", "known are route/crm"),
        ("route/drill", "route \"drill\" has no signing secret: its handler is drill", "`forward`"),
    ] {
        let ran = operator.run(&["secret", "show", route]).await.expect(2);
        assert!(ran.stderr.starts_with(&format!("error: {problem}\n")), "{}", ran.stderr);
        assert!(ran.stderr.contains(advice), "{}", ran.stderr);
    }
    operator.deploy_processor(&json!({"Error": {"ErrorCode": "AccessDeniedException"}}));
    let ran = operator.run(&["secret", "show", "route/crm"]).await.expect(3);
    let told = format!("no environment is told of {}", operator.processor());
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
}

#[tokio::test]
async fn a_sources_secret_is_its_providers_and_not_made_here() {
    let operator = Operator::new().await;
    let ran = operator.run(&["secret", "add", "stripe", "--generate"]).await.expect(2);
    assert!(ran.stderr.contains("is its provider's, and not made here"), "{}", ran.stderr);
    assert_eq!(operator.proxy.calls().len(), 0);
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_told_with_who_makes_it() {
    let mut operator = Operator::new().await;
    let gone = format!("{}/nobody", operator.bed.table);
    operator.set("forward_secrets", json!({"crm": {"name": "x", "arn": gone}}));
    let ran = operator.run(&["secret", "add", "route/crm", "--generate"]).await.expect(1);
    let said = format!("error: there is no secret \"{gone}\"");
    assert!(ran.stderr.starts_with(&said), "{}", ran.stderr);
    assert!(ran.stderr.contains("unless the route names one of your own"), "{}", ran.stderr);
}

/// What was made for the route `crm` of a stack of its own.
pub(super) async fn the_local_stacks_own_is_shown(operator: &Operator) {
    let shown = operator.run(&["secret", "show", "route/crm", "--json"]).await.expect(0).json();
    assert_eq!(shown["secret_id"], "webhook-inbox/forward/crm");
    assert_eq!(shown["signing_secrets"].as_array().map(Vec::len), Some(1));
    let unknown = operator.run(&["secret", "show", "route/mirror"]).await.expect(2);
    assert!(unknown.stderr.contains("its handler is mirror"), "{}", unknown.stderr);
}
