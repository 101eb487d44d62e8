//! The machine that the tests run on, as root and as an ordinary user.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{ForEveryone, Run, command, has, program, rmap, run};
use crate::{Account, Machine};

fn account(arguments: &[&str]) -> Account {
    Account(rmap([&["mem", "--json", "--total"], arguments].concat()).good().json())
}

#[test]
fn the_memory_of_this_machine_adds_up() {
    let account = account(&[]);
    account.assert_adds_up();
    assert_eq!(account.whole("excess"), 0, "{}", account.0);
    // What cannot be named is the smaller part of it.
    assert!(account.size("unnamed") < account.sum() / 2, "{}", account.0);
}

#[test]
fn groups_count_memory_once() {
    // What this kernel does not count leaves a lower bound in its group, or nothing in a group of its own.
    let places = rmap(["mem", "--jsonl", "-o", "place,size,reclaim,source,part_of"]).good().lines_of_json();
    let uncounted = places.iter().filter(|row| row["size"].is_null() && row["part_of"].is_null());
    let uncounted: Vec<_> = uncounted.collect();
    assert!(uncounted.iter().all(|row| row["source"] == "HardwareCorrupted"), "{uncounted:?}");
    for by in ["reclaim", "source"] {
        let run = rmap(["mem", "--jsonl", "-o", "size", "--by", by]).good();
        let mut sum = 0;
        for row in run.lines_of_json() {
            let may_lack = uncounted.iter().any(|place| place[by] == row[by]);
            let size = row["size"].as_u64().or(row["at_least"]["size"].as_u64().filter(|_| may_lack));
            assert!(size.is_some() || row[by] == "HardwareCorrupted" && may_lack, "{row}");
            sum += size.unwrap_or_default();
        }
        let text = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024;
        assert!(sum >= total && sum - total < total / 100, "{by}: {sum} of {total}");
    }
    // An attribute is a row of its own where its name is the key.
    let places = rmap(["mem", "--jsonl", "-o", "size", "--by", "place"]).good().lines_of_json();
    assert!(places.iter().any(|row| row["place"] == "mapped"), "{places:?}");
}

#[test]
fn only_what_a_capture_has_is_taken_for_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("anything")).unwrap();
    std::fs::create_dir_all(folder.path().join("sys/devices/system/node")).unwrap();
    let root = folder.path().join("anything").display().to_string();
    let run = rmap(["cgroups", "--proc-root", &root]);
    assert_eq!((run.status, run.text().lines().count() <= 1), (Some(1), true), "{run:?}");
    std::fs::write(folder.path().join("anything/meminfo"), "MemTotal: 16384 kB\nMemFree: 8192 kB\n").unwrap();
    let run = rmap(["mem", "--pages", "--proc-root", &root]);
    assert_eq!(run.parts(), (1, String::new(), "rmap: the capture: it has no kpageflags\n".to_owned()));
}

#[test]
fn an_ordinary_user_sees_the_account_and_is_told_what_root_sees() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let run = everyone.rmap(["mem"]);
    let text = run.good().text();
    assert!(text.contains("\nsum: "), "{text}");
    assert!(text.ends_with("root also sees pages by node and group (--pages) and slab caches (--slab)\n"));
    everyone.rmap(["mem", "--by", "node"]).good();
    for (option, file) in [("--pages", "kpageflags"), ("--slab", "slabinfo")] {
        let run = everyone.rmap(["mem", option]);
        let line = format!("rmap: /proc/{file}: permission denied; run as root\n");
        assert_eq!(run.parts(), (1, String::new(), line));
    }
}

#[test]
fn the_account_fits_one_screen_of_80_columns() {
    if !has("script", "bsdutils") {
        return;
    }
    let line = format!("stty cols 80 rows 24; exec {} mem --color never", program().display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
    let text = run(script).text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() < 24, "{text}");
    assert!(lines.iter().all(|line| line.trim_end().chars().count() <= 80), "{text}");
    let bar = |line: &&str| line.contains('█');
    assert!(lines[0].contains("What it is") && lines.iter().any(bar), "{text}");
}

/// Whether page frames can be looked at here; if not, prints which test is skipped.
fn can_look(name: &str) -> bool {
    let run: Run = rmap(["mem", "--pages", "--top=1"]);
    if run.status != Some(0) {
        eprintln!("SKIPPED: {name}: {}", run.err.trim_end());
    }
    run.status == Some(0)
}

#[test]
fn pages_and_counters_agree() {
    if !can_look("pages_and_counters_agree") {
        return;
    }
    // Other programs change the memory meanwhile, and neither is a snapshot: one agreement proves that both count the
    // same.
    let start = Instant::now();
    loop {
        let (before, pages, after) = (account(&[]), account(&["--pages"]), account(&[]));
        pages.assert_adds_up();
        let tolerance = (pages.whole("total") / 100).max(64 << 20);
        let disagrees = |place: &&str| {
            let (one, other) = (before.size(place), after.size(place));
            let figure = match *place {
                "mapped" => pages.size("page cache mapped") + pages.size("shared mapped"),
                place => pages.size(place),
            };
            figure + tolerance < one.min(other) || figure > one.max(other) + tolerance
        };
        let wrong: Vec<&str> = ["anonymous", "page cache", "shared memory", "page tables", "mapped"]
            .iter()
            .filter(|p| disagrees(p))
            .copied()
            .collect();
        if wrong.is_empty() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(25), "{wrong:?}: {} and {}", before.0, pages.0);
    }
}

#[test]
fn a_repeated_account_shows_what_changed() {
    // A capture does not change.
    let machine = Machine::new("MemTotal: 1000 kB\nMemFree: 400 kB\nAnonPages: 100 kB\n");
    let proc = machine.proc();
    let mut watching =
        command(["mem", "-w", "0.2", "--jsonl", "-o", "place,size", "--proc-root", proc.to_str().unwrap()]);
    let child = watching.stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    std::fs::write(proc.join("meminfo"), "MemTotal: 1000 kB\nMemFree: 300 kB\nAnonPages: 200 kB\n").unwrap();
    std::thread::sleep(Duration::from_millis(700));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let changed = |place: &str, by: i64| rows.iter().any(|row| row["place"] == place && row["size_change"] == by);
    assert!(changed("free", -102_400) && changed("anonymous", 102_400), "{text}");
}
