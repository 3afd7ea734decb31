//! What is compiled in: under which licence, and from where. `make audit` asks more
//! and needs a tool of its own; this needs none, so that a dependency with a licence
//! that we do not take never gets in.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn run(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().expect("cargo and rustc run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The packages that are compiled on this machine: those of others are not there.
fn packages() -> Vec<Value> {
    let version = run(Command::new("rustc").arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline"];
    let metadata = run(Command::new("cargo").args(arguments).args(["--filter-platform", host]));
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// The licences that `deny.toml` allows.
fn allowed() -> Vec<String> {
    let rules = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let (_, list) = rules.split_once("\nallow = [").expect("a list of licences");
    let (list, _) = list.split_once(']').expect("an end");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met: `OR` leaves a choice, `AND` binds more
/// closely, and an old `/` is an `OR`.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = either(&mut rest, allowed);
    assert!(rest.is_empty(), "{expression}");
    met
}

fn either(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = both(rest, allowed);
    while let Some((&"OR", after)) = rest.split_first() {
        *rest = after;
        met |= both(rest, allowed);
    }
    met
}

fn both(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(rest, allowed);
    while let Some((&"AND", after)) = rest.split_first() {
        *rest = after;
        met &= one(rest, allowed);
    }
    met
}

fn one(rest: &mut &[&str], allowed: &[String]) -> bool {
    let (first, after) = rest.split_first().expect("a licence");
    *rest = after;
    if *first == "(" {
        let met = either(rest, allowed);
        let (end, after) = rest.split_first().expect("an end");
        assert_eq!(*end, ")");
        *rest = after;
        return met;
    }
    let mut name = (*first).to_owned();
    if let [with @ "WITH", exception, after @ ..] = rest {
        name = format!("{name} {with} {exception}");
        *rest = after;
    }
    allowed.contains(&name)
}

#[test]
fn every_package_comes_from_crates_io_under_a_licence_that_we_take() {
    let allowed = allowed();
    assert!(allowed.len() > 2, "{allowed:?}");
    let packages = packages();
    let foreign: Vec<_> = packages.iter().filter(|package| !package["source"].is_null()).collect();
    assert!(foreign.len() > 100, "{}", foreign.len());
    for package in foreign {
        let (name, licence) = (&package["name"], package["license"].as_str());
        assert_eq!(package["source"], CRATES_IO, "{name}");
        assert!(licence.is_some_and(|text| is_met(text, &allowed)), "{name}: {licence:?}");
    }
}

/// Without a licence nobody may use it. A manifest that names another one than the files
/// would be the one that tools believe.
#[test]
fn every_manifest_names_the_licence_whose_text_stands_at_the_top() {
    const LICENCE: &str = "MIT OR Apache-2.0";
    for (file, title) in [("LICENSE-MIT", "MIT License"), ("LICENSE-APACHE", "Apache License")] {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        let first = text.lines().map(str::trim).find(|line| !line.is_empty());
        assert_eq!(first, Some(title), "{file} must hold the licence's own text");
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let line = format!("license = \"{LICENCE}\"");
    assert!(manifest.contains(&line), "Cargo.toml: put `{line}` under [workspace.package]");
    let own = packages().into_iter().filter(|package| package["source"].is_null());
    for package in own {
        assert_eq!(
            package["license"].as_str(),
            Some(LICENCE),
            "{}: put `license.workspace = true` into its manifest",
            package["name"]
        );
    }
    for (file, line) in [
        ("tests/fuzz/Cargo.toml", line.as_str()),
        (
            "infra/modules/inbox/examples/invoke-typescript/package.json",
            "\"license\": \"MIT OR Apache-2.0\"",
        ),
    ] {
        let text = std::fs::read_to_string(root().join(file)).expect("a manifest");
        assert!(text.contains(line), "{file}: say `{line}`, as the workspace does");
    }
}

#[test]
fn expressions_of_licences_are_read_as_spdx_says() {
    let allowed = ["MIT", "ISC", "Apache-2.0"].map(str::to_owned);
    for expression in [
        "MIT",
        "GPL-3.0-only OR MIT",
        "MIT/GPL-3.0",
        "MIT AND ISC",
        "(MIT OR GPL-3.0) AND ISC",
        "GPL-3.0 AND ISC OR MIT",
        "Apache-2.0 WITH LLVM-exception OR MIT",
    ] {
        assert!(is_met(expression, &allowed), "{expression}");
    }
    for expression in [
        "AGPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "ISC AND (GPL-3.0 OR MPL-2.0)",
        "GPL-3.0-only WITH Classpath-exception-2.0",
        "mit",
    ] {
        assert!(!is_met(expression, &allowed), "{expression}");
    }
}
