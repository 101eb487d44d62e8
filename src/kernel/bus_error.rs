//! Surviving SIGBUS while a file is written through its mapping: another process may cut the file short, or its disk may
//! fail, and the kernel knows no other way to say so.
//!
//! Only for programs that fill a mapping. Inspecting touches no page and can meet no SIGBUS.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};
use std::sync::{Mutex, PoisonError};

use memmap2::MmapMut;
use nix::errno::Errno;
use nix::libc::{self, c_int, c_void, siginfo_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::page_size;

/// The mapping that is being written, from its first address up to and without the end of its last page.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
static PAGE: AtomicUsize = AtomicUsize::new(4096);
/// Whether a page of it could not be given.
static STRUCK: AtomicBool = AtomicBool::new(false);
/// An action on a signal belongs to the whole process, so there is one mapping at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Runs `work`, which writes into `map`; says whether the kernel could give every page of it.
///
/// Where it could not, the rest of the mapping, from that page on, is anonymous memory afterwards: what `work` went on to
/// write is in no file.
///
/// # Errors
/// Those of sigaction(2); `work` was not run then.
#[doc(alias = "sigaction")]
#[allow(unsafe_code, reason = "an action on a signal")]
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
    // SAFETY: the handler calls only what signal-safety(7) lists, besides mmap(2), which is a plain system call; it touches
    // atomics and the mapping that `map` lends exclusively.
    let before = unsafe { sigaction(Signal::SIGBUS, &action) }?;
    work(map);
    compiler_fence(Ordering::SeqCst);
    // SAFETY: it puts back the action that was in force before.
    unsafe { sigaction(Signal::SIGBUS, &before) }?;
    START.store(0, Ordering::SeqCst);
    END.store(0, Ordering::SeqCst);
    Ok(!STRUCK.load(Ordering::SeqCst))
}

/// Puts memory in place of the page that the kernel could not give and of all behind it, so that the write that failed
/// succeeds when it is taken up again. Any other SIGBUS ends the process as it would have.
#[allow(unsafe_code, reason = "a signal handler")]
extern "C" fn on_bus_error(_signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: with SA_SIGINFO the kernel passes a pointer to a siginfo that lives until the handler returns.
    let info = unsafe { &*info };
    // SAFETY: every SIGBUS that the kernel raises (`si_code` above 0, tested before the address is used) has this field;
    // in others it reads other bytes of the same union.
    let address = unsafe { info.si_addr() } as usize;
    let (start, end) = (START.load(Ordering::SeqCst), END.load(Ordering::SeqCst));
    if info.si_code > 0 && (start..end).contains(&address) && put_memory(address, end) {
        STRUCK.store(true, Ordering::SeqCst);
        Errno::set_raw(errno);
        return;
    }
    // SAFETY: both calls are async-signal-safe; the signal is blocked until the handler returns, and ends the process then.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
    // SAFETY: as above.
    unsafe { libc::raise(libc::SIGBUS) };
}

/// Maps private memory over all pages from that of `address` up to `end`.
#[allow(unsafe_code, reason = "mmap over a mapping that is this module's to change")]
fn put_memory(address: usize, end: usize) -> bool {
    let first = address & !PAGE.load(Ordering::SeqCst).wrapping_sub(1);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let place = ptr::without_provenance_mut(first);
    // SAFETY: the range lies within the mapping that `survive` borrows exclusively. It stays mapped, readable and writable,
    // and its bytes are plain data of which any value is valid.
    let given = unsafe { libc::mmap(place, end.saturating_sub(first), protection, flags, -1, 0) };
    given != libc::MAP_FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "a mapping to be cut")]
    fn a_file_that_was_cut_is_noticed_and_survived() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        // SAFETY: nobody else has the file, and its bytes are plain data.
        let mut map = unsafe { MmapMut::map_mut(&file).unwrap() };
        assert_eq!(survive(&mut map, |map| map.fill(1)), Ok(true));
        file.set_len(100_000).unwrap();
        assert_eq!(survive(&mut map, |map| map.fill(2)), Ok(false));
        assert!(map.iter().all(|byte| *byte == 2));
        assert_eq!(file.metadata().unwrap().len(), 100_000);
        // The pages behind it are memory now, and can always be given.
        assert_eq!(survive(&mut map, |map| map.fill(3)), Ok(true));
    }
}
