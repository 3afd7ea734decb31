//! What the emulators of a run decided: who was allowed or denied what, by which
//! statement of which policy (`emulator_iam.py` writes it).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use crate::{LocalError, private};

/// A folder for the decisions of a whole test run, of all its processes.
pub const VARIABLE: &str = "INBOX_DECISIONS";

/// Where an emulator writes them: with those of the whole run where that is asked for,
/// else into its own directory.
pub(crate) fn file(directory: &Path) -> Result<PathBuf, LocalError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Some(all) = std::env::var_os(VARIABLE).filter(|it| !it.is_empty()) else {
        return Ok(of_emulator(directory));
    };
    private::create_directory(Path::new(&all))?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Ok(Path::new(&all).join(format!("{}-{number}.jsonl", std::process::id())))
}

/// Where an emulator that runs in `directory` writes them by itself.
#[must_use]
pub fn of_emulator(directory: &Path) -> PathBuf {
    directory.join("decisions.jsonl")
}

/// One decision; the same one again is not written again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Decision {
    /// `arn:aws:sts::000000000000:assumed-role/webhook-inbox-processor/…`
    pub principal: String,
    /// `dynamodb:UpdateItem`
    pub action: String,
    /// Of objects, the bucket and what the key begins with.
    pub resource: String,
    /// The `Sid` that allowed it; empty where none did.
    pub statement: String,
    /// `allow` or `deny`.
    pub decision: String,
}

impl Decision {
    /// Whether it was allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decision == "allow"
    }

    /// Who asked: `receiver`, `processor`, `sweeper`, `operator`; none for somebody who
    /// is not of the inbox.
    #[must_use]
    pub fn who(&self) -> Option<&'static str> {
        let (kind, name) = self.principal.rsplit(':').next()?.split_once('/')?;
        let name = name.split('/').next()?;
        match kind {
            "user" if name.ends_with("-operator") => Some("operator"),
            "assumed-role" => ["receiver", "processor", "sweeper"]
                .into_iter()
                .find(|function| name.split('-').any(|part| part == *function)),
            _ => None,
        }
    }
}

/// The decisions in a file, or in all files of a folder.
pub fn read(path: &Path) -> Result<BTreeSet<Decision>, LocalError> {
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        let entries =
            std::fs::read_dir(path).map_err(LocalError::io(format!("read {}", path.display())))?;
        files = entries.flatten().map(|it| it.path()).collect();
    }
    let mut all = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file)
            .map_err(LocalError::io(format!("read {}", file.display())))?;
        // An emulator that was killed may have left half a line.
        all.extend(text.lines().filter_map(|line| serde_json::from_str::<Decision>(line).ok()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(principal: &str) -> Decision {
        Decision {
            principal: format!("arn:aws:sts::000000000000:{principal}"),
            action: "sqs:SendMessage".to_owned(),
            resource: String::new(),
            statement: String::new(),
            decision: "allow".to_owned(),
        }
    }

    #[test]
    fn who_asked_is_known_by_the_name_of_the_role() {
        for (principal, who) in [
            ("assumed-role/webhook-inbox-receiver-stripe/x", Some("receiver")),
            ("assumed-role/test-0a1b-processor-0011aabb/processor", Some("processor")),
            ("assumed-role/webhook-inbox-sweeper/x", Some("sweeper")),
            ("user/webhook-inbox-operator", Some("operator")),
            ("assumed-role/payments-subscriber/x", None),
            ("user/somebody", None),
        ] {
            assert_eq!(by(principal).who(), who, "{principal}");
        }
    }
}
