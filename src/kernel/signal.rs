//! How this process handles a signal, and what Ctrl-Z does to it.

use std::mem::MaybeUninit;
use std::ptr;
#[cfg(feature = "cli")]
use std::sync::Arc;
#[cfg(feature = "cli")]
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

#[cfg(feature = "cli")]
use nix::errno::Errno;
use nix::libc;
#[cfg(feature = "cli")]
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Whether the signal is ignored, as `SIGHUP` is under `nohup` and `SIGINT` after a shell's `&`. False for a number
/// that is not a signal.
#[doc(alias = "sigaction")]
#[allow(unsafe_code, reason = "nix can only replace an action, not read it")]
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, the call only writes the current one to memory of the right size.
    let answer = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeros is a valid `sigaction` (`SIG_DFL`, no flags), and the kernel may have overwritten it with
    // another.
    let action = unsafe { action.assume_init() };
    answer == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Does what Ctrl-Z does to a program that has no handler for it: stops this process, unless the terminal has no shell
/// that could continue it. For use within and outside of a handler.
#[allow(unsafe_code, reason = "the action of a signal is replaced for a moment")]
#[cfg(feature = "cli")]
fn stop() {
    // SAFETY: all zeros is a valid value of each: the default action, an empty set.
    let (default, mut before, mut signals): (libc::sigaction, libc::sigaction, libc::sigset_t) =
        unsafe { std::mem::zeroed() };
    // SAFETY: the new action is the default one, and there is room for the old one.
    if unsafe { libc::sigaction(libc::SIGTSTP, &raw const default, &raw mut before) } != 0 {
        return;
    }
    // SAFETY: the set is valid.
    unsafe { libc::sigaddset(&raw mut signals, libc::SIGTSTP) };
    let mut mask = signals;
    // SAFETY: a plain call.
    unsafe { libc::raise(libc::SIGTSTP) };
    // SAFETY: the set is valid, and there is room for the old one. Here the process stops, or the kernel drops the
    // signal.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const signals, &raw mut mask) };
    // SAFETY: this is the mask that was.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut()) };
    // SAFETY: this is the action that was.
    unsafe { libc::sigaction(libc::SIGTSTP, &raw const before, std::ptr::null_mut()) };
}

/// Whether Ctrl-Z may stop this process at once; null until [`on_stop_key`].
#[cfg(feature = "cli")]
static MAY_STOP: AtomicPtr<AtomicBool> = AtomicPtr::new(ptr::null_mut());

/// Whether Ctrl-Z was pressed and has had no effect yet.
#[cfg(feature = "cli")]
static CAME: AtomicBool = AtomicBool::new(false);

#[allow(unsafe_code, reason = "a signal handler cannot be passed a reference")]
#[cfg(feature = "cli")]
extern "C" fn handle_stop_key(_signal: libc::c_int) {
    // SAFETY: the pointer is null or comes from `Arc::into_raw` of a value that is never released.
    match unsafe { MAY_STOP.load(Ordering::Acquire).as_ref() } {
        Some(may_stop) if may_stop.load(Ordering::Relaxed) => stop(),
        _ => CAME.store(true, Ordering::Relaxed),
    }
}

/// Has Ctrl-Z stop this process at once while `may_stop`; otherwise it is only noted, until [`StopKey::obey`]. If it is
/// ignored, it stays so.
///
/// # Errors
/// As `sigaction(2)`.
#[allow(unsafe_code, reason = "a signal handler")]
#[cfg(feature = "cli")]
pub(crate) fn on_stop_key(may_stop: Arc<AtomicBool>) -> Result<StopKey, Errno> {
    MAY_STOP.store(Arc::into_raw(may_stop).cast_mut(), Ordering::Release);
    if !is_ignored(libc::SIGTSTP) {
        let handler = SigHandler::Handler(handle_stop_key);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler uses atomic values and system calls that are allowed in one.
        unsafe { sigaction(Signal::SIGTSTP, &action) }?;
    }
    Ok(StopKey(()))
}

/// Ctrl-Z, since [`on_stop_key`].
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct StopKey(());

#[cfg(feature = "cli")]
impl StopKey {
    /// Whether it was pressed and has had no effect yet.
    pub(crate) fn came(&self) -> bool {
        CAME.load(Ordering::Relaxed)
    }

    /// Stops this process if it was pressed.
    pub(crate) fn obey(&self) {
        if CAME.swap(false, Ordering::Relaxed) {
            stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_library_ignores_only_broken_pipes() {
        assert!(is_ignored(libc::SIGPIPE));
        assert!(!is_ignored(libc::SIGTERM));
        assert!(!is_ignored(12_345));
    }
}
