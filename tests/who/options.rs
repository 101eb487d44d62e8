//! The options, the words of the table, and what is refused.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use crate::common::{Subject, disk, has, memory, page, program, rmap, shell};
use crate::{bytes, who, writer};

#[test]
fn the_table_says_in_words_what_is_cached_and_that_nobody_holds_it() {
    let folder = memory();
    let path = folder.path().join("file");
    fs::write(&path, vec![7; 64 << 10]).unwrap();
    let name = path.display();
    let text = rmap(["who".as_ref(), path.as_os_str()]).text();
    let nobody = ["nobody maps it or has it open; 64K cached", "nobody that could be looked at maps it or has it open"];
    assert!(nobody.iter().any(|words| text.contains(&format!("{name}: {words}"))), "{text}");
    let subject = Subject::start([format!("glance:{name}:4")]);
    let text = rmap(["who".as_ref(), "--pages".as_ref(), path.as_os_str()]).text();
    let row = text.lines().find(|line| line.trim_start().starts_with(&subject.word())).unwrap();
    assert!(row.contains(" mapped shared "), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with(&format!("{name}: 64K cached")), "{text}");
    if page() == 4096 && !last.contains("not known") {
        let least = "64K cached: at least 16K mapped (processes that could not be looked at may map more of it; \
                     --pages, which needs root, sees those too)";
        let is_least = last.ends_with(least) && !nix::unistd::geteuid().is_root();
        assert!(is_least || last.ends_with("64K cached: 16K mapped, 48K mapped by nobody"), "{text}");
    }
}

#[test]
fn a_narrow_terminal_shows_how_a_file_is_held_as_a_whole() {
    if !has("script", "bsdutils") {
        return;
    }
    let folder = memory();
    let path = folder.path().join("file");
    let subject = Subject::start([format!("synced:{}:64:1", path.display())]);
    let _writer = writer(&path);
    for width in [60, 80] {
        let script = format!("script -qec \"stty cols {width} rows 24; NO_COLOR=1 '$1' who '$2'\" /dev/null 2>&1");
        let text = shell(&script, &[program().as_os_str(), path.as_os_str()]).text();
        let row = text.lines().find(|line| line.trim_start().starts_with(&subject.word())).unwrap();
        assert!(row.contains(" mapped shared ") && row.contains(" 256K "), "{text}");
        assert!(text.lines().any(|line| line.contains(" open for writing ")), "{text}");
        let rows = text.lines().filter(|line| line.trim_start().starts_with(|first: char| first.is_ascii_digit()));
        assert!(rows.into_iter().all(|row| row.trim_end().chars().count() <= width), "{text}");
    }
}

#[test]
fn rows_can_be_grouped_filtered_and_chosen() {
    let folder = memory();
    let path = folder.path().join("file");
    let name = path.display();
    let big = Subject::start([format!("synced:{name}:16:1")]);
    let small = Subject::start([format!("glance:{name}:4")]);
    let writer = writer(&path);
    let found = who(["--filter", "how == 'mapped shared' || how =~ writing", &name.to_string()]);
    let pids: Vec<u64> = found.rows.iter().map(|row| bytes(row, "pid")).collect();
    assert!(pids.contains(&small.pid().into()) && pids.contains(&writer.pid().into()), "{found:?}");
    let groups = rmap(["who", "--jsonl", "--by", "name", &name.to_string()]).lines_of_json();
    let subjects = groups.iter().find(|group| group["name"] == "subject").unwrap();
    // Some process may not be looked at here.
    let least = |group: &Value, key: &str| group[key].as_u64().unwrap_or_else(|| bytes(&group["at_least"], key));
    assert_eq!((least(subjects, "holders"), least(subjects, "rss")), (2, 20 * page()), "{groups:?}");
    assert_eq!(groups.iter().filter(|group| group["name"] == "subject").count(), 1, "{groups:?}");
    let top = rmap(["who", "--jsonl", "--top", "1", "-o", "pid,rss", &name.to_string()]).lines_of_json();
    assert_eq!(top, [serde_json::json!({"pid": big.pid(), "rss": 16 * page(), "absent": null})]);
    for by in ["user", "container", "cgroup", "how", "path"] {
        let run = rmap(["who", "--jsonl", "--by", by, &name.to_string()]);
        let count: u64 = run.lines_of_json().iter().map(|group| least(group, "holders")).sum();
        assert_eq!(count, 3, "{by}: {run:?}");
    }
    let refused = rmap(["who", "--filter", "how == 'mapped'", &name.to_string()]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
}

#[test]
fn several_files_have_a_column_and_a_line_each() {
    let folder = memory();
    let paths = ["one", "two"].map(|name| folder.path().join(name));
    let both = Subject::start(paths.clone().map(|path| format!("synced:{}:4:1", path.display())));
    let one = Subject::start([format!("open:{}", paths[0].display())]);
    let found = who(&paths);
    let mut rows: Vec<(String, u64)> =
        found.rows.iter().map(|row| (row["path"].as_str().unwrap().to_owned(), bytes(row, "pid"))).collect();
    rows.sort();
    let word = |place: usize| paths[place].to_str().unwrap().to_owned();
    let mut expected =
        vec![(word(0), both.pid().into()), (word(0), one.pid().into()), (word(1), u64::from(both.pid()))];
    expected.sort();
    assert_eq!(rows, expected);
    assert_eq!(found.files.iter().map(|file| bytes(file, "holder_count")).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(bytes(&found.files[1], "cached"), 4 * page());
    let table = rmap(["who".as_ref(), paths[0].as_os_str(), paths[1].as_os_str()]).text();
    // The longest command pads nothing.
    let header = table.lines().next().unwrap();
    assert!(header.contains(" Path ") && header.find("Path") < header.find("Command"), "{table}");
    assert!(paths.iter().all(|path| table.contains(&format!("\n{}: ", path.display()))), "{table}");
}

#[test]
fn what_cannot_be_looked_for_is_one_line() {
    let folder = memory();
    let directory = rmap(["who".as_ref(), folder.path().as_os_str()]);
    assert_eq!(directory.status, Some(1));
    let place = folder.path().display();
    let line = format!("rmap: {place}: is a directory; name a file, or list those below it: rmap files {place}\n");
    assert_eq!(directory.err, line);
    let missing = rmap(["who", "/no/such/file"]);
    assert_eq!((missing.status, missing.err.as_str()), (Some(1), "rmap: /no/such/file: no such file\n"));
    let nothing = rmap(["who"]);
    assert_eq!(
        (nothing.status, nothing.err.as_str()),
        (Some(2), "rmap: missing FILE or --inode; see `rmap who --help`\n")
    );
    assert_eq!(rmap(["who", "--inode", "4711"]).status, Some(2));
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("7")).unwrap();
    let captured = rmap(["who", "--pages", "--proc-root", folder.path().to_str().unwrap(), "/data/file"]);
    assert_eq!((captured.status, captured.out.is_empty()), (Some(2), true), "{captured:?}");
    assert!(captured.err.contains("--pages") && captured.err.contains("a capture has no pages"), "{captured:?}");
    // The other file is still reported.
    let path = folder.path().join("file");
    let subject = Subject::start([format!("synced:{}:4:1", path.display())]);
    let found = who(["/no/such/file".as_ref(), path.as_os_str()]);
    assert_eq!(found.complaints, ["rmap: /no/such/file: no such file"]);
    assert_eq!(bytes(found.row(&subject), "rss"), 4 * page());
}

#[test]
fn a_fifo_is_not_opened() {
    let folder = memory();
    let path = folder.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let found = who([&path]);
    found.assert_only(&[]);
    assert_eq!(found.files[0]["cached"], Value::Null);
    assert!(found.files[0]["reason"].as_str().unwrap().starts_with("not applicable: "), "{found:?}");
}

#[test]
fn a_name_that_is_not_text_is_shown_and_kept() {
    let folder = disk();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"a\xff \x1b[2J (deleted)"));
    fs::write(&path, "text").unwrap();
    let writer = writer(&path);
    let found = who([&path]);
    found.assert_only(&[&writer]);
    let digits: String = path.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found.row(&writer)["path_bytes"], digits);
    assert_eq!(found.files[0]["path_bytes"], digits);
    let table = rmap(["who".as_ref(), "-o+path,seen_as".as_ref(), path.as_os_str()]);
    assert!(!table.out.contains(&0x1b) && !table.out.contains(&0xff), "{}", table.out.escape_ascii());
}

#[test]
fn a_capture_is_searched_by_name_and_by_number() {
    let mapped = "1000-3000 r--s 00000000 fe:00 77                     /data/file\n\
                  Size:                  8 kB\nRss:                   4 kB\nPss:                   2 kB\n\
                  Shared_Clean:          0 kB\nShared_Dirty:          0 kB\nPrivate_Clean:         4 kB\n\
                  Private_Dirty:         0 kB\nAnonymous:             0 kB\nSwap:                  0 kB\n\
                  VmFlags: rd sh mr lo \n";
    let removed = mapped.replace("/data/file", "/data/file (deleted)").replace("fe:00 77", "fe:00 78");
    let other = mapped.replace("/data/file", "/data/file2").replace("fe:00 77", "fe:01 77");
    let processes =
        [(7, &b"one\0"[..], mapped.as_bytes()), (8, b"two\0", removed.as_bytes()), (9, b"three\0", other.as_bytes())];
    let capture = crate::common::capture(&processes);
    let pids = |arguments: &[&str]| {
        let root = ["who", "--jsonl", "--proc-root", capture.path().to_str().unwrap()];
        let run = rmap(root.iter().chain(arguments));
        let mut rows = run.lines_of_json();
        rows.sort_by_key(|row| bytes(row, "pid"));
        rows
    };
    let rows = pids(&["/data/file"]);
    assert_eq!(rows.iter().map(|row| bytes(row, "pid")).collect::<Vec<_>>(), [7, 8], "{rows:?}");
    let row = &rows[0];
    assert_eq!(
        (bytes(row, "size"), bytes(row, "rss"), bytes(row, "pss"), bytes(row, "locked")),
        (8192, 4096, 2048, 4096)
    );
    assert_eq!((&row["command"], &row["how"]), (&"one".into(), &"mapped shared".into()));
    let rows = pids(&["--inode", "fe:00:77"]);
    assert_eq!(rows.iter().map(|row| bytes(row, "pid")).collect::<Vec<_>>(), [7], "{rows:?}");
}

#[test]
fn what_a_capture_does_not_tell_of_numbers_is_said_of_each_process() {
    let mapped = "1000-3000 r--s 00000000 00:28 257                     /data/file\n";
    let capture = crate::common::capture(&[(7, &b"one\0"[..], &b""[..]), (8, b"two\0", mapped.as_bytes())]);
    let at = |name: &str| capture.path().join(name);
    for pid in [7, 8] {
        for name in ["ns", "fd", "fdinfo"] {
            std::fs::create_dir_all(at(&format!("{pid}/{name}"))).unwrap();
        }
        std::os::unix::fs::symlink("mnt:[1]", at(&format!("{pid}/ns/mnt"))).unwrap();
        let mounts = "1 0 8:1 / / rw - ext4 a rw\n2 1 0:40 / /data rw - btrfs b rw\n";
        std::fs::write(at(&format!("{pid}/mountinfo")), mounts).unwrap();
    }
    for (number, path, info) in [(3, "/file", "mnt_id:\t1\n"), (4, "/data/file", "mnt_id:\t2\nino:\t257\n")] {
        std::os::unix::fs::symlink(path, at(&format!("7/fd/{number}"))).unwrap();
        std::fs::write(at(&format!("7/fdinfo/{number}")), format!("pos:\t0\nflags:\t0100000\n{info}")).unwrap();
    }
    let said = |inode: &str| {
        let run = rmap(["who", "--json", "--total", "--proc-root", capture.path().to_str().unwrap(), "--inode", inode]);
        let lines = run.err.lines().filter(|line| line.contains("may hold it: "));
        let lines: Vec<String> = lines.filter_map(|line| Some(line.split_once(inode)?.1.to_owned())).collect();
        assert_eq!(run.json()["holders"].as_array().unwrap().len(), 0, "{run:?}");
        lines
    };
    // A kernel before Linux 5.14.
    let why = "the capture does not tell the inode numbers of open files (new in Linux 5.14)";
    assert_eq!(said("08:01:77"), [format!(": process 7 may hold it: {why}")]);
    assert_eq!(said("08:02:77"), [""; 0]);
    // The device that stat gives on btrfs is in no list of mounts.
    let why =
        "it holds a file with this inode number, and the capture does not tell the device number that stat gives it";
    assert_eq!(said("00:44:257"), [format!(": processes 7 and 8 may hold it: {why}")]);
    assert_eq!(said("00:44:258"), [""; 0]);
}

#[test]
fn a_run_does_not_hold_the_file_that_it_asks_about_in_a_pid_namespace_either() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // `/proc` stays that of the namespace outside.
    let run = shell("unshare -pf rmap who --json \"$1\"", &[file.path().as_os_str()]);
    if run.err.contains("unshare: ") {
        return eprintln!("SKIPPED: no pid namespace can be made here: {}", run.err);
    }
    let rows = run.json();
    let names: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert!(names.iter().all(|name| **name != "rmap") && names.len() == 1, "{names:?}");
}
