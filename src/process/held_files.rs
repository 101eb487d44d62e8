//! The regular files that a process holds: those that it maps, and those that it has open.
//!
//! They have the names that the process sees and are opened through its own links in `/proc` (`map_files`, `fd`), which
//! lead to the file itself. This also finds deleted files and files in other mount namespaces, and never a file that
//! has replaced one of them.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::handle::Handle;
use crate::kernel::identity::FileIdentity;
use crate::kernel::kcmp;
use crate::kernel::privilege::run_as_root;
use crate::process::directory::Directory;
use crate::process::failure::read_error;
use crate::process::handle::Process;
use crate::process::head::{Device, Head, parse_head};
use crate::process::held_open::HeldOpen;
use crate::process::mapped_file::{GONE, Place, Way, is_at, open_mapped, path_of};
use crate::process::root::{ProcRoot, is_of_our_namespace};
use crate::units::{Absent, Reason};

/// How a process holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Held {
    /// It is mapped.
    Mapped,
    /// It is open.
    Open,
    /// It is mapped and open.
    Both,
}

impl Held {
    /// Every way.
    pub const ALL: [Held; 3] = [Held::Mapped, Held::Open, Held::Both];

    /// How two processes hold a file together, or one process in two ways.
    pub fn and(self, other: Held) -> Held {
        if self == other { self } else { Held::Both }
    }

    /// As one word, for tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Held::Mapped => "mapped",
            Held::Open => "open",
            Held::Both => "both",
        }
    }
}

/// A regular file that a process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFile {
    path: PathBuf,
    link: PathBuf,
    identity: FileIdentity,
    /// For a mapped file, the device that `maps` prints.
    device: Option<Device>,
    held: Held,
}

impl HeldFile {
    /// Its name as the process sees it. The kernel appends ` (deleted)` if the name was removed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What identifies it.
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// How it is held.
    pub fn held(&self) -> Held {
        self.held
    }
}

/// The files that a process holds, without duplicates: first the mapped files in address order, then those that are
/// only open, in the order of their descriptors.
#[derive(Debug)]
pub struct HeldFiles {
    root: ProcRoot,
    pid: u32,
    /// Empty if it was closed.
    directory: OnceLock<Directory>,
    files: Vec<HeldFile>,
    failures: Vec<Error>,
}

impl HeldFiles {
    /// The files.
    pub fn iter(&self) -> std::slice::Iter<'_, HeldFile> {
        self.files.iter()
    }

    /// The file at this position.
    pub(crate) fn get(&self, place: usize) -> Option<&HeldFile> {
        self.files.get(place)
    }

    /// The held files that could not be reached, and why.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// Closes the directory of the process until a file is opened: so many processes need few descriptors. Should
    /// another process get its pid meanwhile, opening its files fails.
    pub(crate) fn close(&mut self) {
        self.directory.take();
    }

    /// The directory below which the file is opened.
    fn directory(&self, file: &HeldFile) -> Result<&Directory> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let again = Process::open_in(&self.root, self.pid).and_then(|process| process.memory());
        let again = match again {
            Ok(memory) => memory.directory,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(released(file)),
            Err(error) => return Err(error),
        };
        Ok(self.directory.get_or_init(|| again))
    }

    /// Opens one for reading: the file itself, with our own file description, so that nothing changes for the process.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`]: the process no longer holds it there. Otherwise the errors of `open(2)`.
    pub(crate) fn open(&self, file: &HeldFile, opens_fuse: bool) -> Result<HeldOpen> {
        let directory = self.directory(file)?;
        let served = served(directory, file);
        let read = || directory.open_quietly(&file.link, served).map(HeldOpen::ToRead);
        let opened = match served.filter(|_| !opens_fuse) {
            None => read(),
            Some(device) => match directory.open_name(&file.link, served) {
                Ok(name) if directory.is_fuse(device, &name) => Ok(HeldOpen::ToName(name)),
                Ok(_) => read(),
                Err(errno) => Err(errno),
            },
        };
        checked(directory, file, opened)
    }

    /// The same with a descriptor that only names the file (`O_PATH`).
    ///
    /// # Errors
    /// As [`HeldFiles::open`].
    pub(crate) fn name(&self, file: &HeldFile) -> Result<Handle> {
        let directory = self.directory(file)?;
        let opened = directory.open_name(&file.link, served(directory, file)).map(HeldOpen::ToName);
        checked(directory, file, opened).map(HeldOpen::into_handle)
    }
}

/// The opened file, if it is still the one that the process held.
fn checked(directory: &Directory, file: &HeldFile, opened: nix::Result<HeldOpen>) -> Result<HeldOpen> {
    let fail = |errno| Error::errno(Subject::Path(file.path.clone()), errno);
    let opened = match opened {
        Ok(opened) => opened,
        Err(Errno::ENOENT | Errno::ESRCH) => return Err(released(file)),
        // A file of memfd_secret can only be opened by its creation.
        Err(Errno::ENXIO) if still_holds(directory, file) => return Err(closed_to_all(file)),
        Err(Errno::ENXIO) => return Err(released(file)),
        Err(errno) => return Err(fail(errno)),
    };
    let stat = opened.handle().stat().map_err(fail)?;
    match FileIdentity::of(opened.handle(), &stat).may_be(&file.identity) {
        true => Ok(opened),
        false => Err(released(file)),
    }
}

/// Whether the process still has the file where it was found.
fn still_holds(directory: &Directory, file: &HeldFile) -> bool {
    let same = (file.identity.device(), file.identity.inode());
    directory.look(&file.link).is_ok_and(|found| found.identity == same)
}

/// The device of a file if its file system may not answer.
fn served(directory: &Directory, file: &HeldFile) -> Option<(u32, u32)> {
    if let Some(device) = file.device {
        return directory.served(device.numbers());
    }
    directory.served_descriptor(&file.link, file.identity.device())
}

impl<'f> IntoIterator for &'f HeldFiles {
    type Item = &'f HeldFile;
    type IntoIter = std::slice::Iter<'f, HeldFile>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn released(file: &HeldFile) -> Error {
    Error::path(&file.path, ErrorKind::Changed, "the process released it before it could be measured")
}

fn closed_to_all(file: &HeldFile) -> Error {
    let why = "it cannot be opened again, so nothing is known about its cached pages";
    Error::path(&file.path, ErrorKind::System, why)
}

impl Process {
    /// Reads which files the process holds. None of them is opened; FIFOs, sockets and devices are left out.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: it has exited. [`ErrorKind::Denied`]: another user's process.
    /// [`ErrorKind::Unsupported`]: a kernel thread, a zombie, or a process in a capture.
    pub fn read_held_files(&self) -> Result<HeldFiles> {
        self.require_live("a capture has no files")?;
        let directory = self.memory()?.directory;
        let mut reader = Reader {
            process: self,
            directory: &directory,
            files: Vec::new(),
            descriptors: HashSet::new(),
            places: HashMap::new(),
            unreachable: Vec::new(),
            unreached: Vec::new(),
        };
        reader.read_mapped().map_err(|error| read_error(self.pid(), &error))?;
        reader.read_open().map_err(|error| read_error(self.pid(), &error))?;
        let (files, failures) = reader.finish();
        Ok(HeldFiles { root: self.root().clone(), pid: self.pid(), directory: directory.into(), files, failures })
    }
}

impl Process {
    /// The threads whose descriptors are not those of the process (`unshare(CLONE_FILES)`); of several that share
    /// theirs, one. If this user may not compare them, all threads: then the same descriptors are read several times.
    ///
    /// If the first thread has exited, it has no descriptors: those of the process are those of the last one.
    pub(super) fn threads_with_other_files(&self) -> Vec<u32> {
        if self.is_live() && self.directory.has_one_thread() {
            return Vec::new();
        }
        let mut threads = self.directory.read_numbers("task").unwrap_or_default();
        threads.retain(|thread| *thread != self.pid());
        // The last thread is first: it shows the memory if the first one has exited.
        threads.sort_unstable_by(|one, another| another.cmp(one));
        let has_exited = !threads.is_empty() && self.memory().is_ok_and(|memory| memory.is_other);
        let shown = if has_exited { threads.remove(0) } else { self.pid() };
        if !is_of_our_namespace(self.root()) {
            return threads;
        }
        let mut met = vec![shown];
        threads.retain(|thread| {
            let compared = || met.iter().map(|known| kcmp::compare_files(*known, *thread));
            let is_other = compared().all(|order| order != Ok(Ordering::Equal));
            if is_other && compared().all(|order| order.is_ok()) {
                met.push(*thread);
            }
            is_other
        });
        threads
    }
}

/// Collects the files of one process.
struct Reader<'d> {
    process: &'d Process,
    directory: &'d Directory,
    files: Vec<HeldFile>,
    /// The descriptors that were read: number, device and inode. Threads usually have those of the process.
    descriptors: HashSet<(u32, u64, u64)>,
    /// The position of a file in `files`.
    places: HashMap<FileIdentity, usize>,
    /// Mapped files that could not be reached: device, inode, path and reason.
    unreachable: Vec<(Device, u64, PathBuf, Absent)>,
    /// Open files that could not be reached.
    unreached: Vec<(PathBuf, Errno)>,
}

impl Reader<'_> {
    fn read_mapped(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        self.directory.open_file("maps")?.read_to_end(&mut text)?;
        let mut last = None;
        for head in text.split(|byte| *byte == b'\n').filter_map(parse_mapped_file) {
            // A file is usually mapped several times in a row.
            let file = (head.device, head.inode, head.name);
            if last != Some(file) {
                last = Some(file);
                self.add_mapped(&head);
            }
        }
        Ok(())
    }

    fn add_mapped(&mut self, head: &Head<'_>) {
        let name = path_of(head.name);
        let mapped = open_mapped(self.directory, &Place::of_head(head));
        match mapped.and_then(|file| file.prove_layer(self.process).map(|()| file)) {
            Ok(file) if file.is_regular() => {
                let target = self.directory.read_link(&file.link).ok().filter(|_| file.way() == Way::MapFiles);
                self.add(target.unwrap_or(name), file.link.clone(), file.identity(), Some(head.device));
            }
            Ok(_) => {}
            Err(absent) => self.unreachable.push((head.device, head.inode, name, absent)),
        }
    }

    fn read_open(&mut self) -> io::Result<()> {
        self.read_descriptors("fd")?;
        for thread in self.process.threads_with_other_files() {
            // A thread may end at any time.
            let _ = self.read_descriptors(&format!("task/{thread}/fd"));
        }
        Ok(())
    }

    fn read_descriptors(&mut self, table: &str) -> io::Result<()> {
        for number in self.directory.read_numbers(table)? {
            let link = PathBuf::from(format!("{table}/{number}"));
            // A descriptor may be closed at any time.
            let Ok(found) = self.directory.look(&link) else { continue };
            let (device, inode) = found.identity;
            if !found.is_regular() || !self.descriptors.insert((number, device, inode)) {
                continue;
            }
            let served = self.directory.served_descriptor(&link, device);
            let identity = self.directory.open_name(&link, served).and_then(|name| {
                let stat = name.stat()?;
                Ok(FileIdentity::of(&name, &stat))
            });
            let Ok(path) = self.directory.read_link(&link) else { continue };
            match identity {
                Ok(identity) => self.add(path, link, identity, None),
                // It was closed meanwhile.
                Err(Errno::ENOENT | Errno::ESRCH) => {}
                Err(errno) => self.unreached.push((path, errno)),
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, link: PathBuf, identity: FileIdentity, device: Option<Device>) {
        let held = if device.is_some() { Held::Mapped } else { Held::Open };
        let known = self.places.get(&identity).and_then(|place| self.files.get_mut(*place));
        match known {
            Some(file) => file.held = file.held.and(held),
            None => {
                self.places.insert(identity, self.files.len());
                self.files.push(HeldFile { path, link, identity, device, held });
            }
        }
    }

    /// The files, and those that could not be reached even through a descriptor, each once.
    fn finish(mut self) -> (Vec<HeldFile>, Vec<Error>) {
        let (mut failed, mut seen) = (HashSet::new(), HashSet::new());
        let mut failures: Vec<Error> = Vec::new();
        for (path, errno) in &self.unreached {
            if failed.insert((path.as_path(), *errno as i32)) {
                failures.push(Error::errno(Subject::Path(path.clone()), *errno));
            }
        }
        let mut by_path: HashMap<&Path, Vec<usize>> = HashMap::new();
        for (number, held) in self.files.iter().enumerate().filter(|_| !self.unreachable.is_empty()) {
            by_path.entry(&held.path).or_default().push(number);
        }
        let mut both = Vec::new();
        for (device, inode, path, absent) in &self.unreachable {
            let place = Place { start: 0, end: 0, device: *device, inode: *inode, path: &[] };
            let is_it = |number: &&usize| {
                self.files.get(**number).is_some_and(|held| is_at(self.directory, &held.link, &place))
            };
            let is_copied = absent.reason == Reason::Changed;
            let named = by_path.get(path.as_path()).filter(|_| !is_copied).into_iter().flatten();
            match named.into_iter().find(is_it) {
                Some(number) => both.push(*number),
                None if seen.insert((path.as_path(), *absent)) => failures.push(unreachable(path, *absent)),
                None => {}
            }
        }
        for number in both {
            if let Some(held) = self.files.get_mut(number) {
                held.held = Held::Both;
            }
        }
        (self.files, failures)
    }
}

fn unreachable(path: &Path, absent: Absent) -> Error {
    let run = run_as_root().unwrap_or("even root needs CAP_CHECKPOINT_RESTORE");
    let advice = format!("{run} to open any mapped file");
    match absent.reason {
        Reason::Denied => Error::path(path, ErrorKind::Denied, "it is mapped, but cannot be opened as the mapped file")
            .with_advice(advice),
        Reason::Vanished if absent == GONE => {
            Error::path(path, ErrorKind::Denied, "it is mapped, but no longer has this name").with_advice(advice)
        }
        Reason::Vanished => Error::absent(Subject::Path(path.to_owned()), absent),
        reason => {
            let kind = if reason == Reason::Changed { ErrorKind::Changed } else { ErrorKind::Unsupported };
            Error::path(path, kind, format!("it is mapped, but {}", absent.why))
        }
    }
}

/// A line of `maps`, if its mapping has a file.
fn parse_mapped_file(line: &[u8]) -> Option<Head<'_>> {
    parse_head(line).ok().filter(|head| head.has_file() && head.name.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_files_that_cannot_be_reached_are_named_once_each_without_delay() {
        let process = Process::own().unwrap();
        let device = Device { major: 8, minor: 1 };
        let denied = Absent::new(Reason::Denied, "no");
        let own = Handle::Own(std::fs::File::open("/dev/null").unwrap().into());
        let file = |number: u64| HeldFile {
            path: format!("/held/{number}").into(),
            link: format!("fd/{number}").into(),
            identity: FileIdentity::on(&own, (1, number), false),
            device: None,
            held: Held::Open,
        };
        const COUNT: u64 = 20_000;
        let twice = || (0..COUNT).chain(0..COUNT);
        let reader = Reader {
            process: &process,
            directory: &process.directory,
            files: (0..COUNT).map(file).collect(),
            descriptors: HashSet::new(),
            places: HashMap::new(),
            unreachable: twice().map(|number| (device, number, format!("/a/{number}").into(), denied)).collect(),
            unreached: twice().map(|number| (format!("/b/{number}").into(), Errno::EIO)).collect(),
        };
        let begun = std::time::Instant::now();
        let (files, failures) = reader.finish();
        assert_eq!((files.len() as u64, failures.len() as u64), (COUNT, 2 * COUNT));
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "it took {:?}", begun.elapsed());
    }

    #[test]
    fn only_mappings_of_files_are_taken() {
        let line = br"7f0000000000-7f0000002000 r--s 00000000 fe:00 4711    /tmp/a\012b (deleted)";
        let file = parse_mapped_file(line).unwrap();
        assert_eq!((file.inode, path_of(file.name)), (4711, "/tmp/a\nb (deleted)".into()));
        for line in [
            &b"7f0000000000-7f0000002000 rw-p 00000000 00:00 0"[..],
            b"7f0000000000-7f0000002000 rw-p 00000000 00:00 0      [heap]",
            b"7f0000000000-7f0000002000 rw-p 00000000 00:0f 88     anon_inode:[io_uring]",
            b"",
        ] {
            assert!(parse_mapped_file(line).is_none(), "{}", line.escape_ascii());
        }
    }
}
