//! Leases on files (`fcntl(F_SETLEASE)`) and the delegations of an NFS server, from `/proc/locks`.
//!
//! A lease allows its holder to change a file without telling anyone, until another process opens it: that breaks the
//! lease, and the holder gets a signal. Samba and NFS servers lend leases to their clients.
//!
//! Reading `/proc/locks` is not cheap. The kernel first waits for an RCU grace period: 4 to 20 ms (kernel 6.18), unless
//! somebody else has read it just before. Then nobody on the machine can lock a file until the list is written, which
//! takes 10 to 30 us for each lock.

use std::io;

use procfs::{FromBufRead, Locks};

use super::major_minor;

/// A lease that opening the file for reading breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The process that holds it.
    pub(crate) pid: u32,
    /// The device of the file system. On btrfs and overlayfs `fstat` gives another one.
    pub(crate) device: u64,
    /// The inode of the file.
    pub(crate) inode: u64,
}

/// The leases in this pid namespace; those of other namespaces are not shown.
///
/// # Errors
/// `/proc` is not mounted.
pub(crate) fn read() -> io::Result<Vec<Lease>> {
    let text = std::fs::read("/proc/locks")?;
    // One by one: procfs rejects the whole list for a line that it cannot parse.
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// A line such as `2: LEASE  ACTIVE    WRITE 4690 fe:00:4711 0 EOF`. A lease for reading is not broken by a reader; one
/// that is being broken (`BREAKING`) shows what becomes of it instead of what it is.
fn parse(line: &[u8]) -> Option<Lease> {
    let lock = Locks::from_buf_read(line).ok()?.0.pop()?;
    let is_lease = matches!(lock.lock_type.as_str(), "LEASE" | "DELEG");
    let is_broken_by_reading = lock.kind.as_str() == "WRITE" || lock.mode.as_str() == "BREAKING";
    let pid = lock.pid?.try_into().ok()?;
    let device = major_minor(lock.devmaj, lock.devmin);
    (is_lease && is_broken_by_reading).then_some(Lease { pid, device, inode: lock.inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leases_that_reading_breaks_are_listed() {
        let lease = |pid| Some(Lease { pid, device: major_minor(0xfe, 1), inode: 4711 });
        assert_eq!(parse(b"2: LEASE  ACTIVE    WRITE 4690 fe:01:4711 0 EOF"), lease(4690));
        assert_eq!(parse(b"3: DELEG  ACTIVE    WRITE 12 fe:01:4711 0 EOF"), lease(12));
        assert_eq!(parse(b"4: LEASE  BREAKING  UNLCK 7 fe:01:4711 0 EOF"), lease(7));
        for line in [
            &b"5: LEASE  ACTIVE    READ  4690 fe:01:4711 0 EOF"[..],
            b"6: POSIX  ADVISORY  WRITE 4690 fe:01:4711 0 EOF",
            b"6: -> POSIX  ADVISORY  WRITE 4690 fe:01:4711 0 EOF",
            b"7: FLOCK  ADVISORY  WRITE 4690 fe:01:4711 0 EOF",
            b"8: LEASE  ACTIVE    WRITE",
            b"9: LEASE  ACTIVE    WRITE -1 fe:01:4711 0 EOF",
            b"9: LEASE  ACTIVE    WRITE 4690 <none>:0 0 EOF",
            b"9: LEASE  ACTIVE    WRITE 4690 fe:01 0 EOF",
            b"9: LEASE  \xff    WRITE 4690 fe:01:x 0 EOF",
            b"->",
            b"",
        ] {
            assert_eq!(parse(line), None, "{}", line.escape_ascii());
        }
    }
}
