//! Finds the data and the holes of a file: `lseek(2)` with `SEEK_DATA` and `SEEK_HOLE`.
//!
//! This moves the offset of the descriptor, so the descriptor must not be shared. On some file systems it writes back
//! dirty pages: see [`seek_writes`](super::file_system::FileSystem::seek_writes). A file system that does not support
//! holes reports everything as data.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Whence, lseek64};

/// The first byte of data at or after `offset`; `None` if only a hole follows.
///
/// # Errors
/// * `EINVAL`: `offset` is beyond the largest possible file.
/// * `EIO`, `EINTR`: from a network file system.
#[doc(alias = "lseek")]
#[doc(alias = "SEEK_DATA")]
pub(crate) fn next_data(fd: BorrowedFd<'_>, offset: u64) -> Result<Option<u64>, Errno> {
    seek(fd, offset, Whence::SeekData)
}

/// The first byte of a hole at or after `offset`. The end of the file counts as a hole. `None` past the end.
///
/// # Errors
/// As [`next_data`].
#[doc(alias = "lseek")]
#[doc(alias = "SEEK_HOLE")]
pub(crate) fn next_hole(fd: BorrowedFd<'_>, offset: u64) -> Result<Option<u64>, Errno> {
    seek(fd, offset, Whence::SeekHole)
}

fn seek(fd: BorrowedFd<'_>, offset: u64, whence: Whence) -> Result<Option<u64>, Errno> {
    let offset = libc::off64_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
    match lseek64(fd, offset, whence) {
        Ok(found) => Ok(u64::try_from(found).ok()),
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    #[test]
    fn data_in_a_sparse_file_is_found_between_its_holes() {
        let file = File::from(nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap());
        let page = crate::kernel::page_size().bytes();
        file.set_len(8 * page).unwrap();
        file.write_all_at(&[1], 3 * page).unwrap();
        assert_eq!(next_data(file.as_fd(), 0), Ok(Some(3 * page)));
        assert_eq!(next_hole(file.as_fd(), 3 * page), Ok(Some(4 * page)));
        assert_eq!(next_data(file.as_fd(), 4 * page), Ok(None));
        assert_eq!(next_hole(file.as_fd(), 8 * page), Ok(None));
        assert_eq!(next_data(file.as_fd(), u64::MAX), Err(Errno::EINVAL));
    }
}
