//! `rmap pcstat` as a user sees it: the layout of its formats, and one clear error for every path that cannot be
//! measured, which does not affect the other paths, does not block and changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use common::{ForEveryone, Run, Subject, disk, known_file, memory, page, rmap, run, shell};
use insta::assert_snapshot;

fn pcstat(options: &[&str], paths: &[&Path]) -> Run {
    let options = options.iter().map(OsStr::new);
    rmap([OsStr::new("pcstat")].into_iter().chain(options).chain(paths.iter().map(|path| path.as_os_str())))
}

/// Runs `rmap pcstat` over a path that cannot be measured, between two files that can, and returns its error.
#[track_caller]
fn complaint(path: &Path) -> String {
    let folder = memory();
    let first = known_file(&folder.path().join("first"), 3 * page(), &[(1, 1)]);
    let last = known_file(&folder.path().join("last"), 2 * page(), &[(0, 2)]);
    let run = pcstat(&["--json"], &[&first.path, path, &last.path]);
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    let cached: Vec<_> = run.json().as_array().unwrap().iter().map(|row| row["cached"].as_u64().unwrap()).collect();
    assert_eq!(cached, [1, 2]);
    let shown = format!("rmap: {}: ", path.display());
    run.err.strip_prefix(&shown).unwrap_or_else(|| panic!("{}", run.err)).trim_end().to_owned()
}

#[test]
fn a_missing_file_is_an_error() {
    let folder = memory();
    assert_eq!(complaint(&folder.path().join("missing")), "no such file");
    let dangling = folder.path().join("dangling");
    symlink("nowhere", &dangling).unwrap();
    assert_eq!(complaint(&dangling), "no such file");
    assert_eq!(complaint(Path::new("/etc/passwd/x")), "Not a directory");
    let circle = folder.path().join("circle");
    symlink("circle", &circle).unwrap();
    assert!(complaint(&circle).starts_with("Too many symbolic links"));
    assert!(complaint(&folder.path().join("x".repeat(300))).starts_with("File name too long"));
}

#[test]
fn a_modification_time_that_no_date_can_express_is_absent() {
    let folder = memory();
    let path = folder.path().join("late");
    let file = fs::File::create(&path).unwrap();
    let seconds = 300_000_000_000;
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
    let path = path.to_str().unwrap();
    let row = &rmap(["pcstat", "--json", path]).rows()[0];
    assert!(row["mtime"].is_null(), "{row}");
    assert_eq!(row["absent"]["mtime"], "unsupported: its date is before the year -9999 or after 9999-12-30 22:00 UTC");
    let terse = rmap(["pcstat", "--terse", "-n", path]).good().text();
    assert_eq!(terse.split(',').nth(3), Some(seconds.to_string().as_str()), "{terse}");
}

#[test]
fn a_directory_is_rejected_with_a_hint() {
    let folder = memory();
    let line = complaint(folder.path());
    assert_eq!(line, "is a directory; use -R to include the files in it");
}

#[test]
fn fifos_sockets_and_character_devices_are_not_opened() {
    let folder = memory();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // If rmap opened it, it would wait for a writer until the time limit of the test ends it.
    assert_eq!(complaint(&fifo), "is a FIFO");
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert_eq!(complaint(&socket), "is a socket");
    assert_eq!(complaint(Path::new("/dev/null")), "is a character device");
}

#[test]
fn files_generated_by_the_kernel_have_no_cached_pages() {
    for path in ["/proc/self/maps", "/proc/version", "/sys/kernel/uevent_seqnum"] {
        if !Path::new(path).exists() {
            eprintln!("SKIPPED: there is no {path} here");
            continue;
        }
        let line = complaint(Path::new(path));
        let words = "where the kernel generates files as they are read: it has no cached pages";
        assert!(line.starts_with("is on ") && line.ends_with(words), "{path}: {line}");
    }
}

#[test]
fn files_of_another_user_are_denied() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = memory();
    let make = |name: &str, mode: u32| {
        let known = known_file(&folder.path().join(name), 4 * page(), &[]);
        fs::set_permissions(&known.path, fs::Permissions::from_mode(mode)).unwrap();
        known
    };
    let (secret, foreign, open) = (make("secret", 0o600), make("foreign", 0o644), make("open", 0o666));
    let paths = [&secret, &foreign, &open].map(|known| known.path.to_str().unwrap());
    let run = everyone.rmap([&["pcstat", "--json"], &paths[..]].concat());
    let rows = run.json();
    assert_eq!(
        run.complaints()[0],
        format!("rmap: {}: permission denied; run as root, or as the user who owns it", paths[0])
    );
    if rows[0]["method"] == "cachestat" && rows[0]["cached"] == 0 {
        return eprintln!("SKIPPED: cachestat on this kernel reports to any user (before 6.12.12)");
    }
    assert_eq!((run.status, run.complaints().len(), rows.as_array().unwrap().len()), (Some(1), 2, 2));
    assert!(run.complaints()[1].starts_with(&format!("rmap: {}: denied: ", paths[1])), "{}", run.err);
    assert_eq!((&rows[0]["size"], &rows[0]["cached"]), (&(4 * page()).into(), &serde_json::Value::Null));
    assert_eq!((&rows[1]["path"], &rows[1]["cached"]), (&paths[2].into(), &0.into()));
}

#[test]
fn a_percentage_is_of_the_files_that_could_be_measured_and_the_others_are_counted() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = memory();
    for (name, mode) in [("foreign", 0o644), ("open", 0o666)] {
        let known = known_file(&folder.path().join(name), 4 * page(), &[(0, 3)]);
        fs::set_permissions(&known.path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let pcstat = |options: &[&str], name: &str| {
        let path = folder.path().join(name);
        everyone.rmap([&["pcstat", "-R", path.to_str().unwrap()], options].concat())
    };
    let listed = pcstat(&["--total", "--json"], "");
    if listed.status == Some(0) {
        return eprintln!("SKIPPED: cachestat on this kernel reports to any user (before 6.12.12)");
    }
    for total in [&listed, &pcstat(&["--by", "name", "--total", "--json"], "")].map(|run| run.json()["total"].clone()) {
        assert_eq!((&total["cached"], &total["percent"]), (&3.into(), &75.0.into()), "{total}");
        assert_eq!(total["rows_without_figure"]["percent"], 1, "{total}");
    }
    for view in [&["--summary"][..], &["--by-dir", "0"]] {
        let row = pcstat(&[view, &["--json"]].concat(), "").json()[0].clone();
        assert_eq!((&row["cached"], &row["percent"], &row["unknown_files"]), (&3.into(), &75.0.into(), &1.into()));
        assert_eq!((&row["pages"], &row["uncached"]), (&8.into(), &1.into()), "{row}");
        let table = pcstat(&[view, &["-o", "percent,unknown_files,bar"]].concat(), "").text();
        let figures: Vec<&str> = table.lines().last().unwrap().split_whitespace().take(2).collect();
        assert_eq!(figures, ["75.000", "1"], "{table}");
        assert!(table.contains('\u{2588}') || table.contains('#'), "{table}");
        // Of nothing there is no share, and it is known why.
        let row = pcstat(&[view, &["--json"]].concat(), "foreign").json()[0].clone();
        assert_eq!((&row["percent"], &row["unknown_files"]), (&serde_json::Value::Null, &1.into()), "{row}");
        assert_eq!((&row["cached"], &row["absent"]["percent"]), (&serde_json::Value::Null, &row["absent"]["cached"]));
        assert!(row["absent"]["percent"].as_str().is_some_and(|why| why.starts_with("denied: ")), "{row}");
    }
    // Of a group, no column counts them.
    let table = pcstat(&["-o", "cached,percent,size", "--by", "size", "--total"], "").text();
    let ends: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(ends, [[">=3", "-"], [">=3", "75.000"]], "{table}");
    assert!(pcstat(&["-o", "cached,percent,name", "--total"], "").text().contains(">=3  75.000"));
}

#[test]
fn a_link_of_map_files_is_not_said_to_be_open_to_its_owner() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = format!("/proc/{}/map_files", std::process::id());
    let name = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().file_name();
    let path = format!("{folder}/{}", name.to_str().unwrap());
    for command in ["pcstat", "who", "evict", "warm", "lock"] {
        let run = everyone.rmap([command, &path]);
        let line = format!("rmap: {path}: permission denied; run as root, or with CAP_CHECKPOINT_RESTORE");
        assert_eq!((run.status, run.complaints()), (Some(1), vec![&line[..]]), "{command}");
    }
}

#[test]
fn hostile_names_are_escaped() {
    let folder = memory();
    for (name, shown) in [
        (&b"two\nlines"[..], "two\\nlines"),
        (b"clear\x1b[2J", "clear\\x1b[2J"),
        (b" a  b ", " a  b "),
        (b"caf\xe9", "caf\\xe9"),
        (b"-o", "-o"),
        (b"x (deleted)", "x (deleted)"),
        ("gpj.\u{202e}exe".as_bytes(), "gpj.\\u{202e}exe"),
    ] {
        let path = folder.path().join(OsStr::from_bytes(name));
        let run = pcstat(&["-n"], &[&path]);
        let line = format!("rmap: {}/{shown}: no such file\n", folder.path().display());
        assert_eq!((run.status, run.err), (Some(1), line));
        fs::write(&path, "x").unwrap();
        let run = pcstat(&["-n"], &[&path]).good();
        assert!(run.text().starts_with(&format!("{}/{shown} ", folder.path().display())), "{run:?}");
        assert_eq!(run.text().lines().count(), 1);
        let run = pcstat(&["--bname", "--histo"], &[&path]).good();
        assert!(run.text().starts_with(shown), "{run:?}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let run = pcstat(&["-n"], &[&path]);
        assert_eq!((run.status, run.complaints().len(), run.err.contains('\x1b')), (Some(1), 1, false), "{run:?}");
    }
}

#[test]
fn an_empty_file_has_no_percent() {
    let folder = memory();
    let empty = known_file(&folder.path().join("empty"), 0, &[]);
    let run = pcstat(&["-n", "-o", "size,pages,cached,percent"], &[&empty.path]).good();
    assert_eq!(run.text(), "0 0 0 -\n");
}

#[test]
fn a_file_that_changes_size_during_the_measurement() {
    for folder in [memory(), disk()] {
        let path = folder.path().join("restless");
        let calm = known_file(&folder.path().join("calm"), page(), &[(0, 1)]);
        let file = File::create(&path).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    file.write_all_at(&vec![1; 40 * page() as usize], 0).unwrap();
                    file.set_len(0).unwrap();
                }
            });
            let mut kinds = [0; 2];
            for turn in 0..30 {
                let options: &[&str] = if turn % 2 == 0 { &["--json"] } else { &["--json", "--pps"] };
                let run = pcstat(options, &[&path, &calm.path]);
                assert!(run.complaints().len() <= 1 && run.status == Some(run.complaints().len() as i32), "{run:?}");
                let rows = run.json();
                let row =
                    |path: &Path| rows.as_array().unwrap().iter().find(|row| row["path"] == path.to_str().unwrap());
                assert_eq!(row(&calm.path).unwrap()["cached"], 1);
                let row = row(&path);
                let (Some(pages), Some(cached)) =
                    row.map_or((None, None), |row| (row["pages"].as_u64(), row["cached"].as_u64()))
                else {
                    continue;
                };
                kinds[usize::from(row.unwrap()["changed"].as_bool().unwrap())] += 1;
                assert!(cached <= pages && pages <= 40, "{row:?}");
            }
            stop.store(true, Ordering::Relaxed);
            assert!(kinds[0] + kinds[1] > 0, "it was never measured");
        });
    }
}

#[test]
fn measuring_does_not_change_the_access_time() {
    let folder = disk();
    let known = known_file(&folder.path().join("f"), 5 * page(), &[(2, 1)]);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 365);
    File::open(&known.path).unwrap().set_times(FileTimes::new().set_accessed(old)).unwrap();
    for options in [&["--json"][..], &["--json", "--pps"], &["--histo"], &[]] {
        pcstat(options, &[&known.path]).good();
        assert_eq!(known.path.metadata().unwrap().atime(), 86_400 * 365, "{options:?}");
    }
    assert_eq!(pcstat(&["-n", "-o", "cached"], &[&known.path]).text(), "1\n");
}

/// Three files on tmpfs, measured from within their folder, so that their names are short.
fn shown(options: &str) -> String {
    let folder = memory();
    let _files = [
        known_file(&folder.path().join("half.db"), 8 * page(), &[(0, 2), (6, 2)]),
        known_file(&folder.path().join("full"), 3 * page() + 1, &[(0, 4)]),
        known_file(&folder.path().join("empty"), 0, &[]),
    ];
    shell(&format!("cd {}; rmap pcstat {options} half.db full empty", folder.path().display()), &[]).good().text()
}

/// Whether the expected layouts are valid on this machine.
fn is_as_in_the_pictures() -> bool {
    if page() != 4096 {
        eprintln!("SKIPPED: the pictures are of a machine with pages of 4 KiB");
    }
    page() == 4096 && common::has_cachestat()
}

#[test]
fn name_means_filename_in_every_option() {
    let folder = memory();
    let known = known_file(&folder.path().join("known"), 2 * page(), &[(0, 1)]);
    let answer = |name: &str, options: &[&str]| {
        let options = options.iter().map(|option| option.replace("NAME", name));
        let path = known.path.to_str().unwrap().to_owned();
        rmap(["pcstat".to_owned()].into_iter().chain(options).chain([path])).good().text()
    };
    for options in [
        &["-o", "NAME,size", "--json"][..],
        &["-o", "+NAME"],
        &["-o", "+NAME", "--runs", "--csv"],
        &["--sort=NAME", "-o", "size"],
        &["--filter", "NAME=~known", "-o", "size", "--jsonl"],
    ] {
        assert_eq!(answer("name", options), answer("filename", options), "{options:?}");
    }
    let none = rmap(["pcstat", "--filter", "name=~unknown", "--json", known.path.to_str().unwrap()]);
    assert_eq!(none.parts(), (0, "[]\n".to_owned(), "rmap: --filter: no row matches\n".to_owned()));
}

#[test]
fn a_title_of_the_table_means_its_column_in_every_option() {
    let folder = disk();
    // Dirty for a while, because nothing asks for them to be written.
    let [three, one] = [("three", 3), ("one", 1)].map(|(name, pages)| {
        let path = folder.path().join(name);
        fs::write(&path, vec![1; pages * page() as usize]).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(4 * page()).unwrap();
        path
    });
    let shown = |options: &[&str]| pcstat(&[&["-n"], options].concat(), &[&three, &one]).good().text();
    let same = |titled: &[&str], named: &[&str]| assert_eq!(shown(titled), shown(named), "{titled:?}");
    // Pages, as in the table, and not the bytes that the column `dirty` has.
    same(&["-o", "Dirty,Name"], &["-o", "dirty_pages,filename"]);
    same(&["-o", "+Dirty size"], &["-o", "+dirty"]);
    same(&["--by", "Reclaimed", "-o", "Dirty"], &["--by", "evicted_pages", "-o", "dirty_pages"]);
    same(&["--sort", "-Dirty", "-o", "Name"], &["--sort", "-dirty_pages", "-o", "name"]);
    let names = |filter: &str| shown(&["--bname", "-o", "filename", "--filter", filter]);
    assert_eq!((names("Dirty > 2"), names("dirty > 2")), ("three\n".to_owned(), "three\none\n".to_owned()));
    assert_eq!((names("Pages > Cached"), names("\"Dirty size\" > 2")), (names("dirty > 2"), names("dirty > 2")));
    // Upper case that is no title is a name, as it always was.
    same(&["-o", "DIRTY"], &["-o", "dirty"]);
    let unknown = pcstat(&["--filter", "Drity > 1"], &[&one]);
    assert!(unknown.err.starts_with("rmap: --filter: unknown column 'Drity'; did you mean 'dirty'"), "{}", unknown.err);
    // Of two columns with one title, the one that is shown.
    let processes = |options: &[&str]| rmap([&["ps", "self", "--csv", "--no-total"], options].concat()).text();
    assert!(processes(&["-o", "Command"]).starts_with("command\r\n"));
    let tree = rmap(["ps", "self", "--tree", "--csv", "-o", "Command"]).text();
    assert!(tree.starts_with("tree,"), "{tree}");
}

#[test]
fn the_table_has_this_layout() {
    if is_as_in_the_pictures() {
        assert_snapshot!(shown("--total"), @r#"
    Name         Size Pages Cached Percent Dirty Writeback Reclaimed Recently Method    Note
    half.db     32768     8      4  50.000     0         0         0        0 cachestat
    full        12289     4      4 100.000     0         0         0        0 cachestat
    empty           0     0      0       -     0         0         0        0 cachestat
    total bytes 45057    12      8  66.667     0         0         0        0
    "#);
        assert_snapshot!(shown("-H --nohdr"), @r#"
    half.db 32K 32K 16K  50.000 0 0 0 0 cachestat
    full    12K 16K 16K 100.000 0 0 0 0 cachestat
    empty     0   0   0       - 0 0 0 0 cachestat
    "#);
    }
}

#[test]
fn selected_columns_have_this_layout() {
    if is_as_in_the_pictures() {
        assert_snapshot!(shown("-o size,cached,filename --sort=-cached --total"), @r#"
     Size Cached Name
        0      0 empty
    32768      4 half.db
    12289      4 full
    45057      8 total bytes
    "#);
        assert_snapshot!(shown("--sort name"), @r#"
    Name     Size Pages Cached Percent Dirty Writeback Reclaimed Recently Method    Note
    empty       0     0      0       -     0         0         0        0 cachestat
    full    12289     4      4 100.000     0         0         0        0 cachestat
    half.db 32768     8      4  50.000     0         0         0        0 cachestat
    "#);
    }
}

#[test]
fn the_pcstat_formats_have_this_layout() {
    if is_as_in_the_pictures() {
        assert_snapshot!(shown("--histo"), @r#"
    half.db 8 ██▁▁▁▁██
    full    4 ████
    empty   0
    "#);
        let terse = shown("-terse");
        let lines: Vec<Vec<&str>> = terse.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines[0].join(","), "filename,size,timestamp,mtime,pages,cached,percent");
        assert!(lines[1][2..4].iter().all(|time| time.parse::<u64>().unwrap() > 1_600_000_000), "{terse}");
        assert_eq!((lines[1][1], lines[1][4], lines[1][5], lines[1][6]), ("32768", "8", "4", "50"));
        assert!(!terse.contains('\r'));
    }
}

#[test]
fn a_terminal_and_a_pipe_show_the_same_text() {
    if !common::has("script", "bsdutils") {
        return;
    }
    let folder = memory();
    let known = known_file(&folder.path().join("f g"), 8 * page(), &[(0, 2)]);
    for options in ["-b", "-b --total", "-n -H"] {
        let options = format!("{options} -o filename,size,cached,dirty_pages");
        let line = format!("{} pcstat {options} '{1}' '{1}'", common::program().display(), known.path.display());
        let mut script = Command::new("script");
        script
            .args(["-qec", &format!("stty cols 300 rows 50; {line}"), "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("LC_ALL", "C.UTF-8");
        let words = |text: String| -> Vec<String> {
            text.split_whitespace().filter(|word| !word.starts_with('─')).map(str::to_owned).collect()
        };
        assert_eq!(words(run(script).text()), words(shell(&line, &[]).good().text()), "{options}");
    }
}

#[test]
fn pid_shows_the_files_that_a_process_maps() {
    let folder = memory();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (kept, gone) = (path("kept"), path("gone"));
    // A file with the name that the kernel reports for the removed one.
    fs::write(path("gone (deleted)"), "another").unwrap();
    let subject =
        Subject::start([format!("shared:{kept}:4:2"), format!("shared:{gone}:5:5"), format!("unlink:{gone}")]);
    let run = rmap(["pcstat", "--json", "--pid", &subject.word()]);
    let rows = run.json();
    let row = |path: &str| rows.as_array().unwrap().iter().find(|row| row["path"] == path).cloned();
    assert_eq!(row(&kept).unwrap()["cached"], 4);
    // 5 pages if it could be found, otherwise an error, but never the figures of the other file.
    match row(&format!("{gone} (deleted)")) {
        Some(row) => assert_eq!(row["cached"], 5, "{row}"),
        None => assert!(run.status == Some(1) && run.err.contains("gone (deleted): "), "{run:?}"),
    }
}

#[test]
fn a_method_that_does_not_tell_which_pages_are_up_to_date_says_so() {
    if !common::has_cachestat() {
        return;
    }
    let row = |method: &str, view: &[&str], path: &Path| {
        pcstat(&[&["--method", method, "--json"], view].concat(), &[path]).good().rows()[0].clone()
    };
    // On tmpfs lseek tells: blocks that were reserved and never written are not cached.
    let folder = memory();
    let reserved = folder.path().join("reserved");
    let file = File::create(&reserved).unwrap();
    nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, 64 * page() as i64).unwrap();
    file.write_all_at(&vec![1; 10 * page() as usize], 8 * page()).unwrap();
    for view in [&[][..], &["--map"], &["--pps"]] {
        for method in ["cachestat", "mincore"] {
            assert_eq!(row(method, view, &reserved)["cached"], 10, "{method} {view:?}");
        }
    }
    let exact = row("cachestat", &["-o", "not_up_to_date_pages,note"], &reserved);
    assert_eq!(exact["not_up_to_date_pages"], 54, "{exact}");
    // Elsewhere nothing does: truncating has left a page in a hole.
    let folder = disk();
    let (cut, whole) = (folder.path().join("cut"), folder.path().join("whole"));
    let file = File::create(&cut).unwrap();
    file.set_len(1 << 20).unwrap();
    file.set_len(100_001).unwrap();
    fs::write(&whole, vec![1; 4 * page() as usize]).unwrap();
    let found = row("cachestat", &[], &cut);
    if found["cached"] == 0 {
        eprintln!("SKIPPED: truncating leaves no page on this file system");
        return;
    }
    let why = "fewer may be cached: cachestat alone does not tell which pages are up to date";
    assert_eq!(found["note"], why, "{found}");
    assert_eq!(row("cachestat", &["--map"], &cut)["note"], why);
    let exact = pcstat(&["--json"], &[&cut]).good().rows()[0].clone();
    assert_eq!(
        (&exact["cached"], &exact["note"]),
        (&0.into(), &"other pages are in the page cache, but not up to date".into())
    );
    assert!(row("cachestat", &[], &whole)["note"].is_null(), "a file without holes has no such page");
}

#[test]
fn a_broken_pipe_is_a_success_and_a_full_disk_is_not() {
    let folder = memory();
    let known = known_file(&folder.path().join("f"), 200_000 * page(), &[]);
    let line = format!("rmap pcstat --json --pps {}", known.path.display());
    let run = shell(&format!("{line} | head -c1; exit ${{PIPESTATUS[0]}}"), &[]);
    assert_eq!((run.text().as_str(), run.err.as_str(), run.status), ("[", "", Some(0)));
    for format in rmap::render::FORMATS.iter().map(|format| format.name) {
        let run = shell(&format!("rmap pcstat --format {format} {} >/dev/full", known.path.display()), &[]);
        assert_eq!((run.err.as_str(), run.status), ("rmap: standard output: No space left on device\n", Some(1)));
    }
}

#[test]
fn no_line_of_a_table_in_a_pipe_ends_in_blanks_however_many_there_are() {
    let folder = memory();
    let names: Vec<String> =
        (0..1200u32).map(|number| format!("{}-{number}", "n".repeat(number as usize % 40))).collect();
    names.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
    let paths = names.iter().map(|name| folder.path().join(name).into_os_string());
    let options = ["pcstat", "-o", "pages,filename,note"].map(std::ffi::OsString::from);
    let text = rmap(options.into_iter().chain(paths)).good().text();
    assert_eq!(text.lines().count(), 1201, "{text}");
    let padded: Vec<&str> = text.lines().filter(|line| line.ends_with(' ')).collect();
    assert_eq!(padded, [""; 0]);
}

#[test]
fn of_a_sum_over_nothing_that_could_be_read_nothing_more_is_said() {
    let folder = memory();
    let missing = folder.path().join("missing");
    let run = pcstat(&["--summary", "--only-cached"], &[&missing]);
    let line = format!("rmap: {}: no such file", missing.display());
    assert_eq!((run.status, run.complaints()), (Some(1), vec![&line[..]]), "{run:?}");
}
