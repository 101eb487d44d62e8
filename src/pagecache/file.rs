//! A file opened to be measured: only ever a regular file, opened without blocking and without a trace.
//!
//! Whether its figures can be believed is for the engine; this is about getting hold of it.

use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::stat;

use super::report::Change;
use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::file_system::{FileSystem, FileSystemKind};
use crate::kernel::open::Quiet;
use crate::kernel::{self, open};
use crate::units::{Bytes, PageSize};

/// A regular file, open for reading, and what was known of it when it was opened.
#[derive(Debug)]
pub struct OpenFile {
    path: PathBuf,
    file: File,
    stat: FileStat,
    owned: bool,
    file_system: FileSystem,
    page_size: PageSize,
    /// Whether it was opened by its path, which can be asked again.
    by_path: bool,
}

/// What `fstat` says of a file that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStat {
    pub(super) size: Bytes,
    pub(super) mtime: SystemTime,
    device: u64,
    inode: u64,
    links: u64,
}

impl OpenFile {
    /// Opens a file to be measured.
    ///
    /// It is looked at before it is opened, so that a FIFO cannot block and no device is woken, and again once it is
    /// open, so that another file that took its place in between is judged for what it is. Its access time does not
    /// move. Symbolic links are followed.
    ///
    /// # Errors
    /// * [`ErrorKind::Unsupported`]: it is a directory, a FIFO, a socket, a device, or made up by the kernel (`/proc`).
    /// * [`ErrorKind::NotFound`], [`ErrorKind::Denied`], [`ErrorKind::System`]: `stat` or `open` failed.
    pub fn open(path: &Path) -> Result<OpenFile> {
        let found = path.metadata().map_err(|error| system(path, &error))?;
        refuse_type(path, found.file_type())?;
        if device_is_virtual(&found) {
            let file_system = FileSystem::of_path(path).map_err(|error| system(path, &error))?;
            refuse_kind(path, file_system.kind)?;
        }
        let Quiet { file, owned } = open::quietly(path).map_err(|error| system(path, &error))?;
        Ok(OpenFile { by_path: true, ..OpenFile::new(path, file, owned)? })
    }

    /// Takes a file that is open already, such as one from `/proc/PID/map_files`; `path` is what it is called.
    ///
    /// Its owner's descriptor is given `O_NOATIME`, so it must not be shared with another process.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]: as [`OpenFile::open`], or it is not open for reading.
    pub fn from_fd(path: &Path, fd: OwnedFd) -> Result<OpenFile> {
        let readable = open::is_readable(fd.as_fd()).map_err(|errno| Error::errno(subject(path), errno))?;
        if !readable {
            return Err(Error::path(path, ErrorKind::Unsupported, "is not open for reading"));
        }
        let owned = open::set_no_atime(fd.as_fd());
        OpenFile::new(path, File::from(fd), owned)
    }

    /// A file that was opened and judged already: a regular one, on `file_system`, of which `fstat` said `stat`.
    pub(super) fn of_parts(path: PathBuf, quiet: Quiet, stat: &stat::FileStat, file_system: FileSystem) -> OpenFile {
        let Quiet { file, owned } = quiet;
        let stat = FileStat::of(stat);
        OpenFile { path, file, stat, owned, file_system, page_size: kernel::page_size(), by_path: true }
    }

    /// Its path, at no cost.
    pub(super) fn into_path(self) -> PathBuf {
        self.path
    }

    /// Judges an open file by what the descriptor says, which nobody can exchange.
    fn new(path: &Path, file: File, owned: bool) -> Result<OpenFile> {
        let metadata = file.metadata().map_err(|error| system(path, &error))?;
        refuse_type(path, metadata.file_type())?;
        let file_system = FileSystem::of_file(file.as_fd()).map_err(|error| system(path, &error))?;
        refuse_kind(path, file_system.kind)?;
        let stat = FileStat::read(file.as_fd()).map_err(|errno| Error::errno(subject(path), errno))?;
        let (path, page_size) = (path.to_owned(), kernel::page_size());
        Ok(OpenFile { path, file, stat, owned, file_system, page_size, by_path: false })
    }

    /// The file, as the caller named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size when it was opened.
    pub fn size(&self) -> Bytes {
        self.stat.size
    }

    /// When it was last written to, as of the opening.
    pub fn mtime(&self) -> SystemTime {
        self.stat.mtime
    }

    /// The device number, as `fstat` gives it.
    pub fn device(&self) -> u64 {
        self.stat.device
    }

    /// The inode number.
    pub fn inode(&self) -> u64 {
        self.stat.inode
    }

    /// How many names the inode has; 0 for a deleted file.
    pub fn links(&self) -> u64 {
        self.stat.links
    }

    /// The machine's page size.
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Whether the kernel takes the caller for the file's owner (the owner, or `CAP_FOWNER` where it counts).
    pub fn owned(&self) -> bool {
        self.owned
    }

    /// The file system it is on.
    pub fn file_system(&self) -> FileSystem {
        self.file_system
    }

    /// What `fstat` says of it now.
    pub(super) fn stat(&self) -> std::result::Result<FileStat, Errno> {
        FileStat::read(self.file.as_fd())
    }

    /// What became of the file between `before` and `after`; `asks` says whether its name is looked up for that.
    ///
    /// That a file was removed, or another put in its place, shows in the number of its names, which costs nothing. It is
    /// looked up then to tell both apart. That it was only renamed, that a link leads elsewhere now, or that something was
    /// mounted over it does not show there.
    pub(super) fn change(&self, before: FileStat, after: FileStat, asks: bool) -> Option<Change> {
        let written = before.size != after.size || before.mtime != after.mtime;
        let fewer = after.links < self.stat.links;
        let moved = match self.by_path {
            true if fewer || asks => self.change_of_name(fewer),
            false if fewer && after.links == 0 => Some(Change::Removed),
            _ => None,
        };
        moved.or(written.then_some(Change::Written))
    }

    /// What became of the name. Where it cannot be looked up nothing is said of it.
    fn change_of_name(&self, fewer: bool) -> Option<Change> {
        match stat::stat(&self.path) {
            Ok(found) if (found.st_dev, found.st_ino) == (self.stat.device, self.stat.inode) => None,
            Ok(_) => Some(Change::Replaced),
            Err(Errno::ENOENT) if fewer => Some(Change::Removed),
            Err(Errno::ENOENT) => Some(Change::Renamed),
            Err(_) => None,
        }
    }

    /// What was known when it was opened.
    pub(super) fn first_stat(&self) -> FileStat {
        self.stat
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl FileStat {
    fn read(fd: BorrowedFd<'_>) -> std::result::Result<FileStat, Errno> {
        stat::fstat(fd).map(|stat| FileStat::of(&stat))
    }

    fn of(stat: &stat::FileStat) -> FileStat {
        FileStat {
            size: Bytes(u64::try_from(stat.st_size).unwrap_or_default()),
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            device: stat.st_dev,
            inode: stat.st_ino,
            links: stat.st_nlink,
        }
    }
}

/// A time as `stat` gives it: seconds since 1970, which may be negative, and nanoseconds on top of them.
fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let part = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default());
    let moved = match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(whole),
        false => SystemTime::UNIX_EPOCH.checked_add(whole),
    };
    // SystemTime has as many bits for seconds as the kernel: nothing is out of its range.
    moved.and_then(|time| time.checked_add(part)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn subject(path: &Path) -> Subject {
    Subject::Path(path.to_owned())
}

/// What `open` or `stat` answered about `path`.
pub(super) fn system(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => Error::path(path, ErrorKind::System, "another process holds a lease on it"),
        _ => Error::io(subject(path), error),
    }
}

/// Whether the file's device number is one that the kernel gives to file systems without a disk (major number 0).
///
/// All kernel-made file systems are among them, so a file on a disk needs no second lookup of its path.
fn device_is_virtual(metadata: &Metadata) -> bool {
    nix::sys::stat::major(metadata.dev()) == 0
}

fn refuse_type(path: &Path, kind: FileType) -> Result<()> {
    let why = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "is a directory",
        kind if kind.is_fifo() => "is a FIFO",
        kind if kind.is_socket() => "is a socket",
        kind if kind.is_char_device() => "is a character device",
        kind if kind.is_block_device() => "is a block device",
        _ => "is no regular file",
    };
    Err(Error::path(path, ErrorKind::Unsupported, why))
}

fn refuse_kind(path: &Path, kind: FileSystemKind) -> Result<()> {
    match kind {
        FileSystemKind::Pseudo(name) => {
            let why = format!("is on {name}, where the kernel makes up files as they are read: it has no cached pages");
            Err(Error::path(path, ErrorKind::Unsupported, why))
        }
        _ => Ok(()),
    }
}
