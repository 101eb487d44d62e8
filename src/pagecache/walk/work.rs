//! The work of a walk: directories to be read, and files to be opened.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::pagecache::FileSystem;

/// A directory to be read.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) depth: usize,
    /// The device of the named directory; `None` for the named directory itself.
    pub(super) device: Option<u64>,
    /// Whether it is, or may be, reached through a symbolic link.
    pub(super) link: bool,
}

/// A directory that is open.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    pub(super) path: PathBuf,
    pub(super) depth: usize,
    pub(super) fd: OwnedFd,
    pub(super) device: u64,
    /// The device of the named directory.
    pub(super) root_device: u64,
    pub(super) file_system: FileSystem,
}

/// A unit of work.
pub(super) enum Work {
    /// A directory to be read.
    Directory(Directory),
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
}
