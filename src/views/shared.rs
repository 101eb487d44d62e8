//! The columns that several kinds of row have, each once.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::pagecache::FileReport;
use crate::table::{Cell, Column, ColumnKind, Getter, RowKind};
use crate::units::{Figure, PageSize, Pages};

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

/// A row about a process; about several if they were added up.
pub(super) trait OfProcess {
    /// Its number.
    fn pid(&self) -> Cell<'_>;
}

/// A row with counts of cached pages.
pub(super) trait InPageCache {
    /// One of the counts.
    fn pages(&self, count: Count) -> Figure<Pages>;
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
}

impl Count {
    /// A column carries the count as a number.
    fn of(argument: u32) -> Count {
        const ALL: [Count; 6] =
            [Count::Cached, Count::Uncached, Count::Dirty, Count::Writeback, Count::Evicted, Count::RecentlyEvicted];
        ALL.get(argument as usize).copied().unwrap_or(Count::Cached)
    }
}

pub(super) const fn pid<K: RowKind>() -> Column<K>
where
    K::Row: OfProcess,
{
    let get: Getter<K> = |row, _| row.pid();
    Column::new("pid", "PID", ColumnKind::Number, get, "the process")
}

pub(super) const fn filename<K: RowKind>(help: &'static str) -> Column<K>
where
    K::Row: OfFile,
{
    Column::new("filename", "Name", ColumnKind::Text, |row, _| file_name(row), help)
}

/// What a file is called in tables.
fn file_name<R: OfFile>(row: &R) -> Cell<'_> {
    let base = row.path().file_name().filter(|_| row.shows_base_name());
    Cell::Text(base.unwrap_or(row.path().as_os_str()).as_bytes())
}

pub(super) const fn path<K: RowKind>() -> Column<K>
where
    K::Row: OfFile,
{
    let get: Getter<K> = |row, _| Cell::Text(row.path().as_os_str().as_bytes());
    Column::new("path", "Path", ColumnKind::Text, get, "the file as it was named")
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
    Column::new("page_size", "Page size", ColumnKind::Bytes, get, "size of a page")
}

/// A count of pages that a total adds.
pub(super) const fn pages<K: RowKind>(
    id: &'static str,
    title: &'static str,
    count: Count,
    help: &'static str,
) -> Column<K>
where
    K::Row: InPageCache,
{
    let get: Getter<K> = |row, count| Cell::pages(row.pages(Count::of(count)));
    let mut column = Column::sum(id, title, ColumnKind::Pages, get, help);
    column.argument = count as u32;
    column
}

/// The same in bytes.
pub(super) const fn bytes<K: RowKind>(
    id: &'static str,
    title: &'static str,
    count: Count,
    help: &'static str,
) -> Column<K>
where
    K::Row: InPageCache,
{
    let get: Getter<K> =
        |row, count| Cell::bytes(row.pages(Count::of(count)).map(|pages| pages.bytes(row.size_of_a_page())));
    let mut column = Column::sum(id, title, ColumnKind::Bytes, get, help);
    column.argument = count as u32;
    column
}

/// The method that measured a file, as a cell of any view.
pub(super) fn method(report: &FileReport) -> Cell<'_> {
    report.residency.as_ref().map_or_else(|absent| Cell::Absent(*absent), |found| Cell::Word(found.method.word()))
}

/// Why a file has no figures, or what happened to it while it was measured.
pub(super) fn note(report: &FileReport) -> Cell<'_> {
    match &report.residency {
        Err(absent) => Cell::Remark(Some(absent.why)),
        Ok(_) => Cell::Remark(report.changed.map(crate::pagecache::Change::words)),
    }
}
