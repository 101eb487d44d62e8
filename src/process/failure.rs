//! Why a process could not be read, and what to do about it.
//!
//! The advice depends on the capabilities of rmap itself (`/proc/self/status`). They only affect the wording; whether
//! access is allowed is always decided by the kernel.

use std::io;

use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::error::{Error, ErrorKind, Subject};
use crate::kernel::privilege::{SYS_PTRACE, has_capability};

/// Whether the process, or the file of a capture, does not exist.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOENT | Errno::ESRCH))
}

/// Whether this user is not allowed to read it.
pub(super) fn is_denied(error: &io::Error) -> bool {
    // `EACCES` and `EPERM`.
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The target of a link that stands, in a capture, for a file or directory that this user was not allowed to read.
/// Unlike permissions it stays what it is when the capture is unpacked by root, copied or sent.
pub(crate) const DENIED: &str = "(permission denied)";

/// The error for what the user who took a capture was not allowed to read. It has no number: nothing was asked here,
/// and what this user may do does not matter.
pub(super) fn captured_denial() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "permission denied")
}

/// Whether it is that error.
pub(super) fn is_captured_denial(error: &io::Error) -> bool {
    is_denied(error) && error.raw_os_error().is_none()
}

/// Why a file of a process could not be read.
pub(super) fn read_error(pid: u32, error: &io::Error) -> Error {
    match () {
        () if is_gone(error) => exited(pid).caused_by(error),
        () if is_captured_denial(error) => {
            Error::io(Subject::Pid(pid), error).with_advice("a capture that root takes has more")
        }
        () if is_denied(error) => Error::io(Subject::Pid(pid), error).with_advice(advice_if_denied()),
        () => Error::io(Subject::Pid(pid), error),
    }
}

pub(super) fn exited(pid: u32) -> Error {
    Error::pid(pid, ErrorKind::NotFound, "exited while it was read")
}

fn advice_if_denied() -> &'static str {
    advice(geteuid().is_root(), has_capability(SYS_PTRACE))
}

fn advice(is_root: bool, may_trace: Option<bool>) -> &'static str {
    match may_trace {
        // The kernel's own rules are met, so something else refuses.
        Some(true) => "this user has CAP_SYS_PTRACE, but a security module or another user namespace denies access",
        Some(false) if is_root => "root needs CAP_SYS_PTRACE, which is missing here",
        None if is_root => "not even root is allowed to read it here",
        _ => "run as root, or as the user who owns it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_called_missing_only_if_it_is() {
        assert!(advice(true, Some(true)).contains("denies access"));
        assert!(advice(true, Some(false)).contains("missing"));
        assert!(advice(false, Some(false)).starts_with("run as root"));
        assert!(!advice(true, None).contains("missing"));
    }
}
