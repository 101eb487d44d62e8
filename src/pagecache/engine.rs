//! The engine: picks the kernel interface that tells the truth about a file, measures, and takes back what a change in
//! mid-measure has made worthless.
//!
//! How pages are found is in `search` (questions to `cachestat`) and `look` (page by page with `mincore`); how threads
//! share a file, in `pieces`.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::file::{FileStat, OpenFile};
use super::look::{LookAtAll, Looker};
use super::pieces::Findings;
use super::report::{FileReport, Method, Residency};
use super::search::{Count, Search};
use crate::error::Result;
use crate::kernel;
use crate::kernel::cachestat::{self, CacheStat};
use crate::kernel::dax;
use crate::kernel::file_system::FileSystemKind;
use crate::units::{Absent, ByteRange, Bytes, Figure, PageRuns, PageSize, Pages, Reason, Run};

/// How often a file is measured that shrinks under the measurement.
const ATTEMPTS: u32 = 3;

/// How long a measurement lasts after which the file's name is looked up again. What becomes of a name within a shorter
/// one cannot be told from what becomes of it right after, and the lookup would cost as much as the measurement.
const LONG: Duration = Duration::from_millis(5);

const CHANGED: Absent = Absent::new(Reason::Changed, "it shrank each time it was measured");
const VANISHED: Absent = Absent::new(Reason::Vanished, "its file system does not answer any more");
const HUGE: Absent = Absent::new(Reason::Unsupported, "huge pages of hugetlbfs are in no page cache");
const NONE_HERE: Absent = Absent::new(Reason::Unsupported, "made up by the kernel: it has no cached pages");
const ZEROS: Absent = Absent::new(Reason::Unsupported, "cachestat answers zeros on this file system");
const NO_CACHESTAT: Absent = Absent::new(Reason::Unsupported, "this kernel or sandbox has no cachestat");
const MINCORE_ONLY: Absent = Absent::new(Reason::Unsupported, "mincore tells only which pages are cached");
const DAX: Absent = Absent::new(Reason::Unsupported, "a file in DAX mode has no page cache");

/// Measures files. It holds no state but what this process may use, so one engine serves any number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    cachestat: bool,
    mincore: bool,
    /// Absent: as many as this process may use, which is found out when a file is worth it.
    threads: Option<NonZeroUsize>,
}

/// What one measurement found.
struct Found {
    residency: Residency,
    runs: Option<PageRuns>,
}

/// Measures how much of a file is in the page cache.
///
/// This is the short way for one file. To measure many files, or to find out which pages are cached, use [`Engine`].
///
/// ```
/// let report = rmap::pagecache::read_file("/proc/self/exe")?;
/// println!("{} of {} pages are cached", report.cached()?.0, report.pages.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`OpenFile::open`]. If the file can be opened and not measured, the figures of the report say why.
pub fn read_file(path: impl AsRef<Path>) -> Result<FileReport> {
    Ok(Engine::detect().measure(&OpenFile::open(path.as_ref())?))
}

impl Engine {
    /// An engine that uses what this kernel and sandbox allow.
    pub fn detect() -> Engine {
        Engine { cachestat: cachestat::available(), mincore: true, threads: None }
    }

    /// An engine that uses one method and leaves figures absent where that one cannot be believed.
    pub fn only(method: Method) -> Engine {
        match method {
            Method::Cachestat => Engine { cachestat: cachestat::available(), mincore: false, threads: None },
            Method::Mincore => Engine { cachestat: false, mincore: true, threads: None },
        }
    }

    /// The page size of the running kernel, which all counts of pages are in.
    pub fn page_size(&self) -> PageSize {
        kernel::page_size()
    }

    /// Whether this engine may use `cachestat`. Without it dirty and evicted pages are not known.
    pub fn has_cachestat(&self) -> bool {
        self.cachestat
    }

    /// The same engine with at most so many threads on one file, the caller's among them. What it finds is the same.
    ///
    /// An engine that was not told uses as many as this process may, on files that take longer than half a millisecond.
    /// Who measures several files at a time passes 1.
    #[must_use]
    pub fn with_threads(self, threads: NonZeroUsize) -> Engine {
        Engine { threads: Some(threads), ..self }
    }

    /// The method that a file will be measured with.
    ///
    /// # Errors
    /// Why there is none.
    pub fn method(&self, file: &OpenFile) -> Figure<Method> {
        match file.file_system().kind {
            FileSystemKind::Huge => Err(HUGE),
            FileSystemKind::Pseudo(_) => Err(NONE_HERE),
            FileSystemKind::Ordinary | FileSystemKind::Memory if self.cachestat => Ok(Method::Cachestat),
            _ if self.mincore => Ok(Method::Mincore),
            FileSystemKind::Ordinary | FileSystemKind::Memory => Err(NO_CACHESTAT),
            // On overlayfs cachestat succeeds with zeros; FUSE may pass the file through in the same way. There is no way
            // round to the file below: /proc/self/map_files of a mapping opens the overlay's file again (seen on 6.18).
            FileSystemKind::Stacked(_) | FileSystemKind::Fuse => Err(ZEROS),
        }
    }

    /// How much of a file is cached.
    pub fn measure(&self, file: &OpenFile) -> FileReport {
        self.report(file, ByteRange::ALL, false)
    }

    /// How much of a range of a file is cached.
    pub fn measure_range(&self, file: &OpenFile, range: ByteRange) -> FileReport {
        self.report(file, range, false)
    }

    /// How much of a file is cached, and which pages.
    ///
    /// The report's `cached` is the number of pages in its map.
    pub fn map(&self, file: &OpenFile) -> FileReport {
        self.report(file, ByteRange::ALL, true)
    }

    /// How much of a range of a file is cached, and which pages. Pages are numbered from the start of the file.
    pub fn map_range(&self, file: &OpenFile, range: ByteRange) -> FileReport {
        self.report(file, range, true)
    }

    /// How much is cached of a range of a file that was opened just now, as [`walk`](super::walk) opens it: what was
    /// known of it then is what stood before the measurement.
    pub fn measure_opened(&self, file: OpenFile, range: ByteRange) -> FileReport {
        let before = file.first_stat();
        let (timestamp, begun) = (SystemTime::now(), Instant::now());
        let found = self.find(&file, before.size, range, false);
        let after = file.stat().unwrap_or(before);
        if is_spoilt(&found, before.size, after.size) {
            return self.report_since(&file, range, false, Some(before), begun);
        }
        let mut report = report(&file, range, before, timestamp, false, found);
        report.changed = file.change(before, after, begun.elapsed() >= LONG);
        report.path = file.into_path();
        report
    }

    /// Measures until a measurement was not spoilt by a change.
    fn report(&self, file: &OpenFile, range: ByteRange, map: bool) -> FileReport {
        self.report_since(file, range, map, None, Instant::now())
    }

    /// The same where there was an attempt already: `first` is what the file was then, and `begun` when that was.
    fn report_since(
        &self,
        file: &OpenFile,
        range: ByteRange,
        map: bool,
        mut first: Option<FileStat>,
        begun: Instant,
    ) -> FileReport {
        let mut attempt = 1;
        loop {
            let timestamp = SystemTime::now();
            let Ok(before) = file.stat() else {
                let mut report = report(file, range, file.first_stat(), timestamp, map, Err(VANISHED));
                report.path = file.path().to_owned();
                return report;
            };
            let first = *first.get_or_insert(before);
            let found = self.find(file, before.size, range, map);
            let after = file.stat().unwrap_or(before);
            let spoilt = is_spoilt(&found, before.size, after.size);
            if spoilt && attempt < ATTEMPTS {
                attempt += 1;
                continue;
            }
            let found = if spoilt { Err(CHANGED) } else { found };
            let mut report = report(file, range, before, timestamp, map, found);
            report.changed = file.change(first, after, begun.elapsed() >= LONG);
            report.path = file.path().to_owned();
            return report;
        }
    }

    /// Measures once.
    fn find(&self, file: &OpenFile, size: Bytes, range: ByteRange, map: bool) -> Figure<Found> {
        let method = self.method(file)?;
        let asked = range.pages(size, file.page_size());
        if asked.is_empty() {
            return Ok(nothing(method, map));
        }
        match method {
            Method::Cachestat => self.with_cachestat(file, size, asked, map),
            Method::Mincore => self.with_mincore(file, size, asked, map),
        }
    }

    fn with_cachestat(&self, file: &OpenFile, size: Bytes, asked: Run, map: bool) -> Figure<Found> {
        if !map {
            let Findings { stat, .. } = Count::pieces(asked).find_all(self.threads, || Count(file))?;
            return Ok(Found { residency: residency(file, &stat), runs: None });
        }
        let search = || Search::new(file, size, self.mincore);
        let Findings { stat, runs } = Search::pieces(asked).find_all(self.threads, search)?;
        let residency = Residency { cached: runs.cached(), ..residency(file, &stat) };
        Ok(Found { residency, runs: Some(runs) })
    }

    fn with_mincore(&self, file: &OpenFile, size: Bytes, asked: Run, map: bool) -> Figure<Found> {
        let proof = Looker::prove(file, size)?;
        let look = || LookAtAll::new(Looker::proven(proof), map);
        let Findings { stat, runs } = LookAtAll::pieces(asked).find_all(self.threads, look)?;
        if !map {
            return Ok(Found { residency: only_cached(Pages(stat.cached)), runs: None });
        }
        Ok(Found { residency: only_cached(runs.cached()), runs: Some(runs) })
    }
}

/// Whether a measurement is worthless: the file shrank under it, so that it counted pages that are no more.
///
/// A file that only grew, or was written to, keeps its figures: they are true of the pages that were asked about.
fn is_spoilt(found: &Figure<Found>, before: Bytes, after: Bytes) -> bool {
    match found {
        Ok(_) => after < before,
        Err(absent) => absent.reason == Reason::Changed,
    }
}

/// What `cachestat` said, as figures.
fn residency(file: &OpenFile, stat: &CacheStat) -> Residency {
    // The entries of a file in DAX mode are no pages, and cachestat takes them for marks of evicted ones. Only a file
    // with such marks and nothing cached can be one, so others are spared the question.
    let is_dax = stat.cached == 0 && stat.evicted != 0 && dax::is_dax(file.as_fd());
    let marks = |count| if is_dax { Err(DAX) } else { Ok(Pages(count)) };
    Residency {
        cached: Pages(stat.cached),
        dirty: Ok(Pages(stat.dirty)),
        writeback: Ok(Pages(stat.writeback)),
        evicted: marks(stat.evicted),
        recently_evicted: marks(stat.recently_evicted),
        method: Method::Cachestat,
    }
}

fn only_cached(cached: Pages) -> Residency {
    Residency {
        cached,
        dirty: Err(MINCORE_ONLY),
        writeback: Err(MINCORE_ONLY),
        evicted: Err(MINCORE_ONLY),
        recently_evicted: Err(MINCORE_ONLY),
        method: Method::Mincore,
    }
}

/// The figures of no pages, which need no kernel to be known: all are zero, even those that the method could not tell.
///
/// The kernel is not asked: to cachestat a length of zero means "all", and mincore refuses it.
fn nothing(method: Method, map: bool) -> Found {
    let none = Ok(Pages(0));
    let residency =
        Residency { cached: Pages(0), dirty: none, writeback: none, evicted: none, recently_evicted: none, method };
    Found { residency, runs: map.then(PageRuns::new) }
}

/// The report of what was found, without a path.
fn report(
    file: &OpenFile,
    range: ByteRange,
    stat: FileStat,
    timestamp: SystemTime,
    map: bool,
    found: Figure<Found>,
) -> FileReport {
    let page_size = file.page_size();
    let asked = range.pages(stat.size, page_size);
    let (residency, runs) = match found {
        Ok(found) => (Ok(found.residency), found.runs.map(Ok)),
        Err(absent) => (Err(absent), map.then_some(Err(absent))),
    };
    FileReport {
        path: PathBuf::new(),
        size: stat.size,
        timestamp,
        mtime: stat.mtime,
        page_size,
        asked,
        pages: asked.pages(),
        residency,
        changed: None,
        runs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_shrank_is_measured_again_and_one_that_grew_is_not() {
        let found = || Ok(nothing(Method::Cachestat, false));
        assert!(is_spoilt(&found(), Bytes(8192), Bytes(8191)));
        assert!(!is_spoilt(&found(), Bytes(8192), Bytes(8192)));
        assert!(!is_spoilt(&found(), Bytes(8192), Bytes(8193)));
        assert!(is_spoilt(&Err(CHANGED), Bytes(1), Bytes(1)));
    }

    #[test]
    fn a_denial_stays_a_denial_when_the_file_shrinks() {
        let denied = Absent::new(Reason::Denied, "not yours");
        assert!(!is_spoilt(&Err(denied), Bytes(8192), Bytes(0)));
    }
}
