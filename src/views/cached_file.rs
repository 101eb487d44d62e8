//! One row per file that has cached pages, for the whole machine (`rmap files`).
//!
//! All sizes are in bytes. `cached` is what the page cache holds of a file, up to date or not: what the machine has
//! spent on it. (`rmap pcstat` counts the pages that need not be read again.)

mod source;

pub use source::CachedFileSource;

use crate::join::machine_files::{FoundFile, Method};
use crate::machine::cached::{Counter, Kind};
use crate::table::{self, Aggregation, Cell, Colour, Column, ColumnKind, RowKind, col};
use crate::units::{Absent, Bytes, Counted, Figure, Piece, Reason, Run};

/// A column of this view.
type C = Column<CachedFiles>;

/// Files with cached pages.
pub struct CachedFiles;

/// What has to be read in addition to how much of a file is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachedNeed {
    /// Its path.
    Path,
    /// The states of its pages.
    Pages,
    /// Who holds it.
    Holders,
    /// The container whose file it is.
    Container,
}

const PATH: &[CachedNeed] = &[CachedNeed::Path];
const PAGES: &[CachedNeed] = &[CachedNeed::Pages];
const HOLDERS: &[CachedNeed] = &[CachedNeed::Holders];
const CONTAINER: &[CachedNeed] = &[CachedNeed::Path, CachedNeed::Container];
/// It speaks of the path and of the pages.
const NOTE: &[CachedNeed] = &[CachedNeed::Path, CachedNeed::Pages];

impl RowKind for CachedFiles {
    type Row = FoundFile;
    type Need = CachedNeed;
    const ROWS: &'static str = "files";
    const LARGEST_BY: &'static str = "cached";
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        match name {
            "name" | "file" | "filename" => "path",
            "holder" => "holders",
            "dir" => "directory",
            other => other,
        }
    }

    fn identity(row: &FoundFile) -> Vec<u8> {
        [&row.id.to_ne_bytes(), &row.path[..], b"\0", &row.part[..]].concat()
    }

    fn whole(row: &FoundFile) -> Option<u64> {
        (!row.part.is_empty()).then_some(row.id)
    }

    fn tie(one: &FoundFile, other: &FoundFile) -> std::cmp::Ordering {
        one.path.cmp(&other.path)
    }
}

/// What `rmap files` shows by default.
pub const DEFAULT: &[&str] =
    &["cached", "percent", "dirty", "active", "mapped", "holders", "cgroup", "container", "deleted", "path", "note"];

/// The sizes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    Cached,
    Size,
    Dirty,
    Writeback,
    Active,
    Referenced,
    NotUpToDate,
    Unevictable,
    Locked,
    Large,
    Mapped,
    Unmapped,
    Evicted,
}

impl Amount {
    const ALL: [Amount; 13] = [
        Amount::Cached,
        Amount::Size,
        Amount::Dirty,
        Amount::Writeback,
        Amount::Active,
        Amount::Referenced,
        Amount::NotUpToDate,
        Amount::Unevictable,
        Amount::Locked,
        Amount::Large,
        Amount::Mapped,
        Amount::Unmapped,
        Amount::Evicted,
    ];

    /// The size of a row, by the number of the amount, which a column carries.
    fn of(row: &FoundFile, number: u32) -> Figure<Bytes> {
        let subtracted = |part: Bytes| Ok(row.amount(Counter::Pages)?.saturating_sub(part));
        match Amount::ALL.get(number as usize).copied().unwrap_or(Amount::Cached) {
            Amount::Cached => row.cached,
            Amount::Size => row.size,
            Amount::Dirty => row.dirty,
            Amount::Writeback => row.writeback,
            Amount::Active => row.amount(Counter::Active),
            Amount::Referenced => row.amount(Counter::Referenced),
            Amount::NotUpToDate => row.not_up_to_date(),
            Amount::Unevictable => row.amount(Counter::Unevictable),
            Amount::Locked => row.amount(Counter::Locked),
            Amount::Large => row.amount(Counter::Large),
            Amount::Mapped => mapped(row),
            Amount::Unmapped => subtracted(mapped(row)?),
            Amount::Evicted => row.evicted,
        }
    }

    /// Whether it is only a lower bound: a process may have locked a part of a large folio, which has no mark then.
    fn is_at_least(row: &FoundFile, number: u32) -> bool {
        let is_of_locks = [Amount::Locked, Amount::Unevictable].iter().any(|amount| *amount as u32 == number);
        let has = |counter| row.amount(counter).is_ok_and(|bytes| bytes > Bytes(0));
        let is_mapped = || has(Counter::Mapped) || has(Counter::MappedUnknown);
        let is_all = || row.amount(Counter::Locked).is_ok_and(|locked| Ok(locked) == row.amount(Counter::Pages));
        is_of_locks && has(Counter::Large) && is_mapped() && !is_all()
    }

    /// The same for a total in which a file may have several rows: it counts once.
    fn piece(row: &FoundFile, number: u32) -> Figure<Piece> {
        let Bytes(figure) = Amount::of(row, number)?;
        let looked = Run { first: 0, count: figure };
        Ok(Piece { of: row.id, looked, figure, each: 1, counted: Counted::All })
    }
}

/// A column with a size, which a total adds.
const fn amount(id: &'static str, title: &'static str, amount: Amount, help: &'static str) -> C {
    let get = |row: &'_ FoundFile, number| -> Cell<'_> {
        match Amount::of(row, number) {
            Ok(Bytes(bytes)) if Amount::is_at_least(row, number) => Cell::Known(table::Amount::Bytes(bytes)),
            figure => Cell::bytes(figure),
        }
    };
    let mut column = C::sum(id, title, ColumnKind::Bytes, get, help);
    column.argument = amount as u32;
    column
}

/// All columns, in the order in which JSON writes them.
const COLUMNS: &[C] = &[
    col!(new "path", "Path", Text, |row| Cell::Text(&row.path),
        "the file, as a user can type it; words for a file without a path", naming(), needing(PATH)),
    col!(new "path_bytes", "Path bytes", RawBytes, |row| Cell::RawBytes(&row.path), "the path if it is not UTF-8",
        needing(PATH)),
    col!(new "directory", "Directory", Text, |row| Cell::Text(directory(row)), "the directory of the file",
        naming(), needing(PATH)),
    col!(new "directory_bytes", "Directory bytes", RawBytes, |row| Cell::RawBytes(directory(row)),
        "the directory if it is not UTF-8", needing(PATH)),
    amount("cached", "Cached", Amount::Cached, "what the page cache holds of it, up to date or not"),
    col!(new "percent", "Percent", Percent, |row| Cell::percent(percent(row)),
        "the same as a percentage of its length, in whole pages", aggregated(Aggregation::Share(part_of_whole))),
    amount("size", "Size", Amount::Size, "its length"),
    amount("dirty", "Dirty", Amount::Dirty, "not yet written to disk").needing(PAGES).coloured(Colour::Yellow),
    amount("writeback", "Writeback", Amount::Writeback, "being written to disk").needing(PAGES).coloured(Colour::Cyan),
    amount("active", "Active", Amount::Active, "on the active list: the kernel takes the inactive pages first")
        .needing(PAGES)
        .minor(),
    amount("referenced", "Referenced", Amount::Referenced, "used since the kernel last looked").needing(PAGES),
    amount(
        "not_up_to_date",
        "Not up to date",
        Amount::NotUpToDate,
        "cached, but would have to be read again; of a block device: not marked up to date, and may have to be read",
    )
    .needing(PAGES),
    amount(
        "unevictable",
        "Unevictable",
        Amount::Unevictable,
        "never reclaimed: locked (also by SHM_LOCK), or of ramfs; at least: a large folio of which only a part is \
         locked has no mark",
    )
    .needing(PAGES),
    amount(
        "locked",
        "Locked",
        Amount::Locked,
        "locked by a process with mlock(2); at least: a large folio of which only a part is locked has no mark",
    )
    .needing(PAGES),
    amount("large", "Large", Amount::Large, "in large folios, of several pages each").needing(PAGES),
    amount("mapped", "Mapped", Amount::Mapped, "in the page table of any process").needing(PAGES),
    amount("unmapped", "Unmapped", Amount::Unmapped, "cached, but mapped by nobody").needing(PAGES),
    amount(
        "evicted",
        "Reclaimed",
        Amount::Evicted,
        "pages that the kernel reclaimed and still remembers; of tmpfs: in swap",
    )
    .needing(PAGES),
    col!(new "node", "Node", Text, |row| text(&row.nodes), "the NUMA nodes that its pages are on", needing(PAGES)),
    col!(new "holders", "Holders", Text, |row| holders(row),
        "the processes that map it or have it open, and swap files and loop devices", naming(), needing(HOLDERS)),
    col!(new "holder_count", "Count", Number, |row| row.holder_count.map_or_else(Cell::Absent, Cell::Count),
        "how many processes hold it", needing(HOLDERS)),
    col!(new "cgroup", "Control group", Text, |row| text(&row.groups),
        "the memory control groups that are charged for its pages, most pages first", naming(), needing(PAGES),
        minor()),
    col!(new "cgroup_bytes", "Control group bytes", RawBytes,
        |row| row.groups.as_ref().map_or(Cell::Remark(None), |groups| Cell::RawBytes(groups)),
        "the control groups if they are not UTF-8", needing(PAGES)),
    col!(new "container", "Container", Text, |row| container(row),
        "the container whose file it is, if no path of this mount namespace leads to it, or from overlayfs", naming(),
        needing(CONTAINER), minor()),
    col!(new "kind", "Kind", Text, |row| row.kind.map_or_else(Cell::Absent, |kind| Cell::Word(kind.word())),
        "file, deleted, tmpfs, shared memory, memfd, block device or metadata of a file system",
        one_of(|| Kind::ALL.map(Kind::word).to_vec()), needing(PATH)),
    col!(new "deleted", "Deleted", Flag, |row| deleted(row), "whether its last name was removed", needing(PATH),
        minor()),
    col!(new "links", "Links", Number, |row| row.links.map_or_else(Cell::Absent, Cell::Count),
        "how many names it has on disk; one of them is shown"),
    col!(new "fs", "File system", Text, |row| file_system(row), "the type of its file system"),
    col!(new "device", "Device", Text, |row| Cell::Device(row.device.0, row.device.1),
        "the device number of its file system, as /proc/PID/maps shows it (--scan: as stat does)"),
    col!(new "inode", "Inode", Number, |row| Cell::Count(row.inode), "its inode number", identifier()),
    col!(new "method", "Method", Text, |row| Cell::Word(row.method.word()),
        "what found it: pages (the kernel's lists), processes or walk",
        one_of(|| Method::ALL.map(Method::word).to_vec())),
    col!(new "note", "Note", Prose, |row| Cell::Remark(row.note),
        "what to know about a row, such as why figures are absent",
        needing(NOTE)),
];

const MORE_THAN_LONG: Absent = Absent::new(Reason::NotApplicable, "more is cached than the file is long");
const EMPTY: Absent = Absent::new(Reason::NotApplicable, "the file is empty");
const MAPPED_UNKNOWN: Absent =
    Absent::new(Reason::Unsupported, "this kernel does not tell how much of large folios is mapped");

fn directory(row: &FoundFile) -> &[u8] {
    match memchr::memrchr(b'/', &row.path) {
        // Words for a file without a path may have one, too.
        _ if !row.path.starts_with(b"/") => b"",
        Some(0) => b"/",
        Some(end) => row.path.get(..end).unwrap_or_default(),
        None => b"",
    }
}

fn part_of_whole(row: &FoundFile) -> Option<(u64, u64)> {
    let whole = row.page_size.pages(row.size.ok()?).0;
    let part = row.page_size.pages(row.cached.ok()?).0;
    (part <= whole).then_some((part, whole))
}

fn percent(row: &FoundFile) -> Figure<f64> {
    row.cached?;
    row.size?;
    let (part, whole) = part_of_whole(row).ok_or(MORE_THAN_LONG)?;
    crate::units::percent(part, whole).ok_or(EMPTY)
}

fn mapped(row: &FoundFile) -> Figure<Bytes> {
    match row.amount(Counter::MappedUnknown)? {
        Bytes(0) => row.amount(Counter::Mapped),
        _ => Err(MAPPED_UNKNOWN),
    }
}

fn text(text: &Figure<Vec<u8>>) -> Cell<'_> {
    text.as_ref().map_or_else(|absent| Cell::Absent(*absent), |text| Cell::Text(text))
}

fn holders(row: &FoundFile) -> Cell<'_> {
    row.holders.as_ref().map_or_else(|absent| Cell::Absent(*absent), |names| Cell::Named(names, "nobody"))
}

fn container(row: &FoundFile) -> Cell<'_> {
    row.container.as_ref().map_or_else(|absent| Cell::Absent(*absent), |name| Cell::Remark(name.as_deref()))
}

fn file_system(row: &FoundFile) -> Cell<'_> {
    row.file_system.as_ref().map_or_else(|absent| Cell::Absent(*absent), |name| Cell::Word(name))
}

fn deleted(row: &FoundFile) -> Cell<'_> {
    // Memory without a file never had a name, and is told apart by its name alone.
    match row.kind {
        Err(absent) if row.is_deleted => Cell::Absent(absent),
        _ => Cell::Flag(row.is_deleted),
    }
}
