//! The work of a walk: directories to be read, and files to be opened.

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::sync::Arc;

use crate::kernel::handle::Handle;
use crate::pagecache::FileSystem;

/// A directory that is open.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    pub(super) path: PathBuf,
    pub(super) depth: usize,
    pub(super) handle: Handle,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    /// The device of the named directory.
    pub(super) root_device: u64,
    pub(super) file_system: FileSystem,
    /// Whether this process has it open, and there are file systems to which an entry may lead that may not answer.
    pub(super) may_lead_away: bool,
    /// Whether it is on FUSE, where opening a file may drop its cached pages.
    pub(super) is_fuse: bool,
}

/// A unit of work. Directories that were found are opened relative to the one that they were found in, so that a
/// directory that is replaced by a symbolic link meanwhile leads nowhere.
pub(super) enum Work {
    /// A directory that was named.
    Named(PathBuf),
    /// A directory that was found, and whether it is a symbolic link.
    Found(Arc<OpenDirectory>, CString, bool),
    /// Regular files of a directory, to be visited.
    Files(Arc<OpenDirectory>, Names),
}

/// NUL-terminated file names in one block of memory.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    pub(super) count: usize,
}

impl Names {
    pub(super) fn push(&mut self, name: &CStr) {
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        self.count += 1;
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.bytes.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok())
    }

    /// The name that begins at byte `start`, if there is one.
    pub(super) fn get(&self, start: usize) -> Option<&CStr> {
        CStr::from_bytes_until_nul(self.bytes.get(start..)?).ok()
    }
}
