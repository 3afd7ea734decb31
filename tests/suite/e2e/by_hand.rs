//! The README's request that is signed by hand, typed as it stands there.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use super::stack::Stack;
use crate::documents::{by_hand, shell};

#[tokio::test]
async fn the_readmes_request_that_is_signed_by_hand_is_accepted_wherever_the_stack_listens() {
    let stack = Stack::shared().await;
    let name = format!("by-hand-{}", uuid::Uuid::new_v4().simple());
    let clone = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(clone.join(".local")).unwrap();
    stack.description().write(&clone.join(".local/stack.json")).unwrap();
    let typed = by_hand();
    // A receiver that starts on a busy machine may answer 503, as it would to a provider.
    for _ in 0..10 {
        let output = Command::new(shell::bash())
            .args(["--noprofile", "--norc", "-euc", &typed])
            .current_dir(&clone)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("bash runs");
        let answer = String::from_utf8_lossy(&output.stdout).to_lowercase();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{typed}\nends with: {complaint}");
        if answer.starts_with("http/1.1 503") {
            continue;
        }
        let _ = std::fs::remove_dir_all(&clone);
        assert!(answer.starts_with("http/1.1 200"), "{answer}{complaint}");
        assert!(answer.contains("x-inbox-status: accepted"), "{answer}");
        return;
    }
    panic!("503 ten times");
}
