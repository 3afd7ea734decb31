//! What stands to be typed into a shell.

use std::collections::BTreeSet;
use std::process::Command;

use inbox_local::paths;

use super::blocks::{Block, DOCUMENTS, in_language, read};
use super::{Scratch, shell, snippets};

#[test]
fn every_command_of_the_documents_is_one_that_there_is() {
    let scratch = Scratch::new();
    let makefile = read("Makefile");
    let mut judged = 0;
    for block in in_language("sh") {
        // Run as it stands, by a test of its own.
        if is_run_whole(&block) {
            continue;
        }
        for call in shell::calls(&block, &scratch.0) {
            let fault = judge(&call, &makefile);
            assert!(fault.is_none(), "{}: {call:?}: {}", block.place, fault.unwrap_or_default());
            judged += 1;
        }
    }
    assert!(judged > 55, "only {judged} commands were found: are blocks marked as `sh`?");
}

/// The request that is signed by hand: `e2e` posts it.
pub(super) fn is_run_whole(block: &Block) -> bool {
    block.text.contains("openssl dgst")
}

/// What is wrong with a call.
fn judge(call: &[String], makefile: &str) -> Option<String> {
    let (program, arguments) = call.split_first()?;
    match program.as_str() {
        "make" => arguments.iter().find_map(|word| judge_make(word, makefile)),
        "inbox" => judge_inbox(arguments),
        "cargo" => arguments
            .windows(2)
            .find(|pair| pair[0] == "--path")
            .filter(|pair| !paths::workspace_root().join(&pair[1]).join("Cargo.toml").exists())
            .map(|pair| format!("no package lies in {}", pair[1])),
        "cp" => arguments
            .first()
            .filter(|file| !paths::workspace_root().join(file).exists())
            .map(|file| format!("{file} is not there")),
        // Other people's programs: what they take is theirs to say. A test that needs a
        // stand-in for one says so at its own place.
        "git" | "terraform" | "aws" | "stripe" | "npm" | "curl" | "jq" | "mkdir" | "date" => None,
        other => Some(format!("say in {} how `{other}` is checked", file!())),
    }
}

fn judge_make(word: &str, makefile: &str) -> Option<String> {
    let Some((variable, value)) = word.split_once('=') else {
        let is_there = makefile.lines().any(|line| {
            line.split_once(':').is_some_and(|(targets, rest)| {
                !rest.starts_with('=') && targets.split_whitespace().any(|it| it == word)
            })
        });
        return (!is_there).then(|| format!("the Makefile has no target {word}"));
    };
    if variable == "ROUTES" {
        return snippets::problems_of_routes(value);
    }
    let used = [format!("$({variable})"), format!("$({variable},"), format!("{variable} ?=")];
    let is_there = used.iter().any(|it| makefile.contains(it.as_str()))
        || makefile.contains(&format!("$(if $({variable})"));
    (!is_there).then(|| format!("the Makefile does not use {variable}"))
}

/// The command reads its arguments before it prints its help, and stops at the first that
/// it does not know.
fn judge_inbox(arguments: &[String]) -> Option<String> {
    let end = arguments.iter().position(|it| it == "--").unwrap_or(arguments.len());
    let mut words: Vec<&str> = arguments[..end].iter().map(String::as_str).collect();
    words.push("--help");
    let inbox = paths::binary("inbox").expect("cargo build --workspace");
    let output = Command::new(inbox).args(words).env_clear().output().expect("inbox runs");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(complaint)
}

/// `inbox …` and `make …` between single backticks, in prose and tables. A `|` stands
/// escaped in tables and means a choice.
fn spans(text: &str, program: &str) -> Vec<String> {
    let prose: String = {
        let mut inside = false;
        let kept = text.lines().filter(|line| {
            let is_fence = line.starts_with("```");
            inside ^= is_fence;
            !is_fence && !inside
        });
        kept.collect::<Vec<_>>().join("\n")
    };
    let spans = prose.split('`').skip(1).step_by(2);
    let plain = spans.map(|span| span.replace("\\|", "|").replace('\n', " "));
    plain.filter(|span| span.starts_with(program)).collect()
}

#[test]
fn every_target_and_command_that_is_named_in_passing_is_there() {
    let makefile = read("Makefile");
    for document in DOCUMENTS {
        let text = read(document);
        for span in spans(&text, "make ") {
            let mut words = span.split_whitespace().skip(1);
            let target = words.next().unwrap_or_default();
            let fault = judge_make(target, &makefile);
            assert!(fault.is_none(), "{document}: `{span}`: {}", fault.unwrap_or_default());
        }
        for span in spans(&text, "inbox ") {
            let words: Vec<&str> = span.split_whitespace().skip(1).collect();
            let fault = judge_named(&words);
            assert!(fault.is_none(), "{document}: `{span}`: {}", fault.unwrap_or_default());
        }
    }
}

/// Subcommands and options of a span such as `inbox secret show|add SOURCE --generate`:
/// each choice is looked at, and words in capitals stand for values.
fn judge_named(words: &[&str]) -> Option<String> {
    let is_name =
        |word: &&&str| word.chars().all(|it| it.is_ascii_lowercase() || "-|".contains(it));
    let names: Vec<&str> = words.iter().take_while(is_name).copied().collect();
    let names: Vec<&str> = names.into_iter().take_while(|it| !it.starts_with('-')).collect();
    let mut paths_of_names: Vec<Vec<String>> = vec![Vec::new()];
    for name in names {
        let choices: Vec<&str> = name.split('|').collect();
        paths_of_names = paths_of_names
            .iter()
            .flat_map(|path| {
                choices.iter().map(|it| [path.clone(), vec![(*it).to_owned()]].concat())
            })
            .collect();
    }
    let options: BTreeSet<&str> = words.iter().copied().filter(|it| it.starts_with("--")).collect();
    let mut faults = Vec::new();
    let mut knows: BTreeSet<&str> = BTreeSet::new();
    for path in &paths_of_names {
        let inbox = paths::binary("inbox").expect("cargo build --workspace");
        // A value such as a source's name may look like a subcommand: the longest prefix
        // that is a command is the command.
        let helps = |length: usize| {
            let mut command = Command::new(&inbox);
            command.args(&path[..length]).arg("--help").env_clear();
            let output = command.output().expect("inbox runs");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        match helps(path.len()) {
            Some(help) => knows.extend(options.iter().filter(|it| help.contains(**it))),
            None => faults.push(format!("there is no `inbox {}`", path.join(" "))),
        }
    }
    faults.extend(options.difference(&knows).map(|it| format!("has no option {it}")));
    (!faults.is_empty()).then(|| faults.join("; "))
}
