//! What the documents tell people to type is so: what needs no account is run or
//! compiled; of the rest, every target, option, variable and file is checked to be there.
//!
//! ```text
//! ```sh     bash reads it; `make`, `inbox`, `cargo`, `cp`: as below
//! ```rust   is the very file that is compiled and tested
//! ```json   is JSON; routes are taken by the processor's own reader
//! ```hcl    is HCL; routes likewise, arguments of the module are its variables
//! ```text   shows, and is not checked
//! ```

mod blocks;
pub(crate) mod shell;
mod snippets;
mod typed;

use std::collections::BTreeSet;
use std::path::PathBuf;

use inbox_local::paths;

use self::blocks::{DOCUMENTS, in_language, read};

/// The commands that sign and post a request by hand.
pub(crate) fn by_hand() -> String {
    let found = in_language("sh").into_iter().find(typed::is_run_whole);
    found.expect("the README signs a request by hand").text
}

/// A folder of one test's own, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("documents-{}", uuid::Uuid::new_v4().simple());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_block_says_what_it_is_so_that_somebody_checks_it() {
    for document in DOCUMENTS {
        for block in blocks::blocks(document, &read(document)) {
            let known = ["sh", "rust", "json", "hcl", "text"];
            assert!(
                known.contains(&block.language.as_str()),
                "{}: put one of {known:?} behind the fence, not {:?}",
                block.place,
                block.language
            );
        }
    }
}

/// The anchors of a document, as GitHub makes them from its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let anchor = |heading: &str| -> String {
        let lower = heading.to_lowercase().replace(' ', "-");
        lower.chars().filter(|it| it.is_alphanumeric() || *it == '-' || *it == '_').collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    for document in DOCUMENTS {
        let text = read(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = paths::workspace_root().join(document).parent().unwrap().to_owned();
            let target = if file.is_empty() {
                paths::workspace_root().join(document)
            } else {
                folder.join(file)
            };
            assert!(target.exists(), "{document}: the link {link} leads to no file");
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(target).unwrap();
                let known = anchors(&target);
                assert!(known.contains(anchor), "{document}: {link} has no such heading");
            }
        }
    }
}

#[test]
fn the_status_stands_directly_under_the_introduction_with_version_and_idle_cost() {
    let readme = read("README.md");
    let before_the_first_block = readme.split("\n```").next().unwrap();
    for needed in
        [concat!("version ", env!("CARGO_PKG_VERSION")), "never run on AWS", "$", "a month"]
    {
        assert!(
            before_the_first_block.contains(needed),
            "README.md: say {needed:?} before the first block"
        );
    }
}

#[test]
fn every_variable_that_the_readme_explains_is_read_by_some_function() {
    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## Configuration").expect("a section");
    let section = section.split("\n## ").next().unwrap();
    let named: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|line| line.split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    let code = sources(&paths::workspace_root().join("functions"));
    for name in named {
        // The SDK's own.
        if name == "AWS_ENDPOINT_URL" {
            continue;
        }
        let quoted = format!("\"{name}\"");
        let is_logging = name == "RUST_LOG" && code.contains("EnvFilter");
        assert!(
            is_logging || code.contains(&quoted),
            "README.md explains {name}, which no function reads"
        );
    }
}

/// All Rust code below a folder, as one text.
fn sources(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
    text
}

#[test]
fn the_example_of_a_handler_is_the_file_that_is_compiled_and_tested() {
    let file = "functions/processor/src/handlers/example_notify.rs";
    let compiled = read(file);
    let shown = in_language("rust");
    assert_eq!(shown.len(), 1, "one handler is shown; compile another one too");
    assert_eq!(shown[0].text, compiled, "{}: paste {file} here, whole", shown[0].place);
}
