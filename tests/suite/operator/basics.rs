//! What is the same for every command: names, exit codes, words on faults.

use super::rig::Operator;

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
