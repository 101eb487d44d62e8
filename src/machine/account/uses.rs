//! What memory can be used for: the places of the account, and the attributes of parts of them.

/// Whether the kernel can take memory back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// Nobody uses it.
    Free,
    /// Yes: it drops it, or writes it to its file first.
    Yes,
    /// If there is room in swap.
    Swap,
    /// Some of it.
    Partly,
    /// No: only whoever uses it can free it.
    No,
    /// It is not known.
    Unknown,
}

impl Reclaim {
    /// All of them.
    pub const ALL: [Reclaim; 6] =
        [Reclaim::Free, Reclaim::Yes, Reclaim::Swap, Reclaim::Partly, Reclaim::No, Reclaim::Unknown];

    /// It as one word.
    pub fn word(self) -> &'static str {
        match self {
            Reclaim::Free => "free",
            Reclaim::Yes => "yes",
            Reclaim::Swap => "swap",
            Reclaim::Partly => "partly",
            Reclaim::No => "no",
            Reclaim::Unknown => "unknown",
        }
    }
}

macro_rules! uses {
    ($($(#[doc = $doc:literal])+ $name:ident: $word:literal, $title:literal, $reclaim:ident, $what:literal;)*) => {
        /// What memory is used for. A *place* is counted once, and all places together are the memory of the machine;
        /// an *attribute* is true of a part of some places.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum MemoryUse {
            $($(#[doc = $doc])+ $name,)*
        }

        impl MemoryUse {
            /// All of them, in the order in which they are shown.
            pub const ALL: &'static [MemoryUse] = &[$(MemoryUse::$name),*];

            /// Its name, which never changes.
            pub fn word(self) -> &'static str {
                match self { $(MemoryUse::$name => $word,)* }
            }

            /// Its name in a table.
            pub fn title(self) -> &'static str {
                match self { $(MemoryUse::$name => $title,)* }
            }

            /// Whether the kernel can take it back.
            pub fn reclaim(self) -> Reclaim {
                match self { $(MemoryUse::$name => Reclaim::$reclaim,)* }
            }

            /// What it is, in a few words.
            pub fn what(self) -> &'static str {
                match self { $(MemoryUse::$name => $what,)* }
            }
        }
    };
}

uses! {
    /// Blocks in the lists of the page allocator.
    Free: "free", "free", Free, "used by nobody";
    /// Free blocks that only movable pages may use (CMA).
    FreeContiguous: "free contiguous", "contiguous (CMA)", Free, "also kept for devices";
    /// Free blocks that the host has not handed out yet.
    Unaccepted: "unaccepted", "unaccepted", Free, "not accepted from the host";
    /// Free pages that are kept for one processor each.
    Kept: "free per processor", "free, per processor", Free, "kept ready by processors";
    /// Pages of processes that are in no file.
    Anonymous: "anonymous", "anonymous", Swap, "heaps, stacks, own copies";
    /// Anonymous pages in huge pages that the kernel made by itself.
    AnonymousHuge: "anonymous huge", "huge (THP)", Swap, "transparent huge pages";
    /// Anonymous pages that are mapped and have a copy in swap.
    AnonymousSwapCached: "anonymous in swap", "also in swap", Swap, "need not be written again";
    /// Anonymous pages that KSM has merged.
    Merged: "merged", "merged (KSM)", Swap, "equal pages, kept once";
    /// Pages of files and block devices.
    PageCache: "page cache", "page cache", Yes, "pages of files and disks";
    /// Pages of files in the page table of a process.
    CacheMapped: "page cache mapped", "mapped", Partly, "in a process's page table";
    /// Pages of files in no page table.
    CacheUnmapped: "page cache unmapped", "unmapped", Partly, "in no page table";
    /// Pages of files on the active list.
    ActiveFile: "active file", "active", Yes, "used more than once";
    /// Pages of files on the inactive list.
    InactiveFile: "inactive file", "inactive", Yes, "dropped first";
    /// Pages of files that are not written to disk yet.
    Dirty: "dirty", "dirty", Yes, "must be written first";
    /// Pages that are being written to disk.
    Writeback: "writeback", "writeback", Yes, "being written now";
    /// Pages of files that are as they are on disk.
    Clean: "clean", "clean", Partly, "dropped, unless locked";
    /// Pages of block devices.
    Buffers: "buffers", "block devices", Yes, "metadata, raw devices";
    /// Pages of files in large folios of the size of a huge page.
    FileHuge: "file huge", "huge", Yes, "in huge pages";
    /// Pages that an NFS server has not written to its disk yet.
    Unstable: "unstable", "unstable (NFS)", Yes, "sent, not yet on disk";
    /// tmpfs, memfd, shared anonymous mappings, System V segments.
    SharedMemory: "shared memory", "shared memory", Swap, "tmpfs, memfd, IPC";
    /// Shared memory in the page table of a process.
    SharedMapped: "shared mapped", "mapped", Swap, "in a process's page table";
    /// Shared memory in no page table.
    SharedUnmapped: "shared unmapped", "unmapped", Swap, "in no page table";
    /// Resident pages of System V segments.
    SystemV: "system v", "System V segments", Swap, "of shmget(2)";
    /// Shared memory in huge pages.
    SharedHuge: "shared huge", "huge", Swap, "in huge pages";
    /// Pages that are only in the cache of swap.
    SwapCache: "swap cache", "swap cache", Yes, "read from or going to swap";
    // The attributes of several places are below all of them, and say of which.
    /// Pages of files and shared memory in the page table of a process.
    Mapped: "mapped", "mapped, total", Partly, "page cache, shared memory";
    /// Pages of files and shared memory in no page table.
    Unmapped: "unmapped", "unmapped, total", Partly, "page cache, shared memory";
    /// Pages on the active list that go to swap.
    ActiveAnonymous: "active anonymous", "active, swappable", Swap, "anonymous, shared, swap";
    /// The same on the inactive list.
    InactiveAnonymous: "inactive anonymous", "inactive, swappable", Swap, "swapped out first";
    /// Pages that are never reclaimed.
    Unevictable: "unevictable", "unevictable, total", No, "locked, ramfs, secret";
    /// Pages that a process has locked.
    Locked: "locked", "locked, total", No, "a process holds them in RAM";
    /// Compressed pages that wait for, or instead of, a place in swap.
    Zswap: "zswap", "zswap", Partly, "compressed, before swap";
    /// Other compressed pages.
    Compressed: "compressed", "compressed (zram)", No, "zram, or another zsmalloc";
    /// Small objects of the kernel.
    Slab: "slab", "slab", Partly, "small objects of the kernel";
    /// Those that it can drop.
    SlabReclaimable: "slab reclaimable", "slab, reclaimable", Yes, "names and inodes of files";
    /// Those that it cannot.
    SlabUnreclaimable: "slab unreclaimable", "slab, unreclaimable", No, "kmalloc, tasks, sockets";
    /// What else the kernel can drop.
    KernelReclaimable: "kernel reclaimable", "reclaimable, other", Yes, "caches of drivers";
    /// Page tables of processes and of virtual machines.
    PageTables: "page tables", "page tables", No, "of processes and guests";
    /// Stacks of threads in the kernel.
    KernelStacks: "kernel stacks", "kernel stacks", No, "one per thread";
    /// Memory of the kernel that is contiguous only by its addresses.
    Vmalloc: "vmalloc", "vmalloc", No, "modules, BPF, large tables";
    /// Variables of which each processor has its own.
    PerCpu: "per cpu", "per-CPU data", No, "statistics, counters";
    /// Pages of hugetlbfs.
    HugePages: "huge pages", "huge pages", No, "reserved for hugetlbfs";
    /// Those that nobody uses.
    FreeHuge: "free huge", "unused", No, "free for hugetlbfs only";
    /// Copies for devices that cannot reach all memory.
    Bounce: "bounce", "bounce buffers", No, "copies for old devices";
    /// Copies that FUSE writes.
    FuseWrite: "fuse writeback", "FUSE writeback", No, "copies that are written";
    /// Pages with broken memory cells.
    Poisoned: "poisoned", "broken", No, "memory that failed";
    /// What `MemTotal` counts, but no zone manages.
    Unmanaged: "unmanaged", "in no zone", No, "counted, cannot be used";
    /// Everything else.
    Unnamed: "unnamed", "not named", Unknown, "drivers, sockets, kernel";
}

use MemoryUse::*;

impl MemoryUse {
    /// The places that an attribute is true of a part of; none for a place.
    pub fn part_of(self) -> &'static [MemoryUse] {
        match self {
            FreeContiguous | Unaccepted => &[Free],
            ActiveAnonymous | InactiveAnonymous => &[Anonymous, SharedMemory, SwapCache],
            AnonymousHuge | AnonymousSwapCached | Merged => &[Anonymous],
            Mapped | Unmapped => &[PageCache, SharedMemory],
            CacheMapped | CacheUnmapped | ActiveFile | InactiveFile | Dirty | Writeback | Clean | Buffers
            | FileHuge | Unstable => &[PageCache],
            SharedMapped | SharedUnmapped | SystemV | SharedHuge => &[SharedMemory],
            Unevictable | Locked => &[Anonymous, PageCache, SharedMemory],
            FreeHuge => &[HugePages],
            _ => &[],
        }
    }

    /// Whether it is a place: counted once, and a part of the sum.
    pub fn is_place(self) -> bool {
        self.part_of().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_use_has_a_name_of_its_own_and_fits_80_columns() {
        let words: std::collections::HashSet<_> = MemoryUse::ALL.iter().map(|one| one.word()).collect();
        assert_eq!(words.len(), MemoryUse::ALL.len());
        for one in MemoryUse::ALL {
            assert!(one.title().len() <= 19 && one.what().len() <= 27, "{one:?}");
            assert!(one.part_of().iter().all(|place| place.is_place()), "{one:?}");
        }
    }

    #[test]
    fn an_attribute_is_below_its_place_and_one_of_several_places_below_all_of_them_with_words_of_its_own() {
        let mut place = Free;
        for one in MemoryUse::ALL {
            match one.part_of() {
                [] => place = *one,
                [of] => assert_eq!(*of, place, "{one:?}"),
                several => {
                    assert!(several.iter().all(|of| of < one), "{one:?}");
                    let ends = [", total", ", swappable"];
                    assert!(ends.iter().any(|end| one.title().ends_with(end)), "{one:?}");
                }
            }
        }
    }
}
