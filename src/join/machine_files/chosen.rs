//! Where the chosen directories and files are: on which file systems, and at which paths there.
//!
//! A path is placed by the mount that it really leads to, not by its text: see [`Lead`].

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::FoundChoice;
use super::lead::Lead;
use crate::kernel::mount_table::parts;
use crate::machine::Places;
use crate::units::rest_below;

/// The device number of a file system.
type Device = (u32, u32);

/// Where all of them are.
#[derive(Debug, Default)]
pub(super) struct ChosenPlaces {
    /// What lies in and below them: the device of each file system, and a directory there.
    below: Vec<(Device, Vec<u8>)>,
    /// The devices of the file systems that contain a chosen directory.
    parted: HashSet<Device>,
    /// Those that are on no mount of the list.
    unlisted: Vec<PathBuf>,
    /// Removed files of which it is not known which of those of their file system they are.
    untold: Vec<PathBuf>,
    /// The parts of those to which no path of this process leads but the one that was typed.
    typed: Vec<Typed>,
    /// Files, which may have other names.
    files: Vec<ChosenFile>,
}

/// A directory of a file system, and the path by which it was chosen.
#[derive(Debug)]
struct Typed {
    path: Vec<u8>,
    device: Device,
    directory: Vec<u8>,
}

#[derive(Debug)]
struct ChosenFile {
    path: PathBuf,
    device: Device,
    inode: u64,
    /// If it has no name: the device that `stat` gives it.
    removed: Option<Device>,
}

impl ChosenPlaces {
    /// Finds them.
    pub(super) fn find(choice: &FoundChoice, places: &Places) -> ChosenPlaces {
        let mut chosen = ChosenPlaces::default();
        choice.below.iter().for_each(|path| chosen.add(path, places));
        chosen
    }

    fn add(&mut self, path: &Path, places: &Places) {
        let typed = path.as_os_str().as_bytes();
        let lead = Lead::find(path);
        if let Some(lead) = lead.as_ref().filter(|lead| lead.is_removed) {
            return self.add_removed(path, places, lead);
        }
        let found = match lead.as_ref().filter(|lead| !places.leads_to(typed, lead.mount, &lead.path)) {
            None => {
                if places.locate(typed).is_none() {
                    self.unlisted.push(path.to_owned());
                }
                places.below(typed)
            }
            Some(lead) => self.add_typed(path, places, lead),
        };
        let device =
            found.first().map(|(device, _)| *device).filter(|device| found.len() == 1 && places.numbers_files(*device));
        match lead {
            // Nothing is below a socket, a FIFO or the node of a device.
            Some(lead) if !lead.is_file && !lead.is_directory => {}
            None | Some(Lead { is_directory: true, .. }) => {
                self.parted.extend(found.iter().map(|(device, _)| *device));
            }
            Some(lead) => self.files.extend(device.map(|device| ChosenFile {
                path: path.to_owned(),
                device,
                inode: lead.identity.1,
                removed: None,
            })),
        }
        self.below.extend(found);
    }

    /// Adds a file without a name, such as one that only a descriptor leads to.
    fn add_removed(&mut self, path: &Path, places: &Places, lead: &Lead) {
        let own = parts(lead.identity.0);
        let of_mount = || places.of_mount(lead.mount, &lead.path).map(|(device, _)| device);
        let device = if places.is_nameless(own) { Some(own) } else { of_mount() };
        match device.filter(|device| places.numbers_files(*device)) {
            Some(device) => {
                let (path, inode) = (path.to_owned(), lead.identity.1);
                self.files.push(ChosenFile { path, device, inode, removed: Some(own) });
            }
            None => self.untold.push(path.to_owned()),
        }
    }

    /// Adds what the text of a path does not lead to.
    fn add_typed(&mut self, path: &Path, places: &Places, lead: &Lead) -> Vec<(Device, Vec<u8>)> {
        let parts = places.below_mount(lead.mount, &lead.path);
        if parts.is_empty() {
            self.unlisted.push(path.to_owned());
        }
        let typed = path.as_os_str().as_bytes();
        let typed = typed.strip_suffix(b"/").unwrap_or(typed);
        self.typed.extend(parts.iter().map(|part| Typed {
            path: [typed, &part.below].concat(),
            device: part.device,
            directory: part.directory.clone(),
        }));
        places.with_layers(parts.into_iter().map(|part| (part.device, part.directory)).collect())
    }

    /// Those of which it is not known where they are.
    pub(super) fn unlisted(&self) -> &[PathBuf] {
        &self.unlisted
    }

    /// Removed files that cannot be told from others of their file system.
    pub(super) fn untold(&self) -> &[PathBuf] {
        &self.untold
    }

    /// Whether a file with these numbers is chosen.
    pub(super) fn has_file(&self, device: Device, inode: u64) -> bool {
        self.files.iter().any(|file| (file.device, file.inode) == (device, inode))
    }

    /// Whether a removed file with these numbers, as `stat` gives them, is chosen.
    pub(super) fn has_removed(&self, device: Device, inode: u64) -> bool {
        self.files.iter().any(|file| (file.removed, file.inode) == (Some(device), inode))
    }

    /// The chosen directories on a file system.
    pub(super) fn on(&self, device: Device) -> impl Iterator<Item = &[u8]> {
        self.below.iter().filter(move |(one, _)| *one == device).map(|(_, directory)| &directory[..])
    }

    /// Whether a part of a file system is chosen.
    pub(super) fn has_part_of(&self, device: Device) -> bool {
        self.parted.contains(&device)
    }

    /// The path of a chosen file that has one, by the device of its file system and its inode number.
    pub(super) fn file(&self, device: Device, inode: u64) -> Option<&Path> {
        let is_it = |file: &&ChosenFile| (file.device, file.inode, file.removed) == (device, inode, None);
        self.files.iter().find(is_it).map(|file| &*file.path)
    }

    /// The path below a chosen directory by which a file is reached only from there, and whether what is mounted on the
    /// way hides it.
    pub(super) fn typed_path(&self, device: Device, path: &[u8]) -> Option<(Vec<u8>, bool)> {
        let (typed, path) = self.typed.iter().filter(|typed| typed.device == device).find_map(|typed| {
            let rest = rest_below(path, &typed.directory)?;
            Some((typed, [&typed.path[..], rest].concat()))
        })?;
        let hides = |other: &Typed| {
            other.path.len() > typed.path.len()
                && rest_below(&other.path, &typed.path).is_some()
                && rest_below(&path, &other.path).is_some()
        };
        let is_hidden = self.typed.iter().any(hides);
        Some((path, is_hidden))
    }

    /// The opposite: the device and the path within of a path below such a directory.
    pub(super) fn locate(&self, path: &[u8]) -> Option<(Device, Vec<u8>)> {
        let below = |typed: &Typed| {
            let rest = Path::new(OsStr::from_bytes(path)).strip_prefix(OsStr::from_bytes(&typed.path)).ok()?;
            let directory = typed.directory.strip_suffix(b"/").unwrap_or(&typed.directory);
            let rest = rest.as_os_str().as_bytes();
            let within = if rest.is_empty() { typed.directory.clone() } else { [directory, b"/", rest].concat() };
            Some((typed.path.len(), typed.device, within))
        };
        let (_, device, within) = self.typed.iter().filter_map(below).max_by_key(|(length, ..)| *length)?;
        Some((device, within))
    }
}
