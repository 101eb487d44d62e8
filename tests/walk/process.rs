//! `--pid`: the files that a process maps or has open.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::command::{file, folder, pcstat, pcstat_as_nobody};
use crate::common::Subject;

/// A shell that runs this script in a folder. The script must write a line `ready` when it holds everything.
fn holder(script: &str, folder: &Path) -> Subject {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(folder);
    Subject::until_ready(command)
}

fn row<'r>(rows: &'r [Value], name: &str) -> &'r Value {
    rows.iter().find(|row| row["filename"].as_str().unwrap() == name).unwrap_or_else(|| panic!("no {name}: {rows:?}"))
}

/// Whether this user may open the links of `map_files`, and measure the files of the system.
fn may_open_mapped() -> bool {
    let may = nix::unistd::Uid::effective().is_root();
    if !may {
        eprintln!("SKIPPED: only root may open what a process maps");
    }
    may
}

#[test]
fn deleted_and_unnamed_files_are_measured() {
    if !may_open_mapped() {
        return;
    }
    let folder = folder();
    let (gone, kept) = (folder.path().join("gone"), folder.path().join("kept"));
    let (gone, kept) = (gone.to_str().unwrap(), kept.to_str().unwrap());
    let acts = [format!("shared:{gone}:10:4"), format!("unlink:{gone}"), format!("shared:{kept}:6:2")];
    let subject = Subject::start(acts.iter().map(String::as_str).chain(["memfd:9:3"]));
    let rows = pcstat("--pid", subject.word()).rows();
    let gone = row(&rows, &format!("{gone} (deleted)"));
    // The subject allocates its files, which creates pages on tmpfs.
    assert_eq!((&gone["pages"], &gone["cached"]), (&10.into(), &10.into()));
    assert_eq!((&row(&rows, kept)["cached"], &row(&rows, kept)["pages"]), (&6.into(), &6.into()));
    let memfd = rows.iter().find(|row| row["filename"].as_str().unwrap().starts_with("/memfd:")).unwrap();
    assert_eq!((&memfd["pages"], &memfd["cached"]), (&9.into(), &3.into()));
    // Only these: the subject also has the standard error of this test open, which may be a file.
    let is_mapped = |row: &Value| ["mapped", "both"].contains(&row["held"].as_str().unwrap());
    assert!([gone, row(&rows, kept), memfd].into_iter().all(is_mapped), "{rows:?}");
}

#[test]
fn open_files_are_marked_and_special_files_are_left_out() {
    if !may_open_mapped() {
        return;
    }
    let folder = folder();
    file(folder.path(), "open", 5000);
    file(folder.path(), "open and gone", 100);
    nix::unistd::mkfifo(&folder.path().join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let script = "exec 3<open 4<'open and gone' 5<>fifo 6</dev/null 7</proc/self/status; rm 'open and gone'; \
                  echo ready; read line";
    let holder = holder(script, folder.path());
    let rows = pcstat("--pid", holder.word()).rows();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let open = row(&rows, &at("open"));
    assert_eq!((&open["held"], &open["size"]), (&"open".into(), &5000.into()));
    let gone = row(&rows, &at("open and gone (deleted)"));
    assert_eq!((&gone["held"], &gone["cached"]), (&"open".into(), &1.into()));
    let left_alone = |row: &Value| !row["filename"].as_str().unwrap().contains("fifo") && row["method"].is_string();
    assert!(rows.iter().all(left_alone), "{rows:?}");
    assert!(rows.iter().any(|row| row["held"] == "mapped"), "{rows:?}");
}

#[test]
fn files_that_only_one_thread_has_open_are_found() {
    if !may_open_mapped() {
        return;
    }
    let folder = folder();
    file(folder.path(), "open", 5000);
    let path = folder.path().join("open");
    let subject = Subject::start([format!("thread:{}", path.display())]);
    let rows = pcstat("--pid", subject.word()).rows();
    let open = row(&rows, path.to_str().unwrap());
    assert_eq!((&open["held"], &open["cached"]), (&"open".into(), &2.into()));
}

#[test]
fn a_named_file_that_is_also_held_is_one_marked_row() {
    if !may_open_mapped() {
        return;
    }
    let folder = folder();
    file(folder.path(), "open", 1);
    let script = "exec 3<open; echo ready; read line";
    let holder = holder(script, folder.path());
    let rows = pcstat(&format!("--pid {}", holder.word()), folder.path().join("open")).rows();
    let named: Vec<_> = rows.iter().filter(|row| row["filename"].as_str().unwrap().ends_with("/open")).collect();
    assert_eq!((named.len(), &named[0]["held"]), (1, &"open".into()));
}

#[test]
fn files_in_another_mount_namespace_have_the_name_that_the_process_sees() {
    if !may_open_mapped() {
        return;
    }
    let folder = folder();
    let script =
        "mount -t tmpfs none . && cd . && echo hello > $PWD/inside && exec 3<$PWD/inside && echo ready && read line";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", script]).current_dir(folder.path());
    let Ok(probe) = Command::new("unshare").args(["--mount", "true"]).status() else {
        eprintln!("SKIPPED: no unshare(1)");
        return;
    };
    if !probe.success() {
        eprintln!("SKIPPED: no mount namespace can be made here");
        return;
    }
    let holder = Subject::until_ready(command);
    let rows = pcstat("--pid", holder.word()).rows();
    let inside = row(&rows, folder.path().join("inside").to_str().unwrap());
    assert_eq!((&inside["size"], &inside["cached"], &inside["held"]), (&6.into(), &1.into(), &"open".into()));
    assert!(!folder.path().join("inside").exists());
}

#[test]
fn a_process_of_another_user_is_one_error_with_advice() {
    let holder = holder("echo ready; read line", Path::new("/"));
    let Some(answer) = pcstat_as_nobody("--pid", holder.word()) else { return };
    assert_eq!(answer.status, Some(1));
    let wanted = format!("rmap: pid {}: permission denied; run as root, or as the user who owns it\n", holder.word());
    assert_eq!(answer.err, wanted);
    assert_eq!(answer.json().as_array().unwrap().len(), 0);
}

#[test]
fn the_files_of_several_processes_are_one_list() {
    if !may_open_mapped() {
        return;
    }
    let folder = folder();
    file(folder.path(), "both", 5000);
    file(folder.path(), "one", 1);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let opens = holder("exec 3<both 4<one; echo ready; read line", folder.path());
    let maps = Subject::start([format!("shared:{}:2:0", at("both"))]);
    let seen = |arguments: &[&str]| {
        let run = crate::common::rmap([&["pcstat", "--json", "-o", "filename,held,holders"], arguments].concat());
        let rows: Vec<Value> = run.good().rows();
        assert_eq!(rows.iter().filter(|row| row["filename"].as_str() == Some(&at("both"))).count(), 1, "{rows:?}");
        let of = |name: &str| (row(&rows, &at(name))["held"].clone(), row(&rows, &at(name))["holders"].clone());
        (of("both"), of("one"))
    };
    let wanted = (("both".into(), 2.into()), ("open".into(), 1.into()));
    let list = format!("{},{}", opens.word(), maps.word());
    assert_eq!(seen(&["--pid", &list]), wanted);
    assert_eq!(seen(&["--pid", &maps.word(), "--pid", &opens.word(), "--pid", &maps.word()]), wanted);
    // By name: both are called differently.
    let script = format!("exec 3<both; echo ready; read line # {}", folder.path().display());
    let _third = holder(&script, folder.path());
    let pattern = format!("read line # {}", folder.path().display());
    let wanted = (("both".into(), 3.into()), ("open".into(), 1.into()));
    assert_eq!(seen(&["--match", &pattern, "--pid", &list]), wanted);
    let none = crate::common::rmap(["pcstat", "--name", "no such program"]);
    assert_eq!((none.status, none.err.as_str()), (Some(1), "rmap: --name: no matching process\n"));
}

#[test]
fn a_process_that_ends_leaves_the_files_of_the_others() {
    if !may_open_mapped() {
        return;
    }
    let folder = folder();
    file(folder.path(), "both", 1);
    let opens = holder("exec 3<both; echo ready; read line", folder.path());
    let list = format!("{},4194303", opens.word());
    let run = crate::common::rmap(["pcstat", "--json", "--pid", &list]);
    assert_eq!((run.status, run.err.as_str()), (Some(1), "rmap: pid 4194303: no such process\n"));
    row(run.json().as_array().unwrap(), folder.path().join("both").to_str().unwrap());
}

#[test]
fn a_missing_process_is_an_error() {
    let answer = pcstat("--pid", "4194303");
    assert_eq!((answer.status, answer.err.as_str()), (Some(1), "rmap: pid 4194303: no such process\n"));
}

#[test]
fn self_is_rmap_itself() {
    if !may_open_mapped() {
        return;
    }
    let program = crate::common::program().to_str().unwrap();
    let rows = crate::common::rmap(["pcstat", "--json", "--pid", "self"]).rows();
    assert_eq!(row(&rows, program)["held"], "mapped");
    let wrong = crate::common::rmap(["pcstat", "--pid", "0x10"]);
    assert!(
        wrong.status == Some(2) && wrong.err.contains("not a pid; use a decimal number, self, or --name"),
        "{wrong:?}"
    );
}
