//! Decides whether a file is opened for reading: not if that would break another process's lease, and not if this user
//! may not read it.
//!
//! A file that may not be opened is represented by a descriptor that only names it (`O_PATH`). Its size and times are
//! known, and its figures are absent with the reason.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::major;

use crate::kernel::handle::{FarPath, Handle};
use crate::kernel::leases::{self, Lease};
use crate::kernel::open::{self, Quiet};
use crate::units::{Absent, Reason};

/// The leases of other processes, which opening a file would break.
///
/// They are read once, so a lease that is taken later is broken all the same.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    by_inode: Arc<HashMap<u64, Vec<Lease>>>,
    names_denied: bool,
}

const DENIED: Absent = Absent::new(Reason::Denied, "this user may not open it");

/// A file that was opened for reading, or that is only named because it may not be opened.
pub(super) struct Opened {
    pub(super) quiet: Quiet,
    /// Why it is only named.
    pub(super) barred: Option<Absent>,
}

impl Opened {
    /// A file that is open for reading.
    pub(super) fn to_read(quiet: Quiet) -> Opened {
        Opened { quiet, barred: None }
    }

    /// A file that is only named.
    fn named(name: Handle, why: Absent) -> Opened {
        Opened { quiet: Quiet { file: name, owned: false }, barred: Some(why) }
    }
}

impl Leases {
    /// Reads the current leases from `/proc/locks`. This takes 4 to 20 ms, or longer if many files are locked, and is
    /// therefore not done for every file. Without `/proc` none are known.
    pub fn read() -> Leases {
        let mut by_inode: HashMap<u64, Vec<Lease>> = HashMap::new();
        for lease in leases::read().unwrap_or_default() {
            by_inode.entry(lease.inode).or_default().push(lease);
        }
        Leases { by_inode: Arc::new(by_inode), names_denied: false }
    }

    /// Sets whether a file that this user may not open is named instead, which is no error: the kernel's lists may have
    /// its figures.
    #[must_use]
    pub fn naming_denied(self, names_denied: bool) -> Leases {
        Leases { names_denied, ..self }
    }

    /// What an attempt to open a file led to: the file, or its name if it is to be named.
    fn opened<E>(
        &self,
        opened: Result<Quiet, E>,
        is_denial: impl Fn(&E) -> bool,
        name: impl FnOnce() -> Result<Handle, E>,
    ) -> Result<Opened, E> {
        match opened {
            Err(error) if self.names_denied && is_denial(&error) => {
                // A directory above it may be closed as well.
                name().map(|name| Opened::named(name, DENIED)).map_err(|_| error)
            }
            opened => opened.map(Opened::to_read),
        }
    }

    /// Why a file with this device and inode, as `fstat` gives them, may not be opened; `None` if it may.
    pub fn bar(&self, device: u64, inode: u64) -> Option<Absent> {
        let all = self.by_inode.get(&inode)?;
        match all.iter().find(|lease| lease.device == device) {
            Some(lease) => Some(leased("leased by", lease.pid)),
            // The device of btrfs and overlayfs is not that of the lease, so which file is meant is not certain.
            None if major(device) == 0 => all.first().map(|lease| leased("perhaps leased by", lease.pid)),
            None => None,
        }
    }

    /// The process that has leased the file with this device and inode.
    pub(super) fn holder(&self, device: u64, inode: u64) -> Option<u32> {
        let all = self.by_inode.get(&inode)?.iter();
        all.filter(|lease| lease.device == device || major(device) == 0).map(|lease| lease.pid).next()
    }

    /// Opens a file with this device and inode, or only names it. Symbolic links are followed.
    ///
    /// # Errors
    /// As `open(2)`.
    pub(super) fn open(&self, path: &Path, (device, inode): (u64, u64)) -> io::Result<Opened> {
        match self.bar(device, inode) {
            Some(why) => Ok(Opened::named(open::name(path)?, why)),
            None => self.opened(open::quietly(path), is_denied, || open::name(path)),
        }
    }

    /// The same on a file system that may not answer.
    ///
    /// # Errors
    /// As `open(2)`; `ETIMEDOUT` if it does not.
    pub(super) fn open_far(&self, path: &FarPath, (device, inode): (u64, u64)) -> Result<Opened, Errno> {
        match self.bar(device, inode) {
            Some(why) => path.open(OFlag::O_PATH).map(|name| Opened::named(name, why)),
            None => self.opened(open::quietly_far(path), denies, || path.open(OFlag::O_PATH)),
        }
    }

    /// Opens the file `name` in an open directory, or only names it. A symbolic link is followed only if `follow` is
    /// set.
    ///
    /// # Errors
    /// As `openat(2)`; `ELOOP` for a link that is not followed.
    pub(super) fn open_at(&self, directory: &Handle, name: &CStr, follow: bool) -> Result<Opened, Errno> {
        let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
        let name_of = || directory.open_at(name, link | OFlag::O_PATH);
        if !self.by_inode.is_empty() {
            let flags = if follow { AtFlags::empty() } else { AtFlags::AT_SYMLINK_NOFOLLOW };
            let stat = directory.stat_at(name, flags)?;
            if let Some(why) = self.bar(stat.st_dev, stat.st_ino) {
                return name_of().map(|name| Opened::named(name, why));
            }
        }
        self.opened(open::quietly_at(directory, name, follow), denies, name_of)
    }
}

fn denies(errno: &Errno) -> bool {
    matches!(errno, Errno::EACCES | Errno::EPERM)
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The reason for a leased file. The texts are kept for good: there are as many as there are processes with leases.
fn leased(how: &str, pid: u32) -> Absent {
    static TEXTS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let text = format!("{how} pid {pid}: opening it would break the lease");
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let why = texts.iter().find(|known| **known == text).copied().unwrap_or_else(|| {
        texts.push(text.leak());
        texts.last().copied().unwrap_or_default()
    });
    Absent::new(Reason::Unsupported, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_bars_the_file_with_its_device_and_inode() {
        let device = |major, minor| crate::kernel::major_minor(major, minor);
        let lease = Lease { pid: 4690, device: device(0xfe, 1), inode: 7 };
        let by_inode = Arc::new(HashMap::from([(7, vec![lease])]));
        let leases = Leases { by_inode, names_denied: false };
        let why = |device, inode| leases.bar(device, inode).map(|absent| absent.why);
        assert_eq!(why(device(0xfe, 1), 7), Some("leased by pid 4690: opening it would break the lease"));
        assert_eq!(why(device(0, 41), 7), Some("perhaps leased by pid 4690: opening it would break the lease"));
        assert_eq!(why(device(0xfe, 2), 7), None);
        assert_eq!(why(device(0xfe, 1), 8), None);
        assert_eq!(Leases::default().bar(device(0xfe, 1), 7), None);
    }
}
