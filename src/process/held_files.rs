//! The regular files that a process holds: those that it maps, and those that it has open.
//!
//! They are named as the process sees them and reached through its own links in `/proc` (`map_files`, `fd`), which lead
//! to the file itself: deleted ones and those of another mount namespace are found, and none that has taken their place.

use std::collections::HashMap;
use std::ffi::{CString, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::open;
use crate::process::head::parse_head;
use crate::process::identity::read_stat;
use crate::process::mapping::Device;
use crate::process::read::{place_of_memory, read_error};
use crate::process::root::{ProcRoot, ProcessDir};

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
    /// In one word, as tables and JSON write it.
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
    identity: (u64, u64),
    held: Held,
}

impl HeldFile {
    /// Its name as the process sees it; the kernel adds ` (deleted)` where it has none any more.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its device and inode, from `stat`.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// How it is held.
    pub fn held(&self) -> Held {
        self.held
    }
}

/// The files that a process holds, each once: the mapped ones in the order of their addresses, then those that are only
/// open in the order of their descriptors.
#[derive(Debug)]
pub struct HeldFiles {
    directory: ProcessDir,
    files: Vec<HeldFile>,
    failures: Vec<Error>,
}

impl HeldFiles {
    /// The files.
    pub fn iter(&self) -> std::slice::Iter<'_, HeldFile> {
        self.files.iter()
    }

    /// What is held and cannot be reached, and why.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// Opens one for reading: the file itself, with a description of our own, so that nothing changes for the process.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`]: the process does not hold it there any more. Else those of `open(2)`.
    pub fn open(&self, file: &HeldFile) -> Result<OwnedFd> {
        let fail = |errno| Error::errno(Subject::Path(file.path.clone()), errno);
        let link = CString::new(file.link.as_os_str().as_encoded_bytes()).map_err(|_| fail(Errno::EINVAL))?;
        let quiet = match open::quietly_at(self.directory.as_fd(), &link, true) {
            Ok(quiet) => quiet,
            Err(Errno::ENOENT | Errno::ESRCH | Errno::ENXIO) => return Err(let_go(file)),
            Err(errno) => return Err(fail(errno)),
        };
        match fstat(&quiet.file).map_err(fail)? {
            stat if identity(&stat) == file.identity => Ok(quiet.file.into()),
            _ => Err(let_go(file)),
        }
    }
}

impl<'f> IntoIterator for &'f HeldFiles {
    type Item = &'f HeldFile;
    type IntoIter = std::slice::Iter<'f, HeldFile>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn let_go(file: &HeldFile) -> Error {
    Error::path(&file.path, ErrorKind::Changed, "the process let go of it before it could be measured")
}

/// Reads which files `pid` holds. Nothing that it holds is opened: FIFOs, sockets and devices are left out.
///
/// # Errors
/// [`ErrorKind::NotFound`]: no such process. [`ErrorKind::Denied`]: another user's process.
/// [`ErrorKind::Unsupported`]: a kernel thread, a zombie, or a process in a capture.
pub fn read_held_files(root: &ProcRoot, pid: u32) -> Result<HeldFiles> {
    if !root.is_live() {
        return Err(Error::pid(pid, ErrorKind::Unsupported, "a capture has no files"));
    }
    let directory = ProcessDir::open(root, pid)?;
    let stat = read_stat(&directory)?;
    // The files of a process whose first thread has ended are those of a thread that is left.
    let thread = PathBuf::from(place_of_memory(root, pid, stat.as_ref())?);
    let mut reader =
        Reader { directory: &directory, thread, files: Vec::new(), places: HashMap::new(), lost: Vec::new() };
    reader.read_mapped().map_err(|error| read_error(pid, &error))?;
    reader.read_open().map_err(|error| read_error(pid, &error))?;
    let (files, failures) = reader.finish();
    Ok(HeldFiles { directory, files, failures })
}

/// A file behind a mapping, as `maps` names it.
struct MappedFile {
    device: Device,
    inode: u64,
    name: Vec<u8>,
    range: (u64, u64),
}

/// Collects the files of one process.
struct Reader<'d> {
    directory: &'d ProcessDir,
    /// The directory of the thread to look at, below that of the process; empty for the process itself.
    thread: PathBuf,
    files: Vec<HeldFile>,
    /// Where in `files` a file is.
    places: HashMap<(u64, u64), usize>,
    /// Mapped files that could not be reached.
    lost: Vec<MappedFile>,
}

impl Reader<'_> {
    fn read_mapped(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        let maps = self.thread.join("maps");
        self.directory.open_file(&maps.to_string_lossy())?.read_to_end(&mut text)?;
        let mut last = (Device::default(), 0);
        for file in text.split(|byte| *byte == b'\n').filter_map(parse_mapped_file) {
            // A file is most often mapped several times in a row.
            if last != (file.device, file.inode) {
                last = (file.device, file.inode);
                self.add_mapped(file);
            }
        }
        Ok(())
    }

    /// Finds the file behind a mapping: through its link, which needs privileges, or under its name in the process's own
    /// view of the file systems, if it still has the inode that is mapped.
    fn add_mapped(&mut self, file: MappedFile) {
        let link = PathBuf::from(format!("map_files/{:x}-{:x}", file.range.0, file.range.1));
        match self.stat(&link) {
            Ok(stat) => {
                let path = self.read_link(&link).unwrap_or_else(|| PathBuf::from(OsString::from_vec(file.name)));
                self.add(path, link, &stat, Held::Mapped);
            }
            Err(_) => {
                let name = OsString::from_vec(file.name.clone());
                let link = self.thread.join("root").join(Path::new(&name).strip_prefix("/").unwrap_or(Path::new("")));
                match self.stat(&link) {
                    Ok(stat) if stat.st_ino == file.inode => self.add(name.into(), link, &stat, Held::Mapped),
                    _ => self.lost.push(file),
                }
            }
        }
    }

    fn read_open(&mut self) -> io::Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fds = self.thread.join("fd");
        let mut listing = Dir::openat(self.directory, &fds, flags, Mode::empty())?;
        for entry in listing.iter() {
            let entry = entry?;
            let number = entry.file_name().to_string_lossy();
            if number.starts_with('.') {
                continue;
            }
            let link = fds.join(number.as_ref());
            // A descriptor may be closed at any time.
            if let (Ok(stat), Some(path)) = (self.stat(&link), self.read_link(&link)) {
                self.add(path, link, &stat, Held::Open);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, link: PathBuf, stat: &FileStat, held: Held) {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        if kind != SFlag::S_IFREG {
            return;
        }
        let identity = identity(stat);
        let known = self.places.get(&identity).and_then(|place| self.files.get_mut(*place));
        match known {
            Some(file) if file.held != held => file.held = Held::Both,
            Some(_) => {}
            None => {
                self.places.insert(identity, self.files.len());
                self.files.push(HeldFile { path, link, identity, held });
            }
        }
    }

    /// The files, and what could not be reached even through a descriptor.
    fn finish(mut self) -> (Vec<HeldFile>, Vec<Error>) {
        let mut failures = Vec::new();
        for file in self.lost {
            let path = PathBuf::from(OsString::from_vec(file.name));
            let same = |held: &&mut HeldFile| held.identity.1 == file.inode && held.path == path;
            match self.files.iter_mut().find(same) {
                Some(held) => held.held = Held::Both,
                None => failures.push(unreachable_file(&path)),
            }
        }
        (self.files, failures)
    }

    fn stat(&self, link: &Path) -> nix::Result<FileStat> {
        fstatat(self.directory, link, AtFlags::empty())
    }

    fn read_link(&self, link: &Path) -> Option<PathBuf> {
        readlinkat(self.directory, link).ok().map(PathBuf::from)
    }
}

fn unreachable_file(path: &Path) -> Error {
    Error::path(path, ErrorKind::Denied, "is mapped, but no longer under this name")
        .with_advice("run as root, who may open what a process maps")
}

fn identity(stat: &FileStat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// The file behind a line of `maps`; none where there is no file.
fn parse_mapped_file(line: &[u8]) -> Option<MappedFile> {
    let head = parse_head(line).ok()?;
    let is_file = head.inode != 0 && head.name.starts_with(b"/");
    is_file.then(|| MappedFile {
        device: head.device,
        inode: head.inode,
        name: unescape(head.name),
        range: (head.start, head.end),
    })
}

/// Undoes the one escape of `maps`: a newline is written as `\012`.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(place) = memchr::memmem::find(rest, br"\012") {
        let (before, after) = rest.split_at(place);
        plain.extend_from_slice(before);
        plain.push(b'\n');
        rest = after.get(4..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mappings_of_files_are_taken() {
        let line = br"7f0000000000-7f0000002000 r--s 00000000 fe:00 4711    /tmp/a\012b (deleted)";
        let file = parse_mapped_file(line).unwrap();
        assert_eq!((file.inode, file.range), (4711, (0x7f00_0000_0000, 0x7f00_0000_2000)));
        assert_eq!(file.name, b"/tmp/a\nb (deleted)");
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
