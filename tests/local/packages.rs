//! Lambda packages, as `make package` leaves them, run on this machine.
//!
//! A package for another architecture is known by its ELF header, before the kernel
//! says "exec format error" from within a function that nobody watches.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::LocalError;
use crate::options::Binaries;

/// Where the field `e_machine` stands in an ELF header.
/// <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>
const MACHINE_OFFSET: usize = 18;
const ELF: &[u8] = b"\x7fELF";
const MACHINE_X86_64: u16 = 62;
const MACHINE_AARCH64: u16 = 183;

/// Takes the three `bootstrap`s out of `{folder}/{function}.zip`.
pub fn unpack(folder: &Path, into: &Path) -> Result<Binaries, LocalError> {
    std::fs::create_dir_all(into).map_err(LocalError::io(format!("create {}", into.display())))?;
    Ok(Binaries {
        receiver: unpack_one(folder, "receiver", into)?,
        processor: unpack_one(folder, "processor", into)?,
        sweeper: unpack_one(folder, "sweeper", into)?,
    })
}

fn unpack_one(folder: &Path, function: &str, into: &Path) -> Result<PathBuf, LocalError> {
    let package = folder.join(format!("{function}.zip"));
    let what = format!("read {} (make package writes it)", package.display());
    let file = std::fs::File::open(&package).map_err(LocalError::io(&what))?;
    let mut archive = ZipArchive::new(file).map_err(LocalError::call(&what))?;
    let mut bootstrap = Vec::new();
    archive
        .by_name("bootstrap")
        .map_err(LocalError::call(&what))?
        .read_to_end(&mut bootstrap)
        .map_err(LocalError::io(&what))?;
    if let Some(reason) = foreign(&bootstrap) {
        return Err(LocalError::Call { what, reason });
    }
    let binary = into.join(function);
    write_executable(&binary, &bootstrap)
        .map_err(LocalError::io(format!("write {}", binary.display())))?;
    Ok(binary)
}

fn write_executable(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    // A running one cannot be written over, but can be replaced.
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, bytes)?;
    std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o755))?;
    std::fs::rename(unfinished, path)
}

/// Why this machine cannot run it. A script, which Lambda takes too, is for any.
fn foreign(binary: &[u8]) -> Option<String> {
    if !binary.starts_with(ELF) {
        return None;
    }
    let own = if cfg!(target_arch = "aarch64") { MACHINE_AARCH64 } else { MACHINE_X86_64 };
    let field = binary.get(MACHINE_OFFSET..MACHINE_OFFSET + 2)?;
    let machine = u16::from_le_bytes([field[0], field[1]]);
    let name = |machine| match machine {
        MACHINE_X86_64 => "x86_64".to_owned(),
        MACHINE_AARCH64 => "arm64".to_owned(),
        other => format!("machine {other}"),
    };
    (machine != own).then(|| {
        let (machine, own) = (name(machine), name(own));
        format!("it is for {machine}, and this machine is {own}: make package ARCH={own}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_for_another_machine_is_known_before_it_is_run() {
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("this program");
        assert_eq!(foreign(&own), None);
        let mut other = own;
        other[MACHINE_OFFSET] = 243;
        let reason = foreign(&other).expect("a reason");
        assert_eq!(foreign(b"#!/bin/sh\nexec ./receiver\n"), None, "a script");
        assert!(reason.starts_with("it is for machine 243, and this machine is "), "{reason}");
    }
}
