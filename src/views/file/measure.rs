//! Measures files on several threads and makes rows of them.

use std::ops::ControlFlow;

use super::row::{BOTH, DIRTY, FileRow, WRITEBACK, unmeasured};
use super::unopened::Unopened;
use crate::error::Error;
use crate::join::{Marks, Sender};
use crate::pagecache::walk::{Place, Visitor};
use crate::pagecache::{Engine, FileReport, OpenFile};
use crate::table::{Mark, StripCell};
use crate::units::{ByteRange, Figure, PageRuns, Pages, Portion, percent};

/// How files are measured.
#[derive(Clone, Copy)]
pub(super) struct Measure {
    pub(super) engine: Engine,
    pub(super) range: ByteRange,
    pub(super) map: bool,
    pub(super) lists_pages: bool,
    pub(super) cells: usize,
    pub(super) marks: bool,
    pub(super) base_name: bool,
    pub(super) only_cached: bool,
    pub(super) was_found: bool,
}

/// How many files a thread measures before it passes them on.
const FILES_A_BATCH: usize = 64;

/// One thread's part of the measuring.
pub(super) struct Measurer {
    measure: Measure,
    held: Marks,
    unopened: Unopened,
    found: Vec<FileRow>,
    sender: Sender<Vec<FileRow>>,
}

impl Measurer {
    pub(super) fn new(measure: Measure, held: Marks, unopened: Unopened, sender: Sender<Vec<FileRow>>) -> Measurer {
        Measurer { measure, held, unopened, found: Vec::new(), sender }
    }

    /// Passes on the last files.
    pub(super) fn finish(mut self) {
        let _ = self.sender.item(std::mem::take(&mut self.found));
    }
}

impl Visitor for Measurer {
    fn file(&mut self, file: OpenFile, _: Place<'_>) -> ControlFlow<()> {
        let held = if self.held.is_empty() { None } else { self.held.get(&file.identity()).copied() };
        let Measure { engine, range, map, marks, .. } = self.measure;
        let held_at = if held.is_some() { self.unopened.place_of(&file) } else { None };
        let row = match map {
            true => {
                let mut report = engine.map_range(&file, range);
                let completed = self.unopened.complete(&mut report, held_at.as_ref());
                let row = match completed.replaced {
                    Some((dirty, writeback)) => self.measure.drawn(report, |portion| {
                        let any = |runs: &PageRuns| marks && runs.cached_in(portion.part) > Pages(0);
                        mark(any(&dirty), any(&writeback))
                    }),
                    None => self.measure.with_map(report, &file),
                };
                FileRow { states: completed.states, ..row }
            }
            false => {
                let mut report = engine.measure_opened(file, range);
                let completed = self.unopened.complete(&mut report, held_at.as_ref());
                FileRow { states: completed.states, ..self.measure.row(report) }
            }
        };
        if self.measure.only_cached {
            match row.report.cached() {
                Ok(cached) if cached.0 > 0 => {}
                Ok(_) => return ControlFlow::Continue(()),
                Err(absent) => {
                    self.sender.failure(unmeasured(&row.report.path, absent));
                    return ControlFlow::Continue(());
                }
            }
        }
        self.found.push(FileRow { held, ..row });
        if self.found.len() < FILES_A_BATCH {
            return ControlFlow::Continue(());
        }
        self.sender.item(std::mem::take(&mut self.found))
    }

    fn failure(&mut self, error: Error) {
        self.sender.failure(error);
    }
}

impl Measure {
    fn row(&self, report: FileReport) -> FileRow {
        FileRow {
            report,
            base_name: self.base_name,
            held: None,
            states: None,
            strip: Vec::new(),
            largest_part: 0,
            lists_pages: self.lists_pages,
            was_found: self.was_found,
        }
    }

    fn with_map(&self, report: FileReport, file: &OpenFile) -> FileRow {
        // Queries each part only if the file has dirty pages or pages under writeback.
        let is_some = |figure: Figure<Pages>| figure.is_ok_and(|pages| pages > Pages(0));
        let marked = self.marks && (is_some(report.dirty()) || is_some(report.writeback()));
        // Also where no page counts as cached: what was written of a page may be dirty before all of it is known.
        self.drawn(report, |part| if marked { measured_mark(&self.engine, file, part) } else { None })
    }

    /// The row with its strip, if one is requested.
    fn drawn(&self, report: FileReport, mark: impl Fn(&Portion) -> Option<Mark>) -> FileRow {
        let parts = match &report.runs {
            Some(Ok(runs)) if self.cells > 0 => runs.portions(report.asked, self.cells),
            _ => Vec::new(),
        };
        let cell = |part: &Portion| StripCell {
            share: percent(part.cached.0, part.part.count).map(|share| share / 100.0),
            mark: mark(part),
            offset: Some(part.part.offset(report.page_size).0),
        };
        let strip = parts.iter().map(cell).collect();
        let largest_part = parts.iter().map(|part| part.part.count).max().unwrap_or(0);
        FileRow { strip, largest_part, ..self.row(report) }
    }
}

fn measured_mark(engine: &Engine, file: &OpenFile, portion: &Portion) -> Option<Mark> {
    let page = file.page_size();
    let (offset, length) = (portion.part.offset(page).0, portion.part.pages().bytes(page).0);
    let found = engine.measure_range(file, ByteRange { offset, length });
    let any = |figure: Figure<Pages>| figure.is_ok_and(|pages| pages > Pages(0));
    mark(any(found.dirty()), any(found.writeback()))
}

fn mark(is_dirty: bool, is_written: bool) -> Option<Mark> {
    match (is_dirty, is_written) {
        (true, true) => Some(BOTH),
        (true, false) => Some(DIRTY),
        (false, true) => Some(WRITEBACK),
        (false, false) => None,
    }
}
