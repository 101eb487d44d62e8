//! `rmap mem --slab`

use crate::common::description;
use crate::{Machine, zone};

const SLABINFO: &str = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize> ...\n\
    ext4_inode_cache 90 100 1128 14 4 : tunables 0 0 0 : slabdata 8 8 0\n\
    dentry 100 2100 192 21 1 : tunables 0 0 0 : slabdata 100 100 0\n\
    my\u{1b}[2Jcache 1 1 8 512 1 : tunables 0 0 0 : slabdata 1 1 0\n\
    unheard_of 0 0 64 64 1 : tunables 0 0 0 : slabdata 0 0 0\n";

fn machine() -> Machine {
    Machine::new("MemTotal: 100000 kB\nMemFree: 1 kB\nSlab: 600 kB\n").with("proc/slabinfo", SLABINFO)
}

#[test]
fn caches_are_listed_with_all_their_pages_and_what_they_are() {
    let rows = machine().run(&["--slab", "--json"]).good().rows();
    let seen: Vec<_> = rows.iter().map(|row| (row["cache"].as_str().unwrap(), row["size"].as_u64().unwrap())).collect();
    let expected = [("dentry", 409_600), ("ext4_inode_cache", 131_072), ("my\u{1b}[2Jcache", 4096), ("unheard_of", 0)];
    assert_eq!(seen, expected);
    assert_eq!(
        (&rows[0]["what"], &rows[3]["what"]),
        (&"names of files (directory cache)".into(), &"no description".into())
    );
    assert_eq!(
        (&rows[0]["objects"], &rows[0]["capacity"], &rows[0]["in_use"]),
        (&100.into(), &2100.into(), &19200.into())
    );
    // An empty cache is not 0 % used.
    assert_eq!(rows[3]["in_use_percent"], serde_json::Value::Null);
}

#[test]
fn the_options_of_every_table_work_for_caches() {
    let text = machine().run(&["--slab", "--top", "1", "--total", "-o", "cache,size"]).good().text();
    assert!(text.contains("dentry") && !text.contains("ext4") && text.contains("409600"), "{text}");
    let text = machine().run(&["--slab", "--filter", "cache =~ cache"]).good().text();
    assert!(text.contains("my\\x1b[2Jcache") || !text.contains('\u{1b}'), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains("dentry"), "{text}");
}

#[test]
fn the_account_names_the_largest_caches() {
    let text = machine().run(&[]).good().text();
    assert!(text.contains("\nlargest slab caches (--slab): dentry 400K, ext4_inode_cache 128K"), "{text}");
}

#[test]
fn options_without_a_meaning_for_caches_are_refused() {
    for option in ["--pages", "--all"] {
        let run = machine().run(&["--slab", option]);
        assert_eq!((run.status, run.out.len(), run.complaints().len()), (Some(2), 0, 1), "{run:?}");
    }
}

#[test]
fn a_capture_says_how_large_its_pages_are_and_nothing_else_is_believed() {
    // By these zones its pages would have 4 KiB.
    let zones = zone(0, "Normal", 1 << 20, 25_000, 25_000, 0);
    let machine = || Machine::new("MemTotal: 100000 kB\nMemFree: 1 kB\n").with("proc/zoneinfo", &zones);
    let dentry = |machine: &Machine| {
        let rows = machine.run(&["--slab", "--json"]).good().rows();
        rows.iter().find(|row| row["cache"] == "dentry").unwrap()["size"].as_u64().unwrap()
    };
    let captured = machine().with("proc/slabinfo", SLABINFO).with("rmap-capture.json", description(65_536, true));
    assert_eq!(dentry(&captured), 100 * 65_536);
    let text = captured.run(&[]).good().text();
    assert!(text.contains("(--slab): dentry 6.2M"), "{text}");
    // A directory that is no capture says nothing, so its page size follows from its zones.
    let small = zone(0, "Normal", 1 << 20, 1_600, 1_562, 0);
    let bare = Machine::new("MemTotal: 100000 kB\nMemFree: 1 kB\n").with("proc/zoneinfo", small);
    assert_eq!(dentry(&bare.with("proc/slabinfo", SLABINFO)), 100 * 65_536);
}
