//! The bodies in `tests/fixtures/<provider>/` are what the providers document;
//! each is identified fully, by the values in the folder's `provider.json`.

use std::collections::{BTreeMap, BTreeSet};

use inbox_core::Timestamp;
use inbox_core::provider::{Identity, Unsigned};

use super::facts::{self, FILE, Facts, Fixture};
use super::testing::{Delivery, at};
use inbox_core::form;

/// Every fixture of every provider: provider, file, what is known of it.
fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static Fixture)> {
    super::names().flat_map(|name| {
        let fixtures = &facts::of(name).fixtures;
        fixtures.iter().map(move |(file, fixture)| (name, file.as_str(), fixture))
    })
}

fn read(name: &str, file: &str) -> Vec<u8> {
    std::fs::read(facts::folder().join(name).join(file)).unwrap()
}

/// What the ending of a file's name says.
fn media_type(file: &str) -> Option<&'static str> {
    match file.rsplit_once('.')? {
        (_, "json") => Some("application/json"),
        (_, "form") => Some(form::MEDIA_TYPE),
        _ => None,
    }
}

fn identity(name: &str, file: &str, fixture: &Fixture) -> Identity {
    let (provider, facts) = (super::find(name).unwrap(), facts::of(name));
    let (content_type, body) = (media_type(file).unwrap(), read(name, file));
    let mut url = "https://hooks.example.com/in".to_owned();
    if !facts.decodes(content_type) {
        url = facts.cover(&url, &body);
    }
    let unsigned = Unsigned {
        url: &url,
        content_type,
        body: &body,
        id: "id_1",
        event_type: fixture.header_event_type.as_deref().unwrap_or_default(),
        now: at(0),
    };
    let secret = &facts.secrets[0];
    Delivery::sign(provider.as_ref(), secret, &unsigned).identity(provider.as_ref(), secret)
}

/// A folder under `tests/fixtures/`.
struct Folder {
    files: BTreeSet<String>,
    /// The files that its `provider.json` describes, or what is wrong with it.
    described: Result<BTreeSet<String>, String>,
}

/// What to add where registry, folders and descriptions differ.
fn to_do(registered: &[&str], folders: &BTreeMap<String, Folder>) -> Vec<String> {
    let mut to_do = Vec::new();
    for name in registered.iter().filter(|name| !folders.contains_key(**name)) {
        to_do.push(format!(
            "tests/fixtures/{name}/ is missing: add it, with {FILE} and the bodies that {name} sends"
        ));
    }
    for (name, Folder { files, described }) in folders {
        if !registered.contains(&name.as_str()) {
            to_do.push(format!(
                "tests/fixtures/{name}/ is of no provider: add its line to the registry in \
                 functions/receiver/src/providers/mod.rs, or remove the folder"
            ));
            continue;
        }
        let described = match described {
            Ok(described) => described,
            Err(message) => {
                to_do.push(message.clone());
                continue;
            }
        };
        if described.is_empty() {
            to_do.push(format!(
                "tests/fixtures/{name}/{FILE} has no fixtures: add a body and describe it there"
            ));
        }
        for file in files.iter().filter(|file| *file != FILE && !described.contains(*file)) {
            to_do.push(format!(
                "tests/fixtures/{name}/{file} is not described: add it to `fixtures` in \
                 tests/fixtures/{name}/{FILE}"
            ));
        }
        for file in described.difference(files) {
            to_do.push(format!(
                "tests/fixtures/{name}/{FILE} describes {file}, which is not there: add the file, \
                 or remove its entry"
            ));
        }
        for file in described.iter().filter(|file| media_type(file).is_none()) {
            to_do.push(format!(
                "tests/fixtures/{name}/{file} has no media type: let its name end in .json or .form"
            ));
        }
    }
    to_do
}

fn folders() -> BTreeMap<String, Folder> {
    let name = |entry: &std::fs::DirEntry| entry.file_name().into_string().unwrap();
    let entries = std::fs::read_dir(facts::folder()).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| {
            let files = std::fs::read_dir(entry.path()).unwrap();
            let files = files.map(|file| name(&file.unwrap())).collect();
            let described = facts::load(&name(&entry));
            let described = described.map(|Facts { fixtures, .. }| fixtures.into_keys().collect());
            (name(&entry), Folder { files, described })
        })
        .collect()
}

#[test]
fn every_provider_has_fixtures_and_every_fixture_a_provider() {
    let registered: Vec<_> = super::names().collect();
    let to_do = to_do(&registered, &folders());
    assert!(to_do.is_empty(), "\n{}", to_do.join("\n"));
}

#[test]
fn what_is_missing_is_asked_for_by_name() {
    let folder = |files: &[&str], described: Result<&[&str], &str>| {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Folder { files: set(files), described: described.map(set).map_err(str::to_owned) }
    };
    let folders = BTreeMap::from([
        ("bare".to_owned(), folder(&["a.json"], Err("bare's file is missing: add it"))),
        ("empty".to_owned(), folder(&[FILE], Ok(&[]))),
        ("full".to_owned(), folder(&[FILE, "a.json", "b.form"], Ok(&["a.json", "b.form"]))),
        ("mixed".to_owned(), folder(&[FILE, "a.json", "b.xml"], Ok(&["b.xml", "c.json"]))),
        ("stray".to_owned(), folder(&[FILE], Ok(&[]))),
    ]);
    assert_eq!(
        to_do(&["bare", "empty", "full", "mixed", "none"], &folders),
        [
            "tests/fixtures/none/ is missing: add it, with provider.json and the bodies that none \
             sends",
            "bare's file is missing: add it",
            "tests/fixtures/empty/provider.json has no fixtures: add a body and describe it there",
            "tests/fixtures/mixed/a.json is not described: add it to `fixtures` in \
             tests/fixtures/mixed/provider.json",
            "tests/fixtures/mixed/provider.json describes c.json, which is not there: add the \
             file, or remove its entry",
            "tests/fixtures/mixed/b.xml has no media type: let its name end in .json or .form",
            "tests/fixtures/stray/ is of no provider: add its line to the registry in \
             functions/receiver/src/providers/mod.rs, or remove the folder",
        ]
    );
}

#[test]
fn every_fixture_is_identified_fully() {
    for (name, file, fixture) in all() {
        let found = identity(name, file, fixture);
        let known = |text: &'static Option<String>| text.as_deref();
        assert_eq!(found.event_type.as_deref(), Some(&*fixture.event_type), "{name}/{file}");
        assert_eq!(found.subject.as_deref(), known(&fixture.subject), "{name}/{file}");
        let moment = found.occurred_at.map(Timestamp::to_rfc3339);
        assert_eq!(moment.as_deref(), known(&fixture.occurred_at), "{name}/{file}");
        let key = found.idempotency_key.as_deref();
        assert_eq!(key, known(&fixture.idempotency_key), "{name}/{file}");
        let payload = found.payload.map(|payload| payload.content_type);
        assert_eq!(payload.as_deref(), known(&fixture.payload_media_type), "{name}/{file}");
    }
}

#[test]
fn every_fixture_is_sent_as_its_provider_sends() {
    for (name, file, fixture) in all() {
        let facts = facts::of(name);
        let media_type = media_type(file).unwrap();
        assert!(facts.media_types.iter().any(|sent| sent == media_type), "{name}/{file}");
        let in_header = fixture.header_event_type.is_some();
        assert_eq!(in_header, facts.event_type_from_header.is_some(), "{name}/{file}");
    }
}

#[test]
fn every_fixture_with_personal_data_marks_it() {
    for (name, file, fixture) in all() {
        let text = String::from_utf8(read(name, file)).unwrap().to_lowercase();
        assert_eq!(text.contains("marker-"), fixture.holds_marker, "{name}/{file}");
    }
}
