//! `Rss` of each mapping from ranges of the page tables, as smaps counts it; or that it cannot be proven to be the same.
//!
//! What smaps counts is what the kernel's `vm_normal_page` calls a page (`smaps_pte_entry` in `fs/proc/task_mmu.c`), without
//! hugetlb. `PAGEMAP_SCAN` says "file" of such a page that is not anonymous. What is present and neither file nor zero page
//! is anonymous memory, or else no page that is accounted: device memory, or a file on DAX. Which of the two follows from
//! the mapping:
//!
//! | mapping | present, not file | |
//! |---|---|---|
//! | no file, no name or `[heap]`, `[stack]`, `[anon:…]` | anonymous memory: counted | the kernel puts nothing else there |
//! | shared | no page: not counted | nothing is copied on write in a shared mapping |
//! | private, of a regular file without DAX | anonymous memory: counted | [`Tally::files`] are for the caller to look at |
//! | `[vvar…]` | no page: not counted | the mapping is `VM_PFNMAP` |
//! | any other (a device, `[vdso]` with a breakpoint) | not known | |
//!
//! Not known either, so that smaps has to be read:
//! * an entry that is no present page: it may be swap, a page that is being migrated (smaps counts it as resident) or a
//!   marker of userfaultfd or of a page lost to a memory error (smaps counts it as nothing). Guard regions are told.
//! * a huge page in a file of an unnumbered device (major 0): huge pages of tmpfs count, those of hugetlbfs do not.
//! * a huge page that is not file's on a kernel that does not tell the huge zero page.
//!
//! The entries of `/proc/PID/pagemap` will not do where the ioctl is missing: without privilege the zero page looks there
//! like a page shared with a child.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::kernel::pagemap_scan::{EntryState, PageRange};
use crate::process::mapping::{Device, Mapping, Mappings};

/// The sums over the mappings of one process, taken range by range in the order of addresses.
#[derive(Debug)]
pub(super) struct Tally<'m> {
    mappings: &'m Mappings,
    /// The first mapping that ends after the ranges so far.
    at: usize,
    rss: Vec<u64>,
    files: BTreeMap<(Device, u64), usize>,
    unproven: bool,
    /// Whether the kernel tells the huge zero page from other huge pages.
    tells_huge_zero: bool,
}

/// What a page of a mapping adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Resident,
    /// Resident, if its file is a regular one without DAX.
    ResidentIfRegular,
    Nothing,
    Unproven,
}

/// What is behind a mapping, as far as it decides what an entry that is not file's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Anonymous,
    Shared,
    PrivateFile,
    KernelData,
    Other,
}

impl<'m> Tally<'m> {
    pub(super) fn new(mappings: &'m Mappings, tells_huge_zero: bool) -> Tally<'m> {
        let rss = vec![0; mappings.len()];
        Tally { mappings, at: 0, rss, files: BTreeMap::new(), unproven: false, tells_huge_zero }
    }

    /// Adds a range, which may reach over several mappings. Breaks when nothing can be proven any more.
    pub(super) fn add(&mut self, range: &PageRange) -> ControlFlow<()> {
        while let Some(mapping) = self.mappings.get(self.at) {
            if mapping.start() >= range.addresses.end {
                break;
            }
            let start = mapping.start().max(range.addresses.start);
            let end = mapping.end().min(range.addresses.end);
            if start < end {
                self.count(&mapping, range.state, end - start);
            }
            if mapping.end() > range.addresses.end {
                break;
            }
            self.at += 1;
        }
        if self.unproven { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// `Rss` of each mapping in bytes; absent where it could not be proven.
    pub(super) fn into_rss(self) -> Option<Vec<u64>> {
        (!self.unproven).then_some(self.rss)
    }

    /// One mapping of each file that must be a regular one without DAX for the sums to hold.
    pub(super) fn files(&self) -> impl Iterator<Item = Mapping<'m>> {
        self.files.values().filter_map(|index| self.mappings.get(*index))
    }

    fn count(&mut self, mapping: &Mapping<'_>, state: EntryState, bytes: u64) {
        match counts(mapping, state, self.tells_huge_zero) {
            Counts::Nothing => return,
            Counts::Unproven => {
                self.unproven = true;
                return;
            }
            Counts::ResidentIfRegular => {
                self.files.entry((mapping.device(), mapping.inode())).or_insert(self.at);
            }
            Counts::Resident => {}
        }
        if let Some(sum) = self.rss.get_mut(self.at) {
            *sum = sum.saturating_add(bytes);
        }
    }
}

fn counts(mapping: &Mapping<'_>, state: EntryState, tells_huge_zero: bool) -> Counts {
    match state {
        EntryState { guard: true, .. } => Counts::Nothing,
        EntryState { present: false, swapped: true, .. } => Counts::Unproven,
        EntryState { present: false, .. } | EntryState { zero: true, .. } => Counts::Nothing,
        EntryState { huge: true, .. } if has_file(mapping) && mapping.device().major == 0 => Counts::Unproven,
        EntryState { file: true, .. } => Counts::Resident,
        EntryState { huge: true, .. } if !tells_huge_zero => Counts::Unproven,
        _ => match nature(mapping) {
            Nature::Anonymous => Counts::Resident,
            Nature::PrivateFile => Counts::ResidentIfRegular,
            Nature::Shared | Nature::KernelData => Counts::Nothing,
            Nature::Other => Counts::Unproven,
        },
    }
}

fn nature(mapping: &Mapping<'_>) -> Nature {
    let shared = mapping.perm().ends_with('s');
    match mapping.path() {
        _ if has_file(mapping) && shared => Nature::Shared,
        _ if has_file(mapping) => Nature::PrivateFile,
        b"" | b"[heap]" | b"[stack]" => Nature::Anonymous,
        name if name.starts_with(b"[anon:") || name.starts_with(b"[stack:") => Nature::Anonymous,
        name if name.starts_with(b"[vvar") => Nature::KernelData,
        _ => Nature::Other,
    }
}

/// Whether the kernel gave a device and an inode, which it does of files alone.
fn has_file(mapping: &Mapping<'_>) -> bool {
    mapping.inode() != 0 || mapping.device() != Device::default()
}

/// Whether a mapping may be of memory that goes to swap as a file's page does (tmpfs, memfd, shared anonymous memory):
/// then `Swap` of smaps is what its file has in swap, of which the page tables know nothing. All such file systems have
/// an unnumbered device.
pub(super) fn may_be_shared_memory(mapping: &Mapping<'_>) -> bool {
    has_file(mapping) && mapping.device().major == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::maps::parse_maps;

    const NONE: EntryState =
        EntryState { present: false, swapped: false, file: false, zero: false, huge: false, guard: false };
    const PRESENT: EntryState = EntryState { present: true, ..NONE };
    const FILE: EntryState = EntryState { file: true, ..PRESENT };
    const ZERO: EntryState = EntryState { zero: true, ..PRESENT };
    const HUGE: EntryState = EntryState { huge: true, ..PRESENT };

    /// What one page in `state` adds to a mapping with this tail of its line.
    fn page_in(tail: &str, state: EntryState) -> Counts {
        let mappings = parse_maps(format!("1000-2000 {tail}\n").as_bytes()).unwrap();
        counts(&mappings.get(0).unwrap(), state, true)
    }

    #[test]
    fn what_is_neither_file_nor_zero_is_decided_by_the_mapping() {
        for (tail, counts) in [
            ("rw-p 00000000 00:00 0 ", Counts::Resident),
            ("rw-p 00000000 00:00 0 [heap]", Counts::Resident),
            ("rw-p 00000000 00:00 0 [stack]", Counts::Resident),
            ("rw-p 00000000 00:00 0 [anon:name]", Counts::Resident),
            ("r--p 00000000 00:00 0 [vvar]", Counts::Nothing),
            ("r--p 00000000 00:00 0 [vvar_vclock]", Counts::Nothing),
            ("r-xp 00000000 00:00 0 [vdso]", Counts::Unproven),
            ("rw-p 00000000 fe:00 7 /bin/sh", Counts::ResidentIfRegular),
            ("rw-s 00000000 00:06 7 /dev/dri/card0", Counts::Nothing),
            ("rw-s 00000000 00:01 7 /dev/zero (deleted)", Counts::Nothing),
        ] {
            assert_eq!(page_in(tail, PRESENT), counts, "{tail}");
        }
    }

    #[test]
    fn pages_of_files_count_and_zero_pages_and_guards_do_not() {
        for tail in ["rw-p 00000000 00:00 0 ", "r-xp 00000000 00:00 0 [vdso]", "rw-s 00000000 fe:00 7 /x"] {
            assert_eq!(page_in(tail, FILE), Counts::Resident);
            assert_eq!(page_in(tail, ZERO), Counts::Nothing);
            assert_eq!(page_in(tail, EntryState { guard: true, swapped: true, ..NONE }), Counts::Nothing);
            assert_eq!(page_in(tail, EntryState { swapped: true, ..NONE }), Counts::Unproven);
        }
    }

    #[test]
    fn huge_pages_count_where_they_cannot_be_of_hugetlb() {
        let huge_file = EntryState { file: true, ..HUGE };
        assert_eq!(page_in("rw-p 00000000 00:00 0 ", HUGE), Counts::Resident);
        assert_eq!(page_in("rw-p 00000000 00:00 0 ", EntryState { zero: true, ..HUGE }), Counts::Nothing);
        assert_eq!(page_in("r-xp 00000000 fe:00 7 /bin/sh", huge_file), Counts::Resident);
        assert_eq!(page_in("rw-s 00000000 00:0f 7 /memfd:x (deleted)", huge_file), Counts::Unproven);
        assert_eq!(page_in("rw-p 00000000 00:0f 7 /anon_hugepage (deleted)", HUGE), Counts::Unproven);
        let anonymous = parse_maps(b"1000-2000 rw-p 00000000 00:00 0 \n").unwrap();
        assert_eq!(counts(&anonymous.get(0).unwrap(), HUGE, false), Counts::Unproven);
    }

    #[test]
    fn a_range_over_several_mappings_is_split() {
        let text =
            "1000-3000 rw-p 00000000 00:00 0 \n3000-4000 r--p 00000000 00:00 0 \n6000-9000 rw-p 00000000 00:00 0 \n";
        let mappings = parse_maps(text.as_bytes()).unwrap();
        let mut tally = Tally::new(&mappings, true);
        for (start, end) in [(0, 0x800), (0x2000, 0x7000), (0x8000, 0xf000)] {
            assert!(tally.add(&PageRange { addresses: start..end, state: PRESENT }).is_continue());
        }
        assert_eq!(tally.into_rss(), Some(vec![0x1000, 0x1000, 0x2000]));
    }
}
