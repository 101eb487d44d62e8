//! Sums over the processes of a capture: what several share counts once, and what it lacks is said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{read, take};
use crate::common::{Run, Subject, page};

/// A process with 4000 pages and a child that shares them, in a capture; and the pids of both.
fn captured() -> (super::Taken, [String; 2]) {
    let subject = Subject::start(["anonymous:4096:4000", "share"]);
    subject.stop();
    let children = format!("/proc/{0}/task/{0}/children", subject.pid());
    let pids = [subject.word(), fs::read_to_string(children).unwrap().trim().to_owned()];
    (take("shared.tar", ["--no-files", &pids.join(",")]), pids)
}

fn once() -> std::ops::Range<u64> {
    4000 * page()..6000 * page()
}

#[track_caller]
fn is_counted_once(figure: &Value) {
    assert!(once().contains(&figure.as_u64().unwrap()), "{figure}: not within {:?}", once());
}

fn ask(capture: &Path, arguments: &[&str]) -> Run {
    read(capture, arguments)
}

#[test]
fn every_sum_over_a_capture_counts_it_once() {
    let (taken, [parent, child]) = captured();
    let ps = ask(&taken.file, &["ps", "--json", "--tree", "--total"]).json();
    let rows = ps["processes"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["pid"].to_string()).collect::<Vec<_>>(), [&parent[..], &child]);
    rows.iter().for_each(|row| is_counted_once(&row["pss"]));
    [&ps["total"]["pss"], &ps["account"]["pss"], &rows[0]["tree_pss"]].into_iter().for_each(is_counted_once);
    let by_name = ask(&taken.file, &["ps", "--json", "--by", "name", "--total"]).json();
    let groups = by_name["groups"].as_array().unwrap();
    assert_eq!((groups.len(), &groups[0]["processes"]), (1, &2.into()), "{by_name}");
    is_counted_once(&groups[0]["pss"]);
    let summary = ask(&taken.file, &["pid", &parent, &child, "--merge", "--summary", "--json"]).json();
    is_counted_once(&summary[0]["amount"]);
    let mappings = ask(&taken.file, &["pid", &parent, &child, "--merge", "--json", "--total"]).json();
    is_counted_once(&mappings["total"]["rss"]);
}

#[test]
fn a_capture_that_does_not_tell_has_a_line_about_it() {
    let (taken, [parent, child]) = captured();
    let directory = taken.unpacked();
    let told = ask(&directory, &["ps", "--json", "--total"]);
    assert!(!told.err.contains("address space"), "{}", told.err);
    is_counted_once(&told.json()["total"]["pss"]);
    // As an older rmap wrote it.
    fs::write(directory.join("rmap/complete"), "{\"missed\":[]}\n").unwrap();
    let untold = ask(&directory, &["ps", "--json", "--total"]);
    let line = format!(
        "rmap: processes {parent} and {child}: they may share one address space (vfork, CLONE_VM), which the capture \
         does not tell; if so, sums count it more than once"
    );
    assert!(untold.err.lines().any(|said| said == line), "{}", untold.err);
    assert_eq!(untold.status, Some(1));
    // Rows are right all the same, and a process that is asked for alone is in no sum.
    assert_eq!(ask(&directory, &["ps", &parent]).status, Some(0));
}

#[test]
fn a_capture_of_some_processes_says_so_wherever_they_are_listed() {
    let (taken, [parent, _]) = captured();
    let only_some = "rmap: the capture: it has only some of the processes of its machine";
    let said = |arguments: &[&str]| {
        let run = ask(&taken.file, arguments);
        (run.complaints().iter().any(|line| line.starts_with(only_some)), run.status)
    };
    assert_eq!(said(&["ps"]), (true, Some(0)));
    assert!(said(&[]).0);
    assert_eq!(said(&["ps", &parent]), (false, Some(0)));
    // The groups have other processes, too, so their Pss is not known.
    if Path::new("/sys/fs/cgroup").read_dir().is_ok_and(|mut groups| groups.next().is_some()) {
        let run = ask(&taken.file, &["cgroups", "-o", "pss,path"]);
        let line = run.complaints().into_iter().find(|line| line.starts_with(only_some)).map(str::to_owned);
        assert!(line.is_some_and(|line| line.ends_with(" no Pss")), "{run:?}");
        assert_eq!(run.status, Some(1), "{run:?}");
        assert!(!said(&["cgroups", "-o", "usage,path"]).0);
    }
}

/// Mounts a `/proc` for a command that captures what it shows, as this user, to a file that is then read outside.
fn captured_below(folder: &Path, unshare: &[&str], mount: &str, user: &str) -> Option<Run> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can mount another /proc");
        return None;
    }
    let program = folder.join("rmap");
    fs::copy(env!("CARGO_BIN_EXE_rmap"), &program).unwrap();
    for path in [folder, &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let script = format!(
        "mount -t proc {mount} proc /proc && cd {} && {user} ./rmap capture --no-files -o x.tar",
        folder.display()
    );
    let mut command = Command::new("unshare");
    command.args(unshare).args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    Some(crate::common::run(command))
}

#[test]
fn a_capture_that_saw_only_a_container_says_so_wherever_all_processes_are_meant() {
    let folder = tempfile::tempdir().unwrap();
    let Some(run) = captured_below(folder.path(), &["--pid", "--fork"], "", "") else { return };
    let line = "rmap: the capture: it has only the processes of this pid namespace, such as those of a container";
    assert_eq!((run.status, run.complaints()), (Some(0), vec![line]), "{run:?}");
    let file = folder.path().join("x.tar");
    let some = "rmap: the capture: it has only some of the processes of its machine";
    let who = ask(&file, &["who", "--inode", "8:1:1"]);
    // There is another line if the machine has loop devices.
    let says_so = who.complaints().iter().any(|line| line.starts_with(some));
    assert!(who.status == Some(1) && says_so, "{who:?}");
    let ps = ask(&file, &["ps"]);
    assert!(ps.err.starts_with(some), "{ps:?}");
}

#[test]
fn a_capture_from_which_proc_hid_the_other_users_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = crate::common::NOBODY;
    let user = format!("exec setpriv --reuid={nobody} --regid={nobody} --clear-groups");
    let Some(run) = captured_below(folder.path(), &[], "-o hidepid=2", &user) else { return };
    let line = "rmap: the capture: /proc hides the processes of other users (hidepid), and how many they are; run as \
                root to capture all of it";
    assert_eq!((run.status, run.complaints()), (Some(1), vec![line]), "{run:?}");
    let ps = ask(&folder.path().join("x.tar"), &["ps"]);
    let line = "rmap: the processes of this machine: /proc hid those of other users (hidepid), and how many they were; \
                a capture that root takes has more";
    assert_eq!((ps.status, ps.complaints()), (Some(1), vec![line]), "{ps:?}");
    assert!(ps.text().contains("; those of other users are hidden\n"), "{ps:?}");
}
