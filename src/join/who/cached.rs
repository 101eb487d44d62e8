//! How much of a file is cached, how much of that anybody maps, and how much nobody does.

use std::path::Path;

use super::figures::{FileInCache, MappedBy, OTHERS, first_reason};
use super::search::{OfFile, Search};
use super::target::{Kind, Target};
use crate::error::{Error, Result};
use crate::join::PageLists;
use crate::join::machine_files::{BUDGET, Facts, FoundChoice, MachineFiles};
use crate::pagecache::{Engine, FileReport, Leases, OpenFile};
use crate::units::{Absent, Figure, PageRuns, Pages, Reason, Run};

/// A measured file, and what went wrong.
pub(super) struct Measured {
    pub(super) file: FileInCache,
    pub(super) failure: Option<Error>,
}

const NO_PATH: Absent = Absent::new(
    Reason::Unsupported,
    "nobody has it open, and it was not named by a path; --pages, which needs root, tells",
);
const UNLISTED: Absent = Absent::new(
    Reason::Unsupported,
    "no cached file has this number in the kernel's lists, which have the device that /proc/PID/maps shows",
);
const INCOMPLETE: Absent = Absent::new(Reason::Changed, "the kernel's lists could not be read as a whole");
const SEVERAL: Absent = Absent::new(Reason::NotApplicable, "several files have this number");
const NO_PAGES: Absent = Absent::new(Reason::NotApplicable, "only regular files and block devices have cached pages");
const NOT_STEADY: Absent = Absent::new(Reason::Changed, "more of it was mapped than was cached a moment later");
const NOT_OPENED: Absent = Absent::new(Reason::Denied, "it cannot be opened for reading");
const NOT_MEASURED: Absent = Absent::new(Reason::Unsupported, "it cannot be measured");

/// Measures a file after its holders were searched for. With `pages`, the kernel's lists tell what is mapped.
pub(super) fn measure(
    target: &Target,
    search: &Search,
    number: usize,
    leases: &Leases,
    holders: usize,
    pages: bool,
) -> Measured {
    let unknown = |why: Absent| FileInCache {
        path: target.label.clone(),
        holders: holders as u64,
        is_complete: search.is_complete(number),
        ..FileInCache::unknown(why)
    };
    let found = search.of_file(number);
    let path: &Path = match &target.kind {
        Kind::File(known) if !known.has_pages => return Measured { file: unknown(NO_PAGES), failure: None },
        Kind::File(_) => &target.label,
        // Captures have their own figures.
        Kind::Name(_) => return Measured { file: unknown(NO_PATH), failure: None },
        Kind::Number { .. } if found.is_some_and(OfFile::are_several) => {
            return Measured { file: unknown(SEVERAL), failure: None };
        }
        Kind::Number { device, inode } => match found.and_then(|found| found.held_at.as_deref()) {
            Some(path) => path,
            None if pages && PageLists::may_be_read() => {
                let (found, failure) = match in_lists(*device, *inode) {
                    Ok(found) => (found, None),
                    Err(error) => (Err(NOT_MEASURED), Some(error)),
                };
                let unknown = unknown(found.as_ref().err().copied().unwrap_or(NO_PATH));
                let (path, is_complete) = (unknown.path.clone(), unknown.is_complete);
                let file =
                    found.map_or(unknown, |file| FileInCache { path, holders: holders as u64, is_complete, ..file });
                return Measured { file, failure };
            }
            None => return Measured { file: unknown(NO_PATH), failure: None },
        },
    };
    let opened = match OpenFile::open_unless_leased(path, leases) {
        Ok(opened) => opened,
        Err(error) => {
            use crate::error::ErrorKind::{Denied, Unsupported};
            let why = if error.kind() == Denied { NOT_OPENED } else { NOT_MEASURED };
            // A file that has no pages, such as one of /proc, lacks nothing.
            let failure = (error.kind() != Unsupported).then_some(error);
            return Measured { file: unknown(why), failure };
        }
    };
    let report = Engine::detect().measure(&opened);
    let mapped = found.map(|found| &found.mapped[..]).unwrap_or_default();
    let mapped: PageRuns = mapped.iter().map(|run| run.overlap(whole(&report))).collect();
    let untold = found.and_then(|found| found.untold);
    let needs_lists = pages || untold.is_some();
    // Otherwise nobody is left who may map more.
    let why = if search.hides_some() { first_reason(untold, OTHERS) } else { untold };
    let file = figures(report, &mapped, why, needs_lists);
    let is_complete = search.is_complete(number);
    let path = target.label.clone();
    Measured { file: FileInCache { path, holders: holders as u64, is_complete, ..file }, failure: None }
}

/// What the kernel's lists have about a file that cannot be opened, because only its numbers are known.
///
/// # Errors
/// They cannot be read.
fn in_lists(device: (u32, u32), inode: u64) -> Result<Figure<FileInCache>> {
    let facts = Facts { pages: true, ..Facts::default() };
    let choice = FoundChoice { number: Some((device, inode)), ..FoundChoice::default() };
    let found = MachineFiles::default().read_lists(&choice, facts, None, BUDGET)?;
    Ok(match &found.files[..] {
        [file] => Ok(FileInCache::of_listed(file, true)),
        [] if !found.incomplete.is_empty() => Err(INCOMPLETE),
        [] => Err(UNLISTED),
        _ => Err(SEVERAL),
    })
}

fn whole(report: &FileReport) -> Run {
    Run { first: 0, count: report.pages.0 }
}

/// The figures of a file that was measured. `seen` are its pages in the page tables of its holders, which are all that
/// are mapped unless `untold` says why not.
///
/// The lists of the kernel take most of a second, so they are read only if they are needed: a part of the machine that
/// cannot be looked at leaves a lower bound, which is often all that is asked.
fn figures(mut report: FileReport, seen: &PageRuns, untold: Option<Absent>, needs_lists: bool) -> FileInCache {
    let page = report.page_size;
    let needs_lists = needs_lists || PageLists::may_complete(&report);
    let (mapped, method) = match needs_lists && PageLists::may_be_read() {
        true => match PageLists::default().look(&mut report, None, true) {
            Ok(states) => (states.mapped, MappedBy::Lists),
            Err(absent) => (Err(absent), MappedBy::Lists),
        },
        // More than everything cannot be mapped.
        false => match untold {
            Some(why) if report.cached() != Ok(seen.cached()) => (Err(why), MappedBy::PageTables),
            _ => (Ok(seen.cached()), MappedBy::PageTables),
        },
    };
    let bytes = |figure: Figure<Pages>| figure.map(|pages| pages.bytes(page));
    let at_least = mapped.or(Ok(seen.cached()));
    let figures = FileInCache::of_figures(bytes(report.cached()), bytes(mapped), bytes(at_least), NOT_STEADY);
    FileInCache {
        size: Ok(report.size),
        not_up_to_date: bytes(report.not_up_to_date()),
        method: figures.mapped.is_ok().then_some(method),
        ..figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::who::figures::{OTHER_LAYER, TOO_MUCH, UNPROVEN, UNREAD};
    use crate::pagecache::UNTOLD;
    use crate::units::Bytes;

    fn report(folder: &tempfile::TempDir) -> FileReport {
        let (path, page) = (folder.path().join("file"), crate::kernel::page_size());
        std::fs::write(&path, vec![7; 10 * page.bytes() as usize]).unwrap();
        crate::pagecache::read_file(&path).unwrap()
    }

    #[test]
    fn what_is_mapped_is_the_pages_of_all_holders_if_all_were_looked_at() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let page = crate::kernel::page_size();
        let bytes = |pages| Ok(Pages(pages).bytes(page));
        let pages =
            |list: &[(u64, u64)]| list.iter().map(|(first, count)| Run { first: *first, count: *count }).collect();
        // Two holders with the pages 0 to 3 and 2 to 5.
        let found = figures(report(&folder), &pages(&[(0, 4), (2, 4)]), None, false);
        assert_eq!((found.cached, found.mapped, found.unmapped), (bytes(10), bytes(6), bytes(4)));
        assert_eq!(found.method, Some(MappedBy::PageTables));
        let found = figures(report(&folder), &PageRuns::new(), None, false);
        assert_eq!((found.mapped, found.unmapped), (bytes(0), bytes(10)));
        // Pages that went meanwhile.
        let found = figures(report(&folder), &pages(&[(0, 11)]), None, false);
        assert_eq!((found.cached, found.mapped, found.unmapped), (bytes(10), Err(NOT_STEADY), Err(NOT_STEADY)));
        assert_eq!(found.method, None);
    }

    #[test]
    fn what_is_mapped_is_only_bounded_if_some_were_not_looked_at() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let page = crate::kernel::page_size();
        let seen = |count| PageRuns::from(Run { first: 0, count });
        let found = figures(report(&folder), &seen(4), Some(OTHERS), false);
        assert_eq!((found.mapped, found.unmapped, found.method), (Err(OTHERS), Err(OTHERS), None));
        assert_eq!(found.mapped_at_least, Ok(Pages(4).bytes(page)));
        // Everybody was looked at, but the pages of one may be those of another file.
        let found = figures(report(&folder), &seen(4), Some(OTHER_LAYER), false);
        assert_eq!((found.mapped, found.unmapped), (Err(OTHER_LAYER), Err(OTHER_LAYER)));
        // Nothing is left that others could map.
        let found = figures(report(&folder), &seen(10), Some(OTHERS), false);
        assert_eq!((found.mapped, found.unmapped), (Ok(Pages(10).bytes(page)), Ok(Bytes(0))));
        let found = figures(report(&folder), &seen(11), Some(OTHERS), false);
        assert_eq!((found.mapped, found.mapped_at_least), (Err(OTHERS), Err(NOT_STEADY)));
    }

    #[test]
    fn of_several_reasons_the_same_is_said_in_any_order() {
        let all = [TOO_MUCH, UNREAD, OTHER_LAYER, UNPROVEN, OTHERS];
        for one in all {
            for other in all {
                let said = first_reason(first_reason(None, one), other);
                assert_eq!(said, first_reason(first_reason(None, other), one));
            }
        }
        assert_eq!(first_reason(Some(UNPROVEN), OTHERS), Some(OTHERS));
    }

    #[test]
    fn the_lists_say_what_is_mapped_whatever_page_tables_said() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let found = figures(report(&folder), &PageRuns::from(Run { first: 0, count: 4 }), Some(OTHERS), true);
        match PageLists::may_be_read() {
            // Nobody maps it.
            true => {
                assert!(found.mapped != Err(OTHERS) && found.mapped != Ok(Pages(4).bytes(crate::kernel::page_size())))
            }
            false => assert_eq!((found.mapped, found.unmapped), (Err(OTHERS), Err(OTHERS))),
        }
    }

    #[test]
    fn what_cachestat_alone_has_counted_is_said_to_be_an_upper_bound() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let with = |not_up_to_date| {
            let mut report = report(&folder);
            report.residency.as_mut().unwrap().not_up_to_date = not_up_to_date;
            figures(report, &PageRuns::new(), None, false).why_fewer()
        };
        assert_eq!((with(Err(UNTOLD)), with(Ok(Pages(0)))), (Some(UNTOLD), None));
        // Nobody asked, and nothing is in doubt.
        assert_eq!(with(Err(Absent::new(Reason::NotApplicable, "it was not counted"))), None);
    }

    #[test]
    fn page_tables_tell_what_is_mapped_of_a_file_whose_cached_pages_are_not_told() {
        let found = FileInCache::of_figures(Err(NOT_OPENED), Err(OTHERS), Ok(Bytes(4096)), NOT_STEADY);
        assert_eq!((found.mapped, found.mapped_at_least), (Err(OTHERS), Ok(Bytes(4096))));
    }
}
