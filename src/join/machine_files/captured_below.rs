//! Which files of a capture are below a directory: by their paths, and by the mounts of the capture, which lead to the
//! same directory by several paths. Of files that have no name only the file system is known.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::nameless::Nameless;
use super::{FoundChoice, FoundFile};
use crate::error::{Error, ErrorKind, Subject};
use crate::machine::Places;
use crate::machine::cached::{Kind, is_own_number};
use crate::process::{GroupChoice, ProcRoot};

/// The device number of a file system.
type Device = (u32, u32);

/// Decides about files of a capture, and counts those about which nothing is known.
pub(super) struct CapturedBelow<'c> {
    choice: &'c FoundChoice,
    /// `None` if they are not needed, or not known.
    places: Option<Places>,
    chosen: Vec<Chosen<'c>>,
    /// The files that may be below, by device.
    open: HashMap<Device, Nameless>,
}

/// A chosen path.
struct Chosen<'c> {
    path: &'c Path,
    /// What lies in and below it: the device of each file system, and a directory there; empty if it is not known.
    parts: Vec<(Device, Vec<u8>)>,
    /// Whether it is known what it is: something mounted, or above a captured file.
    is_known: bool,
    /// Whether it is a captured file.
    is_file: bool,
}

impl Chosen<'_> {
    /// Whether a file with this path, which is at this place, is in or below it.
    fn has(&self, path: &Path, place: Option<&(Device, Vec<u8>)>) -> bool {
        let is_below = |(device, file): &(Device, Vec<u8>)| {
            let file = Path::new(OsStr::from_bytes(file));
            self.parts.iter().any(|(on, directory)| on == device && file.starts_with(OsStr::from_bytes(directory)))
        };
        path.starts_with(self.path) || place.is_some_and(is_below)
    }

    /// Whether a file on this device may be below it.
    fn may_have(&self, device: Device) -> bool {
        !self.is_file && (self.parts.is_empty() || self.parts.iter().any(|(on, _)| *on == device))
    }
}

/// What is not known of the chosen directories and control groups.
pub(crate) struct Unsure {
    /// A message about files that may be below.
    pub(crate) nameless: Option<String>,
    /// The directories that may be symbolic links, or not exist.
    pub(crate) unknown: Vec<Error>,
    /// The chosen control groups, as they were named, to which nothing in the list is charged.
    pub(crate) uncharged: Vec<(Vec<u8>, GroupChoice)>,
}

impl<'c> CapturedBelow<'c> {
    /// Reads the mounts of a capture, if directories are chosen.
    pub(super) fn read(root: &ProcRoot, choice: &'c FoundChoice) -> CapturedBelow<'c> {
        let places = if choice.below.is_empty() { None } else { Places::read(root).ok() };
        let chosen = |path: &'c Path| {
            let typed = path.as_os_str().as_bytes();
            let parts = places.as_ref().map(|places| places.below(typed)).unwrap_or_default();
            let is_known = places.as_ref().is_some_and(|places| places.proves(typed));
            Chosen { path, parts, is_known, is_file: false }
        };
        let chosen = choice.below.iter().map(|path| chosen(path)).collect();
        CapturedBelow { choice, places, chosen, open: HashMap::new() }
    }

    /// Whether a file is in or below one of the chosen directories, as far as that is known. If it is by another path
    /// than that of the row, the row takes that one.
    pub(super) fn has(&mut self, file: &mut FoundFile) -> bool {
        if self.chosen.is_empty() {
            return true;
        }
        let place = self.place(file);
        let path = Path::new(OsStr::from_bytes(&file.path));
        let mut is_below = false;
        for chosen in &mut self.chosen {
            if chosen.has(path, place.as_ref()) {
                (is_below, chosen.is_known) = (true, true);
                chosen.is_file |=
                    path == chosen.path || place.as_ref().is_some_and(|place| chosen.parts.contains(place));
            }
        }
        if is_below {
            self.rename(file, place);
        }
        is_below || self.has_nameless(file)
    }

    /// The device of a file, and its path within the file system.
    fn place(&self, file: &FoundFile) -> Option<(Device, Vec<u8>)> {
        let places = self.places.as_ref()?;
        let (device, within) = places.locate(&file.path)?;
        // Another mount may hide it. On btrfs files were measured on devices that no mount has.
        (device == file.device || places.repeats_inodes(device)).then_some((device, within))
    }

    /// Gives a file the path below the chosen directories that it has, if there is one.
    fn rename(&self, file: &mut FoundFile, place: Option<(Device, Vec<u8>)>) {
        let (Some(places), Some((device, within))) = (&self.places, place) else { return };
        let is_below = |path: &[u8]| self.choice.is_below(path);
        let found = if is_below(&file.path) { None } else { places.find_preferring(device, &within, is_below) };
        if let Some(found) = found.filter(|found| found.pid.is_none() && !found.is_hidden && is_below(&found.path)) {
            file.path = found.path;
        }
    }

    /// Whether a file without a name is below as a part of a whole file system.
    fn has_nameless(&mut self, file: &FoundFile) -> bool {
        let is_kept = |fs: &str| is_own_number(fs, file.inode);
        if !is_nameless(&file.path) || file.file_system.as_deref().is_ok_and(is_kept) {
            return false;
        }
        // File-system metadata is in no directory.
        if self.is_whole(file.device) && file.kind.is_ok_and(|kind| kind != Kind::Metadata) {
            return true;
        }
        let nameless = self.open.entry(file.device).or_default();
        *nameless = nameless.with(Nameless::of(file.cached));
        false
    }

    /// Whether all of the file system on this device is below one of the directories.
    fn is_whole(&self, device: Device) -> bool {
        let is_clear = || self.places.as_ref().is_some_and(|places| places.is_clear(device));
        let mut parts = self.chosen.iter().flat_map(|chosen| &chosen.parts);
        parts.any(|(on, directory)| *on == device && directory == b"/") && is_clear()
    }

    /// What is not known, after all files.
    pub(super) fn unsure(&self) -> Unsure {
        let may_be = |device| self.chosen.iter().any(|chosen| chosen.may_have(device));
        let found = self.open.iter().filter(|(device, _)| may_be(**device)).map(|(_, found)| found);
        let nameless = found.fold(Nameless::default(), |sum, found| sum.with(*found));
        let unknown = self.chosen.iter().filter(|chosen| !chosen.is_known).map(|chosen| unknown(chosen.path));
        let nameless = nameless.may_be_below(self.choice);
        Unsure { nameless, unknown: unknown.collect(), uncharged: Vec::new() }
    }
}

/// The error for a directory of which a capture knows nothing.
fn unknown(path: &Path) -> Error {
    let why = "no captured file is in or below it, and a capture does not know where symbolic links lead";
    Error::new(Subject::Path(path.to_owned()), ErrorKind::NotFound, why).with_advice("if it is one, name its target")
}

/// Whether these are the words for a file without a name: `[ext4 8:1] inode 12`.
fn is_nameless(path: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(path));
    let end = || path.to_str()?.strip_prefix('[')?.split_once("] inode ").map(|(_, number)| number);
    end().is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}
