//! Whether a file is in DAX mode: accessed in place on persistent memory, without the page cache.

use std::os::fd::BorrowedFd;

use super::statx::Statx;

/// Whether the file is in DAX mode; `false` if the kernel does not report it.
pub(crate) fn is_dax(fd: BorrowedFd<'_>) -> bool {
    Statx::of_file(fd).is_ok_and(|found| found.is_dax())
}
