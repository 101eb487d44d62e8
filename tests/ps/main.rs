//! `rmap ps`: the processes of a captured machine with known figures, and of this one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod captured;
mod live;
mod postgres;
mod screen;
mod storm;

use serde_json::Value;

use common::Run;

/// Not even root may read every process everywhere: then a run has one line about those, and the exit status 1.
#[track_caller]
fn allowed(run: Run) -> Run {
    let is_denied = |line: &&str| line.contains("permission denied: cannot read smaps_rollup");
    let lines = run.complaints();
    let complaints = lines.iter().filter(|line| is_denied(line)).count();
    assert!(complaints <= 1, "{}", run.err);
    assert_eq!((lines.len() - complaints, run.status), (0, Some(i32::from(complaints > 0))), "{}", run.err);
    run
}

/// The row of a process.
#[track_caller]
fn row_of(rows: &Value, pid: u32) -> &Value {
    let row = rows.as_array().unwrap().iter().find(|row| row["pid"] == pid);
    row.unwrap_or_else(|| panic!("no row of {pid}: {rows}"))
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key}: {row}"))
}
