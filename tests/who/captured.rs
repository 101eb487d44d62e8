//! A captured machine: files are found by the names that processes saw, and its list of cached files has the figures.

use crate::common::{Subject, memory, page, rmap};
use crate::{bytes, link_of};

#[test]
fn a_capture_resolves_its_own_links_and_says_what_was_cached() {
    let folder = memory();
    let path = folder.path().join("file");
    std::fs::write(&path, vec![7; 8 * page() as usize]).unwrap();
    let name = path.to_str().unwrap();
    let subject = Subject::start([format!("view:{name}:3")]);
    let links = ["fd", "map_files"].map(|table| link_of(&subject, table, name));
    let archive = folder.path().join("capture.tar");
    let taken = rmap(["capture".as_ref(), "-o".as_ref(), archive.as_os_str()]);
    assert!(archive.exists(), "{taken:?}");
    let pid = subject.pid();
    drop(subject);
    std::fs::remove_file(&path).unwrap();
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
    assert_eq!((bytes(&files[0], "size"), bytes(&files[0], "cached")), (8 * page(), 8 * page()), "{run:?}");
    let others = files.iter().filter(|file| file["same_as"] == links[0]).count();
    assert_eq!((files.len(), others), (4, 3), "{run:?}");
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
