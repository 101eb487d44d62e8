//! `rmap who` on files whose holders are known: each has one row, with the right bytes, and no other process has.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod captured;
mod kernel;
mod load;
mod names;
mod options;
mod ordinary;
mod segments;
mod served;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use common::{Run, Subject, rmap};

/// What `rmap who --json --total` answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Value>,
    pub(crate) files: Vec<Value>,
    pub(crate) total: Value,
    /// The lines on standard error, without the one about processes that do not show what they hold even to root, which
    /// a machine may have.
    pub(crate) complaints: Vec<String>,
}

const BLIND: &str = "rmap: the processes of this machine: ";

impl Answer {
    #[track_caller]
    pub(crate) fn of(run: &Run) -> Answer {
        let complaints: Vec<String> = run.complaints().into_iter().map(str::to_owned).collect();
        assert_eq!(run.status, Some(i32::from(!complaints.is_empty())), "{run:?}");
        let complaints = complaints.into_iter().filter(|line| !line.starts_with(BLIND)).collect();
        let document = run.json();
        let list = |key: &str| document[key].as_array().unwrap().clone();
        Answer { rows: list("holders"), files: list("files"), total: document["total"].clone(), complaints }
    }

    /// The one row of a process.
    #[track_caller]
    pub(crate) fn row(&self, subject: &Subject) -> &Value {
        let found: Vec<&Value> = self.rows.iter().filter(|row| row["pid"] == subject.pid()).collect();
        assert_eq!(found.len(), 1, "pid {}: {self:?}", subject.pid());
        found[0]
    }

    /// That exactly these processes have rows, and that nothing is wrong.
    #[track_caller]
    pub(crate) fn assert_only(&self, subjects: &[&Subject]) {
        let mut pids: Vec<u64> = self.rows.iter().map(|row| row["pid"].as_u64().unwrap()).collect();
        let mut expected: Vec<u64> = subjects.iter().map(|subject| subject.pid().into()).collect();
        pids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(pids, expected, "{self:?}");
        // An ordinary user may ask for the kernel's lists all the same.
        let is_about_lists = |line: &&String| line.starts_with("rmap: --pages: it needs root");
        let is_root = nix::unistd::geteuid().is_root();
        let others: Vec<&String> = self.complaints.iter().filter(|line| is_root || !is_about_lists(line)).collect();
        assert_eq!(others, [""; 0]);
    }
}

#[track_caller]
pub(crate) fn bytes(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// `rmap who --json --total ARGS...`
#[track_caller]
pub(crate) fn who<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Answer {
    let mut all: Vec<OsString> = ["who", "--json", "--total"].map(Into::into).to_vec();
    all.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    Answer::of(&rmap(all))
}

/// A shell that has a file open for writing, and waits.
pub(crate) fn writer(path: &Path) -> Subject {
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3>>\"$1\"; echo ready; read line", "sh"]).arg(path);
    Subject::until_ready(command)
}

/// The path of a descriptor or mapping of a process that leads to this file.
#[track_caller]
pub(crate) fn link_of(subject: &Subject, table: &str, target: &str) -> String {
    let folder = format!("/proc/{}/{table}", subject.pid());
    let links = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |link: &std::path::PathBuf| {
        std::fs::read_link(link).is_ok_and(|found| found.to_string_lossy().starts_with(target))
    };
    links.into_iter().find(is_it).unwrap_or_else(|| panic!("no {target} in {folder}")).display().to_string()
}
