//! What the functions may write: JSON lines that hold nothing of a payload, no
//! secret and no signature. The latter is for [`Watch`] to find, which also sees
//! what the functions of other tests write.

use std::path::Path;

use inbox_local::watch::Watch;
use serde_json::Value;

/// Looks through every log in a directory.
pub(crate) fn check(directory: &Path) {
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
    }
    Watch::of_this_run().look_through(directory);
    Watch::of_this_run().check();
}
