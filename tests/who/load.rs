//! Every way of holding a file, and the figures of each.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::common::{Subject, can_read_lists, disk, has_cachestat, memory, page, rmap, shell};
use crate::{Answer, bytes, link_of, who, writer};

#[test]
fn each_holder_has_one_row_with_how_it_holds_the_file_and_what_it_has_of_it() {
    let folder = disk();
    let path = folder.path().join("file");
    let name = path.display();
    // Twice mapped, the second time locked.
    let twice = Subject::start([format!("synced:{name}:64:2"), format!("open:{name}")]);
    let mapper = Subject::start([format!("glance:{name}:16")]);
    let viewer = Subject::start([format!("view:{name}:8")]);
    let part = Subject::start([format!("part:{name}:32:8:3")]);
    let opener = Subject::start([format!("open:{name}"), format!("open:{name}")]);
    let writer = writer(&path);
    let other = Subject::start([format!("synced:{name}.other:4:2")]);
    let found = who([&path]);
    found.assert_only(&[&twice, &mapper, &viewer, &part, &opener, &writer]);
    let expected = [
        // How, mappings, descriptors, size, rss, locked.
        (&twice, "mapped shared, open for writing", 2, 2, 128, 128, 64),
        (&mapper, "mapped shared", 1, 0, 16, 16, 0),
        (&viewer, "mapped shared, open", 1, 1, 8, 8, 0),
    ];
    for (subject, how, mappings, descriptors, size, rss, locked) in expected {
        let row = found.row(subject);
        let how = if subject.pid() == twice.pid() { row["how"].as_str().unwrap() } else { how };
        assert_eq!((&row["how"], &row["mappings"]), (&how.into(), &mappings.into()), "{row}");
        assert!(bytes(row, "descriptors") <= descriptors, "{row}");
        for (key, pages) in [("size", size), ("rss", rss), ("locked", locked), ("anonymous", 0), ("swap", 0)] {
            assert_eq!(bytes(row, key), pages * page(), "{key}: {row}");
        }
        assert!(bytes(row, "pss") < bytes(row, "rss"), "others map it too: {row}");
        assert_eq!(row["name"], "subject");
    }
    // The kernel may have mapped more than was touched, of what was mapped.
    let row = found.row(&part);
    assert_eq!((&row["how"], bytes(row, "size")), (&"mapped shared".into(), 8 * page()), "{row}");
    assert!(bytes(row, "rss") >= 3 * page() && bytes(row, "rss") <= 8 * page(), "{row}");
    assert!(bytes(row, "dirty") >= 3 * page(), "{row}");
    let row = found.row(&opener);
    assert_eq!((&row["how"], &row["descriptors"], &row["mappings"]), (&"open".into(), &2.into(), &0.into()));
    assert_eq!(
        (&row["rss"], &row["absent"]["rss"]),
        (&Value::Null, &"not applicable: it does not map the file".into())
    );
    assert_eq!(found.row(&writer)["how"], "open for writing");
    // Largest first.
    assert_eq!(found.rows[0]["pid"], twice.pid());
    assert_eq!(bytes(&found.total, "rss"), found.rows.iter().filter_map(|row| row["rss"].as_u64()).sum::<u64>());
    drop(other);
}

#[test]
fn what_is_mapped_is_counted_page_by_page_and_not_added_up() {
    let folder = memory();
    let path = folder.path().join("file");
    fs::write(&path, vec![7; 100 * page() as usize]).unwrap();
    let name = path.display();
    let measured = || who(["--pages".as_ref(), path.as_os_str()]);
    let alone = measured();
    alone.assert_only(&[]);
    let file = &alone.files[0];
    assert_eq!((bytes(file, "cached"), &file["holder_count"]), (100 * page(), &0.into()), "{file}");
    if file["mapped"].is_null() {
        return eprintln!("SKIPPED: some processes cannot be looked at here, and neither can the kernel's lists");
    }
    assert_eq!((bytes(file, "mapped"), bytes(file, "unmapped")), (0, 100 * page()), "{file}");
    let holders = [20, 30, 5].map(|pages| Subject::start([format!("glance:{name}:{pages}")]));
    let file = &measured().files[0];
    assert_eq!(
        (bytes(file, "cached"), bytes(file, "mapped"), bytes(file, "unmapped")),
        (100 * page(), 30 * page(), 70 * page()),
        "{file}"
    );
    assert_eq!((&file["holder_count"], &file["reason"]), (&3.into(), &Value::Null));
    drop(holders);
    assert_eq!(bytes(&measured().files[0], "mapped"), 0);
}

#[test]
fn without_the_lists_of_the_kernel_what_is_mapped_is_exact_or_a_lower_bound() {
    let folder = memory();
    let path = folder.path().join("file");
    fs::write(&path, vec![7; 100 * page() as usize]).unwrap();
    let name = path.display();
    let holders = [20, 30, 5].map(|pages| Subject::start([format!("glance:{name}:{pages}")]));
    let run = rmap(["who", "--json", "--total", path.to_str().unwrap()]);
    let file = &Answer::of(&run).files[0];
    assert_eq!((bytes(file, "cached"), bytes(file, "mapped_at_least")), (100 * page(), 30 * page()), "{file}");
    match run.complaints().is_empty() {
        true => assert_eq!((bytes(file, "mapped"), &file["mapped_by"]), (30 * page(), &"page_tables".into()), "{file}"),
        // Not even root may look at every process here.
        false => {
            assert_eq!(
                (&file["mapped"], &file["unmapped"], &file["mapped_by"]),
                (&Value::Null, &Value::Null, &Value::Null)
            );
            assert!(file["reason"].as_str().unwrap().starts_with("denied: "), "{file}");
            let text = rmap(["who".as_ref(), path.as_os_str()]).text();
            assert!(
                text.contains(" cached: at least ") && text.contains("; --pages, which needs root, sees those too)"),
                "{text}"
            );
        }
    }
    // Nothing is left that a hidden process could map besides.
    let all = Subject::start([format!("glance:{name}:100")]);
    let file = &who([&path]).files[0];
    assert_eq!((bytes(file, "mapped"), bytes(file, "unmapped")), (100 * page(), 0), "{file}");
    assert_eq!((&file["mapped_by"], &file["reason"]), (&"page_tables".into(), &Value::Null), "{file}");
    drop((holders, all));
}

#[test]
fn copies_of_pages_are_not_the_files() {
    let folder = memory();
    let path = folder.path().join("file");
    let subject = Subject::start([format!("private:{}:32:20:5", path.display())]);
    let found = who(["--pages".as_ref(), path.as_os_str()]);
    found.assert_only(&[&subject]);
    let row = found.row(&subject);
    assert!(row["how"].as_str().unwrap().starts_with("mapped private"), "{row}");
    assert_eq!((bytes(row, "rss"), bytes(row, "anonymous")), (20 * page(), 5 * page()), "{row}");
    assert_eq!(bytes(row, "uss"), bytes(row, "rss"), "nobody else has it: {row}");
    let file = &found.files[0];
    if !file["mapped"].is_null() {
        assert_eq!(bytes(file, "mapped"), 15 * page(), "the copied pages are in no page table: {file}");
    }
}

#[test]
fn memory_without_a_name_is_found_through_the_links_of_a_process() {
    let mut subject = Subject::start(["memfd:16:4"]);
    let link = link_of(&subject, "map_files", "/memfd:subject");
    let maps = fs::read_to_string(format!("/proc/{}/maps", subject.pid())).unwrap();
    let line = maps.lines().find(|line| line.contains("/memfd:subject")).unwrap();
    let mut words = line.split_whitespace().skip(3);
    let number = format!("{}:{}", words.next().unwrap(), words.next().unwrap());
    let is_root = nix::unistd::geteuid().is_root();
    for arguments in [vec![link.as_str()], vec!["--inode", &number]] {
        let mut found = who(&arguments);
        if !is_root {
            // An ordinary user may not open the link, and knows only what the process shows.
            let denied = format!("rmap: {link}: permission denied; run as root");
            assert!(found.complaints.len() == 1 && found.complaints[0].starts_with(&denied), "{found:?}");
            found.complaints.clear();
            if arguments.len() == 1 {
                found.assert_only(&[]);
                continue;
            }
        }
        found.assert_only(&[&subject]);
        let row = found.row(&subject);
        assert!(row["how"].as_str().unwrap().starts_with("mapped shared"), "{row}");
        assert_eq!((bytes(row, "size"), bytes(row, "rss")), (16 * page(), 4 * page()), "{row}");
        assert_eq!(row["seen_as"], "/memfd:subject (deleted)");
        let cached = is_root.then_some(4 * page());
        assert_eq!(found.files[0]["cached"].as_u64(), cached, "{arguments:?}");
    }
    subject.child().kill().unwrap();
    subject.child().wait().unwrap();
    who(["--inode", &number]).assert_only(&[]);
}

#[test]
fn a_deleted_file_is_found_by_a_descriptor_and_by_its_numbers() {
    let folder = disk();
    let path = folder.path().join("gone");
    let name = path.display();
    let subject = Subject::start([format!("synced:{name}:16:2"), format!("open:{name}"), format!("unlink:{name}")]);
    let link = link_of(&subject, "fd", &name.to_string());
    let found = fs::metadata(&link).unwrap();
    // Another file of that name is another file.
    fs::write(&path, "new").unwrap();
    let other = Subject::start([format!("open:{name}")]);
    let device = found.dev();
    let numbers = [
        format!("{:02x}:{:02x}:{}", nix::libc::major(device), nix::libc::minor(device), found.ino()),
        format!("{},{}:{}", nix::libc::major(device), nix::libc::minor(device), found.ino()),
        format!("{device}:{}", found.ino()),
    ];
    for arguments in std::iter::once(vec![link.clone()]).chain(numbers.map(|number| vec!["--inode".to_owned(), number]))
    {
        let found = who(&arguments);
        found.assert_only(&[&subject]);
        let row = found.row(&subject);
        assert_eq!((bytes(row, "rss"), &row["seen_as"]), (32 * page(), &format!("{name} (deleted)").into()), "{row}");
        assert_eq!(bytes(&found.files[0], "cached"), 16 * page(), "{arguments:?}");
    }
    let found = who([&path]);
    found.assert_only(&[&other]);
}

#[test]
fn an_address_space_that_two_processes_share_counts_once_in_the_total() {
    let folder = memory();
    let path = folder.path().join("file");
    let subject = Subject::start([format!("synced:{}:16:1", path.display()), "share".to_owned()]);
    let found = who([&path]);
    assert_eq!(found.rows.len(), 2, "{found:?}");
    assert!(found.rows.iter().all(|row| bytes(row, "rss") == 16 * page()), "{found:?}");
    assert_eq!(bytes(&found.total, "rss"), 16 * page(), "{found:?}");
    drop(subject);
}

#[test]
fn a_process_whose_first_thread_has_exited_is_found() {
    let folder = memory();
    let path = folder.path().join("file");
    let subject = Subject::start([format!("synced:{}:16:1", path.display()), "headless".to_owned()]);
    let found = who([&path]);
    found.assert_only(&[&subject]);
    assert_eq!(bytes(found.row(&subject), "rss"), 16 * page());
}

#[test]
fn a_descriptor_counts_once_if_the_first_thread_has_exited() {
    if !crate::common::has("python3", "python3") {
        return;
    }
    let script = "import ctypes, sys, threading, time
file = open(sys.argv[1], 'a')
def wait(first):
    while first and ') Z ' not in open('/proc/self/stat').read(): time.sleep(0.01)
    if first: print('ready', flush=True)
    time.sleep(600)
for number in range(3): threading.Thread(target=wait, args=(number == 0,)).start()
ctypes.CDLL(None).syscall(int(sys.argv[2]), 0)";
    let folder = memory();
    let path = folder.path().join("file");
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(&path).arg(nix::libc::SYS_exit.to_string());
    let subject = Subject::until_ready(python);
    let found = who([&path]);
    found.assert_only(&[&subject]);
    assert_eq!(found.row(&subject)["descriptors"], 1, "{found:?}");
}

#[test]
fn a_file_that_only_a_thread_has_open_is_found() {
    let folder = memory();
    let path = folder.path().join("file");
    fs::write(&path, "text").unwrap();
    let subject = Subject::start([format!("thread:{}", path.display())]);
    let found = who([&path]);
    found.assert_only(&[&subject]);
    assert_eq!(found.row(&subject)["how"], "open");
}

#[test]
fn processes_that_come_and_go_cost_no_error_and_no_row() {
    let folder = memory();
    let path = folder.path().join("file");
    let subject = Subject::start([format!("synced:{}:16:1", path.display())]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let children: Vec<Child> = (0..8).map(|_| Command::new("/bin/true").spawn().unwrap()).collect();
                    children.into_iter().for_each(|mut child| drop(child.wait()));
                }
            });
        }
        let found: Vec<_> = (0..10).map(|_| who([&path])).collect();
        is_over.store(true, Ordering::Relaxed);
        for found in found {
            found.assert_only(&[&subject]);
            assert_eq!(bytes(found.row(&subject), "rss"), 16 * page());
        }
    });
}

#[test]
fn fuser_names_the_same_processes() {
    if !crate::common::has("fuser", "psmisc") {
        return;
    }
    let folder = disk();
    let path = folder.path().join("file");
    let name = path.display();
    let subjects = [
        Subject::start([format!("synced:{name}:4:1")]),
        Subject::start([format!("glance:{name}:4")]),
        Subject::start([format!("open:{name}")]),
    ];
    let output = Command::new("fuser").arg(&path).output().unwrap();
    let mut theirs: Vec<u32> =
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    let mut ours: Vec<u32> = subjects.iter().map(Subject::pid).collect();
    theirs.sort_unstable();
    ours.sort_unstable();
    assert_eq!(theirs, ours);
    who([&path]).assert_only(&subjects.iter().collect::<Vec<_>>());
}

#[test]
fn pages_that_are_not_up_to_date_are_named_beside_the_cached_ones() {
    if !has_cachestat() {
        return;
    }
    // On tmpfs reserved blocks are such pages, as buffers of a block device often are.
    let folder = memory();
    let path = folder.path().join("reserved");
    shell("fallocate -l $2 $1", &[path.as_os_str(), (6 * page()).to_string().as_ref()]).good();
    let found = who([&path]);
    let file = &found.files[0];
    assert_eq!((bytes(file, "cached"), bytes(file, "not_up_to_date")), (0, 6 * page()), "{file}");
    let text = rmap(["who".as_ref(), path.as_os_str()]).text();
    let more = "other pages are in the page cache, but not up to date";
    assert!(text.ends_with(&format!("0 cached; {more} ({}K)\n", 6 * page() / 1024)), "{text}");
    // The same words as everywhere.
    let measured = rmap(["pcstat".as_ref(), "--jsonl".as_ref(), path.as_os_str()]).good().lines_of_json();
    assert_eq!(measured[0]["note"], more);
}

#[test]
fn the_lists_tell_what_is_cached_of_a_file_that_only_has_a_number() {
    let folder = memory();
    let path = folder.path().join("file");
    fs::write(&path, vec![7; 8 * page() as usize]).unwrap();
    let number = shell("stat -c %d:%i $1 | tr -d '\n'", &[path.as_os_str()]).text();
    let found = who(["--inode", &number]);
    let why = found.files[0]["reason"].as_str().unwrap();
    assert!(why.contains("nobody has it open") && why.ends_with("--pages, which needs root, tells"), "{found:?}");
    if !can_read_lists("load::the_lists_tell_what_is_cached_of_a_file_that_only_has_a_number") {
        return;
    }
    let found = who(["--pages", "--inode", &number]);
    assert_eq!((found.rows.len(), &found.complaints[..]), (0, &[][..]), "{found:?}");
    let file = &found.files[0];
    assert_eq!((bytes(file, "size"), bytes(file, "cached")), (8 * page(), 8 * page()), "{file}");
    assert_eq!((bytes(file, "mapped"), bytes(file, "unmapped")), (0, 8 * page()), "{file}");
    assert_eq!((&file["mapped_by"], &file["reason"]), (&"pages".into(), &Value::Null), "{file}");
    // A number that no file has tells nothing.
    fs::remove_file(&path).unwrap();
    let file = &who(["--pages", "--inode", &number]).files[0];
    assert!(file["cached"].is_null() && file["reason"].as_str().unwrap().contains("kernel's lists"), "{file}");
}
