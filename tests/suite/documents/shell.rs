//! What a block of shell would run: bash itself reads it, with no program within reach
//! and a function in place of each command that only notes down how it was called.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::blocks::Block;

/// Notes every command down instead of running it. `xargs` hands over what it would run;
/// files that documents read from are there, and empty. A call is one write, since the ends
/// of a pipe run side by side.
const PREAMBLE: &str = r#"
note() { printf '%s\0' "$@" $'\n' >>"$CALLS"; }
command_not_found_handle() { note "$@"; }
xargs() { while [[ ${1:-} == -* ]]; do [[ $1 == -d ]] && shift; shift; done; "$@"; }
: >request.txt; : >deliveries.jsonl
"#;

/// The calls of a block, each with its words, in order. A line that `…` begins stands for
/// whatever the reader has.
pub(super) fn calls(block: &Block, directory: &Path) -> Vec<Vec<String>> {
    let file = directory.join(format!("calls-{}", uuid::Uuid::new_v4().simple()));
    std::fs::write(&file, "").unwrap();
    let stand_in = directory.join("block");
    // Where the documents write settings to.
    std::fs::create_dir_all(stand_in.join("infra/env")).unwrap();
    let output = Command::new(bash())
        .args(["--noprofile", "--norc", "-c"])
        .arg(format!("{PREAMBLE}\n{}", block.text))
        .current_dir(&stand_in)
        .env_clear()
        .env("CALLS", &file)
        .env("HOME", &stand_in)
        .env("PATH", "/nonexistent")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.is_empty(), "{}: bash says: {complaints}", block.place);
    let noted = std::fs::read_to_string(&file).unwrap();
    let calls = noted.split("\n\0").filter(|call| !call.is_empty());
    let words = |call: &str| call.split_terminator('\0').map(str::to_owned).collect();
    calls.map(words).filter(|call: &Vec<String>| call[0] != "…").collect()
}

/// By its whole path, since the blocks are to find no program.
pub(crate) fn bash() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|it| it.join("bash")).find(|it| it.exists());
    found.expect("bash is needed to read the documents' commands: install it")
}
