//! What make hands on to a shell, by running make itself: senders choose ids, and
//! whoever operates pastes them behind `ID=`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Texts that a shell, or make, would read as something else.
const HOSTILE: [&str; 15] = [
    "a;touch made;",
    "$(touch made)",
    "`touch made`",
    "$(shell touch made)",
    "a';touch made;'",
    "it's",
    "--all-handlers",
    "a b",
    "*",
    "a\\",
    "\"x\"",
    "#x",
    "$HOME $$ ${PATH}",
    "a|b&c>d<e",
    "72d3162e-cc78-11e3-81ab-4c9367dc0958@292430182",
];

/// A directory with a stand-in for `inbox` that tells its arguments, each in a line.
struct Bench(PathBuf);

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Bench {
    fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("make-{name}"));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("a directory");
        let inbox = directory.join("inbox");
        std::fs::write(&inbox, "#!/bin/sh\nfor it in \"$@\"; do printf '%s\\n' \"$it\"; done\n")
            .expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&inbox, mode).expect("executable");
        Self(directory)
    }

    /// Runs the project's own Makefile, with nothing compiled.
    fn make(&self, arguments: &[String]) -> Output {
        let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Makefile");
        Command::new("make")
            .current_dir(&self.0)
            .args(["--silent", "--file"])
            .arg(makefile)
            .args(["CARGO=true", "INBOX=./inbox"])
            .args(arguments)
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .output()
            .expect("make is there")
    }

    fn made(&self) -> PathBuf {
        self.0.join("made")
    }
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn what_is_given_reaches_the_command_as_it_is_and_runs_nothing() {
    let bench = Bench::new("given");
    for text in HOSTILE {
        let given = ["SOURCE", "ID", "REASON"].map(|name| format!("{name}={text}"));
        let output = bench.make(&[&["replay".to_owned()], &given[..]].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            lines(&output),
            ["replay", &format!("--reason={text}"), "--", text, text],
            "make replay with {text:?}: {told}"
        );
        let output = bench.make(&["logs".to_owned(), format!("FUNCTION={text}")]);
        assert_eq!(lines(&output), ["logs", "--", text], "make logs with {text:?}");
        assert!(!bench.made().exists(), "{text:?} was run: quote it in the Makefile");
    }
}

#[test]
fn arguments_stay_words_for_the_shell() {
    let bench = Bench::new("words");
    let arguments = ["replay", "SOURCE=stripe", "ID=evt_1", "ARGS=--handler 'a b' --yes"];
    let output = bench.make(&arguments.map(str::to_owned));
    assert_eq!(lines(&output), ["replay", "--handler", "a b", "--yes", "--", "stripe", "evt_1"]);
    let output = bench.make(&["replay", "ARGS=--state dead"].map(str::to_owned));
    assert_eq!(lines(&output), ["replay", "--state", "dead"]);
}

#[test]
fn no_setting_of_a_target_is_run() {
    let bench = Bench::new("settings");
    // What the shell is given is told by make itself: nothing of these is to be run.
    let targets = [
        ("plan", "ENV"),
        ("destroy", "ENV"),
        ("outputs", "ENV"),
        ("packed", "PACKAGES"),
        ("packed", "ARCH"),
        ("initialised", "ENV"),
        ("model", "SECONDS"),
    ];
    for (target, name) in targets {
        for text in ["x;touch made;", "x';touch made;'", "x\";touch made;\"", "`touch made`"] {
            let tools = ["PYTHON=true", "TERRAFORM=true"].map(str::to_owned);
            let given = [target.to_owned(), format!("{name}={text}")];
            bench.make(&[&given[..], &tools[..]].concat());
            assert!(
                !bench.made().exists(),
                "make {target} {name}={text:?} runs it: quote {name} in the Makefile"
            );
        }
    }
}
