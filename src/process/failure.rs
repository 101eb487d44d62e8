//! Why a process could not be read, and what to do about it.
//!
//! The advice depends on the capabilities of rmap itself (`/proc/self/status`). They only affect the wording; whether
//! access is allowed is always decided by the kernel.

use std::io;

use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::error::{Error, ErrorKind, Subject};

/// The bit of `CAP_SYS_PTRACE` (`include/uapi/linux/capability.h`).
const SYS_PTRACE: u32 = 19;

/// Whether the process, or the file of a capture, does not exist.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOENT | Errno::ESRCH))
}

/// Whether this user is not allowed to read it.
pub(super) fn is_denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EACCES | Errno::EPERM))
}

/// Why a file of a process could not be read.
pub(super) fn read_error(pid: u32, error: &io::Error) -> Error {
    match () {
        () if is_gone(error) => exited(pid).caused_by(error),
        () if is_denied(error) => Error::io(Subject::Pid(pid), error).with_advice(advice_if_denied()),
        () => Error::io(Subject::Pid(pid), error),
    }
}

pub(super) fn exited(pid: u32) -> Error {
    Error::pid(pid, ErrorKind::NotFound, "exited while it was read")
}

fn advice_if_denied() -> &'static str {
    let effective = std::fs::read("/proc/self/status").ok().and_then(|text| parse_effective(&text));
    advice(geteuid().is_root(), effective)
}

fn advice(is_root: bool, effective: Option<u64>) -> &'static str {
    match effective {
        // The kernel's own rules are met, so something else refuses.
        Some(bits) if bits >> SYS_PTRACE & 1 == 1 => {
            "this user has CAP_SYS_PTRACE, but a security module or another user namespace denies access"
        }
        Some(_) if is_root => "root needs CAP_SYS_PTRACE, which is missing here",
        None if is_root => "not even root is allowed to read it here",
        _ => "run as root, or as the user who owns it",
    }
}

/// The effective capabilities in the text of a status file.
fn parse_effective(status: &[u8]) -> Option<u64> {
    let value = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"CapEff:"))?;
    u64::from_str_radix(std::str::from_utf8(value.trim_ascii()).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_called_missing_only_if_it_is() {
        assert_eq!(parse_effective(b"Name:\tx\nCapPrm:\t1\nCapEff:\t0000000000080000\n"), Some(1 << SYS_PTRACE));
        assert_eq!(parse_effective(b"Name:\tCapEff\n"), None);
        assert!(advice(true, Some(1 << SYS_PTRACE)).contains("denies access"));
        assert!(advice(true, Some(!(1 << SYS_PTRACE))).contains("missing"));
        assert!(advice(false, Some(0)).starts_with("run as root"));
        assert!(!advice(true, None).contains("missing"));
    }
}
