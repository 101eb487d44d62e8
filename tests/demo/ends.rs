//! The ways in which the demo can end: none of them leaves anything behind.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::common::{Subject, command, disk, memory, program, shell, wait_until};
use crate::{hold, names};
use nix::sys::signal::Signal;

/// A shell's `&` leaves Ctrl-C ignored, and the demo respects that.
pub(crate) fn ctrl_c_is_ignored_here() -> bool {
    is_ignored_here(Signal::SIGINT)
}

/// Whether the tests were started with this signal ignored (`nohup`, a background job), which the demo inherits.
fn is_ignored_here(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal as u64 - 1) & 1 == 1;
    if ignored {
        eprintln!("SKIPPED: the tests were started with {signal} ignored");
    }
    ignored
}

#[test]
fn an_ignored_hangup_stays_ignored() {
    let folder = disk();
    let file = folder.path().join("f");
    let mut nohup = Command::new("nohup");
    nohup.arg(program()).args(["demo", "--size", "1M", "--file", file.to_str().unwrap()]);
    let mut held = hold(nohup);
    held.subject.signal(Signal::SIGHUP);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(held.subject.child().try_wait().unwrap().is_none(), "nohup was not respected");
    assert_eq!(held.end(Signal::SIGTERM).code(), Some(0));
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn the_commands_that_hold_prints_work() {
    if ctrl_c_is_ignored_here() {
        return;
    }
    let folder = disk();
    for name in ["plain", "it's a \"file\"", "two\nlines $HOME", "tab\tand \\ and \u{1b}[2J", "-x"] {
        let mut demo = command(["demo", "--size", "2M", "--file", &format!("./{name}")]);
        demo.current_dir(folder.path());
        let mut held = hold(demo);
        assert_eq!(held.commands.len(), 2);
        assert!(held.commands.iter().all(|line| !line.contains('\x1b')), "{:?}", held.commands);
        // In another directory, as in another terminal.
        let process = shell(&format!("cd /; {}", held.commands[0]), &[]).good().text();
        let path = folder.path().join(name);
        let inode = path.metadata().unwrap().ino().to_string();
        assert!(process.lines().any(|line| line.split_whitespace().any(|word| word == inode)), "{process}");
        let file = shell(&format!("cd /; {} -o size,cached,pages -n", held.commands[1]), &[]).good().text();
        assert!(file.starts_with("2097152 ") && file.ends_with(" 512\n"), "{}: {file}", held.commands[1]);
        let status = held.end(Signal::SIGINT);
        assert_eq!(status.code(), Some(0), "the regular end of --hold");
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn a_kill_at_any_time_leaves_no_file() {
    kill_at_any_moment(&disk());
    // Reserving the blocks takes some milliseconds here, during which the file does not have its final name yet.
    kill_at_any_moment(&memory());
}

fn kill_at_any_moment(folder: &tempfile::TempDir) {
    let path = folder.path().join("f");
    for moment in 0..60 {
        let force = moment % 2 == 1;
        if force {
            fs::write(&path, "dear").unwrap();
        }
        let mut demo = command(["demo", "--size", "32M", "--file", path.to_str().unwrap()]);
        demo.args(force.then_some("--force")).stdout(Stdio::null()).stderr(Stdio::null());
        let mut demo = Subject::of(demo.spawn().unwrap());
        std::thread::sleep(std::time::Duration::from_micros(moment * 150));
        let _ = demo.child().kill();
        demo.child().wait().unwrap();
        let is_old = || fs::read(&path).is_ok_and(|bytes| bytes == b"dear") && names(folder.path()) == ["f"];
        wait_until("nothing is left", || names(folder.path()).is_empty() || force && is_old());
        let _ = fs::remove_file(&path);
    }
}

#[test]
fn a_signal_leaves_no_file() {
    if ctrl_c_is_ignored_here() {
        return;
    }
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL, Signal::SIGQUIT];
    for signal in signals.into_iter().filter(|signal| !is_ignored_here(*signal)) {
        let folder = disk();
        let mut held = hold(command(["demo", "--size", "1M", "--file", folder.path().join("f").to_str().unwrap()]));
        assert_eq!(names(folder.path()), ["f"]);
        let status = held.end(signal);
        if matches!(signal, Signal::SIGKILL | Signal::SIGQUIT) {
            assert_eq!(status.signal(), Some(signal as i32));
        }
        // The guard ends after its check, and holds this end of the pipe open until then.
        held.stderr.read_to_end(&mut Vec::new()).unwrap();
        wait_until("the file is gone", || names(folder.path()).is_empty());
    }
}

#[test]
fn a_signal_during_filling_leaves_no_file() {
    if ctrl_c_is_ignored_here() {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let folder = disk();
        let file = folder.path().join("f");
        let mut demo = command(["demo", "--size", "512M", "--file", file.to_str().unwrap()]);
        let mut demo = Subject::of(demo.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        wait_until("the file is there, with its blocks", || file.metadata().is_ok_and(|found| found.blocks() > 0));
        demo.signal(signal);
        let status = demo.child().wait().unwrap();
        let ended = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        assert_eq!(ended, Some(128 + signal as i32), "{signal}: the shell's word for it");
        wait_until("the file is gone", || names(folder.path()).is_empty());
    }
}

#[test]
fn a_closed_pipe_leaves_no_file() {
    let folder = disk();
    let file = folder.path().join("f");
    let line = format!("rmap demo --size 16M --file {}", file.display());
    let run = shell(&format!("{line} | head -1; exit ${{PIPESTATUS[0]}}"), &[]);
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""));
    assert_eq!(names(folder.path()), [""; 0]);
    for closed in [">&-", "2>&-", ">/dev/full", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"] {
        let run = shell(&format!("{line} {closed}"), &[]);
        assert!(run.status.is_some_and(|status| status <= 1), "{closed}: {run:?}");
        assert_eq!(names(folder.path()), [""; 0], "{closed}");
    }
    let run = shell(&format!("{line} --json > /dev/full"), &[]);
    assert_eq!((run.status, run.err.as_str()), (Some(1), "rmap: standard output: No space left on device\n"));
}

#[test]
fn a_file_that_is_kept_is_filled_although_nobody_reads_the_rows() {
    let folder = disk();
    let file = folder.path().join("f");
    let size = 16 << 20;
    for acts in ["", "--acts create,map,fill"] {
        let line = format!("rmap demo --size 16M --keep --force --file {} {acts}", file.display());
        for output in ["| head -1; exit ${PIPESTATUS[0]}", "> /dev/full"] {
            let run = shell(&format!("{line} {output}"), &[]);
            // The kernel may reclaim some of it meanwhile, which the demo reports.
            let is_full = output.contains("full");
            assert!(run.status == Some(1) || !is_full && run.status == Some(0), "{line} {output}: {run:?}");
            let data = fs::read(&file).unwrap();
            let zeros = data.iter().filter(|byte| **byte == 0).count();
            assert_eq!((data.len(), zeros), (size, size / 128), "{line} {output}: {run:?}");
            fs::remove_file(&file).unwrap();
        }
    }
}

#[test]
fn hold_survives_a_closed_standard_error() {
    let folder = disk();
    let file = folder.path().join("f");
    let mut demo = command(["demo", "--hold", "--size", "1M", "--file", file.to_str().unwrap()]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut demo = Subject::of(demo.stdout(Stdio::null()).stderr(writer).spawn().unwrap());
    wait_until("it is filled", || {
        let smaps = fs::read_to_string(format!("/proc/{}/smaps", demo.pid())).unwrap_or_default();
        smaps.contains("Rss:                1024 kB")
    });
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(demo.child().try_wait().unwrap().is_none(), "it ended on its own");
    demo.signal(Signal::SIGTERM);
    assert_eq!(demo.child().wait().unwrap().code(), Some(0));
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn rmap_has_no_command_that_removes_a_file() {
    let folder = disk();
    fs::write(folder.path().join("precious"), "1").unwrap();
    shell("cd $1; rmap remove-at-end precious < /dev/null", &[folder.path().as_os_str()]);
    assert_eq!(names(folder.path()), ["precious"]);
}

#[test]
fn a_demo_in_another_program_does_not_run_that_program_again() {
    use rmap::laboratory::demo::{Demo, DemoRequest};
    let folder = disk();
    let file = Some(folder.path().join("f"));
    let request = DemoRequest { size: rmap::units::Bytes(1 << 20), file, force: false, keep: false };
    let demo = Demo::begin(&request).unwrap();
    let parent = format!("PPid:\t{}\n", std::process::id());
    let is_child = |status: &str| status.contains(&parent) && status.starts_with("Name:\tguard\n");
    let processes = || fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let status = |path: &std::path::Path| fs::read_to_string(path.join("status")).unwrap_or_default();
    // The guard takes its name some time after the fork.
    let find = |_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        processes().find(|path| is_child(&status(path)))
    };
    let guard = (0..1000).find_map(find).unwrap_or_else(|| panic!("the guard was not found"));
    // It was forked; it is not this program started again.
    assert_eq!(fs::read(guard.join("cmdline")).unwrap(), fs::read("/proc/self/cmdline").unwrap());
    assert_eq!(fs::read_dir(guard.join("fd")).unwrap().count(), 2);
    drop(demo);
    assert_eq!(names(folder.path()), [""; 0]);
}
