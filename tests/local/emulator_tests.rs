//! Who may speak to the emulator, and that it decides as IAM does.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::access::AccessKey;
use crate::functions::zip_of;
use crate::iam::Iam;
use crate::permissions::{Policy, Role};
use crate::resources::QueueOverrides;
use crate::{TestBed, http_client, testbed};

const FUNCTIONS: &str = "/2015-03-31/functions";

/// A function that leaves a file behind when it runs.
fn code(leaves: &std::path::Path, role: &str) -> String {
    let text = format!("def handler(event, context):\n    open({leaves:?}, 'w').close()\n");
    let zip = zip_of([("index.py", text.as_bytes())]).expect("a zip");
    let name = format!("code-{}", uuid::Uuid::new_v4().simple());
    json!({
        "FunctionName": name, "Runtime": "python3.12", "Handler": "index.handler", "Role": role,
        "Code": { "ZipFile": STANDARD.encode(zip) },
    })
    .to_string()
}

/// What was answered, and the message of the door.
async fn asked(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let emulator = testbed::shared_emulator().await.expect("an emulator");
    let url = format!("{}{path}", emulator.endpoint_url());
    let request = http_client::build(method, &url, headers, body.to_owned().into());
    let answer = http_client::send(request.expect("a request")).await.expect("an answer");
    let said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let said = said["message"].as_str().unwrap_or_default();
    let said = said.strip_prefix("the local stack's emulator: ").unwrap_or("");
    (answer.status().as_u16(), said.to_owned())
}

/// A web page needs no preflight to post text to an address on loopback, and any user of
/// the machine can: the emulator would run what is posted, as the developer.
#[tokio::test]
async fn no_page_and_no_other_user_makes_and_runs_a_function() {
    // The role must exist where the function is made: a bed of its own may be elsewhere.
    let emulator = testbed::shared_emulator().await.expect("an emulator");
    let bed = TestBed::on(emulator, QueueOverrides::default()).await.expect("a bed");
    let role = bed.create_bare_role("code").await.expect("a role");
    let left = testbed::directory("code").expect("a directory").join(&bed.table);
    let body = code(&left, &role);
    let name = serde_json::from_str::<Value>(&body).expect("JSON")["FunctionName"].clone();
    let invoke = format!("{FUNCTIONS}/{}/invocations", name.as_str().expect("a name"));
    let text = ("content-type", "text/plain");
    let page = [text, ("host", "evil.example"), ("origin", "https://evil.example")];
    for headers in [&page[..], &page[..2], &[text, page[2]], &[text]] {
        for path in [FUNCTIONS, &invoke] {
            let (status, said) = asked("POST", path, headers, &body).await;
            assert_eq!((status, said.is_empty()), (403, false), "{headers:?}: {said}");
        }
    }
    assert!(!left.exists(), "the page's code ran");

    let own = AccessKey::root().unsigned("lambda");
    let own = [("authorization", own.as_str())];
    assert_eq!(asked("POST", FUNCTIONS, &own, &body).await.0, 201, "the run's own key does");
    assert_eq!(asked("POST", &invoke, &own, "{}").await.0, 200);
    assert!(left.exists(), "and the code is such as runs");
}

#[tokio::test]
async fn the_door_opens_to_the_runs_own_programs_alone() {
    let own = AccessKey::root().unsigned("lambda");
    let with_key = |key: &str| own.replace(&AccessKey::root().access_key_id, key);
    let signed = |it: &str| ("authorization", it.to_owned());
    let own_key = || signed(&own);
    let plain = |name: &'static str, value: &str| (name, value.to_owned());
    let front_door = AccessKey::root().access_key_id.as_str();
    for (path, headers, said) in [
        (FUNCTIONS, vec![own_key(), plain("origin", "null")], "with origin comes from a web page"),
        (FUNCTIONS, vec![own_key(), plain("sec-fetch-site", "none")], "with sec-fetch-site comes"),
        (FUNCTIONS, vec![own_key(), plain("host", "evil.example:80")], "the Host is not"),
        (FUNCTIONS, vec![own_key(), plain("host", "localhost:4566")], "the Host is not"),
        (FUNCTIONS, vec![own_key(), plain("host", "127.0.0.1")], "the Host is not"),
        (FUNCTIONS, vec![], "the request is not signed"),
        (FUNCTIONS, vec![signed("AWS test:signature")], "the request is not signed"),
        (FUNCTIONS, vec![own_key(), own_key()], "the request is not signed"),
        (FUNCTIONS, vec![signed(&with_key(""))], "the request is not signed"),
        (FUNCTIONS, vec![signed(&with_key("test"))], "this key is nobody's"),
        (FUNCTIONS, vec![signed(&with_key("000000000000"))], "this key is nobody's"),
        (FUNCTIONS, vec![signed(&with_key("123456789012"))], "this key is nobody's"),
        ("/b/k?X-Amz-Credential=test/x", vec![own_key()], "into the Authorization header"),
        ("/b/k?AWSAccessKeyId=test", vec![own_key()], "into the Authorization header"),
        ("/_ministack/config", vec![own_key()], "this path is not for clients"),
        ("/_ministack/reset", vec![own_key()], "this path is not for clients"),
        ("/_aws/execute-api/a/b", vec![own_key()], "this path is not for clients"),
        // The front door gets to the HTTP API and no further.
        (FUNCTIONS, vec![plain("x-inbox-front-door", front_door)], "the request is not signed"),
        ("/_aws/execute-api/a", vec![plain("x-inbox-front-door", "x")], "not for clients"),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(a, b)| (*a, b.as_str())).collect();
        let (status, reason) = asked("GET", path, &headers, "").await;
        assert!(status == 403 && reason.contains(said), "{path} {headers:?}: {status} {reason}");
    }
    let pass = [("x-inbox-front-door", front_door), ("origin", "https://shop.example")];
    let (status, said) = asked("GET", "/_aws/execute-api/a/b", &pass, "").await;
    assert_eq!((status, said.as_str()), (404, ""), "no such API, but the door was open");
    // A key that the emulator has not made is refused by the emulator, as AWS does.
    let unknown = with_key("AKIASOMEBODYELSE0000");
    let (status, said) = asked("GET", FUNCTIONS, &[("authorization", &unknown)], "").await;
    assert_eq!((status, said.as_str()), (403, ""));
}

fn claims(table: &str) -> Role {
    let document = json!({ "Version": "2012-10-17", "Statement": [{
        "Sid": "Claim", "Effect": "Allow", "Action": ["dynamodb:PutItem"],
        "Resource": [format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}")],
        "Condition": {
            "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["stripe#*"] },
            "Null": { "dynamodb:LeadingKeys": "false" },
        },
    }] });
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "Service": "lambda.amazonaws.com" },
    }] });
    let policies = vec![Policy { name: "claim".to_owned(), document }];
    Role { name: format!("{table}-claims"), trust, policies }
}

/// `Ok`, or the code that the service gave.
async fn put(bed: &TestBed, key: &AccessKey, id: &str) -> Result<(), String> {
    let dynamodb = aws_sdk_dynamodb::Client::new(&key.sdk_config(&bed.endpoint_url));
    let put = dynamodb.put_item().table_name(&bed.table);
    let put = put.item("pk", AttributeValue::S(id.to_owned())).send().await;
    put.map(|_| ()).map_err(|refused| {
        use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
        refused.into_service_error().code().unwrap_or_default().to_owned()
    })
}

#[tokio::test]
async fn a_role_may_do_what_its_policy_says_of_the_keys_that_it_names() {
    let bed = TestBed::new().await.expect("a bed");
    let (iam, role) = (Iam::new(&bed.endpoint_url), claims(&bed.table));
    iam.create_role(&role).await.expect("a role");
    let key = iam.session(&role.name, "test").await.expect("a session");
    assert_eq!(put(&bed, &key, "stripe#evt_1").await, Ok(()));
    let denied = Err("AccessDeniedException".to_owned());
    assert_eq!(put(&bed, &key, "github#evt_1").await, denied);

    let mut forged = key.clone();
    forged.secret_access_key.push('x');
    let wrong = Err("InvalidSignatureException".to_owned());
    assert_eq!(put(&bed, &forged, "stripe#evt_1").await, wrong);
    let mut without = key;
    without.session_token = None;
    let unknown = Err("UnrecognizedClientException".to_owned());
    assert_eq!(put(&bed, &without, "stripe#evt_1").await, unknown);
}

/// Plain HTTP on loopback stands for TLS, or the module's denial of everything else
/// would hit everything here; a request that says of itself that it has none is denied.
#[tokio::test]
async fn queues_and_buckets_deny_what_comes_without_tls() {
    let bed = TestBed::new().await.expect("a bed");
    let user = bed.create_operator(&[], &json!([])).await.expect("a user");
    let sqs = aws_sdk_sqs::Client::new(&user.sdk_config(&bed.endpoint_url));
    let get = || sqs.get_queue_attributes().queue_url(&bed.queue_url).customize();
    assert!(get().send().await.is_ok());
    let plain = get().mutate_request(|it| {
        it.headers_mut().insert("x-forwarded-proto", "http");
    });
    let denied = plain.send().await.expect_err("the queue's policy denies it");
    assert!(format!("{denied:?}").contains("AccessDenied"), "{denied:?}");
}
