//! The location of `/proc`: the live one, or a directory with the same structure. It is a value, so that the same code reads
//! a captured machine.

use std::path::{Path, PathBuf};

use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};

use crate::error::{Error, ErrorKind, Result, Subject};

/// A live `/proc`, or a directory with the same structure.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcRoot {
    path: PathBuf,
}

impl ProcRoot {
    /// The `/proc` of this machine.
    pub fn live() -> ProcRoot {
        ProcRoot::at(PathBuf::from("/proc"))
    }

    /// The directory `path`: another mount of proc, or a capture.
    pub fn at(path: PathBuf) -> ProcRoot {
        ProcRoot { path }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is a mounted proc file system. A capture, or a directory that cannot be accessed, is not live.
    pub fn is_live(&self) -> bool {
        statfs(&self.path).is_ok_and(|found| found.filesystem_type() == PROC_SUPER_MAGIC)
    }
}

/// The pids of all processes, in no particular order.
///
/// # Errors
/// The directory cannot be read.
pub fn read_pids(root: &ProcRoot) -> Result<Vec<u32>> {
    let subject = || Subject::Path(root.path().to_owned());
    let entries = std::fs::read_dir(root.path()).map_err(|error| Error::io(subject(), &error))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The error for a `/proc` that is not mounted; `None` if it is mounted or a capture.
pub(super) fn not_mounted(root: &ProcRoot) -> Option<Error> {
    let missing = *root == ProcRoot::live() && !root.is_live();
    missing.then(|| {
        Error::path(root.path(), ErrorKind::Unsupported, "it is not mounted, so nothing can be read from the kernel")
            .with_advice("mount it: mount -t proc proc /proc")
    })
}
