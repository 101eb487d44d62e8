//! How much memory processes use: of each the figures that any user may read, and those of its smaps_rollup.
//!
//! [`collect_usages`] reads many processes on several threads, the largest first, within a time limit. The public
//! figures take microseconds a process. The kernel walks all page tables of a process for its smaps_rollup, which may
//! take seconds if they are dense.

mod collect;
mod read;
mod threads;

pub(crate) use collect::OF_MACHINE;
pub use collect::{UsageRequest, Usages, collect_usages};
pub use read::Busy;

use crate::error::Error;
use crate::process::identity::Identity;
use crate::process::rollup::ProcessTotals;
use crate::process::status::{Lines, Status};
use crate::units::{Absent, Bytes, Figure, Reason};

/// What is read about each process in addition to its name, its user and the memory figures that any user may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageNeeds {
    /// Its command line.
    pub command: bool,
    /// Its control groups.
    pub group: bool,
    /// The name of its program.
    pub program: bool,
    /// Its smaps_rollup.
    pub shares: bool,
}

/// A process and the memory that it uses.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The process. Without [`UsageNeeds::command`] the command is empty.
    pub identity: Identity,
    /// Its name (`comm`), at most 15 bytes, of any values. Empty in a capture without `stat` and `status`.
    pub name: Vec<u8>,
    /// The pid of its parent; `None` if it has none in this pid namespace, or in a capture without `stat`.
    pub parent: Option<u32>,
    /// What any user may read; absent in a capture without `status`. See [`Usage::public`].
    pub status: Figure<Status>,
    /// The path of its memory control group, of any bytes; see [`crate::process::Process::read_cgroup`].
    pub group: Figure<Vec<u8>>,
    /// The path of its control group in the hierarchy in which systemd has one for each unit, if that is another.
    pub unit_group: Option<Vec<u8>>,
    /// The name of its program, without directory: that of the file, or of the process if this user may not know the
    /// file. Any bytes.
    pub program: Vec<u8>,
    /// The figures of its smaps_rollup. See [`Usage::share`].
    pub shares: Figure<Shares>,
    /// Why they are absent, with what to do about it, if the process may not or could not be read. `None` if there was
    /// no time, and if nothing is absent.
    pub failure: Option<Error>,
    /// The number of its address space in this collection. Processes with the same number share one (`vfork`,
    /// `CLONE_VM`): sums count it once.
    pub memory: u64,
}

/// What smaps_rollup says about a process: the sums over its mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// `Rss`: what is in RAM and mapped, without hugetlb.
    pub rss: Figure<Bytes>,
    /// `Pss`: the same, with shared pages divided among the processes that map them.
    pub pss: Figure<Bytes>,
    /// `Pss_Anon`: the part of it that is not in a file.
    pub pss_anonymous: Figure<Bytes>,
    /// `Pss_File`: the part of it that is in files.
    pub pss_file: Figure<Bytes>,
    /// `Pss_Shmem`: the part of it that is in shared memory and tmpfs.
    pub pss_shared_memory: Figure<Bytes>,
    /// Uss: `Private_Clean` and `Private_Dirty`, the part of Rss that is in no other mapping, and so would be free
    /// without this process. Like Rss it is without hugetlb.
    pub uss: Figure<Bytes>,
    /// `Swap`: in swap, shared memory included.
    pub swap: Figure<Bytes>,
    /// `SwapPss`: anonymous memory in swap, divided among the processes that share it.
    pub swap_pss: Figure<Bytes>,
    /// `Locked`: the share of this process in the locked resident memory.
    pub locked: Figure<Bytes>,
    /// `Shared_Hugetlb` and `Private_Hugetlb`: in hugetlb pages, which no other figure includes.
    pub hugetlb: Figure<Bytes>,
}

const NOT_REPORTED: Absent = Absent::new(Reason::Unsupported, "the kernel does not report it");
const NOT_ASKED: Absent = Absent::new(Reason::NotApplicable, "it was not read");
const NO_STATUS: Absent = Absent::new(Reason::Unsupported, "there is no status file");
const NO_GROUP: Absent = Absent::new(Reason::Unsupported, "it is not in a control group for memory");
const DENIED: Absent = Absent::new(Reason::Denied, "this user is not allowed to read its smaps_rollup");
const UNREADABLE: Absent = Absent::new(Reason::Unsupported, "its smaps_rollup could not be read");
const CHANGED: Absent = Absent::new(Reason::Changed, "it changed every time it was read");
/// Why a figure is absent for which there was no time.
pub const LATE: Absent = Absent::new(Reason::Late, "it was not read in time; a longer --budget reads more");

impl Usage {
    /// A figure that any user may read.
    pub fn public(&self, take: fn(&Status) -> Figure<Bytes>) -> Figure<Bytes> {
        take(self.status.as_ref().map_err(|absent| *absent)?)
    }

    /// A figure of smaps_rollup.
    pub fn share(&self, take: fn(&Shares) -> Figure<Bytes>) -> Figure<Bytes> {
        take(self.shares.as_ref().map_err(|absent| *absent)?)
    }

    /// Rss: that of smaps_rollup if it was read, otherwise `VmRSS` of status, a counter of the kernel that may be off
    /// by some pages for each processor.
    pub fn rss(&self) -> Figure<Bytes> {
        self.share(|shares| shares.rss).or_else(|_| self.public(|status| status.rss))
    }

    /// Pss; if that is not known, Rss as an upper bound, as far as the kernel's counters are exact.
    pub fn pss_or_rss(&self) -> Figure<Bytes> {
        self.share(|shares| shares.pss).or_else(|_| self.rss())
    }
}

impl Shares {
    /// Parses the text of a smaps_rollup; `None` if it is not in the kernel's format.
    pub fn parse(text: &[u8]) -> Option<Shares> {
        let lines = Lines(text);
        let shares = Shares::of(|key| lines.bytes(key).ok_or(NOT_REPORTED));
        (shares.rss.is_ok() && shares.pss.is_ok()).then_some(shares)
    }

    pub(super) fn of_totals(totals: &ProcessTotals) -> Shares {
        Shares::of(|key| totals.figure(key))
    }

    fn of(figure: impl Fn(&str) -> Figure<Bytes>) -> Shares {
        let sum = |one, other| Bytes::sum_of([figure(one), figure(other)]);
        Shares {
            rss: figure("Rss"),
            pss: figure("Pss"),
            pss_anonymous: figure("Pss_Anon"),
            pss_file: figure("Pss_File"),
            pss_shared_memory: figure("Pss_Shmem"),
            uss: sum("Private_Clean", "Private_Dirty"),
            swap: figure("Swap"),
            swap_pss: figure("SwapPss"),
            locked: figure("Locked"),
            hugetlb: sum("Shared_Hugetlb", "Private_Hugetlb"),
        }
    }

    /// The counters that this consists of, for a process whose smaps has to be added up.
    pub(super) const COUNTERS: [&str; 12] = [
        "Rss",
        "Pss",
        "Pss_Anon",
        "Pss_File",
        "Pss_Shmem",
        "Private_Clean",
        "Private_Dirty",
        "Shared_Hugetlb",
        "Private_Hugetlb",
        "Swap",
        "SwapPss",
        "Locked",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollup_is_read_by_its_keys() {
        let text = b"55e000000000-7ffe00000000 ---p 00000000 00:00 0                          [rollup]\n\
                     Rss:                8 kB\nPss:                5 kB\nPss_Anon:           3 kB\nPss_File: 2 kB\n\
                     Private_Clean:      1 kB\nPrivate_Dirty:      2 kB\nSwapPss:            4 kB\n";
        let shares = Shares::parse(text).unwrap();
        assert_eq!((shares.rss, shares.pss), (Ok(Bytes(8 << 10)), Ok(Bytes(5 << 10))));
        assert_eq!((shares.uss, shares.swap_pss), (Ok(Bytes(3 << 10)), Ok(Bytes(4 << 10))));
        // A kernel that does not report it: absent, not zero.
        assert_eq!((shares.pss_shared_memory, shares.hugetlb), (Err(NOT_REPORTED), Err(NOT_REPORTED)));
    }

    #[test]
    fn other_text_is_no_rollup() {
        for text in [&b""[..], b"Rss: 8 kB\n", b"Pss: 8 kB\n", b"Rss: x kB\nPss: 1 kB\n", b"Rss: 1\nPss: 1\n"] {
            assert_eq!(Shares::parse(text), None);
        }
    }
}
