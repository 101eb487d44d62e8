//! One row per memory control group, of version 1 or 2 (`rmap cgroups`).
//!
//! A row has what the group and those below it are charged for. A total counts each byte once: of groups that lie
//! within one another only the outermost adds to it. If rows are divided ([`GroupSource::divides`]), each has only what
//! its group has besides those below it, so that any of them can be added up.

mod explained;
mod row;
mod source;

pub use row::GroupRow;
pub use source::GroupSource;
pub(in crate::views) use source::no_such_group;

use crate::machine::{GroupAmount, GroupCount, GroupFile, GroupLimit};
use crate::table::{Aggregation, Cell, Colour, Column, ColumnKind, Cut, RowKind, col};
use crate::units::{Absent, Counted, Figure, Piece, Reason, Run};

/// A column of this view.
type C = Column<ControlGroups>;

/// Memory control groups.
pub struct ControlGroups;

/// What has to be read for a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupNeed {
    /// A file of each group.
    File(GroupFile),
    /// The memory of its processes.
    Pss,
}

impl RowKind for ControlGroups {
    type Row = GroupRow;
    type Need = GroupNeed;
    const ROWS: &'static str = "cgroups";
    const LARGEST_BY: &'static str = "usage";
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        match name {
            "cgroup" | "group" => "path",
            "anon" => "anonymous",
            "shared" => "shmem",
            "processes" | "procs" => "process_count",
            "oom_kills" => "oom_kill",
            other => other,
        }
    }

    fn identity(row: &GroupRow) -> Vec<u8> {
        row.group.path.clone()
    }

    fn tie(one: &GroupRow, other: &GroupRow) -> std::cmp::Ordering {
        one.group.place.cmp(&other.group.place)
    }
}

/// What `rmap cgroups` shows by default.
pub const DEFAULT: &[&str] = &[
    "usage",
    "limit",
    "high",
    "working_set",
    "anonymous",
    "active_file",
    "inactive_file",
    "shmem",
    "kernel",
    "slab",
    "swap",
    "swap_limit",
    "max",
    "oom_kill",
    "pressure",
    "dying",
    "process_count",
    "pss",
    "container",
    "tree",
    "note",
];

const fn file(file: GroupFile) -> GroupNeed {
    GroupNeed::File(file)
}

const CURRENT: &[GroupNeed] = &[file(GroupFile::Current)];
const STAT: &[GroupNeed] = &[file(GroupFile::Stat)];
const WORKING_SET: &[GroupNeed] = &[file(GroupFile::Current), file(GroupFile::Stat)];
const KERNEL: &[GroupNeed] = &[file(GroupFile::Stat), file(GroupFile::KernelUsage)];
const SOCKETS: &[GroupNeed] = &[file(GroupFile::Stat), file(GroupFile::SocketUsage)];
const SWAP: &[GroupNeed] = &[file(GroupFile::Stat), file(GroupFile::SwapCurrent)];
const LIMIT: &[GroupNeed] = &[file(GroupFile::Max)];
const SHARE: &[GroupNeed] = &[file(GroupFile::Current), file(GroupFile::Max)];
const HIGH: &[GroupNeed] = &[file(GroupFile::High)];
const SWAP_LIMIT: &[GroupNeed] = &[file(GroupFile::SwapMax)];
const BOTH_LIMIT: &[GroupNeed] = &[file(GroupFile::MemorySwapMax)];
const EVENTS: &[GroupNeed] = &[file(GroupFile::Events)];
const MAX: &[GroupNeed] = &[
    file(GroupFile::Events),
    file(GroupFile::FailCount),
    file(GroupFile::MemorySwapMax),
    file(GroupFile::MemorySwapFailCount),
    file(GroupFile::MemorySwapPeak),
];
const KILLS: &[GroupNeed] = &[file(GroupFile::Events), file(GroupFile::OomControl)];
const PRESSURE: &[GroupNeed] = &[file(GroupFile::Pressure)];
const DYING: &[GroupNeed] = &[file(GroupFile::Subtree)];
const PROCESSES: &[GroupNeed] = &[file(GroupFile::Processes)];
const PSS: &[GroupNeed] = &[file(GroupFile::Processes), GroupNeed::Pss];

/// A figure of a row that adds up.
#[derive(Debug, Clone, Copy)]
enum Adding {
    Amount(GroupAmount),
    Count(GroupCount),
}

impl Adding {
    /// As the number that a column carries.
    const fn number(self) -> u32 {
        match self {
            Adding::Amount(amount) => amount as u32,
            Adding::Count(count) => GroupAmount::ALL.len() as u32 + count as u32,
        }
    }

    /// The figure of a row.
    fn figure(row: &GroupRow, number: u32) -> Figure<u64> {
        let number = number as usize;
        match GroupAmount::ALL.get(number) {
            Some(amount) => row.group.figures.amount(*amount).map(|bytes| bytes.0),
            None => {
                let count = number.checked_sub(GroupAmount::ALL.len()).and_then(|place| GroupCount::ALL.get(place));
                count.map_or(Err(UNKNOWN), |count| row.group.figures.count(*count))
            }
        }
    }

    /// The same for a total over groups of which some may lie within others.
    fn piece(row: &GroupRow, number: u32) -> Figure<Piece> {
        piece(row, Adding::figure(row, number)?)
    }
}

const UNKNOWN: Absent = Absent::new(Reason::NotApplicable, "it was not read");
const NO_LIMIT: Absent = Absent::new(Reason::NotApplicable, "there is no limit");

/// A figure of a row in a total.
fn piece(row: &GroupRow, figure: u64) -> Figure<Piece> {
    let count = if row.group.includes_below { row.group.size as u64 } else { 1 };
    let looked = Run { first: row.group.place as u64, count };
    Ok(Piece { of: 0, looked, figure, each: 1, counted: Counted::Outermost(figure) })
}

/// A column with an amount of memory.
const fn amount(id: &'static str, title: &'static str, amount: GroupAmount, help: &'static str) -> C {
    let get =
        |row: &'_ GroupRow, number| -> Cell<'_> { Adding::figure(row, number).map_or_else(Cell::Absent, Cell::Bytes) };
    let mut column = C::new(id, title, ColumnKind::Bytes, get, help).aggregated(Aggregation::Union(Adding::piece));
    column.argument = Adding::Amount(amount).number();
    column
}

/// A column with a count.
const fn count(id: &'static str, title: &'static str, count: GroupCount, help: &'static str) -> C {
    let get =
        |row: &'_ GroupRow, number| -> Cell<'_> { Adding::figure(row, number).map_or_else(Cell::Absent, Cell::Count) };
    let mut column = C::new(id, title, ColumnKind::Number, get, help).aggregated(Aggregation::Union(Adding::piece));
    column.argument = Adding::Count(count).number();
    column
}

/// A column with a limit.
const fn limit(id: &'static str, title: &'static str, limit: GroupLimit, help: &'static str) -> C {
    let get = |row: &'_ GroupRow, number: u32| -> Cell<'_> {
        let limit = GroupLimit::ALL.get(number as usize).copied().unwrap_or(GroupLimit::Memory);
        match row.group.figures.limit(limit) {
            Ok(Some(bytes)) => Cell::Bytes(bytes.0),
            Ok(None) => Cell::Without(NO_LIMIT),
            Err(absent) => Cell::Absent(absent),
        }
    };
    let mut column = C::new(id, title, ColumnKind::Bytes, get, help);
    column.argument = limit as u32;
    column
}

/// All columns, in the order in which JSON writes them.
const COLUMNS: &[C] = &[
    col!(new "path", "Path", Text, |row| Cell::Text(&row.group.path), "its path, as in /proc/PID/cgroup", naming(),
        cut(Cut::Name)),
    col!(new "path_bytes", "Path bytes", RawBytes, |row| Cell::RawBytes(&row.group.path),
        "the path if it is not UTF-8"),
    col!(new "tree", "Control group", Text, |row| Cell::Text(&row.indented),
        "its name, indented below the group above it", naming(), cut(Cut::Name), on_request()),
    col!(new "name", "Name", Text, |row| Cell::Text(row.group.name()), "the last part of its path", naming(),
        on_request()),
    col!(new "depth", "Depth", Number, |row| Cell::Count(row.group.depth), "how many groups are above it",
        identifier()),
    col!(new "parent", "Parent", Text, |row| row.parent(), "the path of the group above it", naming()),
    col!(new "parent_bytes", "Parent bytes", RawBytes, |row| match row.parent() {
        Cell::Text(path) => Cell::RawBytes(path),
        _ => Cell::Remark(None),
    }, "the path of the group above it if it is not UTF-8"),
    col!(new "container", "Container", Text, |row| Cell::Remark(row.container.as_deref()),
        "the container or pod that it belongs to, from its path", naming(), minor()),
    amount("usage", "Usage", GroupAmount::Usage, "what counts towards its limit: memory.current or usage_in_bytes")
        .needing(CURRENT),
    limit("limit", "Limit", GroupLimit::Memory, "its limit: memory.max or limit_in_bytes; none if there is none")
        .needing(LIMIT),
    col!(new "limit_percent", "Limit %", Percent, |row| Cell::percent(row.share_of_limit()),
        "the usage as a percentage of the limit", needing(SHARE)),
    limit("high", "High", GroupLimit::High, "where it is slowed down and reclaimed from: memory.high")
        .needing(HIGH)
        .least(),
    amount(
        "working_set",
        "Working set",
        GroupAmount::WorkingSet,
        "the usage without inactive page cache: what the kubelet compares with its thresholds",
    )
    .needing(WORKING_SET),
    amount("anonymous", "Anonymous", GroupAmount::Anonymous, "heaps, stacks and other memory without a file")
        .needing(STAT)
        .minor(),
    amount("file", "File", GroupAmount::File, "page cache, with shared memory").needing(STAT),
    amount("active_file", "Active file", GroupAmount::ActiveFile, "page cache on the active list")
        .needing(STAT)
        .minor(),
    amount(
        "inactive_file",
        "Inactive file",
        GroupAmount::InactiveFile,
        "page cache on the inactive list, which the kernel takes first; memory freed with MADV_FREE too",
    )
    .needing(STAT)
    .minor(),
    amount("shmem", "Shared", GroupAmount::Shmem, "shared memory: tmpfs, memfd, System V, shared anonymous mappings")
        .needing(STAT)
        .minor(),
    amount("dirty", "Dirty", GroupAmount::Dirty, "page cache that has not been written to disk yet")
        .needing(STAT)
        .coloured(Colour::Yellow),
    amount("writeback", "Writeback", GroupAmount::Writeback, "page cache that is being written to disk")
        .needing(STAT)
        .coloured(Colour::Cyan),
    amount("unevictable", "Unevictable", GroupAmount::Unevictable, "never reclaimed: locked, or of ramfs")
        .needing(STAT),
    amount(
        "kernel",
        "Kernel",
        GroupAmount::Kernel,
        "memory of the kernel: page tables, stacks, slab; kernel in memory.stat or kmem.usage_in_bytes",
    )
    .needing(KERNEL)
    .minor(),
    amount("slab", "Slab", GroupAmount::Slab, "of the kernel's memory: its objects (version 2)").needing(STAT).least(),
    amount(
        "slab_reclaimable",
        "Reclaimable slab",
        GroupAmount::SlabReclaimable,
        "of these: names and inodes that it can free (version 2)",
    )
    .needing(STAT),
    amount(
        "sockets",
        "Sockets",
        GroupAmount::Sockets,
        "buffers of network connections; in version 1 those of TCP, which do not count towards the usage",
    )
    .needing(SOCKETS),
    amount("swap", "Swap", GroupAmount::Swap, "in swap").needing(SWAP).minor(),
    limit("swap_limit", "Swap limit", GroupLimit::Swap, "the limit of its swap: memory.swap.max")
        .needing(SWAP_LIMIT)
        .least(),
    limit(
        "memory_swap_limit",
        "Both limit",
        GroupLimit::MemoryAndSwap,
        "the limit of memory and swap together (version 1): memsw.limit_in_bytes",
    )
    .needing(BOTH_LIMIT),
    count("max", "Max", GroupCount::Max, "how often its usage reached a limit: max in memory.events, or both failcnt")
        .needing(MAX)
        .least(),
    count("oom", "OOM", GroupCount::Oom, "how often it was out of memory then (version 2)").needing(EVENTS),
    count(
        "oom_kill",
        "OOM kills",
        GroupCount::OomKill,
        "how many of its processes were killed for lack of memory: its own, that of a group above it, or the machine's",
    )
    .needing(KILLS)
    .coloured(Colour::Red)
    .least(),
    col!(new "pressure", "Pressure", Percent, |row| Cell::percent(row.group.figures.pressure().some),
        "share of the last 10 s in which a process waited for memory: some in memory.pressure", needing(PRESSURE),
        least()),
    col!(new "pressure_full", "Full pressure", Percent, |row| Cell::percent(row.group.figures.pressure().full),
        "the same, in which all processes waited at once: full in memory.pressure", needing(PRESSURE)),
    count("dying", "Dying", GroupCount::Dying, "removed groups below it that still hold memory (version 2)")
        .needing(DYING)
        .least(),
    count(
        "process_count",
        "Processes",
        GroupCount::Processes,
        "processes in it and in the groups below: cgroup.procs; kernel threads too",
    )
    .needing(PROCESSES)
    .minor(),
    col!(new "pss", "Pss", Bytes, |row| row.pss(),
        "the memory of these processes, with shared pages divided among all that map them: smaps_rollup",
        aggregated(Aggregation::Union(|row: &GroupRow, _| row.pss.clone())), needing(PSS)),
    col!(new "version", "Version", Number, |row| Cell::Count(row.group.version.number()),
        "of control groups: 1 or 2", identifier()),
    col!(new "note", "Note", Prose, |row| Cell::Remark(row.note), "what a reader must know about this row"),
];
