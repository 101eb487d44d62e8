//! A directory below `/proc`, held open. Names are looked up in it, never in the path it was opened by.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nix::NixPath;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};

use crate::kernel::file_system::{FileSystem, FileSystemKind};
use crate::kernel::handle::{FarPath, Handle, mount_in};
use crate::kernel::mount_table::{self, MountTable};
pub(crate) use crate::kernel::nameless::NamelessMount;
use crate::kernel::open::{self, Quiet};
use crate::kernel::statx::Statx;
use crate::process::failure::CapturedDenial;
use crate::process::records::Records;

/// An open directory. A clone is the same descriptor.
#[derive(Debug, Clone)]
pub(crate) struct Directory(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    fd: OwnedFd,
    /// The mounts that the process sees, once they have been read.
    mounts: OnceLock<MountTable>,
    /// Whether it belongs to a running kernel, so that its files are what they should be. In a capture they may be
    /// anything.
    is_live: bool,
}

/// What identifies a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// Device and inode.
    pub(super) identity: (u64, u64),
    mode: u32,
}

impl Known {
    pub(super) fn is_regular(&self) -> bool {
        SFlag::from_bits_truncate(self.mode) & SFlag::S_IFMT == SFlag::S_IFREG
    }
}

/// The device of the mount whose files have no names.
pub(super) fn nameless_device() -> Option<(u32, u32)> {
    NamelessMount::find().map(|mount| mount.device)
}

/// More than any such file has, but for a command line, of which no more is shown.
const LONGEST: u64 = 1 << 20;

/// More than `stat`, `status`, `cgroup` and most others have.
const SHORT: usize = 2048;

const PATH_ONLY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

impl Directory {
    fn new(fd: OwnedFd, is_live: bool) -> Directory {
        Directory(Arc::new(Opened { fd, mounts: OnceLock::new(), is_live }))
    }

    pub(crate) fn open(path: &Path) -> nix::Result<Directory> {
        Directory::open_process(path, false)
    }

    /// Opens the directory of a process, below a live `/proc` or in a capture.
    pub(super) fn open_process(path: &Path, is_live: bool) -> nix::Result<Directory> {
        openat(AT_FDCWD, path, PATH_ONLY, Mode::empty()).map(|fd| Directory::new(fd, is_live))
    }

    /// Opens the directory of a thread below this one, or beside it.
    pub(super) fn open_thread(&self, path: &str) -> nix::Result<Directory> {
        openat(self, path, PATH_ONLY, Mode::empty()).map(|fd| Directory::new(fd, self.0.is_live))
    }

    /// Opens a directory below this one, or `..`.
    pub(super) fn open_directory(&self, path: &str) -> nix::Result<Directory> {
        openat(self, path, PATH_ONLY, Mode::empty()).map(|fd| Directory::new(fd, false))
    }

    /// Opens a file for reading.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        if self.0.is_live {
            return Ok(openat(self, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?.into());
        }
        // A capture may hold anything: a FIFO or a device is not opened at all.
        let is_regular = |stat: &FileStat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        // Nor is a link followed, which would lead out of the capture. No file that is read in `/proc` is a link.
        if !is_regular(&fstatat(self, name, AtFlags::AT_SYMLINK_NOFOLLOW)?) {
            refuse_if_denied(&self.read_link(name))?;
            return Err(io::Error::other(format!("its {name} is not a regular file")));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::from(openat(self, name, flags, Mode::empty())?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other(format!("its {name} is not a regular file"))),
        }
    }

    /// Opens a descriptor that only names a file and cannot be read from (`O_PATH`), in a child if the file is on
    /// `served`, a file system that may not answer. Links of `/proc` are followed.
    pub(super) fn open_name(&self, path: &Path, served: Option<(u32, u32)>) -> nix::Result<Handle> {
        match served {
            None => openat(self, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map(Handle::Own),
            Some(device) => self.ask(path, device, |path| path.open(OFlag::O_PATH)),
        }
    }

    /// Opens a file of the process for reading, quietly, in a child if it is on `served`.
    pub(super) fn open_quietly(&self, link: &Path, served: Option<(u32, u32)>) -> nix::Result<Quiet> {
        match served {
            None => {
                let link = CString::new(link.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
                open::quietly_in(self.as_fd(), &link)
            }
            Some(device) => self.ask(link, device, open::quietly_far),
        }
    }

    /// Asks about a path in this directory through a child, which does not have this directory open.
    fn ask<T>(
        &self,
        path: &Path,
        device: (u32, u32),
        question: impl FnOnce(&FarPath) -> nix::Result<T>,
    ) -> nix::Result<T> {
        let own = format!("/proc/self/fd/{}", self.as_fd().as_raw_fd());
        let whole = PathBuf::from(readlinkat(AT_FDCWD, own.as_str())?).join(path);
        let answer = question(&FarPath::new(device, &whole)?)?;
        // The pid belonged to this process all the time if it does now.
        self.read_file("stat", 1).map_err(|_| Errno::ESRCH)?;
        Ok(answer)
    }

    /// The device of a mapped or open file if its file system may not answer, else `None`. Also unknown file systems
    /// may not: those that are no longer mounted, although files of theirs are still in use.
    pub(super) fn served(&self, device: (u32, u32)) -> Option<(u32, u32)> {
        let may_block = match mount_table::own().may_block(device) {
            Some(may_block) => may_block,
            None if device.0 != 0 || Some(device) == nameless_device() => false,
            None => self.mounts().may_block(device).unwrap_or(true),
        };
        may_block.then_some(device)
    }

    /// The same for an open file, by its link (`fd/N`) and its device. The device that `fstat` gives is not always that
    /// of the mount (btrfs), so if in doubt the mount that the descriptor is on decides.
    pub(super) fn served_descriptor(&self, link: &Path, device: u64) -> Option<(u32, u32)> {
        let served = self.served(mount_table::parts(device))?;
        let number = link.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let table = link.parent().and_then(Path::to_str).unwrap_or_default();
        let info = self.read_file(&format!("{table}info/{number}"), 4096).unwrap_or_default();
        match mount_in(&info).and_then(|mount| self.mounts().of_number(&mount)) {
            Some((device, may_block)) => may_block.then_some(device),
            None => Some(served),
        }
    }

    /// Whether opening a file on this device for reading may drop its cached pages. `name` is a descriptor that only
    /// names it: if the device is mounted nowhere (a file system that is still in use, or one of the kernel's own), the
    /// file itself is asked.
    pub(super) fn is_fuse(&self, device: (u32, u32), name: &Handle) -> bool {
        let is_kind = |found: FileSystem| matches!(found.kind, FileSystemKind::Fuse | FileSystemKind::Stacked(_));
        let own = mount_table::own();
        match (own.may_block(device), self.mounts().may_block(device)) {
            (Some(_), _) => own.is_fuse(device),
            (None, Some(_)) => self.mounts().is_fuse(device),
            (None, None) => FileSystem::of_handle(name).is_ok_and(is_kind),
        }
    }

    /// The device of a file system on the way to a path of the process that may not answer.
    pub(super) fn served_above(&self, path: &[u8]) -> Option<(u32, u32)> {
        self.mounts().blocking_above(Path::new(OsStr::from_bytes(path)))
    }

    /// The mounts that the process sees; none if they cannot be read.
    pub(super) fn mounts(&self) -> &MountTable {
        let read = || MountTable::parse(&self.read_file("mountinfo", u64::MAX).unwrap_or_default());
        self.0.mounts.get_or_init(read)
    }

    /// The identity and type of a file behind a link, as far as the kernel knows them without asking a server.
    pub(super) fn look(&self, link: &Path) -> nix::Result<Known> {
        let name = CString::new(link.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        match Statx::cached_of_name(self.as_fd(), &name) {
            Err(Errno::ENOSYS) => {
                let stat = fstatat(self, link, AtFlags::empty())?;
                Ok(Known { identity: (stat.st_dev, stat.st_ino), mode: stat.st_mode })
            }
            found => found.map(|found| Known { identity: (found.device(), found.inode()), mode: found.mode() }),
        }
    }

    /// Whether it is the directory of a process that certainly has one thread only, as most have: `task` of a live one
    /// has two links of its own, and one for each thread.
    pub(super) fn has_one_thread(&self) -> bool {
        fstatat(self, "task", AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|found| found.st_nlink == 3)
    }

    /// The target of a link.
    pub(super) fn read_link<P: ?Sized + NixPath>(&self, path: &P) -> io::Result<PathBuf> {
        let target = PathBuf::from(readlinkat(self, path)?);
        refuse_if_denied(&Ok(target.clone()))?;
        Ok(target)
    }

    /// Whether it has a file of this name.
    pub(crate) fn has_file(&self, name: &str) -> bool {
        fstatat(self, name, AtFlags::empty()).is_ok()
    }

    /// The first `most` bytes of a file.
    pub(crate) fn read_file(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        // Most files are shorter, and then take two calls of `read`.
        let mut bytes = Vec::with_capacity(SHORT);
        Records::of(self.open_file(name)?).take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Replaces `text` by a file of a live process, such as `stat`. In a capture a file of that name may be anything:
    /// see [`Directory::read_file`].
    pub(super) fn read_live_file(&self, name: &str, text: &mut Vec<u8>) -> io::Result<()> {
        text.clear();
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        File::from(openat(self, name, flags, Mode::empty())?).take(LONGEST).read_to_end(text).map(drop)
    }

    /// The names of the directories in this one, without links to directories.
    pub(crate) fn read_directories(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut listing = Dir::openat(self, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in listing.iter() {
            let entry = entry?;
            let name = entry.file_name();
            let is_directory = match entry.file_type() {
                Some(kind) => kind == Type::Directory,
                None => {
                    let stat = fstatat(self, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
                    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
                }
            };
            if is_directory && name != c"." && name != c".." {
                names.push(OsStr::from_bytes(name.to_bytes()).to_owned());
            }
        }
        Ok(names)
    }

    /// The entries of a directory below this one whose names are numbers.
    pub(super) fn read_numbers(&self, path: &str) -> io::Result<Vec<u32>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = Dir::openat(self, path, flags, Mode::empty());
        if opened.is_err() {
            refuse_if_denied(&self.read_link(path))?;
        }
        let mut listing = opened?;
        let mut numbers = Vec::new();
        for entry in listing.iter() {
            numbers.extend(entry?.file_name().to_str().ok().and_then(parse_pid));
        }
        Ok(numbers)
    }
}

/// An error if a link of a capture says that the file could not be read. No link of `/proc` looks like this: those to
/// files begin with a slash, and the others have a type and a colon.
fn refuse_if_denied(target: &io::Result<PathBuf>) -> io::Result<()> {
    let denial = match target {
        Ok(target) => CapturedDenial::of_target(target.as_os_str()),
        Err(error) => CapturedDenial::of_error(error),
    };
    denial.map_or(Ok(()), |denial| Err(denial.error()))
}

/// The pid that a text is: decimal digits only.
pub fn parse_pid(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.starts_with(|first: char| first.is_ascii_digit()))
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}
