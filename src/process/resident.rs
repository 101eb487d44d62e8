//! `Rss` of each mapping from ranges of the page tables, as smaps counts it, or the result that it may differ.
//!
//! smaps counts what the kernel's `vm_normal_page` accepts as a page (`smaps_pte_entry` in `fs/proc/task_mmu.c`),
//! without hugetlb. `PAGEMAP_SCAN` marks such a page as "file" if it is not anonymous. What is present and neither
//! file nor zero page is anonymous memory, or not counted at all: device memory, or a file on DAX. The mapping decides
//! which:
//!
//! | mapping | present, not file | because |
//! |---|---|---|
//! | no file, no name or `[heap]`, `[stack]`, `[anon:…]` | anonymous memory: counted | nothing else can be there |
//! | shared | not counted | nothing is copied on write in a shared mapping |
//! | private, of a regular file without DAX | anonymous memory: counted | see [`ResidentSums::take_files`] |
//! | `[vvar…]` | not counted | the mapping is `VM_PFNMAP` |
//! | any other (a device, `[vdso]` with a breakpoint) | unknown | |
//!
//! Also unknown, so that smaps has to be read:
//! * an entry that is not a present page: it may be in swap, under migration (smaps counts it as resident) or a marker
//!   of userfaultfd or of a page lost to a memory error (smaps does not count it). Guard regions are recognized.
//! * a huge page in a file on an unnumbered device (major 0): smaps counts huge pages of tmpfs, but not of hugetlbfs.
//! * a huge page that is not marked as file, on a kernel that does not mark the huge zero page.
//!
//! The entries of `/proc/PID/pagemap` cannot replace the ioctl: without privileges the zero page looks like a page that
//! is shared with a child.

use std::ops::ControlFlow;

use crate::kernel::pagemap_scan::{EntryState, PageRange};
use crate::process::kind::has_file;
use crate::process::mapping::{Mapping, Mappings};

/// The sums over the mappings of one process, added range by range in the order of addresses.
#[derive(Debug)]
pub(super) struct ResidentSums {
    /// The first mapping that ends after the ranges so far.
    at: usize,
    rss: Vec<u64>,
    /// The mappings whose file must be a regular one without DAX, by number, unless they were taken.
    files: Vec<usize>,
    last_file: Option<usize>,
    unproven: bool,
    /// Whether the kernel marks the huge zero page as a zero page.
    marks_huge_zero: bool,
}

/// How a page of a mapping counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Resident,
    /// Resident if its file is a regular one without DAX.
    ResidentIfRegular,
    Nothing,
    Unproven,
}

/// The properties of a mapping that decide how to count an entry without the mark "file".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Anonymous,
    Shared,
    PrivateFile,
    KernelData,
    Other,
}

impl ResidentSums {
    pub(super) fn new(marks_huge_zero: bool) -> ResidentSums {
        ResidentSums { at: 0, rss: Vec::new(), files: Vec::new(), last_file: None, unproven: false, marks_huge_zero }
    }

    /// Adds a range, which may cover several of the mappings, to which more may be added between two ranges. Breaks as
    /// soon as the sums cannot be proven any more.
    pub(super) fn add(&mut self, mappings: &Mappings, range: &PageRange) -> ControlFlow<()> {
        while let Some(mapping) = mappings.get(self.at) {
            if mapping.start() >= range.addresses.end {
                break;
            }
            let start = mapping.start().max(range.addresses.start);
            let end = mapping.end().min(range.addresses.end);
            if start < end {
                self.count(mappings, &mapping, range.state, end - start);
            }
            if mapping.end() > range.addresses.end {
                break;
            }
            self.at += 1;
        }
        if self.unproven { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether the sums so far are those of smaps, if the files are regular ones.
    pub(super) fn is_proven(&self) -> bool {
        !self.unproven
    }

    /// `Rss` in bytes of each of so many mappings.
    pub(super) fn into_rss(mut self, mappings: usize) -> Vec<u64> {
        self.rss.resize(mappings, 0);
        self.rss
    }

    /// The mappings, by number, whose file must be a regular one without DAX for the sums to be right; each is given
    /// once. Each is to be checked, because two files may have the same device and inode in `maps`; only of neighbours
    /// with the same path there is one.
    pub(super) fn take_files(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.files)
    }

    fn count(&mut self, mappings: &Mappings, mapping: &Mapping<'_>, state: EntryState, bytes: u64) {
        match counts(mapping, state, self.marks_huge_zero) {
            Counts::Nothing => return,
            Counts::Unproven => {
                self.unproven = true;
                return;
            }
            Counts::ResidentIfRegular => {
                let last = self.last_file.and_then(|last| mappings.get(last));
                if !last.is_some_and(|last| is_same_file(&last, mapping)) {
                    self.files.push(self.at);
                    self.last_file = Some(self.at);
                }
            }
            Counts::Resident => {}
        }
        if self.rss.len() <= self.at {
            self.rss.resize(self.at + 1, 0);
        }
        if let Some(sum) = self.rss.get_mut(self.at) {
            *sum = sum.saturating_add(bytes);
        }
    }
}

/// Whether both are of one file, or at least of two files of the same kind on the same file system: with the same path,
/// one of them would be mounted over the other.
fn is_same_file(one: &Mapping<'_>, other: &Mapping<'_>) -> bool {
    (one.device(), one.inode(), one.path()) == (other.device(), other.inode(), other.path())
}

fn counts(mapping: &Mapping<'_>, state: EntryState, marks_huge_zero: bool) -> Counts {
    match state {
        EntryState { guard: true, .. } => Counts::Nothing,
        EntryState { present: false, swapped: true, .. } => Counts::Unproven,
        EntryState { present: false, .. } | EntryState { zero: true, .. } => Counts::Nothing,
        EntryState { huge: true, .. } if has_file(mapping) && mapping.device().major == 0 => Counts::Unproven,
        EntryState { file: true, .. } => Counts::Resident,
        EntryState { huge: true, .. } if !marks_huge_zero => Counts::Unproven,
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

/// Whether a mapping may be of shared memory (tmpfs, memfd, shared anonymous memory). Its `Swap` in smaps is what the
/// file has in swap, which the page tables do not show. All such file systems have an unnumbered device.
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

    /// How one page in `state` counts in a mapping with this rest of its line.
    fn page_in(tail: &str, state: EntryState) -> Counts {
        let mappings = parse_maps(format!("1000-2000 {tail}\n").as_bytes()).unwrap();
        counts(&mappings.get(0).unwrap(), state, true)
    }

    #[test]
    fn the_mapping_decides_about_pages_that_are_neither_file_nor_zero() {
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
    fn pages_of_files_count_but_zero_pages_and_guards_do_not() {
        for tail in ["rw-p 00000000 00:00 0 ", "r-xp 00000000 00:00 0 [vdso]", "rw-s 00000000 fe:00 7 /x"] {
            assert_eq!(page_in(tail, FILE), Counts::Resident);
            assert_eq!(page_in(tail, ZERO), Counts::Nothing);
            assert_eq!(page_in(tail, EntryState { guard: true, swapped: true, ..NONE }), Counts::Nothing);
            assert_eq!(page_in(tail, EntryState { swapped: true, ..NONE }), Counts::Unproven);
        }
    }

    #[test]
    fn huge_pages_count_unless_they_may_be_of_hugetlb() {
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
        let mut sums = ResidentSums::new(true);
        for (start, end) in [(0, 0x800), (0x2000, 0x7000), (0x8000, 0xf000)] {
            assert!(sums.add(&mappings, &PageRange { addresses: start..end, state: PRESENT }).is_continue());
        }
        assert!(sums.is_proven());
        assert_eq!(sums.into_rss(mappings.len()), [0x1000, 0x1000, 0x2000]);
    }
}
