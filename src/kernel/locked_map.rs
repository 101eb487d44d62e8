//! A part of a file held in memory with `mlock(2)`. Inspecting never uses this: it reads the part in.

use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;

/// A part of a file whose pages stay in memory as long as this value lives. The bytes are never touched through it.
pub struct LockedMap(MmapRaw);

impl LockedMap {
    /// Maps `length` bytes from `offset` (a multiple of the page size), readable and shared, and locks them, which reads
    /// in what is not cached.
    ///
    /// # Errors
    /// * `ENOMEM`, `EAGAIN`: the limit `RLIMIT_MEMLOCK` is passed, there are too many mappings, or memory is short.
    /// * `EPERM`: the limit is zero and the caller has no `CAP_IPC_LOCK`.
    /// * `EACCES`, `ENODEV`, `EINVAL`: as `mmap(2)`.
    #[doc(alias = "mlock")]
    pub fn new(fd: BorrowedFd<'_>, offset: u64, length: usize) -> Result<LockedMap, Errno> {
        let errno = |error: std::io::Error| error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw);
        let map = MmapOptions::new().offset(offset).len(length).map_raw_read_only(fd.as_raw_fd()).map_err(errno)?;
        map.lock().map_err(errno)?;
        Ok(LockedMap(map))
    }

    /// How many bytes it holds.
    pub fn length(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Debug for LockedMap {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "LockedMap({} bytes)", self.0.len())
    }
}
