//! Divides a file into stretches of similar pages: data or hole, cached or not.
//!
//! This joins the page map with what the file system reports about its blocks (`SEEK_DATA`, `SEEK_HOLE`), one stretch
//! at a time, so no list of extents is kept.

use nix::errno::Errno;

use super::file::OpenFile;
use crate::kernel::holes;
use crate::units::{Absent, Bytes, Figure, PageRuns, PageSize, Pages, Reason, Run};

const WOULD_WRITE: Absent =
    Absent::new(Reason::Unsupported, "asking its file system for holes would write back dirty pages");
const CANNOT_TELL: Absent = Absent::new(Reason::Unsupported, "its file system does not report holes");

const CUT_OFF: Absent = Absent::new(Reason::Changed, "the file was truncated meanwhile");

/// Consecutive pages of a file that are similar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The pages.
    pub part: Run,
    /// Whether they are in the page cache and up to date.
    pub cached: bool,
    /// Whether they are known to be in the page cache and not up to date.
    pub stale: bool,
    /// Whether they are a hole: there is nothing to read, because no byte of them has a block on the file system, or
    /// only blocks that were reserved (`fallocate`) and never written. A page that is partly a hole is data. A file
    /// system that does not support holes reports everything as data.
    pub hole: Figure<bool>,
}

/// Iterates over the stretches of a part of a file, first page first, without gaps.
///
/// The file system is asked during the iteration, after the page map was taken. A file that is being written may have
/// gained blocks since.
#[derive(Debug)]
pub struct Stretches<'a> {
    file: &'a OpenFile,
    cached: &'a PageRuns,
    stale: &'a PageRuns,
    end: u64,
    next: u64,
    /// The last stretch of data or hole that the file system reported.
    known: Option<(Run, Figure<bool>)>,
}

impl<'a> Stretches<'a> {
    /// The stretches of the pages `asked` of a file, of which `cached` are cached and `stale` are in the page cache but
    /// not up to date.
    pub fn new(file: &'a OpenFile, cached: &'a PageRuns, stale: &'a PageRuns, asked: Run) -> Stretches<'a> {
        Stretches { file, cached, stale, end: asked.end(), next: asked.first, known: None }
    }

    /// The pages of `asked` that have data, or may have data, on the file system.
    pub fn data(file: &OpenFile, asked: Run) -> PageRuns {
        let none = PageRuns::new();
        Stretches::new(file, &none, &none, asked)
            .filter(|stretch| stretch.hole != Ok(true))
            .map(|stretch| stretch.part)
            .collect()
    }

    /// The stretch of data or hole that holds page `next`.
    fn backing(&mut self) -> (Run, Figure<bool>) {
        let held = self.known.filter(|(part, _)| part.first <= self.next && self.next < part.end());
        let known = held.unwrap_or_else(|| self.ask());
        self.known = Some(known);
        known
    }

    /// `rest` if it is a hole up to the end of the file. What lies past the end now was cut off since.
    fn hole_to_the_end(&self, rest: Run) -> (Run, Figure<bool>) {
        let size = self.file.stat().map_or(Bytes(0), |stat| stat.size);
        let before_end = Run::between(rest.first, self.file.page_size().pages(size).0).overlap(rest);
        if before_end.is_empty() { (rest, Err(CUT_OFF)) } else { (before_end, Ok(true)) }
    }

    fn ask(&self) -> (Run, Figure<bool>) {
        let rest = Run::between(self.next, self.end);
        if self.file.file_system().seek_writes {
            return (rest, Err(WOULD_WRITE));
        }
        match data_from(self.file, self.next) {
            Err(_) => (rest, Err(CANNOT_TELL)),
            Ok(None) => self.hole_to_the_end(rest),
            Ok(Some(data)) if data.first > self.next => (Run::between(self.next, data.first).overlap(rest), Ok(true)),
            // The data was truncated since and ends before the page: then only this page counts as data.
            Ok(Some(data)) => (Run::between(self.next, data.end().max(self.next + 1)).overlap(rest), Ok(false)),
        }
    }
}

/// The first pages from `page` on that hold data; `None` if only a hole follows.
fn data_from(file: &OpenFile, page: u64) -> Result<Option<Run>, Errno> {
    let size = file.page_size();
    let offset = Pages(page).bytes(size).0;
    let Some(data) = holes::next_data(file.handle(), offset)? else { return Ok(None) };
    // It was data a moment ago. If it no longer is, a hole starts there.
    let hole = holes::next_hole(file.handle(), data)?.unwrap_or(data);
    Ok(Some(Run::between(data / size.bytes(), size.pages(Bytes(hole)).0)))
}

impl Iterator for Stretches<'_> {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        if self.next >= self.end {
            return None;
        }
        let (backing, hole) = self.backing();
        let rest = Run::between(self.next, backing.end().min(self.end));
        let (part, cached) = begin(rest, self.cached);
        let (part, stale) = begin(part, self.stale);
        self.next = part.end();
        Some(Stretch { part, cached, stale, hole })
    }
}

/// The first pages of `rest` that are all in `runs`, or all not, and whether they are.
fn begin(rest: Run, runs: &PageRuns) -> (Run, bool) {
    match runs.within(rest).next() {
        Some(hit) if hit.first == rest.first => (hit, true),
        Some(hit) => (Run::between(rest.first, hit.first), false),
        None => (rest, false),
    }
}

impl Stretch {
    /// How many bytes of a file of `size` bytes it covers. The last page may be partly used.
    pub fn length(&self, size: Bytes, page: PageSize) -> Bytes {
        let end = Pages(self.part.end()).bytes(page).0.min(size.0);
        Bytes(end).saturating_sub(self.part.offset(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    fn sparse(size_in_pages: u64, written: &[u64]) -> OpenFile {
        use nix::sys::memfd::{MFdFlags, memfd_create};
        let file = std::fs::File::from(memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap());
        let page = crate::kernel::page_size().bytes();
        file.set_len(size_in_pages * page).unwrap();
        for index in written {
            file.write_all_at(&[1], index * page).unwrap();
        }
        OpenFile::from_fd(std::path::Path::new("test"), file.into()).unwrap()
    }

    fn seen(file: &OpenFile, cached: &[(u64, u64)], asked: Run) -> Vec<(u64, u64, bool, bool)> {
        let cached: PageRuns = cached.iter().map(|(first, count)| Run { first: *first, count: *count }).collect();
        Stretches::new(file, &cached, &PageRuns::new(), asked)
            .map(|stretch| (stretch.part.first, stretch.part.count, stretch.cached, stretch.hole.unwrap()))
            .collect()
    }

    #[test]
    fn all_four_kinds_are_found_without_gaps() {
        let file = sparse(10, &[2, 3, 6]);
        let all = Run { first: 0, count: 10 };
        assert_eq!(
            seen(&file, &[(1, 2), (9, 1)], all),
            [
                (0, 1, false, true),
                (1, 1, true, true),
                (2, 1, true, false),
                (3, 1, false, false),
                (4, 2, false, true),
                (6, 1, false, false),
                (7, 2, false, true),
                (9, 1, true, true),
            ]
        );
        assert_eq!(seen(&file, &[], Run { first: 3, count: 2 }), [(3, 1, false, false), (4, 1, false, true)]);
        assert_eq!(seen(&file, &[], Run { first: 3, count: 0 }), []);
    }

    #[test]
    fn a_file_without_data_is_one_hole() {
        assert_eq!(seen(&sparse(5, &[]), &[], Run { first: 0, count: 5 }), [(0, 5, false, true)]);
        assert_eq!(Stretches::data(&sparse(5, &[]), Run { first: 0, count: 5 }).len(), 0);
        assert_eq!(Stretches::data(&sparse(5, &[0, 4]), Run { first: 0, count: 5 }).len(), 2);
    }

    #[test]
    fn pages_that_were_cut_off_meanwhile_are_not_called_a_hole() {
        let file = sparse(10, &[0, 2, 9]);
        let none = PageRuns::new();
        let mut stretches = Stretches::new(&file, &none, &none, Run { first: 0, count: 10 });
        assert_eq!(stretches.next().unwrap().hole, Ok(false));
        let again = std::fs::File::from(file.handle().own().unwrap().try_clone_to_owned().unwrap());
        again.set_len(2 * crate::kernel::page_size().bytes()).unwrap();
        let rest: Vec<_> = stretches.map(|stretch| (stretch.part.first, stretch.part.count, stretch.hole)).collect();
        assert_eq!(rest, [(1, 1, Ok(true)), (2, 8, Err(CUT_OFF))]);
    }

    #[test]
    fn the_last_stretch_ends_with_the_file() {
        let page = PageSize::FOUR_KIB;
        let stretch = Stretch { part: Run { first: 1, count: 2 }, cached: true, stale: false, hole: Ok(false) };
        assert_eq!(stretch.length(Bytes(3 * 4096), page), Bytes(8192));
        assert_eq!(stretch.length(Bytes(2 * 4096 + 1), page), Bytes(4097));
    }
}
