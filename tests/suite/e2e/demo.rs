//! `make demo` keeps what it promises, and says so.

use inbox_local::paths;
use tokio::process::Command;

use super::stack::Stack;

#[tokio::test]
async fn the_demo_shows_all_that_it_claims() {
    // The demo's receivers answer in time, or its claims are not true.
    let _alone = Stack::alone().await;
    let ran = Command::new(paths::binary("local").expect("a built binary"))
        .arg("demo")
        .kill_on_drop(true)
        .output()
        .await
        .expect("it runs");
    let out = String::from_utf8(ran.stdout).expect("text");
    assert_eq!(ran.status.code(), Some(0), "{out}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(out.ends_with("\nall 46 claims hold\n"), "{out}");
    assert!(!out.contains('\u{1b}'), "no colours where nobody looks");
    assert!(!out.contains("NO  "), "{out}");
}
