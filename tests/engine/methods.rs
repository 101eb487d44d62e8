//! Both methods, alone and together, find exactly the pages that are cached.

use std::num::NonZeroUsize;
use std::path::Path;

use crate::known::page_size;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rmap::pagecache::{Engine, FileReport, Method, OpenFile};
use rmap::units::{ByteRange, PageRuns, Pages, Run};

use crate::known::{self, Known, known_file, locked_file, pairs};

/// The engine as usual, with one thread and with more threads than processors, and each method on its own.
fn engines() -> [(&'static str, Engine); 5] {
    let threads = |count| Engine::detect().with_threads(NonZeroUsize::new(count).unwrap());
    [
        ("both", Engine::detect()),
        ("one thread", threads(1)),
        ("five threads", threads(5)),
        ("cachestat alone", Engine::only(Method::Cachestat)),
        ("mincore alone", Engine::only(Method::Mincore)),
    ]
}

fn skip_without_cachestat() -> bool {
    let skip = !rmap::pagecache::Engine::detect().has_cachestat();
    if skip {
        eprintln!("SKIPPED: cachestat is not available here (kernel before 6.5, or seccomp)");
    }
    skip
}

/// A stretch of a file: how its pages are cached.
#[derive(Debug, Clone, Copy)]
enum Stretch {
    Empty(u64),
    Full(u64),
    /// Runs of the first length and gaps of the second, for this many pages.
    Regular(u64, u64, u64),
}

fn stretch(longest: u64) -> impl Strategy<Value = Stretch> {
    prop_oneof![
        (1..longest).prop_map(Stretch::Empty),
        (1..longest).prop_map(Stretch::Full),
        (1u64..4, 1u64..4, 1..longest).prop_map(|(run, gap, all)| Stretch::Regular(run, gap, all)),
        (1u64..400, 1u64..400, 1..longest).prop_map(|(run, gap, all)| Stretch::Regular(run, gap, all)),
    ]
}

/// The cached runs of consecutive stretches, and the total number of pages.
fn lay(stretches: &[Stretch]) -> (PageRuns, u64) {
    let mut runs = Vec::new();
    let mut at = 0;
    for stretch in stretches {
        let (run, gap, all) = match *stretch {
            Stretch::Empty(all) => (0, all, all),
            Stretch::Full(all) => (all, 0, all),
            Stretch::Regular(run, gap, all) => (run, gap, all),
        };
        let end = at + all;
        while at < end {
            runs.push(Run { first: at, count: run.min(end - at) });
            at = (at + run + gap).min(end);
        }
    }
    (runs.into_iter().collect(), at)
}

fn check(known: &Known, offset: u64, length: u64) -> Result<(), TestCaseError> {
    let file = OpenFile::open(known.file.path()).unwrap();
    for (name, engine) in engines() {
        if let Err(absent) = engine.method(&file) {
            eprintln!("SKIPPED: {name}: {absent}");
            continue;
        }
        let report = engine.map(&file);
        prop_assert_eq!(pairs(report.runs.as_ref().unwrap().as_ref().unwrap()), pairs(&known.runs), "{}", name);
        prop_assert_eq!(report.cached(), Ok(known.runs.cached()), "{}", name);
        prop_assert_eq!(engine.measure(&file).cached(), Ok(known.runs.cached()), "{}", name);
        prop_assert_eq!(report.changed, None);

        let range = ByteRange { offset, length };
        let part = engine.map_range(&file, range);
        let inside: PageRuns = known.runs.within(part.asked).collect();
        prop_assert_eq!(pairs(part.runs.as_ref().unwrap().as_ref().unwrap()), pairs(&inside), "{} {:?}", name, range);
        prop_assert_eq!(engine.measure_range(&file, range).cached(), Ok(inside.cached()), "{} {:?}", name, range);
    }
    Ok(())
}

fn check_on(
    folder: &Path,
    stretches: &[Stretch],
    cut: u64,
    range: (u64, u64),
    lock: bool,
) -> Result<(), TestCaseError> {
    let (runs, pages) = lay(stretches);
    let bytes = pages * page_size().bytes();
    let size = bytes - cut % page_size().bytes();
    let known = match lock {
        true => locked_file(folder, size, runs),
        false => Some(known_file(folder, size, runs)),
    };
    known.map_or(Ok(()), |known| check(&known, range.0 % (bytes + 1), range.1 % (bytes + 1)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_tmpfs_both_methods_find_exactly_the_cached_pages(
        stretches in proptest::collection::vec(stretch(2500), 1..6),
        cut in 0u64..65536, offset: u64, length: u64,
    ) {
        check_on(&known::memory(), &stretches, cut, (offset, length), false)?;
    }

    #[test]
    fn on_disk_both_methods_find_exactly_the_cached_pages(
        stretches in proptest::collection::vec(stretch(150), 1..5),
        cut in 0u64..65536, offset: u64, length: u64,
    ) {
        let folder = known::disk();
        check_on(folder.path(), &stretches, cut, (offset, length), true)?;
    }
}

#[test]
fn a_file_much_larger_than_memory_shows_its_few_cached_pages() {
    if skip_without_cachestat() {
        return;
    }
    let page = page_size().bytes();
    let end = (1 << 42) / page;
    let runs = known::runs(&[(0, 1), (77, 3), (end / 2 - 1, 700), (end - 1, 1)]);
    let known = known_file(&known::memory(), 1 << 42, runs);
    for engine in [Engine::detect(), Engine::only(Method::Cachestat)] {
        let report = engine.map(&OpenFile::open(known.file.path()).unwrap());
        assert_eq!(pairs(&report.runs.unwrap().unwrap()), pairs(&known.runs));
    }
}

#[test]
fn regions_with_scattered_and_contiguous_pages_form_one_page_map() {
    for calm in [Stretch::Empty(28_672), Stretch::Full(28_672)] {
        // Scattered enough that mincore is used first, then contiguous for long enough that it is no longer used.
        let stretches = [Stretch::Regular(1, 15, 12_288), calm, Stretch::Regular(1, 15, 100_000)];
        let range = (4_000_001, 50_000_000);
        check_on(&known::memory(), &stretches, 17, range, false).unwrap();
    }
}

#[test]
fn a_range_of_a_large_file_does_not_depend_on_what_is_cached_after_it() {
    let gib = (1 << 30) / page_size().bytes();
    let runs: Vec<_> = (0..5).map(|index| (index * gib, 2)).collect();
    let known = known_file(&known::memory(), 5 << 30, known::runs(&runs));
    check(&known, 0, 3 * page_size().bytes()).unwrap();
}

#[test]
fn the_largest_possible_file_is_measured() {
    if skip_without_cachestat() {
        return;
    }
    let size = i64::MAX as u64;
    let page = page_size().bytes();
    let last = size / page;
    let file = tempfile::NamedTempFile::new_in(known::memory()).unwrap();
    file.as_file().set_len(size).unwrap();
    for index in [0, last / 2, last - 9] {
        std::os::unix::fs::FileExt::write_all_at(file.as_file(), &[1], index * page).unwrap();
    }
    let report = Engine::detect().map(&OpenFile::open(file.path()).unwrap());
    assert_eq!(report.size.0, size);
    assert_eq!(report.pages, Pages(last + 1));
    assert_eq!(report.cached(), Ok(Pages(3)));
    assert_eq!(pairs(&report.runs.unwrap().unwrap()), [(0, 1), (last / 2, 1), (last - 9, 1)]);
}

#[test]
fn cachestat_reports_dirty_pages_and_mincore_reports_them_as_unsupported() {
    let folder = known::disk();
    let Some(known) = locked_file(folder.path(), 10 * page_size().bytes(), known::runs(&[(2, 3)])) else { return };
    let file = OpenFile::open(known.file.path()).unwrap();
    let with = Engine::only(Method::Cachestat);
    if let Err(absent) = with.method(&file) {
        eprintln!("SKIPPED: cachestat: {absent}");
        return;
    }
    let to_write = |report: FileReport| report.dirty().unwrap() + report.writeback().unwrap();
    assert_eq!(to_write(with.measure(&file)), Pages(3));
    known.file.as_file().sync_all().unwrap();
    let written = with.measure(&file);
    assert_eq!((written.uncached(), written.percent(), written.evicted()), (Ok(Pages(7)), Ok(30.0), Ok(Pages(0))));
    assert_eq!(to_write(written), Pages(0));

    let without = Engine::only(Method::Mincore).measure(&file);
    assert_eq!((without.method(), without.cached()), (Ok(Method::Mincore), Ok(Pages(3))));
    assert_eq!(without.dirty().unwrap_err().to_string(), "unsupported: mincore reports only which pages are cached");
}
