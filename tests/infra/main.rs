//! Checks over `infra/`: what can be known of the Terraform without an AWS account.
//!
//! ```text
//! *.tf ── module ──┬─▶ arguments    against the provider's schema
//!                  ├─▶ references   against what is declared
//!                  └─▶ plan         evaluated with defaults and stack.json
//!                        └─▶ invariants: queues, functions, stores, alarms, permissions
//! ```
//!
//! A binary of its own: it needs neither the emulator nor the functions' binaries, and
//! it compiles in seconds.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what is wrong by failing")]

mod arguments;
mod counts;
mod examples;
mod make;
mod parliament;
mod pins;
mod references;
mod rules;
mod terraform;
mod validations;

use std::path::{Path, PathBuf};

use inbox_evaluator::{expressions, module, plan, schema, walk};
use inbox_local::paths;

use crate::module::Module;

/// `infra/`
fn infra() -> PathBuf {
    paths::workspace_root().join("infra")
}

/// Every folder of `infra/` that is a module.
fn module_folders() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![infra()];
    while let Some(folder) = left.pop() {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let entries: Vec<PathBuf> = entries.collect();
        if entries.iter().any(|path| path.extension().is_some_and(|it| it == "tf")) {
            found.push(folder);
        }
        left.extend(entries.into_iter().filter(|path| path.is_dir() && !is_hidden(path)));
    }
    found.sort();
    found
}

/// `.terraform/` holds copies.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn assert_no_mistakes(check: impl Fn(&Module) -> Vec<module::Mistake>) {
    let mut found = Vec::new();
    for folder in module_folders() {
        let shown = folder.strip_prefix(paths::workspace_root()).unwrap().display().to_string();
        found.extend(check(&Module::read(&folder)).iter().map(|it| format!("{shown}/{it}")));
    }
    assert!(found.is_empty(), "{} mistakes:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_argument_and_block_is_one_that_the_provider_takes() {
    assert_no_mistakes(arguments::mistakes);
}

#[test]
fn every_reference_leads_somewhere_and_everything_declared_is_used() {
    assert_no_mistakes(|module| references::mistakes(module, &Module::read));
}

/// Each module names the oldest provider of which we know that it takes the module.
#[test]
fn the_oldest_schema_is_of_the_oldest_provider_that_each_module_allows() {
    let [oldest, newest] = schema::schemas().map(schema::Schema::version);
    let (floor, _) = oldest.rsplit_once('.').unwrap();
    let major = newest.split('.').next().unwrap();
    let expected = format!(">= {floor}, < {}.0", major.parse::<u32>().unwrap() + 1);
    for folder in module_folders() {
        let text = std::fs::read_to_string(folder.join("versions.tf")).unwrap();
        let versions = text.lines().filter_map(|it| it.trim().strip_prefix("version "));
        let allowed: Vec<&str> = versions.filter_map(|it| it.split('"').nth(1)).collect();
        assert_eq!(
            allowed,
            [expected.as_str()],
            "{}: must allow the releases between both ends of tests/fixtures/aws_provider_*.json; \
             for another oldest one change PROVIDER_OLDEST in the Makefile and run `make infra-schema`",
            folder.join("versions.tf").display()
        );
    }
}

#[test]
fn how_many_are_made_rests_on_nothing_that_may_be_unknown() {
    assert_no_mistakes(counts::mistakes);
}

#[test]
fn everything_can_be_evaluated() {
    assert_no_mistakes(|module| plan::plan(module, &hcl::value::Map::new()).mistakes);
}

/// A suppressed check without a reason would be one that nobody decided about.
#[test]
fn every_suppressed_check_has_its_reason_beside_it() {
    for folder in module_folders() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|it| it != "tf") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines().filter(|it| it.contains("checkov:skip")) {
                let reason = line.split("checkov:skip=").nth(1).and_then(|it| it.split_once(':'));
                let words = reason.map_or(0, |(_, reason)| reason.split_whitespace().count());
                assert!(words >= 4, "{}: {line}", path.display());
            }
        }
    }
}
