//! The programs in `examples/`: each is run, and its answer checked.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::process::{Command, Output};

use common::program;

fn run(name: &str, arguments: &[&str]) -> Output {
    let path = program().with_file_name("examples").join(name);
    if !path.exists() {
        // `cargo test --test examples` builds no examples.
        Command::new(env!("CARGO")).args(["build", "--quiet", "--example", name]).status().unwrap();
    }
    Command::new(path).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn cached_reports_every_file_that_it_can() {
    let output = run("cached", &["Cargo.toml", "/no/such/file", "/proc/self/exe"]);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert!(matches!(lines[..], [one, other] if one.ends_with("  Cargo.toml") && other.contains(" %  ")), "{lines:?}");
    assert_eq!(text(&output.stderr), "cached: /no/such/file: no such file\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn heaviest_sorts_by_rss() {
    let pid = std::process::id().to_string();
    let output = run("heaviest", &[&pid]);
    let rows: Vec<u64> = text(&output.stdout)
        .lines()
        .skip(1)
        .take(10)
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    assert!(rows.len() == 10 && rows.is_sorted_by(|one, next| one >= next) && rows[0] > 0, "{rows:?}");
    assert!(output.status.success());
    assert!(text(&run("heaviest", &["4294967295"]).stderr).contains("no such process"));
}

#[test]
fn as_json_filters_and_sorts() {
    let pid = std::process::id().to_string();
    let output = run("as_json", &[&pid, "rss > 0 && path =~ examples"]);
    let rows: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["path"].as_str().unwrap().contains("examples")), "{rows:?}");
    assert!(rows.is_sorted_by(|one, next| one["rss"].as_u64() >= next["rss"].as_u64()));
    assert!(output.status.success());
    let wrong = run("as_json", &[&pid, "rsss > 0"]);
    assert!(text(&wrong.stderr).contains("rsss") && !wrong.status.success(), "{wrong:?}");
    let gone = run("as_json", &["4294967295"]);
    assert_eq!(text(&gone.stderr), "as_json: pid 4294967295: no such process\n");
    assert_eq!(gone.status.code(), Some(1));
}
