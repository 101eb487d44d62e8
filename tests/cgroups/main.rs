//! `rmap cgroups`: the memory control groups, live and captured.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod capture;
mod explained;
mod live;
mod version_2;

use serde_json::Value;

use common::{Run, program, rmap, run};

/// The rows of a run without failures.
#[track_caller]
pub(crate) fn rows(arguments: &[&str]) -> Vec<Value> {
    let all = ["cgroups", "--jsonl"].iter().chain(arguments);
    let run: Run = rmap(all);
    assert_eq!((run.status, run.err.as_str()), (Some(0), ""), "{}", run.out.escape_ascii());
    run.lines_of_json()
}

/// The one row of a path.
#[track_caller]
pub(crate) fn row<'r>(rows: &'r [Value], path: &str) -> &'r Value {
    let found: Vec<&Value> = rows.iter().filter(|row| row["path"] == path).collect();
    assert_eq!(found.len(), 1, "{path}: {found:?} of {} rows", rows.len());
    found[0]
}

/// What a terminal of this width shows.
pub(crate) fn on_a_terminal(width: usize, arguments: &[&str]) -> String {
    let quoted: String = arguments.iter().map(|argument| format!(" '{argument}'")).collect();
    let line = format!("stty cols {width} rows 50; exec {} {quoted} --color never", program().display());
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
    run(script).text().replace('\r', "")
}

#[track_caller]
pub(crate) fn figure(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))
}

#[track_caller]
pub(crate) fn assert_absent(row: &Value, key: &str, why: &str) {
    assert!(row[key].is_null(), "{key} of {row}");
    assert_eq!(row["absent"][key], why, "{row}");
}
