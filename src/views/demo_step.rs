//! The row of a step of the demo: both views of one mapping side by side.

use std::os::unix::ffi::OsStrExt;

use crate::laboratory::demo::Observation;
use crate::output::column::Column;
use crate::output::{Cell, Kind, RowKind, Sum};
use crate::units::{Bytes, Figure, Pages, percent};

/// Steps of the demo.
pub struct DemoSteps;

impl RowKind for DemoSteps {
    type Row<'r> = StepRow<'r>;
}

/// One step as the columns look at it.
#[derive(Clone, Copy)]
pub struct StepRow<'r> {
    /// What was observed.
    pub seen: &'r Observation,
}

/// What the demo shows: how far it is, the process view, the file view, and whether they agree.
pub const DEFAULT: &[&str] = &[
    "filled_percent",
    "size",
    "rss",
    "pss",
    "anonymous",
    "file_size",
    "cached_bytes",
    "cached",
    "cached_percent",
    "agree",
];

type Row<'r> = StepRow<'r>;

/// Everything that a step knows.
pub const COLUMNS: &[Column<DemoSteps>] = &[
    Column::new(
        "filled_percent",
        "Filled %",
        Kind::Percent,
        Sum::Nothing,
        |row, _| filled_percent(row),
        "how much of the file was filled by then",
    ),
    Column::new(
        "filled",
        "Filled",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.seen.filled.0),
        "the same in bytes",
    ),
    Column::new(
        "pid",
        "PID",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.seen.pid.into()),
        "the process that maps the file",
    ),
    Column::new(
        "size",
        "Size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.seen.views.usage.size.0),
        "length of the mapping, from /proc/PID/smaps",
    ),
    Column::new(
        "rss",
        "Rss",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.seen.views.usage.rss.0),
        "what of it is in RAM and mapped, from smaps",
    ),
    Column::new(
        "pss",
        "Pss",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.seen.views.usage.pss.0),
        "the same, shared pages divided, from smaps",
    ),
    Column::new(
        "anonymous",
        "Anonymous",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.seen.views.usage.anonymous.0),
        "what of it is in no file, from smaps",
    ),
    Column::new(
        "path",
        "Path",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Text(row.seen.views.file.path.as_os_str().as_bytes()),
        "the file",
    ),
    Column::new(
        "path_bytes",
        "Path bytes",
        Kind::RawBytes,
        Sum::Nothing,
        |row, _| Cell::RawBytes(row.seen.views.file.path.as_os_str().as_bytes()),
        "the path where it is not UTF-8",
    ),
    Column::new(
        "file_size",
        "Length",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.seen.views.file.size.0),
        "length of the file",
    ),
    Column::new(
        "cached_bytes",
        "Cached",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| cached_bytes(row),
        "what of the file is in the page cache",
    ),
    Column::new(
        "cached",
        "Pages",
        Kind::Pages,
        Sum::Nothing,
        |row, _| Cell::pages(row.seen.views.file.cached()),
        "the same in pages",
    ),
    Column::new(
        "cached_percent",
        "Percent",
        Kind::Percent,
        Sum::Nothing,
        |row, _| Cell::percent(row.seen.views.file.percent()),
        "the same of the file's length",
    ),
    Column::new(
        "dirty",
        "Dirty",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| dirty(row),
        "what of it is not written to disk yet",
    ),
    Column::new("method", "Method", Kind::Text, Sum::Nothing, |row, _| method(row), "how the file view was taken"),
    Column::new(
        "in_both",
        "In both",
        Kind::Pages,
        Sum::Nothing,
        |row, _| overlap(row, |pages| pages.both),
        "pages that are mapped and cached",
    ),
    Column::new(
        "only_mapped",
        "Only mapped",
        Kind::Pages,
        Sum::Nothing,
        |row, _| overlap(row, |pages| pages.only_mapped),
        "pages that are mapped and not cached",
    ),
    Column::new(
        "only_cached",
        "Only cached",
        Kind::Pages,
        Sum::Nothing,
        |row, _| overlap(row, |pages| pages.only_cached),
        "pages that are cached and not mapped",
    ),
    Column::new(
        "steady",
        "Steady",
        Kind::Flag,
        Sum::Nothing,
        |row, _| Cell::Flag(row.seen.views.steady),
        "whether the page table held still meanwhile",
    ),
    Column::new(
        "page_size",
        "Page size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.seen.views.file.page_size.bytes()),
        "size of a page",
    ),
    Column::new(
        "agree",
        "Agree",
        Kind::Flag,
        Sum::Nothing,
        |row, _| agree(row),
        "whether both views are the same, in bytes and page by page",
    ),
    Column::new(
        "difference",
        "Difference",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Remark(row.seen.difference.as_deref()),
        "why they are not",
    ),
];

fn filled_percent<'r>(row: &Row<'r>) -> Cell<'r> {
    percent(row.seen.filled.0, row.seen.size.0).map_or(Cell::Count(0), Cell::Percent)
}

fn cached_bytes<'r>(row: &Row<'r>) -> Cell<'r> {
    Cell::bytes(in_bytes(row, row.seen.views.file.cached()))
}

fn dirty<'r>(row: &Row<'r>) -> Cell<'r> {
    let residency = row.seen.views.file.residency.as_ref().map_err(|absent| *absent);
    Cell::bytes(in_bytes(row, residency.and_then(|residency| residency.dirty)))
}

fn in_bytes(row: &Row<'_>, pages: Figure<Pages>) -> Figure<Bytes> {
    pages.map(|pages| pages.bytes(row.seen.views.file.page_size))
}

fn method<'r>(row: &Row<'r>) -> Cell<'r> {
    super::file::method_of(&row.seen.views.file)
}

fn overlap<'r>(row: &Row<'r>, take: fn(&crate::join::Overlap) -> Pages) -> Cell<'r> {
    Cell::pages(row.seen.views.pages.as_ref().map(take).map_err(|absent| *absent))
}

fn agree<'r>(row: &Row<'r>) -> Cell<'r> {
    row.seen.views.agrees().map_or_else(Cell::Absent, Cell::Flag)
}
