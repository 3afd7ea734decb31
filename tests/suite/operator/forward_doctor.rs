//! `inbox doctor` of routes: whether the processor starts with them, and whether those
//! that forward can sign.

use aws_config::Region;
use inbox_local::calls::Fault;
use serde_json::{Value, json};

use super::doctor::findings;
use super::forward_secret::{made, store};
use super::rig::{Operator, Ran, environment};

const KEY: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

fn forward(id: &str, secret_id: &str) -> Value {
    json!({"id": id, "match": "*:*", "handler": "forward",
           "with": {"url": "https://crm.example.com/", "secret_id": secret_id}})
}

/// What is said of routes: verdict and words.
fn of_routes(ran: &Ran) -> Vec<(String, String)> {
    let about_routes = |about: &str| about == "routes" || about.starts_with("route ");
    let all = ran.json()["findings"].as_array().expect("findings").clone();
    all.iter()
        .filter(|finding| about_routes(finding["about"].as_str().unwrap_or_default()))
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default();
            (format!("{} {}", text("verdict"), text("about")), text("says").to_owned())
        })
        .collect()
}

fn pairs(found: &[(String, String)]) -> Vec<(&str, &str)> {
    found.iter().map(|(about, says)| (about.as_str(), says.as_str())).collect()
}

#[tokio::test]
async fn each_route_that_forwards_is_judged_by_what_it_signs_with() {
    let mut operator = Operator::new().await;
    let mut ids = Vec::new();
    for value in [
        json!({"signing_secrets": [KEY, "whsec_MARKER"]}).to_string(),
        json!(["MARKER"]).to_string(),
        json!({"signing_secrets": []}).to_string(),
        json!({"signing_secrets": [KEY]}).to_string(),
    ] {
        let id = made(&operator).await;
        store(&operator, &id, &value).await;
        ids.push(id);
    }
    let deleted = made(&operator).await;
    store(&operator, &deleted, &json!({"signing_secrets": [KEY]}).to_string()).await;
    operator.bed.secrets().delete_secret().secret_id(&deleted).send().await.expect("deleted");
    let plain = json!({"id": "drill", "match": "*:*", "handler": "drill",
                       "with": {"outcome": "retry"}});
    let gone = format!("{}/nobody", operator.bed.table);
    operator.deploy_routes(&json!([
        forward("half", &ids[0]),
        forward("bare", &ids[1]),
        forward("empty", &ids[2]),
        forward("good", &ids[3]),
        forward("gone", &gone),
        forward("deleted", &deleted),
        plain,
    ]));
    let is_gone = format!("its secret {gone} is not there, or has no value");
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    assert!(!ran.text().contains("MARKER"), "{}", ran.text());
    assert_eq!(
        pairs(&of_routes(&ran)),
        [
            ("ok routes", "7 routes, as the processor reads them"),
            (
                "broken route half",
                "secret 2 of 2 is shorter than 24 bytes when decoded: it was cut, or is no \
                 signing secret"
            ),
            (
                "broken route bare",
                "its secret cannot be used: the secret's value must be JSON of the form \
                 {\"signing_secrets\":[\"…\"]}, all values text, or one signing secret as it is"
            ),
            (
                "broken route empty",
                "its secret cannot be used: signing_secrets is empty: add at least one secret"
            ),
            ("ok route good", "forward, 1 signing secret"),
            ("broken route gone", is_gone.as_str()),
            ("broken route deleted", &format!("its secret {deleted} is marked for deletion")),
        ]
    );
    let fix_of = |about: &str| {
        let found = findings(&ran.json());
        let (_, says) = found.iter().find(|(it, _)| it == about).expect("found").clone();
        says.split_once(" → ").expect("a fix").1.to_owned()
    };
    assert_eq!(
        fix_of("broken route half"),
        "`inbox secret add route/half --generate` adds a right one, then `inbox secret retire \
         route/half --position N`"
    );
    assert_eq!(fix_of("broken route empty"), "`inbox secret add route/empty --generate` adds one");
    assert!(fix_of("broken route bare").starts_with("put it right in Secrets Manager"));
    // And so it is.
    operator.run(&["secret", "add", "route/empty", "--generate"]).await.expect(0);
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    let mended = ("ok route empty".to_owned(), "forward, 1 signing secret".to_owned());
    assert!(of_routes(&ran).contains(&mended), "{}", ran.text());
}

#[tokio::test]
async fn routes_that_keep_the_processor_from_starting_are_named() {
    let mut operator = Operator::new().await;
    operator.deploy_routes(&json!([
        {"id": "a", "match": "*:*", "handler": "forward", "with": {"secret_id": "x"}},
        {"id": "a", "match": "*:*", "handler": "drill", "with": {"outcome": "retry"}},
    ]));
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    let found = of_routes(&ran);
    let [url, twice] = found.as_slice() else { panic!("{found:?}") };
    let told = "the processor does not start: route 1 (\"a\"): handler forward: needs `url`";
    assert!(url.0 == "broken routes" && url.1.starts_with(told), "{found:?}");
    assert_eq!(twice.1, "the processor does not start: route 2 (\"a\"): id is used twice");
}

#[tokio::test]
async fn routes_and_secrets_that_this_identity_may_not_read_are_no_fault_of_theirs() {
    let mut operator = Operator::new().await;
    // The function itself is no part of it, and is not as it should be.
    operator.deploy_processor(&json!({"Error": {"ErrorCode": "AccessDeniedException"}}));
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    let found = of_routes(&ran);
    let [(about, says)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(about, "unknown routes");
    assert!(
        says.contains(&format!("no environment is told of {}", operator.processor())),
        "{says}"
    );
    assert!(ran.text().contains("needs kms:Decrypt on that key through Lambda"), "{}", ran.text());

    let id = made(&operator).await;
    let routes = environment(&json!([forward("crm", &id)]));
    operator.deploy_processor_and(&routes, |call| {
        let is_read = call.is("secretsmanager", "GetSecretValue");
        if is_read { Fault::status(400, "AccessDeniedException") } else { Fault::None }
    });
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    let found = of_routes(&ran);
    assert_eq!(found[1].0, "unknown route crm", "{found:?}");
    assert!(found[1].1.contains("GetSecretValue"), "{found:?}");
}

/// The processor asks in the region that the secret's ARN names, and so does the command.
#[tokio::test]
async fn a_secret_in_another_region_is_judged_and_changed_there() {
    let mut operator = Operator::new().await;
    let there = Region::new("eu-west-3");
    assert_ne!(operator.bed.region, there.as_ref());
    let aws = operator.bed.sdk_config().to_builder().region(there).build();
    let name = format!("{}/forward/{}", operator.bed.table, uuid::Uuid::new_v4().simple());
    let secrets = aws_sdk_secretsmanager::Client::new(&aws);
    let made = secrets.create_secret().name(&name).send().await.expect("a secret");
    let arn = made.arn().expect("an ARN").to_owned();
    assert!(arn.contains(":eu-west-3:"), "{arn}");
    // The module speaks of its own region alone.
    operator.bed.allow_operator("secretsmanager:*", &arn).await.expect("a policy");
    operator.deploy_routes(&json!([forward("crm", &arn)]));
    operator.run(&["secret", "add", "route/crm", "--generate"]).await.expect(0);
    let ran = operator.run(&["doctor", "--json"]).await.expect(1);
    let good = ("ok route crm".to_owned(), "forward, 1 signing secret".to_owned());
    assert!(of_routes(&ran).contains(&good), "{}", ran.text());
}
