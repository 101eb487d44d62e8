//! Processes that change while they are read: complete rows, in order, without duplicates or invented rows, and never
//! two programs in one list.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::process::Command;

use common::Subject;
use rmap::error::ErrorKind;
use rmap::process::{Fields, Mapping, Process, Wanted};

/// Every interface: smaps, the page tables, only maps.
fn ways() -> [Wanted; 3] {
    let only = |names: &[&str]| Wanted::Only(names.iter().map(|name| (*name).to_owned()).collect());
    [Wanted::Everything, only(&["Size", "Rss", "Swap"]), only(&["Size"])]
}

/// The slot of the subject's `churn` that a row must be; the error is the reason why it is none.
fn slot_of(base: u64, page: u64, row: &Mapping<'_>) -> Result<u64, String> {
    let slot = (row.start() - base) / (16 * page);
    let perm = if slot % 2 == 1 { "rw-s" } else { "r--s" };
    let is_it = (row.start() - base).is_multiple_of(16 * page)
        && row.size().0 == (1 + slot % 4) * page
        && row.offset() == slot * page
        && row.perm() == perm
        && row.path() == b"/memfd:churn (deleted)";
    is_it.then_some(slot).ok_or_else(|| format!("{:x}-{:x} {} {:x}", row.start(), row.end(), row.perm(), row.offset()))
}

#[test]
fn a_process_that_maps_and_unmaps_never_shows_invented_rows() {
    assert_no_invented_rows(600, 0, 90);
}

/// Several threads read this one: it has more than 64 KiB of `maps`. It pauses long enough that some
/// readings meet no change.
#[test]
fn a_process_with_many_mappings_never_shows_invented_rows() {
    assert_no_invented_rows(3000, 0, 6);
    assert_no_invented_rows(3000, 20, 60);
}

fn assert_no_invented_rows(all: u64, rest: u64, turns: usize) {
    let page = common::page();
    let subject = Subject::start([format!("churn:{all}:{rest}")]);
    let base = u64::from_str_radix(&subject.made[0].start, 16).unwrap();
    let end = base + all * 16 * page;
    let mut seen_to_come_and_go = std::collections::BTreeSet::new();
    for turn in 0..turns {
        let mut fields = Fields::new();
        let wanted = &ways()[turn % 3];
        let found = Process::open(subject.pid()).unwrap().read_mappings(&mut fields, wanted).unwrap();
        let rows: Vec<_> = found.mappings.iter().collect();
        assert!(rows.windows(2).all(|pair| pair[0].end() <= pair[1].start()), "{:?}: out of order", found.interface);
        let inside = rows.iter().filter(|row| row.start() >= base && row.start() < end);
        let slots: Vec<u64> = inside.clone().map(|row| slot_of(base, page, row).unwrap()).collect();
        assert!(slots.is_sorted_by(|one, next| one < next), "{:?}: a row is there twice", found.interface);
        assert!((0..all).step_by(8).all(|slot| slots.binary_search(&slot).is_ok()), "a row that stayed is missing");
        if let Some(rss) = fields.find(b"Rss") {
            assert!(inside.clone().all(|row| row.bytes(rss).is_some_and(|rss| rss <= row.size())));
        }
        seen_to_come_and_go.insert(slots);
    }
    assert!(seen_to_come_and_go.len() > turns / 9, "the subject did not change");
}

#[test]
fn a_process_that_calls_exec_never_mixes_two_programs() {
    let script = "exec /bin/sh -c \"$0\" \"$0\"";
    let child = Command::new("/bin/sh").args(["-c", script, script]).spawn().unwrap();
    // It ends with the test, however the test ends.
    let subject = Subject::of(child);
    let mut whole = 0;
    for turn in 0..300 {
        let wanted = &ways()[turn % 3];
        match Process::open(subject.pid()).unwrap().read_mappings(&mut Fields::new(), wanted) {
            Ok(found) => {
                let count = |name: &[u8]| found.mappings.iter().filter(|row| row.path() == name).count();
                assert!(!found.mappings.is_empty());
                assert!([&b"[stack]"[..], b"[heap]", b"[vdso]"].iter().all(|name| count(name) <= 1), "two programs");
                whole += 1;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Changed, "{error}"),
        }
    }
    assert!(whole > 0, "it was never read");
}
