//! What a page frame is used for, by its entry in `/proc/kpageflags`, and how many frames there are of each use.

use super::uses::MemoryUse;
use crate::kernel::page_flags::{
    ACTIVE, ANON, BUDDY, DIRTY, HEAD, HUGE, KSM, LOCKED, LRU, MMAP, NO_PAGE, OFFLINE, PAGE_TABLE, POISON, RESERVED,
    SLAB, SWAP_BACKED, SWAP_CACHE, TAIL, UNEVICTABLE, WRITEBACK,
};

use MemoryUse::*;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// A page with this use. [`Unnamed`]: it has no flags, or none that names it; it may also be a hole.
    Used(MemoryUse),
    /// There is no page.
    Hole,
    /// A page that was reserved when the machine started, and is not a part of `MemTotal`.
    Reserved,
    /// A page that was given back to the host, or that is being removed. Whether it is a part of `MemTotal` depends on
    /// the driver.
    Offline,
}

impl Frame {
    /// What an entry says. The order matters: a page with a type, such as slab, may look like anything else, because
    /// the kernel keeps other things in the same words.
    pub(super) fn of(entry: u64) -> Frame {
        let has = |bit| entry & bit != 0;
        match () {
            () if has(POISON) => Frame::Used(Poisoned),
            () if has(NO_PAGE) => Frame::Hole,
            () if has(BUDDY) => Frame::Used(Free),
            () if has(SLAB) => Frame::Used(Slab),
            () if has(PAGE_TABLE) => Frame::Used(PageTables),
            () if has(OFFLINE) => Frame::Offline,
            () if has(HUGE) => Frame::Used(HugePages),
            () if has(LRU) => Frame::Used(of_list(entry)),
            () if has(RESERVED) => Frame::Reserved,
            () => Frame::Used(Unnamed),
        }
    }
}

/// What a page on one of the lists of pages is.
fn of_list(entry: u64) -> MemoryUse {
    let has = |bit| entry & bit != 0;
    match () {
        // It has left its process or its tmpfs file, and only swap knows it.
        () if has(SWAP_CACHE) && !(has(ANON) && has(MMAP)) => SwapCache,
        () if has(ANON) => Anonymous,
        () if has(SWAP_BACKED) => SharedMemory,
        () => PageCache,
    }
}

/// The attributes of pages on lists, and whether an entry with this use has them.
type Attribute = (MemoryUse, fn(MemoryUse, u64) -> bool);

/// KSM made this page of several.
const MERGED: Attribute = (Merged, |of, entry| of == Anonymous && entry & KSM != 0);

const ATTRIBUTES: [Attribute; 14] = [
    (ActiveAnonymous, |_, entry| entry & SWAP_BACKED != 0 && entry & (ACTIVE | UNEVICTABLE) == ACTIVE),
    (InactiveAnonymous, |_, entry| entry & SWAP_BACKED != 0 && entry & (ACTIVE | UNEVICTABLE) == 0),
    (AnonymousSwapCached, |of, entry| of == Anonymous && entry & SWAP_CACHE != 0),
    (CacheMapped, |of, entry| of == PageCache && entry & MMAP != 0),
    (CacheUnmapped, |of, entry| of == PageCache && entry & MMAP == 0),
    (SharedMapped, |of, entry| of == SharedMemory && entry & MMAP != 0),
    (SharedUnmapped, |of, entry| of == SharedMemory && entry & MMAP == 0),
    (ActiveFile, |_, entry| entry & (SWAP_BACKED | ACTIVE | UNEVICTABLE) == ACTIVE),
    (InactiveFile, |_, entry| entry & (SWAP_BACKED | ACTIVE | UNEVICTABLE) == 0),
    (Dirty, |of, entry| of == PageCache && entry & DIRTY != 0),
    (Writeback, |of, entry| of == PageCache && entry & WRITEBACK != 0),
    (Clean, |of, entry| of == PageCache && entry & (DIRTY | WRITEBACK) == 0),
    (Unevictable, |_, entry| entry & UNEVICTABLE != 0),
    (Locked, |_, entry| entry & LOCKED != 0),
];

/// The flags that only the first page of a folio has on kernels before 6.10.
const OF_FOLIO: u64 =
    DIRTY | LRU | ACTIVE | WRITEBACK | ANON | SWAP_CACHE | SWAP_BACKED | UNEVICTABLE | LOCKED | SLAB | HUGE | MMAP;

/// Completes the entries of consecutive frames: the other pages of a folio get the flags of its first one.
#[derive(Debug, Default)]
pub(super) struct Folios {
    /// The entry of the first page of the folio that the last frame belongs to; 0 if it belongs to none.
    head: u64,
}

impl Folios {
    /// The entry of the next frame.
    pub(super) fn complete(&mut self, entry: u64) -> u64 {
        match entry & (HEAD | TAIL | BUDDY) {
            // Newer kernels repeat the flags; older ones leave them out.
            TAIL if entry & LRU == 0 => entry | self.head & OF_FOLIO,
            TAIL => entry,
            HEAD => {
                self.head = entry;
                entry
            }
            _ => {
                self.head = 0;
                entry
            }
        }
    }
}

/// How many frames have each use, among them attributes.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pages: [u64; MemoryUse::ALL.len()],
    /// Frames that are no part of `MemTotal`, or not always.
    pub(super) reserved: u64,
    pub(super) offline: u64,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { pages: [0; MemoryUse::ALL.len()], reserved: 0, offline: 0 }
    }
}

impl Tally {
    /// Adds so many frames with this entry. `has_merged`: whether KSM is in use. If it is not, some kernels set its
    /// flag on every anonymous page.
    pub(super) fn add(&mut self, entry: u64, frames: u64, has_merged: bool) {
        match Frame::of(entry) {
            Frame::Hole => {}
            Frame::Reserved => self.reserved += frames,
            Frame::Offline => self.offline += frames,
            Frame::Used(of) => {
                self.count(of, frames);
                if matches!(of, Anonymous | PageCache | SharedMemory | SwapCache) {
                    let attributes = ATTRIBUTES.iter().chain(has_merged.then_some(&MERGED));
                    for (attribute, _) in attributes.filter(|(_, has)| has(of, entry)) {
                        self.count(*attribute, frames);
                    }
                }
            }
        }
    }

    fn count(&mut self, of: MemoryUse, frames: u64) {
        if let Some(pages) = self.pages.get_mut(of as usize) {
            *pages = pages.saturating_add(frames);
        }
    }

    /// How many frames have this use.
    pub(super) fn pages(&self, of: MemoryUse) -> u64 {
        self.pages.get(of as usize).copied().unwrap_or(0)
    }

    /// Adds another one to it.
    pub(super) fn merge(&mut self, other: &Tally) {
        self.pages.iter_mut().zip(other.pages).for_each(|(pages, more)| *pages = pages.saturating_add(more));
        self.reserved += other.reserved;
        self.offline += other.offline;
    }
}

/// The uses that frames can have, in the order in which they are shown; `has_merged` as above.
pub(super) fn known_uses(has_merged: bool) -> impl Iterator<Item = MemoryUse> {
    const PLACES: [MemoryUse; 9] =
        [Free, Anonymous, PageCache, SharedMemory, SwapCache, Slab, PageTables, HugePages, Poisoned];
    let attributes = ATTRIBUTES.iter().map(|(of, _)| *of).chain(has_merged.then_some(Merged));
    let uses: Vec<MemoryUse> = PLACES.into_iter().chain(attributes).collect();
    MemoryUse::ALL.iter().copied().filter(move |of| uses.contains(of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::page_flags::UP_TO_DATE;

    fn used(entry: u64) -> Option<MemoryUse> {
        match Frame::of(entry) {
            Frame::Used(of) => Some(of),
            _ => None,
        }
    }

    fn tally(entries: &[u64], has_merged: bool) -> Tally {
        let (mut folios, mut tally) = (Folios::default(), Tally::default());
        entries.iter().for_each(|entry| tally.add(folios.complete(*entry), 1, has_merged));
        tally
    }

    #[test]
    fn a_broken_page_is_broken_whatever_else_it_was() {
        assert_eq!(used(POISON | BUDDY | SLAB | LRU | ANON), Some(Poisoned));
        assert_eq!(Frame::of(NO_PAGE | BUDDY), Frame::Hole);
    }

    #[test]
    fn a_free_block_is_free_in_all_its_pages() {
        let tally = tally(&[BUDDY, BUDDY, BUDDY | UP_TO_DATE, BUDDY], false);
        assert_eq!(tally.pages(Free), 4);
    }

    #[test]
    fn a_page_with_a_type_is_not_anonymous_though_it_looks_like_it() {
        assert_eq!(used(SLAB | ANON | MMAP), Some(Slab));
        assert_eq!(used(PAGE_TABLE | ANON | MMAP), Some(PageTables));
        assert_eq!(Frame::of(OFFLINE | ANON | MMAP), Frame::Offline);
        assert_eq!(used(HUGE | ANON | MMAP | LRU), Some(HugePages));
    }

    #[test]
    fn pages_on_lists_are_anonymous_or_of_files_or_shared() {
        assert_eq!(used(LRU | ANON | SWAP_BACKED | MMAP), Some(Anonymous));
        // MADV_FREE takes the flag away.
        assert_eq!(used(LRU | ANON | MMAP), Some(Anonymous));
        assert_eq!(used(LRU | UP_TO_DATE), Some(PageCache));
        assert_eq!(used(LRU | SWAP_BACKED), Some(SharedMemory));
        assert_eq!(used(LRU | ANON | SWAP_BACKED | MMAP | SWAP_CACHE), Some(Anonymous));
        assert_eq!(used(LRU | ANON | SWAP_BACKED | SWAP_CACHE), Some(SwapCache));
        assert_eq!(used(LRU | SWAP_BACKED | SWAP_CACHE), Some(SwapCache));
        // Not on a list: whatever it looks like, it is not known.
        assert_eq!(used(ANON | MMAP | SWAP_BACKED), Some(Unnamed));
        assert_eq!(used(0), Some(Unnamed));
        assert_eq!(Frame::of(RESERVED), Frame::Reserved);
    }

    #[test]
    fn attributes_are_those_of_the_lists_and_of_the_page_cache() {
        let entries = [
            LRU | ACTIVE | DIRTY | MMAP,
            LRU | WRITEBACK,
            LRU | UNEVICTABLE | LOCKED | MMAP,
            LRU | SWAP_BACKED | DIRTY | ACTIVE,
            LRU | ANON | SWAP_BACKED | MMAP | DIRTY,
            // Not of the page cache: what its flags mean is not known.
            DIRTY | MMAP | LOCKED,
            SLAB | ACTIVE,
        ];
        let tally = tally(&entries, false);
        let expected = [
            (PageCache, 3),
            (SharedMemory, 1),
            (Anonymous, 1),
            (CacheMapped, 2),
            (CacheUnmapped, 1),
            (SharedMapped, 0),
            (SharedUnmapped, 1),
            (ActiveFile, 1),
            (InactiveFile, 1),
            (ActiveAnonymous, 1),
            (InactiveAnonymous, 1),
            (Dirty, 1),
            (Writeback, 1),
            (Clean, 1),
            (Unevictable, 1),
            (Locked, 1),
            (Merged, 0),
        ];
        expected.iter().for_each(|(of, pages)| assert_eq!(tally.pages(*of), *pages, "{of:?}"));
    }

    #[test]
    fn the_flag_of_ksm_means_nothing_if_nothing_is_merged() {
        let entries = [LRU | ANON | SWAP_BACKED | MMAP | KSM; 3];
        assert_eq!(tally(&entries, false).pages(Merged), 0);
        assert_eq!(tally(&entries, true).pages(Merged), 3);
        assert_eq!(tally(&entries, false).pages(Anonymous), 3);
    }

    #[test]
    fn the_other_pages_of_a_folio_are_what_its_first_one_is_on_old_kernels_and_new_ones() {
        let head = HEAD | LRU | ACTIVE | DIRTY | MMAP;
        for tail in [TAIL, TAIL | LRU | ACTIVE | DIRTY | MMAP, TAIL | MMAP] {
            let tally = tally(&[head, tail, tail, tail, 0, TAIL], false);
            assert_eq!((tally.pages(PageCache), tally.pages(Dirty), tally.pages(ActiveFile)), (4, 4, 4), "{tail:x}");
            // A tail without a head is of nothing: the page changed while it was read.
            assert_eq!(tally.pages(Unnamed), 2);
        }
        let anonymous = tally(&[HEAD | LRU | ANON | SWAP_BACKED | MMAP, TAIL | ANON, TAIL | ANON | MMAP], false);
        assert_eq!(anonymous.pages(Anonymous), 3);
        // Of slabs and of buffers of a driver.
        assert_eq!(tally(&[HEAD | SLAB, TAIL, TAIL, HEAD, TAIL], false).pages(Slab), 3);
        assert_eq!(tally(&[HEAD | HUGE, TAIL | HUGE, TAIL], false).pages(HugePages), 3);
    }
}
