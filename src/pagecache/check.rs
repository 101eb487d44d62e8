//! Checks whether the pages that `cachestat` counts are up to date.
//!
//! A page is *cached* if it is in the page cache and up to date, so that reading it needs no I/O. That is what
//! `mincore` reports. `cachestat` also counts pages that are not up to date:
//!
//! * on tmpfs, blocks that were reserved by `fallocate` and never written;
//! * on file systems whose blocks are smaller than a page, pages of which only some blocks are in memory;
//! * pages in holes, left behind when the file was truncated or punched in the middle of a page, or extended to the
//!   middle of one;
//! * pages that are being read, and pages whose reading failed.
//!
//! Looking at every cached page with `mincore` would take two to three times as long as counting them. So it is done
//! only where the first three can occur, which the type of the file system, its block size and the number of allocated
//! blocks show. The last kind can occur in any file, so the number of pages that are not up to date is reported as not
//! known then. An engine made with [`Engine::exact`](super::Engine::exact) looks at every page.
//!
//! `mincore` in turn also reports pages of tmpfs that are in swap and have a copy in memory. They do not count as
//! cached either: `cachestat` does not count them, and a page must be in both results.

use super::file::{FileStat, OpenFile};
use super::search::{Looks, ask, search};
use super::stretches::Stretches;
use crate::kernel::file_system::FileSystemKind;
use crate::kernel::{holes, swap};
use crate::units::{Absent, PageRuns, Pages, Run};

/// How many holes of a file are checked. Each takes about 2 us.
const HOLES: usize = 32;

/// Which of the pages that `cachestat` counts may not be up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// None, and every page is cached: nothing needs to be counted.
    AllCached,
    /// None.
    Nothing,
    /// Pages that are being read or whose reading failed.
    Reading,
    /// Also pages in holes.
    Holes,
    /// Any page.
    Everywhere,
}

impl Doubt {
    /// What may be wrong in the pages `asked` of a file.
    pub(super) fn of(file: &OpenFile, stat: FileStat, asked: Run) -> Doubt {
        let file_system = file.file_system();
        match file_system.kind {
            // On tmpfs a page that is not up to date counts as a hole.
            FileSystemKind::Memory if has_no_hole(file, stat, asked) => {
                match has_all_blocks(file, stat) && swap::is_off() {
                    true => Doubt::AllCached,
                    false => Doubt::Nothing,
                }
            }
            FileSystemKind::Memory => Doubt::Everywhere,
            _ if file_system.block_size < file.page_size().bytes() => Doubt::Everywhere,
            _ if stat.allocated < stat.size => Doubt::Holes,
            _ => Doubt::Reading,
        }
    }
}

/// Whether as many blocks are allocated as the file has pages: ramfs reports no holes, but blocks.
fn has_all_blocks(file: &OpenFile, stat: FileStat) -> bool {
    let page = file.page_size();
    stat.allocated >= page.pages(stat.size).bytes(page)
}

fn has_no_hole(file: &OpenFile, stat: FileStat, asked: Run) -> bool {
    let page = file.page_size();
    let end = Pages(asked.end()).bytes(page).min(stat.size);
    holes::next_hole(file.handle(), asked.offset(page).0).is_ok_and(|hole| hole.is_some_and(|hole| hole >= end.0))
}

/// Whether the file ends within a page that was never written. Its blocks may be reserved (`fallocate`), and the kernel
/// may have put the page into the page cache only to clear what lies past the end. It takes one `lseek`, and is only
/// called if there are cached pages.
pub(super) fn ends_in_hole(file: &OpenFile, stat: FileStat, asked: Run) -> bool {
    let page = file.page_size();
    let last = Run { first: asked.end().saturating_sub(1), count: 1 };
    let is_cut = !stat.size.0.is_multiple_of(page.bytes()) && page.pages(stat.size).0 == last.end();
    is_cut && !file.file_system().seek_writes && holes::next_data(file.handle(), last.offset(page).0) == Ok(None)
}

/// Whether `cachestat` counts pages in the first holes of `asked` or in its last page although they are not up to date,
/// or may not be: whether they are is not known if `mincore` must not or cannot be used.
pub(super) fn may_have_stale_pages(file: &OpenFile, stat: FileStat, asked: Run, looks: bool) -> Result<bool, Absent> {
    let none = PageRuns::new();
    let stretches = Stretches::new(file, &none, &none, asked);
    let holes = stretches.filter(|stretch| stretch.hole == Ok(true)).map(|stretch| stretch.part).take(HOLES);
    let last = Run { first: asked.end().saturating_sub(1), count: 1 };
    for part in holes.chain([last]) {
        let counted = ask(file, part)?.cached;
        if counted > 0 {
            let looked = if looks { Some(search(file, stat.size, part, Looks::Always, None)?) } else { None };
            if looked.is_none_or(|looked| looked.unchecked || looked.runs.cached() < Pages(counted)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
