//! One row per directory, or one for all selected files, with the sums over their files (`rmap pcstat --by-dir`,
//! `--summary`).
//!
//! A directory includes the files of the directories below it, as in `du`. The figures have the same names and units as
//! in [`file`](super::file).

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::file::{FileNeed, FileRow, Files, Unopened, advised, exact_if};
use super::shared::{self, Count, InPageCache};
use crate::error::{Error, Subject};
use crate::join::{ChosenFiles, Marks, Message, Sender};
use crate::pagecache::walk::{Place, Skipped, Unread, Visitor};
use crate::pagecache::{Engine, OpenFile, PageSum, Tally};
use crate::table::{Amount, Cell, Colour, Column, Filter, Progress, RowKind, Rows, Source, Stop, col};
use crate::units::{Bytes, Figure, PageSize, Pages, counted};

/// A column of this view.
type C = Column<Directories>;

/// Directories.
pub struct Directories;

/// One directory.
pub struct DirectoryRow {
    /// Its path, or that of a file that was named itself; `None` for the overall sum.
    path: Option<PathBuf>,
    /// The sums over its files.
    tally: Tally,
    /// The page size of the figures.
    page_size: PageSize,
    /// What [`note`] says about the tally.
    note: Option<String>,
}

impl RowKind for Directories {
    type Row = DirectoryRow;
    type Need = FileNeed;
    const ROWS: &'static str = "directories";
    const LARGEST_BY: &'static str = "cached";
    const COLUMNS: &'static [C] = COLUMNS;

    fn id_of(name: &str) -> &str {
        match name {
            "name" | "path" | "filename" => "directory",
            other => other,
        }
    }

    fn was_read(row: &DirectoryRow) -> bool {
        row.tally.files > row.tally.unopened
    }

    fn identity(row: &DirectoryRow) -> Vec<u8> {
        row.path.as_ref().map_or_else(Vec::new, |path| path.as_os_str().as_bytes().to_vec())
    }
}

impl InPageCache for DirectoryRow {
    fn pages(&self, count: Count) -> Figure<Pages> {
        match count {
            Count::Cached => self.tally.cached.figure(),
            Count::Uncached => self.tally.uncached(),
            Count::Dirty => self.tally.dirty.figure(),
            Count::Writeback => self.tally.writeback.figure(),
            Count::Evicted => self.tally.evicted.figure(),
            Count::RecentlyEvicted => self.tally.recently_evicted.figure(),
            Count::NotUpToDate => self.tally.not_up_to_date.figure(),
        }
    }

    fn is_partial(&self, count: Count) -> bool {
        let tally = &self.tally;
        let sum = match count {
            // Pages that are not cached are those of measured files.
            Count::Cached | Count::Uncached => &tally.cached,
            Count::Dirty => &tally.dirty,
            Count::Writeback => &tally.writeback,
            Count::Evicted => &tally.evicted,
            Count::RecentlyEvicted => &tally.recently_evicted,
            Count::NotUpToDate => &tally.not_up_to_date,
        };
        sum.missing > 0 || count == Count::Cached && tally.at_least > 0
    }

    fn size_of_a_page(&self) -> PageSize {
        self.page_size
    }
}

/// What `--by-dir` and `--summary` show by default.
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

/// What a reader must know about a tally: how many files the sums do not include.
fn note(tally: &Tally) -> Option<String> {
    let (unknown, partial) = (tally.unknown_files(), partial_files(tally));
    let mut parts = Vec::new();
    if unknown > 0 {
        let whose = if unknown == 1 { "its" } else { "their" };
        parts.push(format!("{} not included: nothing is known about {whose} cached pages", files(unknown)));
    }
    match tally.unread_directories {
        0 => {}
        1 => parts.push("1 directory could not be read".to_owned()),
        unread => parts.push(format!("{unread} directories could not be read")),
    }
    if partial > 0 {
        let are =
            if partial == without(&tally.dirty, tally) { "only the cached pages are" } else { "not all figures are" };
        parts.push(format!("{are} known for {}", files(partial)));
    }
    if tally.not_up_to_date.pages.0 > 0 {
        let pages = tally.not_up_to_date.pages.0;
        let (are, do_not) = if pages == 1 { ("page is", "does") } else { ("pages are", "do") };
        let marked = if tally.at_least > 0 { "marked " } else { "" };
        parts.push(format!(
            "{pages} {are} in the page cache but not {marked}up to date, and {do_not} not count as cached"
        ));
    }
    if tally.at_least > 0 {
        let devices = counted(tally.at_least, "block device", "block devices");
        parts.push(format!(
            "of {devices} more may be cached: the kernel does not tell which of its pages are up to date \
             (`rmap files` counts all that are in memory)"
        ));
    }
    if tally.changed > 0 {
        parts.push(format!("{} changed while being measured", files(tally.changed)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Files whose cached pages are known and whose figure in this sum is not.
fn without(sum: &PageSum, tally: &Tally) -> u64 {
    sum.missing.saturating_sub(tally.cached.missing)
}

/// Files whose cached pages are known, but not every other figure.
fn partial_files(tally: &Tally) -> u64 {
    let sums = [&tally.dirty, &tally.writeback, &tally.evicted, &tally.recently_evicted];
    sums.map(|sum| without(sum, tally)).into_iter().max().unwrap_or_default()
}

fn files(count: u64) -> String {
    counted(count, "file", "files")
}

/// All columns, in the order in which JSON writes them. There is no total, because a row includes the directories below
/// it.
const COLUMNS: &[C] = &[
    col!(new "directory", "Directory", Text, |row| name(row),
        "the directory, or a file that was named itself; empty for the overall sum", naming()),
    col!(new "directory_bytes", "Directory bytes", RawBytes, |row| name_bytes(row),
        "the path if it is not UTF-8"),
    col!(new "files", "Files", Number, |row| found(row, row.tally.files), "files, each counted once"),
    col!(new "size", "Size", Bytes, |row| size(row), "their lengths, from fstat(2)"),
    col!(new "pages", "Pages", Pages, |row| at_least_if(row.tally.has_unsized(), Amount::Count(row.tally.pages.0)),
        "their lengths in pages", minor()),
    shared::cached(),
    shared::uncached(),
    col!(new "percent", "Percent", Percent, |row| Cell::percent(row.tally.percent()),
        "cached pages as a percentage of the pages of the files that could be measured"),
    col!(new "bar", "", Text, |row| Cell::bar(row.tally.percent()), "the same as a bar", on_request(), minor(),
        coloured(Colour::Green)),
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
    col!(new "unknown_files", "Unknown", Number, |row| Cell::Count(row.tally.unknown_files()),
        "files that could not be opened or measured: the sums do not include them"),
    col!(new "unread_directories", "Unread", Number, |row| Cell::Count(row.tally.unread_directories),
        "directories that could not be read, in whole or in part: the sums do not include the rest"),
    col!(new "partial_files", "Partial", Number, |row| Cell::Count(partial_files(&row.tally)),
        "files whose cached pages are known, but not every other figure"),
    col!(new "changed_files", "Changed", Number, |row| Cell::Count(row.tally.changed),
        "files that changed while they were measured"),
    col!(new "again", "Again", Number, |row| found(row, row.tally.again),
        "other names of files and directories that were already counted"),
    col!(new "special", "Special", Number, |row| found(row, row.tally.special),
        "FIFOs, sockets and devices (left out)"),
    col!(new "links", "Links", Number, |row| found(row, row.tally.links),
        "symbolic links (left out unless they are followed)"),
    col!(new "other_file_systems", "Elsewhere", Number, |row| found(row, row.tally.other_file_systems),
        "files and directories on other file systems (left out)"),
    col!(new "vanished", "Vanished", Number, |row| Cell::Count(row.tally.vanished),
        "names that no longer existed when rmap looked at them"),
    col!(new "page_size", "Page size", Bytes, |row| Cell::Bytes(row.page_size.bytes()), "size of a page",
        identifier()),
    col!(new "note", "Note", Prose, |row| Cell::Remark(row.note.as_deref()), "how many files a sum does not include"),
];

fn name(row: &DirectoryRow) -> Cell<'_> {
    Cell::Named(row.path.as_ref().map_or(&[], |path| path.as_os_str().as_bytes()), "total")
}

fn name_bytes(row: &DirectoryRow) -> Cell<'_> {
    Cell::RawBytes(row.path.as_ref().map_or(&[], |path| path.as_os_str().as_bytes()))
}

/// A sum, which is a lower bound if it lacks something; other columns say what.
fn at_least_if(lacks_some: bool, sum: Amount) -> Cell<'static> {
    if lacks_some { Cell::Known(sum) } else { sum.cell() }
}

/// How many of something were found: there may be more in directories that could not be read.
fn found(row: &DirectoryRow, count: u64) -> Cell<'static> {
    at_least_if(row.tally.unread_directories > 0, Amount::Count(count))
}

fn size(row: &DirectoryRow) -> Cell<'static> {
    let sum = |size: Bytes| at_least_if(row.tally.has_unsized(), Amount::Bytes(size.0));
    row.tally.size().map_or_else(Cell::Absent, sum)
}

/// Adds up files.
pub struct DirectorySource {
    /// Which files.
    pub chosen: ChosenFiles,
    /// Down to which depth directories have a row of their own; `None` for one row in total.
    pub deepest: Option<usize>,
    /// Whether files without cached pages are left out.
    pub only_cached: bool,
    /// Selects the files that are added up.
    pub filter: Option<Filter<Files>>,
    /// Whether the sums of the last answer are over no file.
    pub is_empty: bool,
}

impl Source for DirectorySource {
    type Kind = Directories;

    fn is_over(&self) -> bool {
        self.chosen.is_over()
    }

    fn finds_many(&self) -> bool {
        self.chosen.finds_many()
    }

    fn named(&self) -> &[PathBuf] {
        self.chosen.only_named()
    }

    fn read(&mut self, needs: &[FileNeed], rows: &mut dyn Rows<Directories>) -> Result<(), Stop> {
        let filtered = self.filter.iter().flat_map(Filter::columns).flat_map(|column| column.needs);
        let needs: Vec<FileNeed> = needs.iter().chain(filtered).copied().collect();
        let engine = exact_if(self.chosen.engine(), &needs);
        let unopened = Unopened::new(needs.contains(&FileNeed::States), None);
        self.chosen.names_denied = unopened.may_replace();
        let sums = self.collect(engine, &unopened, rows)?;
        let everything = Sums::total(&sums);
        report_unknown(&everything, rows);
        self.is_empty = everything.files == 0;
        let page_size = engine.page_size();
        let row = |(path, tally)| {
            let note = note(&tally);
            DirectoryRow { path, tally, page_size, note }
        };
        match self.deepest {
            None => rows.row(row((None, everything))),
            Some(_) => rows.rows(Sums::rows(sums).into_iter().map(|(path, tally)| row((Some(path), tally))).collect()),
        }
    }
}

impl DirectorySource {
    /// Measures all selected files and returns the sums of each thread.
    fn collect(
        &self,
        engine: Engine,
        unopened: &Unopened,
        rows: &mut dyn Rows<Directories>,
    ) -> Result<Vec<Sums>, Stop> {
        let looked_at = Arc::new(AtomicU64::new(0));
        let new = |held: &Marks, sender: Sender<()>| Surveyor {
            source: self,
            engine,
            unopened: unopened.clone(),
            held: held.clone(),
            sums: Sums { deepest: self.deepest, ..Sums::default() },
            sender,
            looked_at: looked_at.clone(),
        };
        let finish = |mut surveyor: Surveyor<'_>| {
            surveyor.sums.settle();
            surveyor.sums
        };
        let sums = self.chosen.visit(new, finish, |message| {
            rows.progress(Progress::Files(looked_at.load(Ordering::Relaxed)));
            match message {
                Message::Failure(error) => rows.failure(advised(error)),
                Message::Note(note) => rows.note(note),
                Message::Item(()) | Message::Nothing => {}
            }
            rows.check()
        });
        rows.progress(Progress::Done);
        if let Some(error) = unopened.take_failure() {
            rows.failure(error);
        }
        sums
    }
}

/// Reports the number of unknown files once: one line per file would bury everything else.
fn report_unknown(tally: &Tally, rows: &mut dyn Rows<Directories>) {
    if let (count, Some(why)) = tally.unmeasured {
        let subject = Subject::Words(format!("{count} of {}", files(tally.files)));
        rows.failure(advised(Error::absent(subject, why)));
    }
}

/// The sums of one thread.
#[derive(Default)]
struct Sums {
    /// Down to which depth directories have a row of their own; `None` if there is one row in total.
    deepest: Option<usize>,
    /// The sums for the row of `current`; all sums if there is one row.
    tally: Tally,
    /// The named paths that were not visited.
    nowhere: Tally,
    /// The directory that is being read, and the directory whose row it belongs to, with its depth.
    current: Option<(PathBuf, PathBuf, usize)>,
    /// The sums of each directory, without the rows below it.
    rows: HashMap<PathBuf, (usize, Tally)>,
}

impl Sums {
    /// The tally of the row that the file at `place`, or a named `file`, belongs to.
    fn of(&mut self, place: Place<'_>, file: Option<&Path>) -> &mut Tally {
        let Some(deepest) = self.deepest else { return &mut self.tally };
        let Some(directory) = place.directory.or(file) else { return &mut self.nowhere };
        if self.current.as_ref().is_none_or(|(current, ..)| current.as_os_str() != directory.as_os_str()) {
            self.settle();
            let row = directory.ancestors().nth(place.depth.saturating_sub(deepest)).unwrap_or(directory);
            self.current = Some((directory.to_owned(), row.to_owned(), place.depth.min(deepest)));
        }
        &mut self.tally
    }

    /// Adds the current sums to their row.
    fn settle(&mut self) {
        if let Some((_, row, depth)) = self.current.take() {
            let tally = std::mem::take(&mut self.tally);
            self.rows.entry(row).or_insert_with(|| (depth, Tally::default())).1.merge(&tally);
        }
    }

    /// The sums over all threads.
    fn total(sums: &[Sums]) -> Tally {
        let mut total = Tally::default();
        sums.iter().flat_map(|sums| sums.rows.values()).for_each(|(_, tally)| total.merge(tally));
        sums.iter().flat_map(|sums| [&sums.tally, &sums.nowhere]).for_each(|tally| total.merge(tally));
        total
    }

    /// The rows of all threads in path order. Each directory includes the ones below it.
    fn rows(sums: Vec<Sums>) -> Vec<(PathBuf, Tally)> {
        let mut all: HashMap<PathBuf, (usize, Tally)> = HashMap::new();
        for (path, (depth, tally)) in sums.into_iter().flat_map(|sums| sums.rows) {
            all.entry(path).or_insert_with(|| (depth, Tally::default())).1.merge(&tally);
        }
        let mut deepest_first: Vec<(usize, PathBuf)> =
            all.iter().map(|(path, (depth, _))| (*depth, path.clone())).collect();
        deepest_first.sort_by(|left, right| right.cmp(left));
        for (depth, path) in deepest_first.iter().filter(|(depth, _)| *depth > 0) {
            let (Some(parent), Some((_, tally))) = (path.parent(), all.get(path).cloned()) else { continue };
            all.entry(parent.to_owned()).or_insert_with(|| (depth - 1, Tally::default())).1.merge(&tally);
        }
        let mut rows: Vec<(PathBuf, Tally)> = all.into_iter().map(|(path, (_, tally))| (path, tally)).collect();
        rows.sort_by(|left, right| left.0.cmp(&right.0));
        rows
    }
}

/// One thread's part of the survey.
struct Surveyor<'s> {
    source: &'s DirectorySource,
    engine: Engine,
    unopened: Unopened,
    held: Marks,
    sums: Sums,
    sender: Sender<()>,
    looked_at: Arc<AtomicU64>,
}

impl Visitor for Surveyor<'_> {
    fn file(&mut self, file: OpenFile, place: Place<'_>) -> ControlFlow<()> {
        self.looked_at.fetch_add(1, Ordering::Relaxed);
        let held = if self.held.is_empty() { None } else { self.held.get(&file.identity()).copied() };
        let held_at = if held.is_some() { self.unopened.place_of(&file) } else { None };
        let mut report = self.engine.measure_opened(file, self.source.chosen.range);
        let states = self.unopened.complete(&mut report, held_at.as_ref()).states;
        let row = FileRow {
            report,
            base_name: false,
            held,
            states,
            strip: Vec::new(),
            largest_part: 0,
            lists_pages: false,
            was_found: true,
        };
        // An unknown file may have cached pages, so it is not left out silently.
        let is_cached = !self.source.only_cached || row.report.cached().map_or(true, |cached| cached.0 > 0);
        if is_cached && self.source.filter.as_ref().is_none_or(|filter| filter.matches(&row)) {
            self.sums.of(place, Some(&row.report.path)).add(&row.report);
        }
        ControlFlow::Continue(())
    }

    fn directory(&mut self, place: Place<'_>) {
        self.sums.of(place, None);
    }

    fn failure(&mut self, error: Error) {
        self.sender.failure(error);
    }

    fn unread(&mut self, what: Unread, place: Place<'_>) {
        self.sums.of(place, None).lose(what);
    }

    fn skipped(&mut self, why: Skipped, place: Place<'_>) {
        self.sums.of(place, None).skip(why);
    }
}
