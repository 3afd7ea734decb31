//! The local stack with functions that are scripts: what it is made of, what it
//! passes on, and that it ends without leaving anything behind.

use std::process::Stdio;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::http_client;
use crate::testbed;

fn options(name: &str) -> StackOptions {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("local/fake_function.py");
    let directory = testbed::directory(name).expect("a directory");
    StackOptions {
        facts_file: Some(directory.join("stack.json")),
        directory,
        binaries: Some(Binaries {
            receiver: script.clone(),
            processor: script.clone(),
            sweeper: script,
        }),
        sweep_interval: None,
        ..StackOptions::default()
    }
}

async fn started(options: StackOptions) -> LocalStack {
    LocalStack::start(options, |_| ()).await.expect("a stack")
}

async fn request(
    stack: &LocalStack,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> http::Response<bytes::Bytes> {
    let url = format!("{}{path}", stack.description().public_base_url);
    let request = http_client::build(method, &url, headers, body.into()).expect("a request");
    http_client::send(request).await.expect("an answer")
}

fn seen(answer: &http::Response<bytes::Bytes>) -> Value {
    assert_eq!(answer.status(), 207, "{:?}", answer.body());
    serde_json::from_slice(answer.body()).expect("JSON")
}

async fn log_with(stack: &LocalStack, function: &str, text: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let log = stack.function_log(function);
        if log.contains(text) {
            return log;
        }
        assert!(Instant::now() < deadline, "no {text:?} in {log:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_request_reaches_its_source_as_it_was_sent() {
    let mut options = options("as-sent");
    options.sources.push(SourceOptions::new("stripe_eu", "stripe", "whsec_other"));
    options.sources[0].environment.insert("EXTRA".to_owned(), "yes".to_owned());
    let stack = started(options).await;

    let path = "/webhooks/stripe?a=1&a=%20&b";
    let headers = [
        ("content-type", "application/json"),
        ("host", "hooks.example.com"),
        ("x-two", "1"),
        ("x-two", "2"),
    ];
    let got = seen(&request(&stack, "POST", path, &headers, "{\"a\":\r\n 1}").await);
    let event = &got["event"];
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["rawPath"], "/webhooks/stripe");
    assert_eq!(event["rawQueryString"], "a=1&a=%20&b");
    assert_eq!(event["requestContext"]["http"]["method"], "POST");
    assert_eq!(event["requestContext"]["stage"], "$default");
    assert_eq!(event["headers"]["host"], "hooks.example.com");
    assert_eq!(event["headers"]["x-two"], "1, 2");
    assert_eq!(event["body"], "{\"a\":\r\n 1}");
    assert_eq!(event["isBase64Encoded"], false);

    let description = stack.description();
    let environment = &got["environment"];
    assert_eq!(environment["SOURCE"], "stripe");
    assert_eq!(environment["PROVIDER"], "stripe");
    assert_eq!(environment["SECRET_ID"], "webhook-inbox/stripe");
    assert_eq!(environment["PUBLIC_BASE_URL"], description.public_base_url);
    assert_eq!(environment["AWS_ENDPOINT_URL"], description.endpoint_url);
    assert_eq!(environment["AWS_REGION"], "us-east-1");
    assert_eq!(environment["EXTRA"], "yes");
    assert_eq!(environment["AWS_PROFILE"], Value::Null);
    // Where it asks for requests, nobody else gets one, or answers one.
    let api = environment["AWS_LAMBDA_RUNTIME_API"].as_str().expect("an address");
    let (host, secret) = api.rsplit_once('/').expect("a secret behind the port");
    assert_eq!(secret.len(), 32);
    for (method, path) in [
        ("GET", "2018-06-01/runtime/invocation/next".to_owned()),
        ("GET", format!("{}/2018-06-01/runtime/invocation/next", "0".repeat(32))),
        ("POST", "2018-06-01/runtime/invocation/1/response".to_owned()),
    ] {
        let url = format!("{host}/{path}");
        let asked = http_client::build(method, &url, &[], "{}".into()).expect("a request");
        let answer = http_client::send(asked).await.expect("an answer");
        assert_eq!(answer.status(), 403, "{method} {path}");
    }

    let other = seen(&request(&stack, "POST", "/webhooks/stripe_eu", &[], "").await);
    assert_eq!(other["environment"]["SOURCE"], "stripe_eu");
    assert_eq!(other["environment"]["PROVIDER"], "stripe");
    assert_eq!(other["event"]["body"], Value::Null);
    stack.stop().await;
}

#[tokio::test]
async fn odd_requests_reach_the_function_or_get_the_gateways_answer() {
    let stack = started(options("odd")).await;
    let path = "/webhooks/github";
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let got = seen(&request(&stack, method, path, &[], "").await);
        assert_eq!(got["event"]["requestContext"]["http"]["method"], method);
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let got = seen(&request(&stack, "POST", path, &form, "payload=%7B%7D").await);
    assert_eq!(got["event"]["isBase64Encoded"], true);
    assert_eq!(got["event"]["body"], "cGF5bG9hZD0lN0IlN0Q=");

    let long = "s".repeat(64 * 1024);
    let headers = [("x-hub-signature-256", long.as_str())];
    let got = seen(&request(&stack, "POST", path, &headers, "{}").await);
    assert_eq!(got["event"]["headers"]["x-hub-signature-256"], long);

    let binary = vec![0xff; 6 * 1024 * 1024];
    let got = seen(&request(&stack, "POST", path, &[], binary).await);
    assert_eq!(got["event"]["isBase64Encoded"], true);
    assert_eq!(got["event"]["body"].as_str().map(str::len), Some(8 * 1024 * 1024));

    for path in ["/webhooks/nobody", "/webhooks", "/", "/webhooks/github/x"] {
        let answer = request(&stack, "POST", path, &[], "{}").await;
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.body(), r#"{"message":"Not Found"}"#);
    }
    stack.stop().await;
}

#[tokio::test]
async fn messages_reach_the_processor_and_failed_ones_come_back_when_told() {
    let stack = started(options("messages")).await;
    let begin = Instant::now();
    request(&stack, "POST", "/webhooks/stripe", &[("content-type", "text/plain")], "queue:plain")
        .await;
    let log = log_with(&stack, "processor", "got plain receives=1").await;
    assert!(log.contains("group=stripe"), "{log}");
    assert!(begin.elapsed() < Duration::from_secs(10));

    // The queue hides a message for six minutes; the function asked for one second.
    request(&stack, "POST", "/webhooks/stripe", &[("content-type", "text/plain")], "queue:later 1")
        .await;
    log_with(&stack, "processor", "got later 1 receives=1").await;
    let first = Instant::now();
    log_with(&stack, "processor", "got later 1 receives=2").await;
    assert!(first.elapsed() > Duration::from_millis(500));
    stack.stop().await;
}

#[tokio::test]
async fn a_message_that_never_reaches_the_ledger_ends_in_the_dead_letter_queue() {
    let mut options = options("redrive");
    options.visibility_timeout_seconds = Some(1);
    options.max_receive_count = Some(2);
    let stack = started(options).await;
    let sqs = aws_sdk_sqs::Client::new(&stack.sdk_config());
    let description = stack.description();
    sqs.send_message()
        .queue_url(&description.queue_url)
        .message_body("never")
        .send()
        .await
        .expect("a message");
    log_with(&stack, "processor", "got never receives=2").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let dead =
            sqs.receive_message().queue_url(&description.dlq_url).send().await.expect("an answer");
        if dead.messages().iter().any(|m| m.body() == Some("never")) {
            break;
        }
        assert!(Instant::now() < deadline, "it is not in the dead-letter queue");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stack.stop().await;
}

#[tokio::test]
async fn the_functions_calls_are_seen_and_the_sweeper_runs() {
    let mut options = options("watched");
    options.watch_functions = true;
    options.sweep_interval = Some(Duration::from_millis(200));
    let stack = started(options).await;
    log_with(&stack, "sweeper", "invoked\ninvoked\n").await;
    stack.sweep().await.expect("a sweep");

    let proxy = stack.function_proxy().expect("a proxy");
    request(&stack, "POST", "/webhooks/stripe", &[("content-type", "text/plain")], "queue:x").await;
    assert_eq!(proxy.count("sqs", "SendMessage"), 1);
    stack.stop().await;
}

#[tokio::test]
async fn the_facts_file_says_how_to_drive_the_stack_and_goes_with_it() {
    let options = options("facts");
    let file = options.facts_file.clone().expect("a file");
    let stack = started(options).await;
    let facts: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("the file")).expect("JSON");
    let base = facts["public_base_url"].as_str().expect("a URL");
    assert_eq!(facts["url"], format!("{base}/webhooks"));
    assert_eq!(facts["region"], "us-east-1");
    assert_eq!(facts["table"], "webhook-inbox");
    let dynamodb = aws_sdk_dynamodb::Client::new(&stack.sdk_config());
    let table = dynamodb
        .describe_table()
        .table_name("webhook-inbox")
        .send()
        .await
        .expect("the table")
        .table
        .expect("its description");
    assert_eq!(table.global_secondary_indexes().len(), 2);
    let secret = aws_sdk_secretsmanager::Client::new(&stack.sdk_config())
        .get_secret_value()
        .secret_id("webhook-inbox/twilio")
        .send()
        .await
        .expect("the secret");
    let kept: Option<Value> = secret.secret_string().map(|it| serde_json::from_str(it).unwrap());
    assert_eq!(
        kept,
        Some(json!({ "signing_secrets": facts["secrets"]["twilio"] })),
        "the facts file must tell the very secret that Secrets Manager keeps"
    );
    stack.stop().await;
    assert!(!file.exists());
}

#[tokio::test]
async fn what_routes_need_is_there_the_bus_and_a_secret_for_each_that_forwards() {
    let mut options = options("routes");
    options.routes = json!([
        { "id": "bus", "match": "*:*", "handler": "publish" },
        { "id": "mine", "match": "*:*", "handler": "forward", "with": { "url": "http://a" } },
    ]);
    let stack = started(options).await;
    let description = stack.description();
    let made = &description.forward_secrets["mine"];
    let key = made.signing_secret.strip_prefix("whsec_").expect("Standard Webhooks' form");
    assert_eq!(STANDARD.decode(key).expect("base64").len(), 32);
    let secret = aws_sdk_secretsmanager::Client::new(&stack.sdk_config())
        .get_secret_value()
        .secret_id(&made.secret_id)
        .send()
        .await
        .expect("the secret");
    let value: Value =
        serde_json::from_str(secret.secret_string().unwrap_or_default()).expect("JSON");
    assert_eq!(value, json!({ "signing_secrets": [made.signing_secret] }));

    let control = ControlPlane::new(&description.endpoint_url);
    let environment = control.variables(&description.functions["processor"]).await;
    let environment = environment.expect("an environment");
    assert_eq!(environment["EVENT_BUS_NAME"], "webhook-inbox");
    let routes: Value =
        serde_json::from_str(environment["ROUTES"].as_str().unwrap_or_default()).expect("JSON");
    assert_eq!(routes[1]["with"], json!({ "url": "http://a", "secret_id": made.secret_id }));
    let bus = aws_sdk_eventbridge::Client::new(&stack.sdk_config())
        .describe_event_bus()
        .name(&description.event_bus)
        .send()
        .await
        .expect("the bus");
    assert_eq!(bus.name(), Some("webhook-inbox"));
    stack.stop().await;
}

/// Processes whose command line holds this stack's directory.
fn processes_of(directory: &Path) -> Vec<String> {
    let output = std::process::Command::new("ps")
        .args(["-Ao", "pid,command"])
        .stderr(Stdio::null())
        .output()
        .expect("ps runs");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains(&*directory.to_string_lossy()))
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn nothing_outlives_a_stack() {
    let options = options("ends");
    let directory = options.directory.clone();
    let stack = started(options).await;
    request(&stack, "POST", "/webhooks/stripe", &[], "{}").await;
    let port = stack.description().public_base_url.clone();
    assert_ne!(processes_of(&directory), Vec::<String>::new());
    let begin = Instant::now();
    drop(stack);
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(processes_of(&directory), Vec::<String>::new());
    assert!(!directory.join("tmp").exists());
    assert!(http_client::get(&port).await.is_err());
}

#[tokio::test]
async fn functions_do_not_outlive_a_killed_emulator() {
    let options = options("killed");
    let directory = options.directory.clone();
    let mut stack = started(options).await;
    request(&stack, "POST", "/webhooks/stripe", &[], "{}").await;
    let emulator = stack.emulator.as_ref().map(Emulator::process_id);
    let killed = std::process::Command::new("kill")
        .args(["-9", &emulator.expect("an emulator").to_string()])
        .status()
        .expect("kill runs");
    assert!(killed.success());
    let error = stack.emulator_gone().await;
    assert!(matches!(&error, LocalError::EmulatorGone { status, .. } if status.contains('9')));
    log_with(&stack, "receiver-stripe", "the runtime API is gone").await;
    stack.stop().await;
    assert_eq!(processes_of(&directory), Vec::<String>::new());
}

#[tokio::test]
async fn a_taken_port_is_known_before_anything_starts() {
    let listener = server::listen(0).await.expect("a port");
    let mut options = options("taken");
    options.port = listener.local_addr().expect("an address").port();
    let directory = options.directory.clone();
    let error = LocalStack::start(options, |_| ()).await.expect_err("taken");
    assert!(matches!(error, LocalError::PortTaken { .. }), "{error}");
    assert!(!directory.join("emulator.log").exists());
}

/// They hold signing secrets, keys, and what functions write.
#[tokio::test]
async fn nobody_else_on_the_machine_may_read_the_stacks_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let options = options("private-files");
    let directory = options.directory.clone();
    let stack = started(options).await;
    request(&stack, "POST", "/webhooks/stripe", &[("content-type", "text/plain")], "queue:x").await;
    log_with(&stack, "processor", "got x receives=1").await;
    let mut found = Vec::new();
    let mut left = vec![directory.clone(), directory.join("logs")];
    while let Some(path) = left.pop() {
        for entry in std::fs::read_dir(&path).expect("a directory") {
            let path = entry.expect("an entry").path();
            let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
            found.push((path.strip_prefix(&directory).expect("inside").to_owned(), mode & 0o077));
        }
    }
    let open: Vec<_> = found.iter().filter(|(_, others)| *others != 0).collect();
    assert!(open.is_empty(), "others may read or enter {open:?}");
    for name in ["stack.json", "emulator.log", "decisions.jsonl", "logs/processor.log"] {
        let is_there =
            found.iter().any(|(path, _)| path.ends_with(name) || path == Path::new(name));
        let elsewhere = name == "decisions.jsonl" && stack.decisions() != directory.join(name);
        assert!(is_there || elsewhere, "{name} is not among {found:?}");
    }
    let mode = std::fs::metadata(stack.decisions()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "what was decided names keys of events");
    stack.stop().await;
}
