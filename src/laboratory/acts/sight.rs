//! Both views of the memory of an experiment.

use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;

use super::figures::{Figures, Mapped, NO_FILE};
use super::script::Kind;
use super::stage::{Backing, Stage};
use crate::error::Result;
use crate::join::open_behind;
use crate::kernel::whereabouts::await_answer;
use crate::pagecache::{Leases, MINCORE_ONLY, Method, OpenFile};
use crate::process::{Fields, FileMapping, Mapping, Wanted};
use crate::units::{Absent, ByteRange, Bytes, Figure, PageRuns, Pages, Portion, Reason, Run};

/// Where most pages of one part of the memory are: the first of these that applies to at least half of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// Mapped in, and dirty.
    Dirty,
    /// Mapped in.
    Mapped,
    /// Cached, and not mapped in.
    Cached,
    /// Some pages are in memory, but no one state holds for half of them.
    Partly,
    /// Not mapped in, and whether the page cache has them cannot be known.
    Unknown,
    /// Not in memory, not even one of them.
    Empty,
}

const ONLY_ROOT: Absent = Absent::new(Reason::Denied, "only root may open the file behind this memory");
const CLOSED: Absent = Absent::new(Reason::Unsupported, "the file cannot be measured");

/// The fields of smaps that are read.
const FIELDS: [&str; 9] = [
    "Rss",
    "Pss",
    "Anonymous",
    "AnonHugePages",
    "FilePmdMapped",
    "ShmemPmdMapped",
    "Swap",
    "Private_Hugetlb",
    "Shared_Hugetlb",
];

impl Stage {
    /// The file, opened to be measured; `None` if there is none.
    pub(super) fn open_file(&self) -> Figure<Option<OpenFile>> {
        let (path, fd) = match &self.file {
            Backing::None => return self.mapped_file(),
            Backing::Named(file, _) => (file.path(), file.file().as_fd()),
            Backing::Memory(fd) => (Path::new("/memfd:rmap-demo"), fd.as_fd()),
        };
        // Otherwise this process would wait for it too, and could not even be interrupted.
        if matches!(self.file, Backing::Named(..)) && await_answer(path).err() == Some(Errno::ETIMEDOUT) {
            return Err(Absent::SILENT);
        }
        let own = fd.try_clone_to_owned().map_err(|_| CLOSED)?;
        OpenFile::from_fd(path, own).map(Some).map_err(|_| CLOSED)
    }

    /// The file behind shared memory without a file, which the kernel makes itself.
    fn mapped_file(&self) -> Figure<Option<OpenFile>> {
        let (Kind::Shmem, Some(range)) = (self.request.kind, self.mapping.clone()) else { return Ok(None) };
        let read = self.process.read_smaps(&mut Fields::new(), &Wanted::Only(Vec::new())).map_err(|_| CLOSED)?;
        let mapping = read.mappings.iter().find(|mapping| mapping.start() == range.start);
        let Some(mapping) = mapping.map(|mapping| FileMapping::of(&mapping)) else { return Ok(None) };
        // It has no name: only who may open the links of map_files can reach it.
        let opened = open_behind(&self.process, &mapping, &Leases::default());
        opened.map(Some).map_err(|absent| if absent.reason == Reason::Vanished { ONLY_ROOT } else { absent })
    }

    /// Both views now.
    ///
    /// # Errors
    /// If smaps cannot be read.
    pub(super) fn observe(&mut self) -> Result<Figures> {
        let mapped = self.read_mapped()?;
        let file = match self.open_file() {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Figures { mapped, ..Figures::nothing() }),
            Err(absent) => {
                let unknown = Figures { mapped, cached: Err(absent), dirty: Err(absent), ..Figures::nothing() };
                return Ok(self.ask_actor(&unknown)?.unwrap_or(unknown));
            }
        };
        let report = self.engine.map(&file);
        let bytes = |figure: Figure<_>| figure.map(|pages: Pages| pages.bytes(report.page_size));
        let dirty = report.dirty().and_then(|dirty| report.writeback().map(|writeback| dirty + writeback));
        let (method, runs) = (report.method(), report.runs.clone().unwrap_or(Err(NO_FILE)));
        let only_mapped = match (&self.mapping, &runs) {
            (Some(range), Ok(runs)) if self.request.kind.is_shared() => {
                Some(self.read_present(range)?.subtract(runs).cached().0)
            }
            _ => None,
        };
        let ends_in_page = !self.request.size.0.is_multiple_of(self.page().bytes());
        let stale = match (report.not_up_to_date(), report.method()) {
            (Ok(pages), _) => Ok(pages.bytes(report.page_size)),
            (Err(absent), Ok(Method::Mincore)) if ends_in_page => Err(absent),
            // All that is in the page cache counts as cached.
            (Err(_), _) => Ok(Bytes(0)),
        };
        Ok(Figures { mapped, cached: bytes(report.cached()), stale, dirty: bytes(dirty), method, runs, only_mapped })
    }

    /// The same for shared memory without a file that cannot be opened here: the process that made it may ask. `None`
    /// if that is not possible either.
    fn ask_actor(&mut self, unknown: &Figures) -> Result<Option<Figures>> {
        let (Kind::Shmem, Some(range)) = (self.request.kind, self.mapping.clone()) else { return Ok(None) };
        let Ok(runs) = self.actor.read_residency(&range) else { return Ok(None) };
        let cached = Ok(runs.cached().bytes(self.page()));
        let only_mapped = Some(self.read_present(&range)?.subtract(&runs).cached().0);
        let (method, dirty) = (Ok(Method::Mincore), Err(MINCORE_ONLY));
        Ok(Some(Figures { cached, dirty, method, runs: Ok(runs), only_mapped, ..unknown.clone() }))
    }

    /// Which pages of the memory the process has in its page table.
    pub(super) fn read_present(&self, range: &Range<u64>) -> Result<PageRuns> {
        let present = self.process.read_present_pages(range.clone(), self.page())?;
        Ok(present.into_iter().map(|run| Run { first: run.start, count: run.end.saturating_sub(run.start) }).collect())
    }

    /// Where the pages are, in so many parts.
    pub(super) fn look(&self, parts: usize) -> Option<Vec<Spot>> {
        let range = self.mapping.clone()?;
        let mapped = self.read_present(&range).ok()?;
        let seen = self.open_file().map(|file| file.map(|file| (self.engine.map(&file), file)));
        let cached = match &seen {
            Ok(Some((report, _))) => report.runs.clone().unwrap_or(Err(NO_FILE)),
            Ok(None) => Ok(PageRuns::default()),
            Err(absent) => Err(*absent),
        };
        let is_known = cached.is_ok();
        let cached = cached.unwrap_or_default();
        let (report, file) = seen.ok().flatten().unzip();
        let has_dirty = report.is_some_and(|report| report.dirty().is_ok_and(|dirty| dirty > Pages(0)));
        let is_dirty = |part: &Run| {
            let (offset, length) = (part.offset(self.page()).0, part.pages().bytes(self.page()).0);
            let report = file.as_ref().map(|file| self.engine.measure_range(file, ByteRange { offset, length }));
            report.is_some_and(|report| report.dirty().is_ok_and(|dirty| is_most(dirty, part)))
        };
        let all = Run { first: 0, count: (range.end - range.start) / self.page().bytes() };
        let spot = |(mapped, cached): (&Portion, &Portion)| match () {
            () if is_most(mapped.cached, &mapped.part) && has_dirty && is_dirty(&mapped.part) => Spot::Dirty,
            () if is_most(mapped.cached, &mapped.part) => Spot::Mapped,
            () if !is_known => Spot::Unknown,
            () if is_most(cached.cached, &cached.part) => Spot::Cached,
            () if mapped.cached > Pages(0) || cached.cached > Pages(0) => Spot::Partly,
            () => Spot::Empty,
        };
        let (mapped, cached) = (mapped.portions(all, parts), cached.portions(all, parts));
        Some(mapped.iter().zip(&cached).map(spot).collect())
    }

    /// How much of the memory lies below the end to which the stack has grown so far.
    pub(super) fn not_grown(&self) -> Result<u64> {
        let (Kind::Stack, Some(own)) = (self.request.kind, &self.mapping) else { return Ok(0) };
        let read = self.process.read_smaps(&mut Fields::new(), &Wanted::Only(Vec::new()))?;
        let stack = read.mappings.iter().find(|mapping| mapping.path() == b"[stack]");
        Ok(stack.map_or(own.end, |stack| stack.start()).saturating_sub(own.start))
    }

    fn read_mapped(&self) -> Result<Option<Mapped>> {
        let read = self.process.read_smaps(&mut Fields::new(), &Wanted::Only(FIELDS.map(str::to_owned).to_vec()))?;
        let is_mine = |mapping: &Mapping<'_>| match self.request.kind {
            Kind::Heap if mapping.path() == b"[heap]" => true,
            Kind::Stack => mapping.path() == b"[stack]",
            _ => self.mapping.as_ref().is_some_and(|own| mapping.start() < own.end && mapping.end() > own.start),
        };
        let mut sum: Option<Mapped> = None;
        for mapping in read.mappings.iter().filter(is_mine) {
            let figure = |name: &str| mapping.figure(name).unwrap_or_default();
            let so_far = sum.unwrap_or_default();
            sum = Some(Mapped {
                size: so_far.size + mapping.size(),
                rss: so_far.rss + figure("Rss"),
                pss: so_far.pss + figure("Pss"),
                anonymous: so_far.anonymous + figure("Anonymous"),
                anonymous_huge: so_far.anonymous_huge + figure("AnonHugePages"),
                file_huge: so_far.file_huge + figure("FilePmdMapped") + figure("ShmemPmdMapped"),
                swap: so_far.swap + figure("Swap"),
                hugetlb: so_far.hugetlb + figure("Private_Hugetlb") + figure("Shared_Hugetlb"),
            });
        }
        Ok(sum)
    }
}

/// Whether so many pages of a part are at least half of it: a single one does not make it look complete.
fn is_most(pages: Pages, part: &Run) -> bool {
    pages.0.saturating_mul(2) >= part.count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_does_not_stand_for_a_whole_part() {
        let part = Run { first: 100, count: 64 };
        assert!(!is_most(Pages(1), &part) && !is_most(Pages(31), &part));
        assert!(is_most(Pages(32), &part) && is_most(Pages(64), &part));
        assert!(!is_most(Pages(0), &Run { first: 0, count: 0 }));
    }
}
