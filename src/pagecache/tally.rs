//! Sums over many files: what a total says, without a row a file.

use super::report::FileReport;
use super::walk::Skipped;
use crate::units::{Absent, Bytes, Figure, PageSize, Pages, Reason, percent};

/// A sum of figures of which some may not be known: then it is a lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageSum {
    /// The sum of those that are known.
    pub pages: Pages,
    /// How many are known.
    pub known: u64,
    /// How many are not known.
    pub missing: u64,
    /// Why the first of those is not.
    pub why: Option<Absent>,
}

/// What many files have together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many files, each counted once.
    pub files: u64,
    /// Their sizes.
    size: u128,
    /// Their pages, or those of the range that was asked about.
    pub pages: Pages,
    /// The pages of those files whose cached pages are known.
    pub known_pages: Pages,
    /// Pages in the page cache.
    pub cached: PageSum,
    /// Pages to be written back.
    pub dirty: PageSum,
    /// Pages being written back.
    pub writeback: PageSum,
    /// Pages that were dropped and whose mark is still there.
    pub evicted: PageSum,
    /// Evicted pages that would be called active if they came back now.
    pub recently_evicted: PageSum,
    /// Files that changed while they were measured.
    pub changed: u64,
    /// Names of files and directories that were met before under another name, and not counted again.
    pub again: u64,
    /// FIFOs, sockets and devices.
    pub special: u64,
    /// Symbolic links that were not followed.
    pub links: u64,
    /// Files and directories of other file systems, those made up by the kernel among them.
    pub other_file_systems: u64,
    /// Names that were gone when they were looked at.
    pub vanished: u64,
}

impl PageSum {
    fn add(&mut self, figure: Figure<Pages>) {
        match figure {
            Ok(pages) => {
                self.pages = plus(self.pages, pages);
                self.known = self.known.saturating_add(1);
            }
            Err(absent) => {
                self.missing = self.missing.saturating_add(1);
                self.why.get_or_insert(absent);
            }
        }
    }

    fn merge(&mut self, other: &PageSum) {
        self.pages = plus(self.pages, other.pages);
        self.known = self.known.saturating_add(other.known);
        self.missing = self.missing.saturating_add(other.missing);
        self.why = self.why.or(other.why);
    }

    /// The sum of what is known; absent where there are files and nothing is known of any.
    pub fn figure(&self) -> Figure<Pages> {
        match self.why {
            Some(why) if self.known == 0 => Err(why),
            _ => Ok(self.pages),
        }
    }
}

impl Tally {
    /// Adds one file.
    pub fn add(&mut self, report: &FileReport) {
        self.files = self.files.saturating_add(1);
        self.size += u128::from(report.size.0);
        self.pages = plus(self.pages, report.pages);
        if report.residency.is_ok() {
            self.known_pages = plus(self.known_pages, report.pages);
        }
        self.cached.add(report.cached());
        self.dirty.add(report.dirty());
        self.writeback.add(report.writeback());
        self.evicted.add(report.evicted());
        self.recently_evicted.add(report.recently_evicted());
        self.changed = self.changed.saturating_add(u64::from(report.changed.is_some()));
    }

    /// Counts something that was found and not visited.
    pub fn skip(&mut self, why: Skipped) {
        let count = match why {
            Skipped::Again => &mut self.again,
            Skipped::Special => &mut self.special,
            Skipped::Link => &mut self.links,
            Skipped::OtherFileSystem | Skipped::Pseudo => &mut self.other_file_systems,
            Skipped::Vanished => &mut self.vanished,
        };
        *count = count.saturating_add(1);
    }

    /// Adds what other files have together.
    pub fn merge(&mut self, other: &Tally) {
        self.files = self.files.saturating_add(other.files);
        self.size += other.size;
        self.pages = plus(self.pages, other.pages);
        self.known_pages = plus(self.known_pages, other.known_pages);
        self.cached.merge(&other.cached);
        self.dirty.merge(&other.dirty);
        self.writeback.merge(&other.writeback);
        self.evicted.merge(&other.evicted);
        self.recently_evicted.merge(&other.recently_evicted);
        self.changed = self.changed.saturating_add(other.changed);
        self.again = self.again.saturating_add(other.again);
        self.special = self.special.saturating_add(other.special);
        self.links = self.links.saturating_add(other.links);
        self.other_file_systems = self.other_file_systems.saturating_add(other.other_file_systems);
        self.vanished = self.vanished.saturating_add(other.vanished);
    }

    /// The length of all files together; absent where 64 bits do not hold it, as with three sparse files of 8 EiB.
    pub fn size(&self) -> Figure<Bytes> {
        let too_many = Absent::new(Reason::Unsupported, "the sum does not fit 64 bits");
        u64::try_from(self.size).map(Bytes).map_err(|_| too_many)
    }

    /// The pages that are not in the page cache, of the files of which that is known.
    pub fn uncached(&self) -> Figure<Pages> {
        self.cached.figure().map(|cached| self.known_pages.saturating_sub(cached))
    }

    /// The cached share of the pages in percent, of the files of which it is known; absent where there are none.
    pub fn percent(&self) -> Figure<f64> {
        const NO_PAGES: Absent = Absent::new(Reason::NotApplicable, "there are no pages");
        let cached = self.cached.figure()?;
        percent(cached.0, self.known_pages.0).ok_or(NO_PAGES)
    }

    /// The cached pages in bytes.
    pub fn cached_bytes(&self, page: PageSize) -> Figure<Bytes> {
        self.cached.figure().map(|cached| cached.bytes(page))
    }
}

fn plus(left: Pages, right: Pages) -> Pages {
    Pages(left.0.saturating_add(right.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: Absent = Absent::new(Reason::Denied, "not yours");

    #[test]
    fn a_sum_of_nothing_known_is_absent_and_of_no_files_zero() {
        let mut sum = PageSum::default();
        assert_eq!(sum.figure(), Ok(Pages(0)));
        sum.add(Err(DENIED));
        assert_eq!(sum.figure(), Err(DENIED));
        sum.add(Ok(Pages(3)));
        assert_eq!((sum.figure(), sum.missing), (Ok(Pages(3)), 1));
    }

    #[test]
    fn merging_is_adding() {
        let mut all = Tally { files: 2, size: 9, again: 1, ..Tally::default() };
        let mut other = Tally { files: 1, size: u128::from(u64::MAX), ..Tally::default() };
        other.skip(Skipped::Again);
        other.cached.add(Err(DENIED));
        all.cached.add(Ok(Pages(2)));
        all.merge(&other);
        assert_eq!((all.files, all.size().is_err(), all.again), (3, true, 2));
        assert_eq!((all.cached.figure(), all.cached.missing), (Ok(Pages(2)), 1));
    }
}
