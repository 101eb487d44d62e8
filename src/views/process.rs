//! One row per process, for the whole machine (`rmap ps`).
//!
//! All sizes are in bytes. Pss is what adds up: a page that several processes map is divided among them, so that the
//! sum over all processes is what they have in RAM together.

mod account;
mod source;
mod tree;

pub(in crate::views) use account::{missing, partial};
pub use source::ProcessSource;

use crate::process::Status;
use crate::process::usage::{Shares, Usage};
use crate::table::{Cell, Column, ColumnKind, Cut, RowKind, col};
use crate::units::{Absent, Bytes, Figure, Reason};
use tree::Branch;

/// A column of this view.
type C = Column<Processes>;

/// Processes.
pub struct Processes;

/// One process.
pub struct ProcessRow {
    usage: Usage,
    /// The name of the user that it runs as, or the number.
    user: Figure<Vec<u8>>,
    /// The container of its control group; none if it is in none.
    container: Figure<Option<String>>,
    /// The application that it belongs to.
    app: Vec<u8>,
    /// Its place in the tree, if processes are shown as one.
    branch: Option<Branch>,
}

/// What has to be read in addition to what any user may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessNeed {
    /// smaps_rollup.
    Shares,
    /// The command line.
    Command,
    /// The control group.
    Group,
    /// The name of the program.
    Program,
}

const SHARES: &[ProcessNeed] = &[ProcessNeed::Shares];
const COMMAND: &[ProcessNeed] = &[ProcessNeed::Command];
const GROUP: &[ProcessNeed] = &[ProcessNeed::Group];
const APP: &[ProcessNeed] = &[ProcessNeed::Group, ProcessNeed::Program];

impl RowKind for Processes {
    type Row = ProcessRow;
    type Need = ProcessNeed;
    const ROWS: &'static str = "processes";
    const LARGEST_BY: &'static str = "pss_or_rss";
    const NAMES_PROCESSES: bool = true;
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        match name {
            "ppid" => "parent",
            "comm" => "name",
            "group" => "cgroup",
            "application" | "unit" => "app",
            other => other,
        }
    }

    fn identity(row: &ProcessRow) -> Vec<u8> {
        let process = &row.usage.identity;
        let start = process.start_time.unwrap_or_default();
        [&process.pid.to_ne_bytes()[..], &start.to_ne_bytes()[..]].concat()
    }

    fn tie(one: &ProcessRow, other: &ProcessRow) -> std::cmp::Ordering {
        // Those that lack what the list is sorted by are sorted by what is known.
        let key = |row: &ProcessRow| (std::cmp::Reverse(row.usage.rss().ok()), row.usage.identity.pid);
        key(one).cmp(&key(other))
    }

    fn process(row: &ProcessRow) -> Option<u32> {
        Some(row.usage.identity.pid)
    }

    fn start_time(row: &ProcessRow) -> Option<u64> {
        row.usage.identity.start_time
    }

    fn memory(row: &ProcessRow) -> Option<u64> {
        Some(row.usage.memory)
    }
}

/// What `rmap ps` shows by default.
pub const DEFAULT: &[&str] =
    &["pid", "user", "pss", "uss", "rss", "swap", "pss_anon", "pss_file", "pss_shmem", "command"];

/// What `rmap ps --tree` shows by default.
pub const TREE: &[&str] = &["pid", "user", "tree_pss", "pss", "uss", "rss", "swap", "tree"];

/// What the machine formats have with `--tree` in addition.
pub const TREE_KEYS: &[&str] = &["depth", "tree_pss", "tree_swap", "tree_processes"];

/// What a tree is sorted by.
pub const TREE_ORDER: &str = "tree_pss_or_rss";

/// Whether only a tree has this column.
pub fn is_of_tree(id: &str) -> bool {
    ["tree", TREE_ORDER].contains(&id) || TREE_KEYS.contains(&id)
}

/// A figure of smaps_rollup.
#[derive(Debug, Clone, Copy)]
enum Share {
    Pss,
    Uss,
    Anonymous,
    File,
    SharedMemory,
    SwapPss,
    Locked,
    Hugetlb,
}

/// Takes it from what was read.
type Take = fn(&Shares) -> Figure<Bytes>;

impl Share {
    /// In the order of the figures.
    const TAKE: [Take; 8] = [
        |shares| shares.pss,
        |shares| shares.uss,
        |shares| shares.pss_anonymous,
        |shares| shares.pss_file,
        |shares| shares.pss_shared_memory,
        |shares| shares.swap_pss,
        |shares| shares.locked,
        |shares| shares.hugetlb,
    ];

    fn of(usage: &Usage, number: u32) -> Figure<Bytes> {
        usage.share(Share::TAKE.get(number as usize).copied().unwrap_or(|shares| shares.pss))
    }
}

/// A column with a figure of smaps_rollup, which a total adds.
const fn share(id: &'static str, title: &'static str, share: Share, help: &'static str) -> C {
    let get = |row: &'_ ProcessRow, number| -> Cell<'_> { Cell::bytes(Share::of(&row.usage, number)) };
    let mut column = C::sum(id, title, ColumnKind::Bytes, get, help);
    column.argument = share as u32;
    column.needing(SHARES)
}

/// All columns, in the order in which JSON writes them.
const COLUMNS: &[C] = &[
    col!(new "pid", "PID", Number, |row| Cell::Count(row.usage.identity.pid.into()), "the process", identifier()),
    col!(new "parent", "Parent", Number, |row| parent(row), "the process that started it, or took it over",
        identifier()),
    col!(new "depth", "Depth", Number, |row| branch(row, |branch| Cell::Count(branch.depth)),
        "with --tree: how many of its ancestors are shown", on_request(), identifier()),
    col!(new "name", "Name", Text, |row| Cell::Text(&row.usage.name),
        "its name, which the kernel cuts to 15 bytes (comm)", naming()),
    col!(new "name_bytes", "Name bytes", RawBytes, |row| Cell::RawBytes(&row.usage.name),
        "the name if it is not UTF-8"),
    col!(new "user", "User", Text, |row| text(&row.user), "the user that it runs as, from status", naming(), least()),
    share(
        "pss",
        "Pss",
        Share::Pss,
        "proportional set size: what it has in RAM, with shared pages divided among those that map them",
    ),
    share("uss", "Uss", Share::Uss, "unique set size: the part of Rss that nothing else maps (private_clean + _dirty)")
        .minor(),
    col!(sum "rss", "Rss", Bytes, |row| Cell::bytes(row.usage.rss()),
        "resident set size: what it has in RAM, from smaps_rollup if that is read, otherwise VmRSS of status"),
    col!(sum "swap", "Swap", Bytes, |row| public(row, |status| status.swap),
        "anonymous memory in swap, shared pages in each process: VmSwap of status (without shared memory)", minor()),
    share("pss_anon", "Anon", Share::Anonymous, "the part of Pss that is not in a file: heap, stacks").minor(),
    share("pss_file", "File", Share::File, "the part of Pss that is in files").minor(),
    share("pss_shmem", "Shmem", Share::SharedMemory, "the part of Pss that is shared memory, tmpfs or memfd").minor(),
    share("swap_pss", "Swap Pss", Share::SwapPss, "anonymous memory in swap, divided among those that share it"),
    col!(sum "pss_or_rss", "Pss or Rss", Bytes, |row| Cell::bytes(row.usage.pss_or_rss()),
        "Pss, or Rss if Pss is not known; the default order", on_request(), needing(SHARES)),
    share("locked", "Locked", Share::Locked, "its share of what is locked in RAM with mlock(2)"),
    share("hugetlb", "Hugetlb", Share::Hugetlb, "in hugetlb pages, which no other figure includes"),
    col!(sum "rss_anon", "Rss anon", Bytes, |row| public(row, |status| status.rss_anonymous),
        "the part of Rss that is not in a file: RssAnon of status"),
    col!(sum "rss_file", "Rss file", Bytes, |row| public(row, |status| status.rss_file),
        "the part of Rss that is in files: RssFile of status"),
    col!(sum "rss_shmem", "Rss shmem", Bytes, |row| public(row, |status| status.rss_shared_memory),
        "the part of Rss that is shared memory, tmpfs or memfd: RssShmem of status"),
    col!(sum "size", "Size", Bytes, |row| public(row, |status| status.size), "its address space: VmSize of status"),
    col!(sum "threads", "Threads", Number, |row| threads(row), "how many threads it has", each()),
    col!(new "tree_pss", "Tree Pss", Bytes, |row| branch(row, |branch| branch.pss.cell()),
        "with --tree: Pss of it and of all below it; a page that several of them map counts once", on_request(),
        bounded(), needing(SHARES)),
    col!(new "tree_swap", "Tree swap", Bytes, |row| branch(row, |branch| branch.swap.cell()),
        "with --tree: Swap Pss of it and of all below it; a page that several of them share counts once", on_request(),
        bounded(), needing(SHARES)),
    col!(new "tree_pss_or_rss", "Tree Pss or Rss", Bytes, |row| branch(row, |branch| branch.size.cell()),
        "with --tree: the sum of pss_or_rss, the order of the tree", on_request(), bounded(), needing(SHARES)),
    col!(new "tree_processes", "Tree processes", Number, |row| branch(row, |branch| Cell::Count(branch.processes)),
        "with --tree: how many processes that is", on_request()),
    col!(new "cgroup", "Control group", Text, |row| text(&row.usage.group), "its memory control group", naming(),
        needing(GROUP)),
    col!(new "cgroup_bytes", "Control group bytes", RawBytes, |row| bytes(&row.usage.group),
        "the control group if it is not UTF-8", needing(GROUP)),
    col!(new "container", "Container", Text, |row| container(row),
        "the container that its control group belongs to", naming(), needing(GROUP)),
    col!(new "app", "App", Text, |row| Cell::Text(&row.app),
        "its container, desktop application, or systemd unit or scope, by its control group; otherwise its program",
        naming(), needing(APP)),
    col!(new "app_bytes", "App bytes", RawBytes, |row| Cell::RawBytes(&row.app), "the app if it is not UTF-8",
        needing(APP)),
    col!(new "note", "Note", Prose, |row| note(row), "why its Pss is absent", needing(SHARES)),
    col!(new "command", "Command", Text, |row| Cell::Text(&row.usage.identity.command), "its command line", naming(),
        cut(Cut::Command), needing(COMMAND)),
    col!(new "command_bytes", "Command bytes", RawBytes, |row| Cell::RawBytes(&row.usage.identity.command),
        "the command line if it is not UTF-8", needing(COMMAND)),
    col!(new "tree", "Command", Text, |row| branch(row, |branch| Cell::Text(&branch.command)),
        "with --tree: the command line, indented by its depth", on_request(), cut(Cut::Command), needing(COMMAND)),
];

const ORPHAN: Absent = Absent::new(Reason::NotApplicable, "it has no parent in this pid namespace");
const NOT_A_TREE: Absent = Absent::new(Reason::NotApplicable, "only --tree has it");

fn parent(row: &ProcessRow) -> Cell<'_> {
    row.usage.parent.map_or(Cell::Absent(ORPHAN), |pid| Cell::Count(pid.into()))
}

fn branch<'r>(row: &'r ProcessRow, take: impl Fn(&'r Branch) -> Cell<'r>) -> Cell<'r> {
    row.branch.as_ref().map_or(Cell::Absent(NOT_A_TREE), take)
}

fn public(row: &ProcessRow, take: fn(&Status) -> Figure<Bytes>) -> Cell<'_> {
    Cell::bytes(row.usage.public(take))
}

fn threads(row: &ProcessRow) -> Cell<'_> {
    let status = row.usage.status.as_ref().map_err(|absent| *absent);
    status.and_then(|status| status.threads).map_or_else(Cell::Absent, Cell::Count)
}

fn text(text: &Figure<Vec<u8>>) -> Cell<'_> {
    text.as_ref().map_or_else(|absent| Cell::Absent(*absent), |text| Cell::Text(text))
}

fn bytes(text: &Figure<Vec<u8>>) -> Cell<'_> {
    text.as_ref().map_or(Cell::Remark(None), |text| Cell::RawBytes(text))
}

fn container(row: &ProcessRow) -> Cell<'_> {
    match &row.container {
        Ok(name) => Cell::Named(name.as_deref().unwrap_or_default().as_bytes(), "none"),
        Err(absent) => Cell::Absent(*absent),
    }
}

fn note(row: &ProcessRow) -> Cell<'_> {
    Cell::Remark(row.usage.shares.as_ref().err().map(|absent| absent.why))
}
