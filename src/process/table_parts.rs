//! The page tables of each mapping, divided into parts: how much of each part is present, in swap, of a file, zero,
//! huge or a guard.
//!
//! They are read with the ioctl `PAGEMAP_SCAN` (Linux 6.7), otherwise from `/proc/PID/pagemap`, which marks neither
//! zero nor huge pages. These are entries of the page tables and not the counters of smaps: pages that smaps does not
//! count (the data of the vdso, the zero page) are present here.

use std::fs::File;
use std::io;
use std::iter::Peekable;
use std::ops::{ControlFlow, Range};

use crate::error::Result;
use crate::kernel::release::is_at_least;
use crate::kernel::swap::is_off;
use crate::kernel::{self, pagemap, pagemap_scan};
use crate::process::failure::read_error;
use crate::process::fields::{Fields, Wanted};
use crate::process::handle::Process;
use crate::process::mapping::{Iter, Mapping, Mappings};
use crate::units::{Absent, Bytes, Figure, PageSize, Reason};

/// No process has addresses this high. x86's `[vsyscall]` is there, but has no entry in the page tables of a process.
const KERNEL_ADDRESSES: u64 = 1 << 63;

/// What the page tables report about consecutive pages: a part of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TablePart {
    /// Its address space.
    pub size: Bytes,
    /// Of that, in RAM and mapped, including zero pages.
    pub present: Bytes,
    /// Of that, in swap.
    pub swapped: Bytes,
    /// Of that, with an entry that is neither a page nor proven to be in swap: a page under migration, or a marker of
    /// the kernel (userfaultfd, a page lost to a memory error).
    pub marked: Bytes,
    /// Of that, guard pages (`MADV_GUARD_INSTALL`): there is no memory, and an access is an error.
    pub guard: Bytes,
    /// Of the present pages: in a file or in shared memory.
    pub file: Bytes,
    /// Of the present pages: the zero page, which takes no memory.
    pub zero: Bytes,
    /// Of the present pages: mapped with huge page table entries.
    pub huge: Bytes,
}

/// The page tables of every mapping of one process, in parts.
#[derive(Debug, Clone)]
pub struct TableParts {
    /// The parts of each mapping, in the order of the mappings.
    pub mappings: Vec<Vec<TablePart>>,
    /// How much of each mapping is in swap.
    pub swapped: Vec<Figure<Bytes>>,
    /// Whether zero pages and huge pages are known. If not, these figures are zero and meaningless.
    pub knows_kinds: bool,
    /// Whether guard pages are known (6.15 and later). If not, they are in `marked`, and this figure is meaningless.
    pub knows_guards: bool,
}

impl Process {
    /// Reads the page tables of these mappings of the process, each cut into at most `most` parts of whole pages.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Denied`]: another user's process. [`crate::error::ErrorKind::NotFound`]: it has
    /// exited. [`crate::error::ErrorKind::Unsupported`]: a capture, which has no page tables.
    pub fn read_table_parts(&self, mappings: &Mappings, most: usize) -> Result<TableParts> {
        self.require_live("a capture has no page tables")?;
        let file = self.open_memory_file("pagemap")?;
        let mut cutter = Cutter::new(mappings, most, kernel::page_size());
        let failed = |error: io::Error| read_error(self.pid(), &error);
        let (knows_kinds, knows_guards) = match cutter.scan(&file) {
            Ok(knows_guards) => (true, knows_guards),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                cutter = Cutter::new(mappings, most, kernel::page_size());
                cutter.read_entries(&file).map_err(failed)?;
                (false, is_at_least(6, 15))
            }
            Err(error) => return Err(failed(error)),
        };
        let mut parts = cutter.parts;
        let swapped = self.prove_swap(mappings, &mut parts)?;
        Ok(TableParts { mappings: parts, swapped, knows_kinds, knows_guards })
    }

    /// Reads how much of an address range is present and part of a file or of shared memory.
    ///
    /// # Errors
    /// As for [`Process::read_table_parts`].
    pub fn read_mapped_of_file(&self, range: Range<u64>, page: PageSize) -> Result<Bytes> {
        self.require_live("a capture has no page tables")?;
        let file = self.open_memory_file("pagemap")?;
        let mut pages = 0u64;
        let count = |run: pagemap::StateRun| {
            if run.state.present && run.state.file_or_shared {
                pages = pages.saturating_add(run.pages.end.saturating_sub(run.pages.start));
            }
        };
        pagemap::read_states(&file, range, page, count).map_err(|error| read_error(self.pid(), &error))?;
        Ok(Bytes(pages.saturating_mul(page.bytes())))
    }

    /// Returns how much of each mapping is in swap, and moves entries that are not proven to be in swap to `marked`.
    ///
    /// The page tables do not distinguish swap from the kernel's markers. `Swap` of smaps counts only pages in swap, so
    /// the entries of a mapping are proven to be in swap if both numbers are equal.
    fn prove_swap(&self, mappings: &Mappings, parts: &mut [Vec<TablePart>]) -> Result<Vec<Figure<Bytes>>> {
        let entries = |parts: &[TablePart]| parts.iter().map(|part| part.swapped).sum::<Bytes>();
        let has_entries = |parts: &Vec<TablePart>| entries(parts).0 > 0;
        if !parts.iter().any(has_entries) {
            return Ok(vec![Ok(Bytes(0)); parts.len()]);
        }
        let counted = match is_off() {
            true => None,
            false => Some(self.read_smaps(&mut Fields::new(), &Wanted::Only(vec!["Swap".to_owned()]))?.mappings),
        };
        let mut counted = counted.as_ref().map(|counted| counted.iter().peekable());
        let proofs = mappings.iter().zip(parts).map(|(mapping, parts)| {
            let found = entries(parts);
            let swapped = match &mut counted {
                _ if found.0 == 0 => return Ok(Bytes(0)),
                None => Ok(Bytes(0)),
                Some(counted) => swap_of(counted, &mapping),
            };
            if swapped != Ok(found) {
                parts.iter_mut().for_each(|part| part.marked = std::mem::take(&mut part.swapped));
            }
            swapped.map(|swapped| swapped.min(found))
        });
        Ok(proofs.collect())
    }
}

const MOVED: Absent = Absent::new(Reason::Changed, "the mapping changed while it was read");

/// `Swap` of the same mapping. Mappings are asked for in the order of their addresses.
fn swap_of(counted: &mut Peekable<Iter<'_>>, mapping: &Mapping<'_>) -> Figure<Bytes> {
    while counted.next_if(|other| other.start() < mapping.start()).is_some() {}
    let same = counted.peek().filter(|other| (other.start(), other.end()) == (mapping.start(), mapping.end()));
    same.ok_or(MOVED)?.figure("Swap")
}

pub(super) struct Cutter<'m> {
    mappings: &'m Mappings,
    page: PageSize,
    pub(super) parts: Vec<Vec<TablePart>>,
    /// The first mapping that ends after the ranges so far.
    at: usize,
}

impl<'m> Cutter<'m> {
    pub(super) fn new(mappings: &'m Mappings, most: usize, page: PageSize) -> Cutter<'m> {
        let empty = |mapping: Mapping<'_>| {
            let (count, each) = cut(mapping.size(), most, page);
            let part = |number: u64| TablePart {
                size: Bytes(each.min(mapping.size().0.saturating_sub(number.saturating_mul(each)))),
                ..TablePart::default()
            };
            (0..count).map(part).collect()
        };
        Cutter { mappings, page, parts: mappings.iter().map(empty).collect(), at: 0 }
    }

    /// Returns whether guard pages are known.
    fn scan(&mut self, pagemap: &File) -> io::Result<bool> {
        let low = |mapping: &Mapping<'_>| mapping.end() <= KERNEL_ADDRESSES;
        let first = self.mappings.iter().find(low).map(|mapping| mapping.start());
        let last = self.mappings.iter().rfind(low).map(|mapping| mapping.end());
        let (Some(first), Some(last)) = (first, last) else { return Ok(true) };
        pagemap_scan::scan(pagemap, first..last, pagemap_scan::Question::All, |range| {
            let state = range.state;
            let share = |is: bool, size: u64| Bytes(if is { size } else { 0 });
            self.add(range.addresses, |size| TablePart {
                size: Bytes(0),
                present: share(state.present, size),
                swapped: share(state.swapped && !state.guard, size),
                marked: Bytes(0),
                guard: share(state.guard, size),
                file: share(state.present && state.file, size),
                zero: share(state.present && state.zero, size),
                huge: share(state.present && state.huge, size),
            });
            ControlFlow::Continue(())
        })
    }

    fn read_entries(&mut self, pagemap: &File) -> io::Result<()> {
        let mappings = self.mappings;
        for mapping in mappings.iter().filter(|mapping| mapping.end() <= KERNEL_ADDRESSES) {
            pagemap::read_states(pagemap, mapping.start()..mapping.end(), self.page, |run| {
                let address = |page: u64| mapping.start().saturating_add(page.saturating_mul(self.page.bytes()));
                let state = run.state;
                let share = |is: bool, size: u64| Bytes(if is { size } else { 0 });
                self.add(address(run.pages.start)..address(run.pages.end), |size| TablePart {
                    present: share(state.present, size),
                    swapped: share(state.swapped && !state.guard, size),
                    guard: share(state.guard, size),
                    file: share(state.present && state.file_or_shared, size),
                    ..TablePart::default()
                });
            })?;
        }
        Ok(())
    }

    /// Adds a range of pages in the same state to the parts that it overlaps. Ranges come in the order of addresses.
    pub(super) fn add(&mut self, range: Range<u64>, counts: impl Fn(u64) -> TablePart) {
        while let Some(mapping) = self.mappings.get(self.at).filter(|mapping| mapping.start() < range.end) {
            if let Some(parts) = self.parts.get_mut(self.at) {
                add_to_parts(parts, &mapping, &range, &counts);
            }
            if mapping.end() > range.end {
                break;
            }
            self.at += 1;
        }
    }
}

/// How many parts a mapping is cut into, and how many bytes each of them has except the last.
fn cut(size: Bytes, most: usize, page: PageSize) -> (u64, u64) {
    let pages = page.pages(size).0;
    let each = pages.div_ceil((most as u64).max(1)).max(1);
    (pages.div_ceil(each), each.saturating_mul(page.bytes()))
}

fn add_to_parts(
    parts: &mut [TablePart],
    mapping: &Mapping<'_>,
    range: &Range<u64>,
    counts: &impl Fn(u64) -> TablePart,
) {
    let Some(each) = parts.first().map(|part| part.size.0).filter(|each| *each > 0) else { return };
    let start = range.start.max(mapping.start()).saturating_sub(mapping.start());
    let end = range.end.min(mapping.end()).saturating_sub(mapping.start());
    let first = usize::try_from(start / each).unwrap_or(usize::MAX);
    let mut part_start = start / each * each;
    for part in parts.iter_mut().skip(first) {
        if part_start >= end {
            break;
        }
        let part_end = part_start.saturating_add(each);
        let common = end.min(part_end).saturating_sub(start.max(part_start));
        part.add(&counts(common));
        part_start = part_end;
    }
}

impl TablePart {
    /// Adds the figures of another part, including its size.
    pub fn add(&mut self, other: &TablePart) {
        self.size = self.size + other.size;
        self.present = self.present + other.present;
        self.swapped = self.swapped + other.swapped;
        self.marked = self.marked + other.marked;
        self.guard = self.guard + other.guard;
        self.file = self.file + other.file;
        self.zero = self.zero + other.zero;
        self.huge = self.huge + other.huge;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::maps::parse_maps;

    const PAGE: u64 = 4096;

    fn present(mappings: &Mappings, most: usize, ranges: &[Range<u64>]) -> Vec<Vec<(u64, u64)>> {
        let mut cutter = Cutter::new(mappings, most, PageSize::FOUR_KIB);
        for range in ranges {
            cutter.add(range.start * PAGE..range.end * PAGE, |size| TablePart {
                present: Bytes(size),
                ..TablePart::default()
            });
        }
        let pages = |part: &TablePart| (part.size.0 / PAGE, part.present.0 / PAGE);
        cutter.parts.iter().map(|parts| parts.iter().map(pages).collect()).collect()
    }

    #[test]
    fn a_range_is_added_to_the_parts_that_it_overlaps_in_every_mapping() {
        let text =
            b"1000-6000 rw-p 00000000 00:00 0 \n6000-7000 rw-p 00000000 00:00 0 \n9000-b000 rw-p 00000000 00:00 0 \n";
        let mappings = parse_maps(text).unwrap();
        assert_eq!(
            present(&mappings, 3, &[2..4, 5..10]),
            [vec![(2, 1), (2, 1), (1, 1)], vec![(1, 1)], vec![(1, 1), (1, 0)]]
        );
        assert_eq!(present(&mappings, 1, &[2..3, 5..6]), [vec![(5, 2)], vec![(1, 0)], vec![(2, 0)]]);
    }
}
