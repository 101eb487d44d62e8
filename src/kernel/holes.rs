//! Finds the data and the holes of a file: `lseek(2)` with `SEEK_DATA` and `SEEK_HOLE`.
//!
//! This moves the offset of the descriptor, so the descriptor must not be shared. On some file systems it writes back
//! dirty pages: see [`seek_writes`](super::file_system::FileSystem::seek_writes). A file system that does not support
//! holes reports everything as data.

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Whence, lseek64};

use super::asker::Task;
use super::handle::Handle;

/// The first byte of data at or after `offset`; `None` if only a hole follows.
///
/// # Errors
/// * `EINVAL`: `offset` is beyond the largest possible file.
/// * `EIO`, `EINTR`: from a network file system.
#[doc(alias = "lseek")]
#[doc(alias = "SEEK_DATA")]
pub(crate) fn next_data(file: &Handle, offset: u64) -> Result<Option<u64>, Errno> {
    seek(file, offset, Whence::SeekData)
}

/// The first byte of a hole at or after `offset`. The end of the file counts as a hole. `None` past the end.
///
/// # Errors
/// As [`next_data`].
#[doc(alias = "lseek")]
#[doc(alias = "SEEK_HOLE")]
pub(crate) fn next_hole(file: &Handle, offset: u64) -> Result<Option<u64>, Errno> {
    seek(file, offset, Whence::SeekHole)
}

/// The end of a file, which is the size of a block device.
///
/// # Errors
/// As `lseek(2)`.
pub(crate) fn end(file: &Handle) -> Result<u64, Errno> {
    seek(file, 0, Whence::SeekEnd).map(Option::unwrap_or_default)
}

fn seek(file: &Handle, offset: u64, whence: Whence) -> Result<Option<u64>, Errno> {
    let offset = libc::off64_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let found = match file {
        // It would move the position of the process that has the file open.
        _ if file.is_lent() => Err(Errno::EBUSY),
        Handle::Own(fd) => lseek64(fd, offset, whence),
        Handle::Far(far) => {
            let (offset, whence) = (offset.unsigned_abs(), (whence as i32).unsigned_abs());
            far.ask(Task::Seek, [offset, whence.into(), 0], &mut []).map(|found| found as libc::off64_t)
        }
    };
    match found {
        Ok(found) => Ok(u64::try_from(found).ok()),
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn data_in_a_sparse_file_is_found_between_its_holes() {
        let file = File::from(nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap());
        let page = crate::kernel::page_size().bytes();
        file.set_len(8 * page).unwrap();
        file.write_all_at(&[1], 3 * page).unwrap();
        let file = Handle::from(file);
        assert_eq!(next_data(&file, 0), Ok(Some(3 * page)));
        assert_eq!(next_hole(&file, 3 * page), Ok(Some(4 * page)));
        assert_eq!(next_data(&file, 4 * page), Ok(None));
        assert_eq!(next_hole(&file, 8 * page), Ok(None));
        assert_eq!(next_data(&file, u64::MAX), Err(Errno::EINVAL));
    }
}
