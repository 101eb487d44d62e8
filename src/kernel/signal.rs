//! How this process handles a signal. Nothing is changed here.

use std::mem::MaybeUninit;
use std::ptr;

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
