//! All files of the machine that have cached pages, from the kernel's own lists of inodes and pages.
//!
//! Nothing is opened and no directory is read: deleted files, files of other containers and files without a name are
//! there too. The lists are read while they change, so each proves itself: see [`Proof`].

mod file;
#[cfg(feature = "bpf")]
mod frames;
#[cfg(feature = "bpf")]
mod lists;
#[cfg(not(feature = "bpf"))]
#[path = "no_lists.rs"]
mod lists;
mod memory;
#[cfg(feature = "bpf")]
mod readers;

pub(crate) use file::{CachedFile, Kind};
pub(crate) use lists::Lists;
pub(crate) use memory::{CacheSize, Proof};

use crate::kernel::cached::FilePages;
pub(crate) use crate::kernel::cached::{Counter, Counts};
use crate::units::{Absent, Bytes, PageSize, Reason};

/// What was not read because the time was over.
pub(crate) const LATE: Absent = Absent::new(Reason::Late, "not read in time; a longer --budget reads more");

/// All files with cached pages, largest first.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The files.
    pub(crate) files: Vec<CachedFile>,
    /// What proves the list; the pages are not compared yet.
    pub(crate) proof: Proof,
}

impl FilePages {
    /// Whether it proves itself: it was read to its end, and its pages add up to the number that the kernel keeps, or
    /// to one between those before and after.
    pub(crate) fn adds_up(&self) -> bool {
        let pages = self.counts().get(Counter::Pages);
        self.is_read && (self.before.min(self.after)..=self.before.max(self.after)).contains(&pages)
    }

    /// Whether pages were added or dropped while they were read, or it became longer or shorter.
    pub(crate) fn has_changed(&self) -> bool {
        self.before != self.after || self.raced > 0 || self.is_resized
    }

    /// Whether it has more pages than it is long, in whole pages. The kernel changes the length and the pages one after
    /// the other; pages that stay beyond the end are of large folios, or reserved.
    pub(crate) fn is_beyond_end(&self, page: PageSize) -> bool {
        self.counts().get(Counter::Pages) > page.pages(Bytes(self.size)).0
    }

    /// Whether nothing would be gained by reading it again: it is exact, or another file now.
    fn is_settled(&self, page: PageSize) -> bool {
        self.is_gone || self.adds_up() && !self.has_changed() && !self.is_beyond_end(page)
    }
}
