//! The page tables behind each mapping, cut into cells: how much of each cell is present, in swap, file's, zero page, huge.
//!
//! From the ioctl `PAGEMAP_SCAN` (Linux 6.7), else from `/proc/PID/pagemap`, which knows neither zero nor huge pages.
//! These are entries of the page tables, not smaps' counters: pages that smaps does not account (the vdso's data, the zero
//! page) are present here.

use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Range};

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, pagemap, pagemap_scan};
use crate::process::mapping::{Mapping, Mappings};
use crate::process::read::open_process_file;
use crate::process::root::ProcRoot;
use crate::units::{Bytes, PageSize};

/// No address of a process is as high; x86's `[vsyscall]` is, which has no entry in the page tables of a process.
const KERNEL_ADDRESSES: u64 = 1 << 63;

/// What the page tables say of some consecutive pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageCell {
    /// How much address space it is.
    pub size: Bytes,
    /// Of that in RAM and mapped, with zero pages.
    pub present: Bytes,
    /// Of that in swap, being migrated, or marked by the kernel.
    pub swapped: Bytes,
    /// Of the present part: in a file or in shared memory.
    pub file: Bytes,
    /// Of the present part: the zero page, which costs no memory.
    pub zero: Bytes,
    /// Of the present part: mapped by huge page table entries.
    pub huge: Bytes,
}

/// The cells of every mapping of one process.
#[derive(Debug, Clone)]
pub struct PageCells {
    /// The cells of each mapping, in the order of the mappings.
    pub mappings: Vec<Vec<PageCell>>,
    /// Whether the kernel told zero pages and huge pages; where not, those figures are zero and mean nothing.
    pub tells_kinds: bool,
}

/// Reads the page tables of `pid` over `mappings`, each cut into at most `most` cells of whole pages.
///
/// # Errors
/// [`ErrorKind::Denied`]: another user's process. [`ErrorKind::NotFound`]: it is gone. [`ErrorKind::Unsupported`]: a
/// capture, which has no page tables.
pub fn read_page_cells(root: &ProcRoot, pid: u32, mappings: &Mappings, most: usize) -> Result<PageCells> {
    if !root.is_live() {
        return Err(Error::pid(pid, ErrorKind::Unsupported, "a capture has no page tables"));
    }
    let file = open_process_file(root, pid, "pagemap")?;
    let mut strips = Strips::new(mappings, most, kernel::page_size());
    let failed = |error: io::Error| Error::io(crate::error::Subject::Pid(pid), &error);
    let tells_kinds = match strips.scan(&file) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            strips.read_entries(&file).map_err(failed)?;
            false
        }
        Err(error) => return Err(failed(error)),
    };
    Ok(PageCells { mappings: strips.cells, tells_kinds })
}

struct Strips<'m> {
    mappings: &'m Mappings,
    page: PageSize,
    cells: Vec<Vec<PageCell>>,
    /// The first mapping that ends after the ranges so far.
    at: usize,
}

impl<'m> Strips<'m> {
    fn new(mappings: &'m Mappings, most: usize, page: PageSize) -> Strips<'m> {
        let empty = |mapping: Mapping<'_>| {
            let (count, each) = cut(mapping.size(), most, page);
            let cell = |number: u64| PageCell {
                size: Bytes(each.min(mapping.size().0.saturating_sub(number.saturating_mul(each)))),
                ..PageCell::default()
            };
            (0..count).map(cell).collect()
        };
        Strips { mappings, page, cells: mappings.iter().map(empty).collect(), at: 0 }
    }

    fn scan(&mut self, pagemap: &File) -> io::Result<()> {
        let low = |mapping: &Mapping<'_>| mapping.end() <= KERNEL_ADDRESSES;
        let first = self.mappings.iter().find(low).map(|mapping| mapping.start());
        let last = self.mappings.iter().rfind(low).map(|mapping| mapping.end());
        let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
        pagemap_scan::scan(pagemap, first..last, |range| {
            let state = range.state;
            let share = |is: bool, size: u64| Bytes(if is { size } else { 0 });
            self.add(range.addresses, |size| PageCell {
                size: Bytes(0),
                present: share(state.present, size),
                swapped: share(state.swapped && !state.guard, size),
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
                self.add(address(run.pages.start)..address(run.pages.end), |size| PageCell {
                    present: share(state.present, size),
                    swapped: share(state.swapped, size),
                    file: share(state.present && state.file_or_shared, size),
                    ..PageCell::default()
                });
            })?;
        }
        Ok(())
    }

    /// Adds a range of like pages, which come in the order of their addresses, to the cells that it touches.
    fn add(&mut self, range: Range<u64>, counts: impl Fn(u64) -> PageCell) {
        while let Some(mapping) = self.mappings.get(self.at).filter(|mapping| mapping.start() < range.end) {
            if let Some(cells) = self.cells.get_mut(self.at) {
                add_to_cells(cells, &mapping, &range, &counts);
            }
            if mapping.end() > range.end {
                break;
            }
            self.at += 1;
        }
    }
}

/// How many cells a mapping is cut into, and how many bytes each has but the last.
fn cut(size: Bytes, most: usize, page: PageSize) -> (u64, u64) {
    let pages = page.pages(size).0;
    let each = pages.div_ceil((most as u64).max(1)).max(1);
    (pages.div_ceil(each), each.saturating_mul(page.bytes()))
}

fn add_to_cells(cells: &mut [PageCell], mapping: &Mapping<'_>, range: &Range<u64>, counts: &impl Fn(u64) -> PageCell) {
    let Some(each) = cells.first().map(|cell| cell.size.0).filter(|each| *each > 0) else { return };
    let start = range.start.max(mapping.start()).saturating_sub(mapping.start());
    let end = range.end.min(mapping.end()).saturating_sub(mapping.start());
    let first = usize::try_from(start / each).unwrap_or(usize::MAX);
    let mut cell_start = start / each * each;
    for cell in cells.iter_mut().skip(first) {
        if cell_start >= end {
            break;
        }
        let cell_end = cell_start.saturating_add(each);
        let common = end.min(cell_end).saturating_sub(start.max(cell_start));
        cell.add(&counts(common));
        cell_start = cell_end;
    }
}

impl PageCell {
    /// Adds the figures of another cell, its size too.
    pub fn add(&mut self, other: &PageCell) {
        self.size = self.size + other.size;
        self.present = self.present + other.present;
        self.swapped = self.swapped + other.swapped;
        self.file = self.file + other.file;
        self.zero = self.zero + other.zero;
        self.huge = self.huge + other.huge;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::parse_maps;

    const PAGE: u64 = 4096;

    fn strips(mappings: &Mappings, most: usize, ranges: &[Range<u64>]) -> Vec<Vec<(u64, u64)>> {
        let mut strips = Strips::new(mappings, most, PageSize::FOUR_KIB);
        for range in ranges {
            strips.add(range.start * PAGE..range.end * PAGE, |size| PageCell {
                present: Bytes(size),
                ..PageCell::default()
            });
        }
        let pages = |cell: &PageCell| (cell.size.0 / PAGE, cell.present.0 / PAGE);
        strips.cells.iter().map(|cells| cells.iter().map(pages).collect()).collect()
    }

    #[test]
    fn a_range_fills_the_cells_that_it_touches_in_every_mapping() {
        let text =
            b"1000-6000 rw-p 00000000 00:00 0 \n6000-7000 rw-p 00000000 00:00 0 \n9000-b000 rw-p 00000000 00:00 0 \n";
        let mappings = parse_maps(text).unwrap();
        assert_eq!(
            strips(&mappings, 3, &[2..4, 5..10]),
            [vec![(2, 1), (2, 1), (1, 1)], vec![(1, 1)], vec![(1, 1), (1, 0)]]
        );
        assert_eq!(strips(&mappings, 1, &[2..3, 5..6]), [vec![(5, 2)], vec![(1, 0)], vec![(2, 0)]]);
    }
}
