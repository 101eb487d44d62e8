//! Files in a known state, one of each kind.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{Subject, disk, has_cachestat, memory, own_memory_group, page, shell};
use crate::{assert_locked, below, by_cachestat, bytes, complete, has_lists};

/// A new file of so many pages, all written.
fn written(path: &Path, pages: u64) -> PathBuf {
    fs::write(path, vec![7; (pages * page()) as usize]).unwrap();
    path.to_owned()
}

/// The inode number of the mapping of a process whose line in maps has this text.
pub(crate) fn inode_of_mapping(subject: &Subject, text: &str) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{}/maps", subject.pid())).unwrap();
    let line = maps.lines().find(|line| line.contains(text)).unwrap();
    line.split_whitespace().nth(4).unwrap().parse().unwrap()
}

#[test]
fn a_locked_file_that_three_processes_map() {
    if !has_lists("a_locked_file_that_three_processes_map") {
        return;
    }
    let folder = disk();
    let path = folder.path().join("locked");
    let first = Subject::start([format!("synced:{}:64:2", path.display())]);
    let _others = [0; 2].map(|_| Subject::start([format!("glance:{}:64", path.display())]));
    let found = below(folder.path());
    let row = found.row(&path);
    let size = 64 * page();
    assert_eq!((bytes(row, "cached"), bytes(row, "size")), (size, size), "{row}");
    assert_locked(row, size);
    // Before Linux 6.3 it is not known of large folios.
    if row["note"].as_str().is_none_or(|note| !note.contains("large folios")) {
        assert_eq!((bytes(row, "mapped"), bytes(row, "unmapped")), (size, 0), "{row}");
    }
    assert_eq!((bytes(row, "dirty"), bytes(row, "not_up_to_date")), (0, 0), "{row}");
    assert!(bytes(row, "active") <= size - bytes(row, "locked"), "{row}");
    assert_eq!((&row["percent"], &row["kind"], &row["deleted"]), (&100.0.into(), &"file".into(), &false.into()));
    // One that is not seen may be one more.
    let count = if found.is_blind { Value::Null } else { 3.into() };
    assert_eq!((&row["holders"], &row["holder_count"]), (&"subject (3)".into(), &count), "{row}");
    assert_eq!(row["cgroup"], own_memory_group(), "{row}");
    assert_eq!((&row["inode"], &row["links"]), (&path.metadata().unwrap().ino().into(), &1.into()), "{row}");
    assert_eq!((&row["container"], &row["method"]), (&Value::Null, &"pages".into()), "{row}");
    if has_cachestat() {
        assert_eq!(by_cachestat(&path), (size, 0, 0));
    }
    // Of one process, the pid.
    drop(_others);
    let found = below(folder.path());
    assert_eq!(found.row(&path)["holders"], format!("subject {}", first.pid()));
}

#[test]
fn a_deleted_file_that_is_still_open() {
    if !has_lists("a_deleted_file_that_is_still_open") {
        return;
    }
    let folder = disk();
    let [path, other] = ["gone", "here"].map(|name| folder.path().join(name));
    let name = path.display();
    let subject = Subject::start([format!("synced:{name}:16:2"), format!("open:{name}"), format!("unlink:{name}")]);
    let _other = Subject::start([format!("synced:{}:8:2", other.display())]);
    let found = complete(&[crate::MORE.as_ref(), "--deleted".as_ref(), folder.path().as_os_str()]);
    assert_eq!(found.rows.len(), 1, "{found:?}");
    let row = found.row(&path);
    assert_eq!((bytes(row, "cached"), bytes(row, "links")), (16 * page(), 0), "{row}");
    assert_locked(row, 16 * page());
    assert_eq!((&row["kind"], &row["deleted"]), (&"deleted".into(), &true.into()), "{row}");
    assert_eq!(row["holders"], format!("subject {}", subject.pid()), "{row}");
    let all = below(folder.path());
    assert_eq!((&all.row(&path)["deleted"], &all.row(&other)["deleted"]), (&true.into(), &false.into()));
    drop(subject);
    assert!(below(folder.path()).rows.iter().all(|row| row["path"] != path.to_str().unwrap()), "it is still listed");
}

#[test]
fn a_removed_name_of_a_file_with_another_name() {
    if !has_lists("a_removed_name_of_a_file_with_another_name") {
        return;
    }
    for folder in [disk(), memory()] {
        let [path, other] = ["name", "other"].map(|name| folder.path().join(name));
        let name = path.display();
        let acts = [format!("synced:{name}:8:2"), format!("await:{}", other.display()), format!("unlink:{name}")];
        let linking = std::thread::spawn({
            let (path, other) = (path.clone(), other.clone());
            move || while fs::hard_link(&path, &other).is_err() {}
        });
        let subject = Subject::start(acts);
        linking.join().unwrap();
        let inode = other.metadata().unwrap().ino();
        let found = below(folder.path());
        let row = found.rows.iter().find(|row| row["inode"] == inode).unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!((&row["deleted"], &row["links"]), (&false.into(), &1.into()), "{row}");
        assert_eq!(bytes(row, "cached"), 8 * page());
        assert_eq!(row["path"], other.to_str().unwrap(), "a name that the file no longer has: {row}");
        assert_eq!(row["holders"], format!("subject {}", subject.pid()), "{row}");
        assert_eq!(complete(&["--deleted".as_ref(), folder.path().as_os_str()]).rows, [] as [Value; 0]);
    }
}

#[test]
fn memory_without_a_file() {
    if !has_lists("memory_without_a_file") {
        return;
    }
    let subject = Subject::start(["memfd:16:4", "shared_anonymous:16:5"]);
    let found = complete(&[crate::MORE]);
    let memfd = found.row_of_inode("memfd", inode_of_mapping(&subject, "/memfd:subject"));
    assert_eq!((&memfd["path"], &memfd["directory"]), (&"memfd:subject".into(), &"".into()), "{memfd}");
    assert_eq!(
        (bytes(memfd, "cached"), bytes(memfd, "size"), bytes(memfd, "mapped")),
        (4 * page(), 16 * page(), 4 * page())
    );
    // It never had a name that could have been removed.
    assert_eq!((memfd["percent"].as_f64(), &memfd["deleted"]), (Some(25.0), &false.into()), "{memfd}");
    // Whatever else is shown.
    let alone = complete(&["-o", "inode,kind,deleted", "--filter", "links==0"]);
    assert_eq!(alone.row_of_inode("memfd", bytes(memfd, "inode"))["deleted"], false);
    let deleted = complete(&["-o", "inode,fs", "--deleted"]);
    assert!(!deleted.rows.iter().any(|row| row["inode"] == memfd["inode"] && row["fs"] == "tmpfs"), "{memfd}");
    let shared = found.row_of_inode("shared memory", inode_of_mapping(&subject, "/dev/zero"));
    assert_eq!((bytes(shared, "cached"), bytes(shared, "mapped")), (5 * page(), 5 * page()), "{shared}");
    for row in [memfd, shared] {
        assert_eq!(row["holders"], format!("subject {}", subject.pid()), "{row}");
        assert_eq!((&row["cgroup"], &row["note"]), (&own_memory_group().into(), &Value::Null), "{row}");
    }
    drop(subject);
    let inode = memfd["inode"].clone();
    let is_left = |row: &Value| row["kind"] == "memfd" && row["inode"] == inode;
    assert!(!complete(&[crate::MORE]).rows.iter().any(is_left), "the memory is still listed");
}

#[test]
fn files_of_tmpfs_that_nobody_holds() {
    if !has_lists("files_of_tmpfs_that_nobody_holds") {
        return;
    }
    let folder = memory();
    let place = |name: &str| folder.path().join(name);
    let full = written(&place("full"), 10);
    let single = written(&place("single"), 1);
    let holes = place("holes");
    let file = File::create(&holes).unwrap();
    file.set_len(100 * page()).unwrap();
    file.write_all_at(&vec![7; 3 * page() as usize], 50 * page()).unwrap();
    drop(file);
    let reserved = place("reserved");
    shell("fallocate -l $2 $1", &[reserved.as_os_str(), (6 * page()).to_string().as_ref()]).good();
    let found = below(folder.path());
    let expected = [(&full, 10, 10, 0), (&holes, 3, 100, 0), (&reserved, 6, 6, 6), (&single, 1, 1, 0)];
    for (path, cached, size, stale) in expected {
        let row = found.row(path);
        assert_eq!((bytes(row, "cached"), bytes(row, "size")), (cached * page(), size * page()), "{row}");
        assert_eq!((bytes(row, "not_up_to_date"), bytes(row, "mapped")), (stale * page(), 0), "{row}");
        assert_eq!((&row["kind"], &row["fs"], &row["deleted"]), (&"tmpfs".into(), &"tmpfs".into(), &false.into()));
        assert_eq!((bytes(row, "unmapped"), bytes(row, "evicted")), (cached * page(), 0), "{row}");
        assert_eq!(row["cgroup"], own_memory_group(), "{row}");
        found.assert_held_by_nobody(row);
        if has_cachestat() {
            let (up_to_date, dirty, not) = by_cachestat(path);
            assert_eq!((up_to_date + not, not), (cached * page(), stale * page()), "{row}");
            assert_eq!(bytes(row, "dirty"), dirty, "{row}");
        }
    }
    // A note is what it is, whatever columns are shown.
    let beyond = place("beyond");
    fs::write(&beyond, b"x").unwrap();
    shell("fallocate -n -l $2 $1", &[beyond.as_os_str(), (2 * page()).to_string().as_ref()]).good();
    let there = folder.path().to_str().unwrap();
    for columns in ["path,note", "path,dirty,note"] {
        let noted = complete(&["-o", columns, "--filter", "note =~ 'beyond its end'", there]);
        let paths: Vec<&Value> = noted.rows.iter().map(|row| &row["path"]).collect();
        assert_eq!(paths, [beyond.to_str().unwrap()], "{columns}: {noted:?}");
    }
    // The largest comes first.
    assert_eq!(
        found.rows.iter().map(|row| row["path"].as_str().unwrap()).collect::<Vec<_>>(),
        [&full, &reserved, &holes, &single].map(|path| path.to_str().unwrap())
    );
}

#[test]
fn a_dirty_file_on_a_disk_that_nobody_holds() {
    if !has_lists("a_dirty_file_on_a_disk_that_nobody_holds") || !has_cachestat() {
        return;
    }
    let folder = disk();
    let clean = folder.path().join("clean");
    let _clean = Subject::start([format!("synced:{}:8:2", clean.display())]);
    // The kernel keeps a single page in another way than several.
    for pages in [1, 2, 20] {
        a_dirty_file_has_its_pages(folder.path(), &clean, pages);
    }
}

/// Writes files of so many pages below a directory until one is measured before the kernel writes it to the disk, as
/// it may at any time, and reclaims it then.
fn a_dirty_file_has_its_pages(folder: &Path, clean: &Path, pages: u64) {
    for round in 0..10 {
        let path = written(&folder.join(format!("dirty {pages} {round}")), pages);
        let before = by_cachestat(&path);
        let found = below(folder);
        let only = complete(&[crate::MORE.as_ref(), "--dirty".as_ref(), folder.as_os_str()]);
        if before != by_cachestat(&path) || before.1 == 0 {
            continue;
        }
        assert_eq!(before, (pages * page(), pages * page(), 0));
        for found in [&found, &only] {
            let row = found.row(&path);
            assert_eq!((bytes(row, "cached"), bytes(row, "dirty")), (pages * page(), pages * page()), "{row}");
            assert_eq!((&row["kind"], &row["deleted"]), (&"file".into(), &false.into()), "{row}");
            found.assert_held_by_nobody(row);
        }
        assert_eq!(bytes(found.row(clean), "dirty"), 0);
        assert!(!only.rows.iter().any(|row| row["path"] == clean.to_str().unwrap()), "{only:?}");
        return;
    }
    panic!("the kernel writes dirty pages to the disk at once");
}

#[test]
fn only_what_nobody_maps() {
    if !has_lists("only_what_nobody_maps") {
        return;
    }
    let folder = memory();
    let [mapped, open, alone] = ["mapped", "open", "alone"].map(|name| written(&folder.path().join(name), 4));
    let _mapped = Subject::start([format!("glance:{}:1", mapped.display())]);
    let opener = Subject::start([format!("open:{}", open.display())]);
    let found = complete(&["--unmapped".as_ref(), folder.path().as_os_str()]);
    let mut paths: Vec<_> = found.rows.iter().map(|row| row["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!(paths, [alone.to_str().unwrap(), open.to_str().unwrap()]);
    assert_eq!(found.row(&open)["holders"], format!("subject {}", opener.pid()));
    found.assert_held_by_nobody(found.row(&alone));
}

#[test]
fn a_file_whose_name_is_not_text() {
    use std::os::unix::ffi::OsStrExt;
    if !has_lists("a_file_whose_name_is_not_text") {
        return;
    }
    let folder = memory();
    let path = written(&folder.path().join(std::ffi::OsStr::from_bytes(b"a\xff \x1b[2J (deleted)")), 2);
    let found = below(folder.path());
    let row = &found.rows[0];
    let digits: String = path.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&row["path_bytes"], &row["deleted"]), (&digits.into(), &false.into()), "{row}");
    let table = crate::common::rmap(["files".as_ref(), "--budget=20".as_ref(), folder.path().as_os_str()]);
    assert!(!table.out.contains(&0x1b) && !table.out.contains(&0xff), "{}", table.out.escape_ascii());
}

/// A segment of System V shared memory, which is removed with this value.
struct Segment(i32);

#[allow(unsafe_code, reason = "no library wraps these calls")]
impl Segment {
    /// One that was written, locked with SHM_LOCK, and left.
    fn locked_and_left(bytes: u64) -> Segment {
        // SAFETY: it touches no memory of this process.
        let segment = Segment(unsafe { nix::libc::shmget(nix::libc::IPC_PRIVATE, bytes as usize, 0o600) });
        assert!(segment.0 >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the kernel chooses a free place for it.
        let place = unsafe { nix::libc::shmat(segment.0, std::ptr::null(), 0) };
        assert_ne!(place.addr(), usize::MAX, "{}", std::io::Error::last_os_error());
        // SAFETY: the segment was attached there just now, and has this length.
        unsafe { place.cast::<u8>().write_bytes(7, bytes as usize) };
        // SAFETY: nothing refers to the place any more.
        assert_eq!(unsafe { nix::libc::shmdt(place) }, 0, "{}", std::io::Error::last_os_error());
        segment.control(nix::libc::SHM_LOCK);
        segment
    }

    fn control(&self, act: i32) {
        // SAFETY: these acts take no argument.
        let done = unsafe { nix::libc::shmctl(self.0, act, std::ptr::null_mut()) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.control(nix::libc::IPC_RMID);
    }
}

#[test]
fn all_of_a_locked_segment_that_nobody_attached_is_unevictable() {
    if !has_lists("all_of_a_locked_segment_that_nobody_attached_is_unevictable") {
        return;
    }
    let segment = Segment::locked_and_left(40 * page());
    // The number of the segment is that of its inode.
    let found = complete(&[crate::MORE]);
    let row = found.row_of_inode("shared memory", u64::try_from(segment.0).unwrap());
    assert_eq!((bytes(row, "cached"), bytes(row, "unevictable")), (40 * page(), 40 * page()), "{row}");
    assert_eq!((bytes(row, "locked"), bytes(row, "mapped")), (0, 0), "{row}");
}
