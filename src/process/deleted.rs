//! Whether the name of a mapped file still exists.
//!
//! The kernel appends ` (deleted)` to a name that was removed, but a file name may also end like this. If the text is
//! ambiguous, the file itself is examined, provided that this user may do so.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::process::directory::{Directory, nameless_device};
use crate::process::handle::Process;
use crate::process::kind::{DELETED, has_file};
use crate::process::mapped_file::{
    MappedFile, Place, has_escape, is_only_mount_of, open_in_map_files, open_named, prove_path,
};
use crate::process::mapping::Mapping;

/// Whether a name was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deleted {
    /// It still exists, or the mapping has no file.
    No,
    /// It was removed, or never existed: the files behind `memfd_create`, `shmget` and `MAP_SHARED` have no name.
    Yes,
    /// The name ends in ` (deleted)`, and neither was proven: the file could not be examined, or its name does not
    /// lead to where it was (overmounted, another root directory, an ambiguous escape).
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
        if Some(place.device.numbers()) == nameless_device() {
            return Deleted::Yes;
        }
        let mapped = open_in_map_files(directory, &place);
        if mapped.as_ref().is_ok_and(|file| file.links() == 0) {
            return Deleted::Yes;
        }
        match (&mapped, open_named(directory, &place)) {
            (Ok(mapped), Ok(named)) if mapped.identity() == named.identity() => Deleted::No,
            (Err(_), Ok(named)) if prove_path(directory, &named, &place).is_ok() => Deleted::No,
            // Another file has the name now, or none has it. That proves something only if the name still leads to
            // where the file was.
            (_, Ok(_) | Err(Errno::ENOENT)) if leads_to_its_directory(directory, &place, mapped.as_ref().ok()) => {
                Deleted::Yes
            }
            _ => Deleted::Unknown,
        }
    }
}

/// Whether the name of the mapping certainly leads to the directory that the file was in: the process has our root and
/// our mounts (the kernel writes names as the reader sees them), no escape makes the name ambiguous, and the directory
/// is on the mount of the file itself, so that nothing is mounted over it.
fn leads_to_its_directory(directory: &Directory, place: &Place<'_>, mapped: Option<&MappedFile>) -> bool {
    let parent = match memchr::memrchr(b'/', place.path) {
        Some(slash) if !has_escape(place.path) => place.path.get(..slash).unwrap_or_default(),
        _ => return false,
    };
    let below = parent.strip_prefix(b"/").unwrap_or(parent);
    let parent = Path::new("root").join(OsStr::from_bytes(below));
    let served = directory.served_above(place.path);
    let Ok(parent) = directory.open_name(&parent, served) else { return false };
    has_our_root(directory)
        && match mapped {
            Some(mapped) => mapped.mount().is_some_and(|mount| parent.mount() == Some(mount)),
            None => is_only_mount_of(directory, &parent, place.device),
        }
}

/// Whether the process has the root directory and the mounts that this process has.
fn has_our_root(directory: &Directory) -> bool {
    let Ok(own) = Directory::open(Path::new("/proc/self")) else { return false };
    let identity = |directory: &Directory| -> Option<_> {
        Some((directory.look(Path::new("root")).ok()?, directory.read_link("ns/mnt").ok()?))
    };
    identity(&own).is_some_and(|own| identity(directory) == Some(own))
}
