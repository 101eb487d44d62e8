//! A known load: what is added appears where it belongs.

use std::fs;
use std::time::{Duration, Instant};

use crate::Account;
use crate::common::{Group, Subject, disk, memory, page, rmap};

fn account() -> Account {
    Account(rmap(["mem", "--json", "--total"]).json())
}

/// That `load` changes each use by so many bytes, more or less: counters are kept per processor, and other programs run
/// meanwhile. So it is tried until it comes out.
#[track_caller]
fn assert_grows<T>(places: &[(&str, u64, u64)], mut load: impl FnMut() -> T) {
    let start = Instant::now();
    loop {
        let before = account();
        let held = load();
        let after = account();
        drop(held);
        let grown = |place: &str| after.size(place) as i64 - before.size(place) as i64;
        let is_right = |place: &(&str, u64, u64)| grown(place.0).abs_diff(place.1 as i64) <= place.2;
        if places.iter().all(is_right) {
            return;
        }
        let seen: Vec<_> = places.iter().map(|(place, expected, _)| (place, *expected, grown(place))).collect();
        assert!(start.elapsed() < Duration::from_secs(40), "use, expected, seen: {seen:?}");
    }
}

const MIB: u64 = 1 << 20;

fn can_lock(name: &str) -> bool {
    let can = nix::unistd::geteuid().is_root();
    if !can {
        eprintln!("SKIPPED: {name}: only root may lock so much memory");
    }
    can
}

#[test]
fn locked_anonymous_memory_is_anonymous_and_locked() {
    if !can_lock("locked_anonymous_memory_is_anonymous_and_locked") {
        return;
    }
    let act = format!("locked:{}", 256 * MIB / page());
    // Every program has anonymous memory, and hardly any locks it.
    assert_grows(&[("anonymous", 256 * MIB, 96 * MIB), ("locked", 256 * MIB, 4 * MIB)], || Subject::start([&act]));
}

#[test]
fn a_file_on_tmpfs_is_shared_memory_and_no_page_cache() {
    let folder = memory();
    let path = folder.path().join("file");
    assert_grows(&[("shared memory", 96 * MIB, 6 * MIB)], || {
        fs::write(&path, vec![1; 96 << 20]).map(|()| Removed(&path)).unwrap()
    });
}

#[test]
fn a_file_on_tmpfs_is_unmapped_shared_memory_by_page_and_no_unmapped_page_cache() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: a_file_on_tmpfs_is_unmapped_shared_memory_by_page: only root may read kpageflags");
        return;
    }
    let by_page = || Account(rmap(["mem", "--pages", "--json", "--total"]).json());
    let folder = memory();
    let path = folder.path().join("file");
    let before = by_page();
    fs::write(&path, vec![1; 96 << 20]).unwrap();
    let after = by_page();
    let grown = (after.size("shared unmapped") as i64 - before.size("shared unmapped") as i64) / MIB as i64;
    assert!((90..=102).contains(&grown), "{grown} MiB");
    assert!(after.size("page cache unmapped") <= after.size("page cache"), "{}", after.0);
}

/// A file that is removed when this is dropped.
struct Removed<'p>(&'p std::path::Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        fs::remove_file(self.0).unwrap();
    }
}

#[test]
fn huge_pages_are_a_place_of_their_own() {
    let count = "/proc/sys/vm/nr_hugepages";
    let reserved: u64 = fs::read_to_string(count).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let more = reserved + 16;
    let is_set = fs::write(count, more.to_string()).is_ok()
        && fs::read_to_string(count).is_ok_and(|text| text.trim() == more.to_string());
    if !is_set {
        let _ = fs::write(count, reserved.to_string());
        eprintln!("SKIPPED: huge_pages_are_a_place_of_their_own: no huge pages can be reserved here");
        return;
    }
    let size = account().size("huge pages") / more;
    fs::write(count, reserved.to_string()).unwrap();
    assert_grows(&[("huge pages", 16 * size, 0), ("free huge", 16 * size, 0)], || {
        fs::write(count, more.to_string()).unwrap();
        Reserved(reserved)
    });
}

/// The number of huge pages that is restored when this is dropped.
struct Reserved(u64);

impl Drop for Reserved {
    fn drop(&mut self) {
        fs::write("/proc/sys/vm/nr_hugepages", self.0.to_string()).unwrap();
    }
}

#[test]
fn a_control_group_is_charged_for_exactly_what_its_process_made() {
    let run = rmap(["mem", "--by", "cgroup", "--top=1"]);
    if run.status != Some(0) {
        eprintln!("SKIPPED: a_control_group_is_charged_for_exactly_what_its_process_made: {}", run.err.trim_end());
        return;
    }
    let Some(group) = Group::new("mem") else { return };
    let folders = (memory(), disk());
    let acts = [
        "locked:3000".to_owned(),
        format!("shared:{}:500:500", folders.0.path().join("tmpfs").display()),
        format!("synced:{}:700:2", folders.1.path().join("file").display()),
    ];
    let _subject = group.start(&acts);
    let start = Instant::now();
    loop {
        let filter = format!("cgroup == \"{}\"", group.name);
        let rows = rmap(["mem", "--jsonl", "-o", "place,size,cgroup", "--filter", &filter]).good().lines_of_json();
        let pages = |place: &str| {
            let row = rows.iter().find(|row| row["place"] == place);
            row.map_or(0, |row| row["size"].as_u64().unwrap() / page())
        };
        // The program itself has some anonymous pages, and may have been the first to read a library.
        let is_right = (3000..3200).contains(&pages("anonymous"))
            && pages("shared memory") == 500
            && (700..2000).contains(&pages("page cache"))
            && (3700..4500).contains(&pages("locked"))
            && pages("unevictable") == pages("locked");
        if is_right {
            return;
        }
        // Pages wait for a moment before they are on a list.
        assert!(start.elapsed() < Duration::from_secs(20), "{rows:?}");
    }
}
