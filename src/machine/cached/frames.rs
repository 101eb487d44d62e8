//! Compares folios with `/proc/kpageflags`, which says the same by page frame: a second source for what the lists say.
//!
//! A folio has an address, and kpageflags is indexed by page frame. The kernel keeps a `struct page` of 64 bytes for
//! each frame in one array, whose start follows from one page of which both are known: the first one of rmap's own
//! program, whose frame `/proc/self/pagemap` shows to root.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::CachedFile;
use crate::kernel::bpf::pages::{Pages, Reader, Sample};
use crate::kernel::cached::{Counter, FilePages, Stretch};
use crate::kernel::page_flags;
use crate::process::{ProcRoot, parse_maps};

/// Bits that do not change as quickly as they are read, and what they correspond to.
const BITS: [(u64, Counter); 4] = [
    (page_flags::UP_TO_DATE, Counter::UpToDate),
    (page_flags::SWAP_BACKED, Counter::SwapBacked),
    (page_flags::UNEVICTABLE, Counter::Unevictable),
    (page_flags::LOCKED, Counter::Locked),
];

/// Pages with another meaning: free, slab, anonymous. A folio that was met as a part of a file and has one of these was
/// freed since.
const FREED: u64 = page_flags::BUDDY | page_flags::SLAB | page_flags::ANON | page_flags::NO_PAGE;

const STRUCT_PAGE: u64 = 64;

/// The frames of folios.
#[derive(Debug)]
pub(super) struct Frames {
    start: u64,
    flags: File,
}

impl Frames {
    /// Finds where the array of `struct page` starts; `None` without permission, or if rmap's program is not among the
    /// `files`.
    pub(super) fn find(root: &ProcRoot, pages: &mut Pages, files: &[CachedFile], until: Instant) -> Option<Frames> {
        let flags = File::open("/proc/kpageflags").ok()?;
        let (device, inode, address) = own_program(root)?;
        let is_own = |file: &&CachedFile| file.file_system.device == device && file.number == inode;
        let own = files.iter().filter(is_own).map(CachedFile::target);
        let mut first = First::default();
        // Only its first folio: of a long file, the samples at the end replace the first ones.
        let start = own.take(1).map(|target| Stretch { target, pages: 0..1 });
        pages.read(start, until, &mut first).ok()?;
        let folio = first.sample?.folio;
        let frame = frame_of(address)?;
        let start = folio.checked_sub(frame.checked_mul(STRUCT_PAGE)?)?;
        Some(Frames { start, flags })
    }

    /// How many of these folios were compared, and how many of them differ.
    pub(super) fn compare(&self, samples: &[Sample]) -> (u64, u64) {
        let (mut compared, mut differ) = (0, 0);
        for sample in samples {
            let Some(frame) = sample.folio.checked_sub(self.start).map(|bytes| bytes / STRUCT_PAGE) else {
                differ += 1;
                continue;
            };
            let mut bytes = [0; page_flags::ENTRY as usize];
            let entries = page_flags::read_entries(&self.flags, frame, &mut bytes);
            let Some(entry) = entries.ok().and_then(|mut entries| entries.next()) else { continue };
            if entry & FREED != 0 {
                continue;
            }
            compared += 1;
            differ += u64::from(BITS.iter().any(|(bit, counter)| (entry & bit != 0) != sample.is(*counter)));
        }
        (compared, differ)
    }
}

/// The device, the inode number and the address of the first page of rmap's program, which is the first file that is
/// mapped. The loader has read its header, so the page is in the page table.
fn own_program(root: &ProcRoot) -> Option<((u32, u32), u64, u64)> {
    let maps = parse_maps(&root.read_file("self/maps").ok()?).ok()?;
    let first = maps.iter().find(|map| map.device().has_file(map.inode()) && map.offset() == 0)?;
    Some(((first.device().major, first.device().minor), first.inode(), first.start()))
}

/// The frame of the page at an address of this process.
fn frame_of(address: u64) -> Option<u64> {
    let pagemap = File::open("/proc/self/pagemap").ok()?;
    let mut entry = [0; 8];
    let page = crate::kernel::page_size().bytes();
    pagemap.read_exact_at(&mut entry, address.checked_div(page)?.checked_mul(8)?).ok()?;
    let entry = u64::from_ne_bytes(entry);
    let frame = entry & ((1 << 55) - 1);
    (entry >> 63 == 1 && frame != 0).then_some(frame)
}

/// Takes the first folio of a file.
#[derive(Default)]
struct First {
    sample: Option<Sample>,
}

impl Reader for First {
    fn file(&mut self, _: usize, _: FilePages) {}

    fn sample(&mut self, sample: Sample) {
        self.sample.get_or_insert(sample);
    }
}
