//! The row of a stretch of a file (`rmap pcstat --runs`): where the file is cached, where it is not, and where it has holes.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::output::column::Column;
use crate::output::{Cell, Kind, RowKind, Sum};
use crate::pagecache::{Change, Stretch};
use crate::units::{Bytes, PageSize};

/// Stretches of files.
pub struct FileRuns;

impl RowKind for FileRuns {
    type Row<'r> = RunRow<'r>;

    fn id_of(name: &str) -> &str {
        super::file::Files::id_of(name)
    }
}

/// One stretch as the columns look at it.
#[derive(Clone, Copy)]
pub struct RunRow<'r> {
    /// The file, as it was named.
    pub path: &'r Path,
    /// Its size.
    pub size: Bytes,
    /// The size of a page.
    pub page: PageSize,
    /// What happened to the file while it was measured.
    pub changed: Option<Change>,
    /// The stretch.
    pub stretch: Stretch,
    /// Whether only the last part of the path is shown (`--bname`).
    pub base_name: bool,
}

/// What `rmap pcstat --runs` shows where nothing else is asked for.
pub const DEFAULT: &[&str] = &["offset", "length", "pages", "state", "filename", "note"];

/// Everything that is known of a stretch.
pub const COLUMNS: &[Column<FileRuns>] = &[
    Column::new(
        "filename",
        "Name",
        Kind::Text,
        Sum::Nothing,
        |row, _| filename(row),
        "the file as it was named, or its last part with --bname",
    ),
    Column::new(
        "offset",
        "Offset",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.stretch.part.offset(row.page).0),
        "where in the file it begins",
    ),
    Column::new(
        "length",
        "Length",
        Kind::Bytes,
        Sum::Add,
        |row, _| Cell::Bytes(row.stretch.length(row.size, row.page).0),
        "how long it is; the last one ends with the file",
    ),
    Column::new(
        "pages",
        "Pages",
        Kind::Pages,
        Sum::Add,
        |row, _| Cell::Count(row.stretch.part.count),
        "how many pages it has",
    ),
    Column::new(
        "state",
        "State",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Word(state(row.stretch)),
        "cached, data (not cached), hole (not cached), cached hole; uncached where holes cannot be told",
    ),
    Column::new(
        "is_cached",
        "Cached",
        Kind::Flag,
        Sum::Nothing,
        |row, _| Cell::Flag(row.stretch.cached),
        "whether its pages are in the page cache",
    ),
    Column::new(
        "is_hole",
        "Hole",
        Kind::Flag,
        Sum::Nothing,
        |row, _| row.stretch.hole.map_or_else(Cell::Absent, Cell::Flag),
        "whether there is nothing to read: no block, or one that was never written, from lseek(2) with SEEK_DATA",
    ),
    Column::new(
        "path",
        "Path",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Text(row.path.as_os_str().as_bytes()),
        "the file as it was named",
    ),
    Column::new(
        "path_bytes",
        "Path bytes",
        Kind::RawBytes,
        Sum::Nothing,
        |row, _| Cell::RawBytes(row.path.as_os_str().as_bytes()),
        "the path where it is not UTF-8",
    ),
    Column::new(
        "page_size",
        "Page size",
        Kind::Bytes,
        Sum::Nothing,
        |row, _| Cell::Bytes(row.page.bytes()),
        "size of a page",
    ),
    Column::new(
        "changed",
        "Changed",
        Kind::Flag,
        Sum::Nothing,
        |row, _| Cell::Flag(row.changed.is_some()),
        "whether the file was written to, cut, renamed, replaced or removed while it was measured",
    ),
    Column::new(
        "note",
        "Note",
        Kind::Text,
        Sum::Nothing,
        |row, _| Cell::Remark(row.changed.map(Change::words)),
        "what happened to it then",
    ),
];

/// The state of a stretch in one or two words.
fn state(stretch: Stretch) -> &'static str {
    match (stretch.cached, stretch.hole) {
        (true, Ok(true)) => "cached hole",
        (true, _) => "cached",
        (false, Ok(true)) => "hole",
        (false, Ok(false)) => "data",
        (false, Err(_)) => "uncached",
    }
}

fn filename<'r>(row: &RunRow<'r>) -> Cell<'r> {
    let name = if row.base_name { row.path.file_name().unwrap_or(row.path.as_os_str()) } else { row.path.as_os_str() };
    Cell::Text(name.as_bytes())
}
