//! The account of kernels of several generations, each with the fields that it has.

use crate::{Account, Machine, fixture};

#[track_caller]
fn assert_kib(account: &Account, expected: &[(&str, u64)]) {
    for (place, kib) in expected {
        assert_eq!(account.kib(place), *kib, "{place}");
    }
    account.assert_adds_up();
    assert_eq!(account.whole("excess"), 0);
}

#[test]
fn linux_4_4_counts_neither_vmalloc_nor_per_cpu_memory_and_huge_pages_by_number() {
    let account = Machine::new(&fixture("meminfo-4.4.txt")).account(&[]);
    let expected = [
        ("free", 3_510_284),
        ("anonymous", 975_820),
        ("page cache", 2_861_240 + 221_552 - 41_300),
        ("shared memory", 41_300),
        // 4388 KiB of the cache of swap are mapped, and so among the anonymous pages.
        ("anonymous in swap", 4_388),
        ("swap cache", 8_192 - 4_388),
        ("slab reclaimable", 322_412),
        ("slab unreclaimable", 45_568),
        ("page tables", 22_668),
        ("kernel stacks", 7_664),
        ("huge pages", 64 * 2_048),
        ("free huge", 16 * 2_048),
        ("fuse writeback", 64),
        ("poisoned", 4),
        ("unstable", 128),
        ("unnamed", 72_440),
    ];
    assert_kib(&account, &expected);
    assert!(account.absent("vmalloc").contains("before 5.3"), "{}", account.0);
    for place in ["per cpu", "zswap", "kernel reclaimable", "compressed", "free per processor"] {
        assert!(account.absent(place).starts_with("unsupported: "), "{place}");
    }
    // Without vmalloc, it is a part of what cannot be named: the sum is complete all the same.
    assert_eq!(account.sum(), 8_174_592 << 10);
    assert_eq!(account.0["total"]["rows_without_figure"], serde_json::Value::Null);
}

#[test]
fn linux_4_19_counts_per_cpu_memory_and_huge_pages_by_size() {
    let account = Machine::new(&fixture("meminfo-4.19.txt")).account(&[]);
    let expected = [
        ("page cache", 8_601_964 + 902_312 - 230_068),
        ("swap cache", 0),
        ("per cpu", 12_416),
        ("huge pages", 20_480),
        ("free huge", 20_480),
        ("unnamed", 365_852),
    ];
    assert_kib(&account, &expected);
    assert!(account.absent("vmalloc").contains("before 5.3"));
    assert!(account.absent("kernel reclaimable").starts_with("unsupported: "));
}

#[test]
fn linux_5_10_counts_stacks_as_vmalloc_too_and_they_count_once() {
    let account = Machine::new(&fixture("meminfo-5.10.txt")).account(&[]);
    let expected = [
        ("kernel stacks", 9_376 + 2_344),
        ("vmalloc", 42_128 - 9_376 - 2_344),
        ("kernel reclaimable", 4_000),
        ("anonymous in swap", 26_432),
        ("swap cache", 40_960 - 26_432),
        ("free contiguous", 31_844),
        ("unnamed", 307_800),
    ];
    assert_kib(&account, &expected);
    assert!(account.absent("zswap").starts_with("unsupported: "));
}

#[test]
fn linux_6_1_counts_zswap_and_secondary_page_tables() {
    let zswap = "module/zswap/parameters/zpool";
    let machine = |pool: &str| {
        let machine = Machine::new(&fixture("meminfo-6.1.txt"));
        machine.with("proc/vmstat", "nr_free_pages 5\nnr_zspages 80000\n").with(&format!("sys/{zswap}"), pool)
    };
    let account = machine("zsmalloc\n").account(&[]);
    let expected = [
        ("zswap", 307_200),
        ("compressed", 320_000 - 307_200),
        ("page tables", 70_308 + 2_048),
        ("swap cache", 58_936),
        ("huge pages", 1_048_576),
        ("kernel reclaimable", 0),
        ("unnamed", 573_912),
    ];
    assert_kib(&account, &expected);
    // Another allocator of zswap has pages of its own.
    assert_eq!(machine("zbud\n").account(&[]).kib("compressed"), 320_000);
}

#[test]
fn linux_6_18_counts_what_it_gave_back_to_the_host_and_it_is_in_no_place() {
    let text = fixture("meminfo-6.18.txt");
    let field = |key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let account = Machine::new(&text).account(&[]);
    let files = field("Cached") + field("Buffers");
    let expected = [
        ("free", field("MemFree")),
        ("anonymous", field("AnonPages")),
        ("page cache", files - field("Shmem")),
        ("unmapped", files - field("Mapped")),
        ("clean", files - field("Shmem") - field("Dirty") - field("Writeback")),
        ("vmalloc", field("VmallocUsed") - field("KernelStack")),
        ("per cpu", field("Percpu")),
    ];
    assert_kib(&account, &expected);
    assert_eq!(account.sum(), field("MemTotal") << 10);
    let given_back = Machine::new(&text.replace("Balloon:               0 kB", "Balloon:            4096 kB"));
    assert_eq!(given_back.account(&[]).whole("offline"), 4096 << 10);
    assert_eq!(given_back.account(&[]).kib("unnamed"), account.kib("unnamed"));
    assert!(given_back.run(&[]).good().text().contains("\nnot in MemTotal: 4M given back to the host, or offline\n"));
}
