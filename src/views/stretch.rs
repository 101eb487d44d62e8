//! One row per stretch of a file (`rmap pcstat --runs`): cached, not cached, or a hole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{Files, advised, unmeasured};
use super::shared::{self, OfFile};
use crate::join::{ChosenFiles, Message};
use crate::pagecache::{self, BUFFERS, Change, Engine, OpenFile, Stretch};
use crate::table::{Cell, Column, RowKind, Rows, Source, Stop, col};
use crate::units::{Bytes, PageSize};

/// A column of this view.
type C = Column<Stretches>;

/// Stretches of files.
pub struct Stretches;

/// One stretch.
pub struct StretchRow {
    file: Arc<MeasuredFile>,
    stretch: Stretch,
}

/// What all stretches of a file have in common.
struct MeasuredFile {
    path: PathBuf,
    key: Vec<u8>,
    size: Bytes,
    page: PageSize,
    changed: Option<Change>,
    base_name: bool,
    is_block_device: bool,
}

impl RowKind for Stretches {
    type Row = StretchRow;
    type Need = ();
    const ROWS: &'static str = "runs";
    const LARGEST_BY: &'static str = "length";
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        Files::id_of(name)
    }

    fn identity(row: &StretchRow) -> Vec<u8> {
        let first = row.stretch.part.first.to_ne_bytes();
        [&first[..], &row.file.key].concat()
    }
}

/// What `rmap pcstat --runs` shows by default.
pub const DEFAULT: &[&str] = &["offset", "length", "pages", "state", "filename", "note"];

/// All columns.
const COLUMNS: &[C] = &[
    shared::filename("the file as it was named, or its last part with --bname"),
    col!(new "offset", "Offset", Bytes, |row| Cell::Bytes(row.stretch.part.offset(row.file.page).0),
        "where in the file it begins", exact()),
    col!(sum "length", "Length", Bytes, |row| Cell::Bytes(row.stretch.length(row.file.size, row.file.page).0),
        "its length; the last stretch ends with the file"),
    col!(sum "pages", "Pages", Pages, |row| Cell::Count(row.stretch.part.count), "its length in pages"),
    col!(new "state", "State", Text, |row| Cell::Word(state(row)),
        "cached, data (not cached), hole (not cached), cached hole; uncached if the file system does not report holes; \
         not up to date if it is in the page cache but would have to be read; of a block device, not marked up to date \
         if it may have to be read",
        one_of(|| STATES.to_vec())),
    col!(new "is_cached", "Cached", Flag, |row| is_cached(row),
        "whether its pages are in the page cache and up to date"),
    col!(new "is_hole", "Hole", Flag, |row| row.stretch.hole.map_or_else(Cell::Absent, Cell::Flag),
        "whether there is nothing to read: no block, or one that was never written, from lseek(2) with SEEK_DATA"),
    shared::path(),
    shared::path_bytes(),
    shared::page_size(),
    col!(new "changed", "Changed", Flag, |row| Cell::Flag(row.file.changed.is_some()),
        "whether the file was written to, truncated, renamed, replaced or removed while it was measured"),
    col!(new "note", "Note", Prose, |row| Cell::Remark(row.file.changed.map(Change::words)),
        "what happened to the file in the meantime"),
];

impl OfFile for StretchRow {
    fn path(&self) -> &Path {
        &self.file.path
    }

    fn page_size(&self) -> PageSize {
        self.file.page
    }

    fn shows_base_name(&self) -> bool {
        self.file.base_name
    }
}

/// What `state` returns.
const STATES: [&str; 7] =
    ["cached", "data", "hole", "cached hole", "uncached", "not up to date", "not marked up to date"];

/// Root has the cached pages of such a file from the kernel's lists, which do not tell data from holes.
const MUST_BE_OPEN: &str = "--runs has to open a file to find its holes; --map does not";

/// The state of a stretch in one or two words.
fn state(row: &StretchRow) -> &'static str {
    let stretch = row.stretch;
    match (stretch.cached, stretch.hole) {
        (true, Ok(true)) => "cached hole",
        (true, _) => "cached",
        (false, _) if stretch.stale && row.file.is_block_device => "not marked up to date",
        (false, _) if stretch.stale => "not up to date",
        (false, Ok(true)) => "hole",
        (false, Ok(false)) => "data",
        (false, Err(_)) => "uncached",
    }
}

fn is_cached(row: &StretchRow) -> Cell<'_> {
    let is_open = row.stretch.stale && row.file.is_block_device;
    if is_open { Cell::Absent(BUFFERS) } else { Cell::Flag(row.stretch.cached) }
}

/// Finds the stretches of files.
pub struct StretchSource {
    /// Which files.
    pub chosen: ChosenFiles,
    /// Whether only the last part of each path is shown.
    pub base_name: bool,
    /// Whether files without cached pages are left out.
    pub only_cached: bool,
    /// Shorter stretches are left out.
    pub shortest: Bytes,
}

impl Source for StretchSource {
    type Kind = Stretches;

    fn is_over(&self) -> bool {
        self.chosen.is_over()
    }

    fn finds_many(&self) -> bool {
        self.chosen.finds_many()
    }

    fn named(&self) -> &[PathBuf] {
        self.chosen.only_named()
    }

    fn read(&mut self, _: &[()], rows: &mut dyn Rows<Stretches>) -> Result<(), Stop> {
        let engine = self.chosen.engine();
        self.chosen.each_open(|message| match message {
            Message::Item(file) => self.read_file(&engine, &file, rows),
            Message::Failure(error) => {
                rows.lost(advised(error));
                Ok(())
            }
            Message::Note(note) => {
                rows.note(note);
                Ok(())
            }
            Message::Nothing => rows.check(),
        })
    }
}

impl StretchSource {
    fn read_file(&self, engine: &Engine, file: &OpenFile, rows: &mut dyn Rows<Stretches>) -> Result<(), Stop> {
        let measured = engine.map_range(file, self.chosen.range);
        let runs = match &measured.runs {
            Some(Ok(runs)) if self.only_cached && runs.is_empty() => return Ok(()),
            Some(Ok(runs)) => runs,
            Some(Err(absent)) => {
                let error = unmeasured(file.path(), *absent);
                rows.lost(if file.barred().is_some() { error.with_advice(MUST_BE_OPEN) } else { advised(error) });
                return Ok(());
            }
            None => return Ok(()),
        };
        let common = Arc::new(MeasuredFile {
            path: file.path().to_owned(),
            key: measured.key(),
            size: measured.size,
            page: measured.page_size,
            changed: measured.changed,
            base_name: self.base_name,
            is_block_device: measured.block_device.is_some(),
        });
        let stretches = pagecache::Stretches::new(file, runs, &measured.stale, measured.asked);
        let is_long = |stretch: &Stretch| stretch.length(common.size, common.page) >= self.shortest;
        stretches.filter(is_long).try_for_each(|stretch| rows.row(StretchRow { file: common.clone(), stretch }))
    }
}
