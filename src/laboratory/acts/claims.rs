//! What must hold after each act.

use std::ops::RangeInclusive;

use super::claim::{Claim, Expected, Named};
use super::request::{AROUND, FillPattern, MemoryAdvice, part_of};
use super::scene::Scene;
use super::script::{Act, Kind};
use crate::units::Reason;

/// What glibc needs besides the blocks: headers, alignment and what it asks for in advance.
const HEAP_SLACK: u64 = 1 << 20;

impl Scene<'_> {
    /// What must hold after the act.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let mut claims = match self.kind {
            Kind::Heap => self.of_heap(),
            Kind::Hugetlb => self.of_huge_pages(),
            Kind::Stack => self.of_stack(),
            kind if kind.is_shared() => self.of_shared(),
            Kind::Private => self.of_private(),
            _ => self.of_anonymous(),
        };
        if self.act == Act::Munmap {
            claims.push(self.claim(Named::Size, Expected::NotMapped));
        }
        claims
    }

    /// All of Rss is in Pss too: memory of a file of which nobody else of the experiment has pages mapped in.
    pub(super) fn alone(&self) -> Option<Claim> {
        let shares = self.act == Act::Second || self.act == Act::Fork && !self.kind.is_shared();
        let has_file = self.kind.is_shared() || self.kind.has_name();
        (has_file && self.is_mapped && !shares).then(|| self.near("= Rss", self.after(Named::Rss)))
    }

    fn claim(&self, named: Named, expected: Expected) -> Claim {
        Claim::new(named, expected, self.before, self.after)
    }

    fn is(&self, named: Named, bytes: u64) -> Claim {
        self.within(named, bytes..=bytes)
    }

    fn within(&self, named: Named, range: RangeInclusive<u64>) -> Claim {
        // Every figure is in whole pages.
        let page = self.page.max(1);
        let (least, most) = if named == Named::Cached { self.up_to_date(range) } else { range }.into_inner();
        let most = if most == u64::MAX { most } else { most / page * page };
        self.claim(named, Expected::Within(least.div_ceil(page).saturating_mul(page).min(most)..=most))
    }

    /// What of this much in the page cache counts as cached: not the pages that are not up to date, because only some
    /// of their blocks were written, on a file system with blocks smaller than a page.
    fn up_to_date(&self, range: RangeInclusive<u64>) -> RangeInclusive<u64> {
        let (least, most) = range.into_inner();
        match self.after.stale {
            Ok(stale) => {
                let less = |bytes: u64| if bytes == u64::MAX { bytes } else { bytes.saturating_sub(stale.0) };
                less(least)..=less(most)
            }
            // The last page may be one of them.
            Err(_) => least.saturating_sub(self.page)..=most,
        }
    }

    fn at_least(&self, named: Named, bytes: u64) -> Claim {
        self.within(named, bytes..=u64::MAX)
    }

    fn related(&self, named: Named, words: &'static str, range: RangeInclusive<u64>) -> Claim {
        self.claim(named, Expected::Related(words, range))
    }

    /// It does not change. Nothing is claimed if there was no such figure; if it was only not known, nobody knows.
    fn stays(&self, named: Named) -> Option<Claim> {
        match named.of(self.before) {
            Ok(_) => Some(self.is(named, self.before(named))),
            Err(absent) if absent.reason == Reason::NotApplicable => None,
            Err(_) => Some(self.related(named, "stays", 0..=u64::MAX)),
        }
    }

    /// All of the file is in the page cache, because all of it was read.
    fn all_cached(&self) -> Claim {
        self.is(Named::Cached, self.length)
    }

    /// Reading may bring more of the file into the page cache, and never takes any out.
    fn cached_grows(&self) -> Claim {
        self.within(Named::Cached, self.before(Named::Cached)..=self.length)
    }

    /// What is mapped in of the file is cached; private copies are not of the file.
    fn cached_as_mapped(&self) -> Claim {
        let words = if self.kind == Kind::Private { "at least Rss - Anonymous" } else { "at least Rss" };
        self.related(Named::Cached, words, self.mapped_of_file()..=u64::MAX)
    }

    fn stay<const N: usize>(&self, named: [Named; N]) -> Vec<Claim> {
        named.into_iter().filter_map(|named| self.stays(named)).collect()
    }

    /// A figure before the act; of the page cache all of it, up to date or not.
    fn before(&self, named: Named) -> u64 {
        let stale = self.before.stale.unwrap_or_default().0;
        let before = named.of(self.before).unwrap_or_default().0;
        if named == Named::Cached { before.saturating_add(stale) } else { before }
    }

    /// What stays of Rss when memory is written to. The kernel divides a huge page of a file that is mapped as a whole
    /// at the first write to it, and then maps only what is touched.
    fn kept_when_written(&self) -> u64 {
        if self.manner.reads { self.before(Named::Rss) } else { self.without_huge_pages() }
    }

    /// What of Rss before the act is not huge pages of a file.
    fn without_huge_pages(&self) -> u64 {
        let huge = self.before.of_mapping(|mapped| mapped.file_huge).unwrap_or_default().0;
        self.before(Named::Rss).saturating_sub(huge)
    }

    /// Rss stays when memory is moved, except what maps huge pages of a file: where they do not lie at a multiple of
    /// their size, the kernel maps the file anew when it is touched.
    fn moved(&self) -> Claim {
        self.within(Named::Rss, self.without_huge_pages()..=self.before(Named::Rss))
    }

    fn after(&self, named: Named) -> u64 {
        named.of(self.after).unwrap_or_default().0
    }

    /// How much is touched by filling, at least and at most.
    fn filled(&self) -> RangeInclusive<u64> {
        let most = match self.manner.pattern {
            _ if self.touched >= self.length => self.length,
            FillPattern::Sequential | FillPattern::Reverse => self.touched.saturating_add(AROUND).min(self.length),
            FillPattern::Random | FillPattern::Stride(_) => self.length,
        };
        self.touched.min(self.length)..=most
    }

    fn of_shared(&self) -> Vec<Claim> {
        match self.act {
            Act::Create => vec![self.is(Named::Cached, 0)],
            Act::Map => self.mapped_anew(),
            Act::Touch => self.touched_once(),
            Act::Quarter | Act::Half | Act::Fill => {
                let filled = self.filled();
                let least = *filled.start().max(&self.kept_when_written());
                let most = (*filled.end()).max(self.before(Named::Rss));
                vec![self.within(Named::Rss, least..=most), self.cached_as_mapped()]
            }
            Act::Msync if self.is_on_disk => {
                [vec![self.is(Named::Dirty, 0)], self.stay([Named::Rss, Named::Cached])].concat()
            }
            Act::Msync => {
                // Nothing can be written there, so it does not matter if nobody knows.
                let dirty = Named::Dirty.of(self.before).ok().and_then(|_| self.stays(Named::Dirty));
                self.stay([Named::Rss, Named::Cached]).into_iter().chain(dirty).collect()
            }
            Act::DontNeed => [vec![self.is(Named::Rss, 0)], self.stay([Named::Cached])].concat(),
            Act::Read => vec![self.is(Named::Rss, self.length), self.all_cached()],
            Act::Second => [vec![self.shared_by_two(), self.all_cached()], self.stay([Named::Rss])].concat(),
            // The page tables of shared mappings are not copied: the child finds the pages when it touches them.
            Act::Fork => self.stay([Named::Rss, Named::Pss, Named::Cached]),
            Act::Mremap => [vec![self.moved()], self.stay([Named::Size, Named::Cached])].concat(),
            Act::Unlink => self.stay([Named::Size, Named::Rss, Named::Cached]),
            Act::Munmap if self.kind == Kind::Shmem => Vec::new(),
            Act::Munmap => self.stay([Named::Cached]),
            Act::Evict => self.evicted(),
            _ => Vec::new(),
        }
    }

    fn of_private(&self) -> Vec<Claim> {
        match self.act {
            Act::Create => vec![self.is(Named::Cached, self.length)],
            Act::Map => self.mapped_anew(),
            Act::Touch => {
                [self.touched_once(), vec![self.is(Named::Anonymous, self.before(Named::Anonymous))]].concat()
            }
            Act::Quarter | Act::Half | Act::Fill if self.manner.reads => {
                let least = (*self.filled().start()).max(self.before(Named::Rss));
                [vec![self.within(Named::Rss, least..=self.length), self.cached_grows()], self.stay([Named::Anonymous])]
                    .concat()
            }
            Act::Quarter | Act::Half | Act::Fill => {
                let copied = self.touched.min(self.length);
                let rest = self.kept_when_written().max(copied);
                vec![
                    self.is(Named::Anonymous, copied),
                    self.within(Named::Rss, rest..=self.length),
                    // To be copied, a page has to be cached.
                    self.within(Named::Cached, self.before(Named::Cached)..=self.length),
                ]
            }
            Act::DontNeed => {
                [vec![self.is(Named::Rss, 0), self.is(Named::Anonymous, 0)], self.stay([Named::Cached])].concat()
            }
            Act::Read => {
                // Where everything is a copy, the page cache is not needed.
                let least = self.before(Named::Cached).max(self.length.saturating_sub(self.after(Named::Anonymous)));
                let cached = self.within(Named::Cached, least..=self.length);
                [vec![self.is(Named::Rss, self.length), cached], self.stay([Named::Anonymous])].concat()
            }
            Act::Second => {
                // The second process shares the pages of the file, and not the copies.
                let own = self.after(Named::Anonymous);
                let shared = self.after(Named::Rss).saturating_sub(own);
                let pss = self.near("Anonymous + half of the rest of Rss", own + shared / 2);
                [vec![pss, self.all_cached()], self.stay([Named::Rss])].concat()
            }
            Act::Fork => [vec![self.forked()], self.stay([Named::Rss, Named::Cached])].concat(),
            Act::Mremap => [vec![self.moved()], self.stay([Named::Size, Named::Anonymous, Named::Cached])].concat(),
            Act::Unlink => self.stay([Named::Size, Named::Rss, Named::Anonymous, Named::Cached]),
            Act::Msync => self.stay([Named::Rss, Named::Anonymous, Named::Cached]),
            Act::Munmap => self.stay([Named::Cached]),
            Act::Evict => self.evicted(),
            _ => Vec::new(),
        }
    }

    fn of_anonymous(&self) -> Vec<Claim> {
        let has_huge_pages = self.manner.advice.is_some();
        match self.act {
            Act::Map => self.mapped_anew(),
            // Only the page of zeros, which belongs to nobody.
            Act::Touch => self.stay([Named::Rss, Named::Anonymous]),
            Act::Quarter | Act::Half | Act::Fill if self.manner.reads => self.stay([Named::Rss, Named::Anonymous]),
            Act::Quarter | Act::Half | Act::Fill => {
                let filled = self.touched.min(self.length);
                let most = if has_huge_pages { self.length } else { filled };
                let (rss, anonymous) = (Named::Rss, Named::Anonymous);
                let same = self.after(rss)..=self.after(rss);
                vec![self.within(rss, filled..=most), self.related(anonymous, "= Rss", same)]
            }
            Act::DontNeed => vec![self.is(Named::Rss, 0), self.is(Named::Anonymous, 0)],
            Act::Read => self.stay([Named::Rss, Named::Anonymous]),
            Act::Fork => [vec![self.forked()], self.stay([Named::Rss, Named::Anonymous])].concat(),
            Act::Mremap => self.stay([Named::Size, Named::Rss, Named::Anonymous]),
            _ => Vec::new(),
        }
    }

    fn of_huge_pages(&self) -> Vec<Claim> {
        let page = self.huge_page.max(1);
        let mut claims = match self.act {
            Act::Map => vec![self.is(Named::Size, self.length), self.is(Named::Hugetlb, 0)],
            Act::Touch => vec![self.is(Named::Hugetlb, self.before(Named::Hugetlb).max(page))],
            Act::Quarter | Act::Half | Act::Fill => {
                let part = part_of(self.length, self.act.part().unwrap_or_default()).div_ceil(page) * page;
                let most = match self.manner.pattern {
                    FillPattern::Sequential => part,
                    // The first page was touched before.
                    _ => self.length.min(part.saturating_add(page)),
                };
                let most = if matches!(self.manner.pattern, FillPattern::Random) { self.length } else { most };
                let least = if let FillPattern::Stride(_) = self.manner.pattern { page } else { part };
                vec![self.within(Named::Hugetlb, least..=most.max(least))]
            }
            Act::DontNeed => vec![self.is(Named::Hugetlb, 0)],
            _ => Vec::new(),
        };
        if self.is_mapped {
            claims.push(self.is(Named::Rss, 0));
        }
        claims
    }

    fn of_stack(&self) -> Vec<Claim> {
        let grown = match self.act {
            Act::Quarter | Act::Half | Act::Fill => self.touched.min(self.length),
            _ => 0,
        };
        match self.act {
            // It grows to the lowest address, also if that is only read.
            Act::Touch | Act::Read => vec![self.at_least(Named::Size, self.length.max(self.before(Named::Size)))],
            Act::Quarter | Act::Half | Act::Fill if self.manner.reads => vec![self.at_least(Named::Size, grown)],
            Act::Quarter | Act::Half | Act::Fill => {
                let most = grown.saturating_add(AROUND).max(self.before(Named::Rss));
                vec![self.at_least(Named::Size, grown), self.within(Named::Anonymous, grown..=most)]
            }
            Act::DontNeed => {
                let left = self.before(Named::Rss).saturating_sub(self.length);
                let most = left.saturating_add(AROUND / 4);
                [vec![self.within(Named::Rss, 0..=most)], self.stay([Named::Size])].concat()
            }
            _ => Vec::new(),
        }
    }

    fn of_heap(&self) -> Vec<Claim> {
        let (size, rss) = (self.before(Named::Size), self.before(Named::Rss));
        let grown = |by: u64| size.saturating_add(by);
        let blocks = self.length.div_ceil(self.block.max(1)) * self.block;
        let slack = HEAP_SLACK + blocks / 64;
        match self.act {
            Act::Small | Act::Large => vec![
                self.within(Named::Size, grown(blocks.saturating_sub(HEAP_SLACK))..=grown(blocks + slack)),
                self.within(Named::Rss, rss..=rss + blocks / 8 + HEAP_SLACK),
            ],
            Act::Fill => {
                let least = blocks.saturating_sub(HEAP_SLACK);
                [vec![self.within(Named::Rss, least..=rss + blocks + HEAP_SLACK)], self.stay([Named::Size])].concat()
            }
            // Only memory at the end of the heap can be given back by brk, and there the last block still is.
            Act::Keep => {
                let least = rss.saturating_sub(HEAP_SLACK);
                [vec![self.within(Named::Rss, least..=rss + HEAP_SLACK)], self.stay([Named::Size])].concat()
            }
            Act::Trim => vec![self.within(Named::Rss, 0..=(rss + HEAP_SLACK + self.block).saturating_sub(blocks))],
            Act::Free => vec![self.within(Named::Size, 0..=(size + slack).saturating_sub(blocks))],
            _ => Vec::new(),
        }
    }

    /// After mapping: nothing is mapped in yet, and the page cache is as before.
    fn mapped_anew(&self) -> Vec<Claim> {
        let reads_ahead = self.manner.advice == Some(MemoryAdvice::WillNeed);
        let cached = match reads_ahead {
            true => Named::Cached.of(self.before).ok().map(|_| self.cached_grows()),
            false => self.stays(Named::Cached),
        };
        [self.is(Named::Size, self.length), self.is(Named::Rss, 0)].into_iter().chain(cached).collect()
    }

    /// After one byte was read: its page, and perhaps pages around it.
    fn touched_once(&self) -> Vec<Claim> {
        let least = self.before(Named::Rss).max(self.page);
        let most = self.before(Named::Rss).saturating_add(AROUND).min(self.length);
        vec![self.within(Named::Rss, least..=most.max(least)), self.cached_as_mapped()]
    }

    /// Each page is mapped by two processes.
    pub(super) fn shared_by_two(&self) -> Claim {
        self.near("half of Rss", self.after(Named::Rss) / 2)
    }

    /// Pss is this. The kernel rounds the part of each page.
    fn near(&self, words: &'static str, bytes: u64) -> Claim {
        let slack = self.page;
        self.related(Named::Pss, words, bytes.saturating_sub(slack)..=bytes.saturating_add(slack))
    }

    fn forked(&self) -> Claim {
        match self.was_written {
            true if self.file_huge() > 0 => {
                let both = self.after(Named::Rss).saturating_sub(self.file_huge()) / 2;
                self.near("half of Rss, and all of the huge pages of the file", both.saturating_add(self.file_huge()))
            }
            true => self.shared_by_two(),
            false => self.is(Named::Pss, self.before(Named::Pss)),
        }
    }

    /// Pages that a process has mapped in stay, and so does what has no disk.
    fn evicted(&self) -> Vec<Claim> {
        match self.is_on_disk {
            false => self.stay([Named::Cached]),
            true if self.is_mapped => {
                vec![self.related(Named::Cached, "at least what is mapped of it", self.mapped_of_file()..=u64::MAX)]
            }
            true => vec![self.is(Named::Cached, 0)],
        }
    }

    /// How much of the file is mapped as huge pages. The kernel does not copy their entries when a process forks.
    pub(super) fn file_huge(&self) -> u64 {
        self.after.of_mapping(|mapped| mapped.file_huge).unwrap_or_default().0
    }

    fn mapped_of_file(&self) -> u64 {
        self.after(Named::Rss).saturating_sub(self.after(Named::Anonymous))
    }
}
