//! Where a path leads, which its text need not tell: `/proc/PID/root/x`, a link to it, and `.` in a directory over
//! which something was mounted since lead to other files.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::FileStat;

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::kernel::handle::Handle;
use crate::kernel::mount_table;
use crate::kernel::whereabouts::{locate, open_name};

/// The absolute path without symbolic links that leads to the same file. If there is none: the path as it was typed.
///
/// # Errors
/// It cannot be found, or is nothing that has cached pages.
pub(super) fn real_path(path: &Path) -> Result<PathBuf> {
    let (real, found) = resolve(path).map_err(|error| Error::io(Subject::Path(path.to_owned()), &error))?;
    let Some(stat) = found else { return Ok(real) };
    let why = match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFBLK => return Ok(real),
        libc::S_IFDIR if stat.st_nlink == 0 => "a removed directory, below which there is nothing",
        libc::S_IFDIR => return Ok(real),
        libc::S_IFIFO => "a pipe, which has no cached pages",
        libc::S_IFSOCK => "a socket, which has no cached pages",
        libc::S_IFCHR => "a character device, which has no cached pages",
        _ => "a kernel object and not a file, so it has no cached pages",
    };
    Err(Error::path(path, ErrorKind::Unsupported, why))
}

/// The path, and the state of what is there, unless a server would have to be asked.
fn resolve(path: &Path) -> io::Result<(PathBuf, Option<FileStat>)> {
    let far = locate(path)?;
    if let Some(far) = far.as_ref().filter(|far| is_blocking(far.path())) {
        // It was resolved without asking for what is at its end.
        return Ok((far.path().to_owned(), None));
    }
    let found = far.map_or_else(|| open_name(path), |far| far.open(OFlag::O_PATH))?;
    let (lead, stat) = (Lead::of(&found), found.stat()?);
    let real = path.canonicalize().ok().filter(|real| lead.is_none() || Lead::find(real) == lead);
    Ok((real.unwrap_or_else(|| path.to_owned()), Some(stat)))
}

/// Whether a path is on a file system that may not answer.
fn is_blocking(path: &Path) -> bool {
    mount_table::own().blocking_above(path).is_some()
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    /// The number of the mount.
    pub(super) mount: u64,
    /// The path from the root directory of this process, or if it is not below that, of the mount namespace.
    pub(super) path: Vec<u8>,
    /// The device and the inode number, as `stat` has them.
    pub(super) identity: (u64, u64),
    /// Whether it is a regular file.
    pub(super) is_file: bool,
    /// Whether it is a directory.
    pub(super) is_directory: bool,
    /// Whether its last name was removed, or it never had one. It is then reached through a descriptor of a process.
    pub(super) is_removed: bool,
}

impl Lead {
    fn of(found: &Handle) -> Option<Lead> {
        let mount = str::from_utf8(&found.mount()?).ok()?.parse().ok()?;
        let stat = found.stat().ok()?;
        let kind = stat.st_mode & libc::S_IFMT;
        Some(Lead {
            mount,
            path: found.link()?.into_os_string().into_vec(),
            identity: (stat.st_dev, stat.st_ino),
            is_file: kind == libc::S_IFREG,
            is_directory: kind == libc::S_IFDIR,
            is_removed: stat.st_nlink == 0,
        })
    }

    /// Where a path leads; `None` also if a server would have to be asked.
    pub(super) fn find(path: &Path) -> Option<Lead> {
        match locate(path).ok()? {
            None => Lead::of(&open_name(path).ok()?),
            Some(far) if is_blocking(far.path()) => None,
            Some(far) => Lead::of(&far.open(OFlag::O_PATH).ok()?),
        }
    }
}
