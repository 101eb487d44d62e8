//! System V shared memory: its inode number is the id of the segment, which is 0 for the first of an IPC namespace and
//! the same in several of them.

use std::process::Command;

use super::who;
use crate::common::{Subject, has, page, rmap};

/// Attaches a segment of 8 pages in an IPC namespace of its own and writes to some of them.
const ATTACH: &str = "import ctypes, sys, time
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
number = libc.shmget(0, ctypes.c_size_t(8 * int(sys.argv[2])), 0o1600)
ctypes.memset(libc.shmat(number, None, 0), 1, int(sys.argv[1]) * int(sys.argv[2]))
print('ready', flush=True)
time.sleep(600)";

/// A process with the segment 0 of a new namespace, and the link to the mapping; `None` if this user may not.
fn attach(pages: u64) -> Option<(Subject, String)> {
    let may = Command::new("unshare").args(["--ipc", "true"]).status().is_ok_and(|status| status.success());
    if !may || !nix::unistd::geteuid().is_root() || !has("python3", "python3") {
        eprintln!("SKIPPED: no IPC namespaces");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["--ipc", "python3", "-c", ATTACH, &pages.to_string(), &page().to_string()]);
    let subject = Subject::until_ready(command);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", subject.pid())).unwrap();
    let line = maps.lines().find(|line| line.contains("/SYSV")).unwrap();
    assert_eq!(line.split_whitespace().nth(4), Some("0"), "{line}");
    let link = format!("/proc/{}/map_files/{}", subject.pid(), line.split(' ').next().unwrap());
    Some((subject, link))
}

#[test]
fn the_segment_with_id_0_is_a_file() {
    let Some((subject, link)) = attach(3) else { return };
    let found = who(&[&link]);
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
