//! What is known about one control group.

use super::hierarchy::GroupVersion;
use super::parse::{parse_ceiling, parse_number, parse_pressure, parse_value};
use crate::units::{Absent, Bytes, Figure, Reason};

/// The amounts of memory of a group, each with those of the groups below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupAmount {
    /// What counts towards its limit: `memory.current`, `memory.usage_in_bytes`.
    Usage,
    /// The usage without the inactive page cache, as the kubelet calculates it.
    WorkingSet,
    /// Anonymous memory.
    Anonymous,
    /// The page cache, with shared memory.
    File,
    /// The active list of files: page cache without shared memory.
    ActiveFile,
    /// The inactive list of files: page cache, and anonymous memory that was freed with `MADV_FREE`.
    InactiveFile,
    /// tmpfs, memfd and shared anonymous memory.
    Shmem,
    /// Anonymous and shared memory that can be reclaimed, on the active list.
    ActiveAnonymous,
    /// The same on the inactive list.
    InactiveAnonymous,
    /// Page cache that has not been written to disk.
    Dirty,
    /// Page cache that is being written to disk.
    Writeback,
    /// Memory that cannot be reclaimed: locked, or of ramfs.
    Unevictable,
    /// All memory of the kernel.
    Kernel,
    /// Objects of the kernel.
    Slab,
    /// Of these, what the kernel can free: cached names and inodes.
    SlabReclaimable,
    /// Buffers of network sockets.
    Sockets,
    /// What is in swap.
    Swap,
    /// Anonymous and shared memory in RAM that has its place in swap. What of it is mapped is in [`Self::Anonymous`].
    SwapCached,
}

impl GroupAmount {
    /// All of them, in the order of their numbers.
    pub const ALL: [GroupAmount; 18] = [
        GroupAmount::Usage,
        GroupAmount::WorkingSet,
        GroupAmount::Anonymous,
        GroupAmount::File,
        GroupAmount::ActiveFile,
        GroupAmount::InactiveFile,
        GroupAmount::Shmem,
        GroupAmount::ActiveAnonymous,
        GroupAmount::InactiveAnonymous,
        GroupAmount::Dirty,
        GroupAmount::Writeback,
        GroupAmount::Unevictable,
        GroupAmount::Kernel,
        GroupAmount::Slab,
        GroupAmount::SlabReclaimable,
        GroupAmount::Sockets,
        GroupAmount::Swap,
        GroupAmount::SwapCached,
    ];

    /// The file, and the key in it if it has several, for version 1 and 2; `None` if the version does not report it.
    fn source(self, version: GroupVersion) -> Option<(GroupFile, &'static str)> {
        use GroupFile::{Current, KernelUsage, SocketUsage, Stat, SwapCurrent};
        let [one, two] = match self {
            GroupAmount::Usage => [Some((Current, "")), Some((Current, ""))],
            GroupAmount::WorkingSet => [None, None],
            GroupAmount::Anonymous => [Some((Stat, "total_rss")), Some((Stat, "anon"))],
            GroupAmount::File => [Some((Stat, "total_cache")), Some((Stat, "file"))],
            GroupAmount::ActiveFile => [Some((Stat, "total_active_file")), Some((Stat, "active_file"))],
            GroupAmount::InactiveFile => [Some((Stat, "total_inactive_file")), Some((Stat, "inactive_file"))],
            GroupAmount::Shmem => [Some((Stat, "total_shmem")), Some((Stat, "shmem"))],
            GroupAmount::ActiveAnonymous => [Some((Stat, "total_active_anon")), Some((Stat, "active_anon"))],
            GroupAmount::InactiveAnonymous => [Some((Stat, "total_inactive_anon")), Some((Stat, "inactive_anon"))],
            GroupAmount::Dirty => [Some((Stat, "total_dirty")), Some((Stat, "file_dirty"))],
            GroupAmount::Writeback => [Some((Stat, "total_writeback")), Some((Stat, "file_writeback"))],
            GroupAmount::Unevictable => [Some((Stat, "total_unevictable")), Some((Stat, "unevictable"))],
            GroupAmount::Kernel => [Some((KernelUsage, "")), Some((Stat, "kernel"))],
            GroupAmount::Slab => [None, Some((Stat, "slab"))],
            GroupAmount::SlabReclaimable => [None, Some((Stat, "slab_reclaimable"))],
            GroupAmount::Sockets => [Some((SocketUsage, "")), Some((Stat, "sock"))],
            GroupAmount::Swap => [Some((Stat, "total_swap")), Some((SwapCurrent, ""))],
            GroupAmount::SwapCached => [Some((Stat, "total_swapcached")), Some((Stat, "swapcached"))],
        };
        if version == GroupVersion::One { one } else { two }
    }
}

/// The limits of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupLimit {
    /// Of its usage: `memory.max`, `memory.limit_in_bytes`.
    Memory,
    /// Where it is slowed down and reclaimed from: `memory.high`.
    High,
    /// Of its swap: `memory.swap.max`.
    Swap,
    /// Version 1: of both together, `memory.memsw.limit_in_bytes`.
    MemoryAndSwap,
}

impl GroupLimit {
    /// All of them, in the order of their numbers.
    pub const ALL: [GroupLimit; 4] =
        [GroupLimit::Memory, GroupLimit::High, GroupLimit::Swap, GroupLimit::MemoryAndSwap];

    fn source(self, version: GroupVersion) -> Figure<GroupFile> {
        match (self, version) {
            (GroupLimit::Memory, _) => Ok(GroupFile::Max),
            (GroupLimit::High, GroupVersion::One) => Err(NO_HIGH),
            (GroupLimit::High, GroupVersion::Two) => Ok(GroupFile::High),
            (GroupLimit::Swap, GroupVersion::One) => Err(NO_SWAP_LIMIT),
            (GroupLimit::Swap, GroupVersion::Two) => Ok(GroupFile::SwapMax),
            (GroupLimit::MemoryAndSwap, GroupVersion::One) => Ok(GroupFile::MemorySwapMax),
            (GroupLimit::MemoryAndSwap, GroupVersion::Two) => Err(NO_COMMON_LIMIT),
        }
    }
}

/// What is counted of a group and those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupCount {
    /// How often its usage reached a limit: `max` of `memory.events`, `memory.failcnt` and `memory.memsw.failcnt`.
    Max,
    /// How often that was out of memory: nothing more could be reclaimed.
    Oom,
    /// How many of its processes were killed for lack of memory, whether it lacked it or another group or the machine.
    OomKill,
    /// Removed groups that still hold memory.
    Dying,
    /// Processes.
    Processes,
}

impl GroupCount {
    /// All of them, in the order of their numbers.
    pub const ALL: [GroupCount; 5] =
        [GroupCount::Max, GroupCount::Oom, GroupCount::OomKill, GroupCount::Dying, GroupCount::Processes];

    /// The file and the keys, of which the first that it has counts.
    fn source(self, version: GroupVersion) -> Figure<(GroupFile, &'static [&'static str])> {
        use GroupFile::{Events, OomControl, Subtree};
        match (self, version) {
            (GroupCount::Max, GroupVersion::Two) => Ok((Events, &["max"])),
            (GroupCount::Oom, GroupVersion::One) => Err(NO_OOM),
            (GroupCount::Oom, GroupVersion::Two) => Ok((Events, &["oom"])),
            (GroupCount::OomKill, GroupVersion::One) => Ok((OomControl, &["oom_kill"])),
            (GroupCount::OomKill, GroupVersion::Two) => Ok((Events, &["oom_kill"])),
            (GroupCount::Dying, GroupVersion::One) => Err(NO_DYING),
            // The first counts only those that still have memory; it is new in Linux 6.12.
            (GroupCount::Dying, GroupVersion::Two) => {
                Ok((Subtree, &["nr_dying_subsys_memory", "nr_dying_descendants"]))
            }
            // From several files, or from a list.
            (GroupCount::Max, GroupVersion::One) | (GroupCount::Processes, _) => Err(NOT_READ),
        }
    }
}

/// The files of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupFile {
    /// Its usage.
    Current,
    /// What it is made of.
    Stat,
    /// Its limit.
    Max,
    /// Its limit for being slowed down.
    High,
    /// Its swap.
    SwapCurrent,
    /// The limit of its swap.
    SwapMax,
    /// Version 1: the limit of memory and swap.
    MemorySwapMax,
    /// Version 1: how often that was reached, on kernels that count it.
    MemorySwapFailCount,
    /// Version 1: the most that memory and swap were together.
    MemorySwapPeak,
    /// Version 1: the memory of the kernel.
    KernelUsage,
    /// Version 1: the memory of TCP sockets.
    SocketUsage,
    /// How often limits were reached.
    Events,
    /// Version 1: how often the limit was reached.
    FailCount,
    /// Version 1: how many processes were killed.
    OomControl,
    /// How long processes waited for memory.
    Pressure,
    /// The groups below it.
    Subtree,
    /// Its processes.
    Processes,
}

impl GroupFile {
    /// Its name; `None` if the version has no such file.
    pub(super) fn name(self, version: GroupVersion) -> Option<&'static str> {
        let [one, two] = match self {
            GroupFile::Current => [Some("memory.usage_in_bytes"), Some("memory.current")],
            GroupFile::Stat => [Some("memory.stat"), Some("memory.stat")],
            GroupFile::Max => [Some("memory.limit_in_bytes"), Some("memory.max")],
            GroupFile::High => [None, Some("memory.high")],
            GroupFile::SwapCurrent => [None, Some("memory.swap.current")],
            GroupFile::SwapMax => [None, Some("memory.swap.max")],
            GroupFile::MemorySwapMax => [Some("memory.memsw.limit_in_bytes"), None],
            GroupFile::MemorySwapFailCount => [Some("memory.memsw.failcnt"), None],
            GroupFile::MemorySwapPeak => [Some("memory.memsw.max_usage_in_bytes"), None],
            GroupFile::KernelUsage => [Some("memory.kmem.usage_in_bytes"), None],
            GroupFile::SocketUsage => [Some("memory.kmem.tcp.usage_in_bytes"), None],
            GroupFile::Events => [None, Some("memory.events")],
            GroupFile::FailCount => [Some("memory.failcnt"), None],
            GroupFile::OomControl => [Some("memory.oom_control"), None],
            GroupFile::Pressure => [None, Some("memory.pressure")],
            GroupFile::Subtree => [None, Some("cgroup.stat")],
            GroupFile::Processes => [Some("cgroup.procs"), Some("cgroup.procs")],
        };
        if version == GroupVersion::One { one } else { two }
    }
}

/// The shares of time in which processes waited for memory, over the last ten seconds, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// At least one process waited.
    pub some: Figure<f64>,
    /// All processes waited at once.
    pub full: Figure<f64>,
}

pub(super) const NOT_READ: Absent = Absent::new(Reason::NotApplicable, "it was not read");
const NOT_IN_VERSION_1: Absent = Absent::new(Reason::Unsupported, "control groups of version 1 do not report it");
const NO_HIGH: Absent = Absent::new(Reason::Unsupported, "control groups of version 1 have no such limit");
const NO_SWAP_LIMIT: Absent = Absent::new(Reason::Unsupported, "version 1 limits memory and swap together");
const NO_COMMON_LIMIT: Absent = Absent::new(Reason::Unsupported, "version 2 limits memory and swap separately");
const NO_OOM: Absent = Absent::new(Reason::Unsupported, "control groups of version 1 only count the killed processes");
const NO_DYING: Absent = Absent::new(Reason::Unsupported, "control groups of version 1 do not count them");
const NO_PRESSURE: Absent = Absent::new(Reason::Unsupported, "control groups of version 1 have no pressure");
const NOT_IN_KERNEL: Absent = Absent::new(Reason::Unsupported, "this kernel does not report it");
const NOT_COUNTED: Absent = Absent::new(
    Reason::Unsupported,
    "the limit of memory and swap together may have been reached, which is not counted",
);
const MALFORMED: Absent = Absent::new(Reason::Unsupported, "its file is not in the kernel's format");

/// The figures of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupFigures {
    pub(super) amounts: [Figure<Bytes>; GroupAmount::ALL.len()],
    pub(super) limits: [Figure<Option<Bytes>>; GroupLimit::ALL.len()],
    pub(super) counts: [Figure<u64>; GroupCount::ALL.len()],
    pub(super) pressure: Pressure,
}

impl GroupFigures {
    /// Reads the figures in these files.
    pub(super) fn read(
        version: GroupVersion,
        files: &[GroupFile],
        read: &dyn Fn(GroupFile) -> Figure<Vec<u8>>,
    ) -> Self {
        let texts: Vec<(GroupFile, Figure<Vec<u8>>)> =
            files.iter().filter(|file| file.name(version).is_some()).map(|file| (*file, read(*file))).collect();
        let texts = |file: GroupFile| -> Figure<&[u8]> {
            let (_, text) = texts.iter().find(|(known, _)| *known == file).ok_or(NOT_READ)?;
            text.as_ref().map(Vec::as_slice).map_err(|absent| *absent)
        };
        let mut amounts = GroupAmount::ALL.map(|amount| {
            let (file, key) = amount.source(version).ok_or(NOT_IN_VERSION_1)?;
            number(texts(file)?, key).map(Bytes)
        });
        let figure = |amount: GroupAmount| amounts.get(amount as usize).copied().unwrap_or(Err(NOT_READ));
        let working_set = working_set(figure(GroupAmount::Usage), figure(GroupAmount::InactiveFile));
        if let Some(place) = amounts.get_mut(GroupAmount::WorkingSet as usize) {
            *place = working_set;
        }
        let limits = GroupLimit::ALL.map(|limit| {
            let limit = parse_ceiling(texts(limit.source(version)?)?).ok_or(MALFORMED)?;
            Ok(limit.map(Bytes))
        });
        let mut counts = GroupCount::ALL.map(|count| {
            let (file, keys) = count.source(version)?;
            let text = texts(file)?;
            keys.iter().find_map(|key| number(text, key).ok()).ok_or(NOT_IN_KERNEL)
        });
        if let Some(place) = counts.get_mut(GroupCount::Max as usize).filter(|_| version == GroupVersion::One) {
            *place = failures(&texts);
        }
        let pressure = |line: &[u8]| match version {
            GroupVersion::One => Err(NO_PRESSURE),
            GroupVersion::Two => parse_pressure(texts(GroupFile::Pressure)?, line).ok_or(MALFORMED),
        };
        let pressure = Pressure { some: pressure(b"some"), full: pressure(b"full") };
        GroupFigures { amounts, limits, counts, pressure }
    }

    /// An amount of memory.
    pub fn amount(&self, amount: GroupAmount) -> Figure<Bytes> {
        self.amounts.get(amount as usize).copied().unwrap_or(Err(NOT_READ))
    }

    /// A limit; `None` if there is none.
    pub fn limit(&self, limit: GroupLimit) -> Figure<Option<Bytes>> {
        self.limits.get(limit as usize).copied().unwrap_or(Err(NOT_READ))
    }

    /// A count.
    pub fn count(&self, count: GroupCount) -> Figure<u64> {
        self.counts.get(count as usize).copied().unwrap_or(Err(NOT_READ))
    }

    /// How long processes waited for memory.
    pub fn pressure(&self) -> Pressure {
        self.pressure
    }
}

/// What the kubelet compares with its thresholds: the usage without the inactive page cache, and nothing below zero.
fn working_set(usage: Figure<Bytes>, inactive: Figure<Bytes>) -> Figure<Bytes> {
    Ok(usage?.saturating_sub(inactive?))
}

/// A charge of a huge page fails this much below the limit.
const HUGE: u64 = 2 << 20;

/// How often a group of version 1 reached its limit of memory, or that of memory and swap. Linux 6.18 counts the first
/// only, and leaves 0 for the other: then it is known only as long as memory and swap were never near that limit. A
/// limit that was reached and then raised, and a peak that was reset, are not noticed.
fn failures<'t>(texts: &dyn Fn(GroupFile) -> Figure<&'t [u8]>) -> Figure<u64> {
    let read = |file| texts(file).and_then(|text| number(text, ""));
    let failures = read(GroupFile::FailCount)?;
    let limit = match texts(GroupFile::MemorySwapMax) {
        Ok(text) => parse_ceiling(text).ok_or(MALFORMED)?,
        Err(absent) if absent.reason == Reason::Denied => return Err(absent),
        // Without this file the kernel does not account for swap.
        Err(_) => return Ok(failures),
    };
    match (read(GroupFile::MemorySwapFailCount)?, limit) {
        (0, Some(limit)) => match read(GroupFile::MemorySwapPeak) {
            Ok(peak) if peak.saturating_add(HUGE) < limit => Ok(failures),
            _ => Err(NOT_COUNTED),
        },
        (of_both, _) => Ok(failures.saturating_add(of_both)),
    }
}

/// A number in a file, or in one of its lines.
fn number(text: &[u8], key: &str) -> Figure<u64> {
    match key {
        "" => parse_number(text).ok_or(MALFORMED),
        key => parse_value(text, key.as_bytes()).ok_or(NOT_IN_KERNEL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(version: GroupVersion, files: &[(GroupFile, &str)]) -> GroupFigures {
        let names: Vec<GroupFile> = files.iter().map(|(file, _)| *file).collect();
        let read = |wanted| {
            let text = files.iter().find(|(file, _)| *file == wanted).map(|(_, text)| text.as_bytes().to_vec());
            text.ok_or(NOT_READ)
        };
        GroupFigures::read(version, &names, &read)
    }

    #[test]
    fn the_working_set_is_the_usage_without_the_inactive_page_cache() {
        let of = |usage: &str, stat: &str| {
            let files = [(GroupFile::Current, usage), (GroupFile::Stat, stat)];
            figures(GroupVersion::Two, &files).amount(GroupAmount::WorkingSet)
        };
        assert_eq!(of("1000\n", "inactive_file 300\nactive_file 9\n"), Ok(Bytes(700)));
        assert_eq!(of("1000\n", "inactive_file 1001\n"), Ok(Bytes(0)));
        assert_eq!(of("1000\n", ""), Err(NOT_IN_KERNEL));
        let stat = "inactive_file 1\ntotal_inactive_file 300\n";
        let files = [(GroupFile::Current, "1000"), (GroupFile::Stat, stat)];
        assert_eq!(figures(GroupVersion::One, &files).amount(GroupAmount::WorkingSet), Ok(Bytes(700)));
    }

    #[test]
    fn what_a_version_does_not_have_is_absent() {
        let files = [(GroupFile::Stat, "total_rss 5\nrss 1\n"), (GroupFile::FailCount, "3\n")];
        let one = figures(GroupVersion::One, &files);
        assert_eq!(one.amount(GroupAmount::Anonymous), Ok(Bytes(5)));
        assert_eq!(one.count(GroupCount::Max), Ok(3));
        assert_eq!(one.amount(GroupAmount::Slab), Err(NOT_IN_VERSION_1));
        assert_eq!(one.limit(GroupLimit::High), Err(NO_HIGH));
        assert_eq!(one.limit(GroupLimit::Memory), Err(NOT_READ));
        assert_eq!(one.count(GroupCount::Dying), Err(NO_DYING));
        assert_eq!(one.pressure().some, Err(NO_PRESSURE));
    }

    #[test]
    fn removed_groups_are_those_that_still_have_memory() {
        let dying = |text: &str| figures(GroupVersion::Two, &[(GroupFile::Subtree, text)]).count(GroupCount::Dying);
        assert_eq!(dying("nr_descendants 3\nnr_dying_descendants 7\n"), Ok(7));
        assert_eq!(dying("nr_dying_descendants 7\nnr_subsys_memory 3\nnr_dying_subsys_memory 2\n"), Ok(2));
        assert_eq!(dying("nr_descendants 3\n"), Err(NOT_IN_KERNEL));
    }
}
