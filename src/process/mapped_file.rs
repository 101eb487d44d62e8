//! The file behind a mapping: one function that opens it, with proof that it is the mapped file.
//!
//! It is here and not in the join because the page-table reader below needs it too. The descriptor only names the file
//! (`O_PATH`): nothing is opened for reading until [`MappedFile::reopen`]. What the file is follows from `fstat` of the
//! descriptor; the device and inode in `maps` only serve as proof:
//!
//! * `/proc/PID/map_files/START-END` (root, or `CAP_CHECKPOINT_RESTORE`) leads to the mapped file itself, even if it
//!   was deleted or is in another mount namespace. The inode is compared because the process may have mapped another
//!   file there since; not on overlayfs, which may number the same file differently.
//! * The path below `/proc/PID/root` must lead to a file with the same inode and device. `maps` prints the device of
//!   the file system, but for a btrfs subvolume or a lower layer of overlayfs `fstat` gives another one. In that case
//!   the device in `mountinfo` for the mount of the opened file is compared, which is that of the file system too.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag, major, minor};

use crate::kernel::dax::is_dax;
use crate::kernel::file_system::{FileSystem, FileSystemKind};
use crate::kernel::handle::Handle;
use crate::kernel::identity::{FileIdentity, PageSource, is_only_in_upper_layer};
use crate::kernel::open;
use crate::kernel::statx::Statx;
use crate::process::directory::Directory;
use crate::process::handle::Process;
use crate::process::head::{Device, Head};
use crate::process::held_open::HeldOpen;
use crate::process::kind::may_be_device;
use crate::process::mapping::{Mapping, Mappings};
use crate::units::{Absent, Figure, Reason};

/// How the file behind a mapping was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Through `/proc/PID/map_files`.
    MapFiles,
    /// By its path below `/proc/PID/root`.
    Path,
}

impl Way {
    /// Every way.
    pub const ALL: [Way; 2] = [Way::MapFiles, Way::Path];

    /// The method as one word, for tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Way::MapFiles => "map_files",
            Way::Path => "path",
        }
    }
}

/// The file behind a mapping: a descriptor that names it, and the result of `fstat`.
#[derive(Debug)]
pub struct MappedFile {
    name: Handle,
    stat: FileStat,
    way: Way,
    /// Whether opening it for reading may drop its cached pages.
    is_fuse: bool,
    /// The path below the directory of the process that led to it.
    pub(super) link: PathBuf,
}

/// The parts of a line of `maps` that describe the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'t> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) device: Device,
    pub(super) inode: u64,
    /// The name as `maps` prints it.
    pub(super) path: &'t [u8],
}

impl<'t> Place<'t> {
    pub(super) fn of(mapping: &Mapping<'t>) -> Place<'t> {
        let (device, inode, path) = (mapping.device(), mapping.inode(), mapping.path());
        Place { start: mapping.start(), end: mapping.end(), device, inode, path }
    }

    pub(super) fn of_head(head: &Head<'t>) -> Place<'t> {
        Place { start: head.start, end: head.end, device: head.device, inode: head.inode, path: head.name }
    }
}

const NO_FILE: Absent = Absent::new(Reason::NotApplicable, "it has no file");
const CAPTURE: Absent = Absent::new(Reason::Unsupported, "a capture has no files");
const DENIED: Absent = Absent::new(
    Reason::Denied,
    "its file cannot be opened by this user; root of the whole machine can, through map_files",
);
const NAMELESS: Absent = Absent::new(
    Reason::Denied,
    "nothing has the name of its file any more; root of the whole machine can open it through map_files",
);
const OTHER_FILE: Absent = Absent::new(
    Reason::Denied,
    "its path leads to another file now; root of the whole machine can open the mapped one through map_files",
);
const UNPROVEN: Absent = Absent::new(
    Reason::Denied,
    "its path may lead to another file; root of the whole machine can open the mapped one through map_files",
);
const REMAPPED: Absent = Absent::new(Reason::Changed, "another file has been mapped there since");
const COPIED: Absent = Absent::new(
    Reason::Changed,
    "overlayfs may have copied its file to the upper layer since it was mapped, and only the copy can be measured",
);
pub(super) const GONE: Absent = Absent::new(Reason::Vanished, "the mapping or its file no longer exists");
const ENDED: Absent = Absent::new(Reason::Vanished, "the server of its file system has ended");
const FAILED: Absent = Absent::new(Reason::Vanished, "its file cannot be opened any more");

impl Process {
    /// Opens the file behind a mapping of this process, with proof that it is the mapped one.
    ///
    /// # Errors
    /// The mapping has no file; or its file is not accessible, no longer exists, or cannot be proven to be the mapped
    /// one.
    pub fn open_mapped_file(&self, mapping: &Mapping<'_>) -> Figure<MappedFile> {
        self.open_place(&Place::of(mapping))
    }

    /// Finds out whether the file of each mapping is a device, once per file, however often it is mapped. Only files
    /// below `/dev` are examined; for the others, and for files that cannot be examined, the answer is `None`.
    pub fn read_devices(&self, mappings: &Mappings) -> Vec<Option<bool>> {
        let mut known = HashMap::new();
        let examined = mappings.iter().map(|mapping| {
            let file = may_be_device(&mapping).then(|| (mapping.device(), mapping.inode(), mapping.path()))?;
            *known.entry(file).or_insert_with(|| Some(self.open_mapped_file(&mapping).ok()?.is_device()))
        });
        examined.collect()
    }

    pub(super) fn open_place(&self, place: &Place<'_>) -> Figure<MappedFile> {
        match () {
            () if !place.device.has_file(place.inode) => Err(NO_FILE),
            () if !self.is_live() => Err(CAPTURE),
            () => self.open_in_memory(|directory| open_mapped(directory, place)),
        }
    }
}

/// Opens the file behind a mapping, in the directory that shows the memory of its process.
pub(super) fn open_mapped(directory: &Directory, place: &Place<'_>) -> Figure<MappedFile> {
    match open_in_map_files(directory, place) {
        Ok(file) => prove_link(file, place),
        // The kernel finds the mapping before it refuses the link: the file exists, under its name or without one.
        Err(Errno::EPERM) => open_by_path(directory, place).map_err(|why| if why == GONE { NAMELESS } else { why }),
        // There are no such links without CONFIG_CHECKPOINT_RESTORE, or if the mapping no longer exists.
        Err(Errno::EACCES | Errno::ENOENT) => open_by_path(directory, place),
        Err(errno) => Err(absent(errno)),
    }
}

/// Opens the link of exactly this mapping in `map_files`.
pub(super) fn open_in_map_files(directory: &Directory, place: &Place<'_>) -> nix::Result<MappedFile> {
    let link = PathBuf::from(format!("map_files/{:x}-{:x}", place.start, place.end));
    MappedFile::open(directory, link, Way::MapFiles, directory.served(place.device.numbers()))
}

/// Opens the file that currently has the name of the mapping, which may be another file.
pub(super) fn open_named(directory: &Directory, place: &Place<'_>) -> nix::Result<MappedFile> {
    let open = |path: &[u8]| {
        let below = path.strip_prefix(b"/").ok_or(Errno::ENOENT)?;
        let served = directory.served_above(path).or_else(|| directory.served(place.device.numbers()));
        MappedFile::open(directory, Path::new("root").join(OsStr::from_bytes(below)), Way::Path, served)
    };
    match open(place.path) {
        Err(Errno::ENOENT) if has_escape(place.path) => open(&unescape(place.path)),
        opened => opened,
    }
}

fn open_by_path(directory: &Directory, place: &Place<'_>) -> Figure<MappedFile> {
    let file = open_named(directory, place).map_err(absent)?;
    prove_path(directory, &file, place).map(|()| file)
}

fn prove_link(file: MappedFile, place: &Place<'_>) -> Figure<MappedFile> {
    if file.stat.st_ino == place.inode || file.is_stacked() { Ok(file) } else { Err(REMAPPED) }
}

/// Proves that the file that was opened by its path is the one that is mapped.
pub(super) fn prove_path(directory: &Directory, file: &MappedFile, place: &Place<'_>) -> Figure<()> {
    if file.stat.st_ino != place.inode {
        return Err(OTHER_FILE);
    }
    let device = file.stat.st_dev;
    let is_printed = |found: (u64, u64)| found == (place.device.major.into(), place.device.minor.into());
    if is_printed((major(device), minor(device))) {
        return Ok(());
    }
    match device_of_mount(directory, &file.name) {
        Some(device) if device == place.device.numbers() => Ok(()),
        Some(_) => Err(OTHER_FILE),
        None => Err(UNPROVEN),
    }
}

/// Whether a link in the directory of the process certainly leads to the file that is mapped.
pub(super) fn is_at(directory: &Directory, link: &Path, place: &Place<'_>) -> bool {
    let file = MappedFile::open(directory, link.to_owned(), Way::Path, directory.served(place.device.numbers()));
    file.is_ok_and(|file| prove_path(directory, &file, place).is_ok())
}

/// The device of the file system that a file was opened on, as `mountinfo` of the process prints it.
fn device_of_mount(directory: &Directory, file: &Handle) -> Option<(u32, u32)> {
    directory.mounts().of_number(&file.mount()?).map(|(device, _)| device)
}

/// Whether a file was opened on a mount of that device, and the process sees no other mount of it.
pub(super) fn is_only_mount_of(directory: &Directory, file: &Handle, device: Device) -> bool {
    let device = device.numbers();
    let mounts = directory.mounts().mounts().iter().filter(|mount| mount.device == device);
    mounts.count() == 1 && device_of_mount(directory, file) == Some(device)
}

/// Why a file cannot be named through a link of a process.
pub(super) fn absent(errno: Errno) -> Absent {
    match errno {
        Errno::EPERM | Errno::EACCES => DENIED,
        Errno::ENOENT | Errno::ENOTDIR | Errno::ESRCH => GONE,
        Errno::ETIMEDOUT => Absent::SILENT,
        Errno::ENOTCONN => ENDED,
        _ => FAILED,
    }
}

impl MappedFile {
    fn open(directory: &Directory, link: PathBuf, way: Way, served: Option<(u32, u32)>) -> nix::Result<MappedFile> {
        let name = directory.open_name(&link, served)?;
        let stat = name.stat()?;
        let is_fuse = served.is_some_and(|device| directory.is_fuse(device, &name));
        Ok(MappedFile { name, stat, way, is_fuse, link })
    }

    /// Proves that the mapping still has the pages of this file. On overlayfs it does not if the file was copied to the
    /// upper layer after it was mapped: the mapping keeps the pages of the lower file, while every name and every link
    /// leads to the copy. Nothing reports which of the two is mapped, but a file that was created before the process
    /// started, or that was never in a lower layer, is the mapped one.
    ///
    /// A process inherits its mappings if it was forked: those of a child that was forked after the file was copied are
    /// taken for mappings of the copy.
    ///
    /// # Errors
    /// The file may have been copied since.
    pub fn prove_layer(&self, process: &Process) -> Figure<()> {
        if !self.is_stacked() || is_only_in_upper_layer(&self.name) {
            return Ok(());
        }
        let created = Statx::of_handle(&self.name).ok().and_then(|found| found.created());
        match created.zip(process.read_start()) {
            Some((created, start)) if created < start => Ok(()),
            _ => Err(COPIED),
        }
    }

    /// How it was found.
    pub fn way(&self) -> Way {
        self.way
    }

    /// What identifies it.
    pub fn identity(&self) -> FileIdentity {
        FileIdentity::of(&self.name, &self.stat)
    }

    /// Which file of a layer has its pages, if it is on overlayfs.
    pub(crate) fn page_source(&self) -> Option<PageSource> {
        self.is_stacked().then(|| PageSource::of(&self.name, true)).flatten()
    }

    /// How many names it has; 0 if it was deleted.
    pub fn links(&self) -> u64 {
        // The type is narrower on some machines.
        #[allow(clippy::useless_conversion, reason = "st_nlink has 32 bits on some machines")]
        u64::from(self.stat.st_nlink)
    }

    /// The number of the mount that it was opened on.
    pub(super) fn mount(&self) -> Option<Vec<u8>> {
        self.name.mount()
    }

    /// Whether it is a regular file.
    pub fn is_regular(&self) -> bool {
        SFlag::from_bits_truncate(self.stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
    }

    /// Whether it is a character or block device.
    pub fn is_device(&self) -> bool {
        let kind = SFlag::from_bits_truncate(self.stat.st_mode) & SFlag::S_IFMT;
        kind == SFlag::S_IFCHR || kind == SFlag::S_IFBLK
    }

    /// Whether it is on a file system that is stacked on others (overlayfs), whose files hold its cached pages.
    pub fn is_stacked(&self) -> bool {
        FileSystem::of_handle(&self.name).is_ok_and(|on| matches!(on.kind, FileSystemKind::Stacked(_)))
    }

    /// Whether it is in DAX mode and has no pages in the page cache.
    pub fn is_dax(&self) -> bool {
        is_dax(&self.name)
    }

    /// Opens it for reading, without blocking and, if this user owns it, without changing its access time. Only regular
    /// files are opened.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub(crate) fn reopen(&self, opens_fuse: bool) -> io::Result<HeldOpen> {
        if !self.is_regular() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        match self.is_fuse && !opens_fuse {
            true => Ok(HeldOpen::ToName(self.name_again()?)),
            false => Ok(HeldOpen::ToRead(open::quietly_again(&self.name)?)),
        }
    }

    /// Another descriptor that only names it.
    pub(crate) fn name_again(&self) -> nix::Result<Handle> {
        self.name.open_again(OFlag::O_PATH)
    }
}

impl Process {
    /// The name of a mapping with its newlines, for one with the text `\012`: `maps` writes that for a newline, but the
    /// name may also contain it. The link in `map_files`, which has no escapes, tells.
    ///
    /// `None` if the name has no such text, or if there is no such link.
    pub(crate) fn read_plain_name(&self, start: u64, end: u64, printed: &[u8]) -> Option<Vec<u8>> {
        if !has_escape(printed) {
            return None;
        }
        let link = format!("map_files/{start:x}-{end:x}");
        let name = self.open_in_memory(|directory| directory.read_link(link.as_str())).ok()?;
        let name = name.into_os_string().into_vec();
        // Otherwise another file has been mapped there since.
        (escape(&name) == printed).then_some(name)
    }
}

/// A name as `maps` prints it.
fn escape(name: &[u8]) -> Vec<u8> {
    let mut printed = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'\n' => printed.extend_from_slice(NEWLINE),
            other => printed.push(*other),
        }
    }
    printed
}

/// The escape of a newline, the only escape in `maps`. A name may also contain exactly these characters.
const NEWLINE: &[u8] = br"\012";

pub(super) fn has_escape(name: &[u8]) -> bool {
    memchr::memmem::find(name, NEWLINE).is_some()
}

/// The name of a file in `maps` with its newlines.
pub(crate) fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(place) = memchr::memmem::find(rest, NEWLINE) {
        let (before, after) = rest.split_at(place);
        plain.extend_from_slice(before);
        plain.push(b'\n');
        rest = after.get(NEWLINE.len()..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    plain
}

/// The name in `maps` as a path.
pub(super) fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::maps::parse_maps;

    #[test]
    fn the_own_program_is_found_both_ways_and_another_inode_is_not() {
        let process = Process::own().unwrap();
        let text = std::fs::read("/proc/self/maps").unwrap();
        let program = std::env::current_exe().unwrap();
        let mappings = parse_maps(&text).unwrap();
        let mapping = mappings.iter().find(|row| row.path() == program.as_os_str().as_bytes()).unwrap();
        let place = Place::of(&mapping);
        let by_path = open_by_path(&process.directory, &place).unwrap();
        let found = process.open_mapped_file(&mapping).unwrap();
        assert_eq!((found.identity(), by_path.way()), (by_path.identity(), Way::Path));
        assert!(found.is_regular() && found.links() > 0 && found.reopen(false).is_ok());
        let other = Place { inode: place.inode + 1, ..place };
        assert_eq!(open_by_path(&process.directory, &other).unwrap_err(), OTHER_FILE);
        // Another device: the mount of the file disagrees as well.
        let other = Place { device: Device { major: 4095, minor: 1 }, ..place };
        assert_eq!(open_by_path(&process.directory, &other).unwrap_err(), OTHER_FILE);
        // The device of the mount is what `maps` prints.
        assert_eq!(device_of_mount(&process.directory, &found.name), Some(place.device.numbers()));
    }

    #[test]
    fn newlines_are_unescaped() {
        assert_eq!(unescape(br"/tmp/a\012b (deleted)"), b"/tmp/a\nb (deleted)");
        assert_eq!(unescape(br"/tmp/a\01"), br"/tmp/a\01");
    }
}
