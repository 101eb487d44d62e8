//! Finds cached data that the disk does not have although the kernel calls its pages clean, because writing them back
//! failed. The kernel reports such a failure to one process only, so no later one can rely on being told.
//!
//! A page of which no block is written on the disk reads as zeros once it was dropped. If it holds anything else, its
//! data is lost then. This does not find data that should have replaced blocks in place: they count as written.

use std::ops::ControlFlow;

use nix::errno::Errno;

use super::warm::map_of;
use crate::kernel::{advise, fiemap};
use crate::pagecache::{Engine, FileReport, OpenFile};
use crate::units::{ByteRange, Bytes, PageRuns, PageSize, Pages, Run};

/// How much is read at a time.
const PORTION: usize = 1 << 20;

/// What the search for data that only the page cache has came to.
pub(super) enum Search {
    /// There is none, as far as the file system can tell.
    None,
    /// There is some.
    Found,
    /// The caller has stopped it.
    Stopped,
    /// Writing back failed.
    Failed(Errno),
}

/// The parts of a search that do not change.
struct Searcher<'a> {
    engine: &'a Engine,
    file: &'a OpenFile,
    page: PageSize,
    /// The size of the file.
    size: Bytes,
}

/// Searches the pages of a report, which were written back. `go_on` is called before each portion.
///
/// Nothing is read from the disk but the list of extents: pages that have a written block are not looked at. Files on
/// file systems that have no such list are not searched.
pub(super) fn search(
    engine: &Engine,
    file: &OpenFile,
    report: &FileReport,
    go_on: &mut impl FnMut() -> ControlFlow<()>,
) -> Search {
    let searcher = Searcher { engine, file, page: report.page_size, size: report.size };
    let mut buffer = Vec::new();
    let mut rest = report.asked;
    while !rest.is_empty() {
        if go_on().is_break() {
            return Search::Stopped;
        }
        let Ok((written, known)) = searcher.written(rest) else { return Search::None };
        rest = Run::between(known.end(), rest.end());
        match searcher.first_data(&PageRuns::from(known).subtract(&written), &mut buffer, go_on) {
            ControlFlow::Continue(None) => {}
            ControlFlow::Continue(Some(page)) => match searcher.is_only_copy(page, &mut buffer) {
                // The disk may have more by now, so the file system is asked again.
                Ok(false) => rest = Run::between(page.end(), report.asked.end()),
                Ok(true) => return Search::Found,
                Err(errno) => return Search::Failed(errno),
            },
            ControlFlow::Break(()) => return Search::Stopped,
        }
    }
    Search::None
}

impl Searcher<'_> {
    /// The pages at the start of `rest` of which the disk has at least one block, and for which pages that is known.
    fn written(&self, rest: Run) -> Result<(PageRuns, Run), Errno> {
        let (start, end) = (rest.offset(self.page).0, Pages(rest.end()).bytes(self.page).0);
        let found = fiemap::on_disk(self.file.handle(), start..end)?;
        let pages = |bytes: &std::ops::Range<u64>| {
            Run::between(bytes.start / self.page.bytes(), self.page.pages(Bytes(bytes.end)).0)
        };
        // The last page may be known only in part. A page has fewer blocks than there are extents in one answer.
        let known = Run::between(rest.first, (found.end / self.page.bytes()).max(rest.first.saturating_add(1)));
        Ok((found.written.iter().map(pages).collect(), known.overlap(rest)))
    }

    /// The first of these pages that is cached, clean, and not all zeros.
    fn first_data(
        &self,
        bare: &PageRuns,
        buffer: &mut Vec<u8>,
        go_on: &mut impl FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<(), Option<Run>> {
        let (Some(first), Some(last)) = (bare.iter().next(), bare.iter().last()) else {
            return ControlFlow::Continue(None);
        };
        let report = self.engine.map_range(self.file, self.bytes(Run::between(first.first, last.end())));
        let cached: PageRuns = map_of(&report).iter().chain(&report.stale).copied().collect();
        let cached = cached.intersect(bare);
        if !cached.is_empty() && buffer.is_empty() {
            buffer.resize(PORTION, 0);
            // If this fails, more of the hole is read than is cached, which does no harm.
            let _ = advise::expect_random(self.file.handle());
        }
        for run in &cached {
            let mut rest = *run;
            while !rest.is_empty() {
                go_on()?;
                let (looked_at, data) = self.look(rest, buffer);
                if let Some(page) = data.filter(|page| !self.is_dirty(*page)) {
                    return ControlFlow::Continue(Some(page));
                }
                let next = data.map_or(rest.first.saturating_add(looked_at.max(1)), Run::end);
                rest = Run::between(next, run.end());
            }
        }
        ControlFlow::Continue(None)
    }

    /// Reads pages from the start of `rest`. Returns how many, and the first one that is not all zeros. All that could
    /// not be read counts as looked at.
    fn look(&self, rest: Run, buffer: &mut [u8]) -> (u64, Option<Run>) {
        let start = rest.offset(self.page).0;
        let wanted = Pages(rest.end()).bytes(self.page).0.min(self.size.0).saturating_sub(start);
        let wanted = usize::try_from(wanted).map_or(buffer.len(), |wanted| wanted.min(buffer.len()));
        let portion = buffer.get_mut(..wanted).unwrap_or_default();
        let count = self.file.handle().read_at(portion, start).unwrap_or_default();
        if count == 0 {
            return (rest.count, None);
        }
        let read = portion.get(..count).unwrap_or_default();
        let mut pages = read.chunks(usize::try_from(self.page.bytes()).unwrap_or(PORTION));
        // All bytes of a page, not only up to the first: this way the compiler takes many at once.
        let data = pages.position(|page| page.iter().fold(0, |all, byte| all | byte) != 0);
        let data = data.map(|index| Run { first: rest.first.saturating_add(index as u64), count: 1 });
        (self.page.pages(Bytes(count as u64)).0, data)
    }

    /// Whether a page has been changed since it was written back. Then it is not dropped.
    fn is_dirty(&self, page: Run) -> bool {
        let report = self.engine.measure_range(self.file, self.bytes(page));
        [report.dirty(), report.writeback()].iter().any(|pages| pages.is_ok_and(|pages| pages > Pages(0)))
    }

    /// Whether a page still holds data that the disk does not have. The page may have been written back after the file
    /// system was asked, or been changed or cut off; and btrfs may not have finished with it, which `fdatasync` waits
    /// for.
    fn is_only_copy(&self, page: Run, buffer: &mut [u8]) -> Result<bool, Errno> {
        match advise::write_back_all(self.file.handle()) {
            Ok(()) | Err(Errno::EINVAL | Errno::EROFS) => {}
            Err(errno) => return Err(errno),
        }
        let is_written = self.written(page).is_ok_and(|(written, _)| written.contains(page.first));
        Ok(!is_written && self.look(page, buffer).1.is_some() && !self.is_dirty(page))
    }

    fn bytes(&self, run: Run) -> ByteRange {
        ByteRange { offset: run.offset(self.page).0, length: run.pages().bytes(self.page).0 }
    }
}
