//! A file or directory that is held open: by this process, or by a child process that asks in its place because the
//! file system may never answer (see [`asker`](super::asker)).
//!
//! Whoever has a handle need not know which. Every question fails with `ETIMEDOUT` if the file system does not answer.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::NixPath;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::sys::statfs::{Statfs, fstatfs};
use nix::sys::statvfs::FsFlags;

use super::asker::{Asker, OUTPUT, Task};
use super::mount_table;

/// An open file or directory.
#[derive(Debug)]
pub(crate) enum Handle {
    /// This process has it open.
    Own(OwnedFd),
    /// A child has it open.
    Far(FarFile),
}

/// A file that a child has open. It is closed there when this value is dropped.
#[derive(Debug)]
pub(crate) struct FarFile {
    asker: Arc<Asker>,
    fd: RawFd,
    /// Whether it shares its position and flags with another process.
    is_lent: bool,
}

/// A name in a directory of a file system that may not answer, or a whole path that leads to one.
#[derive(Debug, Clone)]
pub(crate) struct FarPath {
    asker: Arc<Asker>,
    path: CString,
    /// Whether opening it may drop its cached pages.
    pub(crate) is_fuse: bool,
}

/// The parts of `statfs` that are used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FsStat {
    /// The type of the file system: a magic number of 32 bits.
    pub(crate) magic: u32,
    /// The flags of the mount (`ST_NOATIME`, `ST_RDONLY`).
    pub(crate) flags: FsFlags,
    /// The size of a block.
    pub(crate) block_size: u64,
}

impl Drop for FarFile {
    fn drop(&mut self) {
        let _ = self.ask(Task::Close, [0; 3], &mut []);
    }
}

impl FarFile {
    /// Has the child carry out a task on the file.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(super) fn ask(&self, task: Task, arguments: [u64; 3], output: &mut [u8]) -> Result<u64, Errno> {
        self.asker.ask(task, self.fd, arguments, c"", output)
    }

    /// The same for a result of a known type. `name` is one in this directory, or empty.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(super) fn ask_for<T: super::asker::Plain>(
        &self,
        task: Task,
        arguments: [u64; 3],
        name: &CStr,
    ) -> Result<T, Errno> {
        self.asker.ask_for(task, self.fd, arguments, name)
    }

    /// The child.
    pub(super) fn asker(&self) -> Arc<Asker> {
        Arc::clone(&self.asker)
    }

    /// Takes a descriptor from a process. The file must be on the same file system.
    ///
    /// # Errors
    /// As `pidfd_open(2)` and `pidfd_getfd(2)`.
    pub(super) fn take(&self, pid: u32, fd: u32) -> Result<Handle, Errno> {
        let taken = self.asker.ask(Task::Take, -1, [pid.into(), fd.into(), 0], c"", &mut [])?;
        let mut taken = FarFile::new(&self.asker, taken)?;
        taken.is_lent = true;
        Ok(Handle::Far(taken))
    }

    /// The link to it in the child, which looks it up, so that its `self` is the child.
    fn own_link(&self) -> Result<FarPath, Errno> {
        let path = CString::new(format!("/proc/self/fd/{}", self.fd)).map_err(|_| Errno::EINVAL)?;
        Ok(FarPath { asker: Arc::clone(&self.asker), path, is_fuse: false })
    }

    fn new(asker: &Arc<Asker>, fd: u64) -> Result<FarFile, Errno> {
        let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
        Ok(FarFile { asker: Arc::clone(asker), fd, is_lent: false })
    }
}

impl FarPath {
    /// A path that is looked up by the child for the file system on this device.
    ///
    /// # Errors
    /// As [`Asker::of_device`]; `EINVAL` if the path contains a NUL.
    pub(crate) fn new(device: (u32, u32), path: &Path) -> Result<FarPath, Errno> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        Ok(FarPath { asker: Asker::of_device(device)?, path, is_fuse: mount_table::own().is_fuse(device) })
    }

    /// Whether it leads to FUSE, also if the list of mounts does not tell, as behind the links of `/proc`.
    ///
    /// # Errors
    /// As `open(2)` and `fstatfs(2)`.
    pub(crate) fn is_on_fuse(&self) -> Result<bool, Errno> {
        Ok(self.is_fuse || self.open(OFlag::O_PATH)?.stat_fs()?.magic == FUSE)
    }

    /// The path.
    pub(crate) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.as_bytes()))
    }

    /// Opens it with these flags.
    ///
    /// # Errors
    /// As `open(2)`.
    pub(crate) fn open(&self, flags: OFlag) -> Result<Handle, Errno> {
        let flags = bits(flags | OFlag::O_CLOEXEC);
        let fd = self.asker.ask(Task::Open, libc::AT_FDCWD, [flags, 0, 0], &self.path, &mut [])?;
        FarFile::new(&self.asker, fd).map(Handle::Far)
    }

    /// Its state. Symbolic links are followed.
    ///
    /// # Errors
    /// As `stat(2)`.
    pub(crate) fn stat(&self) -> Result<FileStat, Errno> {
        self.asker.ask_for(Task::Stat, libc::AT_FDCWD, [0; 3], &self.path)
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// As `readlink(2)`.
    pub(crate) fn read_link(&self) -> Result<PathBuf, Errno> {
        let mut target = vec![0; OUTPUT];
        let length = self.asker.ask(Task::ReadLink, libc::AT_FDCWD, [0; 3], &self.path, &mut target)?;
        target.truncate(usize::try_from(length).unwrap_or_default());
        Ok(PathBuf::from(OsString::from_vec(target)))
    }
}

impl From<File> for Handle {
    fn from(file: File) -> Handle {
        Handle::Own(file.into())
    }
}

impl Handle {
    /// `fstat(2)`.
    ///
    /// # Errors
    /// As `fstat(2)`.
    pub(crate) fn stat(&self) -> Result<FileStat, Errno> {
        match self {
            Handle::Own(fd) => fstat(fd),
            Handle::Far(far) => far.ask_for(Task::Stat, [libc::AT_EMPTY_PATH as u64, 0, 0], c""),
        }
    }

    /// `fstatat(2)` of a name in this directory.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    pub(crate) fn stat_at(&self, name: &CStr, flags: AtFlags) -> Result<FileStat, Errno> {
        match self {
            Handle::Own(fd) => fstatat(fd, name, flags),
            Handle::Far(far) => far.ask_for(Task::Stat, [u64::from(flags.bits().unsigned_abs()), 0, 0], name),
        }
    }

    /// `fstatfs(2)`.
    ///
    /// # Errors
    /// As `fstatfs(2)`.
    pub(crate) fn stat_fs(&self) -> Result<FsStat, Errno> {
        let found: Result<Statfs, Errno> = match self {
            Handle::Own(fd) => fstatfs(fd),
            Handle::Far(far) => far.ask_for(Task::StatFs, [0; 3], c""),
        };
        found.map(|found| FsStat::of(&found)).or_else(|errno| FsStat::of_served(errno, || Ok(self.stat()?.st_dev)))
    }

    /// Opens a name in this directory.
    ///
    /// # Errors
    /// As `openat(2)`.
    pub(crate) fn open_at<P: ?Sized + NixPath>(&self, name: &P, flags: OFlag) -> Result<Handle, Errno> {
        let flags = flags | OFlag::O_CLOEXEC;
        match self {
            Handle::Own(fd) => openat(fd, name, flags, Mode::empty()).map(Handle::Own),
            Handle::Far(far) => name.with_nix_path(|name| {
                let opened = far.asker.ask(Task::Open, far.fd, [bits(flags), 0, 0], name, &mut [])?;
                FarFile::new(&far.asker, opened).map(Handle::Far)
            })?,
        }
    }

    /// Calls `each` with the name and type of every entry of this directory, if its type is known.
    ///
    /// # Errors
    /// As `getdents64(2)`.
    pub(crate) fn list(
        &self,
        mut each: impl FnMut(&CStr, Option<Type>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Errno> {
        match self {
            Handle::Own(fd) => {
                // nix takes the descriptor that it lists and does not lend it, so it gets a copy.
                let copy = fd.try_clone().map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
                for entry in Dir::from_fd(copy)?.iter() {
                    let entry = entry?;
                    if each(entry.file_name(), entry.file_type()).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            }
            Handle::Far(far) => far.list(each),
        }
    }

    /// Reads at an offset. Returns how many bytes were read, 0 at the end.
    ///
    /// # Errors
    /// As `pread(2)`.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Handle::Own(fd) => {
                let offset = libc::off_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
                Ok(nix::sys::uio::pread(fd, buffer, offset)?)
            }
            Handle::Far(far) => {
                let length = buffer.len().min(OUTPUT) as u64;
                Ok(usize::try_from(far.ask(Task::Read, [offset, length, 0], buffer)?).unwrap_or_default())
            }
        }
    }

    /// Whether it was taken from another process and shares its position and flags.
    pub(crate) fn is_lent(&self) -> bool {
        matches!(self, Handle::Far(far) if far.is_lent)
    }

    /// Its descriptor, if this process has it open.
    pub(crate) fn own(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Handle::Own(fd) => Some(fd.as_fd()),
            Handle::Far(_) => None,
        }
    }

    /// Opens the same file again, for example to read what this handle only names (`O_PATH`).
    ///
    /// # Errors
    /// As `open(2)`.
    pub(crate) fn open_again(&self, flags: OFlag) -> Result<Handle, Errno> {
        match self {
            Handle::Own(fd) => {
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                openat(AT_FDCWD, path.as_str(), flags | OFlag::O_CLOEXEC, Mode::empty()).map(Handle::Own)
            }
            Handle::Far(far) => far.own_link()?.open(flags),
        }
    }

    /// The path of the file, with ` (deleted)` if the name was removed. No file system is asked.
    pub(crate) fn link(&self) -> Option<PathBuf> {
        match self {
            Handle::Own(fd) => std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok(),
            // The child has the same root directory.
            Handle::Far(far) => far.own_link().ok()?.read_link().ok(),
        }
    }

    /// The number of the mount that it was opened on, in digits. No file system is asked.
    pub(crate) fn mount(&self) -> Option<Vec<u8>> {
        let read = match self {
            Handle::Own(fd) => std::fs::read(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?,
            Handle::Far(far) => {
                let path = CString::new(format!("/proc/self/fdinfo/{}", far.fd)).ok()?;
                let info =
                    FarPath { asker: Arc::clone(&far.asker), path, is_fuse: false }.open(OFlag::O_RDONLY).ok()?;
                let mut text = vec![0; 4096];
                let length = info.read_at(&mut text, 0).ok()?;
                text.truncate(length);
                text
            }
        };
        mount_in(&read)
    }
}

/// Reads a file from its start.
#[derive(Debug)]
pub(crate) struct Reader {
    file: Handle,
    offset: u64,
}

impl Reader {
    /// Reads this file.
    pub(crate) fn new(file: Handle) -> Reader {
        Reader { file, offset: 0 }
    }
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset = self.offset.saturating_add(count as u64);
        Ok(count)
    }
}

/// The number of the mount in the text of `/proc/PID/fdinfo/FD`.
pub(crate) fn mount_in(info: &[u8]) -> Option<Vec<u8>> {
    let mount = info.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"mnt_id:"))?;
    Some(mount.trim_ascii().to_vec())
}

/// The target of a symbolic link in this process.
///
/// # Errors
/// As `readlink(2)`.
pub(super) fn read_link(path: &Path) -> Result<PathBuf, Errno> {
    readlinkat(AT_FDCWD, path).map(PathBuf::from)
}

impl FsStat {
    pub(crate) fn of(found: &Statfs) -> FsStat {
        FsStat {
            // The magic numbers have 32 bits; the type of the field differs between architectures.
            magic: found.filesystem_type().0 as u32,
            flags: found.flags(),
            block_size: u64::try_from(found.block_size()).unwrap_or_default(),
        }
    }

    /// That of a file on FUSE whose server answers `statfs` with this error, such as `ENOSYS`: the kernel passes the
    /// error on, and all other calls may work. What the server keeps to itself is taken as what needs most care: its
    /// blocks may be smaller than a page.
    ///
    /// # Errors
    /// `errno`, if it is not the answer of a server; or those of `device`.
    pub(crate) fn of_served(errno: Errno, device: impl FnOnce() -> Result<u64, Errno>) -> Result<FsStat, Errno> {
        // The server is silent or gone, or it was not asked.
        if matches!(errno, Errno::ETIMEDOUT | Errno::EINTR | Errno::ENOTCONN | Errno::ECONNABORTED | Errno::EBADF) {
            return Err(errno);
        }
        let (device, mounts) = (mount_table::parts(device()?), mount_table::own());
        // One that is mounted in another namespace alone is not in the list. All but FUSE implement the call.
        let is_unlisted = || errno == Errno::ENOSYS && device.0 == 0 && mounts.may_block(device).is_none();
        match mounts.is_fuse(device) || is_unlisted() {
            true => Ok(FsStat { magic: FUSE, flags: FsFlags::empty(), block_size: 512 }),
            false => Err(errno),
        }
    }
}

/// `FUSE_SUPER_MAGIC`
const FUSE: u32 = 0x6573_5546;

/// `struct linux_dirent64`: the length of an entry, its type, and the start of its name.
const ENTRY_LENGTH: usize = 16;
const ENTRY_TYPE: usize = 18;
const ENTRY_NAME: usize = 19;

impl FarFile {
    fn list(&self, mut each: impl FnMut(&CStr, Option<Type>) -> ControlFlow<()>) -> Result<ControlFlow<()>, Errno> {
        let mut buffer = vec![0; OUTPUT];
        loop {
            let length = usize::try_from(self.ask(Task::List, [0; 3], &mut buffer)?).unwrap_or_default();
            let mut rest = buffer.get(..length).unwrap_or_default();
            if rest.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            while let Some((name, kind, after)) = next_entry(rest) {
                rest = after;
                if each(name, kind).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
}

/// The first entry of a listing, and the rest of it.
fn next_entry(rest: &[u8]) -> Option<(&CStr, Option<Type>, &[u8])> {
    let length = rest.get(ENTRY_LENGTH..ENTRY_LENGTH + 2)?;
    let length = usize::from(u16::from_ne_bytes(length.try_into().ok()?));
    let name = CStr::from_bytes_until_nul(rest.get(ENTRY_NAME..length)?).ok()?;
    let kind = match *rest.get(ENTRY_TYPE)? {
        libc::DT_REG => Some(Type::File),
        libc::DT_DIR => Some(Type::Directory),
        libc::DT_LNK => Some(Type::Symlink),
        libc::DT_UNKNOWN => None,
        _ => Some(Type::Fifo),
    };
    Some((name, kind, rest.get(length..)?))
}

fn bits(flags: OFlag) -> u64 {
    u64::from(flags.bits().unsigned_abs())
}
