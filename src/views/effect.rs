//! The row of a file that `rmap warm`, `rmap evict` or `rmap lock` worked on: cached before and after, and what is not as it
//! was asked to be.

use std::os::unix::ffi::OsStrExt;

use crate::control::{Effect, Left};
use crate::output::column::Column;
use crate::output::{Cell, Kind, RowKind, Sum};
use crate::pagecache::Change;
use crate::units::{Figure, Pages};

/// Files that were worked on.
pub struct Effects;

impl RowKind for Effects {
    type Row<'r> = EffectRow<'r>;
}

/// One file as the columns look at it.
#[derive(Clone, Copy)]
pub struct EffectRow<'r> {
    /// What came of it.
    pub effect: &'r Effect,
}

/// What `rmap warm` and `rmap evict` show where nothing else is asked for.
pub const DEFAULT: &[&str] = &["size", "pages", "before_pages", "after_pages", "left_pages", "filename", "why", "note"];

/// What `rmap lock` shows where nothing else is asked for.
pub const DEFAULT_LOCK: &[&str] =
    &["size", "pages", "before_pages", "after_pages", "locked", "filename", "why", "note"];

/// Everything that is known of it.
pub const COLUMNS: &[Column<Effects>] = &[
    Column::new("filename", "Name", Kind::Text, Sum::Nothing, |row, _| path(row), "the file as it was named"),
    Column::new(
        "size",
        "Size",
        Kind::Bytes,
        Sum::Add,
        |row, _| Cell::Bytes(row.effect.after.size.0),
        "length of the file, from fstat(2)",
    ),
    Column::new(
        "pages",
        "Pages",
        Kind::Pages,
        Sum::Add,
        |row, _| Cell::Count(row.effect.after.pages.0),
        "the pages that were meant: of the whole file, or of --range",
    ),
    Column::new(
        "before_pages",
        "Before",
        Kind::Pages,
        Sum::Add,
        |row, _| Cell::pages(row.effect.cached_before()),
        "how many of them were cached before",
    ),
    Column::new(
        "before",
        "Before size",
        Kind::Bytes,
        Sum::Add,
        |row, _| bytes(row, row.effect.cached_before()),
        "the same in bytes",
    ),
    Column::new(
        "after_pages",
        "After",
        Kind::Pages,
        Sum::Add,
        |row, _| Cell::pages(row.effect.cached_after()),
        "how many of them are cached now",
    ),
    Column::new(
        "after",
        "After size",
        Kind::Bytes,
        Sum::Add,
        |row, _| bytes(row, row.effect.cached_after()),
        "the same in bytes",
    ),
    Column::new(
        "locked",
        "Locked",
        Kind::Bytes,
        Sum::Add,
        |row, _| bytes(row, Ok(row.effect.held)),
        "what rmap lock holds in memory, whole pages",
    ),
    Column::new(
        "hole_pages",
        "Holes",
        Kind::Pages,
        Sum::Add,
        |row, _| Cell::Count(row.effect.holes.0),
        "pages in holes that were left alone (warm, lock)",
    ),
    Column::new(
        "left_pages",
        "Left",
        Kind::Pages,
        Sum::Add,
        |row, _| left(row, |left| left.pages),
        "pages that are not as they were asked to be: not cached (warm, lock), still cached (evict)",
    ),
    Column::new(
        "left_locked_pages",
        "Left locked",
        Kind::Pages,
        Sum::Add,
        |row, _| left(row, |left| left.locked),
        "of these: locked by a process, from smaps and pagemap",
    ),
    Column::new(
        "left_mapped_pages",
        "Left mapped",
        Kind::Pages,
        Sum::Add,
        |row, _| left(row, |left| left.mapped),
        "of these: in the page table of a process, from pagemap",
    ),
    Column::new(
        "left_dirty_pages",
        "Left dirty",
        Kind::Pages,
        Sum::Add,
        |row, _| left(row, |left| left.dirty),
        "of these: dirty or under writeback, from cachestat(2)",
    ),
    Column::new(
        "left_unwritten_pages",
        "Left unwritten",
        Kind::Pages,
        Sum::Add,
        |row, _| left(row, |left| left.unwritten),
        "of these: writing back failed, and they may be the only copy of the data",
    ),
    Column::new(
        "left_memory_pages",
        "Left in memory",
        Kind::Pages,
        Sum::Add,
        |row, _| left(row, |left| left.in_memory),
        "of these: of a file system that lives in memory (tmpfs)",
    ),
    Column::new(
        "left_unknown_pages",
        "Left unknown",
        Kind::Pages,
        Sum::Add,
        |row, _| left(row, |left| left.unknown),
        "of these: for a reason that is not known",
    ),
    Column::new(
        "why",
        "Why",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Remark(Some(row.effect.left.why.as_str()).filter(|why| !why.is_empty())),
        "why pages are left, and who holds them",
    ),
    Column::new(
        "note",
        "Note",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Remark(row.effect.changed().map(Change::words)),
        "what happened to the file meanwhile: changed, renamed, replaced, removed",
    ),
    Column::new(
        "method",
        "Method",
        Kind::Text,
        Sum::Nothing,
        |row, _| super::file::method_of(&row.effect.after),
        "the kernel interface that told: cachestat or mincore",
    ),
    Column::new(
        "page_size",
        "Page size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.effect.after.page_size.bytes()),
        "size of a page",
    ),
    Column::new("path", "Path", Kind::Text, Sum::Nothing, |row, _| path(row), "the file as it was named"),
    Column::new(
        "path_bytes",
        "Path bytes",
        Kind::RawBytes,
        Sum::Nothing,
        |row, _| Cell::RawBytes(row.effect.after.path.as_os_str().as_bytes()),
        "the path where it is not UTF-8",
    ),
];

fn path<'r>(row: &EffectRow<'r>) -> Cell<'r> {
    Cell::Text(row.effect.after.path.as_os_str().as_bytes())
}

fn bytes<'r>(row: &EffectRow<'r>, pages: Figure<Pages>) -> Cell<'r> {
    Cell::bytes(pages.map(|pages| pages.bytes(row.effect.after.page_size)))
}

fn left<'r>(row: &EffectRow<'r>, take: fn(&Left) -> Pages) -> Cell<'r> {
    Cell::Count(take(&row.effect.left).0)
}
