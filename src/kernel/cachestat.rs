//! `cachestat(2)`: how many pages of a range of a file are in the page cache (Linux 6.5 and later).
//!
//! On overlayfs, pipes, directories and `/proc` files the call succeeds and reports meaningless zeros. When to trust it
//! is decided in `pagecache`.

#![allow(unsafe_code, reason = "neither nix nor libc wraps cachestat: the raw system call is needed")]

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::asker::{Plain, SYS_CACHESTAT, Task};
use super::handle::Handle;

/// The result of `cachestat` for a range, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub(crate) struct CacheStat {
    /// Pages in the page cache, including those that are not up to date (still being read, or reading failed).
    pub(crate) cached: u64,
    /// Pages to be written back, counted by folio: one dirty byte marks the whole of a large folio.
    pub(crate) dirty: u64,
    /// Pages being written back now, counted by folio.
    pub(crate) writeback: u64,
    /// Pages that were dropped and whose shadow entry is still there; on tmpfs also pages in swap.
    pub(crate) evicted: u64,
    /// Evicted pages that would be treated as active if they were read again now.
    pub(crate) recently_evicted: u64,
}

impl CacheStat {
    /// The sum of these counts and those of another range of the same file.
    #[must_use]
    pub(crate) fn plus(self, other: CacheStat) -> CacheStat {
        CacheStat {
            cached: self.cached.saturating_add(other.cached),
            dirty: self.dirty.saturating_add(other.dirty),
            writeback: self.writeback.saturating_add(other.writeback),
            evicted: self.evicted.saturating_add(other.evicted),
            recently_evicted: self.recently_evicted.saturating_add(other.recently_evicted),
        }
    }
}

// SAFETY: it has only integers.
unsafe impl Plain for CacheStat {}

/// `struct cachestat_range` of `linux/mman.h`.
#[repr(C)]
struct CacheStatRange {
    offset: u64,
    length: u64,
}

/// Counts the pages that hold any of the bytes `offset .. offset + length`.
///
/// For a `length` of zero the kernel counts everything from `offset`, including pages past the end of the file. Pass
/// the true length.
///
/// # Errors
/// * `EPERM`: the caller neither owns the file nor may write it (6.12.12 and later), or a seccomp profile blocks the
///   call.
/// * `ENOSYS`: the kernel is older than 6.5, or a seccomp profile blocks the call.
/// * `EOPNOTSUPP`: the file is on hugetlbfs.
/// * `EBADF`: the descriptor is `O_PATH`.
pub(crate) fn cachestat(file: &Handle, offset: u64, length: u64) -> Result<CacheStat, Errno> {
    match file {
        Handle::Own(fd) => cachestat_of(fd.as_fd(), offset, length),
        Handle::Far(far) => far.ask_for(Task::CacheStat, [offset, length, 0], c""),
    }
}

fn cachestat_of(fd: BorrowedFd<'_>, offset: u64, length: u64) -> Result<CacheStat, Errno> {
    let range = CacheStatRange { offset, length };
    let mut stat = CacheStat::default();
    // SAFETY: both pointers are to live values with the layout that the kernel reads and writes (two and five u64). The
    // kernel keeps neither.
    let answer =
        unsafe { libc::syscall(SYS_CACHESTAT, fd.as_raw_fd(), &raw const range, &raw mut stat, 0 as libc::c_uint) };
    Errno::result(answer).map(|_| stat)
}

/// Whether this process may use `cachestat` at all, tested on a page of its own.
///
/// `EPERM` alone cannot tell a seccomp profile that blocks the call from a file that the caller may not ask about.
pub(crate) fn available() -> bool {
    own_page().is_ok_and(|file| {
        // The page was just written, so it is cached. An emulator that does not implement the call could report zeros.
        cachestat_of(file.as_fd(), 0, 1).is_ok_and(|stat| stat.cached == 1)
    })
}

/// A file in memory with one page, which is cached.
fn own_page() -> std::io::Result<File> {
    let file = File::from(memfd_create(c"rmap-probe", MFdFlags::MFD_CLOEXEC)?);
    file.write_all_at(&[1], 0)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip_without_cachestat() -> bool {
        let skip = !available();
        if skip {
            eprintln!("SKIPPED: cachestat is not available here (kernel before 6.5, or seccomp)");
        }
        skip
    }

    #[test]
    fn only_written_pages_are_counted() {
        if skip_without_cachestat() {
            return;
        }
        let page = crate::kernel::page_size().bytes();
        let file = own_page().unwrap();
        file.set_len(page * 3).unwrap();
        file.write_all_at(&[1], page * 2).unwrap();
        assert_eq!(cachestat_of(file.as_fd(), 0, page * 3).unwrap().cached, 2);
        assert_eq!(cachestat_of(file.as_fd(), page, page).unwrap().cached, 0);
        assert_eq!(cachestat_of(file.as_fd(), page * 2 + 7, 1).unwrap().cached, 1);
    }

    #[test]
    fn the_error_of_the_kernel_is_returned() {
        if skip_without_cachestat() {
            return;
        }
        use std::os::unix::fs::OpenOptionsExt;
        let path_only =
            std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/proc/self/exe").unwrap();
        assert_eq!(cachestat_of(path_only.as_fd(), 0, 1), Err(Errno::EBADF));
    }
}
