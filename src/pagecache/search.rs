//! The page map in few questions: `cachestat` about ranges of a file, `mincore` where ranges stop paying.
//!
//! A range of which nothing or everything is cached is settled by one call, whatever its length. A mixed one is split.
//! Where the cached pages lie scattered, splitting would ask about each of them again and again, so there `mincore`
//! looks at every page, until the file calms down.
//!
//! Costs, measured on Linux 6.18: a `cachestat` call 0.3 us, and 28 to 40 ns a cached page in it (far less in large
//! folios); `mincore` 55 to 90 ns a page, cached or not. So a mixed range costs about a third of looking at it, each
//! time it is asked about; and an empty one costs nothing.
//!
//! A file is never asked about as a whole. The pieces that it is settled in are asked about once each, and the sum of
//! what they say are the file's figures; a scattered piece is looked at right after it was asked about, when what the
//! kernel keeps of its pages is still in the processor's cache, and then both take little longer than the look alone.

use std::os::fd::AsFd;

use nix::errno::Errno;

use super::file::OpenFile;
use super::look::Looker;
use super::pieces::{Finder, Findings, Pieces};
use crate::kernel::cachestat::{CacheStat, cachestat};
use crate::units::{Absent, Bytes, Reason, Run};

/// A mixed range of no more pages than this is looked at page by page: about 8 us, as much as some 25 questions.
const LEAF: u64 = 128;

/// One page that differs from its neighbours is found with questions as long as the range has more pages than this:
/// halving it takes two questions, and the half left to be looked at costs less than all of it by more than that.
const LEAF_OF_ONE: u64 = 32;

/// How many pages are asked about and then looked at: what the kernel keeps of so many pages of 4 KiB (some 350 KiB)
/// fits into a processor's second cache.
const SCATTERED_PIECE: u64 = 4096;

/// How many pieces a file is settled in at the most: an empty one costs as many questions, 0.3 ms.
const PIECES: u64 = 1024;

/// The number of pages in a sample that tells whether a range is scattered. A sample of this size is mixed more often
/// than not where runs are shorter than about twice as long, and then most leaves would be mixed too.
const SAMPLE: u64 = 64;

const NOT_YOURS: Absent =
    Absent::new(Reason::Denied, "the kernel tells what is cached of a file only to its owner or a writer");
const HUGE: Absent = Absent::new(Reason::Unsupported, "huge pages of hugetlbfs are in no page cache");
const REFUSED: Absent = Absent::new(Reason::Unsupported, "cachestat failed on this file");
const SHRANK: Absent = Absent::new(Reason::Changed, "it shrank while it was measured");

/// Finds the cached pages of one file.
pub(super) struct Search<'a> {
    file: &'a OpenFile,
    looker: Eyes<'a>,
    /// Whether the last piece that was mixed was scattered: the next one will be too.
    scattered: bool,
}

/// Whether pages can be looked at.
enum Eyes<'a> {
    /// Not tried yet, and this is the file's size: most files have nothing to look at.
    Closed(Bytes),
    Open(Looker<'a>),
    /// `mincore` must not be asked, or failed: then questions go down to single pages, which is slower and as right.
    Blind,
}

/// Counts the cached pages of one file and does not ask which they are.
pub(super) struct Count<'a>(pub(super) &'a OpenFile);

impl<'a> Search<'a> {
    /// A search in a file of `size` bytes, with `mincore` to help if `looks`.
    pub(super) fn new(file: &'a OpenFile, size: Bytes, looks: bool) -> Search<'a> {
        Search { file, looker: if looks { Eyes::Closed(size) } else { Eyes::Blind }, scattered: false }
    }

    /// The pieces that a file is settled in.
    pub(super) fn pieces(asked: Run) -> Pieces {
        Pieces::new(asked, PIECES, SCATTERED_PIECE)
    }

    /// Asks about a piece, adds up what is said, and appends its cached pages.
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

    /// Appends the cached pages of `run`, of which a question has just counted `cached`.
    fn settle_counted(&mut self, run: Run, cached: u64, found: &mut Findings) -> Result<(), Absent> {
        if cached == 0 {
            return Ok(());
        }
        if cached == run.count || run.count == 1 {
            found.runs.append(run);
            return Ok(());
        }
        let odd = cached.min(run.count - cached);
        if run.count <= LEAF {
            return if odd == 1 && run.count > LEAF_OF_ONE { self.halve(run, found) } else { self.look(run, found) };
        }
        // Runs as short as a leaf everywhere need an odd page a leaf; fewer cannot be everywhere.
        let may_be_scattered = odd > run.count / LEAF && self.can_look();
        if may_be_scattered && (self.scattered && run.count <= SCATTERED_PIECE || is_scattered(self.file, run)?) {
            return self.look_until_calm(run, found);
        }
        self.split(run, cached, found)
    }

    /// Settles the parts of a mixed range, in order.
    ///
    /// The more pages are cached in it, the more the question costs that finds the next level mixed again, and the
    /// more parts are worth asking about at once: with 64 parts, 256 MiB in a file of 1 TiB are found in three levels.
    fn split(&mut self, run: Run, cached: u64, found: &mut Findings) -> Result<(), Absent> {
        let parts = (cached / 8).clamp(4, 64);
        Pieces::new(run, parts, 1).iter().try_for_each(|part| self.settle(part, found))
    }

    /// Looks at a scattered range, piece by piece, and goes back to questions when one of them turns out calm.
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

    /// Looks at a range page by page; with questions where `mincore` cannot or must not be asked.
    fn look(&mut self, run: Run, found: &mut Findings) -> Result<(), Absent> {
        if !self.can_look() {
            return self.halve(run, found);
        }
        if let Eyes::Open(looker) = &mut self.looker
            && looker.map(run, &mut found.runs).is_err()
        {
            // What it has told before it failed stays; asking again adds the rest.
            self.looker = Eyes::Blind;
            return self.settle(run, found);
        }
        Ok(())
    }

    /// Whether pages can be looked at, found out when it is first needed.
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
    /// The pieces that a file is counted in: few, as nothing is gained but that several threads can share them.
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

/// What `cachestat` says of `run`.
fn ask(file: &OpenFile, run: Run) -> Result<CacheStat, Absent> {
    let page = file.page_size();
    let stat = cachestat(file.as_fd(), run.offset(page).0, run.pages().bytes(page).0).map_err(refusal)?;
    if stat.cached > run.count { Err(SHRANK) } else { Ok(stat) }
}

/// Whether most of some small samples of a mixed range are mixed themselves.
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

/// What an error of `cachestat` means, where the call itself is known to be available.
fn refusal(errno: Errno) -> Absent {
    match errno {
        Errno::EPERM | Errno::EACCES => NOT_YOURS,
        Errno::EOPNOTSUPP => HUGE,
        _ => REFUSED,
    }
}
