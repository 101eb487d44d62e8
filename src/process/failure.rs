//! Why a process could not be read, and what to do about it.
//!
//! The advice depends on the capabilities of rmap itself (`/proc/self/status`). They only affect the wording; whether
//! access is allowed is always decided by the kernel.

use std::error;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
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

/// What a capture has in place of a file or directory that the user who took it was not allowed to read: a link with
/// one of two targets. Unlike permissions it stays what it is when the capture is unpacked by root, copied or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CapturedDenial {
    /// Root could have read it.
    OfUser,
    /// Not even root was allowed to.
    OfRoot,
}

impl CapturedDenial {
    /// The target of the link.
    pub(crate) fn target(self) -> &'static str {
        match self {
            CapturedDenial::OfUser => "(permission denied)",
            CapturedDenial::OfRoot => "(permission denied to root)",
        }
    }

    /// What a link with this target stands for, if for a denial.
    pub(crate) fn of_target(target: &OsStr) -> Option<CapturedDenial> {
        [CapturedDenial::OfUser, CapturedDenial::OfRoot].into_iter().find(|denial| target == denial.target())
    }

    /// The denial that an error is.
    pub(super) fn of_error(error: &io::Error) -> Option<CapturedDenial> {
        error.get_ref()?.downcast_ref().copied()
    }

    /// The error for it. It has no number: nothing was asked here, and what this user may do does not matter.
    pub(super) fn error(self) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, self)
    }

    fn advice(self) -> &'static str {
        match self {
            CapturedDenial::OfUser => "a capture that root takes has more",
            CapturedDenial::OfRoot => "not even root was allowed to read it when the capture was taken",
        }
    }
}

impl Display for CapturedDenial {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("permission denied")
    }
}

impl error::Error for CapturedDenial {}

/// Why a file of a process could not be read.
pub(super) fn read_error(pid: u32, error: &io::Error) -> Error {
    match CapturedDenial::of_error(error) {
        Some(denial) => Error::io(Subject::Pid(pid), error).with_advice(denial.advice()),
        None if is_gone(error) => exited(pid).caused_by(error),
        None if is_denied(error) => Error::io(Subject::Pid(pid), error).with_advice(advice_if_denied()),
        None => Error::io(Subject::Pid(pid), error),
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
        _ => AS_ROOT_OR_OWNER,
    }
}

const AS_ROOT_OR_OWNER: &str = "run as root, or as the user who owns it";

/// The error about a process that this one has started, so that it usually belongs to this user already.
pub(crate) fn of_own_child(error: Error) -> Error {
    match error.advice() {
        Some(AS_ROOT_OR_OWNER) => error.with_advice(
            "the file of the program may not be read, or it has made itself not dumpable, or runs as another user; \
             run as root",
        ),
        _ => error,
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
