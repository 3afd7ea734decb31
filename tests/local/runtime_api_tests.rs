//! The Runtime API host with a function that is a script.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn options(environment: &[(&str, &str)]) -> FunctionOptions {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("local/fake_function.py");
    FunctionOptions::new(script, environment.iter().copied())
}

async fn started(environment: &[(&str, &str)]) -> FunctionHost {
    FunctionHost::start(options(environment))
        .await
        .expect("this machine can start it")
        .expect("it starts")
}

/// Signal 0 asks whether a process exists.
fn is_alive(process_id: u32) -> bool {
    std::process::Command::new("kill")
        .args(["-0", &process_id.to_string()])
        .stderr(Stdio::null())
        .status()
        .expect("kill runs")
        .success()
}

#[tokio::test]
async fn one_process_answers_many_events() {
    let mut host = started(&[]).await;
    for n in 0..3 {
        let answer = host
            .invoke_json(&json!({ "n": n, "text": "\u{1F4E6} \"quoted\"" }), LONG)
            .await
            .expect("an answer");
        assert_eq!(answer["event"]["n"], n);
        assert_eq!(answer["event"]["text"], "\u{1F4E6} \"quoted\"");
        assert_eq!(answer["pid"], host.process_id());
    }
}

#[tokio::test]
async fn a_function_error_is_told_and_the_process_lives_on() {
    let mut host = started(&[]).await;
    assert_eq!(
        host.invoke_json(&json!({ "do": "fail" }), LONG).await,
        Err(InvokeError::Function {
            error_type: "Fake.Error".to_owned(),
            message: "as asked".to_owned(),
        })
    );
    host.invoke_json(&json!({}), LONG).await.expect("an answer");
}

#[tokio::test]
async fn an_end_without_an_answer_is_told_with_status_and_output() {
    let mut host = started(&[]).await;
    let outcome = host.invoke_json(&json!({ "do": "exit" }), LONG).await;
    let status = "exit status: 3".to_owned();
    assert_eq!(outcome, Err(InvokeError::Exited { status: status.clone() }));
    assert_eq!(host.output(), "about to exit\n");
    let again = host.invoke_json(&json!({}), LONG).await;
    assert_eq!(again, Err(InvokeError::Exited { status }));
}

#[tokio::test]
async fn a_deadline_kills_the_process() {
    let mut host = started(&[]).await;
    let begin = Instant::now();
    let outcome = host.invoke_json(&json!({ "do": "hang" }), Duration::from_millis(300)).await;
    assert_eq!(outcome, Err(InvokeError::TimedOut));
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(!is_alive(host.process_id()));
}

#[tokio::test]
async fn a_process_is_killed_while_it_works() {
    let mut host = started(&[]).await;
    let killer = host.killer();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        killer.kill();
    });
    let outcome = host.invoke_json(&json!({ "do": "hang" }), LONG).await;
    let status = "signal: 9 (SIGKILL)".to_owned();
    assert_eq!(outcome, Err(InvokeError::Exited { status }));
}

#[tokio::test]
async fn a_dropped_host_leaves_no_process() {
    let host = started(&[]).await;
    let process_id = host.process_id();
    drop(host);
    let deadline = Instant::now() + Duration::from_secs(5);
    while is_alive(process_id) {
        assert!(Instant::now() < deadline, "process {process_id} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_failed_start_is_told_with_its_output() {
    let outcome = FunctionHost::start(options(&[("FAKE_INIT", "error")])).await;
    let (error, _) = outcome.expect("started").expect_err("must not come up");
    assert_eq!(
        error,
        InvokeError::Init { error_type: "Fake.Init".to_owned(), message: "no settings".to_owned() }
    );
    let outcome = FunctionHost::start(options(&[("FAKE_INIT", "exit")])).await;
    let (error, output) = outcome.expect("started").expect_err("must not come up");
    let status = "exit status: 9".to_owned();
    assert_eq!(error, InvokeError::Exited { status });
    assert_eq!(output, "no way\n");
}

#[tokio::test]
async fn much_output_neither_blocks_nor_is_lost() {
    let log_file =
        crate::testbed::directory("runtime-api").expect("a directory").join("function.log");
    let _ = std::fs::remove_file(&log_file);
    let mut options = options(&[]);
    options.log_file = Some(log_file.clone());
    let mut host =
        FunctionHost::start(options).await.expect("this machine can start it").expect("it starts");
    let wish = json!({ "do": "print", "count": 300_000 });
    host.invoke_json(&wish, LONG).await.expect("an answer");
    host.kill().await;
    assert_eq!(host.output().len(), 300_000 + "\ninvoked\n".len());
    let logged = std::fs::read_to_string(log_file).expect("a log");
    assert_eq!(logged, host.output());
}
