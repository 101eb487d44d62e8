//! The page map in few questions: `cachestat` about ranges of a file, `mincore` where ranges stop paying.
//!
//! A range of which nothing or everything is cached is settled by one call, whatever its length. A mixed one is split.
//! Where the cached pages lie scattered, splitting would ask about each of them again and again, so there `mincore`
//! looks at every page, until the file calms down.
//!
//! Costs, measured on Linux 6.18: a `cachestat` call 0.3 us, and 28 to 40 ns a cached page in it (far less in large
//! folios); `mincore` 55 to 90 ns a page, cached or not. So a mixed range costs about a third of looking at it, each
//! time it is asked about; and an empty one costs nothing.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use super::look::Looker;
use super::range::Run;
use super::runs::PageRuns;
use crate::kernel::cachestat::{CacheStat, cachestat};
use crate::units::PageSize;

/// A mixed range of no more pages than this is looked at page by page: about 8 us, as much as some 25 questions.
const LEAF: u64 = 128;

/// The number of pages in a sample that tells whether a range is scattered. A sample of this size is mixed more often
/// than not where runs are shorter than about twice as long, and then most leaves would be mixed too.
const SAMPLE: u64 = 64;

/// What is found out about one file: the runs so far, and the means to find more.
pub(super) struct Search<'a> {
    pub(super) fd: BorrowedFd<'a>,
    pub(super) page: PageSize,
    /// Absent where `mincore` must not be asked: then questions go down to single pages.
    pub(super) looker: Option<Looker<'a>>,
    pub(super) runs: PageRuns,
}

impl Search<'_> {
    /// What `cachestat` says of `run`.
    ///
    /// # Errors
    /// Those of [`cachestat`].
    pub(super) fn ask(&self, run: Run) -> Result<CacheStat, Errno> {
        cachestat(self.fd, run.offset(self.page).0, run.pages().bytes(self.page).0)
    }

    /// Appends the cached pages of `run`.
    ///
    /// # Errors
    /// Those of [`cachestat`].
    pub(super) fn settle(&mut self, run: Run) -> Result<(), Errno> {
        if run.is_empty() {
            return Ok(());
        }
        let cached = self.ask(run)?.cached;
        self.settle_counted(run, cached)
    }

    /// Appends the cached pages of `run`, of which a question has just counted `cached`.
    ///
    /// # Errors
    /// Those of [`cachestat`].
    pub(super) fn settle_counted(&mut self, run: Run, cached: u64) -> Result<(), Errno> {
        if cached == 0 {
            return Ok(());
        }
        if cached == run.count || run.count == 1 {
            self.runs.append(run);
            return Ok(());
        }
        if run.count <= LEAF {
            return self.look(run);
        }
        match self.looker {
            Some(_) if self.is_scattered(run)? => self.look_until_calm(run),
            _ => self.split(run, cached),
        }
    }

    /// Settles the parts of a mixed range, in order.
    ///
    /// The more pages are cached in it, the more the question costs that finds the next level mixed again, and the
    /// more parts are worth asking about at once: with 64 parts, 256 MiB in a file of 1 TiB are found in three levels.
    fn split(&mut self, run: Run, cached: u64) -> Result<(), Errno> {
        let parts = (cached / 8).clamp(4, 64);
        // A power of two, and aligned to it: large folios are so too, and then lie in one part.
        let length = run.count.div_ceil(parts).next_power_of_two();
        let mut first = run.first;
        while first < run.end() {
            let end = (first - first % length).saturating_add(length).min(run.end());
            self.settle(Run::between(first, end))?;
            first = end;
        }
        Ok(())
    }

    /// Whether most of some small samples of a mixed range are mixed themselves.
    fn is_scattered(&self, run: Run) -> Result<bool, Errno> {
        let samples = (run.count / (SAMPLE * 16)).clamp(2, 16);
        let step = run.count / samples;
        let mut mixed = 0;
        for index in 0..samples {
            let sample =
                Run { first: run.first + index * step + (step - SAMPLE.min(step)) / 2, count: SAMPLE.min(step) };
            let cached = self.ask(sample)?.cached;
            mixed += u64::from(cached != 0 && cached != sample.count);
        }
        Ok(mixed * 2 > samples)
    }

    /// Looks at a scattered range page by page, in growing pieces, and goes back to questions when one of them turns
    /// out calm.
    fn look_until_calm(&mut self, run: Run) -> Result<(), Errno> {
        let mut first = run.first;
        let mut length = 4096;
        while first < run.end() {
            let piece = Run::between(first, first.saturating_add(length).min(run.end()));
            let before = self.runs.len();
            self.look(piece)?;
            let calm = (self.runs.len() - before) as u64 * LEAF < piece.count;
            first = piece.end();
            if calm {
                // Ask about no more than a piece like the last one: the rest may be scattered again, and a question
                // about all of it for every calm piece would cost the square of the file's size.
                let next = Run::between(first, first.saturating_add(length).min(run.end()));
                self.settle(next)?;
                first = next.end();
            }
            length = (length * 2).min(1 << 18);
        }
        Ok(())
    }

    /// Looks at a range page by page; with questions where `mincore` cannot or must not be asked.
    fn look(&mut self, run: Run) -> Result<(), Errno> {
        let Some(looker) = &mut self.looker else {
            return self.halve(run);
        };
        if looker.map(run, &mut self.runs).is_err() {
            // What it has told before it failed stays; asking again adds the rest.
            self.looker = None;
            return self.settle(run);
        }
        Ok(())
    }

    /// Settles both halves of a mixed range.
    fn halve(&mut self, run: Run) -> Result<(), Errno> {
        let middle = run.first + run.count / 2;
        self.settle(Run::between(run.first, middle))?;
        self.settle(Run::between(middle, run.end()))
    }
}
