//! What both views say about the memory of an experiment at one moment.

use crate::pagecache::Method;
use crate::units::{Absent, Bytes, Figure, PageRuns, Reason};

/// What `/proc/PID/smaps` says about the mapping, or the mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mapped {
    /// `Size`: its length.
    pub size: Bytes,
    /// `Rss`: how much of it is in RAM and mapped.
    pub rss: Bytes,
    /// `Pss`: the same, with shared pages divided among the processes that map them.
    pub pss: Bytes,
    /// `Anonymous`: how much of it is not in a file.
    pub anonymous: Bytes,
    /// `AnonHugePages`: how much of that is in huge pages.
    pub anonymous_huge: Bytes,
    /// `FilePmdMapped` and `ShmemPmdMapped`: how much of it are pages of a file that are mapped as huge pages.
    pub file_huge: Bytes,
    /// `Swap`: how much of it is in swap.
    pub swap: Bytes,
    /// `Private_Hugetlb` and `Shared_Hugetlb`: huge pages, which are not in `Rss`.
    pub hugetlb: Bytes,
}

/// Both views.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The process view; `None` if nothing is mapped.
    pub mapped: Option<Mapped>,
    /// How much of the file is in the page cache.
    pub cached: Figure<Bytes>,
    /// How much of it is in the page cache besides, but not up to date. Absent if the last page may be.
    pub stale: Figure<Bytes>,
    /// How much of the file is not on the disk yet: dirty, or under writeback.
    pub dirty: Figure<Bytes>,
    /// How the page cache was measured.
    pub method: Figure<Method>,
    /// Which of its pages are cached.
    pub runs: Figure<PageRuns>,
    /// How many pages were mapped and not in the page cache; only for shared mappings.
    pub only_mapped: Option<u64>,
}

/// Memory without a file has no page cache.
pub(super) const NO_FILE: Absent = Absent::new(Reason::NotApplicable, "this memory has no file");
/// There is no file yet, or no mapping.
pub(super) const NOT_MAPPED: Absent = Absent::new(Reason::NotApplicable, "nothing is mapped");

impl Figures {
    /// Before the first act.
    pub(super) fn nothing() -> Figures {
        Figures {
            mapped: None,
            cached: Err(NO_FILE),
            stale: Ok(Bytes(0)),
            dirty: Err(NO_FILE),
            method: Err(NO_FILE),
            runs: Err(NO_FILE),
            only_mapped: None,
        }
    }

    /// A figure of the process view.
    pub fn of_mapping(&self, take: fn(&Mapped) -> Bytes) -> Figure<Bytes> {
        self.mapped.as_ref().map(take).ok_or(NOT_MAPPED)
    }
}
