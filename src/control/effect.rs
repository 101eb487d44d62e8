//! What came of changing the cached pages of one file.

use super::holders::Holder;
use crate::error::{Error, ErrorKind};
use crate::pagecache::{Change, FileReport};
use crate::units::{Figure, Pages};

/// One file, before and after.
#[derive(Debug)]
pub struct Effect {
    /// As it was.
    pub before: FileReport,
    /// As it is.
    pub after: FileReport,
    /// Pages in holes that were left alone, because there is nothing to read there: warm and lock only.
    pub holes: Pages,
    /// Pages that are held until the end: lock only.
    pub held: Pages,
    /// What is not as it was asked to be.
    pub left: Left,
    /// What went wrong on the way, where something did.
    pub trouble: Option<Error>,
}

/// The pages that are not as they were asked to be: for warm and lock those that are not cached, for evict those that
/// still are. Each page is in one of the counts, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// All of them.
    pub pages: Pages,
    /// In the memory of a file system that has nowhere else to keep them (tmpfs).
    pub in_memory: Pages,
    /// Locked by a process that maps them (`mlock(2)`).
    pub locked: Pages,
    /// In the page table of a process.
    pub mapped: Pages,
    /// Waiting to be written back, or being written back now. Counted by folio.
    pub dirty: Pages,
    /// Nobody knows why.
    pub unknown: Pages,
    /// The processes that hold the locked and mapped ones.
    pub holders: Vec<Holder>,
    /// The reasons in words; empty where nothing is left.
    pub why: String,
}

impl Effect {
    /// How much was cached before.
    pub fn cached_before(&self) -> Figure<Pages> {
        self.before.cached()
    }

    /// How much is cached now.
    pub fn cached_after(&self) -> Figure<Pages> {
        self.after.cached()
    }

    /// What happened to the file meanwhile that nobody asked for.
    pub fn changed(&self) -> Option<Change> {
        let moved = (self.before.size, self.before.mtime) != (self.after.size, self.after.mtime);
        self.after.changed.or(self.before.changed).or(moved.then_some(Change::Written))
    }

    /// Whether all is as it was asked to be.
    pub fn is_complete(&self) -> bool {
        self.left.pages == Pages(0) && self.trouble.is_none()
    }
}

/// The error of a file of which nobody can tell what is cached: then nothing is done, because nothing could be said of it.
pub(super) fn refuse_unmeasured(report: &FileReport) -> Result<(), Error> {
    let Err(absent) = &report.residency else { return Ok(()) };
    let kind = if absent.reason == crate::units::Reason::Denied { ErrorKind::Denied } else { ErrorKind::Unsupported };
    let error = Error::path(&report.path, kind, absent.to_string());
    Err(match kind {
        ErrorKind::Denied => error.with_advice("nothing was done; run as the owner of the file or as root"),
        _ => error.with_advice("nothing was done"),
    })
}
