//! Whether the file behind a mapping still has the name that the kernel gives.
//!
//! The kernel puts ` (deleted)` behind a name that was removed, and a file may be called just that: the text alone does not
//! tell. The file itself does, where this user may look at it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::process::kind::{DELETED, has_file};
use crate::process::mapping::Mapping;
use crate::process::root::{ProcRoot, ProcessDir};

/// Whether a name was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deleted {
    /// It is still there, or there is no file.
    No,
    /// It is gone, or never was: memory of `memfd_create`, `shmget` and `MAP_SHARED` is in files without a name.
    Yes,
    /// The name ends in ` (deleted)`, and nothing was found out about the file.
    Unknown,
}

impl Deleted {
    /// What the text alone says.
    pub fn by_name(mapping: &Mapping<'_>) -> Deleted {
        match mapping.path() {
            _ if !has_file(mapping) => Deleted::No,
            // Of kernels before 2.6.38; no path has two slashes.
            b"//deleted" => Deleted::Yes,
            name if name.ends_with(DELETED) => Deleted::Unknown,
            _ => Deleted::No,
        }
    }
}

/// Whether the name of a mapping of `pid` was removed, from the file itself where the text leaves it open: through
/// `/proc/PID/map_files` (root, or `CAP_CHECKPOINT_RESTORE`) or the process's root directory. No file is opened for reading.
pub fn read_deleted(root: &ProcRoot, pid: u32, mapping: &Mapping<'_>) -> Deleted {
    match Deleted::by_name(mapping) {
        Deleted::Unknown if root.is_live() => {
            ProcessDir::open(root, pid).map_or(Deleted::Unknown, |directory| look(&directory, mapping))
        }
        said => said,
    }
}

fn look(directory: &ProcessDir, mapping: &Mapping<'_>) -> Deleted {
    let exact = format!("map_files/{:x}-{:x}", mapping.start(), mapping.end());
    let held = directory.open_name(exact.as_ref()).map(|(_, stat)| stat);
    if held.as_ref().is_ok_and(|stat| stat.st_nlink == 0) {
        return Deleted::Yes;
    }
    let path = OsStr::from_bytes(mapping.path().strip_prefix(b"/").unwrap_or_default());
    let named = directory.open_name(&Path::new("root").join(path)).map(|(_, stat)| stat);
    match (held, named) {
        (Ok(held), Ok(named)) if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino) => Deleted::No,
        // The file has other names, and this is none of them.
        (Ok(_), Ok(_)) => Deleted::Yes,
        (_, Err(error)) if error.raw_os_error() == Some(Errno::ENOENT as i32) => Deleted::Yes,
        // The same inode number, but perhaps of another device: smaps and stat name devices differently.
        _ => Deleted::Unknown,
    }
}
