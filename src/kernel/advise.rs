//! Calls that change which pages of a file are cached: read ahead, write back, drop. Inspecting never uses them.
//!
//! The kernel may carry out each request only in part. Callers measure the result.

#![allow(unsafe_code, reason = "nix wraps neither readahead nor sync_file_range")]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::libc;

/// Starts reading a part of a file into the page cache and does not wait. The kernel limits each call to the longest
/// request of the device (`read_ahead_kb` or `max_sectors_kb`, often 128 KiB).
///
/// # Errors
/// `EBADF`: not open for reading. `EINVAL`: read-ahead is not supported for this kind of file.
#[doc(alias = "readahead")]
pub(crate) fn read_ahead(fd: BorrowedFd<'_>, offset: u64, length: usize) -> Result<(), Errno> {
    let offset = libc::off64_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the call takes a descriptor and two numbers; no memory of this process is involved.
    Errno::result(unsafe { libc::readahead(fd.as_raw_fd(), offset, length) }).map(drop)
}

/// Disables read-ahead for reads through this descriptor: the kernel reads only the requested pages.
///
/// # Errors
/// `EBADF`, `ESPIPE`: not a regular file.
#[doc(alias = "posix_fadvise")]
pub(crate) fn expect_random(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    posix_fadvise(fd, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM)
}

/// Drops the clean, unmapped pages of a part of a file; a `length` of 0 means up to the end. The kernel skips pages
/// that are dirty, mapped or locked, and large folios that are only partly inside.
///
/// # Errors
/// `EBADF`, `ESPIPE`: not a regular file.
#[doc(alias = "posix_fadvise")]
#[doc(alias = "POSIX_FADV_DONTNEED")]
pub(crate) fn drop_clean(fd: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(), Errno> {
    let number = |value| libc::off_t::try_from(value).map_err(|_| Errno::EINVAL);
    posix_fadvise(fd, number(offset)?, number(length)?, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
}

/// Writes the dirty pages of a part of a file to its disk and waits for completion; a `length` of 0 means up to the
/// end. A read-only descriptor is enough. Metadata is not written: this makes pages clean, it does not make data
/// durable.
///
/// # Errors
/// * `EIO`, `ENOSPC`, `EDQUOT`: writing failed, now or earlier.
/// * `ESPIPE`: not a regular file.
#[doc(alias = "sync_file_range")]
pub(crate) fn write_back(fd: BorrowedFd<'_>, offset: u64, length: u64) -> Result<(), Errno> {
    let number = |value| libc::off64_t::try_from(value).map_err(|_| Errno::EINVAL);
    let (offset, length) = (number(offset)?, number(length)?);
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the call takes a descriptor and numbers; no memory of this process is involved.
    Errno::result(unsafe { libc::sync_file_range(fd.as_raw_fd(), offset, length, flags) }).map(drop)
}

/// Writes all dirty pages of a file, and the metadata needed to read them, to its disk. Unlike [`write_back`], this
/// also works on stacked file systems.
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
    fn every_call_fails_on_a_pipe() {
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        assert!(read_ahead(reader.as_fd(), 0, 4096).is_err());
        assert!(drop_clean(reader.as_fd(), 0, 0).is_err());
        assert!(write_back(reader.as_fd(), 0, 0).is_err());
        assert!(expect_random(reader.as_fd()).is_err());
    }

    #[test]
    fn an_offset_beyond_any_file_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(drop_clean(file.as_fd(), u64::MAX, 0), Err(Errno::EINVAL));
        assert_eq!(write_back(file.as_fd(), 0, u64::MAX), Err(Errno::EINVAL));
        assert_eq!(read_ahead(file.as_fd(), u64::MAX, 1), Err(Errno::EINVAL));
    }
}
