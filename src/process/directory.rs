//! A directory below `/proc`, held open. Names are looked up in it, never in the path it was opened by.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::NixPath;
use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};

/// An open directory. A clone is the same descriptor.
#[derive(Debug, Clone)]
pub(super) struct Directory(Arc<OwnedFd>);

const PATH_ONLY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

impl Directory {
    pub(super) fn open(path: &Path) -> nix::Result<Directory> {
        open(path, PATH_ONLY, Mode::empty()).map(|fd| Directory(Arc::new(fd)))
    }

    /// Opens a directory below this one, or `..`.
    pub(super) fn open_directory(&self, path: &str) -> nix::Result<Directory> {
        openat(self, path, PATH_ONLY, Mode::empty()).map(|fd| Directory(Arc::new(fd)))
    }

    /// Opens a file for reading.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        // A capture may hold anything: a FIFO or a device is not opened at all.
        let is_regular = |stat: &FileStat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        if !is_regular(&fstatat(self, name, AtFlags::empty())?) {
            return Err(io::Error::other(format!("its {name} is not a regular file")));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::from(openat(self, name, flags, Mode::empty())?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other(format!("its {name} is not a regular file"))),
        }
    }

    /// Opens a descriptor that only names a file and cannot be read from (`O_PATH`). Links of `/proc` are followed.
    pub(super) fn open_name(&self, path: &Path) -> nix::Result<OwnedFd> {
        openat(self, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
    }

    /// The target of a link.
    pub(super) fn read_link<P: ?Sized + NixPath>(&self, path: &P) -> io::Result<PathBuf> {
        Ok(readlinkat(self, path)?.into())
    }

    /// The first `most` bytes of a file.
    pub(super) fn read_file(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The entries of a directory below this one whose names are numbers.
    pub(super) fn read_numbers(&self, path: &str) -> io::Result<Vec<u32>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut listing = Dir::openat(self, path, flags, Mode::empty())?;
        let mut numbers = Vec::new();
        for entry in listing.iter() {
            numbers.extend(entry?.file_name().to_str().ok().and_then(parse_pid));
        }
        Ok(numbers)
    }
}

/// The pid that a text is: decimal digits only.
pub fn parse_pid(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.starts_with(|first: char| first.is_ascii_digit()))
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
