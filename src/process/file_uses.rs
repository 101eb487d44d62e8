//! Which files a process maps or has open, as the kernel names them: from `/proc/PID/maps`, and from the links in
//! `/proc/PID/fd` with their `fdinfo`.
//!
//! No file is opened, and nothing changes. For a descriptor whose mount is in no list, the kernel is asked for the
//! device of the file; it answers without asking a server. What the text does not say is not known: whether a
//! name was removed or ends in ` (deleted)`, and whether it is a regular file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::error::{ErrorKind, Result};
use crate::kernel::mount_table::parts;
use crate::process::directory::Directory;
use crate::process::failure::read_error;
use crate::process::handle::Process;
use crate::process::head::parse_head;
use crate::process::kind::DELETED;
use crate::process::mapped_file::path_of;

/// A file that a process maps or has open. Its paths are as this process sees them, not the one that holds the file: a
/// path that cannot be reached from here starts at the root of its mount namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileUse<'t> {
    /// What it is on, and how it is held.
    pub(crate) place: UsedIn,
    /// Its inode number: of `maps`, or `ino` of `fdinfo` (Linux 5.14 and later).
    pub(crate) inode: Option<u64>,
    /// Its name, with ` (deleted)` if that was removed.
    pub(crate) path: &'t [u8],
}

/// Where a file that is held was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsedIn {
    /// A mapping: the device of the file system, from `maps`.
    Mapping((u32, u32)),
    /// A descriptor: the number of the mount, from `fdinfo`.
    Descriptor(u64),
    /// A descriptor on a mount that is in no list: the device that `stat` gives, if it is known.
    Unlisted(Option<(u32, u32)>),
}

/// Memory that is used again for each process.
#[derive(Debug, Default)]
pub(crate) struct UseBuffers {
    pub(super) maps: Vec<u8>,
}

/// `pos`, `flags`, `mnt_id` and `ino` take less than this.
const INFO: usize = 256;

/// How much `maps` is read at a time. The kernel gives no more than a page.
const PIECE: usize = 4096;

/// A name without ` (deleted)`, if it ends so.
pub(crate) fn deleted_name(path: &[u8]) -> Option<&[u8]> {
    path.strip_suffix(DELETED)
}

/// The part of a path after the last slash; the whole path if that part is empty.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    path.get(start..).filter(|name| !name.is_empty()).unwrap_or(path)
}

/// The last part of a path as the kernel shows it, without the words that it adds if the name was removed.
pub(crate) fn last_name(path: &[u8]) -> &[u8] {
    base_name(deleted_name(path).unwrap_or(path))
}

impl Process {
    /// Calls `each` with the files that the process maps and has open. Those that it maps several times, or has open
    /// with several descriptors, come more than once. Kernel threads and zombies have none. `is_listed` tells whether a
    /// mount with this number is in a list of mounts.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`]: another user's process. [`ErrorKind::NotFound`]: it has exited.
    pub(crate) fn read_file_uses(
        &self,
        buffers: &mut UseBuffers,
        is_listed: &dyn Fn(u64) -> bool,
        each: &mut dyn FnMut(&FileUse<'_>),
    ) -> Result<()> {
        let fail = |error: io::Error| read_error(self.pid(), &error);
        self.read_maps(&self.directory, &mut buffers.maps).map_err(fail)?;
        if !buffers.maps.is_empty() {
            each_mapping(&buffers.maps, each);
            return self.each_open(&self.directory, is_listed, each).map_err(fail);
        }
        // A kernel thread, a zombie, or a process whose first thread has exited.
        let memory = match self.memory() {
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
            found => found?,
        };
        self.read_maps(&memory.directory, &mut buffers.maps).map_err(fail)?;
        each_mapping(&buffers.maps, each);
        self.each_open(&memory.directory, is_listed, each).map_err(fail)
    }

    /// Reads `maps`, which a capture need not have.
    pub(super) fn read_maps(&self, directory: &Directory, text: &mut Vec<u8>) -> io::Result<()> {
        text.clear();
        let mut file = match self.open_text(directory, "maps") {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_live() => return Ok(()),
            opened => opened?,
        };
        loop {
            let length = text.len();
            text.resize(length + PIECE, 0);
            let count = file.read(text.get_mut(length..).unwrap_or_default());
            text.truncate(length + count.as_ref().copied().unwrap_or(0));
            if count? == 0 {
                return Ok(());
            }
        }
    }

    /// Opens a file of the process. In a capture it may be anything, which is checked first.
    fn open_text(&self, directory: &Directory, name: &str) -> io::Result<File> {
        match self.is_live() {
            true => Ok(openat(directory, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?.into()),
            false => directory.open_file(name),
        }
    }

    fn each_open(
        &self,
        directory: &Directory,
        is_listed: &dyn Fn(u64) -> bool,
        each: &mut dyn FnMut(&FileUse<'_>),
    ) -> io::Result<()> {
        match self.each_descriptor(directory, "fd", is_listed, each) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_live() => return Ok(()),
            read => read?,
        }
        for thread in self.threads_with_other_files() {
            // A thread may end at any time.
            let _ = self.each_descriptor(directory, &format!("task/{thread}/fd"), is_listed, each);
        }
        Ok(())
    }

    fn each_descriptor(
        &self,
        directory: &Directory,
        table: &str,
        is_listed: &dyn Fn(u64) -> bool,
        each: &mut dyn FnMut(&FileUse<'_>),
    ) -> io::Result<()> {
        for number in directory.read_numbers(table)? {
            // A descriptor may be closed at any time, and then stand for another file.
            let link = format!("{table}/{number}");
            let Ok(path) = directory.read_link(link.as_str()) else { continue };
            if !path.is_absolute() {
                continue;
            }
            let mut info = [0; INFO];
            let read = self.open_text(directory, &format!("{table}info/{number}"));
            let Ok(length) = read.and_then(|mut file| file.read(&mut info)) else { continue };
            let info = info.get(..length).unwrap_or_default();
            let Some((mount, inode)) = parse_info(info) else { continue };
            let place = match is_listed(mount) {
                true => UsedIn::Descriptor(mount),
                // A capture does not have the file itself.
                false if !self.is_live() => UsedIn::Unlisted(None),
                false => UsedIn::Unlisted(directory.look(Path::new(&link)).ok().map(|known| parts(known.identity.0))),
            };
            if directory.read_link(link.as_str()).is_ok_and(|again| again == path) {
                let path = path.as_os_str().as_bytes();
                each(&FileUse { place, inode, path });
            }
        }
        Ok(())
    }
}

/// Calls `each` with the mapped files of a text of `maps`; with files that are mapped several times in a row, once.
fn each_mapping(text: &[u8], each: &mut dyn FnMut(&FileUse<'_>)) {
    let mut last = None;
    for head in text.split(|byte| *byte == b'\n').filter_map(|line| parse_head(line).ok()) {
        let file = (head.device, head.inode, head.name);
        if !head.has_file() || !head.name.starts_with(b"/") || last == Some(file) {
            continue;
        }
        last = Some(file);
        let unescaped = head.name.contains(&b'\\').then(|| path_of(head.name));
        let path = unescaped.as_deref().map_or(head.name, |path: &Path| path.as_os_str().as_bytes());
        each(&FileUse { place: UsedIn::Mapping(head.device.numbers()), inode: Some(head.inode), path });
    }
}

/// The number of the mount, and of the inode, in the text of `fdinfo`.
pub(super) fn parse_info(text: &[u8]) -> Option<(u64, Option<u64>)> {
    let value = |key: &[u8]| {
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key))?;
        str::from_utf8(line.trim_ascii()).ok()?.parse().ok()
    };
    Some((value(b"mnt_id:")?, value(b"ino:")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(process: &Process) -> Vec<(UsedIn, Option<u64>, Vec<u8>)> {
        let mut found = Vec::new();
        let mut add = |file: &FileUse<'_>| found.push((file.place, file.inode, file.path.to_vec()));
        process.read_file_uses(&mut UseBuffers::default(), &|_| true, &mut add).unwrap();
        found
    }

    #[test]
    fn the_mount_and_the_inode_are_in_the_text() {
        assert_eq!(parse_info(b"pos:\t0\nflags:\t0100000\nmnt_id:\t24\nino:\t3\n"), Some((24, Some(3))));
        assert_eq!(parse_info(b"pos:\t0\nflags:\t0100000\nmnt_id:\t24\n"), Some((24, None)));
        assert_eq!(parse_info(b"pos:\t0\n"), None);
    }

    #[test]
    fn each_mapped_file_is_given_once_for_its_run_of_mappings() {
        let text = b"1000-2000 r--p 00000000 fe:00 7    /a\\012b\n2000-3000 r-xp 00001000 fe:00 7    /a\\012b\n\
                     3000-4000 rw-p 00000000 00:00 0 \n4000-5000 rw-p 00000000 00:00 0    [heap]\n\
                     5000-6000 r--s 00000000 00:05 8    anon_inode:[x]\n\
                     6000-7000 r--s 00000000 00:01 9    /m (deleted)\n";
        let mut found = Vec::new();
        each_mapping(text, &mut |file| found.push((file.place, file.inode, file.path.to_vec())));
        assert_eq!(
            found,
            [
                (UsedIn::Mapping((0xfe, 0)), Some(7), b"/a\nb".to_vec()),
                (UsedIn::Mapping((0, 1)), Some(9), b"/m (deleted)".to_vec())
            ]
        );
        assert_eq!((deleted_name(b"/m (deleted)"), deleted_name(b"/m")), (Some(&b"/m"[..]), None));
    }

    #[test]
    fn this_process_maps_its_program_and_has_a_file_open() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = uses(&Process::own().unwrap());
        let program = std::env::current_exe().unwrap();
        let is_program = |path: &[u8]| path == program.as_os_str().as_bytes();
        assert!(found.iter().any(|(place, _, path)| matches!(place, UsedIn::Mapping(_)) && is_program(path)));
        let open = found.iter().find(|(_, _, path)| path == file.path().as_os_str().as_bytes()).unwrap();
        assert!(matches!(open.0, UsedIn::Descriptor(_)));
        assert_eq!(open.1, Some(file.as_file().metadata().unwrap().ino()));
    }

    #[test]
    fn a_capture_is_read_like_a_live_process() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("7");
        std::fs::create_dir_all(folder.join("fd")).unwrap();
        std::fs::create_dir(folder.join("fdinfo")).unwrap();
        std::fs::write(folder.join("maps"), "1000-2000 r--p 00000000 fe:00 7    /a\n").unwrap();
        std::os::unix::fs::symlink("/b", folder.join("fd/3")).unwrap();
        std::os::unix::fs::symlink("pipe:[9]", folder.join("fd/4")).unwrap();
        std::fs::write(folder.join("fdinfo/3"), "pos:\t0\nflags:\t0\nmnt_id:\t24\nino:\t8\n").unwrap();
        let root = crate::process::ProcRoot::at(top.path().to_owned());
        let found = uses(&Process::open_in(&root, 7).unwrap());
        assert_eq!(
            found,
            [(UsedIn::Mapping((0xfe, 0)), Some(7), b"/a".to_vec()), (UsedIn::Descriptor(24), Some(8), b"/b".to_vec())]
        );
    }
}
