//! Where things lie in a clone: the emulator's interpreter, the binaries, `.local/`.

use std::path::{Path, PathBuf};

use crate::LocalError;

/// The root of the clone that this package was compiled in.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// `.local/`, which holds everything that the local stack writes.
#[must_use]
pub fn local_directory() -> PathBuf {
    workspace_root().join(".local")
}

/// The Python that has `MiniStack` installed; `make setup` makes it.
pub fn emulator_python() -> Result<PathBuf, LocalError> {
    let path = local_directory().join("venv/bin/python");
    if path.exists() { Ok(path) } else { Err(LocalError::VenvMissing { path }) }
}

/// The wrapper that runs `MiniStack`.
pub(crate) fn emulator_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("local/emulator.py")
}

/// The wrapper that runs microburst.
pub(crate) fn fault_proxy_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("local/fault_proxy.py")
}

/// A binary of this workspace, built with the same profile as the running program.
///
/// A test runs from `target/<profile>/deps/`, `local` from `target/<profile>/`.
pub fn binary(name: &str) -> Result<PathBuf, LocalError> {
    let exe = std::env::current_exe().map_err(LocalError::io("find the running program"))?;
    let directory = exe.parent().unwrap_or(Path::new("."));
    let profile = match directory.file_name() {
        Some(last) if last == "deps" => directory.parent().unwrap_or(directory),
        _ => directory,
    };
    let path = profile.join(name);
    if path.exists() { Ok(path) } else { Err(LocalError::BinaryMissing { path }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_says_how_to_build_it() {
        let error = binary("no-such-binary").expect_err("must be missing");
        assert!(
            matches!(&error, LocalError::BinaryMissing { path } if !path.to_string_lossy().contains("deps"))
        );
        assert!(error.to_string().contains("cargo build --workspace"));
    }
}
