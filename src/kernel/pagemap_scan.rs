//! `PAGEMAP_SCAN`, an ioctl on `/proc/PID/pagemap` (Linux 6.7 and later): the page tables of an address range as
//! ranges of similar pages, without an entry per page.
//!
//! It reports zero pages, huge pages and guard regions, which `smaps` takes into account and `pagemap` does not show.

#![allow(unsafe_code, reason = "an ioctl that no library wraps")]

use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Range};
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// `PAGE_IS_FILE` and its neighbours, of the kernel's `include/uapi/linux/fs.h`.
const FILE: u64 = 1 << 2;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;
const ZERO: u64 = 1 << 5;
const HUGE: u64 = 1 << 6;
const GUARD: u64 = 1 << 8;

/// The categories that every kernel with the call supports. Guard regions were added in 6.15.
const FIRST_CATEGORIES: u64 = FILE | PRESENT | SWAPPED | ZERO | HUGE;
const CATEGORIES: [u64; 2] = [FIRST_CATEGORIES | GUARD, FIRST_CATEGORIES];

/// What is asked about each page. What is not asked is false in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Everything.
    All,
    /// Only whether it is present. To tell files from other memory the kernel looks at the description of each page
    /// frame, which takes about as long as everything else.
    Present,
}

impl Question {
    /// The categories to ask for, and what to ask a kernel that does not know one of them.
    fn categories(self) -> &'static [u64] {
        match self {
            Question::All => &CATEGORIES,
            Question::Present => &[PRESENT],
        }
    }

    /// The categories of which a page must have one.
    fn any_of(self) -> u64 {
        match self {
            Question::All => PRESENT | SWAPPED,
            Question::Present => PRESENT,
        }
    }
}

/// Ranges per call: 96 KiB.
const REGIONS: usize = 4096;

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Debug, Default)]
struct Arguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

mod call {
    nix::ioctl_readwrite!(pagemap_scan, b'f', 16, super::Arguments);
}

/// Consecutive pages with the same state: present in the page tables, or with an entry that is not a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRange {
    /// Their addresses.
    pub(crate) addresses: Range<u64>,
    /// The state of each page in the page tables.
    pub(crate) state: EntryState,
}

/// The state of a page in the page tables: the `PAGE_IS_*` flags of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryState {
    /// The page is in RAM and mapped here.
    pub(crate) present: bool,
    /// There is an entry, but no present page: swap, a page that is being migrated, or a marker of the kernel.
    pub(crate) swapped: bool,
    /// It is a page of a file or of shared memory.
    pub(crate) file: bool,
    /// It is the zero page.
    pub(crate) zero: bool,
    /// It is mapped by a huge page table entry, or by a page of hugetlb.
    pub(crate) huge: bool,
    /// It is a guard region (`MADV_GUARD_INSTALL`), reported since 6.15.
    pub(crate) guard: bool,
}

impl EntryState {
    fn from_categories(categories: u64) -> EntryState {
        let has = |category| categories & category != 0;
        EntryState {
            present: has(PRESENT),
            swapped: has(SWAPPED),
            file: has(FILE),
            zero: has(ZERO),
            huge: has(HUGE),
            guard: has(GUARD),
        }
    }
}

/// Walks the page tables of the address `range` of the process whose `pagemap` is open, and calls `each` with the
/// ranges that have an entry, in order, until `each` breaks. Returns whether the kernel reports guard regions. It locks
/// the address space for a few thousand ranges at a time, so the result is not a snapshot if the process is running.
///
/// # Errors
/// `ESRCH`: the address space that `pagemap` was opened on is gone (exit, `execve`). [`io::ErrorKind::Unsupported`]:
/// any other error. The kernel is older than 6.7, a filter (seccomp) rejects the call, or `range` is not within the
/// addresses of a process.
pub(crate) fn scan(
    pagemap: &File,
    range: Range<u64>,
    question: Question,
    mut each: impl FnMut(PageRange) -> ControlFlow<()>,
) -> io::Result<bool> {
    let mut regions = vec![Region::default(); REGIONS];
    let mut categories = question.categories().iter().copied();
    let mut return_mask = categories.next().unwrap_or(PRESENT);
    let mut start = range.start;
    while start < range.end {
        match scan_once(pagemap, start..range.end, (question.any_of(), return_mask), &mut regions) {
            Ok((found, walked_to)) => {
                if regions.iter().take(found).copied().map(Region::range).try_for_each(&mut each).is_break() {
                    break;
                }
                // Without progress the loop would never end.
                start = if walked_to > start { walked_to } else { return Err(io::ErrorKind::Unsupported.into()) };
            }
            Err(Errno::EINTR) => {}
            // The kernel does not know one of the categories.
            Err(Errno::EINVAL) if start == range.start => match categories.next() {
                Some(fewer) => return_mask = fewer,
                None => return Err(io::ErrorKind::Unsupported.into()),
            },
            Err(Errno::ESRCH) => return Err(Errno::ESRCH.into()),
            // ENOTTY before Linux 6.7. A filter for system calls may return any error, whatever the process is.
            Err(_) => return Err(io::ErrorKind::Unsupported.into()),
        }
    }
    Ok(return_mask & GUARD != 0)
}

/// Makes one call. Returns how many regions it filled and the address it reached.
fn scan_once(
    pagemap: &File,
    range: Range<u64>,
    (any_of, return_mask): (u64, u64),
    regions: &mut [Region],
) -> Result<(usize, u64), Errno> {
    let mut arguments = Arguments {
        size: size_of::<Arguments>() as u64,
        start: range.start,
        end: range.end,
        regions: regions.as_mut_ptr().expose_provenance() as u64,
        regions_len: regions.len() as u64,
        category_anyof_mask: any_of,
        return_mask,
        ..Arguments::default()
    };
    // SAFETY: the arguments have the layout and size of `struct pm_scan_arg`. The kernel writes at most `regions_len`
    // values with the layout of `struct page_region` to `regions`, which is exclusively borrowed for the call, and
    // keeps neither pointer. Without PM_SCAN_WP_MATCHING the process is not changed.
    let found = unsafe { call::pagemap_scan(pagemap.as_raw_fd(), &raw mut arguments) }?;
    Ok((usize::try_from(found).unwrap_or(0).min(regions.len()), arguments.walk_end))
}

impl Region {
    fn range(self) -> PageRange {
        PageRange { addresses: self.start..self.end, state: EntryState::from_categories(self.categories) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_match_the_kernel() {
        assert_eq!((size_of::<Arguments>(), size_of::<Region>()), (96, 24));
        assert_eq!(std::mem::offset_of!(Arguments, walk_end), 32);
        assert_eq!(std::mem::offset_of!(Arguments, return_mask), 88);
    }

    #[test]
    fn pages_that_were_written_are_found() {
        let page = crate::kernel::page_size().bytes();
        let mut memory = memmap2::MmapMut::map_anon(page as usize * 8).unwrap();
        memory.advise(memmap2::Advice::NoHugePage).unwrap();
        for touched in [1, 2, 6] {
            memory[touched * page as usize] = 1;
        }
        let first = memory.as_ptr() as u64;
        let mut found = Vec::new();
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let scanned = scan(&pagemap, first..first + 8 * page, Question::All, |range| {
            assert!(range.state.present && !range.state.file && !range.state.zero, "{range:?}");
            found.push((range.addresses.start - first) / page..(range.addresses.end - first) / page);
            ControlFlow::Continue(())
        });
        match scanned {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                eprintln!("SKIPPED: this kernel has no PAGEMAP_SCAN (before 6.7)");
            }
            scanned => {
                scanned.unwrap();
                assert_eq!(found, [1..3, 6..7]);
            }
        }
    }

    #[test]
    fn a_file_that_is_not_a_pagemap_is_an_error() {
        let error =
            scan(&tempfile::tempfile().unwrap(), 0..4096, Question::All, |_| ControlFlow::Continue(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        assert!(scan(&pagemap, (1 << 63)..(1 << 63) + 4096, Question::Present, |_| ControlFlow::Continue(())).is_err());
    }
}
