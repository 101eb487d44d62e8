//! What identifies a file that is asked about, and how it is told whether a process holds it.
//!
//! Device and inode number in `maps` are proof on most file systems. Where several files may have them (btrfs,
//! overlayfs, FUSE, System V segments), or the device is not that of the file system, a mapping is opened, as a name,
//! and compared.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::libc;
use nix::sys::stat::{SFlag, major};

use super::captured::{CapturedName, OTHER_MOUNT_NUMBER};
use super::overlays::{OfLayer, open_name, overlays_of};
use super::verdict::Verdict;
use super::wanted::{WantedFile, path_of};
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::join::spot::Spot;
use crate::kernel::file_system::{FileSystem, FileSystemKind};
use crate::kernel::handle::Handle;
use crate::kernel::identity::{FileIdentity, PageSource};
use crate::kernel::mount_table::parts;
use crate::kernel::nameless::is_segment;
use crate::machine::Places;
use crate::pagecache::OpenFile;
use crate::process::{Descriptor, FileMapping, NamelessMount, Needles, ProcRoot, Process, ShownFiles};
use crate::units::{Absent, Reason};

/// A device number, major and minor.
type Device = (u32, u32);

/// A file that is asked about.
#[derive(Debug)]
pub(super) struct Target {
    /// How it was named.
    pub(super) label: PathBuf,
    pub(super) kind: Kind,
    /// What is known of files that were compared: those that are another one are not compared again.
    others: Mutex<Others>,
}

#[derive(Debug, Default)]
struct Others {
    mapped: HashMap<(Device, u64, Vec<u8>), ()>,
    open: HashMap<(u64, u64), ()>,
    /// Whether the files on a device, as `fstat` gives it, are on overlayfs.
    stacked: HashMap<u64, bool>,
}

/// How it is recognized.
#[derive(Debug)]
pub(super) enum Kind {
    /// By what it is, as an opened descriptor says.
    File(Box<Known>),
    /// By its numbers alone.
    Number { device: Device, inode: u64 },
    /// By its name, in a capture.
    Name(Box<CapturedName>),
}

/// A file that was opened, usually as a name.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: Handle,
    pub(super) identity: FileIdentity,
    /// Its path as this process sees it, if that can be told.
    pub(super) path: Option<Vec<u8>>,
    /// The number of the device, if it is a block device.
    pub(super) block_device: Option<Device>,
    /// Whether the page cache may have pages of it: it is a regular file or a block device.
    pub(super) has_pages: bool,
    /// Whether it is on overlayfs or the like.
    is_stacked: bool,
    /// Whether it is on the mount whose files have no names, and there, whether it is a System V segment.
    nameless: Option<bool>,
    /// Whether the kernel tells which file has its pages, so that it can be recognized through an overlay.
    has_source: bool,
    /// Whether it is on overlayfs, and may have been copied to the upper layer: some may have mapped it before.
    may_be_copy: bool,
    /// Itself, and on overlayfs the file of the layer.
    numbers: Vec<Numbers>,
    /// The devices of the overlays that may show it.
    overlays: Vec<Device>,
}

/// The numbers of a file.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    /// The device of its file system, as `maps` prints it, if it is known.
    device: Option<Device>,
    /// The device that `fstat` gives.
    stat_device: u64,
    inode: u64,
    /// Whether device and inode number in `maps` prove that it is this file.
    are_proof: bool,
    /// Whether those of `fstat` do.
    stat_is_proof: bool,
}

/// Which pages a file has that a process maps or has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Those of the file that is asked about.
    Same,
    /// The same, which is a copy that overlayfs has made: who has mapped it before has those of a lower layer.
    Copy,
    /// Those of a copy that overlayfs has made of the file: who has mapped it before has those of the file.
    Copied,
    /// Those of another one.
    Other,
}

const COPIED: &str = "overlayfs may have copied the file since it was mapped: then its memory is of the lower layer";

impl Target {
    /// Finds a file. It is not opened, only named (`O_PATH`).
    ///
    /// # Errors
    /// It cannot be found, or is a directory or a socket.
    pub(super) fn find(root: &ProcRoot, wanted: &WantedFile, places: &Places) -> Result<Target> {
        let kind = match wanted {
            WantedFile::Number { device, inode } => Kind::Number { device: *device, inode: *inode },
            WantedFile::Path(path) if !root.is_live() => Kind::Name(Box::new(CapturedName::find(root, path, places)?)),
            WantedFile::Path(path) => Kind::File(Box::new(Known::open(path, places)?)),
        };
        Ok(Target { label: wanted.label(), kind, others: Mutex::default() })
    }

    /// Of a file that this process has open.
    ///
    /// # Errors
    /// It cannot be examined.
    pub(super) fn of_open(file: &OpenFile, places: &Places) -> Result<Target> {
        let again = match file.handle() {
            Handle::Own(fd) => fd.try_clone().map(Handle::Own).map_err(|error| Error::io(about(file.path()), &error)),
            Handle::Far(_) => open_name(file.path()).map_err(|errno| Error::errno(about(file.path()), errno)),
        };
        let known = Known::of(again?, file.path(), places)?;
        Ok(Target { label: file.path().to_owned(), kind: Kind::File(Box::new(known)), others: Mutex::default() })
    }

    /// Whether it has the same holders: another name of the same file, or the file of a layer that an overlay shows.
    pub(super) fn is_same(&self, other: &Target) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::File(one), Kind::File(another)) => one.is_same(another),
            (Kind::File(known), Kind::Number { device, inode })
            | (Kind::Number { device, inode }, Kind::File(known)) => known.has_number(*device, *inode),
            (Kind::Number { device, inode }, Kind::Number { device: others, inode: another }) => {
                (device, inode) == (others, another)
            }
            (Kind::Name(one), Kind::Name(another)) => one.is_same(another),
            _ => false,
        }
    }

    /// Adds what its mappings are searched for.
    fn add_to(&self, inodes: &mut Vec<u64>, overlays: &mut Vec<Device>, is_any: &mut bool) {
        match &self.kind {
            Kind::File(known) => {
                inodes.extend(known.numbers.iter().map(|numbers| numbers.inode));
                overlays.extend(&known.overlays);
            }
            Kind::Number { inode, .. } => inodes.push(*inode),
            Kind::Name(_) => *is_any = true,
        }
    }

    /// Whether it is the file with these numbers, as `stat` gives them.
    pub(super) fn has_number(&self, device: Device, inode: u64) -> bool {
        match &self.kind {
            Kind::File(known) => known.has_number(device, inode),
            Kind::Number { device: own, inode: known } => (*own, *known) == (device, inode),
            Kind::Name(_) => false,
        }
    }

    /// Whether it may be the file with these numbers, as `stat` gives them, although they do not prove it.
    pub(super) fn may_have_number(&self, device: Device, inode: u64, places: &Places) -> bool {
        match &self.kind {
            Kind::File(known) => known.is_numbered(device, inode),
            // `maps` has another device than `stat` there.
            Kind::Number { device: own, inode: known } => {
                *known == inode && device.0 == 0 && places.repeats_inodes(*own)
            }
            Kind::Name(_) => false,
        }
    }

    /// The file, if it was opened as a name.
    pub(super) fn known(&self) -> Option<&Known> {
        match &self.kind {
            Kind::File(known) => Some(known),
            Kind::Number { .. } | Kind::Name(_) => None,
        }
    }

    /// Whether a mapping of a process is of it.
    pub(super) fn is_mapped(&self, process: &Process, mapping: &FileMapping, places: &Places) -> Verdict {
        let device = (mapping.device.major, mapping.device.minor);
        match &self.kind {
            Kind::Name(name) => name.is_mapped(process, mapping, places),
            Kind::Number { inode, .. } if mapping.inode != *inode => Verdict::No,
            Kind::Number { device: wanted, .. } if device == *wanted => Verdict::Yes(None),
            // `stat` gives another device than `maps` only on file systems without a disk of their own.
            Kind::Number { device: wanted, .. } if wanted.0 == 0 && device.0 == 0 && process.is_live() => {
                match mapping.open(process) {
                    Ok(file) => yes_if(parts(file.identity().device()) == *wanted),
                    Err(_) => Verdict::No,
                }
            }
            Kind::Number { device: wanted, .. } if !process.is_live() && may_be_numbered(places, device, *wanted) => {
                Verdict::Unproven(OTHER_DEVICE)
            }
            Kind::Number { .. } => Verdict::No,
            Kind::File(known) => known.is_mapped(process, mapping, device, &self.others),
        }
    }

    /// Whether a descriptor of a process is of it.
    pub(super) fn is_open(&self, shown: &ShownFiles<'_>, found: &Descriptor, places: &Places) -> Verdict {
        match &self.kind {
            Kind::Name(name) => match shown.describe(found) {
                Some(text) => name.is_open(shown.process(), found.inode, &text, places),
                None => Verdict::No,
            },
            Kind::Number { inode, .. } if found.inode.is_some_and(|seen| seen != *inode) => Verdict::No,
            Kind::Number { device, .. } => {
                let is_it = found.device.is_some_and(|seen| parts(seen) == *device);
                if is_it || found.device.is_some_and(|seen| major(seen) != 0) {
                    return yes_if(is_it);
                }
                let text = shown.describe(found).filter(|text| text.path.starts_with(b"/"));
                let Some(mount) = text.and_then(|text| text.mount) else { return Verdict::No };
                match places.of_descriptor(mount, b"/") {
                    Some((mounted, _)) if mounted == *device && found.inode.is_none() => Verdict::Unproven(NO_NUMBER),
                    Some((mounted, _)) if mounted == *device => Verdict::Yes(None),
                    Some((mounted, _)) if found.device.is_none() && may_be_numbered(places, mounted, *device) => {
                        Verdict::Unproven(if found.inode.is_none() { NO_NUMBER } else { OTHER_DEVICE })
                    }
                    Some(_) => Verdict::No,
                    None if found.inode.is_none() => Verdict::Unproven(NO_NUMBER),
                    // Of a running process, the device of the file is known.
                    None if found.device.is_none() => Verdict::Unproven(OTHER_MOUNT_NUMBER),
                    None => Verdict::No,
                }
            }
            Kind::File(known) => known.is_open(shown, found, places, &self.others),
        }
    }
}

const OTHER_DEVICE: Absent = Absent::new(
    Reason::Unsupported,
    "it holds a file with this inode number, and the capture does not tell the device number that stat gives it",
);
const NO_NUMBER: Absent =
    Absent::new(Reason::Unsupported, "the capture does not tell the inode numbers of open files (new in Linux 5.14)");

/// Whether `stat` may give files on this mounted file system of a capture that other device: it has one for each
/// subvolume or layer, which no list of mounts has.
fn may_be_numbered(places: &Places, mounted: Device, wanted: Device) -> bool {
    wanted.0 == 0 && places.repeats_inodes(mounted) && !places.has_device(wanted)
}

fn about(path: &Path) -> Subject {
    Subject::Path(path.to_owned())
}

fn yes_if(is_it: bool) -> Verdict {
    if is_it { Verdict::Yes(None) } else { Verdict::No }
}

impl Known {
    pub(super) fn open(path: &Path, places: &Places) -> Result<Known> {
        let name = open_name(path).map_err(|errno| Error::errno(about(path), errno))?;
        Known::of(name, path, places)
    }

    /// Of a file that is open, perhaps as a name only. `path` is its name in errors.
    pub(super) fn of(name: Handle, path: &Path, places: &Places) -> Result<Known> {
        let fail = |errno| Error::errno(about(path), errno);
        let stat = name.stat().map_err(fail)?;
        let refuse =
            |why: &'static str, advice: String| Err(Error::path(path, ErrorKind::Unsupported, why).with_advice(advice));
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFDIR {
            let list = format!("name a file, or list those below it: rmap files {}", path.display());
            return refuse("is a directory", list);
        }
        if kind == SFlag::S_IFSOCK {
            return refuse("is a socket, which processes do not open by its name", "see ss -xp".to_owned());
        }
        let file_system = FileSystem::of_handle(&name).map_err(fail)?;
        let spot = Spot::of(&name, places);
        let is_nameless = NamelessMount::find().is_some_and(|mount| mount.device == parts(stat.st_dev));
        // Of a mount that is in no list, the device is that of the file itself, unless it is one of btrfs or the like.
        let on_disk = is_nameless || major(stat.st_dev) != 0;
        let device = spot.as_ref().map(|spot| spot.device).or_else(|| on_disk.then(|| parts(stat.st_dev)));
        let is_stacked = matches!(file_system.kind, FileSystemKind::Stacked(_));
        let is_fuse = file_system.kind == FileSystemKind::Fuse;
        let path = name.link().map(|path| path.as_os_str().as_bytes().to_vec());
        let nameless = is_nameless.then(|| path.as_deref().is_none_or(is_segment));
        let is_segment = nameless == Some(true);
        let own = Numbers {
            device,
            stat_device: stat.st_dev,
            inode: stat.st_ino,
            are_proof: device.is_some_and(|device| !places.repeats_inodes(device))
                && !is_fuse
                && !is_stacked
                && !is_segment,
            stat_is_proof: !is_fuse && !is_segment,
        };
        let overlays =
            if is_fuse { Vec::new() } else { overlays_of(places, spot.as_ref(), is_stacked, stat.st_nlink > 1) };
        let source = (is_stacked || !overlays.is_empty()).then(|| PageSource::of_name(&name, is_stacked)).flatten();
        let of_layer = match (is_stacked, &spot, &source) {
            (true, Some(spot), Some(source)) => OfLayer::find(places, spot, source),
            _ => None,
        };
        let may_be_copy = is_stacked && of_layer.as_ref().is_none_or(|found| found.is_copy);
        let layer_numbers = of_layer.map(|found| Numbers {
            device: Some(found.device),
            stat_device: found.stat_device,
            inode: found.inode,
            are_proof: !places.repeats_inodes(found.device),
            stat_is_proof: true,
        });
        let numbers = std::iter::once(own).chain(layer_numbers).collect();
        let is_block_device = kind == SFlag::S_IFBLK;
        Ok(Known {
            identity: FileIdentity::of(&name, &stat),
            path,
            block_device: is_block_device.then(|| (libc::major(stat.st_rdev), libc::minor(stat.st_rdev))),
            has_pages: kind == SFlag::S_IFREG || is_block_device,
            is_stacked,
            nameless,
            has_source: source.is_some(),
            may_be_copy,
            numbers,
            overlays,
            name,
        })
    }

    fn is_same(&self, other: &Known) -> bool {
        let proven = |known: &'_ Known| -> Vec<(u64, u64)> {
            let proven = known.numbers.iter().filter(|numbers| numbers.stat_is_proof);
            proven.map(|numbers| (numbers.stat_device, numbers.inode)).collect()
        };
        let own = proven(self);
        self.identity == other.identity || proven(other).iter().any(|numbers| own.contains(numbers))
    }

    /// Whether these are its numbers, as `maps` or `stat` give them, or may be those of several files.
    pub(super) fn is_numbered(&self, device: Device, inode: u64) -> bool {
        self.numbers
            .iter()
            .filter(|numbers| numbers.inode == inode)
            .any(|numbers| numbers.device == Some(device) || parts(numbers.stat_device) == device)
    }

    /// Whether device and inode number, as `maps` or `stat` give them, are those of this file alone.
    fn has_number(&self, device: Device, inode: u64) -> bool {
        self.numbers.iter().filter(|numbers| numbers.inode == inode).any(|numbers| {
            numbers.are_proof && numbers.device == Some(device)
                || numbers.stat_is_proof && parts(numbers.stat_device) == device
        })
    }

    /// Whether a path, as this process sees it, leads to the file.
    pub(super) fn is_at(&self, path: &[u8]) -> bool {
        let Ok(name) = open_name(&path_of(path)) else { return false };
        let Ok(stat) = name.stat() else { return false };
        if FileIdentity::of(&name, &stat) == self.identity {
            return true;
        }
        let is_stacked = FileSystem::of_handle(&name).is_ok_and(|on| matches!(on.kind, FileSystemKind::Stacked(_)));
        self.has_pages_of(|| PageSource::of_name(&name, is_stacked))
    }

    /// Whether a file has the pages of this one, or had.
    fn has_pages_of(&self, read: impl Fn() -> Option<PageSource>) -> bool {
        matches!(self.compare(read), Source::Same | Source::Copy)
    }

    /// Which pages a file has. What tells that of this one changes whenever it is written to, so it is read anew, and
    /// twice if it differs.
    fn compare(&self, read: impl Fn() -> Option<PageSource>) -> Source {
        let once = || {
            let Some(found) = read() else { return Source::Other };
            let is_same = |own: Option<PageSource>| own.is_some_and(|own| own.is_same(&found));
            let own = PageSource::of_name(&self.name, self.is_stacked);
            let is_related = own.as_ref().is_some_and(|own| own.has_same_handle(&found));
            match () {
                () if is_same(own) => Source::Same,
                () if !self.is_stacked && is_same(PageSource::of_copy(&self.name)) => Source::Copy,
                () if is_related && !self.may_be_copy => Source::Copied,
                () => Source::Other,
            }
        };
        match self.has_source {
            false => Source::Other,
            true => Some(once()).filter(|found| matches!(found, Source::Same | Source::Copy)).unwrap_or_else(once),
        }
    }

    fn is_mapped(&self, process: &Process, mapping: &FileMapping, device: Device, others: &Mutex<Others>) -> Verdict {
        // The numbers of segments are counted apart.
        if self.nameless.is_some_and(|own| own != is_segment(&mapping.path)) {
            return Verdict::No;
        }
        let mut may_be = false;
        for numbers in self.numbers.iter().filter(|numbers| numbers.inode == mapping.inode) {
            match numbers.device {
                Some(known) if known == device && numbers.are_proof => return Verdict::Yes(None),
                Some(known) => may_be |= known == device,
                None => may_be = true,
            }
        }
        let is_overlay = self.overlays.contains(&device);
        if !may_be && !is_overlay {
            return Verdict::No;
        }
        let key = || (device, mapping.inode, mapping.path.clone());
        if is_overlay && !may_be && lock(others, |others| others.mapped.contains_key(&key())) {
            return Verdict::No;
        }
        let file = match mapping.open(process) {
            Ok(file) => file,
            // Of an overlay, any file may be meant: only one with its number is worth a line.
            Err(absent) if may_be && mapping.is_still_there(process) => return Verdict::Unproven(absent),
            Err(_) => return Verdict::No,
        };
        let proven = || mapping.prove_layer(process, &file);
        if file.identity() == self.identity {
            return Verdict::Yes((self.may_be_copy && proven().is_err()).then_some(COPIED));
        }
        let source = match (self.has_source, file.is_stacked()) {
            (true, true) => self.compare(|| file.page_source()),
            // The file of a layer, seen in its own place.
            (true, false) => {
                let place = (file.identity().device(), file.identity().inode());
                let is_it = |numbers: &Numbers| (numbers.stat_device, numbers.inode) == place;
                if self.numbers.iter().skip(1).any(is_it) { Source::Same } else { Source::Other }
            }
            (false, is_stacked) => {
                let may_be_layer = may_be && is_stacked;
                return if may_be_layer { Verdict::Unproven(NO_SOURCE) } else { Verdict::No };
            }
        };
        match source {
            Source::Same => Verdict::Yes(None),
            Source::Copy => proven().map_or_else(Verdict::Unproven, |()| Verdict::Yes(None)),
            Source::Copied => proven().map_or_else(Verdict::Unproven, |()| Verdict::No),
            Source::Other => {
                lock(others, |others| others.mapped.insert(key(), ()));
                Verdict::No
            }
        }
    }

    fn is_open(&self, shown: &ShownFiles<'_>, found: &Descriptor, places: &Places, others: &Mutex<Others>) -> Verdict {
        let (Some(device), Some(inode)) = (found.device, found.inode) else { return Verdict::No };
        let mut numbers = self.numbers.iter();
        if let Some(numbers) = numbers.find(|numbers| (numbers.stat_device, numbers.inode) == (device, inode)) {
            // A segment is open only if it was opened through `map_files`.
            if numbers.stat_is_proof && self.nameless.is_none() {
                return Verdict::Yes(None);
            }
            return match shown.compare(found) {
                Ok(compared) => yes_if(compared.is_some_and(|compared| compared.identity == self.identity)),
                Err(absent) => Verdict::Unproven(absent),
            };
        }
        if !self.has_source || self.overlays.is_empty() || major(device) != 0 {
            return Verdict::No;
        }
        let (stacked, is_other) =
            lock(others, |all| (all.stacked.get(&device).copied(), all.open.contains_key(&(device, inode))));
        if stacked == Some(false) || is_other {
            return Verdict::No;
        }
        let compared = match shown.compare(found) {
            Ok(Some(compared)) => compared,
            Ok(None) => return Verdict::No,
            Err(absent) => {
                let mount = shown.describe(found).and_then(|text| text.mount);
                let device = mount.and_then(|mount| Some(places.of_descriptor(mount, b"/")?.0));
                // Of a mount that is in no list, it is not known whether it is such an overlay.
                let may_be = device.is_none_or(|device| self.overlays.contains(&device));
                return if may_be { Verdict::Unproven(absent) } else { Verdict::No };
            }
        };
        let is_it = compared.is_stacked && self.has_pages_of(|| shown.compare(found).ok()??.source);
        lock(others, |others| {
            others.stacked.insert(device, compared.is_stacked);
            if compared.is_stacked && !is_it {
                others.open.insert((device, inode), ());
            }
        });
        yes_if(is_it)
    }
}

const NO_SOURCE: Absent = Absent::new(Reason::Unsupported, "it is not told which file of a layer it is");

fn lock<T>(others: &Mutex<Others>, change: impl FnOnce(&mut Others) -> T) -> T {
    change(&mut others.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What `maps` is searched for to find all of these files.
pub(super) fn needles(targets: &[Target]) -> Needles {
    let (mut inodes, mut overlays, mut is_any) = (Vec::new(), Vec::new(), false);
    targets.iter().for_each(|target| target.add_to(&mut inodes, &mut overlays, &mut is_any));
    overlays.sort_unstable();
    overlays.dedup();
    if is_any { Needles::any() } else { Needles::new(&inodes, &overlays) }
}
