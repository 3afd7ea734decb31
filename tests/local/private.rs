//! Files that hold secrets, which nobody else on the machine may read.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::LocalError;

/// The mode of such a file.
pub(crate) const FILE: u32 = 0o600;
const DIRECTORY: u32 = 0o700;

/// Makes a directory, with those above it; one that is there is closed to others.
pub(crate) fn create_directory(path: &Path) -> Result<(), LocalError> {
    let what = format!("create {}", path.display());
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY)
        .create(path)
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(DIRECTORY)))
        .map_err(LocalError::io(what))
}

/// An empty file to write to. One that is there is emptied and closed to others.
pub(crate) fn create(path: &Path) -> Result<File, LocalError> {
    let what = format!("create {}", path.display());
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(FILE).open(path);
    opened
        .and_then(|file| file.set_permissions(Permissions::from_mode(FILE)).map(|()| file))
        .map_err(LocalError::io(what))
}

/// Writes a whole file.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), LocalError> {
    let what = format!("write {}", path.display());
    create(path)?.write_all(content).map_err(LocalError::io(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_for_its_owner_alone_also_where_it_was_there_before() {
        let directory = testbed::directory("private").expect("a directory");
        let (inner, file) = (directory.join("a/b"), directory.join("a/b/file"));
        create_directory(&inner).expect("a directory");
        assert_eq!((mode(&inner), mode(&directory.join("a"))), (DIRECTORY, DIRECTORY));
        std::fs::write(&file, "old").expect("a file");
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("a mode");
        write(&file, b"new").expect("a file");
        assert_eq!((mode(&file), std::fs::read(&file).ok()), (FILE, Some(b"new".to_vec())));
    }
}
