//! The account: all files together are the page cache.

use std::fs;

use crate::common::rmap;
use crate::{answer, has_lists};

/// `Cached + Buffers` of meminfo, in bytes.
fn page_cache() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let figure = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    };
    figure("Cached:") + figure("Buffers:")
}

#[test]
fn the_sum_of_all_files_is_the_page_cache() {
    if !has_lists("the_sum_of_all_files_is_the_page_cache") {
        return;
    }
    let mut seen = Vec::new();
    for _ in 0..5 {
        let before = page_cache();
        let found = answer(["-o", "cached,kind"]);
        let after = page_cache();
        let sum = found.sum("cached");
        let least = before.min(after) - before.min(after) / 200;
        let most = before.max(after) + before.max(after) / 200;
        if found.complaints.is_empty() && (least..=most).contains(&sum) {
            return;
        }
        seen.push((before, sum, after, found.complaints));
    }
    panic!("before, sum, after: {seen:?}");
}

#[test]
fn the_account_names_almost_everything() {
    if !has_lists("the_account_names_almost_everything") {
        return;
    }
    // The account is of the whole machine, whatever rows are shown.
    let narrow = tempfile::tempdir_in("/dev/shm").unwrap();
    let narrow = narrow.path().to_str().unwrap();
    for arguments in [&["--top=3"][..], &["-o", "cached,path", narrow], &["--by=kind"], &["--deleted"]] {
        let mut said = Vec::new();
        let is_named = (0..5).any(|_| {
            let text = rmap([&["files", "--budget=20"], arguments].concat()).text();
            let closing = text.lines().find(|line| line.starts_with("named ")).unwrap_or_else(|| panic!("{text}"));
            let percent = closing.strip_prefix("named ").unwrap().split_once('%').unwrap().0.trim();
            said.push(closing.to_owned());
            assert!(closing.contains("from the kernel's lists of inodes and pages (BPF)"), "{closing}");
            percent.parse::<f64>().unwrap() >= 99.5
        });
        assert!(is_named, "{arguments:?}: {said:?}");
    }
}

#[test]
fn the_account_shrinks_with_what_was_read() {
    if !has_lists("the_account_shrinks_with_what_was_read") {
        return;
    }
    let text = rmap(["files", "--budget=0.001", "--top=3"]).text();
    let Some(left) = text.lines().find(|line| line.trim_start().starts_with("left: ")) else {
        return eprintln!("SKIPPED: everything was read within a millisecond:\n{text}");
    };
    assert!(left.contains("files that were not listed in time; a longer --budget lists more"), "{text}");
}
