//! Whether the name of a mapped file still exists.
//!
//! The kernel appends ` (deleted)` to a name that was removed, but a file name may also end like this. If the text is
//! ambiguous, the file itself is examined, provided that this user may do so.

use nix::errno::Errno;

use crate::process::handle::Process;
use crate::process::kind::{DELETED, has_file};
use crate::process::mapped_file::{Place, open_in_map_files, open_named, prove_path};
use crate::process::mapping::Mapping;

/// Whether a name was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deleted {
    /// It still exists, or the mapping has no file.
    No,
    /// It was removed, or never existed: the files behind `memfd_create`, `shmget` and `MAP_SHARED` have no name.
    Yes,
    /// The name ends in ` (deleted)`, and the file could not be examined.
    Unknown,
}

impl Deleted {
    /// What the text alone says.
    pub fn by_name(mapping: &Mapping<'_>) -> Deleted {
        match mapping.path() {
            _ if !has_file(mapping) => Deleted::No,
            // Kernels before 2.6.38; no real path has two slashes.
            b"//deleted" => Deleted::Yes,
            name if name.ends_with(DELETED) => Deleted::Unknown,
            _ => Deleted::No,
        }
    }
}

impl Process {
    /// Whether the name of a mapping was removed. If the text is ambiguous, the file is examined through
    /// `/proc/PID/map_files` (root, or `CAP_CHECKPOINT_RESTORE`) or below the root directory of the process. No file is
    /// opened for reading.
    pub fn read_deleted(&self, mapping: &Mapping<'_>) -> Deleted {
        match Deleted::by_name(mapping) {
            Deleted::Unknown if self.is_live() => self.examine(mapping),
            by_name => by_name,
        }
    }

    fn examine(&self, mapping: &Mapping<'_>) -> Deleted {
        let Ok(memory) = self.memory() else { return Deleted::Unknown };
        let (directory, place) = (&memory.directory, Place::of(mapping));
        let mapped = open_in_map_files(directory, &place);
        if mapped.as_ref().is_ok_and(|file| file.links() == 0) {
            return Deleted::Yes;
        }
        match (mapped, open_named(directory, &place)) {
            (_, Err(Errno::ENOENT)) => Deleted::Yes,
            (Ok(mapped), Ok(named)) if mapped.identity() == named.identity() => Deleted::No,
            // The file has other names, and this is not one of them.
            (Ok(_), Ok(_)) => Deleted::Yes,
            (Err(_), Ok(named)) if prove_path(directory, &named, &place).is_ok() => Deleted::No,
            _ => Deleted::Unknown,
        }
    }
}
