//! What is installed and compiled is what was pinned: every Python package by the hashes
//! of its files, every crate by `Cargo.lock`.

use std::path::{Path, PathBuf};

use inbox_local::paths;

/// What of cargo builds, or decides what is built, and so must be told to keep the lock.
const BUILDING: [&str; 9] =
    ["bench", "build", "check", "clippy", "deny", "fetch", "install", "run", "test"];
/// What builds nothing.
const OTHERS: [&str; 2] = ["clean", "fmt"];

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// Files of the clone that match, outside of what is built and installed.
fn files(is_meant: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![paths::workspace_root()];
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    left.push(entry.path());
                }
            } else if is_meant(&entry.path()) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Packages of a list for pip that name no hash, or no version.
fn unpinned(list: &str) -> Vec<String> {
    let joined = list.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'));
    lines
        .filter(|it| !it.contains("==") || !it.contains("--hash=sha256:"))
        .map(|it| it.split_whitespace().next().unwrap_or_default().to_owned())
        .collect()
}

/// Calls of pip that install from a list without asking for hashes.
fn unhashed_installs(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|it| it.contains("pip install") && it.contains(" -r "));
    lines.filter(|it| !it.contains("--require-hashes")).map(|it| it.trim().to_owned()).collect()
}

/// Calls of cargo that may change `Cargo.lock`, or that this check does not know.
fn unlocked_calls(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines().filter(|it| !it.trim_start().starts_with('#')) {
        for call in calls(line) {
            let words: Vec<&str> = call.split_whitespace().collect();
            let is_locked = words.contains(&"--locked");
            let is_fine = match words.first().copied().unwrap_or_default() {
                // cargo-fuzz has no such option: what it builds is fetched by the lock first.
                "fuzz" => {
                    joined.contains("fetch --locked --quiet --manifest-path tests/fuzz/Cargo.toml")
                }
                "lambda" => is_locked,
                name if BUILDING.contains(&name) => is_locked,
                name => OTHERS.contains(&name),
            };
            if !is_fine {
                found.push(call.trim().to_owned());
            }
        }
    }
    found
}

/// What follows `$(CARGO)`, or `cargo` as a command of a script, up to the next command.
fn calls(line: &str) -> Vec<&str> {
    let starts = ["$(CARGO) ", " cargo "]
        .into_iter()
        .flat_map(|name| line.match_indices(name).map(move |(at, _)| at + name.len()));
    let ends = [';', '|', '&', '"'];
    starts.map(|at| line[at..].split(ends).next().unwrap_or_default()).collect()
}

#[test]
fn every_pinned_python_package_names_the_hashes_of_its_files() {
    let lists = files(&|path| path.extension().is_some_and(|it| it == "in"));
    assert!(lists.len() >= 4, "too few lists of pinned packages: {lists:?}");
    for list in lists {
        let pinned = list.with_extension("txt");
        let found = unpinned(&read(&pinned));
        assert!(
            found.is_empty(),
            "{}: no version or no hash: {found:?}; edit {} and run `make pins`",
            pinned.display(),
            list.display()
        );
        // Each is installed as it was pinned by hand.
        let text = read(&pinned).to_lowercase().replace('_', "-");
        for line in read(&list).lines().filter(|it| it.contains("==")) {
            let pin = line.split([';', ' ']).next().unwrap_or_default();
            assert!(
                text.contains(&format!("{} ", pin.to_lowercase().replace('_', "-"))),
                "{} lacks {pin} of {}: run `make pins`",
                pinned.display(),
                list.display()
            );
        }
    }
}

#[test]
fn pip_installs_only_files_whose_hashes_are_known() {
    let makefile = read(&paths::workspace_root().join("Makefile"));
    assert!(makefile.contains("--require-hashes"), "the Makefile installs lists of packages");
    let found = unhashed_installs(&makefile);
    assert!(found.is_empty(), "add --require-hashes to: {found:#?}");
}

#[test]
fn cargo_builds_only_what_the_lock_file_names() {
    let texts =
        files(&|path| path.ends_with("Makefile") || path.extension().is_some_and(|it| it == "sh"));
    assert!(texts.len() >= 3, "too few: {texts:?}");
    for path in texts {
        let found = unlocked_calls(&read(&path));
        assert!(found.is_empty(), "{}: add --locked to: {found:#?}", path.display());
    }
}

#[test]
fn what_is_not_pinned_is_found() {
    let list = "# a comment\na==1 \\\n    --hash=sha256:00\nb==2\nc>=3 \\\n    --hash=sha256:00\n";
    assert_eq!(unpinned(list), ["b==2", "c>=3"]);
    assert_eq!(
        unhashed_installs("\t@pip install --quiet -r $<\n\t@pip install uv==1"),
        ["@pip install --quiet -r $<"]
    );
    for (text, expected) in [
        ("\t@$(CARGO) build --quiet\n", &["build --quiet"][..]),
        ("\t@$(CARGO) build --locked; $(CARGO) test\n", &["test"]),
        ("\t@$(CARGO) test \\\n  --locked\n", &[]),
        ("\t@$(CARGO) fmt --all\n", &[]),
        ("\t@$(CARGO) nextest run\n", &["nextest run"]),
        ("PATH=x cargo lambda build\n", &["lambda build"]),
        ("\t@$(CARGO) fuzz build\n", &["fuzz build"]),
    ] {
        assert_eq!(unlocked_calls(text), expected, "{text}");
    }
}
