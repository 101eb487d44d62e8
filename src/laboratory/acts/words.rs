//! One sentence about each act: what the kernel did, and why.

use super::figures::{Figures, Mapped};
use super::request::FillPattern;
use super::scene::Scene;
use super::script::{Act, Kind};
use crate::units::{Bytes, Exact, Figure, counted};

/// What became of the data that was written to memory without a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// Nothing was ever written.
    None,
    /// It is there.
    There,
    /// It was discarded.
    Lost,
}

/// What a sentence is about.
pub(super) struct Telling<'t> {
    pub(super) scene: &'t Scene<'t>,
    pub(super) data: Data,
    /// How many pages the act touched, if it fills.
    pub(super) touched: u64,
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
}

/// How much the kernel maps around a page fault, unless it was configured otherwise.
const FAULT_AROUND: Bytes = Bytes(64 << 10);

impl Telling<'_> {
    /// The sentence.
    pub(super) fn sentence(&self) -> String {
        match self.scene.act {
            Act::Create => self.create(),
            Act::Map => self.map(),
            Act::Touch => self.touch(),
            Act::Quarter | Act::Half | Act::Fill => self.fill(),
            Act::Msync => self.msync(),
            Act::DontNeed => self.dont_need(),
            Act::Read => self.read(),
            Act::Second => self.second(),
            Act::Fork => self.fork(),
            Act::Mremap => self.mremap(),
            Act::Munmap => self.munmap(),
            Act::Evict => self.evict(),
            Act::Unlink => {
                "The name is gone, but the file lives as long as somebody maps it or has it open.".to_owned()
            }
            Act::Small => format!(
                "malloc takes blocks of less than 128K (here {}) from the heap, which brk extends; only headers were \
                 written.",
                Exact(Bytes(self.scene.block))
            ),
            Act::Large => {
                "malloc maps a block of 128K or more on its own with mmap; the heap stays as it is.".to_owned()
            }
            Act::Keep => {
                "free gave nothing back: brk can only shrink the heap from its end, where one block is still in \
                          use."
                    .to_owned()
            }
            Act::Trim => self.trim(),
            Act::Free => self.free(),
        }
    }

    fn figure(figures: &Figures, take: fn(&Mapped) -> Bytes) -> Bytes {
        figures.of_mapping(take).unwrap_or_default()
    }

    fn cached(&self) -> Figure<Bytes> {
        self.scene.after.cached
    }

    fn create(&self) -> String {
        match self.scene.kind {
            Kind::Private if self.scene.is_on_disk => {
                format!("write(2) put the data into the page cache{}.{}", self.when_written(), self.not_up_to_date())
            }
            Kind::Private => "write(2) put the data into the page cache, which is where this file lives.".to_owned(),
            Kind::Memfd => "The file exists only in memory, and has no pages before somebody touches it.".to_owned(),
            _ if self.scene.wrote_zeros => {
                "This file system cannot allocate blocks, so zeros were written to all of the file; they were written \
                 back and dropped from the page cache again."
                    .to_owned()
            }
            _ => "The file has a length, and blocks if it will be filled; none of its pages is in memory.".to_owned(),
        }
    }

    /// When the disk gets what was written.
    fn when_written(&self) -> &'static str {
        match self.scene.after.dirty {
            Ok(Bytes(0)) => ", and the file system wrote it at once: nothing is dirty",
            Ok(_) if self.scene.is_layer_unseen => "; the layer below gets it later",
            Ok(_) => "; the disk gets it later",
            Err(_) => "",
        }
    }

    /// What the page cache has besides what counts as cached.
    fn not_up_to_date(&self) -> String {
        match self.scene.after.stale {
            Ok(stale) if stale > Bytes(0) => format!(
                " Cached does not count {} that are not up to date: a block of the file system is smaller than a \
                 page, and only the blocks that were written are in memory.",
                Exact(stale)
            ),
            _ => String::new(),
        }
    }

    fn map(&self) -> String {
        let (before, after) = (self.scene.before.cached.unwrap_or_default(), self.cached().unwrap_or_default());
        let read = after.saturating_sub(before);
        match self.scene.kind {
            Kind::Hugetlb => "mmap set huge pages aside for these addresses; none of them is in use yet.".to_owned(),
            _ if read > Bytes(0) => format!("mmap only noted the addresses; the advice read {} ahead.", Exact(read)),
            _ => "mmap only noted the addresses; no page is in memory because of it.".to_owned(),
        }
    }

    fn touch(&self) -> String {
        let rose = self.rose(|mapped| mapped.rss);
        let mapped = rose.0 / self.scene.page.max(1);
        match self.scene.kind {
            Kind::Hugetlb => "One byte took a whole huge page. Rss does not count huge pages of this kind.".to_owned(),
            Kind::Anon | Kind::Stack if self.faults() == 0 => "The page was mapped in already.".to_owned(),
            Kind::Anon => {
                "Reading memory that was never written maps the page of zeros, which all processes share and \
                           Rss does not count."
                    .to_owned()
            }
            Kind::Stack => {
                "The stack grew down to the address that was read; what was never written is the shared page \
                            of zeros, which Rss does not count."
                    .to_owned()
            }
            _ if mapped == 0 => "The page was mapped in already.".to_owned(),
            _ if self.rose(|mapped| mapped.file_huge) > Bytes(0) => {
                format!("One page fault mapped {} in, as a huge page.{}", Exact(rose), self.read_ahead())
            }
            _ if rose > FAULT_AROUND => format!(
                "One page fault mapped {} in: the kernel also maps cached pages around it, or a large folio as a \
                 whole.{}",
                counted(mapped, "page", "pages"),
                self.read_ahead()
            ),
            _ if mapped == 1 => format!("One page fault mapped one page in.{}", self.read_ahead()),
            _ => format!(
                "One page fault mapped {} in: the kernel also maps cached pages around it (fault-around).{}",
                counted(mapped, "page", "pages"),
                self.read_ahead()
            ),
        }
    }

    /// How much was read into the page cache in addition to what was touched.
    fn read_ahead(&self) -> String {
        let (before, after) = (self.scene.before.cached.unwrap_or_default(), self.cached().unwrap_or_default());
        let read = after.saturating_sub(before);
        // Without I/O somebody else has read it.
        let has_read = self.major_faults > 0 && read.0 > self.scene.page;
        if has_read { format!(" It read {} at once.", Exact(read)) } else { String::new() }
    }

    fn fill(&self) -> String {
        match self.fell(|mapped| mapped.file_huge) {
            Bytes(0) => self.filled(),
            huge => format!(
                "{} {} of the file were mapped as huge pages: the first write to each divided it, and the kernel maps \
                 the rest again when it is touched.",
                self.filled(),
                Exact(huge)
            ),
        }
    }

    /// The pages that page faults made where memory was first written.
    fn made(&self) -> String {
        let faults = counted(self.faults(), "page fault", "page faults");
        let (rss, huge) = (self.rose(|mapped| mapped.rss), self.rose(|mapped| mapped.anonymous_huge));
        let rest = rss.saturating_sub(huge);
        if huge == Bytes(0) {
            let pages = rest.0 / self.scene.page.max(1);
            return match self.is_many(self.faults()) {
                true => format!(
                    "{faults} made {}: many at a time, when the first is written",
                    counted(pages, "page", "pages")
                ),
                false => format!("{faults}: each page is made when it is first written"),
            };
        }
        let rest = if rest > Bytes(0) { format!(", and {} in smaller pages", Exact(rest)) } else { String::new() };
        format!("{faults} made {} in huge pages{rest}: each is made when it is first written", Exact(huge))
    }

    fn filled(&self) -> String {
        let faults = counted(self.faults(), "page fault", "page faults");
        if self.touched == 0 {
            return match self.scene.manner.pattern {
                FillPattern::Stride(_) => "No byte was touched: the next one at this stride lies beyond this part.",
                _ => "No byte was touched: this part was filled before.",
            }
            .to_owned();
        }
        match self.scene.kind {
            Kind::Heap => format!("{}.", self.made()),
            Kind::Hugetlb => format!("{faults} for huge pages, which are neither in Rss nor in the page cache."),
            _ if self.faults() == 0 => "Everything was mapped in already.".to_owned(),
            Kind::Stack if self.scene.manner.reads => {
                format!("{faults}: what was never written is the shared page of zeros.")
            }
            Kind::Stack if self.grew() => {
                format!("{faults}: the stack grew with each new address; it does not shrink.")
            }
            Kind::Stack => format!("{}; the stack does not shrink.", self.made()),
            Kind::Anon if self.scene.manner.reads => {
                format!("{faults} mapped the shared page of zeros, which Rss does not count.")
            }
            Kind::Anon => format!("{}, and belongs to this process alone.", self.made()),
            Kind::Private if self.scene.manner.reads => {
                format!("{faults} mapped pages of the page cache in; none was copied.")
            }
            Kind::Private => format!(
                "{faults} made a copy of each page that was written (copy on write); the page cache keeps its own, \
                 unchanged."
            ),
            _ if self.scene.manner.reads => format!("{faults} mapped pages of the page cache in."),
            _ => format!("{faults}: the pages that are mapped in are the pages of the page cache, the same memory."),
        }
    }

    fn msync(&self) -> String {
        match (self.scene.kind, self.scene.is_on_disk) {
            (Kind::Private, _) => "Private copies are never written to the file.".to_owned(),
            (_, true) if self.scene.before.dirty == Ok(Bytes(0)) => {
                "No page was dirty, so msync had nothing to write.".to_owned()
            }
            (_, true) => self.synced(),
            _ => "The file is only in memory: msync has no disk to write it to.".to_owned(),
        }
    }

    /// What msync did with pages that may have been dirty. That they are clean is only said if it was seen.
    fn synced(&self) -> String {
        let place = self.disk();
        let stay = if self.cached().is_ok() { "they stay mapped and cached" } else { "they stay mapped" };
        match self.scene.after.dirty {
            Ok(Bytes(0)) => format!("msync wrote the dirty pages to {place}; {stay}, and are clean now."),
            Ok(dirty) => {
                format!("msync asked for the dirty pages to be written to {place}; {} are dirty.", Exact(dirty))
            }
            Err(_) => format!(
                "msync asked for the dirty pages to be written to {place}; {stay}. Whether they are clean now cannot \
                 be seen here."
            ),
        }
    }

    /// Where the file is if it is not in memory, as far as that is known.
    fn disk(&self) -> &'static str {
        match self.scene.is_layer_unseen {
            true => "the upper layer of the overlay, which cannot be seen and may be in memory",
            false => "the disk",
        }
    }

    fn dont_need(&self) -> String {
        match self.scene.kind {
            Kind::Private if !self.shrank() => "No page was mapped in, so nothing changed.".to_owned(),
            Kind::Private if Self::figure(self.scene.before, |m| m.anonymous) == Bytes(0) => {
                "The pages left the page table. There were no private copies; the page cache keeps the file.".to_owned()
            }
            Kind::Private => {
                "The pages left the page table. The private copies are lost; the page cache keeps the file.".to_owned()
            }
            Kind::Anon | Kind::Stack if !self.shrank() => {
                "None of the pages was in memory, so nothing was freed.".to_owned()
            }
            Kind::Anon | Kind::Stack if self.data == Data::None => {
                "The pages were freed; nothing was ever written to them.".to_owned()
            }
            Kind::Anon | Kind::Stack => {
                "The pages were freed, and their contents are lost: reading gives zeros.".to_owned()
            }
            Kind::Hugetlb if self.fell(|mapped| mapped.hugetlb) == Bytes(0) => {
                "None of the pages was in memory, so nothing was freed.".to_owned()
            }
            Kind::Hugetlb => "The huge pages went back to the pool.".to_owned(),
            _ if !self.shrank() => match self.cached() {
                Ok(cached) if cached > Bytes(0) => {
                    format!("No page was mapped in, so nothing changed; the page cache keeps {}.", Exact(cached))
                }
                _ => "No page was mapped in, so nothing changed.".to_owned(),
            },
            _ => "The pages left the page table of this process only; the page cache keeps them.".to_owned(),
        }
    }

    fn read(&self) -> String {
        let faults = counted(self.minor_faults, "minor fault", "minor faults");
        let was_cached = self.scene.before.cached.unwrap_or_default() >= self.cached().unwrap_or_default();
        match self.scene.kind {
            _ if self.faults() == 0 => "Everything was mapped in already.".to_owned(),
            Kind::Anon | Kind::Stack if self.data == Data::There => {
                format!("{faults}: what was written is there, the rest is the shared page of zeros.")
            }
            Kind::Anon | Kind::Stack if self.data == Data::Lost => {
                format!("{faults} mapped the shared page of zeros: the data is gone.")
            }
            Kind::Anon | Kind::Stack => format!("{faults} mapped the shared page of zeros: nothing was ever written."),
            _ if self.major_faults > 0 => {
                let major = counted(self.major_faults, "major fault", "major faults");
                let many = if self.is_many(self.major_faults) { ", many at a time" } else { "" };
                let place = if self.scene.is_layer_unseen { "the layer below" } else { "the disk" };
                format!("{major} read the pages from {place}{many}.")
            }
            _ if !was_cached && !self.scene.is_on_disk => {
                format!("{faults} made the pages of the file, which read as zeros.")
            }
            _ => {
                let many = if self.is_many(self.minor_faults) { ", many at a time" } else { "" };
                format!("{faults} mapped the cached pages in{many}; nothing was read from a disk.")
            }
        }
    }

    fn faults(&self) -> u64 {
        self.minor_faults.saturating_add(self.major_faults)
    }

    /// Whether each fault mapped several pages in.
    fn is_many(&self, faults: u64) -> bool {
        self.rose(|mapped| mapped.rss).0 / self.scene.page.max(1) > faults.saturating_mul(2)
    }

    fn grew(&self) -> bool {
        Self::figure(self.scene.after, |m| m.size) > Self::figure(self.scene.before, |m| m.size)
    }

    /// How much of the file is mapped in: all of Rss but private copies.
    fn maps_of_file(&self) -> Bytes {
        let figure = |take| Self::figure(self.scene.after, take);
        figure(|m| m.rss).saturating_sub(figure(|m| m.anonymous))
    }

    fn shrank(&self) -> bool {
        Self::figure(self.scene.after, |m| m.rss) < Self::figure(self.scene.before, |m| m.rss)
    }

    fn has_all(&self) -> bool {
        Self::figure(self.scene.after, |m| m.rss) == Self::figure(self.scene.after, |m| m.size)
    }

    fn second(&self) -> String {
        match self.scene.kind {
            Kind::Private => "A second process maps the same file: it shares the pages of the file, not the private \
                              copies."
                .to_owned(),
            _ if self.scene.shared_by_two().holds() != Ok(true) => {
                "A second process maps the same file and reads all of it; the page cache has each page once.".to_owned()
            }
            _ if !self.has_all() => {
                "A second process maps the same file and reads all of it; pages that both have mapped \
                                     in count half in the Pss of each."
                    .to_owned()
            }
            _ => "A second process maps the same pages: each has all of them in its Rss and half in its Pss; the \
                  page cache has them once."
                .to_owned(),
        }
    }

    fn fork(&self) -> String {
        match self.scene.kind {
            kind if kind.is_shared() => {
                "fork did not copy the page tables of shared memory: the child finds the pages when \
                                         it touches them."
                    .to_owned()
            }
            _ if !self.scene.was_written => "Nothing was written, so fork had no page tables to copy.".to_owned(),
            _ => {
                let huge = match self.scene.file_huge() {
                    0 => String::new(),
                    huge => format!(
                        " It did not copy what maps {} of the file as huge pages: the child finds those when it \
                         touches them.",
                        Exact(Bytes(huge))
                    ),
                };
                format!(
                    "fork copied the page tables, and not the pages: both processes share them until one of them \
                     writes.{huge}"
                )
            }
        }
    }

    fn mremap(&self) -> String {
        if Self::figure(self.scene.after, |m| m.rss) == Bytes(0) && self.scene.kind != Kind::Hugetlb {
            return "The kernel moved the addresses; no page was mapped in.".to_owned();
        }
        let moved = "The kernel moved the page tables to another address; no page was copied or read.";
        match self.fell(|mapped| mapped.file_huge) {
            Bytes(0) => moved.to_owned(),
            huge => format!(
                "{moved} {} of the file were mapped as huge pages, which are not possible there: the kernel maps the \
                 file again when it is touched.",
                Exact(huge)
            ),
        }
    }

    /// Whether anything was mapped in or cached before.
    fn had_memory(&self) -> bool {
        let cached = self.scene.before.cached.unwrap_or_default();
        Self::figure(self.scene.before, |m| m.rss) > Bytes(0) || cached > Bytes(0)
    }

    fn munmap(&self) -> String {
        match self.scene.kind {
            Kind::Shared | Kind::Private | Kind::Memfd if self.cached() == Ok(Bytes(0)) => {
                "The mapping is gone. The page cache had nothing of the file, and has nothing of it now.".to_owned()
            }
            Kind::Shared | Kind::Private | Kind::Memfd => {
                let cached = self.cached().map_or_else(|_| "all".to_owned(), |cached| Exact(cached).to_string());
                format!("The mapping is gone, and the page cache keeps {cached} of the file: nobody needs to map it.")
            }
            Kind::Hugetlb if Self::figure(self.scene.before, |m| m.hugetlb) > Bytes(0) => {
                "The mapping is gone, and its memory with it.".to_owned()
            }
            _ if !self.had_memory() => "The mapping is gone; nothing of it was mapped in.".to_owned(),
            _ => "The mapping is gone, and its memory with it.".to_owned(),
        }
    }

    fn evict(&self) -> String {
        match (self.scene.is_on_disk, self.scene.is_mapped) {
            (false, _) => "Nothing can be dropped: its only copy is in memory.".to_owned(),
            (true, _) if self.scene.before.cached == Ok(Bytes(0)) => {
                "Nothing was cached, so nothing was dropped.".to_owned()
            }
            (true, is_mapped) => {
                let keeps = is_mapped && self.maps_of_file() > Bytes(0);
                let dropped = match (self.scene.before.cached, self.cached()) {
                    (Ok(before), Ok(after)) if after >= before && keeps => {
                        let part = if self.maps_of_file() >= before { "all" } else { "some" };
                        format!("No page was dropped: this process has {part} of them mapped in.")
                    }
                    (Ok(before), Ok(after)) if after >= before => "No page was dropped.".to_owned(),
                    (Ok(before), Ok(after)) if keeps => {
                        let dropped = Exact(before.saturating_sub(after));
                        format!("The kernel dropped {dropped}, and kept what this process has mapped in.")
                    }
                    (Ok(before), Ok(after)) if after > Bytes(0) => {
                        let dropped = Exact(before.saturating_sub(after));
                        format!("The kernel dropped {dropped} of clean pages, and kept {}.", Exact(after))
                    }
                    (Ok(_), Ok(_)) if !self.scene.is_layer_unseen => {
                        "The kernel dropped the clean pages; the next read takes them from the disk.".to_owned()
                    }
                    (Ok(_), Ok(_)) => "The kernel dropped the clean pages.".to_owned(),
                    _ => "The kernel was asked to drop the clean pages; what is cached cannot be seen here.".to_owned(),
                };
                match self.scene.before.dirty {
                    Ok(dirty) if dirty > Bytes(0) => format!("{dropped} fdatasync had written the dirty pages."),
                    _ => dropped,
                }
            }
        }
    }

    /// By how much a figure of the mapping rose.
    fn rose(&self, take: fn(&Mapped) -> Bytes) -> Bytes {
        Self::figure(self.scene.after, take).saturating_sub(Self::figure(self.scene.before, take))
    }

    /// By how much a figure of the mapping fell.
    fn fell(&self, take: fn(&Mapped) -> Bytes) -> Bytes {
        Self::figure(self.scene.before, take).saturating_sub(Self::figure(self.scene.after, take))
    }

    fn trim(&self) -> String {
        let inside = "malloc_trim gave the free pages inside the heap back with MADV_DONTNEED";
        match self.fell(|mapped| mapped.size) {
            Bytes(0) => format!("{inside}; the heap keeps its addresses."),
            end => format!("{inside}, and the unused {} at its end with brk.", Exact(end)),
        }
    }

    fn free(&self) -> String {
        let addresses = Exact(self.fell(|mapped| mapped.size));
        let memory = Exact(self.fell(|mapped| mapped.rss));
        format!(
            "free gave {addresses} of addresses back, with {memory} that were in memory: blocks from mmap at once, and \
             the end of the heap once more than 128K are free."
        )
    }
}
