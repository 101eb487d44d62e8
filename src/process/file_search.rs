//! Searches what a process maps and has open for some files: the lines of `/proc/PID/maps` that may be theirs, and the
//! descriptors.
//!
//! Almost every process has none of them, so the text of `maps` is searched before any of its lines is parsed. Only
//! what may be one of the files is then opened, as a name (`O_PATH`), to be compared.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{ErrorKind, Result};
use crate::kernel::file_system::{FileSystem, FileSystemKind};
use crate::kernel::identity::{FileIdentity, PageSource};
use crate::process::directory::{Directory, parse_pid};
use crate::process::failure::read_error;
use crate::process::file_maps::FileMapping;
use crate::process::file_uses::{UseBuffers, parse_info};
use crate::process::handle::Process;
use crate::process::head::parse_head;
use crate::process::mapped_file::{absent, path_of};
use crate::units::{Absent, Figure, Reason};

/// What the lines of `maps` are searched for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Needles {
    /// Texts of which a line has one; `None`: any line is looked at.
    texts: Option<Vec<Vec<u8>>>,
}

/// With more texts than this, it is faster to parse every line.
const MOST_TEXTS: usize = 4;

impl Needles {
    /// The lines with one of these inode numbers, or on one of these devices.
    pub(crate) fn new(inodes: &[u64], devices: &[(u32, u32)]) -> Needles {
        let inodes = inodes.iter().map(|inode| format!(" {inode} ").into_bytes());
        let devices = devices.iter().map(|(major, minor)| format!(" {major:02x}:{minor:02x} ").into_bytes());
        let texts: Vec<Vec<u8>> = inodes.chain(devices).collect();
        Needles { texts: (texts.len() <= MOST_TEXTS).then_some(texts) }
    }

    /// Every line.
    pub(crate) fn any() -> Needles {
        Needles::default()
    }

    /// Calls `each` with the mappings of files in the lines that have one of the texts, in order.
    fn each_mapping(&self, text: &[u8], each: &mut dyn FnMut(FileMapping)) {
        let mut take = |line: &[u8]| {
            if let Ok(head) = parse_head(line)
                && head.has_file()
            {
                each(FileMapping::of_head(&head));
            }
        };
        let Some(texts) = &self.texts else {
            return text.split(|byte| *byte == b'\n').for_each(take);
        };
        let mut found: Vec<usize> = texts.iter().flat_map(|needle| memchr::memmem::find_iter(text, needle)).collect();
        found.sort_unstable();
        let mut done = 0;
        for place in found {
            if place < done {
                continue;
            }
            let start = text.get(..place).and_then(|before| memchr::memrchr(b'\n', before)).map_or(0, |end| end + 1);
            let rest = text.get(start..).unwrap_or_default();
            let line = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or_default();
            done = start + line.len();
            take(line);
        }
    }
}

/// A descriptor of a process, as far as that is known without opening it.
#[derive(Debug, Clone)]
pub(crate) struct Descriptor {
    /// `fd/3`, or `task/17/fd/3` of a thread with descriptors of its own.
    link: String,
    /// The device, as `fstat` gives it; `None` in a capture.
    pub(crate) device: Option<u64>,
    /// The inode number; `None` in a capture of a kernel that does not tell (before 5.14).
    pub(crate) inode: Option<u64>,
}

/// The text that the kernel has about a descriptor.
#[derive(Debug, Clone, Default)]
pub(crate) struct DescriptorText {
    /// The target of the link: a path as this process sees it.
    pub(crate) path: Vec<u8>,
    /// The number of the mount.
    pub(crate) mount: Option<u64>,
    /// Whether it is open for writing.
    pub(crate) is_writable: bool,
    /// Whether it only names the file (`O_PATH`), which is then not open.
    pub(crate) is_name: bool,
}

/// A file that was opened as a name, to be compared.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    pub(crate) identity: FileIdentity,
    /// Which file of a layer has its pages, if it is on overlayfs.
    pub(crate) source: Option<PageSource>,
    /// Whether it is on overlayfs or the like.
    pub(crate) is_stacked: bool,
}

/// Where a process shows what it holds, and its `maps`.
pub(crate) struct ShownFiles<'p> {
    process: &'p Process,
    directory: Directory,
}

impl Process {
    /// Reads `maps` and calls `each` with the mappings that the needles find; returns the place where its descriptors
    /// are, which is `None` for a kernel thread or a zombie.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]: another user's process. [`ErrorKind::NotFound`]: it has exited.
    pub(crate) fn search_maps(
        &self,
        needles: &Needles,
        buffers: &mut UseBuffers,
        each: &mut dyn FnMut(FileMapping),
    ) -> Result<Option<ShownFiles<'_>>> {
        let fail = |error: io::Error| read_error(self.pid(), &error);
        let mut directory = self.directory.clone();
        buffers.maps.clear();
        self.read_any_maps(&directory, &mut buffers.maps).map_err(fail)?;
        if buffers.maps.is_empty() {
            // A kernel thread, a zombie, or a process whose first thread has exited.
            directory = match self.memory() {
                Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
                found => found?.directory,
            };
            self.read_any_maps(&directory, &mut buffers.maps).map_err(fail)?;
        }
        needles.each_mapping(&buffers.maps, each);
        Ok(Some(ShownFiles { process: self, directory }))
    }

    /// Reads `maps`; of a capture that does not have it, smaps, which has the same lines among others.
    fn read_any_maps(&self, directory: &Directory, text: &mut Vec<u8>) -> io::Result<()> {
        self.read_maps(directory, text)?;
        if text.is_empty() && !self.is_live() {
            match directory.open_file("smaps").and_then(|mut file| file.read_to_end(text)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Process {
    /// The name of the file that a link of this process in a capture leads to, as it is seen from the root of its mount
    /// namespace: `exe`, `fd/3`, `map_files/1000-2000`, or a path below `root` or `cwd`; the same below `task/TID`.
    /// `None` if the capture does not have it, or it is no file. No other link is followed.
    ///
    /// # Errors
    /// As [`Process::search_maps`].
    pub(crate) fn read_captured_name(&self, link: &Path) -> Result<Option<Vec<u8>>> {
        let (above, link) = split_thread(link);
        let mut parts = link.iter();
        let read = |link: &str| match self.directory.read_link(format!("{above}{link}").as_str()) {
            // There is none, or what a damaged capture has there is no link.
            Err(error) if is_no_link(&error) => Ok(None),
            read => read.map(Some).map_err(|error| read_error(self.pid(), &error)),
        };
        let (first, rest) = (parts.next().and_then(OsStr::to_str), parts.as_path());
        let number = || parse_pid(rest.to_str()?);
        // Archives have `//` as the link to the root directory.
        let below = |directory: PathBuf| directory.join(rest).components().collect::<PathBuf>();
        let name = match first {
            Some("root") => Some(below(read("root")?.unwrap_or_else(|| "/".into()))),
            Some("cwd") => read("cwd")?.map(below),
            Some("exe") if rest.as_os_str().is_empty() => read("exe")?,
            Some("fd") => {
                let found = number().map_or(Ok(None), |number| read(&format!("fd/{number}")))?;
                if found.is_none() {
                    // All of them may be denied.
                    read("fd")?;
                }
                found
            }
            Some("map_files") => {
                let mut found = None;
                self.search_maps(&Needles::any(), &mut UseBuffers::default(), &mut |mapping| {
                    let (start, end) = (mapping.addresses.start, mapping.addresses.end);
                    if rest.as_os_str() == format!("{start:x}-{end:x}").as_str() {
                        found = Some(path_of(&mapping.path));
                    }
                })?;
                found
            }
            _ => None,
        };
        Ok(name.map(|name| name.into_os_string().into_vec()).filter(|name| name.starts_with(b"/")))
    }
}

impl Process {
    /// The number of the mount and of the inode of a descriptor in a capture: `fd/3`, or the same below `task/TID`.
    /// `None` if the capture does not tell (new in Linux 5.14).
    pub(crate) fn read_captured_numbers(&self, link: &Path) -> Option<(u64, u64)> {
        let (above, link) = split_thread(link);
        let number = parse_pid(link.strip_prefix("fd").ok()?.to_str()?)?;
        let info = self.directory.read_file(&format!("{above}fdinfo/{number}"), INFO).ok()?;
        let (mount, inode) = parse_info(&info)?;
        Some((mount, inode?))
    }
}

/// Splits a link of a process into the part that leads to a thread, `task/17/` or nothing, and the rest.
fn split_thread(link: &Path) -> (String, &Path) {
    let mut parts = link.iter();
    let is_below = parts.next().is_some_and(|first| first == "task");
    match parts.next().filter(|_| is_below).and_then(|thread| parse_pid(thread.to_str()?)) {
        Some(thread) => (format!("task/{thread}/"), parts.as_path()),
        None => (String::new(), link),
    }
}

impl ShownFiles<'_> {
    /// Calls `each` with every descriptor of the process, and of threads with others.
    ///
    /// # Errors
    /// As [`Process::search_maps`].
    pub(crate) fn each_descriptor(&self, each: &mut dyn FnMut(Descriptor)) -> Result<()> {
        match self.each_of_table("fd", each) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.process.is_live() => return Ok(()),
            read => read.map_err(|error| read_error(self.process.pid(), &error))?,
        }
        for thread in self.process.threads_with_other_files() {
            // A thread may end at any time.
            let _ = self.each_of_table(&format!("task/{thread}/fd"), each);
        }
        Ok(())
    }

    fn each_of_table(&self, table: &str, each: &mut dyn FnMut(Descriptor)) -> io::Result<()> {
        for number in self.directory.read_numbers(table)? {
            let link = format!("{table}/{number}");
            if !self.process.is_live() {
                // The links of a capture lead to files of this machine.
                let info = self.directory.read_file(&format!("{table}info/{number}"), INFO).unwrap_or_default();
                let inode = parse_info(&info).and_then(|(_, inode)| inode);
                each(Descriptor { link, device: None, inode });
            } else if let Ok(found) = self.directory.look(Path::new(&link)) {
                // Otherwise it was closed meanwhile.
                let (device, inode) = found.identity;
                each(Descriptor { link, device: Some(device), inode: Some(inode) });
            }
        }
        Ok(())
    }

    /// The text about a descriptor; `None` if it was closed.
    pub(crate) fn describe(&self, descriptor: &Descriptor) -> Option<DescriptorText> {
        let path = self.directory.read_link(descriptor.link.as_str()).ok()?;
        let (table, number) = descriptor.link.rsplit_once('/')?;
        let info = self.directory.read_file(&format!("{table}info/{number}"), INFO).ok()?;
        Some(DescriptorText {
            path: path.as_os_str().as_bytes().to_vec(),
            mount: parse_info(&info).map(|(mount, _)| mount),
            is_writable: matches!(flags(&info) & ACCESS, 1 | 2),
            is_name: flags(&info) & PATH_ONLY != 0,
        })
    }

    /// What identifies the file of a descriptor; `None` if it was closed meanwhile.
    ///
    /// # Errors
    /// Its file system does not answer, or does not let this user ask.
    pub(crate) fn compare(&self, descriptor: &Descriptor) -> Figure<Option<Compared>> {
        let link = Path::new(&descriptor.link);
        let open = || {
            let served = self.directory.served_descriptor(link, descriptor.device.ok_or(Errno::ENOENT)?);
            let name = self.directory.open_name(link, served)?;
            let stat = name.stat()?;
            let is_stacked = FileSystem::of_handle(&name).is_ok_and(|on| matches!(on.kind, FileSystemKind::Stacked(_)));
            let source = is_stacked.then(|| PageSource::of(&name, true)).flatten();
            Ok(Compared { identity: FileIdentity::of(&name, &stat), source, is_stacked })
        };
        match open() {
            Ok(compared) => Ok(Some(compared)),
            // A process that asks in place of this one, or of another rmap, has the file open for a moment only.
            Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
            Err(errno) => Err(why_unlooked(errno)),
        }
    }

    /// The process.
    pub(crate) fn process(&self) -> &Process {
        self.process
    }

    /// A path through which this process can open the file of a descriptor.
    pub(crate) fn path_to(&self, descriptor: &Descriptor) -> PathBuf {
        self.process.root().path().join(format!("{}/{}", self.process.pid(), descriptor.link))
    }
}

const DENIED: Absent = Absent::new(Reason::Denied, "this user may not look at a file that it has open");

/// Why the file of a descriptor is not known. No other link leads to it, so there is no advice.
fn why_unlooked(errno: Errno) -> Absent {
    if matches!(errno, Errno::EPERM | Errno::EACCES) { DENIED } else { absent(errno) }
}

/// Whether there is no link of that name.
fn is_no_link(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOENT | Errno::ENOTDIR | Errno::EINVAL))
}

/// `fdinfo` of a regular file is shorter, unless it is locked.
const INFO: u64 = 4096;

/// `O_ACCMODE`: 1 is `O_WRONLY` and 2 `O_RDWR`, on every machine.
const ACCESS: u64 = 3;

/// `O_PATH`.
const PATH_ONLY: u64 = nix::libc::O_PATH as u64;

/// The flags in a text of `fdinfo`, which are octal; 0 if it has none.
fn flags(info: &[u8]) -> u64 {
    let line = info.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"flags:"));
    line.and_then(|line| u64::from_str_radix(str::from_utf8(line.trim_ascii()).ok()?, 8).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"1000-3000 r--s 00002000 fe:00 77    /a b\n3000-4000 rw-p 00000000 00:00 0 \nnonsense\n\
                          5000-6000 r-xp 00000000 fe:01 77    /c\n6000-7000 r-xp 00000000 fe:01 8    /x 77 y\n\
                          7000-8000 r--p 00000000 00:3c 9    /o\n";

    fn found(needles: &Needles) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        needles.each_mapping(TEXT, &mut |mapping| found.push((mapping.addresses.start, mapping.inode)));
        found
    }

    #[test]
    fn lines_that_may_be_of_a_file_are_found_in_order_and_once() {
        // The third line has the number in its name: it is looked at and does not have that inode.
        assert_eq!(found(&Needles::new(&[77], &[])), [(0x1000, 77), (0x5000, 77), (0x6000, 8)]);
        assert_eq!(found(&Needles::new(&[7], &[])), []);
        assert_eq!(found(&Needles::new(&[9, 8], &[(0, 0x3c)])), [(0x6000, 8), (0x7000, 9)]);
        let all = [(0x1000, 77), (0x5000, 77), (0x6000, 8), (0x7000, 9)];
        assert_eq!(found(&Needles::any()), all);
        assert_eq!(found(&Needles::new(&[1, 2, 3, 4, 5], &[])), all, "every line is looked at");
    }

    #[test]
    fn a_descriptor_that_may_not_be_looked_at_has_a_reason_of_its_own() {
        for errno in [Errno::EPERM, Errno::EACCES] {
            let absent = why_unlooked(errno);
            assert_eq!((absent.reason, absent.why.contains("map_files")), (Reason::Denied, false));
        }
        assert_eq!(why_unlooked(Errno::ETIMEDOUT), Absent::SILENT);
    }

    #[test]
    fn flags_are_octal() {
        assert_eq!(flags(b"pos:\t0\nflags:\t0100002\nmnt_id:\t24\n"), 0o100_002);
        assert_eq!((flags(b"pos:\t0\n"), flags(b"flags:\t9\n")), (0, 0));
    }

    #[test]
    fn this_process_maps_its_program_and_has_a_file_open() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        let program = std::fs::metadata("/proc/self/exe").unwrap().ino();
        let process = Process::own().unwrap();
        let mut mapped = 0;
        let needles = Needles::new(&[program], &[]);
        let shown = process.search_maps(&needles, &mut UseBuffers::default(), &mut |_| mapped += 1).unwrap().unwrap();
        assert!(mapped > 0);
        let mut open = Vec::new();
        shown.each_descriptor(&mut |found| open.push(found)).unwrap();
        let inode = file.as_file().metadata().unwrap().ino();
        let found = open.iter().find(|found| found.inode == Some(inode)).unwrap();
        let text = shown.describe(found).unwrap();
        assert_eq!((&text.path[..], text.is_writable), (file.path().as_os_str().as_bytes(), true));
        assert!(!text.is_name);
        let compared = shown.compare(found).unwrap().unwrap();
        assert_eq!((compared.identity.inode(), compared.is_stacked), (inode, false));
        assert_eq!(std::fs::metadata(shown.path_to(found)).unwrap().ino(), inode);
    }
}
