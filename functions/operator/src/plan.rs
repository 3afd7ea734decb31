//! What a replay is going to do, kept in a file until it is done.
//!
//! ```text
//! select ─▶ write the plan ─▶ reopen each event, if it is in the life seen ─▶ remove the plan
//! ```
//!
//! Dying anywhere is safe: the plan names each event with the life that was seen,
//! and the ledger opens another life only from that one. Running the same command
//! again finds the plan and goes on with it: what was replayed has another life by
//! now, and is not replayed again, `--all-handlers` or not. A selection made anew
//! would not know which of its events the first run had had.
//!
//! The file is this user's own, below `$XDG_STATE_HOME/inbox` or
//! `~/.local/state/inbox`; it holds ids and nothing of the events' content.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use inbox_core::Timestamp;
use inbox_core::event::EventKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;

/// A plan that was left longer ago is not gone on with: whoever gives the same
/// command a day later means the events of that day.
const GOES_ON_WITHIN: Duration = Duration::from_hours(24);

/// Ids are somebody's: a payment's, a delivery's.
const MODE_DIRECTORY: u32 = 0o700;
const MODE_FILE: u32 = 0o600;

/// Events to be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Stands in each event's history.
    pub id: String,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// In the operator's words.
    pub reason: String,
    /// What to replay, the newest first.
    pub events: Vec<Planned>,
}

/// One event of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The endpoint that received it.
    pub source: String,
    /// Its idempotency key.
    pub id: String,
    /// The life that it was in.
    pub life: u32,
}

impl Planned {
    /// Its key in the ledger.
    #[must_use]
    pub fn key(&self) -> EventKey {
        EventKey { source: self.source.clone(), id: self.id.clone() }
    }
}

/// Where a command's plan is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile(PathBuf);

impl PlanFile {
    /// The file of this command: `selects` is all of its arguments that say which
    /// events, and of which deployment.
    #[must_use]
    pub fn of(directory: &Path, selects: &[String]) -> Self {
        let mut hash = Sha256::new();
        for part in selects {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let name = hex::encode(&hash.finalize()[..8]);
        Self(directory.join(format!("replay-{name}.json")))
    }

    /// The plan that an interrupted run of the same command left, if that was
    /// within a day.
    ///
    /// # Errors
    ///
    /// There is one that cannot be read: going on without it could replay events
    /// twice.
    pub fn left(&self, now: Timestamp) -> Result<Option<Plan>, Fault> {
        let text = match std::fs::read(&self.0) {
            Ok(text) => text,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => {
                return Err(Fault::io(format!("read the plan {}", self.0.display()), &fault));
            }
        };
        let plan: Plan = serde_json::from_slice(&text).map_err(|fault| {
            Fault::refused(
                format!("the plan of an interrupted replay cannot be read: {fault}"),
                format!("remove {} to make a new one", self.0.display()),
            )
        })?;
        let age_ms = now.unix_ms().saturating_sub(plan.made_at_ms);
        let is_recent = u128::try_from(age_ms).unwrap_or(0) < GOES_ON_WITHIN.as_millis();
        Ok(is_recent.then_some(plan))
    }

    /// Keeps a plan. Who reads the file sees all of it or none of it.
    ///
    /// # Errors
    ///
    /// The file system refuses.
    pub fn keep(&self, plan: &Plan) -> Result<(), Fault> {
        let text = serde_json::to_vec(plan).expect("a plan is text and numbers");
        let directory = self.0.parent().unwrap_or(Path::new("."));
        let unfinished = self.0.with_extension(format!("{}.new", std::process::id()));
        own_directory(directory)
            .and_then(|()| own_file(&unfinished, &text))
            .and_then(|()| std::fs::rename(&unfinished, &self.0))
            .map_err(|fault| Fault::io(format!("keep the plan in {}", self.0.display()), &fault))
    }

    /// The plan is carried out, or given up.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A folder that nobody else may look into; one that was made before is closed.
fn own_directory(directory: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(MODE_DIRECTORY).create(directory)?;
    std::fs::set_permissions(directory, Permissions::from_mode(MODE_DIRECTORY))
}

/// A new file that nobody else may read.
fn own_file(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let _ = std::fs::remove_file(file);
    OpenOptions::new().write(true).create_new(true).mode(MODE_FILE).open(file)?.write_all(text)
}

/// Where plans are kept, by the XDG rules; `None` without a home.
#[must_use]
pub fn directory(environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let given = |name: &str| environment(name).filter(|value| !value.is_empty());
    let state = given("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| given("HOME").map(|home| Path::new(&home).join(".local/state")));
    state.map(|state| state.join("inbox"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn each_selection_has_a_file_of_its_own() {
        let of = |parts: &[&str]| PlanFile::of(Path::new("/state"), &words(parts));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab", ""]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
    }

    #[test]
    fn plans_are_kept_by_the_xdg_rules() {
        let home = |name: &str| (name == "HOME").then(|| "/home/ada".to_owned());
        assert_eq!(directory(home), Some("/home/ada/.local/state/inbox".into()));
        let state = |name: &str| (name == "XDG_STATE_HOME").then(|| "/state".to_owned());
        assert_eq!(directory(state), Some("/state/inbox".into()));
        assert_eq!(directory(|_| Some(String::new())), None);
    }

    #[test]
    fn a_plan_of_yesterday_is_not_gone_on_with() {
        let directory = std::env::temp_dir().join(format!("inbox-{}", uuid::Uuid::new_v4()));
        let file = PlanFile::of(&directory, &words(&["x"]));
        let now = Timestamp::now();
        assert_eq!(file.left(now), Ok(None));
        let planned = Planned { source: "stripe".into(), id: "evt_1".into(), life: 2 };
        let plan = Plan {
            id: "p".into(),
            made_at_ms: now.unix_ms(),
            reason: "r".into(),
            events: vec![planned],
        };
        // A folder that an older version made stood open.
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        file.keep(&plan).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700, "nobody else looks into {}", directory.display());
        assert_eq!(mode(&file.0), 0o600, "nobody else reads {}", file.0.display());
        assert_eq!(file.left(now), Ok(Some(plan)));
        assert_eq!(file.left(now.plus(GOES_ON_WITHIN)), Ok(None));
        std::fs::write(&file.0, "{").unwrap();
        assert_eq!(file.left(now).unwrap_err().exit_code(), 1);
        file.remove();
        assert_eq!(file.left(now), Ok(None));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
