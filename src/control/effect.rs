//! The result of changing the cached pages of one file.

use super::holders::Holder;
use crate::error::{Error, ErrorKind};
use crate::kernel::privilege::run_as_root_or_owner_of;
use crate::pagecache::{Change, FileReport, OpenFile};
use crate::units::{Absent, Figure, Pages, Reason};

/// One file, before and after.
#[derive(Debug)]
pub struct Effect {
    /// The file before.
    pub before: FileReport,
    /// The file after.
    pub after: FileReport,
    /// Pages in holes, which were not read because there is nothing to read: warm and lock only.
    pub holes: Pages,
    /// Pages that stay locked: lock only.
    pub held: Pages,
    /// For a dry run, in which nothing is done: the pages that would be read or dropped. Then `after` is `before`, and
    /// `left` is what would be left for a reason that is known before.
    pub planned: Option<Pages>,
    /// The pages that are not as requested.
    pub left: Left,
    /// What failed, if anything did.
    pub trouble: Option<Error>,
}

/// The pages that are not as requested: for warm and lock those that are not cached, for evict those that still are.
/// Each page is in one of the counts; the first one that applies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// All of them.
    pub pages: Pages,
    /// Not dropped because writing back failed: they may be the only copy of the data.
    pub unwritten: Pages,
    /// On a file system that exists only in memory (tmpfs).
    pub in_memory: Pages,
    /// Locked by a process that maps them (`mlock(2)`).
    pub locked: Pages,
    /// In the page table of a process.
    pub mapped: Pages,
    /// Waiting to be written back, or being written back now. Counted by folio.
    pub dirty: Pages,
    /// For an unknown reason.
    pub unknown: Pages,
    /// The processes that lock or map them.
    pub holders: Vec<Holder>,
    /// How many processes could not be inspected, so that they may have pages mapped, too; `None` if no process was to
    /// be inspected.
    pub unseen: Option<u64>,
    /// The reasons as text; empty if every page is as requested.
    pub why: String,
}

const DRY: Absent = Absent::new(Reason::NotApplicable, "nothing was done: it is a dry run");

impl Effect {
    /// How many pages were cached before.
    pub fn cached_before(&self) -> Figure<Pages> {
        self.before.cached()
    }

    /// How many pages are cached now; absent for a dry run.
    pub fn cached_after(&self) -> Figure<Pages> {
        match self.planned {
            Some(_) => Err(DRY),
            None => self.after.cached(),
        }
    }

    /// What else happened to the file meanwhile.
    pub fn changed(&self) -> Option<Change> {
        let moved = (self.before.size, self.before.mtime) != (self.after.size, self.after.mtime);
        self.after.changed.or(self.before.changed).or(moved.then_some(Change::Written))
    }

    /// Whether everything is as requested. A dry run requests nothing.
    pub fn is_complete(&self) -> bool {
        (self.left.pages == Pages(0) || self.planned.is_some()) && self.trouble.is_none()
    }
}

/// The error for a file whose cached pages are not known. Nothing is done then, because the result could not be
/// checked.
pub(super) fn refuse_unmeasured(report: &FileReport) -> Result<(), Error> {
    let Err(absent) = &report.residency else { return Ok(()) };
    let kind = if absent.reason == Reason::Denied { ErrorKind::Denied } else { ErrorKind::Unsupported };
    let error = Error::path(&report.path, kind, absent.to_string());
    Err(match kind {
        ErrorKind::Denied => error.with_advice(format!("nothing was done; {}", run_as_root_or_owner_of(&report.path))),
        _ => error.with_advice("nothing was done"),
    })
}

/// The error for a file on FUSE that was not opened: work on the descriptor of another process would change that.
pub(super) fn refuse_unopened(file: &OpenFile) -> Result<(), Error> {
    if !file.is_unopened_fuse() {
        return Ok(());
    }
    let why = "is on FUSE, where opening it drops its cached pages, also those that processes have mapped in";
    Err(Error::path(file.path(), ErrorKind::Refused, why)
        .with_advice("nothing was done; --open-fuse opens it all the same"))
}
