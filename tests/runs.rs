//! `rmap pcstat --runs`: one row per stretch, which distinguishes holes from data that is not cached.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "engine/known.rs"]
#[allow(dead_code, reason = "shared with the tests of the engine")]
mod known;

use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::known::page_size;
use common::rmap;
use known::{disk, known_file, memory, runs};
use memmap2::{Advice, MmapOptions};
use serde_json::Value;

/// Offset and length in pages, and state, of each row.
fn stretches(args: &[&str]) -> Vec<(u64, u64, String)> {
    let args = [&["pcstat", "--runs", "--jsonl"], args].concat();
    let rows = rmap(args).good().lines_of_json();
    let page = page_size().bytes();
    let number = |row: &Value, key: &str| row[key].as_u64().unwrap();
    let read = |row: &Value| {
        assert_eq!(number(row, "pages"), number(row, "length").div_ceil(page), "{row}");
        (number(row, "offset") / page, number(row, "pages"), row["state"].as_str().unwrap().to_owned())
    };
    rows.iter().map(read).collect()
}

fn expected(list: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
    list.iter().map(|(first, count, state)| (*first, *count, (*state).to_owned())).collect()
}

#[test]
fn on_tmpfs_uncached_pages_are_holes() {
    let known = known_file(&memory(), 20 * page_size().bytes(), runs(&[(3, 2), (10, 5)]));
    let path = known.file.path().to_str().unwrap();
    let all = [(0, 3, "hole"), (3, 2, "cached"), (5, 5, "hole"), (10, 5, "cached"), (15, 5, "hole")];
    assert_eq!(stretches(&[path]), expected(&all));
    let range = format!("--range={},{}", 4 * page_size().bytes(), 7 * page_size().bytes());
    assert_eq!(stretches(&[&range, path]), expected(&[(4, 1, "cached"), (5, 5, "hole"), (10, 1, "cached")]));
}

/// A file of 12 pages on a disk: data in pages 2 to 4 and 8, holes elsewhere; no page is cached or dirty.
fn cold_file_with_holes(folder: &Path) -> std::path::PathBuf {
    let page = page_size().bytes();
    let path = folder.join("holes");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(12 * page).unwrap();
    file.write_all_at(&vec![1; 3 * page as usize], 2 * page).unwrap();
    file.write_all_at(&[1], 8 * page).unwrap();
    file.sync_all().unwrap();
    path
}

#[test]
fn on_disk_uncached_data_holes_and_cached_holes_are_distinguished() {
    let folder = disk();
    let path = cold_file_with_holes(folder.path());
    let page = page_size().bytes();
    let file = std::fs::File::open(&path).unwrap();
    rmap(["evict", path.to_str().unwrap()]).parts();
    // One page of data and one of a hole, locked so that they stay cached.
    let hold = |index: u64| {
        let map = MmapOptions::new().offset(index * page).len(page as usize).map_raw_read_only(&file).unwrap();
        map.advise(Advice::Random).unwrap();
        map.lock().map(|()| map)
    };
    let (Ok(_data), Ok(_hole)) = (hold(3), hold(10)) else {
        eprintln!("SKIPPED: cannot lock two pages");
        return;
    };
    let all = [
        (0, 2, "hole"),
        (2, 1, "data"),
        (3, 1, "cached"),
        (4, 1, "data"),
        (5, 3, "hole"),
        (8, 1, "data"),
        (9, 1, "hole"),
        (10, 1, "cached hole"),
        (11, 1, "hole"),
    ];
    assert_eq!(stretches(&[path.to_str().unwrap()]), expected(&all));
}

#[test]
fn the_last_row_ends_with_the_file_and_an_empty_file_has_none() {
    let page = page_size().bytes();
    let known = known_file(&memory(), 2 * page + 5, runs(&[(2, 1)]));
    let rows = rmap(["pcstat", "--runs", "--jsonl", known.file.path().to_str().unwrap()]).good().lines_of_json();
    assert_eq!((rows[1]["length"].as_u64(), rows[1]["state"].as_str()), (Some(5), Some("cached")));
    let empty = known_file(&memory(), 0, runs(&[]));
    assert_eq!(stretches(&[empty.file.path().to_str().unwrap()]), []);
}

#[test]
fn every_format_has_the_same_rows() {
    let known = known_file(&memory(), 3 * page_size().bytes(), runs(&[(1, 1)]));
    let path = known.file.path().to_str().unwrap();
    let (_, table, _) = rmap(["pcstat", "--runs", path]).parts();
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["Offset", "Length", "Pages", "State", "Name", "Note"]);
    assert_eq!((words[2][3], words[2][4], words.len()), ("cached", path, 4));
    let (_, json, _) = rmap(["pcstat", "--runs", "--json", path]).parts();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
    let (_, csv, _) = rmap(["pcstat", "--runs", "--csv", "-o", "pages,state", path]).parts();
    assert_eq!(csv, "pages,state\r\n1,hole\r\n1,cached\r\n1,hole\r\n");
}

#[test]
fn a_huge_sparse_file_needs_few_rows_and_little_memory() {
    let page = page_size().bytes();
    let huge = known_file(&memory(), 1 << 40, runs(&[((1 << 39) / page, 1)]));
    let stretches = stretches(&[huge.file.path().to_str().unwrap()]);
    assert_eq!(stretches.iter().map(|row| row.2.as_str()).collect::<Vec<_>>(), ["hole", "cached", "hole"]);

    let large = known_file(&memory(), 1 << 30, runs(&[(0, 1)]));
    let script = "\"$0\" pcstat --json --pps \"$1\" | wc -c";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_rmap"), large.file.path().to_str().unwrap()])
        .output()
        .unwrap();
    let bytes: u64 = String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    assert!(bytes > (1 << 30) / page * 5, "the array of all pages must be longer than {bytes} bytes");
    let peak = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    assert!(peak < 64 << 10, "{peak} KiB at the most for 262,144 pages");
}

#[test]
fn the_status_of_a_range_has_one_entry_per_page_of_the_range() {
    let page = page_size().bytes();
    let cached = [(0, 3), (10, 1), (12, 5), (63, 1)];
    let known = known_file(&memory(), 63 * page + 7, runs(&cached));
    let is_cached = |index: u64| cached.iter().any(|(first, count)| (*first..first + count).contains(&index));
    let path = known.file.path().to_str().unwrap();
    for (first, count) in
        [(0, 64), (0, 1), (1, 2), (2, 9), (3, 7), (10, 3), (13, 2), (17, 46), (20, 30), (60, 4), (64, 9)]
    {
        let range = format!("--range={},{}", first * page, count * page);
        let run = rmap(["pcstat", "--json", "--pps", &range, path]);
        assert_eq!((run.status, run.err.is_empty()), (Some(0), first < 64), "{run:?}");
        let row = &run.json()[0];
        let status: Vec<bool> = serde_json::from_value(row["status"].clone()).unwrap();
        let truth: Vec<bool> = (first..(first + count).min(64)).map(is_cached).collect();
        assert_eq!((&row["pages"], status), (&truth.len().into(), truth), "{range}");
    }
}
