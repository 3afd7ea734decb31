//! What the functions may write: JSON lines that hold nothing of a payload, no
//! secret and no signature.

use std::path::Path;

use serde_json::Value;

/// Pieces of the fixtures, of the secrets and of what signatures look like.
const FORBIDDEN: [&str; 14] = [
    // What stands for personal data in the fixtures.
    "marker-",
    "1500555",
    // Names of fields in payloads, and a sentence.
    "api_version",
    "client_secret",
    "accountsid",
    "first_name",
    "head_commit",
    "logically awesome",
    // Secrets, and what a signature header holds besides the signature.
    "whsec_",
    "local_stripe",
    "local-github",
    "0123456789abcdef0123456789abcdef",
    "v1=",
    "sha256=",
];

/// Looks through every log in a directory. `more` is forbidden as well.
pub(crate) fn check(directory: &Path, more: &[String]) {
    for entry in std::fs::read_dir(directory).expect("the directory of the logs") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a log");
        let log = String::from_utf8(bytes).expect("a log is text");
        // The last line may be being written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        for line in whole.lines() {
            let read: Result<Value, _> = serde_json::from_str(line);
            assert!(read.is_ok_and(|it| it.is_object()), "{}: {line}", path.display());
        }
        let lower = log.to_lowercase();
        let found = FORBIDDEN.iter().find(|text| lower.contains(**text));
        assert_eq!(found, None, "in {}", path.display());
        let found = more.iter().find(|text| log.contains(text.as_str()));
        assert_eq!(found, None, "in {}", path.display());
    }
}
