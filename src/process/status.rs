//! `/proc/PID/status`: what may be known of a process's memory when its smaps may not be read.
//!
//! Any user may read it of any process (unless `/proc` is mounted with `hidepid`). Its figures are the counters that the
//! kernel keeps as it goes, not a look at the page tables: they may be some pages off on machines with many cores (the
//! kernel's `Documentation/filesystems/proc.rst` says so of RSS), and do not include hugetlb.
//!
//! Parsed here and not by procfs 0.18, which refuses the whole file for a name that is not UTF-8 and cuts one at its
//! first colon.

use crate::error::{Error, ErrorKind, Result, Subject};
use crate::process::identity::is_gone;
use crate::process::root::{ProcRoot, ProcessDir};
use crate::units::{Absent, Bytes, Figure, Reason};

/// As much as is read; 6.18 writes 1.6 KB.
const LONGEST: u64 = 1 << 20;

/// What `/proc/PID/status` says of a process and its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name (`comm`), at most 15 bytes, as the kernel escapes it (`\n`, `\\`). Hostile bytes.
    pub name: Vec<u8>,
    /// The state letter: `S` sleeping, `R` running, `Z` zombie.
    pub state: u8,
    /// The user it runs as (the effective one, as `pgrep -u` compares it).
    pub user: u32,
    /// How many threads it has.
    pub threads: Figure<u64>,
    /// `VmSize`: address space, not memory.
    pub size: Figure<Bytes>,
    /// `VmRSS`: what is in RAM and mapped, without hugetlb.
    pub rss: Figure<Bytes>,
    /// `RssAnon`: the part of it that is in no file (4.5 and later).
    pub rss_anonymous: Figure<Bytes>,
    /// `RssFile`: the part of it that is in files (4.5 and later).
    pub rss_file: Figure<Bytes>,
    /// `RssShmem`: the part of it that is in shared memory and tmpfs (4.5 and later).
    pub rss_shared_memory: Figure<Bytes>,
    /// `VmSwap`: anonymous memory in swap; shared memory in swap is not in it.
    pub swap: Figure<Bytes>,
    /// `VmLck`: locked address space.
    pub locked: Figure<Bytes>,
    /// `HugetlbPages`: memory in hugetlb pages (4.4 and later).
    pub hugetlb: Figure<Bytes>,
}

/// Reads `/proc/PID/status`.
///
/// # Errors
/// [`ErrorKind::NotFound`]: no such process, or it exited while it was read; [`ErrorKind::Malformed`]: it is not what a
/// kernel writes.
pub fn read_status(root: &ProcRoot, pid: u32) -> Result<Status> {
    read_status_in(&ProcessDir::open(root, pid)?)
}

pub(super) fn read_status_in(directory: &ProcessDir) -> Result<Status> {
    let text = directory.read_file("status", LONGEST).map_err(|error| match is_gone(&error) {
        true => Error::pid(directory.pid, ErrorKind::NotFound, "exited while it was read"),
        false => Error::io(Subject::Pid(directory.pid), &error),
    })?;
    parse_status(&text)
        .ok_or_else(|| Error::pid(directory.pid, ErrorKind::Malformed, "its status file is not what the kernel writes"))
}

/// Parses the text of `/proc/PID/status`; absent where name, state or user are missing.
pub fn parse_status(text: &[u8]) -> Option<Status> {
    let lines = Lines(text);
    // A process that has exited, and a kernel thread, have none of the lines about memory.
    let has_memory = lines.value("VmSize").is_some();
    let bytes = |key, since| lines.bytes(key).ok_or(if has_memory { not_given(since) } else { NO_MEMORY });
    Some(Status {
        name: lines.value("Name")?.to_vec(),
        state: *lines.value("State")?.first()?,
        user: number(words(lines.value("Uid")?).nth(1)?)?.try_into().ok()?,
        threads: lines.value("Threads").and_then(number).ok_or(not_given("the kernel does not give it")),
        size: bytes("VmSize", "the kernel does not give it"),
        rss: bytes("VmRSS", "the kernel does not give it"),
        rss_anonymous: bytes("RssAnon", "the kernel does not give it, as before Linux 4.5"),
        rss_file: bytes("RssFile", "the kernel does not give it, as before Linux 4.5"),
        rss_shared_memory: bytes("RssShmem", "the kernel does not give it, as before Linux 4.5"),
        swap: bytes("VmSwap", "the kernel does not give it"),
        locked: bytes("VmLck", "the kernel does not give it"),
        hugetlb: bytes("HugetlbPages", "the kernel does not give it, as before Linux 4.4"),
    })
}

const NO_MEMORY: Absent =
    Absent::new(Reason::NotApplicable, "it has no memory of its own: a kernel thread, or it has exited");

const fn not_given(why: &'static str) -> Absent {
    Absent::new(Reason::Unsupported, why)
}

/// `KEY:<tab>VALUE` lines.
struct Lines<'t>(&'t [u8]);

impl<'t> Lines<'t> {
    /// What stands behind `key:` and a tab; the first, since the name comes before all others and
    /// cannot hold a newline.
    fn value(&self, key: &str) -> Option<&'t [u8]> {
        self.0.split(|byte| *byte == b'\n').find_map(|line| {
            let rest = line.strip_prefix(key.as_bytes())?.strip_prefix(b":")?;
            // One tab, then the name, which may itself begin with a blank.
            Some(rest.strip_prefix(b"\t").unwrap_or(rest))
        })
    }

    fn bytes(&self, key: &str) -> Option<Bytes> {
        Bytes::from_kib(number(self.value(key)?.trim_ascii().strip_suffix(b"kB")?)?)
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_process_are_read() {
        let text = b"Name:\ta: b\xff\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t1000\t1001\t1000\t1000\nVmSize:\t   10 kB\n\
                     VmLck:\t       0 kB\nVmRSS:\t    7 kB\nRssAnon:\t    4 kB\nRssFile:\t    2 kB\nRssShmem:\t    1 kB\n\
                     VmSwap:\t    3 kB\nThreads:\t2\n";
        let status = parse_status(text).unwrap();
        assert_eq!(
            (&status.name[..], status.state, status.user, status.threads),
            (&b"a: b\xff"[..], b'S', 1001, Ok(2))
        );
        assert_eq!((status.rss, status.swap, status.locked), (Ok(Bytes(7168)), Ok(Bytes(3072)), Ok(Bytes(0))));
        assert_eq!(status.rss_anonymous, Ok(Bytes(4096)));
        // This kernel does not give it: absent, never zero.
        assert_eq!(status.hugetlb.unwrap_err().reason, Reason::Unsupported);
    }

    #[test]
    fn a_kernel_thread_has_no_memory() {
        let status = parse_status(b"Name:\tkthreadd\nState:\tS (sleeping)\nUid:\t0\t0\t0\t0\nThreads:\t1\n").unwrap();
        assert_eq!(status.rss, Err(NO_MEMORY));
        assert_eq!(status.rss_file, Err(NO_MEMORY));
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for text in [&b""[..], b"Name:\tx\n", b"Name:\tx\nState:\t\nUid:\t0 0\n", b"Name:\tx\nState:\tS\nUid:\t0\n"] {
            assert_eq!(parse_status(text), None);
        }
    }

    #[test]
    fn the_own_process_adds_up() {
        let status = read_status(&ProcRoot::live(), std::process::id()).unwrap();
        let parts = [status.rss_anonymous, status.rss_file, status.rss_shared_memory];
        assert_eq!(parts.into_iter().map(|part| part.unwrap().0).sum::<u64>(), status.rss.unwrap().0);
        assert_eq!(status.user, nix::unistd::geteuid().as_raw());
        assert_eq!(read_status(&ProcRoot::live(), u32::MAX).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
