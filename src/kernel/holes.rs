//! Where a file has data and where it has holes: `lseek(2)` with `SEEK_DATA` and `SEEK_HOLE`.
//!
//! Nothing of the file moves, only the offset of the descriptor that is asked, which must be this program's own; but see
//! [`seek_writes`](super::file_system::FileSystem::seek_writes). A file system that does not know holes says that all is data.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Whence, lseek64};

/// The first byte at `offset` or after it that is data; none where only a hole is left up to the end of the file.
///
/// # Errors
/// * `EINVAL`: `offset` is past what a file can hold.
/// * What a file system of a server answers (`EIO`, `EINTR`).
#[doc(alias = "lseek")]
#[doc(alias = "SEEK_DATA")]
pub(crate) fn next_data(fd: BorrowedFd<'_>, offset: u64) -> Result<Option<u64>, Errno> {
    seek(fd, offset, Whence::SeekData)
}

/// The first byte at `offset` or after it that is in a hole; the end of the file counts as one. None past the end.
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
