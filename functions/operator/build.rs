//! Puts the providers' sample bodies into the binary.
//!
//! Whatever lies in `tests/fixtures/<provider>/` beside a `provider.json` is
//! taken, so that a provider's new sample needs no second edit.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("set by cargo"));
    let fixtures = manifest.join("../../tests/fixtures");
    let mut code = String::from("&[\n");
    for folder in entries(&fixtures).into_iter().filter(|path| path.join(FACTS).exists()) {
        let facts = folder.join(FACTS);
        writeln!(code, "Folder {{ provider: {:?},", name(&folder)).expect("text");
        writeln!(code, "facts: include_str!({:?}), files: &[", facts.display().to_string())
            .expect("text");
        for file in entries(&folder).into_iter().filter(|file| *file != facts) {
            let path = file.display().to_string();
            writeln!(code, "({:?}, include_bytes!({path:?}).as_slice()),", name(&file))
                .expect("text");
        }
        code.push_str("]},\n");
    }
    code.push_str("]\n");
    std::fs::write(out.join("samples.rs"), code).expect("OUT_DIR can be written");
}

const FACTS: &str = "provider.json";

/// What is in a folder, by name; cargo is told to look again when it changes.
fn entries(folder: &Path) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = std::fs::read_dir(folder).expect("the fixtures are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("not the root").to_string_lossy().into_owned()
}
