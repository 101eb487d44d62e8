//! Locks a part of a file in memory with `mlock(2)`. Inspecting never uses this.

use std::ptr::NonNull;

use memmap2::Advice;
use nix::errno::Errno;
use nix::sys::mman::mlock;

use super::handle::Handle;
use super::map::Map;

/// A mapped part of a file whose locked pages stay in memory as long as this value lives. The bytes are never accessed
/// through it.
pub(crate) struct LockedMap {
    map: Map,
    locked: usize,
}

impl LockedMap {
    /// Maps `length` bytes from `offset` (a multiple of the page size), readable and shared. Nothing is locked yet.
    ///
    /// # Errors
    /// * `ENOMEM`: too many mappings (`vm.max_map_count`), or the address space is too small.
    /// * `EOVERFLOW`: the part includes the last page below 8 EiB, which the kernel does not map.
    /// * `EACCES`, `ENODEV`, `EINVAL`: as `mmap(2)`.
    #[doc(alias = "mmap")]
    pub(crate) fn new(file: &Handle, offset: u64, length: usize) -> Result<LockedMap, Errno> {
        let errno = |error: std::io::Error| error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw);
        let map = Map::of(file, offset, length)?;
        if let Map::Own(map) = &map {
            // Without this a page that is missing is read together with its neighbours.
            map.advise(Advice::Random).map_err(errno)?;
        }
        Ok(LockedMap { map, locked: 0 })
    }

    /// Locks the next `most` bytes (a multiple of the page size) or, if there are fewer, the rest. Pages that are not
    /// cached are read in. Returns whether more remains to be locked.
    ///
    /// # Errors
    /// * `ENOMEM`, `EAGAIN`: `RLIMIT_MEMLOCK` would be exceeded, or there is not enough memory.
    /// * `EPERM`: `RLIMIT_MEMLOCK` is zero and the caller lacks `CAP_IPC_LOCK`.
    #[doc(alias = "mlock")]
    #[allow(unsafe_code, reason = "memmap2 can only lock a whole mapping, which cannot be interrupted")]
    pub(crate) fn lock_next(&mut self, most: usize) -> Result<bool, Errno> {
        let length = self.map.len().saturating_sub(self.locked).min(most);
        match &self.map {
            Map::Own(map) => {
                let start = NonNull::new(map.as_mut_ptr().wrapping_add(self.locked)).ok_or(Errno::EINVAL)?;
                // SAFETY: the `length` bytes from `start` lie in a mapping that this value owns; no byte is accessed.
                unsafe { mlock(start.cast(), length) }?;
            }
            Map::Far(far) => far.lock(self.locked, length)?,
        }
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
