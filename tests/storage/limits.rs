//! What warm and lock do with little memory, and with files that are not all data.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rmap::pagecache::{Engine, OpenFile};
use rmap::units::{ByteRange, PageRuns, Pages};

use crate::common::{Run, disk, rmap, shell};

/// A file of these bytes of data, written to disk and not cached.
fn file_of(folder: &Path, name: &str, size: u64, data: std::ops::Range<u64>) -> PathBuf {
    let path = folder.join(name);
    let file = File::create(&path).unwrap();
    file.set_len(size).unwrap();
    file.write_all_at(&vec![7; (data.end - data.start) as usize], data.start).unwrap();
    file.sync_all().unwrap();
    rmap(["evict".as_ref(), path.as_os_str()]);
    path
}

fn cached(path: &Path) -> PageRuns {
    Engine::detect().map(&OpenFile::open(path).unwrap()).runs.unwrap().unwrap()
}

/// A memory control group that is removed at the end.
struct Group(PathBuf);

impl Group {
    /// Makes one of version 1 or 2, whichever is here, with a limit of 64 MiB.
    fn new(name: &str) -> Option<Group> {
        let name = format!("rmap-test-{name}-{}", std::process::id());
        for (folder, limit) in [("memory", "memory.limit_in_bytes"), ("", "memory.max")] {
            let group = Group(Path::new("/sys/fs/cgroup").join(folder).join(&name));
            if fs::create_dir(&group.0).is_ok() && fs::write(group.0.join(limit), "64M").is_ok() {
                return Some(group);
            }
        }
        eprintln!("SKIPPED: no memory control group can be made here");
        None
    }

    /// Runs a shell script inside.
    fn run(&self, script: &str, folder: &Path) -> Run {
        let script = format!("echo $$ > {}/cgroup.procs && cd $1 && {script}", self.0.display());
        shell(&script, &[folder.as_os_str()])
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn locking_needs_memory_for_pages_that_are_cached_already() {
    let Some(group) = Group::new("lock") else { return };
    let folder = disk();
    let file = |name| file_of(folder.path(), name, 40 << 20, 0..40 << 20);
    let _files = (file("a"), file("b"));
    let run = group.run("rmap warm a >/dev/null; timeout -s INT 5 rmap lock a b; echo status $?", folder.path());
    assert!(run.err.contains("b: needs 40M of memory, and "), "{run:?}");
    assert!(run.err.contains("locked in memory until Ctrl-C"), "{run:?}");
    assert!(run.text().contains("status 124") || run.text().contains("status 1"), "{run:?}");
}

#[test]
fn pages_that_reading_others_pushed_out_are_left() {
    let Some(group) = Group::new("warm") else { return };
    let folder = disk();
    let _file = file_of(folder.path(), "a", 100 << 20, 0..100 << 20);
    let run =
        group.run("rmap warm --range 0,50M a > /dev/null; rmap warm --jsonl a; echo >&2 status $?", folder.path());
    let row = &run.lines_of_json()[0];
    let left = row["left_pages"].as_u64().unwrap();
    assert_eq!(row["after_pages"].as_u64().unwrap() + left, 25600, "{row}");
    assert!(left > 0 && run.err.contains("status 1"), "{run:?}");
    // What a file holds already is not given to the next one.
    let _files = ["b", "c"].map(|name| file_of(folder.path(), name, 40 << 20, 0..40 << 20));
    let run = group.run("rmap evict a > /dev/null; rmap warm b > /dev/null; rmap warm b c > /dev/null", folder.path());
    assert!(run.err.contains("c: needs 40M of memory, and "), "{run:?}");
}

#[test]
fn locking_reads_neither_holes_nor_pages_outside_the_range() {
    let folder = disk();
    let sparse = file_of(folder.path(), "sparse", 256 << 20, 100 << 20..104 << 20);
    let full = file_of(folder.path(), "full", 64 << 20, 0..64 << 20);
    let range = ByteRange { offset: 16 << 20, length: 1 << 20 };
    for (path, range, pages) in [(&sparse, ByteRange::ALL, 1024), (&full, range, 256)] {
        let engine = Engine::detect();
        let mut room = rmap::control::Room::of(rmap::units::Bytes(1 << 30));
        let open = OpenFile::open(path).unwrap();
        let go_on = || std::ops::ControlFlow::Continue(());
        let locked = rmap::control::lock(&engine, &mut room, rmap::units::Bytes(0), &open, range, go_on);
        let (_held, effect) = locked.unwrap().unwrap();
        assert_eq!((effect.held, effect.left.pages), (Pages(pages), Pages(0)));
        assert_eq!(cached(path).cached(), Pages(pages), "{}", path.display());
    }
}
