//! Which of the listed files a measured one is.
//!
//! Its device and inode number tell, except where several files may share them and where the file that is measured has
//! no pages itself: on an overlay they belong to a file of a layer, those of a device to the kernel's own inode of it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::FileStat;

use crate::join::machine_files::through;
use crate::join::spot::Spot;
use crate::kernel::whereabouts;
use crate::machine::Places;
use crate::machine::cached::{CachedFile, Lists};
use crate::pagecache::{FileReport, FileSystemKind, OpenFile};
use crate::units::{Absent, Figure, Reason};

/// A device number, major and minor.
type Device = (u32, u32);

/// The files with cached pages.
#[derive(Debug)]
pub(super) struct Which {
    files: Vec<CachedFile>,
    by_number: HashMap<u64, Vec<u32>>,
    devices: HashSet<Device>,
    places: Places,
}

/// Where a file is that a process holds. Its path may lead to another file here, or to none, as that of a file of
/// another mount namespace.
#[derive(Debug)]
pub struct HeldPlace {
    /// The number of the mount that it was opened on.
    mount: u64,
    /// Its path, as that mount shows it.
    path: PathBuf,
    stat: FileStat,
}

impl HeldPlace {
    /// `None` if it cannot be told: it has no name any more, or a server would have to be asked.
    pub fn of(file: &OpenFile) -> Option<HeldPlace> {
        if file.links() == 0 || file.file_system().kind == FileSystemKind::Fuse {
            return None;
        }
        let handle = file.handle();
        let mount = str::from_utf8(&handle.mount()?).ok()?.parse().ok()?;
        Some(HeldPlace { mount, path: handle.link()?, stat: handle.stat().ok()? })
    }
}

/// Where a measured file is.
struct Shown {
    stat: FileStat,
    /// That of the file system.
    device: Device,
    /// Its path there, if it can be told.
    within: Option<Vec<u8>>,
}

const NOT_FOUND: Absent = Absent::new(Reason::Unsupported, "which of the cached files it is cannot be told");

impl Which {
    pub(super) fn new(files: Vec<CachedFile>, places: Places) -> Which {
        let mut by_number: HashMap<u64, Vec<u32>> = HashMap::new();
        for (place, file) in (0..).zip(&files) {
            by_number.entry(file.number).or_default().push(place);
        }
        let devices = files.iter().map(|file| file.file_system.device).collect();
        Which { files, by_number, devices, places }
    }

    /// The file in the lists; `None` if it has no cached pages.
    pub(super) fn find(
        &self,
        lists: &mut Lists,
        report: &FileReport,
        held: Option<&HeldPlace>,
        until: Instant,
    ) -> Figure<Option<CachedFile>> {
        if let Some(device) = report.block_device {
            let is_it = |file: &&CachedFile| file.file_system.kind == "bdev" && file.device == device;
            return Ok(self.files.iter().find(is_it).cloned());
        }
        let (device, inode) = (parts(report.identity.0), report.identity.1);
        // The device may not be that of the file system: btrfs has one for each subvolume, an overlay for each layer.
        if self.devices.contains(&device) && !self.places.repeats_inodes(device) {
            match self.numbered(device, inode)[..] {
                [] => return Ok(None),
                [only] if self.places.numbers_files(device) => return Ok(Some(only.clone())),
                // Of a FUSE server, which may give several files one number; or one is about to be forgotten.
                _ => {}
            }
        }
        let spot = self.spot(report).or_else(|why| held.and_then(|held| self.held_spot(held)).ok_or(why))?;
        let is_alone = self.places.numbers_files(spot.device);
        match &spot.within {
            Some(within) if self.places.is_overlay(spot.device) => self.in_layers(lists, &spot, within, until),
            within => self.of_number(lists, spot.device, inode, is_alone, within.as_deref(), until),
        }
    }

    /// The files of a file system that have this inode number.
    fn numbered(&self, device: Device, inode: u64) -> Vec<&CachedFile> {
        let places = self.by_number.get(&inode).map_or(&[][..], Vec::as_slice);
        let files = places.iter().filter_map(|place| self.files.get(*place as usize));
        files.filter(|file| file.file_system.device == device).collect()
    }

    /// Where the measured file is, unless its path leads to another file.
    fn spot(&self, report: &FileReport) -> Figure<Shown> {
        let named = match whereabouts::locate(&report.path) {
            Ok(None) => whereabouts::open_name(&report.path),
            Ok(Some(far)) => far.open(OFlag::O_PATH),
            Err(errno) => Err(errno),
        };
        let named = named.map_err(|_| NOT_FOUND)?;
        let stat = named.stat().map_err(|_| NOT_FOUND)?;
        if (stat.st_dev, stat.st_ino) != report.identity {
            return Err(NOT_FOUND);
        }
        let Spot { device, within } = Spot::of(&named, &self.places).ok_or(NOT_FOUND)?;
        Ok(Shown { stat, device, within })
    }

    /// Where a file is by the mount that it was opened on.
    fn held_spot(&self, held: &HeldPlace) -> Option<Shown> {
        // In a chroot a path may be that of another file.
        let is_whole = !self.places.is_partly_seen(held.mount);
        let (device, within) = self.places.of_mount(held.mount, held.path.as_os_str().as_bytes())?;
        is_whole.then_some(Shown { stat: held.stat, device, within })
    }

    /// The file with this inode number and, if several may have it, this path in its file system.
    fn of_number(
        &self,
        lists: &mut Lists,
        device: Device,
        inode: u64,
        is_alone: bool,
        within: Option<&[u8]>,
        until: Instant,
    ) -> Figure<Option<CachedFile>> {
        let candidates = self.numbered(device, inode);
        match candidates[..] {
            [] => return Ok(None),
            [only] if is_alone => return Ok(Some(only.clone())),
            _ => {}
        }
        let path = within.ok_or(NOT_FOUND)?;
        let names = lists.read_names(&candidates, until, &mut Default::default()).map_err(|_| NOT_FOUND)?;
        // On FUSE, the kernel may still know a file by the name that it had before its server renamed it.
        let tells_names = self.places.numbers_files(device) || self.places.repeats_inodes(device);
        let mut are_others = tells_names && names.len() == candidates.len();
        for (file, name) in candidates.iter().zip(&names) {
            let name = name.name.as_ref().filter(|name| name.is_rooted && !name.is_deleted);
            if name.is_some_and(|name| name.path == path) {
                return Ok(Some((*file).clone()));
            }
            // Of several hard links the kernel gives one.
            are_others &= name.is_some() && file.links == 1;
        }
        if are_others { Ok(None) } else { Err(NOT_FOUND) }
    }

    /// The file of a layer that an overlay shows.
    fn in_layers(&self, lists: &mut Lists, spot: &Shown, within: &[u8], until: Instant) -> Figure<Option<CachedFile>> {
        for layer in self.places.in_layers(spot.device, within) {
            let Some(stat) = self.layer_stat(layer.device, &layer.path).filter(|stat| is_same(stat, &spot.stat)) else {
                continue;
            };
            let is_alone = self.places.numbers_files(layer.device);
            return self.of_number(lists, layer.device, stat.st_ino, is_alone, Some(&layer.path), until);
        }
        // Where the layers are is not known if they were named from the directory of whoever mounted it.
        let size = u64::try_from(spot.stat.st_size).unwrap_or_default();
        let alike: Vec<&CachedFile> = self.files.iter().filter(|file| file.size.0 == size).collect();
        let names = lists.read_names(&alike, until, &mut Default::default()).map_err(|_| NOT_FOUND)?;
        for (file, name) in alike.iter().zip(&names) {
            let Some(name) = name.name.as_ref().filter(|name| name.is_rooted && name.path.ends_with(within)) else {
                continue;
            };
            let stat = self.layer_stat(file.file_system.device, &name.path);
            if stat.is_some_and(|stat| stat.st_ino == file.number && is_same(&stat, &spot.stat)) {
                return Ok(Some((*file).clone()));
            }
        }
        Err(NOT_FOUND)
    }

    /// The state of a file of which the place in its file system is known.
    fn layer_stat(&self, device: Device, path: &[u8]) -> Option<FileStat> {
        let place = self.places.find(device, path).filter(|place| !place.is_hidden)?;
        let path = OsString::from_vec(match place.pid {
            Some(pid) => through(pid, &place.path),
            None => place.path,
        });
        match whereabouts::locate(Path::new(&path)).ok()? {
            None => whereabouts::open_name(Path::new(&path)).ok()?.stat().ok(),
            Some(far) => far.stat().ok(),
        }
    }
}

/// Whether an overlay shows this file: it has the same state, down to when it was last changed.
fn is_same(layer: &FileStat, shown: &FileStat) -> bool {
    let state = |stat: &FileStat| {
        let modified = (stat.st_mtime, stat.st_mtime_nsec);
        (stat.st_mode, stat.st_uid, stat.st_size, modified, (stat.st_ctime, stat.st_ctime_nsec))
    };
    state(layer) == state(shown)
}

fn parts(device: u64) -> Device {
    (libc::major(device), libc::minor(device))
}
