//! `rmap warm`, `rmap evict`, `rmap lock`: their output, and their effect on the files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "engine/known.rs"]
#[allow(dead_code, reason = "shared with the tests of the engine")]
mod known;

use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::known::page_size;
use common::{NOBODY, Running, command, copy_to_run, rmap, run, shell};
use known::{disk, known_file, locked_file, memory, runs};
use memmap2::{Advice, MmapOptions};
use nix::fcntl::{SpliceFFlags, splice};
use nix::sys::signal::Signal;
use rmap::control::{Room, evict, lock, warm};
use rmap::join::who::MapperSearch;
use rmap::pagecache::{Engine, OpenFile};
use rmap::process::ProcRoot;
use rmap::units::{ByteRange, Bytes, Pages};
use serde_json::Value;

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// The one row of `rmap ACTION --jsonl ARGS...`, and the exit status.
fn done(action: &str, args: &[&str]) -> (i32, Value) {
    let run = rmap([&[action, "--jsonl"], args].concat());
    let rows = run.lines_of_json();
    assert_eq!(rows.len(), 1, "{action} {args:?}");
    (run.status.unwrap(), rows[0].clone())
}

/// A file on a disk with data in these pages and holes elsewhere, all written to the disk.
fn file_with_data(folder: &Path, pages: u64, data: &[(u64, u64)]) -> PathBuf {
    let page = page_size().bytes();
    let path = folder.join("file");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(pages * page).unwrap();
    for (first, count) in data {
        file.write_all_at(&vec![7; (count * page) as usize], first * page).unwrap();
    }
    file.sync_all().unwrap();
    path
}

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Repeats warming until the kernel, which may reclaim clean pages at any time, keeps them for a moment.
fn warmed(args: &[&str], path: &str) -> (i32, Value) {
    for _ in 0..20 {
        done("evict", &[path]);
        let (status, row) = done("warm", &[args, &[path]].concat());
        assert_eq!(status == 0, number(&row, "left_pages") == 0, "{row}");
        if status == 0 {
            return (status, row);
        }
    }
    panic!("the kernel drops pages as soon as they are read");
}

#[test]
fn evicting_writes_dirty_pages_to_disk_and_drops_them() {
    let folder = disk();
    let known = known_file(folder.path(), 100 * page_size().bytes(), runs(&[(10, 40)]));
    let path = known.file.path().to_str().unwrap();
    let (status, row) = done("evict", &[path]);
    assert_eq!((status, number(&row, "before_pages"), number(&row, "after_pages")), (0, 40, 0), "{row}");
    assert_eq!((number(&row, "left_pages"), &row["why"]), (0, &Value::Null));
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.iter().filter(|byte| **byte == 7).count() as u64, 40 * page_size().bytes());
}

#[test]
fn evicting_a_range_does_not_affect_the_rest() {
    let folder = disk();
    let Some(known) = locked_file(folder.path(), 100 * page_size().bytes(), runs(&[(0, 4), (60, 3)])) else { return };
    let path = known.file.path().to_str().unwrap();
    let page = page_size().bytes();
    let (status, row) = done("evict", &[&format!("--range={},{}", 20 * page, 30 * page), path]);
    assert_eq!((status, number(&row, "pages"), number(&row, "before_pages")), (0, 30, 0), "{row}");
    let (_, row) = done("evict", &[&format!("--range={}", 50 * page), path]);
    assert_eq!((number(&row, "pages"), number(&row, "left_locked_pages")), (50, 3), "{row}");
}

#[test]
fn locked_pages_stay_and_the_row_names_who_locked_them() {
    let folder = disk();
    let Some(known) = locked_file(folder.path(), 20 * page_size().bytes(), runs(&[(0, 5), (9, 2)])) else { return };
    let (status, row) = done("evict", &[known.file.path().to_str().unwrap()]);
    assert_eq!(status, 1);
    assert_eq!((number(&row, "left_pages"), number(&row, "left_locked_pages")), (7, 7), "{row}");
    let why = row["why"].as_str().unwrap();
    assert!(why.starts_with(&format!("7 pages (28K) locked by pid {} (", std::process::id())), "{why}");
}

#[test]
fn mapped_pages_stay_and_the_row_names_who_maps_them() {
    let folder = disk();
    let path = file_with_data(folder.path(), 10, &[(0, 10)]);
    let file = std::fs::File::open(&path).unwrap();
    let page = page_size().bytes();
    let map = MmapOptions::new().offset(2 * page).len(3 * page as usize).map_raw_read_only(&file).unwrap();
    map.advise(Advice::PopulateRead).unwrap();
    let (status, row) = done("evict", &[path.to_str().unwrap()]);
    assert_eq!(status, 1);
    assert_eq!((number(&row, "left_mapped_pages"), number(&row, "left_locked_pages")), (3, 0), "{row}");
    let why = row["why"].as_str().unwrap();
    assert!(why.contains(&format!("mapped by pid {} (", std::process::id())), "{why}");
    // Other pages that stayed are in a large folio with them, which cannot be proven, so they are unknown.
    assert_eq!(number(&row, "left_unknown_pages"), number(&row, "left_pages") - 3, "{row}");
    drop(map);
    assert_eq!(done("evict", &[path.to_str().unwrap()]).0, 0);
}

#[test]
fn if_many_processes_hold_pages_the_row_says_what_names_all_of_them() {
    let folder = disk();
    let path = file_with_data(folder.path(), 4, &[(0, 4)]);
    let path = path.to_str().unwrap();
    let holders: Vec<Running> = std::iter::repeat_with(|| Running::start(command(["lock", "--jsonl", path])))
        .map(|mut running| {
            running.row();
            running
        })
        .take(5)
        .collect();
    let (_, row) = done("evict", &[path]);
    let why = row["why"].as_str().unwrap();
    assert!(why.contains(" and 2 more, which `rmap who` names"), "{why}");
    holders.into_iter().for_each(|running| assert_eq!(running.end(Signal::SIGINT).0, Some(0)));
}

#[test]
fn private_copies_of_pages_do_not_count_as_mapped() {
    let folder = disk();
    let path = file_with_data(folder.path(), 4, &[(0, 4)]);
    let file = std::fs::File::open(&path).unwrap();
    // Written through a private mapping: the process has pages there, but none of them belongs to the file.
    let copy = MmapOptions::new().map_copy_of(&file);
    let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
    let own = rmap::process::Process::own().unwrap();
    let mappings = own.read_mappings_of_inode(inode).unwrap();
    assert_eq!(mappings.len(), 1);
    assert_eq!(mappings[0].read_present_pages(&own, page_size()).unwrap(), []);
    let (status, row) = done("evict", &[path.to_str().unwrap()]);
    assert_eq!((status, number(&row, "left_mapped_pages")), (0, 0), "{row}");
    drop(copy);
}

trait CopyOf {
    /// A private writable mapping whose pages have all been copied.
    fn map_copy_of(&self, file: &std::fs::File) -> memmap2::MmapRaw;
}

impl CopyOf for MmapOptions {
    fn map_copy_of(&self, file: &std::fs::File) -> memmap2::MmapRaw {
        #[allow(unsafe_code, reason = "a private mapping of a file that only this test has")]
        // SAFETY: nothing else writes to the file or truncates it.
        let map = unsafe { self.map_copy(file) }.unwrap();
        map.advise(Advice::PopulateWrite).unwrap();
        map.into()
    }
}

#[test]
fn on_tmpfs_nothing_can_be_dropped_and_the_row_says_so() {
    let known = known_file(&memory(), 10 * page_size().bytes(), runs(&[(0, 4)]));
    let (status, row) = done("evict", &[known.file.path().to_str().unwrap()]);
    assert_eq!((status, number(&row, "left_pages"), number(&row, "left_memory_pages")), (1, 4, 4), "{row}");
    assert_eq!(row["why"], "its file system keeps files only in the page cache");
}

#[test]
fn a_file_of_another_user_is_denied_and_unchanged() {
    if !is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let Ok(folder) = tempfile::tempdir_in("/var/tmp") else {
        eprintln!("SKIPPED: there is no /var/tmp");
        return;
    };
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let Some(known) = locked_file(folder.path(), 8 * page_size().bytes(), runs(&[(0, 8)])) else { return };
    known.file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).unwrap();
    // Other users cannot access the program, so it is copied next to the file.
    let program = folder.path().join("rmap");
    copy_to_run(common::program(), &program);
    for action in ["evict", "lock"] {
        let mut command = std::process::Command::new(&program);
        command.args([action, "--no-header"]).arg(known.file.path()).uid(NOBODY).gid(NOBODY);
        let (status, out, err) = run(command).parts();
        if status == 0 {
            eprintln!("SKIPPED: cachestat on this kernel reports to any user (before 6.12.12)");
            return;
        }
        assert_eq!((status, out.as_str()), (1, ""));
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains("denied") && err.contains("nothing was done; run as root, or as the user who"), "{err}");
    }
}

#[test]
fn a_file_of_another_user_is_warmed_although_its_cached_pages_are_not_known() {
    let Ok(folder) = tempfile::tempdir_in("/var/tmp") else { return };
    if !is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = file_with_data(folder.path(), 100, &[(0, 100)]);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    rmap(["evict", path.to_str().unwrap()]);
    let program = folder.path().join("rmap");
    copy_to_run(common::program(), &program);
    let mut command = std::process::Command::new(&program);
    command.args(["warm", "--json"]).arg(&path).uid(NOBODY).gid(NOBODY);
    let run = run(command);
    if run.status == Some(0) {
        eprintln!("SKIPPED: cachestat on this kernel reports to any user (before 6.12.12)");
        return;
    }
    let row = run.json()[0].clone();
    assert!(row["before_pages"].is_null() && row["after_pages"].is_null() && row["absent"].is_object(), "{row}");
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{}", run.err);
    assert!(run.err.contains("denied") && run.err.trim_end().ends_with("; the data was read"), "{}", run.err);
    let now = rmap(["pcstat", "--json", path.to_str().unwrap()]).rows()[0].clone();
    assert!(now["cached"].as_u64().unwrap() > 0, "{now}");
}

#[test]
fn a_file_on_tmpfs_of_another_user_is_known_to_be_in_memory() {
    let folder = memory();
    if !is_root() {
        return eprintln!("SKIPPED: only root can become another user");
    }
    let path = folder.join("whole");
    std::fs::write(&path, vec![1; 3 * page_size().bytes() as usize]).unwrap();
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("rmap");
    copy_to_run(common::program(), &program);
    let mut rows = Vec::new();
    for options in [&["pcstat"][..], &["evict", "--dry-run"], &["warm", "--dry-run"], &["warm"]] {
        let mut command = std::process::Command::new(&program);
        command.args(options).arg("--json").arg(&path).uid(NOBODY).gid(NOBODY);
        rows.push(run(command).json()[0].clone());
    }
    std::fs::remove_file(&path).unwrap();
    if rows[0]["cached"].is_null() {
        return eprintln!("SKIPPED: there is swap here, so the pages may be in it");
    }
    assert_eq!(rows.iter().map(|row| &row["before_pages"]).collect::<Vec<_>>()[1..], [3, 3, 3]);
    assert_eq!((&rows[2]["planned_pages"], &rows[3]["after_pages"]), (&0.into(), &3.into()));
}

#[test]
fn warming_reads_uncached_data_but_no_holes() {
    let folder = disk();
    let path = file_with_data(folder.path(), 1000, &[(3, 20), (500, 300)]);
    let path = path.to_str().unwrap();
    let (_, row) = warmed(&[], path);
    assert_eq!((number(&row, "after_pages"), number(&row, "hole_pages")), (320, 680), "{row}");
    let page = page_size().bytes();
    let (_, row) = warmed(&[&format!("--range={},{}", 510 * page, 7 * page)], path);
    assert_eq!((number(&row, "pages"), number(&row, "after_pages")), (7, 7), "{row}");
    // Reading cached nothing around the range, except for a folio that contains a part of it.
    let (_, all) = done("evict", &[path]);
    assert!(number(&all, "before_pages") < 7 + 64, "{all}");
}

#[test]
fn warming_again_changes_neither_pages_nor_the_access_time() {
    let folder = disk();
    let path = file_with_data(folder.path(), 8, &[(0, 8)]);
    let seen = || std::fs::metadata(&path).unwrap().accessed().unwrap();
    let before = seen();
    let (_, row) = warmed(&[], path.to_str().unwrap());
    assert_eq!(number(&row, "after_pages"), 8);
    let (_, again) = done("warm", &[path.to_str().unwrap()]);
    assert_eq!(number(&again, "after_pages"), 8, "{again}");
    assert_eq!(seen(), before);
}

#[test]
fn warming_a_sparse_file_of_1_tib_reads_only_its_data() {
    let folder = disk();
    let pages = (1 << 40) / page_size().bytes();
    let path = file_with_data(folder.path(), pages, &[(pages / 2, 10)]);
    let (_, row) = warmed(&[], path.to_str().unwrap());
    assert_eq!((number(&row, "after_pages"), number(&row, "hole_pages")), (10, pages - 10), "{row}");
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_would_be_done() {
    let folder = disk();
    let page = page_size().bytes();
    let known = known_file(folder.path(), 100 * page, runs(&[(10, 40)]));
    let path = known.file.path().to_str().unwrap();
    let cached = || number(&rmap(["pcstat", "--json", path]).good().rows()[0], "cached");
    let map = MmapOptions::new().offset(20 * page).len(3 * page as usize).map_raw_read_only(known.file.as_file());
    let map = map.unwrap();
    map.advise(Advice::PopulateRead).unwrap();
    let (status, row) = done("evict", &["--dry-run", path]);
    let figures = ["before_pages", "planned_pages", "left_pages", "left_mapped_pages"].map(|key| number(&row, key));
    assert_eq!((status, figures), (0, [40, 37, 3, 3]), "{row}");
    assert!(row["after_pages"].is_null(), "{row}");
    assert!(row["absent"]["after_pages"].as_str().unwrap().contains("dry run"), "{row}");
    assert!(
        row["why"].as_str().unwrap().starts_with(&format!("3 pages (12K) mapped by pid {} (", std::process::id())),
        "{row}"
    );
    assert_eq!(cached(), 40, "nothing was dropped");
    drop(map);
    assert_eq!(done("evict", &[path]).0, 0);

    let (status, row) = done("warm", &["--dry-run", "--range", &format!("0,{}", 50 * page), path]);
    let figures = ["pages", "before_pages", "planned_pages", "hole_pages"].map(|key| number(&row, key));
    assert_eq!((status, figures, cached()), (0, [50, 0, 40, 10], 0), "nothing was read: {row}");
    assert!(row.get("unseen_processes").is_none(), "no process keeps pages from being read: {row}");

    let listed = rmap(["evict", "--dry-run", "--csv", "-o", "path,size", path]).good().text();
    assert_eq!(listed, format!("path,size\r\n{path},{}\r\n", 100 * page));

    let table = rmap(["evict", "--dry-run", path]).good().text();
    assert!(table.contains("To do") && !table.contains("After"), "{table}");
    let kept = known_file(&memory(), page, runs(&[(0, 1)]));
    let (status, row) = done("evict", &["--dry-run", kept.file.path().to_str().unwrap()]);
    assert_eq!((status, number(&row, "planned_pages"), number(&row, "left_memory_pages")), (0, 0, 1), "{row}");
    let unseen = (&row["unseen_processes"], &row["absent"]["unseen_processes"]);
    assert_eq!(unseen, (&Value::Null, &"not applicable: no process was inspected".into()), "{row}");
    assert!(done("evict", &[path]).1.get("planned_pages").is_none());
    assert_eq!(rmap(["lock", "--dry-run", path]).status, Some(2));
}

#[test]
fn a_dry_run_says_what_it_cannot_see() {
    let Ok(folder) = tempfile::tempdir_in("/var/tmp") else { return };
    if !is_root() {
        return eprintln!("SKIPPED: only root can become another user");
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let known = known_file(folder.path(), 8 * page_size().bytes(), runs(&[(0, 8)]));
    std::os::unix::fs::chown(known.file.path(), Some(NOBODY), None).unwrap();
    let program = folder.path().join("rmap");
    copy_to_run(common::program(), &program);
    let mut command = std::process::Command::new(&program);
    command.args(["evict", "--dry-run", "--json"]).arg(known.file.path()).uid(NOBODY).gid(NOBODY);
    let row = run(command).json()[0].clone();
    let why = row["why"].as_str().unwrap();
    assert!(why.starts_with("perhaps more: ") && why.ends_with("could not be inspected: run as root"), "{row}");
    assert!(number(&row, "unseen_processes") > 0, "{row}");
    // Several holders, with the pages of each.
    let path = known.file.path().to_str().unwrap();
    let holder = common::Subject::start([format!("shared:{path}:8:8")]);
    let map = MmapOptions::new().map_raw_read_only(known.file.as_file()).unwrap();
    map.advise(Advice::PopulateRead).unwrap();
    let (_, row) = done("evict", &["--dry-run", path]);
    let why = row["why"].as_str().unwrap();
    assert!(why.contains(&format!("pid {} (subject: 8)", holder.pid())), "{row}");
    assert!(why.contains(&format!("pid {} (", std::process::id())) && why.contains(": 8)"), "{row}");
    // A locked page belongs to the process that has locked it, and to none of the others.
    let page = page_size().bytes() as usize;
    let locked = MmapOptions::new().len(page).map_raw_read_only(known.file.as_file()).unwrap();
    locked.lock().unwrap();
    let (_, row) = done("evict", &["--dry-run", path]);
    let (one, seven) = row["why"].as_str().unwrap().split_once("; ").unwrap();
    assert!(one.starts_with("1 page (") && one.contains(&format!("locked by pid {} (", std::process::id())), "{row}");
    assert!(!one.contains(": ") && seven.starts_with("7 pages (") && seven.matches(": 7)").count() == 2, "{row}");
}

#[test]
fn several_files_have_a_total_even_if_one_is_missing() {
    let folder = disk();
    let path = file_with_data(folder.path(), 4, &[(0, 4)]);
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let args = ["evict", "--total", "/no/such", path.to_str().unwrap(), empty.to_str().unwrap()];
    let (status, out, err) = rmap(args).parts();
    assert_eq!((status, err.as_str()), (1, "rmap: /no/such: no such file\n"));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert!(lines[3].contains("total"), "{out}");
}

#[test]
fn lock_holds_pages_until_it_ends_and_evict_names_it() {
    let folder = disk();
    let path = file_with_data(folder.path(), 12, &[(0, 3), (9, 3)]);
    let path = path.to_str().unwrap();
    let mut running = Running::start({
        let mut command = command(["lock", "--jsonl", path]);
        command.stderr(std::process::Stdio::piped());
        command
    });
    let row = running.row();
    assert_eq!(number(&row, "locked"), 6 * page_size().bytes(), "{row}");
    assert_eq!((number(&row, "after_pages"), number(&row, "hole_pages")), (6, 6), "{row}");
    let (status, left) = done("evict", &[path]);
    assert_eq!((status, number(&left, "left_locked_pages")), (1, 6), "{left}");
    let why = left["why"].as_str().unwrap();
    assert!(why.contains(&format!("locked by pid {} (", running.pid())), "{why}");
    assert_eq!(running.end(Signal::SIGINT), (Some(0), String::new()));
    assert_eq!(done("evict", &[path]).0, 0);
}

/// Continues `times` times.
fn ends_after(times: u32) -> impl FnMut() -> ControlFlow<()> {
    let mut left = times;
    move || {
        let flow = if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        left = left.saturating_sub(1);
        flow
    }
}

#[test]
fn a_signal_ends_the_work_within_one_file() {
    let folder = disk();
    let pages = (48 << 20) / page_size().bytes();
    let path = file_with_data(folder.path(), pages, &[(0, pages)]);
    let (engine, root, all) = (Engine::detect(), ProcRoot::live(), ByteRange::ALL);
    let open = || OpenFile::open(&path).unwrap();
    let room = || Room::read(&root).unwrap();

    done("evict", &[path.to_str().unwrap()]);
    let mut go_on = ends_after(3);
    let warmed = warm(&engine, &mut room(), &open(), all, |_, _| go_on()).unwrap();
    assert!(warmed.left.pages > Pages(0) && !warmed.is_complete(), "{warmed:?}");
    assert!(warmed.left.why.ends_with("were not read: interrupted"), "{}", warmed.left.why);

    assert!(lock(&engine, &mut room(), Bytes(0), &open(), all, ends_after(1)).unwrap().is_none());
    let status = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mapping = status.split("\n").find(|line| line.ends_with(path.to_str().unwrap()));
    assert_eq!(mapping, None, "it is still mapped");

    // Dirty pages: rmap writes back only the first portion.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&vec![8; 40 << 20], 0).unwrap();
    let evicted = evict(&engine, &mut MapperSearch::new(&root), &open(), all, ends_after(2)).unwrap();
    let why = &evicted.left.why;
    let is_clean = evicted.before.dirty().is_ok_and(|dirty| dirty == Pages(0));
    assert!(is_clean || why.ends_with("were not dropped: interrupted"), "{why}");
}

#[test]
fn an_interruption_is_said_whichever_try_it_ends() {
    let folder = disk();
    let path = file_with_data(folder.path(), 4, &[(0, 4)]);
    // The pipe has the pages themselves, so that they cannot be dropped, and nothing tells why.
    let (_reader, writer) = std::io::pipe().unwrap();
    let file = std::fs::File::open(&path).unwrap();
    splice(&file, None, &writer, None, 1 << 20, SpliceFFlags::empty()).unwrap();
    let (engine, root, all) = (Engine::detect(), ProcRoot::live(), ByteRange::ALL);
    let evicted = |times| {
        let (mut go_on, mut calls) = (ends_after(times), 0);
        let counted = || {
            calls += 1;
            go_on()
        };
        let file = OpenFile::open(&path).unwrap();
        (evict(&engine, &mut MapperSearch::new(&root), &file, all, counted).unwrap(), calls)
    };
    let (whole, calls) = evicted(u32::MAX);
    assert_eq!((whole.left.unknown, whole.left.pages), (Pages(4), Pages(4)), "{whole:?}");
    assert!(calls > 2, "{calls}: there were no late tries");
    for times in 0..calls {
        let (ended, _) = evicted(times);
        assert_eq!(ended.left.why, "4 pages were not dropped: interrupted", "{times} of {calls}");
    }
}

/// Waits until all threads of a process have been asleep for a while.
fn wait_until_idle(pid: u32) {
    let is_asleep = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|state| state.starts_with(" S"))
    };
    let mut looks = 0;
    while looks < 15 {
        std::thread::sleep(Duration::from_millis(20));
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        looks = if tasks.flatten().all(is_asleep) { looks + 1 } else { 0 };
    }
}

#[test]
fn a_signal_ends_lock_before_it_reports_locked_memory() {
    let folder = disk();
    let path = file_with_data(folder.path(), 4, &[(0, 4)]);
    for (signal, expected) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        for action in ["lock", "warm", "evict"] {
            let mut command = command([action, "--json", "--files-from", "-"]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut names = child.stdin.take().unwrap();
            writeln!(names, "{}", path.display()).unwrap();
            // It works on the file, then waits for more names. The row is still in a buffer: no output to wait for.
            wait_until_idle(child.id());
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
            std::thread::sleep(Duration::from_millis(150));
            drop(names);
            let output = child.wait_with_output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), err.as_str()), (Some(expected), ""), "{action}");
            let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(rows.as_array().unwrap().len(), 1, "{action}");
        }
    }
}

#[test]
fn locking_what_tmpfs_already_holds_needs_no_additional_memory() {
    let Some(known) = locked_file(&memory(), 8 * page_size().bytes(), runs(&[(0, 8)])) else { return };
    let open = OpenFile::open(known.file.path()).unwrap();
    let mut room = Room::of(Bytes(0));
    let locked = lock(&Engine::detect(), &mut room, Bytes(0), &open, ByteRange::ALL, || ControlFlow::Continue(()));
    assert_eq!(locked.unwrap().unwrap().0.held(), Pages(8).bytes(page_size()));
}

#[test]
fn the_limit_on_locked_memory_is_reported_with_advice() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap_or_else(|_| disk());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = file_with_data(folder.path(), 64, &[(0, 64)]);
    let program = folder.path().join("rmap");
    copy_to_run(common::program(), &program);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -l 16; exec \"$0\" lock \"$1\""]).arg(&program).arg(&path);
    if is_root() {
        // Root has CAP_IPC_LOCK, which has no limit.
        std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        shell.uid(NOBODY).gid(NOBODY);
    }
    let (status, _, err) = run(shell).parts();
    assert_eq!(status, 1, "{err}");
    assert!(
        err.contains("would exceed the limit for locked memory, 16K (RLIMIT_MEMLOCK); raise it with 'ulimit -l'"),
        "{err}"
    );
}

#[test]
fn a_broken_pipe_ends_the_output_but_not_the_work() {
    let folder = disk();
    for number in 0..400 {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, vec![1; page_size().bytes() as usize]).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        file.sync_all().unwrap();
    }
    let tree = folder.path().to_str().unwrap();
    rmap(["evict", "-R", tree]);
    let cached = || {
        let summary = rmap(["pcstat", "-R", "--summary", "--json", tree]);
        summary.json()[0]["cached"].as_u64().unwrap()
    };
    let before = cached();
    // Each row has about 700 bytes, so the pipe breaks after the first hundred rows.
    let run = shell("rmap warm -R --jsonl \"$1\" | head -1 | wc -l; exit ${PIPESTATUS[0]}", &[tree.as_ref()]);
    assert_eq!((run.text().trim(), run.err.as_str(), run.status), ("1", "", Some(0)));
    // Some may be reclaimed again at any time.
    assert!(before < 200 && cached() > 350, "{before} before, {} now", cached());
}

/// A pipe that nobody reads any more.
fn closed_pipe() -> Stdio {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_closed_pipe_ends_a_report_and_not_what_is_held() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    for name in ["a", "b"] {
        std::fs::write(folder.path().join(name), vec![1; 1 << 20]).unwrap();
    }
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name).display().to_string());
    let file = folder.path().join("demo").display().to_string();
    let works =
        [&["lock", &a, &b][..], &["lock", "--json", &a, &b], &["demo", "--hold", "--size", "1M", "--file", &file]];
    for work in works {
        let mut command = command(work);
        let mut child = command.stdin(Stdio::null()).stdout(closed_pipe()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("until Ctrl-C") {
            line.clear();
            let length = std::io::BufRead::read_line(&mut said, &mut line).unwrap();
            assert!(length > 0, "{work:?} ends");
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let locked = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
        assert_eq!(locked.contains(" 2048 kB"), work[0] == "lock", "{work:?}: {locked}");
        if work[0] == "demo" {
            // All of it is filled, though nobody has read a row.
            let held = rmap(["pcstat", "--jsonl", &file]).lines_of_json()[0]["cached"].clone();
            assert_eq!(held, (1 << 20) / page_size().bytes(), "{work:?}");
        }
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{work:?}");
    }
    assert!(!Path::new(&file).exists());
}
