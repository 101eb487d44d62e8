//! The row of a file: which of its pages are in the page cache (`rmap pcstat`).
//!
//! The names, types and units of `filename, size, timestamp, mtime, pages, cached, uncached, percent, status` are
//! pcstat's, so that its scripts go on working. Where rmap adds a figure, a name that ends in `_pages` is in pages, any
//! other in bytes.

use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::output::cell::FlagRuns;
use crate::output::column::Column;
use crate::output::{Cell, Kind, RowKind, Sum};
use crate::pagecache::{Change, FileReport, Residency};
use crate::process::Held;
use crate::units::{Figure, Pages};

/// Files.
pub struct Files;

impl RowKind for Files {
    type Row<'r> = FileRow<'r>;

    fn id_of(name: &str) -> &str {
        match name {
            "name" | "file" => "filename",
            other => other,
        }
    }
}

/// One file as the columns look at it.
#[derive(Clone, Copy)]
pub struct FileRow<'r> {
    /// What was measured.
    pub report: &'r FileReport,
    /// Whether only the last part of the path is shown (`--bname`).
    pub base_name: bool,
    /// How the process of `--pid` holds it; none where it does not, or no process was named.
    pub held: Option<Held>,
}

/// What `rmap pcstat` shows where nothing else is asked for.
pub const DEFAULT: &[&str] = &[
    "filename",
    "size",
    "pages",
    "cached",
    "percent",
    "dirty_pages",
    "writeback_pages",
    "evicted_pages",
    "recently_evicted_pages",
    "method",
    "note",
];

/// The same for the files of a process: how it holds each stands behind the name.
pub fn default_of_process() -> Vec<&'static str> {
    let (name, figures) = DEFAULT.split_at_checked(1).unwrap_or_default();
    [name, &["held"], figures].concat()
}

/// What pcstat's `--terse` shows: its names, with times as seconds since 1970.
pub const TERSE: &[Column<Files>] = &[
    Column::new("filename", "Name", Kind::Text, Sum::Nothing, |row, _| filename(row), ""),
    Column::new("size", "Size", Kind::Bytes, Sum::Nothing, |row, _| Cell::Bytes(row.report.size.0), ""),
    Column::new("timestamp", "", Kind::Number, Sum::Nothing, |row, _| Cell::UnixTime(row.report.timestamp), ""),
    Column::new("mtime", "", Kind::Number, Sum::Nothing, |row, _| Cell::UnixTime(row.report.mtime), ""),
    Column::new("pages", "", Kind::Pages, Sum::Nothing, |row, _| Cell::Count(row.report.pages.0), ""),
    Column::new("cached", "", Kind::Pages, Sum::Nothing, |row, _| Cell::pages(row.report.cached()), ""),
    Column::new("percent", "", Kind::Percent, Sum::Nothing, |row, _| Cell::percent(row.report.percent()), ""),
];

/// Everything that is known of a file, in the order in which JSON writes it.
pub const COLUMNS: &[Column<Files>] = &[
    Column::new(
        "filename",
        "Name",
        Kind::Text,
        Sum::Nothing,
        |row, _| filename(row),
        "the file as it was named, or its last part with --bname",
    ),
    Column::new(
        "size",
        "Size",
        Kind::Bytes,
        Sum::Add,
        |row, _| Cell::Bytes(row.report.size.0),
        "length of the file, from fstat(2)",
    ),
    Column::new(
        "timestamp",
        "Timestamp",
        Kind::Time,
        Sum::Nothing,
        |row, _| Cell::Time(row.report.timestamp),
        "when it was measured",
    ),
    Column::new(
        "mtime",
        "Modified",
        Kind::Time,
        Sum::Nothing,
        |row, _| Cell::Time(row.report.mtime),
        "when it was last modified, from fstat(2)",
    ),
    Column::new(
        "pages",
        "Pages",
        Kind::Pages,
        Sum::Add,
        |row, _| Cell::Count(row.report.pages.0),
        "length in pages, the last one in part",
    ),
    Column::new(
        "cached",
        "Cached",
        Kind::Pages,
        Sum::Add,
        |row, _| Cell::pages(row.report.cached()),
        "pages in the page cache",
    ),
    Column::new(
        "uncached",
        "Uncached",
        Kind::Pages,
        Sum::Add,
        |row, _| Cell::pages(row.report.uncached()),
        "pages not in the page cache",
    ),
    Column::new(
        "percent",
        "Percent",
        Kind::Percent,
        Sum::Share(|row| cached_of_pages(row)),
        |row, _| Cell::percent(row.report.percent()),
        "cached pages of all pages; none for an empty file",
    ),
    Column::new(
        "status",
        "Status",
        Kind::Flags,
        Sum::Nothing,
        |row, _| status(row),
        "for each page whether it is cached (--pps)",
    ),
    Column::new(
        "path",
        "Path",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Text(row.report.path.as_os_str().as_bytes()),
        "the file as it was named",
    ),
    Column::new(
        "path_bytes",
        "Path bytes",
        Kind::RawBytes,
        Sum::Nothing,
        |row, _| Cell::RawBytes(row.report.path.as_os_str().as_bytes()),
        "the path where it is not UTF-8",
    ),
    Column::new(
        "cached_bytes",
        "Cached bytes",
        Kind::Bytes,
        Sum::Add,
        |row, _| cached_bytes(row),
        "the cached pages in bytes",
    ),
    Column::new(
        "dirty_pages",
        "Dirty",
        Kind::Pages,
        Sum::Add,
        |row, _| pages(row, DIRTY),
        "cached pages that are not written to disk yet, from cachestat(2)",
    ),
    Column::new("dirty", "Dirty size", Kind::Bytes, Sum::Add, |row, _| bytes(row, DIRTY), "the dirty pages in bytes"),
    Column::new(
        "writeback_pages",
        "Writeback",
        Kind::Pages,
        Sum::Add,
        |row, _| pages(row, WRITEBACK),
        "cached pages that are being written, from cachestat(2)",
    ),
    Column::new(
        "writeback",
        "Writeback size",
        Kind::Bytes,
        Sum::Add,
        |row, _| bytes(row, WRITEBACK),
        "the pages under writeback in bytes",
    ),
    Column::new(
        "evicted_pages",
        "Evicted",
        Kind::Pages,
        Sum::Add,
        |row, _| pages(row, EVICTED),
        "pages that were cached and have been reclaimed, as far as the kernel remembers, from cachestat(2)",
    ),
    Column::new(
        "evicted",
        "Evicted size",
        Kind::Bytes,
        Sum::Add,
        |row, _| bytes(row, EVICTED),
        "the evicted pages in bytes",
    ),
    Column::new(
        "recently_evicted_pages",
        "Recently",
        Kind::Pages,
        Sum::Add,
        |row, _| pages(row, RECENTLY_EVICTED),
        "evicted pages that would still be cached if memory were a little larger, from cachestat(2)",
    ),
    Column::new(
        "recently_evicted",
        "Recently evicted size",
        Kind::Bytes,
        Sum::Add,
        |row, _| bytes(row, RECENTLY_EVICTED),
        "the recently evicted pages in bytes",
    ),
    Column::new(
        "method",
        "Method",
        Kind::Text,
        Sum::Nothing,
        |row, _| method(row),
        "the kernel interface that told: cachestat or mincore",
    ),
    Column::new(
        "page_size",
        "Page size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.report.page_size.bytes()),
        "size of a page",
    ),
    Column::new(
        "changed",
        "Changed",
        Kind::Flag,
        Sum::Nothing,
        |row, _| Cell::Flag(row.report.changed.is_some()),
        "whether it was written to, cut, renamed, replaced or removed while it was measured",
    ),
    Column::new(
        "held",
        "Held",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Remark(row.held.map(Held::word)),
        "with --pid: mapped, open or both",
    ),
    Column::new(
        "note",
        "Note",
        Kind::Text,
        Sum::Nothing,
        |row, _| note(row),
        "what a reader must know: why figures are absent, that it changed",
    ),
];

type Row<'r> = FileRow<'r>;

fn filename<'r>(row: &Row<'r>) -> Cell<'r> {
    let path = &row.report.path;
    let name = if row.base_name { path.file_name().unwrap_or(path.as_os_str()) } else { path.as_os_str() };
    Cell::Text(name.as_bytes())
}

fn cached_of_pages(row: &Row<'_>) -> Option<(u64, u64)> {
    row.report.cached().ok().map(|cached| (cached.0, row.report.pages.0))
}

fn cached_bytes<'r>(row: &Row<'r>) -> Cell<'r> {
    Cell::bytes(row.report.cached().map(|pages| pages.bytes(row.report.page_size)))
}

fn method<'r>(row: &Row<'r>) -> Cell<'r> {
    method_of(row.report)
}

/// The method that measured a file, as a cell of any view.
pub(super) fn method_of(report: &FileReport) -> Cell<'_> {
    report.residency.as_ref().map_or_else(|absent| Cell::Absent(*absent), |found| Cell::Word(found.method.word()))
}

fn note<'r>(row: &Row<'r>) -> Cell<'r> {
    match &row.report.residency {
        Err(absent) => Cell::Remark(Some(absent.why)),
        Ok(_) => Cell::Remark(row.report.changed.map(Change::words)),
    }
}

fn status<'r>(row: &Row<'r>) -> Cell<'r> {
    match &row.report.runs {
        None => Cell::Remark(None),
        Some(Err(absent)) => Cell::Absent(*absent),
        Some(Ok(_)) => Cell::Flags(row.report),
    }
}

impl FlagRuns for FileReport {
    fn for_each_run(&self, each: &mut dyn FnMut(bool, u64) -> io::Result<()>) -> io::Result<()> {
        let Some(Ok(runs)) = &self.runs else { return Ok(()) };
        let mut next = self.asked.first;
        for run in runs.iter() {
            each(false, run.first.saturating_sub(next))?;
            each(true, run.count)?;
            next = run.first.saturating_add(run.count);
        }
        each(false, self.asked.end().saturating_sub(next))
    }
}

/// Takes one of the counts of a measured file.
type Count = fn(&Residency) -> Figure<Pages>;

const DIRTY: Count = |residency| residency.dirty;
const WRITEBACK: Count = |residency| residency.writeback;
const EVICTED: Count = |residency| residency.evicted;
const RECENTLY_EVICTED: Count = |residency| residency.recently_evicted;

fn count(row: &Row<'_>, take: Count) -> Figure<Pages> {
    row.report.residency.as_ref().map_err(|absent| *absent).and_then(take)
}

fn pages<'r>(row: &Row<'r>, take: Count) -> Cell<'r> {
    Cell::pages(count(row, take))
}

fn bytes<'r>(row: &Row<'r>, take: Count) -> Cell<'r> {
    Cell::bytes(count(row, take).map(|pages| pages.bytes(row.report.page_size)))
}
