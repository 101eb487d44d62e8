//! `rmap demo` as a user sees it: both views agree, nothing is left behind however it ends, and what cannot end well is not
//! begun.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, ExitStatus, Stdio};

use common::{Run, Subject, command, disk, page, program, rmap, run, shell, wait_until};
use nix::sys::signal::Signal;

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs the demo over a file in `folder`.
fn demo_in(folder: &Path, options: &[&str]) -> Run {
    let file = folder.join("file");
    rmap([&["demo", "--file", file.to_str().unwrap()], options].concat())
}

/// Both views at each step must be equal. The kernel may reclaim pages while they are taken; that is not an error of the
/// demo, and the test then looks again.
fn agreeing_steps(size: &str) -> serde_json::Value {
    for _ in 0..5 {
        let run = rmap(["demo", "--size", size, "--json"]);
        let steps = run.json();
        let agree = steps.as_array().unwrap().iter().all(|step| step["agree"] == true);
        assert_eq!(run.status, Some(i32::from(steps[4]["agree"] != true)), "{run:?}");
        if agree {
            return steps;
        }
        eprintln!("the views did not agree, again: {}", run.text());
    }
    panic!("five times both views did not agree");
}

#[test]
fn both_views_agree_page_for_page() {
    for (size, bytes) in [("8M", 8 << 20), ("32M", 32 << 20), ("1000001", 1_000_001)] {
        let steps = agreeing_steps(size);
        assert_eq!(steps.as_array().unwrap().len(), 5);
        assert_eq!((&steps[0]["rss"], &steps[0]["cached"]), (&0.into(), &0.into()), "mapping allocates nothing");
        let pages = u64::div_ceil(bytes, page());
        for (step, part) in steps.as_array().unwrap().iter().zip(0_u64..) {
            let figure = |key: &str| step[key].as_u64().unwrap();
            assert_eq!((figure("size"), figure("file_size")), (pages * page(), bytes));
            assert_eq!(figure("filled"), bytes * part / 4);
            assert_eq!((figure("only_mapped"), figure("only_cached"), figure("anonymous")), (0, 0, 0));
            assert_eq!((figure("rss"), figure("in_both")), (figure("cached_bytes"), figure("cached")));
            assert!(figure("cached") <= u64::div_ceil(figure("filled"), page()));
        }
    }
}

#[test]
fn the_table_ends_with_the_verdict() {
    let run = rmap(["demo", "--size", "8M"]);
    let text = run.text();
    let first = text.lines().next().unwrap();
    assert!(first.contains(" maps /") && first.contains(" (8388608 bytes), shared and writable,"), "{first}");
    assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("Filled %")).count(), 1);
    let steps = text.lines().filter(|line| line.split_whitespace().next().is_some_and(|word| word.ends_with(".000")));
    assert_eq!(steps.count(), 5, "{text}");
    assert!(text.contains("\nBoth views agree: ") || text.contains("\nThe views differ: "), "{text}");
    assert!(run.err.is_empty(), "{}", run.err);
}

#[test]
fn the_default_place_is_a_disk_and_nothing_is_left_there() {
    let folder = disk();
    let mut demo = command(["demo", "--size", "1M", "--json"]);
    demo.env("TMPDIR", folder.path());
    let path = run(demo).json()[0]["path"].as_str().unwrap().to_owned();
    assert!(path.starts_with(folder.path().to_str().unwrap()), "{path}");
    assert_eq!(names(folder.path()), [""; 0]);
    let mut demo = command(["demo", "--size", "1M", "--json"]);
    demo.env("TMPDIR", "/dev/shm");
    let path = run(demo).json()[0]["path"].as_str().unwrap().to_owned();
    assert!(!path.starts_with("/dev/shm"), "a tmpfs proves nothing: {path}");
}

/// A demo that holds its file.
struct Held {
    subject: Subject,
    stderr: BufReader<ChildStderr>,
    commands: Vec<String>,
}

/// Starts a demo with `--hold` and waits until it holds.
fn hold(mut demo: Command) -> Held {
    demo.arg("--hold").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = demo.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut commands = Vec::new();
    while commands.len() < 2 {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before it held");
        commands.extend(line.strip_prefix("  ").map(|line| line.trim_end().to_owned()));
    }
    Held { subject: Subject::of(child), stderr, commands }
}

impl Held {
    fn end(&mut self, signal: Signal) -> ExitStatus {
        self.subject.signal(signal);
        self.subject.child().wait().unwrap()
    }
}

/// A shell's `&` leaves Ctrl-C ignored, and the demo respects that.
fn ctrl_c_is_ignored_here() -> bool {
    let ignored = rmap::kernel::signal::is_ignored(Signal::SIGINT as i32);
    if ignored {
        eprintln!("SKIPPED: the tests were started with Ctrl-C ignored");
    }
    ignored
}

#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
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
fn what_hold_says_can_be_typed() {
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
        // In another terminal, and so in another directory.
        let process = shell(&format!("cd /; {}", held.commands[0]), &[]).good().text();
        let path = folder.path().join(name);
        let inode = path.metadata().unwrap().ino().to_string();
        assert!(process.lines().any(|line| line.split_whitespace().any(|word| word == inode)), "{process}");
        let file = shell(&format!("cd /; {} -o size,cached,pages -n", held.commands[1]), &[]).good().text();
        assert!(file.starts_with("2097152 ") && file.ends_with(" 512\n"), "{}: {file}", held.commands[1]);
        let status = held.end(Signal::SIGINT);
        assert_eq!(status.code(), Some(0), "the wished-for end of --hold");
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn nothing_is_left_by_a_kill_at_any_moment() {
    let folder = disk();
    let path = folder.path().join("f");
    for moment in 0..60 {
        let force = moment % 2 == 1;
        if force {
            fs::write(&path, "dear").unwrap();
        }
        let mut demo = command(["demo", "--size", "1M", "--file", path.to_str().unwrap()]);
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
fn nothing_is_left_by_a_signal() {
    if ctrl_c_is_ignored_here() {
        return;
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL, Signal::SIGQUIT] {
        let folder = disk();
        let mut held = hold(command(["demo", "--size", "1M", "--file", folder.path().join("f").to_str().unwrap()]));
        assert_eq!(names(folder.path()), ["f"]);
        let status = held.end(signal);
        if matches!(signal, Signal::SIGKILL | Signal::SIGQUIT) {
            assert_eq!(status.signal(), Some(signal as i32));
        }
        // The guard ends after it has looked, and it holds this end of the pipe until then.
        held.stderr.read_to_end(&mut Vec::new()).unwrap();
        wait_until("the file is gone", || names(folder.path()).is_empty());
    }
}

#[test]
fn nothing_is_left_by_a_signal_while_it_fills() {
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
fn nothing_is_left_when_nobody_reads() {
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
fn hold_lives_through_a_closed_standard_error() {
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
    assert!(demo.child().try_wait().unwrap().is_none(), "it ended by itself");
    demo.signal(Signal::SIGTERM);
    assert_eq!(demo.child().wait().unwrap().code(), Some(0));
    assert_eq!(names(folder.path()), [""; 0]);
}

#[track_caller]
fn refused(run: &Run, words: &str) {
    assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(1), 1, 0), "{run:?}");
    assert!(run.err.contains(words), "{:?} is not in {}", words, run.err);
}

#[test]
fn a_size_that_does_not_fit_is_refused_before_anything_is_touched() {
    let folder = disk();
    refused(&demo_in(folder.path(), &["--size", "900T"]), "it does not fit in memory, of which ");
    refused(&demo_in(folder.path(), &["--size", "16383P"]), "--size 16383P: a file of this size cannot be mapped");
    refused(&demo_in(folder.path(), &["--size", "7.999E"]), "--size 9222219115350168961: it does not fit in memory");
    assert_eq!(names(folder.path()), [""; 0]);
    let missing = folder.path().join("no/such/folder");
    refused(&demo_in(&missing, &["--size", "1M"]), "no such file");
    let run = rmap(["demo", "--size", "900T"]);
    refused(&run, "it does not fit in memory");
}

#[test]
fn a_limit_on_files_or_address_space_is_refused_in_words() {
    let folder = disk();
    let path = folder.path().join("file");
    for (limit, words) in
        [("ulimit -f 1024", "the limit on the size of a file (ulimit -f) is 1M"), ("ulimit -v 100000", "ulimit -v")]
    {
        let run = shell(&format!("{limit}; exec rmap demo --size 512M --file \"$1\""), &[path.as_os_str()]);
        refused(&run, words);
        assert!(run.err.contains("choose a smaller --size or raise the limit"), "{}", run.err);
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

/// Runs a shell script in a mount namespace in which `$1` is a tmpfs of 8 MiB; says why and gives nothing where it cannot.
fn on_a_small_disk(script: &str) -> Option<Run> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can mount a small file system");
        return None;
    }
    let folder = common::memory();
    let mut command = Command::new("unshare");
    let script = format!("mount -t tmpfs -o size=8m none \"$1\" || exit 77; {script}");
    command.args(["--mount", "--propagation", "private", "/bin/bash", "-c", &script, program().to_str().unwrap()]);
    let run = run({
        command.arg(folder.path());
        command
    });
    if run.status == Some(77) {
        eprintln!("SKIPPED: cannot mount here: {}", run.err);
        return None;
    }
    Some(run)
}

#[test]
fn a_full_disk_is_an_error_and_never_a_crash() {
    let sized = |size: &str| format!("\"$0\" demo --size {size} --file $1/f; status=$?; ls -A $1; exit $status");
    let Some(run) = on_a_small_disk(&sized("16M")) else { return };
    refused(&run, "it does not fit on the disk of ");
    assert!(
        run.err.contains("where 8M is free; choose a smaller --size or another place with --file PATH"),
        "{}",
        run.err
    );
    let run = on_a_small_disk(&format!("head -c 7M /dev/zero > $1/other; {}", sized("2M"))).unwrap();
    assert_eq!((run.status, run.text().as_str()), (Some(1), "other\n"), "{run:?}");
    // All that is free may be used, to the last page.
    let run = on_a_small_disk(&sized("8M")).unwrap();
    assert_eq!(run.status, Some(0), "{run:?}");
}

#[test]
fn a_failed_force_on_a_full_disk_leaves_the_old_file() {
    let script = "head -c 5M /dev/urandom > $1/f; before=$(md5sum < $1/f); \
                  \"$0\" demo --size 7M --force $KEEP --file $1/f; status=$?; \
                  [ \"$before\" = \"$(md5sum < $1/f)\" ] && ls -A $1; exit $status";
    for keep in ["", "KEEP=--keep; "] {
        let Some(run) = on_a_small_disk(&format!("{keep}{script}")) else { return };
        assert_eq!((run.status, run.text().as_str()), (Some(1), "f\n"), "{run:?}");
    }
}

#[test]
fn a_file_is_never_overwritten_unasked() {
    let folder = disk();
    let path = folder.path().join("file");
    fs::write(&path, "dear").unwrap();
    for options in [&["--size", "1M"][..], &["--size", "1M", "--keep"]] {
        let run = demo_in(folder.path(), options);
        refused(&run, "there is such a file already; choose another name, or --force to replace it");
        assert_eq!(fs::read(&path).unwrap(), b"dear");
    }
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    let link = folder.path().join("link");
    refused(
        &rmap([OsStr::new("demo"), OsStr::new("--size=1M"), OsStr::new("--file"), link.as_os_str()]),
        "such a file",
    );
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn force_replaces_a_file_and_only_a_file() {
    let folder = disk();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    let run = demo_in(folder.path(), &["--size", "1M", "--force", "--keep"]);
    assert_eq!(run.err, "");
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() == 1 << 20 && bytes.iter().enumerate().all(|(place, byte)| usize::from(*byte) == place % 128));
    assert_eq!(names(folder.path()), ["file"]);
    demo_in(folder.path(), &["--size", "1M", "--force"]);
    assert_eq!(names(folder.path()), [""; 0]);
    demo_in(folder.path(), &["--size", "1M", "--force"]);
    assert_eq!(names(folder.path()), [""; 0], "--force where there is nothing to replace");
    fs::create_dir(&path).unwrap();
    refused(
        &demo_in(folder.path(), &["--size", "1M", "--force"]),
        "it is not a regular file, and only those are replaced",
    );
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    refused(&demo_in(folder.path(), &["--size", "1M", "--force"]), "it is not a regular file");
    assert!(fs::read("/etc/passwd").unwrap().starts_with(b"root:"));
}

#[test]
fn a_failed_force_leaves_the_old_file_whole() {
    let folder = disk();
    let path = folder.path().join("file");
    // Just too little address space for what is mapped besides the program itself: only mmap can tell.
    for keep in ["", "--keep"] {
        fs::write(&path, "dear").unwrap();
        let line = format!("ulimit -v 530000; exec rmap demo --size 512M --force {keep} --file \"$1\"");
        let run = shell(&line, &[path.as_os_str()]);
        assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
        assert!(
            run.err.contains("; choose a smaller --size or raise the limit on address space (ulimit -v)"),
            "{}",
            run.err
        );
        assert_eq!(fs::read(&path).unwrap_or_default(), b"dear", "{keep}");
        assert_eq!(names(folder.path()), ["file"]);
    }
}

#[test]
fn a_failed_keep_leaves_no_half_file() {
    let folder = disk();
    let path = folder.path().join("file");
    let line = "ulimit -v 530000; exec rmap demo --size 512M --keep --file \"$1\"";
    let run = shell(line, &[path.as_os_str()]);
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn keep_leaves_the_whole_file() {
    let folder = disk();
    let run = demo_in(folder.path(), &["--size", "300001", "--keep", "--json"]);
    assert_eq!(run.err, "");
    let bytes = fs::read(folder.path().join("file")).unwrap();
    assert_eq!(bytes.len(), 300_001);
    assert!(bytes.iter().enumerate().all(|(place, byte)| usize::from(*byte) == place % 128));
}

#[test]
fn a_file_that_took_the_demos_name_is_not_removed() {
    let folder = disk();
    let path: PathBuf = folder.path().join("f");
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut held = hold(command(["demo", "--size", "1M", "--file", path.to_str().unwrap()]));
        fs::rename(&path, folder.path().join("moved")).unwrap();
        fs::write(&path, "another").unwrap();
        held.end(signal);
        held.stderr.read_to_end(&mut Vec::new()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(fs::read(&path).unwrap(), b"another");
        fs::remove_file(&path).unwrap();
    }
}

/// Starts a demo that is large enough to be met while it fills, waits until it has begun to, and does `act`.
fn meddled(options: &[&str], act: impl Fn(&Path)) -> (tempfile::TempDir, Run) {
    let folder = disk();
    let path = folder.path().join("f");
    let mut demo = command([&["demo", "--size", "384M", "--file", path.to_str().unwrap()], options].concat());
    let child = demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it has its name", || path.exists());
    act(&path);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (folder, Run { status: output.status.code(), out: output.stdout, err })
}

#[test]
fn a_file_that_lost_its_name_is_measured_to_the_end() {
    let (folder, run) = meddled(&[], |path| fs::remove_file(path).unwrap());
    assert_eq!((run.status, run.err.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.text().lines().any(|line| line.starts_with(" 100.000 ")), "{}", run.text());
    assert!(run.text().ends_with("/f: somebody removed this name of the demo's file meanwhile.\n"), "{}", run.text());
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_file_whose_name_went_to_another_is_measured_and_the_other_is_left_alone() {
    let (folder, run) = meddled(&["--json"], |path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "another").unwrap();
    });
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(run.err.ends_with("/f: another file has this name now, and is left alone\n"), "{}", run.err);
    for step in run.json().as_array().unwrap() {
        assert_eq!(step["file_size"], 384 << 20);
        assert_eq!(step["only_mapped"], 0, "what is mapped is cached: {step}");
    }
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"another");
}

#[test]
fn a_file_that_is_cut_while_it_fills_is_an_error_in_words() {
    let (folder, run) = meddled(&["--keep"], |path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(10_000).unwrap();
    });
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(run.err.ends_with("/f: somebody made it 10000 bytes long meanwhile, of 402653184\n"), "{}", run.err);
    drop(folder);
    let (folder, run) = meddled(&[], |path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    });
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(run.err.ends_with("/f: somebody made it 0 bytes long meanwhile, of 402653184\n"), "{}", run.err);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_default_name_that_is_taken_gets_a_number() {
    let folder = disk();
    // The shell's pid is the demo's, after exec.
    let run = shell(
        "cd \"$1\"; touch rmap-demo-$$ rmap-demo-$$-1; TMPDIR=$1 exec rmap demo --size 1M --json",
        &[folder.path().as_os_str()],
    );
    assert_eq!(run.err, "");
    let steps = run.json();
    let (path, pid) = (steps[0]["path"].as_str().unwrap(), steps[0]["pid"].as_u64().unwrap());
    assert!(path.ends_with(&format!("/rmap-demo-{pid}-2")), "{path}");
    assert_eq!(names(folder.path()).len(), 2, "the two that were there");
}

#[test]
fn a_size_that_is_none_is_wrong_usage() {
    for (size, words) in [("0", "a file of no bytes"), ("1.5", "a fraction of a byte"), ("0.1", "a fraction of a byte")]
    {
        let run = rmap(["demo", "--size", size]);
        assert_eq!((run.status, run.out.len()), (Some(2), 0), "{run:?}");
        assert!(run.err.contains(words) && run.err.contains(size), "{}", run.err);
    }
}

#[test]
fn a_small_file_is_shown_in_bytes() {
    let steps = rmap(["demo", "--size", "4097", "-o", "size,file_size", "-n"]).text();
    let figures: Vec<&str> = steps.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(figures, [(page() * 4097_u64.div_ceil(page())).to_string().as_str(), "4097"]);
    assert!(rmap(["demo", "--size", "4097"]).text().contains(" Sizes are in bytes.\n"));
    assert!(rmap(["demo", "--size", "1M"]).text().contains(" Sizes are in KiB (-b: in bytes).\n"));
}

#[test]
fn a_place_where_no_file_can_be_made_is_named() {
    let long = format!("/var/tmp/{}", "a".repeat(256));
    for (file, words) in [
        ("/proc/x", "/proc: this is procfs, where "),
        ("/sys/x", "/sys: this is sysfs, where "),
        ("/var/tmp/no/such/x", "no such file; make its directory first"),
        ("/etc/passwd/x", "Not a directory; make its directory first"),
        (long.as_str(), "File name too long; choose a shorter name"),
    ] {
        refused(&rmap(["demo", "--size", "1M", "--file", file]), words);
    }
}

#[test]
fn force_takes_the_longest_name_that_there_is() {
    let folder = disk();
    let path = folder.path().join("a".repeat(255));
    fs::write(&path, "old").unwrap();
    let run = rmap(["demo", "--size", "1M", "--force", "--keep", "--file", path.to_str().unwrap()]);
    assert_eq!(run.err, "");
    assert_eq!((path.metadata().unwrap().len(), names(folder.path()).len()), (1 << 20, 1));
}

#[test]
fn a_proc_that_is_not_mounted_is_named() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can unmount /proc for itself");
        return;
    }
    let script = "umount -l /proc || exit 77; \"$0\" demo --size 1M; \"$0\" pid self; \"$0\" pid 1";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", script, program().to_str().unwrap()]);
    let run = run(command);
    if run.status == Some(77) {
        eprintln!("SKIPPED: /proc cannot be unmounted here: {}", run.err);
        return;
    }
    let line = "rmap: /proc: it is not mounted, so the kernel cannot be asked; mount it: mount -t proc proc /proc";
    assert_eq!((run.status, run.complaints()), (Some(1), vec![line; 3]));
}

#[test]
fn a_guard_that_cannot_be_started_is_an_error_with_advice() {
    let Some(nobody) = common::ForEveryone::copy() else { return };
    // A limit of no processes: root's would not count.
    let script = "ulimit -u 0; exec \"$0\" demo --size 1M --file \"$1\"";
    let folder = disk();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = folder.path().join("f");
    let arguments =
        [OsStr::new("-c"), OsStr::new(script), nobody.program().as_os_str(), file.as_os_str()].map(OsStr::to_owned);
    let run = nobody.run(Path::new("/bin/bash"), arguments);
    refused(&run, "no more processes may be started; end some, or raise the limit (ulimit -u)");
    assert_eq!(names(folder.path()), [""; 0]);
}
