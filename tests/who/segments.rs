//! System V shared memory: its inode number is the id of the segment, which is 0 for the first of an IPC namespace and
//! the same in several of them.

use std::process::Command;

use serde_json::Value;

use super::{Answer, who};
use crate::common::{Run, Subject, can_read_lists, has, memory, page, rmap, rmap_without_lists};

/// Attaches a segment of 8 pages in an IPC namespace of its own and writes to some of them.
const ATTACH: &str = "import ctypes, sys, time
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
if len(sys.argv) > 3: open('/proc/sys/kernel/shm_next_id', 'w').write(sys.argv[3])
number = libc.shmget(0, ctypes.c_size_t(8 * int(sys.argv[2])), 0o1600)
ctypes.memset(libc.shmat(number, None, 0), 1, int(sys.argv[1]) * int(sys.argv[2]))
print('ready', flush=True)
time.sleep(600)";

/// A process with the segment 0 of a new namespace, and the link to the mapping; `None` if this user may not.
fn attach(pages: u64) -> Option<(Subject, String)> {
    attach_as(pages, 0)
}

/// The same with a segment that has this id.
fn attach_as(pages: u64, id: u64) -> Option<(Subject, String)> {
    let may = Command::new("unshare").args(["--ipc", "true"]).status().is_ok_and(|status| status.success());
    if !may || !nix::unistd::geteuid().is_root() || !has("python3", "python3") {
        eprintln!("SKIPPED: no IPC namespaces");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["--ipc", "python3", "-c", ATTACH, &pages.to_string(), &page().to_string(), &id.to_string()]);
    let subject = Subject::until_ready(command);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", subject.pid())).unwrap();
    let line = maps.lines().find(|line| line.contains("/SYSV")).unwrap();
    assert_eq!(line.split_whitespace().nth(4), Some(&id.to_string()[..]), "{line}");
    let link = format!("/proc/{}/map_files/{}", subject.pid(), line.split(' ').next().unwrap());
    Some((subject, link))
}

#[test]
fn the_segment_with_id_0_is_a_file() {
    let Some((subject, link)) = attach(3) else { return };
    let found = who([&link]);
    found.assert_only(&[&subject]);
    assert_eq!(found.row(&subject)["rss"], 3 * page(), "{found:?}");
    let pid = subject.word();
    let arguments = ["pid", "--cache", "--filter", "kind==sysv", "--json", "-o", "mapping,cache_cached,inode", &pid];
    let run = rmap(arguments);
    let row = &run.json()[0]["mappings"][0];
    assert_eq!((&row["cache_cached"], &row["inode"]), (&(3 * page()).into(), &0.into()), "{run:?}");
    let run = rmap(["pcstat", "--json", "--pid", &pid]);
    let files = run.json();
    let is_it = |file: &&serde_json::Value| file["filename"].as_str().is_some_and(|name| name.contains("SYSV"));
    let found: Vec<_> = files.as_array().unwrap().iter().filter(is_it).collect();
    assert_eq!((found.len(), &found[0]["cached_bytes"]), (1, &(3 * page()).into()), "{files}");
}

#[test]
fn segments_with_one_id_in_two_namespaces_are_two_files() {
    let (Some((one, link)), Some((other, another))) = (attach(2), attach(5)) else { return };
    who([&link]).assert_only(&[&one]);
    let found = who(["--pages", &another]);
    found.assert_only(&[&other]);
    assert_eq!((&found.row(&other)["rss"], &found.files[0]["cached"]), (&(5 * page()).into(), &(5 * page()).into()));
    assert_eq!(who([&link, &another]).rows.len(), 2, "one row for each");
    let pids = [&one.word()[..], &other.word()];
    let arguments = ["pid", "--cache", "--merge", "--by", "kind", "--filter", "kind==sysv", "--json"];
    let run = rmap(arguments.iter().chain(&pids));
    assert_eq!(run.json()["groups"][0]["cache_cached"], 7 * page(), "{run:?}");
    let run = rmap(["pcstat", "--json", "--pid", &pids.join(",")]);
    let files = run.json();
    let is_it = |file: &&Value| file["filename"].as_str().is_some_and(|name| name.contains("SYSV"));
    assert_eq!(files.as_array().unwrap().iter().filter(is_it).count(), 2, "{files}");
    // By the number alone, they are several files, which is said.
    let found = who(["--inode", "00:01:0"]);
    assert!(found.complaints.iter().any(|line| line.contains("files have this device and inode number")), "{found:?}");
}

#[test]
fn each_of_two_segments_with_one_id_has_its_own_holder_in_the_lists() {
    if !can_read_lists("segments") {
        return;
    }
    let (Some((one, _)), Some((other, _))) = (attach(2), attach(5)) else { return };
    assert_held_by(&rmap(SEGMENTS), [(&one, 2), (&other, 5)]);
}

/// Asks for the segments without a key, each with what holds it.
const SEGMENTS: [&str; 8] =
    ["files", "--budget", "60", "--json", "-o", "path,cached,holders", "--filter", "path =~ SYSV00000000"];

/// Checks that each of these alone holds a segment with so many cached pages.
fn assert_held_by(run: &Run, holders: [(&Subject, u64); 2]) {
    let (document, text) = (run.json(), run.text());
    for (subject, pages) in holders {
        let holder = format!("python3 {}", subject.pid());
        let held = |row: &&Value| row["holders"] == holder.as_str() && row["cached"] == pages * page();
        assert_eq!(document.as_array().unwrap().iter().filter(held).count(), 1, "{text}");
    }
}

#[test]
fn each_of_two_segments_with_one_id_has_its_own_holder_without_the_lists() {
    let (Some((one, _)), Some((other, _))) = (attach(2), attach(5)) else { return };
    let Some(run) = rmap_without_lists(SEGMENTS) else { return };
    assert_held_by(&run, [(&one, 2), (&other, 5)]);
}

#[test]
fn a_segment_that_cannot_be_opened_is_told_by_the_ipc_namespace() {
    let folder = memory();
    for (pid, namespace) in [(7, 1), (8, 1), (9, 2)] {
        let process = folder.path().join(pid.to_string());
        std::fs::create_dir_all(process.join("ns")).unwrap();
        std::os::unix::fs::symlink(format!("ipc:[{namespace}]"), process.join("ns/ipc")).unwrap();
        let text = "1000-2000 rw-s 00000000 00:01 0    /SYSV00000000 (deleted)\nSize: 4 kB\nRss: 4 kB\n";
        std::fs::write(process.join("smaps"), text).unwrap();
    }
    let root = folder.path().to_str().unwrap();
    let groups = |pids: &[&str]| {
        let arguments = ["pid", "--proc-root", root, "--merge", "--by", "path", "-o", "rss", "--json"];
        let document = rmap(arguments.iter().chain(pids)).json();
        document["groups"].as_array().unwrap_or_else(|| panic!("{document}")).len()
    };
    assert_eq!([groups(&["7", "8"]), groups(&["7", "9"]), groups(&["7", "8", "9"])], [1, 2, 2]);
}

#[test]
fn a_memfd_with_the_number_of_a_segment_is_another_file() {
    if !has("python3", "python3") {
        return;
    }
    let script = "import mmap, os, time
fd = os.memfd_create('twin')
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
print('ready', flush=True)
time.sleep(600)";
    let mut command = Command::new("python3");
    command.args(["-c", script]);
    let holder = Subject::until_ready(command);
    let file = super::link_of(&holder, "fd", "/memfd:twin (deleted)");
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&file).unwrap());
    if inode > i32::MAX as u64 {
        return;
    }
    let Some((segment, link)) = attach_as(3, inode) else { return };
    who([&file]).assert_only(&[&holder]);
    who([&link]).assert_only(&[&segment]);
}

#[test]
fn a_capture_tells_segments_of_two_namespaces_apart() {
    let (Some((one, link)), Some((other, another))) = (attach(2), attach(5)) else { return };
    let folder = memory();
    let archive = folder.path().join("capture.tar");
    let archive = archive.to_str().unwrap();
    let taken = rmap(["capture", "--no-files", "-o", archive, &one.word(), &other.word()]);
    assert_eq!(taken.status, Some(0), "{taken:?}");
    let ask =
        |files: &[&str]| Answer::of(&rmap(["who", "--json", "--total", "--proc-root", archive].iter().chain(files)));
    for (subject, link) in [(&one, &link), (&other, &another)] {
        let found = ask(&[link]);
        assert_eq!((found.rows.len(), &found.rows[0]["pid"]), (1, &subject.pid().into()), "{found:?}");
    }
    assert_eq!(ask(&[&link, &another]).rows.len(), 2);
    let found = ask(&["--inode", "00:01:0"]);
    assert!(found.complaints.iter().any(|line| line.starts_with("rmap: 00:01:0: 2 files have")), "{found:?}");
}
