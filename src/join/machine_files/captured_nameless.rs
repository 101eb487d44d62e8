//! The files of a capture that have no name: whether they are below a directory is known only by their file systems.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::from_lists::may_be_below;
use super::{FoundChoice, FoundFile};
use crate::machine::Places;
use crate::machine::cached::{Kind, is_own_number};
use crate::process::ProcRoot;
use crate::units::Bytes;

/// The device number of a file system.
type Device = (u32, u32);

/// Decides about files of a capture, and counts those about which nothing is known.
pub(super) struct Nameless<'c> {
    choice: &'c FoundChoice,
    /// The devices of the file systems that are below the chosen directories as a whole.
    whole: HashSet<Device>,
    /// Each chosen path, with the devices of which something is below it; `None` if the mounts are not known.
    below: Vec<(&'c Path, Option<HashSet<Device>>)>,
    /// How many files may be below, and how much of them is cached, by device.
    open: HashMap<Device, (u64, Bytes)>,
    /// The chosen paths that are files.
    files: HashSet<Vec<u8>>,
}

impl<'c> Nameless<'c> {
    /// Reads the mounts of a capture, if directories are chosen.
    pub(super) fn read(root: &ProcRoot, choice: &'c FoundChoice) -> Nameless<'c> {
        let places = if choice.below.is_empty() { None } else { Places::read(root).ok() };
        let mut whole = HashSet::new();
        let mut devices_below = |path: &Path| {
            let places = places.as_ref()?;
            let found = places.below(path.as_os_str().as_bytes());
            let all = found.iter().filter(|(device, directory)| directory == b"/" && places.is_clear(*device));
            whole.extend(all.map(|(device, _)| *device));
            Some(found.into_iter().map(|(device, _)| device).collect()).filter(|found: &HashSet<_>| !found.is_empty())
        };
        let below = choice.below.iter().map(|path| (&**path, devices_below(path))).collect();
        Nameless { choice, whole, below, open: HashMap::new(), files: HashSet::new() }
    }

    /// Whether a file is in or below one of the chosen directories, as far as that is known.
    pub(super) fn has(&mut self, file: &FoundFile) -> bool {
        if self.choice.has(&file.path) {
            if self.choice.below.iter().any(|path| path.as_os_str().as_bytes() == file.path) {
                self.files.insert(file.path.clone());
            }
            return true;
        }
        let is_kept = |fs: &str| is_own_number(fs, file.inode);
        if !is_nameless(&file.path) || file.file_system.as_deref().is_ok_and(is_kept) {
            return false;
        }
        // What is no file may be in no directory, either.
        if self.whole.contains(&file.device) && file.kind.is_ok_and(|kind| kind != Kind::Metadata) {
            return true;
        }
        let (count, cached) = self.open.entry(file.device).or_default();
        *count = count.saturating_add(1);
        *cached = *cached + file.cached.unwrap_or_default();
        false
    }

    /// A message about the files of which it is not known, if there are any.
    pub(super) fn note(&self) -> Option<String> {
        let is_file = |path: &Path| self.files.contains(path.as_os_str().as_bytes());
        let directories = || self.below.iter().filter(|(path, _)| !is_file(path));
        let may_be = |device| directories().any(|(_, on)| on.as_ref().is_none_or(|on| on.contains(device)));
        let found = self.open.iter().filter(|(device, _)| may_be(device)).map(|(_, found)| found);
        let (count, cached) = found.fold((0, Bytes(0)), |sum, found| (sum.0 + found.0, sum.1 + found.1));
        may_be_below(self.choice, count, cached)
    }
}

/// Whether these are the words for a file without a name: `[ext4 8:1] inode 12`.
fn is_nameless(path: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(path));
    let end = || path.to_str()?.strip_prefix('[')?.split_once("] inode ").map(|(_, number)| number);
    end().is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}
