//! What this process is allowed to do: its capabilities, and whether they are those of the whole machine.
//!
//! Only for advice and for limits: whether access is allowed is always decided by the kernel.

use std::path::Path;

use nix::unistd::geteuid;

use super::mount_table;

/// `CAP_IPC_LOCK` (`include/uapi/linux/capability.h`).
pub(crate) const IPC_LOCK: u32 = 14;

/// `CAP_SYS_PTRACE` of the same file.
pub(crate) const SYS_PTRACE: u32 = 19;

/// `CAP_SYS_ADMIN`, `CAP_PERFMON` and `CAP_BPF` of the same file.
pub(crate) const SYS_ADMIN: u32 = 21;
pub(crate) const PERFMON: u32 = 38;
pub(crate) const BPF: u32 = 39;

/// Whether this process has a capability; `None` if `/proc` does not tell.
pub(crate) fn has_capability(number: u32) -> Option<bool> {
    let status = std::fs::read("/proc/self/status").ok()?;
    parse_effective(&status).map(|bits| bits >> number & 1 == 1)
}

/// Whether its user ids, and with them its capabilities, are those of the machine and not of a user namespace.
pub(crate) fn is_of_whole_machine() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Who would be allowed to do more: `root`. `None` if this is root of the whole machine.
pub(crate) fn who_could() -> Option<&'static str> {
    root_of_machine().map(|(who, _)| who)
}

/// The same as advice: `run as root`.
pub(crate) fn run_as_root() -> Option<&'static str> {
    root_of_machine().map(|(_, advice)| advice)
}

fn root_of_machine() -> Option<(&'static str, &'static str)> {
    match (geteuid().is_root(), is_of_whole_machine()) {
        (false, _) => Some(("root", "run as root")),
        (true, false) => Some(("root outside of this user namespace", "run as root outside of this user namespace")),
        (true, true) => None,
    }
}

/// Advice for what is denied to this user.
pub(crate) fn run_as_root_or_owner() -> String {
    or_not_even_root(|run| format!("{run}, or as the user who owns it"))
}

/// The same for a path.
pub(crate) fn run_as_root_or_owner_of(path: &Path) -> String {
    let is_link = path.parent().is_some_and(|parent| parent.ends_with("map_files"));
    match is_link && mount_table::own().is_on(path, b"proc") {
        // Not even the owner of the process may follow it.
        true => or_not_even_root(|run| format!("{run}, or with CAP_CHECKPOINT_RESTORE")),
        false => run_as_root_or_owner(),
    }
}

fn or_not_even_root(advice: impl Fn(&str) -> String) -> String {
    run_as_root().map_or_else(|| "not even root is allowed to here".to_owned(), advice)
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
    fn the_effective_capabilities_are_read() {
        assert_eq!(parse_effective(b"Name:\tx\nCapPrm:\t1\nCapEff:\t0000000000080000\n"), Some(1 << SYS_PTRACE));
        assert_eq!(parse_effective(b"Name:\tCapEff\n"), None);
        assert!(has_capability(SYS_PTRACE).is_some());
    }
}
