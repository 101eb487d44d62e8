//! The account: all files together are the page cache.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::rmap;
use crate::storm::Calm;
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

#[test]
fn what_is_found_is_the_sum_of_the_rows_however_much_changes_meanwhile() {
    let name = "what_is_found_is_the_sum_of_the_rows_however_much_changes_meanwhile";
    if !has_lists(name) {
        return;
    }
    let folder = crate::common::memory();
    let files: Vec<fs::File> =
        (0..8).map(|number| fs::File::create(folder.path().join(number.to_string())).unwrap()).collect();
    let (data, stop) = (vec![7; 4 << 20], AtomicBool::new(false));
    let mut moved = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                files.iter().for_each(|file| file.write_all_at(&data, 0).unwrap());
                std::thread::sleep(Duration::from_millis(20));
                files.iter().for_each(|file| file.set_len(0).unwrap());
            }
        });
        let _calm = Calm(&stop);
        for _ in 0..6 {
            let run = rmap(["files", "--total", "--json", "--budget=20"]);
            let answer: serde_json::Value = serde_json::from_slice(&run.out).unwrap();
            let rows = answer["files"].as_array().unwrap();
            let sum: u64 = rows.iter().map(|row| crate::bytes(row, "cached")).sum();
            let account = &answer["account"];
            assert_eq!((crate::bytes(account, "found"), &answer["total"]["cached"]), (sum, &sum.into()), "{account}");
            let missed = account["missed"].as_str().unwrap();
            moved += usize::from(missed.contains("the page cache changed by"));
        }
    });
    // Most of what is listed is gone or back when its pages are read.
    assert!(moved > 0, "no account says that 32M came and went");
}
