//! `rmap demo` as a user sees it: both views agree, nothing is left behind however it ends, and a demo that cannot
//! succeed is not started.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod acts;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod meddling;
mod odd;
mod places;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStderr, Command, ExitStatus, Stdio};

use common::{Run, Subject, command, disk, page, rmap, run};
use nix::sys::signal::Signal;

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs the demo over a file in `folder`.
fn demo_in(folder: &Path, options: &[&str]) -> Run {
    let file = folder.join("file");
    rmap([&["demo", "--file", file.to_str().unwrap()], options].concat())
}

/// Both views must be equal at each step. The kernel may reclaim pages during the measurement; that is not an error of
/// the demo, and the test is repeated.
fn agreeing_steps(size: &str) -> serde_json::Value {
    for _ in 0..5 {
        let run = rmap(["demo", "--size", size, "--json"]);
        let steps = run.json();
        let agree = steps.as_array().unwrap().iter().all(|step| step["agree"] == true);
        assert_eq!(run.status, Some(i32::from(!agree)), "{run:?}");
        if agree {
            return steps;
        }
        eprintln!("the views did not agree, again: {}", run.text());
    }
    panic!("five times both views did not agree");
}

#[test]
fn both_views_agree_on_every_page() {
    for (size, bytes) in [("8M", 8 << 20), ("32M", 32 << 20), ("1000001", 1_000_001), ("5000", 5000), ("1", 1)] {
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
fn the_demo_fits_80_columns() {
    // Every line except the one with the path, whose length varies.
    let text = demo_in(disk().path(), &["--size", "64M"]).text();
    assert!(text.lines().skip(1).all(|line| line.len() <= 80), "{text}");
    for columns in [&["--size", "1M", "-b"][..], &["--size", "64M", "-b"], &["--size", "5000"], &["--size", "3M", "-H"]]
    {
        let text = demo_in(disk().path(), columns).text();
        let table: Vec<&str> = text.lines().filter(|line| line.ends_with(" Agree") || line.ends_with(" yes")).collect();
        let ends = table.iter().map(|line| line.rfind(' ').unwrap()).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(ends.len(), 1, "one column stands below the other: {text}");
    }
}

#[test]
fn the_default_directory_is_on_disk_and_is_left_empty() {
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

#[track_caller]
fn refused(run: &Run, words: &str) {
    assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(1), 1, 0), "{run:?}");
    assert!(run.err.contains(words), "{:?} is not in {}", words, run.err);
}
