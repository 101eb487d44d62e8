//! Survives SIGBUS while a file is written through its mapping. The kernel raises it if another process truncates the
//! file or its disk fails.
//!
//! Only needed to fill a mapping. Inspecting accesses no mapped page and cannot cause SIGBUS.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};
use std::sync::{Mutex, PoisonError};

use memmap2::MmapMut;
use nix::errno::Errno;
use nix::libc::{self, c_int, c_void, siginfo_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::page_size;

/// The mapping that is being written: its first address, and the end of its last page.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
static PAGE: AtomicUsize = AtomicUsize::new(4096);
/// Whether a page of it was missing.
static STRUCK: AtomicBool = AtomicBool::new(false);
/// A signal action applies to the whole process, so only one mapping can be guarded at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Runs `work`, which writes to `map`. Returns whether the kernel could provide every page.
///
/// If not, the mapping is anonymous memory from the missing page on, and what `work` wrote there is not in the file.
///
/// # Errors
/// As `sigaction(2)`; `work` was not run then.
#[doc(alias = "sigaction")]
#[allow(unsafe_code, reason = "a signal action")]
pub(super) fn survive(map: &mut MmapMut, work: impl FnOnce(&mut MmapMut)) -> Result<bool, Errno> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let page = usize::try_from(page_size().bytes()).unwrap_or(4096);
    let start = map.as_ptr() as usize;
    START.store(start, Ordering::SeqCst);
    END.store(start.saturating_add(map.len().next_multiple_of(page)), Ordering::SeqCst);
    PAGE.store(page, Ordering::SeqCst);
    STRUCK.store(false, Ordering::SeqCst);
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::SigAction(on_bus_error), flags, SigSet::empty());
    // SAFETY: the handler only calls functions listed in signal-safety(7) and mmap(2), which is a plain system call. It
    // only accesses atomics and the mapping that `map` borrows exclusively.
    let before = unsafe { sigaction(Signal::SIGBUS, &action) }?;
    work(map);
    compiler_fence(Ordering::SeqCst);
    // SAFETY: this restores the previous action.
    unsafe { sigaction(Signal::SIGBUS, &before) }?;
    START.store(0, Ordering::SeqCst);
    END.store(0, Ordering::SeqCst);
    Ok(!STRUCK.load(Ordering::SeqCst))
}

/// Replaces the missing page and everything after it with anonymous memory, so that the failed write succeeds when it
/// is retried. Any other SIGBUS ends the process as usual.
#[allow(unsafe_code, reason = "a signal handler")]
extern "C" fn on_bus_error(_signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: with SA_SIGINFO the kernel passes a pointer to a siginfo that is valid until the handler returns.
    let info = unsafe { &*info };
    // SAFETY: every SIGBUS raised by the kernel (`si_code` above 0, checked before the address is used) has this field.
    // In other signals this reads other bytes of the same union.
    let address = unsafe { info.si_addr() } as usize;
    let (start, end) = (START.load(Ordering::SeqCst), END.load(Ordering::SeqCst));
    if info.si_code > 0 && (start..end).contains(&address) && put_memory(address, end) {
        STRUCK.store(true, Ordering::SeqCst);
        Errno::set_raw(errno);
        return;
    }
    // SAFETY: both calls are async-signal-safe. The signal is blocked until the handler returns and then ends the
    // process.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
    // SAFETY: as above.
    unsafe { libc::raise(libc::SIGBUS) };
}

/// Maps private memory over all pages from the page of `address` up to `end`.
#[allow(unsafe_code, reason = "mmap over a mapping that this module controls")]
fn put_memory(address: usize, end: usize) -> bool {
    let first = address & !PAGE.load(Ordering::SeqCst).wrapping_sub(1);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let place = ptr::without_provenance_mut(first);
    // SAFETY: the range lies in the mapping that `survive` borrows exclusively. It stays mapped, readable and writable,
    // and its bytes are plain data of which any value is valid.
    let given = unsafe { libc::mmap(place, end.saturating_sub(first), protection, flags, -1, 0) };
    given != libc::MAP_FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "a mapping to be truncated")]
    fn a_truncated_file_is_detected_and_survived() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        // SAFETY: the file is not shared, and its bytes are plain data.
        let mut map = unsafe { MmapMut::map_mut(&file).unwrap() };
        assert_eq!(survive(&mut map, |map| map.fill(1)), Ok(true));
        file.set_len(100_000).unwrap();
        assert_eq!(survive(&mut map, |map| map.fill(2)), Ok(false));
        assert!(map.iter().all(|byte| *byte == 2));
        assert_eq!(file.metadata().unwrap().len(), 100_000);
        // The missing pages are anonymous memory now and can always be written.
        assert_eq!(survive(&mut map, |map| map.fill(3)), Ok(true));
    }
}
