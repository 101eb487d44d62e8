//! The columns that several kinds of row share.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::pagecache::{BUFFERS, FileReport, Method, UNTOLD};
use crate::table::{Amount, Cell, Colour, Column, ColumnKind, Cut, Getter, RowKind};
use crate::units::{Absent, Figure, PageSize, Pages, Reason};
use crate::views::processes::Owner;

/// A row about a file.
pub(super) trait OfFile {
    /// The file, as it was named.
    fn path(&self) -> &Path;
    /// The size of a page.
    fn page_size(&self) -> PageSize;
    /// Whether only the last part of the path is shown (`--bname`).
    fn shows_base_name(&self) -> bool {
        false
    }
}

/// A row about a process, or about several that were added up.
pub(super) trait OfProcess {
    /// Its number.
    fn pid(&self) -> Cell<'_>;
    /// Whose it is, if that was read.
    fn owner(&self) -> Option<&Owner>;
    /// Its command line.
    fn command(&self) -> Cell<'_>;
}

const NOT_READ: Absent = Absent::new(Reason::NotApplicable, "it was not read");

pub(super) fn owned_by<'r>(row: &'r impl OfProcess, take: fn(&Owner) -> &Figure<Vec<u8>>) -> Cell<'r> {
    match row.owner().map(take) {
        Some(Ok(text)) => Cell::Text(text),
        Some(Err(absent)) => Cell::Absent(*absent),
        None => Cell::Absent(NOT_READ),
    }
}

/// The user of a process, for which its owner has to be read.
pub(super) const fn user<K: RowKind>() -> Column<K>
where
    K::Row: OfProcess,
{
    let get: Getter<K> = |row, _| owned_by(row, |owner| &owner.user);
    let help = "the user that the process runs as, from /proc/PID/status";
    Column::new("user", "User", ColumnKind::Text, get, help).on_request().naming()
}

/// The command line of a process.
pub(super) const fn command<K: RowKind>() -> Column<K>
where
    K::Row: OfProcess,
{
    let get: Getter<K> = |row, _| row.command();
    Column::new("command", "Command", ColumnKind::Text, get, "the command line of the process")
        .on_request()
        .naming()
        .cut(Cut::Command)
}

/// The control group of a process, for which its owner has to be read.
pub(super) const fn control_group<K: RowKind>() -> Column<K>
where
    K::Row: OfProcess,
{
    let get: Getter<K> = |row, _| owned_by(row, |owner| &owner.control_group);
    let help = "the memory control group of the process, from /proc/PID/cgroup";
    Column::new("cgroup", "Control group", ColumnKind::Text, get, help).on_request().naming()
}

/// A row with counts of cached pages.
pub(super) trait InPageCache {
    /// One of the counts.
    fn pages(&self, count: Count) -> Figure<Pages>;
    /// Whether it is only a lower bound: a sum that lacks the pages of some files, or pages that may count.
    fn is_partial(&self, _count: Count) -> bool {
        false
    }
    /// The size of a page.
    fn size_of_a_page(&self) -> PageSize;
}

/// The counts of cached pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Cached,
    Uncached,
    Dirty,
    Writeback,
    Evicted,
    RecentlyEvicted,
    NotUpToDate,
}

impl Count {
    /// The count as a number, which a column carries.
    fn of(argument: u32) -> Count {
        const ALL: [Count; 7] = [
            Count::Cached,
            Count::Uncached,
            Count::Dirty,
            Count::Writeback,
            Count::Evicted,
            Count::RecentlyEvicted,
            Count::NotUpToDate,
        ];
        ALL.get(argument as usize).copied().unwrap_or(Count::Cached)
    }
}

pub(super) const fn pid<K: RowKind>() -> Column<K>
where
    K::Row: OfProcess,
{
    let get: Getter<K> = |row, _| row.pid();
    Column::new("pid", "PID", ColumnKind::Number, get, "the process").identifier()
}

pub(super) const fn filename<K: RowKind>(help: &'static str) -> Column<K>
where
    K::Row: OfFile,
{
    Column::new("filename", "Name", ColumnKind::Text, |row, _| file_name(row), help).naming()
}

/// The name of a file in tables.
fn file_name<R: OfFile>(row: &R) -> Cell<'_> {
    let base = row.path().file_name().filter(|_| row.shows_base_name());
    Cell::Text(base.unwrap_or(row.path().as_os_str()).as_bytes())
}

pub(super) const fn path<K: RowKind>() -> Column<K>
where
    K::Row: OfFile,
{
    let get: Getter<K> = |row, _| Cell::Text(row.path().as_os_str().as_bytes());
    Column::new("path", "Path", ColumnKind::Text, get, "the file as it was named").naming()
}

pub(super) const fn path_bytes<K: RowKind>() -> Column<K>
where
    K::Row: OfFile,
{
    let get: Getter<K> = |row, _| Cell::RawBytes(row.path().as_os_str().as_bytes());
    Column::new("path_bytes", "Path bytes", ColumnKind::RawBytes, get, "the path if it is not UTF-8")
}

pub(super) const fn page_size<K: RowKind>() -> Column<K>
where
    K::Row: OfFile,
{
    let get: Getter<K> = |row, _| Cell::Bytes(row.page_size().bytes());
    Column::new("page_size", "Page size", ColumnKind::Bytes, get, "size of a page").identifier()
}

/// The columns of the counts, in pages and in bytes.
macro_rules! counts {
    ($($name:ident, $id:literal, $title:literal, $kind:ident, $count:ident, $help:literal;)*) => { $(
        pub(super) const fn $name<K: RowKind>() -> Column<K>
        where
            K::Row: InPageCache,
        {
            count($id, $title, ColumnKind::$kind, Count::$count, $help)
        }
    )* };
}

counts! {
    cached, "cached", "Cached", Pages, Cached, "pages in the page cache that need not be read again";
    uncached, "uncached", "Uncached", Pages, Uncached, "the other pages";
    cached_bytes, "cached_bytes", "Cached bytes", Bytes, Cached, "the cached pages in bytes";
    dirty_pages, "dirty_pages", "Dirty", Pages, Dirty,
        "cached pages not yet written to disk, from cachestat(2)";
    dirty, "dirty", "Dirty size", Bytes, Dirty, "the dirty pages in bytes";
    writeback_pages, "writeback_pages", "Writeback", Pages, Writeback,
        "cached pages being written to disk, from cachestat(2)";
    writeback, "writeback", "Writeback size", Bytes, Writeback, "the pages under writeback in bytes";
    evicted_pages, "evicted_pages", "Reclaimed", Pages, Evicted,
        "pages that the kernel reclaimed, if it still remembers them, from cachestat(2)";
    evicted, "evicted", "Reclaimed size", Bytes, Evicted, "the same in bytes";
    recently_evicted_pages, "recently_evicted_pages", "Recently", Pages, RecentlyEvicted,
        "of these: would still be cached if memory were a little larger, from cachestat(2)";
    recently_evicted, "recently_evicted", "Recently reclaimed size", Bytes, RecentlyEvicted,
        "the same in bytes";
    not_up_to_date_pages, "not_up_to_date_pages", "Not up to date", Pages, NotUpToDate,
        "pages in the page cache that would have to be read and do not count as cached (of a block device: that are \
         not marked up to date, and may have to be read); looks at every page";
    not_up_to_date, "not_up_to_date", "Not up to date size", Bytes, NotUpToDate, "the same in bytes";
}

/// A count, which is a lower bound if some of it is not known.
fn known<'r>(row: &impl InPageCache, count: Count, cell: Cell<'r>) -> Cell<'r> {
    match cell {
        Cell::Count(pages) if row.is_partial(count) => Cell::Known(Amount::Count(pages)),
        Cell::Bytes(bytes) if row.is_partial(count) => Cell::Known(Amount::Bytes(bytes)),
        cell => cell,
    }
}

/// A count that a total adds.
const fn count<K: RowKind>(
    id: &'static str,
    title: &'static str,
    kind: ColumnKind,
    count: Count,
    help: &'static str,
) -> Column<K>
where
    K::Row: InPageCache,
{
    let in_pages: Getter<K> = |row, number| {
        let count = Count::of(number);
        known(row, count, Cell::pages(row.pages(count)))
    };
    let in_bytes: Getter<K> = |row, number| {
        let count = Count::of(number);
        known(row, count, Cell::bytes(row.pages(count).map(|pages| pages.bytes(row.size_of_a_page()))))
    };
    let get = if matches!(kind, ColumnKind::Bytes) { in_bytes } else { in_pages };
    let mut column = Column::sum(id, title, kind, get, help);
    column.argument = count as u32;
    match count {
        Count::Cached | Count::Uncached | Count::NotUpToDate => column,
        Count::Dirty => column.minor().coloured(Colour::Yellow),
        Count::Writeback => column.minor().coloured(Colour::Cyan),
        Count::Evicted | Count::RecentlyEvicted => column.minor(),
    }
}

/// What a column with the method can say.
pub(super) fn methods() -> Vec<&'static str> {
    Method::ALL.map(Method::word).to_vec()
}

/// The method that measured a file, as a cell of any view.
pub(super) fn method(report: &FileReport) -> Cell<'_> {
    report.residency.as_ref().map_or_else(|absent| Cell::Absent(*absent), |found| Cell::Word(found.method.word()))
}

/// What a reader of `cached` must know if there are more pages in the page cache, be it one or many. Their number may
/// stand beside it.
pub(super) const NOT_UP_TO_DATE: &str = "other pages are in the page cache, but not up to date";

/// Why a file has no figures, what happened to it while it was measured, or which pages do not count as cached.
pub(super) fn note(report: &FileReport) -> Cell<'_> {
    match &report.residency {
        Err(absent) => Cell::Remark(Some(absent.why)),
        Ok(_) => {
            let changed = report.changed.map(crate::pagecache::Change::words);
            let has_fewer = report.may_count_stale_pages();
            let at_least = report.is_cached_at_least().then_some(BUFFERS.why);
            let more = report.has_stale_pages().then_some(NOT_UP_TO_DATE);
            Cell::Remark(changed.or(at_least).or(more).or(has_fewer.then_some(UNTOLD.why)))
        }
    }
}
