//! This machine, in which a program and a file of known sizes change.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Machine;
use crate::common::{ForEveryone, Run, Subject, command, known_file, memory, page, wait_until};

/// Runs `rmap`, which a busy machine may take long for.
fn slowly(arguments: &[&str]) -> Run {
    let timeout = std::time::Duration::from_secs(120);
    let output = assert_cmd::Command::from_std(command(arguments)).timeout(timeout).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { status: output.status.code(), out: output.stdout, err }
}

fn take(path: &Path, options: &[&str]) -> String {
    let path = path.to_str().unwrap().to_owned();
    let run = slowly(&[&["capture", "-o", &path, "--with-cmdline"], options].concat());
    assert!(run.status.is_some_and(|status| status < 2) && Path::new(&path).is_file(), "{run:?}");
    path
}

/// A capture with a list of cached files that is short: reading the kernel's lists, and that of a capture, takes long
/// in a program that was built for debugging.
fn take_with(path: &Path, list: &Machine) -> String {
    let archive = take(path, &["--no-files"]);
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(list.path()).arg("-rf").arg(path).arg("rmap/files.jsonl");
    assert!(tar.status().unwrap().success());
    archive
}

fn find<'r>(rows: &'r [Value], kind: &str, name: &str) -> Option<&'r Value> {
    rows.iter().find(|row| row["kind"] == kind && row["name"].as_str().is_some_and(|text| text.contains(name)))
}

#[test]
fn a_program_that_grows_and_a_file_that_is_locked_are_found_with_their_sizes() {
    let folder = memory();
    let gate = folder.path().join("gate");
    // The names tell these processes from those of other tests.
    let wait = format!("await:{}", gate.display());
    let subject = Subject::waiting([&wait, "memfd:2000:1500"]);
    let ends = Subject::start([format!("open:{}", file!())]);
    let ends_pid = ends.pid();
    let before = take_with(&folder.path().join("before.tar"), &Machine::new("", 0).with_list("pages"));
    drop(ends);
    fs::write(&gate, "").unwrap();
    let status = format!("/proc/{}/status", subject.pid());
    let shared = |text: &str| {
        text.lines().find_map(|line| line.strip_prefix("RssShmem:")?.split_whitespace().next()?.parse().ok())
    };
    let kib = 1500 * page() / 1024;
    wait_until("it has written to it", || fs::read_to_string(&status).is_ok_and(|text| shared(&text) == Some(kib)));
    let file = known_file(&folder.path().join("known"), 900 * page(), &[(0, 700)]);
    let after = take(&folder.path().join("after.tar"), &[]);
    let root = nix::unistd::geteuid().is_root();
    for second in [Some(&after), None] {
        let mut words = vec!["diff", &before[..]];
        words.extend(second.map(|path| &path[..]));
        words.extend(["--jsonl", "--min-change", "256K", "--budget", "60"]);
        let run = slowly(&words);
        assert!(run.status.is_some_and(|status| status < 2), "{run:?}");
        let rows = run.lines_of_json();
        let mapping = rows.iter().find(|row| row["kind"] == "mapping" && row["pid"] == subject.pid()).unwrap();
        assert!(mapping["name"].as_str().unwrap().starts_with("/memfd:"), "{mapping}");
        let [status, change] = [&mapping["status"], &mapping["change"]];
        assert_eq!((status.as_str(), change.as_u64()), (Some("new"), Some(1500 * page())), "{mapping}");
        let process = rows.iter().find(|row| row["kind"] == "process" && row["pid"] == subject.pid()).unwrap();
        assert_eq!((&process["status"], &process["of"]), (&"grew".into(), &"pss".into()));
        // What it shares with a program that ends meanwhile is its own then.
        let grew = process["change"].as_u64().unwrap();
        assert!(grew.abs_diff(1500 * page()) < 400 * page(), "{process}");
        assert_eq!(
            process["after"].as_i64().unwrap() - process["before"].as_i64().unwrap(),
            process["change"].as_i64().unwrap()
        );
        if root {
            let row = find(&rows, "file", file.path.to_str().unwrap()).unwrap();
            assert_eq!((&row["status"], row["change"].as_u64()), (&"new".into(), Some(700 * page())));
            // rmap itself, and what it unpacks, are not what anybody asks about.
            assert!(find(&rows, "file", "rmap-capture-").is_none_or(|row| row["status"] != "grew"));
        }
        assert!(rows.iter().all(|row| row["change"].as_i64().is_none_or(|by| by.unsigned_abs() >= 256 << 10)));
    }
    let gone = slowly(&["diff", &before, &after, "--jsonl", "--what", "processes"]).lines_of_json();
    let gone = gone.iter().find(|row| row["pid"] == ends_pid).unwrap();
    assert_eq!((&gone["status"], gone["change"].as_i64() < Some(0)), (&"gone".into(), true), "{gone}");
}

#[test]
fn two_lists_of_this_machine_differ_by_what_was_cached_meanwhile() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root has the list of all cached files");
        return;
    }
    let folder = memory();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, pages: u64| fs::write(path(name), vec![7; (pages * page()) as usize]).unwrap();
    for (name, pages) in [("stays", 300), ("ends", 310), ("shrinks", 320), ("moves", 330)] {
        write(name, pages);
    }
    let own = std::process::id().to_string();
    let before = take(&path("before.tar.zst"), &[&own]);
    fs::remove_file(path("ends")).unwrap();
    fs::File::options().write(true).open(path("shrinks")).unwrap().set_len(20 * page()).unwrap();
    fs::rename(path("moves"), path("moved")).unwrap();
    write("starts", 350);
    let after = take(&path("after.tar.zst"), &[&own]);
    let run = slowly(&["diff", &before, &after, "--jsonl", "--what", "files", "--budget", "60"]);
    let rows = run.lines_of_json();
    let of_this_test = rows.iter().filter_map(|row| {
        let name = row["name"].as_str()?.strip_prefix(folder.path().to_str().unwrap())?.trim_start_matches('/');
        let is_known = ["stays", "ends", "shrinks", "moves", "moved", "starts"].contains(&name);
        let [before, after] = [&row["before"], &row["after"]].map(|bytes| bytes.as_u64().map(|bytes| bytes / page()));
        let is_renamed = row["note"].as_str().is_some_and(|note| note.contains("renamed"));
        is_known.then(|| (name, before, after, row["status"].as_str().unwrap(), is_renamed))
    });
    let mut found: Vec<_> = of_this_test.collect();
    found.sort_unstable();
    let expected = [
        ("ends", Some(310), None, "gone", false),
        ("moved", None, Some(330), "new", true),
        ("moves", Some(330), None, "gone", true),
        ("shrinks", Some(320), Some(20), "shrank", false),
        ("starts", None, Some(350), "new", false),
    ];
    assert_eq!(found, expected, "{}", run.err);
    // The archives that it reads are left out, and no others.
    let named = [&before, &after].map(|archive| rows.iter().any(|row| row["name"] == **archive));
    assert_eq!(named, [false, false], "{}", run.err);
    let now = slowly(&["diff", &before, "--jsonl", "--what", "files", "--min-change", "0", "--budget", "60"]);
    let rows = now.lines_of_json();
    let is_there = |path: &str| rows.iter().any(|row| row["name"] == path);
    assert_eq!((is_there(&before), is_there(&after)), (false, true), "{}", now.err);
}

#[test]
fn a_child_that_is_not_a_helper_of_rmap_is_compared() {
    let folder = memory();
    let archive = take(&folder.path().join("before.tar"), &["--no-files"]);
    // The shell becomes rmap, which then has the child of the shell.
    let script = "sleep 60 >/dev/null 2>&1 & echo $! >\"$2\"
        exec rmap diff \"$1\" --jsonl --what processes --min-change 0 --budget 60";
    let pids = folder.path().join("pid");
    let run = crate::common::shell(script, &[archive.as_ref(), pids.as_os_str()]);
    let child: i32 = fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
    let rows = run.lines_of_json();
    assert!(rows.iter().any(|row| row["pid"] == child && row["status"] == "new"), "{run:?}");
    // But neither rmap nor the child of it that removes the unpacked archive.
    assert!(find(&rows, "process", &archive).is_none(), "{:?}", find(&rows, "process", &archive));
}

#[test]
fn memory_that_two_processes_share_counts_once_in_a_sum() {
    let folder = memory();
    let before = take(&folder.path().join("before.tar"), &["--no-files"]);
    let subject = Subject::start(["anonymous:4096:4000", "share"]);
    subject.stop();
    let child = fs::read_to_string(format!("/proc/{0}/task/{0}/children", subject.pid())).unwrap();
    let child = child.trim();
    let after = take(&folder.path().join("after.tar"), &["--no-files"]);
    let once = 4000 * page()..6000 * page();
    for second in [Some(&after), None] {
        for (what, kind) in [("processes", "process"), ("mappings", "mapping")] {
            let mut words = vec!["diff", &before[..]];
            words.extend(second.map(|path| &path[..]));
            words.extend(["--json", "--total", "--what", what, "--budget", "60", "--by", "name"]);
            let name = if kind == "process" { "" } else { " && name == '[anonymous]'" };
            let filter = format!("after >= {} && (pid == {} || pid == {child}){name}", 4000 * page(), subject.pid());
            let run = slowly(&[&words[..], &["--filter", &filter]].concat());
            let groups = run.json();
            let [group] = &groups["groups"].as_array().unwrap()[..] else { panic!("{kind}: {run:?}") };
            let sum = group["after"].as_u64().unwrap();
            assert!(once.contains(&sum) && group["changes"] == 2, "{kind}: {group}");
        }
    }
}

#[test]
fn an_ordinary_user_is_told_what_cannot_be_compared() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let folder = memory();
    let list = Machine::new("", 0).file(json!("/gone"), 1, json!(4 << 20)).with_list("pages");
    let before = take_with(&folder.path().join("before.tar"), &list);
    std::os::unix::fs::chown(&before, Some(65534), Some(65534)).unwrap();
    let subject = Subject::start(["anonymous:900:800"]);
    let run = everyone.rmap(["diff", &before, "--jsonl", "--what", "processes,files", "--min-change", "1M"]);
    assert_eq!(run.status, Some(1), "{run:?}");
    let rows = run.lines_of_json();
    let row = rows.iter().find(|row| row["pid"] == subject.pid()).unwrap();
    assert_eq!((&row["status"], &row["of"]), (&"new".into(), &"rss".into()), "{row}");
    // Nothing is said to be gone because this user cannot see it.
    assert!(run.err.contains("does not have all, so "), "{run:?}");
    assert!(!rows.iter().any(|row| row["kind"] == "file" && row["status"] == "gone"), "{rows:?}");
}
