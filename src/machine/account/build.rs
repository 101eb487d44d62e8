//! From the counters of the kernel to the account: which field goes where, and what overlaps.

use super::amounts::{MemoryAccount, MemoryAmount, UNCOUNTED, sum_of_places};
use super::others::Others;
use super::uses::MemoryUse;
use super::zones::{Zone, Zones};
use crate::machine::fields::Fields;
use crate::units::{Absent, Bytes, Figure, PageSize, Pages, Reason};

use MemoryUse::*;

const CHANGED: Absent = Absent::new(Reason::Changed, "its parts changed while the kernel added them up");
const ONLY_OF_BOTH: Absent = Absent::new(
    Reason::Unsupported,
    "counters have only the sum of page cache and shared memory: --pages tells them apart (root)",
);
const VMALLOC_IS_ZERO: Absent =
    Absent::new(Reason::Unsupported, "kernels before 5.3 do not count it, and write VmallocUsed as 0");

/// What the kernel counts about a machine or a node.
pub(super) struct Counted<'a> {
    pub(super) fields: &'a Fields,
    pub(super) zones: Figure<&'a Zones>,
    pub(super) others: &'a Others,
    pub(super) page: PageSize,
    /// The node, if it is not the whole machine.
    pub(super) node: Option<u32>,
}

impl Counted<'_> {
    /// The account of `total` bytes.
    pub(super) fn account(&self, total: Bytes) -> MemoryAccount {
        let managed = self.zones(|zone| zone.managed);
        // Only the whole machine has a second sum: the total of a node is what its zones manage.
        let gap = if self.node.is_some() { Bytes(0) } else { managed.map_or(Bytes(0), |it| total.saturating_sub(it)) };
        let mut amounts = Vec::new();
        let mut add = |of, bytes, source| amounts.push(MemoryAmount::new(of, bytes, source));
        self.add_free(gap, &mut add);
        self.add_pages(&mut add);
        self.add_kernel(&mut add);
        let sum = sum_of_places(&amounts);
        amounts.push(MemoryAmount::new(Unnamed, Ok(total.saturating_sub(sum)), "MemTotal - all others"));
        amounts.sort_by_key(|amount| amount.of);
        MemoryAccount {
            node: self.node,
            page_size: self.page,
            total,
            amounts,
            excess: sum.saturating_sub(total),
            managed,
            reserved: self.zones(|zone| zone.present.saturating_sub(zone.managed)),
            balloon: self.get("Balloon"),
            system_v: self.others.system_v,
        }
    }

    fn get(&self, key: &str) -> Figure<Bytes> {
        self.fields.bytes(key).ok_or(UNCOUNTED)
    }

    /// A field that only adds to another one, and that some kernels do not have.
    fn get_or_none(&self, key: &str) -> Bytes {
        self.fields.bytes(key).unwrap_or_default()
    }

    fn zones(&self, of: impl Fn(&Zone) -> Pages) -> Figure<Bytes> {
        Ok(self.zones?.bytes(self.node, self.page, of))
    }

    fn pages(&self, count: Option<u64>) -> Figure<Bytes> {
        count.map(|count| Pages(count).bytes(self.page)).ok_or(UNCOUNTED)
    }

    /// Free memory, and what only seems to be free.
    fn add_free(&self, gap: Bytes, add: &mut impl FnMut(MemoryUse, Figure<Bytes>, &'static str)) {
        let free = self.get("MemFree");
        let unusable = free.map_or(Bytes(0), |free| self.unusable(free, gap));
        add(Free, free.map(|free| free.saturating_sub(unusable)), "MemFree");
        add(FreeContiguous, self.get("CmaFree"), "CmaFree");
        add(Unaccepted, self.get("Unaccepted"), "Unaccepted");
        add(Kept, self.zones(|zone| zone.kept), "zoneinfo: pagesets");
        let unmanaged = if self.node.is_some() { Err(UNCOUNTED) } else { self.zones.map(|_| gap) };
        add(Unmanaged, unmanaged, "MemTotal - zoneinfo: managed");
    }

    /// How much of `MemFree` no zone manages, so that nobody can ever have it: all of the gap if the free lists of the
    /// zones do not have it, otherwise what they have beyond what they manage.
    fn unusable(&self, free: Bytes, gap: Bytes) -> Bytes {
        let Ok(in_lists) = self.zones(|zone| zone.free) else { return Bytes(0) };
        let beyond = self.zones(|zone| zone.free.saturating_sub(zone.managed)).unwrap_or_default();
        let unlisted = free.saturating_sub(in_lists);
        if unlisted.0 >= gap.0 / 2 { gap.min(free) } else { gap.min(beyond).min(free) }
    }

    /// Anonymous memory, the page cache, shared memory and what goes to swap.
    fn add_pages(&self, add: &mut impl FnMut(MemoryUse, Figure<Bytes>, &'static str)) {
        let of_node = self.node.is_some();
        let anonymous = self.get("AnonPages");
        add(Anonymous, anonymous, "AnonPages");
        add(ActiveAnonymous, self.get("Active(anon)"), "Active(anon)");
        add(InactiveAnonymous, self.get("Inactive(anon)"), "Inactive(anon)");
        add(AnonymousHuge, self.get("AnonHugePages"), "AnonHugePages");

        // `Cached` is without the pages of block devices and without the cache of swap.
        let cached = self.get("Cached").map(|cached| cached + self.get_or_none("Buffers"));
        let shared = self.get("Shmem");
        let files = cached.and_then(|cached| difference(cached, shared?));
        add(PageCache, files, if of_node { "FilePages - Shmem" } else { "Cached + Buffers - Shmem" });
        let mapped = self.get("Mapped");
        add(Mapped, mapped, "Mapped");
        let unmapped = cached.and_then(|cached| difference(cached, mapped?));
        let (all, parts) = match of_node {
            true => ("FilePages - Mapped", "Mapped, FilePages and Shmem"),
            false => ("Cached + Buffers - Mapped", "Mapped, Cached, Buffers and Shmem"),
        };
        add(Unmapped, unmapped, all);
        for (of, sum, own, other) in [
            (CacheMapped, mapped, files, shared),
            (CacheUnmapped, unmapped, files, shared),
            (SharedMapped, mapped, shared, files),
            (SharedUnmapped, unmapped, shared, files),
        ] {
            add(of, sum.and_then(|sum| part_of_sum(sum, own?, other?)), parts);
        }
        add(ActiveFile, self.get("Active(file)"), "Active(file)");
        add(InactiveFile, self.get("Inactive(file)"), "Inactive(file)");
        let (dirty, writeback) = (self.get("Dirty"), self.get("Writeback"));
        add(Dirty, dirty, "Dirty");
        add(Writeback, writeback, "Writeback");
        let clean = files.and_then(|files| difference(files, dirty? + writeback?));
        add(Clean, clean, if of_node { "FilePages - ..." } else { "page cache - Dirty - Writeback" });
        add(Buffers, self.get("Buffers"), "Buffers");
        add(FileHuge, self.get("FileHugePages"), "FileHugePages");
        add(Unstable, self.get("NFS_Unstable"), "NFS_Unstable");
        add(SharedMemory, shared, "Shmem");
        add(SystemV, self.others.system_v.map(|found| found.resident).ok_or(UNCOUNTED), "sysvipc/shm");
        add(SharedHuge, self.get("ShmemHugePages"), "ShmemHugePages");
        add(Unevictable, self.get("Unevictable"), "Unevictable");
        add(Locked, self.get("Mlocked"), "Mlocked");

        let swap_cached = self.get("SwapCached");
        let twice = swap_cached.and_then(|swap_cached| self.mapped_swap_cache(swap_cached, anonymous?, cached?));
        add(SwapCache, swap_cached.and_then(|swap_cached| difference(swap_cached, twice?)), "SwapCached, not mapped");
        add(AnonymousSwapCached, twice, "AnonPages + Cached + SwapCached - lists");
        let zswap = self.get("Zswap");
        add(Zswap, zswap, "Zswap");
        let zsmalloc = self.pages(self.others.zsmalloc_pages);
        let own = if self.others.zswap_is_zsmalloc { zswap.unwrap_or_default() } else { Bytes(0) };
        add(Compressed, zsmalloc.map(|zsmalloc| zsmalloc.saturating_sub(own)), "vmstat: nr_zspages - Zswap");
        add(Merged, self.pages(self.others.merged_pages), "ksm/pages_shared");
    }

    /// How much of the cache of swap is mapped, and so in `AnonPages` too. Every page of both, and of the page cache,
    /// is on one of the lists of pages once; what they are together beyond that was counted twice.
    fn mapped_swap_cache(&self, swap_cached: Bytes, anonymous: Bytes, cached: Bytes) -> Figure<Bytes> {
        let lists = self.get("Active")? + self.get("Inactive")? + self.get("Unevictable")?;
        Ok((anonymous + cached + swap_cached).saturating_sub(lists).min(swap_cached))
    }

    /// Memory of the kernel.
    fn add_kernel(&self, add: &mut impl FnMut(MemoryUse, Figure<Bytes>, &'static str)) {
        let reclaimable = self.get("SReclaimable");
        add(SlabReclaimable, reclaimable, "SReclaimable");
        add(SlabUnreclaimable, self.get("SUnreclaim"), "SUnreclaim");
        let other = self.get("KReclaimable").and_then(|all| Ok(all.saturating_sub(reclaimable?)));
        add(KernelReclaimable, other, "KReclaimable - SReclaimable");
        let tables = self.get("PageTables");
        let more = self.get_or_none("SecPageTables") + self.get_or_none("Quicklists");
        add(PageTables, tables.map(|tables| tables + more), "PageTables + SecPageTables");
        let stacks = self.get("KernelStack").map(|stacks| stacks + self.get_or_none("ShadowCallStack"));
        add(KernelStacks, stacks, "KernelStack");
        // Stacks are a part of it on kernels with CONFIG_VMAP_STACK, which nothing says. Without them it is never too
        // much.
        let vmalloc = match self.get("VmallocUsed") {
            Ok(Bytes(0)) => Err(VMALLOC_IS_ZERO),
            Ok(used) => Ok(used.0.checked_sub(stacks.unwrap_or_default().0).map_or(used, Bytes)),
            absent => absent,
        };
        add(Vmalloc, vmalloc, "VmallocUsed - KernelStack");
        add(PerCpu, self.get("Percpu"), "Percpu");
        let of_default_size = |key| {
            let size = self.get("Hugepagesize")?;
            let count = self.fields.count(key).ok_or(UNCOUNTED)?;
            Ok(Bytes(count.saturating_mul(size.0)))
        };
        let huge = self.get("Hugetlb");
        let source = if huge.is_ok() { "Hugetlb" } else { "HugePages_Total * Hugepagesize" };
        add(HugePages, huge.or_else(|_| of_default_size("HugePages_Total")), source);
        add(FreeHuge, of_default_size("HugePages_Free"), "HugePages_Free * Hugepagesize");
        add(Bounce, self.get("Bounce"), "Bounce");
        add(FuseWrite, self.get("WritebackTmp"), "WritebackTmp");
        add(Poisoned, self.get("HardwareCorrupted"), "HardwareCorrupted");
    }
}

/// How much of a sum over two places the first one has: it is known if the other can have nothing of it, or the sum is
/// all of both.
fn part_of_sum(sum: Bytes, own: Bytes, other: Bytes) -> Figure<Bytes> {
    let (least, most) = (sum.saturating_sub(other), sum.min(own));
    if least == most { Ok(most) } else { Err(ONLY_OF_BOTH) }
}

fn difference(whole: Bytes, part: Bytes) -> Figure<Bytes> {
    whole.0.checked_sub(part.0).map(Bytes).ok_or(CHANGED)
}
