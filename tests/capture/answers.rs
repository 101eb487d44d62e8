//! A capture gives the same answers wherever it is read.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;

use super::{Taken, read, take, wait};
use crate::common::{ForEveryone, KnownFile, Subject, memory};

/// Questions to every subcommand that reads a capture. JSON has every column.
fn questions(pid: &str) -> Vec<Vec<&str>> {
    let questions: &[&[&str]] = &[
        &["pid", "--match", "", "--json"],
        &["pid", "--match", "", "--by", "path", "--json"],
        &["pid", "--match", "", "--by", "class", "--json"],
        &["pid", "--match", "", "--by", "user", "--json"],
        &["pid", "--match", "", "--by", "cgroup", "--json"],
        &["pid", "--match", "", "--summary", "--json"],
        &["pid", "--match", "", "--numa", "--json"],
        &["ps", "--json", "--total"],
        &["ps", "--by", "app", "--json"],
        &["ps", "--tree", "--json"],
        &["ps"],
        &["cgroups", "--json"],
        &["cgroups", "/"],
        &["mem", "--json"],
        &["mem", "--by", "node", "--json"],
        &["mem", "--slab", "--json"],
        &["mem"],
        &["who", "/usr/bin/bash", "--json"],
        &["files", "--json", "--total"],
        &["files", "--by", "cgroup", "--json"],
        &["files", "--by", "node", "--json"],
        &["files", "--by", "holders", "--json"],
        &["files", "--cgroup", "/sys/fs/cgroup", "--json"],
        &["files", "/usr", "-o", "path,cached"],
        &[],
    ];
    let of_one: [&[&str]; 3] = [&["pid", pid, "--json"], &["pid", pid], &["ps", pid, "--json"]];
    questions.iter().chain(&of_one).map(|question| question.to_vec()).collect()
}

/// The same question on another machine: in another place and language, as an ordinary user in namespaces of its own,
/// with no process but its own, no `/sys` and another `/etc`. `None` if that cannot be played here.
fn elsewhere(everyone: &ForEveryone, arguments: &[&OsStr]) -> Option<Vec<u8>> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c"]);
    command.arg(
        "mount -t tmpfs none /sys && mount -t tmpfs none /etc && cd / && exec setpriv --reuid 65534 --regid 65534 \
         --clear-groups unshare --user --mount --pid --fork --mount-proc \"$@\"",
    );
    command.arg("bash").arg(everyone.program()).args(arguments).env_clear();
    command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("TZ", "Pacific/Kiritimati").env("LC_ALL", "tr_TR.UTF-8");
    let run = wait(command);
    if run.err.contains("unshare:") || run.err.contains("mount:") {
        eprintln!("SKIPPED: no other machine can be played here: {}", run.err);
        return None;
    }
    assert!(!run.out.is_empty(), "{arguments:?}: {run:?}");
    Some(run.out)
}

/// A capture with the list of cached files, which takes long in a program that was built for debugging: tests that run
/// at the same time share it.
struct Whole {
    taken: Taken,
    subject: Subject,
    /// A file of which five pages are cached, and the folder that it is in.
    file: KnownFile,
    folder: tempfile::TempDir,
}

impl Whole {
    fn take() -> Arc<Whole> {
        static SHARED: Mutex<Weak<Whole>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole) = shared.upgrade() {
            return whole;
        }
        let folder = memory();
        let file = crate::common::known_file(&folder.path().join("known"), 64 << 10, &[(2, 5)]);
        let subject = Subject::start(["anonymous:8:3"]);
        let taken = take("a.tar.zst", [&subject.word(), &std::process::id().to_string(), "1"]);
        taken.open_to_everyone();
        let whole = Arc::new(Whole { taken, subject, file, folder });
        *shared = Arc::downgrade(&whole);
        whole
    }
}

/// An archive with some lines of the list of cached files, which is long for a program that was built for debugging,
/// and the directory that is in it.
fn shortened(taken: &Taken, is_kept: impl FnMut(&&str) -> bool) -> (PathBuf, PathBuf) {
    let name = std::thread::current().name().unwrap().replace("::", "-");
    let directory = taken.unpacked_in(&name);
    let list = directory.join("rmap/files.jsonl");
    let text = fs::read_to_string(&list).unwrap();
    let (head, files) = text.split_once('\n').unwrap();
    let files = files.split_inclusive('\n').filter(is_kept);
    fs::write(&list, format!("{head}\n{}", files.collect::<String>())).unwrap();
    let archive = directory.with_extension("tar");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&directory).arg("-cf").arg(&archive).args(["rmap-capture.json", "proc", "sys", "rmap"]);
    assert!(tar.status().unwrap().success());
    (archive, directory)
}

#[test]
fn every_answer_is_byte_for_byte_the_same_elsewhere() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let whole = Whole::take();
    let Whole { taken, subject, .. } = &*whole;
    let mut left = 300;
    let (archive, unpacked) = shortened(taken, |_| {
        left -= 1;
        left >= 0
    });
    // Copied by somebody else, to another place.
    let other = memory();
    let copy = other.path().join("copy");
    let copied = Command::new("cp").arg("-r").arg(&unpacked).arg(&copy).status().unwrap();
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(&copy).arg(&archive).status().unwrap();
    assert!(copied.success() && opened.success());
    let there = |question: &[&str], root: &Path| {
        let all = question.iter().map(OsStr::new).chain([OsStr::new("--proc-root"), root.as_os_str()]);
        elsewhere(&everyone, &all.collect::<Vec<_>>())
    };
    for question in questions(&subject.word()) {
        let first = read(&archive, &question);
        assert!(first.status.is_some_and(|status| status < 2) && !first.out.is_empty(), "{question:?}: {first:?}");
        for root in [&unpacked, &copy.join("proc")] {
            let again = read(root, &question);
            assert!(again.out == first.out, "{question:?} from {}: {:?} {}", root.display(), again.status, again.err);
        }
        for root in [&copy, &archive] {
            let again = there(&question, root);
            assert!(again.is_none_or(|out| out == first.out), "{question:?} elsewhere from {}", root.display());
        }
    }
    // As rmap wrote it.
    let question = ["ps", "--json"];
    let first = taken.rmap(&question).out;
    assert!(there(&question, &taken.file).is_none_or(|out| out == first));
}

#[test]
fn a_comparison_of_captures_is_byte_for_byte_the_same_elsewhere() {
    let Some(everyone) = ForEveryone::copy() else { return };
    let gate = memory();
    let wait = format!("await:{}", gate.path().join("gate").display());
    let subject = Subject::waiting([&wait, "anonymous:900:800"]);
    let captures = ["before.tar", "after.tar.zst"].map(|name| {
        let taken = take(name, ["--no-files", &subject.word()]);
        taken.open_to_everyone();
        fs::write(gate.path().join("gate"), "").unwrap();
        crate::common::wait_until("it has grown", || resident(subject.pid()) > 800 * crate::common::page());
        taken
    });
    let [before, after] = [0, 1].map(|at| captures[at].file.as_os_str());
    let options = ["--json", "--what", "processes,mappings,cgroups"].map(OsStr::new);
    let arguments = [&[OsStr::new("diff"), before, after], &options[..]].concat();
    let here = crate::common::rmap(&arguments);
    assert!(here.json().as_array().is_some_and(|rows| rows.len() > 1), "{here:?}");
    assert!(elsewhere(&everyone, &arguments).is_none_or(|there| there == here.out));
}

/// How much of a process is in RAM, in bytes.
fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn the_cached_files_of_a_capture_are_those_of_the_machine_with_its_page_size() {
    let whole = Whole::take();
    let Whole { taken, file, folder, .. } = &*whole;
    let path = file.path.to_str().unwrap();
    let filter = format!("path == '{path}'");
    let columns = "path,cached,size,locked,dirty,holders,kind,inode,device,method";
    let question = ["files", "--jsonl", "-o", columns, "--filter", &filter];
    let rows = taken.rmap(&question).lines_of_json();
    let live = crate::common::rmap(question.into_iter().chain(["--budget=20"])).lines_of_json();
    assert_eq!((rows.len(), rows[0]["cached"].as_u64()), (1, Some(5 * crate::common::page())), "{rows:?}");
    assert_eq!(rows, live);
    // The archive itself was not written when the files were read.
    let folders = [folder.path(), taken.folder.path()].map(|path| path.to_str().unwrap());
    let (_, unpacked) = shortened(taken, |line| folders.iter().any(|folder| line.contains(folder)));
    let list = fs::read_to_string(unpacked.join("rmap/files.jsonl")).unwrap();
    assert!(list.contains(folders[0]) && !list.contains(folders[1]), "{list}");
    let below = read(&unpacked, &["files", "--jsonl", "-o", "path", folder.path().to_str().unwrap()]).lines_of_json();
    assert_eq!(below.len(), 1, "{below:?}");
    for (refused, why) in [
        (&["files", "--scan"][..], "a capture has no directories"),
        (&["files", "--budget", "1"], "already there"),
        (&["files", "relative"], "from / on"),
    ] {
        let run = read(&unpacked, refused);
        assert!(run.status == Some(2) && run.complaints().len() == 1 && run.err.contains(why), "{run:?}");
    }
    // As on the machine itself, a group that never was is no group without files.
    if nix::unistd::geteuid().is_root()
        && Path::new("/sys/fs/cgroup").read_dir().is_ok_and(|mut some| some.next().is_some())
    {
        let run = read(&unpacked, &["files", "--jsonl", "-o", "path,cached", "--cgroup", "nonesuch", "--cgroup", "/"]);
        let line = "rmap: nonesuch: no such control group with memory control; `rmap cgroups` lists them";
        assert!(run.status == Some(1) && run.err.contains(line) && !run.lines_of_json().is_empty(), "{run:?}");
    }
    // On a machine with larger pages, counts of pages are counts of those, and the file is four pages long.
    let description = unpacked.join("rmap-capture.json");
    let own = format!("\"page_size\": {}", crate::common::page());
    let text = fs::read_to_string(&description).unwrap();
    assert!(text.contains(&own));
    fs::write(&description, text.replace(&own, "\"page_size\": 16384")).unwrap();
    let rows = read(&unpacked, &["files", "--jsonl", "-o", "path,percent,locked", "--filter", &filter]).lines_of_json();
    // Which pages are locked only the kernel's lists say.
    let locked = nix::unistd::geteuid().is_root().then_some(5 * 16384);
    assert_eq!(
        (rows[0]["locked"].as_u64(), rows[0]["absent"]["locked"].is_null()),
        (locked, locked.is_some()),
        "{rows:?}"
    );
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
        if question.contains(&"--slab") && !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: {question:?}: only root can capture slabinfo");
            continue;
        }
        assert_eq!(count(question), 1, "{question:?}");
    }
    for program in [&["mem", "-n"][..], &["ps", "--csv"], &["mem", "--jsonl"]] {
        assert_eq!(count(program), 0, "{program:?}");
    }
}

#[test]
fn what_an_archive_lacks_is_named_as_a_part_of_it() {
    let own = std::process::id().to_string();
    let taken = take("a.tar", ["--no-files", &own]);
    // GNU tar's own --delete sometimes leaves an archive that cannot be read.
    let script = "set -e; mkdir all; tar -C all -xf \"$1\"; rm all/proc/meminfo; tar -C all -cf \"$1\" $(ls all)";
    let folder = tempfile::tempdir().unwrap();
    let again = Command::new("sh").args(["-c", script, "sh"]).arg(&taken.file).current_dir(folder.path()).status();
    assert!(again.unwrap().success());
    let run = taken.rmap(&["mem"]);
    let line = format!("rmap: {}/proc/meminfo: no such file\n", taken.file.display());
    assert_eq!((run.status, run.err), (Some(1), line));
}
