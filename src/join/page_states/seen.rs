//! The pages of one file, run by run.

use crate::kernel::cached::{Counter, Counts, PageRun, Part};
use crate::pagecache::{Method, Residency};
use crate::units::{Absent, Figure, PageRuns, Pages, Reason, Run};

const NO_RECENT: Absent = Absent::new(Reason::Unsupported, "only cachestat tells how recently pages were reclaimed");
const MAPPED_UNKNOWN: Absent =
    Absent::new(Reason::Unsupported, "this kernel does not tell how much of large folios is mapped");

/// What was seen of the pages that were asked about.
pub(super) struct Seen {
    asked: Run,
    pub(super) up_to_date: PageRuns,
    pub(super) stale: PageRuns,
    /// All cached pages.
    pub(super) cached: u64,
    dirty: u64,
    writeback: u64,
    pub(super) active: u64,
    mapped: u64,
    mapped_unknown: u64,
    evicted: u64,
    /// The cached pages by the group that is charged for them and the node that they are on.
    pub(super) parts: Vec<Part>,
}

impl Seen {
    pub(super) fn new(asked: Run) -> Seen {
        Seen {
            asked,
            up_to_date: PageRuns::new(),
            stale: PageRuns::new(),
            cached: 0,
            dirty: 0,
            writeback: 0,
            active: 0,
            mapped: 0,
            mapped_unknown: 0,
            evicted: 0,
            parts: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, run: &PageRun) {
        let whole = Run { first: run.index, count: run.pages };
        let part = whole.overlap(self.asked);
        if part.is_empty() {
            return;
        }
        if run.is_evicted() {
            self.evicted = self.evicted.saturating_add(part.count);
            return;
        }
        self.cached = self.cached.saturating_add(part.count);
        self.charge(run, part.count);
        if run.is(Counter::UpToDate) {
            self.up_to_date.append(part)
        } else {
            self.stale.append(part)
        }
        for (counter, sum) in [
            (Counter::Dirty, &mut self.dirty),
            (Counter::Writeback, &mut self.writeback),
            (Counter::Active, &mut self.active),
            (Counter::MappedUnknown, &mut self.mapped_unknown),
        ] {
            *sum = sum.saturating_add(if run.is(counter) { part.count } else { 0 });
        }
        match run.mapped {
            0 => {}
            all if all == run.pages => self.mapped = self.mapped.saturating_add(part.count),
            some if part == whole => self.mapped = self.mapped.saturating_add(some),
            // Which pages of a large folio are mapped is not known.
            _ => self.mapped_unknown = self.mapped_unknown.saturating_add(1),
        }
    }

    pub(super) fn residency(&self) -> Residency {
        let up_to_date = self.up_to_date.cached();
        Residency {
            cached: up_to_date,
            not_up_to_date: Ok(Pages(self.cached).saturating_sub(up_to_date)),
            dirty: Ok(Pages(self.dirty)),
            writeback: Ok(Pages(self.writeback)),
            evicted: Ok(Pages(self.evicted)),
            recently_evicted: Err(NO_RECENT),
            method: Method::Pages,
        }
    }

    pub(super) fn mapped(&self) -> Figure<Pages> {
        if self.mapped_unknown > 0 { Err(MAPPED_UNKNOWN) } else { Ok(Pages(self.mapped)) }
    }
    fn charge(&mut self, run: &PageRun, pages: u64) {
        let mut counts = Counts::default();
        if let Some(count) = counts.0.get_mut(Counter::Pages as usize) {
            *count = pages;
        }
        match self.parts.iter_mut().find(|part| (part.group, part.node) == (run.group, run.node)) {
            Some(part) => part.counts.add(&counts),
            None => self.parts.push(Part { group: run.group, node: run.node, counts }),
        }
    }
}
