//! What is asked about.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A file that is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedFile {
    /// By a path, which may be `/proc/PID/fd/N`. In a capture no symbolic link is followed but those of `/proc`.
    Path(PathBuf),
    /// By the device and the inode number of `/proc/PID/maps` or `stat`.
    Number {
        /// Major and minor number.
        device: (u32, u32),
        /// The inode number.
        inode: u64,
    },
}

/// What is read about a file, and of each process that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WhoFacts {
    /// How much of the file it has in memory: its smaps.
    pub memory: bool,
    /// Its user, command line and control group.
    pub owner: bool,
    /// The kernel's list of the pages of the file, which tells how much of it is mapped by anybody (root). Otherwise
    /// it is read only if page tables cannot tell in reasonable time.
    pub pages: bool,
}

impl WantedFile {
    /// How it is called in the answer: the path, or `fe:00:4711`.
    pub(super) fn label(&self) -> PathBuf {
        match self {
            WantedFile::Path(path) => path.clone(),
            WantedFile::Number { device: (major, minor), inode } => format!("{major:02x}:{minor:02x}:{inode}").into(),
        }
    }
}

/// A path from bytes.
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
