//! Opens files for inspection: without blocking and without changing their access time.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, fcntl, openat};
use nix::sys::stat::Mode;
use nix::{NixPath, libc};

use super::handle::{FarPath, Handle};

/// A file opened for inspection.
#[derive(Debug)]
pub(crate) struct Quiet {
    /// The file, open for reading.
    pub(crate) file: Handle,
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
        Ok(file) => Ok(Quiet { file: file.into(), owned: true }),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            open_with(path, 0).map(|file| Quiet { file: file.into(), owned: false })
        }
        Err(error) => Err(error),
    }
}

/// Opens a descriptor that only names a file (`O_PATH`). Nothing happens to the file.
///
/// # Errors
/// As `open(2)`.
#[doc(alias = "open")]
pub(crate) fn name(path: &Path) -> io::Result<Handle> {
    Ok(openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map(Handle::Own)?)
}

/// Opens the file `name` in an open directory in the same way. A symbolic link is followed only if `follow` is set.
///
/// # Errors
/// As `openat(2)`; `ELOOP` for a link that is not followed.
#[doc(alias = "openat")]
pub(crate) fn quietly_at(directory: &Handle, name: &CStr, follow: bool) -> Result<Quiet, Errno> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    without_atime(link | QUIET, |flags| directory.open_at(name, flags))
}

/// Opens a file behind a link in an open directory of `/proc` in the same way.
///
/// # Errors
/// As `openat(2)`.
pub(crate) fn quietly_in(directory: BorrowedFd<'_>, link: &CStr) -> Result<Quiet, Errno> {
    let open = |flags| openat(directory, link, flags | OFlag::O_CLOEXEC, Mode::empty()).map(Handle::Own);
    without_atime(QUIET, open)
}

/// Opens a file of a file system that may not answer in the same way. Symbolic links are followed.
///
/// # Errors
/// As `open(2)`.
pub(crate) fn quietly_far(path: &FarPath) -> Result<Quiet, Errno> {
    without_atime(QUIET, |flags| path.open(flags))
}

/// Opens a file that a handle only names (`O_PATH`) in the same way.
///
/// # Errors
/// As `open(2)`.
pub(crate) fn quietly_again(name: &Handle) -> Result<Quiet, Errno> {
    without_atime(QUIET, |flags| name.open_again(flags))
}

const QUIET: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY);

/// Opens a directory in the same way, to list it.
///
/// # Errors
/// As `openat(2)`; `ENOTDIR` if it is not a directory, or is a link that is not followed.
#[doc(alias = "openat")]
pub(crate) fn directory_at<P: ?Sized + NixPath>(parent: &Handle, name: &P, follow: bool) -> Result<Handle, Errno> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    without_atime(link | OFlag::O_DIRECTORY, |flags| parent.open_at(name, flags)).map(|quiet| quiet.file)
}

/// Opens a directory by its path in the same way. Symbolic links are followed.
///
/// # Errors
/// As `open(2)`; `ENOTDIR` if it is not a directory.
#[doc(alias = "open")]
pub(crate) fn directory(path: &Path) -> Result<Handle, Errno> {
    let open = |flags| openat(AT_FDCWD, path, flags | OFlag::O_CLOEXEC, Mode::empty()).map(Handle::Own);
    without_atime(OFlag::O_DIRECTORY, open).map(|quiet| quiet.file)
}

/// Opens a directory of a file system that may not answer in the same way.
///
/// # Errors
/// As `open(2)`; `ENOTDIR` if it is not a directory.
pub(crate) fn directory_far(path: &FarPath) -> Result<Handle, Errno> {
    without_atime(OFlag::O_DIRECTORY, |flags| path.open(flags)).map(|quiet| quiet.file)
}

/// Opens with `O_NOATIME` if the kernel grants it.
fn without_atime(flags: OFlag, open: impl Fn(OFlag) -> Result<Handle, Errno>) -> Result<Quiet, Errno> {
    match open(flags | OFlag::O_NOATIME) {
        Ok(file) => Ok(Quiet { file, owned: true }),
        Err(Errno::EPERM) => open(flags).map(|file| Quiet { file, owned: false }),
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

    fn flags(file: impl AsFd) -> libc::c_int {
        fcntl(file, FcntlArg::F_GETFL).unwrap()
    }

    #[test]
    fn a_file_of_the_caller_is_opened_with_noatime() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let quiet = quietly(file.path()).unwrap();
        assert!(quiet.owned);
        assert_ne!(flags(quiet.file.own().unwrap()) & libc::O_NOATIME, 0);
        assert_ne!(flags(quiet.file.own().unwrap()) & libc::O_NONBLOCK, 0);
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
