//! One row per step of the demo: both views of one mapping side by side.

use std::path::Path;
use std::sync::Arc;

use super::shared::{self, OfFile};
use crate::laboratory::demo::{Demo, Observation};
use crate::table::{Cell, Column, Progress, RowKind, Rows, Source, Stop, col};
use crate::units::{Bytes, Figure, PageSize, Pages, percent};

/// A column of this view.
type C = Column<DemoSteps>;

/// Steps of the demo.
pub struct DemoSteps;

/// One step: what was observed.
pub struct StepRow(Arc<Observation>);

impl RowKind for DemoSteps {
    type Row = StepRow;
    type Need = ();
    const ROWS: &'static str = "steps";
    const LARGEST_BY: &'static str = "filled";
    const COLUMNS: &'static [C] = COLUMNS;

    fn identity(row: &StepRow) -> Vec<u8> {
        row.0.filled.0.to_ne_bytes().to_vec()
    }
}

impl OfFile for StepRow {
    fn path(&self) -> &Path {
        &self.0.views.file.path
    }

    fn page_size(&self) -> PageSize {
        self.0.views.file.page_size
    }
}

/// What the demo shows: its progress, the process view, the file view, and whether they agree.
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

/// Everything that is known about a step.
const COLUMNS: &[C] = &[
    col!(new "filled_percent", "Filled %", Percent, |row| filled_percent(row),
        "how much of the file has been filled"),
    col!(new "filled", "Filled", Bytes, |row| Cell::Bytes(row.0.filled.0), "the same in bytes"),
    col!(new "pid", "PID", Number, |row| Cell::Count(row.0.pid.into()), "the process that maps the file"),
    col!(new "size", "Size", Bytes, |row| Cell::Bytes(row.0.views.usage.size.0),
        "length of the mapping, from /proc/PID/smaps"),
    col!(new "rss", "Rss", Bytes, |row| Cell::Bytes(row.0.views.usage.rss.0),
        "how much of it is in RAM and mapped, from smaps"),
    col!(new "pss", "Pss", Bytes, |row| Cell::Bytes(row.0.views.usage.pss.0),
        "the same, with shared pages divided, from smaps", minor()),
    col!(new "anonymous", "Anonymous", Bytes, |row| Cell::Bytes(row.0.views.usage.anonymous.0),
        "how much of it is not in a file, from smaps", minor()),
    shared::path(),
    shared::path_bytes(),
    col!(new "file_size", "Length", Bytes, |row| Cell::Bytes(row.0.views.file.size.0), "length of the file", least()),
    col!(new "cached_bytes", "Cached", Bytes, |row| cached_bytes(row), "how much of the file is in the page cache"),
    col!(new "cached", "Pages", Pages, |row| Cell::pages(row.0.views.file.cached()), "the same in pages", least()),
    col!(new "cached_percent", "Percent", Percent, |row| Cell::percent(row.0.views.file.percent()),
        "the same as a percentage of the file's pages"),
    col!(new "dirty", "Dirty", Bytes, |row| dirty(row), "how much of it has not been written to disk yet"),
    col!(new "method", "Method", Text, |row| method(row), "how the page cache was measured", one_of(shared::methods)),
    col!(new "in_both", "In both", Pages, |row| overlap(row, |pages| pages.both),
        "pages that are both mapped and cached"),
    col!(new "only_mapped", "Only mapped", Pages, |row| overlap(row, |pages| pages.only_mapped),
        "pages that are mapped but not cached"),
    col!(new "only_cached", "Only cached", Pages, |row| overlap(row, |pages| pages.only_cached),
        "pages that are cached but not mapped"),
    col!(new "steady", "Steady", Flag, |row| Cell::Flag(row.0.views.steady),
        "whether the page table stayed the same during the measurement"),
    shared::page_size(),
    col!(new "agree", "Agree", Flag, |row| agree(row), "whether both views agree, in bytes and page by page"),
    col!(new "difference", "Difference", Prose, |row| Cell::Remark(row.0.difference.as_deref()), "why they differ"),
];

fn filled_percent(row: &StepRow) -> Cell<'_> {
    percent(row.0.filled.0, row.0.size.0).map_or(Cell::Count(0), Cell::Percent)
}

fn cached_bytes(row: &StepRow) -> Cell<'_> {
    Cell::bytes(in_bytes(row, row.0.views.file.cached()))
}

fn dirty(row: &StepRow) -> Cell<'_> {
    let residency = row.0.views.file.residency.as_ref().map_err(|absent| *absent);
    Cell::bytes(in_bytes(row, residency.and_then(|residency| residency.dirty)))
}

fn in_bytes(row: &StepRow, pages: Figure<Pages>) -> Figure<Bytes> {
    pages.map(|pages| pages.bytes(row.0.views.file.page_size))
}

fn method(row: &StepRow) -> Cell<'_> {
    shared::method(&row.0.views.file)
}

fn overlap(row: &StepRow, take: fn(&crate::join::Overlap) -> Pages) -> Cell<'_> {
    Cell::pages(row.0.views.pages.as_ref().map(take).map_err(|absent| *absent))
}

fn agree(row: &StepRow) -> Cell<'_> {
    row.0.views.agrees().map_or_else(Cell::Absent, Cell::Flag)
}

/// How much of the file is filled when both views are taken, in percent: 0 is after mapping, before anything is
/// written.
const STEPS: [u64; 5] = [0, 25, 50, 75, 100];

/// Fills the file of a demo and takes both views after each step.
pub struct DemoSource {
    /// The demo.
    pub demo: Demo,
    /// The length of its file.
    pub size: Bytes,
    /// The last observation.
    pub last: Option<Arc<Observation>>,
    /// The first observation in which the views did not agree.
    pub first_difference: Option<Arc<Observation>>,
    /// Whether it is kept or held once it is filled: then it is filled although the rows cannot be written any more.
    pub is_wanted_alone: bool,
}

impl Source for DemoSource {
    type Kind = DemoSteps;

    fn is_live(&self) -> bool {
        true
    }

    fn is_work(&self) -> bool {
        self.is_wanted_alone
    }

    fn read(&mut self, _: &[()], rows: &mut dyn Rows<DemoSteps>) -> Result<(), Stop> {
        for step in STEPS {
            self.fill(part(self.size, step), rows)?;
            let seen = Arc::new(self.demo.observe()?);
            self.last = Some(seen.clone());
            if seen.difference.is_some() {
                self.first_difference.get_or_insert_with(|| seen.clone());
            }
            rows.row(StepRow(seen))?;
        }
        Ok(())
    }
}

impl DemoSource {
    /// A demo that has not begun, over a file of `size` bytes.
    pub fn new(demo: Demo, size: Bytes) -> DemoSource {
        DemoSource { demo, size, last: None, first_difference: None, is_wanted_alone: false }
    }

    /// Fills the file up to `end`.
    fn fill(&mut self, end: Bytes, rows: &mut dyn Rows<DemoSteps>) -> Result<(), Stop> {
        let size = self.size;
        let filled = self.demo.fill_to(end, |filled| {
            rows.progress(Progress::Bytes(filled, size));
            rows.check().is_ok()
        });
        rows.progress(Progress::Done);
        if filled? { Ok(()) } else { rows.check() }
    }
}

/// `step` percent of `size`, in whole bytes.
fn part(size: Bytes, step: u64) -> Bytes {
    Bytes((u128::from(size.0) * u128::from(step) / 100) as u64)
}
