//! A captured machine: files are found by the names that processes saw, and its list of cached files has the figures.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::common::{Run, Subject, description, memory, page, rmap, shell};
use crate::{bytes, link_of};

#[test]
fn a_file_that_only_a_thread_has_open_is_held_in_a_capture_too() {
    let folder = memory();
    let path = folder.path().join("file");
    std::fs::write(&path, "x").unwrap();
    let subject = Subject::start([format!("thread:{}", path.display())]);
    let archive = folder.path().join("capture.tar").display().to_string();
    let taken = rmap(["capture", "--no-files", "-o", &archive, &subject.word()]);
    assert_eq!(taken.status, Some(0), "{taken:?}");
    let found = crate::who(["--proc-root", &archive, path.to_str().unwrap()]);
    let row = found.row(&subject);
    assert_eq!((&row["how"], &row["descriptors"]), (&"open".into(), &1.into()), "{found:?}");
}

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
        assert!(line.starts_with("rmap: the capture: ") && line.ends_with("may hold the file too"), "{run:?}");
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

/// A captured machine: its own namespace, whose root is on 8:1, and a container with an overlay as its root.
struct Machine(tempfile::TempDir);

const OWN: u64 = 1;
const OF_CONTAINER: u64 = 2;
const MOUNTS: &str = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /data rw - ext4 b rw\n\
                      3 1 0:60 / /run/x/merged rw - overlay o rw,lowerdir=/l/base,upperdir=/u/x,workdir=/w/x\n";
const MOUNTS_THERE: &str = "30 0 0:60 / / rw - overlay o rw,lowerdir=/l/base,upperdir=/u/x,workdir=/w/x\n\
                            31 30 8:2 /shared /srv rw - ext4 b rw\n32 30 0:61 / /tmp rw - tmpfs t rw\n";

impl Machine {
    fn new() -> Machine {
        let machine = Machine(memory());
        std::fs::create_dir_all(machine.0.path().join("proc")).unwrap();
        std::fs::write(machine.0.path().join("rmap-capture.json"), description(4096, true)).unwrap();
        machine
    }

    /// Adds a process with mappings of these files: device, inode number, name.
    fn add(&self, pid: u32, namespace: u64, mapped: &[(&str, u64, &str)]) {
        let folder = self.0.path().join(format!("proc/{pid}"));
        for below in ["ns", "fd", "fdinfo"] {
            std::fs::create_dir_all(folder.join(below)).unwrap();
        }
        symlink(format!("mnt:[{namespace}]"), folder.join("ns/mnt")).unwrap();
        symlink("/", folder.join("root")).unwrap();
        std::fs::write(folder.join("mountinfo"), if namespace == OWN { MOUNTS } else { MOUNTS_THERE }).unwrap();
        let heads = mapped.iter().zip(1..).map(|((device, inode, name), number)| {
            format!("{number}000-{number}800 r--s 00000000 {device} {inode}    {name}\nSize: 2 kB\nRss: 2 kB\n")
        });
        std::fs::write(folder.join("smaps"), heads.collect::<String>()).unwrap();
    }

    /// Opens a file in a process.
    fn open(&self, pid: u32, name: &str, mount: u64) {
        let folder = self.0.path().join(format!("proc/{pid}"));
        symlink(name, folder.join("fd/3")).unwrap();
        std::fs::write(folder.join("fdinfo/3"), format!("pos: 0\nflags: 02\nmnt_id: {mount}\n")).unwrap();
    }

    /// Writes the list of cached files: path, device, inode number, bytes that are cached, and pages that are mapped.
    fn list(&self, files: &[(&str, [u32; 2], u64, u64, u64)]) {
        let denied = json!({"absent": ["denied", "no"]});
        let account = json!({"method": "pages", "size": null, "kinds": [], "missed": []});
        let mut text = format!("{}\n", json!({"account": account, "incomplete": [], "unseen": null}));
        for (id, (path, device, inode, cached, mapped)) in files.iter().enumerate() {
            let mut counts = vec![0; 12];
            // All of them up to date.
            (counts[0], counts[1]) = (cached / 4096, cached / 4096);
            counts[10] = *mapped;
            let (path, is_deleted) = path.strip_suffix(" (deleted)").map_or((*path, false), |path| (path, true));
            let file = json!({
                "id": id, "path": path, "deleted": is_deleted, "kind": "file", "fs": "ext4", "device": device,
                "inode": inode, "links": 1, "size": cached, "cached": cached, "counts": counts, "dirty": 0,
                "writeback": 0, "evicted": 0, "nodes": denied, "groups": denied, "container": null, "holders": "",
                "holder_count": 0, "method": "pages", "note": null,
            });
            text.push_str(&format!("{file}\n"));
        }
        std::fs::create_dir_all(self.0.path().join("rmap")).unwrap();
        std::fs::write(self.0.path().join("rmap/files.jsonl"), text).unwrap();
    }

    fn who(&self, files: &[&str]) -> Run {
        let arguments = ["who", "--json", "--total", "--proc-root", self.0.path().to_str().unwrap()];
        rmap(arguments.iter().chain(files))
    }

    /// The pids of those that hold a file, what is cached of it, and the lines on standard error.
    fn holders(&self, file: &str) -> (Vec<u64>, Value, Vec<String>) {
        let run = self.who(&[file]);
        let document = run.json();
        let mut pids: Vec<u64> = document["holders"].as_array().unwrap().iter().map(|row| bytes(row, "pid")).collect();
        pids.sort_unstable();
        let complaints = run.complaints().into_iter().map(str::to_owned).collect();
        (pids, document["files"][0]["cached"].clone(), complaints)
    }
}

const NAME: &str = "/usr/lib/libx.so";

#[test]
fn a_file_of_a_container_is_not_the_file_of_the_machine_with_the_same_path() {
    let machine = Machine::new();
    machine.add(5, OWN, &[("08:01", 70, NAME)]);
    machine.add(6, OWN, &[("08:01", 71, "/etc/other")]);
    // As Linux 6.8 prints a file of an overlay, and as those before it do.
    machine.add(20, OF_CONTAINER, &[("00:3c", 80, NAME)]);
    machine.add(21, OF_CONTAINER, &[("08:01", 81, NAME)]);
    let listed = [(NAME, [8, 1], 70, 16 << 12, 3), ("/u/x/usr/lib/libx.so", [8, 1], 81, 4 << 12, 4)];
    machine.list(&listed);
    assert_eq!(machine.holders(NAME), (vec![5], json!(16 << 12), vec![]));
    let through = format!("/proc/20/root{NAME}");
    let (pids, cached, complaints) = machine.holders(&through);
    assert_eq!((pids, complaints), (vec![20, 21], vec![]));
    assert_eq!(cached, Value::Null, "its pages are those of the layer, not those of the machine's file");
    let run = machine.who(&[&through]);
    let why = "not applicable: it is on an overlay, and its pages are those of a file of a layer";
    assert_eq!(run.json()["files"][0]["reason"], why);
    // Named together they are two files.
    let both = machine.who(&[NAME, &through]).json();
    let count = |place: usize| both["files"][place]["holder_count"].clone();
    assert_eq!((count(0), count(1)), (json!(1), json!(2)), "{both}");
    // The file of the layer, which has the number that only older kernels print.
    let (pids, cached, complaints) = machine.holders("/u/x/usr/lib/libx.so");
    assert_eq!((pids, cached), (vec![21], json!(4 << 12)));
    let why = "it holds a file of an overlay, and the capture does not tell of which layer";
    assert_eq!(complaints, [format!("rmap: /u/x/usr/lib/libx.so: process 20 may hold it: {why}")]);
}

#[test]
fn a_file_of_a_capture_is_found_under_every_name() {
    let machine = Machine::new();
    machine.add(5, OWN, &[("08:02", 90, "/data/shared/f")]);
    machine.add(6, OWN, &[("08:02", 90, "/data/link")]);
    machine.add(7, OWN, &[("08:02", 91, "/data/shared/g")]);
    machine.add(20, OF_CONTAINER, &[("08:02", 90, "/srv/f")]);
    machine.add(21, OF_CONTAINER, &[("00:3d", 90, "/tmp/f")]);
    machine.add(22, OF_CONTAINER, &[("08:02", 91, "/srv/g")]);
    machine.open(22, "/srv/f", 31);
    machine.add(23, OF_CONTAINER, &[("08:02", 91, "/srv/g")]);
    machine.open(23, "/srv/f", 30);
    for name in
        ["/data/shared/f", "/data//shared/./f", "/proc/20/root/srv/f", "/proc/22/fd/3", "/proc/5/map_files/1000-1800"]
    {
        // Who maps it has its number, which another hard link has, too.
        assert_eq!(machine.holders(name).0, [5, 6, 20, 22], "{name}");
    }
    // The list has one of its names.
    machine.list(&[("/data/link", [8, 2], 90, 2 << 12, 2)]);
    assert_eq!(machine.holders("/proc/20/root/srv/f"), (vec![5, 6, 20, 22], json!(2 << 12), vec![]));
    machine.list(&[("/data/shared/f", [8, 2], 90, 2 << 12, 2), ("/proc/21/root/tmp/f", [0, 61], 90, 3 << 12, 0)]);
    assert_eq!(machine.holders("/proc/20/root/srv/f"), (vec![5, 6, 20, 22], json!(2 << 12), vec![]));
    // The file that had the name before is another one, which is known by its number only.
    machine.add(30, OWN, &[("08:02", 99, "/data/shared/f (deleted)")]);
    assert_eq!(machine.holders("/data/shared/f").0, [5, 6, 20, 22]);
    assert_eq!(machine.holders("/proc/21/root/tmp/f"), (vec![21], json!(3 << 12), vec![]));
    assert_eq!(machine.holders("/proc/20/root/tmp/f"), (vec![21], json!(3 << 12), vec![]));
}

/// A process with two files called `/memfd:x`, of which it maps the first, and a deleted file of a disk; each is open.
fn with_descriptors() -> Machine {
    let machine = Machine::new();
    let nameless = "\"nameless_mount\":{\"device\":[0,1],\"number\":0}";
    let text = description(4096, true).replace("\"nameless_mount\":null", nameless);
    assert!(text.contains(nameless));
    std::fs::write(machine.0.path().join("rmap-capture.json"), text).unwrap();
    machine.add(40, OWN, &[("00:01", 500, "/memfd:x (deleted)")]);
    let folder = machine.0.path().join("proc/40");
    for (number, name, mount, inode) in
        [(3, "/memfd:x (deleted)", 0, 500), (4, "/memfd:x (deleted)", 0, 501), (5, "/data/a\\012b (deleted)", 2, 77)]
    {
        symlink(name, folder.join(format!("fd/{number}"))).unwrap();
        let text = format!("pos: 0\nflags: 02\nmnt_id:\t{mount}\nino:\t{inode}\n");
        std::fs::write(folder.join(format!("fdinfo/{number}")), text).unwrap();
    }
    machine.list(&[
        ("/memfd:x (deleted)", [0, 1], 500, 5 << 12, 2),
        ("/memfd:x (deleted)", [0, 1], 501, 6 << 12, 0),
        ("/data/a\\012b (deleted)", [8, 2], 77, 7 << 12, 0),
    ]);
    machine
}

#[test]
fn a_descriptor_on_a_mount_that_a_capture_does_not_have_proves_nothing_by_its_name() {
    let machine = Machine::new();
    machine.add(5, OWN, &[]);
    machine.add(6, OWN, &[]);
    machine.list(&[("/data/file", [8, 2], 70, 4 << 12, 0)]);
    machine.open(5, "/data/file", 2);
    machine.open(6, "/data/file", 77);
    // The kernel shows what is on a detached mount of /data below the root of that mount.
    for (pid, name, inode) in [(7, "/file", "ino: 70\n"), (8, "/file", ""), (9, "/file (deleted)", "ino: 71\n")] {
        machine.add(pid, OWN, &[]);
        machine.open(pid, name, 77);
        let info = format!("pos: 0\nflags: 02\nmnt_id: 77\n{inode}");
        std::fs::write(machine.0.path().join(format!("proc/{pid}/fdinfo/3")), info).unwrap();
    }
    machine.add(10, OWN, &[]);
    machine.open(10, "/other", 77);
    let (pids, _, lines) = machine.holders("/data/file");
    let why = "it holds a file of this name on a mount that the capture does not have";
    let line = format!("rmap: /data/file: processes 6, 7 and 8 may hold it: {why}");
    assert_eq!((pids, lines), (vec![5], vec![line]));
    let run = machine.who(&["--inode", "08:02:70"]);
    let why = "it has a file with this inode number open on a mount that the capture does not have";
    let untold = "the capture does not tell the inode numbers of open files (new in Linux 5.14)";
    let lines = [
        format!("rmap: 08:02:70: process 7 may hold it: {why}"),
        format!("rmap: 08:02:70: processes 5, 6, 8 and 10 may hold it: {untold}"),
    ];
    assert_eq!(run.complaints(), lines, "{run:?}");
}

#[test]
fn a_mapping_of_a_mount_that_a_capture_does_not_have_proves_nothing_by_its_name() {
    let machine = Machine::new();
    machine.add(5, OWN, &[("08:02", 70, "/file")]);
    machine.add(6, OWN, &[("08:02", 71, "/other")]);
    machine.add(7, OWN, &[("08:03", 70, "/data/file")]);
    let why = "it holds a file of this name on a mount that the capture does not have";
    let line = format!("rmap: /data/file: process 5 may hold it: {why}");
    let (pids, _, lines) = machine.holders("/data/file");
    assert_eq!((pids, lines), (vec![], vec![line]));
    // The list tells that it is this one.
    machine.list(&[("/data/file", [8, 2], 70, 4 << 12, 0)]);
    let (pids, _, lines) = machine.holders("/data/file");
    assert_eq!((pids, lines), (vec![5], vec![]));
}

/// How process 40 holds the file, what is cached of it, and as what it is known.
fn held(machine: &Machine, file: &[&str]) -> (String, Value) {
    let document = machine.who(file).json();
    let [row] = &document["holders"].as_array().unwrap()[..] else { panic!("{file:?}: {document}") };
    assert_eq!(bytes(row, "pid"), 40, "{document}");
    (row["how"].as_str().unwrap().to_owned(), document["files"][0]["cached"].clone())
}

#[test]
fn an_open_file_of_a_capture_is_found_by_its_number_and_by_its_descriptor() {
    let machine = with_descriptors();
    let [first, second, gone] = [
        ("mapped shared, open for writing".to_owned(), json!(5 << 12)),
        ("open for writing".to_owned(), json!(6 << 12)),
        ("open for writing".to_owned(), json!(7 << 12)),
    ];
    assert_eq!(held(&machine, &["--inode", "00:01:500"]), first);
    assert_eq!(held(&machine, &["--inode", "00:01:501"]), second);
    assert_eq!(held(&machine, &["--inode", "08:02:77"]), gone);
    // Files of one name are told apart, and are two.
    assert_eq!(held(&machine, &["/proc/40/fd/3"]), first);
    assert_eq!(held(&machine, &["/proc/40/fd/4"]), second);
    assert_eq!(held(&machine, &["/proc/40/fd/5"]), gone);
    let both = machine.who(&["/proc/40/fd/3", "/proc/40/fd/4"]).json();
    let cached: Vec<&Value> = both["files"].as_array().unwrap().iter().map(|file| &file["cached"]).collect();
    assert_eq!(cached, [&first.1, &second.1], "{both}");
}

#[test]
fn a_deleted_file_of_a_capture_is_found_by_the_name_that_it_had() {
    let machine = with_descriptors();
    let gone = ("open for writing".to_owned(), json!(7 << 12));
    assert_eq!(held(&machine, &["/data/a\\012b (deleted)"]), gone);
    assert_eq!(held(&machine, &["/data/a\\012b"]), gone);
    // Another file that has the name now is meant before it.
    let (old, new) = ("/data/a\\012b (deleted)", "/data/a\\012b");
    machine.list(&[(old, [8, 2], 77, 7 << 12, 0), (new, [8, 2], 78, 8 << 12, 0)]);
    assert_eq!(machine.holders(new).1, json!(8 << 12));
}

#[test]
fn a_number_is_not_proof_where_several_files_of_a_capture_may_have_it() {
    for kind in ["fuse.sshfs", "btrfs"] {
        let machine = Machine::new();
        machine.add(5, OWN, &[("00:3c", 70, "/run/x/merged/f")]);
        machine.add(6, OWN, &[("00:3c", 70, "/run/x/merged/g")]);
        for pid in [5, 6] {
            let mounts = format!("1 0 8:1 / / rw - ext4 a rw\n2 1 0:60 / /run/x/merged rw - {kind} s rw\n");
            std::fs::write(machine.0.path().join(format!("proc/{pid}/mountinfo")), mounts).unwrap();
        }
        machine.list(&[("/run/x/merged/f", [0, 60], 70, 4 << 12, 0), ("/run/x/merged/g", [0, 60], 70, 5 << 12, 0)]);
        for (name, pid, cached) in [("/run/x/merged/f", 5, 4 << 12), ("/run/x/merged/g", 6, 5 << 12)] {
            assert_eq!(machine.holders(name), (vec![pid], json!(cached), vec![]), "{kind}");
        }
        // The number alone does not tell the two apart.
        let run = machine.who(&["--inode", "00:3c:70"]);
        let document = run.json();
        assert_eq!(document["holders"].as_array().unwrap().len(), 2, "{run:?}");
        let why = "2 files have this device and inode number, and the rows are about all of them; name one of them \
                   by its path";
        assert_eq!(run.complaints(), [format!("rmap: 00:3c:70: {why}")], "{kind}");
        assert!(document["files"][0]["cached"].is_null(), "{run:?}");
    }
}

#[test]
fn a_name_that_a_capture_cannot_follow_is_refused_and_links_do_not_lead_out_of_it() {
    let machine = Machine::new();
    machine.add(5, OWN, &[("08:01", 70, "/usr/lib/libx.so")]);
    machine.list(&[]);
    let folder = machine.0.path().join("proc/5");
    symlink(folder.join("there"), folder.join("cwd")).unwrap();
    std::fs::create_dir(folder.join("there")).unwrap();
    symlink("/usr/lib/libx.so", folder.join("there/link")).unwrap();
    symlink("/usr/lib/libx.so", folder.join("fd/link")).unwrap();
    std::fs::write(folder.join("fd/4"), "").unwrap();
    for (name, why) in [
        ("/usr/lib/../lib/libx.so", "a capture does not tell where '..' leads; name the file without it"),
        ("/proc/5/fd/../../5/fd/3", "a capture does not tell where '..' leads; name the file without it"),
        ("/proc/5/there/link", "no such file in the capture"),
        ("/proc/5/fd/link", "no such file in the capture"),
        ("/proc/5/fd/4", "no such file in the capture"),
        ("/proc/5/exe/x", "no such file in the capture"),
        ("/proc/5/fd", "no such file in the capture"),
    ] {
        let run = machine.who(&[name]);
        assert_eq!((run.status, run.err.as_str()), (Some(1), format!("rmap: {name}: {why}\n").as_str()), "{name}");
    }
    // What is there of this machine is not what the captured one had.
    let (pids, _, _) = machine.holders("/proc/5/cwd/link");
    assert_eq!(pids, [0; 0], "the link is not followed");
    // Nor is a link in the middle, to numbers that this machine has.
    std::fs::create_dir_all(folder.join("task/6")).unwrap();
    std::fs::create_dir_all(folder.join("there/fdinfo")).unwrap();
    symlink(folder.join("there"), folder.join("task/6/root")).unwrap();
    std::fs::write(folder.join("there/fdinfo/3"), "mnt_id:\t1\nino:\t70\n").unwrap();
    let (pids, _, _) = machine.holders("/proc/5/task/6/root/fd/3");
    assert_eq!(pids, [0; 0], "the numbers are those of this machine");
    let root = machine.0.path().to_str().unwrap();
    let unknown = rmap(["who", "--proc-root", root, "/lib/libx.so"]).good().text();
    let words = "/lib/libx.so: nobody that could be looked at maps it or has it open; what is cached of it is not \
                 known (no cached file of the capture has this name, and a capture does not tell where symbolic links \
                 lead, or which names are hard links)\n";
    assert!(unknown.contains(words), "{unknown}");
}

#[test]
fn a_damaged_list_is_not_taken_for_no_list() {
    let machine = Machine::new();
    machine.add(5, OWN, &[("08:01", 70, NAME)]);
    let run = machine.who(&[NAME]);
    let why = "unsupported: the capture does not have the list of cached files";
    assert_eq!((run.json()["files"][0]["reason"].as_str(), run.good().status), (Some(why), Some(0)));
    machine.list(&[(NAME, [8, 1], 70, 16 << 12, 3)]);
    let list = machine.0.path().join("rmap/files.jsonl");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, &text[..text.len() - 9]).unwrap();
    let run = machine.who(&[NAME]);
    let line = "rmap: the cached files: line 2 of rmap/files.jsonl in the capture is not valid\n";
    assert_eq!((run.status, run.err.as_str()), (Some(1), line));
    let file = &run.json()["files"][0];
    let why = "unsupported: the list of cached files in the capture is damaged";
    assert_eq!((&file["cached"], &file["reason"]), (&Value::Null, &why.into()));
    assert_eq!(run.json()["holders"][0]["pid"], 5, "what can be known is still told");
}

#[test]
fn more_mapped_than_cached_is_not_an_amount_in_a_capture() {
    let machine = Machine::new();
    machine.add(5, OWN, &[("08:01", 70, NAME)]);
    machine.list(&[(NAME, [8, 1], 70, 4 << 12, 5)]);
    let file = machine.who(&[NAME]).json()["files"][0].clone();
    let keys = ["cached", "mapped", "mapped_at_least", "unmapped", "mapped_by"];
    assert_eq!(keys.map(|key| file[key].clone()), [json!(4 << 12), json!(null), json!(null), json!(null), json!(null)]);
    assert!(file["reason"].as_str().unwrap().starts_with("changed: more of it is listed as mapped"), "{file}");
    machine.list(&[(NAME, [8, 1], 70, 5 << 12, 4)]);
    let file = machine.who(&[NAME]).json()["files"][0].clone();
    let mapped = [5 << 12, 4 << 12, 4 << 12, 1 << 12].map(|bytes: u64| json!(bytes));
    assert_eq!([&file["cached"], &file["mapped"], &file["mapped_at_least"], &file["unmapped"]], mapped.each_ref());
}

#[test]
fn pages_of_a_capture_that_are_not_up_to_date_do_not_count_as_cached() {
    let machine = Machine::new();
    machine.list(&[(NAME, [8, 1], 70, 4 << 12, 0)]);
    let list = machine.0.path().join("rmap/files.jsonl");
    let text = std::fs::read_to_string(&list).unwrap();
    for up_to_date in [0, 3] {
        std::fs::write(&list, text.replace("[4,4,", &format!("[4,{up_to_date},"))).unwrap();
        let file = machine.who(&[NAME]).json()["files"][0].clone();
        let [cached, more] = ["cached", "not_up_to_date"].map(|key| file[key].as_u64().unwrap());
        assert_eq!((cached, more), (up_to_date << 12, (4 - up_to_date) << 12), "{file}");
    }
    // An ordinary user took it, who can only count them.
    let counts = text.split_once("\"counts\":").unwrap().1.split_once(']').unwrap().0;
    std::fs::write(&list, text.replace(&format!("{counts}]"), r#"{"absent":["denied","no"]}"#)).unwrap();
    let file = machine.who(&[NAME]).json()["files"][0].clone();
    let why = "fewer may be cached: the capture does not tell which pages were up to date";
    assert_eq!((file["cached"].as_u64(), &file["not_up_to_date"]), (Some(4 << 12), &Value::Null), "{file}");
    assert!(file["reason"].as_str().unwrap().ends_with(&format!("unsupported: {why}")), "{file}");
    let table = rmap(["who", "--proc-root", machine.0.path().to_str().unwrap(), NAME]);
    assert!(table.text().contains(&format!("; {why}\n")), "{table:?}");
}

#[test]
fn a_capture_of_some_processes_says_so_in_one_line() {
    let machine = Machine::new();
    machine.add(5, OWN, &[("08:01", 70, NAME)]);
    assert_eq!(machine.who(&[NAME]).good().err, "");
    std::fs::write(machine.0.path().join("rmap-capture.json"), description(4096, false)).unwrap();
    let run = machine.who(&[NAME, "/etc/other"]);
    let line =
        "rmap: the capture: it has only some of the processes of its machine, and others may hold the file too\n";
    assert_eq!((run.status, run.err.as_str()), (Some(1), line));
}

#[test]
fn hugetlb_pages_which_rss_does_not_count_are_named() {
    let machine = Machine::new();
    machine.add(5, OWN, &[("08:01", 70, NAME)]);
    machine.add(6, OWN, &[("08:01", 70, NAME)]);
    let smaps = machine.0.path().join("proc/5/smaps");
    let more = "Pss: 0 kB\nShared_Hugetlb: 2048 kB\nPrivate_Hugetlb: 4096 kB\n";
    let text = std::fs::read_to_string(&smaps).unwrap().replace("Rss: 2 kB", "Rss: 0 kB") + more;
    std::fs::write(&smaps, text).unwrap();
    let rows = machine.who(&[NAME]).json()["holders"].clone();
    // The one that has most of the file in memory is the first.
    assert_eq!((&rows[0]["pid"], &rows[0]["rss"], &rows[0]["hugetlb"]), (&json!(5), &json!(0), &json!(6 << 20)));
    assert_eq!(rows[0]["note"], "Rss and Pss do not count its hugetlb pages; -o +hugetlb shows them");
    // Not every kernel reports it.
    assert_eq!((&rows[1]["pid"], &rows[1]["hugetlb"], &rows[1]["note"]), (&json!(6), &json!(null), &json!(null)));
}

#[test]
fn a_holder_whose_figures_cannot_be_read_is_named_with_the_reason() {
    let machine = Machine::new();
    machine.add(5, OWN, &[("08:01", 70, NAME)]);
    machine.add(6, OWN, &[("08:01", 70, NAME)]);
    for pid in [5, 6] {
        let maps = format!("1000-1800 r--s 00000000 08:01 70    {NAME}\n");
        std::fs::write(machine.0.path().join(format!("proc/{pid}/maps")), maps).unwrap();
    }
    std::fs::write(machine.0.path().join("proc/6/stat"), "6 (x").unwrap();
    let run = machine.who(&[NAME]);
    let line = "rmap: pid 6: its stat file is not in the kernel's format\n";
    assert_eq!((run.status, run.err.as_str()), (Some(1), line), "{run:?}");
    let (pids, _, _) = machine.holders(NAME);
    assert_eq!(pids, [5, 6]);
    // What only smaps tells is absent, not the holder.
    std::fs::remove_file(machine.0.path().join("proc/5/smaps")).unwrap();
    let (pids, _, lines) = machine.holders(NAME);
    assert_eq!((pids, lines.len()), (vec![5, 6], 2), "{lines:?}");
}
