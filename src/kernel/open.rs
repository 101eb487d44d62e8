//! Opens files for inspection: without blocking and without changing their access time.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, openat};
use nix::sys::stat::Mode;
use nix::{NixPath, libc};

/// A file opened for inspection.
#[derive(Debug)]
pub(crate) struct Quiet {
    /// The file, open for reading.
    pub(crate) file: File,
    /// Whether the descriptor has `O_NOATIME`.
    ///
    /// The kernel grants this flag only to callers that pass `inode_owner_or_capable` (the owner, or `CAP_FOWNER` if it
    /// applies to the file). `mincore` and `cachestat` use the same check, so this flag also shows whether they answer.
    /// It is correct for root in a user namespace, where user ids and mode bits are misleading.
    pub(crate) owned: bool,
}

/// Opens for reading with `O_NONBLOCK|O_NOCTTY|O_CLOEXEC`, and with `O_NOATIME` if the caller owns the file.
///
/// # Errors
/// As `open(2)`. `EWOULDBLOCK` means that another process holds a lease on the file.
#[doc(alias = "open")]
pub(crate) fn quietly(path: &Path) -> io::Result<Quiet> {
    match open_with(path, libc::O_NOATIME) {
        Ok(file) => Ok(Quiet { file, owned: true }),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            open_with(path, 0).map(|file| Quiet { file, owned: false })
        }
        Err(error) => Err(error),
    }
}

/// Opens the file `name` in an open directory in the same way. A symbolic link is followed only if `follow` is set.
///
/// # Errors
/// As `openat(2)`; `ELOOP` for a link that is not followed.
#[doc(alias = "openat")]
pub(crate) fn quietly_at(directory: BorrowedFd<'_>, name: &CStr, follow: bool) -> Result<Quiet, Errno> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    let (fd, owned) = without_atime(directory, name, link | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    Ok(Quiet { file: File::from(fd), owned })
}

/// Opens a descriptor that only names the file `name` in an open directory (`O_PATH`). Nothing happens to the file.
///
/// # Errors
/// As `openat(2)`.
#[doc(alias = "openat")]
pub(crate) fn name_at(directory: BorrowedFd<'_>, name: &CStr, follow: bool) -> Result<OwnedFd, Errno> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    openat(directory, name, link | OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
}

/// Opens a directory in the same way, to list it.
///
/// # Errors
/// As `openat(2)`; `ENOTDIR` if it is not a directory, or is a link that is not followed.
#[doc(alias = "openat")]
pub(crate) fn directory_at<P: ?Sized + NixPath>(
    parent: BorrowedFd<'_>,
    name: &P,
    follow: bool,
) -> Result<OwnedFd, Errno> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    without_atime(parent, name, link | OFlag::O_DIRECTORY).map(|(fd, _)| fd)
}

/// Opens with `O_NOATIME` if the kernel grants it. Returns whether it did.
fn without_atime<P: ?Sized + NixPath>(
    directory: BorrowedFd<'_>,
    name: &P,
    flags: OFlag,
) -> Result<(OwnedFd, bool), Errno> {
    let flags = flags | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    match openat(directory, name, flags | OFlag::O_NOATIME, Mode::empty()) {
        Ok(fd) => Ok((fd, true)),
        Err(Errno::EPERM) => openat(directory, name, flags, Mode::empty()).map(|fd| (fd, false)),
        Err(errno) => Err(errno),
    }
}

/// Opens with the given flag; the standard library adds `O_CLOEXEC`.
fn open_with(path: &Path, flag: libc::c_int) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flag).open(path)
}

/// Sets `O_NOATIME` on an open file. Returns whether the kernel granted it, which it does only to the owner.
///
/// The flag belongs to the open file description, so do not pass one that is shared with another process.
#[doc(alias = "fcntl")]
pub(crate) fn set_no_atime(fd: BorrowedFd<'_>) -> bool {
    let set = |flags| fcntl(fd, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags) | OFlag::O_NOATIME));
    fcntl(fd, FcntlArg::F_GETFL).and_then(set).is_ok()
}

/// Whether the descriptor is open for reading: neither `O_PATH` nor `O_WRONLY`.
///
/// # Errors
/// `EBADF`: it is not open.
#[doc(alias = "fcntl")]
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let flags = fcntl(fd, FcntlArg::F_GETFL)?;
    Ok(flags & libc::O_PATH == 0 && flags & libc::O_ACCMODE != libc::O_WRONLY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn flags(file: &File) -> libc::c_int {
        fcntl(file, FcntlArg::F_GETFL).unwrap()
    }

    #[test]
    fn a_file_of_the_caller_is_opened_with_noatime() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let quiet = quietly(file.path()).unwrap();
        assert!(quiet.owned);
        assert_ne!(flags(&quiet.file) & libc::O_NOATIME, 0);
        assert_ne!(flags(&quiet.file) & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn setting_noatime_keeps_the_other_flags() {
        let own = tempfile::NamedTempFile::new().unwrap();
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(own.path()).unwrap();
        assert!(set_no_atime(file.as_fd()));
        assert_ne!(flags(&file) & libc::O_NOATIME, 0);
        assert_ne!(flags(&file) & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn path_and_write_only_descriptors_are_not_readable() {
        let own = tempfile::NamedTempFile::new().unwrap();
        let path_only = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(own.path()).unwrap();
        let write_only = OpenOptions::new().write(true).open(own.path()).unwrap();
        assert_eq!(is_readable(path_only.as_fd()), Ok(false));
        assert_eq!(is_readable(write_only.as_fd()), Ok(false));
        assert_eq!(is_readable(own.as_file().as_fd()), Ok(true));
    }
}
