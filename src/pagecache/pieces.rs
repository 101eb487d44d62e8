//! Divides a file into pieces that are measured one after the other, or by several threads if there is enough to do.
//!
//! The caller's thread begins alone, and others join it if it takes longer than it takes to start them. The result does
//! not depend on the number of threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::kernel::cachestat::CacheStat;
use crate::units::{Absent, PageRuns, Run};

/// How long one thread works alone before others join: several times the cost of starting a thread (about 0.1 ms).
const ALONE: Duration = Duration::from_micros(500);

/// Consecutive pages, divided at multiples of a length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    all: Run,
    length: u64,
}

/// The result for one or more pieces.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The sum of what the kernel counted.
    pub(super) stat: CacheStat,
    /// Which pages are cached, if requested.
    pub(super) runs: PageRuns,
    /// Whether pages that were to be looked at could not be.
    pub(super) unchecked: bool,
}

/// Measures pieces, one after the other. It may keep state between them.
pub(super) trait Finder {
    /// Adds the result for a piece, which follows everything in `found`.
    fn find(&mut self, piece: Run, found: &mut Findings) -> Result<(), Absent>;
}

impl Pieces {
    /// Divides `all` into pieces whose length is a power of two, so that a large folio does not span two pieces.
    ///
    /// There are at most about `count` pieces. Only the first and the last can be shorter than `shortest` pages.
    pub(super) fn new(all: Run, count: u64, shortest: u64) -> Pieces {
        let length = all.count.div_ceil(count.max(1)).max(shortest).max(1);
        Pieces { all, length: length.checked_next_power_of_two().unwrap_or(1 << 63) }
    }

    fn count(self) -> u64 {
        if self.all.is_empty() { 0 } else { self.place(self.all.end() - 1) - self.place(self.all.first) + 1 }
    }

    fn get(self, index: u64) -> Run {
        let first = (self.place(self.all.first) + index).saturating_mul(self.length);
        Run { first, count: self.length }.overlap(self.all)
    }

    fn place(self, page: u64) -> u64 {
        page / self.length
    }

    /// The pieces, first page first.
    pub(super) fn iter(self) -> impl Iterator<Item = Run> {
        (0..self.count()).map(move |index| self.get(index))
    }

    /// Measures all pieces with at most `threads` threads (by default as many as this process may use).
    ///
    /// # Errors
    /// The first error of a finder.
    pub(super) fn find_all<F: Finder>(
        self,
        threads: Option<NonZeroUsize>,
        finder: impl Fn() -> F + Sync,
    ) -> Result<Findings, Absent> {
        let began = Instant::now();
        let mut found = Findings::default();
        let mut own = finder();
        let mut next = 0;
        while next < self.count() && began.elapsed() <= ALONE {
            own.find(self.get(next), &mut found)?;
            next += 1;
        }
        let helpers = if self.count() - next > 1 { helpers(threads) } else { 0 };
        if helpers > 0 {
            self.find_together(next, helpers, own, finder, &mut found)?;
        } else {
            (next..self.count()).try_for_each(|index| own.find(self.get(index), &mut found))?;
        }
        Ok(found)
    }

    /// Measures the pieces from `first` on together with other threads.
    fn find_together<F: Finder>(
        self,
        first: u64,
        helpers: usize,
        mut own: F,
        finder: impl Fn() -> F + Sync,
        found: &mut Findings,
    ) -> Result<(), Absent> {
        let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
        let (next, failed, finder) = (&next, &failed, &finder);
        let mut parts: Vec<(u64, PageRuns)> = Vec::new();
        thread::scope(|scope| {
            let help = || scope_help(scope, move || self.find_some(next, failed, &mut finder()));
            // If a thread cannot be started, the others do its work.
            let started: Vec<_> = (0..helpers).map_while(|_| help().ok()).collect();
            let mut shares = vec![self.find_some(next, failed, &mut own)];
            shares.extend(started.into_iter().map(|thread| match thread.join() {
                Ok(share) => share,
                Err(panic) => std::panic::resume_unwind(panic),
            }));
            for share in shares {
                let (stat, runs, unchecked) = share?;
                found.stat = found.stat.plus(stat);
                found.unchecked |= unchecked;
                parts.extend(runs);
            }
            Ok(())
        })?;
        parts.sort_unstable_by_key(|(index, _)| *index);
        found.runs.reserve(parts.iter().map(|(_, runs)| runs.len()).sum());
        parts.iter().flat_map(|(_, runs)| runs).for_each(|run| found.runs.append(*run));
        Ok(())
    }

    /// Measures pieces that no other thread has taken. Pieces without cached pages are not stored, so memory grows with
    /// the number of runs, not with the file.
    fn find_some<F: Finder>(self, next: &AtomicU64, failed: &AtomicBool, finder: &mut F) -> Result<Share, Absent> {
        let (mut stat, mut parts, mut unchecked) = (CacheStat::default(), Vec::new(), false);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count() || failed.load(Ordering::Relaxed) {
                return Ok((stat, parts, unchecked));
            }
            let mut found = Findings::default();
            if let Err(absent) = finder.find(self.get(index), &mut found) {
                failed.store(true, Ordering::Relaxed);
                return Err(absent);
            }
            stat = stat.plus(found.stat);
            unchecked |= found.unchecked;
            if !found.runs.is_empty() {
                parts.push((index, found.runs));
            }
        }
    }
}

/// The result of one thread: counts, the runs of each piece that has any, and whether anything could not be checked.
type Share = (CacheStat, Vec<(u64, PageRuns)>, bool);

fn scope_help<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> std::io::Result<thread::ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().name("rmap-pages".to_owned()).spawn_scoped(scope, work)
}

/// How many threads may join the caller's.
fn helpers(threads: Option<NonZeroUsize>) -> usize {
    let threads = threads.or_else(|| thread::available_parallelism().ok());
    threads.map_or(0, |threads| threads.get() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Reason;

    fn run(first: u64, count: u64) -> Run {
        Run { first, count }
    }

    /// Finds every third page, slowly enough for other threads to join.
    struct Slow;

    impl Finder for Slow {
        fn find(&mut self, piece: Run, found: &mut Findings) -> Result<(), Absent> {
            thread::sleep(Duration::from_micros(50));
            for page in (piece.first..piece.end()).filter(|page| page % 3 == 0) {
                found.runs.append(run(page, 1));
                found.stat.cached += 1;
            }
            Ok(())
        }
    }

    #[test]
    fn pieces_cover_every_page_once_and_start_at_multiples_of_their_length() {
        let pieces: Vec<_> = Pieces::new(run(5, 20), 3, 1).iter().collect();
        assert_eq!(pieces, [run(5, 3), run(8, 8), run(16, 8), run(24, 1)]);
        assert_eq!(Pieces::new(run(5, 0), 3, 1).iter().count(), 0);
        assert_eq!(Pieces::new(run(0, 9), 100, 4).iter().count(), 3);
        assert_eq!(Pieces::new(run(0, u64::MAX), 1, 1).iter().map(|piece| piece.count).sum::<u64>(), u64::MAX);
    }

    #[test]
    fn the_number_of_threads_does_not_change_the_result() {
        let found = |threads| {
            let found = Pieces::new(run(7, 4000), 200, 1).find_all(NonZeroUsize::new(threads), || Slow).unwrap();
            (found.stat.cached, found.runs)
        };
        let alone = found(1);
        assert_eq!(alone.0, 1333);
        assert_eq!(alone, found(2));
        assert_eq!(alone, found(7));
    }

    #[test]
    fn one_failed_piece_fails_the_whole() {
        struct Fails;
        impl Finder for Fails {
            fn find(&mut self, piece: Run, found: &mut Findings) -> Result<(), Absent> {
                Slow.find(piece, found)?;
                if piece.end() > 900 { Err(Absent::new(Reason::Changed, "gone")) } else { Ok(()) }
            }
        }
        for threads in [1, 4] {
            let found = Pieces::new(run(0, 1000), 100, 1).find_all(NonZeroUsize::new(threads), || Fails);
            assert_eq!(found.unwrap_err().why, "gone");
        }
    }
}
