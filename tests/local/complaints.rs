//! What functions write when they cannot start, for the terminal of `make run`: their logs
//! are files that nobody has a reason to open while events seem to be accepted.
//!
//! A function that ends in its start is started anew at each event, and says the same each
//! time: each complaint is told once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The functions' messages that are told: `main` of each, and `telemetry::init`.
const MESSAGE_CANNOT_START: &str = "cannot start";
const MESSAGE_PANICKED: &str = "panicked";

/// Follows all logs of a stack.
#[derive(Debug)]
pub(crate) struct Complaints {
    logs: PathBuf,
    read: BTreeMap<PathBuf, u64>,
    told: BTreeSet<String>,
}

impl Complaints {
    /// Of the functions that write into this directory, `{function}.log` each.
    pub(crate) fn new(logs: &Path) -> Self {
        Self { logs: logs.to_owned(), read: BTreeMap::new(), told: BTreeSet::new() }
    }

    /// What was written since the last look and has not been told, a line each.
    pub(crate) fn look(&mut self) -> Vec<String> {
        let files = std::fs::read_dir(&self.logs).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
        files.sort();
        let mut found = Vec::new();
        for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "log")) {
            let function = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            for line in self.new_lines(file) {
                let Some(complaint) = complaint(&line) else { continue };
                let told = format!("{function} {complaint}");
                if self.told.insert(told.clone()) {
                    found.push(format!("{told} ({})", file.display()));
                }
            }
        }
        found
    }

    /// Whole lines only: what is being written is read when it is.
    fn new_lines(&mut self, file: &Path) -> Vec<String> {
        let read = self.read.entry(file.to_owned()).or_default();
        let mut bytes = Vec::new();
        let complete = std::fs::File::open(file).and_then(|mut opened| {
            opened.seek(SeekFrom::Start(*read))?;
            opened.read_to_end(&mut bytes)
        });
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if complete.is_err() || end == 0 {
            return Vec::new();
        }
        *read += end as u64;
        String::from_utf8_lossy(&bytes[..end]).lines().map(str::to_owned).collect()
    }
}

/// What a line complains of. Functions write JSON; anything else is the shell's or the
/// loader's, about a binary that cannot be run.
fn complaint(line: &str) -> Option<String> {
    let Ok(line) = serde_json::from_str::<Value>(line) else {
        return Some(format!("does not run: {line}")).filter(|_| !line.trim().is_empty());
    };
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    match text("message") {
        MESSAGE_CANNOT_START => Some(format!("cannot start: {}", text("problems"))),
        MESSAGE_PANICKED => Some(format!("panicked at {}", text("place"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn each_complaint_is_told_once_when_its_line_is_whole() {
        let logs = std::env::temp_dir().join(format!("complaints-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&logs).expect("a directory");
        let file = logs.join("processor.log");
        let mut log = std::fs::File::create(&file).expect("a log");
        let mut complaints = Complaints::new(&logs);
        let ordinary = r#"{"level":"INFO","message":"done"}"#;
        let cannot =
            r#"{"level":"ERROR","message":"cannot start","problems":"TABLE_NAME is not set"}"#;
        let (head, tail) = cannot.split_at(20);
        write!(log, "{ordinary}\n{head}").expect("written");
        assert_eq!(complaints.look(), [""; 0]);
        writeln!(log, "{tail}\n{cannot}").expect("written");
        let shown = file.display();
        let told = format!("processor cannot start: TABLE_NAME is not set ({shown})");
        assert_eq!(complaints.look(), [told]);
        writeln!(log, "{cannot}\nbootstrap: 2: exec: /gone: not found").expect("written");
        let panicked = r#"{"level":"ERROR","message":"panicked","place":"src/a.rs:1:2"}"#;
        writeln!(log, "{panicked}").expect("written");
        assert_eq!(
            complaints.look(),
            [
                format!("processor does not run: bootstrap: 2: exec: /gone: not found ({shown})"),
                format!("processor panicked at src/a.rs:1:2 ({shown})"),
            ]
        );
        std::fs::remove_dir_all(logs).expect("removed");
    }
}
