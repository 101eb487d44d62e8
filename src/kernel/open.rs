//! Opening a file so that looking at it leaves no trace and cannot block.

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

/// A file opened to be inspected.
#[derive(Debug)]
pub(crate) struct Quiet {
    /// The open file, for reading.
    pub(crate) file: File,
    /// Whether the descriptor has `O_NOATIME`.
    ///
    /// The kernel gives that flag to exactly those whom it calls the file's owner (`inode_owner_or_capable`: the owner,
    /// or `CAP_FOWNER` where it counts), and `mincore` and `cachestat` ask the same function. So this is also the test
    /// of ownership, and right for a fake root in a user namespace, whom the mode bits would mislead.
    pub(crate) owned: bool,
}

/// Opens for reading with `O_NONBLOCK|O_NOCTTY|O_CLOEXEC`, and with `O_NOATIME` where the caller owns the file.
///
/// # Errors
/// Those of `open(2)`. `EWOULDBLOCK` is a lease that another process holds on the file.
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

/// The same for the file `name` in an open directory; a symbolic link is followed only if `follow` says so.
///
/// # Errors
/// Those of `openat(2)`; `ELOOP` where a link is not followed.
#[doc(alias = "openat")]
pub(crate) fn quietly_at(directory: BorrowedFd<'_>, name: &CStr, follow: bool) -> Result<Quiet, Errno> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    let (fd, owned) = without_atime(directory, name, link | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    Ok(Quiet { file: File::from(fd), owned })
}

/// Opens a directory to be listed, in the same way.
///
/// # Errors
/// Those of `openat(2)`; `ENOTDIR` where it is no directory, or a link that is not followed.
#[doc(alias = "openat")]
pub(crate) fn directory_at<P: ?Sized + NixPath>(
    parent: BorrowedFd<'_>,
    name: &P,
    follow: bool,
) -> Result<OwnedFd, Errno> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    without_atime(parent, name, link | OFlag::O_DIRECTORY).map(|(fd, _)| fd)
}

/// Opens with `O_NOATIME` where the kernel gives it, and says whether it did.
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

/// The open itself; the standard library adds `O_CLOEXEC`.
fn open_with(path: &Path, flag: libc::c_int) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flag).open(path)
}

/// Sets `O_NOATIME` on an open file; says whether the kernel gave it, which it does to the owner alone.
///
/// The flag belongs to the open file description: pass none that is shared with another process.
#[doc(alias = "fcntl")]
pub(crate) fn set_no_atime(fd: BorrowedFd<'_>) -> bool {
    let set = |flags| fcntl(fd, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags) | OFlag::O_NOATIME));
    fcntl(fd, FcntlArg::F_GETFL).and_then(set).is_ok()
}

/// Whether the descriptor can be read from: neither `O_PATH` nor `O_WRONLY`.
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
    fn an_own_file_is_opened_without_moving_its_access_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let quiet = quietly(file.path()).unwrap();
        assert!(quiet.owned);
        assert_ne!(flags(&quiet.file) & libc::O_NOATIME, 0);
        assert_ne!(flags(&quiet.file) & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn a_descriptor_that_was_given_gets_the_flag_and_keeps_the_others() {
        let own = tempfile::NamedTempFile::new().unwrap();
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(own.path()).unwrap();
        assert!(set_no_atime(file.as_fd()));
        assert_ne!(flags(&file) & libc::O_NOATIME, 0);
        assert_ne!(flags(&file) & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn a_descriptor_that_cannot_be_read_is_told_apart() {
        let own = tempfile::NamedTempFile::new().unwrap();
        let path_only = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(own.path()).unwrap();
        let write_only = OpenOptions::new().write(true).open(own.path()).unwrap();
        assert_eq!(is_readable(path_only.as_fd()), Ok(false));
        assert_eq!(is_readable(write_only.as_fd()), Ok(false));
        assert_eq!(is_readable(own.as_file().as_fd()), Ok(true));
    }
}
