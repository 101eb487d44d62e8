//! Other processes that remove, truncate or replace the demo's file.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::{Run, Running, command, disk, page, wait_until};
use crate::{hold, names};
use nix::sys::signal::Signal;

#[test]
fn another_file_with_the_demos_name_is_not_removed() {
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

/// Starts a demo that takes long enough to fill, waits until filling has begun, and does `act`.
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
fn a_deleted_demo_file_is_measured_until_the_end() {
    let (folder, run) = meddled(&[], |path| fs::remove_file(path).unwrap());
    assert_eq!((run.status, run.err.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.text().lines().any(|line| line.starts_with(" 100.000 ")), "{}", run.text());
    assert!(run.text().ends_with("/f: the demo file was removed by another process.\n"), "{}", run.text());
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_replaced_demo_file_is_measured_and_the_replacement_is_kept() {
    let (folder, run) = meddled(&["--json"], |path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "another").unwrap();
    });
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(run.err.ends_with("/f: another file has this name now and is not removed\n"), "{}", run.err);
    for step in run.json().as_array().unwrap() {
        assert_eq!(step["file_size"], 384 << 20);
        assert_eq!(step["only_mapped"], 0, "mapped pages are cached: {step}");
    }
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"another");
}

#[test]
fn truncating_the_file_during_filling_is_a_clear_error() {
    let (folder, run) = meddled(&["--keep"], |path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(10_000).unwrap();
    });
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(
        run.err.ends_with("/f: its length was changed from 402653184 to 10000 bytes by another process\n"),
        "{}",
        run.err
    );
    drop(folder);
    let (folder, run) = meddled(&[], |path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    });
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(
        run.err.ends_with("/f: its length was changed from 402653184 to 0 bytes by another process\n"),
        "{}",
        run.err
    );
    assert_eq!(names(folder.path()), [""; 0]);
}

/// At the end the page is mapped too, but for some steps the views did not agree.
#[test]
fn a_step_in_which_the_views_differ_is_not_forgotten() {
    let folder = disk();
    let path = folder.path().join("f");
    let arguments = ["demo", "--size", "64M", "--file", path.to_str().unwrap()];
    for format in [&[][..], &["--jsonl"]] {
        let mut demo = Running::start(command([&arguments, format].concat()));
        let is_first = |line: &str| line.trim_start().starts_with("0.000") || line.contains("\"filled\":0,");
        let mut said = String::new();
        while !is_first(said.lines().last().unwrap_or_default()) {
            said.push_str(&demo.line());
        }
        let file = fs::File::open(&path).unwrap();
        let last_page = memmap2::MmapOptions::new().offset((64 << 20) - page()).map_raw_read_only(&file).unwrap();
        last_page.lock().unwrap();
        let (status, rest) = demo.rest();
        assert_eq!(status, Some(1), "{rest}");
        let agreed = rest.contains("Both views agree");
        assert!(!agreed && (rest.contains("The views differ, with ") || !format.is_empty()), "{rest}");
        drop(last_page);
    }
}
