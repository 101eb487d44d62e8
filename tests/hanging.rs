//! File systems that never answer: nothing hangs, the rest is reported, and rmap can always be ended.
//!
//! Each test runs itself again in its own mount namespace. There are two kinds of silence: nobody reads the requests,
//! or somebody reads them and never answers. In the second, whoever waits cannot be ended, not even with SIGKILL.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Run, Running, SERVED_SIZE, Served, Subject, command, mounted_as, rmap};
use nix::sys::signal::Signal;

const SILENT: &str = "vanished: its file system does not answer";

const CROSS: &str = "--cross-file-systems";

/// Longer than rmap waits for an answer, and much shorter than a hang.
const BOUND: Duration = Duration::from_secs(8);

/// Runs `rmap`, which must end in time.
#[track_caller]
fn in_time<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    let begun = Instant::now();
    let run = rmap(arguments);
    assert!(begun.elapsed() < BOUND, "it took {:?}: {run:?}", begun.elapsed());
    run
}

/// A folder with a local file, `here`, and a directory for a mount, `there`.
fn folder(name: &str) -> Option<PathBuf> {
    let folder = mounted_as(name, "mkdir there; echo local > here")?;
    let _ = symlink(folder.join("there/a"), folder.join("link"));
    Some(folder)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// All that can be said of named files on a file system that does not answer.
fn everything_named_is_reported(folder: &Path) {
    let (here, there, link) = (folder.join("here"), folder.join("there"), folder.join("link"));
    let (here, a) = (text(&here), there.join("a"));
    for (work, far) in [("pcstat", [&a, &link]), ("warm", [&a, &there]), ("evict", [&link, &there])] {
        let run = in_time([work, "--jsonl", text(far[0]), here, text(far[1])]);
        assert_eq!(run.status, Some(1), "{run:?}");
        assert_eq!(run.complaints(), far.map(|far| format!("rmap: {}: {SILENT}", far.display())));
        assert_eq!(run.lines_of_json()[0]["filename"], here, "{run:?}");
    }
    // A link is known without a look at what it points to.
    let run = in_time(["pcstat", "--jsonl", "--no-follow", text(&link), text(&a), here, text(&there)]);
    let not_followed = "a symbolic link, which is not followed; use --follow, or name the file that it points to";
    let complaints = [(&link, not_followed), (&a, SILENT), (&there, SILENT)];
    assert_eq!(run.complaints(), complaints.map(|(path, why)| format!("rmap: {}: {why}", path.display())));
    assert_eq!((run.status, run.lines_of_json().len()), (Some(1), 1), "{run:?}");
    // They may exist: the total lacks them, and a repeated answer waits for them.
    let run = in_time(["pcstat", "--total", text(&a), here]);
    assert!(run.text().lines().last().is_some_and(|total| total.contains(">=")), "{run:?}");
    let mut repeated = Running::start(command(["pcstat", "-w", "0.05", "--jsonl", text(&a)]));
    std::thread::sleep(Duration::from_secs(2));
    assert!(repeated.is_running(), "a silent file ends the watch");
    repeated.end(Signal::SIGINT);

    let run = in_time(["pcstat", "-R", "--jsonl", CROSS, text(folder)]);
    assert_eq!(run.complaints(), [format!("rmap: {}: {SILENT}", there.display())]);
    assert_eq!(run.lines_of_json().len(), 1, "{run:?}");
    // Without this the other file system is not asked at all.
    let run = in_time(["pcstat", "-R", "--jsonl", text(folder)]);
    assert_eq!((run.status, run.lines_of_json().len()), (Some(0), 1), "{run:?}");

    // Ten thousand names take no longer than one.
    let names: String = (0..10_000).map(|number| format!("{}/{number}\n", there.display())).collect();
    std::fs::write(folder.join("names"), names + here).unwrap();
    let run = in_time(["pcstat", "--jsonl", "--files-from", text(&folder.join("names"))]);
    assert_eq!((run.complaints().len(), run.lines_of_json().len()), (10_000, 1));

    let run = in_time(["pcstat", "--files-from", text(&a)]);
    assert_eq!((run.status, run.complaints()), (Some(1), vec![format!("rmap: {}: {SILENT}", a.display()).as_str()]));
    let run = in_time(["demo", "--size", "1M", "--file", text(&there.join("new"))]);
    assert!(run.status != Some(0) && run.err.contains(SILENT), "{run:?}");
    for written in [
        &["capture", "-o", text(&there.join("x.tar"))][..],
        &["trace", "--output", text(&a), "true"],
        &["trace", "--no-syscalls", text(&a)],
        &["trace", text(&a)],
    ] {
        let run = in_time(written);
        assert!(run.status != Some(0) && run.err.contains(SILENT), "{run:?}");
    }
    for captured in [&["diff", text(&a)][..], &["pid", "1", "--config", text(&a)]] {
        let run = in_time(captured);
        assert!(run.status != Some(0) && run.err.contains(SILENT), "{run:?}");
    }
    for captured in [&["pid", "--smaps", text(&a)][..], &["pid", "1", "--proc-root", text(&there)]] {
        let run = in_time(captured);
        assert!(run.status != Some(0) && run.err.contains(SILENT), "{run:?}");
    }
    let mut configured = command(["pcstat", here]);
    configured.env("XDG_CONFIG_HOME", &there);
    let begun = Instant::now();
    let run = common::run(configured);
    let config = there.join("rmap/config.toml");
    let line = format!("rmap: {}: {SILENT}; the default columns and units are used", config.display());
    assert_eq!((run.status, run.complaints()), (Some(0), vec![line.as_str()]), "{run:?}");
    assert!(begun.elapsed() < BOUND);
}

/// Ctrl-C ends it at once, also while it waits.
fn can_be_ended(path: &Path) {
    for work in [&["pcstat"][..], &["pcstat", "-R"], &["pcstat", "--files-from"], &["capture", "-o"]] {
        let mut command = command(work);
        command.arg(path).stderr(Stdio::null());
        let run = Running::start(command);
        std::thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        let (status, _) = run.end(Signal::SIGINT);
        assert!(begun.elapsed() < Duration::from_secs(1), "{work:?}: {:?} {status:?}", begun.elapsed());
    }
}

#[test]
fn a_mount_that_nobody_serves_hangs_nothing() {
    let Some(folder) = folder("a_mount_that_nobody_serves_hangs_nothing") else { return };
    let Some(_served) = Served::by_nobody(&folder.join("there")) else { return };
    everything_named_is_reported(&folder);
    can_be_ended(&folder.join("there/a"));
}

#[test]
fn a_server_that_never_answers_hangs_nothing() {
    let Some(folder) = folder("a_server_that_never_answers_hangs_nothing") else { return };
    let Some(served) = Served::mount(&folder.join("there")) else { return };
    let _silence = served.fall_silent();
    everything_named_is_reported(&folder);
    can_be_ended(&folder.join("there/a"));
}

#[test]
fn the_cached_files_below_a_silent_directory_are_looked_for_without_asking_it() {
    let Some(folder) = folder("the_cached_files_below_a_silent_directory_are_looked_for_without_asking_it") else {
        return;
    };
    let there = folder.join("there");
    let Some(_served) = Served::by_nobody(&there) else { return };
    symlink(&there, folder.join("link there")).unwrap();
    let here = folder.join("here");
    for budget in ["20", "0.001"] {
        for directory in [&there, &folder.join("link there")] {
            let run = in_time(["files", "--jsonl", "--budget", budget, text(directory), text(&here)]);
            assert!(!run.err.contains(text(&there)), "{run:?}");
            assert_eq!(run.lines_of_json()[0]["path"], text(&here), "{run:?}");
        }
        // What is below it is not known without asking.
        let run = in_time(["files", "--jsonl", "--budget", budget, text(&there.join("a")), text(&here)]);
        assert!(run.complaints().contains(&&format!("rmap: {}: {SILENT}", there.join("a").display())[..]), "{run:?}");
        assert_eq!(run.lines_of_json()[0]["path"], text(&here), "{run:?}");
    }
}

/// The processes of rmap in the mount namespace of this test.
fn processes_of_rmap() -> Vec<u32> {
    let link = |pid: &str, name: &str| std::fs::read_link(format!("/proc/{pid}/{name}")).ok();
    let (program, own) = (Some(common::program()), link("self", "ns/mnt"));
    let is_ours = |pid: &str| link(pid, "exe").as_deref() == program && link(pid, "ns/mnt") == own;
    let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| is_ours(name)).filter_map(|name| name.parse().ok()).collect()
}

#[test]
fn no_process_is_left_behind_by_a_run_that_got_no_answer() {
    let Some(folder) = folder("no_process_is_left_behind_by_a_run_that_got_no_answer") else { return };
    let there = folder.join("there");
    let Some(_served) = Served::by_nobody(&there) else { return };
    let a = there.join("a");
    let nothing_is_left = |how: &str| common::wait_until(how, || processes_of_rmap().is_empty());
    for look in [&["pcstat"][..], &["pcstat", "-R", CROSS], &["evict"], &["who"]] {
        let run = in_time(look.iter().copied().chain([text(&a)]));
        assert_eq!(run.complaints(), [format!("rmap: {}: {SILENT}", a.display())]);
        nothing_is_left(&format!("{look:?} leaves a process behind"));
    }
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let mut watch = command(["pcstat", "-w", "0.05", text(&a)]);
        watch.stderr(Stdio::null());
        let run = Running::start(watch);
        common::wait_until("nobody asks", || processes_of_rmap().len() > 1);
        run.end(signal);
        nothing_is_left(&format!("{signal} leaves a process behind"));
    }
}

#[test]
fn a_directory_that_mounts_on_demand_without_a_daemon_hangs_nothing() {
    let name = "a_directory_that_mounts_on_demand_without_a_daemon_hangs_nothing";
    let Some(folder) = folder(name) else { return };
    // The daemon, whose process group is let in, would read from the pipe. The directory itself can be looked at.
    let (_requests, pipe) = nix::unistd::pipe().unwrap();
    let options = format!("fd={},pgrp=1,minproto=5,maxproto=5,indirect", std::os::fd::AsRawFd::as_raw_fd(&pipe));
    let there = folder.join("there");
    let flags = nix::mount::MsFlags::empty();
    if let Err(errno) = nix::mount::mount(Some("auto"), &there, Some("autofs"), flags, Some(options.as_str())) {
        return eprintln!("SKIPPED: {name}: autofs cannot be mounted here: {errno}");
    }
    let x = there.join("x");
    for work in [&["pcstat"][..], &["demo", "--size", "1M", "--file"], &["demo", "--acts", "create", "--file"]] {
        let run = in_time(work.iter().copied().chain([text(&x)]));
        assert!(run.status != Some(0) && run.err.contains(&format!("{}: {SILENT}", x.display())), "{run:?}");
    }
}

#[test]
fn a_silent_working_directory_hangs_nothing() {
    let Some(folder) = folder("a_silent_working_directory_hangs_nothing") else { return };
    let Some(served) = Served::mount(&folder.join("there")) else { return };
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "echo; read line; exec \"$0\" pcstat --jsonl a \"$1\" 2>&1"])
        .arg(common::program())
        .arg(folder.join("here"));
    let shell = shell.current_dir(folder.join("there")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    // The shell itself looks at its working directory first.
    out.read_line(&mut String::new()).unwrap();
    let _silence = served.fall_silent();
    let begun = Instant::now();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut said = String::new();
    out.read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert!(begun.elapsed() < BOUND, "it took {:?}", begun.elapsed());
    assert!(said.contains(&format!("rmap: a: {SILENT}")) && said.contains("\"cached\":"), "{said}");
}

#[test]
fn a_server_that_does_not_answer_statfs_hangs_no_demo() {
    let Some(folder) = folder("a_server_that_does_not_answer_statfs_hangs_no_demo") else { return };
    let there = folder.join("there");
    let Some(served) = Served::mount(&there) else { return };
    let _silence = served.fall_silent_to_statfs();
    for file in ["new", "a"] {
        let file = there.join(file);
        for more in [&[][..], &["--acts", "create,map"]] {
            let run = in_time([&["demo", "--size", "1M", "--force", "--file", text(&file)], more].concat());
            assert!(run.status == Some(1) && run.err.contains(SILENT), "{run:?}");
        }
    }
}

#[test]
fn the_files_of_a_server_that_answers_are_reported() {
    let Some(folder) = folder("the_files_of_a_server_that_answers_are_reported") else { return };
    let Some(_served) = Served::mount(&folder.join("there")) else { return };
    let run = in_time(["pcstat", "-R", "--jsonl", text(&folder.join("there"))]);
    let rows = run.lines_of_json();
    assert_eq!(rows.len(), 3, "{run:?}");
    assert!(rows.iter().all(|row| row["size"] == SERVED_SIZE), "{run:?}");
}

#[test]
fn a_program_is_not_looked_for_in_a_directory_that_does_not_answer() {
    let Some(folder) = folder("a_program_is_not_looked_for_in_a_directory_that_does_not_answer") else { return };
    let there = folder.join("there");
    let Some(_served) = Served::by_nobody(&there) else { return };
    let path = format!("{}:/usr/bin:/bin", there.display());
    for line in [&["trace", "true"][..], &["trace", "--no-syscalls", "true"], &["demo", "--", "true"]] {
        let mut command = command(line);
        command.env("PATH", &path);
        let begun = Instant::now();
        let run = common::run(command);
        let expected = format!("rmap: {}: {SILENT}", there.join("true").display());
        assert!(begun.elapsed() < BOUND && run.status == Some(126), "{line:?}: {run:?}");
        assert!(run.err.starts_with(&expected), "{line:?}: {run:?}");
    }
}

#[test]
fn a_pipe_is_read_whatever_is_mounted() {
    let Some(folder) = folder("a_pipe_is_read_whatever_is_mounted") else { return };
    let Some(_served) = Served::by_nobody(&folder.join("there")) else { return };
    for script in [
        "rmap pid --smaps <(cat /proc/$$/smaps)",
        "cat /proc/$$/smaps | rmap pid --smaps /dev/stdin",
        "rmap pcstat --files-from <(echo here)",
        "echo here | rmap pcstat --files-from /dev/stdin",
    ] {
        let run = common::shell(&format!("cd \"$1\"; {script}"), &[folder.as_os_str()]);
        assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{script}: {run:?}");
    }
}

#[test]
fn the_cached_pages_of_a_file_whose_server_has_ended_are_missed() {
    let Some(folder) = folder("the_cached_pages_of_a_file_whose_server_has_ended_are_missed") else { return };
    let there = folder.join("there");
    let Some(served) = Served::mount(&there) else { return };
    let subject = Subject::start([format!("view:{}:4", there.join("a").display())]);
    served.end();
    let _ = std::fs::metadata(there.join("b"));
    let run = in_time(["pid", &subject.word(), "--cache", "--jsonl", "--filter", "path =~ there"]);
    let why = "vanished: the server of its file system has ended";
    assert_eq!(run.lines_of_json()[0]["absent"]["cache_cached"], why, "{run:?}");
    assert!(run.status == Some(1) && run.err.contains(why), "{}", run.err);
    // Nothing is said of a name, which it has.
    let run = in_time(["pcstat", "--pid", &subject.word()]);
    assert!(run.status == Some(1) && !run.err.contains("this name"), "{}", run.err);
}

#[test]
fn a_process_that_maps_a_silent_file_is_reported() {
    let Some(folder) = folder("a_process_that_maps_a_silent_file_is_reported") else { return };
    let there = folder.join("there");
    let Some(served) = Served::mount(&there) else { return };
    let act = |name: &str| format!("view:{}:4", there.join(name).display());
    let subject = Subject::start([act("a"), act("c (deleted)"), format!("directory:{}", there.display())]);
    let opener = Subject::start([format!("open:{}", there.join("b").display())]);
    let _silence = served.fall_silent();
    let pid = subject.pid().to_string();
    let rows = |more: &[&str]| {
        let run = in_time([&["pid", &pid, "--jsonl", "--filter", "path =~ there"], more].concat());
        assert_eq!(run.lines_of_json().len(), 2, "{run:?}");
        run.lines_of_json()
    };
    let page = common::page();
    assert!(rows(&["-o", "rss,path"]).iter().all(|row| row["rss"] == 4 * page));
    // Only the ambiguous name is asked about, and remains unknown.
    let deleted = rows(&["-o", "deleted,path"]);
    for row in &deleted {
        let is_ambiguous = row["path"].as_str().unwrap().ends_with("(deleted)");
        assert_eq!(row["deleted"].as_bool(), (!is_ambiguous).then_some(false), "{row}");
    }
    assert!(rows(&[]).iter().all(|row| row["rss"] == 4 * page && row["kind"] == "file"));
    for row in rows(&["--cache"]) {
        assert_eq!((&row["absent"]["cache_cached"], &row["rss"]), (&SILENT.into(), &(4 * page).into()), "{row}");
    }
    assert!(in_time(["pid", &pid, "--summary"]).good().text().contains("resident"));

    let run = in_time(["pcstat", "--pid", &pid, "--jsonl"]);
    let program = run.lines_of_json().iter().any(|row| row["filename"].as_str().unwrap().contains("subject"));
    assert!(program && run.err.contains(SILENT), "{run:?}");
    let run = in_time(["pcstat", "--pid", &opener.pid().to_string(), "--jsonl"]);
    assert_eq!(run.complaints(), [format!("rmap: {}: {SILENT}", there.join("b").display())], "{run:?}");
    assert_eq!(run.status, Some(1));
}
