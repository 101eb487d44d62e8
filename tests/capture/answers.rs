//! A capture gives the same answers wherever it is read.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Taken, read, take, wait};
use crate::common::{ForEveryone, Subject, memory};

/// Questions to every subcommand that reads a capture.
pub(crate) fn questions(pid: &str) -> Vec<Vec<&str>> {
    let mut questions: Vec<Vec<&str>> = [
        &["pid", "--match", "", "--json"][..],
        &["pid", "--match", "", "--by", "path", "--json"],
        &["pid", "--match", "", "--by", "user", "--json"],
        &["pid", "--match", "", "--by", "cgroup", "--json"],
        &["pid", "--match", "", "--summary", "--json"],
        &["ps", "--json", "--total"],
        &["ps", "--by", "app", "--json"],
        &["cgroups", "--json"],
        &["mem", "--json"],
        &["who", "/usr/bin/bash", "--json"],
        &["files", "--json", "--total"],
        &["files", "--by", "cgroup", "--json"],
        &["files", "--by", "holders", "--json"],
    ]
    .map(<[&str]>::to_vec)
    .to_vec();
    questions.push(vec!["pid", pid, "--json"]);
    questions
}

/// The same question on another machine: as nobody, with no process but its own, no `/sys` and another `/etc`.
fn elsewhere(everyone: &ForEveryone, root: &Path, question: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("unshare");
    command.args(["-m", "-p", "-f", "--mount-proc", "bash", "-c"]);
    command.arg(
        "mount -t tmpfs none /sys && mount -t tmpfs none /etc && cd / && \
         exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"",
    );
    command.arg("bash").arg(everyone.program()).args(question).arg("--proc-root").arg(root).env_clear();
    command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    let run = wait(command);
    if run.err.contains("unshare:") || run.err.contains("mount:") {
        eprintln!("SKIPPED: no other machine can be played here: {}", run.err);
        return None;
    }
    assert!(!run.out.is_empty(), "{question:?}: {run:?}");
    Some(run.out)
}

#[test]
fn every_answer_is_byte_for_byte_the_same_elsewhere() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let subject = Subject::start(["anonymous:8:3"]);
    let some = [subject.word(), std::process::id().to_string(), "1".to_owned()];
    let taken = take("a.tar.zst", some);
    taken.open_to_everyone();
    let unpacked = taken.unpacked();
    // Copied by somebody else, to another place.
    let other = memory();
    let copy = other.path().join("copy");
    let copied = Command::new("cp").arg("-r").arg(&unpacked).arg(&copy).status().unwrap();
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(&copy).status().unwrap();
    assert!(copied.success() && opened.success());
    for question in questions(&subject.word()) {
        let first = taken.rmap(&question);
        assert!(first.status.is_some_and(|status| status < 2) && !first.out.is_empty(), "{question:?}: {first:?}");
        let first = first.out;
        // The list of cached files is long for a program that was built for debugging.
        let is_long = question[0] == "files";
        let proc = copy.join("proc");
        for root in [&unpacked, &proc].into_iter().take(if is_long { 1 } else { 2 }) {
            let again = read(root, &question);
            assert!(again.out == first, "{question:?} from {}: {:?} {}", root.display(), again.status, again.err);
        }
        for root in [&copy, &taken.file].into_iter().take(if is_long { 1 } else { 2 }) {
            if let Some(there) = elsewhere(&everyone, root, &question) {
                assert!(there == first, "{question:?} elsewhere from {}", root.display());
            }
        }
    }
}

#[test]
fn the_cached_files_of_a_capture_are_those_of_the_machine() {
    let folder = memory();
    let file = crate::common::known_file(&folder.path().join("known"), 64 << 10, &[(2, 5)]);
    let taken = take("a.tar", ["1"]);
    let path = file.path.to_str().unwrap();
    let filter = format!("path == '{path}'");
    let columns = "path,cached,size,locked,dirty,holders,kind,inode,device,method";
    let question = ["files", "--jsonl", "-o", columns, "--filter", &filter];
    let rows = taken.rmap(&question).lines_of_json();
    let live = crate::common::rmap(question.into_iter().chain(["--budget=20"])).lines_of_json();
    assert_eq!((rows.len(), rows[0]["cached"].as_u64()), (1, Some(5 * crate::common::page())), "{rows:?}");
    assert_eq!(rows, live);
    // The archive itself was not written when the files were read.
    let archive = format!("path =~ '{}'", taken.folder.path().display());
    assert_eq!(taken.rmap(&["files", "--jsonl", "-o", "path", "--filter", &archive]).lines_of_json(), [] as [Value; 0]);
    let below = taken.rmap(&["files", "--jsonl", "-o", "path", folder.path().to_str().unwrap()]).lines_of_json();
    assert_eq!(below.len(), 1, "{below:?}");
    for (refused, why) in [
        (&["files", "--scan"][..], "a capture has no directories"),
        (&["files", "--budget", "1"], "already there"),
        (&["files", "relative"], "from / on"),
    ] {
        let run = taken.rmap(refused);
        assert!(run.status == Some(2) && run.complaints().len() == 1 && run.err.contains(why), "{run:?}");
    }
}

#[test]
fn sizes_are_those_of_the_page_size_of_the_captured_machine() {
    let folder = memory();
    let file = crate::common::known_file(&folder.path().join("known"), 64 << 10, &[(2, 5)]);
    let taken = take("a.tar", ["1"]);
    let unpacked = taken.unpacked_as(16384);
    let filter = format!("path == '{}'", file.path.display());
    let rows = read(&unpacked, &["files", "--jsonl", "-o", "path,percent,locked", "--filter", &filter]).lines_of_json();
    // Counts of pages are counts of larger pages there, and the file is four pages long.
    assert_eq!(rows[0]["locked"].as_u64(), Some(5 * 16384), "{rows:?}");
    assert!(rows[0]["percent"].as_f64().is_some_and(|percent| percent == 50.0), "{rows:?}");
}

#[test]
fn a_table_says_once_when_its_figures_were_captured() {
    let own = std::process::id().to_string();
    let taken = take("a.tar", ["--no-files", &own]);
    let unpacked = taken.unpacked();
    let description: Value = serde_json::from_slice(&fs::read(unpacked.join("rmap-capture.json")).unwrap()).unwrap();
    let (seconds, _) = description["time"].as_str().unwrap().split_once('.').unwrap();
    let line = format!("Captured {seconds}Z.");
    let count = |arguments: &[&str]| {
        let text = read(&unpacked, arguments).text();
        assert!(text.lines().count() > 1, "{arguments:?}: {text}");
        text.lines().filter(|found| *found == line).count()
    };
    for question in [&["ps"][..], &["pid", &own], &["mem"], &["mem", "--slab"], &["cgroups"], &[]] {
        assert_eq!(count(question), 1, "{question:?}");
    }
    for program in [&["mem", "-n"][..], &["ps", "--csv"], &["mem", "--jsonl"]] {
        assert_eq!(count(program), 0, "{program:?}");
    }
}

impl Taken {
    /// Unpacked, from a machine with another page size.
    fn unpacked_as(&self, page: u64) -> std::path::PathBuf {
        let directory = self.unpacked();
        let description = directory.join("rmap-capture.json");
        let own = format!("\"page_size\": {}", crate::common::page());
        let text = fs::read_to_string(&description).unwrap();
        assert!(text.contains(&own));
        fs::write(&description, text.replace(&own, &format!("\"page_size\": {page}"))).unwrap();
        directory
    }
}
