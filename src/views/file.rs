//! One row per file: which of its pages are in the page cache (`rmap pcstat`).
//!
//! The names, types and units of `filename, size, timestamp, mtime, pages, cached, uncached, percent, status` are
//! pcstat's, so that scripts for pcstat keep working. The figures that rmap adds are in pages if their name ends in
//! `_pages`, otherwise in bytes.

mod measure;
mod row;
mod unopened;

use std::io;
use std::path::PathBuf;

use measure::{Measure, Measurer};
pub use row::FileRow;
pub(super) use row::unmeasured;
use row::{BOTH, DIRTY, WRITEBACK};

use super::shared;
use crate::error::{Error, ErrorKind, Subject};
use crate::join::{ChosenFiles, Marks, Message, PageStates};
use crate::pagecache::{Engine, FileReport, Method};
use crate::process::{Held, run_as_root_or_owner, run_as_root_or_owner_of};
use crate::table::{Aggregation, Cell, Colour, Column, FlagRuns, Named, Progress, RowKind, Rows, Source, Stop, col};
use crate::units::{Absent, Figure, Pages, Reason};
pub(super) use unopened::Unopened;

/// A column of this view.
type C = Column<Files>;

const STATES: &[FileNeed] = &[FileNeed::States];

/// Files.
pub struct Files;

/// What has to be read in addition to the figures of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileNeed {
    /// Which pages are cached.
    PageMap,
    /// How much of each part of it is cached.
    Strip,
    /// The same, and whether it is dirty or under writeback.
    Marks,
    /// Whether each page is up to date.
    Exact,
    /// What only the kernel's lists of pages say.
    States,
}

impl RowKind for Files {
    type Row = FileRow;
    type Need = FileNeed;
    const ROWS: &'static str = "files";
    const LARGEST_BY: &'static str = "cached";
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        match name {
            "name" | "file" => "filename",
            other => other,
        }
    }

    fn identity(row: &FileRow) -> Vec<u8> {
        row.report.key()
    }

    fn tie(one: &FileRow, other: &FileRow) -> std::cmp::Ordering {
        match one.was_found && other.was_found {
            true => one.report.path.cmp(&other.report.path),
            false => std::cmp::Ordering::Equal,
        }
    }
}

/// What `rmap pcstat` shows by default.
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

/// What `--map` shows above each strip.
pub const DEFAULT_MAP: &[&str] =
    &["pages", "cached", "percent", "dirty_pages", "writeback_pages", "cell_pages", "filename", "note"];

/// What pcstat's `--terse` shows, with times as seconds since 1970.
const TERSE: &[Column<Files>] = &[
    shared::filename(""),
    col!(new "size", "Size", Bytes, |row| Cell::Bytes(row.report.size.0), ""),
    col!(new "timestamp", "", Number, |row| Cell::UnixTime(row.report.timestamp), ""),
    col!(new "mtime", "", Number, |row| Cell::UnixTime(row.report.mtime), ""),
    col!(new "pages", "", Pages, |row| Cell::Count(row.report.pages.0), ""),
    shared::cached(),
    col!(new "percent", "", Percent, |row| Cell::percent(row.report.percent()), ""),
];

/// What pcstat's `--histo` shows.
pub const HISTOGRAM: &[&str] = &["filename", "pages", "histogram", "note"];

/// All columns, in the order in which JSON writes them.
const COLUMNS: &[C] = &[
    shared::filename("the file as it was named, or its last part with --bname"),
    col!(sum "size", "Size", Bytes, |row| Cell::Bytes(row.report.size.0), "length of the file, from fstat(2)"),
    col!(new "timestamp", "Timestamp", Time, |row| Cell::Time(row.report.timestamp), "when it was measured"),
    col!(new "mtime", "Modified", Time, |row| Cell::time(row.report.mtime),
        "when it was last modified, from fstat(2)"),
    col!(sum "pages", "Pages", Pages, |row| Cell::Count(row.report.pages.0),
        "length in pages; a partial last page counts as one", minor()),
    shared::cached(),
    shared::uncached(),
    col!(new "percent", "Percent", Percent, |row| Cell::percent(row.report.percent()),
        "cached pages as a percentage of all pages; absent for an empty file",
        aggregated(Aggregation::Share(cached_of_all))),
    col!(new "bar", "", Text, |row| Cell::bar(row.report.percent()), "the same as a bar", on_request(), minor(),
        coloured(Colour::Green)),
    col!(new "status", "Status", Flags, |row| status(row),
        "for each page, whether it is cached (--pps)", needing(&[FileNeed::PageMap])),
    shared::path(),
    shared::path_bytes(),
    shared::cached_bytes(),
    shared::dirty_pages(),
    shared::dirty(),
    shared::writeback_pages(),
    shared::writeback(),
    shared::evicted_pages(),
    shared::evicted(),
    shared::recently_evicted_pages(),
    shared::recently_evicted(),
    shared::not_up_to_date_pages().needing(&[FileNeed::Exact]).on_request(),
    shared::not_up_to_date().needing(&[FileNeed::Exact]).on_request(),
    col!(sum "active_pages", "Active", Pages, |row| states(row, |states| Cell::Count(states.active.0)),
        "pages on the active list, from the kernel's lists (root)", needing(STATES), on_request()),
    col!(sum "mapped_pages", "Mapped", Pages, |row| states(row, |states| Cell::pages(states.mapped)),
        "pages that anybody maps, from the kernel's lists (root)", needing(STATES), on_request()),
    col!(sum "active", "Active size", Bytes, |row| states(row, |states| bytes(row, Ok(states.active))),
        "the active pages in bytes", needing(STATES), on_request()),
    col!(sum "mapped", "Mapped size", Bytes, |row| states(row, |states| bytes(row, states.mapped)),
        "the mapped pages in bytes", needing(STATES), on_request()),
    col!(new "node", "Node", Text, |row| states(row, |states| text(&states.nodes)),
        "the NUMA nodes that its pages are on, from the kernel's lists (root)", needing(STATES), on_request()),
    col!(new "cgroup", "Control group", Text, |row| states(row, |states| text(&states.groups)),
        "the memory control groups that are charged for its pages, from the kernel's lists (root)", naming(),
        needing(STATES), on_request()),
    col!(new "method", "Method", Text, |row| shared::method(&row.report),
        "the kernel interface that measured it: cachestat, mincore or pages (a list that needs no open file)", minor(),
        one_of(shared::methods)),
    shared::page_size(),
    col!(new "changed", "Changed", Flag, |row| Cell::Flag(row.report.changed.is_some()),
        "whether it was written to, truncated, renamed, replaced or removed while it was measured"),
    col!(new "held", "Held", Text, |row| Cell::Remark(row.held.map(|held| held.how.word())),
        "with --pid, --name and the like: mapped, open or both", one_of(|| Held::ALL.map(Held::word).to_vec())),
    col!(new "holders", "Holders", Number, |row| holders(row),
        "how many of the selected processes map it or have it open", on_request()),
    col!(new "note", "Note", Prose, |row| shared::note(&row.report),
        "what a reader must know: why figures are absent, or that the file changed"),
    col!(new "cell_pages", "Per cell", Pages, |row| cell_pages(row),
        "how many pages a cell of the strip stands for; some have one less", needing(&[FileNeed::Strip]), on_request()),
    col!(new "page_map", "Page map", Strip(&[DIRTY, WRITEBACK, BOTH]), |row| strip(row),
        "how much of each part is cached (--map): . nothing, 1 to 9 tenths, # all",
        needing(&[FileNeed::Strip, FileNeed::Marks]), on_request()),
    col!(new "histogram", "Histogram", Bars, |row| strip(row),
        "how much of each part is cached (--histo)", needing(&[FileNeed::Strip]), on_request()),
];

const NONE_SELECTED: Absent =
    Absent::new(Reason::NotApplicable, "no process that was selected (--pid, --name and the like) holds it");
const NO_STRIP: Absent = Absent::new(Reason::Unsupported, "the cached pages could not be measured");

const NO_STATES: Absent = Absent::new(Reason::NotApplicable, "it was not read");

fn states<'r>(row: &'r FileRow, get: impl FnOnce(&'r PageStates) -> Cell<'r>) -> Cell<'r> {
    match &row.states {
        Some(Ok(states)) => get(states),
        Some(Err(absent)) => Cell::Absent(*absent),
        None => Cell::Absent(NO_STATES),
    }
}

fn bytes(row: &FileRow, pages: Figure<Pages>) -> Cell<'static> {
    Cell::bytes(pages.map(|pages| pages.bytes(row.report.page_size)))
}

fn text(text: &Figure<Vec<u8>>) -> Cell<'_> {
    text.as_ref().map_or_else(|absent| Cell::Absent(*absent), |text| Cell::Text(text))
}

fn cached_of_all(row: &FileRow) -> Option<(u64, u64)> {
    let uncached = row.report.uncached().ok()?;
    Some((row.report.pages.saturating_sub(uncached).0, row.report.pages.0))
}

fn holders(row: &FileRow) -> Cell<'_> {
    row.held.map_or(Cell::Absent(NONE_SELECTED), |held| Cell::Count(held.processes))
}

fn strip(row: &FileRow) -> Cell<'_> {
    match &row.report.runs {
        Some(Err(absent)) => Cell::Absent(*absent),
        Some(Ok(_)) => Cell::Strip(&row.strip),
        None => Cell::Absent(NO_STRIP),
    }
}

fn cell_pages(row: &FileRow) -> Cell<'_> {
    match strip(row) {
        Cell::Strip(_) => Cell::Count(row.largest_part),
        absent => absent,
    }
}

fn status(row: &FileRow) -> Cell<'_> {
    match &row.report.runs {
        Some(Err(absent)) if row.lists_pages => Cell::Absent(*absent),
        Some(Ok(_)) if row.lists_pages => Cell::Flags(&row.report),
        _ => Cell::Remark(None),
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

/// Measures files.
pub struct FileSource {
    /// Which files.
    pub chosen: ChosenFiles,
    /// Whether only the last part of each path is shown.
    pub base_name: bool,
    /// Whether files without cached pages are left out.
    pub only_cached: bool,
    /// How many parts a strip divides a file into.
    pub cells: usize,
    /// Whether the columns are those of pcstat's `--terse`.
    pub terse: bool,
    /// The only method that may be used; `None`: the best one for each file.
    pub method: Option<Method>,
}

impl FileSource {
    /// Measures these files as a whole.
    pub fn of(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> FileSource {
        FileSource::new(ChosenFiles::named(paths.into_iter().map(Into::into).collect()))
    }

    /// Measures the selected files.
    pub fn new(chosen: ChosenFiles) -> FileSource {
        FileSource { chosen, base_name: false, only_cached: false, cells: CELLS, terse: false, method: None }
    }
}

/// Into how many parts a strip cuts a file if nothing else is requested.
const CELLS: usize = 80;

impl Source for FileSource {
    type Kind = Files;

    fn is_over(&self) -> bool {
        self.chosen.is_over()
    }

    fn finds_many(&self) -> bool {
        self.chosen.finds_many()
    }

    fn named(&self) -> &[PathBuf] {
        self.chosen.only_named()
    }

    fn columns(&mut self, _: &Named) -> Vec<Column<Files>> {
        if self.terse { TERSE.to_vec() } else { Files::columns() }
    }

    fn read(&mut self, needs: &[FileNeed], rows: &mut dyn Rows<Files>) -> Result<(), Stop> {
        let measure = Measure {
            engine: exact_if(self.method.map_or_else(|| self.chosen.engine(), Engine::only), needs),
            range: self.chosen.range,
            map: needs.iter().any(|need| !matches!(need, FileNeed::Exact | FileNeed::States)),
            lists_pages: needs.contains(&FileNeed::PageMap),
            cells: if needs.contains(&FileNeed::Strip) { self.cells } else { 0 },
            marks: needs.contains(&FileNeed::Marks),
            base_name: self.base_name,
            only_cached: self.only_cached,
            was_found: self.chosen.recursive,
        };
        let unopened = Unopened::new(needs.contains(&FileNeed::States), self.method);
        self.chosen.names_denied = unopened.may_replace();
        let new = |held: &Marks, sender| Measurer::new(measure, held.clone(), unopened.clone(), sender);
        let mut looked_at = 0;
        let done = self.chosen.visit(new, Measurer::finish, |message| match message {
            Message::Item(found) => {
                looked_at += found.len() as u64;
                rows.progress(Progress::Files(looked_at));
                // Not sent as a message, because each file has only one.
                if let Some(error) = unopened.take_failure() {
                    rows.failure(error);
                }
                for row in &found {
                    if let Err(absent) = &row.report.residency {
                        rows.failure(advised(unmeasured(&row.report.path, *absent)));
                    }
                }
                rows.rows(found)
            }
            Message::Failure(error) => {
                rows.lost(advised(error));
                rows.check()
            }
            Message::Note(note) => {
                rows.note(note);
                Ok(())
            }
            Message::Nothing => rows.check(),
        });
        rows.progress(Progress::Done);
        done.map(drop)
    }
}

/// The engine, which looks at every page if that is needed.
pub(super) fn exact_if(engine: Engine, needs: &[FileNeed]) -> Engine {
    if needs.contains(&FileNeed::Exact) { engine.exact() } else { engine }
}

/// The error with advice for the user, unless it already has some.
pub(super) fn advised(error: Error) -> Error {
    let advice = match (error.kind(), error.subject()) {
        _ if error.advice().is_some() => return error,
        (ErrorKind::Denied, Subject::Path(path)) => run_as_root_or_owner_of(path),
        (ErrorKind::Denied, _) => run_as_root_or_owner(),
        _ => return error,
    };
    error.with_advice(advice)
}
