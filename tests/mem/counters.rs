//! What is believed where counters contradict each other, and how the account is shown.

use serde_json::Value;

use crate::{Machine, fixture, zone};

const GIB: u64 = 1 << 30;
const PAGE: u64 = 4096;

/// Memory of 24 GiB, and 16,000 MiB that only `MemTotal` knows.
const REAL: u64 = 24 * GIB;
const PHANTOM: u64 = 16_000 << 20;

/// `meminfo` of a machine with so much free memory and 4 GiB of anonymous memory.
fn meminfo(total: u64, free: u64) -> String {
    format!("MemTotal: {} kB\nMemFree: {} kB\nAnonPages: {} kB\n", total >> 10, free >> 10, (4 * GIB) >> 10)
}

#[test]
fn memory_that_no_zone_manages_is_not_free_whatever_meminfo_says() {
    let pages = REAL / PAGE;
    // The lists of free blocks have what is free, or what meminfo says.
    for listed in [10 * GIB, 10 * GIB + PHANTOM] {
        let zones = zone(0, "Normal", 1 << 20, 2 * pages, pages, listed / PAGE);
        let machine = Machine::new(&meminfo(REAL + PHANTOM, 10 * GIB + PHANTOM)).with("proc/zoneinfo", zones);
        let account = machine.account(&[]);
        account.assert_adds_up();
        let is_impossible = listed > REAL;
        assert_eq!(account.whole("managed"), REAL);
        assert_eq!(account.size("unmanaged"), PHANTOM);
        // With 26 GiB in lists of 24 GiB, at least the difference is not free; the rest is not proven.
        let free = if is_impossible { 10 * GIB + PHANTOM - (listed - REAL) } else { 10 * GIB };
        assert_eq!(account.size("free"), free, "{listed}");
        let said = machine.run(&[]).good().text();
        let line = "MemTotal counts 15.6G that no zone manages, so that nobody can use it\n";
        assert!(said.contains(line), "{said}");
        assert!(said.contains("\nin no zone "), "{said}");
    }
}

#[test]
fn zones_and_meminfo_that_agree_are_not_mentioned() {
    let zones = zone(0, "Normal", 1 << 20, REAL / PAGE + 100, REAL / PAGE, 10 * GIB / PAGE);
    let machine = Machine::new(&meminfo(REAL, 10 * GIB)).with("proc/zoneinfo", zones);
    let account = machine.account(&[]);
    assert_eq!((account.whole("managed"), account.size("unmanaged")), (REAL, 0));
    assert_eq!((account.size("free"), account.size("unnamed")), (10 * GIB, 10 * GIB));
    // What was reserved when it started is besides MemTotal.
    assert_eq!(account.whole("reserved"), 100 * PAGE);
    let said = machine.run(&[]).good().text();
    assert!(!said.contains("zone") && said.contains("not in MemTotal: 400K reserved at the start"), "{said}");
    // More in zones than MemTotal says is no place, and is said.
    let zones = zone(0, "Normal", 1 << 20, REAL / PAGE, REAL / PAGE + 512, 0);
    let machine = Machine::new(&meminfo(REAL, GIB)).with("proc/zoneinfo", zones);
    assert!(machine.run(&[]).good().text().contains("\nthe zones manage 2M more than MemTotal\n"));
}

#[test]
fn pages_that_processors_keep_ready_are_free_and_counted_once() {
    let zones = zone(0, "Normal", 1 << 20, 5000, 5000, 1000).replace("count:    0", "count:    256");
    let machine = Machine::new("MemTotal: 20000 kB\nMemFree: 4000 kB\nAnonPages: 14000 kB\n");
    let account = machine.with("proc/zoneinfo", zones).account(&[]);
    account.assert_adds_up();
    let kib = ["free", "free per processor", "unnamed"].map(|place| account.kib(place));
    assert_eq!(kib, [4000, 1024, 976]);
}

#[test]
fn places_that_are_more_than_the_whole_are_reported_and_nothing_is_negative() {
    let machine = Machine::new("MemTotal: 1000 kB\nMemFree: 600 kB\nAnonPages: 500 kB\nCached: 10 kB\nShmem: 20 kB\n");
    let account = machine.account(&[]);
    account.assert_adds_up();
    assert_eq!((account.whole("excess"), account.kib("unnamed")), ((100 + 20) << 10, 0));
    assert!(account.absent("page cache").starts_with("changed: "), "{}", account.0);
    let said = machine.run(&[]).good().text();
    let line =
        "\nsum: 1M, 120K more than MemTotal (1000 kB): the counters were not taken at one instant, or do not fit\n";
    assert!(said.contains(line), "{said}");
}

#[test]
fn the_sum_of_everything_is_not_said_below_a_part_of_it() {
    let machine = Machine::new(&fixture("meminfo-6.18.txt"));
    for options in [&[][..], &["--by", "reclaim"]] {
        assert!(machine.run(options).good().text().contains("\nsum: "), "{options:?}");
    }
    for options in [&["--filter", "place == free"][..], &["--top", "2"]] {
        let text = machine.run(options).good().text();
        assert!(text.lines().count() > 1 && !text.contains("MemTotal"), "{options:?}: {text}");
    }
}

#[test]
fn a_total_counts_attributes_with_the_places_that_have_them() {
    let machine = Machine::new(&fixture("meminfo-6.18.txt"));
    let account = machine.account(&[]);
    // All rows together are more than the whole.
    let all: u64 = account.rows().iter().filter_map(|row| row["size"].as_u64()).sum();
    assert!(all > account.whole("total"));
    account.assert_adds_up();
    let total = |filter: &str| machine.account(&["--filter", filter]).0["total"]["size"].as_u64();
    // Dirty pages are a part of the page cache, and other attributes count by themselves.
    assert_eq!(total("place == 'page cache' || place == dirty"), Some(account.size("page cache")));
    assert_eq!(total("place == dirty"), Some(account.size("dirty")));
    let apart = account.size("active file") + account.size("shared huge");
    assert_eq!(total("place == 'active file' || place == 'shared huge'"), Some(apart));
    // Which memory two attributes of the same places share is not known, nor what a part of those places has of one.
    assert_eq!(total("place == 'inactive file' || place == 'active file'"), None);
    assert_eq!(total("place == 'page cache' || place == mapped"), None);
    // What the kernel does not count is not zero, and is missing unless a place that has it is counted.
    assert_eq!((total("place == poisoned"), total("place == 'free contiguous'")), (None, None));
    let lacking = |filter: &str| {
        let document = machine.account(&["--filter", filter]).0;
        (document["total"]["size"].as_u64(), document["total"]["rows_without_figure"]["size"].as_u64())
    };
    let (free, unnamed) = (account.size("free"), account.size("unnamed"));
    assert_eq!(lacking("place == poisoned || place == free"), (Some(free), Some(1)));
    assert_eq!(lacking("place == poisoned || place == unnamed"), (Some(unnamed), None));
    assert_eq!(lacking("place == 'free contiguous' || place == free"), (Some(free), None));
    let groups = machine.run(&["--by", "part_of", "--csv", "-o", "part_of,size"]).good().text();
    assert!(groups.lines().any(|line| line == "page cache,"), "{groups}");
    assert_eq!(account.row("dirty")["part_of"], "page cache");
    assert_eq!(account.row("mapped")["part_of"], "page cache, shared memory");
    assert_eq!(account.row("free")["part_of"], serde_json::Value::Null);
}

#[test]
fn segments_of_system_v_are_a_part_of_shared_memory() {
    let segments = "       key      shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap\n\
                    0 0 1600 67108864 77 0 1 0 0 0 0 0 0 0 8388608 4194304\n";
    let machine = Machine::new("MemTotal: 1000000 kB\nMemFree: 1 kB\nCached: 500000 kB\nShmem: 100000 kB\n")
        .with("proc/sysvipc/shm", segments);
    let account = machine.account(&[]);
    let row = account.row("system v");
    assert_eq!(
        (row["size"].as_u64(), &row["note"], &row["part_of"]),
        (Some(8 << 20), &"and 4M in swap".into(), &"shared memory".into())
    );
}

#[test]
fn the_areas_of_swap_are_named_in_one_line() {
    let machine = Machine::new("MemTotal: 1000 kB\nMemFree: 1 kB\n")
        .with("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 2097148 32768 -2\n");
    assert!(machine.run(&[]).good().text().contains("\nswap: 32M of 1.9G used\n"));
    assert_eq!(machine.account(&[]).whole("swap_used"), 32 << 20);
}

#[test]
fn each_node_adds_up_to_its_own_total() {
    let node = |number: u32, total: u64| {
        format!(
            "Node {number} MemTotal: {total} kB\nNode {number} MemFree: 1000 kB\nNode {number} MemUsed: 5 kB\n\
             Node {number} SwapCached: 10 kB\nNode {number} Active: 300 kB\nNode {number} Inactive: 200 kB\n\
             Node {number} Unevictable: 0 kB\nNode {number} FilePages: 410 kB\nNode {number} Shmem: 100 kB\n\
             Node {number} AnonPages: 100 kB\nNode {number} Mapped: 50 kB\nNode {number} SReclaimable: 30 kB\n\
             Node {number} SUnreclaim: 20 kB\nNode {number} HugePages_Total: 2\n"
        )
    };
    let machine = Machine::new("MemTotal: 30000 kB\nMemFree: 2000 kB\nHugepagesize: 2048 kB\nVmallocUsed: 50 kB\n")
        .with("sys/devices/system/node/node0/meminfo", node(0, 10000))
        .with("sys/devices/system/node/node1/meminfo", node(1, 20000))
        .with("sys/devices/system/node/online", "0-1\n");
    let groups = machine.run(&["--by", "node", "--json"]).good().json();
    let groups = groups.as_array().unwrap().iter();
    let mut sizes: Vec<_> = groups.map(|row| (row["node"].as_u64().unwrap(), row["size"].as_u64().unwrap())).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [(0, 10000 << 10), (1, 20000 << 10)]);
    // Their shares are those of the whole machine, and add up.
    let groups = machine.run(&["--by", "node", "--json", "-o", "node,percent", "--total"]).good().json();
    let percent = |row: &Value| row["percent"].as_f64().unwrap();
    let mut shares: Vec<f64> = groups["groups"].as_array().unwrap().iter().map(percent).collect();
    shares.sort_unstable_by(f64::total_cmp);
    assert!((shares[0] - 100.0 / 3.0).abs() < 0.01 && (shares[1] - 200.0 / 3.0).abs() < 0.01, "{groups}");
    assert_eq!(percent(&groups["total"]), 100.0);
    // What is used of each is the rest, as the example says.
    let used = machine.run(&["--by", "node", "--jsonl", "--filter", "reclaim != free"]).good().lines_of_json();
    let mut used: Vec<_> = used.iter().map(|row| row["size"].as_u64().unwrap() >> 10).collect();
    used.sort_unstable();
    assert_eq!(used, [10000 - 1000, 20000 - 1000]);
    // An attribute can be asked for, too.
    let mapped = machine.run(&["--by", "node", "--jsonl", "--filter", "place == mapped"]).good().lines_of_json();
    let sizes: Vec<_> = mapped.iter().map(|row| row["size"].as_u64().unwrap() >> 10).collect();
    assert_eq!(sizes, [50, 50], "{mapped:?}");
    let rows = machine.run(&["--jsonl", "-o", "node,place,size", "--filter", "node == 1"]).good().lines_of_json();
    let kib = |place: &str| rows.iter().find(|row| row["place"] == place).unwrap()["size"].as_u64().unwrap() >> 10;
    // FilePages has the cache of swap, of which all is mapped here: 100 + 410 - (300 + 200).
    assert_eq!([kib("page cache"), kib("swap cache"), kib("anonymous in swap")], [300, 0, 10]);
    assert_eq!([kib("huge pages"), kib("shared memory")], [4096, 100]);
    assert_eq!(kib("unnamed"), 20000 - 1000 - 100 - 300 - 100 - 30 - 20 - 4096);
    // What only the whole machine counts is in no row.
    assert!(!rows.iter().any(|row| row["place"] == "vmalloc"), "{rows:?}");
}

#[test]
fn what_meminfo_must_have_is_an_error_in_one_line() {
    for (text, why) in
        [("", "it is not in the kernel's format"), ("MemTotal: x kB\n", "it is not in the kernel's format")]
    {
        let machine = Machine::new(text);
        let run = machine.run(&[]);
        assert_eq!((run.status, run.out.len()), (Some(1), 0), "{run:?}");
        assert_eq!(run.err, format!("rmap: {}/meminfo: {why}\n", machine.proc().display()));
    }
    // With nothing but the total, it cannot be named at all.
    let account = Machine::new("MemTotal: 16 kB\n").account(&[]);
    assert_eq!((account.kib("unnamed"), account.sum()), (16, 16 << 10));
}

#[test]
fn an_attribute_that_is_not_below_its_place_has_its_whole_name() {
    let machine = Machine::new(
        "MemTotal: 1000 kB\nMemFree: 400 kB\nActive(anon): 60 kB\nInactive(anon): 40 kB\nAnonPages: 100 kB\n\
         Cached: 300 kB\nActive(file): 120 kB\nInactive(file): 180 kB\n",
    );
    let titles = |options: &[&str]| {
        let text = machine.run(&[&["-a", "-o", "title", "-n"], options].concat()).text();
        text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
    };
    let has = |titles: &[String], title: &str| titles.iter().any(|one| one == title);
    let in_order = titles(&[]);
    for title in ["  inactive", "  inactive, swappable"] {
        assert_eq!(in_order.iter().filter(|one| *one == title).count(), 1, "{in_order:?}");
    }
    for options in [&["--sort", "size"][..], &["--sort", "title"], &["--top", "30"], &["--filter", "size > 0"]] {
        let titles = titles(options);
        assert!(has(&titles, "inactive file") && has(&titles, "anonymous"), "{options:?}: {titles:?}");
        assert!(titles.iter().all(|title| !title.starts_with(' ')), "{options:?}: {titles:?}");
    }
}

#[test]
fn counters_have_only_the_sum_of_what_is_mapped_of_the_page_cache_and_of_shared_memory() {
    let meminfo = |shared: &str, mapped: &str| {
        let text = format!("MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 0 kB\nCached: 800 kB\nShmem: {shared} kB\n");
        format!("{text}Mapped: {mapped} kB\nDirty: 0 kB\nWriteback: 0 kB\n")
    };
    let machine = Machine::new(&meminfo("700", "50"));
    let text = machine.run(&["--all"]).text();
    let lines: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("unmapped")).collect();
    assert!(lines[0].starts_with("  unmapped  ") && lines[0].contains(" -  "), "{text}");
    assert!(lines[2].starts_with("  unmapped, total ") && lines[2].contains(" 768000 "), "{text}");
    let account = machine.account(&[]);
    let row = account.row("page cache unmapped");
    assert!(row["size"].is_null() && row["note"].as_str().unwrap().contains("--pages"), "{row}");
    // If there is no shared memory, or all is mapped, they are known.
    let account = Machine::new(&meminfo("0", "50")).account(&[]);
    assert_eq!((account.kib("page cache mapped"), account.kib("page cache unmapped")), (50, 750));
    let account = Machine::new(&meminfo("700", "800")).account(&[]);
    assert_eq!((account.kib("page cache mapped"), account.kib("shared mapped")), (100, 700));
}
