//! Where a path leads, which its text need not tell: `/proc/PID/root/x`, a link to it, and `.` in a directory over
//! which something was mounted since lead to other files.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::libc;

use crate::kernel::handle::Handle;
use crate::kernel::mount_table;
use crate::kernel::whereabouts::{locate, open_name};

/// The absolute path without symbolic links that leads to the same file. If there is none: the path as it was typed.
pub(super) fn real_path(path: &Path) -> io::Result<PathBuf> {
    let far = locate(path)?;
    if let Some(far) = far.as_ref().filter(|far| is_blocking(far.path())) {
        // It was resolved without asking for what is at its end.
        return Ok(far.path().to_owned());
    }
    let found = far.map_or_else(|| open_name(path), |far| far.open(OFlag::O_PATH))?;
    let lead = Lead::of(&found);
    match path.canonicalize().ok().filter(|real| lead.is_none() || Lead::find(real) == lead) {
        Some(real) => Ok(real),
        // The kernel shows a removed file by a name that it may have had.
        None if found.stat()?.st_nlink == 0 => Err(io::ErrorKind::NotFound.into()),
        None => Ok(path.to_owned()),
    }
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
