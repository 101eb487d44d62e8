//! Calls that change which pages of a file are cached: read ahead, write back, drop. Inspecting never uses them.
//!
//! The kernel may carry out each request only in part. Callers measure the result.

#![allow(unsafe_code, reason = "nix wraps neither readahead nor sync_file_range")]

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::libc;

use super::asker::Task;
use super::handle::Handle;

/// Starts reading a part of a file into the page cache and does not wait. The kernel limits each call to the longest
/// request of the device (`read_ahead_kb` or `max_sectors_kb`, often 128 KiB).
///
/// # Errors
/// `EBADF`: not open for reading. `EINVAL`: read-ahead is not supported for this kind of file.
#[doc(alias = "readahead")]
pub(crate) fn read_ahead(file: &Handle, offset: u64, length: usize) -> Result<(), Errno> {
    let offset = libc::off64_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let fd = match file {
        Handle::Own(fd) => fd.as_raw_fd(),
        Handle::Far(far) => {
            return far.ask(Task::ReadAhead, [offset.unsigned_abs(), length as u64, 0], &mut []).map(drop);
        }
    };
    // SAFETY: the call takes a descriptor and two numbers; no memory of this process is involved.
    Errno::result(unsafe { libc::readahead(fd, offset, length) }).map(drop)
}

/// Disables read-ahead for reads through this descriptor: the kernel reads only the requested pages.
///
/// # Errors
/// `EBADF`, `ESPIPE`: not a regular file.
#[doc(alias = "posix_fadvise")]
pub(crate) fn expect_random(file: &Handle) -> Result<(), Errno> {
    advise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM)
}

/// Drops the clean, unmapped pages of a part of a file; a `length` of 0 means up to the end. The kernel skips pages
/// that are dirty, mapped or locked, and large folios that are only partly inside.
///
/// # Errors
/// `EBADF`, `ESPIPE`: not a regular file.
#[doc(alias = "posix_fadvise")]
#[doc(alias = "POSIX_FADV_DONTNEED")]
pub(crate) fn drop_clean(file: &Handle, offset: u64, length: u64) -> Result<(), Errno> {
    let number = |value| libc::off_t::try_from(value).map_err(|_| Errno::EINVAL);
    advise(file, number(offset)?, number(length)?, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
}

fn advise(file: &Handle, offset: libc::off_t, length: libc::off_t, advice: PosixFadviseAdvice) -> Result<(), Errno> {
    match file {
        Handle::Own(fd) => posix_fadvise(fd, offset, length, advice),
        Handle::Far(far) => {
            let arguments = [offset as u64, length as u64, u64::from((advice as i32).unsigned_abs())];
            far.ask(Task::Advise, arguments, &mut []).map(drop)
        }
    }
}

/// Writes the dirty pages of a part of a file to its disk and waits for completion; a `length` of 0 means up to the
/// end. A read-only descriptor is enough. Metadata is not written: this makes pages clean, it does not make data
/// durable.
///
/// # Errors
/// * `EIO`, `ENOSPC`, `EDQUOT`: writing failed, now or earlier.
/// * `ESPIPE`: not a regular file.
#[doc(alias = "sync_file_range")]
pub(crate) fn write_back(file: &Handle, offset: u64, length: u64) -> Result<(), Errno> {
    let number = |value| libc::off64_t::try_from(value).map_err(|_| Errno::EINVAL);
    let (offset, length) = (number(offset)?, number(length)?);
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    let fd = match file {
        Handle::Own(fd) => fd.as_raw_fd(),
        Handle::Far(far) => {
            let arguments = [offset.unsigned_abs(), length.unsigned_abs(), 0];
            return far.ask(Task::WriteBack, arguments, &mut []).map(drop);
        }
    };
    // SAFETY: the call takes a descriptor and numbers; no memory of this process is involved.
    Errno::result(unsafe { libc::sync_file_range(fd, offset, length, flags) }).map(drop)
}

/// Writes all dirty pages of a file, and the metadata needed to read them, to its disk. Unlike [`write_back`], this
/// also works on stacked file systems.
///
/// # Errors
/// `EIO`, `ENOSPC`, `EDQUOT`: writing failed, now or earlier. `EROFS`, `EINVAL`: the file cannot be written back.
#[doc(alias = "fdatasync")]
pub(crate) fn write_back_all(file: &Handle) -> Result<(), Errno> {
    match file {
        Handle::Own(fd) => nix::unistd::fdatasync(fd),
        Handle::Far(far) => far.ask(Task::WriteBackAll, [0; 3], &mut []).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_fails_on_a_pipe() {
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        let reader = Handle::Own(reader);
        assert!(read_ahead(&reader, 0, 4096).is_err());
        assert!(drop_clean(&reader, 0, 0).is_err());
        assert!(write_back(&reader, 0, 0).is_err());
        assert!(expect_random(&reader).is_err());
    }

    #[test]
    fn an_offset_beyond_any_file_is_an_error() {
        let file = Handle::from(tempfile::tempfile().unwrap());
        assert_eq!(drop_clean(&file, u64::MAX, 0), Err(Errno::EINVAL));
        assert_eq!(write_back(&file, 0, u64::MAX), Err(Errno::EINVAL));
        assert_eq!(read_ahead(&file, u64::MAX, 1), Err(Errno::EINVAL));
    }
}
