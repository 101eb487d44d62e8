//! Warming and locking with little memory, and with files that are not all data.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rmap::pagecache::{Engine, OpenFile};
use rmap::units::{ByteRange, PageRuns, Pages};

use crate::common::{Group, disk, memory, rmap, shell};

/// A file with this number of bytes, written to disk and not cached.
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

#[test]
fn locking_needs_memory_for_cached_pages() {
    let Some(group) = Group::limited("lock", "64M") else { return };
    let folder = disk();
    let file = |name| file_of(folder.path(), name, 40 << 20, 0..40 << 20);
    let _files = (file("a"), file("b"));
    let run = group.run("rmap warm a >/dev/null; timeout -s INT 5 rmap lock a b; echo status $?", folder.path());
    assert!(run.err.contains("b: needs 40M of memory, and "), "{run:?}");
    assert!(run.err.contains("locked in memory until Ctrl-C"), "{run:?}");
    assert!(run.text().lines().any(|line| line.contains("10240 pages were not read")), "{run:?}");
    assert!(run.text().contains("status 124") || run.text().contains("status 1"), "{run:?}");
}

#[test]
fn pages_dropped_while_reading_others_are_reported_as_left() {
    let Some(group) = Group::limited("warm", "64M") else { return };
    let folder = disk();
    let _file = file_of(folder.path(), "a", 100 << 20, 0..100 << 20);
    let run =
        group.run("rmap warm --range 0,50M a > /dev/null; rmap warm --jsonl a; echo >&2 status $?", folder.path());
    let row = &run.lines_of_json()[0];
    let left = row["left_pages"].as_u64().unwrap();
    assert_eq!(row["after_pages"].as_u64().unwrap() + left, 25600, "{row}");
    assert!(left > 0 && run.err.contains("status 1"), "{run:?}");
    // The memory of one file is not available for the next one.
    let _files = ["b", "c"].map(|name| file_of(folder.path(), name, 40 << 20, 0..40 << 20));
    let act = "rmap evict a > /dev/null; rmap warm b > /dev/null; rmap warm --jsonl b c; echo >&2 status $?";
    let run = group.run(act, folder.path());
    assert!(run.err.contains("c: needs 40M of memory, and ") && run.err.ends_with("status 1\n"), "{run:?}");
    is_left(&run.lines_of_json()[1], 10240);
    let run = group.run("rmap warm --dry-run --jsonl b c", folder.path());
    is_left(&run.lines_of_json()[1], 10240);
}

/// Checks the row of a file that was refused for lack of memory.
fn is_left(row: &serde_json::Value, pages: u64) {
    let figures = ["left_pages", "before_pages", "left_unknown_pages"].map(|key| row[key].as_u64());
    assert_eq!(figures, [Some(pages), Some(0), Some(0)], "{row}");
    let why = row["why"].as_str().unwrap();
    assert!(why.starts_with("10240 pages were not read: it needs 40M of memory, and "), "{row}");
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

#[test]
fn a_demo_of_16_mib_runs_in_a_container_of_64_mib() {
    let Some(group) = Group::limited("demo", "64M") else { return };
    let folder = disk();
    let run = group.run("rmap demo --size 16M --file f --json", folder.path());
    assert!(run.rows().iter().all(|step| step["agree"] == true));
    // The kernel may reclaim pages in so little memory; it is repeated then.
    let acts = |_| group.run("rmap demo --acts all --size 16M --file f --jsonl", folder.path());
    let all_held = (0..5).map(acts).any(|run| {
        assert!(run.status <= Some(1) && run.err.is_empty(), "{run:?}");
        run.lines_of_json().iter().all(|act| act["holds"] == true)
    });
    assert!(all_held, "five times not everything held");
    let run = group.run("rmap demo --size 60M --file f", folder.path());
    assert!(run.err.contains("choose a --size of up to 4"), "{run:?}");
}

#[test]
fn a_range_past_the_end_is_an_error() {
    let folder = disk();
    let path = file_of(folder.path(), "f", 8192, 0..8192);
    for action in ["warm", "evict", "lock"] {
        let run = rmap([action, "--range=8192,1", path.to_str().unwrap()]);
        let line = "rmap: --range: no file reaches byte 8192; nothing was done\n";
        assert_eq!((run.status, run.err.as_str()), (Some(1), line), "{action}");
    }
    // With another file that has this part, the short one has nothing to be done.
    let long = file_of(folder.path(), "long", 16384, 0..16384);
    let both = [path.to_str().unwrap(), long.to_str().unwrap()];
    assert_eq!(rmap(["warm", "--range=8192,1"].iter().chain(&both)).good().text().lines().count(), 3);
}

#[test]
fn too_many_mappings_are_not_reported_as_too_much_locked_memory() {
    let most = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse::<u64>().unwrap();
    if most > 200_000 {
        return eprintln!("SKIPPED: a process may have {most} mappings here");
    }
    let folder = memory();
    let path = folder.path().join("f");
    let file = File::create(&path).unwrap();
    let page = Engine::detect().page_size().bytes();
    for index in 0..most + 1000 {
        file.write_all_at(&[1], index * 2 * page).unwrap();
    }
    let run = shell("ulimit -l 64; timeout 60 rmap lock $1", &[path.as_os_str()]);
    let is_limited = !nix::unistd::geteuid().is_root();
    let words = if is_limited { "RLIMIT_MEMLOCK" } else { "(vm.max_map_count)" };
    assert!(run.err.contains(words), "{run:?}");
}

#[test]
#[allow(unsafe_code, reason = "a seccomp filter for the program under test")]
fn mincore_is_not_trusted_in_a_sandbox_where_it_does_nothing() {
    use nix::libc;
    use std::os::unix::process::CommandExt;
    let folder = memory();
    let path = file_of(folder.path(), "f", 40_960, 0..40_960);
    let arguments = ["pcstat".as_ref(), "--jsonl".as_ref(), path.as_os_str()];
    // The lists of pages would need neither of the two calls.
    let Some(mut command) = crate::common::command_without_lists(arguments) else { return };
    let sandbox = || {
        let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        let (load, equal, give) = (
            libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            libc::BPF_RET | libc::BPF_K,
        );
        // mincore succeeds but writes nothing; cachestat is not available.
        let mut filter = [
            step(load, 0, 0, 0),
            step(equal, 2, 0, libc::SYS_mincore as u32),
            step(equal, 2, 0, libc::SYS_futex_waitv as u32 + 2),
            step(give, 0, 0, libc::SECCOMP_RET_ALLOW),
            step(give, 0, 0, libc::SECCOMP_RET_ERRNO),
            step(give, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        ];
        let program = libc::sock_fprog { len: 6, filter: filter.as_mut_ptr() };
        nix::sys::prctl::set_no_new_privs()?;
        // SAFETY: a plain system call; the program lives until it returns.
        let status = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
        if status == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: the closure only makes system calls.
    unsafe { command.pre_exec(sandbox) };
    let run = crate::common::run(command);
    let row = &run.lines_of_json()[0];
    assert!(row["cached"].is_null() && row["absent"].to_string().contains("mincore"), "{row}");
}
