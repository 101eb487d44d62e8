//! What the kernel counts as page cache, and the proof that a list adds up to it.

use crate::error::Result;
use crate::process::ProcRoot;
use crate::units::{Bytes, PageSize, Pages};

use crate::machine::meminfo::read_amounts;

/// `Cached + Buffers` of meminfo: the page cache, shared memory and tmpfs included, pages in the cache of swap not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CacheSize(pub(crate) Bytes);

impl CacheSize {
    /// Reads it.
    ///
    /// # Errors
    /// `/proc/meminfo` cannot be read, or is not in the kernel's format.
    pub(crate) fn read(root: &ProcRoot) -> Result<CacheSize> {
        let [cached, buffers] = read_amounts(root, ["Cached", "Buffers"])?;
        Ok(CacheSize(Bytes(cached.0.saturating_add(buffers.0))))
    }

    /// What a sum may differ by: 0.1 %, or what the kernel has not added to its sums yet. It keeps parts of them for
    /// each processor, up to 125 pages of each (`calculate_normal_threshold` in `mm/vmstat.c`).
    pub(crate) fn tolerance(self, page: PageSize) -> Bytes {
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        let pending = Pages(processors.saturating_mul(2 * 125)).bytes(page);
        Bytes((self.0.0 / 1000).max(pending.0))
    }
}

/// Whether a list of cached files can be trusted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proof {
    /// `Cached + Buffers` before the lists were read, and after.
    pub(crate) sizes: Option<(CacheSize, CacheSize)>,
    /// The pages of all listed files.
    pub(crate) listed: Pages,
    /// File systems whose list of inodes did not end at its head.
    pub(crate) broken: Vec<String>,
    /// Whether the time was over before every list was read.
    pub(crate) is_late: bool,
    /// Whether it was over before the names and pages of the chosen files were read.
    pub(crate) is_cut: bool,
    /// Files whose pages were read and do not add up to what the kernel counts.
    pub(crate) unequal: u64,
    /// Folios that were compared with `/proc/kpageflags`, and how many of them differed; `None` if they were not
    /// compared.
    pub(crate) compared: Option<(u64, u64)>,
}

impl Proof {
    /// How much of `Cached + Buffers` was listed, at the instant at which it fits best, in bytes; `None` if meminfo
    /// could not be read.
    pub(crate) fn sizes(&self, page: PageSize) -> Option<(Bytes, Bytes)> {
        let (before, after) = self.sizes?;
        let listed = self.listed.bytes(page);
        let (low, high) = (before.0.min(after.0), before.0.max(after.0));
        Some((listed, listed.clamp(low, high)))
    }

    /// Whether the sum of all files lies within 0.1 % of what meminfo says before and after, or between. The kernel
    /// may be late with as much: see [`CacheSize::tolerance`].
    pub(crate) fn adds_up(&self, page: PageSize) -> bool {
        let is_close = |(listed, size): (Bytes, Bytes)| listed.0.abs_diff(size.0) <= CacheSize(size).tolerance(page).0;
        self.sizes(page).is_none_or(is_close)
    }

    /// Whether every list ended at its head in time.
    pub(crate) fn is_complete(&self) -> bool {
        self.broken.is_empty() && !self.is_late
    }

    /// Whether the states of pages can be trusted. `true` if they could not be compared.
    pub(crate) fn agrees(&self) -> bool {
        self.compared.is_none_or(agree)
    }
}

/// Whether of so many folios that were compared at most one in fifty differs from what the kernel itself says, because
/// it changed meanwhile.
pub(super) fn agree((compared, differ): (u64, u64)) -> bool {
    differ.saturating_mul(50) <= compared
}
