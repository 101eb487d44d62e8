//! Builds the page map with few calls: `cachestat` for ranges of a file, `mincore` where the cached pages are
//! scattered.
//!
//! One call settles a range of any length in which no page or every page is cached. A mixed range is split. Where
//! cached pages are scattered, splitting would count each of them again and again, so `mincore` looks at every page
//! there.
//!
//! Costs on Linux 6.18: 0.3 us per `cachestat` call plus 28 to 40 ns per cached page (far less in large folios); 55 to
//! 90 ns per page for `mincore`, cached or not. So each `cachestat` call on a mixed range costs about a third of
//! looking at every page, and one on an empty range costs nothing.
//!
//! The file is divided into pieces, `cachestat` counts each piece once, and the sum is the result for the file. A
//! scattered piece is looked at right after it was counted, while the kernel's data about it is still in the
//! processor's cache.

use std::num::NonZeroUsize;

use nix::errno::Errno;

use super::file::OpenFile;
use super::look::Looker;
use super::pieces::{Finder, Findings, Pieces};
use crate::kernel::cachestat::{CacheStat, cachestat};
use crate::units::{Absent, Bytes, Reason, Run};

/// A mixed range of at most this many pages is looked at page by page: about 8 us, as much as 25 `cachestat` calls.
const LEAF: u64 = 128;

/// If only one page of a range differs and the range has more pages than this, the range is halved: that takes two
/// `cachestat` calls, which cost less than looking at the other half.
const LEAF_OF_ONE: u64 = 32;

/// How many pages are counted and then looked at: the kernel's data about this many pages (about 350 KiB) fits into a
/// second-level cache.
const SCATTERED_PIECE: u64 = 4096;

/// The highest number of pieces of a file. An empty file costs one `cachestat` call per piece, 0.3 ms.
const PIECES: u64 = 1024;

/// How many pages a sample has. If runs are shorter than about twice this length, most samples are mixed, and so would
/// be most leaves.
const SAMPLE: u64 = 64;

const NOT_YOURS: Absent =
    Absent::new(Reason::Denied, "the kernel reports the cached pages of a file only to its owner or a writer");
const HUGE: Absent = Absent::new(Reason::Unsupported, "huge pages of hugetlbfs are not in the page cache");
const REFUSED: Absent = Absent::new(Reason::Unsupported, "cachestat failed on this file");
const SHRANK: Absent = Absent::new(Reason::Changed, "it shrank while it was measured");

/// Finds the cached pages of one file.
struct Search<'a> {
    file: &'a OpenFile,
    looker: Eyes<'a>,
    /// Whether every cached page is looked at.
    exact: bool,
    /// Whether the last mixed piece was scattered: the next one probably is too.
    scattered: bool,
}

/// Which pages are looked at with `mincore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// None.
    Never,
    /// Those in ranges where `cachestat` takes longer.
    Scattered,
    /// All that `cachestat` counts.
    Always,
}

/// Finds the cached pages of the range `asked` of a file of `size` bytes.
pub(super) fn search(
    file: &OpenFile,
    size: Bytes,
    asked: Run,
    looks: Looks,
    threads: Option<NonZeroUsize>,
) -> Result<Findings, Absent> {
    Pieces::new(asked, PIECES, SCATTERED_PIECE).find_all(threads, || Search::new(file, size, looks))
}

/// Whether `mincore` can be used.
enum Eyes<'a> {
    /// Not tried yet, with the size of the file: most files do not need it.
    Closed(Bytes),
    Open(Looker<'a>),
    /// `mincore` cannot be used, or failed. `cachestat` is used down to single pages, which is slower.
    Blind,
}

/// Counts the cached pages of one file.
pub(super) struct Count<'a>(pub(super) &'a OpenFile);

impl<'a> Search<'a> {
    /// A search in a file of `size` bytes.
    fn new(file: &'a OpenFile, size: Bytes, looks: Looks) -> Search<'a> {
        let looker = if looks == Looks::Never { Eyes::Blind } else { Eyes::Closed(size) };
        Search { file, looker, exact: looks == Looks::Always, scattered: false }
    }

    /// Counts a piece and appends its cached pages.
    fn count_and_settle(&mut self, run: Run, found: &mut Findings) -> Result<(), Absent> {
        let stat = ask(self.file, run)?;
        found.stat = found.stat.plus(stat);
        self.settle_counted(run, stat.cached, found)
    }

    /// Appends the cached pages of `run`.
    fn settle(&mut self, run: Run, found: &mut Findings) -> Result<(), Absent> {
        if run.is_empty() {
            return Ok(());
        }
        let cached = ask(self.file, run)?.cached;
        self.settle_counted(run, cached, found)
    }

    /// Appends the cached pages of `run`, of which `cachestat` has just counted `cached`.
    fn settle_counted(&mut self, run: Run, cached: u64, found: &mut Findings) -> Result<(), Absent> {
        if cached == 0 {
            return Ok(());
        }
        if self.exact {
            return self.look_at_cached(run, cached, found);
        }
        if cached == run.count || run.count == 1 {
            found.runs.append(run);
            return Ok(());
        }
        let odd = cached.min(run.count - cached);
        if run.count <= LEAF {
            return if odd == 1 && run.count > LEAF_OF_ONE { self.halve(run, found) } else { self.look(run, found) };
        }
        // If fewer pages differ than there are leaves, most leaves are not mixed.
        let may_be_scattered = odd > run.count / LEAF && self.can_look();
        if may_be_scattered && (self.scattered && run.count <= SCATTERED_PIECE || is_scattered(self.file, run)?) {
            return self.look_until_calm(run, found);
        }
        self.split(run, cached, found)
    }

    /// Looks at the pages of a range of which `cached` are counted, and skips parts without any.
    fn look_at_cached(&mut self, run: Run, cached: u64, found: &mut Findings) -> Result<(), Absent> {
        if run.count > LEAF && cached < run.count / 4 {
            return self.split(run, cached, found);
        }
        if self.can_look() {
            return self.look(run, found);
        }
        self.exact = false;
        found.unchecked = true;
        self.settle_counted(run, cached, found)
    }

    /// Splits a mixed range and settles its parts, in order.
    ///
    /// The more pages are cached, the more expensive each level is, so the more parts there are: with 64 parts, 256 MiB
    /// in a file of 1 TiB are found in three levels.
    fn split(&mut self, run: Run, cached: u64, found: &mut Findings) -> Result<(), Absent> {
        let parts = (cached / 8).clamp(4, 64);
        Pieces::new(run, parts, 1).iter().try_for_each(|part| self.settle(part, found))
    }

    /// Looks at a scattered range, piece by piece, and goes back to `cachestat` after a piece that is not scattered.
    fn look_until_calm(&mut self, run: Run, found: &mut Findings) -> Result<(), Absent> {
        self.scattered = true;
        for piece in Pieces::new(run, u64::MAX, SCATTERED_PIECE).iter() {
            if !self.scattered {
                self.settle(piece, found)?;
                continue;
            }
            let before = found.runs.len();
            self.look(piece, found)?;
            self.scattered = (found.runs.len() - before) as u64 * LEAF >= piece.count;
        }
        Ok(())
    }

    /// Looks at a range page by page, or halves it if `mincore` cannot be used.
    fn look(&mut self, run: Run, found: &mut Findings) -> Result<(), Absent> {
        if !self.can_look() {
            return self.halve(run, found);
        }
        if let Eyes::Open(looker) = &mut self.looker
            && looker.map(run, &mut found.runs).is_err()
        {
            // The pages that were found before stay; settling the range again adds the rest.
            self.looker = Eyes::Blind;
            found.unchecked |= std::mem::take(&mut self.exact);
            return self.settle(run, found);
        }
        Ok(())
    }

    /// Whether `mincore` can be used, tested when it is first needed.
    fn can_look(&mut self) -> bool {
        if let Eyes::Closed(size) = self.looker {
            self.looker = Looker::new(self.file, size).map_or(Eyes::Blind, Eyes::Open);
        }
        matches!(self.looker, Eyes::Open(_))
    }

    /// Settles both halves of a mixed range.
    fn halve(&mut self, run: Run, found: &mut Findings) -> Result<(), Absent> {
        let middle = run.first + run.count / 2;
        self.settle(Run::between(run.first, middle), found)?;
        self.settle(Run::between(middle, run.end()), found)
    }
}

impl Finder for Search<'_> {
    fn find(&mut self, piece: Run, found: &mut Findings) -> Result<(), Absent> {
        if self.scattered {
            let mut pieces = Pieces::new(piece, u64::MAX, SCATTERED_PIECE).iter();
            return pieces.try_for_each(|part| self.count_and_settle(part, found));
        }
        self.count_and_settle(piece, found)
    }
}

impl Count<'_> {
    /// The pieces of a file: few, only so that several threads can share them.
    pub(super) fn pieces(asked: Run) -> Pieces {
        Pieces::new(asked, 64, SCATTERED_PIECE)
    }
}

impl Finder for Count<'_> {
    fn find(&mut self, piece: Run, found: &mut Findings) -> Result<(), Absent> {
        found.stat = found.stat.plus(ask(self.0, piece)?);
        Ok(())
    }
}

/// Counts `run` with `cachestat`.
pub(super) fn ask(file: &OpenFile, run: Run) -> Result<CacheStat, Absent> {
    let page = file.page_size();
    let stat = cachestat(file.handle(), run.offset(page).0, run.pages().bytes(page).0).map_err(refusal)?;
    if stat.cached > run.count { Err(SHRANK) } else { Ok(stat) }
}

/// Whether most of several small samples of a mixed range are mixed themselves.
fn is_scattered(file: &OpenFile, run: Run) -> Result<bool, Absent> {
    let samples = (run.count / (SAMPLE * 16)).clamp(2, 16);
    let step = run.count / samples;
    let mut mixed = 0;
    for index in 0..samples {
        let sample = Run { first: run.first + index * step + (step - SAMPLE.min(step)) / 2, count: SAMPLE.min(step) };
        let cached = ask(file, sample)?.cached;
        mixed += u64::from(cached != 0 && cached != sample.count);
    }
    Ok(mixed * 2 > samples)
}

/// What an error of `cachestat` means if the call itself is available.
fn refusal(errno: Errno) -> Absent {
    match errno {
        Errno::EPERM | Errno::EACCES => NOT_YOURS,
        Errno::EOPNOTSUPP => HUGE,
        Errno::ETIMEDOUT => Absent::SILENT,
        _ => REFUSED,
    }
}
