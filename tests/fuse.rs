//! Files on FUSE: opening one drops its cached pages, of every process, so looking at them must not open them.
//!
//! Each test runs itself again in its own mount namespace.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use common::{SERVED_SIZE, Served, Subject, can_read_lists, has, has_cachestat, mounted_as, rmap, rmap_without_lists};
use serde_json::Value;

/// The resident set of the mappings of a file in a process, in pages.
fn mapped_in(subject: &Subject, path: &Path) -> u64 {
    let filter = format!("path == \"{}\"", path.display());
    let pid = subject.pid().to_string();
    let rows = rmap(["pid", &pid, "-o", "rss", "--filter", &filter, "--jsonl"]).lines_of_json();
    rows.iter().map(|row| row["rss"].as_u64().unwrap()).sum::<u64>() / common::page()
}

/// The rows of a run by name of the file.
fn row<'r>(rows: &'r [Value], key: &str, path: &Path) -> &'r Value {
    let is_it = |row: &&Value| row[key].as_str().is_some_and(|name| name == path.to_str().unwrap());
    rows.iter().find(is_it).unwrap_or_else(|| panic!("{path:?} is not in {rows:?}"))
}

#[test]
fn looking_at_a_file_on_fuse_keeps_its_cached_pages() {
    let Some(folder) = mounted_as("looking_at_a_file_on_fuse_keeps_its_cached_pages", "mkdir there") else { return };
    let there = folder.join("there");
    let Some(_served) = Served::mount(&there) else { return };
    if !has_cachestat() {
        return;
    }
    let (open, closed) = (there.join("a"), there.join("b"));
    let pages = SERVED_SIZE / common::page();
    let act = |how: &str, path: &Path| format!("{how}:{}:{pages}", path.display());
    let subject = Subject::start([act("view", &open), act("glance", &closed)]);
    let is_untouched = |what: &[&str]| {
        assert_eq!([&open, &closed].map(|path| mapped_in(&subject, path)), [pages; 2], "after {what:?}");
    };
    is_untouched(&[]);
    let (pid, names) = (subject.pid().to_string(), [open.to_str().unwrap(), closed.to_str().unwrap()]);
    let position = || std::fs::read_to_string(format!("/proc/{pid}/fdinfo/3")).unwrap();
    let before = position();
    let looks: [(&[&str], &str); 5] = [
        (&["pcstat", names[0], names[1]], "filename"),
        (&["pcstat", "-R", there.to_str().unwrap()], "filename"),
        (&["pcstat", "--pid", &pid], "filename"),
        (&["pcstat", "--pps", names[0], names[1]], "filename"),
        (&["pid", &pid, "--cache"], "path"),
    ];
    for (look, key) in looks {
        let Some(run) = rmap_without_lists([look, &["--jsonl"]].concat()) else { return };
        let (rows, in_process) = (run.lines_of_json(), key == "path");
        let (figure, unit) = if in_process { ("cache_cached", common::page()) } else { ("cached", 1) };
        assert_eq!(row(&rows, key, &open)[figure], pages * unit, "{look:?}: {run:?}");
        // It is only mapped: no process has a descriptor that could be asked.
        let unknown = row(&rows, key, &closed);
        let why = unknown["absent"][figure].as_str().unwrap();
        assert!(unknown[figure].is_null() && why.contains("would drop its cached pages (FUSE)"), "{unknown}");
        is_untouched(look);
    }
    for look in [&["pcstat", "--map"][..], &["pcstat", "--histo"], &["pcstat", "--runs"], &["pcstat", "--summary"]] {
        rmap([look, &names].concat());
        is_untouched(look);
        rmap_without_lists([look, &names].concat());
        is_untouched(look);
    }
    let run = rmap_without_lists(["pcstat", "--summary", "--jsonl", names[0], names[1]]).unwrap();
    assert_eq!((run.status, &run.lines_of_json()[0]["cached"]), (Some(1), &Value::from(pages)), "{run:?}");
    if can_read_lists("looking_at_a_file_on_fuse_keeps_its_cached_pages") {
        // The lists of pages know the one that nobody has open.
        for (look, key) in looks {
            let in_process = key == "path";
            let only: &[&str] = if in_process { &[] } else { &["--only-cached"] };
            let rows = rmap([look, only, &["--jsonl"]].concat()).good().lines_of_json();
            let (figure, by, unit) = match in_process {
                true => ("cache_cached", "cache_method", common::page()),
                false => ("cached", "method", 1),
            };
            for (path, method) in [(&open, "cachestat"), (&closed, "pages")] {
                let row = row(&rows, key, path);
                assert_eq!((&row[figure], &row[by]), (&(pages * unit).into(), &method.into()), "{look:?}: {row}");
            }
            is_untouched(look);
        }
        let tree = there.to_str().unwrap();
        for sum in [&["pcstat", "--summary", names[0], names[1]][..], &["pcstat", "-R", "--by-dir", "0", tree]] {
            let rows = rmap([sum, &["--jsonl"]].concat()).good().lines_of_json();
            assert_eq!((rows.len(), &rows[0]["cached"]), (1, &(2 * pages).into()));
            // The lists do not tell how recently pages were reclaimed.
            let note = rows[0]["note"].as_str().unwrap_or_default();
            assert!(note.starts_with("not all figures are known for "), "{rows:?}");
            is_untouched(sum);
        }
        let run = rmap(["pcstat", "--runs", names[1]]);
        assert!(run.status == Some(1) && run.err.contains("--runs has to open a file to find its holes"), "{run:?}");
    }
    for work in ["warm", "evict", "lock"] {
        let run = rmap([work, names[0], names[1]]);
        assert_eq!((run.status, run.complaints().len()), (Some(1), 2), "{run:?}");
        assert!(run.err.contains("is on FUSE, where opening it drops its cached pages"), "{run:?}");
        is_untouched(&[work]);
    }
    assert_eq!(position(), before, "the descriptor of the process was moved");

    // On request they are opened, whatever that does.
    let rows = rmap(["pcstat", "--open-fuse", "--json", names[0], names[1]]).rows();
    assert!(rows.iter().all(|row| row["cached"].is_u64()), "{rows:?}");
    let rows = rmap(["warm", "--open-fuse", "--json", names[1]]).rows();
    assert_eq!(rows[0]["after_pages"], pages, "{rows:?}");
}

#[test]
fn a_file_on_fuse_that_a_link_of_proc_leads_to_is_not_opened() {
    let name = "a_file_on_fuse_that_a_link_of_proc_leads_to_is_not_opened";
    let Some(folder) = mounted_as(name, "mkdir there") else { return };
    let there = folder.join("there");
    let Some(_served) = Served::mount(&there) else { return };
    if !has_cachestat() {
        return;
    }
    let (file, pages) = (there.join("a"), SERVED_SIZE / common::page());
    let subject = Subject::start([format!("view:{}:{pages}", file.display())]);
    let (pid, there) = (subject.word(), there.display());
    let elsewhere = |line: &str| format!("unshare -m sh -c 'umount {there}; {line}'");
    for line in [
        format!("rmap pcstat --jsonl /proc/{pid}/fd/3"),
        format!("cd {there}; rmap pcstat --jsonl /proc/self/cwd/a"),
        format!("rmap pcstat --jsonl /proc/{pid}/root{}", file.display()),
        format!("rmap pcstat --jsonl -R /proc/{pid}/root{there} --filter 'filename=~\"a$\"'"),
        // In a mount namespace that does not have it.
        elsewhere(&format!("rmap pcstat --jsonl /proc/{pid}/root{}", file.display())),
        elsewhere(&format!("rmap pcstat --jsonl /proc/{pid}/fd/3")),
        elsewhere(&format!("rmap pcstat --jsonl --pid {pid} --filter size=={SERVED_SIZE}")),
    ] {
        let run = common::shell(&line, &[]);
        let row = run.lines_of_json().first().cloned().unwrap_or_else(|| panic!("{line}: {run:?}"));
        assert_eq!(row["cached"], pages, "{line}: {row} {}", run.err);
        assert_eq!(mapped_in(&subject, &file), pages, "{line}");
    }
    for line in ["who", "evict --dry-run", "warm --dry-run"] {
        for line in [format!("rmap {line} /proc/{pid}/fd/3"), elsewhere(&format!("rmap {line} /proc/{pid}/fd/3"))] {
            common::shell(&line, &[]);
            assert_eq!(mapped_in(&subject, &file), pages, "{line}");
        }
    }
}

#[test]
fn a_server_that_does_not_know_statfs_has_its_files_measured() {
    let name = "a_server_that_does_not_know_statfs_has_its_files_measured";
    let Some(folder) = mounted_as(name, "mkdir there") else { return };
    let there = folder.join("there");
    const STATFS: u32 = 17;
    let Some(_served) = Served::mount_without(&there, STATFS) else { return };
    if !has_cachestat() {
        return;
    }
    let (path, pages) = (there.join("a"), SERVED_SIZE / common::page());
    let (file, folder) = (path.to_str().unwrap(), there.to_str().unwrap());
    let subject = Subject::start([format!("view:{file}:{pages}")]);
    let pid = subject.pid().to_string();
    let looks: [(&[&str], &str); 4] = [
        (&["pcstat", file], "filename"),
        (&["pcstat", "-R", folder], "filename"),
        (&["pcstat", "--pid", &pid], "filename"),
        (&["pid", &pid, "--cache"], "path"),
    ];
    for (look, key) in looks {
        let Some(run) = rmap_without_lists([look, &["--jsonl"]].concat()) else { return };
        let rows = run.lines_of_json();
        let (figure, unit) = if key == "path" { ("cache_cached", common::page()) } else { ("cached", 1) };
        assert_eq!(row(&rows, key, &path)[figure], pages * unit, "{look:?}: {run:?}");
    }
    assert_eq!(mapped_in(&subject, &path), pages);
    let run = rmap(["who", "--jsonl", file]);
    assert!(run.lines_of_json().iter().any(|row| row["pid"] == subject.pid()), "{run:?}");
    let run = rmap(["warm", "--open-fuse", "--jsonl", file]).good();
    assert_eq!(run.lines_of_json()[0]["after_pages"], pages, "{run:?}");
}

#[test]
fn bindfs_keeps_the_pages_of_a_file_that_is_looked_at() {
    let name = "bindfs_keeps_the_pages_of_a_file_that_is_looked_at";
    if !has("bindfs", "bindfs") || !has_cachestat() {
        return;
    }
    let Some(folder) = mounted_as(name, "mkdir below there; head -c 1M /dev/urandom > below/f") else { return };
    let there = folder.join("there");
    if !Command::new("bindfs").arg(folder.join("below")).arg(&there).status().unwrap().success() {
        eprintln!("SKIPPED: {name}: bindfs cannot mount here");
        return;
    }
    let _mounted = Unmount(&there);
    let (path, pages) = (there.join("f"), (1 << 20) / common::page());
    let subject = Subject::start([format!("view:{}:{pages}", path.display())]);
    let rows = rmap(["pcstat", "--json", path.to_str().unwrap()]).rows();
    assert_eq!((&rows[0]["cached"], mapped_in(&subject, &path)), (&Value::from(pages), pages), "{rows:?}");
    if can_read_lists(name) {
        // No process has it open any more; its pages may stay.
        drop(subject);
        let rows = rmap(["pcstat", "--json", "-o+active,mapped,cgroup", path.to_str().unwrap()]).rows();
        assert_eq!(rows[0]["method"], "pages", "{rows:?}");
        let summary = rmap(["pcstat", "--summary", "--json", path.to_str().unwrap()]).rows();
        for row in [&rows[0], &summary[0]] {
            // The kernel may reclaim some meanwhile, and remembers it.
            let (cached, evicted) = (row["cached"].as_u64().unwrap(), row["evicted_pages"].as_u64().unwrap());
            assert!(cached > 0 && cached + evicted == pages, "{row}");
        }
    }
}

#[test]
fn files_on_fuse_with_one_number_keep_their_own_figures() {
    let name = "files_on_fuse_with_one_number_keep_their_own_figures";
    if !has("bindfs", "bindfs") || !has_cachestat() {
        return;
    }
    // Of each of these file systems it is the first file, so all have one inode number, and bindfs keeps it.
    let make = "mkdir there; for i in 1 2 3 4; do mkdir -p below/$i && mount -t tmpfs none below/$i &&
        head -c ${i}M /dev/zero > below/$i/f; done; truncate -s 1M below/4/f";
    let Some(folder) = mounted_as(name, make) else { return };
    let there = folder.join("there");
    if !Command::new("bindfs").arg(folder.join("below")).arg(&there).status().unwrap().success() {
        eprintln!("SKIPPED: {name}: bindfs cannot mount here");
        return;
    }
    let _mounted = Unmount(&there);
    let [other, files @ ..] = ["4", "1", "2", "3"].map(|number| there.join(number).join("f"));
    let names = files.each_ref().map(|file| file.to_str().unwrap());
    let numbers = files.each_ref().map(|file| std::fs::metadata(file).map(|found| (found.dev(), found.ino())).unwrap());
    if numbers != [numbers[0]; 3] {
        eprintln!("SKIPPED: {name}: bindfs gives the files different numbers here");
        return;
    }
    let mib = (1 << 20) / common::page();
    let act = |how: &str, number: usize, mib_seen: u64| format!("{how}:{}:{}", names[number], mib_seen * mib);
    let first = Subject::start([act("view", 0, 1)]);
    // Each has its own figures, alone too; of those that nobody has open there are none.
    let all = rmap_without_lists(["pcstat", "--jsonl", names[0], names[1], names[2]]);
    let Some(all) = all else { return };
    let all = all.lines_of_json();
    assert_eq!(all.len(), 3, "{all:?}");
    for (number, file) in files.iter().enumerate() {
        let alone = rmap_without_lists(["pcstat", "--jsonl", names[number]]).unwrap().lines_of_json();
        for row in [row(&all, "filename", file), &alone[0]] {
            assert_eq!(row["size"], (number as u64 + 1) << 20, "{row}");
            let cached = if number == 0 { Value::from(mib) } else { Value::Null };
            assert_eq!(row["cached"], cached, "{row}");
        }
    }
    if can_read_lists(name) {
        // The lists of pages know the first, which has the same number, name and size.
        let rows = rmap(["pcstat", "--jsonl", other.to_str().unwrap()]).lines_of_json();
        assert!(rows[0]["cached"].is_null(), "{rows:?}");
    }
    let both = Subject::start([act("view", 0, 1), act("view", 2, 3)]);
    let held = rmap(["pcstat", "--jsonl", "--pid", &both.pid().to_string()]).lines_of_json();
    let mapped = rmap(["pid", &both.pid().to_string(), "--cache", "--jsonl"]).lines_of_json();
    for (number, pages) in [(0, mib), (2, 3 * mib)] {
        assert_eq!(row(&held, "filename", &files[number])["cached"], pages, "{held:?}");
        assert_eq!(row(&mapped, "path", &files[number])["cache_cached"], pages * common::page(), "{mapped:?}");
    }
    let tree =
        rmap_without_lists(["pcstat", "-R", "--cross-file-systems", "--jsonl", there.to_str().unwrap()]).unwrap();
    let tree = tree.lines_of_json();
    let sizes = files.each_ref().map(|file| row(&tree, "filename", file)["size"].as_u64().unwrap() >> 20);
    assert_eq!(sizes, [1, 2, 3], "{tree:?}");
    if can_read_lists(name) {
        let listed = rmap(["files", there.to_str().unwrap(), "-o", "path,holders,holder_count", "--jsonl"]);
        let listed = listed.lines_of_json();
        for (number, pids) in [(0, vec![first.pid(), both.pid()]), (2, vec![both.pid()])] {
            let row = row(&listed, "path", &files[number]);
            let holders = row["holders"].as_str().unwrap();
            let is_it = match pids[..] {
                [pid] => holders.ends_with(&format!(" {pid}")),
                _ => holders.ends_with(" (2)"),
            };
            assert!(is_it, "{row}");
        }
    }
}

/// Unmounts a directory, however the test ends.
struct Unmount<'p>(&'p Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
