//! The result of measuring one file: figures, each known or absent with a reason, and the method.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::units::{self, Absent, Bytes, Figure, PageRuns, PageSize, Pages, Reason, Run};

/// The kernel interface that reported the cached pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `cachestat(2)`. `mincore` may be used in addition to find out which pages are cached, and `lseek(2)` to find out
    /// that a file on tmpfs is in memory as a whole.
    Cachestat,
    /// `mincore(2)` over a mapping of the file.
    Mincore,
    /// The kernel's own list of the cached pages of the file, which was not opened for it.
    Pages,
}

/// What happened to a file while it was measured. If several things did, the last of these variants is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Its size or modification time changed.
    Written,
    /// It has another name or is in another directory.
    Renamed,
    /// The name by which it was opened belongs to another file.
    Replaced,
    /// The name by which it was opened no longer exists.
    Removed,
}

/// How much of a file, or of a range of it, is in the page cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residency {
    /// Pages in the page cache that are up to date, so that reading them needs no I/O. Where only `cachestat` was
    /// used, pages that are being read or could not be read count too; [`not_up_to_date`](Self::not_up_to_date) is
    /// absent then.
    pub cached: Pages,
    /// Pages in the page cache that are not up to date and do not count as cached: reserved blocks of tmpfs, pages of
    /// which only some blocks are in memory, pages that are being read or could not be read. They may be dirty. Of a
    /// block device: pages that are not marked up to date, though some may be.
    pub not_up_to_date: Figure<Pages>,
    /// Pages to be written back, counted by folio: one dirty byte marks the whole of a large folio. Zero on tmpfs,
    /// where nothing is written back.
    pub dirty: Figure<Pages>,
    /// Pages being written back now, counted by folio.
    pub writeback: Figure<Pages>,
    /// Pages that were dropped and whose shadow entry is still there. Shadow entries are lost when the kernel drops the
    /// inode. On tmpfs, pages in swap count here.
    pub evicted: Figure<Pages>,
    /// Evicted pages that would be treated as active if they were read again now.
    pub recently_evicted: Figure<Pages>,
    /// How the figures were measured.
    pub method: Method,
}

/// One file, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct FileReport {
    /// The path, as the caller gave it.
    pub path: PathBuf,
    /// Its device and inode, from `fstat`: two files of a process may have the same name.
    pub identity: (u64, u64),
    /// The number of the device if it is a block device, major and minor: what its pages belong to, whatever names it
    /// has in `/dev`.
    pub block_device: Option<(u32, u32)>,
    /// The size of the file right before it was measured.
    pub size: Bytes,
    /// The time right before it was measured.
    pub timestamp: SystemTime,
    /// When it was last modified, read right before it was measured.
    pub mtime: SystemTime,
    /// The size of the pages that are counted.
    pub page_size: PageSize,
    /// The pages that were measured: those of the whole file or of a range.
    pub asked: Run,
    /// How many pages were measured.
    pub pages: Pages,
    /// How many of them are cached.
    pub residency: Figure<Residency>,
    /// What happened to the file while it was measured. The figures are then not from a single state of the file, or
    /// the file is no longer found under its name.
    pub changed: Option<Change>,
    /// Which of them are cached, if a page map was requested.
    pub runs: Option<Figure<PageRuns>>,
    /// Which of them are in the page cache but not up to date, if a page map was requested and there are any that are
    /// known.
    pub stale: PageRuns,
}

/// The share of an empty file.
const NO_PAGES: Absent = Absent::new(Reason::NotApplicable, "it has no pages");

/// What is not cached of a block device, if pages of it are known that are not marked up to date.
pub(crate) const BUFFERS: Absent = Absent::new(
    Reason::Unsupported,
    "more may be cached: of a block device the kernel does not mark every page that is up to date (`rmap files` counts \
     all that are in memory)",
);

/// The pages that are not up to date where only `cachestat` could be used and there may be some.
pub(crate) const UNTOLD: Absent =
    Absent::new(Reason::Unsupported, "fewer may be cached: cachestat alone does not tell which pages are up to date");

impl Change {
    /// The change in words.
    pub fn words(self) -> &'static str {
        match self {
            Change::Written => "changed while it was measured",
            Change::Renamed => "renamed while it was measured",
            Change::Replaced => "its name now belongs to another file",
            Change::Removed => "removed while it was measured",
        }
    }
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 3] = [Method::Cachestat, Method::Mincore, Method::Pages];

    /// The system call, or `pages`, as one word, as tables and JSON write it.
    pub fn word(self) -> &'static str {
        match self {
            Method::Cachestat => "cachestat",
            Method::Mincore => "mincore",
            Method::Pages => "pages",
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
        self.figure(|residency| Ok(self.pages.saturating_sub(self.exactly(residency.cached)?)))
    }

    /// The cached share of the pages in percent; absent if there are no pages.
    pub fn percent(&self) -> Figure<f64> {
        self.figure(|residency| units::percent(self.exactly(residency.cached)?.0, self.pages.0).ok_or(NO_PAGES))
    }

    /// Whether [`cached`](Self::cached) is only what is cached at least: of a block device, a page in the page cache
    /// need not be marked up to date, though all of its buffers are and reading it needs no I/O. A file system that
    /// reads its blocks through buffers (ext4) leaves such pages.
    pub fn is_cached_at_least(&self) -> bool {
        self.block_device.is_some() && self.has_stale_pages()
    }

    /// What is cached, unless that is only a lower bound.
    fn exactly(&self, cached: Pages) -> Figure<Pages> {
        if self.is_cached_at_least() { Err(BUFFERS) } else { Ok(cached) }
    }

    /// Pages in the page cache that are not up to date.
    pub fn not_up_to_date(&self) -> Figure<Pages> {
        self.figure(|residency| residency.not_up_to_date)
    }

    /// Whether pages are known that do not count as cached because they are not up to date.
    pub fn has_stale_pages(&self) -> bool {
        self.not_up_to_date().is_ok_and(|pages| pages > Pages(0))
    }

    /// Whether pages that are not up to date may count as cached, because only `cachestat` could be used, which counts
    /// them and does not tell which they are.
    pub fn may_count_stale_pages(&self) -> bool {
        self.not_up_to_date() == Err(UNTOLD)
    }

    /// Pages to be written back.
    pub fn dirty(&self) -> Figure<Pages> {
        self.figure(|residency| residency.dirty)
    }

    /// Pages being written back now.
    pub fn writeback(&self) -> Figure<Pages> {
        self.figure(|residency| residency.writeback)
    }

    /// Pages that were dropped and whose shadow entry is still there.
    pub fn evicted(&self) -> Figure<Pages> {
        self.figure(|residency| residency.evicted)
    }

    /// Evicted pages that would be treated as active if they were read again now.
    pub fn recently_evicted(&self) -> Figure<Pages> {
        self.figure(|residency| residency.recently_evicted)
    }

    /// How it was measured; absent if it was not.
    pub fn method(&self) -> Figure<Method> {
        self.figure(|residency| Ok(residency.method))
    }

    /// Its path, device and inode as bytes: what tells it from other files, also in a later measurement.
    pub(crate) fn key(&self) -> Vec<u8> {
        let (device, inode) = self.identity;
        [self.path.as_os_str().as_bytes(), &device.to_ne_bytes(), &inode.to_ne_bytes()].concat()
    }

    fn figure<T>(&self, get: impl FnOnce(&Residency) -> Figure<T>) -> Figure<T> {
        self.residency.as_ref().map_err(|absent| *absent).and_then(get)
    }
}
