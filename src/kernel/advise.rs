//! Calls that change what the page cache holds of a file: read ahead, write back, drop. Inspecting never uses them.
//!
//! Each is a request that the kernel may carry out in part; what came of it is for the callers to measure.

#![allow(unsafe_code, reason = "nix wraps neither readahead nor sync_file_range")]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::libc;

/// Starts to read a part of a file into the page cache, and does not wait. The kernel cuts a call to the device's
/// longest request (`read_ahead_kb` or `max_sectors_kb`, 128 KiB and more): ask for little at a time.
///
/// # Errors
/// `EBADF`: not open for reading. `EINVAL`: not of a kind that can be read ahead.
#[doc(alias = "readahead")]
pub(crate) fn read_ahead(fd: BorrowedFd<'_>, offset: u64, length: usize) -> Result<(), Errno> {
    let offset = libc::off64_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the call takes a descriptor and two numbers; no memory of this process is involved.
    Errno::result(unsafe { libc::readahead(fd.as_raw_fd(), offset, length) }).map(drop)
}

/// Tells the kernel that reads through this descriptor are to bring in just what they ask for, and nothing around it.
///
/// # Errors
/// `EBADF`, `ESPIPE`: not a regular file.
#[doc(alias = "posix_fadvise")]
pub(crate) fn expect_random(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    posix_fadvise(fd, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM)
}

/// Drops the clean pages of a part of a file that nobody maps; a `length` of 0 reaches to the end. The kernel drains the
/// batches of its processors by itself where pages are stuck in one, and passes over dirty, mapped and locked pages and
/// over large folios that are in the part only in part.
///
/// # Errors
/// `EBADF`, `ESPIPE`: not a regular file.
#[doc(alias = "posix_fadvise")]
#[doc(alias = "POSIX_FADV_DONTNEED")]
pub(crate) fn drop_clean(fd: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(), Errno> {
    let number = |value| libc::off_t::try_from(value).map_err(|_| Errno::EINVAL);
    posix_fadvise(fd, number(offset)?, number(length)?, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
}

/// Writes the dirty pages of a part of a file to its disk and waits until they are written; a `length` of 0 reaches to
/// the end. A descriptor for reading will do. Metadata stays where it is: this makes pages clean, it does not make data safe.
///
/// # Errors
/// * `EIO`, `ENOSPC`, `EDQUOT`: writing failed, now or earlier.
/// * `ESPIPE`: not a file with pages.
#[doc(alias = "sync_file_range")]
pub(crate) fn write_back(fd: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(), Errno> {
    let number = |value| libc::off64_t::try_from(value).map_err(|_| Errno::EINVAL);
    let (offset, length) = (number(offset)?, number(length)?);
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call takes a descriptor and numbers; no memory of this process is involved.
    Errno::result(unsafe { libc::sync_file_range(fd.as_raw_fd(), offset, length, flags) }).map(drop)
}

/// Writes all dirty pages of a file, and what of its metadata is needed to read them, to its disk. It reaches through
/// stacked file systems, which [`write_back`] does not.
///
/// # Errors
/// `EIO`, `ENOSPC`, `EDQUOT`: writing failed, now or earlier. `EROFS`, `EINVAL`: the file cannot be written back.
#[doc(alias = "fdatasync")]
pub(crate) fn write_back_all(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    nix::unistd::fdatasync(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_pipe_is_refused_by_every_call() {
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        assert!(read_ahead(reader.as_fd(), 0, 4096).is_err());
        assert!(drop_clean(reader.as_fd(), 0, 0).is_err());
        assert!(write_back(reader.as_fd(), 0, 0).is_err());
        assert!(expect_random(reader.as_fd()).is_err());
    }

    #[test]
    fn a_number_that_no_file_reaches_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(drop_clean(file.as_fd(), u64::MAX, 0), Err(Errno::EINVAL));
        assert_eq!(write_back(file.as_fd(), 0, u64::MAX), Err(Errno::EINVAL));
        assert_eq!(read_ahead(file.as_fd(), u64::MAX, 1), Err(Errno::EINVAL));
    }
}
