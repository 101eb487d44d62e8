//! What this process itself may do, as `/proc/self/status` says: needed to say why the kernel refused something, and for nothing
//! else. Nothing is decided by it: the kernel is asked, and its answer stands.

use nix::unistd::geteuid;

/// The bit of `CAP_SYS_PTRACE` (`include/uapi/linux/capability.h`).
const SYS_PTRACE: u32 = 19;

/// What to do where the kernel does not let this user look at a process.
pub(super) fn advice_where_denied() -> &'static str {
    let effective = std::fs::read("/proc/self/status").ok().and_then(|text| parse_effective(&text));
    advice(geteuid().is_root(), effective)
}

fn advice(is_root: bool, effective: Option<u64>) -> &'static str {
    match effective {
        // It has what the kernel's own rules ask for: a security module, a sandbox or the process itself stands before it.
        Some(bits) if bits >> SYS_PTRACE & 1 == 1 => {
            "this user has CAP_SYS_PTRACE, and the kernel refuses all the same: a security module or another user namespace"
        }
        Some(_) if is_root => "root needs CAP_SYS_PTRACE for it, which it lacks here",
        None if is_root => "not even root may look at it here",
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
    fn a_capability_is_called_missing_only_where_it_is() {
        let bits = |text: &[u8]| parse_effective(text);
        assert_eq!(bits(b"Name:\tx\nCapPrm:\t1\nCapEff:\t0000000000080000\n"), Some(1 << SYS_PTRACE));
        assert_eq!(bits(b"Name:\tCapEff\n"), None);
        assert!(advice(true, Some(1 << SYS_PTRACE)).contains("refuses all the same"));
        assert!(advice(true, Some(!(1 << SYS_PTRACE))).contains("lacks"));
        assert!(advice(false, Some(0)).starts_with("run as root"));
        assert!(!advice(true, None).contains("lacks"));
    }
}
