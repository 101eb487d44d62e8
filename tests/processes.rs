//! Finding processes, their totals, and what is known about them without smaps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{copy_to_run, rmap};
use rmap::process::{Criteria, Fields, Interface, ProcRoot, Process, Wanted, read_matching};

/// A child that sleeps under a name that no other process has.
struct Sleeper {
    child: Child,
    name: String,
    _directory: tempfile::TempDir,
    /// One at a time: they share a name, and a program cannot be run while a fork of another test has it open for
    /// writing.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Sleeper {
    fn new() -> Sleeper {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().unwrap();
        let name = format!("rmap-a-sleeper-{}", std::process::id());
        let program = directory.path().join(&name);
        copy_to_run(Path::new("/bin/sleep"), &program);
        let child = Command::new(&program).arg("1000.25").stdout(Stdio::null()).spawn().unwrap();
        // The program is loaded and sleeps from now on.
        let stat = format!("/proc/{}/stat", child.id());
        let is_asleep = || std::fs::read_to_string(&stat).is_ok_and(|text| text.contains(") S "));
        while !(is_asleep() && (0..5).all(|_| (std::thread::sleep(Duration::from_millis(5)), is_asleep()).1)) {}
        Sleeper { child, name, _directory: directory, _alone: alone }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn select(fill: impl Fn(&mut Criteria)) -> Vec<u32> {
    let mut criteria = Criteria::new();
    fill(&mut criteria);
    read_matching(&ProcRoot::live(), &criteria).unwrap()
}

#[test]
fn a_process_is_found_by_its_name_and_its_program() {
    let sleeper = Sleeper::new();
    // The kernel cuts its name to 15 bytes; the name of the file is complete.
    assert_eq!(select(|by| by.add_name(&sleeper.name.as_bytes()[..15])), [sleeper.pid()]);
    assert_eq!(select(|by| by.add_name(sleeper.name.as_bytes())), [sleeper.pid()]);
    assert!(select(|by| by.add_name(b"rmap-a-sleeper")).is_empty(), "part of a name does not match");
}

#[test]
fn a_process_is_found_by_its_command_line_but_rmap_is_not() {
    let sleeper = Sleeper::new();
    let pattern = format!("{} 1000[.]25$", sleeper.name);
    assert_eq!(select(|by| by.add_pattern(&pattern).unwrap()), [sleeper.pid()]);
    assert!(!select(|by| by.add_pattern(".").unwrap()).contains(&std::process::id()));
}

#[test]
fn every_kind_of_criterion_must_hold() {
    let sleeper = Sleeper::new();
    let user = nix::unistd::geteuid().as_raw();
    let of_user = |user: u32| {
        select(|by| {
            by.add_name(sleeper.name.as_bytes());
            by.add_user(&user.to_string()).unwrap();
        })
    };
    assert_eq!(of_user(user), [sleeper.pid()]);
    assert!(of_user(user + 1).is_empty());
    assert!(select(|by| by.add_user(&user.to_string()).unwrap()).contains(&sleeper.pid()));
}

#[test]
fn a_process_is_found_by_its_control_group() {
    let sleeper = Sleeper::new();
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", sleeper.pid())).unwrap();
    let Some(path) = text.lines().next().and_then(|line| line.splitn(3, ':').nth(2)) else {
        return eprintln!("SKIPPED: there are no control groups here");
    };
    assert!(select(|by| by.add_group(path.as_bytes())).contains(&sleeper.pid()));
    assert!(select(|by| by.add_group(b"/no/such/group")).is_empty());
}

#[test]
fn kernel_threads_are_never_found() {
    let all = select(|by| by.add_group(b"/"));
    for pid in all {
        let kernel = std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| !text.contains("VmSize"));
        // A process that has exited since then has no memory either.
        assert!(!kernel || std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty(), "{pid}");
    }
}

#[test]
fn the_totals_are_the_sums_of_the_rows() {
    let sleeper = Sleeper::new();
    let (mut fields, mut row_fields) = (Fields::new(), Fields::new());
    let process = Process::open(sleeper.pid()).unwrap();
    let totals = process.read_totals(&mut fields, &Wanted::Everything).unwrap();
    let rows = process.read_smaps(&mut row_fields, &Wanted::Everything).unwrap();
    let sum = |name: &str| {
        let field = row_fields.find(name.as_bytes()).unwrap();
        rows.mappings.iter().map(|row| row.bytes(field).unwrap().0).sum::<u64>()
    };
    let total = |name: &str| totals.bytes(&fields, fields.find(name.as_bytes())?).map(|bytes| bytes.0);
    for name in ["Rss", "Anonymous", "Swap", "Private_Dirty", "Locked"] {
        assert_eq!(total(name), Some(sum(name)), "{name}");
        assert_eq!(totals.figure(name).unwrap().0, sum(name), "{name}");
    }
    let lost = total("Pss").unwrap().abs_diff(sum("Pss"));
    assert!(lost <= 1024 * rows.mappings.len() as u64, "Pss differs by {lost}");
    assert!(totals.identity.command.ends_with(b"1000.25"));
    if std::path::Path::new("/proc/self/smaps_rollup").exists() {
        assert_eq!(totals.interface, Interface::Rollup);
    }
}

#[test]
fn without_smaps_rollup_the_rows_are_added_up() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir(top.path().join("12")).unwrap();
    let sample = std::fs::read("tests/smaps/linux-6.1-x86_64.txt").unwrap();
    std::fs::write(top.path().join("12/smaps"), &sample).unwrap();
    let mut fields = Fields::new();
    let root = ProcRoot::at(top.path().to_owned());
    let totals = Process::open_in(&root, 12).unwrap().read_totals(&mut fields, &Wanted::Everything).unwrap();
    let written: u64 = String::from_utf8_lossy(&sample)
        .lines()
        .filter_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .sum();
    let field = |name: &[u8]| fields.find(name).unwrap();
    assert_eq!(totals.interface, Interface::Smaps);
    assert_eq!(totals.bytes(&fields, field(b"Rss")).unwrap().0, written * 1024);
    assert_eq!(totals.bytes(&fields, field(b"Size")), None);
    assert!(totals.figure("Size").is_err());
    assert_eq!(totals.bytes(&fields, field(b"KernelPageSize")), None);
}

#[test]
fn the_status_of_another_users_process_may_be_read() {
    let sleeper = Sleeper::new();
    let read = |pid: u32| Process::open(pid).unwrap().read_status().unwrap();
    let status = read(sleeper.pid());
    assert_eq!(status.name, &sleeper.name.as_bytes()[..15]);
    assert!(status.rss.unwrap().0 > 0 && status.swap.is_ok());
    // Process 1 may belong to another user.
    assert!(read(1).rss.is_ok());
}

/// The exit status, output and errors of `rmap pid`.
fn rmap_pid(arguments: &[&str]) -> (i32, String, String) {
    rmap([&["pid"], arguments].concat()).parts()
}

#[test]
fn rmap_pid_accepts_names_and_patterns_and_reports_if_nothing_matches() {
    let sleeper = Sleeper::new();
    let heading = format!("{}:   ", sleeper.pid());
    for arguments in [["--name", sleeper.name.as_str()], ["--match", "rmap-a-sleeper.*1000[.]25"]] {
        let (status, output, complaint) = rmap_pid(&arguments);
        assert_eq!((status, complaint.as_str()), (0, ""), "{arguments:?}");
        assert!(output.starts_with(&heading), "{output}");
        assert_eq!(output.matches(&heading).count(), 1);
    }
    // A process that is both named and found is shown once.
    let (status, output, _) = rmap_pid(&[&sleeper.pid().to_string(), "--name", &sleeper.name]);
    assert_eq!((status, output.matches(&heading).count()), (0, 1));
    let (status, _, complaint) = rmap_pid(&["--name", "no process has this name"]);
    assert_eq!((status, complaint.as_str()), (1, "rmap: --name: no matching process\n"));
    let list = rmap_pid(&["--name", "subject,bash"]).2;
    assert_eq!(list, "rmap: --name: no matching process; type --name once for each name\n");
    let (status, _, complaint) = rmap_pid(&["--match", "a(b"]);
    assert_eq!((status, complaint.as_str()), (2, "rmap: a(b: invalid regular expression: unclosed group\n"));
    assert_eq!(rmap_pid(&[]).0, 2);
}

#[test]
fn a_total_over_processes_says_that_one_of_them_could_not_be_read() {
    let Some(everyone) = common::ForEveryone::copy() else { return };
    let own = std::process::id().to_string();
    let total = |pids: &[&str]| everyone.rmap([pids, &["--merge", "--json", "-o", "rss"]].concat()).json();
    for pids in [["pid", "self", &own], ["pid", &own, "self"]] {
        let merged = total(&pids);
        assert_eq!(merged["total"]["rows_without_figure"]["rss"], 1, "{merged}");
    }
    assert!(total(&["pid", "self"])["total"]["rows_without_figure"].is_null());
}
