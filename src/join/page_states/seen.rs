//! The pages of one file, run by run.

use crate::kernel::cached::{Counter, Counts, PageRun, Part};
use crate::pagecache::{Method, Residency};
use crate::units::{Absent, Figure, PageRuns, Pages, Reason, Run};

const NO_RECENT: Absent = Absent::new(Reason::Unsupported, "only cachestat tells how recently pages were reclaimed");
const MAPPED_UNKNOWN: Absent =
    Absent::new(Reason::Unsupported, "this kernel does not tell how much of large folios is mapped");
const CUT: Absent = Absent::new(
    Reason::Unsupported,
    "the range ends within a large folio, of which the kernel tells how many pages are mapped, but not which",
);

/// What was seen of the pages that were asked about.
pub(super) struct Seen {
    asked: Run,
    /// Where the file ends, in pages: nothing after it can be mapped page by page.
    end: u64,
    pub(super) up_to_date: PageRuns,
    pub(super) stale: PageRuns,
    /// All cached pages.
    pub(super) cached: u64,
    pub(super) dirty: PageRuns,
    pub(super) writeback: PageRuns,
    pub(super) active: u64,
    mapped: u64,
    mapped_unknown: u64,
    /// How many large folios are partly mapped and not all of them was asked for.
    cut: u64,
    evicted: u64,
    /// The cached pages by the group that is charged for them and the node that they are on.
    pub(super) parts: Vec<Part>,
}

impl Seen {
    pub(super) fn new(asked: Run, end: Pages) -> Seen {
        Seen {
            asked,
            end: end.0,
            up_to_date: PageRuns::new(),
            stale: PageRuns::new(),
            cached: 0,
            dirty: PageRuns::new(),
            writeback: PageRuns::new(),
            active: 0,
            mapped: 0,
            mapped_unknown: 0,
            cut: 0,
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
        for (counter, runs) in [(Counter::Dirty, &mut self.dirty), (Counter::Writeback, &mut self.writeback)] {
            if run.is(counter) {
                runs.append(part);
            }
        }
        for (counter, sum) in [(Counter::Active, &mut self.active), (Counter::MappedUnknown, &mut self.mapped_unknown)]
        {
            *sum = sum.saturating_add(if run.is(counter) { part.count } else { 0 });
        }
        match run.mapped {
            0 => {}
            all if all == run.pages => self.mapped = self.mapped.saturating_add(part.count),
            // Nothing past the end of a file can be mapped page by page, unless the file grew meanwhile.
            some if part.first == whole.first && part.end() >= whole.end().min(self.end) && some <= part.count => {
                self.mapped = self.mapped.saturating_add(some);
            }
            // Which of its pages are mapped is not known.
            _ => self.cut = self.cut.saturating_add(1),
        }
    }

    pub(super) fn residency(&self) -> Residency {
        let up_to_date = self.up_to_date.cached();
        Residency {
            cached: up_to_date,
            not_up_to_date: Ok(Pages(self.cached).saturating_sub(up_to_date)),
            dirty: Ok(self.dirty.cached()),
            writeback: Ok(self.writeback.cached()),
            evicted: Ok(Pages(self.evicted)),
            recently_evicted: Err(NO_RECENT),
            method: Method::Pages,
        }
    }

    pub(super) fn mapped(&self) -> Figure<Pages> {
        match (self.mapped_unknown, self.cut) {
            (0, 0) => Ok(Pages(self.mapped)),
            (0, _) => Err(CUT),
            _ => Err(MAPPED_UNKNOWN),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A large folio at the start of a file, up to date, of which so many pages are mapped.
    fn folio(pages: u64, mapped: u64) -> PageRun {
        PageRun { index: 0, pages, group: None, node: 0, mapped, flags: 1 << Counter::UpToDate as u32 }
    }

    #[test]
    fn dirty_pages_and_pages_under_writeback_have_their_places() {
        let mut seen = Seen::new(Run { first: 2, count: 20 }, Pages(30));
        let run = |index, flags: &[Counter]| {
            let flags = flags.iter().fold(0, |bits, counter| bits | 1 << *counter as u32);
            PageRun { index, pages: 8, group: None, node: 0, mapped: 0, flags }
        };
        seen.add(&run(0, &[Counter::UpToDate, Counter::Dirty]));
        seen.add(&run(8, &[Counter::Dirty, Counter::Writeback]));
        seen.add(&run(16, &[Counter::UpToDate, Counter::Writeback]));
        let places = |runs: &PageRuns| runs.iter().map(|run| (run.first, run.count)).collect::<Vec<_>>();
        assert_eq!((places(&seen.dirty), places(&seen.writeback)), (vec![(2, 14)], vec![(8, 14)]));
        let residency = seen.residency();
        assert_eq!((residency.dirty, residency.writeback), (Ok(Pages(14)), Ok(Pages(14))));
    }

    #[test]
    fn a_folio_that_reaches_past_the_end_of_the_file_is_known_and_one_that_the_range_cuts_is_not() {
        let of = |asked, end, run| {
            let mut seen = Seen::new(Run { first: 0, count: asked }, Pages(end));
            seen.add(&run);
            seen.mapped()
        };
        assert_eq!(of(48, 48, folio(64, 16)), Ok(Pages(16)));
        assert_eq!(of(48, 48, folio(64, 64)), Ok(Pages(48)));
        assert_eq!(of(8, 48, folio(64, 16)), Err(CUT));
        assert_eq!(of(8, 48, folio(64, 64)), Ok(Pages(8)));
    }
}
