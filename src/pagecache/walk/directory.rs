//! One thread of a walk: reads directories and opens the files in them.

use std::ffi::CStr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::dir::Type;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::FileStat;

use super::entry::{Found, may_block, open_entry, stat_entry, stat_name};
use super::level::Level;
use super::path::{failure, join, kind_of, open_by_path};
use super::queue::Queue;
use super::seen::Seen;
use super::visit::{Choose, Options, Place, Skipped, Unread, Visitor};
use super::work::{Names, OpenDirectory, Work};
use crate::error::{Error, ErrorKind};
use crate::kernel::file_system::{FileSystem, FileSystemKind};
use crate::kernel::handle::Handle;
use crate::kernel::mount_table;
use crate::kernel::open::{self, Quiet};
use crate::kernel::statx::Statx;
use crate::pagecache::leases::Opened;
use crate::pagecache::{FileIdentity, OpenFile};

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
                Work::Named(path) => self.open_named(&path).map_or(ON, |opened| self.read(opened)),
                Work::Found(parent, name, link) => {
                    self.open_found(&parent, &name, link).map_or(ON, |opened| self.read(opened))
                }
                Work::Files(directory, names) => self.files(&directory, &names),
            };
            if flow.is_break() {
                self.queue.stop();
            }
            self.queue.done();
        }
    }

    /// Reports why something could not be opened or read.
    fn fail(&mut self, what: Unread, path: &Path, errno: Errno, place: Place<'_>) {
        what.report(self.visitor, failure(path, errno), place);
    }

    /// Opens a directory that was named. Reports it if it cannot be opened or is not to be read.
    fn open_named(&mut self, path: &Path) -> Option<OpenDirectory> {
        let place = Place { directory: None, depth: 0 };
        match open_by_path(path) {
            Ok(handle) => self.judge(handle, path.to_owned(), place, None),
            Err(errno) => {
                self.fail(Unread::Directory, path, errno, place);
                None
            }
        }
    }

    /// Opens a directory that was found, relative to the one that it was found in. Reports it if it cannot be opened or
    /// is not to be read.
    fn open_found(&mut self, parent: &OpenDirectory, name: &CStr, link: bool) -> Option<OpenDirectory> {
        let foreign = |found: &Statx| found.is_automount_point() || found.device() != parent.root_device;
        let opened = match stat_name(parent, name, link) {
            // Opening it could mount a file system, and wait for its server.
            Ok(found) if !self.options.cross_file_systems && foreign(&found) => {
                let why = self.elsewhere(found.device(), found.inode());
                let is_subvolume = !found.is_automount_point() && found.is_mount_point() == Some(false);
                if let Some(count) = self.options.subvolumes.filter(|_| is_subvolume && why == Skipped::OtherFileSystem)
                {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                self.visitor.skipped(why, place(parent));
                return None;
            }
            Err(errno) if errno != Errno::ENOSYS => Err(errno),
            Ok(found) if may_block(parent, found.device()) => open_by_path(&join(&parent.path, name)),
            _ => open::directory_at(&parent.handle, name, link),
        };
        match opened {
            Ok(handle) => self.judge(handle, join(&parent.path, name), place(parent), Some(parent)),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {
                self.visitor.skipped(Skipped::Vanished, place(parent));
                None
            }
            Err(errno) => {
                self.fail(Unread::Directory, &join(&parent.path, name), errno, place(parent));
                None
            }
        }
    }

    /// Decides by its descriptor whether an open directory is to be read.
    fn judge(
        &mut self,
        handle: Handle,
        path: PathBuf,
        place: Place<'_>,
        parent: Option<&OpenDirectory>,
    ) -> Option<OpenDirectory> {
        let found = handle.stat().and_then(|stat| Ok((stat, FileSystem::of_handle(&handle)?)));
        let (stat, file_system) = match found {
            Ok(found) => found,
            Err(errno) => {
                self.fail(Unread::Directory, &path, errno, place);
                return None;
            }
        };
        let root_device = parent.map_or(stat.st_dev, |parent| parent.root_device);
        let skipped = match file_system.kind {
            _ if root_device != stat.st_dev && !self.options.cross_file_systems => {
                Some(self.elsewhere(stat.st_dev, stat.st_ino))
            }
            FileSystemKind::Pseudo(name) if parent.is_none() => {
                let why = format!("is on {name}, where the kernel generates files as they are read");
                self.visitor.failure(Error::path(&path, ErrorKind::Unsupported, why));
                return None;
            }
            FileSystemKind::Pseudo(_) => Some(Skipped::Pseudo),
            kind => {
                let identity = FileIdentity::on(&handle, (stat.st_dev, stat.st_ino), kind == FileSystemKind::Fuse);
                (!self.seen.first_of_directory(identity)).then_some(Skipped::Again)
            }
        };
        if let Some(why) = skipped {
            self.visitor.skipped(why, place);
            return None;
        }
        let depth = parent.map_or(0, |parent| parent.depth + 1);
        let identity = (stat.st_dev, stat.st_ino);
        let may_lead_away = handle.own().is_some() && mount_table::own().has_blocking();
        let is_listed = || handle.own().is_none() && mount_table::own().is_fuse(mount_table::parts(stat.st_dev));
        // A mount of another mount namespace, which is reached through `/proc`, is not in the list.
        let is_fuse = file_system.kind == FileSystemKind::Fuse || is_listed();
        Some(OpenDirectory { path, depth, handle, identity, root_device, file_system, may_lead_away, is_fuse })
    }

    /// Reads a directory and those below it that no other thread takes.
    fn read(&mut self, directory: OpenDirectory) -> Flow {
        let mut levels = vec![self.list(directory)?];
        while let Some(level) = levels.last_mut() {
            let Some((name, link)) = level.take_next() else {
                if let (Some(done), Some(above)) = (levels.pop(), levels.last_mut()) {
                    self.return_to(above, &done);
                }
                continue;
            };
            let Some(parent) = level.directory.clone() else { continue };
            if self.queue.takes_directory() {
                self.queue.put(Work::Found(parent, name, link));
            } else if let Some(opened) = self.open_found(&parent, &name, link) {
                let below = self.list(opened)?;
                levels.push(below);
                // `..` of a directory behind a symbolic link is not the directory that has the link.
                let deepest = levels.len().saturating_sub(1 + self.queue.nesting);
                if let Some(above) = deepest.checked_sub(1).and_then(|index| levels.get_mut(index))
                    && !above.went_through_link
                {
                    above.directory = None;
                }
            }
        }
        ON
    }

    /// Opens a directory again that was closed because the walk had gone deep below it.
    fn return_to(&mut self, above: &mut Level, done: &Level) {
        let (None, Some(below)) = (&above.directory, &done.directory) else { return };
        let path = below.path.parent().unwrap_or(Path::new("/"));
        let place = Place { directory: Some(path), depth: below.depth.saturating_sub(1) };
        let is_it = |handle: &Handle| handle.stat().is_ok_and(|stat| (stat.st_dev, stat.st_ino) == above.identity);
        let upwards = open::directory_at(&below.handle, c"..", false).ok().filter(is_it);
        match upwards.map_or_else(|| open_by_path(path), Ok) {
            Ok(handle) if is_it(&handle) => {
                above.directory = Some(Arc::new(OpenDirectory {
                    path: path.to_owned(),
                    depth: below.depth.saturating_sub(1),
                    handle,
                    identity: above.identity,
                    root_device: below.root_device,
                    file_system: above.file_system,
                    may_lead_away: below.may_lead_away,
                    is_fuse: below.is_fuse,
                }));
            }
            Ok(_) => {
                let why = "a directory below it was moved while it was walked, and the rest of it was not visited";
                Unread::Directory.report(self.visitor, Error::path(path, ErrorKind::Changed, why), place);
            }
            Err(errno) => self.fail(Unread::Directory, path, errno, place),
        }
    }

    /// Lists an open directory, visits its files and returns what is left to do below it.
    fn list(&mut self, directory: OpenDirectory) -> ControlFlow<(), Level> {
        let directory = Arc::new(directory);
        let mut level = Level::new(Arc::clone(&directory));
        self.visitor.directory(place(&directory));
        let mut names = Names::default();
        let listed = directory.handle.list(|name, kind| {
            self.entry(&directory, name, kind, &mut names, &mut level)?;
            if names.count >= NAMES_A_BATCH {
                self.batch(&directory, &mut names)?;
            }
            ON
        });
        match listed {
            Ok(flow) => flow?,
            Err(errno) => self.fail(Unread::Directory, &directory.path, errno, place(&directory)),
        }
        self.files(&directory, &names)?;
        ControlFlow::Continue(level)
    }

    fn entry(
        &mut self,
        directory: &Arc<OpenDirectory>,
        name: &CStr,
        mut kind: Option<Type>,
        names: &mut Names,
        level: &mut Level,
    ) -> Flow {
        if matches!(name.to_bytes(), b"." | b"..") {
            return ON;
        }
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
            Some(Type::Directory) => self.subdirectory(directory, name, link, level),
            Some(Type::Symlink) => self.skip(directory, Skipped::Link),
            Some(_) => self.skip(directory, Skipped::Special),
            None => ON,
        }
    }

    /// Puts a directory that was found into the queue, or keeps it for later.
    fn subdirectory(&mut self, directory: &Arc<OpenDirectory>, name: &CStr, link: bool, level: &mut Level) -> Flow {
        let is_chosen = |choose: Choose<'_>| choose(&join(&directory.path, name), directory.depth + 1, true);
        if self.options.choose.is_none_or(is_chosen) {
            match self.queue.takes_directory() {
                true => self.queue.put(Work::Found(Arc::clone(directory), name.to_owned(), link)),
                false => level.push(name, link),
            }
        }
        ON
    }

    /// Finds the type of an entry with `fstatat`. Reports an error and returns `None` if that fails.
    fn look(&mut self, directory: &OpenDirectory, name: &CStr, flags: AtFlags) -> ControlFlow<(), Option<Type>> {
        let found = stat_entry(directory, name, flags);
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
                self.fail(Unread::File, &join(&directory.path, name), errno, place(directory));
                None
            }
        })
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
        match open_entry(directory, &path, name, link, self.options) {
            Ok(Found::Opened(opened)) => self.opened(directory, path, opened),
            Ok(Found::OnFuse(handle)) => self.named(directory, &path, handle),
            Err(Errno::ENOENT) => self.skip(directory, Skipped::Vanished),
            // It became a link, a socket or a device without a driver after it was listed.
            Err(Errno::ELOOP) => self.skip(directory, Skipped::Link),
            Err(Errno::ENXIO) => self.skip(directory, Skipped::Special),
            Err(errno) => {
                self.fail(Unread::File, &path, errno, place(directory));
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
        stat_entry(directory, name, flags).map_or(true, |stat| sizes.contains(&size(stat)))
    }

    /// Checks a file by its descriptor, and visits it.
    fn opened(&mut self, directory: &OpenDirectory, path: PathBuf, opened: Opened) -> Flow {
        let stat = match opened.quiet.file.stat() {
            Ok(stat) => stat,
            Err(errno) => {
                self.fail(Unread::File, &path, errno, place(directory));
                return ON;
            }
        };
        if kind_of(&stat) != Type::File {
            return self.skip(directory, Skipped::Special);
        }
        let file_system = match self.file_system_of(directory, &opened.quiet, &stat) {
            Ok(Ok(file_system)) => file_system,
            Ok(Err(why)) => return self.skip(directory, why),
            Err(error) => {
                self.fail(Unread::File, &path, error, place(directory));
                return ON;
            }
        };
        let file = OpenFile::of_parts(path, opened, &stat, file_system);
        if !self.seen.first_of_found(&file) {
            return self.skip(directory, Skipped::Again);
        }
        self.visitor.file(file, place(directory))
    }

    /// Checks and visits a file on FUSE that is only named.
    fn named(&mut self, directory: &OpenDirectory, path: &Path, handle: Handle) -> Flow {
        match handle.stat().map(|stat| kind_of(&stat)) {
            Ok(Type::File) => {}
            Ok(Type::Symlink) => return self.skip(directory, Skipped::Link),
            Ok(_) => return self.skip(directory, Skipped::Special),
            Err(errno) => {
                self.fail(Unread::File, path, errno, place(directory));
                return ON;
            }
        }
        match OpenFile::unopened(path, handle) {
            Ok(file) if !self.seen.first_of_found(&file) => self.skip(directory, Skipped::Again),
            Ok(file) => self.visitor.file(file, place(directory)),
            Err(error) => {
                Unread::File.report(self.visitor, error, place(directory));
                ON
            }
        }
    }

    /// The file system of an open file. If the file has the device number of its directory, it is on the same file
    /// system. Otherwise it is a mount point, or was reached through a link, or the file system assigns device numbers
    /// per file, as overlayfs does.
    fn file_system_of(
        &self,
        directory: &OpenDirectory,
        quiet: &Quiet,
        stat: &FileStat,
    ) -> Result<Result<FileSystem, Skipped>, Errno> {
        if stat.st_dev == directory.identity.0 {
            return Ok(Ok(directory.file_system));
        }
        let file_system = FileSystem::of_handle(&quiet.file)?;
        let same =
            matches!(file_system.kind, FileSystemKind::Stacked(_)) && file_system.kind == directory.file_system.kind;
        Ok(match file_system.kind {
            FileSystemKind::Pseudo(_) => Err(Skipped::Pseudo),
            _ if same || self.options.cross_file_systems || stat.st_dev == directory.root_device => Ok(file_system),
            _ => Err(self.elsewhere(stat.st_dev, stat.st_ino)),
        })
    }

    /// Why something on another file system is not visited here: what was named itself is visited as that.
    fn elsewhere(&self, device: u64, inode: u64) -> Skipped {
        if self.seen.is_named(device, inode) { Skipped::Again } else { Skipped::OtherFileSystem }
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
