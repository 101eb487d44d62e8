//! How this process handles a signal, and signals that take effect later.

use std::mem::MaybeUninit;
use std::ptr;
#[cfg(feature = "cli")]
use std::sync::Arc;
#[cfg(feature = "cli")]
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

#[cfg(feature = "cli")]
use nix::errno::Errno;
use nix::libc;

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

/// Does what a signal does to a program that has no handler for it: ends or stops this process. Ctrl-Z does nothing if
/// the terminal has no shell that could continue it. For use within and outside of a handler.
#[allow(unsafe_code, reason = "the action of a signal is replaced for a moment")]
#[cfg(feature = "cli")]
fn take_effect(signal: libc::c_int) {
    // SAFETY: all zeros is a valid value of each: the default action, an empty set.
    let (default, mut before, mut signals): (libc::sigaction, libc::sigaction, libc::sigset_t) =
        unsafe { std::mem::zeroed() };
    // SAFETY: the new action is the default one, and there is room for the old one.
    if unsafe { libc::sigaction(signal, &raw const default, &raw mut before) } != 0 {
        return;
    }
    // SAFETY: the set is valid.
    unsafe { libc::sigaddset(&raw mut signals, signal) };
    let mut mask = signals;
    // SAFETY: a plain call.
    unsafe { libc::raise(signal) };
    // SAFETY: the set is valid, and there is room for the old one. Here the process ends or stops, or the kernel drops
    // the signal.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const signals, &raw mut mask) };
    // SAFETY: this is the mask that was.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut()) };
    // SAFETY: this is the action that was.
    unsafe { libc::sigaction(signal, &raw const before, std::ptr::null_mut()) };
}

/// Whether a signal may take effect at once; null until [`delay`].
#[cfg(feature = "cli")]
static AT_ONCE: AtomicPtr<AtomicBool> = AtomicPtr::new(ptr::null_mut());

/// The signals that came and have had no effect yet: a bit for each number, from 1 on.
#[cfg(feature = "cli")]
static CAME: AtomicU64 = AtomicU64::new(0);

#[allow(unsafe_code, reason = "a signal handler cannot be passed a reference")]
#[cfg(feature = "cli")]
extern "C" fn handle(signal: libc::c_int) {
    // SAFETY: the pointer is null or comes from `Arc::into_raw` of a value that is never released.
    match unsafe { AT_ONCE.load(Ordering::Acquire).as_ref() } {
        Some(at_once) if at_once.load(Ordering::Relaxed) => take_effect(signal),
        _ => drop(CAME.fetch_or(bit(signal), Ordering::Relaxed)),
    }
}

#[cfg(feature = "cli")]
fn bit(signal: libc::c_int) -> u64 {
    let place = signal.checked_sub(1).and_then(|place| u32::try_from(place).ok());
    place.and_then(|place| 1_u64.checked_shl(place)).unwrap_or(0)
}

/// The same for a signal that the kernel also raises for a fault. The cause of a fault lasts, so that it takes effect
/// at once.
#[allow(unsafe_code, reason = "a signal handler cannot be passed a reference")]
#[cfg(feature = "cli")]
extern "C" fn handle_fault(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a pointer to a siginfo that is valid until the handler returns.
    let is_fault = unsafe { info.as_ref() }.is_some_and(|info| info.si_code > 0);
    if is_fault { take_effect(signal) } else { handle(signal) }
}

/// The signals of [`delayed`] that the kernel also raises for a fault. Those of memory that cannot be accessed are not
/// among them: the standard library and `bus_error` handle them.
#[cfg(feature = "cli")]
const OF_FAULTS: [libc::c_int; 4] = [libc::SIGILL, libc::SIGTRAP, libc::SIGFPE, libc::SIGSYS];

/// Ctrl-Z, and the signals that end a process unless it handles them. Ctrl-C, SIGTERM and SIGHUP are not among them,
/// which end an answer cleanly.
#[cfg(feature = "cli")]
fn delayed() -> impl Iterator<Item = libc::c_int> {
    let named = [
        libc::SIGTSTP,
        libc::SIGQUIT,
        libc::SIGABRT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGPIPE,
        libc::SIGALRM,
        libc::SIGSTKFLT,
        libc::SIGXCPU,
        libc::SIGXFSZ,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGIO,
        libc::SIGPWR,
    ];
    named.into_iter().chain(OF_FAULTS).chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
}

/// Has Ctrl-Z and the signals that end a process take effect at once while `at_once`; otherwise they are only noted,
/// until [`Delayed::obey`]. One that is ignored stays so.
///
/// # Errors
/// As `sigaction(2)`.
#[allow(unsafe_code, reason = "a signal handler")]
#[cfg(feature = "cli")]
pub(crate) fn delay(at_once: Arc<AtomicBool>) -> Result<Delayed, Errno> {
    AT_ONCE.store(Arc::into_raw(at_once).cast_mut(), Ordering::Release);
    // SAFETY: all zeros is a valid value: an empty mask, no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: as above.
    let mut of_fault: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handle_fault;
    of_fault.sa_sigaction = handler as libc::sighandler_t;
    of_fault.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
    for signal in delayed().filter(|signal| !is_ignored(*signal)) {
        let action = if OF_FAULTS.contains(&signal) { of_fault } else { action };
        // SAFETY: the handler uses atomic values and system calls that are allowed in one.
        Errno::result(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) })?;
    }
    Ok(Delayed(()))
}

/// The signals of [`delay`].
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct Delayed(());

#[cfg(feature = "cli")]
impl Delayed {
    /// Whether one came and has had no effect yet.
    pub(crate) fn came(&self) -> bool {
        CAME.load(Ordering::Relaxed) != 0
    }

    /// Lets those that came take effect.
    pub(crate) fn obey(&self) {
        let came = CAME.swap(0, Ordering::Relaxed);
        delayed().filter(|signal| came & bit(*signal) != 0).for_each(take_effect);
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
