//! One thread of a walk: reads directories and opens the files in them.

use std::ffi::{CStr, OsStr};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::dir::{Dir, Entry, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};

use super::queue::Queue;
use super::seen::Seen;
use super::visit::{Options, Place, Skipped, Visitor};
use super::work::{Directory, Names, OpenDirectory, Work};
use crate::error::{Error, ErrorKind};
use crate::kernel::file_system::{FileSystem, FileSystemKind};
use crate::kernel::open::{self, Quiet};
use crate::pagecache::OpenFile;
use crate::pagecache::file;

/// How many names are collected before their files are opened or queued.
const NAMES_A_BATCH: usize = 256;

/// One thread of a walk.
pub(super) struct Walker<'w, V> {
    options: &'w Options<'w>,
    seen: &'w Seen,
    queue: &'w Queue,
    visitor: &'w mut V,
}

/// Whether the walk continues.
type Flow = ControlFlow<()>;

const ON: Flow = ControlFlow::Continue(());

impl<'w, V: Visitor> Walker<'w, V> {
    pub(super) fn new(options: &'w Options<'w>, seen: &'w Seen, queue: &'w Queue, visitor: &'w mut V) -> Self {
        Walker { options, seen, queue, visitor }
    }

    /// Works until no thread has any work left.
    pub(super) fn run(&mut self) {
        while let Some(work) = self.queue.take() {
            let flow = match work {
                Work::Directory(directory) => self.directory(directory, None, 0),
                Work::Files(directory, names) => self.files(&directory, &names),
            };
            if flow.is_break() {
                self.queue.stop();
            }
            self.queue.done();
        }
    }

    /// Reads a directory. `within` is its parent and its name there, if the parent is still open.
    fn directory(&mut self, directory: Directory, within: Option<(BorrowedFd<'_>, &CStr)>, nesting: usize) -> Flow {
        let found_in = found_in(&directory);
        let opened = match within {
            Some((parent, name)) => open::directory_at(parent, name, directory.link),
            None => open_by_path(&directory.path, directory.link),
        };
        let fd = match opened {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) if directory.depth > 0 => {
                self.visitor.skipped(Skipped::Vanished, found_in);
                return ON;
            }
            Err(errno) => {
                self.visitor.failure(failure(&directory.path, errno));
                return ON;
            }
        };
        match self.judge(&fd, &directory) {
            Ok(Ok((device, file_system))) => {
                let root_device = directory.device.unwrap_or(device);
                let Directory { path, depth, .. } = directory;
                self.list(&Arc::new(OpenDirectory { path, depth, fd, device, root_device, file_system }), nesting)
            }
            Ok(Err(why)) => {
                self.visitor.skipped(why, found_in);
                ON
            }
            Err(error) => {
                self.visitor.failure(error);
                ON
            }
        }
    }

    /// Decides by its descriptor whether an open directory is to be read.
    fn judge(&self, fd: &OwnedFd, directory: &Directory) -> Result<Result<(u64, FileSystem), Skipped>, Error> {
        let stat = fstat(fd).map_err(|errno| failure(&directory.path, errno))?;
        if directory.device.is_some_and(|root| root != stat.st_dev) && !self.options.cross_file_systems {
            return Ok(Err(Skipped::OtherFileSystem));
        }
        let file_system = FileSystem::of_file(fd.as_fd()).map_err(|error| failure(&directory.path, error))?;
        match file_system.kind {
            FileSystemKind::Pseudo(name) if directory.device.is_none() => {
                let why = format!("is on {name}, where the kernel generates files as they are read");
                return Err(Error::path(&directory.path, ErrorKind::Unsupported, why));
            }
            FileSystemKind::Pseudo(_) => return Ok(Err(Skipped::Pseudo)),
            _ => {}
        }
        match self.seen.first_of_directory((stat.st_dev, stat.st_ino)) {
            true => Ok(Ok((stat.st_dev, file_system))),
            false => Ok(Err(Skipped::Again)),
        }
    }

    /// Lists an open directory and visits its entries.
    fn list(&mut self, directory: &Arc<OpenDirectory>, nesting: usize) -> Flow {
        // nix takes the descriptor that it lists and does not lend it, so it gets a copy.
        let own = directory.fd.try_clone().and_then(|fd| Ok(Dir::from_fd(fd)?));
        let mut listing = match own {
            Ok(listing) => listing,
            Err(error) => {
                self.visitor.failure(failure(&directory.path, error));
                return ON;
            }
        };
        self.visitor.directory(place(directory));
        let mut names = Names::default();
        for entry in listing.iter() {
            match entry {
                Ok(entry) => self.entry(directory, &entry, &mut names, nesting)?,
                Err(errno) => {
                    self.visitor.failure(failure(&directory.path, errno));
                    break;
                }
            }
            if names.count >= NAMES_A_BATCH {
                self.batch(directory, &mut names)?;
            }
        }
        self.files(directory, &names)
    }

    fn entry(&mut self, directory: &Arc<OpenDirectory>, entry: &Entry, names: &mut Names, nesting: usize) -> Flow {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            return ON;
        }
        let mut kind = entry.file_type();
        let mut link = false;
        if kind.is_none() {
            // Some file systems do not report the type of an entry in a listing.
            kind = self.look(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        if kind == Some(Type::Symlink) && self.options.follow {
            link = true;
            kind = self.look(directory, name, AtFlags::empty())?;
        }
        match kind {
            Some(Type::File) if link => self.file(directory, name, true),
            Some(Type::File) => {
                names.push(name);
                ON
            }
            Some(Type::Directory) => self.child(directory, name, link, nesting),
            Some(Type::Symlink) => self.skip(directory, Skipped::Link),
            Some(_) => self.skip(directory, Skipped::Special),
            None => ON,
        }
    }

    /// Finds the type of an entry with `fstatat`. Reports an error and returns `None` if that fails.
    fn look(&mut self, directory: &OpenDirectory, name: &CStr, flags: AtFlags) -> ControlFlow<(), Option<Type>> {
        let found = fstatat(&directory.fd, name, flags);
        ControlFlow::Continue(match found {
            Ok(stat) => Some(kind_of(&stat)),
            Err(Errno::ENOENT) if flags.contains(AtFlags::AT_SYMLINK_NOFOLLOW) => {
                self.skip(directory, Skipped::Vanished)?;
                None
            }
            Err(Errno::ENOENT) => {
                let path = join(&directory.path, name);
                self.visitor.failure(Error::path(&path, ErrorKind::NotFound, "is a broken symbolic link"));
                None
            }
            Err(errno) => {
                self.visitor.failure(failure(&join(&directory.path, name), errno));
                None
            }
        })
    }

    fn child(&mut self, directory: &OpenDirectory, name: &CStr, link: bool, nesting: usize) -> Flow {
        let path = join(&directory.path, name);
        if self.options.choose.is_some_and(|choose| !choose(&path, directory.depth + 1, true)) {
            return ON;
        }
        let child = Directory { path, depth: directory.depth + 1, device: Some(directory.root_device), link };
        if self.queue.takes_directory(nesting) {
            self.queue.put(Work::Directory(child));
            return ON;
        }
        self.directory(child, Some((directory.fd.as_fd(), name)), nesting + 1)
    }

    /// Visits the collected files, or queues them if a thread is idle.
    fn batch(&mut self, directory: &Arc<OpenDirectory>, names: &mut Names) -> Flow {
        if self.queue.is_hungry() {
            self.queue.put(Work::Files(Arc::clone(directory), std::mem::take(names)));
            return ON;
        }
        self.files(directory, names)?;
        names.clear();
        ON
    }

    fn files(&mut self, directory: &OpenDirectory, names: &Names) -> Flow {
        for name in names.iter() {
            self.file(directory, name, false)?;
            if self.queue.is_stopped() {
                return ControlFlow::Break(());
            }
        }
        ON
    }

    /// Opens and visits one file.
    fn file(&mut self, directory: &OpenDirectory, name: &CStr, link: bool) -> Flow {
        let path = join(&directory.path, name);
        if self.options.choose.is_some_and(|choose| !choose(&path, directory.depth + 1, false))
            || !self.has_right_size(directory, name, link)
        {
            return ON;
        }
        match open::quietly_at(directory.fd.as_fd(), name, link) {
            Ok(quiet) => self.opened(directory, path, quiet),
            Err(Errno::ENOENT) => self.skip(directory, Skipped::Vanished),
            // It became a link, a socket or a device without a driver after it was listed.
            Err(Errno::ELOOP) => self.skip(directory, Skipped::Link),
            Err(Errno::ENXIO) => self.skip(directory, Skipped::Special),
            Err(errno) => {
                self.visitor.failure(failure(&path, errno));
                ON
            }
        }
    }

    /// Whether a file has a size that is to be visited. A file that is not wanted need not be readable, so this is
    /// checked before opening. Errors are reported when it is opened.
    fn has_right_size(&self, directory: &OpenDirectory, name: &CStr, link: bool) -> bool {
        let sizes = &self.options.sizes;
        if *sizes == (0..=u64::MAX) {
            return true;
        }
        let flags = if link { AtFlags::empty() } else { AtFlags::AT_SYMLINK_NOFOLLOW };
        let size = |stat: FileStat| u64::try_from(stat.st_size).unwrap_or_default();
        fstatat(&directory.fd, name, flags).map_or(true, |stat| sizes.contains(&size(stat)))
    }

    /// Checks a file by its descriptor, and visits it.
    fn opened(&mut self, directory: &OpenDirectory, path: PathBuf, quiet: Quiet) -> Flow {
        let stat = match fstat(&quiet.file) {
            Ok(stat) => stat,
            Err(errno) => {
                self.visitor.failure(failure(&path, errno));
                return ON;
            }
        };
        if kind_of(&stat) != Type::File {
            return self.skip(directory, Skipped::Special);
        }
        let file_system = match self.file_system_of(directory, &quiet, &stat) {
            Ok(Ok(file_system)) => file_system,
            Ok(Err(why)) => return self.skip(directory, why),
            Err(error) => {
                self.visitor.failure(failure(&path, error));
                return ON;
            }
        };
        if !self.seen.first_of_found((stat.st_dev, stat.st_ino), stat.st_nlink) {
            return self.skip(directory, Skipped::Again);
        }
        let file = OpenFile::of_parts(path, quiet, &stat, file_system);
        self.visitor.file(file, place(directory))
    }

    /// The file system of an open file. If the file has the device number of its directory, it is on the same file
    /// system. Otherwise it is a mount point, or was reached through a link, or the file system assigns device numbers
    /// per file, as overlayfs does.
    fn file_system_of(
        &self,
        directory: &OpenDirectory,
        quiet: &Quiet,
        stat: &FileStat,
    ) -> io::Result<Result<FileSystem, Skipped>> {
        if stat.st_dev == directory.device {
            return Ok(Ok(directory.file_system));
        }
        let file_system = FileSystem::of_file(quiet.file.as_fd())?;
        let same =
            matches!(file_system.kind, FileSystemKind::Stacked(_)) && file_system.kind == directory.file_system.kind;
        Ok(match file_system.kind {
            FileSystemKind::Pseudo(_) => Err(Skipped::Pseudo),
            _ if same || self.options.cross_file_systems || stat.st_dev == directory.root_device => Ok(file_system),
            _ => Err(Skipped::OtherFileSystem),
        })
    }

    fn skip(&mut self, directory: &OpenDirectory, why: Skipped) -> Flow {
        self.visitor.skipped(why, place(directory));
        ON
    }
}

/// The place of the entries of an open directory.
fn place(directory: &OpenDirectory) -> Place<'_> {
    Place { directory: Some(&directory.path), depth: directory.depth }
}

/// The place where a directory was found.
fn found_in(directory: &Directory) -> Place<'_> {
    match directory.depth.checked_sub(1) {
        Some(depth) => Place { directory: directory.path.parent(), depth },
        None => Place { directory: None, depth: 0 },
    }
}

/// Opens a directory by its path. The kernel accepts paths of up to 4096 bytes; longer ones are opened in steps.
fn open_by_path(path: &Path, link: bool) -> Result<OwnedFd, Errno> {
    match open::directory_at(AT_FDCWD, path, link) {
        Err(Errno::ENAMETOOLONG) => {
            let mut components = path.components();
            let name = components.next_back().ok_or(Errno::ENAMETOOLONG)?;
            let parent = open_by_path(components.as_path(), true)?;
            open::directory_at(parent.as_fd(), Path::new(&name), link)
        }
        opened => opened,
    }
}

fn failure(path: &Path, error: impl Into<io::Error>) -> Error {
    let io_error = error.into();
    let error = file::system(path, &io_error);
    match io_error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE) => error.with_advice("raise the limit (ulimit -n), or use fewer threads (-j 1)"),
        _ => error,
    }
}

fn join(directory: &Path, name: &CStr) -> PathBuf {
    directory.join(OsStr::from_bytes(name.to_bytes()))
}

/// The type of a file. All special files are reported as FIFOs.
fn kind_of(stat: &FileStat) -> Type {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Type::File,
        SFlag::S_IFDIR => Type::Directory,
        SFlag::S_IFLNK => Type::Symlink,
        _ => Type::Fifo,
    }
}
