//! What is known of a file that is asked about: how much of it is cached, and how much of that is mapped.

use std::path::PathBuf;

use crate::join::machine_files::FoundFile;
use crate::machine::cached::Counter;
use crate::pagecache::UNTOLD;
use crate::units::{Absent, Bytes, Figure, Reason};

pub(super) const OTHERS: Absent = Absent::new(
    Reason::Denied,
    "processes that could not be looked at may map more of it; --pages, which needs root, sees those too",
);
pub(super) const OTHER_LAYER: Absent =
    Absent::new(Reason::Unsupported, "what one process maps may be of another layer of the overlay");
pub(super) const TOO_MUCH: Absent =
    Absent::new(Reason::Unsupported, "too much of it is mapped to look at each page; --pages, which needs root, tells");
pub(super) const UNPROVEN: Absent =
    Absent::new(Reason::Unsupported, "a process may map more of it, but it is not known whether that is this file");
pub(super) const UNREAD: Absent = Absent::new(Reason::Unsupported, "the page tables of a process could not be read");
/// Why what was seen of a file may not be all that is mapped. Of several reasons the first is said.
const UNTOLD_BECAUSE: [Absent; 5] = [OTHERS, UNPROVEN, OTHER_LAYER, UNREAD, TOO_MUCH];
const SAME: Absent = Absent::new(Reason::NotApplicable, "it is the same file as one that was named before");
/// The pages that are not up to date where `cachestat` or `mincore` has told what is cached.
const CAPTURED_UNTOLD: Absent =
    Absent::new(Reason::Unsupported, "fewer may be cached: the capture does not tell which pages were up to date");

const MAPPED_UNTOLD: Absent = Absent::new(Reason::Unsupported, "it is not known for every page whether it is mapped");
const CAPTURED_MAPPED_UNTOLD: Absent = Absent::new(
    Reason::Unsupported,
    "when the capture was taken, it was not known for every page whether it was mapped",
);
const NOT_STEADY: Absent =
    Absent::new(Reason::Changed, "more of it is listed as mapped than as cached, because it changed meanwhile");

/// The one of two reasons that is said, whatever the order in which they were found.
pub(super) fn first_reason(one: Option<Absent>, other: Absent) -> Option<Absent> {
    let place = |why: &Absent| UNTOLD_BECAUSE.iter().position(|known| known == why).unwrap_or(UNTOLD_BECAUSE.len());
    one.into_iter().chain([other]).min_by_key(place)
}

/// A file that is asked about, and what is cached of it.
#[derive(Debug, Clone)]
pub struct FileInCache {
    /// How it was named.
    pub path: PathBuf,
    /// The name under which the same file was named before. It has the holders and the figures.
    pub same_as: Option<PathBuf>,
    /// How many processes and parts of the kernel hold it.
    pub holders: u64,
    /// Whether every process of the machine could be looked at.
    pub is_complete: bool,
    /// Its length.
    pub size: Figure<Bytes>,
    /// How much of it is in the page cache, up to date.
    pub cached: Figure<Bytes>,
    /// How much more of it is there, but not up to date as a whole: parts of it may have to be read. Buffers of a block
    /// device are often like that.
    pub not_up_to_date: Figure<Bytes>,
    /// How much of `cached` is in the page table of any process.
    pub mapped: Figure<Bytes>,
    /// How much of `cached` is in the page tables that could be read: more may be mapped if `mapped` is absent.
    pub mapped_at_least: Figure<Bytes>,
    /// The rest: cached, and mapped by nobody.
    pub unmapped: Figure<Bytes>,
    /// What told which pages are mapped.
    pub method: Option<MappedBy>,
}

impl FileInCache {
    /// Another name of a file that was named before.
    pub(super) fn same_as(path: PathBuf, first: PathBuf) -> FileInCache {
        FileInCache { path, same_as: Some(first), ..FileInCache::unknown(SAME) }
    }

    /// Why less may be cached than `cached` says; `None` if that is exact.
    pub fn why_fewer(&self) -> Option<Absent> {
        let may_be_fewer = |absent: &Absent| [UNTOLD, CAPTURED_UNTOLD].contains(absent);
        self.cached.ok().filter(|cached| *cached > Bytes(0))?;
        self.not_up_to_date.err().filter(may_be_fewer)
    }

    pub(super) fn unknown(why: Absent) -> FileInCache {
        FileInCache {
            path: PathBuf::new(),
            same_as: None,
            holders: 0,
            is_complete: false,
            size: Err(why),
            cached: Err(why),
            not_up_to_date: Err(why),
            mapped: Err(why),
            mapped_at_least: Err(why),
            unmapped: Err(why),
            method: None,
        }
    }

    /// What the list of cached files has about a file: that of the kernel, or of a capture.
    pub(super) fn of_listed(file: &FoundFile, is_live: bool) -> FileInCache {
        let at_least = file.amount(Counter::Mapped);
        let mapped = at_least.and_then(|mapped| match file.amount(Counter::MappedUnknown)? {
            Bytes(0) => Ok(mapped),
            _ => Err(if is_live { MAPPED_UNTOLD } else { CAPTURED_MAPPED_UNTOLD }),
        });
        let not_up_to_date = file.not_up_to_date().map_err(|absent| if is_live { absent } else { CAPTURED_UNTOLD });
        let cached = file.cached.map(|all| not_up_to_date.map_or(all, |more| all.saturating_sub(more)));
        let figures = FileInCache::of_figures(cached, mapped, at_least, NOT_STEADY);
        let method = figures.mapped.is_ok().then_some(MappedBy::Lists);
        FileInCache { size: file.size, not_up_to_date, method, ..figures }
    }

    /// What is cached of a file, how much of that is mapped, and how much at least. If more is mapped than is cached,
    /// that is absent, for the reason `unsteady`.
    pub(super) fn of_figures(
        cached: Figure<Bytes>,
        mapped: Figure<Bytes>,
        at_least: Figure<Bytes>,
        unsteady: Absent,
    ) -> FileInCache {
        let steady = |mapped: Bytes| if mapped <= cached? { Ok(mapped) } else { Err(unsteady) };
        let mapped = mapped.and_then(steady);
        let unmapped = mapped.and_then(|mapped| Ok(cached?.saturating_sub(mapped)));
        // Page tables tell it although the kernel may not say what is cached.
        let is_more = |mapped: Bytes| cached.is_ok_and(|cached| mapped > cached);
        let mapped_at_least = at_least.and_then(|mapped| if is_more(mapped) { Err(unsteady) } else { Ok(mapped) });
        FileInCache { cached, mapped, mapped_at_least, unmapped, ..FileInCache::unknown(unsteady) }
    }
}

/// What told which pages are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappedBy {
    /// The page tables of all holders.
    PageTables,
    /// The kernel's list of the pages of the file.
    Lists,
}

impl MappedBy {
    /// It as one word, for JSON.
    pub fn word(self) -> &'static str {
        match self {
            MappedBy::PageTables => "page_tables",
            MappedBy::Lists => "pages",
        }
    }
}
