//! Where a capture is written, and what is left if that fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::take;
use crate::common::{Subject, command, rmap, shell};
use nix::sys::signal::Signal;

fn names(folder: &std::path::Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn only_its_owner_may_read_a_capture_and_it_replaces_an_older_one() {
    let taken = take("a.tar.zst", ["--no-files", "1"]);
    assert_eq!(fs::metadata(&taken.file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&taken.file, "old").unwrap();
    rmap(["capture", "--no-files", "1", "-o", taken.file.to_str().unwrap()]);
    assert!(fs::read(&taken.file).unwrap().starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    assert_eq!(names(taken.folder.path()), ["a.tar.zst"]);
}

#[test]
fn standard_output_gets_a_tar_archive_unless_it_is_a_terminal() {
    let run = shell("rmap capture -o - --no-files $$ | tar -tf - | head -n 1", &[]);
    assert_eq!(run.text(), "rmap-capture.json\n", "{run:?}");
    if crate::common::has("script", "bsdutils") {
        let run = shell("script -qec 'rmap capture -o - --no-files 1' /dev/null </dev/null", &[]);
        assert!(run.text().contains("an archive is nothing for a terminal"), "{run:?}");
    }
}

#[test]
fn wrong_usage_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("d.tar")).unwrap();
    for (name, status, why) in [
        (path("a.zip"), 2, "name the file NAME.tar or NAME.tar.zst"),
        (path("d.tar"), 1, "not a regular file"),
        (path("no/a.tar"), 1, "no such file"),
    ] {
        let run = rmap(["capture", "--no-files", "-o", &name]);
        assert_eq!((run.status, run.complaints().len()), (Some(status), 1), "{run:?}");
        assert!(run.err.contains(why), "{run:?}");
    }
    let run = rmap(["capture"]);
    assert_eq!((run.status, run.complaints().len()), (Some(2), 1), "{run:?}");
    assert_eq!(names(folder.path()), ["d.tar"]);
}

#[test]
fn a_process_that_does_not_exist_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("good.tar");
    let path = file.to_str().unwrap();
    fs::write(&file, "good").unwrap();
    for (pids, status, line) in [
        (&["999999999"][..], 1, "rmap: pid 999999999: no such process\n"),
        (&["--name", "no such program"], 1, "rmap: --name: no matching process\n"),
        (&["self"], 2, "rmap: PID: rmap leaves itself out of a capture; name another process\n"),
    ] {
        for output in [path, "-"] {
            let script = "out=$1; shift; rmap capture --no-files -o \"$out\" \"$@\" | cat; exit ${PIPESTATUS[0]}";
            let all = [&[output][..], pids].concat();
            let run = shell(script, &all.iter().map(std::ffi::OsStr::new).collect::<Vec<_>>());
            assert_eq!((run.status, &run.err[..], run.out.len()), (Some(status), line, 0), "{run:?}");
        }
    }
    assert_eq!((names(folder.path()), fs::read(&file).unwrap()), (vec!["good.tar".to_owned()], b"good".to_vec()));
    // The others are captured.
    let run = rmap(["capture", "--no-files", "-o", path, "999999999", &std::process::id().to_string()]);
    assert_eq!((run.status, run.complaints()), (Some(1), vec!["rmap: pid 999999999: no such process"]), "{run:?}");
    assert!(run.text().contains(": 1 process; no command lines; "), "{run:?}");
}

#[test]
fn a_full_disk_a_file_limit_and_a_signal_leave_nothing() {
    let run = shell(
        "d=$(mktemp -d) && unshare -m bash -c 'mount -t tmpfs -o size=64k tmpfs \"$1\" || { echo SKIPPED; exit; }
         rmap capture --no-files -o \"$1/a.tar\"; echo status $?; ls -A \"$1\"' bash \"$d\"; rmdir \"$d\"",
        &[],
    );
    if run.text().contains("SKIPPED") || run.err.contains("unshare") {
        eprintln!("SKIPPED: no tmpfs can be mounted here: {}", run.err);
    } else {
        assert_eq!(run.text(), "status 1\n", "{run:?}");
        assert!(run.err.contains("a.tar: ") && run.err.lines().count() == 1, "{run:?}");
    }
    let run = shell(
        "d=$(mktemp -d) && cd \"$d\" && { (ulimit -f 8; rmap capture --no-files -o a.tar); echo status $?; ls -A; \
         rm -r \"$d\"; }",
        &[],
    );
    assert_eq!((run.text().as_str(), run.err.as_str()), ("status 1\n", "rmap: a.tar: File too large\n"), "{run:?}");
    // It has so much to read that it is still at work when the signal comes.
    let _large = Subject::start(["many:30000"]);
    let interrupted = (0..10).find_map(|_| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar");
        let mut command = command(["capture".as_ref(), "-o".as_ref(), file.as_os_str()]);
        let mut subject = Subject::of(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        crate::common::wait_until("it has begun", || !names(folder.path()).is_empty());
        subject.signal(Signal::SIGINT);
        let status = subject.child().wait().unwrap();
        // On a busy machine it may have ended before.
        (status.code() == Some(130)).then(|| names(folder.path()))
    });
    assert_eq!(interrupted, Some(Vec::new()));
}

#[test]
fn a_capture_that_takes_long_says_how_far_apart_its_parts_are() {
    // The writer waits for the pipe, which holds less than the processes that it has still to read.
    let run = shell("rmap capture -o - --no-files | { sleep 6; cat >/dev/null; }", &[]);
    let line = run.complaints().into_iter().find(|line| line.contains("its processes were read")).expect("a line");
    let seconds = line.strip_prefix("rmap: the capture: its processes were read up to ").unwrap();
    let (seconds, rest) = seconds.split_once(' ').unwrap();
    assert!(seconds.parse::<u64>().unwrap() >= 6, "{run:?}");
    assert_eq!(rest, "s after the control groups and the other figures");
    let quick = rmap(["capture", "-o", "-", "--no-files", &std::process::id().to_string()]);
    assert_eq!((quick.status, quick.err.as_str()), (Some(0), ""), "{}", quick.err);
}

#[test]
fn a_closed_pipe_is_a_failure_because_the_archive_is_cut_off() {
    let run = shell("rmap capture -o - --no-files | head -c 1 >/dev/null; echo ${PIPESTATUS[0]}", &[]);
    assert_eq!(run.text(), "1\n", "{run:?}");
    assert!(run.err.starts_with("rmap: standard output: "), "{run:?}");
}

#[test]
fn what_was_unpacked_is_removed_whatever_ends_the_reading_and_whenever() {
    let taken = take("a.tar.zst", ["--no-files"]);
    let folder = crate::common::memory();
    let start = || {
        let mut command: Command = command(["ps", "--json"]);
        command.arg("--proc-root").arg(&taken.file).env("TMPDIR", folder.path());
        command
    };
    let begun = Instant::now();
    let whole = crate::wait(start());
    let took = begun.elapsed();
    assert!(whole.status.is_some_and(|status| status < 2) && !whole.out.is_empty(), "{whole:?}");
    let is_removed = || crate::common::wait_until("its files are removed", || names(folder.path()).is_empty());
    is_removed();
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGKILL];
    for (twentieth, signal) in (0..20).zip(signals.into_iter().cycle()) {
        let child = start().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(took * twentieth / 20);
        let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        // A signal that came too late has no effect; any other ends it at once, and without a word.
        if output.status.signal() != Some(signal as i32) {
            assert_eq!(output.status.code(), whole.status, "{twentieth}: {signal}: {error}");
            assert!(output.stdout == whole.out && error == whole.err, "{twentieth}: {signal}: {error}");
        } else if error != whole.err {
            assert_eq!(error, "", "{twentieth}: {signal}");
        }
        is_removed();
    }
}

#[test]
fn what_was_unpacked_is_removed_before_the_first_process_of_a_container_ends() {
    let taken = take("a.tar.zst", ["--no-files"]);
    let folder = crate::common::memory();
    // The kernel ends every other process with the first. Often enough a thread of rmap still has the capture then.
    for round in 0..12 {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork"]).arg(crate::common::program()).args(["ps", "--proc-root"]).arg(&taken.file);
        command.env("TMPDIR", folder.path());
        let run = crate::wait(command);
        if run.err.contains("unshare: ") {
            eprintln!("SKIPPED: no pid namespace can be made here: {}", run.err);
            return;
        }
        assert!(!run.out.is_empty(), "{run:?}");
        assert_eq!(names(folder.path()), [""; 0], "{round}");
    }
}

#[test]
fn without_room_in_memory_it_is_unpacked_on_a_disk() {
    let own = std::process::id().to_string();
    let taken = take("a.tar.zst", ["--no-files", &own]);
    let script = "unshare -m bash -c 'mount -t tmpfs -o size=16k tmpfs /dev/shm || { echo SKIPPED; exit; }
        rmap pid --proc-root \"$1\" --match \"\" --by pid --jsonl; ls /dev/shm' - \"$1\"";
    let run = shell(script, &[taken.file.as_os_str()]);
    if run.text().starts_with("SKIPPED") || run.err.contains("unshare failed") {
        eprintln!("SKIPPED: no tmpfs can be mounted here: {}", run.err);
        return;
    }
    let rows = run.good().lines_of_json();
    assert_eq!(rows.len(), 1, "{rows:?}");
}

#[test]
fn the_closing_line_says_if_only_files_that_processes_hold_were_listed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tar");
    let pid = std::process::id().to_string();
    let words = ["capture", "-o", file.to_str().unwrap(), &pid];
    let Some(run) = crate::common::rmap_without_lists(words) else { return };
    let text = ": 1 process, only those cached files that processes hold; no command lines; ";
    assert!(run.text().contains(text), "{run:?}");
}
