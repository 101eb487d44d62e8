//! Where `/proc` is: the live one, or a directory that looks like one. A value, so that a captured machine is read by
//! the same code; and one process's directory below it, held open.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};

use crate::error::{Error, ErrorKind, Result, Subject};

/// A live `/proc` or a directory that looks like one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcRoot {
    path: PathBuf,
}

impl ProcRoot {
    /// The `/proc` of this machine.
    pub fn live() -> ProcRoot {
        ProcRoot::at(PathBuf::from("/proc"))
    }

    /// The directory `path`: another mount of proc, or a capture.
    pub fn at(path: PathBuf) -> ProcRoot {
        ProcRoot { path }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file of one process: `/proc/4690/smaps`.
    pub fn pid_path(&self, pid: u32, file: &str) -> PathBuf {
        self.path.join(pid.to_string()).join(file)
    }

    /// Whether a kernel answers here: the file system is proc. A capture, or a directory that cannot be looked at, is
    /// not live.
    pub fn is_live(&self) -> bool {
        statfs(&self.path).is_ok_and(|found| found.filesystem_type() == PROC_SUPER_MAGIC)
    }
}

/// The numbers of all processes, in no order.
///
/// # Errors
/// What reading the directory answers.
pub fn read_pids(root: &ProcRoot) -> Result<Vec<u32>> {
    let subject = || Subject::Path(root.path().to_owned());
    let entries = std::fs::read_dir(root.path()).map_err(|error| Error::io(subject(), &error))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The directory of one process, held open: everything read through it is of that process. When the process is gone
/// and its number given to another, a live kernel answers `ESRCH` or `ENOENT` here, never the other process's figures.
#[derive(Debug)]
pub(super) struct ProcessDir {
    directory: OwnedFd,
    pub(super) pid: u32,
}

impl AsFd for ProcessDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl ProcessDir {
    pub(super) fn open(root: &ProcRoot, pid: u32) -> Result<ProcessDir> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match open(&root.path().join(pid.to_string()), flags, Mode::empty()) {
            Ok(directory) => Ok(ProcessDir { directory, pid }),
            Err(Errno::ENOENT | Errno::ESRCH) if root.path().is_dir() => Err(no_such_process(root, pid)),
            Err(Errno::ENOENT) => {
                Err(not_mounted(root)
                    .unwrap_or_else(|| Error::path(root.path(), ErrorKind::NotFound, "no such directory")))
            }
            Err(errno) => Err(Error::errno(Subject::Path(root.path().join(pid.to_string())), errno)),
        }
    }

    /// Opens a file of the process for reading.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        // A capture may hold anything: a FIFO must not block, a terminal must not be taken over.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::from(openat(&self.directory, name, flags, Mode::empty())?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other(format!("its {name} is not a regular file"))),
        }
    }

    /// A file below the directory as a name that cannot be read from (`O_PATH`), and what it is. The last component is
    /// followed where it is a link of proc's own, as all of `map_files` are.
    pub(super) fn open_name(&self, path: &Path) -> io::Result<(OwnedFd, nix::libc::stat)> {
        let name = openat(&self.directory, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        let stat = nix::sys::stat::fstat(&name)?;
        Ok((name, stat))
    }

    /// Where a link of the process points.
    pub(super) fn read_link(&self, name: &str) -> io::Result<PathBuf> {
        Ok(nix::fcntl::readlinkat(&self.directory, name)?.into())
    }

    /// The first `most` bytes of a file of the process.
    pub(super) fn read_file(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The kernel's answers are missing: `/proc` is there as a directory, or not even that, and nothing is mounted on it.
/// Absent where something is, and for a capture.
pub(super) fn not_mounted(root: &ProcRoot) -> Option<Error> {
    let missing = *root == ProcRoot::live() && !root.is_live();
    missing.then(|| {
        Error::path(root.path(), ErrorKind::Unsupported, "it is not mounted, so the kernel cannot be asked")
            .with_advice("mount it: mount -t proc proc /proc")
    })
}

fn no_such_process(root: &ProcRoot, pid: u32) -> Error {
    if let Some(error) = not_mounted(root) {
        return error;
    }
    match root.is_live() {
        true => Error::pid(pid, ErrorKind::NotFound, "no such process"),
        false => Error::pid(pid, ErrorKind::NotFound, format!("no such process in {}", root.path().display())),
    }
}
