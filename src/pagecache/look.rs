//! Finds cached pages one by one with `mincore`, in windows of limited size.
//!
//! Since Linux 5.2 `mincore` reports every page as resident, without an error, to a caller who neither owns the file
//! nor may write it. So it is first tested on pages for which the answer is known.

use nix::errno::Errno;

use super::file::OpenFile;
use super::pieces::{Finder, Findings, Pieces};
use crate::kernel::handle::Handle;
use crate::kernel::mincore::{self, Window};
use crate::units::{Absent, Bytes, PageRuns, PageSize, Reason, Run};

/// How much of a file is mapped at a time: enough that mapping costs little compared to `mincore` (262,144 pages of 4
/// KiB at 55 ns or more, against a few microseconds).
const WINDOW_BYTES: u64 = 1 << 30;

/// How much is mapped at least, if there is not enough address space for more.
const SMALLEST_WINDOW_BYTES: u64 = 1 << 20;

/// Pages per call: the answer takes 64 KiB, which fits into the processor's cache.
const PAGES_A_CALL: u64 = 1 << 16;

const LIES: Absent = Absent::new(Reason::Denied, "mincore is only reliable for the owner or a writer of the file");
const MOVES_ATIME: Absent =
    Absent::new(Reason::Denied, "mapping it for mincore would change its access time; only its owner can avoid that");
const CANNOT_MAP: Absent = Absent::new(Reason::Unsupported, "its file system cannot map it for mincore");
const NO_ROOM: Absent = Absent::new(Reason::Unsupported, "there is not enough address space to map it for mincore");
const BROKEN: Absent =
    Absent::new(Reason::Unsupported, "this sandbox does not let mincore report which pages are cached");
const FAILED: Absent = Absent::new(Reason::Unsupported, "mincore failed");

/// A file for which `mincore` is known to be reliable.
#[derive(Clone, Copy)]
pub(super) struct Proven<'a> {
    handle: &'a Handle,
    page: PageSize,
    /// The number of the page after the last one of the file. No window extends beyond it.
    end: u64,
}

/// Finds the cached pages of one file with `mincore`.
pub(super) struct Looker<'a> {
    file: Proven<'a>,
    window: Option<(Run, Window)>,
    /// How much is mapped at a time: less than [`WINDOW_BYTES`] if there is not enough address space.
    window_bytes: u64,
    answer: Vec<u8>,
}

impl<'a> Looker<'a> {
    /// As [`prove`](Self::prove), then [`proven`](Self::proven).
    pub(super) fn new(file: &'a OpenFile, size: Bytes) -> Result<Looker<'a>, Absent> {
        Looker::prove(file, size).map(Looker::proven)
    }

    /// A looker for a file for which `mincore` is reliable.
    pub(super) fn proven(file: Proven<'a>) -> Looker<'a> {
        Looker { file, window: None, window_bytes: WINDOW_BYTES, answer: Vec::new() }
    }

    /// Checks that `mincore` is reliable for a file of `size` bytes and that mapping it does not change its access
    /// time.
    ///
    /// # Errors
    /// The reason why it cannot be used.
    pub(super) fn prove(file: &'a OpenFile, size: Bytes) -> Result<Proven<'a>, Absent> {
        if !file.owned() && file.file_system().keeps_atime {
            return Err(MOVES_ATIME);
        }
        if !mincore::works() {
            return Err(BROKEN);
        }
        let (handle, page) = (file.handle(), file.page_size());
        let end = page.pages(size).0;
        match lies(handle, page, end) {
            Ok(false) => {}
            // There is no page past the end of a file of almost 8 EiB.
            Err(Errno::EOVERFLOW | Errno::EINVAL) if file.owned() => {}
            Ok(true) | Err(Errno::EOVERFLOW | Errno::EINVAL) => return Err(LIES),
            Err(errno) => return Err(absent(errno)),
        }
        Ok(Proven { handle, page, end })
    }

    /// How many pages of `run` are cached.
    ///
    /// # Errors
    /// The system call that failed, as a reason.
    pub(super) fn count(&mut self, run: Run) -> Result<u64, Absent> {
        let mut cached = 0u64;
        self.each_call(run, |_, answer| cached += answer.iter().map(|byte| u64::from(byte & 1)).sum::<u64>())?;
        Ok(cached)
    }

    /// Appends the cached pages of `run` to `runs`.
    ///
    /// # Errors
    /// The system call that failed, as a reason; `runs` then holds the pages before it.
    pub(super) fn map(&mut self, run: Run, runs: &mut PageRuns) -> Result<(), Absent> {
        self.each_call(run, |first, answer| append_runs(first, answer, runs))
    }

    /// Calls `take` with the answers for `run`, one byte per page, call by call.
    fn each_call(&mut self, run: Run, mut take: impl FnMut(u64, &[u8])) -> Result<(), Absent> {
        let mut answer = std::mem::take(&mut self.answer);
        let mut next = run.first;
        while next < run.end() {
            let (start, window) = self.window_at(next).map_err(absent)?;
            let count = (run.end() - next).min(PAGES_A_CALL).min(start.end().saturating_sub(next));
            let (Ok(inside), Ok(length)) = (usize::try_from(next - start.first), usize::try_from(count)) else {
                return Err(NO_ROOM);
            };
            if length == 0 {
                return Err(FAILED);
            }
            answer.resize(length, 0);
            window.cached(inside, &mut answer).map_err(absent)?;
            take(next, &answer);
            next += count;
        }
        self.answer = answer;
        Ok(())
    }

    /// The window that holds `page`, mapped if necessary.
    fn window_at(&mut self, page: u64) -> Result<(Run, &Window), Errno> {
        let held = self.window.take().filter(|(run, _)| run.first <= page && page < run.end());
        let (run, window) = match held {
            Some(held) => held,
            None => self.map_around(page)?,
        };
        let (run, window) = self.window.insert((run, window));
        Ok((*run, window))
    }

    fn map_around(&mut self, page: u64) -> Result<(Run, Window), Errno> {
        let Proven { handle, page: size, end } = self.file;
        loop {
            let pages = (self.window_bytes / size.bytes()).max(1);
            let first = page - page % pages;
            let run = Run::between(first, first.saturating_add(pages).min(end));
            let length = usize::try_from(run.pages().bytes(size).0).map_err(|_| Errno::ENOMEM)?;
            match map(handle, size, run.first, length) {
                Err(Errno::ENOMEM) if self.window_bytes > SMALLEST_WINDOW_BYTES => self.window_bytes /= 2,
                mapped => return Ok((run, mapped?)),
            }
        }
    }
}

/// Looks at every page of a file, if no other method is reliable.
pub(super) struct LookAtAll<'a> {
    looker: Looker<'a>,
    map: bool,
}

impl<'a> LookAtAll<'a> {
    /// Finds out which pages are cached if `map` is set, else only how many.
    pub(super) fn new(looker: Looker<'a>, map: bool) -> LookAtAll<'a> {
        LookAtAll { looker, map }
    }

    /// The pieces of a file, one call each.
    pub(super) fn pieces(asked: Run) -> Pieces {
        Pieces::new(asked, u64::MAX, PAGES_A_CALL)
    }
}

impl Finder for LookAtAll<'_> {
    fn find(&mut self, piece: Run, found: &mut Findings) -> Result<(), Absent> {
        if self.map {
            return self.looker.map(piece, &mut found.runs);
        }
        found.stat.cached += self.looker.count(piece)?;
        Ok(())
    }
}

/// Whether `mincore` does not report the truth about this file. Tested on a page that cannot be cached: one so far past
/// the end that no huge folio reaches it.
///
/// The kernel checks the file that is really mapped, which on overlayfs and FUSE is not the one that was opened, so
/// this is tested for the owner too.
fn lies(file: &Handle, page: PageSize, end: u64) -> Result<bool, Errno> {
    let distance = (WINDOW_BYTES / page.bytes()).max(1);
    let beyond = (end / distance + 2).saturating_mul(distance);
    let length = usize::try_from(page.bytes()).map_err(|_| Errno::EINVAL)?;
    let window = map(file, page, beyond, length)?;
    let mut answer = [0];
    window.cached(0, &mut answer)?;
    Ok(answer != [0])
}

fn map(file: &Handle, page: PageSize, first: u64, length: usize) -> Result<Window, Errno> {
    let offset = first.checked_mul(page.bytes()).ok_or(Errno::EOVERFLOW)?;
    let page = usize::try_from(page.bytes()).map_err(|_| Errno::EINVAL)?;
    Window::map(file, offset, length, page)
}

fn absent(errno: Errno) -> Absent {
    match errno {
        Errno::ENODEV | Errno::EACCES => CANNOT_MAP,
        Errno::ENOMEM => NO_ROOM,
        Errno::ETIMEDOUT => Absent::SILENT,
        _ => FAILED,
    }
}

/// Appends the pages that are cached according to `answer`, whose first byte is for page `first`.
fn append_runs(first: u64, answer: &[u8], runs: &mut PageRuns) {
    let mut page = first;
    for same in answer.chunk_by(|one, next| (one ^ next) & 1 == 0) {
        let count = same.len() as u64;
        if same.first().is_some_and(|byte| byte & 1 == 1) {
            runs.append(Run { first: page, count });
        }
        page += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lowest_bit_counts() {
        let mut runs = PageRuns::new();
        append_runs(10, &[1, 3, 2, 0, 0xfe, 0xff], &mut runs);
        append_runs(16, &[1, 0], &mut runs);
        let seen: Vec<_> = runs.iter().map(|run| (run.first, run.count)).collect();
        assert_eq!(seen, [(10, 2), (15, 2)]);
    }
}
