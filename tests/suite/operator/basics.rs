//! What is the same for every command: names, exit codes, words on faults.

use inbox_core::ledger::State;
use inbox_local::iam::Iam;

use super::rig::Operator;
use super::world::{Given, ids, make};

#[tokio::test]
async fn an_unknown_stack_file_is_told_with_what_to_do() {
    let operator = Operator::new().await;
    let ran = operator.run(&["--stack", "/nowhere/stack.json", "events"]).await.expect(2);
    assert!(ran.stderr.starts_with("error: cannot read the stack file"), "{}", ran.stderr);
    assert!(ran.stderr.contains("make run"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_shell_completes_the_commands() {
    let operator = Operator::new().await;
    for shell in ["bash", "zsh", "fish"] {
        let ran = operator.run(&["completions", shell]).await.expect(0);
        assert!(ran.text().contains("purge-dlq"), "{shell}");
    }
}

#[tokio::test]
async fn every_command_explains_itself_with_examples() {
    let operator = Operator::new().await;
    let help = operator.run(&["--help"]).await.expect(0);
    let commands: Vec<&str> = help
        .text()
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert_eq!(
        commands,
        [
            "events",
            "show",
            "dlq",
            "replay",
            "redrive",
            "purge-dlq",
            "forget",
            "listen",
            "verify",
            "routes",
            "send",
            "secret",
            "doctor",
            "logs",
            "whoami",
            "completions",
        ]
    );
    for command in commands {
        let ran = operator.run(&[command, "--help"]).await.expect(0);
        let has_examples = ran.text().contains("Examples:\n  ");
        assert!(has_examples, "{command}: {}", ran.text());
        assert!(ran.text().contains("--json"), "{command}");
    }
}

#[tokio::test]
async fn a_local_stacks_log_is_read_from_its_file() {
    let mut operator = Operator::new().await;
    let directory = operator.directory().to_owned();
    std::fs::write(directory.join("processor.log"), "one\ntwo\n").unwrap();
    operator.set("functions", serde_json::json!({"processor": "processor"}));
    operator.set("logs", directory.to_str().unwrap().into());
    let ran = operator.run(&["logs", "processor", "--no-follow"]).await.expect(0);
    assert_eq!(ran.text(), "one\ntwo\n");
    let ran = operator.run(&["logs", "sweeper"]).await.expect(2);
    assert!(ran.stderr.contains("known are processor"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_command_alone_is_answered_with_the_help() {
    let operator = Operator::new().await;
    let ran = operator.run(&[]).await.expect(2);
    assert!(ran.stderr.contains("\nExamples:\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("  doctor "), "{}", ran.stderr);
}

#[tokio::test]
async fn whoever_speaks_to_aws_is_told_with_account_and_region() {
    let operator = Operator::new().await;
    let ran = operator.run(&["whoami", "--json"]).await.expect(0);
    let answer = ran.json();
    assert_eq!(answer["region"], operator.bed.region);
    assert_eq!(answer["account"], "000000000000");
    assert!(answer["arn"].as_str().is_some_and(|arn| arn.starts_with("arn:aws:")), "{answer}");
}

/// Every command that needs AWS, as it would be given.
const COMMANDS: [&[&str]; 14] = [
    &["events"],
    &["events", "--state", "dead"],
    &["show", "stripe", "evt-000"],
    &["dlq"],
    &["dlq", "list"],
    &["replay", "stripe", "evt-000", "--yes"],
    &["redrive", "--yes"],
    &["purge-dlq", "--yes"],
    &["forget", "stripe", "evt-000", "--yes"],
    &["listen", "--forward-to", "http://127.0.0.1:9/"],
    &["send", "stripe"],
    &["secret", "show", "stripe"],
    &["verify", "--source", "stripe"],
    &["doctor"],
];

#[tokio::test]
async fn without_credentials_every_command_says_how_to_sign_in() {
    let mut operator = Operator::new().await;
    let url = operator.bed.endpoint_url.clone();
    operator.set("endpoint_url", serde_json::Value::Null);
    for arguments in COMMANDS.into_iter().chain([&["whoami"][..]]) {
        let mut command = operator.command(arguments);
        command.env("AWS_ENDPOINT_URL", &url);
        let ran = super::rig::finish(command.spawn().unwrap()).await.expect(3);
        assert!(ran.stdout.is_empty(), "{arguments:?}: {}", ran.text());
        assert!(ran.stderr.contains("no credentials"), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("sign in to AWS"), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn without_its_table_every_command_that_reads_it_says_which_name_to_look_at() {
    let mut operator = Operator::new().await;
    let dead = ids("evt", 3)
        .into_iter()
        .map(|id| Given::new(&id, State::Dead, std::time::Duration::from_mins(5)));
    make(&operator, dead).await;
    operator.set("table", "no-such-table".into());
    for arguments in COMMANDS.iter().filter(|arguments| {
        !["purge-dlq", "send", "secret", "verify", "doctor"].contains(&arguments[0])
    }) {
        let ran = operator.run(arguments).await.expect(3);
        assert!(ran.stderr.contains("ResourceNotFoundException"), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("TABLE_NAME"), "{arguments:?}: {}", ran.stderr);
    }
    // A command that needs a name which nobody gave.
    operator.set("table", serde_json::Value::Null);
    let ran = operator.run(&["events"]).await.expect(2);
    assert!(ran.stderr.contains("the table's name is not known"), "{}", ran.stderr);
}

#[tokio::test]
async fn without_a_region_it_is_asked_for() {
    let mut operator = Operator::new().await;
    operator.set("endpoint_url", serde_json::Value::Null);
    operator.set("region", serde_json::Value::Null);
    let ran = operator.run(&["events"]).await.expect(2);
    assert!(ran.stderr.contains("no AWS region is configured"), "{}", ran.stderr);
    assert!(ran.stderr.contains("AWS_REGION"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named() {
    let mut operator = Operator::new().await;
    let iam = Iam::new(&operator.bed.endpoint_url);
    let name = format!("{}-without", operator.bed.table);
    let user = iam.create_user(&name, &[]).await.expect("a user who may do nothing");
    operator.set("operator", serde_json::to_value(user).expect("JSON"));
    for arguments in COMMANDS {
        let ran = operator.run(arguments).await.expect(3);
        assert!(ran.stderr.contains("AccessDenied"), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("lacks a permission"), "{arguments:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_variable_that_is_empty_is_one_that_is_not_set() {
    let operator = Operator::new().await;
    let mut command = operator.command(&["show", "stripe", "evt_1"]);
    command.env("INBOX_STACK", "");
    let ran = super::rig::finish(command.spawn().unwrap()).await.expect(2);
    assert!(ran.stderr.contains("or set TABLE_NAME"), "{}", ran.stderr);
    let mut command = operator.command(&["verify", "--provider", "stripe"]);
    command.env("INBOX_SIGNING_SECRET", "");
    let ran = super::rig::finish(command.spawn().unwrap()).await.expect(2);
    assert!(ran.stderr.contains("no signing secret is given"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_shell_completes_without_a_deployment_and_whoever_reads() {
    let operator = Operator::new().await;
    let mut command = operator.command(&["completions", "bash"]);
    command.env("INBOX_STACK", "/nowhere/stack.json");
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ran = super::rig::finish(child).await.expect(0);
    assert_eq!(ran.stderr, "");
}
