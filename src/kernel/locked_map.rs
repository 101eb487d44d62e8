//! A part of a file held in memory with `mlock(2)`. Inspecting never uses this: it reads the part in.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::sys::mman::mlock;

/// A part of a file that is mapped, and of which pages stay in memory as long as this value lives. The bytes are never
/// touched through it.
pub(crate) struct LockedMap {
    map: MmapRaw,
    locked: usize,
}

impl LockedMap {
    /// Maps `length` bytes from `offset` (a multiple of the page size), readable and shared. Nothing is locked yet.
    ///
    /// # Errors
    /// * `ENOMEM`: there are too many mappings, or the address space is too small.
    /// * `EOVERFLOW`: the part reaches past the last page that the kernel maps of any file, at 8 EiB.
    /// * `EACCES`, `ENODEV`, `EINVAL`: as `mmap(2)`.
    #[doc(alias = "mmap")]
    pub(crate) fn new(fd: BorrowedFd<'_>, offset: u64, length: usize) -> Result<LockedMap, Errno> {
        let errno = |error: std::io::Error| error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw);
        let map = MmapOptions::new().offset(offset).len(length).map_raw_read_only(fd.as_raw_fd()).map_err(errno)?;
        Ok(LockedMap { map, locked: 0 })
    }

    /// Locks the next `most` bytes (a multiple of the page size), or what is left, which reads in what is not cached. Says
    /// whether something is left.
    ///
    /// # Errors
    /// * `ENOMEM`, `EAGAIN`: the limit `RLIMIT_MEMLOCK` is passed, or memory is short.
    /// * `EPERM`: the limit is zero and the caller has no `CAP_IPC_LOCK`.
    #[doc(alias = "mlock")]
    #[allow(unsafe_code, reason = "memmap2 locks a mapping as a whole, which nobody could stop")]
    pub(crate) fn lock_next(&mut self, most: usize) -> Result<bool, Errno> {
        let length = self.map.len().saturating_sub(self.locked).min(most);
        let start = NonNull::new(self.map.as_mut_ptr().wrapping_add(self.locked)).ok_or(Errno::EINVAL)?;
        // SAFETY: `start` and the `length` bytes behind it lie in a mapping that this value owns; no byte is touched.
        unsafe { mlock(start.cast(), length) }?;
        self.locked = self.locked.saturating_add(length);
        Ok(self.locked < self.map.len())
    }

    /// How many bytes are locked.
    pub(crate) fn length(&self) -> usize {
        self.locked
    }
}

impl std::fmt::Debug for LockedMap {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "LockedMap({} bytes)", self.locked)
    }
}
