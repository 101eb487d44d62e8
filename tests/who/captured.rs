//! A captured machine: files are found by the names that processes saw, and its list of cached files has the figures.

use serde_json::json;

use crate::common::{Subject, memory, page, rmap, shell};
use crate::{bytes, link_of};

#[test]
fn a_capture_resolves_its_own_links_and_says_what_was_cached() {
    let folder = memory();
    let path = folder.path().join("file");
    std::fs::write(&path, vec![7; 8 * page() as usize]).unwrap();
    let name = path.to_str().unwrap();
    let subject = Subject::start([format!("view:{name}:3")]);
    let links = ["fd", "map_files"].map(|table| link_of(&subject, table, name));
    let pid = subject.pid();
    let archive = folder.path().join("capture.tar");
    let taken = rmap(["capture", "--no-files", "-o", archive.to_str().unwrap(), &subject.word()]);
    assert_eq!(taken.status, Some(0), "{taken:?}");
    drop(subject);
    std::fs::remove_file(&path).unwrap();
    // The list of a whole machine is long, so this one has one file.
    let cached = 8 * page();
    let denied = json!({"absent": ["denied", "no"]});
    let file = json!({
        "id": 1, "path": name, "deleted": false, "kind": "tmpfs", "fs": "tmpfs", "device": [0, 1], "inode": 7,
        "links": 1, "size": cached, "cached": cached, "counts": denied, "dirty": 0, "writeback": 0, "evicted": 0,
        "nodes": denied, "groups": denied, "container": null, "holders": "", "holder_count": 0, "method": "pages",
        "note": null,
    });
    let account = json!({"method": "pages", "size": null, "kinds": [], "missed": []});
    let head = json!({"account": account, "incomplete": [], "unseen": null});
    std::fs::create_dir(folder.path().join("rmap")).unwrap();
    std::fs::write(folder.path().join("rmap/files.jsonl"), format!("{head}\n{file}\n")).unwrap();
    let add = "cd $1 && tar -rf capture.tar rmap/files.jsonl";
    assert_eq!(shell(add, &[folder.path().as_os_str()]).status, Some(0));
    let who = |files: &[&str]| {
        let arguments = ["who", "--json", "--total", "--proc-root", archive.to_str().unwrap()];
        rmap(arguments.iter().chain(files))
    };
    // All of them are one file.
    let run = who(&[&links[0], &links[1], name, &format!("/proc/{pid}/root{name}")]);
    for line in run.complaints() {
        assert!(line.starts_with("rmap: the capture: ") && line.ends_with("may hold it too"), "{run:?}");
    }
    let document = run.json();
    let rows = document["holders"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{run:?}");
    assert_eq!((bytes(&rows[0], "pid"), bytes(&rows[0], "rss")), (pid.into(), 3 * page()), "{run:?}");
    let files = document["files"].as_array().unwrap();
    assert_eq!((bytes(&files[0], "size"), bytes(&files[0], "cached")), (cached, cached), "{run:?}");
    let others = files.iter().filter(|file| file["same_as"] == links[0]).count();
    assert_eq!((files.len(), others), (4, 3), "{run:?}");
    // Only one process was captured.
    let nobody = rmap(["who", "--proc-root", archive.to_str().unwrap(), "/no/file"]);
    assert!(nobody.text().contains("/no/file: nobody that could be looked at maps it or has it open"), "{nobody:?}");
    // Nothing is said of where the archive was unpacked.
    let missing = format!("/proc/{pid}/fd/777");
    let run = who(&["file", "/proc/4194303/fd/3", &missing, "/proc/meminfo"]);
    let why = [
        "rmap: file: a capture has no working directory; name the file by its whole path",
        "rmap: pid 4194303: no such process in the capture",
        &format!("rmap: {missing}: no such file in the capture"),
        "rmap: /proc/meminfo: no such file in the capture",
    ];
    assert_eq!((run.status, run.complaints()), (Some(1), why.to_vec()), "{run:?}");
}
