//! The row of a directory, or of a whole selection: what its files have together (`rmap pcstat --by-dir`, `--summary`).
//!
//! A directory has the files of the directories in it, too, as in `du`. The names of the figures are those of
//! [`file`](super::file), and so are their units.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::output::column::Column;
use crate::output::{Cell, Kind, RowKind, Sum};
use crate::pagecache::{self, Tally};
use crate::units::{Figure, PageSize, Pages};

/// Directories.
pub struct Directories;

impl RowKind for Directories {
    type Row<'r> = DirectoryRow<'r>;

    fn id_of(name: &str) -> &str {
        match name {
            "name" | "path" | "filename" => "directory",
            other => other,
        }
    }
}

/// One directory as the columns look at it.
#[derive(Clone, Copy)]
pub struct DirectoryRow<'r> {
    /// Its path, or that of a file that was named itself; none for the sum of everything.
    pub path: Option<&'r Path>,
    /// What its files have together.
    pub tally: &'r Tally,
    /// The page size of the figures.
    pub page_size: PageSize,
    /// What [`note`] says of the tally.
    pub note: Option<&'r str>,
}

/// What `--by-dir` and `--summary` show where nothing else is asked for.
pub const DEFAULT: &[&str] = &[
    "directory",
    "files",
    "size",
    "pages",
    "cached",
    "percent",
    "dirty_pages",
    "writeback_pages",
    "evicted_pages",
    "recently_evicted_pages",
    "note",
];

/// What a reader must know of a tally: of how many files a sum does not tell.
pub fn note(tally: &Tally) -> Option<String> {
    let unknown = tally.cached.missing;
    let partial = tally.dirty.missing.saturating_sub(unknown);
    let mut parts = Vec::new();
    if unknown > 0 {
        parts.push(format!("without {}, of which nothing is known", files(unknown)));
    }
    if partial > 0 {
        parts.push(format!("of {} only the cached pages are known", files(partial)));
    }
    if tally.changed > 0 {
        parts.push(format!("{} changed while measured", files(tally.changed)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// Everything that is known of a directory, in the order in which JSON writes it. No total adds them: a row has those of
/// the directories in it.
pub const COLUMNS: &[Column<Directories>] = &[
    Column::new(
        "directory",
        "Directory",
        Kind::Text,
        Sum::Nothing,
        |row, _| name(row),
        "the directory, or a file that was named; none for all together",
    ),
    Column::new(
        "directory_bytes",
        "Directory bytes",
        Kind::RawBytes,
        Sum::Nothing,
        |row, _| name_bytes(row),
        "its path where it is not UTF-8",
    ),
    Column::new(
        "files",
        "Files",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.files),
        "files, each counted once",
    ),
    Column::new(
        "size",
        "Size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::bytes(row.tally.size()),
        "their lengths, from fstat(2)",
    ),
    Column::new(
        "pages",
        "Pages",
        Kind::Pages,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.pages.0),
        "their lengths in pages",
    ),
    Column::new("cached", "Cached", Kind::Pages, Sum::Nothing, |row, _| pages(row, CACHED), "pages in the page cache"),
    Column::new(
        "uncached",
        "Uncached",
        Kind::Pages,
        Sum::Nothing,
        |row, _| Cell::pages(row.tally.uncached()),
        "pages not in the page cache",
    ),
    Column::new(
        "percent",
        "Percent",
        Kind::Percent,
        Sum::Nothing,
        |row, _| Cell::percent(row.tally.percent()),
        "cached pages of all pages of the files of which that is known",
    ),
    Column::new(
        "cached_bytes",
        "Cached bytes",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| bytes(row, CACHED),
        "the cached pages in bytes",
    ),
    Column::new(
        "dirty_pages",
        "Dirty",
        Kind::Pages,
        Sum::Nothing,
        |row, _| pages(row, DIRTY),
        "cached pages that are not written to disk yet",
    ),
    Column::new(
        "dirty",
        "Dirty size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| bytes(row, DIRTY),
        "the dirty pages in bytes",
    ),
    Column::new(
        "writeback_pages",
        "Writeback",
        Kind::Pages,
        Sum::Nothing,
        |row, _| pages(row, WRITEBACK),
        "cached pages that are being written",
    ),
    Column::new(
        "writeback",
        "Writeback size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| bytes(row, WRITEBACK),
        "those in bytes",
    ),
    Column::new(
        "evicted_pages",
        "Evicted",
        Kind::Pages,
        Sum::Nothing,
        |row, _| pages(row, EVICTED),
        "pages that were cached and have been reclaimed, as far as the kernel remembers",
    ),
    Column::new("evicted", "Evicted size", Kind::Bytes, Sum::Nothing, |row, _| bytes(row, EVICTED), "those in bytes"),
    Column::new(
        "recently_evicted_pages",
        "Recently",
        Kind::Pages,
        Sum::Nothing,
        |row, _| pages(row, RECENTLY_EVICTED),
        "evicted pages that would still be cached if memory were a little larger",
    ),
    Column::new(
        "recently_evicted",
        "Recently evicted size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| bytes(row, RECENTLY_EVICTED),
        "those in bytes",
    ),
    Column::new(
        "unknown_files",
        "Unknown",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.cached.missing),
        "files of which it is not known what is cached: the sums are without them",
    ),
    Column::new(
        "partial_files",
        "Partial",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.dirty.missing.saturating_sub(row.tally.cached.missing)),
        "files of which only the cached pages are known: the other sums are without them",
    ),
    Column::new(
        "changed_files",
        "Changed",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.changed),
        "files whose size or modification time moved while they were measured",
    ),
    Column::new(
        "again",
        "Again",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.again),
        "further names of files and directories that are counted already",
    ),
    Column::new(
        "special",
        "Special",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.special),
        "FIFOs, sockets and devices, left out",
    ),
    Column::new(
        "links",
        "Links",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.links),
        "symbolic links, left out unless they are followed",
    ),
    Column::new(
        "other_file_systems",
        "Elsewhere",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.other_file_systems),
        "files and directories of other file systems, left out",
    ),
    Column::new(
        "vanished",
        "Vanished",
        Kind::Number,
        Sum::Nothing,
        |row, _| Cell::Count(row.tally.vanished),
        "names that were gone when they were looked at",
    ),
    Column::new(
        "page_size",
        "Page size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.page_size.bytes()),
        "size of a page",
    ),
    Column::new(
        "note",
        "Note",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Remark(row.note),
        "of how many files a sum does not tell",
    ),
];

type Row<'r> = DirectoryRow<'r>;

fn name<'r>(row: &Row<'r>) -> Cell<'r> {
    Cell::Named(row.path.map_or(&[], |path| path.as_os_str().as_bytes()), "total")
}

fn name_bytes<'r>(row: &Row<'r>) -> Cell<'r> {
    Cell::RawBytes(row.path.map_or(&[], |path| path.as_os_str().as_bytes()))
}

/// Takes one of the sums of a tally.
type Take = fn(&Tally) -> &pagecache::PageSum;

const CACHED: Take = |tally| &tally.cached;
const DIRTY: Take = |tally| &tally.dirty;
const WRITEBACK: Take = |tally| &tally.writeback;
const EVICTED: Take = |tally| &tally.evicted;
const RECENTLY_EVICTED: Take = |tally| &tally.recently_evicted;

fn figure(row: &Row<'_>, take: Take) -> Figure<Pages> {
    take(row.tally).figure()
}

fn pages<'r>(row: &Row<'r>, take: Take) -> Cell<'r> {
    Cell::pages(figure(row, take))
}

fn bytes<'r>(row: &Row<'r>, take: Take) -> Cell<'r> {
    Cell::bytes(figure(row, take).map(|pages| pages.bytes(row.page_size)))
}
