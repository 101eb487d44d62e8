//! The output options combine: filter, grouping, order, top, total, repetition and format, in every view.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{
    Running, Subject, capture, command, copy_to_run, mapping, memory, own_user, page, rmap, subject_program, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Two stopped subjects with a unique name, so that `--name` finds only these.
struct Service {
    name: String,
    subjects: Vec<Subject>,
    _folder: tempfile::TempDir,
}

fn service() -> Service {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let name = format!("svc-{}", std::process::id() % 100_000 + rand_number());
    let program: PathBuf = folder.path().join(&name);
    copy_to_run(&subject_program(), &program);
    let subjects = (0..2).map(|_| {
        let subject = Subject::of(
            Command::new(&program).arg("anonymous:16:5").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap(),
        );
        let comm = format!("/proc/{}/comm", subject.pid());
        wait_until("it runs", || std::fs::read_to_string(&comm).unwrap().trim() == name);
        let stat = format!("/proc/{}/stat", subject.pid());
        wait_until("it waits", || std::fs::read_to_string(&stat).unwrap().contains(") S "));
        subject
    });
    let subjects: Vec<Subject> = subjects.collect();
    subjects.iter().for_each(Subject::stop);
    Service { name, subjects, _folder: folder }
}

/// A number that no other test in this program uses.
fn rand_number() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    NEXT.fetch_add(100_000, std::sync::atomic::Ordering::Relaxed)
}

/// The sum of a counter of smaps_rollup over processes, in bytes.
fn rollup(subjects: &[Subject], name: &str) -> u64 {
    let of = |subject: &Subject| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", subject.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    subjects.iter().map(of).sum()
}

fn parts(rows: &Value) -> BTreeMap<String, Value> {
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| (row["part"].as_str().unwrap().to_owned(), row["amount"].clone())).collect()
}

#[test]
fn several_processes_are_added_up_into_one_summary() {
    let service = service();
    let merged = rmap(["pid", "--name", &service.name, "--summary", "--merge", "--json"]).good().json();
    let sums = parts(&merged);
    assert_eq!(sums["resident"], rollup(&service.subjects, "Rss"));
    assert_eq!(sums["anonymous"], rollup(&service.subjects, "Anonymous"));
    assert!(merged[0]["pid"].is_null() && merged[0]["absent"]["pid"].is_string(), "{merged}");
    let filtered = ["--filter", "amount > 0 && part =~ '^(resident|anonymous)$'", "--sort", "-amount", "-o", "part"];
    let text = rmap([&["pid", "--name", &service.name, "--summary", "--merge", "-n"], &filtered[..]].concat()).good();
    assert_eq!(text.text(), "anonymous\nresident\n");
}

#[test]
fn processes_are_grouped_by_pid_user_and_cgroup() {
    let service = service();
    let rss = rollup(&service.subjects, "Rss");
    for (key, groups) in [("user", 1), ("cgroup", 1), ("pid", 2), ("command", 1)] {
        let found = rmap(["pid", "--name", &service.name, "--by", key, "--json"]).good().json();
        let rows = found["groups"].as_array().unwrap();
        assert_eq!(rows.len(), groups, "{key}: {found}");
        assert_eq!(rows.iter().map(|row| row["rss"].as_u64().unwrap()).sum::<u64>(), rss, "{key}");
        assert_eq!(found["total"]["rss"], rss, "{key}");
    }
    let user = own_user();
    let table = rmap(["pid", "--name", &service.name, "--by", "user"]).good().text();
    assert!(table.lines().any(|line| line.ends_with(&format!(" {user}"))), "{table}");
    let summary = rmap(["pid", "--name", &service.name, "--summary", "--by", "user", "--json"]).good().json();
    assert_eq!((&summary[0]["user"], &summary[0]["processes"]), (&user.as_str().into(), &2.into()), "{summary}");
    assert_eq!(parts(&summary[0]["parts"])["resident"], rss);
}

#[test]
fn filter_sort_top_and_total_work_on_groups() {
    let maps = [
        mapping(0x1000_0000, 4, "r-xp", b"/lib/a", 8),
        mapping(0x2000_0000, 8, "rw-p", b"", 32),
        mapping(0x3000_0000, 2, "rw-p", b"", 4),
        mapping(0x4000_0000, 2, "r--p", b"/lib/b", 4),
    ];
    let root = capture(&[(7, b"x\0", &maps.concat())]);
    let root = root.path().to_str().unwrap();
    let groups = |options: &[&str]| {
        let all = [&["pid", "7", "--proc-root", root, "--by", "perm", "-n", "-o", "mappings,rss"], options].concat();
        rmap(all).good().text().split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(groups(&["--no-total"]), "2 36 rw-p 1 8 r-xp 1 4 r--p");
    assert_eq!(groups(&["--sort", "-rss", "--top", "1", "--no-total"]), "1 4 r--p");
    assert_eq!(groups(&["--filter", "rss > 4K", "--sort", "mappings"]), "1 8 r-xp 1 32 rw-p 2 40 total KiB");
}

#[test]
fn groups_that_several_processes_have_rows_in_have_a_total() {
    let maps = [mapping(0x1000_0000, 4, "r-xp", b"/lib/a", 8), mapping(0x2000_0000, 8, "rw-p", b"", 32)].concat();
    let root = capture(&[(7, b"x\0", &maps), (8, b"y\0", &maps)]);
    let options = ["pid", "7", "8", "--proc-root", root.path().to_str().unwrap(), "--merge", "--by", "kind", "--json"];
    let document = rmap([&options[..], &["--total"]].concat()).good().json();
    assert_eq!(document["total"]["rss"], 2 * 40 * 1024, "{document}");
}

/// Reads JSON lines until one matches.
fn row_where(running: &mut Running, wanted: impl Fn(&Value) -> bool) -> Value {
    (0..500).map(|_| running.row()).find(|row| wanted(row)).unwrap()
}

/// Replaces the smaps of a captured process in one step, so that no round sees an intermediate state.
fn replace_smaps(root: &Path, text: &[u8]) {
    let staged = tempfile::tempdir_in(root).unwrap();
    std::fs::write(staged.path().join("smaps"), text).unwrap();
    std::fs::rename(staged.path().join("smaps"), root.join("7/smaps")).unwrap();
}

#[test]
fn watching_groups_shows_changes() {
    let root = capture(&[(7, b"x\0", &mapping(0x1000_0000, 2, "rw-p", b"", 8))]);
    let folder = root.path().to_str().unwrap();
    let options = ["pid", "7", "--proc-root", folder, "--by", "perm", "-w", "0.05", "--jsonl", "-o", "mappings,rss"];
    let mut watching = Running::start(command(options));
    assert_eq!(watching.row()["perm"], "rw-p");
    let two = [mapping(0x1000_0000, 2, "rw-p", b"", 8), mapping(0x2000_0000, 1, "r--p", b"/a", 4)].concat();
    replace_smaps(root.path(), &two);
    let new = row_where(&mut watching, |row| row["fate"] == "new");
    assert_eq!((&new["perm"], &new["rss"], &new["mappings"]), (&"r--p".into(), &4096.into(), &1.into()));
    replace_smaps(root.path(), &mapping(0x1000_0000, 2, "rw-p", b"", 4));
    let changed = row_where(&mut watching, |row| row["fate"] == "changed");
    assert_eq!((&changed["perm"], &changed["rss_change"]), (&"rw-p".into(), &(-4096).into()));
    assert_eq!(row_where(&mut watching, |row| row["fate"] == "gone")["perm"], "r--p");
    assert_eq!(watching.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn the_map_and_summary_of_a_process_can_be_watched() {
    let subject = Subject::start(["anonymous:16:5"]);
    subject.stop();
    let word = subject.word();
    let start = &subject.made[0].start;
    let mut map = Running::start(command(["pid", &word, "--map", "-A", start, "-w", "0.05"]));
    let first: Vec<String> = (0..5).map(|_| map.line()).collect();
    assert!(first[0].starts_with(&format!("{word}:   ")) && first[3] == "  #####...........\n", "{first:?}");
    assert!((0..20).map(|_| map.line()).any(|line| line == first[3]), "the second round has no strip");
    assert_eq!(map.end(Signal::SIGINT).0, Some(0));

    let mut summary = Running::start(command(["pid", &word, "--summary", "-w", "0.05", "--jsonl"]));
    let resident = rollup(std::slice::from_ref(&subject), "Rss");
    for _ in 0..2 {
        let row = row_where(&mut summary, |row| row["part"] == "resident");
        assert_eq!(row["amount"], resident, "{row}");
    }
    assert_eq!(summary.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn the_map_and_summary_of_files_can_be_watched() {
    let folder = memory();
    let path = folder.path().join("f");
    std::fs::write(&path, vec![1; 4 * page() as usize]).unwrap();
    let [file, tree] = [&path, &folder.path().to_owned()].map(|path| path.to_str().unwrap().to_owned());
    let mut map = Running::start(command(["pcstat", "--map", "-w", "0.05", "--jsonl", "-o", "page_map,cached", &file]));
    assert_eq!(map.row()["page_map"], "####");
    let mut sums = Running::start(command(["pcstat", "-R", &tree, "--summary", "-w", "0.05", "--jsonl"]));
    assert_eq!(sums.row()["files"], 1);
    std::fs::write(&path, vec![1; 6 * page() as usize]).unwrap();
    std::fs::write(folder.path().join("g"), "x").unwrap();
    assert_eq!(row_where(&mut map, |row| row["cached"] == 6)["page_map"], "######");
    assert_eq!(row_where(&mut sums, |row| row["files"] == 2)["cached"], 7);
    assert_eq!(map.end(Signal::SIGINT).0, Some(0));
    assert_eq!(sums.end(Signal::SIGTERM).0, Some(0));

    let mut by_directory = Running::start(command(["pcstat", "-R", &tree, "--by-dir", "1", "-w", "0.05", "--jsonl"]));
    assert_eq!(by_directory.row()["directory"], tree.as_str());
    let mut runs = Running::start(command(["pcstat", "--runs", "-w", "0.05", "--jsonl", &file]));
    assert_eq!(runs.row()["state"], "cached");
    assert_eq!(by_directory.end(Signal::SIGINT).0, Some(0));
    assert_eq!(runs.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn sort_top_and_filter_work_on_directories() {
    let folder = memory();
    for (name, pages) in [("a/one", 4), ("b/two", 7), ("b/three", 1)] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![1; pages * page() as usize]).unwrap();
    }
    let tree = folder.path().to_str().unwrap();
    let by_directory =
        |options: &[&str]| rmap([&["pcstat", "-R", tree, "--by-dir", "1", "--json"], options].concat()).rows();
    let largest = by_directory(&["--sort", "cached", "--top", "1"]);
    assert_eq!((largest.len(), &largest[0]["directory"], &largest[0]["cached"]), (1, &tree.into(), &12.into()));
    let smallest = by_directory(&["--sort", "-cached", "--top", "1"]);
    assert_eq!(smallest[0]["directory"], format!("{tree}/a"));
    let large_files = by_directory(&["--filter", "pages > 1"]);
    assert_eq!(large_files.iter().map(|row| row["files"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 1, 1]);
    let summary = rmap(["pcstat", "-R", tree, "--summary", "--json", "--filter", "pages > 4"]).rows();
    assert_eq!((&summary[0]["files"], &summary[0]["cached"]), (&1.into(), &7.into()));
}

#[test]
fn by_filter_and_total_work_on_files_and_stretches() {
    let folder = memory();
    let path = folder.path().join("f");
    let file = std::fs::File::create(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![1; page() as usize], 3 * page()).unwrap();
    let path = path.to_str().unwrap();
    let states = rmap(["pcstat", "--runs", "--by", "state", "--jsonl", "-o", "pages", path]).good().lines_of_json();
    let pages = |state: &str| states.iter().find(|row| row["state"] == state).unwrap()["pages"].clone();
    assert_eq!((pages("hole"), pages("cached")), (3.into(), 1.into()));
    let long = |least: &str| rmap(["pcstat", "--runs", "--min-run", least, "--jsonl", path]);
    let count = |least: u64| long(&least.to_string()).lines_of_json().len();
    assert_eq!([page(), page() + 1, 3 * page() + 1].map(count), [2, 1, 0]);
    assert_eq!(long("1G").err, "rmap: --min-run: no row matches\n");
    let wrong = rmap(["pcstat", "--min-run", "1M", path]);
    assert_eq!((wrong.status, wrong.err.contains("use it with --runs")), (Some(2), true), "{wrong:?}");
    let total = rmap(["pcstat", "--runs", "--filter", "is_cached", "--total", "--json", path]).good().json();
    assert_eq!((&total["total"]["pages"], &total["total"]["rows"]), (&1.into(), &1.into()));
    let held = rmap(["pcstat", "--by", "method", "--json", path]).good().json();
    assert_eq!((&held[0]["files"], &held[0]["cached"]), (&1.into(), &1.into()), "{held}");
}

#[test]
fn filter_and_sort_work_on_warm_evict_and_lock() {
    let folder = memory();
    for (name, pages) in [("small", 1), ("large", 5)] {
        std::fs::write(folder.path().join(name), vec![1; pages * page() as usize]).unwrap();
    }
    let tree = folder.path().to_str().unwrap();
    let warmed = |options: &[&str]| {
        let names = rmap([&["warm", "-R", "--no-header", "-o", "pages", tree], options].concat()).good().text();
        names.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(warmed(&["--sort", "pages"]), "5 1");
    assert_eq!(warmed(&["--filter", "pages > 1"]), "5");
    assert_eq!(warmed(&["--sort", "pages", "--top", "1"]), "5");
    let locked = |options: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(common::program());
        shell.args(["lock", "-R", "--no-header", "-o", "pages", tree]).args(options);
        let mut running = Running::start(shell);
        let lines = std::iter::repeat_with(|| running.line()).take_while(|line| !line.contains("until Ctrl-C"));
        let shown = lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>().join(" ");
        (shown, running.end(Signal::SIGINT).0)
    };
    assert_eq!(locked(&["--sort", "pages"]), ("5 1".to_owned(), Some(0)));
    assert_eq!(locked(&["--filter", "pages == 1"]), ("1".to_owned(), Some(0)));
}

#[test]
fn meaningless_options_are_rejected_in_one_line() {
    let file = "/etc/passwd";
    for options in [
        &["pcstat", "--summary", "--sort=cached", file][..],
        &["pcstat", "--summary", "--top", "1", file],
        &["pcstat", "--summary", "--total", file],
        &["pcstat", "--by-dir", "1", "--total", file],
        &["pcstat", "--map", "--by", "method", file],
        &["pid", "self", "--summary", "--by", "kind"],
        &["demo", "--size", "1M", "-w", "1"],
        &["lock", "-w", "1", file],
        &["pid", "self", "--by", "nope"],
        &["pid", "self", "--json", "--csv"],
        &["pid", "self", "--human", "--json"],
        &["pid"],
        &["pid", "self", "--by", "page_map"],
        &["pid", "self", "--summary", "--merge", "--filter", "pid == 1"],
        &["pid", "self", "--summary", "--by", "user", "--filter", "cgroup =~ a"],
        &["pid", "self", "--by", "path_bytes"],
        &["pcstat", "--pps", "--json", "--by", "method", file],
        &["pcstat", "--terse", "--by", "method", file],
        &["pcstat", "--nope", file],
    ] {
        let run = rmap(options);
        assert_eq!((run.status, run.out.len(), run.complaints().len()), (Some(2), 0, 1), "{options:?}: {run:?}");
    }
}

#[test]
fn a_view_that_excludes_another_says_why() {
    let file = "/etc/passwd";
    for (options, why) in [
        (&["--summary", "--map"][..], "--summary, --map: each of these is a view of its own; choose one of them"),
        (&["--histo", "--by-dir", "1"], "--by-dir, --histo: each of these is a view of its own; choose one of them"),
        (&["--runs", "--json", "--pps"], "--pps: only the list of files has an array of pages"),
        (
            &["--terse", "--total"],
            "--terse: pcstat's values have fixed columns and units; use --csv with other options",
        ),
        (&["--plain", "--json"], "--plain, --unicode: only tables have rules"),
        (&["--follow"], "--follow: it is about walking directories; use it with -R"),
        (&["-0"], "-0: it is about a list of names; use it with --files-from"),
        (&["--total", "--csv"], "--total: only tables and JSON documents have a place for it"),
    ] {
        let run = rmap(["pcstat", file].iter().chain(options));
        assert_eq!((run.status, run.err.trim_end()), (Some(2), format!("rmap: {why}").as_str()), "{options:?}");
    }
    let run = rmap(["pcstat", "--top", "x", file]);
    assert!(run.err.contains("invalid value 'x' for '--top <N>': use a whole number, such as 10"), "{}", run.err);
}

#[test]
fn several_filters_must_all_match() {
    let maps = [mapping(0x1000_0000, 2, "rw-p", b"", 8), mapping(0x2000_0000, 4, "r--p", b"", 8)];
    let root = capture(&[(7, b"x\0", &maps.concat())]);
    let shown = |filters: &[&str]| {
        let filters = filters.iter().flat_map(|filter| ["--filter", *filter]);
        let options = ["pid", "7", "--proc-root", root.path().to_str().unwrap(), "--jsonl"];
        let run = rmap(options.into_iter().chain(filters));
        let rows = run.lines_of_json().len();
        assert_eq!((run.status, run.err.is_empty()), (Some(0), rows > 0), "{run:?}");
        rows
    };
    assert_eq!((shown(&["rss > 0"]), shown(&["rss > 0", "perm == rw-p || perm == r--p"])), (2, 2));
    assert_eq!((shown(&["rss > 0", "perm == rw-p"]), shown(&["perm == r--p", "perm == rw-p"])), (1, 0));
}

#[test]
fn text_of_every_kind_is_sorted_and_a_strip_is_refused() {
    let with_flags = |start, flags: &str| {
        let text = String::from_utf8(mapping(start, 2, "rw-p", b"", 8)).unwrap();
        text.replace("VmFlags: rd mr me", &format!("VmFlags: {flags}")).into_bytes()
    };
    let maps = [with_flags(0x1000_0000, "rd wr"), with_flags(0x2000_0000, "rd ex"), with_flags(0x3000_0000, "rd mr")];
    let root = capture(&[(7, b"x\0", &maps.concat())]);
    let sorted = |column: &str| -> Vec<Value> {
        let options = ["pid", "7", "--proc-root", root.path().to_str().unwrap(), "--jsonl", "-o", "start", "--sort"];
        rmap(options.into_iter().chain([column]))
            .good()
            .lines_of_json()
            .iter()
            .map(|row| row["start"].clone())
            .collect()
    };
    assert_eq!(sorted("flags"), ["20000000", "30000000", "10000000"]);
    assert_eq!(sorted("-flags"), ["10000000", "30000000", "20000000"]);
    let refused = rmap(["pid", "self", "--sort", "page_map"]);
    assert_eq!(
        (refused.status, refused.complaints()),
        (Some(2), vec!["rmap: page_map: rows cannot be sorted by this column"])
    );
}

#[test]
fn the_cache_and_the_page_tables_are_shown_together() {
    let subject = Subject::start(["anonymous:16:5"]);
    let text = rmap(["pid", "--cache", "--map", &subject.word()]).text();
    let header = text.lines().nth(1).unwrap();
    assert!(header.contains("Range") || header.contains("Cached"), "{header}");
    assert!(text.contains("\n  #####...........\n"), "{text}");
}

#[test]
fn summaries_are_grouped_by_command() {
    let service = service();
    let run = rmap(["pid", "--name", &service.name, "--summary", "--by", "command", "--json"]).good();
    let groups = run.json();
    assert_eq!(groups.as_array().unwrap().len(), 1, "{groups}");
    let resident = &parts(&groups[0]["parts"])["resident"];
    assert_eq!(*resident, rollup(&service.subjects, "Rss"));
    assert!(groups[0]["command"].as_str().unwrap().ends_with("anonymous:16:5"), "{groups}");
}

#[test]
fn an_offset_that_changes_has_a_change() {
    let subject = Subject::start(["anonymous:16:5"]);
    let options = ["pid", &subject.word(), "-w", "0.05", "--jsonl", "-o", "offset"];
    let mut watching = Running::start(command(options));
    let row = row_where(&mut watching, |row| row["offset_change"] == 0);
    assert_eq!(row["fate"], Value::Null);
    assert_eq!(watching.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn what_is_no_amount_has_no_change() {
    let subject = Subject::start(["anonymous:16:5"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    std::fs::write(&file, b"x").unwrap();
    let (pid, file) = (subject.word(), file.to_str().unwrap().to_owned());
    let (all, sizes) = (&["pid", &pid][..], &["pid", &pid, "--by", "page_size"][..]);
    let derived = &["pid", &pid, "-o", "page_size,numa_page_size,size"][..];
    let (processes, files) = (&["ps", &pid][..], &["pcstat", &file][..]);
    for (view, identifiers, amount) in [
        (all, &["pid", "inode", "kernelpagesize", "mmupagesize"][..], "rss"),
        (derived, &["page_size", "numa_page_size"], "size"),
        (sizes, &["pid", "page_size"], "rss"),
        (processes, &["pid", "parent"], "rss"),
        (files, &["page_size"], "cached"),
    ] {
        let row = Running::start(command([view, &["-w", "0.05", "--jsonl"]].concat())).row();
        assert!(row.get(format!("{amount}_change")).is_some(), "{view:?}: {row}");
        for id in identifiers {
            assert!(row.get(*id).is_some() && row.get(format!("{id}_change")).is_none(), "{view:?}: {id}: {row}");
        }
    }
}

#[test]
fn a_total_of_pages_alone_has_no_unit_of_bytes() {
    let folder = memory();
    let path = folder.path().join("file");
    std::fs::write(&path, "own").unwrap();
    let text = rmap(["pcstat", path.to_str().unwrap(), "-o", "pages,filename", "--total"]).good().text();
    assert!(text.ends_with(" total\n"), "{text}");
}

#[test]
fn a_merged_group_stays_the_same_when_its_processes_change() {
    let smaps = mapping(0x1000_0000, 2, "rw-p", b"", 8);
    let root = capture(&[(7, b"x\0", &smaps), (8, b"y\0", &smaps)]);
    let folder = root.path().to_str().unwrap();
    let options = ["pid", "7", "8", "--proc-root", folder, "--by", "perm", "--merge", "-w", "0.05", "--jsonl"];
    let mut watching = Running::start(command(options));
    assert_eq!(watching.row()["processes"], 2);
    std::fs::rename(root.path().join("8"), root.path().join("gone")).unwrap();
    let changed = row_where(&mut watching, |row| row["processes"] == 1);
    assert_eq!((&changed["fate"], &changed["rss_change"]), (&"changed".into(), &(-8192).into()), "{changed}");
    // One of the processes that were named is gone.
    assert_eq!(watching.end(Signal::SIGINT).0, Some(1));
}

#[test]
fn a_column_that_is_named_twice_is_shown_once_however_it_is_written() {
    let root = capture(&[(7, b"x\0", &mapping(0x1000_0000, 2, "rw-p", b"", 8))]);
    for (list, by) in [("rss,RSS", &["--by", "kind"][..]), ("+RSS,rss,Rss", &["--by", "kind"]), ("Rss,rss", &[])] {
        let options = ["pid", "7", "--proc-root", root.path().to_str().unwrap(), "--jsonl", "-o", list];
        let text = rmap([&options[..], by].concat()).good().text();
        assert_eq!(text.matches("\"rss\":").count(), 1, "{list}: {text}");
    }
}

#[test]
fn a_key_keeps_its_type_and_its_own_value() {
    let maps = [mapping(0x1000_0000, 2, "rw-p", b"", 8), mapping(0x2000_0000, 4, "rw-p", b"", 8)];
    let root = capture(&[(7, b"x\0", &maps.concat())]);
    let groups = |key: &str| {
        let options = ["pid", "7", "--proc-root", root.path().to_str().unwrap(), "--by", key, "--jsonl"];
        rmap(options).good().lines_of_json()
    };
    let value = |key: &str| groups(key).iter().map(|group| group[key].clone()).collect::<Vec<_>>();
    assert_eq!(value("offset"), [0]);
    assert_eq!(value("start"), ["10000000", "20000000"]);
    assert_eq!(value("dev"), ["fe:00"]);
    // Both have 8 KiB: that is the value of the group, and not the sum.
    assert_eq!(value("rss"), [8192]);
    assert_eq!(groups("rss")[0]["size"], 6 * 4096);
}

#[test]
fn what_was_worked_on_without_being_shown_is_said() {
    let folder = common::disk();
    std::fs::write(folder.path().join("f"), "x").unwrap();
    let tree = folder.path().to_str().unwrap();
    for action in ["warm", "evict"] {
        let hidden = rmap([action, "-R", tree, "--filter", "size > 1G"]);
        assert_eq!(hidden.err, "rmap: --filter: no row matches; the files were worked on all the same\n", "{action}");
        let none = rmap([action, "-R", tree, "--include", "*.zz"]);
        let line = "rmap: --include: no file matches; nothing was done\n";
        assert_eq!((none.status, none.err.as_str()), (Some(1), line), "{action}");
        let failed = rmap([action, "--max-size", "1G", "/no/such/file"]);
        assert_eq!((failed.status, failed.err.as_str()), (Some(1), "rmap: /no/such/file: no such file\n"), "{action}");
    }
    let file = folder.path().join("f");
    let file = file.to_str().unwrap();
    for (view, thing) in [
        (&["-R", tree, "--summary"][..], "file"),
        (&["-R", tree, "--by-dir", "1"], "file"),
        (&[file, "--by-dir", "1"], "row"),
        (&["-R", tree], "row"),
    ] {
        let none = rmap([&["pcstat", "--min-size", "1G"], view].concat());
        let line = format!("rmap: --min-size: no {thing} matches\n");
        assert_eq!((none.status, none.err), (Some(0), line), "{view:?}");
    }
}

#[test]
fn processes_without_rows_are_not_shown_if_there_are_several() {
    let maps = |address| mapping(address, 2, "rw-p", b"", 8);
    let root = capture(&[(7, b"first\0", &maps(0x1000_0000)), (8, b"second\0", &maps(0x2000_0000))]);
    let root = root.path().to_str().unwrap();
    let shown = |options: &[&str]| rmap([&["pid", "--proc-root", root], options].concat());
    for narrowed in
        [&["--filter", "start == 20000000"][..], &["-A", "20000000"], &["--filter", "size>4K", "-A", "20000000"]]
    {
        let text = shown(&[&["7", "8"], narrowed].concat()).text();
        assert!(text.starts_with("8:   second\n") && !text.contains("first"), "{text}");
        for order in [&["--sort", "rss"][..], &["--by", "kind"], &["--jsonl"]] {
            let text = shown(&[&["7", "8"], narrowed, order].concat()).text();
            assert!(!text.contains("first") && !text.contains("\"pid\":7"), "{text}");
        }
        let one = shown(&[&["7", "8", "--json"], narrowed].concat()).json();
        assert_eq!((one.as_array().unwrap().len(), &one[0]["pid"]), (1, &8.into()));
        // One process alone is shown, with sums of nothing.
        assert!(shown(&[&["7"], narrowed].concat()).text().starts_with("7:   first\n"));
    }
    assert_eq!(shown(&["7", "8", "--filter", "size>1T", "--json"]).json(), serde_json::json!([]));
}

#[test]
fn a_key_has_one_type_in_rows_groups_and_totals() {
    let folder = memory();
    std::fs::write(folder.path().join("f"), "x").unwrap();
    let tree = folder.path().to_str().unwrap();
    let mut types = std::collections::HashMap::new();
    for words in [
        &["pid", "self"][..],
        &["pid", "self", "--by", "kind"],
        &["pid", "self", "--by", "deleted"],
        &["pid", "self", "--by", "pid"],
        &["pid", "self", "--merge"],
        &["pcstat", "-R", tree, "--total"],
        &["pcstat", "-R", tree, "--runs", "--total"],
        &["pcstat", "-R", tree, "--by", "changed", "--total"],
    ] {
        let mut look = |key: &str, value: &serde_json::Value| {
            let kind = match value {
                serde_json::Value::Bool(_) => "boolean",
                serde_json::Value::Number(_) => "number",
                serde_json::Value::String(_) => "string",
                _ => return,
            };
            let first = *types.entry(key.to_owned()).or_insert(kind);
            assert_eq!(first, kind, "{key} of {words:?}");
        };
        each_value(&rmap([words, &["--json"]].concat()).good().json(), &mut look);
    }
    assert_eq!((types["deleted"], types["changed"]), ("boolean", "boolean"));
}

/// Calls `look` with each key of each object, and its value.
fn each_value(value: &serde_json::Value, look: &mut impl FnMut(&str, &serde_json::Value)) {
    match value {
        // The values of this one are reasons.
        serde_json::Value::Object(object) => {
            object.iter().filter(|(key, _)| *key != "absent").for_each(|(key, value)| {
                look(key, value);
                each_value(value, look);
            })
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| each_value(value, look)),
        _ => {}
    }
}

#[test]
fn a_watched_summary_of_all_processes_ends_with_them() {
    let subject = Subject::start(["anonymous:16:5"]);
    let mut watching =
        Running::start(command(["pid", &subject.word(), "--summary", "--merge", "-w", "0.05", "--jsonl"]));
    assert_eq!(watching.row()["part"], "resident");
    drop(subject);
    assert_eq!(watching.wait(), Some(1));
}

#[test]
fn summaries_by_user_and_control_group_name_it_in_every_row() {
    let service = service();
    let user = own_user();
    let csv = rmap(["pid", "--name", &service.name, "--summary", "--by", "user", "--csv", "-o", "part"]).good().text();
    assert!(csv.starts_with(&format!("part,user\r\nresident,{user}\r\n")), "{csv}");
    let own = rmap(["pid", "--name", &service.name, "--by", "cgroup", "--jsonl"]).good().lines_of_json();
    let rows = rmap(["pid", "--name", &service.name, "--summary", "--by", "cgroup", "--jsonl"]).good().lines_of_json();
    assert_eq!(rows[0]["cgroup"], own[0]["cgroup"]);
}

#[test]
fn the_parts_of_a_summary_come_from_one_reading() {
    let rows = rmap(["pid", "self", "--summary", "--json"]).good().json()[0]["parts"].clone();
    let part = |name: &str| rows.as_array().unwrap().iter().find(|row| row["part"] == name).unwrap().clone();
    let amounts = ["clean", "unproven", "dirty"].map(|name| part(name)["amount"].as_u64().unwrap());
    // The process reads itself and changes meanwhile: figures of two readings would not add up.
    assert_eq!(amounts.iter().sum::<u64>(), part("resident")["amount"].as_u64().unwrap());
    for name in ["resident", "private", "anonymous", "clean", "unproven", "dirty", "swap"] {
        assert_eq!(part(name)["source"], "smaps", "{name}");
    }
    assert_eq!(part("proportional")["source"], "smaps_rollup");
}

#[test]
fn a_total_over_nothing_is_left_out() {
    let nobody = rmap(["pid", "--name", "no-such-name", "--merge"]);
    assert_eq!((nobody.status, nobody.text().as_str()), (Some(1), ""));
    assert_eq!(nobody.err, "rmap: --name: no matching process\n");
    let document = rmap(["pid", "--name", "no-such-name", "--merge", "--json"]).json();
    assert_eq!(document, serde_json::json!({ "mappings": [] }));
    for view in [&["-w", "0.05"][..], &["-w", "0.05", "--merge"], &["-w", "0.05", "--by", "user"]] {
        let ended = rmap([&["pid", "--name", "no-such-name", "--json"], view].concat());
        assert_eq!(ended.status, Some(1));
        let round = ended.json().as_array().unwrap().last().cloned();
        assert!(round.is_none_or(|round| round["total"].is_null()), "{view:?}: {}", ended.text());
    }
}

#[test]
fn the_list_of_pages_comes_only_if_requested() {
    let folder = memory();
    let path = folder.path().join("f");
    std::fs::write(&path, vec![1; page() as usize]).unwrap();
    let row =
        |options: &[&str]| rmap([&["pcstat", "--json", path.to_str().unwrap()], options].concat()).rows().remove(0);
    assert!(row(&["--map"])["status"].is_null());
    assert_eq!(row(&["--map", "--pps"])["status"], serde_json::json!([true]));
    assert_eq!((&row(&["--histo"])["histogram"], &row(&["--histo"])["cached"]), (&"#".into(), &1.into()));
}

#[test]
fn a_field_of_a_captured_process_that_was_found_is_a_column() {
    let smaps = [&mapping(0x1000_0000, 2, "rw-p", b"", 8)[..], b"Novel: 12 kB\n"].concat();
    let root = capture(&[(7, b"/bin/x\0", &smaps)]);
    std::fs::copy("/proc/self/stat", root.path().join("7/stat")).unwrap();
    let options =
        ["pid", "--proc-root", root.path().to_str().unwrap(), "--match", "^/bin/x", "-n", "-q", "-o", "novel"];
    assert!(rmap(options).good().text().lines().any(|line| line.trim() == "12"));
}

#[test]
fn a_watched_map_is_explained_in_each_round() {
    let subject = Subject::start(["anonymous:16:5"]);
    subject.stop();
    let mut map = Running::start(command(["pid", &subject.word(), "--map", "-w", "0.05"]));
    let lines: Vec<String> = (0..400).map(|_| map.line()).collect();
    assert!(lines.iter().filter(|line| line.contains("in swap")).count() > 1, "{lines:?}");
    assert_eq!(map.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn groups_without_a_main_figure_are_limited_to_the_most_frequent() {
    use rmap::query::{Failures, Query, execute};
    use rmap::views::part::PartSource;
    let subject = Subject::start(["anonymous:16:5"]);
    let mut source = PartSource::of(subject.pid());
    let mut json = Vec::new();
    let query = Query::columns(&["parts"]).by("source").top(1);
    execute(&query, &mut source, &mut rmap::render::json(&mut json), &mut Failures::new()).unwrap();
    let document: Value = serde_json::from_slice(&json).unwrap();
    let groups = document[0]["groups"].as_array().unwrap();
    assert_eq!((groups.len(), groups[0]["parts"].as_u64() > Some(3)), (1, true), "{document}");
}

#[test]
fn the_page_map_of_a_capture_is_unsupported() {
    let root = capture(&[(7, b"x\0", &mapping(0x1000_0000, 2, "rw-p", b"", 8))]);
    let run = rmap(["pid", "7", "--proc-root", root.path().to_str().unwrap(), "--map", "--jsonl"]);
    assert_eq!(run.status, Some(1));
    assert_eq!(run.lines_of_json()[0]["absent"]["page_map"], "unsupported: a capture has no page tables");
}

#[test]
fn watched_groups_of_several_processes_name_the_process() {
    let maps = |name: &[u8]| mapping(0x1000_0000, 2, "rw-p", name, 8);
    let root = capture(&[(7, b"x\0", &maps(b"")), (8, b"y\0", &maps(b""))]);
    let folder = root.path().to_str().unwrap();
    let options = ["pid", "7", "8", "--proc-root", folder, "--by", "perm", "-w", "0.05", "-o", "rss"];
    let mut watching = Running::start(command(options));
    let lines: Vec<String> = (0..4).map(|_| watching.line()).collect();
    assert!(lines[1].contains("PID") && lines[2].contains(" 7 ") && lines[3].contains(" 8 "), "{lines:?}");
    assert_eq!(watching.end(Signal::SIGINT).0, Some(0));
}

#[test]
fn an_offset_can_be_filtered_in_the_hexadecimal_digits_of_the_table() {
    let text = String::from_utf8(mapping(0x1000_0000, 2, "rw-p", b"/a", 8)).unwrap();
    let maps = [text.as_str(), &text.replace("10000000-10002000 rw-p 00000000", "20000000-20002000 rw-p 00026000")];
    let root = capture(&[(7, b"x\0", maps.concat().as_bytes())]);
    let folder = root.path().to_str().unwrap();
    let options = ["pid", "7", "--proc-root", folder, "--filter", "offset == 0x26000", "--jsonl", "-o", "offset"];
    assert_eq!(rmap(options).good().lines_of_json()[0]["offset"], 0x26000);
    // Read as a decimal number, what the table shows would be another offset.
    let padded = rmap(["pid", "7", "--proc-root", folder, "--filter", "offset == 00026000"]);
    assert!(padded.status == Some(2) && padded.err.contains("4096, 64K, 1.5G or 0x1000"), "{}", padded.err);
}

#[test]
fn a_smaps_file_that_cannot_be_read_is_still_a_document() {
    let missing = rmap(["pid", "--smaps", "/no/such/file", "--json"]);
    assert_eq!((missing.status, missing.text().as_str()), (Some(1), "[]\n"));
    assert_eq!(missing.err, "rmap: /no/such/file: no such file\n");
}

#[test]
fn the_files_of_a_capture_are_unsupported() {
    let root = capture(&[(7, b"x\0", &mapping(0x1000_0000, 2, "r--p", b"/a", 8))]);
    let run = rmap(["pid", "7", "--proc-root", root.path().to_str().unwrap(), "--cache", "-n", "--no-total"]);
    assert_eq!((run.status, run.err.as_str()), (Some(1), "rmap: pid 7: a capture has no files\n"));
}

#[test]
fn titles_of_pmap_name_their_unit_only_if_it_is_kib() {
    let title = |unit: &str| rmap(["pid", "self", "-x", "--no-config", unit]).good().text().contains("Kbytes");
    assert!(title("-p") && !title("-b") && !title("-H"));
}

#[test]
fn totals_of_groups_have_the_same_sums_and_shares_as_the_rows() {
    let folder = memory();
    for (name, size) in [("a", 5), ("b", 5), ("c", 9)] {
        std::fs::write(folder.path().join(name), vec![7; size * page() as usize]).unwrap();
    }
    let uncached = std::fs::File::create(folder.path().join("d")).unwrap();
    uncached.set_len(21 * page()).unwrap();
    let total = |options: &[&str]| {
        let tree = folder.path().to_str().unwrap();
        rmap([&["pcstat", "-R", "--total", "--json", tree], options].concat()).good().json()["total"].clone()
    };
    let rows = total(&[]);
    assert_eq!((&rows["percent"], &rows["pages"]), (&47.5.into(), &40.into()));
    for key in ["method", "size", "cached"] {
        let groups = total(&["--by", key]);
        for sum in ["size", "pages", "cached", "uncached", "percent", "rows_without_figure"] {
            assert_eq!(groups[sum], rows[sum], "{sum} of groups by {key}: {groups}");
        }
    }
}

#[test]
fn groups_whose_names_are_not_utf8_can_be_told_apart() {
    let maps = [mapping(0x1000_0000, 2, "rw-p", b"/a\xff", 8), mapping(0x2000_0000, 4, "rw-p", b"/a\xfe", 8)];
    let root = capture(&[(7, b"x\0", &maps.concat())]);
    let run = |options: &[&str]| {
        rmap([&["pid", "7", "--proc-root", root.path().to_str().unwrap(), "--by", "file"], options].concat()).good()
    };
    let groups = run(&["--jsonl"]).lines_of_json();
    let bytes: Vec<_> = groups.iter().map(|group| group["mapping_bytes"].as_str().unwrap()).collect();
    assert_eq!(bytes, ["2f61ff", "2f61fe"]);
    assert!(!run(&["--csv"]).out.windows(5).any(|word| word == b"bytes"));
    let plain = rmap(["pid", "self", "--by", "file", "--jsonl"]).good().lines_of_json();
    assert!(plain[0].as_object().unwrap().contains_key("mapping_bytes") && plain[0]["mapping_bytes"].is_null());
}

#[test]
fn the_last_round_of_a_watched_process_has_its_keys_and_a_total() {
    let subject = Subject::start(["anonymous:16:5"]);
    let pid = subject.pid();
    let mut running = Running::start(command(["pid", &subject.word(), "-w", "0.05", "--json", "-o", "rss"]));
    let first = running.line();
    drop(subject);
    let rounds: Value = serde_json::from_str(&(first + &running.rest().1)).unwrap();
    let last = rounds.as_array().unwrap().last().unwrap();
    assert_eq!((&last["pid"], &last["total"]["rows"], &last["total"]["rss"]), (&pid.into(), &0.into(), &0.into()));
}

#[test]
fn denied_figures_of_the_page_cache_are_a_failure() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("rmap");
    copy_to_run(common::program(), &program);
    let mut command = Command::new(&program);
    command.args(["pid", "self", "--cache"]);
    std::os::unix::process::CommandExt::uid(&mut command, common::NOBODY);
    let run = common::run(command);
    if run.status == Some(0) {
        eprintln!("SKIPPED: cachestat on this kernel reports to any user (before 6.12.12)");
        return;
    }
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{}", run.err);
    assert!(run.err.contains(" mappings are not known: denied: ") && run.err.contains("; run as"), "{}", run.err);
}

#[test]
fn a_failure_counts_even_if_the_reader_has_gone() {
    let folder = memory();
    let path = folder.path().join("file");
    std::fs::write(&path, "own").unwrap();
    let status = |missing: &str| {
        let script = format!("rmap pcstat {missing} \"$1\" | (exec <&-; sleep 0.3); exit ${{PIPESTATUS[0]}}");
        common::shell(&script, &[path.as_os_str()]).status
    };
    assert_eq!((status("/nonexistent"), status("")), (Some(1), Some(0)));
}
