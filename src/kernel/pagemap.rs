//! `/proc/PID/pagemap`: one 64-bit entry per page of an address space (the kernel's
//! `Documentation/admin-guide/mm/pagemap.rst`), read as runs of pages in the same state.
//!
//! It shows the page *tables*, which is also what smaps counts; pages that are cached but not in the page table do not
//! appear. Frame numbers are not used, so no privilege is needed beyond opening the file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::units::PageSize;

/// The size of an entry in bytes.
const ENTRY: usize = 8;
/// Entries per read: 64 KiB, enough for 32 MiB of 4 KiB pages.
const ENTRIES: usize = 8192;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE_OR_SHARED: u64 = 1 << 61;
const GUARD: u64 = 1 << 58;
const EXCLUSIVE: u64 = 1 << 56;

/// The state of a page in the page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct PageState {
    /// It is in RAM and mapped here.
    pub(crate) present: bool,
    /// It is in swap, or has an entry that looks like it, such as that of a guard page.
    pub(crate) swapped: bool,
    /// It belongs to a file or to shared anonymous memory (3.5 and later).
    pub(crate) file_or_shared: bool,
    /// It is present and not mapped anywhere else (4.2 and later).
    pub(crate) exclusive: bool,
    /// It is a guard page (`MADV_GUARD_INSTALL`), reported since 6.15.
    pub(crate) guard: bool,
}

/// Consecutive pages in the same state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateRun {
    /// The page numbers, relative to the start of the requested range.
    pub(crate) pages: Range<u64>,
    /// The state of each.
    pub(crate) state: PageState,
}

impl PageState {
    /// The state that an entry encodes.
    pub(crate) fn from_entry(entry: u64) -> PageState {
        PageState {
            present: entry & PRESENT != 0,
            swapped: entry & SWAPPED != 0,
            file_or_shared: entry & FILE_OR_SHARED != 0,
            exclusive: entry & EXCLUSIVE != 0,
            guard: entry & GUARD != 0,
        }
    }
}

/// Reads the state of each page in the address `range` from an open `pagemap`, and calls `each` with runs of pages in
/// the same state, in order and without gaps. `page` must be the page size of the running kernel. The range is extended
/// to whole pages.
///
/// # Errors
/// As `pread` (`ESRCH`: the process has exited); [`io::ErrorKind::UnexpectedEof`] if the range extends past the address
/// space.
pub(crate) fn read_states(
    pagemap: &File,
    range: Range<u64>,
    page: PageSize,
    mut each: impl FnMut(StateRun),
) -> io::Result<()> {
    let first = range.start / page.bytes();
    let count = range.end.div_ceil(page.bytes()).saturating_sub(first);
    let mut bytes = vec![0; ENTRY * ENTRIES.min(usize::try_from(count).unwrap_or(ENTRIES))];
    let mut open: Option<StateRun> = None;
    let mut done = 0u64;
    while done < count {
        let wanted = usize::try_from(count - done).unwrap_or(ENTRIES).min(ENTRIES);
        let part = bytes.get_mut(..wanted * ENTRY).unwrap_or_default();
        pagemap.read_exact_at(part, (first + done).saturating_mul(ENTRY as u64))?;
        for entry in part.chunks_exact(ENTRY) {
            let state = PageState::from_entry(entry.try_into().map_or(0, u64::from_ne_bytes));
            extend(&mut open, done, state, &mut each);
            done += 1;
        }
    }
    open.into_iter().for_each(each);
    Ok(())
}

/// Reads which pages in the address `range` are present, as runs of page numbers relative to its start. The runs are in
/// order, with a gap between any two.
///
/// # Errors
/// As [`read_states`].
pub(crate) fn read_present(pagemap: &File, range: Range<u64>, page: PageSize) -> io::Result<Vec<Range<u64>>> {
    let mut present: Vec<Range<u64>> = Vec::new();
    read_states(pagemap, range, page, |run| {
        if !run.state.present {
            return;
        }
        match present.last_mut() {
            Some(last) if last.end == run.pages.start => last.end = run.pages.end,
            _ => present.push(run.pages),
        }
    })?;
    Ok(present)
}

/// Adds page `number` to the open run, or ends that run and starts another.
fn extend(open: &mut Option<StateRun>, number: u64, state: PageState, each: &mut impl FnMut(StateRun)) {
    match open {
        Some(run) if run.state == state => run.pages.end = number + 1,
        _ => {
            if let Some(run) = open.replace(StateRun { pages: number..number + 1, state }) {
                each(run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file_of(entries: &[u64]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for entry in entries {
            file.write_all(&entry.to_ne_bytes()).unwrap();
        }
        file
    }

    fn present(entries: &[u64], range: Range<u64>) -> Vec<Range<u64>> {
        read_present(&file_of(entries), range, PageSize::FOUR_KIB).unwrap()
    }

    #[test]
    fn present_pages_are_numbered_from_the_start_of_the_range() {
        let entries = [0, PRESENT, PRESENT | FILE_OR_SHARED, 0, SWAPPED, PRESENT];
        assert_eq!(present(&entries, 0..6 * 4096), [1..3, 5..6]);
        assert_eq!(present(&entries, 2 * 4096..6 * 4096), [0..1, 3..4]);
        assert_eq!(present(&entries, 4096..4096), []);
    }

    #[test]
    fn a_range_is_extended_to_whole_pages() {
        assert_eq!(present(&[0, PRESENT, PRESENT], 4097..8193), std::slice::from_ref(&(0..2)));
    }

    #[test]
    fn runs_continue_across_reads() {
        let entries = vec![PRESENT; 3 * ENTRIES + 7];
        let count = entries.len() as u64;
        assert_eq!(present(&entries, 0..4096 * count), std::slice::from_ref(&(0..count)));
    }

    #[test]
    fn states_cover_the_range_without_gaps() {
        let entries = [PRESENT, PRESENT | EXCLUSIVE, SWAPPED, SWAPPED, 0];
        let mut runs = Vec::new();
        read_states(&file_of(&entries), 0..5 * 4096, PageSize::FOUR_KIB, |run| runs.push(run)).unwrap();
        let pages: Vec<_> = runs.iter().map(|run| run.pages.clone()).collect();
        assert_eq!(pages, [0..1, 1..2, 2..4, 4..5]);
        assert!(runs[2].state.swapped && !runs[2].state.present && runs[1].state.exclusive);
    }

    #[test]
    fn a_range_past_the_address_space_is_an_error() {
        let error = read_present(&file_of(&[PRESENT]), 0..8192, PageSize::FOUR_KIB).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(read_present(&file_of(&[]), u64::MAX - 1..u64::MAX, PageSize::FOUR_KIB).is_err());
    }
}
