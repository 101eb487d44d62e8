//! All files of the machine that have cached pages, from the kernel's own lists of inodes and pages.
//!
//! Nothing is opened and no directory is read: deleted files, files of other containers and files without a name are
//! there too. The lists are read while they change, so each proves itself: see [`Proof`].

mod file;
#[cfg(feature = "bpf")]
mod frames;
#[cfg(feature = "bpf")]
mod lists;
#[cfg(not(feature = "bpf"))]
#[path = "no_lists.rs"]
mod lists;
mod memory;
#[cfg(feature = "bpf")]
mod readers;

pub(crate) use file::{CachedFile, Kind, is_own_number};
pub(crate) use lists::Lists;
pub(crate) use memory::{CacheSize, Proof};

use crate::kernel::cached::FilePages;
pub(crate) use crate::kernel::cached::{Counter, Counts};
use crate::units::{Absent, Bytes, PageSize, Reason};

/// What was not read because the time was over.
pub(crate) const LATE: Absent = Absent::new(Reason::Late, "not read in time; a longer --budget reads more");

/// All files with cached pages, largest first.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The files.
    pub(crate) files: Vec<CachedFile>,
    /// What proves the list; the pages are not compared yet.
    pub(crate) proof: Proof,
}

impl FilePages {
    /// Whether it proves itself: it was read to its end, and its pages add up to the number that the kernel keeps, or
    /// to one between those before and after.
    pub(crate) fn adds_up(&self) -> bool {
        let pages = self.counts().get(Counter::Pages);
        self.is_read && (self.before.min(self.after)..=self.before.max(self.after)).contains(&pages)
    }

    /// Whether pages were added or dropped while they were read, or it became longer or shorter.
    pub(crate) fn has_changed(&self) -> bool {
        self.before != self.after || self.raced > 0 || self.is_resized
    }
}

impl CachedFile {
    /// Whether it has more pages than its length. Only reading the two at different instants explains that: the kernel
    /// changes the length and the pages one after the other. Pages that stay beyond the end were reserved. A large
    /// folio at the end of a file reaches past it, and what is not a file may have no length.
    pub(crate) fn is_beyond_end(&self, pages: &FilePages, page: PageSize) -> bool {
        let has_length = !matches!(self.kind(None), Kind::Metadata | Kind::BlockDevice);
        let counts = pages.counts();
        let is_large = counts.get(Counter::Large) > 0 && pages.size > 0;
        has_length && !is_large && counts.get(Counter::Pages) > page.pages(Bytes(pages.size)).0
    }

    /// Whether nothing would be gained by reading it again: it is exact, or another file now. Pages beyond its end were
    /// reserved if a reading `before` had as many.
    fn is_settled(&self, pages: &FilePages, before: Option<&FilePages>, page: PageSize) -> bool {
        let state = |pages: &FilePages| (pages.counts().get(Counter::Pages), pages.size);
        let is_same = || before.is_some_and(|before| state(before) == state(pages));
        let is_exact = pages.adds_up() && !pages.has_changed();
        pages.is_gone || is_exact && (!self.is_beyond_end(pages, page) || is_same())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::file::FileSystem;
    use super::*;
    use crate::kernel::cached::{Counts, Part};
    use crate::units::Pages;

    const PAGE: PageSize = PageSize::FOUR_KIB;

    /// A file that has so many pages, and is so many pages long.
    fn read(pages: u64, long: u64, is_large: bool) -> FilePages {
        let mut counts = Counts::default();
        counts.0[Counter::Pages as usize] = pages;
        counts.0[Counter::Large as usize] = if is_large { pages } else { 0 };
        let parts = vec![Part { group: None, node: 0, counts }];
        FilePages { before: pages, after: pages, size: long * 4096, is_read: true, parts, ..FilePages::default() }
    }

    fn file(kind: &str, mode: u32) -> CachedFile {
        CachedFile {
            file_system: Arc::new(FileSystem::called(kind)),
            number: 99,
            generation: 0,
            size: Bytes(0),
            pages: Pages(0),
            links: 1,
            mode,
            device: (0, 0),
            address: 0,
            super_block: 0,
        }
    }

    #[test]
    fn pages_beyond_the_end_are_read_again_until_they_stay() {
        let ordinary = file("ext4", nix::libc::S_IFREG);
        let settled = |pages: &FilePages, before: Option<&FilePages>| ordinary.is_settled(pages, before, PAGE);
        assert!(settled(&read(8, 8, false), None));
        assert!(!settled(&read(9, 8, false), None));
        assert!(!settled(&read(9, 8, false), Some(&read(9, 7, false))));
        assert!(settled(&read(9, 8, false), Some(&read(9, 8, false))), "they are reserved");
        let moving = FilePages { after: 10, ..read(9, 9, false) };
        assert!(!settled(&moving, Some(&moving)));
    }

    #[test]
    fn what_may_reach_past_its_end_is_in_no_doubt() {
        let is_beyond = |file: &CachedFile, pages: &FilePages| file.is_beyond_end(pages, PAGE);
        let ordinary = file("tmpfs", nix::libc::S_IFREG);
        assert!(is_beyond(&ordinary, &read(9, 8, false)));
        assert!(!is_beyond(&ordinary, &read(512, 8, true)));
        assert!(is_beyond(&ordinary, &read(512, 0, true)), "nothing is left of it");
        assert!(!is_beyond(&file("bdev", nix::libc::S_IFBLK), &read(9, 0, false)));
        assert!(!is_beyond(&file("ext4", nix::libc::S_IFDIR), &read(9, 0, false)));
    }
}
