//! Which files are shown, and how they are grouped.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use serde_json::Value;

use crate::common::{Subject, memory, page, rmap, shell};
use crate::{Answer, below, bytes, complete, has_lists};

#[test]
fn groups_of_files_have_their_sums() {
    if !has_lists("groups_of_files_have_their_sums") {
        return;
    }
    let folder = memory();
    fs::create_dir(folder.path().join("deep")).unwrap();
    let sizes = [("a", 8), ("deep/b", 5), ("deep/c", 3)];
    for (name, pages) in sizes {
        fs::write(folder.path().join(name), vec![7; (pages * page()) as usize]).unwrap();
    }
    let place = |name: &str| folder.path().join(name).display().to_string();
    // One file that two programs hold is in the row of each.
    let subject = Subject::start([format!("glance:{}:8", place("a")), format!("open:{}", place("deep/b"))]);
    let sleeper = fs::File::open(place("a")).unwrap();
    let top = folder.path().to_str().unwrap();
    let by = |column: &str| complete(&[&format!("--by={column}"), top]);
    let of = |found: &Answer, key: &str, group: &str| {
        let row = found.rows.iter().find(|row| row[key] == group).unwrap_or_else(|| panic!("{group}: {found:?}"));
        (bytes(row, "files"), bytes(row, "cached") / page())
    };
    let dir = by("dir");
    assert_eq!((of(&dir, "directory", top), of(&dir, "directory", &place("deep"))), ((1, 8), (2, 8)));
    for (column, key) in [("kind", "kind"), ("fs", "fs")] {
        let found = by(column);
        assert_eq!((found.rows.len(), of(&found, key, "tmpfs")), (1, (3, 16)), "{found:?}");
    }
    let groups = by("cgroup");
    assert_eq!((groups.rows.len(), of(&groups, "cgroup", &crate::common::own_memory_group())), (1, (3, 16)));
    let nodes = by("node");
    assert_eq!((nodes.sum("cached") / page(), nodes.sum("size") >= 16 * page()), (16, true), "{nodes:?}");
    let holders = by("holder");
    assert_eq!(of(&holders, "holders", "subject"), (2, 13), "{holders:?}");
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(of(&holders, "holders", own.trim()), (1, 8), "{holders:?}");
    let nobody = holders.rows.iter().find(|row| row["holders"].is_null()).unwrap();
    assert_eq!((bytes(nobody, "files"), bytes(nobody, "cached")), (1, 3 * page()), "{holders:?}");
    drop((subject, sleeper));
}

#[test]
fn only_files_below_the_directories_are_shown() {
    if !has_lists("only_files_below_the_directories_are_shown") {
        return;
    }
    let folder = memory();
    for name in ["one", "one-more", "two"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("file"), vec![7; page() as usize]).unwrap();
    }
    std::os::unix::fs::symlink(folder.path().join("one"), folder.path().join("link")).unwrap();
    let paths = |directories: &[&str]| {
        let directories = directories.iter().map(|name| folder.path().join(name).into_os_string());
        let directories: Vec<_> = std::iter::once("-opath".into()).chain(directories).collect();
        let mut found: Vec<_> =
            complete(&directories).rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect();
        found.sort_unstable();
        let start = format!("{}/", folder.path().display());
        found.iter().map(|path| path.strip_prefix(&start).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&["one"]), ["one/file"]);
    assert_eq!(paths(&["link"]), ["one/file"]);
    assert_eq!(paths(&["two", "one"]), ["one/file", "two/file"]);
    assert_eq!(paths(&["."]), ["one-more/file", "one/file", "two/file"]);
    let missing = folder.path().join("missing");
    let run = rmap(["files".as_ref(), missing.as_os_str()]);
    assert_eq!((run.status, run.text().as_str()), (Some(1), ""), "{run:?}");
    assert!(run.err.ends_with("missing: no such file\n"), "{run:?}");
}

#[test]
fn the_largest_files_come_first() {
    if !has_lists("the_largest_files_come_first") {
        return;
    }
    let folder = memory();
    for pages in [3, 9, 1, 6] {
        fs::write(folder.path().join(pages.to_string()), vec![7; (pages * page()) as usize]).unwrap();
    }
    let top = folder.path().to_str().unwrap();
    let pages = |arguments: &[&str]| {
        let found = complete(&[&["-o", "path,cached"], arguments, &[top]].concat());
        found.rows.iter().map(|row| bytes(row, "cached") / page()).collect::<Vec<_>>()
    };
    assert_eq!(pages(&[]), [9, 6, 3, 1]);
    assert_eq!(pages(&["--top=2"]), [9, 6]);
    assert_eq!(pages(&["--top=2", "--sort=-cached"]), [1, 3]);
    let middle = format!("cached>{} && cached<{}", 2 * page(), 8 * page());
    assert_eq!(pages(&["--filter", &middle]), [6, 3]);

    // A file larger than any other, of which only the rows that are shown are read.
    let path = folder.path().join("huge");
    let whole = complete(&["-o", "cached", "--top=1"]);
    let available = fs::read_to_string("/proc/meminfo").unwrap();
    let available = available.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    let available: u64 = available.trim().trim_end_matches(" kB").parse().unwrap();
    let size = bytes(&whole.rows[0], "cached") + (64 << 20);
    if size > (1 << 30) || size >> 10 > available / 2 {
        return eprintln!("SKIPPED: the_largest_files_come_first: a file of {} is cached here", size);
    }
    let file = fs::File::create(&path).unwrap();
    let part = vec![7; 1 << 20];
    (0..size >> 20).for_each(|number| file.write_all_at(&part, number << 20).unwrap());
    let largest = complete(&["--top=2", "-o", "path,cached,mapped"]);
    assert_eq!(largest.rows.len(), 2);
    assert_eq!(largest.rows[0]["path"], path.to_str().unwrap());
    assert_eq!(bytes(&largest.rows[0], "cached"), size >> 20 << 20);
}

#[test]
fn what_was_not_read_in_time_is_absent() {
    if !has_lists("what_was_not_read_in_time_is_absent") {
        return;
    }
    let folder = memory();
    let path = folder.path().join("file");
    fs::write(&path, vec![7; (10 * page()) as usize]).unwrap();
    let inode = path.metadata().unwrap().ino();
    let late = ["files that were not listed in time", "not everything about these files was read in time"];
    let mut was_late = false;
    for budget in ["0.001", "0.02", "0.1", "0.3"] {
        let found = Answer::of(&rmap(["files", "--jsonl", crate::MORE, "--budget", budget]));
        let is_late = found.complaints.iter().any(|line| late.iter().any(|late| line.contains(late)));
        was_late |= is_late;
        for row in &found.rows {
            // What is there is what it always is.
            if row["inode"] == inode && row["fs"] == "tmpfs" && row["path"] == path.to_str().unwrap() {
                assert_eq!(bytes(row, "cached"), 10 * page(), "{row}");
                assert!(row["mapped"].is_null() || bytes(row, "unmapped") == 10 * page(), "{row}");
            }
            if row["note"].as_str().is_some_and(|note| note.starts_with("not read in time")) {
                assert!(is_late, "{row}");
                let columns = ["dirty", "active", "mapped", "cgroup", "node", "locked"];
                assert!(columns.iter().all(|key| row[key].is_null()), "{row}");
                assert!(row["absent"]["dirty"].as_str().unwrap().starts_with("late: not read in time"), "{row}");
            } else {
                assert!(row["dirty"].is_u64() || !row["note"].is_null(), "{row}");
            }
        }
    }
    assert!(was_late, "everything was read within a millisecond");
    // A file that was asked about has a row that says so.
    let run = rmap(["files", "--jsonl", "--budget", "0.001", path.to_str().unwrap()]);
    let rows = run.lines_of_json();
    assert_eq!((run.status, rows.len()), (Some(1), 1), "{run:?}");
    assert_eq!((rows[0]["path"].as_str(), &rows[0]["cached"]), (path.to_str(), &Value::Null), "{run:?}");
    assert_eq!((rows[0]["inode"].as_u64(), bytes(&rows[0], "size")), (Some(inode), 10 * page()), "{run:?}");
    assert!(rows[0]["absent"]["cached"].as_str().unwrap().starts_with("late: not read in time"), "{run:?}");
    assert_eq!(below(folder.path()).rows.len(), 1);
}

#[test]
fn an_option_that_matches_nothing_says_so() {
    if !has_lists("an_option_that_matches_nothing_says_so") {
        return;
    }
    let folder = memory();
    fs::write(folder.path().join("file"), b"x").unwrap();
    for option in ["--deleted", "--dirty"] {
        let found = complete(&[option, "-o", "cached,dirty", folder.path().to_str().unwrap()]);
        assert_eq!(found.rows, [] as [Value; 0]);
        let line = format!("rmap: {option}, {}: no row matches", folder.path().display());
        assert_eq!(found.complaints, [line]);
    }
}

#[test]
fn a_file_that_has_no_percentage_takes_none_from_its_group() {
    if !has_lists("a_file_that_has_no_percentage_takes_none_from_its_group") {
        return;
    }
    let folder = memory();
    let (usual, beyond) = (folder.path().join("usual"), folder.path().join("beyond"));
    fs::write(&usual, vec![7; (4 * page()) as usize]).unwrap();
    fs::write(&beyond, b"").unwrap();
    shell("fallocate -n -l $2 $1", &[beyond.as_os_str(), (2 * page()).to_string().as_ref()]).good();
    let row = below(folder.path()).row(&beyond).clone();
    let why = row["absent"]["percent"].as_str();
    assert_eq!(why, Some("not applicable: more is cached than the file is long"), "{row}");
    let folder = folder.path().to_str().unwrap();
    let grouped = ["files", "--budget=20", "-o", "cached,percent", "--by", "deleted", "--total", "--json", folder];
    let document = rmap(grouped).json();
    let group = &document["groups"][0];
    assert_eq!((bytes(group, "cached"), &group["percent"]), (6 * page(), &100.0.into()), "{document}");
    let total = &document["total"];
    assert_eq!((&total["percent"], &total["rows_without_figure"]), (&100.0.into(), &Value::Null), "{document}");
}
