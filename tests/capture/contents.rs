//! What is in a capture, and what is not.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Taken, read, take};
use crate::common::{ForEveryone, Subject};

/// A program with a secret on its command line and in its environment.
fn with_a_secret() -> (Subject, String) {
    let secret = format!("s3cret-{}", std::process::id());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "echo ready; read line; exit", &secret]).env("PASSWORD", &secret);
    (Subject::until_ready(command), secret)
}

/// Whether any file, name or link of an unpacked capture has these bytes.
fn has(directory: &Path, wanted: &[u8]) -> bool {
    let has = |bytes: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    fs::read_dir(directory).unwrap().any(|entry| {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        has(path.as_os_str().as_encoded_bytes())
            || kind.is_symlink() && has(fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes())
            || kind.is_file() && has(&fs::read(&path).unwrap())
            || kind.is_dir() && self::has(&path, wanted)
    })
}

#[test]
fn command_lines_are_left_out_unless_they_are_asked_for_and_environments_always() {
    let (subject, secret) = with_a_secret();
    // Other processes may be in the middle of starting a program, whenever they are read.
    let without = take("a.tar.zst", ["--no-files", &subject.word()]);
    let unpacked = without.unpacked();
    assert!(unpacked.join(format!("proc/{}/smaps", subject.pid())).is_file());
    assert!(!has(&unpacked, secret.as_bytes()) && !unpacked.join(format!("proc/{}/cmdline", subject.pid())).exists());
    let row = without.rmap(&["pid", &subject.word(), "--json"]).good().json()[0].clone();
    assert_eq!(row["command"], "[sh]");
    let run = without.rmap(&["pid", "--match", &secret]);
    assert!(run.err.contains("but not their command lines"), "{run:?}");

    let with = take("a.tar", ["--no-files", "--with-cmdline", &subject.word()]);
    let unpacked = with.unpacked();
    assert!(
        fs::read(unpacked.join(format!("proc/{}/cmdline", subject.pid())))
            .unwrap()
            .ends_with(format!("{secret}\0").as_bytes())
    );
    let row = with.rmap(&["pid", "--match", &secret, "--json"]).good().json()[0].clone();
    assert!(row["command"].as_str().unwrap().contains(&secret), "{row}");
    assert!(!has(&unpacked, b"PASSWORD"));
}

#[test]
fn a_process_in_a_capture_is_the_one_that_was_live() {
    let subject = Subject::start(["anonymous:8:3", "locked:2"]);
    subject.stop();
    let taken = take("a.tar", ["--no-files", &subject.word()]);
    let arguments = ["pid", &subject.word(), "--json", "-o", "start,end,perm,rss,pss,locked,path"];
    let mut live = crate::common::rmap(arguments).good().json();
    let captured = taken.rmap(&arguments).good().json();
    live[0]["command"] = "[subject]".into();
    live[0]["command_bytes"] = captured[0]["command_bytes"].clone();
    // Libraries that rmap itself maps while it looks count differently.
    for document in [&mut live[0], &mut captured.clone()[0]] {
        document["total"] = serde_json::Value::Null;
    }
    let of_memory = |document: &serde_json::Value| -> Vec<serde_json::Value> {
        let rows = document[0]["mappings"].as_array().unwrap();
        rows.iter().filter(|row| row["path"].is_null()).cloned().collect()
    };
    assert!(of_memory(&live).len() > 2 && of_memory(&live) == of_memory(&captured), "{captured}");
    // Only that process is there, and no other.
    let all = taken.rmap(&["pid", "--match", "", "--by", "pid", "--jsonl", "-o", "pid"]);
    assert_eq!(all.lines_of_json().len(), 1, "{all:?}");
}

#[test]
fn what_may_not_be_read_is_denied_and_not_missing() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let subject = Subject::start(["anonymous:8:3"]);
    let folder = crate::common::memory();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = folder.path().join("a.tar");
    let run = everyone.rmap(["capture", "-o", file.to_str().unwrap(), "--no-files", &subject.word()]);
    assert_eq!((run.status, run.complaints().len()), (Some(1), 1), "{run:?}");
    assert!(run.err.contains("the memory of 1 of 1 process may not be read; run as root"), "{run:?}");
    let taken = Taken { folder: tempfile::tempdir().unwrap(), file };
    let unpacked = taken.unpacked();
    let smaps = unpacked.join(format!("proc/{}/smaps", subject.pid()));
    assert_eq!(fs::read_link(smaps).unwrap(), Path::new("(permission denied)"));
    for root in [&taken.file, &unpacked] {
        let run = read(root, &["pid", &subject.word(), "--json"]);
        assert_eq!(run.status, Some(1));
        assert!(run.err.contains("permission denied") && run.err.contains("a capture that root takes"), "{run:?}");
        let document = run.json()[0].clone();
        assert!(document["denied"].as_str().unwrap().starts_with("permission denied"), "{document}");
        assert!(document["status"]["vmrss"].as_u64().unwrap() > 0, "{document}");
    }
    // An ordinary user would see no more of it as root.
    let run = everyone.rmap(["ps", "--proc-root", taken.file.to_str().unwrap()]);
    assert!(run.text().contains("0 of 1 read, 0; 1 was denied\n"), "{run:?}");
    assert!(run.err.ends_with("; a capture that root takes has more\n"), "{run:?}");
}

#[test]
fn processes_that_were_hidden_are_one_line_and_denied() {
    let Some(everyone) = ForEveryone::copy() else { return };
    if !crate::common::has("setpriv", "util-linux") {
        return;
    }
    let subject = Subject::start(["anonymous:8:3"]);
    let folder = crate::common::memory();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = folder.path().join("a.tar");
    let nobody = crate::common::NOBODY;
    let script = format!(
        "mount -t proc -o hidepid=1 proc /proc && \
         exec setpriv --reuid={nobody} --regid={nobody} --clear-groups {} capture --no-files -o {}",
        everyone.program().display(),
        file.display()
    );
    let mut hidden = Command::new("unshare");
    hidden.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let run = crate::wait(hidden);
    assert!(file.is_file(), "{run:?}");
    let why = "hidden from the user who took the capture (hidepid); a capture that root takes has more";
    let one = read(&file, &["pid", &subject.word()]);
    assert_eq!((one.status, one.err), (Some(1), format!("rmap: pid {}: {why}\n", subject.pid())));
    for arguments in [&["ps"][..], &["cgroups", "-o", "+pss"], &["diff", "--what", "processes"]] {
        let run = match arguments {
            ["diff", more @ ..] => {
                let file = file.to_str().unwrap();
                crate::wait(crate::command([&["diff", file, file][..], more].concat()))
            }
            _ => read(&file, arguments),
        };
        let lines: Vec<&str> = run.complaints().into_iter().filter(|line| line.contains("hid")).collect();
        let sides = if arguments[0] == "diff" { 2 } else { 1 };
        let is_right = lines.iter().all(|line| line.contains(" processes: ") && line.ends_with(why));
        assert!(run.status == Some(1) && lines.len() == sides && is_right, "{arguments:?}: {}", run.err);
    }
}

#[test]
fn what_not_even_root_could_read_is_not_promised_from_another_capture() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("SKIPPED: only root can take such a capture");
    }
    let subject = Subject::start(["anonymous:8:3"]);
    let is_hidden = fs::read("/proc/1/smaps").is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    let pids: &[&str] = if is_hidden { &["1"] } else { &[] };
    let word = subject.word();
    let taken = take("a.tar", [&["--no-files", &word], pids].concat());
    let unpacked = taken.unpacked();
    let target = Path::new("(permission denied to root)");
    if is_hidden {
        assert_eq!(fs::read_link(unpacked.join("proc/1/smaps_rollup")).unwrap(), target);
    }
    for name in ["smaps", "smaps_rollup"] {
        let file = unpacked.join(format!("proc/{word}/{name}"));
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(target, file).unwrap();
    }
    for arguments in [&["ps", &word, "--json"][..], &["pid", &word, "--json"]] {
        let run = read(&unpacked, arguments);
        assert_eq!(run.status, Some(1), "{run:?}");
        assert!(run.err.contains("permission denied"), "{run:?}");
        assert!(run.err.ends_with("; not even root was allowed to read it when the capture was taken\n"), "{run:?}");
    }
}

#[test]
fn a_process_whose_first_thread_has_exited_shows_its_memory() {
    let subject = Subject::start(["anonymous:8:3", "headless"]);
    let stat = format!("/proc/{}/stat", subject.pid());
    crate::common::wait_until("its first thread ended", || fs::read_to_string(&stat).unwrap().contains(") Z "));
    let taken = take("a.tar", ["--no-files", &subject.word()]);
    let rows = taken.rmap(&["pid", &subject.word(), "--jsonl", "-o", "size,anonymous"]).good().lines_of_json();
    assert!(rows.iter().any(|row| row["anonymous"] == 3 * crate::common::page()), "{rows:?}");
}

#[test]
fn a_process_that_never_holds_still_is_named_as_left_out() {
    // It executes itself again and again, with so many open files that this is faster than reading it.
    let script = "i=3; while [ $i -lt 400 ]; do eval \"exec $i</dev/null\"; i=$((i + 1)); done
        exec /bin/bash -c 'exec /bin/bash -c \"$0\" \"$0\"' 'exec /bin/bash -c \"$0\" \"$0\"'";
    let restless = Subject::of(Command::new("/bin/bash").args(["-c", script]).spawn().unwrap());
    let pid = restless.pid();
    crate::common::wait_until("it has its files", || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() > 390);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tar");
    let own = std::process::id().to_string();
    let capture =
        || crate::wait(crate::command(["capture", "--no-files", "-o", file.to_str().unwrap(), &own, &restless.word()]));
    let line = format!("rmap: pid {pid}: it changed whenever it was read, and is left out of the capture");
    let run = (0..50).map(|_| capture()).find(|run| run.status == Some(1)).expect("it is always read as a whole");
    assert_eq!((run.complaints(), run.text().contains(": 1 process; ")), (vec![&line[..]], true), "{run:?}");
    let line = format!("rmap: pid {pid}: it could not be read when the capture was taken\n");
    let only_some = "rmap: the capture: it has only some of the processes of its machine\n";
    for (arguments, lines) in [(&["ps"][..], format!("{only_some}{line}")), (&["pid", &restless.word()], line.clone())]
    {
        let run = read(&file, arguments);
        assert_eq!((run.status, &run.err[..]), (Some(1), &lines[..]), "{run:?}");
    }
    let run = read(&file, &["pid", "--name", "no program", "--by", "pid"]);
    let line = "rmap: the capture: 1 process could not be read when it was taken, and may match, too";
    assert!(run.status == Some(1) && run.complaints().contains(&line), "{run:?}");
    let run = read(&file, &["who", "/no/file"]);
    assert!(run.err.starts_with("rmap: the capture: 1 process did not show what"), "{run:?}");
}

#[test]
fn processes_that_exit_meanwhile_leave_no_half() {
    let storm = Subject::of(
        Command::new("/bin/bash").args(["-c", "while :; do /bin/true & /bin/true & wait; done"]).spawn().unwrap(),
    );
    for _ in 0..3 {
        let taken = take("a.tar", ["--no-files"]);
        let unpacked = taken.unpacked();
        for entry in fs::read_dir(unpacked.join("proc")).unwrap() {
            let process = entry.unwrap().path();
            if !process.file_name().unwrap().to_str().unwrap().starts_with(|first: char| first.is_ascii_digit()) {
                continue;
            }
            let stat = fs::read(process.join("stat")).unwrap();
            let stat = String::from_utf8_lossy(&stat);
            // A kernel thread and a zombie have no memory, and every other process does.
            let state = stat.rsplit(") ").next().unwrap().chars().next().unwrap();
            let flags: u32 = stat.rsplit(") ").next().unwrap().split(' ').nth(6).unwrap().parse().unwrap();
            let smaps = process.join("smaps");
            let is_denied = smaps.is_symlink();
            if state != 'Z' && flags & 0x20_0000 == 0 && !is_denied {
                assert!(fs::read(&smaps).is_ok_and(|text| text.ends_with(b"\n")), "{stat}");
            }
        }
    }
    drop(storm);
}
