//! Compares rmap with existing tools: with `pmap -X` for the same stopped process, and with `fincore` and `vmtouch` for
//! the same file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{ForEveryone, Run, Subject, disk, has, known_file, memory, page, rmap, run};
use rmap::pagecache::FileSystemKind;
use serde_json::Value;

/// A table by its titles: the rows, and the sums below them.
#[derive(Debug, PartialEq)]
struct Listing {
    rows: Vec<BTreeMap<String, String>>,
    total: BTreeMap<String, String>,
}

/// Reads the output of `pmap -X -p PID` or `rmap pid -X PID`. Only the last column may contain blanks or be empty.
fn parse_listing(text: &str) -> Listing {
    let mut lines = text.lines().skip(1).filter(|line| !line.trim_start().starts_with('='));
    let titles: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let mut rows: Vec<BTreeMap<String, String>> = Vec::new();
    let mut total = BTreeMap::new();
    let figures = titles.iter().position(|title| *title == "Size").unwrap();
    let lines: Vec<&str> = lines.collect();
    let (last, mappings) = lines.split_last().unwrap();
    for line in mappings {
        let mut words = line.trim_start().splitn(titles.len(), ' ').collect::<Vec<_>>();
        if words.iter().any(|word| word.is_empty()) || words.len() < titles.len() {
            words = split_words(line, titles.len());
        }
        let row = titles.iter().zip(words).map(|(title, word)| (title.to_string(), word.trim().to_owned()));
        rows.push(row.collect());
    }
    // pmap's total begins with the first sum; rmap's with a label of two words.
    let sums = last.split_whitespace().filter(|word| word.parse::<u64>().is_ok());
    let summed = titles[figures..].iter().filter(|title| !UNSUMMED.contains(title));
    total.extend(summed.zip(sums).map(|(title, sum)| (title.to_string(), sum.to_owned())));
    Listing { rows, total }
}

/// Columns without a sum.
const UNSUMMED: [&str; 5] = ["KernelPageSize", "MMUPageSize", "ProtectionKey", "VmFlags", "Mapping"];

/// The first `count - 1` words of a line, and the rest of it.
fn split_words(line: &str, count: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while words.len() + 1 < count {
        let end = rest.find(' ').unwrap_or(rest.len());
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    words.push(rest);
    words
}

fn pmap(arguments: &[&str]) -> Listing {
    let mut command = Command::new("pmap");
    command.args(arguments);
    let run = run(command);
    assert_eq!(run.status, Some(0), "{run:?}");
    parse_listing(&run.text())
}

/// The value in rmap's JSON for a title of pmap, in pmap's format.
fn in_pmaps_words(row: &Value, title: &str) -> String {
    let number = |key: &str| row[key].as_u64().unwrap_or_else(|| panic!("no {key} in {row}"));
    match title {
        "Address" => format!("{:0>8}", row["start"].as_str().unwrap()),
        "Perm" => row["perm"].as_str().unwrap().to_owned(),
        "Offset" => format!("{:08x}", number("offset")),
        "Device" => row["dev"].as_str().unwrap().to_owned(),
        "Inode" => number("inode").to_string(),
        "Mapping" => row["path"].as_str().unwrap_or_default().to_owned(),
        "THPeligible" | "ProtectionKey" => number(&title.to_lowercase()).to_string(),
        counter => (number(&counter.to_lowercase()) / 1024).to_string(),
    }
}

/// The listing of pmap, created from rmap's JSON document of the same process.
fn listing_from_json(document: &Value, like: &Listing) -> Listing {
    let titles: Vec<&String> = like.rows[0].keys().collect();
    let words = |row: &Value| titles.iter().map(|title| (title.to_string(), in_pmaps_words(row, title))).collect();
    let rows = document["mappings"].as_array().unwrap().iter().map(words).collect();
    let sums = like.total.keys().map(|title| (title.clone(), in_pmaps_words(&document["total"], title)));
    Listing { rows, total: sums.collect() }
}

/// Leaves out figures that depend on other processes: the Pss of file pages changes with every process that maps the
/// file, and pmap and rmap themselves map different parts of the C library.
fn without_shares(mut listing: Listing) -> Listing {
    for row in listing.rows.iter_mut().filter(|row| row["Inode"] != "0") {
        row.retain(|title, _| !title.starts_with("Pss"));
    }
    listing.total.retain(|title, _| !title.starts_with("Pss"));
    listing
}

/// Repeats until two listings are equal; otherwise returns the last difference.
#[track_caller]
fn agree_in_the_end(mut tries: impl FnMut() -> (Listing, Listing)) {
    let mut different = String::new();
    // The kernel may reclaim pages of a stopped process between the two readings.
    for _ in 0..10 {
        let (theirs, ours) = tries();
        different = difference(&theirs, &ours);
        if different.is_empty() {
            return;
        }
    }
    panic!("theirs and ours differ:\n{different}");
}

fn difference(theirs: &Listing, ours: &Listing) -> String {
    let mut lines = Vec::new();
    if theirs.rows.len() != ours.rows.len() {
        lines.push(format!("{} rows and {} rows", theirs.rows.len(), ours.rows.len()));
    }
    for (left, right) in theirs.rows.iter().zip(&ours.rows).chain([(&theirs.total, &ours.total)]) {
        for (title, word) in left.iter().filter(|(title, word)| right.get(*title) != Some(word)) {
            lines.push(format!("{:?} {title}: {word:?} and {:?}", left.get("Address"), right.get(title)));
        }
    }
    lines.truncate(20);
    lines.join("\n")
}

/// Compares everything that pmap shows for a stopped process: live, and again for one capture that both read, in which
/// the Pss of libraries does not change either.
fn compare_with_pmap(subject: &Subject) {
    subject.stop();
    let pid = subject.word();
    agree_in_the_end(|| {
        let document = rmap(["pid", &pid, "--json"]).good().json();
        let theirs = pmap(&["-X", "-p", &pid]);
        let ours = listing_from_json(&document[0], &theirs);
        (without_shares(theirs), without_shares(ours))
    });
    agree_in_the_end(|| {
        let theirs = pmap(&["-X", "-p", &pid]);
        let ours = as_far_as(&theirs, table(&rmap(["pid", "-X", "-p", &pid]).good(), &pid));
        (without_shares(theirs), without_shares(ours))
    });
    agree_in_the_end(|| {
        // Only the default columns, which pmap has too.
        let mut ours = table(&rmap(["pid", &pid, "-o", "+inode"]).good(), &pid);
        let mut theirs = pmap(&["-X", "-p", &pid]);
        let shown: Vec<String> = ours.rows[0].keys().cloned().collect();
        assert_eq!(shown, ["Address", "Anonymous", "Inode", "Mapping", "Perm", "Pss", "Rss", "Size", "Swap"]);
        theirs.rows.iter_mut().for_each(|row| row.retain(|title, _| shown.contains(title)));
        theirs.total.retain(|title, _| ours.total.contains_key(title));
        ours = without_shares(ours);
        (without_shares(theirs), ours)
    });
    compare_capture_with_pmap(&pid);
}

/// What pmap shows of our listing: it leaves some of the kernel's fields out of `-X`.
fn as_far_as(theirs: &Listing, mut ours: Listing) -> Listing {
    let shown: Vec<&String> = theirs.rows[0].keys().collect();
    ours.rows.iter_mut().for_each(|row| row.retain(|title, _| shown.contains(&title)));
    ours.total.retain(|title, _| theirs.total.contains_key(title));
    ours
}

/// rmap's table in pmap's format: a mapping without a name is called so.
fn table(run: &Run, pid: &str) -> Listing {
    let text = run.text();
    assert!(text.starts_with(&format!("{pid}:   ")), "{text}");
    let flags = text.lines().nth(1).unwrap().contains("VmFlags");
    let text = if flags { without_flags(&text) } else { text };
    let mut listing = parse_listing(&text);
    for row in &mut listing.rows {
        row.entry("Mapping".into()).and_modify(|name| name.truncate(if name == "[anon]" { 0 } else { name.len() }));
        row.entry("Address".into()).and_modify(|address| {
            *address = format!("{:0>8}", address.trim_start_matches('0'));
        });
    }
    listing
}

/// The flags are several words in one column; joins them, so that the line can be split.
fn without_flags(text: &str) -> String {
    let titles: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    let before = titles.iter().position(|title| *title == "VmFlags").unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let end = lines.len() - 1;
    for line in &mut lines[2..end] {
        let words = split_words(line, before + 1);
        let rest = words[before].split_whitespace().skip_while(|word| word.len() == 2).collect::<Vec<_>>().join(" ");
        *line = format!("{} flags {rest}", words[..before].join(" "));
    }
    lines.join("\n")
}

fn compare_capture_with_pmap(pid: &str) {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("SKIPPED: only root can show pmap a captured process");
    }
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join(pid);
    fs::create_dir(&folder).unwrap();
    for name in ["smaps", "maps", "stat", "status", "statm", "cmdline", "comm"] {
        fs::write(folder.join(name), fs::read(format!("/proc/{pid}/{name}")).unwrap()).unwrap();
    }
    let script = "mount --bind \"$1\" /proc/$2 || exit 77; exec pmap -X -p $2";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(&folder).arg(pid);
    let theirs = run(command);
    if theirs.status == Some(77) {
        return eprintln!("SKIPPED: cannot mount a capture here: {}", theirs.err);
    }
    let theirs = parse_listing(&theirs.text());
    // All rows and titles of the kernel are there, so the comparison is not empty.
    let lines = fs::read_to_string(folder.join("maps")).unwrap().lines().count();
    assert_eq!(theirs.rows.len(), lines);
    assert!(theirs.rows[0].len() > 12 && theirs.total.len() > 5, "{:?}", theirs.rows[0]);
    let root = top.path().to_str().unwrap();
    let document = rmap(["pid", pid, "--json", "--proc-root", root]).good().json();
    assert_eq!(difference(&theirs, &listing_from_json(&document[0], &theirs)), "");
    let ours = as_far_as(&theirs, table(&rmap(["pid", pid, "-X", "-p", "--proc-root", root]).good(), pid));
    assert_eq!(difference(&theirs, &ours), "");
}

#[test]
fn a_shell_has_the_figures_of_pmap() {
    if has("pmap", "procps") {
        let mut command = Command::new("/bin/bash");
        command.args(["-c", "echo ready; read line"]);
        compare_with_pmap(&Subject::until_ready(command));
    }
}

#[test]
fn a_python_process_has_the_figures_of_pmap() {
    if has("pmap", "procps") && has("python3", "python3") {
        let mut command = Command::new("python3");
        command.args(["-c", "import json, mmap, sqlite3, sys; print('ready', flush=True); sys.stdin.read()"]);
        compare_with_pmap(&Subject::until_ready(command));
    }
}

#[test]
fn a_java_process_has_the_figures_of_pmap() {
    if has("pmap", "procps") && has("java", "default-jdk-headless") {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("Wait.java");
        let program = "public class Wait { public static void main(String[] a) throws Exception {\
                       byte[] b = new byte[8 << 20]; System.out.println(\"ready\"); System.in.read(); } }";
        fs::write(&source, program).unwrap();
        let mut command = Command::new("java");
        command.args(["-Xmx64m", "-XX:+UseSerialGC"]).arg(source);
        compare_with_pmap(&Subject::until_ready(command));
    }
}

#[test]
fn the_subject_has_the_figures_of_pmap() {
    if has("pmap", "procps") {
        let folder = memory();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (odd, gone, kept) = (path("a b (deleted)"), path("gone"), path("kept"));
        let acts = [
            "anonymous:33:17".to_owned(),
            "locked:3".to_owned(),
            "guard:2".to_owned(),
            "memfd:9:4".to_owned(),
            format!("shared:{odd}:8:3"),
            format!("private:{kept}:8:5:2"),
            format!("shared:{gone}:6:6"),
            format!("unlink:{gone}"),
            "fork".to_owned(),
        ];
        compare_with_pmap(&Subject::start(acts));
    }
}

/// Sizes and cached runs (first page, count); the end of the file is `u64::MAX`.
fn patterns() -> Vec<(u64, Vec<(u64, u64)>)> {
    let page = page();
    vec![
        (0, vec![]),
        (1, vec![(0, 1)]),
        (1, vec![]),
        (page - 1, vec![(0, 1)]),
        (page, vec![(0, 1)]),
        (page + 1, vec![(1, 1)]),
        (100 * page, vec![]),
        (100 * page, vec![(0, 100)]),
        (100 * page + 77, vec![(3, 1), (10, 20), (99, 2)]),
        (1023 * page + 5, vec![(0, 1), (511, 3), (1020, 4)]),
        ((64 << 20) + 13, vec![(5000, 700)]),
    ]
}

fn fincore(path: &Path) -> (u64, u64, u64) {
    let mut command = Command::new("fincore");
    command.args(["--bytes", "--raw", "--noheadings", "-o", "RES,PAGES,SIZE"]).arg(path);
    let run = run(command);
    let text = run.text();
    let words: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    (words[0], words[1], words[2])
}

/// Resident pages and pages of one file, from `vmtouch -v`.
fn vmtouch(path: &Path) -> (u64, u64) {
    let mut command = Command::new("vmtouch");
    command.arg("-v").arg(path);
    let run = run(command);
    let text = run.text();
    let line = text.lines().find(|line| line.trim_start().starts_with("Resident Pages: ")).unwrap_or_default();
    let (cached, pages) = line.split_whitespace().nth(2).and_then(|words| words.split_once('/')).unwrap();
    (cached.parse().unwrap(), pages.parse().unwrap())
}

/// Whether fincore may accept the zeros that cachestat returns for every file on this file system (2.39 and later do).
fn fincore_is_blind(folder: &Path) -> bool {
    let stacked = rmap::pagecache::FileSystem::of_path(folder)
        .is_ok_and(|found| matches!(found.kind, FileSystemKind::Stacked(_)));
    if stacked {
        eprintln!("SKIPPED: fincore cannot be believed on overlayfs");
    }
    stacked
}

fn compare_files(folder: &Path) {
    for (place, (size, runs)) in patterns().into_iter().enumerate() {
        let known = known_file(&folder.join(format!("f{place}")), size, &runs);
        let path = known.path.to_str().unwrap();
        let run = rmap(["pcstat", "--json", "--pps", path]).good();
        let row = &run.json()[0];
        let figure = |key: &str| row[key].as_u64().unwrap();
        assert_eq!((figure("cached"), figure("size")), (known.cached, size), "{runs:?}");
        let status: Vec<bool> = row["status"].as_array().unwrap().iter().map(|flag| flag.as_bool().unwrap()).collect();
        let expected = (0..size.div_ceil(page())).map(|page| runs.iter().any(|(at, n)| (*at..at + n).contains(&page)));
        assert!(expected.eq(status), "different page map: {runs:?}");
        if has("fincore", "util-linux-extra") && !fincore_is_blind(folder) {
            let found = fincore(&known.path);
            assert_eq!((figure("cached_bytes"), figure("cached"), figure("size")), found, "{size} {runs:?}");
        }
        if has("vmtouch", "vmtouch") && size > 0 {
            assert_eq!((figure("cached"), figure("pages")), vmtouch(&known.path), "{size} {runs:?}");
        }
    }
}

#[test]
fn files_on_tmpfs_have_the_figures_of_fincore_and_vmtouch() {
    compare_files(memory().path());
}

#[test]
fn files_on_disk_have_the_figures_of_fincore_and_vmtouch() {
    compare_files(disk().path());
}

#[test]
fn files_held_by_the_subject_have_the_figures_of_fincore_and_vmtouch() {
    let folder = memory();
    let path = folder.path().join("held");
    let _subject = Subject::start([format!("shared:{}:50:7", path.display())]);
    let row = &rmap(["pcstat", "--json", path.to_str().unwrap()]).good().json()[0];
    assert_eq!(row["cached"], 50);
    if has("fincore", "util-linux-extra") && has("vmtouch", "vmtouch") {
        assert_eq!(fincore(&path), (50 * page(), 50, 50 * page()));
        assert_eq!(vmtouch(&path), (50, 50));
    }
}

#[test]
fn rmap_reports_denied_if_other_tools_report_an_uncached_file_as_cached() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = disk();
    let cold = known_file(&folder.path().join("cold"), 100 * page(), &[]);
    let path = cold.path.to_str().unwrap();
    assert_eq!(rmap(["pcstat", "--json", path]).good().json()[0]["cached"], 0);
    let program = |name: &str| {
        let paths = std::env::var_os("PATH").unwrap();
        std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file()).unwrap_or_default()
    };
    let mut lied: Vec<PathBuf> = Vec::new();
    if has("fincore", "util-linux-extra") {
        let run = everyone.run(&program("fincore"), ["--bytes", "--raw", "--noheadings", "-o", "PAGES", path]);
        lied.extend((run.text().trim() == "100").then(|| program("fincore")));
    }
    if has("vmtouch", "vmtouch") {
        let run = everyone.run(&program("vmtouch"), ["-v", path]);
        lied.extend(run.text().contains("100/100").then(|| program("vmtouch")));
    }
    eprintln!("programs that say 100 % here: {lied:?}");
    let run = everyone.rmap(["pcstat", path]);
    if run.status == Some(0) {
        assert!(run.text().contains(" 0.000 "), "{run:?}");
        return eprintln!("SKIPPED: cachestat on this kernel reports to any user (before 6.12.12)");
    }
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(run.err.starts_with(&format!("rmap: {path}: denied: ")), "{}", run.err);
    let row = run.text().lines().nth(1).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(row[1..10], [&(100 * page()).to_string(), "100", "-", "-", "-", "-", "-", "-", "-"]);
}
