//! A directory whose entries were read and below which there is more to read.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use super::work::{Names, OpenDirectory};
use crate::pagecache::FileSystem;

/// A directory of which only directories below it are left to be read.
pub(super) struct Level {
    /// `None` while the walk is deep below it.
    pub(super) directory: Option<Arc<OpenDirectory>>,
    pub(super) identity: (u64, u64),
    pub(super) file_system: FileSystem,
    directories: Names,
    links: Names,
    /// How much of the names was taken already, in bytes.
    taken: (usize, usize),
    /// Whether the last one that was taken is a symbolic link.
    pub(super) went_through_link: bool,
}

impl Level {
    pub(super) fn new(directory: Arc<OpenDirectory>) -> Level {
        let (identity, file_system) = (directory.identity, directory.file_system);
        let (directories, links) = (Names::default(), Names::default());
        let directory = Some(directory);
        Level { directory, identity, file_system, directories, links, taken: (0, 0), went_through_link: false }
    }

    pub(super) fn push(&mut self, name: &CStr, link: bool) {
        if link { &mut self.links } else { &mut self.directories }.push(name);
    }

    /// The next directory below it, and whether it is a symbolic link.
    pub(super) fn take_next(&mut self) -> Option<(CString, bool)> {
        let next = self.directories.get(self.taken.0).map(|name| (name, false));
        let (name, link) = next.or_else(|| Some((self.links.get(self.taken.1)?, true)))?;
        let name = name.to_owned();
        let taken = if link { &mut self.taken.1 } else { &mut self.taken.0 };
        *taken += name.as_bytes_with_nul().len();
        self.went_through_link = link;
        Some((name, link))
    }
}
