//! Runs of `terraform test`: each a file of its own, so that one that fails takes no
//! other along.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::workspace::{Workspace, shown};

/// One file for `terraform test`.
pub(crate) struct Run {
    /// What stands before the run: `variables { … }`.
    pub(crate) variables: String,
    /// `plan` or `apply`.
    pub(crate) command: &'static str,
}

impl Run {
    pub(crate) fn plan(variables: impl Into<String>) -> Self {
        Self { variables: variables.into(), command: "plan" }
    }
}

/// What became of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// `pass`, or how it ended otherwise.
    pub(crate) status: String,
    /// Errors and warnings.
    pub(crate) said: Vec<Said>,
}

impl Outcome {
    /// It went through, and Terraform had nothing to say.
    pub(crate) fn assert_passed(&self, what: &str) {
        let all: Vec<String> = self.said.iter().map(ToString::to_string).collect();
        assert!(
            self.status == "pass" && all.is_empty(),
            "{what}: {}, and Terraform says:\n{}",
            self.status,
            all.join("\n")
        );
    }
}

/// One of Terraform's diagnostics.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) summary: String,
    pub(crate) detail: String,
    /// `variables.tf:15`, or what Terraform names instead.
    pub(crate) place: String,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.summary, self.detail)
    }
}

impl Said {
    pub(crate) fn read(diagnostic: &Json) -> Self {
        let text = |name: &str| diagnostic[name].as_str().unwrap_or_default().to_owned();
        let range = &diagnostic["range"];
        Self {
            summary: text("summary"),
            detail: text("detail"),
            place: format!(
                "{}:{}",
                range["filename"].as_str().unwrap_or_default(),
                range["start"]["line"]
            ),
        }
    }
}

/// Carries the runs out in a folder, two at a time, and gives what became of each.
pub(crate) fn test(workspace: &Workspace, directory: &str, runs: &[Run]) -> Vec<Outcome> {
    let file = |number: usize| format!("tests/run_{number:03}.tftest.hcl");
    for (number, Run { variables, command }) in runs.iter().enumerate() {
        let text = format!("{variables}\nrun \"it\" {{\n  command = {command}\n}}\n");
        workspace.write(&format!("{directory}/{}", file(number)), &text);
    }
    let numbers: Vec<usize> = (0..runs.len()).collect();
    let half = numbers.len().div_ceil(2).max(1);
    let found: BTreeMap<String, Outcome> = std::thread::scope(|scope| {
        let parts = numbers.chunks(half).map(|part| {
            scope.spawn(move || {
                let filters = part.iter().map(|it| format!("-filter={}", file(*it)));
                let arguments: Vec<String> =
                    ["test", "-json"].map(ToOwned::to_owned).into_iter().chain(filters).collect();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let output = workspace.run(directory, &arguments);
                let outcomes = read(&shown(&output));
                assert!(!outcomes.is_empty(), "terraform test ran nothing:\n{}", shown(&output));
                outcomes
            })
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|it| it.join().expect("a part of the runs")).collect()
    });
    numbers
        .into_iter()
        .map(|number| {
            let outcome = found.get(&file(number)).cloned();
            outcome.unwrap_or_else(|| panic!("{} did not run: {found:#?}", file(number)))
        })
        .collect()
}

/// Lines of JSON, by the file that they are about.
fn read(lines: &str) -> BTreeMap<String, Outcome> {
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    for line in lines.lines() {
        let Ok(line) = serde_json::from_str::<Json>(line) else { continue };
        let Some(file) = line["@testfile"].as_str() else { continue };
        let outcome = outcomes.entry(file.to_owned()).or_default();
        match line["type"].as_str() {
            Some("diagnostic") => outcome.said.push(Said::read(&line["diagnostic"])),
            Some("test_run") if line["test_run"]["progress"] == "complete" => {
                line["test_run"]["status"]
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut outcome.status);
            }
            _ => {}
        }
    }
    outcomes
}
