//! The account by physical page, from captured entries of `kpageflags` and `kpagecgroup`.

use crate::common::description;
use crate::{Account, Machine, zone};

const UP_TO_DATE: u64 = 1 << 3;
const DIRTY: u64 = 1 << 4;
const LRU: u64 = 1 << 5;
const SLAB: u64 = 1 << 7;
const BUDDY: u64 = 1 << 10;
const MMAP: u64 = 1 << 11;
const ANON: u64 = 1 << 12;
const SWAP_BACKED: u64 = 1 << 14;
const HEAD: u64 = 1 << 15;
const TAIL: u64 = 1 << 16;
const HUGE: u64 = 1 << 17;
const POISON: u64 = 1 << 19;
const NO_PAGE: u64 = 1 << 20;
const KSM: u64 = 1 << 21;
const OFFLINE: u64 = 1 << 23;
const PAGE_TABLE: u64 = 1 << 26;
const RESERVED: u64 = 1 << 32;

const PAGE: u64 = 4096;

/// A machine with 1000 frames from frame 100 on, of which it manages 900, with these entries for consecutive frames.
fn machine(frames: &[(u64, u64)]) -> Machine {
    let flags = frames.iter().flat_map(|(flags, count)| flags.to_ne_bytes().repeat(*count as usize));
    let flags: Vec<u8> = 0u64.to_ne_bytes().repeat(100).into_iter().chain(flags).collect();
    Machine::new("MemTotal: 3600 kB\nMemFree: 100 kB\nKernelStack: 8 kB\nHugepagesize: 2048 kB\n")
        .with("proc/zoneinfo", zone(0, "Normal", 100, 1000, 900, 25))
        .with("proc/kpageflags", flags)
}

fn account(frames: &[(u64, u64)]) -> Account {
    let account = machine(frames).account(&["--pages"]);
    account.assert_adds_up();
    account
}

#[track_caller]
fn assert_pages(account: &Account, expected: &[(&str, u64)]) {
    for (place, pages) in expected {
        assert_eq!(account.size(place) / PAGE, *pages, "{place} of {}", account.0);
    }
}

#[test]
fn a_screen_shows_what_is_free_in_the_lists_of_processors() {
    let zone = zone(0, "Normal", 100, 1000, 900, 200).replace("count:    0", "count:    25");
    let text = machine(&[(RESERVED, 100), (BUDDY, 200)]).with("proc/zoneinfo", zone).run(&["--pages"]).text();
    let row = text.lines().find(|line| line.starts_with("  free, per processor"));
    assert!(row.is_some_and(|row| row.contains(" 102400 ")), "{text}");
}

#[test]
fn every_frame_is_one_use_and_the_sum_is_the_whole_memory() {
    let account = account(&[
        (RESERVED, 100),
        (BUDDY, 200),
        (LRU | ANON | SWAP_BACKED | MMAP, 50),
        (LRU | UP_TO_DATE | MMAP, 60),
        (LRU | UP_TO_DATE | DIRTY, 7),
        (LRU | UP_TO_DATE | SWAP_BACKED, 8),
        (SLAB, 30),
        (PAGE_TABLE | ANON | MMAP, 9),
        (HEAD | HUGE, 1),
        (TAIL | HUGE, 511),
        (POISON | LRU, 1),
        (0, 23),
    ]);
    let expected = [
        ("free", 200),
        ("anonymous", 50),
        ("page cache", 67),
        ("page cache mapped", 60),
        ("page cache unmapped", 7),
        ("shared mapped", 0),
        ("shared unmapped", 8),
        ("dirty", 7),
        ("clean", 60),
        ("shared memory", 8),
        ("slab", 30),
        ("page tables", 9),
        ("huge pages", 512),
        ("poisoned", 1),
        ("unnamed", 23),
    ];
    assert_pages(&account, &expected);
    assert_eq!(account.row("free")["source"], "kpageflags");
    // What has no flag is among what cannot be named, as far as it is counted.
    let stacks = account.row("kernel stacks");
    assert_eq!((&stacks["part_of"], stacks["size"].as_u64()), (&"unnamed".into(), Some(8192)));
}

#[test]
fn page_cache_and_shared_memory_are_mapped_and_unmapped_each_for_itself() {
    let (cache, shared) = (LRU | UP_TO_DATE, LRU | UP_TO_DATE | SWAP_BACKED);
    let frames = [(cache, 10), (cache | MMAP, 20), (shared, 300), (shared | MMAP, 40), (BUDDY, 530), (RESERVED, 100)];
    let text = machine(&frames).run(&["--pages"]).text();
    let lines = [
        ("page cache ", 30),
        ("  mapped ", 20),
        ("  unmapped ", 10),
        ("shared memory ", 340),
        ("  mapped ", 40),
        ("  unmapped ", 300),
    ];
    let mut rows = text.lines();
    for (title, pages) in lines {
        let row = rows.find(|row| row.starts_with(title)).unwrap_or_else(|| panic!("no {title}: {text}"));
        assert_eq!(row.split_whitespace().find_map(|word| word.parse().ok()), Some(pages * PAGE), "{row}");
    }
}

#[test]
fn a_hole_that_reads_as_zero_is_no_memory() {
    let holes = |flags| account(&[(flags, 100), (BUDDY, 900)]);
    for flags in [0, NO_PAGE, RESERVED] {
        let account = holes(flags);
        assert_pages(&account, &[("free", 900), ("unnamed", 0)]);
        assert_eq!(account.whole("excess"), 0);
    }
}

#[test]
fn slab_is_not_anonymous_though_it_looks_like_it() {
    assert_pages(&account(&[(SLAB | ANON | MMAP, 12)]), &[("slab", 12), ("anonymous", 0)]);
}

#[test]
fn offline_pages_are_in_no_place_and_are_said() {
    let frames = [(OFFLINE | ANON, 256), (BUDDY, 644)];
    let account = account(&frames);
    assert_pages(&account, &[("anonymous", 0), ("free", 644)]);
    assert_eq!(account.whole("offline"), 1 << 20);
    let said = machine(&frames).run(&["--pages"]).good().text();
    assert!(said.contains("reserved at the start, 1M given back to the host, or offline\n"), "{said}");
}

#[test]
fn the_flag_of_ksm_is_believed_only_if_pages_are_merged() {
    let frames = [(LRU | ANON | SWAP_BACKED | MMAP | KSM, 40)];
    for (shared, merged) in [("0\n", None), ("3\n", Some(40 * PAGE))] {
        let machine = machine(&frames).with("sys/kernel/mm/ksm/pages_shared", shared);
        let account = machine.account(&["--pages"]);
        assert_pages(&account, &[("anonymous", 40)]);
        let row = account.rows().iter().find(|row| row["place"] == "merged");
        assert_eq!(row.and_then(|row| row["size"].as_u64()), merged, "{shared}");
    }
}

#[test]
fn tail_pages_have_the_flags_of_their_folio_on_linux_6_1_and_on_6_10() {
    let head = HEAD | LRU | UP_TO_DATE | DIRTY | MMAP;
    for tail in [TAIL, TAIL | LRU | UP_TO_DATE | DIRTY | MMAP] {
        let account = account(&[(head, 1), (tail, 15), (HEAD | SLAB, 1), (TAIL | SLAB, 7), (BUDDY, 876)]);
        assert_pages(
            &account,
            &[("page cache", 16), ("dirty", 16), ("page cache mapped", 16), ("slab", 8), ("unnamed", 0)],
        );
    }
}

#[test]
fn more_pages_than_there_are_is_reported() {
    let machine = machine(&[(BUDDY, 950)]);
    let account = machine.account(&["--pages"]);
    account.assert_adds_up();
    assert_eq!((account.whole("excess"), account.size("unnamed")), (50 * PAGE, 0));
    assert!(machine.run(&["--pages"]).good().text().contains("200K more than MemTotal (3600 kB)"));
}

#[test]
fn frames_belong_to_the_node_around_them() {
    let flags: Vec<u8> = [(LRU, 40), (BUDDY, 60), (SLAB, 100)]
        .iter()
        .flat_map(|(flags, count): &(u64, usize)| flags.to_ne_bytes().repeat(*count))
        .collect();
    let machine = Machine::new("MemTotal: 800 kB\nMemFree: 1 kB\n")
        .with("proc/zoneinfo", zone(0, "Normal", 0, 50, 50, 1) + &zone(1, "Normal", 50, 150, 150, 1))
        .with("proc/kpageflags", flags);
    let rows = machine.run(&["--pages", "--jsonl", "-o", "node,place,size"]).good().lines_of_json();
    let pages = |node: u64, place: &str| {
        let row = rows.iter().find(|row| row["node"] == node && row["place"] == place).unwrap();
        row["size"].as_u64().unwrap() / PAGE
    };
    let of = |node| ["page cache", "free", "slab", "unnamed"].map(|place| pages(node, place));
    assert_eq!((of(0), of(1)), ([40, 10, 0, 0], [0, 50, 100, 0]));
    assert!(rows.iter().all(|row| row["node"].is_u64()), "memory on no node: {rows:?}");
    let groups = machine.run(&["--pages", "--by", "node", "--json", "--total"]).good().json();
    assert_eq!((&groups["total"]["rows"], &groups["total"]["size"]), (&2.into(), &(200 * PAGE).into()), "{groups}");
}

#[test]
fn pages_are_those_of_the_group_that_is_charged() {
    let inodes: Vec<u8> = [(0u64, 100), (0, 300), (77, 50), (78, 20), (0, 530)]
        .iter()
        .flat_map(|(inode, count): &(u64, usize)| inode.to_ne_bytes().repeat(*count))
        .collect();
    // The last one of the second group has no flags: memory of the kernel that is charged.
    let machine = machine(&[(BUDDY, 300), (LRU | ANON, 50), (LRU, 19), (0, 531)]).with("proc/kpagecgroup", inodes);
    let groups = machine.run(&["--by", "cgroup", "--json"]).good().json();
    let size = |name: &str| {
        let group = groups.as_array().unwrap().iter().find(|row| row["cgroup"] == name).unwrap();
        group["size"].as_u64().unwrap() / PAGE
    };
    assert_eq!(size("[inode 77, not visible here]"), 50);
    assert_eq!(size("[inode 78, not visible here]"), 20);
    let none = groups.as_array().unwrap().iter().find(|row| row["cgroup"].is_null()).unwrap();
    assert_eq!(none["size"].as_u64().unwrap() / PAGE, 900 - 70);
}

#[test]
fn an_answer_that_cannot_be_given_is_a_whole_document_and_no_table() {
    let machine = Machine::new("MemTotal: 1 kB\n");
    for look in ["--pages", "--by=cgroup", "--slab"] {
        let run = |more: &[&str]| machine.run(&[&[look], more].concat());
        assert_eq!(run(&["--json"]).text(), "[]\n", "{look}");
        assert_eq!(run(&["--jsonl"]).text(), "", "{look}");
        assert_eq!(run(&[]).text(), "", "{look}");
        let with_total = run(&["--json", "--total"]);
        assert_eq!((with_total.status, with_total.complaints().len()), (Some(1), 1), "{with_total:?}");
        let document = with_total.json();
        assert_eq!(document.as_object().unwrap().len(), 1, "{document}");
    }
}

#[test]
fn a_capture_without_entries_says_what_it_lacks() {
    let machine = Machine::new("MemTotal: 800 kB\nMemFree: 1 kB\n").with("rmap-capture.json", description(4096, true));
    for arguments in [&["--pages"][..], &["--by", "cgroup"]] {
        let run = machine.run(arguments);
        let line = "rmap: the capture: it has no kpageflags\n".to_owned();
        assert_eq!((run.status, run.out.len(), run.err), (Some(1), 0, line));
    }
}
