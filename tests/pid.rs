//! `rmap pid` as a user sees it: rows that match what a program did with its memory, the layout of the tables, and one
//! clear error for every process that cannot be read, which does not affect the others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{ForEveryone, Subject, capture, command, disk, mapping, memory, page, rmap, run, shell, wait_until};
use insta::assert_snapshot;
use memmap2::MmapOptions;
use serde_json::Value;

/// Runs `rmap pid` over a process that cannot be read and one that can. Checks that the latter has its row, that the
/// former has one error, and that the exit status is 1. Returns the error.
#[track_caller]
fn complaint(arguments: &[&str]) -> String {
    let subject = Subject::start(["anonymous:5:3"]);
    let word = subject.word();
    for order in [[arguments, &[&word]].concat(), [&[word.as_str()], arguments].concat()] {
        let run = rmap([&["pid"], &order[..]].concat());
        assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
        let row = format!("{} rw-p 20 12 12 12 0 [anon]", subject.made[0].start);
        assert!(words(&run.text()).join(" ").contains(&row), "no row {row} of the other process: {}", run.text());
    }
    rmap([&["pid"], arguments].concat()).err
}

#[test]
fn a_missing_process_is_an_error() {
    assert_eq!(complaint(&["4294967295"]), "rmap: pid 4294967295: no such process\n");
}

#[test]
fn what_is_no_pid_is_wrong_usage() {
    for word in ["fox", "0x10", "", "12x", "+5", " 5", "5 ", "4294967296", "self ", "a\x1b[2J\nb"] {
        let run = rmap(["pid", "self", word]);
        assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(2), 1, 0), "{run:?}");
        assert!(run.err.contains("not a pid; use a decimal number, self, or --name"), "{}", run.err);
        assert!(!run.err.contains('\x1b'), "{run:?}");
    }
    let run = rmap([OsStr::new("pid"), OsStr::new("self"), OsStr::from_bytes(b"\xff\x1b")]);
    assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(2), 1, 0), "{run:?}");
    assert!(!run.err.contains('\x1b'), "{run:?}");
}

#[test]
fn a_kernel_thread_has_no_mappings() {
    // Bit 21 of the ninth field of stat: PF_KTHREAD.
    let is_kernel_thread = |stat: &str| {
        let flags = stat.rsplit(')').next()?.split_whitespace().nth(6)?.parse::<u32>().ok()?;
        (flags & 0x0020_0000 != 0).then(|| stat.split(' ').next().unwrap_or_default().to_owned())
    };
    let found = fs::read_dir("/proc").unwrap().find_map(|entry| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        is_kernel_thread(&stat)
    });
    let Some(pid) = found else { return eprintln!("SKIPPED: no kernel thread can be seen here (a pid namespace)") };
    assert_eq!(complaint(&[&pid]), format!("rmap: pid {pid}: a kernel thread has no memory of its own\n"));
}

#[test]
fn processes_that_exit_after_they_were_found_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let shell = folder.path().join("rmap-storm");
    fs::copy("/bin/sh", &shell).unwrap();
    let mut storm = Command::new(&shell);
    storm.args(["-c", "echo ready; while :; do (:) & (:) & (:) & (:) & wait; done"]);
    let _storm = Subject::until_ready(storm);
    let views = ["pid --by user", "pid --summary --merge", "pid", "pid --cache", "pid --map", "pid --numa", "pcstat"];
    for view in views.map(|view| view.split(' ').collect::<Vec<_>>()) {
        for _ in 0..10 {
            let run = rmap([&view[..], &["--name", "rmap-storm", "--json"]].concat());
            // An ordinary user may not know what is cached of the files of others.
            let is_other = |line: &&str| !line.contains("denied: the kernel reports the cached pages");
            let complaints: Vec<&str> = run.complaints().into_iter().filter(is_other).collect();
            assert_eq!(complaints, [""; 0], "{view:?}");
            assert!(run.status == Some(0) || !run.err.is_empty(), "{view:?}: {run:?}");
        }
    }
}

#[test]
fn a_zombie_has_no_mappings() {
    let child = Command::new("/bin/true").spawn().unwrap();
    let zombie = Subject::of(child);
    let stat = format!("/proc/{}/stat", zombie.pid());
    wait_until("it is a zombie", || fs::read_to_string(&stat).unwrap().contains(") Z "));
    let line = complaint(&[&zombie.word()]);
    assert_eq!(line, format!("rmap: pid {}: a zombie: it has exited and waits for its parent\n", zombie.pid()));
}

#[test]
fn a_process_that_exits_during_reading_is_one_error() {
    let subject = Subject::start(["anonymous:5:3"]);
    let known = ["no such process", "exited while it was read", "a zombie: ", "it ran another program"];
    for turn in 0..20 {
        let script = format!("for i in $(seq {}); do :; done", turn * 200);
        let short = Subject::of(Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap());
        let run = rmap(["pid", &short.word(), &subject.word()]);
        assert!(run.text().contains(&format!("{} rw-p ", subject.made[0].start)), "{run:?}");
        match run.complaints()[..] {
            [] => assert_eq!(run.status, Some(0)),
            [line] => {
                assert!(known.iter().any(|words| line.contains(words)), "{line}");
                assert_eq!(run.status, Some(1));
            }
            _ => panic!("more than one line: {}", run.err),
        }
    }
}

#[test]
fn a_process_of_another_user_is_denied() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let own = std::process::id().to_string();
    let run = everyone.rmap(["pid", &own, "self"]);
    let line = format!(
        "rmap: pid {own}: permission denied: cannot read smaps, so figures that only smaps reports are absent; \
         run as root, or as the user who owns it\n"
    );
    assert_eq!((run.status, run.err.as_str()), (Some(1), line.as_str()));
    assert!(run.text().contains("[stack]"), "its own process has no rows");
}

/// The row of a mapping in the JSON document of one process.
fn row_at<'d>(document: &'d Value, start: &str) -> &'d Value {
    let rows = document[0]["mappings"].as_array().unwrap();
    rows.iter().find(|row| row["start"] == start).unwrap_or_else(|| panic!("nothing is mapped at {start}"))
}

/// Compares each mapping of the subject with the figures that it reported.
fn check_made(subject: &Subject) {
    assert!(!subject.made.is_empty());
    // Clean pages of a file may be reclaimed; then the subject and the test have to be started again.
    let document = rmap(["pid", &subject.word(), "--json"]).good().json();
    for made in &subject.made {
        let row = row_at(&document, &made.start);
        assert_eq!(row["size"], made.length, "{made:?}");
        assert_eq!(made.figures.len(), 4);
        for (key, bytes) in &made.figures {
            assert_eq!(row[key], *bytes, "{key} of {made:?}");
        }
    }
}

fn acts(folder: &Path) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    vec![
        "anonymous:64:40".into(),
        "anonymous:3:0".into(),
        "locked:6".into(),
        "guard:4".into(),
        "memfd:10:7".into(),
        format!("shared:{}:20:13", path("shared")),
        format!("private:{}:16:9:4", path("private")),
        format!("shared:{}:6:2", path("gone")),
        format!("unlink:{}", path("gone")),
        format!("rename:{}:{}", path("shared"), path("moved")),
    ]
}

#[test]
fn rows_match_what_the_subject_did() {
    let folder = memory();
    check_made(&Subject::start(acts(folder.path())));
}

#[test]
fn after_a_fork_pss_is_divided_by_two() {
    let folder = memory();
    let subject = Subject::start(acts(folder.path()).into_iter().chain(["fork".into()]));
    let anonymous = &subject.made[0];
    assert_eq!(anonymous.figures[..2], [("rss".into(), 40 * page()), ("pss".into(), 20 * page())]);
    check_made(&subject);
}

#[test]
fn renamed_and_removed_files_have_the_names_that_the_kernel_reports() {
    let folder = memory();
    let subject = Subject::start(acts(folder.path()));
    let document = rmap(["pid", &subject.word(), "--json"]).good().json();
    let name = |made: usize| row_at(&document, &subject.made[made].start)["path"].as_str().unwrap().to_owned();
    let path = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!([name(5), name(7)], [path("moved"), path("gone (deleted)")]);
    assert_eq!(name(4), "/memfd:subject (deleted)");
}

#[test]
fn a_file_with_deleted_in_its_name_is_not_deleted() {
    let folder = memory();
    let odd = folder.path().join("x (deleted)");
    let subject = Subject::start([format!("shared:{}:3:2", odd.display())]);
    let document = rmap(["pid", &subject.word(), "--json"]).good().json();
    let row = row_at(&document, &subject.made[0].start);
    assert_eq!((&row["path"], &row["rss"]), (&Value::from(odd.to_str().unwrap()), &Value::from(2 * page())));
    let files = rmap(["pcstat", "--json", "--pid", &subject.word()]).json();
    let file = files.as_array().unwrap().iter().find(|row| row["path"] == odd.to_str().unwrap()).unwrap();
    assert_eq!((&file["pages"], &file["cached"]), (&Value::from(3), &Value::from(3)));
}

#[test]
fn each_hostile_file_name_is_one_row() {
    let folder = disk();
    let names: [(&[u8], &str); 6] = [
        (b"two\nlines", "two\\nlines"),
        (b"clear\x1b[2J", "clear\\x1b[2J"),
        (b" a  b ", " a  b "),
        (b"caf\xe9", "caf\\xe9"),
        (b"tab\tq\"uote,", "tab\\tq\"uote,"),
        ("gpj.\u{202e}exe".as_bytes(), "gpj.\\u{202e}exe"),
    ];
    let maps: Vec<_> = names
        .iter()
        .map(|(name, _)| {
            let path = folder.path().join(OsStr::from_bytes(name));
            fs::write(&path, "x").unwrap();
            MmapOptions::new().map_raw_read_only(&fs::File::open(path).unwrap()).unwrap()
        })
        .collect();
    let run = rmap(["pid", &std::process::id().to_string()]).good();
    for (map, (_, shown)) in maps.iter().zip(&names) {
        let start = format!("{:012x} r--s ", map.as_ptr() as usize);
        let line = run
            .text()
            .lines()
            .map(str::trim_start)
            .find(|line| line.starts_with(&start))
            .unwrap_or_else(|| panic!("no {shown}"))
            .to_owned();
        assert!(line.ends_with(&format!(" {}/{shown}", folder.path().display())), "{line:?}");
    }
    let csv = rmap(["pid", &std::process::id().to_string(), "--csv", "-o", "path"]).good();
    assert!(csv.out.windows(5).any(|bytes| bytes == b"/caf\xe9"));
}

#[test]
fn a_hostile_command_line_cannot_forge_a_row() {
    let mut cat = Command::new("/bin/cat");
    cat.arg("-")
        .arg(OsString::from_vec(b"\n7f00 rw-p\x1b[2J\xff".to_vec()))
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let cat = Subject::of(cat.spawn().unwrap());
    wait_until("cat runs", || fs::read(format!("/proc/{}/comm", cat.pid())).unwrap() == b"cat\n");
    let run = rmap(["pid", &cat.word()]).good();
    let first = run.text().lines().next().unwrap().to_owned();
    assert_eq!(first, format!("{}:   /bin/cat - \\n7f00 rw-p\\x1b[2J\\xff", cat.pid()));
}

/// A captured shell and a captured service.
fn picture() -> tempfile::TempDir {
    let shell = [
        mapping(0x5581_c000_0000, 44, "r--p", b"/usr/bin/bash", 176),
        mapping(0x5581_c002_c000, 184, "r-xp", b"/usr/bin/bash", 700),
        mapping(0x7f12_0000_0000, 16, "rw-p", b"", 8),
        mapping(0x7f12_1000_0000, 2, "rw-s", b"/dev/shm/a b (deleted)", 4),
        mapping(0x7ffd_0000_0000, 33, "rw-p", b"[stack]", 12),
    ];
    let service = mapping(0x1000, 1 << 20, "rw-s", b"/srv/caf\xe9\x1b[2J.db", 3 << 20);
    capture(&[(12, b"bash\0-l\0", &shell.concat()), (4690, b"/usr/sbin/service\0--big\0", &service)])
}

fn shown(arguments: &[&str]) -> String {
    let capture = picture();
    rmap([&["pid", "--proc-root", capture.path().to_str().unwrap()], arguments].concat()).good().text()
}

#[test]
fn the_table_has_this_layout() {
    assert_snapshot!(shown(&["12", "4690"]), @r#"
    12:   bash -l
         Address Perm Size Rss Pss Anonymous Swap Mapping
    5581c0000000 r--p  176 176 176         0    0 /usr/bin/bash
    5581c002c000 r-xp  736 700 700         0    0 /usr/bin/bash
    7f1200000000 rw-p   64   8   8         0    0 [anon]
    7f1210000000 rw-s    8   4   4         0    0 /dev/shm/a b (deleted)
    7ffd00000000 rw-p  132  12  12         0    0 [stack]
       total KiB      1116 900 900         0    0

    4690:   /usr/sbin/service --big
         Address Perm    Size     Rss     Pss Anonymous Swap Mapping
    000000001000 rw-s 4194304 3145728 3145728         0    0 /srv/caf\xe9\x1b[2J.db
       total KiB      4194304 3145728 3145728         0    0
    "#);
}

#[test]
fn all_fields_have_this_layout() {
    assert_snapshot!(shown(&["12", "-XXp"]), @r#"
    12:   bash -l
         Address Perm   Offset Device Inode Size Rss Pss Anonymous Swap VmFlags  Mapping
    5581c0000000 r--p 00000000 fe:00     77  176 176 176         0    0 rd mr me /usr/bin/bash
    5581c002c000 r-xp 00000000 fe:00     77  736 700 700         0    0 rd mr me /usr/bin/bash
    7f1200000000 rw-p 00000000 fe:00     77   64   8   8         0    0 rd mr me [anon]
    7f1210000000 rw-s 00000000 fe:00     77    8   4   4         0    0 rd mr me /dev/shm/a b (deleted)
    7ffd00000000 rw-p 00000000 fe:00     77  132  12  12         0    0 rd mr me [stack]
       total KiB                            1116 900 900         0    0
    "#);
}

#[test]
fn other_units_and_columns_have_this_layout() {
    assert_snapshot!(shown(&["4690", "-H"]), @r#"
    4690:   /usr/sbin/service --big
         Address Perm Size Rss Pss Anonymous Swap Mapping
    000000001000 rw-s   4G  3G  3G         0    0 /srv/caf\xe9\x1b[2J.db
           total        4G  3G  3G         0    0
    "#);
    assert_snapshot!(shown(&["4690", "-b", "-n"]), @r#"
    000000001000 rw-s 4294967296 3221225472 3221225472 0 0 /srv/caf\xe9\x1b[2J.db
     total bytes      4294967296 3221225472 3221225472 0 0
    "#);
    assert_snapshot!(shown(&["12", "-o", "start,end,inode,path"]), @r#"
    12:   bash -l
           Start          End Inode Path
    5581c0000000 5581c002c000    77 /usr/bin/bash
    5581c002c000 5581c00e4000    77 /usr/bin/bash
    7f1200000000 7f1200010000    77
    7f1210000000 7f1210002000    77 /dev/shm/a b (deleted)
    7ffd00000000 7ffd00021000    77 [stack]
    "#);
    assert_snapshot!(shown(&["12", "-o", "+inode,pss_dirty", "-n"]), @r#"
    5581c0000000 r--p  176 176 176 0 0 77 - /usr/bin/bash
    5581c002c000 r-xp  736 700 700 0 0 77 - /usr/bin/bash
    7f1200000000 rw-p   64   8   8 0 0 77 - [anon]
    7f1210000000 rw-s    8   4   4 0 0 77 - /dev/shm/a b (deleted)
    7ffd00000000 rw-p  132  12  12 0 0 77 - [stack]
       total KiB      1116 900 900 0 0    -
    "#);
}

/// The words of a table, without the rules that a terminal shows.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().filter(|word| !word.starts_with('─')).map(str::to_owned).collect()
}

#[test]
fn a_terminal_and_a_pipe_show_the_same_text() {
    if !common::has("script", "bsdutils") {
        return;
    }
    let many: Vec<u8> = (1..1500).flat_map(|place| mapping(place << 16, 1, "r--p", b"/usr/lib/a b", 4)).collect();
    let many = capture(&[(12, b"many\0", &many), (13, b"few\0", &mapping(0x1000, 3, "rw-p", b"[heap]", 4))]);
    let few = picture();
    for (capture, arguments) in [(&few, "12 4690"), (&few, "12 4690 -X"), (&few, "4690 -H -n"), (&many, "13 12 13")] {
        let line = format!("{} pid --proc-root {} {arguments}", common::program().display(), capture.path().display());
        let pipe = shell(&line, &[]).good().text();
        let mut script = Command::new("script");
        script
            .args(["-qec", &format!("stty cols 300 rows 50; {line}"), "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm");
        let terminal = run(script).text();
        assert_eq!(words(&terminal), words(&pipe), "{arguments}");
        assert!(terminal.contains('─') || capture.path() == many.path() || arguments.contains("-n"), "{terminal}");
    }
}

#[test]
fn a_broken_pipe_is_a_success_and_a_full_disk_is_not() {
    let many: Vec<u8> = (1..3000).flat_map(|place| mapping(place << 16, 1, "r--p", b"/usr/lib/a", 4)).collect();
    let capture = capture(&[(12, b"many\0", &many)]);
    for format in rmap::render::FORMATS.iter().map(|format| format.name) {
        let line = format!("rmap pid --proc-root {} 12 --format {format}", capture.path().display());
        let run = shell(&format!("{line} | head -1 | wc -l; exit ${{PIPESTATUS[0]}}"), &[]);
        assert_eq!((run.text().trim(), run.err.as_str(), run.status), ("1", "", Some(0)), "{format}");
        let run = shell(&format!("{line} >/dev/full"), &[]);
        let line = "rmap: standard output: No space left on device\n";
        assert_eq!((run.err.as_str(), run.status), (line, Some(1)), "{format}");
    }
    let run = shell("rmap --help > /dev/full", &[]);
    assert_eq!((run.err.as_str(), run.status), ("rmap: standard output: No space left on device\n", Some(1)));
}

#[test]
fn wrong_usage_exits_with_2_and_writes_nothing() {
    for arguments in [
        &["nonsense"][..],
        &["pid"],
        &["pid", "self", "-o", "nope"],
        &["pid", "self", "-o", "rss,,pss"],
        &["pid", "self", "--nope"],
        &["pid", "self", "--json", "--csv"],
        &["pid", "self", "-b", "-H"],
        &["pid", "self", "--format", "xml"],
        &["pcstat"],
        &["pcstat", "/", "-o", "nope"],
        &["pcstat", "/etc/passwd", "--pps"],
        &["pcstat", "/etc/passwd", "--pid", "x"],
        &["pcstat", "/etc/passwd", "--sort=nope"],
        &["demo", "--size", "1X"],
        &["demo", "--size", "-1"],
        &["demo", "--force"],
        &["demo", "surplus"],
    ] {
        let run = rmap(arguments);
        assert_eq!((run.status, run.out.len()), (Some(2), 0), "{arguments:?}: {run:?}");
        assert!(!run.err.is_empty(), "{arguments:?}");
    }
    let run = rmap(["pid", "self", "-o", "nope"]);
    assert_eq!(run.err, "rmap: nope: unknown column: mappings do not have it; see `rmap pid --help`\n");
}

#[test]
fn help_and_version_go_to_standard_output() {
    for arguments in [&["--help"][..], &["pid", "--help"], &["pcstat", "--help"], &["demo", "--help"], &["--version"]] {
        let run = rmap(arguments).good();
        assert!(!run.out.is_empty());
    }
    assert!(rmap(["pid", "--help"]).text().contains("  anonymous  "));
}

#[test]
fn a_missing_capture_is_one_error() {
    let run = run(command(["pid", "12", "--proc-root", "/nonexistent"]));
    assert_eq!(
        (run.status, run.err.as_str()),
        (Some(1), "rmap: /nonexistent: no such capture; `rmap capture -o FILE` takes one\n")
    );
}
