//! The page map: which pages of a file are cached, as runs. It takes memory per run, not per page.
//!
//! Page numbers and counts only: no kernel calls, no formatting.

use std::slice;

use super::{Pages, Run};

/// The cached pages of a file as sorted runs. No two runs overlap or touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageRuns {
    runs: Vec<Run>,
    pages: u64,
}

/// A part of a file and how many of its pages are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// The pages of this part.
    pub part: Run,
    /// How many of them are cached.
    pub cached: Pages,
}

impl PageRuns {
    /// No pages.
    pub fn new() -> PageRuns {
        PageRuns::default()
    }

    /// The runs, first page first.
    pub fn iter(&self) -> slice::Iter<'_, Run> {
        self.runs.iter()
    }

    /// How many runs.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there are no pages.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many pages all runs have in total.
    pub fn cached(&self) -> Pages {
        Pages(self.pages)
    }

    /// Whether `page` is in one of the runs.
    pub fn contains(&self, page: u64) -> bool {
        self.runs_from(page).first().is_some_and(|run| run.first <= page)
    }

    /// How many of the pages of `part` are in the runs.
    pub fn cached_in(&self, part: Run) -> Pages {
        self.within(part).map(Run::pages).sum()
    }

    /// The runs cut to `part`, first page first.
    pub fn within(&self, part: Run) -> impl Iterator<Item = Run> + '_ {
        let met = self.runs_from(part.first).iter().map(move |run| run.overlap(part));
        met.take_while(|run| !run.is_empty())
    }

    /// The pages of `part` that are not in any run.
    pub fn missing(&self, part: Run) -> PageRuns {
        PageRuns::from(part).subtract(self)
    }

    /// Cuts `part` into `count` portions of equal size (to a page) and counts the cached pages of each. If there are
    /// fewer pages than portions, each page is a portion.
    pub fn portions(&self, part: Run, count: usize) -> Vec<Portion> {
        let portions = u64::try_from(count).unwrap_or(u64::MAX).min(part.count);
        // In 128 bits: pages times portions can exceed 64.
        let start_of = |index: u64| {
            let before = u128::from(part.count) * u128::from(index) / u128::from(portions.max(1));
            part.first.saturating_add(u64::try_from(before).unwrap_or(u64::MAX))
        };
        (0..portions)
            .map(|index| {
                let part = Run::between(start_of(index), start_of(index + 1));
                Portion { part, cached: self.cached_in(part) }
            })
            .collect()
    }

    /// How many pages are both here and in `other`.
    pub fn common(&self, other: &PageRuns) -> Pages {
        self.meetings(other).map(Run::pages).sum()
    }

    /// The pages that are both here and in `other`.
    #[must_use]
    pub fn intersect(&self, other: &PageRuns) -> PageRuns {
        let mut both = PageRuns::new();
        self.meetings(other).for_each(|run| both.append(run));
        both
    }

    /// The pages that are here and not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &PageRuns) -> PageRuns {
        let mut left = PageRuns::new();
        for run in &self.runs {
            let mut from = run.first;
            for hit in other.within(*run) {
                left.append(Run::between(from, hit.first));
                from = hit.end();
            }
            left.append(Run::between(from, run.end()));
        }
        left
    }

    /// Adds a run that starts no earlier than the last run does. Pages that are already there are not counted twice.
    pub(crate) fn append(&mut self, run: Run) {
        let run = match self.runs.last_mut() {
            Some(last) if run.first <= last.end() => {
                let more = run.end().saturating_sub(last.end());
                last.count = last.count.saturating_add(more);
                self.pages = self.pages.saturating_add(more);
                return;
            }
            _ => run,
        };
        if !run.is_empty() {
            self.pages = self.pages.saturating_add(run.count);
            self.runs.push(run);
        }
    }

    /// Reserves memory for `runs` more runs.
    pub(crate) fn reserve(&mut self, runs: usize) {
        self.runs.reserve(runs);
    }

    /// The runs starting with the one that holds `page` or, if there is none, the next one.
    fn runs_from(&self, page: u64) -> &[Run] {
        let passed = self.runs.partition_point(|run| run.end() <= page);
        self.runs.get(passed..).unwrap_or_default()
    }

    /// The overlaps of runs here with runs in `other`, first page first. Walks the shorter list and searches the other.
    fn meetings<'a>(&'a self, other: &'a PageRuns) -> impl Iterator<Item = Run> + 'a {
        let (few, many) = if self.len() <= other.len() { (self, other) } else { (other, self) };
        few.runs.iter().flat_map(|run| many.within(*run))
    }
}

impl From<Run> for PageRuns {
    fn from(run: Run) -> PageRuns {
        let mut runs = PageRuns::new();
        runs.append(run);
        runs
    }
}

impl FromIterator<Run> for PageRuns {
    /// Collects runs in any order; those that touch or overlap become one.
    fn from_iter<I: IntoIterator<Item = Run>>(runs: I) -> PageRuns {
        let mut sorted: Vec<Run> = runs.into_iter().collect();
        sorted.sort_unstable();
        let mut merged = PageRuns::new();
        sorted.into_iter().for_each(|run| merged.append(run));
        merged
    }
}

impl<'a> IntoIterator for &'a PageRuns {
    type Item = &'a Run;
    type IntoIter = slice::Iter<'a, Run>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn run(first: u64, count: u64) -> Run {
        Run { first, count }
    }

    fn runs(list: &[(u64, u64)]) -> PageRuns {
        list.iter().map(|(first, count)| run(*first, *count)).collect()
    }

    fn of_set(set: &BTreeSet<u64>) -> PageRuns {
        set.iter().map(|page| run(*page, 1)).collect()
    }

    fn to_set(runs: &PageRuns) -> BTreeSet<u64> {
        runs.iter().flat_map(|run| run.first..run.end()).collect()
    }

    #[test]
    fn runs_that_touch_become_one() {
        assert_eq!(runs(&[(4, 2), (0, 2), (2, 2), (5, 3), (9, 0)]), runs(&[(0, 8)]));
        assert_eq!(runs(&[(0, 1), (2, 1)]).len(), 2);
    }

    #[test]
    fn an_empty_run_does_not_join_its_neighbours() {
        let map = runs(&[(0, 2), (2, 0), (3, 1), (9, 0)]);
        assert_eq!(map.iter().copied().collect::<Vec<_>>(), [run(0, 2), run(3, 1)]);
    }

    #[test]
    fn portions_cover_every_page_once() {
        let map = runs(&[(2, 3), (9, 1)]);
        let portions = map.portions(run(0, 10), 4);
        let seen: Vec<_> =
            portions.iter().map(|portion| (portion.part.first, portion.part.count, portion.cached.0)).collect();
        assert_eq!(seen, [(0, 2, 0), (2, 3, 3), (5, 2, 0), (7, 3, 1)]);
    }

    #[test]
    fn a_small_file_has_one_portion_per_page_and_an_empty_file_has_none() {
        assert_eq!(runs(&[(0, 1)]).portions(run(0, 3), 80).len(), 3);
        assert_eq!(runs(&[]).portions(run(0, 0), 80), []);
        assert_eq!(runs(&[(0, 1)]).portions(run(0, 3), 0), []);
    }

    #[test]
    fn the_portions_of_the_largest_file_do_not_overflow() {
        let portions = runs(&[(0, u64::MAX)]).portions(run(0, u64::MAX), 3);
        assert_eq!(portions.iter().map(|portion| portion.cached).sum::<Pages>(), Pages(u64::MAX));
    }

    proptest! {
        #[test]
        fn runs_are_the_set_of_pages_that_went_in(
            left in proptest::collection::btree_set(0u64..200, 0..120),
            right in proptest::collection::btree_set(0u64..200, 0..120),
            first in 0u64..220, count in 0u64..220, count_of_portions in 1usize..50,
        ) {
            let (a, b) = (of_set(&left), of_set(&right));
            let part = run(first, count);
            let inside = |set: &BTreeSet<u64>| set.range(first..first + count).count() as u64;
            prop_assert_eq!(to_set(&a), left.clone());
            prop_assert!(a.iter().zip(a.iter().skip(1)).all(|(one, next)| one.end() < next.first));
            prop_assert_eq!(a.cached().0, left.len() as u64);
            prop_assert_eq!(to_set(&a.intersect(&b)), left.intersection(&right).copied().collect());
            prop_assert_eq!(to_set(&a.subtract(&b)), left.difference(&right).copied().collect());
            prop_assert_eq!(a.common(&b).0, left.intersection(&right).count() as u64);
            prop_assert_eq!(a.common(&b), a.intersect(&b).cached());
            prop_assert_eq!(a.cached_in(part).0, inside(&left));
            prop_assert_eq!(a.missing(part).cached().0, count - inside(&left));
            let portions = a.portions(part, count_of_portions);
            prop_assert_eq!(portions.iter().map(|portion| portion.cached.0).sum::<u64>(), inside(&left));
            prop_assert!((0..220).all(|page| a.contains(page) == left.contains(&page)));
        }
    }
}
