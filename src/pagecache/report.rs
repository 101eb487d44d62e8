//! What came out of measuring one file: figures, each known or absent with its reason, and how they were found.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::units::{self, Absent, Bytes, Figure, PageRuns, PageSize, Pages, Reason, Run};

/// The kernel interface that told which pages are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `cachestat(2)`. A page map is found with its help too; `mincore` may have told the details of mixed parts.
    Cachestat,
    /// `mincore(2)` over a mapping of the file.
    Mincore,
}

/// What happened to a file while it was measured; of several things the one that is named last here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Its size or its time of modification moved.
    Written,
    /// It has another name, or is in another place.
    Renamed,
    /// The name that it was opened by belongs to another file.
    Replaced,
    /// The name that it was opened by is gone.
    Removed,
}

/// How much of a file, or of a range of it, is in the page cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residency {
    /// Pages in the page cache. `cachestat` counts those still being read in, `mincore` does not.
    pub cached: Pages,
    /// Pages to be written back, counted by folio: one dirty byte marks the whole of a large folio. Zero on tmpfs, which
    /// has nowhere to write back to.
    pub dirty: Figure<Pages>,
    /// Pages being written back now, counted by folio.
    pub writeback: Figure<Pages>,
    /// Pages that were dropped and whose mark is still there. The marks go when the kernel drops the inode. On tmpfs,
    /// pages in swap count here.
    pub evicted: Figure<Pages>,
    /// Evicted pages that would be called active if they came back now.
    pub recently_evicted: Figure<Pages>,
    /// Where the figures come from.
    pub method: Method,
}

/// One file, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct FileReport {
    /// The file, as the caller named it.
    pub path: PathBuf,
    /// Its size right before the figures were taken, from `fstat`.
    pub size: Bytes,
    /// When the figures were taken: right before.
    pub timestamp: SystemTime,
    /// When it was last written to, as `fstat` said right before.
    pub mtime: SystemTime,
    /// The page size that all figures in pages are of.
    pub page_size: PageSize,
    /// Which pages were asked about: all of the file, or those of a range.
    pub asked: Run,
    /// How many pages were asked about.
    pub pages: Pages,
    /// How many of them are cached.
    pub residency: Figure<Residency>,
    /// What happened to the file while the figures were taken: they are then of no single moment, or of a file that is not
    /// found under its name any more.
    pub changed: Option<Change>,
    /// Which of them are cached: only where a map was asked for.
    pub runs: Option<Figure<PageRuns>>,
}

/// The share of an empty file.
const NO_PAGES: Absent = Absent::new(Reason::NotApplicable, "it has no pages");

impl Change {
    /// The change in words.
    pub fn words(self) -> &'static str {
        match self {
            Change::Written => "changed while it was measured",
            Change::Renamed => "renamed while it was measured",
            Change::Replaced => "its name belongs to another file now",
            Change::Removed => "removed while it was measured",
        }
    }
}

impl Method {
    /// The system call as one word, as tables and JSON write it.
    pub fn word(self) -> &'static str {
        match self {
            Method::Cachestat => "cachestat",
            Method::Mincore => "mincore",
        }
    }
}

impl FileReport {
    /// Pages in the page cache.
    pub fn cached(&self) -> Figure<Pages> {
        self.figure(|residency| Ok(residency.cached))
    }

    /// Pages that are not in the page cache.
    pub fn uncached(&self) -> Figure<Pages> {
        self.figure(|residency| Ok(self.pages.saturating_sub(residency.cached)))
    }

    /// The cached share of the pages in percent; absent where there are none.
    pub fn percent(&self) -> Figure<f64> {
        self.figure(|residency| units::percent(residency.cached.0, self.pages.0).ok_or(NO_PAGES))
    }

    /// Pages to be written back.
    pub fn dirty(&self) -> Figure<Pages> {
        self.figure(|residency| residency.dirty)
    }

    /// Pages being written back now.
    pub fn writeback(&self) -> Figure<Pages> {
        self.figure(|residency| residency.writeback)
    }

    /// Pages that were dropped and whose mark is still there.
    pub fn evicted(&self) -> Figure<Pages> {
        self.figure(|residency| residency.evicted)
    }

    /// Evicted pages that would be called active if they came back now.
    pub fn recently_evicted(&self) -> Figure<Pages> {
        self.figure(|residency| residency.recently_evicted)
    }

    /// How it was measured; absent where it was not.
    pub fn method(&self) -> Figure<Method> {
        self.figure(|residency| Ok(residency.method))
    }

    fn figure<T>(&self, get: impl FnOnce(&Residency) -> Figure<T>) -> Figure<T> {
        self.residency.as_ref().map_err(|absent| *absent).and_then(get)
    }
}
