//! Processes that start and exit while they are read.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::common::{Running, rmap};
use crate::{allowed, number, row_of};

/// Starts one process after the other on several threads until it is dropped. While a child has not yet executed its
/// program, it shares the memory of the test (`posix_spawn` is `vfork`).
struct Storm {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<u64>>,
}

impl Storm {
    fn start() -> Storm {
        let is_over = Arc::new(AtomicBool::new(false));
        let start = |_| {
            let is_over = is_over.clone();
            std::thread::spawn(move || {
                let mut count = 0;
                while !is_over.load(Ordering::Relaxed) {
                    assert!(Command::new("/bin/true").status().unwrap().success());
                    count += 1;
                }
                count
            })
        };
        let threads = (0..2).map(start).collect();
        Storm { is_over, threads }
    }

    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    }
}

#[test]
fn processes_that_come_and_go_cost_no_error_and_no_wrong_row() {
    const LARGE: u64 = 192 << 20;
    let ballast = vec![1u8; LARGE as usize];
    // Others fork without executing anything.
    let mut shell = Command::new("bash");
    shell.args(["-c", "echo; while :; do (:); done"]);
    let mut forks = Running::start(shell);
    forks.line();
    let storm = Storm::start();
    let own = std::process::id();
    for _ in 0..30 {
        let document = allowed(rmap(["ps", "--json", "--total", "--budget", "25"])).json();
        let rows = document["processes"].as_array().unwrap();
        // A child that shares our memory has our command line, and counts once.
        let name = &row_of(&document["processes"], own)["name"];
        let is_ours = |row: &&serde_json::Value| row["pid"] == own || row["parent"] == own && row["name"] == *name;
        let ours: Vec<_> = rows.iter().filter(is_ours).filter(|row| number(row, "rss") >= LARGE).collect();
        assert!(!ours.is_empty());
        let others = |row: &&serde_json::Value| row["name"] == "true" || row["name"] == "rmap";
        for row in rows.iter().filter(|row| row["parent"] == own).filter(others) {
            assert!(row["pss"].as_u64().is_none_or(|pss| pss < LARGE / 2), "{row}");
        }
        let all: u64 = rows.iter().filter_map(|row| row["pss"].as_u64()).sum();
        let twice = (ours.len() as u64 - 1) * LARGE;
        assert!(number(&document["total"], "pss") <= all - twice, "{ours:#?}");
        assert_eq!(document["total"]["pss"], document["account"]["pss"]);
    }
    let count = storm.end();
    assert!(count > 100, "only {count} processes were started");
    assert!(ballast.iter().all(|byte| *byte == 1));
}
