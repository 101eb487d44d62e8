//! Programs in a known state, which end with the test.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::program;

/// A child that is killed when the test ends.
pub(crate) struct Subject {
    child: Child,
    /// The mappings that the subject program reported.
    pub(crate) made: Vec<Made>,
}

/// A mapping of the subject program, and the figures that smaps must report for it, in bytes.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) start: String,
    pub(crate) length: u64,
    pub(crate) figures: Vec<(String, u64)>,
}

/// The subject program.
pub(crate) fn subject_program() -> PathBuf {
    let path = program().with_file_name("examples").join("subject");
    if !path.exists() {
        // `cargo test --test NAME` builds no examples.
        let mut build = Command::new(env!("CARGO"));
        // A test in a mount namespace of its own starts in `/`.
        build.args(["build", "--quiet", "--example", "subject"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        build.status().unwrap();
    }
    path
}

impl Made {
    fn parse(line: &str) -> Made {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap().to_owned();
        let (name, start, length) = (next(), next(), next().parse().unwrap());
        let figures = words.map(|word| word.split_once('=').unwrap());
        Made {
            name,
            start,
            length,
            figures: figures.map(|(key, value)| (key.into(), value.parse().unwrap())).collect(),
        }
    }
}

impl Subject {
    /// Starts the subject program (`tests/subject/program.rs`) and waits until it has done the acts.
    pub(crate) fn start<S: AsRef<OsStr>>(acts: impl IntoIterator<Item = S>) -> Subject {
        let mut command = Command::new(subject_program());
        command.args(acts);
        Subject::until_ready(command)
    }

    /// Starts the subject program without waiting until it has done the acts.
    pub(crate) fn waiting<S: AsRef<OsStr>>(acts: impl IntoIterator<Item = S>) -> Subject {
        let mut command = Command::new(subject_program());
        command.args(acts).stdin(Stdio::piped()).stdout(Stdio::null());
        Subject::of(command.spawn().unwrap())
    }

    /// Starts a program that prints a line `ready` and then waits for its standard input to end, or longer.
    pub(crate) fn until_ready(mut command: Command) -> Subject {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut subject = Subject { child, made: Vec::new() };
        for line in lines {
            match line.unwrap().as_str() {
                "ready" => return subject,
                line => subject.made.push(Made::parse(line)),
            }
        }
        panic!("it ended before it was ready");
    }

    pub(crate) fn of(child: Child) -> Subject {
        Subject { child, made: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn word(&self) -> String {
        self.pid().to_string()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    /// Stops all its threads, so that its memory does not change.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.pid());
        wait_until("it stopped", || fs::read_to_string(&stat).is_ok_and(|text| text.contains(") T ")));
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a subject may lock so many bytes; if not, prints which test is skipped.
pub(crate) fn may_lock(bytes: u64) -> bool {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory")?.split_whitespace().next());
    let may = nix::unistd::geteuid().is_root()
        || limit.is_none_or(|limit| limit.parse().map_or(true, |limit: u64| bytes <= limit));
    if !may {
        eprintln!("SKIPPED: this user may lock {limit:?} bytes of memory, not {bytes} (ulimit -l)");
    }
    may
}

/// Waits until `done` returns true, for at most ten seconds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
