//! `/proc/PID/status`: the memory figures that are public even if smaps is not.
//!
//! Any user may read it for any process (unless `/proc` is mounted with `hidepid`). Its figures are counters that the
//! kernel updates continuously, not the result of a page table walk. On machines with many cores they may be off by
//! some pages (see RSS in the kernel's `Documentation/filesystems/proc.rst`). They do not include hugetlb.
//!
//! It is parsed here because procfs 0.18 rejects the whole file for a name that is not UTF-8 and cuts a name at its
//! first colon.

use crate::error::{Error, ErrorKind, Result};
use crate::process::failure::read_error;
use crate::process::handle::Process;
use crate::units::{Absent, Bytes, Figure, Reason};

/// The maximum number of bytes that are read; 6.18 writes 1.6 KB.
const LONGEST: u64 = 1 << 20;

/// What `/proc/PID/status` reports about a process and its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name (`comm`), at most 15 bytes, as the kernel escapes it (`\n`, `\\`). Hostile bytes.
    pub name: Vec<u8>,
    /// The state letter: `S` sleeping, `R` running, `Z` zombie.
    pub state: u8,
    /// The number of the user it runs as (the effective one, which `pgrep -u` compares).
    pub user: u32,
    /// Its thread group (`Tgid`): its pid, unless the file is that of another thread.
    pub thread_group: Option<u32>,
    /// How many threads it has.
    pub threads: Figure<u64>,
    /// `VmSize`: address space, not memory.
    pub size: Figure<Bytes>,
    /// `VmRSS`: what is in RAM and mapped, without hugetlb.
    pub rss: Figure<Bytes>,
    /// `RssAnon`: the part of it that is not in a file (4.5 and later).
    pub rss_anonymous: Figure<Bytes>,
    /// `RssFile`: the part of it that is in files (4.5 and later).
    pub rss_file: Figure<Bytes>,
    /// `RssShmem`: the part of it that is in shared memory and tmpfs (4.5 and later).
    pub rss_shared_memory: Figure<Bytes>,
    /// `VmSwap`: anonymous memory in swap, without shared memory.
    pub swap: Figure<Bytes>,
    /// `VmLck`: locked address space.
    pub locked: Figure<Bytes>,
    /// `VmPTE`: its page tables, whose size decides how long the kernel takes for smaps_rollup.
    pub page_tables: Figure<Bytes>,
    /// `HugetlbPages`: memory in hugetlb pages (4.4 and later).
    pub hugetlb: Figure<Bytes>,
}

impl Process {
    /// Reads `/proc/PID/status`. If the first thread has exited, the memory figures are those that another thread
    /// shows; name and state are always those of the process.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: it has exited. [`ErrorKind::Malformed`]: the file is not in the kernel's format.
    pub fn read_status(&self) -> Result<Status> {
        let read = |directory: &crate::process::directory::Directory| {
            let text = directory.read_file("status", LONGEST).map_err(|error| read_error(self.pid(), &error))?;
            let malformed = "its status file is not in the kernel's format";
            parse_status(&text).ok_or_else(|| Error::pid(self.pid(), ErrorKind::Malformed, malformed))
        };
        let own = read(&self.directory)?;
        if own.state != b'Z' {
            return Ok(own);
        }
        match self.memory().and_then(|memory| read(&memory.directory)) {
            Ok(thread) => Ok(Status { name: own.name, state: own.state, ..thread }),
            Err(_) => Ok(own),
        }
    }
}

/// Parses the text of `/proc/PID/status`; `None` if name, state or user are missing.
pub fn parse_status(text: &[u8]) -> Option<Status> {
    let lines = Lines(text);
    // Processes that have exited and kernel threads have no lines about memory.
    let has_memory = lines.value("VmSize").is_some();
    let bytes = |key, since| lines.bytes(key).ok_or(if has_memory { not_given(since) } else { NO_MEMORY });
    Some(Status {
        name: lines.value("Name")?.to_vec(),
        state: *lines.value("State")?.first()?,
        user: number(words(lines.value("Uid")?).nth(1)?)?.try_into().ok()?,
        thread_group: lines.value("Tgid").and_then(number).and_then(|pid| pid.try_into().ok()),
        threads: lines.value("Threads").and_then(number).ok_or(not_given("the kernel does not report it")),
        size: bytes("VmSize", "the kernel does not report it"),
        rss: bytes("VmRSS", "the kernel does not report it"),
        rss_anonymous: bytes("RssAnon", "the kernel does not report it (new in Linux 4.5)"),
        rss_file: bytes("RssFile", "the kernel does not report it (new in Linux 4.5)"),
        rss_shared_memory: bytes("RssShmem", "the kernel does not report it (new in Linux 4.5)"),
        swap: bytes("VmSwap", "the kernel does not report it"),
        locked: bytes("VmLck", "the kernel does not report it"),
        page_tables: bytes("VmPTE", "the kernel does not report it"),
        hugetlb: bytes("HugetlbPages", "the kernel does not report it (new in Linux 4.4)"),
    })
}

pub(super) const NO_MEMORY: Absent =
    Absent::new(Reason::NotApplicable, "it has no memory of its own: a kernel thread, or it has exited");

const fn not_given(why: &'static str) -> Absent {
    Absent::new(Reason::Unsupported, why)
}

/// `KEY:<tab>VALUE` lines.
pub(super) struct Lines<'t>(pub(super) &'t [u8]);

impl<'t> Lines<'t> {
    /// What follows `key:` and a tab. The name comes first and cannot contain a newline, so it cannot fake another
    /// line.
    fn value(&self, key: &str) -> Option<&'t [u8]> {
        self.0.split(|byte| *byte == b'\n').find_map(|line| {
            let rest = line.strip_prefix(key.as_bytes())?.strip_prefix(b":")?;
            // One tab only: the name may begin with a space.
            Some(rest.strip_prefix(b"\t").unwrap_or(rest))
        })
    }

    /// A size, which the kernel writes in kB.
    pub(super) fn bytes(&self, key: &str) -> Option<Bytes> {
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
        let text = b"Name:\ta: b\xff\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t1000\t1001\t1000\t1000\n\
                     VmSize:\t   10 kB\nVmLck:\t       0 kB\nVmRSS:\t    7 kB\nRssAnon:\t    4 kB\n\
                     RssFile:\t    2 kB\nRssShmem:\t    1 kB\nVmSwap:\t    3 kB\nThreads:\t2\n";
        let status = parse_status(text).unwrap();
        assert_eq!(
            (&status.name[..], status.state, status.user, status.threads),
            (&b"a: b\xff"[..], b'S', 1001, Ok(2))
        );
        assert_eq!((status.rss, status.swap, status.locked), (Ok(Bytes(7168)), Ok(Bytes(3072)), Ok(Bytes(0))));
        assert_eq!(status.rss_anonymous, Ok(Bytes(4096)));
        // A kernel that does not report it: absent, not zero.
        assert_eq!(status.hugetlb.unwrap_err().reason, Reason::Unsupported);
    }

    #[test]
    fn a_kernel_thread_has_no_memory() {
        let status = parse_status(b"Name:\tkthreadd\nState:\tS (sleeping)\nUid:\t0\t0\t0\t0\nThreads:\t1\n").unwrap();
        assert_eq!(status.rss, Err(NO_MEMORY));
        assert_eq!(status.rss_file, Err(NO_MEMORY));
    }

    #[test]
    fn other_text_is_rejected() {
        for text in [&b""[..], b"Name:\tx\n", b"Name:\tx\nState:\t\nUid:\t0 0\n", b"Name:\tx\nState:\tS\nUid:\t0\n"] {
            assert_eq!(parse_status(text), None);
        }
    }

    #[test]
    fn the_figures_of_our_own_process_add_up() {
        let status = Process::own().unwrap().read_status().unwrap();
        let parts = [status.rss_anonymous, status.rss_file, status.rss_shared_memory];
        assert_eq!(parts.into_iter().map(|part| part.unwrap().0).sum::<u64>(), status.rss.unwrap().0);
        assert_eq!(status.user, nix::unistd::geteuid().as_raw());
    }
}
