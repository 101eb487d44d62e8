//! Files that change all the time while they are read.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use memmap2::MmapOptions;
use nix::fcntl::PosixFadviseAdvice;
use serde_json::Value;

use crate::common::{disk, known_file, memory, page};
use crate::{answer, assert_locked, bytes, has_lists};

/// The most pages that a file of the storm has.
const PAGES: u64 = 512;

/// How many files there are in a directory; the last two of them are removed again and again.
const FILES: u64 = 6;

/// Creates, writes, cuts, maps, evicts and removes files, until told to stop.
fn blow(folder: &Path, seed: u64, stop: &AtomicBool) {
    let data = vec![7; (64 * page()) as usize];
    let mut state = seed;
    let mut number = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let names: Vec<_> = (0..FILES).map(|file| folder.join(format!("storm {file}"))).collect();
    let open = |path: &Path| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    let mut files: Vec<File> = names.iter().map(|path| open(path)).collect();
    while !stop.load(Ordering::Relaxed) {
        let mut place = number(FILES) as usize;
        let file = &files[place];
        match number(14) {
            0..=5 => {
                let length = 1 + number(64 * page());
                let _ = file.write_all_at(&data[..length as usize], number((PAGES - 64) * page()));
            }
            6 => file.set_len(number(PAGES * page())).unwrap(),
            7 => file.set_len(0).unwrap(),
            8 => {
                let _ = nix::fcntl::posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
            }
            9..=10 => {
                // Populating a mapping never raises a signal, also past the end of the file.
                let length = (PAGES * page()) as usize;
                drop(MmapOptions::new().len(length).populate().map_raw_read_only(file));
            }
            _ => {
                // The old file is deleted and still open for a moment.
                place = (FILES - 1 - number(2)) as usize;
                fs::remove_file(&names[place]).unwrap();
                files[place] = open(&names[place]);
            }
        }
    }
}

/// The kernel log from now on; `None` if it cannot be read here.
fn kernel_log() -> Option<File> {
    let flags = nix::libc::O_NONBLOCK;
    let mut log = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg").ok()?;
    log.seek(SeekFrom::End(0)).ok()?;
    Some(log)
}

/// What was added to it: a read gives one record.
fn added_to(log: &mut File) -> Vec<String> {
    let mut records = Vec::new();
    let mut record = [0; 8192];
    while let Ok(length @ 1..) = log.read(&mut record) {
        records.push(String::from_utf8_lossy(&record[..length]).into_owned());
    }
    records
}

/// That a row of a file of the storm is possible, or says that it is not exact.
fn assert_possible(row: &Value) {
    let most = PAGES * page();
    assert!(row["size"].as_u64().is_some_and(|size| size <= most), "{row}");
    // The kernel may keep a page or a large folio past the end, but nothing was ever written there.
    assert!(bytes(row, "cached") <= most, "{row}");
    let percent = row["percent"].as_f64();
    assert!(percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)), "{row}");
    assert!(percent.is_some() || row["absent"]["percent"].is_string(), "{row}");
    let states = ["dirty", "active", "mapped", "unmapped", "locked", "unevictable", "not_up_to_date", "writeback"];
    for key in states {
        match row[key].as_u64() {
            Some(figure) => assert!(figure <= bytes(row, "cached") && figure % page() == 0, "{key}: {row}"),
            None => assert!(row[key].is_null() && row["absent"][key].is_string() && row["note"].is_string(), "{row}"),
        }
    }
    assert_eq!((row["locked"].as_u64().unwrap_or(0), row["unevictable"].as_u64().unwrap_or(0)), (0, 0), "{row}");
}

#[test]
fn a_storm_of_changes_leaves_no_wrong_row() {
    if !has_lists("a_storm_of_changes_leaves_no_wrong_row") {
        return;
    }
    let mut log = kernel_log();
    let folders = [disk(), memory()];
    let steady = folders.each_ref().map(|folder| known_file(&folder.path().join("steady"), PAGES * page(), &[(9, 33)]));
    let stop = AtomicBool::new(false);
    let (mut answers, mut rows_seen, mut inexact) = (0, 0, 0);
    std::thread::scope(|scope| {
        for (folder, seed) in folders.iter().zip([1, 2]) {
            let stop = &stop;
            scope.spawn(move || blow(folder.path(), seed, stop));
        }
        // However the test ends, the storm does.
        let calm = Calm(&stop);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(6) || answers < 3 {
            let found = answer([crate::MORE]);
            answers += 1;
            let is_of_storm = |path: &str| folders.iter().any(|folder| Path::new(path).starts_with(folder.path()));
            // What does not change is exact.
            for file in &steady {
                let row = found.row(&file.path);
                assert_eq!((bytes(row, "cached"), &row["note"]), (33 * page(), &Value::Null), "{row}");
                assert_eq!(bytes(row, "mapped"), 33 * page(), "{row}");
                assert_locked(row, 33 * page());
            }
            let is_of_storm = |path: &str| is_of_storm(path) && !path.ends_with("/steady");
            let rows: Vec<&Value> =
                found.rows.iter().filter(|row| is_of_storm(row["path"].as_str().unwrap())).collect();
            rows.iter().for_each(|row| assert_possible(row));
            let identities: HashSet<_> =
                rows.iter().map(|row| (row["device"].to_string(), bytes(row, "inode"))).collect();
            assert_eq!(identities.len(), rows.len(), "a file was listed twice: {rows:?}");
            rows_seen += rows.len();
            inexact += rows.iter().filter(|row| row["note"].is_string()).count();
            for line in &found.complaints {
                let known = ["changed while being read", "lists that changed", "they add up to", "not read in time"];
                assert!(known.iter().any(|part| line.contains(part)), "{line}");
            }
        }
        drop(calm);
    });
    println!("{answers} answers, {rows_seen} rows of the storm, {inexact} of them not exact");
    assert!(rows_seen > answers * 2, "little of the storm was seen");
    let Some(log) = &mut log else { return eprintln!("SKIPPED: the kernel log cannot be read here") };
    let bad = ["WARNING", "BUG", "Oops", "stall", "soft lockup", "general protection"];
    let said: Vec<String> =
        added_to(log).into_iter().filter(|line| bad.iter().any(|word| line.contains(word))).collect();
    assert_eq!(said, [] as [String; 0], "the kernel complained");
}

/// Ends the storm when it is dropped.
pub(crate) struct Calm<'s>(pub(crate) &'s AtomicBool);

impl Drop for Calm<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_length_of_a_file_is_that_of_the_instant_at_which_its_pages_were_read() {
    if !has_lists("the_length_of_a_file_is_that_of_the_instant_at_which_its_pages_were_read") {
        return;
    }
    let folder = memory();
    let data = vec![7; (60 * page()) as usize];
    let open = |number| File::create(folder.path().join(format!("changing {number}"))).unwrap();
    let files: Vec<File> = (0..200).map(open).collect();
    let stop = AtomicBool::new(false);
    let (mut rows, mut wrong) = (0, 0);
    std::thread::scope(|scope| {
        // Each file is 10 or 60 pages long, and all of them are cached.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                files.iter().for_each(|file| file.write_all_at(&data, 0).unwrap());
                files.iter().for_each(|file| file.set_len(10 * page()).unwrap());
            }
        });
        let calm = Calm(&stop);
        for _ in 0..8 {
            let found = answer([folder.path()]);
            rows += found.rows.len();
            wrong += found.rows.iter().filter(|row| row["note"].is_null() && row["cached"] != row["size"]).count();
        }
        drop(calm);
    });
    assert!(rows > 800, "only {rows} rows");
    assert_eq!(wrong, 0, "of {rows} rows have the pages of one instant and the length of another");
}

/// Creates files that have their length in their name and removes the oldest of them, until told to stop.
fn create_and_remove(folder: &Path, stop: &AtomicBool) {
    let data = vec![7; (8 * page()) as usize];
    let mut names = VecDeque::new();
    for number in 1_u64.. {
        let length = 1 + number * 7919 % (8 * page());
        names.push_back(folder.join(format!("{number} of {length}")));
        fs::write(&names[names.len() - 1], &data[..length as usize]).unwrap();
        if let Some(oldest) = (names.len() > 1000).then(|| names.pop_front()).flatten() {
            fs::remove_file(oldest).unwrap();
            // Some are to live until they are named.
            std::thread::sleep(Duration::from_millis(1));
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[test]
fn a_file_has_its_own_name_or_none_however_many_come_and_go() {
    if !has_lists("a_file_has_its_own_name_or_none_however_many_come_and_go") {
        return;
    }
    let folders = [disk(), memory()];
    let stop = AtomicBool::new(false);
    let (mut seen, mut wrong) = (0, Vec::new());
    std::thread::scope(|scope| {
        for folder in &folders {
            scope.spawn(|| create_and_remove(folder.path(), &stop));
        }
        let calm = Calm(&stop);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(6) || seen < 20 && start.elapsed() < Duration::from_secs(40) {
            for row in answer(["-o", "path,kind,size,cached,cgroup"]).rows {
                let path = row["path"].as_str().unwrap_or_default();
                let is_of_storm = folders.iter().any(|folder| path.contains(folder.path().to_str().unwrap()));
                let length = path.rsplit_once(" of ").and_then(|(_, length)| length.parse::<u64>().ok());
                seen += usize::from(is_of_storm);
                let is_longer = is_of_storm && length.is_some_and(|length| bytes(&row, "size") > length);
                // A file is not the root of its file system, and of what is not cached nobody is charged.
                let is_root = path.ends_with("] /") && row["kind"] != "metadata";
                if is_longer || is_root || row["cgroup"] == "" || row["cached"] == 0 {
                    wrong.push(row);
                }
            }
        }
        drop(calm);
    });
    assert!(seen >= 20, "little of the storm was seen: {seen} rows");
    assert!(wrong.is_empty(), "{} wrong rows, such as {}", wrong.len(), wrong[0]);
}
