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

pub(crate) use file::{CachedFile, Kind};
pub(crate) use lists::Lists;
pub(crate) use memory::{CacheSize, Proof};

pub(crate) use crate::kernel::cached::{Counter, Counts};
use crate::kernel::cached::{FilePages, Name};

/// What is read of each file besides its size and how much of it is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ask {
    /// The state of its pages.
    pub(crate) pages: bool,
    /// Its name.
    pub(crate) names: bool,
}

/// All files with cached pages, largest first.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The files.
    pub(crate) files: Vec<CachedFile>,
    /// What proves the list; the pages are not compared yet.
    pub(crate) proof: Proof,
}

/// What was read of some files.
#[derive(Debug)]
pub(crate) struct Read {
    /// The name of each file; shorter if the time was over.
    pub(crate) names: Vec<Option<Name>>,
    /// The pages of each file; shorter if the time was over.
    pub(crate) pages: Vec<FilePages>,
}

impl FilePages {
    /// Whether it proves itself: it was read to its end, and its pages add up to the number that the kernel keeps, or
    /// to one between those before and after.
    pub(crate) fn adds_up(&self) -> bool {
        let pages = self.counts().get(Counter::Pages);
        self.is_read && (self.before.min(self.after)..=self.before.max(self.after)).contains(&pages)
    }

    /// Whether pages were added or dropped while they were read.
    pub(crate) fn has_changed(&self) -> bool {
        self.before != self.after || self.raced > 0
    }

    /// Whether nothing would be gained by reading it again: it is exact, or another file now.
    fn is_settled(&self) -> bool {
        self.is_gone || self.adds_up() && !self.has_changed()
    }
}
